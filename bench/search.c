/* search.c - the main job: how long does an exact prunability search take?

   Trains a CNN on the 4,000 images that come with the examples, then times the search: by magnitude
   with one tolerance, with four at once, and at random. Every answer is compared with the full loss
   curve, which evaluates each grid point on all samples, as one would without the search; its time
   is printed too. Exit status 1 if an answer differs.

       make build/bench_search && build/bench_search --width 16 --epochs 8
*/
#include "bench.h"

typedef struct settings {
    const char *isa, *data, *csv;
    int64_t width, epochs, batch, images, grid, repetitions, threads, seed;
    double lr, momentum, decay;
    int quiet;
} settings;

/* One kind of search, and the answers of the full curve. */
typedef struct trial {
    const char *name;
    prun_prune_options options;
    prun_prunability found;
    double seconds, curve_seconds;
    double wanted[PRUN_MAX_BETAS]; /* kept fractions by the full curve */
} trial;

typedef struct bench {
    const settings *set;
    prun_context context;
    prun_images images;
    prun_net *net;
    prun_objective objective;
    ex_progress progress;
    double train_seconds, pass_seconds, loss, error;
    double gradient_seconds, product_seconds; /* NaN: not supported */
} bench;

/* ---- training ------------------------------------------------------------------------------ */

static int on_epoch(void *user, const prun_epoch *epoch) {
    (void)epoch;
    ex_progress_add((ex_progress *)user, 1);
    return 0;
}

static int on_candidate(void *user, int64_t done, int64_t total) {
    (void)done;
    (void)total;
    ex_progress_add((ex_progress *)user, 1);
    return 0;
}

static prun_status train(bench *b) {
    const settings *set = b->set;
    prun_arch arch;
    prun_train_options options;
    double start;

    memset(&arch, 0, sizeof arch);
    memset(&options, 0, sizeof options);
    arch.family = PRUN_FAMILY_CNN;
    arch.width = set->width;
    arch.image_channels = 1;
    arch.classes = b->images.classes;
    arch.seed = (uint64_t)set->seed;
    options.epochs = set->epochs;
    options.batch = set->batch;
    options.learning_rate = set->lr;
    options.momentum = set->momentum;
    options.weight_decay = set->decay;
    options.decay = PRUN_DECAY_ALL;
    options.seed = (uint64_t)set->seed;
    options.on_epoch = on_epoch;
    options.user = &b->progress;
    BENCH_TRY(prun_net_create_family(&b->context, &arch, &b->net));
    ex_progress_start(&b->progress, "training", (double)set->epochs, set->quiet);
    start = ex_seconds();
    BENCH_TRY(prun_train(b->net, &b->images, &options, NULL));
    b->train_seconds = ex_seconds() - start;
    ex_progress_end(&b->progress);
    return PRUN_OK;
}

/* Loss, error and time of one pass over all images; the second pass counts. */
static prun_status evaluate(bench *b) {
    const double n = (double)b->images.count;
    int64_t errors = 0;
    int i;

    for (i = 0; i < 2; i++) {
        const double start = ex_seconds();

        BENCH_TRY(
            prun_net_loss(b->net, &b->images, NULL, b->images.count, NULL, &b->loss, &errors));
        b->pass_seconds = ex_seconds() - start;
    }
    b->loss /= n;
    b->error = (double)errors / n;
    return PRUN_OK;
}

/* Time of a gradient and of a Hessian-vector product over all images. */
static prun_status differentiate(bench *b) {
    const prun_objective *o = &b->objective;
    const int64_t count = prun_net_parameter_count(b->net);
    float *out = (float *)ex_allocate((size_t)count, sizeof *out);
    float *v = (float *)ex_allocate((size_t)count, sizeof *v);
    double start = ex_seconds(), sum;
    prun_status status = o->gradient(o, NULL, o->samples, out, &sum);
    int64_t i;

    b->gradient_seconds = ex_seconds() - start;
    b->product_seconds = (double)NAN;
    for (i = 0; i < count; i++)
        v[i] = (float)prun_random_normal((uint64_t)b->set->seed, 3, (uint64_t)i);
    if (status == PRUN_OK && o->hessian_vector != NULL) {
        start = ex_seconds();
        status = o->hessian_vector(o, NULL, o->samples, v, out);
        b->product_seconds = ex_seconds() - start;
    }
    free(out);
    free(v);
    return status;
}

/* ---- searching ----------------------------------------------------------------------------- */

static prun_prune_options search_options(const settings *set, prun_prune_method method, int betas) {
    static const double beta[] = {0.1, 0.05, 0.2, 0.5};
    prun_prune_options options;
    int i;

    memset(&options, 0, sizeof options);
    options.method = method;
    options.grid = set->grid;
    options.beta_count = betas;
    for (i = 0; i < betas; i++) options.beta[i] = beta[i];
    options.repetitions = method == PRUN_PRUNE_RANDOM ? set->repetitions : 1;
    options.seed = (uint64_t)set->seed;
    return options;
}

/* The smallest kept fraction that the full curve allows. Keeping everything is always allowed. */
static double wanted_fraction(const double *losses, int64_t grid, double threshold) {
    int64_t i = 0;

    while (i < grid && !(losses[i] <= threshold)) i++;
    return (double)i / (double)grid;
}

static prun_status run_curve(bench *b, trial *t) {
    const int64_t grid = b->set->grid;
    double *losses = (double *)ex_allocate((size_t)grid + 1, sizeof *losses);
    const double start = ex_seconds();
    prun_status status;
    int i;

    ex_progress_start(&b->progress, "full curve", (double)grid + 1, b->set->quiet);
    status = prun_loss_curve(&b->objective, &t->options, losses, NULL);
    t->curve_seconds = ex_seconds() - start;
    ex_progress_end(&b->progress);
    for (i = 0; i < t->found.answer_count; i++)
        t->wanted[i] = wanted_fraction(losses, grid, t->found.answer[i].threshold);
    free(losses);
    return status;
}

static prun_status run_trial(bench *b, trial *t) {
    double start;

    t->options.progress = on_candidate;
    t->options.user = &b->progress;
    ex_progress_start(&b->progress, t->name, (double)b->set->grid + 1, b->set->quiet);
    start = ex_seconds();
    BENCH_TRY(prun_prunability_search(&b->objective, &t->options, &t->found));
    t->seconds = ex_seconds() - start;
    ex_progress_end(&b->progress);
    return run_curve(b, t);
}

/* ---- the table ----------------------------------------------------------------------------- */

static int same_fraction(const trial *t, int i) {
    return fabs(t->found.answer[i].kept_fraction - t->wanted[i]) < 1e-9;
}

static void print_training(const bench *b) {
    const settings *set = b->set;

    printf("CNN k = %d on %d images: %d epochs in %.2f s (%.3f s each), %d thread%s\n",
           (int)set->width, (int)b->images.count, (int)set->epochs, b->train_seconds,
           b->train_seconds / (double)set->epochs, (int)prun__threads(&b->context),
           prun__threads(&b->context) > 1 ? "s" : "");
    printf("loss %.6f, error %.4f; one evaluation of all images %.4f s, gradient %.4f s", b->loss,
           b->error, b->pass_seconds, b->gradient_seconds);
    if (b->product_seconds == b->product_seconds)
        printf(", Hessian-vector product %.4f s", b->product_seconds);
    printf("\n\n");
    printf("%-20s %5s %8s %8s %8s %8s %10s %8s\n", "search", "beta", "kept", "check", "passes",
           "seconds", "full curve", "times");
}

static int print_trial(const trial *t) {
    int i, wrong = 0;

    for (i = 0; i < t->found.answer_count; i++) {
        wrong += !same_fraction(t, i);
        printf("%-20s %5.2f %8.4f %8s", i == 0 ? t->name : "", t->found.answer[i].beta,
               t->found.answer[i].kept_fraction, same_fraction(t, i) ? "same" : "DIFFERS");
        if (i == 0)
            printf(" %8.2f %8.3f %10.3f %8.1f", t->found.passes, t->seconds, t->curve_seconds,
                   t->curve_seconds / t->seconds);
        printf("\n");
    }
    fflush(stdout);
    return wrong;
}

static void write_trial(ex_csv *csv, const bench *b, const trial *t) {
    int i;

    for (i = 0; i < t->found.answer_count; i++) {
        ex_csv_text(csv, "prunability.h");
        ex_csv_text(csv, t->name);
        ex_csv_number(csv, (double)b->set->width);
        ex_csv_number(csv, (double)b->images.count);
        ex_csv_number(csv, (double)b->set->epochs);
        ex_csv_number(csv, (double)b->set->seed);
        ex_csv_number(csv, (double)b->set->grid);
        ex_csv_number(csv, (double)prun__threads(&b->context));
        ex_csv_number(csv, t->found.answer[i].beta);
        ex_csv_number(csv, b->train_seconds);
        ex_csv_number(csv, b->pass_seconds);
        ex_csv_number(csv, b->loss);
        ex_csv_number(csv, t->seconds);
        ex_csv_number(csv, t->found.passes);
        ex_csv_number(csv, t->found.answer[i].kept_fraction);
        ex_csv_number(csv, t->wanted[i]);
        ex_csv_number(csv, t->curve_seconds);
        ex_csv_number(csv, b->gradient_seconds);
        ex_csv_number(csv, b->product_seconds);
        bench_csv_machine(csv);
        ex_csv_end_line(csv);
    }
}

static int run_trials(bench *b, ex_csv *csv) {
    trial trials[3];
    int i, wrong = 0;

    memset(trials, 0, sizeof trials);
    trials[0].name = "magnitude";
    trials[0].options = search_options(b->set, PRUN_PRUNE_MAGNITUDE, 1);
    trials[1].name = "magnitude, 4 betas";
    trials[1].options = search_options(b->set, PRUN_PRUNE_MAGNITUDE, 4);
    trials[2].name = "random";
    trials[2].options = search_options(b->set, PRUN_PRUNE_RANDOM, 1);
    for (i = 0; i < 3; i++) {
        if (run_trial(b, &trials[i]) != PRUN_OK) return ex_failure(&b->context, trials[i].name);
        wrong += print_trial(&trials[i]);
        if (csv->file != NULL) write_trial(csv, b, &trials[i]);
    }
    if (wrong > 0) fprintf(stderr, "error: %d answers differ from the full curve\n", wrong);
    return wrong > 0 ? EX_FAILED : 0;
}

/* Everything before the searches. */
static prun_status prepare(bench *b) {
    BENCH_TRY(train(b));
    BENCH_TRY(evaluate(b));
    BENCH_TRY(prun_net_objective(b->net, &b->images, &b->objective));
    return differentiate(b);
}

static int run(bench *b, const char *program, ex_csv *csv) {
    int status = bench_load_images(&b->context, b->set->data, b->set->images, program, &b->images);

    if (status != 0) return status;
    if (prepare(b) == PRUN_OK) {
        bench_print_machine();
        print_training(b);
        status = run_trials(b, csv);
    } else {
        status = ex_failure(&b->context, "training");
    }
    prun_net_free(b->net);
    prun_images_free(&b->images);
    return status;
}

static const char csv_names[] =
    "peer,search,width,images,epochs,seed,grid,threads,beta,train_seconds,"
    "pass_seconds,loss,search_seconds,passes,kept_fraction,full_kept_fraction,"
    "full_seconds,gradient_seconds,hessian_vector_seconds," BENCH_MACHINE_NAMES;

int main(int argc, char **argv) {
    settings set;
    bench b;
    ex_csv csv;
    int status;
    const ex_option options[] = {
        {"width", EX_INT, &set.width, "16", 1, 4096, "k of the CNN"},
        {"epochs", EX_INT, &set.epochs, "8", 1, 100000, "epochs of training"},
        {"batch", EX_INT, &set.batch, "128", 2, 65536, "images per step"},
        {"lr", EX_REAL, &set.lr, "0.05", 0, 100, "learning rate"},
        {"momentum", EX_REAL, &set.momentum, "0.9", 0, 1, "momentum"},
        {"decay", EX_REAL, &set.decay, "1e-4", 0, 1, "weight decay, on all parameters"},
        {"seed", EX_INT, &set.seed, "1", 0, 1e9, "of the network, training and random pruning"},
        {"grid", EX_INT, &set.grid, "100", 1, 100000, "kept fractions are multiples of 1/N"},
        {"repetitions", EX_INT, &set.repetitions, "1", 1, 1000, "permutations of random pruning"},
        {"images", EX_INT, &set.images, "0", 0, 1e9, "only the first ones; 0: all"},
        {"threads", EX_INT, &set.threads, "0", 0, 1024, "threads; 0: all"},
        {"isa", EX_TEXT, &set.isa, "", 0, 0, "kernels, as prun_isa names them; empty: the best"},
        {"data", EX_TEXT, &set.data, EX_DATA_DIRECTORY, 0, 0, "directory of the images"},
        {"csv", EX_TEXT, &set.csv, "", 0, 0, "also write a CSV file"},
        {"quiet", EX_FLAG, &set.quiet, "0", 0, 0, "no progress"}};
    const ex_program program = {"bench_search",
                                "",
                                "Time of an exact prunability search.",
                                options,
                                sizeof options / sizeof *options,
                                0,
                                0};

    memset(&b, 0, sizeof b);
    b.set = &set;
    status = ex_parse(&program, argc, argv, NULL);
    if (status >= 0) return status;
    status = bench_set_isa(set.isa);
    if (status != 0) return status;
    if (set.threads > 1 && !bench_can_thread(set.threads)) return EX_USAGE;
    b.context.threads = (int32_t)set.threads;
    status = bench_open_csv(set.csv, csv_names, &csv);
    if (status != 0) return status;
    return bench_close_csv(run(&b, argv[0], &csv), &csv);
}
