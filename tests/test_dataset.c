/* test_dataset.c - section DATASET: IDX, CIFAR and pairs of arrays; errors for files that are
   truncated, too long, of another kind, or malicious. Also tests IMAGES. */
#include "arrays.h"

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
    return prun_images_load_idx(&test_context, in_directory("images.idx"),
                                in_directory("labels.idx"), options, images);
}

/* Writes both blobs and expects that the load fails and leaves the result untouched. */
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
    CHECK(set.classes == 10 && set.values == NULL && set.normalization == PRUN_NORMALIZATION_NONE);
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
    check_failure(prun_images_load_idx(&test_context, in_directory("none.idx"),
                                       in_directory("labels.idx"), NULL, &set),
                  PRUN_ERR_OPEN, PRUN_ERR_OPEN, "none.idx", "no image file");
    check_failure(prun_images_load_idx(&test_context, in_directory("images.idx"),
                                       in_directory("none.idx"), NULL, &set),
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
    if (!CHECK_STATUS(prun_images_load_cifar(&test_context, paths, 2, 10, &set), PRUN_OK)) return;
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
    scratch[0].data[1] = 99; /* a fine label that is too large for a coarse one */
    write_blob("c.bin", &scratch[0]);
    paths[0] = in_directory("c.bin");
    for (coarse = 0; coarse < 2; coarse++) {
        prun_images set;
        int32_t i;
        if (!CHECK_STATUS(prun_images_load_cifar(&test_context, paths, 1, coarse ? 20 : 100, &set),
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
    check_failure(prun_images_load_cifar(&test_context, paths, 2, classes, &set), x, y, "bad.bin",
                  what);
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
    CHECK_STATUS(prun_images_load_cifar(&test_context, paths, 0, 10, &set), PRUN_ERR_ARGUMENT);
    CHECK_STATUS(prun_images_load_cifar(&test_context, paths, -1, 10, &set), PRUN_ERR_ARGUMENT);
    CHECK_STATUS(prun_images_load_cifar(&test_context, paths, 1, 7, &set), PRUN_ERR_ARGUMENT);
    CHECK_STATUS(prun_images_load_cifar(&test_context, paths, 1, 0, &set), PRUN_ERR_ARGUMENT);
    paths[0] = in_directory("none.bin");
    check_failure(prun_images_load_cifar(&test_context, paths, 1, 10, &set), PRUN_ERR_OPEN,
                  PRUN_ERR_OPEN, "none.bin", "no file");
    end();
}

/* ---- data sets of two arrays ---- */

static void check_set(const prun_images *m, int floats) {
    int n, c, y, x;
    CHECK(m->count == SET && m->channels == C && m->height == H && m->width == W);
    CHECK(m->classes == 3 && m->normalization == PRUN_NORMALIZATION_NONE);
    CHECK((m->values != NULL) == floats && (m->pixels != NULL) == !floats);
    for (n = 0; n < SET; n++) {
        CHECK(m->labels[n] == (n + 1) % 3);
        for (c = 0; c < C; c++)
            for (y = 0; y < H; y++)
                for (x = 0; x < W; x++) {
                    const int i = ((n * C + c) * H + y) * W + x;
                    CHECK(floats ? m->values[i] == (float)pixel(n, c, y, x) - 100.5f
                                 : m->pixels[i] == pixel(n, c, y, x));
                }
    }
    CHECK_STATUS(prun_images_check(&test_context, m), PRUN_OK);
}

static void sets_of_every_kind(void) {
    static const struct {
        const char *type;
        int bytes;
    } types[] = {{"|u1", 1}, {"<f2", 2}, {">f2", 2}, {"<f4", 4},
                 {">f4", 4}, {"<f8", 8}, {">f8", 8}};
    int nhwc, fortran;
    size_t t;
    begin_counting();
    for (t = 0; t < sizeof types / sizeof types[0]; t++)
        for (nhwc = 0; nhwc < 2; nhwc++)
            for (fortran = 0; fortran < 2; fortran++) {
                const integer_type *label = &integer_types[(t * 4 + (size_t)nhwc * 2) % 8];
                char label_type[8];
                prun_npy_options options;
                prun_images images;
                snprintf(label_type, sizeof label_type, "<%s", label->npy);
                write_set(nhwc, types[t].type, types[t].bytes, fortran, label_type, label->bytes);
                memset(&images, 0x5a, sizeof images);
                if (!CHECK_STATUS(load_set(NULL, &images), PRUN_OK)) continue;
                check_set(&images, t > 0);
                prun_images_free(&images);
                memset(&options, 0, sizeof options);
                options.layout = nhwc ? PRUN_LAYOUT_NHWC : PRUN_LAYOUT_NCHW;
                options.classes = 3;
                if (!CHECK_STATUS(load_set(&options, &images), PRUN_OK)) continue;
                check_set(&images, t > 0);
                prun_images_free(&images);
            }
    end_counting();
}

/* The layout of ambiguous shapes, and of shapes without a channel axis. */
static void layouts_of_sets(void) {
    static const struct {
        const char *shape;
        prun_layout layout;
        int64_t count, channels, height, width;
    } cases_[] = {{"(2, 1, 5, 6)", PRUN_LAYOUT_AUTO, 2, 1, 5, 6},
                  {"(2, 5, 6, 1)", PRUN_LAYOUT_AUTO, 2, 1, 5, 6},
                  {"(2, 3, 4, 4)", PRUN_LAYOUT_AUTO, 2, 3, 4, 4},
                  {"(2, 4, 4, 3)", PRUN_LAYOUT_AUTO, 2, 4, 4, 3},
                  {"(2, 4, 4, 3)", PRUN_LAYOUT_NHWC, 2, 3, 4, 4},
                  {"(2, 7, 6, 5)", PRUN_LAYOUT_AUTO, 2, 7, 6, 5},
                  {"(2, 7, 6, 5)", PRUN_LAYOUT_NHWC, 2, 5, 7, 6},
                  {"(2, 7, 6, 4)", PRUN_LAYOUT_NCHW, 2, 7, 6, 4},
                  {"(2, 5, 6)", PRUN_LAYOUT_AUTO, 2, 1, 5, 6},
                  {"(2, 5, 6)", PRUN_LAYOUT_NHWC, 2, 1, 5, 6}};
    size_t i;
    begin_counting();
    npy_begin(&scratch[1], 1, "|b1", 0, "(2, 1)");
    put(&scratch[1], "\1\0", 2);
    write_blob("labels.npy", &scratch[1]);
    for (i = 0; i < sizeof cases_ / sizeof cases_[0]; i++) {
        prun_npy_options options;
        prun_images m;
        int64_t j, bytes;
        memset(&options, 0, sizeof options);
        options.layout = cases_[i].layout;
        npy_begin(&scratch[0], 1, "|u1", 0, cases_[i].shape);
        bytes = cases_[i].count * cases_[i].channels * cases_[i].height * cases_[i].width;
        for (j = 0; j < bytes; j++) put_little_endian(&scratch[0], (uint64_t)j, 1);
        write_blob("images.npy", &scratch[0]);
        if (!CHECK_STATUS(load_set(&options, &m), PRUN_OK)) continue;
        CHECK(m.count == 2 && m.channels == cases_[i].channels && m.height == cases_[i].height);
        CHECK(m.width == cases_[i].width && m.classes == 2 && m.labels[0] == 1 && m.labels[1] == 0);
        prun_images_free(&m);
    }
    end_counting();
}

static void set_fails(const prun_npy_options *options, prun_status expected, const char *message) {
    prun_images set, untouched;
    memset(&set, 0x5a, sizeof set);
    untouched = set;
    CHECK_STATUS(load_set(options, &set), expected);
    CHECK(memcmp(&set, &untouched, sizeof set) == 0);
    if (!CHECK(message_names(message))) {
        printf("  got \"%s\", not \"%s\"\n", prun_message(&test_context), message);
    }
}

/* labels.npy: three values of 8 bytes. */
static void write_labels(const char *type, const char *shape, int64_t a, int64_t b, int64_t c) {
    npy_begin(&scratch[1], 1, type, 0, shape);
    put_element(&scratch[1], (uint64_t)a, 8, 0);
    put_element(&scratch[1], (uint64_t)b, 8, 0);
    put_element(&scratch[1], (uint64_t)c, 8, 0);
    write_blob("labels.npy", &scratch[1]);
}

static void sets_that_do_not_fit(void) {
    prun_npy_options options;
    size_t i;
    begin_counting();
    memset(&options, 0, sizeof options);
    options.classes = 3;
    write_set(0, "<f4", 4, 0, "<i8", 8);
    write_labels("<i8", "(3,)", 0, 3, 1);
    set_fails(&options, PRUN_ERR_LABEL, "labels.npy: label 3 of image 1 is not in 0 .. 2");
    write_labels("<i8", "(3,)", 0, 1, -1);
    set_fails(NULL, PRUN_ERR_LABEL, "labels.npy: label -1 of image 2");
    write_labels("<i8", "(3,)", (int64_t)1 << 40, 1, 0);
    set_fails(NULL, PRUN_ERR_LABEL, "labels.npy: label 1099511627776 of image 0");
    write_labels("<f8", "(3,)", 0, 0, 0);
    set_fails(NULL, PRUN_ERR_UNSUPPORTED, "labels.npy: labels are floats");
    write_labels("<i8", "(1, 3)", 0, 1, 2);
    set_fails(NULL, PRUN_ERR_SHAPE, "labels.npy: 3 labels for 3 images");
    write_labels("<i4", "(6,)", 0, 1, 2);
    set_fails(NULL, PRUN_ERR_SHAPE, "labels.npy: 6 labels for 3 images");
    remove(in_directory("labels.npy"));
    set_fails(NULL, PRUN_ERR_OPEN, "labels.npy");
    options.classes = -1;
    set_fails(&options, PRUN_ERR_ARGUMENT, "classes -1");
    options.classes = 0;
    options.layout = (prun_layout)3;
    set_fails(&options, PRUN_ERR_ARGUMENT, "layout 3");
    for (i = 0; i < 3; i++) {
        static const uint64_t values[3] = {0x7f800000u, 0xff800000u, 0x7fc00000u};
        write_set(0, "<f4", 4, 0, "<i8", 8);
        scratch[0].size -= 4 * (C * H * W + 7); /* image 1, value 60 - 7 */
        put_little_endian(&scratch[0], values[i], 4);
        scratch[0].size += 4 * (C * H * W + 6);
        write_blob("images.npy", &scratch[0]);
        set_fails(NULL, PRUN_ERR_NONFINITE, "images.npy: image 1: value 53 is not finite");
    }
    npy_begin(&scratch[0], 1, "<i2", 0, "(3, 1, 1, 1)");
    put(&scratch[0], "123456", 6);
    write_blob("images.npy", &scratch[0]);
    set_fails(NULL, PRUN_ERR_UNSUPPORTED, "images.npy: images are neither uint8 nor floats");
    npy_begin(&scratch[0], 1, "|u1", 0, "(3, 1)");
    put(&scratch[0], "123", 3);
    write_blob("images.npy", &scratch[0]);
    set_fails(NULL, PRUN_ERR_SHAPE, "images.npy: images with 2 axes");
    npy_begin(&scratch[0], 1, "|u1", 0, "(3, 1, 0, 4)");
    write_blob("images.npy", &scratch[0]);
    set_fails(NULL, PRUN_ERR_SHAPE, "images.npy: no images");
    npy_begin(&scratch[0], 1, "|u1", 0, "(0, 3, 4611686018427387904, 4)");
    write_blob("images.npy", &scratch[0]);
    set_fails(NULL, PRUN_ERR_SHAPE, "images.npy: no images");
    end_counting();
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
    TEST_CASE(sets_of_every_kind),
    TEST_CASE(layouts_of_sets),
    TEST_CASE(sets_that_do_not_fit),
};

int main(int argc, char **argv) { return FILES_MAIN("test_dataset", cases, argc, argv); }
