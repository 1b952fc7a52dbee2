/* graph.h - random networks for the fuzzer of the interface, with their images.

   A graph is drawn from a stream of random choices: a seed and a number, or the bytes of libFuzzer.
   It can be built as a prun_net, printed as the calls that build it, and evaluated by
   graph_reference.h. Nothing here uses internals of the library.
*/
#ifndef GRAPH_H_INCLUDED
#define GRAPH_H_INCLUDED

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    GRAPH_LAYERS = 28,
    GRAPH_IMAGES = 200, /* in a set, and in a list of samples; usually at most 40 */
    GRAPH_SIDE = 13,    /* largest height and width of a value */
    GRAPH_TENSORS = 4 * GRAPH_LAYERS
};

/* ---- choices ---- */

/* Choices come from the bytes as long as there are any; later choices and all other numbers come
   from a generator. */
typedef struct graph_random {
    uint64_t state;
    const unsigned char *data;
    size_t size;
} graph_random;

/* splitmix64 */
static uint64_t graph_bits(graph_random *r) {
    uint64_t z = (r->state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* A choice: uniform in 0 .. n-1. */
static int64_t graph_pick(graph_random *r, int64_t n) {
    if (r->size > 0) {
        r->size--;
        return *r->data++ % n;
    }
    return (int64_t)(graph_bits(r) >> 11) % n;
}

static int64_t graph_between(graph_random *r, int64_t low, int64_t high) {
    return low + graph_pick(r, high - low + 1);
}

/* True once in n times. */
static int graph_rarely(graph_random *r, int64_t n) { return graph_pick(r, n) == 0; }

static double graph_uniform(graph_random *r) {
    return (double)(graph_bits(r) >> 11) / 9007199254740992.0;
}

static double graph_normal(graph_random *r) {
    const double u = 1 - graph_uniform(r), angle = 6.283185307179586 * graph_uniform(r);
    return sqrt(-2 * log(u)) * cos(angle);
}

/* ---- the graph ---- */

typedef enum graph_kind {
    GRAPH_CONV,
    GRAPH_LINEAR,
    GRAPH_NORM,
    GRAPH_RELU,
    GRAPH_MAX,
    GRAPH_AVG,
    GRAPH_GLOBAL,
    GRAPH_DROPOUT,
    GRAPH_ADD,
    GRAPH_FLATTEN,
    GRAPH_KINDS
} graph_kind;

/* Value i + 1 is the output of layer i, value 0 the images. */
typedef struct graph_layer {
    graph_kind kind;
    int32_t in[2];                   /* the second only for GRAPH_ADD */
    int64_t c, h, w;                 /* of the output */
    int flat;                        /* flattened: no convolution, norm or pool may follow */
    prun_conv2d conv;                /* convolution and linear layer */
    int bias, same;                  /* same: PRUN_PADDING_SAME, by the short function */
    int64_t kernel, stride, padding; /* pools */
    double epsilon, momentum, probability;
    int32_t tensor;     /* number of its first tensor in prun_net_tensors */
    int64_t parameters; /* where its trained ones begin in a flat gradient */
} graph_layer;

typedef struct graph {
    graph_layer layer[GRAPH_LAYERS];
    int32_t layers, output;
    int32_t tensors;
    int64_t parameters;
    int64_t widest; /* largest number of channels of a layer */
    int64_t work;   /* multiplications per image */
    prun_images images;
    float values[GRAPH_IMAGES * 5 * GRAPH_SIDE * GRAPH_SIDE];
    uint8_t pixels[GRAPH_IMAGES * 5 * GRAPH_SIDE * GRAPH_SIDE];
    int32_t labels[GRAPH_IMAGES];
    int64_t index[GRAPH_IMAGES], n; /* samples to compute; every one is in the set */
    prun_algorithm algorithm;
    const char *isa;
} graph;

/* Shape of a value. */
static graph_layer graph_value(const graph *g, int32_t value) {
    graph_layer images;
    if (value > 0) return g->layer[value - 1];
    memset(&images, 0, sizeof images);
    images.c = g->images.channels;
    images.h = g->images.height;
    images.w = g->images.width;
    return images;
}

static int32_t graph_push(graph *g, const graph_layer *layer) {
    g->work += 8 * layer->c * layer->h * layer->w;
    g->layer[g->layers] = *layer;
    return ++g->layers;
}

/* A layer of this kind on a value, with the value's shape. */
static graph_layer graph_on(const graph *g, graph_kind kind, int32_t value) {
    graph_layer l = graph_value(g, value);
    const int64_t c = l.c, h = l.h, w = l.w;
    const int flat = l.flat;
    memset(&l, 0, sizeof l);
    l.kind = kind;
    l.in[0] = value;
    l.in[1] = -1;
    l.c = c;
    l.h = h;
    l.w = w;
    l.flat = flat;
    return l;
}

static void graph_same_padding(const graph_layer *in, prun_conv2d *conv) {
    int axis;
    for (axis = 0; axis < 2; axis++) {
        const int64_t size = axis == 0 ? in->h : in->w, stride = conv->stride[axis];
        int64_t total = ((size + stride - 1) / stride - 1) * stride + conv->kernel[axis] - size;
        if (total < 0) total = 0;
        conv->padding[axis] = total / 2;
        conv->padding[axis + 2] = total - total / 2;
    }
}

/* Adds a convolution: half of them are usual ones, the others of any size. Returns 0 if none
   fits. */
static int32_t graph_add_conv(graph *g, graph_random *r, int32_t value, int64_t channels) {
    graph_layer l = graph_on(g, GRAPH_CONV, value), in = graph_value(g, value);
    prun_conv2d *conv = &l.conv;
    int axis;
    if (in.flat) return 0;
    conv->out_channels = channels;
    conv->stride[0] = conv->stride[1] = 1;
    if (graph_pick(r, 2)) {
        conv->kernel[0] = conv->kernel[1] = graph_rarely(r, 4) ? 1 + 4 * graph_pick(r, 2) : 3;
        conv->stride[0] = conv->stride[1] = graph_rarely(r, 3) ? 2 : 1;
        l.same = (int)graph_pick(r, 2);
        for (axis = 0; axis < 4; axis++) conv->padding[axis] = conv->kernel[0] / 2;
        if (l.same) graph_same_padding(&in, conv);
    } else {
        for (axis = 0; axis < 2; axis++) {
            conv->kernel[axis] = graph_between(r, 1, 5);
            conv->stride[axis] = graph_rarely(r, 2) ? 1 : graph_between(r, 1, 3);
        }
        for (axis = 0; axis < 4; axis++) conv->padding[axis] = graph_between(r, 0, 3);
        if (graph_rarely(r, 3)) conv->kernel[1] = conv->kernel[0] = 3;
        if (graph_rarely(r, 3)) conv->stride[1] = conv->stride[0];
    }
    l.bias = !graph_rarely(r, 3);
    if (!l.same) l.conv.algorithm = (prun_algorithm)graph_pick(r, 3);
    conv->in_channels = in.c;
    conv->in_height = in.h;
    conv->in_width = in.w;
    l.c = channels;
    l.h = in.h + conv->padding[0] + conv->padding[2] - conv->kernel[0];
    l.w = in.w + conv->padding[1] + conv->padding[3] - conv->kernel[1];
    if (l.h < 0 || l.w < 0) return 0;
    l.h = l.h / conv->stride[0] + 1;
    l.w = l.w / conv->stride[1] + 1;
    if (l.h > GRAPH_SIDE || l.w > GRAPH_SIDE) return 0;
    g->work += in.c * channels * conv->kernel[0] * conv->kernel[1] * l.h * l.w;
    return graph_push(g, &l);
}

static int32_t graph_add_linear(graph *g, graph_random *r, int32_t value, int64_t features) {
    graph_layer l = graph_on(g, GRAPH_LINEAR, value);
    l.conv.in_channels = l.c;
    l.conv.in_height = l.conv.kernel[0] = l.h;
    l.conv.in_width = l.conv.kernel[1] = l.w;
    l.conv.stride[0] = l.conv.stride[1] = 1;
    l.conv.out_channels = features;
    l.bias = !graph_rarely(r, 4);
    g->work += l.c * l.h * l.w * features;
    l.c = features;
    l.h = l.w = 1;
    l.flat = 0;
    return graph_push(g, &l);
}

static int32_t graph_add_pool(graph *g, graph_random *r, int32_t value) {
    graph_layer l = graph_on(g, graph_pick(r, 2) ? GRAPH_MAX : GRAPH_AVG, value);
    if (l.flat) return 0;
    l.kernel = graph_between(r, 1, 4);
    l.stride = graph_rarely(r, 2) ? l.kernel : graph_between(r, 1, 3);
    l.padding = graph_rarely(r, 2) ? 0 : graph_between(r, 0, l.kernel / 2);
    if (l.kernel > l.h + 2 * l.padding || l.kernel > l.w + 2 * l.padding) return 0;
    l.h = (l.h + 2 * l.padding - l.kernel) / l.stride + 1;
    l.w = (l.w + 2 * l.padding - l.kernel) / l.stride + 1;
    return graph_push(g, &l);
}

static int32_t graph_add_simple(graph *g, graph_random *r, int32_t value, graph_kind kind) {
    graph_layer l = graph_on(g, kind, value);
    if (l.flat && (kind == GRAPH_NORM || kind == GRAPH_GLOBAL)) return 0;
    if (kind == GRAPH_NORM && graph_rarely(r, 3)) {
        l.epsilon = graph_pick(r, 2) ? 1e-3 : 0.1;
        l.momentum = graph_pick(r, 2) ? 1 : 0.01;
    }
    if (kind == GRAPH_DROPOUT) l.probability = (double)graph_pick(r, 8) / 8;
    if (kind == GRAPH_GLOBAL) l.h = l.w = 1;
    if (kind == GRAPH_FLATTEN) l.flat = l.h * l.w > 1;
    return graph_push(g, &l);
}

/* Adds a sum with any value of the same shape, often the latest one, or with itself if there is no
   other. */
static int32_t graph_add_sum(graph *g, graph_random *r, int32_t value) {
    graph_layer l = graph_on(g, GRAPH_ADD, value);
    int32_t other = value, v;
    for (v = value - 1; v >= 0; v--) {
        const graph_layer o = graph_value(g, v);
        if (o.c != l.c || o.h != l.h || o.w != l.w || o.flat != l.flat) continue;
        other = v;
        if (graph_pick(r, 2)) break;
    }
    if (graph_rarely(r, 10)) other = value;
    l.in[1] = other;
    if (graph_pick(r, 2)) {
        l.in[0] = other;
        l.in[1] = value;
    }
    return graph_push(g, &l);
}

/* Adds a random layer. Returns its value, or 0. */
static int32_t graph_grow(graph *g, graph_random *r, int32_t value) {
    const graph_layer in = graph_value(g, value);
    switch (graph_pick(r, 16)) {
        case 0:
        case 1:
        case 2:
        case 3:
            return graph_add_conv(g, r, value,
                                  graph_rarely(r, 3) ? in.c : graph_between(r, 1, g->widest));
        case 4:
        case 5: return graph_add_simple(g, r, value, GRAPH_NORM);
        case 6:
        case 7:
        case 8: return graph_add_simple(g, r, value, GRAPH_RELU);
        case 9:
        case 10: return graph_add_pool(g, r, value);
        case 11:
        case 12: return graph_add_sum(g, r, value);
        case 13: return graph_add_simple(g, r, value, GRAPH_DROPOUT);
        case 14:
            if (graph_pick(r, 3))
                return graph_add_linear(g, r, value, graph_between(r, 1, g->widest));
            return graph_add_simple(g, r, value, GRAPH_GLOBAL);
        default: return graph_rarely(r, 3) ? graph_add_simple(g, r, value, GRAPH_FLATTEN) : 0;
    }
}

/* Adds layers from a value to logits, in one of several ways. */
static int32_t graph_add_head(graph *g, graph_random *r, int32_t value, int64_t classes) {
    const graph_layer in = graph_value(g, value);
    int32_t v, other;
    switch (graph_pick(r, 6)) {
        case 0: /* a convolution and the mean over its positions */
            v = graph_add_conv(g, r, value, classes);
            if (v == 0) break;
            return graph_add_simple(g, r, v, GRAPH_GLOBAL);
        case 1: /* the mean, and a linear layer */
            if (in.flat) break;
            return graph_add_linear(g, r, graph_add_simple(g, r, value, GRAPH_GLOBAL), classes);
        case 2:
            return graph_add_linear(g, r, graph_add_simple(g, r, value, GRAPH_FLATTEN), classes);
        case 3: /* two heads added */
            other = (int32_t)graph_pick(r, value + 1);
            v = graph_add_linear(g, r, value, classes);
            return graph_add_sum(g, r, graph_add_linear(g, r, other, classes));
        case 4: /* logits that are normalised or dropped */
            v = graph_add_linear(g, r, value, classes);
            return graph_add_simple(g, r, v, graph_pick(r, 2) ? GRAPH_NORM : GRAPH_DROPOUT);
        default: break;
    }
    return graph_add_linear(g, r, value, classes);
}

static void graph_number_tensors(graph *g) {
    int32_t i;
    g->tensors = 0;
    g->parameters = 0;
    for (i = 0; i < g->layers; i++) {
        graph_layer *l = &g->layer[i];
        const prun_conv2d *s = &l->conv;
        l->tensor = g->tensors;
        l->parameters = g->parameters;
        if (l->kind == GRAPH_CONV || l->kind == GRAPH_LINEAR) {
            g->tensors += l->bias ? 2 : 1;
            g->parameters += s->out_channels *
                             (s->in_channels * s->kernel[0] * s->kernel[1] + (l->bias ? 1 : 0));
        } else if (l->kind == GRAPH_NORM) {
            g->tensors += 4;
            g->parameters += 2 * l->c;
        }
    }
}

/* ---- images ---- */

/* Blackens a border, a rectangle, all but a few pixels, or everything. */
static void graph_blacken(graph_random *r, int64_t h, int64_t w, float *plane) {
    const int64_t kind = graph_pick(r, 5);
    const int64_t border = graph_between(r, 1, 5), i0 = graph_pick(r, h), j0 = graph_pick(r, w);
    int64_t i, j;
    for (i = 0; i < h; i++)
        for (j = 0; j < w; j++) {
            int black = i < border || j < border || h - i <= border || w - j <= border;
            if (kind == 1) black = i >= i0 && j >= j0;
            if (kind == 2) black = i <= i0 || j <= j0;
            if (kind == 3) black = graph_uniform(r) < 0.9;
            if (kind == 4 && graph_uniform(r) < 0.5) black = 1;
            if (black) plane[i * w + j] = 0;
        }
}

static void graph_draw_images(graph *g, graph_random *r) {
    prun_images *m = &g->images;
    const int64_t plane = m->height * m->width, size = m->channels * plane;
    const int bytes = graph_rarely(r, 3), dark = graph_rarely(r, 3);
    int64_t i, c;
    for (i = 0; i < m->count * size; i++)
        g->values[i] = (float)(bytes ? graph_uniform(r) : graph_normal(r));
    for (i = 0; dark && i < m->count; i++) {
        const graph_random same = *r; /* black at the same places in every channel */
        graph_random again = same;
        for (c = 0; c < m->channels; c++) {
            again = same;
            graph_blacken(&again, m->height, m->width, g->values + i * size + c * plane);
        }
        *r = again;
    }
    for (i = 0; i < m->count * size; i++)
        g->pixels[i] = bytes ? (uint8_t)(255 * g->values[i] + 0.5f) : 0;
    if (bytes) m->pixels = g->pixels;
    else m->values = g->values;
    m->normalization = PRUN_NORMALIZATION_NONE;
    if (!dark && graph_rarely(r, 3)) {
        m->normalization = PRUN_NORMALIZATION_PER_IMAGE;
        if (m->channels <= PRUN_MAX_IMAGE_CHANNELS && graph_pick(r, 2))
            m->normalization = PRUN_NORMALIZATION_MEAN_STD;
    }
    for (c = 0; c < PRUN_MAX_IMAGE_CHANNELS; c++) {
        m->mean[c] = (float)graph_uniform(r);
        m->std[c] = 0.1f + (float)graph_uniform(r);
    }
    for (i = 0; i < m->count; i++) g->labels[i] = (int32_t)graph_pick(r, m->classes);
    m->labels = g->labels;
}

/* Samples: a random list, with repetitions and in any order. */
static void graph_draw_index(graph *g, graph_random *r) {
    int64_t i;
    g->n = graph_rarely(r, 2) ? g->images.count : graph_between(r, 1, g->images.count);
    for (i = 0; i < g->n; i++) g->index[i] = graph_pick(r, g->images.count);
}

/* ---- a graph ---- */

/* Draws everything except the parameters. `work` limits the multiplications of a pass. A tiny graph
   has few parameters. */
static void graph_draw(graph *g, graph_random *r, int64_t work, int tiny) {
    const int64_t wanted = graph_between(r, 0, tiny ? 5 : 12);
    int64_t i, count, most;
    int32_t value = 0, next;
    memset(g, 0, sizeof *g);
    g->images.channels = graph_rarely(r, 3) ? graph_between(r, 1, 5) : graph_between(r, 1, 3);
    g->images.height = graph_rarely(r, 4) ? graph_between(r, 1, 13) : graph_between(r, 4, 9);
    g->images.width = graph_rarely(r, 2) ? g->images.height : graph_between(r, 1, 13);
    g->images.classes = graph_rarely(r, 4) ? graph_between(r, 2, 12) : graph_between(r, 2, 5);
    g->widest = tiny ? 2 : 8;
    if (tiny) {
        g->images.channels = 1;
        g->images.classes = 2 + g->images.classes % 2;
        g->images.height = 1 + g->images.height % 4;
        g->images.width = 1 + g->images.width % 4;
    }
    for (i = 0; i < wanted; i++) {
        next = graph_grow(g, r, graph_rarely(r, 5) ? (int32_t)graph_pick(r, value + 1) : value);
        if (next > 0) value = next;
    }
    if (graph_rarely(r, 5)) value = (int32_t)graph_pick(r, value + 1); /* the rest leads nowhere */
    g->output = graph_add_head(g, r, value, g->images.classes);
    if (graph_rarely(r, 16)) g->output = graph_add_simple(g, r, g->output, GRAPH_RELU);
    if (graph_rarely(r, 8)) graph_add_simple(g, r, g->output, GRAPH_RELU); /* another reader */
    if (graph_rarely(r, 8)) graph_add_linear(g, r, (int32_t)graph_pick(r, g->output + 1), 3);
    graph_number_tensors(g);
    count = work / (g->work + 1);
    most = tiny && graph_rarely(r, 4) ? GRAPH_IMAGES : 40;
    count = count < 2 ? 2 : count > most ? most : count;
    g->images.count = graph_between(r, graph_rarely(r, 8) ? 1 : count / 2, count);
    graph_draw_images(g, r);
    graph_draw_index(g, r);
}

/* Calls the builder. Returns 0 if the library rejects a valid layer. */
static int32_t graph_call(const graph *g, int32_t i, prun_net *net) {
    const graph_layer *l = &g->layer[i];
    prun_conv2d_options options;
    char name[16];
    snprintf(name, sizeof name, "layer%d", (int)i);
    switch (l->kind) {
        case GRAPH_CONV:
            if (l->same)
                return prun_layer_conv2d_with(
                    net, l->in[0], name,
                    &(prun_conv2d_options){.channels = l->c,
                                           .kernel = {l->conv.kernel[0]},
                                           .stride = {l->conv.stride[0]},
                                           .padding_mode = PRUN_PADDING_SAME,
                                           .omit_bias = !l->bias});
            memset(&options, 0, sizeof options);
            options.channels = l->c;
            memcpy(options.kernel, l->conv.kernel, sizeof options.kernel);
            memcpy(options.stride, l->conv.stride, sizeof options.stride);
            memcpy(options.padding, l->conv.padding, sizeof options.padding);
            options.algorithm = l->conv.algorithm;
            options.omit_bias = !l->bias;
            return prun_layer_conv2d_with(net, l->in[0], name, &options);
        case GRAPH_LINEAR: return prun_layer_linear(net, l->in[0], name, l->c, l->bias);
        case GRAPH_NORM: return prun_layer_batch_norm(net, l->in[0], name, l->epsilon, l->momentum);
        case GRAPH_RELU: return prun_layer_relu(net, l->in[0]);
        case GRAPH_MAX: return prun_layer_max_pool(net, l->in[0], l->kernel, l->stride, l->padding);
        case GRAPH_AVG: return prun_layer_avg_pool(net, l->in[0], l->kernel, l->stride, l->padding);
        case GRAPH_GLOBAL: return prun_layer_global_avg_pool(net, l->in[0]);
        case GRAPH_DROPOUT: return prun_layer_dropout(net, l->in[0], l->probability);
        case GRAPH_ADD: return prun_layer_add(net, l->in[0], l->in[1]);
        default: return prun_layer_flatten(net, l->in[0]);
    }
}

static prun_status graph_build(const graph *g, prun_context *context, prun_net **net) {
    prun_status status =
        prun_net_create(context, g->images.channels, g->images.height, g->images.width, net);
    int32_t i;
    if (status != PRUN_OK) return status;
    for (i = 0; i < g->layers; i++) graph_call(g, i, *net);
    status = prun_net_finish(*net, g->output, 1);
    if (status != PRUN_OK) prun_net_free(*net);
    return status;
}

/* ---- parameters ---- */

/* Kernels with zeros, zero filters and random scales; biases of all sizes. */
static void graph_draw_kernel(graph_random *r, const graph_layer *l, const prun_tensor *t) {
    static const double sparsities[8] = {0, 0, 0, 0.05, 0.5, 0.5, 0.9, 0};
    const int64_t fan = prun_tensor_size(t) / t->shape[0];
    const double sparsity = sparsities[graph_pick(r, 8)];
    double scale = sqrt(2 / (double)fan);
    int64_t o, i, size;
    if (graph_rarely(r, 8)) scale *= pow(10, 4 * graph_uniform(r) - 2);
    for (o = 0; o < t->shape[0]; o++) {
        const int dead = graph_uniform(r) < (sparsity > 0 ? 0.2 : 0.03);
        for (i = o * fan; i < (o + 1) * fan; i++) {
            const double v = scale * graph_normal(r);
            t->data[i] = dead || graph_uniform(r) < sparsity ? 0.0f : (float)v;
            if (t->data[i] == 0 && graph_uniform(r) < 0.1) t->data[i] = -0.0f;
        }
    }
    if (!l->bias) return;
    size = graph_pick(r, 6);
    for (o = 0; o < t->shape[0]; o++)
        t[1].data[o] = size == 0 ? 0.0f : (float)((size == 1 ? 3 : 0.3) * graph_normal(r));
}

/* Statistics as after training: roughly, but not exactly, those of the layer's input. */
static void graph_draw_norm(graph_random *r, const prun_tensor *t) {
    int64_t c;
    for (c = 0; c < t->shape[0]; c++) {
        t[0].data[c] = (float)(1 + 0.4 * graph_normal(r));
        t[1].data[c] = (float)(0.3 * graph_normal(r));
        t[2].data[c] = (float)(0.5 * graph_normal(r));
        t[3].data[c] = (float)(0.1 + 2 * graph_uniform(r) * graph_uniform(r));
    }
    if (graph_rarely(r, 6)) t[0].data[graph_pick(r, t->shape[0])] = 0;
}

static void graph_draw_parameters(const graph *g, graph_random *r, const prun_net *net) {
    int64_t count;
    const prun_tensor *t = prun_net_tensors(net, &count);
    int32_t i;
    for (i = 0; i < g->layers; i++) {
        const graph_layer *l = &g->layer[i];
        if (l->kind == GRAPH_CONV || l->kind == GRAPH_LINEAR)
            graph_draw_kernel(r, l, t + l->tensor);
        if (l->kind == GRAPH_NORM) graph_draw_norm(r, t + l->tensor);
    }
}

/* ---- description ---- */

static void graph_print_layer(FILE *out, const graph *g, int32_t i) {
    const graph_layer *l = &g->layer[i];
    const prun_conv2d *s = &l->conv;
    fprintf(out, "  v%d = ", (int)i + 1);
    switch (l->kind) {
        case GRAPH_CONV:
            fprintf(out,
                    "conv2d(v%d, %lld, kernel %lldx%lld, stride %lldx%lld, padding %lld %lld %lld"
                    " %lld%s, algorithm %d, bias %d)",
                    (int)l->in[0], (long long)l->c, (long long)s->kernel[0],
                    (long long)s->kernel[1], (long long)s->stride[0], (long long)s->stride[1],
                    (long long)s->padding[0], (long long)s->padding[1], (long long)s->padding[2],
                    (long long)s->padding[3], l->same ? " (SAME)" : "", (int)s->algorithm, l->bias);
            break;
        case GRAPH_LINEAR:
            fprintf(out, "linear(v%d, %lld, bias %d)", (int)l->in[0], (long long)l->c, l->bias);
            break;
        case GRAPH_NORM:
            fprintf(out, "batch_norm(v%d, epsilon %g, momentum %g)", (int)l->in[0], l->epsilon,
                    l->momentum);
            break;
        case GRAPH_MAX:
        case GRAPH_AVG:
            fprintf(out, "%s_pool(v%d, kernel %lld, stride %lld, padding %lld)",
                    l->kind == GRAPH_MAX ? "max" : "avg", (int)l->in[0], (long long)l->kernel,
                    (long long)l->stride, (long long)l->padding);
            break;
        case GRAPH_DROPOUT: fprintf(out, "dropout(v%d, %g)", (int)l->in[0], l->probability); break;
        case GRAPH_ADD: fprintf(out, "add(v%d, v%d)", (int)l->in[0], (int)l->in[1]); break;
        default:
            fprintf(out, "%s(v%d)",
                    l->kind == GRAPH_RELU      ? "relu"
                    : l->kind == GRAPH_FLATTEN ? "flatten"
                                               : "global_avg_pool",
                    (int)l->in[0]);
    }
    fprintf(out, "  -> %lld x %lld x %lld\n", (long long)l->c, (long long)l->h, (long long)l->w);
}

static void graph_print(FILE *out, const graph *g) {
    static const char *const algorithms[3] = {"AUTO", "DIRECT", "WINOGRAD"};
    const prun_images *m = &g->images;
    int32_t i;
    fprintf(out,
            "%lld images %lld x %lld x %lld (%s, normalization %d), %lld classes, batch of "
            "%lld, %s, %s\n",
            (long long)m->count, (long long)m->channels, (long long)m->height, (long long)m->width,
            m->pixels ? "bytes" : "floats", (int)m->normalization, (long long)m->classes,
            (long long)g->n, g->isa, algorithms[g->algorithm]);
    for (i = 0; i < g->layers; i++) graph_print_layer(out, g, i);
    fprintf(out, "  output v%d; %lld parameters\n", (int)g->output, (long long)g->parameters);
}

#endif
