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

/* Name of the column with a curve's value at the i-th kept fraction. text: 64 bytes. */
static const char *column_name(const study *s, int set, int method, int kind, int64_t i,
                               char *text) {
    snprintf(text, 64, "%s_%s_%s_%.6g", set_names[set], method_names[method], kind_names[kind],
             s->set.fractions.value[i]);
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
        ex_error("%s, width %ld, seed %ld: %s", ex_arch_names[m.arch], (long)m.width, (long)m.seed,
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

/* Models that differ only in the seed. */
typedef struct group {
    int arch;
    int64_t width, models;
    double *mean[SETS][METHODS][2]; /* loss and error over the seeds; by kept fraction */
    double *band[SETS][METHODS][2]; /* standard errors over seeds; over draws if there is one */
    /* Differences of losses: means over seeds and their standard errors. */
    double *excess[SETS], *excess_error[SETS];   /* magnitude - perturbed */
    double ratio[SPANS], ratio_error[SPANS];     /* mean logarithm of their quotient */
    double *rise[METHODS], *rise_error[METHODS]; /* of the test loss above the unpruned one */
} group;

typedef struct results {
    study *s;
    prun_context context;
    prun_table table;
    group *groups;
    int count;
    double *touched; /* 1 - kept fraction */
    int64_t last;    /* index of the unpruned weights */
} results;

static double value(const results *r, int64_t row, int set, int method, int kind, int64_t i) {
    char text[64];
    const char *name = column_name(r->s, set, method, kind, i, text);
    const int64_t column = prun_table_find(&r->table, name);

    return r->table.values[column * r->table.rows + row];
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

/* Fills a group at one kept fraction. rows: its models; x: room for as many values. */
static void fill_place(const results *r, group *g, const int64_t *rows, double *x, int64_t i) {
    const int64_t all = r->last;
    int set, method, kind;
    int64_t k;

    for (set = 0; set < SETS; set++) {
        for (method = 0; method < METHODS; method++)
            for (kind = LOSS; kind <= ERROR; kind++) {
                const double draws = method == MAGNITUDE ? 0
                                     : kind == ERROR     ? (double)NAN
                                                     : value(r, rows[0], set, method, DEVIATION, i);

                for (k = 0; k < g->models; k++) x[k] = value(r, rows[k], set, method, kind, i);
                summarize(x, g->models, draws, &g->mean[set][method][kind][i],
                          &g->band[set][method][kind][i]);
            }
        for (k = 0; k < g->models; k++)
            x[k] = value(r, rows[k], set, MAGNITUDE, LOSS, i) -
                   value(r, rows[k], set, PERTURBED, LOSS, i);
        summarize(x, g->models, value(r, rows[0], set, PERTURBED, DEVIATION, i), &g->excess[set][i],
                  &g->excess_error[set][i]);
    }
    for (method = 0; method < METHODS; method++) {
        for (k = 0; k < g->models; k++)
            x[k] = value(r, rows[k], TEST, method, LOSS, i) -
                   value(r, rows[k], TEST, MAGNITUDE, LOSS, all);
        summarize(x, g->models,
                  method == MAGNITUDE ? 0 : value(r, rows[0], TEST, method, DEVIATION, i),
                  &g->rise[method][i], &g->rise_error[method][i]);
    }
}

static int in_span(const results *r, int span, int64_t i) {
    return r->touched[i] > spans[span].from + 1e-9 && r->touched[i] <= spans[span].to + 1e-9 &&
           r->touched[i] < 1 - 1e-9;
}

/* Mean over the shares of a span of log(loss after pruning / loss after noise). It is one number
   per model, so that its interval does not depend on the choice of a share. */
static void fill_ratio(const results *r, group *g, const int64_t *rows, double *x, int span) {
    const int set = spans[span].set;
    int64_t i, k;

    for (k = 0; k < g->models; k++) {
        double sum = 0, n = 0;

        for (i = 1; i < r->last; i++) {
            if (!in_span(r, span, i)) continue;
            sum += log(value(r, rows[k], set, MAGNITUDE, LOSS, i) /
                       value(r, rows[k], set, PERTURBED, LOSS, i));
            n++;
        }
        x[k] = sum / n;
    }
    summarize(x, g->models, (double)NAN, &g->ratio[span], &g->ratio_error[span]);
}

static double *next_curve(const results *r) {
    return (double *)ex_allocate((size_t)r->last + 1, sizeof(double));
}

static void make_group(results *r, group *g, const int64_t *rows) {
    double *x = (double *)ex_allocate((size_t)g->models, sizeof *x);
    int set, method, kind;
    int64_t i;

    for (set = 0; set < SETS; set++) {
        for (method = 0; method < METHODS; method++)
            for (kind = 0; kind < 2; kind++) {
                g->mean[set][method][kind] = next_curve(r);
                g->band[set][method][kind] = next_curve(r);
            }
        g->excess[set] = next_curve(r);
        g->excess_error[set] = next_curve(r);
    }
    for (method = 0; method < METHODS; method++) {
        g->rise[method] = next_curve(r);
        g->rise_error[method] = next_curve(r);
    }
    for (i = 0; i <= r->last; i++) fill_place(r, g, rows, x, i);
    for (set = 0; set < SPANS; set++) fill_ratio(r, g, rows, x, set);
    free(x);
}

static void free_results(results *r) {
    int g, set, method, kind;

    for (g = 0; g < r->count; g++) {
        for (set = 0; set < SETS; set++) {
            for (method = 0; method < METHODS; method++)
                for (kind = 0; kind < 2; kind++) {
                    free(r->groups[g].mean[set][method][kind]);
                    free(r->groups[g].band[set][method][kind]);
                }
            free(r->groups[g].excess[set]);
            free(r->groups[g].excess_error[set]);
        }
        for (method = 0; method < METHODS; method++) {
            free(r->groups[g].rise[method]);
            free(r->groups[g].rise_error[method]);
        }
    }
    free(r->groups);
    free(r->touched);
    prun_table_free(&r->table);
}

static const char *text_cell(const results *r, int64_t row, const char *name) {
    return r->table.cells[row * r->table.columns + prun_table_find(&r->table, name)];
}

/* Reads the rows and groups the seeds of each network. */
static int evaluate(results *r, const char *path) {
    const int64_t seeds = r->s->set.recipe.seeds.count;
    int64_t *rows, i, k;

    if (prun_table_load_csv(&r->context, path, &r->table) != PRUN_OK)
        return ex_failure(&r->context, path);
    r->groups = (group *)ex_allocate((size_t)(r->s->cnns + r->s->resnets), sizeof *r->groups);
    r->last = r->s->set.fractions.count - 1;
    r->touched = next_curve(r);
    for (i = 0; i <= r->last; i++) r->touched[i] = 1 - r->s->set.fractions.value[i];
    rows = (int64_t *)ex_allocate((size_t)seeds, sizeof *rows);
    for (i = 0; i < r->s->cnns + r->s->resnets; i++) {
        group *g = &r->groups[r->count];
        int64_t seed;

        memset(g, 0, sizeof *g);
        identify(r->s, i * seeds, &g->arch, &g->width, &seed);
        for (k = i * seeds; k < (i + 1) * seeds; k++) /* rows are in order of the models */
            if (strcmp(text_cell(r, k, "status"), "ok") == 0) rows[g->models++] = k;
            else
                printf("left out: %s, width %ld: %s\n", ex_arch_names[g->arch], (long)g->width,
                       text_cell(r, k, "status"));
        if (g->models > 0) {
            make_group(r, g, rows);
            r->count++;
        }
    }
    free(rows);
    if (r->count == 0) printf("No model has a result.\n");
    return r->count > 0 ? 0 : EX_FAILED;
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
            for (set = 0; set < SETS; set++)
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

static void group_table(const results *r, const group *g, ex_table *table) {
    int64_t i;
    int set, method;

    ex_table_header(table, "touched|train: pruned|±|random|±|perturbed|±|"
                           "test: pruned|±|random|±|perturbed|±");
    for (i = r->last; i >= 0; i -= table_step(r)) {
        ex_table_cell(table, "%.2f", r->touched[i]);
        for (set = 0; set < SETS; set++)
            for (method = 0; method < METHODS; method++) {
                const double error = g->band[set][method][LOSS][i];

                ex_table_cell(table, "%.4f", g->mean[set][method][LOSS][i]);
                if (isnan(error)) ex_table_cell(table, "-");
                else ex_table_cell(table, "%.4f", error);
            }
    }
}

static void print_tables(const results *r) {
    int g;

    for (g = 0; g < r->count; g++) {
        ex_table table = {0, 0, 0, NULL};

        printf("\n%s, width %ld, %ld models: mean losses by the share of weights touched\n\n",
               ex_arch_labels[r->groups[g].arch], (long)r->groups[g].width,
               (long)r->groups[g].models);
        group_table(r, &r->groups[g], &table);
        ex_table_print(&table, stdout);
        ex_table_free(&table);
    }
}

/* Describes data and training in two lines. */
static void describe(const results *r, ex_text *first, ex_text *second) {
    const settings *set = &r->s->set;

    ex_recipe_describe(&set->recipe, &r->s->data, first);
    ex_text_add(first, "; test: %ld images", (long)r->s->data.test.count);
    if (set->recipe.seeds.count > 1)
        ex_text_add(second, "mean and standard error over %d seeds, each of %ld draws",
                    set->recipe.seeds.count, (long)set->draws);
    else ex_text_add(second, "one model; mean and standard error over %ld draws", (long)set->draws);
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

/* Figure 2 (ResNet18) or 5 (CNN): a row of two panels per width. */
static int draw(const results *r, int arch) {
    const double width = 430, height = 320, legend = 260;
    ex_series series[METHODS];
    ex_text path = {NULL, 0, 0}, first = {NULL, 0, 0}, second = {NULL, 0, 0};
    FILE *file;
    char title[80];
    int g, rows = 0, status = EX_FAILED;

    for (g = 0; g < r->count; g++) rows += r->groups[g].arch == arch;
    if (rows == 0) return 0;
    file = ex_svg_open(r->s->set.common.out, arch == EX_CNN ? "figure5" : "figure2",
                       2 * width + legend, EX_SVG_HEAD + height * rows, &path);
    describe(r, &first, &second);
    if (file != NULL) {
        ex_svg_head(file, first.data, second.data);
        for (g = 0, rows = 0; g < r->count; g++) {
            const double top = EX_SVG_HEAD + height * rows;
            ex_plot plot;

            if (r->groups[g].arch != arch) continue;
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

/* At how many shares the 95 % interval of a difference is above, around and below 0. */
typedef struct signs {
    int above, within, below;
} signs;

/* Half the width of such an interval in standard errors. */
static double reach(const results *r, const group *g) {
    return ex_student((g->models > 1 ? g->models : r->s->set.draws) - 1);
}

static signs count_signs(const results *r, const group *g, int span) {
    const int set = spans[span].set;
    const double *x = g->excess[set], limit = reach(r, g);
    signs n = {0, 0, 0};
    int64_t i;

    for (i = 1; i < r->last; i++) {
        const double half = limit * g->excess_error[set][i];

        if (!in_span(r, span, i) || isnan(x[i])) continue;
        n.above += x[i] > half;
        n.below += x[i] < -half;
        n.within += !(x[i] > half) && !(x[i] < -half);
    }
    return n;
}

/* Index of the lowest value, excluding the unpruned weights. */
static int64_t lowest(const results *r, const double *x) {
    int64_t i, best = r->last - 1;

    for (i = best; i >= 0; i--) best = x[i] < x[best] ? i : best;
    return best;
}

static void claim(ex_table *table, const group *g, const char *text, const char *found,
                  const char *result) {
    ex_table_cell(table, "%s, width %ld", ex_arch_labels[g->arch], (long)g->width);
    ex_table_cell(table, "%s", text);
    ex_table_cell(table, "%s", found);
    ex_table_cell(table, "%s", result);
}

/* more: 1 if the claim is that pruning hurts more than noise, 0 if less. */
static void span_claim(const results *r, const group *g, ex_table *table, int span, int more,
                       const char *text) {
    const signs n = count_signs(r, g, span);
    const double change = g->ratio[span], half = reach(r, g) * g->ratio_error[span];
    char found[240];

    snprintf(found, sizeof found,
             "loss after pruning / after noise: %.3f (95 %% interval %.3f to %.3f), mean over the "
             "shares; less / as much / more at %d / %d / %d of them",
             exp(change), exp(change - half), exp(change + half), n.below, n.within, n.above);
    claim(table, g, text, found,
          isnan(half) ? "undefined"
          : more      ? (change > half    ? "held"
                         : change < -half ? "did not hold"
                                          : "undecided")
                      : (change < -half  ? "held"
                         : change > half ? "did not hold"
                                         : "undecided"));
}

/* wanted: 1 if the paper claims that the test loss falls, 0 if it does not. */
static void lower_claim(const results *r, const group *g, ex_table *table, int method, int wanted,
                        const char *text) {
    const int64_t i = lowest(r, g->rise[method]);
    const double change = g->rise[method][i], error = g->rise_error[method][i];
    const int fell = change<(error > 0 ? -reach(r, g) * error : 0), rose = change> - error;
    char found[160];

    snprintf(found, sizeof found,
             "lowest with %.0f %% touched: %+.4g ± %.2g relative to the unpruned network",
             100 * r->touched[i], change, error);
    claim(table, g, text, found,
          fell == wanted && (fell || rose)  ? "held"
          : fell || (wanted && change >= 0) ? "did not hold"
                                            : "undecided");
}

static int report(const results *r, int argc, char **argv) {
    ex_text path = {NULL, 0, 0}, first = {NULL, 0, 0}, second = {NULL, 0, 0};
    ex_table table = {0, 0, 0, NULL};
    FILE *file =
        ex_report_open(&r->s->rows, "Pruning against random perturbation", argc, argv, &path);
    int g, status;

    if (file == NULL) return EX_FAILED;
    describe(r, &first, &second);
    fprintf(file,
            "\n## The question\n\nPruning moves the weights. Does it change a network more than "
            "noise of the same size on the same weights?\n\n## The setting\n\n%s; %s.\n\n",
            first.data, second.data);
    ex_report_choice(&r->s->set.common,
                     "only from the train loss of the unpruned networks (is the training set "
                     "fitted?)",
                     file);
    fprintf(file, "## The figure\n\n");
    if (r->s->resnets > 0) fprintf(file, "![ResNet18](figure2.svg)\n\n");
    if (r->s->cnns > 0) fprintf(file, "![CNN](figure5.svg)\n\n");
    fprintf(file, "## The answer\n\n");
    ex_table_header(&table, "models|the paper says|this run found|verdict");
    for (g = 0; g < r->count; g++) {
        const group *p = &r->groups[g];

        span_claim(r, p, &table, TRAINING_ALL, 1,
                   "pruning raises the training loss more than noise of the same size (5.4.3, "
                   "B.2)");
        if (p->arch == EX_CNN) {
            span_claim(r, p, &table, TEST_FEW, 0,
                       "up to half of the weights, pruning hurts the test loss less than noise "
                       "(B.2)");
            span_claim(r, p, &table, TEST_MANY, 1,
                       "beyond half of the weights, pruning hurts the test loss more (B.2)");
        }
        lower_claim(r, p, &table, MAGNITUDE, p->arch == EX_RESNET18,
                    p->arch == EX_RESNET18 ? "in some cases pruning lowers the test loss (5.4.3)"
                                           : "pruning does not lower the test loss (B.2)");
        lower_claim(r, p, &table, PERTURBED, 0,
                    "random perturbation does not lower the test loss (5.4.3)");
    }
    status = ex_report_table(&r->s->rows, file, &table, "claims");
    fprintf(file,
            "Quotients and differences are taken within each seed; intervals are Student's t over "
            "seeds, ± is a standard error over seeds (with one seed: over draws). Quotients are "
            "geometric means over the shares of the weights that were touched, except the share of "
            "all weights. \"Less\" and \"more\" mean that the 95 %% interval of the difference at "
            "one share does not contain 0. The lowest of %ld shares was chosen after the fact, so "
            "small falls can occur by chance.\n",
            (long)r->last);
    for (g = 0; g < r->count; g++) {
        fprintf(file,
                "\n## %s, width %ld: mean losses of %ld models by the share of weights "
                "touched\n\n",
                ex_arch_labels[r->groups[g].arch], (long)r->groups[g].width,
                (long)r->groups[g].models);
        group_table(r, &r->groups[g], &table);
        ex_table_markdown(&table, file);
        ex_table_free(&table);
    }
    status = ex_finish(status, file, path.data);
    if (status == 0) printf("%s\n", ex_shown(path.data));
    ex_text_free(&path);
    ex_text_free(&first);
    ex_text_free(&second);
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
    return status;
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
    if (s->cnns > 0) ex_text_add(&networks, "CNN of widths ");
    if (s->cnns > 0) ex_list_text(&s->set.cnn, &networks);
    if (s->resnets > 0) ex_text_add(&networks, "%sResNet18 of widths ", s->cnns > 0 ? " and " : "");
    if (s->resnets > 0) ex_list_text(&s->set.resnet, &networks);
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
        print_tables(&r);
        status = write_curves(&r);
    }
    if (status == 0) status = draw(&r, 1) | draw(&r, 0);
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
