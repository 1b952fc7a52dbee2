/* prune_vs_perturb.c - the paper's third experiment (5.4.3, B.2): is pruning just noise?

   Trains ResNet18s and CNNs, then changes a growing share of their weights in three ways: prunes
   the smallest weights, prunes random weights, or moves the smallest weights by a random vector of
   the same length. Shows training and test loss against the share of weights touched: Figures 2
   and 5. One model per thread; the results do not depend on the number of threads.

       cc -O2 -fopenmp examples/studies/prune_vs_perturb.c -lm -o prune_vs_perturb
       ./prune_vs_perturb
       ./prune_vs_perturb --full --data DIR               (CIFAR-100: a cluster job)
*/
#include "figure.h"
#include "recipe.h"
#define PRUNABILITY_STATIC /* static functions: unused ones are left out of the program */
#define PRUNABILITY_IMPLEMENTATION
#include "../../prunability.h"

enum { MAGNITUDE, RANDOM, PERTURBED, METHODS };
enum { TRAINING, TEST, SETS };
enum { LOSS, ERROR, DEVIATION, KINDS }; /* deviation: standard error of the loss over draws */

static const char *const method_names[METHODS] = {"magnitude", "random", "perturbed"};
static const char *const method_labels[METHODS] = {
    "smallest weights pruned", "random weights pruned", "smallest weights moved at random"};
static const char *const set_names[SETS] = {"train", "test"};
static const char *const kind_names[KINDS] = {"loss", "error", "loss_se"};
static const char *const no_loss[SETS] = {"the training loss of the trained network is not finite",
                                          "the test loss of the trained network is not finite"};

typedef struct settings {
    ex_study_settings common;
    ex_recipe recipe;
    ex_choice arch;
    ex_ints cnn, resnet;
    ex_fractions fractions;
    int64_t draws;
} settings;

typedef struct study {
    settings set;
    ex_data data;
    ex_study rows;
    ex_text names;
    int cnns, resnets; /* number of widths of each */
} study;

/* ---- one model ----------------------------------------------------------------------------- */

typedef struct model {
    study *s;
    prun_context context;
    int arch; /* EX_CNN or EX_RESNET18 */
    int64_t width, seed;
    prun_net *net;
    double *curve[SETS][METHODS][KINDS]; /* by kept fraction */
    double train_seconds, measure_seconds, epoch_work;
} model;

/* Models are in order of architecture, width and seed. */
static void identify(const study *s, int64_t number, int *arch, int64_t *width, int64_t *seed) {
    const int64_t place = number / s->set.recipe.seeds.count;

    *seed = s->set.recipe.seeds.value[number % s->set.recipe.seeds.count];
    *arch = place >= s->cnns;
    *width = *arch ? s->set.resnet.value[place - s->cnns] : s->set.cnn.value[place];
}

static double epoch_work(const study *s, int arch, int64_t width) {
    return 3 * ex_forward_cost(arch, width) * (double)s->data.train.count;
}

static double study_work(void *user, int64_t number) {
    const study *s = (const study *)user;
    const double passes = (double)s->set.fractions.count * (1 + 2 * (double)s->set.draws);
    const double images = (double)(s->data.train.count + s->data.test.count);
    int arch;
    int64_t width, seed;

    identify(s, number, &arch, &width, &seed);
    return epoch_work(s, arch, width) * (double)s->set.recipe.epochs +
           ex_forward_cost(arch, width) * passes * images;
}

static prun_status train(model *m, int64_t number) {
    study *s = m->s;
    const ex_recipe *recipe = &s->set.recipe;
    const prun_train_options options = ex_recipe_training(recipe, m->seed);
    prun_epoch *history = (prun_epoch *)ex_allocate((size_t)recipe->epochs, sizeof *history);
    prun_status status;

    status =
        ex_study_train(&s->rows, number, m->net, &s->data.train, &options, m->epoch_work, history);
    free(history);
    return status;
}

/* Random pruning, with one permutation per call, to find its spread. */
static prun_status random_curve(const settings *set, const prun_objective *objective, uint64_t seed,
                                double *curve[KINDS]) {
    const size_t n = (size_t)set->fractions.count;
    double *room = (double *)ex_allocate(3 * n, sizeof *room), *squares = room + 2 * n;
    const double draws = (double)set->draws;
    prun_prune_options options;
    prun_status status = PRUN_OK;
    int64_t d;
    size_t i;

    memset(&options, 0, sizeof options);
    options.method = PRUN_PRUNE_RANDOM;
    options.fractions = set->fractions.value;
    options.fraction_count = set->fractions.count;
    options.repetitions = 1;
    for (d = 0; d < set->draws && status == PRUN_OK; d++) {
        options.seed = seed * 1000003u + (uint64_t)d;
        status = prun_loss_curve(objective, &options, room, room + n);
        for (i = 0; i < n; i++) { /* running means, which avoid cancellation */
            const double change = room[i] - curve[LOSS][i];

            curve[LOSS][i] += change / (double)(d + 1);
            curve[ERROR][i] += (room[n + i] - curve[ERROR][i]) / (double)(d + 1);
            squares[i] += change * (room[i] - curve[LOSS][i]);
        }
    }
    for (i = 0; i < n; i++)
        curve[DEVIATION][i] = draws > 1 ? sqrt(squares[i] / (draws - 1) / draws) : (double)NAN;
    free(room);
    return status;
}

/* Whether the loss of the trained network is finite: its curve ends where nothing is pruned. Losses
   of changed networks may be infinite or undefined. */
static prun_status check_loss(model *m, int which) {
    if (isfinite(m->curve[which][MAGNITUDE][LOSS][m->s->set.fractions.count - 1])) return PRUN_OK;
    m->context.status = PRUN_ERR_NONFINITE;
    snprintf(m->context.message, sizeof m->context.message, "%s", no_loss[which]);
    return PRUN_ERR_NONFINITE;
}

/* All three curves of a net on one set of images. */
static prun_status measure(model *m, int which) {
    const settings *set = &m->s->set;
    const prun_images *images = which == TRAINING ? &m->s->data.train : &m->s->data.test;
    const double step =
        ex_forward_cost(m->arch, m->width) * (double)images->count * (double)set->fractions.count;
    prun_objective objective;
    prun_prune_options pruning;
    prun_perturb_options noise;
    double *(*curve)[KINDS] = m->curve[which];
    prun_status status;

    memset(&pruning, 0, sizeof pruning);
    pruning.fractions = set->fractions.value;
    pruning.fraction_count = set->fractions.count;
    memset(&noise, 0, sizeof noise);
    noise.draws = set->draws;
    noise.seed = (uint64_t)m->seed;
    status = prun_net_objective(m->net, images, &objective);
    if (status == PRUN_OK)
        status =
            prun_loss_curve(&objective, &pruning, curve[MAGNITUDE][LOSS], curve[MAGNITUDE][ERROR]);
    if (status == PRUN_OK) status = check_loss(m, which);
    ex_progress_add(&m->s->rows.progress, step);
    if (status == PRUN_OK) status = random_curve(set, &objective, (uint64_t)m->seed, curve[RANDOM]);
    ex_progress_add(&m->s->rows.progress, step * (double)set->draws);
    if (status == PRUN_OK)
        status = prun_same_size_curve(&objective, set->fractions.value, set->fractions.count,
                                      &noise, curve[PERTURBED][LOSS], curve[PERTURBED][DEVIATION],
                                      curve[PERTURBED][ERROR]);
    ex_progress_add(&m->s->rows.progress, step * (double)set->draws);
    return status;
}

/* ---- rows ---------------------------------------------------------------------------------- */

#define KEYS (EX_RECIPE_KEYS + 2)
#define KEY_NAMES EX_RECIPE_KEY_NAMES ",fractions,draws"

static void model_key(void *user, int64_t number, ex_csv *row) {
    const study *s = (const study *)user;
    const settings *set = &s->set;
    int arch;
    int64_t width, seed;

    identify(s, number, &arch, &width, &seed);
    ex_recipe_key(&set->recipe, &s->data, arch, width, seed, row);
    ex_csv_list(row, set->fractions.text);
    ex_csv_number(row, (double)set->draws);
}

/* Calls visit for every curve in a row; magnitude pruning has no draws and so no deviation. */
static void each_curve(void (*visit)(void *user, int set, int method, int kind), void *user) {
    int set, method, kind;

    for (set = 0; set < SETS; set++)
        for (method = 0; method < METHODS; method++)
            for (kind = 0; kind < KINDS; kind++)
                if (method != MAGNITUDE || kind != DEVIATION) visit(user, set, method, kind);
}

/* A kept fraction as in the names of columns. text: 32 bytes. */
static const char *fraction_name(double fraction, char *text) {
    snprintf(text, 32, "%.6g", fraction);
    return text;
}

/* Name of the column with a curve's value at the i-th kept fraction. text: 64 bytes. */
static const char *column_name(const study *s, int set, int method, int kind, int64_t i,
                               char *text) {
    char fraction[32];

    snprintf(text, 64, "%s_%s_%s_%s", set_names[set], method_names[method], kind_names[kind],
             fraction_name(s->set.fractions.value[i], fraction));
    return text;
}

static void name_curve(void *user, int set, int method, int kind) {
    study *s = (study *)user;
    char text[64];
    int64_t i;

    for (i = s->set.fractions.count - 1; i >= 0; i--)
        ex_text_add(&s->names, ",%s", column_name(s, set, method, kind, i, text));
}

typedef struct row_target {
    const model *m;
    ex_csv *row;
    int known;
} row_target;

static void fill_curve(void *user, int set, int method, int kind) {
    row_target *target = (row_target *)user;
    int64_t i;

    for (i = target->m->s->set.fractions.count - 1; i >= 0; i--)
        ex_csv_number(target->row,
                      target->known ? target->m->curve[set][method][kind][i] : (double)NAN);
}

/* The result, or why there is none. */
static void fill_row(const model *m, prun_status status, ex_csv *row) {
    row_target target;

    target.m = m;
    target.row = row;
    target.known = status == PRUN_OK;
    ex_csv_number(row, status == PRUN_OK ? (double)prun_net_weight_count(m->net) : (double)NAN);
    each_curve(fill_curve, &target);
    ex_outcome(row, &m->context, status, m->train_seconds, m->measure_seconds);
}

static void allocate_curves(model *m, double *room) {
    const size_t n = (size_t)m->s->set.fractions.count;
    int set, method, kind;

    for (set = 0; set < SETS; set++)
        for (method = 0; method < METHODS; method++)
            for (kind = 0; kind < KINDS; kind++, room += n) m->curve[set][method][kind] = room;
}

/* Each model has its own context and is independent of the others. It uses one thread, because the
   models already share the cores. */
static int run_model(void *user, int64_t number, ex_csv *row) {
    study *s = (study *)user;
    double *room = (double *)ex_allocate(
        (size_t)(SETS * METHODS * KINDS) * (size_t)s->set.fractions.count, sizeof *room);
    const double start = ex_seconds();
    prun_status status;
    prun_arch arch;
    model m;

    memset(&m, 0, sizeof m);
    m.s = s;
    identify(s, number, &m.arch, &m.width, &m.seed);
    m.epoch_work = epoch_work(s, m.arch, m.width);
    m.context.threads = 1;
    allocate_curves(&m, room);
    arch = ex_arch(m.arch, m.width, m.seed, &s->data.train);
    status = prun_net_create_family(&m.context, &arch, &m.net);
    if (status == PRUN_OK) status = train(&m, number);
    m.train_seconds = ex_seconds() - start;
    if (status == PRUN_OK) status = measure(&m, TRAINING);
    if (status == PRUN_OK) status = measure(&m, TEST);
    m.measure_seconds = ex_seconds() - start - m.train_seconds;
    /* Divergence is a result. After any other failure there is no row, and a rerun tries again. */
    if (status == PRUN_OK || status == PRUN_ERR_NONFINITE) fill_row(&m, status, row);
    else if (status != PRUN_ERR_CANCELLED) /* the study reports why it stopped */
        ex_error("%s, width %ld, seed %ld: %s", ex_arch_labels[m.arch], (long)m.width, (long)m.seed,
                 ex_reason(&m.context, status));
    prun_net_free(m.net);
    free(room);
    return status != PRUN_OK && status != PRUN_ERR_NONFINITE;
}

/* ---- evaluation ---------------------------------------------------------------------------- */

/* What a claim covers: the training loss at all shares of the weights, or the test loss up to half
   of them or beyond. */
enum { TRAINING_ALL, TEST_FEW, TEST_MANY, SPANS };
static const struct span {
    int set;
    double from, to; /* shares touched: above `from`, up to `to`, except all weights */
} spans[SPANS] = {{TRAINING, 0, 1}, {TEST, 0, 0.5}, {TEST, 0.5, 1}};

/* Pruning against noise of the same size over the shares of a span. */
typedef struct comparison {
    int range, used;    /* shares in the span; those at which all losses are finite and above 0 */
    int less, more;     /* used shares at which pruning's loss is lower or higher: 95 % interval */
    double ratio, half; /* mean logarithm of the quotient, and half its 95 % interval */
} comparison;

/* The lowest test loss of a curve relative to that of the unpruned network, and half its 95 %
   interval. */
typedef struct bottom {
    double touched, change, half;
} bottom;

/* Models that differ only in the seed. What is not known is NaN, such as the interval of a single
   model. */
typedef struct group {
    int arch;
    int64_t width, models, lost; /* lost: models that diverged and are left out */
    int64_t *rows;               /* of the models */
    ex_text lost_seeds;          /* "1, 3" */
    int64_t first, end; /* first <= i < end: kept fraction i prunes some weights and keeps some */
    double *mean[SETS][METHODS][2]; /* loss and error over the seeds; by kept fraction */
    double *band[SETS][METHODS][2]; /* standard errors over seeds; over draws if there is one */
    comparison compared[SPANS];
    bottom lowest[METHODS];
} group;

typedef struct results {
    study *s;
    prun_context context;
    prun_table table;
    group *groups;
    int count;           /* of groups, with those that have no models */
    int64_t lost;        /* models that diverged */
    double *touched;     /* 1 - kept fraction */
    int64_t last;        /* index of the unpruned weights */
    double *x, *y, *sum; /* room for a value per seed */
} results;

static double cell(const results *r, int64_t row, const char *name) {
    return r->table.values[prun_table_find(&r->table, name) * r->table.rows + row];
}

static double value(const results *r, int64_t row, int set, int method, int kind, int64_t i) {
    char text[64];

    return cell(r, row, column_name(r->s, set, method, kind, i, text));
}

/* Mean and standard error of n values, one per seed; draws: the standard error to use if there is
   only one. */
static void summarize(const double *x, int64_t n, double draws, double *mean, double *error) {
    double sum = 0, squares = 0;
    int64_t i;

    for (i = 0; i < n; i++) sum += x[i];
    *mean = sum / (double)n;
    for (i = 0; i < n; i++) squares += (x[i] - *mean) * (x[i] - *mean);
    *error = n > 1 ? sqrt(squares / (double)(n - 1) / (double)n) : draws;
}

/* Mean of n values, one per seed, and half its 95 % interval: NaN for a single value. */
static void interval(const double *x, int64_t n, double *mean, double *half) {
    summarize(x, n, (double)NAN, mean, half);
    if (n > 1) *half *= ex_student(n - 1);
}

/* The side of 0 on which an interval lies; 0 if it contains 0 or is not known. */
static int side(double middle, double half) { return (middle > half) - (middle < -half); }

/* Means of a group at one kept fraction. */
static void fill_place(const results *r, group *g, int64_t i) {
    int set, method, kind;
    int64_t k;

    for (set = 0; set < SETS; set++)
        for (method = 0; method < METHODS; method++)
            for (kind = LOSS; kind <= ERROR; kind++) {
                const double draws = method == MAGNITUDE || kind == ERROR
                                         ? (double)NAN
                                         : value(r, g->rows[0], set, method, DEVIATION, i);

                for (k = 0; k < g->models; k++)
                    r->x[k] = value(r, g->rows[k], set, method, kind, i);
                summarize(r->x, g->models, draws, &g->mean[set][method][kind][i],
                          &g->band[set][method][kind][i]);
            }
}

static int in_span(const results *r, int span, int64_t i) {
    return r->touched[i] > spans[span].from + 1e-9 && r->touched[i] <= spans[span].to + 1e-9;
}

/* Adds the i-th kept fraction to a comparison, unless a model's loss is 0 or not finite there, so
   that the quotient has no logarithm. r->sum: of the logarithms, by model. */
static void compare_place(const results *r, const group *g, int span, int64_t i, comparison *c) {
    const int set = spans[span].set;
    double mean, half;
    int64_t k;

    c->range++;
    for (k = 0; k < g->models; k++) {
        const double pruned = value(r, g->rows[k], set, MAGNITUDE, LOSS, i);
        const double moved = value(r, g->rows[k], set, PERTURBED, LOSS, i);

        if (!isfinite(pruned) || !isfinite(moved) || pruned <= 0 || moved <= 0) return;
        r->x[k] = pruned - moved;
        r->y[k] = log(pruned) - log(moved);
    }
    for (k = 0; k < g->models; k++) r->sum[k] += r->y[k];
    interval(r->x, g->models, &mean, &half);
    c->used++;
    c->less += side(mean, half) < 0;
    c->more += side(mean, half) > 0;
}

/* Mean over the shares of a span of log(loss after pruning / loss after noise). It is one number
   per model, so that its interval does not depend on the choice of a share. */
static void compare(const results *r, group *g, int span) {
    comparison *c = &g->compared[span];
    int64_t i, k;

    for (k = 0; k < g->models; k++) r->sum[k] = 0;
    for (i = g->first; i < g->end; i++)
        if (in_span(r, span, i)) compare_place(r, g, span, i, c);
    if (c->used == 0) return;
    for (k = 0; k < g->models; k++) r->sum[k] /= c->used;
    interval(r->sum, g->models, &c->ratio, &c->half);
}

static void find_lowest(const results *r, group *g, int method) {
    bottom *b = &g->lowest[method];
    double mean, half;
    int64_t i, k;

    for (i = g->end; i-- > g->first;) { /* of equal losses, the one with the fewest touched */
        for (k = 0; k < g->models; k++)
            r->x[k] = value(r, g->rows[k], TEST, method, LOSS, i) -
                      value(r, g->rows[k], TEST, MAGNITUDE, LOSS, r->last);
        interval(r->x, g->models, &mean, &half);
        if (!isfinite(mean) || mean >= b->change) continue;
        b->touched = r->touched[i];
        b->change = mean;
        b->half = half;
    }
}

static double *next_curve(const results *r) {
    return (double *)ex_allocate((size_t)r->last + 1, sizeof(double));
}

/* Finds the kept fractions that, rounded to whole weights, prune something and keep something. */
static void find_range(const results *r, group *g) {
    const int64_t weights = (int64_t)cell(r, g->rows[0], "weights");
    const double *kept = r->s->set.fractions.value;

    while (g->first <= r->last && prun_kept_count_at(kept[g->first], weights) == 0) g->first++;
    g->end = g->first;
    while (g->end <= r->last && prun_kept_count_at(kept[g->end], weights) < weights) g->end++;
}

static void fill_group(const results *r, group *g) {
    int set, method, kind, span;
    int64_t i;

    for (set = 0; set < SETS; set++)
        for (method = 0; method < METHODS; method++)
            for (kind = 0; kind < 2; kind++) {
                g->mean[set][method][kind] = next_curve(r);
                g->band[set][method][kind] = next_curve(r);
            }
    for (i = 0; i <= r->last; i++) fill_place(r, g, i);
    find_range(r, g);
    for (span = 0; span < SPANS; span++) compare(r, g, span);
    for (method = 0; method < METHODS; method++) find_lowest(r, g, method);
}

static void free_results(results *r) {
    int g, set, method, kind;

    for (g = 0; g < r->count; g++) {
        for (set = 0; set < SETS; set++)
            for (method = 0; method < METHODS; method++)
                for (kind = 0; kind < 2; kind++) {
                    free(r->groups[g].mean[set][method][kind]);
                    free(r->groups[g].band[set][method][kind]);
                }
        ex_text_free(&r->groups[g].lost_seeds);
        free(r->groups[g].rows);
    }
    free(r->groups);
    free(r->touched);
    free(r->x);
    prun_table_free(&r->table);
}

static const char *text_cell(const results *r, int64_t row, const char *name) {
    return r->table.cells[row * r->table.columns + prun_table_find(&r->table, name)];
}

/* Why a model is left out, or NULL. Older rows can be "ok" without losses, and a loss of 1e31 would
   spoil every mean. */
static const char *defect(const results *r, int64_t row) {
    const char *status = text_cell(r, row, "status");
    int set;

    if (strcmp(status, "ok") != 0) return status;
    if (value(r, row, TRAINING, MAGNITUDE, LOSS, r->last) > ex_most_loss(&r->s->data))
        return "the training loss is far above that of guessing";
    for (set = 0; set < SETS; set++)
        if (!isfinite(value(r, row, set, MAGNITUDE, LOSS, r->last))) return no_loss[set];
    return NULL;
}

static void leave_out(results *r, group *g, int64_t seed, const char *why) {
    printf("left out: %s, width %ld, seed %ld: %s\n", ex_arch_labels[g->arch], (long)g->width,
           (long)seed, ex_shown(why));
    ex_text_add(&g->lost_seeds, "%s%ld", g->lost > 0 ? ", " : "", (long)seed);
    g->lost++;
    r->lost++;
}

static void read_group(results *r, int number) {
    const int64_t seeds = r->s->set.recipe.seeds.count;
    group *g = &r->groups[number];
    int64_t k, seed;
    int i;

    g->rows = (int64_t *)ex_allocate((size_t)seeds, sizeof *g->rows);
    for (i = 0; i < SPANS; i++) g->compared[i].ratio = g->compared[i].half = (double)NAN;
    for (i = 0; i < METHODS; i++) g->lowest[i].change = g->lowest[i].half = (double)NAN;
    for (k = number * seeds; k < (number + 1) * seeds; k++) { /* rows are in order of the models */
        const char *why = defect(r, k);

        identify(r->s, k, &g->arch, &g->width, &seed);
        if (why != NULL) leave_out(r, g, seed, why);
        else g->rows[g->models++] = k;
    }
    if (g->models > 0) fill_group(r, g);
}

/* Reads the rows and groups the seeds of each network. */
static int evaluate(results *r, const char *path) {
    const size_t seeds = (size_t)r->s->set.recipe.seeds.count;
    int64_t i;
    int g;

    if (prun_table_load_csv(&r->context, path, &r->table) != PRUN_OK)
        return ex_failure(&r->context, path);
    r->count = r->s->cnns + r->s->resnets;
    r->groups = (group *)ex_allocate((size_t)r->count, sizeof *r->groups);
    r->last = r->s->set.fractions.count - 1;
    r->touched = next_curve(r);
    for (i = 0; i <= r->last; i++) r->touched[i] = 1 - r->s->set.fractions.value[i];
    r->x = (double *)ex_allocate(3 * seeds, sizeof *r->x);
    r->y = r->x + seeds;
    r->sum = r->y + seeds;
    for (g = 0; g < r->count; g++) read_group(r, g);
    return 0;
}

/* ---- tables, figures ----------------------------------------------------------------------- */

/* Writes a line per point of each curve, for use with other plotting tools. */
static int write_curves(const results *r) {
    ex_text path = {NULL, 0, 0};
    ex_csv csv;
    int g, set, method;
    int64_t i;
    int status;

    ex_path(&path, r->s->set.common.out, "curves", "csv");
    status = ex_csv_open(&csv, path.data, 0);
    if (status == 0) {
        ex_csv_names(&csv, "arch,width,models,set,method,kept,touched,loss,loss_se,error,error_se");
        ex_csv_end_line(&csv);
        for (g = 0; g < r->count; g++)
            for (set = 0; set < SETS && r->groups[g].models > 0; set++)
                for (method = 0; method < METHODS; method++)
                    for (i = r->last; i >= 0; i--) {
                        const group *p = &r->groups[g];

                        ex_csv_text(&csv, ex_arch_names[p->arch]);
                        ex_csv_number(&csv, (double)p->width);
                        ex_csv_number(&csv, (double)p->models);
                        ex_csv_text(&csv, set_names[set]);
                        ex_csv_text(&csv, method_names[method]);
                        ex_csv_number(&csv, r->s->set.fractions.value[i]);
                        ex_csv_number(&csv, r->touched[i]);
                        ex_csv_number(&csv, p->mean[set][method][LOSS][i]);
                        ex_csv_number(&csv, p->band[set][method][LOSS][i]);
                        ex_csv_number(&csv, p->mean[set][method][ERROR][i]);
                        ex_csv_number(&csv, p->band[set][method][ERROR][i]);
                        ex_csv_end_line(&csv);
                    }
        status = ex_csv_close(&csv);
    }
    if (status == 0) printf("\n%s\n", ex_shown(path.data));
    ex_text_free(&path);
    return status;
}

/* Step through the kept fractions that shows about ten of them. */
static int64_t table_step(const results *r) { return (r->last + 9) / 10; }

static void loss_cell(ex_table *table, double loss) {
    ex_table_finite(table, loss < 1e5 ? "%.4f" : "%.3g", loss);
}

static void group_table(const results *r, const group *g, ex_table *table) {
    int64_t i;
    int set, method;

    ex_table_header(table, "touched|train: pruned|±|random|±|perturbed|±|"
                           "test: pruned|±|random|±|perturbed|±");
    for (i = r->last; i >= 0; i -= table_step(r)) {
        ex_table_cell(table, "%.4g", r->touched[i]);
        for (set = 0; set < SETS; set++)
            for (method = 0; method < METHODS; method++) {
                loss_cell(table, g->mean[set][method][LOSS][i]);
                loss_cell(table, g->band[set][method][LOSS][i]);
            }
    }
}

/* "one draw", "5 draws". */
static void add_counted(ex_text *text, int64_t n, const char *what) {
    if (n == 1) ex_text_add(text, "one %s", what);
    else ex_text_add(text, "%ld %ss", (long)n, what);
}

/* Heading and table of a group, for the screen or the report. */
static void write_group(const results *r, const group *g, int markdown, FILE *file) {
    ex_table table = {0, 0, 0, NULL};
    ex_text models = {NULL, 0, 0};

    add_counted(&models, g->models, "model");
    fprintf(file, "%s%s, width %ld: %slosses of %s by the share of weights touched\n\n",
            markdown ? "## " : "\n", ex_arch_labels[g->arch], (long)g->width,
            g->models > 1 ? "mean " : "", models.data);
    group_table(r, g, &table);
    if (markdown) ex_table_markdown(&table, file);
    else ex_table_print(&table, file);
    ex_table_free(&table);
    ex_text_free(&models);
}

static void write_groups(const results *r, int markdown, FILE *file) {
    int g;

    for (g = 0; g < r->count; g++)
        if (r->groups[g].models > 0) write_group(r, &r->groups[g], markdown, file);
}

/* Describes data and training in two lines. */
static void describe(const results *r, ex_text *first, ex_text *second) {
    const settings *set = &r->s->set;
    const int64_t seeds = set->recipe.seeds.count;

    ex_recipe_describe(&set->recipe, &r->s->data, first);
    ex_text_add(first, "; test: ");
    add_counted(first, r->s->data.test.count, "image");
    if (seeds > 1 || set->draws > 1) ex_text_add(second, "mean and standard error over ");
    if (seeds > 1 && r->lost > 0) ex_text_add(second, "up to ");
    if (seeds > 1) add_counted(second, seeds, "seed");
    if (seeds > 1) ex_text_add(second, ", each of ");
    add_counted(second, set->draws, "draw");
    if (seeds == 1) ex_text_add(second, " of one seed");
    ex_text_add(second, "; noise has the Euclidean norm of the weights that pruning removes");
}

static ex_plot panel(const results *r, const group *g, int set, ex_series series[METHODS],
                     char *title, size_t size) {
    ex_plot plot;
    int method;

    for (method = 0; method < METHODS; method++) {
        memset(&series[method], 0, sizeof series[method]);
        series[method].name = set == TEST ? method_labels[method] : NULL;
        series[method].x = r->touched;
        series[method].y = g->mean[set][method][LOSS];
        series[method].error = g->band[set][method][LOSS];
        series[method].n = r->last + 1;
        series[method].line = 1;
        series[method].colour = method == MAGNITUDE ? 0 : method == RANDOM ? 2 : 1;
        series[method].dashed = method == RANDOM;
    }
    snprintf(title, size, "%s, width %ld: %s loss", ex_arch_labels[g->arch], (long)g->width,
             set == TEST ? "test" : "training");
    memset(&plot, 0, sizeof plot);
    plot.title = title;
    plot.x_label = "share of the weights touched";
    plot.y_label = "cross-entropy (nats)";
    plot.log_y = 1;
    plot.series = series;
    plot.count = METHODS;
    return plot;
}

/* Number of widths of an architecture that have models. */
static int drawn(const results *r, int arch) {
    int g, n = 0;

    for (g = 0; g < r->count; g++) n += r->groups[g].arch == arch && r->groups[g].models > 0;
    return n;
}

/* Figure 2 (ResNet18) or 5 (CNN): a row of two panels per width. */
static int draw(const results *r, int arch) {
    const double width = 430, height = 320, legend = 260;
    ex_series series[METHODS];
    ex_text path = {NULL, 0, 0}, first = {NULL, 0, 0}, second = {NULL, 0, 0};
    FILE *file;
    char title[80];
    int g, rows = drawn(r, arch), status = EX_FAILED;

    if (rows == 0) return 0;
    file = ex_svg_open(r->s->set.common.out, arch == EX_CNN ? "figure5" : "figure2",
                       2 * width + legend, EX_SVG_HEAD + height * rows, &path);
    describe(r, &first, &second);
    if (file != NULL) {
        ex_svg_head(file, first.data, second.data);
        for (g = 0, rows = 0; g < r->count; g++) {
            const double top = EX_SVG_HEAD + height * rows;
            ex_plot plot;

            if (r->groups[g].arch != arch || r->groups[g].models == 0) continue;
            plot = panel(r, &r->groups[g], TRAINING, series, title, sizeof title);
            ex_plot_draw(file, &plot, 0, top, width, height);
            plot = panel(r, &r->groups[g], TEST, series, title, sizeof title);
            ex_plot_draw(file, &plot, width, top, width + legend, height);
            rows++;
        }
        status = ex_svg_close(file, path.data);
        if (status == 0) printf("%s\n", ex_shown(path.data));
    }
    ex_text_free(&path);
    ex_text_free(&first);
    ex_text_free(&second);
    return status;
}

/* ---- report -------------------------------------------------------------------------------- */

/* Why something has no interval for a group. */
static const char *untested(const group *g) {
    return g->models == 0                   ? "all models diverged"
           : g->models == 1 && g->lost == 0 ? "one seed has no standard error"
           : g->models == 1                 ? "one model has no standard error"
                                            : "the losses are not finite";
}

/* half: half of the interval that decides; agrees: 1, 0 or -1. */
static const char *verdict(double half, int agrees) {
    static const char *const verdicts[3] = {"did not hold", "undecided", "held"};

    return isfinite(half) ? verdicts[1 + agrees] : "not tested";
}

static void claim(ex_table *table, const group *g, const char *text, const char *found,
                  const char *result) {
    if (g != NULL) ex_table_cell(table, "%s, width %ld", ex_arch_labels[g->arch], (long)g->width);
    else ex_table_cell(table, "%s, all widths", ex_arch_labels[EX_RESNET18]);
    ex_claim(table, text, found, result);
}

static void add_quotient(ex_text *text, const char *before, double logarithm) {
    if (logarithm > 690) ex_text_add(text, "%sover 1e299", before); /* no infinity */
    else ex_text_add(text, fabs(logarithm) < 5 ? "%s%.4f" : "%s%.4g", before, exp(logarithm));
}

static void add_comparison(ex_text *found, const group *g, const comparison *c) {
    const int known = isfinite(c->half) != 0;

    add_quotient(found, "loss after pruning / after noise: ", c->ratio);
    if (known) add_quotient(found, " (95 % interval ", c->ratio - c->half);
    if (known) add_quotient(found, " to ", c->ratio + c->half);
    ex_text_add(found, "%s over ", known ? ")" : "");
    add_counted(found, c->used, "share");
    if (c->used < c->range)
        ex_text_add(found, " (%d left out: a loss is 0 or not finite)", c->range - c->used);
    if (known)
        ex_text_add(found, "; less / as much / more at %d / %d / %d of them", c->less,
                    c->used - c->less - c->more, c->more);
    else ex_text_add(found, "; interval undefined: %s", untested(g));
}

/* sign: 1 if the claim is that pruning hurts more than noise, -1 if less. */
static void span_claim(const group *g, ex_table *table, int span, int sign, const char *text) {
    const comparison *c = &g->compared[span];
    ex_text found = {NULL, 0, 0};

    if (c->used > 0) add_comparison(&found, g, c);
    else
        ex_text_add(&found, "undefined: %s",
                    g->models == 0  ? untested(g)
                    : c->range == 0 ? "no share of the weights in this range was tried"
                                    : "at every share, a loss is 0 or not finite");
    claim(table, g, text, found.data, verdict(c->half, sign * side(c->ratio, c->half)));
    ex_text_free(&found);
}

static void add_lowest(ex_text *found, const group *g, const bottom *b) {
    if (isnan(b->change)) {
        ex_text_add(found, "undefined: %s",
                    g->models > 0 && g->first == g->end
                        ? "every share tried rounds to none or all of the weights"
                        : untested(g));
        return;
    }
    ex_text_add(found, "lowest with %.3g %% touched: %+.4g relative to the unpruned network",
                100 * b->touched, b->change);
    if (isfinite(b->half))
        ex_text_add(found, " (95 %% interval %+.4g to %+.4g)", b->change - b->half,
                    b->change + b->half);
    else ex_text_add(found, "; interval undefined: %s", untested(g));
}

/* Whether the test loss falls at some share: 1 yes, -1 no, 0 undecided. */
static int falls(const bottom *b) { return side(b->change, b->half) < 0 ? 1 : -(b->change >= 0); }

/* sign: 1 if the paper claims that the test loss falls, -1 if it does not. */
static void lower_claim(const group *g, ex_table *table, int method, int sign, const char *text) {
    const bottom *b = &g->lowest[method];
    ex_text found = {NULL, 0, 0};

    add_lowest(&found, g, b);
    claim(table, g, text, found.data, verdict(b->half, sign * falls(b)));
    ex_text_free(&found);
}

/* That pruning lowers the test loss of some ResNet18s: one width is enough. */
static void some_claim(const results *r, ex_table *table, const char *text) {
    const group *best = NULL;
    ex_text found = {NULL, 0, 0};
    int g, tested = 0, fell = 0, rose = 0;

    for (g = r->s->cnns; g < r->count; g++) {
        const bottom *b = &r->groups[g].lowest[MAGNITUDE];

        if (!isfinite(b->half)) continue;
        tested++;
        fell += falls(b) > 0;
        rose += falls(b) < 0;
        if (best == NULL ||
            b->change + b->half < best->lowest[MAGNITUDE].change + best->lowest[MAGNITUDE].half)
            best = &r->groups[g];
    }
    if (best == NULL) {
        ex_text_add(&found, "undefined: %s",
                    r->s->set.recipe.seeds.count == 1 ? "one seed has no standard error"
                                                      : "no width has two models left");
    } else {
        ex_text_add(&found, "lower at %d of %d width%s tested; width %ld: ", fell, tested,
                    ex_plural(tested), (long)best->width);
        add_lowest(&found, best, &best->lowest[MAGNITUDE]);
    }
    claim(table, NULL, text, found.data,
          verdict(best != NULL ? 0 : (double)NAN, fell > 0 ? 1 : -(rose == tested)));
    ex_text_free(&found);
}

static void group_claims(const group *g, ex_table *table) {
    const int cnn = g->arch == EX_CNN;

    span_claim(g, table, TRAINING_ALL, 1,
               cnn ? "pruning generally raises the training loss more than noise of the same size "
                     "(B.2)"
                   : "pruning raises the training loss more than noise of the same size (5.4.3)");
    span_claim(g, table, TEST_FEW, -1,
               cnn ? "up to half of the weights, pruning hurts the test loss less than noise (B.2)"
                   : "up to half of the weights, pruning hurts the test loss less than noise (B.2: "
                     "as for the CNN)");
    span_claim(g, table, TEST_MANY, 1,
               cnn ? "beyond half of the weights, pruning hurts the test loss more (B.2)"
                   : "beyond half of the weights, pruning hurts the test loss more (B.2: as for "
                     "the CNN)");
    if (cnn) lower_claim(g, table, MAGNITUDE, -1, "pruning does not lower the test loss (B.2)");
    lower_claim(g, table, PERTURBED, -1,
                cnn ? "random perturbation does not lower the test loss (5.4.3, there for "
                      "ResNet18)"
                    : "random perturbation does not lower the test loss (5.4.3)");
}

static int claims(const results *r, FILE *file) {
    static const char some[] = "in some cases, pruning lowers the test loss (5.4.3)";
    ex_table table = {0, 0, 0, NULL};
    int g;

    ex_table_header(&table, "models|the paper says|this run found|verdict");
    for (g = 0; g < r->count; g++) group_claims(&r->groups[g], &table);
    if (r->s->resnets == 1) lower_claim(&r->groups[r->s->cnns], &table, MAGNITUDE, 1, some);
    if (r->s->resnets > 1) some_claim(r, &table, some);
    return ex_report_table(&r->s->rows, file, &table, "claims");
}

static const char rules[] =
    "± is a standard error over seeds, for a single model over draws. Quotients and differences "
    "are taken within each model; intervals are those of their mean over seeds (Student's t). "
    "With fewer than two models of a width there is no interval, and a claim about that width is "
    "not tested.\n\n"
    "Pruning against noise: the quotient is the geometric mean over the shares of the weights "
    "that were tried in the range of the claim, except none and all of them. Shares at which a "
    "loss of any model is 0 or not finite are left out. That pruning hurts more held if the "
    "interval of the quotient is above 1, did not hold if it is below 1, and is undecided if it "
    "contains 1; that it hurts less, the other way round. It does not matter for the verdict at "
    "how many shares they differ: \"less\" and \"more\" count those at which the 95 % interval "
    "of the difference does not contain 0. The paper speaks of moderate and of larger amounts; "
    "half of the weights as the limit is this program's choice.\n\n"
    "Lower test loss: decided at the share, except none and all, at which the mean test loss is "
    "lowest. It is lower than that of the unpruned network if the interval there is below 0, not "
    "lower if even that mean is not below 0, and otherwise the claim is undecided. \"Not lower\" "
    "is meant as in the paper: no fall is observed; a fall within the interval is not excluded. "
    "\"In some cases\" held if it is lower at one width or more, and did not hold if it is not "
    "lower at any width that was tested. The lowest of all shares was chosen after looking, so "
    "the interval there is too narrow, and small falls can occur by chance.\n\n"
    "Verdicts are not corrected for the number of claims and widths.\n\n";

/* How many models of which width are left out. */
static void write_lost(const results *r, FILE *file) {
    int g, listed = 0;

    for (g = 0; g < r->count; g++) {
        const group *p = &r->groups[g];

        if (p->lost == 0) continue;
        fprintf(file, "%s%s, width %ld: %ld of %ld model%s (seed%s %s)",
                listed++ > 0 ? "; " : "Left out, because their training diverged: ",
                ex_arch_labels[p->arch], (long)p->width, (long)p->lost, (long)(p->models + p->lost),
                ex_plural(p->models + p->lost), ex_plural(p->lost), p->lost_seeds.data);
    }
    if (listed > 0)
        fprintf(file,
                ". Diverged means: a loss is not finite, or the training loss is above %.3g, %g "
                "times that of guessing.\n\n",
                ex_most_loss(&r->s->data), EX_MOST_LOSS);
}

static void write_setting(const results *r, FILE *file) {
    ex_text first = {NULL, 0, 0}, second = {NULL, 0, 0};

    describe(r, &first, &second);
    fprintf(file,
            "\n## The question\n\nPruning moves the weights. Does it change a network more than "
            "noise of the same size on the same weights?\n\n## The setting\n\n%s; %s.\n\n",
            first.data, second.data);
    write_lost(r, file);
    ex_report_choice(&r->s->set.common,
                     "only from the train loss of the unpruned networks (is the training set "
                     "fitted?)",
                     file);
    if (r->lost < r->s->rows.count) fprintf(file, "## The figure\n\n");
    if (drawn(r, EX_RESNET18) > 0) fprintf(file, "![ResNet18](figure2.svg)\n\n");
    if (drawn(r, EX_CNN) > 0) fprintf(file, "![CNN](figure5.svg)\n\n");
    ex_text_free(&first);
    ex_text_free(&second);
}

static int report(const results *r, int argc, char **argv) {
    ex_text path = {NULL, 0, 0};
    FILE *file =
        ex_report_open(&r->s->rows, "Pruning against random perturbation", argc, argv, &path);
    int status;

    if (file == NULL) return EX_FAILED;
    write_setting(r, file);
    fprintf(file, "## The answer\n\n");
    status = claims(r, file);
    fputs(rules, file);
    write_groups(r, 1, file);
    status = ex_finish(status, file, path.data);
    if (status == 0) printf("%s\n", ex_shown(path.data));
    ex_text_free(&path);
    return status;
}

/* ---- program ------------------------------------------------------------------------------- */

/* One option table, a set of defaults for each preset. */
typedef struct preset {
    const char *cnn, *resnet, *fractions, *draws;
    ex_recipe_preset recipe;
} preset;

static const preset presets[EX_PRESETS] = {
    {"4", "2", "10", "3", {"1,2", "10", "32", "0", "0", "0", "500", "500", "0"}},
    {"8,16",
     "4,8",
     "20",
     "5",
     {"1,2,3,4,5,6,7,8,9,10", "25", "32", "0", "0", "0", "2000", "0", "0"}},
    {"4,8,16,32",
     "4,8,16",
     "40",
     "5",
     {"1,2,3,4,5,6,7,8,9,10,11,12", "40", "32", "0", "0", "0", "2000", "0", "0"}},
    {"16,64", "16,64", "20", "5", {"1,2,3,4,5", "200", "128", "4", "1", "0", "0", "0", "5"}}};

/* Before the training: can the claims be tested? */
static int check_fractions(const ex_fractions *list) {
    int64_t i, inside = 0;

    for (i = 0; i < list->count; i++) inside += list->value[i] > 0 && list->value[i] < 1;
    if (inside == 0) {
        ex_error("--fractions %s: at least one kept fraction above 0 and below 1 is needed",
                 list->text);
        return EX_USAGE;
    }
    return -1;
}

static int parse(void *user, int argc, char **argv) {
    settings *set = &((study *)user)->set;
    static const char *const directories[EX_PRESETS] = {
        "prune_vs_perturb-demo", "prune_vs_perturb-mini", "prune_vs_perturb-night",
        "prune_vs_perturb-full"};
    const int which = ex_preset(argc, argv);
    const preset *d = &presets[which];
    const ex_option options[] = {
        EX_STUDY_OPTIONS(&set->common, directories[which]),
        {"arch", EX_CHOICE, &set->arch, "both", 0, 0, "networks"},
        {"cnn-widths", EX_INT_LIST, &set->cnn, d->cnn, 1, 4096, "channels of the first layer"},
        {"resnet-widths", EX_INT_LIST, &set->resnet, d->resnet, 1, 4096,
         "channels of the first stage"},
        EX_RECIPE_OPTIONS(&set->recipe, &d->recipe),
        {"fractions", EX_FRACTIONS, &set->fractions, d->fractions, 0, 1,
         "kept fractions to try: N: i/N; dense: hundredths to 0.9, then 1 - 10^(-1 - i/10); or a "
         "list"},
        {"draws", EX_INT, &set->draws, d->draws, 1, 1e6, "permutations, and noise vectors"},
        EX_KEEP_OPTION(&set->recipe, &d->recipe)};
    const ex_program program = {
        "prune_vs_perturb",
        "",
        "Compares pruning of a trained network with noise of the same size on the same weights.",
        options,
        sizeof options / sizeof *options,
        0,
        0};
    int status;

    set->arch.names = "both|cnn|resnet18";
    status = ex_parse(&program, argc, argv, NULL);
    if (status < 0) status = ex_study_check(&set->common);
    if (status < 0) status = ex_recipe_check(&set->recipe, &set->common);
    if (status < 0) status = check_fractions(&set->fractions);
    return status;
}

static void add_widths(ex_text *text, int arch, const ex_ints *widths) {
    ex_text_add(text, "%s of width%s ", ex_arch_labels[arch], ex_plural(widths->count));
    ex_list_text(widths, text);
}

/* Prints the cost of the study, estimated from a first step of its most expensive network. */
static int announce(void *user) {
    const study *s = (const study *)user;
    double seconds = 0, bytes = 0, disk = 20.0 * 336 * (double)s->rows.count;
    ex_text networks = {NULL, 0, 0};
    int64_t width, seed;
    prun_arch arch;
    int family, status;

    if (!ex_study_trains(&s->rows)) return -1;
    if (s->cnns > 0) add_widths(&networks, EX_CNN, &s->set.cnn);
    if (s->cnns > 0 && s->resnets > 0) ex_text_add(&networks, " and ");
    if (s->resnets > 0) add_widths(&networks, EX_RESNET18, &s->set.resnet);
    ex_recipe_announce(&s->set.recipe, &s->data, networks.data);
    ex_text_free(&networks);
    identify(s, s->rows.order[0], &family, &width, &seed);
    arch = ex_arch(family, width, seed, &s->data.train);
    status = ex_probe(&arch, &s->data.train, s->set.recipe.batch, &seconds, &bytes);
    if (status != 0) return status;
    if (s->set.recipe.save_every > 0) disk += bytes / 8;
    seconds /= 3 * ex_forward_cost(family, width);
    return ex_study_cost(&s->rows, s->rows.left * seconds, bytes, disk);
}

static int load(void *user, prun_context *context, const char *program) {
    study *s = (study *)user;

    return ex_recipe_load(&s->set.recipe, context, program, &s->data);
}

static int evaluate_all(void *user, int argc, char **argv) {
    static results r;
    study *s = (study *)user;
    int status;

    r.s = s;
    status = evaluate(&r, s->rows.path.data);
    if (status == 0) {
        write_groups(&r, 0, stdout);
        status = write_curves(&r);
    }
    if (status == 0) status = draw(&r, EX_RESNET18) | draw(&r, EX_CNN);
    if (status == 0) status = report(&r, argc, argv);
    free_results(&r);
    return status;
}

static int set_up(void *user) {
    study *s = (study *)user;

    s->cnns = s->set.arch.value == 2 ? 0 : s->set.cnn.count;
    s->resnets = s->set.arch.value == 1 ? 0 : s->set.resnet.count;
    ex_text_add(&s->names, "%s,weights", KEY_NAMES);
    each_curve(name_curve, s);
    ex_text_add(&s->names, ",%s", EX_OUTCOME_NAMES);
    s->rows.set = &s->set.common;
    s->rows.count = (int64_t)(s->cnns + s->resnets) * s->set.recipe.seeds.count;
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
