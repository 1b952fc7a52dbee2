/* fuzz.h - common code of the fuzz targets: files in memory, a checking allocator, and a driver.

   A target is one C file, tests/fuzz/fuzz_FORMAT.c, that includes this and defines

       static size_t fuzz_seed(int number, unsigned char *out);
           writes valid file number `number` (0, 1, ...) of at most FUZZ_LARGEST bytes and returns
           its size; 0 if there are no more
       static void fuzz_one(const unsigned char *data, size_t size);
           passes the bytes to the library as one or several files (fuzz_file, fuzz_split) and
           checks the results with FUZZ_CHECK
       FUZZ_TARGET("fuzz_FORMAT")
           at the end

   make and tests/fuzz/run.sh find the file by its name. By default, the target is a program with a
   small deterministic mutator (--help); with -DFUZZ_LIBFUZZER and clang's -fsanitize=fuzzer it is a
   libFuzzer target.

   While an input is processed, the allocator counts blocks and aborts on requests that are too
   large for a file of that size: the library must check sizes before it allocates.
*/
#ifndef FUZZ_H_INCLUDED
#define FUZZ_H_INCLUDED

#define _POSIX_C_SOURCE 200809L
#define PRUNABILITY_IMPLEMENTATION
#include "../../prunability.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FUZZ_LARGEST = 1 << 16, FUZZ_FILES = 2, FUZZ_FACTOR = 256 };

static prun_context fuzz_context;
static int64_t fuzz_live;       /* blocks allocated and not released */
static size_t fuzz_size;        /* of the input */
static long long fuzz_number;   /* of the current input, for the report */
static long long fuzz_calls[2]; /* that failed, that succeeded */

#define FUZZ_CHECK(condition) ((condition) ? (void)0 : fuzz_fail(#condition, __FILE__, __LINE__))

static void fuzz_fail(const char *text, const char *file, int line) {
    fprintf(stderr, "%s:%d: failed: %s (message \"%s\")\n", file, line, text,
            prun_message(&fuzz_context));
    abort();
}

static void *fuzz_allocate(void *user, size_t size) {
    void *block;
    (void)user;
    FUZZ_CHECK(size <= FUZZ_FACTOR * fuzz_size + 65536);
    block = malloc(size);
    fuzz_live += block != NULL;
    return block;
}

static void fuzz_release(void *user, void *block) {
    (void)user;
    fuzz_live -= block != NULL;
    free(block);
}

/* ---- files ---- */

static char fuzz_paths[FUZZ_FILES][128];
static int fuzz_descriptors[FUZZ_FILES];

static void fuzz_remove_files(void) {
    int i;
    for (i = 0; i < FUZZ_FILES; i++)
        if (fuzz_paths[i][0]) unlink(fuzz_paths[i]);
}

/* Writes bytes to file number `number`, in memory where the system offers that. Returns its
   path. */
static const char *fuzz_file(int number, const unsigned char *data, size_t size) {
    char *path = fuzz_paths[number];
    int *descriptor = &fuzz_descriptors[number];
    if (!path[0]) {
        const char *directory = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : getenv("TMPDIR");
        snprintf(path, sizeof fuzz_paths[0], "%.100s/fuzz.XXXXXX", directory ? directory : ".");
        *descriptor = mkstemp(path);
        if (*descriptor < 0) {
            perror(path);
            exit(2);
        }
        if (number == 0) atexit(fuzz_remove_files);
    }
    if (ftruncate(*descriptor, (off_t)size) != 0 ||
        pwrite(*descriptor, data, size, 0) != (ssize_t)size) {
        perror(path);
        exit(2);
    }
    return path;
}

/* An input of two files: two bytes give the length of the first, whose path is paths[0]; paths[1]
   has the rest. */
static inline void fuzz_split(const unsigned char *data, size_t size, const char *paths[2]) {
    size_t first = size < 2 ? 0 : (size_t)(data[0] | data[1] << 8);
    size_t skip = size < 2 ? size : 2;
    if (first > size - skip) first = size - skip;
    paths[0] = fuzz_file(0, data + skip, first);
    paths[1] = fuzz_file(1, data + skip + first, size - skip - first);
}

/* Puts the length in front of the first file of a seed. The files start at out + 2. */
static inline size_t fuzz_join(unsigned char *out, size_t first, size_t second) {
    out[0] = (unsigned char)(first & 255);
    out[1] = (unsigned char)(first >> 8);
    return 2 + first + second;
}

/* ---- one input ---- */

static void fuzz_begin(size_t size) {
    memset(&fuzz_context, 0, sizeof fuzz_context);
    fuzz_context.allocate = fuzz_allocate;
    fuzz_context.release = fuzz_release;
    fuzz_size = size;
}

static void fuzz_end(void) { FUZZ_CHECK(fuzz_live == 0); }

/* Checks that a failed call has a message that names one of the files. Returns whether it
   succeeded. */
static int fuzz_succeeded(prun_status status) {
    const char *message = prun_message(&fuzz_context);
    fuzz_calls[status == PRUN_OK]++;
    if (status == PRUN_OK) return 1;
    FUZZ_CHECK(status < 0 && status >= PRUN_ERR_CONVERGENCE && fuzz_context.status == status);
    FUZZ_CHECK(strstr(message, fuzz_paths[0]) ||
               (fuzz_paths[1][0] && strstr(message, fuzz_paths[1])));
    fuzz_context.message[0] = 0;
    return 0;
}

static size_t fuzz_seed(int number, unsigned char *out);
static void fuzz_one(const unsigned char *data, size_t size);

#ifdef FUZZ_LIBFUZZER

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    (void)fuzz_number;
    (void)fuzz_seed;
    fuzz_begin(size);
    fuzz_one(data, size);
    fuzz_end();
    return 0;
}

#define FUZZ_TARGET(name)

#else

/* ---- mutation ---- */

static uint64_t fuzz_state[2]; /* seed and counter of the mutator's random numbers */

/* Uniform in 0 .. n-1. */
static size_t fuzz_random(size_t n) {
    return (size_t)(prun_random_bits(fuzz_state[0], (uint64_t)fuzz_number, fuzz_state[1]++) % n);
}

/* Replaces `removed` bytes at `at` by `n` others. */
static size_t fuzz_replace(unsigned char *data, size_t size, size_t at, size_t removed,
                           const void *bytes, size_t n) {
    if (removed > size - at) removed = size - at;
    if (size - removed + n > FUZZ_LARGEST) return size;
    memmove(data + at + n, data + at + removed, size - at - removed);
    memcpy(data + at, bytes, n);
    return size - removed + n;
}

static size_t fuzz_mutate_once(unsigned char *data, size_t size, const unsigned char *other,
                               size_t other_size) {
    static const char *const words[] = {"{",
                                        "}",
                                        "[",
                                        "]",
                                        ",",
                                        ":",
                                        "\"",
                                        "'",
                                        "(",
                                        ")",
                                        "\\",
                                        "\\u0000",
                                        "\\ud800",
                                        "\xc3\x28",
                                        "null",
                                        "-1",
                                        "0",
                                        "4294967296",
                                        "9223372036854775807",
                                        "18446744073709551616",
                                        "1e9",
                                        "NaN",
                                        "inf",
                                        "dtype",
                                        "shape",
                                        "data_offsets",
                                        "__metadata__",
                                        "F16",
                                        "BF16",
                                        "F64",
                                        "U64",
                                        "BOOL",
                                        "True",
                                        "False",
                                        "descr",
                                        "fortran_order",
                                        "<f2",
                                        ">f8",
                                        "|u1",
                                        ">i8",
                                        "\n",
                                        "\r\n",
                                        ";",
                                        "\t",
                                        "#",
                                        " ",
                                        "\"\"",
                                        "\x93NUMPY"};
    static const uint64_t numbers[] = {0,           1,
                                       2,           4,
                                       127,         128,
                                       255,         256,
                                       32767,       65535,
                                       65536,       1u << 20,
                                       0x7fffffffu, 0x80000000u,
                                       0xffffffffu, UINT64_C(1) << 32,
                                       INT64_MAX,   UINT64_C(1) << 63,
                                       UINT64_MAX};
    const size_t at = fuzz_random(size + 1);
    unsigned char bytes[8];
    const char *word;
    uint64_t value;
    size_t n, i;
    switch (fuzz_random(9)) {
        case 0: /* one bit */
            if (at < size) data[at] ^= (unsigned char)(1u << fuzz_random(8));
            return size;
        case 1: /* one byte */
            if (at < size) data[at] = (unsigned char)fuzz_random(256);
            return size;
        case 2: /* a number of 1, 2, 4 or 8 bytes */
            n = (size_t)1 << fuzz_random(4);
            value = numbers[fuzz_random(sizeof numbers / sizeof numbers[0])] + fuzz_random(3) - 1;
            for (i = 0; i < n; i++) bytes[i] = (unsigned char)(value >> 8 * i & 255);
            if (fuzz_random(2))
                for (i = 0; i < n / 2; i++) {
                    const unsigned char swap = bytes[i];
                    bytes[i] = bytes[n - 1 - i];
                    bytes[n - 1 - i] = swap;
                }
            return fuzz_replace(data, size, at, n, bytes, n);
        case 3: /* a word, replacing or inserted */
            word = words[fuzz_random(sizeof words / sizeof words[0])];
            n = strlen(word);
            return fuzz_replace(data, size, at, fuzz_random(2) ? n : 0, word, n);
        case 4: /* a digit, where the text has one */
            for (i = 0; i < 64 && at + i < size; i++)
                if (data[at + i] >= '0' && data[at + i] <= '9') {
                    data[at + i] = (unsigned char)('0' + fuzz_random(10));
                    break;
                }
            return size;
        case 5: /* bytes away, */
            n = 1 + fuzz_random(size / 4 + 1);
            return fuzz_replace(data, size, at, n, bytes, 0);
        case 6: /* or all to the end, */ return fuzz_random(4) ? size : at;
        case 7: /* or twice */
            n = fuzz_random(size - at + 1) % 9;
            memcpy(bytes, data + at, n);
            return fuzz_replace(data, size, at, 0, bytes, n);
        default: /* the rest of another seed */
            if (other_size == 0 || fuzz_random(4)) return size;
            i = fuzz_random(other_size);
            n = other_size - i;
            return fuzz_replace(data, size, at, size - at, other + i, n);
    }
}

enum { FUZZ_SEEDS = 32 };
static unsigned char fuzz_seeds[FUZZ_SEEDS][FUZZ_LARGEST];
static size_t fuzz_sizes[FUZZ_SEEDS];
static int fuzz_count;

/* Input `number`: first the seeds, then mutations of them. */
static size_t fuzz_input(long long number, unsigned char *data) {
    size_t size, other, times;
    int base;
    fuzz_number = number;
    fuzz_state[1] = 0;
    base = number < fuzz_count ? (int)number : (int)fuzz_random((size_t)fuzz_count);
    size = fuzz_sizes[base];
    memcpy(data, fuzz_seeds[base], size);
    if (number < fuzz_count) return size;
    other = fuzz_random((size_t)fuzz_count);
    for (times = 1 + fuzz_random(6); times > 0; times--)
        size = fuzz_mutate_once(data, size, fuzz_seeds[other], fuzz_sizes[other]);
    return size;
}

/* ---- the program ---- */

static void fuzz_run(const unsigned char *data, size_t size) {
    /* a block of exactly this size, so that the sanitizer detects reads past its end */
    unsigned char *copy = (unsigned char *)malloc(size ? size : 1);
    if (copy == NULL) exit(2);
    memcpy(copy, data, size);
    fuzz_begin(size);
    fuzz_one(copy, size);
    fuzz_end();
    free(copy);
}

static void fuzz_report(void) {
    fprintf(stderr, "input %lld failed; again with --first %lld --runs 1\n", fuzz_number,
            fuzz_number);
}

static void fuzz_signal(int number) {
    fuzz_report();
    fuzz_remove_files();
    signal(number, SIG_DFL);
    raise(number);
}

#if defined(__GNUC__)
/* only defined under the sanitizers */
extern void __sanitizer_set_death_callback(void (*)(void)) __attribute__((weak));
#endif

static int fuzz_write_seeds(const char *directory) {
    char path[600];
    int i;
    for (i = 0; i < fuzz_count; i++) {
        FILE *file;
        snprintf(path, sizeof path, "%s/seed-%02d", directory, i);
        file = fopen(path, "wb");
        if (file == NULL || fwrite(fuzz_seeds[i], 1, fuzz_sizes[i], file) != fuzz_sizes[i] ||
            fclose(file) != 0) {
            perror(path);
            return 2;
        }
    }
    return 0;
}

static int fuzz_run_file(const char *path) {
    static unsigned char data[FUZZ_LARGEST];
    FILE *file = fopen(path, "rb");
    size_t size;
    if (file == NULL) {
        perror(path);
        return 2;
    }
    size = fread(data, 1, sizeof data, file);
    fclose(file);
    fuzz_run(data, size);
    printf("%s: fine\n", path);
    return 0;
}

static int fuzz_main(const char *name, int argc, char **argv) {
    static unsigned char data[FUZZ_LARGEST];
    long long runs = 20000, first = 0, i;
    int a, holds, files = 0;
    for (; fuzz_count < FUZZ_SEEDS; fuzz_count++) {
        fuzz_sizes[fuzz_count] = fuzz_seed(fuzz_count, fuzz_seeds[fuzz_count]);
        if (fuzz_sizes[fuzz_count] == 0) break;
    }
    signal(SIGABRT, fuzz_signal);
#if defined(__GNUC__)
    if (__sanitizer_set_death_callback) __sanitizer_set_death_callback(fuzz_report);
    else signal(SIGSEGV, fuzz_signal);
#endif
    for (a = 1; a < argc; a++) {
        const char *value = a + 1 < argc ? argv[a + 1] : "";
        if (strcmp(argv[a], "--runs") == 0 && ++a) runs = atoll(value);
        else if (strcmp(argv[a], "--first") == 0 && ++a) first = atoll(value);
        else if (strcmp(argv[a], "--seed") == 0 && ++a) fuzz_state[0] = (uint64_t)atoll(value);
        else if (strcmp(argv[a], "--seeds") == 0) return fuzz_write_seeds(value);
        else if (argv[a][0] != '-' && ++files) fuzz_run_file(argv[a]);
        else {
            printf("usage: %s [--runs N] [--first I] [--seed S] | --seeds DIR | FILE...\n\n"
                   "Gives good files (inputs 0 to %d) and mutated ones to the loader; an input\n"
                   "depends on its number and the seed alone. --seeds writes the good files for\n"
                   "libFuzzer.\n",
                   name, fuzz_count - 1);
            return strcmp(argv[a], "--help") == 0 ? 0 : 2;
        }
    }
    if (files) return 0;
    for (i = first; i < first + runs; i++) {
        const size_t size = fuzz_input(i, data);
        fuzz_run(data, size);
    }
    printf("%lld inputs: %lld calls failed, %lld succeeded\n", runs, fuzz_calls[0], fuzz_calls[1]);
    /* a mutator that destroys all inputs or none is useless */
    holds = runs < 1000 || (fuzz_calls[0] > runs / 10 && fuzz_calls[1] > runs / 50);
    printf("%s: %d passed, %d failed\n", name, holds, !holds);
    return !holds;
}

#define FUZZ_TARGET(name) \
    int main(int argc, char **argv) { return fuzz_main(name, argc, argv); }

#endif
#endif
