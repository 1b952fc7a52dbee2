/* test_spectrum.c - section SPECTRUM: Lanczos and quadrature, density, effective dimensionality,
   against the eigenvalues of the dense matrix. */
#include "implementation.h" /* for prun__tridiagonal_find_eigenpairs and its random stream */

#include <stdlib.h>

#include "second_order.h"

/* Dense symmetric matrices */

static double dimension(const double *values, int64_t n, double z) {
    double sum = 0;
    int64_t i;
    for (i = 0; i < n; i++) sum += values[i] > 0 ? values[i] / (values[i] + z) : 0;
    return sum;
}

static void random_matrix(int64_t n, int kind, double *a, double *b) {
    int64_t i;
    for (i = 0; i < n; i++) {
        double p = ref_noise(&noise_state), q = ref_noise(&noise_state);
        double grade = pow(10, -0.5 * (double)i);
        a[i] = kind == 0   ? p
               : kind == 1 ? p * grade
               : kind == 2 ? fabs((double)(2 * i - n + 1))
               : kind == 3 ? 2
               : kind == 4 ? 1e200 * p
                           : 0;
        b[i] = kind == 0   ? q
               : kind == 1 ? q * grade
               : kind == 2 ? 1
               : kind == 3 ? (i % 3 == 2 ? 0 : 1)
               : kind == 4 ? 1e200 * q
                           : 0;
    }
}

/* Eigenvalues against Jacobi rotations; eigenvectors by residuals and orthogonality. */
static void tridiagonal_eigenproblem(void) {
    static const int64_t sizes[] = {1, 2, 3, 21, 60};
    double a[60], b[60], d[60], e[60], first[60], values[60];
    double *full = (double *)allocate(3600, sizeof(double));
    double *z = (double *)allocate(3600, sizeof(double));
    int64_t i, j, r;
    int s, kind;
    for (s = 0; s < 5; s++) {
        for (kind = 0; kind < 6; kind++) {
            const int64_t n = sizes[s];
            double scale = 0;
            random_matrix(n, kind, a, b);
            memset(full, 0, 3600 * sizeof(double));
            memset(z, 0, 3600 * sizeof(double));
            for (i = 0; i < n; i++) {
                full[i * n + i] = a[i];
                if (i + 1 < n) full[i * n + i + 1] = full[(i + 1) * n + i] = b[i];
                scale = fmax(scale, fmax(fabs(a[i]), fabs(b[i])));
                z[i * n + i] = 1;
            }
            memcpy(d, a, sizeof(a)), memcpy(e, b, sizeof(b));
            CHECK_STATUS(prun__tridiagonal_find_eigenpairs(&test_context, d, e, n, z, n), PRUN_OK);
            ref_eigenvalues(full, n, values, NULL);
            for (i = 0; i < n; i++) CHECK_CLOSE(d[i], values[i], 1e-13 * scale, 0);
            for (i = 0; i < n; i++) {
                const double *x = z + i * n;
                double residual = 0;
                for (r = 0; r < n; r++) {
                    double y = a[r] * x[r] - d[i] * x[r];
                    if (r > 0) y += b[r - 1] * x[r - 1];
                    if (r + 1 < n) y += b[r] * x[r + 1];
                    residual = fmax(residual, fabs(y));
                }
                CHECK(residual <= 1e-12 * scale);
                for (j = 0; j <= i; j++) {
                    double inner = 0;
                    for (r = 0; r < n; r++) inner += x[r] * z[j * n + r];
                    CHECK_CLOSE(inner, i == j, 1e-12, 0);
                }
            }
            memset(first, 0, sizeof(first));
            first[0] = 1;
            memcpy(d, a, sizeof(a)), memcpy(e, b, sizeof(b));
            CHECK_STATUS(prun__tridiagonal_find_eigenpairs(&test_context, d, e, n, first, 1),
                         PRUN_OK);
            for (i = 0; i < n; i++) CHECK_CLOSE(fabs(first[i]), fabs(z[i * n]), 1e-12, 0);
        }
    }
    free(full);
    free(z);
}

/* A quadratic loss */

/* Includes multiple eigenvalues, where the Lanczos run breaks down early and is restarted. */
static void eigenvalues_of_a_quadratic(void) {
    quadratic q;
    prun_hessian_options options = every_tensor();
    prun_spectrum s;
    int64_t i;
    int path, run;
    make_quadratic(&q, spread);
    for (path = 0; path < 2; path++) {
        for (run = 0; run < 5; run++) {
            options.use_differences = path;
            options.seed = (uint64_t)run;
            options.summed = run == 4;
            if (!CHECK_STATUS(prun_hessian_spectrum(&q.o, &options, &s), PRUN_OK)) return;
            CHECK(s.parameters == QUADRATIC && s.steps == QUADRATIC && s.probes == 1);
            for (i = 0; i < QUADRATIC; i++)
                CHECK_CLOSE(s.values[i], (run == 4 ? 6 : 2) * spread[i], path ? 2e-2 : 1e-4, 0);
            prun_spectrum_free(&s);
            CHECK(restored(&q));
        }
    }
}

/* A zero Hessian and the identity: every step breaks down. */
static void eigenvalues_after_breakdown(void) {
    quadratic q;
    double values[QUADRATIC];
    prun_hessian_options options = every_tensor();
    prun_effective_dimension n;
    prun_estimate trace;
    prun_spectrum s;
    int64_t i;
    int one;
    for (one = 0; one < 2; one++) {
        for (i = 0; i < QUADRATIC; i++) values[i] = one * 0.5; /* times 2: the mean of 1, 2, 3 */
        make_quadratic(&q, values);
        options.probes = 2;
        if (!CHECK_STATUS(prun_hessian_spectrum(&q.o, &options, &s), PRUN_OK)) return;
        for (i = 0; i < 2 * QUADRATIC; i++) CHECK_CLOSE(s.values[i], one, 1e-6, 0);
        CHECK_STATUS(prun_effective_dimensionality(&s, 1, &n), PRUN_OK);
        CHECK_CLOSE(n.ritz, one * QUADRATIC / 2.0, 1e-5, 0);
        CHECK_CLOSE(n.ritz_fraction, one / 2.0, 1e-6, 0);
        CHECK_CLOSE(n.estimate.value, one * QUADRATIC / 2.0, 1e-5, 0);
        CHECK_CLOSE(n.fraction.value, one / 2.0, 1e-6, 0);
        CHECK(n.estimate.standard_error <= 1e-5 && n.estimate.quadrature_error == 0);
        CHECK_STATUS(prun_hessian_trace(&q.o, &options, &trace, NULL), PRUN_OK);
        CHECK_CLOSE(trace.value, one * QUADRATIC, 1e-5, 0);
        CHECK(trace.standard_error <= 1e-5);
        prun_spectrum_free(&s);
    }
}

/* The published example, whose negative eigenvalue is clipped, and a step count below k. */
static void effective_dimensionality_by_hand(void) {
    static const double values[] = {-0.2, 0, 0, 0.01, 0.1, 1, 5, 10};
    double weights[8], diagonal[8] = {5, 1, 1, 1, 1, 1, 1, 1}, couplings[8] = {0};
    prun_effective_dimension n;
    prun_spectrum s;
    int i;
    memset(&s, 0, sizeof(s));
    for (i = 0; i < 8; i++) weights[i] = 0.125;
    s.context = &test_context;
    s.parameters = s.steps = 8;
    s.probes = 1;
    s.values = (double *)(uintptr_t)values;
    s.weights = weights;
    s.diagonal = diagonal;
    s.couplings = couplings;
    if (!CHECK_STATUS(prun_effective_dimensionality(&s, 1, &n), PRUN_OK)) return;
    CHECK_CLOSE(n.ritz, 2.3432343234323434, 1e-14, 0);
    CHECK_CLOSE(n.ritz_fraction, 0.2929042904290429, 1e-15, 0);
    CHECK_CLOSE(n.estimate.value, 2.3432343234323434, 1e-14, 0);
    CHECK(n.estimate.standard_error == HUGE_VAL && n.estimate.quadrature_error == 0);
    s.parameters = 16; /* the rule of 8 steps is no longer exact */
    CHECK_STATUS(prun_effective_dimensionality(&s, 1, &n), PRUN_OK);
    CHECK_CLOSE(n.estimate.quadrature_error, fabs(16 * (2.3432343234323434 / 8 - 5 / 6.0)), 1e-13,
                0);
    CHECK_STATUS(prun_effective_dimensionality(&s, 0, &n), PRUN_ERR_ARGUMENT);
    CHECK_STATUS(prun_effective_dimensionality(&s, -1, &n), PRUN_ERR_ARGUMENT);
    CHECK_STATUS(prun_effective_dimensionality(&s, NAN, &n), PRUN_ERR_ARGUMENT);
    s.probes = 0;
    CHECK_STATUS(prun_effective_dimensionality(&s, 1, &n), PRUN_ERR_ARGUMENT);
}

/* Estimates on a network */

/* `steps` exact Lanczos steps on the dense matrix, modified Gram-Schmidt: sum over Ritz values. */
static double exact_lanczos(const network *t, int64_t steps, double z) {
    double *q = (double *)allocate((steps + 1) * t->k, sizeof(double));
    double *m = (double *)allocate(steps * steps, sizeof(double)), *ritz, norm = 0, result;
    int64_t i, j, e;
    for (e = 0; e < t->k; e++) {
        q[e] = prun_random_normal(t->options.seed, PRUN__STREAM_HESSIAN, (uint64_t)e);
        norm += q[e] * q[e];
    }
    for (e = 0; e < t->k; e++) q[e] /= sqrt(norm);
    for (j = 0; j < steps; j++) {
        double *r = q + (j + 1) * t->k;
        for (e = 0; e < t->k; e++)
            for (i = 0; i < t->k; i++) r[e] += t->h[e * t->k + i] * q[j * t->k + i];
        for (i = 0; i < 2 * (j + 1); i++) {
            const double *u = q + i % (j + 1) * t->k;
            double inner = 0;
            for (e = 0; e < t->k; e++) inner += u[e] * r[e];
            for (e = 0; e < t->k; e++) r[e] -= inner * u[e];
            if (i % (j + 1) == j) m[j * steps + j] += inner;
        }
        for (norm = 0, e = 0; e < t->k; e++) norm += r[e] * r[e];
        if (j + 1 < steps) m[j * steps + j + 1] = m[(j + 1) * steps + j] = sqrt(norm);
        for (e = 0; e < t->k; e++) r[e] /= sqrt(norm);
    }
    ritz = (double *)allocate(steps, sizeof(double));
    ref_eigenvalues(m, steps, ritz, NULL);
    result = dimension(ritz, steps, z);
    free(q), free(m), free(ritz);
    return result;
}

static double identity(void *user, double x) {
    (void)user;
    return x;
}
static double one(void *user, double x) {
    (void)user;
    (void)x;
    return 1;
}
static double broken(void *user, double x) {
    (void)user;
    return x > 0 ? NAN : 1;
}

static void effective_dimensionality_of_a_network(void) {
    static const double zs[] = {1, 1.0 / 391, 1e-4};
    static const int64_t steps[] = {20, 100, 1000};
    network t;
    int i, s;
    if (!make_network(&t)) return;
    CHECK(t.k > 200);
    for (s = 0; s < 3; s++) {
        prun_spectrum spectrum;
        prun_estimate trace;
        double sum = 0;
        int64_t j;
        t.options.steps = steps[s];
        t.options.seed = (uint64_t)s;
        if (!CHECK_STATUS(prun_hessian_spectrum(&t.o, &t.options, &spectrum), PRUN_OK)) break;
        CHECK(spectrum.probes == 10 && spectrum.steps == smaller(steps[s], t.k));
        for (i = 0; i < 3; i++) {
            const double dense = dimension(t.values, t.k, zs[i]);
            prun_effective_dimension n;
            CHECK_STATUS(prun_effective_dimensionality(&spectrum, zs[i], &n), PRUN_OK);
            CHECK(n.estimate.count == 10 && n.z == zs[i]);
            CHECK_CLOSE(n.ritz_fraction, n.ritz / (double)t.k, 0, 1e-14);
            CHECK_CLOSE(n.fraction.value, n.estimate.value / (double)t.k, 0, 1e-14);
            if (s == 2) CHECK_CLOSE(n.ritz, dense, 0, 1e-2);
            else CHECK_CLOSE(n.ritz, exact_lanczos(&t, steps[s], zs[i]), 0, 1e-2);
            CHECK_CLOSE(n.estimate.value, dense,
                        4 * n.estimate.standard_error + n.estimate.quadrature_error + 1e-3 * dense,
                        0);
        }
        for (j = 0; j < t.k; j++) sum += t.values[j];
        CHECK_STATUS(prun_spectrum_trace(&spectrum, identity, NULL, &trace), PRUN_OK);
        CHECK_CLOSE(trace.value, sum, 4 * trace.standard_error, 0);
        CHECK_STATUS(prun_spectrum_trace(&spectrum, one, NULL, &trace), PRUN_OK);
        CHECK_CLOSE(trace.value, t.k, 1e-9 * (double)t.k, 0);
        CHECK_STATUS(prun_spectrum_trace(&spectrum, broken, NULL, &trace), PRUN_ERR_NONFINITE);
        prun_spectrum_free(&spectrum);
    }
    free_network(&t);
}

static void density_of_a_network(void) {
    enum { POINTS = 400 };
    network t;
    prun_spectrum s;
    double grid[POINTS], density[POINTS], errors[POINTS], area = 0, low, high, width;
    double outside = 0;
    int64_t j;
    int i;
    if (!make_network(&t)) return;
    low = t.values[0], high = t.values[t.k - 1];
    width = 0.03 * (high - low);
    low -= 5 * width, high += 5 * width;
    for (i = 0; i < POINTS; i++) grid[i] = low + (high - low) * i / (POINTS - 1);
    t.options.probes = 30;
    CHECK_STATUS(prun_hessian_spectrum(&t.o, &t.options, &s), PRUN_OK);
    CHECK_STATUS(prun_spectrum_density(&s, grid, POINTS, width, density, errors), PRUN_OK);
    for (i = 0; i < POINTS; i++) {
        double want = 0;
        for (j = 0; j < t.k; j++) want += exp(-0.5 * pow((grid[i] - t.values[j]) / width, 2));
        want /= (double)t.k * width * sqrt(2 * acos(-1.0));
        outside += fabs(density[i] - want) > 3 * errors[i] + 1e-3 * want + 1e-9;
        area += density[i] * (high - low) / (POINTS - 1);
    }
    CHECK(outside <= 0.05 * POINTS);
    CHECK_CLOSE(area, 1, 1e-4, 0);
    CHECK_STATUS(prun_spectrum_density(&s, grid, POINTS, 0, density, NULL), PRUN_OK);
    for (area = 0, i = 0; i < POINTS; i++) area += density[i] * (high - low) / (POINTS - 1);
    CHECK_CLOSE(area, 1, 1e-2, 0);
    CHECK_STATUS(prun_spectrum_density(&s, grid, 1, 0, density, NULL), PRUN_ERR_ARGUMENT);
    CHECK_STATUS(prun_spectrum_density(&s, grid, 0, 1, density, NULL), PRUN_ERR_ARGUMENT);
    CHECK_STATUS(prun_spectrum_density(&s, grid, 9, -1, density, NULL), PRUN_ERR_ARGUMENT);
    grid[5] = NAN;
    CHECK_STATUS(prun_spectrum_density(&s, grid, 9, 1, density, NULL), PRUN_ERR_ARGUMENT);
    prun_spectrum_free(&s);
    free_network(&t);
}

static void spectrum_is_the_same_for_any_threads(void) {
    static const int32_t threads[] = {1, 2, 5};
    dataset d = make_set(70, 3, 32, 32, 10);
    prun_spectrum s[3];
    int i;
    for (i = 0; i < 3; i++) {
        prun_context context;
        prun_arch arch;
        prun_net *net;
        prun_objective o;
        prun_hessian_options options;
        memset(&context, 0, sizeof(context));
        memset(&arch, 0, sizeof(arch));
        memset(&options, 0, sizeof(options));
        context.threads = threads[i];
        if (i == 2) context.parallel_for = backwards;
        arch.width = 2;
        options.steps = 12;
        options.probes = 2;
        CHECK_STATUS_IN(&context, prun_net_create_cnn(&context, &arch, &net), PRUN_OK);
        CHECK_STATUS_IN(&context, prun_net_objective(net, &d.images, &o), PRUN_OK);
        CHECK_STATUS_IN(&context, prun_hessian_spectrum(&o, &options, &s[i]), PRUN_OK);
        CHECK(memcmp(s[0].values, s[i].values, 24 * sizeof(double)) == 0);
        CHECK(memcmp(s[0].weights, s[i].weights, 24 * sizeof(double)) == 0);
        prun_net_free(net);
        s[i].context = NULL; /* freed after its context is gone */
    }
    for (i = 0; i < 3; i++) prun_spectrum_free(&s[i]);
    free_set(&d);
}

static const test_case cases[] = {
    TEST_CASE(tridiagonal_eigenproblem),
    TEST_CASE(eigenvalues_of_a_quadratic),
    TEST_CASE(eigenvalues_after_breakdown),
    TEST_CASE(effective_dimensionality_by_hand),
    TEST_CASE(effective_dimensionality_of_a_network),
    TEST_CASE(density_of_a_network),
    TEST_CASE(spectrum_is_the_same_for_any_threads),
};

int main(int argc, char **argv) { return TEST_MAIN("test_spectrum", cases, argc, argv); }
