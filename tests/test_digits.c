/* test_digits.c - sections KERNELS, X86, ARM, TIERS: every tier gives the digits recorded in
   tests/bits/kernels.txt, on any machine, with any compiler and flags.

       test_digits              compares every tier that this machine has (from the root)
       test_digits --record     prints all lines for that file

   Only results that need no libm function except sqrt are compared: all convolution passes, and the
   logits and margins of networks, which run norms and pools forward and backward. */
#include "../prunability.h"

#include <float.h>
#include <stdlib.h>

#include "test.h"

enum { IMAGES = 18, SIZE = 32, MOST_LINES = 200, LINE = 100 };
static const char *const path = "tests/bits/kernels.txt";
static const char *const tiers[] = {"portable", "avx2", "avx512", "neon"};

/* Floats of the form k / 1024, of either sign. */
static void fill(float *v, int64_t count, uint64_t seed) {
    int64_t i;
    for (i = 0; i < count; i++)
        v[i] = (float)((int64_t)(prun_random_bits(seed, 1, (uint64_t)i) % 2048) - 1024) / 1024.0f;
}

/* FNV-1a over the values, independent of the byte order. */
static uint64_t add_floats(uint64_t hash, const float *v, int64_t count) {
    int64_t i;
    int k;
    for (i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, v + i, sizeof bits);
        for (k = 0; k < 32; k += 8) hash = (hash ^ (bits >> k & 255)) * UINT64_C(1099511628211);
    }
    return hash;
}

static const uint64_t first_hash = UINT64_C(14695981039346656037);

/* Results of this run, one per line: tier, case, checksum. */
static char found[MOST_LINES][LINE];
static int found_count;

static void put(const char *what, int number, int algorithm, uint64_t hash) {
    if (!CHECK(found_count < MOST_LINES)) return;
    snprintf(found[found_count++], LINE, "%s %s.%d.%d %08lx%08lx", prun_isa(), what, number,
             algorithm, (unsigned long)(hash >> 32), (unsigned long)(hash & 0xffffffffu));
}

/* One convolution forward, and its gradients with respect to input and kernel. */
static void run_convolution(int number, const int64_t g[5], prun_algorithm algorithm) {
    prun_conv2d c;
    int64_t height, width, x_size, y_size, w_size;
    float *x, *y, *w, *dx, *dw, *bias;
    memset(&c, 0, sizeof c);
    c.in_channels = g[0];
    c.out_channels = g[1];
    c.in_height = c.in_width = g[2];
    c.stride[0] = g[3];
    c.kernel[0] = g[4];
    c.padding[0] = c.padding[1] = c.padding[2] = c.padding[3] = g[4] / 2;
    c.algorithm = algorithm;
    if (!CHECK_STATUS(prun_conv2d_output(&test_context, &c, &height, &width), PRUN_OK)) return;
    x_size = prun_lanes_size(IMAGES, g[0], g[2], g[2]);
    y_size = prun_lanes_size(IMAGES, g[1], height, width);
    w_size = g[0] * g[1] * g[4] * g[4];
    x = (float *)malloc((size_t)(2 * (x_size + y_size + w_size) + g[1]) * sizeof *x);
    if (!x) abort();
    y = x + x_size;
    w = y + y_size;
    dx = w + w_size;
    dw = dx + x_size;
    bias = dw + w_size;
    fill(x, x_size, 1);
    fill(w, w_size, 2);
    fill(bias, g[1], 3);
    CHECK_STATUS(prun_conv2d_forward(&test_context, &c, IMAGES, x, w, bias, y), PRUN_OK);
    put("forward", number, algorithm, add_floats(first_hash, y, y_size / 2)); /* full lanes */
    fill(y, y_size / 2, 4);
    memset(y + y_size / 2, 0, (size_t)(y_size / 2) * sizeof *y);
    CHECK_STATUS(prun_conv2d_input_gradient(&test_context, &c, IMAGES, y, w, dx), PRUN_OK);
    put("input", number, algorithm, add_floats(first_hash, dx, x_size / 2));
    CHECK_STATUS(prun_conv2d_weight_gradient(&test_context, &c, IMAGES, x, y, dw), PRUN_OK);
    put("kernel", number, algorithm, add_floats(first_hash, dw, w_size));
    free(x);
}

/* Channels in and out, size, stride, kernel. */
static const int64_t convolutions[][5] = {{3, 16, 12, 1, 3}, {16, 24, 12, 1, 3},
                                          {16, 10, 9, 2, 3}, {7, 5, 8, 1, 5},
                                          {32, 32, 8, 1, 1}, {20, 12, 12, 2, 3}};

/* Logits and margins of a network whose running statistics are not the initial ones. */
static void run_network(prun_family family, prun_algorithm algorithm) {
    prun_arch arch = {PRUN_FAMILY_CNN, 3, 2, 10, 1, SIZE, SIZE, 0.0, 0, 0, 7};
    static float pixels[IMAGES * SIZE * SIZE], logits[IMAGES * 10];
    static int32_t labels[IMAGES];
    prun_images images;
    prun_net *net;
    double margins[4 * IMAGES], spread[4];
    prun_margin_outputs outputs;
    const prun_tensor *tensors;
    int32_t layers[4];
    int64_t count, i;
    uint64_t hash;
    arch.family = family;
    memset(&images, 0, sizeof images);
    images.count = IMAGES;
    images.channels = 1;
    images.height = images.width = SIZE;
    images.classes = 10;
    images.values = pixels;
    images.labels = labels;
    fill(pixels, IMAGES * SIZE * SIZE, 5);
    for (i = 0; i < IMAGES; i++) labels[i] = (int32_t)(i % 10);
    if (!CHECK_STATUS(prun_net_create_family(&test_context, &arch, &net), PRUN_OK)) return;
    prun_net_set_algorithm(net, algorithm);
    tensors = prun_net_tensors(net, &count);
    for (i = 0; i < count; i++) {
        if (!(tensors[i].flags & PRUN_TENSOR_STATISTIC)) continue;
        fill(tensors[i].data, prun_tensor_size(&tensors[i]), 6);
        if (strstr(tensors[i].name, "var")) {
            int64_t k;
            for (k = 0; k < prun_tensor_size(&tensors[i]); k++)
                tensors[i].data[k] = tensors[i].data[k] * tensors[i].data[k] + 0.5f;
        }
    }
    CHECK_STATUS(prun_net_logits(net, &images, NULL, IMAGES, logits), PRUN_OK);
    put("logits", family, algorithm, add_floats(first_hash, logits, IMAGES * 10));
    prun_net_margin_layers(net, layers);
    outputs.margins = margins;
    outputs.spread = spread;
    CHECK_STATUS(prun_net_hidden_margins(net, &images, NULL, IMAGES, layers, 4, &outputs), PRUN_OK);
    for (hash = first_hash, i = 0; i < 4 * IMAGES; i++) {
        const float rounded = (float)margins[i]; /* sums of doubles may be vectorised */
        hash = add_floats(hash, &rounded, 1);
    }
    put("margins", family, algorithm, hash);
    prun_net_free(net);
}

/* Runs everything in every available tier. */
static void run_tiers(void) {
    const char *before = prun_isa();
    size_t t, i;
    int a;
    for (t = 0; t < sizeof tiers / sizeof *tiers; t++) {
        if (prun_isa_set(tiers[t]) != PRUN_OK) continue;
        for (i = 0; i < sizeof convolutions / sizeof *convolutions; i++)
            for (a = PRUN_ALGORITHM_DIRECT; a <= PRUN_ALGORITHM_WINOGRAD; a++)
                if (a == PRUN_ALGORITHM_DIRECT || convolutions[i][4] == 3)
                    run_convolution((int)i, convolutions[i], (prun_algorithm)a);
        for (i = 0; i < 3; i++)
            for (a = PRUN_ALGORITHM_DIRECT; a <= PRUN_ALGORITHM_WINOGRAD; a++)
                run_network((prun_family)i, (prun_algorithm)a);
    }
    prun_isa_set(before);
}

/* Every line is among the recorded ones. */
static void digits_are_the_recorded_ones(void) {
    static char text[MOST_LINES * 4 * LINE];
    FILE *file = fopen(path, "r");
    size_t size;
    int i;
#if FLT_EVAL_METHOD != 0 /* x87 keeps intermediate results in wider registers */
    SKIP("floats are not rounded to their type here");
    if (file) fclose(file);
    return;
#endif
    if (!CHECK(file != NULL)) return;
    size = fread(text, 1, sizeof text - 1, file);
    text[size] = 0;
    fclose(file);
    run_tiers();
    CHECK(found_count > 0);
    for (i = 0; i < found_count; i++)
        if (!CHECK(strstr(text, found[i]) != NULL)) printf("    %s\n", found[i]);
}

static const test_case cases[] = {TEST_CASE(digits_are_the_recorded_ones)};

int main(int argc, char **argv) {
    int i;
    if (argc != 2 || strcmp(argv[1], "--record") != 0)
        return TEST_MAIN("test_digits", cases, argc, argv);
    run_tiers();
    for (i = 0; i < found_count; i++) puts(found[i]);
    return 0;
}
