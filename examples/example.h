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

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if defined(__unix__) || defined(__APPLE__)
#include <dirent.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#define EX_POSIX 1
#define EX_UNLINK unlink /* also in a signal handler */
#define EX_SIGPIPE SIGPIPE
#else
#define EX_UNLINK remove
#define EX_SIGPIPE (-1)
#endif
#ifdef _WIN32
#include <direct.h>
#include <io.h>
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

/* ---- memory, growing text, messages, time -------------------------------------------------- */

/* For want of memory there may be none for a message of the usual kind. */
static inline void ex__out_of_memory(void) {
    fprintf(stderr, "error: out of memory\n");
    exit(EX_FAILED);
}

/* Zeroed memory; ends the program when there is none. */
static inline void *ex_allocate(size_t count, size_t size) {
    void *memory = calloc(count > 0 ? count : 1, size);

    if (memory == NULL) ex__out_of_memory();
    return memory;
}

/* Grows an array to hold `count` elements, doubling so that appending stays cheap. */
static inline void *ex_grow(void *array, size_t *capacity, size_t count, size_t size) {
    size_t wanted = *capacity > 0 ? *capacity : 16;

    if (count <= *capacity) return array;
    while (wanted < count) wanted *= 2;
    array = realloc(array, wanted * size);
    if (array == NULL) ex__out_of_memory();
    *capacity = wanted;
    return array;
}

typedef struct ex_text {
    char *data; /* always ends in '\0' once something was added */
    size_t length, capacity;
} ex_text;

static inline void ex_text_addv(ex_text *text, const char *format, va_list arguments) {
    va_list again;
    int needed;

    va_copy(again, arguments);
    needed = vsnprintf(NULL, 0, format, again);
    va_end(again);
    needed = needed < 0 ? 0 : needed;
    text->data = (char *)ex_grow(text->data, &text->capacity, text->length + (size_t)needed + 1, 1);
    vsnprintf(text->data + text->length, (size_t)needed + 1, format, arguments);
    text->length += (size_t)needed;
}

EX_PRINTF(2, 3) static inline void ex_text_add(ex_text *text, const char *format, ...) {
    va_list arguments;

    va_start(arguments, format);
    ex_text_addv(text, format, arguments);
    va_end(arguments);
}

static inline void ex_text_free(ex_text *text) {
    free(text->data);
    memset(text, 0, sizeof *text);
}

/* Whether a character of three bytes turns the direction of text round, or is none. */
static inline int ex__is_mark(const unsigned char *at) {
    if (at[0] == 0xe2 && at[1] == 0x80)
        return (at[2] >= 0x8e && at[2] <= 0x8f) || (at[2] >= 0xa8 && at[2] <= 0xae);
    if (at[0] == 0xe2 && at[1] == 0x81) return at[2] >= 0xa6 && at[2] <= 0xa9;
    return (at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] >= 0xa0) ||
           (at[0] == 0xf0 && at[1] < 0x90);
}

/* Bytes of the character at a place, if it is one that a terminal only shows; else 0. */
static inline int ex__printable(const unsigned char *at) {
    const int more = at[0] < 0x80                    ? 0
                     : at[0] >= 0xc2 && at[0] < 0xe0 ? 1
                     : at[0] >= 0xe0 && at[0] < 0xf0 ? 2
                     : at[0] >= 0xf0 && at[0] < 0xf5 ? 3
                                                     : -1;
    int i;

    if (more < 0 || at[0] < 0x20 || at[0] == 0x7f || (at[0] == 0xc2 && at[1] < 0xa0) ||
        ex__is_mark(at))
        return 0;
    for (i = 1; i <= more; i++)
        if ((at[i] & 0xc0) != 0x80) return 0;
    return more + 1;
}

/* Adds text that came from outside, such as the name of a file or column: control characters and
   what is no UTF-8 as \n, \t or \x1b, so that a terminal shows them and does not obey. */
static inline void ex_text_shown(ex_text *out, const char *text) {
    while (*text != '\0') {
        const unsigned char byte = (unsigned char)*text;
        const int length = ex__printable((const unsigned char *)text);

        if (length > 0) ex_text_add(out, "%.*s", length, text);
        else if (byte == '\n' || byte == '\t') ex_text_add(out, "\\%c", byte == '\n' ? 'n' : 't');
        else ex_text_add(out, "\\x%02x", byte);
        text += length > 0 ? length : 1;
    }
}

/* The same text to be printed at once: the fourth call after it uses its memory again. For the
   main thread alone. */
static inline const char *ex_shown(const char *text) {
    static ex_text shown[4];
    static int turn;
    ex_text *out = &shown[turn++ % 4];

    out->length = 0;
    ex_text_add(out, "%s", "");
    ex_text_shown(out, text);
    return out->data;
}

static int ex__bar; /* columns of the terminal's last line that a progress bar fills */

/* Takes the progress bar from the terminal. */
static inline void ex__bar_clear(void) {
    if (ex__bar > 0) fprintf(stderr, "\r%*s\r", ex__bar, "");
    ex__bar = 0;
}

/* One line on stderr. */
static inline void ex__sayv(const char *kind, const char *format, va_list arguments) {
    ex_text text = {NULL, 0, 0}, shown = {NULL, 0, 0};

    ex_text_addv(&text, format, arguments);
    ex_text_add(&shown, "%s: ", kind);
    ex_text_shown(&shown, text.data);
#ifdef _OPENMP
#pragma omp critical(ex_progress)
#endif
    {
        ex__bar_clear();
        fprintf(stderr, "%s\n", shown.data);
    }
    ex_text_free(&text);
    ex_text_free(&shown);
}

/* Prints a line "error: ...", in which control characters are escaped. */
EX_PRINTF(1, 2) static inline void ex_error(const char *format, ...) {
    va_list arguments;

    va_start(arguments, format);
    ex__sayv("error", format, arguments);
    va_end(arguments);
}

/* The same for what is no failure. */
EX_PRINTF(1, 2) static inline void ex_note(const char *format, ...) {
    va_list arguments;

    va_start(arguments, format);
    ex__sayv("note", format, arguments);
    va_end(arguments);
}

/* Prints why the last library call failed; returns the exit status, so that it can be returned. */
static inline int ex_failure(const prun_context *context, const char *what) {
    const char *message = prun_message(context);

    if (*message == '\0')
        message = prun_status_string(context != NULL ? context->status : PRUN_ERR_ARGUMENT);
    ex_error("%s: %s", what, message);
    return EX_FAILED;
}

/* Seconds from an arbitrary start that nobody sets back. */
static inline double ex_seconds(void) {
#if defined(CLOCK_MONOTONIC) && !defined(_WIN32) /* there clock() counts real time */
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

/* The same as a callback of the library. */
static inline double ex_clock(void *user) {
    (void)user;
    return ex_seconds();
}

/* A span of time in the unit one says it in. text: at least 32 bytes. */
static inline const char *ex_span(double seconds, char *text) {
    static const char *const units[] = {"seconds", "minutes", "hours", "days"};
    static const double length[] = {1, 60, 3600, 86400}, most[] = {60, 60, 48};
    int unit = 0;

    if (seconds < 1) {
        snprintf(text, 32, "less than a second");
        return text;
    }
    while (unit < 3 && seconds >= 0.9995 * most[unit] * length[unit]) unit++;
    snprintf(text, 32, "%.3g %s", seconds / length[unit], units[unit]);
    return text;
}

/* The same for bytes. */
static inline const char *ex_bytes(double bytes, char *text) {
    static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB"};
    int unit = 0;

    for (; unit < 4 && bytes >= 999.5; bytes /= 1000) unit++;
    snprintf(text, 32, "%.3g %s", bytes, units[unit]);
    return text;
}

/* ---- output files, interruption, standard output ------------------------------------------- */

/* A file that is written whole or not at all, by the library's rules. */
typedef struct ex__output {
    struct ex__output *next;
    prun_output *output;
    FILE *stream;
    const char *temporary; /* NULL: written in place */
    prun_context context;
} ex__output;

static ex__output *ex__outputs; /* changed between ex_hold and ex_release only */

/* A signal that comes between ex_hold and ex_release waits for the latter, so that no temporary
   file is missed; the second one does not wait. */
static volatile sig_atomic_t ex__held, ex__signal, ex__dying;
#ifdef EX_POSIX
static pid_t ex__process; /* whose the files are: a child of it leaves them alone */
#endif

static const char *ex__how_to_resume = ""; /* after "interrupted" */

/* Sets what is printed after "interrupted", such as how to resume: a literal, or NULL. */
static inline void ex_interruptible(const char *how) { ex__how_to_resume = how != NULL ? how : ""; }

/* Text to stderr from a signal handler. */
static inline void ex__write_error(const char *text) {
#if defined(EX_POSIX)
    if (write(STDERR_FILENO, text, strlen(text)) < 0) return;
#elif defined(_WIN32)
    _write(2, text, (unsigned)strlen(text));
#else
    (void)text;
#endif
}

static inline int ex__is_own(void) {
#ifdef EX_POSIX
    return getpid() == ex__process;
#else
    return 1;
#endif
}

/* Removes the temporary files there are and ends by the signal, as if there were no handler. */
static inline void ex__die(int number) {
    const ex__output *each;

    ex__dying = 1;
    for (each = ex__outputs; each != NULL; each = each->next)
        if (each->temporary != NULL && ex__is_own()) EX_UNLINK(each->temporary);
    if (number != EX_SIGPIPE && ex__is_own()) {
        ex__write_error(ex__bar > 0 ? "\ninterrupted" : "interrupted");
        ex__write_error(ex__how_to_resume);
        ex__write_error("\n");
    }
    signal(number, SIG_DFL);
    raise(number);
}

static inline void ex__on_signal(int number) {
    const int first = ex__signal == 0;

    ex__signal = number;
    if (!first || ex__held == 0) ex__die(number);
}

/* Around what makes, renames or removes files. Any thread may call it. */
static inline void ex_hold(void) {
#ifdef _OPENMP
#pragma omp critical(ex_hold)
#endif
    ex__held = ex__held + 1;
#ifdef EX_POSIX
    while (ex__dying) pause();
#endif
}

static inline void ex_release(void) {
    int due;

#ifdef _OPENMP
#pragma omp critical(ex_hold)
#endif
    {
        ex__held = ex__held - 1;
        due = ex__held == 0 && ex__signal != 0;
    }
    if (due) ex__die(ex__signal);
}

/* Opens a file for writing. What is written appears under its name when ex_close succeeds. NULL
   after a message. */
static inline FILE *ex_open(const char *path) {
    ex__output *made = (ex__output *)ex_allocate(1, sizeof *made);
    FILE *stream = NULL;

    ex_hold();
    if (prun_output_open(&made->context, path, &made->output) == PRUN_OK) {
        stream = made->stream = prun_output_stream(made->output);
        made->temporary = prun_output_temporary(made->output);
#ifdef _OPENMP
#pragma omp critical(ex_outputs)
#endif
        {
            made->next = ex__outputs;
            ex__outputs = made;
        }
    }
    ex_release();
    if (stream == NULL) {
        ex_failure(&made->context, "output");
        free(made);
    }
    return stream;
}

/* Takes a file off the list. */
static inline ex__output *ex__output_take(const FILE *stream) {
    ex__output **each, *found = NULL;

#ifdef _OPENMP
#pragma omp critical(ex_outputs)
#endif
    for (each = &ex__outputs; *each != NULL && found == NULL;) {
        if ((*each)->stream == stream) {
            found = *each;
            *each = found->next;
        } else {
            each = &(*each)->next;
        }
    }
    return found;
}

/* Gives a file up that ex_open opened: what was there before stays. */
static inline void ex_discard(FILE *file) {
    ex__output *mine;

    ex_hold();
    mine = ex__output_take(file);
    if (mine != NULL) prun_output_discard(mine->output);
    ex_release();
    free(mine);
}

/* Puts a file in its place. Returns the exit status, after a message where that failed: what was
   there before is there still. */
static inline int ex_close(FILE *file, const char *path) {
    const int failed = ferror(file);
    ex__output *mine;
    int status = EX_FAILED;

    ex_hold();
    mine = ex__output_take(file);
    if (mine != NULL && failed) prun_output_discard(mine->output);
    else if (mine != NULL && prun_output_close(mine->output) == PRUN_OK) status = 0;
    ex_release();
    if (failed || mine == NULL) ex_error("%s: cannot be written", path);
    else if (status != 0) ex_failure(&mine->context, "output");
    free(mine);
    return status;
}

/* Closes a file where what it holds was computed (status 0), else gives it up. Returns the exit
   status. */
static inline int ex_finish(int status, FILE *file, const char *path) {
    if (status == 0) return ex_close(file, path);
    ex_discard(file);
    return status;
}

/* Whether a file could be written now: before long work whose result it is to hold. A pipe is not
   opened for that, its reader would see the end. NULL: nothing to ask. Returns the exit status,
   after a message. */
static inline int ex_writable(const char *path) {
    FILE *file;

#ifdef EX_POSIX
    struct stat there;

    if (path != NULL && stat(path, &there) == 0 && !S_ISREG(there.st_mode) &&
        !S_ISDIR(there.st_mode)) {
        if (access(path, W_OK) == 0) return 0;
        ex_error("%s: %s", path, strerror(errno));
        return EX_FAILED;
    }
#endif
    file = path != NULL ? ex_open(path) : NULL;
    if (file != NULL) ex_discard(file);
    return path == NULL || file != NULL ? 0 : EX_FAILED;
}

static inline void ex__at_exit(void) {
    int failed;

    while (ex__outputs != NULL && ex__is_own()) ex_discard(ex__outputs->stream);
    failed = ferror(stdout);
    if (fflush(stdout) != 0 || failed) {
        ex_error("standard output: cannot be written");
        _Exit(EX_FAILED);
    }
}

/* Called by ex_parse: from here on nothing temporary is left behind, a full disk is an error and no
   signal, and what cannot be printed makes the exit status 1. */
static inline void ex__start(void) {
    static int started;
#ifdef EX_POSIX
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE};
    struct sigaction action, before;
    size_t i;
    int fd;

    ex__process = getpid();
    /* A closed standard output would become the first file that is opened. */
    for (fd = 0; fd < 3 && !started; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            (void)!open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);
    memset(&action, 0, sizeof action);
    action.sa_handler = ex__on_signal;
    for (i = 0; i < sizeof signals / sizeof *signals && !started; i++)
        if (sigaction(signals[i], NULL, &before) == 0 && before.sa_handler == SIG_DFL)
            sigaction(signals[i], &action, NULL);
#ifdef SIGXFSZ
    signal(SIGXFSZ, SIG_IGN);
#endif
#else
    if (!started) {
        signal(SIGINT, ex__on_signal);
        signal(SIGTERM, ex__on_signal);
    }
#endif
    if (!started) atexit(ex__at_exit);
    started = 1;
}

/* ---- options ------------------------------------------------------------------------------- */

#define EX_MAX_LIST 256

typedef enum ex_kind {
    EX_FLAG,     /* int: 1 when given */
    EX_INT,      /* int64_t */
    EX_REAL,     /* double */
    EX_TEXT,     /* const char * */
    EX_CHOICE,   /* ex_choice */
    EX_INT_LIST, /* ex_ints: 8,16,24 without repetition */
    EX_REAL_LIST /* ex_reals */
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

static inline int ex__bad_value(const ex_option *option, const char *text, const char *why) {
    ex_error("--%s %s: %s", option->name, text, why);
    return EX_USAGE;
}

static inline int ex__out_of_range(const ex_option *option, const char *text) {
    ex_error("--%s %s: must be from %.10g to %.10g", option->name, text, option->low, option->high);
    return EX_USAGE;
}

/* The strto family skips blanks and knows hexadecimal, "inf" and "nan": none of it is wanted. */
static inline int ex__starts_number(const char *text) {
    if (*text == '-') text++;
    return strpbrk(text, "xX") == NULL && *text != '\0' && strchr("0123456789.", *text) != NULL;
}

static inline int ex__int(const ex_option *option, const char *text, int64_t *value) {
    char *end;
    long long number;

    if (!ex__starts_number(text)) return ex__bad_value(option, text, "not a whole number");
    errno = 0;
    number = strtoll(text, &end, 10);
    if (*end != '\0' || end == text) return ex__bad_value(option, text, "not a whole number");
    if (errno != 0 || (double)number < option->low || (double)number > option->high)
        return ex__out_of_range(option, text);
    *value = (int64_t)number;
    return 0;
}

static inline int ex__real(const ex_option *option, const char *text, double *value) {
    char *end;
    double number;

    if (!ex__starts_number(text)) return ex__bad_value(option, text, "not a number");
    number = strtod(text, &end);
    if (*end != '\0' || end == text) return ex__bad_value(option, text, "not a number");
    if (!(number >= option->low && number <= option->high)) return ex__out_of_range(option, text);
    *value = number;
    return 0;
}

static inline int ex__int_element(const ex_option *option, const char *text) {
    ex_ints *list = (ex_ints *)option->value;
    int64_t number = 0;
    int i, status = ex__int(option, text, &number);

    for (i = 0; status == 0 && i < list->count; i++)
        if (list->value[i] == number) return ex__bad_value(option, text, "given twice");
    if (status == 0) list->value[list->count++] = number;
    return status;
}

static inline int ex__real_element(const ex_option *option, const char *text) {
    ex_reals *list = (ex_reals *)option->value;
    double number = 0;
    int i, status = ex__real(option, text, &number);

    for (i = 0; status == 0 && i < list->count; i++)
        if (!(list->value[i] < number || list->value[i] > number))
            return ex__bad_value(option, text, "given twice");
    if (status == 0) list->value[list->count++] = number;
    return status;
}

static inline int ex__list(const ex_option *option, const char *text) {
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
        if (*count == EX_MAX_LIST) return ex__bad_value(option, all, "too many values");
        memcpy(element, text, length);
        element[length] = '\0';
        status = option->kind == EX_INT_LIST ? ex__int_element(option, element)
                                             : ex__real_element(option, element);
        if (status != 0 || text[length] == '\0') return status;
        text += length + 1;
    }
}

static inline int ex__choice(const ex_option *option, const char *text) {
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
    ex_error("--%s %s: must be one of %s", option->name, text, choice->names);
    return EX_USAGE;
}

static inline int ex__set(const ex_option *option, const char *text) {
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

static inline const char *ex__placeholder(const ex_option *option) {
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

static inline void ex__help(const ex_program *program) {
    char left[64];
    size_t i;

    printf("usage: %s [options]%s%s\n\n%s\n\noptions:\n", program->name,
           *program->operands != '\0' ? " " : "", program->operands, program->about);
    for (i = 0; i < program->count; i++) {
        const ex_option *option = &program->options[i];

        snprintf(left, sizeof left, "--%s %s", option->name, ex__placeholder(option));
        printf("  %-24s %s", left, option->help);
        if (option->initial != NULL && option->kind != EX_FLAG) printf(" [%s]", option->initial);
        printf("\n");
    }
    printf("  %-24s %s\n", "--help, -h", "print this text");
}

/* The option an argument such as --name or --name=value means, or NULL. */
static inline const ex_option *ex__find(const ex_program *program, const char *argument) {
    size_t i, length = strcspn(argument + 2, "=");

    for (i = 0; i < program->count; i++) {
        const char *name = program->options[i].name;

        if (strlen(name) == length && memcmp(name, argument + 2, length) == 0)
            return &program->options[i];
    }
    return NULL;
}

/* How many letters to change, add or leave out to make one word of another, at most `limit`. */
static inline int ex__distance(const char *a, const char *b, int limit) {
    int change, leave, add;

    while (*a != '\0' && *a == *b) {
        a++;
        b++;
    }
    if (limit == 0 || (*a == '\0' && *b == '\0')) return *a != '\0' || *b != '\0';
    change = *a != '\0' && *b != '\0' ? ex__distance(a + 1, b + 1, limit - 1) : limit;
    leave = *a != '\0' ? ex__distance(a + 1, b, limit - 1) : limit;
    add = *b != '\0' ? ex__distance(a, b + 1, limit - 1) : limit;
    change = leave < change ? leave : change;
    change = add < change ? add : change;
    return change + 1;
}

/* The option whose name is nearest to an unknown one, NULL: none is near. */
static inline const char *ex__nearest(const ex_program *program, const char *argument) {
    const char *best = NULL, *word = argument + strspn(argument, "-");
    const int length = (int)strcspn(word, "=");
    ex_text name = {NULL, 0, 0};
    int least = length < 4 ? 2 : 3; /* a name that differs by more letters is another word */
    size_t i;

    ex_text_add(&name, "%.*s", length, word);
    for (i = 0; i < program->count; i++) {
        const int distance = ex__distance(name.data, program->options[i].name, least);

        if (distance < least) {
            least = distance;
            best = program->options[i].name;
        }
    }
    ex_text_free(&name);
    return best;
}

/* Text given for one option, or `fallback`: for an option that decides the defaults of others, and
   so has to be known before the table is complete. The last one counts. */
static inline const char *ex_peek(int argc, char **argv, const char *name, const char *fallback) {
    size_t length = strlen(name);
    int i;

    for (i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strncmp(argv[i], "--", 2) != 0 || strncmp(argv[i] + 2, name, length) != 0) continue;
        if (argv[i][2 + length] == '=') fallback = argv[i] + 3 + length;
        else if (argv[i][2 + length] == '\0' && i + 1 < argc) fallback = argv[i + 1];
    }
    return fallback;
}

/* Handles the option at argv[*at] and steps over its value. */
static inline int ex__option(const ex_program *program, int argc, char **argv, int *at) {
    const char *argument = argv[*at], *equals = strchr(argument, '=');
    const ex_option *option = strncmp(argument, "--", 2) == 0 ? ex__find(program, argument) : NULL;

    if (option == NULL) {
        const char *meant = ex__nearest(program, argument);

        if (meant != NULL)
            ex_error("unknown option %s; did you mean --%s? --help lists all", argument, meant);
        else ex_error("unknown option %s; --help lists what there is", argument);
        return EX_USAGE;
    }
    if (option->kind == EX_FLAG) {
        if (equals != NULL) return ex__bad_value(option, equals + 1, "takes no value");
        return ex__set(option, "1");
    }
    if (equals != NULL) return ex__set(option, equals + 1);
    if (*at + 1 >= argc) {
        ex_error("--%s needs a value; see --help", option->name);
        return EX_USAGE;
    }
    return ex__set(option, argv[++*at]);
}

/* Sets all defaults, then reads the command line; operands move to argv[1] .. argv[*operands].
   Returns -1 to go on, otherwise the status to exit with. */
static inline int ex_parse(const ex_program *program, int argc, char **argv, int *operands) {
    int i, status, found = 0, only_operands = 0;
    size_t k;

    ex__start();
    for (i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            ex__help(program);
            return 0;
        }
    for (k = 0; k < program->count; k++)
        if (program->options[k].initial != NULL &&
            (status = ex__set(&program->options[k], program->options[k].initial)) != 0)
            return status;
    for (i = 1; i < argc; i++) {
        if (only_operands || argv[i][0] != '-' || argv[i][1] == '\0') {
            argv[++found] = argv[i];
        } else if (strcmp(argv[i], "--") == 0) {
            only_operands = 1;
        } else if ((status = ex__option(program, argc, argv, &i)) != 0) {
            return status;
        }
    }
    if (found < program->min_operands || found > program->max_operands) {
        if (found > program->max_operands)
            ex_error("unexpected argument %s; see --help", argv[program->max_operands + 1]);
        else ex_error("%s is missing; see --help", program->operands);
        return EX_USAGE;
    }
    if (operands != NULL) *operands = found;
    return -1;
}

/* ---- progress ------------------------------------------------------------------------------ */

/* On a terminal a bar on stderr; elsewhere a plain line every ten seconds. */
typedef struct ex_progress {
    const char *label;
    double total, done; /* in any unit, best one that is proportional to time */
    double start, shown;
    int terminal, quiet;
    int stopped; /* 1: set where the work was not all done */
} ex_progress;

static inline void ex_progress_start(ex_progress *progress, const char *label, double total,
                                     int quiet) {
    memset(progress, 0, sizeof *progress);
    progress->label = label;
    progress->total = total;
    progress->quiet = quiet;
    progress->start = ex_seconds();
    progress->shown = progress->start;
#ifdef EX_POSIX
    progress->terminal = isatty(STDERR_FILENO);
#endif
}

/* "1:02:03" or "2:03". text: at least 32 bytes. */
static inline const char *ex__duration(double seconds, char *text) {
    long whole = (long)(seconds < 0 ? 0 : seconds > 1e8 ? 1e8 : seconds + 0.5);

    if (whole >= 3600)
        snprintf(text, 32, "%ld:%02ld:%02ld", whole / 3600, whole / 60 % 60, whole % 60);
    else snprintf(text, 32, "%ld:%02ld", whole / 60, whole % 60);
    return text;
}

/* Width of the terminal behind stderr. */
static inline int ex__columns(void) {
    const char *text = getenv("COLUMNS");
    long columns = text != NULL ? strtol(text, NULL, 10) : 0;
#if defined(EX_POSIX) && defined(TIOCGWINSZ)
    struct winsize size;

    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) columns = size.ws_col;
#endif
    return columns >= 1 && columns <= 10000 ? (int)columns : 80;
}

/* Draws the bar into one line: what does not fit is left out, the bar first of all, the percentage
   last. The last column stays free: terminals go to the next line there. */
static inline void ex__bar_draw(const char *label, int percent, const char *spent,
                                const char *left) {
    static const char full[] = "##############################";
    const int room = ex__columns() - 1;
    char end[96], line[256];
    int bars = (int)sizeof full - 1, wanted;

    snprintf(end, sizeof end, "%3d %%  %s, %s left", percent, spent, left);
    wanted = (int)(strlen(label) + strlen(end)) + 4; /* with brackets and blanks, but no bar */
    bars = room - wanted < bars ? room - wanted : bars;
    if (bars >= 5)
        snprintf(line, sizeof line, "%s [%.*s%*s] %s", label, bars * percent / 100, full,
                 bars - bars * percent / 100, "", end);
    else if (wanted - 3 <= room) snprintf(line, sizeof line, "%s %s", label, end);
    else snprintf(line, sizeof line, "%s", end);
    line[room < (int)sizeof line - 1 ? room : (int)sizeof line - 1] = '\0';
    wanted = (int)strlen(line);
    bars = ex__bar > wanted && ex__bar <= room ? ex__bar - wanted : 0; /* left of a longer line */
    fprintf(stderr, "\r%s%*s", line, bars, "");
    ex__bar = wanted;
}

static inline void ex__progress_show(ex_progress *progress) {
    double now = ex_seconds(), elapsed = now - progress->start;
    double part = progress->total > 0 ? progress->done / progress->total : 0;
    char spent[32], left[32];

    if (now - progress->shown < (progress->terminal ? 0.1 : 10.0)) return;
    progress->shown = now;
    part = part > 1 ? 1 : part < 0 ? 0 : part;
    ex__duration(elapsed, spent);
    if (part > 0) ex__duration(elapsed * (1 - part) / part, left);
    else strcpy(left, "?");
    if (progress->terminal) ex__bar_draw(progress->label, (int)(100 * part), spent, left);
    else
        fprintf(stderr, "%s: %d %% after %s, about %s left\n", progress->label, (int)(100 * part),
                spent, left);
    fflush(stderr);
}

/* Any thread may call it. */
static inline void ex_progress_add(ex_progress *progress, double amount) {
    if (progress->quiet) return;
#ifdef _OPENMP
#pragma omp critical(ex_progress)
#endif
    {
        progress->done += amount;
        ex__progress_show(progress);
    }
}

static inline void ex_progress_end(const ex_progress *progress) {
    char spent[32];

    if (progress->quiet) return;
    ex__bar_clear();
    fprintf(stderr, "%s: %s %s\n", progress->label, progress->stopped ? "stopped after" : "done in",
            ex__duration(ex_seconds() - progress->start, spent));
}

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

static inline void ex__table_column(const ex_table *table, size_t column, int *width, int *right) {
    size_t i;

    *width = 0;
    *right = 0;
    for (i = column; i < table->count; i += table->columns) {
        int length = (int)strlen(table->cells[i]);

        *width = length > *width ? length : *width;
        *right |= i >= table->columns && ex__is_number(table->cells[i]);
    }
}

/* Control characters of the cells are escaped. */
static inline void ex_table_print(ex_table *table, FILE *file) {
    size_t i;

    for (i = 0; i < table->count; i++) {
        ex_text shown = {NULL, 0, 0};

        ex_text_add(&shown, "%s", "");
        ex_text_shown(&shown, table->cells[i]);
        free(table->cells[i]);
        table->cells[i] = shown.data;
    }

    for (i = 0; i < table->count; i++) {
        size_t column = i % table->columns;
        int width, right, last = column + 1 == table->columns;

        ex__table_column(table, column, &width, &right);
        if (right) fprintf(file, "%*s", width, table->cells[i]);
        else fprintf(file, "%-*s", last ? 0 : width, table->cells[i]);
        fputs(last ? "\n" : "  ", file);
    }
}

static inline void ex_table_free(ex_table *table) {
    size_t i;

    for (i = 0; i < table->count; i++) free(table->cells[i]);
    free(table->cells);
    memset(table, 0, sizeof *table);
}

/* ---- CSV ----------------------------------------------------------------------------------- */

/* A file is written whole or not at all; to one that is appended to, each row goes in one piece, so
   that a killed program leaves whole rows, and so does one that finds the disk full. An error
   stays until ex_csv_close reports it, and nothing is written after it. */
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
    csv->file = append ? fopen(path, "ab") : ex_open(path);
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

/* The shortest of 15, 16 and 17 digits that reads back as the same double; NaN is an empty cell,
   which is what pandas reads as missing. */
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

/* Appends a row by one write to the file; what a full disk took of it is cut off again. */
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
        csv->failed = errno; /* the next run leaves the piece out */
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

/* A table as a CSV file. Returns the exit status. */
static inline int ex_table_csv(const ex_table *table, const char *path) {
    ex_csv csv;
    size_t i;
    int status = ex_csv_open(&csv, path, 0);

    if (status != 0) return status;
    for (i = 0; i < table->count; i++) {
        ex_csv_text(&csv, table->cells[i]);
        if ((i + 1) % table->columns == 0) ex_csv_end_line(&csv);
    }
    return ex_csv_close(&csv);
}

/* ---- files and directories ----------------------------------------------------------------- */

static inline int ex__is_separator(char c) {
#ifdef _WIN32
    return c == '/' || c == '\\';
#else
    return c == '/';
#endif
}

/* Makes one directory unless it is there; 0, or an error number. */
static inline int ex__make_directory(const char *path) {
#ifdef _WIN32
    return _mkdir(path) == 0 || errno == EEXIST ? 0 : errno;
#else
    const int error = mkdir(path, 0777) == 0 ? 0 : errno;
    struct stat there;

    return error == EEXIST && stat(path, &there) == 0 && S_ISDIR(there.st_mode) ? 0 : error;
#endif
}

/* Makes a directory, and its parents, unless they are there. Parents are only looked at when they
   are missed: those that are there may be closed to the user. Returns the exit status. */
static inline int ex_directory(const char *path) {
    size_t end = strlen(path);
    int error = ex__make_directory(path), status = 0;

    while (end > 0 && ex__is_separator(path[end - 1])) /* a/b// */
        end--;
    while (end > 0 && !ex__is_separator(path[end - 1])) /* b */
        end--;
    while (end > 0 && ex__is_separator(path[end - 1])) /* / */
        end--;
    if (error == ENOENT && end > 0) {
        ex_text parent = {NULL, 0, 0};

        ex_text_add(&parent, "%.*s", (int)end, path);
        status = ex_directory(parent.data);
        error = status == 0 ? ex__make_directory(path) : 0; /* the parent's message was enough */
        ex_text_free(&parent);
    }
    if (error == 0) return status;
    ex_error("%s: this directory cannot be made: %s", path, strerror(error));
    return EX_FAILED;
}

/* A character of a name as a file name has it: what some file system forbids is replaced. */
static inline char ex__file_character(char c) {
    return (unsigned char)c < 0x20 || strchr("/\\:*?\"<>| ", c) != NULL ? '_' : c;
}

/* "directory/name.extension"; the name as a file name. */
static inline void ex_path(ex_text *path, const char *directory, const char *name,
                           const char *extension) {
    const size_t start = strlen(directory) + 1;
    size_t i;

    path->length = 0;
    ex_text_add(path, "%s/%s", directory, name);
    for (i = start; i < path->length; i++) path->data[i] = ex__file_character(path->data[i]);
    ex_text_add(path, ".%s", extension);
}

/* Whether two names of one directory may become the same file: on some systems capitals do not
   count. */
static inline int ex_same_file(const char *a, const char *b) {
    while (*a != '\0' && tolower((unsigned char)ex__file_character(*a)) ==
                             tolower((unsigned char)ex__file_character(*b))) {
        a++;
        b++;
    }
    return *a == '\0' && *b == '\0';
}

#ifdef EX_POSIX
/* The directory that a path is in. */
static inline int ex__stat_directory(const char *path, struct stat *there) {
    const char *slash = strrchr(path, '/');
    ex_text directory = {NULL, 0, 0};
    int failed;

    if (slash == NULL) ex_text_add(&directory, ".");
    else ex_text_add(&directory, "%.*s", slash == path ? 1 : (int)(slash - path), path);
    failed = stat(directory.data, there);
    ex_text_free(&directory);
    return failed;
}
#endif

/* Whether two paths lead to one file, or would if they were written; devices and pipes do not
   count, nor does NULL. */
static inline int ex_one_file(const char *a, const char *b) {
#ifdef EX_POSIX
    struct stat x, y;
    int there, other;

    if (a == NULL || b == NULL) return 0;
    there = stat(a, &x) == 0;
    other = stat(b, &y) == 0;
    if (there && other) return S_ISREG(x.st_mode) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
    if (there || other || ex__stat_directory(a, &x) != 0 || ex__stat_directory(b, &y) != 0)
        return 0;
    a = strrchr(a, '/') != NULL ? strrchr(a, '/') + 1 : a;
    b = strrchr(b, '/') != NULL ? strrchr(b, '/') + 1 : b;
    return x.st_dev == y.st_dev && x.st_ino == y.st_ino && ex_same_file(a, b);
#elif defined(_WIN32)
    char x[4096], y[4096];

    return a != NULL && b != NULL && _fullpath(x, a, sizeof x) != NULL &&
           _fullpath(y, b, sizeof y) != NULL && ex_same_file(x, y);
#else
    return a != NULL && b != NULL && strcmp(a, b) == 0;
#endif
}

/* Refuses an output that would replace what another option names. Options without dashes, NULL
   paths are not given. Returns 0, or after a message the exit status. */
static inline int ex_apart(const char *option, const char *path, const char *other_option,
                           const char *other) {
    if (!ex_one_file(path, other)) return 0;
    ex_error("--%s %s: the same file as --%s %s; give another name", option, path, other_option,
             other);
    return EX_USAGE;
}

/* A file's bytes and a '\0' after them, NULL where there is no such file. Returns the exit
   status. */
static inline int ex__read_file(const char *path, char **text, size_t *size) {
    FILE *file = fopen(path, "rb");
    char *data = NULL;
    size_t capacity = 0, length = 0, got;
    int failed = file == NULL && errno != ENOENT;

    while (file != NULL) {
        data = (char *)ex_grow(data, &capacity, length + 65536, 1);
        got = fread(data + length, 1, 65535, file);
        length += got;
        data[length] = '\0';
        if (got > 0) continue;
        failed = ferror(file);
        fclose(file);
        file = NULL;
    }
    *text = data;
    *size = length;
    if (failed) ex_error("%s: cannot be read", path);
    return failed ? EX_FAILED : 0;
}

/* ---- figures ------------------------------------------------------------------------------- */

static const char *const ex_palette[8] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                          "#e69f00", "#56b4e9", "#8c6d46", "#666666"};

/* A text as SVG has it. */
static inline void ex_svg_text(FILE *file, double x, double y, const char *attributes,
                               const char *text) {
    fprintf(file, "<text x=\"%.1f\" y=\"%.1f\" %s>", x, y, attributes);
    for (; *text != '\0'; text++) {
        if (*text == '<') fputs("&lt;", file);
        else if (*text == '&') fputs("&amp;", file);
        else if ((unsigned char)*text >= 0x20) fputc(*text, file);
    }
    fputs("</text>\n", file);
}

/* A new figure, directory/name.svg; NULL after a message. Ends with ex_svg_close. */
static inline FILE *ex_svg_open(const char *directory, const char *name, double width,
                                double height, ex_text *path) {
    FILE *file;

    ex_path(path, directory, name, "svg");
    file = ex_open(path->data);
    if (file == NULL) return NULL;
    fprintf(file,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" "
            "viewBox=\"0 0 %.0f %.0f\" font-family=\"Helvetica, Arial, sans-serif\" "
            "font-size=\"13\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
            width, height, width, height);
    return file;
}

static inline int ex_svg_close(FILE *file, const char *path) {
    fputs("</svg>\n", file);
    return ex_close(file, path);
}

/* An axis: values from low to high lie between two positions. */
typedef struct ex_scale {
    double low, high, from, to;
    int logarithmic;
} ex_scale;

/* Widens low .. high so that the values are in it; on a logarithmic axis those above 0. */
static inline void ex_scale_cover(ex_scale *scale, const double *values, int64_t n) {
    int64_t i;

    for (i = 0; i < n; i++) {
        if (!(fabs(values[i]) <= 1e300) || (scale->logarithmic && !(values[i] > 0))) continue;
        scale->low = !(scale->low <= values[i]) ? values[i] : scale->low;
        scale->high = !(scale->high >= values[i]) ? values[i] : scale->high;
    }
}

/* Starts with nothing to show. */
static inline ex_scale ex_scale_start(int logarithmic, double from, double to) {
    ex_scale scale;

    scale.low = scale.high = (double)NAN;
    scale.from = from;
    scale.to = to;
    scale.logarithmic = logarithmic;
    return scale;
}

/* Leaves some room at both ends, and makes an axis of nothing or of one value drawable. */
static inline void ex_scale_finish(ex_scale *scale) {
    if (!(scale->low <= scale->high)) scale->low = scale->high = scale->logarithmic ? 1 : 0;
    if (scale->logarithmic) {
        const double room = scale->high > scale->low ? pow(scale->high / scale->low, 0.05) : 2;

        scale->low /= room;
        scale->high *= room;
    } else {
        double room = scale->high - scale->low;

        if (!(room > 1e-12 * fabs(scale->high))) room = fabs(scale->low) > 0 ? fabs(scale->low) : 1;
        scale->low -= 0.05 * room;
        scale->high += 0.05 * room;
    }
}

/* Position of a value; outside of the axis: its end. */
static inline double ex_place(const ex_scale *s, double value) {
    double part;

    if (s->logarithmic) part = value > 0 ? log(value / s->low) / log(s->high / s->low) : 0;
    else part = (value - s->low) / (s->high - s->low);
    part = part < 0 ? 0 : part > 1 ? 1 : part;
    return s->from + part * (s->to - s->from);
}

/* The ticks of an axis, at most `room`: multiples of a round step, or 1, 2, 5 times powers of ten;
   of ten alone where there are many. Returns how many. */
static inline int ex__ticks(const ex_scale *s, double *ticks, int room) {
    static const double digits[3] = {1, 2, 5};
    const double decades = s->logarithmic ? log10(s->high / s->low) : 0;
    int count = 0, k;

    if (s->logarithmic && decades > 0.8) {
        const int every = decades > 3 ? 3 : 1;
        const double stride = every == 3 ? ceil(decades / 8) : 1;
        double power;

        for (power = floor(log10(s->low)); power <= log10(s->high); power += stride)
            for (k = 0; k < 3 && count < room; k += every) {
                ticks[count] = digits[k] * pow(10, power);
                count += ticks[count] >= s->low && ticks[count] <= s->high;
            }
    } else {
        const double raw = (s->high - s->low) / 5, unit = pow(10, floor(log10(raw)));
        const double step = raw / unit < 1.5   ? unit
                            : raw / unit < 3.5 ? 2 * unit
                            : raw / unit < 7.5 ? 5 * unit
                                               : 10 * unit;
        double v;

        for (v = ceil(s->low / step) * step; v <= s->high && count < room; v += step)
            ticks[count++] = fabs(v) < step / 2 ? 0.0 : v;
    }
    return count;
}

/* Long numbers would reach into the label beside them: 2e5 for 200000. */
static inline void ex__tick_text(double v, char *text, size_t size) {
    const int power = fabs(v) >= 1e5 ? (int)floor(log10(fabs(v)) + 1e-9) : 0;

    if (power > 0) snprintf(text, size, "%.6ge%d", v / pow(10, power), power);
    else snprintf(text, size, "%.6g", v);
}

/* Grid, numbers and frame. */
static inline void ex__svg_ticks(FILE *file, const ex_scale *x, const ex_scale *y) {
    double ticks[40];
    char text[40];
    int i, n = ex__ticks(x, ticks, 40);

    for (i = 0; i < n; i++) {
        fprintf(file, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"#ddd\"/>\n",
                ex_place(x, ticks[i]), y->from, ex_place(x, ticks[i]), y->to);
        ex__tick_text(ticks[i], text, sizeof text);
        ex_svg_text(file, ex_place(x, ticks[i]), y->from + 18, "text-anchor=\"middle\"", text);
    }
    n = ex__ticks(y, ticks, 40);
    for (i = 0; i < n; i++) {
        fprintf(file, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"#ddd\"/>\n",
                x->from, ex_place(y, ticks[i]), x->to, ex_place(y, ticks[i]));
        ex__tick_text(ticks[i], text, sizeof text);
        ex_svg_text(file, x->from - 8, ex_place(y, ticks[i]) + 4, "text-anchor=\"end\"", text);
    }
    fprintf(file,
            "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"none\" "
            "stroke=\"#444\"/>\n",
            x->from, y->to, x->to - x->from, y->from - y->to);
}

/* What a plot shows: n points, joined by a line where asked for, with a band or bars of y - error
   to y + error. What is not finite is left out and interrupts the line. */
typedef struct ex_series {
    const char *name; /* for the legend; NULL: not in it */
    const double *x, *y;
    const double *error; /* or NULL */
    int64_t n;
    int line, dashed; /* 1: joined, and how */
    int colour;       /* of ex_palette, modulo 8 */
} ex_series;

typedef struct ex_plot {
    const char *title, *x_label, *y_label; /* labels with units */
    int log_x, log_y;
    const ex_series *series;
    int count;
    double mark_x;         /* a vertical line here, if it has a text */
    const char *mark_text; /* or NULL */
} ex_plot;

static inline int ex__drawable(const ex_plot *plot, const ex_series *s, int64_t i) {
    return fabs(s->x[i]) <= 1e300 && fabs(s->y[i]) <= 1e300 && (!plot->log_x || s->x[i] > 0) &&
           (!plot->log_y || s->y[i] > 0);
}

/* A band per run of drawable points; bars where there is no line. */
static inline void ex__svg_band(FILE *file, const ex_plot *plot, const ex_series *s,
                                const ex_scale *x, const ex_scale *y) {
    const char *colour = ex_palette[s->colour % 8];
    int64_t i, k, end;

    for (i = 0; i < s->n; i = end + 1) {
        for (end = i; end < s->n && ex__drawable(plot, s, end) && s->error[end] >= 0; end++)
            if (!s->line)
                fprintf(file, "<path d=\"M%.1f %.1fV%.1f\" stroke=\"%s\" fill=\"none\"/>\n",
                        ex_place(x, s->x[end]), ex_place(y, s->y[end] - s->error[end]),
                        ex_place(y, s->y[end] + s->error[end]), colour);
        if (!s->line || end - i < 2) continue;
        fputs("<path d=\"", file);
        for (k = i; k < end; k++)
            fprintf(file, "%c%.1f %.1f", k == i ? 'M' : 'L', ex_place(x, s->x[k]),
                    ex_place(y, s->y[k] + s->error[k]));
        for (k = end; k-- > i;)
            fprintf(file, "L%.1f %.1f", ex_place(x, s->x[k]), ex_place(y, s->y[k] - s->error[k]));
        fprintf(file, "Z\" fill=\"%s\" fill-opacity=\"0.2\"/>\n", colour);
    }
}

static inline void ex__svg_series(FILE *file, const ex_plot *plot, const ex_series *s,
                                  const ex_scale *x, const ex_scale *y) {
    const char *colour = ex_palette[s->colour % 8];
    int64_t i;
    int open = 0;

    if (s->error != NULL) ex__svg_band(file, plot, s, x, y);
    for (i = 0; s->line && i <= s->n; i++) {
        const int drawn = i < s->n && ex__drawable(plot, s, i);

        if (drawn)
            fprintf(file, "%s%.1f %.1f", open ? "L" : "<path d=\"M", ex_place(x, s->x[i]),
                    ex_place(y, s->y[i]));
        else if (open)
            fprintf(file, "\" stroke=\"%s\" stroke-width=\"1.8\"%s fill=\"none\"/>\n", colour,
                    s->dashed ? " stroke-dasharray=\"6 4\"" : "");
        open = drawn;
    }
    for (i = 0; i < s->n; i++)
        if (ex__drawable(plot, s, i))
            fprintf(file, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%s\" fill=\"%s\"%s/>\n",
                    ex_place(x, s->x[i]), ex_place(y, s->y[i]), s->line ? "2.2" : "4", colour,
                    s->line ? "" : " fill-opacity=\"0.75\"");
}

static inline void ex__svg_legend(FILE *file, const ex_plot *plot, double left, double top) {
    int k;

    for (k = 0; k < plot->count; k++) {
        const ex_series *s = &plot->series[k];
        const char *colour = ex_palette[s->colour % 8];

        if (s->name == NULL) continue;
        if (s->line)
            fprintf(file, "<path d=\"M%.1f %.1fh20\" stroke=\"%s\" stroke-width=\"2\"%s/>\n", left,
                    top, colour, s->dashed ? " stroke-dasharray=\"6 4\"" : "");
        else
            fprintf(file,
                    "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"%s\" "
                    "fill-opacity=\"0.75\"/>\n",
                    left + 10, top, colour);
        ex_svg_text(file, left + 26, top + 4, "", s->name);
        top += 20;
    }
}

/* Room that the legend takes at the right, by a guess of the width of its texts. */
static inline double ex__legend_width(const ex_plot *plot) {
    size_t longest = 0;
    int k;

    for (k = 0; k < plot->count; k++)
        if (plot->series[k].name != NULL && strlen(plot->series[k].name) > longest)
            longest = strlen(plot->series[k].name);
    return longest > 0 ? 40 + 7.2 * (double)longest : 0;
}

/* Draws a plot into a box, its labels and legend included. */
static inline void ex_plot_draw(FILE *file, const ex_plot *plot, double left, double top,
                                double width, double height) {
    const double legend = ex__legend_width(plot), bottom = top + height;
    ex_scale x = ex_scale_start(plot->log_x, left + 78, left + width - legend - 16);
    ex_scale y = ex_scale_start(plot->log_y, bottom - 50, top + 36);
    char turned[120];
    int k;

    for (k = 0; k < plot->count; k++) {
        const ex_series *s = &plot->series[k];
        int64_t i;

        ex_scale_cover(&x, s->x, s->n);
        ex_scale_cover(&y, s->y, s->n);
        for (i = 0; s->error != NULL && i < s->n; i++) {
            const double ends[2] = {s->y[i] - s->error[i], s->y[i] + s->error[i]};

            ex_scale_cover(&y, ends, 2);
        }
    }
    ex_scale_finish(&x);
    ex_scale_finish(&y);
    ex__svg_ticks(file, &x, &y);
    if (plot->title != NULL) ex_svg_text(file, x.from, top + 22, "font-size=\"14\"", plot->title);
    ex_svg_text(file, (x.from + x.to) / 2, bottom - 12, "text-anchor=\"middle\" font-size=\"14\"",
                plot->x_label);
    snprintf(turned, sizeof turned,
             "text-anchor=\"middle\" font-size=\"14\" transform=\"rotate(-90 %.1f %.1f)\"",
             left + 18, (y.from + y.to) / 2);
    ex_svg_text(file, left + 18, (y.from + y.to) / 2, turned, plot->y_label);
    if (plot->mark_text != NULL) {
        const double at = ex_place(&x, plot->mark_x);

        fprintf(file, "<path d=\"M%.1f %.1fV%.1f\" stroke=\"#888\" stroke-dasharray=\"3 3\"/>\n",
                at, y.from, y.to);
        ex_svg_text(file, at + (at > (x.from + x.to) / 2 ? -5 : 5), y.to + 14,
                    at > (x.from + x.to) / 2 ? "text-anchor=\"end\" font-size=\"11\""
                                             : "font-size=\"11\"",
                    plot->mark_text);
    }
    for (k = 0; k < plot->count; k++) ex__svg_series(file, plot, &plot->series[k], &x, &y);
    ex__svg_legend(file, plot, left + width - legend, top + 50);
}

/* Two lines above the plots of a figure, which begin EX_SVG_HEAD below the top then. */
#define EX_SVG_HEAD 48.0

static inline void ex_svg_head(FILE *file, const char *first, const char *second) {
    ex_svg_text(file, 18, 22, "font-size=\"14\"", first);
    ex_svg_text(file, 18, 42, "font-size=\"12\" fill=\"#555\"", second);
}

/* A figure of plots below and beside one another, `across` in a row, under the lines of a head
   (both NULL: none). */
static inline int ex_plots_write(const char *directory, const char *name, const char *first,
                                 const char *second, const ex_plot *plots, int count, int across,
                                 double width, double height) {
    const double head = first != NULL ? EX_SVG_HEAD : 0;
    const int rows = (count + across - 1) / across;
    ex_text path = {NULL, 0, 0};
    FILE *file = ex_svg_open(directory, name, width * across, head + height * rows, &path);
    int i, status = EX_FAILED;

    if (file != NULL) {
        if (first != NULL) ex_svg_head(file, first, second);
        for (i = 0; i < count; i++)
            ex_plot_draw(file, &plots[i], width * (i % across), head + height * (i / across), width,
                         height);
        status = ex_svg_close(file, path.data);
    }
    ex_text_free(&path);
    return status;
}

/* ---- data ---------------------------------------------------------------------------------- */

#define EX_DATA_DIRECTORY "examples/data"

/* Zero fields: grey, as stored, all images, no normalization. CIFAR keeps its channels and size. */
typedef struct ex_data_request {
    const char *directory; /* EX_DATA_DIRECTORY: also looked for beside the program */
    const char *program;   /* argv[0] */
    int64_t channels, pad_to;
    int64_t train_images, test_images; /* only the first ones */
    prun_normalization normalization;  /* MEAN_STD: constants of the images trained on */
} ex_data_request;

typedef struct ex_data {
    prun_images train, test;
    const char *name; /* the naming scheme's: which data set this is, for tables */
    int32_t *labels;  /* NULL, or the training labels in place of those read; from malloc */
} ex_data;

enum { EX_TRAIN_IMAGES, EX_TRAIN_LABELS, EX_TEST_IMAGES, EX_TEST_LABELS };

/* File names: those shipped with the examples, those of the MNIST family's authors, and the binary
   files of CIFAR-10 and CIFAR-100. */
#define EX_DATA_SCHEMES 4

static inline const char *ex__data_name(int scheme, int part) {
    static const char *const names[EX_DATA_SCHEMES][4] = {
        {"fashion-mnist-train-images.idx3-ubyte", "fashion-mnist-train-labels.idx1-ubyte",
         "fashion-mnist-test-images.idx3-ubyte", "fashion-mnist-test-labels.idx1-ubyte"},
        {"train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte",
         "t10k-labels-idx1-ubyte"},
        {"data_batch_1.bin", "data_batch_1.bin", "test_batch.bin", "test_batch.bin"},
        {"train.bin", "train.bin", "test.bin", "test.bin"}};

    return names[scheme][part];
}

static inline void ex__data_path(ex_text *path, const char *directory, int scheme, int part) {
    path->length = 0;
    ex_text_add(path, "%s/%s", directory, ex__data_name(scheme, part));
}

/* Number of the naming scheme that a directory follows, -1 if there is no data in it. */
static inline int ex__data_scheme(const char *directory) {
    ex_text path = {NULL, 0, 0};
    int scheme;

    for (scheme = 0; scheme < EX_DATA_SCHEMES; scheme++) {
        FILE *file;

        ex__data_path(&path, directory, scheme, EX_TRAIN_IMAGES);
        file = fopen(path.data, "rb");
        if (file != NULL) {
            fclose(file);
            break;
        }
    }
    ex_text_free(&path);
    return scheme < EX_DATA_SCHEMES ? scheme : -1;
}

/* What a directory without data is. */
static inline const char *ex__data_problem(const char *directory) {
#ifdef EX_POSIX
    struct stat there;

    if (stat(directory, &there) != 0)
        return errno == ENOENT ? "there is no such directory" : strerror(errno);
    if (!S_ISDIR(there.st_mode)) return "not a directory";
#endif
    (void)directory;
    return "no data set in it";
}

/* Says where data was looked for, and what is wanted. */
static inline void ex__data_missing(const ex_data_request *request, const char *tried) {
    ex_error("%s: %s%s%s; --data DIR names a directory with %s or %s (IDX files of the MNIST "
             "family), %s (CIFAR-10, binary) or %s (CIFAR-100, binary)",
             request->directory, ex__data_problem(request->directory),
             *tried != '\0' ? ", and none in " : "", tried, ex__data_name(0, EX_TRAIN_IMAGES),
             ex__data_name(1, EX_TRAIN_IMAGES), ex__data_name(2, EX_TRAIN_IMAGES),
             ex__data_name(3, EX_TRAIN_IMAGES));
}

/* The directory to read. The default one is relative to the project root, but programs are also
   started from examples/ or from elsewhere by their path. Returns the naming scheme, -1 after a
   message. */
static inline int ex__data_directory(const ex_data_request *request, ex_text *directory) {
    static const char *const beside[] = {"data", "../examples/data"};
    const char *program = request->program != NULL ? request->program : "";
    const char *slash = strrchr(program, '/');
    const int length = slash != NULL ? (int)(slash - program) : 1;
    ex_text tried = {NULL, 0, 0};
    int i, scheme = ex__data_scheme(request->directory);

    ex_text_add(directory, "%s", request->directory);
    ex_text_add(&tried, "%s", "");
    for (i = 0; scheme < 0 && i < 2 && strcmp(request->directory, EX_DATA_DIRECTORY) == 0; i++) {
        directory->length = 0;
        ex_text_add(directory, "%.*s/%s", length, slash != NULL ? program : ".", beside[i]);
        ex_text_add(&tried, "%s%s", i > 0 ? " or " : "", directory->data);
        scheme = ex__data_scheme(directory->data);
    }
    if (scheme < 0) ex__data_missing(request, tried.data);
    ex_text_free(&tried);
    return scheme;
}

/* Refuses an output that would replace a file of the data. Returns 0, or after a message the exit
   status. */
static inline int ex_data_apart(const ex_data_request *request, const char *option,
                                const char *path) {
    ex_text directory = {NULL, 0, 0}, file = {NULL, 0, 0};
    const int scheme = path != NULL ? ex__data_directory(request, &directory) : 0;
    int part, k, status = scheme < 0 ? EX_FAILED : 0;

    for (part = 0; path != NULL && status == 0 && part < 4; part++)
        for (k = 1; k <= (scheme == 2 && part == 0 ? 5 : 1) && status == 0; k++) {
            ex__data_path(&file, directory.data, scheme, part);
            if (scheme == 2 && part == 0) file.data[file.length - 5] = (char)('0' + k);
            status = ex_apart(option, path, "data", file.data);
        }
    ex_text_free(&directory);
    ex_text_free(&file);
    return status;
}

/* The five files of CIFAR-10's training set, or one file. */
static inline prun_status ex__data_cifar(prun_context *context, const char *directory, int scheme,
                                         int part, prun_images *images) {
    const int64_t count = scheme == 2 && part == EX_TRAIN_IMAGES ? 5 : 1;
    ex_text path[5];
    const char *paths[5];
    prun_status status;
    int64_t i;

    memset(path, 0, sizeof path);
    for (i = 0; i < count; i++) {
        ex__data_path(&path[i], directory, scheme, part);
        if (count > 1) path[i].data[path[i].length - 5] = (char)('1' + i);
        paths[i] = path[i].data;
    }
    status = prun_images_load_cifar(context, paths, count, scheme == 2 ? 10 : 100, images);
    for (i = 0; i < count; i++) ex_text_free(&path[i]);
    return status;
}

/* Reads one of the two sets (first part: EX_TRAIN_IMAGES or EX_TEST_IMAGES), cut to `limit`. */
static inline int ex__data_set(prun_context *context, const ex_data_request *request,
                               const char *directory, int scheme, int part, int64_t limit,
                               prun_images *images) {
    ex_text image_path = {NULL, 0, 0}, label_path = {NULL, 0, 0};
    prun_idx_options options = {0, 0, 0};
    prun_status status;

    options.channels = request->channels;
    options.pad_to = request->pad_to;
    ex__data_path(&image_path, directory, scheme, part);
    ex__data_path(&label_path, directory, scheme, part + 1);
    status = scheme >= 2 ? ex__data_cifar(context, directory, scheme, part, images)
                         : prun_images_load_idx(context, image_path.data, label_path.data, &options,
                                                images);
    ex_text_free(&image_path);
    ex_text_free(&label_path);
    if (status != PRUN_OK) return ex_failure(context, "data");
    if (limit > images->count) {
        ex_error("%s: only %ld of the %ld images asked for are there", ex__data_name(scheme, part),
                 (long)images->count, (long)limit);
        prun_images_free(images);
        return EX_USAGE;
    }
    images->count = limit > 0 ? limit : images->count;
    return 0;
}

static inline void ex_free_data(ex_data *data) {
    prun_images_free(&data->train);
    prun_images_free(&data->test);
    free(data->labels);
    data->labels = NULL;
}

/* Both sets get the normalization asked for. Returns 0 or, after a message, the exit status. */
static inline int ex__normalize(prun_context *context, prun_normalization normalization,
                                ex_data *data) {
    data->train.normalization = normalization;
    data->test.normalization = normalization;
    if (normalization != PRUN_NORMALIZATION_MEAN_STD) return 0;
    if (prun_images_standardize(context, &data->train) != PRUN_OK)
        return ex_failure(context, "data");
    memcpy(data->test.mean, data->train.mean, sizeof data->test.mean);
    memcpy(data->test.std, data->train.std, sizeof data->test.std);
    return 0;
}

/* Loads training and test images. Returns 0 or, after a message, the exit status. */
static inline int ex_load_data(prun_context *context, const ex_data_request *request,
                               ex_data *data) {
    static const char *const labels[EX_DATA_SCHEMES] = {"fashion-mnist", "idx", "cifar10",
                                                        "cifar100"};
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
    if (status == 0) status = ex__normalize(context, request->normalization, data);
    if (status != 0) ex_free_data(data);
    else data->name = labels[scheme];
    ex_text_free(&directory);
    return status;
}

/* ---- measures ------------------------------------------------------------------------------ */

static inline void ex_measure_header(ex_table *table) {
    ex_table_header(table, "measure|value|std. error|dir.|seconds|source|note");
}

/* end: what is added to the name. */
static inline void ex_measure_row(ex_table *table, const prun_measure_info *info, const char *end,
                                  const prun_measure_result *r) {
    ex_table_cell(table, "%s%s", info->name, end);
    if (r->status == PRUN_OK) ex_table_cell(table, "%.7g", r->value);
    else ex_table_cell(table, "undefined");
    if (r->standard_error == r->standard_error) ex_table_cell(table, "%.2g", r->standard_error);
    else ex_table_cell(table, "%s", "");
    ex_table_cell(table, "%s", info->direction > 0 ? "+" : info->direction < 0 ? "-" : "?");
    ex_table_cell(table, "%.3f", r->seconds);
    ex_table_cell(table, "%s", info->source);
    ex_table_cell(table, "%s", r->message);
}

/* Prints and frees the table. */
static inline void ex_measure_print(ex_table *table) {
    ex_table_print(table, stdout);
    ex_table_free(table);
    printf("\ndir.: + larger values are to go with a larger generalization gap, - with a smaller "
           "one.\nA measure that needs the result of another one costs nothing after it.\n");
}

/* ---- training that survives a kill --------------------------------------------------------- */

/* What ex_train keeps, and where; zero fields: nothing. */
typedef struct ex_keep {
    const char *path;      /* of the checkpoint, without extension */
    const char *id;        /* names all settings: a checkpoint of other ones is not used */
    int64_t every;         /* epochs from one checkpoint to the next; 0: none */
    ex_progress *progress; /* moved by `work` per epoch */
    double work;
    const int *stop; /* NULL, or: the training is cancelled when it is not 0 */
} ex_keep;

/* The epochs so far, which the library's checkpoint does not hold. Written before it, so that they
   never lag behind. */
static inline int ex__history_write(const ex_keep *keep, const prun_epoch *history, int64_t n) {
    ex_text path = {NULL, 0, 0};
    FILE *file;
    int64_t i;
    int status = EX_FAILED;

    ex_text_add(&path, "%s.history", keep->path);
    file = ex_open(path.data);
    if (file != NULL) {
        fprintf(file, "%s\n", keep->id);
        for (i = 0; i < n; i++)
            fprintf(file, "%lld %lld %.17g %.17g %.17g %.17g %lld %.17g\n",
                    (long long)history[i].epoch, (long long)history[i].epochs,
                    history[i].learning_rate, history[i].loss, history[i].error_rate,
                    history[i].evaluated_loss, (long long)history[i].steps,
                    history[i].gradient_noise);
        status = ex_close(file, path.data);
    }
    ex_text_free(&path);
    return status;
}

/* How many epochs of this training are on file, at most `epochs`. */
static inline int64_t ex__history_read(const ex_keep *keep, prun_epoch *history, int64_t epochs) {
    ex_text path = {NULL, 0, 0};
    char *text = NULL, *line;
    const size_t id = strlen(keep->id);
    size_t size;
    int64_t n = 0;

    ex_text_add(&path, "%s.history", keep->path);
    if (ex__read_file(path.data, &text, &size) == 0 && text != NULL &&
        strncmp(text, keep->id, id) == 0 && text[id] == '\n') {
        for (line = text + id + 1; n < epochs; n++) {
            prun_epoch *e = &history[n];
            long long epoch, all, steps;

            if (sscanf(line, "%lld %lld %lf %lf %lf %lf %lld %lf", &epoch, &all, &e->learning_rate,
                       &e->loss, &e->error_rate, &e->evaluated_loss, &steps,
                       &e->gradient_noise) != 8 ||
                epoch != n + 1)
                break;
            e->epoch = epoch;
            e->epochs = all;
            e->steps = steps;
            line = strchr(line, '\n');
            if (line == NULL) break;
            line++;
        }
    }
    free(text);
    ex_text_free(&path);
    return n;
}

/* Resumes from the checkpoint if there is one of the same settings. */
static inline prun_status ex__train_resume(prun_trainer *trainer, const ex_keep *keep,
                                           const char *path, prun_epoch *history, int64_t epochs) {
    const int64_t known = ex__history_read(keep, history, epochs);
    prun_context context;
    prun_safetensors *file = NULL;
    prun_status status;
    FILE *there = known > 0 ? fopen(path, "rb") : NULL;

    if (there == NULL) return PRUN_OK;
    fclose(there);
    memset(&context, 0, sizeof context);
    status = prun_safetensors_open(&context, path, &file);
    if (status != PRUN_OK) {
        ex_failure(&context, "checkpoint");
    } else {
        status = prun_trainer_read_safetensors(trainer, file);
        prun_safetensors_close(file);
    }
    if (status == PRUN_OK && prun_trainer_epoch_count(trainer) > known) {
        ex_error("%s: its .history is shorter; delete both", path);
        status = PRUN_ERR_FORMAT;
    }
    return status;
}

/* Saves the state of a training. */
static inline prun_status ex__train_save(const prun_trainer *trainer, const ex_keep *keep,
                                         const char *path, const prun_epoch *history,
                                         int64_t done) {
    prun_status status = PRUN_ERR_WRITE;

    if (ex__history_write(keep, history, done) == 0) {
        ex_hold();
        status = prun_trainer_save_safetensors(trainer, path);
        ex_release();
    }
    return status;
}

static inline int ex__stopped(const int *stop) {
    int stopped = 0;

    if (stop != NULL)
#ifdef _OPENMP
#pragma omp atomic read
#endif
        stopped = *stop;
    return stopped;
}

/* Trains as prun_train does, with the same bits, but keeps a checkpoint: after a kill the same call
   goes on from there. history: one entry per epoch. */
static inline prun_status ex_train(prun_net *net, const prun_images *images,
                                   const prun_train_options *recipe, const ex_keep *keep,
                                   prun_epoch *history) {
    const prun_train_options resolved = prun_train_resolved(recipe);
    prun_trainer *trainer = NULL;
    ex_text path = {NULL, 0, 0};
    prun_status status = prun_trainer_create(net, images, recipe, &trainer);
    int64_t done = 0;

    if (status == PRUN_OK && keep->every > 0) {
        ex_text_add(&path, "%s.safetensors", keep->path);
        status = ex__train_resume(trainer, keep, path.data, history, resolved.epochs);
        done = prun_trainer_epoch_count(trainer);
        if (keep->progress != NULL) ex_progress_add(keep->progress, keep->work * (double)done);
    }
    while (status == PRUN_OK && done < resolved.epochs) {
        status = ex__stopped(keep->stop) ? PRUN_ERR_CANCELLED
                                         : prun_trainer_run_epoch(trainer, &history[done]);
        if (status != PRUN_OK) break;
        done++;
        if (keep->progress != NULL) ex_progress_add(keep->progress, keep->work);
        if (keep->every > 0 && done % keep->every == 0 && done < resolved.epochs)
            status = ex__train_save(trainer, keep, path.data, history, done);
    }
    prun_trainer_free(trainer);
    ex_text_free(&path);
    return status;
}

/* Removes what ex_train kept. */
static inline void ex_train_forget(const ex_keep *keep) {
    static const char *const ends[] = {"safetensors", "history"};
    ex_text path = {NULL, 0, 0};
    size_t i;

    for (i = 0; keep->every > 0 && i < sizeof ends / sizeof *ends; i++) {
        path.length = 0;
        ex_text_add(&path, "%s.%s", keep->path, ends[i]);
        remove(path.data);
    }
    ex_text_free(&path);
}

/* ---- studies: many models, one CSV row each ------------------------------------------------ */

#define EX_DEMO 0
#define EX_MINI 1
#define EX_FULL 2

/* What every study lets its user choose. */
typedef struct ex_study_settings {
    int demo, mini, full, preset; /* preset: EX_DEMO, ...; the flags that chose it */
    int64_t jobs;
    const char *out, *shard_text;
    int64_t shard, shards; /* 1-based */
    int collect, yes, quiet;
} ex_study_settings;

/* Entries of an option table for the settings `s`. */
/* clang-format off */
#define EX_STUDY_OPTIONS(s, directory) \
    {"demo", EX_FLAG, &(s)->demo, NULL, 0, 0, "defaults for about a minute"}, \
    {"mini", EX_FLAG, &(s)->mini, NULL, 0, 0, "defaults for at most 30 minutes on two cores"}, \
    {"full", EX_FLAG, &(s)->full, NULL, 0, 0, "the paper's settings; wants --data"}, \
    {"out", EX_TEXT, &(s)->out, directory, 0, 0, \
     "directory for rows, figures and report; a rerun goes on there"}, \
    {"jobs", EX_INT, &(s)->jobs, "0", 0, 4096, "models at a time (OpenMP); 0: all cores"}, \
    {"shard", EX_TEXT, &(s)->shard_text, "1/1", 0, 0, "i/n: train the i-th of n parts only"}, \
    {"collect", EX_FLAG, &(s)->collect, NULL, 0, 0, "train nothing: evaluate the rows there are"}, \
    {"yes", EX_FLAG, &(s)->yes, NULL, 0, 0, "do not ask before long work"}, \
    {"quiet", EX_FLAG, &(s)->quiet, NULL, 0, 0, "no progress"}
/* clang-format on */

/* The preset that the command line asks for, before options are read: it decides their defaults.
   Without one: mini. */
static inline int ex_preset(int argc, char **argv) {
    int i, preset = EX_MINI;

    for (i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        preset = strcmp(argv[i], "--demo") == 0   ? EX_DEMO
                 : strcmp(argv[i], "--mini") == 0 ? EX_MINI
                 : strcmp(argv[i], "--full") == 0 ? EX_FULL
                                                  : preset;
    return preset;
}

/* Call after ex_parse. Returns -1 to go on, otherwise the exit status. */
static inline int ex_study_check(ex_study_settings *s) {
    long long i = 0, n = 0;
    char rest;

    if (s->demo + s->mini + s->full > 1) {
        ex_error("--demo, --mini and --full exclude one another");
        return EX_USAGE;
    }
    s->preset = s->demo ? EX_DEMO : s->full ? EX_FULL : EX_MINI;
    if (sscanf(s->shard_text, "%lld/%lld%c", &i, &n, &rest) != 2 || n < 1 || n > 1000000 || i < 1 ||
        i > n) {
        ex_error("--shard %s: not i/n with 1 <= i <= n", s->shard_text);
        return EX_USAGE;
    }
    s->shard = i;
    s->shards = n;
    ex_interruptible("; run the same command again to resume");
#ifndef _OPENMP
    if (s->jobs > 1) ex_note("built without OpenMP: one model at a time; shards use more cores");
#endif
    return -1;
}

/* Fill what is above the line, then: ex_study_open, ex_study_run, ex_study_close. The rows are in
   `path` afterwards, sorted by model: read them with prun_table_load_csv. */
typedef struct ex_study {
    const ex_study_settings *set;
    int64_t count;     /* models */
    const char *names; /* columns "a,b,c"; the first `keys` say which model a row is */
    int keys;
    void *user;
    /* Appends the key's cells; may be asked more than once. The key holds every setting that
       changes a result. */
    void (*key)(void *user, int64_t model, ex_csv *row);
    /* Appends all other cells. Called by several threads at once; moves the progress bar by
       ex_progress_add(&study->progress, ...), in all by work(). Non-zero: no row, after a message;
       a rerun tries again. A model that diverged is a result and has a row. */
    int (*run)(void *user, int64_t model, ex_csv *row);
    double (*work)(void *user, int64_t model); /* in a unit proportional to time */
    int64_t save_every; /* epochs from one checkpoint of a training to the next; 0: none */
    /* ---- set by the functions ---- */
    ex_text path;
    int columns;
    unsigned char *is_text; /* per column */
    char **key_text, **row; /* per model; row: without its end of line, NULL while there is none */
    unsigned char *mine;    /* per model: of this shard */
    int64_t *order, to_do;  /* models of this shard without a row, expensive ones first */
    double total, left;     /* work: of the shard, and what is not done */
    ex_csv csv;
    ex_progress progress;
    int lock, failed;
    int stop; /* 1: a file could not be written, so that nothing more is */
} ex_study;

/* Cells gathered as text, in memory from malloc. */
static inline char *ex__cells(ex_csv *csv) {
    char *text;

    ex_text_add(&csv->line, "%s", "");
    text = csv->line.data;
    memset(csv, 0, sizeof *csv);
    return text;
}

/* The model whose key begins a row, -1: none. */
static inline int64_t ex__row_model(const ex_study *s, const char *line) {
    int64_t i;

    for (i = 0; i < s->count; i++) {
        const size_t length = strlen(s->key_text[i]);

        if (strncmp(line, s->key_text[i], length) == 0 && line[length] == ',') return i;
    }
    return -1;
}

/* Reads a cell as ex_csv_text writes it. Returns where it ends, at ',' or '\0'; NULL: its quotes
   are damaged. */
static inline const char *ex__cell(const char *at, ex_text *cell) {
    const int quoted = *at == '"';

    cell->length = 0;
    ex_text_add(cell, "%s", "");
    for (at += quoted; *at != '\0' && (quoted || *at != ','); at++) {
        if (*at == '"' && (!quoted || at[1] != '"')) break;
        at += *at == '"';
        ex_text_add(cell, "%c", *at);
    }
    if (quoted && *at++ != '"') return NULL;
    return *at == ',' || *at == '\0' ? at : NULL;
}

/* Whether a cell is what ex_csv_number writes: nothing for NaN, an infinity, or digits. */
static inline int ex__is_cell_number(const char *cell) {
    if (*cell == '\0' || strcmp(cell, "inf") == 0 || strcmp(cell, "-inf") == 0) return 1;
    return ex__starts_number(cell) && ex__is_number(cell);
}

/* Finds out how many columns there are and which hold text: those of the key where a key does, and
   these of the others. */
static inline void ex__study_columns(ex_study *s) {
    static const char *const texts[] = {"status", "version", "isa"};
    const char *name = s->names, *at = s->count > 0 ? s->key_text[0] : NULL;
    ex_text cell = {NULL, 0, 0};
    int column;
    size_t k;

    s->columns = 1;
    for (; *name != '\0'; name++) s->columns += *name == ',';
    s->is_text = (unsigned char *)ex_allocate((size_t)s->columns, 1);
    for (column = 0, name = s->names; column < s->columns; column++) {
        const size_t length = strcspn(name, ",");

        for (k = 0; k < sizeof texts / sizeof *texts; k++)
            if (strlen(texts[k]) == length && strncmp(name, texts[k], length) == 0)
                s->is_text[column] = 1;
        name += length + (name[length] == ',');
    }
    for (column = 0; at != NULL && column < s->keys; column++) {
        at = ex__cell(at, &cell);
        s->is_text[column] = !ex__is_cell_number(cell.data);
        at = at != NULL && *at == ',' ? at + 1 : NULL;
    }
    ex_text_free(&cell);
}

/* Why a line is no whole row, added to `why`, which stays empty if it is one. */
static inline void ex__row_damage(const ex_study *s, const char *line, size_t length,
                                  ex_text *why) {
    ex_text cell = {NULL, 0, 0};
    const char *at = line;
    int count;

    why->length = 0;
    ex_text_add(why, "%s", strlen(line) != length ? "a zero byte in it" : "");
    for (count = 0; why->length == 0; at++) {
        at = ex__cell(at, &cell);
        if (at == NULL) ex_text_add(why, "quotes that do not match");
        else if (count < s->columns &&
                 ((cell.length == 0 && (s->is_text[count] || count < s->keys)) ||
                  (!s->is_text[count] && !ex__is_cell_number(cell.data))))
            ex_text_add(why, "\"%s\" in column %d", cell.data, count + 1);
        count++;
        if (at == NULL || *at == '\0') break;
    }
    if (why->length == 0 && count != s->columns)
        ex_text_add(why, "%d cells where %d are due", count, s->columns);
    ex_text_free(&cell);
}

/* Whether a line is a header, of this program or of another one: its first cell is a name. */
static inline int ex__is_header(const ex_study *s, const char *line) {
    const size_t length = strcspn(s->names, ",");

    return strncmp(line, s->names, length) == 0 && (line[length] == ',' || line[length] == '\0');
}

/* A line of the file: a header, a row, which is taken over, or a damaged row, for which `why` tells
   the reason. Returns the exit status. */
static inline int ex__study_line(ex_study *s, const char *line, size_t length, long number,
                                 ex_text *why) {
    const int header = number == 1 || ex__is_header(s, line), zeros = strlen(line) != length;
    int64_t model = -1;

    why->length = 0;
    if (number == 1 && strncmp(line, "\xef\xbb\xbf", 3) == 0)
        line += 3; /* the byte-order mark of a spreadsheet */
    if (!header) {
        ex__row_damage(s, line, length, why);
        if (why->length > 0) return 0;
        model = ex__row_model(s, line);
    }
    if (header ? strcmp(line, s->names) != 0 : model < 0) {
        ex_error("%s: line %ld: %s; give another --out, or the options of that run", s->path.data,
                 number,
                 !header ? "a model of other settings"
                 : zeros ? "zero bytes instead of a header"
                         : "other columns than those of this program");
        return EX_USAGE;
    }
    if (model >= 0 && s->row[model] == NULL) {
        s->row[model] = (char *)ex_allocate(length + 1, 1);
        memcpy(s->row[model], line, length);
    }
    return 0;
}

/* Takes over the rows of an earlier run. Headers may repeat, so that files can be joined with cat;
   of two rows of a model the first whole one counts. Damaged rows are left out: a full disk, a copy
   that broke off or an editor may have made them, and their models have no result. */
static inline int ex__study_read(ex_study *s) {
    ex_text why = {NULL, 0, 0}, first = {NULL, 0, 0};
    char *data, *line, *end;
    size_t size;
    long number = 1, damaged = 0;
    int status = ex__read_file(s->path.data, &data, &size);

    for (line = data; data != NULL && status == 0 && line < data + size; number++) {
        size_t length;

        end = (char *)memchr(line, '\n', (size_t)(data + size - line));
        length = (size_t)((end != NULL ? end : data + size) - line);
        line[length] = '\0';
        if (end != NULL && length > 0 && line[length - 1] == '\r') line[--length] = '\0';
        if (end != NULL || (number == 1 && strncmp(line, s->names, length) != 0)) {
            status = ex__study_line(s, line, length, number, &why);
        } else { /* the line that was being written at the end */
            why.length = 0;
            ex_text_add(&why, "no end of line");
        }
        if (why.length > 0 && damaged++ == 0) ex_text_add(&first, "line %ld: %s", number, why.data);
        line = end != NULL ? end + 1 : data + size;
    }
    if (status == 0 && damaged > 0)
        ex_note("%s: %ld damaged row%s left out, the model%s to be run again (%s%s)", s->path.data,
                damaged, damaged > 1 ? "s" : "", damaged > 1 ? "s are" : " is",
                damaged > 1 ? "the first: " : "", first.data);
    free(data);
    ex_text_free(&why);
    ex_text_free(&first);
    return status;
}

/* Puts the rows, in order of the models, in the place of the file, unless that is what it holds. */
static inline int ex__study_write(ex_study *s) {
    ex_text text = {NULL, 0, 0};
    char *there = NULL;
    size_t size = 0;
    FILE *file;
    int64_t i;
    int status;

    ex_text_add(&text, "%s\n", s->names);
    for (i = 0; i < s->count; i++)
        if (s->row[i] != NULL) ex_text_add(&text, "%s\n", s->row[i]);
    status = ex__read_file(s->path.data, &there, &size);
    if (status == 0 &&
        (there == NULL || size != text.length || memcmp(there, text.data, size) != 0)) {
        file = ex_open(s->path.data);
        if (file != NULL) fwrite(text.data, 1, text.length, file);
        status = file != NULL ? ex_close(file, s->path.data) : EX_FAILED;
    }
    free(there);
    ex_text_free(&text);
    return status;
}

/* Two programs that rewrite one file would lose rows. The system lets go of the lock when the
   program ends, however it does. */
static inline int ex__study_lock(ex_study *s) {
    s->lock = -1;
#ifdef EX_POSIX
    {
        ex_text path = {NULL, 0, 0};
        struct flock lock;
        int status = 0;

        memset(&lock, 0, sizeof lock);
        lock.l_type = F_WRLCK;
        lock.l_whence = SEEK_SET;
        ex_text_add(&path, "%s/.%s.lock", s->set->out, s->path.data + strlen(s->set->out) + 1);
        s->lock = open(path.data, O_RDWR | O_CREAT, 0666);
        if (s->lock < 0) {
            ex_error("%s: %s", path.data, strerror(errno));
            status = EX_FAILED;
        } else if (fcntl(s->lock, F_SETLK, &lock) != 0 && (errno == EACCES || errno == EAGAIN)) {
            ex_error("%s: another run is writing it", s->path.data);
            status = EX_FAILED;
        }
        ex_text_free(&path);
        return status;
    }
#else
    return 0;
#endif
}

typedef struct ex__share {
    int64_t model;
    double work;
} ex__share;

static inline int ex__by_falling_work(const void *left, const void *right) {
    const ex__share *a = (const ex__share *)left, *b = (const ex__share *)right;

    if (a->work < b->work || a->work > b->work) return a->work < b->work ? 1 : -1;
    return a->model < b->model ? -1 : a->model > b->model;
}

/* Dealt out from the most expensive model on: shards get equal work, and a cheap model at the end
   leaves no core waiting for long. */
static inline void ex__study_deal(ex_study *s) {
    ex__share *share = (ex__share *)ex_allocate((size_t)s->count, sizeof *share);
    int64_t i;

    for (i = 0; i < s->count; i++) {
        share[i].model = i;
        share[i].work = s->work(s->user, i);
    }
    qsort(share, (size_t)s->count, sizeof *share, ex__by_falling_work);
    s->order = (int64_t *)ex_allocate((size_t)s->count, sizeof *s->order);
    s->mine = (unsigned char *)ex_allocate((size_t)s->count, 1);
    for (i = s->set->shard - 1; i < s->count; i += s->set->shards) {
        s->total += share[i].work;
        s->mine[share[i].model] = 1;
        if (s->row[share[i].model] != NULL) continue;
        s->left += share[i].work;
        s->order[s->to_do++] = share[i].model;
    }
    free(share);
}

/* Models at a time. */
static inline int ex_jobs(const ex_study_settings *set) {
#ifdef _OPENMP
    return set->jobs > 0 ? (int)set->jobs : omp_get_max_threads();
#else
    (void)set;
    return 1;
#endif
}

/* Where the training of a model keeps its state, OUT/checkpoints/model<number>. path: whose text
   it uses; work: of an epoch. */
static inline ex_keep ex__study_keep(ex_study *s, int64_t model, double work, ex_text *path) {
    ex_keep keep;

    ex_text_add(path, "%s/checkpoints/model%ld", s->set->out, (long)model);
    keep.path = path->data;
    keep.id = s->key_text[model];
    keep.every = s->save_every;
    keep.progress = &s->progress;
    keep.work = work;
    keep.stop = &s->stop;
    return keep;
}

/* What runs ends soon, and leaves no row. Any thread may call it. */
static inline void ex__study_stop(ex_study *s) {
#ifdef _OPENMP
#pragma omp atomic write
#endif
    s->stop = 1;
}

/* Trains a model of the study: ex_train with a checkpoint of its own, which goes when the row is in
   the file. epoch_work: how far an epoch moves the progress bar. */
static inline prun_status ex_study_train(ex_study *s, int64_t model, prun_net *net,
                                         const prun_images *images,
                                         const prun_train_options *recipe, double epoch_work,
                                         prun_epoch *history) {
    ex_text path = {NULL, 0, 0};
    const ex_keep keep = ex__study_keep(s, model, epoch_work, &path);
    const prun_status status = ex_train(net, images, recipe, &keep, history);

    if (status == PRUN_ERR_WRITE || status == PRUN_ERR_OPEN) ex__study_stop(s);
    ex_text_free(&path);
    return status;
}

static inline void ex__study_forget(ex_study *s, int64_t model) {
    ex_text path = {NULL, 0, 0};
    const ex_keep keep = ex__study_keep(s, model, 0, &path);

    ex_train_forget(&keep);
    ex_text_free(&path);
}

/* The directory of the checkpoints, if there are to be any. */
static inline int ex__study_checkpoints(const ex_study *s) {
    ex_text path = {NULL, 0, 0};
    int status = 0;

    ex_text_add(&path, "%s/checkpoints", s->set->out);
    if (s->save_every > 0) status = ex_directory(path.data);
    ex_text_free(&path);
    return status;
}

/* Number of the model whose checkpoint a name is of, model<number>.history; -1: it is of none. */
static inline int64_t ex__checkpoint_model(const char *name, size_t length) {
    static const char *const ends[] = {".safetensors", ".history"};
    long long number = 0;
    int at = 0;
    size_t k;

    if (sscanf(name, "model%9lld%n", &number, &at) != 1 || number < 0) return -1;
    for (k = 0; k < 2; k++)
        if (length == (size_t)at + strlen(ends[k]) &&
            strncmp(name + at, ends[k], strlen(ends[k])) == 0)
            return number;
    return -1;
}

/* Whether the checkpoint of a model is of one with the same settings. */
static inline int ex__checkpoint_fits(ex_study *s, int64_t model) {
    ex_text path = {NULL, 0, 0};
    const ex_keep keep = ex__study_keep(s, model, 0, &path);
    prun_epoch first;
    const int fits = ex__history_read(&keep, &first, 1) > 0;

    ex_text_free(&path);
    return fits;
}

#ifdef EX_POSIX
/* Length of the name of the file that a temporary file ".NAME.PID-RANDOM.tmp" was to become, if the
   process that made it is gone; 0: it is there, or this is no such file. */
static inline size_t ex__abandoned(const char *name) {
    const size_t length = strlen(name);
    size_t at = length - 4;
    long process;

    if (length < 8 || *name != '.' || strcmp(name + at, ".tmp") != 0) return 0;
    while (at > 0 && isxdigit((unsigned char)name[at - 1])) at--;
    if (at == length - 4 || at < 3 || name[--at] != '-') return 0;
    while (at > 0 && isdigit((unsigned char)name[at - 1])) at--;
    process = strtol(name + at, NULL, 10);
    if (process <= 0 || at < 3 || name[at - 1] != '.' || kill((pid_t)process, 0) == 0 ||
        errno != ESRCH)
        return 0;
    return at - 2;
}

/* Whether a file in --out, of that name and length, is one that this run alone writes: other shards
   may be at work on other computers, where process numbers mean nothing here. */
static inline int ex__study_owns(const ex_study *s, const char *name, size_t length) {
    static const char *const kinds[] = {".csv", ".svg", ".md"};
    const char *own = s->path.data + strlen(s->set->out) + 1;
    size_t k;

    if (strlen(own) == length && strncmp(name, own, length) == 0) return 1;
    if (s->set->shards > 1 || strncmp(name, "models.", 7) == 0) return 0;
    for (k = 0; k < 3; k++)
        if (length > strlen(kinds[k]) &&
            strncmp(name + length - strlen(kinds[k]), kinds[k], strlen(kinds[k])) == 0)
            return 1;
    return 0;
}

/* Whether a file in --out, or among the checkpoints, is left over from a run that was killed, or
   from a model that is finished or that is not in this study. */
static inline int ex__left_over(ex_study *s, const char *name, int checkpoints) {
    const size_t target = ex__abandoned(name);
    int64_t model;

    if (!checkpoints) return target > 0 && ex__study_owns(s, name + 1, target);
    model = target > 0 ? ex__checkpoint_model(name + 1, target)
                       : ex__checkpoint_model(name, strlen(name));
    if (model < 0 || (model < s->count && !s->mine[model])) return 0;
    return target > 0 || model >= s->count || s->row[model] != NULL ||
           !ex__checkpoint_fits(s, model);
}

/* Removes what is left over in one directory. Names are gathered first: what readdir does while
   files go is not the same everywhere. */
static inline void ex__study_sweep_one(ex_study *s, const char *directory, int checkpoints) {
    DIR *listing = opendir(directory);
    ex_text names = {NULL, 0, 0}, path = {NULL, 0, 0};
    const struct dirent *entry;
    const char *name;

    while (listing != NULL && (entry = readdir(listing)) != NULL)
        if (ex__left_over(s, entry->d_name, checkpoints))
            ex_text_add(&names, "%s%c", entry->d_name, '/');
    if (listing != NULL) closedir(listing);
    for (name = names.data; name != NULL && *name != '\0'; name = strchr(name, '/') + 1) {
        path.length = 0;
        ex_text_add(&path, "%s/%.*s", directory, (int)strcspn(name, "/"), name);
        remove(path.data);
    }
    ex_text_free(&names);
    ex_text_free(&path);
}
#endif

/* Removes what runs that were killed left behind. Nothing of another shard, and with --collect,
   when others may train, no checkpoints. */
static inline void ex__study_sweep(ex_study *s) {
#ifdef EX_POSIX
    ex_text path = {NULL, 0, 0};

    ex_text_add(&path, "%s/checkpoints", s->set->out);
    ex_hold();
    ex__study_sweep_one(s, s->set->out, 0);
    if (!s->set->collect) ex__study_sweep_one(s, path.data, 1);
    ex_release();
    ex_text_free(&path);
#else
    (void)s;
    (void)ex__checkpoint_model;
    (void)ex__checkpoint_fits;
#endif
}

/* Whether the report, which comes last, could be written; shards have none. */
static inline int ex__study_report(const ex_study *s) {
    ex_text path = {NULL, 0, 0};
    int status = 0;

    ex_path(&path, s->set->out, "report", "md");
    if (s->set->shards == 1) status = ex_writable(path.data);
    ex_text_free(&path);
    return status;
}

/* Makes the directory, finds out what an earlier run has done, and leaves a file of whole rows.
   The rows are in OUT/models.csv, those of a shard in OUT/models.IofN.csv. */
static inline int ex_study_open(ex_study *s) {
    ex_csv key;
    int64_t i;
    int status = ex_directory(s->set->out);

    memset(&key, 0, sizeof key);
    ex_text_add(&s->path, "%s/models", s->set->out);
    if (s->set->shards > 1)
        ex_text_add(&s->path, ".%ldof%ld", (long)s->set->shard, (long)s->set->shards);
    ex_text_add(&s->path, ".csv");
    s->lock = -1;
    s->key_text = (char **)ex_allocate((size_t)s->count, sizeof *s->key_text);
    s->row = (char **)ex_allocate((size_t)s->count, sizeof *s->row);
    for (i = 0; i < s->count; i++) {
        s->key(s->user, i, &key);
        s->key_text[i] = ex__cells(&key);
    }
    ex__study_columns(s);
    if (status == 0) status = ex__study_lock(s);
    if (status == 0) status = ex__study_read(s);
    if (status == 0) status = ex__study_write(s);
    if (status == 0) {
        ex__study_deal(s);
        ex__study_sweep(s);
        status = ex__study_checkpoints(s);
    }
    return status == 0 ? ex__study_report(s) : status;
}

/* One model: the row reaches the file in one piece as soon as it is complete. */
static inline void ex__study_model(ex_study *s, int64_t model) {
    ex_csv row;
    int failed;

    if (ex__stopped(&s->stop)) return;
    memset(&row, 0, sizeof row);
    ex_text_add(&row.line, "%s", s->key_text[model]);
    row.cells = s->keys;
    failed = s->run(s->user, model, &row);
#ifdef _OPENMP
#pragma omp critical(ex_study)
#endif
    if (failed || s->csv.failed != 0) {
        s->failed++;
    } else {
        ex_text_add(&s->csv.line, "%s", row.line.data);
        ex_csv_end_line(&s->csv);
        if (s->csv.failed == 0) s->row[model] = ex__cells(&row);
        else ex__study_stop(s);
    }
    if (s->row[model] != NULL) ex__study_forget(s, model);
    ex_text_free(&row.line);
}

/* Runs what is left of this shard. Returns the exit status; the rows there are stay. */
static inline int ex_study_run(ex_study *s, const char *label) {
    const int jobs = ex_jobs(s->set);
    int64_t i;
    int status;

    if (s->set->collect || s->to_do == 0) return 0;
    status = ex_csv_open(&s->csv, s->path.data, 1);
    if (status != 0) return status;
    ex_progress_start(&s->progress, label, s->left, s->set->quiet);
    (void)jobs;
#ifdef _OPENMP
#pragma omp parallel for schedule(dynamic, 1) num_threads(jobs)
#endif
    for (i = 0; i < s->to_do; i++) ex__study_model(s, s->order[i]);
    s->progress.stopped = s->stop || s->failed > 0;
    ex_progress_end(&s->progress);
    status = ex_csv_close(&s->csv);
    if (status == 0 && !s->stop) status = ex__study_write(s);
    if (status == 0 && !s->stop) {
        ex__study_sweep(s);
        return s->failed > 0 ? EX_FAILED : 0;
    }
    ex_error("%s: a file could not be written, so the study ends; the rows so far are whole: run "
             "the same command again when there is room",
             s->path.data);
    return EX_FAILED;
}

/* Models of the whole study that have no row yet. */
static inline int64_t ex_study_missing(const ex_study *s) {
    int64_t i, missing = 0;

    for (i = 0; i < s->count; i++) missing += s->row[i] == NULL;
    return missing;
}

static inline void ex_study_close(ex_study *s) {
    int64_t i;

    for (i = 0; i < s->count && s->row != NULL; i++) {
        free(s->row[i]);
        free(s->key_text[i]);
    }
    free(s->row);
    free(s->key_text);
    free(s->order);
    free(s->mine);
    free(s->is_text);
    ex_text_free(&s->path);
#ifdef EX_POSIX
    if (s->lock >= 0) close(s->lock);
#endif
}

/* What lies ahead, and on a terminal the question whether to begin. seconds: of one core.
   Returns -1 to go on, otherwise the exit status. */
static inline int ex_study_cost(const ex_study *s, double seconds, double memory, double disk) {
    const int jobs = ex_jobs(s->set);
    const double models = (double)s->to_do;
    const double at_once = models < jobs ? models : jobs;
    char span[32], core[32], room[32], files[32];

    printf("%ld models, of which %ld are left here: about %s with %d at a time (%s of one core),\n"
           "%s of memory, %s of disk in %s\n",
           (long)s->count, (long)s->to_do, ex_span(seconds / (at_once > 0 ? at_once : 1), span),
           jobs, ex_span(seconds, core), ex_bytes(memory * at_once, room), ex_bytes(disk, files),
           ex_shown(s->set->out));
    fflush(stdout);
#ifdef EX_POSIX
    if (!s->set->yes && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO)) {
        char answer[16] = "";

        printf("Begin? [y/N] ");
        fflush(stdout);
        if (fgets(answer, sizeof answer, stdin) == NULL || (*answer != 'y' && *answer != 'Y')) {
            printf("Nothing was done.\n");
            return 0;
        }
    }
#endif
    return -1;
}

/* ---- reports ------------------------------------------------------------------------------- */

/* Name of the CPU, or "unknown CPU". */
static inline const char *ex_cpu(char *name, size_t size) {
    FILE *file = fopen("/proc/cpuinfo", "r");
    char line[256];

    snprintf(name, size, "unknown CPU");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        const char *colon = strchr(line, ':');

        if (strncmp(line, "model name", 10) != 0 || colon == NULL) continue;
        snprintf(name, size, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
        break;
    }
    if (file != NULL) fclose(file);
    return name;
}

/* OUT/report.md with its title and how the run was made; NULL after a message. Close with
   ex_finish(status, file, path->data). */
static inline FILE *ex_report_open(const char *out, const char *title, int argc, char **argv,
                                   ex_text *path) {
    char cpu[128];
    FILE *file;
    int i;

    ex_path(path, out, "report", "md");
    file = ex_open(path->data);
    if (file == NULL) return NULL;
    fprintf(file, "# %s\n\n   ", title);
    for (i = 0; i < argc; i++) fprintf(file, " %s", ex_shown(argv[i]));
    fprintf(file, "\n\nprunability.h %s, kernels %s, %s.\n", PRUNABILITY_VERSION, prun_isa(),
            ex_cpu(cpu, sizeof cpu));
    return file;
}

/* A table as Markdown has it. */
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

#endif /* EXAMPLE_H_INCLUDED */
