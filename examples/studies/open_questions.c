/* open_questions.c - two questions that the paper leaves open

   Does the direction of pruning lie in the span of the leading eigenvectors of the Hessian
   (Conclusion)? Computes the share of its squared length in the span of the first few eigenvectors,
   and compares it with that of noise on the same weights and that of a random direction.

   Does prunability suffer from Goodhart's law (section 4, desideratum 2)? Networks are trained with
   a growing push towards prunability: dropout of the smallest weights, or a penalty on |w|. Does
   prunability fall, and does the generalization gap fall with it, more than with dropout of
   activations or weight decay at the same train loss?

       cc -O2 -fopenmp examples/studies/open_questions.c -lm -o open_questions && ./open_questions
       ./open_questions --night                    more and larger networks, four hours
*/
#include "figure.h"
#include "recipe.h"
#define PRUNABILITY_STATIC /* static functions: unused ones are left out of the program */
#define PRUNABILITY_IMPLEMENTATION
#include "../../prunability.h"

/* How a network is trained. */
enum { PLAIN, TARGETED, SPARSITY, DROPOUT, DECAY, METHODS };
static const char *const method_names[METHODS] = {"plain", "targeted", "sparsity", "dropout",
                                                  "decay"};
static const char *const method_labels[METHODS] = {
    "plain training", "dropout of the smallest weights", "penalty on |w|", "dropout of activations",
    "weight decay"};

/* Spans of the first eigenvectors. */
#define SPANS 4
static const int span_sizes[SPANS] = {1, 5, 10, 50};
#define EIGENVECTORS 50

#define DEPTH 3 /* blocks of the networks */

/* Results that every model has. */
enum {
    TRAIN_LOSS,
    TEST_LOSS,
    TRAIN_ERROR,
    TEST_ERROR,
    GAP,
    PRUNABILITY,
    LOWER, /* 95 % interval of prunability over the training samples */
    UPPER,
    PRUNABILITY_RANDOM,
    WEIGHTS,
    EIGENVALUE, /* the largest of the eigenvalues computed, and the smallest */
    LAST_EIGENVALUE,
    RESIDUAL, /* largest |H v - e v| / |e| of them: small if Lanczos has converged */
    OWN_COLUMNS
};
static const char *const own_names[OWN_COLUMNS] = {
    "train_loss",   "test_loss",         "train_error",       "test_error",         "gap",
    "prunability",  "prunability_lower", "prunability_upper", "prunability_random", "weights",
    "eigenvalue_1", "eigenvalue_50",     "largest_residual"};

typedef struct settings {
    ex_study_settings common;
    ex_recipe recipe;
    ex_ints widths;
    ex_reals strength[METHODS]; /* of each method, ascending; plain training has none */
    ex_fractions fractions;     /* of the search for prunability */
    ex_fractions places;        /* kept fractions of the directions, without 0 and 1 */
    int64_t repetitions, resamples, hessian_images, steps, width;
    double share; /* of the weights that targeted dropout may drop */
} settings;

typedef struct study {
    settings set;
    ex_data data;
    ex_study rows;
    ex_text names;
    int places, columns;
} study;

/* Identifies a model: its training and its network. */
typedef struct identity {
    int method;
    double strength;
    int64_t width, seed;
} identity;

/* Plain models of every width come first, then each method at each of its strengths. */
static identity identify(const study *s, int64_t number) {
    const settings *set = &s->set;
    int64_t place = number / set->recipe.seeds.count;
    identity m = {PLAIN, 0, 0, 0};

    m.seed = set->recipe.seeds.value[number % set->recipe.seeds.count];
    m.width = set->width;
    if (place < set->widths.count) {
        m.width = set->widths.value[place];
        return m;
    }
    place -= set->widths.count;
    for (m.method = TARGETED; place >= set->strength[m.method].count; m.method++)
        place -= set->strength[m.method].count;
    m.strength = set->strength[m.method].value[place];
    return m;
}

/* ---- one model ----------------------------------------------------------------------------- */

typedef struct model {
    study *s;
    identity is;
    prun_context context;
    prun_net *net;
    prun_objective objective;
    double *value; /* per column */
    double train_seconds, measure_seconds;
} model;

static double epoch_work(const study *s, const identity *m) {
    return 3 * ex_forward_cost(EX_NIN, m->width) * (double)s->data.train.count;
}

static double study_work(void *user, int64_t number) {
    const study *s = (const study *)user;
    const identity m = identify(s, number);
    const double searches = 10 * (2 + (double)s->set.repetitions);
    const double products = m.method == PLAIN ? 8 * (double)s->set.steps : 0;
    const double hessian =
        s->set.hessian_images > 0 ? (double)s->set.hessian_images : (double)s->data.train.count;

    return epoch_work(s, &m) * (double)s->set.recipe.epochs +
           ex_forward_cost(EX_NIN, m.width) *
               (searches * (double)s->data.train.count + products * hessian);
}

/* State of targeted dropout and the penalty, in addition to the trainer. */
typedef struct push {
    const prun_tensor *tensors; /* of the net; weights are flagged */
    int64_t count, weights;
    float *kept, *dropped; /* weights before the drop of a step, and after it */
    float threshold;       /* |w| up to which targeted dropout may drop */
    uint64_t step;
} push;

#define TARGET_STREAM 0x746172676574ULL

static int by_size(const void *left, const void *right) {
    const float a = *(const float *)left, b = *(const float *)right;

    return (a > b) - (a < b);
}

/* The |w| below which the given share of all weights lies. */
static void find_threshold(push *p, double share) {
    int64_t t, i, n = 0;

    for (t = 0; t < p->count; t++)
        if (p->tensors[t].flags & PRUN_TENSOR_WEIGHT)
            for (i = 0; i < prun_tensor_size(&p->tensors[t]); i++)
                p->kept[n++] = fabsf(p->tensors[t].data[i]);
    qsort(p->kept, (size_t)n, sizeof *p->kept, by_size);
    i = (int64_t)(share * (double)n);
    p->threshold = i > 0 ? p->kept[i < n ? i - 1 : n - 1] : 0;
}

/* Sets some of the smallest weights to 0 for the next step, each with the same probability. */
static void drop_weights(push *p, uint64_t seed, double probability) {
    int64_t t, i, n = 0;

    for (t = 0; t < p->count; t++) {
        if (!(p->tensors[t].flags & PRUN_TENSOR_WEIGHT)) continue;
        for (i = 0; i < prun_tensor_size(&p->tensors[t]); i++, n++) {
            float *w = &p->tensors[t].data[i];

            p->kept[n] = *w;
            if (fabsf(*w) <= p->threshold &&
                prun_random_uniform(seed, TARGET_STREAM + p->step, (uint64_t)n) < probability)
                *w = 0;
            p->dropped[n] = *w;
        }
    }
}

/* Applies the change made by the step to the weights from before the drop. */
static void restore_weights(push *p) {
    int64_t t, i, n = 0;

    for (t = 0; t < p->count; t++)
        if (p->tensors[t].flags & PRUN_TENSOR_WEIGHT)
            for (i = 0; i < prun_tensor_size(&p->tensors[t]); i++, n++)
                p->tensors[t].data[i] = p->kept[n] + (p->tensors[t].data[i] - p->dropped[n]);
}

/* The proximal step of a penalty on |w|: every weight moves towards 0, and stops there. */
static void shrink_weights(const push *p, float by) {
    int64_t t, i;

    for (t = 0; t < p->count; t++)
        if (p->tensors[t].flags & PRUN_TENSOR_WEIGHT)
            for (i = 0; i < prun_tensor_size(&p->tensors[t]); i++) {
                float *w = &p->tensors[t].data[i];

                *w = *w > by ? *w - by : *w < -by ? *w + by : 0;
            }
}

#define ORDER_STREAM 0x6f72646572ULL

/* One epoch of steps, each with the push of the model's method. */
static prun_status train_epoch(model *m, prun_trainer *trainer, push *p, int64_t *order,
                               double rate) {
    const study *s = m->s;
    const int64_t count = s->data.train.count, batch = s->set.recipe.batch;
    prun_status status = PRUN_OK;
    int64_t at;

    for (at = 0; at < count && status == PRUN_OK; at += batch) {
        if (m->is.method == TARGETED) drop_weights(p, (uint64_t)m->is.seed, m->is.strength);
        status = prun_trainer_step(trainer, order + at, batch < count - at ? batch : count - at,
                                   rate, NULL, NULL);
        if (m->is.method == TARGETED) restore_weights(p);
        if (m->is.method == SPARSITY) shrink_weights(p, (float)(rate * m->is.strength));
        p->step++;
    }
    return status;
}

static prun_train_options recipe_of(const model *m) {
    prun_train_options options = ex_recipe_training(&m->s->set.recipe, m->is.seed);

    options.decay = PRUN_DECAY_WEIGHTS;
    if (m->is.method == DECAY) options.weight_decay = m->is.strength;
    return options;
}

static prun_status train(model *m) {
    study *s = m->s;
    const prun_train_options options = recipe_of(m);
    const size_t weights = (size_t)prun_net_weight_count(m->net);
    const double work = epoch_work(s, &m->is);
    int64_t *order = (int64_t *)ex_allocate((size_t)s->data.train.count, sizeof *order);
    prun_trainer *trainer = NULL;
    int64_t epoch;
    prun_status status = prun_trainer_create(m->net, &s->data.train, &options, &trainer);
    push p;

    memset(&p, 0, sizeof p);
    p.tensors = prun_net_trained_tensors(m->net, &p.count);
    p.kept = (float *)ex_allocate(2 * weights, sizeof *p.kept);
    p.dropped = p.kept + weights;
    for (epoch = 0; epoch < options.epochs && status == PRUN_OK; epoch++) {
        if (ex__stopped(&s->rows.stop)) status = PRUN_ERR_CANCELLED;
        if (status != PRUN_OK) break;
        prun_random_permutation((uint64_t)m->is.seed, ORDER_STREAM + (uint64_t)epoch,
                                s->data.train.count, order);
        if (m->is.method == TARGETED) find_threshold(&p, s->set.share);
        status = train_epoch(m, trainer, &p, order, prun_learning_rate(&options, epoch));
        ex_progress_add(&s->rows.progress, work);
    }
    prun_trainer_free(trainer);
    free(p.kept);
    free(order);
    return status;
}

static prun_status search(model *m, int random) {
    const settings *set = &m->s->set;
    prun_prune_options options;
    prun_prunability found;
    prun_status status;

    memset(&options, 0, sizeof options);
    options.method = random ? PRUN_PRUNE_RANDOM : PRUN_PRUNE_MAGNITUDE;
    options.fractions = set->fractions.value;
    options.fraction_count = set->fractions.count;
    options.repetitions = set->repetitions;
    options.resamples = random ? 0 : set->resamples;
    options.seed = (uint64_t)m->is.seed;
    status = prun_prunability_search(&m->objective, &options, &found);
    if (status != PRUN_OK) return status;
    m->value[random ? PRUNABILITY_RANDOM : PRUNABILITY] = found.answer[0].kept_fraction;
    m->value[WEIGHTS] = (double)found.prunable;
    if (random) return PRUN_OK;
    m->value[LOWER] = found.answer[0].lower;
    m->value[UPPER] = found.answer[0].upper;
    return PRUN_OK;
}

/* ---- directions ---------------------------------------------------------------------------- */

/* Column of the share in a span at a kept fraction; noise 1: that of noise on the same weights. */
static int share_column(int place, int span, int noise) {
    return OWN_COLUMNS + (place * SPANS + span) * 2 + noise;
}

/* Copies all weights into one array. */
static void gather(const prun_objective *o, float *to) {
    int64_t t;

    for (t = 0; t < o->tensor_count; t++)
        if (o->tensors[t].flags & PRUN_TENSOR_WEIGHT) {
            const size_t size = (size_t)prun_tensor_size(&o->tensors[t]);

            memcpy(to, o->tensors[t].data, size * sizeof *to);
            to += size;
        }
}

/* The weights that pruning removes at a kept fraction. Restores the net bit for bit. */
static prun_status pruned_away(const prun_objective *o, double kept, const float *weights,
                               float *away, int64_t k) {
    const prun_status status = prun_prune(o, kept, NULL, NULL);
    const float *from = weights;
    int64_t i, t;

    gather(o, away);
    for (i = 0; i < k; i++) away[i] = weights[i] - away[i];
    for (t = 0; t < o->tensor_count; t++)
        if (o->tensors[t].flags & PRUN_TENSOR_WEIGHT) {
            const size_t size = (size_t)prun_tensor_size(&o->tensors[t]);

            memcpy(o->tensors[t].data, from, size * sizeof *from);
            from += size;
        }
    return status;
}

/* Shares of the squared length of one direction in the spans. For noise of equal variance on every
   pruned weight, the expected share is the sum of the eigenvectors' squares on those weights,
   divided by their number. */
static void fill_shares(model *m, int place, const float *away, const float *vectors, int64_t k) {
    double length = 0, inside = 0, noise = 0, support = 0;
    int64_t i;
    int e, span = 0;

    for (i = 0; i < k; i++) {
        length += (double)away[i] * away[i];
        support += away[i] < 0 || away[i] > 0;
    }
    for (e = 0; e < EIGENVECTORS && span < SPANS; e++) {
        const float *v = vectors + e * k;
        double product = 0, squares = 0;

        for (i = 0; i < k; i++) {
            product += (double)away[i] * v[i];
            if (away[i] < 0 || away[i] > 0) squares += (double)v[i] * v[i];
        }
        inside += product * product / length;
        noise += squares / support;
        if (e + 1 != span_sizes[span]) continue;
        m->value[share_column(place, span, 0)] = inside;
        m->value[share_column(place, span, 1)] = noise;
        span++;
    }
}

/* Computes the Hessian's leading eigenvectors and the shares of the directions of pruning. */
static prun_status directions(model *m) {
    const settings *set = &m->s->set;
    const int64_t k = prun_net_weight_count(m->net);
    float *vectors = (float *)ex_allocate((size_t)(k * (EIGENVECTORS + 2)), sizeof *vectors);
    float *weights = vectors + EIGENVECTORS * k, *away = weights + k;
    double values[EIGENVECTORS], residuals[EIGENVECTORS];
    prun_hessian_options options;
    prun_status status;
    int place;

    memset(&options, 0, sizeof options);
    options.samples = set->hessian_images;
    options.steps = set->steps;
    options.seed = (uint64_t)m->is.seed;
    options.progress = ex_progress_redraw;
    options.user = &m->s->rows.progress;
    status =
        prun_hessian_eigenpairs(&m->objective, EIGENVECTORS, &options, values, residuals, vectors);
    if (status == PRUN_OK) {
        m->value[EIGENVALUE] = values[0];
        m->value[LAST_EIGENVALUE] = values[EIGENVECTORS - 1];
        m->value[RESIDUAL] = 0;
        for (place = 0; place < EIGENVECTORS; place++) {
            const double one = residuals[place] / fabs(values[place]);

            m->value[RESIDUAL] = one > m->value[RESIDUAL] ? one : m->value[RESIDUAL];
        }
        gather(&m->objective, weights);
    }
    for (place = 0; place < m->s->places && status == PRUN_OK; place++) {
        status = pruned_away(&m->objective, set->places.value[place], weights, away, k);
        if (status == PRUN_OK) fill_shares(m, place, away, vectors, k);
    }
    free(vectors);
    return status;
}

static prun_status measure(model *m) {
    const study *s = m->s;
    double *v = m->value;
    prun_status status = ex_evaluate(m->net, &s->data.train, &v[TRAIN_LOSS], &v[TRAIN_ERROR]);

    if (status == PRUN_OK)
        status = ex_evaluate(m->net, &s->data.test, &v[TEST_LOSS], &v[TEST_ERROR]);
    v[GAP] = floor((v[TEST_ERROR] - v[TRAIN_ERROR]) * 1e12 + 0.5) / 1e12;
    if (status == PRUN_OK) status = prun_net_objective(m->net, &s->data.train, &m->objective);
    if (status == PRUN_OK) status = search(m, 0);
    if (status == PRUN_OK) status = search(m, 1);
    if (status == PRUN_OK && m->is.method == PLAIN && s->places > 0) status = directions(m);
    return status;
}

/* ---- rows ---------------------------------------------------------------------------------- */

#define KEYS (EX_RECIPE_KEYS + 9)
#define KEY_NAMES \
    EX_RECIPE_KEY_NAMES \
    ",method,strength,share,fractions,places,repetitions,resamples,hessian_images,steps"

static void model_key(void *user, int64_t number, ex_csv *row) {
    const study *s = (const study *)user;
    const settings *set = &s->set;
    const identity m = identify(s, number);

    ex_recipe_key(&set->recipe, &s->data, EX_NIN, m.width, m.seed, row);
    ex_csv_text(row, method_names[m.method]);
    ex_csv_number(row, m.strength);
    ex_csv_number(row, set->share);
    ex_csv_list(row, set->fractions.text);
    ex_csv_list(row, set->places.text);
    ex_csv_number(row, (double)set->repetitions);
    ex_csv_number(row, (double)set->resamples);
    ex_csv_number(row, (double)set->hessian_images);
    ex_csv_number(row, (double)set->steps);
}

/* Name of a column of results. text: 64 bytes. */
static const char *column_name(const study *s, int column, char *text) {
    const int rest = column - OWN_COLUMNS;

    if (rest < 0) return own_names[column];
    snprintf(text, 64, "%s_%d_%.6g", rest % 2 ? "noise" : "share", span_sizes[rest / 2 % SPANS],
             s->set.places.value[rest / 2 / SPANS]);
    return text;
}

static void fill_row(const model *m, prun_status status, ex_csv *row) {
    int k;

    for (k = 0; k < m->s->columns; k++)
        ex_csv_number(row, status == PRUN_OK ? m->value[k] : (double)NAN);
    ex_outcome(row, &m->context, status, m->train_seconds, m->measure_seconds);
}

/* Each model has its own context and is independent of the others. It uses one thread, because the
   models already share the cores. */
static int run_model(void *user, int64_t number, ex_csv *row) {
    study *s = (study *)user;
    const double start = ex_seconds();
    prun_arch arch;
    prun_status status;
    model m;
    int k;

    memset(&m, 0, sizeof m);
    m.value = (double *)ex_allocate((size_t)s->columns, sizeof *m.value);
    for (k = 0; k < s->columns; k++) m.value[k] = (double)NAN;
    m.s = s;
    m.is = identify(s, number);
    m.context.threads = 1;
    arch = ex_arch(EX_NIN, m.is.width, m.is.seed, &s->data.train);
    arch.depth = DEPTH;
    arch.dropout = m.is.method == DROPOUT ? m.is.strength : 0;
    status = prun_net_create_family(&m.context, &arch, &m.net);
    if (status == PRUN_OK) status = train(&m);
    m.train_seconds = ex_seconds() - start;
    if (status == PRUN_OK) status = measure(&m);
    m.measure_seconds = ex_seconds() - start - m.train_seconds;
    ex_progress_add(&s->rows.progress,
                    study_work(s, number) - epoch_work(s, &m.is) * (double)s->set.recipe.epochs);
    /* Divergence is a result. After any other failure there is no row, and a rerun tries again. */
    if (status == PRUN_OK || status == PRUN_ERR_NONFINITE) fill_row(&m, status, row);
    else if (status != PRUN_ERR_CANCELLED)
        ex_error("%s %g, width %ld, seed %ld: %s", method_names[m.is.method], m.is.strength,
                 (long)m.is.width, (long)m.is.seed, ex_reason(&m.context, status));
    free(m.value);
    prun_net_free(m.net);
    return status != PRUN_OK && status != PRUN_ERR_NONFINITE;
}

/* ---- evaluation ---------------------------------------------------------------------------- */

/* A mean over the seeds that have a value, their number, and half the width of its 95 % interval
   (Student's t); NaN without seeds, and for the interval without two of them. */
typedef struct average {
    double mean, half;
    int64_t n;
} average;

static average average_of(const double *x, int64_t n) {
    average a = {0, (double)NAN, 0};
    double squares = 0;
    int64_t i;

    for (i = 0; i < n; i++) {
        if (!isfinite(x[i])) continue;
        a.mean += x[i];
        a.n++;
    }
    a.mean = a.n > 0 ? a.mean / (double)a.n : (double)NAN;
    for (i = 0; i < n; i++)
        if (isfinite(x[i])) squares += (x[i] - a.mean) * (x[i] - a.mean);
    if (a.n > 1) a.half = ex_student(a.n - 1) * sqrt(squares / (double)(a.n - 1) / (double)a.n);
    return a;
}

/* Rows are in the order of the models. */
typedef struct results {
    const study *s;
    prun_context context;
    prun_table table;
    int64_t n, seeds, left_out;
    const char **why; /* per model: why it is left out, or NULL */
    char too_large[80];
} results;

static double table_value(const results *r, int64_t row, int column) {
    char text[64];
    const int64_t k = prun_table_find(&r->table, column_name(r->s, column, text));

    return r->table.values[k * r->table.rows + row];
}

/* A result of a model; NaN if there is none, or the model is left out. */
static double cell(const results *r, int64_t row, int column) {
    return r->why[row] != NULL ? (double)NAN : table_value(r, row, column);
}

/* Number of the first model of a method at one of its strengths; its seeds follow. */
static int64_t first_model(const study *s, int method, int strength) {
    int64_t place = s->set.widths.count;
    int k;

    if (method == PLAIN) { /* of the width that all methods share */
        for (place = 0; s->set.widths.value[place] != s->set.width;) place++;
        return place * s->set.recipe.seeds.count;
    }
    for (k = TARGETED; k < method; k++) place += s->set.strength[k].count;
    return (place + strength) * s->set.recipe.seeds.count;
}

static int strengths(const study *s, int method) {
    return method == PLAIN ? 1 : s->set.strength[method].count;
}

static double strength_value(const study *s, int method, int strength) {
    return method == PLAIN ? 0 : s->set.strength[method].value[strength];
}

/* ---- models that diverged ------------------------------------------------------------------ */

/* Leaves out the models that diverged. */
static void leave_out(results *r) {
    const double limit = ex_most_loss(&r->s->data);
    const int64_t status = prun_table_find(&r->table, "status");
    int64_t i;

    r->why = (const char **)ex_allocate((size_t)r->n, sizeof *r->why);
    snprintf(r->too_large, sizeof r->too_large, "train loss above %.3g, %g times that of guessing",
             limit, EX_MOST_LOSS);
    for (i = 0; i < r->n; i++) {
        const char *outcome = r->table.cells[i * r->table.columns + status];
        const double loss = table_value(r, i, TRAIN_LOSS);

        if (strcmp(outcome, "ok") != 0) r->why[i] = outcome;
        else if (!(loss <= limit)) r->why[i] = isnan(loss) ? "no train loss" : r->too_large;
        r->left_out += r->why[i] != NULL;
    }
}

/* Number of models left of `count` in a row. */
static int64_t models_left(const results *r, int64_t first, int64_t count) {
    int64_t i, left = 0;

    for (i = first; i < first + count; i++) left += r->why[i] == NULL;
    return left;
}

/* Number of models left of a method at one of its strengths. */
static int64_t seeds_left(const results *r, int method, int strength) {
    return models_left(r, first_model(r->s, method, strength), r->seeds);
}

/* Number of models left of a method at all of its strengths. */
static int64_t method_left(const results *r, int method) {
    return models_left(r, first_model(r->s, method, 0), r->seeds * strengths(r->s, method));
}

/* Adds the seeds of one training and width that are left out for the same reason as seed i. */
static void add_seeds_like(const results *r, int64_t first, int64_t i, ex_text *text) {
    const char *why = r->why[first + i];
    ex_text list = {NULL, 0, 0};
    int64_t k, count = 0;

    for (k = i; k < r->seeds; k++)
        if (r->why[first + k] != NULL && strcmp(r->why[first + k], why) == 0)
            ex_text_add(&list, "%s%ld", count++ > 0 ? ", " : "",
                        (long)r->s->set.recipe.seeds.value[k]);
    ex_text_add(text, "seed%s %s: ", ex_plural(count), list.data);
    ex_text_shown(text, why);
    ex_text_add(text, "\n");
    ex_text_free(&list);
}

/* Adds a line for each training, width and reason, such as "- weight decay, strength 0.1, width 4,
   seeds 1, 2: ...". */
static void add_left_out(const results *r, ex_text *text) {
    int64_t first, i, k;

    for (first = 0; first < r->n; first += r->seeds)
        for (i = 0; i < r->seeds; i++) {
            const char *why = r->why[first + i];
            const identity m = identify(r->s, first + i);

            for (k = 0; k < i; k++)
                if (r->why[first + k] != NULL && why != NULL && strcmp(r->why[first + k], why) == 0)
                    break;
            if (why == NULL || k < i) continue;
            ex_text_add(text, "- %s", method_labels[m.method]);
            if (m.method != PLAIN) ex_text_add(text, ", strength %g", m.strength);
            ex_text_add(text, ", width %ld, ", (long)m.width);
            add_seeds_like(r, first, i, text);
        }
}

/* Says on the screen and in the report which models are left out, and why. */
static void report_left_out(const results *r, FILE *file) {
    ex_text text = {NULL, 0, 0};

    if (r->left_out == 0) return;
    ex_text_add(&text, "%ld of %ld models diverged and %s left out of what follows:\n\n",
                (long)r->left_out, (long)r->n, r->left_out == 1 ? "is" : "are");
    add_left_out(r, &text);
    if (r->left_out < r->n)
        ex_text_add(&text, "\nMeans and intervals are over the seeds that are left.\n");
    printf("\n%s", text.data);
    fprintf(file, "## Models left out\n\n%s\n", text.data);
    ex_text_free(&text);
}

/* For captions, after the number of seeds. */
static const char *without_diverged(const results *r) {
    return r->left_out > 0 ? ", without models that diverged" : "";
}

/* ---- text of results ----------------------------------------------------------------------- */

/* Adds "+0.012 ± 0.003", without the interval if there is none, and with the number of seeds if
   some have no value; "-" if none has. */
static void add_change(const results *r, const average *a, int digits, ex_text *text) {
    if (a->n == 0) {
        ex_text_add(text, "-");
        return;
    }
    ex_text_add(text, "%+.*f", digits, a->mean);
    if (!isnan(a->half)) ex_text_add(text, " ± %.*f", digits, a->half);
    if (a->n < r->seeds) ex_text_add(text, " (%ld of %ld seeds)", (long)a->n, (long)r->seeds);
}

#define NO_INTERVAL "an interval needs results of two seeds"

static const char *falls(const average *a) {
    return isnan(a->half)       ? "not tested"
           : a->mean < -a->half ? "held"
           : a->mean > a->half  ? "did not hold"
                                : "undecided";
}

/* ---- the direction of pruning -------------------------------------------------------------- */

/* Logarithm of (share of pruning / share of noise) for the models of one width. */
static average excess_of(const results *r, int width, int place, int span, average *pruning,
                         average *noise) {
    double x[3][EX_MAX_LIST];
    int64_t i;

    for (i = 0; i < r->seeds; i++) {
        const int64_t row = width * r->seeds + i;

        x[0][i] = cell(r, row, share_column(place, span, 0));
        x[1][i] = cell(r, row, share_column(place, span, 1));
        x[2][i] = log(x[0][i] / x[1][i]);
    }
    *pruning = average_of(x[0], r->seeds);
    *noise = average_of(x[1], r->seeds);
    return average_of(x[2], r->seeds);
}

/* Share of a random direction. All seeds of a width have the same weights, so any model will do. */
static double chance(const results *r, int width, int span) {
    double weights = (double)NAN;
    int64_t i;

    for (i = 0; i < r->seeds && isnan(weights); i++)
        weights = cell(r, width * r->seeds + i, WEIGHTS);
    return span_sizes[span] / weights;
}

/* Rows for span number `smallest` and all larger ones. */
static void span_table(const results *r, int smallest, ex_table *table) {
    average pruning, noise;
    int w, place, span;

    ex_table_header(table, "width|kept|eigenvectors|seeds|share of pruning|±|share of noise|±|"
                           "chance|pruning / noise|lower|upper");
    for (w = 0; w < r->s->set.widths.count; w++)
        for (place = r->s->places; place-- > 0;)
            for (span = smallest; span < SPANS; span++) {
                const average ratio = excess_of(r, w, place, span, &pruning, &noise);

                ex_table_cell(table, "%ld", (long)r->s->set.widths.value[w]);
                ex_table_cell(table, "%.6g", r->s->set.places.value[place]);
                ex_table_cell(table, "%d", span_sizes[span]);
                ex_table_cell(table, "%ld", (long)pruning.n);
                ex_table_finite(table, "%.3g", pruning.mean);
                ex_table_finite(table, "%.2g", pruning.half);
                ex_table_finite(table, "%.3g", noise.mean);
                ex_table_finite(table, "%.2g", noise.half);
                ex_table_finite(table, "%.3g", chance(r, w, span));
                ex_table_finite(table, "%.3g", exp(ratio.mean));
                ex_table_finite(table, "%.3g", exp(ratio.mean - ratio.half));
                ex_table_finite(table, "%.3g", exp(ratio.mean + ratio.half));
            }
}

/* A panel per width: shares along the kept fraction, for the first 10 and 50 eigenvectors. */
static int draw_spans(const results *r, const char *first) {
    static const int drawn[2] = {2, SPANS - 1};
    static const char *const labels[2][3] = {
        {"pruning, first 10", "noise, first 10", "chance, first 10"},
        {"pruning, first 50", "noise, first 50", "chance, first 50"}};
    const int widths = r->s->set.widths.count, n = r->s->places;
    double *room = (double *)ex_allocate((size_t)(widths * 12 * n), sizeof *room);
    ex_series *series = (ex_series *)ex_allocate((size_t)(widths * 6), sizeof *series);
    ex_plot *plots = (ex_plot *)ex_allocate((size_t)widths, sizeof *plots);
    char(*titles)[80] = (char(*)[80])ex_allocate((size_t)widths, sizeof *titles);
    ex_text second = {NULL, 0, 0};
    int w, d, k, place, status;

    for (w = 0; w < widths; w++) {
        for (d = 0; d < 2; d++)
            for (k = 0; k < 3; k++) {
                ex_series *one = &series[6 * w + 3 * d + k];
                double *y = room + (12 * w + 6 * d + 2 * k) * n;

                for (place = 0; place < n; place++) {
                    average both[2];

                    excess_of(r, w, place, drawn[d], &both[0], &both[1]);
                    y[place] = k < 2 ? both[k].mean : chance(r, w, drawn[d]);
                    y[n + place] = k < 2 ? both[k].half : (double)NAN;
                }
                one->name = w == widths - 1 ? labels[d][k] : NULL;
                one->x = r->s->set.places.value;
                one->y = y;
                one->error = k < 2 ? y + n : NULL;
                one->n = n;
                one->line = 1;
                one->dashed = d == 0;
                one->colour = k == 2 ? 7 : k;
            }
        snprintf(titles[w], sizeof titles[w], "NiN, width %ld", (long)r->s->set.widths.value[w]);
        plots[w].title = titles[w];
        plots[w].x_label = "kept fraction";
        plots[w].y_label = "share of the squared length (log scale)";
        plots[w].log_y = 1;
        plots[w].series = series + 6 * w;
        plots[w].count = 6;
    }
    if (r->seeds > 1)
        ex_text_add(&second,
                    "means over %ld seeds%s; bands: 95 %% intervals (Student's t), cut where they "
                    "reach 0",
                    (long)r->seeds, without_diverged(r));
    else ex_text_add(&second, "one seed%s", without_diverged(r));
    status = ex_plots_write(r->s->set.common.out, "span", first, second.data, plots, widths,
                            widths < 2 ? widths : 2, 560, 340);
    ex_text_free(&second);
    free(room);
    free(series);
    free(plots);
    free(titles);
    return status;
}

/* What all widths and kept fractions show for the first 50 eigenvectors. */
typedef struct span_summary {
    double lowest, highest;   /* mean share of pruning */
    int tested;               /* how many have such a mean */
    int above, within, below; /* how many have more, as much and less of it than noise */
    double most_kept;         /* largest kept fraction with more */
} span_summary;

static span_summary summarize_spans(const results *r) {
    span_summary all = {HUGE_VAL, 0, 0, 0, 0, 0, 0};
    int w, place;

    for (w = 0; w < r->s->set.widths.count; w++)
        for (place = 0; place < r->s->places; place++) {
            const double kept = r->s->set.places.value[place];
            average pruning, noise;
            const average ratio = excess_of(r, w, place, SPANS - 1, &pruning, &noise);

            if (pruning.n > 0) {
                all.lowest = pruning.mean < all.lowest ? pruning.mean : all.lowest;
                all.highest = pruning.mean > all.highest ? pruning.mean : all.highest;
                all.tested++;
            }
            if (isnan(ratio.half)) continue;
            if (ratio.mean > ratio.half && kept > all.most_kept) all.most_kept = kept;
            all.above += ratio.mean > ratio.half;
            all.below += ratio.mean < -ratio.half;
            all.within += !(ratio.mean > ratio.half) && !(ratio.mean < -ratio.half);
        }
    return all;
}

/* Why no width and kept fraction has a share. */
static const char *why_no_share(const results *r) {
    if (r->s->places == 0) return "no kept fraction between 0 and 1 in --places";
    return models_left(r, 0, r->s->set.widths.count * r->seeds) > 0
               ? "no weight is pruned at these kept fractions"
               : "all models of plain training diverged";
}

/* Adds at how many widths and kept fractions a claim has no data. */
static void add_gaps(const results *r, int tested, const char *what, ex_text *text) {
    const int all = r->s->set.widths.count * r->s->places;

    if (tested < all) ex_text_add(text, "; no %s at %d of %d", what, all - tested, all);
}

static void inside_claim(const results *r, const span_summary *all, ex_table *table) {
    ex_text found = {NULL, 0, 0};
    char low[32], high[32];

    snprintf(low, sizeof low, "%.2g", all->lowest);
    snprintf(high, sizeof high, "%.2g", all->highest);
    if (all->tested > 0) {
        ex_text_add(&found, "%s%s%s of the squared length lies in the span of the first %d", low,
                    strcmp(low, high) == 0 ? "" : " to ", strcmp(low, high) == 0 ? "" : high,
                    EIGENVECTORS);
        add_gaps(r, all->tested, "data", &found);
    } else {
        ex_text_add(&found, "%s", why_no_share(r));
    }
    ex_claim(table,
             "The direction of pruning lies in the span of the Hessian's leading eigenvectors "
             "(Conclusion): at least half of its squared length",
             found.data,
             all->tested == 0     ? "not tested"
             : all->lowest >= 0.5 ? "held"
             : all->highest < 0.5 ? "did not hold"
                                  : "undecided");
    ex_text_free(&found);
}

static void noise_claim(const results *r, const span_summary *all, ex_table *table) {
    const int compared = all->above + all->within + all->below;
    ex_text found = {NULL, 0, 0};

    if (compared > 0) {
        ex_text_add(&found,
                    "more / as much / less at %d / %d / %d of the widths and kept fractions",
                    all->above, all->within, all->below);
        if (all->above > 0)
            ex_text_add(&found, "; more only where at most %g are kept", all->most_kept);
        add_gaps(r, compared, "interval", &found);
    } else {
        ex_text_add(&found, "%s", all->tested > 0 ? NO_INTERVAL : why_no_share(r));
    }
    ex_claim(table, "... more of it than of noise on the same weights", found.data,
             compared == 0               ? "not tested"
             : 2 * all->above > compared ? "held"
             : 2 * all->below > compared ? "did not hold"
                                         : "undecided");
    ex_text_free(&found);
}

static void span_claims(const results *r, ex_table *table) {
    const span_summary all = summarize_spans(r);

    inside_claim(r, &all, table);
    noise_claim(r, &all, table);
}

/* ---- Goodhart ------------------------------------------------------------------------------ */

/* Differences of a quantity between a method at a strength and plain training, seed by seed. */
static average change_of(const results *r, int method, int strength, int column) {
    const int64_t plain = first_model(r->s, PLAIN, 0), here = first_model(r->s, method, strength);
    double x[EX_MAX_LIST];
    int64_t i;

    for (i = 0; i < r->seeds; i++) x[i] = cell(r, here + i, column) - cell(r, plain + i, column);
    return average_of(x, r->seeds);
}

static average level_of(const results *r, int method, int strength, int column) {
    const int64_t here = first_model(r->s, method, strength);
    double x[EX_MAX_LIST];
    int64_t i;

    for (i = 0; i < r->seeds; i++) x[i] = cell(r, here + i, column);
    return average_of(x, r->seeds);
}

/* The gap of a reference method at a given train loss, for one seed: interpolated linearly in the
   logarithm of the loss between the two nearest models trained with that method. NaN if they do
   not enclose the loss. */
static double reference_gap(const results *r, int method, int64_t seed, double loss) {
    double x[2] = {-HUGE_VAL, HUGE_VAL}, y[2] = {0, 0};
    const double at = log(loss);
    int k;

    for (k = 0; k < strengths(r->s, method); k++) {
        const int64_t row = first_model(r->s, method, k) + seed;
        const double here = log(cell(r, row, TRAIN_LOSS)), gap = cell(r, row, GAP);

        if (here <= at && here >= x[0]) x[0] = here, y[0] = gap;
        if (here >= at && here <= x[1]) x[1] = here, y[1] = gap;
    }
    if (!isfinite(x[0]) || !isfinite(x[1])) return (double)NAN;
    return x[1] > x[0] ? y[0] + (y[1] - y[0]) * (at - x[0]) / (x[1] - x[0]) : (y[0] + y[1]) / 2;
}

/* Gap of a push minus that of a reference at the same train loss: a mean over the strengths for
   each seed, then over seeds. compared: number of models with a reference. */
static average against(const results *r, int method, int reference, int *compared) {
    double x[EX_MAX_LIST];
    int64_t i;
    int k;

    *compared = 0;
    for (i = 0; i < r->seeds; i++) {
        double sum = 0, n = 0;

        for (k = 0; k < strengths(r->s, method); k++) {
            const int64_t row = first_model(r->s, method, k) + i;
            const double other = reference_gap(r, reference, i, cell(r, row, TRAIN_LOSS));

            if (isnan(other)) continue;
            sum += cell(r, row, GAP) - other;
            n++;
        }
        x[i] = n > 0 ? sum / n : (double)NAN;
        *compared += (int)n;
    }
    return average_of(x, r->seeds);
}

static void goodhart_table(const results *r, ex_table *table) {
    static const int shown[] = {TRAIN_LOSS, TRAIN_ERROR, TEST_ERROR, GAP, PRUNABILITY};
    int method, k;
    size_t c;

    ex_table_header(table, "training|strength|seeds|train loss|±|train error|±|test error|±|gap|±|"
                           "prunability|±");
    for (method = PLAIN; method < METHODS; method++)
        for (k = 0; k < strengths(r->s, method); k++) {
            ex_table_cell(table, "%s", method_labels[method]);
            ex_table_cell(table, "%g", strength_value(r->s, method, k));
            ex_table_cell(table, "%ld", (long)seeds_left(r, method, k));
            for (c = 0; c < sizeof shown / sizeof *shown; c++) {
                const average a = level_of(r, method, k, shown[c]);

                ex_table_finite(table, "%.4f", a.mean);
                ex_table_finite(table, "%.4f", a.half);
            }
        }
}

/* Adds why the change of a push at a strength cannot be judged, if so. */
static void add_reason(const results *r, int method, int strength, const average *a,
                       ex_text *text) {
    if (a->n > 1) return;
    ex_text_add(text, "; %s",
                a->n > 0 ? NO_INTERVAL
                : seeds_left(r, PLAIN, 0) == 0
                    ? "the models of plain training to compare with diverged"
                : seeds_left(r, method, strength) == 0 ? "all models at this strength diverged"
                                                       : "no seed has results of both trainings");
}

/* A claim that a push lowers a result, judged at its greatest strength. */
static void greatest_claim(const results *r, int method, int column, int digits, const char *text,
                           ex_table *table) {
    const int last = strengths(r->s, method) - 1;
    const average a = change_of(r, method, last, column);
    ex_text found = {NULL, 0, 0};

    ex_text_add(&found,
                "change at the greatest strength, %g: ", strength_value(r->s, method, last));
    add_change(r, &a, digits, &found);
    add_reason(r, method, last, &a, &found);
    ex_claim(table, text, found.data, falls(&a));
    ex_text_free(&found);
}

/* The same for the gap, with the changes at all strengths, and that of the train error, because a
   gap also falls if a network no longer fits its training images. */
static void gap_claim(const results *r, int method, ex_table *table) {
    const int last = strengths(r->s, method) - 1;
    const average wrong = change_of(r, method, last, TRAIN_ERROR);
    ex_text found = {NULL, 0, 0};
    average a = {0, 0, 0};
    int k;

    ex_text_add(&found, "change%s at strength%s ", ex_plural(last + 1), ex_plural(last + 1));
    for (k = 0; k <= last; k++) {
        a = change_of(r, method, k, GAP);
        ex_text_add(&found, "%s%g: ", k > 0 ? ", " : "", strength_value(r->s, method, k));
        add_change(r, &a, 4, &found);
    }
    if (wrong.n > 0) {
        ex_text_add(&found, "; the train error changes by ");
        add_change(r, &wrong, 4, &found);
        ex_text_add(&found, "%s", last > 0 ? " at the greatest" : "");
    }
    add_reason(r, method, last, &a, &found);
    ex_claim(table, "... and the generalization gap with it (section 4)", found.data, falls(&a));
    ex_text_free(&found);
}

/* A claim that a push has a smaller gap than a reference at the same train loss. */
static void reference_claim(const results *r, int method, int reference, ex_table *table) {
    ex_text text = {NULL, 0, 0}, found = {NULL, 0, 0};
    int compared;
    const average a = against(r, method, reference, &compared);

    ex_text_add(&text, "... more than %s at the same train loss", method_labels[reference]);
    if (compared > 0) {
        ex_text_add(&found, "gap ");
        add_change(r, &a, 4, &found);
        ex_text_add(&found, ", %d model%s compared%s", compared, ex_plural(compared),
                    a.n < 2 ? "; " NO_INTERVAL : "");
    } else if (method_left(r, method) == 0) {
        ex_text_add(&found, "all models of this push diverged");
    } else if (method_left(r, reference) == 0) {
        ex_text_add(&found, "all models of that reference diverged");
    } else {
        ex_text_add(&found, "no overlap in train loss");
    }
    ex_claim(table, text.data, found.data, falls(&a));
    ex_text_free(&text);
    ex_text_free(&found);
}

static void goodhart_claims(const results *r, ex_table *table) {
    int method, reference;

    for (method = TARGETED; method <= SPARSITY; method++) {
        char text[80];

        snprintf(text, sizeof text, "%s lowers prunability", method_labels[method]);
        greatest_claim(r, method, PRUNABILITY, 3, text, table);
        gap_claim(r, method, table);
        greatest_claim(r, method, TEST_ERROR, 4, "... and the test error", table);
        for (reference = DROPOUT; reference <= DECAY; reference++)
            reference_claim(r, method, reference, table);
    }
}

/* One point per model: x against y, coloured by method. */
static void scatter(const results *r, int x, int y, ex_series *series, double *room) {
    int method, k;
    int64_t i;

    for (method = PLAIN; method < METHODS; method++) {
        ex_series *one = &series[method];

        memset(one, 0, sizeof *one);
        one->x = room;
        one->y = room + r->n;
        one->colour = method == PLAIN ? 7 : method - 1;
        for (k = 0; k < strengths(r->s, method); k++)
            for (i = 0; i < r->seeds; i++, one->n++) {
                const int64_t row = first_model(r->s, method, k) + i;

                room[one->n] = cell(r, row, x);
                room[r->n + one->n] = cell(r, row, y);
            }
        room += 2 * r->n;
    }
}

static int draw_goodhart(const results *r, const char *first) {
    static const int axes[3][2] = {
        {TRAIN_LOSS, PRUNABILITY}, {TRAIN_LOSS, GAP}, {PRUNABILITY, GAP}};
    static const char *const labels[OWN_COLUMNS] = {
        "train loss (nats, log scale)", NULL,         NULL, NULL,
        "gap (test - train error)",     "prunability"};
    double *room = (double *)ex_allocate((size_t)(3 * METHODS * 2 * r->n), sizeof *room);
    ex_series series[3][METHODS];
    ex_plot plots[3];
    ex_text second = {NULL, 0, 0};
    int k, method, status;

    memset(plots, 0, sizeof plots);
    for (k = 0; k < 3; k++) {
        scatter(r, axes[k][0], axes[k][1], series[k], room + 2 * METHODS * r->n * k);
        for (method = 0; method < METHODS; method++)
            if (k == 2 && series[k][method].n > 0) series[k][method].name = method_labels[method];
        plots[k].x_label = labels[axes[k][0]];
        plots[k].y_label = labels[axes[k][1]];
        plots[k].log_x = axes[k][0] == TRAIN_LOSS;
        plots[k].series = series[k];
        plots[k].count = METHODS;
    }
    ex_text_add(&second, "a point per model, %ld seed%s of each training%s; test: %ld image%s",
                (long)r->seeds, ex_plural(r->seeds), without_diverged(r),
                (long)r->s->data.test.count, ex_plural(r->s->data.test.count));
    status =
        ex_plots_write(r->s->set.common.out, "goodhart", first, second.data, plots, 3, 2, 620, 340);
    ex_text_free(&second);
    free(room);
    return status;
}

/* ---- report -------------------------------------------------------------------------------- */

/* NaN if no model has eigenvectors. */
static double largest_residual(const results *r) {
    double largest = (double)NAN;
    int64_t i;

    for (i = 0; i < r->s->set.widths.count * r->seeds; i++) {
        const double one = cell(r, i, RESIDUAL);

        if (isnan(largest) || one > largest) largest = one;
    }
    return largest;
}

static void describe_eigenvectors(const results *r, FILE *file) {
    const int64_t chosen = r->s->set.hessian_images;
    const int64_t images = chosen > 0 ? chosen : r->s->data.train.count;
    const double residual = largest_residual(r);

    fprintf(file,
            "Eigenvectors are those of the Hessian of %ld training image%s after %ld Lanczos "
            "steps. ",
            (long)images, ex_plural(images), (long)r->s->set.steps);
    if (isfinite(residual))
        fprintf(file, "Their residuals are at most %.2g of their eigenvalues%s. ", residual,
                residual > 0.1
                    ? ": some have not converged, and shares in spans that contain them are "
                      "unreliable (raise --steps)"
                    : "");
    else if (!isnan(residual))
        fprintf(file, "Some eigenvalues are 0, and shares in spans that contain their eigenvectors "
                      "are arbitrary. ");
    fprintf(file, "The direction of pruning is the vector of the weights that magnitude pruning "
                  "sets to zero. \"Noise\" is a random normal direction on the same weights, for "
                  "which the expected share is given. \"Chance\" is the number of eigenvectors "
                  "divided by that of the weights.\n\n");
}

static void describe(const results *r, const char *setting, FILE *file) {
    const settings *set = &r->s->set;

    fprintf(file,
            "\n## The questions\n\nThe paper's conclusion asks whether the direction of pruning "
            "lies in the span of the main eigenvectors of the Hessian; it makes no claim. Its "
            "section 4 asks that a measure survive Goodhart's law: a network that is trained to "
            "score well on it should "
            "generalize better.\n\n## The setting\n\nNetwork in Network models of %d blocks; %s. "
            "Dropout of the smallest weights drops each of the smallest %g %% of the weights with "
            "a probability equal to its strength, drawn anew in every step (after Gomez et al. "
            "2019; the gradient passes through). The penalty on |w| is a proximal step of learning "
            "rate times strength. Weight decay and dropout after each block are the "
            "references.\n\n",
            DEPTH, setting, 100 * set->share);
    ex_report_choice(
        &set->common,
        "only from train losses, so that the pushed networks and the references reach similar ones",
        file);
    if (r->s->places > 0) describe_eigenvectors(r, file);
}

static void explain_claims(const results *r, FILE *file) {
    fprintf(file, "\nChanges and gaps are differences within each seed; ");
    if (r->seeds > 1)
        fprintf(file, "± is half of a 95 %% interval (Student's t) over %ld seeds%s; ",
                (long)r->seeds, without_diverged(r));
    else fprintf(file, "one seed gives no intervals; ");
    fprintf(file, "all models have the same test images. That a push lowers something is judged at "
                  "its greatest strength. Pushes and references are compared at the same train "
                  "loss, averaged over the strengths whose train loss lies between those of two "
                  "networks trained with the reference, whose gaps are interpolated. Pruning "
                  "contains more than noise if it does at more than half of the widths and kept "
                  "fractions. Verdicts are not corrected for the number of claims.\n\n");
}

static int write_report(results *r, int argc, char **argv) {
    ex_text setting = {NULL, 0, 0}, path = {NULL, 0, 0};
    ex_table table = {0, 0, 0, NULL};
    FILE *file = ex_report_open(&r->s->rows, "Two open questions", argc, argv, &path);
    int status = file != NULL ? 0 : EX_FAILED;

    ex_recipe_describe(&r->s->set.recipe, &r->s->data, &setting);
    if (status == 0) {
        describe(r, setting.data, file);
        report_left_out(r, file);
        fprintf(file, "## The answer\n\n");
        ex_table_header(&table, "claim|this run found|verdict");
        span_claims(r, &table);
        goodhart_claims(r, &table);
        printf("\n");
        ex_table_print(&table, stdout);
        status = ex_report_table(&r->s->rows, file, &table, "claims");
        explain_claims(r, file);
    }
    if (status == 0 && r->s->places > 0) {
        fprintf(file, "## The direction of pruning\n\n![shares](span.svg)\n\n");
        span_table(r, SPANS - 1, &table);
        ex_table_markdown(&table, file);
        ex_table_free(&table);
        fprintf(file, "\nspans.csv also has the smaller spans.\n");
        span_table(r, 0, &table);
        status = ex_study_table(&r->s->rows, &table, "spans");
        if (status == 0) status = draw_spans(r, setting.data);
    }
    if (status == 0) {
        fprintf(file, "\n## Pushing towards prunability\n\n![Goodhart](goodhart.svg)\n\n");
        goodhart_table(r, &table);
        status = ex_report_table(&r->s->rows, file, &table, "goodhart");
        if (status == 0) status = draw_goodhart(r, setting.data);
    }
    if (file != NULL) status = ex_finish(status, file, path.data);
    if (status == 0) printf("\n%s\n", ex_shown(path.data));
    ex_text_free(&setting);
    ex_text_free(&path);
    return status;
}

static int evaluate_all(void *user, int argc, char **argv) {
    results r;
    int status;

    memset(&r, 0, sizeof r);
    r.s = (const study *)user;
    r.seeds = r.s->set.recipe.seeds.count;
    if (prun_table_load_csv(&r.context, r.s->rows.path.data, &r.table) != PRUN_OK)
        return ex_failure(&r.context, r.s->rows.path.data);
    r.n = r.table.rows;
    leave_out(&r);
    status = write_report(&r, argc, argv);
    free(r.why);
    prun_table_free(&r.table);
    return status;
}

/* ---- program ------------------------------------------------------------------------------- */

/* One option table, a set of defaults for each preset. */
typedef struct preset {
    const char *widths, *width, *strength[METHODS], *places, *steps, *hessian_images;
    ex_recipe_preset recipe;
} preset;

#define PLACES "0.05,0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9,0.95,0.99"
#define STRENGTHS \
    { NULL, "0.2,0.4,0.5,0.6", "0.001,0.004,0.01,0.02", "0.05,0.1,0.2,0.3", "0.003,0.01,0.03,0.1" }

static const preset presets[EX_PRESETS] = {
    {"4",
     "4",
     {NULL, "0.5,0.9", "0.001,0.003", "0.1,0.3", "0.003,0.03"},
     "0.3,0.6,0.9",
     "150",
     "100",
     {"1,2", "20", "32", "0", "0", "0", "200", "500", "0"}},
    {"8,16,24",
     "16",
     STRENGTHS,
     PLACES,
     "200",
     "0",
     {"1,2,3,4,5", "100", "32", "0", "0", "0", "500", "0", "0"}},
    {"8,16,32",
     "32",
     STRENGTHS,
     PLACES,
     "200",
     "0",
     {"1,2,3,4,5,6,7,8,9,10", "200", "32", "0", "0", "0", "1000", "0", "0"}},
    {"192",
     "192",
     {NULL, "0.25,0.5,0.75,0.9", "0.0003,0.001,0.002,0.004", "0.1,0.2,0.3,0.5",
      "0.0001,0.001,0.005"},
     PLACES,
     "200",
     "2000",
     {"1,2,3,4,5", "200", "128", "4", "1", "0", "0", "0", "0"}}};

static int by_value(const void *left, const void *right) {
    const double a = *(const double *)left, b = *(const double *)right;

    return (a > b) - (a < b);
}

/* Drops the ends: at 0 the direction would be that of all weights, at 1 nothing is pruned. */
static void drop_end_places(study *s) {
    ex_fractions *f = &s->set.places;

    s->places = (int)f->count;
    if (f->value[s->places - 1] >= 1) s->places--;
    if (s->places > 0 && f->value[0] <= 0)
        memmove(f->value, f->value + 1, (size_t)--s->places * sizeof *f->value);
}

static int check(study *s) {
    settings *set = &s->set;
    int k;

    for (k = 0; k < set->widths.count && set->widths.value[k] != set->width;) k++;
    if (k == set->widths.count) {
        ex_error("--width %ld: must be one of --widths", (long)set->width);
        return EX_USAGE;
    }
    if (ex_resamples_check(set->resamples) >= 0) return EX_USAGE;
    for (k = TARGETED; k < METHODS; k++)
        qsort(set->strength[k].value, (size_t)set->strength[k].count,
              sizeof *set->strength[k].value, by_value);
    drop_end_places(s);
    return ex_recipe_check(&set->recipe, &set->common);
}

static int parse(void *user, int argc, char **argv) {
    study *s = (study *)user;
    settings *set = &s->set;
    static const char *const directories[EX_PRESETS] = {
        "open_questions-demo", "open_questions-mini", "open_questions-night",
        "open_questions-full"};
    const int which = ex_preset(argc, argv);
    const preset *d = &presets[which];
    const ex_option options[] = {
        EX_STUDY_OPTIONS(&set->common, directories[which]),
        {"widths", EX_INT_LIST, &set->widths, d->widths, 1, 4096,
         "filters of the networks whose directions are computed"},
        {"width", EX_INT, &set->width, d->width, 1, 4096,
         "width of the networks trained towards prunability; one of --widths"},
        {"targeted", EX_REAL_LIST, &set->strength[TARGETED], d->strength[TARGETED], 0, 1,
         "probabilities of dropping a small weight"},
        {"share", EX_REAL, &set->share, "0.75", 0, 1, "share of the weights that count as small"},
        {"sparsity", EX_REAL_LIST, &set->strength[SPARSITY], d->strength[SPARSITY], 0, 1e3,
         "penalties on |w|"},
        {"dropout", EX_REAL_LIST, &set->strength[DROPOUT], d->strength[DROPOUT], 0, 0.99,
         "drop probabilities of activations"},
        {"l2", EX_REAL_LIST, &set->strength[DECAY], d->strength[DECAY], 0, 1e3, "weight decays"},
        EX_RECIPE_OPTIONS(&set->recipe, &d->recipe),
        {"fractions", EX_FRACTIONS, &set->fractions, "dense", 0, 1,
         "kept fractions to try: N: i/N; dense: hundredths to 0.9, then 1 - 10^(-1 - i/10); or a "
         "list"},
        {"places", EX_FRACTIONS, &set->places, d->places, 0, 1,
         "kept fractions at which the direction of pruning is computed, in the same form; 0 and 1, "
         "where all weights or none are pruned, are left out"},
        {"repetitions", EX_INT, &set->repetitions, "5", 1, 1e6, "permutations of random pruning"},
        {"resamples", EX_INT, &set->resamples, "1000", 0, 1e6,
         "resamples of the training images, for the interval of prunability; 0: none, or at least "
         "2"},
        {"hessian-images", EX_INT, &set->hessian_images, d->hessian_images, 0, EX_MANY,
         "first training images in the Hessian, at most --images; 0: all"},
        {"steps", EX_INT, &set->steps, d->steps, EIGENVECTORS, 1e5, "Lanczos steps, at least 50"}};
    const ex_program program = {
        "open_questions",
        "",
        "Tests whether pruning moves along the leading eigenvectors of the Hessian, and whether "
        "training\ntowards prunability makes networks generalize better.",
        options,
        sizeof options / sizeof *options,
        0,
        0};
    int status = ex_parse(&program, argc, argv, NULL);

    if (status < 0) status = ex_study_check(&set->common);
    return status < 0 ? check(s) : status;
}

static int load(void *user, prun_context *context, const char *program) {
    study *s = (study *)user;
    const int status = ex_recipe_load(&s->set.recipe, context, program, &s->data);

    return status == 0 && s->places > 0 ? ex_recipe_hessian(s->set.hessian_images, &s->data)
                                        : status;
}

static int set_up(void *user) {
    study *s = (study *)user;
    int64_t places = s->set.widths.count;
    char text[64];
    int k;

    for (k = TARGETED; k < METHODS; k++) places += s->set.strength[k].count;
    s->columns = share_column(s->places, 0, 0);
    ex_text_add(&s->names, "%s", KEY_NAMES);
    for (k = 0; k < s->columns; k++) ex_text_add(&s->names, ",%s", column_name(s, k, text));
    ex_text_add(&s->names, ",%s", EX_OUTCOME_NAMES);
    s->rows.set = &s->set.common;
    s->rows.count = places * s->set.recipe.seeds.count;
    s->rows.names = s->names.data;
    s->rows.keys = KEYS;
    return 0;
}

/* Prints the cost of the study, estimated from a first step of its widest network. */
static int announce(void *user) {
    const study *s = (const study *)user;
    double seconds = 0, bytes = 0;
    ex_text networks = {NULL, 0, 0};
    prun_arch arch;
    identity widest;
    int status;

    if (!ex_study_trains(&s->rows)) return -1;
    ex_text_add(&networks, "NiN of width%s ", ex_plural(s->set.widths.count));
    ex_list_text(&s->set.widths, &networks);
    ex_text_add(&networks, ", width %ld trained in %ld more ways", (long)s->set.width,
                (long)(s->rows.count / s->set.recipe.seeds.count - s->set.widths.count));
    ex_recipe_announce(&s->set.recipe, &s->data, networks.data);
    ex_text_free(&networks);
    widest = identify(s, s->rows.order[0]);
    arch = ex_arch(EX_NIN, widest.width, widest.seed, &s->data.train);
    arch.depth = DEPTH;
    status = ex_probe(&arch, &s->data.train, s->set.recipe.batch, &seconds, &bytes);
    if (status != 0) return status;
    seconds /= 3 * ex_forward_cost(EX_NIN, widest.width);
    bytes += 4.0 * (double)s->set.steps * 30.0 * (double)(widest.width * widest.width);
    return ex_study_cost(&s->rows, s->rows.left * seconds, bytes,
                         30.0 * s->columns * (double)s->rows.count);
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
