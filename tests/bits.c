/* bits.c - prints what the library computes, to the last bit, so that changes are noticed.

       bits [--isa portable|avx2|avx512|neon] [--threads N] [--scratch FILE]      (from the root)

   Trains a CNN, a NiN and a ResNet18 on a few images with both convolution algorithms and a
   hand-written perceptron, then prints losses, gradients, curvature, the answers of all searches
   and all measures, the statistics of a synthetic table, and checksums of saved files. A line is a
   key and a value; floating-point values are hexadecimal. An array is printed as its checksum
   (FNV-1a over its bytes), its Euclidean norm and its middle element.

   The last digits also depend on compiler, C library and target. The first lines, which begin with
   "#", name these. tests/bits.sh compares the output with what was recorded.
*/
/* Saved files name the library's version. The implementation writes the version that the checksums
   were recorded with, so that a new version does not change them. */
#include "../prunability.h"
#undef PRUNABILITY_VERSION
#define PRUNABILITY_VERSION "0.1.0"
#define PRUNABILITY_IMPLEMENTATION
#include "../prunability.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __GLIBC__
#include <gnu/libc-version.h>
#endif

#define DATA "examples/data/fashion-mnist-train-"
enum { TRAINED = 96, BATCH = 24, EPOCHS = 8, JUDGED = 32, GRID = 20, KEY_SIZE = 200 };

static prun_context context;
static char scope[KEY_SIZE]; /* begins every key: network, algorithm */
static const char *scratch = "bits.tmp";

/* ---- printing -------------------------------------------------------------------------------- */

static void check(prun_status status, const char *what) {
    if (status == PRUN_OK) return;
    fprintf(stderr, "error: %s %s: %s\n", scope, what, prun_message(&context));
    exit(1);
}

/* The sign of a NaN is not specified, so it is not printed. */
static void put_value(double value) {
    if (isnan(value)) printf(" nan\n");
    else printf(" %a\n", value);
}

static void put(const char *key, double value) {
    printf("%s %s", scope, key);
    put_value(value);
}

static void put_count(const char *key, int64_t value) {
    printf("%s %s %lld\n", scope, key, (long long)value);
}

static void put_part(const char *key, const char *part, double value) {
    printf("%s %s.%s", scope, key, part);
    put_value(value);
}

static void put_part_count(const char *key, const char *part, int64_t value) {
    printf("%s %s.%s %lld\n", scope, key, part, (long long)value);
}

static void put_at(const char *key, int64_t i, double value) {
    printf("%s %s[%lld]", scope, key, (long long)i);
    put_value(value);
}

#define FNV_START 14695981039346656037u

static uint64_t fnv(uint64_t hash, const void *bytes, size_t size) {
    const unsigned char *b = (const unsigned char *)bytes;
    size_t i;
    for (i = 0; i < size; i++) hash = (hash ^ b[i]) * 1099511628211u;
    return hash;
}

static void put_checksum(const char *key, uint64_t hash) {
    printf("%s %s.checksum %016llx\n", scope, key, (unsigned long long)hash);
}

/* All elements of a short array, otherwise its summary. */
static void put_doubles(const char *key, const double *v, int64_t n) {
    uint64_t hash = FNV_START;
    double squares = 0, one;
    int64_t i;

    for (i = 0; i < n; i++) {
        one = isnan(v[i]) ? (double)NAN : v[i];
        if (isnan(one)) hash = fnv(hash, "nan", 3);
        else hash = fnv(hash, &one, sizeof one);
        squares += v[i] * v[i];
        if (n <= 3) put_at(key, i, v[i]);
    }
    if (n <= 3) return;
    put_checksum(key, hash);
    put_part(key, "norm", sqrt(squares));
    put_at(key, n / 2, v[n / 2]);
}

static void put_floats(const char *key, const float *v, int64_t n) {
    double squares = 0;
    int64_t i;

    for (i = 0; i < n; i++) {
        squares += (double)v[i] * (double)v[i];
    }
    put_checksum(key, fnv(FNV_START, v, (size_t)n * sizeof *v));
    put_part(key, "norm", sqrt(squares));
    put_at(key, n / 2, (double)v[n / 2]);
}

/* All tensors as one array. */
static void put_tensors(const char *key, const prun_tensor *tensors, int64_t count) {
    uint64_t hash = FNV_START;
    double squares = 0;
    int64_t t, i, n;

    for (t = 0; t < count; t++) {
        n = prun_tensor_size(&tensors[t]);
        hash = fnv(hash, tensors[t].data, (size_t)n * sizeof(float));
        for (i = 0; i < n; i++) {
            squares += (double)tensors[t].data[i] * (double)tensors[t].data[i];
        }
    }
    put_checksum(key, hash);
    put_part(key, "norm", sqrt(squares));
}

static void put_net(const char *key, const prun_net *net) {
    int64_t count;
    const prun_tensor *tensors = prun_net_tensors(net, &count);
    put_tensors(key, tensors, count);
}

static void put_estimate(const char *key, const prun_estimate *e) {
    put_part(key, "value", e->value);
    put_part(key, "deviation", e->standard_error);
    put_part(key, "quadrature", e->quadrature_error);
    put_part(key, "differences", e->difference_error);
    put_part(key, "error", e->error);
    put_part_count(key, "vectors", e->count);
}

/* Checksum of the bytes of a file. */
static void put_file(const char *key) {
    unsigned char buffer[4096];
    uint64_t hash = FNV_START;
    int64_t total = 0;
    size_t n;
    FILE *file = fopen(scratch, "rb");

    if (file == NULL) {
        fprintf(stderr, "error: cannot read %s\n", scratch);
        exit(1);
    }
    while ((n = fread(buffer, 1, sizeof buffer, file)) > 0) {
        hash = fnv(hash, buffer, n);
        total += (int64_t)n;
    }
    fclose(file);
    put_checksum(key, hash);
    put_part_count(key, "bytes", total);
}

static void *room(int64_t count, size_t size) {
    void *p = calloc((size_t)count, size);
    if (p != NULL) return p;
    fprintf(stderr, "error: out of memory\n");
    exit(1);
}

static float *floats(int64_t n) { return (float *)room(n, sizeof(float)); }
static double *doubles(int64_t n) { return (double *)room(n, sizeof(double)); }

/* ---- compiler, library and target ------------------------------------------------------------ */

static void put_platform(void) {
#if defined(__clang__)
    printf("# compiler: clang, %s\n", __VERSION__);
#elif defined(__GNUC__)
    printf("# compiler: gcc, %s\n", __VERSION__);
#else
    printf("# compiler: unknown\n");
#endif
#ifdef __GLIBC__
    printf("# library: glibc %s\n", gnu_get_libc_version());
#else
    printf("# library: unknown\n");
#endif
#if defined(__x86_64__) && defined(__FMA__)
    printf("# target: x86-64 with FMA\n");
#elif defined(__x86_64__)
    printf("# target: x86-64\n");
#elif defined(__aarch64__)
    printf("# target: aarch64\n");
#else
    printf("# target: unknown\n");
#endif
    /* glibc has other versions of exp, log and sin for processors with FMA */
#if defined(__x86_64__) && defined(__GNUC__)
    printf("# FMA in the processor: %s\n", __builtin_cpu_supports("fma") ? "yes" : "no");
#else
    printf("# FMA in the processor: unknown\n");
#endif
}

/* ---- random numbers, operations, images ------------------------------------------------------ */

static void fill(float *v, int64_t n, uint64_t stream) {
    int64_t i;
    for (i = 0; i < n; i++) v[i] = (float)(2 * prun_random_uniform(7, stream, (uint64_t)i) - 1);
}

static void report_random(void) {
    double uniform[64], normal[64];
    int64_t order[100];
    uint32_t block[4];
    uint64_t i;

    strcpy(scope, "random -");
    prun_random_block(1, 2, 3, block);
    put_checksum("block", fnv(FNV_START, block, sizeof block));
    put_checksum("bits", prun_random_bits(1, 2, 3));
    for (i = 0; i < 64; i++) {
        uniform[i] = prun_random_uniform(5, 6, i);
        normal[i] = prun_random_normal(5, 6, i);
    }
    put_doubles("uniform", uniform, 64);
    put_doubles("normal", normal, 64);
    prun_random_permutation(9, 8, 100, order);
    put_checksum("permutation", fnv(FNV_START, order, sizeof order));
}

/* Output and gradients of one convolution of n images. */
static void report_convolution(const char *name, const prun_conv2d *conv, int64_t n) {
    const int64_t in = conv->in_channels, out = conv->out_channels;
    const int64_t in_h = conv->in_height, in_w = conv->in_width;
    const int64_t weights =
        out * in * conv->kernel[0] * (conv->kernel[1] ? conv->kernel[1] : conv->kernel[0]);
    int64_t h, w, lanes_in, lanes_out;
    float *flat, *x, *y, *dy, *dx, *weight, *bias, *dweight;

    snprintf(scope, sizeof scope, "convolution %s-%s", name,
             conv->algorithm == PRUN_ALGORITHM_DIRECT ? "direct" : "winograd");
    check(prun_conv2d_output(&context, conv, &h, &w), "size");
    lanes_in = prun_lanes_size(n, in, in_h, in_w);
    lanes_out = prun_lanes_size(n, out, h, w);
    flat = floats(n * (in * in_h * in_w + out * h * w));
    x = floats(lanes_in), dx = floats(lanes_in);
    y = floats(lanes_out), dy = floats(lanes_out);
    weight = floats(weights), dweight = floats(weights), bias = floats(out);
    fill(weight, weights, 1);
    fill(bias, out, 2);
    fill(flat, n * in * in_h * in_w, 3);
    prun_lanes_pack(flat, n, in, in_h, in_w, x);
    fill(flat, n * out * h * w, 4);
    prun_lanes_pack(flat, n, out, h, w, dy);
    check(prun_conv2d_forward(&context, conv, n, x, weight, bias, y), "forward");
    prun_lanes_unpack(y, n, out, h, w, flat);
    put_floats("output", flat, n * out * h * w);
    check(prun_conv2d_input_gradient(&context, conv, n, dy, weight, dx), "input gradient");
    prun_lanes_unpack(dx, n, in, in_h, in_w, flat);
    put_floats("input_gradient", flat, n * in * in_h * in_w);
    check(prun_conv2d_weight_gradient(&context, conv, n, x, dy, dweight), "weight gradient");
    put_floats("weight_gradient", dweight, weights);
    free(flat), free(x), free(dx), free(y), free(dy), free(weight), free(dweight), free(bias);
}

static void report_operations(void) {
    static const int64_t stride[] = {1, 2, 1, 1};
    static const int64_t kernel[] = {3, 3, 1, 5};
    static const char *const name[] = {"3x3", "3x3-stride-2", "1x1", "5x4"};
    float logits[10];
    double p[10];
    int i, algorithm;

    for (i = 0; i < 4; i++) {
        for (algorithm = 0; algorithm < (i < 2 ? 2 : 1); algorithm++) {
            prun_conv2d conv = {0};
            conv.in_channels = 5;
            conv.in_height = 11;
            conv.in_width = 13;
            conv.out_channels = 19;
            conv.kernel[0] = kernel[i];
            conv.kernel[1] = i == 3 ? 4 : kernel[i];
            conv.stride[0] = conv.stride[1] = stride[i];
            conv.padding[0] = conv.padding[1] = kernel[i] / 2;
            conv.padding[2] = conv.padding[3] = i == 1 ? 0 : kernel[i] / 2;
            conv.algorithm = algorithm ? PRUN_ALGORITHM_WINOGRAD : PRUN_ALGORITHM_DIRECT;
            report_convolution(name[i], &conv, 21);
        }
    }
    strcpy(scope, "operations -");
    fill(logits, 10, 11);
    put("cross_entropy", prun_cross_entropy(logits, 10, 3, p));
    put_doubles("softmax", p, 10);
}

static void load_images(prun_images *images) {
    prun_idx_options options = {0};
    options.pad_to = 32;
    check(prun_images_load_idx(&context, DATA "images.idx3-ubyte", DATA "labels.idx1-ubyte",
                               &options, images),
          "images");
    images->count = TRAINED;
    check(prun_images_standardize(&context, images), "standardize");
}

static void report_packed(const char *key, const prun_images *images, const prun_augment *augment) {
    const int64_t index[5] = {7, 3, 3, 90, 11};
    const int64_t size = prun_lanes_size(5, images->channels, images->height, images->width);
    float *lanes = floats(size);
    check(prun_images_pack(&context, images, index, 5,
                           &(prun_pass){.augment = augment, .seed = 3, .stream = 4}, lanes),
          key);
    put_floats(key, lanes, size);
    free(lanes);
}

static void report_images(const prun_images *images) {
    prun_images other = *images;
    prun_augment augment = {0};

    strcpy(scope, "images -");
    put("mean", (double)images->mean[0]);
    put("deviation", (double)images->std[0]);
    report_packed("standardized", images, NULL);
    other.normalization = PRUN_NORMALIZATION_PER_IMAGE;
    report_packed("normalized_each", &other, NULL);
    other.normalization = PRUN_NORMALIZATION_NONE;
    augment.crop_padding = 4;
    augment.flip = 1;
    report_packed("cropped", &other, &augment);
    augment.crop_padding = 0;
    augment.shift = 3;
    report_packed("shifted", images, &augment);
}

/* ---- searches -------------------------------------------------------------------------------- */

static void report_pruning(const prun_objective *objective, const char *key,
                           prun_prune_options *options) {
    prun_prunability found;
    double kept[PRUN_MAX_BETAS * 64];
    char name[KEY_SIZE];
    int b;

    check(prun_prunability_search(objective, options, &found), key);
    put_part(key, "base", found.base_loss);
    put_part(key, "passes", found.passes);
    put_part_count(key, "prunable", found.prunable);
    put_part_count(key, "prunable_tensors", found.prunable_tensors);
    for (b = 0; b < found.answer_count; b++) {
        snprintf(name, sizeof name, "%s.tolerance_%g", key, found.answer[b].beta);
        put_part(name, "threshold", found.answer[b].threshold);
        put_part(name, "fraction", found.answer[b].kept_fraction);
        put_part_count(name, "kept", found.answer[b].kept);
        put_part(name, "loss", found.answer[b].loss);
    }
    snprintf(name, sizeof name, "%s.layers", key);
    for (b = 0; b < found.answer_count; b++)
        check(prun_prune_layer_fractions(objective, found.answer[b].kept_fraction, options,
                                         kept + b * found.prunable_tensors),
              key);
    put_doubles(name, kept, found.answer_count * found.prunable_tensors);
}

static void report_curve(const prun_objective *objective, const char *key,
                         prun_prune_options *options) {
    double losses[GRID + 1], wrong[GRID + 1];
    char name[KEY_SIZE];

    options->grid = 8;
    check(prun_loss_curve(objective, options, losses, wrong), key);
    options->grid = GRID;
    snprintf(name, sizeof name, "%s.curve_loss", key);
    put_doubles(name, losses, 9);
    snprintf(name, sizeof name, "%s.curve_wrong", key);
    put_doubles(name, wrong, 9);
}

/* Both methods, both scopes (brief: only one), and all tensors prunable. */
static void report_prunings(const prun_objective *objective, int brief) {
    static const char *const name[] = {"pruning.magnitude", "pruning.magnitude_each_layer",
                                       "pruning.random", "pruning.random_each_layer",
                                       "pruning.all_tensors"};
    prun_prune_options options = {0};
    double profile[64 * 5];
    prun_prunability found;
    int i;

    options.grid = GRID;
    options.beta[0] = 0.05;
    options.beta[1] = 0.1;
    options.beta[2] = 0.2;
    options.beta_count = 3;
    options.repetitions = 2;
    options.seed = 5;
    for (i = 0; i < 5; i++) {
        if (brief && (i == 1 || i == 3)) continue;
        options.method = i == 2 || i == 3 ? PRUN_PRUNE_RANDOM : PRUN_PRUNE_MAGNITUDE;
        options.scope = i == 1 || i == 3 ? PRUN_PRUNE_PER_LAYER : PRUN_PRUNE_GLOBAL;
        options.include_biases = options.include_norms = i == 4;
        report_pruning(objective, name[i], &options);
        report_curve(objective, name[i], &options);
    }
    memset(&options, 0, sizeof options);
    options.grid = 4;
    check(prun_prunability_search(objective, &options, &found), "tensors");
    check(prun_loss_curve_by_layer(objective, &options, profile), "profile");
    put_doubles("pruning.layer_profile", profile, 5 * found.prunable_tensors);
}

static void report_radius(const char *key, const prun_radius *r) {
    put_part_count(key, "state", r->state);
    put_part(key, "radius", r->radius);
    put_part(key, "infeasible", r->infeasible);
    put_part(key, "deviation", r->standard_error);
    put_part(key, "flatness", r->flatness);
    put_part(key, "base", r->base);
    put_part(key, "threshold", r->threshold);
    put_part(key, "reached", r->reached);
    put_part(key, "passes", r->passes);
}

static void report_noise_curve(const prun_objective *objective, const char *key,
                               const prun_perturb_options *options) {
    static const double radii[] = {0.01, 0.1, 0.3};
    double losses[3], deviations[3], wrong[3];
    char name[KEY_SIZE];

    check(prun_perturbation_curve(objective, radii, 3, options, losses, deviations, wrong), key);
    snprintf(name, sizeof name, "%s.curve_loss", key);
    put_doubles(name, losses, 3);
    snprintf(name, sizeof name, "%s.curve_deviation", key);
    put_doubles(name, deviations, 3);
    snprintf(name, sizeof name, "%s.curve_wrong", key);
    put_doubles(name, wrong, 3);
}

static void report_same_size(const prun_objective *objective, const prun_perturb_options *options) {
    static const double fractions[6] = {0, 1 / 5.0, 2 / 5.0, 3 / 5.0, 4 / 5.0, 1};
    double losses[6], deviations[6], wrong[6];
    check(prun_same_size_curve(objective, fractions, 6, options, losses, deviations, wrong),
          "same size");
    put_doubles("noise.same_size_loss", losses, 6);
    put_doubles("noise.same_size_deviation", deviations, 6);
    put_doubles("noise.same_size_wrong", wrong, 6);
}

static void report_sharpness(const prun_objective *objective, prun_perturb_options *options) {
    prun_radius radius;

    if (objective->gradient == NULL) return;
    options->restarts = 2;
    options->steps = 3;
    options->batch = 16;
    options->noise = PRUN_NOISE_GAUSSIAN;
    check(prun_sharpness_radius(objective, options, &radius), "sharpness");
    report_radius("sharpness.plain", &radius);
    options->noise = PRUN_NOISE_SQUARED;
    check(prun_sharpness_radius(objective, options, &radius), "sharpness");
    report_radius("sharpness.squared", &radius);
    options->noise = PRUN_NOISE_MAGNITUDE;
    options->displacement = 0.1;
    check(prun_sharpness_radius(objective, options, &radius), "sharpness");
    report_radius("sharpness.magnitude_displaced", &radius);
}

/* All kinds of noise. */
static void report_noise(const prun_objective *objective) {
    static const char *const name[] = {"noise.magnitude", "noise.squared", "noise.plain",
                                       "noise.sign_flip"};
    static const prun_noise noise[] = {PRUN_NOISE_MAGNITUDE, PRUN_NOISE_SQUARED,
                                       PRUN_NOISE_GAUSSIAN, PRUN_NOISE_SIGN_FLIP};
    prun_perturb_options options = {0};
    prun_radius radius;
    double wrong, deviation;
    int i;

    options.draws = 3;
    options.seed = 11;
    options.precision = 0.05;
    for (i = 0; i < 4; i++) {
        options.noise = noise[i];
        check(prun_perturbation_radius(objective, &options, &radius), name[i]);
        report_radius(name[i], &radius);
        report_noise_curve(objective, name[i], &options);
    }
    options.noise = PRUN_NOISE_GAUSSIAN;
    report_same_size(objective, &options);
    options.fraction = 0.5;
    options.norm = 0.7;
    options.include_biases = options.include_norms = 1;
    report_noise_curve(objective, "noise.half_scaled", &options);
    options.fraction = options.norm = 0;
    options.displacement = 0.1;
    check(prun_perturbation_radius(objective, &options, &radius), "displaced");
    report_radius("noise.all_tensors_displaced", &radius);
    options.displacement = 0;
    options.include_biases = options.include_norms = 0;
    check(prun_dropout_error(objective, 0.9, 0.05, &options, &wrong, &deviation), "dropout");
    put("noise.dropout_wrong", wrong);
    put("noise.dropout_wrong_deviation", deviation);
    report_sharpness(objective, &options);
}

/* Copies all weights into `flat`, or back from there. */
static void copy_weights(const prun_objective *objective, float *flat, int back) {
    int64_t t, size;

    for (t = 0; t < objective->tensor_count; t++, flat += size) {
        float *data = objective->tensors[t].data;
        size = prun_tensor_size(&objective->tensors[t]);
        memcpy(back ? data : flat, back ? flat : data, (size_t)size * sizeof(float));
    }
}

/* Permanent pruning and perturbation of the weights, undone afterwards. */
static void report_changes(const prun_objective *objective) {
    static const char *const name[] = {"pruned.magnitude",   "pruned.magnitude_each_layer",
                                       "pruned.random",      "perturbed.magnitude",
                                       "perturbed.squared",  "perturbed.plain",
                                       "perturbed.sign_flip"};
    static const prun_noise noise[] = {PRUN_NOISE_MAGNITUDE, PRUN_NOISE_SQUARED,
                                       PRUN_NOISE_GAUSSIAN, PRUN_NOISE_SIGN_FLIP};
    prun_prune_options prune = {0};
    prun_perturb_options perturb = {0};
    int64_t total = 0, t, kept;
    float *saved;
    int i;

    for (t = 0; t < objective->tensor_count; t++) total += prun_tensor_size(&objective->tensors[t]);
    saved = floats(total);
    copy_weights(objective, saved, 0);
    prune.seed = perturb.seed = 3;
    for (i = 0; i < 7; i++) {
        if (i < 3) {
            prune.method = i == 2 ? PRUN_PRUNE_RANDOM : PRUN_PRUNE_MAGNITUDE;
            prune.scope = i == 1 ? PRUN_PRUNE_PER_LAYER : PRUN_PRUNE_GLOBAL;
            check(prun_prune(objective, 0.37, &prune, &kept), name[i]);
            put_part_count(name[i], "kept", kept);
        } else {
            perturb.noise = noise[i - 3];
            check(prun_perturb(objective, 0.1, 1, &perturb), name[i]);
        }
        put_tensors(name[i], objective->tensors, objective->tensor_count);
        copy_weights(objective, saved, 1);
    }
    free(saved);
}

/* ---- curvature ------------------------------------------------------------------------------- */

static double soft_square(void *user, double e) {
    (void)user;
    return e * e / (1 + e * e);
}

static void report_pairs(const prun_objective *objective, const char *key,
                         const prun_hessian_options *options) {
    double values[2], residuals[2];
    float *vectors;
    int64_t k;
    char name[KEY_SIZE];

    check(prun_hessian_size(objective, options, &k), "size");
    put_part_count(key, "size", k);
    vectors = floats(2 * k);
    check(prun_hessian_eigenpairs(objective, 2, options, values, residuals, vectors), key);
    snprintf(name, sizeof name, "%s.values", key);
    put_doubles(name, values, 2);
    snprintf(name, sizeof name, "%s.residuals", key);
    put_doubles(name, residuals, 2);
    snprintf(name, sizeof name, "%s.vectors", key);
    put_floats(name, vectors, 2 * k);
    free(vectors);
}

static void report_spectrum(const prun_objective *objective, const prun_hessian_options *options) {
    static const double z[] = {1, 1.0 / 391};
    prun_spectrum spectrum;
    prun_effective_dimension dimension;
    prun_estimate trace;
    double grid[17], density[17], deviations[17];
    int64_t i, n;

    check(prun_hessian_spectrum(objective, options, &spectrum), "spectrum");
    n = spectrum.probes * spectrum.steps;
    put_doubles("curvature.spectrum_values", spectrum.values, n);
    put_doubles("curvature.spectrum_weights", spectrum.weights, n);
    put_doubles("curvature.spectrum_diagonal", spectrum.diagonal, n);
    put_doubles("curvature.spectrum_couplings", spectrum.couplings, n);
    put("curvature.spectrum_error", spectrum.difference_error);
    put("curvature.spectrum_noise", spectrum.difference_noise);
    check(prun_spectrum_trace(&spectrum, soft_square, NULL, &trace), "trace of a function");
    put_estimate("curvature.function_trace", &trace);
    for (i = 0; i < 17; i++) grid[i] = (double)(i - 4) / 4;
    check(prun_spectrum_density(&spectrum, grid, 17, 0, density, deviations), "density");
    put_doubles("curvature.density", density, 17);
    put_doubles("curvature.density_deviation", deviations, 17);
    for (i = 0; i < 2; i++) {
        const char *key = i ? "curvature.dimension_small" : "curvature.dimension";
        check(prun_effective_dimensionality(&spectrum, z[i], &dimension), key);
        put_part(key, "ritz", dimension.ritz);
        put_part(key, "ritz_fraction", dimension.ritz_fraction);
        put_estimate(i ? "curvature.dimension_small.estimate" : "curvature.dimension.estimate",
                     &dimension.estimate);
        put_estimate(i ? "curvature.dimension_small.share" : "curvature.dimension.share",
                     &dimension.fraction);
    }
    prun_spectrum_free(&spectrum);
}

static void report_differences(const prun_objective *objective, prun_hessian_options *options) {
    prun_difference difference;
    double *product;
    float *v;
    int64_t k;

    options->use_differences = 1;
    check(prun_hessian_size(objective, options, &k), "size");
    v = floats(k);
    product = doubles(k);
    fill(v, k, 21);
    check(prun_hessian_difference(objective, v, options, &difference), "difference");
    put("curvature.difference_step", difference.step);
    put("curvature.difference_error", difference.error);
    put("curvature.difference_noise", difference.noise);
    put_count("curvature.difference_gradients", difference.gradients);
    options->step = difference.step;
    check(prun_hessian_vector(objective, v, options, product), "difference");
    put_doubles("curvature.difference_product", product, k);
    options->step = 0;
    options->use_differences = 0;
    check(prun_hessian_vector(objective, v, options, product), "product");
    put_doubles("curvature.product", product, k);
    free(v), free(product);
}

static void report_curvature(const prun_objective *objective) {
    prun_hessian_options options = {0};
    prun_estimate trace, *blocks;
    int64_t t;

    options.samples = 24;
    options.steps = 6;
    options.probes = 2;
    options.seed = 13;
    report_pairs(objective, "curvature.largest", &options);
    options.smallest = 1;
    options.scope = PRUN_HESSIAN_ALL;
    options.summed = 1;
    report_pairs(objective, "curvature.smallest", &options);
    options.smallest = options.summed = 0;
    blocks = (prun_estimate *)room(objective->tensor_count, sizeof *blocks);
    check(prun_hessian_trace(objective, &options, &trace, blocks), "trace");
    put_estimate("curvature.trace", &trace);
    for (t = 0; t < objective->tensor_count; t += 3) {
        put_at("curvature.trace_of_tensor", t, blocks[t].value);
        put_at("curvature.trace_of_tensor_error", t, blocks[t].error);
    }
    free(blocks);
    options.scope = PRUN_HESSIAN_WEIGHTS;
    report_spectrum(objective, &options);
    report_differences(objective, &options);
}

/* ---- measures -------------------------------------------------------------------------------- */

static void put_measures(const char *key, const prun_measure_result *results,
                         const uint8_t *wanted) {
    const prun_measure_info *info;
    char name[KEY_SIZE];
    int64_t count, i;

    info = prun_measures(&count);
    for (i = 0; i < count; i++) {
        if (!wanted[i]) continue;
        snprintf(name, sizeof name, "%s.%s", key, info[i].name);
        put(name, results[i].value);
        if (!isnan(results[i].standard_error))
            put_part(name, "deviation", results[i].standard_error);
        if (results[i].status != PRUN_OK) put_part_count(name, "status", results[i].status);
    }
}

typedef enum selection { ALL, FAST, FOLDABLE } selection;

/* All measures; all but sharpness, which takes long; or fast ones that folding changes. */
static int is_wanted(const prun_measure_info *info, selection which) {
    if (which == FAST) return strstr(info->name, "sharpness") == NULL;
    return which == ALL ||
           ((info->traits & PRUN_TRAIT_FOLDABLE) != 0 && (info->traits & PRUN_TRAIT_SLOW) == 0);
}

static void report_measures(const prun_objective *objective, const char *key,
                            const prun_epoch *history, selection which) {
    prun_measure_options options = {0};
    prun_measure_result *results;
    uint8_t *wanted;
    const prun_measure_info *info;
    int64_t count, i;

    options.grid = GRID;
    options.repetitions = 2;
    options.draws = 3;
    options.restarts = 1;
    options.precision = 0.2;
    options.noise_batch = 8;
    options.noise_pairs = 3;
    options.hessian_samples = 16;
    options.hessian_steps = 5;
    options.hessian_probes = 2;
    options.weight_decay = 1e-3;
    options.least_eigenvalues = 2;
    options.seed = 17;
    options.history = history;
    options.epochs = history != NULL ? EPOCHS : 0;
    info = prun_measures(&count);
    results = (prun_measure_result *)room(count, sizeof *results);
    wanted = (uint8_t *)room(count, 1);
    for (i = 0; i < count; i++) wanted[i] = (uint8_t)is_wanted(&info[i], which);
    check(prun_measure_all(objective, wanted, &options, results), key);
    put_measures(key, results, wanted);
    free(results), free(wanted);
}

/* Formulas with numbers or tensors as arguments, and the gradient noise. */
static void report_formulas(const prun_objective *objective) {
    prun_dropout_bound bound = {0};
    double variance, deviation;

    put("formula.frobenius", prun_frobenius_squared(&objective->tensors[0]));
    put("formula.sum_of_frobenius",
        prun_sum_of_frobenius(objective->tensors, objective->tensor_count));
    put("formula.pacbayes", prun_pacbayes_bound(12.5, 0.07, 48));
    put("formula.pacbayes_magnitude",
        prun_pacbayes_magnitude_bound(objective->tensors, objective->initial,
                                      objective->tensor_count, 0.05, 1e-3, 1, 48));
    bound.empirical = 0.2;
    bound.kept = 0.4;
    bound.squared_norm = 31;
    bound.samples = 5000;
    put("formula.dropout_bound", prun_dropout_bound_value(&bound));
    bound.lambda = 2;
    put("formula.dropout_bound_lambda", prun_dropout_bound_value(&bound));
    check(prun_gradient_noise(objective, 8, 3, 19, &variance, &deviation), "gradient noise");
    put("gradient_noise", variance);
    put("gradient_noise.deviation", deviation);
}

/* ---- the networks ---------------------------------------------------------------------------- */

static void put_spectral(const char *key, const prun_spectral_norm_result *s) {
    put_part(key, "value", s->norm);
    put_part(key, "residual", s->residual);
    put_part_count(key, "iterations", s->iterations);
    put_part(key, "error", s->error);
}

static void report_spectral(const prun_net *net, const prun_net *before) {
    int64_t count, first;
    const prun_tensor *tensors = prun_net_tensors(net, &count);
    const prun_tensor *start = prun_net_tensors(before, &count);
    prun_conv2d conv = {0};
    prun_spectral_norm_result result;
    double path;

    for (first = 0; first + 1 < count && tensors[first].rank != 4; first++) {
    }
    check(prun_spectral_norm(&context, &tensors[first], NULL, NULL, 0, 3, &result), "matrix");
    put_spectral("spectral.matrix", &result);
    check(prun_spectral_norm(&context, &tensors[first], start[first].data, NULL, 0, 3, &result),
          "distance");
    put_spectral("spectral.distance", &result);
    conv.out_channels = tensors[first].shape[0];
    conv.in_channels = tensors[first].shape[1];
    conv.kernel[0] = tensors[first].shape[2];
    conv.kernel[1] = tensors[first].shape[3];
    conv.in_height = conv.in_width = 12;
    conv.stride[0] = 2;
    conv.padding[0] = conv.padding[1] = 1;
    check(prun_spectral_norm(&context, &tensors[first], NULL, &conv, 1e-6, 3, &result), "map");
    put_spectral("spectral.convolution", &result);
    check(prun_path_norm(net, &path), "path norm");
    put("path_norm", path);
}

static void report_margins(prun_net *net, const prun_images *images, const float *logits) {
    double margins[4 * JUDGED], spread[4], features[5];
    int32_t layers[4];

    prun_output_margins(logits, images->labels, JUDGED, 10, margins);
    put_doubles("margins.output", margins, JUDGED);
    if (prun_margin_features(&context, margins, JUDGED, features) == PRUN_OK)
        put_doubles("margins.features", features, 5);
    prun_net_margin_layers(net, layers);
    put_checksum("margins.layers", fnv(FNV_START, layers, sizeof layers));
    check(prun_net_hidden_margins(net, images, NULL, JUDGED, layers, 4,
                                  &(prun_margin_outputs){margins, spread}),
          "hidden margins");
    put_doubles("margins.hidden", margins, 4 * JUDGED);
    put_doubles("margins.spread", spread, 4);
}

/* Losses, logits, gradient, exact Hessian product of a net in eval mode. */
static void report_passes(prun_net *net, const prun_images *images, const char *key) {
    const int64_t n = prun_net_parameter_count(net);
    float *logits = floats(JUDGED * 10), *gradient = floats(n), *v = floats(n);
    double losses[JUDGED], sum;
    int64_t wrong;
    char name[KEY_SIZE];

    put_part_count(key, "parameters", n);
    put_part_count(key, "weights", prun_net_weight_count(net));
    check(prun_net_loss(net, images, NULL, JUDGED, losses, &sum, &wrong), "loss");
    put_part(key, "loss", sum);
    put_part_count(key, "wrong", wrong);
    snprintf(name, sizeof name, "%s.losses", key);
    put_doubles(name, losses, JUDGED);
    check(prun_net_logits(net, images, NULL, JUDGED, logits), "logits");
    snprintf(name, sizeof name, "%s.logits", key);
    put_floats(name, logits, JUDGED * 10);
    check(prun_net_gradient(net, images, NULL, JUDGED, gradient, &sum, &wrong), "gradient");
    put_part(key, "gradient_loss", sum);
    snprintf(name, sizeof name, "%s.gradient", key);
    put_floats(name, gradient, n);
    fill(v, n, 31);
    check(prun_net_hessian_vector(net, images, NULL, JUDGED, v, gradient), "product");
    snprintf(name, sizeof name, "%s.product", key);
    put_floats(name, gradient, n);
    if (strcmp(key, "eval") == 0) report_margins(net, images, logits);
    free(logits), free(gradient), free(v);
}

/* A pass in training mode that does not change the running statistics. */
static void report_train_pass(prun_net *net, const prun_images *images,
                              const prun_augment *augment) {
    const int64_t n = prun_net_parameter_count(net);
    const int64_t index[9] = {40, 2, 17, 17, 63, 8, 5, 71, 30};
    float *gradient = floats(n), logits[90];
    prun_pass pass = {0};
    double sum;
    int64_t wrong;

    pass.augment = augment;
    pass.seed = 3;
    pass.stream = 77;
    pass.freeze_statistics = 1;
    check(prun_net_train_pass(
              net, images, index, 9, &pass,
              &(prun_pass_outputs){
                  .gradient = gradient, .logits = logits, .sum = &sum, .wrong = &wrong}),
          "train pass");
    put("train_pass.loss", sum);
    put_count("train_pass.wrong", wrong);
    put_floats("train_pass.gradient", gradient, n);
    put_floats("train_pass.logits", logits, 90);
    free(gradient);
}

static void put_history(const prun_epoch *history) {
    char key[KEY_SIZE];
    int e;

    for (e = 0; e < EPOCHS; e += EPOCHS - 1) {
        snprintf(key, sizeof key, "epoch_%d", e + 1);
        put_part(key, "rate", history[e].learning_rate);
        put_part(key, "loss", history[e].loss);
        put_part(key, "wrong", history[e].error_rate);
        put_part(key, "eval_loss", history[e].evaluated_loss);
        put_part(key, "noise", history[e].gradient_noise);
        put_part_count(key, "steps", history[e].steps);
    }
    put("sum_of_losses", prun_sum_of_train_losses(history, EPOCHS));
}

static prun_train_options recipe(void) {
    prun_train_options options = {0};
    options.epochs = EPOCHS;
    options.batch = BATCH;
    options.learning_rate = 0.05;
    options.momentum = 0.9;
    options.weight_decay = 1e-3;
    options.schedule = PRUN_SCHEDULE_MADDOX;
    options.augment.crop_padding = 1;
    options.augment.flip = 1;
    options.seed = 23;
    options.evaluate = 1;
    options.noise_pairs = 2;
    return options;
}

/* Saves, reads back, and continues the training: an epoch and a step. */
static void report_files(prun_net *net, const prun_images *images, prun_algorithm algorithm) {
    const int64_t index[6] = {1, 5, 9, 13, 17, 21};
    prun_train_options options = recipe();
    prun_safetensors *file;
    prun_trainer *trainer;
    prun_net *copy;
    prun_epoch epoch;
    double sum;
    int64_t wrong;

    check(prun_net_save_safetensors(net, scratch), "save");
    put_file("file.net");
    check(prun_net_copy(net, 0, &copy), "copy");
    prun_net_set_algorithm(copy, algorithm);
    options.augment.crop_padding = 0;
    options.augment.shift = 2;
    options.decay = PRUN_DECAY_ALL;
    check(prun_trainer_create(copy, images, &options, &trainer), "trainer");
    check(prun_trainer_run_epoch(trainer, &epoch), "epoch");
    check(prun_trainer_save_safetensors(trainer, scratch), "save state");
    put_file("file.state");
    prun_trainer_free(trainer);
    check(prun_trainer_create(copy, images, &options, &trainer), "trainer");
    check(prun_safetensors_open(&context, scratch, &file), "open");
    put_count("file.entries", prun_safetensors_entry_count(file));
    check(prun_trainer_read_safetensors(trainer, file), "load state");
    prun_safetensors_close(file);
    check(prun_trainer_run_epoch(trainer, &epoch), "epoch");
    put("resumed.loss", epoch.loss);
    check(prun_trainer_step(trainer, index, 6, 0.005, &sum, &wrong), "step");
    put("resumed.step_loss", sum);
    put_count("resumed.step_wrong", wrong);
    put_count("resumed.epochs", prun_trainer_epoch_count(trainer));
    put_net("resumed.tensors", copy);
    prun_trainer_free(trainer);
    prun_net_free(copy);
    remove(scratch);
}

static void report_folded(const prun_net *net, const prun_images *images,
                          prun_algorithm algorithm) {
    prun_net *folded;
    prun_objective objective;

    check(prun_net_copy(net, 1, &folded), "fold");
    prun_net_set_algorithm(folded, algorithm);
    put_net("folded.tensors", folded);
    report_passes(folded, images, "folded");
    check(prun_net_objective(folded, images, &objective), "objective");
    report_measures(&objective, "folded.measure", NULL, FOLDABLE);
    prun_net_free(folded);
}

static void report_net(const prun_arch *arch, const char *name, int winograd,
                       const prun_images *images) {
    const prun_algorithm algorithm = winograd ? PRUN_ALGORITHM_WINOGRAD : PRUN_ALGORITHM_DIRECT;
    prun_train_options options = recipe();
    prun_images judged = *images;
    prun_objective objective;
    prun_epoch history[EPOCHS];
    prun_net *net, *before;
    int64_t count;

    snprintf(scope, sizeof scope, "%s %s", name, winograd ? "winograd" : "direct");
    judged.count = JUDGED;
    check(prun_net_create_family(&context, arch, &net), "net");
    prun_net_set_algorithm(net, algorithm);
    check(prun_net_copy(net, 0, &before), "copy");
    put_net("initial", before);
    check(prun_train(net, images, &options, history), "training");
    put_history(history);
    put_net("tensors", net);
    report_train_pass(net, images, &options.augment);
    report_passes(net, images, "eval");
    report_spectral(net, before);
    check(prun_net_objective(net, &judged, &objective), "objective");
    objective.initial = prun_net_trained_tensors(before, &count);
    report_prunings(&objective, winograd);
    report_noise(&objective);
    if (!winograd) report_changes(&objective);
    report_curvature(&objective);
    if (!winograd) report_formulas(&objective);
    report_measures(&objective, "measure", history, winograd ? FAST : ALL);
    put_net("tensors_after", net);
    report_folded(net, images, algorithm);
    report_files(net, images, algorithm);
    prun_net_free(net);
    prun_net_free(before);
}

static void report_nets(const prun_images *images) {
    prun_arch arch = {.family = PRUN_FAMILY_CNN, .width = 4, .image_channels = 1, .seed = 1};
    int winograd;

    for (winograd = 0; winograd < 2; winograd++) {
        arch.family = PRUN_FAMILY_CNN;
        arch.width = 4;
        report_net(&arch, "cnn-4", winograd, images);
        arch.family = PRUN_FAMILY_NIN;
        arch.width = 8;
        arch.depth = 2;
        arch.dropout = 0.2;
        report_net(&arch, "nin-8x2", winograd, images);
        arch.family = PRUN_FAMILY_RESNET18;
        arch.width = 2;
        arch.depth = 0;
        arch.dropout = 0;
        report_net(&arch, "resnet18-2", winograd, images);
    }
}

/* A net of layers that the families lack: biases, linear, average pooling, 5x4 kernels. */
static void report_built(const prun_images *images) {
    prun_train_options options = recipe();
    prun_epoch history[EPOCHS];
    prun_conv2d_options wide = {0};
    prun_net *net;
    int32_t v = PRUN_INPUT, w;

    strcpy(scope, "built auto");
    check(prun_net_create(&context, 1, 32, 32, &net), "net");
    wide.channels = 5;
    wide.kernel[0] = 5;
    wide.kernel[1] = 4;
    wide.stride[0] = 2;
    wide.padding[0] = wide.padding[1] = wide.padding[2] = 1;
    v = prun_layer_conv2d_with(net, v, "wide", &wide);
    v = prun_layer_relu(net, v);
    v = prun_layer_avg_pool(net, v, 3, 2, 1);
    prun_net_set_initializer(net, PRUN_INITIALIZER_GLOROT);
    w = prun_layer_conv2d_with(net, v, "same",
                               &(prun_conv2d_options){.channels = 5,
                                                      .kernel = {3},
                                                      .stride = {1},
                                                      .padding = {1, 1, 1, 1},
                                                      .padding_mode = PRUN_PADDING_SAME});
    w = prun_layer_batch_norm(net, w, "norm", 1e-3, 0.2);
    v = prun_layer_add(net, v, w);
    v = prun_layer_max_pool(net, v, 3, 2, 1);
    v = prun_layer_dropout(net, v, 0.3);
    v = prun_layer_flatten(net, v);
    v = prun_layer_linear(net, v, "hidden", 12, 1);
    v = prun_layer_relu(net, v);
    v = prun_layer_linear(net, v, "out", 10, 1);
    check(prun_net_finish(net, v, 5), "finish");
    options.schedule = PRUN_SCHEDULE_STEP;
    options.schedule_epochs = 1;
    options.schedule_factor = 0.5;
    check(prun_train(net, images, &options, history), "training");
    put_history(history);
    put_net("tensors", net);
    report_train_pass(net, images, &options.augment);
    report_passes(net, images, "eval");
    report_folded(net, images, PRUN_ALGORITHM_AUTO);
    prun_net_free(net);
}

/* ---- a hand-written network ------------------------------------------------------------------ */

enum { PIXELS = 49, HIDDEN = 8, CLASSES = 10 };

typedef struct perceptron {
    float w1[HIDDEN * PIXELS], b1[HIDDEN], w2[CLASSES * HIDDEN], b2[CLASSES];
    float x[JUDGED * PIXELS];
    int32_t y[JUDGED];
} perceptron;

enum { PERCEPTRON_FLOATS = HIDDEN * PIXELS + HIDDEN + CLASSES * HIDDEN + CLASSES };

static void perceptron_forward(const perceptron *p, int64_t s, float *hidden, float *logits) {
    const float *x = p->x + s * PIXELS;
    int h, c, i;

    for (h = 0; h < HIDDEN; h++) {
        double sum = (double)p->b1[h];
        for (i = 0; i < PIXELS; i++) sum += (double)p->w1[h * PIXELS + i] * (double)x[i];
        hidden[h] = (float)tanh(sum);
    }
    for (c = 0; c < CLASSES; c++) {
        double sum = (double)p->b2[c];
        for (h = 0; h < HIDDEN; h++) sum += (double)p->w2[c * HIDDEN + h] * (double)hidden[h];
        logits[c] = (float)sum;
    }
}

static prun_status perceptron_loss(const prun_objective *objective, const int64_t *index, int64_t n,
                                   double *losses, double *sum, int64_t *wrong) {
    const perceptron *p = (const perceptron *)objective->user;
    int64_t i, bad = 0;
    int c;

    *sum = 0;
    for (i = 0; i < n; i++) {
        const int64_t s = index ? index[i] : i;
        float hidden[HIDDEN], logits[CLASSES];
        double loss;
        int best = 0;
        perceptron_forward(p, s, hidden, logits);
        for (c = 1; c < CLASSES; c++) best = logits[c] > logits[best] ? c : best;
        bad += best != p->y[s];
        loss = prun_cross_entropy(logits, CLASSES, p->y[s], NULL);
        *sum += loss;
        if (losses) losses[i] = loss;
    }
    if (wrong) *wrong = bad;
    return PRUN_OK;
}

/* Adds one sample's gradient, in doubles. Returns the loss. */
static double perceptron_backward(const perceptron *p, int64_t s, double *gradient) {
    double *w1 = gradient, *b1 = w1 + HIDDEN * PIXELS, *w2 = b1 + HIDDEN;
    double *b2 = w2 + CLASSES * HIDDEN, q[CLASSES], loss;
    float hidden[HIDDEN], logits[CLASSES];
    int h, c, i;

    perceptron_forward(p, s, hidden, logits);
    loss = prun_cross_entropy(logits, CLASSES, p->y[s], q);
    q[p->y[s]] -= 1;
    for (c = 0; c < CLASSES; c++) b2[c] += q[c];
    for (h = 0; h < HIDDEN; h++) {
        const double out = (double)hidden[h];
        double back = 0;
        for (c = 0; c < CLASSES; c++) {
            w2[c * HIDDEN + h] += q[c] * out;
            back += q[c] * (double)p->w2[c * HIDDEN + h];
        }
        back *= 1 - out * out;
        b1[h] += back;
        for (i = 0; i < PIXELS; i++) w1[h * PIXELS + i] += back * (double)p->x[s * PIXELS + i];
    }
    return loss;
}

static prun_status perceptron_gradient(const prun_objective *objective, const int64_t *index,
                                       int64_t n, float *gradient, double *sum) {
    const perceptron *p = (const perceptron *)objective->user;
    double total = 0, g[PERCEPTRON_FLOATS] = {0};
    int64_t i;

    for (i = 0; i < n; i++) total += perceptron_backward(p, index ? index[i] : i, g);
    for (i = 0; i < PERCEPTRON_FLOATS; i++) gradient[i] = (float)g[i];
    if (sum) *sum = total;
    return PRUN_OK;
}

static prun_status perceptron_logits(const prun_objective *objective, const int64_t *index,
                                     int64_t n, float *logits) {
    const perceptron *p = (const perceptron *)objective->user;
    float hidden[HIDDEN];
    int64_t i;

    for (i = 0; i < n; i++)
        perceptron_forward(p, index ? index[i] : i, hidden, logits + i * CLASSES);
    return PRUN_OK;
}

/* Inputs: means over blocks of 4x4 of the central 28x28 pixels. Weights: random. */
static void perceptron_fill(perceptron *p, const prun_images *images) {
    int64_t s, i, row, column;
    int a, b;

    fill(p->w1, HIDDEN * PIXELS, 41);
    fill(p->w2, CLASSES * HIDDEN, 42);
    for (i = 0; i < HIDDEN * PIXELS; i++) p->w1[i] *= 0.25f;
    for (s = 0; s < JUDGED; s++) {
        const uint8_t *image = images->pixels + s * 32 * 32;
        for (i = 0; i < PIXELS; i++) {
            int sum = 0;
            row = 2 + i / 7 * 4;
            column = 2 + i % 7 * 4;
            for (a = 0; a < 4; a++)
                for (b = 0; b < 4; b++) sum += image[(row + a) * 32 + column + b];
            p->x[s * PIXELS + i] = (float)sum / 4096;
        }
        p->y[s] = images->labels[s];
    }
}

static void perceptron_train(const prun_objective *objective) {
    const prun_tensor *tensors = objective->tensors;
    float g[PERCEPTRON_FLOATS];
    int64_t i, n;
    double sum;
    int step, t;

    for (step = 0; step < 60; step++) {
        const float *at = g;
        perceptron_gradient(objective, NULL, JUDGED, g, &sum);
        for (t = 0; t < 4; t++) {
            n = prun_tensor_size(&tensors[t]);
            for (i = 0; i < n; i++) tensors[t].data[i] -= *at++ * (0.5f / JUDGED);
        }
        if (step % 20 == 0) put_at("loss", step, sum);
    }
}

static prun_tensor tensor(const char *name, float *data, int64_t rows, int64_t columns,
                          uint32_t flags) {
    prun_tensor t = {0};
    t.data = data;
    t.name = name;
    t.shape[0] = rows;
    t.shape[1] = columns;
    t.rank = columns ? 2 : 1;
    t.flags = flags;
    return t;
}

static void report_perceptron(const prun_images *images) {
    static perceptron p, start;
    prun_tensor tensors[4], initial[4];
    prun_objective objective = {0};
    float *all = floats(PERCEPTRON_FLOATS);
    double sum;
    int64_t wrong;

    strcpy(scope, "perceptron -");
    perceptron_fill(&p, images);
    start = p;
    tensors[0] = tensor("first", p.w1, HIDDEN, PIXELS, PRUN_TENSOR_WEIGHT);
    tensors[1] = tensor("first_bias", p.b1, HIDDEN, 0, PRUN_TENSOR_BIAS);
    tensors[2] = tensor("second", p.w2, CLASSES, HIDDEN, PRUN_TENSOR_WEIGHT);
    tensors[3] = tensor("second_bias", p.b2, CLASSES, 0, PRUN_TENSOR_BIAS);
    memcpy(initial, tensors, sizeof initial);
    initial[0].data = start.w1;
    initial[1].data = start.b1;
    initial[2].data = start.w2;
    initial[3].data = start.b2;
    objective.user = &p;
    objective.context = &context;
    objective.tensors = tensors;
    objective.tensor_count = 4;
    objective.initial = initial;
    objective.samples = JUDGED;
    objective.classes = CLASSES;
    objective.labels = p.y;
    objective.loss = perceptron_loss;
    objective.gradient = perceptron_gradient;
    objective.logits = perceptron_logits;
    perceptron_train(&objective);
    check(perceptron_loss(&objective, NULL, JUDGED, NULL, &sum, &wrong), "loss");
    put("loss", sum);
    put_count("wrong", wrong);
    check(perceptron_gradient(&objective, NULL, JUDGED, all, &sum), "gradient");
    put_floats("gradient", all, PERCEPTRON_FLOATS);
    report_prunings(&objective, 1);
    objective.nonnegative = 1;
    strcpy(scope, "perceptron nonnegative");
    report_prunings(&objective, 0);
    report_noise(&objective);
    report_changes(&objective);
    report_curvature(&objective);
    report_formulas(&objective);
    report_measures(&objective, "measure", NULL, ALL);
    put_tensors("tensors_after", tensors, 4);
    free(all);
}

/* ---- statistics ------------------------------------------------------------------------------ */

enum { MODELS = 48 };

/* Models that differ in three axes and a seed; values are rounded, so that some tie. */
typedef struct table {
    double measure[MODELS], other[MODELS], target[MODELS], size[MODELS], cluster[MODELS];
    double axis[3][MODELS], seed[MODELS];
    const double *axes_of[3];
    prun_axes axes;
} table;

static double steps(double v, double n) { return floor(v * n + 0.5) / n; }

static void table_fill(table *t) {
    int64_t i;

    for (i = 0; i < MODELS; i++) {
        const double noise = prun_random_uniform(2, 1, (uint64_t)i);
        t->axis[0][i] = (double)(i % 3);
        t->axis[1][i] = (double)(i / 3 % 2) / 2;
        t->axis[2][i] = (double)(i / 6 % 4);
        t->seed[i] = (double)(i / 24);
        t->size[i] = 100 + 40 * t->axis[0][i] + t->axis[2][i];
        t->cluster[i] = (double)(i % 24);
        t->target[i] = steps(0.1 + 0.05 * t->axis[0][i] + 0.04 * t->axis[2][i] + 0.1 * noise, 200);
        t->measure[i] = steps(t->target[i] + 0.15 * prun_random_uniform(2, 2, (uint64_t)i), 100);
        t->other[i] = steps(prun_random_uniform(2, 3, (uint64_t)i) - t->target[i], 50);
    }
    for (i = 0; i < 3; i++) t->axes_of[i] = t->axis[i];
    memset(&t->axes, 0, sizeof t->axes);
    t->axes.n = MODELS;
    t->axes.count = 3;
    t->axes.values = t->axes_of;
    t->axes.seed = t->seed;
}

static void report_rank(const table *t) {
    static const int64_t counts[] = {MODELS, 8};
    prun_kendall k;
    double tau;
    int i;

    for (i = 0; i < 2; i++) {
        const char *key = i ? "kendall_of_few" : "kendall";
        check(prun_kendall_tau(&context, t->measure, i ? t->other : t->target, counts[i], &k), key);
        put_part(key, "a", k.tau_a);
        put_part(key, "b", k.tau_b);
        put_part(key, "c", k.tau_c);
        put_part(key, "p", k.p);
        put_part(key, "p_normal", k.p_normal);
        put_part(key, "deviation", k.standard_error);
        put_part_count(key, "exact", k.p_is_exact);
    }
    check(prun_partial_kendall(&context, t->measure, t->target, t->size, MODELS, &tau), "partial");
    put("kendall_partial", tau);
}

static void report_grouped(table *t) {
    static const char *const name[] = {"seeds_fixed", "seeds_pooled", "seeds_averaged"};
    prun_granulated g;
    prun_sign_error e;
    prun_sign_error_options options = {0};
    double means[MODELS], weight, size;
    int64_t count;
    char key[KEY_SIZE];
    int seeds, a;

    options.effective_size = 1e-9;
    options.test_samples = 4000;
    for (seeds = 0; seeds < 3; seeds++) {
        t->axes.seeds = (prun_seeds)seeds;
        check(prun_granulated_kendall(&context, &t->axes, t->measure, t->target, &g), name[seeds]);
        snprintf(key, sizeof key, "granulated.%s", name[seeds]);
        put_doubles(key, g.psi, 3);
        put_part(key, "mean", g.mean);
        put_part(key, "mean_deviation", g.mean_standard_error);
        snprintf(key, sizeof key, "granulated.%s_deviation", name[seeds]);
        put_doubles(key, g.psi_standard_error, 3);
        check(prun_robust_sign_error(&context, &t->axes, t->measure, t->target, &options, &e),
              name[seeds]);
        for (a = -1; a < 3; a++) {
            const prun_sign_error_summary *s = a < 0 ? &e.all : &e.axis[a];
            snprintf(key, sizeof key, "sign_error.%s[%d]", name[seeds], a);
            put_part(key, "mean", s->mean);
            put_part(key, "p90", s->p90);
            put_part(key, "max", s->max);
            put_part_count(key, "environments", s->environments);
            put_part_count(key, "dropped", s->dropped);
        }
    }
    t->axes.seeds = PRUN_SEEDS_FIXED;
    check(prun_seed_means(&context, &t->axes, t->target, means, &count), "means");
    put_doubles("seed_means", means, count);
    put("sign_error.weight", prun_sign_error_weight(0.03, 4000));
    put("sign_error.pair", prun_sign_error_pair(&(prun_runs){t->measure, t->target, 6},
                                                &(prun_runs){t->measure + 24, t->target + 30, 7},
                                                4000, &weight, &size));
    put("sign_error.pair_weight", weight);
    put("sign_error.pair_size", size);
}

static void report_information(const table *t) {
    static const char *const name[] = {"information.ties_dropped", "information.ties_strict",
                                       "information.ties_half"};
    prun_cmi *cmi = (prun_cmi *)room(1, sizeof *cmi);
    char key[KEY_SIZE];
    int ties, s;

    for (ties = 0; ties < 3; ties++) {
        check(prun_conditional_information(&context, &t->axes, t->measure, t->target,
                                           (prun_ties)ties, cmi),
              name[ties]);
        put_part(name[ties], "k", cmi->k);
        put_part(name[ties], "symmetric", cmi->symmetric);
        put_part_count(name[ties], "best", cmi->best);
        for (s = 0; s < cmi->subset_count; s++) {
            snprintf(key, sizeof key, "%s.subset_%d", name[ties], s);
            put_part(key, "value", cmi->subset[s].value);
            put_part(key, "information", cmi->subset[s].information);
            put_part(key, "entropy", cmi->subset[s].entropy_x);
            put_part_count(key, "cells", cmi->subset[s].cells);
        }
    }
    free(cmi);
}

static void report_regression(const table *t) {
    const double *x[4];
    double coefficients[4], standardized[4], fitted[MODELS], crossfitted[MODELS];
    prun_regression_options options = {0};
    prun_regression_outputs outputs = {coefficients, standardized, fitted, crossfitted};
    prun_regression r;

    x[0] = t->measure;
    x[1] = t->other;
    x[2] = t->size;
    x[3] = t->axis[1];
    options.folds = 5;
    options.seed = 3;
    check(prun_regression_fit(&context, &(prun_regression_data){x, 4, t->target, MODELS}, &options,
                              &r, &outputs),
          "regression");
    put_doubles("regression.coefficients", coefficients, 4);
    put_doubles("regression.standardized", standardized, 4);
    put_doubles("regression.fitted", fitted, MODELS);
    put_doubles("regression.crossfitted", crossfitted, MODELS);
    put("regression.intercept", r.intercept);
    put("regression.r2", r.r2);
    put("regression.adjusted_r2", r.adjusted_r2);
    put("regression.cv_r2", r.cv_r2);
    put("regression.cv_r2_training", r.cv_r2_training);
    put("regression.cv_r2_folds", r.cv_r2_folds);
    put_count("regression.rank", r.rank);
    put_count("regression.best", r.best);
}

static void put_interval(const char *key, const prun_interval *v) {
    put_part(key, "estimate", v->estimate);
    put_part(key, "lower", v->lower);
    put_part(key, "upper", v->upper);
    put_part(key, "deviation", v->standard_error);
    put_part(key, "bias", v->bias);
    put_part(key, "positive", v->positive);
    put_part(key, "p", v->p);
    put_part_count(key, "used", v->used);
}

/* A weighted mean over the rows; any function of the rows would do. */
static double mean_row(void *user, const int64_t *rows, int64_t n) {
    const double *values = (const double *)user;
    double sum = 0;
    int64_t i;
    for (i = 0; i < n; i++) sum += values[rows[i]] * (double)(i + 1);
    return sum / (double)n;
}

static void report_resampling(table *t) {
    static const char *const name[] = {"tau_a",           "tau_b",
                                       "partial",         "r2",
                                       "adjusted_r2",     "psi",
                                       "psi_mean",        "cmi",
                                       "sign_error_mean", "sign_error_p90",
                                       "sign_error_max",  "custom"};
    prun_sample sample = {0};
    prun_resampling_options options = {0};
    prun_interval interval;
    double value, p[12], adjusted[12];
    char key[KEY_SIZE];
    int s;

    sample.n = MODELS;
    sample.measure = t->measure;
    sample.target = t->target;
    sample.control = t->size;
    sample.axes = &t->axes;
    options.axis = 1;
    options.resamples = 60;
    options.seed = 29;
    options.sign_error.effective_size = 1e-9;
    options.custom = mean_row;
    options.user = t->target;
    for (s = 0; s < 12; s++) {
        options.statistic = (prun_statistic)s;
        sample.cluster = s % 2 ? t->cluster : NULL;
        snprintf(key, sizeof key, "resampling.%s", name[s]);
        check(prun_statistic_value(&context, &sample, &options, &value), key);
        put_part(key, "value", value);
        check(prun_bootstrap(&context, &sample, &options, &interval), key);
        snprintf(key, sizeof key, "resampling.%s.bootstrap", name[s]);
        put_interval(key, &interval);
        if (options.statistic != PRUN_STATISTIC_CUSTOM) {
            check(prun_compare(&context, &sample, t->other, &options, &interval), key);
            snprintf(key, sizeof key, "resampling.%s.compared", name[s]);
            put_interval(key, &interval);
        }
        check(prun_permutation_test(&context, &sample, &options, &p[s]), key);
    }
    put_doubles("resampling.p", p, 12);
    prun_holm(p, 12, adjusted);
    put_doubles("resampling.p_adjusted", adjusted, 12);
}

static void report_statistics(void) {
    static table t;

    strcpy(scope, "statistics -");
    table_fill(&t);
    put_doubles("table.measure", t.measure, MODELS);
    put_doubles("table.target", t.target, MODELS);
    report_rank(&t);
    report_grouped(&t);
    report_information(&t);
    report_regression(&t);
    report_resampling(&t);
}

/* ---- command line ---------------------------------------------------------------------------- */

static int usage(void) {
    fprintf(stderr,
            "usage: bits [--isa portable|avx2|avx512|neon] [--threads N] [--scratch FILE]\n");
    return 2;
}

int main(int argc, char **argv) {
    prun_images images;
    int i;

    context.threads = 1;
    for (i = 1; i < argc; i += 2) {
        if (i + 1 >= argc) return usage();
        if (strcmp(argv[i], "--isa") == 0) {
            if (prun_isa_set(argv[i + 1]) == PRUN_OK) continue;
            fprintf(stderr, "error: this processor has no %s\n", argv[i + 1]);
            return 3;
        }
        if (strcmp(argv[i], "--threads") == 0) context.threads = (int32_t)atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--scratch") == 0) scratch = argv[i + 1];
        else return usage();
    }
    put_platform();
    load_images(&images);
    report_random();
    report_operations();
    report_images(&images);
    report_nets(&images);
    report_built(&images);
    report_perceptron(&images);
    report_statistics();
    prun_images_free(&images);
    return ferror(stdout) != 0 || fflush(stdout) != 0;
}
