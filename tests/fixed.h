/* fixed.h - an objective of fixed weights, losses and logits. */
#ifndef TEST_FIXED_H_INCLUDED
#define TEST_FIXED_H_INCLUDED

#include <stdlib.h>

#include "../prunability.h"
#include "test.h"

/* ---- an objective of fixed weights, losses and logits ---------------------------------------- */

typedef struct fixed {
    prun_tensor tensors[4], initial[4];
    const double *losses;
    const float *logits;
    int64_t samples, classes, calls, fail_at;
} fixed;

static inline prun_status fixed_loss(const prun_objective *objective, const int64_t *index,
                                     int64_t n, double *losses, double *sum, int64_t *errors) {
    fixed *f = (fixed *)objective->user;
    int64_t i;
    if (++f->calls == f->fail_at) return PRUN_ERR_CALLBACK;
    *sum = 0;
    for (i = 0; i < n; i++) {
        double loss = f->losses[index ? index[i] : i];
        if (losses) losses[i] = loss;
        *sum += loss;
    }
    if (errors) *errors = 0;
    return PRUN_OK;
}

static inline prun_status fixed_logits(const prun_objective *objective, const int64_t *index,
                                       int64_t n, float *logits) {
    fixed *f = (fixed *)objective->user;
    int64_t i;
    for (i = 0; i < n; i++)
        memcpy(logits + i * f->classes, f->logits + (index ? index[i] : i) * f->classes,
               (size_t)f->classes * sizeof *logits);
    return PRUN_OK;
}

static inline prun_tensor matrix(float *data, int64_t rows, int64_t columns) {
    prun_tensor t;
    memset(&t, 0, sizeof t);
    t.data = data;
    t.name = "W";
    t.rank = 2;
    t.shape[0] = rows;
    t.shape[1] = columns;
    t.flags = PRUN_TENSOR_WEIGHT;
    return t;
}

static inline prun_objective fixed_objective(fixed *f, int64_t tensors) {
    prun_objective o;
    memset(&o, 0, sizeof o);
    o.user = f;
    o.context = &test_context;
    o.tensors = f->tensors;
    o.tensor_count = tensors;
    o.samples = f->samples;
    o.classes = f->classes;
    if (f->losses) o.loss = fixed_loss;
    if (f->logits) o.logits = fixed_logits;
    o.nonnegative = 1;
    return o;
}

#endif
