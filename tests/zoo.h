/* zoo.h - small networks with every kind of layer, and degenerate networks whose measures are
   undefined. */
#ifndef TEST_ZOO_H_INCLUDED
#define TEST_ZOO_H_INCLUDED

#include "networks.h"

static inline prun_net *perceptron(int bias) {
    prun_net *net;
    int32_t v;
    test_context.threads = 1; /* too small for several threads */
    if (!CHECK_STATUS(prun_net_create(&test_context, 3, 1, 1, &net), PRUN_OK)) return NULL;
    v = prun_layer_linear(net, PRUN_INPUT, "W1", 2, bias);
    v = prun_layer_relu(net, v);
    v = prun_layer_linear(net, v, "W2", 2, bias);
    CHECK_STATUS(prun_net_finish(net, v, 1), PRUN_OK);
    return net;
}

/* ---- every kind of layer ---- */

/* The same images in each call, classes in turn. */
static inline dataset pictures(int64_t n, int64_t c, int64_t h, int64_t w, int64_t classes) {
    dataset p = new_set(n, c, h, w, classes);
    int64_t i;
    for (i = 0; i < n * c * h * w; i++)
        p.values[i] = (float)prun_random_normal(5, (uint64_t)h, (uint64_t)i);
    for (i = 0; i < n; i++) p.labels[i] = (int32_t)(i % classes);
    return p;
}

/* Random scales, shifts and statistics, so that batch norm does something. */
static inline void shake(prun_net *net) {
    int64_t count, i, k;
    const prun_tensor *t = prun_net_tensors(net, &count);
    for (i = 0; i < count; i++)
        for (k = 0; (t[i].flags & (PRUN_TENSOR_NORM | PRUN_TENSOR_STATISTIC)) && k < t[i].shape[0];
             k++)
            t[i].data[k] = (float)(0.5 + prun_random_uniform(9, (uint64_t)i, (uint64_t)k));
}

/* Every kind of layer: pools that overlap, an addition, dropout, batch norms that can be folded and
   one that cannot, and at the end a 1x1 bottleneck where the net can be cut. with_tail 0: the net
   ends there. */
static inline prun_net *zoo(int with_tail) {
    prun_net *net;
    int32_t v, skip;
    test_context.threads = 1;
    if (!CHECK_STATUS(prun_net_create(&test_context, 2, 9, 8, &net), PRUN_OK)) return NULL;
    v = prun_layer_conv2d(net, PRUN_INPUT, "stem", 4, 3, 1, 1);
    v = prun_layer_batch_norm(net, v, "stem_bn", 0, 0);
    v = skip = prun_layer_relu(net, v);
    v = prun_layer_conv2d_with(
        net, v, "body",
        &(prun_conv2d_options){
            .channels = 4, .kernel = {3}, .stride = {1}, .padding = {1, 1, 1, 1}, .omit_bias = 1});
    v = prun_layer_add(net, v, skip);
    v = prun_layer_batch_norm(net, v, "body_bn", 0, 0);
    v = prun_layer_relu(net, v);
    v = prun_layer_max_pool(net, v, 3, 2, 1);
    v = prun_layer_dropout(net, v, 0.5);
    v = prun_layer_avg_pool(net, v, 2, 1, 0);
    v = prun_layer_conv2d(net, v, "neck", 5, 3, 1, 0);
    v = prun_layer_relu(net, v);
    v = prun_layer_global_avg_pool(net, v);
    if (with_tail) {
        v = prun_layer_linear(net, v, "hidden", 6, 1);
        v = prun_layer_relu(net, v);
        v = prun_layer_linear(net, v, "out", 3, 1);
    }
    CHECK_STATUS(prun_net_finish(net, v, 3), PRUN_OK);
    shake(net);
    return net;
}

/* ---- degenerate networks ---- */

enum { ODD_SIDE = 8, ODD_IMAGES = 24, ODD_MEASURES = 300 };

typedef enum odd_kind {
    ODD_PLAIN,       /* two convolutions with norm and ReLU, one linear layer */
    ODD_DEAD_BRANCH, /* convolutions that do not lead to the logits, first and last */
    ODD_LINEAR,      /* no hidden layer */
    ODD_ONE_SAMPLE,
    ODD_POOLED_IMAGES, /* the images are read by a pool as well */
    ODD_NO_LOSS,       /* the base loss is 0 */
    ODD_CONSTANT,      /* the second convolution has the same input for all samples */
    ODD_BLACK,         /* the first one too */
    ODD_WRONG,         /* every margin is negative */
    ODD_ZERO_WEIGHTS,
    ODD_KINDS
} odd_kind;

typedef struct odd_net {
    prun_net *net;
    prun_images images;
    prun_objective objective;
    float pixels[ODD_IMAGES * ODD_SIDE * ODD_SIDE];
    int32_t labels[ODD_IMAGES];
} odd_net;

static inline void set_layer(prun_net *net, const char *name, float value) {
    int64_t count, i, k;
    const prun_tensor *t = prun_net_tensors(net, &count);
    for (i = 0; i < count; i++)
        for (k = 0; strcmp(t[i].name, name) == 0 && k < prun_tensor_size(&t[i]); k++)
            t[i].data[k] = value;
}

static inline int32_t odd_layers(prun_net *net, odd_kind kind, int32_t classes) {
    const prun_padding zeros = PRUN_PADDING_ZEROS;
    int32_t v = PRUN_INPUT, w;
    if (kind == ODD_LINEAR) return prun_layer_linear(net, v, "fc", classes, 1);
    if (kind == ODD_DEAD_BRANCH)
        prun_layer_conv2d_with(net, v, "dead",
                               &(prun_conv2d_options){.channels = 2,
                                                      .kernel = {3},
                                                      .stride = {1},
                                                      .padding = {1, 1, 1, 1},
                                                      .padding_mode = zeros});
    v = prun_layer_conv2d_with(net, v, "one",
                               &(prun_conv2d_options){.channels = 4,
                                                      .kernel = {3},
                                                      .stride = {1},
                                                      .padding = {1, 1, 1, 1},
                                                      .padding_mode = zeros,
                                                      .omit_bias = 1});
    v = prun_layer_batch_norm(net, v, "norm", 0, 0);
    v = prun_layer_relu(net, v);
    v = prun_layer_max_pool(net, v, 2, 2, 0);
    if (kind == ODD_POOLED_IMAGES) {
        w = prun_layer_conv2d_with(
            net, prun_layer_avg_pool(net, PRUN_INPUT, 2, 2, 0), "beside",
            &(prun_conv2d_options){
                .channels = 4, .kernel = {1}, .stride = {1}, .padding_mode = zeros});
        v = prun_layer_add(net, v, w);
    }
    v = prun_layer_relu(net, prun_layer_conv2d_with(net, v, "two",
                                                    &(prun_conv2d_options){.channels = 4,
                                                                           .kernel = {3},
                                                                           .stride = {1},
                                                                           .padding = {1, 1, 1, 1},
                                                                           .padding_mode = zeros}));
    w = prun_layer_linear(net, v, "fc", classes, 1);
    if (kind == ODD_DEAD_BRANCH)
        prun_layer_conv2d_with(net, v, "late",
                               &(prun_conv2d_options){.channels = 2,
                                                      .kernel = {3},
                                                      .stride = {1},
                                                      .padding = {1, 1, 1, 1},
                                                      .padding_mode = zeros});
    return w;
}

static inline int odd_make(odd_net *o, odd_kind kind) {
    const int32_t classes = 3;
    int64_t i, count;
    memset(o, 0, sizeof *o);
    for (i = 0; i < ODD_IMAGES * ODD_SIDE * ODD_SIDE; i++)
        o->pixels[i] = kind == ODD_BLACK ? 0.0f : (float)prun_random_normal(3, 1, (uint64_t)i);
    for (i = 0; i < ODD_IMAGES; i++) o->labels[i] = kind < ODD_NO_LOSS ? (int32_t)(i % classes) : 0;
    o->images.count = kind == ODD_ONE_SAMPLE ? 1 : ODD_IMAGES;
    o->images.channels = 1;
    o->images.height = o->images.width = ODD_SIDE;
    o->images.classes = classes;
    o->images.values = o->pixels;
    o->images.labels = o->labels;
    if (prun_net_create(&test_context, 1, ODD_SIDE, ODD_SIDE, &o->net) != PRUN_OK) return 0;
    if (!CHECK_STATUS(prun_net_finish(o->net, odd_layers(o->net, kind, classes), 5), PRUN_OK))
        return 0;
    if (kind >= ODD_NO_LOSS) { /* the last bias decides how well the only label is predicted */
        const prun_tensor *t = prun_net_tensors(o->net, &count);
        t[count - 1].data[0] = kind == ODD_WRONG ? -1000.0f : kind == ODD_NO_LOSS ? 1000.0f : 2.0f;
    }
    if (kind == ODD_CONSTANT) set_layer(o->net, "one.weight", 0.0f);
    if (kind == ODD_ZERO_WEIGHTS) {
        set_layer(o->net, "one.weight", 0.0f);
        set_layer(o->net, "two.weight", 0.0f);
        set_layer(o->net, "fc.weight", 0.0f);
    }
    return CHECK_STATUS(prun_net_objective(o->net, &o->images, &o->objective), PRUN_OK);
}

static inline const prun_measure_options *odd_options(void) {
    static prun_measure_options options;
    options.grid = 5;
    options.draws = 2;
    options.restarts = 1;
    options.hessian_steps = 3;
    options.hessian_probes = 1;
    return &options;
}

#endif
