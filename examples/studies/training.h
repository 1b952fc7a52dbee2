/* training.h - networks of the experiments, training that survives being killed, and its cost */
#ifndef TRAINING_H_INCLUDED
#define TRAINING_H_INCLUDED

#include "data.h"
#include "options.h"

/* ---- networks ------------------------------------------------------------------------------ */

enum { EX_CNN, EX_RESNET18, EX_NIN, EX_ARCHS };

static const char *const ex_arch_names[EX_ARCHS] = {"cnn", "resnet18", "nin"};
static const char *const ex_arch_labels[EX_ARCHS] = {"CNN", "ResNet18", "NiN"};

static inline prun_arch ex_arch(int arch, int64_t width, int64_t seed, const prun_images *images) {
    prun_arch a;

    memset(&a, 0, sizeof a);
    a.family = arch == EX_CNN   ? PRUN_FAMILY_CNN
               : arch == EX_NIN ? PRUN_FAMILY_NIN
                                : PRUN_FAMILY_RESNET18;
    a.width = width;
    a.image_channels = images->channels;
    a.image_height = images->height;
    a.image_width = images->width;
    a.classes = images->classes;
    a.seed = (uint64_t)seed;
    return a;
}

/* Estimated time of a forward pass of one image, as a number of multiplications. The constants are
   measured: narrow layers are slower than their multiplications suggest. For time estimates
   only. */
static inline double ex_forward_cost(int arch, int64_t width) {
    const double k = (double)width;

    return arch == EX_CNN   ? 55296 * k * (k + 17)
           : arch == EX_NIN ? 1232 * k * (k + 2)
                            : 135168 * k * (k + 7);
}

/* ---- what a network predicts --------------------------------------------------------------- */

/* Number of test images whose predictions are stored in a row. */
#define EX_PREDICTED 1000

/* Mean loss and error rate over images; PRUN_ERR_NONFINITE if the mean loss is not finite. */
static inline prun_status ex_evaluate(prun_net *net, const prun_images *images, double *loss,
                                      double *error) {
    double sum = 0;
    int64_t errors = 0;
    const prun_status status = prun_net_loss(net, images, NULL, images->count, NULL, &sum, &errors);

    *loss = sum / (double)images->count;
    *error = (double)errors / (double)images->count;
    return status == PRUN_OK && !isfinite(*loss) ? PRUN_ERR_NONFINITE : status;
}

/* Adds two letters for the predicted class of each of the first test images. Stored as text, so
   that models trained at different times can be compared. */
static inline prun_status ex_predictions(prun_net *net, const prun_images *images, ex_text *text) {
    const int64_t n = images->count < EX_PREDICTED ? images->count : EX_PREDICTED;
    const int64_t classes = prun_net_class_count(net);
    float *logits = (float *)ex_allocate((size_t)(n * classes), sizeof *logits);
    const prun_status status = prun_net_logits(net, images, NULL, n, logits);
    int64_t i, j;

    for (i = 0; status == PRUN_OK && i < n; i++) {
        const float *f = logits + i * classes;
        int64_t best = 0;

        for (j = 1; j < classes; j++) best = f[j] > f[best] ? j : best;
        ex_text_add(text, "%c%c", (int)('a' + best / 26 % 26), (int)('a' + best % 26));
    }
    free(logits);
    return status;
}

/* The share of images for which two texts of ex_predictions differ; NaN if they cannot be
   compared. */
static inline double ex_disagreement(const char *a, const char *b) {
    const size_t length = strlen(a);
    size_t i, differ = 0;

    if (length == 0 || length != strlen(b)) return (double)NAN;
    for (i = 0; i < length; i += 2) differ += a[i] != b[i] || a[i + 1] != b[i + 1];
    return 2.0 * (double)differ / (double)length;
}

/* ---- training that survives being killed --------------------------------------------------- */

/* What ex_train saves, and where; zero fields: nothing. */
typedef struct ex_keep {
    const char *path;          /* of the checkpoint, without extension */
    const char *id;            /* names all settings: a checkpoint with others is not used */
    const char *version, *isa; /* of the library and its kernels: likewise */
    int64_t every;             /* epochs from one checkpoint to the next; 0: none */
    ex_progress *progress;     /* advanced by `work` per epoch */
    double work;
    const int *stop; /* NULL, or a flag: non-zero cancels the training */
} ex_keep;

/* The first line of a history. */
static inline void ex__history_header(const ex_keep *keep, ex_text *header) {
    ex_text_add(header, "%s,%s,%s\n", keep->id, keep->version, keep->isa);
}

/* Saves the epochs so far, which the library's checkpoint does not hold. Called before the
   checkpoint is saved, so that the history is never shorter. */
static inline int ex__history_write(const ex_keep *keep, const prun_epoch *history, int64_t n) {
    ex_text path = {NULL, 0, 0}, header = {NULL, 0, 0};
    FILE *file;
    int64_t i;
    int status = EX_FAILED;

    ex_text_add(&path, "%s.history", keep->path);
    ex__history_header(keep, &header);
    file = ex_open(path.data);
    if (file != NULL) {
        fputs(header.data, file);
        for (i = 0; i < n; i++)
            fprintf(file, "%lld %lld %.17g %.17g %.17g %.17g %lld %.17g\n",
                    (long long)history[i].epoch, (long long)history[i].epochs,
                    history[i].learning_rate, history[i].loss, history[i].error_rate,
                    history[i].evaluated_loss, (long long)history[i].steps,
                    history[i].gradient_noise);
        status = ex_close(file, path.data);
    }
    ex_text_free(&path);
    ex_text_free(&header);
    return status;
}

/* Reads the history at that path; the caller frees *text, which is NULL if there is none. *lines
   is the first line after the header, or NULL if there is no history of this training. Returns the
   exit status of reading. */
static inline int ex__history_open(const ex_keep *keep, char **text, char **lines) {
    ex_text path = {NULL, 0, 0}, header = {NULL, 0, 0};
    size_t size;
    int status;

    ex_text_add(&path, "%s.history", keep->path);
    ex__history_header(keep, &header);
    status = ex__read_file(path.data, text, &size);
    *lines = NULL;
    if (status == 0 && *text != NULL && strncmp(*text, header.data, header.length) == 0)
        *lines = *text + header.length;
    ex_text_free(&path);
    ex_text_free(&header);
    return status;
}

/* Whether there is a history of another training at that path, or one that cannot be read. */
static inline int ex__history_is_other(const ex_keep *keep) {
    char *text, *lines;
    const int status = ex__history_open(keep, &text, &lines);
    const int other = status != 0 || (text != NULL && lines == NULL);

    free(text);
    return other;
}

/* Reads the saved epochs of this training. Returns their number, at most `epochs`. */
static inline int64_t ex__history_read(const ex_keep *keep, prun_epoch *history, int64_t epochs) {
    char *text, *line;
    int64_t n = 0;

    if (ex__history_open(keep, &text, &line) == 0 && line != NULL) {
        for (; n < epochs; n++) {
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
    return n;
}

/* Resumes from a checkpoint with the same settings, if there is one. */
static inline prun_status ex__train_resume(prun_trainer *trainer, const ex_keep *keep,
                                           const char *path, prun_epoch *history, int64_t epochs) {
    const int64_t known = ex__history_read(keep, history, epochs);
    prun_context context;
    prun_safetensors *file = NULL;
    prun_status status;
    FILE *there = known > 0 ? ex_fopen(path, "rb") : NULL;

    if (there == NULL) return PRUN_OK;
    fclose(there);
    memset(&context, 0, sizeof context);
    status = prun_safetensors_open(&context, path, &file);
    if (status == PRUN_OK) {
        status = prun_trainer_read_safetensors(trainer, file);
        prun_safetensors_close(file);
    }
    if (status != PRUN_OK)
        ex_error("%s: a checkpoint that cannot be used: %s; delete it and its .history file, and "
                 "the training starts again",
                 path, ex_reason(&context, status));
    if (status == PRUN_OK && prun_trainer_epoch_count(trainer) > known) {
        ex_error("%s: its .history file has fewer epochs; delete both files", path);
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
#pragma omp critical(ex_stop)
#endif
        stopped = *stop;
    return stopped;
}

/* Trains like prun_train, with the same result bit for bit, but saves checkpoints: if the program
   is killed, the same call resumes. history: one entry per epoch. */
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

/* Removes the files that ex_train saved. */
static inline void ex_train_forget(const ex_keep *keep) {
    static const char *const ends[] = {"safetensors", "history"};
    ex_text path = {NULL, 0, 0};
    size_t i;

    for (i = 0; keep->every > 0 && i < sizeof ends / sizeof *ends; i++) {
        path.length = 0;
        ex_text_add(&path, "%s.%s", keep->path, ends[i]);
        ex_remove(path.data);
    }
    ex_text_free(&path);
}

/* ---- cost of a training -------------------------------------------------------------------- */

/* Current and peak memory use. The size of a block is stored before it. */
typedef struct ex_meter {
    size_t now, most;
} ex_meter;

#define EX_METER_HEAD 64

static inline void *ex__meter_allocate(void *user, size_t size) {
    ex_meter *meter = (ex_meter *)user;
    unsigned char *block =
        size < (size_t)-1 - EX_METER_HEAD ? (unsigned char *)malloc(size + EX_METER_HEAD) : NULL;

    if (block == NULL) return NULL;
    memcpy(block, &size, sizeof size);
    meter->now += size;
    meter->most = meter->now > meter->most ? meter->now : meter->most;
    return block + EX_METER_HEAD;
}

static inline void ex__meter_release(void *user, void *pointer) {
    unsigned char *block = (unsigned char *)pointer;
    size_t size;

    if (block == NULL) return;
    block -= EX_METER_HEAD;
    memcpy(&size, block, sizeof size);
    ((ex_meter *)user)->now -= size;
    free(block);
}

/* Seconds of one thread for forward and backward pass of an image, and bytes for a batch, both
   measured on a few images. The fastest of several passes counts, because other processes may
   have slowed the rest. Returns the exit status. */
static inline int ex_probe(const prun_arch *arch, const prun_images *images, int64_t batch,
                           double *seconds, double *bytes) {
    ex_meter meter = {0, 0};
    prun_context context;
    prun_net *net = NULL;
    prun_status status;
    float *gradient = NULL;
    double most[2] = {0, 0}, sum; /* memory with 16 and with 32 images */
    int64_t errors;
    int pass;

    memset(&context, 0, sizeof context);
    context.allocate = ex__meter_allocate;
    context.release = ex__meter_release;
    context.allocator_user = &meter;
    context.threads = 1;
    *seconds = (double)INFINITY;
    status = prun_net_create_family(&context, arch, &net);
    if (status == PRUN_OK)
        gradient = (float *)ex_allocate((size_t)prun_net_parameter_count(net), sizeof *gradient);
    /* At least three passes, then up to 0.3 seconds at the speed of the fastest, so that one slow
       pass does not end the trial. */
    for (pass = 0; status == PRUN_OK && (pass < 3 || (pass < 20 && 32 * pass * *seconds < 0.3));
         pass++) {
        const int64_t wanted = pass == 0 ? 16 : 32;
        const int64_t n = wanted < images->count ? wanted : images->count;
        const double start = ex_seconds();
        double each;

        status = prun_net_train_pass(
            net, images, NULL, n, NULL,
            &(prun_pass_outputs){.gradient = gradient, .sum = &sum, .wrong = &errors});
        each = (ex_seconds() - start) / (double)n;
        *seconds = each < *seconds ? each : *seconds;
        if (pass < 2) most[pass] = (double)meter.most;
    }
    /* Memory grew from 16 to 32 images by that of one block of 16. */
    *bytes = most[1] + (most[1] - most[0]) * (double)(batch / 16);
    if (status == PRUN_OK)
        *bytes += 2 * 4 * (double)prun_net_parameter_count(net); /* momentum, gradient */
    free(gradient);
    prun_net_free(net);
    return status == PRUN_OK ? 0 : ex_failure(&context, "cost estimate");
}

#endif /* TRAINING_H_INCLUDED */
