/* bench.h - shared by the benchmark programs: the machine, times, operation counts

   Includes the implementation, because kernels are timed without packing and allocation. Options,
   tables, CSV and the data set come from the headers of the studies.
*/
#ifndef BENCH_H_INCLUDED
#define BENCH_H_INCLUDED

#include "../examples/studies/data.h"
#include "../examples/studies/options.h"
#include "../examples/studies/table.h"
#define PRUNABILITY_IMPLEMENTATION
#include "../prunability.h"

/* The Makefile passes its compiler flags. */
#ifndef BENCH_FLAGS
#define BENCH_FLAGS "not recorded (built without make)"
#endif

#if defined(__clang__)
#define BENCH_COMPILER "clang " __clang_version__
#elif defined(__GNUC__)
#define BENCH_COMPILER "gcc " __VERSION__
#else
#define BENCH_COMPILER "unknown compiler"
#endif

#define BENCH_TRY(call) \
    do { \
        const prun_status bench__status = (call); \
        if (bench__status != PRUN_OK) return bench__status; \
    } while (0)

/* ---- the machine --------------------------------------------------------------------------- */

static inline void bench_print_machine(void) {
    char cpu[128];

    printf("cpu:       %s\n", ex_cpu(cpu, sizeof cpu));
    printf("compiler:  %s\n", BENCH_COMPILER);
    printf("flags:     %s\n", BENCH_FLAGS);
    printf("version:   prunability.h %s\n", PRUNABILITY_VERSION);
    printf("isa:       %s\n\n", prun_isa());
}

/* The same as columns of a CSV file. */
#define BENCH_MACHINE_NAMES "cpu,compiler,flags,version,isa"

static inline void bench_csv_machine(ex_csv *csv) {
    char cpu[128];

    ex_csv_text(csv, ex_cpu(cpu, sizeof cpu));
    ex_csv_text(csv, BENCH_COMPILER);
    ex_csv_text(csv, BENCH_FLAGS);
    ex_csv_text(csv, PRUNABILITY_VERSION);
    ex_csv_text(csv, prun_isa());
}

/* Selects kernels by name, "" for the best. Returns 0 or, after a message, the exit status. */
static inline int bench_set_isa(const char *name) {
    const int status = *name != '\0' ? ex_choose_kernels(name) : -1;

    return status < 0 ? 0 : status;
}

/* False, after a message, if this build cannot use that many threads: results of one thread must
   not be listed under another number. */
static inline int bench_can_thread(int64_t threads) {
    if (threads == 1 || PRUN__OPENMP) return 1;
    fprintf(stderr, "%ld threads: left out, built without OpenMP\n", (long)threads);
    return 0;
}

/* ---- times --------------------------------------------------------------------------------- */

#define BENCH_MAX_SAMPLES 1000

typedef struct bench_times {
    double best, median; /* seconds of one call */
} bench_times;

typedef prun_status (*bench_call)(void *argument);

static inline int bench__by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Two warm-up calls, then single calls until at least `reps` calls and `seconds` have passed. */
static inline prun_status bench_measure(bench_call call, void *argument, int64_t reps,
                                        double seconds, bench_times *times) {
    double samples[BENCH_MAX_SAMPLES], start, total = 0;
    int count;

    for (count = 0; count < 2; count++) BENCH_TRY(call(argument));
    for (count = 0; count < BENCH_MAX_SAMPLES && (count < reps || total < seconds); count++) {
        start = ex_seconds();
        BENCH_TRY(call(argument));
        samples[count] = ex_seconds() - start;
        total += samples[count];
    }
    qsort(samples, (size_t)count, sizeof *samples, bench__by_value);
    times->best = samples[0];
    times->median = (samples[(count - 1) / 2] + samples[count / 2]) / 2;
    return PRUN_OK;
}

/* ---- networks ------------------------------------------------------------------------------ */

typedef struct bench_case {
    const char *name;
    prun_family family;
    int64_t width;
} bench_case;

static const bench_case bench_cases[] = {{"cnn-8", PRUN_FAMILY_CNN, 8},
                                         {"cnn-16", PRUN_FAMILY_CNN, 16},
                                         {"cnn-64", PRUN_FAMILY_CNN, 64},
                                         {"nin-48", PRUN_FAMILY_NIN, 48},
                                         {"nin-192", PRUN_FAMILY_NIN, 192},
                                         {"resnet18-8", PRUN_FAMILY_RESNET18, 8},
                                         {"resnet18-64", PRUN_FAMILY_RESNET18, 64}};
#define BENCH_CASES (sizeof bench_cases / sizeof *bench_cases)

/* Whether the filter selects a case: "cnn" all whose name has it, "=cnn-8" only that case. */
static inline int bench_wanted(const bench_case *c, const char *filter) {
    return *filter == '=' ? strcmp(c->name, filter + 1) == 0 : strstr(c->name, filter) != NULL;
}

/* A NiN gets the padding of the peers' frameworks. */
static inline void bench_arch_of(const bench_case *c, prun_arch *arch) {
    memset(arch, 0, sizeof *arch);
    arch->family = c->family;
    arch->width = c->width;
    arch->symmetric_padding = arch->pytorch_defaults = 1;
}

/* Random normal 3x32x32 images with random labels of 10 classes. */
static inline void bench_make_images(prun_images *m, int64_t count) {
    const int64_t size = count * 3 * 32 * 32;
    float *values = (float *)ex_allocate((size_t)size, sizeof *values);
    int32_t *labels = (int32_t *)ex_allocate((size_t)count, sizeof *labels);
    int64_t i;

    memset(m, 0, sizeof *m);
    m->count = count;
    m->channels = 3;
    m->height = m->width = 32;
    m->classes = 10;
    for (i = 0; i < size; i++) values[i] = (float)prun_random_normal(1, 1, (uint64_t)i);
    for (i = 0; i < count; i++) labels[i] = (int32_t)(10 * prun_random_uniform(1, 2, (uint64_t)i));
    m->values = values;
    m->labels = labels;
}

static inline void bench_free_images(prun_images *m) {
    free((void *)(uintptr_t)m->values);
    free((void *)(uintptr_t)m->labels);
}

/* Loads the first `count` training images (0: all) of a directory, padded and normalized. Returns
   the exit status. */
static inline int bench_load_images(prun_context *context, const char *directory, int64_t count,
                                    const char *program, prun_images *images) {
    ex_data_request request;
    ex_data data;
    int status;

    memset(&request, 0, sizeof request);
    request.directory = directory;
    request.program = program;
    request.pad_to = 32;
    request.train_images = count;
    request.normalization = PRUN_NORMALIZATION_MEAN_STD;
    status = ex_load_data(context, &request, &data);
    if (status != 0) return status;
    *images = data.train;
    prun_images_free(&data.test);
    return 0;
}

/* ---- operation counts ---------------------------------------------------------------------- */

/* Pairs of an output and a kernel tap along one axis; `inside`: only taps within the image. */
static inline int64_t bench__axis_taps(int64_t size, int64_t kernel, int64_t stride, int64_t before,
                                       int64_t after, int inside) {
    const int64_t outputs = (size + before + after - kernel) / stride + 1;
    int64_t o, k, count = 0;

    if (!inside) return outputs * kernel;
    for (o = 0; o < outputs; o++)
        for (k = 0; k < kernel; k++) {
            const int64_t at = o * stride + k - before;

            count += at >= 0 && at < size;
        }
    return count;
}

/* Multiplications of a direct convolution of one image; kernel[1] and stride filled in. */
static inline double bench_multiplications(const prun_conv2d *s, int inside) {
    return (double)bench__axis_taps(s->in_height, s->kernel[0], s->stride[0], s->padding[0],
                                    s->padding[2], inside) *
           (double)bench__axis_taps(s->in_width, s->kernel[1], s->stride[1], s->padding[1],
                                    s->padding[3], inside) *
           (double)s->in_channels * (double)s->out_channels;
}

/* Opens the CSV file named by an option and writes its header line; "": no file. */
static inline int bench_open_csv(const char *path, const char *names, ex_csv *csv) {
    memset(csv, 0, sizeof *csv);
    if (*path == '\0') return 0;
    if (ex_csv_open(csv, path, 0) != 0) return EX_FAILED;
    ex_csv_names(csv, names);
    ex_csv_end_line(csv);
    return 0;
}

/* Closes it, if there is one. Returns the exit status: the program's, or that of the file. */
static inline int bench_close_csv(int status, ex_csv *csv) {
    const int closed = csv->file != NULL ? ex_csv_close(csv) : 0;

    return status != 0 ? status : closed;
}

#endif /* BENCH_H_INCLUDED */
