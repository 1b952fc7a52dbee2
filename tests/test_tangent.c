/* test_tangent.c - section TANGENT: products of a network's Hessian with a vector, against
   differences of the gradient in double precision. */
#include "implementation.h" /* for the layers of a network */

#include <stdlib.h>

#include "net_reference.h"
#include "second_order.h"

/* Relative L2 distance of two float vectors. */
static double distance_of(const float *got, const float *want, int64_t count) {
    double *v = (double *)allocate(count, sizeof(double)), d;
    int64_t i;
    for (i = 0; i < count; i++) v[i] = (double)want[i];
    d = ref_distance(got, v, count);
    free(v);
    return d;
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

/* One random layer on value v; -1 if it does not fit. */
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
            return prun_layer_conv2d_with(
                net, v, name,
                &(prun_conv2d_options){
                    .channels = 1 + ref_pick(&noise_state, 9),
                    .kernel = {k},
                    .stride = {1 + ref_pick(&noise_state, 2)},
                    .padding = {ref_pick(&noise_state, k), ref_pick(&noise_state, k),
                                ref_pick(&noise_state, k), ref_pick(&noise_state, k)},
                    .padding_mode =
                        ref_pick(&noise_state, 2) ? PRUN_PADDING_SAME : PRUN_PADDING_ZEROS,
                    .omit_bias = !((int32_t)ref_pick(&noise_state, 2))});
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

/* Draws images until the differences do not depend on their step, so that no kink is near. */
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
        if (prun_isa_set(isa ? "portable" : NULL) != PRUN_OK) continue;
        for (family = PRUN_FAMILY_CNN; family <= PRUN_FAMILY_RESNET18; family++) {
            dataset d = make_set(3, 2, 32, 32, 5);
            prun_arch arch;
            prun_net *net;
            memset(&arch, 0, sizeof(arch));
            arch.family = (prun_family)family;
            arch.width = 2;
            arch.image_channels = 2;
            arch.classes = 5;
            arch.dropout = 0.2;
            CHECK_STATUS(prun_net_create_family(&test_context, &arch, &net), PRUN_OK);
            scramble(net);
            check_product(net, &d);
            prun_net_free(net);
            free_set(&d);
        }
    }
    prun_isa_set(NULL);
}

static void product_is_linear_and_symmetric(void) {
    dataset d = make_set(37, 1, 6, 6, 4);
    prun_net *net = small_net(4);
    const int64_t k = prun_net_parameter_count(net), n = d.images.count;
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

/* Many batches, an incomplete last one, an index list with repetitions; gradients in the same
   workspace. */
static void product_adds_up_over_samples(void) {
    dataset d = make_set(150, 1, 6, 6, 4);
    prun_net *net = small_net(4);
    const int64_t k = prun_net_parameter_count(net);
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
            CHECK_STATUS_IN(&context, prun_net_create_cnn(&context, &arch, &net), PRUN_OK);
            k = prun_net_parameter_count(net);
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

static const test_case cases[] = {
    TEST_CASE(product_of_random_networks),          TEST_CASE(product_of_the_families),
    TEST_CASE(product_is_linear_and_symmetric),     TEST_CASE(product_adds_up_over_samples),
    TEST_CASE(product_is_the_same_for_any_threads),
};

int main(int argc, char **argv) { return TEST_MAIN("test_tangent", cases, argc, argv); }
