/* test_build.c - section BUILD: layers that are rejected when they are added. Valid layers are
   compared with a reference in test_run.c. */
#include "../prunability.h"

#include <stdlib.h>

#include "networks.h"

/* Errors */

/* `value` is the result of a faulty layer: -1, which later layers pass on and prun_net_finish
   reports. */
static void check_faulty(prun_net *net, int32_t value, const char *word) {
    CHECK(value == -1);
    CHECK(prun_layer_relu(net, value) == -1);
    CHECK(prun_layer_relu(net, PRUN_INPUT) == -1);
    CHECK(prun_net_finish(net, value, 1) != PRUN_OK);
    check_message(word);
    prun_net_free(net);
}

static void faulty_convolutions(void) {
    prun_net *net = fresh_net();
    check_faulty(net, plain_conv(net, 4, 9, 1, 0), "odd");
    net = fresh_net();
    check_faulty(net, plain_conv(net, 4, 12, 1, 1), "odd");
    net = fresh_net();
    check_faulty(net, plain_conv(net, 0, 3, 1, 1), "odd");
    net = fresh_net();
    check_faulty(net, plain_conv(net, -4, 3, 1, 1), "odd");
    net = fresh_net();
    check_faulty(net, plain_conv(net, 4, 0, 1, 1), "odd");
    net = fresh_net();
    check_faulty(net, plain_conv(net, 4, 3, -1, 1), "odd");
    net = fresh_net();
    check_faulty(net, plain_conv(net, 4, 3, 1, -1), "odd");
}

/* Sizes that cannot be allocated fail at the layer or at the end, and never wrap around. */
static void absurd_sizes(void) {
    const int64_t big = INT64_C(1) << 40;
    int i;
    for (i = 0; i < 5; i++) {
        prun_net *net = fresh_net();
        int32_t v = -1;
        prun_status status;
        if (i == 0) v = plain_conv(net, big, 3, 1, 1);
        if (i == 1) v = plain_conv(net, 4, 3, 1, big);
        if (i == 2) v = plain_conv(net, 4, INT64_MAX, 1, INT64_MAX);
        if (i == 3) v = prun_layer_linear(net, PRUN_INPUT, "odd", INT64_MAX, 1);
        if (i == 4) v = plain_conv(net, INT64_MAX / 2, 3, 1, 1);
        status = prun_net_finish(net, prun_layer_linear(net, v, "end", 2, 1), 1);
        CHECK(status == PRUN_ERR_OVERFLOW || status == PRUN_ERR_SHAPE ||
              status == PRUN_ERR_ARGUMENT || status == PRUN_ERR_MEMORY);
        check_message("");
        prun_net_free(net);
    }
}

static void faulty_values_and_names(void) {
    prun_net *net = fresh_net();
    check_faulty(net, prun_layer_relu(net, 7), "");
    net = fresh_net();
    check_faulty(net, prun_layer_relu(net, -3), "");
    net = fresh_net();
    check_faulty(net, prun_layer_add(net, PRUN_INPUT, 1), "");
    net = fresh_net();
    plain_conv(net, 4, 3, 1, 1);
    check_faulty(net, plain_conv(net, 4, 3, 1, 1), "odd");
    net = fresh_net();
    plain_conv(net, 4, 3, 1, 1);
    check_faulty(net, prun_layer_batch_norm(net, PRUN_INPUT, "odd", 0, 0), "odd");
}

static void faulty_layers(void) {
    prun_net *net = fresh_net();
    check_faulty(net, prun_layer_dropout(net, PRUN_INPUT, 1.0), "dropout");
    net = fresh_net();
    check_faulty(net, prun_layer_dropout(net, PRUN_INPUT, -0.1), "dropout");
    net = fresh_net();
    check_faulty(net, prun_layer_dropout(net, PRUN_INPUT, NAN), "dropout");
    net = fresh_net();
    check_faulty(net, prun_layer_max_pool(net, PRUN_INPUT, 9, 0, 0), "");
    net = fresh_net();
    check_faulty(net, prun_layer_max_pool(net, PRUN_INPUT, 3, 1, 2), "padding");
    net = fresh_net();
    check_faulty(net, prun_layer_avg_pool(net, PRUN_INPUT, 0, 1, 0), "kernel");
    net = fresh_net();
    check_faulty(net, prun_layer_avg_pool(net, PRUN_INPUT, 2, -1, 0), "stride");
    net = fresh_net();
    check_faulty(net, prun_layer_linear(net, PRUN_INPUT, "odd", 0, 1), "odd");
    net = fresh_net();
    check_faulty(net, prun_layer_batch_norm(net, PRUN_INPUT, "odd", -1, 0), "odd");
    net = fresh_net();
    check_faulty(net, prun_layer_add(net, PRUN_INPUT, plain_conv(net, 4, 3, 1, 1)), "");
}

static const test_case cases[] = {
    TEST_CASE(faulty_convolutions),
    TEST_CASE(absurd_sizes),
    TEST_CASE(faulty_values_and_names),
    TEST_CASE(faulty_layers),
};

int main(int argc, char **argv) { return TEST_MAIN("test_build", cases, argc, argv); }
