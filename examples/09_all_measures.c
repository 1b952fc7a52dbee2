/* 09_all_measures.c - computes all quick measures of two networks. The second generalizes worse,
   because a third of its training labels are wrong. How many measures of each family show it? Slow
   ones, such as prunability, are left out.

       cc -O2 examples/09_all_measures.c -o measures -lm && ./measures          (from the root)

   prints (other processors round differently, and training amplifies it: expect other digits):

       right labels: test error 20.9 %
       wrong labels: test error 44.2 %
       losses and logits: 2 of 2
       norms: 21 of 21
       spectra of weights: 10 of 10
       representations and inputs: 8 of 8
       training: 0 of 2
       margins: 25 of 25
*/
#define PRUNABILITY_STATIC /* static functions: unused ones are left out of the program */
#define PRUNABILITY_IMPLEMENTATION
#include "../prunability.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DATA "examples/data/fashion-mnist-train-"
enum { EPOCHS = 30, IMAGES = 300, MOST = 1000 };

static prun_context context;
static prun_images train, test;
static uint8_t wanted[MOST]; /* by the place in the table of all measures */
static prun_measure_result right[MOST], wrong[MOST];

static void check(prun_status status) {
    if (status == PRUN_OK) return;
    fprintf(stderr, "error: %s\n", prun_message(&context));
    if (status == PRUN_ERR_OPEN) fprintf(stderr, "start this program from the project's root\n");
    exit(1);
}

/* Trains a network and computes the wanted measures. */
static void measure(const char *title, prun_measure_result *results) {
    const prun_arch arch = {.family = PRUN_FAMILY_CNN, .width = 8, .image_channels = 1, .seed = 1};
    const prun_train_options recipe = {
        .epochs = EPOCHS, .batch = 32, .learning_rate = 0.02, .momentum = 0.9};
    prun_epoch history[EPOCHS];
    const prun_measure_options options = {.history = history, .epochs = EPOCHS};
    int64_t errors, tensors;
    prun_objective objective;
    prun_net *net, *initial;
    check(prun_net_create_family(&context, &arch, &net));
    check(prun_net_copy(net, 0, &initial)); /* for the distances from initialization */
    check(prun_train(net, &train, &recipe, history));
    check(prun_net_loss(net, &test, NULL, test.count, NULL, NULL, &errors));
    printf("%s labels: test error %.1f %%\n", title, 100 * (double)errors / (double)test.count);
    check(prun_net_objective(net, &train, &objective));
    objective.initial = prun_net_trained_tensors(initial, &tensors);
    check(prun_measure_all(&objective, wanted, &options, results));
    prun_net_free(initial);
    prun_net_free(net);
}

/* Counts the measures of a family that change in the direction that their source expects. */
static void count_family(const prun_measure_info *info, int64_t count, const char *family) {
    int all = 0, agree = 0;
    for (int64_t i = 0; i < count; i++) {
        const double change = wrong[i].value - right[i].value; /* NaN: undefined for one of them */
        if (!wanted[i] || strcmp(info[i].family, family) != 0) continue;
        all += change * info[i].direction != 0 && change == change;
        agree += change * info[i].direction > 0;
    }
    if (all > 0) printf("%s: %d of %d\n", family, agree, all);
}

int main(void) {
    const prun_idx_options padded = {.pad_to = 32};
    static int32_t label[IMAGES];
    int64_t count, i, k;
    const prun_measure_info *info = prun_measures(&count);
    prun_images images;
    check(prun_images_load_idx(&context, DATA "images.idx3-ubyte", DATA "labels.idx1-ubyte",
                               &padded, &images));
    check(prun_images_standardize(&context, &images));
    train = test = images; /* the first images; the rest of the file serves as test images */
    train.count = IMAGES;
    test.pixels += IMAGES * images.channels * images.height * images.width;
    test.labels += IMAGES;
    test.count -= IMAGES;
    for (i = 0; i < count; i++) wanted[i] = !(info[i].traits & PRUN_TRAIT_SLOW);
    measure("right", right);
    for (i = 0; i < IMAGES; i++) /* every third label is replaced by another class */
        label[i] = (train.labels[i] + (int32_t)(i % 3 == 0 ? 1 + i / 3 % 9 : 0)) % 10;
    train.labels = label;
    measure("wrong", wrong);
    for (i = 0; i < count; i++) { /* each family once */
        for (k = 0; strcmp(info[k].family, info[i].family) != 0; k++) continue;
        if (k == i) count_family(info, count, info[i].family);
    }
    prun_images_free(&images);
    return fflush(stdout) != 0;
}
