/* 02_prune.c - how many of a trained network's weights can be set to zero?

   Finds the prunability for four tolerances, then prunes the network for good.

       cc -O2 examples/02_prune.c -o prune -lm && ./prune          (from the project's root)

   prints (other processors round differently, and training amplifies it: expect other digits):

       training loss 0.2849 with all 24904 weights
       loss within  5 %:  74 % of the weights
       loss within 10 %:  70 % of the weights
       loss within 20 %:  61 % of the weights
       loss within 50 %:  49 % of the weights
       searched 101 fractions in the time of 22 evaluations
       pruned: 17433 weights are left, training loss 0.3097
*/
#define PRUNABILITY_STATIC /* static functions: unused ones are left out of the program */
#define PRUNABILITY_IMPLEMENTATION
#include "../prunability.h"

#include <stdio.h>
#include <stdlib.h>

#define DATA "examples/data/fashion-mnist-train-"

static prun_context context;

static void check(prun_status status) {
    if (status == PRUN_OK) return;
    fprintf(stderr, "error: %s\n", prun_message(&context));
    if (status == PRUN_ERR_OPEN) fprintf(stderr, "start this program from the project's root\n");
    exit(1);
}

int main(void) {
    const prun_idx_options padded = {.pad_to = 32};
    const prun_arch arch = {.family = PRUN_FAMILY_CNN, .width = 8, .image_channels = 1, .seed = 1};
    const prun_train_options recipe = {
        .epochs = 10, .batch = 32, .learning_rate = 0.02, .momentum = 0.9};
    const prun_prune_options options = {.beta = {0.05, 0.1, 0.2, 0.5}, .beta_count = 4};
    prun_images images;
    prun_net *net;
    prun_objective objective;
    prun_prunability found;
    int64_t kept;
    double sum;

    check(prun_images_load_idx(&context, DATA "images.idx3-ubyte", DATA "labels.idx1-ubyte",
                               &padded, &images));
    images.count = 2000; /* the first 2000 are enough here */
    check(prun_images_standardize(&context, &images));
    check(prun_net_create_family(&context, &arch, &net));
    check(prun_train(net, &images, &recipe, NULL));

    /* Every measure takes an objective: weights and a loss function. This one is a network on its
       training images; 03_own_network.c fills one in by hand. */
    check(prun_net_objective(net, &images, &objective));

    /* The smallest fraction of the weights that keeps the loss within each tolerance. The search
       restores the weights afterwards. */
    check(prun_prunability_search(&objective, &options, &found));
    printf("training loss %.4f with all %d weights\n", found.base_loss, (int)found.prunable);
    for (int i = 0; i < found.answer_count; i++)
        printf("loss within %2.0f %%: %3.0f %% of the weights\n", 100 * found.answer[i].beta,
               100 * found.answer[i].kept_fraction);
    printf("searched 101 fractions in the time of %.0f evaluations\n", found.passes);

    /* Prune for good, to the fraction found for 10 %. */
    check(prun_prune(&objective, found.answer[1].kept_fraction, NULL, &kept));
    check(prun_net_loss(net, &images, NULL, images.count, NULL, &sum, NULL));
    printf("pruned: %d weights are left, training loss %.4f\n", (int)kept,
           sum / (double)images.count);

    prun_net_free(net);
    prun_images_free(&images);
    return fflush(stdout) != 0;
}
