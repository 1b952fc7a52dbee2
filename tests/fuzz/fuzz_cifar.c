/* CIFAR files, two at a time: two bytes of length, the first, the second. */
#include "fuzz.h"

static size_t records(unsigned char *out, size_t count, size_t head) {
    size_t i, j;
    for (i = 0; i < count; i++)
        for (j = 0; j < head + 3072; j++)
            out[i * (head + 3072) + j] = (unsigned char)(j < head ? i + 3 + j : i + j);
    return count * (head + 3072);
}

static size_t fuzz_seed(int number, unsigned char *out) {
    const size_t head = number % 2 ? 2 : 1;
    size_t first;
    if (number >= 4) return 0;
    first = records(out + 2, number < 2 ? 1 : 2, head);
    return fuzz_join(out, first, records(out + 2 + first, 1, head));
}

static void fuzz_one(const unsigned char *data, size_t size) {
    static const int64_t classes[3] = {10, 20, 100};
    const char *paths[2];
    prun_images set;
    int i;
    fuzz_split(data, size, paths);
    for (i = 0; i < 3; i++) {
        if (!fuzz_succeeded(prun_images_load_cifar(&fuzz_context, paths, 2, classes[i], &set)))
            continue;
        FUZZ_CHECK(prun_images_check(&fuzz_context, &set) == PRUN_OK);
        FUZZ_CHECK(set.classes == classes[i] && set.count * 3073 <= (int64_t)size);
        prun_images_free(&set);
    }
}

FUZZ_TARGET("fuzz_cifar")
