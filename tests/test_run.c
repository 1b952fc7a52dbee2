/* test_run.c - section RUN: losses, gradients and statistics of networks in training mode, dropout.

   A `twin` is a network built twice, with the library's builder and as a list of the operations of
   reference.h; the float32 results of the one are compared with the double results of the other.
*/
#include "../prunability.h"

#include <stdlib.h>

#include "twin.h"

static const char *const isas[] = {"portable", "avx2", "avx512", "neon"};
enum { ISAS = sizeof(isas) / sizeof(isas[0]) };

/* Twins: building */

/* TensorFlow's SAME: enough zeros for ceil(size / stride) outputs; an odd one goes to the end. */
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
    return finish_conv(
        t, v, bias,
        prun_layer_conv2d_with(t->net, t->nodes[a].value, name.text,
                               &(prun_conv2d_options){.channels = channels,
                                                      .kernel = {kernel},
                                                      .stride = {stride},
                                                      .padding_mode = PRUN_PADDING_SAME,
                                                      .omit_bias = !bias}));
}

static int twin_conv_window(twin *t, int a, int64_t channels, const ref_window *g, int bias) {
    layer_name name = name_of(t, "free");
    int v = push_window(t, NODE_CONV, a, channels, g);
    prun_conv2d_options conv;
    memset(&conv, 0, sizeof(conv));
    conv.channels = channels;
    conv.kernel[0] = g->kh;
    conv.kernel[1] = g->kw;
    conv.stride[0] = g->sh;
    conv.stride[1] = g->sw;
    conv.padding[0] = g->top;
    conv.padding[1] = g->left;
    conv.padding[2] = g->bottom;
    conv.padding[3] = g->right;
    conv.omit_bias = !bias;
    return finish_conv(t, v, bias,
                       prun_layer_conv2d_with(t->net, t->nodes[a].value, name.text, &conv));
}

static int twin_global(twin *t, int a) {
    ref_window g = square_window(t->nodes[a].h, 1, 0);
    int v;
    g.kw = t->nodes[a].w;
    v = push_window(t, NODE_AVG_POOL, a, t->nodes[a].c, &g);
    t->nodes[v].value = prun_layer_global_avg_pool(t->net, t->nodes[a].value);
    return v;
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

/* The results of one pass; running statistics only in train mode. All memory is from the
   reference's pool. */
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
    r->gradient = ref_zeros(prun_net_parameter_count(t->net) + 1);
    for (k = 0; k < t->tensors; k++) {
        int64_t size = prun_tensor_size(&tensors[k]);
        if (tensors[k].flags & PRUN_TENSOR_STATISTIC) continue;
        memcpy(r->gradient + r->parameters, grads[k], (size_t)size * sizeof(double));
        r->parameters += size;
    }
    CHECK(r->parameters == prun_net_parameter_count(t->net));
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

/* How far the last pass was from a kink. Close to one, float32 may legitimately be on the other
   side. */
static double kink_distance(const twin *t) {
    double distance = INFINITY;
    int i;
    int64_t k;
    for (i = 1; i < t->count; i++) {
        const ref_tensor *x = &t->nodes[t->nodes[i].a].y;
        if (t->nodes[i].kind == NODE_MAX_POOL) {
            distance = fmin(distance, pool_gap(x, &t->nodes[i]));
        } else if (t->nodes[i].kind == NODE_RELU) {
            /* exact zeros come from a ReLU and stay exact */
            for (k = 0; k < ref_size(x); k++) {
                if (x->v[k] != 0) distance = fmin(distance, fabs(x->v[k]));
            }
        }
    }
    return distance;
}

/* Draws images until both modes are away from kinks. */
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
        if (!(tensors[k].flags & PRUN_TENSOR_STATISTIC)) continue;
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
    CHECK_STATUS(prun_net_train_pass(
                     t->net, &d->images, NULL, n, &pass,
                     &(prun_pass_outputs){.gradient = gradient, .logits = logits, .sum = &sum}),
                 PRUN_OK);
    copy_statistics(t->net, after);
    CHECK(memcmp(before, after, (size_t)count * sizeof(float)) == 0);
    close_tensors(logits, r.logits->v, n * r.logits->c, 5e-5, "train logits");
    CHECK_CLOSE(sum, r.loss, 0, 2e-5);
    close_tensors(gradient, r.gradient, r.parameters, 5e-4, "train gradient");
    pass.freeze_statistics = 0;
    CHECK_STATUS(
        prun_net_train_pass(t->net, &d->images, NULL, n, &pass, &(prun_pass_outputs){NULL}),
        PRUN_OK);
    CHECK(copy_statistics(t->net, after) == r.statistics);
    close_tensors(after, r.running, r.statistics, 2e-6, "running statistics");
    free(logits);
    free(gradient);
}

/* Directional derivatives by differences */

static void set_parameters(prun_net *net, const float *flat, const double *direction, double step) {
    int64_t count, k, i;
    const prun_tensor *tensors = prun_net_tensors(net, &count);
    for (k = 0; k < count; k++) {
        int64_t size = prun_tensor_size(&tensors[k]);
        if (tensors[k].flags & PRUN_TENSOR_STATISTIC) continue;
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
        CHECK_STATUS(prun_net_train_pass(net, &d->images, NULL, d->images.count, pass,
                                         &(prun_pass_outputs){.gradient = gradient, .sum = &sum}),
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

/* Unit vector: half the gradient's direction (so that the slope exceeds float32's noise), half
   random (so that a wrong gradient shows). */
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

/* Slope along a direction by Richardson's extrapolation of two central differences. NAN if they
   disagree, or if the slopes to both sides do, because a kink is near. */
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
    int64_t count = prun_net_parameter_count(net), i;
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
        step = 0.008 / (fabs(slope) + 2); /* few kinks, but above float32's noise */
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

/* Norm, ReLU and max pool in a row, which may be fused; the windows leave a remainder. */
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

/* Values inside such a row, or before a norm, that another layer also reads. */
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

/* As many kinds of layers as possible in one net; the logits are a mean of a convolution. */
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

typedef void (*net_builder)(twin *t);
static const net_builder builders[] = {
    net_conv_geometries, net_same_padding, net_norm_places, net_max_pools,     net_avg_pools,
    net_global_mean,     net_residual,     net_fused_pools, net_shared_values, net_odd_orders,
    net_unused_values,   net_perceptron,   net_composed,    net_small_resnet};
enum { BUILDERS = 14 };

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
        if (prun_isa_set(isas[i]) != PRUN_OK) continue;
        for (b = 0; b < BUILDERS; b++) {
            for (k = 0; k < 3; k++) {
                int before = test_failures;
                compare_twin(builders[b], counts[k]);
                if (test_failures > before) printf("  net %d, %d images\n", b, (int)counts[k]);
            }
        }
    }
    prun_isa_set(NULL);
}

/* Statistics, losses and gradients depend on the images only, not on the empty lanes. */
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

/* A variance near epsilon reveals the default value of epsilon and where it is added. */
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
    CHECK(prun_net_train_pass(t.net, &d.images, NULL, 1, &pass, &(prun_pass_outputs){NULL}) !=
          PRUN_OK);
    CHECK(prun_message(&test_context)[0] != '\0');
    copy_statistics(t.net, after);
    CHECK(memcmp(before, after, (size_t)count * sizeof(float)) == 0);
    CHECK_STATUS(prun_net_loss(t.net, &d.images, NULL, 1, NULL, NULL, NULL), PRUN_OK);
    prun_net_free(t.net);
    free_set(&d);
}

/* Tests the oracle itself: one entry of its gradient, by a difference in double. */
static void check_reference_entry(twin *t, const dataset *d, int train, const twin_result *r) {
    int64_t count, k, i, offset = 0;
    const prun_tensor *tensors = prun_net_tensors(t->net, &count);
    float keep, *place;
    double above, below, apart;
    do k = ref_pick(&noise_state, count);
    while (tensors[k].flags & PRUN_TENSOR_STATISTIC);
    for (i = 0; i < k; i++) {
        offset += tensors[i].flags & PRUN_TENSOR_STATISTIC ? 0 : prun_tensor_size(&tensors[i]);
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
    CHECK_STATUS(prun_net_train_pass(net, &d->images, NULL, d->images.count, &pass,
                                     &(prun_pass_outputs){.gradient = gradient, .logits = logits}),
                 PRUN_OK);
}

/* Number of elements dropped in one but not in the other. */
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
            /* a probability may be rounded to 16 bits, which the scale accounts for */
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

/* Two layers of one net draw independent masks: the probability of being kept by both is the
   product. */
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
    CHECK_STATUS(prun_net_create_nin(&test_context, &arch, &net), PRUN_OK);
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

/* With layers before and after dropout, and dropout twice in one net. A fixed mask is a fixed
   function. */
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
    v = prun_layer_conv2d(net, PRUN_INPUT, "a", 6, 3, 1, 1);
    v = prun_layer_relu(net, prun_layer_batch_norm(net, v, "b", 0, 0));
    v = prun_layer_dropout(net, v, 0.4);
    v = prun_layer_conv2d(net, v, "c", 6, 3, 2, 1);
    v = prun_layer_dropout(net, v, 0.2);
    v = prun_layer_linear(net, v, "d", 5, 1);
    CHECK_STATUS(prun_net_finish(net, v, 3), PRUN_OK);
    check_slopes(net, &d, NULL);
    check_slopes(net, &d, &pass);
    prun_net_free(net);
    free_set(&d);
}

/* Same bits for every thread count */

static void record_measurements(run_record *r, prun_net *net, const dataset *d, prun_context *c) {
    int64_t n = d->images.count, count = prun_net_parameter_count(net), errors = -1;
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
    options.momentum = 0.9;
    options.epochs = 1;
    options.batch = 37; /* three blocks, the last one partly empty, and a short last batch */
    options.learning_rate = 0.05;
    options.weight_decay = 1e-3;
    options.augment.crop_padding = 4;
    options.augment.flip = 1;
    options.augment.shift = 2;
    options.seed = 11;
    if (!CHECK_STATUS_IN(context, prun_net_create_family(context, &arch, &net), PRUN_OK)) return r;
    CHECK_STATUS_IN(context, prun_train(net, &d->images, &options, &history), PRUN_OK);
    record(&r, &history.loss, sizeof(double));
    record(&r, &history.error_rate, sizeof(double));
    record_tensors(&r, net);
    record_measurements(&r, net, d, context);
    prun_net_free(net);
    return r;
}

static void reversed(void *user, void (*body)(void *argument, int64_t i), void *argument,
                     int64_t count) {
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

static void same_bits_cnn(void) { check_determinism(PRUN_FAMILY_CNN); }

static void same_bits_nin(void) { check_determinism(PRUN_FAMILY_NIN); }

static void same_bits_resnet18(void) { check_determinism(PRUN_FAMILY_RESNET18); }

/* Training */

/* A NaN weight reaches the loss through every kind of layer, and the call still succeeds. */
static void nonfinite_losses_are_passed_on(void) {
    int i, b;
    for (i = 0; i < ISAS; i++) {
        if (prun_isa_set(isas[i]) != PRUN_OK) continue;
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
    prun_isa_set(NULL);
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
    TEST_CASE(nonfinite_losses_are_passed_on),
};

int main(int argc, char **argv) { return TEST_MAIN("test_run", cases, argc, argv); }
