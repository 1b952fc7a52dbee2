/* test_ops.c - sections OPS and CONV2D: lane packing, shapes and errors of convolutions,
   cross-entropy. The values of convolutions are checked in test_conv.c. */
#include "../prunability.h"

#include <float.h>
#include <stdlib.h>

#include "lanes.h"

/* Lane layout, packing */

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
    int64_t lane_size = prun_lanes_size(shape[0], shape[1], shape[2], shape[3]);
    int64_t blocks = (shape[0] + PRUN_LANES - 1) / PRUN_LANES;
    buffer nchw, lanes, back;
    if (!CHECK(lane_size == blocks * PRUN_LANES * shape[1] * shape[2] * shape[3])) return;
    nchw = noise_buffer(size);
    lanes = new_buffer(lane_size);
    back = new_buffer(size);
    prun_lanes_pack(nchw.v, shape[0], shape[1], shape[2], shape[3], lanes.v);
    CHECK(lane_errors(lanes.v, nchw.v, shape) == 0);
    fill_empty_lanes(lanes.v, shape, NAN);
    prun_lanes_unpack(lanes.v, shape[0], shape[1], shape[2], shape[3], back.v);
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
    CHECK(prun_lanes_size(1, 1, 1, 1) == 16);
    CHECK(prun_lanes_size(16, 3, 32, 32) == 49152);
    CHECK(prun_lanes_size(17, 3, 32, 32) == 98304);
    CHECK(prun_lanes_size(0, 1, 1, 1) == -1);
    CHECK(prun_lanes_size(1, 0, 1, 1) == -1);
    CHECK(prun_lanes_size(1, 1, -1, 1) == -1);
    CHECK(prun_lanes_size(1, 1, 1, INT64_MIN) == -1);
    CHECK(prun_lanes_size(big, big, 1, 1) == -1);
    CHECK(prun_lanes_size(1, big, 1, big) == -1);
    CHECK(prun_lanes_size(INT64_MAX, 1, 1, 1) == -1);
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
    conv = square_conv(1, 5, 1, 2, 3, 0); /* floor: the last two rows are not read */
    check_output(&conv, 2, 2);
    conv = square_conv(1, 1, 1, 5, 1, 2);
    check_output(&conv, 1, 1);
    conv.kernel[1] = 3;
    check_output(&conv, 1, 3);
}

/* The shape function and a pass (which must not read x) must reject it with a message. `expected`
   is the status if the contract names one; PRUN_OK stands for any failure. */
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

/* Sizes whose products overflow int64_t are rejected. */
static void conv2d_absurd_sizes(void) {
    prun_conv2d conv = square_conv(INT64_C(1) << 40, 1, INT64_C(1) << 40, 3, 1, 1);
    float none = 0;
    CHECK(prun_conv2d_forward(&test_context, &conv, 1, &none, &none, NULL, &none) != PRUN_OK);
    conv = square_conv(1, INT64_MAX, 1, 3, 1, INT64_MAX);
    CHECK(prun_conv2d_forward(&test_context, &conv, 1, &none, &none, NULL, &none) != PRUN_OK);
    conv = square_conv(1, 8, 1, 3, 1, 1);
    CHECK(prun_conv2d_forward(&test_context, &conv, -1, &none, &none, NULL, &none) != PRUN_OK);
}

/* Cross-entropy */

/* -ln softmax = ln(1 + sum over the others of exp(l_j - l_y)), or relative to the largest logit
   where that sum would overflow. */
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

static const test_case cases[] = {
    TEST_CASE(pack_round_trip),
    TEST_CASE(lane_size_limits),
    TEST_CASE(conv2d_output_shapes),
    TEST_CASE(conv2d_errors),
    TEST_CASE(conv2d_absurd_sizes),
    TEST_CASE(cross_entropy_random_logits),
    TEST_CASE(cross_entropy_small_losses),
    TEST_CASE(cross_entropy_special_values),
};

int main(int argc, char **argv) { return TEST_MAIN("test_ops", cases, argc, argv); }
