/* test_safetensors.c - section SAFETENSORS: element types, headers, checksums, writing; numbers
   against separate arithmetic. */
#define _FILE_OFFSET_BITS 64
#include "implementation.h" /* for the checksums */

#include "files.h"

#if HAVE_POSIX
#include <signal.h>
#include <sys/resource.h>
#endif

/* ---- safetensors by hand ---- */

/* "a": floats, listed first although stored last; "y": integers, at an unaligned offset. */
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
    CHECK(prun_safetensors_entry_count(file) == 3);
    check_entry(prun_safetensors_at(file, 0), "s", PRUN_DTYPE_F32, 0, 0, 1);
    check_entry(prun_safetensors_at(file, 1), "y", PRUN_DTYPE_I64, 1, 3, 3);
    check_entry(prun_safetensors_at(file, 2), "a", PRUN_DTYPE_F32, 2, 2, 6);
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

/* Tensors of unsupported types are listed, and the other tensors can still be read. */
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
    check_entry(prun_safetensors_find(file, "q"), "q", PRUN_DTYPE_OTHER, 1, 6, 6);
    check_entry(prun_safetensors_find(file, "r"), "r", PRUN_DTYPE_OTHER, 1, 100, 100);
    check_failure(prun_safetensors_read_f32(file, prun_safetensors_find(file, "r"), floats),
                  PRUN_ERR_UNSUPPORTED, PRUN_ERR_UNSUPPORTED,
                  "tensor r: elements of type F2_NEW are not supported", "an unknown type");
    check_entry(prun_safetensors_at(file, 0), "h", PRUN_DTYPE_OTHER, 2, 2, 4);
    check_entry(prun_safetensors_at(file, 1), "u", PRUN_DTYPE_U8, 1, 3, 3);
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
        CHECK(prun_safetensors_entry_count(file) == i / 2);
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
    prun_status a, b; /* either is accepted */
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

/* Brackets nested so deeply that a parser with unlimited recursion overflows any usual stack. */
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

/* Everything that an open file reports must agree with its bytes. */
static void check_consistent(prun_safetensors *file, size_t size) {
    int64_t i;
    for (i = 0; i < prun_safetensors_entry_count(file); i++) {
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
        if (entry->dtype == PRUN_DTYPE_OTHER) {
            CHECK_STATUS(prun_safetensors_read_f32(file, entry, NULL), PRUN_ERR_UNSUPPORTED);
            CHECK_STATUS(prun_safetensors_read_i64(file, entry, NULL), PRUN_ERR_UNSUPPORTED);
            continue;
        }
        if (!CHECK(entry->count <= (int64_t)size)) return;
        out = malloc((size_t)entry->count * 8 + 1);
        if (!CHECK(out != NULL)) return;
        floats = entry->dtype == PRUN_DTYPE_F32 || entry->dtype == PRUN_DTYPE_F64 ||
                 entry->dtype == PRUN_DTYPE_F16;
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
    CHECK_STATUS(prun_tensors_save_safetensors(&test_context, tensors, 4, metadata, 2,
                                               in_directory("t.safetensors")),
                 PRUN_OK);
    if (!CHECK_STATUS(open_safetensors(&file), PRUN_OK)) return;
    CHECK(prun_safetensors_entry_count(file) == 4);
    for (i = 0; i < 4; i++) {
        static const int64_t sizes[4] = {6, 6, 1, 5};
        const prun_safetensors_entry *entry = prun_safetensors_find(file, names[i]);
        check_entry(entry, names[i], PRUN_DTYPE_F32, tensors[i].rank, tensors[i].shape[0],
                    sizes[i]);
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
    CHECK_STATUS(prun_tensors_save_safetensors(&test_context, NULL, 0, NULL, 0,
                                               in_directory("t.safetensors")),
                 PRUN_OK);
    if (CHECK_STATUS(open_safetensors(&file), PRUN_OK)) {
        CHECK(prun_safetensors_entry_count(file) == 0);
        prun_safetensors_close(file);
    }
    end();
}

static void writing_to_an_impossible_path(void) {
    float value = 1;
    prun_tensor tensor = tensor_of("a", &value, 1, 1, 0);
    begin();
    check_failure(prun_tensors_save_safetensors(&test_context, &tensor, 1, NULL, 0,
                                                in_directory("none/t.safetensors")),
                  PRUN_ERR_OPEN, PRUN_ERR_WRITE, "t.safetensors", "a missing directory");
#if HAVE_POSIX
    CHECK(mkdir(in_directory("folder"), 0700) == 0);
    check_failure(
        prun_tensors_save_safetensors(&test_context, &tensor, 1, NULL, 0, in_directory("folder")),
        PRUN_ERR_OPEN, PRUN_ERR_WRITE, "folder", "a directory's own name");
    CHECK(rmdir(in_directory("folder")) == 0);
    CHECK(files_named(".tmp", 0) == 0);
#endif
    end();
}

/* A failed write leaves the old file of that name unchanged. */
static void failing_write_keeps_the_old_file(void) {
#if HAVE_POSIX
    static float many[100000];
    float value = 1, read = 0;
    prun_tensor tensor = tensor_of("a", &value, 1, 1, 0);
    prun_tensor large = tensor_of("a", many, 1, 100000, 0);
    prun_safetensors *file;
    struct rlimit limit, small;
    begin();
    CHECK_STATUS(prun_tensors_save_safetensors(&test_context, &tensor, 1, NULL, 0,
                                               in_directory("t.safetensors")),
                 PRUN_OK);
    signal(SIGXFSZ, SIG_IGN);
    CHECK(getrlimit(RLIMIT_FSIZE, &limit) == 0);
    small = limit;
    small.rlim_cur = 200000;
    CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
    check_failure(prun_tensors_save_safetensors(&test_context, &large, 1, NULL, 0,
                                                in_directory("t.safetensors")),
                  PRUN_ERR_WRITE, PRUN_ERR_WRITE, "t.safetensors", "a limit on the size of files");
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    signal(SIGXFSZ, SIG_DFL);
    CHECK(files_named(".tmp", 0) == 0);
    if (CHECK_STATUS(open_safetensors(&file), PRUN_OK)) {
        CHECK_STATUS(prun_safetensors_read_f32(file, prun_safetensors_at(file, 0), &read), PRUN_OK);
        prun_safetensors_close(file);
    }
    CHECK(read == 1);
    CHECK_STATUS(prun_tensors_save_safetensors(&test_context, &tensor, 1, NULL, 0,
                                               in_directory("t.safetensors")),
                 PRUN_OK);
    end();
#else
    SKIP("needs limits");
#endif
}

static int same_float(float a, float b) { return memcmp(&a, &b, sizeof a) == 0; }

/* ---- element types ---- */

/* The value of `bits` in a binary float format, from its definition: sign, exponent, fraction. */
static double defined_value(uint64_t bits, int exponent_bits, int fraction_bits) {
    const int bias = (1 << (exponent_bits - 1)) - 1, top = (1 << exponent_bits) - 1;
    const int exponent = (int)(bits >> fraction_bits) & top;
    const double sign = bits >> (exponent_bits + fraction_bits) & 1 ? -1 : 1;
    const double fraction = (double)(bits & (((uint64_t)1 << fraction_bits) - 1));
    if (exponent == top) return fraction > 0 ? NAN : sign * INFINITY;
    if (exponent == 0) return sign * ldexp(fraction, 1 - bias - fraction_bits);
    return sign * ldexp(fraction + ldexp(1, fraction_bits), exponent - bias - fraction_bits);
}

/* Writes t.safetensors: a byte "u", so that the rest is unaligned, then "t" of the given type with
   the bytes of scratch[1]. */
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
        read_typed(kind ? PRUN_DTYPE_BF16 : PRUN_DTYPE_F16, half_values, NULL, PRUN_OK);
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
    read_typed(PRUN_DTYPE_F64, got, NULL, PRUN_OK);
    for (i = 0; i < N; i++) {
        CHECK(same_float(got[i], want[i])); /* half of the smallest float is 7e-46 */
    }
    end_counting();
}

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
        read_typed(PRUN_DTYPE_U64, NULL, got, PRUN_ERR_OVERFLOW);
        CHECK(message_names("tensor t: element 1"));
    }
    end_counting();
}

/* ---- a file that may be larger than the memory ---- */

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

/* ---- messages for bad headers ---- */

#define FIELDS(dtype, shape, from, to) \
    "{\"dtype\":\"" dtype "\",\"shape\":[" shape "],\"data_offsets\":[" from "," to "]}"

static const bad_header bad_headers[] = {
    {"{\"w\":" FIELDS("F4", "3", "0", "2") "}", 2, PRUN_ERR_FORMAT,
     "tensor w: 2 bytes for 3 elements of F4"},
    {"{\"w\":" FIELDS("F6_E2M3", "4", "0", "4") "}", 4, PRUN_ERR_FORMAT,
     "tensor w: 4 bytes for 4 elements of F6_E2M3"},
    {"{\"w\":" FIELDS("C64", "1", "0", "4") "}", 4, PRUN_ERR_FORMAT,
     "tensor w: 4 bytes for 1 elements of C64"},
    {"{\"w\":" FIELDS("F33", "1", "4", "0") "}", 4, PRUN_ERR_FORMAT, "tensor w: data_offsets 4, 0"},
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
    {"{\"w\":" FIELDS("F32", "1", "4", "0") "}", 4, PRUN_ERR_FORMAT, "tensor w: data_offsets 4, 0"},
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
    {"{\"w\":{\"x\":\"endless", 0, PRUN_ERR_FORMAT, "unterminated string"},
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
        CHECK_STATUS(prun_tensors_save_safetensors(&test_context, &tensor, 1, NULL, 0,
                                                   in_directory("t.safetensors")),
                     c->valid ? PRUN_OK : PRUN_ERR_ARGUMENT);
    }
    end_counting();
}

/* ---- checkpoints that do not fit ---- */

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
                    CHECK_STATUS(prun_tensors_save_safetensors(&test_context, t, 3, NULL, 0,
                                                               in_directory("t.safetensors")),
                                 overlap ? PRUN_ERR_ARGUMENT : PRUN_OK);
                    if (overlap) CHECK(message_names("first") && message_names("second"));
                    *(overlap ? &refused : &written) += 1;
                }
    CHECK(refused > 50 && written > 50);
    end_counting();
}

/* ---- changed bytes ---- */

/* CRC-32 bit by bit, from its definition. */
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

static const test_case cases[] = {
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
    TEST_CASE(writing_to_an_impossible_path),
    TEST_CASE(failing_write_keeps_the_old_file),
    TEST_CASE(every_half),
    TEST_CASE(doubles_are_rounded),
    TEST_CASE(every_integer_type),
    TEST_CASE(several_gigabytes),
    TEST_CASE(bad_headers_are_explained),
    TEST_CASE(names_are_utf8),
    TEST_CASE(tensors_that_share_memory),
    TEST_CASE(crcs_are_those_of_zlib),
    TEST_CASE(metadata_in_any_order),
    TEST_CASE(crcs_in_metadata),
};

int main(int argc, char **argv) { return FILES_MAIN("test_safetensors", cases, argc, argv); }
