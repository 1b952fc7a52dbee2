/* test_singular.c - section SINGULAR: singular values against one-sided Jacobi rotations and closed
   forms, for matrices of every shape and scale; eigenvalues of weights against those of their
   slices; power laws against another implementation; spectra of weights, and measures that average
   them, against the definitions of Martin, Peng and Mahoney. */
#include "../prunability.h"
#include "fixed.h"
#include "singular_reference.h"
#include "test.h"

#include <float.h>
#include <stdlib.h>

/* ---- singular values ------------------------------------------------------------------------- */

static int descending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

static double worst; /* largest error relative to the largest value since the last reset */

/* Compares the values of the matrix and of its transpose with the oracle's. */
static void compare(const float *w, int64_t rows, int64_t columns) {
    truth right = decompose_matrix(w, rows, columns);
    double *values = (double *)malloc((size_t)right.count * sizeof *values);
    int64_t i;
    int transposed;
    qsort(right.values, (size_t)right.count, sizeof *right.values, descending);
    for (transposed = 0; transposed < 2; transposed++) {
        const int64_t r = transposed ? columns : rows, c = transposed ? rows : columns;
        CHECK_STATUS(prun_singular_values(&test_context, w, r, c, transposed ? 1 : columns,
                                          transposed ? columns : 1, values),
                     PRUN_OK);
        for (i = 0; i < right.count; i++) {
            const double error = fabs(values[i] - right.values[i]);
            worst = fmax(worst, right.largest > 0 ? error / right.largest : error);
            if (!CHECK(error <= 5e-14 * right.largest) || !CHECK(values[i] >= 0) ||
                !CHECK(i == 0 || values[i] <= values[i - 1]))
                printf("  %d x %d, %d: %.17g, should be %.17g\n", (int)r, (int)c, (int)i, values[i],
                       right.values[i]);
        }
    }
    free(values);
    free(right.values);
}

static void spectra_of_every_shape(void) {
    static const int64_t sizes[][2] = {{1, 1},          {1, 30},         {30, 1},  {2, 3},
                                       {7, 7},          {8, 9},          {17, 5},  {3, 90},
                                       {ROWS, COLUMNS}, {COLUMNS, ROWS}, {130, 16}};
    static const double scales[] = {1, 1e-30, 1e37, 1e-44};
    static float w[130 * COLUMNS];
    int shape;
    size_t size, scale;
    worst = 0;
    for (shape = 0; shape < SHAPES; shape++)
        for (size = 0; size < sizeof sizes / sizeof *sizes; size++)
            for (scale = 0; scale < sizeof scales / sizeof *scales; scale++) {
                const int64_t rows = sizes[size][0], columns = sizes[size][1];
                make_matrix(w, rows, columns, shape, scales[scale], (uint64_t)size + 30);
                compare(w, rows, columns);
            }
    printf("%d spectra, each also transposed: largest error %.2g of the largest value\n",
           (int)(SHAPES * sizeof sizes / sizeof *sizes * sizeof scales / sizeof *scales), worst);
}

static void random_matrices(void) {
    static float w[90 * 64];
    int test;
    worst = 0;
    for (test = 0; test < 60; test++) {
        const int64_t rows = 1 + 53 * test % 90, columns = 1 + 29 * test % 64;
        int64_t i;
        for (i = 0; i < rows * columns; i++) {
            w[i] = (float)normal(400 + (uint64_t)test, i);
            if (test % 3 == 1) w[i] = w[i] > 0.8f ? w[i] : 0.0f; /* pruned */
            if (test % 3 == 2) w[i] *= (float)pow(0.1, 30.0 * (double)(i % columns) / 64);
        }
        compare(w, rows, columns);
    }
    printf("60 random matrices, each also transposed: largest error %.2g of the largest value\n",
           worst);
}

enum { SIDE = 48 };

/* Well-known kinds of matrices. */
static float named_element(int kind, int64_t i, int64_t j) {
    switch (kind) {
        case 0: return 0;                                                    /* zero */
        case 1: return 1;                                                    /* ones */
        case 2: return (float)(i == j);                                      /* identity */
        case 3: return 1.0f / (float)(i + j + 1);                            /* Hilbert */
        case 4: return i == j ? 2.0f : i - j == 1 || j - i == 1 ? -1.0f : 0; /* Toeplitz */
        case 5: return (float)(normal(1, i * SIDE + j) * pow(10, -30.0 * (double)j / (SIDE - 1)));
        case 6: return i == j ? 1.0f : j > i ? -1.0f : 0;                     /* Kahan, Wilkinson */
        case 7: return i == j ? (float)(i + 1) : 0;                           /* diagonal */
        case 8: return i == 0 && j == SIDE - 1 ? -3.0f : 0;                   /* one element */
        case 9: return (i + 1) % SIDE == j ? 1.0f : 0;                        /* permutation */
        default: return i == j ? 1.0f : i - j == 1 || j - i == 1 ? 1e-7f : 0; /* almost identity */
    }
}

static void matrices_that_have_names(void) {
    static float w[SIDE * SIDE];
    double values[SIDE];
    int kind;
    int64_t i, j;
    worst = 0;
    for (kind = 0; kind < 11; kind++) {
        for (i = 0; i < SIDE; i++)
            for (j = 0; j < SIDE; j++) w[i * SIDE + j] = named_element(kind, i, j);
        compare(w, SIDE, SIDE);
        compare(w, SIDE / 2, SIDE);
        CHECK_STATUS(prun_singular_values(&test_context, w, SIDE, SIDE, SIDE, 1, values), PRUN_OK);
        for (i = 0; i < SIDE; i++) {
            const double angle = 3.14159265358979323846 * (double)(SIDE - i) / (SIDE + 1);
            if (kind == 0) CHECK(values[i] == 0);
            if (kind == 1) CHECK_CLOSE(values[i], i ? 0 : SIDE, 1e-13 * SIDE, 0);
            if (kind == 2 || kind == 9) CHECK_CLOSE(values[i], 1, 1e-15, 0);
            if (kind == 4) CHECK_CLOSE(values[i], 2 - 2 * cos(angle), 1e-14, 0);
            if (kind == 7) CHECK_CLOSE(values[i], SIDE - i, 1e-14 * SIDE, 0);
            if (kind == 8) CHECK_CLOSE(values[i], i ? 0 : 3, 1e-15, 0);
        }
    }
    printf("matrices with names: largest error %.2g of the largest value\n", worst);
}

/* Part of a larger matrix, rows or columns in reverse, and a slice of a convolution's kernel. */
static void steps_reach_every_element(void) {
    enum { OUT = 6, IN = 5, HEIGHT = 3, WIDTH = 2, TAPS = HEIGHT * WIDTH };
    static float w[OUT * IN * TAPS], part[OUT * IN];
    double got[OUT], want[OUT];
    int64_t i, j, a;
    const int64_t n = OUT < IN ? OUT : IN;
    for (i = 0; i < OUT * IN * TAPS; i++) w[i] = (float)normal(2, i);
    for (a = 0; a < TAPS; a++) {
        for (i = 0; i < OUT; i++)
            for (j = 0; j < IN; j++) part[i * IN + j] = w[(i * IN + j) * TAPS + a];
        CHECK_STATUS(prun_singular_values(&test_context, part, OUT, IN, IN, 1, want), PRUN_OK);
        CHECK_STATUS(prun_singular_values(&test_context, w + a, OUT, IN, IN * TAPS, TAPS, got),
                     PRUN_OK);
        CHECK(memcmp(got, want, (size_t)n * sizeof *got) == 0);
        CHECK_STATUS(prun_singular_values(&test_context, w + a, IN, OUT, TAPS, IN * TAPS, got),
                     PRUN_OK);
        for (i = 0; i < n; i++) CHECK_CLOSE(got[i], want[i], 1e-14 * want[0], 0);
        CHECK_STATUS(
            prun_singular_values(&test_context, part + OUT * IN - 1, OUT, IN, -IN, -1, got),
            PRUN_OK);
        for (i = 0; i < n; i++) CHECK_CLOSE(got[i], want[i], 1e-14 * want[0], 0);
    }
    /* rows 1 and 2, columns 2 .. 4 of a matrix of IN columns */
    for (i = 0; i < 2; i++)
        for (j = 0; j < 3; j++) part[i * 3 + j] = w[(i + 1) * IN + j + 2];
    CHECK_STATUS(prun_singular_values(&test_context, part, 2, 3, 3, 1, want), PRUN_OK);
    CHECK_STATUS(prun_singular_values(&test_context, w + IN + 2, 2, 3, IN, 1, got), PRUN_OK);
    CHECK(memcmp(got, want, 2 * sizeof *got) == 0);
    /* steps of 0 repeat one element: a matrix of rank one */
    CHECK_STATUS(prun_singular_values(&test_context, w, 4, 9, 0, 0, got), PRUN_OK);
    CHECK_CLOSE(got[0], 6 * fabs((double)w[0]), 0, 1e-14);
    CHECK(got[1] <= 1e-14 * got[0]);
}

static void arguments_that_are_refused(void) {
    float w[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    double values[4] = {-1, -1, -1, -1};
    CHECK_STATUS(prun_singular_values(&test_context, w, 0, 4, 4, 1, values), PRUN_ERR_SHAPE);
    CHECK(strstr(test_context.message, "0 x 4") != NULL);
    CHECK_STATUS(prun_singular_values(&test_context, w, 3, -1, 4, 1, values), PRUN_ERR_SHAPE);
    w[7] = NAN;
    CHECK_STATUS(prun_singular_values(&test_context, w, 3, 4, 4, 1, values), PRUN_ERR_NONFINITE);
    CHECK(strstr(test_context.message, "(1, 3)") != NULL);
    CHECK_STATUS(prun_singular_values(&test_context, w, 4, 3, 1, 4, values), PRUN_ERR_NONFINITE);
    CHECK(strstr(test_context.message, "(3, 1)") != NULL);
    CHECK_STATUS(prun_singular_values(&test_context, w, 3, 3, 4, 1, values), PRUN_OK);
    w[7] = -(float)HUGE_VAL;
    values[0] = -1;
    CHECK_STATUS(prun_singular_values(&test_context, w, 3, 4, 4, 1, values), PRUN_ERR_NONFINITE);
    CHECK(values[0] == -1);
}

/* ---- threads --------------------------------------------------------------------------------- */

static prun_tensor kernel(float *w, int64_t out, int64_t in, int64_t height, int64_t width) {
    prun_tensor t = matrix(w, out, in);
    t.name = "kernel";
    t.rank = 4;
    t.shape[2] = height;
    t.shape[3] = width;
    return t;
}

static void equal_bits_for_any_threads(void) {
    enum { OUT = 24, IN = 33, TAPS = 6 };
    static const char *const isa[] = {"portable", "avx2", "avx512"};
    static float w[OUT * IN * TAPS];
    static double first[2][OUT * TAPS], got[OUT * TAPS];
    const prun_tensor t = kernel(w, OUT, IN, 2, 3);
    int64_t i, items = 0, count;
    int threads;
    prun_context context;
    for (i = 0; i < OUT * IN * TAPS; i++) w[i] = (float)normal(3, i);
    memset(&context, 0, sizeof context);
    for (threads = 1; threads < 12; threads++) {
        context.threads = threads > 8 ? 3 : threads;
        if (threads > 1) {
            context.parallel_for = last_first;
            context.parallel_user = &items;
        }
        if (threads > 8 && prun_isa_set(isa[threads - 9]) != PRUN_OK) continue;
        CHECK_STATUS_IN(&context,
                        prun_singular_values(&context, w, OUT, IN * TAPS, IN * TAPS, 1, got),
                        PRUN_OK);
        if (threads == 1) memcpy(first[0], got, sizeof got);
        CHECK(memcmp(first[0], got, OUT * sizeof *got) == 0);
        CHECK_STATUS_IN(&context, prun_weight_eigenvalues(&context, &t, 0, got, &count), PRUN_OK);
        if (threads == 1) memcpy(first[1], got, sizeof got);
        CHECK(count == OUT * TAPS && memcmp(first[1], got, sizeof got) == 0);
    }
    prun_isa_set(NULL);
    CHECK(items > 0);
}

/* ---- eigenvalues of weights ------------------------------------------------------------------ */

static int ascending(const void *a, const void *b) { return descending(b, a); }

static void eigenvalues_of_a_kernel_are_those_of_its_slices(void) {
    enum { OUT = 7, IN = 4, TAPS = 15 };
    static float w[OUT * IN * TAPS];
    const prun_tensor t = kernel(w, OUT, IN, 3, 5);
    double got[IN * TAPS], want[IN * TAPS];
    int64_t i, a, count = -1;
    for (i = 0; i < OUT * IN * TAPS; i++) w[i] = (float)normal(4, i);
    for (i = 0; i < OUT * IN; i++) w[i * TAPS + 7] = 0; /* one slice is zero */
    CHECK_STATUS(prun_weight_eigenvalues(&test_context, &t, 0, NULL, &count), PRUN_OK);
    CHECK(count == IN * TAPS);
    CHECK_STATUS(prun_weight_eigenvalues(&test_context, &t, 0, got, &count), PRUN_OK);
    CHECK(count == IN * TAPS);
    for (a = 0; a < TAPS; a++)
        CHECK_STATUS(
            prun_singular_values(&test_context, w + a, OUT, IN, IN * TAPS, TAPS, want + a * IN),
            PRUN_OK);
    for (i = 0; i < IN * TAPS; i++) want[i] *= want[i];
    qsort(want, IN * TAPS, sizeof *want, ascending);
    for (i = 0; i < IN * TAPS; i++) CHECK(got[i] == want[i]);
    for (i = 0; i < IN; i++) CHECK(got[i] == 0);
    /* as one matrix */
    CHECK_STATUS(prun_weight_eigenvalues(&test_context, &t, 1, NULL, &count), PRUN_OK);
    CHECK(count == OUT);
    CHECK_STATUS(prun_weight_eigenvalues(&test_context, &t, 1, got, &count), PRUN_OK);
    CHECK_STATUS(prun_singular_values(&test_context, w, OUT, IN * TAPS, IN * TAPS, 1, want),
                 PRUN_OK);
    for (i = 0; i < OUT; i++) CHECK(got[i] == want[OUT - 1 - i] * want[OUT - 1 - i]);
}

static void eigenvalues_of_tensors_of_any_rank(void) {
    static float w[24];
    prun_tensor t = matrix(w, 4, 6);
    double got[24], want[24];
    int64_t i, count;
    int whole;
    for (i = 0; i < 24; i++) w[i] = (float)(i % 5) - 1.5f;
    CHECK_STATUS(prun_singular_values(&test_context, w, 4, 6, 6, 1, want), PRUN_OK);
    for (whole = 0; whole < 2; whole++) {
        t = matrix(w, 4, 6);
        CHECK_STATUS(prun_weight_eigenvalues(&test_context, &t, whole, got, &count), PRUN_OK);
        CHECK(count == 4);
        for (i = 0; i < count; i++) CHECK(got[i] == want[3 - i] * want[3 - i]);
        t.rank = 1; /* one column */
        CHECK_STATUS(prun_weight_eigenvalues(&test_context, &t, whole, got, &count), PRUN_OK);
        CHECK(count == 1);
        CHECK_CLOSE(got[0], 2.25 + .25 + .25 + 2.25, 0, 1e-14);
        t.rank = 0;
        CHECK_STATUS(prun_weight_eigenvalues(&test_context, &t, whole, got, &count), PRUN_OK);
        CHECK(count == 1);
        CHECK_CLOSE(got[0], 2.25, 0, 1e-14);
        t.rank = 3; /* 2 x 3 x 4: four matrices of 2 x 3 */
        t.shape[0] = 2;
        t.shape[1] = 3;
        t.shape[2] = 4;
        CHECK_STATUS(prun_weight_eigenvalues(&test_context, &t, whole, got, &count), PRUN_OK);
        CHECK(count == (whole ? 2 : 8));
    }
    t.shape[1] = 0;
    CHECK_STATUS(prun_weight_eigenvalues(&test_context, &t, 0, NULL, &count), PRUN_ERR_SHAPE);
    CHECK(strstr(test_context.message, "W is empty") != NULL);
    t = matrix(w, 4, 6);
    w[10] = NAN;
    CHECK_STATUS(prun_weight_eigenvalues(&test_context, &t, 0, got, &count), PRUN_ERR_NONFINITE);
    CHECK(strstr(test_context.message, "W[10]") != NULL);
    t.name = NULL;
    CHECK_STATUS(prun_weight_eigenvalues(&test_context, &t, 0, got, &count), PRUN_ERR_NONFINITE);
    CHECK(strstr(test_context.message, "the tensor[10]") != NULL);
}

/* ---- power laws ------------------------------------------------------------------------------ */

/* Sixty eigenvalues for which the distance to both steps of the empirical distribution would select
   another tail. */
enum { SIXTY = 60 };
static const double sixty[SIXTY] = {
    0.3,  0.35, 0.4,  0.45, 0.5,  0.75, 0.95, 1.3,  1.4,  1.7,  1.85, 2.3,  2.35, 2.55, 2.6,
    2.65, 2.7,  2.75, 2.8,  2.85, 3,    3.05, 3.1,  3.15, 3.2,  3.25, 3.3,  3.35, 3.4,  3.45,
    3.5,  3.55, 3.6,  3.65, 3.7,  3.75, 3.8,  3.85, 3.9,  3.95, 4,    4.05, 4.1,  4.15, 4.2,
    4.25, 4.3,  4.35, 4.6,  4.7,  4.9,  5.35, 5.7,  6.5,  6.65, 7.35, 8.55, 9,    9.05, 11.7};

/* The fit from its definition. two_sided: the upper steps of the empirical distribution count as
   well. A result with tail 0 means that there is no fit. */
static prun_power_law fit_by_definition(const double *x, int64_t count, int two_sided) {
    prun_power_law best;
    int64_t i, j, from = 0;
    memset(&best, 0, sizeof best);
    while (from < count && x[from] <= 1e-5) from++;
    for (i = from; i < count - 1; i++) {
        const double n = (double)(count - i);
        double logs = 0, alpha, distance = 0;
        if (i > from && x[i] == x[i - 1]) continue;
        for (j = i; j < count; j++) logs += log(x[j] / x[i]);
        if (logs == 0) continue;
        alpha = 1 + n / logs;
        for (j = i; j < count; j++) {
            const double below = 1 - pow(x[j] / x[i], 1 - alpha);
            distance = fmax(distance, fabs(below - (double)(j - i) / n));
            if (two_sided) distance = fmax(distance, fabs(below - (double)(j - i + 1) / n));
        }
        if (best.tail > 0 && !(distance < best.distance)) continue;
        best.alpha = alpha;
        best.sigma = (alpha - 1) / sqrt(n);
        best.least = x[i];
        best.distance = distance;
        best.tail = count - i;
    }
    return best;
}

static void check_law(const prun_power_law *got, const prun_power_law *want, double tolerance) {
    CHECK(got->tail == want->tail);
    CHECK(got->least == want->least);
    CHECK_CLOSE(got->alpha, want->alpha, 0, tolerance);
    CHECK_CLOSE(got->sigma, want->sigma, 0, tolerance);
    CHECK_CLOSE(got->distance, want->distance, 0, tolerance);
}

static void power_law_of_sixty_values(void) {
    static const prun_power_law right = {3.822736343343, 0.4704560572238, 3.2, 0.06062792130428,
                                         36};
    prun_power_law law, other = fit_by_definition(sixty, SIXTY, 0);
    CHECK_STATUS(prun_power_law_fit(&test_context, sixty, SIXTY, &law), PRUN_OK);
    check_law(&law, &right, 1e-11);
    check_law(&law, &other, 1e-13);
    other = fit_by_definition(sixty, SIXTY, 1);
    CHECK(other.tail == 39 && other.least == 3.05);
    CHECK_CLOSE(other.alpha, 3.684021415247, 0, 1e-11);
}

static void power_laws_of_few_values(void) {
    static const double equal[] = {3, 3, 3, 3}, two[] = {2, 6}, small[] = {0, 1e-9, 1e-5};
    static const double mixed[] = {0, 1e-7, 1e-5, 2, 6}, repeated[] = {1, 1, 1, 4, 4, 7, 9, 9};
    const double negative[] = {-5, -1, 2, 6}, last[] = {1e-5, 3}, tied[] = {1, 1, 1, 2, 2, 4};
    prun_power_law law, right;
    CHECK_STATUS(prun_power_law_fit(&test_context, two, 2, &law), PRUN_OK);
    CHECK(law.tail == 2 && law.least == 2);
    CHECK_CLOSE(law.alpha, 1 + 2 / log(3), 0, 1e-14);
    CHECK_CLOSE(law.sigma, sqrt(2) / log(3), 0, 1e-14);
    CHECK_CLOSE(law.distance, .5 - exp(-2), 0, 1e-14);
    right = law;
    CHECK_STATUS(prun_power_law_fit(&test_context, mixed, 5, &law), PRUN_OK);
    check_law(&law, &right, 0); /* values up to 1e-5 are ignored */
    CHECK_STATUS(prun_power_law_fit(&test_context, negative, 4, &law), PRUN_OK);
    check_law(&law, &right, 0);
    CHECK_STATUS(prun_power_law_fit(&test_context, equal, 4, &law), PRUN_ERR_MISSING);
    CHECK(strstr(test_context.message, "fewer than two different values above 1e-05") != NULL);
    CHECK(isnan(law.alpha) && isnan(law.sigma) && isnan(law.least) && law.tail == 0);
    CHECK_STATUS(prun_power_law_fit(&test_context, equal, 1, &law), PRUN_ERR_MISSING);
    CHECK_STATUS(prun_power_law_fit(&test_context, equal, 0, &law), PRUN_ERR_MISSING);
    CHECK_STATUS(prun_power_law_fit(&test_context, small, 3, &law), PRUN_ERR_MISSING);
    CHECK_STATUS(prun_power_law_fit(&test_context, last, 2, &law), PRUN_ERR_MISSING);
    CHECK_STATUS(prun_power_law_fit(&test_context, repeated, 8, &law), PRUN_OK);
    right = fit_by_definition(repeated, 8, 0);
    check_law(&law, &right, 1e-13);
    /* the tails from 1 and from 2 both have distance 1/3: the first one is chosen */
    CHECK_STATUS(prun_power_law_fit(&test_context, tied, 6, &law), PRUN_OK);
    CHECK(law.tail == 6 && law.least == 1 && law.distance == 1.0 / 3);
    CHECK_CLOSE(law.alpha, 1 + 1.5 / log(2), 0, 1e-14);
}

/* Samples of power laws and other distributions, with many ties and at extreme scales. */
static void power_laws_against_their_definition(void) {
    static double x[300];
    int test;
    for (test = 0; test < 400; test++) {
        const int64_t count = 2 + 37 * test % 299;
        prun_power_law law, right;
        int64_t i;
        for (i = 0; i < count; i++) {
            const double u = prun_random_uniform(5, (uint64_t)test, (uint64_t)i);
            switch (test % 5) {
                case 0: x[i] = pow(1 - u, -1 / (.5 + .02 * test)); break;
                case 1: x[i] = exp(3 * normal(600 + (uint64_t)test, i)); break;
                case 2: x[i] = 1 + floor(6 * u); break;
                case 3: x[i] = u * 4e-5; break; /* a quarter is ignored */
                default: x[i] = 1e30 * u; break;
            }
        }
        qsort(x, (size_t)count, sizeof *x, ascending);
        right = fit_by_definition(x, count, 0);
        CHECK_STATUS(prun_power_law_fit(&test_context, x, count, &law),
                     right.tail ? PRUN_OK : PRUN_ERR_MISSING);
        if (right.tail) check_law(&law, &right, 1e-10);
        if (test_failures) printf("  test %d, %d values\n", test, (int)count);
        if (test_failures) return;
    }
}

/* ---- spectra of weights ---------------------------------------------------------------------- */

/* The whole result, from the eigenvalues in ascending order and the shape of their matrices. */
static prun_weight_spectrum_result spectrum_by_definition(const double *x, int64_t count,
                                                          int64_t rows, int64_t columns) {
    const double n = (double)(rows > columns ? rows : columns),
                 edge = sqrt((double)rows) + sqrt((double)columns);
    prun_weight_spectrum_result s;
    double powers = 0, entropy = 0, rank = 0;
    int64_t i;
    memset(&s, 0, sizeof s);
    s.law = fit_by_definition(x, count, 0);
    s.count = count;
    s.largest = x[count - 1];
    for (i = 0; i < count; i++) s.sum += x[i];
    for (i = 0; i < count; i++) {
        powers += pow(x[i], s.law.alpha);
        if (x[i] > 0) entropy -= x[i] / s.sum * log(x[i] / s.sum);
        rank += sqrt(x[i]) > sqrt(s.largest) * n * DBL_EPSILON;
    }
    s.log_alpha_norm = log10(powers);
    s.stable_rank = s.sum / s.largest;
    s.spectral_entropy = rank > 1 ? entropy / log(rank) : 0;
    s.soft_rank = s.sum / (double)(count / (rows < columns ? rows : columns) * rows * columns) *
                  edge * edge / s.largest;
    return s;
}

static void check_spectrum(const prun_weight_spectrum_result *got,
                           const prun_weight_spectrum_result *want, double tolerance) {
    CHECK(got->count == want->count);
    if (want->law.tail) check_law(&got->law, &want->law, tolerance);
    if (want->law.tail)
        CHECK_CLOSE(got->log_alpha_norm, want->log_alpha_norm, tolerance, tolerance);
    else CHECK(isnan(got->law.alpha) && isnan(got->log_alpha_norm) && got->law.tail == 0);
    CHECK_CLOSE(got->sum, want->sum, 0, tolerance);
    CHECK_CLOSE(got->largest, want->largest, 0, tolerance);
    CHECK_CLOSE(got->stable_rank, want->stable_rank, 0, tolerance);
    CHECK_CLOSE(got->spectral_entropy, want->spectral_entropy, tolerance, tolerance);
    CHECK_CLOSE(got->soft_rank, want->soft_rank, 0, tolerance);
}

/* A permuted diagonal matrix whose eigenvalues are the sixty, up to the rounding of their roots to
   float. */
static void fill_diagonal(float *w) {
    int64_t i;
    memset(w, 0, SIXTY * SIXTY * sizeof *w);
    for (i = 0; i < SIXTY; i++) w[i * SIXTY + (7 * i + 3) % SIXTY] = (float)-sqrt(sixty[i]);
}

static void spectrum_of_sixty_eigenvalues(void) {
    static float w[SIXTY * SIXTY];
    const prun_tensor t = matrix(w, SIXTY, SIXTY);
    prun_weight_spectrum_result s = spectrum_by_definition(sixty, SIXTY, SIXTY, SIXTY), got;
    double x[SIXTY];
    int64_t count;
    CHECK_CLOSE(log10(s.sum), 2.343310103162, 0, 1e-11);
    CHECK_CLOSE(log10(s.largest), 1.068185861746, 0, 1e-11);
    CHECK_CLOSE(s.law.alpha * log10(s.largest), 4.083392915142, 0, 1e-11);
    CHECK_CLOSE(s.log_alpha_norm, 4.564947270292, 0, 1e-11);
    CHECK_CLOSE(s.stable_rank, 18.84188034188, 0, 1e-11);
    CHECK_CLOSE(s.spectral_entropy, 0.9574477773207, 0, 1e-11);
    fill_diagonal(w);
    CHECK_STATUS(prun_weight_spectrum(&test_context, &t, 0, 0, &got), PRUN_OK);
    CHECK(got.law.tail == 36);
    CHECK_CLOSE(got.law.least, 3.2, 0, 2e-7);
    got.law.least = 3.2;
    check_spectrum(&got, &s, 5e-6); /* rounding to float */
    CHECK_STATUS(prun_weight_eigenvalues(&test_context, &t, 0, x, &count), PRUN_OK);
    CHECK_STATUS(prun_weight_spectrum(&test_context, &t, 0, 0, &got), PRUN_OK);
    s = spectrum_by_definition(x, SIXTY, SIXTY, SIXTY);
    check_spectrum(&got, &s, 1e-12);
}

static void spectrum_of_a_small_matrix(void) {
    static float w[] = {1, 2, 0, -1, 0, 1, 1, 2, 3, -1, 2, 0, 1, 0, -2, 1, 2, 1, 1, -1};
    static const double right[] = {5.712971407944, 6, 7.809519395441, 19.47750919662};
    const prun_tensor t = matrix(w, 5, 4);
    prun_weight_spectrum_result s;
    double x[4];
    int64_t i, count;
    CHECK_STATUS(prun_weight_eigenvalues(&test_context, &t, 0, x, &count), PRUN_OK);
    CHECK(count == 4);
    for (i = 0; i < 4; i++) CHECK_CLOSE(x[i], right[i], 0, 1e-11);
    CHECK_STATUS(prun_weight_spectrum(&test_context, &t, 0, 0, &s), PRUN_OK);
    CHECK_CLOSE(s.sum, 39, 0, 1e-13);
    CHECK_CLOSE(s.stable_rank, 2.002309412683, 0, 1e-11);
    CHECK_CLOSE(s.spectral_entropy, 0.8931223042104, 0, 1e-11);
    CHECK_CLOSE(log10(s.sum), 1.591064607026, 0, 1e-11);
    CHECK_CLOSE(log10(s.largest), 1.289533418080, 0, 1e-11);
    CHECK_CLOSE(s.soft_rank, 1.796499227457, 0, 1e-11);
}

/* A value counts for the rank if it exceeds the rounding of the largest times the longer side. */
static void rank_of_a_long_matrix(void) {
    static float w[20];
    prun_tensor t = matrix(w, 2, 10);
    prun_weight_spectrum_result s;
    w[0] = 1;
    w[11] = 1e-15f;
    CHECK_STATUS(prun_weight_spectrum(&test_context, &t, 0, 0, &s), PRUN_OK);
    CHECK(s.spectral_entropy == 0);
    w[3] = 1e-15f;
    t = matrix(w, 2, 2);
    CHECK_STATUS(prun_weight_spectrum(&test_context, &t, 0, 0, &s), PRUN_OK);
    CHECK(s.spectral_entropy > 0);
}

/* Kernels, matrices, low ranks and scales. */
static void spectra_against_their_definition(void) {
    static float w[20 * 18 * 9];
    static double x[20 * 9];
    int test;
    for (test = 0; test < 48; test++) {
        const int64_t out = 1 + 7 * test % 20, in = 1 + 5 * test % 18, taps = 1 + test % 3;
        const int whole = test / 3 % 2;
        const prun_tensor t = kernel(w, out, in, taps, taps);
        prun_weight_spectrum_result got, want;
        int64_t i, count;
        for (i = 0; i < out * in * taps * taps; i++) {
            w[i] = (float)(normal(800 + (uint64_t)test, i) * pow(10, test % 7 - 3));
            if (test % 4 == 3) w[i] = (float)(1 + i / (in * taps * taps)); /* rank one */
        }
        CHECK_STATUS(prun_weight_eigenvalues(&test_context, &t, whole, x, &count), PRUN_OK);
        want = spectrum_by_definition(x, count, out, whole ? in * taps * taps : in);
        CHECK_STATUS(prun_weight_spectrum(&test_context, &t, whole, 0, &got), PRUN_OK);
        check_spectrum(&got, &want, 1e-11);
        if (test_failures) printf("  test %d\n", test);
        if (test_failures) return;
    }
}

/* Halved eigenvalues: sums halve, and ratios stay the same, as does the exponent if no value
   crosses 1e-5. Matrices, and kernels as one matrix, are never halved. */
static void halved_eigenvalues(void) {
    enum { OUT = 20, IN = 15, TAPS = 9 };
    static float w[OUT * IN * TAPS];
    prun_tensor t = kernel(w, OUT, IN, 3, 3);
    prun_weight_spectrum_result full, half;
    int64_t i;
    int kind;
    for (i = 0; i < OUT * IN * TAPS; i++) w[i] = (float)normal(7, i);
    CHECK_STATUS(prun_weight_spectrum(&test_context, &t, 0, 0, &full), PRUN_OK);
    CHECK_STATUS(prun_weight_spectrum(&test_context, &t, 0, 1, &half), PRUN_OK);
    CHECK_CLOSE(log10(half.sum), log10(full.sum) - log10(2), 0, 1e-13);
    CHECK_CLOSE(log10(half.largest), log10(full.largest) - log10(2), 0, 1e-13);
    CHECK_CLOSE(half.law.alpha, full.law.alpha, 0, 1e-12);
    CHECK_CLOSE(half.law.least, full.law.least / 2, 0, 1e-15);
    CHECK_CLOSE(half.law.sigma, full.law.sigma, 0, 1e-12);
    CHECK_CLOSE(half.law.distance, full.law.distance, 0, 1e-11);
    CHECK(half.law.tail == full.law.tail && half.count == full.count);
    CHECK_CLOSE(half.log_alpha_norm, full.log_alpha_norm - full.law.alpha * log10(2), 0, 1e-12);
    CHECK_CLOSE(half.stable_rank, full.stable_rank, 0, 1e-14);
    CHECK_CLOSE(half.spectral_entropy, full.spectral_entropy, 0, 1e-14);
    CHECK_CLOSE(half.soft_rank, full.soft_rank, 0, 1e-14);
    for (kind = 0; kind < 2; kind++) {
        if (kind) t = matrix(w, OUT, IN * TAPS);
        CHECK_STATUS(prun_weight_spectrum(&test_context, &t, !kind, 0, &full), PRUN_OK);
        CHECK_STATUS(prun_weight_spectrum(&test_context, &t, !kind, 1, &half), PRUN_OK);
        CHECK(memcmp(&full, &half, sizeof full) == 0);
    }
}

static void spectra_that_are_missing(void) {
    float w[6] = {0, 0, 0, 0, 0, 0};
    prun_tensor t = matrix(w, 2, 3);
    prun_weight_spectrum_result s;
    CHECK_STATUS(prun_weight_spectrum(&test_context, &t, 0, 0, &s), PRUN_ERR_MISSING);
    CHECK(strstr(test_context.message, "W is all zero") != NULL);
    w[1] = 2; /* one value: no power law */
    CHECK_STATUS(prun_weight_spectrum(&test_context, &t, 0, 0, &s), PRUN_OK);
    CHECK(s.count == 2 && isnan(s.law.alpha) && s.law.tail == 0 && isnan(s.log_alpha_norm));
    CHECK(s.spectral_entropy == 0);
    CHECK_CLOSE(s.stable_rank, 1, 0, 1e-14);
    w[5] = NAN;
    CHECK_STATUS(prun_weight_spectrum(&test_context, &t, 0, 0, &s), PRUN_ERR_NONFINITE);
    CHECK(strstr(test_context.message, "W[5]") != NULL);
    t.shape[0] = 0;
    CHECK_STATUS(prun_weight_spectrum(&test_context, &t, 0, 0, &s), PRUN_ERR_SHAPE);
}

/* ---- measures -------------------------------------------------------------------------------- */

static const char *const names[] = {
    "alpha",       "alpha_weighted",   "log_alpha_norm", "log_norm", "log_spectral_norm",
    "stable_rank", "spectral_entropy", "soft_rank"};

/* Four layers: the sixty eigenvalues, a kernel, a small matrix, and a scaled identity. */
typedef struct four_layers {
    float sixty[SIXTY * SIXTY], kernel[16 * 20 * 9], small[25], equal[64 * 64];
    fixed f;
    prun_objective o;
} four_layers;

static void make_layers(four_layers *n) {
    int64_t i;
    memset(n, 0, sizeof *n);
    fill_diagonal(n->sixty);
    for (i = 0; i < 16 * 20 * 9; i++) n->kernel[i] = (float)normal(9, i);
    for (i = 0; i < 25; i++) n->small[i] = (float)normal(10, i);
    for (i = 0; i < 64; i++) n->equal[65 * i] = .5f;
    n->f.tensors[0] = matrix(n->sixty, SIXTY, SIXTY);
    n->f.tensors[1] = kernel(n->kernel, 16, 20, 3, 3);
    n->f.tensors[2] = matrix(n->small, 5, 5);
    n->f.tensors[3] = matrix(n->equal, 64, 64);
    n->f.tensors[2].name = "small";
    n->f.tensors[3].name = "equal";
    n->o = fixed_objective(&n->f, 4);
}

/* The eight quantities of a layer, in the order of their names. */
static void quantities(const prun_weight_spectrum_result *s, double *q) {
    q[0] = s->law.alpha;
    q[1] = s->law.alpha * log10(s->largest);
    q[2] = s->log_alpha_norm;
    q[3] = log10(s->sum);
    q[4] = log10(s->largest);
    q[5] = s->stable_rank;
    q[6] = s->spectral_entropy;
    q[7] = s->soft_rank;
}

/* Means over the layers with enough eigenvalues; alpha is averaged over those that have one. */
static void check_means(const four_layers *n, const prun_measure_options *options) {
    const int64_t least = options->least_eigenvalues ? options->least_eigenvalues : 50;
    prun_measurement *m = NULL;
    int whole, i, k, wanted;
    if (!CHECK_STATUS(prun_measurement_create(&n->o, options, &m), PRUN_OK)) return;
    for (whole = 0; whole < 2; whole++) {
        double sum[8] = {0}, layers[8] = {0}, q[8];
        for (i = 0; i < n->o.tensor_count; i++) {
            prun_weight_spectrum_result s;
            int64_t count;
            CHECK_STATUS(
                prun_weight_eigenvalues(&test_context, &n->f.tensors[i], whole, NULL, &count),
                PRUN_OK);
            if (i == 0 && least == SIXTY) CHECK(count == SIXTY);
            if (count < least || !(n->f.tensors[i].flags & PRUN_TENSOR_WEIGHT)) continue;
            CHECK_STATUS(prun_weight_spectrum(&test_context, &n->f.tensors[i], whole,
                                              options->halve_convolutions, &s),
                         PRUN_OK);
            quantities(&s, q);
            for (k = 0; k < 8; k++) {
                if (isnan(q[k])) continue;
                sum[k] += q[k];
                layers[k]++;
            }
        }
        for (wanted = 0; wanted < 8; wanted++) {
            char name[40];
            prun_measure_result r;
            snprintf(name, sizeof name, "%s%s", names[wanted], whole ? "_matrix" : "");
            CHECK_STATUS(prun_measure(m, name, &r), PRUN_OK);
            if (!CHECK_CLOSE(r.value, sum[wanted] / layers[wanted], 0, 1e-14))
                printf("  %s\n", name);
            CHECK(isnan(r.standard_error));
        }
    }
    prun_measurement_free(m);
}

static void measures_are_means_over_layers(void) {
    static four_layers n;
    prun_measure_options options;
    make_layers(&n);
    memset(&options, 0, sizeof options);
    check_means(&n, &options);
    options.halve_convolutions = 1;
    check_means(&n, &options);
    options.least_eigenvalues = 4;
    check_means(&n, &options);
    n.f.tensors[0].flags = PRUN_TENSOR_BIAS; /* ignored, whatever its size */
    check_means(&n, &options);
    n.f.tensors[0].flags = PRUN_TENSOR_WEIGHT;
    options.least_eigenvalues = SIXTY; /* the first layer has exactly this many */
    options.halve_convolutions = 0;
    check_means(&n, &options);
    options.least_eigenvalues = 61;
    options.halve_convolutions = 0;
    n.o.tensor_count = 2;
    {
        prun_measurement *m = NULL;
        prun_measure_result r;
        prun_weight_spectrum_result s;
        CHECK_STATUS(prun_weight_spectrum(&test_context, &n.f.tensors[1], 0, 0, &s), PRUN_OK);
        CHECK_STATUS(prun_measurement_create(&n.o, &options, &m), PRUN_OK);
        CHECK_STATUS(prun_measure(m, "alpha", &r), PRUN_OK); /* only the kernel has enough: 144 */
        CHECK(r.value == s.law.alpha);
        CHECK(prun_measure(m, "alpha_matrix", &r) == PRUN_ERR_MISSING); /* there, only 16 */
        CHECK(strstr(r.message, "no layer has at least 61 eigenvalues") != NULL && isnan(r.value));
        CHECK(prun_measure(m, "soft_rank_matrix", &r) == PRUN_ERR_MISSING);
        prun_measurement_free(m);
    }
}

/* Options and layers that leave nothing to average. */
static void measures_that_are_missing(void) {
    static four_layers n;
    prun_measurement *m = NULL;
    prun_measure_options options;
    prun_measure_result r;
    int i;
    make_layers(&n);
    memset(&options, 0, sizeof options);
    options.least_eigenvalues = -1;
    CHECK_STATUS(prun_measurement_create(&n.o, &options, &m), PRUN_ERR_ARGUMENT);
    CHECK(strstr(test_context.message, "least_eigenvalues -1") != NULL);
    options.least_eigenvalues = 0;
    n.o.tensors = &n.f.tensors[2]; /* the small one */
    n.o.tensor_count = 1;
    CHECK_STATUS(prun_measurement_create(&n.o, &options, &m), PRUN_OK);
    for (i = 0; i < 8; i++) {
        CHECK(prun_measure(m, names[i], &r) == PRUN_ERR_MISSING);
        CHECK(strstr(r.message, "no layer has at least 50 eigenvalues") != NULL && isnan(r.value));
    }
    prun_measurement_free(m);
    n.o.tensors = &n.f.tensors[3]; /* all eigenvalues are equal: no power law, but norms */
    CHECK_STATUS(prun_measurement_create(&n.o, &options, &m), PRUN_OK);
    for (i = 0; i < 3; i++) {
        CHECK(prun_measure(m, names[i], &r) == PRUN_ERR_MISSING);
        CHECK(strstr(r.message, "no layer has two") != NULL && isnan(r.value));
    }
    CHECK_STATUS(prun_measure(m, "stable_rank", &r), PRUN_OK);
    CHECK_CLOSE(r.value, 64, 0, 1e-13);
    CHECK_STATUS(prun_measure(m, "spectral_entropy", &r), PRUN_OK);
    CHECK_CLOSE(r.value, 1, 0, 1e-13);
    CHECK_STATUS(prun_measure(m, "log_norm_matrix", &r), PRUN_OK);
    CHECK_CLOSE(r.value, log10(16), 0, 1e-13);
    prun_measurement_free(m);
    memset(n.equal, 0, sizeof n.equal);
    n.o.tensors = n.f.tensors;
    n.o.tensor_count = 4;
    CHECK_STATUS(prun_measurement_create(&n.o, &options, &m), PRUN_OK);
    CHECK(prun_measure(m, "log_norm", &r) == PRUN_ERR_MISSING);
    CHECK(strstr(r.message, "equal is all zero") != NULL && isnan(r.value));
    prun_measurement_free(m);
}

static int stop_after(void *user, int64_t done, int64_t total) {
    int64_t *left = (int64_t *)user;
    CHECK(done >= 0 && done <= total);
    return --*left < 0;
}

static void measures_can_be_cancelled(void) {
    static four_layers n;
    prun_measurement *m = NULL;
    prun_measure_options options;
    prun_measure_result r;
    int64_t left = 1;
    make_layers(&n);
    memset(&options, 0, sizeof options);
    options.progress = stop_after;
    options.user = &left;
    CHECK_STATUS(prun_measurement_create(&n.o, &options, &m), PRUN_OK);
    CHECK(prun_measure(m, "soft_rank", &r) == PRUN_ERR_CANCELLED);
    CHECK(strstr(test_context.message, "cancelled at the spectrum of kernel") != NULL);
    left = 100;
    CHECK_STATUS(prun_measure(m, "soft_rank", &r), PRUN_OK);
    CHECK(left == 97); /* one call per layer */
    CHECK_STATUS(prun_measure(m, "alpha", &r), PRUN_OK);
    CHECK(left == 97);
    prun_measurement_free(m);
}

static const test_case cases[] = {
    TEST_CASE(spectra_of_every_shape),
    TEST_CASE(random_matrices),
    TEST_CASE(matrices_that_have_names),
    TEST_CASE(steps_reach_every_element),
    TEST_CASE(arguments_that_are_refused),
    TEST_CASE(equal_bits_for_any_threads),
    TEST_CASE(eigenvalues_of_a_kernel_are_those_of_its_slices),
    TEST_CASE(eigenvalues_of_tensors_of_any_rank),
    TEST_CASE(power_law_of_sixty_values),
    TEST_CASE(power_laws_of_few_values),
    TEST_CASE(power_laws_against_their_definition),
    TEST_CASE(spectrum_of_sixty_eigenvalues),
    TEST_CASE(spectrum_of_a_small_matrix),
    TEST_CASE(rank_of_a_long_matrix),
    TEST_CASE(spectra_against_their_definition),
    TEST_CASE(halved_eigenvalues),
    TEST_CASE(spectra_that_are_missing),
    TEST_CASE(measures_are_means_over_layers),
    TEST_CASE(measures_that_are_missing),
    TEST_CASE(measures_can_be_cancelled),
};

int main(int argc, char **argv) { return TEST_MAIN("test_singular", cases, argc, argv); }
