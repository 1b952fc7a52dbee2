/* test_table.c - section TABLE: columns and rows of tables. */
#include "../prunability.h"

#include <stdlib.h>

#include "grids.h"

static const char csv_path[] = "build/test_table.csv";

/* Reads a text as a table. */
static prun_status read_text(const char *text, prun_table *t) {
    memset(t, 0, sizeof *t);
    if (!write_file(csv_path, text, strlen(text))) return PRUN_ERR_OPEN;
    return prun_table_load_csv(&test_context, csv_path, t);
}

static void csv_text_as_setting(void) {
    prun_table t;
    const double *v = NULL;
    if (!CHECK_STATUS(read_text("o,m\nsgd,1\nadam,a\nsgd,\n\"x\ny\",3\n", &t), PRUN_OK)) return;
    CHECK_STATUS(prun_table_settings(&test_context, &t, "o", &v), PRUN_OK);
    CHECK(v != NULL && v[0] == 0 && v[1] == 1 && v[2] == 0 && v[3] == 3);
    CHECK(t.text[1] == PRUN_COLUMN_MIXED && t.lines[3] == 5);
    CHECK_STATUS(prun_table_settings(&test_context, &t, "m", &v), PRUN_ERR_MISSING);
    CHECK(strstr(prun_message(&test_context), "line 4, column 2 (m)") != NULL);
    CHECK_STATUS(prun_table_numbers(&test_context, &t, "m", &v), PRUN_ERR_FORMAT);
    CHECK(strstr(prun_message(&test_context), "line 3, column 2 (m)") != NULL);
    prun_table_free(&t);
}

/* A column whose texts were all in removed rows is numeric again. */
static void csv_mixed_column_without_texts(void) {
    const uint8_t keep[4] = {0, 1, 1, 1}, none[4] = {1, 1, 0, 1};
    prun_table t;
    const double *v = NULL;
    if (!CHECK_STATUS(read_text("a,b\nabc,5\n20,6\n,7\n-inf,8\n", &t), PRUN_OK)) return;
    prun_table_keep_rows(&t, keep);
    CHECK(t.text[0] == PRUN_COLUMN_NUMBERS && t.text[1] == PRUN_COLUMN_NUMBERS);
    CHECK(t.values[0] == 20 && isnan(t.values[1]) && t.values[2] == -INFINITY);
    CHECK_STATUS(prun_table_numbers(&test_context, &t, "a", &v), PRUN_ERR_MISSING);
    prun_table_free(&t);
    if (!CHECK_STATUS(read_text("a,b\nabc,5\n20,6\n,7\n-inf,8\n", &t), PRUN_OK)) return;
    prun_table_keep_rows(&t, none);
    CHECK(t.text[0] == PRUN_COLUMN_MIXED && t.values[0] == 0 && t.values[1] == 1);
    CHECK_STATUS(prun_table_numbers(&test_context, &t, "a", &v), PRUN_ERR_FORMAT);
    prun_table_free(&t);
}

static void csv_keeps_rows(void) {
    const uint8_t keep[4] = {0, 1, 0, 1};
    prun_table t;
    const double *v = NULL;
    if (!CHECK_STATUS(read_text("a,b\n1,5\n2,6\n,7\n4,8\n", &t), PRUN_OK)) return;
    prun_table_keep_rows(&t, keep);
    CHECK(t.rows == 2 && t.lines[0] == 3 && t.lines[1] == 5 && strcmp(t.cells[3], "8") == 0);
    CHECK_STATUS(prun_table_numbers(&test_context, &t, "a", &v), PRUN_OK);
    CHECK(v != NULL && v[0] == 2 && v[1] == 4);
    CHECK_STATUS(prun_table_numbers(&test_context, &t, "b", &v), PRUN_OK);
    CHECK(v[0] == 6 && v[1] == 8);
    prun_table_free(&t);
}

static const test_case cases[] = {
    TEST_CASE(csv_text_as_setting),
    TEST_CASE(csv_keeps_rows),
    TEST_CASE(csv_mixed_column_without_texts),
};

int main(int argc, char **argv) { return TEST_MAIN("test_table", cases, argc, argv); }
