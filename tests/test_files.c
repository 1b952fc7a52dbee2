/* Loaders and checkpoints: what they read back, and what they say about files that are cut short,
   too long, of another kind, or made to hurt. */
#include "files.h"

#if HAVE_POSIX
#include <signal.h>
#include <sys/resource.h>
#endif

/* ---- IDX ---- */

static void put_big_endian(blob *b, uint32_t value) {
    unsigned char bytes[4];
    int i;
    for (i = 0; i < 4; i++) {
        bytes[i] = (unsigned char)(value >> (24 - 8 * i) & 255u);
    }
    put(b, bytes, 4);
}

static void idx_images(blob *b, uint32_t count, uint32_t height, uint32_t width, size_t pixels) {
    size_t i;
    b->size = 0;
    put_big_endian(b, 2051);
    put_big_endian(b, count);
    put_big_endian(b, height);
    put_big_endian(b, width);
    for (i = 0; i < pixels; i++) {
        put_little_endian(b, 3 + 7 * i, 1);
    }
}

static void idx_labels(blob *b, uint32_t count, size_t labels) {
    size_t i;
    b->size = 0;
    put_big_endian(b, 2049);
    put_big_endian(b, count);
    for (i = 0; i < labels; i++) {
        put_little_endian(b, (3 * i + 2) % 10, 1);
    }
}

static prun_status load_idx(const prun_idx_options *options, prun_images *images) {
    return prun_load_idx(&test_context, in_directory("images.idx"), in_directory("labels.idx"),
                         options, images);
}

/* Writes both blobs and expects the load to fail, results untouched. */
static void idx_fails(const blob *images, const blob *labels, const prun_idx_options *options,
                      prun_status a, prun_status b, const char *file, const char *what) {
    prun_images set, untouched;
    memset(&set, 0x5a, sizeof set);
    untouched = set;
    write_blob("images.idx", images);
    write_blob("labels.idx", labels);
    check_failure(load_idx(options, &set), a, b, file, what);
    CHECK(memcmp(&set, &untouched, sizeof set) == 0);
}

static void idx_good(void) {
    prun_images set;
    size_t i;
    begin();
    idx_images(&scratch[0], 3, 2, 4, 24);
    idx_labels(&scratch[1], 3, 3);
    write_blob("images.idx", &scratch[0]);
    write_blob("labels.idx", &scratch[1]);
    memset(&set, 0x5a, sizeof set);
    if (!CHECK_STATUS(load_idx(NULL, &set), PRUN_OK)) return;
    CHECK(set.count == 3 && set.channels == 1 && set.height == 2 && set.width == 4);
    CHECK(set.classes == 10 && set.values == NULL && set.normalization == PRUN_NORMALIZE_NONE);
    CHECK(memcmp(set.pixels, scratch[0].data + 16, 24) == 0);
    for (i = 0; i < 3; i++) {
        CHECK(set.labels[i] == scratch[1].data[8 + i]);
    }
    CHECK_STATUS(prun_images_check(&test_context, &set), PRUN_OK);
    prun_images_free(&set);
    CHECK(set.pixels == NULL && set.labels == NULL && set.count == 0);
    prun_images_free(&set);
    prun_images_free(NULL);
    end();
}

static void idx_padded_channels(void) {
    prun_idx_options options;
    prun_images set;
    int64_t i, c, y, x;
    begin();
    idx_images(&scratch[0], 3, 2, 4, 24);
    idx_labels(&scratch[1], 3, 3);
    write_blob("images.idx", &scratch[0]);
    write_blob("labels.idx", &scratch[1]);
    memset(&options, 0, sizeof options);
    options.classes = 12;
    options.channels = 3;
    options.pad_to = 6;
    if (!CHECK_STATUS(load_idx(&options, &set), PRUN_OK)) return;
    CHECK(set.count == 3 && set.channels == 3 && set.height == 6 && set.width == 6);
    CHECK(set.classes == 12);
    for (i = 0; i < 3; i++) {
        for (c = 0; c < 3; c++) {
            for (y = 0; y < 6; y++) {
                for (x = 0; x < 6; x++) {
                    int inside = y >= 2 && y < 4 && x >= 1 && x < 5;
                    int want = inside ? scratch[0].data[16 + i * 8 + (y - 2) * 4 + x - 1] : 0;
                    CHECK(set.pixels[((i * 3 + c) * 6 + y) * 6 + x] == want);
                }
            }
        }
    }
    prun_images_free(&set);
    end();
}

static void idx_every_length(void) {
    size_t size, i;
    begin();
    idx_images(&scratch[0], 3, 2, 4, 24);
    idx_labels(&scratch[1], 3, 3);
    for (i = 0; i < 2; i++) {
        const char *file = i ? "labels.idx" : "images.idx";
        size_t whole = scratch[i].size;
        for (size = 0; size < whole; size++) {
            scratch[i].size = size;
            idx_fails(&scratch[0], &scratch[1], NULL, PRUN_ERR_TRUNCATED, PRUN_ERR_TRUNCATED, file,
                      "a file cut short");
        }
        scratch[i].size = whole + 1; /* one byte more */
        idx_fails(&scratch[0], &scratch[1], NULL, PRUN_ERR_OVERSIZED, PRUN_ERR_OVERSIZED, file,
                  "one byte too many");
        scratch[i].size = whole;
    }
    end();
}

static void idx_of_another_kind(void) {
    begin();
    idx_images(&scratch[0], 3, 2, 4, 24);
    idx_labels(&scratch[1], 3, 3);
    idx_fails(&scratch[1], &scratch[1], NULL, PRUN_ERR_MAGIC, PRUN_ERR_TRUNCATED, "images.idx",
              "labels as images");
    idx_fails(&scratch[0], &scratch[0], NULL, PRUN_ERR_MAGIC, PRUN_ERR_MAGIC, "labels.idx",
              "images as labels");
    scratch[0].data[2] = 13; /* floats */
    idx_fails(&scratch[0], &scratch[1], NULL, PRUN_ERR_MAGIC, PRUN_ERR_MAGIC, "images.idx",
              "another element type");
    scratch[0].data[2] = 8;
    scratch[0].data[0] = 0x1f; /* gzip */
    scratch[0].data[1] = 0x8b;
    idx_fails(&scratch[0], &scratch[1], NULL, PRUN_ERR_MAGIC, PRUN_ERR_MAGIC, "images.idx",
              "a compressed file");
    end();
}

static void idx_missing_files(void) {
    prun_images set;
    begin();
    idx_images(&scratch[0], 3, 2, 4, 24);
    write_blob("images.idx", &scratch[0]);
    check_failure(prun_load_idx(&test_context, in_directory("none.idx"), in_directory("labels.idx"),
                                NULL, &set),
                  PRUN_ERR_OPEN, PRUN_ERR_OPEN, "none.idx", "no image file");
    check_failure(prun_load_idx(&test_context, in_directory("images.idx"), in_directory("none.idx"),
                                NULL, &set),
                  PRUN_ERR_OPEN, PRUN_ERR_OPEN, "none.idx", "no label file");
    end();
}

static void idx_bad_sizes(void) {
    static const uint32_t sizes[][3] = {{0xffffffffu, 0xffffffffu, 0xffffffffu},
                                        {0xffffffffu, 1, 1},
                                        {3, 0xffffffffu, 4},
                                        {3, 2, 0x80000000u},
                                        {0x80000000u, 0x80000000u, 4},
                                        {1, 0x10000, 0x10000},
                                        {4, 0x40000000u, 0x10}};
    size_t i;
    begin();
    idx_labels(&scratch[1], 3, 3);
    for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        idx_images(&scratch[0], sizes[i][0], sizes[i][1], sizes[i][2], 24);
        idx_fails(&scratch[0], &scratch[1], NULL, PRUN_ERR_TRUNCATED, PRUN_ERR_OVERFLOW,
                  "images.idx", "a huge size");
    }
    idx_images(&scratch[0], 3, 2, 4, 24);
    idx_labels(&scratch[1], 0xffffffffu, 3);
    idx_fails(&scratch[0], &scratch[1], NULL, PRUN_ERR_TRUNCATED, PRUN_ERR_OVERFLOW, "labels.idx",
              "a huge label count");
    idx_labels(&scratch[1], 3, 3);
    for (i = 0; i < 3; i++) {
        idx_images(&scratch[0], i == 0 ? 0 : 3, i == 1 ? 0 : 2, i == 2 ? 0 : 4, 0);
        idx_fails(&scratch[0], &scratch[1], NULL, PRUN_ERR_SHAPE, PRUN_ERR_FORMAT, "images.idx",
                  "a size of zero");
    }
    end();
}

static void idx_that_do_not_fit_together(void) {
    begin();
    idx_images(&scratch[0], 3, 2, 4, 24);
    idx_labels(&scratch[1], 2, 2);
    idx_fails(&scratch[0], &scratch[1], NULL, PRUN_ERR_SHAPE, PRUN_ERR_FORMAT, ".idx",
              "fewer labels than images");
    idx_labels(&scratch[1], 4, 4);
    idx_fails(&scratch[0], &scratch[1], NULL, PRUN_ERR_SHAPE, PRUN_ERR_FORMAT, ".idx",
              "more labels than images");
    end();
}

static void idx_bad_labels(void) {
    prun_idx_options options;
    begin();
    idx_images(&scratch[0], 30, 1, 1, 30);
    idx_labels(&scratch[1], 30, 30);
    scratch[1].data[8 + 17] = 10;
    idx_fails(&scratch[0], &scratch[1], NULL, PRUN_ERR_LABEL, PRUN_ERR_LABEL, "labels.idx",
              "label 10 of 10 classes");
    write_blob("labels.idx", &scratch[1]);
    {
        prun_images set;
        CHECK_STATUS(load_idx(NULL, &set), PRUN_ERR_LABEL);
        CHECK(message_names("17"));
    }
    memset(&options, 0, sizeof options);
    options.classes = 9;
    idx_labels(&scratch[1], 30, 30);
    idx_fails(&scratch[0], &scratch[1], &options, PRUN_ERR_LABEL, PRUN_ERR_LABEL, "labels.idx",
              "label 9 of 9 classes");
    end();
}

static void idx_bad_options(void) {
    static const prun_idx_options bad[] = {{-1, 0, 0}, {0, 17, 0}, {0, -1, 0},
                                           {0, 0, -1}, {0, 0, 3},  {0, 0, INT64_MAX}};
    prun_images set;
    size_t i;
    begin();
    idx_images(&scratch[0], 3, 2, 4, 24);
    idx_labels(&scratch[1], 3, 3);
    write_blob("images.idx", &scratch[0]);
    write_blob("labels.idx", &scratch[1]);
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        prun_status status = load_idx(&bad[i], &set);
        CHECK(status == PRUN_ERR_ARGUMENT || status == PRUN_ERR_SHAPE ||
              status == PRUN_ERR_OVERFLOW);
        CHECK(prun_message(&test_context)[0] != '\0');
    }
    end();
}

/* ---- CIFAR ---- */

enum { CIFAR_PIXELS = 3072 };

/* `count` records with the given number of label bytes; label byte k of record i is 5 i + k. */
static void cifar_records(blob *b, size_t count, size_t label_bytes, size_t limit, unsigned shift) {
    size_t i, k;
    b->size = 0;
    for (i = 0; i < count; i++) {
        for (k = 0; k < label_bytes; k++) {
            put_little_endian(b, (5 * i + k) % limit, 1);
        }
        for (k = 0; k < CIFAR_PIXELS; k++) {
            put_little_endian(b, i * 31 + k * 7 + k / 100 + shift, 1);
        }
    }
}

static void check_record(const prun_images *set, int64_t i, const blob *b, size_t record,
                         size_t label_bytes, int32_t label) {
    const unsigned char *bytes = b->data + record * (CIFAR_PIXELS + label_bytes) + label_bytes;
    CHECK(memcmp(set->pixels + i * CIFAR_PIXELS, bytes, CIFAR_PIXELS) == 0);
    CHECK(set->labels[i] == label);
}

static void cifar10_good(void) {
    const char *paths[2];
    prun_images set;
    begin();
    cifar_records(&scratch[0], 3, 1, 10, 0);
    cifar_records(&scratch[1], 2, 1, 10, 99);
    write_blob("a.bin", &scratch[0]);
    write_blob("b.bin", &scratch[1]);
    paths[0] = in_directory("b.bin");
    paths[1] = in_directory("a.bin");
    if (!CHECK_STATUS(prun_load_cifar(&test_context, paths, 2, 10, &set), PRUN_OK)) return;
    CHECK(set.count == 5 && set.channels == 3 && set.height == 32 && set.width == 32);
    CHECK(set.classes == 10 && set.values == NULL);
    check_record(&set, 0, &scratch[1], 0, 1, 0);
    check_record(&set, 1, &scratch[1], 1, 1, 5);
    check_record(&set, 2, &scratch[0], 0, 1, 0);
    check_record(&set, 4, &scratch[0], 2, 1, 0);
    CHECK_STATUS(prun_images_check(&test_context, &set), PRUN_OK);
    prun_images_free(&set);
    end();
}

static void cifar100_good(void) {
    int coarse;
    const char *paths[1];
    begin();
    cifar_records(&scratch[0], 4, 2, 18, 5);
    scratch[0].data[1] = 99; /* a fine label no coarse one could be */
    write_blob("c.bin", &scratch[0]);
    paths[0] = in_directory("c.bin");
    for (coarse = 0; coarse < 2; coarse++) {
        prun_images set;
        int32_t i;
        if (!CHECK_STATUS(prun_load_cifar(&test_context, paths, 1, coarse ? 20 : 100, &set),
                          PRUN_OK))
            return;
        CHECK(set.count == 4 && set.classes == (coarse ? 20 : 100));
        for (i = 0; i < 4; i++) {
            int32_t fine = i == 0 ? 99 : 5 * i + 1;
            check_record(&set, i, &scratch[0], (size_t)i, 2, coarse ? 5 * i : fine);
        }
        prun_images_free(&set);
    }
    end();
}

static void cifar_fails(const blob *b, int64_t classes, prun_status x, prun_status y,
                        const char *what) {
    const char *paths[2];
    prun_images set, untouched;
    cifar_records(&scratch[2], 1, classes == 10 ? 1 : 2, 10, 0);
    write_blob("good.bin", &scratch[2]);
    write_blob("bad.bin", b);
    paths[0] = in_directory("good.bin");
    paths[1] = in_directory("bad.bin");
    memset(&set, 0x5a, sizeof set);
    untouched = set;
    check_failure(prun_load_cifar(&test_context, paths, 2, classes, &set), x, y, "bad.bin", what);
    CHECK(memcmp(&set, &untouched, sizeof set) == 0);
}

static void cifar_bad_sizes(void) {
    int64_t classes;
    begin();
    for (classes = 10; classes <= 100; classes += 90) {
        size_t bytes = classes == 10 ? 1 : 2, record = CIFAR_PIXELS + bytes, size;
        cifar_records(&scratch[0], 2, bytes, 10, 0);
        for (size = 0; size < 2 * record; size += size < 5 ? 1 : size / record ? 613 : 307) {
            if (size > 0 && size % record == 0) continue;
            scratch[0].size = size;
            cifar_fails(&scratch[0], classes, PRUN_ERR_TRUNCATED, PRUN_ERR_FORMAT,
                        "no whole number of records");
        }
        scratch[0].size = 2 * record - 1;
        cifar_fails(&scratch[0], classes, PRUN_ERR_TRUNCATED, PRUN_ERR_FORMAT, "a byte missing");
        scratch[0].size = record + 1;
        cifar_fails(&scratch[0], classes, PRUN_ERR_TRUNCATED, PRUN_ERR_FORMAT, "a byte more");
    }
    end();
}

static void cifar_bad_labels(void) {
    begin();
    cifar_records(&scratch[0], 2, 1, 10, 0);
    scratch[0].data[CIFAR_PIXELS + 1] = 10;
    cifar_fails(&scratch[0], 10, PRUN_ERR_LABEL, PRUN_ERR_LABEL, "label 10 of 10 classes");
    cifar_records(&scratch[0], 2, 2, 10, 0);
    scratch[0].data[1] = 100;
    cifar_fails(&scratch[0], 100, PRUN_ERR_LABEL, PRUN_ERR_LABEL, "label 100 of 100 classes");
    scratch[0].data[1] = 0;
    scratch[0].data[0] = 20;
    cifar_fails(&scratch[0], 20, PRUN_ERR_LABEL, PRUN_ERR_LABEL, "label 20 of 20 classes");
    end();
}

static void cifar_bad_arguments(void) {
    const char *paths[1];
    prun_images set;
    begin();
    cifar_records(&scratch[0], 2, 1, 10, 0);
    write_blob("a.bin", &scratch[0]);
    paths[0] = in_directory("a.bin");
    CHECK_STATUS(prun_load_cifar(&test_context, paths, 0, 10, &set), PRUN_ERR_ARGUMENT);
    CHECK_STATUS(prun_load_cifar(&test_context, paths, -1, 10, &set), PRUN_ERR_ARGUMENT);
    CHECK_STATUS(prun_load_cifar(&test_context, paths, 1, 7, &set), PRUN_ERR_ARGUMENT);
    CHECK_STATUS(prun_load_cifar(&test_context, paths, 1, 0, &set), PRUN_ERR_ARGUMENT);
    paths[0] = in_directory("none.bin");
    check_failure(prun_load_cifar(&test_context, paths, 1, 10, &set), PRUN_ERR_OPEN, PRUN_ERR_OPEN,
                  "none.bin", "no file");
    end();
}

/* ---- safetensors by hand ---- */

/* "a": floats; written first though it lies last; "y": integers, at an odd place. */
static const char *const good_json =
    "{\"a\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[28,52]},"
    "\"__metadata__\":{\"format\":\"pt\",\"empty\":\"\"},"
    "\"y\":{\"dtype\":\"I64\",\"data_offsets\":[4,28],\"shape\":[3]},"
    "\"s\":{\"shape\":[],\"dtype\":\"F32\",\"data_offsets\":[0,4],"
    "\"extra\":{\"b\":[1,-2.5e3,{\"c\":null}],\"t\":true,\"f\":false}}}  ";

static void good_file(blob *b) {
    int i;
    safetensors(b, good_json, 0);
    put_float(b, 0.5f);
    put_little_endian(b, 7, 8);
    put_little_endian(b, (uint64_t)-8, 8);
    put_little_endian(b, (uint64_t)1 << 62, 8);
    for (i = 0; i < 6; i++) {
        put_float(b, (float)i - 1.25f);
    }
}

static void check_entry(const prun_safetensors_entry *entry, const char *name, prun_dtype dtype,
                        int32_t rank, int64_t first, int64_t count) {
    if (!CHECK(entry != NULL)) return;
    CHECK(strcmp(entry->name, name) == 0 && entry->dtype == dtype && entry->rank == rank);
    CHECK(entry->count == count && (rank == 0 || entry->shape[0] == first));
}

static void safetensors_good(void) {
    prun_safetensors *file;
    float s = 0, a[6];
    int64_t y[3];
    int i;
    begin();
    good_file(&scratch[0]);
    write_blob("t.safetensors", &scratch[0]);
    if (!CHECK_STATUS(open_safetensors(&file), PRUN_OK)) return;
    CHECK(prun_safetensors_count(file) == 3);
    check_entry(prun_safetensors_at(file, 0), "s", PRUN_F32, 0, 0, 1);
    check_entry(prun_safetensors_at(file, 1), "y", PRUN_I64, 1, 3, 3);
    check_entry(prun_safetensors_at(file, 2), "a", PRUN_F32, 2, 2, 6);
    CHECK(prun_safetensors_find(file, "a") == prun_safetensors_at(file, 2));
    CHECK(prun_safetensors_find(file, "b") == NULL && prun_safetensors_find(file, "") == NULL);
    CHECK(prun_safetensors_find(file, "__metadata__") == NULL);
    CHECK(strcmp(prun_safetensors_metadata(file, "format"), "pt") == 0);
    CHECK(strcmp(prun_safetensors_metadata(file, "empty"), "") == 0);
    CHECK(prun_safetensors_metadata(file, "none") == NULL);
    CHECK_STATUS(prun_safetensors_read_f32(file, prun_safetensors_at(file, 2), a), PRUN_OK);
    CHECK_STATUS(prun_safetensors_read_i64(file, prun_safetensors_at(file, 1), y), PRUN_OK);
    CHECK_STATUS(prun_safetensors_read_f32(file, prun_safetensors_at(file, 0), &s), PRUN_OK);
    CHECK(s == 0.5f && y[0] == 7 && y[1] == -8 && y[2] == (int64_t)1 << 62);
    for (i = 0; i < 6; i++) {
        CHECK(a[i] == (float)i - 1.25f);
    }
    CHECK(prun_safetensors_read_i64(file, prun_safetensors_at(file, 2), y) != PRUN_OK);
    CHECK(message_names("a"));
    CHECK(prun_safetensors_read_f32(file, prun_safetensors_at(file, 1), a) != PRUN_OK);
    prun_safetensors_close(file);
    prun_safetensors_close(NULL);
    end();
}

static void safetensors_names_with_escapes(void) {
    static const char *const json =
        "{\"q\\\"b\\\\s\\/\\b\\f\\n\\r\\t\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]"
        "},\"\\u0041\\u00e9\\u20ac\\ud83d\\ude00\":{\"dtype\":\"F32\",\"shape\":[1],"
        "\"data_offsets\":[4,8]}}";
    prun_safetensors *file;
    begin();
    safetensors(&scratch[0], json, 8);
    write_blob("t.safetensors", &scratch[0]);
    if (!CHECK_STATUS(open_safetensors(&file), PRUN_OK)) return;
    CHECK(prun_safetensors_find(file, "q\"b\\s/\b\f\n\r\t") == prun_safetensors_at(file, 0));
    CHECK(prun_safetensors_find(file, "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80") ==
          prun_safetensors_at(file, 1));
    prun_safetensors_close(file);
    end();
}

/* Types that are not read are listed all the same, and in nobody's way. */
static void safetensors_of_other_types(void) {
    static const char *const json =
        "{\"h\":{\"dtype\":\"F8_E5M2\",\"shape\":[2,2],\"data_offsets\":[0,4]},"
        "\"u\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[4,7]},"
        "\"f\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[7,11]},"
        "\"q\":{\"dtype\":\"F4\",\"shape\":[6],\"data_offsets\":[11,14]},"
        "\"r\":{\"dtype\":\"F2_NEW\",\"shape\":[100],\"data_offsets\":[14,16]}}";
    prun_safetensors *file;
    int64_t integers[4];
    float floats[4] = {0, 0, 0, 0};
    begin();
    safetensors(&scratch[0], json, 7);
    put_float(&scratch[0], -2.5f);
    put(&scratch[0], "12345", 5);
    write_blob("t.safetensors", &scratch[0]);
    if (!CHECK_STATUS(open_safetensors(&file), PRUN_OK)) return;
    check_entry(prun_safetensors_find(file, "q"), "q", PRUN_OTHER_DTYPE, 1, 6, 6);
    check_entry(prun_safetensors_find(file, "r"), "r", PRUN_OTHER_DTYPE, 1, 100, 100);
    check_failure(prun_safetensors_read_f32(file, prun_safetensors_find(file, "r"), floats),
                  PRUN_ERR_UNSUPPORTED, PRUN_ERR_UNSUPPORTED,
                  "tensor r: elements of type F2_NEW are not supported", "an unknown type");
    check_entry(prun_safetensors_at(file, 0), "h", PRUN_OTHER_DTYPE, 2, 2, 4);
    check_entry(prun_safetensors_at(file, 1), "u", PRUN_U8, 1, 3, 3);
    CHECK_STATUS(prun_safetensors_read_f32(file, prun_safetensors_at(file, 2), floats), PRUN_OK);
    CHECK(floats[0] == -2.5f);
    check_failure(prun_safetensors_read_f32(file, prun_safetensors_at(file, 0), floats),
                  PRUN_ERR_UNSUPPORTED, PRUN_ERR_UNSUPPORTED, "tensor h", "F8 as floats");
    check_failure(prun_safetensors_read_i64(file, prun_safetensors_at(file, 0), integers),
                  PRUN_ERR_UNSUPPORTED, PRUN_ERR_UNSUPPORTED, "tensor h", "F8 as integers");
    check_failure(prun_safetensors_read_f32(file, prun_safetensors_at(file, 1), floats),
                  PRUN_ERR_UNSUPPORTED, PRUN_ERR_UNSUPPORTED, "tensor u", "U8 as floats");
    prun_safetensors_close(file);
    end();
}

static void safetensors_without_tensors(void) {
    static const char *const json[3] = {
        "{}", "{\"__metadata__\":{}}",
        "{\"e\":{\"dtype\":\"F32\",\"shape\":[0,4],\"data_offsets\":[0,0]}}"};
    int i;
    begin();
    for (i = 0; i < 3; i++) {
        prun_safetensors *file;
        float none;
        safetensors(&scratch[0], json[i], 0);
        write_blob("t.safetensors", &scratch[0]);
        if (!CHECK_STATUS(open_safetensors(&file), PRUN_OK)) return;
        CHECK(prun_safetensors_count(file) == i / 2);
        if (i == 2) {
            CHECK(prun_safetensors_at(file, 0)->count == 0);
            CHECK_STATUS(prun_safetensors_read_f32(file, prun_safetensors_at(file, 0), &none),
                         PRUN_OK);
        }
        prun_safetensors_close(file);
    }
    end();
}

#define TENSOR(name, shape, from, to) \
    "\"" name "\":{\"dtype\":\"F32\",\"shape\":[" shape "],\"data_offsets\":[" from "," to "]}"

typedef struct malformed {
    const char *json;
    size_t data;
    prun_status a, b; /* either will do */
} malformed;

static const malformed malformed_headers[] = {
    {"", 0, PRUN_ERR_FORMAT, PRUN_ERR_TRUNCATED},
    {"[]", 0, PRUN_ERR_FORMAT, PRUN_ERR_FORMAT},
    {"null", 0, PRUN_ERR_FORMAT, PRUN_ERR_FORMAT},
    {"\x93NUMPY", 0, PRUN_ERR_FORMAT, PRUN_ERR_MAGIC},
    {"{", 0, PRUN_ERR_FORMAT, PRUN_ERR_FORMAT},
    {"{\"a", 0, PRUN_ERR_FORMAT, PRUN_ERR_FORMAT},
    {"{\"a\"", 0, PRUN_ERR_FORMAT, PRUN_ERR_FORMAT},
    {"{\"a\":", 0, PRUN_ERR_FORMAT, PRUN_ERR_FORMAT},
    {"{\"a\":}", 0, PRUN_ERR_FORMAT, PRUN_ERR_FORMAT},
    {"{\"a\":5}", 0, PRUN_ERR_FORMAT, PRUN_ERR_FORMAT},
    {"{\"a\":{}}", 0, PRUN_ERR_FORMAT, PRUN_ERR_FORMAT},
    {"{a:{}}", 0, PRUN_ERR_FORMAT, PRUN_ERR_FORMAT},
    {"{" TENSOR("a", "2,3", "0", "24"), 24, PRUN_ERR_FORMAT, PRUN_ERR_FORMAT},
    {"{" TENSOR("a", "2,3", "0", "24") ",}", 24, PRUN_ERR_FORMAT, PRUN_ERR_FORMAT},
    {"{" TENSOR("a", "2,3", "0", "24") "}}", 24, PRUN_ERR_FORMAT, PRUN_ERR_FORMAT},
    {"{" TENSOR("a", "2,3", "0", "24") "} x", 24, PRUN_ERR_FORMAT, PRUN_ERR_FORMAT},
    {"{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, PRUN_ERR_FORMAT, PRUN_ERR_MISSING},
    {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, PRUN_ERR_FORMAT, PRUN_ERR_MISSING},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, PRUN_ERR_FORMAT, PRUN_ERR_MISSING},
    {"{\"a\":{\"dtype\":32,\"shape\":[1],\"data_offsets\":[0,4]}}", 4, PRUN_ERR_FORMAT,
     PRUN_ERR_UNSUPPORTED},
    {"{\"a\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[0,2]}}", 2, PRUN_ERR_FORMAT,
     PRUN_ERR_SHAPE},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":1,\"data_offsets\":[0,4]}}", 4, PRUN_ERR_FORMAT,
     PRUN_ERR_FORMAT},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4, PRUN_ERR_FORMAT,
     PRUN_ERR_FORMAT},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,8]}}", 8, PRUN_ERR_FORMAT,
     PRUN_ERR_FORMAT},
    {"{" TENSOR("a", "\"1\"", "0", "4") "}", 4, PRUN_ERR_FORMAT, PRUN_ERR_FORMAT},
    {"{" TENSOR("a", "1.0", "0", "4") "}", 4, PRUN_ERR_FORMAT, PRUN_ERR_FORMAT},
    {"{" TENSOR("a", "1,", "0", "4") "}", 4, PRUN_ERR_FORMAT, PRUN_ERR_FORMAT},
    {"{" TENSOR("a", ",1", "0", "4") "}", 4, PRUN_ERR_FORMAT, PRUN_ERR_FORMAT},
    {"{" TENSOR("a", "-1", "0", "4") "}", 4, PRUN_ERR_FORMAT, PRUN_ERR_SHAPE},
    {"{" TENSOR("a", "-2,-3", "0", "24") "}", 24, PRUN_ERR_FORMAT, PRUN_ERR_SHAPE},
    {"{" TENSOR("a", "1,1,1,1,1,1,1,1,1", "0", "4") "}", 4, PRUN_ERR_FORMAT, PRUN_ERR_UNSUPPORTED},
    {"{" TENSOR("a", "2,3", "24", "0") "}", 24, PRUN_ERR_FORMAT, PRUN_ERR_FORMAT},
    {"{" TENSOR("a", "2,3", "-24", "0") "}", 24, PRUN_ERR_FORMAT, PRUN_ERR_FORMAT},
    {"{" TENSOR("a", "2,3", "0", "20") "}", 20, PRUN_ERR_FORMAT, PRUN_ERR_SHAPE},
    {"{" TENSOR("a", "2,3", "0", "28") "}", 28, PRUN_ERR_FORMAT, PRUN_ERR_SHAPE},
    {"{" TENSOR("a", "2,3", "0", "24") "}", 23, PRUN_ERR_TRUNCATED, PRUN_ERR_TRUNCATED},
    {"{" TENSOR("a", "2,3", "0", "24") "}", 25, PRUN_ERR_OVERSIZED, PRUN_ERR_OVERSIZED},
    {"{}", 1, PRUN_ERR_OVERSIZED, PRUN_ERR_OVERSIZED},
    {"{" TENSOR("a", "1", "8", "12") "}", 4, PRUN_ERR_TRUNCATED, PRUN_ERR_FORMAT},
    {"{" TENSOR("a", "1", "18446744073709551612", "18446744073709551616") "}", 4, PRUN_ERR_FORMAT,
     PRUN_ERR_OVERFLOW},
    {"{" TENSOR("a", "1", "9223372036854775804", "9223372036854775808") "}", 4, PRUN_ERR_FORMAT,
     PRUN_ERR_OVERFLOW},
    {"{" TENSOR("a", "9223372036854775807", "0", "4") "}", 4, PRUN_ERR_FORMAT, PRUN_ERR_OVERFLOW},
    {"{" TENSOR("a", "4294967296,4294967297", "0", "4") "}", 4, PRUN_ERR_FORMAT, PRUN_ERR_OVERFLOW},
    {"{" TENSOR("a", "4611686018427387905", "0", "4") "}", 4, PRUN_ERR_FORMAT, PRUN_ERR_OVERFLOW},
    {"{" TENSOR("a", "99999999999999999999", "0", "4") "}", 4, PRUN_ERR_FORMAT, PRUN_ERR_OVERFLOW},
    {"{" TENSOR("a", "1", "0", "4") "," TENSOR("a", "1", "4", "8") "}", 8, PRUN_ERR_FORMAT,
     PRUN_ERR_FORMAT},
    {"{" TENSOR("a", "1", "0", "4") "," TENSOR("\\u0061", "1", "4", "8") "}", 8, PRUN_ERR_FORMAT,
     PRUN_ERR_FORMAT},
    {"{" TENSOR("a", "2", "0", "8") "," TENSOR("b", "2", "4", "12") "}", 12, PRUN_ERR_FORMAT,
     PRUN_ERR_FORMAT},
    {"{" TENSOR("a", "2", "0", "8") "," TENSOR("b", "2", "0", "8") "}", 8, PRUN_ERR_FORMAT,
     PRUN_ERR_FORMAT},
    {"{" TENSOR("\\q", "1", "0", "4") "}", 4, PRUN_ERR_FORMAT, PRUN_ERR_FORMAT},
    {"{" TENSOR("\\u00g0", "1", "0", "4") "}", 4, PRUN_ERR_FORMAT, PRUN_ERR_FORMAT},
    {"{\"\\u00", 0, PRUN_ERR_FORMAT, PRUN_ERR_FORMAT},
    {"{\"\\", 0, PRUN_ERR_FORMAT, PRUN_ERR_FORMAT},
    {"{\"__metadata__\":5}", 0, PRUN_ERR_FORMAT, PRUN_ERR_FORMAT},
    {"{\"__metadata__\":{\"a\":1}}", 0, PRUN_ERR_FORMAT, PRUN_ERR_FORMAT},
    {"{\"__metadata__\":{\"a\"}}", 0, PRUN_ERR_FORMAT, PRUN_ERR_FORMAT},
};

static void safetensors_malformed(void) {
    size_t i;
    begin();
    for (i = 0; i < sizeof malformed_headers / sizeof malformed_headers[0]; i++) {
        const malformed *m = &malformed_headers[i];
        prun_safetensors *file;
        safetensors(&scratch[0], m->json, m->data);
        write_blob("t.safetensors", &scratch[0]);
        check_failure(open_safetensors(&file), m->a, m->b, "t.safetensors", m->json);
        CHECK(file == NULL);
    }
    end();
}

static void safetensors_bad_header_length(void) {
    static const uint64_t lengths[] = {3,
                                       1000,
                                       (uint64_t)1 << 31,
                                       (uint64_t)1 << 32,
                                       (uint64_t)1 << 62,
                                       (uint64_t)1 << 63,
                                       UINT64_MAX,
                                       UINT64_MAX - 7};
    size_t i;
    begin();
    for (i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        prun_safetensors *file;
        scratch[0].size = 0;
        put_little_endian(&scratch[0], lengths[i], 8);
        put(&scratch[0], "{}", 2);
        write_blob("t.safetensors", &scratch[0]);
        check_failure(open_safetensors(&file), PRUN_ERR_TRUNCATED, PRUN_ERR_OVERFLOW,
                      "t.safetensors", "a header longer than the file");
    }
    end();
}

static void safetensors_missing(void) {
    prun_safetensors *file = NULL;
    begin();
    check_failure(prun_safetensors_open(&test_context, in_directory("none.safetensors"), &file),
                  PRUN_ERR_OPEN, PRUN_ERR_OPEN, "none.safetensors", "no file");
    end();
}

/* Brackets inside brackets, so many that a parser that recurses without a limit runs out of any
   usual stack. */
static void safetensors_deep_nesting(void) {
    static const char *const open[2] = {"[", "{\"a\":"};
    static const char *const close[2] = {"]", "}"};
    static const char *const rest = ",\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}";
    static const size_t depths[2] = {1400000, 480000};
    int kind, closed;
    size_t i;
    begin();
    for (kind = 0; kind < 2; kind++) {
        for (closed = 0; closed < 2; closed++) {
            prun_safetensors *file;
            prun_status status;
            uint64_t length;
            blob *b = &scratch[0];
            b->size = 8;
            put(b, "{\"a\":{\"x\":", 10);
            for (i = 0; i < depths[kind]; i++) {
                put(b, open[kind], strlen(open[kind]));
            }
            put(b, "1", 1);
            for (i = 0; closed && i < depths[kind]; i++) {
                put(b, close[kind], 1);
            }
            put(b, rest, strlen(rest));
            length = b->size - 8;
            b->size = 0;
            put_little_endian(b, length, 8);
            b->size += length;
            write_blob("t.safetensors", b);
            status = open_safetensors(&file);
            CHECK(status == PRUN_ERR_FORMAT || status == PRUN_ERR_UNSUPPORTED ||
                  (closed && status == PRUN_OK));
            if (status == PRUN_OK) prun_safetensors_close(file);
        }
    }
    end();
}

static void safetensors_every_prefix(void) {
    size_t size;
    begin();
    good_file(&scratch[0]);
    for (size = 0; size < scratch[0].size; size++) {
        prun_safetensors *file;
        write_file("t.safetensors", scratch[0].data, size);
        check_failure(open_safetensors(&file), PRUN_ERR_TRUNCATED, PRUN_ERR_TRUNCATED,
                      "t.safetensors", "a prefix");
    }
    end();
}

/* Whatever an open file claims must be true of its bytes. */
static void check_consistent(prun_safetensors *file, size_t size) {
    int64_t i;
    for (i = 0; i < prun_safetensors_count(file); i++) {
        const prun_safetensors_entry *entry = prun_safetensors_at(file, i);
        int64_t product = 1;
        int32_t d, floats;
        void *out;
        if (!CHECK(entry != NULL && entry->name != NULL && entry->rank >= 0 && entry->rank <= 8)) {
            return;
        }
        for (d = 0; d < entry->rank; d++) {
            product *= entry->shape[d];
        }
        if (!CHECK(entry->count == product)) return;
        if (entry->dtype == PRUN_OTHER_DTYPE) {
            CHECK_STATUS(prun_safetensors_read_f32(file, entry, NULL), PRUN_ERR_UNSUPPORTED);
            CHECK_STATUS(prun_safetensors_read_i64(file, entry, NULL), PRUN_ERR_UNSUPPORTED);
            continue;
        }
        if (!CHECK(entry->count <= (int64_t)size)) return;
        out = malloc((size_t)entry->count * 8 + 1);
        if (!CHECK(out != NULL)) return;
        floats = entry->dtype == PRUN_F32 || entry->dtype == PRUN_F64 || entry->dtype == PRUN_F16;
        CHECK_STATUS(prun_safetensors_read_f32(file, entry, (float *)out),
                     floats ? PRUN_OK : PRUN_ERR_UNSUPPORTED);
        CHECK_STATUS(prun_safetensors_read_i64(file, entry, (int64_t *)out),
                     floats ? PRUN_ERR_UNSUPPORTED : PRUN_OK);
        CHECK(prun_safetensors_find(file, entry->name) == entry);
        free(out);
    }
}

static void safetensors_every_byte_changed(void) {
    static const unsigned char values[] = {0,   ' ', '"', '\\', '{', '}', '[',  ']',
                                           ',', ':', '-', '0',  '9', 'u', 0x80, 0xff};
    size_t at, v, header, opened = 0, failed = 0;
    begin();
    good_file(&scratch[0]);
    header = 8 + strlen(good_json);
    for (at = 0; at < header; at++) {
        unsigned char kept = scratch[0].data[at];
        for (v = 0; v < sizeof values; v++) {
            prun_safetensors *file;
            prun_status status;
            scratch[0].data[at] = values[v];
            write_blob("t.safetensors", &scratch[0]);
            status = open_safetensors(&file);
            if (status == PRUN_OK) {
                opened++;
                check_consistent(file, scratch[0].size);
                prun_safetensors_close(file);
            } else {
                failed++;
                CHECK(file == NULL && message_names("t.safetensors"));
            }
        }
        scratch[0].data[at] = kept;
    }
    CHECK(opened > 100 && failed > 1000);
    end();
}

/* ---- writing ---- */

static prun_tensor tensor_of(const char *name, float *data, int32_t rank, int64_t a, int64_t b) {
    prun_tensor t;
    memset(&t, 0, sizeof t);
    t.data = data;
    t.name = name;
    t.rank = rank;
    t.shape[0] = a;
    t.shape[1] = b;
    return t;
}

static void written_is_read_back(void) {
    static const char *const names[4] = {"plain", "q\"uote\\back/slash\n\t\x01",
                                         "\xc3\xb6\xc3\x9f \xf0\x9f\x98\x80", "{\"x\":[1,2]}"};
    static const char *const metadata[4] = {"format", "pt", "k\"ey\\", "v\nal\"ue \xe2\x82\xac"};
    float values[4][6], out[6];
    prun_tensor tensors[4];
    prun_safetensors *file;
    int i;
    begin();
    for (i = 0; i < 24; i++) {
        values[i / 6][i % 6] = (float)(i - 11) * 0.37f;
    }
    values[0][0] = -0.0f;
    values[0][1] = 1e-45f;
    values[0][2] = 3.4e38f;
    tensors[0] = tensor_of(names[0], values[0], 2, 2, 3);
    tensors[1] = tensor_of(names[1], values[1], 1, 6, 0);
    tensors[2] = tensor_of(names[2], values[2], 0, 0, 0);
    tensors[3] = tensor_of(names[3], values[3], 2, 1, 5);
    CHECK_STATUS(prun_safetensors_write(&test_context, in_directory("t.safetensors"), tensors, 4,
                                        metadata, 2),
                 PRUN_OK);
    if (!CHECK_STATUS(open_safetensors(&file), PRUN_OK)) return;
    CHECK(prun_safetensors_count(file) == 4);
    for (i = 0; i < 4; i++) {
        static const int64_t sizes[4] = {6, 6, 1, 5};
        const prun_safetensors_entry *entry = prun_safetensors_find(file, names[i]);
        check_entry(entry, names[i], PRUN_F32, tensors[i].rank, tensors[i].shape[0], sizes[i]);
        if (entry == NULL) continue;
        CHECK(entry == prun_safetensors_at(file, i));
        CHECK_STATUS(prun_safetensors_read_f32(file, entry, out), PRUN_OK);
        CHECK(memcmp(out, values[i], (size_t)sizes[i] * sizeof(float)) == 0);
    }
    CHECK(strcmp(prun_safetensors_metadata(file, metadata[0]), metadata[1]) == 0);
    CHECK(strcmp(prun_safetensors_metadata(file, metadata[2]), metadata[3]) == 0);
    prun_safetensors_close(file);
    CHECK(files_named(".tmp", 0) == 0);
    end();
}

static void writing_no_tensors(void) {
    prun_safetensors *file;
    begin();
    CHECK_STATUS(
        prun_safetensors_write(&test_context, in_directory("t.safetensors"), NULL, 0, NULL, 0),
        PRUN_OK);
    if (CHECK_STATUS(open_safetensors(&file), PRUN_OK)) {
        CHECK(prun_safetensors_count(file) == 0);
        prun_safetensors_close(file);
    }
    end();
}

static void writing_where_nobody_can(void) {
    float value = 1;
    prun_tensor tensor = tensor_of("a", &value, 1, 1, 0);
    begin();
    check_failure(prun_safetensors_write(&test_context, in_directory("none/t.safetensors"), &tensor,
                                         1, NULL, 0),
                  PRUN_ERR_OPEN, PRUN_ERR_WRITE, "t.safetensors", "a missing directory");
#if HAVE_POSIX
    CHECK(mkdir(in_directory("folder"), 0700) == 0);
    check_failure(
        prun_safetensors_write(&test_context, in_directory("folder"), &tensor, 1, NULL, 0),
        PRUN_ERR_OPEN, PRUN_ERR_WRITE, "folder", "a directory's own name");
    CHECK(rmdir(in_directory("folder")) == 0);
    CHECK(files_named(".tmp", 0) == 0);
#endif
    end();
}

/* A write that fails leaves the file of the same name as it was. */
static void failing_write_keeps_the_old_file(void) {
#if HAVE_POSIX
    static float many[100000];
    float value = 1, read = 0;
    prun_tensor tensor = tensor_of("a", &value, 1, 1, 0);
    prun_tensor large = tensor_of("a", many, 1, 100000, 0);
    prun_safetensors *file;
    struct rlimit limit, small;
    begin();
    CHECK_STATUS(
        prun_safetensors_write(&test_context, in_directory("t.safetensors"), &tensor, 1, NULL, 0),
        PRUN_OK);
    signal(SIGXFSZ, SIG_IGN);
    CHECK(getrlimit(RLIMIT_FSIZE, &limit) == 0);
    small = limit;
    small.rlim_cur = 200000;
    CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
    check_failure(
        prun_safetensors_write(&test_context, in_directory("t.safetensors"), &large, 1, NULL, 0),
        PRUN_ERR_WRITE, PRUN_ERR_WRITE, "t.safetensors", "a limit on the size of files");
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    signal(SIGXFSZ, SIG_DFL);
    CHECK(files_named(".tmp", 0) == 0);
    if (CHECK_STATUS(open_safetensors(&file), PRUN_OK)) {
        CHECK_STATUS(prun_safetensors_read_f32(file, prun_safetensors_at(file, 0), &read), PRUN_OK);
        prun_safetensors_close(file);
    }
    CHECK(read == 1);
    CHECK_STATUS(
        prun_safetensors_write(&test_context, in_directory("t.safetensors"), &tensor, 1, NULL, 0),
        PRUN_OK);
    end();
#else
    SKIP("needs limits");
#endif
}

/* ---- networks ---- */

static int64_t net_floats(const prun_net *net) {
    int64_t i, count, floats = 0;
    const prun_tensor *t = prun_net_tensors(net, &count);
    for (i = 0; i < count; i++) {
        floats += prun_tensor_size(&t[i]);
    }
    return floats;
}

/* All tensors one after the other; the caller frees the copy. */
static float *net_copy(const prun_net *net) {
    float *copy = (float *)malloc((size_t)net_floats(net) * sizeof(float)), *to = copy;
    int64_t i, count;
    const prun_tensor *t = prun_net_tensors(net, &count);
    for (i = 0; copy != NULL && i < count; i++) {
        memcpy(to, t[i].data, (size_t)prun_tensor_size(&t[i]) * sizeof(float));
        to += prun_tensor_size(&t[i]);
    }
    return copy;
}

static int net_equals(const prun_net *net, const float *copy) {
    float *now = net_copy(net);
    int same = now != NULL && copy != NULL &&
               memcmp(now, copy, (size_t)net_floats(net) * sizeof(float)) == 0;
    free(now);
    return same;
}

/* Every float different from what initialisation gives, some of them awkward. */
static void disturb(prun_net *net) {
    static const float awkward[4] = {-0.0f, 1e-45f, -3.4e38f, 1.17549421e-38f};
    int64_t i, j, count;
    const prun_tensor *t = prun_net_tensors(net, &count);
    for (i = 0; i < count; i++) {
        for (j = 0; j < prun_tensor_size(&t[i]); j++) {
            t[i].data[j] = j % 7 == 3 ? awkward[j % 4] : t[i].data[j] + (float)(i + 1) * 0.25f;
        }
    }
}

static prun_net *make_net(prun_family family, int64_t width, uint64_t seed) {
    prun_net *net = NULL;
    prun_arch arch;
    memset(&arch, 0, sizeof arch);
    arch.family = family;
    arch.width = width;
    arch.depth = 2;
    arch.seed = seed;
    CHECK_STATUS(prun_net_family(&test_context, &arch, &net), PRUN_OK);
    return net;
}

static void saved_nets_come_back(void) {
    int family;
    begin();
    for (family = 0; family < 3; family++) {
        prun_net *net = make_net((prun_family)family, 2, 1), *other;
        prun_safetensors *file;
        float *copy;
        other = make_net((prun_family)family, 2, 2);
        if (!CHECK(net != NULL && other != NULL)) return;
        disturb(net);
        copy = net_copy(net);
        CHECK_STATUS(prun_net_save(net, in_directory("t.safetensors")), PRUN_OK);
        CHECK(net_equals(net, copy));
        CHECK(files_named(".tmp", 0) == 0);
        if (CHECK_STATUS(open_safetensors(&file), PRUN_OK)) {
            CHECK(!net_equals(other, copy));
            CHECK_STATUS(prun_net_load(other, file, NULL), PRUN_OK);
            CHECK(net_equals(other, copy));
            CHECK_STATUS(prun_net_load(other, file, "none."), PRUN_ERR_MISSING);
            prun_safetensors_close(file);
        }
        free(copy);
        prun_net_free(net);
        prun_net_free(other);
    }
    end();
}

enum { MAX_NET_TENSORS = 32 };

static prun_net *small_net(prun_tensor *tensors, int64_t *count) {
    prun_net *net = make_net(PRUN_CNN, 1, 9);
    const prun_tensor *t = net != NULL ? prun_net_tensors(net, count) : NULL;
    if (!CHECK(t != NULL && *count <= MAX_NET_TENSORS)) return NULL;
    memcpy(tensors, t, (size_t)*count * sizeof *t);
    return net;
}

/* Loading t.safetensors must fail, name the tensor, and leave the net alone. */
static void load_fails(prun_net *net, const char *prefix, prun_status a, prun_status b,
                       const char *tensor) {
    static uint64_t seed = 77; /* never the weights that the file was written from */
    prun_safetensors *file;
    float *copy;
    prun_net_init(net, seed++);
    copy = net_copy(net);
    if (CHECK_STATUS(open_safetensors(&file), PRUN_OK)) {
        check_failure(prun_net_load(net, file, prefix), a, b, tensor, "loading into a net");
        prun_safetensors_close(file);
    }
    CHECK(net_equals(net, copy));
    free(copy);
}

static void loading_with_a_tensor_missing(void) {
    prun_tensor tensors[MAX_NET_TENSORS], others[MAX_NET_TENSORS];
    int64_t count = 0, i;
    prun_net *net;
    begin();
    net = small_net(tensors, &count);
    for (i = 0; i < count; i++) {
        memcpy(others, tensors, (size_t)i * sizeof tensors[0]);
        memcpy(others + i, tensors + i + 1, (size_t)(count - 1 - i) * sizeof tensors[0]);
        CHECK_STATUS(prun_safetensors_write(&test_context, in_directory("t.safetensors"), others,
                                            count - 1, NULL, 0),
                     PRUN_OK);
        load_fails(net, NULL, PRUN_ERR_MISSING, PRUN_ERR_MISSING, tensors[i].name);
    }
    CHECK(count > 20);
    prun_net_free(net);
    end();
}

static void loading_with_a_wrong_shape(void) {
    prun_tensor tensors[MAX_NET_TENSORS];
    int64_t count = 0, i;
    int kind;
    prun_net *net;
    begin();
    net = small_net(tensors, &count);
    for (i = 0; i < count; i++) {
        for (kind = 0; kind < 2; kind++) {
            prun_tensor kept = tensors[i];
            if (kind == 0) { /* as many elements, another rank */
                tensors[i].rank = kept.rank == 1 ? 2 : 1;
                tensors[i].shape[0] = prun_tensor_size(&kept);
                tensors[i].shape[1] = 1;
            } else if (kept.shape[0] > 1) {
                tensors[i].shape[0]--;
            } else {
                continue;
            }
            CHECK_STATUS(prun_safetensors_write(&test_context, in_directory("t.safetensors"),
                                                tensors, count, NULL, 0),
                         PRUN_OK);
            load_fails(net, NULL, PRUN_ERR_SHAPE, PRUN_ERR_SHAPE, kept.name);
            tensors[i] = kept;
        }
    }
    prun_net_free(net);
    end();
}

/* The tensors as a file written here byte by byte; number `integers` as I64, and every name with
   a prefix. */
static void write_by_hand(const prun_tensor *tensors, int64_t count, const char *prefix,
                          int64_t integers) {
    static char json[20000];
    size_t used = 1;
    int64_t i, j, at = 0;
    int32_t d;
    json[0] = '{';
    for (i = 0; i < count; i++) {
        int64_t bytes = prun_tensor_size(&tensors[i]) * (i == integers ? 8 : 4);
        used += (size_t)snprintf(json + used, sizeof json - used,
                                 "%s\"%s%s\": {\"dtype\": \"%s\", \"shape\": [", i ? ", " : "",
                                 prefix, tensors[i].name, i == integers ? "I64" : "F32");
        for (d = 0; d < tensors[i].rank; d++) {
            used += (size_t)snprintf(json + used, sizeof json - used, "%s%ld", d ? ", " : "",
                                     (long)tensors[i].shape[d]);
        }
        used += (size_t)snprintf(json + used, sizeof json - used,
                                 "], \"data_offsets\": [%ld, %ld]}", (long)at, (long)(at + bytes));
        at += bytes;
    }
    snprintf(json + used, sizeof json - used, "}");
    safetensors(&scratch[1], json, 0);
    for (i = 0; i < count; i++) {
        for (j = 0; j < prun_tensor_size(&tensors[i]); j++) {
            if (i == integers) {
                put_little_endian(&scratch[1], (uint64_t)j, 8);
            } else {
                put_float(&scratch[1], tensors[i].data[j]);
            }
        }
    }
    write_blob("t.safetensors", &scratch[1]);
}

static void loading_integers_as_weights(void) {
    prun_tensor tensors[MAX_NET_TENSORS];
    int64_t count = 0, i;
    prun_net *net;
    begin();
    net = small_net(tensors, &count);
    for (i = 0; i < count; i += 3) {
        write_by_hand(tensors, count, "", i);
        load_fails(net, NULL, PRUN_ERR_UNSUPPORTED, PRUN_ERR_FORMAT, tensors[i].name);
    }
    prun_net_free(net);
    end();
}

/* What PyTorch writes: a prefix, and integers (num_batches_tracked) that the net has no use for. */
static void loading_with_prefix_and_extras(void) {
    prun_tensor tensors[MAX_NET_TENSORS + 1];
    int64_t count = 0;
    float tracked[1] = {0};
    float *copy;
    prun_safetensors *file;
    prun_net *net;
    begin();
    net = small_net(tensors, &count);
    if (net == NULL) return;
    disturb(net);
    copy = net_copy(net);
    tensors[count] = tensor_of("bn0.num_batches_tracked", tracked, 1, 1, 0);
    write_by_hand(tensors, count + 1, "model.net.", count);
    prun_net_init(net, 5);
    if (CHECK_STATUS(open_safetensors(&file), PRUN_OK)) {
        CHECK_STATUS(prun_net_load(net, file, "model.net."), PRUN_OK);
        CHECK(net_equals(net, copy));
        prun_safetensors_close(file);
    }
    load_fails(net, NULL, PRUN_ERR_MISSING, PRUN_ERR_MISSING, tensors[0].name);
    load_fails(net, "model.", PRUN_ERR_MISSING, PRUN_ERR_MISSING, tensors[0].name);
    free(copy);
    prun_net_free(net);
    end();
}

/* The file shrinks after it was opened: reading must notice, loading must change nothing. */
static void loading_a_file_that_was_cut(void) {
    prun_tensor tensors[MAX_NET_TENSORS];
    int64_t count = 0;
    float *copy;
    prun_safetensors *file;
    prun_net *net;
    begin();
    net = small_net(tensors, &count);
    if (net == NULL) return;
    write_by_hand(tensors, count, "", -1);
    prun_net_init(net, 5);
    copy = net_copy(net);
    if (CHECK_STATUS(open_safetensors(&file), PRUN_OK)) {
        write_file("t.safetensors", scratch[1].data, scratch[1].size - 100);
        check_failure(prun_net_load(net, file, NULL), PRUN_ERR_READ, PRUN_ERR_TRUNCATED,
                      "t.safetensors", "a file cut after opening");
        prun_safetensors_close(file);
    }
    CHECK(net_equals(net, copy));
    free(copy);
    prun_net_free(net);
    end();
}

/* ---- the family behind a checkpoint ---- */

static prun_arch draw_arch(uint64_t i) {
    prun_arch arch;
    uint64_t r = prun_random_bits(8, 1, i);
    memset(&arch, 0, sizeof arch);
    arch.family = (prun_family)(i % 3);
    arch.width = 1 + (int64_t)(r % (arch.family == PRUN_NIN ? 9 : 4));
    arch.depth = arch.family == PRUN_NIN ? 2 + (int64_t)(r >> 8) % 3 : 0;
    arch.classes = 2 + (int64_t)((r >> 16) % 120);
    arch.channels = 1 + (int64_t)((r >> 24) % 4);
    return arch;
}

static void arch_of_a_checkpoint(void) {
    uint64_t i;
    begin();
    for (i = 0; i < 45; i++) {
        prun_arch arch = draw_arch(i), got;
        prun_net *net = NULL;
        prun_safetensors *file;
        memset(&got, 0x5a, sizeof got);
        if (!CHECK_STATUS(prun_net_family(&test_context, &arch, &net), PRUN_OK)) return;
        CHECK_STATUS(prun_net_save(net, in_directory("t.safetensors")), PRUN_OK);
        if (CHECK_STATUS(open_safetensors(&file), PRUN_OK)) {
            CHECK_STATUS(prun_arch_from_checkpoint(file, NULL, arch.family, &got), PRUN_OK);
            CHECK(got.family == arch.family && got.width == arch.width);
            CHECK(got.classes == arch.classes && got.channels == arch.channels);
            CHECK(arch.family != PRUN_NIN || got.depth == arch.depth);
            CHECK(got.height == 0 && got.width_pixels == 0 && got.dropout == 0);
            prun_safetensors_close(file);
        }
        prun_net_free(net);
    }
    end();
}

static void arch_of_something_else(void) {
    prun_tensor tensors[MAX_NET_TENSORS];
    int64_t count = 0;
    prun_arch arch, untouched;
    prun_safetensors *file;
    prun_net *net;
    begin();
    net = small_net(tensors, &count);
    if (net == NULL) return;
    write_by_hand(tensors, count, "p.", -1);
    memset(&arch, 0x5a, sizeof arch);
    untouched = arch;
    if (CHECK_STATUS(open_safetensors(&file), PRUN_OK)) {
        check_failure(prun_arch_from_checkpoint(file, "p.", PRUN_NIN, &arch), PRUN_ERR_MISSING,
                      PRUN_ERR_SHAPE, "", "a CNN as NiN");
        check_failure(prun_arch_from_checkpoint(file, "p.", PRUN_RESNET18, &arch), PRUN_ERR_MISSING,
                      PRUN_ERR_SHAPE, "", "a CNN as ResNet18");
        check_failure(prun_arch_from_checkpoint(file, NULL, PRUN_CNN, &arch), PRUN_ERR_MISSING,
                      PRUN_ERR_MISSING, "conv0.weight", "no prefix");
        CHECK(memcmp(&arch, &untouched, sizeof arch) == 0);
        CHECK_STATUS(prun_arch_from_checkpoint(file, "p.", PRUN_CNN, &arch), PRUN_OK);
        CHECK(arch.width == 1 && arch.classes == 10 && arch.channels == 3);
        prun_safetensors_close(file);
    }
    prun_net_free(net);
    end();
}

static const test_case cases[] = {
    TEST_CASE(idx_good),
    TEST_CASE(idx_padded_channels),
    TEST_CASE(idx_every_length),
    TEST_CASE(idx_of_another_kind),
    TEST_CASE(idx_missing_files),
    TEST_CASE(idx_bad_sizes),
    TEST_CASE(idx_that_do_not_fit_together),
    TEST_CASE(idx_bad_labels),
    TEST_CASE(idx_bad_options),
    TEST_CASE(cifar10_good),
    TEST_CASE(cifar100_good),
    TEST_CASE(cifar_bad_sizes),
    TEST_CASE(cifar_bad_labels),
    TEST_CASE(cifar_bad_arguments),
    TEST_CASE(safetensors_good),
    TEST_CASE(safetensors_names_with_escapes),
    TEST_CASE(safetensors_of_other_types),
    TEST_CASE(safetensors_without_tensors),
    TEST_CASE(safetensors_malformed),
    TEST_CASE(safetensors_bad_header_length),
    TEST_CASE(safetensors_missing),
    TEST_CASE(safetensors_deep_nesting),
    TEST_CASE(safetensors_every_prefix),
    TEST_CASE(safetensors_every_byte_changed),
    TEST_CASE(written_is_read_back),
    TEST_CASE(writing_no_tensors),
    TEST_CASE(writing_where_nobody_can),
    TEST_CASE(failing_write_keeps_the_old_file),
    TEST_CASE(saved_nets_come_back),
    TEST_CASE(loading_with_a_tensor_missing),
    TEST_CASE(loading_with_a_wrong_shape),
    TEST_CASE(loading_integers_as_weights),
    TEST_CASE(loading_with_prefix_and_extras),
    TEST_CASE(loading_a_file_that_was_cut),
    TEST_CASE(arch_of_a_checkpoint),
    TEST_CASE(arch_of_something_else),
};

int main(int argc, char **argv) { return FILES_MAIN("test_files", cases, argc, argv); }
