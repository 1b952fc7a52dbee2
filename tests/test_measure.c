/* test_measure.c - sections MEASURE and MEASURING: all measures, against closed forms and on real
   networks, with inputs that are missing or results that are undefined; gradient noise. */
#include "implementation.h" /* for the internals of measurements and networks */
#include "fixed.h"
#include "zoo.h"

#include <stdlib.h>

/* ---- an objective of fixed weights, losses and logits ---------------------------------------- */

static double value_of(const prun_measure_result *results, const char *name) {
    int32_t number = prun_measure_find(name);
    if (!CHECK(number >= 0)) return NAN;
    if (results[number].status != PRUN_OK) printf("%s: %s\n", name, results[number].message);
    return results[number].value;
}

static prun_measure_result *room_for_results(void) {
    int64_t count;
    prun_measures(&count);
    return (prun_measure_result *)calloc((size_t)count, sizeof(prun_measure_result));
}

/* ---- closed forms ---------------------------------------------------------------------------- */

static void two_layers_by_hand(void) {
    static float w1[] = {1, 2, 0, 0, 1, -1}, w2[] = {2, 1, 1, -1};
    static float i1[] = {.5f, 1, 0, 0, 1, 0}, i2[] = {1, 1, 0, -1};
    static const float logits[] = {.5f, 0};
    static const int32_t labels[] = {0};
    static const struct {
        const char *name;
        double value;
    } expected[] = {{"parameter_norm", 14},
                    {"frobenius_distance", 4.25},
                    {"spectral_distance", 3.25},
                    {"frobenius_over_spectral", 2.486730059541781},
                    {"prod_of_frobenius", 49},
                    {"sum_of_frobenius", 14},
                    {"prod_of_spectral", 31.81665382639199},
                    {"sum_of_spectral", 11.281250609111028},
                    {"prod_of_spectral_over_margin", 127.26661530556795},
                    {"sum_of_spectral_over_margin", 22.562501218222057},
                    {"prod_of_frobenius_over_margin", 196},
                    {"sum_of_frobenius_over_margin", 28},
                    {"spectral_init", 95.72498073958799},
                    {"spectral_orig", 316.47771785649593},
                    {"inverse_margin", 4},
                    {"l2_norm", 3.7416573867739413},
                    {"l2_distance", 2.0615528128088303},
                    {"sum_of_two_norms", 5.2915026221291812},
                    {"sum_of_spectral_norms", 4.752265380515173},
                    {"parameters", 10},
                    {"parameters_jiang", 14}};
    fixed f;
    prun_objective o;
    prun_measure_result *r = room_for_results();
    size_t i;
    memset(&f, 0, sizeof f);
    f.tensors[0] = matrix(w1, 2, 3);
    f.tensors[1] = matrix(w2, 2, 2);
    f.initial[0] = matrix(i1, 2, 3);
    f.initial[1] = matrix(i2, 2, 2);
    f.logits = logits;
    f.samples = 1;
    f.classes = 2;
    o = fixed_objective(&f, 2);
    o.initial = f.initial;
    o.labels = labels;
    CHECK_STATUS(prun_measure_all(&o, NULL, NULL, r), PRUN_OK);
    for (i = 0; i < sizeof expected / sizeof *expected; i++)
        if (!CHECK_CLOSE(value_of(r, expected[i].name), expected[i].value, 0, 1e-10))
            printf("  %s\n", expected[i].name);
    CHECK_CLOSE(prun_sum_of_frobenius(f.tensors, 2), 14, 0, 1e-12);
    free(r);
}

/* Ten samples of three classes; logits times ten are exact in float. */
static void margins_by_hand(void) {
    static const float tens[] = {20, 5,  -10, 2,  1,  0, 10, 30, 25, -10, 0,  40, 0,  3, 2,
                                 50, 10, 10,  10, 20, 0, 0,  0,  10, 20,  19, 0,  30, 0, 0};
    static const int32_t labels[] = {0, 0, 1, 2, 2, 0, 1, 2, 0, 0};
    static const double expected[] = {15, 1, 5, 40, -1, 40, 10, 10, 1, 30};
    static const double features[] = {.1, .5, 1, 3, 4};
    static float w[] = {1};
    double positive[] = {-.1, .1, .1, .5, 1, 1, 1.5, 3, 4, 4}, got[5], losses[10], entropy = 0;
    float ones[30];
    fixed f;
    prun_objective o;
    prun_measurement *m = NULL;
    prun_measure_result r;
    int i, j;
    memset(&f, 0, sizeof f);
    f.tensors[0] = matrix(w, 1, 1);
    f.samples = 10;
    f.classes = 3;
    f.logits = tens;
    o = fixed_objective(&f, 1);
    o.labels = labels;
    if (!CHECK_STATUS(prun_measurement_create(&o, NULL, &m), PRUN_OK)) return;
    for (i = 0; i < 10; i++) CHECK(prun_measurement_margins(m)[i] == expected[i]);
    CHECK(m->margin == -1);
    CHECK_STATUS(prun_measure(m, "inverse_margin", &r), PRUN_OK);
    CHECK(r.value == HUGE_VAL && strstr(r.message, "not positive") != NULL);
    for (i = 0; i < 5; i++) {
        static const char *const names[] = {"margin_output_lower", "margin_output_q1",
                                            "margin_output_median", "margin_output_q3",
                                            "margin_output_upper"};
        CHECK_STATUS(prun_measure(m, names[i], &r), PRUN_OK);
        CHECK_CLOSE(r.value, log(10 * features[i]), 1e-12, 0);
    }
    prun_measurement_free(m);
    CHECK_STATUS(prun_margin_features(&test_context, positive, 10, got), PRUN_OK);
    for (i = 0; i < 5; i++) CHECK_CLOSE(got[i], log(features[i]), 1e-12, 0);
    CHECK_STATUS(prun_margin_features(&test_context, positive, 1, got), PRUN_ERR_MISSING);
    /* Cross-entropy and entropy of the logits themselves. */
    for (i = 0; i < 30; i++) ones[i] = tens[i] / 10;
    for (i = 0; i < 10; i++) {
        double top = 0;
        losses[i] = prun_cross_entropy(ones + 3 * i, 3, labels[i], NULL);
        for (j = 0; j < 3; j++) top += exp((double)ones[3 * i + j]);
        for (j = 0; j < 3; j++) {
            double p = exp((double)ones[3 * i + j]) / top;
            entropy += p * log(p) / 10;
        }
    }
    f.logits = ones;
    f.losses = losses;
    o = fixed_objective(&f, 1);
    o.labels = labels;
    if (!CHECK_STATUS(prun_measurement_create(&o, NULL, &m), PRUN_OK)) return;
    CHECK_STATUS(prun_measure(m, "train_loss", &r), PRUN_OK);
    CHECK_CLOSE(r.value, 0.4698859264097896, 0, 1e-7);
    CHECK_STATUS(prun_measure(m, "negative_entropy", &r), PRUN_OK);
    CHECK_CLOSE(r.value, -0.7063227465504474, 0, 1e-7);
    CHECK_CLOSE(r.value, entropy, 0, 1e-12);
    prun_measurement_free(m);
}

/* Four weights, three samples, logistic loss: losses at every kept count, and the global answer. */
static prun_status logistic_loss(const prun_objective *objective, const int64_t *index, int64_t n,
                                 double *losses, double *sum, int64_t *errors) {
    static const double x[3][4] = {{1, 2, 1, 2}, {2, 2, 0, -1}, {1, 2, 2, -2}};
    static const double sign[3] = {1, 1, -1};
    const float *w = (const float *)objective->user;
    int64_t i, k;
    *sum = 0;
    if (errors) *errors = 0;
    for (i = 0; i < n; i++) {
        const int64_t s = index ? index[i] : i;
        double z = 0, loss;
        for (k = 0; k < 4; k++) z += sign[s] * (double)w[k] * x[s][k];
        loss = log1p(exp(-z));
        if (losses) losses[i] = loss;
        *sum += loss;
        if (errors) *errors += z <= 0;
    }
    return PRUN_OK;
}

static prun_objective logistic_objective(float *w, prun_tensor *tensor) {
    prun_objective o;
    memset(&o, 0, sizeof o);
    *tensor = matrix(w, 1, 4);
    o.user = w;
    o.context = &test_context;
    o.tensors = tensor;
    o.tensor_count = 1;
    o.samples = 3;
    o.classes = 2;
    o.nonnegative = 1;
    o.loss = logistic_loss;
    return o;
}

static void prunability_by_hand(void) {
    static float w[] = {2, -1, .5f, .25f};
    static const double curve[] = {0.693147180559945, 0.757335316667918, 0.504407457387621,
                                   0.638088894247101, 0.482520940712139};
    prun_tensor t;
    prun_objective o = logistic_objective(w, &t);
    prun_prune_options options;
    prun_measure_options mo;
    prun_prunability found;
    prun_measure_result *r = room_for_results();
    double losses[5];
    int i;
    memset(&options, 0, sizeof options);
    memset(&mo, 0, sizeof mo);
    options.grid = mo.grid = 4;
    CHECK_STATUS(prun_loss_curve(&o, &options, losses, NULL), PRUN_OK);
    for (i = 0; i < 5; i++) CHECK_CLOSE(losses[i], curve[i], 0, 1e-12);
    CHECK_STATUS(prun_prunability_search(&o, &options, &found), PRUN_OK);
    CHECK_CLOSE(found.answer[0].threshold, 0.5307730347833528, 0, 1e-12);
    CHECK_STATUS(prun_measure_all(&o, NULL, &mo, r), PRUN_OK);
    CHECK(value_of(r, "prunability") == 0.5);
    CHECK(value_of(r, "pruned_parameters") == 2);
    CHECK_CLOSE(value_of(r, "sum_of_two_norms_pruned"), sqrt(5), 0, 1e-12);
    CHECK_CLOSE(value_of(r, "sum_of_two_norms"), sqrt(5.3125), 0, 1e-12);
    CHECK(w[0] == 2 && w[1] == -1 && w[2] == .5f && w[3] == .25f);
    free(r);
}

/* A loss that does not count wrong answers, or stores a number that is none. */
static int64_t uncounted = PRUN_WRONG_UNKNOWN;
static prun_status uncounted_loss(const prun_objective *objective, const int64_t *index, int64_t n,
                                  double *losses, double *sum, int64_t *errors) {
    const prun_status status = logistic_loss(objective, index, n, losses, sum, NULL);
    if (errors) *errors = uncounted;
    return status;
}

static prun_objective uncounted_objective(float *w, prun_tensor *tensor, prun_tensor *initial) {
    static float start[] = {1, 1, 1, 1};
    prun_objective o = logistic_objective(w, tensor);
    *initial = matrix(start, 1, 4);
    o.initial = initial;
    o.loss = uncounted_loss;
    uncounted = PRUN_WRONG_UNKNOWN;
    return o;
}

/* A shape without a rank would be a single weight. */
static void shapes_need_a_rank(void) {
    float w[] = {2, -1, .5f, .25f};
    prun_tensor tensor, initial;
    prun_objective o = uncounted_objective(w, &tensor, &initial);
    prun_prunability found;
    tensor.rank = 0;
    CHECK_STATUS(prun_prunability_search(&o, NULL, &found), PRUN_ERR_SHAPE);
    CHECK(strstr(test_context.message, "its rank, the number of axes") != NULL);
    tensor.shape[1] = 0; /* one weight: valid */
    CHECK_STATUS(prun_prunability_search(&o, NULL, &found), PRUN_OK);
}

/* Where wrong answers are not counted, error rates are NaN or refused; losses are as ever. */
static void wrong_answers_may_be_unknown(void) {
    static const double radii[] = {0.1, 0.2};
    float w[] = {2, -1, .5f, .25f};
    prun_tensor tensor, initial;
    prun_objective o = uncounted_objective(w, &tensor, &initial);
    prun_perturb_options noise;
    prun_radius radius;
    double losses[101], rates[101], plain[101];
    int i;
    memset(&noise, 0, sizeof noise);
    CHECK_STATUS(prun_loss_curve(&o, NULL, losses, rates), PRUN_OK);
    CHECK_STATUS(prun_loss_curve(&o, NULL, plain, NULL), PRUN_OK);
    for (i = 0; i <= 100; i++) CHECK(isnan(rates[i]) && losses[i] == plain[i]);
    CHECK_STATUS(prun_perturbation_curve(&o, radii, 2, NULL, losses, NULL, rates), PRUN_OK);
    for (i = 0; i < 2; i++) CHECK(isnan(rates[i]) && losses[i] > 0);
    CHECK_STATUS(prun_perturbation_radius(&o, &noise, &radius), PRUN_OK);
    noise.displacement = 0.1;
    CHECK_STATUS(prun_perturbation_radius(&o, &noise, &radius), PRUN_ERR_UNSUPPORTED);
    CHECK_STATUS(prun_dropout_error(&o, .5, .1, NULL, rates, NULL), PRUN_ERR_UNSUPPORTED);
    CHECK_STATUS(prun_reinitialization_errors(&o, rates), PRUN_ERR_UNSUPPORTED);
    CHECK_STATUS(prun_criticality(&o, NULL, rates), PRUN_ERR_UNSUPPORTED);
    CHECK(strstr(test_context.message, "counts no wrong answers") != NULL);
    CHECK(w[0] == 2 && w[1] == -1 && w[2] == .5f && w[3] == .25f);
}

static void measures_of_unknown_error_rates(void) {
    static const char *const names[] = {"dropout_bound", "reinitialization_error",
                                        "network_criticality"};
    float w[] = {2, -1, .5f, .25f};
    prun_tensor tensor, initial;
    prun_objective o = uncounted_objective(w, &tensor, &initial);
    prun_measure_result *r = room_for_results();
    prun_measurement *m;
    int i;
    CHECK_STATUS(prun_measure_all(&o, NULL, NULL, r), PRUN_OK);
    for (i = 0; i < 3; i++) {
        const prun_measure_result *one = &r[prun_measure_find(names[i])];
        CHECK(one->status == PRUN_ERR_UNSUPPORTED && isnan(one->value));
        CHECK(strstr(one->message, "counts no wrong answers") != NULL);
    }
    CHECK(value_of(r, "prunability") > 0);
    free(r);
    if (!CHECK_STATUS(prun_measurement_create(&o, NULL, &m), PRUN_OK)) return;
    CHECK(isnan(prun_measurement_error_rate(m)) && prun_measurement_loss(m) > 0);
    prun_measurement_free(m);
    for (i = -2; i <= 4; i += 6) { /* neither a number of wrong answers nor unknown */
        uncounted = i;
        CHECK_STATUS(prun_measurement_create(&o, NULL, &m), PRUN_ERR_CALLBACK);
        CHECK(strstr(test_context.message, "wrong answers in 3 samples") != NULL);
    }
}

static void history_by_hand(void) {
    static float w[] = {1};
    static const double losses[] = {2, .5, .1, .05, .01, .005};
    prun_epoch history[6];
    prun_measure_options options;
    prun_measure_result *r = room_for_results();
    fixed f;
    prun_objective o;
    int i;
    memset(&f, 0, sizeof f);
    memset(&options, 0, sizeof options);
    memset(history, 0, sizeof history);
    f.tensors[0] = matrix(w, 1, 1);
    o = fixed_objective(&f, 1);
    for (i = 0; i < 6; i++) {
        history[i].loss = losses[i];
        history[i].steps = 10 * (i + 1);
        history[i].gradient_noise = i ? NAN : .25;
    }
    options.history = history;
    options.epochs = 6;
    CHECK_STATUS(prun_measure_all(&o, NULL, &options, r), PRUN_OK);
    CHECK_CLOSE(value_of(r, "sum_of_train_losses"), -2.665, 0, 1e-12);
    CHECK(value_of(r, "steps_to_0.1") == 30);
    CHECK(value_of(r, "steps_0.1_to_0.01") == 20);
    CHECK(value_of(r, "gradient_noise_first") == .25);
    options.epochs = 2;
    history[0].gradient_noise = NAN;
    CHECK_STATUS(prun_measure_all(&o, NULL, &options, r), PRUN_OK);
    CHECK(value_of(r, "steps_to_0.1") == HUGE_VAL);
    CHECK(value_of(r, "steps_0.1_to_0.01") == HUGE_VAL);
    CHECK(r[prun_measure_find("gradient_noise_first")].status == PRUN_ERR_MISSING);
    for (i = 0; i < 6; i++) history[i].steps = 0; /* a list of losses alone */
    options.epochs = 6;
    CHECK_STATUS(prun_measure_all(&o, NULL, &options, r), PRUN_OK);
    CHECK_CLOSE(value_of(r, "sum_of_train_losses"), -2.665, 0, 1e-12);
    CHECK(r[prun_measure_find("steps_to_0.1")].status == PRUN_ERR_MISSING);
    CHECK(r[prun_measure_find("steps_0.1_to_0.01")].status == PRUN_ERR_MISSING);
    free(r);
}

/* ---- gradient noise -------------------------------------------------------------------------- */

static prun_status noisy_gradient(const prun_objective *objective, const int64_t *index, int64_t n,
                                  float *gradient, double *sum) {
    int64_t i, k;
    (void)objective->user;
    (void)sum;
    for (k = 0; k < 8; k++) {
        double total = 0;
        for (i = 0; i < n; i++)
            total += 3 * prun_random_normal(1, (uint64_t)k, (uint64_t)(index ? index[i] : i));
        gradient[k] = (float)total;
    }
    return PRUN_OK;
}

/* Per-sample gradients of variance 9: a batch of 16 has 9/16. */
static void gradient_noise_of_known_variance(void) {
    static float w[8];
    enum { SEEDS = 100 };
    prun_tensor t = matrix(w, 1, 8);
    prun_objective o;
    double sum = 0, square = 0, told = 0, truth = 9.0 / 16;
    int seed;
    memset(&o, 0, sizeof o);
    o.context = &test_context;
    o.tensors = &t;
    o.tensor_count = 1;
    o.samples = 20000;
    o.gradient = noisy_gradient;
    for (seed = 0; seed < SEEDS; seed++) {
        double v, e;
        CHECK_STATUS(prun_gradient_noise(&o, 16, 10, (uint64_t)seed, &v, &e), PRUN_OK);
        sum += v;
        square += v * v;
        told += e;
    }
    square = sqrt(square / SEEDS - sum / SEEDS * (sum / SEEDS));
    CHECK_CLOSE(sum / SEEDS, truth, 4 * square / sqrt(SEEDS), 0);
    CHECK_CLOSE(square, truth * sqrt(2.0 / 80), 0, 0.25);
    CHECK_CLOSE(told / SEEDS, square, 0, 0.25);
    o.samples = 40; /* fewer than the pairs need: every round is reshuffled */
    CHECK_STATUS(prun_gradient_noise(&o, 16, 10, 1, &sum, &told), PRUN_OK);
    CHECK(told > 0.02 * sum);
    CHECK_STATUS(prun_gradient_noise(&o, 0, 10, 1, &sum, NULL), PRUN_ERR_ARGUMENT);
    o.gradient = NULL;
    CHECK_STATUS(prun_gradient_noise(&o, 16, 10, 1, &sum, NULL), PRUN_ERR_UNSUPPORTED);
}

/* Variance of a batch of independent draws, from all gradients of single samples. */
static double variance_by_hand(const prun_objective *o, int64_t parameters, int64_t batch) {
    float *g = (float *)malloc((size_t)parameters * sizeof *g);
    double *sum = (double *)calloc((size_t)parameters, sizeof *sum), result = 0;
    double *square = (double *)calloc((size_t)parameters, sizeof *square);
    int64_t s, i;
    if (!g || !sum || !square) abort();
    for (s = 0; s < o->samples; s++) {
        CHECK_STATUS(o->gradient(o, &s, 1, g, NULL), PRUN_OK);
        for (i = 0; i < parameters; i++) {
            sum[i] += (double)g[i];
            square[i] += (double)g[i] * (double)g[i];
        }
    }
    for (i = 0; i < parameters; i++) {
        const double n = (double)o->samples, mean = sum[i] / n;
        result += (square[i] / n - mean * mean) / (double)(batch * parameters);
    }
    free(g), free(sum), free(square);
    return result;
}

/* Batches from much smaller than the set to larger than it: the mean over seeds is within four
   standard errors of the brute-force value, and these errors are small. */
static void gradient_noise_of_batches_of_any_size(void) {
    static const int64_t sets[] = {2, 3, 12, 33}, batches[] = {1, 2, 5, 11, 12, 16, 17, 33, 128};
    enum { SEEDS = 150 };
    size_t a, b;
    for (a = 0; a < sizeof sets / sizeof *sets; a++) {
        dataset p = pictures(sets[a], 2, 9, 8, 3);
        prun_net *net = zoo(1);
        prun_objective o;
        double one;
        CHECK_STATUS(prun_net_objective(net, &p.images, &o), PRUN_OK);
        for (b = 0; b < sizeof batches / sizeof *batches; b++) {
            const double want = variance_by_hand(&o, prun_net_parameter_count(net), batches[b]);
            double sum = 0, square = 0, error;
            int seed;
            for (seed = 0; seed < SEEDS; seed++) {
                double v;
                CHECK_STATUS(prun_gradient_noise(&o, batches[b], 2, (uint64_t)seed, &v, NULL),
                             PRUN_OK);
                sum += v;
                square += v * v;
            }
            sum /= SEEDS;
            error = sqrt(fmax(square / SEEDS - sum * sum, 0) / SEEDS) + 1e-4 * want;
            if (!CHECK(fabs(sum - want) < 4 * error && error < .1 * want))
                printf("  %d of %d samples: %g +- %g, %g wanted\n", (int)batches[b], (int)sets[a],
                       sum, error, want);
        }
        o.samples = 1;
        CHECK_STATUS(prun_gradient_noise(&o, 4, 2, 0, &one, NULL), PRUN_ERR_MISSING);
        CHECK(strstr(test_context.message, "one sample") != NULL);
        prun_net_free(net);
        free_set(&p);
    }
}

/* ---- the table as a whole -------------------------------------------------------------------- */

static void table_is_sound(void) {
    int64_t count, i, k;
    const prun_measure_info *info = prun_measures(&count);
    CHECK(count > 70);
    for (i = 0; i < count; i++) {
        CHECK(prun_measure_find(info[i].name) == i); /* also: no name twice */
        CHECK(info[i].source[0] && info[i].what[0]);
        CHECK(info[i].direction >= -1 && info[i].direction <= 1);
        for (k = 0; info[i].name[k]; k++)
            CHECK(strchr("abcdefghijklmnopqrstuvwxyz0123456789_.", info[i].name[k]) != NULL);
    }
    CHECK(prun_measure_find("no such measure") == -1);
}

/* An objective that only has weights: measures that need more say so, the others have a value. */
static void missing_levels_are_named(void) {
    static float w[] = {1, 2, 3, 4};
    fixed f;
    prun_objective o;
    prun_measure_options options;
    prun_measure_result *r = room_for_results();
    int64_t count, i;
    const prun_measure_info *info = prun_measures(&count);
    memset(&f, 0, sizeof f);
    f.tensors[0] = matrix(w, 2, 2);
    o = fixed_objective(&f, 1);
    o.context = NULL; /* messages do not depend on it */
    memset(&options, 0, sizeof options);
    options.least_eigenvalues = 2;
    CHECK_STATUS(prun_measure_all(&o, NULL, &options, r), PRUN_OK);
    for (i = 0; i < count; i++) {
        const uint32_t extra = info[i].needs;
        const prun_status expected = !extra ? PRUN_OK
                                     : extra & ~(uint32_t)(PRUN_NEEDS_INITIAL | PRUN_NEEDS_HISTORY)
                                         ? PRUN_ERR_UNSUPPORTED
                                         : PRUN_ERR_MISSING;
        CHECK(r[i].status == expected);
        CHECK((expected == PRUN_OK) == (r[i].value == r[i].value));
        CHECK(expected == PRUN_OK || r[i].message[0]);
    }
    free(r);
}

static void bad_numbers_are_named(void) {
    static float w[] = {1, 2, 3, 4};
    static const float logits[] = {1, 0, NAN, 0};
    static const int32_t labels[] = {0, 1};
    static double losses[] = {.5, .25};
    fixed f;
    prun_objective o;
    prun_measurement *m = NULL;
    prun_measure_result r;
    memset(&f, 0, sizeof f);
    f.tensors[0] = matrix(w, 2, 2);
    f.losses = losses;
    f.logits = logits;
    f.samples = f.classes = 2;
    o = fixed_objective(&f, 1);
    o.labels = labels;
    w[3] = NAN;
    CHECK_STATUS(prun_measurement_create(&o, NULL, &m), PRUN_ERR_NONFINITE);
    CHECK(strstr(test_context.message, "W[3]") != NULL);
    w[3] = 4;
    losses[1] = INFINITY;
    if (!CHECK_STATUS(prun_measurement_create(&o, NULL, &m), PRUN_OK)) return;
    CHECK(prun_measure(m, "train_loss", &r) == PRUN_ERR_NONFINITE);
    CHECK(isnan(r.value) && strstr(r.message, "sample 1") != NULL);
    CHECK(prun_measure(m, "inverse_margin", &r) == PRUN_ERR_NONFINITE);
    CHECK(isnan(r.value) && strstr(r.message, "sample 1") != NULL);
    CHECK(prun_measure(m, "no such measure", &r) == PRUN_ERR_MISSING);
    CHECK(isnan(r.value) && strstr(r.message, "no such measure") != NULL);
    prun_measurement_free(m);
    prun_measurement_free(NULL); /* is fine */
    o.samples = 0;
    CHECK_STATUS(prun_measurement_create(&o, NULL, &m), PRUN_ERR_ARGUMENT);
    o.samples = 2;
    f.tensors[0].flags = PRUN_TENSOR_BIAS;
    CHECK_STATUS(prun_measurement_create(&o, NULL, &m), PRUN_ERR_ARGUMENT);
    losses[1] = .25;
}

/* All measures of a trained net: the same bits with one thread and with two, the weights untouched,
   and a value or a reason for each measure. */
static void measures_of_a_trained_net(void) {
    dataset p = pictures(60, 2, 9, 8, 3);
    prun_measure_result *r[2];
    prun_measure_options options;
    prun_train_options recipe;
    prun_epoch history[30];
    prun_net *net = zoo(1), *start;
    prun_objective o;
    int64_t tensors, floats = prun_net_parameter_count(net);
    float *before = (float *)malloc((size_t)floats * sizeof(float));
    int64_t count, i;
    int32_t threads;
    const prun_measure_info *info = prun_measures(&count);
    memset(&options, 0, sizeof options);
    memset(&recipe, 0, sizeof recipe);
    recipe.momentum = 0.9;
    recipe.epochs = options.epochs = 30;
    recipe.batch = 10;
    recipe.learning_rate = .02;
    recipe.noise_pairs = 2;
    options.history = history;
    options.grid = 10;
    options.draws = options.restarts = options.repetitions = 2;
    options.precision = .3;
    options.hessian_samples = 40;
    options.hessian_steps = 12;
    options.weight_decay = .01;
    options.least_eigenvalues = 2;
    CHECK_STATUS(prun_net_copy(net, 0, &start), PRUN_OK);
    CHECK_STATUS(prun_train(net, &p.images, &recipe, history), PRUN_OK);
    CHECK_STATUS(prun_net_objective(net, &p.images, &o), PRUN_OK);
    o.initial = prun_net_trained_tensors(start, &tensors);
    memcpy(before, o.tensors[0].data, (size_t)floats * sizeof(float));
    for (threads = 0; threads < 2; threads++) {
        r[threads] = room_for_results();
        test_context.threads = threads + 1;
        CHECK_STATUS(prun_measure_all(&o, NULL, &options, r[threads]), PRUN_OK);
        CHECK(memcmp(before, o.tensors[0].data, (size_t)floats * sizeof(float)) == 0);
    }
    for (i = 0; i < count; i++) {
        const prun_measure_result *a = &r[0][i], *b = &r[1][i];
        int same = a->status == b->status && memcmp(&a->value, &b->value, sizeof a->value) == 0 &&
                   memcmp(&a->standard_error, &b->standard_error, sizeof a->value) == 0;
        if (!CHECK(same) || !CHECK(a->status == PRUN_OK))
            printf("  %s: %.17g %.17g %s\n", info[i].name, a->value, b->value, a->message);
        CHECK(isfinite(a->value) || a->message[0]);
        if (!(info[i].traits & PRUN_TRAIT_MONTE_CARLO)) CHECK(isnan(a->standard_error));
        else if (!CHECK(a->standard_error >= 0 || a->message[0])) printf("  %s\n", info[i].name);
    }
    free(r[0]);
    free(r[1]);
    free(before);
    prun_net_free(net);
    prun_net_free(start);
    free_set(&p);
}

/* A callback that fails at its n-th call, for every n: the error is returned, the weights are
   restored. */
typedef struct faulty {
    prun_net *net;
    prun_objective inner;
    int64_t calls, fail_at;
} faulty;

static prun_status faulty_loss(const prun_objective *objective, const int64_t *index, int64_t n,
                               double *losses, double *sum, int64_t *errors) {
    faulty *f = (faulty *)objective->user;
    if (++f->calls == f->fail_at) return PRUN_ERR_CALLBACK;
    return f->inner.loss(&f->inner, index, n, losses, sum, errors);
}

static prun_status faulty_gradient(const prun_objective *objective, const int64_t *index, int64_t n,
                                   float *gradient, double *sum) {
    faulty *f = (faulty *)objective->user;
    if (++f->calls == f->fail_at) return PRUN_ERR_CALLBACK;
    return f->inner.gradient(&f->inner, index, n, gradient, sum);
}

static prun_status faulty_logits(const prun_objective *objective, const int64_t *index, int64_t n,
                                 float *logits) {
    faulty *f = (faulty *)objective->user;
    if (++f->calls == f->fail_at) return PRUN_ERR_CALLBACK;
    return f->inner.logits(&f->inner, index, n, logits);
}

static prun_status faulty_product(const prun_objective *objective, const int64_t *index, int64_t n,
                                  const float *v, float *product) {
    faulty *f = (faulty *)objective->user;
    if (++f->calls == f->fail_at) return PRUN_ERR_CALLBACK;
    return f->inner.hessian_vector(&f->inner, index, n, v, product);
}

static int stop_now(void *user, int64_t done, int64_t total) {
    int64_t *left = (int64_t *)user;
    (void)done;
    (void)total;
    return --*left < 0;
}

static void failing_callbacks_pass_through(void) {
    dataset p = pictures(12, 3, 1, 1, 2);
    prun_measure_result *r = room_for_results();
    prun_measure_options options;
    prun_objective o;
    faulty f;
    int64_t floats, calls, at, left, progress;
    float before[32];
    memset(&f, 0, sizeof f);
    memset(&options, 0, sizeof options);
    options.grid = 4;
    options.draws = options.restarts = options.repetitions = 2;
    options.noise_pairs = 1;
    options.precision = .3;
    options.hessian_steps = options.hessian_probes = 2;
    options.hessian_samples = 7;
    options.weight_decay = .01;
    options.least_eigenvalues = 2;
    f.net = perceptron(1);
    CHECK_STATUS(prun_net_objective(f.net, &p.images, &f.inner), PRUN_OK);
    o = f.inner;
    o.user = &f;
    o.loss = faulty_loss;
    o.gradient = faulty_gradient;
    o.logits = faulty_logits;
    o.hessian_vector = faulty_product;
    floats = prun_net_parameter_count(f.net);
    memcpy(before, o.tensors[0].data, (size_t)floats * sizeof(float));
    CHECK_STATUS(prun_measure_all(&o, NULL, &options, r), PRUN_OK);
    calls = f.calls;
    CHECK(calls > 100);
    for (at = 1; at <= calls; at++) {
        f.calls = 0;
        f.fail_at = at;
        CHECK_STATUS(prun_measure_all(&o, NULL, &options, r), PRUN_ERR_CALLBACK);
        CHECK(memcmp(before, o.tensors[0].data, (size_t)floats * sizeof(float)) == 0);
    }
    f.fail_at = 0;
    options.progress = stop_now;
    options.user = &left;
    left = 1000000;
    CHECK_STATUS(prun_measure_all(&o, NULL, &options, r), PRUN_OK);
    progress = 1000000 - left;
    CHECK(progress > 20);
    for (at = 0; at < progress; at++) {
        left = at;
        CHECK_STATUS(prun_measure_all(&o, NULL, &options, r), PRUN_ERR_CANCELLED);
        CHECK(memcmp(before, o.tensors[0].data, (size_t)floats * sizeof(float)) == 0);
    }
    prun_net_free(f.net);
    free(r);
    free_set(&p);
}

/* If the n-th allocation fails, nothing leaks and no weight is changed. */
static int64_t allocations_left, alive;

static void *scarce(void *user, size_t size) {
    (void)user;
    if (allocations_left-- <= 0) return NULL;
    alive++;
    return malloc(size);
}

static void give_back(void *user, void *pointer) {
    (void)user;
    alive--;
    free(pointer);
}

static void memory_may_run_out(void) {
    dataset p = pictures(6, 3, 1, 1, 2);
    prun_measure_result *r = room_for_results();
    prun_measure_options options;
    prun_context context;
    prun_objective o;
    prun_net *built = perceptron(1), *net, *start;
    int64_t at, tensors, baseline;
    float before[32];
    prun_status status = PRUN_ERR_MEMORY;
    memset(&options, 0, sizeof options);
    memset(&context, 0, sizeof context);
    options.grid = 2;
    options.draws = options.restarts = options.repetitions = 1;
    options.noise_pairs = 1;
    options.precision = .5;
    options.hessian_steps = 4;
    options.hessian_samples = 3;
    options.weight_decay = .01;
    options.least_eigenvalues = 2;
    context.threads = 1;
    context.allocate = scarce;
    context.release = give_back;
    allocations_left = 1000000;
    built->context = &context; /* so that the copies use its allocator */
    CHECK(prun_net_copy(built, 0, &net) == PRUN_OK);
    CHECK(prun_net_copy(built, 0, &start) == PRUN_OK);
    built->context = &test_context;
    CHECK(prun_net_objective(net, &p.images, &o) == PRUN_OK);
    o.initial = prun_net_trained_tensors(start, &tensors);
    memcpy(before, o.tensors[0].data, (size_t)prun_net_parameter_count(net) * sizeof(float));
    allocations_left = 1000000;
    CHECK(prun_measure_all(&o, NULL, &options, r) == PRUN_OK); /* workspaces of the net stay */
    baseline = alive;
    for (at = 0; at < 4000 && status == PRUN_ERR_MEMORY; at++) {
        allocations_left = at;
        status = prun_measure_all(&o, NULL, &options, r);
        CHECK(status == PRUN_OK || status == PRUN_ERR_MEMORY);
        CHECK(alive == baseline);
        CHECK(memcmp(before, o.tensors[0].data,
                     (size_t)prun_net_parameter_count(net) * sizeof(float)) == 0);
    }
    CHECK(status == PRUN_OK && at > 50);
    prun_net_free(net);
    prun_net_free(start);
    CHECK(alive == 0);
    prun_net_free(built);
    free(r);
    free_set(&p);
}

/* ---- curvature ------------------------------------------------------------------------------- */

/* f(w) = 1/2 sum of d_i w_i^2 for every sample, in two tensors, the second of which is no weight:
   the Hessian is diagonal, and its trace estimate exact. */
static const float quadratic_diagonal[10] = {10, 5, 1, .1f, .01f, 0, 0, -.2f, 100, 100};

static prun_status quadratic_loss(const prun_objective *objective, const int64_t *index, int64_t n,
                                  double *losses, double *sum, int64_t *errors) {
    const float *w = (const float *)objective->user;
    double one = 0;
    int64_t i;
    (void)index;
    for (i = 0; i < 10; i++)
        one += .5 * (double)quadratic_diagonal[i] * (double)w[i] * (double)w[i];
    for (i = 0; losses && i < n; i++) losses[i] = one;
    *sum = one * (double)n;
    if (errors) *errors = 0;
    return PRUN_OK;
}

static prun_status quadratic_product(const prun_objective *objective, const int64_t *index,
                                     int64_t n, const float *v, float *product) {
    int64_t i;
    (void)objective->user;
    (void)index;
    for (i = 0; i < 10; i++) product[i] = (float)n * quadratic_diagonal[i] * v[i];
    return PRUN_OK;
}

static prun_objective quadratic(float *w, prun_tensor *tensors) {
    prun_objective o;
    memset(&o, 0, sizeof o);
    tensors[0] = matrix(w, 2, 4);
    tensors[1] = matrix(w + 8, 1, 2);
    tensors[1].flags = PRUN_TENSOR_BIAS;
    o.user = w;
    o.context = &test_context;
    o.tensors = tensors;
    o.tensor_count = 2;
    o.samples = 16; /* a power of two: products are exact */
    o.loss = quadratic_loss;
    o.hessian_vector = quadratic_product;
    return o;
}

static void curvature_of_a_quadratic(void) {
    static const struct {
        const char *name;
        double value;
    } expected[] = {
        {"effective_dimensionality", 2.3432343234323434},
        {"effective_dimensionality_fraction", .2929042904290429},
        {"effective_dimensionality_slq", 2.3432343234323434},
        {"effective_dimensionality_slq_fraction", .2929042904290429},
        {"effective_dimensionality_z391", 4.768078399425608},
        {"effective_dimensionality_slq_fraction_z391", .596009799928201},
        {"effective_dimensionality_decay", 10 / 10.5 + 5 / 5.5 + 1 / 1.5 + .1 / .6 + .01 / .51},
        {"hessian_largest", 10},
        {"hessian_trace", 15.91}};
    float w[10] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    prun_tensor tensors[2];
    prun_objective o = quadratic(w, tensors);
    prun_measure_options options;
    prun_measure_result *r = room_for_results(), one;
    prun_measurement *m = NULL;
    size_t i;
    int64_t samples;
    memset(&options, 0, sizeof options);
    options.weight_decay = .5;
    options.hessian_probes = 400; /* of 8 steps each: exact except for the random vectors */
    for (samples = 0; samples <= 5; samples += 5) {
        options.hessian_samples = samples;
        CHECK_STATUS(prun_measure_all(&o, NULL, &options, r), PRUN_OK);
        for (i = 0; i < sizeof expected / sizeof *expected; i++) {
            const prun_measure_result *got = &r[prun_measure_find(expected[i].name)];
            const double off = fabs(value_of(r, expected[i].name) - expected[i].value);
            const int random = strstr(expected[i].name, "slq") != NULL;
            if (!CHECK(off < (random ? 4 * got->standard_error : 1e-5 * expected[i].value)))
                printf("  %s: %.10g, error %g\n", expected[i].name, got->value,
                       got->standard_error);
            if (random) CHECK(got->standard_error < .05 * expected[i].value);
            else if (strncmp(expected[i].name, "eff", 3) == 0) CHECK(got->standard_error < 1e-5);
            CHECK((strstr(got->message, "over 5 of 16 samples") != NULL) == (samples == 5));
        }
        CHECK(r[prun_measure_find("hessian_trace")].standard_error < 1e-5);
    }
    memset(&options, 0, sizeof options);
    options.z = -1;
    options.hessian_samples = 5;
    options.hessian_probes = options.draws = 1;
    CHECK_STATUS(prun_measurement_create(&o, &options, &m), PRUN_ERR_ARGUMENT);
    CHECK(o.context == NULL || strstr(prun_message(o.context), "z -1") != NULL);
    options.z = 0;
    if (!CHECK_STATUS(prun_measurement_create(&o, &options, &m), PRUN_OK)) return;
    CHECK(prun_measure(m, "effective_dimensionality_decay", &one) == PRUN_ERR_MISSING &&
          strstr(one.message, "weight decay") != NULL);
    CHECK(prun_measure(m, "effective_dimensionality_slq_z391", &one) == PRUN_OK &&
          isnan(one.standard_error)); /* one vector */
    CHECK(prun_measure(m, "hessian_trace", &one) == PRUN_OK && isnan(one.standard_error));
    prun_measurement_free(m);
    o.hessian_vector = NULL;
    if (!CHECK_STATUS(prun_measurement_create(&o, NULL, &m), PRUN_OK)) return;
    CHECK(prun_measure(m, "hessian_largest", &one) == PRUN_ERR_UNSUPPORTED);
    CHECK(isnan(one.value) && strstr(one.message, "gradient") != NULL);
    prun_measurement_free(m);
    free(r);
}

/* ---- undefined measures do not affect others ------------------------------------------ */

/* Checks a measure of a degenerate network: a number if text is NULL, otherwise undefined, with
   that text in the message. */
static void check_odd(const prun_measure_result *r, const char *name, const char *text) {
    const prun_measure_result *one = &r[prun_measure_find(name)];
    int holds =
        text ? one->status != PRUN_OK && isnan(one->value) && strstr(one->message, text) != NULL
             : one->status == PRUN_OK && !isnan(one->value);
    if (!CHECK(holds)) printf("  %s: %g, \"%s\"\n", name, one->value, one->message);
}

static void check_odd_kind(odd_kind kind, const prun_measure_result *r) {
    const char *same = kind == ODD_CONSTANT || kind == ODD_ZERO_WEIGHTS || kind == ODD_BLACK
                           ? "same for all samples"
                           : NULL;
    const char *negative = kind == ODD_WRONG ? "positive" : NULL;
    check_odd(r, "prunability", NULL);
    check_odd(r, "parameters", NULL);
    check_odd(r, "train_loss", NULL);
    check_odd(r, "negative_entropy", NULL);
    check_odd(r, "sum_of_two_norms", NULL);
    check_odd(r, "hessian_largest", NULL);
    check_odd(r, "gradient_noise_final", kind == ODD_ONE_SAMPLE ? "one sample" : NULL);
    if (kind == ODD_ONE_SAMPLE) {
        check_odd(r, "margin_last_median", "same for all");
        return;
    }
    check_odd(r, "margin_output_median", negative);
    check_odd(r, "margin_input_median",
              kind == ODD_POOLED_IMAGES ? "other than convolutions"
              : kind == ODD_BLACK       ? same
                                        : negative);
    check_odd(r, "margin_last_median", same ? same : negative);
}

static void odd_networks_end_nothing(void) {
    static prun_measure_result r[ODD_MEASURES];
    odd_net o;
    int64_t count, i;
    int kind;
    prun_measures(&count);
    if (!CHECK(count <= ODD_MEASURES)) return;
    for (kind = 0; kind < ODD_KINDS; kind++) {
        int before = test_failures;
        for (i = 0; i < count; i++) r[i].status = (prun_status)99;
        if (odd_make(&o, (odd_kind)kind)) {
            CHECK_STATUS(prun_measure_all(&o.objective, NULL, odd_options(), r), PRUN_OK);
            for (i = 0; i < count; i++)
                CHECK(r[i].status == PRUN_OK
                          ? !isnan(r[i].value)
                          : isnan(r[i].value) && r[i].message[0] != 0 && (int)r[i].status != 99);
            check_odd_kind((odd_kind)kind, r);
        }
        prun_net_free(o.net);
        if (test_failures > before) printf("  in odd network %d\n", kind);
    }
}

/* Biases and norms are pruned, perturbed and counted if the options include them. */
static void included_tensors_count(void) {
    static prun_measure_result plain[ODD_MEASURES], all[ODD_MEASURES];
    prun_measure_options options = *odd_options();
    prun_prune_options prune;
    prun_prunability found;
    odd_net o;
    if (!odd_make(&o, ODD_PLAIN)) return;
    CHECK_STATUS(prun_measure_all(&o.objective, NULL, &options, plain), PRUN_OK);
    options.include_biases = options.include_norms = 1;
    CHECK_STATUS(prun_measure_all(&o.objective, NULL, &options, all), PRUN_OK);
    memset(&prune, 0, sizeof prune);
    prune.grid = options.grid;
    prune.include_biases = prune.include_norms = 1;
    CHECK_STATUS(prun_prunability_search(&o.objective, &prune, &found), PRUN_OK);
    CHECK(plain[prun_measure_find("prunable_weights")].value == 36 + 144 + 192);
    CHECK(all[prun_measure_find("prunable_weights")].value == 36 + 8 + 148 + 195);
    CHECK(all[prun_measure_find("prunable_weights")].value == (double)found.prunable);
    CHECK(all[prun_measure_find("parameters")].value == 36 + 8 + 148 + 195);
    CHECK(all[prun_measure_find("prunability")].value == found.answer[0].kept_fraction);
    CHECK(all[prun_measure_find("pruned_parameters")].value == (double)found.answer[0].kept);
    CHECK(all[prun_measure_find("pacbayes_flat")].value !=
          plain[prun_measure_find("pacbayes_flat")].value);
    CHECK(all[prun_measure_find("parameter_norm")].value ==
          plain[prun_measure_find("parameter_norm")].value);
    prun_net_free(o.net);
}

/* With a single class there are no margins, but every other measure. */
static void one_class_ends_nothing(void) {
    static float data[4] = {1, 2, 3, 4};
    static const double losses[2] = {0, 0};
    static const float logits[2] = {1, 2};
    static const int32_t labels[2] = {0, 0};
    static prun_measure_result r[ODD_MEASURES];
    fixed f;
    prun_objective o;
    memset(&f, 0, sizeof f);
    f.losses = losses;
    f.logits = logits;
    f.samples = 2;
    f.classes = 1;
    f.tensors[0] = matrix(data, 2, 2);
    o = fixed_objective(&f, 1);
    o.context = &test_context;
    o.classes = 1;
    o.logits = fixed_logits;
    o.labels = labels;
    CHECK_STATUS(prun_measure_all(&o, NULL, odd_options(), r), PRUN_OK);
    check_odd(r, "margin_output_median", "two classes");
    check_odd(r, "inverse_margin", "two classes");
    check_odd(r, "prunability", NULL);
    check_odd(r, "sum_of_spectral", NULL);
    CHECK(r[prun_measure_find("negative_entropy")].value == 0);
    CHECK(r[prun_measure_find("prunability")].value == 0);
    o.classes = 0;
    CHECK_STATUS(prun_measure_all(&o, NULL, odd_options(), r), PRUN_ERR_ARGUMENT);
}

/* ---- golden networks ------------------------------------------------------------------------- */

static int read_golden(prun_safetensors *file, prun_family family, prun_net **net, dataset *p) {
    const prun_safetensors_entry *x = prun_safetensors_find(file, "x");
    const prun_safetensors_entry *y = prun_safetensors_find(file, "y");
    prun_arch arch;
    int64_t labels[64], i;
    test_context.threads = 1;
    if (!CHECK(x && y && y->count <= 64)) return 0;
    if (!CHECK_STATUS(prun_arch_read_safetensors(file, family, "param.", &arch), PRUN_OK)) return 0;
    arch.image_height = x->shape[2];
    arch.image_width = x->shape[3];
    if (!CHECK_STATUS(prun_net_create_family(&test_context, &arch, net), PRUN_OK)) return 0;
    *p = pictures(x->shape[0], x->shape[1], x->shape[2], x->shape[3], arch.classes);
    CHECK_STATUS(prun_net_read_safetensors(*net, file, "param."), PRUN_OK);
    CHECK_STATUS(prun_safetensors_read_f32(file, x, p->values), PRUN_OK);
    CHECK_STATUS(prun_safetensors_read_i64(file, y, labels), PRUN_OK);
    for (i = 0; i < y->count; i++) p->labels[i] = (int32_t)labels[i];
    return 1;
}

/* Compares with the dense Hessian's numbers, if the file has them. 100 steps give less, by at most
   a fifth at z = 1; quadrature is within five of its standard errors. */
static void golden_dimensions(prun_safetensors *file, const char *path,
                              const prun_measure_result *r) {
    const prun_safetensors_entry *e = prun_safetensors_find(file, "hessian.neff.z1");
    const prun_safetensors_entry *values = prun_safetensors_find(file, "hessian.eigenvalues");
    const prun_measure_result *slq = &r[prun_measure_find("effective_dimensionality_slq")];
    float want, *all;
    double ritz, error, trace = 0;
    int64_t i;
    if (!e || !values) return;
    all = (float *)malloc((size_t)values->count * sizeof *all);
    if (CHECK_STATUS(prun_safetensors_read_f32(file, e, &want), PRUN_OK) &&
        CHECK_STATUS(prun_safetensors_read_f32(file, values, all), PRUN_OK)) {
        ritz = value_of(r, "effective_dimensionality");
        if (!CHECK(ritz < (double)want && ritz > .8 * (double)want))
            printf("  %s: Ritz %g of %g\n", path, ritz, (double)want);
        error = slq->standard_error; /* includes the quadrature error */
        if (!CHECK(fabs(slq->value - (double)want) < 5 * error && error < .25 * (double)want))
            printf("  %s: %g, error %g, %g wanted\n", path, slq->value, error, (double)want);
        CHECK((strstr(slq->message, "uncertain by about") != NULL) == (error > .1 * slq->value));
        CHECK_CLOSE(value_of(r, "hessian_largest"), (double)all[values->count - 1], 0, 1e-3);
        for (i = 0; i < values->count; i++) trace += (double)all[i];
        if (!CHECK(fabs(value_of(r, "hessian_trace") - trace) <
                   5 * r[prun_measure_find("hessian_trace")].standard_error))
            printf("  %s: trace %g, %g wanted\n", path, value_of(r, "hessian_trace"), trace);
    }
    free(all);
}

/* With as many steps as weights, the result is exact. */
static void golden_full_length(prun_safetensors *file, const prun_objective *o) {
    const prun_safetensors_entry *e = prun_safetensors_find(file, "hessian.neff.z1");
    prun_measure_options options;
    prun_measurement *m = NULL;
    prun_measure_result raw, fraction;
    float want;
    memset(&options, 0, sizeof options);
    options.hessian_steps = INT32_MAX;
    options.hessian_probes = 1;
    if (!CHECK(e != NULL) || !CHECK_STATUS(prun_measurement_create(o, &options, &m), PRUN_OK))
        return;
    CHECK_STATUS(prun_safetensors_read_f32(file, e, &want), PRUN_OK);
    CHECK_STATUS(prun_measure(m, "effective_dimensionality", &raw), PRUN_OK);
    CHECK_CLOSE(raw.value, (double)want, 0, 1e-2);
    CHECK_STATUS(prun_measure(m, "effective_dimensionality_fraction", &fraction), PRUN_OK);
    CHECK_CLOSE(fraction.value, (double)want / (double)m->weights, 0, 1e-2);
    prun_measurement_free(m);
}

static void golden_networks_have_every_measure(void) {
    static const struct {
        const char *path;
        prun_family family;
    } files[] = {{"cnn_k2", PRUN_FAMILY_CNN},    {"cnn_k5", PRUN_FAMILY_CNN},
                 {"nin_w4_d2", PRUN_FAMILY_NIN}, {"nin_w8_d3", PRUN_FAMILY_NIN},
                 {"nin_w8_d4", PRUN_FAMILY_NIN}, {"resnet18_k2", PRUN_FAMILY_RESNET18}};
    int64_t count, i;
    const prun_measure_info *info = prun_measures(&count);
    size_t k;
    for (k = 0; k < sizeof files / sizeof *files; k++) {
        char path[64];
        prun_safetensors *file;
        prun_net *net = NULL;
        dataset p;
        prun_objective o;
        prun_measure_options options;
        prun_measure_result *r = room_for_results();
        const prun_safetensors_entry *norms, *kept;
        float fro2[64], golden;
        double sum = 0;
        snprintf(path, sizeof path, "tests/golden/%s.safetensors", files[k].path);
        if (prun_safetensors_open(&test_context, path, &file) != PRUN_OK) {
            SKIP("tests/golden is not here: run it from the project's root");
            free(r);
            return;
        }
        if (!read_golden(file, files[k].family, &net, &p)) return;
        memset(&options, 0, sizeof options);
        options.draws = options.restarts = options.repetitions = 2;
        options.noise_pairs = 2;
        options.precision = .2;
        options.weight_decay = .01;
        options.least_eigenvalues = 10; /* because these layers are small */
        if (!prun_safetensors_find(file, "hessian.eigenvalues")) options.hessian_steps = 8;
        CHECK_STATUS(prun_net_objective(net, &p.images, &o), PRUN_OK);
        CHECK_STATUS(prun_measure_all(&o, NULL, &options, r), PRUN_OK);
        for (i = 0; i < count; i++) {
            const uint32_t absent = PRUN_NEEDS_INITIAL | PRUN_NEEDS_HISTORY;
            int good = info[i].needs & absent
                           ? r[i].status == PRUN_ERR_MISSING && r[i].message[0]
                           : r[i].status == PRUN_OK && (isfinite(r[i].value) || r[i].message[0]);
            /* the mean over positions follows the last convolution of that network */
            if (strcmp(files[k].path, "nin_w4_d2") == 0 && strstr(r[i].message, "is not linear"))
                good = r[i].status == PRUN_ERR_UNSUPPORTED;
            if (!CHECK(good))
                printf("  %s %s: %s, %g, \"%s\"\n", files[k].path, info[i].name,
                       prun_status_string(r[i].status), r[i].value, r[i].message);
        }
        norms = prun_safetensors_find(file, "norm.fro2");
        if (CHECK(norms && norms->count <= 64) &&
            CHECK_STATUS(prun_safetensors_read_f32(file, norms, fro2), PRUN_OK)) {
            for (i = 0; i < norms->count; i++) sum += (double)fro2[i];
            CHECK_CLOSE(value_of(r, "parameter_norm"), sum, 0, 1e-5);
        }
        kept = prun_safetensors_find(file, "prunability.magnitude.beta0.1");
        if (kept && CHECK_STATUS(prun_safetensors_read_f32(file, kept, &golden), PRUN_OK))
            CHECK(lround(100 * value_of(r, "prunability")) == lround(100 * (double)golden));
        golden_dimensions(file, files[k].path, r);
        if (strcmp(files[k].path, "nin_w4_d2") == 0) golden_full_length(file, &o);
        prun_safetensors_close(file);
        prun_net_free(net);
        free_set(&p);
        free(r);
    }
}

static const test_case cases[] = {
    TEST_CASE(two_layers_by_hand),
    TEST_CASE(margins_by_hand),
    TEST_CASE(prunability_by_hand),
    TEST_CASE(shapes_need_a_rank),
    TEST_CASE(wrong_answers_may_be_unknown),
    TEST_CASE(measures_of_unknown_error_rates),
    TEST_CASE(history_by_hand),
    TEST_CASE(gradient_noise_of_known_variance),
    TEST_CASE(gradient_noise_of_batches_of_any_size),
    TEST_CASE(table_is_sound),
    TEST_CASE(missing_levels_are_named),
    TEST_CASE(bad_numbers_are_named),
    TEST_CASE(measures_of_a_trained_net),
    TEST_CASE(failing_callbacks_pass_through),
    TEST_CASE(memory_may_run_out),
    TEST_CASE(curvature_of_a_quadratic),
    TEST_CASE(odd_networks_end_nothing),
    TEST_CASE(one_class_ends_nothing),
    TEST_CASE(included_tensors_count),
    TEST_CASE(golden_networks_have_every_measure),
};

int main(int argc, char **argv) { return TEST_MAIN("test_measure", cases, argc, argv); }
