/* test_checkpoint.c - section CHECKPOINT: networks and training states, saved and loaded: resumed
   against uninterrupted training, and files that do not fit the net. */
#include "arrays.h"

/* ---- networks ---- */

static int64_t net_floats(const prun_net *net) {
    int64_t i, count, floats = 0;
    const prun_tensor *t = prun_net_tensors(net, &count);
    for (i = 0; i < count; i++) {
        floats += prun_tensor_size(&t[i]);
    }
    return floats;
}

/* A copy of all tensors, concatenated; the caller frees it. */
static float *net_copy(const prun_net *net) {
    float *copy = (float *)malloc((size_t)net_floats(net) * sizeof(float)), *to = copy;
    int64_t i, count;
    const prun_tensor *t = prun_net_tensors(net, &count);
    for (i = 0; copy != NULL && i < count; i++) {
        memcpy(to, t[i].data, (size_t)prun_tensor_size(&t[i]) * sizeof(float));
        to += prun_tensor_size(&t[i]);
    }
    return copy;
}

static int net_equals(const prun_net *net, const float *copy) {
    float *now = net_copy(net);
    int same = now != NULL && copy != NULL &&
               memcmp(now, copy, (size_t)net_floats(net) * sizeof(float)) == 0;
    free(now);
    return same;
}

/* Every float differs from its initial value; some are subnormal, huge or -0. */
static void disturb(prun_net *net) {
    static const float awkward[4] = {-0.0f, 1e-45f, -3.4e38f, 1.17549421e-38f};
    int64_t i, j, count;
    const prun_tensor *t = prun_net_tensors(net, &count);
    for (i = 0; i < count; i++) {
        for (j = 0; j < prun_tensor_size(&t[i]); j++) {
            t[i].data[j] = j % 7 == 3 ? awkward[j % 4] : t[i].data[j] + (float)(i + 1) * 0.25f;
        }
    }
}

static prun_net *make_net(prun_family family, int64_t width, uint64_t seed) {
    prun_net *net = NULL;
    prun_arch arch;
    memset(&arch, 0, sizeof arch);
    arch.family = family;
    arch.width = width;
    arch.depth = 2;
    arch.seed = seed;
    CHECK_STATUS(prun_net_create_family(&test_context, &arch, &net), PRUN_OK);
    return net;
}

static void saved_nets_come_back(void) {
    int family;
    begin();
    for (family = 0; family < 3; family++) {
        prun_net *net = make_net((prun_family)family, 2, 1), *other;
        prun_safetensors *file;
        float *copy;
        other = make_net((prun_family)family, 2, 2);
        if (!CHECK(net != NULL && other != NULL)) return;
        disturb(net);
        copy = net_copy(net);
        CHECK_STATUS(prun_net_save_safetensors(net, in_directory("t.safetensors")), PRUN_OK);
        CHECK(net_equals(net, copy));
        CHECK(files_named(".tmp", 0) == 0);
        if (CHECK_STATUS(open_safetensors(&file), PRUN_OK)) {
            CHECK(!net_equals(other, copy));
            CHECK_STATUS(prun_net_read_safetensors(other, file, NULL), PRUN_OK);
            CHECK(net_equals(other, copy));
            CHECK_STATUS(prun_net_read_safetensors(other, file, "none."), PRUN_ERR_MISSING);
            prun_safetensors_close(file);
        }
        free(copy);
        prun_net_free(net);
        prun_net_free(other);
    }
    end();
}

enum { MAX_NET_TENSORS = 32 };

static prun_net *small_net(prun_tensor *tensors, int64_t *count) {
    prun_net *net = make_net(PRUN_FAMILY_CNN, 1, 9);
    const prun_tensor *t = net != NULL ? prun_net_tensors(net, count) : NULL;
    if (!CHECK(t != NULL && *count <= MAX_NET_TENSORS)) return NULL;
    memcpy(tensors, t, (size_t)*count * sizeof *t);
    return net;
}

/* Loading t.safetensors must fail, name the tensor, and leave the net unchanged. */
static void load_fails(prun_net *net, const char *prefix, prun_status a, prun_status b,
                       const char *tensor) {
    static uint64_t seed = 77; /* never the weights that the file was written from */
    prun_safetensors *file;
    float *copy;
    prun_net_initialize(net, seed++);
    copy = net_copy(net);
    if (CHECK_STATUS(open_safetensors(&file), PRUN_OK)) {
        check_failure(prun_net_read_safetensors(net, file, prefix), a, b, tensor,
                      "loading into a net");
        prun_safetensors_close(file);
    }
    CHECK(net_equals(net, copy));
    free(copy);
}

static void loading_with_a_tensor_missing(void) {
    prun_tensor tensors[MAX_NET_TENSORS], others[MAX_NET_TENSORS];
    int64_t count = 0, i;
    prun_net *net;
    begin();
    net = small_net(tensors, &count);
    for (i = 0; i < count; i++) {
        memcpy(others, tensors, (size_t)i * sizeof tensors[0]);
        memcpy(others + i, tensors + i + 1, (size_t)(count - 1 - i) * sizeof tensors[0]);
        CHECK_STATUS(prun_tensors_save_safetensors(&test_context, others, count - 1, NULL, 0,
                                                   in_directory("t.safetensors")),
                     PRUN_OK);
        load_fails(net, NULL, PRUN_ERR_MISSING, PRUN_ERR_MISSING, tensors[i].name);
    }
    CHECK(count > 20);
    prun_net_free(net);
    end();
}

static void loading_with_a_wrong_shape(void) {
    prun_tensor tensors[MAX_NET_TENSORS];
    int64_t count = 0, i;
    int kind;
    prun_net *net;
    begin();
    net = small_net(tensors, &count);
    for (i = 0; i < count; i++) {
        for (kind = 0; kind < 2; kind++) {
            prun_tensor kept = tensors[i];
            if (kind == 0) { /* same number of elements, different rank */
                tensors[i].rank = kept.rank == 1 ? 2 : 1;
                tensors[i].shape[0] = prun_tensor_size(&kept);
                tensors[i].shape[1] = 1;
            } else if (kept.shape[0] > 1) {
                tensors[i].shape[0]--;
            } else {
                continue;
            }
            CHECK_STATUS(prun_tensors_save_safetensors(&test_context, tensors, count, NULL, 0,
                                                       in_directory("t.safetensors")),
                         PRUN_OK);
            load_fails(net, NULL, PRUN_ERR_SHAPE, PRUN_ERR_SHAPE, kept.name);
            tensors[i] = kept;
        }
    }
    prun_net_free(net);
    end();
}

/* Writes the tensors to a file byte by byte, tensor number `integers` as I64, and with a prefix for
   every name. */
static void write_by_hand(const prun_tensor *tensors, int64_t count, const char *prefix,
                          int64_t integers) {
    static char json[20000];
    size_t used = 1;
    int64_t i, j, at = 0;
    int32_t d;
    json[0] = '{';
    for (i = 0; i < count; i++) {
        int64_t bytes = prun_tensor_size(&tensors[i]) * (i == integers ? 8 : 4);
        used += (size_t)snprintf(json + used, sizeof json - used,
                                 "%s\"%s%s\": {\"dtype\": \"%s\", \"shape\": [", i ? ", " : "",
                                 prefix, tensors[i].name, i == integers ? "I64" : "F32");
        for (d = 0; d < tensors[i].rank; d++) {
            used += (size_t)snprintf(json + used, sizeof json - used, "%s%ld", d ? ", " : "",
                                     (long)tensors[i].shape[d]);
        }
        used += (size_t)snprintf(json + used, sizeof json - used,
                                 "], \"data_offsets\": [%ld, %ld]}", (long)at, (long)(at + bytes));
        at += bytes;
    }
    snprintf(json + used, sizeof json - used, "}");
    safetensors(&scratch[1], json, 0);
    for (i = 0; i < count; i++) {
        for (j = 0; j < prun_tensor_size(&tensors[i]); j++) {
            if (i == integers) {
                put_little_endian(&scratch[1], (uint64_t)j, 8);
            } else {
                put_float(&scratch[1], tensors[i].data[j]);
            }
        }
    }
    write_blob("t.safetensors", &scratch[1]);
}

static void loading_integers_as_weights(void) {
    prun_tensor tensors[MAX_NET_TENSORS];
    int64_t count = 0, i;
    prun_net *net;
    begin();
    net = small_net(tensors, &count);
    for (i = 0; i < count; i += 3) {
        write_by_hand(tensors, count, "", i);
        load_fails(net, NULL, PRUN_ERR_UNSUPPORTED, PRUN_ERR_FORMAT, tensors[i].name);
    }
    prun_net_free(net);
    end();
}

/* As PyTorch writes it: with a prefix, and with integers (num_batches_tracked) that the net
   lacks. */
static void loading_with_prefix_and_extras(void) {
    prun_tensor tensors[MAX_NET_TENSORS + 1];
    int64_t count = 0;
    float tracked[1] = {0};
    float *copy;
    prun_safetensors *file;
    prun_net *net;
    begin();
    net = small_net(tensors, &count);
    if (net == NULL) return;
    disturb(net);
    copy = net_copy(net);
    tensors[count] = tensor_of("bn0.num_batches_tracked", tracked, 1, 1, 0);
    write_by_hand(tensors, count + 1, "model.net.", count);
    prun_net_initialize(net, 5);
    if (CHECK_STATUS(open_safetensors(&file), PRUN_OK)) {
        CHECK_STATUS(prun_net_read_safetensors(net, file, "model.net."), PRUN_OK);
        CHECK(net_equals(net, copy));
        prun_safetensors_close(file);
    }
    load_fails(net, NULL, PRUN_ERR_MISSING, PRUN_ERR_MISSING, tensors[0].name);
    load_fails(net, "model.", PRUN_ERR_MISSING, PRUN_ERR_MISSING, tensors[0].name);
    free(copy);
    prun_net_free(net);
    end();
}

/* The file is truncated after it was opened: reading must detect this, and loading must not change
   the net. */
static void loading_a_file_that_was_cut(void) {
    prun_tensor tensors[MAX_NET_TENSORS];
    int64_t count = 0;
    float *copy;
    prun_safetensors *file;
    prun_net *net;
    begin();
    net = small_net(tensors, &count);
    if (net == NULL) return;
    write_by_hand(tensors, count, "", -1);
    prun_net_initialize(net, 5);
    copy = net_copy(net);
    if (CHECK_STATUS(open_safetensors(&file), PRUN_OK)) {
        write_file("t.safetensors", scratch[1].data, scratch[1].size - 100);
        check_failure(prun_net_read_safetensors(net, file, NULL), PRUN_ERR_READ, PRUN_ERR_TRUNCATED,
                      "t.safetensors", "a file cut after opening");
        prun_safetensors_close(file);
    }
    CHECK(net_equals(net, copy));
    free(copy);
    prun_net_free(net);
    end();
}

/* ---- the family of a checkpoint ---- */

static prun_arch draw_arch(uint64_t i) {
    prun_arch arch;
    uint64_t r = prun_random_bits(8, 1, i);
    memset(&arch, 0, sizeof arch);
    arch.family = (prun_family)(i % 3);
    arch.width = 1 + (int64_t)(r % (arch.family == PRUN_FAMILY_NIN ? 9 : 4));
    arch.depth = arch.family == PRUN_FAMILY_NIN ? 2 + (int64_t)(r >> 8) % 3 : 0;
    arch.classes = 2 + (int64_t)((r >> 16) % 120);
    arch.image_channels = 1 + (int64_t)((r >> 24) % 4);
    return arch;
}

static void arch_of_a_checkpoint(void) {
    uint64_t i;
    begin();
    for (i = 0; i < 45; i++) {
        prun_arch arch = draw_arch(i), got;
        prun_net *net = NULL;
        prun_safetensors *file;
        memset(&got, 0x5a, sizeof got);
        if (!CHECK_STATUS(prun_net_create_family(&test_context, &arch, &net), PRUN_OK)) return;
        CHECK_STATUS(prun_net_save_safetensors(net, in_directory("t.safetensors")), PRUN_OK);
        if (CHECK_STATUS(open_safetensors(&file), PRUN_OK)) {
            CHECK_STATUS(prun_arch_read_safetensors(file, arch.family, NULL, &got), PRUN_OK);
            CHECK(got.family == arch.family && got.width == arch.width);
            CHECK(got.classes == arch.classes && got.image_channels == arch.image_channels);
            CHECK(arch.family != PRUN_FAMILY_NIN || got.depth == arch.depth);
            CHECK(got.image_height == 0 && got.image_width == 0 && got.dropout == 0);
            prun_safetensors_close(file);
        }
        prun_net_free(net);
    }
    end();
}

static void arch_of_something_else(void) {
    prun_tensor tensors[MAX_NET_TENSORS];
    int64_t count = 0;
    prun_arch arch, untouched;
    prun_safetensors *file;
    prun_net *net;
    begin();
    net = small_net(tensors, &count);
    if (net == NULL) return;
    write_by_hand(tensors, count, "p.", -1);
    memset(&arch, 0x5a, sizeof arch);
    untouched = arch;
    if (CHECK_STATUS(open_safetensors(&file), PRUN_OK)) {
        check_failure(prun_arch_read_safetensors(file, PRUN_FAMILY_NIN, "p.", &arch),
                      PRUN_ERR_MISSING, PRUN_ERR_SHAPE, "", "a CNN as NiN");
        check_failure(prun_arch_read_safetensors(file, PRUN_FAMILY_RESNET18, "p.", &arch),
                      PRUN_ERR_MISSING, PRUN_ERR_SHAPE, "", "a CNN as ResNet18");
        check_failure(prun_arch_read_safetensors(file, PRUN_FAMILY_CNN, NULL, &arch),
                      PRUN_ERR_MISSING, PRUN_ERR_MISSING, "conv0.weight", "no prefix");
        CHECK(memcmp(&arch, &untouched, sizeof arch) == 0);
        CHECK_STATUS(prun_arch_read_safetensors(file, PRUN_FAMILY_CNN, "p.", &arch), PRUN_OK);
        CHECK(arch.width == 1 && arch.classes == 10 && arch.image_channels == 3);
        prun_safetensors_close(file);
    }
    prun_net_free(net);
    end();
}

/* ---- networks ---- */

static float noise(uint64_t stream, uint64_t index) {
    return (float)prun_random_normal(11, stream, index);
}

enum { IMAGES = 26, SIDE = 16, AREA = 3 * SIDE * SIDE };
static float image_values[IMAGES * AREA];
static int32_t image_labels[IMAGES];

static prun_images make_images(int64_t count) {
    prun_images images;
    int64_t i;
    for (i = 0; i < IMAGES * AREA; i++) image_values[i] = noise(1, (uint64_t)i);
    for (i = 0; i < IMAGES; i++) image_labels[i] = (int32_t)(i * 7 % 5);
    memset(&images, 0, sizeof images);
    images.count = count;
    images.channels = 3;
    images.height = images.width = SIDE;
    images.classes = 5;
    images.values = image_values;
    images.labels = image_labels;
    return images;
}

/* A net with every kind of layer that training affects. */
static prun_net *make_small_net(uint64_t seed) {
    prun_net *net = NULL;
    int32_t v = PRUN_INPUT, u;
    CHECK_STATUS(prun_net_create(&test_context, 3, SIDE, SIDE, &net), PRUN_OK);
    v = prun_layer_conv2d(net, v, "features.0", 4, 3, 1, 1);
    v = prun_layer_batch_norm(net, v, "features.1", 0, 0);
    u = prun_layer_relu(net, v);
    v = prun_layer_conv2d_with(
        net, u, "layer1.0.conv1",
        &(prun_conv2d_options){
            .channels = 4, .kernel = {3}, .stride = {1}, .padding = {1, 1, 1, 1}, .omit_bias = 1});
    v = prun_layer_add(net, u, v);
    v = prun_layer_dropout(net, prun_layer_max_pool(net, v, 4, 0, 0), 0.25);
    v = prun_layer_linear(net, v, "classifier", 5, 1);
    CHECK_STATUS(prun_net_finish(net, v, seed), PRUN_OK);
    return net;
}

/* Writes a checkpoint in another element type and rounds the net's tensors to it. */
static void write_net_as(prun_net *net, const char *dtype, int bytes) {
    static char json[4000];
    int64_t count, i, j, at = 0;
    size_t used = 1;
    const prun_tensor *t = prun_net_tensors(net, &count);
    scratch[1].size = 0;
    json[0] = '{';
    for (i = 0; i < count; i++) {
        const int64_t n = prun_tensor_size(&t[i]);
        int32_t d;
        used += (size_t)snprintf(json + used, sizeof json - used,
                                 "%s\"%s\":{\"dtype\":\"%s\",\"data_offsets\":[%d,%d],\"shape\":[",
                                 i ? "," : "", t[i].name, dtype, (int)at, (int)(at + n * bytes));
        for (d = 0; d < t[i].rank; d++) {
            used += (size_t)snprintf(json + used, sizeof json - used, "%s%d", d ? "," : "",
                                     (int)t[i].shape[d]);
        }
        used += (size_t)snprintf(json + used, sizeof json - used, "]}");
        at += n * bytes;
        for (j = 0; j < n; j++) {
            uint32_t single;
            if (bytes == 8) {
                const double wide = (double)t[i].data[j] * (1 + 1e-12);
                uint64_t bits;
                memcpy(&bits, &wide, 8);
                put_little_endian(&scratch[1], bits, 8);
                continue;
            }
            memcpy(&single, &t[i].data[j], 4);
            single &= 0xffff0000u; /* BF16: cut */
            memcpy(&t[i].data[j], &single, 4);
            put_little_endian(&scratch[1], single >> 16, 2);
        }
    }
    snprintf(json + used, sizeof json - used, "}");
    safetensors(&scratch[0], json, 0);
    put(&scratch[0], scratch[1].data, scratch[1].size);
    write_blob("t.safetensors", &scratch[0]);
}

static int same_tensors(const prun_net *a, const prun_net *b) {
    int64_t i, count;
    const prun_tensor *s = prun_net_tensors(a, &count), *t = prun_net_tensors(b, &count);
    for (i = 0; i < count; i++) {
        if (memcmp(s[i].data, t[i].data, (size_t)prun_tensor_size(&s[i]) * sizeof(float)) != 0) {
            return 0;
        }
    }
    return 1;
}

static void nets_of_other_types(void) {
    int kind;
    begin_counting();
    for (kind = 0; kind < 2; kind++) {
        prun_net *net = make_small_net(1), *other = make_small_net(2);
        prun_safetensors *file;
        write_net_as(net, kind ? "F64" : "BF16", kind ? 8 : 2);
        if (CHECK_STATUS(open_safetensors(&file), PRUN_OK)) {
            CHECK_STATUS(prun_net_read_safetensors(other, file, NULL), PRUN_OK);
            CHECK(same_tensors(net, other));
            prun_safetensors_close(file);
        }
        prun_net_free(net);
        prun_net_free(other);
    }
    end_counting();
}

/* Weights that are not finite, or are too large for a float. */
static void weights_that_are_not_finite(void) {
    static const uint64_t values[3] = {0x7ff0000000000000u, 0x7ff8000000000000u,
                                       0x4800000000000000u}; /* infinity, NaN, 2^129 */
    size_t at, i, b;
    begin_counting();
    for (i = 0; i < 3; i++) {
        prun_net *net = make_small_net(1), *other = make_small_net(1);
        prun_safetensors *file;
        write_net_as(net, "F64", 8);
        at = scratch[0].size - 8 * 3; /* the classifier has 5 biases, the last tensor */
        for (b = 0; b < 8; b++) scratch[0].data[at + b] = (unsigned char)(values[i] >> 8 * b);
        write_blob("t.safetensors", &scratch[0]);
        if (CHECK_STATUS(open_safetensors(&file), PRUN_OK)) {
            CHECK_STATUS(prun_net_read_safetensors(net, file, NULL), PRUN_ERR_NONFINITE);
            CHECK(message_names("tensor classifier.bias: element 2"));
            prun_safetensors_close(file);
        }
        CHECK(same_tensors(net, other));
        prun_net_free(net);
        prun_net_free(other);
    }
    end_counting();
}

static void wrong_shapes_are_shown(void) {
    float value = 0;
    prun_tensor t;
    prun_safetensors *file;
    prun_net *net = make_small_net(1);
    begin_counting();
    memset(&t, 0, sizeof t);
    t.name = "features.0.weight";
    t.data = &value;
    t.rank = 4;
    t.shape[0] = t.shape[1] = t.shape[2] = t.shape[3] = 1;
    CHECK_STATUS(
        prun_tensors_save_safetensors(&test_context, &t, 1, NULL, 0, in_directory("t.safetensors")),
        PRUN_OK);
    if (CHECK_STATUS(open_safetensors(&file), PRUN_OK)) {
        CHECK_STATUS(prun_net_read_safetensors(net, file, NULL), PRUN_ERR_SHAPE);
        CHECK(message_names("tensor features.0.weight has shape 1x1x1x1, the net needs 4x3x3x3"));
        prun_safetensors_close(file);
    }
    memset(&test_context.allocate, 0, sizeof test_context.allocate);
    memset(&test_context.release, 0, sizeof test_context.release);
    CHECK(live_blocks == 0);
    prun_net_free(net);
}

/* ---- states of training ---- */

static prun_train_options recipe(void) {
    prun_train_options o;
    memset(&o, 0, sizeof o);
    o.momentum = 0.9;
    o.epochs = 5;
    o.batch = 8; /* the last batch of an epoch is smaller */
    o.learning_rate = 0.02;
    o.weight_decay = 1e-3;
    o.schedule = PRUN_SCHEDULE_MADDOX; /* the rate differs from epoch to epoch */
    o.augment.flip = 1;
    o.augment.crop_padding = 2;
    o.seed = UINT64_MAX - 3;
    return o;
}

/* Bytes of a file into a blob. */
static void read_blob(const char *name, blob *b) {
    FILE *stream = fopen(in_directory(name), "rb");
    b->size = stream != NULL ? fread(b->data, 1, BLOB_SIZE, stream) : 0;
    if (stream != NULL) fclose(stream);
    CHECK(b->size > 0 && b->size < BLOB_SIZE);
}

static int same_blob(const blob *a, const blob *b) {
    return a->size == b->size && memcmp(a->data, b->data, a->size) == 0;
}

static prun_status load_state(prun_trainer *trainer, const char *name) {
    prun_safetensors *file;
    prun_status status = prun_safetensors_open(&test_context, in_directory(name), &file);
    if (status != PRUN_OK) return status;
    status = prun_trainer_read_safetensors(trainer, file);
    prun_safetensors_close(file);
    return status;
}

/* One epoch; for odd epochs of `stepwise`, a single step with another order and rate. */
static void one_epoch(prun_trainer *trainer, int64_t epoch, int stepwise, prun_epoch *result) {
    static const int64_t index[5] = {3, 1, 4, 15, 9};
    double sum;
    memset(result, 0, sizeof *result);
    if (stepwise && epoch % 2) {
        CHECK_STATUS(prun_trainer_step(trainer, index, 5, 0.01, &sum, NULL), PRUN_OK);
        result->loss = sum;
    } else {
        CHECK_STATUS(prun_trainer_run_epoch(trainer, result), PRUN_OK);
        result->evaluated_loss = 0;
    }
}

static prun_net *family_net(int kind, uint64_t seed) {
    prun_net *net = NULL;
    prun_arch arch;
    memset(&arch, 0, sizeof arch);
    if (kind == 3) return make_small_net(seed);
    arch.family = (prun_family)kind;
    arch.width = 2;
    arch.depth = 2;
    arch.classes = 5;
    arch.image_height = arch.image_width = kind == PRUN_FAMILY_NIN ? SIDE : 32;
    arch.dropout = kind == PRUN_FAMILY_NIN ? 0.2 : 0;
    arch.seed = seed;
    CHECK_STATUS(prun_net_create_family(&test_context, &arch, &net), PRUN_OK);
    return net;
}

/* Training that is stopped after every epoch and resumed with a new trainer and a net with other
   weights, as in a new process, ends with the same bits as uninterrupted training: the files are
   equal. */
static void resumed_training(void) {
    static uint8_t pixels[IMAGES * 3 * 32 * 32];
    int kind, stepwise;
    int64_t i;
    begin_counting();
    for (i = 0; i < (int64_t)sizeof pixels; i++) {
        pixels[i] = (uint8_t)prun_random_bits(3, 3, (uint64_t)i);
    }
    for (kind = 0; kind < 4; kind++) {
        for (stepwise = 0; stepwise < 2; stepwise++) {
            const prun_train_options options = recipe();
            prun_images images = make_images(IMAGES);
            prun_net *net = family_net(kind, 1);
            prun_trainer *trainer = NULL;
            prun_epoch epoch[5], again;
            if (kind == PRUN_FAMILY_CNN || kind == PRUN_FAMILY_RESNET18) {
                images.height = images.width = 32;
                images.values = NULL;
                images.pixels = pixels;
            }
            CHECK_STATUS(prun_trainer_create(net, &images, &options, &trainer), PRUN_OK);
            if (trainer == NULL) return;
            CHECK_STATUS(prun_trainer_save_safetensors(trainer, in_directory("stopped.state")),
                         PRUN_OK);
            for (i = 0; i < 5; i++) one_epoch(trainer, i, stepwise, &epoch[i]);
            CHECK(prun_trainer_epoch_count(trainer) == (stepwise ? 3 : 5));
            CHECK_STATUS(prun_trainer_save_safetensors(trainer, in_directory("whole.state")),
                         PRUN_OK);
            prun_trainer_free(trainer);
            prun_net_free(net);
            for (i = 0; i < 5; i++) {
                net = family_net(kind, 100 + (uint64_t)i);
                trainer = NULL;
                CHECK_STATUS(prun_trainer_create(net, &images, &options, &trainer), PRUN_OK);
                CHECK_STATUS(load_state(trainer, "stopped.state"), PRUN_OK);
                one_epoch(trainer, i, stepwise, &again);
                CHECK(memcmp(&again, &epoch[i], sizeof again) == 0);
                CHECK_STATUS(prun_trainer_save_safetensors(trainer, in_directory("stopped.state")),
                             PRUN_OK);
                prun_trainer_free(trainer);
                prun_net_free(net);
            }
            read_blob("whole.state", &scratch[0]);
            read_blob("stopped.state", &scratch[1]);
            CHECK(same_blob(&scratch[0], &scratch[1]));
        }
    }
    end_counting();
}

/* A training state is also a checkpoint. Its momentum is right after one step of plain SGD. */
static void states_are_checkpoints(void) {
    prun_images images = make_images(IMAGES);
    prun_train_options options;
    prun_net *net = make_small_net(1), *other = make_small_net(2);
    prun_trainer *trainer = NULL;
    prun_safetensors *file;
    float before[5], velocity[5];
    static const int64_t index[3] = {0, 1, 2};
    int64_t count, i;
    begin();
    streams_open = 0;
    memset(&options, 0, sizeof options);
    const prun_tensor *t = prun_net_tensors(net, &count);
    memcpy(before, t[count - 1].data, sizeof before);
    CHECK_STATUS(prun_trainer_create(net, &images, &options, &trainer), PRUN_OK);
    CHECK_STATUS(prun_trainer_step(trainer, index, 3, 0.5, NULL, NULL), PRUN_OK);
    CHECK_STATUS(prun_trainer_save_safetensors(trainer, in_directory("t.safetensors")), PRUN_OK);
    if (CHECK_STATUS(open_safetensors(&file), PRUN_OK)) {
        const prun_safetensors_entry *e = prun_safetensors_find(file, "momentum.classifier.bias");
        CHECK_STATUS(prun_net_read_safetensors(other, file, NULL), PRUN_OK);
        CHECK(same_tensors(net, other));
        CHECK(strcmp(prun_safetensors_metadata(file, "trainer.epochs"), "0") == 0);
        CHECK(strcmp(prun_safetensors_metadata(file, "trainer.steps"), "1") == 0);
        CHECK(prun_safetensors_find(file, "momentum.features.1.running_mean") == NULL);
        if (CHECK(e != NULL && e->count == 5)) {
            CHECK_STATUS(prun_safetensors_read_f32(file, e, velocity), PRUN_OK);
            for (i = 0; i < 5; i++) {
                CHECK_CLOSE(before[i] - 0.5f * velocity[i], t[count - 1].data[i], 1e-7, 0);
            }
        }
        prun_safetensors_close(file);
    }
    prun_trainer_free(trainer);
    test_context.allocate = NULL; /* the nets were made before the counting */
    test_context.release = NULL;
    prun_net_free(net);
    prun_net_free(other);
    CHECK(streams_open == 0);
}

/* Loading state.bad must fail and leave net and trainer unchanged. */
static void state_fails(prun_trainer *trainer, prun_status expected, const char *message) {
    CHECK_STATUS(prun_trainer_save_safetensors(trainer, in_directory("before")), PRUN_OK);
    CHECK_STATUS(load_state(trainer, "state.bad"), expected);
    if (!CHECK(message_names(message) && message_names("state.bad"))) {
        printf("  got \"%s\", not \"%s\"\n", prun_message(&test_context), message);
    }
    CHECK_STATUS(prun_trainer_save_safetensors(trainer, in_directory("after")), PRUN_OK);
    read_blob("before", &scratch[0]);
    read_blob("after", &scratch[1]);
    CHECK(same_blob(&scratch[0], &scratch[1]));
}

/* Replaces a text by another one of the same length. Returns how often. */
static int replace_text(blob *b, const char *from, const char *to) {
    size_t i, n = strlen(from);
    int found = 0;
    CHECK(strlen(to) == n);
    for (i = 0; i + n <= b->size; i++) {
        if (memcmp(b->data + i, from, n) != 0) continue;
        memcpy(b->data + i, to, n);
        found++;
    }
    return found;
}

/* state.good without its CRCs and with one text in its header replaced. */
static void spoil(const char *from, const char *to) {
    read_blob("state.good", &scratch[2]);
    CHECK(replace_text(&scratch[2], "\"crc32.", "\"crc--.") > 10);
    CHECK(replace_text(&scratch[2], from, to) == 1);
    write_blob("state.bad", &scratch[2]);
}

static void states_that_do_not_fit(void) {
    static const struct {
        const char *from, *to;
        prun_status status;
        const char *message;
    } bad[] = {
        {"trainer.epochs", "trainer.epochz", PRUN_ERR_MISSING, "trainer.epochs is missing"},
        {"trainer.images", "trainer.imagez", PRUN_ERR_MISSING, "trainer.images is missing"},
        {"\"trainer.steps\":\"8\"", "\"trainer.steps\":\"x\"", PRUN_ERR_FORMAT, "trainer.steps"},
        {"\"trainer.steps\":\"8\"", "\"trainer.steps\":\"\" ", PRUN_ERR_FORMAT, "trainer.steps"},
        {"\"trainer.epochs\":\"2\"", "\"trainer.epochs\":\"-\"", PRUN_ERR_FORMAT, "trainer.epochs"},
        {"\"trainer.batch\":\"8\"", "\"trainer.batch\":\"9\"", PRUN_ERR_ARGUMENT,
         "trainer.batch is 9, the trainer has 8"},
        {"\"trainer.images\":\"26\"", "\"trainer.images\":\"25\"", PRUN_ERR_ARGUMENT,
         "trainer.images is 25, the trainer has 26"},
        {"\"trainer.seed\":\"18446744073709551612\"", "\"trainer.seed\":\"18446744073709551611\"",
         PRUN_ERR_ARGUMENT, "trainer.seed is 18446744073709551611"},
        {"\"momentum.classifier.bias", "\"momentun.classifier.bias", PRUN_ERR_MISSING,
         "momentum.classifier.bias is missing"},
        {"\"features.1.bias", "\"featurez.1.bias", PRUN_ERR_MISSING, "features.1.bias is missing"},
    };
    prun_images images;
    prun_train_options options = recipe();
    prun_net *net;
    prun_trainer *trainer = NULL;
    size_t i;
    begin_counting();
    images = make_images(IMAGES);
    net = make_small_net(1);
    CHECK_STATUS(prun_trainer_create(net, &images, &options, &trainer), PRUN_OK);
    CHECK_STATUS(prun_trainer_run_epoch(trainer, NULL), PRUN_OK);
    CHECK_STATUS(prun_trainer_run_epoch(trainer, NULL), PRUN_OK);
    CHECK_STATUS(prun_trainer_save_safetensors(trainer, in_directory("state.good")), PRUN_OK);
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        spoil(bad[i].from, bad[i].to);
        state_fails(trainer, bad[i].status, bad[i].message);
    }
    /* momentum that is not finite */
    read_blob("state.good", &scratch[2]);
    CHECK(replace_text(&scratch[2], "\"crc32.", "\"crc--.") > 10);
    memset(scratch[2].data + scratch[2].size - 4, 0xff, 4);
    write_blob("state.bad", &scratch[2]);
    state_fails(trainer, PRUN_ERR_NONFINITE, "momentum.classifier.bias: element 4");
    prun_trainer_free(trainer);
    prun_net_free(net);
    end_counting();
}

/* ---- checkpoints that do not fit ---- */

/* A file with the net's tensors, with a prefix, and one extra tensor. */
static void write_with_stranger(const prun_net *net, const char *prefix, const char *stranger) {
    static char names[40][80];
    static float value[4] = {1, 2, 3, 4};
    prun_tensor tensors[40];
    int64_t count, i;
    const prun_tensor *t = prun_net_tensors(net, &count);
    if (!CHECK(count < 40)) return;
    for (i = 0; i < count; i++) {
        tensors[i] = t[i];
        snprintf(names[i], sizeof names[i], "%s%s", prefix, t[i].name);
        tensors[i].name = names[i];
    }
    memset(&tensors[count], 0, sizeof tensors[count]);
    tensors[count].name = stranger;
    tensors[count].data = value;
    tensors[count].rank = 1;
    tensors[count].shape[0] = 4;
    CHECK_STATUS(prun_tensors_save_safetensors(&test_context, tensors, count + 1, NULL, 0,
                                               in_directory("t.safetensors")),
                 PRUN_OK);
}

typedef struct stranger {
    const char *prefix, *name;
    const char *message; /* NULL: it is accepted */
} stranger;

static const stranger strangers[] = {
    {"", "layer1.0.conv1.bias", "layer1.0.conv1 of the net; build the net with a bias"},
    {"", "features.0.weight_mask", "torch.nn.utils.prune.remove"},
    {"", "features.0.weight_orig", "torch.nn.utils.prune.remove"},
    {"", "classifier.weight_g", "remove the parametrization"},
    {"", "classifier.parametrizations.weight.original0", "remove the parametrization"},
    {"", "features.0.running_var", "the net needs a batch norm there"},
    {"", "classifier.lora_A.weight",
     "layer classifier of the net; the file is of a different network"},
    {"", "layer1.0.conv1.0.weight", "layer layer1.0.conv1 of the net"},
    {"net.", "net.layer1.0.conv1.bias", "build the net with a bias"},
    {"", "features.1.num_batches_tracked", NULL},
    {"", "features.10.weight", NULL},
    {"", "features.weight", NULL},
    {"", "classifier", NULL},
    {"", "classifier2.bias", NULL},
    {"", "layer1.0.conv10.weight", NULL},
    {"", "layer1.0.conv9.weight", NULL},
    {"", "other.layer1.0.conv1.bias", NULL},
    {"", "momentum.classifier.bias", NULL},
    {"net.", "layer1.0.conv1.bias", NULL},
    {"net.", "net.head.weight", NULL},
};

static void strangers_in_checkpoints(void) {
    size_t i;
    begin_counting();
    for (i = 0; i < sizeof strangers / sizeof strangers[0]; i++) {
        const stranger *s = &strangers[i];
        prun_net *net = make_small_net(1), *other = make_small_net(2), *third = make_small_net(2);
        prun_safetensors *file;
        write_with_stranger(net, s->prefix, s->name);
        if (CHECK_STATUS(open_safetensors(&file), PRUN_OK)) {
            CHECK_STATUS(prun_net_read_safetensors(other, file, s->prefix),
                         s->message ? PRUN_ERR_SHAPE : PRUN_OK);
            if (s->message) CHECK(message_names(s->name));
            if (s->message && !CHECK(message_names(s->message)))
                printf("  got \"%s\"\n", prun_message(&test_context));
            CHECK(same_tensors(other, s->message ? third : net));
            prun_safetensors_close(file);
        }
        prun_net_free(net);
        prun_net_free(other);
        prun_net_free(third);
    }
    end_counting();
}

static void wrong_prefixes(void) {
    static const struct {
        const char *written, *asked, *message;
    } cases_[] = {{"module.", NULL, "exists with the prefix \"module.\""},
                  {"module.net.", "net.", "prefix \"module.net.\""},
                  {"", "module.", "prefix \"\""},
                  {"_orig_mod.", "", "prefix \"_orig_mod.\""}};
    size_t i;
    begin_counting();
    for (i = 0; i < sizeof cases_ / sizeof cases_[0]; i++) {
        prun_net *net = make_small_net(1);
        prun_safetensors *file;
        write_with_stranger(net, cases_[i].written, "x");
        if (CHECK_STATUS(open_safetensors(&file), PRUN_OK)) {
            CHECK_STATUS(prun_net_read_safetensors(net, file, cases_[i].asked), PRUN_ERR_MISSING);
            if (!CHECK(message_names(cases_[i].message)))
                printf("  got \"%s\"\n", prun_message(&test_context));
            prun_safetensors_close(file);
        }
        prun_net_free(net);
    }
    end_counting();
}

/* ---- changed bytes ---- */

/* For every changed byte of a training state, loading fails and changes nothing, or it gives the
   same bits as before. */
static void every_byte_of_a_state_changed(void) {
    prun_images images = make_images(IMAGES);
    prun_train_options options = recipe();
    prun_net *net;
    prun_trainer *trainer = NULL;
    size_t at, size;
    int failed = 0, loaded = 0;
    begin_counting();
    net = make_small_net(1);
    CHECK_STATUS(prun_trainer_create(net, &images, &options, &trainer), PRUN_OK);
    CHECK_STATUS(prun_trainer_run_epoch(trainer, NULL), PRUN_OK);
    CHECK_STATUS(prun_trainer_save_safetensors(trainer, in_directory("state.good")), PRUN_OK);
    read_blob("state.good", &scratch[2]);
    size = scratch[2].size;
    for (at = 0; at < size; at++) {
        const unsigned char kept = scratch[2].data[at];
        scratch[2].data[at] ^=
            (unsigned char)(at % 3 ? 1u << at % 8 : 1 + prun_random_bits(4, 4, at) % 255);
        write_blob("state.bad", &scratch[2]);
        scratch[2].data[at] = kept;
        if (load_state(trainer, "state.bad") == PRUN_OK) {
            loaded++;
            CHECK_STATUS(prun_trainer_save_safetensors(trainer, in_directory("after")), PRUN_OK);
            read_blob("after", &scratch[1]);
            if (!CHECK(same_blob(&scratch[1], &scratch[2]))) printf("  byte %d\n", (int)at);
        } else {
            failed++;
            CHECK(message_names("state.bad"));
        }
    }
    CHECK_STATUS(prun_trainer_save_safetensors(trainer, in_directory("after")), PRUN_OK);
    read_blob("after", &scratch[1]);
    CHECK(same_blob(&scratch[1], &scratch[2])); /* failures have changed nothing */
    CHECK(failed + loaded == (int)size && loaded <= 2);
    if (getenv("VERBOSE")) printf("%d changed, %d found, %d harmless\n", (int)size, failed, loaded);
    prun_trainer_free(trainer);
    prun_net_free(net);
    end_counting();
}

/* ---- out of memory ---- */

static int64_t allocations_left;

static void *failing_allocate(void *user, size_t size) {
    return allocations_left-- > 0 ? counting_allocate(user, size) : NULL;
}

static prun_status use_array(void) {
    prun_array array;
    const prun_status status =
        prun_array_load_npy(&test_context, in_directory("images.npy"), &array);
    if (status == PRUN_OK) prun_array_free(&array);
    return status;
}

static prun_status use_set(void) {
    prun_images set;
    const prun_status status = load_set(NULL, &set);
    if (status == PRUN_OK) prun_images_free(&set);
    return status;
}

static prun_trainer *used_trainer;

static prun_status use_save(void) {
    return prun_trainer_save_safetensors(used_trainer, in_directory("again.state"));
}

static prun_status use_load(void) { return load_state(used_trainer, "good.state"); }

static void memory_that_runs_out(void) {
    static prun_status (*const uses[4])(void) = {use_array, use_set, use_save, use_load};
    prun_images images = make_images(IMAGES);
    prun_train_options options = recipe();
    prun_net *net;
    int64_t i;
    int use;
    begin_counting();
    net = make_small_net(1);
    if (!CHECK_STATUS(prun_trainer_create(net, &images, &options, &used_trainer), PRUN_OK)) return;
    CHECK_STATUS(prun_trainer_save_safetensors(used_trainer, in_directory("good.state")), PRUN_OK);
    write_set(1, "<f2", 2, 0, "<i8", 8);
    test_context.allocate = failing_allocate;
    for (use = 0; use < 4; use++) {
        const int64_t live = live_blocks;
        prun_status status = PRUN_ERR_MEMORY;
        for (i = 0; i < 100 && status != PRUN_OK; i++) {
            allocations_left = i;
            status = uses[use]();
            CHECK(status == PRUN_OK || status == PRUN_ERR_MEMORY);
            CHECK(live_blocks == live && streams_open == 0);
        }
        CHECK(i > 2 && i < 100);
    }
    CHECK(files_named(".tmp", 0) == 0);
    prun_trainer_free(used_trainer);
    prun_net_free(net);
    end_counting();
}

static const test_case cases[] = {
    TEST_CASE(saved_nets_come_back),
    TEST_CASE(loading_with_a_tensor_missing),
    TEST_CASE(loading_with_a_wrong_shape),
    TEST_CASE(loading_integers_as_weights),
    TEST_CASE(loading_with_prefix_and_extras),
    TEST_CASE(loading_a_file_that_was_cut),
    TEST_CASE(arch_of_a_checkpoint),
    TEST_CASE(arch_of_something_else),
    TEST_CASE(nets_of_other_types),
    TEST_CASE(weights_that_are_not_finite),
    TEST_CASE(wrong_shapes_are_shown),
    TEST_CASE(resumed_training),
    TEST_CASE(states_are_checkpoints),
    TEST_CASE(states_that_do_not_fit),
    TEST_CASE(strangers_in_checkpoints),
    TEST_CASE(wrong_prefixes),
    TEST_CASE(every_byte_of_a_state_changed),
    TEST_CASE(memory_that_runs_out),
};

int main(int argc, char **argv) { return FILES_MAIN("test_checkpoint", cases, argc, argv); }
