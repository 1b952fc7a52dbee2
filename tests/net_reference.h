/* net_reference.h - a whole network in double precision: the operations of reference.h applied to
   the layers of a prun_net, in eval mode. Needs the implementation, because it reads the layers.
*/
#ifndef NET_REFERENCE_H_INCLUDED
#define NET_REFERENCE_H_INCLUDED

#include <string.h>

#include "reference.h"

/* Values of a network's layers, their gradients, and its parameters as doubles. */
typedef struct ref_net {
    const prun_net *net;
    ref_tensor *y, *dy; /* per value */
    const double *w;    /* flat trained parameters */
    double *gradient;
} ref_net;

static inline const double *ref_net_weights(const ref_net *r, int32_t tensor) {
    return r->w + (r->net->tensor[tensor].data - r->net->parameters);
}

static inline double *ref_net_gradient_of(const ref_net *r, int32_t tensor) {
    return r->gradient + (r->net->tensor[tensor].data - r->net->parameters);
}

static inline ref_window ref_net_window(const prun__layer *l) {
    ref_window g;
    memset(&g, 0, sizeof(g));
    if (l->kind == PRUN__CONV) {
        g.kh = l->conv.kernel[0], g.kw = l->conv.kernel[1];
        g.sh = l->conv.stride[0], g.sw = l->conv.stride[1];
        g.top = l->conv.padding[0], g.left = l->conv.padding[1];
        g.bottom = l->conv.padding[2], g.right = l->conv.padding[3];
    } else {
        g.kh = l->kernel[0], g.kw = l->kernel[1];
        g.sh = g.sw = l->stride;
        g.top = g.left = g.bottom = g.right = l->padding;
    }
    return g;
}

/* A non-owning weight tensor (out, in, height, width). */
static inline ref_tensor ref_net_kernel(const prun__layer *l, const double *values) {
    ref_tensor t;
    t.n = l->conv.out_channels;
    t.c = l->conv.in_channels;
    t.h = l->conv.kernel[0];
    t.w = l->conv.kernel[1];
    t.v = (double *)(uintptr_t)values;
    return t;
}

static inline double *ref_net_statistic(const ref_net *r, int32_t tensor) {
    const prun_tensor *t = &r->net->tensor[tensor];
    double *v = ref_zeros(prun_tensor_size(t));
    int64_t i;
    for (i = 0; i < prun_tensor_size(t); i++) v[i] = (double)t->data[i];
    return v;
}

static inline ref_tensor ref_net_layer(const ref_net *r, const prun__layer *l) {
    const ref_tensor *x = &r->y[l->input[0]];
    ref_window g = ref_net_window(l);
    ref_tensor kernel;
    switch (l->kind) {
        case PRUN__CONV:
            kernel = ref_net_kernel(l, ref_net_weights(r, l->tensor));
            return ref_conv(x, &kernel, l->bias ? ref_net_weights(r, l->tensor + 1) : NULL, &g);
        case PRUN__BATCH_NORM:
            return ref_batch_norm(x, ref_net_weights(r, l->tensor),
                                  ref_net_weights(r, l->tensor + 1),
                                  ref_net_statistic(r, l->tensor + 2),
                                  ref_net_statistic(r, l->tensor + 3), l->epsilon);
        case PRUN__RELU: return ref_relu(x);
        case PRUN__MAX_POOL: return ref_max_pool(x, &g);
        case PRUN__AVG_POOL: return ref_avg_pool(x, &g);
        case PRUN__ADD: return ref_add(x, &r->y[l->input[1]]);
        default: return *x; /* dropout in eval mode, flatten */
    }
}

static inline void ref_net_layer_backward(ref_net *r, const prun__layer *l, const ref_tensor *dy) {
    const ref_tensor *x = &r->y[l->input[0]];
    ref_window g = ref_net_window(l);
    ref_tensor dx = *dy, kernel, dkernel;
    switch (l->kind) {
        case PRUN__CONV:
            kernel = ref_net_kernel(l, ref_net_weights(r, l->tensor));
            dkernel = ref_net_kernel(l, ref_net_gradient_of(r, l->tensor));
            dx = ref_like(x);
            ref_conv_backward(NULL, &kernel, &g, dy, &dx, NULL);
            ref_conv_backward(x, NULL, &g, dy, NULL, &dkernel);
            if (l->bias) {
                double *sums = ref_zeros(dy->c);
                int64_t c;
                ref_channel_sums(dy, sums);
                for (c = 0; c < dy->c; c++) ref_net_gradient_of(r, l->tensor + 1)[c] += sums[c];
            }
            break;
        case PRUN__BATCH_NORM:
            dx = ref_batch_norm_backward(
                x, ref_net_weights(r, l->tensor), ref_net_statistic(r, l->tensor + 2),
                ref_net_statistic(r, l->tensor + 3), l->epsilon, 0, dy,
                ref_net_gradient_of(r, l->tensor), ref_net_gradient_of(r, l->tensor + 1));
            break;
        case PRUN__RELU: dx = ref_relu_backward(x, dy); break;
        case PRUN__MAX_POOL: dx = ref_max_pool_backward(x, &g, dy); break;
        case PRUN__AVG_POOL: dx = ref_avg_pool_backward(x, &g, dy); break;
        case PRUN__ADD: ref_accumulate(&r->dy[l->input[1]], dy); break;
        default: break;
    }
    ref_accumulate(&r->dy[l->input[0]], &dx);
}

/* Gradient of the summed loss at parameters w, and the logits (images, classes) unless NULL. The
   last layer must be the output. Empties the pool. */
static inline void ref_net_gradient(const prun_net *net, const prun_images *m, const double *w,
                                    double *logits, double *gradient) {
    const int32_t count = (int32_t)net->layers;
    ref_net r;
    int32_t i;
    r.net = net;
    r.w = w;
    r.gradient = gradient;
    memset(gradient, 0, (size_t)net->parameter_count * sizeof(double));
    r.y = (ref_tensor *)calloc(2 * (size_t)(count + 1), sizeof(ref_tensor));
    if (r.y == NULL) abort();
    r.dy = r.y + count + 1;
    r.y[0] = ref_from_floats(m->values, m->count, m->channels, m->height, m->width);
    for (i = 0; i < count; i++) r.y[i + 1] = ref_net_layer(&r, &net->layer[i]);
    for (i = 0; i <= count; i++) r.dy[i] = ref_like(&r.y[i]);
    if (logits != NULL)
        memcpy(logits, r.y[count].v, (size_t)ref_size(&r.y[count]) * sizeof(double));
    ref_cross_entropy(&r.y[count], m->labels, &r.dy[count]);
    for (i = count - 1; i >= 0; i--) ref_net_layer_backward(&r, &net->layer[i], &r.dy[i + 1]);
    ref_free_all();
    free(r.y);
}

#endif
