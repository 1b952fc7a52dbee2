/* second_order.h - helpers for second-order tests: a quadratic loss with a given Hessian, a small
   network, and dense Hessians built from products. */
#ifndef TEST_SECOND_ORDER_H_INCLUDED
#define TEST_SECOND_ORDER_H_INCLUDED

#include "networks.h"

static inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

static inline float *random_floats(int64_t count) {
    float *v = (float *)allocate(count, sizeof(float));
    int64_t i;
    for (i = 0; i < count; i++) v[i] = (float)ref_noise(&noise_state);
    return v;
}

static inline double dot(const float *a, const double *b, int64_t count) {
    double sum = 0;
    int64_t i;
    for (i = 0; i < count; i++) sum += (double)a[i] * b[i];
    return sum;
}

/* Networks */

/* Random norms, biases and statistics, so that every term matters. */
static inline void scramble(prun_net *net) {
    int64_t i, t, count;
    const prun_tensor *tensors = prun_net_tensors(net, &count);
    for (t = 0; t < count; t++) {
        const prun_tensor *tensor = &tensors[t];
        int variance = strstr(tensor->name, "running_var") != NULL;
        if (!(tensor->flags & (PRUN_TENSOR_NORM | PRUN_TENSOR_STATISTIC | PRUN_TENSOR_BIAS)))
            continue;
        for (i = 0; i < prun_tensor_size(tensor); i++) {
            double u = ref_noise(&noise_state);
            if (tensor->flags & PRUN_TENSOR_NORM) u = 0.8 * u + (u > 0 ? 0.4 : -0.2);
            tensor->data[i] = (float)(variance ? 0.6 + 0.5 * u : 0.5 * u);
        }
    }
}

/* A small residual network with norms, for tests that are not about layers. */
static inline prun_net *small_net(int64_t classes) {
    prun_net *net;
    int32_t v, a;
    test_context.threads = 1; /* waking threads would take all the time */
    CHECK_STATUS(prun_net_create(&test_context, 1, 6, 6, &net), PRUN_OK);
    v = prun_layer_conv2d(net, PRUN_INPUT, "first", 4, 3, 1, 1);
    v = prun_layer_batch_norm(net, v, "norm", 0, 0);
    v = prun_layer_relu(net, v);
    a = prun_layer_conv2d_with(
        net, v, "second",
        &(prun_conv2d_options){
            .channels = 4, .kernel = {3}, .stride = {1}, .padding = {1, 1, 1, 1}, .omit_bias = 1});
    v = prun_layer_add(net, v, a);
    v = prun_layer_max_pool(net, v, 2, 2, 0);
    v = prun_layer_linear(net, v, "head", classes, 1);
    CHECK_STATUS(prun_net_finish(net, v, 5), PRUN_OK);
    scramble(net);
    return net;
}

/* Runs tasks backwards, as a thread pool could. */
static inline void backwards(void *user, void (*body)(void *, int64_t), void *argument,
                             int64_t count) {
    (void)user;
    while (count-- > 0) body(argument, count);
}

/* Dense symmetric matrices */

/* The dense Hessian, column by column, made symmetric. */
static inline double *dense_hessian(const prun_objective *o, const prun_hessian_options *options,
                                    int64_t k) {
    double *h = (double *)allocate(k * k, sizeof(double));
    float *e = (float *)allocate(k, sizeof(float));
    int64_t i, j;
    for (i = 0; i < k; i++) {
        e[i] = 1;
        CHECK_STATUS(prun_hessian_vector(o, e, options, h + i * k), PRUN_OK);
        e[i] = 0;
    }
    for (i = 0; i < k; i++)
        for (j = 0; j < i; j++) h[i * k + j] = h[j * k + i] = (h[i * k + j] + h[j * k + i]) / 2;
    free(e);
    return h;
}

/* A quadratic loss */

/* Sample s has loss (s + 1) / 2 w' H w. The weights are in three tensors, the last one a norm's. */
enum { QUADRATIC = 20, QUADRATIC_SAMPLES = 3 };

typedef struct quadratic {
    float w[QUADRATIC], kept[QUADRATIC];
    double h[QUADRATIC * QUADRATIC], values[QUADRATIC];
    prun_tensor tensors[3];
    prun_objective o;
    int64_t calls, fail_at; /* the callback that fails, 0: none */
    int64_t poison;         /* element of the result that becomes NaN; -1: none */
    int64_t cancel_at;
} quadratic;

static inline double scale_of(const int64_t *index, int64_t n) {
    double sum = 0;
    int64_t i;
    for (i = 0; i < n; i++) sum += (double)((index ? index[i] : i) + 1);
    return sum;
}

static inline prun_status quadratic_apply(quadratic *q, double scale, const float *x, float *out) {
    int64_t i;
    for (i = 0; i < QUADRATIC; i++)
        out[i] = (float)(scale * dot(x, q->h + i * QUADRATIC, QUADRATIC));
    if (q->poison >= 0) out[q->poison] = NAN;
    return ++q->calls == q->fail_at ? PRUN_ERR_READ : PRUN_OK;
}

static inline prun_status quadratic_gradient(const prun_objective *objective, const int64_t *index,
                                             int64_t n, float *gradient, double *sum) {
    quadratic *q = (quadratic *)objective->user;
    if (sum != NULL) *sum = 0;
    return quadratic_apply(q, scale_of(index, n), q->w, gradient);
}

static inline prun_status quadratic_product(const prun_objective *objective, const int64_t *index,
                                            int64_t n, const float *v, float *product) {
    return quadratic_apply((quadratic *)objective->user, scale_of(index, n), v, product);
}

/* H = Q diag(values) Q' with Q a product of reflections. */
static inline void make_quadratic(quadratic *q, const double *values) {
    static const char *const names[] = {"first", "second", NULL};
    static const int64_t rows[] = {3, 2, 3}, columns[] = {4, 1, 2};
    static const uint32_t flags[] = {PRUN_TENSOR_WEIGHT, PRUN_TENSOR_BIAS, PRUN_TENSOR_NORM};
    int64_t i, j, r, at = 0;
    memset(q, 0, sizeof(*q));
    q->poison = -1;
    for (i = 0; i < QUADRATIC; i++) {
        q->h[i * (QUADRATIC + 1)] = q->values[i] = values[i];
        q->w[i] = q->kept[i] = (float)ref_noise(&noise_state);
    }
    for (r = 0; r < 4; r++) {
        double u[QUADRATIC], norm = 0, hu[QUADRATIC], uhu = 0;
        for (i = 0; i < QUADRATIC; i++) u[i] = ref_noise(&noise_state), norm += u[i] * u[i];
        for (i = 0; i < QUADRATIC; i++) u[i] /= sqrt(norm);
        for (i = 0; i < QUADRATIC; i++)
            for (hu[i] = 0, j = 0; j < QUADRATIC; j++) hu[i] += q->h[i * QUADRATIC + j] * u[j];
        for (i = 0; i < QUADRATIC; i++) uhu += u[i] * hu[i];
        for (i = 0; i < QUADRATIC; i++)
            for (j = 0; j < QUADRATIC; j++)
                q->h[i * QUADRATIC + j] +=
                    4 * uhu * u[i] * u[j] - 2 * (u[i] * hu[j] + hu[i] * u[j]);
    }
    for (i = 0; i < 3; i++) {
        q->tensors[i].data = q->w + at;
        q->tensors[i].name = names[i];
        q->tensors[i].rank = 2;
        q->tensors[i].shape[0] = rows[i];
        q->tensors[i].shape[1] = columns[i];
        q->tensors[i].flags = flags[i];
        at += rows[i] * columns[i];
    }
    CHECK(at == QUADRATIC);
    q->o.user = q;
    q->o.context = &test_context;
    q->o.tensors = q->tensors;
    q->o.tensor_count = 3;
    q->o.samples = QUADRATIC_SAMPLES;
    q->o.gradient = quadratic_gradient;
    q->o.hessian_vector = quadratic_product;
}

static inline int restored(const quadratic *q) { return memcmp(q->w, q->kept, sizeof(q->w)) == 0; }

static const double spread[QUADRATIC] = {-3,  -1, -1, -0.5, 0, 0, 0, 0, 0.01, 0.1,
                                         0.5, 1,  1,  1,    2, 3, 5, 5, 8,    20};

static inline prun_hessian_options every_tensor(void) {
    prun_hessian_options options;
    memset(&options, 0, sizeof(options));
    options.scope = PRUN_HESSIAN_ALL;
    options.probes = 1;
    return options;
}

/* Estimates on a network */

typedef struct network {
    dataset d;
    prun_net *net;
    prun_objective o;
    prun_hessian_options options;
    int64_t k;
    double *h, *values, *vectors; /* dense: matrix, eigenvalues, eigenvectors by row */
} network;

/* Trained briefly, so that the spectrum looks like that of a trained network. */
static inline int make_network(network *t) {
    prun_train_options train;
    double *copy;
    memset(t, 0, sizeof(*t));
    memset(&train, 0, sizeof(train));
    train.momentum = 0.9;
    train.epochs = 6;
    train.batch = 20;
    train.learning_rate = 0.05;
    t->d = make_set(60, 1, 6, 6, 4);
    t->net = small_net(4);
    if (!CHECK_STATUS(prun_train(t->net, &t->d.images, &train, NULL), PRUN_OK) ||
        !CHECK_STATUS(prun_net_objective(t->net, &t->d.images, &t->o), PRUN_OK) ||
        !CHECK(t->o.hessian_vector != NULL) ||
        !CHECK_STATUS(prun_hessian_size(&t->o, &t->options, &t->k), PRUN_OK))
        return 0;
    CHECK(t->k == prun_net_weight_count(t->net));
    t->h = dense_hessian(&t->o, &t->options, t->k);
    t->values = (double *)allocate(t->k, sizeof(double));
    t->vectors = (double *)allocate(t->k * t->k, sizeof(double));
    copy = (double *)allocate(t->k * t->k, sizeof(double));
    memcpy(copy, t->h, (size_t)(t->k * t->k) * sizeof(double));
    ref_eigenvalues(copy, t->k, t->values, t->vectors);
    free(copy);
    return 1;
}

static inline void free_network(network *t) {
    free(t->h);
    free(t->values);
    free(t->vectors);
    prun_net_free(t->net);
    free_set(&t->d);
}

#endif
