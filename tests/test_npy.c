/* test_npy.c - section NPY: arrays of every kind, and the errors for bad ones. */
#include "arrays.h"

/* ---- NumPy ---- */

static prun_status read_npy(prun_array *array) {
    memset(array, 0x5a, sizeof *array);
    return prun_array_load_npy(&test_context, in_directory("a.npy"), array);
}

/* 2 x 3 x 4 numbers, each the index of its element in C order; in every type, order and version. */
static void arrays_of_every_kind(void) {
    static const struct {
        const char *type;
        prun_dtype dtype;
        int bytes, kind; /* 0: float, 1: integer, 2: byte */
    } types[] = {
        {"f2", PRUN_DTYPE_F16, 2, 0}, {"f4", PRUN_DTYPE_F32, 4, 0}, {"f8", PRUN_DTYPE_F64, 8, 0},
        {"i1", PRUN_DTYPE_I8, 1, 1},  {"i2", PRUN_DTYPE_I16, 2, 1}, {"i4", PRUN_DTYPE_I32, 4, 1},
        {"i8", PRUN_DTYPE_I64, 8, 1}, {"u2", PRUN_DTYPE_U16, 2, 1}, {"u4", PRUN_DTYPE_U32, 4, 1},
        {"u8", PRUN_DTYPE_U64, 8, 1}, {"u1", PRUN_DTYPE_U8, 1, 2}};
    size_t t;
    int big, fortran, version;
    begin_counting();
    for (t = 0; t < sizeof types / sizeof types[0]; t++)
        for (big = 0; big < 2; big++)
            for (fortran = 0; fortran < 2; fortran++)
                for (version = 1; version <= 3; version++) {
                    char type[8];
                    prun_array array;
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
                    prun_array_free(&array);
                    CHECK(array.count == 0 && array.values == NULL);
                    prun_array_free(&array);
                }
    prun_array_free(NULL);
    end_counting();
}

static void array_of_signed_and_bool(void) {
    prun_array array;
    begin_counting();
    npy_begin(&scratch[0], 1, ">i2", 0, "(3,)");
    put_element(&scratch[0], (uint64_t)-1, 2, 1);
    put_element(&scratch[0], (uint64_t)-32768, 2, 1);
    put_element(&scratch[0], 258, 2, 1);
    write_blob("a.npy", &scratch[0]);
    if (CHECK_STATUS(read_npy(&array), PRUN_OK)) {
        CHECK(array.integers[0] == -1 && array.integers[1] == -32768 && array.integers[2] == 258);
        prun_array_free(&array);
    }
    npy_begin(&scratch[0], 1, "|b1", 0, "(3,)");
    put(&scratch[0], "\0\1\x37", 3);
    write_blob("a.npy", &scratch[0]);
    if (CHECK_STATUS(read_npy(&array), PRUN_OK)) {
        CHECK(array.dtype == PRUN_DTYPE_BOOL && array.bytes[0] == 0 && array.bytes[1] == 1);
        CHECK(array.bytes[2] == 1);
        prun_array_free(&array);
    }
    npy_begin(&scratch[0], 1, "<u8", 0, "(2,)");
    put_element(&scratch[0], 1, 8, 0);
    put_element(&scratch[0], UINT64_MAX, 8, 0);
    write_blob("a.npy", &scratch[0]);
    check_failure(read_npy(&array), PRUN_ERR_OVERFLOW, PRUN_ERR_OVERFLOW, "a.npy", "2^64 - 1");
    end_counting();
}

/* Headers of other writers, and extreme shapes. */
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
        prun_array array;
        int64_t j;
        npy_header(&scratch[0], 1 + (int)i % 3, good[i].dictionary);
        for (j = 0; j < good[i].count; j++) put_little_endian(&scratch[0], 7, 1);
        write_blob("a.npy", &scratch[0]);
        if (!CHECK_STATUS(read_npy(&array), PRUN_OK)) continue;
        CHECK(array.rank == good[i].rank && array.count == good[i].count);
        CHECK(good[i].rank == 0 || array.shape[0] == good[i].first);
        for (j = 0; j < array.count; j++) CHECK(array.bytes[j] == 7);
        prun_array_free(&array);
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
        prun_array array, untouched;
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
    prun_array array;
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
    scratch[0].data[10] = 0x20; /* 2 MB, which the file has */
    while (scratch[0].size < 2500000) put_little_endian(&scratch[0], ' ', 1);
    write_blob("a.npy", &scratch[0]);
    check_failure(read_npy(&array), PRUN_ERR_FORMAT, PRUN_ERR_FORMAT, "a.npy", "header of 2 MB");
    check_failure(prun_array_load_npy(&test_context, in_directory("none.npy"), &array),
                  PRUN_ERR_OPEN, PRUN_ERR_OPEN, "none.npy", "no file");
    end_counting();
}

/* Every byte of the header is changed to other values: there must be no crash, no leak, and no
   array that is larger than the file. */
static void arrays_with_every_byte_changed(void) {
    int at, v, good = 0, bad = 0;
    begin_counting();
    npy_begin(&scratch[0], 1, "<f2", 1, "(2, 3)");
    for (v = 0; v < 12; v++) put_little_endian(&scratch[0], (uint64_t)v, 1);
    for (at = 0; at < 75; at++) {
        const unsigned char kept = scratch[0].data[at];
        for (v = 0; v < 256; v += at < 12 ? 1 : 3) {
            prun_array array;
            scratch[0].data[at] = (unsigned char)v;
            write_blob("a.npy", &scratch[0]);
            if (read_npy(&array) == PRUN_OK) {
                CHECK(array.count >= 0 && array.count <= 12 && array.rank <= 2);
                prun_array_free(&array);
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

static const test_case cases[] = {
    TEST_CASE(arrays_of_every_kind),   TEST_CASE(array_of_signed_and_bool),
    TEST_CASE(headers_of_many_kinds),  TEST_CASE(bad_arrays_are_explained),
    TEST_CASE(arrays_of_another_kind), TEST_CASE(arrays_with_every_byte_changed),
};

int main(int argc, char **argv) { return FILES_MAIN("test_npy", cases, argc, argv); }
