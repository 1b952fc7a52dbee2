/* arrays.h - NumPy arrays and image sets of two arrays, written by hand. */
#ifndef TEST_ARRAYS_H_INCLUDED
#define TEST_ARRAYS_H_INCLUDED

#include "files.h"

/* ---- NumPy ---- */

/* Magic, version and header with its length, padded as NumPy does. */
static inline void npy_header(blob *b, int version, const char *dictionary) {
    const size_t start = version == 1 ? 10 : 12;
    size_t length = strlen(dictionary) + 1;
    while ((start + length) % 64) length++;
    b->size = 0;
    put(b, "\x93NUMPY", 6);
    put_little_endian(b, (uint64_t)version, 1);
    put_little_endian(b, 0, 1);
    put_little_endian(b, length, version == 1 ? 2 : 4);
    put(b, dictionary, strlen(dictionary));
    while (b->size < start + length - 1) put(b, " ", 1);
    put(b, "\n", 1);
}

/* A header for a type such as "<f4" and a shape such as "(2, 3)". */
static inline void npy_begin(blob *b, int version, const char *type, int fortran,
                             const char *shape) {
    char dictionary[300];
    snprintf(dictionary, sizeof dictionary, "{'descr': '%s', 'fortran_order': %s, 'shape': %s, }",
             type, fortran ? "True" : "False", shape);
    npy_header(b, version, dictionary);
}

static inline void put_element(blob *b, uint64_t bits, int bytes, int big) {
    int i;
    if (!big) put_little_endian(b, bits, bytes);
    else
        for (i = bytes - 1; i >= 0; i--) put_little_endian(b, bits >> 8 * i, 1);
}

/* The bits of a small number, exact in every float type, as a float of that many bytes. */
static inline uint64_t float_bits(double value, int bytes) {
    uint64_t bits = 0;
    float single = (float)value;
    if (bytes == 8) {
        memcpy(&bits, &value, 8);
    } else {
        uint32_t four;
        memcpy(&four, &single, 4);
        bits = four;
        if (bytes == 2) { /* normal halves only */
            bits = (four >> 16 & 0x8000u) | ((four >> 13 & 0x3ffffu) - (112u << 10));
        }
    }
    return bits;
}

/* ---- data sets of two arrays ---- */

enum { SET = 3, C = 2, H = 5, W = 6, PIXELS = SET * C * H * W };

/* The value of channel c at (y, x) of image n. */
static inline int pixel(int n, int c, int y, int x) {
    return (((n * C + c) * H + y) * W + x) % 251;
}

/* Writes images.npy in this layout, type and order, and labels.npy with 1, 2, 0. */
static inline void write_set(int nhwc, const char *type, int bytes, int fortran,
                             const char *label_type, int label_bytes) {
    const int big = type[0] == '>';
    const int size[4] = {SET, nhwc ? H : C, nhwc ? W : H, nhwc ? C : W};
    char shape[60];
    int i, k;
    snprintf(shape, sizeof shape, "(%d, %d, %d, %d)", size[0], size[1], size[2], size[3]);
    npy_begin(&scratch[0], 1, type, fortran, shape);
    for (i = 0; i < PIXELS; i++) {
        int at[4], rest = i, v;
        for (k = 0; k < 4; k++) {
            const int axis = fortran ? k : 3 - k; /* the fastest first */
            at[axis] = rest % size[axis];
            rest /= size[axis];
        }
        v = nhwc ? pixel(at[0], at[3], at[1], at[2]) : pixel(at[0], at[1], at[2], at[3]);
        put_element(&scratch[0], type[1] == 'u' ? (uint64_t)v : float_bits(v - 100.5, bytes), bytes,
                    big);
    }
    write_blob("images.npy", &scratch[0]);
    npy_begin(&scratch[1], 2, label_type, 0, "(3,)");
    for (i = 0; i < 3; i++)
        put_element(&scratch[1], (uint64_t)((i + 1) % 3), label_bytes, label_type[0] == '>');
    write_blob("labels.npy", &scratch[1]);
}

static inline prun_status load_set(const prun_npy_options *options, prun_images *images) {
    return prun_images_load_npy(&test_context, in_directory("images.npy"),
                                in_directory("labels.npy"), options, images);
}

#endif
