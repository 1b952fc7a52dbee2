/* A file that only uses the library; valid C and C++. Exits 0 if a small network can be built, has
   the loss expected of random weights, and its prunability can be found. */
#include "../../prunability.h"

#include <stdio.h>
#include <string.h>

static int fails(const char *what) {
    fprintf(stderr, "user: %s\n", what);
    return 1;
}

static void fill(uint8_t *pixels, int32_t *labels, prun_images *images) {
    int64_t i;
    memset(images, 0, sizeof *images);
    images->count = 6;
    images->channels = 1;
    images->height = images->width = 8;
    images->classes = 3;
    for (i = 0; i < 6 * 64; i++) {
        pixels[i] = (uint8_t)(prun_random_bits(1, 2, (uint64_t)i) & 255u);
    }
    for (i = 0; i < 6; i++) {
        labels[i] = (int32_t)(i % 3);
    }
    images->pixels = pixels;
    images->labels = labels;
}

static int use(prun_net *net, const prun_images *images) {
    double sum = -1;
    prun_objective objective;
    prun_prunability result;
    if (prun_net_loss(net, images, NULL, images->count, NULL, &sum, NULL) != PRUN_OK) {
        return fails("loss");
    }
    if (!(sum > 0 && sum < 600)) {
        return fails("loss is out of any sensible range");
    }
    if (prun_net_objective(net, images, &objective) != PRUN_OK) {
        return fails("objective");
    }
    if (prun_prunability_search(&objective, NULL, &result) != PRUN_OK) {
        return fails("search");
    }
    if (result.prunable != prun_net_weight_count(net) || result.answer[0].kept_fraction > 1) {
        return fails("search result");
    }
    return 0;
}

int main(void) {
    static uint8_t pixels[6 * 64];
    static int32_t labels[6];
    prun_images images;
    prun_net *net = NULL;
    int32_t v = PRUN_INPUT;
    int failed;

    fill(pixels, labels, &images);
    if (prun_net_create(NULL, 1, 8, 8, &net) != PRUN_OK) {
        return fails("create");
    }
    v = prun_layer_conv2d(net, v, "conv", 4, 3, 1, 1);
    v = prun_layer_batch_norm(net, v, "bn", 0, 0);
    v = prun_layer_relu(net, v);
    v = prun_layer_linear(net, v, "fc", 3, 1);
    failed = prun_net_finish(net, v, 7) != PRUN_OK ? fails("finish") : use(net, &images);
    prun_net_free(net);
    return failed;
}
