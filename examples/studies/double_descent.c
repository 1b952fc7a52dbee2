/* double_descent.c - the paper's second experiment (5.4.2, B.1): test loss against width

   Trains the five-layer CNN (or the ResNet18) at many widths with several seeds, measures every
   model, and shows whether the test loss falls, rises and falls again as the network grows, and
   which measures follow it: Figures 1 and 3 (CNN) and 4 (ResNet18), with Kendall's tau of each
   measure. One model per thread; the results do not depend on the number of threads.

       cc -O2 -fopenmp examples/studies/double_descent.c -lm -o double_descent && ./double_descent
       ./double_descent --arch resnet18
       ./double_descent --full --data DIR                 (CIFAR-100: a cluster job)
*/
#include "figure.h"
#include "recipe.h"
#define PRUNABILITY_STATIC /* static functions: unused ones are left out of the program */
#define PRUNABILITY_IMPLEMENTATION
#include "../../prunability.h"

#define MAX_Z 4
#define MAX_COLUMNS 400

/* Values of a model. After these come the library's measures under their own names, five columns of
   effective dimensionality for each z, and the measures that --measures all adds. */
enum {
    TRAIN_LOSS,
    TRAIN_ERROR,
    TEST_LOSS,
    TEST_ERROR,
    WEIGHTS,     /* k: prunable weights, and the size of the Hessian */
    SOTL_END,    /* from losses evaluated at the end of each epoch */
    HESSIAN_MAX, /* largest eigenvalue */
    OWN_COLUMNS
};

static const char *const own_names[OWN_COLUMNS] = {
    "train_loss", "train_error", "test_loss", "test_error", "weights", "sum_of_evaluated_losses",
    "hessian_max"};

enum {
    PRUNABILITY,
    PRUNABILITY_RANDOM,
    FLATNESS,
    SOTL,
    FROBENIUS,
    TWO_NORMS,
    TWO_NORMS_PRUNED,
    PARAMETERS,
    PARAMETERS_PRUNED,
    MARGIN_LOWER, /* and four more */
    LIBRARY_COLUMNS = MARGIN_LOWER + 5
};

static const char *const library_names[LIBRARY_COLUMNS] = {
    "prunability",       "prunability_random",  "perturbation_flatness",   "sum_of_train_losses",
    "sum_of_frobenius",  "sum_of_two_norms",    "sum_of_two_norms_pruned", "parameters",
    "pruned_parameters", "margin_output_lower", "margin_output_q1",        "margin_output_median",
    "margin_output_q3",  "margin_output_upper"};

#define LIBRARY OWN_COLUMNS
#define EFFECTIVE (OWN_COLUMNS + LIBRARY_COLUMNS)

enum { RITZ, RITZ_PER_K, WHOLE, WHOLE_ERROR, WHOLE_PER_K, PER_Z };

static const char *const effective_names[PER_Z] = {"n_eff", "n_eff_per_k", "n_eff_whole",
                                                   "n_eff_whole_error", "n_eff_whole_per_k"};

typedef struct settings {
    ex_study_settings common;
    ex_recipe recipe;
    ex_choice arch, measures;
    ex_ints widths;
    ex_reals z;
    ex_fractions fractions;
    int64_t repetitions, draws, hessian_images, steps, probes;
    double beta, precision;
} settings;

typedef struct study {
    settings set;
    ex_data data;
    ex_study rows;
    ex_text names;
    int64_t columns; /* values of a row between its key and its status */
    int64_t others;  /* the first of them that --measures all adds */
} study;

/* ---- one model ----------------------------------------------------------------------------- */

typedef struct model {
    study *s;
    prun_context context;
    int64_t width, seed;
    prun_net *net;
    prun_net *start; /* a copy from before training, with --measures all */
    double value[MAX_COLUMNS];
    ex_text predictions; /* with --measures all */
    double train_seconds, measure_seconds;
    double epoch_work;
} model;

static int64_t model_width(const study *s, int64_t number) {
    return s->set.widths.value[number / s->set.recipe.seeds.count];
}

static int64_t model_seed(const study *s, int64_t number) {
    return s->set.recipe.seeds.value[number % s->set.recipe.seeds.count];
}

/* Approximate forward passes over the training images to measure a model: random pruning and noise
   mostly end early; a Hessian product costs eight forward passes. */
static double measuring_passes(const settings *set, double images) {
    const double hessian = set->hessian_images > 0 ? (double)set->hessian_images : images;

    return 8 + 6 * (double)set->repetitions + 8 * (double)set->draws +
           8 * (double)set->steps * (double)set->probes * hessian / images;
}

/* Work of a model in multiplications, as in ex_forward_cost. */
static double study_work(void *user, int64_t number) {
    const study *s = (const study *)user;
    const double images = (double)s->data.train.count;

    return ex_forward_cost(s->set.arch.value, model_width(s, number)) * images *
           (3 * (double)s->set.recipe.epochs + measuring_passes(&s->set, images));
}

/* The k-th measure of the library's table that is neither in library_names nor computed by the
   study itself, or NULL. */
static const char *other_measure(int64_t k) {
    static const char *const own[] = {"train_loss", "effective_dimensionality*", "hessian_largest"};
    int64_t count, i;
    const prun_measure_info *info = prun_measures(&count);

    for (i = 0; i < count; i++) {
        size_t j;
        int here = 0;

        for (j = 0; j < LIBRARY_COLUMNS; j++) here |= strcmp(library_names[j], info[i].name) == 0;
        for (j = 0; j < sizeof own / sizeof *own; j++) {
            const size_t length = strcspn(own[j], "*");

            here |= strncmp(own[j], info[i].name, length) == 0 &&
                    (own[j][length] == '*' || info[i].name[length] == '\0');
        }
        if (!here && k-- == 0) return info[i].name;
    }
    return NULL;
}

/* Computes the library's measures. One that is undefined for this model (such as margins, if no
   training image is classified correctly) stays NaN, which is an empty cell. */
static prun_status library_measures(model *m, const prun_objective *objective,
                                    const prun_epoch *history) {
    const settings *set = &m->s->set;
    prun_measure_options options;
    prun_measurement *measurement = NULL;
    prun_measure_result result;
    prun_status status;
    int i;

    memset(&options, 0, sizeof options);
    options.beta = set->beta;
    options.fractions = set->fractions.value;
    options.fraction_count = set->fractions.count;
    options.repetitions = set->repetitions;
    options.draws = set->draws;
    options.precision = set->precision;
    options.seed = (uint64_t)m->seed;
    options.history = history;
    options.epochs = set->recipe.epochs;
    options.seconds = ex_clock;
    status = prun_measurement_create(objective, &options, &measurement);
    if (status != PRUN_OK) return status;
    m->value[TRAIN_LOSS] = prun_measurement_loss(measurement);
    m->value[TRAIN_ERROR] = prun_measurement_error_rate(measurement);
    m->value[WEIGHTS] = (double)prun_net_weight_count(objective->net);
    for (i = 0; i < m->s->columns && status == PRUN_OK; i++) {
        const int64_t first = i < LIBRARY + LIBRARY_COLUMNS ? LIBRARY : m->s->others;

        if (i < LIBRARY || (i >= LIBRARY + LIBRARY_COLUMNS && i < m->s->others)) continue;
        status = prun_measure(
            measurement, first == LIBRARY ? library_names[i - first] : other_measure(i - first),
            &result);
        if (status == PRUN_OK) m->value[i] = result.value;
        if (status == PRUN_ERR_CONVERGENCE || status == PRUN_ERR_MISSING ||
            status == PRUN_ERR_NONFINITE || status == PRUN_ERR_UNSUPPORTED)
            status = PRUN_OK;
    }
    prun_measurement_free(measurement);
    return status;
}

static prun_status curvature(model *m, const prun_objective *objective) {
    const settings *set = &m->s->set;
    prun_hessian_options options;
    prun_spectrum spectrum;
    prun_effective_dimension n;
    prun_status status;
    int i;

    memset(&options, 0, sizeof options);
    options.samples = set->hessian_images;
    options.steps = set->steps;
    options.probes = set->probes;
    options.seed = (uint64_t)m->seed;
    status = prun_hessian_spectrum(objective, &options, &spectrum);
    for (i = 0; i < set->z.count && status == PRUN_OK; i++) {
        double *value = &m->value[EFFECTIVE + i * PER_Z];

        status = prun_effective_dimensionality(&spectrum, set->z.value[i], &n);
        value[RITZ] = n.ritz;
        value[RITZ_PER_K] = n.ritz_fraction;
        value[WHOLE] = n.estimate.value;
        value[WHOLE_ERROR] = n.estimate.standard_error;
        value[WHOLE_PER_K] = n.fraction.value;
    }
    if (status == PRUN_OK) m->value[HESSIAN_MAX] = spectrum.values[spectrum.steps - 1];
    prun_spectrum_free(&spectrum);
    return status;
}

static prun_status measure(model *m, const prun_epoch *history) {
    const settings *set = &m->s->set;
    prun_objective objective;
    int64_t e, tensors;
    prun_status status =
        ex_evaluate(m->net, &m->s->data.test, &m->value[TEST_LOSS], &m->value[TEST_ERROR]);

    if (status == PRUN_OK) status = prun_net_objective(m->net, &m->s->data.train, &objective);
    if (status == PRUN_OK && m->start)
        objective.initial = prun_net_trained_tensors(m->start, &tensors);
    if (status == PRUN_OK && m->start)
        status = ex_predictions(m->net, &m->s->data.test, &m->predictions);
    if (status == PRUN_OK) status = library_measures(m, &objective, history);
    if (status == PRUN_OK && set->steps > 0) status = curvature(m, &objective);
    m->value[SOTL_END] = 0;
    for (e = 0; e < set->recipe.epochs; e++) m->value[SOTL_END] -= history[e].evaluated_loss;
    return status;
}

static prun_status train(model *m, int64_t number, prun_epoch *history) {
    study *s = m->s;
    prun_train_options options = ex_recipe_training(&s->set.recipe, m->seed);

    options.evaluate = 1;
    return ex_study_train(&s->rows, number, m->net, &s->data.train, &options, m->epoch_work,
                          history);
}

/* The result, or why there is none. */
static void fill_row(const model *m, prun_status status, ex_csv *row) {
    int64_t i;

    for (i = 0; i < m->s->columns; i++)
        ex_csv_number(row, status == PRUN_OK ? m->value[i] : (double)NAN);
    if (m->s->columns > m->s->others)
        ex_csv_text(row, status == PRUN_OK && m->predictions.data ? m->predictions.data : "");
    ex_outcome(row, &m->context, status, m->train_seconds, m->measure_seconds);
}

/* Each model has its own context and is independent of the others. It uses one thread, because the
   models already share the cores. */
static int run_model(void *user, int64_t number, ex_csv *row) {
    study *s = (study *)user;
    const double work = study_work(s, number), start = ex_seconds();
    prun_epoch *history = (prun_epoch *)ex_allocate((size_t)s->set.recipe.epochs, sizeof *history);
    prun_status status;
    prun_arch arch;
    model m;
    int i;

    memset(&m, 0, sizeof m);
    for (i = 0; i < MAX_COLUMNS; i++) m.value[i] = (double)NAN;
    m.s = s;
    m.width = model_width(s, number);
    m.seed = model_seed(s, number);
    m.epoch_work = 4 * ex_forward_cost(s->set.arch.value, m.width) * (double)s->data.train.count;
    m.context.threads = 1;
    arch = ex_arch(s->set.arch.value, m.width, m.seed, &s->data.train);
    status = prun_net_create_family(&m.context, &arch, &m.net);
    if (status == PRUN_OK && s->columns > s->others) status = prun_net_copy(m.net, 0, &m.start);
    if (status == PRUN_OK) status = train(&m, number, history);
    m.train_seconds = ex_seconds() - start;
    if (status == PRUN_OK) status = measure(&m, history);
    m.measure_seconds = ex_seconds() - start - m.train_seconds;
    ex_progress_add(&s->rows.progress, work - m.epoch_work * (double)s->set.recipe.epochs);
    /* Divergence is a result. After any other failure there is no row, and a rerun tries again. */
    if (status == PRUN_OK || status == PRUN_ERR_NONFINITE) fill_row(&m, status, row);
    else if (status != PRUN_ERR_CANCELLED) /* the study reports why it stopped */
        ex_error("width %ld, seed %ld: %s", (long)m.width, (long)m.seed,
                 ex_reason(&m.context, status));
    free(history);
    ex_text_free(&m.predictions);
    prun_net_free(m.net);
    prun_net_free(m.start);
    return status != PRUN_OK && status != PRUN_ERR_NONFINITE;
}

/* ---- rows ---------------------------------------------------------------------------------- */

#define KEYS (EX_RECIPE_KEYS + 8)
#define KEY_NAMES \
    EX_RECIPE_KEY_NAMES ",beta,fractions,repetitions,draws,precision,hessian_images,steps,probes"

static void model_key(void *user, int64_t number, ex_csv *row) {
    const study *s = (const study *)user;
    const settings *set = &s->set;

    ex_recipe_key(&set->recipe, &s->data, set->arch.value, model_width(s, number),
                  model_seed(s, number), row);
    ex_csv_number(row, set->beta);
    ex_csv_list(row, set->fractions.text);
    ex_csv_number(row, (double)set->repetitions);
    ex_csv_number(row, (double)set->draws);
    ex_csv_number(row, set->precision);
    ex_csv_number(row, (double)set->hessian_images);
    ex_csv_number(row, (double)set->steps);
    ex_csv_number(row, (double)set->probes);
}

/* Name of the column of a value. text: 64 bytes. */
static const char *column_name(const settings *set, int64_t column, char *text) {
    if (column < LIBRARY) return own_names[column];
    if (column < EFFECTIVE) return library_names[column - LIBRARY];
    column -= EFFECTIVE;
    if (column >= PER_Z * (set->steps > 0 ? set->z.count : 0))
        return other_measure(column - PER_Z * (set->steps > 0 ? set->z.count : 0));
    snprintf(text, 64, "%s_z%.4g", effective_names[column % PER_Z], set->z.value[column / PER_Z]);
    return text;
}

static void name_columns(study *s) {
    char text[64];
    int64_t i;

    s->columns = s->others = EFFECTIVE + PER_Z * (s->set.steps > 0 ? s->set.z.count : 0);
    while (s->set.measures.value == 1 && s->columns < MAX_COLUMNS &&
           other_measure(s->columns - s->others) != NULL)
        s->columns++;
    ex_text_add(&s->names, "%s", KEY_NAMES);
    for (i = 0; i < s->columns; i++) ex_text_add(&s->names, ",%s", column_name(&s->set, i, text));
    if (s->columns > s->others) ex_text_add(&s->names, ",predictions");
    ex_text_add(&s->names, ",%s", EX_OUTCOME_NAMES);
}

/* ---- evaluation ---------------------------------------------------------------------------- */

#define MAX_VIEWS 240

/* A quantity of every model, for tables and figures. */
typedef struct view {
    char label[80];
    const char *axis;     /* of its panel; NULL: no panel */
    double *x;            /* per model; NaN: undefined */
    double *mean, *error; /* per width, over seeds: mean and its standard error */
    int log_axis;
    prun_kendall loss, wrong, mean_loss, mean_wrong, width; /* with test loss, test error, ... */
} view;

enum { V_TRAIN_LOSS, V_TRAIN_ERROR, V_TEST_LOSS, V_TEST_ERROR, V_TARGETS };

typedef struct results {
    const study *s;
    prun_context context;
    prun_table table;
    int64_t n, widths; /* models with results; widths among them */
    double *width, *each_width;
    view views[MAX_VIEWS];
    int count, margins; /* margins: first of the two fitted views, 0: none */
    prun_regression fit;
    double threshold; /* smallest width from which on the mean train loss is low; NaN: none */
    ex_text left_out; /* trainings that diverged, and why */
} results;

/* A mean train loss below this counts as interpolation. */
#define INTERPOLATED 0.1

/* Mean and standard error over the seeds of every width. An infinite value makes an infinite
   mean; undefined ones are left out. */
static void average(const results *r, view *v) {
    int64_t w, i;

    for (w = 0; w < r->widths; w++) {
        double n = 0, sum = 0, squares = 0;

        for (i = 0; i < r->n; i++)
            if (!(r->width[i] < r->each_width[w] || r->width[i] > r->each_width[w]) &&
                !isnan(v->x[i])) {
                n++;
                sum += v->x[i];
            }
        v->mean[w] = n > 0 ? sum / n : (double)NAN;
        for (i = 0; i < r->n; i++)
            if (!(r->width[i] < r->each_width[w] || r->width[i] > r->each_width[w]) &&
                !isnan(v->x[i]))
                squares += (v->x[i] - v->mean[w]) * (v->x[i] - v->mean[w]);
        v->error[w] = n > 1 ? sqrt(squares / (n - 1) / n) : (double)NAN;
    }
}

/* Adds a view; the caller fills in its values. */
static view *add_view(results *r, const char *axis, int log_axis, const char *label) {
    view *v = &r->views[r->count++];

    snprintf(v->label, sizeof v->label, "%s", label);
    v->axis = axis;
    v->log_axis = log_axis;
    v->x = (double *)ex_allocate((size_t)r->n, sizeof *v->x);
    v->mean = (double *)ex_allocate((size_t)r->n, sizeof *v->mean);
    v->error = (double *)ex_allocate((size_t)r->n, sizeof *v->error);
    return v;
}

static const double *column(const results *r, const char *name) {
    const int64_t index = prun_table_find(&r->table, name);

    return &r->table.values[index * r->table.rows];
}

static void column_view(results *r, const char *axis, int log_axis, const char *label,
                        const char *name) {
    view *v = add_view(r, axis, log_axis, label);

    memcpy(v->x, column(r, name), (size_t)r->n * sizeof *v->x);
    average(r, v);
}

/* Disagreement between seeds in the predictions for test images, as the mean over the other seeds
   of the width. It estimates the test error (Jiang et al. 2022) without labels. */
static void disagreement_view(results *r) {
    const int64_t index = prun_table_find(&r->table, "predictions");
    view *v = add_view(r, NULL, 0, "disagreement of seeds (test images)");
    int64_t i, k;

    for (i = 0; i < r->n; i++) {
        double sum = 0, others = 0;

        for (k = 0; k < r->n; k++) {
            const double one = ex_disagreement(r->table.cells[i * r->table.columns + index],
                                               r->table.cells[k * r->table.columns + index]);

            if (k == i || r->width[k] < r->width[i] || r->width[k] > r->width[i] || isnan(one))
                continue;
            sum += one;
            others++;
        }
        v->x[i] = others > 0 ? sum / others : (double)NAN;
    }
    average(r, v);
}

static void effective_views(results *r, int z) {
    static const char *const text[PER_Z] = {"N_eff (Lanczos", "N_eff / k (Lanczos",
                                            "N_eff (whole spectrum", NULL,
                                            "N_eff / k (whole spectrum"};
    static const char *const axis[PER_Z] = {"N_eff", "N_eff / k", "N_eff", NULL, "N_eff / k"};
    char label[80], name[64];
    int i;

    for (i = 0; i < PER_Z; i++) {
        if (text[i] == NULL) continue;
        snprintf(label, sizeof label, "%s, z = %.3g)", text[i], r->s->set.z.value[z]);
        column_view(r, z == 0 ? axis[i] : NULL, i == RITZ_PER_K || i == WHOLE_PER_K, label,
                    column_name(&r->s->set, EFFECTIVE + z * PER_Z + i, name));
    }
}

/* The test loss predicted from five statistics of the output margins by least squares over the
   models (A.4): by a fit to all models, and cross-fitted, each tenth of them by a fit without it.
   Models without margins have no prediction. */
static int margin_views(results *r) {
    const double *test = column(r, own_names[TEST_LOSS]);
    const size_t n = (size_t)r->n;
    double *room = (double *)ex_allocate(8 * n, sizeof *room), *x[5], *y = room + 5 * n;
    prun_regression_outputs outputs;
    view *fitted = add_view(r, "predicted test loss", 0, "output margins, fitted to test loss");
    view *crossed = add_view(r, NULL, 0, "output margins, cross-fitted");
    int64_t i, used = 0;
    int k, status = 0;

    for (k = 0; k < 5; k++) x[k] = room + (size_t)k * n;
    for (i = 0; i < r->n; i++) {
        int known = 1;

        for (k = 0; k < 5; k++) {
            x[k][used] = column(r, library_names[MARGIN_LOWER + k])[i];
            known &= isfinite(x[k][used]) != 0;
        }
        y[used] = test[i];
        used += known;
        fitted->x[i] = crossed->x[i] = known ? 0 : (double)NAN;
    }
    memset(&outputs, 0, sizeof outputs);
    outputs.fitted = room + 6 * n;
    outputs.crossfitted = room + 7 * n;
    if (used >= 7 && prun_regression_fit(
                         &r->context, &(prun_regression_data){(const double *const *)x, 5, y, used},
                         NULL, &r->fit, &outputs) != PRUN_OK)
        status = ex_failure(&r->context, "margins");
    for (i = 0, used = r->fit.n > 0 ? 0 : -1; i < r->n; i++) {
        const int known = used >= 0 && !isnan(fitted->x[i]);

        fitted->x[i] = known ? outputs.fitted[used] : (double)NAN;
        crossed->x[i] = known ? outputs.crossfitted[used] : (double)NAN;
        used += known;
    }
    free(room);
    average(r, fitted);
    average(r, crossed);
    return status;
}

static void make_views(results *r) {
    view *v;
    int64_t i;
    int z;

    column_view(r, "cross-entropy (nats)", 0, "train loss", own_names[TRAIN_LOSS]);
    column_view(r, NULL, 0, "train error", own_names[TRAIN_ERROR]);
    column_view(r, NULL, 0, "test loss", own_names[TEST_LOSS]);
    column_view(r, NULL, 0, "test error", own_names[TEST_ERROR]);
    column_view(r, "fraction kept", 0, "prunability (magnitude)", library_names[PRUNABILITY]);
    column_view(r, "fraction kept", 0, "prunability (random)", library_names[PRUNABILITY_RANDOM]);
    column_view(r, "1 / radius²", 1, "random-perturbation robustness", library_names[FLATNESS]);
    for (z = 0; z < r->s->set.z.count && r->s->set.steps > 0; z++) effective_views(r, z);
    column_view(r, "nats", 0, "negated sum of train losses", library_names[SOTL]);
    column_view(r, "nats", 0, "negated sum, evaluated after epochs", own_names[SOTL_END]);
    column_view(r, "d (product)^(1/d)", 0, "sum of squared Frobenius norms",
                library_names[FROBENIUS]);
    column_view(r, "sum of norms", 0, "sum of two norms", library_names[TWO_NORMS]);
    column_view(r, NULL, 0, "sum of two norms, pruned", library_names[TWO_NORMS_PRUNED]);
    column_view(r, "parameters", 1, "parameters", library_names[PARAMETERS]);
    column_view(r, NULL, 1, "parameters, pruned", library_names[PARAMETERS_PRUNED]);
    for (i = r->s->others; i < r->s->columns; i++) {
        const char *name = other_measure(i - r->s->others);

        column_view(r, NULL, 0, name, name);
    }
    if (r->s->columns > r->s->others) disagreement_view(r);
    v = add_view(r, NULL, 0, "1 / width (trivial baseline)");
    for (i = 0; i < r->n; i++) v->x[i] = 1 / r->width[i];
    average(r, v);
}

/* Kendall's tau of the models with both values. An infinite value ranks last. */
static int tau(results *r, const double *x, const double *y, int64_t n, prun_kendall *result) {
    double *a = (double *)ex_allocate(2 * (size_t)n, sizeof *a), *b = a + n;
    int64_t i, used = 0;
    int status = 0;

    for (i = 0; i < n; i++)
        if (!isnan(x[i]) && !isnan(y[i])) {
            a[used] = isfinite(x[i]) ? x[i] : 1e308;
            b[used++] = y[i];
        }
    memset(result, 0, sizeof *result);
    result->tau_a = result->tau_b = (double)NAN;
    if (used >= 2 && prun_kendall_tau(&r->context, a, b, used, result) != PRUN_OK)
        status = ex_failure(&r->context, "tau");
    free(a);
    return status;
}

static int correlate(results *r) {
    const view *loss = &r->views[V_TEST_LOSS], *wrong = &r->views[V_TEST_ERROR];
    int i, status = 0;

    for (i = 0; i < r->count; i++) {
        view *v = &r->views[i];

        status |= tau(r, v->x, loss->x, r->n, &v->loss);
        status |= tau(r, v->x, wrong->x, r->n, &v->wrong);
        status |= tau(r, v->mean, loss->mean, r->widths, &v->mean_loss);
        status |= tau(r, v->mean, wrong->mean, r->widths, &v->mean_wrong);
        status |= tau(r, v->x, r->width, r->n, &v->width);
    }
    return status;
}

/* Reads the rows; reports and leaves out trainings that diverged. */
static int read_rows(results *r, const char *path) {
    int64_t i, status_column;
    uint8_t *keep;

    if (prun_table_load_csv(&r->context, path, &r->table) != PRUN_OK)
        return ex_failure(&r->context, path);
    status_column = prun_table_find(&r->table, "status");
    keep = (uint8_t *)ex_allocate((size_t)r->table.rows, 1);
    for (i = 0; i < r->table.rows; i++) {
        const char *text = r->table.cells[i * r->table.columns + status_column];
        const int ok = strcmp(text, "ok") == 0;

        keep[i] = ok && column(r, own_names[TRAIN_LOSS])[i] <= ex_most_loss(&r->s->data);
        if (ok && !keep[i]) text = "its train loss is far above that of guessing";
        if (!keep[i])
            ex_text_add(&r->left_out, "%swidth %g, seed %g (%s)",
                        r->left_out.length > 0 ? "; " : "", column(r, "width")[i],
                        column(r, "seed")[i], text);
    }
    if (r->left_out.length > 0) printf("Left out: %s.\n", r->left_out.data);
    prun_table_keep_rows(&r->table, keep);
    free(keep);
    r->n = r->table.rows;
    return 0;
}

static int evaluate(results *r, const char *path) {
    int64_t i;
    int status = read_rows(r, path);

    if (status != 0) return status;
    if (r->n < 2) {
        ex_error("%s: %s, so there is nothing to compare", path,
                 r->n == 1 ? "only one model has a result" : "no model has a result");
        return EX_FAILED;
    }
    r->width = (double *)ex_allocate(2 * (size_t)r->n, sizeof *r->width);
    r->each_width = r->width + r->n;
    memcpy(r->width, column(r, "width"), (size_t)r->n * sizeof *r->width);
    for (i = 0; i < r->n; i++) /* rows are sorted by width */
        if (i == 0 || r->width[i] > r->width[i - 1]) r->each_width[r->widths++] = r->width[i];
    make_views(r);
    r->margins = r->count;
    status = margin_views(r);
    r->threshold = (double)NAN;
    for (i = r->widths; i-- > 0 && r->views[V_TRAIN_LOSS].mean[i] < INTERPOLATED;)
        r->threshold = r->each_width[i];
    return status != 0 ? status : correlate(r);
}

static void free_results(results *r) {
    int i;

    for (i = 0; i < r->count; i++) {
        free(r->views[i].x);
        free(r->views[i].mean);
        free(r->views[i].error);
    }
    free(r->width);
    ex_text_free(&r->left_out);
    prun_table_free(&r->table);
}

/* A rise and fall along the widths: the rise from the lowest point before a peak and the fall to
   the lowest point after it, for the peak at which the smaller of the two is largest. */
typedef struct descent {
    double low, peak, end;    /* widths */
    double first, rise, fall; /* first: fall from the narrowest width to `low` */
    double first_error, rise_error, fall_error;
    int found;
    int clear,
        clear_first; /* 95 % intervals of rise and fall, and of the first fall, are above 0 */
} descent;

static double together(double a, double b) { return sqrt(a * a + b * b); }

/* Half the width of a 95 % interval, in standard errors, of a difference of the means of two
   widths. */
static double limit_of(const results *r, double a, double b) {
    int64_t i, freedom = -2;

    for (i = 0; i < r->n; i++)
        freedom += (!(r->width[i] < a) && !(r->width[i] > a)) ||
                   (!(r->width[i] < b) && !(r->width[i] > b));
    return ex_student(freedom);
}

static descent find_descent(const results *r, const view *v) {
    descent d;
    int64_t i, k, j, low = 0, end;

    memset(&d, 0, sizeof d);
    for (j = 1; j + 1 < r->widths; j++) {
        double rise, fall;

        for (low = 0, i = 1; i < j; i++) low = v->mean[i] < v->mean[low] ? i : low;
        for (end = j + 1, k = j + 2; k < r->widths; k++) end = v->mean[k] < v->mean[end] ? k : end;
        rise = v->mean[j] - v->mean[low];
        fall = v->mean[j] - v->mean[end];
        if (!(rise > 0 && fall > 0) ||
            (d.found && (rise < fall ? rise : fall) <= (d.rise < d.fall ? d.rise : d.fall)))
            continue;
        d.found = 1;
        d.low = r->each_width[low];
        d.peak = r->each_width[j];
        d.end = r->each_width[end];
        d.rise = rise;
        d.fall = fall;
        d.first = v->mean[0] - v->mean[low];
        d.rise_error = together(v->error[j], v->error[low]);
        d.fall_error = together(v->error[j], v->error[end]);
        d.first_error = low > 0 ? together(v->error[0], v->error[low]) : 0;
    }
    d.clear = d.found && d.rise > limit_of(r, d.low, d.peak) * d.rise_error &&
              d.fall > limit_of(r, d.peak, d.end) * d.fall_error;
    d.clear_first = d.found && d.first > limit_of(r, r->each_width[0], d.low) * d.first_error;
    return d;
}

/* ---- tables -------------------------------------------------------------------------------- */

/* The format with the decimals that show two digits of a standard error. */
static const char *format_of(double error) {
    static const char *const formats[] = {"%.0f", "%.1f", "%.2f", "%.3f", "%.4f",
                                          "%.5f", "%.6f", "%.7f", "%.8f", "%.9f"};

    if (!(error > 0 && isfinite(error))) return formats[4];
    return formats[(int)fmin(fmax(1 - floor(log10(error)), 0), 9)];
}

static void width_table(const results *r, ex_table *table) {
    const int shown[] = {V_TRAIN_LOSS, V_TRAIN_ERROR, V_TEST_LOSS,  V_TEST_ERROR,
                         V_TARGETS,    V_TARGETS + 1, V_TARGETS + 2};
    int64_t w;
    size_t k;

    ex_table_header(table, "width|train loss|±|train error|±|test loss|±|test error|±|"
                           "prunability|±|random|±|robustness|±");
    for (w = 0; w < r->widths; w++) {
        ex_table_cell(table, "%g", r->each_width[w]);
        for (k = 0; k < sizeof shown / sizeof *shown; k++) {
            const view *v = &r->views[shown[k]];
            const int robustness = shown[k] == V_TARGETS + 2;
            const char *format = robustness ? format_of(v->error[w]) : "%.4f";

            ex_table_number(table, format, v->mean[w]);
            ex_table_number(table, format, v->error[w]);
        }
    }
}

static void tau_cells(ex_table *table, const prun_kendall *k, int with_p) {
    const int defined = k->n >= 2 && !isnan(k->tau_b);

    ex_table_number(table, "%+.3f", defined ? k->tau_a : (double)NAN);
    if (with_p) ex_table_number(table, "%.2g", defined ? k->p : (double)NAN);
}

static void tau_table(const results *r, ex_table *table) {
    int i;

    ex_table_header(table,
                    "measure|n|test loss|p|test error|p|means: test loss|p|means: test error|p|"
                    "width");
    for (i = 0; i < r->count; i++) {
        const view *v = &r->views[i];

        if (i >= V_TRAIN_ERROR && i < V_TARGETS) continue;
        ex_table_cell(table, "%s", v->label);
        ex_table_cell(table, "%ld", (long)v->loss.n);
        tau_cells(table, &v->loss, 1);
        tau_cells(table, &v->wrong, 1);
        tau_cells(table, &v->mean_loss, 1);
        tau_cells(table, &v->mean_wrong, 1);
        tau_cells(table, &v->width, 0);
    }
}

static const char tau_note[] =
    "Kendall's tau_a; p-values are two-sided and those of tau_b. Under independence, its standard "
    "error\nis %.3f for %ld models and %.3f for the means of %ld widths; models of one width are "
    "not independent\nof one another. Last column: tau with the width itself. Fitted margins were "
    "fitted to the test loss.\n";

static void print_tables(const results *r) {
    const view *v = &r->views[V_TARGETS];
    ex_table table = {0, 0, 0, NULL};

    printf("\nMeans over seeds ± standard errors (robustness: 1 / radius²):\n\n");
    width_table(r, &table);
    ex_table_print(&table, stdout);
    ex_table_free(&table);
    printf("\nHow measures rank the models:\n\n");
    tau_table(r, &table);
    ex_table_print(&table, stdout);
    ex_table_free(&table);
    printf("\n");
    printf(tau_note, v->loss.standard_error, (long)v->loss.n, v->mean_loss.standard_error,
           (long)v->mean_loss.n);
}

/* ---- figures ------------------------------------------------------------------------------- */

/* Describes networks, data and training in two lines. */
static void describe(const results *r, ex_text *first, ex_text *second) {
    const study *s = r->s;
    const settings *set = &s->set;

    ex_text_add(first, "%s on ", ex_arch_labels[set->arch.value]);
    ex_recipe_describe(&set->recipe, &s->data, first);
    ex_text_add(second, "mean and standard error over %s%d seed%s; test: %ld images",
                r->left_out.length > 0 ? "at most " : "", set->recipe.seeds.count,
                ex_plural(set->recipe.seeds.count), (long)s->data.test.count);
    if (set->steps > 0)
        ex_text_add(second, "; Hessian: %ld training images, %ld Lanczos steps",
                    (long)(set->hessian_images > 0 ? set->hessian_images : s->data.train.count),
                    (long)set->steps);
}

static int draw(const results *r, const char *name, const ex_plot *plots, int count, int across,
                double width, double height) {
    const char *out = r->s->set.common.out;
    ex_text first = {NULL, 0, 0}, second = {NULL, 0, 0};
    int status;

    describe(r, &first, &second);
    status =
        ex_plots_write(out, name, first.data, second.data, plots, count, across, width, height);
    if (status == 0) printf("%s/%s.svg\n", ex_shown(out), name);
    ex_text_free(&first);
    ex_text_free(&second);
    return status;
}

static ex_series curve(const results *r, int number, const char *name, int colour) {
    const view *v = &r->views[number];
    ex_series series;

    memset(&series, 0, sizeof series);
    series.name = name;
    series.x = r->each_width;
    series.y = v->mean;
    series.error = v->error;
    series.n = r->widths;
    series.line = 1;
    series.colour = colour;
    return series;
}

static ex_plot panel(const results *r, const char *title, const char *axis, const ex_series *series,
                     int count) {
    ex_plot plot;

    memset(&plot, 0, sizeof plot);
    plot.title = title;
    plot.x_label = r->s->set.arch.value == EX_CNN ? "width k (channels of the first layer)"
                                                  : "width k (channels of the first stage)";
    plot.y_label = axis;
    plot.log_x = 1;
    plot.series = series;
    plot.count = count;
    plot.mark_x = r->threshold;
    plot.mark_text = isnan(r->threshold) ? NULL : "train loss < 0.1";
    return plot;
}

static int draw_losses(const results *r) {
    const ex_series series[4] = {
        curve(r, V_TRAIN_LOSS, "training", 0), curve(r, V_TEST_LOSS, "test", 1),
        curve(r, V_TRAIN_ERROR, "training", 0), curve(r, V_TEST_ERROR, "test", 1)};
    const ex_plot plots[2] = {panel(r, "Loss", "cross-entropy (nats)", series, 2),
                              panel(r, "Error", "error rate", series + 2, 2)};

    return draw(r, "losses", plots, 2, 2, 560, 340);
}

/* Draws the test loss, then every view with an axis, each in its own panel. few: only prunability
   and N_eff / k. */
static int draw_measures(const results *r, const char *name, int few) {
    ex_series series[MAX_VIEWS];
    ex_plot plots[MAX_VIEWS];
    int i, count = 0;

    series[count] = curve(r, V_TEST_LOSS, NULL, 1);
    plots[count] = panel(r, "test loss", "cross-entropy (nats)", &series[count], 1);
    count++;
    for (i = 0; i < r->count; i++) {
        const view *v = &r->views[i];

        if (v->axis == NULL ||
            (few && i != V_TARGETS && strncmp(v->label, "N_eff / k (L", 12) != 0))
            continue;
        series[count] = curve(r, i, NULL, i == V_TARGETS || i == V_TARGETS + 1 ? 0 : 2);
        plots[count] = panel(r, v->label, v->axis, &series[count], 1);
        plots[count].log_y = v->log_axis;
        plots[count].mark_text = plots[count].mark_text != NULL ? "" : NULL; /* labelled once */
        count++;
    }
    return draw(r, name, plots, count, 3, 420, 290);
}

static int draw_all(const results *r) {
    int status;

    printf("\n");
    status = draw_losses(r);
    status |= draw_measures(r, "figure1", 1);
    return status | draw_measures(r, r->s->set.arch.value == EX_CNN ? "figure3" : "figure4", 0);
}

/* ---- report -------------------------------------------------------------------------------- */

/* Resamples of the widths: many, because there are few widths. */
#define RESAMPLES 20000

/* tau_a of one measure with a target, minus that of another if b is not NULL, over widths from..to,
   with a 95 % interval from a bootstrap over widths. NaN if there are too few models, or if all
   have the same value. */
static int compare(results *r, const view *a, const double *b, const view *target, double from,
                   double to, prun_interval *interval) {
    double *x = (double *)ex_allocate(4 * (size_t)r->n, sizeof *x);
    double *other = x + r->n, *y = x + 2 * r->n, *cluster = x + 3 * r->n;
    prun_sample sample;
    prun_resampling_options options;
    prun_status status = PRUN_OK;
    int64_t i, n = 0;
    int vary = 0, other_vary = b == NULL;

    for (i = 0; i < r->n; i++)
        if (!isnan(a->x[i]) && (b == NULL || !isnan(b[i])) && r->width[i] >= from &&
            r->width[i] <= to) {
            vary |= n > 0 && (a->x[i] < x[0] || a->x[i] > x[0]);
            other_vary |= n > 0 && b != NULL && (b[i] < other[0] || b[i] > other[0]);
            x[n] = isfinite(a->x[i]) ? a->x[i] : 1e308;
            other[n] = b == NULL ? 0 : isfinite(b[i]) ? b[i] : 1e308;
            y[n] = target->x[i];
            cluster[n++] = r->width[i];
        }
    memset(&sample, 0, sizeof sample);
    memset(&options, 0, sizeof options);
    memset(interval, 0, sizeof *interval);
    interval->estimate = interval->lower = interval->upper = (double)NAN;
    sample.n = n;
    sample.measure = x;
    sample.target = y;
    sample.cluster = cluster;
    options.statistic = PRUN_STATISTIC_TAU_A;
    options.resamples = RESAMPLES;
    if (n >= 4 && vary && other_vary)
        status = b == NULL ? prun_bootstrap(&r->context, &sample, &options, interval)
                           : prun_compare(&r->context, &sample, other, &options, interval);
    free(x);
    return status == PRUN_OK ? 0 : ex_failure(&r->context, "comparison");
}

/* The verdict on a claim for which there is not enough data. */
#define NOT_TESTED "not tested"

/* A change, with its standard error if there is one. */
static void add_change(ex_text *found, double change, double error) {
    ex_text_add(found, format_of(error), change);
    if (isnan(error)) return;
    ex_text_add(found, " ± ");
    ex_text_add(found, format_of(error), error);
}

/* Describes a curve without a peak inside the range: it falls to its lowest point and rises after
   it. */
static void describe_bend(const results *r, const view *v, ex_text *found) {
    const int64_t last = r->widths - 1;
    int64_t i, low = 0;

    for (i = 1; i <= last; i++) low = v->mean[i] < v->mean[low] ? i : low;
    if (low > 0) {
        ex_text_add(found, "from width %g to %g it falls by ", r->each_width[0],
                    r->each_width[low]);
        add_change(found, v->mean[0] - v->mean[low], together(v->error[0], v->error[low]));
    }
    if (low < last) {
        ex_text_add(found, "%sfrom width %g to %g it rises by ", low > 0 ? ", " : "",
                    r->each_width[low], r->each_width[last]);
        add_change(found, v->mean[last] - v->mean[low], together(v->error[last], v->error[low]));
    }
    ex_text_add(found, "; there is no peak inside the range of widths");
}

static void descent_claim(const results *r, ex_table *table, const char *text, const view *v) {
    const descent d = find_descent(r, v);
    const int spread = !isnan(d.rise_error) && !isnan(d.fall_error);
    ex_text found = {NULL, 0, 0};

    if (d.found) {
        ex_text_add(&found, "from width %g to %g it rises by ", d.low, d.peak);
        add_change(&found, d.rise, d.rise_error);
        ex_text_add(&found, ", then to %g it falls by ", d.end);
        add_change(&found, d.fall, d.fall_error);
        ex_text_add(&found, "; ");
    }
    if (r->widths < 3) {
        ex_text_add(&found, "a peak needs at least three widths");
    } else if (d.found && d.low > r->each_width[0]) {
        ex_text_add(&found, "before, it falls from width %g by ", r->each_width[0]);
        add_change(&found, d.first, d.first_error);
    } else if (d.found) {
        ex_text_add(&found, "before, it does not fall: up to the peak, it is lowest at width %g",
                    d.low);
    } else {
        describe_bend(r, v, &found);
    }
    ex_claim(table, text, found.data,
             r->widths < 3              ? NOT_TESTED
             : d.clear && d.clear_first ? "held"
             : d.clear                  ? "held in part: rise and second fall, but no first fall"
             : !d.found                 ? "did not hold"
             : spread                   ? "undecided: within the spread of the seeds"
                                        : "undecided: one seed has no standard error");
    ex_text_free(&found);
}

static const char *interval_verdict(const prun_interval *interval) {
    return isnan(interval->lower) || isnan(interval->upper) ? NOT_TESTED
           : interval->lower > 0                            ? "held"
           : interval->upper < 0                            ? "did not hold"
           : interval->estimate > 0                         ? "undecided (tendency as claimed)"
                                                            : "undecided (tendency against it)";
}

/* found: what the interval shows, if it is defined. */
static void interval_claim(ex_table *table, const char *text, const char *found,
                           const prun_interval *interval) {
    ex_claim(table, text,
             isnan(interval->lower) ? "undefined: too few models, or all have the same value"
                                    : found,
             interval_verdict(interval));
}

static int tau_claim(results *r, ex_table *table, const char *text, const view *v,
                     const view *target) {
    prun_interval interval;
    char found[200];
    const int status = compare(r, v, NULL, target, 0, HUGE_VAL, &interval);

    snprintf(found, sizeof found, "tau %+.3f, 95 %% interval %+.3f to %+.3f; over seed means %+.3f",
             interval.estimate, interval.lower, interval.upper,
             target == &r->views[V_TEST_LOSS] ? v->mean_loss.tau_a : v->mean_wrong.tau_a);
    interval_claim(table, text, found, &interval);
    return status;
}

/* The claim: tau of a is larger than tau of b. */
static int difference_claim(results *r, ex_table *table, const char *text, const view *a,
                            const view *b) {
    prun_interval interval;
    char found[240];
    const int status = compare(r, a, b->x, &r->views[V_TEST_LOSS], 0, HUGE_VAL, &interval);

    snprintf(found, sizeof found,
             "tau %+.3f against %+.3f: difference %+.3f, 95 %% interval %+.3f to %+.3f",
             a->loss.tau_a, b->loss.tau_a, interval.estimate, interval.lower, interval.upper);
    interval_claim(table, text, found, &interval);
    return status;
}

/* Where the test loss rises with the width, 1 / width ranks the models in the wrong order. Only the
   test loss itself shows where that is. */
static int rise_claim(results *r, ex_table *table, const view *v) {
    const view *loss = &r->views[V_TEST_LOSS];
    const descent d = find_descent(r, loss);
    prun_interval interval;
    char text[200], found[200];
    int status;

    if (!d.found) return 0;
    status = compare(r, v, NULL, loss, d.low, d.peak, &interval);
    snprintf(text, sizeof text,
             "(not in the paper) from width %g to %g, where the test loss rises and 1 / width is "
             "wrong, prunability rises with it",
             d.low, d.peak);
    snprintf(found, sizeof found, "tau %+.3f, 95 %% interval %+.3f to %+.3f", interval.estimate,
             interval.lower, interval.upper);
    interval_claim(table, text, found, &interval);
    return status;
}

/* The best baseline that uses no labels of the test set. */
static const view *best_rival(const results *r) {
    const view *best = NULL;
    int i;

    for (i = V_TRAIN_LOSS; i < r->margins; i++) {
        const view *v = &r->views[i];

        if ((i > V_TRAIN_LOSS && i <= V_TARGETS + 1) || i + 1 == r->margins || isnan(v->loss.tau_b))
            continue;
        if (best == NULL || v->loss.tau_a > best->loss.tau_a) best = v;
    }
    return best;
}

static const view *named_view(const results *r, const char *start) {
    int i;

    for (i = 0; i < r->count; i++)
        if (strncmp(r->views[i].label, start, strlen(start)) == 0) return &r->views[i];
    return NULL;
}

static int claims(results *r, ex_table *table) {
    const int cnn = r->s->set.arch.value == EX_CNN;
    const view *loss = &r->views[V_TEST_LOSS], *v = &r->views[V_TARGETS];
    const view *fitted = &r->views[r->margins], *rival = best_rival(r);
    const view *curvature_view = named_view(r, "N_eff / k (Lanczos");
    char text[200];
    int status = 0;

    ex_table_header(table, "the paper says|this run found|verdict");
    descent_claim(r, table, "the test loss shows double descent over the widths (5.4.2)", loss);
    descent_claim(r, table, "prunability displays a double descent (5.4.2)", v);
    snprintf(text, sizeof text, "prunability is rank correlated with the test loss (%s)",
             cnn ? "5.4.2" : "B.1");
    status |= tau_claim(r, table, text, v, loss);
    snprintf(text, sizeof text, "prunability is rank correlated with the test error (B.1%s)",
             cnn ? ", there for ResNet18" : "");
    status |= tau_claim(r, table, text, v, &r->views[V_TEST_ERROR]);
    if (curvature_view != NULL)
        status |= difference_claim(r, table,
                                   "prunability follows the test loss better than "
                                   "effective dimensionality N_eff / k (5.4.2)",
                                   v, curvature_view);
    snprintf(text, sizeof text,
             "prunability follows the test loss better than every baseline%s; best one here: %s",
             cnn ? " (5.4.2)" : " but margins (implied by B.1)",
             rival != NULL ? rival->label : "none");
    if (rival != NULL) status |= difference_claim(r, table, text, v, rival);
    if (r->fit.n > 0)
        status |= cnn ? difference_claim(r, table, "... and better than margins (5.4.2)", v, fitted)
                      : difference_claim(r, table,
                                         "margins, fitted to the test loss, follow it "
                                         "better than prunability (B.1)",
                                         fitted, v);
    status |= difference_claim(r, table,
                               "(not in the paper) prunability follows the test loss "
                               "better than 1 / width",
                               v, &r->views[r->margins - 1]);
    return status | rise_claim(r, table, v);
}

static void describe_setting(const results *r, FILE *file) {
    const settings *set = &r->s->set;
    ex_text first = {NULL, 0, 0}, second = {NULL, 0, 0};

    describe(r, &first, &second);
    fprintf(file,
            "\n## The question\n\nAs a network grows, its test loss may fall, rise and fall again "
            "(double descent). Which property of the trained network follows the test loss: "
            "prunability, or a count, norm, margin or curvature?\n\n## The setting\n\n%s; %s.\n\n",
            first.data, second.data);
    ex_report_choice(&set->common,
                     "only from the train loss (is the training set fitted well inside the range "
                     "of widths?) and the test loss (does it show a double descent?)",
                     file);
    if (isnan(r->threshold))
        fprintf(file,
                "The mean train loss stays above %g at the largest width: the interpolation "
                "threshold is not in the range.\n\n",
                INTERPOLATED);
    else
        fprintf(file,
                "The interpolation threshold is at %swidth %g: from there on the mean train loss "
                "is below %g.\n\n",
                r->threshold > r->each_width[0] ? "" : "or below ", r->threshold, INTERPOLATED);
    if (r->left_out.length > 0)
        fprintf(file, "Models that diverged are left out: %s.\n\n", r->left_out.data);
    fprintf(file,
            "## The figure\n\n![test loss, prunability and effective dimensionality](figure1.svg)"
            "\n\nAll measures: [%s](%s.svg); losses and errors: [losses](losses.svg).\n\n",
            set->arch.value == EX_CNN ? "figure3" : "figure4",
            set->arch.value == EX_CNN ? "figure3" : "figure4");
    ex_text_free(&first);
    ex_text_free(&second);
}

static int report(results *r, int argc, char **argv) {
    const view *v = &r->views[V_TARGETS];
    ex_table table = {0, 0, 0, NULL};
    ex_text path = {NULL, 0, 0};
    FILE *file = ex_report_open(&r->s->rows, "Double descent", argc, argv, &path);
    int status;

    if (file == NULL) return EX_FAILED;
    describe_setting(r, file);
    fprintf(file, "## The answer\n\n");
    status = claims(r, &table);
    status |= ex_report_table(&r->s->rows, file, &table, "claims");
    fprintf(file,
            "Changes along the widths are means over seeds ± their standard errors. A double "
            "descent \"held\" if the 95 %% intervals (Student's t) of the first fall, the "
            "rise and the second fall are above 0, and held in part without the first one;\n"
            "the peak was chosen to show them best, so this is not a strict test. "
            "Intervals of tau are percentiles of %d bootstrap resamples of the widths, "
            "with all their seeds. The best baseline was chosen on the same models. Verdicts "
            "are not corrected for the number of claims.\n",
            RESAMPLES);
    if (r->fit.n > 0)
        fprintf(file,
                "\nFive statistics of the output margins explain the test loss of %ld models with "
                "R² = %.3f (%.3f in cross-validation).\n",
                (long)r->fit.n, r->fit.r2, r->fit.cv_r2);
    fprintf(file, "\n## Rank correlations\n\n");
    tau_table(r, &table);
    status |= ex_report_table(&r->s->rows, file, &table, "correlations");
    fprintf(file, tau_note, v->loss.standard_error, (long)v->loss.n, v->mean_loss.standard_error,
            (long)v->mean_loss.n);
    fprintf(file, "\n## Means over seeds\n\n");
    width_table(r, &table);
    status |= ex_report_table(&r->s->rows, file, &table, "widths");
    status = ex_finish(status, file, path.data);
    if (status == 0) printf("%s\n", ex_shown(path.data));
    ex_text_free(&path);
    return status;
}

/* ---- program ------------------------------------------------------------------------------- */

/* One option table, a set of defaults for each preset and architecture. */
typedef struct preset {
    const char *widths, *hessian_images, *steps, *probes;
    ex_recipe_preset recipe;
} preset;

#define PAPER_WIDTHS \
    "2,4,6,8,10,12,14,16,18,20,22,24,26,28,30,32,34,36,38,40,42,44,46,48,50,52,54,56,58,60,62,64"

static const preset presets[EX_PRESETS][2] = {
    {{"1,2,3,4,6,8", "64", "30", "1", {"1,2", "25", "32", "0", "0", "0.2", "300", "500", "0"}},
     {"1,2,3,4,6,8", "64", "30", "1", {"1,2", "25", "32", "0", "0", "0.2", "300", "500", "0"}}},
    {{"1,2,3,4,5,6,8,12,16",
      "200",
      "100",
      "1",
      {"1,2,3,4,5,6", "100", "32", "0", "0", "0.2", "2000", "0", "0"}},
     {"1,2,3,4,6,8,12,16",
      "200",
      "60",
      "1",
      {"1,2,3,4,5,6", "20", "32", "0", "0", "0.2", "3000", "0", "0"}}},
    {{"1,2,3,4,5,6,7,8,10,12,16",
      "500",
      "100",
      "1",
      {"1,2,3,4,5,6", "100", "32", "0", "0", "0.2", "4000", "0", "10"}},
     {"1,2,3,4,5,6,8,10,12,16,20,24",
      "500",
      "100",
      "1",
      {"1,2,3,4,5,6,7,8", "20", "32", "0", "0", "0.2", "3000", "0", "10"}}},
    {{PAPER_WIDTHS, "0", "100", "1", {"1,2,3,4,5", "200", "128", "4", "1", "0", "0", "0", "5"}},
     {PAPER_WIDTHS, "0", "100", "1", {"1,2,3,4,5", "200", "128", "4", "1", "0", "0", "0", "5"}}}};

static int parse(void *user, int argc, char **argv) {
    settings *set = &((study *)user)->set;
    const int chosen = ex_preset(argc, argv);
    const int resnet = strcmp(ex_peek(argc, argv, "arch", "cnn"), "resnet18") == 0;
    const preset *d = &presets[chosen][resnet];
    static const char *const directories[2][EX_PRESETS] = {
        {"double_descent_cnn-demo", "double_descent_cnn-mini", "double_descent_cnn-night",
         "double_descent_cnn-full"},
        {"double_descent_resnet18-demo", "double_descent_resnet18-mini",
         "double_descent_resnet18-night", "double_descent_resnet18-full"}};
    const ex_option options[] = {
        EX_STUDY_OPTIONS(&set->common, directories[resnet][chosen]),
        {"arch", EX_CHOICE, &set->arch, "cnn", 0, 0, "network"},
        {"widths", EX_INT_LIST, &set->widths, d->widths, 1, 4096,
         "channels of the first layer (CNN) or stage (ResNet18)"},
        EX_RECIPE_OPTIONS(&set->recipe, &d->recipe),
        {"beta", EX_REAL, &set->beta, "0.1", 1e-9, 1e9, "tolerance on the loss"},
        {"fractions", EX_FRACTIONS, &set->fractions, "dense", 0, 1,
         "kept fractions to try: N: i/N; dense: hundredths to 0.9, then 1 - 10^(-1 - i/10); or a "
         "list"},
        {"repetitions", EX_INT, &set->repetitions, "5", 1, 1e6, "permutations of random pruning"},
        {"draws", EX_INT, &set->draws, "10", 1, 1e6, "draws of weight noise"},
        {"precision", EX_REAL, &set->precision, "0.01", 1e-6, 1, "relative, of noise radii"},
        {"hessian-images", EX_INT, &set->hessian_images, d->hessian_images, 0, EX_MANY,
         "first training images in the Hessian, at most --images; 0: all"},
        {"steps", EX_INT, &set->steps, d->steps, 0, 1e5, "Lanczos steps; 0: no Hessian"},
        {"probes", EX_INT, &set->probes, d->probes, 1, 1e4, "Lanczos runs per model"},
        {"measures", EX_CHOICE, &set->measures, "study", 0, 0,
         "those of this study; all measures, and the disagreement of seeds"},
        {"z", EX_REAL_LIST, &set->z, "1,0.0025575447570332483,0.0001", 1e-12, 1e12,
         "z of N_eff; the defaults: Maddox et al.'s, that of their curves, the weight decay"},
        EX_KEEP_OPTION(&set->recipe, &d->recipe)};
    const ex_program program = {
        "double_descent",
        "",
        "Trains networks of many widths and shows how test loss and measures depend on the width.",
        options,
        sizeof options / sizeof *options,
        0,
        0};
    int status;

    set->arch.names = "cnn|resnet18";
    set->measures.names = "study|all";
    status = ex_parse(&program, argc, argv, NULL);
    if (status < 0) status = ex_study_check(&set->common);
    if (status < 0 && set->z.count > MAX_Z) {
        ex_error("--z: at most %d values", MAX_Z);
        return EX_USAGE;
    }
    if (status < 0) status = ex_recipe_check(&set->recipe, &set->common);
    return status;
}

static int by_size(const void *left, const void *right) {
    const int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;

    return (a > b) - (a < b);
}

/* Prints the cost of the study, estimated from a first step of its widest network. */
static int announce(void *user) {
    const study *s = (const study *)user;
    const settings *set = &s->set;
    const int family = set->arch.value;
    const int64_t widest = set->widths.value[set->widths.count - 1];
    const double weights = (family == EX_CNN ? 378.0 : 2724.0) * (double)widest * (double)widest;
    const prun_arch arch = ex_arch(family, widest, 0, &s->data.train);
    double seconds = 0, bytes = 0, disk = 1200.0 * (double)s->rows.count;
    ex_text networks = {NULL, 0, 0};
    int status;

    if (!ex_study_trains(&s->rows)) return -1;
    ex_text_add(&networks, "%s of widths ", ex_arch_labels[family]);
    ex_list_text(&set->widths, &networks);
    ex_recipe_announce(&set->recipe, &s->data, networks.data);
    ex_text_free(&networks);
    status = ex_probe(&arch, &s->data.train, set->recipe.batch, &seconds, &bytes);
    if (status != 0) return status;
    bytes += 4 * weights * (double)set->steps; /* Lanczos keeps a vector per step */
    if (set->recipe.save_every > 0)
        disk += 8 * weights * ex_jobs(&set->common); /* weights and momentum */
    seconds /= 3 * ex_forward_cost(family, widest);
    return ex_study_cost(&s->rows, s->rows.left * seconds, bytes, disk);
}

static int load(void *user, prun_context *context, const char *program) {
    study *s = (study *)user;
    const int status = ex_recipe_load(&s->set.recipe, context, program, &s->data);

    return status == 0 && s->set.steps > 0 ? ex_recipe_hessian(s->set.hessian_images, &s->data)
                                           : status;
}

static int evaluate_all(void *user, int argc, char **argv) {
    static results r;
    study *s = (study *)user;
    int status;

    r.s = s;
    status = evaluate(&r, s->rows.path.data);
    if (status == 0) {
        print_tables(&r);
        status = draw_all(&r);
    }
    if (status == 0) status = report(&r, argc, argv);
    free_results(&r);
    return status;
}

static int set_up(void *user) {
    study *s = (study *)user;

    qsort(s->set.widths.value, (size_t)s->set.widths.count, sizeof *s->set.widths.value, by_size);
    name_columns(s);
    s->rows.set = &s->set.common;
    s->rows.count = (int64_t)s->set.widths.count * s->set.recipe.seeds.count;
    s->rows.names = s->names.data;
    s->rows.keys = KEYS;
    s->rows.save_every = s->set.recipe.save_every;
    return 0;
}

static void clear(void *user) {
    study *s = (study *)user;

    ex_text_free(&s->names);
    ex_free_data(&s->data);
}

int main(int argc, char **argv) {
    static const ex_study_steps steps = {parse,     load,       set_up,       announce, model_key,
                                         run_model, study_work, evaluate_all, clear};
    static study s;

    return ex_study_main(&s.rows, &steps, &s, argc, argv);
}
