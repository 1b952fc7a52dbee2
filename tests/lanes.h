/* lanes.h - helpers for tests of tensor operations: guarded buffers and the lane layout. */
#ifndef TEST_LANES_H_INCLUDED
#define TEST_LANES_H_INCLUDED

#include <math.h>
#include <stdlib.h>

#include "../prunability.h"
#include "reference.h"
#include "test.h"

enum { GUARD = 32 }; /* floats after a buffer that must stay unchanged */
static const float guard_value = 12345.0f;

static uint64_t noise_state = 88172645463325252ULL;

/* Buffers one float off their natural alignment, followed by a guard. */
typedef struct buffer {
    float *base, *v;
    int64_t count;
} buffer;

static inline buffer new_buffer(int64_t count) {
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

static inline buffer noise_buffer(int64_t count) {
    buffer b = new_buffer(count);
    int64_t i;
    for (i = 0; i < count; i++) b.v[i] = (float)ref_noise(&noise_state);
    return b;
}

/* Every element is finite and the guard is unchanged. */
static inline int buffer_intact(const buffer *b) {
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

/* Offset of image n's element in the lane layout, from its definition. */
static inline int64_t lane_index(int64_t n, int64_t c, int64_t i, int64_t j,
                                 const int64_t shape[4]) {
    int64_t block = n / PRUN_LANES, lane = n % PRUN_LANES;
    return (((block * shape[2] + i) * shape[3] + j) * shape[1] + c) * PRUN_LANES + lane;
}

/* Writes a value into every lane that holds no image. */
static inline void fill_empty_lanes(float *lanes, const int64_t shape[4], float value) {
    int64_t n, c, i, j, end = (shape[0] + PRUN_LANES - 1) / PRUN_LANES * PRUN_LANES;
    for (n = shape[0]; n < end; n++) {
        for (c = 0; c < shape[1]; c++) {
            for (i = 0; i < shape[2]; i++) {
                for (j = 0; j < shape[3]; j++) lanes[lane_index(n, c, i, j, shape)] = value;
            }
        }
    }
}

/* Convolution */

static inline prun_conv2d square_conv(int64_t in, int64_t size, int64_t out, int64_t kernel,
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

#endif
