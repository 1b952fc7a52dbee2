/* text.h - memory, growing text, messages, time and the machine

   The programs of examples/ and bench/ share code through a few headers of static functions, one
   per subject, so that every program still compiles with one command. They are not part of the
   library: a failure here may print a message and end the program, which the library never does.
   Exit status: 0 success, 1 failure, 2 wrong command line.
*/
#ifndef TEXT_H_INCLUDED
#define TEXT_H_INCLUDED

/* Under -std=c99 the system headers hide the monotonic clock unless asked for it. */
#if defined(__STRICT_ANSI__) && !defined(_POSIX_C_SOURCE) && !defined(_WIN32)
#define _POSIX_C_SOURCE 200809L
#endif

#include "../../prunability.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
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
#define EX_UNLINK ex_remove
#define EX_SIGPIPE (-1)
#endif
#ifdef __wasi__ /* it has no signals */
#include <sys/stat.h>
#else
#include <signal.h>
#define EX_SIGNALS 1
#endif
#ifdef _WIN32
#ifndef NOMINMAX
#define NOMINMAX
#endif
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#define NOGDI /* wingdi.h defines a macro ERROR */
#include <windows.h>
/* these must follow windows.h */
#include <direct.h>
#include <io.h>
#include <shellapi.h>
#ifdef _MSC_VER
#pragma comment(lib, "shell32")
#endif
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

/* ---- memory and growing text --------------------------------------------------------------- */

/* Prints directly, because the usual message functions allocate memory. */
static inline void ex__out_of_memory(void) {
    fprintf(stderr, "error: out of memory\n");
    exit(EX_FAILED);
}

/* Zeroed memory; ends the program if out of memory. */
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
    char *data; /* NUL-terminated once something has been added */
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

/* Whether a sequence is a bidirectional control or line separator, or overlong or a surrogate. */
static inline int ex__is_mark(const unsigned char *at) {
    if (at[0] == 0xe2 && at[1] == 0x80)
        return (at[2] >= 0x8e && at[2] <= 0x8f) || (at[2] >= 0xa8 && at[2] <= 0xae);
    if (at[0] == 0xe2 && at[1] == 0x81) return at[2] >= 0xa6 && at[2] <= 0xa9;
    return (at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] >= 0xa0) ||
           (at[0] == 0xf0 && at[1] < 0x90);
}

/* Bytes of the UTF-8 character at `at` if it is safe to print on a terminal; else 0. */
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

/* Adds untrusted text, such as the name of a file or column. Control characters and invalid UTF-8
   are escaped as \n, \t or \x1b, so that a terminal shows them instead of interpreting them. */
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

/* The same as a string to be printed at once: the fourth call after this one reuses its memory.
   Main thread only. */
static inline const char *ex_shown(const char *text) {
    static ex_text shown[4];
    static int turn;
    ex_text *out = &shown[turn++ % 4];

    out->length = 0;
    ex_text_add(out, "%s", "");
    ex_text_shown(out, text);
    return out->data;
}

/* ---- names and the terminal: Windows has its own functions for them ----------------------- */

#ifdef _WIN32
enum { EX_WIDE = 4096 }; /* characters of a path */

/* Converts a path in UTF-8, or else in the system's code page, to UTF-16; 0: too long. */
static inline int ex__wide(const char *path, wchar_t *wide) {
    if (MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, wide, EX_WIDE) > 0 ||
        MultiByteToWideChar(CP_ACP, 0, path, -1, wide, EX_WIDE) > 0)
        return 1;
    errno = ENAMETOOLONG;
    return 0;
}

/* Like fopen, with a path in UTF-8. */
static inline FILE *ex_fopen(const char *path, const char *mode) {
    wchar_t wide[EX_WIDE], wide_mode[8] = {0};
    size_t i;

    for (i = 0; i < 7 && mode[i] != '\0'; i++) wide_mode[i] = (wchar_t)mode[i];
    return ex__wide(path, wide) ? _wfopen(wide, wide_mode) : NULL;
}

/* Like remove, with a path in UTF-8. */
static inline int ex_remove(const char *path) {
    wchar_t wide[EX_WIDE];

    return ex__wide(path, wide) ? _wremove(wide) : -1;
}

/* main's arguments lack characters that are not in the system's code page. This replaces them with
   copies in UTF-8, which live until the program ends. */
static inline void ex_arguments(int argc, char **argv) {
    int count = 0, i;
    wchar_t **wide = CommandLineToArgvW(GetCommandLineW(), &count);

    for (i = 0; wide != NULL && count == argc && i < argc; i++) {
        const int size = WideCharToMultiByte(CP_UTF8, 0, wide[i], -1, NULL, 0, NULL, NULL);
        char *text = (char *)ex_allocate((size_t)size + 1, 1);

        if (size > 0) WideCharToMultiByte(CP_UTF8, 0, wide[i], -1, text, size, NULL, NULL);
        argv[i] = text;
    }
    if (wide != NULL) LocalFree(wide);
}

/* Whether a descriptor is a terminal; _isatty is also true for the device NUL. */
static inline int ex_is_terminal(int descriptor) {
    DWORD mode;

    return GetConsoleMode((HANDLE)_get_osfhandle(descriptor), &mode) != 0;
}

/* Columns of the terminal on stderr; 0: unknown. */
static inline long ex__terminal_columns(void) {
    CONSOLE_SCREEN_BUFFER_INFO info;

    if (!GetConsoleScreenBufferInfo(GetStdHandle(STD_ERROR_HANDLE), &info)) return 0;
    return info.srWindow.Right - info.srWindow.Left + 1L;
}
#else
static inline FILE *ex_fopen(const char *path, const char *mode) { return fopen(path, mode); }

static inline int ex_remove(const char *path) { return remove(path); }

static inline void ex_arguments(int argc, char **argv) {
    (void)argc;
    (void)argv;
}

static inline int ex_is_terminal(int descriptor) {
#ifdef EX_POSIX
    return isatty(descriptor);
#else
    return descriptor < 0;
#endif
}

/* Columns of the terminal on stderr; 0: unknown. */
static inline long ex__terminal_columns(void) {
#if defined(EX_POSIX) && defined(TIOCGWINSZ)
    struct winsize size;

    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0) return size.ws_col;
#endif
    return 0;
}
#endif

/* ---- messages ------------------------------------------------------------------------------ */

static int ex__bar; /* columns of the terminal's last line that a progress bar fills */

/* Erases the progress bar from the terminal. */
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
    ex_text_add(&shown, "\n");
#ifdef _OPENMP
#pragma omp critical(ex_progress)
#endif
    {
        ex__bar_clear();
        fwrite(shown.data, 1, shown.length, stderr); /* one call: Windows needs whole characters */
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

/* Prints a line "note: ..." in the same way. */
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

/* Why a call failed: the context's message, if it is about that failure. */
static inline const char *ex_reason(const prun_context *context, prun_status status) {
    return context->status == status && *context->message != '\0' ? prun_message(context)
                                                                  : prun_status_string(status);
}

/* ---- time and the machine ------------------------------------------------------------------ */

/* A monotonic clock in seconds, with an arbitrary origin. */
static inline double ex_seconds(void) {
#if defined(CLOCK_MONOTONIC) && !defined(_WIN32) /* clock() is real time there */
    struct timespec now;

    if (clock_gettime(CLOCK_MONOTONIC, &now) == 0)
        return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
#endif
#if defined(_OPENMP)
    return omp_get_wtime();
#elif defined(__wasi__) /* no clock() */
    return (double)time(NULL);
#else
    return (double)clock() / (double)CLOCKS_PER_SEC;
#endif
}

/* The same as a callback of the library. */
static inline double ex_clock(void *user) {
    (void)user;
    return ex_seconds();
}

/* A time span in a readable unit. text: at least 32 bytes. */
static inline const char *ex_span(double seconds, char *text) {
    static const char *const units[] = {"seconds", "minutes", "hours", "days", "years"};
    static const double length[] = {1, 60, 3600, 86400, 31557600}, most[] = {60, 60, 48, 700};
    int unit = 0;

    if (seconds < 1) {
        snprintf(text, 32, "less than a second");
        return text;
    }
    while (unit < 4 && seconds >= 0.9995 * most[unit] * length[unit]) unit++;
    snprintf(text, 32, "%.3g %s", seconds / length[unit], units[unit]);
    return text;
}

/* A number of bytes in a readable unit. text: at least 32 bytes. */
static inline const char *ex_bytes(double bytes, char *text) {
    static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB"};
    int unit = 0;

    for (; unit < 4 && bytes >= 999.5; bytes /= 1000) unit++;
    snprintf(text, 32, "%.3g %s", bytes, units[unit]);
    return text;
}

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

/* "1 seed", "5 seeds". */
static inline const char *ex_plural(int64_t count) { return count == 1 ? "" : "s"; }

#endif /* TEXT_H_INCLUDED */
