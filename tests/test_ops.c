/* test_ops.c - tensor operations, cross-entropy and random numbers against slow definitions. */
#include "implementation.h" /* for prun__winograd_possible */

#include <float.h>
#include <stdlib.h>

#include "reference.h"
#include "test.h"

enum { GUARD = 32 }; /* floats behind a buffer that nobody may touch */
static const float guard_value = 12345.0f;
static const char *const isas[] = {"portable", "avx2", "avx512"};
enum { ISAS = sizeof(isas) / sizeof(isas[0]) };

static uint64_t noise_state = 88172645463325252ULL;

/* Switches the kernels; 0 where this machine or build lacks them. */
static int use_isa(const char *name) {
    prun_status status = prun_set_isa(name);
    CHECK(status == PRUN_OK || (status == PRUN_ERR_UNSUPPORTED && strcmp(name, "portable") != 0));
    if (status == PRUN_OK) CHECK(strcmp(prun_isa(), name) == 0);
    return status == PRUN_OK;
}

/* Buffers one float off their natural alignment, followed by a guard. */
typedef struct buffer {
    float *base, *v;
    int64_t count;
} buffer;

static buffer new_buffer(int64_t count) {
    buffer b;
    int64_t i;
    b.base = (float *)malloc((size_t)(count + GUARD + 1) * sizeof(float));
    if (b.base == NULL) abort();
    b.v = b.base + 1;
    b.count = count;
    for (i = 0; i < count; i++) b.v[i] = NAN;
    for (i = 0; i < GUARD; i++) b.v[count + i] = guard_value;
    return b;
}

static buffer noise_buffer(int64_t count) {
    buffer b = new_buffer(count);
    int64_t i;
    for (i = 0; i < count; i++) b.v[i] = (float)ref_noise(&noise_state);
    return b;
}

/* Every element is finite and the guard is whole. */
static int buffer_intact(const buffer *b) {
    int64_t i;
    for (i = 0; i < b->count; i++) {
        if (!isfinite(b->v[i])) return 0;
    }
    for (i = 0; i < GUARD; i++) {
        if (b->v[b->count + i] != guard_value) return 0;
    }
    return 1;
}

/* Lane layout, packing */

/* Place of image n's element in the lane layout, from its definition. */
static int64_t lane_index(int64_t n, int64_t c, int64_t i, int64_t j, const int64_t shape[4]) {
    int64_t block = n / PRUN_LANES, lane = n % PRUN_LANES;
    return (((block * shape[2] + i) * shape[3] + j) * shape[1] + c) * PRUN_LANES + lane;
}

/* Writes a value into every lane that holds no image. */
static void fill_empty_lanes(float *lanes, const int64_t shape[4], float value) {
    int64_t n, c, i, j, end = (shape[0] + PRUN_LANES - 1) / PRUN_LANES * PRUN_LANES;
    for (n = shape[0]; n < end; n++) {
        for (c = 0; c < shape[1]; c++) {
            for (i = 0; i < shape[2]; i++) {
                for (j = 0; j < shape[3]; j++) lanes[lane_index(n, c, i, j, shape)] = value;
            }
        }
    }
}

/* Counts lanes that differ from the image's element, or from zero in an empty lane. */
static int64_t lane_errors(const float *lanes, const float *nchw, const int64_t shape[4]) {
    int64_t n, c, i, j, errors = 0, end = (shape[0] + PRUN_LANES - 1) / PRUN_LANES * PRUN_LANES;
    for (n = 0; n < end; n++) {
        for (c = 0; c < shape[1]; c++) {
            for (i = 0; i < shape[2]; i++) {
                for (j = 0; j < shape[3]; j++) {
                    int64_t from = ((n * shape[1] + c) * shape[2] + i) * shape[3] + j;
                    float want = n < shape[0] ? nchw[from] : 0.0f;
                    errors += lanes[lane_index(n, c, i, j, shape)] != want;
                }
            }
        }
    }
    return errors;
}

static void check_packing(const int64_t shape[4]) {
    int64_t size = shape[0] * shape[1] * shape[2] * shape[3];
    int64_t lane_size = prun_lane_size(shape[0], shape[1], shape[2], shape[3]);
    int64_t blocks = (shape[0] + PRUN_LANES - 1) / PRUN_LANES;
    buffer nchw, lanes, back;
    if (!CHECK(lane_size == blocks * PRUN_LANES * shape[1] * shape[2] * shape[3])) return;
    nchw = noise_buffer(size);
    lanes = new_buffer(lane_size);
    back = new_buffer(size);
    prun_pack(nchw.v, shape[0], shape[1], shape[2], shape[3], lanes.v);
    CHECK(lane_errors(lanes.v, nchw.v, shape) == 0);
    fill_empty_lanes(lanes.v, shape, NAN);
    prun_unpack(lanes.v, shape[0], shape[1], shape[2], shape[3], back.v);
    CHECK(memcmp(nchw.v, back.v, (size_t)size * sizeof(float)) == 0);
    fill_empty_lanes(lanes.v, shape, 0);
    CHECK(buffer_intact(&lanes) && buffer_intact(&back));
    free(nchw.base);
    free(lanes.base);
    free(back.base);
}

static void pack_round_trip(void) {
    static const int64_t planes[][3] = {{1, 1, 1}, {3, 5, 7},  {2, 1, 9},
                                        {7, 4, 1}, {17, 3, 2}, {3, 32, 32}};
    int64_t n;
    size_t p;
    for (n = 1; n <= 40; n++) {
        for (p = 0; p < sizeof(planes) / sizeof(planes[0]); p++) {
            int64_t shape[4];
            shape[0] = n;
            memcpy(shape + 1, planes[p], sizeof(planes[p]));
            check_packing(shape);
        }
    }
}

static void lane_size_limits(void) {
    const int64_t big = INT64_C(1) << 40;
    CHECK(prun_lane_size(1, 1, 1, 1) == 16);
    CHECK(prun_lane_size(16, 3, 32, 32) == 49152);
    CHECK(prun_lane_size(17, 3, 32, 32) == 98304);
    CHECK(prun_lane_size(0, 1, 1, 1) == -1);
    CHECK(prun_lane_size(1, 0, 1, 1) == -1);
    CHECK(prun_lane_size(1, 1, -1, 1) == -1);
    CHECK(prun_lane_size(1, 1, 1, INT64_MIN) == -1);
    CHECK(prun_lane_size(big, big, 1, 1) == -1);
    CHECK(prun_lane_size(1, big, 1, big) == -1);
    CHECK(prun_lane_size(INT64_MAX, 1, 1, 1) == -1);
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
    buffer lanes = new_buffer(prun_lane_size(shape[0], shape[1], shape[2], shape[3]));
    prun_pack(nchw->v, shape[0], shape[1], shape[2], shape[3], lanes.v);
    fill_empty_lanes(lanes.v, shape, empty);
    return lanes;
}

/* The float32 rounding of a sum of K terms is about sqrt(K) 6e-8 of its size, Winograd's some times
   that; a wrong or missing term shows as at least 1e-4 in tensors of this size. */
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
    prun_unpack(lanes->v, shape[0], shape[1], shape[2], shape[3], nchw.v);
    check_distance(t, what, nchw.v, want);
    free(nchw.base);
    free(lanes->base);
}

/* All three passes with the kernels in use. Empty lanes hold junk wherever the contract allows. */
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
            if (!prun__winograd_possible(conv)) break;
        }
    }
    prun_set_isa(NULL);
    free_case(&t);
}

static prun_conv2d square_conv(int64_t in, int64_t size, int64_t out, int64_t kernel,
                               int64_t stride, int64_t padding) {
    prun_conv2d conv;
    int i;
    memset(&conv, 0, sizeof(conv));
    conv.in_channels = in;
    conv.in_height = conv.in_width = size;
    conv.out_channels = out;
    conv.kernel[0] = conv.kernel[1] = kernel;
    conv.stride[0] = conv.stride[1] = stride;
    for (i = 0; i < 4; i++) conv.padding[i] = padding;
    return conv;
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

/* Paddings reach past kernel - 1, so that whole windows lie in the padding. */
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

/* Register blocks over channels have tails for every pair of counts. */
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

/* Register blocks over positions have tails for every image size. */
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

/* Kernels as large as the image: how a linear layer after flatten is computed. */
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

/* The shapes the three families spend their time in, at full image size. */
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

/* Every padding that Winograd takes, at both strides, around images down to a pixel. */
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

static void reversed(void (*body)(void *argument, int64_t i), void *argument, int64_t count,
                     void *user) {
    int64_t i;
    *(int *)user += 1;
    for (i = count - 1; i >= 0; i--) body(argument, i);
}

/* The three results one after the other. */
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

/* Sets elements of (N, C, H, W) data to zero: each with a probability, whole channels of an image,
   and all but a corner of an image. */
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

/* Where the sum of absolute products is zero, the result is the bias and nothing else. Returns how
   many of them there are. `plane`: elements per channel; bias NULL: zero. */
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

/* The three passes with the kernels in use, against the sums of absolute products. */
static int64_t run_zeros(const conv_case *t) {
    const int64_t *xs = t->x_shape, *ys = t->y_shape;
    const float *bias = t->with_bias ? t->bias.v : NULL;
    buffer x = packed(&t->x, xs, 7.0f), dy = packed(&t->dy, ys, 0.0f);
    buffer y = new_buffer(dy.count), dx = new_buffer(x.count),
           nchw = new_buffer(dy.count + x.count);
    buffer dweight = new_buffer(t->weight.count);
    int64_t zeros = 0;
    CHECK_STATUS(prun_conv2d_forward(NULL, &t->conv, xs[0], x.v, t->weight.v, bias, y.v), PRUN_OK);
    prun_unpack(y.v, ys[0], ys[1], ys[2], ys[3], nchw.v);
    zeros += check_zeros(nchw.v, &t->y, bias);
    CHECK_STATUS(prun_conv2d_input_gradient(NULL, &t->conv, xs[0], dy.v, t->weight.v, dx.v),
                 PRUN_OK);
    prun_unpack(dx.v, xs[0], xs[1], xs[2], xs[3], nchw.v);
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
    prun_set_isa(NULL);
    free_case(&t);
    return zeros;
}

/* Exact zeros stay exact: a result without a product that is not zero equals its bias, whatever
   lies beside it. Winograd mixes neighbours and has to take care. */
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
    prun_set_isa(NULL);
}

/* A lane's result does not depend on its neighbours or on its place in the batch. */
static void conv2d_lanes_are_independent(void) {
    prun_conv2d conv = square_conv(3, 8, 5, 3, 1, 1);
    int64_t shape[4] = {16, 3, 8, 8}, image = 3 * 64, result = 5 * 64, i;
    buffer x = noise_buffer(16 * image), lanes = packed(&x, shape, 0);
    buffer weight = noise_buffer(5 * 3 * 9), y = new_buffer(prun_lane_size(16, 5, 8, 8));
    buffer all = new_buffer(16 * result), one = new_buffer(result);
    CHECK_STATUS(prun_conv2d_forward(&test_context, &conv, 16, lanes.v, weight.v, NULL, y.v),
                 PRUN_OK);
    prun_unpack(y.v, 16, 5, 8, 8, all.v);
    for (i = 0; i < 16; i++) {
        prun_pack(x.v + i * image, 1, 3, 8, 8, lanes.v);
        CHECK_STATUS(prun_conv2d_forward(&test_context, &conv, 1, lanes.v, weight.v, NULL, y.v),
                     PRUN_OK);
        prun_unpack(y.v, 1, 5, 8, 8, one.v);
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

static void check_output(const prun_conv2d *conv, int64_t height, int64_t width) {
    int64_t got[2] = {-1, -1};
    CHECK_STATUS(prun_conv2d_output(&test_context, conv, &got[0], &got[1]), PRUN_OK);
    CHECK(got[0] == height && got[1] == width);
}

static void conv2d_output_shapes(void) {
    prun_conv2d conv = square_conv(3, 32, 8, 3, 1, 1);
    check_output(&conv, 32, 32);
    conv.stride[0] = 2;
    check_output(&conv, 16, 32);
    conv.padding[0] = conv.padding[1] = 0;
    check_output(&conv, 16, 31);
    conv = square_conv(3, 7, 8, 7, 1, 0);
    check_output(&conv, 1, 1);
    conv = square_conv(1, 5, 1, 2, 3, 0); /* floor: the last two rows are never seen */
    check_output(&conv, 2, 2);
    conv = square_conv(1, 1, 1, 5, 1, 2);
    check_output(&conv, 1, 1);
    conv.kernel[1] = 3;
    check_output(&conv, 1, 3);
}

/* Refused with a message, by the shape function and by a pass (which must not read x). `expected`
   is the status where the contract names one, else PRUN_OK: any failure will do. */
static void check_refused(const prun_conv2d *conv, prun_status expected) {
    int64_t height = -7, width = -7;
    float none = 0;
    prun_status status;
    memset(&test_context, 0, sizeof(test_context));
    status = prun_conv2d_output(&test_context, conv, &height, &width);
    CHECK(expected == PRUN_OK ? status != PRUN_OK : status == expected);
    CHECK(prun_message(&test_context)[0] != '\0');
    CHECK(test_context.status == status);
    CHECK(height == -7 && width == -7);
    CHECK(prun_conv2d_forward(&test_context, conv, 1, &none, &none, NULL, &none) != PRUN_OK);
    CHECK(prun_conv2d_output(NULL, conv, &height, &width) == status);
}

static void conv2d_errors(void) {
    prun_conv2d good = square_conv(3, 8, 4, 3, 1, 1), conv = good;
    conv.in_width = 0;
    check_refused(&conv, PRUN_OK);
    conv = good;
    conv.in_channels = -1;
    check_refused(&conv, PRUN_OK);
    conv = good;
    conv.out_channels = 0;
    check_refused(&conv, PRUN_OK);
    conv = good;
    conv.kernel[0] = -3;
    check_refused(&conv, PRUN_OK);
    conv = good;
    conv.stride[1] = -1;
    check_refused(&conv, PRUN_OK);
    conv = good;
    conv.padding[2] = -1;
    check_refused(&conv, PRUN_OK);
    conv = square_conv(3, 8, 4, 11, 1, 1);
    check_refused(&conv, PRUN_ERR_SHAPE);
    conv = square_conv(3, 8, 4, 3, 1, 0);
    conv.in_height = 2;
    check_refused(&conv, PRUN_ERR_SHAPE);
}

/* Sizes whose products leave int64_t are refused, not wrapped around. */
static void conv2d_absurd_sizes(void) {
    prun_conv2d conv = square_conv(INT64_C(1) << 40, 1, INT64_C(1) << 40, 3, 1, 1);
    float none = 0;
    CHECK(prun_conv2d_forward(&test_context, &conv, 1, &none, &none, NULL, &none) != PRUN_OK);
    conv = square_conv(1, INT64_MAX, 1, 3, 1, INT64_MAX);
    CHECK(prun_conv2d_forward(&test_context, &conv, 1, &none, &none, NULL, &none) != PRUN_OK);
    conv = square_conv(1, 8, 1, 3, 1, 1);
    CHECK(prun_conv2d_forward(&test_context, &conv, -1, &none, &none, NULL, &none) != PRUN_OK);
}

static void isa_names(void) {
    CHECK_STATUS_IN(NULL, prun_set_isa("portable"), PRUN_OK);
    CHECK(strcmp(prun_isa(), "portable") == 0);
    CHECK(prun_set_isa("no such instruction set") != PRUN_OK);
    CHECK(strcmp(prun_isa(), "portable") == 0);
    CHECK_STATUS_IN(NULL, prun_set_isa(NULL), PRUN_OK);
    if (prun_set_isa("avx2") == PRUN_OK) CHECK(strcmp(prun_isa(), "avx2") == 0);
    prun_set_isa(NULL);
}

/* Cross-entropy */

/* -ln softmax = ln(1 + sum over the others of exp(l_j - l_y)), or from the largest logit where that
   sum overflows. */
static long double exact_cross_entropy(const float *logits, int64_t classes, int64_t label) {
    long double largest = logits[0], others = 0, scaled = 0, own = logits[label];
    int64_t k;
    for (k = 1; k < classes; k++) {
        if (logits[k] > largest) largest = logits[k];
    }
    for (k = 0; k < classes; k++) {
        scaled += expl(logits[k] - largest);
        if (k != label) others += expl(logits[k] - own);
    }
    return largest - own < 600 ? log1pl(others) : largest - own + logl(scaled);
}

static void check_cross_entropy(const float *logits, int64_t classes, int64_t label) {
    double probability[128], total = 0;
    double want = (double)exact_cross_entropy(logits, classes, label);
    double got = prun_cross_entropy(logits, classes, label, NULL);
    int64_t k;
    CHECK_CLOSE(got, want, 1e-300, 1e-12);
    CHECK(got >= 0 && isfinite(got));
    CHECK(prun_cross_entropy(logits, classes, label, probability) == got);
    for (k = 0; k < classes; k++) {
        double p = (double)expl(-exact_cross_entropy(logits, classes, k));
        CHECK_CLOSE(probability[k], p, 1e-300, 1e-12);
        total += probability[k];
    }
    CHECK_CLOSE(total, 1, 1e-13, 0);
}

static void cross_entropy_random_logits(void) {
    static const double scales[] = {1e-6, 0.1, 1, 10, 50, 300, 1e4, 1e20, 3e38};
    float logits[128];
    size_t s;
    int draw;
    for (s = 0; s < sizeof(scales) / sizeof(scales[0]); s++) {
        for (draw = 0; draw < 60; draw++) {
            int64_t classes = 1 + ref_pick(&noise_state, 110), k;
            for (k = 0; k < classes; k++) logits[k] = (float)(scales[s] * ref_noise(&noise_state));
            check_cross_entropy(logits, classes, ref_pick(&noise_state, classes));
        }
    }
}

/* Losses far below float32's resolution decide prunability: ln(1 + e^-d) without cancellation. */
static void cross_entropy_small_losses(void) {
    float logits[3] = {0, 0, 0};
    int d;
    for (d = 0; d <= 700; d++) {
        logits[1] = (float)d;
        logits[0] = logits[2] = -(float)d * 0.25f;
        check_cross_entropy(logits, 3, 1);
        check_cross_entropy(logits, 3, 0);
    }
}

static void cross_entropy_special_values(void) {
    float equal[10] = {7, 7, 7, 7, 7, 7, 7, 7, 7, 7}, single[1] = {-3};
    float far[3] = {FLT_MAX, -FLT_MAX, 0}, wide[2] = {0, 0};
    double p[10];
    CHECK_CLOSE(prun_cross_entropy(equal, 10, 3, p), 2.302585092994045684, 0, 1e-15);
    CHECK_CLOSE(p[9], 0.1, 0, 1e-15);
    CHECK(prun_cross_entropy(single, 1, 0, p) == 0 && p[0] == 1);
    CHECK(prun_cross_entropy(far, 3, 0, p) == 0 && p[0] == 1 && p[1] == 0);
    CHECK_CLOSE(prun_cross_entropy(far, 3, 1, NULL), 2.0 * (double)FLT_MAX, 0, 1e-15);
    wide[1] = 800;
    CHECK_CLOSE(prun_cross_entropy(wide, 2, 0, NULL), 800, 0, 1e-15);
    CHECK(prun_cross_entropy(wide, 2, 1, NULL) >= 0);
    wide[0] = NAN;
    CHECK(isnan(prun_cross_entropy(wide, 2, 1, NULL)));
}

/* Random numbers */

static void philox_known_answers(void) {
    /* Random123's kat_vectors for philox4x32 with 10 rounds: counter, key, answer. */
    static const uint32_t vectors[][10] = {
        {0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
        {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0x408f276d,
         0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
        {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0, 0xd16cfe09,
         0x94fdcceb, 0x5001e420, 0x24126ea1}};
    size_t i;
    for (i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        const uint32_t *v = vectors[i];
        uint32_t out[4] = {0, 0, 0, 0};
        prun_random_block((uint64_t)v[5] << 32 | v[4], (uint64_t)v[3] << 32 | v[2],
                          (uint64_t)v[1] << 32 | v[0], out);
        CHECK(memcmp(out, v + 6, sizeof(out)) == 0);
    }
}

static void random_values_belong_to_their_index(void) {
    uint64_t base = prun_random_bits(1, 2, 3);
    CHECK(prun_random_bits(1, 2, 3) == base);
    CHECK(prun_random_bits(2, 2, 3) != base);
    CHECK(prun_random_bits(1, 3, 3) != base);
    CHECK(prun_random_bits(1, 2, 4) != base);
    CHECK(prun_random_bits(1, 2, 3 + (UINT64_C(1) << 32)) != base);
    CHECK(prun_random_bits(1, 2 + (UINT64_C(1) << 32), 3) != base);
    CHECK(prun_random_bits(1 + (UINT64_C(1) << 32), 2, 3) != base);
    CHECK(prun_random_uniform(5, 6, 7) == prun_random_uniform(5, 6, 7));
    CHECK(prun_random_normal(5, 6, 7) == prun_random_normal(5, 6, 7));
}

/* Each of 64 bits is set half the time. */
static void random_bits_are_balanced(void) {
    int set[64] = {0}, bit;
    uint64_t i, draws = 20000;
    for (i = 0; i < draws; i++) {
        uint64_t bits = prun_random_bits(11, 0, i);
        for (bit = 0; bit < 64; bit++) set[bit] += (int)(bits >> bit & 1);
    }
    for (bit = 0; bit < 64; bit++) CHECK_CLOSE(set[bit], 10000, 5 * 70.7, 0);
}

/* Sum of (observed - expected)^2 / expected. */
static double chi_square(const int64_t *observed, int64_t cells, double expected) {
    double sum = 0;
    int64_t i;
    for (i = 0; i < cells; i++) {
        sum += ((double)observed[i] - expected) * ((double)observed[i] - expected) / expected;
    }
    return sum;
}

/* Five standard deviations above the mean of a chi-square variable. */
static double chi_square_limit(double freedom) { return freedom + 5 * sqrt(2 * freedom); }

static void uniform_moments(void) {
    const int draws = 200000;
    int64_t cells[100] = {0};
    double sum = 0, square = 0, product = 0, last = 0;
    int i;
    for (i = 0; i < draws; i++) {
        double u = prun_random_uniform(3, 4, (uint64_t)i), grid = ldexp(u, 53);
        if (!CHECK(u >= 0 && u < 1 && grid == floor(grid))) return;
        sum += u - 0.5;
        square += (u - 0.5) * (u - 0.5);
        product += (u - 0.5) * last;
        last = u - 0.5;
        cells[(int)(u * 100)]++;
    }
    CHECK_CLOSE(sum / draws, 0, 5 * sqrt(1.0 / 12 / draws), 0);
    CHECK_CLOSE(square / draws, 1.0 / 12, 5 * sqrt(1.0 / 180 / draws), 0);
    CHECK_CLOSE(product / draws, 0, 5.0 / 12 / sqrt(draws), 0);
    CHECK(chi_square(cells, 100, draws / 100.0) < chi_square_limit(99));
}

/* Share of |x| > bound among standard normal draws, against the error function. */
static void check_tail(const double *x, int draws, double bound) {
    double p = erfc(bound / sqrt(2.0)), beyond = 0;
    int i;
    for (i = 0; i < draws; i++) beyond += fabs(x[i]) > bound ? 1 : 0;
    CHECK_CLOSE(beyond / draws, p, 5 * sqrt(p / draws), 0);
}

static void normal_moments_and_tails(void) {
    enum { DRAWS = 200000 };
    double *x = (double *)malloc(DRAWS * sizeof(double)), moment[5] = {0};
    double product = 0, largest = 0;
    int i, k;
    if (!CHECK(x != NULL)) return;
    for (i = 0; i < DRAWS; i++) {
        x[i] = prun_random_normal(8, 9, (uint64_t)i);
        for (k = 1; k <= 4; k++) moment[k] += pow(x[i], k) / DRAWS;
        product += i > 0 ? x[i] * x[i - 1] / DRAWS : 0;
        largest = fabs(x[i]) > largest ? fabs(x[i]) : largest;
    }
    /* variances of the sample moments of a normal: 1, 2, 15, 96 */
    CHECK_CLOSE(moment[1], 0, 5 * sqrt(1.0 / DRAWS), 0);
    CHECK_CLOSE(moment[2], 1, 5 * sqrt(2.0 / DRAWS), 0);
    CHECK_CLOSE(moment[3], 0, 5 * sqrt(15.0 / DRAWS), 0);
    CHECK_CLOSE(moment[4], 3, 5 * sqrt(96.0 / DRAWS), 0);
    CHECK_CLOSE(product, 0, 5 * sqrt(1.0 / DRAWS), 0);
    for (k = 1; k <= 7; k++) check_tail(x, DRAWS, 0.5 * k);
    CHECK(largest > 4 && largest < 8);
    free(x);
}

static void permutation_is_one(void) {
    int64_t out[1001], n, i;
    for (n = 1; n <= 1000; n = n < 20 ? n + 1 : n * 3) {
        int64_t seen[1000] = {0}, fixed = 0;
        out[n] = -5;
        prun_random_permutation(21, 22, n, out);
        for (i = 0; i < n; i++) {
            if (!CHECK(out[i] >= 0 && out[i] < n)) return;
            fixed += out[i] == i;
            seen[out[i]]++;
        }
        for (i = 0; i < n; i++) CHECK(seen[i] == 1);
        CHECK(out[n] == -5);
        if (n > 50) CHECK(fixed < 8); /* Poisson with mean 1 */
    }
}

/* Rank of a permutation in factorial base, n <= 5. */
static int64_t permutation_rank(const int64_t *p, int64_t n) {
    int64_t rank = 0, i, j;
    for (i = 0; i < n; i++) {
        int64_t smaller = 0;
        for (j = i + 1; j < n; j++) smaller += p[j] < p[i];
        rank = rank * (n - i) + smaller;
    }
    return rank;
}

static void check_permutations(int64_t n, int64_t factorial, int by_seed) {
    int64_t cells[120] = {0}, out[5], draws = factorial * 300, i;
    for (i = 0; i < draws; i++) {
        uint64_t k = (uint64_t)i;
        prun_random_permutation(by_seed ? k : 5, by_seed ? 5 : k, n, out);
        cells[permutation_rank(out, n)]++;
    }
    CHECK(chi_square(cells, factorial, 300) < chi_square_limit((double)factorial - 1));
}

static void permutations_are_uniform(void) {
    int by_seed;
    for (by_seed = 0; by_seed <= 1; by_seed++) {
        check_permutations(2, 2, by_seed);
        check_permutations(3, 6, by_seed);
        check_permutations(4, 24, by_seed);
        check_permutations(5, 120, by_seed);
    }
}

/* Where an element lands is uniform also for sizes whose permutations are too many to count. */
static void permutation_places_are_uniform(void) {
    enum { N = 13, DRAWS = 13000 };
    int64_t cells[N * N] = {0}, out[N], i, k;
    for (k = 0; k < DRAWS; k++) {
        prun_random_permutation(77, (uint64_t)k, N, out);
        for (i = 0; i < N; i++) cells[i * N + out[i]]++;
    }
    CHECK(chi_square(cells, N * N, DRAWS / (double)N) < chi_square_limit((N - 1) * (N - 1)));
}

static const test_case cases[] = {
    TEST_CASE(pack_round_trip),
    TEST_CASE(lane_size_limits),
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
    TEST_CASE(conv2d_output_shapes),
    TEST_CASE(conv2d_errors),
    TEST_CASE(conv2d_absurd_sizes),
    TEST_CASE(isa_names),
    TEST_CASE(cross_entropy_random_logits),
    TEST_CASE(cross_entropy_small_losses),
    TEST_CASE(cross_entropy_special_values),
    TEST_CASE(philox_known_answers),
    TEST_CASE(random_values_belong_to_their_index),
    TEST_CASE(random_bits_are_balanced),
    TEST_CASE(uniform_moments),
    TEST_CASE(normal_moments_and_tails),
    TEST_CASE(permutation_is_one),
    TEST_CASE(permutations_are_uniform),
    TEST_CASE(permutation_places_are_uniform),
};

int main(int argc, char **argv) { return TEST_MAIN("test_ops", cases, argc, argv); }
