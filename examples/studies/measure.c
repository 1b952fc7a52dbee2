/* measure.c - every measure of one network: a table, and a row of CSV.

   The network comes from a checkpoint in safetensors format, PyTorch's names and layouts, or is
   trained here. Its width, depth, channels and classes follow from the shapes in the file.

       cc -O2 -fopenmp examples/studies/measure.c -lm -o measure && ./measure --fast
       ./measure --checkpoint net.safetensors --arch resnet18 --data DIR --csv net.csv
       ./measure --only prunability,sum_of_frobenius,'effective_dimensionality*'
       ./measure --list

   What a checkpoint does not contain is read from further files: the weights before training
   (--initial), and a CSV table with a row per epoch (--history): steps taken so far, mean loss and,
   optionally, gradient_noise. examples/pytorch/from_pytorch.py writes all of them.
*/
#include "data.h"
#include "options.h"
#include "spectra.h"
#include "table.h"
#define PRUNABILITY_STATIC /* static functions: unused ones are left out of the program */
#define PRUNABILITY_IMPLEMENTATION
#include "../../prunability.h"

typedef struct settings {
    ex_choice arch, normalize;
    const char *checkpoint, *initial, *history, *prefix, *save, *data, *npy, *csv, *columns, *only,
        *skip, *isa, *spectrum;
    int64_t width, depth, epochs, batch, images, test_images, channels, pad_to, seed;
    ex_fractions fractions;
    int64_t resamples, repetitions, draws, restarts, hessian_images, hessian_steps, hessian_runs;
    double lr, weight_decay, dropout, beta, displacement, z;
    int fast, folded, list, quiet, pytorch_nin;
} settings;

typedef struct session {
    settings set;
    prun_context context;
    ex_data data;
    prun_net *net, *start; /* start: before training, or NULL */
    prun_epoch *history;   /* of training, or NULL */
    int64_t epochs;
    const prun_measure_info *info;
    int64_t count;
    unsigned char *wanted;
    prun_measure_result *plain, *folded;
    double train_loss, train_error, test_loss, test_error;
    ex_progress progress;
} session;

/* ---- which measures ------------------------------------------------------------------------ */

/* Whether `name` is matched by the pattern of `length` bytes: equal, or up to a final '*'. */
static int matches(const char *name, const char *pattern, size_t length) {
    if (length > 0 && pattern[length - 1] == '*') return strncmp(name, pattern, length - 1) == 0;
    return strlen(name) == length && strncmp(name, pattern, length) == 0;
}

/* Reports a name that no measure and no family has. */
static void no_measure(const session *s, const char *option, const char *name, int length) {
    const char *meant =
        ex_nearest(name, (size_t)length, &s->info->name, sizeof *s->info, (size_t)s->count);

    if (meant != NULL)
        ex_error("--%s: there is no measure \"%.*s\"; did you mean %s? --list prints all", option,
                 length, name, meant);
    else
        ex_error("--%s: there is no measure or family \"%.*s\"; --list prints them", option, length,
                 name);
}

/* Sets wanted[i] to `value` for every name, pattern and family in the list. Returns 0 or the exit
   status. */
static int mark(session *s, const char *option, const char *list, unsigned char value) {
    while (*list != '\0') {
        size_t length = strcspn(list, ",");
        int32_t i, found = 0;

        for (i = 0; i < s->count; i++) {
            if (!matches(s->info[i].name, list, length) &&
                !matches(s->info[i].family, list, length))
                continue;
            s->wanted[i] = value;
            found = 1;
        }
        if (!found) {
            no_measure(s, option, list, (int)length);
            return EX_USAGE;
        }
        list += length + (list[length] == ',');
    }
    return 0;
}

static int choose(session *s) {
    int64_t i;
    int status = 0;

    s->info = prun_measures(&s->count);
    s->wanted = (unsigned char *)ex_allocate((size_t)s->count, 1);
    s->plain = (prun_measure_result *)ex_allocate((size_t)s->count, sizeof *s->plain);
    s->folded = (prun_measure_result *)ex_allocate((size_t)s->count, sizeof *s->folded);
    for (i = 0; i < s->count; i++)
        s->wanted[i] = !s->set.only && !(s->set.fast && (s->info[i].traits & PRUN_TRAIT_SLOW));
    if (s->set.fast && !s->set.only) /* the paper's own measure is always included */
        s->wanted[prun_measure_find("prunability")] = 1;
    if (s->set.only) status = mark(s, "only", s->set.only, 1);
    if (status == 0 && s->set.skip) status = mark(s, "skip", s->set.skip, 0);
    if (status == 0 && memchr(s->wanted, 1, (size_t)s->count) == NULL) {
        ex_error("--only and --skip leave no measure");
        status = EX_USAGE;
    }
    return status;
}

static void needs_text(uint32_t needs, char *text, size_t size) {
    static const char *const names[] = {"loss",           "gradient", "Hessian", "logits",
                                        "initial",        "history",  "net",     "labels",
                                        "representation", "mixing",   "errors"};
    size_t i, length = 0;

    text[0] = '\0';
    for (i = 0; i < sizeof names / sizeof *names; i++)
        if (needs >> i & 1 && length < size)
            length +=
                (size_t)snprintf(text + length, size - length, "%s%s", length ? " " : "", names[i]);
}

static int list_measures(const session *s) {
    ex_table table = {0, 0, 0, NULL};
    char text[160];
    int64_t i;

    ex_table_header(&table, "measure|dir.|slow|random|folds|needs|source|what");
    for (i = 0; i < s->count; i++) {
        const prun_measure_info *info = &s->info[i];
        const uint32_t traits = info->traits;

        needs_text(info->needs, text, sizeof text);
        ex_table_cell(&table, "%s", info->name);
        ex_table_cell(&table, "%s", info->direction > 0 ? "+" : info->direction < 0 ? "-" : "?");
        ex_table_cell(&table, "%s", traits & PRUN_TRAIT_SLOW ? "slow" : "");
        ex_table_cell(&table, "%s", traits & PRUN_TRAIT_MONTE_CARLO ? "random" : "");
        ex_table_cell(&table, "%s", traits & PRUN_TRAIT_FOLDABLE ? "folds" : "");
        ex_table_cell(&table, "%s", text);
        ex_table_cell(&table, "%s", info->source);
        ex_table_cell(&table, "%s", info->what);
    }
    ex_table_print(&table, stdout);
    ex_table_free(&table);
    printf("\ndir.: + larger values should mean a larger generalization gap, - a smaller one, ? no "
           "claim.\nslow: --fast leaves it out. random: depends on --seed. folds: another value if "
           "batch norms are\nfolded into the weights (--folded). errors: a loss that counts wrong "
           "answers.\n");
    return 0;
}

/* ---- the network --------------------------------------------------------------------------- */

static const prun_family families[] = {PRUN_FAMILY_CNN, PRUN_FAMILY_NIN, PRUN_FAMILY_RESNET18};

/* Loads one of the two sets of --npy, cut to `limit` images. */
static int load_npy(session *s, const char *part, int64_t classes, int64_t limit,
                    prun_images *images) {
    prun_npy_options options;
    ex_text paths[2] = {{NULL, 0, 0}, {NULL, 0, 0}};
    prun_status status;

    memset(&options, 0, sizeof options);
    options.classes = classes;
    ex_text_add(&paths[0], "%s/%s-images.npy", s->set.npy, part);
    ex_text_add(&paths[1], "%s/%s-labels.npy", s->set.npy, part);
    status = prun_images_load_npy(&s->context, paths[0].data, paths[1].data, &options, images);
    ex_text_free(&paths[0]);
    ex_text_free(&paths[1]);
    if (status != PRUN_OK) return ex_failure(&s->context, "data");
    if (limit > images->count) {
        ex_error("%s/%s-images.npy: has only %ld of the %ld requested images", s->set.npy, part,
                 (long)images->count, (long)limit);
        return EX_USAGE;
    }
    images->count = limit > 0 ? limit : images->count;
    return 0;
}

static ex_data_request data_request(const session *s, int64_t channels, const char *program) {
    static const prun_normalization kinds[] = {
        PRUN_NORMALIZATION_MEAN_STD, PRUN_NORMALIZATION_PER_IMAGE, PRUN_NORMALIZATION_NONE};
    ex_data_request request;

    memset(&request, 0, sizeof request);
    request.directory = s->set.data;
    request.program = program;
    request.channels = channels;
    request.pad_to = s->set.pad_to;
    request.train_images = s->set.images;
    request.test_images = s->set.test_images;
    request.normalization = kinds[s->set.normalize.value];
    return request;
}

static int load_data(session *s, int64_t channels, int64_t classes, const char *program) {
    const ex_data_request request = data_request(s, channels, program);

    if (s->set.npy) {
        const int failed = load_npy(s, "train", classes, s->set.images, &s->data.train);

        return failed ? failed : load_npy(s, "test", classes, s->set.test_images, &s->data.test);
    }
    return ex_load_data(&s->context, &request, &s->data);
}

/* Refuses outputs that would overwrite an input or cannot be written, and options without effect,
   before the work begins. Returns 0 or, after a message, the exit status. */
static int check_files(const session *s, const char *program) {
    static const char *const parts[] = {"train-images", "train-labels", "test-images",
                                        "test-labels"};
    const settings *set = &s->set;
    const char *const outputs[2][2] = {{"csv", set->csv}, {"save", set->save}};
    const char *const inputs[3][2] = {
        {"checkpoint", set->checkpoint}, {"initial", set->initial}, {"history", set->history}};
    const ex_data_request request = data_request(s, set->channels, program);
    ex_text path = {NULL, 0, 0};
    int status = ex_apart("csv", set->csv, "save", set->save), o, i;

    for (o = 0; o < 2; o++) {
        for (i = 0; i < 3 && status == 0; i++)
            status = ex_apart(outputs[o][0], outputs[o][1], inputs[i][0], inputs[i][1]);
        for (i = 0; i < 4 && status == 0 && set->npy; i++) {
            path.length = 0;
            ex_text_add(&path, "%s/%s.npy", set->npy, parts[i]);
            status = ex_apart(outputs[o][0], outputs[o][1], "npy", path.data);
        }
        if (status == 0 && !set->npy)
            status = ex_data_apart(&request, outputs[o][0], outputs[o][1]);
    }
    ex_text_free(&path);
    if (status == 0 && (set->checkpoint ? set->save : set->initial ? set->initial : set->history)) {
        if (set->checkpoint)
            ex_error("--save is for a network that is trained here, not for --checkpoint");
        else ex_error("--initial and --history need --checkpoint");
        status = EX_USAGE;
    }
    for (o = 0; o < 2 && status == 0; o++) status = ex_writable(outputs[o][1]);
    if (status == 0 && set->spectrum) status = ex_directory(set->spectrum);
    return status;
}

/* Reads a net from a file. Returns NULL after a message. */
static prun_net *read_net(session *s, const char *path, const prun_arch *arch) {
    prun_safetensors *file = NULL;
    prun_net *net = NULL;
    prun_status status = prun_safetensors_open(&s->context, path, &file);

    if (status == PRUN_OK) status = prun_net_create_family(&s->context, arch, &net);
    if (status == PRUN_OK) status = prun_net_read_safetensors(net, file, s->set.prefix);
    prun_safetensors_close(file);
    if (status == PRUN_OK) return net;
    ex_failure(&s->context, "checkpoint");
    prun_net_free(net);
    return NULL;
}

/* Reads the epochs of a training that ran elsewhere. */
static int read_history(session *s) {
    prun_table table;
    const double *loss, *steps, *noise = NULL;
    prun_status status = prun_table_load_csv(&s->context, s->set.history, &table);
    int64_t i;

    if (status != PRUN_OK) return ex_failure(&s->context, "history");
    status = prun_table_numbers(&s->context, &table, "loss", &loss);
    if (status == PRUN_OK) status = prun_table_numbers(&s->context, &table, "steps", &steps);
    i = prun_table_find(&table, "gradient_noise");
    if (i >= 0) noise = table.values + i * table.rows; /* after the first epoch; may have gaps */
    if (status == PRUN_OK && noise && table.text[i] != PRUN_COLUMN_NUMBERS)
        status = prun_table_numbers(&s->context, &table, "gradient_noise", &noise);
    s->epochs = status == PRUN_OK ? table.rows : 0;
    s->history = (prun_epoch *)ex_allocate((size_t)s->epochs, sizeof *s->history);
    for (i = 0; i < s->epochs; i++) {
        s->history[i].epoch = i + 1;
        s->history[i].epochs = s->epochs;
        s->history[i].loss = loss[i];
        s->history[i].steps = (int64_t)steps[i];
        s->history[i].gradient_noise = noise ? noise[i] : (double)NAN;
    }
    prun_table_free(&table);
    return status == PRUN_OK ? 0 : ex_failure(&s->context, "history");
}

static int open_checkpoint(session *s, const char *program) {
    prun_safetensors *file;
    prun_arch arch;
    prun_status status = prun_safetensors_open(&s->context, s->set.checkpoint, &file);
    int failed;

    if (status == PRUN_OK) {
        const char *decay = prun_safetensors_metadata(file, "weight_decay");

        if (s->set.weight_decay < 0 && decay) s->set.weight_decay = strtod(decay, NULL);
        status =
            prun_arch_read_safetensors(file, families[s->set.arch.value], s->set.prefix, &arch);
        prun_safetensors_close(file);
    }
    if (status != PRUN_OK) return ex_failure(&s->context, "checkpoint");
    failed = load_data(s, arch.image_channels, arch.classes, program);
    if (failed == 0 && s->set.history) failed = read_history(s);
    if (failed) return failed;
    arch.symmetric_padding = arch.pytorch_defaults = s->set.pytorch_nin;
    arch.image_height = s->data.train.height;
    arch.image_width = s->data.train.width;
    s->net = read_net(s, s->set.checkpoint, &arch);
    if (s->net && s->set.initial) s->start = read_net(s, s->set.initial, &arch);
    return s->net && (s->start || !s->set.initial) ? 0 : EX_FAILED;
}

static int count_epoch(void *user, const prun_epoch *epoch) {
    (void)epoch;
    ex_progress_add((ex_progress *)user, 1);
    return 0;
}

static int train(session *s, const char *program) {
    const settings *set = &s->set;
    prun_arch arch;
    prun_train_options recipe;
    prun_status status;
    int failed = load_data(s, set->channels, 0, program);

    if (failed) return failed;
    if (s->set.weight_decay < 0) s->set.weight_decay = 1e-4;
    s->epochs = set->epochs;
    memset(&arch, 0, sizeof arch);
    arch.family = families[set->arch.value];
    arch.width = set->width;
    arch.depth = set->depth;
    arch.dropout = set->dropout;
    arch.symmetric_padding = arch.pytorch_defaults = set->pytorch_nin;
    arch.image_channels = s->data.train.channels;
    arch.image_height = s->data.train.height;
    arch.image_width = s->data.train.width;
    arch.classes = s->data.train.classes;
    arch.seed = (uint64_t)set->seed;
    memset(&recipe, 0, sizeof recipe);
    recipe.momentum = 0.9;
    recipe.epochs = set->epochs;
    recipe.batch = set->batch;
    recipe.learning_rate = set->lr;
    recipe.weight_decay = set->weight_decay;
    recipe.schedule = PRUN_SCHEDULE_MADDOX;
    recipe.seed = (uint64_t)set->seed;
    recipe.noise_pairs = 8;
    recipe.on_epoch = count_epoch;
    recipe.user = &s->progress;
    s->history = (prun_epoch *)ex_allocate((size_t)set->epochs, sizeof *s->history);
    ex_progress_start(&s->progress, "training", (double)set->epochs, set->quiet);
    status = prun_net_create_family(&s->context, &arch, &s->net);
    if (status == PRUN_OK) status = prun_net_copy(s->net, 0, &s->start);
    if (status == PRUN_OK) status = prun_train(s->net, &s->data.train, &recipe, s->history);
    s->progress.stopped = status != PRUN_OK;
    ex_progress_end(&s->progress);
    if (status == PRUN_OK && set->save) {
        ex_hold();
        status = prun_net_save_safetensors(s->net, set->save);
        ex_release();
    }
    return status == PRUN_OK ? 0 : ex_failure(&s->context, "training");
}

static int evaluate(session *s, const prun_images *images, double *loss, double *error) {
    int64_t errors;
    double n = (double)images->count;

    if (prun_net_loss(s->net, images, NULL, images->count, NULL, loss, &errors) != PRUN_OK)
        return ex_failure(&s->context, "evaluation");
    *loss /= n;
    *error = (double)errors / n;
    return 0;
}

/* ---- measuring ----------------------------------------------------------------------------- */

static int keep_going(void *user, int64_t done, int64_t total) {
    (void)done;
    (void)total;
    ex_progress_add((ex_progress *)user, 0); /* redraws the bar */
    return 0;
}

static int32_t wanted_count(const session *s, int folded) {
    int32_t i, n = 0;

    for (i = 0; i < s->count; i++)
        n += s->wanted[i] && (!folded || s->info[i].traits & PRUN_TRAIT_FOLDABLE);
    return n;
}

/* Fills results for the net or its folded copy. Returns 0 or, after a message, the exit status. */
static int measure_net(session *s, prun_net *net, const prun_net *start, int folded,
                       prun_measure_result *results) {
    prun_objective objective;
    prun_measure_options options;
    prun_measurement *m = NULL;
    int64_t tensors, i;
    prun_status status;

    memset(&options, 0, sizeof options);
    options.beta = s->set.beta;
    options.fractions = s->set.fractions.value;
    options.fraction_count = s->set.fractions.count;
    options.resamples = s->set.resamples;
    options.repetitions = s->set.repetitions;
    options.draws = s->set.draws;
    options.restarts = s->set.restarts;
    options.displacement = s->set.displacement;
    options.hessian_samples =
        s->set.hessian_images > 0 ? s->set.hessian_images : s->data.train.count;
    options.hessian_steps = s->set.hessian_steps;
    options.hessian_probes = s->set.hessian_runs;
    options.z = s->set.z;
    options.weight_decay = s->set.weight_decay > 0 ? s->set.weight_decay : 0;
    options.seed = (uint64_t)s->set.seed;
    options.history = s->history;
    options.epochs = s->epochs;
    options.seconds = ex_clock;
    options.progress = keep_going;
    options.user = &s->progress;
    status = prun_net_objective(net, &s->data.train, &objective);
    if (start) objective.initial = prun_net_trained_tensors(start, &tensors);
    if (status == PRUN_OK) status = prun_measurement_create(&objective, &options, &m);
    if (status != PRUN_OK) return ex_failure(&s->context, "measures");
    for (i = 0; i < s->count; i++) {
        if (!s->wanted[i] || (folded && !(s->info[i].traits & PRUN_TRAIT_FOLDABLE))) continue;
        status = prun_measure(m, s->info[i].name, &results[i]);
        ex_progress_add(&s->progress, 1);
        if (status == PRUN_ERR_MEMORY) break;
    }
    prun_measurement_free(m);
    return status == PRUN_ERR_MEMORY ? ex_failure(&s->context, "measures") : 0;
}

static int measure(session *s) {
    prun_net *net = NULL, *start = NULL;
    prun_status status = PRUN_OK;
    int failed;

    ex_progress_start(&s->progress, "measuring",
                      wanted_count(s, 0) + (s->set.folded ? wanted_count(s, 1) : 0), s->set.quiet);
    failed = measure_net(s, s->net, s->start, 0, s->plain);
    if (!failed && s->set.folded) {
        status = prun_net_copy(s->net, 1, &net);
        if (status == PRUN_OK && s->start) status = prun_net_copy(s->start, 1, &start);
        failed = status == PRUN_OK ? measure_net(s, net, start, 1, s->folded)
                                   : ex_failure(&s->context, "folding");
        prun_net_free(net);
        prun_net_free(start);
    }
    s->progress.stopped = failed;
    ex_progress_end(&s->progress);
    return failed;
}

/* Draws the figures of --spectrum. */
static int draw(session *s) {
    prun_objective objective;
    ex_spectra spectra;
    int failed;

    if (prun_net_objective(s->net, &s->data.train, &objective) != PRUN_OK)
        return ex_failure(&s->context, "figures");
    memset(&spectra, 0, sizeof spectra);
    spectra.objective = &objective;
    spectra.directory = s->set.spectrum;
    spectra.samples = s->set.hessian_images > 0 ? s->set.hessian_images : s->data.train.count;
    spectra.steps = s->set.hessian_steps;
    spectra.probes = s->set.hessian_runs;
    spectra.seed = (uint64_t)s->set.seed;
    spectra.bar = &s->progress;
    ex_progress_start(&s->progress, "figures", 0, s->set.quiet);
    failed = ex_spectra_write(&spectra);
    s->progress.stopped = failed;
    ex_progress_end(&s->progress);
    return failed;
}

/* ---- results ------------------------------------------------------------------------------- */

static void print_results(const session *s) {
    ex_measures measures;

    measures.info = s->info;
    measures.count = s->count;
    measures.wanted = s->wanted;
    measures.plain = s->plain;
    measures.folded = s->set.folded ? s->folded : NULL;
    ex_measures_print(&measures);
}

/* Names of the columns before the measures. */
#define RESULTS "train_images,train_error,test_loss,test_error,gap"

/* Whether `name` of `length` bytes is in a list "a,b,c". */
static int is_in(const char *list, const char *name, size_t length) {
    for (; *list != '\0'; list += strcspn(list, ","), list += *list == ',')
        if (strcspn(list, ",") == length && strncmp(list, name, length) == 0) return 1;
    return 0;
}

/* Whether a row has a column of this name without --columns. */
static int is_own_column(const session *s, const char *name, size_t length) {
    int32_t i;

    if (is_in("net,version,isa," RESULTS, name, length)) return 1;
    for (i = 0; i < s->count; i++)
        if (strlen(s->info[i].name) == length && strncmp(s->info[i].name, name, length) == 0)
            return 1;
    return 0;
}

/* Checks --columns name=value,... before the work begins. Returns 0 or, after a message, the exit
   status. */
static int check_columns(const session *s) {
    const char *at = s->set.columns, *first = at;

    if (at != NULL && s->set.csv == NULL) {
        ex_error("--columns adds to the row of --csv, which is not given");
        return EX_USAGE;
    }
    while (at != NULL) {
        const size_t cell = strcspn(at, ","), length = strcspn(at, "=,");
        const char *earlier = first;

        if (length == 0 || at[length] != '=' || length + 1 == cell) {
            ex_error("--columns: \"%.*s\" is not name=value", (int)cell, at);
            return EX_USAGE;
        }
        while (earlier < at &&
               (strcspn(earlier, "=") != length || strncmp(earlier, at, length) != 0))
            earlier += strcspn(earlier, ",") + 1;
        if (earlier < at || is_own_column(s, at, length)) {
            ex_error("--columns: there is already a column \"%.*s\"", (int)length, at);
            return EX_USAGE;
        }
        at = at[cell] == ',' ? at + cell + 1 : NULL;
    }
    return 0;
}

/* Writes the names, or else the values, of --columns. */
static void csv_columns(ex_csv *csv, const char *columns, int names) {
    ex_text cell = {NULL, 0, 0};

    while (columns != NULL) {
        const size_t end = strcspn(columns, ","), name = strcspn(columns, "=");

        cell.length = 0;
        if (names) ex_text_add(&cell, "%.*s", (int)name, columns);
        else ex_text_add(&cell, "%.*s", (int)(end - name - 1), columns + name + 1);
        ex_csv_text(csv, cell.data);
        columns = columns[end] == ',' ? columns + end + 1 : NULL;
    }
    ex_text_free(&cell);
}

/* Writes the cells of one measure; names: those of the header instead. */
static void csv_cells(ex_csv *csv, const prun_measure_info *info, const char *end,
                      const prun_measure_result *r, int names) {
    static const char *const parts[] = {"", "_error", "_seconds"};
    const double values[] = {r->value, r->standard_error, r->seconds};
    char text[128];
    int k;

    for (k = 0; k < 3; k++) {
        if (k == 1 && !(info->traits & PRUN_TRAIT_MONTE_CARLO) &&
            strncmp(info->name, "prunability", 11) != 0) /* prunability has one from resampling */
            continue;
        snprintf(text, sizeof text, "%s%s%s", info->name, end, parts[k]);
        if (names) ex_csv_text(csv, text);
        else ex_csv_number(csv, values[k]);
    }
}

static int write_csv(const session *s) {
    ex_csv csv;
    int32_t i, names;
    int status = ex_csv_open(&csv, s->set.csv, 0);

    if (status) return status;
    for (names = 1; names >= 0; names--) {
        if (names) {
            ex_csv_names(&csv, "net");
            csv_columns(&csv, s->set.columns, 1);
            ex_csv_names(&csv, RESULTS);
        } else {
            ex_csv_text(&csv, s->set.checkpoint ? s->set.checkpoint : "trained");
            csv_columns(&csv, s->set.columns, 0);
            ex_csv_number(&csv, (double)s->data.train.count);
            ex_csv_number(&csv, s->train_error);
            ex_csv_number(&csv, s->test_loss);
            ex_csv_number(&csv, s->test_error);
            ex_csv_number(&csv, floor((s->test_error - s->train_error) * 1e12 + 0.5) / 1e12);
        }
        for (i = 0; i < s->count; i++) {
            if (!s->wanted[i]) continue;
            csv_cells(&csv, &s->info[i], "", &s->plain[i], names);
            if (s->set.folded && s->info[i].traits & PRUN_TRAIT_FOLDABLE)
                csv_cells(&csv, &s->info[i], "_folded", &s->folded[i], names);
        }
        if (names) ex_csv_names(&csv, "version,isa");
        else {
            ex_csv_text(&csv, PRUNABILITY_VERSION);
            ex_csv_text(&csv, prun_isa());
        }
        ex_csv_end_line(&csv);
    }
    return ex_csv_close(&csv);
}

/* ---- program ------------------------------------------------------------------------------- */

static int parse(int argc, char **argv, settings *set) {
    const double many = 1e9, any_seed = 9007199254740992.0;
    int status;
    const ex_option options[] = {
        {"checkpoint", EX_TEXT, &set->checkpoint, NULL, 0, 0, "safetensors file; else train one"},
        {"initial", EX_TEXT, &set->initial, NULL, 0, 0, "checkpoint from before training"},
        {"prefix", EX_TEXT, &set->prefix, "", 0, 0, "prefix of all tensor names in those files"},
        {"history", EX_TEXT, &set->history, NULL, 0, 0,
         "CSV of its training: columns loss and steps, a row per epoch"},
        {"arch", EX_CHOICE, &set->arch, "cnn", 0, 0, "family of the network"},
        {"pytorch-nin", EX_FLAG, &set->pytorch_nin, NULL, 0, 0,
         "a nin with PyTorch's padding and constants, not TensorFlow's"},
        {"only", EX_TEXT, &set->only, NULL, 0, 0,
         "these measures or families: name,name,... or name*"},
        {"skip", EX_TEXT, &set->skip, NULL, 0, 0, "all but these"},
        {"fast", EX_FLAG, &set->fast, NULL, 0, 0,
         "leave out searches (except prunability), operator norms and curvature"},
        {"folded", EX_FLAG, &set->folded, NULL, 0, 0,
         "also with batch norms folded into the weights"},
        {"list", EX_FLAG, &set->list, NULL, 0, 0, "print what can be measured"},
        {"csv", EX_TEXT, &set->csv, NULL, 0, 0, "file for one row of results"},
        {"columns", EX_TEXT, &set->columns, NULL, 0, 0,
         "columns to add to that row, for example width=16,dropout=0.1"},
        {"spectrum", EX_TEXT, &set->spectrum, NULL, 0, 0,
         "directory for figures: eigenvalues of weights and Hessian, loss along directions"},
        {"beta", EX_REAL, &set->beta, "0.1", 1e-9, 1e9, "tolerance on the loss in searches"},
        {"displacement", EX_REAL, &set->displacement, "0", 0, 1,
         "PAC-Bayes and sharpness: tolerated rise of the error instead"},
        {"fractions", EX_FRACTIONS, &set->fractions, "100", 0, 1,
         "kept fractions to try: N: i/N; dense: hundredths to 0.9, then 1 - 10^(-1 - i/10); or a "
         "list"},
        {"resamples", EX_INT, &set->resamples, "1000", 0, 1e6,
         "resamples of the images, for prunability's standard error; 0: none"},
        {"repetitions", EX_INT, &set->repetitions, "5", 1, 1e6, "permutations of random pruning"},
        {"draws", EX_INT, &set->draws, "10", 1, 1e6, "draws of noise"},
        {"restarts", EX_INT, &set->restarts, "3", 1, 1e6, "restarts of the search for sharpness"},
        {"hessian-images", EX_INT, &set->hessian_images, "500", 0, many,
         "random images for measures of curvature; 0: all"},
        {"hessian-steps", EX_INT, &set->hessian_steps, "100", 1, 1e6, "steps of a Lanczos run"},
        {"hessian-runs", EX_INT, &set->hessian_runs, "3", 1, 1e6, "Lanczos runs"},
        {"z", EX_REAL, &set->z, "1", 1e-12, 1e12, "z of effective dimensionality"},
        {"data", EX_TEXT, &set->data, EX_DATA_DIRECTORY, 0, 0,
         "directory of IDX files (MNIST family), or binary files of CIFAR-10 or CIFAR-100"},
        {"npy", EX_TEXT, &set->npy, NULL, 0, 0,
         "directory of NumPy files to read instead: train-images.npy, train-labels.npy, test-..."},
        {"images", EX_INT, &set->images, "0", 0, many, "first training images; 0: all"},
        {"test-images", EX_INT, &set->test_images, "0", 0, many, "first test images; 0: all"},
        {"pad-to", EX_INT, &set->pad_to, "32", 0, 4096, "image size after padding; 0: as stored"},
        {"normalize", EX_CHOICE, &set->normalize, "mean-std", 0, 0, "normalization of the images"},
        {"channels", EX_INT, &set->channels, "1", 1, 16, "training: copies of the grey channel"},
        {"width", EX_INT, &set->width, "8", 1, 65536, "training: width of the network"},
        {"depth", EX_INT, &set->depth, "3", 2, 4, "training: blocks of a nin"},
        {"dropout", EX_REAL, &set->dropout, "0", 0, 0.99, "training: dropout of a nin"},
        {"epochs", EX_INT, &set->epochs, "10", 1, many, "training: epochs"},
        {"batch", EX_INT, &set->batch, "32", 2, many, "training: images per step"},
        {"lr", EX_REAL, &set->lr, "0.02", 1e-12, 1e6, "training: learning rate"},
        {"weight-decay", EX_REAL, &set->weight_decay, NULL, 0, 1e3,
         "weight decay of training [0.0001; of a checkpoint: from its metadata]"},
        {"save", EX_TEXT, &set->save, NULL, 0, 0, "training: file to write the network to"},
        {"seed", EX_INT, &set->seed, "1", 0, any_seed, "of training and of random measures"},
        {"isa", EX_TEXT, &set->isa, "best", 0, 0,
         "kernels: best, portable, avx2, avx512 or neon; they round differently"},
        {"quiet", EX_FLAG, &set->quiet, NULL, 0, 0, "no progress"}};
    const ex_program program = {
        "measure",
        "",
        "Prints every generalization measure of one network, trained here or read from a file.",
        options,
        sizeof options / sizeof *options,
        0,
        0};

    set->weight_decay = -1;
    set->arch.names = "cnn|nin|resnet18";
    set->normalize.names = "mean-std|per-image|none";
    status = ex_parse(&program, argc, argv, NULL);
    if (status < 0) status = ex_resamples_check(set->resamples);
    return status >= 0 ? status : ex_choose_kernels(set->isa);
}

int main(int argc, char **argv) {
    static session s;
    int status = parse(argc, argv, &s.set);

    if (status >= 0) return status;
    status = choose(&s);
    if (status == 0 && s.set.list) {
        list_measures(&s);
    } else if (status == 0 && (status = check_columns(&s)) == 0 &&
               (status = check_files(&s, argv[0])) == 0) {
        status = s.set.checkpoint ? open_checkpoint(&s, argv[0]) : train(&s, argv[0]);
        if (status == 0) status = evaluate(&s, &s.data.train, &s.train_loss, &s.train_error);
        if (status == 0) status = evaluate(&s, &s.data.test, &s.test_loss, &s.test_error);
        if (status == 0) status = measure(&s);
        if (status == 0) {
            printf("training set: %ld images, loss %.5f, error %.4f; test set: loss %.5f, error "
                   "%.4f; gap %.4f\n\n",
                   (long)s.data.train.count, s.train_loss, s.train_error, s.test_loss, s.test_error,
                   s.test_error - s.train_error);
            print_results(&s);
        }
        if (status == 0 && s.set.csv) status = write_csv(&s);
        if (status == 0 && s.set.spectrum) status = draw(&s);
    }
    prun_net_free(s.net);
    prun_net_free(s.start);
    ex_free_data(&s.data);
    free(s.history);
    free(s.wanted);
    free(s.plain);
    free(s.folded);
    return status;
}
