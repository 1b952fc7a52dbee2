/* test_csv.c - section CSV: tables of every dialect, malformed tables and their error messages. */
#if defined(__unix__) || defined(__APPLE__)
#define _POSIX_C_SOURCE 200809L
#endif
#include "../prunability.h"

#include <stdarg.h>
#include <stdlib.h>

#include "grids.h"

#if defined(__unix__) || defined(__APPLE__)
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#define HAVE_FORK 1
#endif

/* ---- CSV ---- */

static const char csv_path[] = "build/test_csv.csv";

/* Reads a text as a table. */
static prun_status read_text(const char *text, prun_table *t) {
    memset(t, 0, sizeof *t);
    if (!write_file(csv_path, text, strlen(text))) return PRUN_ERR_OPEN;
    return prun_table_load_csv(&test_context, csv_path, t);
}

static void csv_plain(void) {
    prun_table t;
    const double *v = NULL;
    if (!CHECK_STATUS(read_text("width,gap\n1,0.5\n2,-1e-3\n", &t), PRUN_OK)) return;
    CHECK(t.rows == 2 && t.columns == 2 && strcmp(t.names[1], "gap") == 0);
    CHECK(t.lines[0] == 2 && t.lines[1] == 3 && prun_table_find(&t, "nothing") == -1);
    CHECK_STATUS(prun_table_numbers(&test_context, &t, "gap", &v), PRUN_OK);
    CHECK(v != NULL && v[0] == 0.5 && v[1] == -1e-3);
    CHECK(strcmp(t.cells[3], "-1e-3") == 0);
    CHECK_STATUS(prun_table_numbers(&test_context, &t, "tau", &v), PRUN_ERR_MISSING);
    CHECK(strstr(prun_message(&test_context), "tau") != NULL);
    prun_table_free(&t);
    CHECK(t.rows == 0 && t.values == NULL);
}

/* What spreadsheets and pandas write. */
static void csv_dialects(void) {
    static const char *const texts[] = {"\xef\xbb\xbf"
                                        "a,b\r\n1,x y\r\n2,\"x \"\"y\"\"\"\r\n",
                                        "a;b\n1;x y\n2;\"x \"\"y\"\"\"",
                                        "a\tb\n1\tx y\n\n2\t\"x \"\"y\"\"\"\n\n",
                                        "\n  \na , b\n 1 ,x y \n2, \"x \"\"y\"\"\" \n",
                                        "\"a\",\"b\"\n\"1\",\"x y\"\n\"2\",\"x \"\"y\"\"\"\n",
                                        "a,b\r1,x y\r2,\"x \"\"y\"\"\"\r"};
    size_t i;
    for (i = 0; i < sizeof texts / sizeof *texts; i++) {
        prun_table t;
        const double *v = NULL;
        if (!CHECK_STATUS(read_text(texts[i], &t), PRUN_OK)) continue;
        CHECK(t.rows == 2 && t.columns == 2);
        CHECK(strcmp(t.names[0], "a") == 0 && strcmp(t.names[1], "b") == 0);
        CHECK(strcmp(t.cells[1], "x y") == 0 && strcmp(t.cells[3], "x \"y\"") == 0);
        CHECK(t.text[0] == PRUN_COLUMN_NUMBERS && t.text[1] == PRUN_COLUMN_TEXT);
        CHECK_STATUS(prun_table_numbers(&test_context, &t, "a", &v), PRUN_OK);
        CHECK(v != NULL && v[1] == 2);
        prun_table_free(&t);
    }
}

/* What printf, pandas, R, spreadsheets and Microsoft's C library write for a missing value. */
static void csv_missing_values(void) {
    static const char *const missing[] = {
        "",        "nan",     "-nan",     "+nan",      "NaN",       "Nan",
        "NAN",     "-NaN",    "nan(ind)", "-nan(ind)", "nan(snan)", "-nan(0x8000000000000)",
        "1.#QNAN", "-1.#IND", "1.#IND00", "1.#SNAN",   "1.#qnan0",  "n/a",
        "N/A",     "#N/A",    "#n/a",     "#N/A N/A",  "#NA",       "NA",
        "na",      "<NA>",    "NULL",     "null",      "Null",      "None",
        "\"NA\"",  " NA ",    ".",        "?",         "#DIV/0!",   "#NUM!",
        "#VALUE!"};
    static const char *const infinite[] = {"inf",     "-inf",     "+inf",      "Inf",
                                           "INF",     "Infinity", "-infinity", "1.#INF",
                                           "-1.#INF", "1.#INF00", "1e999"};
    static const char *const texts[] = {"none", "nano", "nanq?", "N.A.",    "nan(",
                                        "-NA",  "1.#",  "-",     "1.#INFx", "infinit",
                                        "..",   "+",    "#N/A!", "nil"};
    prun_table t;
    const double *v = NULL;
    char text[80];
    size_t i;
    for (i = 0; i < sizeof missing / sizeof *missing; i++) {
        snprintf(text, sizeof text, "a,b\n1,2\n%s,3\n4,5\n", missing[i]);
        if (!CHECK_STATUS(read_text(text, &t), PRUN_OK)) continue;
        if (!CHECK(t.text[0] == PRUN_COLUMN_NUMBERS && isnan(t.values[1]) && t.values[2] == 4))
            printf("    %s\n", missing[i]);
        CHECK_STATUS(prun_table_numbers(&test_context, &t, "a", &v), PRUN_ERR_MISSING);
        CHECK(strstr(prun_message(&test_context), "line 3, column 1 (a)") != NULL);
        prun_table_free(&t);
    }
    for (i = 0; i < sizeof infinite / sizeof *infinite; i++) {
        snprintf(text, sizeof text, "a,b\n1,2\n%s,3\n4,5\n", infinite[i]);
        if (!CHECK_STATUS(read_text(text, &t), PRUN_OK)) continue;
        CHECK_STATUS(prun_table_numbers(&test_context, &t, "a", &v), PRUN_OK);
        CHECK(v != NULL && v[1] == (infinite[i][0] == '-' ? -INFINITY : INFINITY));
        prun_table_free(&t);
    }
    for (i = 0; i < sizeof texts / sizeof *texts; i++) {
        snprintf(text, sizeof text, "a,b\n1,2\n%s,3\n4,5\n", texts[i]);
        if (!CHECK_STATUS(read_text(text, &t), PRUN_OK)) continue;
        if (!CHECK(t.text[0] == PRUN_COLUMN_MIXED)) printf("    %s\n", texts[i]);
        prun_table_free(&t);
    }
}

/* A first line "sep=;", as for Excel; it counts when lines are numbered. */
static void csv_names_its_separator(void) {
    static const char *const texts[] = {"sep=;\na,x;b\n1;y,z\n2;,\n",
                                        "sep=;\r\na,x;b\r\n1;y,z\r\n2;,\r\n",
                                        "\xef\xbb\xbfSEP=;\na,x;b\n1;y,z\n2;,\n",
                                        "\"sep=;\"\na,x;b\n1;y,z\n2;,\n",
                                        "sep=|\na,x|b\n1|y,z\n2|,\n",
                                        "sep=\t\ra,x\tb\r1\ty,z\r2\t,\r"};
    prun_table t;
    size_t i;
    for (i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (!CHECK_STATUS(read_text(texts[i], &t), PRUN_OK)) continue;
        CHECK(t.rows == 2 && t.columns == 2 && strcmp(t.names[0], "a,x") == 0);
        CHECK(t.lines[0] == 3 && t.lines[1] == 4 && strcmp(t.cells[1], "y,z") == 0);
        CHECK(t.values[1] == 2 && strcmp(t.cells[3], ",") == 0);
        prun_table_free(&t);
    }
    CHECK_STATUS(read_text("sep=;\na;b\n1;2\n3\n", &t), PRUN_ERR_FORMAT);
    CHECK(strstr(prun_message(&test_context), "line 4, column 2: 1 fields") != NULL);
    CHECK_STATUS(read_text("sep=x\na;b\n1;2\n", &t), PRUN_ERR_FORMAT);
    CHECK(strstr(prun_message(&test_context), "line 1, column 1: the separator") != NULL);
    CHECK_STATUS(read_text("sep=;", &t), PRUN_ERR_FORMAT);
    CHECK(strstr(prun_message(&test_context), "empty") != NULL);
    if (CHECK_STATUS(read_text("sep=x1,b\n1,2\n", &t), PRUN_OK)) { /* a name */
        CHECK(t.rows == 1 && strcmp(t.names[0], "sep=x1") == 0);
        prun_table_free(&t);
    }
}

/* A text that grows. */
typedef struct long_text {
    char *data;
    size_t size, room;
} long_text;

static void text_add(long_text *text, const char *format, ...) {
    char piece[200];
    va_list arguments;
    size_t length;
    va_start(arguments, format);
    length = (size_t)vsnprintf(piece, sizeof piece, format, arguments);
    va_end(arguments);
    if (text->size + length >= text->room) {
        text->room = 2 * (text->size + length + 1);
        text->data = (char *)realloc(text->data, text->room);
        if (text->data == NULL) abort();
    }
    memcpy(text->data + text->size, piece, length + 1);
    text->size += length;
}

static void text_free(long_text *text) {
    free(text->data);
    memset(text, 0, sizeof *text);
}

/* The message for a missing column lists the existing ones, whatever their names. */
static void csv_names_its_columns(void) {
    long_text text = {NULL, 0, 0};
    prun_table t;
    const double *v;
    int i;
    if (CHECK_STATUS(read_text("width,,gap\n1,2,3\n", &t), PRUN_OK)) {
        CHECK_STATUS(prun_table_numbers(&test_context, &t, "Gap", &v), PRUN_ERR_MISSING);
        CHECK(strstr(prun_message(&test_context),
                     "test_csv.csv: no column named Gap; columns: width, gap") != NULL);
        prun_table_free(&t);
    }
    for (i = 0; i < 200; i++) {
        text_add(&text, "%sa_rather_long_name_%d", i > 0 ? "," : "", i);
    }
    text_add(&text, "\n");
    if (CHECK_STATUS(read_text(text.data, &t), PRUN_OK)) {
        CHECK_STATUS(prun_table_settings(&test_context, &t, "b", &v), PRUN_ERR_MISSING);
        CHECK(strstr(prun_message(&test_context), "columns: a_rather_long_name_0, ") != NULL);
        CHECK(strlen(prun_message(&test_context)) <= sizeof test_context.message - 1);
        CHECK(strcmp(strrchr(prun_message(&test_context), ','), ", ...") == 0);
        prun_table_free(&t);
    }
    text_free(&text);
    if (CHECK_STATUS(read_text("\n\"\"\n1\n", &t), PRUN_OK)) {
        CHECK_STATUS(prun_table_numbers(&test_context, &t, "a", &v), PRUN_ERR_MISSING);
        CHECK(strstr(prun_message(&test_context), "columns: none") != NULL);
        prun_table_free(&t);
    }
}

/* Names and cells in messages cannot send control sequences to a terminal. */
static void csv_messages_are_escaped(void) {
    static const char text[] = "a\x1b[31m\xc2\x9b"
                               "b\x7f\xc3\xa4\xff,c\n"
                               "1,2\n\"x\n\x07\",3\n";
    static const char want[] = "line 3, column 1 (a\\x1b[31m\\u009bb\\x7f\xc3\xa4\\xff): "
                               "\"x\\n\\x07\" is not";
    prun_table t;
    const double *v;
    if (!CHECK_STATUS(read_text(text, &t), PRUN_OK)) return;
    CHECK_STATUS(prun_table_numbers(&test_context, &t, t.names[0], &v), PRUN_ERR_FORMAT);
    CHECK(strstr(prun_message(&test_context), want) != NULL);
    prun_table_free(&t);
    CHECK_STATUS(prun_table_load_csv(&test_context, "build/no\x1b[2J", &t), PRUN_ERR_OPEN);
    CHECK(strstr(prun_message(&test_context), "build/no\\x1b[2J: ") != NULL);
}

typedef struct bad_csv {
    const char *text, *message;
} bad_csv;

/* Tables that the reader rejects. Bad cells are only rejected where they are used. */
static void csv_malformed(void) {
    static const bad_csv cases[] = {
        {"", "line 1, column 1: the table is empty"},
        {"\n\n  \n", "line 1, column 1: the table is empty"},
        {"a,b\n1,2\n3\n", "line 3, column 2: 1 fields, the header has 2"},
        {"a,b\n1,2,3\n", "line 2, column 3: 3 fields, the header has 2"},
        {"a,b\n0,5,1\n", "decimal comma"},
        {"a,b\n\"1,2\n3,4\n", "line 2, column 1: unterminated quote"},
        {"a,b\n1,\"2\"3\n", "line 2, column 2: text after a closing quote"},
        {"a,b,a\n1,2,3\n", "line 1, column 3: the name a is already used by column 1"},
    };
    static const bad_csv others[] = {
        {"\xff\xfe"
         "a,b\n",
         "UTF-16"},
        {"\x1f\x8b\x08", "compressed by gzip, not a CSV table"},
        {"PK\x03\x04....", "zip archive"},
        {"<!DOCTYPE html>\n<html>", "HTML"},
        {"{\"width\": [1, 2]}", "JSON"},
    };
    prun_table t;
    size_t i;
    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK_STATUS(read_text(cases[i].text, &t), PRUN_ERR_FORMAT);
        CHECK(t.values == NULL && t.storage[0] == NULL);
        if (!CHECK(strstr(prun_message(&test_context), cases[i].message) != NULL)) {
            printf("    %s\n", prun_message(&test_context));
        }
    }
    for (i = 0; i < sizeof others / sizeof *others; i++) {
        CHECK_STATUS(read_text(others[i].text, &t), PRUN_ERR_MAGIC);
        CHECK(strstr(prun_message(&test_context), others[i].message) != NULL);
    }
    CHECK_STATUS(prun_table_load_csv(&test_context, "build", &t), PRUN_ERR_READ);
#if defined(__unix__) || defined(__APPLE__) || defined(_WIN32) /* plain C cannot tell */
    CHECK(strstr(prun_message(&test_context), "build: is a folder") != NULL);
#endif
    CHECK_STATUS(prun_table_load_csv(&test_context, NULL, &t), PRUN_ERR_ARGUMENT);
    CHECK(write_file(csv_path, "a,b\n1,\0\n", 9));
    CHECK_STATUS(prun_table_load_csv(&test_context, csv_path, &t), PRUN_ERR_FORMAT);
    CHECK(strstr(prun_message(&test_context), "line 2, column 2: zero byte") != NULL);
    CHECK(write_file(csv_path, "a,b\n1,\"\0\"\n", 11));
    CHECK_STATUS(prun_table_load_csv(&test_context, csv_path, &t), PRUN_ERR_FORMAT);
    CHECK_STATUS(prun_table_load_csv(&test_context, "build/no such file", &t), PRUN_ERR_OPEN);
}

/* A file truncated at any byte, and with any byte replaced by a special one. */
static void csv_damaged(void) {
    static const char good[] = "a,\"b \"\"c\",d\r\n1,\"x,\ny\",3\n4,z,\n";
    static const char special[] = {'"', ',', '\n', '\r', ' ', '\0', ';', '\xff'};
    char text[sizeof good];
    prun_table t;
    size_t i, k;
    for (i = 0; i < sizeof good; i++) {
        memcpy(text, good, sizeof good);
        if (!write_file(csv_path, text, i)) return;
        if (prun_table_load_csv(&test_context, csv_path, &t) == PRUN_OK) prun_table_free(&t);
        for (k = 0; i < sizeof good - 1 && k < sizeof special; k++) {
            text[i] = special[k];
            if (!write_file(csv_path, text, sizeof good - 1)) return;
            if (prun_table_load_csv(&test_context, csv_path, &t) == PRUN_OK) prun_table_free(&t);
        }
    }
    CHECK(i == sizeof good);
}

static void csv_large(void) {
    enum { ROWS = 60000 };
    long_text text = {NULL, 0, 0};
    prun_table t;
    const double *v = NULL;
    int64_t i;
    text_add(&text, "a,b,c,kind\n");
    for (i = 0; i < ROWS; i++) {
        text_add(&text, "%ld,%.17g,%g,k%ld\n", (long)i, uniform(70, i), 1e9 * uniform(71, i),
                 (long)(i % 7));
    }
    for (i = 0; i < 100000; i++) { /* and a very long line */
        text_add(&text, "%s", i == 0 ? "1,2,3,\"" : "0123456789");
    }
    text_add(&text, "\"\n");
    if (CHECK_STATUS(read_text(text.data, &t), PRUN_OK)) {
        CHECK(t.rows == ROWS + 1);
        CHECK_STATUS(prun_table_numbers(&test_context, &t, "b", &v), PRUN_OK);
        for (i = 0; i < ROWS && v[i] == uniform(70, i); i++) {
        }
        CHECK(i == ROWS);
        CHECK_STATUS(prun_table_settings(&test_context, &t, "kind", &v), PRUN_OK);
        CHECK(v[13] == 6 && v[14] == 0 && v[ROWS] == ROWS);
        prun_table_free(&t);
    }
    text_free(&text);
}

/* ---- pipes ---- */

/* A table from a pipe, longer than the buffer of the pipe. */
static void csv_from_a_pipe(void) {
#ifdef HAVE_FORK
    static const char path[] = "build/test_evaluate.pipe";
    prun_table t;
    pid_t child;
    int status = 0, i;
    remove(path);
    if (!CHECK(mkfifo(path, 0600) == 0)) return;
    fflush(stdout);
    child = fork();
    if (child == 0) {
        FILE *file = fopen(path, "wb");
        for (i = 0; file != NULL && i < 100000; i++) {
            fprintf(file, i > 0 ? "%d,%d\n" : "a,b\n", i, 2 * i);
        }
        _exit(file == NULL || fclose(file) != 0);
    }
    if (CHECK_STATUS(prun_table_load_csv(&test_context, path, &t), PRUN_OK)) {
        CHECK(t.rows == 99999 && t.values[99998] == 99999 && t.values[2 * 99999 - 1] == 199998);
        CHECK(strcmp(t.source, path) == 0);
        prun_table_free(&t);
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    child = fork();
    if (child == 0) {
        FILE *file = fopen(path, "wb");
        _exit(file == NULL || fputs("\x1f\x8b\x08 packed", file) < 0 || fclose(file) != 0);
    }
    CHECK_STATUS(prun_table_load_csv(&test_context, path, &t), PRUN_ERR_MAGIC);
    CHECK(strstr(prun_message(&test_context), "gzip") != NULL);
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    remove(path);
#else
    SKIP("needs pipes");
#endif
}

static const test_case cases[] = {
    TEST_CASE(csv_plain),
    TEST_CASE(csv_dialects),
    TEST_CASE(csv_missing_values),
    TEST_CASE(csv_names_its_separator),
    TEST_CASE(csv_names_its_columns),
    TEST_CASE(csv_messages_are_escaped),
    TEST_CASE(csv_malformed),
    TEST_CASE(csv_damaged),
    TEST_CASE(csv_large),
    TEST_CASE(csv_from_a_pipe),
};

int main(int argc, char **argv) { return TEST_MAIN("test_csv", cases, argc, argv); }
