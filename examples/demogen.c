/* demogen.c - the paper's first experiment (5.4.1, A.3): which measure follows the gap?

   Trains a grid of Network in Network models that differ in width, depth, dropout, L2 penalty,
   augmentation and seed, measures each, and prints how well every measure ranks them by their
   generalization gap (test error minus train error): Kendall's tau. One model per thread; the
   results do not depend on the number of threads.

       cc -O2 -fopenmp examples/demogen.c -lm -o demogen && ./demogen
       ./demogen --preset full --data DIR --csv full.csv         (the paper's grid: a cluster job)
*/
#include "example.h"
#define PRUNABILITY_IMPLEMENTATION
#include "../prunability.h"

/* Work of one prunability search in forward passes over the training set; only the progress bar's
   guess of the time left depends on it. */
#define SEARCH_PASSES 8

typedef enum measure {
    MAGNITUDE,
    RANDOM,
    TRAIN_LOSS,
    FROBENIUS,
    PARAMETERS,
    SOTL,
    INVERSE_WIDTH,
    MEASURES
} measure;

static const char *const measure_names[MEASURES] = {
    "prunability (magnitude)", "prunability (random)", "train loss", "sum of Frobenius norms",
    "parameter count", "sum of train losses (negated)", "1 / width (trivial baseline)"};

typedef struct settings {
    ex_choice preset;
    ex_ints width, depth, augment, seeds;
    ex_reals dropout, l2, beta;
    int64_t epochs, batch, lr_step, images, test_images, repetitions, jobs;
    double lr, momentum;
    const char *data, *csv;
    int quiet;
} settings;

typedef struct model {
    int64_t width, depth, augment, seed;
    double dropout, l2;
    double cost; /* multiplications of one forward pass of one image */
    prun_status status;
    char message[256]; /* why status is not PRUN_OK */
    double train_loss, train_error, test_loss, test_error, gap, seconds;
    double magnitude[PRUN_MAX_BETAS], random[PRUN_MAX_BETAS];
    double measure[MEASURES];
} model;

typedef struct study {
    settings set;
    ex_data data;
    model *models;
    int count;
    ex_csv csv;
    ex_progress progress;
} study;

/* ---- the grid ------------------------------------------------------------------------------ */

/* Which of `count` values a running number stands for; the number then counts the axes left. */
static int axis(int *number, int count)
{
    int position = *number % count;

    *number /= count;
    return position;
}

static double forward_cost(int64_t width, int64_t depth)
{
    double c = (double)width, input = 1, positions = 16 * 16, sum = 0;
    int64_t block;

    for (block = 0; block < depth; block++) {
        sum += positions * (9 * input * c + 2 * c * c);
        input = c;
        positions /= 4;
    }
    return sum;
}

static model grid_model(const settings *set, int number)
{
    model m;

    memset(&m, 0, sizeof m);
    m.seed = set->seeds.value[axis(&number, set->seeds.count)];
    m.augment = set->augment.value[axis(&number, set->augment.count)];
    m.l2 = set->l2.value[axis(&number, set->l2.count)];
    m.dropout = set->dropout.value[axis(&number, set->dropout.count)];
    m.depth = set->depth.value[axis(&number, set->depth.count)];
    m.width = set->width.value[axis(&number, set->width.count)];
    m.cost = forward_cost(m.width, m.depth);
    return m;
}

static int compare(double a, double b)
{
    return (a > b) - (a < b);
}

static int by_configuration(const void *left, const void *right)
{
    const model *a = (const model *)left, *b = (const model *)right;
    int order = compare((double)a->width, (double)b->width);

    if (order == 0) order = compare((double)a->depth, (double)b->depth);
    if (order == 0) order = compare(a->dropout, b->dropout);
    if (order == 0) order = compare(a->l2, b->l2);
    if (order == 0) order = compare((double)a->augment, (double)b->augment);
    if (order == 0) order = compare((double)a->seed, (double)b->seed);
    return order;
}

static int by_falling_cost(const void *left, const void *right)
{
    const model *a = *(model *const *)left, *b = *(model *const *)right;
    int order = compare(b->cost, a->cost);

    return order != 0 ? order : compare((double)(a - b), 0);
}

static int make_grid(study *s)
{
    const settings *set = &s->set;
    double count = (double)set->width.count * set->depth.count * set->dropout.count *
                   set->l2.count * set->augment.count * set->seeds.count;
    int i;

    if (count > 1e6) {
        fprintf(stderr, "error: a grid of %.0f models is too large\n", count);
        return EX_USAGE;
    }
    s->count = (int)count;
    s->models = (model *)ex_allocate((size_t)s->count, sizeof *s->models);
    for (i = 0; i < s->count; i++)
        s->models[i] = grid_model(set, i);
    qsort(s->models, (size_t)s->count, sizeof *s->models, by_configuration);
    return 0;
}

/* ---- one model ----------------------------------------------------------------------------- */

typedef struct epoch_share {
    ex_progress *progress;
    double amount;
} epoch_share;

static int count_epoch(void *user, const prun_epoch *epoch)
{
    const epoch_share *share = (const epoch_share *)user;

    (void)epoch;
    ex_progress_add(share->progress, share->amount);
    return 0;
}

static double training_work(const study *s, const model *m)
{
    return 3 * m->cost * (double)s->data.train.count; /* an epoch: forward, and twice that back */
}

static double search_work(const study *s, const model *m, int64_t repetitions)
{
    return SEARCH_PASSES * m->cost * (double)s->data.train.count * (double)repetitions;
}

static prun_status train_model(study *s, prun_net *net, model *m)
{
    const settings *set = &s->set;
    epoch_share share;
    prun_train_options recipe;
    prun_epoch *history = (prun_epoch *)ex_allocate((size_t)set->epochs, sizeof *history);
    prun_status status;

    share.progress = &s->progress;
    share.amount = training_work(s, m);
    memset(&recipe, 0, sizeof recipe);
    recipe.epochs = set->epochs;
    recipe.batch = set->batch;
    recipe.learning_rate = set->lr;
    recipe.momentum = set->momentum > 0 ? set->momentum : -1; /* the library's 0 is its default */
    recipe.weight_decay = m->l2;
    recipe.decay = PRUN_DECAY_WEIGHTS;
    recipe.schedule = PRUN_SCHEDULE_STEP;
    recipe.schedule_epochs = set->lr_step;
    recipe.augment.crop_padding = m->augment ? 4 : 0;
    recipe.augment.flip = m->augment ? 1 : 0;
    recipe.seed = (uint64_t)m->seed;
    recipe.on_epoch = count_epoch;
    recipe.user = &share;
    status = prun_train(net, &s->data.train, &recipe, history);
    if (status == PRUN_OK)
        m->measure[SOTL] = prun_sum_of_train_losses(history, set->epochs);
    free(history);
    return status;
}

static prun_status evaluate(prun_net *net, const prun_images *images, double *loss, double *error)
{
    double sum = 0, n = (double)images->count;
    int64_t errors = 0;
    prun_status status = prun_net_loss(net, images, NULL, images->count, NULL, &sum, &errors);

    *loss = sum / n;
    *error = (double)errors / n;
    return status == PRUN_OK && !isfinite(*loss) ? PRUN_ERR_NONFINITE : status;
}

static prun_status search(study *s, const prun_objective *objective, prun_prune_method method,
                          model *m, double *kept)
{
    const settings *set = &s->set;
    prun_prune_options options;
    prun_prunability result;
    prun_status status;
    int i;

    memset(&options, 0, sizeof options);
    options.method = method;
    options.repetitions = set->repetitions;
    options.seed = (uint64_t)m->seed;
    options.betas = set->beta.count;
    for (i = 0; i < set->beta.count; i++)
        options.beta[i] = set->beta.value[i];
    status = prun_prunability_search(objective, &options, &result);
    for (i = 0; status == PRUN_OK && i < set->beta.count; i++)
        kept[i] = result.answer[i].kept_fraction;
    ex_progress_add(&s->progress,
                    search_work(s, m, method == PRUN_RANDOM ? set->repetitions : 1));
    return status;
}

static prun_status measure_model(study *s, prun_net *net, model *m)
{
    prun_net_data data;
    prun_objective objective;
    int64_t tensors;
    const prun_tensor *tensor = prun_net_tensors(net, &tensors);
    prun_status status = evaluate(net, &s->data.train, &m->train_loss, &m->train_error);

    if (status == PRUN_OK)
        status = evaluate(net, &s->data.test, &m->test_loss, &m->test_error);
    data.net = net;
    data.images = &s->data.train;
    if (status == PRUN_OK)
        status = prun_net_objective(&data, &objective);
    if (status == PRUN_OK)
        status = search(s, &objective, PRUN_MAGNITUDE, m, m->magnitude);
    if (status == PRUN_OK)
        status = search(s, &objective, PRUN_RANDOM, m, m->random);
    /* Rounded, so that models with equal errors tie whatever the last bits of a quotient are. */
    m->gap = floor((m->test_error - m->train_error) * 1e12 + 0.5) / 1e12;
    m->measure[MAGNITUDE] = m->magnitude[0];
    m->measure[RANDOM] = m->random[0];
    m->measure[TRAIN_LOSS] = m->train_loss;
    m->measure[FROBENIUS] = prun_sum_of_frobenius(tensor, tensors);
    m->measure[PARAMETERS] = (double)prun_net_parameters(net);
    m->measure[INVERSE_WIDTH] = 1 / (double)m->width;
    return status;
}

/* A context of its own makes the model independent of all others; one thread, because the models
   already share the cores among them. */
static void run_model(study *s, model *m)
{
    prun_context context;
    prun_arch arch;
    prun_net *net = NULL;
    double start = ex_seconds();

    memset(&context, 0, sizeof context);
    context.threads = 1;
    memset(&arch, 0, sizeof arch);
    arch.family = PRUN_NIN;
    arch.width = m->width;
    arch.depth = m->depth;
    arch.channels = s->data.train.channels;
    arch.height = s->data.train.height;
    arch.width_pixels = s->data.train.width;
    arch.classes = s->data.train.classes;
    arch.dropout = m->dropout;
    arch.seed = (uint64_t)m->seed;
    m->status = prun_net_nin(&context, &arch, &net);
    if (m->status == PRUN_OK)
        m->status = train_model(s, net, m);
    if (m->status == PRUN_OK)
        m->status = measure_model(s, net, m);
    if (m->status != PRUN_OK)
        snprintf(m->message, sizeof m->message, "%s",
                 context.status == m->status && *context.message != '\0'
                     ? prun_message(&context)
                     : prun_status_string(m->status));
    prun_net_free(net);
    m->seconds = ex_seconds() - start;
}

/* ---- CSV ----------------------------------------------------------------------------------- */

static void csv_header(ex_csv *csv, const settings *set)
{
    char name[64];
    int i;

    ex_csv_names(csv, "width,depth,dropout,l2,augment,seed,epochs,batch,lr,momentum,lr_step,"
                      "train_images,test_images,train_loss,test_loss,train_error,test_error,gap");
    for (i = 0; i < set->beta.count; i++) {
        snprintf(name, sizeof name, "prunability_magnitude_%g", set->beta.value[i]);
        ex_csv_text(csv, name);
    }
    for (i = 0; i < set->beta.count; i++) {
        snprintf(name, sizeof name, "prunability_random_%g", set->beta.value[i]);
        ex_csv_text(csv, name);
    }
    ex_csv_names(csv, "sum_of_frobenius,parameters,sum_of_train_losses,seconds,status,version,"
                      "isa");
    ex_csv_end_line(csv);
}

/* A result, or an empty cell when the model has none. */
static void csv_result(ex_csv *csv, const model *m, double value)
{
    if (m->status == PRUN_OK)
        ex_csv_number(csv, value);
    else
        ex_csv_text(csv, "");
}

static void csv_row(ex_csv *csv, const study *s, const model *m)
{
    int i;

    ex_csv_number(csv, (double)m->width);
    ex_csv_number(csv, (double)m->depth);
    ex_csv_number(csv, m->dropout);
    ex_csv_number(csv, m->l2);
    ex_csv_number(csv, (double)m->augment);
    ex_csv_number(csv, (double)m->seed);
    ex_csv_number(csv, (double)s->set.epochs);
    ex_csv_number(csv, (double)s->set.batch);
    ex_csv_number(csv, s->set.lr);
    ex_csv_number(csv, s->set.momentum);
    ex_csv_number(csv, (double)s->set.lr_step);
    ex_csv_number(csv, (double)s->data.train.count);
    ex_csv_number(csv, (double)s->data.test.count);
    csv_result(csv, m, m->train_loss);
    csv_result(csv, m, m->test_loss);
    csv_result(csv, m, m->train_error);
    csv_result(csv, m, m->test_error);
    csv_result(csv, m, m->gap);
    for (i = 0; i < s->set.beta.count; i++)
        csv_result(csv, m, m->magnitude[i]);
    for (i = 0; i < s->set.beta.count; i++)
        csv_result(csv, m, m->random[i]);
    csv_result(csv, m, m->measure[FROBENIUS]);
    csv_result(csv, m, m->measure[PARAMETERS]);
    csv_result(csv, m, m->measure[SOTL]);
    ex_csv_number(csv, m->seconds);
    ex_csv_text(csv, m->status == PRUN_OK ? "ok" : m->message);
    ex_csv_text(csv, PRUNABILITY_VERSION);
    ex_csv_text(csv, prun_isa());
    ex_csv_end_line(csv);
}

/* Replaces the rows in the order they were finished by the rows in the order of the grid. */
static int write_sorted(study *s)
{
    ex_text path = {NULL, 0, 0};
    int i, status = ex_csv_close(&s->csv);

    ex_text_add(&path, "%s.tmp", s->set.csv);
    if (status == 0)
        status = ex_csv_open(&s->csv, path.data, 0);
    if (status == 0) {
        csv_header(&s->csv, &s->set);
        for (i = 0; i < s->count; i++)
            csv_row(&s->csv, s, &s->models[i]);
        status = ex_csv_close(&s->csv);
    }
    if (status == 0)
        status = ex_replace(path.data, s->set.csv);
    ex_text_free(&path);
    return status;
}

/* ---- results ------------------------------------------------------------------------------- */

static void print_models(const study *s)
{
    ex_table table = {0, 0, 0, NULL};
    int i, k;

    ex_table_header(&table, "width|depth|drop|L2|aug|seed|train loss|error|test loss|error|gap|"
                            "magnit.|random|norms|params|SoTL|sec");
    for (i = 0; i < s->count; i++) {
        const model *m = &s->models[i];

        ex_table_cell(&table, "%ld", (long)m->width);
        ex_table_cell(&table, "%ld", (long)m->depth);
        ex_table_cell(&table, "%g", m->dropout);
        ex_table_cell(&table, "%g", m->l2);
        ex_table_cell(&table, "%ld", (long)m->augment);
        ex_table_cell(&table, "%ld", (long)m->seed);
        if (m->status == PRUN_OK) {
            ex_table_cell(&table, "%.4f", m->train_loss);
            ex_table_cell(&table, "%.4f", m->train_error);
            ex_table_cell(&table, "%.4f", m->test_loss);
            ex_table_cell(&table, "%.4f", m->test_error);
            ex_table_cell(&table, "%.4f", m->gap);
            ex_table_cell(&table, "%.2f", m->measure[MAGNITUDE]);
            ex_table_cell(&table, "%.2f", m->measure[RANDOM]);
            ex_table_cell(&table, "%.2f", m->measure[FROBENIUS]);
            ex_table_cell(&table, "%.0f", m->measure[PARAMETERS]);
            ex_table_cell(&table, "%.2f", m->measure[SOTL]);
        } else {
            ex_table_cell(&table, "%s",
                          m->status == PRUN_ERR_NONFINITE ? "not finite" : "failed");
            for (k = 0; k < 9; k++)
                ex_table_cell(&table, "-");
        }
        ex_table_cell(&table, "%.1f", m->seconds);
    }
    ex_table_print(&table, stdout);
    ex_table_free(&table);
}

/* Says why models have no results; returns how many have some. */
static int print_failures(const study *s)
{
    int i, good = 0;

    for (i = 0; i < s->count; i++) {
        const model *m = &s->models[i];

        good += m->status == PRUN_OK;
        if (m->status != PRUN_OK)
            printf("left out: width %ld, depth %ld, dropout %g, L2 %g, augmentation %ld, seed %ld: "
                   "%s\n",
                   (long)m->width, (long)m->depth, m->dropout, m->l2, (long)m->augment,
                   (long)m->seed, m->message);
    }
    if (good < s->count)
        printf("%d of %d models have no result and are left out of what follows.\n",
               s->count - good, s->count);
    return good;
}

static void tau_row(ex_table *table, const char *name, const prun_kendall *kendall)
{
    ex_table_cell(table, "%s", name);
    if (kendall->tau_b == kendall->tau_b) {
        ex_table_cell(table, "%+.3f", kendall->tau_a);
        ex_table_cell(table, "%.3f", kendall->standard_error);
        ex_table_cell(table, "%+.3f", kendall->tau_b);
        ex_table_cell(table, "%.2g", kendall->p);
    } else {
        ex_table_cell(table, "undefined (constant)");
        ex_table_cell(table, "-");
        ex_table_cell(table, "-");
        ex_table_cell(table, "-");
    }
}

/* x, gap: room for all models. Returns the exit status. */
static int fill_taus(const study *s, ex_table *table, double *x, double *gap, double *error)
{
    prun_context context;
    prun_kendall kendall;
    int i, k;
    int64_t n;

    memset(&context, 0, sizeof context);
    for (k = 0; k < MEASURES; k++) {
        for (i = 0, n = 0; i < s->count; i++) {
            if (s->models[i].status != PRUN_OK)
                continue;
            x[n] = s->models[i].measure[k];
            gap[n++] = s->models[i].gap;
        }
        if (prun_kendall_tau(&context, x, gap, n, &kendall) != PRUN_OK)
            return ex_failure(&context, measure_names[k]);
        *error = kendall.standard_error;
        tau_row(table, measure_names[k], &kendall);
    }
    return 0;
}

static int print_taus(const study *s, int good)
{
    ex_table table = {0, 0, 0, NULL};
    double *values = (double *)ex_allocate(2 * (size_t)s->count, sizeof *values);
    double error = 0;
    int status;

    ex_table_header(&table, "measure|tau|std. error|tau_b|p");
    status = fill_taus(s, &table, values, values + s->count, &error);
    if (status == 0) {
        printf("\nKendall's tau of each measure with the gap, %d models, beta %g:\n\n", good,
               s->set.beta.value[0]);
        ex_table_print(&table, stdout);
        printf("\nThe standard error of tau is %.3f at %d models (tau_a, if nothing depends on the "
               "gap).\nMeasures whose taus differ by less than about two standard errors (%.2f) "
               "cannot be told apart%s\n",
               error, good, 2 * error,
               good < 100 ? ":\na study of this size shows the machinery, not a ranking." : ".");
    }
    ex_table_free(&table);
    free(values);
    return status;
}

/* ---- program ------------------------------------------------------------------------------- */

/* One option table, two sets of defaults. */
typedef struct preset {
    const char *width, *depth, *dropout, *l2, *augment, *seeds;
    const char *epochs, *batch, *lr, *lr_step, *images;
} preset;

static const preset presets[2] = {
    {"8,16", "2,3", "0,0.2", "0", "0,1", "1,2", "20", "32", "0.02", "0", "1500"},
    {"192,288,384", "2,3,4", "0,0.2,0.5", "0,0.001,0.005", "0,1", "1,2", "380", "128", "0.01",
     "100", "0"}};

static int parse(int argc, char **argv, settings *set)
{
    const preset *d = &presets[strcmp(ex_peek(argc, argv, "preset", "demo"), "full") == 0];
    const double many = 1e9, any_seed = 9007199254740992.0;
    const ex_option options[] = {
        {"preset", EX_CHOICE, &set->preset, "demo", 0, 0, "defaults for a minute, or the paper's"},
        {"width", EX_INT_LIST, &set->width, d->width, 1, 65536, "filters of each convolution"},
        {"depth", EX_INT_LIST, &set->depth, d->depth, 2, 4, "blocks of three convolutions"},
        {"dropout", EX_REAL_LIST, &set->dropout, d->dropout, 0, 0.99, "drop probability"},
        {"l2", EX_REAL_LIST, &set->l2, d->l2, 0, 1e3, "L2 penalty on the weights"},
        {"augment", EX_INT_LIST, &set->augment, d->augment, 0, 1, "1: random crops and flips"},
        {"seeds", EX_INT_LIST, &set->seeds, d->seeds, 0, any_seed, "one model for each"},
        {"epochs", EX_INT, &set->epochs, d->epochs, 1, many, "of training"},
        {"batch", EX_INT, &set->batch, d->batch, 2, many, "images per step"},
        {"lr", EX_REAL, &set->lr, d->lr, 1e-12, 1e6, "learning rate"},
        {"momentum", EX_REAL, &set->momentum, "0.9", 0, 0.9999, "of SGD"},
        {"lr-step", EX_INT, &set->lr_step, d->lr_step, 0, many,
         "epochs from one x0.1 to the next; 0: 60 % of all"},
        {"beta", EX_REAL_LIST, &set->beta, "0.1", 1e-9, 1e9,
         "tolerances on the loss; tables use the first"},
        {"repetitions", EX_INT, &set->repetitions, "5", 1, 1e6, "of random pruning"},
        {"images", EX_INT, &set->images, d->images, 0, many, "first training images; 0: all"},
        {"test-images", EX_INT, &set->test_images, "0", 0, many, "first test images; 0: all"},
        {"data", EX_TEXT, &set->data, EX_DATA_DIRECTORY, 0, 0, "directory of the IDX files"},
        {"csv", EX_TEXT, &set->csv, NULL, 0, 0, "file to write a row per model to"},
        {"jobs", EX_INT, &set->jobs, "0", 0, 4096, "models at a time (OpenMP); 0: all cores"},
        {"quiet", EX_FLAG, &set->quiet, NULL, 0, 0, "no progress"}};
    const ex_program program = {
        "demogen", "",
        "Trains a grid of Network in Network models and compares generalization measures.\n"
        "Options with lists are axes of the grid.",
        options, sizeof options / sizeof *options, 0, 0};
    int status;

    set->preset.names = "demo|full";
    status = ex_parse(&program, argc, argv, NULL);
    if (status < 0 && set->beta.count > PRUN_MAX_BETAS) {
        fprintf(stderr, "error: --beta: at most %d values\n", PRUN_MAX_BETAS);
        return EX_USAGE;
    }
    if (set->lr_step == 0)
        set->lr_step = (3 * set->epochs + 4) / 5;
    return status;
}

static int load(study *s, prun_context *context, const char *program)
{
    ex_data_request request;

    memset(&request, 0, sizeof request);
    request.directory = s->set.data;
    request.program = program;
    request.pad_to = 32;
    request.train_images = s->set.images;
    request.test_images = s->set.test_images;
    request.normalization = PRUN_NORMALIZE_PER_IMAGE;
    return ex_load_data(context, &request, &s->data);
}

static int jobs(const settings *set)
{
#ifdef _OPENMP
    return set->jobs > 0 ? (int)set->jobs : omp_get_max_threads();
#else
    if (set->jobs > 1)
        fprintf(stderr, "note: built without OpenMP: one model at a time\n");
    return 1;
#endif
}

/* Expensive models first: a cheap one at the end leaves no core waiting for long. */
static void run_all(study *s, int threads)
{
    model **order = (model **)ex_allocate((size_t)s->count, sizeof *order);
    double work = 0;
    int i;

    for (i = 0; i < s->count; i++) {
        model *m = &s->models[i];

        order[i] = m;
        work += training_work(s, m) * (double)s->set.epochs +
                search_work(s, m, 1 + s->set.repetitions);
    }
    qsort(order, (size_t)s->count, sizeof *order, by_falling_cost);
    ex_progress_start(&s->progress, "training and measuring", work, s->set.quiet);
    (void)threads;
#ifdef _OPENMP
#pragma omp parallel for schedule(dynamic) num_threads(threads)
#endif
    for (i = 0; i < s->count; i++) {
        run_model(s, order[i]);
#ifdef _OPENMP
#pragma omp critical(csv)
#endif
        if (s->csv.file != NULL)
            csv_row(&s->csv, s, order[i]);
    }
    ex_progress_end(&s->progress);
    free(order);
}

/* Everything after the set-up; returns the exit status. */
static int run_study(study *s)
{
    int i, good, threads = jobs(&s->set), status = make_grid(s);

    if (status != 0)
        return status;
    if (s->set.csv != NULL) {
        status = ex_csv_open(&s->csv, s->set.csv, 0);
        if (status != 0)
            return status;
        csv_header(&s->csv, &s->set);
    }
    printf("NiN models: %d, training images: %ld, test images: %ld, epochs: %ld, batch: %ld, "
           "kernels: %s\n\n",
           s->count, (long)s->data.train.count, (long)s->data.test.count, (long)s->set.epochs,
           (long)s->set.batch, prun_isa());
    fflush(stdout);
    run_all(s, threads);
    print_models(s);
    if (s->csv.file != NULL)
        status = write_sorted(s);
    good = print_failures(s);
    if (good < 2)
        printf("A rank correlation needs two models or more.\n");
    else if (status == 0)
        status = print_taus(s, good);
    /* Divergence is a result as long as some models do not; any other failure is one. */
    for (i = 0; i < s->count; i++)
        if (s->models[i].status != PRUN_OK && s->models[i].status != PRUN_ERR_NONFINITE)
            status = EX_FAILED;
    return good == 0 ? EX_FAILED : status;
}

int main(int argc, char **argv)
{
    static study s;
    prun_context context;
    int status = parse(argc, argv, &s.set);

    if (status >= 0)
        return status;
    memset(&context, 0, sizeof context);
    status = load(&s, &context, argv[0]);
    if (status == 0) {
        status = run_study(&s);
        ex_free_data(&s.data);
    }
    free(s.models);
    return status;
}
