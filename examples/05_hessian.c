/* 05_hessian.c - the curvature of the training loss: largest eigenvalues of its Hessian, the trace,
   and the effective dimensionality.

       cc -O2 examples/05_hessian.c -o hessian -lm && ./hessian          (from the root)

   prints (other processors round differently, and training amplifies it: expect other digits):

       Hessian of the mean loss of 200 images in 6404 weights
       eigenvalue 1: 65.625, within 2e-05
       eigenvalue 2: 36.305, within 9e-06
       eigenvalue 3: 26.888, within 1e-05
       trace: 280.02 +- 59.80
       effective dimensionality at z = 10.0: 26.3 +- 5.4
       effective dimensionality at z =  1.0: 137.8 +- 49.1
*/
#define PRUNABILITY_STATIC /* static functions: unused ones are left out of the program */
#define PRUNABILITY_IMPLEMENTATION
#include "../prunability.h"

#include <stdio.h>
#include <stdlib.h>

#define DATA "examples/data/fashion-mnist-train-"
enum { EIGENVALUES = 3 };

static prun_context context;

static void check(prun_status status) {
    if (status == PRUN_OK) return;
    fprintf(stderr, "error: %s\n", prun_message(&context));
    if (status == PRUN_ERR_OPEN) fprintf(stderr, "start this program from the project's root\n");
    exit(1);
}

int main(void) {
    const prun_idx_options padded = {.pad_to = 32};
    const prun_arch arch = {.family = PRUN_FAMILY_CNN, .width = 4, .image_channels = 1, .seed = 1};
    const prun_train_options recipe = {
        .epochs = 10, .batch = 32, .learning_rate = 0.02, .momentum = 0.9};
    const prun_hessian_options options = {.samples = 200, .steps = 60, .probes = 5};
    double values[EIGENVALUES], residuals[EIGENVALUES];
    int64_t size;
    prun_images images;
    prun_net *net;
    prun_objective objective;
    prun_estimate trace;
    prun_spectrum spectrum;
    prun_effective_dimension dimension;

    check(prun_images_load_idx(&context, DATA "images.idx3-ubyte", DATA "labels.idx1-ubyte",
                               &padded, &images));
    images.count = 1000; /* the first 1000 are enough here */
    check(prun_images_standardize(&context, &images));
    check(prun_net_create_family(&context, &arch, &net));
    check(prun_train(net, &images, &recipe, NULL));
    check(prun_net_objective(net, &images, &objective));

    /* The matrix itself is never formed: everything is computed from its products with vectors. */
    check(prun_hessian_size(&objective, &options, &size));
    printf("Hessian of the mean loss of %d images in %d weights\n", (int)options.samples,
           (int)size);

    check(prun_hessian_eigenpairs(&objective, EIGENVALUES, &options, values, residuals, NULL));
    for (int i = 0; i < EIGENVALUES; i++)
        printf("eigenvalue %d: %.3f, within %.1g\n", i + 1, values[i], residuals[i]);

    /* Estimates from 5 random probes. The errors fall with the square root of their number. */
    check(prun_hessian_trace(&objective, &options, &trace, NULL));
    printf("trace: %.2f +- %.2f\n", trace.value, trace.standard_error);

    /* Sum of h / (h + z) over the eigenvalues h: about how many exceed z. One set of Lanczos runs
       serves every function of the spectrum. */
    check(prun_hessian_spectrum(&objective, &options, &spectrum));
    for (double z = 10; z > 0.5; z /= 10) {
        check(prun_effective_dimensionality(&spectrum, z, &dimension));
        printf("effective dimensionality at z = %4.1f: %.1f +- %.1f\n", z, dimension.estimate.value,
               dimension.estimate.error);
    }

    prun_spectrum_free(&spectrum);
    prun_net_free(net);
    prun_images_free(&images);
    return fflush(stdout) != 0;
}
