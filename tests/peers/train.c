/* train.c - trains a network of a family with the library, for PyTorch to evaluate.

       train cnn|nin|resnet18 WIDTH EPOCHS IMAGES.npy LABELS.npy TEST-IMAGES.npy TEST-LABELS.npy OUT

   Writes the training state to OUT (which is also a checkpoint) and prints "loss X" for the test
   set. */
#define PRUNABILITY_IMPLEMENTATION
#include "../../prunability.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static prun_context context;

static void check(prun_status status, const char *what) {
    if (status == PRUN_OK) return;
    fprintf(stderr, "train: %s: %s\n", what, prun_message(&context));
    exit(1);
}

int main(int argc, char **argv) {
    static const char *const families[3] = {"cnn", "nin", "resnet18"};
    prun_arch arch;
    prun_train_options options;
    prun_images train, test;
    prun_net *net;
    prun_trainer *trainer;
    double sum;
    int i, family = -1;
    for (i = 0; argc == 9 && i < 3; i++)
        if (strcmp(argv[1], families[i]) == 0) family = i;
    if (family < 0) {
        fprintf(stderr, "usage: train cnn|nin|resnet18 WIDTH EPOCHS IMAGES LABELS TEST-IMAGES "
                        "TEST-LABELS OUT\n");
        return 2;
    }
    check(prun_images_load_npy(&context, argv[4], argv[5], NULL, &train), "training set");
    check(prun_images_load_npy(&context, argv[6], argv[7], NULL, &test), "test set");
    memset(&arch, 0, sizeof arch);
    arch.family = (prun_family)family;
    arch.width = atoi(argv[2]);
    arch.image_channels = train.channels;
    arch.classes = train.classes;
    arch.dropout = family == PRUN_FAMILY_NIN ? 0.1 : 0;
    arch.seed = 5;
    memset(&options, 0, sizeof options);
    options.momentum = 0.9;
    options.batch = 32;
    options.augment.crop_padding = 1;
    options.weight_decay = 1e-4;
    check(prun_net_create_family(&context, &arch, &net), "network");
    check(prun_trainer_create(net, &train, &options, &trainer), "trainer");
    for (i = 0; i < atoi(argv[3]); i++) check(prun_trainer_run_epoch(trainer, NULL), "training");
    check(prun_trainer_save_safetensors(trainer, argv[8]), "saving");
    check(prun_net_loss(net, &test, NULL, test.count, NULL, &sum, NULL), "loss");
    printf("loss %.10g\n", sum / (double)test.count);
    prun_trainer_free(trainer);
    prun_net_free(net);
    prun_images_free(&train);
    prun_images_free(&test);
    return 0;
}
