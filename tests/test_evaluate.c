/* Evaluation statistics and the evaluate program: reference values (SciPy 1.10, NumPy 1.24, and
   counts by hand), brute force by the definitions, malformed tables. */
#define main evaluate_main
#include "../examples/evaluate.c"
#undef main
#include "test.h"

#if defined(__unix__) || defined(__APPLE__)
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#define HAVE_FORK 1
#endif

/* The test program runs itself as evaluate: a fork alone cannot use OpenMP when its parent has. */
static const char as_evaluate[] = "--as-evaluate";
static char *own_path;

/* ---- material: grids of width x augmentation (x seed) ---- */

static const double width_a[6] = {1, 1, 2, 2, 3, 3}, aug_a[6] = {0, 1, 0, 1, 0, 1};
static const double mu_a[6] = {.30, .12, .25, .20, .40, .10};
static const double gap_a[6] = {.22, .15, .18, .10, .20, .12};
static const double mu_t[6] = {.3, .3, .25, .2, .4, .1}, gap_t[6] = {.22, .15, .18, .10, .20, .10};

static const double width_b[12] = {1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3};
static const double aug_b[12] = {0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1};
static const double seed_b[12] = {0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1};
static const double mu_b[12] = {.61, .55, .33, .41, .52, .47, .36, .28, .44, .58, .25, .30};
static const double gap_b[12] = {.31, .29, .16, .21, .27, .22, .12, .18, .24, .20, .14, .11};
static const double mu2_b[12] = {5.1, 4.4, 3.9, 4.1, 4.9, 3.5, 3.0, 3.3, 2.9, 3.6, 2.2, 2.5};

static const double *const axes_a[2] = {width_a, aug_a};
static const double *const axes_b[3] = {width_b, aug_b, seed_b};

static prun_axes axes_of(const double *const *values, int64_t count, int64_t n) {
    prun_axes axes;
    memset(&axes, 0, sizeof axes);
    axes.n = n;
    axes.count = count;
    axes.values = values;
    return axes;
}

static double uniform(uint64_t stream, int64_t i) {
    return prun_random_uniform(41, stream, (uint64_t)i);
}

static int sign_of(double a, double b) { return (a > b) - (a < b); }

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
    CHECK(k.exact == 1 && k.reason == NULL);
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
    CHECK(k.exact == 0);
}

static void granulated_small_grid(void) {
    const prun_axes axes = axes_of(axes_a, 2, 6);
    prun_granulated g;
    if (!CHECK_STATUS(prun_granulated_kendall(&test_context, &axes, mu_a, gap_a, &g), PRUN_OK))
        return;
    CHECK_CLOSE(g.psi[0], 0, 1e-14, 0);
    CHECK_CLOSE(g.psi_error[0], 0.45133546692422, 0, 1e-10);
    CHECK_CLOSE(g.psi[1], 1, 1e-14, 0);
    CHECK_CLOSE(g.psi_error[1], 0.5773502691896257, 0, 1e-10);
    CHECK_CLOSE(g.mean, 0.5, 1e-14, 0);
    CHECK_CLOSE(g.mean_error, 0.36641405439646996, 0, 1e-10);
    CHECK(g.groups[0] == 2 && g.groups[1] == 3 && g.axes == 2);
}

static void granulated_seeds(void) {
    prun_axes axes = axes_of(axes_b, 2, 12);
    prun_granulated g;
    /* no seed: one group per setting of the other axes */
    CHECK_STATUS(prun_granulated_kendall(&test_context, &axes, mu_b, gap_b, &g), PRUN_OK);
    CHECK_CLOSE(g.psi[0], 0.26666666666666666, 1e-14, 0);
    CHECK_CLOSE(g.psi_error[0], 0.25092421756969363, 0, 1e-10);
    CHECK_CLOSE(g.psi[1], 0.6666666666666666, 1e-14, 0);
    CHECK_CLOSE(g.psi_error[1], 0.28327886186626583, 0, 1e-10);
    CHECK_CLOSE(g.mean, 0.4666666666666667, 1e-14, 0);
    CHECK_CLOSE(g.mean_error, 0.1892154040658489, 0, 1e-10);
    axes.seed = seed_b;
    axes.seeds = PRUN_SEEDS_POOLED; /* the same */
    CHECK_STATUS(prun_granulated_kendall(&test_context, &axes, mu_b, gap_b, &g), PRUN_OK);
    CHECK_CLOSE(g.mean, 0.4666666666666667, 1e-14, 0);
    axes.seeds = PRUN_SEEDS_FIXED;
    CHECK_STATUS(prun_granulated_kendall(&test_context, &axes, mu_b, gap_b, &g), PRUN_OK);
    CHECK_CLOSE(g.psi[0], 0.16666666666666669, 1e-14, 0);
    CHECK_CLOSE(g.psi_error[0], 0.3191423692521127, 0, 1e-10);
    CHECK_CLOSE(g.psi[1], 1, 1e-14, 0);
    CHECK_CLOSE(g.psi_error[1], 0.40824829046386296, 0, 1e-10);
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
    CHECK_CLOSE(got.mean_error, 0.36641405439646996, 0, 1e-10); /* the design of the small grid */
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
    CHECK_CLOSE(g.psi_error[0], 0.0483, 5e-5, 0);
    CHECK_CLOSE(g.psi_error[4], 0.0545, 5e-5, 0);
    CHECK_CLOSE(g.mean_error, 0.0222, 5e-5, 0);
    CHECK(g.groups[0] == 54 && g.groups[4] == 81);
    axes.seeds = PRUN_SEEDS_FIXED;
    CHECK_STATUS(prun_granulated_kendall(&test_context, &axes, x, y, &g), PRUN_OK);
    CHECK_CLOSE(g.psi_error[0], 0.0614, 5e-5, 0);
    CHECK_CLOSE(g.psi_error[4], 0.0786, 5e-5, 0);
    CHECK_CLOSE(g.mean_error, 0.0292, 5e-5, 0);
    CHECK(g.groups[0] == 108 && g.groups[4] == 162);
}

/* A random incomplete table with ties, repeats and unequal groups. */
enum { TABLE = 90, TABLE_AXES = 3 };

typedef struct table {
    double axis[TABLE_AXES][TABLE], seed[TABLE], x[TABLE], y[TABLE];
    const double *values[TABLE_AXES];
    prun_axes axes;
} table;

static void random_table(uint64_t stream, int levels, table *t) {
    int64_t i, a;
    for (i = 0; i < TABLE; i++) {
        for (a = 0; a < TABLE_AXES; a++) {
            t->axis[a][i] = floor(uniform(stream, 8 * i + a) * (double)(2 + a)) * 0.1 - 0.1;
        }
        t->seed[i] = floor(uniform(stream, 8 * i + 5) * 2);
        t->x[i] = uniform(stream, 8 * i + 6) + 0.3 * t->axis[1][i];
        t->y[i] = uniform(stream, 8 * i + 7) + 0.5 * t->x[i];
        if (levels > 0) {
            t->x[i] = floor(t->x[i] * levels);
            t->y[i] = floor(t->y[i] * levels);
        }
    }
    for (a = 0; a < TABLE_AXES; a++) {
        t->values[a] = t->axis[a];
    }
    t->axes = axes_of(t->values, TABLE_AXES, TABLE);
    t->axes.seed = t->seed;
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

/* A group of more than 64 models takes another path than a small one. */
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
    CHECK_CLOSE(g.psi_error[0], k.standard_error, 1e-14, 0);
}

static void granulated_undefined(void) {
    const double constant[6] = {4, 4, 4, 4, 4, 4};
    const double *values[2] = {width_a, constant};
    prun_axes axes = axes_of(values, 2, 6);
    prun_granulated g;
    CHECK_STATUS(prun_granulated_kendall(&test_context, &axes, mu_a, gap_a, &g), PRUN_OK);
    CHECK(isnan(g.psi[1]) && isnan(g.psi_error[1]) && g.groups[1] == 0 && g.reason[1] != NULL);
    CHECK(g.reason[0] == NULL && g.axes == 1 && g.mean == g.psi[0]);
    axes.values = values + 1;
    axes.count = 1;
    CHECK_STATUS(prun_granulated_kendall(&test_context, &axes, mu_a, gap_a, &g), PRUN_OK);
    CHECK(isnan(g.mean) && isnan(g.mean_error) && g.axes == 0);
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
    CHECK(c.subsets == 4 && c.best == 2);
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
    CHECK(c.subsets == 7);
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
    CHECK(c.subsets == 4 && c.best == 2);
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

/* I and H(y) for a set of axes by the definition: cell after cell, over ordered pairs. */
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
        CHECK(c.subsets == 7);
        for (i = 0; i < c.subsets; i++) {
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

/* Without ties and axes, I depends on tau alone. */
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
    CHECK(c.subsets == 1);
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
    prun_regression r;
    int i, k;
    memset(&o, 0, sizeof o);
    o.folds = 4;
    o.contiguous = 1;
    o.coefficients = &slope;
    o.standardized = &standardized;
    o.crossfitted = predictions;
    if (!CHECK_STATUS(prun_regression_fit(&test_context, x, 1, gap_b, 12, &o, &r), PRUN_OK)) return;
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
    CHECK_STATUS(prun_regression_fit(&test_context, x, 1, gap_b, 12, &o, &r), PRUN_OK);
    CHECK_CLOSE(r.cv_r2, 0.47141582551378536, 0, 1e-10);
    CHECK(isnan(r.cv_r2_folds)); /* folds of one model */
}

static void regression_two_variables(void) {
    const double z[12] = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8};
    const double *x[2] = {mu_b, z};
    double standardized[2], fitted[12], mean = 0, sse = 0, sst = 0;
    prun_regression_options o;
    prun_regression r;
    int i;
    memset(&o, 0, sizeof o);
    o.standardized = standardized;
    o.fitted = fitted;
    CHECK_STATUS(prun_regression_fit(&test_context, x, 2, gap_b, 12, &o, &r), PRUN_OK);
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

/* Polynomials up to the fifth power on 0 .. 40 are close to dependent: the normal equations lose
   them, QR does not. Predictions of a polynomial are exact in and out of sample. */
static void regression_recovers_a_polynomial(void) {
    enum { N = 41, P = 5 };
    static const double want[P] = {3, -2, .5, -.01, 1e-4};
    static double power[P][N], y[N], cross[N];
    const double *x[P];
    double slope[P];
    prun_regression_options o;
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
    o.coefficients = slope;
    o.crossfitted = cross;
    CHECK_STATUS(prun_regression_fit(&test_context, x, P, y, N, &o, &r), PRUN_OK);
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
    prun_regression r, s;
    int i;
    for (i = 0; i < 12; i++) {
        twice[i] = 2 * mu_b[i] - 5;
        constant[i] = 0.1;
    }
    memset(&o, 0, sizeof o);
    o.coefficients = slopes;
    o.fitted = fitted;
    CHECK_STATUS(prun_regression_fit(&test_context, x, 4, gap_b, 12, &o, &r), PRUN_OK);
    o.coefficients = NULL;
    o.fitted = alone;
    CHECK_STATUS(prun_regression_fit(&test_context, two, 2, gap_b, 12, &o, &s), PRUN_OK);
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
    CHECK_STATUS(prun_regression_fit(&test_context, x, 2, constant, 12, NULL, &r), PRUN_OK);
    CHECK(isnan(r.r2) && isnan(r.adjusted_r2) && isnan(r.cv_r2) && r.reason != NULL);
    CHECK_STATUS(prun_regression_fit(&test_context, x, 2, gap_b, 3, NULL, &r), PRUN_OK);
    CHECK(isnan(r.adjusted_r2) && r.reason != NULL && r.folds == 3);
    CHECK_CLOSE(r.r2, 1, 1e-12, 0);
    CHECK_STATUS(prun_regression_fit(&test_context, x, 0, gap_b, 12, NULL, &r), PRUN_OK);
    CHECK_CLOSE(r.r2, 0, 1e-15, 0);
    CHECK(r.rank == 0 && r.best == -1);
    CHECK_STATUS(prun_regression_fit(&test_context, x, 2, gap_b, 2, NULL, &r), PRUN_OK);
    CHECK_STATUS(prun_regression_fit(&test_context, x, 2, gap_b, 1, NULL, &r), PRUN_ERR_ARGUMENT);
    memset(&o, 0, sizeof o);
    o.folds = 1;
    CHECK_STATUS(prun_regression_fit(&test_context, x, 2, gap_b, 12, &o, &r), PRUN_ERR_ARGUMENT);
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
    CHECK_CLOSE(prun_sign_error_pair(c1, g1, 2, c2, g2, 2, 10000, &weight, &ess), 0.31321400777222,
                1e-12, 0);
    CHECK_CLOSE(weight, 1.4560576530633265, 1e-12, 0);
    CHECK_CLOSE(ess, 2.9945453079304216, 1e-12, 0);
    /* on a huge test set every difference is certain: the plain share of errors */
    CHECK_CLOSE(prun_sign_error_pair(c1, g1, 2, c2, g2, 2, 1e12, &weight, &ess), 0.5, 1e-12, 0);
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
    o.effective = -1;
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
    o.effective = 2;
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

static void all_tasks_backwards(void (*body)(void *argument, int64_t i), void *argument,
                                int64_t count, void *user) {
    (void)user;
    while (count-- > 0) {
        body(argument, count);
    }
}

static prun_sample sample_from(const table *t) {
    prun_sample s;
    memset(&s, 0, sizeof s);
    s.n = TABLE;
    s.measure = t->x;
    s.target = t->y;
    s.control = t->axis[2];
    s.axes = &t->axes;
    return s;
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

/* Every statistic has the same bits with one task and with many in another order; its estimate is
   what its own function says. */
static void resampling_every_statistic(void) {
    static table t;
    prun_context other;
    prun_resampling o;
    prun_sample s;
    prun_kendall k;
    prun_granulated g;
    prun_cmi c;
    prun_sign_error e;
    prun_sign_error_options any;
    prun_regression r;
    const double *x[1];
    double want[PRUN_CUSTOM + 1], swap;
    int i;
    random_table(400, 7, &t);
    for (i = 0; i < TABLE; i++) {
        t.y[i] /= 10; /* an error rate */
    }
    t.axes.seeds = PRUN_SEEDS_FIXED;
    s = sample_from(&t);
    x[0] = t.x;
    memset(&any, 0, sizeof any);
    any.effective = -1;
    CHECK_STATUS(prun_kendall_tau(&test_context, t.x, t.y, TABLE, &k), PRUN_OK);
    CHECK_STATUS(prun_granulated_kendall(&test_context, &t.axes, t.x, t.y, &g), PRUN_OK);
    CHECK_STATUS(prun_conditional_information(&test_context, &t.axes, t.x, t.y, PRUN_TIES_HALF, &c),
                 PRUN_OK);
    CHECK_STATUS(prun_robust_sign_error(&test_context, &t.axes, t.x, t.y, &any, &e), PRUN_OK);
    CHECK_STATUS(prun_regression_fit(&test_context, x, 1, t.y, TABLE, NULL, &r), PRUN_OK);
    CHECK_STATUS(prun_partial_kendall(&test_context, t.x, t.y, t.axis[2], TABLE, &swap), PRUN_OK);
    want[PRUN_TAU_A] = k.tau_a;
    want[PRUN_TAU_B] = k.tau_b;
    want[PRUN_PARTIAL_TAU] = swap;
    want[PRUN_R2] = r.r2;
    want[PRUN_ADJUSTED_R2] = r.adjusted_r2;
    want[PRUN_PSI] = g.psi[1];
    want[PRUN_PSI_MEAN] = g.mean;
    want[PRUN_CMI] = c.k;
    want[PRUN_SIGN_ERROR_MEAN] = e.all.mean;
    want[PRUN_SIGN_ERROR_P90] = e.all.p90;
    want[PRUN_SIGN_ERROR_MAX] = e.all.max;
    want[PRUN_CUSTOM] = 0;
    for (i = 0; i < TABLE; i++) {
        want[PRUN_CUSTOM] += t.y[i] / TABLE;
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
    for (i = 0; i <= PRUN_CUSTOM; i++) {
        prun_interval one, many;
        double p = 0, p_many = 0;
        o.statistic = (prun_statistic)i;
        s.cluster = i % 2 ? t.seed : NULL;
        if (s.cluster && i != PRUN_R2) s.cluster = t.axis[0];
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

/* A table in which a fifth of the measure is infinite, and the same with numbers beyond all others
   in their place; `targets`: some of the target too. */
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

/* What depends on order alone takes infinite values, with the bits that other extremes have, and
   agrees with the definitions. */
static void infinite_values_rank(void) {
    static table t, large;
    prun_resampling o;
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
        for (i = 0; i < c.subsets; i++) {
            double information = 0, entropy = 0;
            information_by_definition(&t, c.subset[i].axis, (prun_ties)(round % 3), &information,
                                      &entropy);
            CHECK_CLOSE(c.subset[i].information, information, 1e-12, 0);
        }
        s = sample_from(&t);
        l = sample_from(&large);
        memset(&o, 0, sizeof o);
        o.resamples = 40;
        o.sign_error.effective = -1;
        for (i = 0; i < PRUN_CUSTOM; i++) {
            o.statistic = (prun_statistic)i;
            if (i == PRUN_R2 || i == PRUN_ADJUSTED_R2 || (i > PRUN_CMI && round > 1)) continue;
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

/* What takes differences says which values it cannot take. */
static void infinite_values_undefined(void) {
    static table t, large;
    const double *x[3] = {large.y, large.seed, t.x};
    double fitted[TABLE], coefficients[3], mean[TABLE];
    prun_regression_options options;
    prun_resampling o;
    prun_interval interval;
    prun_regression r;
    prun_sign_error e;
    prun_sample s;
    int64_t n = 0;
    infinite_table(710, 1, &t, &large);
    s = sample_from(&t);
    memset(&options, 0, sizeof options);
    options.fitted = fitted;
    options.coefficients = coefficients;
    CHECK_STATUS(prun_regression_fit(&test_context, x, 3, large.y, TABLE, &options, &r), PRUN_OK);
    CHECK(isnan(r.r2) && isnan(r.adjusted_r2) && isnan(r.cv_r2) && isnan(r.cv_r2_folds));
    CHECK(r.infinite == 2 && r.best == -1 && strstr(r.reason, "a variable has infinite") != NULL);
    CHECK(isnan(fitted[TABLE - 1]) && isnan(coefficients[0]));
    CHECK_STATUS(prun_regression_fit(&test_context, x, 2, large.y, TABLE, NULL, &r), PRUN_OK);
    CHECK(r.infinite == -1 && fabs(r.r2 - 1) < 1e-12);
    CHECK_STATUS(prun_regression_fit(&test_context, x, 2, t.y, TABLE, NULL, &r), PRUN_OK);
    CHECK(r.infinite == -1 && isnan(r.r2) && strstr(r.reason, "target") != NULL);
    memset(&o, 0, sizeof o);
    o.resamples = 20;
    o.statistic = PRUN_R2;
    CHECK_STATUS(prun_bootstrap(&test_context, &s, &o, &interval), PRUN_OK);
    CHECK(isnan(interval.estimate) && strstr(interval.reason, "the target has infinite") != NULL);
    s.target = large.axis[1];
    CHECK_STATUS(prun_bootstrap(&test_context, &s, &o, &interval), PRUN_OK);
    CHECK(isnan(interval.estimate) && strstr(interval.reason, "the measure has infin") != NULL);
    s.target = t.y;
    o.statistic = PRUN_SIGN_ERROR_MAX;
    CHECK_STATUS(prun_bootstrap(&test_context, &s, &o, &interval), PRUN_ERR_NONFINITE);
    CHECK(strstr(prun_message(&test_context), "sign error, target: value ") != NULL);
    CHECK_STATUS(prun_robust_sign_error(&test_context, &t.axes, t.x, t.y, NULL, &e),
                 PRUN_ERR_NONFINITE);
    CHECK_STATUS(prun_seed_means(&test_context, &t.axes, t.x, mean, &n), PRUN_ERR_NONFINITE);
    CHECK(strstr(prun_message(&test_context), "both signs") != NULL);
    CHECK_STATUS(prun_seed_means(&test_context, &t.axes, t.y, mean, &n), PRUN_OK);
    CHECK(n > 1 && !isnan(mean[0]));
    CHECK(prun_sign_error_pair(t.x, t.y, TABLE, t.x, t.y, TABLE, 100, NULL, NULL) >= 0);
}

static double infinite_or_not(void *user, const int64_t *rows, int64_t n) {
    (void)n;
    return rows[0] == 0 || user == NULL ? INFINITY : (double)rows[0];
}

/* Quantiles among infinite values of a custom statistic are no differences of them. */
static void infinite_custom_statistic(void) {
    prun_resampling o;
    prun_interval interval;
    prun_sample s;
    double any = 0;
    memset(&o, 0, sizeof o);
    memset(&s, 0, sizeof s);
    s.n = 6;
    o.statistic = PRUN_CUSTOM;
    o.custom = infinite_or_not;
    o.resamples = 200;
    CHECK_STATUS(prun_bootstrap(&test_context, &s, &o, &interval), PRUN_OK);
    CHECK(isinf(interval.lower) && isinf(interval.upper));
    o.user = &any;
    CHECK_STATUS(prun_bootstrap(&test_context, &s, &o, &interval), PRUN_OK);
    CHECK(interval.lower == 1 && isinf(interval.upper));
}

/* R2 does not depend on units, also where the squares of the values are no numbers. */
static void regression_in_any_unit(void) {
    static const double units[] = {1, 1e-300, 1e-170, 1e-100, 1e100, 1e170, 1e300};
    double x[12], y[12];
    const double *variables[1] = {x};
    prun_regression want, got;
    prun_resampling o;
    prun_sample s;
    double r2 = 0;
    size_t k, j;
    int i;
    memset(&o, 0, sizeof o);
    memset(&s, 0, sizeof s);
    o.statistic = PRUN_R2;
    s.n = 12;
    s.measure = x;
    s.target = y;
    variables[0] = mu_b;
    CHECK_STATUS(prun_regression_fit(&test_context, variables, 1, gap_b, 12, NULL, &want), PRUN_OK);
    CHECK_CLOSE(want.r2, 0.686791340680313, 0, 1e-12);
    variables[0] = x;
    for (k = 0; k < sizeof units / sizeof *units; k++) {
        for (j = 0; j < sizeof units / sizeof *units; j++) {
            for (i = 0; i < 12; i++) {
                x[i] = units[k] * mu_b[i];
                y[i] = units[j] * gap_b[i];
            }
            CHECK_STATUS(prun_regression_fit(&test_context, variables, 1, y, 12, NULL, &got),
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

/* Threads of the machine too. */
static void resampling_with_threads(void) {
    static double x[324], y[324];
    prun_interval one, two;
    prun_resampling o;
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

/* The share of samples whose interval holds the true tau is about its level; tau of two normals of
   correlation r is 2/pi asin r. */
static void bootstrap_coverage(void) {
    enum { ROUNDS = 300, N = 60 };
    const double truth = asin(0.6) / asin(1.0);
    int round, inside = 0, i;
    for (round = 0; round < ROUNDS; round++) {
        double x[N], y[N];
        prun_interval interval;
        prun_resampling o;
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

/* Every model twice, as if seeds changed nothing: drawing models one by one believes in twice the
   data; drawing configurations does not. Copies of a model do not pull tau to 0. */
static void bootstrap_of_clusters(void) {
    enum { N = 40 };
    double x[2 * N], y[2 * N], cluster[2 * N];
    prun_interval single, models, clusters;
    prun_resampling o;
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

/* Against all 720 permutations, and against SciPy's exact p. */
static void permutation_of_six(void) {
    prun_resampling o;
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
    prun_resampling o;
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
    o.statistic = PRUN_R2;
    CHECK_STATUS(prun_compare(&test_context, &s, good, &o, &d), PRUN_OK);
    CHECK(d.estimate < 0 && d.upper < 0);
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
    prun_resampling o;
    prun_sample s;
    double p = 0;
    memset(&o, 0, sizeof o);
    memset(&s, 0, sizeof s);
    s.n = 6;
    s.measure = constant;
    s.target = gap_a;
    o.statistic = PRUN_TAU_B;
    CHECK_STATUS(prun_bootstrap(&test_context, &s, &o, &interval), PRUN_OK);
    CHECK(isnan(interval.lower) && isnan(interval.upper) && isnan(interval.p));
    CHECK(interval.reason != NULL && interval.used == 0 && interval.undefined == 10000);
    CHECK_STATUS(prun_permutation_test(&test_context, &s, &o, &p), PRUN_OK);
    CHECK(isnan(p));
    s.measure = one_differs; /* a third of the resamples are constant */
    CHECK_STATUS(prun_bootstrap(&test_context, &s, &o, &interval), PRUN_OK);
    CHECK(interval.reason == NULL && interval.undefined > 2500 && interval.undefined < 4500);
}

static void bad_arguments(void) {
    prun_axes axes = axes_of(axes_a, 2, 6);
    double bad[6] = {1, 2, 3, NAN, 5, 6}, value = 0;
    const double *with_bad[2] = {width_a, bad};
    prun_granulated g;
    prun_cmi c;
    prun_sign_error e;
    prun_sign_error_options eo;
    prun_resampling o;
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
    o.statistic = PRUN_PSI;
    CHECK_STATUS(prun_bootstrap(&test_context, &s, &o, &interval), PRUN_ERR_ARGUMENT);
    s.axes = &axes;
    o.axis = 2;
    CHECK_STATUS(prun_bootstrap(&test_context, &s, &o, &interval), PRUN_ERR_ARGUMENT);
    o.statistic = PRUN_PARTIAL_TAU;
    CHECK_STATUS(prun_statistic_value(&test_context, &s, &o, &value), PRUN_ERR_ARGUMENT);
    o.statistic = PRUN_CUSTOM;
    CHECK_STATUS(prun_statistic_value(&test_context, &s, &o, &value), PRUN_ERR_ARGUMENT);
    o.statistic = PRUN_TAU_A;
    o.level = 1;
    CHECK_STATUS(prun_bootstrap(&test_context, &s, &o, &interval), PRUN_ERR_ARGUMENT);
    o.level = 0;
    o.resamples = -1;
    CHECK_STATUS(prun_bootstrap(&test_context, &s, &o, &interval), PRUN_ERR_ARGUMENT);
    o.resamples = INT64_MAX;
    CHECK_STATUS(prun_bootstrap(&test_context, &s, &o, &interval), PRUN_ERR_ARGUMENT);
}

/* ---- numbers in tables ---- */

static void check_number(const char *text) {
    double got = -1, want = strtod(text, NULL);
    if (!CHECK(prun__number(text, &got) == 1) || !CHECK(memcmp(&got, &want, sizeof got) == 0)) {
        printf("    %s: %.17g, should be %.17g\n", text, got, want);
    }
}

static void numbers_as_strtod(void) {
    static const char *const hard[] = {
        "0",
        "-0",
        "0.0",
        ".5",
        "5.",
        "+1",
        "1e0",
        "1E+5",
        "1e-5",
        "00012.50",
        "1e22",
        "1e23",
        "9007199254740993",
        "9007199254740992.5",
        "9007199254740995",
        "4503599627370496.5",
        "4503599627370497.5",
        "9007199254740993.00000000000000000000000000000000001",
        "2.2250738585072011e-308",
        "2.2250738585072014e-308",
        "4.9406564584124654e-324",
        "2.4703282292062327e-324",
        "2.4703282292062328e-324",
        "1e-400",
        "1e400",
        "-1e400",
        "1.7976931348623157e308",
        "1.7976931348623158e308",
        "1.7976931348623159e308",
        "0e999999999",
        "0.1",
        "0.30000000000000004",
        "123456789012345678901234567890",
        "8.98846567431158e307",
        "0.000000000000000000000000000000000000000000000000000000000000000000000000000000001e80",
        "179769313486231570814527423731704356798070567525844996598917476803157260780028538760589558"
        "632766878171540458953514382464234321326889464182768467546703537516986049910576551282076245"
        "490090389328944075868508455133942304583236903222948165808559332123347747979726144647368",
        "6.631236871469758276785396630275967242439909994735600e-316",
        "1e-323",
        "7.2057594037927933e16"};
    char text[80];
    size_t i;
    for (i = 0; i < sizeof hard / sizeof *hard; i++) {
        check_number(hard[i]);
    }
    for (i = 0; i < 40000; i++) {
        const uint64_t bits = prun_random_bits(9, 1, i);
        double value;
        memcpy(&value, &bits, sizeof value);
        if (!(fabs(value) <= 1.7e308)) continue;
        snprintf(text, sizeof text, "%.*e", (int)(i % 25), value);
        check_number(text);
        snprintf(text, sizeof text, "%.*g", (int)(i % 18 + 1), uniform(60, (int64_t)i));
        check_number(text);
    }
    for (i = 0; i < 20000; i++) { /* half way between two neighbours, and beside it */
        const uint64_t odd = (prun_random_bits(9, 2, i) >> 11 | (uint64_t)1 << 52) * 2 + 1;
        snprintf(text, sizeof text, "%llu", (unsigned long long)odd);
        check_number(text);
        snprintf(text, sizeof text, "%llu.%s1", (unsigned long long)odd, "00000000000000000000");
        check_number(text);
    }
}

static void no_numbers(void) {
    static const char *const bad[] = {"",    "-",    "+",        ".",     "e5",   "1e",
                                      "1e+", "0x10", "1.2.3",    "1,5",   "12a",  "--1",
                                      "1 2", "nan",  "infinite", "1_000", "1e5.5"};
    double value;
    size_t i;
    for (i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK(prun__number(bad[i], &value) == 0);
    }
    CHECK(prun__number("-inf", &value) == 1 && value < -1e308);
}

/* ---- CSV ---- */

static const char csv_path[] = "build/test_evaluate.csv";

static int write_file(const char *path, const char *text, size_t length) {
    FILE *file = fopen(path, "wb");
    int fine = file != NULL && fwrite(text, 1, length, file) == length;
    if (file != NULL) fine &= fclose(file) == 0;
    return CHECK(fine);
}

/* Reads a text as a table. */
static prun_status read_text(const char *text, prun_table *t) {
    memset(t, 0, sizeof *t);
    if (!write_file(csv_path, text, strlen(text))) return PRUN_ERR_OPEN;
    return prun_table_read_csv(&test_context, csv_path, t);
}

static void csv_plain(void) {
    prun_table t;
    const double *v = NULL;
    if (!CHECK_STATUS(read_text("width,gap\n1,0.5\n2,-1e-3\n", &t), PRUN_OK)) return;
    CHECK(t.rows == 2 && t.columns == 2 && strcmp(t.names[1], "gap") == 0);
    CHECK(t.lines[0] == 2 && t.lines[1] == 3 && prun_table_find(&t, "nothing") == -1);
    CHECK_STATUS(prun_table_numbers(&test_context, &t, "gap", &v), PRUN_OK);
    CHECK(v != NULL && v[0] == 0.5 && v[1] == -1e-3);
    CHECK(strcmp(t.cells[3], "-1e-3") == 0);
    CHECK_STATUS(prun_table_numbers(&test_context, &t, "tau", &v), PRUN_ERR_MISSING);
    CHECK(strstr(prun_message(&test_context), "tau") != NULL);
    prun_table_free(&t);
    CHECK(t.rows == 0 && t.values == NULL);
}

/* What spreadsheets and pandas write. */
static void csv_dialects(void) {
    static const char *const texts[] = {"\xef\xbb\xbf"
                                        "a,b\r\n1,x y\r\n2,\"x \"\"y\"\"\"\r\n",
                                        "a;b\n1;x y\n2;\"x \"\"y\"\"\"",
                                        "a\tb\n1\tx y\n\n2\t\"x \"\"y\"\"\"\n\n",
                                        "\n  \na , b\n 1 ,x y \n2, \"x \"\"y\"\"\" \n",
                                        "\"a\",\"b\"\n\"1\",\"x y\"\n\"2\",\"x \"\"y\"\"\"\n",
                                        "a,b\r1,x y\r2,\"x \"\"y\"\"\"\r"};
    size_t i;
    for (i = 0; i < sizeof texts / sizeof *texts; i++) {
        prun_table t;
        const double *v = NULL;
        if (!CHECK_STATUS(read_text(texts[i], &t), PRUN_OK)) continue;
        CHECK(t.rows == 2 && t.columns == 2);
        CHECK(strcmp(t.names[0], "a") == 0 && strcmp(t.names[1], "b") == 0);
        CHECK(strcmp(t.cells[1], "x y") == 0 && strcmp(t.cells[3], "x \"y\"") == 0);
        CHECK(t.text[0] == PRUN_COLUMN_NUMBERS && t.text[1] == PRUN_COLUMN_TEXT);
        CHECK_STATUS(prun_table_numbers(&test_context, &t, "a", &v), PRUN_OK);
        CHECK(v != NULL && v[1] == 2);
        prun_table_free(&t);
    }
}

static void csv_text_as_setting(void) {
    prun_table t;
    const double *v = NULL;
    if (!CHECK_STATUS(read_text("o,m\nsgd,1\nadam,a\nsgd,\n\"x\ny\",3\n", &t), PRUN_OK)) return;
    CHECK_STATUS(prun_table_settings(&test_context, &t, "o", &v), PRUN_OK);
    CHECK(v != NULL && v[0] == 0 && v[1] == 1 && v[2] == 0 && v[3] == 3);
    CHECK(t.text[1] == PRUN_COLUMN_MIXED && t.lines[3] == 5);
    CHECK_STATUS(prun_table_settings(&test_context, &t, "m", &v), PRUN_ERR_MISSING);
    CHECK(strstr(prun_message(&test_context), "line 4, column 2 (m)") != NULL);
    CHECK_STATUS(prun_table_numbers(&test_context, &t, "m", &v), PRUN_ERR_FORMAT);
    CHECK(strstr(prun_message(&test_context), "line 3, column 2 (m)") != NULL);
    prun_table_free(&t);
}

/* What printf, pandas, R, spreadsheets and Microsoft's C library write for no value. */
static void csv_missing_values(void) {
    static const char *const missing[] = {
        "",        "nan",     "-nan",     "+nan",      "NaN",       "Nan",
        "NAN",     "-NaN",    "nan(ind)", "-nan(ind)", "nan(snan)", "-nan(0x8000000000000)",
        "1.#QNAN", "-1.#IND", "1.#IND00", "1.#SNAN",   "1.#qnan0",  "n/a",
        "N/A",     "#N/A",    "#n/a",     "#N/A N/A",  "#NA",       "NA",
        "na",      "<NA>",    "NULL",     "null",      "Null",      "None",
        "\"NA\"",  " NA ",    ".",        "?",         "#DIV/0!",   "#NUM!",
        "#VALUE!"};
    static const char *const infinite[] = {"inf",     "-inf",     "+inf",      "Inf",
                                           "INF",     "Infinity", "-infinity", "1.#INF",
                                           "-1.#INF", "1.#INF00", "1e999"};
    static const char *const texts[] = {"none", "nano", "nanq?", "N.A.",    "nan(",
                                        "-NA",  "1.#",  "-",     "1.#INFx", "infinit",
                                        "..",   "+",    "#N/A!", "nil"};
    prun_table t;
    const double *v = NULL;
    char text[80];
    size_t i;
    for (i = 0; i < sizeof missing / sizeof *missing; i++) {
        snprintf(text, sizeof text, "a,b\n1,2\n%s,3\n4,5\n", missing[i]);
        if (!CHECK_STATUS(read_text(text, &t), PRUN_OK)) continue;
        if (!CHECK(t.text[0] == PRUN_COLUMN_NUMBERS && isnan(t.values[1]) && t.values[2] == 4))
            printf("    %s\n", missing[i]);
        CHECK_STATUS(prun_table_numbers(&test_context, &t, "a", &v), PRUN_ERR_MISSING);
        CHECK(strstr(prun_message(&test_context), "line 3, column 1 (a)") != NULL);
        prun_table_free(&t);
    }
    for (i = 0; i < sizeof infinite / sizeof *infinite; i++) {
        snprintf(text, sizeof text, "a,b\n1,2\n%s,3\n4,5\n", infinite[i]);
        if (!CHECK_STATUS(read_text(text, &t), PRUN_OK)) continue;
        CHECK_STATUS(prun_table_numbers(&test_context, &t, "a", &v), PRUN_OK);
        CHECK(v != NULL && v[1] == (infinite[i][0] == '-' ? -INFINITY : INFINITY));
        prun_table_free(&t);
    }
    for (i = 0; i < sizeof texts / sizeof *texts; i++) {
        snprintf(text, sizeof text, "a,b\n1,2\n%s,3\n4,5\n", texts[i]);
        if (!CHECK_STATUS(read_text(text, &t), PRUN_OK)) continue;
        if (!CHECK(t.text[0] == PRUN_COLUMN_MIXED)) printf("    %s\n", texts[i]);
        prun_table_free(&t);
    }
}

/* "sep=;" as Excel wants it; lines count from the top of the file. */
static void csv_names_its_separator(void) {
    static const char *const texts[] = {"sep=;\na,x;b\n1;y,z\n2;,\n",
                                        "sep=;\r\na,x;b\r\n1;y,z\r\n2;,\r\n",
                                        "\xef\xbb\xbfSEP=;\na,x;b\n1;y,z\n2;,\n",
                                        "\"sep=;\"\na,x;b\n1;y,z\n2;,\n",
                                        "sep=|\na,x|b\n1|y,z\n2|,\n",
                                        "sep=\t\ra,x\tb\r1\ty,z\r2\t,\r"};
    prun_table t;
    size_t i;
    for (i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (!CHECK_STATUS(read_text(texts[i], &t), PRUN_OK)) continue;
        CHECK(t.rows == 2 && t.columns == 2 && strcmp(t.names[0], "a,x") == 0);
        CHECK(t.lines[0] == 3 && t.lines[1] == 4 && strcmp(t.cells[1], "y,z") == 0);
        CHECK(t.values[1] == 2 && strcmp(t.cells[3], ",") == 0);
        prun_table_free(&t);
    }
    CHECK_STATUS(read_text("sep=;\na;b\n1;2\n3\n", &t), PRUN_ERR_FORMAT);
    CHECK(strstr(prun_message(&test_context), "line 4, column 2: 1 fields") != NULL);
    CHECK_STATUS(read_text("sep=x\na;b\n1;2\n", &t), PRUN_ERR_FORMAT);
    CHECK(strstr(prun_message(&test_context), "line 1, column 1: the separator") != NULL);
    CHECK_STATUS(read_text("sep=;", &t), PRUN_ERR_FORMAT);
    CHECK(strstr(prun_message(&test_context), "empty") != NULL);
    if (CHECK_STATUS(read_text("sep=x1,b\n1,2\n", &t), PRUN_OK)) { /* a name */
        CHECK(t.rows == 1 && strcmp(t.names[0], "sep=x1") == 0);
        prun_table_free(&t);
    }
}

/* A column that is not there is answered with those that are, whatever they are called. */
static void csv_names_its_columns(void) {
    ex_text text = {NULL, 0, 0};
    prun_table t;
    const double *v;
    int i;
    if (CHECK_STATUS(read_text("width,,gap\n1,2,3\n", &t), PRUN_OK)) {
        CHECK_STATUS(prun_table_numbers(&test_context, &t, "Gap", &v), PRUN_ERR_MISSING);
        CHECK(strstr(prun_message(&test_context),
                     "test_evaluate.csv: no column named Gap; there are width, gap") != NULL);
        prun_table_free(&t);
    }
    for (i = 0; i < 200; i++) {
        ex_text_add(&text, "%sa_rather_long_name_%d", i > 0 ? "," : "", i);
    }
    ex_text_add(&text, "\n");
    if (CHECK_STATUS(read_text(text.data, &t), PRUN_OK)) {
        CHECK_STATUS(prun_table_settings(&test_context, &t, "b", &v), PRUN_ERR_MISSING);
        CHECK(strstr(prun_message(&test_context), "there are a_rather_long_name_0, ") != NULL);
        CHECK(strlen(prun_message(&test_context)) <= sizeof test_context.message - 1);
        CHECK(strcmp(strrchr(prun_message(&test_context), ','), ", ...") == 0);
        prun_table_free(&t);
    }
    ex_text_free(&text);
    if (CHECK_STATUS(read_text("\n\"\"\n1\n", &t), PRUN_OK)) {
        CHECK_STATUS(prun_table_numbers(&test_context, &t, "a", &v), PRUN_ERR_MISSING);
        CHECK(strstr(prun_message(&test_context), "there are none") != NULL);
        prun_table_free(&t);
    }
}

/* Names and cells cannot command a terminal from a message. */
static void csv_messages_are_escaped(void) {
    static const char text[] = "a\x1b[31m\xc2\x9b"
                               "b\x7f\xc3\xa4\xff,c\n"
                               "1,2\n\"x\n\x07\",3\n";
    static const char want[] = "line 3, column 1 (a\\x1b[31m\\u009bb\\x7f\xc3\xa4\\xff): "
                               "\"x\\n\\x07\" is not";
    prun_table t;
    const double *v;
    if (!CHECK_STATUS(read_text(text, &t), PRUN_OK)) return;
    CHECK_STATUS(prun_table_numbers(&test_context, &t, t.names[0], &v), PRUN_ERR_FORMAT);
    CHECK(strstr(prun_message(&test_context), want) != NULL);
    prun_table_free(&t);
    CHECK_STATUS(prun_table_read_csv(&test_context, "build/no\x1b[2J", &t), PRUN_ERR_OPEN);
    CHECK(strstr(prun_message(&test_context), "build/no\\x1b[2J: ") != NULL);
}

/* A column whose texts stood in rows that were taken out holds its numbers again. */
static void csv_mixed_column_without_texts(void) {
    const uint8_t keep[4] = {0, 1, 1, 1}, none[4] = {1, 1, 0, 1};
    prun_table t;
    const double *v = NULL;
    if (!CHECK_STATUS(read_text("a,b\nabc,5\n20,6\n,7\n-inf,8\n", &t), PRUN_OK)) return;
    prun_table_keep_rows(&t, keep);
    CHECK(t.text[0] == PRUN_COLUMN_NUMBERS && t.text[1] == PRUN_COLUMN_NUMBERS);
    CHECK(t.values[0] == 20 && isnan(t.values[1]) && t.values[2] == -INFINITY);
    CHECK_STATUS(prun_table_numbers(&test_context, &t, "a", &v), PRUN_ERR_MISSING);
    prun_table_free(&t);
    if (!CHECK_STATUS(read_text("a,b\nabc,5\n20,6\n,7\n-inf,8\n", &t), PRUN_OK)) return;
    prun_table_keep_rows(&t, none);
    CHECK(t.text[0] == PRUN_COLUMN_MIXED && t.values[0] == 0 && t.values[1] == 1);
    CHECK_STATUS(prun_table_numbers(&test_context, &t, "a", &v), PRUN_ERR_FORMAT);
    prun_table_free(&t);
}

static void csv_keeps_rows(void) {
    const uint8_t keep[4] = {0, 1, 0, 1};
    prun_table t;
    const double *v = NULL;
    if (!CHECK_STATUS(read_text("a,b\n1,5\n2,6\n,7\n4,8\n", &t), PRUN_OK)) return;
    prun_table_keep_rows(&t, keep);
    CHECK(t.rows == 2 && t.lines[0] == 3 && t.lines[1] == 5 && strcmp(t.cells[3], "8") == 0);
    CHECK_STATUS(prun_table_numbers(&test_context, &t, "a", &v), PRUN_OK);
    CHECK(v != NULL && v[0] == 2 && v[1] == 4);
    CHECK_STATUS(prun_table_numbers(&test_context, &t, "b", &v), PRUN_OK);
    CHECK(v[0] == 6 && v[1] == 8);
    prun_table_free(&t);
}

typedef struct bad_csv {
    const char *text, *message;
} bad_csv;

/* What the reader itself refuses; the rest is refused where it is used, see below. */
static void csv_malformed(void) {
    static const bad_csv cases[] = {
        {"", "line 1, column 1: empty"},
        {"\n\n  \n", "line 1, column 1: empty"},
        {"a,b\n1,2\n3\n", "line 3, column 2: 1 fields, the header has 2"},
        {"a,b\n1,2,3\n", "line 2, column 3: 3 fields, the header has 2"},
        {"a,b\n0,5,1\n", "decimal comma"},
        {"a,b\n\"1,2\n3,4\n", "line 2, column 1: quote without end"},
        {"a,b\n1,\"2\"3\n", "line 2, column 2: text behind a closing quote"},
        {"a,b,a\n1,2,3\n", "line 1, column 3: the name a stands in column 1"},
    };
    static const bad_csv others[] = {
        {"\xff\xfe"
         "a,b\n",
         "UTF-16"},
        {"\x1f\x8b\x08", "compressed by gzip, not a CSV table"},
        {"PK\x03\x04....", "zip archive"},
        {"<!DOCTYPE html>\n<html>", "HTML"},
        {"{\"width\": [1, 2]}", "JSON"},
    };
    prun_table t;
    size_t i;
    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK_STATUS(read_text(cases[i].text, &t), PRUN_ERR_FORMAT);
        CHECK(t.values == NULL && t.storage[0] == NULL);
        if (!CHECK(strstr(prun_message(&test_context), cases[i].message) != NULL)) {
            printf("    %s\n", prun_message(&test_context));
        }
    }
    for (i = 0; i < sizeof others / sizeof *others; i++) {
        CHECK_STATUS(read_text(others[i].text, &t), PRUN_ERR_MAGIC);
        CHECK(strstr(prun_message(&test_context), others[i].message) != NULL);
    }
    CHECK_STATUS(prun_table_read_csv(&test_context, "build", &t), PRUN_ERR_READ);
    CHECK(strstr(prun_message(&test_context), "build: a folder") != NULL);
    CHECK_STATUS(prun_table_read_csv(&test_context, NULL, &t), PRUN_ERR_ARGUMENT);
    CHECK(write_file(csv_path, "a,b\n1,\0\n", 9));
    CHECK_STATUS(prun_table_read_csv(&test_context, csv_path, &t), PRUN_ERR_FORMAT);
    CHECK(strstr(prun_message(&test_context), "line 2, column 2: zero byte") != NULL);
    CHECK(write_file(csv_path, "a,b\n1,\"\0\"\n", 11));
    CHECK_STATUS(prun_table_read_csv(&test_context, csv_path, &t), PRUN_ERR_FORMAT);
    CHECK_STATUS(prun_table_read_csv(&test_context, "build/no such file", &t), PRUN_ERR_OPEN);
}

/* A file cut off anywhere, and with every byte replaced by a special one. */
static void csv_damaged(void) {
    static const char good[] = "a,\"b \"\"c\",d\r\n1,\"x,\ny\",3\n4,z,\n";
    static const char special[] = {'"', ',', '\n', '\r', ' ', '\0', ';', '\xff'};
    char text[sizeof good];
    prun_table t;
    size_t i, k;
    for (i = 0; i < sizeof good; i++) {
        memcpy(text, good, sizeof good);
        if (!write_file(csv_path, text, i)) return;
        if (prun_table_read_csv(&test_context, csv_path, &t) == PRUN_OK) prun_table_free(&t);
        for (k = 0; i < sizeof good - 1 && k < sizeof special; k++) {
            text[i] = special[k];
            if (!write_file(csv_path, text, sizeof good - 1)) return;
            if (prun_table_read_csv(&test_context, csv_path, &t) == PRUN_OK) prun_table_free(&t);
        }
    }
    CHECK(i == sizeof good);
}

static void csv_large(void) {
    enum { ROWS = 60000 };
    ex_text text = {NULL, 0, 0};
    prun_table t;
    const double *v = NULL;
    int64_t i;
    ex_text_add(&text, "a,b,c,kind\n");
    for (i = 0; i < ROWS; i++) {
        ex_text_add(&text, "%ld,%.17g,%g,k%ld\n", (long)i, uniform(70, i), 1e9 * uniform(71, i),
                    (long)(i % 7));
    }
    for (i = 0; i < 100000; i++) { /* and a very long line */
        ex_text_add(&text, "%s", i == 0 ? "1,2,3,\"" : "0123456789");
    }
    ex_text_add(&text, "\"\n");
    if (CHECK_STATUS(read_text(text.data, &t), PRUN_OK)) {
        CHECK(t.rows == ROWS + 1);
        CHECK_STATUS(prun_table_numbers(&test_context, &t, "b", &v), PRUN_OK);
        for (i = 0; i < ROWS && v[i] == uniform(70, i); i++) {
        }
        CHECK(i == ROWS);
        CHECK_STATUS(prun_table_settings(&test_context, &t, "kind", &v), PRUN_OK);
        CHECK(v[13] == 6 && v[14] == 0 && v[ROWS] == ROWS);
        prun_table_free(&t);
    }
    ex_text_free(&text);
}

/* ---- memory ---- */

typedef struct heap {
    int64_t requests, fail_at, live;
} heap;

static void *heap_allocate(size_t size, void *user) {
    heap *h = (heap *)user;
    void *block = ++h->requests == h->fail_at || size > (size_t)1 << 30 ? NULL : malloc(size);
    if (block != NULL) memset(block, 0xa5, size);
    h->live += block != NULL;
    return block;
}

static void heap_release(void *pointer, void *user) {
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
    prun_resampling o;
    prun_interval interval;
    prun_table file;
    double value;
    int64_t count;
    prun_status status;
    x[0] = t->x;
    x[1] = t->axis[0];
    memset(&o, 0, sizeof o);
    o.resamples = 5;
    o.statistic = PRUN_SIGN_ERROR_MAX;
    switch (which) {
        case 0: return prun_kendall_tau(context, t->x, t->y, TABLE, &k);
        case 1: return prun_granulated_kendall(context, &t->axes, t->x, t->y, &g);
        case 2:
            return prun_conditional_information(context, &t->axes, t->x, t->y, PRUN_TIES_DROP, &c);
        case 3: return prun_regression_fit(context, x, 2, t->y, TABLE, NULL, &r);
        case 4: return prun_robust_sign_error(context, &t->axes, t->x, t->y, NULL, &e);
        case 5: return prun_bootstrap(context, &s, &o, &interval);
        case 6: return prun_permutation_test(context, &s, &o, &value);
        case 7: return prun_seed_means(context, &t->axes, t->x, NULL, &count);
        case 8: return prun_partial_kendall(context, t->x, t->y, t->axis[0], TABLE, &value);
        default: break;
    }
    status = prun_table_read_csv(context, csv_path, &file);
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

/* ---- the program ---- */

/* Runs evaluate with the arguments of one line, blanks between them; returns the exit status, -1
   for a crash. Output and messages go to two texts. */
static int run_evaluate(const char *line, ex_text *out, ex_text *messages) {
#ifdef HAVE_FORK
    static const char *const paths[2] = {"build/test_evaluate.out", "build/test_evaluate.err"};
    ex_text *texts[2];
    char words[1000], *argv[40];
    int argc = 0, status = -1, i;
    pid_t child;
    texts[0] = out;
    texts[1] = messages;
    snprintf(words, sizeof words, "%s %s", as_evaluate, line);
    argv[0] = own_path;
    argv[++argc] = strtok(words, " ");
    while (argv[argc] != NULL && argc < 38) {
        argv[++argc] = strtok(NULL, " ");
    }
    fflush(stdout);
    child = fork();
    if (child == 0) {
        if (freopen(paths[0], "w", stdout) == NULL || freopen(paths[1], "w", stderr) == NULL)
            _exit(99);
        execv(own_path, argv);
        _exit(98);
    }
    if (child < 0 || waitpid(child, &status, 0) != child) return -1;
    for (i = 0; i < 2; i++) {
        FILE *file = fopen(paths[i], "r");
        char piece[512];
        texts[i]->length = 0;
        ex_text_add(texts[i], "%s", "");
        while (file != NULL && fgets(piece, sizeof piece, file) != NULL) {
            ex_text_add(texts[i], "%s", piece);
        }
        if (file != NULL) fclose(file);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
#else
    (void)line;
    (void)out;
    (void)messages;
    return -2;
#endif
}

#ifdef HAVE_FORK
#define NEEDS_FORK ((void)0)
#else
#define NEEDS_FORK \
    do { \
        SKIP("needs fork"); \
        return; \
    } while (0)
#endif

static ex_text out, messages;

static void check_run(const char *line, int status, const char *message) {
    int got = run_evaluate(line, &out, &messages);
    if (!CHECK(got == status) ||
        !CHECK(strstr(messages.data != NULL ? messages.data : "", message) != NULL)) {
        printf("    evaluate %s: status %d, messages: %s\n", line, got, messages.data);
    }
}

/* The number behind "key": in the object of a measure; NaN for null, -99 when it is not there. */
static double json_value(const char *name, const char *key) {
    char text[100];
    const char *at;
    snprintf(text, sizeof text, "\"%s\":{\"tau_a\"", name);
    at = out.data != NULL ? strstr(out.data, text) : NULL;
    snprintf(text, sizeof text, "\"%s\":", key);
    at = at != NULL ? strstr(at, text) : NULL;
    if (at == NULL) return -99;
    at += strlen(text);
    return strncmp(at, "null", 4) == 0 ? NAN : strtod(at, NULL);
}

static int write_set_b(void) {
    ex_text text = {NULL, 0, 0};
    int i, fine;
    ex_text_add(&text, "width,aug,seed,mu,mu2,train_error,test_error,note\n");
    for (i = 0; i < 12; i++) {
        ex_text_add(&text, "%g,%s,%g,%g,%g,0.001,%.17g,ok\n", width_b[i],
                    aug_b[i] > 0 ? "on" : "off", seed_b[i], mu_b[i], mu2_b[i], gap_b[i] + 0.001);
    }
    fine = write_file(csv_path, text.data, text.length);
    ex_text_free(&text);
    return fine;
}

static void program_json(void) {
    NEEDS_FORK;
    if (!write_set_b()) return;
    check_run("build/test_evaluate.csv --hyper width,aug --seed-column seed --json --folds 4 "
              "--resamples 100",
              0, "");
    CHECK(out.data[0] == '{' && strstr(out.data, "nan") == NULL);
    CHECK_CLOSE(json_value("mu", "tau_a"), 0.6363636363636364, 1e-15, 0);
    CHECK_CLOSE(json_value("mu", "tau_b"), 0.6363636363636364, 1e-15, 0);
    CHECK_CLOSE(json_value("mu", "p"), 0.003181646992410881, 0, 1e-12);
    CHECK_CLOSE(json_value("mu", "width"), 0.16666666666666669, 1e-15, 0);
    CHECK_CLOSE(json_value("mu", "aug"), 1, 1e-15, 0);
    CHECK_CLOSE(json_value("mu", "Psi"), 0.5833333333333334, 1e-15, 0);
    CHECK_CLOSE(json_value("mu", "K"), 0.04540024223423999, 0, 1e-12);
    CHECK_CLOSE(json_value("mu", "r2"), 0.686791340680313, 0, 1e-10);
    CHECK_CLOSE(json_value("mu", "adj_r2"), 0.6554704747483443, 0, 1e-10);
    CHECK(isnan(json_value("mu", "sign_error_mean")));
    CHECK(isnan(json_value("mu", "tau_given_params")));
    CHECK(json_value("1 / width", "tau_a") > 0.3);
    CHECK(json_value("note", "tau_a") == -99 && json_value("train_error", "tau_a") == -99);
    check_run("build/test_evaluate.csv --hyper width,aug --seed-column seed --json --seeds pooled "
              "--measures mu2 --resamples 0",
              0, "");
    CHECK(json_value("mu", "tau_a") == -99);
    check_run("build/test_evaluate.csv --hyper width,aug --target mu2 --measures mu --json", 0, "");
    CHECK_CLOSE(json_value("mu", "K"), 0.14505233104011478, 0, 1e-12);
}

/* Rounded gaps tie: 0.3 - 0.2 and 0.2 - 0.1 differ in binary. */
static void program_rounds_the_gap(void) {
    NEEDS_FORK;
    CHECK(0.3 - 0.2 != 0.2 - 0.1);
    CHECK(write_file(csv_path, "m,train_error,test_error\n1,.2,.3\n2,.1,.2\n3,.1,.4\n", 48));
    check_run("build/test_evaluate.csv --json --resamples 0", 0, "");
    CHECK_CLOSE(json_value("m", "tau_a"), 2.0 / 3, 1e-15, 0);
}

static void program_tables_of_maddox(void) {
    NEEDS_FORK;
    check_run("tests/tables/maddox_cnn_cifar100.csv --target test_loss --measures width,n_eff "
              "--json",
              0, "");
    CHECK_CLOSE(json_value("width", "tau_a"), -0.4, 1e-15, 0);
    CHECK_CLOSE(json_value("n_eff", "tau_a"), 0.2, 1e-15, 0);
    check_run("tests/tables/maddox_resnet18_cifar100.csv --target test_loss "
              "--measures width,n_eff --json",
              0, "");
    CHECK_CLOSE(json_value("width", "tau_b"), -0.655903, 5e-7, 0);
    CHECK_CLOSE(json_value("n_eff", "tau_b"), 0.552073, 5e-7, 0);
}

static void program_outputs(void) {
    prun_table t;
    const double *v = NULL;
    FILE *file;
    NEEDS_FORK;
    if (!write_set_b()) return;
    check_run("build/test_evaluate.csv --hyper width,aug --seed-column seed --fit both=mu+mu2 "
              "--resamples 50 --csv build/test_evaluate_out.csv --svg build/test_evaluate_svg",
              0, "");
    CHECK(strstr(out.data, "Table 1") && strstr(out.data, "Table 2") &&
          strstr(out.data, "Table 3") && strstr(out.data, "Table 4"));
    CHECK(strstr(out.data, "nan") == NULL && strstr(out.data, "cross-fitted") != NULL);
    memset(&t, 0, sizeof t);
    CHECK_STATUS(prun_table_read_csv(&test_context, "build/test_evaluate_out.csv", &t), PRUN_OK);
    CHECK(t.rows == 4); /* both, both_crossfitted, both_best, 1 / width */
    CHECK_STATUS(prun_table_numbers(&test_context, &t, "tau_a", &v), PRUN_OK);
    CHECK(v != NULL && v[0] > v[1] - 0.2 && fabs(v[2] - 0.6363636363636364) < 1e-15);
    prun_table_free(&t);
    file = fopen("build/test_evaluate_svg/psi.svg", "r");
    CHECK(file != NULL);
    if (file != NULL) fclose(file);
    check_run("build/test_evaluate.csv --csv build/no/such/directory.csv", 1, "directory.csv");
    check_run("--help", 0, "");
    CHECK(strstr(out.data, "--hyper") != NULL && strstr(out.data, "--fit") != NULL);
}

/* Text, options, what the message must contain. All end with status 2. */
static void program_bad_input(void) {
    static const char *const cases[][3] = {
        {"", "", "line 1, column 1: empty"},
        {"m,gap\n", "", "line 2, column 1: 0 models"},
        {"m,gap\n1,2\n", "", "line 2, column 1: 1 model,"},
        {"m,gap\n1,2\n3\n", "", "line 3, column 2: 1 fields"},
        {"m,gap\n1,2,3\n3,4\n", "", "line 2, column 3: 3 fields"},
        {"m;gap\n0,1;2\n0,2;3\n", "", "column"},
        {"m,gap\n\"0,1\",1\n\"0,2\",2\n", "--measures m",
         "line 2, column 1 (m): \"0,1\" is not a number (decimals have a point"},
        {"m,gap\n1,1\n,2\n3,3\n", "", "line 3, column 1 (m): missing value"},
        {"m,gap\n1,1\nNaN,2\n3,3\n", "", "line 3, column 1 (m): \"NaN\" missing value"},
        {"m,gap\r\n1,1\r\nabc,2\r\n", "", "line 3, column 1 (m): \"abc\" is not a number"},
        {"m,train_error,test_error\n1,.1,.2\n2,inf,.3\n", "",
         "line 3, column 2 (train_error): \"inf\" is not finite"},
        {"m,gap\n-nan(ind),1\n2,2\n", "", "line 2, column 1 (m): \"-nan(ind)\" missing value"},
        {"m,b,gap\n1,inf,1\n2,1,3\n3,2,2\n", "--fit f=m+b", "column 2 (b) has infinite values"},
        {"m,gap\n1,1\n2,2\n", "--measures m,m", "two measures are called m"},
        {"x_seconds,test_loss,gap\n1,3,1\n2,4,2\n", "",
         "no measures: times: x_seconds; losses and errors: test_loss"},
        {"sep=;\nm;gap\n1;2\nx;3\n", "", "line 4, column 1 (m): \"x\" is not a number"},
        {"m\x1b[2J,gap\nx,1\n2,2\n", "", "(m\\x1b[2J): \"x\" is not a number"},
        {"width,m,gap\n1,1,5\n2,2,6\n", "--hyper widht",
         "no column named widht; is width meant?\n       columns: width, m, gap\n"},
        {"a,gap\n1,5\n2,6\n", "--measures Gap", "no column named Gap; is gap meant?"},
        {"m,gap\n1,1e999\n2,2\n", "", "line 2, column 2 (gap): \"1e999\" is not finite"},
        {"m,gap\n7,1\n7,2\n7,3\n", "", "lines 2 to 4, column 1 (m): constant"},
        {"m,gap\n1,5\n2,5\n", "", "column 2 (gap): the target is 5 in every model"},
        {"m,gap\n1,5\n2,6\n", "--measures m,x", "no column named x"},
        {"m,gap\n1,5\n2,6\n", "--hyper q", "no column named q"},
        {"m,gap\n1,5\n2,6\n", "--seed-column s", "no column named s"},
        {"m,gap\n1,5\n2,6\n", "--target t", "no column named t"},
        {"m,gap\n1,5\n2,6\n", "--train t", "no column named t"},
        {"m,gap\n1,5\n2,6\n", "--params p", "no column named p"},
        {"m,gap\n1,5\n2,6\n", "--width w", "no column named w"},
        {"m,gap\n1,5\n2,6\n", "--ignore w", "no column named w"},
        {"m,gap\n1,5\n2,6\n", "--fit a=z*", "no column named z*"},
        {"m,gap\n1,5\n2,6\n", "--fit a", "NAME=COLUMN*"},
        {"m,gap\n1,5\n2,6\n", "--ignore m", "no column is left"},
        {"m,m\n1,5\n2,6\n", "", "line 1, column 2: the name m"},
        {"m,gap\n1,5\n2,6\n", "--hyper m,m", "named twice"},
        {"m,gap\n\"1,5\n2,6\n", "", "line 2, column 1: quote without end"},
        {"w,m,gap\n0,1,5\n1,2,6\n", "--width w", "line 2"},
        {"m,gap\n1,5\n2,6\n", "--level 2", "--level"},
        {"m,gap\n1,5\n2,6\n", "--nothing", "--nothing"},
    };
    char line[200];
    size_t i;
    NEEDS_FORK;
    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (!write_file(csv_path, cases[i][0], strlen(cases[i][0]))) return;
        snprintf(line, sizeof line, "build/test_evaluate.csv --quiet %s", cases[i][1]);
        check_run(line, 2, cases[i][2]);
        snprintf(line, sizeof line, "build/test_evaluate.csv --json --quiet %s", cases[i][1]);
        check_run(line, 2, cases[i][2]);
        CHECK(out.data[0] == '\0' || out.data[0] == '{');
    }
    check_run("build/no.csv", 2, "build/no.csv: cannot be opened");
    check_run("", 2, "TABLE.csv is missing");
}

/* What is undefined is said to be, in every output; the rest is there. */
static void program_undefined(void) {
    static const char text[] = "w,m,c,gap\n1,1,7,1\n1,2,7,3\n1,3,7,2\n1,4,7,5\n";
    NEEDS_FORK;
    CHECK(write_file(csv_path, text, sizeof text - 1));
    check_run("build/test_evaluate.csv --hyper w --json", 0,
              "note: build/test_evaluate.csv: lines 2 to 5, column 3 (c): constant (7)");
    CHECK(isnan(json_value("c", "tau_a")));
    check_run("build/test_evaluate.csv --hyper w", 0, "");
    CHECK(strstr(out.data, "left out, being the same in every model: c\n") != NULL);
    check_run("build/test_evaluate.csv --hyper w --measures m,c", 2, "constant (7)");
    CHECK(strstr(out.data, "undefined: all of c: it is 7 in every model") != NULL);
    check_run("build/test_evaluate.csv --hyper w --measures m,c --json", 2,
              "error: build/test_evaluate.csv: lines 2 to 5, column 3 (c): constant (7)");
    CHECK(isnan(json_value("c", "tau_a")) && isnan(json_value("c", "tau_b")));
    CHECK(isnan(json_value("c", "p")) && isnan(json_value("c", "K")));
    CHECK(isnan(json_value("c", "w")));
    CHECK(isnan(json_value("c", "r2")) && isnan(json_value("c", "Psi")));
    CHECK_CLOSE(json_value("m", "tau_a"), 2.0 / 3, 1e-15, 0);
    CHECK(isnan(json_value("m", "w")) && isnan(json_value("m", "Psi")));
    check_run("build/test_evaluate.csv --hyper w --ignore c", 0, "");
    CHECK(strstr(out.data, "undefined: psi of w: no two models differ in this axis alone") != NULL);
    CHECK(strstr(out.data, "nan") == NULL);
}

/* A table as measure writes it: infinite values rank and have no R2, times and settings stay out,
   and so does what is undefined in all models or, of the library's own measures, in some. */
static void program_evaluates_measured_rows(void) {
    static const char text[] =
        "net,train_images,train_error,test_loss,test_error,gap,parameters,parameters_seconds,"
        "spectral_orig,spectral_orig_folded,sum_of_frobenius,gradient_noise_final,"
        "gradient_noise_final_error,path_norm,train_loss,n_eff_z1,n_eff_error_z1,version,isa\n"
        "a,400,0.1,1.5,0.3,0.2,10,0.1,inf,inf,3,0.5,0.1,,0.1,7,1,0.9,avx2\n"
        "b,400,0.1,1.2,0.4,0.3,10,0.1,5,4,1,0.6,0.1,,0.2,5,2,0.9,avx2\n"
        "c,400,0.2,1.1,0.3,0.1,20,0.2,inf,-inf,2,,,,0.3,8,1,0.9,avx2\n"
        "d,400,0.2,1.9,0.6,0.4,20,0.2,7,6,5,0.7,0.2,,0.4,9,3,0.9,avx2\n";
    NEEDS_FORK;
    if (!write_file(csv_path, text, sizeof text - 1)) return;
    check_run("build/test_evaluate.csv --resamples 20", 0, "");
    CHECK(strstr(out.data, "no measures: times: parameters_seconds; losses and errors: test_loss, "
                           "gradient_noise_final_error, n_eff_error_z1; settings: net, "
                           "train_images; about the run: version, isa; without values: path_norm; "
                           "undefined in some models: gradient_noise_final (--measures") != NULL);
    CHECK(strstr(out.data, "undefined: R2 of spectral_orig: it has infinite values\n") != NULL);
    CHECK(strstr(out.data, "undefined: R2 of sum_of_frobenius") == NULL);
    CHECK(strstr(out.data, "nan") == NULL);
    check_run("build/test_evaluate.csv --json --resamples 20", 0,
              "note: R2 of spectral_orig_folded is undefined: it has infinite values");
    CHECK_CLOSE(json_value("spectral_orig", "tau_a"), -0.5, 1e-15, 0);
    CHECK_CLOSE(json_value("spectral_orig", "tau_b"), -0.5477225575051661, 1e-15, 0);
    CHECK_CLOSE(json_value("spectral_orig_folded", "tau_a"), 1.0 / 3, 1e-15, 0);
    CHECK(isnan(json_value("spectral_orig", "r2")) && isnan(json_value("spectral_orig", "cv_r2")));
    CHECK(json_value("sum_of_frobenius", "r2") > 0 && json_value("train_loss", "r2") > 0);
    CHECK(json_value("parameters_seconds", "tau_a") == -99);
    CHECK(json_value("test_loss", "tau_a") == -99 && json_value("train_images", "tau_a") == -99);
    CHECK(strstr(out.data, "\"left_out\":[\"net\",\"train_images\",\"test_loss\",") != NULL);
    check_run("build/test_evaluate.csv --json --resamples 0 "
              "--measures test_loss,parameters_seconds",
              0, "");
    CHECK(json_value("test_loss", "tau_a") == 1 || json_value("test_loss", "tau_a") > 0.5);
    check_run("build/test_evaluate.csv --json --resamples 0 --skip-missing", 0, "1 of 4 models");
    CHECK(json_value("gradient_noise_final", "tau_a") > -1);
    check_run("build/test_evaluate.csv --resamples 0 --svg build/test_evaluate_svg", 0, "");
}

/* A column that numbers the rows is none, whatever pandas called it. */
static void program_leaves_out_row_numbers(void) {
    static const char *const tables[][2] = {
        {"Unnamed: 0,m,gap\n0,1,2\n1,2,3\n2,4,1\n", "Unnamed: 0"},
        {"Unnamed: 0.1,m,gap\n7,1,2\n3,2,3\n12,4,1\n", "Unnamed: 0.1"},
        {"index,m,gap\n1,1,2\n2,2,3\n3,4,1\n", "index"},
        {"Index,m,gap\n2,1,2\n0,2,3\n1,4,1\n", "Index"},
        {",m,gap\n0,1,2\n1,2,3\n2,4,1\n", "(no name)"},
    };
    static const char *const kept[] = {
        "index,m,gap\n1,1,2\n2,2,3\n4,4,1\n", "index,m,gap\n0,1,2\n1,2,3\n3,4,1\n",
        "index,m,gap\n0.5,1,2\n1,2,3\n2,4,1\n", "index,m,gap\n1,1,2\n2,2,3\n2,4,1\n"};
    static const char fractions[] = "Unnamed: 0,m,gap\n0.1,1,2\n.3,2,3\n2,4,1\n";
    char text[100];
    size_t i;
    NEEDS_FORK;
    for (i = 0; i < sizeof tables / sizeof *tables; i++) {
        if (!write_file(csv_path, tables[i][0], strlen(tables[i][0]))) return;
        check_run("build/test_evaluate.csv --resamples 0", 0, "");
        snprintf(text, sizeof text, "no measures: row numbers: %s (", tables[i][1]);
        CHECK(strstr(out.data, text) != NULL);
        check_run("build/test_evaluate.csv --resamples 0 --json", 0, "");
        CHECK(json_value(tables[i][1], "tau_a") == -99 && json_value("m", "tau_a") < 0);
    }
    for (i = 0; i < sizeof kept / sizeof *kept; i++) {
        if (!write_file(csv_path, kept[i], strlen(kept[i]))) return;
        check_run("build/test_evaluate.csv --resamples 0 --json", 0, "");
        CHECK(json_value("index", "tau_a") > -1);
    }
    if (!write_file(csv_path, fractions, sizeof fractions - 1)) return;
    check_run("build/test_evaluate.csv --resamples 0 --json", 0, "");
    CHECK(json_value("Unnamed: 0", "tau_a") > -1);
}

static void program_warns_of_settings(void) {
    static const char text[] = "lr,m,gap\n0.3,1,2\n0.30000000000000004,2,3\n0.31,4,1\n0.3,3,4\n";
    static const char apart[] = "lr,m,gap\n0,1,2\n1e-300,2,3\n1,4,1\ninf,3,4\ninf,5,5\n";
    NEEDS_FORK;
    CHECK(write_file(csv_path, text, sizeof text - 1));
    check_run("build/test_evaluate.csv --hyper lr --resamples 0", 0,
              "warning: build/test_evaluate.csv: column 1 (lr): 0.29999999999999999 and "
              "0.30000000000000004 count as two settings");
    if (!write_file(csv_path, apart, sizeof apart - 1)) return;
    check_run("build/test_evaluate.csv --hyper lr --resamples 0", 0, "");
    CHECK(strstr(messages.data, "warning") == NULL);
}

/* Names reach no terminal as they are, but every file by its own rules. */
static void program_escapes_names(void) {
    static const char text[] = "a|b\x1b[31m,m\x1b]0;\x07&<\xb5,gap\n1,1,2\n2,2,3\n3,4,1\n4,3,5\n";
    const char *at;
    prun_table t;
    NEEDS_FORK;
    CHECK(write_file(csv_path, text, sizeof text - 1));
    check_run("build/test_evaluate.csv --hyper a|b\x1b[31m --resamples 20 --csv "
              "build/test_evaluate_out.csv --svg build/test_evaluate_svg",
              0, "");
    for (at = out.data; *at != '\0' && (*at == '\n' || (*at >= ' ' && *at < 0x7f)); at++) {
    }
    CHECK(*at == '\0' && strstr(out.data, "m\\x1b]0;\\x07&<\\xb5") != NULL);
    CHECK(strstr(out.data, "a|b\\x1b[31m   ") != NULL); /* one cell of the header */
    if (CHECK_STATUS(prun_table_read_csv(&test_context, "build/test_evaluate_out.csv", &t),
                     PRUN_OK)) {
        CHECK(strcmp(t.cells[0], "m\x1b]0;\x07&<\xb5") == 0);
        CHECK(prun_table_find(&t, "psi_a|b\x1b[31m") >= 0);
        prun_table_free(&t);
    }
    check_run("build/test_evaluate.csv --hyper a|b\x1b[31m --resamples 0 --json", 0, "");
    CHECK(strstr(out.data, "\"m\\u001b]0;\\u0007&<\\u00b5\":{") != NULL);
}

#ifdef HAVE_FORK
static int same_text(const char *path, const char *text) {
    char piece[512];
    FILE *file = fopen(path, "rb");
    size_t n = file != NULL ? fread(piece, 1, sizeof piece, file) : 0;
    if (file != NULL) fclose(file);
    return n == strlen(text) && memcmp(piece, text, n) == 0;
}
#endif

/* No output takes the place of the table, by whatever path; all are looked at before the work. */
static void program_keeps_its_input(void) {
#ifdef HAVE_FORK
    static const char text[] = "m,gap\n1,2\n2,3\n4,1\n";
    static const char *const paths[] = {
        "build/test_evaluate.csv", "build/../build/test_evaluate.csv",
        "build/test_evaluate_link.csv", "build/test_evaluate_hard.csv"};
    char line[200];
    size_t i;
    if (!write_file(csv_path, text, sizeof text - 1)) return;
    remove(paths[2]);
    remove(paths[3]);
    CHECK(symlink("test_evaluate.csv", paths[2]) == 0 && link(csv_path, paths[3]) == 0);
    for (i = 0; i < sizeof paths / sizeof *paths; i++) {
        snprintf(line, sizeof line, "build/test_evaluate.csv --csv %s", paths[i]);
        check_run(line, 2, "this is the table that is read");
        CHECK(same_text(csv_path, text));
    }
    CHECK(ex_directory("build/test_evaluate_svg") == 0);
    CHECK(write_file("build/test_evaluate_svg/psi.svg", text, sizeof text - 1));
    check_run("build/test_evaluate_svg/psi.svg --svg build/test_evaluate_svg", 2,
              "this is the table");
    CHECK(same_text("build/test_evaluate_svg/psi.svg", text));
    remove(paths[2]);
    remove(paths[3]);
    check_run("build/test_evaluate.csv --csv build/no/such.csv", 1, "build/no");
    CHECK(out.data[0] == '\0'); /* before anything was computed */
    check_run("build/test_evaluate.csv --csv build", 1, "folder");
    check_run("build/test_evaluate.csv --svg build/test_evaluate.csv", 1, "test_evaluate.csv");
#else
    SKIP("needs links");
#endif
}

/* A table from a pipe, longer than one piece of it. */
static void csv_from_a_pipe(void) {
#ifdef HAVE_FORK
    static const char path[] = "build/test_evaluate.pipe";
    prun_table t;
    pid_t child;
    int status = 0, i;
    remove(path);
    if (!CHECK(mkfifo(path, 0600) == 0)) return;
    fflush(stdout);
    child = fork();
    if (child == 0) {
        FILE *file = fopen(path, "wb");
        for (i = 0; file != NULL && i < 100000; i++) {
            fprintf(file, i > 0 ? "%d,%d\n" : "a,b\n", i, 2 * i);
        }
        _exit(file == NULL || fclose(file) != 0);
    }
    if (CHECK_STATUS(prun_table_read_csv(&test_context, path, &t), PRUN_OK)) {
        CHECK(t.rows == 99999 && t.values[99998] == 99999 && t.values[2 * 99999 - 1] == 199998);
        CHECK(strcmp(t.source, path) == 0);
        prun_table_free(&t);
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    child = fork();
    if (child == 0) {
        FILE *file = fopen(path, "wb");
        _exit(file == NULL || fputs("\x1f\x8b\x08 packed", file) < 0 || fclose(file) != 0);
    }
    CHECK_STATUS(prun_table_read_csv(&test_context, path, &t), PRUN_ERR_MAGIC);
    CHECK(strstr(prun_message(&test_context), "gzip") != NULL);
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    remove(path);
#else
    SKIP("needs pipes");
#endif
}

static void program_skips_missing(void) {
    static const char text[] = "m,x,gap,status\n1,1,1,ok\n2,,3,failed\n3,5,2,ok\n4,4,,ok\n"
                               "5,2,4,ok\n";
    NEEDS_FORK;
    CHECK(write_file(csv_path, text, sizeof text - 1));
    check_run("build/test_evaluate.csv", 2, "--skip-missing");
    check_run("build/test_evaluate.csv --skip-missing --json", 0, "2 of 5 models");
    CHECK(strstr(out.data, "\"models\":3") != NULL);
    CHECK_CLOSE(json_value("m", "tau_a"), 1, 1e-15, 0);
    check_run("build/test_evaluate.csv --skip-missing --measures m --json", 0, "1 of 5 models");
    CHECK(strstr(out.data, "\"models\":4") != NULL);
}

static const test_case cases[] = {
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
    TEST_CASE(infinite_custom_statistic),
    TEST_CASE(regression_in_any_unit),
    TEST_CASE(resampling_every_statistic),
    TEST_CASE(resampling_with_threads),
    TEST_CASE(bootstrap_coverage),
    TEST_CASE(bootstrap_of_clusters),
    TEST_CASE(permutation_of_six),
    TEST_CASE(comparison_of_measures),
    TEST_CASE(partial_kendall_by_formula),
    TEST_CASE(holm_by_hand),
    TEST_CASE(resampling_undefined),
    TEST_CASE(bad_arguments),
    TEST_CASE(numbers_as_strtod),
    TEST_CASE(no_numbers),
    TEST_CASE(csv_plain),
    TEST_CASE(csv_dialects),
    TEST_CASE(csv_text_as_setting),
    TEST_CASE(csv_keeps_rows),
    TEST_CASE(csv_missing_values),
    TEST_CASE(csv_names_its_separator),
    TEST_CASE(csv_names_its_columns),
    TEST_CASE(csv_messages_are_escaped),
    TEST_CASE(csv_mixed_column_without_texts),
    TEST_CASE(csv_malformed),
    TEST_CASE(csv_damaged),
    TEST_CASE(csv_large),
    TEST_CASE(memory_runs_out),
    TEST_CASE(program_json),
    TEST_CASE(program_rounds_the_gap),
    TEST_CASE(program_tables_of_maddox),
    TEST_CASE(program_outputs),
    TEST_CASE(program_bad_input),
    TEST_CASE(program_undefined),
    TEST_CASE(program_evaluates_measured_rows),
    TEST_CASE(program_leaves_out_row_numbers),
    TEST_CASE(program_warns_of_settings),
    TEST_CASE(program_escapes_names),
    TEST_CASE(program_keeps_its_input),
    TEST_CASE(csv_from_a_pipe),
    TEST_CASE(program_skips_missing),
};

int main(int argc, char **argv) {
    int status;
    own_path = argv[0];
    if (argc > 1 && strcmp(argv[1], as_evaluate) == 0) {
        argv[1] = argv[0];
        return evaluate_main(argc - 1, argv + 1);
    }
    status = TEST_MAIN("test_evaluate", cases, argc, argv);
    ex_text_free(&out);
    ex_text_free(&messages);
    return status;
}
