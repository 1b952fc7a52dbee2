/* options.h - the command line (options, --help) and the progress bar */
#ifndef OPTIONS_H_INCLUDED
#define OPTIONS_H_INCLUDED

#include "files.h"

/* ---- options ------------------------------------------------------------------------------- */

#define EX_MAX_LIST 256

typedef enum ex_kind {
    EX_FLAG,      /* int: 1 when given */
    EX_INT,       /* int64_t */
    EX_REAL,      /* double */
    EX_TEXT,      /* const char * */
    EX_CHOICE,    /* ex_choice */
    EX_INT_LIST,  /* ex_ints: 8,16,24 without repetition */
    EX_REAL_LIST, /* ex_reals */
    EX_FRACTIONS  /* ex_fractions */
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

#define EX_MAX_FRACTIONS 1025

/* Kept fractions of pruning, ascending to 1. */
typedef struct ex_fractions {
    const char *text; /* as given: "100" for hundredths, "dense", or "0.5,0.9,0.99" */
    double value[EX_MAX_FRACTIONS];
    int64_t count;
} ex_fractions;

typedef struct ex_option {
    const char *name; /* without the dashes */
    ex_kind kind;
    void *value;
    const char *initial; /* default, as a user would write it; NULL: *value is unchanged */
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
    if (option->kind == EX_REAL || option->kind == EX_REAL_LIST)
        ex_error("--%s %s: must be from %.10g to %.10g", option->name, text, option->low,
                 option->high);
    else
        ex_error("--%s %s: must be from %.0f to %.0f", option->name, text, option->low,
                 option->high);
    return EX_USAGE;
}

/* Excludes what the strto functions accept too: blanks, hexadecimal, "inf" and "nan". */
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
    if (errno != 0 || number < (long long)option->low || number > (long long)option->high)
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

/* Hundredths up to 0.9; then the pruned fraction falls tenfold every ten steps, to 1e-5. */
static inline void ex__dense_fractions(ex_fractions *f) {
    int i;

    for (i = 0; i <= 90; i++) f->value[f->count++] = i / 100.0;
    for (i = 1; i <= 40; i++) f->value[f->count++] = 1 - pow(10, -1 - i / 10.0);
    f->value[f->count++] = 1;
}

/* "100": i/100; "dense"; or a list, to which 1 is added. */
static inline int ex__fractions(const ex_option *option, const char *text) {
    ex_fractions *f = (ex_fractions *)option->value;
    ex_reals list;
    const ex_option parts = {option->name, EX_REAL_LIST, &list, NULL, 0, 1, NULL};
    int64_t steps = 0;
    int i, status = 0;

    f->text = text;
    f->count = 0;
    if (strcmp(text, "dense") == 0) {
        ex__dense_fractions(f);
    } else if (strpbrk(text, ".,") == NULL) {
        const ex_option whole = {option->name, EX_INT, &steps, NULL, 1, EX_MAX_FRACTIONS - 1, NULL};

        if (!isdigit((unsigned char)*text))
            return ex__bad_value(option, text,
                                 "not a whole number, dense, or an ascending list such as 0.5,0.9");
        status = ex__int(&whole, text, &steps);
        for (i = 0; status == 0 && i <= steps; i++)
            f->value[f->count++] = (double)i / (double)steps;
    } else {
        status = ex__list(&parts, text);
        for (i = 0; status == 0 && i < list.count; i++) {
            if (i > 0 && !(list.value[i] > list.value[i - 1]))
                return ex__bad_value(option, text, "the fractions must ascend");
            f->value[f->count++] = list.value[i];
        }
        if (status == 0 && f->value[f->count - 1] < 1) f->value[f->count++] = 1;
    }
    return status;
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
        case EX_FRACTIONS: return ex__fractions(option, text);
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
        case EX_FRACTIONS: return "N|dense|X,X,..";
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

/* The option of an argument such as --name or --name=value, or NULL. */
static inline const ex_option *ex__find(const ex_program *program, const char *argument) {
    size_t i, length = strcspn(argument + 2, "=");

    for (i = 0; i < program->count; i++) {
        const char *name = program->options[i].name;

        if (strlen(name) == length && memcmp(name, argument + 2, length) == 0)
            return &program->options[i];
    }
    return NULL;
}

/* Lower case of ASCII letters, whatever the locale. */
static inline char ex_lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c; }

/* Edit distance of two words, ignoring case: how many letters to change, add or leave out. */
static inline size_t ex_distance(const char *a, const char *b) {
    const size_t n = strlen(a), m = strlen(b);
    size_t *row = (size_t *)ex_allocate(m + 1, sizeof *row), i, j, result;

    for (j = 0; j <= m; j++) row[j] = j; /* from the empty beginning of a */
    for (i = 1; i <= n; i++) {
        size_t corner = row[0]++;

        for (j = 1; j <= m; j++) {
            const size_t change = corner + (ex_lower(a[i - 1]) != ex_lower(b[j - 1]));
            const size_t add = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;

            corner = row[j];
            row[j] = change < add ? change : add;
        }
    }
    result = row[m];
    free(row);
    return result;
}

/* The name closest to an unknown one, the first `length` bytes of word, or NULL if none is close.
   first: the name in the first of `count` structs of `stride` bytes. */
static inline const char *ex_nearest(const char *word, size_t length, const char *const *first,
                                     size_t stride, size_t count) {
    const char *best = NULL;
    ex_text name = {NULL, 0, 0};
    size_t least = length < 4 ? 2 : 3; /* a larger distance is hardly a typo */
    size_t i;

    ex_text_add(&name, "%.*s", (int)length, word);
    for (i = 0; i < count; i++) {
        const char *other = *(const char *const *)((const char *)first + i * stride);
        const int begins = length > 2 && strncmp(other, name.data, length) == 0;
        const size_t distance = begins ? 0 : ex_distance(name.data, other);

        if (distance < least) {
            least = distance;
            best = other;
        }
    }
    ex_text_free(&name);
    return best;
}

/* Value of one option on the command line, or `fallback`: for an option that determines the
   defaults of others and must be known before the table is complete. The last occurrence counts. */
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
        const char *word = argument + strspn(argument, "-");
        const char *meant = ex_nearest(word, strcspn(word, "="), &program->options->name,
                                       sizeof *program->options, program->count);

        if (meant != NULL)
            ex_error("unknown option %s; did you mean --%s? --help lists all", argument, meant);
        else ex_error("unknown option %s; --help lists all options", argument);
        return EX_USAGE;
    }
    if (option->kind == EX_FLAG) {
        if (equals != NULL) return ex__bad_value(option, equals + 1, "takes no value");
        return ex__set(option, "1");
    }
    if (equals != NULL) return ex__set(option, equals + 1);
    if (*at + 1 >= argc || (strncmp(argv[*at + 1], "--", 2) == 0 && argv[*at + 1][2] != '\0' &&
                            ex__find(program, argv[*at + 1]) != NULL)) {
        ex_error("--%s needs a value; see --help", option->name);
        return EX_USAGE;
    }
    return ex__set(option, argv[++*at]);
}

/* Sets all defaults, then reads the command line; operands move to argv[1] .. argv[*operands].
   Returns -1 to continue, otherwise the exit status. */
static inline int ex_parse(const ex_program *program, int argc, char **argv, int *operands) {
    int i, status, found = 0, only_operands = 0;
    size_t k;

    ex_arguments(argc, argv);
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

/* Checks --resamples, of which a single one gives no interval. Returns -1 to continue, otherwise
   the exit status. */
static inline int ex_resamples_check(int64_t resamples) {
    if (resamples != 1) return -1;
    ex_error("--resamples 1: must be 0, or at least 2");
    return EX_USAGE;
}

/* ---- progress ------------------------------------------------------------------------------ */

/* On a terminal a bar on stderr; elsewhere a plain line every ten seconds. */
typedef struct ex_progress {
    const char *label;
    double total, done; /* in any unit, preferably proportional to time */
    double start, shown;
    int terminal, quiet;
    int stopped; /* set to 1 by the caller if the work was not completed */
} ex_progress;

static inline void ex_progress_start(ex_progress *progress, const char *label, double total,
                                     int quiet) {
    memset(progress, 0, sizeof *progress);
    progress->label = label;
    progress->total = total;
    progress->quiet = quiet;
    progress->start = ex_seconds();
    progress->shown = progress->start;
    progress->terminal = ex_is_terminal(2);
}

/* "1:02:03" or "2:03". text: at least 32 bytes. */
static inline const char *ex__duration(double seconds, char *text) {
    long whole = (long)(seconds < 0 ? 0 : seconds > 1e8 ? 1e8 : seconds + 0.5);

    if (whole >= 3600)
        snprintf(text, 32, "%ld:%02ld:%02ld", whole / 3600, whole / 60 % 60, whole % 60);
    else snprintf(text, 32, "%ld:%02ld", whole / 60, whole % 60);
    return text;
}

/* Width of the terminal on stderr. */
static inline int ex__columns(void) {
    const char *text = getenv("COLUMNS");
    const long terminal = ex__terminal_columns();
    const long columns = terminal > 0 || text == NULL ? terminal : strtol(text, NULL, 10);

    return columns >= 1 && columns <= 10000 ? (int)columns : 80;
}

/* Draws the progress in one line. If it does not fit, the bar is left out first and the percentage
   last. The last column stays free, because terminals wrap after it. */
static inline void ex__bar_draw(const char *label, int percent, const char *spent,
                                const char *left) {
    static const char full[] = "##############################";
    const int room = ex__columns() - 1;
    char end[96], line[256];
    int bars = (int)sizeof full - 1, wanted;

    snprintf(end, sizeof end, "%3d %%  %s, %s left", percent, spent, left);
    wanted = (int)(strlen(label) + strlen(end)) + 4; /* with brackets and blanks, without bar */
    bars = room - wanted < bars ? room - wanted : bars;
    if (bars >= 5)
        snprintf(line, sizeof line, "%s [%.*s%*s] %s", label, bars * percent / 100, full,
                 bars - bars * percent / 100, "", end);
    else if (wanted - 3 <= room) snprintf(line, sizeof line, "%s %s", label, end);
    else snprintf(line, sizeof line, "%s", end);
    line[room < (int)sizeof line - 1 ? room : (int)sizeof line - 1] = '\0';
    wanted = (int)strlen(line);
    bars = ex__bar > wanted && ex__bar <= room ? ex__bar - wanted : 0; /* rest of a longer line */
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

/* A progress callback for the library that redraws the bar `user`. */
static inline int ex_progress_redraw(void *user, int64_t done, int64_t total) {
    (void)done;
    (void)total;
    ex_progress_add((ex_progress *)user, 0);
    return 0;
}

static inline void ex_progress_end(const ex_progress *progress) {
    char spent[32];

    if (progress->quiet) return;
    ex__bar_clear();
    fprintf(stderr, "%s: %s %s\n", progress->label, progress->stopped ? "stopped after" : "done in",
            ex__duration(ex_seconds() - progress->start, spent));
}

/* Selects the kernels named by an option, before anything is computed. Returns -1 to continue,
   otherwise the exit status. */
static inline int ex_choose_kernels(const char *isa) {
    if (strcmp(isa, "best") == 0 || prun_isa_set(isa) == PRUN_OK) return -1;
    ex_error(
        "--isa %s: unknown, or not supported by this computer or program; portable always works, "
        "the best here is %s",
        isa, prun_isa());
    return EX_USAGE;
}

#endif /* OPTIONS_H_INCLUDED */
