/* demogen.c - the paper's first experiment (5.4.1, A.3, Tables 1 to 3): what follows the gap?

   Trains a grid of Network in Network models that differ in width, depth, dropout, L2 penalty,
   augmentation and seed, measures each, and tests how well every measure follows their
   generalization gap, test error minus train error. One model per thread; the results do not depend
   on the number of threads, on shards, or on how often the program was killed and started again.

       cc -O2 -fopenmp examples/studies/demogen.c -lm -o demogen && ./demogen --demo
       ./demogen                                  324 small models: half an hour on two fast cores
       ./demogen --night                          324 larger ones: four hours; can be interrupted
       ./demogen --full --data CIFAR10_DIRECTORY  the paper's 324 models, for a cluster
*/
#include "figure.h"
#include "study.h"
#define PRUNABILITY_STATIC /* static functions: unused ones are left out of the program */
#define PRUNABILITY_IMPLEMENTATION
#include "../../prunability.h"

/* Forward passes over the training set per search, as the progress bar and the cost estimate assume
   them. */
#define SEARCH_PASSES 12

enum { WIDTH, DEPTH, DROPOUT, L2, AUGMENT, AXES };
static const char *const axis_names[AXES] = {"width", "depth", "dropout", "l2", "augment"};

#define KEYS 21
#define KEY_NAMES \
    "width,depth,dropout,l2,augment,seed,data,epochs,batch,lr,momentum,lr_step,l2_scale,crop," \
    "train_images,test_images,repetitions,draws,resamples,beta,fractions"

/* Pruning criteria: the paper's two and the library's scores. */
enum { MAGNITUDE, RANDOM, TAYLOR, FISHER, CURVATURE, LAMP, WAYS };
static const char *const way_names[WAYS] = {"magnitude", "random",    "taylor",
                                            "fisher",    "curvature", "lamp"};
static const char *const way_labels[WAYS] = {"magnitude |w|",  "random",         "Taylor |w g|",
                                             "Fisher w² E g²", "curvature w² h", "LAMP"};

/* Results that are not in the library's table of measures, in the order of the columns. */
enum {
    TRAIN_LOSS,
    TEST_LOSS,
    TRAIN_ERROR,
    TEST_ERROR,
    GAP,
    PRUNED_PARAMETERS,
    PRUNED_NORMS,
    DROPOUT_BOUND,
    EVALUATED_LOSSES,
    PRUNABLE,    /* weights that may be pruned */
    KEPT_RANDOM, /* of them, kept at the prunability by random pruning */
    LOWER,       /* 95 % interval of prunability by magnitude over the training samples */
    UPPER,
    BETAS
};
static const char *const own_names[BETAS] = {"train_loss",
                                             "test_loss",
                                             "train_error",
                                             "test_error",
                                             "gap",
                                             "pruned_parameters",
                                             "sum_of_two_norms_pruned",
                                             "dropout_bound",
                                             "sum_of_evaluated_losses",
                                             "prunable",
                                             "kept_random",
                                             "prunability_lower",
                                             "prunability_upper"};

#define MAX_COLUMNS 400

typedef struct settings {
    ex_study_settings study;
    ex_ints width, depth, augment, seeds;
    ex_reals dropout, l2, beta;
    ex_choice measures;
    ex_fractions fractions;
    int64_t epochs, batch, lr_step, crop, images, test_images, repetitions, draws, checkpoint;
    int64_t resamples, bootstraps; /* of training samples; of configurations */
    double lr, momentum, l2_scale;
    const char *data;
} settings;

typedef struct model {
    double axis[AXES];
    int64_t seed;
    double cost; /* multiplications of one forward pass of one image */
} model;

typedef struct study {
    settings set;
    ex_study rows;
    ex_data data;
    model *models;
    double l2_scale;             /* factor of the penalties of the grid */
    int main_beta;               /* index of the beta that tables and derived measures use */
    char names[MAX_COLUMNS][64]; /* of the results */
    int columns, measured; /* measured: columns before the seconds of measures, if there are any */
    ex_text header, beta_text;
} study;

/* ---- the grid ------------------------------------------------------------------------------ */

/* Takes the index of one of `count` values from a model number; the rest encodes the other axes. */
static int axis(int64_t *number, int count) {
    const int position = (int)(*number % count);

    *number /= count;
    return position;
}

static double forward_cost(double width, double depth) {
    double input = 1, positions = 16 * 16, sum = 0;
    int block;

    for (block = 0; block < depth; block++) {
        sum += positions * (9 * input * width + 2 * width * width);
        input = width;
        positions /= 4;
    }
    return sum;
}

/* Numbered so that the seed changes fastest and the width slowest. */
static model grid_model(const settings *set, int64_t number) {
    model m;

    memset(&m, 0, sizeof m);
    m.seed = set->seeds.value[axis(&number, set->seeds.count)];
    m.axis[AUGMENT] = (double)set->augment.value[axis(&number, set->augment.count)];
    m.axis[L2] = set->l2.value[axis(&number, set->l2.count)];
    m.axis[DROPOUT] = set->dropout.value[axis(&number, set->dropout.count)];
    m.axis[DEPTH] = (double)set->depth.value[axis(&number, set->depth.count)];
    m.axis[WIDTH] = (double)set->width.value[axis(&number, set->width.count)];
    m.cost = forward_cost(m.axis[WIDTH], m.axis[DEPTH]);
    return m;
}

static int compare(double a, double b) { return (a > b) - (a < b); }

static int by_configuration(const void *left, const void *right) {
    const model *a = (const model *)left, *b = (const model *)right;
    int k, order = 0;

    for (k = 0; k < AXES && order == 0; k++) order = compare(a->axis[k], b->axis[k]);
    return order != 0 ? order : compare((double)a->seed, (double)b->seed);
}

static int make_grid(study *s) {
    const settings *set = &s->set;
    const double count = (double)set->width.count * set->depth.count * set->dropout.count *
                         set->l2.count * set->augment.count * set->seeds.count;
    int64_t i;

    if (count > 1e5) {
        ex_error("a grid of %.0f models is too large", count);
        return EX_USAGE;
    }
    s->rows.count = (int64_t)count;
    s->models = (model *)ex_allocate((size_t)count, sizeof *s->models);
    for (i = 0; i < s->rows.count; i++) s->models[i] = grid_model(set, i);
    qsort(s->models, (size_t)count, sizeof *s->models, by_configuration);
    return 0;
}

/* ---- columns ------------------------------------------------------------------------------- */

static void add_column(study *s, const char *name) {
    snprintf(s->names[s->columns++], sizeof s->names[0], "%s", name);
}

static int is_own(const char *name) {
    int k;

    for (k = 0; k < BETAS; k++)
        if (strcmp(own_names[k], name) == 0) return 1;
    return strncmp(name, "prunability", 11) == 0;
}

/* Whether --measures selects it: the paper's measures, all that need no search, or all. */
static int is_wanted(const study *s, const prun_measure_info *info) {
    const int paper =
        strncmp(info->source, "Kuhn", 4) == 0 || strcmp(info->source, "Jiang 2019") == 0;

    if (is_own(info->name)) return 0;
    if (s->set.measures.value == 2) return 1;
    if (strcmp(info->name, "perturbation_flatness") == 0) return 1;
    return !(info->traits & PRUN_TRAIT_SLOW) && (paper || s->set.measures.value == 1);
}

/* The first column that the library's table fills; then one for each of its measures. */
static int first_measure(const study *s) { return BETAS + WAYS * s->set.beta.count; }

/* The column of prunability at the main beta by one pruning criterion. */
static int way_column(const study *s, int way) {
    return BETAS + way * s->set.beta.count + s->main_beta;
}

/* Prunability has a column per beta, all from one search. Derived quantities use beta 0.1, or the
   first beta if 0.1 is not among them. */
static void make_columns(study *s) {
    const ex_reals *beta = &s->set.beta;
    int64_t i, count;
    const prun_measure_info *info = prun_measures(&count);
    char name[64];
    int k, b;

    for (b = 0; b < beta->count; b++) {
        if (fabs(beta->value[b] - 0.1) < 1e-12) s->main_beta = b;
        ex_text_add(&s->beta_text, "%s%g", b > 0 ? " " : "", beta->value[b]);
    }
    for (k = 0; k < BETAS; k++) add_column(s, own_names[k]);
    for (k = 0; k < WAYS; k++)
        for (b = 0; b < beta->count; b++) {
            snprintf(name, sizeof name, "prunability_%s_%g", way_names[k], beta->value[b]);
            add_column(s, name);
        }
    for (i = 0; i < count; i++)
        if (is_wanted(s, &info[i]) && s->columns < MAX_COLUMNS) add_column(s, info[i].name);
    s->measured = s->columns;
    for (k = first_measure(s); s->set.measures.value == 2 && k < s->measured; k++) {
        snprintf(name, sizeof name, "%s_seconds", s->names[k]);
        add_column(s, name);
    }
    ex_text_add(&s->header, "%s", KEY_NAMES);
    for (k = 0; k < s->columns; k++) ex_text_add(&s->header, ",%s", s->names[k]);
    if (s->columns > s->measured) ex_text_add(&s->header, ",predictions");
    ex_text_add(&s->header, ",seconds_training,seconds_measuring,status,version,isa");
    s->rows.names = s->header.data;
}

static void write_key(void *user, int64_t number, ex_csv *row) {
    const study *s = (const study *)user;
    const settings *set = &s->set;
    const model *m = &s->models[number];
    const double tail[] = {(double)set->epochs,
                           (double)set->batch,
                           set->lr,
                           set->momentum,
                           (double)set->lr_step,
                           s->l2_scale,
                           (double)set->crop,
                           (double)s->data.train.count,
                           (double)s->data.test.count,
                           (double)set->repetitions,
                           (double)set->draws,
                           (double)set->resamples};
    size_t k;

    for (k = 0; k < AXES; k++) ex_csv_number(row, m->axis[k]);
    ex_csv_number(row, (double)m->seed);
    ex_csv_text(row, s->data.name);
    for (k = 0; k < sizeof tail / sizeof *tail; k++) ex_csv_number(row, tail[k]);
    ex_csv_text(row, s->beta_text.data);
    ex_csv_list(row, set->fractions.text);
}

/* ---- one model ----------------------------------------------------------------------------- */

static double epoch_work(const study *s, const model *m) {
    return 4 * m->cost * (double)s->data.train.count; /* forward 1, backward 2, evaluation 1 */
}

/* Work of one search; each criterion, permutation and draw of noise needs one. */
static double search_work(const study *s, const model *m) {
    return SEARCH_PASSES * m->cost * (double)s->data.train.count;
}

static double model_work(void *user, int64_t number) {
    const study *s = (const study *)user;
    const model *m = &s->models[number];

    return epoch_work(s, m) * (double)s->set.epochs +
           search_work(s, m) * (double)(WAYS - 1 + s->set.repetitions + s->set.draws);
}

/* A model while it is trained and measured. */
typedef struct run {
    study *s;
    const model *m;
    prun_context context;
    prun_net *net, *start; /* start: before training */
    prun_epoch *history;
    prun_objective objective;
    double result[MAX_COLUMNS];
    ex_text predictions; /* with --measures all */
} run;

static void recipe_of(const study *s, const model *m, prun_train_options *recipe) {
    const settings *set = &s->set;

    memset(recipe, 0, sizeof *recipe);
    recipe->epochs = set->epochs;
    recipe->batch = set->batch;
    recipe->learning_rate = set->lr;
    recipe->momentum = set->momentum;
    recipe->weight_decay = m->axis[L2] * s->l2_scale;
    recipe->decay = PRUN_DECAY_WEIGHTS;
    recipe->schedule = PRUN_SCHEDULE_STEP;
    recipe->schedule_epochs = set->lr_step;
    recipe->augment.crop_padding = m->axis[AUGMENT] > 0 ? (int32_t)set->crop : 0;
    recipe->augment.flip = m->axis[AUGMENT] > 0;
    recipe->seed = (uint64_t)m->seed;
    recipe->evaluate = 1;
    recipe->noise_pairs = set->measures.value > 0 ? 8 : 0;
}

/* Sum of the learning rates of all steps. By itself, an L2 penalty shrinks weights in SGD by the
   factor exp(-l2 x sum). */
static double total_rate(const prun_train_options *recipe, int64_t images) {
    const double steps = ceil((double)images / (double)recipe->batch);
    double sum = 0;
    int64_t e;

    for (e = 0; e < recipe->epochs; e++) sum += steps * prun_learning_rate(recipe, e);
    return sum;
}

/* The grid names the paper's penalties. This is the factor that makes them shrink the weights in
   the steps of this study as much as in the paper's 150,000 steps (A.3). */
static double l2_scale_of(const study *s) {
    const model none = {{0}, 0, 0};
    prun_train_options here, paper;

    if (s->set.l2_scale > 0) return s->set.l2_scale;
    recipe_of(s, &none, &here);
    paper = here;
    paper.epochs = 380;
    paper.batch = 128;
    paper.learning_rate = 0.01;
    paper.schedule_epochs = 100;
    return total_rate(&paper, 50000) / total_rate(&here, s->data.train.count);
}

static prun_arch arch_of(const study *s, const model *m) {
    prun_arch arch;

    memset(&arch, 0, sizeof arch);
    arch.family = PRUN_FAMILY_NIN;
    arch.width = (int64_t)m->axis[WIDTH];
    arch.depth = (int64_t)m->axis[DEPTH];
    arch.image_channels = s->data.train.channels;
    arch.image_height = s->data.train.height;
    arch.image_width = s->data.train.width;
    arch.classes = s->data.train.classes;
    arch.dropout = m->axis[DROPOUT];
    arch.seed = (uint64_t)m->seed;
    return arch;
}

static prun_status train_model(run *r, int64_t number) {
    const prun_arch arch = arch_of(r->s, r->m);
    prun_train_options recipe;
    double sum = 0;
    int64_t i;
    prun_status status = prun_net_create_nin(&r->context, &arch, &r->net);

    if (status == PRUN_OK) status = prun_net_copy(r->net, 0, &r->start);
    recipe_of(r->s, r->m, &recipe);
    if (status == PRUN_OK)
        status = ex_study_train(&r->s->rows, number, r->net, &r->s->data.train, &recipe,
                                epoch_work(r->s, r->m), r->history);
    for (i = 0; i < recipe.epochs; i++) sum += r->history[i].evaluated_loss;
    r->result[EVALUATED_LOSSES] = -sum;
    return status;
}

/* One search for all betas. kept: a fraction per beta. scores: NULL, or scores to rank by. */
static prun_status search(run *r, int way, const float *scores, double *kept,
                          prun_prunability *result) {
    const settings *set = &r->s->set;
    prun_prune_options options;
    prun_status status;
    int i;

    memset(&options, 0, sizeof options);
    options.method = way == RANDOM ? PRUN_PRUNE_RANDOM : PRUN_PRUNE_MAGNITUDE;
    options.score = scores;
    options.score_count = scores != NULL ? prun_net_weight_count(r->net) : 0;
    options.fractions = set->fractions.value;
    options.fraction_count = set->fractions.count;
    options.repetitions = set->repetitions;
    options.resamples = way == MAGNITUDE ? set->resamples : 0;
    options.seed = (uint64_t)r->m->seed;
    options.beta_count = set->beta.count;
    for (i = 0; i < set->beta.count; i++) options.beta[i] = set->beta.value[i];
    status = prun_prunability_search(&r->objective, &options, result);
    for (i = 0; status == PRUN_OK && i < set->beta.count; i++)
        kept[i] = result->answer[i].kept_fraction;
    ex_progress_add(&r->s->rows.progress,
                    search_work(r->s, r->m) * (double)(way == RANDOM ? set->repetitions : 1));
    return status;
}

/* The searches in which scores rank the weights. */
static prun_status scored_searches(run *r, double *kept) {
    static const prun_score kinds[WAYS] = {PRUN_SCORE_MAGNITUDE, PRUN_SCORE_RANDOM,
                                           PRUN_SCORE_TAYLOR,    PRUN_SCORE_FISHER,
                                           PRUN_SCORE_CURVATURE, PRUN_SCORE_LAMP};
    float *scores = (float *)ex_allocate((size_t)prun_net_weight_count(r->net), sizeof *scores);
    prun_score_options options;
    prun_prunability found;
    prun_status status = PRUN_OK;
    int way;

    memset(&options, 0, sizeof options);
    options.seed = (uint64_t)r->m->seed;
    for (way = TAYLOR; way < WAYS && status == PRUN_OK; way++) {
        status = prun_prune_scores(&r->objective, kinds[way], &options, scores);
        if (status == PRUN_OK)
            status = search(r, way, scores, kept + way * r->s->set.beta.count, &found);
    }
    free(scores);
    return status;
}

/* Sum of the norms of the weights that pruning keeps, computed on a copy. */
static prun_status pruned_norms(run *r, double kept, double *value) {
    prun_net *copy = NULL;
    prun_objective objective;
    int64_t i;
    prun_status status = prun_net_copy(r->net, 0, &copy);

    if (status == PRUN_OK) status = prun_net_objective(copy, &r->s->data.train, &objective);
    if (status == PRUN_OK) status = prun_prune(&objective, kept, NULL, NULL);
    *value = 0;
    for (i = 0; status == PRUN_OK && i < objective.tensor_count; i++)
        if (objective.tensors[i].flags & PRUN_TENSOR_WEIGHT)
            *value += sqrt(prun_frobenius_squared(&objective.tensors[i]));
    prun_net_free(copy);
    return status;
}

/* Eq. (1) for random subnetworks at the fraction that random pruning keeps. */
static prun_status dropout_bound(run *r, double kept, double *value) {
    prun_perturb_options options;
    prun_dropout_bound bound;
    int64_t i;
    prun_status status;

    memset(&options, 0, sizeof options);
    memset(&bound, 0, sizeof bound);
    options.draws = r->s->set.draws;
    options.seed = (uint64_t)r->m->seed;
    bound.kept = kept;
    bound.sigma = 1;
    bound.samples = r->objective.samples;
    bound.candidates = (double)r->s->set.fractions.count;
    for (i = 0; i < r->objective.tensor_count; i++)
        if (r->objective.tensors[i].flags & PRUN_TENSOR_WEIGHT)
            bound.squared_norm += prun_frobenius_squared(&r->objective.tensors[i]);
    status = prun_dropout_error(&r->objective, kept, bound.sigma, &options, &bound.empirical, NULL);
    *value = prun_dropout_bound_value(&bound);
    return status;
}

static prun_status measure_pruning(run *r) {
    const int betas = r->s->set.beta.count, at = r->s->main_beta;
    double *kept = r->result + BETAS;
    prun_prunability found;
    prun_status status = search(r, MAGNITUDE, NULL, kept, &found);

    if (status == PRUN_OK) {
        r->result[PRUNABLE] = (double)found.prunable;
        r->result[PRUNED_PARAMETERS] =
            (double)(prun_net_parameter_count(r->net) - found.prunable + found.answer[at].kept);
        r->result[LOWER] = found.answer[at].lower;
        r->result[UPPER] = found.answer[at].upper;
        status = pruned_norms(r, kept[at], &r->result[PRUNED_NORMS]);
    }
    if (status == PRUN_OK) status = search(r, RANDOM, NULL, kept + RANDOM * betas, &found);
    if (status == PRUN_OK) {
        r->result[KEPT_RANDOM] = (double)found.answer[at].kept;
        status = dropout_bound(r, kept[RANDOM * betas + at], &r->result[DROPOUT_BOUND]);
    }
    return status == PRUN_OK ? scored_searches(r, kept) : status;
}

/* The columns that the library's table fills. A measure that is undefined has an empty cell. */
static prun_status measure_rest(run *r) {
    study *s = r->s;
    prun_measure_options options;
    prun_measurement *m = NULL;
    int k;
    prun_status status;

    memset(&options, 0, sizeof options);
    options.beta = s->set.beta.value[s->main_beta];
    options.fractions = s->set.fractions.value;
    options.fraction_count = s->set.fractions.count;
    options.repetitions = s->set.repetitions;
    options.draws = s->set.draws;
    options.seed = (uint64_t)r->m->seed;
    options.history = r->history;
    options.epochs = s->set.epochs;
    options.seconds = ex_clock;
    options.progress = ex_progress_redraw;
    options.user = &s->rows.progress;
    status = prun_measurement_create(&r->objective, &options, &m);
    if (status != PRUN_OK) return status;
    for (k = first_measure(s); k < s->measured && status == PRUN_OK; k++) {
        prun_measure_result result;

        status = prun_measure(m, s->names[k], &result);
        r->result[k] = status == PRUN_OK ? result.value : (double)NAN;
        if (s->columns > s->measured) /* to the millisecond */
            r->result[s->measured + k - first_measure(s)] = floor(result.seconds * 1e3 + 0.5) / 1e3;
        if (status == PRUN_ERR_CONVERGENCE || status == PRUN_ERR_MISSING ||
            status == PRUN_ERR_NONFINITE || status == PRUN_ERR_UNSUPPORTED)
            status = PRUN_OK;
    }
    prun_measurement_free(m);
    ex_progress_add(&s->rows.progress, search_work(s, r->m) * (double)s->set.draws);
    return status;
}

static prun_status measure_model(run *r) {
    double *v = r->result;
    int64_t tensors;
    prun_status status = ex_evaluate(r->net, &r->s->data.train, &v[TRAIN_LOSS], &v[TRAIN_ERROR]);

    if (status == PRUN_OK)
        status = ex_evaluate(r->net, &r->s->data.test, &v[TEST_LOSS], &v[TEST_ERROR]);
    /* Rounded, so that models with equal errors tie whatever the last bits of a quotient are. */
    v[GAP] = floor((v[TEST_ERROR] - v[TRAIN_ERROR]) * 1e12 + 0.5) / 1e12;
    if (status == PRUN_OK) status = prun_net_objective(r->net, &r->s->data.train, &r->objective);
    if (status == PRUN_OK) {
        r->objective.initial = prun_net_trained_tensors(r->start, &tensors);
        status = measure_pruning(r);
    }
    if (status == PRUN_OK && r->s->columns > r->s->measured)
        status = ex_predictions(r->net, &r->s->data.test, &r->predictions);
    return status == PRUN_OK ? measure_rest(r) : status;
}

/* Each model has its own context and is independent of the others. It uses one thread if the models
   already share the cores. A model that diverged has a row that says so. */
static int run_model(void *user, int64_t number, ex_csv *row) {
    run r;
    ex_text shown = {NULL, 0, 0};
    double start = ex_seconds(), trained;
    prun_status status;
    int k;

    memset(&r, 0, sizeof r);
    r.s = (study *)user;
    r.m = &r.s->models[number];
    r.context.threads = ex_jobs(&r.s->set.study) > 1 ? 1 : 0;
    r.history = (prun_epoch *)ex_allocate((size_t)r.s->set.epochs, sizeof *r.history);
    status = train_model(&r, number);
    trained = ex_seconds();
    if (status == PRUN_OK) status = measure_model(&r);
    for (k = 0; k < r.s->columns; k++)
        ex_csv_number(row, status == PRUN_OK ? r.result[k] : (double)NAN);
    if (r.s->columns > r.s->measured)
        ex_csv_text(row, status == PRUN_OK && r.predictions.data ? r.predictions.data : "");
    ex_csv_number(row, floor((trained - start) * 1e3 + 0.5) / 1e3);
    ex_csv_number(row, floor((ex_seconds() - trained) * 1e3 + 0.5) / 1e3);
    ex_text_shown(&shown, status == PRUN_OK ? "ok" : ex_reason(&r.context, status));
    ex_csv_text(row, shown.data);
    ex_text_free(&shown);
    ex_csv_text(row, PRUNABILITY_VERSION);
    ex_csv_text(row, prun_isa());
    ex_text_free(&r.predictions);
    prun_net_free(r.net);
    prun_net_free(r.start);
    free(r.history);
    if (status == PRUN_OK || status == PRUN_ERR_NONFINITE) return 0;
    if (status != PRUN_ERR_CANCELLED) /* the study reports why it stopped */
        ex_error("width %g, depth %g, dropout %g, L2 %g, augment %g, seed %ld: %s",
                 r.m->axis[WIDTH], r.m->axis[DEPTH], r.m->axis[DROPOUT], r.m->axis[L2],
                 r.m->axis[AUGMENT], (long)r.m->seed, ex_reason(&r.context, status));
    return EX_FAILED;
}

/* ---- evaluation ---------------------------------------------------------------------------- */

#define MAX_LINES 240

/* A train error below which a model counts as fitted. */
#define FITTED 0.02

/* A measure over all models that have a row, oriented so that it should grow with the gap. */
typedef struct line {
    char name[80], label[100];
    double *x;
    int infinite; /* number of infinite values, which rank last */
    prun_kendall kendall;
    prun_interval interval; /* of tau */
    prun_granulated granulated;
    prun_cmi cmi, with_prunability;
    double adjusted_r2, cv_r2;
} line;

typedef struct evaluation {
    const study *s;
    prun_context context;
    prun_table table;
    int64_t n;
    const double *axis[AXES];
    const char *axis_name[AXES];
    prun_axes axes;
    double *gap, *cluster;
    line *lines;
    int count, main;  /* main: line of prunability at the main beta */
    int failed;       /* models that diverged */
    ex_text left_out; /* measures without a line, and why */
} evaluation;

static double *column(const evaluation *e, const char *name) {
    const int64_t k = prun_table_find(&e->table, name);

    return k < 0 ? NULL : e->table.values + k * e->table.rows;
}

/* Reads the rows and keeps those with measures; models that diverged have none. */
static int read_rows(evaluation *e) {
    const char *path = e->s->rows.path.data;
    int64_t i, status;
    uint8_t *keep;
    int k;

    if (prun_table_load_csv(&e->context, path, &e->table) != PRUN_OK)
        return ex_failure(&e->context, "evaluation");
    keep = (uint8_t *)ex_allocate((size_t)e->table.rows, 1);
    status = prun_table_find(&e->table, "status");
    for (i = 0; i < e->table.rows; i++) {
        keep[i] = strcmp(e->table.cells[i * e->table.columns + status], "ok") == 0;
        e->failed += !keep[i];
    }
    prun_table_keep_rows(&e->table, keep);
    free(keep);
    e->n = e->table.rows;
    e->gap = column(e, "gap");
    e->cluster = (double *)ex_allocate((size_t)e->n, sizeof *e->cluster);
    e->axes.n = e->n;
    e->axes.values = e->axis;
    e->axes.seed = column(e, "seed");
    for (k = 0; k < AXES; k++) {
        const double *v = column(e, axis_names[k]);

        for (i = 1; i < e->n && !(v[i] < v[0] || v[i] > v[0]);) i++;
        if (i >= e->n) continue; /* not varied */
        e->axis_name[e->axes.count] = axis_names[k];
        e->axis[e->axes.count++] = v;
    }
    /* rows are sorted by configuration, the seed changing fastest */
    for (i = 1; i < e->n; i++) {
        int64_t a;

        for (a = 0; a < e->axes.count &&
                    !(e->axis[a][i] < e->axis[a][i - 1] || e->axis[a][i] > e->axis[a][i - 1]);)
            a++;
        e->cluster[i] = e->cluster[i - 1] + (a < e->axes.count);
    }
    return 0;
}

static line *leave_out(evaluation *e, const char *label, const char *why) {
    ex_text_add(&e->left_out, "%s%s (%s)", e->left_out.length > 0 ? ", " : "", label, why);
    return NULL;
}

/* Adds a line of `values` times `sign`, with infinite values replaced by one above all others.
   Returns NULL, and adds nothing, if a value is missing or all are equal. */
static line *add_line(evaluation *e, const char *name, const char *label, const double *values,
                      double sign) {
    line *l = &e->lines[e->count];
    double low = HUGE_VAL, high = -HUGE_VAL;
    int64_t i;

    if (e->count == MAX_LINES || values == NULL) return NULL;
    for (i = 0; i < e->n; i++) {
        if (values[i] != values[i]) return leave_out(e, label, "undefined for some models");
        if (fabs(values[i]) > 1e300) continue;
        low = sign * values[i] < low ? sign * values[i] : low;
        high = sign * values[i] > high ? sign * values[i] : high;
    }
    if (!(low < high)) return leave_out(e, label, "the same for all models");
    memset(l, 0, sizeof *l);
    snprintf(l->name, sizeof l->name, "%s", name);
    snprintf(l->label, sizeof l->label, "%s", label);
    l->x = (double *)ex_allocate((size_t)e->n, sizeof *l->x);
    for (i = 0; i < e->n; i++) {
        const int beyond = fabs(values[i]) > 1e300;

        l->x[i] = beyond ? high + 0.1 * (high - low) : sign * values[i];
        l->infinite += beyond;
    }
    e->count++;
    return l;
}

static int find_line(const evaluation *e, const char *name) {
    int i;

    for (i = 0; i < e->count; i++)
        if (strcmp(e->lines[i].name, name) == 0) return i;
    return -1;
}

/* Labels as in the paper's tables; other measures keep the library's names. */
static const char *label_of(const char *name) {
    static const char *const labels[][2] = {
        {"train_loss", "train loss"},
        {"perturbation_flatness", "random perturbation robustness"},
        {"sum_of_frobenius", "sum of squared Frobenius norms"},
        {"sum_of_two_norms", "sum of two-norms"},
        {"sum_of_two_norms_pruned", "sum of two-norms, pruned"},
        {"sum_of_spectral_norms", "sum of spectral norms"},
        {"parameters", "parameters"},
        {"pruned_parameters", "parameters, pruned"},
        {"prunable_weights", "prunable weights"},
        {"sum_of_train_losses", "negative sum of train losses"},
        {"sum_of_evaluated_losses", "negative sum, evaluated losses"},
        {"dropout_bound", "PAC-Bayes bound, Eq. (1)"}};
    size_t i;

    for (i = 0; i < sizeof labels / sizeof *labels; i++)
        if (strcmp(labels[i][0], name) == 0) return labels[i][1];
    return name;
}

/* -1 for a measure that should fall as the gap grows, otherwise 1. */
static double sign_of(const char *name) {
    const int64_t place = prun_measure_find(name);
    int64_t count;

    return place >= 0 && prun_measures(&count)[place].direction < 0 ? -1 : 1;
}

static int is_margin(const char *name) { return strncmp(name, "margin_", 7) == 0; }

/* Adds normalized margins: the gap predicted by regression on 25 features (5.1, Jiang et al. 2019),
   in-sample as there, and cross-fitted, each model by a fit without its fold. Also adds the best
   single feature. */
static int add_margins(evaluation *e) {
    const double *features[MAX_COLUMNS];
    const char *names[MAX_COLUMNS];
    double *fitted = (double *)ex_allocate(2 * (size_t)e->n, sizeof *fitted);
    prun_regression_options options;
    prun_regression_outputs outputs;
    prun_regression r;
    char label[100];
    int64_t count = 0, i;
    int k;
    line *l;

    for (k = 0; k < e->s->measured; k++) {
        const double *v = column(e, e->s->names[k]);

        if (!is_margin(e->s->names[k])) continue;
        for (i = 0; i < e->n && fabs(v[i]) <= 1e300;) i++;
        if (i < e->n) continue;
        names[count] = e->s->names[k];
        features[count++] = v;
    }
    memset(&options, 0, sizeof options);
    memset(&outputs, 0, sizeof outputs);
    options.seed = 1;
    outputs.fitted = fitted;
    outputs.crossfitted = fitted + e->n;
    if (count > 0) {
        if (prun_regression_fit(&e->context, &(prun_regression_data){features, count, e->gap, e->n},
                                &options, &r, &outputs) != PRUN_OK)
            return ex_failure(&e->context, "margins");
        snprintf(label, sizeof label, "normalized margins (%ld features)", (long)count);
        l = add_line(e, "normalized_margins", label, fitted, 1);
        if (l != NULL) l->adjusted_r2 = r.adjusted_r2, l->cv_r2 = r.cv_r2;
        l = add_line(e, "normalized_margins_crossfitted", "normalized margins, cross-fitted",
                     fitted + e->n, 1);
        if (l != NULL) l->adjusted_r2 = l->cv_r2 = r.cv_r2;
        if (r.best >= 0) {
            snprintf(label, sizeof label, "best margin variable (-%s)", names[r.best] + 7);
            add_line(e, "best_margin_variable", label, features[r.best], -1);
        }
    }
    free(fitted);
    return 0;
}

/* Mean disagreement between a model's predictions for test images and those of the other seeds of
   its configuration. It estimates the test error (Jiang et al. 2022), not the gap. */
static double disagreement(const evaluation *e, int64_t row) {
    const int64_t index = prun_table_find(&e->table, "predictions");
    double sum = 0, others = 0;
    int64_t i;

    for (i = 0; i < e->n; i++) {
        const double one = ex_disagreement(e->table.cells[row * e->table.columns + index],
                                           e->table.cells[i * e->table.columns + index]);

        if (i == row || e->cluster[i] < e->cluster[row] || e->cluster[i] > e->cluster[row] ||
            isnan(one))
            continue;
        sum += one;
        others++;
    }
    return others > 0 ? sum / others : (double)NAN;
}

static int make_lines(evaluation *e) {
    const study *s = e->s;
    const int betas = s->set.beta.count;
    double *inverse = (double *)ex_allocate((size_t)e->n, sizeof *inverse);
    double *turned = (double *)ex_allocate((size_t)e->n, sizeof *turned);
    const double *width = column(e, "width");
    char label[100];
    int64_t i;
    int k, status;

    e->lines = (line *)ex_allocate(MAX_LINES, sizeof *e->lines);
    for (k = 0; k < WAYS * betas; k++) {
        const int way = k / betas, beta = k % betas;

        if (way > RANDOM && beta != s->main_beta) continue;
        if (way == MAGNITUDE)
            snprintf(label, sizeof label, "prunability, beta %g", s->set.beta.value[beta]);
        else
            snprintf(label, sizeof label, "prunability, %s, beta %g", way_labels[way],
                     s->set.beta.value[beta]);
        add_line(e, s->names[BETAS + k], label, column(e, s->names[BETAS + k]), 1);
    }
    status = add_margins(e);
    for (k = 0; k < s->measured; k++) {
        const int about_error = (k > TRAIN_LOSS && k <= GAP) || (k >= PRUNABLE && k < BETAS);
        const int prunability = k >= BETAS && k < first_measure(s);

        if (!about_error && !prunability && !is_margin(s->names[k]))
            add_line(e, s->names[k], label_of(s->names[k]), column(e, s->names[k]),
                     sign_of(s->names[k]));
    }
    if (s->columns > s->measured && e->axes.count > 0) {
        for (i = 0; i < e->n; i++) inverse[i] = disagreement(e, i);
        add_line(e, "disagreement_of_seeds", "disagreement of seeds (test images)", inverse, 1);
    }
    for (i = 0; i < e->n; i++) inverse[i] = -column(e, axis_names[AUGMENT])[i];
    add_line(e, "not_augmented", "no augmentation (trivial baseline)", inverse, 1);
    for (i = 0; i < e->n; i++) inverse[i] = 1 / width[i];
    for (i = 0; i < e->n; i++) turned[i] = -column(e, s->names[TRAIN_LOSS])[i];
    add_line(e, "train_loss_turned", "train loss, negated", turned, 1);
    add_line(e, "inverse_width", "1 / width (trivial baseline)", inverse, 1);
    free(inverse);
    free(turned);
    e->main = find_line(e, s->names[way_column(s, MAGNITUDE)]);
    return status;
}

static void sample_of(const evaluation *e, const double *x, prun_sample *sample,
                      prun_resampling_options *options) {
    memset(sample, 0, sizeof *sample);
    memset(options, 0, sizeof *options);
    sample->n = e->n;
    sample->measure = x;
    sample->target = e->gap;
    sample->axes = &e->axes;
    sample->cluster = e->axes.count > 0 ? e->cluster : NULL;
    options->resamples = e->s->set.bootstraps;
    options->seed = 1;
}

static int evaluate_line(evaluation *e, line *l) {
    prun_sample sample;
    prun_resampling_options options;
    prun_regression r;
    const double *x = l->x;
    prun_status status = prun_kendall_tau(&e->context, x, e->gap, e->n, &l->kendall);

    sample_of(e, x, &sample, &options);
    if (status == PRUN_OK) status = prun_bootstrap(&e->context, &sample, &options, &l->interval);
    l->granulated.mean = l->granulated.mean_standard_error = (double)NAN;
    if (status == PRUN_OK && e->axes.count > 0)
        status = prun_granulated_kendall(&e->context, &e->axes, x, e->gap, &l->granulated);
    if (status == PRUN_OK)
        status =
            prun_conditional_information(&e->context, &e->axes, x, e->gap, PRUN_TIES_DROP, &l->cmi);
    l->with_prunability.k = (double)NAN;
    l->with_prunability.best = -1;
    if (status == PRUN_OK && e->main >= 0)
        status = prun_conditional_information(&e->context, &e->axes, x, e->lines[e->main].x,
                                              PRUN_TIES_DROP, &l->with_prunability);
    if (status == PRUN_OK && strncmp(l->name, "normalized_margins", 18) != 0) {
        status = prun_regression_fit(&e->context, &(prun_regression_data){&x, 1, e->gap, e->n},
                                     NULL, &r, NULL);
        l->adjusted_r2 = r.adjusted_r2;
        l->cv_r2 = r.cv_r2;
    }
    return status == PRUN_OK ? 0 : ex_failure(&e->context, l->name);
}

static void interval_cells(ex_table *table, const prun_interval *interval) {
    ex_table_number(table, "%+.3f", interval->estimate);
    ex_table_number(table, "%+.3f", interval->lower);
    ex_table_number(table, "%+.3f", interval->upper);
}

static void table1(const evaluation *e, ex_table *table) {
    int i;

    ex_table_header(table, "measure|tau|std. error|lower|upper|tau_b|p|K|adj. R2|CV R2");
    for (i = 0; i < e->count; i++) {
        const line *l = &e->lines[i];

        ex_table_cell(table, "%s", l->label);
        ex_table_number(table, "%+.3f", l->kendall.tau_a);
        ex_table_number(table, "%.3f", l->kendall.standard_error);
        ex_table_number(table, "%+.3f", l->interval.lower);
        ex_table_number(table, "%+.3f", l->interval.upper);
        ex_table_number(table, "%+.3f", l->kendall.tau_b);
        ex_table_number(table, "%.2g", l->kendall.p);
        ex_table_number(table, "%.4f", l->cmi.k);
        ex_table_number(table, "%+.3f", l->adjusted_r2);
        ex_table_number(table, "%+.3f", l->cv_r2);
    }
}

static void table2(const evaluation *e, ex_table *table) {
    ex_text header = {NULL, 0, 0};
    int64_t a;
    int i;

    ex_text_add(&header, "measure");
    for (a = 0; a < e->axes.count; a++) ex_text_add(&header, "|%s", e->axis_name[a]);
    ex_text_add(&header, "|Psi|std. error|tau");
    ex_table_header(table, header.data);
    ex_text_free(&header);
    for (i = 0; i < e->count; i++) {
        const line *l = &e->lines[i];

        ex_table_cell(table, "%s", l->label);
        for (a = 0; a < e->axes.count; a++) ex_table_number(table, "%+.3f", l->granulated.psi[a]);
        ex_table_number(table, "%+.3f", l->granulated.mean);
        ex_table_number(table, "%.3f", l->granulated.mean_standard_error);
        ex_table_number(table, "%+.3f", l->kendall.tau_a);
    }
}

/* Sorted by information about prunability, falling. */
static void table3(const evaluation *e, ex_table *table) {
    char done[MAX_LINES] = {0};
    int i, k, best;

    ex_table_header(table, "measure|K with prunability|bits|K with the gap");
    for (k = 0; k < e->count; k++) {
        for (i = 0, best = -1; i < e->count; i++)
            if (!done[i] && i != e->main &&
                (best < 0 || e->lines[i].with_prunability.k > e->lines[best].with_prunability.k))
                best = i;
        if (best < 0) break;
        done[best] = 1;
        ex_table_cell(table, "%s", e->lines[best].label);
        ex_table_number(table, "%.4f", e->lines[best].with_prunability.k);
        ex_table_number(table, "%.4f",
                        e->lines[best].with_prunability.best < 0
                            ? (double)NAN
                            : e->lines[best]
                                  .with_prunability.subset[e->lines[best].with_prunability.best]
                                  .information);
        ex_table_number(table, "%.4f", e->lines[best].cmi.k);
    }
}

/* ---- the paper's claims -------------------------------------------------------------------- */

typedef enum verdict { HELD, UNDECIDED, FAILED, NO_DATA } verdict;
static const char *const verdicts[] = {"held", "undecided", "did not hold", "not tested"};

/* Differences of tau below this count as similar. */
#define SIMILAR 0.1

static verdict worse(verdict a, verdict b) { return a > b ? a : b; }

/* The difference of two measures' statistic, by bootstrap over configurations; target NULL: gap. */
static int difference(evaluation *e, int a, int b, prun_statistic statistic, const double *target,
                      prun_interval *result) {
    prun_sample sample;
    prun_resampling_options options;

    result->estimate = result->lower = result->upper = (double)NAN;
    if (a < 0 || b < 0) return 0;
    sample_of(e, e->lines[a].x, &sample, &options);
    options.statistic = statistic;
    if (target != NULL) sample.target = target;
    if (statistic == PRUN_STATISTIC_CMI && options.resamples > 200) options.resamples = 200;
    return prun_compare(&e->context, &sample, e->lines[b].x, &options, result) == PRUN_OK
               ? 0
               : ex_failure(&e->context, "comparison");
}

static verdict is_larger(const prun_interval *d) {
    return d->lower > 0 ? HELD : d->upper < 0 ? FAILED : d->lower <= 0 ? UNDECIDED : NO_DATA;
}

/* A test of equivalence: whether the whole interval is within, or beyond, the limits. */
static verdict is_similar(const prun_interval *d) {
    if (d->lower > -SIMILAR && d->upper < SIMILAR) return HELD;
    return d->lower >= SIMILAR || d->upper <= -SIMILAR ? FAILED
           : d->lower <= d->upper                      ? UNDECIDED
                                                       : NO_DATA;
}

/* Names in claims of measures whose columns depend on the betas. */
#define PRUNABILITY "prunability"
#define RANDOM_PRUNING "random pruning"

/* A row of the table of claims from one or more comparisons of a statistic. */
typedef struct claim {
    const char *text;
    prun_statistic statistic; /* default: tau */
    int similar;              /* 1: claims that both are similar; 0: that the first is larger */
    const char *first;
    const char *second[5]; /* NULL: the end */
    int with_prunability;  /* 1: prunability is the target, not the gap */
} claim;

static int find_in_claim(const evaluation *e, const char *name) {
    if (strcmp(name, PRUNABILITY) == 0) return e->main;
    if (strcmp(name, RANDOM_PRUNING) == 0) name = e->s->names[way_column(e->s, RANDOM)];
    return find_line(e, name);
}

static int compare_claim(evaluation *e, const claim *c, ex_table *table) {
    const int first = find_in_claim(e, c->first);
    ex_text found = {NULL, 0, 0};
    verdict all = HELD;
    int k, status = 0;

    for (k = 0; status == 0 && k < 5 && c->second[k] != NULL; k++) {
        const int second = find_in_claim(e, c->second[k]);
        prun_interval d;

        status = difference(e, first, second, c->statistic,
                            c->with_prunability && e->main >= 0 ? e->lines[e->main].x : NULL, &d);
        if (first < 0 || second < 0 || (c->with_prunability && e->main < 0)) {
            all = NO_DATA;
            continue;
        }
        ex_text_add(&found, "%s%s minus %s %+.3f (%+.3f to %+.3f)", k > 0 ? "; " : "",
                    e->lines[first].label, e->lines[second].label, d.estimate, d.lower, d.upper);
        all = worse(all, c->similar ? is_similar(&d) : is_larger(&d));
    }
    ex_claim(table, c->text, found.length > 0 ? found.data : "-", verdicts[all]);
    ex_text_free(&found);
    return status;
}

/* The claim: tau is strongly negative, mainly along the dropout axis. */
static void frobenius_claim(const evaluation *e, ex_table *table) {
    const int k = find_line(e, "sum_of_frobenius");
    const line *l = k >= 0 ? &e->lines[k] : NULL;
    int64_t a, dropout = -1, lowest = -1;
    verdict v = NO_DATA;
    char text[200], found[200] = "-";

    for (a = 0; l != NULL && a < e->axes.count; a++) {
        if (strcmp(e->axis_name[a], axis_names[DROPOUT]) == 0) dropout = a;
        if (lowest < 0 || l->granulated.psi[a] < l->granulated.psi[lowest]) lowest = a;
    }
    if (dropout >= 0 && e->axes.count > 1) { /* with one axis, there is nothing to compare */
        v = l->interval.lower > -SIMILAR ? FAILED : l->interval.upper < -SIMILAR ? HELD : UNDECIDED;
        if (lowest != dropout || !(l->granulated.psi[dropout] < 0)) v = FAILED;
        snprintf(found, sizeof found,
                 "tau %+.3f (%+.3f to %+.3f); psi along dropout %+.3f, lowest along %s",
                 l->kendall.tau_a, l->interval.lower, l->interval.upper, l->granulated.psi[dropout],
                 e->axis_name[lowest]);
    }
    snprintf(text, sizeof text,
             "The Frobenius norm measure is strongly negatively correlated with the gap (here: "
             "below -%g), largely along the dropout axis (5.4.1)",
             SIMILAR);
    ex_claim(table, text, found, verdicts[v]);
}

/* Compares all betas with the main one: their taus, and how similarly they rank the models. */
static int beta_claim(evaluation *e, ex_table *table) {
    const study *s = e->s;
    ex_text found = {NULL, 0, 0};
    verdict all = e->main >= 0 && s->set.beta.count > 1 ? HELD : NO_DATA;
    int b, status = 0;

    for (b = 0; status == 0 && e->main >= 0 && b < s->set.beta.count; b++) {
        const int other = find_line(e, s->names[BETAS + b]);
        prun_kendall between;
        prun_interval d;

        if (b == s->main_beta || other < 0) continue;
        status = difference(e, other, e->main, PRUN_STATISTIC_TAU_A, NULL, &d);
        if (status == 0 && prun_kendall_tau(&e->context, e->lines[other].x, e->lines[e->main].x,
                                            e->n, &between) != PRUN_OK)
            status = ex_failure(&e->context, "comparison");
        if (status != 0) break;
        ex_text_add(&found,
                    "%sbeta %g: tau changes by %+.3f (%+.3f to %+.3f), tau_b %.2f with beta %g",
                    found.length > 0 ? "; " : "", s->set.beta.value[b], d.estimate, d.lower,
                    d.upper, between.tau_b, s->set.beta.value[s->main_beta]);
        all = worse(all, is_similar(&d));
    }
    ex_claim(table, "The choice of beta hardly matters (section 4)",
             found.length > 0 ? found.data : "-", verdicts[all]);
    ex_text_free(&found);
    return status;
}

static const claim paper_claims[] = {
    {.text = "Prunability outperforms random perturbation robustness, the train loss and the "
             "Frobenius norm by tau (5.4.1)",
     .first = PRUNABILITY,
     .second = {"perturbation_flatness", "train_loss", "sum_of_frobenius"}},
    {.text = "Beyond the paper: it also outperforms the negated train loss, which takes a small "
             "loss as a sign of a large gap",
     .first = PRUNABILITY,
     .second = {"train_loss_turned"}},
    {.text = "Prunability explains more of the gap's variance than random perturbation robustness "
             "(5.4.3): adjusted R²",
     .statistic = PRUN_STATISTIC_ADJUSTED_R2,
     .first = PRUNABILITY,
     .second = {"perturbation_flatness"}},
    {.text = "... and has more information about the gap (5.4.3): K",
     .statistic = PRUN_STATISTIC_CMI,
     .first = PRUNABILITY,
     .second = {"perturbation_flatness"}},
    {.text = "Prunability has a larger granulated tau than random perturbation robustness and "
             "norms (Table 2): Psi",
     .statistic = PRUN_STATISTIC_PSI_MEAN,
     .first = PRUNABILITY,
     .second = {"perturbation_flatness", "sum_of_frobenius", "sum_of_two_norms"}},
    {.text = "Pruning by magnitude outperforms pruning at random (5.4.1)",
     .first = PRUNABILITY,
     .second = {RANDOM_PRUNING}},
    {.text = "... and the difference is relatively small (5.4.1)",
     .similar = 1,
     .first = PRUNABILITY,
     .second = {RANDOM_PRUNING}},
    {.text = "Normalized margins outperform prunability by tau (5.4.1)",
     .first = "normalized_margins",
     .second = {PRUNABILITY}},
    {.text = "Beyond the paper: so do cross-fitted margins",
     .first = "normalized_margins_crossfitted",
     .second = {PRUNABILITY}},
    {.text = "The negative sum of train losses and the best margin variable are about as "
             "informative as prunability (5.4.1)",
     .similar = 1,
     .first = PRUNABILITY,
     .second = {"sum_of_train_losses", "best_margin_variable"}},
    {.text = "Normalized margins have a higher conditional mutual information with the gap than "
             "the other baselines (5.4.1): K",
     .statistic = PRUN_STATISTIC_CMI,
     .first = "normalized_margins",
     .second = {"perturbation_flatness", "train_loss", "sum_of_frobenius", "sum_of_train_losses"}},
    {.text = "... and so does the best margin variable (5.4.1): K",
     .statistic = PRUN_STATISTIC_CMI,
     .first = "best_margin_variable",
     .second = {"perturbation_flatness", "train_loss", "sum_of_frobenius", "sum_of_train_losses"}},
    {.text = "The information of prunability is relatively low (5.4.1): normalized margins have "
             "more: K",
     .statistic = PRUN_STATISTIC_CMI,
     .first = "normalized_margins",
     .second = {PRUNABILITY}},
    {.text = "... and so does the best margin variable: K",
     .statistic = PRUN_STATISTIC_CMI,
     .first = "best_margin_variable",
     .second = {PRUNABILITY}},
    {.text = "Parameter counts and norms do worse than prunability, pruned or not (5.4.1, Table "
             "2)",
     .first = PRUNABILITY,
     .second = {"parameters", "pruned_parameters", "sum_of_two_norms", "sum_of_two_norms_pruned"}},
    {.text = "Of the baselines, random perturbation robustness has the highest information with "
             "prunability (5.4.3, Table 3): K",
     .statistic = PRUN_STATISTIC_CMI,
     .first = "perturbation_flatness",
     .second = {"train_loss", "sum_of_frobenius", "sum_of_train_losses", "best_margin_variable",
                "normalized_margins"},
     .with_prunability = 1}};

static int table_of_claims(evaluation *e, ex_table *table) {
    size_t i;
    int status = 0;

    ex_table_header(table, "the paper's claim|found here, with 95 % interval|verdict");
    for (i = 0; status == 0 && i < sizeof paper_claims / sizeof *paper_claims; i++)
        status = compare_claim(e, &paper_claims[i], table);
    if (status == 0) {
        frobenius_claim(e, table);
        status = beta_claim(e, table);
    }
    return status;
}

/* ---- subsets of the models ----------------------------------------------------------------- */

/* Tau over the models with a non-zero byte in `in`, or its difference to another measure's. */
static int subset_tau(evaluation *e, const unsigned char *in, const double *x, const double *other,
                      prun_interval *result) {
    double *room = (double *)ex_allocate(4 * (size_t)e->n, sizeof *room);
    double *const part[4] = {room, room + e->n, room + 2 * e->n, room + 3 * e->n};
    const double *const whole[4] = {x, other, e->gap, e->cluster};
    prun_sample sample;
    prun_resampling_options options;
    prun_status status = PRUN_OK;
    int64_t i, n = 0;
    int k;

    for (i = 0; i < e->n; i++)
        if (in[i]) {
            for (k = 0; k < 4; k++) part[k][n] = whole[k] != NULL ? whole[k][i] : 0;
            n++;
        }
    sample_of(e, part[0], &sample, &options);
    sample.n = n;
    sample.target = part[2];
    sample.axes = NULL;
    if (sample.cluster != NULL) sample.cluster = part[3];
    memset(result, 0, sizeof *result);
    result->estimate = result->lower = result->upper = (double)NAN;
    if (n >= 4)
        status = other == NULL ? prun_bootstrap(&e->context, &sample, &options, result)
                               : prun_compare(&e->context, &sample, part[1], &options, result);
    free(room);
    return status == PRUN_OK ? 0 : ex_failure(&e->context, "subset");
}

/* Compares measures with prunability in one subset, which has n models. */
static int subset_rows(evaluation *e, const char *label, const unsigned char *in, int64_t n,
                       ex_table *table) {
    const char *const names[] = {e->s->names[way_column(e->s, MAGNITUDE)],
                                 e->s->names[way_column(e->s, RANDOM)],
                                 "train_loss_turned",
                                 "sum_of_train_losses",
                                 "perturbation_flatness",
                                 "normalized_margins",
                                 "normalized_margins_crossfitted",
                                 "sum_of_frobenius",
                                 "parameters"};
    size_t k;
    int status = 0;

    for (k = 0; k < sizeof names / sizeof *names && status == 0; k++) {
        const int at = find_line(e, names[k]);
        prun_interval own, d;

        if (at < 0 || e->main < 0) continue;
        status = subset_tau(e, in, e->lines[at].x, NULL, &own);
        d.estimate = d.lower = d.upper = (double)NAN;
        if (status == 0 && at != e->main)
            status = subset_tau(e, in, e->lines[e->main].x, e->lines[at].x, &d);
        ex_table_cell(table, "%s", label);
        ex_table_cell(table, "%ld", (long)n);
        ex_table_cell(table, "%s", e->lines[at].label);
        interval_cells(table, &own);
        interval_cells(table, &d);
    }
    return status;
}

/* The comparison among the fitted models, and at each level of augmentation. */
static int subset_table(evaluation *e, ex_table *table) {
    const double *train = column(e, "train_error"), *augment = column(e, axis_names[AUGMENT]);
    unsigned char *in = (unsigned char *)ex_allocate((size_t)e->n, 1);
    char label[64];
    int64_t i;
    int k, status = 0;

    ex_table_header(table, "models|n|measure|tau|lower|upper|prunability minus it|lower|upper");
    for (k = 0; k < 3 && status == 0; k++) {
        int64_t n = 0;

        for (i = 0; i < e->n; i++) {
            in[i] = k == 0 ? train[i] < FITTED : (augment[i] > 0) == (k == 2);
            n += in[i];
        }
        if (k == 0) snprintf(label, sizeof label, "train error below %g %%", 100 * FITTED);
        else snprintf(label, sizeof label, "%saugmented", k == 1 ? "not " : "");
        if (n > 0 && n < e->n) status = subset_rows(e, label, in, n, table);
    }
    free(in);
    return status;
}

/* ---- figures ------------------------------------------------------------------------------- */

/* Points are coloured by dropout, which the paper's norms follow, else by the first axis that
   varies, else by the seed. They have one colour if there are too many levels. */
static int draw_scatter(const evaluation *e, const line *l) {
    const double *by = e->axes.seed;
    const char *name = "seed";
    double levels[8], *x, *y;
    char title[120], file[100], names[8][60];
    ex_series series[8];
    ex_plot plot;
    int64_t i, a, at = 0;
    int k, coloured, count = 0, status;

    memset(series, 0, sizeof series);
    memset(&plot, 0, sizeof plot);
    for (a = 0; a < e->axes.count; a++)
        if (a == 0 || strcmp(e->axis_name[a], axis_names[DROPOUT]) == 0) {
            by = e->axis[a];
            name = e->axis_name[a];
        }
    for (i = 0; i < e->n && count <= 8; i++) {
        for (k = 0; k < count && (by[i] < levels[k] || by[i] > levels[k]);) k++;
        if (k == count && count++ < 8) levels[k] = by[i];
    }
    coloured = count <= 8;
    count = coloured ? count : 1;
    x = (double *)ex_allocate(2 * (size_t)e->n, sizeof *x);
    y = x + e->n;
    for (k = 0; k < count; k++) {
        series[k].x = x + at;
        series[k].y = y + at;
        series[k].colour = k;
        for (i = 0; i < e->n; i++)
            if (!coloured || !(by[i] < levels[k] || by[i] > levels[k])) {
                x[at] = l->x[i];
                y[at++] = e->gap[i];
                series[k].n++;
            }
        snprintf(names[k], sizeof names[k], "%s %g", name, levels[k]);
        series[k].name = coloured ? names[k] : NULL;
    }
    snprintf(title, sizeof title, "tau = %+.3f (%+.3f to %+.3f), n = %ld%s", l->kendall.tau_a,
             l->interval.lower, l->interval.upper, (long)e->n,
             l->infinite ? "; last column: infinite values" : "");
    snprintf(file, sizeof file, "scatter_%s", l->name);
    plot.title = title;
    plot.x_label = l->label;
    plot.y_label = "generalization gap (test - train error)";
    plot.series = series;
    plot.count = count;
    status = ex_plots_write(e->s->set.study.out, file, NULL, NULL, &plot, 1, 1, 720, 460);
    free(x);
    return status;
}

/* All taus with their intervals, one below the other. */
static int draw_taus(const evaluation *e) {
    const double left = 290, right = 700, top = 60, pitch = 22;
    const double bottom = top + pitch * e->count;
    const double unit = (right - left) / 2;
    ex_text path = {NULL, 0, 0};
    FILE *file = ex_svg_open(e->s->set.study.out, "tau", 730, bottom + 50, &path);
    char text[100];
    int i, status = EX_FAILED;

    if (file != NULL) {
        snprintf(text, sizeof text, "Kendall's tau with the generalization gap, %ld models",
                 (long)e->n);
        ex_svg_text(file, 20, 30, "font-size=\"15\"", text);
        for (i = -4; i <= 4; i++) {
            const double x = left + unit * (1 + i / 4.0);

            fprintf(file, "<path d=\"M%.1f %.1fV%.1f\" stroke=\"%s\"/>\n", x, top, bottom,
                    i == 0 ? "#444" : "#ddd");
            snprintf(text, sizeof text, "%g", i / 4.0);
            ex_svg_text(file, x, bottom + 18, "text-anchor=\"middle\"", text);
        }
        ex_svg_text(file, left + unit, bottom + 40, "text-anchor=\"middle\" font-size=\"14\"",
                    "tau, with 95 % bootstrap interval over configurations");
        for (i = 0; i < e->count; i++) {
            const line *l = &e->lines[i];
            const double y = top + pitch * (i + 0.5);
            const char *colour = ex_palette[strncmp(l->name, "prunability", 11) == 0 ? 1 : 0];

            ex_svg_text(file, left - 12, y + 4, "text-anchor=\"end\"", l->label);
            if (l->interval.lower <= l->interval.upper)
                fprintf(file, "<path d=\"M%.1f %.1fH%.1f\" stroke=\"%s\" stroke-width=\"2\"/>\n",
                        left + unit * (1 + l->interval.lower), y,
                        left + unit * (1 + l->interval.upper), colour);
            fprintf(file, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"%s\"/>\n",
                    left + unit * (1 + l->kendall.tau_a), y, colour);
        }
        status = ex_svg_close(file, path.data);
    }
    ex_text_free(&path);
    return status;
}

/* ---- report -------------------------------------------------------------------------------- */

/* Writes a table to the report and OUT/name.csv, and prints it if `screen` is set. */
static int show(const evaluation *e, const char *title, const char *name, ex_table *table,
                FILE *report, int screen) {
    if (screen) {
        printf("\n%s\n\n", title);
        ex_table_print(table, stdout);
    }
    fprintf(report, "## %s\n\n", title);
    return ex_report_table(&e->s->rows, report, table, name);
}

/* Time of each measure, the most expensive first. */
static void cost_table(const evaluation *e, ex_table *table) {
    const study *s = e->s;
    const int first = first_measure(s), count = s->measured - first;
    char done[MAX_COLUMNS] = {0};
    double mean[MAX_COLUMNS];
    int64_t i;
    int k, n, best;

    ex_table_header(table, "measure|seconds per model");
    for (k = 0; k < count; k++)
        for (mean[k] = 0, i = 0; i < e->n; i++)
            mean[k] += column(e, s->names[s->measured + k])[i] / (double)e->n;
    for (n = 0; n < count; n++) {
        for (best = -1, k = 0; k < count; k++)
            if (!done[k] && (best < 0 || mean[k] > mean[best])) best = k;
        done[best] = 1;
        if (mean[best] < 0.001) break; /* these reuse earlier results */
        ex_table_cell(table, "%s", s->names[first + best]);
        ex_table_cell(table, "%.3f", mean[best]);
    }
}

/* Mean errors at each level of every axis, to show whether an axis has an effect beyond noise. */
static void axis_table(const evaluation *e, ex_table *table) {
    const double *train = column(e, "train_error"), *test = column(e, "test_error");
    int64_t a, i;

    ex_table_header(table, "axis|level|models|train error|test error|gap|below 2 % train error");
    for (a = 0; a < e->axes.count; a++) {
        double level = -HUGE_VAL;

        for (;;) { /* levels in ascending order */
            double next = HUGE_VAL, n = 0, sum[4] = {0, 0, 0, 0};

            for (i = 0; i < e->n; i++)
                if (e->axis[a][i] > level && e->axis[a][i] < next) next = e->axis[a][i];
            if (!(next < HUGE_VAL)) break;
            level = next;
            for (i = 0; i < e->n; i++) {
                if (e->axis[a][i] < level || e->axis[a][i] > level) continue;
                n++;
                sum[0] += train[i];
                sum[1] += test[i];
                sum[2] += e->gap[i];
                sum[3] += train[i] < FITTED;
            }
            ex_table_cell(table, "%s", e->axis_name[a]);
            ex_table_cell(table, "%g", level);
            ex_table_cell(table, "%.0f", n);
            ex_table_cell(table, "%.4f", sum[0] / n);
            ex_table_cell(table, "%.4f", sum[1] / n);
            ex_table_cell(table, "%.4f", sum[2] / n);
            ex_table_cell(table, "%.0f %%", 100 * sum[3] / n);
        }
    }
}

/* Standard deviation of a column over seeds, within configurations; NaN with one seed. */
static double seed_deviation(const evaluation *e, const double *x) {
    double squares = 0, free_values = 0;
    int64_t first, last, i;

    for (first = 0; first < e->n; first = last) {
        double sum = 0;

        for (last = first; last < e->n && !(e->cluster[last] > e->cluster[first]); last++)
            sum += x[last];
        for (i = first; i < last; i++) {
            const double d = x[i] - sum / (double)(last - first);

            squares += d * d;
        }
        free_values += (double)(last - first - 1);
    }
    return free_values > 0 ? sqrt(squares / free_values) : (double)NAN;
}

/* The pruning criteria: the fraction that each keeps, and how well it follows the gap. */
static void way_table(const evaluation *e, ex_table *table) {
    int64_t i;
    int way;

    ex_table_header(table,
                    "weights dropped by|mean kept fraction|kept all|kept none|tau|lower|upper");
    for (way = 0; way < WAYS; way++) {
        const char *name = e->s->names[way_column(e->s, way)];
        const double *kept = column(e, name), *all = column(e, "prunable");
        const int k = find_line(e, name);
        double sum = 0, whole = 0, none = 0;

        for (i = 0; i < e->n; i++) {
            sum += kept[i] / (double)e->n;
            none += kept[i] == 0;
            whole += prun_kept_count_at(kept[i], (int64_t)all[i]) >= (int64_t)all[i];
        }
        ex_table_cell(table, "%s", way_labels[way]);
        ex_table_cell(table, "%.4f", sum);
        ex_table_cell(table, "%.0f models", whole);
        ex_table_cell(table, "%.0f models", none);
        ex_table_number(table, "%+.3f", k >= 0 ? e->lines[k].kendall.tau_a : (double)NAN);
        ex_table_number(table, "%+.3f", k >= 0 ? e->lines[k].interval.lower : (double)NAN);
        ex_table_number(table, "%+.3f", k >= 0 ? e->lines[k].interval.upper : (double)NAN);
    }
}

static double mean_of(const double *x, int64_t n) {
    double sum = 0;
    int64_t i;

    for (i = 0; i < n; i++) sum += x[i] / (double)n;
    return sum;
}

/* Every pair of criteria, the more effective one first: does it follow the gap better? */
static int pair_table(evaluation *e, ex_table *table, verdict *conjecture) {
    const study *s = e->s;
    int a, b, held = 0, failed = 0, pairs = 0, status = 0;

    ex_table_header(table, "more effective|less effective|kept fractions|tau: difference|lower|"
                           "upper|more effective is more informative");
    for (a = 0; a < WAYS; a++)
        for (b = 0; b < WAYS && status == 0; b++) {
            const double *x = column(e, s->names[way_column(s, a)]);
            const double *y = column(e, s->names[way_column(s, b)]);
            const double kept[2] = {mean_of(x, e->n), mean_of(y, e->n)};
            const int first = find_line(e, s->names[way_column(s, a)]);
            const int second = find_line(e, s->names[way_column(s, b)]);
            prun_interval d;
            verdict v;

            if (a == b || kept[0] > kept[1] || (!(kept[0] < kept[1]) && a > b)) continue;
            status = difference(e, first, second, PRUN_STATISTIC_TAU_A, NULL, &d);
            v = is_larger(&d);
            held += v == HELD;
            failed += v == FAILED;
            pairs += v != NO_DATA;
            ex_table_cell(table, "%s", way_labels[a]);
            ex_table_cell(table, "%s", way_labels[b]);
            ex_table_cell(table, "%.3f, %.3f", kept[0], kept[1]);
            interval_cells(table, &d);
            ex_table_cell(table, "%s", verdicts[v]);
        }
    *conjecture = pairs == 0                        ? NO_DATA
                  : failed == 0 && 2 * held > pairs ? HELD
                  : held == 0 && 2 * failed > pairs ? FAILED
                                                    : UNDECIDED;
    return status;
}

/* How precisely the training samples determine prunability, and how many pairs of models differ. */
static void describe_intervals(const evaluation *e, FILE *report) {
    const double *lower = column(e, "prunability_lower"), *upper = column(e, "prunability_upper");
    const double *kept = column(e, "kept_random"), *all = column(e, "prunable");
    double apart = 0, pairs = 0, width = 0, whole = 0;
    int64_t i, k;

    for (i = 0; i < e->n; i++) {
        width += (upper[i] - lower[i]) / (double)e->n;
        whole += kept[i] >= all[i];
        for (k = 0; k < i; k++, pairs++) apart += lower[i] > upper[k] || lower[k] > upper[i];
    }
    if (e->s->set.resamples > 0)
        fprintf(
            report,
            "The 95 %% bootstrap interval of prunability is %.3f wide on average (%ld resamples of "
            "the training images); the intervals of %.0f %% of all pairs of models do not "
            "overlap. ",
            width, (long)e->s->set.resamples, 100 * apart / pairs);
    fprintf(report, "In %.0f of %ld models random pruning could not remove a single weight.\n\n",
            whole, (long)e->n);
}

/* The grid against the paper's. */
static void describe_grid(const evaluation *e, FILE *report) {
    const settings *set = &e->s->set;

    if (set->study.preset != EX_FULL)
        fprintf(report,
                "The grid varies %s the paper's hyperparameters (A.3), whose levels there are: "
                "width 192, 288 and 384; depth 2, 3 and 4; dropout 0, 0.2 and 0.5; L2 penalty "
                "0, 0.001 and 0.005; augmentation off and on. The levels of this run are in the "
                "next table. ",
                e->axes.count == AXES ? "all of" : "some of");
    fprintf(report,
            "Augmentation crops with a padding of %ld and flips. L2 penalties are named as in the "
            "paper and multiplied by %.3g, so that they shrink the weights as much over this "
            "training as over the paper's.\n\n",
            (long)set->crop, e->s->l2_scale);
}

static void describe(const evaluation *e, FILE *report) {
    const settings *set = &e->s->set;
    const double *train = column(e, "train_error");
    const double *test = column(e, "test_error");
    char span[32];
    double fitted = 0, seconds = 0, range[6] = {HUGE_VAL, 0, HUGE_VAL, 0, HUGE_VAL, -HUGE_VAL};
    const double *const parts[3] = {train, test, e->gap};
    int64_t i;
    int k;

    for (i = 0; i < e->n; i++) {
        fitted += train[i] < FITTED;
        seconds += column(e, "seconds_training")[i] + column(e, "seconds_measuring")[i];
        for (k = 0; k < 3; k++) {
            range[2 * k] = parts[k][i] < range[2 * k] ? parts[k][i] : range[2 * k];
            range[2 * k + 1] = parts[k][i] > range[2 * k + 1] ? parts[k][i] : range[2 * k + 1];
        }
    }
    fprintf(
        report,
        "\n## The question\n\nWhich property of a trained network predicts how much worse it "
        "performs on new data? The paper's answer is prunability, the smallest fraction of weights "
        "that can be kept while the training loss rises by at most %g %%.\n\n"
        "## The setting\n\nThe report covers %ld of %ld Network in Network models%s. The data set "
        "is %s, with %ld training and %ld test images. Training takes %ld epoch%s with batches of "
        "%ld and a learning rate of %g, which is divided by ten every %ld epoch%s. ",
        100 * set->beta.value[e->s->main_beta], (long)e->n, (long)e->s->rows.count,
        e->failed > 0 ? " (the others diverged or are not trained yet)" : "", e->s->data.name,
        (long)e->s->data.train.count, (long)e->s->data.test.count, (long)set->epochs,
        ex_plural(set->epochs), (long)set->batch, set->lr, (long)set->lr_step,
        ex_plural(set->lr_step));
    describe_grid(e, report);
    ex_report_choice(&set->study, "only from train errors and mean test errors", report);
    fprintf(report,
            "%.0f %% of the models have a train error below %g %%. Train errors range from %.4f to "
            "%.4f, test errors from %.4f to %.4f, and gaps from %.4f to %.4f. ",
            100 * fitted / (double)e->n, 100 * FITTED, range[0], range[1], range[2], range[3],
            range[4], range[5]);
    if (!isnan(seed_deviation(e, test)))
        fprintf(report,
                "Between seeds of the same configuration, the standard deviation of the test error "
                "is %.4f and that of the gap %.4f. ",
                seed_deviation(e, test), seed_deviation(e, e->gap));
    fprintf(report, "The run took %s on one core.\n\n", ex_span(seconds, span));
    describe_intervals(e, report);
}

static int show_subsets(evaluation *e, ex_table *table, FILE *report) {
    int status = subset_table(e, table);

    if (status != 0 || table->count == table->columns) { /* no rows */
        ex_table_free(table);
        return status;
    }
    status = show(e, "Subsets of the models", "subsets", table, report, 0);
    fprintf(report,
            "The gap is the test error minus the train error, so measures of the training loss "
            "follow it by construction where the training set is not fitted; and augmentation may "
            "dominate all other differences. The table therefore repeats the comparison within the "
            "fitted models, and within each level of augmentation.\n\n");
    return status;
}

static int write_report(evaluation *e, int argc, char **argv) {
    ex_table table = {0, 0, 0, NULL};
    verdict conjecture = NO_DATA;
    ex_text path = {NULL, 0, 0};
    FILE *report =
        ex_report_open(&e->s->rows, "Which measure follows the gap? (5.4.1)", argc, argv, &path);
    int i, status;

    if (report == NULL) {
        ex_text_free(&path);
        return EX_FAILED;
    }
    describe(e, report);
    axis_table(e, &table);
    status = show(e, "What each axis does", "axes", &table, report, 0);
    fprintf(report, "## The figure\n\n![tau of every measure](tau.svg)\n\n");
    fprintf(report,
            "Measures are oriented so that they should grow with the gap. Intervals are 95 %% "
            "bootstrap intervals over configurations, with %ld resamples (at most 200 for K). A "
            "claim \"held\" if the whole interval agrees with it, \"did not hold\" if the whole "
            "interval contradicts it, and is \"undecided\" otherwise. Measures are \"similar\" if "
            "the whole interval of the difference of their taus is within %g, and not similar if "
            "it is wholly beyond. A claim of several comparisons has the worst of their verdicts. "
            "Verdicts are not corrected for the number of comparisons. Normalized margins and the "
            "best margin variable were fitted to the gap of all models, which the intervals do not "
            "take into account.\n\n",
            (long)e->s->set.bootstraps, SIMILAR);
    if (status == 0) status = table_of_claims(e, &table);
    if (status == 0)
        status = show(e, "The answer: the paper's claims", "claims", &table, report, 0);
    if (status == 0) status = show_subsets(e, &table, report);
    way_table(e, &table);
    if (status == 0)
        status = show(e, "Which weights to drop? (section 4)", "ways", &table, report, 1);
    if (status == 0) status = pair_table(e, &table, &conjecture);
    if (status == 0)
        status = show(e, "Pairwise comparison of pruning criteria", "way_pairs", &table, report, 0);
    fprintf(
        report,
        "Conjecture: the more effective pruning criterion gives the better measure (section "
        "4). It held if it held for more than half of the pairs and failed for none. It did not "
        "hold if it failed for more than half of the pairs and held for none. Verdict: %s.\n\n",
        verdicts[conjecture]);
    table1(e, &table);
    if (status == 0)
        status = show(e,
                      "Table 1: rank correlation, conditional mutual information K and "
                      "regression with the gap",
                      "table1", &table, report, 1);
    fprintf(report,
            "The standard error is that of a measure that is independent of the gap. It and the "
            "p-value of tau_b treat the models as independent; the interval, which resamples "
            "configurations with all their seeds, does not. CV R2 depends on the partition into "
            "ten folds, of which one was drawn.\n\n");
    table2(e, &table);
    if (status == 0)
        status = show(e, "Table 2: granulated Kendall along each hyperparameter", "table2", &table,
                      report, 1);
    table3(e, &table);
    if (status == 0)
        status = show(e, "Table 3: information between prunability and the other measures",
                      "table3", &table, report, 1);
    fprintf(report,
            "K with prunability is divided by the conditional entropy of prunability, so that the "
            "rows can be compared.\n\n");
    if (status == 0 && e->s->columns > e->s->measured) {
        cost_table(e, &table);
        status = show(e, "Time per measure (shared work counts once)", "costs", &table, report, 0);
    }
    if (e->left_out.length > 0) {
        printf("\nLeft out: %s.\n", e->left_out.data);
        fprintf(report, "Left out: %s.\n\n", e->left_out.data);
    }
    fprintf(report, "## Figures\n\n");
    for (i = 0; i < e->count; i++)
        fprintf(report, "- [%s](scatter_%s.svg)\n", e->lines[i].label, e->lines[i].name);
    ex_table_free(&table);
    status = ex_finish(status, report, path.data);
    if (status == 0)
        printf("\nFor a measure that is independent of the gap, the standard error of tau is %.3f "
               "with %ld models;\nmeasures whose taus differ by less than twice that can hardly be "
               "told apart. Claims, figures\nand tables: %s\n",
               e->count > 0 ? e->lines[0].kendall.standard_error : 0.0, (long)e->n,
               ex_shown(path.data));
    ex_text_free(&path);
    return status;
}

static int evaluate_study(void *user, int argc, char **argv) {
    evaluation e;
    int i, status;

    memset(&e, 0, sizeof e);
    e.s = (const study *)user;
    e.main = -1;
    status = read_rows(&e);
    if (e.failed > 0)
        printf("%d model%s diverged and %s left out of what follows.\n", e.failed,
               ex_plural(e.failed), e.failed == 1 ? "is" : "are");
    if (status == 0 && e.n < 3) {
        ex_error("only %ld model%s a result; an evaluation needs at least three", (long)e.n,
                 e.n == 1 ? " has" : "s have");
        status = EX_FAILED;
    } else if (status == 0) {
        status = make_lines(&e);
        for (i = 0; status == 0 && i < e.count; i++) status = evaluate_line(&e, &e.lines[i]);
        for (i = 0; status == 0 && i < e.count; i++) status = draw_scatter(&e, &e.lines[i]);
        if (status == 0) status = draw_taus(&e);
        if (status == 0) status = write_report(&e, argc, argv);
    }
    for (i = 0; i < e.count; i++) free(e.lines[i].x);
    free(e.lines);
    ex_text_free(&e.left_out);
    free(e.cluster);
    prun_table_free(&e.table);
    return status;
}

/* ---- program ------------------------------------------------------------------------------- */

/* One option table, a set of defaults for each preset. */
typedef struct preset {
    const char *width, *depth, *dropout, *l2, *augment, *seeds;
    const char *epochs, *batch, *lr, *lr_step, *crop, *images, *draws, *checkpoint;
} preset;

static const preset presets[EX_PRESETS] = {
    {"8,16", "2,3", "0,0.2", "0", "0,1", "1,2", "16", "32", "0.02", "0", "4", "1000", "5", "0"},
    {"12,16,20", "2,3,4", "0,0.1,0.2", "0,0.0002,0.0005", "0,1", "1,2", "160", "32", "0.02", "0",
     "1", "300", "5", "0"},
    {"16,24,32", "2,3,4", "0,0.05,0.15", "0,0.0002,0.0005", "0,1", "1,2", "400", "32", "0.02", "0",
     "1", "300", "10", "20"},
    {"192,288,384", "2,3,4", "0,0.2,0.5", "0,0.001,0.005", "0,1", "1,2", "380", "128", "0.01",
     "100", "4", "0", "10", "10"}};

static int parse(void *user, int argc, char **argv) {
    settings *set = &((study *)user)->set;
    static const char *const directories[EX_PRESETS] = {"demogen-demo", "demogen-mini",
                                                        "demogen-night", "demogen-full"};
    const int which = ex_preset(argc, argv);
    const preset *d = &presets[which];
    const double many = 1e9, any_seed = 9007199254740992.0;
    const ex_option options[] = {
        EX_STUDY_OPTIONS(&set->study, directories[which]),
        {"data", EX_TEXT, &set->data, EX_DATA_DIRECTORY, 0, 0,
         "directory of IDX files or CIFAR binary files"},
        {"width", EX_INT_LIST, &set->width, d->width, 1, 65536, "filters of each convolution"},
        {"depth", EX_INT_LIST, &set->depth, d->depth, 2, 4, "blocks of three convolutions"},
        {"dropout", EX_REAL_LIST, &set->dropout, d->dropout, 0, 0.99, "drop probability"},
        {"l2", EX_REAL_LIST, &set->l2, d->l2, 0, 1e3, "L2 penalties, named as in the paper"},
        {"l2-scale", EX_REAL, &set->l2_scale, "0", 0, 1e9,
         "factor of the penalties; 0: chosen to shrink weights as much as in the paper's "
         "training"},
        {"augment", EX_INT_LIST, &set->augment, d->augment, 0, 1, "1: random crops and flips"},
        {"crop", EX_INT, &set->crop, d->crop, 0, 16, "padding of the crops"},
        {"seeds", EX_INT_LIST, &set->seeds, d->seeds, 0, any_seed,
         "one model of each configuration per seed"},
        {"epochs", EX_INT, &set->epochs, d->epochs, 1, 1e6, "epochs of training"},
        {"batch", EX_INT, &set->batch, d->batch, 2, many, "images per step"},
        {"lr", EX_REAL, &set->lr, d->lr, 1e-12, 1e6, "learning rate"},
        {"momentum", EX_REAL, &set->momentum, "0.9", 0, 0.9999, "momentum of SGD"},
        {"lr-step", EX_INT, &set->lr_step, d->lr_step, 0, many,
         "epochs between divisions of the learning rate by ten; 0: 60 % of all"},
        {"images", EX_INT, &set->images, d->images, 0, many, "first training images; 0: all"},
        {"test-images", EX_INT, &set->test_images, "0", 0, many, "first test images; 0: all"},
        {"beta", EX_REAL_LIST, &set->beta, "0.05,0.1,0.2,0.5", 1e-9, 1e9,
         "tolerances on the loss; the main one is 0.1 or, without it, the first"},
        {"fractions", EX_FRACTIONS, &set->fractions, "dense", 0, 1,
         "kept fractions to try: N: i/N; dense: hundredths to 0.9, then 1 - 10^(-1 - i/10); or a "
         "list"},
        {"resamples", EX_INT, &set->resamples, "1000", 0, 1e6,
         "resamples of the training images, for the interval of prunability; 0: none"},
        {"repetitions", EX_INT, &set->repetitions, "5", 1, 1e6, "permutations of random pruning"},
        {"draws", EX_INT, &set->draws, d->draws, 1, 1e6, "draws of random perturbations"},
        {"measures", EX_CHOICE, &set->measures, "paper", 0, 0,
         "the paper's measures; all that need no search; all"},
        {"checkpoint", EX_INT, &set->checkpoint, d->checkpoint, 0, many,
         "epochs between checkpoints; 0: none"},
        {"bootstraps", EX_INT, &set->bootstraps, "2000", 10, 1e7,
         "resamples of the configurations, for the intervals of the report"}};
    const ex_program program = {
        "demogen",
        "",
        "Trains a grid of Network in Network models and finds out which measures follow their\n"
        "generalization gap (the paper's first experiment, Tables 1 to 3). Options with lists are "
        "axes\nof the grid. A run that was stopped resumes when it is started again. Join the "
        "parts made\nwith --shard by cat OUT/models.*of*.csv > OUT/models.csv and evaluate them "
        "with --collect.",
        options,
        sizeof options / sizeof *options,
        0,
        0};
    int status;

    set->measures.names = "paper|fast|all";
    status = ex_parse(&program, argc, argv, NULL);
    if (status >= 0) return status;
    if (set->beta.count > PRUN_MAX_BETAS) {
        ex_error("--beta: at most %d values", PRUN_MAX_BETAS);
        return EX_USAGE;
    }
    status = ex_resamples_check(set->resamples);
    if (status >= 0) return status;
    if (which == EX_FULL && strcmp(set->data, EX_DATA_DIRECTORY) == 0) {
        ex_error("--full needs --data DIR with the binary files of CIFAR-10 (data_batch_1.bin to "
                 "_5.bin, test_batch.bin) from https://www.cs.toronto.edu/~kriz/cifar.html");
        return EX_USAGE;
    }
    if (set->lr_step == 0) set->lr_step = (3 * set->epochs + 4) / 5;
    return ex_study_check(&set->study);
}

static int load(void *user, prun_context *context, const char *program) {
    study *s = (study *)user;
    ex_data_request request;

    memset(&request, 0, sizeof request);
    request.directory = s->set.data;
    request.program = program;
    request.pad_to = 32;
    request.train_images = s->set.images;
    request.test_images = s->set.test_images;
    request.normalization = PRUN_NORMALIZATION_PER_IMAGE;
    return ex_load_data(context, &request, &s->data);
}

/* Prints the cost of the study, estimated from a few passes of its cheapest and most expensive
   models; -1 to continue. Memory of a model: a training step and the searches' copies of the
   weights. Disk: a checkpoint has weights and momentum. */
static int cost(const study *s) {
    const model *const tried[2] = {&s->models[0], &s->models[s->rows.count - 1]};
    prun_context context;
    prun_net *net = NULL;
    prun_arch arch;
    double rate = 0, bytes = 0, weights = 0, seconds;
    int k, status;

    for (k = 0; k < 2; k++) {
        arch = arch_of(s, tried[k]);
        status = ex_probe(&arch, &s->data.train, s->set.batch, &seconds, &bytes);
        if (status != 0) return status;
        rate += seconds / (3 * tried[k]->cost) / 2;
    }
    memset(&context, 0, sizeof context);
    if (prun_net_create_nin(&context, &arch, &net) == PRUN_OK)
        weights = (double)prun_net_parameter_count(net) * sizeof(float);
    prun_net_free(net);
    return ex_study_cost(&s->rows, rate * s->rows.left, bytes + 6 * weights,
                         2.1 * weights * ex_jobs(&s->set.study) + 4000.0 * (double)s->rows.count);
}

static int set_up(void *user) {
    study *s = (study *)user;
    const int status = make_grid(s);

    s->l2_scale = l2_scale_of(s);
    make_columns(s);
    s->rows.set = &s->set.study;
    s->rows.keys = KEYS;
    s->rows.save_every = s->set.checkpoint;
    s->rows.partial = 1;
    return status;
}

static int announce(void *user) {
    const study *s = (const study *)user;
    ex_text widths = {NULL, 0, 0};

    if (!ex_study_trains(&s->rows)) return -1;
    ex_list_text(&s->set.width, &widths);
    printf("%ld NiN model%s of widths %s, %ld of them to train; %s: %ld training and %ld test "
           "images; %ld epoch%s, batch %ld; kernels: %s\n",
           (long)s->rows.count, ex_plural(s->rows.count), widths.data, (long)s->rows.to_do,
           s->data.name, (long)s->data.train.count, (long)s->data.test.count, (long)s->set.epochs,
           ex_plural(s->set.epochs), (long)s->set.batch, prun_isa());
    ex_text_free(&widths);
    fflush(stdout);
    return cost(s);
}

static void clear(void *user) {
    study *s = (study *)user;

    ex_free_data(&s->data);
    ex_text_free(&s->header);
    ex_text_free(&s->beta_text);
    free(s->models);
}

int main(int argc, char **argv) {
    static const ex_study_steps steps = {parse,     load,       set_up,         announce, write_key,
                                         run_model, model_work, evaluate_study, clear};
    static study s;

    return ex_study_main(&s.rows, &steps, &s, argc, argv);
}
