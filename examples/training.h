/* training.h - what the paper's experiments over widths share beyond example.h: labels that are
   wrong on purpose, data, networks and training and the options for them, and what it will cost */
#ifndef TRAINING_H_INCLUDED
#define TRAINING_H_INCLUDED

#include "example.h"

/* CIFAR normalized by the constants that the paper's sources use for both sets (A.4). */
static inline void ex_cifar_constants(ex_data *data) {
    static const float mean[3] = {0.4914f, 0.4822f, 0.4465f}, std[3] = {0.2023f, 0.1994f, 0.2010f};

    if (strncmp(data->name, "cifar", 5) != 0) return;
    memcpy(data->train.mean, mean, sizeof mean);
    memcpy(data->train.std, std, sizeof std);
    memcpy(data->test.mean, mean, sizeof mean);
    memcpy(data->test.std, std, sizeof std);
}

/* ---- label noise --------------------------------------------------------------------------- */

#define EX_NOISE_ORDER 0x6e6f697365ULL
#define EX_NOISE_LABEL 0x6e6f697366ULL

/* Gives a share of the training images a wrong label: another one, each equally likely. Which ones
   depends on the seed alone. */
static inline void ex_label_noise(ex_data *data, double share, uint64_t seed) {
    prun_images *images = &data->train;
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
    images->labels = data->labels = labels;
}

/* ---- what every model of an experiment has in common --------------------------------------- */

/* On what and how it is trained, as its user chose. */
typedef struct ex_recipe {
    ex_ints seeds;
    int64_t epochs, batch, crop, flip, label_seed, images, test_images, save_every;
    double lr, momentum, decay, noise;
    const char *data;
} ex_recipe;

/* Defaults of the options that presets differ in. */
typedef struct ex_recipe_preset {
    const char *seeds, *epochs, *batch, *crop, *flip, *noise, *images, *test_images, *save_every;
} ex_recipe_preset;

#define EX_MANY 1e9
#define EX_ANY_SEED 9007199254740992.0 /* 2^53: a CSV file's double still holds it */

/* Entries of an option table for a recipe and its defaults; EX_KEEP_OPTION comes last there. */
/* clang-format off */
#define EX_RECIPE_OPTIONS(r, d) \
    {"seeds", EX_INT_LIST, &(r)->seeds, (d)->seeds, 0, EX_ANY_SEED, "one model of each width"}, \
    {"epochs", EX_INT, &(r)->epochs, (d)->epochs, 1, 1e6, "of training"}, \
    {"batch", EX_INT, &(r)->batch, (d)->batch, 2, EX_MANY, "images per step"}, \
    {"lr", EX_REAL, &(r)->lr, "0.01", 1e-12, 1e6, \
     "learning rate: half the time, then down to 1 % of it"}, \
    {"momentum", EX_REAL, &(r)->momentum, "0.9", 0, 0.9999, "of SGD"}, \
    {"decay", EX_REAL, &(r)->decay, "0.0001", 0, 1e3, "weight decay, on all parameters"}, \
    {"crop", EX_INT, &(r)->crop, (d)->crop, 0, 16, "augmentation: padding of random crops"}, \
    {"flip", EX_INT, &(r)->flip, (d)->flip, 0, 1, "augmentation: 1: random mirroring"}, \
    {"label-noise", EX_REAL, &(r)->noise, (d)->noise, 0, 1, "share of wrong training labels"}, \
    {"label-seed", EX_INT, &(r)->label_seed, "1", 0, EX_ANY_SEED, "which ones they are"}, \
    {"images", EX_INT, &(r)->images, (d)->images, 0, EX_MANY, "first training images; 0: all"}, \
    {"test-images", EX_INT, &(r)->test_images, (d)->test_images, 0, EX_MANY, \
     "first test images; 0: all"}, \
    {"data", EX_TEXT, &(r)->data, EX_DATA_DIRECTORY, 0, 0, \
     "directory of CIFAR binary or IDX files"}
/* clang-format on */

/* clang-format off */
#define EX_KEEP_OPTION(r, d) \
    {"checkpoint", EX_INT, &(r)->save_every, (d)->save_every, 0, 1e6, \
     "epochs from one saved state of training to the next; 0: none"}
/* clang-format on */

/* Call after ex_study_check. Returns -1 to go on, otherwise the exit status. */
static inline int ex_recipe_check(const ex_recipe *recipe, ex_study_settings *study) {
    if (study->preset == EX_FULL && strcmp(recipe->data, EX_DATA_DIRECTORY) == 0) {
        ex_error("--full wants --data, the directory of CIFAR-100's binary files");
        return EX_USAGE;
    }
    if (study->preset != EX_FULL) study->yes = 1; /* nothing to ask about */
    return -1;
}

/* Images and labels. The context must live as long as they do. Returns the exit status. */
static inline int ex_recipe_load(const ex_recipe *recipe, prun_context *context,
                                 const char *program, ex_data *data) {
    ex_data_request request;
    int status;

    memset(&request, 0, sizeof request);
    request.directory = recipe->data;
    request.program = program;
    request.pad_to = 32;
    request.train_images = recipe->images;
    request.test_images = recipe->test_images;
    request.normalization = PRUN_NORMALIZATION_MEAN_STD;
    status = ex_load_data(context, &request, data);
    if (status == 0) {
        ex_cifar_constants(data);
        ex_label_noise(data, recipe->noise, (uint64_t)recipe->label_seed);
    }
    return status;
}

/* How the paper's width experiments train (A.4). */
static inline prun_train_options ex_recipe_training(const ex_recipe *recipe, int64_t seed) {
    prun_train_options options;

    memset(&options, 0, sizeof options);
    options.epochs = recipe->epochs;
    options.batch = recipe->batch;
    options.learning_rate = recipe->lr;
    options.momentum = recipe->momentum;
    options.weight_decay = recipe->decay;
    options.decay = PRUN_DECAY_ALL;
    options.schedule = PRUN_SCHEDULE_MADDOX;
    options.augment.crop_padding = (int32_t)recipe->crop;
    options.augment.flip = (int32_t)recipe->flip;
    options.seed = (uint64_t)seed;
    return options;
}

/* Data and training, for captions. */
static inline void ex_recipe_describe(const ex_recipe *recipe, const ex_data *data, ex_text *text) {
    ex_text_add(text, "%ld images of %s, ", (long)data->train.count, data->name);
    if (recipe->noise > 0) ex_text_add(text, "%g %% of the labels wrong, ", 100 * recipe->noise);
    ex_text_add(text, "%ld epochs, batch %ld, %s", (long)recipe->epochs, (long)recipe->batch,
                recipe->crop > 0 || recipe->flip ? "augmented" : "not augmented");
}

/* ---- networks ------------------------------------------------------------------------------ */

enum { EX_CNN, EX_RESNET18 };

static const char *const ex_arch_names[2] = {"cnn", "resnet18"};
static const char *const ex_arch_labels[2] = {"CNN", "ResNet18"};

static inline prun_arch ex_arch(int arch, int64_t width, int64_t seed, const prun_images *images) {
    prun_arch a;

    memset(&a, 0, sizeof a);
    a.family = arch == EX_CNN ? PRUN_FAMILY_CNN : PRUN_FAMILY_RESNET18;
    a.width = width;
    a.image_channels = images->channels;
    a.image_height = images->height;
    a.image_width = images->width;
    a.classes = images->classes;
    a.seed = (uint64_t)seed;
    return a;
}

/* Time of one forward pass of one image, in multiplications: narrow layers are slower than their
   number of multiplications says, as measured. Only guesses of time depend on it. */
static inline double ex_forward_cost(int arch, int64_t width) {
    const double k = (double)width;

    return arch == EX_CNN ? 55296 * k * (k + 17) : 135168 * k * (k + 7);
}

/* ---- rows ---------------------------------------------------------------------------------- */

/* Columns that say which model a row is, at the start of the key. */
#define EX_RECIPE_KEYS 15
#define EX_RECIPE_KEY_NAMES \
    "arch,data,width,seed,epochs,batch,lr,momentum,weight_decay,crop,flip,label_noise,label_seed," \
    "train_images,test_images"

static inline void ex_recipe_key(const ex_recipe *recipe, const ex_data *data, int arch,
                                 int64_t width, int64_t seed, ex_csv *row) {
    ex_csv_text(row, ex_arch_names[arch]);
    ex_csv_text(row, data->name);
    ex_csv_number(row, (double)width);
    ex_csv_number(row, (double)seed);
    ex_csv_number(row, (double)recipe->epochs);
    ex_csv_number(row, (double)recipe->batch);
    ex_csv_number(row, recipe->lr);
    ex_csv_number(row, recipe->momentum);
    ex_csv_number(row, recipe->decay);
    ex_csv_number(row, (double)recipe->crop);
    ex_csv_number(row, (double)recipe->flip);
    ex_csv_number(row, recipe->noise);
    ex_csv_number(row, (double)recipe->label_seed);
    ex_csv_number(row, (double)data->train.count);
    ex_csv_number(row, (double)data->test.count);
}

/* Why a model failed: the context's message, if it is about that failure. */
static inline const char *ex_reason(const prun_context *context, prun_status status) {
    return context->status == status && *context->message != '\0' ? prun_message(context)
                                                                  : prun_status_string(status);
}

/* Columns at the end of a row: what became of the model, with what, and in how many seconds. */
#define EX_OUTCOME_NAMES "status,version,isa,seconds_training,seconds_measuring"

static inline void ex_outcome(ex_csv *row, const prun_context *context, prun_status status,
                              double training, double measuring) {
    ex_text shown = {NULL, 0, 0};

    ex_text_shown(&shown, status == PRUN_OK ? "ok" : ex_reason(context, status));
    ex_csv_text(row, shown.data);
    ex_text_free(&shown);
    ex_csv_text(row, PRUNABILITY_VERSION);
    ex_csv_text(row, prun_isa());
    ex_csv_number(row, floor(1e3 * training + 0.5) / 1e3);
    ex_csv_number(row, floor(1e3 * measuring + 0.5) / 1e3);
}

/* Says how many models have no row yet. Returns -1 if there is none, otherwise the exit status. */
static inline int ex_study_complete(const ex_study *s) {
    const int64_t missing = ex_study_missing(s);

    if (missing == 0) return -1;
    printf("%ld of %ld models are not there yet: %s\n", (long)missing, (long)s->count,
           s->set->shards > 1 ? "join the shards' rows in models.csv, then --collect"
                              : "run without --collect");
    return 0;
}

/* ---- differences --------------------------------------------------------------------------- */

/* How many standard errors the 95 % interval of a mean reaches to either side: the 0.975 quantile
   of Student's t. Few seeds need far more than two. 0 and fewer degrees of freedom: infinity. */
static inline double ex_student(int64_t freedom) {
    static const double quantile[10] = {12.706, 4.303, 3.182, 2.776, 2.571,
                                        2.447,  2.365, 2.306, 2.262, 2.228};

    if (freedom < 1) return (double)INFINITY;
    /* beyond the table, to 0.002 */
    return freedom <= 10 ? quantile[freedom - 1]
                         : 1.96 + 2.37 / (double)freedom + 2.8 / (double)(freedom * freedom);
}

/* ---- what a study will cost ---------------------------------------------------------------- */

/* Memory in use, and the most there was; blocks carry their size in front. */
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
   measured on a few images. Of several passes the fastest counts: others may have shared the
   processor with somebody, or stood still. Returns the exit status. */
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
    /* At least three, up to 0.3 seconds by the fastest of them: a pause must not end the trial. */
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
    /* From 16 to 32 images memory grew by one block of sixteen. */
    *bytes = most[1] + (most[1] - most[0]) * (double)(batch / 16);
    if (status == PRUN_OK)
        *bytes += 2 * 4 * (double)prun_net_parameter_count(net); /* momentum, gradient */
    free(gradient);
    prun_net_free(net);
    return status == PRUN_OK ? 0 : ex_failure(&context, "a first step");
}

#endif /* TRAINING_H_INCLUDED */
