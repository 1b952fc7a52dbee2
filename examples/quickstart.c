/* quickstart.c - train a small network, then ask how much of it can be pruned away.
   From the project's root:   cc -O2 -fopenmp examples/quickstart.c -lm && ./a.out */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define PRUNABILITY_IMPLEMENTATION
#include "../prunability.h"

#define DATA "examples/data/fashion-mnist-"
static prun_context context; /* all zero: the defaults */

static void check(prun_status status) {
    if (status == PRUN_OK) return;
    fprintf(stderr, "error: %s\n", prun_message(&context));
    if (status == PRUN_ERR_OPEN)
        fprintf(stderr, "start this program from the project's root, where examples/data is\n");
    exit(1);
}

static void report(const char *name, prun_net *net, const prun_images *images) {
    double loss, n = (double)images->count;
    int64_t errors;
    check(prun_net_loss(net, images, NULL, images->count, NULL, &loss, &errors));
    printf("%s: loss %.4f, accuracy %.1f %%\n", name, loss / n, 100 - 100 * (double)errors / n);
}

/* The exit status for any arguments: there are no options. */
static int usage(char **argument) {
    int asked = 0;
    while (*++argument != NULL)
        asked |= strcmp(*argument, "--help") == 0 || strcmp(*argument, "-h") == 0;
    fprintf(asked ? stdout : stderr,
            "%susage: quickstart\n\nTrains a small CNN on the images in "
            "examples/data, and finds out how many of its weights\ncan be pruned. No options; "
            "start it from the project's root.\n",
            asked ? "" : "error: unexpected argument\n");
    return asked ? fflush(stdout) != 0 : 2;
}

int main(int argc, char **argv) {
    if (argc > 1) return usage(argv);
    prun_idx_options padded = {.pad_to = 32};
    prun_arch arch = {.family = PRUN_FAMILY_CNN, .width = 8, .image_channels = 1, .seed = 1};
    prun_train_options recipe = {.epochs = 10,
                                 .batch = 32,
                                 .learning_rate = 0.02,
                                 .momentum = 0.9,
                                 .weight_decay = 1e-4,
                                 .schedule = PRUN_SCHEDULE_MADDOX};
    prun_prune_options tolerances = {.beta = {0.05, 0.1, 0.2, 0.5}, .beta_count = 4};
    prun_images train, test;
    prun_net *net;
    prun_objective objective;
    prun_prunability found;

    check(prun_images_load_idx(&context, DATA "train-images.idx3-ubyte",
                               DATA "train-labels.idx1-ubyte", &padded, &train));
    check(prun_images_load_idx(&context, DATA "test-images.idx3-ubyte",
                               DATA "test-labels.idx1-ubyte", &padded, &test));
    check(prun_images_standardize(&context, &train));
    test.normalization = train.normalization; /* with the constants of the training set: */
    test.mean[0] = train.mean[0];
    test.std[0] = train.std[0];

    check(prun_net_create_cnn(&context, &arch, &net));
    check(prun_train(net, &train, &recipe, NULL));
    report("train", net, &train);
    report("test", net, &test);
    check(prun_net_objective(net, &train, &objective));
    check(prun_prunability_search(&objective, &tolerances, &found));
    for (const prun_prunability_answer *a = found.answer; a < found.answer + found.answer_count;
         a++)
        printf("+%2.0f %% loss: keep %3.0f %% of weights\n", 100 * a->beta, 100 * a->kept_fraction);
    prun_net_free(net);
    prun_images_free(&train);
    prun_images_free(&test);
    if (ferror(stdout) == 0 && fflush(stdout) == 0) return 0;
    fprintf(stderr, "error: standard output: cannot be written\n");
    return 1;
}
