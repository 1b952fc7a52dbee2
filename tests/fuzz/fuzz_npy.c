/* NumPy arrays, single and as a data set: two bytes of length, the images, the labels. */
#include "fuzz.h"

/* An array of `bytes` data bytes 0 1 2 0 ...; its size. */
static size_t npy(unsigned char *out, int version, const char *dictionary, size_t bytes) {
    const size_t start = version == 1 ? 10 : 12, length = strlen(dictionary);
    size_t i;
    memcpy(out, "\x93NUMPY", 6);
    out[6] = (unsigned char)version;
    memset(out + 7, 0, 5);
    out[8] = (unsigned char)(length & 255);
    out[9] = (unsigned char)(length >> 8);
    memcpy(out + start, dictionary, length);
    for (i = 0; i < bytes; i++) out[start + length + i] = (unsigned char)(i % 3);
    return start + length + bytes;
}

static size_t fuzz_seed(int number, unsigned char *out) {
    static const struct {
        int version;
        const char *images;
        size_t image_bytes;
        const char *labels;
        size_t label_bytes;
    } seeds[] = {{1, "{'descr': '|u1', 'fortran_order': False, 'shape': (3, 2, 5, 4), }\n", 120,
                  "{'descr': '|i1', 'fortran_order': False, 'shape': (3,), }\n", 3},
                 {2, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 5, 6, 3), }\n", 720,
                  "{'descr': '<i8', 'fortran_order': False, 'shape': (2,), }\n", 16},
                 {3, "{'descr': '>f2', 'fortran_order': True, 'shape': (2, 4, 3), }\n", 48,
                  "{'descr': '|b1', 'fortran_order': False, 'shape': (2, 1), }\n", 2},
                 {1, "{'shape': (), 'descr': '<f8', 'fortran_order': False}", 8,
                  "{'descr': '>u8', 'fortran_order': True, 'shape': (2, 0, 3L), }\n", 0}};
    size_t first, second;
    if (number >= (int)(sizeof seeds / sizeof seeds[0])) return 0;
    first = npy(out + 2, seeds[number].version, seeds[number].images, seeds[number].image_bytes);
    second = npy(out + 2 + first, 1, seeds[number].labels, seeds[number].label_bytes);
    return fuzz_join(out, first, second);
}

static void fuzz_one(const unsigned char *data, size_t size) {
    const char *paths[2];
    prun_npy_options options;
    prun_images set;
    int i;
    fuzz_split(data, size, paths);
    for (i = 0; i < 2; i++) {
        prun_array array;
        int64_t product = 1, k;
        double sum = 0;
        int32_t d;
        if (!fuzz_succeeded(prun_array_load_npy(&fuzz_context, paths[i], &array))) continue;
        for (d = 0; d < array.rank; d++) product *= array.shape[d];
        FUZZ_CHECK(array.count == product || array.count == 0);
        FUZZ_CHECK((array.values != NULL) + (array.integers != NULL) + (array.bytes != NULL) == 1);
        for (k = 0; k < array.count; k++) /* every element can be read */
            sum += array.values     ? array.values[k] != 0
                   : array.integers ? array.integers[k] != 0
                                    : array.bytes[k] != 0;
        FUZZ_CHECK(sum <= (double)array.count);
        prun_array_free(&array);
    }
    memset(&options, 0, sizeof options);
    for (i = 0; i < 3; i++) {
        options.layout = (prun_layout)i;
        options.classes = i == 2 ? 3 : 0;
        if (!fuzz_succeeded(
                prun_images_load_npy(&fuzz_context, paths[0], paths[1], &options, &set)))
            continue;
        FUZZ_CHECK(prun_images_check(&fuzz_context, &set) == PRUN_OK);
        prun_images_free(&set);
    }
}

FUZZ_TARGET("fuzz_npy")
