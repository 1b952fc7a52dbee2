/* table.h - tables as text, Markdown and CSV, and the table of measures */
#ifndef TABLE_H_INCLUDED
#define TABLE_H_INCLUDED

#include "files.h"

/* ---- tables -------------------------------------------------------------------------------- */

/* Cells row by row, the header row first. Columns that hold a number are aligned right. */
typedef struct ex_table {
    size_t columns, count, capacity;
    char **cells;
} ex_table;

EX_PRINTF(2, 3) static inline void ex_table_cell(ex_table *table, const char *format, ...) {
    ex_text text = {NULL, 0, 0};
    va_list arguments;

    va_start(arguments, format);
    ex_text_addv(&text, format, arguments);
    va_end(arguments);
    table->cells =
        (char **)ex_grow(table->cells, &table->capacity, table->count + 1, sizeof *table->cells);
    table->cells[table->count++] = text.data;
}

/* A header row from "a|b|c", which also sets the number of columns. */
static inline void ex_table_header(ex_table *table, const char *names) {
    for (;;) {
        int length = (int)strcspn(names, "|");

        ex_table_cell(table, "%.*s", length, names);
        if (names[length] == '\0') break;
        names += length + 1;
    }
    table->columns = table->count;
}

static inline int ex__is_number(const char *text) {
    char *end;

    strtod(text, &end);
    return end != text && *end == '\0';
}

/* Number of characters of a text in UTF-8. */
static inline int ex__characters(const char *text) {
    int n = 0;

    for (; *text != '\0'; text++) n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static inline void ex__table_column(const ex_table *table, size_t column, int *width, int *right) {
    size_t i;

    *width = 0;
    *right = 0;
    for (i = column; i < table->count; i += table->columns) {
        const int length = ex__characters(table->cells[i]);

        *width = length > *width ? length : *width;
        *right |= i >= table->columns && ex__is_number(table->cells[i]);
    }
}

/* True if all cells of a column below its header are empty. */
static inline int ex__column_is_empty(const ex_table *table, size_t column) {
    size_t i;

    for (i = column + table->columns; i < table->count; i += table->columns)
        if (table->cells[i][0] != '\0') return 0;
    return table->count > table->columns;
}

/* Prints the row whose first cell is number `row`. Empty columns and trailing blanks are left
   out. */
static inline void ex__table_print_row(const ex_table *table, size_t row, FILE *file) {
    ex_text line = {NULL, 0, 0};
    size_t column;

    for (column = 0; column < table->columns; column++) {
        const char *cell = table->cells[row + column];
        int width, right;

        if (ex__column_is_empty(table, column)) continue;
        ex__table_column(table, column, &width, &right);
        width += (int)strlen(cell) - ex__characters(cell); /* printf counts bytes */
        ex_text_add(&line, right ? "%*s  " : "%-*s  ", width, cell);
    }
    while (line.length > 0 && line.data[line.length - 1] == ' ') line.data[--line.length] = '\0';
    fprintf(file, "%s\n", line.data);
    ex_text_free(&line);
}

/* Prints a table; control characters in its cells are escaped. */
static inline void ex_table_print(ex_table *table, FILE *file) {
    size_t i;

    for (i = 0; i < table->count; i++) {
        ex_text shown = {NULL, 0, 0};

        ex_text_add(&shown, "%s", "");
        ex_text_shown(&shown, table->cells[i]);
        free(table->cells[i]);
        table->cells[i] = shown.data;
    }
    for (i = 0; i < table->count; i += table->columns) ex__table_print_row(table, i, file);
}

static inline void ex_table_free(ex_table *table) {
    size_t i;

    for (i = 0; i < table->count; i++) free(table->cells[i]);
    free(table->cells);
    memset(table, 0, sizeof *table);
}

/* Writes a table in Markdown. */
static inline void ex_table_markdown(const ex_table *table, FILE *file) {
    size_t i, k;

    for (i = 0; i < table->count; i++) {
        const char *cell = table->cells[i];

        fputs(i % table->columns == 0 ? "| " : " ", file);
        for (cell = ex_shown(cell); *cell != '\0'; cell++)
            fprintf(file, *cell == '|' ? "\\%c" : "%c", *cell);
        fputs(" |", file);
        if ((i + 1) % table->columns != 0) continue;
        fputs("\n", file);
        if (i + 1 == table->columns) {
            for (k = 0; k < table->columns; k++) {
                int width, right;

                ex__table_column(table, k, &width, &right);
                fputs(right ? "| ---: " : "| --- ", file);
            }
            fputs("|\n", file);
        }
    }
    fputs("\n", file);
}

/* Adds a cell with a number; "-" if it is undefined. */
static inline void ex_table_number(ex_table *table, const char *format, double value) {
    if (isnan(value)) ex_table_cell(table, "-");
    else ex_table_cell(table, format, value);
}

/* The same, where infinite values are as undefined as NaN. */
static inline void ex_table_finite(ex_table *table, const char *format, double value) {
    ex_table_number(table, format, isfinite(value) ? value : (double)NAN);
}

/* ---- CSV ----------------------------------------------------------------------------------- */

/* A new file is written whole or not at all. When appending, each row is written in one piece, so
   that whole rows remain if the program is killed or the disk is full. An error is kept until
   ex_csv_close reports it, and nothing is written after it. */
typedef struct ex_csv {
    FILE *file; /* NULL: not open */
    const char *path;
    ex_text line;
    int cells, append;
    int failed; /* 0, or an error number */
} ex_csv;

static inline int ex_csv_open(ex_csv *csv, const char *path, int append) {
    memset(csv, 0, sizeof *csv);
    csv->path = path;
    csv->append = append;
    csv->file = append ? ex_fopen(path, "ab") : ex_open(path);
    if (csv->file != NULL) return 0;
    if (append) ex_error("%s: %s", path, strerror(errno));
    return EX_FAILED;
}

static inline void ex_csv_text(ex_csv *csv, const char *cell) {
    int quoted = strpbrk(cell, ",\"\r\n") != NULL;

    ex_text_add(&csv->line, "%s%s", csv->cells++ > 0 ? "," : "", quoted ? "\"" : "");
    for (; *cell != '\0'; cell++)
        ex_text_add(&csv->line, quoted && *cell == '"' ? "\"%c" : "%c", *cell);
    if (quoted) ex_text_add(&csv->line, "\"");
}

/* Writes the fewest of 15, 16 or 17 digits that read back as the same double. NaN is an empty cell,
   which pandas reads as missing. */
static inline void ex_csv_number(ex_csv *csv, double value) {
    char text[40] = "";
    int digits;

    for (digits = 15; digits <= 17 && value == value; digits++) {
        double back;

        snprintf(text, sizeof text, "%.*g", digits, value);
        back = strtod(text, NULL);
        if (!(back < value || back > value)) break;
    }
    ex_csv_text(csv, text);
}

/* Appends a row with a single write. If the disk fills up, the partial row is cut off again. */
static inline void ex__csv_append(ex_csv *csv) {
#ifdef EX_POSIX
    const int fd = fileno(csv->file);
    const off_t before = lseek(fd, 0, SEEK_END);
    ssize_t written;

    errno = 0;
    written = write(fd, csv->line.data, csv->line.length);
    if (written == (ssize_t)csv->line.length) return;
    csv->failed = written < 0 && errno != 0 ? errno : ENOSPC;
    if (written > 0 && before >= 0 && ftruncate(fd, before) != 0)
        csv->failed = errno; /* the next run skips the partial row */
#else
    if (fwrite(csv->line.data, 1, csv->line.length, csv->file) != csv->line.length ||
        fflush(csv->file) != 0)
        csv->failed = errno != 0 ? errno : EIO;
#endif
}

static inline void ex_csv_end_line(ex_csv *csv) {
    ex_text_add(&csv->line, "\n");
    if (csv->append && csv->failed == 0) ex__csv_append(csv);
    else if (!csv->append) fwrite(csv->line.data, 1, csv->line.length, csv->file);
    csv->line.length = 0;
    csv->cells = 0;
}

/* Column names "a,b,c" as they stand, without quoting. */
static inline void ex_csv_names(ex_csv *csv, const char *names) {
    ex_text_add(&csv->line, "%s%s", csv->cells++ > 0 ? "," : "", names);
}

static inline int ex_csv_close(ex_csv *csv) {
    int status = 0;

    ex_text_free(&csv->line);
    if (csv->append && csv->file != NULL) {
        if (fclose(csv->file) != 0 && csv->failed == 0) csv->failed = errno;
        if (csv->failed != 0) ex_error("%s: %s", csv->path, strerror(csv->failed));
        status = csv->failed != 0 ? EX_FAILED : 0;
    } else if (csv->file != NULL) {
        status = ex_close(csv->file, csv->path);
    }
    csv->file = NULL;
    return status;
}

/* Whether another column has the same name. */
static inline int ex__name_repeats(const ex_table *table, size_t column) {
    size_t k;

    for (k = 0; k < table->columns; k++)
        if (k != column && strcmp(table->cells[k], table->cells[column]) == 0) return 1;
    return 0;
}

/* Writes a table as a CSV file, in which column names are unique: one that repeats, such as "±" or
   "p", follows the name of the column that it belongs to. A cell without a value is empty. Returns
   the exit status. */
static inline int ex_table_csv(const ex_table *table, const char *path) {
    ex_text name = {NULL, 0, 0};
    ex_csv csv;
    size_t i, owner = 0;
    int status = ex_csv_open(&csv, path, 0);

    if (status != 0) return status;
    for (i = 0; i < table->count; i++) {
        const char *cell = table->cells[i];

        if (i < table->columns && ex__name_repeats(table, i)) {
            name.length = 0;
            ex_text_add(&name, "%s %s", table->cells[owner], cell);
            cell = name.data;
        } else if (i < table->columns) {
            owner = i;
        }
        ex_csv_text(&csv, i >= table->columns && strcmp(cell, "-") == 0 ? "" : cell);
        if ((i + 1) % table->columns == 0) ex_csv_end_line(&csv);
    }
    ex_text_free(&name);
    return ex_csv_close(&csv);
}

/* ---- measures ------------------------------------------------------------------------------ */

/* Seconds in a readable unit; empty if they round to 0. text: at least 32 bytes. */
static inline const char *ex__measure_time(double seconds, char *text) {
    if (seconds < 0.0005) snprintf(text, 32, "%s", "");
    else if (seconds < 1) snprintf(text, 32, "%.0f ms", 1000 * seconds);
    else snprintf(text, 32, seconds < 10 ? "%.1f s" : "%.0f s", seconds);
    return text;
}

/* end: suffix of the name. */
static inline void ex__measure_row(ex_table *table, const prun_measure_info *info, const char *end,
                                   const prun_measure_result *r) {
    char text[32];

    ex_table_cell(table, "  %s%s", info->name, end);
    if (r->status == PRUN_OK) ex_table_cell(table, "%.7g", r->value);
    else ex_table_cell(table, "undefined");
    if (r->standard_error == r->standard_error) ex_table_cell(table, "%.2g", r->standard_error);
    else ex_table_cell(table, "%s", "");
    ex_table_cell(table, "%s", info->direction > 0 ? "+" : info->direction < 0 ? "-" : "?");
    ex_table_cell(table, "%s", ex__measure_time(r->seconds, text));
    ex_table_cell(table, "%s", r->message);
    ex_table_cell(table, "%s", info->source);
}

/* Results of the measures with a non-zero byte in `wanted`, or of all if it is NULL. folded:
   results for the net with folded norms, or NULL. */
typedef struct ex_measures {
    const prun_measure_info *info;
    int64_t count;
    const unsigned char *wanted;
    const prun_measure_result *plain, *folded;
} ex_measures;

/* The rows of a family, below its name. */
static inline void ex__measure_family(ex_table *table, const ex_measures *m, const char *family) {
    int64_t i, rows = 0;
    size_t k;

    for (i = 0; i < m->count; i++) {
        if ((m->wanted && !m->wanted[i]) || strcmp(m->info[i].family, family) != 0) continue;
        for (k = 0; rows == 0 && k < table->columns; k++)
            ex_table_cell(table, "%s", k == 0 ? family : "");
        rows++;
        ex__measure_row(table, &m->info[i], "", &m->plain[i]);
        if (m->folded && m->info[i].traits & PRUN_TRAIT_FOLDABLE)
            ex__measure_row(table, &m->info[i], "_folded", &m->folded[i]);
    }
}

/* Prints the measures by family, in the order in which the families first occur. */
static inline void ex_measures_print(const ex_measures *m) {
    ex_table table = {0, 0, 0, NULL};
    int64_t i, k;

    ex_table_header(&table, "measure|value|std. error|dir.|time|note|source");
    for (i = 0; i < m->count; i++) {
        for (k = 0; k < i && strcmp(m->info[k].family, m->info[i].family) != 0;) k++;
        if (k == i) ex__measure_family(&table, m, m->info[i].family);
    }
    ex_table_print(&table, stdout);
    ex_table_free(&table);
    printf("\ndir.: + larger values should mean a larger generalization gap, - a smaller one, ? no "
           "claim.\nA measure that reuses the result of another one shows no time of its own.\n");
}

#endif /* TABLE_H_INCLUDED */
