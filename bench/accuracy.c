/* accuracy.c - rounding errors of the Winograd and direct convolutions in whole networks

   Each network of bench_networks takes a few training steps, to fill its batch-norm statistics.
   Then logits and the gradient of the loss, in eval mode, are compared with those of plain loops in
   double precision, which share no code with the kernels. Errors are the largest difference of a
   logit over the largest logit, and the norm of the gradient's difference over its norm. Rounding
   that moves an activation across the kink of a ReLU or max pool affects only the gradient.

       make build/bench_accuracy && build/bench_accuracy --filter cnn
*/
#include "bench.h"

#include "../tests/net_reference.h"

typedef struct settings {
    const char *isa, *filter, *csv;
    int64_t images, steps;
} settings;

typedef struct exact {
    double *w, *logits, *gradient; /* parameters, and their results */
} exact;

static const char *const algorithms[] = {"direct", "winograd"};
static const prun_algorithm algorithm_values[] = {PRUN_ALGORITHM_DIRECT, PRUN_ALGORITHM_WINOGRAD};

static prun_status train(prun_net *net, const settings *set, uint64_t seed) {
    prun_train_options options;
    prun_trainer *trainer = NULL;
    prun_images images;
    prun_status status;
    int64_t i;

    memset(&options, 0, sizeof options);
    options.batch = 64;
    options.momentum = 0.9;
    options.seed = seed;
    bench_make_images(&images, options.batch);
    status = prun_trainer_create(net, &images, &options, &trainer);
    for (i = 0; i < set->steps && status == PRUN_OK; i++)
        status = prun_trainer_step(trainer, NULL, images.count, 0.02, NULL, NULL);
    prun_trainer_free(trainer);
    bench_free_images(&images);
    return status;
}

/* Largest difference over the largest value; `norms`: the same of Euclidean norms. */
static double distance(const float *got, const double *want, int64_t count, int norms) {
    double off = 0, size = 0;
    int64_t i;

    for (i = 0; i < count; i++) {
        const double d = fabs((double)got[i] - want[i]), v = fabs(want[i]);

        if (d != d) return d;
        if (norms) {
            off += d * d;
            size += v * v;
        } else {
            off = d > off ? d : off;
            size = v > size ? v : size;
        }
    }
    return norms ? sqrt(off / size) : off / size;
}

/* Both errors of a network with one algorithm. */
static prun_status compare(prun_net *net, const prun_images *images, const exact *e,
                           double *errors) {
    const int64_t k = prun_net_parameter_count(net), n = images->count * images->classes;
    float *logits = (float *)ex_allocate((size_t)n, sizeof *logits);
    float *gradient = (float *)ex_allocate((size_t)k, sizeof *gradient);
    prun_status status = prun_net_logits(net, images, NULL, images->count, logits);

    if (status == PRUN_OK)
        status = prun_net_gradient(net, images, NULL, images->count, gradient, NULL, NULL);
    if (status == PRUN_OK) {
        errors[0] = distance(logits, e->logits, n, 0);
        errors[1] = distance(gradient, e->gradient, k, 1);
    }
    free(logits);
    free(gradient);
    return status;
}

static prun_status run_case(prun_net *net, const bench_case *c, const settings *set,
                            const prun_images *images, ex_csv *csv) {
    const int64_t k = prun_net_parameter_count(net);
    exact e;
    prun_status status = PRUN_OK;
    int64_t i;
    int a;

    e.w = (double *)ex_allocate((size_t)k, sizeof(double));
    e.gradient = (double *)ex_allocate((size_t)k, sizeof(double));
    e.logits = (double *)ex_allocate((size_t)(images->count * images->classes), sizeof(double));
    for (i = 0; i < k; i++) e.w[i] = (double)net->parameters[i];
    ref_net_gradient(net, images, e.w, e.logits, e.gradient);
    for (a = 0; a < 2 && status == PRUN_OK; a++) {
        double errors[2];

        prun_net_set_algorithm(net, algorithm_values[a]);
        status = compare(net, images, &e, errors);
        if (status != PRUN_OK) break;
        printf("%-12s %-10s %12.2e %12.2e\n", c->name, algorithms[a], errors[0], errors[1]);
        fflush(stdout);
        if (csv->file == NULL) continue;
        ex_csv_text(csv, c->name);
        ex_csv_text(csv, algorithms[a]);
        ex_csv_number(csv, (double)set->images);
        ex_csv_number(csv, errors[0]);
        ex_csv_number(csv, errors[1]);
        bench_csv_machine(csv);
        ex_csv_end_line(csv);
    }
    free(e.w);
    free(e.gradient);
    free(e.logits);
    return status;
}

static int run(const settings *set, ex_csv *csv) {
    prun_context context;
    prun_images images;
    int status = 0, done = 0;
    size_t i;

    memset(&context, 0, sizeof context);
    bench_make_images(&images, set->images);
    bench_print_machine();
    printf("%d images; errors against double precision\n\n%-12s %-10s %12s %12s\n",
           (int)set->images, "network", "algorithm", "logits", "gradient");
    for (i = 0; i < BENCH_CASES && status == 0; i++) {
        const bench_case *c = &bench_cases[i];
        prun_arch arch;
        prun_net *net = NULL;

        if (!bench_wanted(c, set->filter)) continue;
        bench_arch_of(c, &arch);
        if (prun_net_create_family(&context, &arch, &net) != PRUN_OK ||
            train(net, set, (uint64_t)i + 1) != PRUN_OK ||
            run_case(net, c, set, &images, csv) != PRUN_OK)
            status = ex_failure(&context, c->name);
        prun_net_free(net);
        done++;
    }
    bench_free_images(&images);
    if (status == 0 && done == 0) {
        fprintf(stderr, "error: no network has %s in its name\n", set->filter);
        return EX_USAGE;
    }
    return status;
}

int main(int argc, char **argv) {
    settings set;
    ex_csv csv;
    int status;
    const ex_option options[] = {
        {"filter", EX_TEXT, &set.filter, "", 0, 0, "networks with this in their name; =NAME: one"},
        {"isa", EX_TEXT, &set.isa, "", 0, 0, "kernels, as prun_isa names them; empty: the best"},
        {"images", EX_INT, &set.images, "4", 1, 1024, "images; plain loops are slow"},
        {"steps", EX_INT, &set.steps, "10", 0, 100000, "training steps beforehand"},
        {"csv", EX_TEXT, &set.csv, "", 0, 0, "also write a CSV file"}};
    const ex_program program = {"bench_accuracy",
                                "",
                                "Rounding of whole networks.",
                                options,
                                sizeof options / sizeof *options,
                                0,
                                0};

    memset(&set, 0, sizeof set);
    status = ex_parse(&program, argc, argv, NULL);
    if (status >= 0) return status;
    status = bench_set_isa(set.isa);
    if (status != 0) return status;
    status = bench_open_csv(
        set.csv, "network,algorithm,images,logit_error,gradient_error," BENCH_MACHINE_NAMES, &csv);
    if (status != 0) return status;
    return bench_close_csv(run(&set, &csv), &csv);
}
