/* study.h - studies: many models, one CSV row each

   The settings of a study, its rows on file, shards, jobs, what an earlier run left, its cost,
   the report, and the main function.
*/
#ifndef STUDY_H_INCLUDED
#define STUDY_H_INCLUDED

#include "table.h"
#include "training.h"

/* ---- settings ------------------------------------------------------------------------------ */

enum { EX_DEMO, EX_MINI, EX_NIGHT, EX_FULL, EX_PRESETS };
static const char *const ex_preset_flags[EX_PRESETS] = {"--demo", "--mini", "--night", "--full"};

/* Options common to all studies. */
typedef struct ex_study_settings {
    int demo, mini, night, full, preset; /* preset: EX_DEMO, ..., set by the flags before it */
    int64_t jobs;
    const char *out, *shard_text, *isa;
    int64_t shard, shards; /* 1-based */
    int collect, yes, quiet;
} ex_study_settings;

/* Entries of an option table for the settings `s`. */
/* clang-format off */
#define EX_STUDY_OPTIONS(s, directory) \
    {"demo", EX_FLAG, &(s)->demo, NULL, 0, 0, "defaults for about a minute"}, \
    {"mini", EX_FLAG, &(s)->mini, NULL, 0, 0, "defaults for half an hour on two fast cores"}, \
    {"night", EX_FLAG, &(s)->night, NULL, 0, 0, "defaults for about four hours on two fast cores"}, \
    {"full", EX_FLAG, &(s)->full, NULL, 0, 0, "the paper's settings; requires --data"}, \
    {"out", EX_TEXT, &(s)->out, directory, 0, 0, \
     "directory for rows, figures and report; a rerun resumes from it"}, \
    {"jobs", EX_INT, &(s)->jobs, "0", 0, 4096, "models in parallel (OpenMP); 0: all cores"}, \
    {"shard", EX_TEXT, &(s)->shard_text, "1/1", 0, 0, "i/n: train the i-th of n parts only"}, \
    {"collect", EX_FLAG, &(s)->collect, NULL, 0, 0, "train nothing: evaluate existing rows"}, \
    {"isa", EX_TEXT, &(s)->isa, "best", 0, 0, \
     "kernels: best, portable, avx2, avx512 or neon; a rerun must use the same ones"}, \
    {"yes", EX_FLAG, &(s)->yes, NULL, 0, 0, "do not ask before long work"}, \
    {"quiet", EX_FLAG, &(s)->quiet, NULL, 0, 0, "no progress"}
/* clang-format on */

/* The preset on the command line, read before the options because it determines their defaults.
   Without one: mini. */
static inline int ex_preset(int argc, char **argv) {
    int i, k, preset = EX_MINI;

    for (i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        for (k = 0; k < EX_PRESETS; k++)
            if (strcmp(argv[i], ex_preset_flags[k]) == 0) preset = k;
    return preset;
}

/* Call after ex_parse. Returns -1 to continue, otherwise the exit status. */
static inline int ex_study_check(ex_study_settings *s) {
    long long i = 0, n = 0;
    char rest;

    if (s->demo + s->mini + s->night + s->full > 1) {
        ex_error("--demo, --mini, --night and --full exclude one another");
        return EX_USAGE;
    }
    s->preset = s->demo ? EX_DEMO : s->night ? EX_NIGHT : s->full ? EX_FULL : EX_MINI;
    if (sscanf(s->shard_text, "%lld/%lld%c", &i, &n, &rest) != 2 || n < 1 || n > 1000000 || i < 1 ||
        i > n) {
        ex_error("--shard %s: not i/n with 1 <= i <= n <= 1000000", s->shard_text);
        return EX_USAGE;
    }
    s->shard = i;
    s->shards = n;
    ex_interruptible("; run the same command again to resume");
#ifndef _OPENMP
    if (s->jobs > 1) ex_note("built without OpenMP: models run singly; use shards for more cores");
#endif
    return ex_choose_kernels(s->isa);
}

/* ---- rows on file -------------------------------------------------------------------------- */

/* The functions that a study's program supplies. user: its own struct. load and set_up return the
   exit status; parse and announce return -1 to continue, otherwise the exit status. */
typedef struct ex_study_steps {
    int (*parse)(void *user, int argc, char **argv);
    int (*load)(void *user, prun_context *context, const char *program); /* the data */
    int (*set_up)(void *user);                                           /* fills the ex_study */
    int (*announce)(void *user); /* prints what will be done, after finished rows are read */
    /* Appends the key's cells; may be called more than once. The key holds every setting that
       changes a result. */
    void (*key)(void *user, int64_t model, ex_csv *row);
    /* Appends all other cells. Called by several threads at once. Advances the progress bar with
       ex_progress_add(&study->progress, ...), by work() in total. Non-zero: no row, after a
       message; a rerun tries again. A model that diverged is a result and has a row. */
    int (*run)(void *user, int64_t model, ex_csv *row);
    double (*work)(void *user, int64_t model);          /* in a unit proportional to time */
    int (*evaluate)(void *user, int argc, char **argv); /* tables, figures, report */
    void (*clear)(void *user);
} ex_study_steps;

/* set_up fills the fields above the line. After the run, the file `path` has the rows sorted by
   model; read it with prun_table_load_csv. */
typedef struct ex_study {
    const ex_study_settings *set;
    int64_t count;     /* models */
    const char *names; /* columns "a,b,c"; the first `keys` identify the model of a row */
    int keys;
    int64_t save_every; /* epochs from one checkpoint of a training to the next; 0: none */
    int partial;        /* 1: an incomplete set of rows can be evaluated; 0: all are needed */
    /* ---- set by the functions ---- */
    const ex_study_steps *steps;
    void *user;
    ex_text path;
    int columns;
    unsigned char *is_text; /* per column */
    char **key_text, **row; /* per model; row: without its end of line, NULL if missing */
    unsigned char *mine;    /* per model: of this shard */
    int64_t *order, to_do;  /* models of this shard without a row, expensive ones first */
    double total, left;     /* work of the shard, and the part not yet done */
    char isa[32];           /* kernels of the first row read; "": none was read */
    ex_text versions;       /* of the library that computed the rows read: "1.0.0, 1.0.1" */
    ex_csv csv;
    ex_progress progress;
    int lock, failed;
    int stop; /* 1: a file could not be written; no more rows are written */
} ex_study;

/* The collected cells as text, which the caller frees. */
static inline char *ex__cells(ex_csv *csv) {
    char *text;

    ex_text_add(&csv->line, "%s", "");
    text = csv->line.data;
    memset(csv, 0, sizeof *csv);
    return text;
}

/* A list as given on the command line, with blanks for commas, so that the cell needs no quotes. */
static inline void ex_csv_list(ex_csv *csv, const char *list) {
    ex_text text = {NULL, 0, 0};
    char *at;

    ex_text_add(&text, "%s", list);
    for (at = text.data; *at != '\0'; at++)
        if (*at == ',') *at = ' ';
    ex_csv_text(csv, text.data);
    ex_text_free(&text);
}

/* The model whose key a row begins with, or -1. */
static inline int64_t ex__row_model(const ex_study *s, const char *line) {
    int64_t i;

    for (i = 0; i < s->count; i++) {
        const size_t length = strlen(s->key_text[i]);

        if (strncmp(line, s->key_text[i], length) == 0 && line[length] == ',') return i;
    }
    return -1;
}

/* Reads a cell written by ex_csv_text. Returns its end, at ',' or '\0', or NULL if its quotes do
   not match. */
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

/* Whether ex_csv_number can have written a cell: empty for NaN, an infinity, or a number. */
static inline int ex__is_cell_number(const char *cell) {
    if (*cell == '\0' || strcmp(cell, "inf") == 0 || strcmp(cell, "-inf") == 0) return 1;
    return ex__starts_number(cell) && ex__is_number(cell);
}

/* Columns are named after the values of lists, with few digits. Fails if two have one name. */
static inline int ex__study_names(const ex_study *s) {
    const char *a, *b;

    for (a = s->names; *a != '\0'; a += strcspn(a, ","), a += *a == ',')
        for (b = s->names; b < a; b += strcspn(b, ",") + 1)
            if (strcspn(a, ",") == strcspn(b, ",") && strncmp(a, b, strcspn(a, ",")) == 0) {
                ex_error("two columns of models.csv would be named %.*s; the values of a list are "
                         "too close to one another",
                         (int)strcspn(a, ","), a);
                return EX_USAGE;
            }
    return 0;
}

/* Counts the columns and finds those that hold text: for the key by the cells of the first model,
   otherwise by name. */
static inline void ex__study_columns(ex_study *s) {
    static const char *const texts[] = {"status", "version", "isa", "predictions"};
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

/* Writes to `why` how a row is damaged; `why` is empty if the row is whole. */
static inline void ex__row_damage(const ex_study *s, const char *line, size_t length,
                                  ex_text *why) {
    ex_text cell = {NULL, 0, 0};
    const char *at = line;
    int count;

    why->length = 0;
    ex_text_add(why, "%s", strlen(line) != length ? "it contains a zero byte" : "");
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
        ex_text_add(why, "%d cells instead of %d", count, s->columns);
    ex_text_free(&cell);
}

/* Whether a line is a header, possibly with other columns: it begins with the first column's
   name. */
static inline int ex__is_header(const ex_study *s, const char *line) {
    const size_t length = strcspn(s->names, ",");

    return strncmp(line, s->names, length) == 0 && (line[length] == ',' || line[length] == '\0');
}

/* Copies the cell of a whole row in the named column. */
static inline void ex__row_cell(const ex_study *s, const char *line, const char *name,
                                ex_text *cell) {
    const char *names = s->names;
    const size_t length = strlen(name);

    while (names != NULL && *names != '\0') {
        const int here = strncmp(names, name, length) == 0 && strchr(",", names[length]) != NULL;

        line = ex__cell(line, cell);
        if (here || line == NULL || *line == '\0') return;
        line++;
        names = strchr(names, ',');
        names = names != NULL ? names + 1 : NULL;
    }
}

/* Rows of other kernels are rounded differently: they can be evaluated, but a run cannot add to
   them. */
static inline int ex__row_kernels(ex_study *s, const char *line, long number) {
    ex_text isa = {NULL, 0, 0};
    int status = 0;

    ex__row_cell(s, line, "isa", &isa);
    if (*s->isa == '\0') snprintf(s->isa, sizeof s->isa, "%s", isa.data);
    if (strcmp(isa.data, s->set->collect ? s->isa : prun_isa()) != 0) {
        ex_error("%s: line %ld: a model computed with the %s kernels, not %s, which round "
                 "differently; give --isa %s, or another --out",
                 s->path.data, number, isa.data, s->set->collect ? s->isa : prun_isa(), isa.data);
        status = EX_USAGE;
    }
    ex_text_free(&isa);
    return status;
}

/* Notes the version of the library that computed a row. */
static inline void ex__row_version(ex_study *s, const char *line) {
    ex_text version = {NULL, 0, 0};

    ex__row_cell(s, line, "version", &version);
    if (s->versions.length == 0 || strstr(s->versions.data, version.data) == NULL)
        ex_text_add(&s->versions, "%s%s", s->versions.length > 0 ? ", " : "", version.data);
    ex_text_free(&version);
}

/* Reads a line of the file: checks a header, stores a row, or writes to `why` how a row is damaged.
   Returns the exit status. */
static inline int ex__study_line(ex_study *s, const char *line, size_t length, long number,
                                 ex_text *why) {
    const int header = number == 1 || ex__is_header(s, line), zeros = strlen(line) != length;
    int64_t model = -1;

    why->length = 0;
    if (number == 1 && strncmp(line, "\xef\xbb\xbf", 3) == 0)
        line += 3; /* byte-order mark added by a spreadsheet */
    if (!header) {
        ex__row_damage(s, line, length, why);
        if (why->length > 0) return 0;
        model = ex__row_model(s, line);
    }
    if (header ? strcmp(line, s->names) != 0 : model < 0) {
        ex_error("%s: line %ld: %s; give another --out, or the options of that run", s->path.data,
                 number,
                 !header ? "a model with other settings"
                 : zeros ? "zero bytes instead of a header"
                         : "columns that differ from those of this program");
        return EX_USAGE;
    }
    if (model >= 0 && ex__row_kernels(s, line, number) != 0) return EX_USAGE;
    if (model >= 0 && s->row[model] == NULL) {
        s->row[model] = (char *)ex_allocate(length + 1, 1);
        memcpy(s->row[model], line, length);
        ex__row_version(s, line);
    } else if (model >= 0 && strcmp(s->row[model], line) != 0) {
        ex_text_add(why, "another row of a model before");
    }
    return 0;
}

/* Appends the lines that are left out to models.csv.damaged, so that the file can be rewritten
   without losing them. Returns the exit status. */
static inline int ex__study_set_aside(const ex_study *s, const ex_text *lines) {
    ex_text path = {NULL, 0, 0};
    FILE *file;
    int status = EX_FAILED;

    ex_text_add(&path, "%s.damaged", s->path.data);
    file = ex_fopen(path.data, "ab");
    if (file != NULL) {
        fwrite(lines->data, 1, lines->length, file);
        status = ferror(file) != 0 ? EX_FAILED : 0;
        if (fclose(file) != 0) status = EX_FAILED;
    }
    if (status != 0) ex_error("%s: %s", path.data, strerror(errno));
    ex_text_free(&path);
    return status;
}

/* Reads the rows of an earlier run. Headers may repeat, so that files can be joined with cat. Of
   several rows of a model, the first whole one counts. Damaged rows, for example from a full disk,
   an incomplete copy or an editor, are set aside, and their models are run again. */
static inline int ex__study_read(ex_study *s) {
    ex_text why = {NULL, 0, 0}, first = {NULL, 0, 0}, aside = {NULL, 0, 0};
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
        why.length = 0;
        if (end != NULL || (number == 1 && strncmp(line, s->names, length) != 0)) {
            if (length > 0 || number == 1) status = ex__study_line(s, line, length, number, &why);
        } else { /* a last line that was not completed */
            ex_text_add(&why, number == 1 ? "an incomplete header" : "no end of line");
        }
        if (why.length > 0) {
            if (damaged++ == 0) ex_text_add(&first, "line %ld: %s", number, why.data);
            ex_text_add(&aside, "%s\n", line);
        }
        line = end != NULL ? end + 1 : data + size;
    }
    if (status == 0 && damaged > 0) {
        ex_note("%s: %ld damaged row%s left out and kept in %s.damaged (%s%s)", s->path.data,
                damaged, ex_plural(damaged), s->path.data, damaged > 1 ? "the first: " : "",
                first.data);
        status = ex__study_set_aside(s, &aside);
    }
    free(data);
    ex_text_free(&why);
    ex_text_free(&first);
    ex_text_free(&aside);
    return status;
}

/* Rewrites the file with the rows in order of the models, unless it already holds just that. */
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

/* Two programs that rewrite one file would lose rows. The system releases the lock when the program
   ends, in whatever way. */
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
            ex_error("%s: cannot write into the directory: %s: %s", s->set->out, path.data,
                     strerror(errno));
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

/* ---- shares of the work -------------------------------------------------------------------- */

typedef struct ex__share {
    int64_t model;
    double work;
} ex__share;

static inline int ex__by_falling_work(const void *left, const void *right) {
    const ex__share *a = (const ex__share *)left, *b = (const ex__share *)right;

    if (a->work < b->work || a->work > b->work) return a->work < b->work ? 1 : -1;
    return a->model < b->model ? -1 : a->model > b->model;
}

/* Deals out the models in order of falling cost: shards get about equal work, and the cheap models
   at the end leave no core idle for long. */
static inline void ex__study_deal(ex_study *s) {
    ex__share *share = (ex__share *)ex_allocate((size_t)s->count, sizeof *share);
    int64_t i;

    for (i = 0; i < s->count; i++) {
        share[i].model = i;
        share[i].work = s->steps->work(s->user, i);
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

/* Number of models that run in parallel. */
static inline int ex_jobs(const ex_study_settings *set) {
#ifdef _OPENMP
    return set->jobs > 0 ? (int)set->jobs : omp_get_max_threads();
#else
    (void)set;
    return 1;
#endif
}

/* ---- checkpoints --------------------------------------------------------------------------- */

/* Where the training of a model keeps its state, OUT/checkpoints/model<number>. path: text that the
   result points to; work: of an epoch. Other kernels and other versions of the library round
   differently, so they are part of the id. */
static inline ex_keep ex__study_keep(ex_study *s, int64_t model, double work, ex_text *path) {
    ex_keep keep;

    ex_text_add(path, "%s/checkpoints/model%ld", s->set->out, (long)model);
    keep.path = path->data;
    keep.id = s->key_text[model];
    keep.version = PRUNABILITY_VERSION;
    keep.isa = prun_isa();
    keep.every = s->save_every;
    keep.progress = &s->progress;
    keep.work = work;
    keep.stop = &s->stop;
    return keep;
}

/* Makes running models end soon, without rows. Any thread may call it. */
static inline void ex__study_stop(ex_study *s) {
#ifdef _OPENMP
#pragma omp critical(ex_stop)
#endif
    s->stop = 1;
}

/* Trains a model of the study: ex_train with a checkpoint of its own, which is removed when the row
   is in the file. epoch_work: progress per epoch. */
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

/* Makes the directory of the checkpoints, if checkpoints are enabled. Refuses to overwrite the
   checkpoint of a training with other settings, which may have taken hours. */
static inline int ex__study_checkpoints(ex_study *s) {
    ex_text path = {NULL, 0, 0};
    int64_t i;
    int status;

    if (s->save_every == 0 || s->set->collect) return 0;
    ex_text_add(&path, "%s/checkpoints", s->set->out);
    status = ex_directory(path.data);
    for (i = 0; i < s->to_do && status == 0; i++) {
        ex_keep keep;

        path.length = 0;
        keep = ex__study_keep(s, s->order[i], 0, &path);
        if (!ex__history_is_other(&keep)) continue;
        ex_error("%s.history: the checkpoint of a training with other settings, kernels or another "
                 "version; give the options of that run, another --out, or delete %s/checkpoints",
                 path.data, s->set->out);
        status = EX_USAGE;
    }
    ex_text_free(&path);
    return status;
}

/* Model number of the name of a checkpoint, such as model<number>.history; -1: another file. */
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

/* ---- leftovers of killed runs -------------------------------------------------------------- */

#ifdef EX_POSIX
/* Length of NAME in the name of a temporary file ".NAME.PID-RANDOM.tmp", if the process PID is
   gone; 0: it still runs, or the name has another form. */
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

/* Whether only this run writes a file of that name, of `length` bytes, in --out. Other shards may
   run on other computers, whose process numbers mean nothing here. */
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

/* Whether a file in --out or among the checkpoints is left over from a killed run, or from a model
   that is finished. */
static inline int ex__left_over(ex_study *s, const char *name, int checkpoints) {
    const size_t target = ex__abandoned(name);
    int64_t model;

    if (!checkpoints) return target > 0 && ex__study_owns(s, name + 1, target);
    model = target > 0 ? ex__checkpoint_model(name + 1, target)
                       : ex__checkpoint_model(name, strlen(name));
    if (model < 0 || model >= s->count || !s->mine[model]) return 0;
    return target > 0 || s->row[model] != NULL;
}

/* Removes leftover files from one directory. Names are collected first, because systems differ in
   what readdir returns while files are removed. */
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

/* Removes the leftovers of killed runs, but not those of other shards, and no checkpoints with
   --collect, when other runs may be training. */
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
#endif
}

/* ---- from opening to closing --------------------------------------------------------------- */

/* Checks that the report can be written, before the work; shards have none. */
static inline int ex__study_report(const ex_study *s) {
    ex_text path = {NULL, 0, 0};
    int status = 0;

    ex_path(&path, s->set->out, "report", "md");
    if (s->set->shards == 1) status = ex_writable(path.data);
    ex_text_free(&path);
    return status;
}

/* Makes the directory, reads the rows of an earlier run, and rewrites their file without damaged
   rows. The file is OUT/models.csv, for a shard OUT/models.IofN.csv. */
static inline int ex_study_open(ex_study *s) {
    ex_csv key;
    int64_t i;
    int status = ex__study_names(s);

    if (status == 0) status = ex_directory(s->set->out);
    memset(&key, 0, sizeof key);
    ex_text_add(&s->path, "%s/models", s->set->out);
    if (s->set->shards > 1)
        ex_text_add(&s->path, ".%ldof%ld", (long)s->set->shard, (long)s->set->shards);
    ex_text_add(&s->path, ".csv");
    s->lock = -1;
    s->key_text = (char **)ex_allocate((size_t)s->count, sizeof *s->key_text);
    s->row = (char **)ex_allocate((size_t)s->count, sizeof *s->row);
    for (i = 0; i < s->count; i++) {
        s->steps->key(s->user, i, &key);
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

/* Runs one model. Its row is written in one piece as soon as it is complete. */
static inline void ex__study_model(ex_study *s, int64_t model) {
    ex_csv row;
    int failed;

    if (ex__stopped(&s->stop)) return;
    memset(&row, 0, sizeof row);
    ex_text_add(&row.line, "%s", s->key_text[model]);
    row.cells = s->keys;
    failed = s->steps->run(s->user, model, &row);
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

/* Whether this run has models to train. */
static inline int ex_study_trains(const ex_study *s) { return s->to_do > 0 && !s->set->collect; }

/* Runs the models of this shard that are left. Returns the exit status; finished rows are kept. */
static inline int ex_study_run(ex_study *s, const char *label) {
    const int jobs = ex_jobs(s->set);
    int64_t i;
    int status;

    if (!ex_study_trains(s)) return 0;
    status = ex_csv_open(&s->csv, s->path.data, 1);
    if (status != 0) return status;
    ex_progress_start(&s->progress, label, s->left, s->set->quiet);
    if (jobs == 1) {
        /* Without a parallel region: inside one, even of one thread, the library is serial. */
        for (i = 0; i < s->to_do; i++) ex__study_model(s, s->order[i]);
    } else {
#ifdef _OPENMP
#pragma omp parallel for schedule(dynamic, 1) num_threads(jobs)
#endif
        for (i = 0; i < s->to_do; i++) ex__study_model(s, s->order[i]);
    }
    s->progress.stopped = s->stop || s->failed > 0;
    ex_progress_end(&s->progress);
    status = ex_csv_close(&s->csv);
    if (status == 0 && !s->stop) status = ex__study_write(s);
    if (status == 0 && !s->stop) {
        ex__study_sweep(s);
        return s->failed > 0 ? EX_FAILED : 0;
    }
    ex_error("%s: a file could not be written, so the study stops. The rows so far are complete; "
             "run the same command again when there is space",
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
    ex_text_free(&s->versions);
#ifdef EX_POSIX
    if (s->lock >= 0) close(s->lock);
#endif
}

/* "8, 16, 24", for announcements. */
static inline void ex_list_text(const ex_ints *list, ex_text *text) {
    int i;

    for (i = 0; i < list->count; i++)
        ex_text_add(text, "%s%ld", i > 0 ? ", " : "", (long)list->value[i]);
}

/* Work that is announced, but begins without a question in --demo and --mini. */
#define EX_SHORT_SECONDS (2 * 3600.0)

/* Prints the expected cost and, on a terminal, asks whether to begin. seconds: of one core.
   Returns -1 to continue, otherwise the exit status. */
static inline int ex_study_cost(const ex_study *s, double seconds, double memory, double disk) {
    const int jobs = ex_jobs(s->set);
    const double models = (double)s->to_do;
    const double at_once = models < jobs ? models : jobs;
    const double wait = seconds / (at_once > 0 ? at_once : 1);
    const int ask = !s->set->yes && (s->set->preset >= EX_NIGHT || wait > EX_SHORT_SECONDS);
    char span[32], core[32], room[32], files[32];

    printf("%ld model%s, %ld of them left to run here: %s%s with %d in parallel (%s on one "
           "core),\n%s of memory, %s of disk in %s\n",
           (long)s->count, ex_plural(s->count), (long)s->to_do, wait < 1 ? "" : "about ",
           ex_span(wait, span), jobs, ex_span(seconds, core), ex_bytes(memory * at_once, room),
           ex_bytes(disk, files), ex_shown(s->set->out));
    fflush(stdout);
    if (ask && ex_is_terminal(0) && ex_is_terminal(1)) {
        char answer[16] = "";

        printf("Begin? [y/N] ");
        fflush(stdout);
        if (fgets(answer, sizeof answer, stdin) == NULL || (*answer != 'y' && *answer != 'Y')) {
            printf("Nothing was done.\n");
            return 0;
        }
    }
    return -1;
}

/* ---- reports ------------------------------------------------------------------------------- */

/* Writes an argument as one word of a shell command. */
static inline void ex__write_argument(FILE *file, const char *argument) {
    const char *const plain =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=+,./:@%";
    const char *shown = ex_shown(argument);

    if (*shown != '\0' && strspn(shown, plain) == strlen(shown)) {
        fprintf(file, " %s", shown);
        return;
    }
    fprintf(file, " '");
    for (; *shown != '\0'; shown++)
        if (*shown == '\'') fprintf(file, "'\\''");
        else fputc(*shown, file);
    fprintf(file, "'");
}

/* Opens OUT/report.md and writes the title and the run's command and versions. Returns NULL after a
   message. Close with ex_finish(status, file, path->data). */
static inline FILE *ex_report_open(const ex_study *s, const char *title, int argc, char **argv,
                                   ex_text *path) {
    char cpu[128];
    const int mixed = s->versions.length > 0 && strcmp(s->versions.data, PRUNABILITY_VERSION) != 0;
    FILE *file;
    int i;

    ex_path(path, s->set->out, "report", "md");
    file = ex_open(path->data);
    if (file == NULL) return NULL;
    fprintf(file, "# %s\n\n   ", title);
    for (i = 0; i < argc; i++) ex__write_argument(file, argv[i]);
    fprintf(file, "\n\nprunability.h %s, kernels %s; report made on %s.\n", PRUNABILITY_VERSION,
            *s->isa != '\0' ? s->isa : prun_isa(), ex_cpu(cpu, sizeof cpu));
    if (mixed)
        fprintf(file, "Models read from an earlier run were computed by version %s.\n",
                s->versions.data);
    return file;
}

/* Adds a row to a table of claims. */
static inline void ex_claim(ex_table *table, const char *text, const char *found,
                            const char *verdict) {
    ex_table_cell(table, "%s", text);
    ex_table_cell(table, "%s", found);
    ex_table_cell(table, "%s", verdict);
}

/* Writes a table to OUT/name.csv and frees it. Returns the exit status. */
static inline int ex_study_table(const ex_study *s, ex_table *table, const char *name) {
    ex_text path = {NULL, 0, 0};
    int status;

    ex_path(&path, s->set->out, name, "csv");
    status = ex_table_csv(table, path.data);
    ex_text_free(&path);
    ex_table_free(table);
    return status;
}

/* Writes a table into the report and to OUT/name.csv, and frees it. Returns the exit status. */
static inline int ex_report_table(const ex_study *s, FILE *report, ex_table *table,
                                  const char *name) {
    ex_table_markdown(table, report);
    return ex_study_table(s, table, name);
}

/* Writes how the settings of a preset were chosen: choosing them by the measures would bias the
   result. */
static inline void ex_report_choice(const ex_study_settings *set, const char *by, FILE *report) {
    if (set->preset == EX_FULL) {
        fprintf(report, "Widths, epochs and all other settings are the paper's (A.3, A.4) unless "
                        "an option changed them.\n\n");
        return;
    }
    fprintf(
        report,
        "The settings of `%s` were chosen %s, on other seeds, before any measure was looked at. "
        "Options in the command above override them.\n\n",
        ex_preset_flags[set->preset], by);
}

/* ---- main ---------------------------------------------------------------------------------- */

/* Reports missing rows. Returns -1 if the rows can be evaluated, otherwise the exit
   status. */
static inline int ex__study_complete(const ex_study *s) {
    const int64_t missing = ex_study_missing(s);

    if (s->partial && s->set->shards > 1) {
        printf("The rows of shard %ld of %ld are in %s\n", (long)s->set->shard,
               (long)s->set->shards, ex_shown(s->path.data));
        return 0;
    }
    if (missing == 0) return -1;
    if (s->partial) {
        printf("%ld model%s without a row are left out of what follows.\n", (long)missing,
               ex_plural(missing));
        return -1;
    }
    if (s->set->shards > 1) {
        printf("%ld of %ld models are not in %s; when all shards are finished, join them with "
               "examples/cluster/merge.sh\n",
               (long)missing, (long)s->count, ex_shown(s->path.data));
        return 0;
    }
    ex_error("%s: %ld of %ld models are missing; run the command without --collect or, if shards "
             "are training them, join their rows with examples/cluster/merge.sh",
             s->path.data, (long)missing, (long)s->count);
    return EX_FAILED;
}

/* All steps after the data is loaded; returns the exit status. */
static inline int ex__study_perform(ex_study *s, int argc, char **argv) {
    int status = s->steps->set_up(s->user);

    if (status == 0) status = ex_study_open(s);
    if (status != 0) return status;
    status = s->steps->announce(s->user);
    if (status >= 0) return status;
    status = ex_study_run(s, "training and measuring");
    if (status != 0) return status;
    status = ex__study_complete(s);
    return status >= 0 ? status : s->steps->evaluate(s->user, argc, argv);
}

/* The main function of a study, whose struct `user` holds the ex_study `s`, all zero. */
static inline int ex_study_main(ex_study *s, const ex_study_steps *steps, void *user, int argc,
                                char **argv) {
    prun_context context;
    int status = steps->parse(user, argc, argv);

    if (status >= 0) return status;
    memset(&context, 0, sizeof context);
    s->steps = steps;
    s->user = user;
    s->lock = -1;
    status = steps->load(user, &context, argv[0]);
    if (status == 0) status = ex__study_perform(s, argc, argv);
    ex_study_close(s);
    steps->clear(user);
    return status;
}

#endif /* STUDY_H_INCLUDED */
