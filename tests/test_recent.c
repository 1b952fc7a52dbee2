/* test_recent.c - sections PLACES, BALL, FEATURES, RECENT: representations, sharpness at a fixed
   radius, reset modules, and the measures based on them, against published test vectors, closed
   forms and brute force. tests/peers/recent.py compares the measures with PyTorch. */
#include "../prunability.h"

#include <stdlib.h>

#include "test.h"

/* ---- functions of arrays ---- */

static void normalized_logits_are_the_published_ones(void) {
    static const float logits[3] = {2.0f, 0.0f, -1.0f};
    static const double want[3] = {0.7715167498105, -0.1543033499621, -0.6172133998484};
    static const float equal[3] = {1.5f, 1.5f, 1.5f};
    double u[3];
    int i;
    prun_normalize_logits(logits, 3, u);
    for (i = 0; i < 3; i++) CHECK_CLOSE(u[i], want[i], 0.0, 1e-11);
    prun_normalize_logits(equal, 3, u);
    for (i = 0; i < 3; i++) CHECK(u[i] == 0.0);
}

static const float cluster_rows[9][2] = {{0, 0}, {1, 0},  {0, 2},  {5, 5},    {6, 5},
                                         {5, 8}, {-3, 4}, {-4, 4}, {-3, 5.5f}};
static const int32_t cluster_labels[9] = {0, 0, 0, 1, 1, 1, 2, 2, 2};

static void davies_bouldin_is_the_published_one(void) {
    double index = NAN;
    CHECK_STATUS(
        prun_davies_bouldin(&test_context, cluster_rows[0], cluster_labels, 9, 2, 3, &index),
        PRUN_OK);
    CHECK_CLOSE(index, 0.3441897871144, 0.0, 1e-11);
    /* a class without rows does not count */
    CHECK_STATUS(
        prun_davies_bouldin(&test_context, cluster_rows[0], cluster_labels, 9, 2, 7, &index),
        PRUN_OK);
    CHECK_CLOSE(index, 0.3441897871144, 0.0, 1e-11);
}

static void davies_bouldin_of_degenerate_clusters(void) {
    static const float same[4][1] = {{1}, {1}, {1}, {1}};
    static const float points[4][1] = {{0}, {0}, {3}, {3}};
    /* classes 0 and 1 share a centroid; 2 lies at a distance of 4 from it */
    static const float shared[6][1] = {{-1}, {1}, {-2}, {2}, {4}, {4}};
    static const int32_t two[4] = {0, 0, 1, 1}, three[6] = {0, 0, 1, 1, 2, 2},
                         one[4] = {1, 1, 1, 1};
    static const float bad[4][1] = {{0}, {0}, {NAN}, {3}};
    double index = -7.0;
    CHECK_STATUS(prun_davies_bouldin(&test_context, same[0], two, 4, 1, 2, &index), PRUN_OK);
    CHECK(index == 0.0);
    CHECK_STATUS(prun_davies_bouldin(&test_context, points[0], two, 4, 1, 2, &index), PRUN_OK);
    CHECK(index == 0.0);
    CHECK_STATUS(prun_davies_bouldin(&test_context, shared[0], three, 6, 1, 3, &index), PRUN_OK);
    CHECK_CLOSE(index, (0.25 + 0.5 + 0.5) / 3.0, 0.0, 1e-14);
    index = -7.0;
    CHECK_STATUS(prun_davies_bouldin(&test_context, points[0], one, 4, 1, 2, &index),
                 PRUN_ERR_MISSING);
    CHECK_STATUS(prun_davies_bouldin(&test_context, points[0], one, 4, 1, 1, &index),
                 PRUN_ERR_LABEL);
    CHECK_STATUS(prun_davies_bouldin(&test_context, bad[0], two, 4, 1, 2, &index),
                 PRUN_ERR_NONFINITE);
    CHECK(strstr(prun_message(&test_context), "row 2") != NULL);
    CHECK_STATUS(prun_davies_bouldin(&test_context, points[0], two, 0, 1, 2, &index),
                 PRUN_ERR_ARGUMENT);
    CHECK(index == -7.0);
}

static prun_tensor matrix(float *data, int64_t rows, int64_t columns) {
    prun_tensor t;
    memset(&t, 0, sizeof t);
    t.data = data;
    t.name = "weight";
    t.shape[0] = rows;
    t.shape[1] = columns;
    t.rank = 2;
    t.flags = PRUN_TENSOR_WEIGHT;
    return t;
}

/* The logits are floats, so the published values are only met to 1e-7. */
static void relative_flatness_is_the_published_one(void) {
    static const float rows[4][2] = {{1, 0.5f}, {0, 2}, {1.5f, 1}, {0.5f, 0}};
    static float w[3][2] = {{1, -1}, {0.5f, 0.5f}, {-1, 0.25f}};
    static const float b[3] = {0.1f, -0.2f, 0.3f};
    float with_bias[3][3], rows_with_one[4][3], logits[4][3];
    prun_tensor weight = matrix(w[0], 3, 2), wider;
    double value = NAN;
    int i, j;
    for (i = 0; i < 4; i++)
        for (j = 0; j < 3; j++)
            logits[i][j] = (float)((double)rows[i][0] * (double)w[j][0] +
                                   (double)rows[i][1] * (double)w[j][1] + (double)b[j]);
    CHECK_STATUS(prun_relative_flatness(&test_context, rows[0], logits[0], 4, &weight, 0, &value),
                 PRUN_OK);
    CHECK_CLOSE(value, 1.646218876690, 0.0, 1e-7);
    CHECK_STATUS(prun_relative_flatness(&test_context, rows[0], logits[0], 4, &weight, 1, &value),
                 PRUN_OK);
    CHECK_CLOSE(value, 1.684904187158, 0.0, 1e-7);
    for (i = 0; i < 3; i++) {
        with_bias[i][0] = w[i][0];
        with_bias[i][1] = w[i][1];
        with_bias[i][2] = b[i];
    }
    for (i = 0; i < 4; i++) {
        rows_with_one[i][0] = rows[i][0];
        rows_with_one[i][1] = rows[i][1];
        rows_with_one[i][2] = 1.0f;
    }
    wider = matrix(with_bias[0], 3, 3);
    CHECK_STATUS(
        prun_relative_flatness(&test_context, rows_with_one[0], logits[0], 4, &wider, 0, &value),
        PRUN_OK);
    CHECK_CLOSE(value, 2.650096619375, 0.0, 1e-7);
    /* a constant feature does not count when features are scaled */
    CHECK_STATUS(
        prun_relative_flatness(&test_context, rows_with_one[0], logits[0], 4, &wider, 1, &value),
        PRUN_OK);
    CHECK_CLOSE(value, 1.684904187158, 0.0, 1e-7);
}

static void disagreement_counts_predictions(void) {
    static const float a[3][2] = {{1, 0}, {0, 1}, {2, 2}}, b[3][2] = {{3, 1}, {1, 0}, {2, 3}};
    CHECK_CLOSE(prun_disagreement(a[0], b[0], 3, 2), 2.0 / 3.0, 0.0, 1e-15);
    CHECK(prun_disagreement(a[0], a[0], 3, 2) == 0.0);
    CHECK(isnan(prun_disagreement(a[0], b[0], 0, 2)));
}

/* ---- an objective whose loss is linear, or quadratic, in six parameters ---- */

enum { PARAMETERS = 6, SAMPLES = 12 };

typedef struct bowl {
    float w[PARAMETERS], w0[PARAMETERS];
    double slope[PARAMETERS], curvature;
    int calls, fails_at; /* calls of gradient and loss; the one that fails */
} bowl;

static const prun_tensor *bowl_tensors(bowl *b, float *data) {
    static prun_tensor t[2][3];
    prun_tensor *mine = t[data == b->w0];
    mine[0] = matrix(data, 2, 2);
    mine[1] = matrix(data + 4, 1, 1);
    mine[1].flags = PRUN_TENSOR_BIAS;
    mine[2] = matrix(data + 5, 1, 1);
    return mine;
}

static double bowl_value(const bowl *b) {
    double sum = 3.0;
    int i;
    for (i = 0; i < PARAMETERS; i++)
        sum +=
            b->slope[i] * (double)b->w[i] + 0.5 * b->curvature * (double)b->w[i] * (double)b->w[i];
    return sum;
}

static prun_status bowl_loss(const prun_objective *o, const int64_t *index, int64_t n,
                             double *losses, double *sum, int64_t *wrong) {
    bowl *b = (bowl *)o->user;
    const double value = bowl_value(b);
    int64_t i;
    (void)index;
    if (++b->calls == b->fails_at) return PRUN_ERR_ARGUMENT;
    for (i = 0; losses && i < n; i++) losses[i] = value;
    if (sum) *sum = (double)n * value;
    /* wrong answers: one for every third of the first weight's distance from its trained value */
    if (wrong) {
        *wrong = (int64_t)(3.0 * fabs((double)b->w[0] - 1.0));
        if (*wrong > n) *wrong = n;
    }
    return PRUN_OK;
}

static prun_status bowl_gradient(const prun_objective *o, const int64_t *index, int64_t n,
                                 float *gradient, double *sum) {
    bowl *b = (bowl *)o->user;
    int i;
    (void)index;
    if (++b->calls == b->fails_at) return PRUN_ERR_ARGUMENT;
    for (i = 0; i < PARAMETERS; i++)
        gradient[i] = (float)((double)n * (b->slope[i] + b->curvature * (double)b->w[i]));
    if (sum) *sum = (double)n * bowl_value(b);
    return PRUN_OK;
}

static prun_objective bowl_make(bowl *b) {
    static const float w[PARAMETERS] = {1.0f, -2.0f, 0.5f, 0.0f, 3.0f, -0.25f};
    static const double slope[PARAMETERS] = {0.5, 1.0, -2.0, 4.0, 0.25, -1.0};
    prun_objective o;
    int i;
    memset(b, 0, sizeof *b);
    for (i = 0; i < PARAMETERS; i++) {
        b->w[i] = w[i];
        b->w0[i] = w[i] + 0.125f * (float)(i + 1);
        b->slope[i] = slope[i];
    }
    memset(&o, 0, sizeof o);
    o.user = b;
    o.context = &test_context;
    o.tensors = bowl_tensors(b, b->w);
    o.initial = bowl_tensors(b, b->w0);
    o.tensor_count = 3;
    o.samples = SAMPLES;
    o.classes = 2;
    o.loss = bowl_loss;
    o.gradient = bowl_gradient;
    return o;
}

/* ---- sharpness at a fixed radius ---- */

/* A linear loss is largest on the boundary of the ball. The ascent averages over earlier points, so
   it comes within 4^-10 of the maximum. */
static void ball_of_a_linear_loss(void) {
    bowl b;
    prun_objective o = bowl_make(&b);
    prun_ball_options options;
    prun_ball_result r;
    double norm = 0.0, sum = 0.0, scaled = 0.0;
    int i;
    for (i = 0; i < PARAMETERS; i++) {
        norm += b.slope[i] * b.slope[i];
        sum += fabs(b.slope[i]);
        scaled += fabs(b.slope[i] * (double)b.w[i]);
    }
    memset(&options, 0, sizeof options);
    options.radius = 0.25;
    options.group = 5;
    CHECK_STATUS(prun_ball_sharpness(&o, &options, &r), PRUN_OK);
    CHECK_CLOSE(r.rise, 0.25 * sqrt(norm), 0.0, 1e-5);
    CHECK(r.groups == 3);
    CHECK_CLOSE(r.standard_error, 0.0, 1e-6, 0.0);
    CHECK_CLOSE(r.loss, bowl_value(&b), 0.0, 1e-12);
    options.shape = PRUN_BALL_BOX;
    CHECK_STATUS(prun_ball_sharpness(&o, &options, &r), PRUN_OK);
    CHECK_CLOSE(r.rise, 0.25 * sum, 0.0, 1e-5);
    options.adaptive = 1;
    CHECK_STATUS(prun_ball_sharpness(&o, &options, &r), PRUN_OK);
    CHECK_CLOSE(r.rise, 0.25 * scaled, 0.0, 1e-5);
    options.group = 100;
    CHECK_STATUS(prun_ball_sharpness(&o, &options, &r), PRUN_OK);
    CHECK(r.groups == 1 && isnan(r.standard_error));
}

/* In the ellipsoid, the steps are c g and the projection is Euclidean. The fixed point has d
   proportional to c^3 g and lies on the boundary. */
static void adaptive_ball_of_a_linear_loss(void) {
    bowl b;
    prun_objective o = bowl_make(&b);
    prun_ball_options options;
    prun_ball_result r;
    double norm = 0.0, along = 0.0;
    int i;
    for (i = 0; i < PARAMETERS; i++) {
        const double c = fabs((double)b.w[i]), g = b.slope[i];
        norm += c * c * g * c * c * g;
        along += c * c * c * g * g;
    }
    memset(&options, 0, sizeof options);
    options.radius = 0.25;
    options.adaptive = 1;
    options.steps = 400;
    CHECK_STATUS(prun_ball_sharpness(&o, &options, &r), PRUN_OK);
    CHECK(r.rise >= 0.25 * along / sqrt(norm) * (1.0 - 1e-3));
    /* no point of the ellipsoid is higher than radius |c g| */
    for (i = 0, norm = 0.0; i < PARAMETERS; i++) {
        const double cg = (double)b.w[i] * b.slope[i];
        norm += cg * cg;
    }
    CHECK(r.rise <= 0.25 * sqrt(norm) * (1.0 + 1e-6));
}

/* E L(w + radius x) - L(w) = radius^2 curvature / 2 x sum of E x^2. */
static void average_in_a_ball_of_a_quadratic_loss(void) {
    static const double variance[2] = {1.0, 1.0 / 3.0};
    bowl b;
    prun_objective o = bowl_make(&b);
    prun_ball_options options;
    prun_ball_result r;
    int shape, adaptive, i;
    b.curvature = 2.0;
    for (i = 0; i < PARAMETERS; i++) b.slope[i] = 0.0;
    memset(&options, 0, sizeof options);
    options.radius = 0.5;
    options.average = 1;
    options.draws = 4000;
    options.group = 6;
    for (shape = 0; shape < 2; shape++)
        for (adaptive = 0; adaptive < 2; adaptive++) {
            double sum = 0.0;
            for (i = 0; i < PARAMETERS; i++)
                sum += adaptive ? (double)b.w[i] * (double)b.w[i] : 1.0;
            options.shape = (prun_ball_shape)shape;
            options.adaptive = adaptive;
            CHECK_STATUS(prun_ball_sharpness(&o, &options, &r), PRUN_OK);
            CHECK_CLOSE(r.rise, 0.25 * sum * variance[shape], 0.0, 0.08);
            CHECK(r.groups == 2 && r.standard_error >= 0.0);
        }
}

/* Whatever call fails, the parameters are restored to the last bit and no result is written. */
static void ball_restores_after_failures(void) {
    bowl b;
    prun_objective o = bowl_make(&b);
    float before[PARAMETERS];
    int average, k, failed = 1;
    memcpy(before, b.w, sizeof before);
    for (average = 0; average < 2; average++)
        for (k = 1, failed = 1; failed; k++) {
            prun_ball_options options;
            prun_ball_result r;
            prun_status status;
            memset(&options, 0, sizeof options);
            memset(&r, 77, sizeof r);
            options.radius = 0.1;
            options.average = average;
            options.steps = 6;
            options.draws = 3;
            options.group = 6;
            b.calls = 0;
            b.fails_at = k;
            status = prun_ball_sharpness(&o, &options, &r);
            failed = status != PRUN_OK;
            if (failed) {
                CHECK(status == PRUN_ERR_ARGUMENT);
                CHECK(r.groups == INT64_C(0x4d4d4d4d4d4d4d4d));
            }
            CHECK(memcmp(before, b.w, sizeof before) == 0);
            if (!CHECK(k < 100)) return;
        }
}

static int stop_at_once(void *user, int64_t done, int64_t total) {
    (void)user;
    (void)done;
    (void)total;
    return 1;
}

static void ball_refuses_what_it_cannot_do(void) {
    bowl b;
    prun_objective o = bowl_make(&b);
    prun_ball_options options;
    prun_ball_result r;
    memset(&options, 0, sizeof options);
    CHECK_STATUS(prun_ball_sharpness(&o, NULL, &r), PRUN_ERR_ARGUMENT); /* no radius */
    options.radius = 1.0;
    options.shape = (prun_ball_shape)7;
    CHECK_STATUS(prun_ball_sharpness(&o, &options, &r), PRUN_ERR_ARGUMENT);
    options.shape = PRUN_BALL_BOX;
    options.steps = -1;
    CHECK_STATUS(prun_ball_sharpness(&o, &options, &r), PRUN_ERR_ARGUMENT);
    options.steps = 0;
    options.normalize = 1;
    CHECK_STATUS(prun_ball_sharpness(&o, &options, &r), PRUN_ERR_UNSUPPORTED);
    options.normalize = 0;
    o.gradient = NULL;
    CHECK_STATUS(prun_ball_sharpness(&o, &options, &r), PRUN_ERR_UNSUPPORTED);
    CHECK(strstr(prun_message(&test_context), "gradient") != NULL);
    options.average = 1;
    options.progress = stop_at_once;
    CHECK_STATUS(prun_ball_sharpness(&o, &options, &r), PRUN_ERR_CANCELLED);
    b.w[2] = NAN;
    CHECK_STATUS(prun_ball_sharpness(&o, &options, &r), PRUN_ERR_NONFINITE);
    CHECK(strstr(prun_message(&test_context), "weight[2]") != NULL);
}

/* ---- modules ---- */

/* Two modules: the first has four weights and a bias, the second one weight. The error rate depends
   only on the first weight. */
static void reinitialization_puts_modules_back(void) {
    bowl b;
    prun_objective o = bowl_make(&b);
    double errors[2] = {-1.0, -1.0};
    float before[PARAMETERS];
    b.w0[0] = 3.0f; /* six wrong of twelve */
    memcpy(before, b.w, sizeof before);
    CHECK(prun_module_count(&o) == 2);
    CHECK_STATUS(prun_reinitialization_errors(&o, errors), PRUN_OK);
    CHECK_CLOSE(errors[0], 0.5, 0.0, 0.0);
    CHECK_CLOSE(errors[1], 0.0, 0.0, 0.0);
    CHECK(memcmp(before, b.w, sizeof before) == 0);
    o.initial = NULL;
    CHECK_STATUS(prun_reinitialization_errors(&o, errors), PRUN_ERR_MISSING);
    o = bowl_make(&b);
    o.loss = NULL;
    CHECK_STATUS(prun_reinitialization_errors(&o, errors), PRUN_ERR_UNSUPPORTED);
}

/* The mean error rate that the search computes, in a plain loop. */
static int feasible(bowl *b, double alpha, double sigma, double rise, int64_t draws,
                    uint64_t seed) {
    const double w0 = (double)b->w0[0], w = 1.0;
    double total = 0.0;
    int64_t k;
    for (k = 0; k < draws; k++) {
        const uint64_t stream = (UINT64_C(1) << 60) + (UINT64_C(1) << 51) + (uint64_t)k;
        const float moved =
            (float)(w0 + alpha * (w - w0) + sigma * prun_random_normal(seed, stream, 0));
        int64_t wrong = (int64_t)(3.0 * fabs((double)moved - 1.0));
        total += (double)(wrong > SAMPLES ? SAMPLES : wrong);
    }
    return total <= (rise * SAMPLES + 1e-9) * (double)draws;
}

static void criticality_is_that_of_all_pairs(void) {
    bowl b;
    prun_objective o = bowl_make(&b);
    prun_criticality_options options;
    double values[2] = {-1.0, -1.0}, best = HUGE_VAL, distance = 0.0;
    float before[PARAMETERS];
    int i, j;
    b.w0[0] = 2.5f;
    memcpy(before, b.w, sizeof before);
    memset(&options, 0, sizeof options);
    options.seed = 5;
    CHECK_STATUS(prun_criticality(&o, &options, values), PRUN_OK);
    CHECK(memcmp(before, b.w, sizeof before) == 0);
    for (i = 1; i <= 10; i++)
        for (j = 40; j >= 0 && feasible(&b, i / 10.0, pow(2.0, -j / 4.0), 0.1, 10, 5); j--)
            best = fmin(best, i / 10.0 / pow(2.0, -j / 4.0));
    for (i = 0; i < 5; i++)
        distance += ((double)b.w[i] - (double)b.w0[i]) * ((double)b.w[i] - (double)b.w0[i]);
    CHECK_CLOSE(values[0], best * best * distance, 0.0, 1e-12);
    /* the second module changes no answer: alpha 0.1 and sigma 1 */
    CHECK_CLOSE(values[1], 0.01 * 0.75 * 0.75, 0.0, 1e-12);
    options.progress = stop_at_once;
    CHECK_STATUS(prun_criticality(&o, &options, values), PRUN_ERR_CANCELLED);
    options.rise = 2.0;
    CHECK_STATUS(prun_criticality(&o, &options, values), PRUN_ERR_ARGUMENT);
    CHECK(memcmp(before, b.w, sizeof before) == 0);
}

/* A module with its initial values has criticality 0. */
static void criticality_of_an_unchanged_module(void) {
    bowl b;
    prun_objective o = bowl_make(&b);
    double values[2];
    memcpy(b.w0, b.w, sizeof b.w0);
    CHECK_STATUS(prun_criticality(&o, NULL, values), PRUN_OK);
    CHECK(values[0] == 0.0 && values[1] == 0.0);
}

/* ---- networks ---- */

enum { IMAGES = 30, SIZE = 16, CLASSES = 3 };

typedef struct setup {
    float pixels[IMAGES * 2 * SIZE * SIZE];
    int32_t labels[IMAGES];
    prun_images images;
    prun_net *net;
    prun_objective objective;
} setup;

/* conv - norm - ReLU - pool - conv - ReLU - mean - linear, with noise for images. */
static int setup_make(setup *s) {
    int64_t i;
    int32_t v = PRUN_INPUT;
    memset(s, 0, sizeof *s);
    for (i = 0; i < IMAGES * 2 * SIZE * SIZE; i++)
        s->pixels[i] = (float)prun_random_normal(3, 1, (uint64_t)i);
    for (i = 0; i < IMAGES; i++) s->labels[i] = (int32_t)(i * 7 % CLASSES);
    s->images.count = IMAGES;
    s->images.channels = 2;
    s->images.height = s->images.width = SIZE;
    s->images.classes = CLASSES;
    s->images.values = s->pixels;
    s->images.labels = s->labels;
    if (!CHECK_STATUS(prun_net_create(&test_context, 2, SIZE, SIZE, &s->net), PRUN_OK)) return 0;
    v = prun_layer_conv2d(s->net, v, "conv0", 4, 3, 1, 1);
    v = prun_layer_batch_norm(s->net, v, "bn0", 0, 0);
    v = prun_layer_relu(s->net, v);
    v = prun_layer_max_pool(s->net, v, 2, 0, 0);
    v = prun_layer_conv2d(s->net, v, "conv1", 5, 3, 1, 1);
    v = prun_layer_relu(s->net, v);
    v = prun_layer_global_avg_pool(s->net, v);
    v = prun_layer_linear(s->net, v, "fc", CLASSES, 1);
    return CHECK_STATUS(prun_net_finish(s->net, v, 11), PRUN_OK) &&
           CHECK_STATUS(prun_net_objective(s->net, &s->images, &s->objective), PRUN_OK);
}

static const prun_tensor *named(const prun_net *net, const char *name) {
    int64_t count, i;
    const prun_tensor *t = prun_net_tensors(net, &count);
    for (i = 0; i < count; i++)
        if (strcmp(t[i].name, name) == 0) return &t[i];
    abort();
}

/* The convolution of one image with padding 1, from its definition. */
static double convolved(const float *x, const prun_tensor *weight, double bias, int64_t out,
                        int64_t row, int64_t column) {
    double sum = bias;
    int64_t c, i, j;
    for (c = 0; c < weight->shape[1]; c++)
        for (i = 0; i < 3; i++)
            for (j = 0; j < 3; j++) {
                const int64_t r = row + i - 1, k = column + j - 1;
                if (r < 0 || r >= SIZE || k < 0 || k >= SIZE) continue;
                sum += (double)weight->data[((out * weight->shape[1] + c) * 3 + i) * 3 + j] *
                       (double)x[(c * SIZE + r) * SIZE + k];
            }
    return sum;
}

static void early_representation_is_the_pooled_convolution(void) {
    static setup s;
    static float rows[IMAGES * 4 * 16];
    const prun_tensor *weight, *bias;
    int64_t order[IMAGES], n, c, r, k, i, j;
    double worst = 0.0;
    if (!setup_make(&s)) return;
    weight = named(s.net, "conv0.weight");
    bias = named(s.net, "conv0.bias");
    CHECK(s.objective.features[PRUN_PLACE_EARLY] == 4 * 4 * 4);
    for (i = 0; i < IMAGES; i++) order[i] = IMAGES - 1 - i;
    CHECK_STATUS(s.objective.representation(&s.objective, PRUN_PLACE_EARLY, order, IMAGES, rows),
                 PRUN_OK);
    for (n = 0; n < IMAGES; n++)
        for (c = 0; c < 4; c++)
            for (r = 0; r < 4; r++)
                for (k = 0; k < 4; k++) {
                    const float *x = s.pixels + order[n] * 2 * SIZE * SIZE;
                    double most = -HUGE_VAL;
                    for (i = 4 * r; i < 4 * r + 4; i++)
                        for (j = 4 * k; j < 4 * k + 4; j++)
                            most = fmax(most, convolved(x, weight, (double)bias->data[c], c, i, j));
                    worst = fmax(worst, fabs(most - (double)rows[((n * 4 + c) * 4 + r) * 4 + k]));
                }
    CHECK(worst < 1e-5);
    prun_net_free(s.net);
}

/* weight x + bias gives the logits; here the late representation is before the mean over
   positions. */
static void last_representation_gives_the_logits(void) {
    static setup s;
    float rows[IMAGES * 5], late[IMAGES * 5], logits[IMAGES * CLASSES];
    const prun_tensor *weight, *bias;
    int64_t i, j, k;
    if (!setup_make(&s)) return;
    weight = named(s.net, "fc.weight");
    bias = named(s.net, "fc.bias");
    CHECK(s.objective.features[PRUN_PLACE_LAST] == 5);
    CHECK_STATUS(s.objective.representation(&s.objective, PRUN_PLACE_LAST, NULL, IMAGES, rows),
                 PRUN_OK);
    CHECK_STATUS(prun_net_logits(s.net, &s.images, NULL, IMAGES, logits), PRUN_OK);
    for (i = 0; i < IMAGES; i++)
        for (j = 0; j < CLASSES; j++) {
            double sum = (double)bias->data[j];
            for (k = 0; k < 5; k++)
                sum += (double)weight->data[j * 5 + k] * (double)rows[i * 5 + k];
            CHECK_CLOSE(logits[i * CLASSES + j], sum, 1e-5, 1e-5);
        }
    /* layers from the third last on: ReLU, then backwards conv1 */
    CHECK(s.objective.features[PRUN_PLACE_LATE] == 5 * 2 * 2);
    (void)late;
    prun_net_free(s.net);
}

static void places_of_the_families(void) {
    static const int64_t want[3][PRUN_PLACES] = {
        {3 * 8 * 8, 24, 24}, {3 * 4 * 4, 10, 3 * 4 * 4}, {3 * 8 * 8, 24, 24}};
    static float pixels[32 * 32];
    static const int32_t label[1] = {0};
    int family, place;
    for (family = 0; family < 3; family++) {
        prun_arch arch;
        prun_net *net;
        prun_images images;
        prun_objective o;
        memset(&arch, 0, sizeof arch);
        memset(&images, 0, sizeof images);
        arch.family = (prun_family)family;
        arch.width = 3;
        arch.image_channels = 1;
        images.count = images.channels = 1;
        images.height = images.width = 32;
        images.classes = 10;
        images.values = pixels;
        images.labels = label;
        if (!CHECK_STATUS(prun_net_create_family(&test_context, &arch, &net), PRUN_OK)) return;
        CHECK_STATUS(prun_net_objective(net, &images, &o), PRUN_OK);
        for (place = 0; place < PRUN_PLACES; place++)
            CHECK_CLOSE(o.features[place], want[family][place], 0.0, 0.0);
        prun_net_free(net);
    }
}

/* A perceptron has no convolution, and its last layer may be its first. */
static void places_of_a_linear_model(void) {
    static const float pixels[2 * 4] = {1, 2, 3, 4, 5, 6, 7, 8};
    static const int32_t labels[2] = {0, 1};
    prun_images images;
    prun_objective o;
    prun_net *net;
    float rows[2 * 4];
    memset(&images, 0, sizeof images);
    images.count = 2;
    images.channels = 1;
    images.height = images.width = 2;
    images.classes = 2;
    images.values = pixels;
    images.labels = labels;
    if (!CHECK_STATUS(prun_net_create(&test_context, 1, 2, 2, &net), PRUN_OK)) return;
    CHECK_STATUS(prun_net_finish(net, prun_layer_linear(net, PRUN_INPUT, "fc", 2, 1), 1), PRUN_OK);
    CHECK_STATUS(prun_net_objective(net, &images, &o), PRUN_OK);
    CHECK(o.features[PRUN_PLACE_EARLY] == 0 && o.features[PRUN_PLACE_LATE] == 0);
    CHECK(o.features[PRUN_PLACE_LAST] == 4);
    CHECK_STATUS(o.representation(&o, PRUN_PLACE_LAST, NULL, 2, rows), PRUN_OK);
    CHECK(memcmp(rows, pixels, sizeof rows) == 0);
    prun_net_free(net);
}

/* Mixed logits equal the logits of images mixed by hand. */
static void mixed_logits_are_those_of_mixed_images(void) {
    static setup s;
    static float mixed[IMAGES * 2 * SIZE * SIZE];
    prun_images images;
    float got[IMAGES * CLASSES], want[IMAGES * CLASSES];
    int64_t first[IMAGES], second[IMAGES], i, k;
    const int64_t size = 2 * SIZE * SIZE;
    if (!setup_make(&s)) return;
    for (i = 0; i < IMAGES; i++) {
        first[i] = i;
        second[i] = (i * 11 + 3) % IMAGES;
        for (k = 0; k < size; k++)
            mixed[i * size + k] =
                0.5f * (s.pixels[first[i] * size + k] + s.pixels[second[i] * size + k]);
    }
    images = s.images;
    images.values = mixed;
    CHECK_STATUS(s.objective.mixed_logits(&s.objective, first, second, IMAGES, got), PRUN_OK);
    CHECK_STATUS(prun_net_logits(s.net, &images, NULL, IMAGES, want), PRUN_OK);
    CHECK(memcmp(got, want, sizeof got) == 0);
    prun_net_free(s.net);
}

/* Norms of Jacobians by central differences of the logits, image by image. */
static void input_sensitivity_by_differences(void) {
    static setup s;
    enum { TRIED = 2, AREA = 2 * SIZE * SIZE };
    static const float step = 1e-2f;
    double of_logits[TRIED], of_probabilities[TRIED];
    int64_t index[TRIED] = {4, 17}, i, k;
    int c;
    if (!setup_make(&s)) return;
    CHECK_STATUS(
        prun_net_input_sensitivity(s.net, &s.images, index, TRIED, of_logits, of_probabilities),
        PRUN_OK);
    for (i = 0; i < TRIED; i++) {
        double f = 0.0, p = 0.0;
        for (k = 0; k < AREA; k++) {
            float *x = &s.pixels[index[i] * AREA + k], before = *x, high[CLASSES], low[CLASSES];
            double p_high[CLASSES], p_low[CLASSES];
            *x = before + step;
            CHECK_STATUS(prun_net_logits(s.net, &s.images, index + i, 1, high), PRUN_OK);
            *x = before - step;
            CHECK_STATUS(prun_net_logits(s.net, &s.images, index + i, 1, low), PRUN_OK);
            *x = before;
            prun_cross_entropy(high, CLASSES, 0, p_high);
            prun_cross_entropy(low, CLASSES, 0, p_low);
            for (c = 0; c < CLASSES; c++) {
                const double df = ((double)high[c] - (double)low[c]) / (2.0 * (double)step);
                const double dp = (p_high[c] - p_low[c]) / (2.0 * (double)step);
                f += df * df;
                p += dp * dp;
            }
        }
        CHECK_CLOSE(of_logits[i], sqrt(f), 0.0, 2e-2);
        CHECK_CLOSE(of_probabilities[i], sqrt(p), 0.0, 2e-2);
    }
    prun_net_free(s.net);
}

/* Losses of normalized logits change the gradient and so the largest rise. Afterwards, the
   parameters are restored and plain gradients are as before. */
static void normalized_gradients_end_with_the_call(void) {
    static setup s;
    prun_ball_options options;
    prun_ball_result plain, scaled, again;
    static float before[4000], after[4000];
    int64_t count = 0;
    if (!setup_make(&s)) return;
    count = prun_net_parameter_count(s.net);
    if (!CHECK(count <= 4000)) return;
    CHECK_STATUS(prun_net_gradient(s.net, &s.images, NULL, IMAGES, before, NULL, NULL), PRUN_OK);
    memset(&options, 0, sizeof options);
    options.radius = 0.01;
    options.shape = PRUN_BALL_BOX;
    options.normalize = 1;
    CHECK_STATUS(prun_ball_sharpness(&s.objective, &options, &plain), PRUN_OK);
    CHECK_STATUS(prun_net_gradient(s.net, &s.images, NULL, IMAGES, after, NULL, NULL), PRUN_OK);
    CHECK(memcmp(before, after, (size_t)count * sizeof(float)) == 0);
    /* logits eight times as large: the same normalized losses */
    {
        const prun_tensor *t[2];
        int i;
        int64_t k;
        t[0] = named(s.net, "fc.weight");
        t[1] = named(s.net, "fc.bias");
        for (i = 0; i < 2; i++)
            for (k = 0; k < prun_tensor_size(t[i]); k++) t[i]->data[k] *= 8.0f;
    }
    CHECK_STATUS(prun_ball_sharpness(&s.objective, &options, &scaled), PRUN_OK);
    CHECK_CLOSE(scaled.loss, plain.loss, 0.0, 1e-6);
    options.average = 1;
    CHECK_STATUS(prun_ball_sharpness(&s.objective, &options, &again), PRUN_OK);
    CHECK_CLOSE(again.loss, plain.loss, 0.0, 1e-6);
    CHECK(again.rise < scaled.rise);
    prun_net_free(s.net);
}

/* ---- measures ---- */

static const char *const recent[] = {"relative_flatness",          "relative_flatness_scaled",
                                     "davies_bouldin_early",       "davies_bouldin_late",
                                     "davies_bouldin_last",        "mixup_error",
                                     "davies_bouldin_times_mixup", "mixup_margin",
                                     "augmented_margin",           "input_sensitivity",
                                     "input_sensitivity_logits"};

/* Logits of an objective that does not expose its network. */
static prun_status hidden_logits(const prun_objective *o, const int64_t *index, int64_t n,
                                 float *logits) {
    const setup *s = (const setup *)o->user;
    return prun_net_logits(s->net, &s->images, index, n, logits);
}

/* With callbacks only, measures that need a network say so; with the network, they have a value. */
static void measures_say_what_they_lack(void) {
    static setup s;
    prun_measure_options options;
    prun_measurement *m;
    prun_measure_result r;
    prun_objective bare;
    size_t i;
    if (!setup_make(&s)) return;
    memset(&options, 0, sizeof options);
    CHECK_STATUS(prun_measurement_create(&s.objective, &options, &m), PRUN_OK);
    for (i = 0; i < sizeof recent / sizeof *recent; i++) {
        CHECK_STATUS(prun_measure(m, recent[i], &r), PRUN_OK);
        CHECK(isfinite(r.value));
    }
    prun_measurement_free(m);
    bare = s.objective;
    bare.user = &s;
    bare.loss = NULL;
    bare.gradient = NULL;
    bare.hessian_vector = NULL;
    bare.logits = hidden_logits;
    bare.representation = NULL;
    bare.mixed_logits = NULL;
    bare.net = NULL;
    CHECK_STATUS(prun_measurement_create(&bare, &options, &m), PRUN_OK);
    for (i = 0; i < sizeof recent / sizeof *recent; i++)
        CHECK_STATUS(prun_measure(m, recent[i], &r), PRUN_ERR_UNSUPPORTED);
    prun_measurement_free(m);
    options.ball_scale = -1.0;
    CHECK_STATUS(prun_measurement_create(&bare, &options, &m), PRUN_ERR_ARGUMENT);
    prun_net_free(s.net);
}

static void product_is_that_of_its_factors(void) {
    static setup s;
    prun_measurement *m;
    prun_measure_result early, mixup, both;
    if (!setup_make(&s)) return;
    CHECK_STATUS(prun_measurement_create(&s.objective, NULL, &m), PRUN_OK);
    CHECK_STATUS(prun_measure(m, "davies_bouldin_early", &early), PRUN_OK);
    CHECK_STATUS(prun_measure(m, "mixup_error", &mixup), PRUN_OK);
    CHECK_STATUS(prun_measure(m, "davies_bouldin_times_mixup", &both), PRUN_OK);
    CHECK_CLOSE(both.value, early.value * mixup.value, 0.0, 1e-15);
    prun_measurement_free(m);
    prun_net_free(s.net);
}

static const test_case cases[] = {
    TEST_CASE(normalized_logits_are_the_published_ones),
    TEST_CASE(davies_bouldin_is_the_published_one),
    TEST_CASE(davies_bouldin_of_degenerate_clusters),
    TEST_CASE(relative_flatness_is_the_published_one),
    TEST_CASE(disagreement_counts_predictions),
    TEST_CASE(ball_of_a_linear_loss),
    TEST_CASE(adaptive_ball_of_a_linear_loss),
    TEST_CASE(average_in_a_ball_of_a_quadratic_loss),
    TEST_CASE(ball_restores_after_failures),
    TEST_CASE(ball_refuses_what_it_cannot_do),
    TEST_CASE(reinitialization_puts_modules_back),
    TEST_CASE(criticality_is_that_of_all_pairs),
    TEST_CASE(criticality_of_an_unchanged_module),
    TEST_CASE(early_representation_is_the_pooled_convolution),
    TEST_CASE(last_representation_gives_the_logits),
    TEST_CASE(places_of_the_families),
    TEST_CASE(places_of_a_linear_model),
    TEST_CASE(mixed_logits_are_those_of_mixed_images),
    TEST_CASE(input_sensitivity_by_differences),
    TEST_CASE(normalized_gradients_end_with_the_call),
    TEST_CASE(measures_say_what_they_lack),
    TEST_CASE(product_is_that_of_its_factors),
};

int main(int argc, char **argv) { return TEST_MAIN("test_recent", cases, argc, argv); }
