/* 04_perturbation.c - how much random noise on its weights does a trained network tolerate?

       cc -O2 examples/04_perturbation.c -o perturb -lm && ./perturb          (from the root)

   prints (other processors round differently, and training amplifies it: expect other digits):

       radius 0.02: training loss 0.3649 (standard error 0.0093), error rate 0.121
       radius 0.05: training loss 0.4039 (standard error 0.0262), error rate 0.135
       radius 0.10: training loss 0.6232 (standard error 0.0676), error rate 0.206
       radius 0.20: training loss 2.3595 (standard error 0.4234), error rate 0.550
       radius 0.50: training loss 22.0872 (standard error 4.4686), error rate 0.863
       without noise the loss is 0.3607; up to radius 0.046 it stays below 0.3968
       flatness 1 / radius^2 = 464.2
*/
#define PRUNABILITY_STATIC /* static functions: unused ones are left out of the program */
#define PRUNABILITY_IMPLEMENTATION
#include "../prunability.h"

#include <stdio.h>
#include <stdlib.h>

#define DATA "examples/data/fashion-mnist-train-"
enum { RADII = 5 };

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
    /* Every weight w gets Gaussian noise of variance radius^2 |w| (+ 1e-6, so that zeros move). */
    const prun_perturb_options noise = {.noise = PRUN_NOISE_MAGNITUDE, .draws = 5};
    const double radii[RADII] = {0.02, 0.05, 0.1, 0.2, 0.5};
    double losses[RADII], deviations[RADII], errors[RADII];
    prun_images images;
    prun_net *net;
    prun_objective objective;
    prun_radius found;

    check(prun_images_load_idx(&context, DATA "images.idx3-ubyte", DATA "labels.idx1-ubyte",
                               &padded, &images));
    images.count = 1000; /* the first 1000 are enough here */
    check(prun_images_standardize(&context, &images));
    check(prun_net_create_family(&context, &arch, &net));
    check(prun_train(net, &images, &recipe, NULL));
    check(prun_net_objective(net, &images, &objective));

    /* Mean loss over five draws of noise at each radius. */
    check(prun_perturbation_curve(&objective, radii, RADII, &noise, losses, deviations, errors));
    for (int i = 0; i < RADII; i++)
        printf("radius %.2f: training loss %.4f (standard error %.4f), error rate %.3f\n", radii[i],
               losses[i], deviations[i], errors[i]);

    /* The largest radius that raises the loss by at most 10 %: the paper's flatness measure. */
    check(prun_perturbation_radius(&objective, &noise, &found));
    printf("without noise the loss is %.4f; up to radius %.3f it stays below %.4f\n", found.base,
           found.radius, found.threshold);
    printf("flatness 1 / radius^2 = %.1f\n", found.flatness);

    prun_net_free(net);
    prun_images_free(&images);
    return fflush(stdout) != 0;
}
