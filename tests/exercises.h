/* exercises.h - every public function called once on small data, with an allocator that can refuse
   and with callbacks that can fail, lie and cancel. The including program (tests/test_failures.c)
   decides what is tested with these calls.

   An exercise prepares what its function needs, calls it inside CALL, and cleans up:

       static prun_status use_loss_curve(world *w)
       {
           prun_prune_options options = prune_options(w);
           double *losses = PREFIX(w, double, 6);
           return CALL(w, prun_loss_curve(&w->objective, &options, losses, NULL));
       }

   The plan of `w` (the request to refuse, the callback to fail) only applies inside CALL. Results
   go into memory from OUT, PREFIX, PARTLY or OPAQUE, which is compared with a pattern, or with the
   results of a call in which nothing failed. A run may use CALL once. */
#ifndef TEST_EXERCISES_H_INCLUDED
#define TEST_EXERCISES_H_INCLUDED

#include "world.h"

#include <float.h>

/* ---- exercises: convolutions, images, networks ---- */

static prun_status use_conv2d(world *w, int which, prun_algorithm algorithm) {
    enum { X = 2 * 16 * 36 * 3, Y = 2 * 16 * 36 * 4, K = 4 * 3 * 9 };
    static float x[X], y[Y], weight[K], bias[4];
    prun_conv2d conv;
    int i;
    memset(&conv, 0, sizeof conv);
    conv.in_channels = 3;
    conv.in_height = conv.in_width = 6;
    conv.out_channels = 4;
    conv.kernel[0] = 3;
    conv.algorithm = algorithm;
    for (i = 0; i < 4; i++) {
        conv.padding[i] = 1;
    }
    for (i = 0; i < X; i++) {
        x[i] = (float)(i % 7) - 3;
    }
    for (i = 0; i < Y; i++) {
        y[i] = i >= Y / 2 && i % 16 > 3 ? 0 : (float)(i % 5) - 2;
    }
    for (i = 0; i < K; i++) {
        weight[i] = (float)(i % 3) - 1;
    }
    if (which == 0) {
        float *out = PARTLY(w, float, Y);
        if (CALL(w, prun_conv2d_forward(w->context, &conv, 20, x, weight, bias, out)) == PRUN_OK)
            result(w, out, Y * sizeof(float));
    } else if (which == 1) {
        float *out = PARTLY(w, float, X);
        if (CALL(w, prun_conv2d_input_gradient(w->context, &conv, 20, y, weight, out)) == PRUN_OK)
            result(w, out, X * sizeof(float));
    } else {
        float *out = OUT(w, float, K);
        CALL(w, prun_conv2d_weight_gradient(w->context, &conv, 20, x, y, out));
    }
    return w->status;
}

static prun_status use_conv2d_forward(world *w) { return use_conv2d(w, 0, PRUN_ALGORITHM_DIRECT); }
static prun_status use_conv2d_input(world *w) { return use_conv2d(w, 1, PRUN_ALGORITHM_DIRECT); }
static prun_status use_conv2d_weight(world *w) { return use_conv2d(w, 2, PRUN_ALGORITHM_DIRECT); }
static prun_status use_winograd(world *w) { return use_conv2d(w, 0, PRUN_ALGORITHM_WINOGRAD); }
static prun_status use_winograd_in(world *w) { return use_conv2d(w, 1, PRUN_ALGORITHM_WINOGRAD); }
static prun_status use_winograd_w(world *w) { return use_conv2d(w, 2, PRUN_ALGORITHM_WINOGRAD); }

static prun_status use_images_pack(world *w) {
    const size_t size = (size_t)prun_lanes_size(IMAGES, 1, SIDE, SIDE);
    float *lanes = OUT(w, float, size);
    prun_augment augment = {1, 1, 1};
    return CALL(w,
                prun_images_pack(w->context, &w->images, NULL, IMAGES,
                                 &(prun_pass){.augment = &augment, .seed = 1, .stream = 2}, lanes));
}

static prun_status use_net_create(world *w) {
    prun_net **net = OPAQUE(w, prun_net *);
    if (CALL(w, prun_net_create(w->context, 1, SIDE, SIDE, net)) == PRUN_OK) prun_net_free(*net);
    return w->status;
}

/* The net must be the same every time. */
static void net_result(world *w, prun_net *net) {
    float *floats = (float *)malloc((size_t)tensor_floats(net) * sizeof(float));
    copy_tensors(net, floats, 0);
    result(w, floats, (size_t)tensor_floats(net) * sizeof(float));
    free(floats);
    prun_net_free(net);
}

static prun_status use_net_finish(world *w) {
    prun_net *net = NULL;
    int32_t v;
    prun_net_create(w->context, 1, SIDE, SIDE, &net);
    v = add_layers(net);
    if (CALL(w, prun_net_finish(net, v, 5)) == PRUN_OK) net_result(w, net);
    else prun_net_free(net);
    return w->status;
}

typedef enum layer_kind {
    CONV,
    CONV_WITH,
    LINEAR,
    BATCH_NORM,
    RELU,
    MAX_POOL,
    AVG_POOL,
    GLOBAL_AVG_POOL,
    DROPOUT,
    ADD,
    FLATTEN
} layer_kind;

/* A layer of one kind after sixteen others, when the array of layers must grow. A layer function
   returns -1 and prun_net_finish then the status. */
static prun_status use_layer(world *w, layer_kind kind) {
    prun_net *net = NULL;
    prun_conv2d_options conv;
    int32_t v = PRUN_INPUT, i;
    memset(&conv, 0, sizeof conv);
    conv.channels = conv.kernel[0] = 1;
    prun_net_create(w->context, 1, SIDE, SIDE, &net);
    for (i = 0; i < 16; i++) {
        v = prun_layer_relu(net, v);
    }
    arm(w);
    if (kind == CONV) v = prun_layer_conv2d(net, v, "c", 2, 3, 1, 1);
    if (kind == CONV_WITH) v = prun_layer_conv2d_with(net, v, "c", &conv);
    if (kind == LINEAR) v = prun_layer_linear(net, v, "l", 3, 1);
    if (kind == BATCH_NORM) v = prun_layer_batch_norm(net, v, "b", 0, 0);
    if (kind == RELU) v = prun_layer_relu(net, v);
    if (kind == MAX_POOL) v = prun_layer_max_pool(net, v, 2, 0, 0);
    if (kind == AVG_POOL) v = prun_layer_avg_pool(net, v, 2, 0, 0);
    if (kind == GLOBAL_AVG_POOL) v = prun_layer_global_avg_pool(net, v);
    if (kind == DROPOUT) v = prun_layer_dropout(net, v, .5);
    if (kind == ADD) v = prun_layer_add(net, v, 1);
    if (kind == FLATTEN) v = prun_layer_flatten(net, v);
    w->heap.armed = 0;
    CHECK((v == -1) == (w->heap.refused > 0) || w->heap.fail_at == 0);
    if (v != -1) v = prun_layer_linear(net, v, "last", 2, 0);
    disarm(w, prun_net_finish(net, v, 5)); /* which returns the error of the layer */
    if (w->status == PRUN_OK) net_result(w, net);
    else prun_net_free(net);
    return w->status;
}

static prun_status use_layer_conv2d(world *w) { return use_layer(w, CONV); }
static prun_status use_layer_conv2d_with(world *w) { return use_layer(w, CONV_WITH); }
static prun_status use_layer_linear(world *w) { return use_layer(w, LINEAR); }
static prun_status use_layer_batch_norm(world *w) { return use_layer(w, BATCH_NORM); }
static prun_status use_layer_relu(world *w) { return use_layer(w, RELU); }
static prun_status use_layer_max_pool(world *w) { return use_layer(w, MAX_POOL); }
static prun_status use_layer_avg_pool(world *w) { return use_layer(w, AVG_POOL); }
static prun_status use_layer_global(world *w) { return use_layer(w, GLOBAL_AVG_POOL); }
static prun_status use_layer_dropout(world *w) { return use_layer(w, DROPOUT); }
static prun_status use_layer_add(world *w) { return use_layer(w, ADD); }
static prun_status use_layer_flatten(world *w) { return use_layer(w, FLATTEN); }

typedef prun_status (*family_function)(prun_context *context, const prun_arch *arch,
                                       prun_net **net);

static prun_status use_family(world *w, family_function make, prun_family family) {
    prun_net **net = OPAQUE(w, prun_net *);
    prun_arch arch;
    memset(&arch, 0, sizeof arch);
    arch.family = family;
    arch.width = 1;
    arch.depth = 2;
    arch.dropout = family == PRUN_FAMILY_NIN ? .2 : 0;
    if (CALL(w, make(w->context, &arch, net)) == PRUN_OK) net_result(w, *net);
    return w->status;
}

static prun_status use_net_nin(world *w) {
    return use_family(w, prun_net_create_nin, PRUN_FAMILY_NIN);
}
static prun_status use_net_cnn(world *w) {
    return use_family(w, prun_net_create_cnn, PRUN_FAMILY_CNN);
}
static prun_status use_resnet18(world *w) {
    return use_family(w, prun_net_create_resnet18, PRUN_FAMILY_RESNET18);
}
static prun_status use_net_family(world *w) {
    return use_family(w, prun_net_create_family, PRUN_FAMILY_NIN);
}

static prun_status use_net_logits(world *w) {
    float *logits = OUT(w, float, IMAGES *CLASSES);
    return CALL(w, prun_net_logits(w->net, &w->images, NULL, IMAGES, logits));
}

static prun_status use_net_loss(world *w) {
    static const int64_t index[5] = {3, 19, 0, 7, 7};
    double *losses = OUT(w, double, 5), *sum = OUT(w, double, 1);
    int64_t *errors = OUT(w, int64_t, 1);
    return CALL(w, prun_net_loss(w->net, &w->images, index, 5, losses, sum, errors));
}

static prun_status use_net_gradient(world *w) {
    float *gradient = OUT(w, float, (size_t)prun_net_parameter_count(w->net));
    double *sum = OUT(w, double, 1);
    int64_t *errors = OUT(w, int64_t, 1);
    return CALL(w, prun_net_gradient(w->net, &w->images, NULL, IMAGES, gradient, sum, errors));
}

static prun_status use_net_hessian_vector(world *w) {
    const size_t count = (size_t)prun_net_parameter_count(w->net);
    float *product = OUT(w, float, count), *v = (float *)malloc(count * sizeof(float));
    size_t i;
    for (i = 0; i < count; i++) {
        v[i] = (float)(i % 5) - 2;
    }
    CALL(w, prun_net_hessian_vector(w->net, &w->images, NULL, IMAGES, v, product));
    free(v);
    return w->status;
}

static prun_status use_net_train_pass(world *w) {
    float *gradient = OUT(w, float, (size_t)prun_net_parameter_count(w->net));
    float *logits = OUT(w, float, IMAGES *CLASSES);
    double *sum = OUT(w, double, 1);
    int64_t *errors = OUT(w, int64_t, 1);
    return CALL(w, prun_net_train_pass(
                       w->net, &w->images, NULL, IMAGES, NULL,
                       &(prun_pass_outputs){
                           .gradient = gradient, .logits = logits, .sum = sum, .wrong = errors}));
}

static prun_status use_copy(world *w, int32_t fold) {
    prun_net **copy = OPAQUE(w, prun_net *);
    if (CALL(w, prun_net_copy(w->net, fold, copy)) == PRUN_OK) net_result(w, *copy);
    return w->status;
}

static prun_status use_net_copy(world *w) { return use_copy(w, 0); }
static prun_status use_net_copy_folded(world *w) { return use_copy(w, 1); }

static prun_status use_net_hidden_margins(world *w) {
    double *margins = OUT(w, double, 2 * IMAGES), *spread = OUT(w, double, 2);
    int32_t layers[4];
    prun_net_margin_layers(w->net, layers);
    return CALL(w, prun_net_hidden_margins(w->net, &w->images, NULL, IMAGES, layers, 2,
                                           &(prun_margin_outputs){margins, spread}));
}

/* ---- exercises: training ---- */

static prun_train_options train_options(world *w) {
    prun_train_options options;
    memset(&options, 0, sizeof options);
    options.momentum = 0.9;
    options.epochs = 2;
    options.batch = 8;
    options.learning_rate = .05;
    options.evaluate = 1;
    options.noise_pairs = 1;
    options.augment.crop_padding = 1;
    options.augment.flip = 1;
    options.on_epoch = epoch_callback;
    options.user = w;
    return options;
}

static void trained_result(world *w) {
    float *floats = (float *)malloc((size_t)tensor_floats(w->net) * sizeof(float));
    copy_tensors(w->net, floats, 0);
    result(w, floats, (size_t)tensor_floats(w->net) * sizeof(float));
    free(floats);
}

static prun_status use_train(world *w) {
    const prun_train_options options = train_options(w);
    prun_epoch *history = PREFIX(w, prun_epoch, 2);
    if (CALL(w, prun_train(w->net, &w->images, &options, history)) == PRUN_OK) trained_result(w);
    return w->status;
}

static prun_status use_trainer_create(world *w) {
    const prun_train_options options = train_options(w);
    prun_trainer **trainer = OPAQUE(w, prun_trainer *);
    if (CALL(w, prun_trainer_create(w->net, &w->images, &options, trainer)) == PRUN_OK)
        prun_trainer_free(*trainer);
    return w->status;
}

static prun_trainer *make_trainer(world *w) {
    const prun_train_options options = train_options(w);
    prun_trainer *trainer = NULL;
    CHECK(prun_trainer_create(w->net, &w->images, &options, &trainer) == PRUN_OK);
    return trainer;
}

static prun_status use_trainer_epoch(world *w) {
    prun_trainer *trainer = make_trainer(w);
    prun_epoch *epoch = OUT(w, prun_epoch, 1), again;
    if (CALL(w, prun_trainer_run_epoch(trainer, epoch)) == PRUN_OK) trained_result(w);
    else CHECK(prun_trainer_epoch_count(trainer) == 0);
    CHECK(w->status == PRUN_OK || prun_trainer_run_epoch(trainer, &again) == PRUN_OK);
    prun_trainer_free(trainer);
    return w->status;
}

/* A step that fails leaves net and trainer unchanged: repeated, it gives the same bits. */
static prun_status use_trainer_step(world *w) {
    static const int64_t index[6] = {1, 2, 3, 5, 8, 13};
    prun_trainer *trainer = make_trainer(w);
    double *sum = OUT(w, double, 1), again_sum;
    int64_t *errors = OUT(w, int64_t, 1), again_errors;
    const prun_status status = CALL(w, prun_trainer_step(trainer, index, 6, .01, sum, errors));
    if (status != PRUN_OK) {
        CHECK(prun_trainer_step(trainer, index, 6, .01, &again_sum, &again_errors) == PRUN_OK);
        result(w, &again_sum, sizeof again_sum);
        result(w, &again_errors, sizeof again_errors);
    } else {
        result(w, sum, sizeof *sum);
        result(w, errors, sizeof *errors);
    }
    trained_result(w);
    prun_trainer_free(trainer);
    return w->status;
}

/* ---- exercises: pruning and perturbing ---- */

static prun_prune_options prune_options(world *w) {
    prun_prune_options options;
    memset(&options, 0, sizeof options);
    options.grid = 5;
    options.repetitions = 2;
    options.progress = progress_callback;
    options.user = w;
    return options;
}

static prun_status use_search(world *w, prun_prune_method method, prun_prune_scope scope) {
    prun_prune_options options = prune_options(w);
    prun_prunability *found = OUT(w, prun_prunability, 1);
    options.method = method;
    options.scope = scope;
    options.beta[0] = .01;
    options.beta[1] = .3;
    return CALL(w, prun_prunability_search(&w->objective, &options, found));
}

static prun_status use_layer_fractions(world *w) {
    const prun_prune_options options = prune_options(w);
    double *fractions = OUT(w, double, 3);
    return CALL(w, prun_prune_layer_fractions(&w->plain, .4, &options, fractions));
}

static prun_status use_search_magnitude(world *w) {
    return use_search(w, PRUN_PRUNE_MAGNITUDE, PRUN_PRUNE_PER_LAYER);
}

static prun_status use_search_random(world *w) {
    return use_search(w, PRUN_PRUNE_RANDOM, PRUN_PRUNE_GLOBAL);
}

/* With an interval, over given kept fractions. */
static prun_status use_search_resamples(world *w) {
    static const double fractions[4] = {0, .2, .5, .9};
    prun_prune_options options = prune_options(w);
    prun_prunability *found = OUT(w, prun_prunability, 1);
    options.method = PRUN_PRUNE_RANDOM;
    options.fractions = fractions;
    options.fraction_count = 4;
    options.beta[0] = .01;
    options.beta[1] = .3;
    options.resamples = 20;
    return CALL(w, prun_prunability_search(&w->objective, &options, found));
}

static prun_status use_prunable_count(world *w) {
    const prun_prune_options options = prune_options(w);
    int64_t *count = OUT(w, int64_t, 1);
    return CALL(w, prun_prunable_count(&w->objective, &options, count));
}

static prun_status use_loss_curve(world *w) {
    prun_prune_options options = prune_options(w);
    double *losses = PREFIX(w, double, 6), *errors = PREFIX(w, double, 6);
    options.method = PRUN_PRUNE_RANDOM;
    return CALL(w, prun_loss_curve(&w->objective, &options, losses, errors));
}

static prun_status use_prune(world *w) {
    const prun_prune_options options = prune_options(w);
    int64_t *kept = OUT(w, int64_t, 1);
    if (CALL(w, prun_prune(&w->objective, .37, &options, kept)) == PRUN_OK) trained_result(w);
    return w->status;
}

static prun_status use_layer_profile(world *w) {
    const prun_prune_options options = prune_options(w);
    double *losses = PREFIX(w, double, 18);
    return CALL(w, prun_loss_curve_by_layer(&w->objective, &options, losses));
}

static prun_perturb_options perturb_options(world *w) {
    prun_perturb_options options;
    memset(&options, 0, sizeof options);
    options.draws = 2;
    options.precision = .5;
    options.steps = 2;
    options.batch = 8;
    options.progress = progress_callback;
    options.user = w;
    return options;
}

static prun_status use_perturb(world *w) {
    const prun_perturb_options options = perturb_options(w);
    if (CALL(w, prun_perturb(&w->objective, .1, 1, &options)) == PRUN_OK) trained_result(w);
    return w->status;
}

static prun_status use_perturbation_curve(world *w) {
    static const double radii[3] = {.01, .1, 1};
    const prun_perturb_options options = perturb_options(w);
    double *losses = PREFIX(w, double, 3), *standard = PREFIX(w, double, 3);
    double *errors = PREFIX(w, double, 3);
    return CALL(
        w, prun_perturbation_curve(&w->objective, radii, 3, &options, losses, standard, errors));
}

static prun_status use_same_size_curve(world *w) {
    static const double fractions[4] = {0, 1 / 3.0, 2 / 3.0, 1};
    const prun_perturb_options options = perturb_options(w);
    double *losses = PREFIX(w, double, 4), *standard = PREFIX(w, double, 4);
    double *errors = PREFIX(w, double, 4);
    return CALL(
        w, prun_same_size_curve(&w->objective, fractions, 4, &options, losses, standard, errors));
}

static prun_status use_perturbation_radius(world *w) {
    const prun_perturb_options options = perturb_options(w);
    prun_radius *radius = OUT(w, prun_radius, 1);
    return CALL(w, prun_perturbation_radius(&w->objective, &options, radius));
}

static prun_status use_error_radius(world *w) {
    prun_perturb_options options = perturb_options(w);
    prun_radius *radius = OUT(w, prun_radius, 1);
    options.displacement = .1;
    return CALL(w, prun_perturbation_radius(&w->objective, &options, radius));
}

static prun_status use_sharpness_radius(world *w) {
    const prun_perturb_options options = perturb_options(w);
    prun_radius *radius = OUT(w, prun_radius, 1);
    return CALL(w, prun_sharpness_radius(&w->objective, &options, radius));
}

static prun_status use_dropout_error(world *w) {
    const prun_perturb_options options = perturb_options(w);
    double *error = OUT(w, double, 1), *standard = OUT(w, double, 1);
    return CALL(w, prun_dropout_error(&w->objective, .5, .1, &options, error, standard));
}

/* ---- exercises: curvature ---- */

static prun_hessian_options hessian_options(world *w) {
    prun_hessian_options options;
    memset(&options, 0, sizeof options);
    options.steps = 4;
    options.probes = 2;
    options.samples = 5;
    options.progress = progress_callback;
    options.user = w;
    return options;
}

static prun_status use_hessian_size(world *w) {
    const prun_hessian_options options = hessian_options(w);
    int64_t *k = OUT(w, int64_t, 1);
    return CALL(w, prun_hessian_size(&w->objective, &options, k));
}

static prun_status use_product(world *w, int32_t differences) {
    prun_hessian_options options = hessian_options(w);
    float *v;
    double *product;
    int64_t k = 0, i;
    options.use_differences = differences;
    CHECK(prun_hessian_size(&w->objective, &options, &k) == PRUN_OK);
    v = (float *)malloc((size_t)k * sizeof(float));
    product = PARTLY(w, double, (size_t)k);
    for (i = 0; i < k; i++) {
        v[i] = (float)(i % 5) - 2;
    }
    if (CALL(w, prun_hessian_vector(&w->objective, v, &options, product)) == PRUN_OK)
        result(w, product, (size_t)k * sizeof(double));
    free(v);
    return w->status;
}

static prun_status use_hessian_vector(world *w) { return use_product(w, 0); }
static prun_status use_hessian_differences(world *w) { return use_product(w, 1); }

static prun_status use_hessian_difference(world *w) {
    prun_hessian_options options = hessian_options(w);
    prun_difference *found = OUT(w, prun_difference, 1);
    options.use_differences = 1;
    return CALL(w, prun_hessian_difference(&w->objective, NULL, &options, found));
}

static prun_status use_hessian_eigenpairs(world *w) {
    prun_hessian_options options = hessian_options(w);
    double *values = PARTLY(w, double, 2), *residuals = PARTLY(w, double, 2);
    float *vectors;
    int64_t k = 0;
    prun_hessian_size(&w->objective, &options, &k);
    vectors = PARTLY(w, float, 2 * (size_t)k);
    if (CALL(w, prun_hessian_eigenpairs(&w->objective, 2, &options, values, residuals, vectors)) ==
        PRUN_OK) {
        result(w, values, 2 * sizeof(double));
        result(w, residuals, 2 * sizeof(double));
        result(w, vectors, 2 * (size_t)k * sizeof(float));
    }
    return w->status;
}

static prun_status use_hessian_trace(world *w) {
    prun_hessian_options options = hessian_options(w);
    prun_estimate *trace = OUT(w, prun_estimate, 1), *by_tensor = OUT(w, prun_estimate, 3);
    options.use_differences = 1;
    return CALL(w, prun_hessian_trace(&w->objective, &options, trace, by_tensor));
}

static prun_status use_diagonal(world *w, int32_t differences) {
    prun_hessian_options options = hessian_options(w);
    double *diagonal, *standard;
    int64_t k = 0;
    options.use_differences = differences;
    CHECK(prun_hessian_size(&w->objective, &options, &k) == PRUN_OK);
    diagonal = OUT(w, double, (size_t)k);
    standard = OUT(w, double, (size_t)k);
    return CALL(w, prun_hessian_diagonal(&w->objective, &options, diagonal, standard));
}

static prun_status use_hessian_diagonal(world *w) { return use_diagonal(w, 0); }
static prun_status use_diagonal_differences(world *w) { return use_diagonal(w, 1); }

static void spectrum_result(world *w, const prun_spectrum *s) {
    const size_t bytes = (size_t)(s->probes * s->steps) * sizeof(double);
    result(w, s->values, bytes);
    result(w, s->weights, bytes);
    result(w, s->diagonal, bytes);
    result(w, s->couplings, bytes);
}

/* "A struct that was not filled is empty; prun_spectrum_free is then allowed." */
static prun_status use_hessian_spectrum(world *w) {
    const prun_hessian_options options = hessian_options(w);
    prun_spectrum *spectrum = PARTLY(w, prun_spectrum, 1);
    if (CALL(w, prun_hessian_spectrum(&w->objective, &options, spectrum)) == PRUN_OK)
        spectrum_result(w, spectrum);
    prun_spectrum_free(spectrum);
    return w->status;
}

static prun_spectrum make_spectrum(world *w) {
    const prun_hessian_options options = hessian_options(w);
    prun_spectrum spectrum;
    CHECK(prun_hessian_spectrum(&w->plain, &options, &spectrum) == PRUN_OK);
    return spectrum;
}

static prun_status use_spectrum_trace(world *w) {
    prun_spectrum spectrum = make_spectrum(w);
    prun_estimate *trace = OUT(w, prun_estimate, 1);
    CALL(w, prun_spectrum_trace(&spectrum, square_callback, w, trace));
    prun_spectrum_free(&spectrum);
    return w->status;
}

static prun_status use_spectral_density(world *w) {
    static const double grid[5] = {-1, 0, .5, 1, 2};
    prun_spectrum spectrum = make_spectrum(w);
    double *density = OUT(w, double, 5), *errors = OUT(w, double, 5);
    CALL(w, prun_spectrum_density(&spectrum, grid, 5, 0, density, errors));
    prun_spectrum_free(&spectrum);
    return w->status;
}

static prun_status use_effective_dimensionality(world *w) {
    prun_spectrum spectrum = make_spectrum(w);
    prun_effective_dimension *n = OUT(w, prun_effective_dimension, 1);
    CALL(w, prun_effective_dimensionality(&spectrum, 1, n));
    prun_spectrum_free(&spectrum);
    return w->status;
}

/* ---- exercises: scores ---- */

static prun_status use_scores(world *w, prun_score score) {
    prun_score_options options;
    float *scores;
    int64_t count = 0;
    memset(&options, 0, sizeof options);
    options.samples = 5;
    options.probes = 2;
    options.progress = progress_callback;
    options.user = w;
    CHECK(prun_prunable_count(&w->objective, NULL, &count) == PRUN_OK);
    scores = OUT(w, float, (size_t)count);
    return CALL(w, prun_prune_scores(&w->objective, score, &options, scores));
}

static prun_status use_scores_magnitude(world *w) { return use_scores(w, PRUN_SCORE_MAGNITUDE); }
static prun_status use_scores_taylor(world *w) { return use_scores(w, PRUN_SCORE_TAYLOR); }
static prun_status use_scores_fisher(world *w) { return use_scores(w, PRUN_SCORE_FISHER); }
static prun_status use_scores_curvature(world *w) { return use_scores(w, PRUN_SCORE_CURVATURE); }
static prun_status use_scores_lamp(world *w) { return use_scores(w, PRUN_SCORE_LAMP); }
static prun_status use_scores_random(world *w) { return use_scores(w, PRUN_SCORE_RANDOM); }

/* Without exact products, so that curvature comes from differences, which move the weights. */
static prun_status use_scores_differences(world *w) {
    w->objective.hessian_vector = NULL;
    return use_scores(w, PRUN_SCORE_CURVATURE);
}

/* ---- exercises: measures ---- */

static const prun_tensor *weight_tensor(const world *w) { return &w->objective.tensors[0]; }

static prun_status use_spectral_norm(world *w) {
    prun_spectral_norm_result *norm = OUT(w, prun_spectral_norm_result, 1);
    return CALL(w, prun_spectral_norm(w->context, weight_tensor(w), NULL, NULL, 0, 1, norm));
}

static prun_status use_operator_norm(world *w) {
    prun_spectral_norm_result *norm = OUT(w, prun_spectral_norm_result, 1);
    prun_conv2d conv;
    memset(&conv, 0, sizeof conv);
    conv.in_channels = 1;
    conv.in_height = conv.in_width = SIDE;
    conv.out_channels = 2;
    conv.kernel[0] = 3;
    return CALL(w, prun_spectral_norm(w->context, weight_tensor(w), NULL, &conv, 0, 1, norm));
}

static prun_status use_singular_values(world *w) {
    const prun_tensor *t = weight_tensor(w);
    double *values = OUT(w, double, 1);
    return CALL(w, prun_singular_values(w->context, t->data, prun_tensor_size(t), 1, 1, 1, values));
}

/* The kernel of two channels out and one in: an eigenvalue for each of its nine taps. */
static prun_status use_weight_eigenvalues(world *w) {
    double *values = OUT(w, double, 9);
    int64_t *count = OUT(w, int64_t, 1);
    CHECK(weight_tensor(w)->rank == 4 && prun_tensor_size(weight_tensor(w)) == 18);
    return CALL(w, prun_weight_eigenvalues(w->context, weight_tensor(w), 0, values, count));
}

static prun_status use_power_law_fit(world *w) {
    static const double values[] = {0, 1, 1, 2, 5, 7};
    prun_power_law *law = OUT(w, prun_power_law, 1);
    return CALL(w, prun_power_law_fit(w->context, values, 6, law));
}

static prun_status use_weight_spectrum(world *w) {
    prun_weight_spectrum_result *found = OUT(w, prun_weight_spectrum_result, 1);
    return CALL(w, prun_weight_spectrum(w->context, weight_tensor(w), 0, 1, found));
}

static prun_status use_path_norm(world *w) {
    double *value = OUT(w, double, 1);
    return CALL(w, prun_path_norm(w->net, value));
}

static prun_status use_margin_features(world *w) {
    double margins[30], *features = OUT(w, double, 5);
    int i;
    for (i = 0; i < 30; i++) {
        margins[i] = i - 10;
    }
    return CALL(w, prun_margin_features(w->context, margins, 30, features));
}

static prun_status use_gradient_noise(world *w) {
    double *variance = OUT(w, double, 1), *standard = OUT(w, double, 1);
    return CALL(w, prun_gradient_noise(&w->objective, 4, 3, 1, variance, standard));
}

static prun_status use_gradient_moments(world *w) {
    prun_gradient_moments_result *moments = OUT(w, prun_gradient_moments_result, 1);
    return CALL(w, prun_gradient_moments(&w->objective, NULL, 3, 1e-5, moments));
}

static prun_status use_net_input_sensitivity(world *w) {
    double *of_logits = PREFIX(w, double, IMAGES), *of_probabilities = PREFIX(w, double, IMAGES);
    return CALL(w, prun_net_input_sensitivity(w->net, &w->images, NULL, IMAGES, of_logits,
                                              of_probabilities));
}

static prun_status use_ball(world *w, int average) {
    prun_ball_options options;
    prun_ball_result *result = OUT(w, prun_ball_result, 1);
    memset(&options, 0, sizeof options);
    options.radius = .01;
    options.average = options.adaptive = average;
    options.normalize = average;
    options.steps = 4;
    options.draws = 2;
    options.group = 4;
    options.progress = progress_callback;
    options.user = w;
    return CALL(w, prun_ball_sharpness(&w->objective, &options, result));
}
static prun_status use_ball_largest(world *w) { return use_ball(w, 0); }
static prun_status use_ball_average(world *w) { return use_ball(w, 1); }

static prun_status use_reinitialization_errors(world *w) {
    double *errors = PREFIX(w, double, 8);
    w->objective.initial = w->objective.tensors;
    return CALL(w, prun_reinitialization_errors(&w->objective, errors));
}

static prun_status use_criticality(world *w) {
    prun_criticality_options options;
    double *values = PREFIX(w, double, 8);
    memset(&options, 0, sizeof options);
    options.draws = 1;
    options.progress = progress_callback;
    options.user = w;
    w->objective.initial = w->objective.tensors;
    return CALL(w, prun_criticality(&w->objective, &options, values));
}

static prun_status use_davies_bouldin(world *w) {
    static const float rows[4] = {1, 2, 4, 6};
    static const int32_t labels[4] = {0, 0, 1, 1};
    double *index = OUT(w, double, 1);
    return CALL(w, prun_davies_bouldin(w->context, rows, labels, 4, 1, 2, index));
}

static prun_status use_relative_flatness(world *w) {
    static const float rows[4] = {1, 2, 4, 6}, logits[8] = {1, 0, 0, 1, 2, 0, 1, 3};
    static float weight[2] = {1, -1};
    prun_tensor t;
    double *value = OUT(w, double, 1);
    memset(&t, 0, sizeof t);
    t.data = weight;
    t.rank = 2;
    t.shape[0] = 2;
    t.shape[1] = 1;
    return CALL(w, prun_relative_flatness(w->context, rows, logits, 4, &t, 1, value));
}

static const prun_epoch history[2] = {{1, 2, .1, 2, .5, 2, 10, 1}, {2, 2, .1, 1, .4, 1, 20, 1}};

static prun_measure_options measure_options(world *w) {
    prun_measure_options options;
    memset(&options, 0, sizeof options);
    options.grid = 4;
    options.repetitions = options.draws = 2;
    options.restarts = 1;
    options.precision = .9;
    options.noise_batch = 4;
    options.noise_pairs = 2;
    options.hessian_samples = 5;
    options.hessian_steps = 3;
    options.hessian_probes = 2;
    options.weight_decay = .01;
    options.least_eigenvalues = 2;
    options.history = history;
    options.epochs = 2;
    options.seconds = test_clock;
    options.progress = progress_callback;
    options.user = w;
    return options;
}

static prun_status use_measurement_create(world *w) {
    const prun_measure_options options = measure_options(w);
    prun_measurement *m = NULL;
    if (CALL(w, prun_measurement_create(&w->objective, &options, &m)) == PRUN_OK) {
        result(w, prun_measurement_losses(m), IMAGES * sizeof(double));
        result(w, prun_measurement_margins(m), IMAGES * sizeof(double));
    }
    CHECK((m != NULL) == (w->status == PRUN_OK));
    prun_measurement_free(m);
    return w->status;
}

/* One measure in a new measurement; its result also describes the error. */
static prun_status use_one_measure(world *w, const char *name) {
    const prun_measure_options options = measure_options(w);
    prun_measure_result *found = PARTLY(w, prun_measure_result, 1);
    prun_measurement *m = NULL;
    CHECK(prun_measurement_create(&w->plain, &options, &m) == PRUN_OK);
    m->objective = w->objective; /* from here on the plan applies */
    CALL(w, prun_measure(m, name, found));
    CHECK(found->status == w->status);
    CHECK(w->status == PRUN_OK || found->message[0] != '\0');
    if (w->status == PRUN_OK) result(w, found, sizeof *found);
    prun_measurement_free(m);
    return w->status;
}

static prun_status use_measure_trace(world *w) { return use_one_measure(w, "hessian_trace"); }
static prun_status use_measure_spectrum(world *w) {
    return use_one_measure(w, "effective_dimensionality_slq");
}

static prun_status use_measure_alpha(world *w) { return use_one_measure(w, "alpha"); }
static prun_status use_measure_takeuchi(world *w) { return use_one_measure(w, "takeuchi_ratio"); }

static prun_status use_all_measures(world *w, const prun_objective *objective) {
    const prun_measure_options options = measure_options(w);
    int64_t count, i;
    prun_measure_result *results;
    prun_measures(&count);
    results = PARTLY(w, prun_measure_result, (size_t)count);
    CALL(w, prun_measure_all(objective, NULL, &options, results));
    for (i = 0; w->status == PRUN_OK && i < count; i++) {
        CHECK(results[i].status == PRUN_OK || results[i].message[0] != '\0');
        CHECK(results[i].status != PRUN_OK || !(fabs(results[i].value) < -1));
        result(w, &results[i], offsetof(prun_measure_result, message));
    }
    return w->status;
}

static prun_status use_measure_all(world *w) { return use_all_measures(w, &w->plain); }
static prun_status use_measure_all_own(world *w) { return use_all_measures(w, &w->objective); }

/* ---- exercises: statistics ---- */

enum { MODELS = 24 };

typedef struct models {
    double x[MODELS], y[MODELS], z[MODELS], width[MODELS], rate[MODELS], seed[MODELS];
    const double *values[2];
    prun_axes axes;
    prun_sample sample;
} models;

static const models *make_models(void) {
    static models m;
    int i;
    for (i = 0; i < MODELS; i++) {
        m.x[i] = prun_random_uniform(1, 2, (uint64_t)i);
        m.y[i] = .5 * m.x[i] + .3 * prun_random_uniform(1, 3, (uint64_t)i);
        m.z[i] = prun_random_uniform(1, 4, (uint64_t)i);
        m.width[i] = i % 3;
        m.rate[i] = i / 3 % 4;
        m.seed[i] = i / 12;
    }
    m.values[0] = m.width;
    m.values[1] = m.rate;
    m.axes.n = MODELS;
    m.axes.count = 2;
    m.axes.values = m.values;
    m.axes.seed = m.seed;
    m.sample.n = MODELS;
    m.sample.measure = m.x;
    m.sample.target = m.y;
    m.sample.control = m.z;
    m.sample.axes = &m.axes;
    return &m;
}

static prun_status use_kendall_tau(world *w) {
    const models *m = make_models();
    prun_kendall *tau = OUT(w, prun_kendall, 1);
    return CALL(w, prun_kendall_tau(w->context, m->x, m->y, MODELS, tau));
}

static prun_status use_granulated_kendall(world *w) {
    const models *m = make_models();
    prun_granulated *psi = OUT(w, prun_granulated, 1);
    return CALL(w, prun_granulated_kendall(w->context, &m->axes, m->x, m->y, psi));
}

static prun_status use_averaged_kendall(world *w) {
    const models *m = make_models();
    prun_granulated *psi = OUT(w, prun_granulated, 1);
    prun_axes axes = m->axes;
    axes.seeds = PRUN_SEEDS_AVERAGED;
    return CALL(w, prun_granulated_kendall(w->context, &axes, m->x, m->y, psi));
}

static prun_status use_seed_means(world *w) {
    const models *m = make_models();
    double *means = OUT(w, double, MODELS);
    int64_t *count = OUT(w, int64_t, 1);
    return CALL(w, prun_seed_means(w->context, &m->axes, m->x, means, count));
}

static prun_status use_conditional_information(world *w) {
    const models *m = make_models();
    prun_cmi *cmi = OUT(w, prun_cmi, 1);
    return CALL(
        w, prun_conditional_information(w->context, &m->axes, m->x, m->y, PRUN_TIES_DROP, cmi));
}

static prun_status use_regression_fit(world *w) {
    const models *m = make_models();
    const double *x[2];
    prun_regression *fit = OUT(w, prun_regression, 1);
    prun_regression_outputs outputs;
    outputs.coefficients = OUT(w, double, 2);
    outputs.standardized = OUT(w, double, 2);
    outputs.fitted = OUT(w, double, MODELS);
    outputs.crossfitted = OUT(w, double, MODELS);
    x[0] = m->x;
    x[1] = m->z;
    return CALL(w, prun_regression_fit(w->context, &(prun_regression_data){x, 2, m->y, MODELS},
                                       NULL, fit, &outputs));
}

static prun_status use_robust_sign_error(world *w) {
    const models *m = make_models();
    prun_sign_error *error = OUT(w, prun_sign_error, 1);
    prun_sign_error_options options;
    memset(&options, 0, sizeof options);
    options.effective_size = DBL_MIN;
    return CALL(w, prun_robust_sign_error(w->context, &m->axes, m->x, m->y, &options, error));
}

static prun_resampling_options resampling(world *w, prun_statistic statistic) {
    prun_resampling_options options;
    memset(&options, 0, sizeof options);
    options.statistic = statistic;
    options.resamples = 20;
    options.sign_error.effective_size = DBL_MIN;
    options.custom = statistic == PRUN_STATISTIC_CUSTOM ? statistic_callback : NULL;
    options.user = w;
    return options;
}

static prun_status use_value(world *w, prun_statistic statistic) {
    const models *m = make_models();
    const prun_resampling_options options = resampling(w, statistic);
    double *value = OUT(w, double, 1);
    return CALL(w, prun_statistic_value(w->context, &m->sample, &options, value));
}

static prun_status use_value_tau(world *w) { return use_value(w, PRUN_STATISTIC_TAU_B); }
static prun_status use_value_partial(world *w) { return use_value(w, PRUN_STATISTIC_PARTIAL_TAU); }
static prun_status use_value_r2(world *w) { return use_value(w, PRUN_STATISTIC_R2); }
static prun_status use_value_psi(world *w) { return use_value(w, PRUN_STATISTIC_PSI); }
static prun_status use_value_cmi(world *w) { return use_value(w, PRUN_STATISTIC_CMI); }
static prun_status use_value_sign(world *w) { return use_value(w, PRUN_STATISTIC_SIGN_ERROR_MAX); }
static prun_status use_value_custom(world *w) { return use_value(w, PRUN_STATISTIC_CUSTOM); }

static prun_status use_resamples(world *w, prun_statistic statistic) {
    const models *m = make_models();
    const prun_resampling_options options = resampling(w, statistic);
    prun_interval *interval = OUT(w, prun_interval, 1);
    prun_sample sample = m->sample;
    sample.cluster = m->width;
    return CALL(w, prun_bootstrap(w->context, &sample, &options, interval));
}

static prun_status use_bootstrap(world *w) { return use_resamples(w, PRUN_STATISTIC_PSI_MEAN); }
static prun_status use_bootstrap_cmi(world *w) { return use_resamples(w, PRUN_STATISTIC_CMI); }
static prun_status use_bootstrap_custom(world *w) {
    return use_resamples(w, PRUN_STATISTIC_CUSTOM);
}

static prun_status use_compare(world *w) {
    const models *m = make_models();
    const prun_resampling_options options = resampling(w, PRUN_STATISTIC_TAU_A);
    prun_interval *interval = OUT(w, prun_interval, 1);
    return CALL(w, prun_compare(w->context, &m->sample, m->z, &options, interval));
}

static prun_status use_permutations(world *w, prun_statistic statistic) {
    const models *m = make_models();
    const prun_resampling_options options = resampling(w, statistic);
    double *p = OUT(w, double, 1);
    return CALL(w, prun_permutation_test(w->context, &m->sample, &options, p));
}

static prun_status use_permutation_test(world *w) { return use_permutations(w, PRUN_STATISTIC_R2); }
static prun_status use_permutation_custom(world *w) {
    return use_permutations(w, PRUN_STATISTIC_CUSTOM);
}

static prun_status use_partial_kendall(world *w) {
    const models *m = make_models();
    double *tau = OUT(w, double, 1);
    return CALL(w, prun_partial_kendall(w->context, m->x, m->y, m->z, MODELS, tau));
}

/* ---- exercises: files ---- */

static const unsigned char idx_images[16 + 8] = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2,
                                                 0, 0, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8};
static const unsigned char idx_labels[8 + 2] = {0, 0, 8, 1, 0, 0, 0, 2, 4, 9};

static prun_status images_result(world *w, prun_images *images) {
    if (w->status == PRUN_OK) {
        result(w, images->labels, (size_t)images->count * sizeof(int32_t));
        if (images->pixels != NULL)
            result(w, images->pixels,
                   (size_t)(images->count * images->channels * images->height * images->width));
        prun_images_free(images);
    }
    return w->status;
}

static prun_status use_load_idx(world *w) {
    prun_images *images = OPAQUE(w, prun_images);
    prun_idx_options options;
    memset(&options, 0, sizeof options);
    options.channels = 3;
    options.pad_to = 6;
    write_file("images.idx", idx_images, sizeof idx_images);
    write_file("labels.idx", idx_labels, sizeof idx_labels);
    CALL(w, prun_images_load_idx(w->context, in_directory("images.idx"), in_directory("labels.idx"),
                                 &options, images));
    return images_result(w, images);
}

static prun_status use_load_cifar(world *w) {
    static const unsigned char cifar[2 * 3073] = {1, 2, 3};
    prun_images *images = OPAQUE(w, prun_images);
    const char *paths[2];
    write_file("cifar.bin", cifar, sizeof cifar);
    paths[0] = paths[1] = in_directory("cifar.bin");
    CALL(w, prun_images_load_cifar(w->context, paths, 2, 10, images));
    return images_result(w, images);
}

/* A .npy file of bytes with the given shape. */
static void write_npy(const char *name, const char *type, const char *shape, size_t count) {
    unsigned char bytes[128 + 64] = "\x93NUMPY\x01\x00\x76\x00";
    char header[118];
    size_t i;
    int length = snprintf(header, sizeof header,
                          "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", type, shape);
    memset(bytes + 10, ' ', 118);
    memcpy(bytes + 10, header, (size_t)length);
    bytes[127] = '\n';
    for (i = 0; i < count; i++) {
        bytes[128 + i] = (unsigned char)(i % 3);
    }
    write_file(name, bytes, 128 + count);
}

static prun_status use_array_load_npy(world *w) {
    prun_array *array = OPAQUE(w, prun_array);
    write_npy("array.npy", "<f4", "2, 3", 24);
    if (CALL(w, prun_array_load_npy(w->context, in_directory("array.npy"), array)) == PRUN_OK) {
        result(w, array->values, 6 * sizeof(float));
        prun_array_free(array);
    }
    return w->status;
}

static prun_status use_load_npy(world *w) {
    prun_images *images = OPAQUE(w, prun_images);
    write_npy("images.npy", "|u1", "3, 2, 2", 12);
    write_npy("labels.npy", "|u1", "3,", 3);
    CALL(w, prun_images_load_npy(w->context, in_directory("images.npy"), in_directory("labels.npy"),
                                 NULL, images));
    return images_result(w, images);
}

/* A file with a tensor and an array of integers. */
static const char *saved_values(void) {
    safetensors(&scratch[0],
                "{\"__metadata__\":{\"format\":\"pt\"},"
                "\"a\":{\"dtype\":\"F16\",\"shape\":[3],\"data_offsets\":[0,6]},"
                "\"b\":{\"dtype\":\"I32\",\"shape\":[2,1],\"data_offsets\":[6,14]}}",
                14);
    write_blob("values.safetensors", &scratch[0]);
    return in_directory("values.safetensors");
}

static prun_status use_safetensors_open(world *w) {
    const char *path = saved_values();
    prun_safetensors **file = OPAQUE(w, prun_safetensors *);
    if (CALL(w, prun_safetensors_open(w->context, path, file)) == PRUN_OK)
        prun_safetensors_close(*file);
    return w->status;
}

static prun_safetensors *open_file(world *w, const char *path) {
    prun_safetensors *file = NULL;
    CHECK(prun_safetensors_open(w->context, path, &file) == PRUN_OK);
    return file;
}

static void target(world *w) {
    snprintf(w->file, sizeof w->file, "%s", in_directory("target.safetensors"));
}

static void file_result(world *w) {
    FILE *file = w->status == PRUN_OK ? fopen(w->file, "rb") : NULL;
    char bytes[4096];
    size_t size;
    while (file != NULL && (size = fread(bytes, 1, sizeof bytes, file)) > 0) {
        result(w, bytes, size);
    }
    if (file != NULL) fclose(file);
}

/* Opens with refused requests, and then writes without refusals. */
static prun_status use_output_open(world *w) {
    prun_output **output = OPAQUE(w, prun_output *);
    prun_status status;
    target(w);
    arm(w);
    status = prun_output_open(w->context, w->file, output);
    w->heap.armed = 0;
    if (status == PRUN_OK) {
        fputs("the new text", prun_output_stream(*output));
        status = prun_output_close(*output);
    }
    disarm(w, status);
    file_result(w);
    return w->status;
}

static prun_status use_safetensors_write(world *w) {
    static const char *const metadata[2] = {"format", "pt"};
    float values[4] = {1, 2, 3, 4};
    prun_tensor tensor;
    memset(&tensor, 0, sizeof tensor);
    tensor.data = values;
    tensor.name = "values \"quoted\"";
    tensor.rank = 1;
    tensor.shape[0] = 4;
    target(w);
    CALL(w, prun_tensors_save_safetensors(w->context, &tensor, 1, metadata, 1, w->file));
    file_result(w);
    return w->status;
}

static prun_status use_net_save(world *w) {
    target(w);
    CALL(w, prun_net_save_safetensors(w->net, w->file));
    file_result(w);
    return w->status;
}

/* Loads weights that differ from those of the net, so that a partial load would show. */
static prun_status use_net_load(world *w) {
    prun_safetensors *file;
    prun_net_save_safetensors(w->before, in_directory("net.safetensors"));
    file = open_file(w, in_directory("net.safetensors"));
    if (CALL(w, prun_net_read_safetensors(w->net, file, NULL)) == PRUN_OK) trained_result(w);
    prun_safetensors_close(file);
    return w->status;
}

static prun_status use_net_load_path(world *w) {
    const char *path = in_directory("net.safetensors");
    prun_net_save_safetensors(w->before, path);
    if (CALL(w, prun_net_load_safetensors(w->net, path, NULL)) == PRUN_OK) trained_result(w);
    return w->status;
}

static prun_status use_trainer_save(world *w) {
    prun_trainer *trainer = make_trainer(w);
    target(w);
    CALL(w, prun_trainer_save_safetensors(trainer, w->file));
    file_result(w);
    prun_trainer_free(trainer);
    return w->status;
}

/* Loads a trainer with one finished epoch into a fresh one. */
static prun_status use_trainer_load(world *w) {
    prun_trainer *trainer = make_trainer(w), *fresh = make_trainer(w);
    prun_safetensors *file;
    prun_epoch epoch;
    CHECK(prun_trainer_run_epoch(trainer, &epoch) == PRUN_OK);
    CHECK(prun_trainer_save_safetensors(trainer, in_directory("trainer.safetensors")) == PRUN_OK);
    file = open_file(w, in_directory("trainer.safetensors"));
    copy_tensors(w->net, w->weights, 1);
    if (CALL(w, prun_trainer_read_safetensors(fresh, file)) == PRUN_OK) {
        CHECK(prun_trainer_epoch_count(fresh) == 1);
        trained_result(w);
    } else {
        CHECK(prun_trainer_epoch_count(fresh) == 0);
    }
    prun_safetensors_close(file);
    prun_trainer_free(trainer);
    prun_trainer_free(fresh);
    return w->status;
}

static prun_status use_trainer_load_path(world *w) {
    prun_trainer *trainer = make_trainer(w), *fresh = make_trainer(w);
    const char *path = in_directory("trainer.safetensors");
    prun_epoch epoch;
    CHECK(prun_trainer_run_epoch(trainer, &epoch) == PRUN_OK);
    CHECK(prun_trainer_save_safetensors(trainer, path) == PRUN_OK);
    copy_tensors(w->net, w->weights, 1);
    if (CALL(w, prun_trainer_load_safetensors(fresh, path)) == PRUN_OK) trained_result(w);
    CHECK(prun_trainer_epoch_count(fresh) == (w->status == PRUN_OK));
    prun_trainer_free(trainer);
    prun_trainer_free(fresh);
    return w->status;
}

static const char *saved_table(void) {
    static const char text[] = "name,width,loss\nfirst,1,0.5\n\"second \"\"one\"\"\",2,\n";
    write_file("table.csv", (const unsigned char *)text, sizeof text - 1);
    return in_directory("table.csv");
}

static prun_status use_table_read_csv(world *w) {
    prun_table *table = OPAQUE(w, prun_table);
    const char *path = saved_table();
    if (CALL(w, prun_table_load_csv(w->context, path, table)) == PRUN_OK) {
        result(w, table->values, (size_t)(table->rows * table->columns) * sizeof(double));
        prun_table_free(table);
    }
    return w->status;
}

/* ---- the table of exercises ---- */

enum {
    CHANGES = 1,     /* the net changes, even if the call fails */
    SUCCEEDS = 2,    /* the net changes only if the call succeeds */
    ALL_RESULTS = 4, /* statuses that mean "undefined" end in one measure's result */
    RESTORES = 8,    /* moves the weights and puts them back, whatever a callback does to them */
    RETRIES = 16,    /* ends with the results of success after a failure too */
    LONG = 32,       /* hundreds of requests and calls: only a sample of them fails */
    SOUND = 64       /* calls functions that need finite weights first */
};

typedef struct exercise {
    const char *function;
    prun_status (*use)(world *w);
    uint32_t flags;
} exercise;

static const exercise exercises[] = {
    {"prun_conv2d_forward", use_conv2d_forward, 0},
    {"prun_conv2d_forward", use_winograd, 0},
    {"prun_conv2d_input_gradient", use_conv2d_input, 0},
    {"prun_conv2d_input_gradient", use_winograd_in, 0},
    {"prun_conv2d_weight_gradient", use_conv2d_weight, 0},
    {"prun_conv2d_weight_gradient", use_winograd_w, 0},
    {"prun_images_pack", use_images_pack, 0},
    {"prun_net_create", use_net_create, 0},
    {"prun_net_finish", use_net_finish, 0},
    {"prun_layer_conv2d", use_layer_conv2d, 0},
    {"prun_layer_conv2d_with", use_layer_conv2d_with, 0},
    {"prun_layer_linear", use_layer_linear, 0},
    {"prun_layer_batch_norm", use_layer_batch_norm, 0},
    {"prun_layer_relu", use_layer_relu, 0},
    {"prun_layer_max_pool", use_layer_max_pool, 0},
    {"prun_layer_avg_pool", use_layer_avg_pool, 0},
    {"prun_layer_global_avg_pool", use_layer_global, 0},
    {"prun_layer_dropout", use_layer_dropout, 0},
    {"prun_layer_add", use_layer_add, 0},
    {"prun_layer_flatten", use_layer_flatten, 0},
    {"prun_net_create_nin", use_net_nin, 0},
    {"prun_net_create_cnn", use_net_cnn, 0},
    {"prun_net_create_resnet18", use_resnet18, LONG},
    {"prun_net_create_family", use_net_family, 0},
    {"prun_net_logits", use_net_logits, 0},
    {"prun_net_loss", use_net_loss, 0},
    {"prun_net_gradient", use_net_gradient, 0},
    {"prun_net_hessian_vector", use_net_hessian_vector, 0},
    {"prun_net_train_pass", use_net_train_pass, SUCCEEDS},
    {"prun_net_copy", use_net_copy, 0},
    {"prun_net_copy", use_net_copy_folded, 0},
    {"prun_net_hidden_margins", use_net_hidden_margins, 0},
    {"prun_train", use_train, CHANGES},
    {"prun_trainer_create", use_trainer_create, 0},
    {"prun_trainer_run_epoch", use_trainer_epoch, CHANGES | SOUND},
    {"prun_trainer_step", use_trainer_step, SUCCEEDS | RETRIES | SOUND},
    {"prun_prunability_search", use_search_magnitude, RESTORES},
    {"prun_prunability_search", use_search_random, RESTORES},
    {"prun_prunability_search", use_search_resamples, RESTORES},
    {"prun_prunable_count", use_prunable_count, SOUND},
    {"prun_loss_curve", use_loss_curve, RESTORES},
    {"prun_prune", use_prune, SUCCEEDS},
    {"prun_prune_layer_fractions", use_layer_fractions, SOUND},
    {"prun_loss_curve_by_layer", use_layer_profile, RESTORES},
    {"prun_perturb", use_perturb, SUCCEEDS},
    {"prun_perturbation_curve", use_perturbation_curve, RESTORES},
    {"prun_same_size_curve", use_same_size_curve, RESTORES},
    {"prun_perturbation_radius", use_perturbation_radius, RESTORES},
    {"prun_perturbation_radius", use_error_radius, RESTORES},
    {"prun_sharpness_radius", use_sharpness_radius, RESTORES},
    {"prun_dropout_error", use_dropout_error, RESTORES},
    {"prun_hessian_size", use_hessian_size, 0},
    {"prun_hessian_vector", use_hessian_vector, 0},
    {"prun_hessian_vector", use_hessian_differences, RESTORES},
    {"prun_hessian_difference", use_hessian_difference, RESTORES},
    {"prun_hessian_eigenpairs", use_hessian_eigenpairs, 0},
    {"prun_hessian_trace", use_hessian_trace, RESTORES},
    {"prun_hessian_diagonal", use_hessian_diagonal, 0},
    {"prun_hessian_diagonal", use_diagonal_differences, RESTORES},
    {"prun_hessian_spectrum", use_hessian_spectrum, 0},
    {"prun_spectrum_trace", use_spectrum_trace, SOUND},
    {"prun_spectrum_density", use_spectral_density, SOUND},
    {"prun_effective_dimensionality", use_effective_dimensionality, SOUND},
    {"prun_prune_scores", use_scores_magnitude, SOUND},
    {"prun_prune_scores", use_scores_taylor, SOUND},
    {"prun_prune_scores", use_scores_fisher, SOUND},
    {"prun_prune_scores", use_scores_curvature, SOUND},
    {"prun_prune_scores", use_scores_differences, SOUND | RESTORES},
    {"prun_prune_scores", use_scores_lamp, SOUND},
    {"prun_prune_scores", use_scores_random, SOUND},
    {"prun_spectral_norm", use_spectral_norm, 0},
    {"prun_spectral_norm", use_operator_norm, 0},
    {"prun_singular_values", use_singular_values, 0},
    {"prun_weight_eigenvalues", use_weight_eigenvalues, 0},
    {"prun_power_law_fit", use_power_law_fit, 0},
    {"prun_weight_spectrum", use_weight_spectrum, 0},
    {"prun_path_norm", use_path_norm, 0},
    {"prun_margin_features", use_margin_features, 0},
    {"prun_gradient_noise", use_gradient_noise, 0},
    {"prun_gradient_moments", use_gradient_moments, 0},
    {"prun_net_input_sensitivity", use_net_input_sensitivity, 0},
    {"prun_ball_sharpness", use_ball_largest, 0},
    {"prun_ball_sharpness", use_ball_average, 0},
    {"prun_reinitialization_errors", use_reinitialization_errors, 0},
    {"prun_criticality", use_criticality, 0},
    {"prun_davies_bouldin", use_davies_bouldin, 0},
    {"prun_relative_flatness", use_relative_flatness, 0},
    {"prun_measurement_create", use_measurement_create, 0},
    {"prun_measure", use_measure_trace, SOUND},
    {"prun_measure", use_measure_spectrum, SOUND},
    {"prun_measure", use_measure_alpha, SOUND},
    {"prun_measure", use_measure_takeuchi, SOUND},
    {"prun_measure_all", use_measure_all, LONG},
    {"prun_measure_all", use_measure_all_own, ALL_RESULTS | LONG},
    {"prun_kendall_tau", use_kendall_tau, 0},
    {"prun_granulated_kendall", use_granulated_kendall, 0},
    {"prun_granulated_kendall", use_averaged_kendall, 0},
    {"prun_seed_means", use_seed_means, 0},
    {"prun_conditional_information", use_conditional_information, 0},
    {"prun_regression_fit", use_regression_fit, 0},
    {"prun_robust_sign_error", use_robust_sign_error, 0},
    {"prun_statistic_value", use_value_tau, 0},
    {"prun_statistic_value", use_value_partial, 0},
    {"prun_statistic_value", use_value_r2, 0},
    {"prun_statistic_value", use_value_psi, 0},
    {"prun_statistic_value", use_value_cmi, 0},
    {"prun_statistic_value", use_value_sign, 0},
    {"prun_statistic_value", use_value_custom, 0},
    {"prun_bootstrap", use_bootstrap, 0},
    {"prun_bootstrap", use_bootstrap_cmi, 0},
    {"prun_bootstrap", use_bootstrap_custom, 0},
    {"prun_compare", use_compare, 0},
    {"prun_permutation_test", use_permutation_test, 0},
    {"prun_permutation_test", use_permutation_custom, 0},
    {"prun_partial_kendall", use_partial_kendall, 0},
    {"prun_images_load_idx", use_load_idx, 0},
    {"prun_images_load_cifar", use_load_cifar, 0},
    {"prun_array_load_npy", use_array_load_npy, 0},
    {"prun_images_load_npy", use_load_npy, 0},
    {"prun_safetensors_open", use_safetensors_open, 0},
    {"prun_output_open", use_output_open, 0},
    {"prun_tensors_save_safetensors", use_safetensors_write, 0},
    {"prun_net_save_safetensors", use_net_save, 0},
    {"prun_net_read_safetensors", use_net_load, SUCCEEDS},
    {"prun_net_load_safetensors", use_net_load_path, SUCCEEDS},
    {"prun_trainer_save_safetensors", use_trainer_save, 0},
    {"prun_trainer_read_safetensors", use_trainer_load, SUCCEEDS | SOUND},
    {"prun_trainer_load_safetensors", use_trainer_load_path, SUCCEEDS | SOUND},
    {"prun_table_load_csv", use_table_read_csv, 0},
};

enum { EXERCISES = sizeof exercises / sizeof exercises[0] };

#endif
