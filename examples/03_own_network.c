/* 03_own_network.c - measures a hand-written perceptron, given its weights and loss function.

       cc -O2 examples/03_own_network.c -o own_network -lm && ./own_network   (from the root)

   prints (other compilers round differently, so digits may differ):

       training loss 0.2497; 28 % of 19056 weights keep it within 10 %
*/
#define PRUNABILITY_STATIC /* static functions: unused ones are left out of the program */
#define PRUNABILITY_IMPLEMENTATION
#include "../prunability.h"

#include <stdio.h>
#include <stdlib.h>
#define DATA "examples/data/fashion-mnist-train-"
enum { PIXELS = 28 * 28, HIDDEN = 24, CLASSES = 10, SAMPLES = 1000, EPOCHS = 15 };

static float w1[HIDDEN * PIXELS], w2[CLASSES * HIDDEN]; /* the network has no biases */
static float input[SAMPLES * PIXELS];
static prun_images images;
static prun_context context;

static void check(prun_status status) {
    if (status == PRUN_OK) return;
    fprintf(stderr, "error: %s\n", prun_message(&context));
    if (status == PRUN_ERR_OPEN) fprintf(stderr, "start this program from the project's root\n");
    exit(1);
}

/* Returns the cross-entropy of a sample; p receives the probabilities of the classes. */
static double forward(int64_t sample, float *hidden, double *p) {
    const float *x = input + sample * PIXELS;
    float logits[CLASSES] = {0};

    for (int h = 0; h < HIDDEN; h++) {
        hidden[h] = 0;
        for (int i = 0; i < PIXELS; i++) hidden[h] += w1[h * PIXELS + i] * x[i];
        if (hidden[h] < 0) hidden[h] = 0;
    }
    for (int i = 0; i < CLASSES * HIDDEN; i++) logits[i / HIDDEN] += w2[i] * hidden[i % HIDDEN];
    return prun_cross_entropy(logits, CLASSES, images.labels[sample], p);
}

/* One step of gradient descent on one sample. */
static void train(int64_t sample, float rate) {
    float hidden[HIDDEN], back[HIDDEN] = {0};
    double p[CLASSES];
    forward(sample, hidden, p);
    p[images.labels[sample]] -= 1; /* now the derivative of the loss with respect to the logits */
    for (int i = 0; i < CLASSES * HIDDEN; i++) {
        back[i % HIDDEN] += (float)p[i / HIDDEN] * w2[i];
        w2[i] -= rate * (float)p[i / HIDDEN] * hidden[i % HIDDEN];
    }
    for (int i = 0; i < HIDDEN * PIXELS; i++)
        if (hidden[i / PIXELS] > 0)
            w1[i] -= rate * back[i / PIXELS] * input[sample * PIXELS + i % PIXELS];
}

/* The library changes the weights between calls. The samples are index[0] .. index[n - 1], or
   0 .. n - 1 if index is NULL. This function does not count wrong answers, and says so. The
   README shows a gradient too, which more measures need. */
static prun_status loss(const prun_objective *objective, const int64_t *index, int64_t n,
                        double *losses, double *sum, int64_t *wrong) {
    (void)objective; /* w1 and w2 are the data of its tensors; `user` could point to our own */
    *sum = 0;
    if (wrong != NULL) *wrong = PRUN_WRONG_UNKNOWN;
    for (int64_t i = 0; i < n; i++) {
        float hidden[HIDDEN];
        double p[CLASSES], value = forward(index != NULL ? index[i] : i, hidden, p);
        *sum += value;
        if (losses != NULL) losses[i] = value;
    }
    return PRUN_OK;
}

int main(void) {
    /* data, name, shape, number of axes, kind */
    const prun_tensor weights[] = {{w1, "hidden.weight", {HIDDEN, PIXELS}, 2, PRUN_TENSOR_WEIGHT},
                                   {w2, "output.weight", {CLASSES, HIDDEN}, 2, PRUN_TENSOR_WEIGHT}};
    prun_objective objective = {.context = &context, .tensors = weights, .tensor_count = 2};
    prun_prunability found;

    check(prun_images_load_idx(&context, DATA "images.idx3-ubyte", DATA "labels.idx1-ubyte", NULL,
                               &images));
    check(prun_images_copy(&context, &images, NULL, SAMPLES, NULL, input)); /* plain floats */
    for (int i = 0; i < HIDDEN * PIXELS; i++)
        w1[i] = 0.05f * (float)prun_random_normal(1, 1, (uint64_t)i);
    for (int i = 0; i < CLASSES * HIDDEN; i++)
        w2[i] = 0.2f * (float)prun_random_normal(1, 2, (uint64_t)i);
    for (int64_t step = 0; step < EPOCHS * SAMPLES; step++) train(step % SAMPLES, 0.01f);

    objective.samples = SAMPLES;
    objective.nonnegative = 1; /* no loss is negative, so the search may stop early */
    objective.loss = loss;
    check(prun_prunability_search(&objective, NULL, &found));
    printf("training loss %.4f; %.0f %% of %d weights keep it within 10 %%\n", found.base_loss,
           100 * found.answer[0].kept_fraction, (int)found.prunable);
    prun_images_free(&images);
    return fflush(stdout) != 0;
}
