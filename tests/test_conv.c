/* test_conv.c - section CONV: convolutions and their gradients against slow reference code, with
   every instruction set and algorithm. Also tests KERNELS, X86, ARM, TIERS, WINOGRAD and
   KERNELGRAD. */
#include "implementation.h" /* for prun__conv_can_use_winograd */

#include <float.h>
#include <stdlib.h>

#include "lanes.h"

static const char *const isas[] = {"portable", "avx2", "avx512", "neon"};
enum { ISAS = sizeof(isas) / sizeof(isas[0]) };

/* Switches the kernels. Returns 0 if this machine or build lacks them. */
static int use_isa(const char *name) {
    prun_status status = prun_isa_set(name);
    CHECK(status == PRUN_OK || (status == PRUN_ERR_UNSUPPORTED && strcmp(name, "portable") != 0));
    if (status == PRUN_OK) CHECK(strcmp(prun_isa(), name) == 0);
    return status == PRUN_OK;
}

/* Convolution */

/* One geometry with its data and reference results. */
typedef struct conv_case {
    prun_conv2d conv;
    int64_t x_shape[4], y_shape[4];
    ref_window window;
    int with_bias;
    buffer x, weight, bias, dy;
    ref_tensor y, dx, dweight;
} conv_case;

/* The convention "zero means as the first, stride zero means 1", spelled out for the reference. */
static ref_window window_of(const prun_conv2d *conv) {
    ref_window g;
    g.kh = conv->kernel[0];
    g.kw = conv->kernel[1] ? conv->kernel[1] : g.kh;
    g.sh = conv->stride[0] ? conv->stride[0] : 1;
    g.sw = conv->stride[1] ? conv->stride[1] : g.sh;
    g.top = conv->padding[0];
    g.left = conv->padding[1];
    g.bottom = conv->padding[2];
    g.right = conv->padding[3];
    return g;
}

static void make_references(conv_case *t) {
    const int64_t *xs = t->x_shape, *ys = t->y_shape;
    int64_t outputs = ys[1], o;
    ref_tensor x = ref_from_floats(t->x.v, xs[0], xs[1], xs[2], xs[3]);
    ref_tensor weight = ref_from_floats(t->weight.v, outputs, xs[1], t->window.kh, t->window.kw);
    ref_tensor dy = ref_from_floats(t->dy.v, ys[0], ys[1], ys[2], ys[3]);
    double *bias = ref_zeros(outputs);
    for (o = 0; o < outputs; o++) bias[o] = (double)t->bias.v[o];
    t->y = ref_conv(&x, &weight, t->with_bias ? bias : NULL, &t->window);
    t->dx = ref_conv_input_gradient(&x, &weight, &t->window, &dy);
    t->dweight = ref_conv_weight_gradient(&x, &weight, &t->window, &dy);
}

static void make_case(conv_case *t, const prun_conv2d *conv, int64_t n) {
    ref_tensor x = {0, 0, 0, 0, NULL};
    t->conv = *conv;
    t->window = window_of(conv);
    t->with_bias = (int)ref_pick(&noise_state, 2);
    x.h = conv->in_height;
    x.w = conv->in_width;
    t->x_shape[0] = t->y_shape[0] = n;
    t->x_shape[1] = conv->in_channels;
    t->x_shape[2] = x.h;
    t->x_shape[3] = x.w;
    t->y_shape[1] = conv->out_channels;
    t->y_shape[2] = ref_out_height(&x, &t->window);
    t->y_shape[3] = ref_out_width(&x, &t->window);
    t->x = noise_buffer(n * conv->in_channels * x.h * x.w);
    t->weight = noise_buffer(conv->out_channels * conv->in_channels * t->window.kh * t->window.kw);
    t->bias = noise_buffer(conv->out_channels);
    t->dy = noise_buffer(n * conv->out_channels * t->y_shape[2] * t->y_shape[3]);
    make_references(t);
}

static void free_case(conv_case *t) {
    free(t->x.base);
    free(t->weight.base);
    free(t->bias.base);
    free(t->dy.base);
    ref_free_all();
}

static buffer packed(const buffer *nchw, const int64_t shape[4], float empty) {
    buffer lanes = new_buffer(prun_lanes_size(shape[0], shape[1], shape[2], shape[3]));
    prun_lanes_pack(nchw->v, shape[0], shape[1], shape[2], shape[3], lanes.v);
    fill_empty_lanes(lanes.v, shape, empty);
    return lanes;
}

/* The float32 rounding of a sum of K terms is about sqrt(K) 6e-8 of its size, and a few times that
   with Winograd. A wrong or missing term gives at least 1e-4 in tensors of this size. */
static void check_distance(const conv_case *t, const char *what, const float *got,
                           const ref_tensor *want) {
    const prun_conv2d *v = &t->conv;
    double distance = ref_distance(got, want->v, ref_size(want));
    if (CHECK(distance <= 1e-5)) return;
    printf("  %s of %s: error %.2g, n %d, x %dx%dx%d, out %d, kernel %d,%d, stride %d,%d, "
           "padding %d,%d,%d,%d\n",
           what, prun_isa(), distance, (int)t->x_shape[0], (int)v->in_channels, (int)v->in_height,
           (int)v->in_width, (int)v->out_channels, (int)v->kernel[0], (int)v->kernel[1],
           (int)v->stride[0], (int)v->stride[1], (int)v->padding[0], (int)v->padding[1],
           (int)v->padding[2], (int)v->padding[3]);
}

/* Unpacks a result, compares it, releases it. */
static void check_lanes(const conv_case *t, const char *what, buffer *lanes, const int64_t shape[4],
                        const ref_tensor *want) {
    buffer nchw = new_buffer(ref_size(want));
    CHECK(buffer_intact(lanes));
    prun_lanes_unpack(lanes->v, shape[0], shape[1], shape[2], shape[3], nchw.v);
    check_distance(t, what, nchw.v, want);
    free(nchw.base);
    free(lanes->base);
}

/* All three passes with the current kernels. Empty lanes contain garbage wherever the contract
   allows it. */
static void run_case(const conv_case *t) {
    const int64_t *xs = t->x_shape, *ys = t->y_shape;
    const float *bias = t->with_bias ? t->bias.v : NULL;
    buffer x = packed(&t->x, xs, 1000.0f), dy = packed(&t->dy, ys, -1000.0f);
    buffer y = new_buffer(dy.count), dx = new_buffer(x.count);
    buffer dweight = new_buffer(t->weight.count);
    int64_t height = -1, width = -1;
    test_context.threads = 1; /* thousands of tiny cases: waking threads would take all the time */
    CHECK_STATUS(prun_conv2d_output(&test_context, &t->conv, &height, &width), PRUN_OK);
    CHECK(height == ys[2] && width == ys[3]);
    CHECK_STATUS(prun_conv2d_forward(&test_context, &t->conv, xs[0], x.v, t->weight.v, bias, y.v),
                 PRUN_OK);
    check_lanes(t, "forward", &y, ys, &t->y);
    CHECK_STATUS(
        prun_conv2d_input_gradient(&test_context, &t->conv, xs[0], dy.v, t->weight.v, dx.v),
        PRUN_OK);
    check_lanes(t, "input gradient", &dx, xs, &t->dx);
    fill_empty_lanes(dy.v, ys, 0);
    CHECK_STATUS(prun_conv2d_weight_gradient(&test_context, &t->conv, xs[0], x.v, dy.v, dweight.v),
                 PRUN_OK);
    CHECK(buffer_intact(&dweight));
    check_distance(t, "weight gradient", dweight.v, &t->dweight);
    CHECK(buffer_intact(&x) && buffer_intact(&dy));
    free(x.base);
    free(dy.base);
    free(dweight.base);
}

/* Every instruction set, and every algorithm that the shape allows. */
static void check_conv(const prun_conv2d *conv, int64_t n) {
    static const prun_algorithm algorithms[] = {PRUN_ALGORITHM_DIRECT, PRUN_ALGORITHM_WINOGRAD};
    conv_case t;
    int i, a;
    make_case(&t, conv, n);
    for (i = 0; i < ISAS; i++) {
        if (!use_isa(isas[i])) continue;
        for (a = 0; a < 2; a++) {
            t.conv.algorithm = algorithms[a];
            run_case(&t);
            if (!prun__conv_can_use_winograd(conv)) break;
        }
    }
    prun_isa_set(NULL);
    free_case(&t);
}

static const int64_t channel_set[] = {1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 16, 17, 24, 32, 33};
static const int64_t count_set[] = {1, 5, 16, 19, 33};
static const int64_t size_set[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 32};
enum { CHANNEL_SET = 16, COUNT_SET = 5, SIZE_SET = 14 };

/* Multiply-adds of a case, 0 where the kernel does not fit. */
static int64_t conv_work(const prun_conv2d *conv, int64_t n) {
    ref_window g = window_of(conv);
    int64_t rows = conv->in_height + g.top + g.bottom - g.kh;
    int64_t columns = conv->in_width + g.left + g.right - g.kw;
    if (rows < 0 || columns < 0) return 0;
    return (rows / g.sh + 1) * (columns / g.sw + 1) * g.kh * g.kw * conv->in_channels *
           conv->out_channels * n;
}

/* Paddings may exceed kernel - 1, so that whole windows lie in the padding. */
static prun_conv2d random_conv(int64_t *n) {
    uint64_t *s = &noise_state;
    prun_conv2d conv =
        square_conv(channel_set[ref_pick(s, CHANNEL_SET)], 1, channel_set[ref_pick(s, CHANNEL_SET)],
                    1 + ref_pick(s, 5), 1 + ref_pick(s, 3), 0);
    int i;
    conv.in_height = size_set[ref_pick(s, SIZE_SET)];
    conv.in_width = size_set[ref_pick(s, SIZE_SET)];
    if (ref_pick(s, 2)) conv.kernel[1] = 1 + ref_pick(s, 5);
    if (ref_pick(s, 2)) conv.stride[1] = 1 + ref_pick(s, 3);
    for (i = 0; i < 4; i++) conv.padding[i] = ref_pick(s, conv.kernel[i % 2] + 2);
    *n = count_set[ref_pick(s, COUNT_SET)];
    return conv;
}

static void conv2d_random_geometries(void) {
    int cases = 0;
    while (cases < 500) {
        int64_t n, work;
        prun_conv2d conv = random_conv(&n);
        work = conv_work(&conv, n);
        if (work == 0 || work > 400000) continue;
        check_conv(&conv, n);
        cases++;
    }
}

/* Channel counts that leave every kind of tail in the register blocks over channels. */
static void conv2d_channel_pairs(void) {
    int i, o;
    for (i = 0; i < CHANNEL_SET; i++) {
        for (o = 0; o < CHANNEL_SET; o++) {
            prun_conv2d conv = square_conv(channel_set[i], 4, channel_set[o], 3, 1, 1);
            conv.in_width = 5;
            check_conv(&conv, 2);
        }
    }
}

/* Image sizes that leave every kind of tail in the register blocks over positions. */
static void conv2d_sizes_and_strides(void) {
    int64_t kernel, stride, i;
    for (kernel = 1; kernel <= 5; kernel++) {
        for (stride = 1; stride <= 3; stride++) {
            for (i = 0; i < SIZE_SET; i++) {
                prun_conv2d conv = square_conv(2, size_set[i], 5, kernel, stride, kernel / 2);
                check_conv(&conv, count_set[i % 2]);
            }
        }
    }
}

/* Kernels as large as the image, as for a linear layer after flatten. */
static void conv2d_whole_image(void) {
    static const int64_t shapes[][4] = {{1, 1, 1, 1},  {33, 1, 1, 10}, {16, 4, 4, 10},
                                        {3, 7, 5, 12}, {6, 2, 9, 1},   {8, 13, 13, 3}};
    size_t i;
    int j;
    for (i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        for (j = 0; j < COUNT_SET; j++) {
            prun_conv2d conv = square_conv(shapes[i][0], 0, shapes[i][3], 0, 1, 0);
            conv.in_height = conv.kernel[0] = shapes[i][1];
            conv.in_width = conv.kernel[1] = shapes[i][2];
            check_conv(&conv, count_set[j]);
        }
    }
}

/* The shapes on which the three families spend most of their time, at full image size. */
static void conv2d_family_shapes(void) {
    static const int64_t shapes[][6] = {{3, 32, 8, 3, 1, 1},  {8, 32, 6, 3, 1, 1},
                                        {6, 32, 8, 3, 2, 1},  {16, 16, 16, 1, 1, 0},
                                        {12, 8, 24, 3, 1, 1}, {32, 4, 32, 3, 1, 1}};
    size_t i;
    for (i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        const int64_t *s = shapes[i];
        prun_conv2d conv = square_conv(s[0], s[1], s[2], s[3], s[4], s[5]);
        check_conv(&conv, 2);
        conv.padding[0] = conv.padding[1] = 0; /* TensorFlow's SAME at stride 2 */
        check_conv(&conv, 3);
    }
}

static void conv2d_zero_means_default(void) {
    prun_conv2d conv = square_conv(3, 9, 4, 3, 0, 1);
    conv.kernel[1] = 0;
    check_conv(&conv, 5);
    conv.stride[0] = 2;
    check_conv(&conv, 5);
}

/* Every padding that Winograd supports, with both strides, and image sizes down to one pixel. */
static void conv2d_winograd_borders(void) {
    int k, i, stride, size;
    for (k = 0; k < 81; k++)
        for (stride = 1; stride <= 2; stride++)
            for (size = 1; size <= 9; size += 4) {
                prun_conv2d conv = square_conv(3, size + k % 3, 5, 3, stride, 0);
                int rest = k;
                conv.in_width = 9 - size + k % 2 + 1;
                for (i = 0; i < 4; i++, rest /= 3) conv.padding[i] = rest % 3;
                if (conv.in_height + conv.padding[0] + conv.padding[2] < 3 ||
                    conv.in_width + conv.padding[1] + conv.padding[3] < 3)
                    continue;
                check_conv(&conv, 3);
            }
}

/* Threads and hook */

static void reversed(void *user, void (*body)(void *argument, int64_t i), void *argument,
                     int64_t count) {
    int64_t i;
    *(int *)user += 1;
    for (i = count - 1; i >= 0; i--) body(argument, i);
}

/* The results of the three passes, concatenated. */
static buffer all_passes(const conv_case *t, prun_context *context) {
    const int64_t n = t->x_shape[0];
    buffer x = packed(&t->x, t->x_shape, 0), dy = packed(&t->dy, t->y_shape, 0);
    buffer all = new_buffer(dy.count + x.count + t->weight.count);
    float *dx = all.v + dy.count, *dweight = dx + x.count;
    CHECK_STATUS_IN(context,
                    prun_conv2d_forward(context, &t->conv, n, x.v, t->weight.v, t->bias.v, all.v),
                    PRUN_OK);
    CHECK_STATUS_IN(
        context, prun_conv2d_input_gradient(context, &t->conv, n, dy.v, t->weight.v, dx), PRUN_OK);
    CHECK_STATUS_IN(context, prun_conv2d_weight_gradient(context, &t->conv, n, x.v, dy.v, dweight),
                    PRUN_OK);
    CHECK(buffer_intact(&all));
    free(x.base);
    free(dy.base);
    return all;
}

static void check_same_bits(const conv_case *t, const buffer *want, prun_context *context) {
    buffer got = all_passes(t, context);
    CHECK(memcmp(got.v, want->v, (size_t)want->count * sizeof(float)) == 0);
    free(got.base);
}

static void check_threads(const prun_conv2d *conv, int64_t n) {
    conv_case t;
    buffer want;
    prun_context context;
    int calls = 0;
    make_case(&t, conv, n);
    memset(&context, 0, sizeof(context));
    context.threads = 1;
    want = all_passes(&t, &context);
    check_same_bits(&t, &want, NULL);
    for (context.threads = 2; context.threads <= 4; context.threads++) {
        check_same_bits(&t, &want, &context);
    }
    context.threads = 3;
    context.parallel_for = reversed;
    context.parallel_user = &calls;
    check_same_bits(&t, &want, &context);
    CHECK(calls > 0);
    free(want.base);
    free_case(&t);
}

/* Sets elements of (N, C, H, W) data to zero: single ones at random, whole channels of an image,
   and everything but a corner of an image. */
static void put_zeros(buffer *b, const int64_t shape[4], int64_t kept_percent) {
    uint64_t *s = &noise_state;
    int64_t top = ref_pick(s, shape[2]), left = ref_pick(s, shape[3]), n, c, i, j;
    float *v = b->v;
    for (n = 0; n < shape[0]; n++) {
        int corner = (int)ref_pick(s, 2);
        for (c = 0; c < shape[1]; c++) {
            int dead = ref_pick(s, 4) == 0;
            for (i = 0; i < shape[2]; i++) {
                for (j = 0; j < shape[3]; j++, v++) {
                    if (dead || (corner && (i < top || j < left)) ||
                        ref_pick(s, 100) >= kept_percent) {
                        *v = 0;
                    }
                }
            }
        }
    }
}

static void make_absolute(ref_tensor *t) {
    int64_t i;
    for (i = 0; i < ref_size(t); i++) t->v[i] = fabs(t->v[i]);
}

/* Where the sum of absolute products is zero, the result is exactly the bias. Returns the number of
   such elements. bias NULL: zero. */
static int64_t check_zeros(const float *got, const ref_tensor *sums, const float *bias) {
    int64_t i, zeros = 0, wrong = 0, plane = sums->h * sums->w;
    for (i = 0; i < ref_size(sums); i++) {
        if (sums->v[i] != 0) continue;
        zeros++;
        wrong += got[i] != (bias ? bias[i / plane % sums->c] : 0.0f);
    }
    CHECK(wrong == 0);
    return zeros;
}

/* The three passes with the current kernels against the sums of absolute products. */
static int64_t run_zeros(const conv_case *t) {
    const int64_t *xs = t->x_shape, *ys = t->y_shape;
    const float *bias = t->with_bias ? t->bias.v : NULL;
    buffer x = packed(&t->x, xs, 7.0f), dy = packed(&t->dy, ys, 0.0f);
    buffer y = new_buffer(dy.count), dx = new_buffer(x.count),
           nchw = new_buffer(dy.count + x.count);
    buffer dweight = new_buffer(t->weight.count);
    int64_t zeros = 0;
    CHECK_STATUS(prun_conv2d_forward(NULL, &t->conv, xs[0], x.v, t->weight.v, bias, y.v), PRUN_OK);
    prun_lanes_unpack(y.v, ys[0], ys[1], ys[2], ys[3], nchw.v);
    zeros += check_zeros(nchw.v, &t->y, bias);
    CHECK_STATUS(prun_conv2d_input_gradient(NULL, &t->conv, xs[0], dy.v, t->weight.v, dx.v),
                 PRUN_OK);
    prun_lanes_unpack(dx.v, xs[0], xs[1], xs[2], xs[3], nchw.v);
    zeros += check_zeros(nchw.v, &t->dx, NULL);
    CHECK_STATUS(prun_conv2d_weight_gradient(NULL, &t->conv, xs[0], x.v, dy.v, dweight.v), PRUN_OK);
    zeros += check_zeros(dweight.v, &t->dweight, NULL);
    free(x.base);
    free(dy.base);
    free(y.base);
    free(dx.base);
    free(nchw.base);
    free(dweight.base);
    return zeros;
}

/* One geometry with sparse data; its references become sums of absolute products. */
static int64_t check_sparse_conv(const prun_conv2d *conv, int64_t n) {
    conv_case t;
    ref_tensor x, weight, dy;
    int64_t zeros = 0, kernels[4];
    int i, a;
    make_case(&t, conv, n);
    kernels[0] = conv->out_channels;
    kernels[1] = conv->in_channels;
    kernels[2] = kernels[3] = 3;
    put_zeros(&t.x, t.x_shape, 20 + ref_pick(&noise_state, 81));
    put_zeros(&t.dy, t.y_shape, 20 + ref_pick(&noise_state, 81));
    if (ref_pick(&noise_state, 3)) put_zeros(&t.weight, kernels, 5 + ref_pick(&noise_state, 96));
    x = ref_from_floats(t.x.v, n, conv->in_channels, conv->in_height, conv->in_width);
    weight = ref_from_floats(t.weight.v, conv->out_channels, conv->in_channels, 3, 3);
    dy = ref_from_floats(t.dy.v, n, conv->out_channels, t.y_shape[2], t.y_shape[3]);
    make_absolute(&x);
    make_absolute(&weight);
    make_absolute(&dy);
    t.y = ref_conv(&x, &weight, NULL, &t.window);
    t.dx = ref_conv_input_gradient(&x, &weight, &t.window, &dy);
    t.dweight = ref_conv_weight_gradient(&x, &weight, &t.window, &dy);
    for (i = 0; i < ISAS; i++) {
        if (!use_isa(isas[i])) continue;
        for (a = PRUN_ALGORITHM_AUTO; a <= PRUN_ALGORITHM_WINOGRAD; a++) {
            t.conv.algorithm = (prun_algorithm)a;
            zeros += run_zeros(&t);
        }
    }
    prun_isa_set(NULL);
    free_case(&t);
    return zeros;
}

/* Exact zeros stay exact: a result whose products are all zero equals its bias, whatever its
   neighbours are. Winograd combines neighbours, so this is not automatic. */
static void conv2d_keeps_exact_zeros(void) {
    int64_t zeros = 0;
    int cases = 0;
    while (cases < 150) {
        int64_t n, work;
        prun_conv2d conv = random_conv(&n);
        conv.kernel[0] = conv.kernel[1] = 3;
        conv.stride[1] = conv.stride[0] = 1 + conv.stride[0] % 2;
        for (n = 0; n < 4; n++) conv.padding[n] %= 3;
        n = count_set[ref_pick(&noise_state, COUNT_SET)];
        work = conv_work(&conv, n);
        if (work == 0 || work > 200000) continue;
        zeros += check_sparse_conv(&conv, n);
        cases++;
    }
    CHECK(zeros > 1000000);
}

static void conv2d_same_bits_for_every_thread_count(void) {
    prun_conv2d plain = square_conv(5, 9, 7, 3, 1, 1), strided = square_conv(3, 11, 4, 5, 2, 2);
    prun_conv2d point = square_conv(17, 4, 13, 1, 1, 0),
                winograd = square_conv(40, 9, 100, 3, 1, 1);
    int i, stride;
    winograd.algorithm = PRUN_ALGORITHM_WINOGRAD;
    for (i = 0; i < ISAS; i++) {
        if (!use_isa(isas[i])) continue;
        for (stride = 1; stride <= 2; stride++) {
            winograd.stride[0] = winograd.stride[1] = stride;
            check_threads(&winograd, 70);
        }
        check_threads(&plain, 70);
        check_threads(&strided, 50);
        check_threads(&point, 33);
    }
    prun_isa_set(NULL);
}

/* A lane's result does not depend on its neighbours or on its place in the batch. */
static void conv2d_lanes_are_independent(void) {
    prun_conv2d conv = square_conv(3, 8, 5, 3, 1, 1);
    int64_t shape[4] = {16, 3, 8, 8}, image = 3 * 64, result = 5 * 64, i;
    buffer x = noise_buffer(16 * image), lanes = packed(&x, shape, 0);
    buffer weight = noise_buffer(5 * 3 * 9), y = new_buffer(prun_lanes_size(16, 5, 8, 8));
    buffer all = new_buffer(16 * result), one = new_buffer(result);
    CHECK_STATUS(prun_conv2d_forward(&test_context, &conv, 16, lanes.v, weight.v, NULL, y.v),
                 PRUN_OK);
    prun_lanes_unpack(y.v, 16, 5, 8, 8, all.v);
    for (i = 0; i < 16; i++) {
        prun_lanes_pack(x.v + i * image, 1, 3, 8, 8, lanes.v);
        CHECK_STATUS(prun_conv2d_forward(&test_context, &conv, 1, lanes.v, weight.v, NULL, y.v),
                     PRUN_OK);
        prun_lanes_unpack(y.v, 1, 5, 8, 8, one.v);
        CHECK(memcmp(one.v, all.v + i * result, (size_t)result * sizeof(float)) == 0);
    }
    free(x.base);
    free(lanes.base);
    free(weight.base);
    free(y.base);
    free(all.base);
    free(one.base);
}

/* Shapes and errors */

static void isa_names(void) {
    int i;
    CHECK_STATUS_IN(NULL, prun_isa_set("portable"), PRUN_OK);
    CHECK(strcmp(prun_isa(), "portable") == 0);
    CHECK(prun_isa_set("no such instruction set") != PRUN_OK);
    CHECK(strcmp(prun_isa(), "portable") == 0);
    CHECK_STATUS_IN(NULL, prun_isa_set(NULL), PRUN_OK);
    for (i = 0; i < ISAS; i++)
        if (prun_isa_set(isas[i]) == PRUN_OK) CHECK(strcmp(prun_isa(), isas[i]) == 0);
    prun_isa_set(NULL);
}

static const test_case cases[] = {
    TEST_CASE(conv2d_random_geometries),
    TEST_CASE(conv2d_channel_pairs),
    TEST_CASE(conv2d_sizes_and_strides),
    TEST_CASE(conv2d_whole_image),
    TEST_CASE(conv2d_family_shapes),
    TEST_CASE(conv2d_zero_means_default),
    TEST_CASE(conv2d_winograd_borders),
    TEST_CASE(conv2d_keeps_exact_zeros),
    TEST_CASE(conv2d_same_bits_for_every_thread_count),
    TEST_CASE(conv2d_lanes_are_independent),
    TEST_CASE(isa_names),
};

int main(int argc, char **argv) { return TEST_MAIN("test_conv", cases, argc, argv); }
