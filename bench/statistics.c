/* statistics.c - time of the evaluation statistics on tables of realistic and of large size

   Kendall's tau of a million pairs, conditional mutual information of 10,000 models over 7 axes,
   and 10,000 bootstrap resamples of tau and of others on the paper's 324 models.

       make build/bench_statistics && build/bench_statistics [--csv FILE]

   bench/peers/scipy_statistics.py runs it beside SciPy.
*/
#include "bench.h"

enum { MODELS = 324, LARGE = 10000, AXES = 7 };

typedef struct settings {
    int64_t pairs, reps, threads;
    double seconds;
    const char *csv;
} settings;

typedef struct bench {
    prun_context context;
    int64_t pairs;
    double *x, *y, *coarse; /* coarse: at most 130 different values, for ties */
    double *axis[AXES];
    const double *axes[AXES];
    prun_axes large, small;
    prun_resampling_options resampling;
    prun_statistic statistic;
    const double *second;
    double value; /* of the last call; printed, so that it is not optimised away */
} bench;

static prun_status kendall(void *argument) {
    bench *b = (bench *)argument;
    prun_kendall k;

    BENCH_TRY(prun_kendall_tau(&b->context, b->x, b->second, b->pairs, &k));
    b->value = k.tau_b;
    return PRUN_OK;
}

static prun_status information(void *argument) {
    bench *b = (bench *)argument;
    prun_cmi c;

    BENCH_TRY(prun_conditional_information(&b->context, &b->large, b->x, b->y, PRUN_TIES_DROP, &c));
    b->value = c.k;
    return PRUN_OK;
}

static prun_status bootstrap(void *argument) {
    bench *b = (bench *)argument;
    prun_interval interval;
    prun_sample sample;

    memset(&sample, 0, sizeof sample);
    sample.n = MODELS;
    sample.measure = b->x;
    sample.target = b->y;
    sample.axes = &b->small;
    BENCH_TRY(prun_bootstrap(&b->context, &sample, &b->resampling, &interval));
    b->value = interval.standard_error;
    return PRUN_OK;
}

static void make_data(bench *b) {
    int64_t i, a, rest;

    b->x = (double *)ex_allocate((size_t)b->pairs, sizeof *b->x);
    b->y = (double *)ex_allocate((size_t)b->pairs, sizeof *b->y);
    b->coarse = (double *)ex_allocate((size_t)b->pairs, sizeof *b->coarse);
    for (i = 0; i < b->pairs; i++) {
        b->x[i] = prun_random_uniform(1, 0, (uint64_t)i);
        b->y[i] = 0.3 * b->x[i] + prun_random_uniform(1, 1, (uint64_t)i);
        b->coarse[i] = floor(100 * b->y[i]);
    }
    for (a = 0; a < AXES; a++) {
        b->axis[a] = (double *)ex_allocate(LARGE, sizeof(double));
        b->axes[a] = b->axis[a];
    }
    for (i = 0; i < LARGE; i++) /* about 3 to 5 levels each */
        for (a = 0, rest = i; a < AXES; a++) {
            b->axis[a][i] = (double)(rest % (3 + a % 3));
            rest /= 3 + a % 3;
        }
    b->large.n = LARGE;
    b->large.count = AXES;
    b->large.values = b->axes;
    b->small = b->large;
    b->small.n = MODELS;
    b->small.count = 5;
}

/* One row; goal 0: none. */
static int row(bench *b, const settings *set, ex_table *table, ex_csv *csv, const char *name,
               bench_call call, double goal) {
    char threads[24];
    bench_times times;

    if (bench_measure(call, b, set->reps, set->seconds, &times) != PRUN_OK)
        return ex_failure(&b->context, name);
    snprintf(threads, sizeof threads, "%ld", (long)set->threads);
    ex_table_cell(table, "%s", name);
    ex_table_cell(table, "%s", set->threads > 0 ? threads : "all");
    ex_table_cell(table, "%.4f", times.best);
    ex_table_cell(table, "%.4f", times.median);
    ex_table_cell(table, goal > 0 ? "%g" : "-", goal);
    ex_table_cell(table, "%.6g", b->value);
    if (csv->file == NULL) return 0;
    ex_csv_text(csv, name);
    ex_csv_text(csv, threads);
    ex_csv_number(csv, times.best);
    ex_csv_number(csv, times.median);
    ex_csv_number(csv, b->value);
    bench_csv_machine(csv);
    ex_csv_end_line(csv);
    return 0;
}

static int run(bench *b, const settings *set, ex_csv *csv) {
    static const struct {
        const char *name;
        prun_statistic statistic;
        int64_t resamples;
        double goal;
    } resampled[] = {
        {"10,000 bootstrap resamples of tau, 324 models", PRUN_STATISTIC_TAU_A, 10000, 10},
        {"10,000 bootstrap resamples of Psi, 324 models, 5 axes", PRUN_STATISTIC_PSI_MEAN, 10000,
         0},
        {"10,000 bootstrap resamples of R2, 324 models", PRUN_STATISTIC_R2, 10000, 0},
        {"500 bootstrap resamples of K, 324 models, 5 axes", PRUN_STATISTIC_CMI, 500, 0}};
    ex_table table = {0, 0, 0, NULL};
    size_t i;
    int status;

    ex_table_header(&table, "what|threads|best s|median s|goal s|value");
    b->second = b->y;
    status = row(b, set, &table, csv, "Kendall", kendall, 0);
    b->second = b->coarse;
    if (status == 0) status = row(b, set, &table, csv, "Kendall with ties", kendall, 0);
    if (status == 0)
        status =
            row(b, set, &table, csv, "CMI, 10,000 models, 7 axes, 29 subsets", information, 10);
    for (i = 0; i < sizeof resampled / sizeof *resampled && status == 0; i++) {
        b->resampling.statistic = resampled[i].statistic;
        b->resampling.resamples = resampled[i].resamples;
        status = row(b, set, &table, csv, resampled[i].name, bootstrap, resampled[i].goal);
    }
    printf("Kendall: %ld pairs, always one thread\n\n", (long)b->pairs);
    ex_table_print(&table, stdout);
    ex_table_free(&table);
    return status;
}

int main(int argc, char **argv) {
    settings set;
    bench b;
    ex_csv csv;
    int status, a;
    const ex_option options[] = {
        {"pairs", EX_INT, &set.pairs, "1000000", LARGE, 1e8, "pairs of Kendall's tau"},
        {"reps", EX_INT, &set.reps, "3", 1, 1000, "minimum number of timed calls"},
        {"seconds", EX_REAL, &set.seconds, "1", 0, 1000, "minimum time of all calls"},
        {"threads", EX_INT, &set.threads, "0", 0, 1024, "threads; 0: all"},
        {"csv", EX_TEXT, &set.csv, "", 0, 0, "also write a CSV file"}};
    const ex_program program = {"bench_statistics",
                                "",
                                "Time of the evaluation statistics.",
                                options,
                                sizeof options / sizeof *options,
                                0,
                                0};

    memset(&b, 0, sizeof b);
    status = ex_parse(&program, argc, argv, NULL);
    if (status >= 0) return status;
    if (set.threads > 1 && !bench_can_thread(set.threads)) return EX_USAGE;
    b.context.threads = (int32_t)set.threads;
    b.pairs = set.pairs;
    status = bench_open_csv(set.csv, "what,threads,best,median,value," BENCH_MACHINE_NAMES, &csv);
    if (status != 0) return status;
    bench_print_machine();
    make_data(&b);
    status = bench_close_csv(run(&b, &set, &csv), &csv);
    for (a = 0; a < AXES; a++) free(b.axis[a]);
    free(b.x);
    free(b.y);
    free(b.coarse);
    return status;
}
