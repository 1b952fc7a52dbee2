/* double_descent.c - the paper's second experiment (5.4.2, B.1): test loss against width

   Trains the five-layer CNN (or the ResNet18) at many widths with several seeds, measures every
   model, and shows whether the test loss falls, rises and falls again as the network grows, and
   which measures follow it: Figures 1 and 3 (CNN) and 4 (ResNet18), with Kendall's tau of each
   measure. One model per thread; the results do not depend on the number of threads.

       cc -O2 -fopenmp examples/double_descent.c -lm -o double_descent && ./double_descent
       ./double_descent --arch resnet18
       ./double_descent --full --data DIR                 (CIFAR-100: a cluster job)
*/
#include "example.h"
#define PRUNABILITY_IMPLEMENTATION
#include "../prunability.h"

#define MAX_Z 4
#define MAX_COLUMNS 64

/* What is known of a model. Measures of the library's table have their names there; for each z
   five columns of effective dimensionality follow at the end. */
enum {
    TRAIN_LOSS,
    TRAIN_ERROR,
    TEST_LOSS,
    TEST_ERROR,
    WEIGHTS,      /* k: what can be pruned, and the size of the Hessian */
    SOTL_END,     /* from losses evaluated at the end of each epoch */
    HESSIAN_MAX,  /* largest eigenvalue */
    OWN_COLUMNS
};

static const char *const own_names[OWN_COLUMNS] = {
    "train_loss", "train_error", "test_loss", "test_error",
    "weights", "sum_of_evaluated_losses", "hessian_max"};

enum {
    PRUNABILITY,
    PRUNABILITY_RANDOM,
    FLATNESS,
    SOTL,
    FROBENIUS,
    TWO_NORMS,
    TWO_NORMS_PRUNED,
    PARAMETERS,
    PARAMETERS_PRUNED,
    MARGIN_LOWER, /* and four more */
    LIBRARY_COLUMNS = MARGIN_LOWER + 5
};

static const char *const library_names[LIBRARY_COLUMNS] = {
    "prunability", "prunability_random", "perturbation_flatness", "sum_of_train_losses",
    "sum_of_frobenius", "sum_of_two_norms", "sum_of_two_norms_pruned", "parameters",
    "pruned_parameters", "margin_output_lower", "margin_output_q1", "margin_output_median",
    "margin_output_q3", "margin_output_upper"};

#define LIBRARY OWN_COLUMNS
#define EFFECTIVE (OWN_COLUMNS + LIBRARY_COLUMNS)

enum { RITZ, RITZ_PER_K, WHOLE, WHOLE_ERROR, WHOLE_PER_K, PER_Z };

static const char *const effective_names[PER_Z] = {"n_eff", "n_eff_per_k", "n_eff_whole",
                                                   "n_eff_whole_error", "n_eff_whole_per_k"};

typedef struct settings {
    ex_study_settings common;
    ex_choice arch;
    ex_ints widths, seeds;
    ex_reals z;
    int64_t epochs, batch, images, test_images, crop, flip, label_seed, classes, save_every;
    int64_t grid, repetitions, draws, hessian_images, steps, probes;
    double lr, momentum, decay, noise, beta, precision;
    const char *data;
} settings;

typedef struct study {
    settings set;
    ex_data data;
    ex_study rows;
    const char *data_name;
    ex_text names;
    int64_t columns; /* values of a row between its key and its status */
} study;

/* ---- one model ----------------------------------------------------------------------------- */

typedef struct model {
    study *s;
    prun_context context;
    int64_t width, seed;
    prun_net *net;
    double value[MAX_COLUMNS];
    double train_seconds, measure_seconds;
    double epoch_work;
} model;

static int64_t model_width(const study *s, int64_t number)
{
    return s->set.widths.value[number / s->set.seeds.count];
}

static int64_t model_seed(const study *s, int64_t number)
{
    return s->set.seeds.value[number % s->set.seeds.count];
}

/* Multiplications of one forward pass of one 32x32 image (close enough for a guess of time). */
static double forward_cost(const study *s, int64_t width)
{
    const double k = (double)width;

    return s->set.arch.value == 0 ? 55296 * k * k + 9216 * k : 135168 * k * k + 9216 * k;
}

/* Forward passes over the training images that measuring a model takes, about: random pruning and
   noise end early mostly; a Hessian product costs eight forward passes. */
static double measuring_passes(const settings *set, double images)
{
    const double hessian = set->hessian_images > 0 ? (double)set->hessian_images : images;

    return 8 + 6 * (double)set->repetitions + 8 * (double)set->draws +
           8 * (double)set->steps * (double)set->probes * hessian / images;
}

/* In forward passes of an image, in multiplications. */
static double study_work(void *user, int64_t number)
{
    const study *s = (const study *)user;
    const double images = (double)s->data.train.count;

    return forward_cost(s, model_width(s, number)) * images *
           (3 * (double)s->set.epochs + measuring_passes(&s->set, images));
}

static int epoch_done(void *user, const prun_epoch *epoch)
{
    model *m = (model *)user;

    (void)epoch;
    ex_progress_add(&m->s->rows.progress, m->epoch_work);
    return 0;
}

static prun_train_options recipe(const settings *set, model *m)
{
    prun_train_options options;

    memset(&options, 0, sizeof options);
    options.epochs = set->epochs;
    options.batch = set->batch;
    options.learning_rate = set->lr;
    options.momentum = set->momentum > 0 ? set->momentum : -1; /* the library's 0 is its default */
    options.weight_decay = set->decay;
    options.decay = PRUN_DECAY_ALL;
    options.schedule = PRUN_SCHEDULE_MADDOX;
    options.augment.crop_padding = (int32_t)set->crop;
    options.augment.flip = (int32_t)set->flip;
    options.seed = (uint64_t)m->seed;
    options.evaluate = 1;
    options.on_epoch = epoch_done;
    options.user = m;
    return options;
}

static prun_status build(const study *s, model *m)
{
    prun_arch arch;

    memset(&arch, 0, sizeof arch);
    arch.family = s->set.arch.value == 0 ? PRUN_CNN : PRUN_RESNET18;
    arch.width = m->width;
    arch.channels = s->data.train.channels;
    arch.height = s->data.train.height;
    arch.width_pixels = s->data.train.width;
    arch.classes = s->data.train.classes;
    arch.seed = (uint64_t)m->seed;
    return prun_net_family(&m->context, &arch, &m->net);
}

static prun_status test(model *m)
{
    const prun_images *images = &m->s->data.test;
    double sum = 0;
    int64_t errors = 0;
    const prun_status status = prun_net_loss(m->net, images, NULL, images->count, NULL, &sum,
                                             &errors);

    m->value[TEST_LOSS] = sum / (double)images->count;
    m->value[TEST_ERROR] = (double)errors / (double)images->count;
    return status == PRUN_OK && !isfinite(m->value[TEST_LOSS]) ? PRUN_ERR_NONFINITE : status;
}

/* The library's measures. One that is undefined for this model (no training image is classified
   correctly: no margins) stays NaN, which is an empty cell. */
static prun_status library_measures(model *m, const prun_objective *objective,
                                    const prun_epoch *history)
{
    const settings *set = &m->s->set;
    prun_measure_options options;
    prun_measurement measurement;
    prun_measure_result result;
    prun_status status;
    int i;

    memset(&options, 0, sizeof options);
    options.beta = set->beta;
    options.grid = set->grid;
    options.repetitions = set->repetitions;
    options.draws = set->draws;
    options.precision = set->precision;
    options.seed = (uint64_t)m->seed;
    options.history = history;
    options.epochs = set->epochs;
    options.seconds = ex_seconds;
    status = prun_measure_begin(objective, &options, &measurement);
    if (status != PRUN_OK)
        return status;
    m->value[TRAIN_LOSS] = measurement.loss;
    m->value[TRAIN_ERROR] = measurement.error;
    m->value[WEIGHTS] = (double)measurement.weights;
    for (i = 0; i < LIBRARY_COLUMNS && status == PRUN_OK; i++) {
        status = prun_measure(&measurement, prun_measure_find(library_names[i]), &result);
        if (status == PRUN_OK)
            m->value[LIBRARY + i] = result.value;
        else if (status == PRUN_ERR_MISSING || status == PRUN_ERR_NONFINITE)
            status = PRUN_OK;
    }
    prun_measure_end(&measurement);
    return status;
}

static prun_status curvature(model *m, const prun_objective *objective)
{
    const settings *set = &m->s->set;
    prun_hessian_options options;
    prun_spectrum spectrum;
    prun_effective_dimension n;
    prun_status status;
    int i;

    memset(&options, 0, sizeof options);
    options.samples = set->hessian_images;
    options.steps = set->steps;
    options.probes = set->probes;
    options.seed = (uint64_t)m->seed;
    status = prun_hessian_spectrum(objective, &options, &spectrum);
    for (i = 0; i < set->z.count && status == PRUN_OK; i++) {
        double *value = &m->value[EFFECTIVE + i * PER_Z];

        status = prun_effective_dimensionality(&spectrum, set->z.value[i], &n);
        value[RITZ] = n.ritz;
        value[RITZ_PER_K] = n.ritz_fraction;
        value[WHOLE] = n.estimate.value;
        value[WHOLE_ERROR] = n.estimate.standard_error;
        value[WHOLE_PER_K] = n.fraction.value;
    }
    if (status == PRUN_OK)
        m->value[HESSIAN_MAX] = spectrum.values[spectrum.steps - 1];
    prun_spectrum_free(&spectrum);
    return status;
}

static prun_status measure(model *m, const prun_epoch *history)
{
    const settings *set = &m->s->set;
    prun_net_data data;
    prun_objective objective;
    int64_t e;
    prun_status status = test(m);

    data.net = m->net;
    data.images = &m->s->data.train;
    if (status == PRUN_OK)
        status = prun_net_objective(&data, &objective);
    if (status == PRUN_OK)
        status = library_measures(m, &objective, history);
    if (status == PRUN_OK && set->steps > 0)
        status = curvature(m, &objective);
    m->value[SOTL_END] = 0;
    for (e = 0; e < set->epochs; e++)
        m->value[SOTL_END] -= history[e].evaluated_loss;
    return status;
}
