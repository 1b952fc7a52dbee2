/* test_stats.c - sections STATS and REGRESSION: Kendall and granulated Kendall, information,
   regression, sign error; against definitions, brute force, and reference values from SciPy 1.10
   and NumPy 1.24. */
#include "../prunability.h"

#include <float.h>
#include <stdlib.h>

#include "grids.h"

/* ---- Kendall by its definition ---- */

typedef struct pairs {
    double concordant, discordant, x_ties, y_ties, all; /* both-tied pairs count in x and in y */
} pairs;

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

/* Fraction of the permutations of n with at most c inversions. The number of inversions is
   distributed as a sum of independent uniforms on 0 .. j-1 for j = 1 .. n. */
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
    r.p_is_exact = p.x_ties == 0 && p.y_ties == 0 && (n <= 33 || fewer <= 1);
    if (r.p_is_exact) {
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
    CHECK(got->p_is_exact == want->p_is_exact);
}

static double draw(uint64_t stream, int64_t i) {
    return prun_random_uniform(77, stream, (uint64_t)i);
}

/* levels 0: all values differ; otherwise the number of distinct values; link: how strongly y
   depends on x. */
static void draw_sample(uint64_t stream, int64_t n, int levels, double link, double *x, double *y) {
    int64_t i;
    for (i = 0; i < n; i++) {
        x[i] = draw(stream, 2 * i);
        y[i] = link * x[i] + (1 - fabs(link)) * draw(stream, 2 * i + 1);
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
        CHECK(got.p_is_exact == r->exact);
    }
}

/* A permutation of 0 .. n-1 with the given number of inversions: each place, from the left, gets as
   many as possible until they are used up. */
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
    CHECK(got.p_is_exact == 1);
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
        CHECK(got.p_is_exact == 1);
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
    CHECK(got.p_is_exact == 0);
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

/* Infinite values rank first and last and tie with one another, like numbers beyond all others. */
static void kendall_of_infinite_values(void) {
    double x[60], y[60], large_x[60], large_y[60];
    prun_kendall got, want, large;
    int64_t n, i;
    int round;
    for (round = 0; round < 40; round++) {
        n = 2 + round * 58 / 39;
        draw_sample(900 + (uint64_t)round, n, round % 2 * 6, 0.4, x, y);
        for (i = 0; i < n; i++) {
            const double u = draw(950, 64 * round + i);
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
        CHECK(got.tau_a == large.tau_a && got.p_is_exact == large.p_is_exact);
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

/* Two hundred thousand samples in seven classes, so that products of tie counts exceed 2^63. The
   reference counts pairs of classes. */
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

/* ---- material: grids of width x augmentation (x seed) ---- */

static const double *const axes_a[2] = {width_a, aug_a};
static const double *const axes_b[3] = {width_b, aug_b, seed_b};

/* ---- Kendall, granulated ---- */

static void kendall_small_grid(void) {
    const double tied_x[6] = {1, 2, 2, 3, 4, 4}, tied_y[6] = {1, 3, 2, 3, 5, 4};
    prun_kendall k;
    CHECK_STATUS(prun_kendall_tau(&test_context, mu_a, gap_a, 6, &k), PRUN_OK);
    CHECK_CLOSE(k.tau_a, 0.6, 1e-14, 0);
    CHECK_CLOSE(k.tau_b, 0.6, 1e-14, 0);
    CHECK_CLOSE(k.p, 0.1361111111111111, 0, 1e-10);
    CHECK_CLOSE(k.p_normal, 0.09087393998624903, 0, 1e-10);
    CHECK_CLOSE(k.standard_error, 0.35486043161491804, 0, 1e-10);
    CHECK(k.p_is_exact == 1 && k.reason == NULL);
    CHECK_STATUS(prun_kendall_tau(&test_context, mu_b, gap_b, 12, &k), PRUN_OK);
    CHECK_CLOSE(k.tau_a, 0.6363636363636364, 1e-14, 0);
    CHECK_CLOSE(k.p, 0.003181646992410881, 0, 1e-10);
    CHECK_CLOSE(k.standard_error, 0.22095598842653896, 0, 1e-10);
    CHECK_STATUS(prun_kendall_tau(&test_context, mu_b, mu2_b, 12, &k), PRUN_OK);
    CHECK_CLOSE(k.tau_a, 0.5757575757575758, 1e-14, 0);
    CHECK_STATUS(prun_kendall_tau(&test_context, tied_x, tied_y, 6, &k), PRUN_OK);
    CHECK_CLOSE(k.tau_a, 0.8, 1e-14, 0);
    CHECK_CLOSE(k.tau_b, 0.8894991799933214, 1e-14, 0);
    CHECK_CLOSE(k.tau_c, 0.8888888888888888, 1e-14, 0);
    CHECK_CLOSE(k.p, 0.017411131570499803, 0, 1e-10);
    CHECK_STATUS(prun_kendall_tau(&test_context, mu_t, gap_t, 6, &k), PRUN_OK);
    CHECK_CLOSE(k.tau_a, 0.6, 1e-14, 0);
    CHECK_CLOSE(k.tau_b, 0.6428571428571429, 1e-14, 0);
    CHECK_CLOSE(k.p, 0.07983871964585261, 0, 1e-10);
    CHECK(k.p_is_exact == 0);
}

static void granulated_small_grid(void) {
    const prun_axes axes = axes_of(axes_a, 2, 6);
    prun_granulated g;
    if (!CHECK_STATUS(prun_granulated_kendall(&test_context, &axes, mu_a, gap_a, &g), PRUN_OK))
        return;
    CHECK_CLOSE(g.psi[0], 0, 1e-14, 0);
    CHECK_CLOSE(g.psi_standard_error[0], 0.45133546692422, 0, 1e-10);
    CHECK_CLOSE(g.psi[1], 1, 1e-14, 0);
    CHECK_CLOSE(g.psi_standard_error[1], 0.5773502691896257, 0, 1e-10);
    CHECK_CLOSE(g.mean, 0.5, 1e-14, 0);
    CHECK_CLOSE(g.mean_standard_error, 0.36641405439646996, 0, 1e-10);
    CHECK(g.groups[0] == 2 && g.groups[1] == 3 && g.axis_count == 2);
}

static void granulated_seeds(void) {
    prun_axes axes = axes_of(axes_b, 2, 12);
    prun_granulated g;
    /* no seed: one group per setting of the other axes */
    CHECK_STATUS(prun_granulated_kendall(&test_context, &axes, mu_b, gap_b, &g), PRUN_OK);
    CHECK_CLOSE(g.psi[0], 0.26666666666666666, 1e-14, 0);
    CHECK_CLOSE(g.psi_standard_error[0], 0.25092421756969363, 0, 1e-10);
    CHECK_CLOSE(g.psi[1], 0.6666666666666666, 1e-14, 0);
    CHECK_CLOSE(g.psi_standard_error[1], 0.28327886186626583, 0, 1e-10);
    CHECK_CLOSE(g.mean, 0.4666666666666667, 1e-14, 0);
    CHECK_CLOSE(g.mean_standard_error, 0.1892154040658489, 0, 1e-10);
    axes.seed = seed_b;
    axes.seeds = PRUN_SEEDS_POOLED; /* the same */
    CHECK_STATUS(prun_granulated_kendall(&test_context, &axes, mu_b, gap_b, &g), PRUN_OK);
    CHECK_CLOSE(g.mean, 0.4666666666666667, 1e-14, 0);
    axes.seeds = PRUN_SEEDS_FIXED;
    CHECK_STATUS(prun_granulated_kendall(&test_context, &axes, mu_b, gap_b, &g), PRUN_OK);
    CHECK_CLOSE(g.psi[0], 0.16666666666666669, 1e-14, 0);
    CHECK_CLOSE(g.psi_standard_error[0], 0.3191423692521127, 0, 1e-10);
    CHECK_CLOSE(g.psi[1], 1, 1e-14, 0);
    CHECK_CLOSE(g.psi_standard_error[1], 0.40824829046386296, 0, 1e-10);
    CHECK_CLOSE(g.mean, 0.5833333333333334, 1e-14, 0);
    axes = axes_of(axes_b, 3, 12); /* the seed as an axis */
    CHECK_STATUS(prun_granulated_kendall(&test_context, &axes, mu_b, gap_b, &g), PRUN_OK);
    CHECK_CLOSE(g.psi[2], 0, 1e-14, 0);
    CHECK_CLOSE(g.mean, 0.3888888888888889, 1e-14, 0);
}

static void granulated_seed_means(void) {
    prun_axes axes = axes_of(axes_b, 2, 12), small;
    double mu[12], gap[12], width[12], aug[12];
    const double *values[2];
    prun_granulated got, want;
    int64_t n = 0, i;
    CHECK_STATUS(prun_seed_means(&test_context, &axes, mu_b, mu, &n), PRUN_OK);
    CHECK(n == 6);
    for (i = 0; i < 6; i++) {
        CHECK_CLOSE(mu[i], (mu_b[2 * i] + mu_b[2 * i + 1]) / 2, 1e-15, 0);
    }
    CHECK_STATUS(prun_seed_means(&test_context, &axes, gap_b, gap, &n), PRUN_OK);
    CHECK_STATUS(prun_seed_means(&test_context, &axes, width_b, width, &n), PRUN_OK);
    CHECK_STATUS(prun_seed_means(&test_context, &axes, aug_b, aug, &n), PRUN_OK);
    values[0] = width;
    values[1] = aug;
    small = axes_of(values, 2, 6);
    axes.seeds = PRUN_SEEDS_AVERAGED;
    CHECK_STATUS(prun_granulated_kendall(&test_context, &axes, mu_b, gap_b, &got), PRUN_OK);
    CHECK_STATUS(prun_granulated_kendall(&test_context, &small, mu, gap, &want), PRUN_OK);
    CHECK(got.psi[0] == want.psi[0] && got.psi[1] == want.psi[1] && got.mean == want.mean);
    CHECK_CLOSE(got.mean_standard_error, 0.36641405439646996, 0,
                1e-10); /* the design of the small grid */
}

/* The paper's design: 3 x 3 x 3 x 3 x 2 settings and 2 seeds. */
static void granulated_errors_of_the_paper(void) {
    enum { N = 324 };
    static const int levels[6] = {3, 3, 3, 3, 2, 2};
    static double column[6][N], x[N], y[N];
    const double *values[5] = {column[0], column[1], column[2], column[3], column[4]};
    prun_axes axes = axes_of(values, 5, N);
    prun_granulated g;
    int64_t i, a, rest;
    for (i = 0; i < N; i++) {
        for (a = 0, rest = i; a < 6; rest /= levels[a++]) {
            column[a][i] = (double)(rest % levels[a]);
        }
        x[i] = uniform(1, i);
        y[i] = uniform(2, i);
    }
    axes.seed = column[5];
    axes.seeds = PRUN_SEEDS_POOLED;
    CHECK_STATUS(prun_granulated_kendall(&test_context, &axes, x, y, &g), PRUN_OK);
    CHECK_CLOSE(g.psi_standard_error[0], 0.0483, 5e-5, 0);
    CHECK_CLOSE(g.psi_standard_error[4], 0.0545, 5e-5, 0);
    CHECK_CLOSE(g.mean_standard_error, 0.0222, 5e-5, 0);
    CHECK(g.groups[0] == 54 && g.groups[4] == 81);
    axes.seeds = PRUN_SEEDS_FIXED;
    CHECK_STATUS(prun_granulated_kendall(&test_context, &axes, x, y, &g), PRUN_OK);
    CHECK_CLOSE(g.psi_standard_error[0], 0.0614, 5e-5, 0);
    CHECK_CLOSE(g.psi_standard_error[4], 0.0786, 5e-5, 0);
    CHECK_CLOSE(g.mean_standard_error, 0.0292, 5e-5, 0);
    CHECK(g.groups[0] == 108 && g.groups[4] == 162);
}

static int same_group(const table *t, int64_t axis, int64_t i, int64_t j) {
    int64_t a;
    for (a = 0; a < TABLE_AXES; a++) {
        if (a != axis && t->axis[a][i] != t->axis[a][j]) return 0;
    }
    return t->axes.seeds != PRUN_SEEDS_FIXED || t->seed[i] == t->seed[j];
}

static double psi_by_definition(const table *t, int64_t axis, int64_t *groups) {
    double sum = 0;
    int64_t i, j, k;
    *groups = 0;
    for (i = 0; i < TABLE; i++) {
        int64_t members[TABLE], count = 0, varies = 0;
        double tau = 0;
        for (j = 0; j < i && !same_group(t, axis, i, j); j++) {
        }
        if (j < i) continue; /* its group was seen */
        for (j = i; j < TABLE; j++) {
            if (same_group(t, axis, i, j)) {
                varies |= t->axis[axis][j] != t->axis[axis][i];
                members[count++] = j;
            }
        }
        if (!varies) continue;
        for (j = 0; j < count; j++) {
            for (k = 0; k < count; k++) {
                tau += sign_of(t->x[members[j]], t->x[members[k]]) *
                       sign_of(t->y[members[j]], t->y[members[k]]);
            }
        }
        sum += tau / (double)(count * (count - 1));
        ++*groups;
    }
    return sum / (double)*groups;
}

static void granulated_by_definition(void) {
    static table t;
    int round, rule;
    for (round = 0; round < 12; round++) {
        random_table(100 + (uint64_t)round, round % 3 * 4, &t);
        for (rule = 0; rule < 2; rule++) {
            prun_granulated g;
            int64_t a, groups = 0;
            double mean = 0;
            t.axes.seeds = rule ? PRUN_SEEDS_POOLED : PRUN_SEEDS_FIXED;
            CHECK_STATUS(prun_granulated_kendall(&test_context, &t.axes, t.x, t.y, &g), PRUN_OK);
            for (a = 0; a < TABLE_AXES; a++) {
                double psi = psi_by_definition(&t, a, &groups);
                CHECK_CLOSE(g.psi[a], psi, 1e-13, 0);
                CHECK(g.groups[a] == groups && groups > 1);
                mean += psi / TABLE_AXES;
            }
            CHECK_CLOSE(g.mean, mean, 1e-13, 0);
        }
    }
}

/* A group of more than 64 models is handled by other code than a small one. */
static void granulated_large_group(void) {
    enum { N = 150 };
    static double x[N], y[N], axis[N];
    const double *values[1] = {axis};
    prun_axes axes = axes_of(values, 1, N);
    prun_granulated g;
    prun_kendall k;
    int64_t i;
    for (i = 0; i < N; i++) {
        axis[i] = (double)i;
        x[i] = floor(20 * uniform(5, i));
        y[i] = floor(20 * uniform(6, i)) + x[i] / 2;
    }
    CHECK_STATUS(prun_granulated_kendall(&test_context, &axes, x, y, &g), PRUN_OK);
    CHECK_STATUS(prun_kendall_tau(&test_context, x, y, N, &k), PRUN_OK);
    CHECK_CLOSE(g.psi[0], k.tau_a, 1e-14, 0);
    CHECK_CLOSE(g.psi_standard_error[0], k.standard_error, 1e-14, 0);
}

static void granulated_undefined(void) {
    const double constant[6] = {4, 4, 4, 4, 4, 4};
    const double *values[2] = {width_a, constant};
    prun_axes axes = axes_of(values, 2, 6);
    prun_granulated g;
    CHECK_STATUS(prun_granulated_kendall(&test_context, &axes, mu_a, gap_a, &g), PRUN_OK);
    CHECK(isnan(g.psi[1]) && isnan(g.psi_standard_error[1]) && g.groups[1] == 0 &&
          g.reason[1] != NULL);
    CHECK(g.reason[0] == NULL && g.axis_count == 1 && g.mean == g.psi[0]);
    axes.values = values + 1;
    axes.count = 1;
    CHECK_STATUS(prun_granulated_kendall(&test_context, &axes, mu_a, gap_a, &g), PRUN_OK);
    CHECK(isnan(g.mean) && isnan(g.mean_standard_error) && g.axis_count == 0);
}

/* ---- conditional mutual information ---- */

static void information_small_grid(void) {
    const prun_axes axes = axes_of(axes_a, 2, 6);
    static const double want[3][3] = {{0.278071905113, 1, 0.278071905113},
                                      {0.449022499567, 0.849022499567, 0.528869964926},
                                      {0.032681666378, 0.4, 0.081704165946}};
    prun_cmi c;
    int i;
    if (!CHECK_STATUS(
            prun_conditional_information(&test_context, &axes, mu_a, gap_a, PRUN_TIES_DROP, &c),
            PRUN_OK))
        return;
    CHECK(c.subset_count == 4 && c.best == 2);
    for (i = 0; i < 3; i++) {
        CHECK_CLOSE(c.subset[i].information, want[i][0], 1e-12, 0);
        CHECK_CLOSE(c.subset[i].entropy_y, want[i][1], 1e-12, 0);
        CHECK_CLOSE(c.subset[i].value, want[i][2], 1e-12, 0);
    }
    CHECK(c.subset[0].cells == 1 && c.subset[1].cells == 9 && c.subset[2].cells == 4);
    CHECK(c.subset[3].cells == 30 && c.subset[3].information == 0 && c.subset[3].entropy_y == 0);
    CHECK(isnan(c.subset[3].value) && c.subset[3].pairs == 30);
    CHECK(c.subset[3].axis[0] == 0 && c.subset[3].axis[1] == 1);
    CHECK_CLOSE(c.k, 0.08170416594551055, 1e-10, 0);
}

static void information_with_seeds(void) {
    static const double value[7] = {0.315961564361, 0.378977016684, 0.045400242234, 0.331945471519,
                                    0.433370256919, 0.628132442635, 0.202496903433};
    prun_axes axes = axes_of(axes_b, 3, 12);
    prun_cmi c;
    int i;
    CHECK_STATUS(
        prun_conditional_information(&test_context, &axes, mu_b, gap_b, PRUN_TIES_DROP, &c),
        PRUN_OK);
    CHECK(c.subset_count == 7);
    for (i = 0; i < 7; i++) {
        CHECK_CLOSE(c.subset[i].value, value[i], 1e-12, 0);
    }
    CHECK_CLOSE(c.subset[1].information, 0.337329463356, 1e-12, 0);
    CHECK_CLOSE(c.subset[1].entropy_y, 0.890105332263, 1e-12, 0);
    CHECK_CLOSE(c.subset[2].information, 0.025171266248, 1e-12, 0);
    CHECK_CLOSE(c.subset[2].entropy_y, 0.554430219073, 1e-12, 0);
    CHECK_CLOSE(c.subset[4].information, 0.124629734685, 1e-12, 0);
    CHECK_CLOSE(c.subset[4].entropy_y, 0.287582575626, 1e-12, 0);
    CHECK(c.subset[4].cells == 36);
    CHECK_CLOSE(c.k, 0.04540024223423999, 1e-10, 0);
    axes.count = 2;
    CHECK_STATUS(
        prun_conditional_information(&test_context, &axes, mu_b, gap_b, PRUN_TIES_DROP, &c),
        PRUN_OK);
    CHECK_CLOSE(c.k, 0.04540024223423999, 1e-10, 0);
    CHECK(c.subset_count == 4 && c.best == 2);
}

static void information_between_measures(void) {
    static const double by_second[4] = {.254482157189, .491396088896, .145052331040, .353588723373};
    static const double by_first[4] = {.254482157189, .316723899029, .278071905113, .367113686311};
    const prun_axes axes = axes_of(axes_b, 2, 12);
    prun_cmi c, swapped;
    double least = 1;
    int i;
    CHECK_STATUS(
        prun_conditional_information(&test_context, &axes, mu_b, mu2_b, PRUN_TIES_DROP, &c),
        PRUN_OK);
    CHECK_STATUS(
        prun_conditional_information(&test_context, &axes, mu2_b, mu_b, PRUN_TIES_DROP, &swapped),
        PRUN_OK);
    for (i = 0; i < 4; i++) {
        const double larger = by_second[i] > by_first[i] ? by_second[i] : by_first[i];
        CHECK_CLOSE(c.subset[i].value, by_second[i], 1e-12, 0);
        CHECK_CLOSE(swapped.subset[i].value, by_first[i], 1e-12, 0);
        CHECK_CLOSE(c.subset[i].symmetric, larger, 1e-12, 0); /* by the smaller entropy */
        CHECK_CLOSE(swapped.subset[i].symmetric, larger, 1e-12, 0);
        least = larger < least ? larger : least;
    }
    CHECK_CLOSE(c.k, 0.14505233104011478, 1e-10, 0);
    CHECK_CLOSE(swapped.k, 0.2544821571891718, 1e-10, 0);
    CHECK_CLOSE(c.symmetric, least, 1e-12, 0);
}

static void information_ties(void) {
    const prun_axes axes = axes_of(axes_a, 2, 6);
    prun_cmi c;
    CHECK_STATUS(
        prun_conditional_information(&test_context, &axes, mu_t, gap_t, PRUN_TIES_DROP, &c),
        PRUN_OK);
    CHECK_CLOSE(c.subset[0].value, .380617805321, 1e-12, 0);
    CHECK_CLOSE(c.subset[1].value, .533565137846, 1e-12, 0);
    CHECK_CLOSE(c.subset[2].value, .449022499567, 1e-12, 0);
    CHECK_CLOSE(c.k, .38061780532123635, 1e-10, 0);
    CHECK_STATUS(
        prun_conditional_information(&test_context, &axes, mu_t, gap_t, PRUN_TIES_STRICT, &c),
        PRUN_OK);
    CHECK_CLOSE(c.subset[0].value, .276554595446, 1e-12, 0);
    CHECK_CLOSE(c.subset[1].value, .447477055958, 1e-12, 0);
    CHECK_CLOSE(c.subset[2].value, .281944042921, 1e-12, 0);
    CHECK_CLOSE(c.k, .27655459544649663, 1e-10, 0);
}

static double plogp(double p) { return p > 0 ? p * log(p) / log(2.0) : 0; }

/* I and H(y) for a set of axes, from the definition: cell by cell, over ordered pairs. */
static void information_by_definition(const table *t, const int32_t *set, prun_ties ties,
                                      double *information, double *entropy) {
    static int done[TABLE][TABLE];
    double total = 0;
    int64_t i, j, k, l;
    int s;
    memset(done, 0, sizeof done);
    *information = *entropy = 0;
    for (i = 0; i < TABLE; i++) {
        for (j = 0; j < TABLE; j++) {
            double w[4] = {0, 0, 0, 0}, n;
            if (i == j || done[i][j]) continue;
            for (k = 0; k < TABLE; k++) {
                for (l = 0; l < TABLE; l++) {
                    int in_cell = k != l, x = sign_of(t->x[k], t->x[l]);
                    int y = sign_of(t->y[k], t->y[l]), a, b;
                    for (s = 0; s < 2 && set[s] >= 0; s++) {
                        in_cell &= t->axis[set[s]][k] == t->axis[set[s]][i] &&
                                   t->axis[set[s]][l] == t->axis[set[s]][j];
                    }
                    if (!in_cell) continue;
                    done[k][l] = 1;
                    if (ties == PRUN_TIES_DROP && (x == 0 || y == 0)) continue;
                    for (a = 0; a < 2; a++) {
                        for (b = 0; b < 2; b++) {
                            double half = ties == PRUN_TIES_HALF ? .5 : 1 - a;
                            double halb = ties == PRUN_TIES_HALF ? .5 : 1 - b;
                            w[2 * a + b] +=
                                (x == 0 ? half : (x > 0) == a) * (y == 0 ? halb : (y > 0) == b);
                        }
                    }
                }
            }
            n = w[0] + w[1] + w[2] + w[3];
            if (n <= 0) continue;
            total += n;
            *entropy -= n * (plogp((w[0] + w[2]) / n) + plogp((w[1] + w[3]) / n));
            *information +=
                n * (plogp(w[0] / n) + plogp(w[1] / n) + plogp(w[2] / n) + plogp(w[3] / n) -
                     plogp((w[0] + w[1]) / n) - plogp((w[2] + w[3]) / n) -
                     plogp((w[0] + w[2]) / n) - plogp((w[1] + w[3]) / n));
        }
    }
    *information /= total;
    *entropy /= total;
}

static void information_equals_its_definition(void) {
    static table t;
    int round, i;
    for (round = 0; round < 3; round++) {
        prun_ties ties = (prun_ties)round;
        prun_cmi c;
        double k = 2;
        random_table(200 + (uint64_t)round, 6, &t);
        CHECK_STATUS(prun_conditional_information(&test_context, &t.axes, t.x, t.y, ties, &c),
                     PRUN_OK);
        CHECK(c.subset_count == 7);
        for (i = 0; i < c.subset_count; i++) {
            double information, entropy;
            information_by_definition(&t, c.subset[i].axis, ties, &information, &entropy);
            CHECK_CLOSE(c.subset[i].information, information, 1e-12, 0);
            CHECK_CLOSE(c.subset[i].entropy_y, entropy, 1e-12, 0);
            CHECK_CLOSE(c.subset[i].value, information / entropy, 1e-12, 0);
            k = information / entropy < k ? information / entropy : k;
        }
        CHECK_CLOSE(c.k, k, 1e-12, 0);
    }
}

/* Without ties and axes, I depends only on tau. */
static void information_of_tau(void) {
    const prun_axes axes = axes_of(NULL, 0, 12);
    prun_kendall kendall;
    prun_cmi c;
    double q;
    CHECK_STATUS(
        prun_conditional_information(&test_context, &axes, mu_b, gap_b, PRUN_TIES_DROP, &c),
        PRUN_OK);
    CHECK_STATUS(prun_kendall_tau(&test_context, mu_b, gap_b, 12, &kendall), PRUN_OK);
    q = (1 + kendall.tau_a) / 2;
    CHECK_CLOSE(c.k, 1 + plogp(q) + plogp(1 - q), 1e-13, 0);
    CHECK(c.subset_count == 1);
}

static void information_undefined(void) {
    const double constant[6] = {1, 1, 1, 1, 1, 1};
    const prun_axes axes = axes_of(axes_a, 2, 6);
    prun_cmi c;
    CHECK_STATUS(
        prun_conditional_information(&test_context, &axes, mu_a, constant, PRUN_TIES_DROP, &c),
        PRUN_OK);
    CHECK(isnan(c.k) && isnan(c.symmetric) && c.best == -1 && c.reason != NULL);
    CHECK_STATUS(
        prun_conditional_information(&test_context, &axes, mu_a, constant, PRUN_TIES_STRICT, &c),
        PRUN_OK);
    CHECK(isnan(c.k) && c.reason != NULL);
}

/* ---- regression ---- */

static void regression_one_variable(void) {
    static const double folds[4] = {.6165493846124621, .46438758308763495, .2157885478882482,
                                    -1.5402468036432109};
    const double *x[1] = {mu_b};
    double slope = 0, standardized = 0, predictions[12];
    prun_regression_options o;
    prun_regression_outputs out;
    prun_regression r;
    int i, k;
    memset(&o, 0, sizeof o);
    memset(&out, 0, sizeof out);
    o.folds = 4;
    o.contiguous = 1;
    out.coefficients = &slope;
    out.standardized = &standardized;
    out.crossfitted = predictions;
    if (!CHECK_STATUS(prun_regression_fit(&test_context, &(prun_regression_data){x, 1, gap_b, 12},
                                          &o, &r, &out),
                      PRUN_OK))
        return;
    CHECK_CLOSE(slope, 0.44153104, 5e-9, 0);
    CHECK_CLOSE(r.intercept, 0.01651597, 5e-9, 0);
    CHECK_CLOSE(r.r2, 0.686791340680313, 0, 1e-10);
    CHECK_CLOSE(r.adjusted_r2, 0.6554704747483443, 0, 1e-10);
    CHECK_CLOSE(standardized, sqrt(r.r2), 1e-12, 0);
    CHECK_CLOSE(r.cv_r2_folds, -0.060880322013716404, 0, 1e-10);
    CHECK_CLOSE(r.cv_r2, 0.5220087873381776, 0, 1e-10);
    CHECK_CLOSE(r.cv_r2_training, 0.6422873001064209, 0, 1e-10);
    CHECK(r.rank == 1 && r.folds == 4 && r.best == 0 && r.reason == NULL);
    for (k = 0; k < 4; k++) {
        double mean = 0, sse = 0, sst = 0;
        for (i = 3 * k; i < 3 * k + 3; i++) {
            mean += gap_b[i] / 3;
        }
        for (i = 3 * k; i < 3 * k + 3; i++) {
            sse += pow(gap_b[i] - predictions[i], 2);
            sst += pow(gap_b[i] - mean, 2);
        }
        CHECK_CLOSE(1 - sse / sst, folds[k], 0, 1e-10);
    }
    o.folds = 10;
    CHECK_STATUS(
        prun_regression_fit(&test_context, &(prun_regression_data){x, 1, gap_b, 12}, &o, &r, &out),
        PRUN_OK);
    CHECK_CLOSE(r.cv_r2, 0.47141582551378536, 0, 1e-10);
    CHECK(isnan(r.cv_r2_folds)); /* folds of one model */
}

static void regression_two_variables(void) {
    const double z[12] = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8};
    const double *x[2] = {mu_b, z};
    double standardized[2], fitted[12], mean = 0, sse = 0, sst = 0;
    prun_regression_options o;
    prun_regression_outputs out;
    prun_regression r;
    int i;
    memset(&o, 0, sizeof o);
    memset(&out, 0, sizeof out);
    out.standardized = standardized;
    out.fitted = fitted;
    CHECK_STATUS(
        prun_regression_fit(&test_context, &(prun_regression_data){x, 2, gap_b, 12}, &o, &r, &out),
        PRUN_OK);
    CHECK_CLOSE(r.r2, 0.6867913426118014, 0, 1e-10);
    CHECK_CLOSE(r.adjusted_r2, 0.6171894187477573, 0, 1e-10);
    CHECK_CLOSE(standardized[0], 0.828712770, 5e-10, 0);
    CHECK_CLOSE(standardized[1], -4.67635814e-05, 5e-14, 0);
    CHECK(r.best == 0 && r.rank == 2);
    for (i = 0; i < 12; i++) {
        mean += gap_b[i] / 12;
    }
    for (i = 0; i < 12; i++) {
        sse += pow(gap_b[i] - fitted[i], 2);
        sst += pow(gap_b[i] - mean, 2);
    }
    CHECK_CLOSE(1 - sse / sst, r.r2, 1e-12, 0);
}

/* Powers up to the fifth on 0 .. 40 are almost linearly dependent: normal equations would fail, QR
   does not. Predictions of a polynomial are exact in and out of sample. */
static void regression_recovers_a_polynomial(void) {
    enum { N = 41, P = 5 };
    static const double want[P] = {3, -2, .5, -.01, 1e-4};
    static double power[P][N], y[N], cross[N];
    const double *x[P];
    double slope[P];
    prun_regression_options o;
    prun_regression_outputs out;
    prun_regression r;
    int i, j;
    for (i = 0; i < N; i++) {
        y[i] = 7;
        for (j = 0; j < P; j++) {
            power[j][i] = pow(i, j + 1);
            x[j] = power[j];
            y[i] += want[j] * power[j][i];
        }
    }
    memset(&o, 0, sizeof o);
    memset(&out, 0, sizeof out);
    out.coefficients = slope;
    out.crossfitted = cross;
    CHECK_STATUS(
        prun_regression_fit(&test_context, &(prun_regression_data){x, P, y, N}, &o, &r, &out),
        PRUN_OK);
    CHECK_CLOSE(r.intercept, 7, 1e-6, 0);
    for (j = 0; j < P; j++) {
        CHECK_CLOSE(slope[j], want[j], 0, 1e-7);
    }
    for (i = 0; i < N; i++) {
        CHECK_CLOSE(cross[i], y[i], 1e-5, 1e-9);
    }
    CHECK_CLOSE(r.cv_r2, 1, 1e-12, 0);
}

static void regression_dependent_variables(void) {
    double twice[12], constant[12], slopes[4], fitted[12], alone[12];
    const double *x[4] = {mu_b, twice, constant, mu2_b}, *two[2] = {mu_b, mu2_b};
    prun_regression_options o;
    prun_regression_outputs out;
    prun_regression r, s;
    int i;
    for (i = 0; i < 12; i++) {
        twice[i] = 2 * mu_b[i] - 5;
        constant[i] = 0.1;
    }
    memset(&o, 0, sizeof o);
    memset(&out, 0, sizeof out);
    out.coefficients = slopes;
    out.fitted = fitted;
    CHECK_STATUS(
        prun_regression_fit(&test_context, &(prun_regression_data){x, 4, gap_b, 12}, &o, &r, &out),
        PRUN_OK);
    out.coefficients = NULL;
    out.fitted = alone;
    CHECK_STATUS(prun_regression_fit(&test_context, &(prun_regression_data){two, 2, gap_b, 12}, &o,
                                     &s, &out),
                 PRUN_OK);
    CHECK(r.rank == 2 && s.rank == 2 && slopes[2] == 0 && (slopes[0] == 0 || slopes[1] == 0));
    CHECK_CLOSE(r.r2, s.r2, 1e-12, 0);
    CHECK_CLOSE(r.adjusted_r2, s.adjusted_r2, 1e-12, 0);
    for (i = 0; i < 12; i++) {
        CHECK_CLOSE(fitted[i], alone[i], 1e-12, 0);
    }
}

static void regression_undefined(void) {
    const double constant[12] = {2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2};
    const double *x[2] = {mu_b, mu2_b};
    prun_regression_options o;
    prun_regression r;
    CHECK_STATUS(prun_regression_fit(&test_context, &(prun_regression_data){x, 2, constant, 12},
                                     NULL, &r, NULL),
                 PRUN_OK);
    CHECK(isnan(r.r2) && isnan(r.adjusted_r2) && isnan(r.cv_r2) && r.reason != NULL);
    CHECK_STATUS(
        prun_regression_fit(&test_context, &(prun_regression_data){x, 2, gap_b, 3}, NULL, &r, NULL),
        PRUN_OK);
    CHECK(isnan(r.adjusted_r2) && r.reason != NULL && r.folds == 3);
    CHECK_CLOSE(r.r2, 1, 1e-12, 0);
    CHECK_STATUS(prun_regression_fit(&test_context, &(prun_regression_data){x, 0, gap_b, 12}, NULL,
                                     &r, NULL),
                 PRUN_OK);
    CHECK_CLOSE(r.r2, 0, 1e-15, 0);
    CHECK(r.rank == 0 && r.best == -1);
    CHECK_STATUS(
        prun_regression_fit(&test_context, &(prun_regression_data){x, 2, gap_b, 2}, NULL, &r, NULL),
        PRUN_OK);
    CHECK_STATUS(
        prun_regression_fit(&test_context, &(prun_regression_data){x, 2, gap_b, 1}, NULL, &r, NULL),
        PRUN_ERR_ARGUMENT);
    memset(&o, 0, sizeof o);
    o.folds = 1;
    CHECK_STATUS(
        prun_regression_fit(&test_context, &(prun_regression_data){x, 2, gap_b, 12}, &o, &r, NULL),
        PRUN_ERR_ARGUMENT);
}

/* ---- robust sign error ---- */

static void sign_error_of_a_pair(void) {
    static const double differences[5][2] = {{.01, 0},
                                             {.012, 0.0007020108886004235},
                                             {.02, 0.531921422608486},
                                             {.03, 0.9560576530633774},
                                             {.05, 0.9999850934428636}};
    const double g1[2] = {.30, .28}, c1[2] = {5, 4}, g2[2] = {.20, .27}, c2[2] = {3, 6};
    double weight = 0, ess = 0;
    int i;
    for (i = 0; i < 5; i++) {
        const double certain = differences[i][1] - .5;
        CHECK_CLOSE(prun_sign_error_weight(differences[i][0], 10000), certain > 0 ? certain : 0,
                    1e-12, 0);
    }
    CHECK_CLOSE(prun_sign_error_weight(.3 - .2, 10000), .5, 1e-12, 0);
    CHECK_CLOSE(prun_sign_error_weight(.3 - .27, 10000), .4560576530633772, 1e-12, 0);
    CHECK_CLOSE(prun_sign_error_weight(.28 - .20, 10000), .4999999999999494, 1e-12, 0);
    CHECK(prun_sign_error_weight(.28 - .27, 10000) == 0);
    CHECK_CLOSE(prun_sign_error_pair(&(prun_runs){c1, g1, 2}, &(prun_runs){c2, g2, 2}, 10000,
                                     &weight, &ess),
                0.31321400777222, 1e-12, 0);
    CHECK_CLOSE(weight, 1.4560576530633265, 1e-12, 0);
    CHECK_CLOSE(ess, 2.9945453079304216, 1e-12, 0);
    /* on a huge test set every difference is certain: the plain fraction of errors */
    CHECK_CLOSE(
        prun_sign_error_pair(&(prun_runs){c1, g1, 2}, &(prun_runs){c2, g2, 2}, 1e12, &weight, &ess),
        0.5, 1e-12, 0);
    CHECK_CLOSE(ess, 4, 1e-12, 0);
}

static void sign_error_of_two_settings(void) {
    const double axis[4] = {1, 1, 2, 2}, gap[4] = {.30, .28, .20, .27}, c[4] = {5, 4, 3, 6};
    const double *values[1] = {axis};
    const prun_axes axes = axes_of(values, 1, 4);
    prun_sign_error_options o;
    prun_sign_error r;
    memset(&o, 0, sizeof o);
    CHECK_STATUS(prun_robust_sign_error(&test_context, &axes, c, gap, &o, &r), PRUN_OK);
    CHECK(r.all.environments == 0 && r.all.dropped == 1 && isnan(r.all.mean) && isnan(r.all.max));
    o.effective_size = DBL_MIN;
    CHECK_STATUS(prun_robust_sign_error(&test_context, &axes, c, gap, &o, &r), PRUN_OK);
    CHECK_CLOSE(r.all.mean, 0.31321400777222, 1e-12, 0);
    CHECK(r.all.max == r.all.mean && r.all.p90 == r.all.mean && r.axis[0].max == r.all.max);
    CHECK(r.all.environments == 1 && r.all.dropped == 0);
}

static int by_value(const void *left, const void *right) {
    return sign_of(*(const double *)left, *(const double *)right);
}

/* Every pair of settings that differ in one axis, found by comparing all pairs of models. */
static void sign_error_by_definition(void) {
    static table t;
    static double list[2 * TABLE * TABLE];
    prun_sign_error_options o;
    prun_sign_error r;
    int64_t i, j, a, b, k, l, count = 0, dropped = 0;
    double sum = 0, at;
    random_table(300, 0, &t);
    memset(&o, 0, sizeof o);
    o.test_samples = 2000;
    o.effective_size = 2;
    CHECK_STATUS(prun_robust_sign_error(&test_context, &t.axes, t.x, t.y, &o, &r), PRUN_OK);
    for (i = 0; i < TABLE; i++) {
        for (j = 0; j < TABLE; j++) {
            double weight = 0, squares = 0, errors = 0;
            int64_t members[2][TABLE], size[2] = {0, 0}, differ = 0;
            for (a = 0; a < TABLE_AXES; a++) {
                differ += t.axis[a][i] != t.axis[a][j];
            }
            if (differ != 1) continue;
            for (k = 0; k < TABLE; k++) {
                for (b = 0; b < 2; b++) {
                    for (a = 0; a < TABLE_AXES && t.axis[a][k] == t.axis[a][b ? j : i]; a++) {
                    }
                    if (a == TABLE_AXES) members[b][size[b]++] = k;
                }
            }
            if (members[0][0] != i || members[1][0] != j) continue; /* once per pair of settings */
            for (k = 0; k < size[0]; k++) {
                for (l = 0; l < size[1]; l++) {
                    const int64_t u = members[0][k], v = members[1][l];
                    const double w = prun_sign_error_weight(t.y[u] - t.y[v], 2000);
                    weight += w;
                    squares += w * w;
                    errors += w * (1 - sign_of(t.x[u], t.x[v]) * sign_of(t.y[u], t.y[v])) / 2;
                }
            }
            if (weight <= 0 || weight * weight / squares < 2) {
                dropped++;
                continue;
            }
            list[count++] = errors / weight;
        }
    }
    CHECK(count > 20 && dropped > 0);
    CHECK(r.all.environments * 2 == count && r.all.dropped * 2 == dropped);
    qsort(list, (size_t)count, sizeof *list, by_value);
    for (i = 0; i < count; i++) {
        sum += list[i];
    }
    at = 0.9 * (double)(count - 1);
    i = (int64_t)at;
    CHECK_CLOSE(r.all.mean, sum / (double)count, 1e-12, 0);
    CHECK_CLOSE(r.all.max, list[count - 1], 1e-12, 0);
    CHECK_CLOSE(r.all.p90, list[i] + (at - (double)i) * (list[i + 1] - list[i]), 1e-12, 0);
}

/* ---- resampling ---- */

/* A table in which a quarter of the measure is infinite, and a copy with huge numbers instead;
   `targets`: some targets are infinite too. */
static void infinite_table(uint64_t stream, int targets, table *t, table *large) {
    int64_t i, a;
    random_table(stream, stream % 2 ? 0 : 5, t);
    for (i = 0; i < TABLE; i++) {
        const double u = uniform(stream + 50, i);
        t->y[i] /= 10;
        if (u < 0.15) t->x[i] = INFINITY;
        else if (u < 0.25) t->x[i] = -INFINITY;
        else if (u < 0.35 && targets) t->y[i] = INFINITY;
    }
    *large = *t;
    for (a = 0; a < TABLE_AXES; a++) {
        large->values[a] = large->axis[a];
    }
    large->axes.values = large->values;
    large->axes.seed = large->seed;
    for (i = 0; i < TABLE; i++) {
        if (isinf(t->x[i])) large->x[i] = t->x[i] > 0 ? 1e300 : -1e300;
        if (isinf(t->y[i])) large->y[i] = 1e300;
        if (t->axis[0][i] == large->axis[0][0]) t->axis[0][i] = -INFINITY; /* the lowest, too */
    }
    for (i = 0; i < TABLE; i++) {
        large->axis[0][i] = isinf(t->axis[0][i]) ? -1e300 : t->axis[0][i];
    }
}

/* Statistics that only depend on the order accept infinite values, give the same bits as with huge
   numbers, and agree with the definitions. */
static void infinite_values_rank(void) {
    static table t, large;
    prun_resampling_options o;
    prun_interval got, want;
    prun_sample s, l;
    prun_granulated g;
    prun_cmi c;
    double p = 0, q = 1;
    int round, i;
    for (round = 0; round < 4; round++) {
        infinite_table(700 + (uint64_t)round, round > 1, &t, &large);
        CHECK_STATUS(prun_granulated_kendall(&test_context, &t.axes, t.x, t.y, &g), PRUN_OK);
        for (i = 0; i < TABLE_AXES; i++) {
            int64_t groups = 0;
            CHECK_CLOSE(g.psi[i], psi_by_definition(&t, i, &groups), 1e-13, 0);
        }
        CHECK_STATUS(prun_conditional_information(&test_context, &t.axes, t.x, t.y,
                                                  (prun_ties)(round % 3), &c),
                     PRUN_OK);
        for (i = 0; i < c.subset_count; i++) {
            double information = 0, entropy = 0;
            information_by_definition(&t, c.subset[i].axis, (prun_ties)(round % 3), &information,
                                      &entropy);
            CHECK_CLOSE(c.subset[i].information, information, 1e-12, 0);
        }
        s = sample_from(&t);
        l = sample_from(&large);
        memset(&o, 0, sizeof o);
        o.resamples = 40;
        o.sign_error.effective_size = DBL_MIN;
        for (i = 0; i < PRUN_STATISTIC_CUSTOM; i++) {
            o.statistic = (prun_statistic)i;
            if (i == PRUN_STATISTIC_R2 || i == PRUN_STATISTIC_ADJUSTED_R2 ||
                (i > PRUN_STATISTIC_CMI && round > 1))
                continue;
            CHECK_STATUS(prun_bootstrap(&test_context, &s, &o, &got), PRUN_OK);
            CHECK_STATUS(prun_bootstrap(&test_context, &l, &o, &want), PRUN_OK);
            CHECK(memcmp(&got, &want, sizeof got) == 0 && got.lower <= got.upper);
            CHECK_STATUS(prun_compare(&test_context, &s, large.y, &o, &got), PRUN_OK);
            CHECK_STATUS(prun_compare(&test_context, &l, large.y, &o, &want), PRUN_OK);
            CHECK(memcmp(&got, &want, sizeof got) == 0);
            CHECK_STATUS(prun_permutation_test(&test_context, &s, &o, &p), PRUN_OK);
            CHECK_STATUS(prun_permutation_test(&test_context, &l, &o, &q), PRUN_OK);
            CHECK(p == q);
        }
    }
}

/* Statistics that take differences report the values that they cannot use. */
static void infinite_values_undefined(void) {
    static table t, large;
    const double *x[3] = {large.y, large.seed, t.x};
    double fitted[TABLE], coefficients[3], mean[TABLE];
    prun_regression_options options;
    prun_regression_outputs out;
    prun_resampling_options o;
    prun_interval interval;
    prun_regression r;
    prun_sign_error e;
    prun_sample s;
    int64_t n = 0;
    infinite_table(710, 1, &t, &large);
    s = sample_from(&t);
    memset(&options, 0, sizeof options);
    memset(&out, 0, sizeof out);
    out.fitted = fitted;
    out.coefficients = coefficients;
    CHECK_STATUS(prun_regression_fit(&test_context, &(prun_regression_data){x, 3, large.y, TABLE},
                                     &options, &r, &out),
                 PRUN_OK);
    CHECK(isnan(r.r2) && isnan(r.adjusted_r2) && isnan(r.cv_r2) && isnan(r.cv_r2_folds));
    CHECK(r.infinite == 2 && r.best == -1 && strstr(r.reason, "a variable has infinite") != NULL);
    CHECK(isnan(fitted[TABLE - 1]) && isnan(coefficients[0]));
    CHECK_STATUS(prun_regression_fit(&test_context, &(prun_regression_data){x, 2, large.y, TABLE},
                                     NULL, &r, NULL),
                 PRUN_OK);
    CHECK(r.infinite == -1 && fabs(r.r2 - 1) < 1e-12);
    CHECK_STATUS(prun_regression_fit(&test_context, &(prun_regression_data){x, 2, t.y, TABLE}, NULL,
                                     &r, NULL),
                 PRUN_OK);
    CHECK(r.infinite == -1 && isnan(r.r2) && strstr(r.reason, "target") != NULL);
    memset(&o, 0, sizeof o);
    o.resamples = 20;
    o.statistic = PRUN_STATISTIC_R2;
    CHECK_STATUS(prun_bootstrap(&test_context, &s, &o, &interval), PRUN_OK);
    CHECK(isnan(interval.estimate) && strstr(interval.reason, "the target has infinite") != NULL);
    s.target = large.axis[1];
    CHECK_STATUS(prun_bootstrap(&test_context, &s, &o, &interval), PRUN_OK);
    CHECK(isnan(interval.estimate) && strstr(interval.reason, "the measure has infin") != NULL);
    s.target = t.y;
    o.statistic = PRUN_STATISTIC_SIGN_ERROR_MAX;
    CHECK_STATUS(prun_bootstrap(&test_context, &s, &o, &interval), PRUN_ERR_NONFINITE);
    CHECK(strstr(prun_message(&test_context), "sign error, target: value ") != NULL);
    CHECK_STATUS(prun_robust_sign_error(&test_context, &t.axes, t.x, t.y, NULL, &e),
                 PRUN_ERR_NONFINITE);
    CHECK_STATUS(prun_seed_means(&test_context, &t.axes, t.x, mean, &n), PRUN_ERR_NONFINITE);
    CHECK(strstr(prun_message(&test_context), "both signs") != NULL);
    CHECK_STATUS(prun_seed_means(&test_context, &t.axes, t.y, mean, &n), PRUN_OK);
    CHECK(n > 1 && !isnan(mean[0]));
    CHECK(prun_sign_error_pair(&(prun_runs){t.x, t.y, TABLE}, &(prun_runs){t.x, t.y, TABLE}, 100,
                               NULL, NULL) >= 0);
}

/* R2 does not depend on units, even if the squares of the values overflow or underflow. */
static void regression_in_any_unit(void) {
    static const double units[] = {1, 1e-300, 1e-170, 1e-100, 1e100, 1e170, 1e300};
    double x[12], y[12];
    const double *variables[1] = {x};
    prun_regression want, got;
    prun_resampling_options o;
    prun_sample s;
    double r2 = 0;
    size_t k, j;
    int i;
    memset(&o, 0, sizeof o);
    memset(&s, 0, sizeof s);
    o.statistic = PRUN_STATISTIC_R2;
    s.n = 12;
    s.measure = x;
    s.target = y;
    variables[0] = mu_b;
    CHECK_STATUS(prun_regression_fit(&test_context,
                                     &(prun_regression_data){variables, 1, gap_b, 12}, NULL, &want,
                                     NULL),
                 PRUN_OK);
    CHECK_CLOSE(want.r2, 0.686791340680313, 0, 1e-12);
    variables[0] = x;
    for (k = 0; k < sizeof units / sizeof *units; k++) {
        for (j = 0; j < sizeof units / sizeof *units; j++) {
            for (i = 0; i < 12; i++) {
                x[i] = units[k] * mu_b[i];
                y[i] = units[j] * gap_b[i];
            }
            CHECK_STATUS(prun_regression_fit(&test_context,
                                             &(prun_regression_data){variables, 1, y, 12}, NULL,
                                             &got, NULL),
                         PRUN_OK);
            CHECK_CLOSE(got.r2, want.r2, 0, 1e-12);
            CHECK_CLOSE(got.adjusted_r2, want.adjusted_r2, 0, 1e-12);
            CHECK_CLOSE(got.cv_r2, want.cv_r2, 0, 1e-11);
            CHECK_CLOSE(got.cv_r2_training, want.cv_r2_training, 0, 1e-11);
            CHECK_STATUS(prun_statistic_value(&test_context, &s, &o, &r2), PRUN_OK);
            CHECK_CLOSE(r2, want.r2, 0, 1e-12);
        }
    }
}

static void partial_kendall_by_formula(void) {
    static table t;
    prun_kendall xy, xz, yz;
    double tau = 0;
    const double constant[6] = {1, 1, 1, 1, 1, 1};
    random_table(500, 9, &t);
    CHECK_STATUS(prun_kendall_tau(&test_context, t.x, t.y, TABLE, &xy), PRUN_OK);
    CHECK_STATUS(prun_kendall_tau(&test_context, t.x, t.axis[1], TABLE, &xz), PRUN_OK);
    CHECK_STATUS(prun_kendall_tau(&test_context, t.y, t.axis[1], TABLE, &yz), PRUN_OK);
    CHECK_STATUS(prun_partial_kendall(&test_context, t.x, t.y, t.axis[1], TABLE, &tau), PRUN_OK);
    CHECK_CLOSE(tau,
                (xy.tau_b - xz.tau_b * yz.tau_b) /
                    sqrt((1 - xz.tau_b * xz.tau_b) * (1 - yz.tau_b * yz.tau_b)),
                1e-13, 0);
    CHECK_STATUS(prun_partial_kendall(&test_context, mu_a, gap_a, mu_a, 6, &tau), PRUN_OK);
    CHECK(isnan(tau));
    CHECK_STATUS(prun_partial_kendall(&test_context, mu_a, gap_a, constant, 6, &tau), PRUN_OK);
    CHECK(isnan(tau));
}

static void bad_arguments(void) {
    prun_axes axes = axes_of(axes_a, 2, 6);
    double bad[6] = {1, 2, 3, NAN, 5, 6}, value = 0;
    const double *with_bad[2] = {width_a, bad};
    prun_granulated g;
    prun_cmi c;
    prun_sign_error e;
    prun_sign_error_options eo;
    prun_resampling_options o;
    prun_interval interval;
    prun_sample s;
    CHECK_STATUS(prun_granulated_kendall(&test_context, NULL, mu_a, gap_a, &g), PRUN_ERR_ARGUMENT);
    CHECK_STATUS(prun_granulated_kendall(&test_context, &axes, bad, gap_a, &g), PRUN_ERR_NONFINITE);
    CHECK(strstr(prun_message(&test_context), "3") != NULL);
    CHECK_STATUS(prun_conditional_information(&test_context, &axes, mu_a, bad, PRUN_TIES_DROP, &c),
                 PRUN_ERR_NONFINITE);
    CHECK_STATUS(prun_conditional_information(&test_context, &axes, mu_a, gap_a, (prun_ties)3, &c),
                 PRUN_ERR_ARGUMENT);
    axes.values = with_bad;
    CHECK_STATUS(prun_granulated_kendall(&test_context, &axes, mu_a, gap_a, &g),
                 PRUN_ERR_NONFINITE);
    CHECK(strstr(prun_message(&test_context), "axis 1") != NULL);
    axes.count = PRUN_MAX_AXES + 1;
    CHECK_STATUS(prun_granulated_kendall(&test_context, &axes, mu_a, gap_a, &g), PRUN_ERR_ARGUMENT);
    axes = axes_of(axes_a, 2, 1);
    CHECK_STATUS(prun_robust_sign_error(&test_context, &axes, mu_a, gap_a, NULL, &e),
                 PRUN_ERR_ARGUMENT);
    axes.n = 6;
    memset(&eo, 0, sizeof eo);
    eo.test_samples = -1;
    CHECK_STATUS(prun_robust_sign_error(&test_context, &axes, mu_a, gap_a, &eo, &e),
                 PRUN_ERR_ARGUMENT);
    memset(&o, 0, sizeof o);
    memset(&s, 0, sizeof s);
    s.n = 6;
    CHECK_STATUS(prun_bootstrap(&test_context, &s, &o, &interval), PRUN_ERR_ARGUMENT);
    s.measure = mu_a;
    s.target = gap_a;
    o.statistic = PRUN_STATISTIC_PSI;
    CHECK_STATUS(prun_bootstrap(&test_context, &s, &o, &interval), PRUN_ERR_ARGUMENT);
    s.axes = &axes;
    o.axis = 2;
    CHECK_STATUS(prun_bootstrap(&test_context, &s, &o, &interval), PRUN_ERR_ARGUMENT);
    o.statistic = PRUN_STATISTIC_PARTIAL_TAU;
    CHECK_STATUS(prun_statistic_value(&test_context, &s, &o, &value), PRUN_ERR_ARGUMENT);
    o.statistic = PRUN_STATISTIC_CUSTOM;
    CHECK_STATUS(prun_statistic_value(&test_context, &s, &o, &value), PRUN_ERR_ARGUMENT);
    o.statistic = PRUN_STATISTIC_TAU_A;
    o.level = 1;
    CHECK_STATUS(prun_bootstrap(&test_context, &s, &o, &interval), PRUN_ERR_ARGUMENT);
    o.level = 0;
    o.resamples = -1;
    CHECK_STATUS(prun_bootstrap(&test_context, &s, &o, &interval), PRUN_ERR_ARGUMENT);
    o.resamples = INT64_MAX;
    CHECK_STATUS(prun_bootstrap(&test_context, &s, &o, &interval), PRUN_ERR_ARGUMENT);
}

/* ---- CSV ---- */

static const char csv_path[] = "build/test_stats.csv";

/* ---- memory ---- */

typedef struct heap {
    int64_t requests, fail_at, live;
} heap;

static void *heap_allocate(void *user, size_t size) {
    heap *h = (heap *)user;
    void *block = ++h->requests == h->fail_at || size > (size_t)1 << 30 ? NULL : malloc(size);
    if (block != NULL) memset(block, 0xa5, size);
    h->live += block != NULL;
    return block;
}

static void heap_release(void *user, void *pointer) {
    ((heap *)user)->live -= pointer != NULL;
    free(pointer);
}

static prun_status operation(prun_context *context, const table *t, int which) {
    const prun_sample s = sample_from(t);
    const double *x[2];
    prun_kendall k;
    prun_granulated g;
    prun_cmi c;
    prun_sign_error e;
    prun_regression r;
    prun_resampling_options o;
    prun_interval interval;
    prun_table file;
    double value;
    int64_t count;
    prun_status status;
    x[0] = t->x;
    x[1] = t->axis[0];
    memset(&o, 0, sizeof o);
    o.resamples = 5;
    o.statistic = PRUN_STATISTIC_SIGN_ERROR_MAX;
    switch (which) {
        case 0: return prun_kendall_tau(context, t->x, t->y, TABLE, &k);
        case 1: return prun_granulated_kendall(context, &t->axes, t->x, t->y, &g);
        case 2:
            return prun_conditional_information(context, &t->axes, t->x, t->y, PRUN_TIES_DROP, &c);
        case 3:
            return prun_regression_fit(context, &(prun_regression_data){x, 2, t->y, TABLE}, NULL,
                                       &r, NULL);
        case 4: return prun_robust_sign_error(context, &t->axes, t->x, t->y, NULL, &e);
        case 5: return prun_bootstrap(context, &s, &o, &interval);
        case 6: return prun_permutation_test(context, &s, &o, &value);
        case 7: return prun_seed_means(context, &t->axes, t->x, NULL, &count);
        case 8: return prun_partial_kendall(context, t->x, t->y, t->axis[0], TABLE, &value);
        default: break;
    }
    status = prun_table_load_csv(context, csv_path, &file);
    if (status == PRUN_OK) prun_table_free(&file);
    return status;
}

static void memory_runs_out(void) {
    static table t;
    int which;
    random_table(600, 5, &t);
    if (!write_file(csv_path, "a,b\n1,x\n2,y\n", 12)) return;
    for (which = 0; which < 10; which++) {
        prun_context context;
        heap h;
        prun_status status;
        memset(&h, 0, sizeof h);
        memset(&context, 0, sizeof context);
        context.allocate = heap_allocate;
        context.release = heap_release;
        context.allocator_user = &h;
        context.threads = 1;
        do {
            h.fail_at++;
            h.requests = 0;
            status = operation(&context, &t, which);
            CHECK(h.live == 0);
            CHECK(status == PRUN_OK || status == PRUN_ERR_MEMORY);
        } while (status == PRUN_ERR_MEMORY && h.fail_at < 20);
        CHECK(status == PRUN_OK && h.fail_at > 1 && h.fail_at > h.requests);
    }
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
    TEST_CASE(kendall_small_grid),
    TEST_CASE(granulated_small_grid),
    TEST_CASE(granulated_seeds),
    TEST_CASE(granulated_seed_means),
    TEST_CASE(granulated_errors_of_the_paper),
    TEST_CASE(granulated_by_definition),
    TEST_CASE(granulated_large_group),
    TEST_CASE(granulated_undefined),
    TEST_CASE(information_small_grid),
    TEST_CASE(information_with_seeds),
    TEST_CASE(information_between_measures),
    TEST_CASE(information_ties),
    TEST_CASE(information_equals_its_definition),
    TEST_CASE(information_of_tau),
    TEST_CASE(information_undefined),
    TEST_CASE(regression_one_variable),
    TEST_CASE(regression_two_variables),
    TEST_CASE(regression_recovers_a_polynomial),
    TEST_CASE(regression_dependent_variables),
    TEST_CASE(regression_undefined),
    TEST_CASE(sign_error_of_a_pair),
    TEST_CASE(sign_error_of_two_settings),
    TEST_CASE(sign_error_by_definition),
    TEST_CASE(infinite_values_rank),
    TEST_CASE(infinite_values_undefined),
    TEST_CASE(regression_in_any_unit),
    TEST_CASE(partial_kendall_by_formula),
    TEST_CASE(bad_arguments),
    TEST_CASE(memory_runs_out),
};

int main(int argc, char **argv) { return TEST_MAIN("test_stats", cases, argc, argv); }
