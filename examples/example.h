/* example.h - what the example programs share: options, progress, tables, CSV, time, data

   Static functions in one file, so that every program still compiles on its own. Not part of the
   library: here a failure may print a message and end the program, which the library never does.
   Exit status: 0 success, 1 something failed, 2 the command line is wrong.
*/
#ifndef EXAMPLE_H_INCLUDED
#define EXAMPLE_H_INCLUDED

/* Under -std=c99 the system headers hide the monotonic clock unless asked for it. */
#if defined(__STRICT_ANSI__) && !defined(_POSIX_C_SOURCE) && !defined(_WIN32)
#define _POSIX_C_SOURCE 200809L
#endif

#include "../prunability.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if defined(__unix__) || defined(__APPLE__)
#include <unistd.h>
#define EX_HAVE_ISATTY 1
#endif

#ifdef _OPENMP
#include <omp.h>
#endif

#ifdef __GNUC__
#define EX_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define EX_PRINTF(text, first)
#endif

#define EX_FAILED 1
#define EX_USAGE 2

/* ---- failure, memory, growing text, time --------------------------------------------------- */

/* Prints why the last library call failed; returns the exit status, so that it can be returned. */
static inline int ex_failure(const prun_context *context, const char *what)
{
    const char *message = prun_message(context);

    if (*message == '\0')
        message = prun_status_string(context != NULL ? context->status : PRUN_ERR_ARGUMENT);
    fprintf(stderr, "error: %s: %s\n", what, message);
    return EX_FAILED;
}

/* Zeroed memory; ends the program when there is none. */
static inline void *ex_allocate(size_t count, size_t size)
{
    void *memory = calloc(count > 0 ? count : 1, size);

    if (memory == NULL) {
        fprintf(stderr, "error: out of memory\n");
        exit(EX_FAILED);
    }
    return memory;
}

/* Grows an array to hold `count` elements, doubling so that appending stays cheap. */
static inline void *ex_grow(void *array, size_t *capacity, size_t count, size_t size)
{
    size_t wanted = *capacity > 0 ? *capacity : 16;

    if (count <= *capacity)
        return array;
    while (wanted < count)
        wanted *= 2;
    array = realloc(array, wanted * size);
    if (array == NULL) {
        fprintf(stderr, "error: out of memory\n");
        exit(EX_FAILED);
    }
    *capacity = wanted;
    return array;
}

typedef struct ex_text {
    char *data; /* always ends in '\0' once something was added */
    size_t length, capacity;
} ex_text;

static inline void ex_text_addv(ex_text *text, const char *format, va_list arguments)
{
    va_list again;
    int needed;

    va_copy(again, arguments);
    needed = vsnprintf(NULL, 0, format, again);
    va_end(again);
    needed = needed < 0 ? 0 : needed;
    text->data = (char *)ex_grow(text->data, &text->capacity,
                                 text->length + (size_t)needed + 1, 1);
    vsnprintf(text->data + text->length, (size_t)needed + 1, format, arguments);
    text->length += (size_t)needed;
}

EX_PRINTF(2, 3) static inline void ex_text_add(ex_text *text, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    ex_text_addv(text, format, arguments);
    va_end(arguments);
}

static inline void ex_text_free(ex_text *text)
{
    free(text->data);
    memset(text, 0, sizeof *text);
}

/* Seconds from an arbitrary start that nobody sets back. */
static inline double ex_seconds(void)
{
#if defined(CLOCK_MONOTONIC)
    struct timespec now;

    if (clock_gettime(CLOCK_MONOTONIC, &now) == 0)
        return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
#endif
#ifdef _OPENMP
    return omp_get_wtime();
#else
    return (double)clock() / (double)CLOCKS_PER_SEC;
#endif
}

/* ---- options ------------------------------------------------------------------------------- */

#define EX_MAX_LIST 256

typedef enum ex_kind {
    EX_FLAG,      /* int: 1 when given */
    EX_INT,       /* int64_t */
    EX_REAL,      /* double */
    EX_TEXT,      /* const char * */
    EX_CHOICE,    /* ex_choice */
    EX_INT_LIST,  /* ex_ints: 8,16,24 without repetition */
    EX_REAL_LIST  /* ex_reals */
} ex_kind;

typedef struct ex_choice {
    int value;         /* position in names */
    const char *names; /* "demo|full" */
} ex_choice;

typedef struct ex_ints {
    int64_t value[EX_MAX_LIST];
    int count;
} ex_ints;

typedef struct ex_reals {
    double value[EX_MAX_LIST];
    int count;
} ex_reals;

typedef struct ex_option {
    const char *name; /* without the dashes */
    ex_kind kind;
    void *value;
    const char *initial; /* default, as a user would write it; NULL: leave *value alone */
    double low, high;    /* allowed numbers, both ends included */
    const char *help;
} ex_option;

typedef struct ex_program {
    const char *name, *operands, *about; /* operands: "" or like "FILE..." */
    const ex_option *options;
    size_t count;
    int min_operands, max_operands;
} ex_program;

static inline int ex__bad_value(const ex_option *option, const char *text, const char *why)
{
    fprintf(stderr, "error: --%s %s: %s\n", option->name, text, why);
    return EX_USAGE;
}

static inline int ex__out_of_range(const ex_option *option, const char *text)
{
    fprintf(stderr, "error: --%s %s: must be from %.10g to %.10g\n", option->name, text,
            option->low, option->high);
    return EX_USAGE;
}

/* The strto family skips blanks and knows hexadecimal, "inf" and "nan": none of it is wanted. */
static inline int ex__starts_number(const char *text)
{
    if (*text == '-')
        text++;
    return strpbrk(text, "xX") == NULL && *text != '\0' && strchr("0123456789.", *text) != NULL;
}

static inline int ex__int(const ex_option *option, const char *text, int64_t *value)
{
    char *end;
    long long number;

    if (!ex__starts_number(text))
        return ex__bad_value(option, text, "not a whole number");
    errno = 0;
    number = strtoll(text, &end, 10);
    if (*end != '\0' || end == text)
        return ex__bad_value(option, text, "not a whole number");
    if (errno != 0 || (double)number < option->low || (double)number > option->high)
        return ex__out_of_range(option, text);
    *value = (int64_t)number;
    return 0;
}

static inline int ex__real(const ex_option *option, const char *text, double *value)
{
    char *end;
    double number;

    if (!ex__starts_number(text))
        return ex__bad_value(option, text, "not a number");
    number = strtod(text, &end);
    if (*end != '\0' || end == text)
        return ex__bad_value(option, text, "not a number");
    if (!(number >= option->low && number <= option->high))
        return ex__out_of_range(option, text);
    *value = number;
    return 0;
}

static inline int ex__int_element(const ex_option *option, const char *text)
{
    ex_ints *list = (ex_ints *)option->value;
    int64_t number = 0;
    int i, status = ex__int(option, text, &number);

    for (i = 0; status == 0 && i < list->count; i++)
        if (list->value[i] == number)
            return ex__bad_value(option, text, "given twice");
    if (status == 0)
        list->value[list->count++] = number;
    return status;
}

static inline int ex__real_element(const ex_option *option, const char *text)
{
    ex_reals *list = (ex_reals *)option->value;
    double number = 0;
    int i, status = ex__real(option, text, &number);

    for (i = 0; status == 0 && i < list->count; i++)
        if (!(list->value[i] < number || list->value[i] > number))
            return ex__bad_value(option, text, "given twice");
    if (status == 0)
        list->value[list->count++] = number;
    return status;
}

static inline int ex__list(const ex_option *option, const char *text)
{
    int *count = option->kind == EX_INT_LIST ? &((ex_ints *)option->value)->count
                                             : &((ex_reals *)option->value)->count;
    const char *all = text;
    char element[64];
    int status = 0;

    *count = 0;
    for (;;) {
        size_t length = strcspn(text, ",");

        if (length == 0 || length >= sizeof element)
            return ex__bad_value(option, all, "not a list of numbers such as 1,2,3");
        if (*count == EX_MAX_LIST)
            return ex__bad_value(option, all, "too many values");
        memcpy(element, text, length);
        element[length] = '\0';
        status = option->kind == EX_INT_LIST ? ex__int_element(option, element)
                                             : ex__real_element(option, element);
        if (status != 0 || text[length] == '\0')
            return status;
        text += length + 1;
    }
}

static inline int ex__choice(const ex_option *option, const char *text)
{
    ex_choice *choice = (ex_choice *)option->value;
    const char *name = choice->names;
    size_t wanted = strlen(text);
    int i;

    for (i = 0; name != NULL; i++) {
        size_t length = strcspn(name, "|");

        if (length == wanted && memcmp(name, text, length) == 0) {
            choice->value = i;
            return 0;
        }
        name = name[length] == '|' ? name + length + 1 : NULL;
    }
    fprintf(stderr, "error: --%s %s: must be one of %s\n", option->name, text, choice->names);
    return EX_USAGE;
}

static inline int ex__set(const ex_option *option, const char *text)
{
    switch (option->kind) {
    case EX_FLAG: *(int *)option->value = strcmp(text, "0") != 0; return 0;
    case EX_INT: return ex__int(option, text, (int64_t *)option->value);
    case EX_REAL: return ex__real(option, text, (double *)option->value);
    case EX_TEXT: *(const char **)option->value = text; return 0;
    case EX_CHOICE: return ex__choice(option, text);
    case EX_INT_LIST:
    case EX_REAL_LIST: return ex__list(option, text);
    }
    return EX_USAGE;
}

static inline const char *ex__placeholder(const ex_option *option)
{
    switch (option->kind) {
    case EX_FLAG: return "";
    case EX_INT: return "N";
    case EX_REAL: return "X";
    case EX_TEXT: return "TEXT";
    case EX_CHOICE: return ((const ex_choice *)option->value)->names;
    case EX_INT_LIST: return "N,N,..";
    case EX_REAL_LIST: return "X,X,..";
    }
    return "";
}

static inline void ex__help(const ex_program *program)
{
    char left[64];
    size_t i;

    printf("usage: %s [options]%s%s\n\n%s\n\noptions:\n", program->name,
           *program->operands != '\0' ? " " : "", program->operands, program->about);
    for (i = 0; i < program->count; i++) {
        const ex_option *option = &program->options[i];

        snprintf(left, sizeof left, "--%s %s", option->name, ex__placeholder(option));
        printf("  %-24s %s", left, option->help);
        if (option->initial != NULL && option->kind != EX_FLAG)
            printf(" [%s]", option->initial);
        printf("\n");
    }
    printf("  %-24s %s\n", "--help", "print this text");
}

/* The option an argument such as --name or --name=value means, or NULL. */
static inline const ex_option *ex__find(const ex_program *program, const char *argument)
{
    size_t i, length = strcspn(argument + 2, "=");

    for (i = 0; i < program->count; i++) {
        const char *name = program->options[i].name;

        if (strlen(name) == length && memcmp(name, argument + 2, length) == 0)
            return &program->options[i];
    }
    return NULL;
}

/* Text given for one option, or `fallback`: for an option that decides the defaults of others, and
   so has to be known before the table is complete. The last one counts. */
static inline const char *ex_peek(int argc, char **argv, const char *name, const char *fallback)
{
    size_t length = strlen(name);
    int i;

    for (i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strncmp(argv[i], "--", 2) != 0 || strncmp(argv[i] + 2, name, length) != 0)
            continue;
        if (argv[i][2 + length] == '=')
            fallback = argv[i] + 3 + length;
        else if (argv[i][2 + length] == '\0' && i + 1 < argc)
            fallback = argv[i + 1];
    }
    return fallback;
}

/* Handles the option at argv[*at] and steps over its value. */
static inline int ex__option(const ex_program *program, int argc, char **argv, int *at)
{
    const char *argument = argv[*at], *equals = strchr(argument, '=');
    const ex_option *option = strncmp(argument, "--", 2) == 0 ? ex__find(program, argument) : NULL;

    if (option == NULL) {
        fprintf(stderr, "error: unknown option %s; try --help\n", argument);
        return EX_USAGE;
    }
    if (option->kind == EX_FLAG) {
        if (equals != NULL)
            return ex__bad_value(option, equals + 1, "takes no value");
        return ex__set(option, "1");
    }
    if (equals != NULL)
        return ex__set(option, equals + 1);
    if (*at + 1 >= argc) {
        fprintf(stderr, "error: --%s needs a value\n", option->name);
        return EX_USAGE;
    }
    return ex__set(option, argv[++*at]);
}

/* Sets all defaults, then reads the command line; operands move to argv[1] .. argv[*operands].
   Returns -1 to go on, otherwise the status to exit with. */
static inline int ex_parse(const ex_program *program, int argc, char **argv, int *operands)
{
    int i, status, found = 0, only_operands = 0;
    size_t k;

    for (k = 0; k < program->count; k++)
        if (program->options[k].initial != NULL &&
            (status = ex__set(&program->options[k], program->options[k].initial)) != 0)
            return status;
    for (i = 1; i < argc; i++) {
        if (only_operands || argv[i][0] != '-' || argv[i][1] == '\0') {
            argv[++found] = argv[i];
        } else if (strcmp(argv[i], "--") == 0) {
            only_operands = 1;
        } else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            ex__help(program);
            return 0;
        } else if ((status = ex__option(program, argc, argv, &i)) != 0) {
            return status;
        }
    }
    if (found < program->min_operands || found > program->max_operands) {
        if (found > program->max_operands)
            fprintf(stderr, "error: unexpected argument %s; try --help\n",
                    argv[program->max_operands + 1]);
        else
            fprintf(stderr, "error: %s is missing; try --help\n", program->operands);
        return EX_USAGE;
    }
    if (operands != NULL)
        *operands = found;
    return -1;
}

/* ---- progress ------------------------------------------------------------------------------ */

/* On a terminal a bar on stderr; elsewhere a plain line every ten seconds. */
typedef struct ex_progress {
    const char *label;
    double total, done; /* in any unit, best one that is proportional to time */
    double start, shown;
    int terminal, quiet;
} ex_progress;

static inline void ex_progress_start(ex_progress *progress, const char *label, double total,
                                     int quiet)
{
    memset(progress, 0, sizeof *progress);
    progress->label = label;
    progress->total = total;
    progress->quiet = quiet;
    progress->start = ex_seconds();
    progress->shown = progress->start;
#ifdef EX_HAVE_ISATTY
    progress->terminal = isatty(STDERR_FILENO);
#endif
}

/* "1:02:03" or "2:03". text: at least 32 bytes. */
static inline const char *ex__duration(double seconds, char *text)
{
    long whole = (long)(seconds < 0 ? 0 : seconds > 1e8 ? 1e8 : seconds + 0.5);

    if (whole >= 3600)
        snprintf(text, 32, "%ld:%02ld:%02ld", whole / 3600, whole / 60 % 60, whole % 60);
    else
        snprintf(text, 32, "%ld:%02ld", whole / 60, whole % 60);
    return text;
}

static inline void ex__progress_show(ex_progress *progress)
{
    static const char full[] = "##############################";
    double now = ex_seconds(), elapsed = now - progress->start;
    double part = progress->total > 0 ? progress->done / progress->total : 0;
    char spent[32], left[32];

    if (now - progress->shown < (progress->terminal ? 0.1 : 10.0))
        return;
    progress->shown = now;
    part = part > 1 ? 1 : part;
    ex__duration(elapsed, spent);
    if (part > 0)
        ex__duration(elapsed * (1 - part) / part, left);
    else
        strcpy(left, "?");
    if (progress->terminal) {
        int bars = (int)(part * (double)(sizeof full - 1));

        fprintf(stderr, "\r%s [%.*s%*s] %3d %%  %s, %s left ", progress->label, bars, full,
                (int)sizeof full - 1 - bars, "", (int)(100 * part), spent, left);
    } else {
        fprintf(stderr, "%s: %d %% after %s, about %s left\n", progress->label, (int)(100 * part),
                spent, left);
    }
    fflush(stderr);
}

/* Any thread may call it. */
static inline void ex_progress_add(ex_progress *progress, double amount)
{
    if (progress->quiet)
        return;
#ifdef _OPENMP
#pragma omp critical(ex_progress)
#endif
    {
        progress->done += amount;
        ex__progress_show(progress);
    }
}

static inline void ex_progress_end(const ex_progress *progress)
{
    char spent[32];

    if (progress->quiet)
        return;
    if (progress->terminal)
        fprintf(stderr, "\r%79s\r", "");
    fprintf(stderr, "%s: done in %s\n", progress->label,
            ex__duration(ex_seconds() - progress->start, spent));
}

/* ---- tables -------------------------------------------------------------------------------- */

/* Cells row by row, the header row first. Columns that hold a number are aligned right. */
typedef struct ex_table {
    size_t columns, count, capacity;
    char **cells;
} ex_table;

EX_PRINTF(2, 3) static inline void ex_table_cell(ex_table *table, const char *format, ...)
{
    ex_text text = {NULL, 0, 0};
    va_list arguments;

    va_start(arguments, format);
    ex_text_addv(&text, format, arguments);
    va_end(arguments);
    table->cells = (char **)ex_grow(table->cells, &table->capacity, table->count + 1,
                                    sizeof *table->cells);
    table->cells[table->count++] = text.data;
}

/* A header row from "a|b|c", which also sets the number of columns. */
static inline void ex_table_header(ex_table *table, const char *names)
{
    for (;;) {
        int length = (int)strcspn(names, "|");

        ex_table_cell(table, "%.*s", length, names);
        if (names[length] == '\0')
            break;
        names += length + 1;
    }
    table->columns = table->count;
}

static inline int ex__is_number(const char *text)
{
    char *end;

    strtod(text, &end);
    return end != text && *end == '\0';
}

static inline void ex__table_column(const ex_table *table, size_t column, int *width, int *right)
{
    size_t i;

    *width = 0;
    *right = 0;
    for (i = column; i < table->count; i += table->columns) {
        int length = (int)strlen(table->cells[i]);

        *width = length > *width ? length : *width;
        *right |= i >= table->columns && ex__is_number(table->cells[i]);
    }
}

static inline void ex_table_print(const ex_table *table, FILE *file)
{
    size_t i;

    for (i = 0; i < table->count; i++) {
        size_t column = i % table->columns;
        int width, right, last = column + 1 == table->columns;

        ex__table_column(table, column, &width, &right);
        if (right)
            fprintf(file, "%*s", width, table->cells[i]);
        else
            fprintf(file, "%-*s", last ? 0 : width, table->cells[i]);
        fputs(last ? "\n" : "  ", file);
    }
}

static inline void ex_table_free(ex_table *table)
{
    size_t i;

    for (i = 0; i < table->count; i++)
        free(table->cells[i]);
    free(table->cells);
    memset(table, 0, sizeof *table);
}

/* ---- CSV ----------------------------------------------------------------------------------- */

/* A line reaches the file in one piece when it is complete, so that a killed program leaves whole
   lines behind. An error stays until ex_csv_close reports it. */
typedef struct ex_csv {
    FILE *file;
    const char *path;
    ex_text line;
    int cells, failed;
} ex_csv;

static inline int ex_csv_open(ex_csv *csv, const char *path, int append)
{
    memset(csv, 0, sizeof *csv);
    csv->path = path;
    csv->file = fopen(path, append ? "ab" : "wb");
    if (csv->file == NULL) {
        fprintf(stderr, "error: %s: %s\n", path, strerror(errno));
        return EX_FAILED;
    }
    setvbuf(csv->file, NULL, _IONBF, 0); /* one fwrite is one write to the file */
    return 0;
}

static inline void ex_csv_text(ex_csv *csv, const char *cell)
{
    int quoted = strpbrk(cell, ",\"\r\n") != NULL;

    ex_text_add(&csv->line, "%s%s", csv->cells++ > 0 ? "," : "", quoted ? "\"" : "");
    for (; *cell != '\0'; cell++)
        ex_text_add(&csv->line, quoted && *cell == '"' ? "\"%c" : "%c", *cell);
    if (quoted)
        ex_text_add(&csv->line, "\"");
}

/* The shortest of 15, 16 and 17 digits that reads back as the same double; NaN is an empty cell,
   which is what pandas reads as missing. */
static inline void ex_csv_number(ex_csv *csv, double value)
{
    char text[40] = "";
    int digits;

    for (digits = 15; digits <= 17 && value == value; digits++) {
        double back;

        snprintf(text, sizeof text, "%.*g", digits, value);
        back = strtod(text, NULL);
        if (!(back < value || back > value))
            break;
    }
    ex_csv_text(csv, text);
}

static inline void ex_csv_end_line(ex_csv *csv)
{
    ex_text_add(&csv->line, "\n");
    if (fwrite(csv->line.data, 1, csv->line.length, csv->file) != csv->line.length)
        csv->failed = 1;
    csv->line.length = 0;
    csv->cells = 0;
}

/* Column names "a,b,c" as they stand, without quoting. */
static inline void ex_csv_names(ex_csv *csv, const char *names)
{
    ex_text_add(&csv->line, "%s%s", csv->cells++ > 0 ? "," : "", names);
}

static inline int ex_csv_close(ex_csv *csv)
{
    if (csv->file != NULL && fclose(csv->file) != 0)
        csv->failed = 1;
    ex_text_free(&csv->line);
    csv->file = NULL;
    if (csv->failed)
        fprintf(stderr, "error: %s: cannot be written\n", csv->path);
    return csv->failed ? EX_FAILED : 0;
}

/* Puts a complete file in the place of another. */
static inline int ex_replace(const char *from, const char *to)
{
#ifdef _WIN32
    remove(to); /* rename refuses to replace there */
#endif
    if (rename(from, to) == 0)
        return 0;
    fprintf(stderr, "error: %s: %s\n", to, strerror(errno));
    return EX_FAILED;
}

/* ---- data ---------------------------------------------------------------------------------- */

#define EX_DATA_DIRECTORY "examples/data"

/* Zero fields: grey, as stored, all images, no normalization. */
typedef struct ex_data_request {
    const char *directory; /* EX_DATA_DIRECTORY: also looked for beside the program */
    const char *program;   /* argv[0] */
    int64_t channels, pad_to;
    int64_t train_images, test_images; /* only the first ones */
    prun_normalization normalization;  /* MEAN_STD: constants of the images trained on */
} ex_data_request;

typedef struct ex_data {
    prun_images train, test;
} ex_data;

enum { EX_TRAIN_IMAGES, EX_TRAIN_LABELS, EX_TEST_IMAGES, EX_TEST_LABELS };

/* File names: those shipped with the examples, then those of the MNIST family's authors. */
static inline const char *ex__data_name(int scheme, int part)
{
    static const char *const names[2][4] = {
        {"fashion-mnist-train-images.idx3-ubyte", "fashion-mnist-train-labels.idx1-ubyte",
         "fashion-mnist-test-images.idx3-ubyte", "fashion-mnist-test-labels.idx1-ubyte"},
        {"train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte",
         "t10k-labels-idx1-ubyte"}};

    return names[scheme][part];
}

static inline void ex__data_path(ex_text *path, const char *directory, int scheme, int part)
{
    path->length = 0;
    ex_text_add(path, "%s/%s", directory, ex__data_name(scheme, part));
}

/* Number of the naming scheme that a directory follows, -1 if there is no data in it. */
static inline int ex__data_scheme(const char *directory)
{
    ex_text path = {NULL, 0, 0};
    int scheme;

    for (scheme = 0; scheme < 2; scheme++) {
        FILE *file;

        ex__data_path(&path, directory, scheme, EX_TRAIN_IMAGES);
        file = fopen(path.data, "rb");
        if (file != NULL) {
            fclose(file);
            break;
        }
    }
    ex_text_free(&path);
    return scheme < 2 ? scheme : -1;
}

/* The directory to read. The default one is relative to the project root, but programs are also
   started from examples/ or from elsewhere by their path. */
static inline int ex__data_directory(const ex_data_request *request, ex_text *directory)
{
    static const char *const beside[] = {"data", "../examples/data"};
    const char *program = request->program != NULL ? request->program : "";
    const char *slash = strrchr(program, '/');
    int length = slash != NULL ? (int)(slash - program) : 1;
    int i, scheme = ex__data_scheme(request->directory);

    ex_text_add(directory, "%s", request->directory);
    for (i = 0; scheme < 0 && i < 2 && strcmp(request->directory, EX_DATA_DIRECTORY) == 0; i++) {
        directory->length = 0;
        ex_text_add(directory, "%.*s/%s", length, slash != NULL ? program : ".", beside[i]);
        scheme = ex__data_scheme(directory->data);
    }
    if (scheme < 0)
        fprintf(stderr, "error: no %s in %s; see --data\n", ex__data_name(0, EX_TRAIN_IMAGES),
                request->directory);
    return scheme;
}

/* Reads one of the two sets (first part: EX_TRAIN_IMAGES or EX_TEST_IMAGES), cut to `limit`. */
static inline int ex__data_set(prun_context *context, const ex_data_request *request,
                               const char *directory, int scheme, int part, int64_t limit,
                               prun_images *images)
{
    ex_text image_path = {NULL, 0, 0}, label_path = {NULL, 0, 0};
    prun_idx_options options = {0, 0, 0};
    prun_status status;

    options.channels = request->channels;
    options.pad_to = request->pad_to;
    ex__data_path(&image_path, directory, scheme, part);
    ex__data_path(&label_path, directory, scheme, part + 1);
    status = prun_load_idx(context, image_path.data, label_path.data, &options, images);
    ex_text_free(&image_path);
    ex_text_free(&label_path);
    if (status != PRUN_OK)
        return ex_failure(context, "data");
    if (limit > images->count) {
        fprintf(stderr, "error: %s: only %ld of the %ld images asked for are there\n",
                ex__data_name(scheme, part), (long)images->count, (long)limit);
        prun_images_free(images);
        return EX_USAGE;
    }
    images->count = limit > 0 ? limit : images->count;
    return 0;
}

static inline void ex_free_data(ex_data *data)
{
    prun_images_free(&data->train);
    prun_images_free(&data->test);
}

/* Both sets get the normalization asked for. Returns 0 or, after a message, the exit status. */
static inline int ex__normalize(prun_context *context, prun_normalization normalization,
                                ex_data *data)
{
    data->train.normalization = normalization;
    data->test.normalization = normalization;
    if (normalization != PRUN_NORMALIZE_MEAN_STD)
        return 0;
    if (prun_images_standardize(context, &data->train) != PRUN_OK)
        return ex_failure(context, "data");
    memcpy(data->test.mean, data->train.mean, sizeof data->test.mean);
    memcpy(data->test.std, data->train.std, sizeof data->test.std);
    return 0;
}

/* Loads training and test images. Returns 0 or, after a message, the exit status. */
static inline int ex_load_data(prun_context *context, const ex_data_request *request,
                               ex_data *data)
{
    ex_text directory = {NULL, 0, 0};
    int scheme = ex__data_directory(request, &directory);
    int status = scheme < 0 ? EX_FAILED : 0;

    memset(data, 0, sizeof *data);
    if (status == 0)
        status = ex__data_set(context, request, directory.data, scheme, EX_TRAIN_IMAGES,
                              request->train_images, &data->train);
    if (status == 0)
        status = ex__data_set(context, request, directory.data, scheme, EX_TEST_IMAGES,
                              request->test_images, &data->test);
    if (status == 0)
        status = ex__normalize(context, request->normalization, data);
    if (status != 0)
        ex_free_data(data);
    ex_text_free(&directory);
    return status;
}

/* ---- measures ------------------------------------------------------------------------------ */

static inline void ex_measure_header(ex_table *table)
{
    ex_table_header(table, "measure|value|std. error|dir.|seconds|source|note");
}

/* end: what is added to the name. */
static inline void ex_measure_row(ex_table *table, const prun_measure_info *info, const char *end,
                                  const prun_measure_result *r)
{
    ex_table_cell(table, "%s%s", info->name, end);
    if (r->status == PRUN_OK)
        ex_table_cell(table, "%.7g", r->value);
    else
        ex_table_cell(table, "undefined");
    if (r->standard_error == r->standard_error)
        ex_table_cell(table, "%.2g", r->standard_error);
    else
        ex_table_cell(table, "%s", "");
    ex_table_cell(table, "%s", info->direction > 0 ? "+" : info->direction < 0 ? "-" : "?");
    ex_table_cell(table, "%.3f", r->seconds);
    ex_table_cell(table, "%s", info->source);
    ex_table_cell(table, "%s", r->message);
}

/* Prints and frees the table. */
static inline void ex_measure_print(ex_table *table)
{
    ex_table_print(table, stdout);
    ex_table_free(table);
    printf("\ndir.: + larger values are to go with a larger generalization gap, - with a smaller "
           "one.\nA measure that needs the result of another one costs nothing after it.\n");
}

#endif /* EXAMPLE_H_INCLUDED */
