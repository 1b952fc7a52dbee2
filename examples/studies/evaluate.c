/* evaluate.c - which measure in a table of models follows the generalization gap?

   Reads a CSV table with a row per model and prints what the paper's Tables 1 to 3 show: Kendall's
   tau, regression and conditional mutual information of each measure with the gap, granulated
   Kendall per hyperparameter, information between measures; and beyond the paper confidence
   intervals, corrected p-values, trivial baselines, robust sign errors and comparisons.

       cc -O2 -fopenmp examples/studies/evaluate.c -lm -o evaluate
       ./evaluate demo.csv --hyper width,depth,dropout,l2,augment --seed-column seed

   Exit status: 0, 1 for a failure, 2 for a wrong command line or table.
*/
#include "figure.h"
#include "options.h"
#include "table.h"
#define PRUNABILITY_STATIC /* static functions: unused ones are left out of the program */
#define PRUNABILITY_IMPLEMENTATION
#include "../../prunability.h"

#include <float.h>

#define NAME_ROOM 1024 /* of a column's name on the command line */

/* If the intervals of all measures would take many minutes, fewer resamples are drawn. */
#define USUAL_RESAMPLES 2000
#define LEAST_RESAMPLES 100
#define FEW_MODELS 100
#define MOST_ROWS_DRAWN 1e8 /* resamples x models x measures */

typedef struct settings {
    const char *hyper, *seed_column, *target, *train, *test, *measures, *fit, *ignore;
    const char *params, *width, *csv, *svg;
    ex_choice seeds, draws, cmi;
    int64_t resamples, cmi_resamples, folds, seed, test_samples;
    double level, effective;
    int skip_missing, json, quiet;
} settings;

typedef enum kind { PLAIN, IN_SAMPLE, CROSS_FITTED, BASELINE } kind;

/* The kind of a column by its name and values, which decides if the user names no measures. */
typedef enum sort_of_column {
    A_MEASURE,
    A_TIME,
    A_RESULT,
    A_SETTING,
    ABOUT_THE_RUN,
    ROW_NUMBERS,
    WITHOUT_NAME,
    WITHOUT_VALUES,
    WITH_GAPS,
    A_TEXT,
    SORTS_OF_COLUMNS
} sort_of_column;

/* A measure and its results. */
typedef struct measure {
    char *name, *label; /* label: as the tables show it */
    const double *values;
    double *own;           /* values that belong to the measure, or NULL */
    const char *undefined; /* why it cannot be ranked, or NULL; `constant` is set too */
    const char *no_r2;     /* why R2 is undefined, or NULL */
    int64_t column;        /* of the table, -1: computed */
    kind kind;
    int constant, found; /* found: not named by the user */
    prun_kendall kendall;
    prun_granulated granulated;
    prun_cmi cmi;
    double r2, adjusted_r2, cv_r2, holm, cmi_p, partial[2];
    prun_sign_error sign;
    prun_interval tau_interval, mean_interval, cmi_interval, r2_interval, comparison;
    double comparison_holm;
} measure;

typedef struct evaluation {
    settings set;
    prun_context context;
    prun_table table;
    const char *path;
    char *used; /* per column: has a role */
    char *sort; /* per column: enum sort_of_column */
    const char *axis_name[PRUN_MAX_AXES];
    const double *axis[PRUN_MAX_AXES];
    prun_axes axes;
    const double *target, *controls[2]; /* parameter count, width; or NULL */
    double *gap, *cluster;
    char *target_text;
    measure *measures;
    size_t count, capacity;
    int64_t best;                          /* measure of the largest tau, -1: none */
    double *between;                       /* count x count: K of row and column */
    int with_cmi, with_between, with_sign; /* 0: too many models, or not wanted */
    int fewer_resamples;                   /* than usual, by the rule for large tables */
    double k_cost, interval_cost;          /* core seconds: of one K, of a measure's intervals */
    int problem;                           /* exit status of errors that did not stop the program */
    ex_progress progress;
} evaluation;

static const char *const control_names[2] = {"parameter count", "1 / width"};

/* ---- texts --------------------------------------------------------------------------------- */

/* A new text, which the caller frees. */
EX_PRINTF(1, 2) static char *text_of(const char *format, ...) {
    ex_text text = {NULL, 0, 0};
    va_list arguments;

    va_start(arguments, format);
    ex_text_addv(&text, format, arguments);
    va_end(arguments);
    return text.data;
}

/* Whether a text of some length is in a list "a b c", ignoring case. */
static int is_one_of(const char *text, size_t length, const char *list) {
    size_t i, word;

    for (; *list != '\0'; list += word + (list[word] == ' ')) {
        word = strcspn(list, " ");
        for (i = 0; i < length && i < word && ex_lower(text[i]) == list[i]; i++)
            ;
        if (i == length && i == word) return 1;
    }
    return 0;
}

/* ---- columns ------------------------------------------------------------------------------- */

/* Prints the place of a cell: "table.csv: line 7, column 3 (gap)". */
static void print_place(const evaluation *e, int64_t row, int64_t column) {
    fprintf(stderr, "%s: line %ld, column %ld (%s)", ex_shown(e->path), (long)e->table.lines[row],
            (long)column + 1, ex_shown(e->table.names[column]));
}

/* Reports a column that does not exist, with the columns that do and a likely correction. */
static int no_column(const evaluation *e, const char *option, const char *name) {
    const prun_table *t = &e->table;
    size_t nearest = strlen(name) / 3 + 1;
    int64_t i, meant = -1;

    for (i = 0; i < t->columns; i++) {
        const size_t d = ex_distance(name, t->names[i]);

        if (d > nearest || 2 * d >= strlen(t->names[i]) + (d == 0) || (meant >= 0 && d == nearest))
            continue;
        nearest = d;
        meant = i;
    }
    fprintf(stderr, "error: %s%s%s: no column named %s", option, *option != '\0' ? ": " : "",
            ex_shown(e->path), ex_shown(name));
    if (meant >= 0) fprintf(stderr, "; did you mean %s?", ex_shown(t->names[meant]));
    fprintf(stderr, "\n       columns: ");
    for (i = 0; i < t->columns; i++)
        fprintf(stderr, "%s%s", i > 0 ? ", " : "",
                *t->names[i] != '\0' ? ex_shown(t->names[i]) : "(without a name)");
    fprintf(stderr, "\n");
    return EX_USAGE;
}

static int bad_table(const evaluation *e) {
    fprintf(stderr, "error: %s\n", prun_message(&e->context));
    return e->context.status == PRUN_ERR_MEMORY ? EX_FAILED : EX_USAGE;
}

/* A column of numbers, marked as used; NULL after a message. */
static const double *numbers(evaluation *e, const char *name) {
    const double *values = NULL;

    if (prun_table_find(&e->table, name) < 0) {
        no_column(e, "", name);
        return NULL;
    }
    if (prun_table_numbers(&e->context, &e->table, name, &values) != PRUN_OK) {
        bad_table(e);
        if (e->context.status == PRUN_ERR_MISSING)
            fprintf(stderr, "       (--skip-missing leaves out models with missing values)\n");
        return NULL;
    }
    e->used[prun_table_find(&e->table, name)] = 1;
    return values;
}

/* The same for targets, which must be finite: differences of infinite ones are undefined. */
static const double *finite_numbers(evaluation *e, const char *name) {
    const double *values = numbers(e, name);
    const int64_t column = prun_table_find(&e->table, name);
    int64_t i;

    for (i = 0; values != NULL && i < e->table.rows; i++) {
        if (fabs(values[i]) <= DBL_MAX) continue;
        fprintf(stderr, "error: ");
        print_place(e, i, column);
        fprintf(stderr, ": \"%s\" is not finite, as a target must be\n",
                ex_shown(e->table.cells[i * e->table.columns + column]));
        return NULL;
    }
    return values;
}

/* The next of a list of names; NULL at its end. */
static const char *next_name(const char **list, char separator, char *name, size_t size) {
    const char *end;
    size_t length;

    if (*list == NULL || **list == '\0') return NULL;
    end = strchr(*list, separator);
    length = end != NULL ? (size_t)(end - *list) : strlen(*list);
    snprintf(name, size, "%.*s", (int)length, *list);
    *list = end != NULL ? end + 1 : *list + length;
    return name;
}

/* Whether a name fits a pattern in which * stands for anything. */
static int fits(const char *pattern, const char *name) {
    if (*pattern == '*')
        return fits(pattern + 1, name) || (*name != '\0' && fits(pattern, name + 1));
    return *pattern == *name && (*pattern == '\0' || fits(pattern + 1, name + 1));
}

static int find_axes(evaluation *e) {
    const char *list = e->set.hyper;
    char name[NAME_ROOM];

    e->axes.n = e->table.rows;
    e->axes.values = e->axis;
    e->axes.seeds = (prun_seeds)e->set.seeds.value;
    while (next_name(&list, ',', name, sizeof name) != NULL) {
        const int64_t column = prun_table_find(&e->table, name);

        if (column < 0) return no_column(e, "--hyper", name);
        if (e->axes.count == PRUN_MAX_AXES) {
            fprintf(stderr, "error: --hyper: more than %d hyperparameters\n", PRUN_MAX_AXES);
            return EX_USAGE;
        }
        if (prun_table_settings(&e->context, &e->table, name, &e->axis[e->axes.count]) != PRUN_OK)
            return bad_table(e);
        if (e->used[column]) {
            fprintf(stderr, "error: --hyper: %s is named twice\n", ex_shown(name));
            return EX_USAGE;
        }
        e->used[column] = 1;
        e->axis_name[e->axes.count++] = e->table.names[column];
    }
    if (*e->set.seed_column == '\0') return 0;
    if (prun_table_find(&e->table, e->set.seed_column) < 0)
        return no_column(e, "--seed-column", e->set.seed_column);
    if (prun_table_settings(&e->context, &e->table, e->set.seed_column, &e->axes.seed) != PRUN_OK)
        return bad_table(e);
    e->used[prun_table_find(&e->table, e->set.seed_column)] = 1;
    return 0;
}

/* The gap is computed if its two errors are in the table, and rounded so that equal gaps tie. */
static int find_target(evaluation *e) {
    const char *train = *e->set.train != '\0' ? e->set.train : "train_error";
    const char *test = *e->set.test != '\0' ? e->set.test : "test_error";
    const int given = *e->set.train != '\0' || *e->set.test != '\0';
    const double *a, *b;
    int64_t i, column;

    if (strcmp(e->set.target, "gap") != 0 || (!given && (prun_table_find(&e->table, train) < 0 ||
                                                         prun_table_find(&e->table, test) < 0))) {
        e->target = finite_numbers(e, e->set.target);
        if (prun_table_find(&e->table, e->set.target) < 0)
            fprintf(stderr, "       (--target names it, or --train and --test name two errors)\n");
        e->target_text = text_of("%s", e->set.target);
        return e->target != NULL ? 0 : EX_USAGE;
    }
    a = finite_numbers(e, train);
    b = a != NULL ? finite_numbers(e, test) : NULL;
    if (b == NULL) return EX_USAGE;
    e->gap = (double *)ex_allocate((size_t)e->table.rows, sizeof *e->gap);
    for (i = 0; i < e->table.rows; i++) e->gap[i] = floor((b[i] - a[i]) * 1e12 + 0.5) / 1e12;
    column = prun_table_find(&e->table, "gap");
    if (column >= 0) e->used[column] = 1;
    e->target = e->gap;
    e->target_text = text_of("gap = %s - %s", test, train);
    return 0;
}

static measure *add_measure(evaluation *e, const char *name, const double *values, kind what) {
    measure *m;

    e->measures = (measure *)ex_grow(e->measures, &e->capacity, e->count + 1, sizeof *e->measures);
    m = &e->measures[e->count++];
    memset(m, 0, sizeof *m);
    m->name = text_of("%s", name);
    m->label = text_of("%s", ex_shown(name));
    m->values = values;
    m->column = -1;
    m->kind = what;
    m->r2 = m->adjusted_r2 = m->cv_r2 = m->holm = m->cmi_p = NAN;
    m->partial[0] = m->partial[1] = m->comparison_holm = NAN;
    m->comparison.estimate = m->comparison.p = NAN;
    m->comparison.lower = m->comparison.upper = NAN;
    return m;
}

/* Column of the parameter count (0) or the width (1): as named by the user, or a usual name that
   exists, or NULL. */
static const char *control_column(const evaluation *e, int control) {
    static const char *const usual[2][3] = {{"params", "parameters", "parameter_count"},
                                            {"width", "width", "width"}};
    const char *given = control == 0 ? e->set.params : e->set.width;
    int k;

    if (*given != '\0') return given;
    for (k = 0; k < 3; k++)
        if (prun_table_find(&e->table, usual[control][k]) >= 0) return usual[control][k];
    return NULL;
}

static int find_controls(evaluation *e) {
    int i;

    for (i = 0; i < 2; i++) {
        const char *name = control_column(e, i);

        if (name == NULL) continue;
        e->controls[i] = numbers(e, name);
        if (e->controls[i] == NULL) return EX_USAGE;
    }
    return 0;
}

static int add_baselines(evaluation *e) {
    int64_t i;
    measure *m;

    if (e->controls[0] != NULL) add_measure(e, control_names[0], e->controls[0], BASELINE);
    if (e->controls[1] == NULL) return 0;
    m = add_measure(e, control_names[1], NULL, BASELINE);
    m->values = m->own = (double *)ex_allocate((size_t)e->table.rows, sizeof *m->own);
    for (i = 0; i < e->table.rows; i++) {
        if (!(e->controls[1][i] > 0)) {
            fprintf(stderr, "error: ");
            print_place(e, i, prun_table_find(&e->table, control_column(e, 1)));
            fprintf(stderr, ": a width of %g\n", e->controls[1][i]);
            return EX_USAGE;
        }
        m->own[i] = 1 / e->controls[1][i];
    }
    return 0;
}

/* Marks the columns of --ignore as used. */
static int ignore_columns(evaluation *e) {
    const char *list = e->set.ignore;
    char pattern[NAME_ROOM];
    int64_t i, found;

    while (next_name(&list, ',', pattern, sizeof pattern) != NULL) {
        for (i = 0, found = 0; i < e->table.columns; i++)
            if (fits(pattern, e->table.names[i])) e->used[i] = 1, found++;
        if (found == 0) return no_column(e, "--ignore", pattern);
    }
    return 0;
}

/* Adds the named measures, or every remaining column of numbers. */
static int find_measures(evaluation *e) {
    const char *list = e->set.measures;
    char name[NAME_ROOM];
    int64_t i;

    while (next_name(&list, ',', name, sizeof name) != NULL) {
        const double *values = numbers(e, name);

        if (values == NULL) return EX_USAGE;
        add_measure(e, e->table.names[prun_table_find(&e->table, name)], values, PLAIN)->column =
            prun_table_find(&e->table, name);
    }
    for (i = 0; i < e->table.columns && *e->set.measures == '\0'; i++) {
        const double *values;

        if (e->used[i] || e->sort[i] != A_MEASURE) continue;
        values = numbers(e, e->table.names[i]);
        if (values == NULL) {
            fprintf(stderr, "       (--measures names the columns to evaluate, --ignore those to "
                            "leave out)\n");
            return EX_USAGE;
        }
        add_measure(e, e->table.names[i], values, PLAIN)->column = i;
        e->measures[e->count - 1].found = 1;
    }
    return 0;
}

/* Rejects duplicate names, because names are keys in the outputs. */
static int check_names(const evaluation *e) {
    size_t i, j;

    for (i = 0; i < e->count; i++)
        for (j = 0; j < i; j++) {
            if (e->measures[i].kind == BASELINE || strcmp(e->measures[i].name, e->measures[j].name))
                continue;
            fprintf(stderr, "error: two measures are called %s (--measures, --fit)\n",
                    ex_shown(e->measures[i].name));
            return EX_USAGE;
        }
    return 0;
}

/* ---- fitted measures ----------------------------------------------------------------------- */

/* Adds the in-sample and cross-fitted predictions of the target, and the best single variable. An
   undefined fit has rows that say so. */
static int add_fit(evaluation *e, const char *name, const double **columns, const int64_t *index,
                   int64_t count) {
    const size_t n = (size_t)e->table.rows;
    prun_regression_options options;
    prun_regression_outputs outputs;
    prun_regression r;
    double *fitted = (double *)ex_allocate(n, sizeof *fitted);
    double *crossfitted = (double *)ex_allocate(n, sizeof *crossfitted);
    char *text;
    measure *m;

    memset(&options, 0, sizeof options);
    options.folds = e->set.folds;
    options.seed = (uint64_t)e->set.seed;
    memset(&outputs, 0, sizeof outputs);
    outputs.fitted = fitted;
    outputs.crossfitted = crossfitted;
    m = add_measure(e, name, fitted, IN_SAMPLE);
    m->own = fitted;
    text = text_of("%s_crossfitted", name);
    m = add_measure(e, text, crossfitted, CROSS_FITTED);
    free(text);
    m->own = crossfitted;
    if (prun_regression_fit(&e->context,
                            &(prun_regression_data){columns, count, e->target, e->table.rows},
                            &options, &r, &outputs) != PRUN_OK)
        return bad_table(e);
    m->r2 = m->cv_r2 = r.cv_r2;
    free(m->label);
    m->label = text_of("%s, cross-fitted", ex_shown(name));
    m = &e->measures[e->count - 2];
    m->r2 = r.r2;
    m->adjusted_r2 = r.adjusted_r2;
    m->cv_r2 = r.cv_r2;
    free(m->label);
    m->label = text_of("%s, in-sample (%ld)", ex_shown(name), (long)count);
    if (r.infinite >= 0) {
        fprintf(stderr,
                "error: --fit %s: column %ld (%s) has infinite values, so its regression is "
                "undefined\n",
                ex_shown(name), (long)index[r.infinite] + 1,
                ex_shown(e->table.names[index[r.infinite]]));
        memset(fitted, 0, n * sizeof *fitted);
        memset(crossfitted, 0, n * sizeof *crossfitted);
        m[0].undefined = m[1].undefined = "a column it is fitted to has infinite values";
    }
    if (r.best < 0) return 0;
    text = text_of("%s_best", name);
    m = add_measure(e, text, columns[r.best], PLAIN);
    free(text);
    m->column = index[r.best];
    free(m->label);
    text = text_of("%s", ex_shown(name));
    m->label = text_of("%s, best: %s", text, ex_shown(e->table.names[index[r.best]]));
    free(text);
    return 0;
}

/* Adds the fit NAME=PATTERN+PATTERN. */
static int find_fit(evaluation *e, const char *text) {
    const char *equals = strchr(text, '='), *list = equals != NULL ? equals + 1 : "";
    const double **columns;
    int64_t *index, i, count = 0;
    char name[NAME_ROOM], pattern[NAME_ROOM];
    int status = 0;

    if (equals == NULL || equals == text || *list == '\0') {
        fprintf(stderr, "error: --fit %s: not of the form NAME=COLUMN*\n", ex_shown(text));
        return EX_USAGE;
    }
    snprintf(name, sizeof name, "%.*s", (int)(equals - text), text);
    columns = (const double **)ex_allocate((size_t)e->table.columns, sizeof *columns);
    index = (int64_t *)ex_allocate((size_t)e->table.columns, sizeof *index);
    while (status == 0 && next_name(&list, '+', pattern, sizeof pattern) != NULL) {
        const int64_t before = count;

        for (i = 0; status == 0 && i < e->table.columns; i++) {
            int64_t k;

            for (k = 0; k < count && index[k] != i; k++)
                ;
            if (k < count || !fits(pattern, e->table.names[i])) continue;
            index[count] = i;
            columns[count++] = numbers(e, e->table.names[i]);
            status = columns[count - 1] == NULL ? EX_USAGE : 0;
        }
        if (status == 0 && count == before) {
            status = no_column(e, "--fit", pattern);
        }
    }
    if (status == 0) status = add_fit(e, name, columns, index, count);
    free(columns);
    free(index);
    return status;
}

static int find_fits(evaluation *e) {
    const char *list = e->set.fit;
    char text[4 * NAME_ROOM];
    int status = 0;

    while (status == 0 && next_name(&list, ',', text, sizeof text) != NULL)
        status = find_fit(e, text);
    return status;
}

/* ---- kinds of columns ---------------------------------------------------------------------- */

/* Whether the library computes a measure of this name, also with folded weights. */
static int is_library_measure(const char *name) {
    static const char folded[] = "_folded";
    const size_t end = sizeof folded - 1, length = strlen(name);
    char *text = text_of("%s", name);
    int found;

    if (length > end && strcmp(text + length - end, folded) == 0) text[length - end] = '\0';
    found = prun_measure_find(text) >= 0;
    free(text);
    return found;
}

/* Whether a name is another column's name with an additional word for its error, as n_eff_error_z1
   is for n_eff_z1. */
static int is_error_of_another(const prun_table *t, const char *name) {
    size_t start, length;

    for (start = 0; name[start] != '\0'; start += length + (name[start + length] == '_')) {
        length = strcspn(name + start, "_");
        if (start > 0 && is_one_of(name + start, length, "error se sd std stderr")) {
            char *other = text_of("%.*s%s", (int)start - 1, name, name + start + length);
            const int found = prun_table_find(t, other) >= 0;

            free(other);
            if (found) return 1;
        }
    }
    return 0;
}

/* The last word of a name, ignoring numbers after it: "loss" in test_loss_0.5. */
static const char *last_word(const char *name, size_t *length) {
    size_t end = strlen(name), start;

    for (;;) {
        for (start = end; start > 0 && name[start - 1] != '_' && name[start - 1] != ' ';) start--;
        if (start == 0 || name[start] < '0' || name[start] > '9') break;
        end = start - 1;
    }
    *length = end - start;
    return name + start;
}

static sort_of_column sort_by_name(const prun_table *t, const char *name) {
    static const char varied[] =
        "arch architecture family net network model run trial fold id data dataset seed data_seed "
        "init_seed label_seed width depth layers channels classes dropout l2 weight_decay wd "
        "augment augmentation crop flip label_noise epochs epoch batch batch_size lr "
        "learning_rate lr_step schedule momentum optimizer normalize pad_to images samples "
        "train_images test_images train_samples test_samples grid repetitions draws restarts beta "
        "displacement precision hessian_images hessian_steps hessian_runs steps probes "
        "noise_pairs patience l2_scale crop fractions resamples";
    size_t length;
    const char *word = last_word(name, &length);

    if (is_library_measure(name)) return A_MEASURE;
    if (is_one_of(name, strlen(name), varied)) return A_SETTING;
    if (is_one_of(name, strlen(name),
                  "version isa status host hostname cpu threads pid commit "
                  "date timestamp"))
        return ABOUT_THE_RUN;
    if (is_one_of(word, length, "seconds time runtime minutes hours duration") ||
        is_one_of(name, strcspn(name, "_"), "seconds"))
        return A_TIME;
    if (is_one_of(word, length, "loss error err acc accuracy gap wrong") ||
        is_one_of(name, strlen(name),
                  "prunability_lower prunability_upper kept_random prunable") || /* demogen */
        is_error_of_another(t, name))
        return A_RESULT;
    return A_MEASURE;
}

/* Whether a column numbers the rows: 0, 1, 2, ... or 1, 2, 3, ... in any order. In a nameless
   column any whole numbers count, as the rows may be part of a larger table. */
static int counts_rows(const prun_table *t, int64_t column, int nameless) {
    const double *v = t->values + column * t->rows;
    char *seen = (char *)ex_allocate((size_t)t->rows + 1, 1);
    int64_t i, distinct = 0;
    int whole = t->text[column] == PRUN_COLUMN_NUMBERS;

    for (i = 0; i < t->rows && whole; i++) {
        whole = v[i] >= 0 && v[i] <= 1e15 && !(floor(v[i]) < v[i]);
        if (whole && v[i] <= (double)t->rows) distinct += seen[(int64_t)v[i]]++ == 0;
    }
    whole = whole && (nameless || (distinct == t->rows && !(seen[0] && seen[t->rows])));
    free(seen);
    return whole;
}

static int is_index(const prun_table *t, int64_t column) {
    const char *name = t->names[column];
    const int nameless = *name == '\0' || ((name[0] == 'U' || name[0] == 'u') &&
                                           strncmp(name + 1, "nnamed: ", 8) == 0 &&
                                           name[9] >= '0' && name[9] <= '9');

    return (nameless || is_one_of(name, strlen(name),
                                  "index level_0 row rownames row_names row_id "
                                  "x x.1 ...1 no nr #")) &&
           counts_rows(t, column, nameless);
}

static int64_t missing_values(const prun_table *t, int64_t column) {
    const double *v = t->values + column * t->rows;
    int64_t i, count = 0;

    for (i = 0; i < t->rows; i++) count += v[i] != v[i];
    return count;
}

/* Finds the kind of each column, before rows are left out. A library measure that is undefined for
   some models is left out, so that the other measures can be evaluated over all models. */
static void sort_columns(evaluation *e) {
    const prun_table *t = &e->table;
    int64_t i;

    e->sort = (char *)ex_allocate((size_t)t->columns, 1);
    for (i = 0; i < t->columns; i++) {
        const int64_t missing = missing_values(t, i);
        sort_of_column sort = sort_by_name(t, t->names[i]);

        if (t->rows > 0 && is_index(t, i)) sort = ROW_NUMBERS;
        else if (*t->names[i] == '\0') sort = WITHOUT_NAME;
        else if (sort == A_MEASURE && t->rows > 0 && missing == t->rows) sort = WITHOUT_VALUES;
        else if (sort == A_MEASURE && t->text[i] == PRUN_COLUMN_TEXT) sort = A_TEXT;
        else if (sort == A_MEASURE && missing > 0 && !e->set.skip_missing &&
                 is_library_measure(t->names[i]))
            sort = WITH_GAPS;
        e->sort[i] = (char)sort;
    }
}

/* Whether a column was left out because of its kind, not because of an option or its role. */
static int left_out(const evaluation *e, int64_t column) {
    return *e->set.measures == '\0' && !e->used[column] && e->sort[column] != A_MEASURE;
}

/* Prints one line on the columns that were left out, and why. */
static void print_left_out(const evaluation *e, FILE *file) {
    static const char *const names[SORTS_OF_COLUMNS] = {"",
                                                        "times",
                                                        "losses and errors",
                                                        "settings",
                                                        "about the run",
                                                        "row numbers",
                                                        "without a name",
                                                        "without values",
                                                        "undefined in some models",
                                                        "texts"};
    const int64_t most = 5; /* names of a kind */
    int64_t i, count, all = 0;
    int sort;

    for (sort = A_TIME; sort < SORTS_OF_COLUMNS; sort++) {
        for (i = 0, count = 0; i < e->table.columns; i++) {
            if (!left_out(e, i) || e->sort[i] != sort) continue;
            if (count == 0)
                fprintf(file, "%s%s: ", all++ == 0 ? "not measures: " : "; ", names[sort]);
            if (count < most)
                fprintf(file, "%s%s", count > 0 ? ", " : "",
                        *e->table.names[i] != '\0' ? ex_shown(e->table.names[i]) : "(no name)");
            count++;
        }
        if (count > most) fprintf(file, " and %ld more", (long)(count - most));
    }
    if (all > 0) fprintf(file, " (--measures takes any column)\n");
}

static int by_number(const void *left, const void *right) {
    const double a = *(const double *)left, b = *(const double *)right;

    return (a > b) - (a < b);
}

/* Warns of settings that differ only by rounding, such as 0.1 + 0.2 and 0.3. */
static void check_settings(const evaluation *e, const char *name, const double *values) {
    const int64_t n = e->table.rows, column = prun_table_find(&e->table, name);
    double *sorted = (double *)ex_allocate((size_t)n, sizeof *sorted);
    int64_t i;

    memcpy(sorted, values, (size_t)n * sizeof *sorted);
    qsort(sorted, (size_t)n, sizeof *sorted, by_number);
    for (i = 1; i < n && e->table.text[column] == PRUN_COLUMN_NUMBERS; i++) {
        const double a = sorted[i - 1], b = sorted[i];

        if (b > a && b - a < 1e-12 * fmax(fabs(a), fabs(b)))
            fprintf(stderr,
                    "warning: %s: column %ld (%s): %.17g and %.17g count as two settings; write "
                    "the same number if they are one\n",
                    ex_shown(e->path), (long)column + 1, ex_shown(name), a, b);
    }
    free(sorted);
}

/* ---- reading the table --------------------------------------------------------------------- */

/* Whether a list names a column. */
static int listed(const char *list, char separator, const char *name) {
    char pattern[NAME_ROOM];

    while (next_name(&list, separator, pattern, sizeof pattern) != NULL)
        if (fits(pattern, name)) return 1;
    return 0;
}

/* Whether a column can have a role, decided before rows are left out. */
static int wanted(const evaluation *e, int64_t column) {
    const settings *s = &e->set;
    const char *name = e->table.names[column], *fit = s->fit;
    const char *params = control_column(e, 0), *width = control_column(e, 1);
    char text[4 * NAME_ROOM];

    if (listed(s->ignore, ',', name)) return 0;
    if (listed(s->hyper, ',', name) || listed(s->measures, ',', name) ||
        strcmp(name, s->seed_column) == 0 || strcmp(name, s->target) == 0 ||
        strcmp(name, *s->train != '\0' ? s->train : "train_error") == 0 ||
        strcmp(name, *s->test != '\0' ? s->test : "test_error") == 0 ||
        (params != NULL && strcmp(name, params) == 0) ||
        (width != NULL && strcmp(name, width) == 0))
        return 1;
    while (next_name(&fit, ',', text, sizeof text) != NULL) {
        const char *equals = strchr(text, '=');

        if (equals != NULL && listed(equals + 1, '+', name)) return 1;
    }
    return *s->measures == '\0' && e->sort[column] == A_MEASURE;
}

static void skip_missing(evaluation *e) {
    uint8_t *keep = (uint8_t *)ex_allocate((size_t)e->table.rows, 1);
    int64_t i, j, before = e->table.rows;

    memset(keep, 1, (size_t)e->table.rows);
    for (j = 0; j < e->table.columns; j++) {
        const double *values = e->table.values + j * e->table.rows;

        for (i = 0; i < e->table.rows && wanted(e, j); i++)
            if (values[i] != values[i]) keep[i] = 0;
    }
    prun_table_keep_rows(&e->table, keep);
    free(keep);
    if (e->table.rows < before)
        fprintf(stderr, "note: %ld of %ld models have missing values and are left out\n",
                (long)(before - e->table.rows), (long)before);
}

/* First or last line of the models, for messages about whole columns. */
static long edge_line(const evaluation *e, int last) {
    return (long)e->table.lines[last ? e->table.rows - 1 : 0];
}

static int is_constant(const double *values, int64_t n) {
    int64_t i;

    for (i = 1; i < n && !(values[i] < values[0] || values[i] > values[0]); i++)
        ;
    return i == n;
}

/* A constant target is an error. A constant measure has a row that says so; it is an error if the
   user named it, or if no measure varies. */
static int check_constants(evaluation *e) {
    size_t i, varying = 0;

    if (is_constant(e->target, e->table.rows)) {
        fprintf(stderr,
                "error: %s: lines %ld to %ld, column %ld (%s): the target is %g in every "
                "model: there is nothing to rank\n",
                ex_shown(e->path), edge_line(e, 0), edge_line(e, 1),
                (long)prun_table_find(&e->table, e->gap == NULL         ? e->set.target
                                                 : *e->set.test != '\0' ? e->set.test
                                                                        : "test_error") +
                    1,
                ex_shown(e->target_text), e->target[0]);
        return EX_USAGE;
    }
    for (i = 0; i < e->count; i++) {
        measure *m = &e->measures[i];

        m->constant = is_constant(m->values, e->table.rows);
        varying += !m->constant && m->kind != BASELINE;
    }
    for (i = 0; i < e->count; i++) {
        const measure *m = &e->measures[i];
        const int fault = !m->found || varying == 0;

        if (m->undefined != NULL) e->problem = EX_USAGE; /* already reported */
        if (!m->constant || m->kind == BASELINE || m->undefined != NULL || (!fault && !e->set.json))
            continue; /* the tables list the others themselves */
        fprintf(stderr,
                "%s: %s: lines %ld to %ld, column %ld (%s): constant (%g); what depends on "
                "it is undefined\n",
                fault ? "error" : "note", ex_shown(e->path), edge_line(e, 0), edge_line(e, 1),
                (long)m->column + 1, ex_shown(m->name), m->values[0]);
        if (fault) e->problem = EX_USAGE;
    }
    return varying > 0 || e->problem == 0 ? 0 : EX_USAGE;
}

/* The printed tables leave out constant columns that the user did not name. */
static int shown(const measure *m) { return !(m->found && m->constant); }

/* The table whose models by_settings compares; qsort passes no context. */
static const evaluation *sorted_table;

static int compare_settings(int64_t i, int64_t j) {
    int64_t a;

    for (a = 0; a < sorted_table->axes.count; a++) {
        const double *axis = sorted_table->axis[a];

        if (axis[i] < axis[j] || axis[i] > axis[j]) return axis[i] < axis[j] ? -1 : 1;
    }
    return 0;
}

static int by_settings(const void *left, const void *right) {
    return compare_settings(*(const int64_t *)left, *(const int64_t *)right);
}

/* Models of one configuration are one cluster. */
static void find_clusters(evaluation *e) {
    int64_t *order, i, n = e->table.rows;

    if (e->axes.count == 0 || e->axes.seed == NULL || e->set.draws.value == 1) return;
    e->cluster = (double *)ex_allocate((size_t)n, sizeof *e->cluster);
    order = (int64_t *)ex_allocate((size_t)n, sizeof *order);
    for (i = 0; i < n; i++) order[i] = i;
    sorted_table = e;
    qsort(order, (size_t)n, sizeof *order, by_settings);
    for (i = 1; i < n; i++)
        e->cluster[order[i]] =
            e->cluster[order[i - 1]] + (compare_settings(order[i - 1], order[i]) != 0);
    free(order);
}

/* A column named seed is the seed, unless it was given another role. */
static void find_seed(evaluation *e) {
    settings *s = &e->set;

    if (*s->seed_column == '\0' && prun_table_find(&e->table, "seed") >= 0 &&
        !listed(s->hyper, ',', "seed") && !listed(s->measures, ',', "seed") &&
        !listed(s->ignore, ',', "seed"))
        s->seed_column = "seed";
}

static int read_table(evaluation *e) {
    int64_t a;
    int status;

    if (prun_table_load_csv(&e->context, e->path, &e->table) != PRUN_OK) return bad_table(e);
    find_seed(e);
    sort_columns(e);
    if (e->set.skip_missing) skip_missing(e);
    if (e->table.rows < 2) {
        fprintf(stderr, "error: %s: line %ld, column 1: %ld model%s, at least 2 are needed\n",
                ex_shown(e->path), e->table.rows > 0 ? edge_line(e, 1) : 2L, (long)e->table.rows,
                ex_plural(e->table.rows));
        return EX_USAGE;
    }
    e->used = (char *)ex_allocate((size_t)e->table.columns, 1);
    if ((status = find_axes(e)) != 0 || (status = find_target(e)) != 0 ||
        (status = find_controls(e)) != 0 || (status = ignore_columns(e)) != 0 ||
        (status = find_fits(e)) != 0 || (status = find_measures(e)) != 0)
        return status;
    if (e->count == 0) {
        fprintf(stderr, "error: %s: line 1: no column is left that could be a measure\n",
                ex_shown(e->path));
        print_left_out(e, stderr);
        return EX_USAGE;
    }
    if ((status = add_baselines(e)) != 0 || (status = check_names(e)) != 0 ||
        (status = check_constants(e)) != 0)
        return status;
    for (a = 0; a < e->axes.count; a++) check_settings(e, e->axis_name[a], e->axis[a]);
    if (e->axes.seed != NULL) check_settings(e, e->set.seed_column, e->axes.seed);
    if (e->set.json) print_left_out(e, stderr);
    find_clusters(e);
    return 0;
}

/* ---- statistics ---------------------------------------------------------------------------- */

static prun_sample sample_of(const evaluation *e, const measure *m) {
    prun_sample s;

    memset(&s, 0, sizeof s);
    s.n = e->table.rows;
    s.measure = m->values;
    s.target = e->target;
    s.axes = &e->axes;
    s.cluster = e->cluster;
    return s;
}

static prun_resampling_options resampling_of(const evaluation *e, prun_statistic statistic) {
    prun_resampling_options o;

    memset(&o, 0, sizeof o);
    o.statistic = statistic;
    o.resamples = statistic == PRUN_STATISTIC_CMI ? e->set.cmi_resamples : e->set.resamples;
    o.level = e->set.level;
    o.seed = (uint64_t)e->set.seed;
    return o;
}

/* Regresses the target on the measure; fitted measures already have their R2. */
static prun_status regress(evaluation *e, measure *m) {
    prun_regression_options options;
    prun_regression r;
    prun_status status;

    if (m->kind == IN_SAMPLE || m->kind == CROSS_FITTED || m->constant) return PRUN_OK;
    memset(&options, 0, sizeof options);
    options.folds = e->set.folds;
    options.seed = (uint64_t)e->set.seed;
    status = prun_regression_fit(&e->context,
                                 &(prun_regression_data){&m->values, 1, e->target, e->table.rows},
                                 &options, &r, NULL);
    if (status != PRUN_OK) return status;
    m->r2 = r.r2;
    m->adjusted_r2 = r.adjusted_r2;
    m->cv_r2 = r.cv_r2;
    m->no_r2 = r.infinite >= 0 ? "it has infinite values" : r.reason;
    if (m->no_r2 != NULL && e->set.json) /* the tables report it themselves */
        fprintf(stderr, "note: R2 of %s is undefined: %s\n", m->label, m->no_r2);
    return PRUN_OK;
}

static prun_status intervals(evaluation *e, measure *m) {
    const prun_sample s = sample_of(e, m);
    prun_resampling_options o = resampling_of(e, PRUN_STATISTIC_TAU_A);
    prun_status status = PRUN_OK;

    m->tau_interval.estimate = m->mean_interval.estimate = m->cmi_interval.estimate = NAN;
    m->tau_interval.lower = m->mean_interval.lower = m->cmi_interval.lower = NAN;
    m->tau_interval.upper = m->mean_interval.upper = m->cmi_interval.upper = NAN;
    m->r2_interval = m->tau_interval;
    if (m->constant || o.resamples == 0) return PRUN_OK;
    status = prun_bootstrap(&e->context, &s, &o, &m->tau_interval);
    o.statistic = PRUN_STATISTIC_R2;
    if (status == PRUN_OK && m->kind != IN_SAMPLE && m->kind != CROSS_FITTED)
        status = prun_bootstrap(&e->context, &s, &o, &m->r2_interval);
    o.statistic = PRUN_STATISTIC_PSI_MEAN;
    if (status == PRUN_OK && e->axes.count > 0)
        status = prun_bootstrap(&e->context, &s, &o, &m->mean_interval);
    o = resampling_of(e, PRUN_STATISTIC_CMI);
    if (status != PRUN_OK || o.resamples == 0) return status;
    status = prun_bootstrap(&e->context, &s, &o, &m->cmi_interval);
    if (status == PRUN_OK) status = prun_permutation_test(&e->context, &s, &o, &m->cmi_p);
    return status;
}

static prun_status evaluate_measure(evaluation *e, measure *m) {
    const int64_t n = e->table.rows;
    prun_sign_error_options sign;
    prun_status status;
    int i;

    memset(&sign, 0, sizeof sign);
    sign.test_samples = (double)e->set.test_samples;
    sign.effective_size = e->set.effective > 0 ? e->set.effective : DBL_MIN;
    status = prun_kendall_tau(&e->context, m->values, e->target, n, &m->kendall);
    if (status == PRUN_OK)
        status =
            prun_granulated_kendall(&e->context, &e->axes, m->values, e->target, &m->granulated);
    m->cmi.k = NAN;
    m->cmi.best = -1;
    if (status == PRUN_OK && e->with_cmi)
        status = prun_conditional_information(&e->context, &e->axes, m->values, e->target,
                                              PRUN_TIES_DROP, &m->cmi);
    if (status == PRUN_OK) status = regress(e, m);
    m->sign.all.mean = m->sign.all.p90 = m->sign.all.max = NAN;
    if (status == PRUN_OK && e->with_sign)
        status =
            prun_robust_sign_error(&e->context, &e->axes, m->values, e->target, &sign, &m->sign);
    for (i = 0; i < 2 && status == PRUN_OK; i++)
        if (e->controls[i] != NULL)
            status = prun_partial_kendall(&e->context, m->values, e->target, e->controls[i], n,
                                          &m->partial[i]);
    if (status == PRUN_OK) status = intervals(e, m);
    return status;
}

/* Whether a measure is ranked: neither a baseline, nor constant, nor fitted in-sample. */
static int is_ranked(const measure *m) {
    return (m->kind == PLAIN || m->kind == CROSS_FITTED) && !m->constant;
}

/* The measure of the largest tau, other than `but`; -1: none. baselines: 1 if they count too. */
static int64_t largest_tau(const evaluation *e, int baselines, int64_t but) {
    int64_t best = -1, i;

    for (i = 0; i < (int64_t)e->count; i++) {
        const measure *m = &e->measures[i];

        if (i == but || !(is_ranked(m) || (baselines && m->kind == BASELINE && !m->constant)))
            continue;
        if (best < 0 || m->kendall.tau_a > e->measures[best].kendall.tau_a) best = i;
    }
    return best;
}

/* Compares the measure with the largest tau with each other one. */
static prun_status compare_measures(evaluation *e) {
    prun_resampling_options o = resampling_of(e, PRUN_STATISTIC_TAU_A);
    prun_status status = PRUN_OK;
    size_t i;

    e->best = largest_tau(e, 1, -1);
    for (i = 0; i < e->count && status == PRUN_OK && e->best >= 0; i++) {
        measure *m = &e->measures[i];
        const prun_sample s = sample_of(e, &e->measures[e->best]);

        if (o.resamples > 0 && (int64_t)i != e->best && !m->constant)
            status = prun_compare(&e->context, &s, m->values, &o, &m->comparison);
    }
    return status;
}

/* K of x and y relative to the entropy of x, from a result relative to that of y. */
static double k_by_first(const prun_cmi *cmi) {
    double k = NAN;
    int32_t i;

    for (i = 0; i < cmi->subset_count; i++) {
        const prun_information *s = &cmi->subset[i];
        const double value = s->entropy_x > 1e-12 ? s->information / s->entropy_x : NAN;

        k = value < k || !(k == k) ? value : k;
    }
    return k;
}

static prun_status relate_measures(evaluation *e) {
    prun_status status = PRUN_OK;
    prun_cmi cmi;
    size_t i, j;

    e->between = (double *)ex_allocate(e->count * e->count, sizeof *e->between);
    for (i = 0; i < e->count * e->count; i++) e->between[i] = NAN;
    for (i = 0; i < e->count && status == PRUN_OK && e->with_between; i++) {
        e->between[i * e->count + i] = e->measures[i].constant ? NAN : 1;
        for (j = i + 1; j < e->count && status == PRUN_OK; j++) {
            status = prun_conditional_information(&e->context, &e->axes, e->measures[i].values,
                                                  e->measures[j].values, PRUN_TIES_DROP, &cmi);
            if (status != PRUN_OK) break;
            e->between[i * e->count + j] = cmi.k;
            e->between[j * e->count + i] = k_by_first(&cmi);
            ex_progress_add(&e->progress, e->k_cost);
        }
    }
    return status;
}

/* Holm's correction over the measures; baselines are not tested. */
static void correct(evaluation *e) {
    double *p = (double *)ex_allocate(2 * e->count, sizeof *p), *adjusted = p + e->count;
    size_t i;

    for (i = 0; i < e->count; i++)
        p[i] = e->measures[i].kind == BASELINE ? NAN : e->measures[i].kendall.p;
    prun_holm(p, (int64_t)e->count, adjusted);
    for (i = 0; i < e->count; i++) {
        e->measures[i].holm = adjusted[i];
        p[i] = (int64_t)i == e->best || e->best < 0 ? NAN : e->measures[i].comparison.p;
    }
    prun_holm(p, (int64_t)e->count, adjusted);
    for (i = 0; i < e->count; i++) e->measures[i].comparison_holm = adjusted[i];
    free(p);
}

/* Core seconds of K between all measures. */
static double cost_of_between(const evaluation *e) {
    return e->k_cost * (double)e->count * (double)(e->count - 1) / 2;
}

static int compute(evaluation *e) {
    prun_status status = PRUN_OK;
    size_t i;
    const double cost = e->interval_cost + (e->with_cmi ? e->k_cost : 1e-6);
    const double between = e->with_between ? cost_of_between(e) : 0;

    ex_progress_start(&e->progress, "evaluating", cost * (double)e->count + between, e->set.quiet);
    for (i = 0; i < e->count && status == PRUN_OK; i++) {
        status = evaluate_measure(e, &e->measures[i]);
        ex_progress_add(&e->progress, cost);
    }
    if (status == PRUN_OK) status = compare_measures(e);
    if (status == PRUN_OK) status = relate_measures(e);
    if (e->progress.shown > e->progress.start) ex_progress_end(&e->progress);
    if (status != PRUN_OK) return bad_table(e);
    correct(e);
    return 0;
}

/* ---- findings ------------------------------------------------------------------------------ */

static const char *target_name(const evaluation *e) {
    return strcmp(e->set.target, "gap") == 0 ? "generalization gap" : ex_shown(e->set.target);
}

/* Number of ranked measures whose interval of tau is above (or else below) 0. */
static long decided(const evaluation *e, int above) {
    long count = 0;
    size_t i;

    for (i = 0; i < e->count; i++) {
        const prun_interval *interval = &e->measures[i].tau_interval;

        if (is_ranked(&e->measures[i])) count += above ? interval->lower > 0 : interval->upper < 0;
    }
    return count;
}

/* Prints the next measure and, if the two were compared, the lead of the best one. */
static void print_lead(const evaluation *e, int64_t best, int64_t next) {
    const measure *m = &e->measures[next];
    const prun_interval *lead = &m->comparison;

    printf("The next is %s (%+.3f)", m->label, m->kendall.tau_a);
    if (best == e->best && lead->estimate == lead->estimate)
        printf(": the difference of %.3f (%+.3f to %+.3f) %s", lead->estimate, lead->lower,
               lead->upper, lead->lower > 0 ? "is significant" : "may be due to chance");
    printf(".\n");
}

/* Prints the main results in three sentences. */
static void print_findings(const evaluation *e) {
    const int64_t best = largest_tau(e, 0, -1), next = largest_tau(e, 0, best);
    const prun_interval *interval = best >= 0 ? &e->measures[best].tau_interval : NULL;
    long ranked = 0;
    size_t i;

    for (i = 0; i < e->count; i++) ranked += is_ranked(&e->measures[i]);
    printf("\n");
    if (best < 0) {
        printf("No measure can be ranked: none differs between the models.\n");
        return;
    }
    if (e->table.rows < FEW_MODELS)
        printf("%ld models are too few for a reliable ranking of measures.\n", (long)e->table.rows);
    if (ranked == 1) printf("%s is the only measure", e->measures[best].label);
    else
        printf("%s follows the %s best of %ld measures", e->measures[best].label, target_name(e),
               ranked);
    printf(": tau %+.3f", e->measures[best].kendall.tau_a);
    if (interval->lower == interval->lower)
        printf(" (%g %% interval %+.3f to %+.3f)", 100 * e->set.level, interval->lower,
               interval->upper);
    printf(".\n");
    if (next >= 0) print_lead(e, best, next);
    if (interval->lower == interval->lower && ranked > 1)
        printf("Measures that increase with the %s: %ld of %ld; that decrease: %ld (by intervals "
               "that exclude 0).\n",
               target_name(e), decided(e, 1), ranked, decided(e, 0));
}

/* ---- tables -------------------------------------------------------------------------------- */

static void interval_cell(ex_table *table, const prun_interval *interval) {
    if (interval->lower == interval->lower)
        ex_table_cell(table, "[%+.3f, %+.3f]", interval->lower, interval->upper);
    else ex_table_cell(table, "-");
}

/* The subset at which K is smallest, such as "width, depth". */
static void subset_text(const evaluation *e, const prun_cmi *cmi, char *text, size_t size) {
    const int32_t *axis = cmi->best >= 0 ? cmi->subset[cmi->best].axis : NULL;

    if (axis == NULL) snprintf(text, size, "-");
    else if (axis[0] < 0) snprintf(text, size, "nothing");
    else
        snprintf(text, size, "%s%s%s", e->axis_name[axis[0]], axis[1] >= 0 ? ", " : "",
                 axis[1] >= 0 ? e->axis_name[axis[1]] : "");
}

static void print_table_1(const evaluation *e) {
    ex_table t = {0, 0, 0, NULL};
    char given[2 * NAME_ROOM], names[256];
    size_t i;

    printf("\nTable 1. Kendall's tau, R2 and conditional mutual information K with the %s\n\n",
           target_name(e));
    snprintf(names, sizeof names,
             "measure|tau|%g %% interval|p|p (Holm)|tau_b|R2|adj. R2|%ld-fold R2|K|p (K)|given",
             100 * e->set.level, (long)e->set.folds);
    ex_table_header(&t, names);
    for (i = 0; i < e->count; i++) {
        const measure *m = &e->measures[i];

        if (!shown(m)) continue;
        ex_table_cell(&t, "%s%s", m->label, m->kind == BASELINE ? " (baseline)" : "");
        ex_table_number(&t, "%+.3f", m->constant ? NAN : m->kendall.tau_a);
        interval_cell(&t, &m->tau_interval);
        ex_table_number(&t, "%.2g", m->kendall.p);
        ex_table_number(&t, "%.2g", m->holm);
        ex_table_number(&t, "%+.3f", m->kendall.tau_b);
        ex_table_number(&t, "%.3f", m->r2);
        ex_table_number(&t, "%.3f", m->adjusted_r2);
        ex_table_number(&t, "%.3f", m->cv_r2);
        ex_table_number(&t, "%.4f", m->cmi.k);
        ex_table_number(&t, "%.2g", m->cmi_p);
        subset_text(e, &m->cmi, given, sizeof given);
        ex_table_cell(&t, "%s", ex_shown(given));
    }
    ex_table_print(&t, stdout);
    ex_table_free(&t);
    printf("\nn = %ld; the standard error of tau is %.3f under independence. K is the minimum over "
           "the\nhyperparameters to condition on, reached at those given; it ignores the sign of "
           "tau.\n",
           (long)e->table.rows, e->measures[0].kendall.standard_error);
}

static void print_table_2(const evaluation *e) {
    ex_table t = {0, 0, 0, NULL};
    const prun_granulated *g;
    size_t i;
    int64_t a;

    printf("\nTable 2. Granulated Kendall: psi of each hyperparameter, and their mean Psi\n\n");
    ex_table_cell(&t, "measure");
    for (a = 0; a < e->axes.count; a++) /* names may contain what ex_table_header splits at */
        ex_table_cell(&t, "%s", ex_shown(e->axis_name[a]));
    ex_table_header(&t, "tau|Psi|interval of Psi");
    for (i = 0; i < e->count; i++) {
        const measure *m = &e->measures[i];

        if (!shown(m)) continue;
        g = &m->granulated;
        ex_table_cell(&t, "%s%s", m->label, m->kind == BASELINE ? " (baseline)" : "");
        for (a = 0; a < e->axes.count; a++)
            ex_table_number(&t, "%+.3f", m->constant ? NAN : g->psi[a]);
        ex_table_number(&t, "%+.3f", m->constant ? NAN : m->kendall.tau_a);
        ex_table_number(&t, "%+.3f", m->constant ? NAN : g->mean);
        interval_cell(&t, &m->mean_interval);
    }
    g = &e->measures[0].granulated;
    ex_table_cell(&t, "standard error");
    for (a = 0; a < e->axes.count; a++) ex_table_number(&t, "%.3f", g->psi_standard_error[a]);
    ex_table_number(&t, "%.3f", e->measures[0].kendall.standard_error);
    ex_table_number(&t, "%.3f", g->mean_standard_error);
    ex_table_cell(&t, "-");
    ex_table_cell(&t, "groups");
    for (a = 0; a < e->axes.count; a++) ex_table_cell(&t, "%ld", (long)g->groups[a]);
    ex_table_cell(&t, "-");
    ex_table_cell(&t, "-");
    ex_table_cell(&t, "-");
    ex_table_print(&t, stdout);
    ex_table_free(&t);
}

static void print_table_3(const evaluation *e) {
    ex_table t = {0, 0, 0, NULL};
    ex_text header = {NULL, 0, 0};
    size_t i, j;
    int number = 0;

    printf("\nTable 3. Conditional mutual information K between measures, as a fraction of the "
           "entropy of\nthe column's measure\n\n");
    ex_text_add(&header, "measure");
    for (j = 0; j < e->count; j++)
        if (shown(&e->measures[j])) ex_text_add(&header, "|(%d)", ++number);
    ex_table_header(&t, header.data);
    for (i = 0, number = 0; i < e->count; i++) {
        if (!shown(&e->measures[i])) continue;
        ex_table_cell(&t, "(%d) %s", ++number, e->measures[i].label);
        for (j = 0; j < e->count; j++)
            if (shown(&e->measures[j])) ex_table_number(&t, "%.3f", e->between[i * e->count + j]);
    }
    ex_table_print(&t, stdout);
    ex_table_free(&t);
    ex_text_free(&header);
}

/* Whether any measure has a sign error. */
static int has_sign_errors(const evaluation *e) {
    int64_t environments = 0;
    size_t i;

    for (i = 0; i < e->count && e->with_sign; i++)
        environments += e->measures[i].sign.all.environments;
    return environments > 0;
}

static void print_table_4(const evaluation *e) {
    ex_table t = {0, 0, 0, NULL};
    ex_text header = {NULL, 0, 0};
    const int sign = has_sign_errors(e);
    int c;
    size_t i;

    printf("\nTable 4. Trivial baselines%s, and the best measure against the others\n\n",
           sign ? ", robust sign error" : "");
    ex_text_add(&header, "measure|tau");
    for (c = 0; c < 2; c++)
        if (e->controls[c] != NULL)
            ex_text_add(&header, "|tau of %s|tau given %s", c ? "1/width" : "parameters",
                        c ? "width" : "parameters");
    if (sign) ex_text_add(&header, "|sign error|90 %%|max");
    ex_text_add(&header, "|best - this|%g %% interval|p (Holm)", 100 * e->set.level);
    ex_table_header(&t, header.data);
    for (i = 0; i < e->count; i++) {
        const measure *m = &e->measures[i];
        size_t baseline = e->count - (e->controls[0] != NULL) - (e->controls[1] != NULL);

        if (!shown(m)) continue;
        ex_table_cell(&t, "%s%s", m->label, m->kind == BASELINE ? " (baseline)" : "");
        ex_table_number(&t, "%+.3f", m->constant ? NAN : m->kendall.tau_a);
        for (c = 0; c < 2; c++)
            if (e->controls[c] != NULL) {
                ex_table_number(&t, "%+.3f", e->measures[baseline++].kendall.tau_a);
                ex_table_number(&t, "%+.3f", m->partial[c]);
            }
        if (sign) {
            ex_table_number(&t, "%.3f", m->constant ? NAN : m->sign.all.mean);
            ex_table_number(&t, "%.3f", m->constant ? NAN : m->sign.all.p90);
            ex_table_number(&t, "%.3f", m->constant ? NAN : m->sign.all.max);
        }
        if ((int64_t)i == e->best) {
            ex_table_cell(&t, "the best");
            ex_table_cell(&t, "-");
        } else {
            ex_table_number(&t, "%+.3f", m->comparison.estimate);
            if (m->comparison.estimate == m->comparison.estimate) interval_cell(&t, &m->comparison);
            else ex_table_cell(&t, "-");
        }
        ex_table_number(&t, "%.2g", m->comparison_holm);
    }
    ex_table_print(&t, stdout);
    ex_table_free(&t);
    ex_text_free(&header);
}

/* A p-value from resamples has a smallest value, which Holm's correction multiplies by the number
   of comparisons: says so where no difference could be significant. */
static void print_floor(const evaluation *e) {
    double floor_p = e->set.resamples > 0 ? 2.0 / (double)e->set.resamples : 0;
    size_t i, tests = 0;

    for (i = 0; i < e->count; i++)
        tests += e->measures[i].comparison_holm == e->measures[i].comparison_holm;
    floor_p *= (double)tests;
    if (floor_p > 0.05)
        printf("p (Holm) of %ld comparisons cannot fall below %.2g with %ld resamples "
               "(--resamples)\n",
               (long)tests, floor_p < 1 ? floor_p : 1.0, (long)e->set.resamples);
}

/* Prints the reason for every dash in the tables. */
static void print_reasons(const evaluation *e) {
    const measure *first = &e->measures[0];
    size_t i;
    int64_t a;
    int constant = 0;

    while (first + 1 < e->measures + e->count && first->constant) first++;
    printf("\n");
    for (i = 0; i < e->count; i++) {
        const measure *m = &e->measures[i];

        if (!shown(m))
            printf("%s%s", constant++ == 0 ? "left out because constant: " : ", ", m->label);
    }
    printf("%s", constant > 0 ? "\n" : "");
    for (i = 0; i < e->count; i++) {
        const measure *m = &e->measures[i];

        if (m->undefined != NULL) printf("undefined: all of %s: %s\n", m->label, m->undefined);
        else if (m->constant && shown(m))
            printf("undefined: all of %s: it is %g in every model\n", m->label, m->values[0]);
        else if (m->cmi.reason != NULL && shown(m))
            printf("undefined: K of %s: %s\n", m->label, m->cmi.reason);
        if (!m->constant && m->no_r2 != NULL)
            printf("undefined: R2 of %s: %s\n", m->label, m->no_r2);
        for (a = 0; a < 2 && !m->constant; a++)
            if (e->controls[a] != NULL && m->partial[a] != m->partial[a])
                printf("undefined: tau of %s given %s: one determines the order of the other\n",
                       m->label, a ? "width" : "parameters");
    }
    for (a = 0; a < e->axes.count; a++)
        if (first->granulated.reason[a] != NULL)
            printf("undefined: psi of %s: %s\n", ex_shown(e->axis_name[a]),
                   first->granulated.reason[a]);
    if (!e->with_sign)
        printf("sign errors are left out: their cost is quadratic in the number of models\n");
    else if (e->axes.count > 0 && !has_sign_errors(e))
        printf("undefined: sign errors: none of the %ld pairs of settings that differ in one "
               "hyperparameter\n           has an effective sample size of %g (--effective)\n",
               (long)first->sign.all.dropped, e->set.effective);
    else if (e->axes.count > 0)
        printf("sign errors over %ld environments; %ld have an effective sample size below %g\n",
               (long)first->sign.all.environments, (long)first->sign.all.dropped, e->set.effective);
    for (i = 0; i < e->count; i++)
        if (e->measures[i].kind == IN_SAMPLE)
            printf("%s was fitted to the target, so its results are too good; use the cross-fitted "
                   "ones\n",
                   e->measures[i].label);
    if (e->set.resamples > 0)
        printf("intervals: %ld bootstrap resamples (K: %ld) of %s\n", (long)e->set.resamples,
               (long)e->set.cmi_resamples,
               e->cluster != NULL ? "configurations with all their seeds" : "models");
    if (e->fewer_resamples)
        printf(
            "           by the rule for large tables: %g / (models x measures) resamples, at least "
            "%d,\n           at most %d (--resamples)\n",
            MOST_ROWS_DRAWN, LEAST_RESAMPLES, USUAL_RESAMPLES);
    print_floor(e);
    if (!e->with_cmi)
        printf("K is left out: it would take about %.0f core minutes (--cmi yes)\n",
               (double)e->count * e->k_cost / 60);
    else if (e->set.cmi_resamples == 0 && e->set.resamples > 0)
        printf("p (K) is left out: it would take too long for this table (--cmi-resamples)\n");
    if (e->with_cmi && !e->with_between)
        printf(
            "K between measures is left out: it would take about %.0f core minutes (--cmi yes)\n",
            cost_of_between(e) / 60);
}

static void print_tables(const evaluation *e) {
    static const char *const seeds[3] = {"Table 2 compares models of equal seed",
                                         "Table 2 pools them", "averaged"};
    int64_t a;

    printf("%s: %ld models; target: %s\n", ex_shown(e->path), (long)e->table.rows,
           ex_shown(e->target_text));
    if (e->axes.count > 0) printf("hyperparameters:");
    for (a = 0; a < e->axes.count; a++)
        printf("%s %s", a > 0 ? "," : "", ex_shown(e->axis_name[a]));
    if (e->axes.seed != NULL)
        printf("%sseeds: %s (%s)", e->axes.count > 0 ? "; " : "", ex_shown(e->set.seed_column),
               seeds[e->set.seeds.value]);
    if (e->axes.count > 0 || e->axes.seed != NULL) printf("\n");
    print_left_out(e, stdout);
    print_findings(e);
    print_table_1(e);
    if (e->axes.count > 0) print_table_2(e);
    if (e->count > 1 && e->with_between) print_table_3(e);
    print_table_4(e);
    print_reasons(e);
}

/* ---- JSON ---------------------------------------------------------------------------------- */

/* Bytes of the UTF-8 character at the start of a text, checked as strictly as JSON readers do; 0: a
   control character or invalid UTF-8. */
static size_t utf8_length(const char *text) {
    const unsigned char *c = (const unsigned char *)text;
    const size_t length = *c < 0x80   ? 1
                          : *c < 0xc2 ? 0
                          : *c < 0xe0 ? 2
                          : *c < 0xf0 ? 3
                          : *c < 0xf5 ? 4
                                      : 0;
    size_t i;

    for (i = 1; i < length; i++)
        if ((c[i] & 0xc0) != 0x80) return 0;
    if (*c < 0x20 || *c == 0x7f || (*c == 0xc2 && c[1] < 0xa0)) /* controls */
        return 0;
    if ((*c == 0xe0 && c[1] < 0xa0) || (*c == 0xf0 && c[1] < 0x90)) /* overlong */
        return 0;
    return (*c == 0xed && c[1] > 0x9f) || (*c == 0xf4 && c[1] > 0x8f) ? 0 : length;
}

static void json_text(const char *text) {
    putchar('"');
    while (*text != '\0') {
        const size_t length = utf8_length(text);

        if (*text == '"' || *text == '\\') printf("\\%c", *text);
        else if (length > 0) printf("%.*s", (int)length, text);
        else /* a control character, or Latin-1, which has the same codes as Unicode */
            printf("\\u%04x", (unsigned)(unsigned char)*text);
        text += length > 0 ? length : 1;
    }
    putchar('"');
}

static void json_number(const char *name, double value, const char *after) {
    json_text(name);
    if (value - value == 0) printf(":%.17g%s", value, after);
    else printf(":null%s", after);
}

static void json_interval(const char *name, const prun_interval *interval) {
    json_text(name);
    if (interval->lower == interval->lower)
        printf(":[%.17g,%.17g],", interval->lower, interval->upper);
    else printf(":null,");
}

static void json_axes(const evaluation *e, const char *name, const double *values, int undefined) {
    int64_t a;

    printf("\"%s\":{", name);
    for (a = 0; a < e->axes.count; a++)
        json_number(e->axis_name[a], undefined ? NAN : values[a], a + 1 < e->axes.count ? "," : "");
    printf("},");
}

static void json_information(const evaluation *e, const measure *m) {
    int32_t i, k;

    printf("\"K_subsets\":[");
    for (i = 0; i < m->cmi.subset_count; i++) {
        const prun_information *s = &m->cmi.subset[i];

        printf("%s{\"given\":[", i > 0 ? "," : "");
        for (k = 0; k < 2 && s->axis[k] >= 0; k++) {
            printf("%s", k > 0 ? "," : "");
            json_text(e->axis_name[s->axis[k]]);
        }
        printf("],");
        json_number("value", s->value, ",");
        json_number("information", s->information, ",");
        json_number("entropy", s->entropy_y, ",");
        printf("\"cells\":%ld}", (long)s->cells);
    }
    printf("],\"between\":{");
    for (i = 0; i < (int32_t)e->count; i++)
        json_number(e->measures[i].name,
                    e->between[(size_t)(m - e->measures) * e->count + (size_t)i],
                    i + 1 < (int32_t)e->count ? "," : "");
    printf("}");
}

static void json_measure(const evaluation *e, const measure *m) {
    const int undefined = m->constant;

    json_text(m->name);
    printf(":{");
    json_number("tau_a", undefined ? NAN : m->kendall.tau_a, ",");
    json_number("tau_b", m->kendall.tau_b, ",");
    json_number("tau_c", m->kendall.tau_c, ",");
    json_number("p", m->kendall.p, ",");
    json_number("p_holm", m->holm, ",");
    json_number("standard_error", m->kendall.standard_error, ",");
    json_interval("tau_interval", &m->tau_interval);
    json_axes(e, "psi", m->granulated.psi, undefined);
    json_axes(e, "psi_error", m->granulated.psi_standard_error, undefined);
    json_number("Psi", undefined ? NAN : m->granulated.mean, ",");
    json_number("Psi_error", undefined ? NAN : m->granulated.mean_standard_error, ",");
    json_interval("Psi_interval", &m->mean_interval);
    json_number("K", m->cmi.k, ",");
    json_number("K_p", m->cmi_p, ",");
    json_interval("K_interval", &m->cmi_interval);
    json_number("r2", m->r2, ",");
    json_number("adj_r2", m->adjusted_r2, ",");
    json_number("cv_r2", m->cv_r2, ",");
    json_interval("r2_interval", &m->r2_interval);
    json_number("tau_given_params", m->partial[0], ",");
    json_number("tau_given_width", m->partial[1], ",");
    json_number("sign_error_mean", undefined ? NAN : m->sign.all.mean, ",");
    json_number("sign_error_p90", undefined ? NAN : m->sign.all.p90, ",");
    json_number("sign_error_max", undefined ? NAN : m->sign.all.max, ",");
    json_information(e, m);
    printf("}");
}

/* Measures and baselines are separate objects. */
static void json_group(const evaluation *e, const char *name, int baselines) {
    size_t i;
    int any = 0;

    printf("\"%s\":{", name);
    for (i = 0; i < e->count; i++) {
        if ((e->measures[i].kind == BASELINE) != baselines) continue;
        printf("%s\n", any++ ? "," : "");
        json_measure(e, &e->measures[i]);
    }
    printf("}");
}

static void print_json(const evaluation *e) {
    int64_t i;
    int any = 0;

    printf("{\"models\":%ld,\"target\":", (long)e->table.rows);
    json_text(e->target_text);
    printf(",\"left_out\":[");
    for (i = 0; i < e->table.columns; i++) {
        if (!left_out(e, i)) continue;
        printf("%s", any++ ? "," : "");
        json_text(e->table.names[i]);
    }
    printf("],");
    json_group(e, "measures", 0);
    printf(",");
    json_group(e, "baselines", 1);
    printf("}\n");
}

/* ---- CSV ----------------------------------------------------------------------------------- */

static void csv_interval(ex_csv *csv, const prun_interval *interval) {
    ex_csv_number(csv, interval->lower);
    ex_csv_number(csv, interval->upper);
}

/* Writes a column name with a prefix. */
static void csv_name(ex_csv *csv, const char *prefix, const char *name) {
    char *text = text_of("%s%s", prefix, name);

    ex_csv_text(csv, text);
    free(text);
}

static void csv_header(ex_csv *csv, const evaluation *e) {
    int64_t a;
    size_t i;

    ex_csv_names(csv, "measure,baseline,n,tau_a,standard_error,tau_lower,tau_upper,tau_b,p,p_holm,"
                      "r2,r2_lower,r2_upper,adj_r2,cv_r2,K,K_given,K_lower,K_upper,K_p");
    for (a = 0; a < e->axes.count; a++) {
        csv_name(csv, "psi_", e->axis_name[a]);
        csv_name(csv, "psi_error_", e->axis_name[a]);
    }
    ex_csv_names(csv, "Psi,Psi_error,Psi_lower,Psi_upper,tau_given_params,tau_given_width,"
                      "sign_error_mean,sign_error_p90,sign_error_max,environments,best_minus_this,"
                      "difference_lower,difference_upper,difference_p,difference_p_holm");
    for (i = 0; i < e->count; i++) csv_name(csv, "K_with_", e->measures[i].name);
    ex_csv_end_line(csv);
}

static void csv_row(ex_csv *csv, const evaluation *e, size_t row) {
    const measure *m = &e->measures[row];
    const int undefined = m->constant,
              compared = m->comparison.lower == m->comparison.lower && (int64_t)row != e->best;
    char given[2 * NAME_ROOM] = "";
    int64_t a;
    size_t i;

    ex_csv_text(csv, m->name);
    ex_csv_number(csv, m->kind == BASELINE);
    ex_csv_number(csv, (double)e->table.rows);
    ex_csv_number(csv, undefined ? NAN : m->kendall.tau_a);
    ex_csv_number(csv, m->kendall.standard_error);
    csv_interval(csv, &m->tau_interval);
    ex_csv_number(csv, m->kendall.tau_b);
    ex_csv_number(csv, m->kendall.p);
    ex_csv_number(csv, m->holm);
    ex_csv_number(csv, m->r2);
    csv_interval(csv, &m->r2_interval);
    ex_csv_number(csv, m->adjusted_r2);
    ex_csv_number(csv, m->cv_r2);
    ex_csv_number(csv, m->cmi.k);
    if (m->cmi.best >= 0) subset_text(e, &m->cmi, given, sizeof given);
    ex_csv_text(csv, given);
    csv_interval(csv, &m->cmi_interval);
    ex_csv_number(csv, m->cmi_p);
    for (a = 0; a < e->axes.count; a++) {
        ex_csv_number(csv, undefined ? NAN : m->granulated.psi[a]);
        ex_csv_number(csv, m->granulated.psi_standard_error[a]);
    }
    ex_csv_number(csv, undefined ? NAN : m->granulated.mean);
    ex_csv_number(csv, m->granulated.mean_standard_error);
    csv_interval(csv, &m->mean_interval);
    ex_csv_number(csv, m->partial[0]);
    ex_csv_number(csv, m->partial[1]);
    ex_csv_number(csv, undefined ? NAN : m->sign.all.mean);
    ex_csv_number(csv, undefined ? NAN : m->sign.all.p90);
    ex_csv_number(csv, undefined ? NAN : m->sign.all.max);
    ex_csv_number(csv, (double)m->sign.all.environments);
    ex_csv_number(csv, compared ? m->comparison.estimate : NAN);
    ex_csv_number(csv, compared ? m->comparison.lower : NAN);
    ex_csv_number(csv, compared ? m->comparison.upper : NAN);
    ex_csv_number(csv, compared ? m->comparison.p : NAN);
    ex_csv_number(csv, m->comparison_holm);
    for (i = 0; i < e->count; i++) ex_csv_number(csv, e->between[row * e->count + i]);
    ex_csv_end_line(csv);
}

/* Refuses an output that would overwrite the table or cannot be written, before the long work. */
static int check_output(const evaluation *e, const char *option, const char *path) {
    if (!ex_one_file(path, e->path)) return ex_writable(path);
    ex_error("--%s %s: this is the table that is read; give another name", option, path);
    return EX_USAGE;
}

static int write_csv(const evaluation *e) {
    ex_csv csv;
    size_t i;

    if (*e->set.csv == '\0') return 0;
    if (ex_csv_open(&csv, e->set.csv, 0) != 0) return EX_FAILED;
    csv_header(&csv, e);
    for (i = 0; i < e->count; i++) csv_row(&csv, e, i);
    return ex_csv_close(&csv);
}

/* ---- SVG ----------------------------------------------------------------------------------- */

/* Sorted levels of a hyperparameter; returns how many, 0 for more than six. */
static int levels_of(const double *values, int64_t n, double *levels) {
    int count = 0, k, at;
    int64_t i;

    for (i = 0; i < n; i++) {
        for (at = 0; at < count && levels[at] < values[i];) at++;
        if (at < count && !(levels[at] > values[i])) continue;
        if (count == 6) return 0;
        for (k = count++; k > at; k--) levels[k] = levels[k - 1];
        levels[at] = values[i];
    }
    return count;
}

/* Name of a level, as written in the table. */
static void level_name(const evaluation *e, int64_t axis, double level, char *text, size_t size) {
    const int64_t column = prun_table_find(&e->table, e->axis_name[axis]);
    int64_t i;

    for (i = 0; e->axis[axis][i] < level || e->axis[axis][i] > level;) i++;
    snprintf(text, size, "%.60s %.60s", ex_shown(e->axis_name[axis]),
             ex_shown(e->table.cells[i * e->table.columns + column]));
}

/* Name of a measure's figure, short enough for a file. Names such as "a b" and "a/b" would be the
   same file, so all but the first get a number. */
static void scatter_name(const evaluation *e, const measure *m, char *text, size_t size) {
    const measure *other;
    char own[101], name[101];
    int twin = 1;

    snprintf(own, sizeof own, "%s", m->name);
    for (other = e->measures; other < m; other++) {
        snprintf(name, sizeof name, "%s", other->name);
        twin += !other->constant && ex_same_file(name, own);
    }
    if (twin == 1) snprintf(text, size, "scatter_%s", own);
    else snprintf(text, size, "scatter_%s_%d", own, twin);
}

/* Points are coloured by the first hyperparameter that does not have too many levels. `values`, of
   2 n elements, receives x and y grouped by level. */
static int svg_scatter(const evaluation *e, const measure *m, double *values) {
    const int64_t n = e->table.rows;
    double levels[6], *x = values, *y = values + n;
    char title[80], name[160], names[6][140];
    ex_series series[6];
    ex_plot plot;
    int64_t i, axis, at = 0;
    int k, count = 0;

    memset(series, 0, sizeof series);
    memset(&plot, 0, sizeof plot);
    for (axis = 0; axis < e->axes.count && count == 0; axis++)
        count = levels_of(e->axis[axis], n, levels);
    for (k = 0; k < count || k == 0; k++) {
        series[k].x = x + at;
        series[k].y = y + at;
        series[k].colour = k;
        for (i = 0; i < n; i++) {
            if (count > 0 && (e->axis[axis - 1][i] < levels[k] || e->axis[axis - 1][i] > levels[k]))
                continue;
            x[at] = m->values[i];
            y[at++] = e->target[i];
            series[k].n++;
        }
        if (count == 0) continue;
        level_name(e, axis - 1, levels[k], names[k], sizeof names[k]);
        series[k].name = names[k];
    }
    snprintf(title, sizeof title, "tau = %+.3f, n = %ld", m->kendall.tau_a, (long)n);
    scatter_name(e, m, name, sizeof name);
    plot.title = title;
    plot.x_label = m->label;
    plot.y_label = ex_shown(e->target_text);
    plot.series = series;
    plot.count = count > 0 ? count : 1;
    return ex_plots_write(e->set.svg, name, NULL, NULL, &plot, 1, 1, 720, 460);
}

/* A bar with its standard error. v is in -1 .. 1; the error bar is clipped to that range. */
static void svg_bar(FILE *file, double x, double width, double middle, double height, double v,
                    double error, const char *colour) {
    const double top = middle - height * v;
    const double high = height * (v + error < 1 ? v + error : 1);
    const double low = height * (v - error > -1 ? v - error : -1);

    fprintf(file, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\"/>\n", x,
            v > 0 ? top : middle, width, fabs(height * v), colour);
    fprintf(file,
            "<path d=\"M%.1f %.1fV%.1fM%.1f %.1fh6m-6 %.1fh6\" stroke=\"#222\" "
            "fill=\"none\"/>\n",
            x + width / 2, middle - high, middle - low, x + width / 2 - 3, middle - high,
            high - low);
}

/* One panel per measure: a bar per hyperparameter, and Psi. */
static void svg_panel(const evaluation *e, FILE *file, const measure *m, double left, double top) {
    const double width = 330, height = 80, middle = top + 34 + height;
    const int64_t bars = e->axes.count + 1;
    const double pitch = width / (double)bars;
    int64_t a;
    int tick;

    ex_svg_text(file, left, top + 16, "font-weight=\"bold\"", m->label);
    for (tick = -2; tick <= 2; tick++) {
        const double y = middle - height * tick / 2;
        char text[16];

        fprintf(file, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\"/>\n",
                left, y, left + width, y, tick == 0 ? "#444" : "#ddd");
        snprintf(text, sizeof text, "%g", tick / 2.0);
        ex_svg_text(file, left - 6, y + 4, "text-anchor=\"end\" font-size=\"11\"", text);
    }
    for (a = 0; a < bars; a++) {
        const int mean = a == e->axes.count;
        const double v = mean ? m->granulated.mean : m->granulated.psi[a];
        const double error =
            mean ? m->granulated.mean_standard_error : m->granulated.psi_standard_error[a];
        const double x = left + pitch * ((double)a + 0.2);

        if (v == v)
            svg_bar(file, x, 0.6 * pitch, middle, height, v, error, mean ? "#d55e00" : "#0072b2");
        ex_svg_text(file, x + 0.3 * pitch, middle + height + 16,
                    "text-anchor=\"middle\" font-size=\"11\"",
                    mean ? "Psi" : ex_shown(e->axis_name[a]));
    }
}

static int svg_psi(const evaluation *e, ex_text *path) {
    const int rows = (int)(e->count + 1) / 2;
    FILE *file = ex_svg_open(e->set.svg, "psi", 820, 240.0 * rows + 40, path);
    int shown = 0;
    size_t i;

    if (file == NULL) return EX_FAILED;
    ex_svg_text(
        file, 50, 24, "font-size=\"14\"",
        "Granulated Kendall psi per hyperparameter and their mean Psi, with standard errors");
    for (i = 0; i < e->count; i++) {
        if (e->measures[i].constant) continue;
        svg_panel(e, file, &e->measures[i], 50 + 400 * (shown % 2), 40 + 240 * (shown / 2));
        shown++;
    }
    return ex_svg_close(file, path->data);
}

/* Checks all outputs before the long work. */
static int check_outputs(const evaluation *e) {
    ex_text path = {NULL, 0, 0};
    char name[160] = "psi";
    size_t i;
    int status = 0;

    if (*e->set.csv != '\0') status = check_output(e, "csv", e->set.csv);
    if (status != 0 || *e->set.svg == '\0') return status;
    status = ex_directory(e->set.svg);
    for (i = 0; i <= e->count && status == 0; i++) {
        if (i > 0) scatter_name(e, &e->measures[i - 1], name, sizeof name);
        ex_path(&path, e->set.svg, name, "svg");
        status = check_output(e, "svg", path.data);
    }
    ex_text_free(&path);
    return status;
}

static int write_svg(const evaluation *e) {
    ex_text path = {NULL, 0, 0};
    double *values;
    size_t i;
    int status = 0;

    if (*e->set.svg == '\0') return 0;
    values = (double *)ex_allocate(2 * (size_t)e->table.rows, sizeof *values);
    for (i = 0; i < e->count && status == 0; i++)
        if (!e->measures[i].constant) status = svg_scatter(e, &e->measures[i], values);
    if (status == 0 && e->axes.count > 0) status = svg_psi(e, &path);
    ex_text_free(&path);
    free(values);
    return status;
}

/* ---- program ------------------------------------------------------------------------------- */

static int parse(int argc, char **argv, settings *set) {
    const ex_option options[] = {
        {"hyper", EX_TEXT, &set->hyper, NULL, 0, 0, "columns of the hyperparameters: a,b,c"},
        {"seed-column", EX_TEXT, &set->seed_column, NULL, 0, 0,
         "column of the random seed [seed, if there is one]"},
        {"seeds", EX_CHOICE, &set->seeds, "fixed", 0, 0,
         "granulated tau: within each seed, over all models, of means over seeds"},
        {"target", EX_TEXT, &set->target, "gap", 0, 0,
         "column to predict; gap: test minus train error"},
        {"train", EX_TEXT, &set->train, NULL, 0, 0, "training error of the gap [train_error]"},
        {"test", EX_TEXT, &set->test, NULL, 0, 0, "test error of the gap [test_error]"},
        {"measures", EX_TEXT, &set->measures, NULL, 0, 0,
         "columns a,b,c [every column of numbers that has no other role]"},
        {"ignore", EX_TEXT, &set->ignore, NULL, 0, 0, "columns a,b* that are not measures"},
        {"fit", EX_TEXT, &set->fit, NULL, 0, 0,
         "NAME=COLUMN*[+COLUMN..][,NAME=..]: a measure by regression on columns"},
        {"params", EX_TEXT, &set->params, NULL, 0, 0,
         "parameter count, a baseline [params, parameters]"},
        {"width", EX_TEXT, &set->width, NULL, 0, 0, "width, a baseline [width]"},
        {"skip-missing", EX_FLAG, &set->skip_missing, NULL, 0, 0,
         "leave out models with missing values"},
        {"resamples", EX_INT, &set->resamples, "-1", -1, 1e8,
         "of each bootstrap; 0: none; -1: 2000, fewer for large tables"},
        {"cmi", EX_CHOICE, &set->cmi, "auto", 0, 0,
         "compute K; auto: unless it takes over an hour (between measures: ten minutes)"},
        {"cmi-resamples", EX_INT, &set->cmi_resamples, "-1", -1, 1e8,
         "for K; -1: 200, none for large tables"},
        {"draws", EX_CHOICE, &set->draws, "configurations", 0, 0,
         "what the bootstrap draws, if seeds are known"},
        {"level", EX_REAL, &set->level, "0.95", 0.01, 0.9999, "of the intervals"},
        {"folds", EX_INT, &set->folds, "10", 2, 1e6, "of cross-validation"},
        {"test-samples", EX_INT, &set->test_samples, "10000", 1, 1e12,
         "size of the test set, for sign errors"},
        {"effective", EX_REAL, &set->effective, "12", 0, 1e9,
         "effective sample size of an environment, for sign errors"},
        {"seed", EX_INT, &set->seed, "1", 0, 9007199254740992.0, "of resampling and folds"},
        {"json", EX_FLAG, &set->json, NULL, 0, 0, "print JSON in place of the tables"},
        {"csv", EX_TEXT, &set->csv, NULL, 0, 0, "file to write a row per measure to"},
        {"svg", EX_TEXT, &set->svg, NULL, 0, 0, "directory to draw scatter plots and psi in"},
        {"quiet", EX_FLAG, &set->quiet, NULL, 0, 0, "no progress"}};
    const ex_program program = {
        "evaluate",
        "TABLE.csv",
        "Evaluates generalization measures: reads a CSV table with a header line and a row per "
        "model\nand prints how each measure follows the target: Kendall's tau, R2 and conditional "
        "mutual\ninformation K (Table 1), granulated Kendall psi per hyperparameter (Table 2), "
        "information\nbetween measures (Table 3), trivial baselines, robust sign errors and "
        "comparisons (Table 4).\nUndefined results are a dash with a reason below, null in JSON, "
        "an empty cell in CSV.\n\nA good measure grows with the target: negate measures that "
        "should fall. Missing values are\nempty cells, NA, NaN and the like; infinite values rank "
        "first or last and have no R2. Without\n--measures, columns of times, losses and errors "
        "(except train_loss), settings, row numbers and\ntext are left out and listed in the "
        "output. Exit status: 0 success; 1 failure; 2 wrong command line\nor table, or a named "
        "measure is constant.\n\nExample:\n"
        "  evaluate demo.csv --hyper width,depth,dropout,l2,augment --seed-column seed --svg plots",
        options,
        sizeof options / sizeof *options,
        1,
        1};

    set->hyper = set->seed_column = set->train = set->test = set->measures = set->ignore = "";
    set->fit = set->params = set->width = set->csv = set->svg = "";
    set->seeds.names = "fixed|pooled|averaged";
    set->cmi.names = "auto|yes|no";
    set->draws.names = "configurations|models";
    return ex_parse(&program, argc, argv, NULL);
}

static void release(evaluation *e) {
    size_t i;

    for (i = 0; i < e->count; i++) {
        free(e->measures[i].own);
        free(e->measures[i].name);
        free(e->measures[i].label);
    }
    free(e->measures);
    free(e->target_text);
    free(e->sort);
    free(e->between);
    free(e->gap);
    free(e->cluster);
    free(e->used);
    prun_table_free(&e->table);
}

/* Number of different settings of an axis. */
static double count_levels(const evaluation *e, int64_t axis) {
    const int64_t n = e->table.rows;
    double *sorted = (double *)ex_allocate((size_t)n, sizeof *sorted), levels = 1;
    int64_t i;

    memcpy(sorted, e->axis[axis], (size_t)n * sizeof *sorted);
    qsort(sorted, (size_t)n, sizeof *sorted, by_number);
    for (i = 1; i < n; i++) levels += sorted[i] > sorted[i - 1];
    free(sorted);
    return levels;
}

/* Core seconds of one K. Each subset of axes has cells of equal settings; large cells are swept,
   and the pairs of small ones are counted one by one. */
static double cost_of_k(const evaluation *e) {
    const double n = (double)e->table.rows;
    double levels[PRUN_MAX_AXES + 1], seconds = 0;
    int64_t a, b;

    for (a = 0; a < e->axes.count; a++) levels[a] = count_levels(e, a);
    levels[e->axes.count] = 1; /* no second axis, or none at all */
    for (a = 0; a <= e->axes.count; a++)
        for (b = a + (a < e->axes.count); b <= e->axes.count; b++) {
            const double cells = fmin(levels[a] * levels[b], n);

            seconds += 100e-9 * n + 30e-9 * cells * cells;
            seconds += n < 6 * cells ? 1.5e-9 * n * n : 5e-9 * n * cells;
        }
    return seconds;
}

/* Core seconds above which K is left out: altogether, between measures, and its intervals. */
#define LONGEST_K 3600
#define LONGEST_BETWEEN 600
#define LONGEST_K_INTERVALS 60

/* Chooses defaults by the size of the table. */
static void choose_effort(evaluation *e) {
    const double n = (double)e->table.rows, axes = (double)e->axes.count, count = (double)e->count;
    settings *set = &e->set;

    e->k_cost = cost_of_k(e);
    e->with_cmi = set->cmi.value == 1 || (set->cmi.value == 0 && e->k_cost * count < LONGEST_K);
    e->with_between = e->with_cmi && (set->cmi.value == 1 || cost_of_between(e) < LONGEST_BETWEEN);
    e->with_sign = n * n * axes < 5e9;
    if (set->resamples < 0) {
        const double affordable = floor(MOST_ROWS_DRAWN / (n * count));

        set->resamples = (int64_t)fmin(fmax(affordable, LEAST_RESAMPLES), USUAL_RESAMPLES);
        e->fewer_resamples = set->resamples < USUAL_RESAMPLES;
    }
    if (set->cmi_resamples < 0)
        set->cmi_resamples =
            400 * count * e->k_cost < LONGEST_K_INTERVALS && set->resamples > 0 ? 200 : 0;
    if (!e->with_cmi) set->cmi_resamples = 0;
    e->interval_cost = 75e-9 * n * (3 + axes) * (double)set->resamples +
                       2 * e->k_cost * (double)set->cmi_resamples;
}

/* Prints the expected time if it is long. */
static void print_cost(const evaluation *e) {
    const double n = (double)e->count, k = e->with_cmi ? n * e->k_cost : 0;
    const double between = e->with_between ? cost_of_between(e) : 0;
    const double intervals = n * e->interval_cost;

    if (e->set.quiet || k + between + intervals < 10) return;
    fprintf(stderr,
            "this takes about %.0f core seconds: intervals %.0f, K %.0f, K between measures %.0f\n",
            k + between + intervals, intervals, k, between);
}

static int run(evaluation *e) {
    int status = read_table(e);

    if (status != 0 || (status = check_outputs(e)) != 0) return status;
    choose_effort(e);
    print_cost(e);
    status = compute(e);
    if (status == 0 && e->set.json) print_json(e);
    else if (status == 0) print_tables(e);
    if (status == 0) status = write_csv(e);
    if (status == 0) status = write_svg(e);
    return status != 0 ? status : e->problem;
}

int main(int argc, char **argv) {
    evaluation e;
    int status;

    memset(&e, 0, sizeof e);
    status = parse(argc, argv, &e.set);
    if (status >= 0) return status;
    e.path = argv[1];
    status = run(&e);
    release(&e);
    return status;
}
