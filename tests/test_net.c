/* test_net.c - networks: gradients, statistics, dropout, families, training, errors.

   A `twin` is a network built twice, with the library's builder and as a list of the operations of
   reference.h; what the one computes in float32 is compared with what the other computes in double.
*/
#include "../prunability.h"

#include <stdlib.h>

#include "reference.h"
#include "test.h"

static const char *const isas[] = {"portable", "avx2", "avx512"};
enum { ISAS = sizeof(isas) / sizeof(isas[0]) };

static uint64_t noise_state = 88172645463325252ULL;

static void *allocate(int64_t count, size_t size) {
    void *p = calloc((size_t)count, size);
    if (p == NULL) abort();
    return p;
}

static const prun_tensor *tensors_of(const prun_net *net) {
    int64_t count;
    return prun_net_tensors(net, &count);
}

/* Image sets */

typedef struct dataset {
    prun_images images;
    float *values;
    int32_t *labels;
} dataset;

static dataset make_set(int64_t n, int64_t c, int64_t h, int64_t w, int64_t classes) {
    dataset d;
    int64_t i, size = c * h * w;
    memset(&d, 0, sizeof(d));
    d.values = (float *)allocate(n * size, sizeof(float));
    d.labels = (int32_t *)allocate(n, sizeof(int32_t));
    for (i = 0; i < n * size; i++) d.values[i] = (float)ref_noise(&noise_state);
    for (i = 0; i < n; i++) d.labels[i] = (int32_t)ref_pick(&noise_state, classes);
    d.images.count = n;
    d.images.channels = c;
    d.images.height = h;
    d.images.width = w;
    d.images.classes = classes;
    d.images.values = d.values;
    d.images.labels = d.labels;
    return d;
}

static void free_set(dataset *d) {
    free(d->values);
    free(d->labels);
}

/* Twins: building */

enum { MAX_NODES = 48 };

typedef enum node_kind {
    NODE_INPUT,
    NODE_CONV,
    NODE_LINEAR,
    NODE_NORM,
    NODE_RELU,
    NODE_MAX_POOL,
    NODE_AVG_POOL,
    NODE_ADD,
    NODE_FLATTEN
} node_kind;

typedef struct node {
    node_kind kind;
    int a, b;      /* inputs: earlier nodes */
    int32_t value; /* the library's number */
    int tensor;    /* first of its tensors */
    int bias;
    int64_t c, h, w;
    ref_window window;
    double epsilon, momentum;
    ref_tensor y, dy;
    double *mean, *variance; /* batch norm: those it normalised with */
} node;

typedef struct twin {
    prun_net *net;
    node nodes[MAX_NODES];
    int count, tensors;
    int ready; /* finished without an error */
} twin;

static int push_node(twin *t, node_kind kind, int a, int b, int64_t c, int64_t h, int64_t w) {
    node *v = &t->nodes[t->count];
    memset(v, 0, sizeof(*v));
    v->kind = kind;
    v->a = a;
    v->b = b;
    v->tensor = t->tensors;
    v->c = c;
    v->h = h;
    v->w = w;
    return t->count++;
}

static void start_twin(twin *t, int64_t c, int64_t h, int64_t w) {
    memset(t, 0, sizeof(*t));
    test_context.threads = 1; /* tiny nets: waking threads would take all the time */
    CHECK_STATUS(prun_net_create(&test_context, c, h, w, &t->net), PRUN_OK);
    push_node(t, NODE_INPUT, 0, 0, c, h, w);
    t->nodes[0].value = PRUN_INPUT;
}

/* A window's node: output size from the geometry. */
static int push_window(twin *t, node_kind kind, int a, int64_t channels, const ref_window *g) {
    ref_tensor x = {0, 0, 0, 0, NULL};
    int v;
    x.h = t->nodes[a].h;
    x.w = t->nodes[a].w;
    v = push_node(t, kind, a, 0, channels, ref_out_height(&x, g), ref_out_width(&x, g));
    t->nodes[v].window = *g;
    return v;
}

static ref_window square_window(int64_t kernel, int64_t stride, int64_t padding) {
    ref_window g;
    g.kh = g.kw = kernel;
    g.sh = g.sw = stride;
    g.top = g.left = g.bottom = g.right = padding;
    return g;
}

/* A name that only lives as long as the call: the library has to copy it. */
typedef struct layer_name {
    char text[24];
} layer_name;

static layer_name name_of(const twin *t, const char *kind) {
    layer_name name;
    snprintf(name.text, sizeof(name.text), "%s%d", kind, t->count);
    return name;
}

static int finish_conv(twin *t, int v, int bias, int32_t value) {
    t->nodes[v].bias = bias;
    t->nodes[v].value = value;
    t->tensors += 1 + bias;
    return v;
}

static int twin_conv(twin *t, int a, int64_t channels, int64_t kernel, int64_t stride,
                     int64_t padding, int bias) {
    ref_window g = square_window(kernel, stride, padding);
    layer_name name = name_of(t, "conv");
    int v = push_window(t, NODE_CONV, a, channels, &g);
    return finish_conv(t, v, bias,
                       prun_layer_conv2d(t->net, t->nodes[a].value, name.text, channels, kernel,
                                         stride, padding, PRUN_PADDING_ZEROS, bias));
}

/* TensorFlow's SAME: enough zeros for ceil(size / stride) outputs, the odd one after. */
static int64_t same_total(int64_t size, int64_t kernel, int64_t stride) {
    int64_t total = ((size + stride - 1) / stride - 1) * stride + kernel - size;
    return total > 0 ? total : 0;
}

static int twin_same(twin *t, int a, int64_t channels, int64_t kernel, int64_t stride, int bias) {
    ref_window g = square_window(kernel, stride, 0);
    layer_name name = name_of(t, "same");
    int64_t rows = same_total(t->nodes[a].h, kernel, stride);
    int64_t columns = same_total(t->nodes[a].w, kernel, stride);
    int v;
    g.top = rows / 2;
    g.bottom = rows - g.top;
    g.left = columns / 2;
    g.right = columns - g.left;
    v = push_window(t, NODE_CONV, a, channels, &g);
    CHECK(t->nodes[v].h == (t->nodes[a].h + stride - 1) / stride);
    return finish_conv(t, v, bias,
                       prun_layer_conv2d(t->net, t->nodes[a].value, name.text, channels, kernel,
                                         stride, 0, PRUN_PADDING_SAME, bias));
}

static int twin_conv_window(twin *t, int a, int64_t channels, const ref_window *g, int bias) {
    layer_name name = name_of(t, "free");
    int v = push_window(t, NODE_CONV, a, channels, g);
    prun_conv2d conv;
    memset(&conv, 0, sizeof(conv));
    conv.out_channels = channels;
    conv.kernel[0] = g->kh;
    conv.kernel[1] = g->kw;
    conv.stride[0] = g->sh;
    conv.stride[1] = g->sw;
    conv.padding[0] = g->top;
    conv.padding[1] = g->left;
    conv.padding[2] = g->bottom;
    conv.padding[3] = g->right;
    return finish_conv(t, v, bias,
                       prun_layer_conv2d_ex(t->net, t->nodes[a].value, name.text, &conv, bias));
}

static int twin_linear(twin *t, int a, int64_t features, int bias) {
    layer_name name = name_of(t, "linear");
    int v = push_node(t, NODE_LINEAR, a, 0, features, 1, 1);
    return finish_conv(t, v, bias,
                       prun_layer_linear(t->net, t->nodes[a].value, name.text, features, bias));
}

static int twin_norm(twin *t, int a, double epsilon, double momentum) {
    const node *x = &t->nodes[a];
    layer_name name = name_of(t, "norm");
    int v = push_node(t, NODE_NORM, a, 0, x->c, x->h, x->w);
    t->nodes[v].epsilon = epsilon != 0 ? epsilon : 1e-5;
    t->nodes[v].momentum = momentum != 0 ? momentum : 0.1;
    t->nodes[v].value = prun_layer_batch_norm(t->net, x->value, name.text, epsilon, momentum);
    t->tensors += 4;
    return v;
}

static int twin_relu(twin *t, int a) {
    const node *x = &t->nodes[a];
    int v = push_node(t, NODE_RELU, a, 0, x->c, x->h, x->w);
    t->nodes[v].value = prun_layer_relu(t->net, x->value);
    return v;
}

static int twin_max(twin *t, int a, int64_t kernel, int64_t stride, int64_t padding) {
    ref_window g = square_window(kernel, stride != 0 ? stride : kernel, padding);
    int v = push_window(t, NODE_MAX_POOL, a, t->nodes[a].c, &g);
    t->nodes[v].value = prun_layer_max_pool(t->net, t->nodes[a].value, kernel, stride, padding);
    return v;
}

static int twin_avg(twin *t, int a, int64_t kernel, int64_t stride, int64_t padding) {
    ref_window g = square_window(kernel, stride != 0 ? stride : kernel, padding);
    int v = push_window(t, NODE_AVG_POOL, a, t->nodes[a].c, &g);
    t->nodes[v].value = prun_layer_avg_pool(t->net, t->nodes[a].value, kernel, stride, padding);
    return v;
}

static int twin_global(twin *t, int a) {
    ref_window g = square_window(t->nodes[a].h, 1, 0);
    int v;
    g.kw = t->nodes[a].w;
    v = push_window(t, NODE_AVG_POOL, a, t->nodes[a].c, &g);
    t->nodes[v].value = prun_layer_global_avg_pool(t->net, t->nodes[a].value);
    return v;
}

static int twin_add(twin *t, int a, int b) {
    const node *x = &t->nodes[a];
    int v = push_node(t, NODE_ADD, a, b, x->c, x->h, x->w);
    t->nodes[v].value = prun_layer_add(t->net, x->value, t->nodes[b].value);
    return v;
}

static int twin_flatten(twin *t, int a) {
    const node *x = &t->nodes[a];
    int v = push_node(t, NODE_FLATTEN, a, 0, x->c * x->h * x->w, 1, 1);
    t->nodes[v].value = prun_layer_flatten(t->net, x->value);
    return v;
}

/* Ends building. Every tensor, statistics included, gets a value that a mix-up would show. */
static int finish_twin(twin *t, int output) {
    const prun_tensor *tensors;
    int64_t count, k, i;
    if (!CHECK_STATUS(prun_net_finish(t->net, t->nodes[output].value, 1), PRUN_OK)) return 0;
    tensors = prun_net_tensors(t->net, &count);
    if (!CHECK(count == t->tensors)) return 0;
    for (k = 0; k < count; k++) {
        for (i = 0; i < prun_tensor_size(&tensors[k]); i++) {
            double u = ref_noise(&noise_state);
            if (tensors[k].flags & PRUN_NORM) tensors[k].data[i] += (float)(0.5 * u);
            if (tensors[k].flags & PRUN_STATISTIC) tensors[k].data[i] += (float)(0.4 * u);
        }
    }
    return t->ready = CHECK(output == t->count - 1);
}

/* Twins: the reference's side */

static double *twin_parameter(const twin *t, int k) {
    const prun_tensor *tensor = tensors_of(t->net) + k;
    return ref_from_floats(tensor->data, 1, 1, 1, prun_tensor_size(tensor)).v;
}

static ref_tensor twin_kernel(const twin *t, const node *v) {
    const prun_tensor *tensor = tensors_of(t->net) + v->tensor;
    int64_t inputs = t->nodes[v->a].c;
    CHECK(prun_tensor_size(tensor) == v->c * inputs * v->window.kh * v->window.kw);
    return ref_from_floats(tensor->data, v->c, inputs, v->window.kh, v->window.kw);
}

static void norm_forward(const twin *t, node *v, const ref_tensor *x, int train) {
    v->mean = twin_parameter(t, v->tensor + 2);
    v->variance = twin_parameter(t, v->tensor + 3);
    if (train) ref_moments(x, v->mean, v->variance);
    v->y = ref_batch_norm(x, twin_parameter(t, v->tensor), twin_parameter(t, v->tensor + 1),
                          v->mean, v->variance, v->epsilon);
}

static void node_forward(const twin *t, node *v, int train) {
    const ref_tensor *x = &t->nodes[v->a].y;
    const double *bias = v->bias ? twin_parameter(t, v->tensor + 1) : NULL;
    ref_tensor weight;
    switch (v->kind) {
        case NODE_INPUT: break;
        case NODE_CONV:
            weight = twin_kernel(t, v);
            v->y = ref_conv(x, &weight, bias, &v->window);
            break;
        case NODE_LINEAR: v->y = ref_linear(x, twin_parameter(t, v->tensor), bias, v->c); break;
        case NODE_NORM: norm_forward(t, v, x, train); break;
        case NODE_RELU: v->y = ref_relu(x); break;
        case NODE_MAX_POOL: v->y = ref_max_pool(x, &v->window); break;
        case NODE_AVG_POOL: v->y = ref_avg_pool(x, &v->window); break;
        case NODE_ADD: v->y = ref_add(x, &t->nodes[v->b].y); break;
        case NODE_FLATTEN:
            v->y = *x;
            v->y.c = v->c;
            v->y.h = v->y.w = 1;
            break;
    }
    CHECK(v->y.c == v->c && v->y.h == v->h && v->y.w == v->w);
    v->dy = ref_like(&v->y);
}

/* Gradient with respect to the (first) input; parameter gradients are added to grads[tensor]. */
static ref_tensor node_backward(const twin *t, const node *v, int train, double **grads) {
    const ref_tensor *x = &t->nodes[v->a].y;
    ref_tensor weight, dx = v->dy;
    if (v->bias) ref_channel_sums(&v->dy, grads[v->tensor + 1]);
    switch (v->kind) {
        case NODE_CONV:
            weight = twin_kernel(t, v);
            dx = ref_conv_input_gradient(x, &weight, &v->window, &v->dy);
            grads[v->tensor] = ref_conv_weight_gradient(x, &weight, &v->window, &v->dy).v;
            break;
        case NODE_LINEAR:
            dx = ref_linear_backward(x, twin_parameter(t, v->tensor), &v->dy, grads[v->tensor]);
            break;
        case NODE_NORM:
            dx = ref_batch_norm_backward(x, twin_parameter(t, v->tensor), v->mean, v->variance,
                                         v->epsilon, train, &v->dy, grads[v->tensor],
                                         grads[v->tensor + 1]);
            break;
        case NODE_RELU: dx = ref_relu_backward(x, &v->dy); break;
        case NODE_MAX_POOL: dx = ref_max_pool_backward(x, &v->window, &v->dy); break;
        case NODE_AVG_POOL: dx = ref_avg_pool_backward(x, &v->window, &v->dy); break;
        case NODE_INPUT:
        case NODE_ADD:
        case NODE_FLATTEN: break;
    }
    return dx;
}

/* What one pass gives; running statistics only in train mode. All in the reference's pool. */
typedef struct twin_result {
    double loss;
    const ref_tensor *logits;
    double *gradient;
    double *running; /* all statistics in tensor order */
    int64_t parameters, statistics;
} twin_result;

static void collect_gradient(const twin *t, double **grads, twin_result *r) {
    const prun_tensor *tensors = tensors_of(t->net);
    int k;
    r->parameters = 0;
    r->gradient = ref_zeros(prun_net_parameters(t->net) + 1);
    for (k = 0; k < t->tensors; k++) {
        int64_t size = prun_tensor_size(&tensors[k]);
        if (tensors[k].flags & PRUN_STATISTIC) continue;
        memcpy(r->gradient + r->parameters, grads[k], (size_t)size * sizeof(double));
        r->parameters += size;
    }
    CHECK(r->parameters == prun_net_parameters(t->net));
}

static void collect_running(const twin *t, twin_result *r) {
    double *place = r->running = ref_zeros(4096);
    int i;
    for (i = 1; i < t->count; i++) {
        const node *v = &t->nodes[i];
        double *mean, *variance;
        if (v->kind != NODE_NORM) continue;
        mean = twin_parameter(t, v->tensor + 2);
        variance = twin_parameter(t, v->tensor + 3);
        ref_running(mean, variance, v->mean, v->variance, v->c, v->y.n * v->h * v->w, v->momentum);
        memcpy(place, mean, (size_t)v->c * sizeof(double));
        memcpy(place + v->c, variance, (size_t)v->c * sizeof(double));
        place += 2 * v->c;
    }
    r->statistics = place - r->running;
}

/* Forward and backward pass of the last node's logits over the first n images. */
static twin_result run_reference(twin *t, const dataset *d, int64_t n, int train) {
    const prun_tensor *tensors = tensors_of(t->net);
    node *last = &t->nodes[t->count - 1];
    double *grads[4 * MAX_NODES];
    twin_result r;
    int i;
    for (i = 0; i < t->tensors; i++) grads[i] = ref_zeros(prun_tensor_size(&tensors[i]));
    t->nodes[0].y = ref_from_floats(d->values, n, t->nodes[0].c, t->nodes[0].h, t->nodes[0].w);
    for (i = 0; i < t->count; i++) node_forward(t, &t->nodes[i], train);
    r.logits = &last->y;
    r.loss = ref_cross_entropy(&last->y, d->labels, &last->dy);
    for (i = t->count - 1; i > 0; i--) {
        node *v = &t->nodes[i];
        ref_tensor dx = node_backward(t, v, train, grads);
        ref_accumulate(&t->nodes[v->a].dy, &dx);
        if (v->kind == NODE_ADD) ref_accumulate(&t->nodes[v->b].dy, &dx);
    }
    collect_gradient(t, grads, &r);
    collect_running(t, &r);
    return r;
}

/* Twins: comparison */

/* Smallest gap between a window's maximum and another of its values. */
static double window_gap(const ref_tensor *x, const ref_window *g, int64_t n, int64_t c, int64_t i,
                         int64_t j) {
    double best = *ref_window_maximum(x, g, n, c, i, j), gap = INFINITY;
    int64_t a, b;
    for (a = 0; a < g->kh; a++) {
        for (b = 0; b < g->kw; b++) {
            const double *v = ref_at(x, n, c, i * g->sh - g->top + a, j * g->sw - g->left + b);
            if (v != NULL && *v < best && best - *v < gap) gap = best - *v;
        }
    }
    return gap;
}

static double pool_gap(const ref_tensor *x, const node *v) {
    double gap = INFINITY;
    int64_t n, c, i, j;
    for (n = 0; n < x->n; n++) {
        for (c = 0; c < x->c; c++) {
            for (i = 0; i < v->h; i++) {
                for (j = 0; j < v->w; j++) {
                    gap = fmin(gap, window_gap(x, &v->window, n, c, i, j));
                }
            }
        }
    }
    return gap;
}

/* How far the last pass was from a kink: at one, float32 may rightly fall on the other side. */
static double kink_distance(const twin *t) {
    double distance = INFINITY;
    int i;
    int64_t k;
    for (i = 1; i < t->count; i++) {
        const ref_tensor *x = &t->nodes[t->nodes[i].a].y;
        if (t->nodes[i].kind == NODE_MAX_POOL) {
            distance = fmin(distance, pool_gap(x, &t->nodes[i]));
        } else if (t->nodes[i].kind == NODE_RELU) {
            /* exact zeros are a ReLU's, and stay exact */
            for (k = 0; k < ref_size(x); k++) {
                if (x->v[k] != 0) distance = fmin(distance, fabs(x->v[k]));
            }
        }
    }
    return distance;
}

/* Draws images until both modes keep clear of kinks. */
static void avoid_kinks(twin *t, dataset *d, int64_t n) {
    int64_t i, size = d->images.channels * d->images.height * d->images.width;
    double distance;
    int draw = 0;
    do {
        for (i = 0; i < n * size; i++) d->values[i] = (float)ref_noise(&noise_state);
        run_reference(t, d, n, 0);
        distance = kink_distance(t);
        run_reference(t, d, n, 1);
        distance = fmin(distance, kink_distance(t));
    } while (distance < 1e-6 && ++draw < 50);
    CHECK(distance >= 1e-6);
}

static int close_tensors(const float *got, const double *want, int64_t count, double limit,
                         const char *what) {
    double distance = ref_distance(got, want, count);
    if (CHECK(distance <= limit)) return 1;
    printf("  %s (%s): error %.3g\n", what, prun_isa(), distance);
    return 0;
}

static void compare_eval(twin *t, const dataset *d, int64_t n) {
    twin_result r = run_reference(t, d, n, 0);
    float *logits = (float *)allocate(r.logits->c * n, sizeof(float));
    float *gradient = (float *)allocate(r.parameters + 1, sizeof(float));
    double *losses = (double *)allocate(n, sizeof(double)), sum = NAN, again = NAN;
    int64_t i;
    CHECK_STATUS(prun_net_logits(t->net, &d->images, NULL, n, logits), PRUN_OK);
    close_tensors(logits, r.logits->v, n * r.logits->c, 2e-5, "eval logits");
    CHECK_STATUS(prun_net_loss(t->net, &d->images, NULL, n, losses, &sum, NULL), PRUN_OK);
    CHECK_CLOSE(sum, r.loss, 0, 1e-5);
    for (i = 0; i < n; i++) {
        double want = ref_sample_loss(r.logits->v + i * r.logits->c, r.logits->c, d->labels[i]);
        CHECK_CLOSE(losses[i], want, 1e-4, 1e-4);
    }
    CHECK_STATUS(prun_net_gradient(t->net, &d->images, NULL, n, gradient, &again, NULL), PRUN_OK);
    CHECK_CLOSE(again, r.loss, 0, 1e-5);
    close_tensors(gradient, r.gradient, r.parameters, 2e-4, "eval gradient");
    free(logits);
    free(gradient);
    free(losses);
}

/* All running statistics of the net in tensor order. */
static int64_t copy_statistics(const prun_net *net, float *out) {
    int64_t count, k, size, total = 0;
    const prun_tensor *tensors = prun_net_tensors(net, &count);
    for (k = 0; k < count; k++) {
        if (!(tensors[k].flags & PRUN_STATISTIC)) continue;
        size = prun_tensor_size(&tensors[k]);
        memcpy(out + total, tensors[k].data, (size_t)size * sizeof(float));
        total += size;
    }
    return total;
}

static void compare_train(twin *t, const dataset *d, int64_t n) {
    twin_result r = run_reference(t, d, n, 1);
    float *logits = (float *)allocate(r.logits->c * n, sizeof(float));
    float *gradient = (float *)allocate(r.parameters + 1, sizeof(float));
    float before[4096], after[4096];
    double sum = NAN;
    prun_pass pass;
    int64_t count = copy_statistics(t->net, before);
    memset(&pass, 0, sizeof(pass));
    pass.freeze_statistics = 1;
    CHECK_STATUS(
        prun_net_train_pass(t->net, &d->images, NULL, n, &pass, gradient, logits, &sum, NULL),
        PRUN_OK);
    copy_statistics(t->net, after);
    CHECK(memcmp(before, after, (size_t)count * sizeof(float)) == 0);
    close_tensors(logits, r.logits->v, n * r.logits->c, 5e-5, "train logits");
    CHECK_CLOSE(sum, r.loss, 0, 2e-5);
    close_tensors(gradient, r.gradient, r.parameters, 5e-4, "train gradient");
    pass.freeze_statistics = 0;
    CHECK_STATUS(prun_net_train_pass(t->net, &d->images, NULL, n, &pass, NULL, NULL, NULL, NULL),
                 PRUN_OK);
    CHECK(copy_statistics(t->net, after) == r.statistics);
    close_tensors(after, r.running, r.statistics, 2e-6, "running statistics");
    free(logits);
    free(gradient);
}

/* Directional derivatives by differences */

/* The trained floats of a net as one vector, out of it and into it. */
static void get_parameters(const prun_net *net, float *flat) {
    int64_t count, k;
    const prun_tensor *tensors = prun_net_tensors(net, &count);
    for (k = 0; k < count; k++) {
        size_t size = (size_t)prun_tensor_size(&tensors[k]);
        if (tensors[k].flags & PRUN_STATISTIC) continue;
        memcpy(flat, tensors[k].data, size * sizeof(float));
        flat += size;
    }
}

static void set_parameters(prun_net *net, const float *flat, const double *direction, double step) {
    int64_t count, k, i;
    const prun_tensor *tensors = prun_net_tensors(net, &count);
    for (k = 0; k < count; k++) {
        int64_t size = prun_tensor_size(&tensors[k]);
        if (tensors[k].flags & PRUN_STATISTIC) continue;
        for (i = 0; i < size; i++) {
            tensors[k].data[i] = (float)((double)flat[i] + step * direction[i]);
        }
        flat += size;
        direction += size;
    }
}

static double mode_loss(prun_net *net, const dataset *d, const prun_pass *pass, float *gradient) {
    double sum = NAN;
    if (pass != NULL) {
        CHECK_STATUS(prun_net_train_pass(net, &d->images, NULL, d->images.count, pass, gradient,
                                         NULL, &sum, NULL),
                     PRUN_OK);
    } else if (gradient != NULL) {
        CHECK_STATUS(
            prun_net_gradient(net, &d->images, NULL, d->images.count, gradient, &sum, NULL),
            PRUN_OK);
    } else {
        CHECK_STATUS(prun_net_loss(net, &d->images, NULL, d->images.count, NULL, &sum, NULL),
                     PRUN_OK);
    }
    return sum;
}

/* Unit vector: half the gradient's direction (so that the slope stands out of float32's noise),
   half random (so that a wrong direction shows). */
static void draw_direction(const float *gradient, double *direction, int64_t count) {
    double norm = 0;
    int64_t i;
    for (i = 0; i < count; i++) norm += (double)gradient[i] * (double)gradient[i];
    norm = sqrt(norm);
    for (i = 0; i < count; i++) {
        direction[i] =
            (double)gradient[i] / norm + ref_noise(&noise_state) * sqrt(3.0 / (double)count);
    }
    for (i = 0, norm = 0; i < count; i++) norm += direction[i] * direction[i];
    for (i = 0; i < count; i++) direction[i] /= sqrt(norm);
}

/* Loss at `step` along the direction, the parameters restored afterwards. */
static double loss_along(prun_net *net, const dataset *d, const prun_pass *pass, const float *flat,
                         const double *direction, double step) {
    double loss;
    set_parameters(net, flat, direction, step);
    loss = mode_loss(net, d, pass, NULL);
    set_parameters(net, flat, direction, 0);
    return loss;
}

/* Slope along a direction by Richardson's extrapolation of two central differences. NAN where they
   disagree, or where the slopes to both sides do: a kink is near. */
static double measured_slope(prun_net *net, const dataset *d, const prun_pass *pass,
                             const float *flat, const double *direction, double step) {
    static const double places[] = {-1, -0.5, 0, 0.5, 1};
    double loss[5], coarse, fine, jump;
    int i;
    for (i = 0; i < 5; i++) loss[i] = loss_along(net, d, pass, flat, direction, places[i] * step);
    coarse = (loss[4] - loss[0]) / (2 * step);
    fine = (loss[3] - loss[1]) / step;
    jump = (loss[3] - 2 * loss[2] + loss[1]) / (step / 2);
    if (fabs(coarse - fine) > 2e-3 * fabs(fine) || fabs(jump) > 1e-2 * fabs(fine)) return NAN;
    return (4 * fine - coarse) / 3;
}

/* Gradient against slopes, on three draws of images and directions. pass NULL: eval mode. */
static void check_slopes(prun_net *net, dataset *d, const prun_pass *pass) {
    int64_t count = prun_net_parameters(net), i;
    int64_t pixels = d->images.count * d->images.channels * d->images.height * d->images.width;
    float *flat = (float *)allocate(count, sizeof(float));
    float *gradient = (float *)allocate(count, sizeof(float));
    double *direction = (double *)allocate(count, sizeof(double));
    int draw, measured = 0;
    get_parameters(net, flat);
    for (draw = 0; draw < 60 && measured < 3; draw++) {
        double slope = 0, difference, step;
        for (i = 0; i < pixels; i++) d->values[i] = (float)ref_noise(&noise_state);
        mode_loss(net, d, pass, gradient);
        draw_direction(gradient, direction, count);
        for (i = 0; i < count; i++) slope += (double)gradient[i] * direction[i];
        step = 0.008 / (fabs(slope) + 2); /* few kinks on the way, yet above float32's noise */
        difference = measured_slope(net, d, pass, flat, direction, step);
        if (isnan(difference)) continue;
        CHECK_CLOSE(difference, slope, 1e-4, 1e-2);
        measured++;
    }
    CHECK(measured == 3);
    free(flat);
    free(gradient);
    free(direction);
}

/* Networks for both kinds of check: every layer kind in every setting */

static void net_conv_geometries(twin *t) {
    static const ref_window tall = {4, 2, 2, 1, 3, 0, 1, 2}, wide = {1, 5, 1, 3, 0, 1, 2, 4};
    int v;
    start_twin(t, 2, 9, 8);
    v = twin_conv(t, 0, 3, 3, 1, 1, 1);
    v = twin_conv_window(t, v, 5, &tall, 0);
    v = twin_conv_window(t, v, 4, &wide, 1);
    v = twin_conv(t, v, 4, 2, 2, 0, 0);
    CHECK(t->nodes[v].h != t->nodes[v].w);
    finish_twin(t, twin_linear(t, v, 6, 1));
}

static void net_global_mean(twin *t) {
    int v;
    start_twin(t, 2, 5, 8);
    v = twin_conv(t, 0, 9, 3, 1, 1, 1);
    finish_twin(t, twin_linear(t, twin_relu(t, twin_global(t, v)), 6, 1));
}

static void net_same_padding(twin *t) {
    int v;
    start_twin(t, 3, 13, 10);
    v = twin_same(t, 0, 4, 3, 2, 1);
    v = twin_same(t, v, 5, 4, 1, 0);
    v = twin_same(t, v, 4, 2, 3, 1);
    v = twin_same(t, v, 7, 5, 2, 1);
    v = twin_flatten(t, v);
    finish_twin(t, twin_linear(t, v, 3, 0));
}

static void net_norm_places(twin *t) {
    int v;
    start_twin(t, 3, 5, 4);
    v = twin_norm(t, 0, 0.1, 0.3);
    v = twin_conv(t, v, 4, 3, 1, 1, 1);
    v = twin_norm(t, v, 0, 0);
    v = twin_norm(t, v, 1e-3, 0.01);
    v = twin_relu(t, v);
    v = twin_linear(t, v, 8, 0);
    v = twin_norm(t, v, 0.5, 1);
    v = twin_relu(t, v);
    finish_twin(t, twin_linear(t, v, 4, 1));
}

static void net_max_pools(twin *t) {
    int v;
    start_twin(t, 2, 13, 11);
    v = twin_conv(t, 0, 5, 3, 1, 1, 1);
    v = twin_max(t, v, 3, 2, 1);
    v = twin_max(t, v, 3, 1, 0);
    v = twin_max(t, v, 2, 1, 1);
    v = twin_conv(t, v, 4, 1, 1, 0, 1);
    v = twin_max(t, v, 2, 0, 0);
    finish_twin(t, twin_linear(t, twin_flatten(t, v), 5, 1));
}

static void net_avg_pools(twin *t) {
    int v;
    start_twin(t, 2, 13, 11);
    v = twin_conv(t, 0, 5, 3, 1, 1, 1);
    v = twin_avg(t, v, 3, 2, 1);
    v = twin_avg(t, v, 4, 1, 2);
    v = twin_avg(t, v, 2, 3, 0);
    v = twin_conv(t, v, 4, 1, 1, 0, 1);
    v = twin_avg(t, v, 2, 0, 0);
    finish_twin(t, twin_linear(t, v, 5, 1));
}

/* Values with several readers, one layer that adds a value to itself. */
static void net_residual(twin *t) {
    int v, a, b;
    start_twin(t, 3, 6, 6);
    a = twin_conv(t, 0, 4, 3, 1, 1, 0);
    v = twin_relu(t, twin_norm(t, a, 0, 0));
    b = twin_conv(t, v, 4, 3, 1, 1, 0);
    b = twin_add(t, twin_conv(t, twin_relu(t, twin_norm(t, b, 0, 0)), 4, 3, 1, 1, 0), a);
    v = twin_relu(t, twin_norm(t, b, 0, 0));
    a = twin_conv(t, v, 6, 1, 2, 0, 0);
    b = twin_conv(t, twin_relu(t, twin_norm(t, twin_conv(t, v, 6, 3, 2, 1, 0), 0, 0)), 6, 3, 1, 1,
                  0);
    v = twin_add(t, b, a);
    v = twin_add(t, v, v);
    v = twin_add(t, v, twin_relu(t, v));
    finish_twin(t, twin_linear(t, twin_avg(t, v, 3, 0, 0), 5, 1));
}

/* Norm, ReLU and max pool in a row, which may become one pass; the windows leave a rest. */
static void net_fused_pools(twin *t) {
    int v;
    start_twin(t, 2, 23, 21);
    v = twin_relu(t, twin_norm(t, twin_conv(t, 0, 5, 3, 1, 1, 1), 0, 0));
    v = twin_max(t, v, 2, 0, 0);
    v = twin_max(t, twin_norm(t, twin_conv(t, v, 6, 3, 1, 1, 0), 0, 0), 2, 0, 0);
    v = twin_relu(t, twin_norm(t, twin_conv(t, v, 4, 3, 1, 1, 1), 0, 0));
    v = twin_max(t, v, 3, 2, 1);
    v = twin_relu(t, twin_norm(t, twin_conv(t, v, 7, 1, 1, 0, 1), 0, 0));
    v = twin_max(t, twin_max(t, v, 2, 0, 0), 1, 0, 0);
    finish_twin(t, twin_linear(t, twin_flatten(t, v), 5, 1));
}

/* Values in the middle of such a row, or before a norm, that somebody else reads too. */
static void net_shared_values(twin *t) {
    int a, b, n, r, v;
    start_twin(t, 3, 8, 7);
    a = twin_conv(t, 0, 4, 3, 1, 1, 1);
    n = twin_norm(t, a, 0, 0);
    r = twin_relu(t, n);
    v = twin_add(t, twin_max(t, r, 2, 0, 0), twin_max(t, n, 2, 0, 0));
    v = twin_add(t, v, twin_avg(t, r, 2, 0, 0));
    v = twin_add(t, twin_avg(t, a, 2, 0, 0), v);
    b = twin_norm(t, twin_conv(t, r, 4, 2, 2, 0, 0), 0, 0);
    v = twin_add(t, v, twin_add(t, b, twin_relu(t, twin_norm(t, b, 0, 0))));
    finish_twin(t, twin_linear(t, v, 4, 1));
}

/* Layers in unusual places: on the input, on each other, after flatten. */
static void net_odd_orders(twin *t) {
    int v;
    start_twin(t, 2, 9, 9);
    v = twin_max(t, twin_add(t, twin_relu(t, 0), 0), 2, 1, 1);
    v = twin_avg(t, twin_relu(t, twin_relu(t, v)), 3, 2, 1);
    v = twin_max(t, twin_relu(t, twin_conv(t, v, 5, 2, 1, 1, 1)), 3, 3, 0);
    v = twin_norm(t, twin_relu(t, v), 0, 0);
    v = twin_relu(t, twin_flatten(t, twin_flatten(t, v)));
    v = twin_flatten(t, twin_linear(t, v, 20, 1));
    v = twin_add(t, v, twin_linear(t, v, 20, 1));
    finish_twin(t, twin_relu(t, twin_norm(t, v, 0, 0)));
}

/* Layers that nothing reads still own parameters; their gradient is zero. */
static void net_unused_values(twin *t) {
    int v;
    start_twin(t, 2, 6, 6);
    v = twin_relu(t, twin_norm(t, twin_conv(t, 0, 4, 3, 1, 1, 1), 0, 0));
    twin_max(t, v, 2, 0, 0);
    twin_conv(t, v, 3, 3, 1, 1, 1);
    twin_relu(t, twin_norm(t, v, 0, 0));
    finish_twin(t, twin_linear(t, v, 5, 1));
}

static void net_perceptron(twin *t) {
    int v;
    start_twin(t, 1, 3, 5);
    v = twin_relu(t, twin_linear(t, twin_flatten(t, 0), 17, 1));
    v = twin_relu(t, twin_linear(t, v, 33, 0));
    v = twin_flatten(t, v);
    finish_twin(t, twin_linear(t, v, 10, 1));
}

/* As many kinds as possible in one net; logits by a convolution and a mean. */
static void net_composed(twin *t) {
    int v, w;
    start_twin(t, 3, 16, 16);
    v = twin_relu(t, twin_norm(t, twin_conv(t, 0, 6, 3, 1, 1, 1), 0, 0));
    v = twin_max(t, v, 2, 0, 0);
    w = twin_relu(t, twin_norm(t, twin_conv(t, v, 6, 3, 1, 1, 1), 1e-3, 0.01));
    v = twin_avg(t, twin_add(t, v, w), 2, 0, 0);
    v = twin_conv(t, v, 7, 3, 1, 0, 1);
    finish_twin(t, twin_global(t, v));
}

/* The same, ending in a linear layer: conv-bn-relu-maxpool-conv-bn-relu-add-avgpool-linear. */
static void net_small_resnet(twin *t) {
    int v, w;
    start_twin(t, 3, 12, 12);
    v = twin_relu(t, twin_norm(t, twin_conv(t, 0, 8, 3, 1, 1, 0), 0, 0));
    v = twin_max(t, v, 2, 0, 0);
    w = twin_relu(t, twin_norm(t, twin_conv(t, v, 8, 3, 1, 1, 0), 0, 0));
    v = twin_avg(t, twin_add(t, w, v), 3, 0, 0);
    finish_twin(t, twin_linear(t, twin_flatten(t, v), 10, 1));
}

typedef void (*net_builder)(twin *t);
static const net_builder builders[] = {
    net_conv_geometries, net_same_padding, net_norm_places, net_max_pools,     net_avg_pools,
    net_global_mean,     net_residual,     net_fused_pools, net_shared_values, net_odd_orders,
    net_unused_values,   net_perceptron,   net_composed,    net_small_resnet};
enum { BUILDERS = 14 };

static dataset set_for(const twin *t, int64_t n) {
    const node *x = &t->nodes[0];
    return make_set(n, x->c, x->h, x->w, t->nodes[t->count - 1].c);
}

static void compare_twin(net_builder build, int64_t n) {
    twin t;
    dataset d;
    build(&t);
    d = set_for(&t, n);
    if (t.ready) {
        avoid_kinks(&t, &d, n);
        compare_eval(&t, &d, n);
        compare_train(&t, &d, n);
    }
    prun_net_free(t.net);
    free_set(&d);
    ref_free_all();
}

static void nets_match_reference(void) {
    static const int64_t counts[] = {5, 16, 19};
    int i, b, k;
    for (i = 0; i < ISAS; i++) {
        if (prun_set_isa(isas[i]) != PRUN_OK) continue;
        for (b = 0; b < BUILDERS; b++) {
            for (k = 0; k < 3; k++) {
                int before = test_failures;
                compare_twin(builders[b], counts[k]);
                if (test_failures > before) printf("  net %d, %d images\n", b, (int)counts[k]);
            }
        }
    }
    prun_set_isa(NULL);
}

/* Statistics, losses and gradients see the images and nothing of the empty lanes. */
static void every_image_count_matches_reference(void) {
    int64_t n;
    for (n = 1; n <= 37; n++) compare_twin(n > 1 ? net_norm_places : net_composed, n);
    for (n = 1; n <= 37; n += 3) compare_twin(net_small_resnet, n);
}

static void gradients_match_differences(void) {
    int b;
    for (b = 0; b < BUILDERS; b++) {
        twin t;
        dataset d;
        prun_pass pass;
        int before = test_failures;
        memset(&pass, 0, sizeof(pass));
        pass.freeze_statistics = 1;
        builders[b](&t);
        d = set_for(&t, 7);
        if (t.ready) {
            check_slopes(t.net, &d, NULL);
            check_slopes(t.net, &d, &pass);
        }
        if (test_failures > before) printf("  net %d\n", b);
        prun_net_free(t.net);
        free_set(&d);
    }
}

/* Equal elements in a window, in exact small integers: the first one gets the gradient. */
static void max_pool_ties_go_to_the_first(void) {
    twin t;
    dataset d;
    int64_t i, k;
    const prun_tensor *tensors;
    start_twin(&t, 2, 7, 7);
    k = twin_conv(&t, 0, 3, 3, 1, 1, 1);
    k = twin_max(&t, (int)k, 3, 2, 1);
    if (!finish_twin(&t, twin_linear(&t, (int)k, 4, 1))) return;
    d = set_for(&t, 20);
    for (i = 0; i < 20 * 2 * 49; i++) d.values[i] = (float)(ref_pick(&noise_state, 3) - 1);
    tensors = tensors_of(t.net);
    for (k = 0; k < 2; k++) {
        for (i = 0; i < prun_tensor_size(&tensors[k]); i++) {
            tensors[k].data[i] = (float)(ref_pick(&noise_state, 3) - 1);
        }
    }
    for (i = 0; i < 3; i++) tensors[1].data[i] = -100; /* all below the padding's zeros */
    compare_eval(&t, &d, 20);
    compare_train(&t, &d, 20);
    prun_net_free(t.net);
    free_set(&d);
    ref_free_all();
}

/* With a variance near epsilon its default value and the place it is added at show. */
static void batch_norm_constants(void) {
    twin t;
    dataset d;
    int64_t i;
    start_twin(&t, 3, 4, 4);
    if (!finish_twin(&t, twin_linear(&t, twin_norm(&t, 0, 0, 0), 5, 1))) return;
    d = set_for(&t, 18);
    for (i = 0; i < 18 * 48; i++) d.values[i] *= 0.004f;
    compare_train(&t, &d, 18);
    for (i = 0; i < 3; i++) tensors_of(t.net)[3].data[i] = 1e-5f;
    compare_eval(&t, &d, 18);
    prun_net_free(t.net);
    free_set(&d);
    ref_free_all();
}

/* Far from zero, E[x^2] - E[x]^2 in float32 would lose the variance. */
static void batch_norm_large_mean(void) {
    twin t;
    dataset d;
    int64_t i;
    start_twin(&t, 2, 5, 5);
    if (!finish_twin(&t, twin_linear(&t, twin_norm(&t, 0, 0, 0), 5, 1))) return;
    d = set_for(&t, 18);
    for (i = 0; i < 18 * 50; i++) d.values[i] += 100;
    compare_train(&t, &d, 18);
    prun_net_free(t.net);
    free_set(&d);
    ref_free_all();
}

static void batch_norm_needs_two_values(void) {
    twin t;
    dataset d;
    prun_pass pass;
    float before[16], after[16];
    int64_t count;
    memset(&pass, 0, sizeof(pass));
    start_twin(&t, 2, 3, 3);
    if (!finish_twin(&t, twin_linear(&t, twin_norm(&t, twin_linear(&t, 0, 4, 1), 0, 0), 3, 1))) {
        return;
    }
    d = set_for(&t, 2);
    count = copy_statistics(t.net, before);
    CHECK(prun_net_train_pass(t.net, &d.images, NULL, 1, &pass, NULL, NULL, NULL, NULL) != PRUN_OK);
    CHECK(prun_message(&test_context)[0] != '\0');
    copy_statistics(t.net, after);
    CHECK(memcmp(before, after, (size_t)count * sizeof(float)) == 0);
    CHECK_STATUS(prun_net_loss(t.net, &d.images, NULL, 1, NULL, NULL, NULL), PRUN_OK);
    prun_net_free(t.net);
    free_set(&d);
}

/* The oracle itself: one entry of its gradient, by a difference in double. */
static void check_reference_entry(twin *t, const dataset *d, int train, const twin_result *r) {
    int64_t count, k, i, offset = 0;
    const prun_tensor *tensors = prun_net_tensors(t->net, &count);
    float keep, *place;
    double above, below, apart;
    do k = ref_pick(&noise_state, count);
    while (tensors[k].flags & PRUN_STATISTIC);
    for (i = 0; i < k; i++) {
        offset += tensors[i].flags & PRUN_STATISTIC ? 0 : prun_tensor_size(&tensors[i]);
    }
    i = ref_pick(&noise_state, prun_tensor_size(&tensors[k]));
    place = tensors[k].data + i;
    keep = *place;
    *place = keep + 2e-6f;
    apart = (double)*place;
    above = run_reference(t, d, 4, train).loss;
    *place = keep - 2e-6f;
    apart -= (double)*place;
    below = run_reference(t, d, 4, train).loss;
    *place = keep;
    CHECK_CLOSE((above - below) / apart, r->gradient[offset + i], 1e-6, 1e-4);
}

static void reference_gradients_are_exact(void) {
    int b, draw;
    for (b = 0; b < 2 * BUILDERS; b++) {
        twin t;
        dataset d;
        twin_result r;
        builders[b / 2](&t);
        d = set_for(&t, 4);
        if (t.ready) r = run_reference(&t, &d, 4, b % 2);
        for (draw = 0; draw < 5 && t.ready; draw++) check_reference_entry(&t, &d, b % 2, &r);
        prun_net_free(t.net);
        free_set(&d);
        ref_free_all();
    }
}

/* Dropout */

enum { PIXELS = 256 };

/* Logits are the image itself after dropout: 16 x 16 pixels, an identity as linear layer. */
static prun_net *dropout_net(prun_context *context, double probability) {
    prun_net *net = NULL;
    int32_t v;
    int64_t i;
    CHECK_STATUS_IN(context, prun_net_create(context, 1, 16, 16, &net), PRUN_OK);
    v = prun_layer_dropout(net, PRUN_INPUT, probability);
    v = prun_layer_linear(net, v, "identity", PIXELS, 0);
    CHECK_STATUS_IN(context, prun_net_finish(net, v, 1), PRUN_OK);
    for (i = 0; i < PIXELS * PIXELS; i++) {
        tensors_of(net)->data[i] = i / PIXELS == i % PIXELS ? 1.0f : 0.0f;
    }
    return net;
}

static dataset ones_set(int64_t n) {
    dataset d = make_set(n, 1, 16, 16, PIXELS);
    int64_t i;
    for (i = 0; i < n * PIXELS; i++) d.values[i] = 1;
    return d;
}

static void dropout_logits(prun_net *net, const dataset *d, uint64_t seed, uint64_t stream,
                           float *gradient, float *logits) {
    prun_pass pass;
    memset(&pass, 0, sizeof(pass));
    pass.seed = seed;
    pass.stream = stream;
    CHECK_STATUS(prun_net_train_pass(net, &d->images, NULL, d->images.count, &pass, gradient,
                                     logits, NULL, NULL),
                 PRUN_OK);
}

/* Elements that differ in being dropped. */
static int64_t mask_difference(const float *a, const float *b, int64_t count) {
    int64_t i, different = 0;
    for (i = 0; i < count; i++) different += (a[i] == 0) != (b[i] == 0);
    return different;
}

static void dropout_keeps_its_share(void) {
    static const double probabilities[] = {0.1, 0.2, 0.5, 0.9};
    enum { N = 40 };
    float *logits = (float *)allocate(N * PIXELS, sizeof(float));
    dataset d = ones_set(N);
    int i, k;
    for (i = 0; i < 4; i++) {
        double p = probabilities[i], kept = 0, count = N * PIXELS;
        prun_net *net = dropout_net(&test_context, p);
        dropout_logits(net, &d, 3, 4, NULL, logits);
        for (k = 0; k < N * PIXELS; k++) {
            if (logits[k] == 0) continue;
            /* a probability may be rounded to 16 bits, unbiased all the same */
            CHECK_CLOSE(logits[k], 1 / (1 - p), 0, 1.0 / 65536 / (1 - p));
            kept++;
        }
        CHECK_CLOSE(kept / count, 1 - p, 5 * sqrt(p * (1 - p) / count), 0);
        /* two images share a draw no more often than independent ones */
        for (k = 1; k < N; k++) {
            double apart = (double)mask_difference(logits, logits + k * PIXELS, PIXELS) / PIXELS;
            CHECK_CLOSE(apart, 2 * p * (1 - p), 5 * sqrt(0.25 / PIXELS), 0);
        }
        prun_net_free(net);
    }
    free(logits);
    free_set(&d);
}

static void dropout_masks_follow_seed_and_stream(void) {
    enum { N = 20, SIZE = N * PIXELS };
    float *first = (float *)allocate(SIZE, sizeof(float));
    float *other = (float *)allocate(SIZE, sizeof(float));
    prun_net *net = dropout_net(&test_context, 0.5);
    dataset d = ones_set(N);
    dropout_logits(net, &d, 1, 2, NULL, first);
    dropout_logits(net, &d, 1, 2, NULL, other);
    CHECK(mask_difference(first, other, SIZE) == 0);
    dropout_logits(net, &d, 2, 2, NULL, other);
    CHECK_CLOSE(mask_difference(first, other, SIZE), SIZE / 2, 5 * sqrt(SIZE / 4.0), 0);
    dropout_logits(net, &d, 1, 3, NULL, other);
    CHECK_CLOSE(mask_difference(first, other, SIZE), SIZE / 2, 5 * sqrt(SIZE / 4.0), 0);
    prun_net_free(net);
    free(first);
    free(other);
    free_set(&d);
}

static void dropout_is_identity_in_eval(void) {
    enum { N = 17 };
    float *logits = (float *)allocate(N * PIXELS, sizeof(float));
    prun_net *net = dropout_net(&test_context, 0.5);
    dataset d = make_set(N, 1, 16, 16, PIXELS);
    CHECK_STATUS(prun_net_logits(net, &d.images, NULL, N, logits), PRUN_OK);
    CHECK(memcmp(logits, d.values, N * PIXELS * sizeof(float)) == 0);
    prun_net_free(net);
    net = dropout_net(&test_context, 0);
    dropout_logits(net, &d, 1, 2, NULL, logits);
    CHECK(memcmp(logits, d.values, N * PIXELS * sizeof(float)) == 0);
    prun_net_free(net);
    free(logits);
    free_set(&d);
}

/* Two layers of one net draw their own masks: kept by both is the product. */
static void dropout_layers_are_independent(void) {
    enum { N = 40 };
    float *logits = (float *)allocate(N * PIXELS, sizeof(float));
    prun_net *net = NULL;
    dataset d = ones_set(N);
    double kept = 0, count = N * PIXELS;
    int32_t v;
    int64_t i;
    CHECK_STATUS(prun_net_create(&test_context, 1, 16, 16, &net), PRUN_OK);
    v = prun_layer_dropout(net, prun_layer_dropout(net, PRUN_INPUT, 0.5), 0.25);
    v = prun_layer_linear(net, v, "identity", PIXELS, 0);
    CHECK_STATUS(prun_net_finish(net, v, 1), PRUN_OK);
    for (i = 0; i < PIXELS * PIXELS; i++) {
        tensors_of(net)->data[i] = i / PIXELS == i % PIXELS ? 1.0f : 0.0f;
    }
    dropout_logits(net, &d, 7, 8, NULL, logits);
    for (i = 0; i < N * PIXELS; i++) kept += logits[i] != 0;
    CHECK_CLOSE(kept / count, 0.375, 5 * sqrt(0.375 * 0.625 / count), 0);
    prun_net_free(net);
    free(logits);
    free_set(&d);
}

/* Largest difference of the logits of two training passes with different draws. */
static double draw_difference(double probability) {
    enum { N = 5, SIZE = 7 * N };
    prun_arch arch;
    prun_net *net = NULL;
    dataset d = make_set(N, 3, 32, 32, 7);
    float first[SIZE], second[SIZE];
    double largest = 0;
    int i;
    memset(&arch, 0, sizeof(arch));
    arch.width = 6;
    arch.classes = 7;
    arch.dropout = probability;
    CHECK_STATUS(prun_net_nin(&test_context, &arch, &net), PRUN_OK);
    dropout_logits(net, &d, 1, 1, NULL, first);
    dropout_logits(net, &d, 1, 2, NULL, second);
    for (i = 0; i < SIZE; i++) largest = fmax(largest, fabs((double)first[i] - (double)second[i]));
    prun_net_free(net);
    free_set(&d);
    return largest;
}

static void nin_has_its_dropout(void) {
    CHECK(draw_difference(0) == 0);
    CHECK(draw_difference(0.2) > 0.01);
}

/* The backward pass drops what the forward pass dropped: dW[o, f] = sum of dlogit[o] dropped x[f],
   where the identity net shows the dropped x. */
static void dropout_gradient_uses_the_same_mask(void) {
    enum { N = 21 };
    float *logits = (float *)allocate(N * PIXELS, sizeof(float));
    float *gradient = (float *)allocate(PIXELS * PIXELS, sizeof(float));
    prun_net *net = dropout_net(&test_context, 0.3);
    dataset d = make_set(N, 1, 16, 16, PIXELS);
    ref_tensor x, weight = ref_new(1, 1, PIXELS, PIXELS), dlogits;
    dropout_logits(net, &d, 5, 6, gradient, logits);
    x = ref_from_floats(logits, N, PIXELS, 1, 1);
    dlogits = ref_like(&x);
    ref_cross_entropy(&x, d.labels, &dlogits);
    ref_linear_backward(&x, ref_zeros(PIXELS * PIXELS), &dlogits, weight.v);
    close_tensors(gradient, weight.v, PIXELS * PIXELS, 1e-5, "gradient behind dropout");
    prun_net_free(net);
    free(logits);
    free(gradient);
    free_set(&d);
    ref_free_all();
}

/* Through layers before and after it, also twice in one net: a fixed mask is a fixed function. */
static void dropout_gradient_matches_differences(void) {
    prun_net *net = NULL;
    dataset d = make_set(25, 3, 8, 8, 5);
    prun_pass pass;
    int32_t v;
    test_context.threads = 1;
    memset(&pass, 0, sizeof(pass));
    pass.freeze_statistics = 1;
    pass.seed = 9;
    pass.stream = 1;
    CHECK_STATUS(prun_net_create(&test_context, 3, 8, 8, &net), PRUN_OK);
    v = prun_layer_conv2d(net, PRUN_INPUT, "a", 6, 3, 1, 1, PRUN_PADDING_ZEROS, 1);
    v = prun_layer_relu(net, prun_layer_batch_norm(net, v, "b", 0, 0));
    v = prun_layer_dropout(net, v, 0.4);
    v = prun_layer_conv2d(net, v, "c", 6, 3, 2, 1, PRUN_PADDING_ZEROS, 1);
    v = prun_layer_dropout(net, v, 0.2);
    v = prun_layer_linear(net, v, "d", 5, 1);
    CHECK_STATUS(prun_net_finish(net, v, 3), PRUN_OK);
    check_slopes(net, &d, NULL);
    check_slopes(net, &d, &pass);
    prun_net_free(net);
    free_set(&d);
}

/* Same bits for every thread count */

static prun_arch small_arch(prun_family family) {
    prun_arch arch;
    memset(&arch, 0, sizeof(arch));
    arch.family = family;
    arch.width = family == PRUN_NIN ? 6 : family == PRUN_CNN ? 3 : 2;
    arch.dropout = family == PRUN_NIN ? 0.3 : 0;
    arch.classes = 7;
    arch.seed = 5;
    return arch;
}

/* Everything a study keeps of a run: tensors, losses, gradient, history; as bytes. */
typedef struct run_record {
    unsigned char *bytes;
    size_t size;
} run_record;

static void record(run_record *r, const void *from, size_t size) {
    unsigned char *bytes = (unsigned char *)realloc(r->bytes, r->size + size);
    if (bytes == NULL) abort();
    memcpy(bytes + r->size, from, size);
    r->bytes = bytes;
    r->size += size;
}

static void record_tensors(run_record *r, const prun_net *net) {
    int64_t count, k;
    const prun_tensor *tensors = prun_net_tensors(net, &count);
    for (k = 0; k < count; k++) {
        record(r, tensors[k].data, (size_t)prun_tensor_size(&tensors[k]) * sizeof(float));
    }
}

static void record_measurements(run_record *r, prun_net *net, const dataset *d, prun_context *c) {
    int64_t n = d->images.count, count = prun_net_parameters(net), errors = -1;
    float *gradient = (float *)allocate(count, sizeof(float));
    double *losses = (double *)allocate(n, sizeof(double)), sums[2] = {0, 0};
    CHECK_STATUS_IN(c, prun_net_loss(net, &d->images, NULL, n, losses, &sums[0], &errors), PRUN_OK);
    CHECK_STATUS_IN(c, prun_net_gradient(net, &d->images, NULL, n, gradient, &sums[1], NULL),
                    PRUN_OK);
    record(r, losses, (size_t)n * sizeof(double));
    record(r, sums, sizeof(sums));
    record(r, &errors, sizeof(errors));
    record(r, gradient, (size_t)count * sizeof(float));
    free(gradient);
    free(losses);
}

static run_record train_recorded(prun_context *context, prun_family family, const dataset *d) {
    prun_arch arch = small_arch(family);
    prun_train_options options;
    prun_epoch history;
    run_record r = {NULL, 0};
    prun_net *net = NULL;
    memset(&options, 0, sizeof(options));
    options.epochs = 1;
    options.batch = 37; /* three blocks, the last one partly empty, and a short last batch */
    options.learning_rate = 0.05;
    options.weight_decay = 1e-3;
    options.augment.crop_padding = 4;
    options.augment.flip = 1;
    options.augment.shift = 2;
    options.seed = 11;
    if (!CHECK_STATUS_IN(context, prun_net_family(context, &arch, &net), PRUN_OK)) return r;
    CHECK_STATUS_IN(context, prun_train(net, &d->images, &options, &history), PRUN_OK);
    record(&r, &history.loss, sizeof(double));
    record(&r, &history.error, sizeof(double));
    record_tensors(&r, net);
    record_measurements(&r, net, d, context);
    prun_net_free(net);
    return r;
}

static void reversed(void (*body)(void *argument, int64_t i), void *argument, int64_t count,
                     void *user) {
    int64_t i;
    *(int *)user += 1;
    for (i = count - 1; i >= 0; i--) body(argument, i);
}

static void check_same_run(prun_context *context, prun_family family, const dataset *d,
                           const run_record *want) {
    run_record got = train_recorded(context, family, d);
    if (CHECK(got.size == want->size)) CHECK(memcmp(got.bytes, want->bytes, want->size) == 0);
    free(got.bytes);
}

static void check_determinism(prun_family family) {
    dataset d = make_set(41, 3, 32, 32, 7);
    prun_context context;
    run_record want;
    int calls = 0;
    memset(&context, 0, sizeof(context));
    context.threads = 1;
    want = train_recorded(&context, family, &d);
    CHECK(want.size > 0);
    for (context.threads = 2; context.threads <= 4; context.threads++) {
        check_same_run(&context, family, &d, &want);
    }
    check_same_run(NULL, family, &d, &want);
    context.threads = 3;
    context.parallel_for = reversed;
    context.parallel_user = &calls;
    check_same_run(&context, family, &d, &want);
    CHECK(calls > 0);
    free(want.bytes);
    free_set(&d);
}

static void same_bits_cnn(void) { check_determinism(PRUN_CNN); }

static void same_bits_nin(void) { check_determinism(PRUN_NIN); }

static void same_bits_resnet18(void) { check_determinism(PRUN_RESNET18); }

/* Losses over index lists */

/* Losses of index[0 .. n) in groups of `group`, against each image's own loss; the sum in order. */
static void check_grouping(prun_net *net, const dataset *d, const int64_t *index, int64_t n,
                           int64_t group, const double *own) {
    double losses[128], sum = 0, total = 0;
    int64_t i, start;
    for (start = 0; start < n; start += group) {
        int64_t size = n - start < group ? n - start : group;
        CHECK_STATUS(
            prun_net_loss(net, &d->images, index + start, size, losses + start, &sum, NULL),
            PRUN_OK);
        for (i = 0, total = 0; i < size; i++) total += losses[start + i];
        CHECK(total == sum);
    }
    for (i = 0; i < n; i++) CHECK(losses[i] == own[index[i]]);
}

static void losses_do_not_depend_on_grouping(void) {
    static const int64_t groups[] = {1, 2, 7, 15, 16, 17, 32, 33, 48, 100};
    enum { N = 53 };
    int family, i, g;
    test_context.threads = 1; /* hundreds of small calls */
    for (family = PRUN_CNN; family <= PRUN_RESNET18; family++) {
        prun_arch arch = small_arch((prun_family)family);
        prun_net *net = NULL;
        dataset d = make_set(N, 3, 32, 32, 7);
        double own[N];
        int64_t order[N];
        if (!CHECK_STATUS(prun_net_family(&test_context, &arch, &net), PRUN_OK)) return;
        CHECK_STATUS(prun_net_loss(net, &d.images, NULL, N, own, NULL, NULL), PRUN_OK);
        for (i = 0; i < N; i++) order[i] = (i * 20 + 7) % N;
        for (i = 0; i < 5; i++) order[i * 9] = order[1]; /* repeated samples are fine */
        for (g = 0; g < 10; g++) check_grouping(net, &d, order, N, groups[g], own);
        prun_net_free(net);
        free_set(&d);
    }
}

/* The logits of a sample equal those it gets alone; errors count the first of equal maxima. */
static void logits_and_errors_agree(void) {
    twin t;
    dataset d;
    float logits[23 * 10];
    int64_t i, k, wrong = 0, errors = -1, index[1];
    double losses[23], sum = NAN;
    net_small_resnet(&t);
    d = set_for(&t, 23);
    CHECK_STATUS(prun_net_logits(t.net, &d.images, NULL, 23, logits), PRUN_OK);
    CHECK_STATUS(prun_net_loss(t.net, &d.images, NULL, 23, losses, &sum, &errors), PRUN_OK);
    for (i = 0; i < 23; i++) {
        float alone[10];
        int64_t best = 0;
        index[0] = i;
        for (k = 1; k < 10; k++) best = logits[i * 10 + k] > logits[i * 10 + best] ? k : best;
        wrong += best != d.labels[i];
        CHECK(losses[i] == prun_cross_entropy(logits + i * 10, 10, d.labels[i], NULL));
        CHECK_STATUS(prun_net_logits(t.net, &d.images, index, 1, alone), PRUN_OK);
        CHECK(memcmp(alone, logits + i * 10, sizeof(alone)) == 0);
    }
    CHECK(errors == wrong);
    for (k = 0; k < t.tensors; k++) { /* all logits equal: class 0 is the answer */
        const prun_tensor *tensor = tensors_of(t.net) + k;
        memset(tensor->data, 0, (size_t)prun_tensor_size(tensor) * sizeof(float));
    }
    for (i = 0; i < 23; i++) d.labels[i] = i < 5 ? 0 : 1;
    CHECK_STATUS(prun_net_loss(t.net, &d.images, NULL, 23, NULL, &sum, &errors), PRUN_OK);
    CHECK(errors == 18);
    CHECK_CLOSE(sum, 23 * log(10.0), 0, 1e-14);
    prun_net_free(t.net);
    free_set(&d);
}

/* Families */

static void check_counts(prun_family family, int64_t width, int64_t depth, int64_t classes,
                         int64_t weights, int64_t total) {
    prun_arch arch;
    prun_net *net = NULL;
    int64_t count, k, flagged = 0, trained = 0;
    const prun_tensor *tensors;
    memset(&arch, 0, sizeof(arch));
    arch.family = family;
    arch.width = width;
    arch.depth = depth;
    arch.classes = classes;
    if (!CHECK_STATUS(prun_net_family(&test_context, &arch, &net), PRUN_OK)) return;
    CHECK(prun_net_weights(net) == weights);
    CHECK(prun_net_parameters(net) == total);
    CHECK(prun_net_classes(net) == classes);
    tensors = prun_net_tensors(net, &count);
    for (k = 0; k < count; k++) {
        flagged += tensors[k].flags & PRUN_WEIGHT ? prun_tensor_size(&tensors[k]) : 0;
        trained += tensors[k].flags & PRUN_STATISTIC ? 0 : prun_tensor_size(&tensors[k]);
    }
    CHECK(flagged == weights && trained == total);
    if (test_failures) printf("  family %d, width %d, depth %d\n", family, (int)width, (int)depth);
    prun_net_free(net);
}

static void parameter_counts_nin(void) {
    check_counts(PRUN_NIN, 192, 2, 10, 515136, 518602);
    check_counts(PRUN_NIN, 288, 2, 10, 1132128, 1137322);
    check_counts(PRUN_NIN, 384, 2, 10, 1988736, 1995658);
    check_counts(PRUN_NIN, 192, 3, 10, 920640, 925834);
    check_counts(PRUN_NIN, 288, 3, 10, 2044512, 2052298);
    check_counts(PRUN_NIN, 384, 3, 10, 3610752, 3621130);
    check_counts(PRUN_NIN, 192, 4, 10, 1303104, 1310026);
    check_counts(PRUN_NIN, 288, 4, 10, 2922336, 2932714);
    check_counts(PRUN_NIN, 384, 4, 10, 5186688, 5200522);
}

static void parameter_counts_cnn(void) {
    check_counts(PRUN_CNN, 2, 0, 100, 3166, 3356);
    check_counts(PRUN_CNN, 4, 0, 100, 9356, 9636);
    check_counts(PRUN_CNN, 16, 0, 100, 110000, 110820);
    check_counts(PRUN_CNN, 32, 0, 100, 413536, 415076);
    check_counts(PRUN_CNN, 64, 0, 100, 1601216, 1604196);
}

static void parameter_counts_resnet18(void) {
    check_counts(PRUN_RESNET18, 2, 0, 100, 12550, 12862);
    check_counts(PRUN_RESNET18, 10, 0, 100, 280670, 281830);
    check_counts(PRUN_RESNET18, 64, 0, 100, 11210432, 11217316);
}

static void family_defaults(void) {
    prun_arch arch;
    prun_net *net = NULL;
    memset(&arch, 0, sizeof(arch));
    arch.family = PRUN_NIN;
    CHECK_STATUS(prun_net_nin(&test_context, &arch, &net), PRUN_OK);
    CHECK(prun_net_weights(net) == 920640 && prun_net_classes(net) == 10);
    prun_net_free(net);
    net = NULL;
    CHECK_STATUS(prun_net_cnn(&test_context, &arch, &net), PRUN_OK);
    CHECK(prun_net_weights(net) == 378 * 64 * 64 + 27 * 64 + 8 * 64 * 10);
    prun_net_free(net);
}

static const prun_tensor *find_tensor(const prun_net *net, const char *name) {
    int64_t count, k;
    const prun_tensor *tensors = prun_net_tensors(net, &count);
    for (k = 0; k < count; k++) {
        if (strcmp(tensors[k].name, name) == 0) return &tensors[k];
    }
    return NULL;
}

static void check_tensor(const prun_net *net, const char *name, uint32_t flag, int32_t rank,
                         int64_t size) {
    const prun_tensor *tensor = find_tensor(net, name);
    if (!CHECK(tensor != NULL)) {
        printf("  no tensor \"%s\"\n", name);
        return;
    }
    CHECK(tensor->flags == flag && tensor->rank == rank && prun_tensor_size(tensor) == size);
}

static void tensor_names_and_flags(void) {
    prun_arch arch = small_arch(PRUN_RESNET18);
    prun_net *net = NULL;
    CHECK_STATUS(prun_net_family(&test_context, &arch, &net), PRUN_OK);
    check_tensor(net, "conv1.weight", PRUN_WEIGHT, 4, 54);
    check_tensor(net, "layer1_0.bn1.running_mean", PRUN_STATISTIC, 1, 2);
    check_tensor(net, "layer2_0.shortcut.weight", PRUN_WEIGHT, 4, 8);
    check_tensor(net, "layer4_1.bn2.bias", PRUN_NORM, 1, 16);
    check_tensor(net, "linear.weight", PRUN_WEIGHT, 2, 112);
    check_tensor(net, "linear.bias", PRUN_BIAS, 1, 7);
    CHECK(find_tensor(net, "conv1.bias") == NULL);
    CHECK(find_tensor(net, "layer1_0.shortcut.weight") == NULL);
    prun_net_free(net);
    net = NULL;
    arch = small_arch(PRUN_NIN);
    CHECK_STATUS(prun_net_family(&test_context, &arch, &net), PRUN_OK);
    check_tensor(net, "block0_conv0.weight", PRUN_WEIGHT, 4, 6 * 27);
    check_tensor(net, "block2_conv2.bias", PRUN_BIAS, 1, 6);
    check_tensor(net, "block2_bn2.running_var", PRUN_STATISTIC, 1, 6);
    check_tensor(net, "head.weight", PRUN_WEIGHT, 4, 7 * 6 * 16);
    prun_net_free(net);
    net = NULL;
    arch = small_arch(PRUN_CNN);
    CHECK_STATUS(prun_net_family(&test_context, &arch, &net), PRUN_OK);
    check_tensor(net, "conv3.weight", PRUN_WEIGHT, 4, 24 * 12 * 9);
    check_tensor(net, "bn3.weight", PRUN_NORM, 1, 24);
    check_tensor(net, "fc.weight", PRUN_WEIGHT, 2, 7 * 24);
    prun_net_free(net);
}

/* Initial values */

/* Uniform in +-bound: all inside, some near both ends, mean and variance right. */
static void check_uniform_tensor(const prun_net *net, const char *name, double bound) {
    const prun_tensor *tensor = find_tensor(net, name);
    double lowest = 0, highest = 0, sum = 0, square = 0, n;
    int64_t i;
    if (!CHECK(tensor != NULL)) return;
    n = (double)prun_tensor_size(tensor);
    for (i = 0; i < prun_tensor_size(tensor); i++) {
        double v = (double)tensor->data[i] / bound;
        lowest = v < lowest ? v : lowest;
        highest = v > highest ? v : highest;
        sum += v;
        square += v * v;
    }
    CHECK(lowest >= -1 - 1e-6 && highest <= 1 + 1e-6);
    CHECK(lowest < -1 + 20 / n && highest > 1 - 20 / n);
    CHECK_CLOSE(sum / n, 0, 5 * sqrt(1 / (3 * n)), 0);
    CHECK_CLOSE(square / n, 1.0 / 3, 5 * sqrt(4 / (45 * n)), 0);
}

static void check_constant_tensor(const prun_net *net, const char *name, float value) {
    const prun_tensor *tensor = find_tensor(net, name);
    int64_t i;
    if (!CHECK(tensor != NULL)) return;
    for (i = 0; i < prun_tensor_size(tensor); i++) CHECK(tensor->data[i] == value);
}

static void initial_values_pytorch(void) {
    prun_arch arch;
    prun_net *net = NULL;
    memset(&arch, 0, sizeof(arch));
    arch.width = 16;
    arch.classes = 100;
    CHECK_STATUS(prun_net_cnn(&test_context, &arch, &net), PRUN_OK);
    check_uniform_tensor(net, "conv0.weight", 1 / sqrt(27.0));
    check_uniform_tensor(net, "conv2.weight", 1 / sqrt(32 * 9.0));
    check_uniform_tensor(net, "conv2.bias", 1 / sqrt(32 * 9.0));
    check_uniform_tensor(net, "fc.weight", 1 / sqrt(128.0));
    check_uniform_tensor(net, "fc.bias", 1 / sqrt(128.0));
    check_constant_tensor(net, "bn1.weight", 1);
    check_constant_tensor(net, "bn1.bias", 0);
    check_constant_tensor(net, "bn1.running_mean", 0);
    check_constant_tensor(net, "bn1.running_var", 1);
    prun_net_free(net);
}

static void initial_values_glorot(void) {
    prun_arch arch;
    prun_net *net = NULL;
    memset(&arch, 0, sizeof(arch));
    arch.width = 24;
    CHECK_STATUS(prun_net_nin(&test_context, &arch, &net), PRUN_OK);
    check_uniform_tensor(net, "block0_conv0.weight", sqrt(6.0 / (9 * 3 + 9 * 24)));
    check_uniform_tensor(net, "block1_conv1.weight", sqrt(6.0 / (24 + 24)));
    check_uniform_tensor(net, "head.weight", sqrt(6.0 / (16 * 24 + 16 * 10)));
    check_constant_tensor(net, "block1_conv1.bias", 0);
    check_constant_tensor(net, "head.bias", 0);
    prun_net_free(net);
    net = NULL;
    arch.pytorch_defaults = 1;
    CHECK_STATUS(prun_net_nin(&test_context, &arch, &net), PRUN_OK);
    check_uniform_tensor(net, "block1_conv1.weight", 1 / sqrt(24.0));
    check_uniform_tensor(net, "block1_conv1.bias", 1 / sqrt(24.0));
    prun_net_free(net);
}

static run_record recorded_init(uint64_t seed) {
    prun_arch arch = small_arch(PRUN_CNN);
    prun_net *net = NULL;
    run_record r = {NULL, 0};
    arch.seed = seed;
    if (!CHECK_STATUS(prun_net_cnn(&test_context, &arch, &net), PRUN_OK)) return r;
    record_tensors(&r, net);
    prun_net_free(net);
    return r;
}

static void seeds_decide_initial_values(void) {
    run_record a = recorded_init(1), b = recorded_init(1), c = recorded_init(2), r = {NULL, 0};
    prun_arch arch = small_arch(PRUN_CNN);
    prun_net *net = NULL;
    int64_t count, k;
    CHECK(a.size == b.size && a.size == c.size && memcmp(a.bytes, b.bytes, a.size) == 0);
    CHECK(memcmp(a.bytes, c.bytes, a.size) != 0);
    CHECK_STATUS(prun_net_cnn(&test_context, &arch, &net), PRUN_OK);
    prun_net_tensors(net, &count);
    for (k = 0; k < count; k++) tensors_of(net)[k].data[0] = 77;
    prun_net_init(net, 1);
    record_tensors(&r, net);
    CHECK(r.size == a.size && memcmp(r.bytes, a.bytes, a.size) == 0);
    prun_net_free(net);
    free(a.bytes);
    free(b.bytes);
    free(c.bytes);
    free(r.bytes);
}

/* Learning rates */

static void check_rate(const prun_train_options *options, int64_t epoch, double want) {
    CHECK_CLOSE(prun_learning_rate(options, epoch), want, 0, 1e-12);
}

static void learning_rates(void) {
    static const double maddox[][2] = {{0, .01},         {100, .01},    {101, .00987625},
                                       {120, .007525},   {140, .00505}, {160, .002575},
                                       {179, 2.2375e-4}, {180, 1e-4},   {199, 1e-4}};
    prun_train_options options;
    size_t i;
    memset(&options, 0, sizeof(options));
    check_rate(&options, 0, 0.01);
    check_rate(&options, 9, 0.01);
    options.learning_rate = 0.01;
    options.epochs = 200;
    options.schedule = PRUN_SCHEDULE_MADDOX;
    for (i = 0; i < sizeof(maddox) / sizeof(maddox[0]); i++) {
        check_rate(&options, (int64_t)maddox[i][0], maddox[i][1]);
    }
    options.epochs = 380;
    options.schedule = PRUN_SCHEDULE_STEP;
    check_rate(&options, 0, 1e-2);
    check_rate(&options, 99, 1e-2);
    check_rate(&options, 100, 1e-3);
    check_rate(&options, 299, 1e-4);
    check_rate(&options, 379, 1e-5);
    options.schedule_epochs = 3;
    options.schedule_factor = 0.5;
    check_rate(&options, 2, 0.01);
    check_rate(&options, 8, 0.0025);
}

static void training_defaults(void) {
    prun_train_options options, resolved;
    memset(&options, 0, sizeof(options));
    resolved = prun_train_resolved(&options);
    CHECK(resolved.epochs == 10 && resolved.batch == 128);
    CHECK(resolved.schedule_epochs == 100);
    CHECK_CLOSE(resolved.learning_rate, 0.01, 0, 1e-15);
    CHECK_CLOSE(resolved.momentum, 0.9, 0, 1e-15);
    CHECK_CLOSE(resolved.schedule_factor, 0.1, 0, 1e-15);
    CHECK(resolved.weight_decay == 0 && resolved.decay == PRUN_DECAY_WEIGHTS);
    options.epochs = 3;
    options.batch = 7;
    options.learning_rate = 0.5;
    options.momentum = 0.25;
    resolved = prun_train_resolved(&options);
    CHECK(resolved.epochs == 3 && resolved.batch == 7);
    CHECK(resolved.learning_rate == 0.5 && resolved.momentum == 0.25);
}

/* SGD against a loop by hand */

enum { IN = 4, OUT = 3, PARAMETERS = IN * OUT + OUT };

static prun_net *linear_net(prun_context *context) {
    prun_net *net = NULL;
    CHECK_STATUS_IN(context, prun_net_create(context, 1, 2, 2, &net), PRUN_OK);
    CHECK_STATUS_IN(context,
                    prun_net_finish(net, prun_layer_linear(net, PRUN_INPUT, "fc", OUT, 1), 4),
                    PRUN_OK);
    return net;
}

/* A linear net and its velocity in double. */
typedef struct hand {
    double w[PARAMETERS], v[PARAMETERS];
} hand;

static void start_hand(hand *m, const prun_net *net) {
    float flat[PARAMETERS];
    int i;
    get_parameters(net, flat);
    for (i = 0; i < PARAMETERS; i++) m->w[i] = (double)flat[i], m->v[i] = 0;
}

/* One step on the mean loss over the first n images; returns the loss summed before it. */
static double hand_step(hand *m, const dataset *d, int64_t n, const prun_train_options *o,
                        double rate) {
    ref_tensor x = ref_from_floats(d->values, n, 1, 2, 2), y, dy;
    double gradient[PARAMETERS] = {0}, momentum = o->momentum > 0 ? o->momentum : 0, loss;
    int i;
    y = ref_linear(&x, m->w, m->w + IN * OUT, OUT);
    dy = ref_like(&y);
    loss = ref_cross_entropy(&y, d->labels, &dy);
    ref_linear_backward(&x, m->w, &dy, gradient);
    ref_channel_sums(&dy, gradient + IN * OUT);
    for (i = 0; i < PARAMETERS; i++) {
        int decays = o->decay == PRUN_DECAY_ALL || i < IN * OUT;
        double g = gradient[i] / (double)n + (decays ? o->weight_decay * m->w[i] : 0);
        m->v[i] = momentum * m->v[i] + g;
        m->w[i] -= rate * m->v[i];
    }
    return loss;
}

static void compare_hand(const hand *m, const prun_net *net) {
    float flat[PARAMETERS];
    get_parameters(net, flat);
    close_tensors(flat, m->w, PARAMETERS, 1e-6, "parameters after SGD");
}

static void check_sgd(prun_decay decay, double momentum, double weight_decay) {
    prun_net *net = linear_net(&test_context);
    prun_trainer *trainer = NULL;
    prun_train_options options;
    dataset d = make_set(7, 1, 2, 2, OUT);
    int64_t index[7] = {0, 1, 2, 3, 4, 5, 6};
    hand m;
    int step;
    memset(&options, 0, sizeof(options));
    options.decay = decay;
    options.momentum = momentum;
    options.weight_decay = weight_decay;
    options.learning_rate = 123; /* a step is given its own */
    start_hand(&m, net);
    m.w[PARAMETERS - 1] = 0.75; /* a bias large enough for its decay to show */
    find_tensor(net, "fc.bias")->data[OUT - 1] = 0.75f;
    CHECK_STATUS(prun_trainer_create(net, &d.images, &options, &trainer), PRUN_OK);
    for (step = 0; step < 6; step++) {
        int64_t n = step % 2 ? 5 : 7, errors = -1;
        double rate = 0.3 / (1 + step), sum = NAN;
        double want = hand_step(&m, &d, n, &options, rate);
        CHECK_STATUS(prun_trainer_step(trainer, index, n, rate, &sum, &errors), PRUN_OK);
        CHECK_CLOSE(sum, want, 0, 1e-5);
        CHECK(errors >= 0 && errors <= n);
        compare_hand(&m, net);
    }
    prun_trainer_free(trainer);
    prun_net_free(net);
    free_set(&d);
    ref_free_all();
}

static void sgd_matches_a_loop_by_hand(void) {
    check_sgd(PRUN_DECAY_WEIGHTS, -1, 0);
    check_sgd(PRUN_DECAY_WEIGHTS, 0.9, 0);
    check_sgd(PRUN_DECAY_WEIGHTS, 0.9, 0.1);
    check_sgd(PRUN_DECAY_ALL, 0.9, 0.1);
    check_sgd(PRUN_DECAY_ALL, 0.5, 0.01);
    check_sgd(PRUN_DECAY_ALL, -1, 0.1);
}

/* Which tensors decay in a net with batch norm: one step without momentum moves every parameter by
   -rate (gradient / n + decay w). */
static void check_decay_scope(prun_decay decay) {
    twin t;
    dataset d;
    prun_train_options options;
    prun_trainer *trainer = NULL;
    prun_pass pass;
    const prun_tensor *tensors;
    float gradient[4096], before[4096], after[4096];
    double want[4096], sum;
    int64_t index[20], i, offset = 0, k, count;
    net_small_resnet(&t);
    d = set_for(&t, 20);
    memset(&pass, 0, sizeof(pass));
    pass.freeze_statistics = 1;
    memset(&options, 0, sizeof(options));
    options.momentum = -1;
    options.weight_decay = 0.5;
    options.decay = decay;
    for (i = 0; i < 20; i++) index[i] = i;
    get_parameters(t.net, before);
    CHECK_STATUS(prun_net_train_pass(t.net, &d.images, NULL, 20, &pass, gradient, NULL, &sum, NULL),
                 PRUN_OK);
    tensors = prun_net_tensors(t.net, &count);
    for (k = 0; k < count; k++) {
        int64_t size = prun_tensor_size(&tensors[k]);
        int decays = decay == PRUN_DECAY_ALL || (tensors[k].flags & PRUN_WEIGHT) != 0;
        if (tensors[k].flags & PRUN_STATISTIC) continue;
        for (i = offset; i < offset + size; i++) {
            double g = (double)gradient[i] / 20 + (decays ? 0.5 * (double)before[i] : 0);
            want[i] = -0.1 * g;
        }
        offset += size;
    }
    CHECK_STATUS(prun_trainer_create(t.net, &d.images, &options, &trainer), PRUN_OK);
    CHECK_STATUS(prun_trainer_step(trainer, index, 20, 0.1, NULL, NULL), PRUN_OK);
    get_parameters(t.net, after);
    for (i = 0; i < offset; i++) after[i] -= before[i];
    close_tensors(after, want, offset, 1e-5, "step with weight decay");
    prun_trainer_free(trainer);
    prun_net_free(t.net);
    free_set(&d);
}

static void weight_decay_scope(void) {
    check_decay_scope(PRUN_DECAY_WEIGHTS);
    check_decay_scope(PRUN_DECAY_ALL);
}

/* Training */

/* On copies of one sample the order is nothing, and what remains is how many steps an epoch takes,
   what a short last batch weighs, and the learning rate of each epoch. */
static void last_partial_batch_is_kept(void) {
    prun_net *net = linear_net(&test_context);
    dataset d = make_set(10, 1, 2, 2, OUT);
    prun_train_options options;
    prun_epoch history[3];
    hand m;
    int64_t i, epoch;
    for (i = 0; i < 10; i++) {
        memcpy(d.values + IN * i, d.values, IN * sizeof(float));
        d.labels[i] = d.labels[0];
    }
    memset(&options, 0, sizeof(options));
    options.epochs = 3;
    options.batch = 4;
    options.learning_rate = 0.4;
    options.momentum = 0.9;
    options.schedule = PRUN_SCHEDULE_STEP;
    options.schedule_epochs = 1;
    options.schedule_factor = 0.5;
    start_hand(&m, net);
    CHECK_STATUS(prun_train(net, &d.images, &options, history), PRUN_OK);
    for (epoch = 0; epoch < 3; epoch++) {
        double rate = 0.4 * pow(0.5, (double)epoch);
        double loss = hand_step(&m, &d, 4, &options, rate);
        loss += hand_step(&m, &d, 4, &options, rate);
        loss += hand_step(&m, &d, 2, &options, rate);
        CHECK_CLOSE(history[epoch].loss, loss / 10, 0, 1e-5);
        CHECK_CLOSE(history[epoch].learning_rate, rate, 0, 1e-12);
        CHECK(history[epoch].epoch == epoch + 1 && history[epoch].epochs == 3);
        CHECK(isnan(history[epoch].evaluated_loss));
    }
    compare_hand(&m, net);
    prun_net_free(net);
    free_set(&d);
    ref_free_all();
}

/* With a learning rate that changes nothing, an epoch's loss is the mean over the set: every sample
   came once. */
static void epochs_visit_every_sample_once(void) {
    static const int64_t batches[] = {1, 3, 16, 19, 36, 37, 100};
    dataset d = make_set(37, 1, 2, 2, OUT);
    int i;
    test_context.threads = 1;
    for (i = 0; i < 7; i++) {
        prun_net *net = linear_net(&test_context);
        prun_train_options options;
        prun_epoch history[2];
        double sum = NAN;
        int64_t errors = -1;
        memset(&options, 0, sizeof(options));
        options.epochs = 2;
        options.batch = batches[i];
        options.learning_rate = 1e-30;
        options.seed = (uint64_t)i;
        CHECK_STATUS(prun_net_loss(net, &d.images, NULL, 37, NULL, &sum, &errors), PRUN_OK);
        CHECK_STATUS(prun_train(net, &d.images, &options, history), PRUN_OK);
        CHECK_CLOSE(history[0].loss, sum / 37, 0, 1e-6);
        CHECK_CLOSE(history[1].loss, sum / 37, 0, 1e-6);
        CHECK_CLOSE(history[0].error, (double)errors / 37, 0, 1e-12);
        prun_net_free(net);
    }
    free_set(&d);
}

/* Brighter left or right half, under noise: learnable in a few epochs. */
static dataset learnable_set(int64_t n) {
    dataset d = make_set(n, 1, 8, 8, 2);
    int64_t i;
    for (i = 0; i < n * 64; i++) {
        int left = i % 8 < 4;
        d.values[i] += left == (d.labels[i / 64] == 0) ? 0.5f : -0.5f;
    }
    return d;
}

static prun_net *small_net(prun_context *context) {
    prun_net *net = NULL;
    int32_t v;
    CHECK_STATUS_IN(context, prun_net_create(context, 1, 8, 8, &net), PRUN_OK);
    v = prun_layer_conv2d(net, PRUN_INPUT, "conv", 4, 3, 1, 1, PRUN_PADDING_ZEROS, 1);
    v = prun_layer_relu(net, prun_layer_batch_norm(net, v, "norm", 0, 0));
    v = prun_layer_avg_pool(net, v, 4, 0, 0);
    v = prun_layer_linear(net, v, "fc", 2, 1);
    CHECK_STATUS_IN(context, prun_net_finish(net, v, 2), PRUN_OK);
    return net;
}

static prun_train_options small_options(void) {
    prun_train_options options;
    memset(&options, 0, sizeof(options));
    options.epochs = 12;
    options.batch = 16;
    options.learning_rate = 0.05;
    options.seed = 3;
    return options;
}

static void training_learns(void) {
    prun_net *net = small_net(&test_context);
    dataset d = learnable_set(90);
    prun_train_options options = small_options();
    prun_epoch history[12];
    double sum = NAN;
    int64_t errors = -1;
    options.evaluate = 1;
    CHECK_STATUS(prun_train(net, &d.images, &options, history), PRUN_OK);
    CHECK(history[0].loss > 0.3 && history[11].loss < 0.2 * history[0].loss);
    CHECK(history[11].error < 0.05);
    CHECK_STATUS(prun_net_loss(net, &d.images, NULL, 90, NULL, &sum, &errors), PRUN_OK);
    CHECK_CLOSE(history[11].evaluated_loss, sum / 90, 0, 1e-12);
    CHECK(errors <= 3);
    prun_net_free(net);
    free_set(&d);
}

static run_record small_run(uint64_t seed, int by_epoch) {
    prun_net *net = small_net(&test_context);
    dataset d = learnable_set(50);
    prun_train_options options = small_options();
    prun_trainer *trainer = NULL;
    run_record r = {NULL, 0};
    int64_t epoch, i;
    for (i = 0; i < 50 * 64; i++) d.values[i] = (float)(i * 37 % 101) * 0.01f;
    for (i = 0; i < 50; i++) d.labels[i] = (int32_t)(i % 2);
    options.seed = seed;
    if (by_epoch) {
        CHECK_STATUS(prun_trainer_create(net, &d.images, &options, &trainer), PRUN_OK);
        for (epoch = 0; epoch < options.epochs; epoch++) {
            prun_epoch e;
            CHECK_STATUS(prun_trainer_epoch(trainer, &e), PRUN_OK);
            CHECK(e.epoch == epoch + 1 && e.epochs == options.epochs);
        }
        prun_trainer_free(trainer);
    } else {
        CHECK_STATUS(prun_train(net, &d.images, &options, NULL), PRUN_OK);
    }
    record_tensors(&r, net);
    prun_net_free(net);
    free_set(&d);
    return r;
}

static void seed_decides_training(void) {
    run_record a = small_run(3, 0), b = small_run(3, 1), c = small_run(4, 0);
    CHECK(a.size == b.size && memcmp(a.bytes, b.bytes, a.size) == 0);
    CHECK(a.size == c.size && memcmp(a.bytes, c.bytes, a.size) != 0);
    free(a.bytes);
    free(b.bytes);
    free(c.bytes);
}

/* Stops after the third epoch. */
static int stop_at_three(void *user, const prun_epoch *epoch) {
    *(int64_t *)user += 1;
    return epoch->epoch >= 3;
}

static void training_can_be_cancelled(void) {
    prun_net *net = small_net(&test_context), *other = small_net(&test_context);
    dataset d = learnable_set(40);
    prun_train_options options = small_options();
    run_record a = {NULL, 0}, b = {NULL, 0};
    int64_t calls = 0;
    options.on_epoch = stop_at_three;
    options.user = &calls;
    CHECK_STATUS(prun_train(net, &d.images, &options, NULL), PRUN_CANCELLED);
    CHECK(calls == 3);
    options.epochs = 3; /* the net keeps the state that three epochs give */
    options.on_epoch = NULL;
    CHECK_STATUS(prun_train(other, &d.images, &options, NULL), PRUN_OK);
    record_tensors(&a, net);
    record_tensors(&b, other);
    CHECK(a.size == b.size && memcmp(a.bytes, b.bytes, a.size) == 0);
    free(a.bytes);
    free(b.bytes);
    prun_net_free(net);
    prun_net_free(other);
    free_set(&d);
}

static void divergence_is_reported(void) {
    prun_net *net = linear_net(&test_context);
    dataset d = make_set(40, 1, 2, 2, OUT);
    prun_train_options options = small_options();
    int64_t i;
    for (i = 0; i < 40 * IN; i++) d.values[i] *= 1000;
    options.learning_rate = 1e37;
    CHECK_STATUS(prun_train(net, &d.images, &options, NULL), PRUN_ERR_NONFINITE);
    CHECK(test_context.status == PRUN_ERR_NONFINITE);
    if (!CHECK(strstr(prun_message(&test_context), "epoch") != NULL)) {
        printf("  message \"%s\"\n", prun_message(&test_context));
    }
    prun_net_free(net);
    free_set(&d);
    /* the same through batch norm, ReLU and pool */
    net = small_net(&test_context);
    d = learnable_set(40);
    options.learning_rate = 1e30;
    CHECK_STATUS(prun_train(net, &d.images, &options, NULL), PRUN_ERR_NONFINITE);
    prun_net_free(net);
    free_set(&d);
}

/* A NaN weight reaches the loss through every kind of layer, and is no error of the call. */
static void nonfinite_losses_are_passed_on(void) {
    int i, b;
    for (i = 0; i < ISAS; i++) {
        if (prun_set_isa(isas[i]) != PRUN_OK) continue;
        for (b = 0; b < BUILDERS; b++) {
            twin t;
            dataset d;
            double losses[3], sum = 0;
            builders[b](&t);
            d = set_for(&t, 3);
            if (t.ready) {
                tensors_of(t.net)->data[0] = NAN;
                CHECK_STATUS(prun_net_loss(t.net, &d.images, NULL, 3, losses, &sum, NULL), PRUN_OK);
                CHECK(isnan(losses[0]) && isnan(losses[2]) && isnan(sum));
                if (!isnan(sum)) printf("  net %d (%s)\n", b, prun_isa());
            }
            prun_net_free(t.net);
            free_set(&d);
        }
    }
    prun_set_isa(NULL);
}

/* Errors */

/* The last call failed with a message that has `word` in it. */
static void check_message(const char *word) {
    const char *message = prun_message(&test_context);
    CHECK(test_context.status != PRUN_OK && message[0] != '\0');
    if (!CHECK(strstr(message, word) != NULL)) printf("  no \"%s\" in \"%s\"\n", word, message);
    memset(&test_context, 0, sizeof(test_context));
}

static prun_net *fresh_net(void) {
    prun_net *net = NULL;
    CHECK_STATUS(prun_net_create(&test_context, 3, 8, 8, &net), PRUN_OK);
    return net;
}

/* `value` came from a faulty layer: -1, passed on by later layers, reported at the end. */
static void check_faulty(prun_net *net, int32_t value, const char *word) {
    CHECK(value == -1);
    CHECK(prun_layer_relu(net, value) == -1);
    CHECK(prun_layer_relu(net, PRUN_INPUT) == -1);
    CHECK(prun_net_finish(net, value, 1) != PRUN_OK);
    check_message(word);
    prun_net_free(net);
}

static int32_t plain_conv(prun_net *net, int64_t channels, int64_t kernel, int64_t stride,
                          int64_t padding) {
    return prun_layer_conv2d(net, PRUN_INPUT, "odd", channels, kernel, stride, padding,
                             PRUN_PADDING_ZEROS, 1);
}

static void faulty_convolutions(void) {
    prun_net *net = fresh_net();
    check_faulty(net, plain_conv(net, 4, 9, 1, 0), "odd");
    net = fresh_net();
    check_faulty(net, plain_conv(net, 4, 12, 1, 1), "odd");
    net = fresh_net();
    check_faulty(net, plain_conv(net, 0, 3, 1, 1), "odd");
    net = fresh_net();
    check_faulty(net, plain_conv(net, -4, 3, 1, 1), "odd");
    net = fresh_net();
    check_faulty(net, plain_conv(net, 4, 0, 1, 1), "odd");
    net = fresh_net();
    check_faulty(net, plain_conv(net, 4, 3, -1, 1), "odd");
    net = fresh_net();
    check_faulty(net, plain_conv(net, 4, 3, 1, -1), "odd");
}

/* Sizes that cannot be allocated fail at the layer or at the end, never by wrapping around. */
static void absurd_sizes(void) {
    const int64_t big = INT64_C(1) << 40;
    int i;
    for (i = 0; i < 5; i++) {
        prun_net *net = fresh_net();
        int32_t v = -1;
        prun_status status;
        if (i == 0) v = plain_conv(net, big, 3, 1, 1);
        if (i == 1) v = plain_conv(net, 4, 3, 1, big);
        if (i == 2) v = plain_conv(net, 4, INT64_MAX, 1, INT64_MAX);
        if (i == 3) v = prun_layer_linear(net, PRUN_INPUT, "odd", INT64_MAX, 1);
        if (i == 4) v = plain_conv(net, INT64_MAX / 2, 3, 1, 1);
        status = prun_net_finish(net, prun_layer_linear(net, v, "end", 2, 1), 1);
        CHECK(status == PRUN_ERR_OVERFLOW || status == PRUN_ERR_SHAPE ||
              status == PRUN_ERR_ARGUMENT || status == PRUN_ERR_MEMORY);
        check_message("");
        prun_net_free(net);
    }
}

static void faulty_values_and_names(void) {
    prun_net *net = fresh_net();
    check_faulty(net, prun_layer_relu(net, 7), "");
    net = fresh_net();
    check_faulty(net, prun_layer_relu(net, -3), "");
    net = fresh_net();
    check_faulty(net, prun_layer_add(net, PRUN_INPUT, 1), "");
    net = fresh_net();
    plain_conv(net, 4, 3, 1, 1);
    check_faulty(net, plain_conv(net, 4, 3, 1, 1), "odd");
    net = fresh_net();
    plain_conv(net, 4, 3, 1, 1);
    check_faulty(net, prun_layer_batch_norm(net, PRUN_INPUT, "odd", 0, 0), "odd");
}

static void faulty_layers(void) {
    prun_net *net = fresh_net();
    check_faulty(net, prun_layer_dropout(net, PRUN_INPUT, 1.0), "dropout");
    net = fresh_net();
    check_faulty(net, prun_layer_dropout(net, PRUN_INPUT, -0.1), "dropout");
    net = fresh_net();
    check_faulty(net, prun_layer_dropout(net, PRUN_INPUT, NAN), "dropout");
    net = fresh_net();
    check_faulty(net, prun_layer_max_pool(net, PRUN_INPUT, 9, 0, 0), "");
    net = fresh_net();
    check_faulty(net, prun_layer_max_pool(net, PRUN_INPUT, 3, 1, 2), "padding");
    net = fresh_net();
    check_faulty(net, prun_layer_avg_pool(net, PRUN_INPUT, 0, 1, 0), "kernel");
    net = fresh_net();
    check_faulty(net, prun_layer_avg_pool(net, PRUN_INPUT, 2, -1, 0), "stride");
    net = fresh_net();
    check_faulty(net, prun_layer_linear(net, PRUN_INPUT, "odd", 0, 1), "odd");
    net = fresh_net();
    check_faulty(net, prun_layer_batch_norm(net, PRUN_INPUT, "odd", -1, 0), "odd");
    net = fresh_net();
    check_faulty(net, prun_layer_add(net, PRUN_INPUT, plain_conv(net, 4, 3, 1, 1)), "");
}

static void faulty_ends(void) {
    prun_net *net = fresh_net();
    CHECK(prun_net_finish(net, plain_conv(net, 4, 3, 1, 1), 1) != PRUN_OK); /* 8 x 8 logits */
    check_message("");
    prun_net_free(net);
    net = fresh_net();
    CHECK(prun_net_finish(net, 5, 1) != PRUN_OK);
    check_message("");
    prun_net_free(net);
    net = NULL;
    CHECK(prun_net_create(&test_context, 0, 8, 8, &net) != PRUN_OK && net == NULL);
    check_message("0 x 8 x 8");
    CHECK(prun_net_create(&test_context, 3, 8, -1, &net) != PRUN_OK && net == NULL);
    check_message("3 x 8 x -1");
    prun_net_free(NULL);
}

static void check_bad_arch(const prun_arch *arch, const char *word) {
    prun_net *net = NULL;
    CHECK(prun_net_family(&test_context, arch, &net) != PRUN_OK);
    CHECK(net == NULL);
    check_message(word);
}

static prun_arch default_arch(prun_family family) {
    prun_arch arch;
    memset(&arch, 0, sizeof(arch));
    arch.family = family;
    return arch;
}

static void faulty_families(void) {
    prun_arch arch = default_arch(PRUN_NIN);
    arch.depth = 5;
    check_bad_arch(&arch, "depth");
    arch.depth = 1;
    check_bad_arch(&arch, "depth");
    arch.depth = -3;
    check_bad_arch(&arch, "depth");
    arch = default_arch(PRUN_NIN);
    arch.dropout = 1.0;
    check_bad_arch(&arch, "dropout");
    arch.dropout = -0.5;
    check_bad_arch(&arch, "dropout");
    arch = default_arch(PRUN_NIN);
    arch.width = -8;
    check_bad_arch(&arch, "width");
    arch = default_arch(PRUN_RESNET18);
    arch.width = -1;
    check_bad_arch(&arch, "width");
    arch = default_arch(PRUN_RESNET18);
    arch.classes = -10;
    check_bad_arch(&arch, "classes");
    arch = default_arch(PRUN_CNN);
    arch.channels = -3;
    check_bad_arch(&arch, "-3 x 32 x 32");
    arch = default_arch(PRUN_CNN);
    arch.height = arch.width_pixels = 16; /* leaves 2 x 2 for the last pool of 4 */
    check_bad_arch(&arch, "");
    arch = default_arch(PRUN_CNN);
    arch.width = INT64_C(1) << 40;
    check_bad_arch(&arch, "");
    arch = default_arch((prun_family)99);
    check_bad_arch(&arch, "family");
}

/* A net, images and an index list that do not belong together. */
static void faulty_images(void) {
    prun_net *net = linear_net(&test_context);
    dataset d = make_set(5, 1, 2, 2, OUT), wide = make_set(5, 1, 2, 3, OUT);
    int64_t index[2] = {0, 5};
    double sum = -7;
    CHECK(prun_net_loss(net, &wide.images, NULL, 5, NULL, &sum, NULL) != PRUN_OK);
    check_message("");
    CHECK(prun_net_loss(net, &d.images, index, 2, NULL, &sum, NULL) != PRUN_OK);
    check_message("5");
    index[1] = -1;
    CHECK(prun_net_loss(net, &d.images, index, 2, NULL, &sum, NULL) != PRUN_OK);
    check_message("-1");
    CHECK(prun_net_loss(net, &d.images, NULL, 6, NULL, &sum, NULL) != PRUN_OK);
    check_message("");
    d.images.classes = OUT + 1;
    d.labels[2] = OUT;
    CHECK(prun_net_loss(net, &d.images, NULL, 5, NULL, &sum, NULL) != PRUN_OK);
    check_message("");
    CHECK(sum == -7);
    prun_net_free(net);
    free_set(&d);
    free_set(&wide);
}

static const test_case cases[] = {
    TEST_CASE(reference_gradients_are_exact),
    TEST_CASE(nets_match_reference),
    TEST_CASE(every_image_count_matches_reference),
    TEST_CASE(gradients_match_differences),
    TEST_CASE(max_pool_ties_go_to_the_first),
    TEST_CASE(batch_norm_constants),
    TEST_CASE(batch_norm_large_mean),
    TEST_CASE(batch_norm_needs_two_values),
    TEST_CASE(dropout_keeps_its_share),
    TEST_CASE(dropout_masks_follow_seed_and_stream),
    TEST_CASE(dropout_is_identity_in_eval),
    TEST_CASE(dropout_layers_are_independent),
    TEST_CASE(nin_has_its_dropout),
    TEST_CASE(dropout_gradient_uses_the_same_mask),
    TEST_CASE(dropout_gradient_matches_differences),
    TEST_CASE(same_bits_cnn),
    TEST_CASE(same_bits_nin),
    TEST_CASE(same_bits_resnet18),
    TEST_CASE(losses_do_not_depend_on_grouping),
    TEST_CASE(logits_and_errors_agree),
    TEST_CASE(parameter_counts_nin),
    TEST_CASE(parameter_counts_cnn),
    TEST_CASE(parameter_counts_resnet18),
    TEST_CASE(family_defaults),
    TEST_CASE(tensor_names_and_flags),
    TEST_CASE(initial_values_pytorch),
    TEST_CASE(initial_values_glorot),
    TEST_CASE(seeds_decide_initial_values),
    TEST_CASE(learning_rates),
    TEST_CASE(training_defaults),
    TEST_CASE(sgd_matches_a_loop_by_hand),
    TEST_CASE(weight_decay_scope),
    TEST_CASE(last_partial_batch_is_kept),
    TEST_CASE(epochs_visit_every_sample_once),
    TEST_CASE(training_learns),
    TEST_CASE(seed_decides_training),
    TEST_CASE(training_can_be_cancelled),
    TEST_CASE(divergence_is_reported),
    TEST_CASE(nonfinite_losses_are_passed_on),
    TEST_CASE(faulty_convolutions),
    TEST_CASE(absurd_sizes),
    TEST_CASE(faulty_values_and_names),
    TEST_CASE(faulty_layers),
    TEST_CASE(faulty_ends),
    TEST_CASE(faulty_families),
    TEST_CASE(faulty_images),
};

int main(int argc, char **argv) { return TEST_MAIN("test_net", cases, argc, argv); }
