/* training.h - what the paper's experiments share beyond example.h: labels that are
   wrong on purpose, the recipe of training over widths, and what a study will cost */
#ifndef TRAINING_H_INCLUDED
#define TRAINING_H_INCLUDED

#include "example.h"

/* CIFAR normalized by the constants that the paper's sources use for both sets (A.4). */
static inline void ex_cifar_constants(ex_data *data)
{
    static const float mean[3] = {0.4914f, 0.4822f, 0.4465f}, std[3] = {0.2023f, 0.1994f, 0.2010f};

    if (strncmp(data->name, "cifar", 5) != 0)
        return;
    memcpy(data->train.mean, mean, sizeof mean);
    memcpy(data->train.std, std, sizeof std);
    memcpy(data->test.mean, mean, sizeof mean);
    memcpy(data->test.std, std, sizeof std);
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

/* ---- training ------------------------------------------------------------------------------ */

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
