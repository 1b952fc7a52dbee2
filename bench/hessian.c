/* hessian.c - time of a Hessian-vector product over the 4,000 images of the examples

   Also timed, with the same weights: the gradient (a product takes the work of 8 convolutions, a
   gradient that of 3, so the ratio should stay below 3.2), the product by finite differences (two
   gradients), and a step of a Lanczos run: a product and its share of the reorthogonalisation.
   bench/peers/torch_hessian.py measures the same in PyTorch.

       make build/bench_hessian && build/bench_hessian --width 16 --threads 1,2
*/
#include "bench.h"

#define RATIO_GOAL 3.2

typedef struct settings {
    const char *isa, *data, *csv;
    ex_choice family;
    ex_ints threads;
    int64_t width, images, reps, steps;
    double seconds;
    int quiet;
} settings;

typedef struct result {
    bench_times gradient, product, differences;
    double step; /* seconds of a Lanczos step; NaN: not measured */
    prun_effective_dimension dimension;
} result;

typedef struct bench {
    const settings *set;
    prun_context context;
    prun_images images;
    prun_net *net;
    prun_objective objective;
    prun_hessian_options options;
    float *v, *out; /* flat over all parameters */
    double *product;
    ex_progress progress;
} bench;

static const char *const family_names[] = {"cnn", "nin", "resnet18"};

static prun_status call_gradient(void *argument) {
    bench *b = (bench *)argument;

    return b->objective.gradient(&b->objective, NULL, b->images.count, b->out, NULL);
}

static prun_status call_product(void *argument) {
    bench *b = (bench *)argument;

    return b->objective.hessian_vector(&b->objective, NULL, b->images.count, b->v, b->out);
}

static prun_status call_differences(void *argument) {
    bench *b = (bench *)argument;

    return prun_hessian_vector(&b->objective, b->v, &b->options, b->product);
}

static int on_product(void *user, int64_t done, int64_t total) {
    (void)done;
    (void)total;
    ex_progress_add((ex_progress *)user, 1);
    return 0;
}

/* One run, as effective dimensionality needs it. */
static prun_status run_lanczos(bench *b, result *r) {
    prun_hessian_options options;
    prun_spectrum spectrum;
    double start;

    r->step = (double)NAN;
    if (b->set->steps == 0) return PRUN_OK;
    memset(&options, 0, sizeof options);
    options.steps = b->set->steps;
    options.probes = 1;
    options.progress = on_product;
    options.user = &b->progress;
    ex_progress_start(&b->progress, "Lanczos", (double)b->set->steps, b->set->quiet);
    start = ex_seconds();
    BENCH_TRY(prun_hessian_spectrum(&b->objective, &options, &spectrum));
    r->step = (ex_seconds() - start) / (double)spectrum.steps;
    ex_progress_end(&b->progress);
    BENCH_TRY(prun_effective_dimensionality(&spectrum, 1, &r->dimension));
    prun_spectrum_free(&spectrum);
    return PRUN_OK;
}

static prun_status measure(bench *b, result *r) {
    const settings *set = b->set;

    BENCH_TRY(bench_measure(call_gradient, b, set->reps, set->seconds, &r->gradient));
    BENCH_TRY(bench_measure(call_product, b, set->reps, set->seconds, &r->product));
    BENCH_TRY(bench_measure(call_differences, b, set->reps, set->seconds, &r->differences));
    return run_lanczos(b, r);
}

static void write_row(ex_csv *csv, const bench *b, const result *r) {
    ex_csv_text(csv, "prunability.h");
    ex_csv_text(csv, family_names[b->set->family.value]);
    ex_csv_number(csv, (double)b->set->width);
    ex_csv_number(csv, (double)b->images.count);
    ex_csv_number(csv, (double)prun_net_weight_count(b->net));
    ex_csv_number(csv, (double)b->context.threads);
    ex_csv_number(csv, r->gradient.best);
    ex_csv_number(csv, r->product.best);
    ex_csv_number(csv, r->differences.best);
    ex_csv_number(csv, r->step);
    bench_csv_machine(csv);
    ex_csv_end_line(csv);
}

static void add_row(ex_table *table, const bench *b, const result *r) {
    ex_table_cell(table, "%d", (int)b->context.threads);
    ex_table_cell(table, "%.3f", r->gradient.best);
    ex_table_cell(table, "%.3f", r->product.best);
    ex_table_cell(table, "%.2f%s", r->product.best / r->gradient.best,
                  r->product.best <= RATIO_GOAL * r->gradient.best ? "" : " MISSED");
    ex_table_cell(table, "%.3f", r->differences.best);
    if (r->step == r->step) ex_table_cell(table, "%.3f", r->step);
    else ex_table_cell(table, "-");
}

static prun_status measure_all(bench *b, ex_csv *csv, ex_table *table, result *r) {
    int i;

    ex_table_header(table, "threads|gradient s|product s|ratio|differences s|Lanczos step s");
    for (i = 0; i < b->set->threads.count; i++) {
        b->context.threads = (int32_t)b->set->threads.value[i];
        if (!bench_can_thread(b->context.threads)) continue;
        BENCH_TRY(measure(b, r));
        add_row(table, b, r);
        if (csv->file != NULL) write_row(csv, b, r);
    }
    return PRUN_OK;
}

static prun_status make_net(bench *b) {
    prun_arch arch;
    int64_t i, count;

    memset(&arch, 0, sizeof arch);
    arch.family = (prun_family)b->set->family.value;
    arch.width = b->set->width;
    arch.image_channels = b->images.channels;
    arch.classes = b->images.classes;
    BENCH_TRY(prun_net_create_family(&b->context, &arch, &b->net));
    count = prun_net_parameter_count(b->net);
    b->out = (float *)ex_allocate((size_t)count, sizeof *b->out);
    b->v = (float *)ex_allocate((size_t)count, sizeof *b->v);
    b->product = (double *)ex_allocate((size_t)count, sizeof *b->product);
    for (i = 0; i < count; i++) b->v[i] = (float)prun_random_normal(1, 3, (uint64_t)i);
    b->options.scope = PRUN_HESSIAN_ALL;
    b->options.use_differences = 1;
    return prun_net_objective(b->net, &b->images, &b->objective);
}

static int run(bench *b, const char *program, ex_csv *csv) {
    ex_table table;
    result r;
    int status = bench_load_images(&b->context, b->set->data, b->set->images, program, &b->images);

    if (status != 0) return status;
    memset(&table, 0, sizeof table);
    memset(&r, 0, sizeof r);
    bench_print_machine();
    if (make_net(b) == PRUN_OK && measure_all(b, csv, &table, &r) == PRUN_OK) {
        printf("%d images, %d weights\n", (int)b->images.count, (int)prun_net_weight_count(b->net));
        ex_table_print(&table, stdout);
        if (r.dimension.z > 0)
            printf("N_eff(1) = %.2f after %d steps\n", r.dimension.ritz, (int)b->set->steps);
    } else {
        status = ex_failure(&b->context, "second order");
    }
    ex_table_free(&table);
    free(b->v);
    free(b->out);
    free(b->product);
    prun_net_free(b->net);
    prun_images_free(&b->images);
    return status;
}

static const char csv_names[] =
    "peer,family,width,images,weights,threads,gradient_seconds,hessian_vector_seconds,"
    "differences_seconds,lanczos_step_seconds," BENCH_MACHINE_NAMES;

int main(int argc, char **argv) {
    settings set;
    bench b;
    ex_csv csv;
    int status;
    const ex_option options[] = {
        {"family", EX_CHOICE, &set.family, "cnn", 0, 0, "network: cnn, nin or resnet18"},
        {"width", EX_INT, &set.width, "16", 1, 4096, "k, or the filters of a nin"},
        {"images", EX_INT, &set.images, "0", 0, 1e9, "only the first ones; 0: all"},
        {"threads", EX_INT_LIST, &set.threads, "1,2", 1, 1024, "numbers of threads"},
        {"reps", EX_INT, &set.reps, "3", 1, 1000, "minimum number of calls; the best counts"},
        {"seconds", EX_REAL, &set.seconds, "1", 0, 3600, "minimum time of all calls"},
        {"steps", EX_INT, &set.steps, "0", 0, 100000, "of a Lanczos run; 0: none"},
        {"isa", EX_TEXT, &set.isa, "", 0, 0, "kernels, as prun_isa names them; empty: the best"},
        {"data", EX_TEXT, &set.data, EX_DATA_DIRECTORY, 0, 0, "directory of the images"},
        {"csv", EX_TEXT, &set.csv, "", 0, 0, "also write a CSV file"},
        {"quiet", EX_FLAG, &set.quiet, "0", 0, 0, "no progress"}};
    const ex_program program = {"bench_hessian",
                                "",
                                "Time of a Hessian-vector product.",
                                options,
                                sizeof options / sizeof *options,
                                0,
                                0};

    memset(&b, 0, sizeof b);
    memset(&set, 0, sizeof set);
    set.family.names = "cnn|nin|resnet18";
    b.set = &set;
    status = ex_parse(&program, argc, argv, NULL);
    if (status >= 0) return status;
    status = bench_set_isa(set.isa);
    if (status != 0) return status;
    status = bench_open_csv(set.csv, csv_names, &csv);
    if (status != 0) return status;
    return bench_close_csv(run(&b, argv[0], &csv), &csv);
}
