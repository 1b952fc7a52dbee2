/* singular_reference.h - all singular values of a matrix by one-sided Jacobi rotations, and
   matrices with given singular values. */
#ifndef SINGULAR_REFERENCE_H_INCLUDED
#define SINGULAR_REFERENCE_H_INCLUDED

#include <stdlib.h>

#include "test.h"

static inline double normal(uint64_t stream, int64_t i) {
    return prun_random_normal(77, stream, (uint64_t)i);
}

/* ---- the oracle ------------------------------------------------------------------------------ */

/* All singular values of the matrix whose `count` columns of `length` are stored one after the
   other: rotations until all columns are orthogonal (Hestenes 1958); columns with less than 1e-15
   of the matrix's norm may stay as they are. Returns the largest. */
static inline double jacobi(double *a, int64_t length, int64_t count, double *values) {
    int64_t sweep, p, q, i, turned = 1;
    double largest = 0, total = 0;
    for (i = 0; i < count * length; i++) total += a[i] * a[i];
    for (sweep = 0; turned && sweep < 60; sweep++)
        for (p = 0, turned = 0; p < count; p++)
            for (q = p + 1; q < count; q++) {
                double *x = a + p * length, *y = a + q * length, xx = 0, yy = 0, xy = 0, t, c, s;
                for (i = 0; i < length; i++) {
                    xx += x[i] * x[i];
                    yy += y[i] * y[i];
                    xy += x[i] * y[i];
                }
                if (!(fabs(xy) > 1e-14 * sqrt(xx) * sqrt(yy) && fabs(xy) > 1e-30 * total)) continue;
                turned = 1;
                t = (yy - xx) / (2 * xy);
                t = (t < 0 ? -1 : 1) / (fabs(t) + sqrt(1 + t * t));
                c = 1 / sqrt(1 + t * t);
                s = c * t;
                for (i = 0; i < length; i++) {
                    double u = x[i], v = y[i];
                    x[i] = c * u - s * v;
                    y[i] = s * u + c * v;
                }
            }
    CHECK(!turned);
    for (p = 0; p < count; p++) {
        double sum = 0;
        for (i = 0; i < length; i++) sum += a[p * length + i] * a[p * length + i];
        values[p] = sqrt(sum);
        largest = values[p] > largest ? values[p] : largest;
    }
    return largest;
}

typedef struct truth {
    double *values, largest; /* `count` singular values */
    int64_t count;
} truth;

/* a is rows x columns and is freed. Rotates columns or rows, whichever are fewer. */
static inline truth decompose(double *a, int64_t rows, int64_t columns) {
    truth t;
    const int64_t n = rows < columns ? rows : columns, length = rows < columns ? columns : rows;
    int64_t r, c;
    double *b = a;
    if (columns <= rows) {
        b = (double *)malloc((size_t)(rows * columns) * sizeof *b);
        for (r = 0; r < rows; r++)
            for (c = 0; c < columns; c++) b[c * rows + r] = a[r * columns + c];
        free(a);
    }
    t.count = n;
    t.values = (double *)malloc((size_t)n * sizeof *t.values);
    t.largest = jacobi(b, length, n, t.values);
    free(b);
    return t;
}

static inline truth decompose_matrix(const float *w, int64_t rows, int64_t columns) {
    double *a = (double *)malloc((size_t)(rows * columns) * sizeof *a);
    int64_t i;
    for (i = 0; i < rows * columns; i++) a[i] = (double)w[i];
    return decompose(a, rows, columns);
}

/* ---- matrices of a given spectrum ------------------------------------------------------------ */

/* n orthonormal rows of `length`: Gram-Schmidt on Gaussian rows. */
static inline void orthonormal(double *q, int64_t n, int64_t length, uint64_t stream) {
    int64_t i, j, e;
    for (i = 0; i < n; i++) {
        int pass;
        double sum = 0;
        for (e = 0; e < length; e++) q[i * length + e] = normal(stream, i * length + e);
        for (pass = 0; pass < 2; pass++)
            for (j = 0; j < i; j++) {
                double part = 0;
                for (e = 0; e < length; e++) part += q[i * length + e] * q[j * length + e];
                for (e = 0; e < length; e++) q[i * length + e] -= part * q[j * length + e];
            }
        for (e = 0; e < length; e++) sum += q[i * length + e] * q[i * length + e];
        for (e = 0; e < length; e++) q[i * length + e] /= sqrt(sum);
    }
}

enum { SHAPES = 9, ROWS = 37, COLUMNS = 52 };

/* Singular value i (0 .. n-1), largest first. */
static inline double spectrum(int shape, int64_t i, int64_t n) {
    const double x = (double)i / (double)n;
    switch (shape) {
        case 0: return i ? 0.3 * (1 - x) : 1;              /* one separated */
        case 1: return 1 - 1e-4 * x;                       /* clustered */
        case 2: return 1;                                  /* equal */
        case 3: return i ? 0 : 1;                          /* rank one */
        case 4: return pow(10, -12 * x);                   /* graded */
        case 5: return 0;                                  /* zero */
        case 6: return i < 2 ? 1 - 1e-5 * (double)i : 0.5; /* a close pair above the rest */
        case 7: return i ? 1 - 1e-3 : 1;                   /* one above many equal ones */
        default: return 1 - x;                             /* evenly spaced */
    }
}

static inline void make_matrix(float *w, int64_t rows, int64_t columns, int shape, double scale,
                               uint64_t stream) {
    const int64_t n = rows < columns ? rows : columns;
    double *u = (double *)malloc((size_t)(n * rows) * sizeof *u);
    double *v = (double *)malloc((size_t)(n * columns) * sizeof *v);
    int64_t r, c, i;
    orthonormal(u, n, rows, 2 * stream);
    orthonormal(v, n, columns, 2 * stream + 1);
    for (r = 0; r < rows; r++)
        for (c = 0; c < columns; c++) {
            double sum = 0;
            for (i = 0; i < n; i++)
                sum += spectrum(shape, i, n) * u[i * rows + r] * v[i * columns + c];
            w[r * columns + c] = (float)(scale * sum);
        }
    free(u);
    free(v);
}

/* ---- threads --------------------------------------------------------------------------------- */

/* A parallel_for of prun_context that runs backwards and counts its iterations. */
static inline void last_first(void *user, void (*body)(void *argument, int64_t i), void *argument,
                              int64_t count) {
    *(int64_t *)user += count;
    while (count-- > 0) body(argument, count);
}

#endif
