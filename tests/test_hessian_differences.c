/* test_hessian_differences.c - curvature by finite differences of float gradients, on networks of
   curvature_model.h: perceptrons with tanh and with ReLU and an LSTM, with small and large weights,
   scaled losses, and gradients that are rounded once or computed in float.

   The oracle is the dense Hessian, by differences of gradients in double, and Jacobi's method for
   its eigenvalues. Compiled with -DTABLE=1, the program prints what it compares.
*/
#include "../prunability.h"

#include <stdlib.h>

#include "reference.h"
#include "test.h"

#ifndef TABLE
#define TABLE 0
#endif

enum { TANH, RELU, LSTM };
enum { SAMPLES = 20, WIDEST = 12, STEPS = 7, INPUTS = 24, MOST = 200 };

typedef struct model {
    int kind, single; /* single: arithmetic in float */
    int sizes[4], k;
    double rounding; /* > 0: gradients are rounded to multiples of it */
    double reach;    /* > 0: they are infinite further than this from the original w */
    double needle;   /* > 0: adds the identity to H, only within this distance of w */
    double factor;   /* multiplies the loss */
    double inputs[SAMPLES * INPUTS];
    int labels[SAMPLES];
    float w[MOST], kept[MOST];
    double *h, *values; /* k x k, and its eigenvalues, ascending */
    prun_tensor tensor;
    prun_objective o;
    int64_t calls;
} model;

#define REAL double
#define MODEL(name) double_##name
#include "curvature_model.h"
#undef REAL
#undef MODEL
#define REAL float
#define MODEL(name) float_##name
#include "curvature_model.h"

static uint64_t noise_state = 99;

static prun_status gradient(const prun_objective *objective, const int64_t *index, int64_t n,
                            float *g, double *sum) {
    model *m = (model *)objective->user;
    double w[MOST] = {0}, exact[MOST] = {0}, total, far = 0;
    int i;
    m->calls++;
    if (m->single) {
        total = float_gradient(m, m->w, index, n, g);
    } else {
        for (i = 0; i < m->k; i++) w[i] = (double)m->w[i];
        total = double_gradient(m, w, index, n, exact);
        for (i = 0; i < m->k; i++) g[i] = (float)exact[i];
    }
    for (i = 0; i < m->k; i++) {
        if (m->rounding > 0) g[i] = (float)(m->rounding * floor((double)g[i] / m->rounding + .5));
        if (m->needle > 0)
            g[i] = (float)((m->single ? (double)g[i] : exact[i]) +
                           (double)n * m->needle *
                               tanh(((double)m->w[i] - (double)m->kept[i]) / m->needle));
        far += ((double)m->w[i] - (double)m->kept[i]) * ((double)m->w[i] - (double)m->kept[i]);
    }
    if (m->reach > 0 && far > m->reach * m->reach) g[0] = INFINITY;
    if (sum != NULL) *sum = total;
    return PRUN_OK;
}

/* The dense Hessian of the mean loss, n times, in place of an exact product. */
static prun_status exact_product(const prun_objective *objective, const int64_t *index, int64_t n,
                                 const float *v, float *product) {
    const model *m = (const model *)objective->user;
    int i, j;
    (void)index;
    for (i = 0; i < m->k; i++) {
        double sum = 0;
        for (j = 0; j < m->k; j++) sum += m->h[i * m->k + j] * (double)v[j];
        product[i] = (float)(sum * (double)n);
    }
    return PRUN_OK;
}

/* One column of the Hessian by differences in double, with one Richardson extrapolation. */
static void exact_column(const model *m, int column, double *out) {
    static const double steps[] = {1e-5, -1e-5, 2e-5, -2e-5};
    static const double weights[] = {4 / 6e-5, -4 / 6e-5, -1 / 12e-5, 1 / 12e-5};
    double w[MOST], g[MOST];
    int i, s;
    for (i = 0; i < m->k; i++) out[i] = 0;
    for (s = 0; s < 4; s++) {
        for (i = 0; i < m->k; i++) w[i] = (double)m->w[i];
        w[column] += steps[s] * (m->kind == RELU ? 1e-3 : 1);
        double_gradient(m, w, NULL, SAMPLES, g);
        for (i = 0; i < m->k; i++)
            out[i] += weights[s] * (m->kind == RELU ? 1e3 : 1) * g[i] / SAMPLES;
    }
}

/* Weights of Euclidean norm `norm`. */
static model *make_model(int kind, double norm, double factor, int single, uint64_t seed) {
    static const int sizes[3][4] = {{5, 8, 6, 3}, {5, 8, 6, 3}, {3, 4, 6, 3}};
    model *m = (model *)calloc(1, sizeof(*m));
    double *copy, square = 0;
    int i, j, n;
    if (m == NULL) abort();
    noise_state = 77 + 1000003 * seed;
    m->kind = kind;
    m->single = single;
    m->factor = factor;
    memcpy(m->sizes, sizes[kind], sizeof(m->sizes));
    n = m->sizes[1];
    if (kind == LSTM) m->k = 4 * n * (m->sizes[0] + n + 1) + m->sizes[3] * (n + 1);
    else
        for (i = 0; i < 3; i++) m->k += m->sizes[i + 1] * (m->sizes[i] + 1);
    for (i = 0; i < SAMPLES * INPUTS; i++) m->inputs[i] = 1.5 * ref_noise(&noise_state);
    for (i = 0; i < SAMPLES; i++) m->labels[i] = (int)ref_pick(&noise_state, m->sizes[3]);
    for (i = 0; i < m->k; i++) m->w[i] = (float)ref_noise(&noise_state);
    for (i = 0; i < m->k; i++) square += (double)m->w[i] * (double)m->w[i];
    for (i = 0; i < m->k; i++) m->w[i] = (float)((double)m->w[i] * norm / sqrt(square));
    memcpy(m->kept, m->w, sizeof(m->w));
    m->h = (double *)calloc(MOST * MOST, sizeof(double));
    m->values = (double *)calloc(MOST, sizeof(double));
    copy = (double *)calloc(MOST * MOST, sizeof(double));
    if (m->h == NULL || m->values == NULL || copy == NULL) abort();
    for (i = 0; i < m->k; i++) exact_column(m, i, m->h + i * m->k);
    for (i = 0; i < m->k; i++)
        for (j = 0; j < i; j++)
            m->h[i * m->k + j] = m->h[j * m->k + i] = (m->h[i * m->k + j] + m->h[j * m->k + i]) / 2;
    memcpy(copy, m->h, (size_t)(m->k * m->k) * sizeof(double));
    ref_eigenvalues(copy, m->k, m->values, NULL);
    free(copy);
    m->tensor.data = m->w;
    m->tensor.name = "weights";
    m->tensor.rank = 1;
    m->tensor.shape[0] = m->k;
    m->tensor.flags = PRUN_TENSOR_WEIGHT;
    m->o.user = m;
    m->o.context = &test_context;
    m->o.tensors = &m->tensor;
    m->o.tensor_count = 1;
    m->o.samples = SAMPLES;
    m->o.gradient = gradient;
    m->o.hessian_vector = exact_product;
    return m;
}

static void free_model(model *m) {
    CHECK(memcmp(m->w, m->kept, sizeof(m->w)) == 0);
    free(m->h);
    free(m->values);
    free(m);
}

typedef struct tally {
    int64_t cases, within, below;
    double worst;
} tally;

/* Counts one result by differences: its actual and its estimated error, relative to `scale`. */
static void count(tally *t, double got, double want, double told, double scale) {
    const double made = fabs(got - want) / scale;
    t->cases++;
    t->within += made <= 3 * told / scale + 1e-6;
    t->below += made < .01;
    t->worst = fmax(t->worst, made);
}

static const char *const kinds[] = {"tanh", "relu", "lstm"};

/* A row of the table. other: with a fixed step of 0.003, or with exact products. */
static void row(const model *m, const char *name, const char *what, double exact, double other,
                double now, double made, double told) {
    if (TABLE)
        printf("%s | %s | %s | %.6g | %.6g | %.6g | %.1e | %.1e\n", kinds[m->kind], name, what,
               exact, other, now, made, told);
}

static void compare_largest(const model *m, const char *name, tally *t) {
    const double largest = m->values[m->k - 1];
    prun_hessian_options p;
    double top, residual, before;
    memset(&p, 0, sizeof(p));
    p.steps = m->k;
    p.use_differences = 1;
    p.step = .003; /* where it is too long, the residual must show it, too */
    CHECK_STATUS(prun_hessian_eigenpairs(&m->o, 1, &p, &before, &residual, NULL), PRUN_OK);
    count(&t[3], before, largest, residual, largest);
    p.step = 0;
    CHECK_STATUS(prun_hessian_eigenpairs(&m->o, 1, &p, &top, &residual, NULL), PRUN_OK);
    count(&t[0], top, largest, residual, largest);
    row(m, name, "largest", largest, before, top, fabs(top / largest - 1), residual / largest);
}

/* The trace against exact products with the same vectors, and against the sum of all eigenvalues;
   relative to the sum of their magnitudes, as they may cancel. */
static void compare_trace(const model *m, const char *name, tally *t) {
    prun_hessian_options p;
    prun_estimate trace, other;
    double exact = 0, size = 0;
    int i;
    for (i = 0; i < m->k; i++) {
        exact += m->values[i];
        size += fabs(m->values[i]);
    }
    memset(&p, 0, sizeof(p));
    CHECK_STATUS(prun_hessian_trace(&m->o, &p, &other, NULL), PRUN_OK);
    CHECK(other.difference_error == 0 && other.error == other.standard_error);
    p.use_differences = 1;
    CHECK_STATUS(prun_hessian_trace(&m->o, &p, &trace, NULL), PRUN_OK);
    count(&t[1], trace.value, other.value, trace.difference_error, size);
    count(&t[3], trace.value, exact, trace.error, size);
    row(m, name, "trace", exact, other.value, trace.value, fabs(trace.value - other.value) / size,
        trace.difference_error / size);
}

/* Effective dimensionality at a tenth and a thousandth of the largest eigenvalue, likewise. */
static void compare_dimension(const model *m, const char *name, tally *t) {
    const double largest = m->values[m->k - 1];
    prun_hessian_options p;
    prun_spectrum exact, s;
    int i, j;
    memset(&p, 0, sizeof(p));
    p.steps = 60;
    CHECK_STATUS(prun_hessian_spectrum(&m->o, &p, &exact), PRUN_OK);
    p.use_differences = 1;
    CHECK_STATUS(prun_hessian_spectrum(&m->o, &p, &s), PRUN_OK);
    CHECK(exact.difference_error == 0 && exact.difference_noise == 0);
    for (j = 0; j < 2; j++) {
        const double z = (j ? .001 : .1) * largest;
        prun_effective_dimension want, got;
        double sum = 0;
        for (i = 0; i < m->k; i++) sum += m->values[i] > 0 ? m->values[i] / (m->values[i] + z) : 0;
        CHECK_STATUS(prun_effective_dimensionality(&exact, z, &want), PRUN_OK);
        CHECK_STATUS(prun_effective_dimensionality(&s, z, &got), PRUN_OK);
        count(&t[2], got.estimate.value, want.estimate.value, got.estimate.difference_error, sum);
        count(&t[3], got.estimate.value, sum, got.estimate.error, sum);
        row(m, name, j ? "N_eff, z = 0.001 top" : "N_eff, z = 0.1 top", sum, want.estimate.value,
            got.estimate.value, fabs(got.estimate.value - want.estimate.value) / sum,
            got.estimate.difference_error / sum);
    }
    prun_spectrum_free(&exact);
    prun_spectrum_free(&s);
}

static void differences_of_a_kind(int kind) {
    static const struct {
        double norm, factor;
        int single;
    } of[] = {{.5, 1, 0}, {3, 1, 0},  {6, 1, 0},   {6, 1, 1},     {12, 1, 0},  {12, 1, 1},
              {26, 1, 0}, {26, 1, 1}, {100, 1, 0}, {12, 1e-6, 1}, {12, 1e6, 1}};
    tally t[4];
    int i, j;
    memset(t, 0, sizeof(t));
    for (i = 0; i < (int)(sizeof(of) / sizeof(of[0])); i++) {
        for (j = 0; j < 2 + TABLE; j++) {
            model *m = make_model(kind, of[i].norm, of[i].factor, of[i].single, (uint64_t)j);
            char name[64];
            snprintf(name, sizeof(name), "|w| %g x %g %s", of[i].norm, of[i].factor,
                     of[i].single ? "float" : "double");
            compare_largest(m, name, t);
            compare_trace(m, name, t);
            compare_dimension(m, name, t);
            free_model(m);
        }
    }
    for (i = 0; i < 4; i++) {
        static const char *const what[] = {"largest", "trace", "N_eff", "all errors"};
        CHECK((double)t[i].within >= .95 * (double)t[i].cases);
        if (TABLE)
            printf("%s, %s: %d cases, %d within 3 times the estimate, %d below 1 %%, worst %.1e\n",
                   kinds[kind], what[i], (int)t[i].cases, (int)t[i].within, (int)t[i].below,
                   t[i].worst);
    }
    CHECK(t[0].below == t[0].cases && t[1].below == t[1].cases);
    CHECK((double)t[2].below >= .9 * (double)t[2].cases); /* z as small as rounding fails */
}

static void differences_of_tanh(void) { differences_of_a_kind(TANH); }
static void differences_of_relu(void) { differences_of_a_kind(RELU); }
static void differences_of_an_lstm(void) { differences_of_a_kind(LSTM); }

/* Products with single vectors, of unit length or not: the actual error is within three times the
   reported one. A given step is used unchanged, with two gradients. */
static void products_tell_their_error(void) {
    static const double norms[] = {3, 12, 26};
    tally t;
    int kind, i, j, e;
    memset(&t, 0, sizeof(t));
    for (kind = TANH; kind <= LSTM; kind++) {
        for (i = 0; i < 12; i++) {
            model *m = make_model(kind, norms[i % 3], 1, i % 2, (uint64_t)i);
            prun_hessian_options p;
            prun_difference d;
            float v[MOST];
            double exact[MOST], got[MOST], again[MOST], off = 0, size = 0;
            memset(&p, 0, sizeof(p));
            for (j = 0; j < m->k; j++) v[j] = (float)((i < 6 ? 1 : 1e3) * ref_noise(&noise_state));
            CHECK_STATUS(prun_hessian_vector(&m->o, v, &p, exact), PRUN_OK);
            p.use_differences = 1;
            m->calls = 0;
            CHECK_STATUS(prun_hessian_difference(&m->o, v, &p, &d), PRUN_OK);
            CHECK(d.gradients == m->calls && d.gradients <= 40 && d.step > 0 && d.noise > 0);
            CHECK_STATUS(prun_hessian_vector(&m->o, v, &p, got), PRUN_OK);
            for (e = 0; e < m->k; e++) {
                off += (got[e] - exact[e]) * (got[e] - exact[e]);
                size += exact[e] * exact[e];
            }
            count(&t, sqrt(off), 0, d.error * sqrt(size), sqrt(size));
            p.step = d.step;
            m->calls = 0;
            CHECK_STATUS(prun_hessian_vector(&m->o, v, &p, again), PRUN_OK);
            CHECK(m->calls == 2);
            for (e = 0; e < m->k; e++)
                CHECK_CLOSE(again[e], got[e], 1e-3 * sqrt(size), 0); /* step is rounded once more */
            free_model(m);
        }
    }
    CHECK(t.within >= t.cases - 1 && t.below == t.cases);
}

/* Gradients that are rounded to a thousandth, and losses that are only finite near the weights: the
   residual of the largest eigenvalue shows the lost accuracy, and the eigenvalue is still found. */
static void bad_gradients_are_told(void) {
    int i;
    for (i = 0; i < 6; i++) {
        model *m = make_model(i % 2 ? LSTM : TANH, 12, 1, 0, (uint64_t)i);
        const double largest = m->values[m->k - 1];
        prun_hessian_options p;
        double top, residual, good;
        memset(&p, 0, sizeof(p));
        p.use_differences = 1;
        p.steps = m->k;
        CHECK_STATUS(prun_hessian_eigenpairs(&m->o, 1, &p, &top, &good, NULL), PRUN_OK);
        m->rounding = 1e-3;
        CHECK_STATUS(prun_hessian_eigenpairs(&m->o, 1, &p, &top, &residual, NULL), PRUN_OK);
        CHECK(residual > 3 * good && fabs(top - largest) <= 3 * residual);
        CHECK(fabs(top - largest) < .1 * largest);
        m->rounding = 0;
        m->reach = .01;
        CHECK_STATUS(prun_hessian_eigenpairs(&m->o, 1, &p, &top, &residual, NULL), PRUN_OK);
        CHECK(fabs(top - largest) < .01 * largest && residual < .1 * largest);
        free_model(m);
    }
}

/* Curvature that only short differences resolve (for nearby kinks it is the other way round): long
   ones agree with one another, but must not be trusted. */
static void close_structure_is_found(void) {
    int i, e;
    for (i = 0; i < 6; i++) {
        model *m = make_model(i % 2 ? LSTM : TANH, 3, 1, 0, (uint64_t)i);
        prun_hessian_options p;
        prun_difference d;
        float v[MOST];
        double exact[MOST], got[MOST], off = 0, size = 0;
        memset(&p, 0, sizeof(p));
        for (e = 0; e < m->k; e++) v[e] = (float)ref_noise(&noise_state);
        CHECK_STATUS(prun_hessian_vector(&m->o, v, &p, exact), PRUN_OK);
        p.use_differences = 1;
        m->needle = 1e-5;
        CHECK_STATUS(prun_hessian_difference(&m->o, v, &p, &d), PRUN_OK);
        CHECK_STATUS(prun_hessian_vector(&m->o, v, &p, got), PRUN_OK);
        for (e = 0; e < m->k; e++) {
            const double want = exact[e] + (double)v[e];
            off += (got[e] - want) * (got[e] - want);
            size += want * want;
        }
        if (!CHECK(off <= 9 * d.error * d.error * size && off <= .01 * size))
            printf("  off by %g, told %g\n", sqrt(off / size), d.error);
        free_model(m);
    }
}

/* Cases without a step to choose: exact products, a zero vector, no curvature. Also a step that is
   too long. */
static void nothing_to_choose(void) {
    model *m = make_model(TANH, 26, 1, 0, 1);
    prun_hessian_options p;
    prun_difference d;
    prun_spectrum s;
    prun_estimate trace;
    float v[MOST] = {0};
    double product[MOST];
    int i;
    memset(&p, 0, sizeof(p));
    CHECK_STATUS(prun_hessian_difference(&m->o, NULL, &p, &d), PRUN_OK);
    CHECK(d.step == 0 && d.error == 0 && d.noise == 0 && d.gradients == 0);
    p.use_differences = 1;
    CHECK_STATUS(prun_hessian_vector(&m->o, v, &p, product), PRUN_OK);
    for (i = 0; i < m->k; i++) CHECK(product[i] == 0);
    v[3] = NAN;
    CHECK_STATUS(prun_hessian_difference(&m->o, v, &p, &d), PRUN_ERR_NONFINITE);
    p.step = .02;
    CHECK_STATUS(prun_hessian_difference(&m->o, NULL, &p, &d), PRUN_OK);
    CHECK_CLOSE(d.step, .02, 0, 1e-12);
    CHECK(d.error > .05);
    CHECK_STATUS(prun_hessian_spectrum(&m->o, &p, &s), PRUN_OK);
    CHECK(s.difference_error >= d.error);
    CHECK(fabs(s.values[s.steps - 1] - m->values[m->k - 1]) <=
          3 * s.difference_error * s.values[s.steps - 1]);
    prun_spectrum_free(&s);
    p.step = 0;
    m->factor = 0;
    CHECK_STATUS(prun_hessian_spectrum(&m->o, &p, &s), PRUN_OK);
    CHECK(s.values[0] == 0 && s.difference_error == 0);
    prun_spectrum_free(&s);
    CHECK_STATUS(prun_hessian_trace(&m->o, &p, &trace, NULL), PRUN_OK);
    CHECK(trace.value == 0 && trace.error == 0);
    free_model(m);
}

/* The total error contains its parts, and with few vectors the spread is no smaller than the
   spectrum implies. Otherwise three runs whose values happen to agree would claim to be exact. */
static void errors_add_up(void) {
    model *m = make_model(LSTM, 6, 1, 0, 2);
    prun_hessian_options p;
    int seed, bad = 0, cases = 0, z;
    memset(&p, 0, sizeof(p));
    p.probes = 3;
    p.steps = m->k; /* no quadrature error: the spread alone */
    for (seed = 0; seed < 40; seed++) {
        prun_spectrum s;
        p.seed = (uint64_t)seed;
        CHECK_STATUS(prun_hessian_spectrum(&m->o, &p, &s), PRUN_OK);
        for (z = 0; z < 2; z++) {
            prun_effective_dimension n;
            double want = 0, at = (z ? .003 : .1) * m->values[m->k - 1];
            int i;
            for (i = 0; i < m->k; i++)
                want += m->values[i] > 0 ? m->values[i] / (m->values[i] + at) : 0;
            CHECK_STATUS(prun_effective_dimensionality(&s, at, &n), PRUN_OK);
            CHECK_CLOSE(n.estimate.error,
                        hypot(n.estimate.standard_error, n.estimate.quadrature_error), 0, 1e-12);
            CHECK(n.estimate.difference_error == 0);
            CHECK_CLOSE(n.fraction.error, n.estimate.error / (double)m->k, 0, 1e-12);
            bad += fabs(n.estimate.value - want) > 2 * n.estimate.error;
            cases++;
        }
        prun_spectrum_free(&s);
    }
    CHECK(bad <= .07 * cases);
    free_model(m);
}

/* Measures on an objective without exact products say so, and report their uncertainty. */
static void measures_tell_their_error(void) {
    model *m = make_model(LSTM, 26, 1, 0, 1);
    prun_measure_options options;
    prun_measurement *measurement = NULL;
    prun_measure_result r;
    int path;
    memset(&options, 0, sizeof(options));
    for (path = 0; path < 2; path++) {
        if (path == 1) m->o.hessian_vector = NULL;
        options.hessian_steps = 0;
        CHECK_STATUS(prun_measurement_create(&m->o, &options, &measurement), PRUN_OK);
        prun_measure(measurement, "hessian_largest", &r);
        CHECK_CLOSE(r.value, m->values[m->k - 1], 0, .01);
        CHECK((strstr(r.message, "finite differences, relative error about 0.") != NULL) == path);
        CHECK(strstr(r.message, "converged") == NULL);
        prun_measure(measurement, "hessian_trace", &r);
        CHECK(strstr(r.message, "raise draws") != NULL && r.standard_error > .1 * fabs(r.value));
        CHECK((strstr(r.message, "finite differences, relative error about") != NULL) == path);
        prun_measurement_free(measurement);
        options.hessian_steps = 5;
        CHECK_STATUS(prun_measurement_create(&m->o, &options, &measurement), PRUN_OK);
        prun_measure(measurement, "effective_dimensionality_slq_z391", &r);
        CHECK(strstr(r.message, "5 Lanczos steps do not resolve z = 0.0026") != NULL);
        CHECK(r.standard_error > .1 * r.value);
        prun_measure(measurement, "effective_dimensionality_z391", &r);
        CHECK(strstr(r.message, "the 5 Ritz values miss about") != NULL);
        prun_measurement_free(measurement);
        options.hessian_steps = 2;
        CHECK_STATUS(prun_measurement_create(&m->o, &options, &measurement), PRUN_OK);
        prun_measure(measurement, "hessian_largest", &r);
        CHECK(strstr(r.message, "not converged") != NULL);
        prun_measurement_free(measurement);
    }
    free_model(m);
}

static const test_case cases[] = {
    TEST_CASE(differences_of_tanh),       TEST_CASE(differences_of_relu),
    TEST_CASE(differences_of_an_lstm),    TEST_CASE(products_tell_their_error),
    TEST_CASE(bad_gradients_are_told),    TEST_CASE(close_structure_is_found),
    TEST_CASE(nothing_to_choose),         TEST_CASE(errors_add_up),
    TEST_CASE(measures_tell_their_error),
};

int main(int argc, char **argv) { return TEST_MAIN("test_hessian_differences", cases, argc, argv); }
