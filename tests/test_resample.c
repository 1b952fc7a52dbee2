/* test_resample.c - section RESAMPLE: bootstrap, comparisons, permutation tests, Holm's
   correction. */
#include "../prunability.h"

#include <float.h>
#include <stdlib.h>

#include "grids.h"

/* ---- resampling ---- */

static void all_tasks_backwards(void *user, void (*body)(void *argument, int64_t i), void *argument,
                                int64_t count) {
    (void)user;
    while (count-- > 0) {
        body(argument, count);
    }
}

static double first_row(void *user, const int64_t *rows, int64_t n) {
    const table *t = (const table *)user;
    double sum = 0;
    int64_t i;
    for (i = 0; i < n; i++) {
        sum += t->y[rows[i]] / (double)n;
    }
    return sum;
}

/* Every statistic has the same bits with one task and with many in another order. Its estimate
   equals the result of its function. */
static void resampling_every_statistic(void) {
    static table t;
    prun_context other;
    prun_resampling_options o;
    prun_sample s;
    prun_kendall k;
    prun_granulated g;
    prun_cmi c;
    prun_sign_error e;
    prun_sign_error_options any;
    prun_regression r;
    const double *x[1];
    double want[PRUN_STATISTIC_CUSTOM + 1], swap;
    int i;
    random_table(400, 7, &t);
    for (i = 0; i < TABLE; i++) {
        t.y[i] /= 10; /* an error rate */
    }
    t.axes.seeds = PRUN_SEEDS_FIXED;
    s = sample_from(&t);
    x[0] = t.x;
    memset(&any, 0, sizeof any);
    any.effective_size = DBL_MIN;
    CHECK_STATUS(prun_kendall_tau(&test_context, t.x, t.y, TABLE, &k), PRUN_OK);
    CHECK_STATUS(prun_granulated_kendall(&test_context, &t.axes, t.x, t.y, &g), PRUN_OK);
    CHECK_STATUS(prun_conditional_information(&test_context, &t.axes, t.x, t.y, PRUN_TIES_HALF, &c),
                 PRUN_OK);
    CHECK_STATUS(prun_robust_sign_error(&test_context, &t.axes, t.x, t.y, &any, &e), PRUN_OK);
    CHECK_STATUS(prun_regression_fit(&test_context, &(prun_regression_data){x, 1, t.y, TABLE}, NULL,
                                     &r, NULL),
                 PRUN_OK);
    CHECK_STATUS(prun_partial_kendall(&test_context, t.x, t.y, t.axis[2], TABLE, &swap), PRUN_OK);
    want[PRUN_STATISTIC_TAU_A] = k.tau_a;
    want[PRUN_STATISTIC_TAU_B] = k.tau_b;
    want[PRUN_STATISTIC_PARTIAL_TAU] = swap;
    want[PRUN_STATISTIC_R2] = r.r2;
    want[PRUN_STATISTIC_ADJUSTED_R2] = r.adjusted_r2;
    want[PRUN_STATISTIC_PSI] = g.psi[1];
    want[PRUN_STATISTIC_PSI_MEAN] = g.mean;
    want[PRUN_STATISTIC_CMI] = c.k;
    want[PRUN_STATISTIC_SIGN_ERROR_MEAN] = e.all.mean;
    want[PRUN_STATISTIC_SIGN_ERROR_P90] = e.all.p90;
    want[PRUN_STATISTIC_SIGN_ERROR_MAX] = e.all.max;
    want[PRUN_STATISTIC_CUSTOM] = 0;
    for (i = 0; i < TABLE; i++) {
        want[PRUN_STATISTIC_CUSTOM] += t.y[i] / TABLE;
    }
    memset(&other, 0, sizeof other);
    other.parallel_for = all_tasks_backwards;
    other.threads = 5;
    test_context.threads = 1;
    memset(&o, 0, sizeof o);
    o.resamples = 60;
    o.axis = 1;
    o.ties = PRUN_TIES_HALF;
    o.sign_error = any;
    o.custom = first_row;
    o.user = &t;
    for (i = 0; i <= PRUN_STATISTIC_CUSTOM; i++) {
        prun_interval one, many;
        double p = 0, p_many = 0;
        o.statistic = (prun_statistic)i;
        s.cluster = i % 2 ? t.seed : NULL;
        if (s.cluster && i != PRUN_STATISTIC_R2) s.cluster = t.axis[0];
        CHECK_STATUS(prun_bootstrap(&test_context, &s, &o, &one), PRUN_OK);
        CHECK_STATUS_IN(&other, prun_bootstrap(&other, &s, &o, &many), PRUN_OK);
        CHECK(memcmp(&one, &many, sizeof one) == 0);
        CHECK_CLOSE(one.estimate, want[i], 1e-12, 0);
        CHECK(one.lower <= one.upper && one.standard_error > 0 && one.used + one.undefined == 60);
        s.cluster = NULL;
        CHECK_STATUS(prun_permutation_test(&test_context, &s, &o, &p), PRUN_OK);
        CHECK_STATUS_IN(&other, prun_permutation_test(&other, &s, &o, &p_many), PRUN_OK);
        CHECK(p == p_many && p > 0 && p <= 1);
    }
}

static double infinite_or_not(void *user, const int64_t *rows, int64_t n) {
    (void)n;
    return rows[0] == 0 || user == NULL ? INFINITY : (double)rows[0];
}

/* Quantiles between infinite values of a custom statistic must not subtract infinities. */
static void infinite_custom_statistic(void) {
    prun_resampling_options o;
    prun_interval interval;
    prun_sample s;
    double any = 0;
    memset(&o, 0, sizeof o);
    memset(&s, 0, sizeof s);
    s.n = 6;
    o.statistic = PRUN_STATISTIC_CUSTOM;
    o.custom = infinite_or_not;
    o.resamples = 200;
    CHECK_STATUS(prun_bootstrap(&test_context, &s, &o, &interval), PRUN_OK);
    CHECK(isinf(interval.lower) && isinf(interval.upper));
    o.user = &any;
    CHECK_STATUS(prun_bootstrap(&test_context, &s, &o, &interval), PRUN_OK);
    CHECK(interval.lower == 1 && isinf(interval.upper));
}

/* The same with real threads. */
static void resampling_with_threads(void) {
    static double x[324], y[324];
    prun_interval one, two;
    prun_resampling_options o;
    prun_sample s;
    int64_t i;
    for (i = 0; i < 324; i++) {
        x[i] = uniform(11, i);
        y[i] = uniform(12, i);
    }
    memset(&o, 0, sizeof o);
    memset(&s, 0, sizeof s);
    s.n = 324;
    s.measure = x;
    s.target = y;
    o.resamples = 4000;
    test_context.threads = 1;
    CHECK_STATUS(prun_bootstrap(&test_context, &s, &o, &one), PRUN_OK);
    test_context.threads = 2;
    CHECK_STATUS(prun_bootstrap(&test_context, &s, &o, &two), PRUN_OK);
    CHECK(memcmp(&one, &two, sizeof one) == 0);
    /* without dependence the deviation is known */
    CHECK_CLOSE(one.standard_error, 0.037237161426471384, 0, 0.1);
    CHECK(one.lower < 0 && one.upper > 0 && one.p > 0.05 && one.used == 4000);
    CHECK_CLOSE(one.bias, 0, 0.003, 0);
}

/* The fraction of samples whose interval contains the true tau is about its level. The tau of two
   normals of correlation r is 2/pi asin r. */
static void bootstrap_coverage(void) {
    enum { ROUNDS = 300, N = 60 };
    const double truth = asin(0.6) / asin(1.0);
    int round, inside = 0, i;
    for (round = 0; round < ROUNDS; round++) {
        double x[N], y[N];
        prun_interval interval;
        prun_resampling_options o;
        prun_sample s;
        for (i = 0; i < N; i++) {
            x[i] = prun_random_normal(5, (uint64_t)round, (uint64_t)(2 * i));
            y[i] = 0.6 * x[i] + 0.8 * prun_random_normal(5, (uint64_t)round, (uint64_t)(2 * i + 1));
        }
        memset(&o, 0, sizeof o);
        memset(&s, 0, sizeof s);
        s.n = N;
        s.measure = x;
        s.target = y;
        o.resamples = 400;
        o.seed = (uint64_t)round;
        if (!CHECK_STATUS(prun_bootstrap(&test_context, &s, &o, &interval), PRUN_OK)) return;
        inside += interval.lower <= truth && truth <= interval.upper;
    }
    CHECK(inside >= 0.90 * ROUNDS && inside <= 0.985 * ROUNDS);
}

/* Every model occurs twice, as if seeds changed nothing. Drawing single models treats this as twice
   the data; drawing configurations does not. Copies of a model do not pull tau to 0. */
static void bootstrap_of_clusters(void) {
    enum { N = 40 };
    double x[2 * N], y[2 * N], cluster[2 * N];
    prun_interval single, models, clusters;
    prun_resampling_options o;
    prun_sample s;
    int i;
    for (i = 0; i < 2 * N; i++) {
        x[i] = uniform(13, i / 2);
        y[i] = x[i] + uniform(14, i / 2);
        cluster[i] = 1e6 - i / 2;
    }
    memset(&o, 0, sizeof o);
    memset(&s, 0, sizeof s);
    s.n = 2 * N;
    s.measure = x;
    s.target = y;
    CHECK_STATUS(prun_bootstrap(&test_context, &s, &o, &models), PRUN_OK);
    s.cluster = cluster;
    CHECK_STATUS(prun_bootstrap(&test_context, &s, &o, &clusters), PRUN_OK);
    for (i = 0; i < N; i++) {
        x[i] = x[2 * i];
        y[i] = y[2 * i];
    }
    s.n = N;
    s.cluster = NULL;
    CHECK_STATUS(prun_bootstrap(&test_context, &s, &o, &single), PRUN_OK);
    CHECK_CLOSE(clusters.standard_error, single.standard_error, 0, 0.05);
    CHECK(models.standard_error < 0.8 * single.standard_error);
    CHECK_CLOSE(single.bias, 0, 0.004, 0);
    CHECK_CLOSE(clusters.bias, 0, 0.01, 0);
}

/* A resample of clusters, and its taus by definition: models of different copies of one cluster do
   not form pairs. */
typedef struct resample {
    int n, cluster[24], copy[24];
    double value[4][24]; /* measure, target, control, other measure */
} resample;

static double tau_by_definition(const resample *r, int u, int v, int corrected) {
    const double *x = r->value[u], *y = r->value[v];
    double all = 0, score = 0, untied_x = 0, untied_y = 0;
    int i, j;
    for (i = 0; i < r->n; i++) {
        for (j = 0; j < i; j++) {
            const double product = (x[i] - x[j]) * (y[i] - y[j]);
            if (r->cluster[i] == r->cluster[j] && r->copy[i] != r->copy[j]) continue;
            all++;
            score += (product > 0) - (product < 0);
            untied_x += x[i] != x[j];
            untied_y += y[i] != y[j];
        }
    }
    return score / (corrected ? sqrt(untied_x * untied_y) : all);
}

static double partial_by_definition(const resample *r, int u) {
    const double uy = tau_by_definition(r, u, 1, 1), uz = tau_by_definition(r, u, 2, 1);
    const double yz = tau_by_definition(r, 1, 2, 1), rest = (1 - uz * uz) * (1 - yz * yz);
    return rest > 1e-12 ? (uy - uz * yz) / sqrt(rest) : NAN;
}

/* The means of taus, and of their differences to another measure's, over all 27 draws of three
   clusters (of 1, 3 and 4 models, with ties) against the means of many resamples. */
static void bootstrap_of_few_clusters(void) {
    enum { N = 8, DRAWS = 40000, KINDS = 3 };
    static const int cluster_of[N] = {0, 1, 1, 1, 2, 2, 2, 2};
    double value[4][N], cluster[N], want[2][KINDS], defined[2][KINDS];
    prun_resampling_options o;
    prun_interval got[2];
    prun_sample s;
    int draw, i, k, t, v, d;
    for (i = 0; i < N; i++) {
        for (v = 0; v < 4; v++) {
            value[v][i] = floor((3 + v) * uniform(61 + (uint64_t)v, i)) + (v == 2 ? 0.1 * i : 0);
        }
        cluster[i] = cluster_of[i];
    }
    memset(want, 0, sizeof want);
    memset(defined, 0, sizeof defined);
    for (draw = 0; draw < 27; draw++) {
        const int drawn[3] = {draw % 3, draw / 3 % 3, draw / 9};
        resample r;
        r.n = 0;
        for (k = 0; k < 3; k++) {
            for (t = 0, i = 0; i < k; i++) {
                t += drawn[i] == drawn[k];
            }
            for (i = 0; i < N; i++) {
                if (cluster_of[i] != drawn[k]) continue;
                r.cluster[r.n] = cluster_of[i];
                r.copy[r.n] = t;
                for (v = 0; v < 4; v++) {
                    r.value[v][r.n] = value[v][i];
                }
                r.n++;
            }
        }
        for (k = 0; k < KINDS; k++) {
            const double own =
                k < 2 ? tau_by_definition(&r, 0, 1, k) : partial_by_definition(&r, 0);
            const double other =
                k < 2 ? tau_by_definition(&r, 3, 1, k) : partial_by_definition(&r, 3);
            const double x[2] = {own, own - other};
            for (d = 0; d < 2; d++) {
                want[d][k] += x[d] == x[d] ? x[d] : 0;
                defined[d][k] += x[d] == x[d];
            }
        }
    }
    memset(&o, 0, sizeof o);
    memset(&s, 0, sizeof s);
    s.n = N;
    s.measure = value[0];
    s.target = value[1];
    s.control = value[2];
    s.cluster = cluster;
    o.resamples = DRAWS;
    for (k = 0; k < KINDS; k++) {
        o.statistic = (prun_statistic)k;
        CHECK_STATUS(prun_bootstrap(&test_context, &s, &o, &got[0]), PRUN_OK);
        CHECK_STATUS(prun_compare(&test_context, &s, value[3], &o, &got[1]), PRUN_OK);
        for (d = 0; d < 2; d++) {
            const double share = defined[d][k] / 27;
            CHECK(share > 0.5);
            CHECK_CLOSE((double)got[d].used / DRAWS, share, 5 * sqrt(0.25 / DRAWS), 0);
            CHECK_CLOSE(got[d].estimate + got[d].bias, want[d][k] / defined[d][k],
                        5 * got[d].standard_error / sqrt((double)got[d].used), 0);
        }
    }
}

/* Two clusters of 100 models, where another algorithm counts the pairs within them: a resample
   has the tau of the first one, of the second one, or of all models. */
static void bootstrap_of_large_clusters(void) {
    enum { N = 200 };
    double x[N], y[N], cluster[N];
    prun_resampling_options o;
    prun_interval got;
    prun_sample s;
    prun_kendall within[2], both;
    int i;
    for (i = 0; i < N; i++) {
        x[i] = floor(20 * uniform(71, i));
        y[i] = x[i] * (i < N / 2 ? 1 : -1) + floor(20 * uniform(72, i));
        cluster[i] = i < N / 2;
    }
    CHECK_STATUS(prun_kendall_tau(&test_context, x, y, N / 2, &within[0]), PRUN_OK);
    CHECK_STATUS(prun_kendall_tau(&test_context, x + N / 2, y + N / 2, N / 2, &within[1]), PRUN_OK);
    CHECK_STATUS(prun_kendall_tau(&test_context, x, y, N, &both), PRUN_OK);
    memset(&o, 0, sizeof o);
    memset(&s, 0, sizeof s);
    s.n = N;
    s.measure = x;
    s.target = y;
    s.cluster = cluster;
    o.statistic = PRUN_STATISTIC_TAU_A;
    o.level = 0.9;
    CHECK_STATUS(prun_bootstrap(&test_context, &s, &o, &got), PRUN_OK);
    /* a quarter of the draws each: one cluster twice, or the other; else both */
    CHECK_CLOSE(got.lower, within[1].tau_a, 1e-12, 0);
    CHECK_CLOSE(got.upper, within[0].tau_a, 1e-12, 0);
    CHECK_CLOSE(got.estimate + got.bias,
                0.25 * (within[0].tau_a + within[1].tau_a) + 0.5 * both.tau_a, 0.03, 0);
}

/* Against all 720 permutations, and against SciPy's exact p. */
static void permutation_of_six(void) {
    prun_resampling_options o;
    prun_sample s;
    double p = 0, x[12], y[12], cluster[12];
    int i;
    memset(&o, 0, sizeof o);
    memset(&s, 0, sizeof s);
    s.n = 6;
    s.measure = mu_a;
    s.target = gap_a;
    o.resamples = 40000;
    CHECK_STATUS(prun_permutation_test(&test_context, &s, &o, &p), PRUN_OK);
    CHECK_CLOSE(p, 0.1361111111111111, 0.008, 0);
    for (i = 0; i < 12; i++) { /* clusters of two move together */
        x[i] = mu_a[i / 2];
        y[i] = gap_a[i / 2];
        cluster[i] = i / 2;
    }
    s.n = 12;
    s.measure = x;
    s.target = y;
    CHECK_STATUS(prun_permutation_test(&test_context, &s, &o, &p), PRUN_OK);
    CHECK(p < 0.01);
    s.cluster = cluster;
    CHECK_STATUS(prun_permutation_test(&test_context, &s, &o, &p), PRUN_OK);
    CHECK_CLOSE(p, 0.1361111111111111, 0.008, 0);
    cluster[11] = 77; /* sizes 2, 2, 2, 2, 2, 1, 1 */
    CHECK_STATUS(prun_permutation_test(&test_context, &s, &o, &p), PRUN_OK);
    CHECK(p > 0.05 && p < 0.3);
}

static void comparison_of_measures(void) {
    enum { N = 100 };
    double good[N], bad[N], y[N];
    prun_interval d;
    prun_resampling_options o;
    prun_sample s;
    int i;
    for (i = 0; i < N; i++) {
        y[i] = uniform(15, i);
        good[i] = y[i] + 0.3 * uniform(16, i);
        bad[i] = y[i] + 2 * uniform(17, i);
    }
    memset(&o, 0, sizeof o);
    memset(&s, 0, sizeof s);
    s.n = N;
    s.measure = good;
    s.target = y;
    o.resamples = 1000;
    CHECK_STATUS(prun_compare(&test_context, &s, bad, &o, &d), PRUN_OK);
    CHECK(d.estimate > 0.2 && d.lower > 0 && d.positive == 1 && d.p < 0.01);
    CHECK_STATUS(prun_compare(&test_context, &s, good, &o, &d), PRUN_OK);
    CHECK(d.estimate == 0 && d.lower == 0 && d.upper == 0 && d.positive == 0.5 && d.p == 1);
    s.measure = bad;
    CHECK_STATUS(prun_compare(&test_context, &s, good, &o, &d), PRUN_OK);
    CHECK(d.estimate < -0.2 && d.upper < 0 && d.positive == 0 && d.p < 0.01);
    o.statistic = PRUN_STATISTIC_R2;
    CHECK_STATUS(prun_compare(&test_context, &s, good, &o, &d), PRUN_OK);
    CHECK(d.estimate < 0 && d.upper < 0);
}

static void holm_by_hand(void) {
    const double p[6] = {.01, .04, NAN, .03, .005, .9}, want[6] = {.04, .09, -1, .09, .025, .9};
    double adjusted[6];
    int i;
    prun_holm(p, 6, adjusted);
    for (i = 0; i < 6; i++) {
        if (i == 2) CHECK(isnan(adjusted[i]));
        else CHECK_CLOSE(adjusted[i], want[i], 1e-15, 0);
    }
    prun_holm(p, 1, adjusted);
    CHECK(adjusted[0] == .01);
}

static void resampling_undefined(void) {
    const double constant[6] = {1, 1, 1, 1, 1, 1};
    const double one_differs[6] = {1, 1, 1, 1, 1, 2};
    prun_interval interval;
    prun_resampling_options o;
    prun_sample s;
    double p = 0;
    memset(&o, 0, sizeof o);
    memset(&s, 0, sizeof s);
    s.n = 6;
    s.measure = constant;
    s.target = gap_a;
    o.statistic = PRUN_STATISTIC_TAU_B;
    CHECK_STATUS(prun_bootstrap(&test_context, &s, &o, &interval), PRUN_OK);
    CHECK(isnan(interval.lower) && isnan(interval.upper) && isnan(interval.p));
    CHECK(interval.reason != NULL && interval.used == 0 && interval.undefined == 10000);
    CHECK_STATUS(prun_permutation_test(&test_context, &s, &o, &p), PRUN_OK);
    CHECK(isnan(p));
    s.measure = one_differs; /* a third of the resamples are constant */
    CHECK_STATUS(prun_bootstrap(&test_context, &s, &o, &interval), PRUN_OK);
    CHECK(interval.reason == NULL && interval.undefined > 2500 && interval.undefined < 4500);
}

static const test_case cases[] = {
    TEST_CASE(infinite_custom_statistic),   TEST_CASE(resampling_every_statistic),
    TEST_CASE(resampling_with_threads),     TEST_CASE(bootstrap_coverage),
    TEST_CASE(bootstrap_of_clusters),       TEST_CASE(bootstrap_of_few_clusters),
    TEST_CASE(bootstrap_of_large_clusters), TEST_CASE(permutation_of_six),
    TEST_CASE(comparison_of_measures),      TEST_CASE(holm_by_hand),
    TEST_CASE(resampling_undefined),
};

int main(int argc, char **argv) { return TEST_MAIN("test_resample", cases, argc, argv); }
