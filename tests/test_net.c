/* test_net.c - section NET: copies of a network, hidden margins against finite differences and cut
   networks, path norm. */
#include "../prunability.h"

#include <stdlib.h>

#include "zoo.h"

/* ---- path norm ---- */

static void path_norm_by_hand(void) {
    static const float w1[] = {1, 2, 0, 0, 1, -1}, w2[] = {2, 1, 1, -1}, b1[] = {.5f, -1},
                       b2[] = {0, 2};
    int bias;
    for (bias = 0; bias < 2; bias++) {
        prun_net *net = perceptron(bias);
        int64_t count;
        const prun_tensor *t = prun_net_tensors(net, &count);
        double value;
        CHECK(count == 2 + 2 * bias);
        memcpy(t[0].data, w1, sizeof w1);
        memcpy(t[1 + bias].data, w2, sizeof w2);
        if (bias) memcpy(t[1].data, b1, sizeof b1);
        if (bias) memcpy(t[3].data, b2, sizeof b2);
        CHECK_STATUS(prun_path_norm(net, &value), PRUN_OK);
        CHECK_CLOSE(value, bias ? 36.25 : 29, 0, 1e-14);
        prun_net_free(net);
    }
}

/* ---- networks -------------------------------------------------------------------------------- */

static void hidden_margins_match_differences(void) {
    enum { N = 21, SIZE = 2 * 9 * 8 };
    prun_net *net = zoo(1);
    dataset p = pictures(N, 2, 9, 8, 3);
    const int32_t stem = 0;
    double margins[N], spread, total = 0;
    float logits[N * 3], moved[N * 3];
    int64_t i, k, j;
    CHECK_STATUS(prun_net_logits(net, &p.images, NULL, N, logits), PRUN_OK);
    CHECK_STATUS(prun_net_hidden_margins(net, &p.images, NULL, N, &stem, 1,
                                         &(prun_margin_outputs){margins, &spread}),
                 PRUN_OK);
    for (i = 0; i < N; i++) {
        const float *f = logits + 3 * i;
        int64_t y = p.labels[i], other = y == 0 ? 1 : 0;
        double square = 1e-6, expected;
        for (j = 0; j < 3; j++)
            if (j != y && f[j] > f[other]) other = j;
        for (k = 0; k < SIZE; k++) {
            float *x = p.values + i * SIZE + k, old = *x;
            double up, down, h = 4e-3;
            *x = old + (float)h;
            prun_net_logits(net, &p.images, &i, 1, moved);
            up = (double)moved[y] - (double)moved[other];
            *x = old - (float)h;
            prun_net_logits(net, &p.images, &i, 1, moved);
            down = (double)moved[y] - (double)moved[other];
            *x = old;
            square += (up - down) * (up - down) / (4 * h * h);
        }
        expected = ((double)f[y] - (double)f[other]) / sqrt(square);
        CHECK_CLOSE(margins[i], expected, 1e-4, 2e-2); /* kinks lie within the step */
    }
    for (k = 0; k < SIZE; k++) {
        double sum = 0, square = 0;
        for (i = 0; i < N; i++) {
            sum += (double)p.values[i * SIZE + k];
            square += (double)p.values[i * SIZE + k] * (double)p.values[i * SIZE + k];
        }
        total += square / N - sum / N * (sum / N);
    }
    CHECK_CLOSE(spread, sqrt(total), 0, 1e-10);
    prun_net_free(net);
    free_set(&p);
}

/* The net is cut at the bottleneck. With the head's output as its images, the tail's margins at the
   images equal the whole net's margins at that layer. */
static void hidden_margins_match_a_cut_network(void) {
    enum { N = 150 };
    prun_net *net = zoo(1), *head = zoo(0), *tail;
    dataset p = pictures(N, 2, 9, 8, 3), cut = pictures(N, 5, 1, 1, 3);
    const prun_tensor *t, *u;
    int64_t count, n, i;
    int32_t v, hidden = -1, first = 0, layers[4];
    double whole[N], part[N], spread[2];
    t = prun_net_tensors(net, &count);
    for (i = 0; i < count; i++)
        if (strcmp(t[i].name, "hidden.weight") == 0) hidden = (int32_t)i;
    CHECK_STATUS(prun_net_create(&test_context, 5, 1, 1, &tail), PRUN_OK);
    v = prun_layer_linear(tail, PRUN_INPUT, "hidden", 6, 1);
    v = prun_layer_relu(tail, v);
    v = prun_layer_linear(tail, v, "out", 3, 1);
    CHECK_STATUS(prun_net_finish(tail, v, 1), PRUN_OK);
    u = prun_net_tensors(tail, &n);
    for (i = 0; i < n; i++)
        memcpy(u[i].data, t[count - n + i].data, (size_t)prun_tensor_size(&u[i]) * sizeof(float));
    CHECK_STATUS(prun_net_logits(head, &p.images, NULL, N, cut.values), PRUN_OK);
    CHECK_STATUS(prun_net_hidden_margins(net, &p.images, NULL, N, &hidden, 1,
                                         &(prun_margin_outputs){whole, &spread[0]}),
                 PRUN_OK);
    CHECK_STATUS(prun_net_hidden_margins(tail, &cut.images, NULL, N, &first, 1,
                                         &(prun_margin_outputs){part, &spread[1]}),
                 PRUN_OK);
    for (i = 0; i < N; i++) CHECK_CLOSE(whole[i], part[i], 1e-5, 1e-4);
    CHECK_CLOSE(spread[0], spread[1], 0, 1e-5);
    prun_net_margin_layers(net, layers); /* stem, then body, neck, hidden, out */
    CHECK(strcmp(t[layers[0]].name, "stem.weight") == 0);
    CHECK(strcmp(t[layers[1]].name, "body.weight") == 0);
    CHECK(strcmp(t[layers[2]].name, "hidden.weight") == 0);
    CHECK(strcmp(t[layers[3]].name, "out.weight") == 0);
    prun_net_free(net);
    prun_net_free(head);
    prun_net_free(tail);
    free_set(&p);
    free_set(&cut);
}

/* The images, and the ends of the blocks at 1/3, 2/3 and 3/3 of the depth. */
static void margin_layers_of_the_families(void) {
    static const struct {
        prun_family family;
        int64_t depth;
        const char *names[4];
    } expected[] = {
        {PRUN_FAMILY_NIN, 2, {"block0_conv0", "block1_conv0", "block1_conv0", "head"}},
        {PRUN_FAMILY_NIN, 3, {"block0_conv0", "block1_conv0", "block2_conv0", "head"}},
        {PRUN_FAMILY_NIN, 4, {"block0_conv0", "block1_conv0", "block3_conv0", "head"}},
        {PRUN_FAMILY_CNN, 0, {"conv0", "conv1", "conv3", "fc"}},
        {PRUN_FAMILY_RESNET18, 0, {"conv1", "layer2_0.conv2", "layer3_1.conv1", "linear"}}};
    size_t i;
    int k;
    for (i = 0; i < sizeof expected / sizeof *expected; i++) {
        prun_net *net;
        prun_arch arch;
        int32_t layers[4];
        int64_t count;
        memset(&arch, 0, sizeof arch);
        arch.family = expected[i].family;
        arch.depth = expected[i].depth;
        arch.width = 2;
        if (!CHECK_STATUS(prun_net_create_family(&test_context, &arch, &net), PRUN_OK)) return;
        prun_net_margin_layers(net, layers);
        for (k = 0; k < 4; k++) {
            const char *name = prun_net_tensors(net, &count)[layers[k]].name;
            const size_t length = strlen(expected[i].names[k]);
            if (!CHECK(strncmp(name, expected[i].names[k], length) == 0 && name[length] == '.'))
                printf("  %s, not %s\n", name, expected[i].names[k]);
        }
        prun_net_free(net);
    }
}

static void hidden_margins_refuse_what_is_not_there(void) {
    prun_net *net = zoo(1);
    dataset p = pictures(4, 2, 9, 8, 3);
    double margins[4], spread;
    const int32_t bias = 1, far = 999;
    CHECK_STATUS(prun_net_hidden_margins(net, &p.images, NULL, 4, &bias, 1,
                                         &(prun_margin_outputs){margins, &spread}),
                 PRUN_ERR_ARGUMENT);
    CHECK_STATUS(prun_net_hidden_margins(net, &p.images, NULL, 4, &far, 1,
                                         &(prun_margin_outputs){margins, &spread}),
                 PRUN_ERR_ARGUMENT);
    p.images.height = 8;
    CHECK_STATUS(prun_net_hidden_margins(net, &p.images, NULL, 4, &bias, 1,
                                         &(prun_margin_outputs){margins, &spread}),
                 PRUN_ERR_SHAPE);
    prun_net_free(net);
    free_set(&p);
}

static void copies_are_the_same_function(void) {
    static const prun_family families[] = {PRUN_FAMILY_CNN, PRUN_FAMILY_NIN, PRUN_FAMILY_RESNET18,
                                           PRUN_FAMILY_CNN};
    int kind, fold;
    for (kind = 0; kind < 4; kind++) {
        enum { N = 20 };
        dataset p = kind == 3 ? pictures(N, 2, 9, 8, 3) : pictures(N, 3, 32, 32, 5);
        const int64_t classes = p.images.classes;
        float *logits = (float *)malloc((size_t)(2 * N * classes) * sizeof(float));
        double largest = 0, apart = 0;
        prun_net *net = NULL, *copy = NULL;
        prun_arch arch;
        int64_t i, count, norms;
        memset(&arch, 0, sizeof arch);
        test_context.threads = 1;
        arch.family = families[kind];
        arch.width = 4;
        arch.classes = 5;
        arch.seed = 2;
        if (kind == 3) net = zoo(1);
        else CHECK_STATUS(prun_net_create_family(&test_context, &arch, &net), PRUN_OK);
        shake(net);
        CHECK_STATUS(prun_net_logits(net, &p.images, NULL, N, logits), PRUN_OK);
        for (fold = 0; fold < 2; fold++) {
            const prun_tensor *t;
            CHECK_STATUS(prun_net_copy(net, fold, &copy), PRUN_OK);
            CHECK_STATUS(prun_net_logits(copy, &p.images, NULL, N, logits + N * classes), PRUN_OK);
            for (i = 0; i < N * classes; i++) {
                double d = fabs((double)logits[i] - (double)logits[N * classes + i]);
                largest = fmax(largest, fabs((double)logits[i]));
                apart = fmax(apart, d);
            }
            CHECK(apart <= (fold ? 1e-5 * largest : 0));
            t = prun_net_tensors(copy, &count);
            for (i = norms = 0; i < count; i++) norms += (t[i].flags & PRUN_TENSOR_NORM) != 0;
            if (fold) CHECK(norms == (kind < 2 ? 0 : kind == 2 ? 16 : 2));
            CHECK(prun_net_weight_count(copy) == prun_net_weight_count(net));
            prun_net_free(copy);
        }
        CHECK_STATUS(prun_net_copy(net, 0, &copy), PRUN_OK); /* shares nothing */
        prun_net_initialize(net, 77);
        CHECK_STATUS(prun_net_logits(copy, &p.images, NULL, N, logits + N * classes), PRUN_OK);
        CHECK(memcmp(logits, logits + N * classes, (size_t)(N * classes) * sizeof(float)) == 0);
        prun_net_free(copy);
        prun_net_free(net);
        free(logits);
        free_set(&p);
    }
}

/* Path norm through every kind of layer: it must equal the sum of the logits of the same net with
   squared parameters, for an image of ones, as then nothing is negative. */
static void path_norm_is_a_forward_pass(void) {
    prun_net *net = zoo(1), *folded;
    dataset p = pictures(1, 2, 9, 8, 3);
    int64_t count, i, k;
    float logits[3];
    double path, sum;
    const prun_tensor *t;
    CHECK_STATUS(prun_net_copy(net, 1, &folded), PRUN_OK);
    for (i = 0; i < 2 * 9 * 8; i++) p.values[i] = 1;
    t = prun_net_tensors(net, &count);
    CHECK_STATUS(prun_path_norm(net, &path), PRUN_OK);
    for (i = 0; i < count; i++) /* with mean 0, variance 1 - epsilon a norm is scale and shift */
        for (k = 0; k < prun_tensor_size(&t[i]); k++)
            t[i].data[k] = strstr(t[i].name, "running_mean")  ? 0
                           : strstr(t[i].name, "running_var") ? (float)(1 - 1e-5)
                                                              : t[i].data[k] * t[i].data[k];
    CHECK_STATUS(prun_net_logits(net, &p.images, NULL, 1, logits), PRUN_OK);
    sum = (double)logits[0] + (double)logits[1] + (double)logits[2];
    CHECK_CLOSE(path, sum, 0, 1e-5);
    prun_net_free(net);
    prun_net_free(folded);
    free_set(&p);
}

/* ---- degenerate networks ---- */

/* prun_net_hidden_margins accepts the layers that prun_net_margin_layers returns. */
static void margin_layers_lead_to_the_logits(void) {
    double margins[4 * ODD_IMAGES], spread[4];
    int32_t layers[4], i;
    int64_t count;
    int kind;
    odd_net o;
    for (kind = 0; kind < ODD_KINDS; kind++) {
        if (odd_make(&o, (odd_kind)kind) && kind != ODD_POOLED_IMAGES) {
            const prun_tensor *t = prun_net_tensors(o.net, &count);
            prun_net_margin_layers(o.net, layers);
            for (i = 0; i < 4; i++)
                CHECK(strcmp(t[layers[i]].name, "dead.weight") &&
                      strcmp(t[layers[i]].name, "late.weight"));
            CHECK_STATUS(prun_net_hidden_margins(o.net, &o.images, NULL, o.images.count, layers, 4,
                                                 &(prun_margin_outputs){margins, spread}),
                         PRUN_OK);
        }
        prun_net_free(o.net);
    }
}

static const test_case cases[] = {
    TEST_CASE(path_norm_by_hand),
    TEST_CASE(hidden_margins_match_differences),
    TEST_CASE(hidden_margins_match_a_cut_network),
    TEST_CASE(margin_layers_of_the_families),
    TEST_CASE(hidden_margins_refuse_what_is_not_there),
    TEST_CASE(copies_are_the_same_function),
    TEST_CASE(path_norm_is_a_forward_pass),
    TEST_CASE(margin_layers_lead_to_the_logits),
};

int main(int argc, char **argv) { return TEST_MAIN("test_net", cases, argc, argv); }
