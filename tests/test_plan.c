/* test_plan.c - section PLAN: finished networks, their families, tensors and initial values. */
#include "../prunability.h"

#include <stdlib.h>

#include "networks.h"

/* Families */

static void check_counts(prun_family family, int64_t width, int64_t depth, int64_t classes,
                         int64_t weights, int64_t total) {
    prun_arch arch;
    prun_net *net = NULL;
    int64_t count, k, flagged = 0, trained = 0;
    const prun_tensor *tensors;
    memset(&arch, 0, sizeof(arch));
    arch.family = family;
    arch.width = width;
    arch.depth = depth;
    arch.classes = classes;
    if (!CHECK_STATUS(prun_net_create_family(&test_context, &arch, &net), PRUN_OK)) return;
    CHECK(prun_net_weight_count(net) == weights);
    CHECK(prun_net_parameter_count(net) == total);
    CHECK(prun_net_class_count(net) == classes);
    tensors = prun_net_tensors(net, &count);
    for (k = 0; k < count; k++) {
        flagged += tensors[k].flags & PRUN_TENSOR_WEIGHT ? prun_tensor_size(&tensors[k]) : 0;
        trained += tensors[k].flags & PRUN_TENSOR_STATISTIC ? 0 : prun_tensor_size(&tensors[k]);
    }
    CHECK(flagged == weights && trained == total);
    if (test_failures) printf("  family %d, width %d, depth %d\n", family, (int)width, (int)depth);
    prun_net_free(net);
}

static void parameter_counts_nin(void) {
    check_counts(PRUN_FAMILY_NIN, 192, 2, 10, 515136, 518602);
    check_counts(PRUN_FAMILY_NIN, 288, 2, 10, 1132128, 1137322);
    check_counts(PRUN_FAMILY_NIN, 384, 2, 10, 1988736, 1995658);
    check_counts(PRUN_FAMILY_NIN, 192, 3, 10, 920640, 925834);
    check_counts(PRUN_FAMILY_NIN, 288, 3, 10, 2044512, 2052298);
    check_counts(PRUN_FAMILY_NIN, 384, 3, 10, 3610752, 3621130);
    check_counts(PRUN_FAMILY_NIN, 192, 4, 10, 1303104, 1310026);
    check_counts(PRUN_FAMILY_NIN, 288, 4, 10, 2922336, 2932714);
    check_counts(PRUN_FAMILY_NIN, 384, 4, 10, 5186688, 5200522);
}

static void parameter_counts_cnn(void) {
    check_counts(PRUN_FAMILY_CNN, 2, 0, 100, 3166, 3356);
    check_counts(PRUN_FAMILY_CNN, 4, 0, 100, 9356, 9636);
    check_counts(PRUN_FAMILY_CNN, 16, 0, 100, 110000, 110820);
    check_counts(PRUN_FAMILY_CNN, 32, 0, 100, 413536, 415076);
    check_counts(PRUN_FAMILY_CNN, 64, 0, 100, 1601216, 1604196);
}

static void parameter_counts_resnet18(void) {
    check_counts(PRUN_FAMILY_RESNET18, 2, 0, 100, 12550, 12862);
    check_counts(PRUN_FAMILY_RESNET18, 10, 0, 100, 280670, 281830);
    check_counts(PRUN_FAMILY_RESNET18, 64, 0, 100, 11210432, 11217316);
}

static void family_defaults(void) {
    prun_arch arch;
    prun_net *net = NULL;
    memset(&arch, 0, sizeof(arch));
    arch.family = PRUN_FAMILY_NIN;
    CHECK_STATUS(prun_net_create_nin(&test_context, &arch, &net), PRUN_OK);
    CHECK(prun_net_weight_count(net) == 920640 && prun_net_class_count(net) == 10);
    prun_net_free(net);
    net = NULL;
    CHECK_STATUS(prun_net_create_cnn(&test_context, &arch, &net), PRUN_OK);
    CHECK(prun_net_weight_count(net) == 378 * 64 * 64 + 27 * 64 + 8 * 64 * 10);
    prun_net_free(net);
}

static void check_tensor(const prun_net *net, const char *name, uint32_t flag, int32_t rank,
                         int64_t size) {
    const prun_tensor *tensor = find_tensor(net, name);
    if (!CHECK(tensor != NULL)) {
        printf("  no tensor \"%s\"\n", name);
        return;
    }
    CHECK(tensor->flags == flag && tensor->rank == rank && prun_tensor_size(tensor) == size);
}

static void tensor_names_and_flags(void) {
    prun_arch arch = small_arch(PRUN_FAMILY_RESNET18);
    prun_net *net = NULL;
    CHECK_STATUS(prun_net_create_family(&test_context, &arch, &net), PRUN_OK);
    check_tensor(net, "conv1.weight", PRUN_TENSOR_WEIGHT, 4, 54);
    check_tensor(net, "layer1_0.bn1.running_mean", PRUN_TENSOR_STATISTIC, 1, 2);
    check_tensor(net, "layer2_0.shortcut.weight", PRUN_TENSOR_WEIGHT, 4, 8);
    check_tensor(net, "layer4_1.bn2.bias", PRUN_TENSOR_NORM, 1, 16);
    check_tensor(net, "linear.weight", PRUN_TENSOR_WEIGHT, 2, 112);
    check_tensor(net, "linear.bias", PRUN_TENSOR_BIAS, 1, 7);
    CHECK(find_tensor(net, "conv1.bias") == NULL);
    CHECK(find_tensor(net, "layer1_0.shortcut.weight") == NULL);
    prun_net_free(net);
    net = NULL;
    arch = small_arch(PRUN_FAMILY_NIN);
    CHECK_STATUS(prun_net_create_family(&test_context, &arch, &net), PRUN_OK);
    check_tensor(net, "block0_conv0.weight", PRUN_TENSOR_WEIGHT, 4, 6 * 27);
    check_tensor(net, "block2_conv2.bias", PRUN_TENSOR_BIAS, 1, 6);
    check_tensor(net, "block2_bn2.running_var", PRUN_TENSOR_STATISTIC, 1, 6);
    check_tensor(net, "head.weight", PRUN_TENSOR_WEIGHT, 4, 7 * 6 * 16);
    prun_net_free(net);
    net = NULL;
    arch = small_arch(PRUN_FAMILY_CNN);
    CHECK_STATUS(prun_net_create_family(&test_context, &arch, &net), PRUN_OK);
    check_tensor(net, "conv3.weight", PRUN_TENSOR_WEIGHT, 4, 24 * 12 * 9);
    check_tensor(net, "bn3.weight", PRUN_TENSOR_NORM, 1, 24);
    check_tensor(net, "fc.weight", PRUN_TENSOR_WEIGHT, 2, 7 * 24);
    prun_net_free(net);
}

/* Initial values */

/* Uniform in +-bound: all values inside, some near both ends, correct mean and variance. */
static void check_uniform_tensor(const prun_net *net, const char *name, double bound) {
    const prun_tensor *tensor = find_tensor(net, name);
    double lowest = 0, highest = 0, sum = 0, square = 0, n;
    int64_t i;
    if (!CHECK(tensor != NULL)) return;
    n = (double)prun_tensor_size(tensor);
    for (i = 0; i < prun_tensor_size(tensor); i++) {
        double v = (double)tensor->data[i] / bound;
        lowest = v < lowest ? v : lowest;
        highest = v > highest ? v : highest;
        sum += v;
        square += v * v;
    }
    CHECK(lowest >= -1 - 1e-6 && highest <= 1 + 1e-6);
    CHECK(lowest < -1 + 20 / n && highest > 1 - 20 / n);
    CHECK_CLOSE(sum / n, 0, 5 * sqrt(1 / (3 * n)), 0);
    CHECK_CLOSE(square / n, 1.0 / 3, 5 * sqrt(4 / (45 * n)), 0);
}

static void check_constant_tensor(const prun_net *net, const char *name, float value) {
    const prun_tensor *tensor = find_tensor(net, name);
    int64_t i;
    if (!CHECK(tensor != NULL)) return;
    for (i = 0; i < prun_tensor_size(tensor); i++) CHECK(tensor->data[i] == value);
}

static void initial_values_pytorch(void) {
    prun_arch arch;
    prun_net *net = NULL;
    memset(&arch, 0, sizeof(arch));
    arch.width = 16;
    arch.classes = 100;
    CHECK_STATUS(prun_net_create_cnn(&test_context, &arch, &net), PRUN_OK);
    check_uniform_tensor(net, "conv0.weight", 1 / sqrt(27.0));
    check_uniform_tensor(net, "conv2.weight", 1 / sqrt(32 * 9.0));
    check_uniform_tensor(net, "conv2.bias", 1 / sqrt(32 * 9.0));
    check_uniform_tensor(net, "fc.weight", 1 / sqrt(128.0));
    check_uniform_tensor(net, "fc.bias", 1 / sqrt(128.0));
    check_constant_tensor(net, "bn1.weight", 1);
    check_constant_tensor(net, "bn1.bias", 0);
    check_constant_tensor(net, "bn1.running_mean", 0);
    check_constant_tensor(net, "bn1.running_var", 1);
    prun_net_free(net);
}

static void initial_values_glorot(void) {
    prun_arch arch;
    prun_net *net = NULL;
    memset(&arch, 0, sizeof(arch));
    arch.width = 24;
    CHECK_STATUS(prun_net_create_nin(&test_context, &arch, &net), PRUN_OK);
    check_uniform_tensor(net, "block0_conv0.weight", sqrt(6.0 / (9 * 3 + 9 * 24)));
    check_uniform_tensor(net, "block1_conv1.weight", sqrt(6.0 / (24 + 24)));
    check_uniform_tensor(net, "head.weight", sqrt(6.0 / (16 * 24 + 16 * 10)));
    check_constant_tensor(net, "block1_conv1.bias", 0);
    check_constant_tensor(net, "head.bias", 0);
    prun_net_free(net);
    net = NULL;
    arch.pytorch_defaults = 1;
    CHECK_STATUS(prun_net_create_nin(&test_context, &arch, &net), PRUN_OK);
    check_uniform_tensor(net, "block1_conv1.weight", 1 / sqrt(24.0));
    check_uniform_tensor(net, "block1_conv1.bias", 1 / sqrt(24.0));
    prun_net_free(net);
}

static run_record recorded_init(uint64_t seed) {
    prun_arch arch = small_arch(PRUN_FAMILY_CNN);
    prun_net *net = NULL;
    run_record r = {NULL, 0};
    arch.seed = seed;
    if (!CHECK_STATUS(prun_net_create_cnn(&test_context, &arch, &net), PRUN_OK)) return r;
    record_tensors(&r, net);
    prun_net_free(net);
    return r;
}

static void seeds_decide_initial_values(void) {
    run_record a = recorded_init(1), b = recorded_init(1), c = recorded_init(2), r = {NULL, 0};
    prun_arch arch = small_arch(PRUN_FAMILY_CNN);
    prun_net *net = NULL;
    int64_t count, k;
    CHECK(a.size == b.size && a.size == c.size && memcmp(a.bytes, b.bytes, a.size) == 0);
    CHECK(memcmp(a.bytes, c.bytes, a.size) != 0);
    CHECK_STATUS(prun_net_create_cnn(&test_context, &arch, &net), PRUN_OK);
    prun_net_tensors(net, &count);
    for (k = 0; k < count; k++) tensors_of(net)[k].data[0] = 77;
    prun_net_initialize(net, 1);
    record_tensors(&r, net);
    CHECK(r.size == a.size && memcmp(r.bytes, a.bytes, a.size) == 0);
    prun_net_free(net);
    free(a.bytes);
    free(b.bytes);
    free(c.bytes);
    free(r.bytes);
}

/* Errors */

static void faulty_ends(void) {
    prun_net *net = fresh_net();
    CHECK(prun_net_finish(net, plain_conv(net, 4, 3, 1, 1), 1) != PRUN_OK); /* 8 x 8 logits */
    check_message("");
    prun_net_free(net);
    net = fresh_net();
    CHECK(prun_net_finish(net, 5, 1) != PRUN_OK);
    check_message("");
    prun_net_free(net);
    net = NULL;
    CHECK(prun_net_create(&test_context, 0, 8, 8, &net) != PRUN_OK && net == NULL);
    check_message("0 x 8 x 8");
    CHECK(prun_net_create(&test_context, 3, 8, -1, &net) != PRUN_OK && net == NULL);
    check_message("3 x 8 x -1");
    prun_net_free(NULL);
}

static void check_bad_arch(const prun_arch *arch, const char *word) {
    prun_net *net = NULL;
    CHECK(prun_net_create_family(&test_context, arch, &net) != PRUN_OK);
    CHECK(net == NULL);
    check_message(word);
}

static prun_arch default_arch(prun_family family) {
    prun_arch arch;
    memset(&arch, 0, sizeof(arch));
    arch.family = family;
    return arch;
}

static void faulty_families(void) {
    prun_arch arch = default_arch(PRUN_FAMILY_NIN);
    arch.depth = 5;
    check_bad_arch(&arch, "depth");
    arch.depth = 1;
    check_bad_arch(&arch, "depth");
    arch.depth = -3;
    check_bad_arch(&arch, "depth");
    arch = default_arch(PRUN_FAMILY_NIN);
    arch.dropout = 1.0;
    check_bad_arch(&arch, "dropout");
    arch.dropout = -0.5;
    check_bad_arch(&arch, "dropout");
    arch = default_arch(PRUN_FAMILY_NIN);
    arch.width = -8;
    check_bad_arch(&arch, "width");
    arch = default_arch(PRUN_FAMILY_RESNET18);
    arch.width = -1;
    check_bad_arch(&arch, "width");
    arch = default_arch(PRUN_FAMILY_RESNET18);
    arch.classes = -10;
    check_bad_arch(&arch, "classes");
    arch = default_arch(PRUN_FAMILY_CNN);
    arch.image_channels = -3;
    check_bad_arch(&arch, "-3 x 32 x 32");
    arch = default_arch(PRUN_FAMILY_CNN);
    arch.image_height = arch.image_width = 16; /* leaves 2 x 2 for the last pool of 4 */
    check_bad_arch(&arch, "");
    arch = default_arch(PRUN_FAMILY_CNN);
    arch.width = INT64_C(1) << 40;
    check_bad_arch(&arch, "");
    arch = default_arch((prun_family)99);
    check_bad_arch(&arch, "family");
}

static const test_case cases[] = {
    TEST_CASE(parameter_counts_nin),
    TEST_CASE(parameter_counts_cnn),
    TEST_CASE(parameter_counts_resnet18),
    TEST_CASE(family_defaults),
    TEST_CASE(tensor_names_and_flags),
    TEST_CASE(initial_values_pytorch),
    TEST_CASE(initial_values_glorot),
    TEST_CASE(seeds_decide_initial_values),
    TEST_CASE(faulty_ends),
    TEST_CASE(faulty_families),
};

int main(int argc, char **argv) { return TEST_MAIN("test_plan", cases, argc, argv); }
