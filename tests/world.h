/* world.h - the environment of an exercise: an allocator that can refuse, callbacks that can fail,
   lie and cancel, and objects made with them. exercises.h explains its use. */
#ifndef TEST_WORLD_H_INCLUDED
#define TEST_WORLD_H_INCLUDED

#include <stddef.h>

static void *default_allocate(size_t size);
static void default_release(void *pointer);
#define PRUNABILITY_MALLOC(size) default_allocate(size)
#define PRUNABILITY_FREE(pointer) default_release(pointer)

#include "implementation.h" /* with that allocator */

#include "files.h"

#include <limits.h>
#include <stdlib.h>

/* ---- an allocator with guards and a planned failure ---- */

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

enum { GUARD = 64, FILL = 0xA5, POISON = 0xDD };
#define LIMIT ((size_t)1 << 30)
static const uint64_t block_live = 0x5ca1ab1e0ddba11u, block_dead = 0xdeadb10cdeadb10cu;

typedef struct block {
    uint64_t magic;
    size_t size;
    struct block *next;
} block;

typedef struct heap {
    int32_t armed;             /* only then are requests counted and possibly refused */
    int64_t requests, fail_at; /* fail_at: the first request refused; 0: none */
    int32_t once;              /* 1: refuse only that one; 0: all from there on */
    int64_t refused;
    int64_t live;
    int64_t damaged; /* broken guards, double releases, writes after a release */
    size_t largest;
    block *released; /* kept until the end of the run, to detect later writes and releases */
} heap;

static void *heap_allocate(void *user, size_t size) {
    heap *h = (heap *)user;
    unsigned char *base = NULL;
    int refuse;
#ifdef _OPENMP
#pragma omp critical(test_heap)
#endif
    {
        h->largest = size > h->largest ? size : h->largest;
        h->requests += h->armed;
        refuse = h->armed && h->fail_at > 0 &&
                 (h->once ? h->requests == h->fail_at : h->requests >= h->fail_at);
        h->refused += refuse;
        if (!refuse && size <= LIMIT) base = (unsigned char *)malloc(size + 2 * GUARD);
        h->live += base != NULL;
    }
    if (base != NULL) {
        block head = {0, 0, NULL};
        memset(base, FILL, size + 2 * GUARD); /* also: code must not rely on zeroed memory */
        head.magic = block_live;
        head.size = size;
        memcpy(base, &head, sizeof head);
        return base + GUARD;
    }
    return NULL;
}

static int all_bytes(const unsigned char *bytes, size_t size, int value) {
    return size == 0 || (bytes[0] == value && memcmp(bytes, bytes + 1, size - 1) == 0);
}

static void heap_release_block(heap *h, unsigned char *base) {
    block head;
    memcpy(&head, base, sizeof head);
    if (head.magic != block_live) {
        h->damaged++; /* released twice, or never allocated */
        return;
    }
    h->damaged += !all_bytes(base + sizeof head, GUARD - sizeof head, FILL);
    h->damaged += !all_bytes(base + GUARD + head.size, GUARD, FILL);
    h->live--;
    memset(base, POISON, head.size + 2 * GUARD);
    if (SANITIZED) {
        free(base);
        return;
    }
    head.magic = block_dead;
    head.next = h->released;
    memcpy(base, &head, sizeof head);
    h->released = (block *)(void *)base;
}

static void heap_release(void *user, void *pointer) {
    if (pointer == NULL) return;
    if (all_bytes((const unsigned char *)&pointer, sizeof pointer, POISON)) {
        ((heap *)user)->damaged++; /* read from a block that was released before */
        return;
    }
#ifdef _OPENMP
#pragma omp critical(test_heap)
#endif
    heap_release_block((heap *)user, (unsigned char *)pointer - GUARD);
}

/* Checks the released blocks and frees them. */
static void heap_end(heap *h) {
    while (h->released != NULL) {
        unsigned char *base = (unsigned char *)h->released;
        const block head = *h->released;
        h->damaged += !all_bytes(base + sizeof head, head.size + 2 * GUARD - sizeof head, POISON);
        h->released = head.next;
        free(base);
    }
}

/* Allocations without a context: they are counted, or, if the running exercise has no context, made
   on its heap. */
static int64_t default_requests;
static heap *default_heap;

static void *default_allocate(size_t size) {
    if (default_heap != NULL) return heap_allocate(default_heap, size);
    default_requests++;
    return malloc(size);
}

static void default_release(void *pointer) {
    if (default_heap != NULL) heap_release(default_heap, pointer);
    else free(pointer);
}

/* ---- the plan of a run, and its objects ---- */

enum { IMAGES = 20, SIDE = 6, PIXELS = SIDE * SIDE, CLASSES = 3, MOST_OUTPUTS = 8 };
#define OLD_FILE "what the file held before"

typedef enum callback {
    NO_CALLBACK,
    ON_LOSS,
    ON_GRADIENT,
    ON_HESSIAN,
    ON_LOGITS,
    ON_PROGRESS,
    ON_EPOCH,
    ON_STATISTIC,
    ON_SPECTRUM,
    CALLBACKS
} callback;

typedef enum lie {
    HONEST,
    LIE_NAN,
    LIE_INFINITE,
    LIE_MINUS_INFINITE,
    LIE_HUGE,
    LIE_NEGATIVE,
    LIE_SUM,
    LIE_SUM_NAN,
    LIE_ERRORS_NEGATIVE,
    LIE_ERRORS_MANY,
    LIE_CHANGING,
    LIE_SILENT /* writes nothing */,
    LIE_WEIGHTS /* changes the weights that it should only read */,
    LIES
} lie;

typedef enum output_kind {
    WHOLE, /* untouched after a failure, the same bits after each success */
    BEGUN, /* after a failure: elements as after a success, then untouched ones */
    LOOSE, /* after a failure: any content */
    HANDLE /* untouched after a failure; a pointer, or a struct that contains pointers */
} output_kind;

typedef struct output {
    unsigned char *memory; /* GUARD bytes, the output, GUARD bytes */
    size_t size, element;
    output_kind kind;
} output;

enum { SERIAL, HOOK, OPENMP, NO_CONTEXT, SURROUNDINGS };

typedef struct world {
    heap heap;
    prun_context own, *context; /* context: &own, or NULL */
    uint8_t pixels[IMAGES * PIXELS];
    int32_t labels[IMAGES];
    prun_images images;
    prun_net *net, *before;   /* before: as it was before training */
    prun_objective plain;     /* of the net */
    prun_objective objective; /* the same; its callbacks follow the plan */
    float *weights;           /* all tensors of the net as they were when it was made */
    /* the plan */
    callback which;
    int64_t at;      /* the call of that callback that fails or lies; 0: none */
    int32_t onwards; /* and all calls after it */
    lie lie;
    prun_status answer; /* of a failing callback */
    int64_t calls[CALLBACKS], in_all, most_calls;
    /* results of the run */
    int32_t armed;
    prun_status status;
    int32_t weights_changed; /* by the call, seen when it returned */
    output outputs[MOST_OUTPUTS];
    int32_t output_count;
    uint64_t digest; /* of the results */
    char file[500];  /* the file that the call writes, or "" */
    int32_t files;   /* in the directory before the call */
    int32_t file_harmed;
} world;

static uint64_t hash(uint64_t h, const void *bytes, size_t size) {
    const unsigned char *p = (const unsigned char *)bytes;
    size_t i;
    for (i = 0; i < size; i++) {
        h = (h ^ p[i]) * 1099511628211u;
    }
    return h;
}

/* Adds bytes to the results that every successful run must reproduce. */
static void result(world *w, const void *bytes, size_t size) {
    w->digest = hash(w->digest, bytes, size);
}

/* Room for an output, filled with a pattern. */
static void *output_of(world *w, size_t element, size_t count, output_kind kind) {
    output *o = &w->outputs[w->output_count++];
    o->element = element;
    o->size = element * count;
    o->kind = kind;
    o->memory = (unsigned char *)malloc(o->size + 2 * GUARD);
    memset(o->memory, FILL, o->size + 2 * GUARD);
    return o->memory + GUARD;
}

#define OUT(w, type, count) ((type *)output_of(w, sizeof(type), count, WHOLE))
#define PREFIX(w, type, count) ((type *)output_of(w, sizeof(type), count, BEGUN))
#define PARTLY(w, type, count) ((type *)output_of(w, sizeof(type), count, LOOSE))
#define OPAQUE(w, type) ((type *)output_of(w, sizeof(type), 1, HANDLE))

static int64_t tensor_floats(const prun_net *net) {
    int64_t i, count, floats = 0;
    const prun_tensor *t = prun_net_tensors(net, &count);
    for (i = 0; i < count; i++) {
        floats += prun_tensor_size(&t[i]);
    }
    return floats;
}

/* Copies all tensors, concatenated; `back`: into the net. */
static void copy_tensors(const prun_net *net, float *floats, int back) {
    int64_t i, count;
    const prun_tensor *t = prun_net_tensors(net, &count);
    for (i = 0; i < count; i++) {
        const size_t bytes = (size_t)prun_tensor_size(&t[i]) * sizeof(float);
        memcpy(back ? t[i].data : floats, back ? floats : t[i].data, bytes);
        floats += prun_tensor_size(&t[i]);
    }
}

static int weights_as_made(const world *w) {
    const size_t bytes = (size_t)tensor_floats(w->net) * sizeof(float);
    float *now = (float *)malloc(bytes);
    int same;
    copy_tensors(w->net, now, 0);
    same = memcmp(now, w->weights, bytes) == 0;
    free(now);
    return same;
}

static int file_is_old(const char *path) {
    char bytes[sizeof OLD_FILE] = "";
    FILE *file = fopen(path, "rb");
    size_t size = file != NULL ? fread(bytes, 1, sizeof bytes, file) : 0;
    if (file != NULL) fclose(file);
    return size == strlen(OLD_FILE) && memcmp(bytes, OLD_FILE, size) == 0;
}

static void arm(world *w) {
    if (w->file[0]) {
        remove(w->file);
        write_file(strrchr(w->file, '/') + 1, (const unsigned char *)OLD_FILE, strlen(OLD_FILE));
    }
    w->files = files_named("", 0);
    w->own.status = w->answer;
    strcpy(w->own.message, "a message of before");
    w->heap.armed = w->armed = 1;
}

static prun_status disarm(world *w, prun_status status) {
    w->heap.armed = w->armed = 0;
    w->status = status;
    w->weights_changed = w->net != NULL && !weights_as_made(w);
    w->file_harmed = files_named("", 0) != w->files ||
                     (status != PRUN_OK && w->file[0] && !file_is_old(w->file));
    return status;
}

#define CALL(w, expression) (arm(w), disarm(w, expression))

/* ---- callbacks that follow the plan ---- */

/* Counts a call. Returns whether it is one that fails or lies. */
static int planned(world *w, callback which) {
    int64_t call = 0;
    int32_t hit;
    if (!w->armed) return 0;
#ifdef _OPENMP
#pragma omp critical(test_calls)
#endif
    {
        call = ++w->calls[which];
        w->in_all++;
    }
    hit = which == w->which && w->at > 0 && (w->onwards ? call >= w->at : call == w->at);
    return hit;
}

/* Ends a library call that would never return. */
static int too_many(const world *w) {
    return w->armed && w->most_calls > 0 && w->in_all > w->most_calls;
}

static void tell_lies(world *w, double *losses, int64_t n, double *sum, int64_t *errors) {
    static const double values[LIES] = {0, NAN, HUGE_VAL, -HUGE_VAL, 1e308, -1};
    int64_t i;
    for (i = 0; losses != NULL && i < n; i++) {
        if (w->lie >= LIE_NAN && w->lie <= LIE_NEGATIVE) losses[i] = values[w->lie];
        if (w->lie == LIE_CHANGING) losses[i] *= 1 + (double)(w->in_all * 7919 % 13);
    }
    if (sum != NULL && w->lie >= LIE_NAN && w->lie <= LIE_NEGATIVE)
        *sum = (double)n * values[w->lie];
    if (sum != NULL && w->lie == LIE_CHANGING) *sum *= 1 + (double)(w->in_all * 7919 % 13);
    if (sum != NULL && w->lie == LIE_SUM) *sum = *sum * 3 + 1;
    if (sum != NULL && w->lie == LIE_SUM_NAN) *sum = NAN;
    if (errors != NULL && w->lie == LIE_ERRORS_NEGATIVE) *errors = -1 - n;
    if (errors != NULL && w->lie == LIE_ERRORS_MANY) *errors = 1000 * n + 1;
}

static void lie_in_floats(const world *w, float *values, int64_t count) {
    static const float lies[LIES] = {0, NAN, HUGE_VALF, -HUGE_VALF, 3e38f, -1};
    int64_t i;
    for (i = 0; i < count; i++) {
        if (w->lie >= LIE_NAN && w->lie <= LIE_NEGATIVE) values[i] = lies[w->lie];
        if (w->lie == LIE_CHANGING) values[i] *= 1 + (float)((uint64_t)(w->in_all + i) * 7919 % 13);
    }
}

static void change_weights(world *w) {
    int64_t i;
    for (i = 0; w->lie == LIE_WEIGHTS && i < w->objective.tensor_count; i++) {
        if (w->objective.tensors[i].flags & PRUN_TENSOR_WEIGHT)
            w->objective.tensors[i].data[0] += 1;
    }
}

static prun_status loss_callback(const prun_objective *objective, const int64_t *index, int64_t n,
                                 double *losses, double *sum, int64_t *errors) {
    world *w = (world *)objective->user;
    const int hit = planned(w, ON_LOSS);
    prun_status status;
    if (too_many(w)) return PRUN_ERR_CALLBACK;
    if (hit && w->lie == HONEST) return w->answer;
    if (hit && w->lie == LIE_SILENT) return PRUN_OK;
    status = w->plain.loss(&w->plain, index, n, losses, sum, errors);
    if (hit) tell_lies(w, losses, n, sum, errors);
    if (hit) change_weights(w);
    return status;
}

static prun_status gradient_callback(const prun_objective *objective, const int64_t *index,
                                     int64_t n, float *gradient, double *sum) {
    world *w = (world *)objective->user;
    const int hit = planned(w, ON_GRADIENT);
    prun_status status;
    if (too_many(w)) return PRUN_ERR_CALLBACK;
    if (hit && w->lie == HONEST) return w->answer;
    if (hit && w->lie == LIE_SILENT) return PRUN_OK;
    status = w->plain.gradient(&w->plain, index, n, gradient, sum);
    if (hit) lie_in_floats(w, gradient, prun_net_parameter_count(w->net));
    if (hit) change_weights(w);
    return status;
}

static prun_status hessian_callback(const prun_objective *objective, const int64_t *index,
                                    int64_t n, const float *v, float *product) {
    world *w = (world *)objective->user;
    const int hit = planned(w, ON_HESSIAN);
    prun_status status;
    if (too_many(w)) return PRUN_ERR_CALLBACK;
    if (hit && w->lie == HONEST) return w->answer;
    if (hit && w->lie == LIE_SILENT) return PRUN_OK;
    status = w->plain.hessian_vector(&w->plain, index, n, v, product);
    if (hit) lie_in_floats(w, product, prun_net_parameter_count(w->net));
    return status;
}

static prun_status logits_callback(const prun_objective *objective, const int64_t *index, int64_t n,
                                   float *logits) {
    world *w = (world *)objective->user;
    const int hit = planned(w, ON_LOGITS);
    prun_status status;
    if (too_many(w)) return PRUN_ERR_CALLBACK;
    if (hit && w->lie == HONEST) return w->answer;
    if (hit && w->lie == LIE_SILENT) return PRUN_OK;
    status = w->plain.logits(&w->plain, index, n, logits);
    if (hit) lie_in_floats(w, logits, n * CLASSES);
    return status;
}

static int progress_callback(void *user, int64_t done, int64_t total) {
    world *w = (world *)user;
    (void)done;
    (void)total;
    return planned(w, ON_PROGRESS) ? (int)w->answer : 0;
}

static int epoch_callback(void *user, const prun_epoch *epoch) {
    world *w = (world *)user;
    (void)epoch;
    return planned(w, ON_EPOCH) ? (int)w->answer : 0;
}

static double lying_value(world *w, callback which, double value) {
    double sum = 0;
    if (!planned(w, which)) return value;
    tell_lies(w, &value, 1, &sum, NULL);
    return value;
}

/* Mean of a number per row. */
static double statistic_callback(void *user, const int64_t *rows, int64_t n) {
    double sum = 0;
    int64_t i;
    for (i = 0; i < n; i++) {
        sum += (double)(rows[i] * 37 % 11);
    }
    return lying_value((world *)user, ON_STATISTIC, sum / (double)n);
}

static double square_callback(void *user, double eigenvalue) {
    return lying_value((world *)user, ON_SPECTRUM, eigenvalue * eigenvalue);
}

/* A clock; with a negative `clock_step` it runs backwards. */
static double clock_step, clock_now;

static double test_clock(void *user) {
    (void)user;
    clock_now += clock_step;
    return clock_now;
}

/* Runs the bodies in an unusual order: the last one first, then the even ones, then the rest. */
static void backwards_for(void *user, void (*body)(void *argument, int64_t i), void *argument,
                          int64_t count) {
    int64_t i;
    (void)user;
    if (count > 0) body(argument, count - 1);
    for (i = 0; i + 1 < count; i += 2) {
        body(argument, i);
    }
    for (i = 1; i + 1 < count; i += 2) {
        body(argument, i);
    }
}

/* ---- making and ending a world ---- */

static void fill_images(world *w) {
    int64_t i;
    for (i = 0; i < IMAGES * PIXELS; i++) {
        w->pixels[i] = (uint8_t)(prun_random_bits(3, 4, (uint64_t)i) >> 56);
    }
    for (i = 0; i < IMAGES; i++) {
        w->labels[i] = (int32_t)(i % CLASSES);
    }
    w->images.count = IMAGES;
    w->images.channels = 1;
    w->images.height = w->images.width = SIDE;
    w->images.classes = CLASSES;
    w->images.pixels = w->pixels;
    w->images.labels = w->labels;
}

/* Layers of every kind. */
static int32_t add_layers(prun_net *net) {
    int32_t v = PRUN_INPUT, shortcut;
    v = prun_layer_conv2d(net, v, "conv0", 2, 3, 1, 1);
    v = prun_layer_batch_norm(net, v, "bn0", 0, 0);
    v = shortcut = prun_layer_relu(net, v);
    v = prun_layer_conv2d_with(net, v, "conv1",
                               &(prun_conv2d_options){.channels = 2,
                                                      .kernel = {3},
                                                      .stride = {1},
                                                      .padding = {1, 1, 1, 1},
                                                      .padding_mode = PRUN_PADDING_SAME,
                                                      .omit_bias = 1});
    v = prun_layer_add(net, v, shortcut);
    v = prun_layer_max_pool(net, v, 2, 0, 0);
    v = prun_layer_avg_pool(net, v, 2, 1, 0);
    v = prun_layer_dropout(net, v, 0.2);
    v = prun_layer_flatten(net, v);
    return prun_layer_linear(net, v, "fc", CLASSES, 1);
}

static prun_status build_small(prun_context *context, prun_net **net) {
    prun_status status = prun_net_create(context, 1, SIDE, SIDE, net);
    return status != PRUN_OK ? status : prun_net_finish(*net, add_layers(*net), 5);
}

/* Makes fresh nets, images and an objective, in the given surroundings. */
static int world_make(world *w, int surroundings) {
    memset(w, 0, sizeof *w);
    w->context = surroundings == NO_CONTEXT ? NULL : &w->own;
    default_heap = surroundings == NO_CONTEXT ? &w->heap : NULL;
#ifdef _OPENMP
    omp_set_num_threads(surroundings == NO_CONTEXT ? 1 : 2);
#endif
    w->own.allocate = heap_allocate;
    w->own.release = heap_release;
    w->own.allocator_user = &w->heap;
    w->own.threads = surroundings == SERIAL ? 1 : 2;
    w->own.parallel_for = surroundings == HOOK ? backwards_for : NULL;
    w->answer = PRUN_ERR_CALLBACK;
    w->digest = 14695981039346656037u;
    clock_step = clock_now = 0;
    fill_images(w);
    if (!CHECK(build_small(w->context, &w->net) == PRUN_OK)) return 0;
    if (!CHECK(prun_net_copy(w->net, 0, &w->before) == PRUN_OK)) return 0;
    prun_net_initialize(w->net, 6);
    if (!CHECK(prun_net_objective(w->net, &w->images, &w->plain) == PRUN_OK)) return 0;
    w->plain.initial = prun_net_trained_tensors(w->before, &w->plain.tensor_count);
    w->objective = w->plain;
    w->objective.user = w;
    w->objective.loss = loss_callback;
    w->objective.gradient = gradient_callback;
    w->objective.hessian_vector = hessian_callback;
    w->objective.logits = logits_callback;
    w->weights = (float *)malloc((size_t)tensor_floats(w->net) * sizeof(float));
    copy_tensors(w->net, w->weights, 0);
    return 1;
}

/* Between two runs: the weights as they were made, no plan, no outputs. */
static void world_again(world *w) {
    while (w->output_count > 0) {
        free(w->outputs[--w->output_count].memory);
    }
    copy_tensors(w->net, w->weights, 1);
    w->heap.fail_at = w->at = 0;
    w->digest = 14695981039346656037u;
    memset(w->calls, 0, sizeof w->calls);
    w->in_all = 0;
    clock_step = clock_now = 0;
}

static void world_end(world *w) {
    world_again(w);
    prun_net_free(w->net);
    prun_net_free(w->before);
    free(w->weights);
    heap_end(&w->heap);
    default_heap = NULL;
    CHECK(w->heap.live == 0);
    CHECK(w->heap.damaged == 0);
}

#endif
