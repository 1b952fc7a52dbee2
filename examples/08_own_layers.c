/* 08_own_layers.c - builds a network layer by layer, with residual connections, and trains it.

       cc -O2 examples/08_own_layers.c -o layers -lm && ./layers          (from the root)

   prints (other processors round differently, and training amplifies it: expect other digits):

       9574 parameters, 9420 of them weights that can be pruned
       train: loss 0.2268, accuracy 92.5 %
       test: loss 0.4299, accuracy 84.4 %
*/
#define PRUNABILITY_STATIC /* static functions: unused ones are left out of the program */
#define PRUNABILITY_IMPLEMENTATION
#include "../prunability.h"

#include <stdio.h>
#include <stdlib.h>

#define DATA "examples/data/fashion-mnist-"

static prun_context context;

static void check(prun_status status) {
    if (status == PRUN_OK) return;
    fprintf(stderr, "error: %s\n", prun_message(&context));
    if (status == PRUN_ERR_OPEN) fprintf(stderr, "start this program from the project's root\n");
    exit(1);
}

/* Convolution 3x3, batch norm, ReLU. A layer function takes the number of its input value and
   returns that of its output. Errors are kept for prun_net_finish, so nothing is checked here. */
static int32_t conv_block(prun_net *net, int32_t v, int number, int64_t channels, int64_t stride) {
    char name[32];

    snprintf(name, sizeof name, "block%d.conv", number); /* tensors "block0.conv.weight", ... */
    v = prun_layer_conv2d_with(net, v, name,
                               &(prun_conv2d_options){.channels = channels,
                                                      .kernel = {3},
                                                      .stride = {stride},
                                                      .padding = {1, 1, 1, 1},
                                                      .omit_bias = 1});
    snprintf(name, sizeof name, "block%d.norm", number);
    v = prun_layer_batch_norm(net, v, name, 0, 0);
    return prun_layer_relu(net, v);
}

static prun_net *build(void) {
    prun_net *net;
    int32_t v, shortcut;

    check(prun_net_create(&context, 1, 28, 28, &net));
    v = conv_block(net, PRUN_INPUT, 0, 12, 2); /* 14x14 */
    shortcut = v;
    v = conv_block(net, v, 1, 12, 1);
    v = prun_layer_add(net, v, shortcut); /* the block learns what to add to its input */
    v = conv_block(net, v, 2, 24, 2);     /* 7x7 */
    shortcut = v;
    v = conv_block(net, v, 3, 24, 1);
    v = prun_layer_add(net, v, shortcut);
    v = prun_layer_global_avg_pool(net, v);
    v = prun_layer_dropout(net, v, 0.1);
    v = prun_layer_linear(net, v, "output", 10, 1);
    check(prun_net_finish(net, v, 1)); /* initialises the weights from seed 1 */
    return net;
}

static void report(const char *name, prun_net *net, const prun_images *images) {
    const double n = (double)images->count;
    double loss;
    int64_t wrong;

    check(prun_net_loss(net, images, NULL, images->count, NULL, &loss, &wrong));
    printf("%s: loss %.4f, accuracy %.1f %%\n", name, loss / n, 100 - 100 * (double)wrong / n);
}

int main(void) {
    const prun_train_options recipe = {.epochs = 20,
                                       .batch = 32,
                                       .learning_rate = 0.05,
                                       .momentum = 0.9,
                                       .schedule = PRUN_SCHEDULE_MADDOX}; /* see lesson 01 */
    prun_images train, test;
    prun_net *net = build();

    /* Pixels stay between 0 and 1: the network's batch norms adapt to any scale. */
    check(prun_images_load_idx(&context, DATA "train-images.idx3-ubyte",
                               DATA "train-labels.idx1-ubyte", NULL, &train));
    check(prun_images_load_idx(&context, DATA "test-images.idx3-ubyte",
                               DATA "test-labels.idx1-ubyte", NULL, &test));
    printf("%d parameters, %d of them weights that can be pruned\n",
           (int)prun_net_parameter_count(net), (int)prun_net_weight_count(net));
    check(prun_train(net, &train, &recipe, NULL));
    report("train", net, &train);
    report("test", net, &test);

    prun_net_free(net);
    prun_images_free(&train);
    prun_images_free(&test);
    return fflush(stdout) != 0;
}
