/* test_eval.c - section EVAL: logits and losses of images given as index lists. */
#include "../prunability.h"

#include <stdlib.h>

#include "twin.h"

/* Losses over index lists */

/* Losses of index[0 .. n) in groups of `group` against each image's own loss; sums in list
   order. */
static void check_grouping(prun_net *net, const dataset *d, const int64_t *index, int64_t n,
                           int64_t group, const double *own) {
    double losses[128], sum = 0, total = 0;
    int64_t i, start;
    for (start = 0; start < n; start += group) {
        int64_t size = n - start < group ? n - start : group;
        CHECK_STATUS(
            prun_net_loss(net, &d->images, index + start, size, losses + start, &sum, NULL),
            PRUN_OK);
        for (i = 0, total = 0; i < size; i++) total += losses[start + i];
        CHECK(total == sum);
    }
    for (i = 0; i < n; i++) CHECK(losses[i] == own[index[i]]);
}

static void losses_do_not_depend_on_grouping(void) {
    static const int64_t groups[] = {1, 2, 7, 15, 16, 17, 32, 33, 48, 100};
    enum { N = 53 };
    int family, i, g;
    test_context.threads = 1; /* hundreds of small calls */
    for (family = PRUN_FAMILY_CNN; family <= PRUN_FAMILY_RESNET18; family++) {
        prun_arch arch = small_arch((prun_family)family);
        prun_net *net = NULL;
        dataset d = make_set(N, 3, 32, 32, 7);
        double own[N];
        int64_t order[N];
        if (!CHECK_STATUS(prun_net_create_family(&test_context, &arch, &net), PRUN_OK)) return;
        CHECK_STATUS(prun_net_loss(net, &d.images, NULL, N, own, NULL, NULL), PRUN_OK);
        for (i = 0; i < N; i++) order[i] = (i * 20 + 7) % N;
        for (i = 0; i < 5; i++) order[i * 9] = order[1]; /* repeated samples are fine */
        for (g = 0; g < 10; g++) check_grouping(net, &d, order, N, groups[g], own);
        prun_net_free(net);
        free_set(&d);
    }
}

/* The logits of a sample do not depend on the batch. Of equal maxima, the first one is the
   answer. */
static void logits_and_errors_agree(void) {
    twin t;
    dataset d;
    float logits[23 * 10];
    int64_t i, k, wrong = 0, errors = -1, index[1];
    double losses[23], sum = NAN;
    net_small_resnet(&t);
    d = set_for(&t, 23);
    CHECK_STATUS(prun_net_logits(t.net, &d.images, NULL, 23, logits), PRUN_OK);
    CHECK_STATUS(prun_net_loss(t.net, &d.images, NULL, 23, losses, &sum, &errors), PRUN_OK);
    for (i = 0; i < 23; i++) {
        float alone[10];
        int64_t best = 0;
        index[0] = i;
        for (k = 1; k < 10; k++) best = logits[i * 10 + k] > logits[i * 10 + best] ? k : best;
        wrong += best != d.labels[i];
        CHECK(losses[i] == prun_cross_entropy(logits + i * 10, 10, d.labels[i], NULL));
        CHECK_STATUS(prun_net_logits(t.net, &d.images, index, 1, alone), PRUN_OK);
        CHECK(memcmp(alone, logits + i * 10, sizeof(alone)) == 0);
    }
    CHECK(errors == wrong);
    for (k = 0; k < t.tensors; k++) { /* all logits equal: class 0 is the answer */
        const prun_tensor *tensor = tensors_of(t.net) + k;
        memset(tensor->data, 0, (size_t)prun_tensor_size(tensor) * sizeof(float));
    }
    for (i = 0; i < 23; i++) d.labels[i] = i < 5 ? 0 : 1;
    CHECK_STATUS(prun_net_loss(t.net, &d.images, NULL, 23, NULL, &sum, &errors), PRUN_OK);
    CHECK(errors == 18);
    CHECK_CLOSE(sum, 23 * log(10.0), 0, 1e-14);
    prun_net_free(t.net);
    free_set(&d);
}

/* Errors */

/* A net, images and an index list that do not fit together. */
static void faulty_images(void) {
    prun_net *net = linear_net(&test_context);
    dataset d = make_set(5, 1, 2, 2, OUT), wide = make_set(5, 1, 2, 3, OUT);
    int64_t index[2] = {0, 5};
    double sum = -7;
    CHECK(prun_net_loss(net, &wide.images, NULL, 5, NULL, &sum, NULL) != PRUN_OK);
    check_message("");
    CHECK(prun_net_loss(net, &d.images, index, 2, NULL, &sum, NULL) != PRUN_OK);
    check_message("5");
    index[1] = -1;
    CHECK(prun_net_loss(net, &d.images, index, 2, NULL, &sum, NULL) != PRUN_OK);
    check_message("-1");
    CHECK(prun_net_loss(net, &d.images, NULL, 6, NULL, &sum, NULL) != PRUN_OK);
    check_message("");
    d.images.classes = OUT + 1;
    d.labels[2] = OUT;
    CHECK(prun_net_loss(net, &d.images, NULL, 5, NULL, &sum, NULL) != PRUN_OK);
    check_message("");
    CHECK(sum == -7);
    prun_net_free(net);
    free_set(&d);
    free_set(&wide);
}

static const test_case cases[] = {
    TEST_CASE(losses_do_not_depend_on_grouping),
    TEST_CASE(logits_and_errors_agree),
    TEST_CASE(faulty_images),
};

int main(int argc, char **argv) { return TEST_MAIN("test_eval", cases, argc, argv); }
