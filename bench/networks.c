/* networks.c - images per second of whole networks, and the memory they take

   Forward: loss of 128 images in eval mode. Step: one SGD step with momentum and weight decay on
   all parameters. 3x32x32 random normal images, 10 classes, batch 128, as in the scripts of
   bench/peers for PyTorch and ONNX Runtime. Every case runs in its own process, so that peak memory
   is that of the case; "MB" is taken after the forward passes and after the training steps.

       make build/bench_networks && build/bench_networks --threads 1,2
       build/bench_networks --filter cnn --kept 10,5      (also forward with pruned weights)
*/
#include "bench.h"

#if defined(__unix__) || defined(__APPLE__)
#define HAVE_FORK 1
#include <sys/resource.h>
#include <sys/wait.h>
#endif

#define MAX_KEPT 8

typedef struct settings {
    const char *isa, *filter, *csv;
    ex_choice algorithm;
    ex_ints threads, kept;
    int64_t batch, reps;
    double seconds;
} settings;

/* Plain data, so that it passes through a pipe. */
typedef struct result {
    bench_times forward, step, pruned[MAX_KEPT];
    double multiplications;     /* of one image, direct convolution */
    double forward_mb, step_mb; /* peak resident memory so far; NaN: unknown */
    prun_status status;
    char message[256];
} result;

typedef struct work {
    prun_context context;
    const settings *set;
    prun_net *net;
    prun_trainer *trainer;
    prun_images images;
} work;

/* ---- one case ------------------------------------------------------------------------------ */

/* Peak resident memory of this process. */
static double peak_megabytes(void) {
#ifdef HAVE_FORK
    struct rusage usage;

    if (getrusage(RUSAGE_SELF, &usage) != 0) return (double)NAN;
#ifdef __APPLE__
    return (double)usage.ru_maxrss / (1024 * 1024);
#else
    return (double)usage.ru_maxrss / 1024;
#endif
#else
    return (double)NAN;
#endif
}

static prun_status call_forward(void *argument) {
    work *w = (work *)argument;
    double sum;

    BENCH_TRY(prun_net_loss(w->net, &w->images, NULL, w->images.count, NULL, &sum, NULL));
    return sum == sum ? PRUN_OK : PRUN_ERR_NONFINITE;
}

static prun_status call_step(void *argument) {
    work *w = (work *)argument;

    return prun_trainer_step(w->trainer, NULL, w->images.count, 0.01, NULL, NULL);
}

static double net_multiplications(const prun_net *net) {
    double sum = 0;
    int32_t i;

    for (i = 0; i < net->plan.ops; i++)
        if (net->plan.op[i].kind == PRUN__CONV)
            sum += bench_multiplications(&net->plan.op[i].conv.shape, 1);
    return sum;
}

/* Forward with the same percentage of every layer kept, for each of --kept in order. */
static prun_status measure_pruned(work *w, result *r) {
    const settings *set = w->set;
    prun_objective objective;
    prun_prune_options options;
    int i;

    memset(&options, 0, sizeof options);
    options.scope = PRUN_PRUNE_PER_LAYER;
    BENCH_TRY(prun_net_objective(w->net, &w->images, &objective));
    for (i = 0; i < set->kept.count; i++) {
        const double kept = (double)set->kept.value[i] / 100;

        BENCH_TRY(prun_prune(&objective, kept, &options, NULL));
        BENCH_TRY(bench_measure(call_forward, w, set->reps, set->seconds, &r->pruned[i]));
    }
    return PRUN_OK;
}

static prun_status make_net(work *w, const prun_arch *arch) {
    prun_net_free(w->net);
    w->net = NULL;
    BENCH_TRY(prun_net_create_family(&w->context, arch, &w->net));
    prun_net_set_algorithm(w->net, (prun_algorithm)w->set->algorithm.value);
    return PRUN_OK;
}

static prun_status measure(work *w, const bench_case *c, result *r) {
    const settings *set = w->set;
    prun_arch arch;
    prun_train_options options;

    memset(&options, 0, sizeof options);
    bench_arch_of(c, &arch);
    options.batch = set->batch;
    options.momentum = 0.9;
    options.weight_decay = 5e-4;
    options.decay = PRUN_DECAY_ALL;
    BENCH_TRY(make_net(w, &arch));
    r->multiplications = net_multiplications(w->net);
    BENCH_TRY(bench_measure(call_forward, w, set->reps, set->seconds, &r->forward));
    r->forward_mb = peak_megabytes();
    BENCH_TRY(make_net(w, &arch)); /* a new one, without the workspaces of evaluation */
    BENCH_TRY(prun_trainer_create(w->net, &w->images, &options, &w->trainer));
    BENCH_TRY(bench_measure(call_step, w, set->reps, set->seconds, &r->step));
    r->step_mb = peak_megabytes();
    return measure_pruned(w, r);
}

static void run_case(const settings *set, const bench_case *c, int64_t threads, result *r) {
    work w;

    memset(&w, 0, sizeof w);
    memset(r, 0, sizeof *r);
    w.set = set;
    w.context.threads = (int32_t)threads;
    bench_make_images(&w.images, set->batch);
    r->status = measure(&w, c, r);
    snprintf(r->message, sizeof r->message, "%s", prun_message(&w.context));
    prun_trainer_free(w.trainer);
    prun_net_free(w.net);
    bench_free_images(&w.images);
}

/* ---- a process per case -------------------------------------------------------------------- */

#ifdef HAVE_FORK
static int read_all(int file, void *buffer, size_t size) {
    size_t done = 0;

    while (done < size) {
        const ssize_t got = read(file, (char *)buffer + done, size - done);

        if (got <= 0) return 0;
        done += (size_t)got;
    }
    return 1;
}

/* The parent never enters a parallel region: OpenMP runtimes do not survive a fork after one. */
static int run_isolated(const settings *set, const bench_case *c, int64_t threads, result *r) {
    int ends[2], complete, status = 0;
    pid_t child;

    if (pipe(ends) != 0) return 0;
    fflush(stdout);
    fflush(stderr);
    child = fork();
    if (child == 0) {
        close(ends[0]);
        run_case(set, c, threads, r);
        _exit(write(ends[1], r, sizeof *r) == (ssize_t)sizeof *r ? 0 : 1);
    }
    close(ends[1]);
    complete = child > 0 && read_all(ends[0], r, sizeof *r);
    close(ends[0]);
    if (child > 0 && waitpid(child, &status, 0) < 0) return 0;
    return complete && status == 0;
}
#else
static int run_isolated(const settings *set, const bench_case *c, int64_t threads, result *r) {
    run_case(set, c, threads, r);
    return 1;
}
#endif

/* ---- the table ----------------------------------------------------------------------------- */

static void print_header(const settings *set) {
    printf("batch %d; img/s best (median); GFLOP/s of direct convolution, a step as three "
           "forwards\n\n",
           (int)set->batch);
    printf("%-12s %7s  %-21s %-21s %8s %8s %7s %7s\n", "network", "threads", "forward img/s",
           "step img/s", "forward", "step", "MB fwd", "MB step");
}

static void print_case(const settings *set, const bench_case *c, int64_t threads, const result *r) {
    const double n = (double)set->batch, giga = 2e-9 * r->multiplications * n;
    int i;

    printf("%-12s %7d  %9.1f (%9.1f) %9.1f (%9.1f) %8.1f %8.1f %7.0f %7.0f\n", c->name,
           (int)threads, n / r->forward.best, n / r->forward.median, n / r->step.best,
           n / r->step.median, giga / r->forward.best, 3 * giga / r->step.best, r->forward_mb,
           r->step_mb);
    for (i = 0; i < set->kept.count; i++)
        printf("%-12s %7d  %9.1f (%9.1f) with %d %% of each layer kept: %.2fx its dense forward\n",
               c->name, (int)threads, n / r->pruned[i].best, n / r->pruned[i].median,
               (int)set->kept.value[i], r->forward.best / r->pruned[i].best);
    fflush(stdout);
}

/* Writes a row of the CSV file; kept 100: the dense network. */
static void write_row(ex_csv *csv, const settings *set, const bench_case *c, int64_t threads,
                      int64_t kept, const bench_times *forward, const result *r) {
    static const char *const algorithms[] = {"auto", "direct", "winograd"};
    const double n = (double)set->batch, nothing = (double)NAN;
    const int dense = kept == 100;

    ex_csv_text(csv, "prunability.h");
    ex_csv_text(csv, c->name);
    ex_csv_number(csv, (double)threads);
    ex_csv_text(csv, "lanes");
    ex_csv_number(csv, n / forward->best);
    ex_csv_number(csv, dense ? n / r->step.best : nothing);
    ex_csv_number(csv, dense ? r->step_mb : nothing);
    ex_csv_number(csv, n / forward->median);
    ex_csv_number(csv, dense ? n / r->step.median : nothing);
    ex_csv_number(csv, dense ? r->forward_mb : nothing);
    ex_csv_number(csv, r->multiplications);
    ex_csv_number(csv, (double)kept);
    ex_csv_text(csv, algorithms[set->algorithm.value]);
    bench_csv_machine(csv);
    ex_csv_end_line(csv);
}

static void write_case(ex_csv *csv, const settings *set, const bench_case *c, int64_t threads,
                       const result *r) {
    int i;

    write_row(csv, set, c, threads, 100, &r->forward, r);
    for (i = 0; i < set->kept.count; i++)
        write_row(csv, set, c, threads, set->kept.value[i], &r->pruned[i], r);
}

static int one_case(const settings *set, const bench_case *c, int64_t threads, ex_csv *csv) {
    result r;

    memset(&r, 0, sizeof r);
    if (!run_isolated(set, c, threads, &r)) {
        fprintf(stderr, "error: %s: the process that measures it failed\n", c->name);
        return EX_FAILED;
    }
    if (r.status != PRUN_OK) {
        fprintf(stderr, "error: %s: %s\n", c->name,
                *r.message != '\0' ? r.message : prun_status_string(r.status));
        return EX_FAILED;
    }
    print_case(set, c, threads, &r);
    if (csv->file != NULL) write_case(csv, set, c, threads, &r);
    return 0;
}

static int run(const settings *set, ex_csv *csv) {
    int t, status = 0, done = 0;
    size_t i;

    bench_print_machine();
    print_header(set);
    for (t = 0; t < set->threads.count && status == 0; t++) {
        if (!bench_can_thread(set->threads.value[t])) continue;
        for (i = 0; i < BENCH_CASES && status == 0; i++) {
            if (!bench_wanted(&bench_cases[i], set->filter)) continue;
            status = one_case(set, &bench_cases[i], set->threads.value[t], csv);
            done++;
        }
    }
    if (status == 0 && done == 0) {
        fprintf(stderr, "error: nothing to measure: see --filter and --threads\n");
        return EX_USAGE;
    }
    return status;
}

static const char csv_names[] =
    "peer,case,threads,layout,forward_ips,step_ips,memory_mb,forward_median_ips,"
    "step_median_ips,forward_memory_mb,multiplications,kept_percent,algorithm," BENCH_MACHINE_NAMES;

int main(int argc, char **argv) {
    settings set;
    ex_csv csv;
    int status;
    const ex_option options[] = {
        {"threads", EX_INT_LIST, &set.threads, "1,2", 1, 1024, "threads, one table row each"},
        {"filter", EX_TEXT, &set.filter, "", 0, 0, "cases with this in their name; =NAME: one"},
        {"isa", EX_TEXT, &set.isa, "", 0, 0, "kernels, as prun_isa names them; empty: the best"},
        {"algorithm", EX_CHOICE, &set.algorithm, "auto", 0, 0, "of the convolutions"},
        {"batch", EX_INT, &set.batch, "128", 2, 65536, "images"},
        {"reps", EX_INT, &set.reps, "5", 1, BENCH_MAX_SAMPLES, "minimum of calls; the best counts"},
        {"seconds", EX_REAL, &set.seconds, "1", 0, 600, "minimum time per case and direction"},
        {"kept", EX_INT_LIST, &set.kept, NULL, 1, 99, "also forward with this % of weights kept"},
        {"csv", EX_TEXT, &set.csv, "", 0, 0, "also write a CSV file"}};
    const ex_program program = {"bench_networks",
                                "",
                                "Images per second of whole networks.",
                                options,
                                sizeof options / sizeof *options,
                                0,
                                0};

    memset(&set, 0, sizeof set);
    set.algorithm.names = "auto|direct|winograd"; /* in the order of prun_algorithm */
    status = ex_parse(&program, argc, argv, NULL);
    if (status >= 0) return status;
    if (set.kept.count > MAX_KEPT) {
        fprintf(stderr, "error: --kept: at most %d values\n", MAX_KEPT);
        return EX_USAGE;
    }
    status = bench_set_isa(set.isa);
    if (status != 0) return status;
    status = bench_open_csv(set.csv, csv_names, &csv);
    if (status != 0) return status;
    return bench_close_csv(run(&set, &csv), &csv);
}
