/* Every allocation that fails: each operation runs on an allocator that refuses the n-th request,
   for n = 1, 2, 3, ... until it succeeds. A refused run must say so, leak nothing, write nowhere
   outside its blocks, and leave the weights alone where the header promises that. */
#if defined(__unix__) || defined(__APPLE__)
#define _POSIX_C_SOURCE 200809L
#endif
#define PRUNABILITY_IMPLEMENTATION
#include "../prunability.h"
#include "test.h"

#include <stdlib.h>
#if defined(__unix__) || defined(__APPLE__)
#include <unistd.h>
#endif

/* ---- an allocator with guards, a limit and a planned failure ---- */

enum { GUARD = 64 };
#define LIMIT ((size_t)1 << 30)

typedef struct heap {
    int64_t requests, fail_at; /* fail_at: the first request refused; 0: none */
    int32_t once;              /* 1: only that one; 0: all from there on */
    int64_t live, live_bytes;
    size_t largest;
    int64_t damaged;           /* blocks released with broken guards, or never handed out */
} heap;

typedef struct block {
    size_t size;
    uint64_t magic;
} block;

static const uint64_t block_magic = 0x5ca1ab1e0ddba11u;

static void *heap_allocate(size_t size, void *user)
{
    heap *h = (heap *)user;
    unsigned char *base;
    block head;
    h->requests++;
    h->largest = size > h->largest ? size : h->largest;
    if (h->fail_at > 0 && (h->once ? h->requests == h->fail_at : h->requests >= h->fail_at)) {
        return NULL;
    }
    if (size > LIMIT) return NULL;
    base = (unsigned char *)malloc(size + 2 * GUARD);
    if (base == NULL) return NULL;
    memset(base, 0xA5, size + 2 * GUARD); /* also: nothing may count on zeroed memory */
    head.size = size;
    head.magic = block_magic;
    memcpy(base, &head, sizeof head);
    h->live++;
    h->live_bytes += (int64_t)size;
    return base + GUARD;
}

static void heap_release(void *pointer, void *user)
{
    heap *h = (heap *)user;
    unsigned char *base = (unsigned char *)pointer;
    block head;
    size_t i;
    int broken = 0;
    if (pointer == NULL) return;
    base -= GUARD;
    memcpy(&head, base, sizeof head);
    if (head.magic != block_magic) {
        h->damaged++;
        return; /* its size is unknown: do not make it worse */
    }
    for (i = sizeof head; i < GUARD; i++) {
        broken |= base[i] != 0xA5;
    }
    for (i = 0; i < GUARD; i++) {
        broken |= base[GUARD + head.size + i] != 0xA5;
    }
    h->damaged += broken;
    h->live--;
    h->live_bytes -= (int64_t)head.size;
    head.magic = 0;
    memcpy(base, &head, sizeof head);
    free(base);
}

static void heap_context(heap *h, prun_context *context)
{
    memset(h, 0, sizeof *h);
    memset(context, 0, sizeof *context);
    context->allocate = heap_allocate;
    context->release = heap_release;
    context->allocator_user = h;
    context->threads = 1; /* the order of requests must not depend on the schedule */
}

/* ---- the material the operations work on ---- */

enum { IMAGES = 20, SIDE = 8, PIXELS = SIDE * SIDE, CLASSES = 3 };

typedef struct material {
    prun_context *context;
    prun_images images;
    uint8_t pixels[IMAGES * PIXELS];
    int32_t labels[IMAGES];
    prun_net *net;
    prun_net_data data; /* what the objective reads */
    float *weights; /* all tensors of the net as they were when the failure was armed */
} material;

static prun_status build_small(prun_context *context, prun_net **net)
{
    int32_t v = PRUN_INPUT, shortcut;
    prun_status status = prun_net_create(context, 1, SIDE, SIDE, net);
    if (status != PRUN_OK) return status;
    v = prun_layer_conv2d(*net, v, "conv0", 3, 3, 1, 1, PRUN_PADDING_ZEROS, 1);
    v = prun_layer_batch_norm(*net, v, "bn0", 0, 0);
    v = shortcut = prun_layer_relu(*net, v);
    v = prun_layer_conv2d(*net, v, "conv1", 3, 3, 1, 1, PRUN_PADDING_SAME, 0);
    v = prun_layer_add(*net, v, shortcut);
    v = prun_layer_max_pool(*net, v, 2, 0, 0);
    v = prun_layer_avg_pool(*net, v, 2, 0, 0);
    v = prun_layer_dropout(*net, v, 0.2);
    v = prun_layer_flatten(*net, v);
    v = prun_layer_linear(*net, v, "fc", CLASSES, 1);
    return prun_net_finish(*net, v, 5);
}

static int64_t tensor_floats(const prun_net *net)
{
    int64_t i, count, floats = 0;
    const prun_tensor *t = prun_net_tensors(net, &count);
    for (i = 0; i < count; i++) {
        floats += prun_tensor_size(&t[i]);
    }
    return floats;
}

static void copy_tensors(const prun_net *net, float *out)
{
    int64_t i, count;
    const prun_tensor *t = prun_net_tensors(net, &count);
    for (i = 0; i < count; i++) {
        memcpy(out, t[i].data, (size_t)prun_tensor_size(&t[i]) * sizeof(float));
        out += prun_tensor_size(&t[i]);
    }
}

static void material_images(material *m)
{
    int64_t i;
    for (i = 0; i < IMAGES * PIXELS; i++) {
        m->pixels[i] = (uint8_t)(prun_random_bits(3, 4, (uint64_t)i) >> 56);
    }
    for (i = 0; i < IMAGES; i++) {
        m->labels[i] = (int32_t)(i % CLASSES);
    }
    m->images.count = IMAGES;
    m->images.channels = 1;
    m->images.height = m->images.width = SIDE;
    m->images.classes = CLASSES;
    m->images.pixels = m->pixels;
    m->images.labels = m->labels;
}

static int weights_unchanged(const material *m)
{
    size_t bytes = (size_t)tensor_floats(m->net) * sizeof(float);
    float *now = (float *)malloc(bytes);
    int same = 0;
    if (now != NULL) {
        copy_tensors(m->net, now);
        same = memcmp(now, m->weights, bytes) == 0;
    }
    free(now);
    return same;
}

/* ---- the loop over the failing request ---- */

typedef prun_status operation(material *m);

typedef enum promise { NO_NET, WEIGHTS_STAY, WEIGHTS_MAY_CHANGE } promise;

/* One run with the given request refused; *refused says whether it came to that. */
static void run_once(operation *op, promise promised, int64_t fail_at, int32_t once, int *refused)
{
    static material m;
    prun_context context;
    heap h;
    int64_t live = 0;
    prun_status status;
    heap_context(&h, &context);
    memset(&m, 0, sizeof m);
    m.context = &context;
    material_images(&m);
    if (promised != NO_NET) {
        if (!CHECK_STATUS_IN(&context, build_small(&context, &m.net), PRUN_OK)) return;
        m.weights = (float *)malloc((size_t)tensor_floats(m.net) * sizeof(float));
        if (!CHECK(m.weights != NULL)) return;
        copy_tensors(m.net, m.weights);
    }
    live = h.live;
    h.requests = 0;
    h.fail_at = fail_at;
    h.once = once;
    status = op(&m);
    *refused = fail_at > 0 && h.requests >= fail_at;
    CHECK_STATUS_IN(&context, status, *refused ? PRUN_ERR_MEMORY : PRUN_OK);
    if (*refused) {
        CHECK(context.status == PRUN_ERR_MEMORY && prun_message(&context)[0] != '\0');
    }
    CHECK(promised == NO_NET ? h.live == live : h.live >= live); /* a net may keep workspaces */
    CHECK(promised != WEIGHTS_STAY || weights_unchanged(&m));
    h.fail_at = 0;
    if (*refused && promised != NO_NET) {
        CHECK_STATUS_IN(&context, op(&m), PRUN_OK); /* and it works once there is memory again */
    }
    prun_net_free(m.net);
    free(m.weights);
    CHECK(h.live == 0 && h.live_bytes == 0 && h.damaged == 0);
}

static void fail_every_request(operation *op, promise promised)
{
    int32_t once;
    for (once = 0; once < 2; once++) {
        int64_t n;
        int refused = 1;
        for (n = 1; refused && n < 3000 && test_failures == 0; n++) {
            run_once(op, promised, n, once, &refused);
        }
        CHECK(n > 2); /* an operation that asks for no memory does not belong here */
        CHECK(!refused);
    }
}

/* ---- the operations ---- */

static prun_status op_build_small(material *m)
{
    prun_net *net = NULL;
    prun_status status = build_small(m->context, &net);
    prun_net_free(net);
    return status;
}

static prun_status build_family(material *m, prun_family family, int64_t width, int64_t depth)
{
    prun_net *net = NULL;
    prun_arch arch;
    prun_status status;
    memset(&arch, 0, sizeof arch);
    arch.family = family;
    arch.width = width;
    arch.depth = depth;
    arch.dropout = family == PRUN_NIN ? 0.2 : 0;
    status = prun_net_family(m->context, &arch, &net);
    if (status == PRUN_OK) prun_net_free(net);
    return status;
}

static prun_status op_build_cnn(material *m)
{
    return build_family(m, PRUN_CNN, 1, 0);
}

static prun_status op_build_nin(material *m)
{
    return build_family(m, PRUN_NIN, 2, 2);
}

static prun_status op_build_resnet18(material *m)
{
    return build_family(m, PRUN_RESNET18, 1, 0);
}

static prun_status op_logits(material *m)
{
    float logits[IMAGES * CLASSES];
    return prun_net_logits(m->net, &m->images, NULL, IMAGES, logits);
}

static prun_status op_loss(material *m)
{
    static const int64_t index[5] = {3, 19, 0, 7, 7};
    double losses[5], sum;
    return prun_net_loss(m->net, &m->images, index, 5, losses, &sum, NULL);
}

static prun_status op_gradient(material *m)
{
    float *gradient = (float *)malloc((size_t)prun_net_parameters(m->net) * sizeof(float));
    prun_status status;
    if (gradient == NULL) return PRUN_ERR_MEMORY;
    status = prun_net_gradient(m->net, &m->images, NULL, IMAGES, gradient, NULL, NULL);
    free(gradient);
    return status;
}

static prun_status op_train(material *m)
{
    prun_train_options options;
    prun_epoch history[1];
    memset(&options, 0, sizeof options);
    options.epochs = 1;
    options.batch = 8;
    options.evaluate = 1;
    options.augment.crop_padding = 1;
    options.augment.flip = 1;
    return prun_train(m->net, &m->images, &options, history);
}

static prun_status op_trainer(material *m)
{
    static const int64_t index[6] = {1, 2, 3, 5, 8, 13};
    prun_train_options options;
    prun_trainer *trainer = NULL;
    prun_status status;
    prun_epoch epoch;
    double sum;
    int64_t errors;
    memset(&options, 0, sizeof options);
    status = prun_trainer_create(m->net, &m->images, &options, &trainer);
    if (status != PRUN_OK) return status;
    status = prun_trainer_step(trainer, index, 6, 0.01, &sum, &errors);
    if (status == PRUN_OK) status = prun_trainer_epoch(trainer, &epoch);
    prun_trainer_free(trainer);
    return status;
}

/* The net on its images; lives as long as the material. */
static prun_status objective_of(material *m, prun_objective *objective)
{
    m->data.net = m->net;
    m->data.images = &m->images;
    return prun_net_objective(&m->data, objective);
}

static prun_status search(material *m, prun_prune_method method)
{
    prun_objective objective;
    prun_prune_options options;
    prun_prunability result;
    prun_status status;
    status = objective_of(m, &objective);
    if (status != PRUN_OK) return status;
    memset(&options, 0, sizeof options);
    options.method = method;
    options.grid = 10;
    options.repetitions = 2;
    return prun_prunability_search(&objective, &options, &result);
}

static prun_status op_search(material *m)
{
    return search(m, PRUN_MAGNITUDE);
}

static prun_status op_search_random(material *m)
{
    return search(m, PRUN_RANDOM);
}

static prun_status op_curve(material *m)
{
    prun_objective objective;
    prun_prune_options options;
    double losses[6], errors[6];
    prun_status status;
    status = objective_of(m, &objective);
    if (status != PRUN_OK) return status;
    memset(&options, 0, sizeof options);
    options.grid = 5;
    options.scope = PRUN_PER_LAYER;
    return prun_loss_curve(&objective, &options, losses, errors);
}

/* What perturbs: curves, radii, the profile of the layers. */
static prun_status perturb(material *m, int which)
{
    static const double radii[2] = {.01, .1};
    prun_objective objective;
    prun_perturb_options options;
    prun_prune_options prune;
    prun_radius radius;
    double losses[32], errors[32];
    prun_status status;
    status = objective_of(m, &objective);
    if (status != PRUN_OK) return status;
    memset(&options, 0, sizeof options);
    memset(&prune, 0, sizeof prune);
    options.draws = 2;
    options.precision = .5;
    options.steps = 2;
    prune.grid = 2;
    switch (which) {
    case 0: return prun_perturbation_curve(&objective, &options, radii, 2, losses, errors, NULL);
    case 1: return prun_same_size_curve(&objective, &options, 4, losses, errors, NULL);
    case 2: return prun_perturbation_radius(&objective, &options, &radius);
    case 3: return prun_sharpness_radius(&objective, &options, &radius);
    case 4: return prun_dropout_error(&objective, &options, .5, .1, losses, errors);
    default: return prun_layer_profile(&objective, &prune, losses);
    }
}

static prun_status op_noise_curve(material *m) { return perturb(m, 0); }
static prun_status op_same_size(material *m) { return perturb(m, 1); }
static prun_status op_noise_radius(material *m) { return perturb(m, 2); }
static prun_status op_sharpness(material *m) { return perturb(m, 3); }
static prun_status op_dropout_error(material *m) { return perturb(m, 4); }
static prun_status op_layer_profile(material *m) { return perturb(m, 5); }

static prun_status op_copy(material *m)
{
    prun_net *copy = NULL;
    prun_status status = prun_net_copy(m->net, 1, &copy);
    if (status == PRUN_OK) prun_net_free(copy);
    return status;
}

static prun_status op_hidden_margins(material *m)
{
    double margins[2 * IMAGES], spread[2];
    int32_t layers[4];
    prun_net_margin_layers(m->net, layers);
    return prun_net_hidden_margins(m->net, &m->images, NULL, IMAGES, layers, 2, margins, spread);
}

static prun_status op_path_norm(material *m)
{
    double value;
    return prun_path_norm(m->net, &value);
}

static prun_status op_gradient_noise(material *m)
{
    prun_objective objective;
    double variance;
    prun_status status;
    status = objective_of(m, &objective);
    if (status != PRUN_OK) return status;
    return prun_gradient_noise(&objective, 8, 2, 1, &variance, NULL);
}

/* All curvature there is, over a subset of the samples, and what is made of the spectrum. */
static prun_status op_curvature(material *m)
{
    static const char *const names[] = {"effective_dimensionality_slq", "hessian_trace"};
    prun_objective objective;
    prun_measure_options options;
    prun_measurement measurement;
    prun_measure_result result;
    prun_status status;
    int i;
    status = objective_of(m, &objective);
    memset(&options, 0, sizeof options);
    options.hessian_samples = 5;
    options.hessian_steps = 4;
    options.hessian_probes = options.draws = 2;
    if (status == PRUN_OK) status = prun_measure_begin(&objective, &options, &measurement);
    if (status != PRUN_OK) return status;
    for (i = 0; status == PRUN_OK && i < 2; i++)
        status = prun_measure(&measurement, prun_measure_find(names[i]), &result);
    prun_measure_end(&measurement);
    return status;
}

static prun_status op_kendall(material *m)
{
    double x[40], y[40];
    prun_kendall result;
    int i;
    for (i = 0; i < 40; i++) {
        x[i] = prun_random_uniform(1, 2, (uint64_t)i);
        y[i] = prun_random_uniform(1, 3, (uint64_t)i);
    }
    return prun_kendall_tau(m->context, x, y, 33, &result); /* the exact p-value */
}

typedef struct small_conv {
    prun_conv2d conv;
    float x[2 * 16 * 36 * 3], y[2 * 16 * 36 * 4], weight[4 * 3 * 9], bias[4];
} small_conv;

static small_conv *make_conv(void)
{
    small_conv *c = (small_conv *)calloc(1, sizeof *c);
    int i;
    if (c == NULL) return NULL;
    c->conv.in_channels = 3;
    c->conv.in_height = c->conv.in_width = 6;
    c->conv.out_channels = 4;
    c->conv.kernel[0] = 3;
    for (i = 0; i < 4; i++) {
        c->conv.padding[i] = 1;
    }
    return c;
}

static prun_status op_conv_forward(material *m)
{
    small_conv *c = make_conv();
    prun_status status;
    if (c == NULL) return PRUN_ERR_MEMORY;
    status = prun_conv2d_forward(m->context, &c->conv, 20, c->x, c->weight, c->bias, c->y);
    free(c);
    return status;
}

static prun_status op_conv_input_gradient(material *m)
{
    small_conv *c = make_conv();
    prun_status status;
    if (c == NULL) return PRUN_ERR_MEMORY;
    status = prun_conv2d_input_gradient(m->context, &c->conv, 20, c->y, c->weight, c->x);
    free(c);
    return status;
}

static prun_status op_conv_weight_gradient(material *m)
{
    small_conv *c = make_conv();
    prun_status status;
    if (c == NULL) return PRUN_ERR_MEMORY;
    status = prun_conv2d_weight_gradient(m->context, &c->conv, 20, c->x, c->y, c->weight);
    free(c);
    return status;
}

/* ---- files, in a directory of their own ---- */

static char directory[400], net_path[450], image_path[450], label_path[450], cifar_path[450];

/* Without POSIX the files go to the working directory. */
static int make_directory(void)
{
#if defined(__unix__) || defined(__APPLE__)
    const char *parent = getenv("TMPDIR");
    int length = snprintf(directory, sizeof directory, "%s/test_memory.XXXXXX",
                          parent != NULL && parent[0] != '\0' ? parent : ".");
    if (length >= (int)sizeof directory || mkdtemp(directory) == NULL) return 0;
#else
    snprintf(directory, sizeof directory, ".");
#endif
    snprintf(net_path, sizeof net_path, "%s/test_memory_net.safetensors", directory);
    snprintf(image_path, sizeof image_path, "%s/test_memory_images.idx", directory);
    snprintf(label_path, sizeof label_path, "%s/test_memory_labels.idx", directory);
    snprintf(cifar_path, sizeof cifar_path, "%s/test_memory_cifar.bin", directory);
    return 1;
}

static int write_bytes(const char *path, const unsigned char *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    size_t written = file != NULL ? fwrite(bytes, 1, size, file) : 0;
    int closed = file != NULL && fclose(file) == 0;
    return closed && written == size;
}

static int write_data_files(void)
{
    static const unsigned char images[16 + 8] = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 2,
                                                 1, 2, 3, 4, 5, 6, 7, 8};
    static const unsigned char labels[8 + 2] = {0, 0, 8, 1, 0, 0, 0, 2, 4, 9};
    static unsigned char cifar[3073];
    return write_bytes(image_path, images, sizeof images)
           && write_bytes(label_path, labels, sizeof labels)
           && write_bytes(cifar_path, cifar, sizeof cifar);
}

static void remove_files(void)
{
    remove(net_path);
    remove(image_path);
    remove(label_path);
    remove(cifar_path);
#if defined(__unix__) || defined(__APPLE__)
    CHECK(rmdir(directory) == 0); /* which fails if anything else was left there */
#endif
}

static prun_status op_load_idx(material *m)
{
    prun_idx_options options;
    prun_images images;
    prun_status status;
    memset(&images, 0, sizeof images);
    memset(&options, 0, sizeof options);
    options.channels = 3;
    options.pad_to = 6;
    status = prun_load_idx(m->context, image_path, label_path, &options, &images);
    if (status == PRUN_OK) prun_images_free(&images);
    return status;
}

static prun_status op_load_cifar(material *m)
{
    const char *paths[2];
    prun_images images;
    prun_status status;
    paths[0] = paths[1] = cifar_path;
    memset(&images, 0, sizeof images);
    status = prun_load_cifar(m->context, paths, 2, 10, &images);
    if (status == PRUN_OK) prun_images_free(&images);
    return status;
}

static prun_status op_save(material *m)
{
    return prun_net_save(m->net, net_path);
}

static prun_status op_write(material *m)
{
    static const char *const metadata[2] = {"format", "pt"};
    float values[4] = {1, 2, 3, 4};
    prun_tensor tensor;
    memset(&tensor, 0, sizeof tensor);
    tensor.data = values;
    tensor.name = "values \"quoted\"";
    tensor.rank = 1;
    tensor.shape[0] = 4;
    return prun_safetensors_write(m->context, net_path, &tensor, 1, metadata, 1);
}

static prun_status op_load(material *m)
{
    prun_safetensors *file = NULL;
    prun_status status = prun_safetensors_open(m->context, net_path, &file);
    if (status != PRUN_OK) return status;
    status = prun_net_load(m->net, file, NULL);
    prun_safetensors_close(file);
    return status;
}

static prun_status op_read(material *m)
{
    prun_safetensors *file = NULL;
    float *out = (float *)malloc(100000);
    prun_status status = out != NULL ? prun_safetensors_open(m->context, net_path, &file)
                                     : PRUN_ERR_MEMORY;
    if (status == PRUN_OK) {
        const prun_safetensors_entry *entry = prun_safetensors_find(file, "fc.weight");
        status = entry == NULL || entry->count > 25000
                     ? PRUN_ERR_MISSING : prun_safetensors_read_f32(file, entry, out);
    }
    prun_safetensors_close(file);
    free(out);
    return status;
}

/* ---- tests ---- */

static void building(void)
{
    fail_every_request(op_build_small, NO_NET);
    fail_every_request(op_build_cnn, NO_NET);
    fail_every_request(op_build_nin, NO_NET);
}

static void building_resnet18(void)
{
    fail_every_request(op_build_resnet18, NO_NET);
}

static void evaluating(void)
{
    fail_every_request(op_logits, WEIGHTS_STAY);
    fail_every_request(op_loss, WEIGHTS_STAY);
    fail_every_request(op_gradient, WEIGHTS_STAY);
}

static void training(void)
{
    fail_every_request(op_train, WEIGHTS_MAY_CHANGE);
    fail_every_request(op_trainer, WEIGHTS_MAY_CHANGE);
}

static void searching(void)
{
    fail_every_request(op_search, WEIGHTS_STAY);
    fail_every_request(op_search_random, WEIGHTS_STAY);
    fail_every_request(op_curve, WEIGHTS_STAY);
}

static void perturbing(void)
{
    fail_every_request(op_noise_curve, WEIGHTS_STAY);
    fail_every_request(op_same_size, WEIGHTS_STAY);
    fail_every_request(op_noise_radius, WEIGHTS_STAY);
    fail_every_request(op_sharpness, WEIGHTS_STAY);
    fail_every_request(op_dropout_error, WEIGHTS_STAY);
    fail_every_request(op_layer_profile, WEIGHTS_STAY);
}

static void measuring(void)
{
    fail_every_request(op_copy, WEIGHTS_STAY);
    fail_every_request(op_hidden_margins, WEIGHTS_STAY);
    fail_every_request(op_path_norm, WEIGHTS_STAY);
    fail_every_request(op_gradient_noise, WEIGHTS_STAY);
    fail_every_request(op_curvature, WEIGHTS_STAY);
}

static void kendall(void)
{
    fail_every_request(op_kendall, NO_NET);
}

static void convolutions(void)
{
    fail_every_request(op_conv_forward, NO_NET);
    fail_every_request(op_conv_input_gradient, NO_NET);
    fail_every_request(op_conv_weight_gradient, NO_NET);
}

static void data_files(void)
{
    if (!CHECK(make_directory())) return;
    if (CHECK(write_data_files())) {
        fail_every_request(op_load_idx, NO_NET);
        fail_every_request(op_load_cifar, NO_NET);
    }
    remove_files();
}

static void checkpoints(void)
{
    if (!CHECK(make_directory())) return;
    fail_every_request(op_write, NO_NET);
    fail_every_request(op_save, WEIGHTS_STAY);
    fail_every_request(op_load, WEIGHTS_STAY); /* the file holds the net's own weights */
    fail_every_request(op_read, WEIGHTS_STAY);
    remove_files();
}

/* A load that fails for memory must not have changed part of the net. */
static void failing_load_changes_nothing(void)
{
    int64_t n;
    int refused = 1;
    if (!CHECK(make_directory())) return;
    for (n = 0; refused && n < 3000 && test_failures == 0; n++) {
        static material m;
        prun_context context;
        prun_status status;
        heap h;
        heap_context(&h, &context);
        memset(&m, 0, sizeof m);
        m.context = &context;
        CHECK_STATUS_IN(&context, build_small(&context, &m.net), PRUN_OK);
        if (n == 0) CHECK_STATUS_IN(&context, prun_net_save(m.net, net_path), PRUN_OK);
        prun_net_init(m.net, 1234);
        m.weights = (float *)malloc((size_t)tensor_floats(m.net) * sizeof(float));
        if (!CHECK(m.weights != NULL)) return;
        copy_tensors(m.net, m.weights);
        h.requests = 0;
        h.fail_at = n;
        status = op_load(&m);
        refused = n == 0 || h.requests >= n;
        CHECK_STATUS_IN(&context, status, n > 0 && refused ? PRUN_ERR_MEMORY : PRUN_OK);
        CHECK(weights_unchanged(&m) == (status != PRUN_OK));
        prun_net_free(m.net);
        free(m.weights);
        CHECK(h.live == 0 && h.damaged == 0);
    }
    remove_files();
}

/* Sizes no machine has: a status, not a crash, and no silly request to the allocator. */
static void huge_networks(void)
{
    static const int64_t sizes[6] = {(int64_t)1 << 30, (int64_t)1 << 31, (int64_t)1 << 40,
                                     (int64_t)1 << 60, INT64_MAX / 8, INT64_MAX};
    int i, family, field;
    for (i = 0; i < 6; i++) {
        for (family = 0; family < 3; family++) {
            for (field = 0; field < 2; field++) {
                prun_context context;
                prun_net *net = NULL;
                prun_arch arch;
                prun_status status;
                heap h;
                heap_context(&h, &context);
                memset(&arch, 0, sizeof arch);
                arch.family = (prun_family)family;
                arch.width = field == 0 ? sizes[i] : 4;
                arch.classes = field == 1 ? sizes[i] : 10;
                status = prun_net_family(&context, &arch, &net);
                CHECK(status == PRUN_ERR_MEMORY || status == PRUN_ERR_OVERFLOW
                      || status == PRUN_ERR_ARGUMENT || status == PRUN_ERR_SHAPE);
                CHECK(prun_message(&context)[0] != '\0');
                CHECK(h.live == 0 && h.damaged == 0);
            }
        }
    }
}

static void huge_layers(void)
{
    static const int64_t sizes[4] = {(int64_t)1 << 31, (int64_t)1 << 40, (int64_t)1 << 62,
                                     INT64_MAX};
    int i;
    for (i = 0; i < 4; i++) {
        prun_context context;
        prun_net *net = NULL;
        prun_conv2d conv;
        heap h;
        int32_t v;
        heap_context(&h, &context);
        CHECK_STATUS_IN(&context, prun_net_create(&context, 1, 8, 8, &net), PRUN_OK);
        v = prun_layer_conv2d(net, PRUN_INPUT, "conv", sizes[i], 3, 1, 1, PRUN_PADDING_ZEROS, 1);
        v = prun_layer_linear(net, v, "fc", sizes[i], 1);
        CHECK(prun_net_finish(net, v, 1) != PRUN_OK);
        CHECK(prun_message(&context)[0] != '\0');
        prun_net_free(net);
        CHECK(h.live == 0 && h.damaged == 0);
        CHECK(prun_lane_size(sizes[i], sizes[i], sizes[i], 3) == -1);
        memset(&conv, 0, sizeof conv);
        conv.in_channels = conv.in_height = conv.in_width = sizes[i];
        conv.out_channels = conv.kernel[0] = 3;
        conv.padding[0] = conv.padding[1] = conv.padding[2] = conv.padding[3] = sizes[i];
        if (sizes[i] > (int64_t)1 << 60) { /* input and padding do not fit into 64 bits */
            int64_t height, width;
            CHECK(prun_conv2d_output(&context, &conv, &height, &width) != PRUN_OK);
        }
    }
}

static const test_case cases[] = {
    TEST_CASE(building), TEST_CASE(building_resnet18), TEST_CASE(evaluating),
    TEST_CASE(training), TEST_CASE(searching), TEST_CASE(perturbing),
    TEST_CASE(measuring), TEST_CASE(kendall), TEST_CASE(convolutions),
    TEST_CASE(data_files), TEST_CASE(checkpoints), TEST_CASE(failing_load_changes_nothing),
    TEST_CASE(huge_networks), TEST_CASE(huge_layers),
};

int main(int argc, char **argv)
{
    return TEST_MAIN("test_memory", cases, argc, argv);
}
