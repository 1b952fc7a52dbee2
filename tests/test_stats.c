/* Kendall correlation, norms, margins: against definitions and against reference values computed
   with SciPy 1.10 and NumPy 1.24. */
#include "../prunability.h"
#include "test.h"

#include <stdlib.h>

/* ---- Kendall by its definition ---- */

typedef struct pairs {
    double concordant, discordant, x_ties, y_ties, all; /* both-tied pairs count in x and in y */
} pairs;

static int sign_of(double a, double b) { return (a > b) - (a < b); }

static pairs count_pairs(const double *x, const double *y, int64_t n) {
    pairs p = {0, 0, 0, 0, 0};
    int64_t i, j;
    for (i = 0; i < n; i++) {
        for (j = 0; j < i; j++) {
            int product = sign_of(x[i], x[j]) * sign_of(y[i], y[j]);
            p.concordant += product > 0;
            p.discordant += product < 0;
            p.x_ties += x[i] == x[j];
            p.y_ties += y[i] == y[j];
            p.all += 1;
        }
    }
    return p;
}

/* Sums over groups of t equal values: t(t-1)(t-2) and t(t-1)(2t+5), one term per member. */
static void tie_moments(const double *x, int64_t n, double *third, double *fifth) {
    int64_t i, j;
    *third = *fifth = 0;
    for (i = 0; i < n; i++) {
        double t = 0;
        for (j = 0; j < n; j++) {
            t += x[i] == x[j];
        }
        *third += (t - 1) * (t - 2);
        *fifth += (t - 1) * (2 * t + 5);
    }
}

static double normal_p(double difference, double n, double x_ties, double y_ties, double x0,
                       double x1, double y0, double y1) {
    double m = n * (n - 1);
    double variance = (m * (2 * n + 5) - x1 - y1) / 18 + 2 * x_ties * y_ties / m;
    if (n > 2) {
        variance += x0 * y0 / (9 * m * (n - 2));
    }
    return erfc(fabs(difference) / sqrt(variance) / sqrt(2.0));
}

/* Share of the permutations of n with at most c inversions: the law of the number of inversions is
   the sum of independent uniforms on 0 .. j-1 for j = 1 .. n. */
static double inversion_share(int64_t n, int64_t c) {
    double *law = (double *)calloc((size_t)c + 1, sizeof(double));
    double *next = (double *)calloc((size_t)c + 1, sizeof(double));
    double share = 0;
    int64_t j, k, d;
    if (law == NULL || next == NULL) {
        free(law);
        free(next);
        return -1;
    }
    law[0] = 1;
    for (j = 2; j <= n; j++) {
        for (k = 0; k <= c; k++) {
            next[k] = 0;
            for (d = 0; d < j && d <= k; d++) {
                next[k] += law[k - d] / (double)j;
            }
        }
        memcpy(law, next, ((size_t)c + 1) * sizeof(double));
    }
    for (k = 0; k <= c; k++) {
        share += law[k];
    }
    free(law);
    free(next);
    return share;
}

static prun_kendall kendall_by_definition(const double *x, const double *y, int64_t n) {
    prun_kendall r;
    pairs p = count_pairs(x, y, n);
    double fewer = p.discordant < p.concordant ? p.discordant : p.concordant;
    double x0, x1, y0, y1;
    tie_moments(x, n, &x0, &x1);
    tie_moments(y, n, &y0, &y1);
    memset(&r, 0, sizeof r);
    r.n = n;
    r.tau_a = (p.concordant - p.discordant) / p.all;
    r.tau_b = (p.concordant - p.discordant) / sqrt((p.all - p.x_ties) * (p.all - p.y_ties));
    r.standard_error = sqrt(2 * (2 * (double)n + 5) / (9 * (double)n * ((double)n - 1)));
    r.exact = p.x_ties == 0 && p.y_ties == 0 && (n <= 33 || fewer <= 1);
    if (r.exact) {
        r.p = 2 * inversion_share(n, (int64_t)fewer);
        r.p = r.p > 1 ? 1 : r.p;
    } else {
        r.p = normal_p(p.concordant - p.discordant, (double)n, p.x_ties, p.y_ties, x0, x1, y0, y1);
    }
    return r;
}

static void check_kendall(const prun_kendall *got, const prun_kendall *want) {
    CHECK(got->n == want->n);
    CHECK_CLOSE(got->tau_a, want->tau_a, 1e-13, 0);
    CHECK_CLOSE(got->standard_error, want->standard_error, 0, 1e-12);
    if (isnan(want->tau_b)) {
        CHECK(isnan(got->tau_b) && isnan(got->p));
        return;
    }
    CHECK_CLOSE(got->tau_b, want->tau_b, 1e-12, 0);
    CHECK_CLOSE(got->p, want->p, 1e-300, 1e-9);
    CHECK(got->exact == want->exact);
}

static double uniform(uint64_t stream, int64_t i) {
    return prun_random_uniform(77, stream, (uint64_t)i);
}

/* levels 0: all different; else that many values, so ties; link: how much y follows x. */
static void draw_sample(uint64_t stream, int64_t n, int levels, double link, double *x, double *y) {
    int64_t i;
    for (i = 0; i < n; i++) {
        x[i] = uniform(stream, 2 * i);
        y[i] = link * x[i] + (1 - fabs(link)) * uniform(stream, 2 * i + 1);
        if (levels > 0) {
            x[i] = floor(x[i] * levels);
            y[i] = floor(y[i] * levels);
        }
    }
}

static void kendall_equals_its_definition(void) {
    static const int levels[] = {0, 0, 2, 3, 10, 50};
    static const double links[] = {0, 0.7, -0.5, 1};
    double x[200], y[200];
    int64_t n, c = 0;
    for (n = 2; n <= 200; n += n < 40 ? 1 : 9) {
        for (c = 0; c < 24; c++) {
            prun_kendall got, want;
            draw_sample((uint64_t)(n * 100 + c), n, levels[c % 6], links[c / 6], x, y);
            memset(&got, 0, sizeof got);
            want = kendall_by_definition(x, y, n);
            if (!CHECK_STATUS(prun_kendall_tau(&test_context, x, y, n, &got), PRUN_OK)) return;
            check_kendall(&got, &want);
        }
    }
}

/* ---- Kendall: published and reference values ---- */

typedef struct reference {
    int64_t n;
    double x[12], y[12];
    double tau_a, tau_b, p;
    int32_t exact;
} reference;

static const reference references[] = {
    {6,
     {.30, .12, .25, .20, .40, .10},
     {.22, .15, .18, .10, .20, .12},
     0.6,
     0.6,
     0.1361111111111111,
     1},
    {12,
     {.61, .55, .33, .41, .52, .47, .36, .28, .44, .58, .25, .30},
     {.31, .29, .16, .21, .27, .22, .12, .18, .24, .20, .14, .11},
     0.6363636363636364,
     0.6363636363636364,
     0.003181646992410881,
     1},
    {12,
     {.61, .55, .33, .41, .52, .47, .36, .28, .44, .58, .25, .30},
     {5.1, 4.4, 3.9, 4.1, 4.9, 3.5, 3.0, 3.3, 2.9, 3.6, 2.2, 2.5},
     0.5757575757575758,
     0.5757575757575758,
     -1,
     1},
    {6, {1, 2, 2, 3, 4, 4}, {1, 3, 2, 3, 5, 4}, 0.8, 0.8894991799933214, 0.017411131570499803, 0},
    {5, {12, 2, 1, 12, 2}, {1, 4, 7, 1, 0}, -0.4, -0.4714045207910316, 0.28274545993277467, 0},
    {5, {1, 2, 3, 4, 5}, {1, 2, 3, 4, 5}, 1, 1, 0.016666666666666666, 1},
    {5, {1, 2, 3, 4, 5}, {1, 2, 4, 3, 5}, 0.8, 0.8, 0.08333333333333333, 1},
    {4, {1, 2, 3, 4}, {2, 4, 1, 3}, 0, 0, 1, 1},
    {6,
     {.3, .3, .25, .2, .4, .1},
     {.22, .15, .18, .10, .20, .10},
     0.6,
     0.6428571428571429,
     0.07983871964585261,
     0},
};

static void kendall_reference_values(void) {
    size_t i;
    for (i = 0; i < sizeof references / sizeof references[0]; i++) {
        const reference *r = &references[i];
        prun_kendall got;
        memset(&got, 0, sizeof got);
        CHECK_STATUS(prun_kendall_tau(&test_context, r->x, r->y, r->n, &got), PRUN_OK);
        CHECK_CLOSE(got.tau_a, r->tau_a, 1e-12, 0);
        CHECK_CLOSE(got.tau_b, r->tau_b, 1e-12, 0);
        if (r->p >= 0) {
            CHECK_CLOSE(got.p, r->p, 0, 1e-10);
        }
        CHECK(got.exact == r->exact);
    }
}

/* A permutation of 0 .. n-1 with the given number of inversions: the largest possible count for
   each place from the left until they are used up. */
static void permutation_of_inversions(int64_t n, int64_t inversions, double *y) {
    int64_t i, j, k;
    int used[64] = {0};
    for (i = 0; i < n; i++) {
        int64_t smaller = inversions < n - 1 - i ? inversions : n - 1 - i;
        inversions -= smaller;
        for (j = 0, k = smaller; used[j] || k > 0; j++) {
            k -= !used[j];
        }
        used[j] = 1;
        y[i] = (double)j;
    }
}

static void kendall_exact_at_32(void) {
    double x[32], y[32];
    prun_kendall got;
    int64_t i;
    for (i = 0; i < 32; i++) {
        x[i] = (double)i;
    }
    permutation_of_inversions(32, 158, y);
    CHECK(count_pairs(x, y, 32).discordant == 158);
    memset(&got, 0, sizeof got);
    CHECK_STATUS(prun_kendall_tau(&test_context, x, y, 32, &got), PRUN_OK);
    CHECK_CLOSE(got.tau_a, 0.3629032258064516, 1e-14, 0);
    CHECK_CLOSE(got.p, 0.0031666694844672163, 0, 1e-10);
    CHECK(got.exact == 1);
}

/* From n = 171 on n! overflows a double; with at most one inversion the p-value is exact there. */
static void kendall_exact_beyond_factorials(void) {
    double x[300], y[300], swap;
    prun_kendall got;
    int64_t i, n;
    for (n = 34; n <= 300; n += 19) {
        for (i = 0; i < n; i++) {
            x[i] = y[i] = (double)i;
        }
        swap = y[7];
        y[7] = y[8];
        y[8] = swap;
        memset(&got, 0, sizeof got);
        CHECK_STATUS(prun_kendall_tau(&test_context, x, y, n, &got), PRUN_OK);
        CHECK(got.exact == 1);
        CHECK_CLOSE(got.p, 2 * exp(-lgamma((double)n)), 1e-300, 1e-9);
    }
    CHECK(got.p < 1e-290);
}

static void kendall_standard_errors(void) {
    static const double known[][2] = {{6, 0.35486043161491804},    {12, 0.22095598842653896},
                                      {24, 0.14607037326319666},   {32, 0.12432614064351805},
                                      {160, 0.053281552431304655}, {324, 0.037237161426471384}};
    double x[324], y[324];
    size_t i;
    draw_sample(9, 324, 0, 0.3, x, y);
    for (i = 0; i < sizeof known / sizeof known[0]; i++) {
        prun_kendall got;
        memset(&got, 0, sizeof got);
        CHECK_STATUS(prun_kendall_tau(&test_context, x, y, (int64_t)known[i][0], &got), PRUN_OK);
        CHECK_CLOSE(got.standard_error, known[i][1], 0, 1e-12);
    }
}

static void kendall_symmetries(void) {
    double x[60], y[60], minus[60], cubed[60];
    prun_kendall a, b, c, d;
    int64_t i;
    draw_sample(21, 60, 9, 0.4, x, y);
    for (i = 0; i < 60; i++) {
        minus[i] = -y[i];
        cubed[i] = y[i] * y[i] * y[i] * 1e300 - 1e303;
    }
    memset(&a, 0, sizeof a);
    memset(&d, 0, sizeof d);
    b = c = d;
    CHECK_STATUS(prun_kendall_tau(&test_context, x, y, 60, &a), PRUN_OK);
    CHECK_STATUS(prun_kendall_tau(&test_context, y, x, 60, &b), PRUN_OK);
    CHECK_STATUS(prun_kendall_tau(&test_context, x, minus, 60, &c), PRUN_OK);
    CHECK_STATUS(prun_kendall_tau(&test_context, x, cubed, 60, &d), PRUN_OK);
    CHECK(a.tau_a != 0 && a.tau_a == b.tau_a && a.tau_a == -c.tau_a && a.tau_a == d.tau_a);
    CHECK_CLOSE(a.tau_b, b.tau_b, 1e-14, 0);
    CHECK_CLOSE(a.p, c.p, 0, 1e-12);
    CHECK_CLOSE(a.p, d.p, 0, 1e-12);
}

static void kendall_extreme_values(void) {
    double x[5] = {-1e308, -5e-324, -0.0, 0.0, 1e308}, y[5] = {1, 2, 3, 4, 5};
    prun_kendall got;
    memset(&got, 0, sizeof got);
    CHECK_STATUS(prun_kendall_tau(&test_context, x, y, 5, &got), PRUN_OK);
    CHECK_CLOSE(got.tau_a, 0.9, 1e-14, 0); /* -0 and 0 are equal: nine of ten pairs agree */
    CHECK(got.exact == 0);
}

static void kendall_constant_variable(void) {
    double x[9] = {3, 3, 3, 3, 3, 3, 3, 3, 3}, y[9] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    prun_kendall got;
    int64_t n;
    for (n = 2; n <= 9; n++) {
        memset(&got, 0, sizeof got);
        CHECK_STATUS(prun_kendall_tau(&test_context, x, y, n, &got), PRUN_OK);
        CHECK(got.tau_a == 0 && isnan(got.tau_b) && isnan(got.p));
        memset(&got, 0, sizeof got);
        CHECK_STATUS(prun_kendall_tau(&test_context, y, x, n, &got), PRUN_OK);
        CHECK(got.tau_a == 0 && isnan(got.tau_b) && isnan(got.p));
    }
    CHECK_STATUS(prun_kendall_tau(&test_context, x, x, 9, &got), PRUN_OK);
    CHECK(got.tau_a == 0 && isnan(got.tau_b) && isnan(got.p));
}

/* Infinite values rank first and last and tie with one another: as numbers beyond all others. */
static void kendall_of_infinite_values(void) {
    double x[60], y[60], large_x[60], large_y[60];
    prun_kendall got, want, large;
    int64_t n, i;
    int round;
    for (round = 0; round < 40; round++) {
        n = 2 + round * 58 / 39;
        draw_sample(900 + (uint64_t)round, n, round % 2 * 6, 0.4, x, y);
        for (i = 0; i < n; i++) {
            const double u = uniform(950, 64 * round + i);
            if (u < 0.2) x[i] = INFINITY;
            else if (u < 0.3) x[i] = -INFINITY;
            else if (u < 0.4) y[i] = INFINITY;
            large_x[i] = isinf(x[i]) ? (x[i] > 0 ? 1e300 : -1e300) : x[i];
            large_y[i] = isinf(y[i]) ? 1e300 : y[i];
        }
        want = kendall_by_definition(x, y, n);
        CHECK_STATUS(prun_kendall_tau(&test_context, x, y, n, &got), PRUN_OK);
        check_kendall(&got, &want);
        CHECK_STATUS(prun_kendall_tau(&test_context, large_x, large_y, n, &large), PRUN_OK);
        CHECK(got.tau_a == large.tau_a && got.exact == large.exact);
        CHECK(memcmp(&got.tau_c, &large.tau_c, sizeof got.tau_c) == 0 || isnan(large.tau_c));
    }
    for (i = 0; i < 9; i++) x[i] = INFINITY; /* constant */
    CHECK_STATUS(prun_kendall_tau(&test_context, x, large_y, 9, &got), PRUN_OK);
    CHECK(got.tau_a == 0 && isnan(got.tau_b) && got.reason != NULL);
}

static void kendall_bad_arguments(void) {
    double x[50], y[50];
    const double bad[2] = {NAN, -NAN};
    prun_kendall got;
    int i;
    draw_sample(3, 50, 0, 0, x, y);
    CHECK_STATUS(prun_kendall_tau(&test_context, x, y, 1, &got), PRUN_ERR_ARGUMENT);
    CHECK(prun_message(&test_context)[0] != '\0');
    CHECK_STATUS(prun_kendall_tau(&test_context, x, y, 0, &got), PRUN_ERR_ARGUMENT);
    CHECK_STATUS(prun_kendall_tau(&test_context, x, y, -5, &got), PRUN_ERR_ARGUMENT);
    CHECK_STATUS_IN(NULL, prun_kendall_tau(NULL, x, y, 1, &got), PRUN_ERR_ARGUMENT);
    for (i = 0; i < 2; i++) {
        double kept = y[37];
        y[37] = bad[i];
        CHECK_STATUS(prun_kendall_tau(&test_context, x, y, 50, &got), PRUN_ERR_NONFINITE);
        CHECK(strstr(prun_message(&test_context), "37") != NULL);
        CHECK_STATUS(prun_kendall_tau(&test_context, y, x, 50, &got), PRUN_ERR_NONFINITE);
        CHECK(strstr(prun_message(&test_context), "37") != NULL);
        y[37] = kept;
    }
}

/* Two hundred thousand pairs in seven classes: products of tie counts pass 2^63 there. The
   reference counts pairs by classes. */
static void kendall_many_ties(void) {
    enum { CLASSES = 7, N = 200000 };
    double table[CLASSES][CLASSES] = {{0}}, rows[CLASSES] = {0}, columns[CLASSES] = {0};
    double *x = (double *)malloc(2 * N * sizeof(double)), *y = x + N;
    double difference = 0, ties[2] = {0, 0}, third[2] = {0, 0}, fifth[2] = {0, 0};
    double n = N, all = n * (n - 1) / 2;
    prun_kendall got;
    int64_t i;
    int a, b, c, d;
    if (!CHECK(x != NULL)) return;
    draw_sample(5, N, CLASSES, 0.003, x, y);
    for (i = 0; i < N; i++) {
        table[(int)x[i]][(int)y[i]] += 1;
        rows[(int)x[i]] += 1;
        columns[(int)y[i]] += 1;
    }
    for (a = 0; a < CLASSES; a++) {
        for (b = 0; b < CLASSES; b++) {
            for (c = a + 1; c < CLASSES; c++) {
                for (d = 0; d < CLASSES; d++) {
                    difference += table[a][b] * table[c][d] * ((d > b) - (d < b));
                }
            }
        }
        for (b = 0; b < 2; b++) {
            double t = b ? columns[a] : rows[a];
            ties[b] += t * (t - 1) / 2;
            third[b] += t * (t - 1) * (t - 2);
            fifth[b] += t * (t - 1) * (2 * t + 5);
        }
    }
    memset(&got, 0, sizeof got);
    CHECK_STATUS(prun_kendall_tau(&test_context, x, y, N, &got), PRUN_OK);
    CHECK_CLOSE(got.tau_a, difference / all, 1e-14, 0);
    CHECK_CLOSE(got.tau_b, difference / sqrt((all - ties[0]) * (all - ties[1])), 1e-13, 0);
    CHECK_CLOSE(got.p,
                normal_p(difference, n, ties[0], ties[1], third[0], fifth[0], third[1], fifth[1]),
                0, 1e-9);
    CHECK(got.p > 1e-6 && got.p < 1);
    free(x);
}

/* ---- norms, margins, training losses ---- */

static prun_tensor matrix(const char *name, float *data, int64_t rows, int64_t columns,
                          uint32_t flags) {
    prun_tensor t;
    memset(&t, 0, sizeof t);
    t.data = data;
    t.name = name;
    t.rank = 2;
    t.shape[0] = rows;
    t.shape[1] = columns;
    t.flags = flags;
    return t;
}

static void frobenius_norms(void) {
    float w1[6] = {1, 2, 0, 0, 1, -1}, w2[4] = {2, 1, 1, -1}, bias[2] = {100, 100},
          scale[2] = {7, 7};
    float large[2] = {3e30f, 4e30f}, zero[2] = {0, 0};
    prun_tensor t[4];
    t[0] = matrix("w1", w1, 2, 3, PRUN_WEIGHT);
    t[1] = matrix("b1", bias, 1, 2, PRUN_BIAS);
    t[2] = matrix("w2", w2, 2, 2, PRUN_WEIGHT);
    t[3] = matrix("norm", scale, 1, 2, PRUN_NORM);
    CHECK_CLOSE(prun_frobenius_squared(&t[0]), 7, 0, 1e-14);
    CHECK_CLOSE(prun_frobenius_squared(&t[2]), 7, 0, 1e-14);
    CHECK_CLOSE(prun_sum_of_frobenius(t, 4), 14, 0, 1e-12);
    w2[0] = 4; /* norms 7 and 19: 2 sqrt(133) */
    CHECK_CLOSE(prun_sum_of_frobenius(t, 4), 2 * sqrt(133.0), 0, 1e-12);
    t[1] = matrix("large", large, 1, 2, 0); /* beyond the range of a float's square */
    CHECK_CLOSE(prun_frobenius_squared(&t[1]), 25e60, 0, 1e-6);
    t[1] = matrix("zero", zero, 1, 2, PRUN_WEIGHT);
    CHECK(prun_sum_of_frobenius(t, 4) == 0);
    t[3] = matrix("zero again", zero + 1, 1, 1, PRUN_WEIGHT);
    CHECK(isnan(prun_sum_of_frobenius(t, 4)));
}

static void frobenius_product_beyond_double(void) {
    const float size[2] = {1e20f, 1e-20f};
    float entry[40];
    prun_tensor t[40];
    int i, j;
    for (j = 0; j < 2; j++) {
        for (i = 0; i < 40; i++) {
            entry[i] = size[j];
            t[i] = matrix("w", &entry[i], 1, 1, PRUN_WEIGHT);
        }
        CHECK_CLOSE(prun_sum_of_frobenius(t, 40), j ? 40e-40 : 40e40, 0, 1e-5);
    }
}

static void margins_and_cross_entropy(void) {
    static const float logits[30] = {2, .5f, -1, .2f, .1f, 0, 1, 3, 2.5f, -1, 0,    4, 0, .3f, .2f,
                                     5, 1,   1,  1,   2,   0, 0, 0, 1,    2,  1.9f, 0, 3, 0,   0};
    static const int32_t labels[10] = {0, 0, 1, 2, 2, 0, 1, 2, 0, 0};
    static const double want[10] = {1.5, .1, .5, 4, -.1, 4, 1, 1, .1, 3};
    double margins[10], loss = 0, entropy = 0, p[3];
    int i, j;
    prun_output_margins(logits, labels, 10, 3, margins);
    for (i = 0; i < 10; i++) {
        CHECK_CLOSE(margins[i], want[i], 3e-7, 0);
        loss += prun_cross_entropy(logits + 3 * i, 3, labels[i], p) / 10;
        for (j = 0; j < 3; j++) {
            entropy += p[j] * log(p[j]) / 10;
        }
    }
    CHECK_CLOSE(loss, 0.4698859264097896, 1e-7, 0);
    CHECK_CLOSE(entropy, -0.7063227465504474, 1e-7, 0);
}

/* The runner-up must be searched on both sides of the label, and equal logits give zero. */
static void margins_by_definition(void) {
    float logits[50 * 6];
    int32_t labels[50];
    double margins[50];
    int i, j;
    for (i = 0; i < 50 * 6; i++) {
        logits[i] = (float)floor(uniform(40, i) * 9 - 4);
    }
    for (i = 0; i < 50; i++) {
        labels[i] = i % 6;
    }
    prun_output_margins(logits, labels, 50, 6, margins);
    for (i = 0; i < 50; i++) {
        double best = -INFINITY;
        for (j = 0; j < 6; j++) {
            if (j != labels[i] && (double)logits[6 * i + j] > best) {
                best = (double)logits[6 * i + j];
            }
        }
        CHECK(margins[i] == (double)logits[6 * i + labels[i]] - best);
    }
}

static void sum_of_train_losses(void) {
    prun_epoch history[3];
    memset(history, 0, sizeof history);
    history[0].loss = 2.25;
    history[1].loss = 1.5;
    history[2].loss = 0.125;
    history[2].evaluated_loss = 50;
    CHECK_CLOSE(prun_sum_of_train_losses(history, 3), -3.875, 0, 1e-15);
    CHECK_CLOSE(prun_sum_of_train_losses(history, 1), -2.25, 0, 1e-15);
    CHECK(prun_sum_of_train_losses(history, 0) == 0);
}

static const test_case cases[] = {
    TEST_CASE(kendall_equals_its_definition),
    TEST_CASE(kendall_reference_values),
    TEST_CASE(kendall_exact_at_32),
    TEST_CASE(kendall_exact_beyond_factorials),
    TEST_CASE(kendall_standard_errors),
    TEST_CASE(kendall_symmetries),
    TEST_CASE(kendall_extreme_values),
    TEST_CASE(kendall_constant_variable),
    TEST_CASE(kendall_of_infinite_values),
    TEST_CASE(kendall_bad_arguments),
    TEST_CASE(kendall_many_ties),
    TEST_CASE(frobenius_norms),
    TEST_CASE(frobenius_product_beyond_double),
    TEST_CASE(margins_and_cross_entropy),
    TEST_CASE(margins_by_definition),
    TEST_CASE(sum_of_train_losses),
};

int main(int argc, char **argv) { return TEST_MAIN("test_stats", cases, argc, argv); }
