/* Element types, NumPy arrays, states of training, and what is said about bad ones: numbers against
   an arithmetic of their own, resumed training against training that was never stopped. */
#define _FILE_OFFSET_BITS 64
#include "implementation.h" /* for the checksums */

#include "files.h"

static void begin_counting(void) {
    begin();
    streams_opened = streams_open = 0;
}

static void end_counting(void) {
    CHECK(streams_open == 0);
    end();
}

static int same_float(float a, float b) { return memcmp(&a, &b, sizeof a) == 0; }

/* ---- element types ---- */

/* The value of a binary format by its definition: sign, exponent of `bits`, fraction of `bits`. */
static double defined_value(uint64_t bits, int exponent_bits, int fraction_bits) {
    const int bias = (1 << (exponent_bits - 1)) - 1, top = (1 << exponent_bits) - 1;
    const int exponent = (int)(bits >> fraction_bits) & top;
    const double sign = bits >> (exponent_bits + fraction_bits) & 1 ? -1 : 1;
    const double fraction = (double)(bits & (((uint64_t)1 << fraction_bits) - 1));
    if (exponent == top) return fraction > 0 ? NAN : sign * INFINITY;
    if (exponent == 0) return sign * ldexp(fraction, 1 - bias - fraction_bits);
    return sign * ldexp(fraction + ldexp(1, fraction_bits), exponent - bias - fraction_bits);
}

/* t.safetensors: a byte "u", so that all that follows is unaligned, then "t" of a type, whose bytes
   are in scratch[1]. */
static void write_typed(const char *dtype, int64_t count) {
    char json[300];
    snprintf(json, sizeof json,
             "{\"u\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
             "\"t\":{\"dtype\":\"%s\",\"shape\":[%d],\"data_offsets\":[1,%d]}}",
             dtype, (int)count, (int)scratch[1].size + 1);
    safetensors(&scratch[0], json, 1);
    put(&scratch[0], scratch[1].data, scratch[1].size);
    write_blob("t.safetensors", &scratch[0]);
}

static void read_typed(prun_dtype dtype, float *floats, int64_t *integers, prun_status expected) {
    prun_safetensors *file;
    const prun_safetensors_entry *t;
    if (!CHECK_STATUS(open_safetensors(&file), PRUN_OK)) return;
    t = prun_safetensors_at(file, 1);
    if (CHECK(t != NULL && t->dtype == dtype)) {
        if (floats != NULL) {
            CHECK_STATUS(prun_safetensors_read_f32(file, t, floats), expected);
        } else {
            CHECK_STATUS(prun_safetensors_read_i64(file, t, integers), expected);
        }
    }
    prun_safetensors_close(file);
}

enum { HALVES = 65536 };
static float half_values[HALVES];

static void every_half(void) {
    int kind, i;
    begin_counting();
    for (kind = 0; kind < 2; kind++) {
        scratch[1].size = 0;
        for (i = 0; i < HALVES; i++) put_little_endian(&scratch[1], (uint64_t)i, 2);
        write_typed(kind ? "BF16" : "F16", HALVES);
        read_typed(kind ? PRUN_BF16 : PRUN_F16, half_values, NULL, PRUN_OK);
        for (i = 0; i < HALVES; i++) {
            const double want = defined_value((uint64_t)i, kind ? 8 : 5, kind ? 7 : 10);
            CHECK(want != want ? half_values[i] != half_values[i]
                               : same_float(half_values[i], (float)want));
        }
    }
    end_counting();
}

static void doubles_are_rounded(void) {
    static const double values[] = {0.0,        -0.0,   1.0 / 3, 16777217.0,
                                    16777219.0, -1e300, 3.5e38,  3.4028235e38,
                                    1e-45,      6e-46,  -1e-300, INFINITY};
    static const float want[] = {0.0f,        -0.0f,     1.0f / 3, 16777216.0f,
                                 16777220.0f, -INFINITY, INFINITY, 3.4028235e38f,
                                 1e-45f,      0.0f,      -0.0f,    INFINITY};
    enum { N = sizeof values / sizeof values[0] };
    float got[N];
    size_t i;
    begin_counting();
    scratch[1].size = 0;
    for (i = 0; i < N; i++) {
        uint64_t bits;
        memcpy(&bits, &values[i], 8);
        put_little_endian(&scratch[1], bits, 8);
    }
    write_typed("F64", N);
    read_typed(PRUN_F64, got, NULL, PRUN_OK);
    for (i = 0; i < N; i++) {
        CHECK(same_float(got[i], want[i])); /* half of the smallest float is 7e-46 */
    }
    end_counting();
}

typedef struct integer_type {
    const char *name, *npy;
    prun_dtype dtype;
    int bytes;
    int64_t least, most;
} integer_type;

static const integer_type integer_types[] = {{"I64", "i8", PRUN_I64, 8, INT64_MIN, INT64_MAX},
                                             {"I32", "i4", PRUN_I32, 4, INT32_MIN, INT32_MAX},
                                             {"I16", "i2", PRUN_I16, 2, -32768, 32767},
                                             {"I8", "i1", PRUN_I8, 1, -128, 127},
                                             {"U64", "u8", PRUN_U64, 8, 0, INT64_MAX},
                                             {"U32", "u4", PRUN_U32, 4, 0, UINT32_MAX},
                                             {"U16", "u2", PRUN_U16, 2, 0, 65535},
                                             {"U8", "u1", PRUN_U8, 1, 0, 255},
                                             {"BOOL", "b1", PRUN_BOOL, 1, 0, 1}};
enum { INTEGER_TYPES = sizeof integer_types / sizeof integer_types[0] };

static void every_integer_type(void) {
    int i, j;
    begin_counting();
    for (i = 0; i < INTEGER_TYPES; i++) {
        const integer_type *t = &integer_types[i];
        const int64_t want[4] = {t->least, 0, 1, t->most};
        int64_t got[4] = {7, 7, 7, 7};
        scratch[1].size = 0;
        for (j = 0; j < 4; j++) put_little_endian(&scratch[1], (uint64_t)want[j], t->bytes);
        write_typed(t->name, 4);
        read_typed(t->dtype, NULL, got, PRUN_OK);
        CHECK(memcmp(got, want, sizeof want) == 0);
    }
    scratch[1].size = 0;
    put_little_endian(&scratch[1], 5, 8);
    put_little_endian(&scratch[1], (uint64_t)1 << 63, 8);
    write_typed("U64", 2);
    {
        int64_t got[2];
        read_typed(PRUN_U64, NULL, got, PRUN_ERR_OVERFLOW);
        CHECK(message_names("tensor t: element 1"));
    }
    end_counting();
}

/* ---- a file larger than memory may be ---- */

static void several_gigabytes(void) {
#if HAVE_POSIX
    const int64_t gap = (int64_t)5 << 30;
    char json[400];
    FILE *stream;
    prun_safetensors *file;
    float last[2] = {0, 0};
    int sparse;
    begin_counting();
    snprintf(json, sizeof json,
             "{\"big\":{\"dtype\":\"F16\",\"shape\":[%lld,2],\"data_offsets\":[0,%lld]},"
             "\"last\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[%lld,%lld]}}",
             (long long)gap / 4, (long long)gap, (long long)gap, (long long)gap + 8);
    safetensors(&scratch[0], json, 0);
    write_blob("large.safetensors", &scratch[0]);
    stream = fopen(in_directory("large.safetensors"), "r+b");
    sparse = stream != NULL &&
             ftruncate(fileno(stream), (off_t)(gap + (int64_t)scratch[0].size)) == 0 &&
             fseeko(stream, 0, SEEK_END) == 0;
    if (sparse) {
        scratch[1].size = 0;
        put_float(&scratch[1], 1.5f);
        put_float(&scratch[1], -2.25f);
        sparse = fwrite(scratch[1].data, 1, 8, stream) == 8;
    }
    if (stream != NULL && fclose(stream) != 0) sparse = 0;
    if (!sparse) {
        SKIP("no room for a sparse file of 5 GB");
    } else if (CHECK_STATUS(
                   prun_safetensors_open(&test_context, in_directory("large.safetensors"), &file),
                   PRUN_OK)) {
        CHECK(prun_safetensors_at(file, 0)->count == gap / 2);
        CHECK_STATUS(prun_safetensors_read_f32(file, prun_safetensors_at(file, 1), last), PRUN_OK);
        CHECK(last[0] == 1.5f && last[1] == -2.25f);
        prun_safetensors_close(file);
    }
    remove(in_directory("large.safetensors"));
    end_counting();
#else
    SKIP("needs sparse files");
#endif
}

/* ---- what is said about bad headers ---- */

typedef struct bad_header {
    const char *json;
    size_t data;
    prun_status status;
    const char *message; /* part of it */
} bad_header;

#define FIELDS(dtype, shape, from, to) \
    "{\"dtype\":\"" dtype "\",\"shape\":[" shape "],\"data_offsets\":[" from "," to "]}"

static const bad_header bad_headers[] = {
    {"{\"w\":" FIELDS("F4", "3", "0", "2") "}", 2, PRUN_ERR_FORMAT,
     "tensor w: 2 bytes for 3 elements of F4"},
    {"{\"w\":" FIELDS("F6_E2M3", "4", "0", "4") "}", 4, PRUN_ERR_FORMAT,
     "tensor w: 4 bytes for 4 elements of F6_E2M3"},
    {"{\"w\":" FIELDS("C64", "1", "0", "4") "}", 4, PRUN_ERR_FORMAT,
     "tensor w: 4 bytes for 1 elements of C64"},
    {"{\"w\":" FIELDS("F33", "1", "4", "0") "}", 4, PRUN_ERR_FORMAT, "tensor w: offsets 4, 0"},
    {"{\"w\":" FIELDS("F33", "1", "0", "5") "}", 4, PRUN_ERR_TRUNCATED, "tensor w ends"},
    {"{\"w\":" FIELDS("F32", "1,-1", "0", "4") "}", 4, PRUN_ERR_FORMAT,
     "tensor w: header byte 31: non-negative integer"},
    {"{\"w\":" FIELDS("F32", "1.5", "0", "4") "}", 4, PRUN_ERR_FORMAT, "w: header byte"},
    {"{\"w\":" FIELDS("F32", "1,1,1,1,1,1,1,1,1", "0", "4") "}", 4, PRUN_ERR_FORMAT,
     "list too long"},
    {"{\"w\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, PRUN_ERR_FORMAT, "w: header byte"},
    {"{\"w\":{\"dtype\":\"F32\",\"dtype\":\"F32\"}}", 4, PRUN_ERR_FORMAT, "dtype given twice"},
    {"{\"w\":" FIELDS("F32", "2", "0", "4") "}", 4, PRUN_ERR_FORMAT,
     "tensor w: 4 bytes for 2 elements of F32"},
    {"{\"w\":" FIELDS("BF16", "3", "0", "4") "}", 4, PRUN_ERR_FORMAT,
     "tensor w: 4 bytes for 3 elements of BF16"},
    {"{\"w\":" FIELDS("F32", "1", "4", "0") "}", 4, PRUN_ERR_FORMAT, "tensor w: offsets 4, 0"},
    {"{\"w\":" FIELDS("F32", "1", "4", "8") "}", 4, PRUN_ERR_TRUNCATED,
     "tensor w ends at byte 8 of 4 bytes"},
    {"{\"w\":" FIELDS("F32", "4611686018427387904,2", "0", "4") "}", 4, PRUN_ERR_OVERFLOW,
     "tensor w: shape overflows"},
    {"{\"v\":" FIELDS("F32", "1", "0", "4") ",\"w\":" FIELDS("F32", "1", "2", "6") "}", 6,
     PRUN_ERR_FORMAT, "tensor w overlaps"},
    {"{\"v\":" FIELDS("F32", "1", "0", "4") ",\"w\":" FIELDS("F32", "1", "5", "9") "}", 9,
     PRUN_ERR_FORMAT, "tensor w leaves a hole"},
    {"{\"w\":" FIELDS("F32", "1", "0", "4") ",\"w\":" FIELDS("F32", "1", "4", "8") "}", 8,
     PRUN_ERR_FORMAT, "two tensors named w"},
    {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, PRUN_ERR_FORMAT, "given twice"},
    {"{\"w\":{\"x\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", 0, PRUN_ERR_FORMAT,
     "w: header byte 43: nested too deeply"},
    {"{\"w\":{\"x\":\"endless", 0, PRUN_ERR_FORMAT, "string without end"},
    {"{\"a\xff\":{}}", 0, PRUN_ERR_FORMAT, "invalid UTF-8"},
    {"{\"w\":" FIELDS("F\xc3", "1", "0", "4") "}", 4, PRUN_ERR_FORMAT,
     "w: header byte 17: invalid UTF-8"},
};

static void bad_headers_are_explained(void) {
    size_t i;
    begin_counting();
    for (i = 0; i < sizeof bad_headers / sizeof bad_headers[0]; i++) {
        const bad_header *bad = &bad_headers[i];
        prun_safetensors *file;
        safetensors(&scratch[0], bad->json, bad->data);
        write_blob("t.safetensors", &scratch[0]);
        CHECK_STATUS(open_safetensors(&file), bad->status);
        CHECK(message_names("t.safetensors"));
        if (!CHECK(message_names(bad->message))) {
            printf("  got \"%s\", not \"%s\"\n", prun_message(&test_context), bad->message);
        }
    }
    end_counting();
}

typedef struct utf8_case {
    const char *text;
    int valid;
} utf8_case;

static const utf8_case utf8_cases[] = {{"\x7f", 1},
                                       {"\xc2\x80", 1},
                                       {"\xdf\xbf", 1},
                                       {"\xe0\xa0\x80", 1},
                                       {"\xed\x9f\xbf", 1},
                                       {"\xee\x80\x80", 1},
                                       {"\xef\xbf\xbf", 1},
                                       {"\xf0\x90\x80\x80", 1},
                                       {"\xf4\x8f\xbf\xbf", 1},
                                       {"x\xc3\xa4y", 1},
                                       {"\x80", 0},
                                       {"\xbf", 0},
                                       {"\xc0\x80", 0},
                                       {"\xc1\xbf", 0},
                                       {"\xc2", 0},
                                       {"\xc2x", 0},
                                       {"\xe0\x9f\xbf", 0},
                                       {"\xed\xa0\x80", 0},
                                       {"\xed\xbf\xbf", 0},
                                       {"\xe2\x82", 0},
                                       {"\xe2\x82x", 0},
                                       {"\xf0\x8f\xbf\xbf", 0},
                                       {"\xf4\x90\x80\x80", 0},
                                       {"\xf5\x80\x80\x80", 0},
                                       {"\xf8\x88\x80\x80\x80", 0},
                                       {"\xfe", 0},
                                       {"\xff", 0},
                                       {"\xf0\x9f\x98", 0}};

static void names_are_utf8(void) {
    size_t i;
    begin_counting();
    for (i = 0; i < sizeof utf8_cases / sizeof utf8_cases[0]; i++) {
        const utf8_case *c = &utf8_cases[i];
        char json[200];
        float value = 1;
        prun_tensor tensor;
        prun_safetensors *file;
        snprintf(json, sizeof json, "{\"%s\":" FIELDS("F32", "1", "0", "4") "}", c->text);
        safetensors(&scratch[0], json, 4);
        write_blob("t.safetensors", &scratch[0]);
        if (CHECK_STATUS(open_safetensors(&file), c->valid ? PRUN_OK : PRUN_ERR_FORMAT)) {
            if (c->valid) CHECK(prun_safetensors_find(file, c->text) != NULL);
            prun_safetensors_close(file);
        }
        memset(&tensor, 0, sizeof tensor);
        tensor.name = c->text;
        tensor.data = &value;
        CHECK_STATUS(prun_safetensors_write(&test_context, in_directory("t.safetensors"), &tensor,
                                            1, NULL, 0),
                     c->valid ? PRUN_OK : PRUN_ERR_ARGUMENT);
    }
    end_counting();
}

/* ---- networks ---- */

static float noise(uint64_t stream, uint64_t index) {
    return (float)prun_random_normal(11, stream, index);
}

enum { IMAGES = 26, SIDE = 16, AREA = 3 * SIDE * SIDE };
static float image_values[IMAGES * AREA];
static int32_t image_labels[IMAGES];

static prun_images make_images(int64_t count) {
    prun_images images;
    int64_t i;
    for (i = 0; i < IMAGES * AREA; i++) image_values[i] = noise(1, (uint64_t)i);
    for (i = 0; i < IMAGES; i++) image_labels[i] = (int32_t)(i * 7 % 5);
    memset(&images, 0, sizeof images);
    images.count = count;
    images.channels = 3;
    images.height = images.width = SIDE;
    images.classes = 5;
    images.values = image_values;
    images.labels = image_labels;
    return images;
}

/* A net of every kind of layer that training touches. */
static prun_net *make_small_net(uint64_t seed) {
    prun_net *net = NULL;
    int32_t v = PRUN_INPUT, u;
    CHECK_STATUS(prun_net_create(&test_context, 3, SIDE, SIDE, &net), PRUN_OK);
    v = prun_layer_conv2d(net, v, "features.0", 4, 3, 1, 1, PRUN_PADDING_ZEROS, 1);
    v = prun_layer_batch_norm(net, v, "features.1", 0, 0);
    u = prun_layer_relu(net, v);
    v = prun_layer_conv2d(net, u, "layer1.0.conv1", 4, 3, 1, 1, PRUN_PADDING_ZEROS, 0);
    v = prun_layer_add(net, u, v);
    v = prun_layer_dropout(net, prun_layer_max_pool(net, v, 4, 0, 0), 0.25);
    v = prun_layer_linear(net, v, "classifier", 5, 1);
    CHECK_STATUS(prun_net_finish(net, v, seed), PRUN_OK);
    return net;
}

/* As a checkpoint in another type: its tensors rounded to it, which is also done to the net. */
static void write_net_as(prun_net *net, const char *dtype, int bytes) {
    static char json[4000];
    int64_t count, i, j, at = 0;
    size_t used = 1;
    const prun_tensor *t = prun_net_tensors(net, &count);
    scratch[1].size = 0;
    json[0] = '{';
    for (i = 0; i < count; i++) {
        const int64_t n = prun_tensor_size(&t[i]);
        int32_t d;
        used += (size_t)snprintf(json + used, sizeof json - used,
                                 "%s\"%s\":{\"dtype\":\"%s\",\"data_offsets\":[%d,%d],\"shape\":[",
                                 i ? "," : "", t[i].name, dtype, (int)at, (int)(at + n * bytes));
        for (d = 0; d < t[i].rank; d++) {
            used += (size_t)snprintf(json + used, sizeof json - used, "%s%d", d ? "," : "",
                                     (int)t[i].shape[d]);
        }
        used += (size_t)snprintf(json + used, sizeof json - used, "]}");
        at += n * bytes;
        for (j = 0; j < n; j++) {
            uint32_t single;
            if (bytes == 8) {
                const double wide = (double)t[i].data[j] * (1 + 1e-12);
                uint64_t bits;
                memcpy(&bits, &wide, 8);
                put_little_endian(&scratch[1], bits, 8);
                continue;
            }
            memcpy(&single, &t[i].data[j], 4);
            single &= 0xffff0000u; /* BF16: cut */
            memcpy(&t[i].data[j], &single, 4);
            put_little_endian(&scratch[1], single >> 16, 2);
        }
    }
    snprintf(json + used, sizeof json - used, "}");
    safetensors(&scratch[0], json, 0);
    put(&scratch[0], scratch[1].data, scratch[1].size);
    write_blob("t.safetensors", &scratch[0]);
}

static int same_tensors(const prun_net *a, const prun_net *b) {
    int64_t i, count;
    const prun_tensor *s = prun_net_tensors(a, &count), *t = prun_net_tensors(b, &count);
    for (i = 0; i < count; i++) {
        if (memcmp(s[i].data, t[i].data, (size_t)prun_tensor_size(&s[i]) * sizeof(float)) != 0) {
            return 0;
        }
    }
    return 1;
}

static void nets_of_other_types(void) {
    int kind;
    begin_counting();
    for (kind = 0; kind < 2; kind++) {
        prun_net *net = make_small_net(1), *other = make_small_net(2);
        prun_safetensors *file;
        write_net_as(net, kind ? "F64" : "BF16", kind ? 8 : 2);
        if (CHECK_STATUS(open_safetensors(&file), PRUN_OK)) {
            CHECK_STATUS(prun_net_load(other, file, NULL), PRUN_OK);
            CHECK(same_tensors(net, other));
            prun_safetensors_close(file);
        }
        prun_net_free(net);
        prun_net_free(other);
    }
    end_counting();
}

/* Weights that are not finite, also because they are too large for a float. */
static void weights_that_are_not_finite(void) {
    static const uint64_t values[3] = {0x7ff0000000000000u, 0x7ff8000000000000u,
                                       0x4800000000000000u}; /* infinity, NaN, 2^129 */
    size_t at, i, b;
    begin_counting();
    for (i = 0; i < 3; i++) {
        prun_net *net = make_small_net(1), *other = make_small_net(1);
        prun_safetensors *file;
        write_net_as(net, "F64", 8);
        at = scratch[0].size - 8 * 3; /* the classifier has 5 biases, the last tensor */
        for (b = 0; b < 8; b++) scratch[0].data[at + b] = (unsigned char)(values[i] >> 8 * b);
        write_blob("t.safetensors", &scratch[0]);
        if (CHECK_STATUS(open_safetensors(&file), PRUN_OK)) {
            CHECK_STATUS(prun_net_load(net, file, NULL), PRUN_ERR_NONFINITE);
            CHECK(message_names("tensor classifier.bias: element 2"));
            prun_safetensors_close(file);
        }
        CHECK(same_tensors(net, other));
        prun_net_free(net);
        prun_net_free(other);
    }
    end_counting();
}

static void wrong_shapes_are_shown(void) {
    float value = 0;
    prun_tensor t;
    prun_safetensors *file;
    prun_net *net = make_small_net(1);
    begin_counting();
    memset(&t, 0, sizeof t);
    t.name = "features.0.weight";
    t.data = &value;
    t.rank = 4;
    t.shape[0] = t.shape[1] = t.shape[2] = t.shape[3] = 1;
    CHECK_STATUS(
        prun_safetensors_write(&test_context, in_directory("t.safetensors"), &t, 1, NULL, 0),
        PRUN_OK);
    if (CHECK_STATUS(open_safetensors(&file), PRUN_OK)) {
        CHECK_STATUS(prun_net_load(net, file, NULL), PRUN_ERR_SHAPE);
        CHECK(message_names("tensor features.0.weight is 1x1x1x1, the net wants 4x3x3x3"));
        prun_safetensors_close(file);
    }
    memset(&test_context.allocate, 0, sizeof test_context.allocate);
    memset(&test_context.release, 0, sizeof test_context.release);
    CHECK(live_blocks == 0);
    prun_net_free(net);
}

/* ---- states of training ---- */

static prun_train_options recipe(void) {
    prun_train_options o;
    memset(&o, 0, sizeof o);
    o.epochs = 5;
    o.batch = 8; /* the last batch of an epoch is smaller */
    o.learning_rate = 0.02;
    o.weight_decay = 1e-3;
    o.schedule = PRUN_SCHEDULE_MADDOX; /* the rate differs from epoch to epoch */
    o.augment.flip = 1;
    o.augment.crop_padding = 2;
    o.seed = UINT64_MAX - 3;
    return o;
}

/* Bytes of a file into a blob. */
static void read_blob(const char *name, blob *b) {
    FILE *stream = fopen(in_directory(name), "rb");
    b->size = stream != NULL ? fread(b->data, 1, BLOB_SIZE, stream) : 0;
    if (stream != NULL) fclose(stream);
    CHECK(b->size > 0 && b->size < BLOB_SIZE);
}

static int same_blob(const blob *a, const blob *b) {
    return a->size == b->size && memcmp(a->data, b->data, a->size) == 0;
}

static prun_status load_state(prun_trainer *trainer, const char *name) {
    prun_safetensors *file;
    prun_status status = prun_safetensors_open(&test_context, in_directory(name), &file);
    if (status != PRUN_OK) return status;
    status = prun_trainer_load(trainer, file);
    prun_safetensors_close(file);
    return status;
}

/* One epoch, or (odd ones of `stepwise`) the same by steps of another order and rate. */
static void one_epoch(prun_trainer *trainer, int64_t epoch, int stepwise, prun_epoch *result) {
    static const int64_t index[5] = {3, 1, 4, 15, 9};
    double sum;
    memset(result, 0, sizeof *result);
    if (stepwise && epoch % 2) {
        CHECK_STATUS(prun_trainer_step(trainer, index, 5, 0.01, &sum, NULL), PRUN_OK);
        result->loss = sum;
    } else {
        CHECK_STATUS(prun_trainer_epoch(trainer, result), PRUN_OK);
        result->evaluated_loss = 0;
    }
}

static prun_net *family_net(int kind, uint64_t seed) {
    prun_net *net = NULL;
    prun_arch arch;
    memset(&arch, 0, sizeof arch);
    if (kind == 3) return make_small_net(seed);
    arch.family = (prun_family)kind;
    arch.width = 2;
    arch.depth = 2;
    arch.classes = 5;
    arch.height = arch.width_pixels = kind == PRUN_NIN ? SIDE : 32;
    arch.dropout = kind == PRUN_NIN ? 0.2 : 0;
    arch.seed = seed;
    CHECK_STATUS(prun_net_family(&test_context, &arch, &net), PRUN_OK);
    return net;
}

/* Training that stops after every epoch, with a new process each time (a net of other weights and a
   new trainer), ends with the same bits as training that never stopped: the files are equal. */
static void resumed_training(void) {
    static uint8_t pixels[IMAGES * 3 * 32 * 32];
    int kind, stepwise;
    int64_t i;
    begin_counting();
    for (i = 0; i < (int64_t)sizeof pixels; i++) {
        pixels[i] = (uint8_t)prun_random_bits(3, 3, (uint64_t)i);
    }
    for (kind = 0; kind < 4; kind++) {
        for (stepwise = 0; stepwise < 2; stepwise++) {
            const prun_train_options options = recipe();
            prun_images images = make_images(IMAGES);
            prun_net *net = family_net(kind, 1);
            prun_trainer *trainer = NULL;
            prun_epoch epoch[5], again;
            if (kind == PRUN_CNN || kind == PRUN_RESNET18) {
                images.height = images.width = 32;
                images.values = NULL;
                images.pixels = pixels;
            }
            CHECK_STATUS(prun_trainer_create(net, &images, &options, &trainer), PRUN_OK);
            if (trainer == NULL) return;
            CHECK_STATUS(prun_trainer_save(trainer, in_directory("stopped.state")), PRUN_OK);
            for (i = 0; i < 5; i++) one_epoch(trainer, i, stepwise, &epoch[i]);
            CHECK(prun_trainer_epochs(trainer) == (stepwise ? 3 : 5));
            CHECK_STATUS(prun_trainer_save(trainer, in_directory("whole.state")), PRUN_OK);
            prun_trainer_free(trainer);
            prun_net_free(net);
            for (i = 0; i < 5; i++) {
                net = family_net(kind, 100 + (uint64_t)i);
                trainer = NULL;
                CHECK_STATUS(prun_trainer_create(net, &images, &options, &trainer), PRUN_OK);
                CHECK_STATUS(load_state(trainer, "stopped.state"), PRUN_OK);
                one_epoch(trainer, i, stepwise, &again);
                CHECK(memcmp(&again, &epoch[i], sizeof again) == 0);
                CHECK_STATUS(prun_trainer_save(trainer, in_directory("stopped.state")), PRUN_OK);
                prun_trainer_free(trainer);
                prun_net_free(net);
            }
            read_blob("whole.state", &scratch[0]);
            read_blob("stopped.state", &scratch[1]);
            CHECK(same_blob(&scratch[0], &scratch[1]));
        }
    }
    end_counting();
}

/* The state is a checkpoint as well; momentum is what it must be after one step of plain SGD. */
static void states_are_checkpoints(void) {
    prun_images images = make_images(IMAGES);
    prun_train_options options;
    prun_net *net = make_small_net(1), *other = make_small_net(2);
    prun_trainer *trainer = NULL;
    prun_safetensors *file;
    float before[5], velocity[5];
    static const int64_t index[3] = {0, 1, 2};
    int64_t count, i;
    begin();
    streams_open = 0;
    memset(&options, 0, sizeof options);
    const prun_tensor *t = prun_net_tensors(net, &count);
    memcpy(before, t[count - 1].data, sizeof before);
    CHECK_STATUS(prun_trainer_create(net, &images, &options, &trainer), PRUN_OK);
    CHECK_STATUS(prun_trainer_step(trainer, index, 3, 0.5, NULL, NULL), PRUN_OK);
    CHECK_STATUS(prun_trainer_save(trainer, in_directory("t.safetensors")), PRUN_OK);
    if (CHECK_STATUS(open_safetensors(&file), PRUN_OK)) {
        const prun_safetensors_entry *e = prun_safetensors_find(file, "momentum.classifier.bias");
        CHECK_STATUS(prun_net_load(other, file, NULL), PRUN_OK);
        CHECK(same_tensors(net, other));
        CHECK(strcmp(prun_safetensors_metadata(file, "trainer.epochs"), "0") == 0);
        CHECK(strcmp(prun_safetensors_metadata(file, "trainer.steps"), "1") == 0);
        CHECK(prun_safetensors_find(file, "momentum.features.1.running_mean") == NULL);
        if (CHECK(e != NULL && e->count == 5)) {
            CHECK_STATUS(prun_safetensors_read_f32(file, e, velocity), PRUN_OK);
            for (i = 0; i < 5; i++) {
                CHECK_CLOSE(before[i] - 0.5f * velocity[i], t[count - 1].data[i], 1e-7, 0);
            }
        }
        prun_safetensors_close(file);
    }
    prun_trainer_free(trainer);
    test_context.allocate = NULL; /* the nets are older than the counting */
    test_context.release = NULL;
    prun_net_free(net);
    prun_net_free(other);
    CHECK(streams_open == 0);
}

/* Loading state.bad must fail, and leave net and trainer as they are. */
static void state_fails(prun_trainer *trainer, prun_status expected, const char *message) {
    CHECK_STATUS(prun_trainer_save(trainer, in_directory("before")), PRUN_OK);
    CHECK_STATUS(load_state(trainer, "state.bad"), expected);
    if (!CHECK(message_names(message) && message_names("state.bad"))) {
        printf("  got \"%s\", not \"%s\"\n", prun_message(&test_context), message);
    }
    CHECK_STATUS(prun_trainer_save(trainer, in_directory("after")), PRUN_OK);
    read_blob("before", &scratch[0]);
    read_blob("after", &scratch[1]);
    CHECK(same_blob(&scratch[0], &scratch[1]));
}

/* Replaces a text by another of the same length; how often. */
static int replace_text(blob *b, const char *from, const char *to) {
    size_t i, n = strlen(from);
    int found = 0;
    CHECK(strlen(to) == n);
    for (i = 0; i + n <= b->size; i++) {
        if (memcmp(b->data + i, from, n) != 0) continue;
        memcpy(b->data + i, to, n);
        found++;
    }
    return found;
}

/* state.good without its CRCs and with one text in its header replaced. */
static void spoil(const char *from, const char *to) {
    read_blob("state.good", &scratch[2]);
    CHECK(replace_text(&scratch[2], "\"crc32.", "\"crc--.") > 10);
    CHECK(replace_text(&scratch[2], from, to) == 1);
    write_blob("state.bad", &scratch[2]);
}

static void states_that_do_not_fit(void) {
    static const struct {
        const char *from, *to;
        prun_status status;
        const char *message;
    } bad[] = {
        {"trainer.epochs", "trainer.epochz", PRUN_ERR_MISSING, "trainer.epochs is missing"},
        {"trainer.images", "trainer.imagez", PRUN_ERR_MISSING, "trainer.images is missing"},
        {"\"trainer.steps\":\"8\"", "\"trainer.steps\":\"x\"", PRUN_ERR_FORMAT, "trainer.steps"},
        {"\"trainer.steps\":\"8\"", "\"trainer.steps\":\"\" ", PRUN_ERR_FORMAT, "trainer.steps"},
        {"\"trainer.epochs\":\"2\"", "\"trainer.epochs\":\"-\"", PRUN_ERR_FORMAT, "trainer.epochs"},
        {"\"trainer.batch\":\"8\"", "\"trainer.batch\":\"9\"", PRUN_ERR_ARGUMENT,
         "trainer.batch is 9, the trainer has 8"},
        {"\"trainer.images\":\"26\"", "\"trainer.images\":\"25\"", PRUN_ERR_ARGUMENT,
         "trainer.images is 25, the trainer has 26"},
        {"\"trainer.seed\":\"18446744073709551612\"", "\"trainer.seed\":\"18446744073709551611\"",
         PRUN_ERR_ARGUMENT, "trainer.seed is 18446744073709551611"},
        {"\"momentum.classifier.bias", "\"momentun.classifier.bias", PRUN_ERR_MISSING,
         "momentum.classifier.bias is missing"},
        {"\"features.1.bias", "\"featurez.1.bias", PRUN_ERR_MISSING, "features.1.bias is missing"},
    };
    prun_images images;
    prun_train_options options = recipe();
    prun_net *net;
    prun_trainer *trainer = NULL;
    size_t i;
    begin_counting();
    images = make_images(IMAGES);
    net = make_small_net(1);
    CHECK_STATUS(prun_trainer_create(net, &images, &options, &trainer), PRUN_OK);
    CHECK_STATUS(prun_trainer_epoch(trainer, NULL), PRUN_OK);
    CHECK_STATUS(prun_trainer_epoch(trainer, NULL), PRUN_OK);
    CHECK_STATUS(prun_trainer_save(trainer, in_directory("state.good")), PRUN_OK);
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        spoil(bad[i].from, bad[i].to);
        state_fails(trainer, bad[i].status, bad[i].message);
    }
    /* momentum that is not finite */
    read_blob("state.good", &scratch[2]);
    CHECK(replace_text(&scratch[2], "\"crc32.", "\"crc--.") > 10);
    memset(scratch[2].data + scratch[2].size - 4, 0xff, 4);
    write_blob("state.bad", &scratch[2]);
    state_fails(trainer, PRUN_ERR_NONFINITE, "momentum.classifier.bias: element 4");
    prun_trainer_free(trainer);
    prun_net_free(net);
    end_counting();
}

/* ---- NumPy ---- */

/* Magic, version and header with its length, padded as NumPy does. */
static void npy_header(blob *b, int version, const char *dictionary) {
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
static void npy_begin(blob *b, int version, const char *type, int fortran, const char *shape) {
    char dictionary[300];
    snprintf(dictionary, sizeof dictionary, "{'descr': '%s', 'fortran_order': %s, 'shape': %s, }",
             type, fortran ? "True" : "False", shape);
    npy_header(b, version, dictionary);
}

static void put_element(blob *b, uint64_t bits, int bytes, int big) {
    int i;
    if (!big) put_little_endian(b, bits, bytes);
    else
        for (i = bytes - 1; i >= 0; i--) put_little_endian(b, bits >> 8 * i, 1);
}

/* Small numbers, exact in every float type, as that type's bits. */
static uint64_t float_bits(double value, int bytes) {
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

static prun_status read_npy(prun_npy *array) {
    memset(array, 0x5a, sizeof *array);
    return prun_npy_read(&test_context, in_directory("a.npy"), array);
}

/* 2 x 3 x 4 numbers, the place of each in C order its value, in every type, order and version. */
static void arrays_of_every_kind(void) {
    static const struct {
        const char *type;
        prun_dtype dtype;
        int bytes, kind; /* 0: float, 1: integer, 2: byte */
    } types[] = {{"f2", PRUN_F16, 2, 0}, {"f4", PRUN_F32, 4, 0}, {"f8", PRUN_F64, 8, 0},
                 {"i1", PRUN_I8, 1, 1},  {"i2", PRUN_I16, 2, 1}, {"i4", PRUN_I32, 4, 1},
                 {"i8", PRUN_I64, 8, 1}, {"u2", PRUN_U16, 2, 1}, {"u4", PRUN_U32, 4, 1},
                 {"u8", PRUN_U64, 8, 1}, {"u1", PRUN_U8, 1, 2}};
    size_t t;
    int big, fortran, version;
    begin_counting();
    for (t = 0; t < sizeof types / sizeof types[0]; t++)
        for (big = 0; big < 2; big++)
            for (fortran = 0; fortran < 2; fortran++)
                for (version = 1; version <= 3; version++) {
                    char type[8];
                    prun_npy array;
                    int i;
                    snprintf(type, sizeof type, "%c%s",
                             types[t].bytes == 1 ? '|'
                             : big               ? '>'
                                                 : '<',
                             types[t].type);
                    npy_begin(&scratch[0], version, type, fortran, "(2, 3, 4)");
                    for (i = 0; i < 24; i++) {
                        /* Fortran: the first axis is the fastest */
                        const int c = fortran ? i % 2 * 12 + i / 2 % 3 * 4 + i / 6 : i;
                        put_element(&scratch[0],
                                    types[t].kind ? (uint64_t)c
                                                  : float_bits(c - 11.5, types[t].bytes),
                                    types[t].bytes, big);
                    }
                    write_blob("a.npy", &scratch[0]);
                    if (!CHECK_STATUS(read_npy(&array), PRUN_OK)) continue;
                    CHECK(array.dtype == types[t].dtype && array.rank == 3 && array.count == 24);
                    CHECK(array.shape[0] == 2 && array.shape[1] == 3 && array.shape[2] == 4);
                    CHECK((array.values != NULL) == (types[t].kind == 0));
                    CHECK((array.integers != NULL) == (types[t].kind == 1));
                    CHECK((array.bytes != NULL) == (types[t].kind == 2));
                    for (i = 0; i < 24; i++) {
                        CHECK(array.values     ? array.values[i] == (float)(i - 11.5)
                              : array.integers ? array.integers[i] == i
                                               : array.bytes[i] == i);
                    }
                    prun_npy_free(&array);
                    CHECK(array.count == 0 && array.values == NULL);
                    prun_npy_free(&array);
                }
    prun_npy_free(NULL);
    end_counting();
}

static void array_of_signed_and_bool(void) {
    prun_npy array;
    begin_counting();
    npy_begin(&scratch[0], 1, ">i2", 0, "(3,)");
    put_element(&scratch[0], (uint64_t)-1, 2, 1);
    put_element(&scratch[0], (uint64_t)-32768, 2, 1);
    put_element(&scratch[0], 258, 2, 1);
    write_blob("a.npy", &scratch[0]);
    if (CHECK_STATUS(read_npy(&array), PRUN_OK)) {
        CHECK(array.integers[0] == -1 && array.integers[1] == -32768 && array.integers[2] == 258);
        prun_npy_free(&array);
    }
    npy_begin(&scratch[0], 1, "|b1", 0, "(3,)");
    put(&scratch[0], "\0\1\x37", 3);
    write_blob("a.npy", &scratch[0]);
    if (CHECK_STATUS(read_npy(&array), PRUN_OK)) {
        CHECK(array.dtype == PRUN_BOOL && array.bytes[0] == 0 && array.bytes[1] == 1);
        CHECK(array.bytes[2] == 1);
        prun_npy_free(&array);
    }
    npy_begin(&scratch[0], 1, "<u8", 0, "(2,)");
    put_element(&scratch[0], 1, 8, 0);
    put_element(&scratch[0], UINT64_MAX, 8, 0);
    write_blob("a.npy", &scratch[0]);
    check_failure(read_npy(&array), PRUN_ERR_OVERFLOW, PRUN_ERR_OVERFLOW, "a.npy", "2^64 - 1");
    end_counting();
}

/* Headers as other writers make them, and shapes at the edges. */
static void headers_of_many_kinds(void) {
    static const struct {
        const char *dictionary;
        int32_t rank;
        int64_t count, first;
    } good[] = {
        {"{'descr': '|u1', 'fortran_order': False, 'shape': ()}", 0, 1, 0},
        {"{'descr': '|u1', 'fortran_order': True, 'shape': ()}", 0, 1, 0},
        {"{\"shape\":(3,),\"descr\":\"u1\",\"fortran_order\":False}", 1, 3, 3},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (3L, 2L), }", 2, 6, 3},
        {"{'descr': '=u1', 'fortran_order': True, 'shape': (2, 2, 2, 1, 1, 1, 1, 3)}", 8, 24, 2},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (0,)}", 1, 0, 0},
        {"{'descr': '|u1', 'fortran_order': True, 'shape': (0, 4611686018427387904, 3)}", 3, 0, 0},
        {" {'descr':'<u1' , 'fortran_order' :False,'shape':( 5 , ) , } ", 1, 5, 5}};
    size_t i;
    begin_counting();
    for (i = 0; i < sizeof good / sizeof good[0]; i++) {
        prun_npy array;
        int64_t j;
        npy_header(&scratch[0], 1 + (int)i % 3, good[i].dictionary);
        for (j = 0; j < good[i].count; j++) put_little_endian(&scratch[0], 7, 1);
        write_blob("a.npy", &scratch[0]);
        if (!CHECK_STATUS(read_npy(&array), PRUN_OK)) continue;
        CHECK(array.rank == good[i].rank && array.count == good[i].count);
        CHECK(good[i].rank == 0 || array.shape[0] == good[i].first);
        for (j = 0; j < array.count; j++) CHECK(array.bytes[j] == 7);
        prun_npy_free(&array);
    }
    end_counting();
}

static const bad_header bad_arrays[] = {
    {"", 0, PRUN_ERR_FORMAT, "not a dictionary"},
    {"[]", 0, PRUN_ERR_FORMAT, "not a dictionary"},
    {"{}", 0, PRUN_ERR_FORMAT, "is missing"},
    {"{'descr': '|u1', 'shape': (1,)}", 1, PRUN_ERR_FORMAT, "is missing"},
    {"{'descr': '|u1', 'fortran_order': False}", 1, PRUN_ERR_FORMAT, "is missing"},
    {"{'fortran_order': False, 'shape': (1,)}", 1, PRUN_ERR_FORMAT, "is missing"},
    {"{'descr': '|u1', 'descr': '|u1'}", 1, PRUN_ERR_FORMAT, "key given twice"},
    {"{'descr': '|u1', 'other': 1}", 1, PRUN_ERR_FORMAT, "unknown key"},
    {"{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", 8, PRUN_ERR_UNSUPPORTED, "type |O"},
    {"{'descr': '<c8', 'fortran_order': False, 'shape': (1,)}", 8, PRUN_ERR_UNSUPPORTED, "<c8"},
    {"{'descr': '<U4', 'fortran_order': False, 'shape': (1,)}", 16, PRUN_ERR_UNSUPPORTED, "<U4"},
    {"{'descr': '<f16', 'fortran_order': False, 'shape': (1,)}", 16, PRUN_ERR_UNSUPPORTED, "<f16"},
    {"{'descr': '', 'fortran_order': False, 'shape': (1,)}", 16, PRUN_ERR_UNSUPPORTED, "type"},
    {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", 4, PRUN_ERR_UNSUPPORTED,
     "records"},
    {"{'descr': 'u\\'1', 'fortran_order': False, 'shape': (1,)}", 4, PRUN_ERR_FORMAT, "escape"},
    {"{'descr': '|u1", 4, PRUN_ERR_FORMAT, "control character in a string"},
    {"{'descr': 5}", 4, PRUN_ERR_FORMAT, "string expected"},
    {"{'descr': '|u1', 'fortran_order': 0, 'shape': (1,)}", 1, PRUN_ERR_FORMAT, "True or False"},
    {"{'descr': '|u1', 'fortran_order': Fals", 1, PRUN_ERR_FORMAT, "True or False"},
    {"{'descr': '|u1', 'fortran_order': False, 'shape': [1]}", 1, PRUN_ERR_FORMAT,
     "list of integers"},
    {"{'descr': '|u1', 'fortran_order': False, 'shape': (-1,)}", 1, PRUN_ERR_FORMAT,
     "non-negative"},
    {"{'descr': '|u1', 'fortran_order': False, 'shape': (1.0,)}", 1, PRUN_ERR_FORMAT,
     "end of list"},
    {"{'descr': '|u1', 'fortran_order': False, 'shape': (,)}", 1, PRUN_ERR_FORMAT, "non-negative"},
    {"{'descr': '|u1', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1)}", 1, PRUN_ERR_FORMAT,
     "list too long"},
    {"{'descr': '|u1', 'fortran_order': False, 'shape': (1,)} x", 1, PRUN_ERR_FORMAT, "text after"},
    {"{'descr': '|u1', 'fortran_order': False, 'shape': (1,)", 1, PRUN_ERR_FORMAT, "} expected"},
    {"{'descr': '|u1', 'fortran_order': False, 'shape': (99999999999999999999,)}", 1,
     PRUN_ERR_FORMAT, "integer too large"},
    {"{'descr': '<f8', 'fortran_order': False, 'shape': (1152921504606846976, 2)}", 16,
     PRUN_ERR_OVERFLOW, "overflows"},
    {"{'descr': '|u1', 'fortran_order': False, 'shape': (9223372036854775790,)}", 16,
     PRUN_ERR_OVERFLOW, "overflows"},
    {"{'descr': '|u1', 'fortran_order': False, 'shape': (4611686018427387904,)}", 16,
     PRUN_ERR_TRUNCATED, "fewer than its header announces"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", 7, PRUN_ERR_TRUNCATED, "fewer"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", 9, PRUN_ERR_OVERSIZED, "announces"},
};

static void bad_arrays_are_explained(void) {
    size_t i, j;
    begin_counting();
    for (i = 0; i < sizeof bad_arrays / sizeof bad_arrays[0]; i++) {
        const bad_header *bad = &bad_arrays[i];
        prun_npy array, untouched;
        npy_header(&scratch[0], 1, bad->json);
        for (j = 0; j < bad->data; j++) put_little_endian(&scratch[0], 1, 1);
        write_blob("a.npy", &scratch[0]);
        memset(&untouched, 0x5a, sizeof untouched);
        CHECK_STATUS(read_npy(&array), bad->status);
        CHECK(memcmp(&array, &untouched, sizeof array) == 0);
        if (!CHECK(message_names(bad->message) && message_names("a.npy"))) {
            printf("  got \"%s\", not \"%s\"\n", prun_message(&test_context), bad->message);
        }
    }
    end_counting();
}

static void arrays_of_another_kind(void) {
    prun_npy array;
    size_t i, size;
    begin_counting();
    npy_begin(&scratch[0], 1, "<f4", 0, "(3,)");
    for (i = 0; i < 12; i++) put_little_endian(&scratch[0], 0, 1);
    for (size = 0; size < scratch[0].size; size++) {
        write_file("a.npy", scratch[0].data, size);
        check_failure(read_npy(&array), PRUN_ERR_TRUNCATED, PRUN_ERR_TRUNCATED, "a.npy",
                      "a prefix");
    }
    for (i = 0; i < 8; i++) { /* magic and version */
        scratch[0].data[i] ^= 0x44;
        write_blob("a.npy", &scratch[0]);
        check_failure(read_npy(&array), PRUN_ERR_MAGIC, PRUN_ERR_UNSUPPORTED, "a.npy", "magic");
        scratch[0].data[i] ^= 0x44;
    }
    npy_begin(&scratch[0], 3, "<f4", 0, "(3,)");
    memset(scratch[0].data + 8, 0xff, 4);
    write_blob("a.npy", &scratch[0]);
    check_failure(read_npy(&array), PRUN_ERR_TRUNCATED, PRUN_ERR_TRUNCATED, "a.npy", "header 2^32");
    memset(scratch[0].data + 8, 0, 4);
    scratch[0].data[10] = 0x20; /* 2 MB, and they are there */
    while (scratch[0].size < 2500000) put_little_endian(&scratch[0], ' ', 1);
    write_blob("a.npy", &scratch[0]);
    check_failure(read_npy(&array), PRUN_ERR_FORMAT, PRUN_ERR_FORMAT, "a.npy", "header of 2 MB");
    check_failure(prun_npy_read(&test_context, in_directory("none.npy"), &array), PRUN_ERR_OPEN,
                  PRUN_ERR_OPEN, "none.npy", "no file");
    end_counting();
}

/* Every byte of the header changed to every other: never a crash, a leak or a claim that the file's
   size does not bear out. */
static void arrays_with_every_byte_changed(void) {
    int at, v, good = 0, bad = 0;
    begin_counting();
    npy_begin(&scratch[0], 1, "<f2", 1, "(2, 3)");
    for (v = 0; v < 12; v++) put_little_endian(&scratch[0], (uint64_t)v, 1);
    for (at = 0; at < 75; at++) {
        const unsigned char kept = scratch[0].data[at];
        for (v = 0; v < 256; v += at < 12 ? 1 : 3) {
            prun_npy array;
            scratch[0].data[at] = (unsigned char)v;
            write_blob("a.npy", &scratch[0]);
            if (read_npy(&array) == PRUN_OK) {
                CHECK(array.count >= 0 && array.count <= 12 && array.rank <= 2);
                prun_npy_free(&array);
                good++;
            } else {
                CHECK(message_names("a.npy"));
                bad++;
            }
        }
        scratch[0].data[at] = kept;
    }
    CHECK(good > 50 && bad > 1000);
    end_counting();
}

/* ---- data sets of two arrays ---- */

enum { SET = 3, C = 2, H = 5, W = 6, PIXELS = SET * C * H * W };

/* The byte or float of channel c at (y, x) of image n. */
static int pixel(int n, int c, int y, int x) { return (((n * C + c) * H + y) * W + x) % 251; }

/* images.npy in a layout, type and order; labels 1, 0, 2 of a type. */
static void write_set(int nhwc, const char *type, int bytes, int fortran, const char *label_type,
                      int label_bytes) {
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

static prun_status load_set(const prun_npy_options *options, prun_images *images) {
    return prun_load_npy(&test_context, in_directory("images.npy"), in_directory("labels.npy"),
                         options, images);
}

static void check_set(const prun_images *m, int floats) {
    int n, c, y, x;
    CHECK(m->count == SET && m->channels == C && m->height == H && m->width == W);
    CHECK(m->classes == 3 && m->normalization == PRUN_NORMALIZE_NONE);
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

/* The layout where shapes leave it open, and where there is no axis of channels. */
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
    set_fails(NULL, PRUN_ERR_SHAPE, "images.npy: images of 2 axes");
    npy_begin(&scratch[0], 1, "|u1", 0, "(3, 1, 0, 4)");
    write_blob("images.npy", &scratch[0]);
    set_fails(NULL, PRUN_ERR_SHAPE, "images.npy: no images");
    npy_begin(&scratch[0], 1, "|u1", 0, "(0, 3, 4611686018427387904, 4)");
    write_blob("images.npy", &scratch[0]);
    set_fails(NULL, PRUN_ERR_SHAPE, "images.npy: no images");
    end_counting();
}

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
    if (CHECK_STATUS(prun_load_cifar(&test_context, paths, FILES, 10, &set), PRUN_OK)) {
        CHECK(set.count == 2 * FILES && set.labels[2 * FILES - 1] == 1);
        prun_images_free(&set);
    }
    CHECK(streams_opened == FILES && streams_open == 0);
    for (i = 0; i < FILES; i++) { /* a file that is missing: those before are closed */
        paths[i] = in_directory("none.bin");
        streams_opened = 0;
        CHECK_STATUS(prun_load_cifar(&test_context, paths, FILES, 10, &set), PRUN_ERR_OPEN);
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
    {"{\n  \"metadata\": {}, \"weight_map\": {}}", 0, "a JSON text", "name the file"},
    {"[ {\"a\": 1}, {} ]", 0, "a JSON text", "name the file"},
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
    {"404: Not Found\n", 0, "a text, not", "look into it"},
    {"a,b,c\n1,2,3\n", 0, "a text, not", "look into it"},
    {"\x93NUMPY\1\0\x76\0{'descr'", 18, "a NumPy array", "prun_load_npy"},
    {"\2\0\0\0\0\0\0\0{}", 10, "a safetensors file", "prun_safetensors_open"},
    {"\0\0\x08\3\0\0\0\1\0\0\0\1\0\0\0\1\7", 17, "an IDX file", "prun_load_idx"},
    {"\0\0\x0d\1\0\0\0\1\0\0\0\0", 12, "an IDX file", "prun_load_idx"},
};
enum { FOREIGNERS = sizeof foreigners / sizeof foreigners[0], PLACES = 9 };

/* The loaders by the paths that they take; the other path is that of a good file. Results are
   freed, and must not be touched on failure. */
static prun_status load_place(int place, const char *path) {
    const char *paths[2];
    prun_safetensors *file = NULL;
    prun_images images, untouched;
    prun_npy array;
    prun_status status;
    memset(&images, 0x5a, sizeof images);
    untouched = images;
    paths[0] = place == 3 ? path : in_directory("good.bin");
    paths[1] = path;
    switch (place) {
        case 0:
            status = prun_load_idx(&test_context, path, in_directory("good.idx1"), NULL, &images);
            break;
        case 1:
            status = prun_load_idx(&test_context, in_directory("good.idx3"), path, NULL, &images);
            break;
        case 2: status = prun_load_cifar(&test_context, paths, 2, 10, &images); break;
        case 3: status = prun_load_cifar(&test_context, paths, 1, 10, &images); break;
        case 4: status = prun_load_cifar(&test_context, paths + 1, 1, 100, &images); break;
        case 5:
            status = prun_load_npy(&test_context, path, in_directory("labels.npy"), NULL, &images);
            break;
        case 6:
            status = prun_load_npy(&test_context, in_directory("images.npy"), path, NULL, &images);
            break;
        case 7:
            status = prun_npy_read(&test_context, path, &array);
            if (status == PRUN_OK) prun_npy_free(&array);
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

/* What a loader reads itself is not told from another's file by this message. */
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

/* Paths that lead to no file, or to an empty one. */
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
               {"good.bin/x.below", PRUN_ERR_OPEN, "cannot be opened: Not a directory"},
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

/* A format without a header may begin with anything: what fits is read. */
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
        if (!CHECK_STATUS(prun_load_cifar(&test_context, path, 1, 100, &images), PRUN_OK)) continue;
        CHECK(images.count == 2 && images.labels[0] == starts[i][1]);
        prun_images_free(&images);
    }
    memcpy(scratch[0].data, "\x1f\x8b\x08\0", 4); /* no label 139 */
    write_file("x.bin", scratch[0].data, 2 * 3074);
    CHECK_STATUS(prun_load_cifar(&test_context, path, 1, 100, &images), PRUN_ERR_MAGIC);
    CHECK(message_names("gzip"));
    remove(path[0]);
    end_counting();
}

/* ---- checkpoints that do not fit ---- */

/* A file of the net's tensors, with a prefix, and one more. */
static void write_with_stranger(const prun_net *net, const char *prefix, const char *stranger) {
    static char names[40][80];
    static float value[4] = {1, 2, 3, 4};
    prun_tensor tensors[40];
    int64_t count, i;
    const prun_tensor *t = prun_net_tensors(net, &count);
    if (!CHECK(count < 40)) return;
    for (i = 0; i < count; i++) {
        tensors[i] = t[i];
        snprintf(names[i], sizeof names[i], "%s%s", prefix, t[i].name);
        tensors[i].name = names[i];
    }
    memset(&tensors[count], 0, sizeof tensors[count]);
    tensors[count].name = stranger;
    tensors[count].data = value;
    tensors[count].rank = 1;
    tensors[count].shape[0] = 4;
    CHECK_STATUS(prun_safetensors_write(&test_context, in_directory("t.safetensors"), tensors,
                                        count + 1, NULL, 0),
                 PRUN_OK);
}

typedef struct stranger {
    const char *prefix, *name;
    const char *message; /* NULL: it may be there */
} stranger;

static const stranger strangers[] = {
    {"", "layer1.0.conv1.bias", "layer1.0.conv1 of the net; the net has to be built with a bias"},
    {"", "features.0.weight_mask", "torch.nn.utils.prune.remove"},
    {"", "features.0.weight_orig", "torch.nn.utils.prune.remove"},
    {"", "classifier.weight_g", "remove the parametrization"},
    {"", "classifier.parametrizations.weight.original0", "remove the parametrization"},
    {"", "features.0.running_var", "the net needs a batch norm there"},
    {"", "classifier.lora_A.weight", "layer classifier of the net; the network that was saved"},
    {"", "layer1.0.conv1.0.weight", "layer layer1.0.conv1 of the net"},
    {"net.", "net.layer1.0.conv1.bias", "built with a bias"},
    {"", "features.1.num_batches_tracked", NULL},
    {"", "features.10.weight", NULL},
    {"", "features.weight", NULL},
    {"", "classifier", NULL},
    {"", "classifier2.bias", NULL},
    {"", "layer1.0.conv10.weight", NULL},
    {"", "layer1.0.conv9.weight", NULL},
    {"", "other.layer1.0.conv1.bias", NULL},
    {"", "momentum.classifier.bias", NULL},
    {"net.", "layer1.0.conv1.bias", NULL},
    {"net.", "net.head.weight", NULL},
};

static void strangers_in_checkpoints(void) {
    size_t i;
    begin_counting();
    for (i = 0; i < sizeof strangers / sizeof strangers[0]; i++) {
        const stranger *s = &strangers[i];
        prun_net *net = make_small_net(1), *other = make_small_net(2), *third = make_small_net(2);
        prun_safetensors *file;
        write_with_stranger(net, s->prefix, s->name);
        if (CHECK_STATUS(open_safetensors(&file), PRUN_OK)) {
            CHECK_STATUS(prun_net_load(other, file, s->prefix),
                         s->message ? PRUN_ERR_SHAPE : PRUN_OK);
            if (s->message) CHECK(message_names(s->name));
            if (s->message && !CHECK(message_names(s->message)))
                printf("  got \"%s\"\n", prun_message(&test_context));
            CHECK(same_tensors(other, s->message ? third : net));
            prun_safetensors_close(file);
        }
        prun_net_free(net);
        prun_net_free(other);
        prun_net_free(third);
    }
    end_counting();
}

static void wrong_prefixes(void) {
    static const struct {
        const char *written, *asked, *message;
    } cases_[] = {{"module.", NULL, "is there with the prefix \"module.\""},
                  {"module.net.", "net.", "prefix \"module.net.\""},
                  {"", "module.", "prefix \"\""},
                  {"_orig_mod.", "", "prefix \"_orig_mod.\""}};
    size_t i;
    begin_counting();
    for (i = 0; i < sizeof cases_ / sizeof cases_[0]; i++) {
        prun_net *net = make_small_net(1);
        prun_safetensors *file;
        write_with_stranger(net, cases_[i].written, "x");
        if (CHECK_STATUS(open_safetensors(&file), PRUN_OK)) {
            CHECK_STATUS(prun_net_load(net, file, cases_[i].asked), PRUN_ERR_MISSING);
            if (!CHECK(message_names(cases_[i].message)))
                printf("  got \"%s\"\n", prun_message(&test_context));
            prun_safetensors_close(file);
        }
        prun_net_free(net);
    }
    end_counting();
}

static void tensors_that_share_memory(void) {
    float values[10] = {0};
    prun_tensor t[3];
    int64_t a, b, m, n;
    int refused = 0, written = 0;
    begin_counting();
    memset(t, 0, sizeof t);
    t[0].name = "first";
    t[1].name = "far";
    t[2].name = "second";
    t[0].rank = t[2].rank = 1;
    t[1].data = values + 9;
    for (a = 0; a < 5; a++)
        for (b = 0; b < 5; b++)
            for (m = 0; m < 4; m++)
                for (n = 0; n < 4; n++) {
                    const int overlap = m > 0 && n > 0 && a < b + n && b < a + m;
                    t[0].data = values + a;
                    t[2].data = values + b;
                    t[0].shape[0] = m;
                    t[2].shape[0] = n;
                    CHECK_STATUS(prun_safetensors_write(
                                     &test_context, in_directory("t.safetensors"), t, 3, NULL, 0),
                                 overlap ? PRUN_ERR_ARGUMENT : PRUN_OK);
                    if (overlap) CHECK(message_names("first") && message_names("second"));
                    *(overlap ? &refused : &written) += 1;
                }
    CHECK(refused > 50 && written > 50);
    end_counting();
}

/* ---- bytes that change ---- */

/* CRC-32 bit by bit, by its definition. */
static uint32_t defined_crc(const unsigned char *bytes, size_t n) {
    uint32_t crc = 0xffffffffu;
    size_t i;
    int k;
    for (i = 0; i < n; i++) {
        crc ^= bytes[i];
        for (k = 0; k < 8; k++) crc = crc & 1 ? crc >> 1 ^ 0xedb88320u : crc >> 1;
    }
    return ~crc;
}

static void crcs_are_those_of_zlib(void) {
    static prun__crc c;
    size_t i, n;
    prun__crc_init(&c);
    CHECK(prun__crc_add(&c, 0, "123456789", 9) == 0xcbf43926u);
    for (i = 0; i < 300; i++) scratch[0].data[i] = (unsigned char)prun_random_bits(1, 2, i);
    for (i = 0; i < 12; i++)
        for (n = 0; n < 280; n += 7) {
            const uint32_t part = prun__crc_add(&c, 0, scratch[0].data + i, (int64_t)n / 3);
            CHECK(prun__crc_add(&c, part, scratch[0].data + i + n / 3, (int64_t)(n - n / 3)) ==
                  defined_crc(scratch[0].data + i, n));
        }
}

static void check_crc_text(const char *value, prun_status expected, const char *message) {
    char json[300];
    prun_safetensors *file;
    float out[2];
    snprintf(json, sizeof json,
             "{\"__metadata__\":{\"crc32.w\":\"%s\"},\"w\":" FIELDS(
                 "F32", "2", "0", "8") ",\"v\":" FIELDS("F32", "1", "8", "12") "}",
             value);
    safetensors(&scratch[0], json, 12);
    write_blob("t.safetensors", &scratch[0]);
    if (!CHECK_STATUS(open_safetensors(&file), PRUN_OK)) return;
    CHECK_STATUS(prun_safetensors_read_f32(file, prun_safetensors_find(file, "v"), out), PRUN_OK);
    CHECK_STATUS(prun_safetensors_read_f32(file, prun_safetensors_find(file, "w"), out), expected);
    if (message != NULL) CHECK(message_names(message) && message_names("t.safetensors"));
    prun_safetensors_close(file);
}

/* Other programs write metadata in any order. */
static void metadata_in_any_order(void) {
    static prun__crc c;
    const char *const pairs[] = {"a", "1", "crc32.__metadata__", "?", "b", "", "c", "a"};
    const char *const turned[] = {"c", "a", "b", "", "a", "1"};
    const char *const other[] = {"c", "a", "b", "a", "1", ""};
    prun__crc_init(&c);
    CHECK(prun__metadata_crc(&c, pairs, 4) == prun__metadata_crc(&c, turned, 3));
    CHECK(prun__metadata_crc(&c, pairs, 4) != prun__metadata_crc(&c, other, 3));
    CHECK(prun__metadata_crc(&c, pairs, 4) != prun__metadata_crc(&c, turned, 2));
}

/* A text may be a table whatever its first column is called. */
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
        if (!CHECK_STATUS(prun_table_read_csv(&test_context, in_directory("t.csv"), &t), PRUN_OK))
            continue;
        CHECK(t.rows == 2 && t.columns == 2 && strcmp(t.names[0], names[i]) == 0);
        prun_table_free(&t);
    }
}

static void crcs_in_metadata(void) {
    static const unsigned char bytes[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    char text[20];
    begin_counting();
    snprintf(text, sizeof text, "%08lx", (unsigned long)defined_crc(bytes, 8));
    check_crc_text(text, PRUN_OK, NULL);
    check_crc_text("00000000", PRUN_ERR_FORMAT, "damaged in tensor w");
    check_crc_text("", PRUN_ERR_FORMAT, "crc32.w is not a CRC");
    check_crc_text("1234567", PRUN_ERR_FORMAT, "crc32.w is not a CRC");
    check_crc_text("123456789", PRUN_ERR_FORMAT, "crc32.w is not a CRC");
    check_crc_text("1234567g", PRUN_ERR_FORMAT, "crc32.w is not a CRC");
    end_counting();
}

/* Every byte of a state of training changed: loading fails and changes nothing, or it gives the
   same bits as before. */
static void every_byte_of_a_state_changed(void) {
    prun_images images = make_images(IMAGES);
    prun_train_options options = recipe();
    prun_net *net;
    prun_trainer *trainer = NULL;
    size_t at, size;
    int failed = 0, loaded = 0;
    begin_counting();
    net = make_small_net(1);
    CHECK_STATUS(prun_trainer_create(net, &images, &options, &trainer), PRUN_OK);
    CHECK_STATUS(prun_trainer_epoch(trainer, NULL), PRUN_OK);
    CHECK_STATUS(prun_trainer_save(trainer, in_directory("state.good")), PRUN_OK);
    read_blob("state.good", &scratch[2]);
    size = scratch[2].size;
    for (at = 0; at < size; at++) {
        const unsigned char kept = scratch[2].data[at];
        scratch[2].data[at] ^=
            (unsigned char)(at % 3 ? 1u << at % 8 : 1 + prun_random_bits(4, 4, at) % 255);
        write_blob("state.bad", &scratch[2]);
        scratch[2].data[at] = kept;
        if (load_state(trainer, "state.bad") == PRUN_OK) {
            loaded++;
            CHECK_STATUS(prun_trainer_save(trainer, in_directory("after")), PRUN_OK);
            read_blob("after", &scratch[1]);
            if (!CHECK(same_blob(&scratch[1], &scratch[2]))) printf("  byte %d\n", (int)at);
        } else {
            failed++;
            CHECK(message_names("state.bad"));
        }
    }
    CHECK_STATUS(prun_trainer_save(trainer, in_directory("after")), PRUN_OK);
    read_blob("after", &scratch[1]);
    CHECK(same_blob(&scratch[1], &scratch[2])); /* failures have changed nothing */
    CHECK(failed + loaded == (int)size && loaded <= 2);
    if (getenv("VERBOSE")) printf("%d changed, %d found, %d harmless\n", (int)size, failed, loaded);
    prun_trainer_free(trainer);
    prun_net_free(net);
    end_counting();
}

/* ---- memory that runs out ---- */

static int64_t allocations_left;

static void *failing_allocate(size_t size, void *user) {
    return allocations_left-- > 0 ? counting_allocate(size, user) : NULL;
}

static prun_status use_array(void) {
    prun_npy array;
    const prun_status status = prun_npy_read(&test_context, in_directory("images.npy"), &array);
    if (status == PRUN_OK) prun_npy_free(&array);
    return status;
}

static prun_status use_set(void) {
    prun_images set;
    const prun_status status = load_set(NULL, &set);
    if (status == PRUN_OK) prun_images_free(&set);
    return status;
}

static prun_trainer *used_trainer;

static prun_status use_save(void) {
    return prun_trainer_save(used_trainer, in_directory("again.state"));
}

static prun_status use_load(void) { return load_state(used_trainer, "good.state"); }

static void memory_that_runs_out(void) {
    static prun_status (*const uses[4])(void) = {use_array, use_set, use_save, use_load};
    prun_images images = make_images(IMAGES);
    prun_train_options options = recipe();
    prun_net *net;
    int64_t i;
    int use;
    begin_counting();
    net = make_small_net(1);
    if (!CHECK_STATUS(prun_trainer_create(net, &images, &options, &used_trainer), PRUN_OK)) return;
    CHECK_STATUS(prun_trainer_save(used_trainer, in_directory("good.state")), PRUN_OK);
    write_set(1, "<f2", 2, 0, "<i8", 8);
    test_context.allocate = failing_allocate;
    for (use = 0; use < 4; use++) {
        const int64_t live = live_blocks;
        prun_status status = PRUN_ERR_MEMORY;
        for (i = 0; i < 100 && status != PRUN_OK; i++) {
            allocations_left = i;
            status = uses[use]();
            CHECK(status == PRUN_OK || status == PRUN_ERR_MEMORY);
            CHECK(live_blocks == live && streams_open == 0);
        }
        CHECK(i > 2 && i < 100);
    }
    CHECK(files_named(".tmp", 0) == 0);
    prun_trainer_free(used_trainer);
    prun_net_free(net);
    end_counting();
}

static const test_case cases[] = {
    TEST_CASE(every_half),
    TEST_CASE(doubles_are_rounded),
    TEST_CASE(every_integer_type),
    TEST_CASE(several_gigabytes),
    TEST_CASE(bad_headers_are_explained),
    TEST_CASE(names_are_utf8),
    TEST_CASE(nets_of_other_types),
    TEST_CASE(weights_that_are_not_finite),
    TEST_CASE(wrong_shapes_are_shown),
    TEST_CASE(resumed_training),
    TEST_CASE(states_are_checkpoints),
    TEST_CASE(states_that_do_not_fit),
    TEST_CASE(arrays_of_every_kind),
    TEST_CASE(array_of_signed_and_bool),
    TEST_CASE(headers_of_many_kinds),
    TEST_CASE(bad_arrays_are_explained),
    TEST_CASE(arrays_of_another_kind),
    TEST_CASE(arrays_with_every_byte_changed),
    TEST_CASE(sets_of_every_kind),
    TEST_CASE(layouts_of_sets),
    TEST_CASE(sets_that_do_not_fit),
    TEST_CASE(files_are_opened_once),
    TEST_CASE(files_of_other_kinds),
    TEST_CASE(paths_that_are_no_files),
    TEST_CASE(images_that_look_like_archives),
    TEST_CASE(strangers_in_checkpoints),
    TEST_CASE(wrong_prefixes),
    TEST_CASE(tensors_that_share_memory),
    TEST_CASE(crcs_are_those_of_zlib),
    TEST_CASE(metadata_in_any_order),
    TEST_CASE(tables_that_begin_like_other_files),
    TEST_CASE(crcs_in_metadata),
    TEST_CASE(every_byte_of_a_state_changed),
    TEST_CASE(memory_that_runs_out),
};

int main(int argc, char **argv) { return FILES_MAIN("test_formats", cases, argc, argv); }
