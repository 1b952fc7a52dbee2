/* files.h - output files that are written whole or not at all, interruption, directories, names */
#ifndef FILES_H_INCLUDED
#define FILES_H_INCLUDED

#include "text.h"

/* ---- output files, interruption, standard output ------------------------------------------- */

/* A file that is written whole or not at all; see prun_output_open. */
typedef struct ex__output {
    struct ex__output *next;
    prun_output *output;
    FILE *stream;
    const char *temporary; /* NULL: written in place */
    prun_context context;
} ex__output;

static ex__output *ex__outputs; /* changed between ex_hold and ex_release only */

/* A signal between ex_hold and ex_release is handled by ex_release, so that no temporary file is
   missed. A second signal is handled at once. */
#ifdef EX_SIGNALS
static volatile sig_atomic_t ex__held, ex__signal, ex__dying;
#else
static int ex__held, ex__signal, ex__dying;
#endif
#ifdef EX_POSIX
static pid_t ex__process; /* the files' owner: a forked child does not remove them */
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

#ifdef _WIN32
static UINT ex__code_page; /* the terminal's original code page, restored at exit; 0: none */

static inline void ex__console_begin(void) {
    ex__code_page = GetConsoleOutputCP();
    if (ex__code_page != 0) SetConsoleOutputCP(CP_UTF8);
    /* Buffered, so that characters are not written byte by byte. */
    if (ex_is_terminal(1)) setvbuf(stdout, NULL, _IOFBF, 16384);
}
#endif

static inline void ex__console_restore(void) {
#ifdef _WIN32
    if (ex__code_page != 0) SetConsoleOutputCP(ex__code_page);
#endif
}

/* Removes all temporary files and ends by the signal, as if there were no handler. */
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
    ex__console_restore();
#ifdef EX_SIGNALS
    signal(number, SIG_DFL);
    raise(number);
#endif
}

#ifdef EX_SIGNALS
static inline void ex__on_signal(int number) {
    const int first = ex__signal == 0;

    ex__signal = number;
    if (!first || ex__held == 0) ex__die(number);
}
#endif

/* Call before code that makes, renames or removes files, from any thread; then ex_release. */
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

/* Opens a file for writing. Its content appears under its name when ex_close succeeds. Returns
   NULL after a message. */
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

/* Removes a file from the list and returns it. */
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

/* Discards a file opened with ex_open; an older file of that name stays. */
static inline void ex_discard(FILE *file) {
    ex__output *mine;

    ex_hold();
    mine = ex__output_take(file);
    if (mine != NULL) prun_output_discard(mine->output);
    ex_release();
    free(mine);
}

/* Closes a file and gives it its name. Returns the exit status. After a failure, with a message, an
   older file of that name is unchanged. */
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

/* Closes a file if its content was computed (status 0), otherwise discards it. Returns the exit
   status. */
static inline int ex_finish(int status, FILE *file, const char *path) {
    if (status == 0) return ex_close(file, path);
    ex_discard(file);
    return status;
}

/* Checks that a file can be written, before the long work whose result it will hold. A pipe is not
   opened for this, because its reader would see an end of file. NULL: no file. Returns the exit
   status, after a message. */
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
    failed |= fflush(stdout) != 0;
    ex__console_restore();
    if (failed) {
        ex_error("standard output: cannot be written");
        _Exit(EX_FAILED);
    }
}

/* Called by ex_parse. From here on, temporary files are removed on exit, exceeding the file size
   limit is an error instead of a signal, and a failure to print makes the exit status 1. */
static inline void ex__start(void) {
    static int started;
#ifdef EX_POSIX
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE};
    struct sigaction action, before;
    size_t i;
    int fd;

    ex__process = getpid();
    /* Otherwise the first file opened would take the descriptor of a closed standard stream. */
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
#elif defined(EX_SIGNALS)
    if (!started) {
        signal(SIGINT, ex__on_signal);
        signal(SIGTERM, ex__on_signal);
    }
#endif
#ifdef _WIN32
    if (!started) ex__console_begin();
#endif
    if (!started) atexit(ex__at_exit);
    started = 1;
}

/* ---- files and directories ----------------------------------------------------------------- */

static inline int ex__is_separator(char c) {
#ifdef _WIN32
    return c == '/' || c == '\\';
#else
    return c == '/';
#endif
}

/* The last separator in a path, or NULL. */
static inline const char *ex_last_separator(const char *path) {
    const char *last = NULL;

    for (; *path != '\0'; path++)
        if (ex__is_separator(*path)) last = path;
    return last;
}

/* Makes one directory unless it exists. Returns 0 or an error number. */
static inline int ex__make_directory(const char *path) {
#ifdef _WIN32
    wchar_t wide[EX_WIDE];

    return ex__wide(path, wide) && (_wmkdir(wide) == 0 || errno == EEXIST) ? 0 : errno;
#else
    const int error = mkdir(path, 0777) == 0 ? 0 : errno;
    struct stat there;

    return error == EEXIST && stat(path, &there) == 0 && S_ISDIR(there.st_mode) ? 0 : error;
#endif
}

/* Makes a directory and missing parents. Parents are touched only if the directory cannot be made
   without them, because existing ones may be inaccessible. Returns the exit status. */
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
        error = status == 0 ? ex__make_directory(path) : 0; /* already reported for the parent */
        ex_text_free(&parent);
    }
    if (error == 0) return status;
    if (*path == '\0') ex_error("the name of a directory is empty");
    else if (error == EEXIST) ex_error("%s: a file, not a directory", path);
    else ex_error("%s: cannot make the directory: %s", path, strerror(error));
    return EX_FAILED;
}

/* Replaces a character that some file system forbids in names. */
static inline char ex__file_character(char c) {
    return (unsigned char)c < 0x20 || strchr("/\\:*?\"<>| ", c) != NULL ? '_' : c;
}

/* "directory/name.extension", with forbidden characters of the name replaced. */
static inline void ex_path(ex_text *path, const char *directory, const char *name,
                           const char *extension) {
    const size_t start = strlen(directory) + 1;
    size_t i;

    path->length = 0;
    ex_text_add(path, "%s/%s", directory, name);
    for (i = start; i < path->length; i++) path->data[i] = ex__file_character(path->data[i]);
    ex_text_add(path, ".%s", extension);
}

/* Whether two names in one directory may mean the same file, as some file systems ignore case. */
static inline int ex_same_file(const char *a, const char *b) {
    while (*a != '\0' && tolower((unsigned char)ex__file_character(*a)) ==
                             tolower((unsigned char)ex__file_character(*b))) {
        a++;
        b++;
    }
    return *a == '\0' && *b == '\0';
}

#ifdef EX_POSIX
/* stat of the directory that contains a path. */
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

/* Whether two paths are the same file, or would be if they were written. False for devices, pipes
   and NULL. */
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
    wchar_t wide[EX_WIDE], x[EX_WIDE], y[EX_WIDE];

    return a != NULL && b != NULL && ex__wide(a, wide) && _wfullpath(x, wide, EX_WIDE) != NULL &&
           ex__wide(b, wide) && _wfullpath(y, wide, EX_WIDE) != NULL && _wcsicmp(x, y) == 0;
#else
    return a != NULL && b != NULL && strcmp(a, b) == 0;
#endif
}

/* Refuses an output that would overwrite the file of another option. Option names are without
   dashes; a NULL path is an option not given. Returns 0 or, after a message, the exit status. */
static inline int ex_apart(const char *option, const char *path, const char *other_option,
                           const char *other) {
    if (!ex_one_file(path, other)) return 0;
    ex_error("--%s %s: the same file as --%s %s; give another name", option, path, other_option,
             other);
    return EX_USAGE;
}

/* Reads a file and appends a '\0'; *text is NULL if there is no such file. Returns the exit
   status. */
static inline int ex__read_file(const char *path, char **text, size_t *size) {
    FILE *file = ex_fopen(path, "rb");
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
    if (failed) ex_error("%s: cannot be read: %s", path, strerror(errno));
    return failed ? EX_FAILED : 0;
}

#endif /* FILES_H_INCLUDED */
