/* Headers, tensors and training states in safetensors files. */
#include "fuzz.h"

static prun_net *net; /* made once, in net_context */
static prun_trainer *trainer;
static prun_context net_context;
static prun_images images;

static void make_net(void) {
    static const uint8_t pixels[2 * 2 * 4 * 4] = {9, 7, 5, 3};
    static const int32_t labels[2] = {0, 2};
    static prun_train_options options;
    int32_t v = PRUN_INPUT;
    FUZZ_CHECK(prun_net_create(&net_context, 2, 4, 4, &net) == PRUN_OK);
    v = prun_layer_conv2d(net, v, "conv0", 2, 3, 1, 1);
    v = prun_layer_relu(net, prun_layer_batch_norm(net, v, "bn0", 0, 0));
    v = prun_layer_linear(net, prun_layer_global_avg_pool(net, v), "fc", 3, 1);
    FUZZ_CHECK(prun_net_finish(net, v, 1) == PRUN_OK);
    images.count = images.channels = 2;
    images.height = images.width = 4;
    images.classes = 3;
    images.pixels = pixels;
    images.labels = labels;
    options.batch = 2;
    FUZZ_CHECK(prun_trainer_create(net, &images, &options, &trainer) == PRUN_OK);
}

/* ---- seeds ---- */

static size_t with_header(unsigned char *out, const char *json, size_t data) {
    const size_t length = strlen(json);
    size_t i;
    for (i = 0; i < 8; i++) out[i] = (unsigned char)((uint64_t)length >> 8 * i & 255);
    memcpy(out + 8, json, length);
    for (i = 0; i < data; i++) out[8 + length + i] = (unsigned char)(i * 37);
    return 8 + length + data;
}

/* A training state; without CRCs, damage is detected later. */
static size_t state_file(unsigned char *out, int checked) {
    const char *path;
    FILE *file;
    size_t size, i;
    if (net == NULL) make_net();
    path = fuzz_file(0, out, 0);
    FUZZ_CHECK(prun_trainer_run_epoch(trainer, NULL) == PRUN_OK);
    FUZZ_CHECK(prun_trainer_save_safetensors(trainer, path) == PRUN_OK);
    file = fopen(path, "rb");
    FUZZ_CHECK(file != NULL);
    size = fread(out, 1, FUZZ_LARGEST, file);
    fclose(file);
    unlink(path); /* the path must not name the open file again */
    close(fuzz_descriptors[0]);
    fuzz_paths[0][0] = 0;
    for (i = 0; !checked && i + 6 < size; i++)
        if (memcmp(out + i, "crc32.", 6) == 0) memcpy(out + i, "crc--.", 6);
    return size;
}

static size_t fuzz_seed(int number, unsigned char *out) {
    switch (number) {
        case 0: return state_file(out, 0);
        case 1:
            return with_header(
                out,
                "{\"__metadata__\":{\"format\":\"pt\"},"
                "\"a\":{\"dtype\":\"F16\",\"shape\":[3],\"data_offsets\":[0,6]},"
                "\"b\":{\"dtype\":\"BF16\",\"shape\":[1,1],\"data_offsets\":[6,8]},"
                "\"c\":{\"dtype\":\"F64\",\"shape\":[2],\"data_offsets\":[9,25]},"
                "\"u\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[8,9]},"
                "\"i\":{\"dtype\":\"I64\",\"shape\":[2],\"data_offsets\":[25,41]},"
                "\"j\":{\"dtype\":\"U64\",\"shape\":[1],\"data_offsets\":[41,49]},"
                "\"k\":{\"dtype\":\"BOOL\",\"shape\":[0,7],\"data_offsets\":[49,49]},"
                "\"l\":{\"dtype\":\"F8_E4M3\",\"shape\":[3],\"data_offsets\":[49,52]}}  ",
                52);
        case 2:
            return with_header(
                out,
                "{\"\\u00e9\\ud83d\\ude00\xc3\xa9\\n\\\"\":{\"dtype\":\"F32\",\"x\":[{\"y\":"
                "[null,true,-1.5e3,\"z\"]}],\"shape\":[1,2],\"data_offsets\":[0,8]}}",
                8);
        case 3: return with_header(out, "{}", 0);
        case 4: return state_file(out, 1);
        default: return 0;
    }
}

/* ---- one file ---- */

static void check_entry(prun_safetensors *file, const prun_safetensors_entry *e, size_t size) {
    int64_t product = 1;
    int32_t d;
    float *floats;
    int64_t *integers;
    FUZZ_CHECK(e->rank >= 0 && e->rank <= PRUN_MAX_FILE_RANK);
    for (d = 0; d < e->rank; d++) product *= e->shape[d];
    FUZZ_CHECK(e->count == product);
    FUZZ_CHECK(prun_safetensors_find(file, e->name) == e);
    if (e->dtype == PRUN_DTYPE_OTHER) {
        FUZZ_CHECK(!fuzz_succeeded(prun_safetensors_read_f32(file, e, NULL)));
        FUZZ_CHECK(!fuzz_succeeded(prun_safetensors_read_i64(file, e, NULL)));
        return;
    }
    FUZZ_CHECK(e->count <= (int64_t)size);
    floats = (float *)malloc((size_t)e->count * sizeof(float) + 1);
    integers = (int64_t *)malloc((size_t)e->count * sizeof(int64_t) + 1);
    FUZZ_CHECK(floats != NULL && integers != NULL);
    if (fuzz_succeeded(prun_safetensors_read_f32(file, e, floats)))
        FUZZ_CHECK(e->dtype == PRUN_DTYPE_F32 ||
                   (e->dtype >= PRUN_DTYPE_F64 && e->dtype <= PRUN_DTYPE_BF16));
    if (fuzz_succeeded(prun_safetensors_read_i64(file, e, integers)))
        FUZZ_CHECK(e->dtype == PRUN_DTYPE_I64 || e->dtype >= PRUN_DTYPE_I32);
    free(floats);
    free(integers);
}

/* Loaded values are finite, and a failure names the file in the net's context. */
static void check_load(prun_status status) {
    int64_t count, i, j;
    const prun_tensor *t = prun_net_tensors(net, &count);
    if (status != PRUN_OK) {
        FUZZ_CHECK(strstr(prun_message(&net_context), fuzz_paths[0]) != NULL);
        return;
    }
    for (i = 0; i < count; i++)
        for (j = 0; j < prun_tensor_size(&t[i]); j++) FUZZ_CHECK(t[i].data[j] - t[i].data[j] == 0);
}

static void fuzz_one(const unsigned char *data, size_t size) {
    prun_safetensors *file = NULL;
    prun_arch arch;
    int64_t i;
    int family;
    const char *path;
    if (net == NULL) make_net();
    path = fuzz_file(0, data, size);
    if (!fuzz_succeeded(prun_safetensors_open(&fuzz_context, path, &file))) {
        FUZZ_CHECK(file == NULL);
        return;
    }
    for (i = 0; i < prun_safetensors_entry_count(file); i++)
        check_entry(file, prun_safetensors_at(file, i), size);
    FUZZ_CHECK(prun_safetensors_at(file, -1) == NULL && prun_safetensors_at(file, i) == NULL);
    prun_safetensors_metadata(file, "format");
    for (family = 0; family < 3; family++)
        fuzz_succeeded(prun_arch_read_safetensors(file, (prun_family)family, NULL, &arch));
    check_load(prun_net_read_safetensors(net, file, NULL));
    check_load(prun_trainer_read_safetensors(trainer, file));
    prun_safetensors_close(file);
}

FUZZ_TARGET("fuzz_safetensors")
