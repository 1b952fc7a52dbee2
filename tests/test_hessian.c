/* test_hessian.c - second order: products, eigenvalues, spectrum, trace, effective dimensionality.

   Three oracles: differences of the gradient in double precision, by the operations of reference.h
   applied to the layers of a network; a quadratic loss whose Hessian is given; and the dense
   matrix, made of products, with Jacobi's eigenvalue method.
*/
#include "implementation.h" /* for the layers of a network */

#include <stdlib.h>

#include "net_reference.h"
#include "test.h"

static uint64_t noise_state = 1234567890123456789ULL;

static void *allocate(int64_t count, size_t size) {
    void *p = calloc((size_t)(count > 0 ? count : 1), size);
    if (p == NULL) abort();
    return p;
}

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

static float *random_floats(int64_t count) {
    float *v = (float *)allocate(count, sizeof(float));
    int64_t i;
    for (i = 0; i < count; i++) v[i] = (float)ref_noise(&noise_state);
    return v;
}

static double dot(const float *a, const double *b, int64_t count) {
    double sum = 0;
    int64_t i;
    for (i = 0; i < count; i++) sum += (double)a[i] * b[i];
    return sum;
}

/* Relative L2 distance of two float vectors. */
static double distance_of(const float *got, const float *want, int64_t count) {
    double *v = (double *)allocate(count, sizeof(double)), d;
    int64_t i;
    for (i = 0; i < count; i++) v[i] = (double)want[i];
    d = ref_distance(got, v, count);
    free(v);
    return d;
}

/* Image sets */

typedef struct dataset {
    prun_images images;
    float *values;
    int32_t *labels;
} dataset;

static void draw_images(dataset *d) {
    const prun_images *m = &d->images;
    int64_t i;
    for (i = 0; i < m->count * m->channels * m->height * m->width; i++)
        d->values[i] = (float)ref_noise(&noise_state);
    for (i = 0; i < m->count; i++) d->labels[i] = (int32_t)ref_pick(&noise_state, m->classes);
}

static dataset make_set(int64_t n, int64_t c, int64_t h, int64_t w, int64_t classes) {
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
    draw_images(&d);
    return d;
}

static void free_set(dataset *d) {
    free(d->values);
    free(d->labels);
}

/* Products in double */

/* Central differences of the reference gradient along v. */
static void reference_product(const prun_net *net, const dataset *d, const float *v, double step,
                              double *product) {
    int64_t i, k = net->parameter_count;
    double *w = (double *)allocate(k, sizeof(double)), *other = (double *)allocate(k, sizeof(*w));
    for (i = 0; i < k; i++) w[i] = (double)net->parameters[i] - step * (double)v[i];
    ref_net_gradient(net, &d->images, w, NULL, other);
    for (i = 0; i < k; i++) w[i] = (double)net->parameters[i] + step * (double)v[i];
    ref_net_gradient(net, &d->images, w, NULL, product);
    for (i = 0; i < k; i++) product[i] = (product[i] - other[i]) / (2 * step);
    free(w);
    free(other);
}

/* Networks */

/* Parameters and statistics that exercise everything. */
static void scramble(prun_net *net) {
    int64_t i, t;
    for (t = 0; t < net->tensors; t++) {
        prun_tensor *tensor = &net->tensor[t];
        int variance = strstr(tensor->name, "running_var") != NULL;
        if (!(tensor->flags & (PRUN_NORM | PRUN_STATISTIC | PRUN_BIAS))) continue;
        for (i = 0; i < prun_tensor_size(tensor); i++) {
            double u = ref_noise(&noise_state);
            if (tensor->flags & PRUN_NORM) u = 0.8 * u + (u > 0 ? 0.4 : -0.2);
            tensor->data[i] = (float)(variance ? 0.6 + 0.5 * u : 0.5 * u);
        }
    }
}

/* One random layer on value v; -1: does not fit here. */
static int32_t random_layer(prun_net *net, int32_t v, int number) {
    const prun__layer at = prun__value_shape(net, v);
    const int64_t size = smaller(at.h, at.w);
    int64_t k = 1 + ref_pick(&noise_state, smaller(size, 3));
    char name[32];
    int32_t other;
    snprintf(name, sizeof(name), "layer%d", number);
    switch (ref_pick(&noise_state, 9)) {
        case 0:
        case 1:
            return prun_layer_conv2d(net, v, name, 1 + ref_pick(&noise_state, 9), k,
                                     1 + ref_pick(&noise_state, 2), ref_pick(&noise_state, k),
                                     ref_pick(&noise_state, 2) ? PRUN_PADDING_SAME
                                                               : PRUN_PADDING_ZEROS,
                                     (int32_t)ref_pick(&noise_state, 2));
        case 2: return prun_layer_batch_norm(net, v, name, 0, 0);
        case 3: return prun_layer_relu(net, v);
        case 4: return prun_layer_dropout(net, v, 0.4);
        case 5:
            return prun_layer_max_pool(net, v, k, 1 + ref_pick(&noise_state, k),
                                       k > 1 ? ref_pick(&noise_state, 2) : 0);
        case 6:
            return prun_layer_avg_pool(net, v, k, 1 + ref_pick(&noise_state, k),
                                       k > 1 ? ref_pick(&noise_state, 2) : 0);
        case 7: return prun_layer_max_pool(net, v, size > 1 ? 2 : 1, size > 1 ? 2 : 1, 0);
        default:
            for (other = v; other > 0;
                 other--) { /* an earlier value of the same shape, or itself */
                const prun__layer b = prun__value_shape(net, other - 1);
                if (b.c == at.c && b.h == at.h && b.w == at.w) break;
            }
            return prun_layer_add(net, v, other > 0 ? other - 1 : v);
    }
}

static prun_net *random_net(int64_t classes, int64_t c, int64_t h, int64_t w) {
    prun_net *net;
    int32_t v = PRUN_INPUT;
    int i;
    CHECK_STATUS(prun_net_create(&test_context, c, h, w, &net), PRUN_OK);
    for (i = 0; i < 9; i++) {
        int32_t from = v;
        if (v > 1 && ref_pick(&noise_state, 4) == 0) from = v - 1; /* a branch */
        v = random_layer(net, from, i);
    }
    if (ref_pick(&noise_state, 3) == 0) v = prun_layer_global_avg_pool(net, v);
    v = prun_layer_flatten(net, v);
    v = prun_layer_relu(net, v);
    v = prun_layer_linear(net, v, "head", classes, (int32_t)ref_pick(&noise_state, 2));
    CHECK_STATUS(prun_net_finish(net, v, (uint64_t)ref_pick(&noise_state, 1000)), PRUN_OK);
    scramble(net);
    return net;
}

/* Draws images until the differences do not depend on their step: no kink is near. */
static double *smooth_product(const prun_net *net, dataset *d, const float *v) {
    const int64_t k = net->parameter_count;
    double *fine = (double *)allocate(k, sizeof(double)), apart;
    double *coarse = (double *)allocate(k, sizeof(double));
    float *floats = (float *)allocate(k, sizeof(float));
    int64_t i;
    int draw = 0;
    do {
        draw_images(d);
        reference_product(net, d, v, 1e-5, coarse);
        reference_product(net, d, v, 1e-6, fine);
        for (i = 0; i < k; i++) floats[i] = (float)fine[i];
        apart = ref_distance(floats, coarse, k);
    } while (apart > 1e-6 && ++draw < 50);
    CHECK(apart <= 1e-6);
    free(floats);
    free(fine);
    return coarse;
}

static void check_product(prun_net *net, dataset *d) {
    const int64_t k = net->parameter_count, n = d->images.count;
    float *v = random_floats(k), *got = (float *)allocate(k, sizeof(float));
    double *want = smooth_product(net, d, v);
    int a;
    for (a = 0; a < 2; a++) {
        prun_net_set_algorithm(net, a ? PRUN_ALGORITHM_WINOGRAD : PRUN_ALGORITHM_DIRECT);
        CHECK_STATUS(prun_net_hessian_vector(net, &d->images, NULL, n, v, got), PRUN_OK);
        if (!CHECK(ref_distance(got, want, k) <= (a ? 2e-3 : 2e-4)))
            printf("  error %g\n", ref_distance(got, want, k));
    }
    free(v);
    free(got);
    free(want);
}

static void product_of_random_networks(void) {
    int i;
    test_context.threads = 1;
    for (i = 0; i < 300; i++) {
        const int64_t c = 1 + ref_pick(&noise_state, 3), h = 5 + ref_pick(&noise_state, 5);
        const int64_t w = 5 + ref_pick(&noise_state, 5), classes = 2 + ref_pick(&noise_state, 4);
        dataset d = make_set(1 + ref_pick(&noise_state, 20), c, h, w, classes);
        prun_net *net = random_net(classes, c, h, w);
        if (net->status == PRUN_OK) check_product(net, &d);
        prun_net_free(net);
        free_set(&d);
    }
}

static void product_of_the_families(void) {
    int family, isa;
    test_context.threads = 1;
    for (isa = 0; isa < 2; isa++) {
        if (prun_set_isa(isa ? "portable" : NULL) != PRUN_OK) continue;
        for (family = PRUN_CNN; family <= PRUN_RESNET18; family++) {
            dataset d = make_set(3, 2, 32, 32, 5);
            prun_arch arch;
            prun_net *net;
            memset(&arch, 0, sizeof(arch));
            arch.family = (prun_family)family;
            arch.width = 2;
            arch.channels = 2;
            arch.classes = 5;
            arch.dropout = 0.2;
            CHECK_STATUS(prun_net_family(&test_context, &arch, &net), PRUN_OK);
            scramble(net);
            check_product(net, &d);
            prun_net_free(net);
            free_set(&d);
        }
    }
    prun_set_isa(NULL);
}

/* A small residual network with norms, for everything that is not about layers. */
static prun_net *small_net(int64_t classes) {
    prun_net *net;
    int32_t v, a;
    test_context.threads = 1; /* waking threads would take all the time */
    CHECK_STATUS(prun_net_create(&test_context, 1, 6, 6, &net), PRUN_OK);
    v = prun_layer_conv2d(net, PRUN_INPUT, "first", 4, 3, 1, 1, PRUN_PADDING_ZEROS, 1);
    v = prun_layer_batch_norm(net, v, "norm", 0, 0);
    v = prun_layer_relu(net, v);
    a = prun_layer_conv2d(net, v, "second", 4, 3, 1, 1, PRUN_PADDING_ZEROS, 0);
    v = prun_layer_add(net, v, a);
    v = prun_layer_max_pool(net, v, 2, 2, 0);
    v = prun_layer_linear(net, v, "head", classes, 1);
    CHECK_STATUS(prun_net_finish(net, v, 5), PRUN_OK);
    scramble(net);
    return net;
}

static void product_is_linear_and_symmetric(void) {
    dataset d = make_set(37, 1, 6, 6, 4);
    prun_net *net = small_net(4);
    const int64_t k = prun_net_parameters(net), n = d.images.count;
    float *u = random_floats(k), *v = random_floats(k), *w = (float *)allocate(k, sizeof(float));
    float *hu = (float *)allocate(k, sizeof(float)), *hv = (float *)allocate(k, sizeof(float));
    float *hw = (float *)allocate(k, sizeof(float));
    double uhv = 0, vhu = 0, size = 0;
    int64_t i;
    for (i = 0; i < k; i++) w[i] = 2 * u[i] - 0.5f * v[i];
    CHECK_STATUS(prun_net_hessian_vector(net, &d.images, NULL, n, u, hu), PRUN_OK);
    CHECK_STATUS(prun_net_hessian_vector(net, &d.images, NULL, n, v, hv), PRUN_OK);
    CHECK_STATUS(prun_net_hessian_vector(net, &d.images, NULL, n, w, hw), PRUN_OK);
    for (i = 0; i < k; i++) {
        uhv += (double)u[i] * (double)hv[i];
        vhu += (double)v[i] * (double)hu[i];
        size += fabs((double)u[i] * (double)hv[i]);
        w[i] = 2 * hu[i] - 0.5f * hv[i];
    }
    CHECK_CLOSE(uhv, vhu, 1e-6 * size, 0);
    CHECK(distance_of(hw, w, k) <= 2e-6);
    memset(v, 0, (size_t)k * sizeof(float));
    CHECK_STATUS(prun_net_hessian_vector(net, &d.images, NULL, n, v, hv), PRUN_OK);
    for (i = 0; i < k; i++) CHECK(hv[i] == 0.0f);
    free(u), free(v), free(w), free(hu), free(hv), free(hw);
    prun_net_free(net);
    free_set(&d);
}

/* Many batches, a ragged last one, an index with repetitions; gradients in the same workspace. */
static void product_adds_up_over_samples(void) {
    dataset d = make_set(150, 1, 6, 6, 4);
    prun_net *net = small_net(4);
    const int64_t k = prun_net_parameters(net);
    float *v = random_floats(k), *all = (float *)allocate(k, sizeof(float));
    float *part = (float *)allocate(k, sizeof(float)), *sum = (float *)allocate(k, sizeof(float));
    float *before = (float *)allocate(k, sizeof(float));
    int64_t index[75], i, j;
    CHECK_STATUS(prun_net_gradient(net, &d.images, NULL, 150, before, NULL, NULL), PRUN_OK);
    CHECK_STATUS(prun_net_hessian_vector(net, &d.images, NULL, 150, v, all), PRUN_OK);
    CHECK_STATUS(prun_net_gradient(net, &d.images, NULL, 150, part, NULL, NULL), PRUN_OK);
    CHECK(memcmp(before, part, (size_t)k * sizeof(float)) == 0);
    for (i = 0; i < 2; i++) {
        for (j = 0; j < 75; j++) index[j] = 149 - (2 * j + i);
        CHECK_STATUS(prun_net_hessian_vector(net, &d.images, index, 75, v, part), PRUN_OK);
        for (j = 0; j < k; j++) sum[j] += part[j];
    }
    CHECK(distance_of(sum, all, k) <= 2e-6);
    for (j = 0; j < 75; j++) index[j] = 7;
    CHECK_STATUS(prun_net_hessian_vector(net, &d.images, index, 75, v, all), PRUN_OK);
    CHECK_STATUS(prun_net_hessian_vector(net, &d.images, index, 1, v, part), PRUN_OK);
    for (j = 0; j < k; j++) part[j] *= 75;
    CHECK(distance_of(all, part, k) <= 2e-6);
    index[3] = 150;
    CHECK(prun_net_hessian_vector(net, &d.images, index, 75, v, all) != PRUN_OK);
    free(v), free(all), free(part), free(sum), free(before);
    prun_net_free(net);
    free_set(&d);
}

/* Tasks backwards, as many workers as asked for: what a thread pool could do. */
static void backwards(void (*body)(void *, int64_t), void *argument, int64_t count, void *user) {
    (void)user;
    while (count-- > 0) body(argument, count);
}

static void product_is_the_same_for_any_threads(void) {
    static const int32_t threads[] = {1, 2, 3, 7};
    dataset d = make_set(100, 3, 32, 32, 10);
    float *results[8], *v = NULL;
    int64_t k = 0;
    int i, hook;
    for (hook = 0; hook < 2; hook++) {
        for (i = 0; i < 4; i++) {
            prun_context context;
            prun_arch arch;
            prun_net *net;
            memset(&context, 0, sizeof(context));
            memset(&arch, 0, sizeof(arch));
            context.threads = threads[i];
            if (hook) context.parallel_for = backwards;
            arch.width = 4;
            CHECK_STATUS_IN(&context, prun_net_cnn(&context, &arch, &net), PRUN_OK);
            k = prun_net_parameters(net);
            if (v == NULL) v = random_floats(k);
            results[4 * hook + i] = (float *)allocate(k, sizeof(float));
            CHECK_STATUS_IN(
                &context,
                prun_net_hessian_vector(net, &d.images, NULL, 100, v, results[4 * hook + i]),
                PRUN_OK);
            prun_net_free(net);
        }
    }
    for (i = 1; i < 8; i++) CHECK(memcmp(results[0], results[i], (size_t)k * sizeof(float)) == 0);
    for (i = 0; i < 8; i++) free(results[i]);
    free(v);
    free_set(&d);
}

/* Dense symmetric matrices */

/* Eigenvalues of a (n x n, destroyed), ascending; vectors: NULL or n rows of unit length. */
static void jacobi(double *a, int64_t n, double *values, double *vectors) {
    int64_t i, j, k;
    double off = 1;
    int sweep;
    for (i = 0; vectors != NULL && i < n * n; i++) vectors[i] = i % (n + 1) == 0;
    for (sweep = 0; sweep < 60 && off > 0; sweep++) {
        double scale = 0;
        for (i = 0; i < n; i++) scale = fmax(scale, fabs(a[i * n + i]));
        for (off = 0, i = 0; i < n; i++) {
            for (j = i + 1; j < n; j++) {
                double w = a[i * n + j], t, c, s;
                if (fabs(w) <= 1e-15 * scale) continue;
                off = 1;
                t = (a[j * n + j] - a[i * n + i]) / (2 * w);
                t = (t < 0 ? -1 : 1) / (fabs(t) + sqrt(t * t + 1));
                c = 1 / sqrt(t * t + 1);
                s = t * c;
                for (k = 0; k < n; k++) {
                    double p = a[k * n + i], q = a[k * n + j];
                    a[k * n + i] = c * p - s * q;
                    a[k * n + j] = s * p + c * q;
                }
                for (k = 0; k < n; k++) {
                    double p = a[i * n + k], q = a[j * n + k];
                    a[i * n + k] = c * p - s * q;
                    a[j * n + k] = s * p + c * q;
                    if (vectors == NULL) continue;
                    p = vectors[i * n + k], q = vectors[j * n + k];
                    vectors[i * n + k] = c * p - s * q;
                    vectors[j * n + k] = s * p + c * q;
                }
            }
        }
    }
    for (i = 0; i < n; i++) values[i] = a[i * n + i];
    for (i = 0; i < n; i++) {
        for (j = i, k = i + 1; k < n; k++)
            if (values[k] < values[j]) j = k;
        for (k = 0; vectors != NULL && k < n; k++) {
            double t = vectors[i * n + k];
            vectors[i * n + k] = vectors[j * n + k];
            vectors[j * n + k] = t;
        }
        off = values[i], values[i] = values[j], values[j] = off;
    }
}

/* The dense Hessian, column by column, made symmetric. */
static double *dense_hessian(const prun_objective *o, const prun_hessian_options *options,
                             int64_t k) {
    double *h = (double *)allocate(k * k, sizeof(double));
    float *e = (float *)allocate(k, sizeof(float));
    int64_t i, j;
    for (i = 0; i < k; i++) {
        e[i] = 1;
        CHECK_STATUS(prun_hessian_vector(o, options, e, h + i * k), PRUN_OK);
        e[i] = 0;
    }
    for (i = 0; i < k; i++)
        for (j = 0; j < i; j++) h[i * k + j] = h[j * k + i] = (h[i * k + j] + h[j * k + i]) / 2;
    free(e);
    return h;
}

static double dimension(const double *values, int64_t n, double z) {
    double sum = 0;
    int64_t i;
    for (i = 0; i < n; i++) sum += values[i] > 0 ? values[i] / (values[i] + z) : 0;
    return sum;
}

static void random_matrix(int64_t n, int kind, double *a, double *b) {
    int64_t i;
    for (i = 0; i < n; i++) {
        double p = ref_noise(&noise_state), q = ref_noise(&noise_state);
        double grade = pow(10, -0.5 * (double)i);
        a[i] = kind == 0   ? p
               : kind == 1 ? p * grade
               : kind == 2 ? fabs((double)(2 * i - n + 1))
               : kind == 3 ? 2
               : kind == 4 ? 1e200 * p
                           : 0;
        b[i] = kind == 0   ? q
               : kind == 1 ? q * grade
               : kind == 2 ? 1
               : kind == 3 ? (i % 3 == 2 ? 0 : 1)
               : kind == 4 ? 1e200 * q
                           : 0;
    }
}

/* Against Jacobi; the eigenvectors by what they do. */
static void tridiagonal_eigenproblem(void) {
    static const int64_t sizes[] = {1, 2, 3, 21, 60};
    double a[60], b[60], d[60], e[60], first[60], values[60];
    double *full = (double *)allocate(3600, sizeof(double));
    double *z = (double *)allocate(3600, sizeof(double));
    int64_t i, j, r;
    int s, kind;
    for (s = 0; s < 5; s++) {
        for (kind = 0; kind < 6; kind++) {
            const int64_t n = sizes[s];
            double scale = 0;
            random_matrix(n, kind, a, b);
            memset(full, 0, 3600 * sizeof(double));
            memset(z, 0, 3600 * sizeof(double));
            for (i = 0; i < n; i++) {
                full[i * n + i] = a[i];
                if (i + 1 < n) full[i * n + i + 1] = full[(i + 1) * n + i] = b[i];
                scale = fmax(scale, fmax(fabs(a[i]), fabs(b[i])));
                z[i * n + i] = 1;
            }
            memcpy(d, a, sizeof(a)), memcpy(e, b, sizeof(b));
            CHECK_STATUS(prun__tridiagonal(&test_context, d, e, n, z, n), PRUN_OK);
            jacobi(full, n, values, NULL);
            for (i = 0; i < n; i++) CHECK_CLOSE(d[i], values[i], 1e-13 * scale, 0);
            for (i = 0; i < n; i++) {
                const double *x = z + i * n;
                double residual = 0;
                for (r = 0; r < n; r++) {
                    double y = a[r] * x[r] - d[i] * x[r];
                    if (r > 0) y += b[r - 1] * x[r - 1];
                    if (r + 1 < n) y += b[r] * x[r + 1];
                    residual = fmax(residual, fabs(y));
                }
                CHECK(residual <= 1e-12 * scale);
                for (j = 0; j <= i; j++) {
                    double inner = 0;
                    for (r = 0; r < n; r++) inner += x[r] * z[j * n + r];
                    CHECK_CLOSE(inner, i == j, 1e-12, 0);
                }
            }
            memset(first, 0, sizeof(first));
            first[0] = 1;
            memcpy(d, a, sizeof(a)), memcpy(e, b, sizeof(b));
            CHECK_STATUS(prun__tridiagonal(&test_context, d, e, n, first, 1), PRUN_OK);
            for (i = 0; i < n; i++) CHECK_CLOSE(fabs(first[i]), fabs(z[i * n]), 1e-12, 0);
        }
    }
    free(full);
    free(z);
}

/* A quadratic loss */

/* Sample s: (s + 1) / 2 w' H w in three tensors, the last of them a norm's. */
enum { QUADRATIC = 20, QUADRATIC_SAMPLES = 3 };

typedef struct quadratic {
    float w[QUADRATIC], kept[QUADRATIC];
    double h[QUADRATIC * QUADRATIC], values[QUADRATIC];
    prun_tensor tensors[3];
    prun_objective o;
    int64_t calls, fail_at; /* the callback that fails, 0: none */
    int64_t poison;         /* element of the result that becomes NaN; -1: none */
    int64_t cancel_at;
} quadratic;

static double scale_of(const int64_t *index, int64_t n) {
    double sum = 0;
    int64_t i;
    for (i = 0; i < n; i++) sum += (double)((index ? index[i] : i) + 1);
    return sum;
}

static prun_status quadratic_apply(quadratic *q, double scale, const float *x, float *out) {
    int64_t i;
    for (i = 0; i < QUADRATIC; i++)
        out[i] = (float)(scale * dot(x, q->h + i * QUADRATIC, QUADRATIC));
    if (q->poison >= 0) out[q->poison] = NAN;
    return ++q->calls == q->fail_at ? PRUN_ERR_READ : PRUN_OK;
}

static prun_status quadratic_gradient(void *user, const int64_t *index, int64_t n, float *gradient,
                                      double *sum) {
    quadratic *q = (quadratic *)user;
    if (sum != NULL) *sum = 0;
    return quadratic_apply(q, scale_of(index, n), q->w, gradient);
}

static prun_status quadratic_product(void *user, const int64_t *index, int64_t n, const float *v,
                                     float *product) {
    return quadratic_apply((quadratic *)user, scale_of(index, n), v, product);
}

static int count_products(void *user, int64_t done, int64_t total) {
    quadratic *q = (quadratic *)user;
    CHECK(done >= 1 && done <= total);
    return done == q->cancel_at;
}

/* H = Q diag(values) Q' with Q a product of reflections. */
static void make_quadratic(quadratic *q, const double *values) {
    static const char *const names[] = {"first", "second", NULL};
    static const int64_t rows[] = {3, 2, 3}, columns[] = {4, 1, 2};
    static const uint32_t flags[] = {PRUN_WEIGHT, PRUN_BIAS, PRUN_NORM};
    int64_t i, j, r, at = 0;
    memset(q, 0, sizeof(*q));
    q->poison = -1;
    for (i = 0; i < QUADRATIC; i++) {
        q->h[i * (QUADRATIC + 1)] = q->values[i] = values[i];
        q->w[i] = q->kept[i] = (float)ref_noise(&noise_state);
    }
    for (r = 0; r < 4; r++) {
        double u[QUADRATIC], norm = 0, hu[QUADRATIC], uhu = 0;
        for (i = 0; i < QUADRATIC; i++) u[i] = ref_noise(&noise_state), norm += u[i] * u[i];
        for (i = 0; i < QUADRATIC; i++) u[i] /= sqrt(norm);
        for (i = 0; i < QUADRATIC; i++)
            for (hu[i] = 0, j = 0; j < QUADRATIC; j++) hu[i] += q->h[i * QUADRATIC + j] * u[j];
        for (i = 0; i < QUADRATIC; i++) uhu += u[i] * hu[i];
        for (i = 0; i < QUADRATIC; i++)
            for (j = 0; j < QUADRATIC; j++)
                q->h[i * QUADRATIC + j] +=
                    4 * uhu * u[i] * u[j] - 2 * (u[i] * hu[j] + hu[i] * u[j]);
    }
    for (i = 0; i < 3; i++) {
        q->tensors[i].data = q->w + at;
        q->tensors[i].name = names[i];
        q->tensors[i].rank = 2;
        q->tensors[i].shape[0] = rows[i];
        q->tensors[i].shape[1] = columns[i];
        q->tensors[i].flags = flags[i];
        at += rows[i] * columns[i];
    }
    CHECK(at == QUADRATIC);
    q->o.user = q;
    q->o.context = &test_context;
    q->o.tensors = q->tensors;
    q->o.tensor_count = 3;
    q->o.samples = QUADRATIC_SAMPLES;
    q->o.gradient = quadratic_gradient;
    q->o.hessian_vector = quadratic_product;
}

static int restored(const quadratic *q) { return memcmp(q->w, q->kept, sizeof(q->w)) == 0; }

static const double spread[QUADRATIC] = {-3,  -1, -1, -0.5, 0, 0, 0, 0, 0.01, 0.1,
                                         0.5, 1,  1,  1,    2, 3, 5, 5, 8,    20};

static prun_hessian_options every_tensor(void) {
    prun_hessian_options options;
    memset(&options, 0, sizeof(options));
    options.scope = PRUN_HESSIAN_ALL;
    options.probes = 1;
    return options;
}

/* Multiple eigenvalues included: there the run ends early, and goes on. */
static void eigenvalues_of_a_quadratic(void) {
    quadratic q;
    prun_hessian_options options = every_tensor();
    prun_spectrum s;
    int64_t i;
    int path, run;
    make_quadratic(&q, spread);
    for (path = 0; path < 2; path++) {
        for (run = 0; run < 5; run++) {
            options.differences = path;
            options.seed = (uint64_t)run;
            options.summed = run == 4;
            if (!CHECK_STATUS(prun_hessian_spectrum(&q.o, &options, &s), PRUN_OK)) return;
            CHECK(s.parameters == QUADRATIC && s.steps == QUADRATIC && s.probes == 1);
            for (i = 0; i < QUADRATIC; i++)
                CHECK_CLOSE(s.values[i], (run == 4 ? 6 : 2) * spread[i], path ? 2e-2 : 1e-4, 0);
            prun_spectrum_free(&s);
            CHECK(restored(&q));
        }
    }
}

/* A Hessian of zeros, and the identity: nothing but breakdowns. */
static void eigenvalues_after_breakdown(void) {
    quadratic q;
    double values[QUADRATIC];
    prun_hessian_options options = every_tensor();
    prun_effective_dimension n;
    prun_estimate trace;
    prun_spectrum s;
    int64_t i;
    int one;
    for (one = 0; one < 2; one++) {
        for (i = 0; i < QUADRATIC; i++) values[i] = one * 0.5; /* times 2: the mean of 1, 2, 3 */
        make_quadratic(&q, values);
        options.probes = 2;
        if (!CHECK_STATUS(prun_hessian_spectrum(&q.o, &options, &s), PRUN_OK)) return;
        for (i = 0; i < 2 * QUADRATIC; i++) CHECK_CLOSE(s.values[i], one, 1e-6, 0);
        CHECK_STATUS(prun_effective_dimensionality(&s, 1, &n), PRUN_OK);
        CHECK_CLOSE(n.ritz, one * QUADRATIC / 2.0, 1e-5, 0);
        CHECK_CLOSE(n.ritz_fraction, one / 2.0, 1e-6, 0);
        CHECK_CLOSE(n.estimate.value, one * QUADRATIC / 2.0, 1e-5, 0);
        CHECK_CLOSE(n.fraction.value, one / 2.0, 1e-6, 0);
        CHECK(n.estimate.standard_error <= 1e-5 && n.estimate.quadrature_error == 0);
        CHECK_STATUS(prun_hessian_trace(&q.o, &options, &trace, NULL), PRUN_OK);
        CHECK_CLOSE(trace.value, one * QUADRATIC, 1e-5, 0);
        CHECK(trace.standard_error <= 1e-5);
        prun_spectrum_free(&s);
    }
}

/* A step count below k, and the published example: clipped negative eigenvalues. */
static void effective_dimensionality_by_hand(void) {
    static const double values[] = {-0.2, 0, 0, 0.01, 0.1, 1, 5, 10};
    double weights[8], diagonal[8] = {5, 1, 1, 1, 1, 1, 1, 1}, couplings[8] = {0};
    prun_effective_dimension n;
    prun_spectrum s;
    int i;
    memset(&s, 0, sizeof(s));
    for (i = 0; i < 8; i++) weights[i] = 0.125;
    s.context = &test_context;
    s.parameters = s.steps = 8;
    s.probes = 1;
    s.values = (double *)(uintptr_t)values;
    s.weights = weights;
    s.diagonal = diagonal;
    s.couplings = couplings;
    if (!CHECK_STATUS(prun_effective_dimensionality(&s, 1, &n), PRUN_OK)) return;
    CHECK_CLOSE(n.ritz, 2.3432343234323434, 1e-14, 0);
    CHECK_CLOSE(n.ritz_fraction, 0.2929042904290429, 1e-15, 0);
    CHECK_CLOSE(n.estimate.value, 2.3432343234323434, 1e-14, 0);
    CHECK(n.estimate.standard_error == HUGE_VAL && n.estimate.quadrature_error == 0);
    s.parameters = 16; /* the rule of 8 steps is no longer exact */
    CHECK_STATUS(prun_effective_dimensionality(&s, 1, &n), PRUN_OK);
    CHECK_CLOSE(n.estimate.quadrature_error, fabs(16 * (2.3432343234323434 / 8 - 5 / 6.0)), 1e-13,
                0);
    CHECK_STATUS(prun_effective_dimensionality(&s, 0, &n), PRUN_ERR_ARGUMENT);
    CHECK_STATUS(prun_effective_dimensionality(&s, -1, &n), PRUN_ERR_ARGUMENT);
    CHECK_STATUS(prun_effective_dimensionality(&s, NAN, &n), PRUN_ERR_ARGUMENT);
    s.probes = 0;
    CHECK_STATUS(prun_effective_dimensionality(&s, 1, &n), PRUN_ERR_ARGUMENT);
}

/* Scope, mask, mean or sum, and samples: always a principal block of H times a factor. */
static void choice_of_tensors_and_samples(void) {
    static const unsigned char mask[] = {1, 0, 1}, nothing[] = {0, 0, 0};
    static const int64_t index[] = {2, 0, 2, 2};
    quadratic q;
    prun_hessian_options options;
    int64_t k = 0, i, j;
    int choice;
    make_quadratic(&q, spread);
    for (choice = 0; choice < 12; choice++) {
        const int64_t sizes[] = {12, QUADRATIC, 18};
        float v[QUADRATIC];
        double product[QUADRATIC], factor = 6;
        memset(&options, 0, sizeof(options));
        options.scope = choice % 3 == 1 ? PRUN_HESSIAN_ALL : PRUN_HESSIAN_WEIGHTS;
        options.mask = choice % 3 == 2 ? mask : NULL;
        options.summed = choice / 3 % 2;
        options.differences = choice / 6;
        if (choice & 1) {
            options.index = index;
            options.samples = 4;
            factor = 10;
        } else if (choice & 2) {
            options.samples = 2;
            factor = 3;
        }
        if (!options.summed) factor /= (double)prun_hessian_resolved(&q.o, &options).samples;
        CHECK_STATUS(prun_hessian_size(&q.o, &options, &k), PRUN_OK);
        if (!CHECK(k == sizes[choice % 3])) return;
        for (i = 0; i < k; i++) v[i] = (float)ref_noise(&noise_state);
        CHECK_STATUS(prun_hessian_vector(&q.o, &options, v, product), PRUN_OK);
        for (i = 0; i < k; i++) {
            const int64_t row = choice % 3 == 2 && i >= 12 ? i + 2 : i;
            double want = 0;
            for (j = 0; j < k; j++)
                want +=
                    q.h[row * QUADRATIC + (choice % 3 == 2 && j >= 12 ? j + 2 : j)] * (double)v[j];
            CHECK_CLOSE(product[i], factor * want, options.differences ? 5e-2 : 1e-4, 0);
        }
        CHECK(restored(&q));
    }
    options.mask = nothing;
    CHECK_STATUS(prun_hessian_size(&q.o, &options, &k), PRUN_ERR_ARGUMENT);
    CHECK(strstr(test_context.message, "no tensor") != NULL);
}

/* Every entry point, for what goes wrong in all of them. */
static prun_status run_entry(int entry, quadratic *q, const prun_hessian_options *options) {
    double values[QUADRATIC], residuals[QUADRATIC], product[QUADRATIC];
    prun_estimate trace, parts[3];
    prun_spectrum s;
    prun_status status;
    switch (entry) {
        case 0: return prun_hessian_vector(&q->o, options, q->kept, product);
        case 1: return prun_hessian_eigenpairs(&q->o, options, 3, values, residuals, NULL);
        case 2: return prun_hessian_trace(&q->o, options, &trace, parts);
        default:
            status = prun_hessian_spectrum(&q->o, options, &s);
            CHECK(status == PRUN_OK || (s.values == NULL && s.probes == 0));
            prun_spectrum_free(&s);
            return status;
    }
}

enum { ENTRIES = 4 };

static void every_way_out_restores_the_weights(void) {
    quadratic q;
    int entry, path;
    int64_t at;
    for (entry = 0; entry < ENTRIES; entry++) {
        for (path = 0; path < 2; path++) {
            prun_hessian_options options = every_tensor();
            make_quadratic(&q, spread);
            options.differences = path;
            options.probes = 3;
            options.steps = 5;
            options.progress = count_products;
            options.user = &q;
            CHECK_STATUS(run_entry(entry, &q, &options), PRUN_OK);
            CHECK(restored(&q));
            for (at = q.calls; at >= 1; at--) {
                q.calls = 0;
                q.fail_at = at;
                CHECK_STATUS(run_entry(entry, &q, &options), PRUN_ERR_READ);
                CHECK(restored(&q) && q.calls == at);
            }
            q.fail_at = 0;
            q.cancel_at = 1;
            CHECK_STATUS(run_entry(entry, &q, &options), PRUN_CANCELLED);
            CHECK(strstr(test_context.message, "after 1 of") != NULL);
            CHECK(restored(&q));
            q.poison = 13;
            CHECK_STATUS(run_entry(entry, &q, &options), PRUN_ERR_NONFINITE);
            CHECK(strstr(test_context.message, "second[1]") != NULL);
            q.poison = 15;
            CHECK_STATUS(run_entry(entry, &q, &options), PRUN_ERR_NONFINITE);
            CHECK(strstr(test_context.message, "?[1]") != NULL);
            CHECK(restored(&q));
            q.poison = -1;
            q.w[4] = q.kept[4] = INFINITY;
            q.calls = 0;
            CHECK_STATUS(run_entry(entry, &q, &options), PRUN_ERR_NONFINITE);
            CHECK(strstr(test_context.message, "weight first[4]") != NULL && q.calls == 0);
            CHECK(restored(&q));
        }
    }
}

static void bad_arguments_are_named(void) {
    static const int64_t index[] = {0, 3};
    quadratic q, good;
    prun_hessian_options options;
    double values[QUADRATIC];
    float v[QUADRATIC] = {0};
    int entry;
    make_quadratic(&good, spread);
    q = good;
    q.o.user = &q;
    for (entry = 0; entry < ENTRIES; entry++) {
        options = every_tensor();
        q.o.gradient = NULL;
        CHECK_STATUS(run_entry(entry, &q, &options), PRUN_OK);
        options.differences = 1;
        CHECK_STATUS(run_entry(entry, &q, &options), PRUN_ERR_UNSUPPORTED);
        options.differences = 0;
        q.o.hessian_vector = NULL;
        CHECK_STATUS(run_entry(entry, &q, &options), PRUN_ERR_UNSUPPORTED);
        CHECK(strstr(test_context.message, "hessian_vector") != NULL);
        q.o = good.o;
        q.o.user = &q;
        options.samples = 4;
        CHECK_STATUS(run_entry(entry, &q, &options), PRUN_ERR_ARGUMENT);
        options.samples = -1;
        CHECK_STATUS(run_entry(entry, &q, &options), PRUN_ERR_ARGUMENT);
        options.samples = 2;
        options.index = index;
        CHECK_STATUS(run_entry(entry, &q, &options), PRUN_ERR_ARGUMENT);
        CHECK(strstr(test_context.message, "index[1]") != NULL);
        options.samples = 0;
        CHECK_STATUS(run_entry(entry, &q, &options), PRUN_ERR_ARGUMENT);
        options = every_tensor();
        options.steps = -1;
        CHECK_STATUS(run_entry(entry, &q, &options), PRUN_ERR_ARGUMENT);
        options = every_tensor();
        options.probes = -2;
        CHECK_STATUS(run_entry(entry, &q, &options), PRUN_ERR_ARGUMENT);
        options = every_tensor();
        options.step = NAN;
        CHECK_STATUS(run_entry(entry, &q, &options), PRUN_ERR_ARGUMENT);
        options = every_tensor();
        options.scope = (prun_hessian_scope)7;
        CHECK_STATUS(run_entry(entry, &q, &options), PRUN_ERR_ARGUMENT);
        options = every_tensor();
        q.o.tensor_count = 0;
        CHECK_STATUS(run_entry(entry, &q, &options), PRUN_ERR_ARGUMENT);
        q.o = good.o;
        q.o.user = &q;
        q.tensors[1].data = NULL;
        q.o.tensors = q.tensors;
        CHECK_STATUS(run_entry(entry, &q, &options), PRUN_ERR_ARGUMENT);
        CHECK(strstr(test_context.message, "second") != NULL);
        q = good;
        q.o.user = &q;
    }
    options = every_tensor();
    options.steps = 4;
    CHECK_STATUS(prun_hessian_eigenpairs(&q.o, &options, 5, values, NULL, NULL), PRUN_ERR_ARGUMENT);
    CHECK_STATUS(prun_hessian_eigenpairs(&q.o, &options, 0, values, NULL, NULL), PRUN_ERR_ARGUMENT);
    v[6] = NAN;
    CHECK_STATUS(prun_hessian_vector(&q.o, &options, v, values), PRUN_ERR_NONFINITE);
    CHECK(strstr(test_context.message, "v[6]") != NULL);
}

/* An allocator that refuses the n-th request and counts what is out. */
typedef struct heap {
    int64_t requests, fail_at, live;
} heap;

static void *heap_allocate(size_t size, void *user) {
    heap *h = (heap *)user;
    if (++h->requests == h->fail_at) return NULL;
    h->live++;
    return malloc(size);
}

static void heap_release(void *pointer, void *user) {
    if (pointer != NULL) ((heap *)user)->live--;
    free(pointer);
}

static void lack_of_memory_leaks_nothing(void) {
    int entry;
    for (entry = 0; entry < ENTRIES; entry++) {
        prun_hessian_options options = every_tensor();
        prun_context context;
        quadratic q;
        heap h;
        prun_status status = PRUN_ERR_MEMORY;
        int64_t at;
        memset(&context, 0, sizeof(context));
        memset(&h, 0, sizeof(h));
        context.allocate = heap_allocate;
        context.release = heap_release;
        context.allocator_user = &h;
        context.threads = 1;
        make_quadratic(&q, spread);
        q.o.context = &context;
        options.differences = 1;
        for (at = 1; status != PRUN_OK && at < 40; at++) {
            h.requests = 0;
            h.fail_at = at;
            status = run_entry(entry, &q, &options);
            CHECK(status == PRUN_OK || status == PRUN_ERR_MEMORY);
            CHECK(h.live == 0 && restored(&q));
        }
        CHECK(status == PRUN_OK && at > 3); /* two allocations at least */
    }
}

/* Estimates on a network */

typedef struct network {
    dataset d;
    prun_net *net;
    prun_net_data data;
    prun_objective o;
    prun_hessian_options options;
    int64_t k;
    double *h, *values, *vectors; /* dense: matrix, eigenvalues, eigenvectors by row */
} network;

/* Trained a little, so that the spectrum has the shape of a trained network's. */
static int make_network(network *t) {
    prun_train_options train;
    double *copy;
    memset(t, 0, sizeof(*t));
    memset(&train, 0, sizeof(train));
    train.epochs = 6;
    train.batch = 20;
    train.learning_rate = 0.05;
    t->d = make_set(60, 1, 6, 6, 4);
    t->net = small_net(4);
    t->data.net = t->net;
    t->data.images = &t->d.images;
    if (!CHECK_STATUS(prun_train(t->net, &t->d.images, &train, NULL), PRUN_OK) ||
        !CHECK_STATUS(prun_net_objective(&t->data, &t->o), PRUN_OK) ||
        !CHECK(t->o.hessian_vector != NULL) ||
        !CHECK_STATUS(prun_hessian_size(&t->o, &t->options, &t->k), PRUN_OK))
        return 0;
    CHECK(t->k == prun_net_weights(t->net));
    t->h = dense_hessian(&t->o, &t->options, t->k);
    t->values = (double *)allocate(t->k, sizeof(double));
    t->vectors = (double *)allocate(t->k * t->k, sizeof(double));
    copy = (double *)allocate(t->k * t->k, sizeof(double));
    memcpy(copy, t->h, (size_t)(t->k * t->k) * sizeof(double));
    jacobi(copy, t->k, t->values, t->vectors);
    free(copy);
    return 1;
}

static void free_network(network *t) {
    free(t->h);
    free(t->values);
    free(t->vectors);
    prun_net_free(t->net);
    free_set(&t->d);
}

/* Differences of float gradients where the loss is smooth, as accurate as documented. */
static void differences_approximate_the_product(void) {
    dataset d = make_set(60, 1, 8, 8, 4);
    prun_net *net;
    prun_net_data data;
    prun_objective o;
    prun_hessian_options options;
    float *v, *other;
    double *exact, *product;
    int32_t value, a;
    int64_t i, k = 0;
    memset(&options, 0, sizeof(options));
    test_context.threads = 1;
    CHECK_STATUS(prun_net_create(&test_context, 1, 8, 8, &net), PRUN_OK);
    value = prun_layer_conv2d(net, PRUN_INPUT, "first", 6, 3, 1, 1, PRUN_PADDING_ZEROS, 1);
    value = prun_layer_batch_norm(net, value, "norm", 0, 0);
    value = prun_layer_avg_pool(net, value, 2, 2, 0);
    a = prun_layer_conv2d(net, value, "second", 6, 3, 1, 1, PRUN_PADDING_ZEROS, 0);
    value = prun_layer_add(net, value, a);
    value = prun_layer_linear(net, value, "head", 4, 1);
    CHECK_STATUS(prun_net_finish(net, value, 5), PRUN_OK);
    scramble(net);
    data.net = net;
    data.images = &d.images;
    CHECK_STATUS(prun_net_objective(&data, &o), PRUN_OK);
    CHECK_STATUS(prun_hessian_size(&o, &options, &k), PRUN_OK);
    v = random_floats(k), other = (float *)allocate(k, sizeof(float));
    exact = (double *)allocate(k, sizeof(double)), product = (double *)allocate(k, sizeof(double));
    CHECK_STATUS(prun_hessian_vector(&o, &options, v, exact), PRUN_OK);
    options.differences = 1;
    CHECK_STATUS(prun_hessian_vector(&o, &options, v, product), PRUN_OK);
    for (i = 0; i < k; i++) other[i] = (float)product[i];
    if (!CHECK(ref_distance(other, exact, k) <= 5e-4))
        printf("  error %g\n", ref_distance(other, exact, k));
    free(v), free(other), free(exact), free(product);
    prun_net_free(net);
    free_set(&d);
}

static void eigenpairs_of_a_network(void) {
    enum { PAIRS = 4 };
    network t;
    double values[PAIRS], again[PAIRS], residuals[PAIRS];
    float *vectors;
    int64_t i, j, e, r;
    int end;
    if (!make_network(&t)) return;
    vectors = (float *)allocate(PAIRS * t.k, sizeof(float));
    for (end = 0; end < 2; end++) {
        const double top = t.values[t.k - 1];
        t.options.smallest = end;
        CHECK_STATUS(prun_hessian_eigenpairs(&t.o, &t.options, PAIRS, values, residuals, vectors),
                     PRUN_OK);
        CHECK_STATUS(prun_hessian_eigenpairs(&t.o, &t.options, PAIRS, again, NULL, NULL), PRUN_OK);
        CHECK(memcmp(values, again, sizeof(values)) == 0);
        for (i = 0; i < PAIRS; i++) {
            const float *x = vectors + i * t.k;
            double residual = 0;
            CHECK_CLOSE(values[i], t.values[end ? i : t.k - 1 - i], 1e-5 * top, 0);
            for (e = 0; e < t.k; e++) {
                double d = dot(x, t.h + e * t.k, t.k) - values[i] * (double)x[e];
                residual += d * d;
            }
            CHECK_CLOSE(residuals[i], sqrt(residual), 2e-6 * top, 1e-3);
            CHECK(residuals[i] <= 1e-3 * top);
            for (j = 0; j <= i; j++) {
                double inner = 0;
                for (r = 0; r < t.k; r++) inner += (double)x[r] * (double)vectors[j * t.k + r];
                CHECK_CLOSE(inner, i == j, 1e-5, 0);
            }
        }
    }
    t.options.smallest = 0;
    t.options.steps = 3; /* far too few: the residual must say so */
    CHECK_STATUS(prun_hessian_eigenpairs(&t.o, &t.options, 3, values, residuals, NULL), PRUN_OK);
    for (i = 0; i < 3; i++) {
        double nearest = HUGE_VAL;
        for (j = 0; j < t.k; j++) nearest = fmin(nearest, fabs(values[i] - t.values[j]));
        CHECK(nearest <= residuals[i] * (1 + 1e-5));
    }
    CHECK(residuals[2] > 1e-3 * t.values[t.k - 1]);
    free(vectors);
    free_network(&t);
}

/* `steps` exact Lanczos steps on the dense matrix, modified Gram-Schmidt: sum over Ritz values. */
static double exact_lanczos(const network *t, int64_t steps, double z) {
    double *q = (double *)allocate((steps + 1) * t->k, sizeof(double));
    double *m = (double *)allocate(steps * steps, sizeof(double)), *ritz, norm = 0, result;
    int64_t i, j, e;
    for (e = 0; e < t->k; e++) {
        q[e] = prun_random_normal(t->options.seed, PRUN__STREAM_HESSIAN, (uint64_t)e);
        norm += q[e] * q[e];
    }
    for (e = 0; e < t->k; e++) q[e] /= sqrt(norm);
    for (j = 0; j < steps; j++) {
        double *r = q + (j + 1) * t->k;
        for (e = 0; e < t->k; e++)
            for (i = 0; i < t->k; i++) r[e] += t->h[e * t->k + i] * q[j * t->k + i];
        for (i = 0; i < 2 * (j + 1); i++) {
            const double *u = q + i % (j + 1) * t->k;
            double inner = 0;
            for (e = 0; e < t->k; e++) inner += u[e] * r[e];
            for (e = 0; e < t->k; e++) r[e] -= inner * u[e];
            if (i % (j + 1) == j) m[j * steps + j] += inner;
        }
        for (norm = 0, e = 0; e < t->k; e++) norm += r[e] * r[e];
        if (j + 1 < steps) m[j * steps + j + 1] = m[(j + 1) * steps + j] = sqrt(norm);
        for (e = 0; e < t->k; e++) r[e] /= sqrt(norm);
    }
    ritz = (double *)allocate(steps, sizeof(double));
    jacobi(m, steps, ritz, NULL);
    result = dimension(ritz, steps, z);
    free(q), free(m), free(ritz);
    return result;
}

static double identity(void *user, double x) {
    (void)user;
    return x;
}
static double one(void *user, double x) {
    (void)user;
    (void)x;
    return 1;
}
static double broken(void *user, double x) {
    (void)user;
    return x > 0 ? NAN : 1;
}

static void effective_dimensionality_of_a_network(void) {
    static const double zs[] = {1, 1.0 / 391, 1e-4};
    static const int64_t steps[] = {20, 100, 1000};
    network t;
    int i, s;
    if (!make_network(&t)) return;
    CHECK(t.k > 200);
    for (s = 0; s < 3; s++) {
        prun_spectrum spectrum;
        prun_estimate trace;
        double sum = 0;
        int64_t j;
        t.options.steps = steps[s];
        t.options.seed = (uint64_t)s;
        if (!CHECK_STATUS(prun_hessian_spectrum(&t.o, &t.options, &spectrum), PRUN_OK)) break;
        CHECK(spectrum.probes == 10 && spectrum.steps == smaller(steps[s], t.k));
        for (i = 0; i < 3; i++) {
            const double dense = dimension(t.values, t.k, zs[i]);
            prun_effective_dimension n;
            CHECK_STATUS(prun_effective_dimensionality(&spectrum, zs[i], &n), PRUN_OK);
            CHECK(n.estimate.count == 10 && n.z == zs[i]);
            CHECK_CLOSE(n.ritz_fraction, n.ritz / (double)t.k, 0, 1e-14);
            CHECK_CLOSE(n.fraction.value, n.estimate.value / (double)t.k, 0, 1e-14);
            if (s == 2) CHECK_CLOSE(n.ritz, dense, 0, 1e-2);
            else CHECK_CLOSE(n.ritz, exact_lanczos(&t, steps[s], zs[i]), 0, 1e-2);
            CHECK_CLOSE(n.estimate.value, dense,
                        4 * n.estimate.standard_error + n.estimate.quadrature_error + 1e-3 * dense,
                        0);
        }
        for (j = 0; j < t.k; j++) sum += t.values[j];
        CHECK_STATUS(prun_spectrum_trace(&spectrum, identity, NULL, &trace), PRUN_OK);
        CHECK_CLOSE(trace.value, sum, 4 * trace.standard_error, 0);
        CHECK_STATUS(prun_spectrum_trace(&spectrum, one, NULL, &trace), PRUN_OK);
        CHECK_CLOSE(trace.value, t.k, 1e-9 * (double)t.k, 0);
        CHECK_STATUS(prun_spectrum_trace(&spectrum, broken, NULL, &trace), PRUN_ERR_NONFINITE);
        prun_spectrum_free(&spectrum);
    }
    free_network(&t);
}

static void density_of_a_network(void) {
    enum { POINTS = 400 };
    network t;
    prun_spectrum s;
    double grid[POINTS], density[POINTS], errors[POINTS], area = 0, low, high, width;
    double outside = 0;
    int64_t j;
    int i;
    if (!make_network(&t)) return;
    low = t.values[0], high = t.values[t.k - 1];
    width = 0.03 * (high - low);
    low -= 5 * width, high += 5 * width;
    for (i = 0; i < POINTS; i++) grid[i] = low + (high - low) * i / (POINTS - 1);
    t.options.probes = 30;
    CHECK_STATUS(prun_hessian_spectrum(&t.o, &t.options, &s), PRUN_OK);
    CHECK_STATUS(prun_spectral_density(&s, grid, POINTS, width, density, errors), PRUN_OK);
    for (i = 0; i < POINTS; i++) {
        double want = 0;
        for (j = 0; j < t.k; j++) want += exp(-0.5 * pow((grid[i] - t.values[j]) / width, 2));
        want /= (double)t.k * width * sqrt(2 * acos(-1.0));
        outside += fabs(density[i] - want) > 3 * errors[i] + 1e-3 * want + 1e-9;
        area += density[i] * (high - low) / (POINTS - 1);
    }
    CHECK(outside <= 0.05 * POINTS);
    CHECK_CLOSE(area, 1, 1e-4, 0);
    CHECK_STATUS(prun_spectral_density(&s, grid, POINTS, 0, density, NULL), PRUN_OK);
    for (area = 0, i = 0; i < POINTS; i++) area += density[i] * (high - low) / (POINTS - 1);
    CHECK_CLOSE(area, 1, 1e-2, 0);
    CHECK_STATUS(prun_spectral_density(&s, grid, 1, 0, density, NULL), PRUN_ERR_ARGUMENT);
    CHECK_STATUS(prun_spectral_density(&s, grid, 0, 1, density, NULL), PRUN_ERR_ARGUMENT);
    CHECK_STATUS(prun_spectral_density(&s, grid, 9, -1, density, NULL), PRUN_ERR_ARGUMENT);
    grid[5] = NAN;
    CHECK_STATUS(prun_spectral_density(&s, grid, 9, 1, density, NULL), PRUN_ERR_ARGUMENT);
    prun_spectrum_free(&s);
    free_network(&t);
}

static void trace_of_a_network(void) {
    network t;
    prun_estimate trace, parts[3], few, other;
    double want[4] = {0, 0, 0, 0};
    int64_t i;
    int p;
    if (!make_network(&t)) return;
    for (i = 0; i < t.k; i++) {
        const int part = i < 36 ? 0 : i < 36 + 144 ? 1 : 2;
        want[part] += t.h[i * (t.k + 1)];
        want[3] += t.h[i * (t.k + 1)];
    }
    t.options.probes = 200;
    CHECK_STATUS(prun_hessian_trace(&t.o, &t.options, &trace, parts), PRUN_OK);
    CHECK(trace.count == 200 && trace.quadrature_error == 0);
    CHECK_CLOSE(trace.value, want[3], 3.5 * trace.standard_error, 0);
    for (p = 0; p < 3; p++) CHECK_CLOSE(parts[p].value, want[p], 3.5 * parts[p].standard_error, 0);
    CHECK_CLOSE(parts[0].value + parts[1].value + parts[2].value, trace.value, 1e-9, 1e-9);
    t.options.probes = 20;
    CHECK_STATUS(prun_hessian_trace(&t.o, &t.options, &few, NULL), PRUN_OK);
    CHECK(few.standard_error > 1.5 * trace.standard_error);
    CHECK(few.standard_error < 8 * trace.standard_error);
    CHECK_STATUS(prun_hessian_trace(&t.o, &t.options, &other, NULL), PRUN_OK);
    CHECK(few.value == other.value);
    t.options.seed = 1;
    CHECK_STATUS(prun_hessian_trace(&t.o, &t.options, &other, NULL), PRUN_OK);
    CHECK(few.value != other.value);
    t.options.probes = 1;
    CHECK_STATUS(prun_hessian_trace(&t.o, &t.options, &other, NULL), PRUN_OK);
    CHECK(other.standard_error == HUGE_VAL);
    free_network(&t);
}

static void spectrum_is_the_same_for_any_threads(void) {
    static const int32_t threads[] = {1, 2, 5};
    dataset d = make_set(70, 3, 32, 32, 10);
    prun_spectrum s[3];
    int i;
    for (i = 0; i < 3; i++) {
        prun_context context;
        prun_arch arch;
        prun_net *net;
        prun_net_data data;
        prun_objective o;
        prun_hessian_options options;
        memset(&context, 0, sizeof(context));
        memset(&arch, 0, sizeof(arch));
        memset(&options, 0, sizeof(options));
        context.threads = threads[i];
        if (i == 2) context.parallel_for = backwards;
        arch.width = 2;
        options.steps = 12;
        options.probes = 2;
        CHECK_STATUS_IN(&context, prun_net_cnn(&context, &arch, &net), PRUN_OK);
        data.net = net;
        data.images = &d.images;
        CHECK_STATUS_IN(&context, prun_net_objective(&data, &o), PRUN_OK);
        CHECK_STATUS_IN(&context, prun_hessian_spectrum(&o, &options, &s[i]), PRUN_OK);
        CHECK(memcmp(s[0].values, s[i].values, 24 * sizeof(double)) == 0);
        CHECK(memcmp(s[0].weights, s[i].weights, 24 * sizeof(double)) == 0);
        prun_net_free(net);
        s[i].context = NULL; /* freed after its context is gone */
    }
    for (i = 0; i < 3; i++) prun_spectrum_free(&s[i]);
    free_set(&d);
}

static const test_case cases[] = {
    TEST_CASE(product_of_random_networks),
    TEST_CASE(product_of_the_families),
    TEST_CASE(product_is_linear_and_symmetric),
    TEST_CASE(product_adds_up_over_samples),
    TEST_CASE(product_is_the_same_for_any_threads),
    TEST_CASE(tridiagonal_eigenproblem),
    TEST_CASE(eigenvalues_of_a_quadratic),
    TEST_CASE(eigenvalues_after_breakdown),
    TEST_CASE(effective_dimensionality_by_hand),
    TEST_CASE(choice_of_tensors_and_samples),
    TEST_CASE(every_way_out_restores_the_weights),
    TEST_CASE(bad_arguments_are_named),
    TEST_CASE(lack_of_memory_leaks_nothing),
    TEST_CASE(differences_approximate_the_product),
    TEST_CASE(eigenpairs_of_a_network),
    TEST_CASE(effective_dimensionality_of_a_network),
    TEST_CASE(density_of_a_network),
    TEST_CASE(trace_of_a_network),
    TEST_CASE(spectrum_is_the_same_for_any_threads),
};

int main(int argc, char **argv) { return TEST_MAIN("test_hessian", cases, argc, argv); }
