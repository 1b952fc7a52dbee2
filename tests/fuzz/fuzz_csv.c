/* CSV tables of models. */
#include "fuzz.h"

static size_t fuzz_seed(int number, unsigned char *out) {
    static const char *const seeds[] = {
        "width,dropout,gap\n8,0.1,0.05\n16,0.2,-1e-3\n",
        "\xef\xbb\xbfname;\"a \"\"b\"\"\";x\r\n net ;1;NA\r\n\"two\nlines\"; .5 ;\r\n",
        "a\tb\t\t\r1\tNaN\t2\t\r\r\n3\tnull\t4\tNone\r",
        "only\n\n1\n \ntext\n1\n",
        "x,y,x2\n1,inf,0x10\n-0,+1.5e300,1e999\n,\"\",\" \"\n",
        "sep=;\na;b\n1.#INF;-nan(ind)\n-1.#IND;#N/A\nInfinity;?\nn/a;none\n",
        "\"sep=|\"\r\na|b,c\r\nabc|1.5\r\n2|-Inf\r\n",
        "header,without,rows"};
    if (number >= (int)(sizeof seeds / sizeof seeds[0])) return 0;
    memcpy(out, seeds[number], strlen(seeds[number]));
    return strlen(seeds[number]);
}

/* Checks that cells and values agree. whole: no rows were removed; removing rows may leave a text
   column without texts. */
static void check_column(const prun_table *t, int64_t column, int whole) {
    const double *v = t->values + column * t->rows;
    int64_t i, numbers = 0, texts = 0, last = 0;
    for (i = 0; i < t->rows; i++) {
        const char *cell = t->cells[i * t->columns + column];
        char *end;
        if (v[i] != v[i]) continue; /* missing */
        FUZZ_CHECK(cell[0] != '\0');
        if (t->text[column] == PRUN_COLUMN_NUMBERS) {
            if (strchr(cell, '#') != NULL) FUZZ_CHECK(v[i] > 1e308 || v[i] < -1e308); /* 1.#INF */
            else FUZZ_CHECK(strtod(cell, &end) == v[i] && *end == '\0');
            numbers++;
        } else {
            const char *other = t->cells[(whole ? (int64_t)v[i] : last) * t->columns + column];
            if (whole) FUZZ_CHECK(v[i] >= 0 && v[i] <= (double)i);
            FUZZ_CHECK((strcmp(other, cell) == 0) == (whole || v[last] == v[i]));
            texts++;
            last = i;
        }
    }
    FUZZ_CHECK(t->text[column] == PRUN_COLUMN_NUMBERS || texts > 0 || !whole);
    FUZZ_CHECK(numbers == 0 || texts == 0);
}

static void check_table(const prun_table *t, int whole) {
    int64_t i, length = 0;
    FUZZ_CHECK(t->rows >= 0 && t->columns >= 1);
    for (i = 0; i < t->rows; i++)
        FUZZ_CHECK(t->lines[i] > (i ? t->lines[i - 1] : 1)); /* the header has the first */
    for (i = 0; i < t->columns; i++) {
        const double *values;
        const int64_t found = prun_table_find(t, t->names[i]);
        length += (int64_t)strlen(t->names[i]);
        FUZZ_CHECK(found == i || (t->names[i][0] == '\0' && found < i));
        check_column(t, i, whole);
        if (fuzz_succeeded(prun_table_numbers(&fuzz_context, t, t->names[i], &values)))
            FUZZ_CHECK(values == t->values + found * t->rows);
        if (fuzz_succeeded(prun_table_settings(&fuzz_context, t, t->names[i], &values)))
            FUZZ_CHECK(values == t->values + found * t->rows);
    }
    FUZZ_CHECK((size_t)length <= fuzz_size);
}

static void fuzz_one(const unsigned char *data, size_t size) {
    const char *path = fuzz_file(0, data, size);
    uint8_t *keep;
    prun_table t;
    int64_t i, rows, kept = 0;
    if (!fuzz_succeeded(prun_table_load_csv(&fuzz_context, path, &t))) return;
    check_table(&t, 1);
    rows = t.rows;
    keep = (uint8_t *)malloc((size_t)rows + 1);
    if (keep == NULL) exit(2);
    for (i = 0; i < rows; i++) kept += keep[i] = (uint8_t)(size >> i % 8 & 1);
    prun_table_keep_rows(&t, keep);
    FUZZ_CHECK(t.rows == kept);
    check_table(&t, 0);
    free(keep);
    prun_table_free(&t);
}

FUZZ_TARGET("fuzz_csv")
