/* files.h - helpers for tests of file formats: a temporary directory, a counting allocator, files
   written byte by byte, and checks of error messages. Include it first, or directly after
   implementation.h. */
#ifndef TEST_FILES_H_INCLUDED
#define TEST_FILES_H_INCLUDED

#if defined(__unix__) || defined(__APPLE__)
#define _POSIX_C_SOURCE 200809L
#define HAVE_POSIX 1
#else
#define HAVE_POSIX 0
#endif
#include "../prunability.h"
#include "test.h"

#include <stdlib.h>
#if HAVE_POSIX
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

/* ---- a directory that is removed at the end ---- */

static char directory[400];

/* Path of a file in it; valid for the next seven calls. */
static const char *in_directory(const char *name) {
    static char paths[8][700];
    static int next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", directory, name);
    return path;
}

static int make_directory(void) {
#if HAVE_POSIX
    const char *parent = getenv("TMPDIR");
    int length = snprintf(directory, sizeof directory, "%s/test_files.XXXXXX",
                          parent != NULL && parent[0] != '\0' ? parent : ".");
    return length < (int)sizeof directory && mkdtemp(directory) != NULL;
#else
    snprintf(directory, sizeof directory, ".");
    return 1;
#endif
}

/* Number of files in it whose name contains `part`. If `destroy` is set, they are removed. */
static int files_named(const char *part, int destroy) {
    int count = 0;
#if HAVE_POSIX
    DIR *d = opendir(directory);
    const struct dirent *entry;
    while (d != NULL && (entry = readdir(d)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        if (strstr(entry->d_name, part) == NULL) continue;
        count++;
        if (destroy) remove(in_directory(entry->d_name));
    }
    if (d != NULL) closedir(d);
#else
    (void)part;
    (void)destroy;
#endif
    return count;
}

/* ---- an allocator that counts, and refuses requests too large for a small file ---- */

enum { REFUSED_SIZE = 1 << 24 };

static int64_t live_blocks;
static size_t largest_request;

static void *counting_allocate(void *user, size_t size) {
    void *pointer;
    (void)user;
    largest_request = size > largest_request ? size : largest_request;
    pointer = size < REFUSED_SIZE ? malloc(size) : NULL;
    live_blocks += pointer != NULL;
    return pointer;
}

static void counting_release(void *user, void *pointer) {
    (void)user;
    live_blocks -= pointer != NULL;
    free(pointer);
}

static void begin(void) {
    test_context.allocate = counting_allocate;
    test_context.release = counting_release;
    live_blocks = 0;
    largest_request = 0;
}

static void end(void) {
    CHECK(live_blocks == 0);
    CHECK(largest_request < REFUSED_SIZE);
}

/* ---- bytes ---- */

enum { BLOB_SIZE = 3000000 };

typedef struct blob {
    size_t size;
    unsigned char data[BLOB_SIZE];
} blob;

static blob scratch[3];

static inline void put(blob *b, const void *bytes, size_t n) {
    if (b->size + n <= BLOB_SIZE) {
        memcpy(b->data + b->size, bytes, n);
        b->size += n;
    }
}

static inline void put_little_endian(blob *b, uint64_t value, int bytes) {
    int i;
    for (i = 0; i < bytes; i++) {
        unsigned char byte = (unsigned char)(value >> (8 * i) & 255u);
        put(b, &byte, 1);
    }
}

static inline void put_float(blob *b, float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    put_little_endian(b, bits, 4);
}

static inline void write_file(const char *name, const unsigned char *bytes, size_t size) {
    FILE *file = fopen(in_directory(name), "wb");
    size_t written = file != NULL ? fwrite(bytes, 1, size, file) : 0;
    if (file != NULL) CHECK(fclose(file) == 0);
    CHECK(file != NULL && written == size);
}

static inline void write_blob(const char *name, const blob *b) {
    write_file(name, b->data, b->size);
}

static int message_names(const char *text) {
    return strstr(prun_message(&test_context), text) != NULL;
}

/* The call failed with one of two statuses, and the message names the file. */
static inline void check_failure(prun_status got, prun_status a, prun_status b, const char *file,
                                 const char *what) {
    int holds = CHECK(got == a || got == b) & CHECK(message_names(file));
    if (!holds && test_failures <= TEST_SHOWN) {
        printf("  %s: %s gave \"%s\", message \"%s\"\n", file, what, prun_status_string(got),
               prun_message(&test_context));
    }
    CHECK(test_context.status == got);
    test_context.message[0] = '\0';
}

/* ---- safetensors by hand ---- */

/* Header length, header, `data` bytes 0 1 2 ... */
static inline void safetensors(blob *b, const char *json, size_t data) {
    size_t i;
    b->size = 0;
    put_little_endian(b, strlen(json), 8);
    put(b, json, strlen(json));
    for (i = 0; i < data; i++) {
        put_little_endian(b, i, 1);
    }
}

static inline prun_status open_safetensors(prun_safetensors **file) {
    *file = NULL;
    return prun_safetensors_open(&test_context, in_directory("t.safetensors"), file);
}

static inline prun_tensor tensor_of(const char *name, float *data, int32_t rank, int64_t a,
                                    int64_t b) {
    prun_tensor t;
    memset(&t, 0, sizeof t);
    t.data = data;
    t.name = name;
    t.rank = rank;
    t.shape[0] = a;
    t.shape[1] = b;
    return t;
}

/* ---- the library's files: opened and closed ---- */

extern int streams_opened, streams_open; /* implementation.h counts them */

static inline void begin_counting(void) {
    begin();
    streams_opened = streams_open = 0;
}

static inline void end_counting(void) {
    CHECK(streams_open == 0);
    end();
}

/* ---- element types ---- */

typedef struct integer_type {
    const char *name, *npy;
    prun_dtype dtype;
    int bytes;
    int64_t least, most;
} integer_type;

static const integer_type integer_types[] = {{"I64", "i8", PRUN_DTYPE_I64, 8, INT64_MIN, INT64_MAX},
                                             {"I32", "i4", PRUN_DTYPE_I32, 4, INT32_MIN, INT32_MAX},
                                             {"I16", "i2", PRUN_DTYPE_I16, 2, -32768, 32767},
                                             {"I8", "i1", PRUN_DTYPE_I8, 1, -128, 127},
                                             {"U64", "u8", PRUN_DTYPE_U64, 8, 0, INT64_MAX},
                                             {"U32", "u4", PRUN_DTYPE_U32, 4, 0, UINT32_MAX},
                                             {"U16", "u2", PRUN_DTYPE_U16, 2, 0, 65535},
                                             {"U8", "u1", PRUN_DTYPE_U8, 1, 0, 255},
                                             {"BOOL", "b1", PRUN_DTYPE_BOOL, 1, 0, 1}};
enum { INTEGER_TYPES = sizeof integer_types / sizeof integer_types[0] };

typedef struct bad_header {
    const char *json;
    size_t data;
    prun_status status;
    const char *message; /* part of it */
} bad_header;

/* ---- running ---- */

#define FILES_MAIN(program, cases, argc, argv) \
    files_main(program, cases, (int)(sizeof(cases) / sizeof((cases)[0])), argc, argv)

/* Runs the cases with a directory that exists while they run. */
static int files_main(const char *program, const test_case *cases, int count, int argc,
                      char **argv) {
    int failed;
    (void)scratch;
    if (!make_directory()) {
        printf("%s: 0 passed, 1 failed\n", program);
        return 1;
    }
    failed = test_main(program, cases, count, argc, argv);
    files_named("", 1);
#if HAVE_POSIX
    rmdir(directory);
#endif
    return failed;
}

#endif
