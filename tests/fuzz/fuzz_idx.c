/* IDX data sets: two bytes of length, the images, the labels. */
#include "fuzz.h"

static size_t idx(unsigned char *out, int dims, const unsigned *sizes) {
    size_t at = 4, bytes = 1, i;
    int d;
    memcpy(out, "\0\0\x08", 3);
    out[3] = (unsigned char)dims;
    for (d = 0; d < dims; d++) {
        for (i = 0; i < 4; i++) out[at++] = (unsigned char)(sizes[d] >> (24 - 8 * i) & 255);
        bytes *= sizes[d];
    }
    for (i = 0; i < bytes; i++) out[at + i] = (unsigned char)(i % 10);
    return at + bytes;
}

static size_t fuzz_seed(int number, unsigned char *out) {
    static const unsigned sizes[][3] = {{3, 2, 4}, {1, 28, 28}, {20, 1, 1}};
    size_t first;
    if (number >= (int)(sizeof sizes / sizeof sizes[0])) return 0;
    first = idx(out + 2, 3, sizes[number]);
    return fuzz_join(out, first, idx(out + 2 + first, 1, sizes[number]));
}

static void fuzz_one(const unsigned char *data, size_t size) {
    static const prun_idx_options options[3] = {{0, 0, 0}, {5, 3, 0}, {256, 1, 8}};
    const char *paths[2];
    prun_images set;
    int i;
    fuzz_split(data, size, paths);
    for (i = 0; i < 3; i++) {
        if (!fuzz_succeeded(
                prun_images_load_idx(&fuzz_context, paths[0], paths[1], &options[i], &set)))
            continue;
        FUZZ_CHECK(prun_images_check(&fuzz_context, &set) == PRUN_OK);
        FUZZ_CHECK(set.channels == (i == 1 ? 3 : 1) && (i < 2 || set.height == 8));
        prun_images_free(&set);
    }
}

FUZZ_TARGET("fuzz_idx")
