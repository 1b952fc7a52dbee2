/* Fuzzes random networks: values, gradients, curvature, training, search, files.

   Every graph (graph.h) is compared with a reference in double precision (graph_reference.h), with
   brute force, and with itself under other threads, as a copy and read from a file. By default,
   this is a program with a built-in generator (--help); with -DFUZZ_LIBFUZZER and clang's
   -fsanitize=fuzzer it is a libFuzzer target, whose bytes are the choices.
*/
#define _POSIX_C_SOURCE 200809L
#define PRUNABILITY_IMPLEMENTATION
#include "../../prunability.h"

#include <stdarg.h>
#include <time.h>
#include <unistd.h>

#include "graph_reference.h"

/* ---- one graph and its data ---- */

typedef struct fuzz_case {
    graph g;
    graph_random random;
    prun_context context;
    prun_net *net;
    int64_t tensors;
    const prun_tensor *tensor;
    float *kept; /* original values of all tensors */
    int64_t kept_count;
    int tiny, failed;
    graph_reference reference;
} fuzz_case;

static fuzz_case fuzz;
static uint64_t fuzz_seed = 1;
static long long fuzz_number, fuzz_live;
static long long fuzz_checks, fuzz_failures, fuzz_skipped, fuzz_samples;
static const char *fuzz_running = ""; /* the current check */

/* Reports a failure; the calling check then returns. */
static int fuzz_fail(const char *format, ...) {
    va_list list;
    fflush(stdout);
    if (!fuzz.failed) {
#ifdef FUZZ_LIBFUZZER
        fprintf(stderr, "this input's graph failed:\n");
#else
        fprintf(stderr, "graph %lld of seed %llu failed; again with --seed %llu --only %lld\n",
                fuzz_number, (unsigned long long)fuzz_seed, (unsigned long long)fuzz_seed,
                fuzz_number);
#endif
        graph_print(stderr, &fuzz.g);
    }
    fprintf(stderr, "  %s: ", fuzz_running);
    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
    fprintf(stderr, " (message \"%s\")\n", prun_message(&fuzz.context));
    fuzz.failed++;
    return 0;
}

#define FUZZ_CHECK(condition) \
    (fuzz_checks++, (condition) ? 1 : fuzz_fail("line %d: %s", __LINE__, #condition))

static void *fuzz_allocate(void *user, size_t size) {
    void *block = malloc(size);
    (void)user;
    fuzz_live += block != NULL;
    return block;
}

static void fuzz_release(void *user, void *block) {
    (void)user;
    fuzz_live -= block != NULL;
    free(block);
}

static void *fuzz_array(int64_t count, size_t size) {
    void *block = calloc((size_t)(count > 0 ? count : 1), size);
    if (block == NULL) {
        fprintf(stderr, "fuzz_graph: out of memory\n");
        exit(2);
    }
    return block;
}

static float *fuzz_floats(int64_t count) { return (float *)fuzz_array(count, sizeof(float)); }
static double *fuzz_doubles(int64_t count) { return (double *)fuzz_array(count, sizeof(double)); }

static int fuzz_equal(const float *a, const float *b, int64_t count) {
    return memcmp(a, b, (size_t)count * sizeof(float)) == 0;
}

/* Copies all tensors of a net, concatenated, out of it or back. */
static void fuzz_copy_tensors(const prun_net *net, float *out, int restore) {
    int64_t count, t, size;
    const prun_tensor *tensor = prun_net_tensors(net, &count);
    for (t = 0; t < count; t++, out += size) {
        size = prun_tensor_size(&tensor[t]);
        if (restore) memcpy(tensor[t].data, out, (size_t)size * sizeof(float));
        else memcpy(out, tensor[t].data, (size_t)size * sizeof(float));
    }
}

/* Whether a net's tensors still have their original values. */
static int fuzz_unchanged(const prun_net *net) {
    float *now = fuzz_floats(fuzz.kept_count);
    int same;
    fuzz_copy_tensors(net, now, 0);
    same = fuzz_equal(now, fuzz.kept, fuzz.kept_count);
    free(now);
    return same;
}

static int fuzz_normalised(void) /* batches of one value per channel have no variance */
{
    int64_t least = INT64_MAX;
    int32_t i;
    for (i = 0; i < fuzz.g.layers; i++) {
        const graph_layer *l = &fuzz.g.layer[i];
        if (l->kind == GRAPH_NORM && l->h * l->w < least) least = l->h * l->w;
    }
    return least == 1;
}

/* ---- comparison with the reference ---- */

typedef struct fuzz_tally {
    long long compared, blunt, numbers;
    double worst;         /* error over tolerance */
    double error;         /* largest error over the largest number, in sharp comparisons */
    double log_tolerance; /* sum of the logarithms of tolerance over largest number */
    long long tolerant;   /* number of comparisons in this sum */
} fuzz_tally;

enum {
    TALLY_LOGITS,
    TALLY_LOSS,
    TALLY_GRADIENT,
    TALLY_HESSIAN,
    TALLY_BATCH_LOGITS,
    TALLY_BATCH_GRADIENT,
    TALLY_STATISTICS,
    TALLY_STEP,
    TALLY_FOLDED,
    TALLY_MARGINS,
    TALLY_EIGENVALUES,
    TALLY_CONV,
    TALLY_CONV_INPUT,
    TALLY_CONV_WEIGHT,
    TALLIES
};
static fuzz_tally fuzz_tallies[TALLIES];
static const char *const fuzz_names[TALLIES] = {"logits",
                                                "losses",
                                                "gradient",
                                                "Hessian-vector product",
                                                "logits in training",
                                                "gradient in training",
                                                "running statistics",
                                                "a step of SGD",
                                                "logits of a folded copy",
                                                "hidden margins",
                                                "eigenvalues",
                                                "convolution",
                                                "its input gradient",
                                                "its weight gradient"};

/* A comparison is blunt if it could hide an error of this fraction of the largest number. */
#define FUZZ_SHARP 1e-3

static double fuzz_scale; /* a larger scale for the next comparison, or 0 */

/* Compares got with want, within GRAPH_SIGMAS standard deviations; exactly where the variance is 0.
   `what` and i identify the number that fails. */
static int fuzz_compare_doubles(int tally, const char *what, const double *got, const double *want,
                                const double *variance, int64_t count) {
    fuzz_tally *t = &fuzz_tallies[tally];
    double largest = fuzz_scale, tolerated = 0, error = 0;
    int64_t i;
    fuzz_checks++;
    for (i = 0; i < count; i++) {
        const double tolerance =
            variance[i] > 0 ? GRAPH_SIGMAS * (sqrt(variance[i]) + GRAPH_TINY) : 0;
        const double off = fabs(got[i] - want[i]);
        if (!(off <= tolerance))
            return fuzz_fail("%s %s, number %lld: %.9g, should be %.9g; off by %.3g, tolerance "
                             "%.3g",
                             fuzz_names[tally], what, (long long)i, got[i], want[i], off,
                             tolerance);
        if (off > 0) t->worst = fmax(t->worst, off / tolerance);
        largest = fmax(largest, fabs(want[i]));
        tolerated = fmax(tolerated, tolerance);
        error = fmax(error, off);
    }
    t->compared++;
    t->numbers += count;
    if (tolerated > FUZZ_SHARP * largest) t->blunt++;
    else if (largest > 0) t->error = fmax(t->error, error / largest);
    if (tolerated > 0 && largest > 0) {
        t->log_tolerance += log(tolerated / largest);
        t->tolerant++;
    }
    return 1;
}

static int fuzz_compare(int tally, const char *what, const float *got, const double *want,
                        const double *variance, int64_t count) {
    double *values = fuzz_doubles(count);
    int64_t i;
    int holds;
    for (i = 0; i < count; i++) values[i] = (double)got[i];
    holds = fuzz_compare_doubles(tally, what, values, want, variance, count);
    free(values);
    return holds;
}

/* Compares a flat gradient tensor by tensor, with a layer's bias on the scale of its kernel. */
static int fuzz_compare_flat(int tally, const float *got, const double *want,
                             const double *variance) {
    int64_t t, at = 0, i;
    int holds = 1;
    double largest = 0;
    for (t = 0; t < fuzz.tensors && holds; t++) {
        const int64_t size = prun_tensor_size(&fuzz.tensor[t]);
        if (fuzz.tensor[t].flags & PRUN_TENSOR_STATISTIC) continue;
        fuzz_scale = fuzz.tensor[t].flags & PRUN_TENSOR_BIAS ? largest : 0;
        holds = fuzz_compare(tally, fuzz.tensor[t].name, got + at, want + at, variance + at, size);
        for (largest = 0, i = at; i < at + size; i++) largest = fmax(largest, fabs(want[i]));
        at += size;
    }
    fuzz_scale = 0;
    return holds;
}

/* Runs the reference for all samples of the graph, or with `smooth` only for those without a
   decision that depends on rounding. Returns their number. */
static int64_t fuzz_reference(const float *direction, int smooth, int64_t *index) {
    graph_reference *r = &fuzz.reference;
    int64_t i, n = 0;
    graph_reference_init(r, &fuzz.g, fuzz.net);
    r->direction = direction;
    graph_run(r);
    for (i = 0; i < r->n; i++) {
        fuzz_samples += smooth;
        fuzz_skipped += smooth && r->kink[i];
        if (!smooth || !r->kink[i]) index[n++] = fuzz.g.index[i];
    }
    if (n == fuzz.g.n || n == 0) return n;
    graph_reference_init(r, &fuzz.g, fuzz.net);
    r->direction = direction;
    r->index = index;
    r->n = n;
    graph_run(r);
    return n;
}

/* ---- checks: values and derivatives ---- */

/* Index of the first largest logit. */
static int64_t fuzz_largest(const float *logits, int64_t classes) {
    int64_t j, best = 0;
    for (j = 1; j < classes; j++)
        if (logits[j] > logits[best]) best = j;
    return best;
}

/* The losses equal those of the logits bit by bit, and do not depend on the order of the
   samples. */
static void fuzz_check_losses(const float *logits) {
    const graph *g = &fuzz.g;
    const int64_t classes = g->images.classes;
    double losses[GRAPH_IMAGES], sum = -1, total = 0;
    float *again = fuzz_floats(g->n * classes);
    int64_t reversed[GRAPH_IMAGES], errors = -1, wrong = 0, i;
    FUZZ_CHECK(prun_net_loss(fuzz.net, &g->images, g->index, g->n, losses, &sum, &errors) ==
               PRUN_OK);
    for (i = 0; i < g->n; i++) {
        const float *row = logits + i * classes;
        const int32_t label = g->labels[g->index[i]];
        FUZZ_CHECK(losses[i] == prun_cross_entropy(row, classes, label, NULL) && losses[i] >= 0);
        total += losses[i];
        wrong += fuzz_largest(row, classes) != label;
        reversed[i] = g->index[g->n - 1 - i];
    }
    FUZZ_CHECK(total == sum);
    FUZZ_CHECK(wrong == errors);
    FUZZ_CHECK(prun_net_logits(fuzz.net, &g->images, reversed, g->n, again) == PRUN_OK);
    for (i = 0; i < g->n; i++)
        if (!FUZZ_CHECK(
                fuzz_equal(again + i * classes, logits + (g->n - 1 - i) * classes, classes)))
            break;
    free(again);
}

static void fuzz_check_logits(void) {
    const graph *g = &fuzz.g;
    graph_reference *r = &fuzz.reference;
    const graph_array *z = &r->y[g->output];
    float *logits = fuzz_floats(g->n * g->images.classes);
    double losses[GRAPH_IMAGES], variance[GRAPH_IMAGES];
    int64_t i;
    graph_reference_init(r, g, fuzz.net);
    graph_run(r);
    FUZZ_CHECK(prun_net_logits(fuzz.net, &g->images, g->index, g->n, logits) == PRUN_OK);
    if (fuzz_compare(TALLY_LOGITS, "", logits, z->v, z->e, g->n * g->images.classes)) {
        fuzz_check_losses(logits);
        FUZZ_CHECK(prun_net_loss(fuzz.net, &g->images, g->index, g->n, losses, NULL, NULL) ==
                   PRUN_OK);
        for (i = 0; i < g->n; i++) variance[i] = graph_square(r->loss_errors[i]);
        fuzz_compare_doubles(TALLY_LOSS, "", losses, r->losses, variance, g->n);
    }
    free(logits);
}

static void fuzz_check_gradient(void) {
    const graph *g = &fuzz.g;
    graph_reference *r = &fuzz.reference;
    int64_t index[GRAPH_IMAGES], n = fuzz_reference(NULL, 1, index), errors = -1, expected = -1, i;
    float *gradient = fuzz_floats(g->parameters);
    double sum = -1, loss = -1, total = 0, variance = 0;
    if (n > 0) {
        FUZZ_CHECK(prun_net_gradient(fuzz.net, &g->images, index, n, gradient, &sum, &errors) ==
                   PRUN_OK);
        fuzz_compare_flat(TALLY_GRADIENT, gradient, r->gradient.v, r->gradient.e);
        for (i = 0; i < n; i++) {
            total += r->losses[i];
            variance += graph_square(r->loss_errors[i]);
        }
        variance = (double)n * variance + graph_square(2e-16 * (double)n * total);
        fuzz_compare_doubles(TALLY_LOSS, "sum", &sum, &total, &variance, 1);
        FUZZ_CHECK(prun_net_loss(fuzz.net, &g->images, index, n, NULL, &loss, &expected) ==
                   PRUN_OK);
        FUZZ_CHECK(llabs(errors - expected) <= n);
    }
    free(gradient);
}

/* A random direction in all parameters or in a few. */
static float *fuzz_direction(void) {
    float *v = fuzz_floats(fuzz.g.parameters);
    const int64_t kind = graph_pick(&fuzz.random, 3);
    int64_t i;
    for (i = 0; i < fuzz.g.parameters; i++)
        if (kind < 2 || graph_uniform(&fuzz.random) < 0.1) v[i] = (float)graph_normal(&fuzz.random);
    return v;
}

static void fuzz_check_hessian(void) {
    const graph *g = &fuzz.g;
    float *v = fuzz_direction(), *product = fuzz_floats(g->parameters);
    int64_t index[GRAPH_IMAGES], n = fuzz_reference(v, 1, index);
    if (n > 0) {
        FUZZ_CHECK(prun_net_hessian_vector(fuzz.net, &g->images, index, n, v, product) == PRUN_OK);
        fuzz_compare_flat(TALLY_HESSIAN, product, fuzz.reference.gradient.t,
                          fuzz.reference.gradient.te);
    }
    free(v);
    free(product);
}

/* The same network with every kernel and algorithm. */
static void fuzz_check_tiers(void) {
    static const char *const tiers[4] = {"portable", "avx2", "avx512", "neon"};
    const graph kept = fuzz.g;
    int tier, algorithm;
    for (tier = 0; tier < 4; tier++) {
        if (prun_isa_set(tiers[tier]) != PRUN_OK) continue;
        for (algorithm = 0; algorithm < 3 && !fuzz.failed; algorithm++) {
            fuzz.g.isa = tiers[tier];
            fuzz.g.algorithm = (prun_algorithm)algorithm;
            prun_net_set_algorithm(fuzz.net, fuzz.g.algorithm);
            fuzz_check_logits();
            fuzz_check_gradient();
            fuzz_check_hessian();
        }
    }
    fuzz.g.isa = kept.isa;
    fuzz.g.algorithm = kept.algorithm;
    prun_net_set_algorithm(fuzz.net, fuzz.g.algorithm);
    FUZZ_CHECK(prun_isa_set(fuzz.g.isa) == PRUN_OK);
}

/* ---- checks: training mode ---- */

static double fuzz_dropped[2]; /* kept elements minus their expected number, and its variance */

/* Finds the masks of the last pass and counts the elements that they keep. */
static void fuzz_find_masks(graph_reference *r) {
    const prun_net *net = fuzz.net;
    int32_t i;
    for (i = 0; i < net->plan.ops; i++) {
        const prun__op *op = &net->plan.op[i];
        const graph_layer *l = &fuzz.g.layer[op->layer];
        const int64_t size = l->c * l->h * l->w;
        int64_t n, k;
        if (op->kind != PRUN__DROPOUT) continue;
        r->mask[op->layer] = net->batch.mask[i];
        for (n = 0; n < r->n; n++)
            for (k = 0; k < size; k++) {
                const int bit = net->batch.mask[i][n / 16 * size + k] >> n % 16 & 1;
                fuzz_dropped[0] += bit - (1 - l->probability);
                fuzz_dropped[1] += l->probability * (1 - l->probability);
                if (l->probability == 0) FUZZ_CHECK(bit == 1);
            }
    }
}

static void fuzz_check_statistics(const graph_reference *r) {
    const float *was = fuzz.kept;
    int64_t t, c;
    int32_t i;
    for (i = 0, t = 0; i < fuzz.g.layers; i++) {
        const graph_layer *l = &fuzz.g.layer[i];
        const double count = (double)(r->n * l->h * l->w);
        const double momentum = l->momentum == 0 ? 0.1 : l->momentum;
        const double epsilon = l->epsilon == 0 ? 1e-5 : l->epsilon;
        for (; t < (l->kind == GRAPH_NORM ? l->tensor + 2 : t); t++)
            was += prun_tensor_size(&fuzz.tensor[t]);
        if (l->kind != GRAPH_NORM) continue;
        for (c = 0; c < l->c; c++) {
            const graph_moments *m = &r->moments[i][c];
            const double unbiased = m->variance * count / (count - 1);
            const double old[2] = {(double)was[c], (double)was[l->c + c]};
            const double got[2] = {(double)fuzz.tensor[t].data[c],
                                   (double)fuzz.tensor[t + 1].data[c]};
            double want[2], e[2];
            want[0] = old[0] + momentum * (m->mean - old[0]);
            want[1] = old[1] + momentum * (unbiased - old[1]);
            e[0] = momentum * m->mean_error + GRAPH_EPSILON * (fabs(want[0]) + fabs(old[0]));
            e[1] = 2 * m->relative_error * (m->variance + epsilon);
            e[1] = momentum * count / (count - 1) * e[1] +
                   GRAPH_EPSILON * (fabs(want[1]) + fabs(old[1]));
            e[0] = graph_square(e[0]);
            e[1] = graph_square(e[1]);
            if (!fuzz_compare_doubles(TALLY_STATISTICS, fuzz.tensor[t].name, got, want, e, 2))
                return;
        }
    }
}

static void fuzz_check_pass(void) {
    const graph *g = &fuzz.g;
    const int64_t classes = g->images.classes;
    graph_reference *r = &fuzz.reference;
    float *logits = fuzz_floats(g->n * classes), *again = fuzz_floats(g->parameters);
    float *gradient = fuzz_floats(g->parameters);
    double sum = -1, total = 0, variance = 0;
    int64_t errors = -1, i;
    prun_pass pass;
    memset(&pass, 0, sizeof pass);
    pass.seed = graph_bits(&fuzz.random);
    pass.stream = (uint64_t)graph_pick(&fuzz.random, 100);
    pass.freeze_statistics = 1;
    if (g->n == 1 && fuzz_normalised()) {
        FUZZ_CHECK(prun_net_train_pass(fuzz.net, &g->images, g->index, 1, &pass,
                                       &(prun_pass_outputs){.gradient = gradient,
                                                            .logits = logits,
                                                            .sum = &sum,
                                                            .wrong = &errors}) ==
                   PRUN_ERR_ARGUMENT);
        FUZZ_CHECK(sum == -1 && errors == -1 && fuzz_unchanged(fuzz.net));
    } else {
        FUZZ_CHECK(prun_net_train_pass(fuzz.net, &g->images, g->index, g->n, &pass,
                                       &(prun_pass_outputs){.gradient = again, .logits = logits}) ==
                   PRUN_OK);
        FUZZ_CHECK(fuzz_unchanged(fuzz.net));
        pass.freeze_statistics = 0;
        FUZZ_CHECK(prun_net_train_pass(fuzz.net, &g->images, g->index, g->n, &pass,
                                       &(prun_pass_outputs){.gradient = gradient,
                                                            .logits = logits,
                                                            .sum = &sum,
                                                            .wrong = &errors}) == PRUN_OK);
        FUZZ_CHECK(fuzz_equal(gradient, again, g->parameters));
        graph_reference_init(r, g, fuzz.net);
        r->training = 1;
        fuzz_find_masks(r);
        graph_run(r);
        if (fuzz_compare(TALLY_BATCH_LOGITS, "", logits, r->y[g->output].v, r->y[g->output].e,
                         g->n * classes))
            fuzz_compare_flat(TALLY_BATCH_GRADIENT, gradient, r->gradient.v, r->gradient.e);
        for (i = 0; i < g->n; i++) {
            total += r->losses[i];
            variance += graph_square(r->loss_errors[i]);
            errors -= fuzz_largest(logits + i * classes, classes) != g->labels[g->index[i]];
        }
        variance = (double)g->n * variance + graph_square(2e-16 * (double)g->n * total);
        fuzz_compare_doubles(TALLY_LOSS, "in training", &sum, &total, &variance, 1);
        FUZZ_CHECK(errors == 0);
        fuzz_check_statistics(r);
        fuzz_copy_tensors(fuzz.net, fuzz.kept, 1);
    }
    free(logits);
    free(again);
    free(gradient);
}

/* ---- checks: training and files ---- */

static char fuzz_folder[64];

static void fuzz_remove_folder(void) {
    char command[160];
    int i;
    for (i = 0; i < 4; i++) {
        snprintf(command, sizeof command, "%s/%d", fuzz_folder, i);
        unlink(command);
    }
    rmdir(fuzz_folder);
}

static const char *fuzz_path(int number) {
    static char paths[4][96];
    if (!fuzz_folder[0]) {
        const char *place = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
        snprintf(fuzz_folder, sizeof fuzz_folder, "%s/fuzz.XXXXXX", place);
        if (mkdtemp(fuzz_folder) == NULL) {
            perror(fuzz_folder);
            exit(2);
        }
        atexit(fuzz_remove_folder);
    }
    snprintf(paths[number], sizeof paths[number], "%s/%d", fuzz_folder, number);
    return paths[number];
}

static int fuzz_same_files(const char *a, const char *b) {
    FILE *file[2];
    int x = 0, y = 0;
    file[0] = fopen(a, "rb");
    file[1] = fopen(b, "rb");
    while (file[0] && file[1] && x == y && x != EOF) {
        x = getc(file[0]);
        y = getc(file[1]);
    }
    if (file[0]) fclose(file[0]);
    if (file[1]) fclose(file[1]);
    return file[0] && file[1] && x == y;
}

static prun_net *fuzz_copy(int fold) {
    prun_net *copy = NULL;
    FUZZ_CHECK(prun_net_copy(fuzz.net, fold, &copy) == PRUN_OK);
    return copy;
}

/* A net of the same layers with other parameters. */
static prun_net *fuzz_other(void) {
    prun_net *other = NULL;
    FUZZ_CHECK(graph_build(&fuzz.g, &fuzz.context, &other) == PRUN_OK);
    if (other != NULL) prun_net_set_algorithm(other, fuzz.g.algorithm);
    return other;
}

static prun_train_options fuzz_train_options(void) {
    graph_random *r = &fuzz.random;
    prun_train_options o;
    memset(&o, 0, sizeof o);
    o.batch = graph_between(r, 1, fuzz.g.images.count);
    o.epochs = 3;
    o.learning_rate = graph_pick(r, 2) ? 0.001 : 0.01;
    o.momentum = graph_pick(r, 2) ? 0 : 0.9;
    o.weight_decay = graph_pick(r, 2) ? 0.01 : 0;
    o.decay = (prun_decay)graph_pick(r, 2);
    o.schedule = (prun_schedule)graph_pick(r, 3);
    o.seed = graph_bits(r);
    o.augment.flip = (int32_t)graph_pick(r, 2);
    if (graph_rarely(r, 3)) o.augment.crop_padding = 1;
    return o;
}

/* One step by hand: w - rate (g / n + decay w), with the library's own gradient. */
static void fuzz_check_step(const prun_train_options *options) {
    const graph *g = &fuzz.g;
    prun_train_options o = *options;
    prun_net *net = fuzz_copy(0);
    prun_trainer *trainer = NULL;
    prun_pass pass;
    float *gradient = fuzz_floats(g->parameters), *got = fuzz_floats(g->parameters);
    double *want = fuzz_doubles(g->parameters), *variance = fuzz_doubles(g->parameters);
    int64_t t, at = 0, i;
    memset(&pass, 0, sizeof pass);
    memset(&o.augment, 0, sizeof o.augment);
    pass.seed = o.seed;
    FUZZ_CHECK(prun_trainer_create(net, &g->images, &o, &trainer) == PRUN_OK);
    if (trainer != NULL &&
        FUZZ_CHECK(prun_trainer_step(trainer, g->index, g->n, 0.01, NULL, NULL) == PRUN_OK) &&
        FUZZ_CHECK(prun_net_train_pass(fuzz.net, &g->images, g->index, g->n, &pass,
                                       &(prun_pass_outputs){.gradient = gradient}) == PRUN_OK)) {
        int64_t count;
        const prun_tensor *after = prun_net_tensors(net, &count);
        fuzz_copy_tensors(fuzz.net, fuzz.kept, 1);
        for (t = 0; t < count; t++) {
            const int weight = (after[t].flags & PRUN_TENSOR_WEIGHT) != 0;
            const double decay = weight || o.decay == PRUN_DECAY_ALL ? o.weight_decay : 0;
            if (after[t].flags & PRUN_TENSOR_STATISTIC) continue;
            for (i = 0; i < prun_tensor_size(&after[t]); i++, at++) {
                const double w = (double)fuzz.tensor[t].data[i];
                const double d = (double)gradient[at] / (double)g->n;
                got[at] = after[t].data[i];
                want[at] = w - 0.01 * (d + decay * w);
                variance[at] = fabs(w) + 0.04 * (fabs(d) + fabs(decay * w));
                variance[at] = graph_square(GRAPH_EPSILON * variance[at] / 4 + GRAPH_TINY);
            }
        }
        fuzz_compare_flat(TALLY_STEP, got, want, variance);
    }
    prun_trainer_free(trainer);
    prun_net_free(net);
    free(gradient);
    free(got);
    free(want);
    free(variance);
}

/* Two trainers, the second one loaded from a file of the first after an epoch, must give the same
   results. */
static void fuzz_check_training(void) {
    const graph *g = &fuzz.g;
    const prun_train_options o = fuzz_train_options();
    const int64_t last = g->images.count % o.batch ? g->images.count % o.batch : o.batch;
    prun_net *net[2];
    prun_trainer *trainer[2] = {NULL, NULL};
    prun_safetensors *file = NULL;
    prun_epoch e[2];
    const int refused = last == 1 && fuzz_normalised();
    prun_status status;
    net[0] = fuzz_copy(0);
    net[1] = fuzz_other();
    status = prun_trainer_create(net[0], &g->images, &o, &trainer[0]);
    FUZZ_CHECK(status == (refused ? PRUN_ERR_ARGUMENT : PRUN_OK));
    if (status == PRUN_OK &&
        FUZZ_CHECK(prun_trainer_create(net[1], &g->images, &o, &trainer[1]) == PRUN_OK)) {
        if (!(g->n == 1 && fuzz_normalised())) fuzz_check_step(&o);
        status = prun_trainer_run_epoch(trainer[0], &e[0]);
        FUZZ_CHECK(status == PRUN_OK || status == PRUN_ERR_NONFINITE);
        if (status == PRUN_OK &&
            FUZZ_CHECK(prun_trainer_save_safetensors(trainer[0], fuzz_path(0)) == PRUN_OK) &&
            FUZZ_CHECK(prun_safetensors_open(&fuzz.context, fuzz_path(0), &file) == PRUN_OK)) {
            FUZZ_CHECK(prun_trainer_read_safetensors(trainer[1], file) == PRUN_OK);
            prun_safetensors_close(file);
            FUZZ_CHECK(prun_trainer_epoch_count(trainer[1]) == 1);
            status = prun_trainer_run_epoch(trainer[0], &e[0]);
            FUZZ_CHECK(prun_trainer_run_epoch(trainer[1], &e[1]) == status);
            if (status == PRUN_OK) {
                FUZZ_CHECK(e[0].loss == e[1].loss && e[0].steps == e[1].steps);
                FUZZ_CHECK(prun_trainer_save_safetensors(trainer[0], fuzz_path(0)) == PRUN_OK);
                FUZZ_CHECK(prun_trainer_save_safetensors(trainer[1], fuzz_path(1)) == PRUN_OK);
                FUZZ_CHECK(fuzz_same_files(fuzz_path(0), fuzz_path(1)));
            }
        }
    }
    prun_trainer_free(trainer[0]);
    prun_trainer_free(trainer[1]);
    prun_net_free(net[0]);
    prun_net_free(net[1]);
}

/* Same bits in logits and gradient. */
static int fuzz_same_net(prun_net *other) {
    const graph *g = &fuzz.g;
    float *a = fuzz_floats(g->n * g->images.classes + g->parameters);
    float *b = fuzz_floats(g->n * g->images.classes + g->parameters);
    const int64_t rest = g->n * g->images.classes;
    int same;
    FUZZ_CHECK(prun_net_logits(fuzz.net, &g->images, g->index, g->n, a) == PRUN_OK);
    FUZZ_CHECK(prun_net_logits(other, &g->images, g->index, g->n, b) == PRUN_OK);
    FUZZ_CHECK(prun_net_gradient(fuzz.net, &g->images, g->index, g->n, a + rest, NULL, NULL) ==
               PRUN_OK);
    FUZZ_CHECK(prun_net_gradient(other, &g->images, g->index, g->n, b + rest, NULL, NULL) ==
               PRUN_OK);
    same = fuzz_equal(a, b, rest + g->parameters);
    free(a);
    free(b);
    return same;
}

static void fuzz_check_files(void) {
    prun_net *other = fuzz_other();
    prun_safetensors *file = NULL;
    if (FUZZ_CHECK(prun_net_save_safetensors(fuzz.net, fuzz_path(2)) == PRUN_OK) &&
        FUZZ_CHECK(prun_safetensors_open(&fuzz.context, fuzz_path(2), &file) == PRUN_OK)) {
        FUZZ_CHECK(prun_safetensors_entry_count(file) == fuzz.tensors);
        FUZZ_CHECK(prun_net_read_safetensors(other, file, "module.") == PRUN_ERR_MISSING);
        FUZZ_CHECK(prun_net_read_safetensors(other, file, NULL) == PRUN_OK);
        prun_safetensors_close(file);
        FUZZ_CHECK(fuzz_unchanged(other));
        FUZZ_CHECK(fuzz_same_net(other));
    }
    prun_net_free(other);
}

static void fuzz_check_copies(void) {
    const graph *g = &fuzz.g;
    graph_reference *r = &fuzz.reference;
    prun_net *plain = fuzz_copy(0), *folded = fuzz_copy(1);
    float *logits = fuzz_floats(g->n * g->images.classes);
    FUZZ_CHECK(fuzz_unchanged(plain));
    FUZZ_CHECK(fuzz_same_net(plain));
    FUZZ_CHECK(prun_net_class_count(plain) == g->images.classes);
    FUZZ_CHECK(prun_net_weight_count(plain) == prun_net_weight_count(folded));
    FUZZ_CHECK(prun_net_logits(folded, &g->images, g->index, g->n, logits) == PRUN_OK);
    graph_reference_init(r, g, fuzz.net);
    graph_run_forward(r);
    fuzz_compare(TALLY_FOLDED, "", logits, r->y[g->output].v, r->y[g->output].e,
                 g->n * g->images.classes);
    prun_net_free(plain);
    prun_net_free(folded);
    FUZZ_CHECK(fuzz_unchanged(fuzz.net));
    free(logits);
}

/* ---- checks: pruning and noise ---- */

/* A prunable weight. Order: larger ones first, ties by index. */
typedef struct fuzz_weight {
    float *place, size;
    int64_t number;
} fuzz_weight;

static int fuzz_order(const void *pa, const void *pb) {
    const fuzz_weight *a = (const fuzz_weight *)pa, *b = (const fuzz_weight *)pb;
    if (a->size != b->size) return a->size > b->size ? -1 : 1;
    return a->number < b->number ? -1 : 1;
}

/* Removes the weights that grid point i does not keep, from the definition. Returns the number of
   kept weights. */
static int64_t fuzz_prune(const prun_prune_options *o, int64_t i) {
    fuzz_weight *w = (fuzz_weight *)fuzz_array(fuzz.g.parameters, sizeof *w);
    int64_t t, k, n = 0, kept = 0;
    for (t = 0; t < fuzz.tensors; t++) {
        const prun_tensor *tensor = &fuzz.tensor[t];
        const int wanted = (tensor->flags & PRUN_TENSOR_WEIGHT) ||
                           (o->include_biases && (tensor->flags & PRUN_TENSOR_BIAS)) ||
                           (o->include_norms && (tensor->flags & PRUN_TENSOR_NORM));
        for (k = 0; wanted && k < prun_tensor_size(tensor); k++, n++) {
            w[n].place = &tensor->data[k];
            w[n].size = fabsf(tensor->data[k]);
            w[n].number = n;
        }
        if (o->scope == PRUN_PRUNE_GLOBAL && t + 1 < fuzz.tensors) continue;
        qsort(w, (size_t)n, sizeof *w, fuzz_order);
        for (k = prun_kept_count(i, o->grid, n); k < n; k++) *w[k].place = 0;
        kept += prun_kept_count(i, o->grid, n);
        n = 0;
    }
    free(w);
    return kept;
}

static prun_prune_options fuzz_prune_options(void) {
    graph_random *r = &fuzz.random;
    prun_prune_options o;
    int b;
    memset(&o, 0, sizeof o);
    o.method = graph_rarely(r, 3) ? PRUN_PRUNE_RANDOM : PRUN_PRUNE_MAGNITUDE;
    o.scope = (prun_prune_scope)graph_pick(r, 2);
    o.include_biases = (int32_t)graph_pick(r, 2);
    o.include_norms = (int32_t)graph_pick(r, 2);
    o.grid = graph_between(r, 1, 12);
    o.beta_count = (int32_t)graph_between(r, 1, 3);
    for (b = 0; b < o.beta_count; b++) o.beta[b] = pow(10, 4 * graph_uniform(r) - 3);
    o.repetitions = graph_between(r, 1, 3);
    o.seed = graph_bits(r);
    return o;
}

static prun_objective fuzz_objective(prun_net *net) {
    prun_objective objective;
    memset(&objective, 0, sizeof objective);
    FUZZ_CHECK(prun_net_objective(net, &fuzz.g.images, &objective) == PRUN_OK);
    return objective;
}

/* The mean loss at grid point i, by brute force; with random pruning, of a copy that the library
   pruned. */
static double fuzz_pruned_loss(const prun_prune_options *o, int64_t i, int64_t *kept) {
    const int64_t count = fuzz.g.images.count;
    prun_net *net = fuzz.net;
    double sum = -1;
    if (o->method == PRUN_PRUNE_MAGNITUDE) *kept = fuzz_prune(o, i);
    else {
        prun_objective objective;
        net = fuzz_copy(0);
        objective = fuzz_objective(net);
        FUZZ_CHECK(prun_prune(&objective, (double)i / (double)o->grid, o, kept) == PRUN_OK);
    }
    FUZZ_CHECK(prun_net_loss(net, &fuzz.g.images, NULL, count, NULL, &sum, NULL) == PRUN_OK);
    if (net == fuzz.net) fuzz_copy_tensors(net, fuzz.kept, 1);
    else prun_net_free(net);
    return sum / (double)count;
}

static void fuzz_check_search(void) {
    prun_prune_options o = fuzz_prune_options();
    const prun_objective objective = fuzz_objective(fuzz.net);
    prun_prunability found;
    double losses[16], errors[16];
    int64_t i, kept = -1;
    int32_t b;
    memset(&found, 0, sizeof found);
    FUZZ_CHECK(prun_prunability_search(&objective, &o, &found) == PRUN_OK);
    FUZZ_CHECK(fuzz_unchanged(fuzz.net));
    FUZZ_CHECK(prun_loss_curve(&objective, &o, losses, errors) == PRUN_OK);
    FUZZ_CHECK(fuzz_unchanged(fuzz.net));
    FUZZ_CHECK(found.answer_count == o.beta_count);
    FUZZ_CHECK(fabs(found.base_loss - losses[o.grid]) <= 1e-15 * found.base_loss);
    for (b = 0; b < o.beta_count; b++) {
        const prun_prunability_answer *a = &found.answer[b];
        for (i = 0; i < o.grid && !(losses[i] <= a->threshold); i++) {
        }
        FUZZ_CHECK(fabs(a->threshold - (1 + o.beta[b]) * found.base_loss) <= 1e-15 * a->threshold);
        /* a mean over repetitions is rounded even if all values are equal */
        if (!FUZZ_CHECK(a->kept_fraction == (double)i / (double)o.grid) ||
            !FUZZ_CHECK(a->loss == losses[i] ||
                        (i == o.grid && fabs(a->loss - losses[i]) <= 1e-15 * losses[i])))
            fuzz_fail("kept %g loss %.17g, brute force %g loss %.17g, threshold %.17g",
                      a->kept_fraction, a->loss, (double)i / (double)o.grid, losses[i],
                      a->threshold);
        if (o.method == PRUN_PRUNE_RANDOM && o.repetitions > 1) continue;
        fuzz_pruned_loss(&o, i, &kept);
        FUZZ_CHECK(a->kept == kept);
    }
    if (o.method == PRUN_PRUNE_RANDOM && o.repetitions > 1) return;
    i = graph_pick(&fuzz.random, o.grid + 1);
    FUZZ_CHECK(fuzz_pruned_loss(&o, i, &kept) == losses[i]);
}

static void fuzz_check_prune(void) {
    prun_prune_options o = fuzz_prune_options();
    const int64_t i = graph_pick(&fuzz.random, o.grid + 1);
    prun_net *copy = fuzz_copy(0);
    const prun_objective objective = fuzz_objective(copy);
    float *want = fuzz_floats(fuzz.kept_count), *got = fuzz_floats(fuzz.kept_count);
    int64_t kept = -1, k, gone = 0;
    const int64_t expected = fuzz_prune(&o, i);
    fuzz_copy_tensors(fuzz.net, want, 0);
    fuzz_copy_tensors(fuzz.net, fuzz.kept, 1);
    FUZZ_CHECK(prun_prune(&objective, (double)i / (double)o.grid, &o, &kept) == PRUN_OK);
    fuzz_copy_tensors(copy, got, 0);
    FUZZ_CHECK(kept == expected);
    for (k = 0; k < fuzz.kept_count; k++) {
        gone += got[k] == 0;
        if (o.method == PRUN_PRUNE_MAGNITUDE && !FUZZ_CHECK(got[k] == want[k])) break;
        if (!FUZZ_CHECK(got[k] == 0 || got[k] == fuzz.kept[k])) break;
    }
    prun_net_free(copy);
    free(want);
    free(got);
}

static prun_perturb_options fuzz_perturb_options(void) {
    graph_random *r = &fuzz.random;
    prun_perturb_options o;
    memset(&o, 0, sizeof o);
    o.noise = (prun_noise)graph_pick(r, 5);
    o.draws = graph_between(r, 1, 3);
    o.seed = graph_bits(r);
    o.include_biases = (int32_t)graph_pick(r, 2);
    o.include_norms = (int32_t)graph_pick(r, 2);
    if (graph_rarely(r, 3)) o.fraction = graph_uniform(r);
    if (graph_rarely(r, 4)) {
        o.match_norm = (int32_t)graph_pick(r, 2);
        o.norm = o.match_norm ? 0 : 1;
    }
    o.precision = 0.1;
    return o;
}

/* The radius is tolerated, the next larger one is not, and the curve is the mean over single
   draws. */
static void fuzz_check_radius(void) {
    prun_perturb_options o = fuzz_perturb_options();
    const prun_objective objective = fuzz_objective(fuzz.net);
    prun_radius found;
    double radii[2], losses[2], sum, mean = 0;
    int64_t d;
    memset(&found, 0, sizeof found);
    if (o.noise == PRUN_NOISE_SIGN_FLIP) o.norm = o.match_norm = 0;
    if (!FUZZ_CHECK(prun_perturbation_radius(&objective, &o, &found) == PRUN_OK)) return;
    FUZZ_CHECK(fuzz_unchanged(fuzz.net));
    radii[0] = found.radius;
    radii[1] = found.infeasible < INFINITY ? found.infeasible : found.radius;
    FUZZ_CHECK(prun_perturbation_curve(&objective, radii, 2, &o, losses, NULL, NULL) == PRUN_OK);
    FUZZ_CHECK(fuzz_unchanged(fuzz.net));
    FUZZ_CHECK(fabs(found.threshold - 1.1 * found.base) <= 1e-15 * found.threshold);
    if (found.state != PRUN_RADIUS_NONE) {
        FUZZ_CHECK(losses[0] <= found.threshold && losses[0] == found.reached);
        FUZZ_CHECK(found.radius > 0 && found.flatness == 1 / (found.radius * found.radius));
    }
    if (found.infeasible < INFINITY) FUZZ_CHECK(!(losses[1] <= found.threshold));
    if (found.state == PRUN_RADIUS_FOUND)
        FUZZ_CHECK(found.infeasible > found.radius &&
                   found.infeasible <= (1 + 1e-12) * 1.1 * found.radius);
    for (d = 0; d < o.draws; d++) {
        FUZZ_CHECK(prun_perturb(&objective, radii[0], d, &o) == PRUN_OK);
        FUZZ_CHECK(prun_net_loss(fuzz.net, &fuzz.g.images, NULL, fuzz.g.images.count, NULL, &sum,
                                 NULL) == PRUN_OK);
        mean += sum / (double)fuzz.g.images.count / (double)o.draws;
        fuzz_copy_tensors(fuzz.net, fuzz.kept, 1);
    }
    FUZZ_CHECK(fabs(mean - losses[0]) <= 1e-12 * fabs(mean) || !(fabs(mean) < INFINITY));
}

/* ---- checks: margins and curvature ---- */

/* Which layers lead to the output. */
static void fuzz_leading(unsigned char *leads) {
    const graph *g = &fuzz.g;
    int32_t i;
    memset(leads, 0, GRAPH_LAYERS + 1);
    leads[g->output] = 1;
    for (i = g->layers; i > 0; i--) {
        if (!leads[i]) continue;
        leads[g->layer[i - 1].in[0]] = 1;
        if (g->layer[i - 1].kind == GRAPH_ADD) leads[g->layer[i - 1].in[1]] = 1;
    }
}

/* The reference's margin at the layer that reads `value`, and its variance. Returns 0 if the best
   other class, or a decision on the way, depends on rounding. */
static int fuzz_margin(graph_reference *r, int32_t value, int64_t n, double *margin,
                       double *variance) {
    const int64_t classes = fuzz.g.images.classes, size = graph_count(r, value) / r->n;
    const graph_array *z = &r->y[fuzz.g.output], *d = &r->d[value];
    const int32_t label = fuzz.g.labels[r->index[n]];
    double squares = 1e-6, off = 0, difference;
    int64_t j, other = -1;
    for (j = 0; j < classes; j++)
        if (j != label && (other < 0 || z->v[n * classes + j] > z->v[n * classes + other]))
            other = j;
    for (j = 0; j < classes; j++) {
        const double e = z->e[n * classes + j] + z->e[n * classes + other];
        if (j != label && j != other && e > 0 &&
            z->v[n * classes + other] - z->v[n * classes + j] <= GRAPH_SIGMAS * sqrt(2 * e))
            return 0;
    }
    difference = z->v[n * classes + label] - z->v[n * classes + other];
    for (j = n * size; j < (n + 1) * size; j++) {
        squares += d->v[j] * d->v[j];
        off += 2 * fabs(d->v[j]) * sqrt(d->e[j]) + d->e[j];
    }
    *margin = difference / sqrt(squares);
    *variance =
        graph_square(sqrt(z->e[n * classes + label] + z->e[n * classes + other]) / sqrt(squares) +
                     fabs(*margin) * (off / squares / 2 + 1e-15));
    return r->kink[n] == 0;
}

/* Gradient of f_label - f_best, by the reference's reverse mode. */
static void fuzz_margin_reference(graph_reference *r) {
    const int64_t classes = fuzz.g.images.classes;
    const graph_array *z, *d;
    int64_t n, j;
    int32_t v;
    graph_reference_init(r, &fuzz.g, fuzz.net);
    graph_run_forward(r);
    for (v = 0; v <= fuzz.g.layers; v++) r->d[v] = graph_array_new(graph_count(r, v));
    r->gradient = graph_array_new(fuzz.g.parameters);
    z = &r->y[fuzz.g.output];
    d = &r->d[fuzz.g.output];
    for (n = 0; n < r->n; n++) {
        const int32_t label = fuzz.g.labels[r->index[n]];
        int64_t other = -1;
        for (j = 0; j < classes; j++)
            if (j != label && (other < 0 || z->v[n * classes + j] > z->v[n * classes + other]))
                other = j;
        d->v[n * classes + label] = 1;
        d->v[n * classes + other] = -1;
    }
    for (v = fuzz.g.layers - 1; v >= 0; v--) graph_layer_backward(r, v);
}

/* Whether layers other than convolutions read the value: margins there are rejected. */
static int fuzz_images_elsewhere(int32_t value) {
    const graph *g = &fuzz.g;
    int32_t i;
    for (i = 0; i < g->layers; i++) {
        const graph_layer *l = &g->layer[i];
        if (l->in[0] != value && l->in[1] != value) continue;
        if (l->kind == GRAPH_FLATTEN ? fuzz_images_elsewhere(i + 1)
                                     : l->kind != GRAPH_CONV && l->kind != GRAPH_LINEAR)
            return 1;
    }
    return 0;
}

/* Root of the total variance of a value over the samples. */
static void fuzz_check_spread(const graph_reference *r, int32_t value, double got) {
    const int64_t size = graph_count(r, value) / r->n;
    double total = 0, off = 0, squares = 0;
    int64_t i, n;
    for (i = 0; i < size; i++) {
        double mean = 0;
        for (n = 0; n < r->n; n++) mean += r->y[value].v[n * size + i] / (double)r->n;
        for (n = 0; n < r->n; n++) {
            const double x = r->y[value].v[n * size + i], e = r->y[value].e[n * size + i];
            total += graph_square(x - mean) / (double)r->n;
            off += (2 * fabs(x - mean) * sqrt(e) + e) / (double)r->n;
            squares += x * x / (double)r->n;
        }
    }
    off = GRAPH_SIGMAS * off + 1e-14 * squares;
    FUZZ_CHECK(fabs(got * got - total) <= 4 * off);
}

static void fuzz_check_margins(void) {
    const graph *g = &fuzz.g;
    graph_reference *r = &fuzz.reference;
    unsigned char leads[GRAPH_LAYERS + 1];
    int32_t layers[GRAPH_LAYERS], from[GRAPH_LAYERS], count = 0, i;
    double *margins = fuzz_doubles(GRAPH_LAYERS * g->n), spread[GRAPH_LAYERS];
    double want[GRAPH_IMAGES], variance[GRAPH_IMAGES];
    const int refused = fuzz_images_elsewhere(0);
    int64_t n, known;
    fuzz_leading(leads);
    for (i = 0; i < g->layers; i++) {
        const graph_layer *l = &g->layer[i];
        int32_t value = l->in[0];
        if ((l->kind != GRAPH_CONV && l->kind != GRAPH_LINEAR) || !leads[i + 1]) continue;
        while (value > 0 && g->layer[value - 1].kind == GRAPH_FLATTEN)
            value = g->layer[value - 1].in[0];
        if (value == 0 && refused) continue;
        layers[count] = l->tensor;
        from[count++] = value;
    }
    fuzz_margin_reference(r);
    if (count > 0 &&
        FUZZ_CHECK(prun_net_hidden_margins(fuzz.net, &g->images, g->index, g->n, layers, count,
                                           &(prun_margin_outputs){margins, spread}) == PRUN_OK))
        for (i = 0; i < count && !fuzz.failed; i++) {
            fuzz_check_spread(r, from[i], spread[i]);
            for (n = 0, known = 0; n < g->n; n++) {
                fuzz_samples++;
                if (!fuzz_margin(r, from[i], n, &want[known], &variance[known])) fuzz_skipped++;
                else margins[i * g->n + known++] = margins[i * g->n + n];
            }
            fuzz_compare_doubles(TALLY_MARGINS, "", margins + i * g->n, want, variance, known);
        }
    free(margins);
}

/* The layers that prun_net_margin_layers returns can be used, even if other layers lead nowhere. */
static void fuzz_check_named(void) {
    const graph *g = &fuzz.g;
    int32_t named[4];
    double *margins = fuzz_doubles(4 * g->n), spread[4];
    prun_status status;
    prun_net_margin_layers(fuzz.net, named);
    status = prun_net_hidden_margins(fuzz.net, &g->images, g->index, g->n, named, 4,
                                     &(prun_margin_outputs){margins, spread});
    FUZZ_CHECK(status == PRUN_OK || (fuzz_images_elsewhere(0) && status == PRUN_ERR_UNSUPPORTED));
    free(margins);
}

/* Eigenvalues of a symmetric matrix in descending order, by Jacobi rotations. */
static void fuzz_jacobi(double *a, int64_t n, double *values) {
    int64_t p, q, k, sweep;
    for (sweep = 0; sweep < 60; sweep++)
        for (p = 0; p < n; p++)
            for (q = p + 1; q < n; q++) {
                double theta, t, c, s;
                if (a[p * n + q] == 0) continue;
                theta = (a[q * n + q] - a[p * n + p]) / (2 * a[p * n + q]);
                t = (theta >= 0 ? 1 : -1) / (fabs(theta) + sqrt(theta * theta + 1));
                c = 1 / sqrt(t * t + 1);
                s = t * c;
                for (k = 0; k < n; k++) {
                    const double x = a[k * n + p], y = a[k * n + q];
                    a[k * n + p] = c * x - s * y;
                    a[k * n + q] = s * x + c * y;
                }
                for (k = 0; k < n; k++) {
                    const double x = a[p * n + k], y = a[q * n + k];
                    a[p * n + k] = c * x - s * y;
                    a[q * n + k] = s * x + c * y;
                }
                a[p * n + q] = a[q * n + p] = 0;
            }
    for (p = 0; p < n; p++) {
        for (k = p; k > 0 && values[k - 1] < a[p * n + p]; k--) values[k] = values[k - 1];
        values[k] = a[p * n + p];
    }
}

/* Eigenvalues of the mean loss's Hessian against those of the reference's Hessian, which is built
   from products with unit vectors. */
static void fuzz_check_lanczos(void) {
    const graph *g = &fuzz.g;
    const int64_t k = g->parameters;
    double *matrix, *values, got[6], want[6], variance[6], total = 0;
    int64_t index[GRAPH_IMAGES], n, i, j, count = k < 3 ? k : 3;
    float *unit;
    const prun_objective objective = fuzz_objective(fuzz.net);
    prun_hessian_options o;
    if (!fuzz.tiny || k > 40) return;
    unit = fuzz_floats(k);
    n = fuzz_reference(unit, 1, index);
    matrix = fuzz_doubles(k * k);
    values = fuzz_doubles(k);
    memset(&o, 0, sizeof o);
    o.scope = PRUN_HESSIAN_ALL;
    o.steps = k;
    o.index = index;
    o.samples = n;
    for (i = 0; n > 0 && i < k; i++) {
        graph_reference *r = &fuzz.reference;
        unit[i] = 1;
        graph_reference_init(r, g, fuzz.net);
        r->direction = unit;
        r->index = index;
        r->n = n;
        graph_run(r);
        for (j = 0; j < k; j++) {
            matrix[i * k + j] = r->gradient.t[j] / (double)n;
            total += r->gradient.te[j] / (double)(n * n);
        }
        unit[i] = 0;
    }
    if (n > 0) {
        fuzz_jacobi(matrix, k, values);
        FUZZ_CHECK(prun_hessian_eigenpairs(&objective, count, &o, got, NULL, NULL) == PRUN_OK);
        o.smallest = 1;
        FUZZ_CHECK(prun_hessian_eigenpairs(&objective, count, &o, got + count, NULL, NULL) ==
                   PRUN_OK);
        for (i = 0; i < count; i++) {
            want[i] = values[i];
            want[count + i] = values[k - 1 - i];
        }
        /* vectors of the iteration are floats */
        total += graph_square(GRAPH_EPSILON * fmax(fabs(values[0]), fabs(values[k - 1])));
        for (i = 0; i < 2 * count; i++) variance[i] = total;
        fuzz_compare_doubles(TALLY_EIGENVALUES, "", got, want, variance, 2 * count);
        FUZZ_CHECK(fuzz_unchanged(fuzz.net));
    }
    free(matrix);
    free(values);
    free(unit);
}

/* ---- checks: threads ---- */

static void fuzz_backwards(void *user, void (*body)(void *argument, int64_t i), void *argument,
                           int64_t count) {
    int64_t i;
    (void)user;
    for (i = count - 1; i >= 0; i--) body(argument, i);
}

/* All results, concatenated. */
static void fuzz_compute(const float *v, float *out) {
    const graph *g = &fuzz.g;
    prun_pass pass;
    const int trains = !(g->n == 1 && fuzz_normalised());
    memset(&pass, 0, sizeof pass);
    pass.seed = 3;
    FUZZ_CHECK(prun_net_logits(fuzz.net, &g->images, g->index, g->n, out) == PRUN_OK);
    out += g->n * g->images.classes;
    FUZZ_CHECK(prun_net_gradient(fuzz.net, &g->images, g->index, g->n, out, NULL, NULL) == PRUN_OK);
    out += g->parameters;
    FUZZ_CHECK(prun_net_hessian_vector(fuzz.net, &g->images, g->index, g->n, v, out) == PRUN_OK);
    out += g->parameters;
    if (trains)
        FUZZ_CHECK(prun_net_train_pass(fuzz.net, &g->images, g->index, g->n, &pass,
                                       &(prun_pass_outputs){.gradient = out}) == PRUN_OK);
    out += g->parameters;
    fuzz_copy_tensors(fuzz.net, out, 0);
    fuzz_copy_tensors(fuzz.net, fuzz.kept, 1);
}

static void fuzz_check_threads(void) {
    const int64_t count =
        fuzz.g.n * fuzz.g.images.classes + 3 * fuzz.g.parameters + fuzz.kept_count;
    float *v = fuzz_direction(), *one = fuzz_floats(count), *other = fuzz_floats(count);
    /* starting and ending OpenMP threads a thousand times would take most of the time */
    const int64_t which = graph_pick(&fuzz.random, 2) + (graph_rarely(&fuzz.random, 16) ? 2 : 0);
    fuzz_compute(v, one);
    if (which < 2) {
        fuzz.context.parallel_for = fuzz_backwards;
        fuzz.context.threads = (int32_t)(2 + which);
    } else {
        fuzz.context.threads = (int32_t)which;
    }
    fuzz_compute(v, other);
    fuzz.context.parallel_for = NULL;
    fuzz.context.threads = 1;
    FUZZ_CHECK(fuzz_equal(one, other, count));
    free(v);
    free(one);
    free(other);
}

/* ---- checks: one convolution ---- */

/* Values that are often exactly zero, in whole regions. */
static void fuzz_draw_values(int64_t planes, int64_t h, int64_t w, int dark, float *x) {
    int64_t i;
    for (i = 0; i < planes * h * w; i++) x[i] = (float)graph_normal(&fuzz.random);
    for (i = 0; dark && i < planes; i++)
        if (graph_pick(&fuzz.random, 4)) graph_blacken(&fuzz.random, h, w, x + i * h * w);
}

static void fuzz_widen(const float *x, int64_t count, double *y) {
    int64_t i;
    for (i = 0; i < count; i++) y[i] = (double)x[i];
}

/* A single convolution: a graph that contains it, and its data as floats. */
typedef struct fuzz_conv {
    graph g;
    int64_t n, in, out, taps;
    float *x, *d, *w, *lanes, *other; /* rows; two arrays in the lane layout */
    float *result;                    /* rows, the result of any of the three passes */
} fuzz_conv;

static int64_t fuzz_lanes(const fuzz_conv *c, int64_t floats) {
    return floats / c->n * (c->n + 15);
}

/* Draws a convolution. Returns 0 if none fits. */
static int fuzz_draw_conv(fuzz_conv *c) {
    graph_random *r = &fuzz.random;
    graph_layer *l = &c->g.layer[0];
    prun_tensor t[2];
    c->g.layers = 0;
    c->g.work = 0;
    c->g.images.channels = graph_between(r, 1, graph_rarely(r, 4) ? 20 : 5);
    c->g.images.height = graph_between(r, 1, GRAPH_SIDE);
    c->g.images.width = graph_between(r, 1, GRAPH_SIDE);
    if (!graph_add_conv(&c->g, r, 0, graph_between(r, 1, graph_rarely(r, 4) ? 20 : 5))) return 0;
    c->g.algorithm = (prun_algorithm)graph_pick(r, 3);
    l->conv.algorithm = c->g.algorithm;
    c->n = 1 + 300000 / c->g.work;
    c->n = graph_between(r, 1, c->n < 20 ? c->n : 20);
    c->in = c->n * l->conv.in_channels * l->conv.in_height * l->conv.in_width;
    c->out = c->n * l->c * l->h * l->w;
    c->taps = l->c * l->conv.in_channels * l->conv.kernel[0] * l->conv.kernel[1];
    c->x = fuzz_floats(c->in);
    c->d = fuzz_floats(c->out);
    c->w = fuzz_floats(c->taps + l->c);
    c->lanes = fuzz_floats(fuzz_lanes(c, c->in));
    c->other = fuzz_floats(fuzz_lanes(c, c->out));
    c->result = fuzz_floats(c->in + c->out + c->taps);
    memset(t, 0, sizeof t);
    t[0].data = c->w;
    t[0].rank = 4;
    t[0].shape[0] = l->c;
    t[0].shape[1] = l->conv.in_channels;
    t[0].shape[2] = l->conv.kernel[0];
    t[0].shape[3] = l->conv.kernel[1];
    t[1].data = c->w + c->taps;
    l->bias = 1;
    graph_draw_kernel(r, l, t);
    fuzz_draw_values(c->n * l->conv.in_channels, l->conv.in_height, l->conv.in_width,
                     graph_rarely(r, 2), c->x);
    fuzz_draw_values(c->n * l->c, l->h, l->w, graph_rarely(r, 2), c->d);
    return 1;
}

static void fuzz_free_conv(fuzz_conv *c) {
    free(c->x);
    free(c->d);
    free(c->w);
    free(c->lanes);
    free(c->other);
    free(c->result);
}

/* The functions for single convolutions; where all products are zero, the result is exactly the
   bias or zero. */
static void fuzz_check_conv(void) {
    static fuzz_conv c;
    graph_reference *r = &fuzz.reference;
    const graph_layer *l = &c.g.layer[0];
    const prun_conv2d *s = &l->conv;
    graph_array x, y, d, dx;
    char what[100];
    if (!fuzz_draw_conv(&c)) return;
    graph_reference_init(r, &c.g, fuzz.net);
    r->n = c.n;
    r->w = graph_zeros(c.taps + l->c);
    r->dw = graph_zeros(c.taps + l->c);
    r->gradient = graph_array_new(c.taps + l->c);
    x = graph_array_new(c.in);
    y = graph_array_new(c.out);
    d = graph_array_new(c.out);
    dx = graph_array_new(c.in);
    fuzz_widen(c.w, c.taps + l->c, r->w);
    fuzz_widen(c.x, c.in, x.v);
    fuzz_widen(c.d, c.out, d.v);
    graph_conv_forward(r, l, &x, &y);
    graph_conv_backward(r, l, &x, &d, &dx);
    snprintf(what, sizeof what, "(n %d, %dx%dx%d, %d of %dx%d/%dx%d, padding %d %d %d %d, %d)",
             (int)c.n, (int)s->in_channels, (int)s->in_height, (int)s->in_width, (int)l->c,
             (int)s->kernel[0], (int)s->kernel[1], (int)s->stride[0], (int)s->stride[1],
             (int)s->padding[0], (int)s->padding[1], (int)s->padding[2], (int)s->padding[3],
             (int)s->algorithm);
    prun_lanes_pack(c.x, c.n, s->in_channels, s->in_height, s->in_width, c.lanes);
    FUZZ_CHECK(prun_conv2d_forward(&fuzz.context, s, c.n, c.lanes, c.w, c.w + c.taps, c.other) ==
               PRUN_OK);
    prun_lanes_unpack(c.other, c.n, l->c, l->h, l->w, c.result);
    fuzz_compare(TALLY_CONV, what, c.result, y.v, y.e, c.out);
    prun_lanes_pack(c.d, c.n, l->c, l->h, l->w, c.other);
    FUZZ_CHECK(prun_conv2d_weight_gradient(&fuzz.context, s, c.n, c.lanes, c.other, c.result) ==
               PRUN_OK);
    fuzz_compare(TALLY_CONV_WEIGHT, what, c.result, r->gradient.v, r->gradient.e, c.taps);
    FUZZ_CHECK(prun_conv2d_input_gradient(&fuzz.context, s, c.n, c.other, c.w, c.lanes) == PRUN_OK);
    prun_lanes_unpack(c.lanes, c.n, s->in_channels, s->in_height, s->in_width, c.result);
    fuzz_compare(TALLY_CONV_INPUT, what, c.result, dx.v, dx.e, c.in);
    fuzz_free_conv(&c);
}

/* ---- checks: illegal arguments ---- */

/* Builder calls that must be rejected, on a new net. */
static void fuzz_check_builder(void) {
    graph_random *r = &fuzz.random;
    prun_net *net = NULL;
    prun_conv2d_options conv;
    const graph_layer in = graph_value(&fuzz.g, 0);
    const int64_t kind = graph_pick(r, 10);
    int32_t v = 0;
    memset(&conv, 0, sizeof conv);
    conv.channels = conv.kernel[0] = 1;
    if (kind == 0) conv.channels = -graph_pick(r, 2);
    if (kind == 1) conv.kernel[graph_pick(r, 2)] = graph_pick(r, 2) ? INT64_MAX : -1;
    if (kind == 2) conv.stride[graph_pick(r, 2)] = graph_pick(r, 2) ? INT64_MAX : -1;
    if (kind == 3) conv.padding[graph_pick(r, 4)] = graph_pick(r, 2) ? INT64_MAX : -1;
    FUZZ_CHECK(prun_net_create(&fuzz.context, in.c, in.h, in.w, &net) == PRUN_OK);
    if (kind < 4) v = prun_layer_conv2d_with(net, 0, "a", &conv);
    if (kind == 4) v = prun_layer_linear(net, 0, "a", 0, 1);
    if (kind == 5) v = prun_layer_relu(net, graph_pick(r, 2) ? 1 : -2);
    if (kind == 6) v = prun_layer_dropout(net, 0, 1 + graph_uniform(r));
    if (kind == 7) v = prun_layer_max_pool(net, 0, 2, 1, 2);
    if (kind == 8) v = prun_layer_add(net, 0, prun_layer_linear(net, 0, "a", in.c + 1, 1));
    if (kind == 9) {
        v = prun_layer_linear(net, 0, "a", 2, 1);
        v = prun_layer_linear(net, v, "a", 2, 1);
    }
    FUZZ_CHECK(v == -1 && prun_layer_relu(net, v) == -1);
    FUZZ_CHECK(prun_net_finish(net, v, 1) < 0);
    FUZZ_CHECK(prun_message(&fuzz.context)[0] != 0);
    prun_net_free(net);
}

static prun_status fuzz_illegal_samples(int64_t kind, double *sum) {
    graph *g = &fuzz.g;
    const prun_images kept = g->images;
    int64_t index[2];
    prun_status status;
    float *gradient = fuzz_floats(g->parameters);
    index[0] = kept.count - 1;
    index[1] = kind == 0 ? kept.count : kind == 1 ? -1 : 0;
    if (kind == 2) g->images.channels++;
    if (kind == 3) g->images.labels = NULL;
    if (kind == 4) g->labels[0] = (int32_t)kept.classes;
    if (kind == 5) g->images.classes++;
    status = graph_pick(&fuzz.random, 2)
                 ? prun_net_loss(fuzz.net, &g->images, index, 2, NULL, sum, NULL)
                 : prun_net_gradient(fuzz.net, &g->images, index, 2, gradient, sum, NULL);
    g->images = kept;
    if (kind == 4) g->labels[0] = 0;
    free(gradient);
    return status;
}

static prun_status fuzz_illegal_options(int64_t kind, double *sum) {
    const prun_objective objective = fuzz_objective(fuzz.net);
    prun_prune_options prune;
    prun_perturb_options perturb;
    prun_train_options train;
    prun_hessian_options hessian;
    prun_trainer *trainer = NULL;
    prun_safetensors *file = NULL;
    prun_status status = PRUN_OK;
    double losses[4];
    char path[128];
    int32_t layer = (int32_t)fuzz.tensors;
    memset(&prune, 0, sizeof prune);
    memset(&perturb, 0, sizeof perturb);
    memset(&train, 0, sizeof train);
    memset(&hessian, 0, sizeof hessian);
    switch (kind) {
        case 6: status = prun_prune(&objective, 1.5, &prune, NULL); break;
        case 7: status = prun_prune(&objective, NAN, &prune, NULL); break;
        case 8:
            prune.grid = -3;
            status = prun_loss_curve(&objective, &prune, losses, NULL);
            break;
        case 9:
            perturb.draws = -1;
            status = prun_perturb(&objective, 1, 0, &perturb);
            break;
        case 10: status = prun_perturb(&objective, NAN, 0, &perturb); break;
        case 11:
            train.momentum = 1;
            status = prun_trainer_create(fuzz.net, &fuzz.g.images, &train, &trainer);
            break;
        case 12:
            train.learning_rate = NAN;
            status = prun_trainer_create(fuzz.net, &fuzz.g.images, &train, &trainer);
            break;
        case 13:
            hessian.steps = -1;
            status = prun_hessian_eigenpairs(&objective, 1, &hessian, sum, NULL, NULL);
            break;
        case 14: status = prun_hessian_eigenpairs(&objective, 0, &hessian, sum, NULL, NULL); break;
        case 15:
            status = prun_net_hidden_margins(fuzz.net, &fuzz.g.images, NULL, 1, &layer, 1,
                                             &(prun_margin_outputs){losses, sum});
            break;
        case 16: status = prun_safetensors_open(&fuzz.context, fuzz_path(3), &file); break;
        default:
            snprintf(path, sizeof path, "%s/none", fuzz_path(3)); /* a folder that is not there */
            status = prun_net_save_safetensors(fuzz.net, path);
            break;
    }
    return status;
}

static void fuzz_check_errors(void) {
    double sum = -7;
    const int64_t kind = graph_pick(&fuzz.random, 18);
    const prun_status status =
        kind < 6 ? fuzz_illegal_samples(kind, &sum) : fuzz_illegal_options(kind, &sum);
    if (!FUZZ_CHECK(status < 0 && status >= PRUN_ERR_CONVERGENCE))
        fuzz_fail("illegal argument %d: status %d", (int)kind, (int)status);
    FUZZ_CHECK(fuzz.context.status == status && prun_message(&fuzz.context)[0] != 0);
    FUZZ_CHECK(sum == -7 && fuzz_unchanged(fuzz.net));
    fuzz_check_builder();
}

/* ---- one input ---- */

static int fuzz_without_zeros;

/* The checks of a graph: each one runs for one in `rate` graphs. */
typedef struct fuzz_step {
    const char *name;
    int rate;
    void (*run)(void);
    int left_out;
    long long runs;
} fuzz_step;

static fuzz_step fuzz_steps[] = {
    {"logits", 1, fuzz_check_logits, 0, 0},   {"gradient", 1, fuzz_check_gradient, 0, 0},
    {"hessian", 3, fuzz_check_hessian, 0, 0}, {"tiers", 16, fuzz_check_tiers, 0, 0},
    {"pass", 2, fuzz_check_pass, 0, 0},       {"training", 8, fuzz_check_training, 0, 0},
    {"files", 8, fuzz_check_files, 0, 0},     {"copies", 4, fuzz_check_copies, 0, 0},
    {"search", 6, fuzz_check_search, 0, 0},   {"prune", 6, fuzz_check_prune, 0, 0},
    {"radius", 12, fuzz_check_radius, 0, 0},  {"margins", 4, fuzz_check_margins, 0, 0},
    {"named", 4, fuzz_check_named, 0, 0},     {"lanczos", 2, fuzz_check_lanczos, 0, 0},
    {"threads", 4, fuzz_check_threads, 0, 0}, {"conv", 2, fuzz_check_conv, 0, 0},
    {"errors", 3, fuzz_check_errors, 0, 0}};
enum { FUZZ_STEPS = sizeof fuzz_steps / sizeof fuzz_steps[0] };

static int64_t fuzz_work = 60000; /* multiplications of a pass */

/* The net has the tensors that the graph expects. */
static void fuzz_check_tensors(void) {
    int64_t count, parameters = 0, t;
    fuzz.tensor = prun_net_tensors(fuzz.net, &fuzz.tensors);
    FUZZ_CHECK(fuzz.tensors == fuzz.g.tensors);
    FUZZ_CHECK(prun_net_parameter_count(fuzz.net) == fuzz.g.parameters);
    FUZZ_CHECK(prun_net_class_count(fuzz.net) == fuzz.g.images.classes);
    prun_net_trained_tensors(fuzz.net, &count);
    for (t = 0; t < fuzz.tensors; t++) {
        fuzz.kept_count += prun_tensor_size(&fuzz.tensor[t]);
        if (fuzz.tensor[t].flags & PRUN_TENSOR_STATISTIC) continue;
        parameters += prun_tensor_size(&fuzz.tensor[t]);
        count--;
    }
    FUZZ_CHECK(count == 0 && parameters == fuzz.g.parameters);
}

static void fuzz_prepare(void) {
    static const char *const tiers[4] = {"avx512", "avx2", "portable", NULL};
    const char *tier = tiers[graph_pick(&fuzz.random, 4)];
    if (prun_isa_set(tier) != PRUN_OK) prun_isa_set(NULL);
    fuzz.g.isa = prun_isa();
    fuzz.g.algorithm = (prun_algorithm)graph_pick(&fuzz.random, 3);
    memset(&fuzz.context, 0, sizeof fuzz.context);
    fuzz.context.allocate = fuzz_allocate;
    fuzz.context.release = fuzz_release;
    fuzz.context.threads = 1;
}

static void fuzz_one(void) {
    int i;
    fuzz.failed = 0;
    fuzz.kept_count = 0;
    fuzz_running = "builder";
    graph_exact = !fuzz_without_zeros;
    fuzz.tiny = graph_rarely(&fuzz.random, 4);
    graph_draw(&fuzz.g, &fuzz.random, fuzz_work, fuzz.tiny);
    fuzz_prepare();
    if (!FUZZ_CHECK(graph_build(&fuzz.g, &fuzz.context, &fuzz.net) == PRUN_OK)) return;
    prun_net_set_algorithm(fuzz.net, fuzz.g.algorithm);
    fuzz_check_tensors();
    graph_draw_parameters(&fuzz.g, &fuzz.random, fuzz.net);
    fuzz.kept = fuzz_floats(fuzz.kept_count);
    fuzz_copy_tensors(fuzz.net, fuzz.kept, 0);
    for (i = 0; i < FUZZ_STEPS && !fuzz.failed; i++) {
        const graph_random before = fuzz.random;
        if (!graph_rarely(&fuzz.random, fuzz_steps[i].rate) || fuzz_steps[i].left_out) continue;
        fuzz_running = fuzz_steps[i].name;
        fuzz_steps[i].runs++;
        fuzz_steps[i].run();
        FUZZ_CHECK(fuzz_unchanged(fuzz.net));
        fuzz_copy_tensors(fuzz.net, fuzz.kept, 1);
        fuzz.random = before; /* a check left out does not change the others */
        graph_bits(&fuzz.random);
    }
    prun_net_free(fuzz.net);
    free(fuzz.kept);
    FUZZ_CHECK(fuzz_live == 0);
    fuzz_live = 0;
    fuzz_failures += fuzz.failed > 0;
}

#ifdef FUZZ_LIBFUZZER

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const size_t state = size < 8 ? size : 8;
    (void)fuzz_number;
    (void)fuzz_seed;
    fuzz.random.state = 0;
    memcpy(&fuzz.random.state, data, state);
    fuzz.random.data = data + state;
    fuzz.random.size = size - state;
    fuzz_one();
    if (fuzz.failed) abort();
    return 0;
}

#else

static void fuzz_summary(double seconds, long long runs) {
    int i;
    printf("%lld graphs, %.1f s of processor time, %lld checks, %lld graphs failed\n", runs,
           seconds, fuzz_checks, fuzz_failures);
    for (i = 0; i < FUZZ_STEPS; i++)
        printf("%s%s %lld", i ? ", " : "runs: ", fuzz_steps[i].name, fuzz_steps[i].runs);
    printf("\n%-24s %11s %11s %7s %10s %10s %10s\n", "", "comparisons", "numbers", "blunt",
           "tolerance", "error/tol.", "rel. error");
    for (i = 0; i < TALLIES; i++) {
        const fuzz_tally *t = &fuzz_tallies[i];
        printf("%-24s %11lld %11lld %6.2f%% %10.1e %10.3f %10.1e\n", fuzz_names[i], t->compared,
               t->numbers, 100 * (double)t->blunt / (double)(t->compared ? t->compared : 1),
               exp(t->log_tolerance / (double)(t->tolerant ? t->tolerant : 1)), t->worst, t->error);
    }
    printf("samples left out for a decision that hangs on rounding: %.2f %%\n",
           100 * (double)fuzz_skipped / (double)(fuzz_samples ? fuzz_samples : 1));
    printf("dropout keeps what it should but for %.2f standard deviations\n",
           fuzz_dropped[0] / sqrt(fuzz_dropped[1] > 0 ? fuzz_dropped[1] : 1));
}

/* Each check ran, few samples were skipped, few comparisons are blunt, dropout has the right
   mean. */
static int fuzz_powerful(long long runs) {
    long long compared = 0, blunt = 0;
    int i, holds = 1;
    if (runs < 1000) return 1;
    for (i = 0; i < FUZZ_STEPS; i++) holds &= fuzz_steps[i].runs > 0 || fuzz_steps[i].left_out;
    for (i = 0; i < TALLIES; i++) {
        compared += fuzz_tallies[i].compared;
        blunt += fuzz_tallies[i].blunt;
    }
    holds &= fuzz_skipped * 20 < fuzz_samples && blunt * 20 < compared;
    holds &= fabs(fuzz_dropped[0]) <= 6 * sqrt(fuzz_dropped[1]);
    if (!holds) fprintf(stderr, "these graphs test too little\n");
    return holds;
}

static int fuzz_usage(const char *name, int status) {
    int i;
    printf("usage: %s [--runs N] [--seed S] [--minutes M] [--only I] [--first I] [--work N]\n"
           "       [--just CHECK] [--without CHECK] [--seeds DIR]\n\n"
           "Draws N random networks and holds the library against a reference in double\n"
           "precision, brute force and itself. A network depends on the seed and its number.\n"
           "--only runs one of them and prints it; --work: multiplications of a pass; --seeds\n"
           "writes inputs for libFuzzer. Checks: zeros",
           name);
    for (i = 0; i < FUZZ_STEPS; i++) printf(", %s", fuzz_steps[i].name);
    printf(".\n");
    return status;
}

/* Skips a check, or with `just` all others. */
static int fuzz_choose(const char *name, int just) {
    int i, known = strcmp(name, "zeros") == 0;
    fuzz_without_zeros |= known && !just;
    for (i = 0; i < FUZZ_STEPS; i++) {
        const int same = strcmp(name, fuzz_steps[i].name) == 0;
        known |= same;
        if (just != same) fuzz_steps[i].left_out = 1;
        if (just && same) fuzz_steps[i].rate = 1;
    }
    return known;
}

static int fuzz_write_seeds(const char *directory) {
    int i, k;
    for (i = 0; i < 64; i++) {
        graph_random r = {0, NULL, 0};
        char path[600];
        FILE *file;
        snprintf(path, sizeof path, "%s/seed-%02d", directory, i);
        file = fopen(path, "wb");
        r.state = (uint64_t)i;
        for (k = 0; file && k < 300; k++) fputc((int)graph_pick(&r, 256), file);
        if (file == NULL || fclose(file) != 0) {
            perror(path);
            return 2;
        }
    }
    return 0;
}

static void fuzz_run(long long number) {
    graph_random r = {0, NULL, 0};
    fuzz_number = number;
    r.state = fuzz_seed * UINT64_C(0x9e3779b97f4a7c15);
    r.state = graph_bits(&r) + (uint64_t)number * UINT64_C(0xd1342543de82ef95);
    fuzz.random = r;
    fuzz_one();
}

int main(int argc, char **argv) {
    const time_t start = time(NULL);
    long long runs = 4000, first = 0, done, only = -1;
    double minutes = 0;
    int a, holds;
    for (a = 1; a < argc; a++) {
        const char *value = a + 1 < argc ? argv[a + 1] : "";
        if (strcmp(argv[a], "--runs") == 0 && ++a) runs = atoll(value);
        else if (strcmp(argv[a], "--first") == 0 && ++a) first = atoll(value);
        else if (strcmp(argv[a], "--only") == 0 && ++a) only = atoll(value);
        else if (strcmp(argv[a], "--seed") == 0 && ++a) fuzz_seed = strtoull(value, NULL, 10);
        else if (strcmp(argv[a], "--minutes") == 0 && ++a) minutes = atof(value);
        else if (strcmp(argv[a], "--work") == 0 && ++a) fuzz_work = atoll(value);
        else if (strcmp(argv[a], "--seeds") == 0) return fuzz_write_seeds(value);
        else if (strcmp(argv[a], "--just") == 0 && fuzz_choose(value, 1)) a++;
        else if (strcmp(argv[a], "--without") == 0 && fuzz_choose(value, 0)) a++;
        else return fuzz_usage(argv[0], strcmp(argv[a], "--help") == 0 ? 0 : 2);
    }
    if (only >= 0) first = only, runs = 1;
    if (minutes > 0) runs = LLONG_MAX - first;
    for (done = 0; done < runs && fuzz_failures < 20; done++) {
        if (minutes > 0 && difftime(time(NULL), start) > 60 * minutes) break;
        fuzz_run(first + done);
    }
    if (only >= 0) graph_print(stdout, &fuzz.g);
    fuzz_summary((double)clock() / CLOCKS_PER_SEC, done);
    holds = fuzz_failures == 0 && fuzz_powerful(done);
    printf("fuzz_graph: %d passed, %d failed\n", holds, !holds);
    return !holds;
}

#endif
