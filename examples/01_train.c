/* 01_train.c - loads images, trains a small convolutional network, and evaluates it.

       cc -O2 examples/01_train.c -o train -lm && ./train          (from the project's root)

   With -fopenmp, this and the other lessons use all cores and give the same result. The program
   prints (other processors round differently, and training amplifies it: expect other digits):

       4000 images, 25274 parameters
       epoch  1 of 10: learning rate 0.0200, loss 1.1000
       epoch  2 of 10: learning rate 0.0200, loss 0.6423
       epoch  3 of 10: learning rate 0.0200, loss 0.5260
       epoch  4 of 10: learning rate 0.0200, loss 0.4407
       epoch  5 of 10: learning rate 0.0200, loss 0.4111
       epoch  6 of 10: learning rate 0.0200, loss 0.3595
       epoch  7 of 10: learning rate 0.0151, loss 0.2930
       epoch  8 of 10: learning rate 0.0101, loss 0.2263
       epoch  9 of 10: learning rate 0.0051, loss 0.1715
       epoch 10 of 10: learning rate 0.0002, loss 0.1409
       train: loss 0.1264, accuracy 96.3 %
       test: loss 0.3485, accuracy 87.7 %
*/
#define PRUNABILITY_STATIC /* static functions: unused ones are left out of the program */
#define PRUNABILITY_IMPLEMENTATION
#include "../prunability.h"

#include <stdio.h>
#include <stdlib.h>

#define DATA "examples/data/fashion-mnist-"

static prun_context context; /* zero: default settings; also receives error messages */

/* Ends the program if a call failed. */
static void check(prun_status status) {
    if (status == PRUN_OK) return;
    fprintf(stderr, "error: %s\n", prun_message(&context));
    if (status == PRUN_ERR_OPEN) fprintf(stderr, "start this program from the project's root\n");
    exit(1);
}

/* Called after every epoch; a non-zero result would stop the training. */
static int on_epoch(void *user, const prun_epoch *epoch) {
    (void)user;
    printf("epoch %2d of %d: learning rate %.4f, loss %.4f\n", (int)epoch->epoch,
           (int)epoch->epochs, epoch->learning_rate, epoch->loss);
    fflush(stdout);
    return 0;
}

static void report(const char *name, prun_net *net, const prun_images *images) {
    const double n = (double)images->count;
    double loss; /* summed over the images */
    int64_t wrong;

    check(prun_net_loss(net, images, NULL, images->count, NULL, &loss, &wrong));
    printf("%s: loss %.4f, accuracy %.1f %%\n", name, loss / n, 100 - 100 * (double)wrong / n);
}

int main(void) {
    const prun_idx_options padded = {.pad_to = 32}; /* 28x28 becomes 32x32 */
    const prun_arch arch = {.family = PRUN_FAMILY_CNN, .width = 8, .image_channels = 1, .seed = 1};
    const prun_train_options recipe = {.epochs = 10,
                                       .batch = 32,
                                       .learning_rate = 0.02,
                                       .momentum = 0.9,
                                       .weight_decay = 1e-4,
                                       /* constant for half the time, then falling */
                                       .schedule = PRUN_SCHEDULE_MADDOX,
                                       .on_epoch = on_epoch};
    prun_images train, test;
    prun_net *net;

    check(prun_images_load_idx(&context, DATA "train-images.idx3-ubyte",
                               DATA "train-labels.idx1-ubyte", &padded, &train));
    check(prun_images_load_idx(&context, DATA "test-images.idx3-ubyte",
                               DATA "test-labels.idx1-ubyte", &padded, &test));
    check(prun_images_standardize(&context, &train));
    test.normalization = train.normalization; /* the test set uses the training set's constants */
    test.mean[0] = train.mean[0];
    test.std[0] = train.std[0];

    check(prun_net_create_family(&context, &arch, &net));
    printf("%d images, %d parameters\n", (int)train.count, (int)prun_net_parameter_count(net));
    check(prun_train(net, &train, &recipe, NULL));
    report("train", net, &train);
    report("test", net, &test);

    prun_net_free(net);
    prun_images_free(&train);
    prun_images_free(&test);
    return fflush(stdout) != 0;
}
