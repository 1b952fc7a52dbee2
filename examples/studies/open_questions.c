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

#define MAX_PLACES 40 /* kept fractions at which the direction is computed */
#define MAX_COLUMNS (OWN_COLUMNS + 2 * SPANS * MAX_PLACES)

typedef struct settings {
    ex_study_settings common;
    ex_recipe recipe;
    ex_ints widths;
    ex_reals strength[METHODS]; /* of each method; plain training has none */
    ex_fractions fractions;     /* of the search for prunability */
    ex_fractions places;        /* kept fractions of the directions; 1 is skipped */
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
    double value[MAX_COLUMNS];
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
    for (k = 0; k < MAX_COLUMNS; k++) m.value[k] = (double)NAN;
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
    prun_net_free(m.net);
    return status != PRUN_OK && status != PRUN_ERR_NONFINITE;
}

/* ---- evaluation ---------------------------------------------------------------------------- */

/* A mean over seeds, and half the width of its 95 % interval (Student's t). */
typedef struct average {
    double mean, half;
    int64_t n;
} average;

static average average_of(const double *x, int64_t n) {
    average a = {0, (double)NAN, 0};
    double squares = 0;
    int64_t i;

    for (i = 0; i < n; i++) {
        if (isnan(x[i])) continue;
        a.mean += x[i];
        a.n++;
    }
    a.mean = a.n > 0 ? a.mean / (double)a.n : (double)NAN;
    for (i = 0; i < n; i++)
        if (!isnan(x[i])) squares += (x[i] - a.mean) * (x[i] - a.mean);
    if (a.n > 1) a.half = ex_student(a.n - 1) * sqrt(squares / (double)(a.n - 1) / (double)a.n);
    return a;
}

typedef struct results {
    const study *s;
    prun_context context;
    prun_table table;
    int64_t n, seeds;
} results;

static double cell(const results *r, int64_t row, int column) {
    char text[64];
    const int64_t k = prun_table_find(&r->table, column_name(r->s, column, text));

    return r->table.values[k * r->table.rows + row];
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

static double chance(const results *r, int width, int span) {
    return span_sizes[span] / cell(r, width * r->seeds, WEIGHTS);
}

/* Rows for span number `smallest` and all larger ones. */
static void span_table(const results *r, int smallest, ex_table *table) {
    average pruning, noise;
    int w, place, span;

    ex_table_header(table, "width|kept|eigenvectors|share of pruning|±|share of noise|±|chance|"
                           "pruning / noise|lower|upper");
    for (w = 0; w < r->s->set.widths.count; w++)
        for (place = r->s->places; place-- > 0;)
            for (span = smallest; span < SPANS; span++) {
                const average ratio = excess_of(r, w, place, span, &pruning, &noise);

                ex_table_cell(table, "%ld", (long)r->s->set.widths.value[w]);
                ex_table_cell(table, "%.3g", r->s->set.places.value[place]);
                ex_table_cell(table, "%d", span_sizes[span]);
                ex_table_cell(table, "%.3g", pruning.mean);
                ex_table_cell(table, "%.2g", pruning.half);
                ex_table_cell(table, "%.3g", noise.mean);
                ex_table_cell(table, "%.2g", noise.half);
                ex_table_cell(table, "%.3g", chance(r, w, span));
                ex_table_cell(table, "%.3g", exp(ratio.mean));
                ex_table_cell(table, "%.3g", exp(ratio.mean - ratio.half));
                ex_table_cell(table, "%.3g", exp(ratio.mean + ratio.half));
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
    char second[160];
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
    snprintf(second, sizeof second,
             "means over %ld seed%s; bands: 95 %% intervals (Student's t), cut where they "
             "reach 0",
             (long)r->seeds, ex_plural(r->seeds));
    status = ex_plots_write(r->s->set.common.out, "span", first, second, plots, widths,
                            widths < 2 ? widths : 2, 560, 340);
    free(room);
    free(series);
    free(plots);
    free(titles);
    return status;
}

static void claim(ex_table *table, const char *text, const char *found, const char *verdict) {
    ex_table_cell(table, "%s", text);
    ex_table_cell(table, "%s", found);
    ex_table_cell(table, "%s", verdict);
}

/* Over all widths and kept fractions: the mean share in the first 50, and pruning against noise. */
static void span_claims(const results *r, ex_table *table) {
    const int last = SPANS - 1, widths = r->s->set.widths.count;
    double lowest = HUGE_VAL, highest = 0, most_kept = 0;
    int above = 0, within = 0, below = 0, w, place;
    char found[240];

    if (r->s->places == 0) return;
    for (w = 0; w < widths; w++)
        for (place = 0; place < r->s->places; place++) {
            average pruning, noise;
            const average ratio = excess_of(r, w, place, last, &pruning, &noise);

            lowest = pruning.mean < lowest ? pruning.mean : lowest;
            highest = pruning.mean > highest ? pruning.mean : highest;
            if (ratio.mean > ratio.half && r->s->set.places.value[place] > most_kept)
                most_kept = r->s->set.places.value[place];
            above += ratio.mean > ratio.half;
            below += ratio.mean < -ratio.half;
            within += !(ratio.mean > ratio.half) && !(ratio.mean < -ratio.half);
        }
    snprintf(found, sizeof found,
             "%.2g to %.2g of the squared length lies in the span of the first 50", lowest,
             highest);
    claim(table,
          "The direction of pruning lies in the span of the Hessian's leading eigenvectors "
          "(Conclusion): at least half of its squared length",
          found,
          lowest >= 0.5   ? "held"
          : highest < 0.5 ? "did not hold"
                          : "undecided");
    snprintf(found, sizeof found,
             "more / as much / less at %d / %d / %d of the widths and kept fractions", above,
             within, below);
    if (above > 0)
        snprintf(found + strlen(found), sizeof found - strlen(found),
                 "; more only where at most %g are kept", most_kept);
    claim(table, "... more of it than of noise on the same weights", found,
          above > 0 && above > within + below   ? "held"
          : below > 0 && below > within + above ? "did not hold"
                                                : "undecided");
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

static const char *falls(const average *a) {
    return isnan(a->half)       ? "inconclusive: too few models"
           : a->mean < -a->half ? "held"
           : a->mean > a->half  ? "did not hold"
                                : "undecided";
}

static void goodhart_table(const results *r, ex_table *table) {
    static const int shown[] = {TRAIN_LOSS, TRAIN_ERROR, TEST_ERROR, GAP, PRUNABILITY};
    int method, k;
    size_t c;

    ex_table_header(table, "training|strength|train loss|±|train error|±|test error|±|gap|±|"
                           "prunability|±");
    for (method = PLAIN; method < METHODS; method++)
        for (k = 0; k < strengths(r->s, method); k++) {
            ex_table_cell(table, "%s", method_labels[method]);
            ex_table_cell(table, "%g", strength_value(r->s, method, k));
            for (c = 0; c < sizeof shown / sizeof *shown; c++) {
                const average a = level_of(r, method, k, shown[c]);

                ex_table_cell(table, "%.4f", a.mean);
                ex_table_cell(table, "%.4f", a.half);
            }
        }
}

static void goodhart_claims(const results *r, ex_table *table) {
    int method, reference, compared, k;
    char text[200], found[400];

    for (method = TARGETED; method <= SPARSITY; method++) {
        const int last = strengths(r->s, method) - 1;
        average a, b;

        if (last < 0) continue;
        a = change_of(r, method, last, PRUNABILITY);
        snprintf(text, sizeof text, "%s lowers prunability", method_labels[method]);
        snprintf(found, sizeof found, "change at the greatest strength: %+.3f ± %.3f", a.mean,
                 a.half);
        claim(table, text, found, falls(&a));
        for (k = 0, found[0] = '\0'; k <= last; k++) {
            b = change_of(r, method, k, GAP);
            snprintf(found + strlen(found), sizeof found - strlen(found), "%s%+.4f ± %.4f",
                     k > 0 ? ", " : "changes from the least to the greatest strength: ", b.mean,
                     b.half);
        }
        a = change_of(r, method, last, TRAIN_ERROR);
        snprintf(found + strlen(found), sizeof found - strlen(found),
                 "; the train error changes by %+.4f ± %.4f at the greatest", a.mean, a.half);
        a = change_of(r, method, last, GAP);
        snprintf(text, sizeof text, "... and the generalization gap with it (section 4)");
        claim(table, text, found, falls(&a));
        a = change_of(r, method, last, TEST_ERROR);
        snprintf(found, sizeof found, "change at the greatest strength: %+.4f ± %.4f", a.mean,
                 a.half);
        claim(table, "... and the test error", found, falls(&a));
        for (reference = DROPOUT; reference <= DECAY; reference++) {
            if (strengths(r->s, reference) == 0) continue;
            a = against(r, method, reference, &compared);
            snprintf(text, sizeof text, "... more than %s at the same train loss",
                     method_labels[reference]);
            if (compared > 0)
                snprintf(found, sizeof found, "gap %+.4f ± %.4f, %d models compared", a.mean,
                         a.half, compared);
            else snprintf(found, sizeof found, "no overlap in train loss");
            claim(table, text, found, compared > 0 ? falls(&a) : "inconclusive: no overlap");
        }
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
    char second[160];
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
    snprintf(second, sizeof second,
             "a point per model, %ld seed%s of each training; test: %ld images", (long)r->seeds,
             ex_plural(r->seeds), (long)r->s->data.test.count);
    status = ex_plots_write(r->s->set.common.out, "goodhart", first, second, plots, 3, 2, 620, 340);
    free(room);
    return status;
}

/* ---- report -------------------------------------------------------------------------------- */

static double largest_residual(const results *r) {
    double largest = 0;
    int64_t i;

    for (i = 0; i < r->s->set.widths.count * r->seeds; i++) {
        const double one = cell(r, i, RESIDUAL);

        largest = one > largest ? one : largest;
    }
    return largest;
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
    if (r->s->places > 0)
        fprintf(
            file,
            "Eigenvectors are those of the Hessian of %ld training images after %ld Lanczos "
            "steps. Their residuals are at most %.2g of their eigenvalues%s. The direction of "
            "pruning is the vector of the weights that magnitude pruning sets to zero. \"Noise\" "
            "is a random normal direction on the same weights, for which the expected share is "
            "given. \"Chance\" is the number of eigenvectors divided by that of the weights.\n\n",
            (long)(set->hessian_images > 0 ? set->hessian_images : r->s->data.train.count),
            (long)set->steps, largest_residual(r),
            largest_residual(r) > 0.1
                ? ": some have not converged, and shares in spans that contain them are "
                  "unreliable (raise --steps)"
                : "");
}

static int write_report(results *r, int argc, char **argv) {
    ex_text setting = {NULL, 0, 0}, path = {NULL, 0, 0};
    ex_table table = {0, 0, 0, NULL};
    FILE *file = ex_report_open(&r->s->rows, "Two open questions", argc, argv, &path);
    int status = file != NULL ? 0 : EX_FAILED;

    ex_recipe_describe(&r->s->set.recipe, &r->s->data, &setting);
    if (status == 0) {
        describe(r, setting.data, file);
        fprintf(file, "## The answer\n\n");
        ex_table_header(&table, "claim|this run found|verdict");
        span_claims(r, &table);
        goodhart_claims(r, &table);
        printf("\n");
        ex_table_print(&table, stdout);
        status = ex_report_table(&r->s->rows, file, &table, "claims");
        fprintf(file,
                "\nChanges and gaps are differences within each seed; ± is half of a 95 %% "
                "interval (Student's t) over %ld seed%s; all models have the same test images. "
                "That a push lowers something is judged at its greatest strength. Pushes and "
                "references are compared at the same train loss, averaged over the strengths whose "
                "train loss lies between those of two networks trained with the reference, whose "
                "gaps are interpolated. Pruning contains more than noise if it does at more than "
                "half of the widths and kept fractions. Verdicts are not corrected for the number "
                "of claims.\n\n",
                (long)r->seeds, ex_plural(r->seeds));
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

/* Rows are in the order of the models; models that diverged have NaN. */
static int evaluate_all(void *user, int argc, char **argv) {
    results r;
    int status;

    memset(&r, 0, sizeof r);
    r.s = (const study *)user;
    r.seeds = r.s->set.recipe.seeds.count;
    if (prun_table_load_csv(&r.context, r.s->rows.path.data, &r.table) != PRUN_OK)
        return ex_failure(&r.context, r.s->rows.path.data);
    r.n = r.table.rows;
    status = write_report(&r, argc, argv);
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

static int check(study *s) {
    settings *set = &s->set;
    int k;

    for (k = 0; k < set->widths.count && set->widths.value[k] != set->width;) k++;
    if (k == set->widths.count) {
        ex_error("--width %ld: must be one of --widths", (long)set->width);
        return EX_USAGE;
    }
    s->places = (int)set->places.count;
    if (set->places.value[s->places - 1] >= 1) s->places--; /* nothing is pruned there */
    if (s->places > MAX_PLACES) {
        ex_error("--places: at most %d kept fractions", MAX_PLACES);
        return EX_USAGE;
    }
    if (s->places > 0 && set->places.value[0] <= 0) {
        ex_error("--places: must be above 0, where the direction would be that of all weights");
        return EX_USAGE;
    }
    if (set->recipe.save_every > 0) {
        ex_error("--checkpoint: this study has no checkpoints; it keeps finished models");
        return EX_USAGE;
    }
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
         "kept fractions at which the direction of pruning is computed"},
        {"repetitions", EX_INT, &set->repetitions, "5", 1, 1e6, "permutations of random pruning"},
        {"resamples", EX_INT, &set->resamples, "1000", 0, 1e6,
         "resamples of the training images, for the interval of prunability; 0: none"},
        {"hessian-images", EX_INT, &set->hessian_images, d->hessian_images, 0, EX_MANY,
         "first training images in the Hessian; 0: all"},
        {"steps", EX_INT, &set->steps, d->steps, EIGENVECTORS, 1e5, "of Lanczos"},
        EX_KEEP_OPTION(&set->recipe, &d->recipe)};
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

    return ex_recipe_load(&s->set.recipe, context, program, &s->data);
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
    ex_text_add(&networks, "NiN of widths ");
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
