/* test_hessian.c - section HESSIAN: products, eigenpairs and traces, on a quadratic loss whose
   Hessian is given and on a network, against the dense matrix. Hessians by differences of gradients
   are in test_hessian_differences.c, the products of a network in test_tangent.c. */
#include "../prunability.h"

#include <stdlib.h>

#include "second_order.h"

/* A quadratic loss */

static int count_products(void *user, int64_t done, int64_t total) {
    quadratic *q = (quadratic *)user;
    CHECK(done >= 1 && done <= total);
    return done == q->cancel_at;
}

/* Scope, mask, mean or sum, and samples: the result is always a principal block of H times a
   factor. */
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
        options.use_differences = choice / 6;
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
        CHECK_STATUS(prun_hessian_vector(&q.o, v, &options, product), PRUN_OK);
        for (i = 0; i < k; i++) {
            const int64_t row = choice % 3 == 2 && i >= 12 ? i + 2 : i;
            double want = 0;
            for (j = 0; j < k; j++)
                want +=
                    q.h[row * QUADRATIC + (choice % 3 == 2 && j >= 12 ? j + 2 : j)] * (double)v[j];
            CHECK_CLOSE(product[i], factor * want, options.use_differences ? 5e-2 : 1e-4, 0);
        }
        CHECK(restored(&q));
    }
    options.mask = nothing;
    CHECK_STATUS(prun_hessian_size(&q.o, &options, &k), PRUN_ERR_ARGUMENT);
    CHECK(strstr(test_context.message, "no tensor") != NULL);
}

/* All entry points, for errors that they have in common. */
static prun_status run_entry(int entry, quadratic *q, const prun_hessian_options *options) {
    double values[QUADRATIC], residuals[QUADRATIC], product[QUADRATIC];
    prun_estimate trace, parts[3];
    prun_spectrum s;
    prun_status status;
    switch (entry) {
        case 0: return prun_hessian_vector(&q->o, q->kept, options, product);
        case 1: return prun_hessian_eigenpairs(&q->o, 3, options, values, residuals, NULL);
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
            options.use_differences = path;
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
            CHECK_STATUS(run_entry(entry, &q, &options), PRUN_ERR_CANCELLED);
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
        options.use_differences = 1;
        CHECK_STATUS(run_entry(entry, &q, &options), PRUN_ERR_UNSUPPORTED);
        options.use_differences = 0;
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
    CHECK_STATUS(prun_hessian_eigenpairs(&q.o, 5, &options, values, NULL, NULL), PRUN_ERR_ARGUMENT);
    CHECK_STATUS(prun_hessian_eigenpairs(&q.o, 0, &options, values, NULL, NULL), PRUN_ERR_ARGUMENT);
    v[6] = NAN;
    CHECK_STATUS(prun_hessian_vector(&q.o, v, &options, values), PRUN_ERR_NONFINITE);
    CHECK(strstr(test_context.message, "v[6]") != NULL);
}

/* An allocator that refuses the n-th request and counts live blocks. */
typedef struct heap {
    int64_t requests, fail_at, live;
} heap;

static void *heap_allocate(void *user, size_t size) {
    heap *h = (heap *)user;
    if (++h->requests == h->fail_at) return NULL;
    h->live++;
    return malloc(size);
}

static void heap_release(void *user, void *pointer) {
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
        options.use_differences = 1;
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

/* Where the loss is smooth, differences of float gradients are as accurate as documented. */
static void differences_approximate_the_product(void) {
    dataset d = make_set(60, 1, 8, 8, 4);
    prun_net *net;
    prun_objective o;
    prun_hessian_options options;
    float *v, *other;
    double *exact, *product;
    int32_t value, a;
    int64_t i, k = 0;
    memset(&options, 0, sizeof(options));
    test_context.threads = 1;
    CHECK_STATUS(prun_net_create(&test_context, 1, 8, 8, &net), PRUN_OK);
    value = prun_layer_conv2d(net, PRUN_INPUT, "first", 6, 3, 1, 1);
    value = prun_layer_batch_norm(net, value, "norm", 0, 0);
    value = prun_layer_avg_pool(net, value, 2, 2, 0);
    a = prun_layer_conv2d_with(
        net, value, "second",
        &(prun_conv2d_options){
            .channels = 6, .kernel = {3}, .stride = {1}, .padding = {1, 1, 1, 1}, .omit_bias = 1});
    value = prun_layer_add(net, value, a);
    value = prun_layer_linear(net, value, "head", 4, 1);
    CHECK_STATUS(prun_net_finish(net, value, 5), PRUN_OK);
    scramble(net);
    CHECK_STATUS(prun_net_objective(net, &d.images, &o), PRUN_OK);
    CHECK_STATUS(prun_hessian_size(&o, &options, &k), PRUN_OK);
    v = random_floats(k), other = (float *)allocate(k, sizeof(float));
    exact = (double *)allocate(k, sizeof(double)), product = (double *)allocate(k, sizeof(double));
    CHECK_STATUS(prun_hessian_vector(&o, v, &options, exact), PRUN_OK);
    options.use_differences = 1;
    CHECK_STATUS(prun_hessian_vector(&o, v, &options, product), PRUN_OK);
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
        CHECK_STATUS(prun_hessian_eigenpairs(&t.o, PAIRS, &t.options, values, residuals, vectors),
                     PRUN_OK);
        CHECK_STATUS(prun_hessian_eigenpairs(&t.o, PAIRS, &t.options, again, NULL, NULL), PRUN_OK);
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
    CHECK_STATUS(prun_hessian_eigenpairs(&t.o, 3, &t.options, values, residuals, NULL), PRUN_OK);
    for (i = 0; i < 3; i++) {
        double nearest = HUGE_VAL;
        for (j = 0; j < t.k; j++) nearest = fmin(nearest, fabs(values[i] - t.values[j]));
        CHECK(nearest <= residuals[i] * (1 + 1e-5));
    }
    CHECK(residuals[2] > 1e-3 * t.values[t.k - 1]);
    free(vectors);
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

static const test_case cases[] = {
    TEST_CASE(choice_of_tensors_and_samples),
    TEST_CASE(every_way_out_restores_the_weights),
    TEST_CASE(bad_arguments_are_named),
    TEST_CASE(lack_of_memory_leaks_nothing),
    TEST_CASE(differences_approximate_the_product),
    TEST_CASE(eigenpairs_of_a_network),
    TEST_CASE(trace_of_a_network),
};

int main(int argc, char **argv) { return TEST_MAIN("test_hessian", cases, argc, argv); }
