/* 07_checkpoint.c - saves a training halfway, resumes it from the file, and reads the trained
   network back from a second checkpoint.

       cc -O2 examples/07_checkpoint.c -o checkpoint -lm && ./checkpoint          (from the root)

   prints (other processors round differently, and training amplifies it: expect other digits):

       epoch 1: running loss 1.812060
       epoch 2: running loss 0.987738
       epoch 3: running loss 0.902862
       epoch 4: running loss 0.633839
       mean loss at the end: 0.541269504
       resumed:
       epoch 3: running loss 0.902862
       epoch 4: running loss 0.633839
       mean loss at the end: 0.541269504
       read back, width 8: mean loss 0.541269504
*/
#define PRUNABILITY_STATIC /* static functions: unused ones are left out of the program */
#define PRUNABILITY_IMPLEMENTATION
#include "../prunability.h"

#include <stdio.h>
#include <stdlib.h>
#define DATA "examples/data/fashion-mnist-train-"
#define FILE_NAME "07_checkpoint.safetensors" /* removed at the end */
enum { EPOCHS = 4 };

static prun_context context;
static prun_images images;

static void check(prun_status status) {
    if (status == PRUN_OK) return;
    fprintf(stderr, "error: %s\n", prun_message(&context));
    if (status == PRUN_ERR_OPEN) fprintf(stderr, "start this program from the project's root\n");
    exit(1);
}

static double mean_loss(prun_net *net) {
    double sum;
    check(prun_net_loss(net, &images, NULL, images.count, NULL, &sum, NULL));
    return sum / (double)images.count;
}

/* Trains to the end. Resumes from `path`; if that is NULL, starts anew and saves halfway. */
static void train(prun_net *net, const char *path) {
    const prun_train_options recipe = {
        .epochs = EPOCHS, .batch = 32, .learning_rate = 0.02, .momentum = 0.9};
    prun_trainer *trainer;
    prun_epoch epoch;

    check(prun_trainer_create(net, &images, &recipe, &trainer));
    if (path != NULL) check(prun_trainer_load_safetensors(trainer, path));
    while (prun_trainer_epoch_count(trainer) < EPOCHS) {
        check(prun_trainer_run_epoch(trainer, &epoch));
        printf("epoch %d: running loss %.6f\n", (int)epoch.epoch, epoch.loss);
        if (path == NULL && epoch.epoch == EPOCHS / 2)
            check(prun_trainer_save_safetensors(trainer, FILE_NAME)); /* with the momentum */
    }
    prun_trainer_free(trainer);
    printf("mean loss at the end: %.9f\n", mean_loss(net));
}

int main(void) {
    const prun_idx_options padded = {.pad_to = 32};
    const prun_arch arch = {.family = PRUN_FAMILY_CNN, .width = 8, .image_channels = 1, .seed = 1};
    const prun_arch other_weights = {
        .family = PRUN_FAMILY_CNN, .width = 8, .image_channels = 1, .seed = 2};
    prun_net *net, *resumed, *read;
    prun_safetensors *file;
    prun_arch found;

    check(prun_images_load_idx(&context, DATA "images.idx3-ubyte", DATA "labels.idx1-ubyte",
                               &padded, &images));
    images.count = 1000; /* the first 1000 are enough here */
    check(prun_images_standardize(&context, &images));
    check(prun_net_create_family(&context, &arch, &net));
    train(net, NULL);

    printf("resumed:\n");
    check(prun_net_create_family(&context, &other_weights, &resumed));
    train(resumed, FILE_NAME); /* gives the same result, bit for bit */

    /* The file uses PyTorch's names and layouts. The network's sizes follow from the shapes.
       Functions named _read_ take an open file; _load_ opens the file itself. */
    check(prun_net_save_safetensors(net, FILE_NAME));
    check(prun_safetensors_open(&context, FILE_NAME, &file));
    check(prun_arch_read_safetensors(file, PRUN_FAMILY_CNN, NULL, &found));
    check(prun_net_create_family(&context, &found, &read));
    check(prun_net_read_safetensors(read, file, NULL));
    printf("read back, width %d: mean loss %.9f\n", (int)found.width, mean_loss(read));
    prun_safetensors_close(file);
    remove(FILE_NAME);

    prun_net_free(net);
    prun_net_free(resumed);
    prun_net_free(read);
    prun_images_free(&images);
    return fflush(stdout) != 0;
}
