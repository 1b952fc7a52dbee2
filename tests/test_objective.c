/* test_objective.c - section OBJECTIVE: objectives that no measure accepts (the tests of the
   measures check their own requirements); moments of gradients, the Fisher-Rao norm. */
#include "../prunability.h"
#include "fixed.h"
#include "zoo.h"

#include <stdlib.h>

static prun_status fixed_gradient(const prun_objective *objective, const int64_t *index, int64_t n,
                                  float *gradient, double *sum) {
    (void)objective->user;
    (void)index;
    (void)n;
    (void)gradient;
    (void)sum;
    return PRUN_ERR_CALLBACK; /* never called */
}

/* One array under two names would be pruned and counted twice. */
static void shared_weights_are_refused(void) {
    static float data[6] = {1, 2, 3, 4, 5, 6};
    static const double losses[2] = {1, 2};
    prun_measure_options options = *odd_options();
    prun_measure_result r[ODD_MEASURES];
    prun_prunability found;
    prun_spectrum spectrum;
    prun_radius radius;
    int64_t kept;
    fixed f;
    prun_objective o;
    memset(&f, 0, sizeof f);
    f.losses = losses;
    f.samples = 2;
    f.tensors[0] = matrix(data, 2, 2);
    f.tensors[1] = matrix(data + 3, 1, 3);
    f.tensors[1].name = "decoder";
    o = fixed_objective(&f, 2);
    o.context = &test_context;
    CHECK_STATUS(prun_prunability_search(&o, NULL, &found), PRUN_ERR_ARGUMENT);
    CHECK(strstr(prun_message(&test_context), "(W)") &&
          strstr(prun_message(&test_context), "(decoder)"));
    CHECK_STATUS(prun_prune(&o, 0.5, NULL, &kept), PRUN_ERR_ARGUMENT);
    CHECK_STATUS(prun_perturbation_radius(&o, NULL, &radius), PRUN_ERR_ARGUMENT);
    o.gradient = fixed_gradient;
    CHECK_STATUS(prun_hessian_spectrum(&o, NULL, &spectrum), PRUN_ERR_ARGUMENT);
    o.gradient = NULL;
    CHECK_STATUS(prun_measure_all(&o, NULL, &options, r), PRUN_ERR_ARGUMENT);
    CHECK_STATUS(prun_tensors_save_safetensors(&test_context, f.tensors, 2, NULL, 0, "never"),
                 PRUN_ERR_ARGUMENT);
    CHECK(isnan(prun_sum_of_frobenius(f.tensors, 2)));
    CHECK(isnan(prun_pacbayes_magnitude_bound(f.tensors, NULL, 2, 1, 1, 1, 2)));
    f.tensors[1] = matrix(data + 4, 1, 2);
    CHECK_STATUS(prun_prunability_search(&o, NULL, &found), PRUN_OK);
}

/* ---- moments of gradients -------------------------------------------------------------------- */

/* Logistic regression, P(y = 1) = 1 / (1 + exp(-w.x)), on five samples. */
static const double inputs[5][2] = {{1, .5}, {-1, 1}, {.5, -1.5}, {2, 0}, {-.5, -.5}};
static const int32_t answers[5] = {1, 0, 0, 1, 1};
static float regression_weights[2];

static double probability(int64_t sample) {
    const double *x = inputs[sample];
    const double z = (double)regression_weights[0] * x[0] + (double)regression_weights[1] * x[1];
    return 1 / (1 + exp(-z));
}

static prun_status regression_loss(const prun_objective *o, const int64_t *index, int64_t n,
                                   double *losses, double *sum, int64_t *wrong) {
    int64_t i;
    (void)o;
    *sum = 0;
    if (wrong) *wrong = 0;
    for (i = 0; i < n; i++) {
        const int64_t s = index ? index[i] : i;
        const double p = probability(s), loss = -log(answers[s] ? p : 1 - p);
        *sum += loss;
        if (losses) losses[i] = loss;
        if (wrong) *wrong += (p > .5) != answers[s];
    }
    return PRUN_OK;
}

static prun_status regression_gradient(const prun_objective *o, const int64_t *index, int64_t n,
                                       float *gradient, double *sum) {
    double g[2] = {0, 0};
    int64_t i;
    for (i = 0; i < n; i++) {
        const int64_t s = index ? index[i] : i;
        g[0] += (probability(s) - answers[s]) * inputs[s][0];
        g[1] += (probability(s) - answers[s]) * inputs[s][1];
    }
    gradient[0] = (float)g[0];
    gradient[1] = (float)g[1];
    return sum ? regression_loss(o, index, n, NULL, sum, NULL) : PRUN_OK;
}

static prun_status regression_product(const prun_objective *o, const int64_t *index, int64_t n,
                                      const float *v, float *product) {
    double h[2] = {0, 0};
    int64_t i;
    (void)o;
    for (i = 0; i < n; i++) {
        const int64_t s = index ? index[i] : i;
        const double p = probability(s), *x = inputs[s];
        const double u = p * (1 - p) * ((double)v[0] * x[0] + (double)v[1] * x[1]);
        h[0] += u * x[0];
        h[1] += u * x[1];
    }
    product[0] = (float)h[0];
    product[1] = (float)h[1];
    return PRUN_OK;
}

static prun_objective regression(prun_tensor *tensor) {
    prun_objective o;
    memset(&o, 0, sizeof o);
    regression_weights[0] = .75f;
    regression_weights[1] = -.25f;
    *tensor = matrix(regression_weights, 1, 2);
    o.context = &test_context;
    o.tensors = tensor;
    o.tensor_count = 1;
    o.samples = 5;
    o.nonnegative = 1;
    o.loss = regression_loss;
    o.gradient = regression_gradient;
    o.hessian_vector = regression_product;
    return o;
}

static double measured(const prun_objective *o, const prun_measure_options *options,
                       const char *name) {
    prun_measurement *m;
    prun_measure_result r;
    CHECK_STATUS(prun_measurement_create(o, options, &m), PRUN_OK);
    CHECK_STATUS(prun_measure(m, name, &r), PRUN_OK);
    prun_measurement_free(m);
    return r.value;
}

/* The expected values were computed in double. Gradients here are floats with errors of 6e-8. */
static void moments_of_logistic_regression(void) {
    prun_measure_options options = {0};
    prun_gradient_moments_result m;
    prun_tensor tensor;
    const prun_objective o = regression(&tensor);
    CHECK_STATUS(prun_gradient_moments(&o, NULL, 5, 1e-5, &m), PRUN_OK);
    CHECK(m.samples == 5 && m.parameters == 2);
    CHECK_CLOSE(m.squared_norm, 0.02177590716772, 0, 3e-7);
    CHECK_CLOSE(m.uncentred_trace, 0.3481895047598, 0, 2e-7);
    CHECK_CLOSE(m.centred_trace, 0.3264135975921, 0, 2e-7);
    CHECK_CLOSE(m.signal_to_noise, 0.06279869008503, 0, 4e-7);
    CHECK_STATUS(prun_gradient_moments(&o, NULL, 5, 0, &m), PRUN_OK);
    CHECK_CLOSE(m.signal_to_noise, 0.06280295824116, 0, 4e-7);
    options.draws = 4096;
    CHECK_CLOSE(measured(&o, &options, "gradient_norm"), 0.02177590716772, 0, 3e-7);
    CHECK_CLOSE(measured(&o, &options, "gradient_norm_fraction"), 0.01088795358386, 0, 3e-7);
    CHECK_CLOSE(measured(&o, &options, "fisher_trace"), 0.3481895047598, 0, 2e-7);
    CHECK_CLOSE(measured(&o, &options, "gradient_signal_to_noise"), 0.06279869008503, 0, 4e-7);
    /* the trace of the Hessian is estimated */
    CHECK_CLOSE(measured(&o, &options, "takeuchi_ratio"), 0.8967120812032, 0, 0.02);
    CHECK_CLOSE(measured(&o, &options, "takeuchi_ratio_centred"), 0.8406313585809, 0, 0.02);
}

/* Gradients that are exact in float; the moments are checked against a two-pass computation. */
static prun_status table_gradient(const prun_objective *o, const int64_t *index, int64_t n,
                                  float *gradient, double *sum) {
    const float *rows = (const float *)o->user;
    int64_t i, j;
    (void)sum;
    for (j = 0; j < 3; j++) gradient[j] = 0;
    for (i = 0; i < n; i++)
        for (j = 0; j < 3; j++) gradient[j] += rows[3 * (index ? index[i] : i) + j];
    return PRUN_OK;
}

static void moments_of_a_table(void) {
    static float weights[3], rows[12] = {1, 0, 1000, 3, 0, 1001, -2, 0, 1002, 6, 0, 1003};
    static const int64_t some[2] = {3, 1}, outside[2] = {3, 4};
    prun_gradient_moments_result m;
    prun_tensor tensor = matrix(weights, 1, 3);
    prun_objective o = regression(&tensor);
    tensor = matrix(weights, 1, 3);
    o.gradient = table_gradient;
    o.user = rows;
    o.samples = 4;
    CHECK_STATUS(prun_gradient_moments(&o, NULL, 4, 0, &m), PRUN_OK);
    CHECK_CLOSE(m.squared_norm, 4 + 1001.5 * 1001.5, 0, 1e-14);
    CHECK_CLOSE(m.uncentred_trace, (1 + 9 + 4 + 36) / 4. + 4012010 / 4. + 4 / 4., 0, 1e-14);
    CHECK_CLOSE(m.centred_trace, 8.5 + 1.25, 0, 1e-14); /* no cancellation despite 1e6 */
    /* the parameter in the middle, which no gradient touches, does not count */
    CHECK_CLOSE(m.signal_to_noise, (4 / 8.5 + 1001.5 * 1001.5 / 1.25) / 2, 0, 1e-14);
    CHECK_STATUS(prun_gradient_moments(&o, NULL, 4, 1, &m), PRUN_OK);
    CHECK_CLOSE(m.signal_to_noise, (4 / 9.5 + 1001.5 * 1001.5 / 2.25) / 3, 0, 1e-14);
    CHECK_STATUS(prun_gradient_moments(&o, some, 2, 0, &m), PRUN_OK);
    CHECK_CLOSE(m.centred_trace, 2.25 + 1, 0, 1e-14);
    CHECK_STATUS(prun_gradient_moments(&o, NULL, 5, 0, &m), PRUN_ERR_ARGUMENT);
    CHECK_STATUS(prun_gradient_moments(&o, NULL, 0, 0, &m), PRUN_ERR_ARGUMENT);
    CHECK_STATUS(prun_gradient_moments(&o, NULL, 4, -1, &m), PRUN_ERR_ARGUMENT);
    CHECK_STATUS(prun_gradient_moments(&o, outside, 2, 0, &m), PRUN_ERR_ARGUMENT);
    CHECK(strstr(test_context.message, "gradient moments: index[1] is 4 of 4") != NULL);
    rows[7] = NAN;
    CHECK_STATUS(prun_gradient_moments(&o, NULL, 4, 0, &m), PRUN_ERR_NONFINITE);
    CHECK(strstr(prun_message(&test_context), "sample 2"));
    rows[7] = 0;
    o.gradient = NULL;
    CHECK_STATUS(prun_gradient_moments(&o, NULL, 4, 0, &m), PRUN_ERR_UNSUPPORTED);
}

/* Three layers, four samples of three classes. */
static void fisher_rao_norm_of_logits(void) {
    static const float logits[12] = {2, 0, -1, .5f, 1.5f, 0, -1, .25f, 1, 1, 1, -2};
    static const int32_t labels[4] = {0, 1, 0, 2};
    static const double losses[4] = {1, 1, 1, 1};
    static float data[3] = {1, 2, 3};
    prun_measure_options options = {0};
    fixed f;
    prun_objective o;
    int i;
    memset(&f, 0, sizeof f);
    f.losses = losses;
    f.logits = logits;
    f.samples = 4;
    f.classes = 3;
    for (i = 0; i < 3; i++) f.tensors[i] = matrix(data + i, 1, 1);
    o = fixed_objective(&f, 3);
    o.labels = labels;
    CHECK_CLOSE(measured(&o, &options, "fisher_rao_norm"), 5.083417783733, 0, 1e-11);
}

static const test_case cases[] = {
    TEST_CASE(shared_weights_are_refused),
    TEST_CASE(moments_of_logistic_regression),
    TEST_CASE(moments_of_a_table),
    TEST_CASE(fisher_rao_norm_of_logits),
};

int main(int argc, char **argv) { return TEST_MAIN("test_objective", cases, argc, argv); }
