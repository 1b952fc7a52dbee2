/* bowl.h - an objective with a quadratic loss, for tests of pruning and perturbation. */
#ifndef TEST_BOWL_H_INCLUDED
#define TEST_BOWL_H_INCLUDED

#include <stdlib.h>

#include "../prunability.h"
#include "test.h"

enum { TENSORS = 3, BOWL_WEIGHTS = 600, SAMPLES = 7 };

/* ---- a quadratic loss: level + slope . (w - centre) + curvature/2 |w - centre|^2 ------------- */

typedef struct bowl {
    float storage[BOWL_WEIGHTS], original[BOWL_WEIGHTS];
    prun_tensor tensors[TENSORS];
    int64_t count, calls, fail_at; /* fail_at: number of the call that fails; 0: none */
    double centre[BOWL_WEIGHTS], slope[BOWL_WEIGHTS], curvature[BOWL_WEIGHTS], level;
    double error_distance; /* fraction of errors: |w - original| / this, at most 1 */
    float *seen;           /* NULL, or room for the weights of every loss call */
    int64_t seen_count, seen_room;
} bowl;

static inline double bowl_value(const bowl *b) {
    double sum = b->level;
    int64_t i;
    for (i = 0; i < b->count; i++) {
        double d = (double)b->storage[i] - b->centre[i];
        sum += b->slope[i] * d + 0.5 * b->curvature[i] * d * d;
    }
    return sum;
}

/* Sample i has weight 2 (i + 1) / (n + 1): their mean is 1. */
static inline double share(int64_t sample) { return 2.0 * (double)(sample + 1) / (SAMPLES + 1); }

static inline prun_status bowl_loss(const prun_objective *objective, const int64_t *index,
                                    int64_t n, double *losses, double *sum, int64_t *errors) {
    bowl *b = (bowl *)objective->user;
    double value = bowl_value(b), total = 0, distance = 0;
    int64_t i, wrong = 0;
    if (++b->calls == b->fail_at) return PRUN_ERR_CALLBACK;
    if (b->seen && b->seen_count < b->seen_room)
        memcpy(b->seen + b->seen_count++ * b->count, b->storage, (size_t)b->count * sizeof(float));
    for (i = 0; i < b->count; i++) {
        double d = (double)b->storage[i] - (double)b->original[i];
        distance += d * d;
    }
    for (i = 0; i < n; i++) {
        int64_t sample = index ? index[i] : i;
        if (losses) losses[i] = share(sample) * value;
        total += share(sample) * value;
        wrong += b->error_distance > 0 &&
                 (double)sample + 0.5 < sqrt(distance) / b->error_distance * SAMPLES;
    }
    if (sum) *sum = total;
    if (errors) *errors = wrong;
    return PRUN_OK;
}

static inline prun_status bowl_gradient(const prun_objective *objective, const int64_t *index,
                                        int64_t n, float *gradient, double *sum) {
    bowl *b = (bowl *)objective->user;
    double shares = 0;
    int64_t i;
    if (++b->calls == b->fail_at) return PRUN_ERR_CALLBACK;
    for (i = 0; i < n; i++) shares += share(index ? index[i] : i);
    for (i = 0; i < b->count; i++)
        gradient[i] = (float)(shares * (b->slope[i] +
                                        b->curvature[i] * ((double)b->storage[i] - b->centre[i])));
    if (sum) *sum = shares * bowl_value(b);
    return PRUN_OK;
}

/* `count` weights in three tensors, the middle one a bias; the loss is at its minimum. */
static inline prun_objective bowl_make(bowl *b, int64_t count, uint64_t seed) {
    static const char *const names[TENSORS] = {"a", "bias", "c"};
    prun_objective o;
    int64_t i, at = 0;
    memset(b, 0, sizeof *b);
    b->count = count;
    b->level = 2;
    for (i = 0; i < TENSORS; i++) {
        prun_tensor *t = &b->tensors[i];
        t->data = b->storage + at;
        t->name = names[i];
        t->rank = 2;
        t->shape[0] = 1;
        t->shape[1] = i == 0 ? count / 2 : i == 1 ? 3 : count - count / 2 - 3;
        t->flags = i == 1 ? PRUN_TENSOR_BIAS : PRUN_TENSOR_WEIGHT;
        at += t->shape[1];
    }
    for (i = 0; i < count; i++) {
        double w = prun_random_normal(seed, 1, (uint64_t)i);
        b->storage[i] = b->original[i] = (float)w;
        b->centre[i] = (double)b->storage[i];
        b->curvature[i] = 0.5 + prun_random_uniform(seed, 2, (uint64_t)i);
    }
    memset(&o, 0, sizeof o);
    o.user = b;
    o.context = &test_context;
    o.tensors = b->tensors;
    o.tensor_count = TENSORS;
    o.samples = SAMPLES;
    o.classes = 2;
    o.nonnegative = 1;
    o.loss = bowl_loss;
    o.gradient = bowl_gradient;
    return o;
}

static inline int restored(const bowl *b) {
    return memcmp(b->storage, b->original, (size_t)b->count * sizeof(float)) == 0;
}

#endif
