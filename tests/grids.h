/* grids.h - grids of models (hyperparameters x seeds) for tests of statistics and tables. */
#ifndef TEST_GRIDS_H_INCLUDED
#define TEST_GRIDS_H_INCLUDED

#include <stdlib.h>

#include "../prunability.h"
#include "test.h"

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

static inline prun_axes axes_of(const double *const *values, int64_t count, int64_t n) {
    prun_axes axes;
    memset(&axes, 0, sizeof axes);
    axes.n = n;
    axes.count = count;
    axes.values = values;
    return axes;
}

static inline double uniform(uint64_t stream, int64_t i) {
    return prun_random_uniform(41, stream, (uint64_t)i);
}

static inline int sign_of(double a, double b) { return (a > b) - (a < b); }

/* ---- random grids ---- */

/* A random incomplete table with ties, repeats and unequal groups. */
enum { TABLE = 90, TABLE_AXES = 3 };

typedef struct table {
    double axis[TABLE_AXES][TABLE], seed[TABLE], x[TABLE], y[TABLE];
    const double *values[TABLE_AXES];
    prun_axes axes;
} table;

static inline void random_table(uint64_t stream, int levels, table *t) {
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

static inline prun_sample sample_from(const table *t) {
    prun_sample s;
    memset(&s, 0, sizeof s);
    s.n = TABLE;
    s.measure = t->x;
    s.target = t->y;
    s.control = t->axis[2];
    s.axes = &t->axes;
    return s;
}

static inline int write_file(const char *path, const char *text, size_t length) {
    FILE *file = fopen(path, "wb");
    int fine = file != NULL && fwrite(text, 1, length, file) == length;
    if (file != NULL) fine &= fclose(file) == 0;
    return CHECK(fine);
}

#endif
