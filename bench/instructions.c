/* instructions.c - one pass over a network, for bench/instructions.sh, which counts instructions

       instructions cnn|nin|resnet18 WIDTH IMAGES forward|gradient [ISA]

   Two runs with different numbers of images give the cost of one more image. */
#define PRUNABILITY_IMPLEMENTATION
#include "../prunability.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIZE = 32 };

int main(int argc, char **argv) {
    static const char *const families[] = {"cnn", "nin", "resnet18"};
    prun_context context;
    prun_arch arch;
    prun_images images;
    prun_net *net = NULL;
    float *values, *gradient;
    int32_t *labels;
    int64_t n, i;
    double sum;
    prun_status status;
    memset(&context, 0, sizeof context);
    memset(&arch, 0, sizeof arch);
    memset(&images, 0, sizeof images);
    if (argc < 5) return 2;
    while (arch.family < 2 && strcmp(argv[1], families[arch.family]) != 0)
        arch.family = (prun_family)(arch.family + 1);
    arch.width = atol(argv[2]);
    n = atol(argv[3]);
    if (argc > 5 && prun_isa_set(argv[5]) != PRUN_OK) return 3;
    context.threads = 1;
    values = (float *)malloc((size_t)(n * 3 * SIZE * SIZE) * sizeof *values);
    labels = (int32_t *)malloc((size_t)n * sizeof *labels);
    if (!values || !labels) return 1;
    for (i = 0; i < n * 3 * SIZE * SIZE; i++) values[i] = (float)(i % 17) * 0.1f - 0.8f;
    for (i = 0; i < n; i++) labels[i] = (int32_t)(i % 10);
    images.count = n;
    images.channels = 3;
    images.height = images.width = SIZE;
    images.classes = 10;
    images.values = values;
    images.labels = labels;
    status = prun_net_create_family(&context, &arch, &net);
    gradient =
        net ? (float *)malloc((size_t)prun_net_parameter_count(net) * sizeof *gradient) : NULL;
    if (status == PRUN_OK && gradient)
        status = strcmp(argv[4], "forward") == 0
                     ? prun_net_loss(net, &images, NULL, n, NULL, &sum, NULL)
                     : prun_net_gradient(net, &images, NULL, n, gradient, &sum, NULL);
    if (status != PRUN_OK) fprintf(stderr, "%s\n", prun_message(&context));
    free(gradient);
    free(values);
    free(labels);
    prun_net_free(net);
    return status != PRUN_OK;
}
