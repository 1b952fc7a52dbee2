/* Evaluation statistics and the evaluate program: reference values (SciPy 1.10, NumPy 1.24, and
   counts by hand), brute force by the definitions, malformed tables. */
#define main evaluate_main
#include "../examples/evaluate.c"
#undef main
#include "test.h"

#if defined(__unix__) || defined(__APPLE__)
#include <sys/wait.h>
#define HAVE_FORK 1
#endif

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

static prun_axes axes_of(const double *const *values, int64_t count, int64_t n)
{
    prun_axes axes;
    memset(&axes, 0, sizeof axes);
    axes.n = n;
    axes.count = count;
    axes.values = values;
    return axes;
}

static double uniform(uint64_t stream, int64_t i)
{
    return prun_random_uniform(41, stream, (uint64_t)i);
}

static int sign_of(double a, double b)
{
    return (a > b) - (a < b);
}

/* ---- Kendall, granulated ---- */

static void kendall_small_grid(void)
{
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
    CHECK_STATUS(prun_kendall_tau(&test_context, mu_t, gap_t, 6, &k), PRUN_OK);
    CHECK_CLOSE(k.tau_a, 0.6, 1e-14, 0);
    CHECK_CLOSE(k.tau_b, 0.6428571428571429, 1e-14, 0);
    CHECK_CLOSE(k.p, 0.07983871964585261, 0, 1e-10);
    CHECK(k.exact == 0);
}

static void granulated_small_grid(void)
{
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

static void granulated_seeds(void)
{
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

static void granulated_seed_means(void)
{
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
static void granulated_errors_of_the_paper(void)
{
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

static void random_table(uint64_t stream, int levels, table *t)
{
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

static int same_group(const table *t, int64_t axis, int64_t i, int64_t j)
{
    int64_t a;
    for (a = 0; a < TABLE_AXES; a++) {
        if (a != axis && t->axis[a][i] != t->axis[a][j]) return 0;
    }
    return t->axes.seeds != PRUN_SEEDS_FIXED || t->seed[i] == t->seed[j];
}

static double psi_by_definition(const table *t, int64_t axis, int64_t *groups)
{
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

static void granulated_by_definition(void)
{
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
static void granulated_large_group(void)
{
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

static void granulated_undefined(void)
{
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

static void information_small_grid(void)
{
    const prun_axes axes = axes_of(axes_a, 2, 6);
    static const double want[3][3] = {{0.278071905113, 1, 0.278071905113},
                                      {0.449022499567, 0.849022499567, 0.528869964926},
                                      {0.032681666378, 0.4, 0.081704165946}};
    prun_cmi c;
    int i;
    if (!CHECK_STATUS(prun_conditional_information(&test_context, &axes, mu_a, gap_a,
                                                   PRUN_TIES_DROP, &c), PRUN_OK))
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

static void information_with_seeds(void)
{
    static const double value[7] = {0.315961564361, 0.378977016684, 0.045400242234, 0.331945471519,
                                    0.433370256919, 0.628132442635, 0.202496903433};
    prun_axes axes = axes_of(axes_b, 3, 12);
    prun_cmi c;
    int i;
    CHECK_STATUS(prun_conditional_information(&test_context, &axes, mu_b, gap_b, PRUN_TIES_DROP,
                                              &c), PRUN_OK);
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
    CHECK_STATUS(prun_conditional_information(&test_context, &axes, mu_b, gap_b, PRUN_TIES_DROP,
                                              &c), PRUN_OK);
    CHECK_CLOSE(c.k, 0.04540024223423999, 1e-10, 0);
    CHECK(c.subsets == 4 && c.best == 2);
}

static void information_between_measures(void)
{
    static const double by_second[4] = {.254482157189, .491396088896, .145052331040,
                                        .353588723373};
    static const double by_first[4] = {.254482157189, .316723899029, .278071905113,
                                       .367113686311};
    const prun_axes axes = axes_of(axes_b, 2, 12);
    prun_cmi c, swapped;
    double least = 1;
    int i;
    CHECK_STATUS(prun_conditional_information(&test_context, &axes, mu_b, mu2_b, PRUN_TIES_DROP,
                                              &c), PRUN_OK);
    CHECK_STATUS(prun_conditional_information(&test_context, &axes, mu2_b, mu_b, PRUN_TIES_DROP,
                                              &swapped), PRUN_OK);
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

static void information_ties(void)
{
    const prun_axes axes = axes_of(axes_a, 2, 6);
    prun_cmi c;
    CHECK_STATUS(prun_conditional_information(&test_context, &axes, mu_t, gap_t, PRUN_TIES_DROP,
                                              &c), PRUN_OK);
    CHECK_CLOSE(c.subset[0].value, .380617805321, 1e-12, 0);
    CHECK_CLOSE(c.subset[1].value, .533565137846, 1e-12, 0);
    CHECK_CLOSE(c.subset[2].value, .449022499567, 1e-12, 0);
    CHECK_CLOSE(c.k, .38061780532123635, 1e-10, 0);
    CHECK_STATUS(prun_conditional_information(&test_context, &axes, mu_t, gap_t, PRUN_TIES_STRICT,
                                              &c), PRUN_OK);
    CHECK_CLOSE(c.subset[0].value, .276554595446, 1e-12, 0);
    CHECK_CLOSE(c.subset[1].value, .447477055958, 1e-12, 0);
    CHECK_CLOSE(c.subset[2].value, .281944042921, 1e-12, 0);
    CHECK_CLOSE(c.k, .27655459544649663, 1e-10, 0);
}

static double plogp(double p)
{
    return p > 0 ? p * log(p) / log(2.0) : 0;
}

/* I and H(y) for a set of axes by the definition: cell after cell, over ordered pairs. */
static void information_by_definition(const table *t, const int32_t *set, prun_ties ties,
                                      double *information, double *entropy)
{
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
                            w[2 * a + b] += (x == 0 ? half : (x > 0) == a) *
                                            (y == 0 ? halb : (y > 0) == b);
                        }
                    }
                }
            }
            n = w[0] + w[1] + w[2] + w[3];
            if (n <= 0) continue;
            total += n;
            *entropy -= n * (plogp((w[0] + w[2]) / n) + plogp((w[1] + w[3]) / n));
            *information += n * (plogp(w[0] / n) + plogp(w[1] / n) + plogp(w[2] / n) +
                                 plogp(w[3] / n) - plogp((w[0] + w[1]) / n) -
                                 plogp((w[2] + w[3]) / n) - plogp((w[0] + w[2]) / n) -
                                 plogp((w[1] + w[3]) / n));
        }
    }
    *information /= total;
    *entropy /= total;
}

static void information_equals_its_definition(void)
{
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
static void information_of_tau(void)
{
    const prun_axes axes = axes_of(NULL, 0, 12);
    prun_kendall kendall;
    prun_cmi c;
    double q;
    CHECK_STATUS(prun_conditional_information(&test_context, &axes, mu_b, gap_b, PRUN_TIES_DROP,
                                              &c), PRUN_OK);
    CHECK_STATUS(prun_kendall_tau(&test_context, mu_b, gap_b, 12, &kendall), PRUN_OK);
    q = (1 + kendall.tau_a) / 2;
    CHECK_CLOSE(c.k, 1 + plogp(q) + plogp(1 - q), 1e-13, 0);
    CHECK(c.subsets == 1);
}

static void information_undefined(void)
{
    const double constant[6] = {1, 1, 1, 1, 1, 1};
    const prun_axes axes = axes_of(axes_a, 2, 6);
    prun_cmi c;
    CHECK_STATUS(prun_conditional_information(&test_context, &axes, mu_a, constant, PRUN_TIES_DROP,
                                              &c), PRUN_OK);
    CHECK(isnan(c.k) && isnan(c.symmetric) && c.best == -1 && c.reason != NULL);
    CHECK_STATUS(prun_conditional_information(&test_context, &axes, mu_a, constant,
                                              PRUN_TIES_STRICT, &c), PRUN_OK);
    CHECK(isnan(c.k) && c.reason != NULL);
}

/* ---- regression ---- */

static void regression_one_variable(void)
{
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

static void regression_two_variables(void)
{
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
static void regression_recovers_a_polynomial(void)
{
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

static void regression_dependent_variables(void)
{
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

static void regression_undefined(void)
{
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

static void sign_error_of_a_pair(void)
{
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
    CHECK_CLOSE(prun_sign_error_pair(c1, g1, 2, c2, g2, 2, 10000, &weight, &ess),
                0.31321400777222, 1e-12, 0);
    CHECK_CLOSE(weight, 1.4560576530633265, 1e-12, 0);
    CHECK_CLOSE(ess, 2.9945453079304216, 1e-12, 0);
}

static void sign_error_of_two_settings(void)
{
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

static int by_value(const void *left, const void *right)
{
    return sign_of(*(const double *)left, *(const double *)right);
}

/* Every pair of settings that differ in one axis, found by comparing all pairs of models. */
static void sign_error_by_definition(void)
{
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
