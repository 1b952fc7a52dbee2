/* golden_check.c - compares the library with reference results stored in safetensors files.

       golden_check [--isa portable|avx2|avx512|neon] [--algorithm auto|direct|winograd]
                    [--spectra yes|no|only] FILE...

   A file contains the parameters of a network (param.*), images and labels (x, y) and the results
   of a double-precision implementation: logits, loss and gradient in eval and train mode, running
   statistics, three steps of SGD, the loss along magnitude pruning, margins and norms, a product
   with the Hessian and, for small networks, all its eigenvalues. The family follows from the
   parameter names, all sizes from the shapes. The output has one line per quantity:

       FILE QUANTITY error E tolerance T ok|FAIL

   where E = |got - reference| / |reference| in L2 norms over all tensors of the quantity together.
   Running statistics change so little (by 1 % of a difference) that the last bit of their float32
   storage can exceed the tolerance. For them, E ignores differences of at most one unit in the last
   place. The eigenvalues take most of the time: `--spectra no` skips them, `--spectra only` skips
   everything else. Exit status 1 if a quantity is off or a file cannot be read.
*/
#include "../prunability.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GRID = 100, STEPS = 3, NAME_SIZE = 256 };
static const double tolerance = 1e-4;
static double gradient_tolerance = 1e-3; /* 1e-2 with Winograd */
static double product_tolerance = 3e-3;  /* 3e-2 with Winograd */
static prun_algorithm algorithm = PRUN_ALGORITHM_AUTO;
static int spectra = 1, others = 1; /* parts to check */

static int passed, failed; /* quantities over all files */

/* One file and the network made from it. */
typedef struct golden {
    const char *label; /* file name for the report */
    prun_context context;
    prun_safetensors *file;
    prun_net *net;
    prun_images images;
    float *x;
    int32_t *labels;
    int64_t *everything; /* 0 .. n-1 */
    const prun_tensor *tensors;
    int64_t tensor_count;
} golden;

/* Running sums of |got - want|^2 and |want|^2. */
typedef struct distance {
    double difference, norm;
} distance;

static void add_pair(distance *d, double got, double want) {
    d->difference += (got - want) * (got - want);
    d->norm += want * want;
}

/* Distance from a float to its neighbour away from zero. */
static double last_place(float v) {
    return (double)nextafterf(fabsf(v), INFINITY) - (double)fabsf(v);
}

static double relative(const distance *d) {
    return sqrt(d->norm > 0 ? d->difference / d->norm : d->difference);
}

/* A NaN error fails. */
static void report(const golden *g, const char *quantity, double error, double limit) {
    int holds = error <= limit;
    printf("%-24s %-22s error %-9.3g tolerance %-7g %s\n", g->label, quantity, error, limit,
           holds ? "ok" : "FAIL");
    *(holds ? &passed : &failed) += 1;
}

static void report_failure(const golden *g, const char *quantity, const char *why) {
    printf("%-24s %-22s FAIL: %s\n", g->label, quantity, why);
    failed++;
}

/* Reports a failed library call. Returns whether it succeeded. */
static int succeeded(const golden *g, const char *quantity, prun_status status) {
    if (status == PRUN_OK) return 1;
    printf("%-24s %-22s FAIL: %s: %s\n", g->label, quantity, prun_status_string(status),
           prun_message(&g->context));
    failed++;
    return 0;
}

static void *allocate(int64_t count, size_t size) {
    void *p = calloc((size_t)count, size);
    if (p == NULL) {
        fprintf(stderr, "golden_check: out of memory\n");
        exit(2);
    }
    return p;
}

/* Reference tensor `prefix` + `name` of `count` elements, to be freed; NULL after reporting. */
static float *read_reference(golden *g, const char *prefix, const char *name, int64_t count) {
    char full[NAME_SIZE];
    const prun_safetensors_entry *entry;
    float *values;
    snprintf(full, sizeof(full), "%s%s", prefix, name);
    entry = prun_safetensors_find(g->file, full);
    if (entry == NULL || entry->count != count || entry->dtype != PRUN_DTYPE_F32) {
        report_failure(g, full, entry == NULL ? "not in the file" : "not F32 of the right size");
        return NULL;
    }
    values = (float *)allocate(count, sizeof(float));
    if (succeeded(g, full, prun_safetensors_read_f32(g->file, entry, values))) return values;
    free(values);
    return NULL;
}

/* Opening */

static prun_status find_family(golden *g, prun_family *family) {
    static const char *const first[] = {"param.conv0.weight", "param.block0_conv0.weight",
                                        "param.layer1_0.conv1.weight"};
    static const prun_family families[] = {PRUN_FAMILY_CNN, PRUN_FAMILY_NIN, PRUN_FAMILY_RESNET18};
    int i;
    for (i = 0; i < 3; i++) {
        if (prun_safetensors_find(g->file, first[i]) == NULL) continue;
        *family = families[i];
        return PRUN_OK;
    }
    return PRUN_ERR_MISSING;
}

/* Images from x and y, used as they are. */
static prun_status read_images(golden *g) {
    const prun_safetensors_entry *x = prun_safetensors_find(g->file, "x");
    const prun_safetensors_entry *y = prun_safetensors_find(g->file, "y");
    prun_status status;
    int64_t *labels, i;
    if (x == NULL || y == NULL || x->rank != 4 || y->count != x->shape[0]) return PRUN_ERR_FORMAT;
    g->images.count = x->shape[0];
    g->images.channels = x->shape[1];
    g->images.height = x->shape[2];
    g->images.width = x->shape[3];
    g->images.classes = prun_net_class_count(g->net);
    g->x = (float *)allocate(x->count, sizeof(float));
    g->labels = (int32_t *)allocate(y->count, sizeof(int32_t));
    g->everything = (int64_t *)allocate(y->count, sizeof(int64_t));
    labels = (int64_t *)allocate(y->count, sizeof(int64_t));
    status = prun_safetensors_read_f32(g->file, x, g->x);
    if (status == PRUN_OK) status = prun_safetensors_read_i64(g->file, y, labels);
    for (i = 0; i < y->count; i++) {
        int fits = labels[i] >= 0 && labels[i] < g->images.classes;
        g->labels[i] = fits ? (int32_t)labels[i] : -1; /* refused by prun_images_check */
        g->everything[i] = i;
    }
    free(labels);
    g->images.values = g->x;
    g->images.labels = g->labels;
    return status == PRUN_OK ? prun_images_check(&g->context, &g->images) : status;
}

static prun_status build_net(golden *g) {
    const prun_safetensors_entry *x = prun_safetensors_find(g->file, "x");
    prun_family family = PRUN_FAMILY_CNN;
    prun_arch arch;
    prun_status status = find_family(g, &family);
    memset(&arch, 0, sizeof(arch));
    if (status != PRUN_OK || x == NULL || x->rank != 4) return PRUN_ERR_MISSING;
    status = prun_arch_read_safetensors(g->file, family, "param.", &arch);
    if (status != PRUN_OK) return status;
    arch.image_height = x->shape[2];
    arch.image_width = x->shape[3];
    status = prun_net_create_family(&g->context, &arch, &g->net);
    if (status != PRUN_OK) return status;
    prun_net_set_algorithm(g->net, algorithm);
    g->tensors = prun_net_tensors(g->net, &g->tensor_count);
    return prun_net_read_safetensors(g->net, g->file, "param.");
}

static prun_status open_golden(golden *g, const char *path) {
    const char *slash = strrchr(path, '/');
    prun_status status;
    memset(g, 0, sizeof(*g));
    g->label = slash != NULL ? slash + 1 : path;
    status = prun_safetensors_open(&g->context, path, &g->file);
    if (status == PRUN_OK) status = build_net(g);
    if (status == PRUN_OK) status = read_images(g);
    return status;
}

static void close_golden(golden *g) {
    prun_net_free(g->net);
    prun_safetensors_close(g->file);
    free(g->x);
    free(g->labels);
    free(g->everything);
}

/* Restores the parameters of the file between the parts. */
static int restore(golden *g) {
    return succeeded(g, "param", prun_net_read_safetensors(g->net, g->file, "param."));
}

/* Comparisons */

static void compare_values(golden *g, const char *name, const double *got, int64_t count,
                           double limit) {
    float *want = read_reference(g, "", name, count);
    distance d = {0, 0};
    int64_t i;
    if (want == NULL) return;
    for (i = 0; i < count; i++) add_pair(&d, got[i], (double)want[i]);
    report(g, name, relative(&d), limit);
    free(want);
}

static void compare_floats(golden *g, const char *name, const float *got, int64_t count,
                           double limit) {
    double *values = (double *)allocate(count, sizeof(double));
    int64_t i;
    for (i = 0; i < count; i++) values[i] = (double)got[i];
    compare_values(g, name, values, count, limit);
    free(values);
}

/* Compares a flat gradient of the summed loss with the file's gradient of the mean loss. */
static void compare_gradient(golden *g, const char *name, const float *gradient, double limit) {
    char prefix[NAME_SIZE];
    distance d = {0, 0};
    int64_t t, i, offset = 0;
    snprintf(prefix, sizeof(prefix), "%s.", name);
    for (t = 0; t < g->tensor_count; t++) {
        int64_t size = prun_tensor_size(&g->tensors[t]);
        float *want;
        if (g->tensors[t].flags & PRUN_TENSOR_STATISTIC) continue;
        want = read_reference(g, prefix, g->tensors[t].name, size);
        if (want == NULL) return;
        for (i = 0; i < size; i++) {
            double got = (double)gradient[offset + i] / (double)g->images.count;
            add_pair(&d, got, (double)want[i]);
        }
        offset += size;
        free(want);
    }
    report(g, name, relative(&d), limit);
}

/* Compares how far the net's tensors have moved from param.* with how far the file's `prefix`
   tensors did: only tensors whose PRUN_TENSOR_STATISTIC flag equals `statistic`. */
static void compare_displacement(golden *g, const char *quantity, const char *prefix,
                                 uint32_t statistic) {
    distance d = {0, 0};
    int64_t t, i;
    for (t = 0; t < g->tensor_count; t++) {
        const prun_tensor *tensor = &g->tensors[t];
        int64_t size = prun_tensor_size(tensor);
        float *from, *to;
        if ((tensor->flags & PRUN_TENSOR_STATISTIC) != statistic) continue;
        from = read_reference(g, "param.", tensor->name, size);
        to = read_reference(g, prefix, tensor->name, size);
        for (i = 0; i < size && from != NULL && to != NULL; i++) {
            double start = (double)from[i], got = (double)tensor->data[i], want = (double)to[i];
            if (statistic && fabs(got - want) <= last_place(to[i])) got = want;
            add_pair(&d, got - start, want - start);
        }
        if (from == NULL || to == NULL) d.difference = NAN;
        free(from);
        free(to);
    }
    report(g, quantity, relative(&d), tolerance);
}

/* Parts */

static void check_eval(golden *g) {
    int64_t n = g->images.count, classes = g->images.classes;
    float *logits = (float *)allocate(n * classes, sizeof(float));
    float *gradient = (float *)allocate(prun_net_parameter_count(g->net), sizeof(float));
    double *margins = (double *)allocate(n, sizeof(double)), sum = NAN;
    if (succeeded(g, "eval.logits", prun_net_logits(g->net, &g->images, NULL, n, logits))) {
        compare_floats(g, "eval.logits", logits, n * classes, tolerance);
        prun_output_margins(logits, g->labels, n, classes, margins);
        compare_values(g, "margin.logit", margins, n, tolerance);
    }
    if (succeeded(g, "eval.loss", prun_net_loss(g->net, &g->images, NULL, n, NULL, &sum, NULL))) {
        sum /= (double)n;
        compare_values(g, "eval.loss", &sum, 1, tolerance);
    }
    if (succeeded(g, "eval.grad",
                  prun_net_gradient(g->net, &g->images, NULL, n, gradient, NULL, NULL))) {
        compare_gradient(g, "eval.grad", gradient, gradient_tolerance);
    }
    free(logits);
    free(gradient);
    free(margins);
}

/* The file's direction as a flat vector; NULL after reporting. */
static float *read_direction(golden *g) {
    float *v = (float *)allocate(prun_net_parameter_count(g->net), sizeof(float));
    int64_t t, offset = 0;
    for (t = 0; t < g->tensor_count; t++) {
        int64_t size = prun_tensor_size(&g->tensors[t]);
        float *part;
        if (g->tensors[t].flags & PRUN_TENSOR_STATISTIC) continue;
        part = read_reference(g, "v.", g->tensors[t].name, size);
        if (part == NULL) {
            free(v);
            return NULL;
        }
        memcpy(v + offset, part, (size_t)size * sizeof(float));
        offset += size;
        free(part);
    }
    return v;
}

static void check_product(golden *g) {
    float *product = (float *)allocate(prun_net_parameter_count(g->net), sizeof(float));
    float *v = read_direction(g);
    if (v != NULL &&
        succeeded(g, "eval.hvp",
                  prun_net_hessian_vector(g->net, &g->images, NULL, g->images.count, v, product))) {
        compare_gradient(g, "eval.hvp", product, product_tolerance);
    }
    free(product);
    free(v);
}

static void check_train(golden *g) {
    int64_t n = g->images.count, classes = g->images.classes;
    float *logits = (float *)allocate(n * classes, sizeof(float));
    float *gradient = (float *)allocate(prun_net_parameter_count(g->net), sizeof(float));
    double sum = NAN;
    prun_pass pass;
    memset(&pass, 0, sizeof(pass));
    if (succeeded(g, "train",
                  prun_net_train_pass(
                      g->net, &g->images, NULL, n, &pass,
                      &(prun_pass_outputs){.gradient = gradient, .logits = logits, .sum = &sum}))) {
        sum /= (double)n;
        compare_floats(g, "train.logits", logits, n * classes, tolerance);
        compare_values(g, "train.loss", &sum, 1, tolerance);
        compare_gradient(g, "train.grad", gradient, gradient_tolerance);
        compare_displacement(g, "train.running", "train.running.", PRUN_TENSOR_STATISTIC);
    }
    free(logits);
    free(gradient);
}

static void check_sgd(golden *g) {
    prun_train_options options;
    prun_trainer *trainer = NULL;
    double losses[STEPS] = {0};
    int step, ok;
    memset(&options, 0, sizeof(options));
    options.learning_rate = 0.05;
    options.momentum = 0.9;
    options.weight_decay = 0.05;
    options.decay = PRUN_DECAY_ALL;
    options.batch = g->images.count;
    ok = succeeded(g, "sgd", prun_trainer_create(g->net, &g->images, &options, &trainer));
    for (step = 0; step < STEPS && ok; step++) {
        ok = succeeded(
            g, "sgd",
            prun_trainer_step(trainer, g->everything, g->images.count, 0.05, &losses[step], NULL));
        losses[step] /= (double)g->images.count;
    }
    if (ok) {
        compare_values(g, "sgd.losses", losses, STEPS, tolerance);
        compare_displacement(g, "sgd.displacement", "sgd.", 0);
        compare_displacement(g, "sgd.running", "sgd.", PRUN_TENSOR_STATISTIC);
    }
    prun_trainer_free(trainer);
}

/* Definition 1 on the grid: the smallest i with losses[i] <= (1 + beta) losses[GRID]. */
static int64_t smallest_feasible(const double *losses, double beta) {
    int64_t i = 0;
    while (losses[i] > (1 + beta) * losses[GRID]) i++;
    return i;
}

/* Compares one beta's answer with the definition applied to the full curve. */
static void check_answer(const golden *g, const prun_prunability *found, int which,
                         const double *losses) {
    const prun_prunability_answer *answer = &found->answer[which];
    int64_t i = smallest_feasible(losses, answer->beta);
    int64_t kept = prun_kept_count(i, GRID, found->prunable);
    char quantity[NAME_SIZE];
    snprintf(quantity, sizeof(quantity), "search.beta%g", answer->beta);
    printf("%-24s %-22s kept %.2f, %lld of %lld weights\n", g->label, quantity,
           answer->kept_fraction, (long long)answer->kept, (long long)found->prunable);
    report(g, quantity, fabs((double)(lround(GRID * answer->kept_fraction) - (long)i)), 0);
    snprintf(quantity, sizeof(quantity), "search.beta%g.kept", answer->beta);
    report(g, quantity, fabs((double)(answer->kept - kept)), 0);
    snprintf(quantity, sizeof(quantity), "search.beta%g.loss", answer->beta);
    report(g, quantity, fabs(answer->loss - losses[i]) / losses[i], 1e-5);
}

/* The stored float is i/100 in single precision: compare the i. */
static void check_stored_prunability(golden *g, const prun_prunability *found) {
    float *want = read_reference(g, "", "prunability.magnitude.beta0.1", 1);
    if (want == NULL) return;
    report(g, "prunability",
           fabs((double)(lround(GRID * found->answer[1].kept_fraction) -
                         lround(GRID * (double)want[0]))),
           0);
    free(want);
}

/* The parameters are bit for bit those of the file. */
static void check_restored(golden *g) {
    int64_t t, changed = 0;
    for (t = 0; t < g->tensor_count; t++) {
        int64_t size = prun_tensor_size(&g->tensors[t]);
        float *want = read_reference(g, "param.", g->tensors[t].name, size);
        changed +=
            want == NULL || memcmp(want, g->tensors[t].data, (size_t)size * sizeof(float)) != 0;
        free(want);
    }
    report(g, "prune.restored", (double)changed, 0);
}

static void check_prune(golden *g) {
    static const double betas[] = {0.05, 0.1, 0.2, 0.5};
    prun_objective objective;
    prun_prune_options options;
    prun_prunability found;
    double losses[GRID + 1];
    int i;
    memset(&options, 0, sizeof(options));
    options.grid = GRID;
    options.beta_count = 4;
    memcpy(options.beta, betas, sizeof(betas));
    if (!succeeded(g, "objective", prun_net_objective(g->net, &g->images, &objective)) ||
        !succeeded(g, "curve", prun_loss_curve(&objective, &options, losses, NULL)) ||
        !succeeded(g, "search", prun_prunability_search(&objective, &options, &found)))
        return;
    compare_values(g, "prune.magnitude.loss", losses, GRID + 1, tolerance);
    check_stored_prunability(g, &found);
    for (i = 0; i < 4; i++) check_answer(g, &found, i, losses);
    report(g, "search.base_loss", fabs(found.base_loss - losses[GRID]) / losses[GRID], 1e-6);
    printf("%-24s %-22s %.2f passes over the images, the curve takes %d\n", g->label,
           "search.passes", found.passes, GRID + 1);
    check_restored(g);
}

static void check_norms(golden *g) {
    double *norms = (double *)allocate(g->tensor_count, sizeof(double));
    const char *prunable = prun_safetensors_metadata(g->file, "prunable");
    int64_t t, count = 0;
    for (t = 0; t < g->tensor_count; t++) {
        if (!(g->tensors[t].flags & PRUN_TENSOR_WEIGHT)) continue;
        norms[count++] = prun_frobenius_squared(&g->tensors[t]);
    }
    compare_values(g, "norm.fro2", norms, count, tolerance);
    free(norms);
    if (prunable == NULL) return;
    report(g, "prunable", fabs((double)prun_net_weight_count(g->net) - strtod(prunable, NULL)), 0);
}

/* All eigenvalues and the dense effective dimensionality, by a Lanczos run of full length. */
static void check_spectrum(golden *g) {
    static const double zs[] = {1, 0.01};
    static const char *const names[] = {"hessian.neff.z1", "hessian.neff.z0.01"};
    const prun_safetensors_entry *entry = prun_safetensors_find(g->file, "hessian.eigenvalues");
    prun_objective objective;
    prun_hessian_options options;
    prun_spectrum spectrum;
    float *want;
    int i;
    if (entry == NULL) return;
    memset(&options, 0, sizeof(options));
    options.steps = entry->count;
    options.probes = 1;
    g->context.threads = 1; /* so small that waking threads would take longer than the work */
    if (!succeeded(g, "objective", prun_net_objective(g->net, &g->images, &objective)) ||
        !succeeded(g, "spectrum", prun_hessian_spectrum(&objective, &options, &spectrum)))
        return;
    want = read_reference(g, "", "hessian.eigenvalues", entry->count);
    if (want != NULL && spectrum.steps == entry->count) {
        double worst = 0;
        int64_t k;
        for (k = 0; k < entry->count; k++) {
            double off = fabs(spectrum.values[k] - (double)want[k]);
            if (!(off <= worst)) worst = off;
        }
        report(g, "hessian.eigenvalues", worst / (double)want[entry->count - 1], 1e-3);
    } else report_failure(g, "hessian.eigenvalues", "another number of weights");
    for (i = 0; i < 2; i++) {
        prun_effective_dimension found;
        if (succeeded(g, names[i], prun_effective_dimensionality(&spectrum, zs[i], &found)))
            compare_values(g, names[i], &found.ritz, 1, 1e-2);
    }
    free(want);
    prun_spectrum_free(&spectrum);
}

static void check_file(const char *path) {
    golden g;
    prun_status status = open_golden(&g, path);
    if (status != PRUN_OK) {
        printf("%s: FAIL: %s: %s\n", path, prun_status_string(status), prun_message(&g.context));
        failed++;
    } else {
        if (others) {
            check_eval(&g);
            check_product(&g);
            if (restore(&g)) check_train(&g);
            if (restore(&g)) check_sgd(&g);
            if (restore(&g)) check_prune(&g);
            if (restore(&g)) check_norms(&g);
        }
        if (spectra) check_spectrum(&g);
    }
    close_golden(&g);
    fflush(stdout);
}

/* Applies one option and its value. Returns 0 if they are unknown. */
static int take_option(const char *name, const char *value) {
    static const char *const names[] = {"auto", "direct", "winograd"};
    int i;
    if (strcmp(name, "--isa") == 0) {
        if (prun_isa_set(value) == PRUN_OK) return 1;
        printf("no %s kernels on this machine\n", value);
        puts("golden_check: 0 passed, 0 failed, 1 skipped");
        exit(0);
    }
    if (strcmp(name, "--spectra") == 0) {
        spectra = strcmp(value, "no") != 0;
        others = strcmp(value, "only") != 0;
        return !spectra || !others || strcmp(value, "yes") == 0;
    }
    for (i = 0; i < 3; i++) {
        if (strcmp(name, "--algorithm") != 0 || strcmp(value, names[i]) != 0) continue;
        algorithm = (prun_algorithm)i;
        if (algorithm != PRUN_ALGORITHM_WINOGRAD) return 1;
        gradient_tolerance = 1e-2;
        product_tolerance = 3e-2;
        return 1;
    }
    return 0;
}

int main(int argc, char **argv) {
    int i;
    for (i = 1; i + 1 < argc && strncmp(argv[i], "--", 2) == 0; i += 2)
        if (!take_option(argv[i], argv[i + 1])) {
            fprintf(stderr, "golden_check: %s %s is not possible here\n", argv[i], argv[i + 1]);
            return 2;
        }
    if (i >= argc) {
        fprintf(stderr, "usage: golden_check [--isa portable|avx2|avx512|neon] [--algorithm "
                        "auto|direct|winograd] [--spectra yes|no|only] FILE...\n");
        return 2;
    }
    for (; i < argc; i++) check_file(argv[i]);
    printf("golden_check: %d passed, %d failed\n", passed, failed);
    return failed ? 1 : 0;
}
