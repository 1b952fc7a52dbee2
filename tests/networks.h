/* networks.h - networks and image sets that several tests use. */
#ifndef TEST_NETWORKS_H_INCLUDED
#define TEST_NETWORKS_H_INCLUDED

#include <stdlib.h>

#include "../prunability.h"
#include "reference.h"
#include "test.h"

static uint64_t noise_state = 88172645463325252ULL;

static inline void *allocate(int64_t count, size_t size) {
    void *p = calloc((size_t)(count > 0 ? count : 1), size);
    if (p == NULL) abort();
    return p;
}

static inline const prun_tensor *tensors_of(const prun_net *net) {
    int64_t count;
    return prun_net_tensors(net, &count);
}

/* Image sets */

typedef struct dataset {
    prun_images images;
    float *values;
    int32_t *labels;
} dataset;

/* Black images, all of class 0. */
static inline dataset new_set(int64_t n, int64_t c, int64_t h, int64_t w, int64_t classes) {
    dataset d;
    memset(&d, 0, sizeof(d));
    d.values = (float *)allocate(n * c * h * w, sizeof(float));
    d.labels = (int32_t *)allocate(n, sizeof(int32_t));
    d.images.count = n;
    d.images.channels = c;
    d.images.height = h;
    d.images.width = w;
    d.images.classes = classes;
    d.images.values = d.values;
    d.images.labels = d.labels;
    return d;
}

static inline void draw_images(dataset *d) {
    const prun_images *m = &d->images;
    int64_t i;
    for (i = 0; i < m->count * m->channels * m->height * m->width; i++)
        d->values[i] = (float)ref_noise(&noise_state);
    for (i = 0; i < m->count; i++) d->labels[i] = (int32_t)ref_pick(&noise_state, m->classes);
}

/* Random images and labels, different in each call. */
static inline dataset make_set(int64_t n, int64_t c, int64_t h, int64_t w, int64_t classes) {
    dataset d = new_set(n, c, h, w, classes);
    draw_images(&d);
    return d;
}

static inline void free_set(dataset *d) {
    free(d->values);
    free(d->labels);
}

/* Parameters and other contents of a network */

static inline int close_tensors(const float *got, const double *want, int64_t count, double limit,
                                const char *what) {
    double distance = ref_distance(got, want, count);
    if (CHECK(distance <= limit)) return 1;
    printf("  %s (%s): error %.3g\n", what, prun_isa(), distance);
    return 0;
}

/* A net's trained parameters as one vector: copied out of the net, and into it. */
static inline void get_parameters(const prun_net *net, float *flat) {
    int64_t count, k;
    const prun_tensor *tensors = prun_net_tensors(net, &count);
    for (k = 0; k < count; k++) {
        size_t size = (size_t)prun_tensor_size(&tensors[k]);
        if (tensors[k].flags & PRUN_TENSOR_STATISTIC) continue;
        memcpy(flat, tensors[k].data, size * sizeof(float));
        flat += size;
    }
}

static inline prun_arch small_arch(prun_family family) {
    prun_arch arch;
    memset(&arch, 0, sizeof(arch));
    arch.family = family;
    arch.width = family == PRUN_FAMILY_NIN ? 6 : family == PRUN_FAMILY_CNN ? 3 : 2;
    arch.dropout = family == PRUN_FAMILY_NIN ? 0.3 : 0;
    arch.classes = 7;
    arch.seed = 5;
    return arch;
}

/* The bytes of everything a run produces: tensors, losses, gradient, history. */
typedef struct run_record {
    unsigned char *bytes;
    size_t size;
} run_record;

static inline void record(run_record *r, const void *from, size_t size) {
    unsigned char *bytes = (unsigned char *)realloc(r->bytes, r->size + size);
    if (bytes == NULL) abort();
    memcpy(bytes + r->size, from, size);
    r->bytes = bytes;
    r->size += size;
}

static inline void record_tensors(run_record *r, const prun_net *net) {
    int64_t count, k;
    const prun_tensor *tensors = prun_net_tensors(net, &count);
    for (k = 0; k < count; k++) {
        record(r, tensors[k].data, (size_t)prun_tensor_size(&tensors[k]) * sizeof(float));
    }
}

/* Small networks */

static inline const prun_tensor *find_tensor(const prun_net *net, const char *name) {
    int64_t count, k;
    const prun_tensor *tensors = prun_net_tensors(net, &count);
    for (k = 0; k < count; k++) {
        if (strcmp(tensors[k].name, name) == 0) return &tensors[k];
    }
    return NULL;
}

enum { IN = 4, OUT = 3, PARAMETERS = IN * OUT + OUT };

static inline prun_net *linear_net(prun_context *context) {
    prun_net *net = NULL;
    CHECK_STATUS_IN(context, prun_net_create(context, 1, 2, 2, &net), PRUN_OK);
    CHECK_STATUS_IN(context,
                    prun_net_finish(net, prun_layer_linear(net, PRUN_INPUT, "fc", OUT, 1), 4),
                    PRUN_OK);
    return net;
}

/* Errors */

/* The last call failed with a message that contains `word`. */
static inline void check_message(const char *word) {
    const char *message = prun_message(&test_context);
    CHECK(test_context.status != PRUN_OK && message[0] != '\0');
    if (!CHECK(strstr(message, word) != NULL)) printf("  no \"%s\" in \"%s\"\n", word, message);
    memset(&test_context, 0, sizeof(test_context));
}

static inline prun_net *fresh_net(void) {
    prun_net *net = NULL;
    CHECK_STATUS(prun_net_create(&test_context, 3, 8, 8, &net), PRUN_OK);
    return net;
}

static inline int32_t plain_conv(prun_net *net, int64_t channels, int64_t kernel, int64_t stride,
                                 int64_t padding) {
    return prun_layer_conv2d(net, PRUN_INPUT, "odd", channels, kernel, stride, padding);
}

#endif
