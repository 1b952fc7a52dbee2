/* test_file.c - section FILE: files of other kinds; every file is opened once. */
#include "arrays.h"

#if HAVE_POSIX
#include <signal.h>
#endif

/* ---- every file is opened once, and closed ---- */

static void files_are_opened_once(void) {
    enum { FILES = 5 };
    const char *paths[FILES];
    prun_images set;
    int i, j;
    begin_counting();
    scratch[0].size = 0;
    for (i = 0; i < 2 * 3073; i++) { /* two images, of label 0 and 1 */
        put_little_endian(&scratch[0], (uint64_t)(i % 3073 ? i : i / 3073), 1);
    }
    write_blob("batch.bin", &scratch[0]);
    for (i = 0; i < FILES; i++) paths[i] = in_directory("batch.bin");
    streams_opened = 0;
    if (CHECK_STATUS(prun_images_load_cifar(&test_context, paths, FILES, 10, &set), PRUN_OK)) {
        CHECK(set.count == 2 * FILES && set.labels[2 * FILES - 1] == 1);
        prun_images_free(&set);
    }
    CHECK(streams_opened == FILES && streams_open == 0);
    for (i = 0; i < FILES; i++) { /* a missing file: the files before it are closed */
        paths[i] = in_directory("none.bin");
        streams_opened = 0;
        CHECK_STATUS(prun_images_load_cifar(&test_context, paths, FILES, 10, &set), PRUN_ERR_OPEN);
        CHECK(streams_opened == i && streams_open == 0);
        for (j = 0; j < FILES; j++) paths[j] = in_directory("batch.bin");
    }
    write_set(0, "|u1", 1, 0, "<i8", 8);
    streams_opened = 0;
    if (CHECK_STATUS(load_set(NULL, &set), PRUN_OK)) prun_images_free(&set);
    CHECK(streams_opened == 2 && streams_open == 0);
    end_counting();
}

/* ---- files of other kinds ---- */

typedef struct foreign {
    const char *bytes;
    int length;                /* 0: strlen */
    const char *what, *advice; /* parts of the message; advice NULL: depends on the loader */
} foreign;

static const foreign foreigners[] = {
    {"\x1f\x8b\x08\0\0\0\0\0\0\x03 and so on", 20, "compressed by gzip", "gzip -d"},
    {"BZh91AY&SY and so on", 0, "compressed by bzip2", "bzip2 -d"},
    {"\xfd"
     "7zXZ\0\0\4 and so on",
     18, "compressed by xz", "xz -d"},
    {"\x28\xb5\x2f\xfd and so on", 0, "compressed by zstd", "zstd -d"},
    {"PK\3\4\x14\0\0\0\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\5\0\0\0a.txtxxxxx", 40,
     "a zip archive", "unzip"},
    {"PK\3\4\x14\0\0\0\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x10\0\0\0archive/data.pklxxxxx", 50,
     "a checkpoint of torch.save", NULL},
    {"PK\3\4\x14\0\0\0\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\5\0\0\0a.npyxxxxx", 40,
     "an archive of NumPy arrays", "unzip"},
    {"PK\5\6\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 22, "an empty zip archive", "fetch"},
    {"\x80\2\x8a\nl\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 15, "a Python pickle", NULL},
    {"\x80\3}q\0X\4\0\0\0datah", 16, "a Python pickle", NULL},
    {"\x80\4\x95\x10\0\0\0\0\0\0\0}\x94.", 14, "a Python pickle", NULL},
    {"\x80\5\x95\x10\0\0\0\0\0\0\0}\x94.", 14, "a Python pickle", NULL},
    {"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", 0,
     "a Git LFS pointer", "git lfs pull"},
    {"<!DOCTYPE html>\n<html><body>404</body></html>", 0, "an HTML or XML page", "fetch the file"},
    {"\n\n  <HTML lang=\"en\">", 0, "an HTML or XML page", "fetch the file"},
    {"\xef\xbb\xbf<?xml version=\"1.0\"?><Error/>", 0, "an HTML or XML page", "fetch the file"},
    {"{\n  \"metadata\": {}, \"weight_map\": {}}", 0, "a JSON text", "name the data file"},
    {"[ {\"a\": 1}, {} ]", 0, "a JSON text", "name the data file"},
    {"\xff\xfe"
     "a\0,\0b\0\n\0",
     10, "a text in UTF-16", "UTF-8"},
    {"\xfe\xff\0a\0,\0b\0\n", 10, "a text in UTF-16", "UTF-8"},
    {"\x89HDF\r\n\x1a\n\0\0\0\0", 12, "an HDF5 file", "convert"},
    {"GGUF\3\0\0\0\0\0\0\0", 12, "a GGUF file", "convert"},
    {"MATLAB 5.0 MAT-file, Platform", 0, "a MATLAB file", "convert"},
    {"PAR1\x15\4\x15\x90", 8, "a Parquet table", "convert"},
    {"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16, "a PNG image", "convert"},
    {"\xff\xd8\xff\xe0\0\x10JFIF", 10, "a JPEG image", "convert"},
    {"404: Not Found\n", 0, "a text, not", "open it"},
    {"a,b,c\n1,2,3\n", 0, "a text, not", "open it"},
    {"\x93NUMPY\1\0\x76\0{'descr'", 18, "a NumPy array", "prun_images_load_npy"},
    {"\2\0\0\0\0\0\0\0{}", 10, "a safetensors file", "prun_safetensors_open"},
    {"\0\0\x08\3\0\0\0\1\0\0\0\1\0\0\0\1\7", 17, "an IDX file", "prun_images_load_idx"},
    {"\0\0\x0d\1\0\0\0\1\0\0\0\0", 12, "an IDX file", "prun_images_load_idx"},
};
enum { FOREIGNERS = sizeof foreigners / sizeof foreigners[0], PLACES = 9 };

/* Calls one loader with `path` as one of its files; its other files are good. Results are freed,
   and must be untouched on failure. */
static prun_status load_place(int place, const char *path) {
    const char *paths[2];
    prun_safetensors *file = NULL;
    prun_images images, untouched;
    prun_array array;
    prun_status status;
    memset(&images, 0x5a, sizeof images);
    untouched = images;
    paths[0] = place == 3 ? path : in_directory("good.bin");
    paths[1] = path;
    switch (place) {
        case 0:
            status =
                prun_images_load_idx(&test_context, path, in_directory("good.idx1"), NULL, &images);
            break;
        case 1:
            status =
                prun_images_load_idx(&test_context, in_directory("good.idx3"), path, NULL, &images);
            break;
        case 2: status = prun_images_load_cifar(&test_context, paths, 2, 10, &images); break;
        case 3: status = prun_images_load_cifar(&test_context, paths, 1, 10, &images); break;
        case 4: status = prun_images_load_cifar(&test_context, paths + 1, 1, 100, &images); break;
        case 5:
            status = prun_images_load_npy(&test_context, path, in_directory("labels.npy"), NULL,
                                          &images);
            break;
        case 6:
            status = prun_images_load_npy(&test_context, in_directory("images.npy"), path, NULL,
                                          &images);
            break;
        case 7:
            status = prun_array_load_npy(&test_context, path, &array);
            if (status == PRUN_OK) prun_array_free(&array);
            return status;
        default:
            status = prun_safetensors_open(&test_context, path, &file);
            if (status == PRUN_OK) prun_safetensors_close(file);
            CHECK(status == PRUN_OK || file == NULL);
            return status;
    }
    if (status == PRUN_OK) prun_images_free(&images);
    else CHECK(memcmp(&images, &untouched, sizeof images) == 0);
    return status;
}

static void write_good_files(void) {
    write_set(0, "|u1", 1, 0, "<i8", 8);
    write_file("good.idx3", (const unsigned char *)"\0\0\x08\3\0\0\0\1\0\0\0\1\0\0\0\1\7", 17);
    write_file("good.idx1", (const unsigned char *)"\0\0\x08\1\0\0\0\1\5", 9);
    memset(scratch[0].data, 1, 3073);
    write_file("good.bin", scratch[0].data, 3073);
}

/* A loader's own format does not get this message. */
static int reads_itself(int place, const char *what) {
    return (place < 2 && strcmp(what, "an IDX file") == 0) ||
           ((place >= 5 && place < 8) && strcmp(what, "a NumPy array") == 0) ||
           (place == 8 && strcmp(what, "a safetensors file") == 0);
}

static void files_of_other_kinds(void) {
    int i, place, tried = 0;
    begin_counting();
    write_good_files();
    for (i = 0; i < FOREIGNERS; i++) {
        const foreign *f = &foreigners[i];
        write_file("x.kind", (const unsigned char *)f->bytes,
                   f->length ? (size_t)f->length : strlen(f->bytes));
        for (place = 0; place < PLACES; place++) {
            if (reads_itself(place, f->what)) {
                load_place(place, in_directory("x.kind"));
                continue;
            }
            CHECK_STATUS(load_place(place, in_directory("x.kind")), PRUN_ERR_MAGIC);
            if (!CHECK(message_names("x.kind: ") && message_names(f->what) &&
                       message_names(f->advice    ? f->advice
                                     : place == 8 ? "save_file"
                                                  : " ")))
                printf("  kind %d, place %d: \"%s\"\n", i, place, prun_message(&test_context));
            CHECK(streams_open == 0);
            tried++;
        }
    }
    CHECK(tried == FOREIGNERS * PLACES - 4 - 3 - 1);
    end_counting();
}

/* Paths to something other than a file, or to an empty file. */
static void paths_that_are_no_files(void) {
    static const struct {
        const char *name;
        prun_status status;
        const char *message;
    } bad[] = {{"x.folder", PRUN_ERR_READ, "a folder"},
               {"x.link", PRUN_ERR_READ, "a folder"},
               {"x.pipe", PRUN_ERR_READ, "a pipe"},
               {"x.null", PRUN_ERR_READ, "a device"},
               {"x.empty", PRUN_ERR_TRUNCATED, "the file is empty"},
               {"x.missing", PRUN_ERR_OPEN, "cannot be opened: No such file"},
               {"good.bin/x.below", PRUN_ERR_OPEN,
                HAVE_POSIX ? "cannot be opened: Not a directory" : "cannot be opened"},
               {"x\x1b[2J.missing", PRUN_ERR_OPEN, "x\\x1b[2J.missing: cannot be opened"}};
    size_t i;
    int place;
    begin_counting();
    write_good_files();
    write_file("x.empty", scratch[0].data, 0);
#if HAVE_POSIX
    CHECK(mkdir(in_directory("x.folder"), 0700) == 0);
    CHECK(symlink("x.folder", in_directory("x.link")) == 0);
    CHECK(mkfifo(in_directory("x.pipe"), 0600) == 0);
    CHECK(symlink("/dev/null", in_directory("x.null")) == 0);
#endif
    for (i = HAVE_POSIX ? 0 : 4; i < sizeof bad / sizeof bad[0]; i++) {
        for (place = 0; place < PLACES; place++) {
            CHECK_STATUS(load_place(place, in_directory(bad[i].name)), bad[i].status);
            CHECK(strchr(bad[i].name, '\x1b') || message_names(bad[i].name));
            CHECK(message_names(bad[i].message) && streams_open == 0);
        }
    }
#if HAVE_POSIX
    CHECK(rmdir(in_directory("x.folder")) == 0);
#endif
    files_named("x.", 1);
    end_counting();
}

/* A format without a header may begin with any bytes: a file that fits is read. */
static void images_that_look_like_archives(void) {
    static const char *const starts[] = {"PK\3\4", "<!do", "\x1f\x08\1", "{\"a\"", "GGUF"};
    prun_images images;
    const char *path[1];
    size_t i;
    begin_counting();
    path[0] = in_directory("x.bin");
    for (i = 0; i < sizeof starts / sizeof starts[0]; i++) {
        memset(scratch[0].data, 1, 2 * 3074);
        memcpy(scratch[0].data, starts[i], 4);
        write_file("x.bin", scratch[0].data, 2 * 3074);
        if (!CHECK_STATUS(prun_images_load_cifar(&test_context, path, 1, 100, &images), PRUN_OK))
            continue;
        CHECK(images.count == 2 && images.labels[0] == starts[i][1]);
        prun_images_free(&images);
    }
    memcpy(scratch[0].data, "\x1f\x8b\x08\0", 4); /* no label 139 */
    write_file("x.bin", scratch[0].data, 2 * 3074);
    CHECK_STATUS(prun_images_load_cifar(&test_context, path, 1, 100, &images), PRUN_ERR_MAGIC);
    CHECK(message_names("gzip"));
    remove(path[0]);
    end_counting();
}

/* ---- tables ---- */

/* A text can be a table whatever the name of its first column is. */
static void tables_that_begin_like_other_files(void) {
    static const char *const names[] = {"PAR1", "GGUF size", "BZh", "MATLAB time", "ARROW1", "PK"};
    prun_table t;
    char text[64];
    size_t i;
    for (i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(text, sizeof text, "%s,gap\n1,2\n3,4\n", names[i]);
        scratch[0].size = strlen(text);
        memcpy(scratch[0].data, text, scratch[0].size);
        write_blob("t.csv", &scratch[0]);
        if (!CHECK_STATUS(prun_table_load_csv(&test_context, in_directory("t.csv"), &t), PRUN_OK))
            continue;
        CHECK(t.rows == 2 && t.columns == 2 && strcmp(t.names[0], names[i]) == 0);
        prun_table_free(&t);
    }
}

static const test_case cases[] = {
    TEST_CASE(files_are_opened_once),
    TEST_CASE(files_of_other_kinds),
    TEST_CASE(paths_that_are_no_files),
    TEST_CASE(images_that_look_like_archives),
    TEST_CASE(tables_that_begin_like_other_files),
};

int main(int argc, char **argv) { return FILES_MAIN("test_file", cases, argc, argv); }
