/* test_norms.c - section NORMS: spectral norms of matrices and convolutions against a full
   decomposition by one-sided Jacobi rotations, and against the known spectra of constructed maps;
   Frobenius norms, margins and bounds against closed forms. */
#include "../prunability.h"
#include "fixed.h"
#include "reference.h"
#include "singular_reference.h"
#include "test.h"

#include <stdlib.h>

static prun_tensor tensor(float *w, int64_t out, int64_t rest) {
    prun_tensor t;
    memset(&t, 0, sizeof t);
    t.data = w;
    t.name = "map";
    t.shape[0] = out;
    t.shape[1] = rest;
    t.rank = 2;
    t.flags = PRUN_TENSOR_WEIGHT;
    return t;
}

/* ---- the oracle ------------------------------------------------------------------------------ */

/* The convolution as a dense matrix, from its definition. */
static truth decompose_operator(const prun_conv2d *g, const float *w) {
    const int64_t in = g->in_height * g->in_width, n = g->in_channels * in;
    int64_t oh, ow, o, i, y, x, dy, dx;
    double *a;
    CHECK_STATUS(prun_conv2d_output(&test_context, g, &oh, &ow), PRUN_OK);
    a = (double *)calloc((size_t)(g->out_channels * oh * ow * n), sizeof *a);
    for (o = 0; o < g->out_channels; o++)
        for (y = 0; y < oh; y++)
            for (x = 0; x < ow; x++)
                for (i = 0; i < g->in_channels; i++)
                    for (dy = 0; dy < g->kernel[0]; dy++)
                        for (dx = 0; dx < g->kernel[1]; dx++) {
                            const int64_t iy = y * g->stride[0] + dy - g->padding[0];
                            const int64_t ix = x * g->stride[1] + dx - g->padding[1];
                            if (iy < 0 || iy >= g->in_height || ix < 0 || ix >= g->in_width)
                                continue;
                            a[((o * oh + y) * ow + x) * n + i * in + iy * g->in_width + ix] =
                                (double)w[((o * g->in_channels + i) * g->kernel[0] + dy) *
                                              g->kernel[1] +
                                          dx];
                        }
    return decompose(a, g->out_channels * oh * ow, n);
}

static double worst; /* largest relative error since the last reset */
static int64_t products, most_products, calls;

/* Checks the library's answer for three seeds: the norm and the documented guarantees. */
static void compare(float *w, int64_t out, int64_t rest, const prun_conv2d *g, truth right) {
    prun_tensor t = tensor(w, out, rest);
    uint64_t seed;
    for (seed = 1; seed <= 3; seed++) {
        prun_spectral_norm_result s;
        double nearest = HUGE_VAL, error;
        int64_t i;
        if (!CHECK_STATUS(prun_spectral_norm(&test_context, &t, NULL, g, 0, seed, &s), PRUN_OK))
            break;
        for (i = 0; i < right.count; i++) nearest = fmin(nearest, fabs(right.values[i] - s.norm));
        CHECK(nearest <= s.error * s.norm + 1e-13 * right.largest);
        CHECK(s.norm <= right.largest * (1 + 2e-13));
        CHECK(s.residual <= 1e-10 * s.norm * s.norm && s.error <= 1e-10);
        error = right.largest > 0 ? fabs(s.norm / right.largest - 1) : s.norm;
        if (!CHECK(error <= 1e-8))
            printf("norm %.17g, right %.17g, %lld products\n", s.norm, right.largest,
                   (long long)s.iterations);
        worst = fmax(worst, error);
        products += s.iterations;
        most_products = s.iterations > most_products ? s.iterations : most_products;
        calls++;
    }
    free(right.values);
}

/* ---- matrices of a given spectrum ------------------------------------------------------------ */

static void spectra_of_every_shape(void) {
    static const int64_t sizes[][2] = {{1, 1},   {1, 30},  {30, 1},         {2, 3},
                                       {19, 90}, {21, 20}, {ROWS, COLUMNS}, {COLUMNS, ROWS}};
    static const double scales[] = {1, 1e-30, 1e30, 1e-42};
    static float w[ROWS * COLUMNS];
    int shape;
    size_t size, scale;
    for (shape = 0; shape < SHAPES; shape++)
        for (size = 0; size < sizeof sizes / sizeof *sizes; size++)
            for (scale = 0; scale < sizeof scales / sizeof *scales; scale++) {
                const int64_t rows = sizes[size][0], columns = sizes[size][1];
                truth right;
                make_matrix(w, rows, columns, shape, scales[scale], (uint64_t)size);
                right = decompose_matrix(w, rows, columns);
                if (scales[scale] > 1e-40 && shape != 5) /* the weights' rounding */
                    CHECK_CLOSE(right.largest, scales[scale], 0, 2e-6);
                compare(w, rows, columns, NULL, right);
            }
}

/* ---- 200 random maps ------------------------------------------------------------------------- */

/* Gaussian, with a rank-one part in every second map, some rows damped in every third. */
static void random_weights(float *w, int64_t out, int64_t rest, int test) {
    const double plant = test % 2 ? pow(10, -1 + 0.04 * test) / sqrt((double)(out * rest)) : 0;
    int64_t i;
    for (i = 0; i < out * rest; i++) {
        const uint64_t stream = 1000 + 3 * (uint64_t)test;
        double x = normal(stream, i) / sqrt((double)(out + rest));
        if (test % 3 == 0) x *= pow(0.5, (double)(i / rest));
        w[i] = (float)(x + plant * normal(stream + 1, i / rest) * normal(stream + 2, i % rest));
    }
}

static void random_matrices(void) {
    static float w[64 * 90];
    int test;
    worst = 0;
    for (test = 0; test < 100; test++) {
        const int64_t out = 1 + 29 * test % 64, rest = 1 + 53 * test % 90;
        if (test % 5 == 4) make_matrix(w, out, rest, test / 5 % SHAPES, 1, (uint64_t)test + 50);
        else random_weights(w, out, rest, test);
        compare(w, out, rest, NULL, decompose_matrix(w, out, rest));
    }
    printf("100 matrices, 3 seeds: largest relative error %.2g\n", worst);
}

static void random_operators(void) {
    static float w[5 * 4 * 25];
    int test;
    worst = 0;
    products = most_products = calls = 0;
    for (test = 0; test < 100; test++) {
        prun_conv2d g;
        int64_t axis, rest;
        memset(&g, 0, sizeof g);
        g.in_channels = 1 + test % 4;
        g.out_channels = 1 + test / 2 % 5;
        g.in_height = 5 + test % 3;
        g.in_width = 6 - test % 2;
        for (axis = 0; axis < 2; axis++) {
            g.kernel[axis] = 1 + (test / (1 + 2 * (int)axis)) % 5;
            g.stride[axis] = 1 + (test / 5 + (int)axis) % 2;
        }
        for (axis = 0; axis < 4; axis++) g.padding[axis] = (test / 3 + axis * (test % 2)) % 3;
        rest = g.in_channels * g.kernel[0] * g.kernel[1];
        random_weights(w, g.out_channels, rest, test);
        compare(w, g.out_channels, rest, &g, decompose_operator(&g, w));
    }
    printf("100 operators, 3 seeds: largest relative error %.2g, products: mean %.1f, most %lld\n",
           worst, (double)products / (double)calls, (long long)most_products);
}

/* 64 x 64 kernels of 3 x 3 on 8 x 8 images, the sizes of a ResNet's last layers. With rows of a
   Hadamard matrix as orthogonal channel vectors, the operator decomposes into convolutions of one
   channel. The weights have few binary digits, so they are exact. */
static void large_kernels_with_known_norms(void) {
    enum { C = 64, TAPS = 9 };
    static float w[C * C * TAPS];
    static double part[C][TAPS];
    int test;
    worst = 0;
    for (test = 0; test < 6; test++) {
        prun_conv2d g, one;
        truth right;
        int64_t r, o, i, tap;
        memset(&g, 0, sizeof g);
        g.in_channels = g.out_channels = C;
        g.in_height = g.in_width = 8;
        g.kernel[0] = g.kernel[1] = 3;
        g.stride[0] = g.stride[1] = 1 + test / 3;
        for (i = 0; i < 4; i++) g.padding[i] = 1;
        one = g;
        one.in_channels = one.out_channels = 1;
        right.largest = 0;
        right.count = 0;
        right.values = (double *)malloc(C * 64 * sizeof(double));
        for (r = 0; r < C; r++) {
            const double scale = test % 3 == 0   ? 1 / (1 + 0.05 * (double)r) /* slow */
                                 : test % 3 == 1 ? pow(0.7, (double)r)        /* fast */
                                 : r             ? 0.25
                                                 : 1; /* separated */
            float k[TAPS];
            truth t;
            for (tap = 0; tap < TAPS; tap++) {
                part[r][tap] = floor(1024 * scale * normal(900 + (uint64_t)test, r * TAPS + tap));
                k[tap] = (float)part[r][tap];
            }
            t = decompose_operator(&one, k);
            for (i = 0; i < t.count; i++) right.values[right.count++] = C * t.values[i];
            right.largest = fmax(right.largest, C * t.largest);
            free(t.values);
        }
        for (o = 0; o < C; o++)
            for (i = 0; i < C; i++)
                for (tap = 0; tap < TAPS; tap++) {
                    double sum = 0;
                    for (r = 0; r < C; r++) {
                        int64_t bits = (r & o) ^ ((63 - r) & i), sign = 1;
                        for (; bits; bits &= bits - 1) sign = -sign;
                        sum += (double)sign * part[r][tap];
                    }
                    w[(o * C + i) * TAPS + tap] = (float)sum;
                    CHECK((double)w[(o * C + i) * TAPS + tap] == sum);
                }
        compare(w, C, C * TAPS, &g, right);
    }
    printf("6 kernels of 64 x 64 x 3 x 3, 3 seeds: largest relative error %.2g\n", worst);
}

/* ---- limits ---------------------------------------------------------------------------------- */

enum { WIDE = 4096 };

/* A kernel 1 2 1 on one row of pixels: singular values 2 + 2 cos(pi j / (WIDE + 1)), of which the
   largest are too close to each other to be separated by 1000 products. */
static prun_conv2d row_of_pixels(void) {
    prun_conv2d g;
    memset(&g, 0, sizeof g);
    g.in_channels = 1;
    g.in_height = 1;
    g.in_width = WIDE;
    g.out_channels = 1;
    g.kernel[0] = 1;
    g.kernel[1] = 3;
    g.stride[0] = 1;
    g.padding[1] = g.padding[3] = 1;
    return g;
}

static double row_norm(void) { return 2 + 2 * cos(3.14159265358979323846 / (WIDE + 1)); }

static void a_limit_that_is_reached(void) {
    static float k[] = {1, 2, 1};
    const prun_conv2d g = row_of_pixels();
    prun_tensor t = tensor(k, 1, 3);
    prun_spectral_norm_result s;
    memset(&s, 0, sizeof s);
    CHECK_STATUS(prun_spectral_norm(&test_context, &t, NULL, &g, 0, 1, &s), PRUN_ERR_CONVERGENCE);
    CHECK(s.iterations == 1000);
    CHECK(s.norm <= row_norm() * (1 + 2e-13));
    CHECK_CLOSE(s.norm, row_norm(), 0, 1e-5);
    CHECK(s.residual > 1e-10 * s.norm * s.norm && s.residual < 1e-3 * s.norm * s.norm);
    CHECK(s.error > 5e-11 && s.error < 1e-3);
    CHECK(strstr(test_context.message, "map") && strstr(test_context.message, "1000 steps"));
    CHECK_STATUS(prun_spectral_norm(&test_context, &t, NULL, &g, 1e-4, 1, &s), PRUN_OK);
    CHECK(s.iterations < 1000 && s.residual <= 1e-4 * s.norm * s.norm && s.error <= 6e-5);
}

/* Tolerances below the rounding error are replaced by the smallest possible one; with too large
   ones, the iteration ends at once. */
static void extreme_tolerances(void) {
    static float w[ROWS * COLUMNS];
    static const double tolerances[] = {1e-300, 4e-324, 1e-13, -1, NAN, 1e300};
    prun_tensor t = tensor(w, ROWS, COLUMNS);
    size_t i;
    int shape;
    for (shape = 0; shape < SHAPES; shape++)
        for (i = 0; i < sizeof tolerances / sizeof *tolerances; i++) {
            prun_spectral_norm_result s;
            make_matrix(w, ROWS, COLUMNS, shape, 1, 60);
            CHECK_STATUS(prun_spectral_norm(&test_context, &t, NULL, NULL, tolerances[i], 1, &s),
                         PRUN_OK);
            CHECK(s.iterations <= ROWS + 20);
            if (i < 3) CHECK(s.residual <= 1e-12 * s.norm * s.norm && s.error <= 1e-12);
            if (i == 5) CHECK(s.iterations == 1 && s.error <= 1);
        }
}

static void weights_that_are_not_finite(void) {
    static float w[12], w0[12];
    prun_tensor t = tensor(w, 3, 4);
    prun_spectral_norm_result s;
    w[7] = (float)HUGE_VAL;
    CHECK_STATUS(prun_spectral_norm(&test_context, &t, NULL, NULL, 0, 1, &s), PRUN_ERR_NONFINITE);
    CHECK(strstr(test_context.message, "map[7]") != NULL);
    w[7] = 1;
    w0[2] = NAN;
    CHECK_STATUS(prun_spectral_norm(&test_context, &t, w0, NULL, 0, 1, &s), PRUN_ERR_NONFINITE);
    CHECK(strstr(test_context.message, "initial map[2]") != NULL);
}

/* ---- threads and memory ---------------------------------------------------------------------- */

static void equal_bits_for_any_threads(void) {
    static const char *const isa[] = {"portable", "avx2", "avx512", "neon"};
    static float w[24 * 16 * 9];
    prun_tensor t = tensor(w, 24, 16 * 9);
    prun_conv2d g;
    int geometry, threads;
    size_t i;
    memset(&g, 0, sizeof g);
    g.in_channels = 16;
    g.out_channels = 24;
    g.in_height = g.in_width = 10;
    g.kernel[0] = g.kernel[1] = 3;
    g.padding[0] = g.padding[1] = g.padding[2] = g.padding[3] = 1;
    random_weights(w, 24, 16 * 9, 1);
    for (geometry = 0; geometry < 2; geometry++) {
        prun_spectral_norm_result first, s;
        prun_context context;
        int64_t items = 0;
        memset(&context, 0, sizeof context);
        context.threads = 1;
        CHECK_STATUS_IN(&context,
                        prun_spectral_norm(&context, &t, NULL, geometry ? &g : NULL, 0, 5, &first),
                        PRUN_OK);
        context.parallel_for = last_first;
        context.parallel_user = &items;
        for (threads = 2; threads < 8; threads++) {
            context.threads = threads;
            CHECK_STATUS_IN(&context,
                            prun_spectral_norm(&context, &t, NULL, geometry ? &g : NULL, 0, 5, &s),
                            PRUN_OK);
            CHECK(memcmp(&s, &first, sizeof s) == 0);
        }
        CHECK(!geometry || items > 0);
        for (i = 0; i < sizeof isa / sizeof isa[0]; i++) {
            if (prun_isa_set(isa[i]) != PRUN_OK) continue;
            CHECK_STATUS_IN(&context,
                            prun_spectral_norm(&context, &t, NULL, geometry ? &g : NULL, 0, 5, &s),
                            PRUN_OK);
            CHECK(memcmp(&s, &first, sizeof s) == 0);
        }
        prun_isa_set(NULL);
    }
}

typedef struct counted {
    int64_t live, made, fail_at;
} counted;

static void *counted_allocate(void *user, size_t size) {
    counted *c = (counted *)user;
    if (c->made++ == c->fail_at) return NULL;
    c->live++;
    return malloc(size);
}

static void counted_release(void *user, void *pointer) {
    ((counted *)user)->live--;
    free(pointer);
}

static void memory_that_runs_out(void) {
    static float w[ROWS * COLUMNS];
    prun_tensor t = tensor(w, ROWS, COLUMNS);
    int64_t fail_at, failures = 0;
    make_matrix(w, ROWS, COLUMNS, 0, 1, 60);
    for (fail_at = 0; fail_at < 10; fail_at++) {
        counted c = {0, 0, 0};
        prun_context context;
        prun_spectral_norm_result s;
        prun_status status;
        c.fail_at = fail_at;
        memset(&context, 0, sizeof context);
        context.allocate = counted_allocate;
        context.release = counted_release;
        context.allocator_user = &c;
        status = prun_spectral_norm(&context, &t, NULL, NULL, 0, 1, &s);
        CHECK(c.live == 0);
        if (c.made <= fail_at) {
            CHECK(status == PRUN_OK);
            break;
        }
        CHECK(status == PRUN_ERR_MEMORY);
        failures++;
    }
    CHECK(failures > 0 && fail_at < 10);
}

/* ---- measures -------------------------------------------------------------------------------- */

/* The operator norm of the network's first layer does not converge. Measures that need it have a
   value and say that it is not exact; other measures are unaffected. */
static void measures_say_what_did_not_converge(void) {
    enum { IMAGES = 4 };
    static float pixels[IMAGES * WIDE];
    static const int32_t labels[IMAGES] = {0, 1, 0, 1};
    static const float kernel[] = {1, 2, 1, 0, 0, 0};
    static const char *const names[] = {"sum_of_spectral_norms_operator", "sum_of_spectral_norms",
                                        "parameters"};
    prun_conv2d g = row_of_pixels();
    prun_images images;
    prun_net *net = NULL;
    prun_objective objective;
    const prun_measure_info *infos;
    prun_measure_result *results;
    prun_conv2d_options o;
    uint8_t *wanted;
    int32_t layer, noted = 0;
    int64_t tensors, count, i;
    memset(&images, 0, sizeof images);
    for (i = 0; i < IMAGES * WIDE; i++) pixels[i] = (float)normal(3, i);
    images.count = IMAGES;
    images.channels = images.height = 1;
    images.width = WIDE;
    images.classes = 2;
    images.values = pixels;
    images.labels = labels;
    CHECK_STATUS(prun_net_create(&test_context, 1, 1, WIDE, &net), PRUN_OK);
    memset(&o, 0, sizeof o);
    o.channels = 2;
    o.omit_bias = 1;
    memcpy(o.kernel, g.kernel, sizeof o.kernel);
    memcpy(o.stride, g.stride, sizeof o.stride);
    memcpy(o.padding, g.padding, sizeof o.padding);
    layer = prun_layer_conv2d_with(net, 0, "wide", &o);
    layer = prun_layer_global_avg_pool(net, prun_layer_relu(net, layer));
    CHECK_STATUS(prun_net_finish(net, prun_layer_linear(net, layer, "fc", 2, 1), 1), PRUN_OK);
    memcpy(prun_net_tensors(net, &tensors)->data, kernel, sizeof kernel);
    CHECK_STATUS(prun_net_objective(net, &images, &objective), PRUN_OK);
    infos = prun_measures(&count);
    results = (prun_measure_result *)calloc((size_t)count, sizeof *results);
    wanted = (uint8_t *)calloc((size_t)count, 1);
    for (i = 0; i < count; i++) wanted[i] = strstr(infos[i].name, "spectral") != NULL;
    wanted[prun_measure_find(names[2])] = 1;
    CHECK_STATUS(prun_measure_all(&objective, wanted, NULL, results), PRUN_OK);
    for (i = 0; i < count; i++) {
        if (!strstr(results[i].message, "did not converge")) continue;
        noted++;
        CHECK(results[i].status == PRUN_OK && results[i].value > 0);
        CHECK(strstr(results[i].message, "spectral norm of wide.weight") != NULL);
    }
    CHECK(noted >= 4);
    for (i = 0; i < 3; i++) {
        const prun_measure_result *r = &results[prun_measure_find(names[i])];
        CHECK(r->status == PRUN_OK && r->value > 0);
        CHECK((strstr(r->message, "did not converge") != NULL) == (i == 0));
    }
    free(results);
    free(wanted);
    prun_net_free(net);
}

static double uniform(uint64_t stream, int64_t i) {
    return prun_random_uniform(77, stream, (uint64_t)i);
}

/* ---- norms, margins, training losses ---- */

static prun_tensor flagged_matrix(const char *name, float *data, int64_t rows, int64_t columns,
                                  uint32_t flags) {
    prun_tensor t;
    memset(&t, 0, sizeof t);
    t.data = data;
    t.name = name;
    t.rank = 2;
    t.shape[0] = rows;
    t.shape[1] = columns;
    t.flags = flags;
    return t;
}

static void frobenius_norms(void) {
    float w1[6] = {1, 2, 0, 0, 1, -1}, w2[4] = {2, 1, 1, -1}, bias[2] = {100, 100},
          scale[2] = {7, 7};
    float large[2] = {3e30f, 4e30f}, zero[2] = {0, 0};
    prun_tensor t[4];
    t[0] = flagged_matrix("w1", w1, 2, 3, PRUN_TENSOR_WEIGHT);
    t[1] = flagged_matrix("b1", bias, 1, 2, PRUN_TENSOR_BIAS);
    t[2] = flagged_matrix("w2", w2, 2, 2, PRUN_TENSOR_WEIGHT);
    t[3] = flagged_matrix("norm", scale, 1, 2, PRUN_TENSOR_NORM);
    CHECK_CLOSE(prun_frobenius_squared(&t[0]), 7, 0, 1e-14);
    CHECK_CLOSE(prun_frobenius_squared(&t[2]), 7, 0, 1e-14);
    CHECK_CLOSE(prun_sum_of_frobenius(t, 4), 14, 0, 1e-12);
    w2[0] = 4; /* norms 7 and 19: 2 sqrt(133) */
    CHECK_CLOSE(prun_sum_of_frobenius(t, 4), 2 * sqrt(133.0), 0, 1e-12);
    t[1] = flagged_matrix("large", large, 1, 2, 0); /* beyond the range of a float's square */
    CHECK_CLOSE(prun_frobenius_squared(&t[1]), 25e60, 0, 1e-6);
    t[1] = flagged_matrix("zero", zero, 1, 2, PRUN_TENSOR_WEIGHT);
    CHECK(prun_sum_of_frobenius(t, 4) == 0);
    t[3] = flagged_matrix("zero again", zero + 1, 1, 1, PRUN_TENSOR_WEIGHT);
    CHECK(isnan(prun_sum_of_frobenius(t, 4)));
}

static void frobenius_product_beyond_double(void) {
    const float size[2] = {1e20f, 1e-20f};
    float entry[40];
    prun_tensor t[40];
    int i, j;
    for (j = 0; j < 2; j++) {
        for (i = 0; i < 40; i++) {
            entry[i] = size[j];
            t[i] = flagged_matrix("w", &entry[i], 1, 1, PRUN_TENSOR_WEIGHT);
        }
        CHECK_CLOSE(prun_sum_of_frobenius(t, 40), j ? 40e-40 : 40e40, 0, 1e-5);
    }
}

static void margins_and_cross_entropy(void) {
    static const float logits[30] = {2, .5f, -1, .2f, .1f, 0, 1, 3, 2.5f, -1, 0,    4, 0, .3f, .2f,
                                     5, 1,   1,  1,   2,   0, 0, 0, 1,    2,  1.9f, 0, 3, 0,   0};
    static const int32_t labels[10] = {0, 0, 1, 2, 2, 0, 1, 2, 0, 0};
    static const double want[10] = {1.5, .1, .5, 4, -.1, 4, 1, 1, .1, 3};
    double margins[10], loss = 0, entropy = 0, p[3];
    int i, j;
    prun_output_margins(logits, labels, 10, 3, margins);
    for (i = 0; i < 10; i++) {
        CHECK_CLOSE(margins[i], want[i], 3e-7, 0);
        loss += prun_cross_entropy(logits + 3 * i, 3, labels[i], p) / 10;
        for (j = 0; j < 3; j++) {
            entropy += p[j] * log(p[j]) / 10;
        }
    }
    CHECK_CLOSE(loss, 0.4698859264097896, 1e-7, 0);
    CHECK_CLOSE(entropy, -0.7063227465504474, 1e-7, 0);
}

/* The runner-up may be on either side of the label, and equal logits give zero. */
static void margins_by_definition(void) {
    float logits[50 * 6];
    int32_t labels[50];
    double margins[50];
    int i, j;
    for (i = 0; i < 50 * 6; i++) {
        logits[i] = (float)floor(uniform(40, i) * 9 - 4);
    }
    for (i = 0; i < 50; i++) {
        labels[i] = i % 6;
    }
    prun_output_margins(logits, labels, 50, 6, margins);
    for (i = 0; i < 50; i++) {
        double best = -INFINITY;
        for (j = 0; j < 6; j++) {
            if (j != labels[i] && (double)logits[6 * i + j] > best) {
                best = (double)logits[6 * i + j];
            }
        }
        CHECK(margins[i] == (double)logits[6 * i + labels[i]] - best);
    }
}

static void sum_of_train_losses(void) {
    prun_epoch history[3];
    memset(history, 0, sizeof history);
    history[0].loss = 2.25;
    history[1].loss = 1.5;
    history[2].loss = 0.125;
    history[2].evaluated_loss = 50;
    CHECK_CLOSE(prun_sum_of_train_losses(history, 3), -3.875, 0, 1e-15);
    CHECK_CLOSE(prun_sum_of_train_losses(history, 1), -2.25, 0, 1e-15);
    CHECK(prun_sum_of_train_losses(history, 0) == 0);
}

/* ---- closed forms ---------------------------------------------------------------------------- */

static void bounds_by_hand(void) {
    static float w[] = {1, -2, .5f}, w0[] = {.5f, -1, 0};
    prun_tensor t = matrix(w, 1, 3), t0 = matrix(w0, 1, 3);
    prun_dropout_bound b;
    CHECK_CLOSE(prun_pacbayes_bound(100, .1, 50000), 2523.122363377404, 0, 1e-12);
    CHECK_CLOSE(prun_pacbayes_bound(64, .1, 50000), 1623.122363377404, 0, 1e-12);
    CHECK_CLOSE(prun_pacbayes_magnitude_bound(&t, &t0, 1, .2, 1e-3, 1, 100), 18.831412491962553, 0,
                1e-12);
    CHECK_CLOSE(prun_pacbayes_magnitude_bound(&t, NULL, 1, .2, 1e-3, 1, 100), 19.077859943810594, 0,
                1e-12);
    memset(&b, 0, sizeof b);
    b.empirical = .02;
    b.kept = .25;
    b.squared_norm = 100;
    b.samples = 50000;
    b.candidates = exp(5);
    CHECK_CLOSE(prun_dropout_bound_value(&b), 0.037696365977426524, 0, 1e-12);
    b.candidates = 100;
    CHECK_CLOSE(prun_dropout_bound_value(&b), 0.0375844531248304, 0, 1e-12);
    b.sigma = 2; /* a quarter of the divergence, like a quarter of the norm */
    b.squared_norm = 400;
    CHECK_CLOSE(prun_dropout_bound_value(&b), 0.0375844531248304, 0, 1e-12);
    b.sigma = 0;
    b.squared_norm = 100;
    b.candidates = 1;
    b.lambda = 2;
    CHECK_CLOSE(prun_dropout_bound_value(&b), 0.02749310572125621, 0, 1e-12);
    b.lambda = .5;
    CHECK(isnan(prun_dropout_bound_value(&b)));
    b.lambda = 0;
    b.samples = 1;
    CHECK(isnan(prun_dropout_bound_value(&b)));
}

/* ---- spectral norms -------------------------------------------------------------------------- */

static prun_conv2d geometry(int64_t in, int64_t h, int64_t w, int64_t out, int64_t kernel,
                            int64_t stride, int64_t padding) {
    prun_conv2d c;
    int i;
    memset(&c, 0, sizeof c);
    c.in_channels = in;
    c.in_height = h;
    c.in_width = w;
    c.out_channels = out;
    c.kernel[0] = kernel;
    c.stride[0] = stride;
    for (i = 0; i < 4; i++) c.padding[i] = padding;
    return c;
}

static void convolutions_by_hand(void) {
    static float k[] = {1, 2, 0, -1}, k2[36];
    prun_tensor t = matrix(k, 1, 4), t2 = matrix(k2, 2, 18);
    prun_conv2d g;
    prun_spectral_norm_result s;
    int i;
    for (i = 0; i < 36; i++) k2[i] = (float)(7 * i % 11 - 5); /* five times the text's kernel */
    CHECK_STATUS(prun_spectral_norm(&test_context, &t, NULL, NULL, 1e-8, 1, &s), PRUN_OK);
    CHECK_CLOSE(s.norm, 2.449489742783178, 0, 1e-10);
    g = geometry(1, 4, 4, 1, 2, 1, 1);
    CHECK_STATUS(prun_spectral_norm(&test_context, &t, NULL, &g, 1e-8, 1, &s), PRUN_OK);
    CHECK_CLOSE(s.norm, 3.716727014465053, 0, 1e-10);
    g = geometry(1, 4, 4, 1, 2, 1, 0);
    CHECK_STATUS(prun_spectral_norm(&test_context, &t, NULL, &g, 1e-8, 1, &s), PRUN_OK);
    CHECK_CLOSE(s.norm, 3.5629607041156635, 0, 1e-10);
    g = geometry(1, 4, 4, 1, 2, 2, 1);
    CHECK_STATUS(prun_spectral_norm(&test_context, &t, NULL, &g, 1e-8, 1, &s), PRUN_OK);
    CHECK_CLOSE(s.norm, 2.449489742783178, 0, 1e-10);
    CHECK_STATUS(prun_spectral_norm(&test_context, &t2, NULL, NULL, 1e-8, 1, &s), PRUN_OK);
    CHECK_CLOSE(s.norm, 5 * 3.3186520975733176, 0, 1e-10);
    g = geometry(2, 4, 4, 2, 3, 1, 1);
    CHECK_STATUS(prun_spectral_norm(&test_context, &t2, NULL, &g, 1e-8, 1, &s), PRUN_OK);
    CHECK_CLOSE(s.norm, 5 * 5.475903256114739, 0, 1e-10);
    g = geometry(2, 4, 4, 2, 3, 2, 1);
    CHECK_STATUS(prun_spectral_norm(&test_context, &t2, NULL, &g, 1e-8, 1, &s), PRUN_OK);
    CHECK_CLOSE(s.norm, 5 * 3.369047318459186, 0, 1e-10);
    g = geometry(3, 4, 4, 2, 3, 2, 1);
    CHECK_STATUS(prun_spectral_norm(&test_context, &t2, NULL, &g, 1e-8, 1, &s), PRUN_ERR_SHAPE);
}

/* Spectral norm of the convolution as a dense matrix, built from the definition. */
static double dense_norm(const prun_conv2d *g, const float *w, const float *w0) {
    const int64_t kh = g->kernel[0], kw = g->kernel[1] ? g->kernel[1] : kh;
    const int64_t sh = g->stride[0], sw = g->stride[1] ? g->stride[1] : sh;
    int64_t oh, ow, o, i, y, x, dy, dx, r, c, rows, n = g->in_channels * g->in_height * g->in_width;
    double *a, *square, *values, norm;
    if (!CHECK_STATUS(prun_conv2d_output(&test_context, g, &oh, &ow), PRUN_OK)) return NAN;
    rows = g->out_channels * oh * ow;
    a = (double *)calloc((size_t)(rows * n), sizeof *a);
    square = (double *)calloc((size_t)(n * n), sizeof *a);
    values = (double *)calloc((size_t)n, sizeof *a);
    for (o = 0; o < g->out_channels; o++)
        for (y = 0; y < oh; y++)
            for (x = 0; x < ow; x++)
                for (i = 0; i < g->in_channels; i++)
                    for (dy = 0; dy < kh; dy++)
                        for (dx = 0; dx < kw; dx++) {
                            int64_t iy = y * sh + dy - g->padding[0];
                            int64_t ix = x * sw + dx - g->padding[1];
                            int64_t k = ((o * g->in_channels + i) * kh + dy) * kw + dx;
                            if (iy < 0 || iy >= g->in_height || ix < 0 || ix >= g->in_width)
                                continue;
                            a[((o * oh + y) * ow + x) * n + (i * g->in_height + iy) * g->in_width +
                              ix] += (double)w[k] - (w0 ? (double)w0[k] : 0);
                        }
    for (r = 0; r < rows; r++)
        for (i = 0; i < n; i++)
            for (c = 0; c < n; c++) square[i * n + c] += a[r * n + i] * a[r * n + c];
    ref_eigenvalues(square, n, values, NULL);
    norm = sqrt(values[n - 1]);
    free(a);
    free(square);
    free(values);
    return norm;
}

static void spectral_norms_match_dense_svd(void) {
    int test;
    for (test = 0; test < 24; test++) {
        float w[400], w0[400];
        prun_conv2d g;
        prun_tensor t;
        prun_spectral_norm_result s;
        int64_t i, size, kernel = 1 + test % 3, axis;
        const float *initial = test % 2 ? w0 : NULL;
        double dense, matrix_norm;
        prun_conv2d flat;
        g = geometry(1 + test % 4, 3 + test % 5, 4 + test % 3, 1 + test % 5, kernel, 1 + test / 8,
                     0);
        if (test % 4 == 1 && kernel < 3) g.kernel[1] = kernel + 1;
        if (test % 4 == 2) g.stride[1] = 2;
        for (axis = 0; axis < 4; axis++) g.padding[axis] = (test + axis) % 3 ? test % 2 : 0;
        size = g.out_channels * g.in_channels * kernel * (g.kernel[1] ? g.kernel[1] : kernel);
        for (i = 0; i < size; i++) {
            w[i] = (float)prun_random_normal(1, (uint64_t)test, (uint64_t)i);
            w0[i] = (float)prun_random_normal(2, (uint64_t)test, (uint64_t)i);
        }
        t = matrix(w, g.out_channels, size / g.out_channels);
        CHECK_STATUS(prun_spectral_norm(&test_context, &t, initial, &g, 1e-8, 7, &s), PRUN_OK);
        dense = dense_norm(&g, w, initial);
        CHECK_CLOSE(s.norm, dense, 0, 1e-9);
        CHECK(s.residual <= 1e-8 * s.norm * s.norm);
        flat = geometry(size / g.out_channels, 1, 1, g.out_channels, 1, 1, 0);
        matrix_norm = dense_norm(&flat, w, initial);
        CHECK_STATUS(prun_spectral_norm(&test_context, &t, initial, NULL, 1e-8, 7, &s), PRUN_OK);
        CHECK_CLOSE(s.norm, matrix_norm, 0, 1e-9);
    }
}

/* Known spectra: zero; a permuted diagonal; nearly equal values; one column. */
static void spectral_norms_of_odd_matrices(void) {
    enum { N = 40 };
    static float w[N * N];
    prun_tensor t = matrix(w, N, N);
    prun_spectral_norm_result s;
    int i;
    CHECK_STATUS(prun_spectral_norm(&test_context, &t, NULL, NULL, 1e-8, 1, &s), PRUN_OK);
    CHECK(s.norm == 0);
    for (i = 0; i < N; i++) w[i * N + (7 * i + 3) % N] = (float)(i % 2 ? -1 : 1) * (float)(N - i);
    CHECK_STATUS(prun_spectral_norm(&test_context, &t, NULL, NULL, 1e-8, 1, &s), PRUN_OK);
    CHECK_CLOSE(s.norm, N, 0, 1e-11);
    for (i = 0; i < N * N; i++) w[i] *= 1e-18f; /* squares of squares underflow in float */
    CHECK_STATUS(prun_spectral_norm(&test_context, &t, NULL, NULL, 1e-8, 1, &s), PRUN_OK);
    CHECK_CLOSE(s.norm, N * 1e-18, 0, 1e-6);
    for (i = 0; i < N; i++) w[i * N + (7 * i + 3) % N] = 1 + 1e-3f * (float)(i % 4);
    CHECK_STATUS(prun_spectral_norm(&test_context, &t, NULL, NULL, 1e-8, 1, &s), PRUN_OK);
    CHECK_CLOSE(s.norm, (double)(1 + 3e-3f), 0, 1e-9);
    memset(w, 0, sizeof w);
    w[5] = 3;
    w[N + 5] = 4;
    CHECK_STATUS(prun_spectral_norm(&test_context, &t, NULL, NULL, 1e-8, 1, &s), PRUN_OK);
    CHECK_CLOSE(s.norm, 5, 0, 1e-12);
}

static const test_case cases[] = {
    TEST_CASE(spectra_of_every_shape),
    TEST_CASE(random_matrices),
    TEST_CASE(random_operators),
    TEST_CASE(large_kernels_with_known_norms),
    TEST_CASE(a_limit_that_is_reached),
    TEST_CASE(extreme_tolerances),
    TEST_CASE(weights_that_are_not_finite),
    TEST_CASE(equal_bits_for_any_threads),
    TEST_CASE(memory_that_runs_out),
    TEST_CASE(measures_say_what_did_not_converge),
    TEST_CASE(frobenius_norms),
    TEST_CASE(frobenius_product_beyond_double),
    TEST_CASE(margins_and_cross_entropy),
    TEST_CASE(margins_by_definition),
    TEST_CASE(sum_of_train_losses),
    TEST_CASE(bounds_by_hand),
    TEST_CASE(convolutions_by_hand),
    TEST_CASE(spectral_norms_match_dense_svd),
    TEST_CASE(spectral_norms_of_odd_matrices),
};

int main(int argc, char **argv) { return TEST_MAIN("test_norms", cases, argc, argv); }
