/* training.h - what the paper's experiments share beyond example.h: their data sets, labels that
   are wrong on purpose, and training that goes on where a killed run left it */
#ifndef TRAINING_H_INCLUDED
#define TRAINING_H_INCLUDED

#include "example.h"

/* ---- CIFAR --------------------------------------------------------------------------------- */

typedef struct ex_cifar {
    const char *name, *folder; /* folder: as the archive unpacks */
    int64_t classes;
    int files; /* of training images */
    const char *train[5], *test;
} ex_cifar;

static const ex_cifar ex_cifars[2] = {
    {"CIFAR-100", "cifar-100-binary", 100, 1, {"train.bin", NULL, NULL, NULL, NULL}, "test.bin"},
    {"CIFAR-10", "cifar-10-batches-bin", 10, 5,
     {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
      "data_batch_5.bin"}, "test_batch.bin"}};

/* The set whose files lie in a directory or in the folder of its archive below it; NULL: neither.
   place: that directory. */
static inline const ex_cifar *ex__cifar_find(const char *directory, ex_text *place)
{
    int i, below;

    for (i = 0; i < 2; i++)
        for (below = 0; below < 2; below++) {
            ex_text path = {NULL, 0, 0};
            FILE *file;

            place->length = 0;
            ex_text_add(place, below ? "%s/%s" : "%s", directory, ex_cifars[i].folder);
            ex_text_add(&path, "%s/%s", place->data, ex_cifars[i].train[0]);
            file = fopen(path.data, "rb");
            ex_text_free(&path);
            if (file != NULL) {
                fclose(file);
                return &ex_cifars[i];
            }
        }
    return NULL;
}

static inline int ex__cifar_set(prun_context *context, const ex_cifar *set, const char *directory,
                                const char *const *names, int count, int64_t limit,
                                prun_images *images)
{
    ex_text text[5] = {{NULL, 0, 0}, {NULL, 0, 0}, {NULL, 0, 0}, {NULL, 0, 0}, {NULL, 0, 0}};
    const char *paths[5] = {NULL, NULL, NULL, NULL, NULL};
    prun_status status;
    int i;

    for (i = 0; i < count; i++) {
        ex_text_add(&text[i], "%s/%s", directory, names[i]);
        paths[i] = text[i].data;
    }
    status = prun_load_cifar(context, paths, count, set->classes, images);
    for (i = 0; i < count; i++)
        ex_text_free(&text[i]);
    if (status != PRUN_OK)
        return ex_failure(context, "data");
    if (limit > images->count) {
        fprintf(stderr, "error: %s: only %ld of the %ld images asked for are there\n", directory,
                (long)images->count, (long)limit);
        return EX_USAGE;
    }
    images->count = limit > 0 ? limit : images->count;
    return 0;
}

/* Normalized by the constants that the paper's sources use for both CIFAR sets. */
static inline void ex__cifar_normalize(prun_normalization normalization, prun_images *images)
{
    static const float mean[3] = {0.4914f, 0.4822f, 0.4465f}, std[3] = {0.2023f, 0.1994f, 0.2010f};

    images->normalization = normalization;
    if (normalization != PRUN_NORMALIZE_MEAN_STD)
        return;
    memcpy(images->mean, mean, sizeof mean);
    memcpy(images->std, std, sizeof std);
}

/* Training and test images from the directory of the request: CIFAR binary files, or the IDX files
   of the MNIST family. name: what to call them. Returns 0 or, after a message, the exit status. */
static inline int ex_load_any(prun_context *context, const ex_data_request *request, ex_data *data,
                              const char **name)
{
    ex_text place = {NULL, 0, 0};
    const ex_cifar *set = ex__cifar_find(request->directory, &place);
    int status;

    memset(data, 0, sizeof *data);
    if (set == NULL) {
        *name = ex__data_scheme(request->directory) == 1 ? "IDX" : "Fashion-MNIST";
        status = ex_load_data(context, request, data);
    } else {
        *name = set->name;
        status = ex__cifar_set(context, set, place.data, set->train, set->files,
                               request->train_images, &data->train);
        if (status == 0)
            status = ex__cifar_set(context, set, place.data, &set->test, 1, request->test_images,
                                   &data->test);
        ex__cifar_normalize(request->normalization, &data->train);
        ex__cifar_normalize(request->normalization, &data->test);
        if (status != 0)
            ex_free_data(data);
    }
    ex_text_free(&place);
    return status;
}

/* ---- label noise --------------------------------------------------------------------------- */

#define EX_NOISE_ORDER 0x6e6f697365ULL
#define EX_NOISE_LABEL 0x6e6f697366ULL

/* Gives a share of the images a wrong label: another one, each equally likely. Which ones depends
   on the seed alone. The labels are copied; free the result after the images. */
static inline int32_t *ex_label_noise(prun_images *images, double share, uint64_t seed)
{
    const size_t n = (size_t)images->count;
    const int64_t wrong = (int64_t)(share * (double)n + 0.5);
    int32_t *labels = (int32_t *)ex_allocate(n, sizeof *labels);
    int64_t *order = (int64_t *)ex_allocate(n, sizeof *order), i;

    memcpy(labels, images->labels, n * sizeof *labels);
    prun_random_permutation(seed, EX_NOISE_ORDER, images->count, order);
    for (i = 0; i < wrong; i++) {
        const double u = prun_random_uniform(seed, EX_NOISE_LABEL, (uint64_t)order[i]);
        const int32_t shift = 1 + (int32_t)(u * (double)(images->classes - 1));

        labels[order[i]] = (int32_t)((labels[order[i]] + shift) % images->classes);
    }
    free(order);
    images->labels = labels;
    return labels;
}

/* ---- training that goes on after a kill ---------------------------------------------------- */

/* Fills prun_train_options for the recipe that the paper's width experiments share (A.4). */
static inline prun_train_options ex_width_recipe(int64_t epochs, int64_t batch, double rate,
                                                 double momentum, double decay, uint64_t seed)
{
    prun_train_options options;

    memset(&options, 0, sizeof options);
    options.epochs = epochs;
    options.batch = batch;
    options.learning_rate = rate;
    options.momentum = momentum > 0 ? momentum : -1; /* the library's 0 is its default */
    options.weight_decay = decay;
    options.decay = PRUN_DECAY_ALL;
    options.schedule = PRUN_SCHEDULE_MADDOX;
    options.seed = seed;
    return options;
}

/* Where a training stands: NAME.state (safetensors) and NAME.history, the finished epochs. */
typedef struct ex_resume {
    ex_text state, history;
    int64_t every; /* epochs from one save to the next; 0: none */
} ex_resume;

/* The names begin with a hash of the model's key: the state of other settings is never found. */
static inline void ex_resume_name(ex_resume *resume, const char *out, const char *key,
                                  int64_t every)
{
    uint64_t hash = 14695981039346656037ULL; /* FNV-1a */
    char name[24];

    memset(resume, 0, sizeof *resume);
    resume->every = every;
    for (; *key != '\0'; key++)
        hash = (hash ^ (unsigned char)*key) * 1099511628211ULL;
    snprintf(name, sizeof name, "%08lx%08lx", (unsigned long)(hash >> 32),
             (unsigned long)(hash & 0xffffffffUL));
    ex_path(&resume->state, out, name, "state");
    ex_path(&resume->history, out, name, "history");
}

static inline void ex_resume_end(ex_resume *resume, int finished)
{
    if (finished && resume->every > 0) {
        remove(resume->state.data);
        remove(resume->history.data);
    }
    ex_text_free(&resume->state);
    ex_text_free(&resume->history);
}

/* History first, so that it never has fewer epochs than the state. */
static inline prun_status ex__resume_save(const ex_resume *resume, const prun_trainer *trainer,
                                          const prun_epoch *history)
{
    const size_t epochs = (size_t)prun_trainer_epochs(trainer);
    ex_text path = {NULL, 0, 0};
    FILE *file;
    int failed = 1;

    ex_text_add(&path, "%s.tmp", resume->history.data);
    file = fopen(path.data, "wb");
    if (file != NULL) {
        failed = fwrite(history, sizeof *history, epochs, file) != epochs;
        failed |= ex_close(file, path.data) != 0;
    }
    failed = failed || ex_replace(path.data, resume->history.data) != 0;
    ex_text_free(&path);
    return failed ? PRUN_ERR_WRITE : prun_trainer_save(trainer, resume->state.data);
}

/* Takes over a saved training, if there is one: history is then filled as far as it got. */
static inline prun_status ex__resume_load(prun_context *context, const ex_resume *resume,
                                          prun_trainer *trainer, int64_t epochs,
                                          prun_epoch *history)
{
    FILE *file = fopen(resume->history.data, "rb");
    prun_safetensors *state = NULL;
    int64_t known = 0;
    prun_status status;

    if (file != NULL) {
        known = (int64_t)fread(history, sizeof *history, (size_t)epochs, file);
        fclose(file);
    }
    status = known > 0 ? prun_safetensors_open(context, resume->state.data, &state) : PRUN_ERR_OPEN;
    if (status == PRUN_ERR_OPEN)
        return PRUN_OK; /* killed before the first save */
    if (status == PRUN_OK)
        status = prun_trainer_load(trainer, state);
    prun_safetensors_close(state);
    return status == PRUN_OK && prun_trainer_epochs(trainer) > known ? PRUN_ERR_TRUNCATED : status;
}

/* Trains, or goes on with what an earlier run has saved; the bits are those of a run that nobody
   killed. history: options->epochs entries. options->on_epoch is called for the epochs that were
   there already, too. */
static inline prun_status ex_train(prun_context *context, prun_net *net, const prun_images *images,
                                   const prun_train_options *options, const ex_resume *resume,
                                   prun_epoch *history)
{
    prun_trainer *trainer = NULL;
    prun_status status = prun_trainer_create(net, images, options, &trainer);
    int64_t e, start;

    if (status == PRUN_OK && resume->every > 0)
        status = ex__resume_load(context, resume, trainer, options->epochs, history);
    start = status == PRUN_OK ? prun_trainer_epochs(trainer) : 0;
    for (e = 0; e < start && options->on_epoch != NULL; e++)
        options->on_epoch(options->user, &history[e]);
    for (e = start; e < options->epochs && status == PRUN_OK; e++) {
        status = prun_trainer_epoch(trainer, &history[e]);
        if (status == PRUN_OK && options->on_epoch != NULL &&
            options->on_epoch(options->user, &history[e]))
            status = PRUN_CANCELLED;
        if (status == PRUN_OK && resume->every > 0 &&
            ((e + 1) % resume->every == 0 || e + 1 == options->epochs))
            status = ex__resume_save(resume, trainer, history);
    }
    prun_trainer_free(trainer);
    return status;
}

/* Why a model failed: the context's message, if it is about that failure. */
static inline const char *ex_reason(const prun_context *context, prun_status status)
{
    return context->status == status && *context->message != '\0' ? prun_message(context)
                                                                  : prun_status_string(status);
}

/* ---- differences --------------------------------------------------------------------------- */

/* How many standard errors the 95 % interval of a mean reaches to either side: the 0.975 quantile
   of Student's t. Few seeds need far more than two. 0 and fewer degrees of freedom: infinity. */
static inline double ex_student(int64_t freedom)
{
    static const double quantile[10] = {12.706, 4.303, 3.182, 2.776, 2.571,
                                        2.447, 2.365, 2.306, 2.262, 2.228};

    if (freedom < 1)
        return (double)INFINITY;
    /* beyond the table, to 0.002 */
    return freedom <= 10 ? quantile[freedom - 1] : 1.96 + 2.37 / (double)freedom +
                               2.8 / (double)(freedom * freedom);
}

/* What labels are worth, for captions. */
static inline void ex_describe_labels(ex_text *text, double noise)
{
    if (noise > 0)
        ex_text_add(text, "%g %% of the labels wrong, ", 100 * noise);
}

/* ---- what a study will cost ---------------------------------------------------------------- */

/* Memory in use, and the most there was; blocks carry their size in front. */
typedef struct ex_meter {
    size_t now, most;
} ex_meter;

#define EX_METER_HEAD 64

static inline void *ex__meter_allocate(size_t size, void *user)
{
    ex_meter *meter = (ex_meter *)user;
    unsigned char *block = size < (size_t)-1 - EX_METER_HEAD
                               ? (unsigned char *)malloc(size + EX_METER_HEAD) : NULL;

    if (block == NULL)
        return NULL;
    memcpy(block, &size, sizeof size);
    meter->now += size;
    meter->most = meter->now > meter->most ? meter->now : meter->most;
    return block + EX_METER_HEAD;
}

static inline void ex__meter_release(void *pointer, void *user)
{
    unsigned char *block = (unsigned char *)pointer;
    size_t size;

    if (block == NULL)
        return;
    block -= EX_METER_HEAD;
    memcpy(&size, block, sizeof size);
    ((ex_meter *)user)->now -= size;
    free(block);
}

/* Seconds of one thread for forward and backward pass of an image, and bytes for a batch, both
   measured on a few images. Returns the exit status. */
static inline int ex_probe(const prun_arch *arch, const prun_images *images, int64_t batch,
                           double *seconds, double *bytes)
{
    ex_meter meter = {0, 0};
    prun_context context;
    prun_net *net = NULL;
    prun_status status;
    float *gradient = NULL;
    double fixed = 0, sum;
    int64_t n, errors;

    memset(&context, 0, sizeof context);
    context.allocate = ex__meter_allocate;
    context.release = ex__meter_release;
    context.allocator_user = &meter;
    context.threads = 1;
    status = prun_net_family(&context, arch, &net);
    if (status == PRUN_OK)
        gradient = (float *)ex_allocate((size_t)prun_net_parameters(net), sizeof *gradient);
    for (n = 16; n <= 32 && status == PRUN_OK; n += 16) {
        const double start = ex_seconds();

        fixed = (double)meter.most;
        status = prun_net_train_pass(net, images, NULL, n < images->count ? n : images->count, NULL,
                                     gradient, NULL, &sum, &errors);
        *seconds = (ex_seconds() - start) / (double)n;
    }
    /* From 16 to 32 images memory grew by one block of sixteen. */
    *bytes = (double)meter.most + ((double)meter.most - fixed) * (double)(batch / 16);
    if (status == PRUN_OK)
        *bytes += 2 * 4 * (double)prun_net_parameters(net); /* momentum, gradient */
    free(gradient);
    prun_net_free(net);
    return status == PRUN_OK ? 0 : ex_failure(&context, "a first step");
}

#endif /* TRAINING_H_INCLUDED */
