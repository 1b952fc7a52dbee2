/* recipe.h - shared by the experiments over widths: training options, columns, intervals */
#ifndef RECIPE_H_INCLUDED
#define RECIPE_H_INCLUDED

#include "study.h"

/* ---- data and training --------------------------------------------------------------------- */

/* Data and training, as chosen by the user. */
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
#define EX_ANY_SEED 9007199254740992.0 /* 2^53: a double, as read from a CSV file, still holds it */

/* Entries of an option table for a recipe and its defaults; EX_KEEP_OPTION comes last there. */
/* clang-format off */
#define EX_RECIPE_OPTIONS(r, d) \
    {"seeds", EX_INT_LIST, &(r)->seeds, (d)->seeds, 0, EX_ANY_SEED, \
     "one model of each network and training per seed"}, \
    {"epochs", EX_INT, &(r)->epochs, (d)->epochs, 1, 1e6, "epochs of training"}, \
    {"batch", EX_INT, &(r)->batch, (d)->batch, 2, EX_MANY, "images per step"}, \
    {"lr", EX_REAL, &(r)->lr, "0.01", 1e-12, 1e6, \
     "learning rate: constant for half the epochs, then falls to 1 % of it"}, \
    {"momentum", EX_REAL, &(r)->momentum, "0.9", 0, 0.9999, "momentum of SGD"}, \
    {"decay", EX_REAL, &(r)->decay, "0.0001", 0, 1e3, "weight decay, on all parameters"}, \
    {"crop", EX_INT, &(r)->crop, (d)->crop, 0, 16, "augmentation: padding of random crops"}, \
    {"flip", EX_INT, &(r)->flip, (d)->flip, 0, 1, "augmentation: 1: random mirroring"}, \
    {"label-noise", EX_REAL, &(r)->noise, (d)->noise, 0, 1, "share of wrong training labels"}, \
    {"label-seed", EX_INT, &(r)->label_seed, "1", 0, EX_ANY_SEED, "seed of the wrong labels"}, \
    {"images", EX_INT, &(r)->images, (d)->images, 0, EX_MANY, "first training images; 0: all"}, \
    {"test-images", EX_INT, &(r)->test_images, (d)->test_images, 0, EX_MANY, \
     "first test images; 0: all"}, \
    {"data", EX_TEXT, &(r)->data, EX_DATA_DIRECTORY, 0, 0, \
     "directory of CIFAR binary or IDX files"}
/* clang-format on */

/* clang-format off */
#define EX_KEEP_OPTION(r, d) \
    {"checkpoint", EX_INT, &(r)->save_every, (d)->save_every, 0, 1e6, \
     "epochs between checkpoints of a training; 0: none"}
/* clang-format on */

/* Call after ex_study_check. Returns -1 to continue, otherwise the exit status. */
static inline int ex_recipe_check(const ex_recipe *recipe, const ex_study_settings *study) {
    if (study->preset == EX_FULL && strcmp(recipe->data, EX_DATA_DIRECTORY) == 0) {
        ex_error("--full requires --data, the directory of CIFAR-100's binary files");
        return EX_USAGE;
    }
    return -1;
}

/* Loads images and labels. The context must live as long as they do. Returns the exit status. */
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

/* Checks --hessian-images before the work. Returns the exit status. */
static inline int ex_recipe_hessian(int64_t hessian_images, const ex_data *data) {
    if (hessian_images <= data->train.count) return 0;
    ex_error("--hessian-images %ld: there are only %ld training images; give fewer, or 0 for all",
             (long)hessian_images, (long)data->train.count);
    return EX_USAGE;
}

/* A train loss above this multiple of that of guessing counts as divergence. Training itself fails
   only when a weight or loss is not finite, but a loss of 1e35 would spoil every mean. */
#define EX_MOST_LOSS 10.0

static inline double ex_most_loss(const ex_data *data) {
    return EX_MOST_LOSS * log((double)data->train.classes);
}

/* Training options of the paper's width experiments (A.4). */
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

/* Describes data and training, for captions. */
static inline void ex_recipe_describe(const ex_recipe *recipe, const ex_data *data, ex_text *text) {
    ex_text_add(text, "%ld images of %s, ", (long)data->train.count, data->name);
    if (recipe->noise > 0) ex_text_add(text, "%g %% of the labels wrong, ", 100 * recipe->noise);
    ex_text_add(text, "%ld epoch%s, batch %ld, %s", (long)recipe->epochs, ex_plural(recipe->epochs),
                (long)recipe->batch,
                recipe->crop > 0 || recipe->flip ? "augmented" : "not augmented");
}

/* ---- rows ---------------------------------------------------------------------------------- */

/* Columns that identify a model, at the start of the key. */
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

/* Prints what will be trained. */
static inline void ex_recipe_announce(const ex_recipe *recipe, const ex_data *data,
                                      const char *networks) {
    printf("%s, %d seed%s each; %s: %ld training and %ld test images; %ld epoch%s, batch %ld; "
           "kernels: %s\n",
           networks, recipe->seeds.count, ex_plural(recipe->seeds.count), data->name,
           (long)data->train.count, (long)data->test.count, (long)recipe->epochs,
           ex_plural(recipe->epochs), (long)recipe->batch, prun_isa());
    fflush(stdout);
}

/* Columns at the end of a row: outcome, versions and times of a model. */
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

/* ---- differences --------------------------------------------------------------------------- */

/* Half the width of a mean's 95 % interval in standard errors: the 0.975 quantile of Student's t.
   It is far above 2 for few seeds, and infinite without degrees of freedom. */
static inline double ex_student(int64_t freedom) {
    static const double quantile[10] = {12.706, 4.303, 3.182, 2.776, 2.571,
                                        2.447,  2.365, 2.306, 2.262, 2.228};

    if (freedom < 1) return (double)INFINITY;
    /* an approximation beyond the table, to within 0.002 */
    return freedom <= 10 ? quantile[freedom - 1]
                         : 1.96 + 2.37 / (double)freedom + 2.8 / (double)(freedom * freedom);
}

#endif /* RECIPE_H_INCLUDED */
