/* test_train.c - section TRAIN: stochastic gradient descent against a hand-written loop; learning
   rates, order, seeds, histories. */
#include "../prunability.h"

#include <stdlib.h>

#include "twin.h"
#include "zoo.h"

/* Learning rates */

static void check_rate(const prun_train_options *options, int64_t epoch, double want) {
    CHECK_CLOSE(prun_learning_rate(options, epoch), want, 0, 1e-12);
}

static void learning_rates(void) {
    static const double maddox[][2] = {{0, .01},         {100, .01},    {101, .00987625},
                                       {120, .007525},   {140, .00505}, {160, .002575},
                                       {179, 2.2375e-4}, {180, 1e-4},   {199, 1e-4}};
    prun_train_options options;
    size_t i;
    memset(&options, 0, sizeof(options));
    options.momentum = 0.9;
    check_rate(&options, 0, 0.01);
    check_rate(&options, 9, 0.01);
    options.learning_rate = 0.01;
    options.epochs = 200;
    options.schedule = PRUN_SCHEDULE_MADDOX;
    for (i = 0; i < sizeof(maddox) / sizeof(maddox[0]); i++) {
        check_rate(&options, (int64_t)maddox[i][0], maddox[i][1]);
    }
    options.epochs = 380;
    options.schedule = PRUN_SCHEDULE_STEP;
    check_rate(&options, 0, 1e-2);
    check_rate(&options, 99, 1e-2);
    check_rate(&options, 100, 1e-3);
    check_rate(&options, 299, 1e-4);
    check_rate(&options, 379, 1e-5);
    options.schedule_epochs = 3;
    options.schedule_factor = 0.5;
    check_rate(&options, 2, 0.01);
    check_rate(&options, 8, 0.0025);
}

static void training_defaults(void) {
    prun_train_options options, resolved;
    memset(&options, 0, sizeof(options));
    resolved = prun_train_resolved(&options);
    CHECK(resolved.epochs == 10 && resolved.batch == 128);
    CHECK(resolved.schedule_epochs == 100);
    CHECK_CLOSE(resolved.learning_rate, 0.01, 0, 1e-15);
    CHECK(resolved.momentum == 0);
    CHECK_CLOSE(resolved.schedule_factor, 0.1, 0, 1e-15);
    CHECK(resolved.weight_decay == 0 && resolved.decay == PRUN_DECAY_WEIGHTS);
    options.epochs = 3;
    options.batch = 7;
    options.learning_rate = 0.5;
    options.momentum = 0.25;
    resolved = prun_train_resolved(&options);
    CHECK(resolved.epochs == 3 && resolved.batch == 7);
    CHECK(resolved.learning_rate == 0.5 && resolved.momentum == 0.25);
}

/* SGD against a loop by hand */

/* A linear net and its velocity in double. */
typedef struct hand {
    double w[PARAMETERS], v[PARAMETERS];
} hand;

static void start_hand(hand *m, const prun_net *net) {
    float flat[PARAMETERS];
    int i;
    get_parameters(net, flat);
    for (i = 0; i < PARAMETERS; i++) m->w[i] = (double)flat[i], m->v[i] = 0;
}

/* One step on the mean loss over the first n images; returns the loss summed before it. */
static double hand_step(hand *m, const dataset *d, int64_t n, const prun_train_options *o,
                        double rate) {
    ref_tensor x = ref_from_floats(d->values, n, 1, 2, 2), y, dy;
    double gradient[PARAMETERS] = {0}, momentum = o->momentum, loss;
    int i;
    y = ref_linear(&x, m->w, m->w + IN * OUT, OUT);
    dy = ref_like(&y);
    loss = ref_cross_entropy(&y, d->labels, &dy);
    ref_linear_backward(&x, m->w, &dy, gradient);
    ref_channel_sums(&dy, gradient + IN * OUT);
    for (i = 0; i < PARAMETERS; i++) {
        int decays = o->decay == PRUN_DECAY_ALL || i < IN * OUT;
        double g = gradient[i] / (double)n + (decays ? o->weight_decay * m->w[i] : 0);
        m->v[i] = momentum * m->v[i] + g;
        m->w[i] -= rate * m->v[i];
    }
    return loss;
}

static void compare_hand(const hand *m, const prun_net *net) {
    float flat[PARAMETERS];
    get_parameters(net, flat);
    close_tensors(flat, m->w, PARAMETERS, 1e-6, "parameters after SGD");
}

static void check_sgd(prun_decay decay, double momentum, double weight_decay) {
    prun_net *net = linear_net(&test_context);
    prun_trainer *trainer = NULL;
    prun_train_options options;
    dataset d = make_set(7, 1, 2, 2, OUT);
    int64_t index[7] = {0, 1, 2, 3, 4, 5, 6};
    hand m;
    int step;
    memset(&options, 0, sizeof(options));
    options.decay = decay;
    options.momentum = momentum;
    options.weight_decay = weight_decay;
    options.learning_rate = 123; /* a step has its rate as an argument */
    start_hand(&m, net);
    m.w[PARAMETERS - 1] = 0.75; /* a bias large enough to reveal its decay */
    find_tensor(net, "fc.bias")->data[OUT - 1] = 0.75f;
    CHECK_STATUS(prun_trainer_create(net, &d.images, &options, &trainer), PRUN_OK);
    for (step = 0; step < 6; step++) {
        int64_t n = step % 2 ? 5 : 7, errors = -1;
        double rate = 0.3 / (1 + step), sum = NAN;
        double want = hand_step(&m, &d, n, &options, rate);
        CHECK_STATUS(prun_trainer_step(trainer, index, n, rate, &sum, &errors), PRUN_OK);
        CHECK_CLOSE(sum, want, 0, 1e-5);
        CHECK(errors >= 0 && errors <= n);
        compare_hand(&m, net);
    }
    prun_trainer_free(trainer);
    prun_net_free(net);
    free_set(&d);
    ref_free_all();
}

static void sgd_matches_a_loop_by_hand(void) {
    check_sgd(PRUN_DECAY_WEIGHTS, 0, 0);
    check_sgd(PRUN_DECAY_WEIGHTS, 0.9, 0);
    check_sgd(PRUN_DECAY_WEIGHTS, 0.9, 0.1);
    check_sgd(PRUN_DECAY_ALL, 0.9, 0.1);
    check_sgd(PRUN_DECAY_ALL, 0.5, 0.01);
    check_sgd(PRUN_DECAY_ALL, 0, 0.1);
}

/* Which tensors decay in a net with batch norm: one step without momentum moves every parameter by
   -rate (gradient / n + decay w). */
static void check_decay_scope(prun_decay decay) {
    twin t;
    dataset d;
    prun_train_options options;
    prun_trainer *trainer = NULL;
    prun_pass pass;
    const prun_tensor *tensors;
    float gradient[4096], before[4096], after[4096];
    double want[4096], sum;
    int64_t index[20], i, offset = 0, k, count;
    net_small_resnet(&t);
    d = set_for(&t, 20);
    memset(&pass, 0, sizeof(pass));
    pass.freeze_statistics = 1;
    memset(&options, 0, sizeof(options));
    options.weight_decay = 0.5;
    options.decay = decay;
    for (i = 0; i < 20; i++) index[i] = i;
    get_parameters(t.net, before);
    CHECK_STATUS(prun_net_train_pass(t.net, &d.images, NULL, 20, &pass,
                                     &(prun_pass_outputs){.gradient = gradient, .sum = &sum}),
                 PRUN_OK);
    tensors = prun_net_tensors(t.net, &count);
    for (k = 0; k < count; k++) {
        int64_t size = prun_tensor_size(&tensors[k]);
        int decays = decay == PRUN_DECAY_ALL || (tensors[k].flags & PRUN_TENSOR_WEIGHT) != 0;
        if (tensors[k].flags & PRUN_TENSOR_STATISTIC) continue;
        for (i = offset; i < offset + size; i++) {
            double g = (double)gradient[i] / 20 + (decays ? 0.5 * (double)before[i] : 0);
            want[i] = -0.1 * g;
        }
        offset += size;
    }
    CHECK_STATUS(prun_trainer_create(t.net, &d.images, &options, &trainer), PRUN_OK);
    CHECK_STATUS(prun_trainer_step(trainer, index, 20, 0.1, NULL, NULL), PRUN_OK);
    get_parameters(t.net, after);
    for (i = 0; i < offset; i++) after[i] -= before[i];
    close_tensors(after, want, offset, 1e-5, "step with weight decay");
    prun_trainer_free(trainer);
    prun_net_free(t.net);
    free_set(&d);
}

static void weight_decay_scope(void) {
    check_decay_scope(PRUN_DECAY_WEIGHTS);
    check_decay_scope(PRUN_DECAY_ALL);
}

/* Training */

/* With copies of one sample the order is irrelevant. This leaves the number of steps per epoch, the
   weight of a short last batch, and the learning rate of each epoch. */
static void last_partial_batch_is_kept(void) {
    prun_net *net = linear_net(&test_context);
    dataset d = make_set(10, 1, 2, 2, OUT);
    prun_train_options options;
    prun_epoch history[3];
    hand m;
    int64_t i, epoch;
    for (i = 0; i < 10; i++) {
        memcpy(d.values + IN * i, d.values, IN * sizeof(float));
        d.labels[i] = d.labels[0];
    }
    memset(&options, 0, sizeof(options));
    options.epochs = 3;
    options.batch = 4;
    options.learning_rate = 0.4;
    options.momentum = 0.9;
    options.schedule = PRUN_SCHEDULE_STEP;
    options.schedule_epochs = 1;
    options.schedule_factor = 0.5;
    start_hand(&m, net);
    CHECK_STATUS(prun_train(net, &d.images, &options, history), PRUN_OK);
    for (epoch = 0; epoch < 3; epoch++) {
        double rate = 0.4 * pow(0.5, (double)epoch);
        double loss = hand_step(&m, &d, 4, &options, rate);
        loss += hand_step(&m, &d, 4, &options, rate);
        loss += hand_step(&m, &d, 2, &options, rate);
        CHECK_CLOSE(history[epoch].loss, loss / 10, 0, 1e-5);
        CHECK_CLOSE(history[epoch].learning_rate, rate, 0, 1e-12);
        CHECK(history[epoch].epoch == epoch + 1 && history[epoch].epochs == 3);
        CHECK(isnan(history[epoch].evaluated_loss));
    }
    compare_hand(&m, net);
    prun_net_free(net);
    free_set(&d);
    ref_free_all();
}

/* With a learning rate too small to change anything, an epoch's loss is the mean over the set, so
   every sample was used once. */
static void epochs_visit_every_sample_once(void) {
    static const int64_t batches[] = {1, 3, 16, 19, 36, 37, 100};
    dataset d = make_set(37, 1, 2, 2, OUT);
    int i;
    test_context.threads = 1;
    for (i = 0; i < 7; i++) {
        prun_net *net = linear_net(&test_context);
        prun_train_options options;
        prun_epoch history[2];
        double sum = NAN;
        int64_t errors = -1;
        memset(&options, 0, sizeof(options));
        options.momentum = 0.9;
        options.epochs = 2;
        options.batch = batches[i];
        options.learning_rate = 1e-30;
        options.seed = (uint64_t)i;
        CHECK_STATUS(prun_net_loss(net, &d.images, NULL, 37, NULL, &sum, &errors), PRUN_OK);
        CHECK_STATUS(prun_train(net, &d.images, &options, history), PRUN_OK);
        CHECK_CLOSE(history[0].loss, sum / 37, 0, 1e-6);
        CHECK_CLOSE(history[1].loss, sum / 37, 0, 1e-6);
        CHECK_CLOSE(history[0].error_rate, (double)errors / 37, 0, 1e-12);
        prun_net_free(net);
    }
    free_set(&d);
}

/* The left or right half is brighter, with noise: learnable in a few epochs. */
static dataset learnable_set(int64_t n) {
    dataset d = make_set(n, 1, 8, 8, 2);
    int64_t i;
    for (i = 0; i < n * 64; i++) {
        int left = i % 8 < 4;
        d.values[i] += left == (d.labels[i / 64] == 0) ? 0.5f : -0.5f;
    }
    return d;
}

static prun_net *small_net(prun_context *context) {
    prun_net *net = NULL;
    int32_t v;
    CHECK_STATUS_IN(context, prun_net_create(context, 1, 8, 8, &net), PRUN_OK);
    v = prun_layer_conv2d(net, PRUN_INPUT, "conv", 4, 3, 1, 1);
    v = prun_layer_relu(net, prun_layer_batch_norm(net, v, "norm", 0, 0));
    v = prun_layer_avg_pool(net, v, 4, 0, 0);
    v = prun_layer_linear(net, v, "fc", 2, 1);
    CHECK_STATUS_IN(context, prun_net_finish(net, v, 2), PRUN_OK);
    return net;
}

static prun_train_options small_options(void) {
    prun_train_options options;
    memset(&options, 0, sizeof(options));
    options.momentum = 0.9;
    options.epochs = 12;
    options.batch = 16;
    options.learning_rate = 0.05;
    options.seed = 3;
    return options;
}

static void training_learns(void) {
    prun_net *net = small_net(&test_context);
    dataset d = learnable_set(90);
    prun_train_options options = small_options();
    prun_epoch history[12];
    double sum = NAN;
    int64_t errors = -1;
    options.evaluate = 1;
    CHECK_STATUS(prun_train(net, &d.images, &options, history), PRUN_OK);
    CHECK(history[0].loss > 0.3 && history[11].loss < 0.2 * history[0].loss);
    CHECK(history[11].error_rate < 0.05);
    CHECK_STATUS(prun_net_loss(net, &d.images, NULL, 90, NULL, &sum, &errors), PRUN_OK);
    CHECK_CLOSE(history[11].evaluated_loss, sum / 90, 0, 1e-12);
    CHECK(errors <= 3);
    prun_net_free(net);
    free_set(&d);
}

static run_record small_run(uint64_t seed, int by_epoch) {
    prun_net *net = small_net(&test_context);
    dataset d = learnable_set(50);
    prun_train_options options = small_options();
    prun_trainer *trainer = NULL;
    run_record r = {NULL, 0};
    int64_t epoch, i;
    for (i = 0; i < 50 * 64; i++) d.values[i] = (float)(i * 37 % 101) * 0.01f;
    for (i = 0; i < 50; i++) d.labels[i] = (int32_t)(i % 2);
    options.seed = seed;
    if (by_epoch) {
        CHECK_STATUS(prun_trainer_create(net, &d.images, &options, &trainer), PRUN_OK);
        for (epoch = 0; epoch < options.epochs; epoch++) {
            prun_epoch e;
            CHECK_STATUS(prun_trainer_run_epoch(trainer, &e), PRUN_OK);
            CHECK(e.epoch == epoch + 1 && e.epochs == options.epochs);
        }
        prun_trainer_free(trainer);
    } else {
        CHECK_STATUS(prun_train(net, &d.images, &options, NULL), PRUN_OK);
    }
    record_tensors(&r, net);
    prun_net_free(net);
    free_set(&d);
    return r;
}

static void seed_decides_training(void) {
    run_record a = small_run(3, 0), b = small_run(3, 1), c = small_run(4, 0);
    CHECK(a.size == b.size && memcmp(a.bytes, b.bytes, a.size) == 0);
    CHECK(a.size == c.size && memcmp(a.bytes, c.bytes, a.size) != 0);
    free(a.bytes);
    free(b.bytes);
    free(c.bytes);
}

/* Stops after the third epoch. */
static int stop_at_three(void *user, const prun_epoch *epoch) {
    *(int64_t *)user += 1;
    return epoch->epoch >= 3;
}

static void training_can_be_cancelled(void) {
    prun_net *net = small_net(&test_context), *other = small_net(&test_context);
    dataset d = learnable_set(40);
    prun_train_options options = small_options();
    run_record a = {NULL, 0}, b = {NULL, 0};
    int64_t calls = 0;
    options.on_epoch = stop_at_three;
    options.user = &calls;
    CHECK_STATUS(prun_train(net, &d.images, &options, NULL), PRUN_ERR_CANCELLED);
    CHECK(calls == 3);
    options.epochs = 3; /* the net keeps the state that three epochs give */
    options.on_epoch = NULL;
    CHECK_STATUS(prun_train(other, &d.images, &options, NULL), PRUN_OK);
    record_tensors(&a, net);
    record_tensors(&b, other);
    CHECK(a.size == b.size && memcmp(a.bytes, b.bytes, a.size) == 0);
    free(a.bytes);
    free(b.bytes);
    prun_net_free(net);
    prun_net_free(other);
    free_set(&d);
}

static void divergence_is_reported(void) {
    prun_net *net = linear_net(&test_context);
    dataset d = make_set(40, 1, 2, 2, OUT);
    prun_train_options options = small_options();
    int64_t i;
    for (i = 0; i < 40 * IN; i++) d.values[i] *= 1000;
    options.learning_rate = 1e37;
    CHECK_STATUS(prun_train(net, &d.images, &options, NULL), PRUN_ERR_NONFINITE);
    CHECK(test_context.status == PRUN_ERR_NONFINITE);
    if (!CHECK(strstr(prun_message(&test_context), "epoch") != NULL)) {
        printf("  message \"%s\"\n", prun_message(&test_context));
    }
    prun_net_free(net);
    free_set(&d);
    /* the same through batch norm, ReLU and pool */
    net = small_net(&test_context);
    d = learnable_set(40);
    options.learning_rate = 1e30;
    CHECK_STATUS(prun_train(net, &d.images, &options, NULL), PRUN_ERR_NONFINITE);
    prun_net_free(net);
    free_set(&d);
}

/* ---- gradient noise -------------------------------------------------------------------------- */

/* Training on one image works; its gradient noise is NaN, which is not a failure. */
static void training_on_one_image_has_no_noise(void) {
    dataset p = pictures(1, 2, 9, 8, 3);
    prun_net *net = zoo(1);
    prun_train_options options;
    prun_epoch history[2];
    memset(&options, 0, sizeof options);
    options.momentum = 0.9;
    options.epochs = 2;
    options.noise_pairs = 2;
    CHECK_STATUS(prun_train(net, &p.images, &options, history), PRUN_OK);
    CHECK(isnan(history[0].gradient_noise) && isnan(history[1].gradient_noise));
    prun_net_free(net);
    free_set(&p);
}

/* The recorded noise equals what prun_gradient_noise gives afterwards. */
static void training_records_noise_and_steps(void) {
    dataset p = pictures(50, 2, 9, 8, 3);
    prun_net *net = zoo(1);
    prun_objective o;
    prun_train_options options;
    prun_epoch history[3];
    double variance;
    memset(&options, 0, sizeof options);
    options.momentum = 0.9;
    options.epochs = 3;
    options.batch = 20;
    options.noise_pairs = 4;
    options.seed = 6;
    CHECK_STATUS(prun_train(net, &p.images, &options, history), PRUN_OK);
    CHECK(history[0].steps == 3 && history[1].steps == 6 && history[2].steps == 9);
    CHECK(history[0].gradient_noise > 0 && isnan(history[1].gradient_noise));
    CHECK_STATUS(prun_net_objective(net, &p.images, &o), PRUN_OK);
    CHECK_STATUS(prun_gradient_noise(&o, 20, 4, 6, &variance, NULL), PRUN_OK);
    CHECK(history[2].gradient_noise == variance);
    prun_net_free(net);
    free_set(&p);
}

static const test_case cases[] = {
    TEST_CASE(learning_rates),
    TEST_CASE(training_defaults),
    TEST_CASE(sgd_matches_a_loop_by_hand),
    TEST_CASE(weight_decay_scope),
    TEST_CASE(last_partial_batch_is_kept),
    TEST_CASE(epochs_visit_every_sample_once),
    TEST_CASE(training_learns),
    TEST_CASE(seed_decides_training),
    TEST_CASE(training_can_be_cancelled),
    TEST_CASE(divergence_is_reported),
    TEST_CASE(training_on_one_image_has_no_noise),
    TEST_CASE(training_records_noise_and_steps),
};

int main(int argc, char **argv) { return TEST_MAIN("test_train", cases, argc, argv); }
