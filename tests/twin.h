/* twin.h - a network built twice, with the library's builder and as a list of the operations of
   reference.h. */
#ifndef TEST_TWIN_H_INCLUDED
#define TEST_TWIN_H_INCLUDED

#include "networks.h"

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
    double *mean, *variance; /* batch norm: used for the normalisation */
} node;

typedef struct twin {
    prun_net *net;
    node nodes[MAX_NODES];
    int count, tensors;
    int ready; /* finished without an error */
} twin;

static inline int push_node(twin *t, node_kind kind, int a, int b, int64_t c, int64_t h,
                            int64_t w) {
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

static inline void start_twin(twin *t, int64_t c, int64_t h, int64_t w) {
    memset(t, 0, sizeof(*t));
    test_context.threads = 1; /* tiny nets: waking threads would take all the time */
    CHECK_STATUS(prun_net_create(&test_context, c, h, w, &t->net), PRUN_OK);
    push_node(t, NODE_INPUT, 0, 0, c, h, w);
    t->nodes[0].value = PRUN_INPUT;
}

/* A node with a sliding window: the output size follows from the geometry. */
static inline int push_window(twin *t, node_kind kind, int a, int64_t channels,
                              const ref_window *g) {
    ref_tensor x = {0, 0, 0, 0, NULL};
    int v;
    x.h = t->nodes[a].h;
    x.w = t->nodes[a].w;
    v = push_node(t, kind, a, 0, channels, ref_out_height(&x, g), ref_out_width(&x, g));
    t->nodes[v].window = *g;
    return v;
}

static inline ref_window square_window(int64_t kernel, int64_t stride, int64_t padding) {
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

static inline layer_name name_of(const twin *t, const char *kind) {
    layer_name name;
    snprintf(name.text, sizeof(name.text), "%s%d", kind, t->count);
    return name;
}

static inline int finish_conv(twin *t, int v, int bias, int32_t value) {
    t->nodes[v].bias = bias;
    t->nodes[v].value = value;
    t->tensors += 1 + bias;
    return v;
}

static inline int twin_conv(twin *t, int a, int64_t channels, int64_t kernel, int64_t stride,
                            int64_t padding, int bias) {
    ref_window g = square_window(kernel, stride, padding);
    layer_name name = name_of(t, "conv");
    int v = push_window(t, NODE_CONV, a, channels, &g);
    return finish_conv(t, v, bias,
                       prun_layer_conv2d_with(
                           t->net, t->nodes[a].value, name.text,
                           &(prun_conv2d_options){.channels = channels,
                                                  .kernel = {kernel},
                                                  .stride = {stride},
                                                  .padding = {padding, padding, padding, padding},
                                                  .omit_bias = !bias}));
}

static inline int twin_linear(twin *t, int a, int64_t features, int bias) {
    layer_name name = name_of(t, "linear");
    int v = push_node(t, NODE_LINEAR, a, 0, features, 1, 1);
    return finish_conv(t, v, bias,
                       prun_layer_linear(t->net, t->nodes[a].value, name.text, features, bias));
}

static inline int twin_norm(twin *t, int a, double epsilon, double momentum) {
    const node *x = &t->nodes[a];
    layer_name name = name_of(t, "norm");
    int v = push_node(t, NODE_NORM, a, 0, x->c, x->h, x->w);
    t->nodes[v].epsilon = epsilon != 0 ? epsilon : 1e-5;
    t->nodes[v].momentum = momentum != 0 ? momentum : 0.1;
    t->nodes[v].value = prun_layer_batch_norm(t->net, x->value, name.text, epsilon, momentum);
    t->tensors += 4;
    return v;
}

static inline int twin_relu(twin *t, int a) {
    const node *x = &t->nodes[a];
    int v = push_node(t, NODE_RELU, a, 0, x->c, x->h, x->w);
    t->nodes[v].value = prun_layer_relu(t->net, x->value);
    return v;
}

static inline int twin_max(twin *t, int a, int64_t kernel, int64_t stride, int64_t padding) {
    ref_window g = square_window(kernel, stride != 0 ? stride : kernel, padding);
    int v = push_window(t, NODE_MAX_POOL, a, t->nodes[a].c, &g);
    t->nodes[v].value = prun_layer_max_pool(t->net, t->nodes[a].value, kernel, stride, padding);
    return v;
}

static inline int twin_avg(twin *t, int a, int64_t kernel, int64_t stride, int64_t padding) {
    ref_window g = square_window(kernel, stride != 0 ? stride : kernel, padding);
    int v = push_window(t, NODE_AVG_POOL, a, t->nodes[a].c, &g);
    t->nodes[v].value = prun_layer_avg_pool(t->net, t->nodes[a].value, kernel, stride, padding);
    return v;
}

static inline int twin_add(twin *t, int a, int b) {
    const node *x = &t->nodes[a];
    int v = push_node(t, NODE_ADD, a, b, x->c, x->h, x->w);
    t->nodes[v].value = prun_layer_add(t->net, x->value, t->nodes[b].value);
    return v;
}

static inline int twin_flatten(twin *t, int a) {
    const node *x = &t->nodes[a];
    int v = push_node(t, NODE_FLATTEN, a, 0, x->c * x->h * x->w, 1, 1);
    t->nodes[v].value = prun_layer_flatten(t->net, x->value);
    return v;
}

/* Ends building. Every tensor, statistics included, gets random values that reveal a mix-up. */
static inline int finish_twin(twin *t, int output) {
    const prun_tensor *tensors;
    int64_t count, k, i;
    if (!CHECK_STATUS(prun_net_finish(t->net, t->nodes[output].value, 1), PRUN_OK)) return 0;
    tensors = prun_net_tensors(t->net, &count);
    if (!CHECK(count == t->tensors)) return 0;
    for (k = 0; k < count; k++) {
        for (i = 0; i < prun_tensor_size(&tensors[k]); i++) {
            double u = ref_noise(&noise_state);
            if (tensors[k].flags & PRUN_TENSOR_NORM) tensors[k].data[i] += (float)(0.5 * u);
            if (tensors[k].flags & PRUN_TENSOR_STATISTIC) tensors[k].data[i] += (float)(0.4 * u);
        }
    }
    return t->ready = CHECK(output == t->count - 1);
}

/* A small twin and images for it */

/* conv-bn-relu-maxpool-conv-bn-relu-add-avgpool-linear. */
static inline void net_small_resnet(twin *t) {
    int v, w;
    start_twin(t, 3, 12, 12);
    v = twin_relu(t, twin_norm(t, twin_conv(t, 0, 8, 3, 1, 1, 0), 0, 0));
    v = twin_max(t, v, 2, 0, 0);
    w = twin_relu(t, twin_norm(t, twin_conv(t, v, 8, 3, 1, 1, 0), 0, 0));
    v = twin_avg(t, twin_add(t, w, v), 3, 0, 0);
    finish_twin(t, twin_linear(t, twin_flatten(t, v), 10, 1));
}

static inline dataset set_for(const twin *t, int64_t n) {
    const node *x = &t->nodes[0];
    return make_set(n, x->c, x->h, x->w, t->nodes[t->count - 1].c);
}

#endif
