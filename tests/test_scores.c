/* test_scores.c - sections SCORES and SPECTRUM: scores of weights against their formulas, evaluated
   with per-sample gradients, dense Hessians and comparisons of all pairs; the diagonal of the
   Hessian; pruning and measures that rank by scores. */
#include "../prunability.h"

#include <float.h>
#include <stdlib.h>

#include "second_order.h"
#include "test.h"

/* ---- a net's objective wrapped in other callbacks ---- */

typedef struct forwarder {
    prun_objective inner;
    int64_t losses, gradients, products; /* calls */
    int64_t least, most;                 /* samples of a product */
} forwarder;

static prun_status forward_loss(const prun_objective *o, const int64_t *index, int64_t n,
                                double *losses, double *sum, int64_t *wrong) {
    forwarder *f = (forwarder *)o->user;
    f->losses++;
    return f->inner.loss(&f->inner, index, n, losses, sum, wrong);
}

static prun_status forward_gradient(const prun_objective *o, const int64_t *index, int64_t n,
                                    float *gradient, double *sum) {
    forwarder *f = (forwarder *)o->user;
    f->gradients++;
    return f->inner.gradient(&f->inner, index, n, gradient, sum);
}

static prun_status forward_product(const prun_objective *o, const int64_t *index, int64_t n,
                                   const float *v, float *product) {
    forwarder *f = (forwarder *)o->user;
    f->least = f->products == 0 ? n : smaller(f->least, n);
    f->most = n > f->most ? n : f->most;
    f->products++;
    return f->inner.hessian_vector(&f->inner, index, n, v, product);
}

static prun_objective forwarded(forwarder *f, const prun_objective *inner) {
    prun_objective o = *inner;
    memset(f, 0, sizeof *f);
    f->inner = *inner;
    o.user = f;
    o.net = NULL;
    o.images = NULL;
    o.loss = forward_loss;
    o.gradient = forward_gradient;
    o.hessian_vector = forward_product;
    o.logits = NULL;
    o.representation = NULL;
    o.mixed_logits = NULL;
    return o;
}

/* ---- scores by their formulas ---- */

static int64_t parameters_of(const prun_objective *o) {
    int64_t t, count = 0;
    for (t = 0; t < o->tensor_count; t++) count += prun_tensor_size(&o->tensors[t]);
    return count;
}

/* Weights that can be pruned: for each, its index among all parameters, its tensor and its
   value. */
typedef struct weights {
    int64_t count, *place, *tensor;
    double *value;
} weights;

static weights weights_of(const prun_objective *o, const prun_score_options *options) {
    const uint32_t flags = PRUN_TENSOR_WEIGHT |
                           (options != NULL && options->include_biases ? PRUN_TENSOR_BIAS : 0u) |
                           (options != NULL && options->include_norms ? PRUN_TENSOR_NORM : 0u);
    const int64_t parameters = parameters_of(o);
    weights w;
    int64_t t, i, at = 0;
    w.count = 0;
    w.place = (int64_t *)allocate(parameters, sizeof(int64_t));
    w.tensor = (int64_t *)allocate(parameters, sizeof(int64_t));
    w.value = (double *)allocate(parameters, sizeof(double));
    for (t = 0; t < o->tensor_count; t++) {
        for (i = 0; i < prun_tensor_size(&o->tensors[t]); i++, at++) {
            if (!(o->tensors[t].flags & flags)) continue;
            w.place[w.count] = at;
            w.tensor[w.count] = t;
            w.value[w.count++] = (double)o->tensors[t].data[i];
        }
    }
    return w;
}

static void free_weights(weights *w) {
    free(w->place);
    free(w->tensor);
    free(w->value);
}

/* Means over samples of the gradient and of its square, one call for each sample. */
static void gradients_by_hand(const prun_objective *o, const int64_t *index, int64_t n,
                              double *mean, double *square) {
    const int64_t parameters = parameters_of(o);
    float *g = (float *)allocate(parameters, sizeof(float));
    int64_t s, i;
    memset(mean, 0, (size_t)parameters * sizeof *mean);
    memset(square, 0, (size_t)parameters * sizeof *square);
    for (s = 0; s < n; s++) {
        const int64_t sample = index != NULL ? index[s] : s;
        CHECK_STATUS(o->gradient(o, &sample, 1, g, NULL), PRUN_OK);
        for (i = 0; i < parameters; i++) {
            mean[i] += (double)g[i] / (double)n;
            square[i] += (double)g[i] * (double)g[i] / (double)n;
        }
    }
    free(g);
}

/* All scores of the objective, followed by one more element, which must not change. */
static float *scores_of(const prun_objective *o, prun_score score,
                        const prun_score_options *options) {
    prun_prune_options prune;
    float *scores;
    int64_t count = 0;
    memset(&prune, 0, sizeof prune);
    if (options != NULL) {
        prune.include_biases = options->include_biases;
        prune.include_norms = options->include_norms;
    }
    CHECK_STATUS(prun_prunable_count(o, &prune, &count), PRUN_OK);
    scores = (float *)allocate(count + 1, sizeof(float));
    scores[count] = -7;
    CHECK_STATUS(prun_prune_scores(o, score, options, scores), PRUN_OK);
    CHECK(scores[count] == -7);
    return scores;
}

static double largest_of(const double *values, int64_t count) {
    double largest = 0;
    int64_t i;
    for (i = 0; i < count; i++) largest = fabs(values[i]) > largest ? fabs(values[i]) : largest;
    return largest;
}

/* Scores that need first derivatives. Gradients are float32 and summed in another order. */
static void check_gradient_scores(const prun_objective *o, const prun_score_options *options) {
    const int64_t parameters = parameters_of(o);
    const prun_score_options p = prun_score_resolved(o, options);
    double *mean = (double *)allocate(parameters, sizeof(double));
    double *square = (double *)allocate(parameters, sizeof(double));
    float *taylor, *fisher;
    weights w = weights_of(o, options);
    double top, top_square;
    int64_t i;
    gradients_by_hand(o, p.index, p.samples, mean, square);
    top = largest_of(mean, parameters);
    top_square = largest_of(square, parameters);
    CHECK(w.count > 0 && top > 0);
    taylor = scores_of(o, PRUN_SCORE_TAYLOR, options);
    fisher = scores_of(o, PRUN_SCORE_FISHER, options);
    for (i = 0; i < w.count; i++) {
        const double x = w.value[i], g = mean[w.place[i]], s = square[w.place[i]];
        CHECK_CLOSE(taylor[i], fabs(x * g), 1e-5 * fabs(x) * top, 1e-4);
        CHECK_CLOSE(fisher[i], x * x * s, 1e-6 * x * x * top_square, 1e-4);
    }
    free(taylor);
    free(fisher);
    free(mean);
    free(square);
    free_weights(&w);
}

static const int64_t some_samples[9] = {7, 3, 59, 0, 3, 12, 31, 44, 20}; /* one of them twice */

static void gradient_scores_of_a_net(void) {
    static forwarder f;
    network t;
    prun_objective o;
    prun_score_options options;
    int inclusion;
    if (make_network(&t)) {
        o = forwarded(&f, &t.o);
        check_gradient_scores(&t.o, NULL);
        check_gradient_scores(&o, NULL);
        for (inclusion = 0; inclusion < 4; inclusion++) {
            memset(&options, 0, sizeof options);
            options.include_biases = inclusion & 1;
            options.include_norms = inclusion >> 1;
            options.samples = 33;
            check_gradient_scores(&t.o, &options);
            options.index = some_samples;
            options.samples = 9;
            check_gradient_scores(&t.o, &options);
            check_gradient_scores(&o, &options);
        }
    }
    free_network(&t);
}

/* One call for all samples, or one per sample. */
static void calls_of_the_gradient(void) {
    static forwarder f;
    network t;
    prun_objective o;
    if (make_network(&t)) {
        o = forwarded(&f, &t.o);
        free(scores_of(&o, PRUN_SCORE_TAYLOR, NULL));
        CHECK(f.gradients == 1 && f.losses == 0 && f.products == 0);
        free(scores_of(&o, PRUN_SCORE_FISHER, NULL));
        CHECK(f.gradients == 61 && f.losses == 0 && f.products == 0);
        free(scores_of(&o, PRUN_SCORE_MAGNITUDE, NULL));
        free(scores_of(&o, PRUN_SCORE_LAMP, NULL));
        free(scores_of(&o, PRUN_SCORE_RANDOM, NULL));
        CHECK(f.gradients == 61 && f.losses == 0 && f.products == 0);
        free(scores_of(&o, PRUN_SCORE_CURVATURE, NULL));
        CHECK(f.gradients == 61 && f.losses == 0 && f.products == 10 && f.least == 60);
    }
    free_network(&t);
}

/* Sample s has the gradient (s + 1) H w. */
static void gradient_scores_of_a_quadratic_loss(void) {
    static quadratic q;
    int64_t i, n;
    make_quadratic(&q, spread);
    for (n = 1; n <= 4; n++) {
        static const int64_t index[4] = {2, 0, 2, 2};
        prun_score_options options;
        float *taylor, *fisher;
        double shares = 0, squares = 0;
        memset(&options, 0, sizeof options);
        options.include_biases = options.include_norms = 1;
        options.index = n == 3 ? NULL : index;
        options.samples = n == 3 ? 0 : n;
        for (i = 0; i < n; i++) {
            const double share = (double)((n == 3 ? i : index[i]) + 1);
            shares += share / (double)n;
            squares += share * share / (double)n;
        }
        taylor = scores_of(&q.o, PRUN_SCORE_TAYLOR, &options);
        fisher = scores_of(&q.o, PRUN_SCORE_FISHER, &options);
        for (i = 0; i < QUADRATIC; i++) {
            const double g = dot(q.w, q.h + i * QUADRATIC, QUADRATIC), w = (double)q.w[i];
            CHECK_CLOSE(taylor[i], fabs(w * g * shares), 0, 1e-6);
            CHECK_CLOSE(fisher[i], w * w * g * g * squares, 0, 1e-6);
        }
        free(taylor);
        free(fisher);
    }
    CHECK(restored(&q));
}

static void magnitudes(void) {
    static quadratic q;
    prun_score_options options;
    int64_t i, all;
    make_quadratic(&q, spread);
    for (all = 0; all < 2; all++) {
        float *scores;
        memset(&options, 0, sizeof options);
        options.include_norms = (int32_t)all;
        scores = scores_of(&q.o, PRUN_SCORE_MAGNITUDE, &options);
        for (i = 0; i < 12; i++) CHECK(scores[i] == fabsf(q.w[i]));
        for (i = 14; all && i < QUADRATIC; i++) CHECK(scores[i - 2] == fabsf(q.w[i]));
        free(scores);
    }
}

/* Including biases and norms changes no score of the weights. */
static void inclusion_leaves_the_weights_scores(void) {
    static const prun_score kinds[4] = {PRUN_SCORE_MAGNITUDE, PRUN_SCORE_TAYLOR, PRUN_SCORE_FISHER,
                                        PRUN_SCORE_LAMP};
    network t;
    int k;
    if (make_network(&t)) {
        for (k = 0; k < 4; k++) {
            prun_score_options options;
            float *few, *many;
            weights w = weights_of(&t.o, NULL), all;
            int64_t i, j = 0;
            memset(&options, 0, sizeof options);
            options.include_biases = options.include_norms = 1;
            all = weights_of(&t.o, &options);
            few = scores_of(&t.o, kinds[k], NULL);
            many = scores_of(&t.o, kinds[k], &options);
            CHECK(w.count < all.count && all.count == parameters_of(&t.o));
            for (i = 0; i < all.count && j < w.count; i++)
                if (all.place[i] == w.place[j]) CHECK(few[j++] == many[i]);
            CHECK(j == w.count);
            free(few);
            free(many);
            free_weights(&w);
            free_weights(&all);
        }
    }
    free_network(&t);
}

/* ---- LAMP and random scores ---- */

typedef struct plain {
    float w[400];
    prun_tensor tensors[3];
    prun_objective o;
} plain;

/* Three tensors of weights and nothing else: no callbacks, no samples. */
static void make_plain(plain *p, int64_t count) {
    static const char *const names[] = {"a", "b", "c"};
    int64_t t, at = 0;
    memset(p, 0, sizeof *p);
    for (t = 0; t < 3; t++) {
        prun_tensor *tensor = &p->tensors[t];
        tensor->data = p->w + at;
        tensor->name = names[t];
        tensor->rank = 1;
        tensor->shape[0] = t < 2 ? count / 3 + (t == 0) : count - at;
        tensor->flags = PRUN_TENSOR_WEIGHT;
        at += tensor->shape[0];
    }
    p->o.context = &test_context;
    p->o.tensors = p->tensors;
    p->o.tensor_count = 3;
}

/* w^2 over the sum of the squares that are at least as large. */
static void check_lamp(const prun_objective *o) {
    float *scores = scores_of(o, PRUN_SCORE_LAMP, NULL);
    weights w = weights_of(o, NULL);
    int64_t i, j;
    for (i = 0; i < w.count; i++) {
        const double square = w.value[i] * w.value[i];
        double sum = 0;
        for (j = 0; j < w.count; j++)
            if (w.tensor[j] == w.tensor[i] && fabs(w.value[j]) >= fabs(w.value[i]))
                sum += w.value[j] * w.value[j];
        CHECK_CLOSE(scores[i], square > 0 ? square / sum : 0, 1e-45, 1e-7);
        CHECK(scores[i] >= 0 && scores[i] <= 1);
    }
    free(scores);
    free_weights(&w);
}

static void lamp_is_brute_force(void) {
    static plain p;
    network t;
    int64_t i, k;
    for (k = 0; k < 60; k++) {
        make_plain(&p, 4 + 5 * k);
        p.o.samples = 1;
        for (i = 0; i < 4 + 5 * k; i++) {
            const double z = ref_noise(&noise_state);
            p.w[i] = (float)(k % 3 == 0   ? z
                             : k % 3 == 1 ? floor(4 * z) / 4
                                          : exp(80 * z) * (i % 2 ? 1 : -1));
            if (k % 4 == 0 && i % 3 == 0) p.w[i] = i % 2 ? 0.0f : -0.0f;
        }
        check_lamp(&p.o);
    }
    make_plain(&p, 30); /* only zeros, one nonzero weight, equal weights */
    p.o.samples = 1;
    for (i = 0; i < 30; i++) p.w[i] = i < 11 ? 0.0f : i == 15 ? -1e-30f : i < 21 ? 0.0f : -3.0f;
    check_lamp(&p.o);
    if (make_network(&t)) check_lamp(&t.o);
    free_network(&t);
}

/* Within a tensor, the order is that of the magnitudes. */
static void lamp_orders_a_layer_by_magnitude(void) {
    network t;
    if (make_network(&t)) {
        double losses[2][11];
        prun_prune_options options;
        float *scores = scores_of(&t.o, PRUN_SCORE_LAMP, NULL);
        memset(&options, 0, sizeof options);
        options.scope = PRUN_PRUNE_PER_LAYER;
        options.grid = 10;
        CHECK_STATUS(prun_loss_curve(&t.o, &options, losses[0], NULL), PRUN_OK);
        options.score = scores;
        CHECK_STATUS(prun_prunable_count(&t.o, &options, &options.score_count), PRUN_OK);
        CHECK_STATUS(prun_loss_curve(&t.o, &options, losses[1], NULL), PRUN_OK);
        CHECK(memcmp(losses[0], losses[1], sizeof losses[0]) == 0);
        free(scores);
    }
    free_network(&t);
}

/* 4,000 draws in 20 bins: chi^2 with 19 degrees of freedom, above 50 once in ten thousand. */
static void random_scores(void) {
    static plain p;
    int64_t i, seed, bins[20], agree = 0;
    double chi = 0, together = 0, last = 0.5;
    float *first = NULL;
    memset(bins, 0, sizeof bins);
    make_plain(&p, 400);
    p.o.samples = 1;
    for (i = 0; i < 400; i++) p.w[i] = 1;
    for (seed = 0; seed < 10; seed++) {
        prun_score_options options;
        float *scores, *again;
        memset(&options, 0, sizeof options);
        options.seed = (uint64_t)seed;
        scores = scores_of(&p.o, PRUN_SCORE_RANDOM, &options);
        again = scores_of(&p.o, PRUN_SCORE_RANDOM, &options);
        CHECK(memcmp(scores, again, 400 * sizeof(float)) == 0);
        for (i = 0; i < 400; i++) {
            if (!CHECK(scores[i] >= 0 && scores[i] < 1)) continue;
            bins[(int)((double)scores[i] * 20)]++;
            together += ((double)scores[i] - 0.5) * (last - 0.5);
            last = (double)scores[i];
            agree += first != NULL && scores[i] == first[i];
        }
        free(again);
        if (first == NULL) first = scores;
        else free(scores);
    }
    for (i = 0; i < 20; i++) chi += pow((double)bins[i] - 200, 2) / 200;
    CHECK(chi < 50);
    CHECK(fabs(together) < 5 * sqrt(4000) / 12); /* neighbours are independent */
    CHECK(agree < 5);
    free(first);
}

/* With this seed the first number is 1 - 3.3e-9, which must not be rounded to 1 in float. */
static void random_scores_are_below_one(void) {
    static plain p;
    prun_score_options options;
    float *scores;
    make_plain(&p, 4);
    p.o.samples = 1;
    memset(&options, 0, sizeof options);
    options.seed = 52914404;
    scores = scores_of(&p.o, PRUN_SCORE_RANDOM, &options);
    CHECK(scores[0] < 1);
    free(scores);
}

/* ---- the diagonal of the Hessian ---- */

static double *diagonal_of(const prun_objective *o, const prun_hessian_options *options,
                           double *standard_errors) {
    double *diagonal;
    int64_t k = 0;
    CHECK_STATUS(prun_hessian_size(o, options, &k), PRUN_OK);
    diagonal = (double *)allocate(k + 1, sizeof(double));
    diagonal[k] = -7;
    CHECK_STATUS(prun_hessian_diagonal(o, options, diagonal, standard_errors), PRUN_OK);
    CHECK(diagonal[k] == -7);
    return diagonal;
}

/* A single probe is exact, whatever the seed. */
static void diagonal_of_a_diagonal_hessian(void) {
    static quadratic q;
    int64_t i, seed;
    make_quadratic(&q, spread);
    memset(q.h, 0, sizeof q.h);
    for (i = 0; i < QUADRATIC; i++) q.h[i * (QUADRATIC + 1)] = spread[QUADRATIC - 1 - i];
    for (seed = 0; seed < 5; seed++) {
        static const int64_t index[2] = {2, 2};
        prun_hessian_options options = every_tensor();
        double errors[QUADRATIC], *diagonal;
        options.seed = (uint64_t)seed;
        diagonal = diagonal_of(&q.o, &options, errors);
        for (i = 0; i < QUADRATIC; i++) {
            CHECK_CLOSE(diagonal[i], 2 * spread[QUADRATIC - 1 - i], 0, 1e-7);
            CHECK(isnan(errors[i]));
        }
        free(diagonal);
        options.probes = 3;
        options.index = index;
        options.samples = 2;
        options.summed = 1;
        diagonal = diagonal_of(&q.o, &options, errors);
        for (i = 0; i < QUADRATIC; i++) {
            CHECK_CLOSE(diagonal[i], 6 * spread[QUADRATIC - 1 - i], 0, 1e-7);
            CHECK_CLOSE(errors[i], 0, 1e-12, 0);
        }
        free(diagonal);
        memset(&options, 0, sizeof options); /* only the weights: the first tensor */
        diagonal = diagonal_of(&q.o, &options, NULL);
        for (i = 0; i < 12; i++) CHECK_CLOSE(diagonal[i], 2 * spread[QUADRATIC - 1 - i], 0, 1e-7);
        free(diagonal);
    }
}

/* Differences of a linear gradient only have rounding errors: small ones with a large step, a few
   percent of the largest entry with the automatic step. */
static void diagonal_by_differences(void) {
    static quadratic q;
    int64_t i, choice;
    for (choice = 0; choice < 4; choice++) {
        prun_hessian_options options = every_tensor();
        double *diagonal;
        make_quadratic(&q, spread);
        memset(q.h, 0, sizeof q.h);
        for (i = 0; i < QUADRATIC; i++) q.h[i * (QUADRATIC + 1)] = spread[i];
        options.probes = 2;
        options.use_differences = choice & 1;
        options.step = choice & 2 ? 0.02 : 0;
        if (!(choice & 1)) q.o.hessian_vector = NULL; /* only differences are possible */
        diagonal = diagonal_of(&q.o, &options, NULL);
        for (i = 0; i < QUADRATIC; i++)
            CHECK_CLOSE(diagonal[i], 2 * spread[i], choice & 2 ? 1e-3 : 2, 0);
        free(diagonal);
        CHECK(restored(&q));
    }
}

/* The variance of entry i is the sum of squares of the others in its row; standard errors must
   match it. */
static void diagonal_of_a_net(void) {
    static const int64_t probes[3] = {10, 100, 1000};
    network t;
    int p;
    if (make_network(&t)) {
        double *errors = (double *)allocate(t.k, sizeof(double));
        double expected = 0, last = 0;
        int64_t i, j;
        for (i = 0; i < t.k; i++)
            for (j = 0; j < t.k; j++) expected += i == j ? 0 : pow(t.h[i * t.k + j], 2);
        for (p = 0; p < 3; p++) {
            prun_hessian_options options;
            prun_estimate trace;
            double *diagonal, squares = 0, told = 0, sum = 0;
            int64_t far = 0;
            memset(&options, 0, sizeof options);
            options.probes = probes[p];
            options.seed = 4;
            diagonal = diagonal_of(&t.o, &options, errors);
            for (i = 0; i < t.k; i++) {
                const double off = diagonal[i] - t.h[i * (t.k + 1)];
                squares += off * off;
                told += errors[i] * errors[i];
                far += fabs(off) > 4 * errors[i] + 1e-6;
                sum += diagonal[i];
            }
            CHECK(squares > 0.3 * expected / (double)probes[p] &&
                  squares < 3 * expected / (double)probes[p]);
            CHECK(told > 0.5 * expected / (double)probes[p] &&
                  told < 2 * expected / (double)probes[p]);
            CHECK(p < 1 || far <= t.k / 50);
            CHECK(p == 0 || squares < 0.5 * last);
            last = squares;
            CHECK_STATUS(prun_hessian_trace(&t.o, &options, &trace, NULL), PRUN_OK);
            CHECK_CLOSE(sum, trace.value, 1e-9, 1e-9);
            free(diagonal);
        }
        free(errors);
    }
    free_network(&t);
}

/* The values of single probes follow from means over p and p - 1 of them. */
static void standard_errors_of_the_diagonal(void) {
    enum { PROBES = 7 };
    static quadratic q;
    static double value[PROBES][QUADRATIC];
    double errors[QUADRATIC], last[QUADRATIC];
    int64_t i, p, r;
    make_quadratic(&q, spread);
    memset(last, 0, sizeof last);
    for (p = 1; p <= PROBES; p++) {
        prun_hessian_options options = every_tensor();
        double *diagonal;
        options.probes = p;
        diagonal = diagonal_of(&q.o, &options, errors);
        for (i = 0; i < QUADRATIC; i++) {
            double mean = 0, squares = 0;
            value[p - 1][i] = (double)p * diagonal[i] - last[i];
            last[i] = (double)p * diagonal[i];
            for (r = 0; r < p; r++) mean += value[r][i] / (double)p;
            for (r = 0; r < p; r++) squares += pow(value[r][i] - mean, 2);
            if (p > 1)
                CHECK_CLOSE(errors[i], sqrt(squares / (double)(p - 1) / (double)p), 1e-9, 1e-7);
            else CHECK(isnan(errors[i]));
        }
        free(diagonal);
    }
}

static void exits_of_the_diagonal(void) {
    static quadratic q;
    double diagonal[QUADRATIC], errors[QUADRATIC];
    prun_hessian_options options = every_tensor();
    int differences;
    make_quadratic(&q, spread);
    for (differences = 0; differences < 2; differences++) {
        int64_t calls, at;
        options.use_differences = differences;
        options.probes = 3;
        q.calls = q.fail_at = 0;
        CHECK_STATUS(prun_hessian_diagonal(&q.o, &options, diagonal, errors), PRUN_OK);
        calls = q.calls;
        for (at = 1; at <= calls; at++) {
            q.calls = 0;
            q.fail_at = at;
            diagonal[0] = errors[0] = -7;
            CHECK_STATUS(prun_hessian_diagonal(&q.o, &options, diagonal, errors), PRUN_ERR_READ);
            CHECK(restored(&q) && diagonal[0] == -7 && errors[0] == -7);
        }
        q.fail_at = 0;
    }
    options.use_differences = 0;
    q.poison = 13;
    CHECK_STATUS(prun_hessian_diagonal(&q.o, &options, diagonal, NULL), PRUN_ERR_NONFINITE);
    check_message("second[1]");
    q.poison = -1;
    options.probes = -1;
    CHECK_STATUS(prun_hessian_diagonal(&q.o, &options, diagonal, NULL), PRUN_ERR_ARGUMENT);
    check_message("-1 probes");
    options.probes = 1;
    q.o.gradient = NULL;
    q.o.hessian_vector = NULL;
    CHECK_STATUS(prun_hessian_diagonal(&q.o, &options, diagonal, NULL), PRUN_ERR_UNSUPPORTED);
    check_message("missing");
}

/* ---- curvature ---- */

static void curvature_is_exact_for_a_diagonal_hessian(void) {
    static quadratic q;
    int64_t i, seed;
    make_quadratic(&q, spread);
    memset(q.h, 0, sizeof q.h);
    for (i = 0; i < QUADRATIC; i++) q.h[i * (QUADRATIC + 1)] = spread[i];
    for (seed = 0; seed < 6; seed++) {
        static const int64_t index[3] = {2, 0, 2};
        prun_score_options options;
        const double scale = seed < 3 ? 2 : 7 / 3.0;
        float *scores;
        memset(&options, 0, sizeof options);
        options.include_biases = options.include_norms = 1;
        options.seed = (uint64_t)seed;
        options.probes = 1 + seed % 3;
        options.index = seed < 3 ? NULL : index;
        options.samples = seed < 3 ? 0 : 3;
        scores = scores_of(&q.o, PRUN_SCORE_CURVATURE, &options);
        for (i = 0; i < QUADRATIC; i++) {
            const double h = scale * spread[i], w = (double)q.w[i];
            CHECK_CLOSE(scores[i], h > 0 ? w * w * h : 0, 0, 1e-6);
        }
        free(scores);
    }
}

/* Must equal the result based on prun_hessian_diagonal. */
static void check_curvature(const prun_objective *o, const prun_score_options *options) {
    const prun_score_options p = prun_score_resolved(o, options);
    uint8_t mask[16];
    prun_hessian_options h;
    weights w = weights_of(o, options);
    double *diagonal;
    float *scores = scores_of(o, PRUN_SCORE_CURVATURE, options);
    int64_t i, positive = 0;
    memset(mask, 0, sizeof mask);
    memset(&h, 0, sizeof h);
    for (i = 0; i < w.count; i++) mask[w.tensor[i]] = 1;
    h.mask = mask;
    h.index = p.index;
    h.samples = p.samples;
    h.probes = p.probes;
    h.seed = p.seed;
    diagonal = diagonal_of(o, &h, NULL);
    for (i = 0; i < w.count; i++) {
        const double curved = diagonal[i] > 0 ? diagonal[i] : 0;
        CHECK_CLOSE(scores[i], w.value[i] * w.value[i] * curved, 1e-45, 1e-7);
        positive += scores[i] > 0;
    }
    CHECK(positive > w.count / 4 && positive < w.count);
    free(diagonal);
    free(scores);
    free_weights(&w);
}

static void curvature_of_a_net(void) {
    static forwarder f;
    network t;
    prun_objective o;
    prun_score_options options;
    int inclusion;
    if (make_network(&t)) {
        double largest = 0, off = 0, expected = 0;
        float *scores;
        weights w = weights_of(&t.o, NULL);
        int64_t i, j;
        o = forwarded(&f, &t.o);
        check_curvature(&t.o, NULL);
        check_curvature(&o, NULL);
        CHECK(f.products == 20 && f.least == 60 && f.most == 60);
        for (inclusion = 0; inclusion < 4; inclusion++) {
            memset(&options, 0, sizeof options);
            options.include_biases = inclusion & 1;
            options.include_norms = inclusion >> 1;
            options.seed = 5;
            options.probes = 4;
            options.index = some_samples;
            options.samples = 9;
            check_curvature(&t.o, &options);
        }
        memset(&options, 0, sizeof options);
        options.probes = 1500; /* near the diagonal of the dense matrix */
        scores = scores_of(&t.o, PRUN_SCORE_CURVATURE, &options);
        for (i = 0; i < t.k; i++) {
            const double h = t.h[i * (t.k + 1)];
            const double exact = h > 0 ? w.value[i] * w.value[i] * h : 0;
            largest = exact > largest ? exact : largest;
            off += pow((double)scores[i] - exact, 2);
            for (j = 0; j < t.k; j++)
                expected += i == j ? 0 : pow(w.value[i], 4) * pow(t.h[i * t.k + j], 2) / 1500;
        }
        CHECK(largest > 0 && off < 3 * expected);
        free(scores);
        free_weights(&w);
    }
    free_network(&t);
}

/* Without exact products curvature comes from differences of gradients. */
static void curvature_by_differences(void) {
    static quadratic q;
    float *exact, *scores, largest = 0, off = 0;
    int64_t i;
    make_quadratic(&q, spread);
    exact = scores_of(&q.o, PRUN_SCORE_CURVATURE, NULL);
    q.o.hessian_vector = NULL;
    scores = scores_of(&q.o, PRUN_SCORE_CURVATURE, NULL);
    for (i = 0; i < 12; i++) {
        largest = exact[i] > largest ? exact[i] : largest;
        off = fabsf(scores[i] - exact[i]) > off ? fabsf(scores[i] - exact[i]) : off;
    }
    CHECK(largest > 0 && off < 0.05f * largest);
    CHECK(restored(&q));
    free(exact);
    free(scores);
}

static int count_reports(void *user, int64_t done, int64_t total) {
    int64_t *state = (int64_t *)user; /* calls, call that cancels */
    CHECK(done == state[0] + 1 && total == 6);
    return ++state[0] == state[1];
}

static void progress_of_curvature(void) {
    static quadratic q;
    float scores[QUADRATIC];
    int64_t state[2], at;
    prun_score_options options;
    make_quadratic(&q, spread);
    memset(&options, 0, sizeof options);
    options.probes = 6;
    options.progress = count_reports;
    options.user = state;
    for (at = 0; at <= 6; at++) {
        state[0] = 0;
        state[1] = at;
        scores[0] = -7;
        CHECK_STATUS(prun_prune_scores(&q.o, PRUN_SCORE_CURVATURE, &options, scores),
                     at > 0 ? PRUN_ERR_CANCELLED : PRUN_OK);
        CHECK(state[0] == (at > 0 ? at : 6) && (scores[0] == -7) == (at > 0));
        CHECK(restored(&q));
    }
    state[0] = state[1] = 0;
    CHECK_STATUS(prun_prune_scores(&q.o, PRUN_SCORE_FISHER, &options, scores), PRUN_OK);
    CHECK(state[0] == 0);
}

/* ---- invalid arguments ---- */

static void refuse(const prun_objective *o, prun_score score, const prun_score_options *options,
                   prun_status status, const char *word) {
    float scores[QUADRATIC];
    scores[0] = -7;
    CHECK_STATUS(prun_prune_scores(o, score, options, scores), status);
    CHECK(scores[0] == -7);
    check_message(word);
}

static void levels_that_are_missing(void) {
    static quadratic q;
    static plain p;
    float scores[8];
    make_quadratic(&q, spread);
    q.o.gradient = NULL;
    refuse(&q.o, PRUN_SCORE_TAYLOR, NULL, PRUN_ERR_UNSUPPORTED, "gradient");
    refuse(&q.o, PRUN_SCORE_FISHER, NULL, PRUN_ERR_UNSUPPORTED, "gradient");
    free(scores_of(&q.o, PRUN_SCORE_CURVATURE, NULL)); /* products are exact */
    q.o.hessian_vector = NULL;
    refuse(&q.o, PRUN_SCORE_CURVATURE, NULL, PRUN_ERR_UNSUPPORTED, "gradient");
    make_plain(&p, 8); /* level 0: only weights, not even samples */
    p.w[3] = 1;
    CHECK_STATUS(prun_prune_scores(&p.o, PRUN_SCORE_MAGNITUDE, NULL, scores), PRUN_OK);
    CHECK_STATUS(prun_prune_scores(&p.o, PRUN_SCORE_LAMP, NULL, scores), PRUN_OK);
    CHECK_STATUS(prun_prune_scores(&p.o, PRUN_SCORE_RANDOM, NULL, scores), PRUN_OK);
    CHECK(prun_prune_scores(&p.o, PRUN_SCORE_TAYLOR, NULL, scores) != PRUN_OK);
    CHECK(prun_prune_scores(&p.o, PRUN_SCORE_CURVATURE, NULL, scores) != PRUN_OK);
}

static void bad_options(void) {
    static quadratic q;
    static const int64_t high[2] = {1, 3}, low[2] = {1, -1};
    prun_score_options options;
    make_quadratic(&q, spread);
    memset(&options, 0, sizeof options);
    refuse(&q.o, (prun_score)6, NULL, PRUN_ERR_ARGUMENT, "unknown score 6");
    refuse(&q.o, (prun_score)-1, NULL, PRUN_ERR_ARGUMENT, "unknown score");
    options.samples = 4;
    refuse(&q.o, PRUN_SCORE_TAYLOR, &options, PRUN_ERR_ARGUMENT, "4 samples of 3");
    options.samples = -1;
    refuse(&q.o, PRUN_SCORE_FISHER, &options, PRUN_ERR_ARGUMENT, "-1 samples");
    options.index = high;
    options.samples = 0;
    refuse(&q.o, PRUN_SCORE_CURVATURE, &options, PRUN_ERR_ARGUMENT, "0 samples");
    options.samples = 2;
    refuse(&q.o, PRUN_SCORE_TAYLOR, &options, PRUN_ERR_ARGUMENT, "index[1] is 3 of 3");
    options.index = low;
    refuse(&q.o, PRUN_SCORE_CURVATURE, &options, PRUN_ERR_ARGUMENT, "index[1] is -1 of 3");
    options.samples = 1; /* the second index is not read */
    free(scores_of(&q.o, PRUN_SCORE_TAYLOR, &options));
    memset(&options, 0, sizeof options);
    options.probes = -2;
    refuse(&q.o, PRUN_SCORE_CURVATURE, &options, PRUN_ERR_ARGUMENT, "-2 probes");
    q.tensors[0].flags = PRUN_TENSOR_BIAS;
    refuse(&q.o, PRUN_SCORE_MAGNITUDE, NULL, PRUN_ERR_ARGUMENT, "no tensor is prunable");
    q.tensors[0].flags = PRUN_TENSOR_WEIGHT;
    q.calls = 0;
    q.fail_at = 1;
    refuse(&q.o, PRUN_SCORE_TAYLOR, NULL, PRUN_ERR_READ, "gradient callback");
    q.calls = 0;
    q.fail_at = 2;
    refuse(&q.o, PRUN_SCORE_FISHER, NULL, PRUN_ERR_READ, "gradient callback");
    q.calls = 0;
    q.fail_at = 10;
    refuse(&q.o, PRUN_SCORE_CURVATURE, NULL, PRUN_ERR_READ, "hessian_vector callback");
    CHECK(restored(&q));
}

static void options_that_are_resolved(void) {
    static quadratic q;
    static const int64_t index[2] = {1, 2};
    prun_score_options options, r;
    make_quadratic(&q, spread);
    r = prun_score_resolved(&q.o, NULL);
    CHECK(r.samples == 3 && r.probes == 10 && r.index == NULL && r.seed == 0);
    memset(&options, 0, sizeof options);
    options.index = index;
    options.probes = 4;
    options.include_norms = 1;
    r = prun_score_resolved(&q.o, &options);
    CHECK(r.samples == 0 && r.probes == 4 && r.index == index && r.include_norms == 1);
}

static void values_that_are_not_finite(void) {
    static quadratic q;
    static plain p;
    float scores[QUADRATIC];
    int k;
    for (k = 0; k < 6; k++) {
        make_quadratic(&q, spread);
        q.w[5] = k % 2 ? NAN : INFINITY;
        refuse(&q.o, (prun_score)k, NULL, PRUN_ERR_NONFINITE, "first[5]");
    }
    make_quadratic(&q, spread);
    q.poison = 7;
    refuse(&q.o, PRUN_SCORE_TAYLOR, NULL, PRUN_ERR_NONFINITE, "first[7]");
    refuse(&q.o, PRUN_SCORE_FISHER, NULL, PRUN_ERR_NONFINITE, "first[7]");
    refuse(&q.o, PRUN_SCORE_CURVATURE, NULL, PRUN_ERR_NONFINITE, "first[7]");
    q.tensors[0].name = NULL;
    refuse(&q.o, PRUN_SCORE_TAYLOR, NULL, PRUN_ERR_NONFINITE, "?[7]");
    q.poison = 13; /* in a tensor that is not prunable */
    free(scores_of(&q.o, PRUN_SCORE_TAYLOR, NULL));
    /* Scores that overflow a float: w^2 (H w)^2 with large weights. */
    make_quadratic(&q, spread);
    for (k = 0; k < 12; k++) q.w[k] = 1e15f;
    refuse(&q.o, PRUN_SCORE_FISHER, NULL, PRUN_ERR_NONFINITE, "first[");
    /* Underflow gives 0, not an error. */
    for (k = 0; k < QUADRATIC; k++) q.w[k] = 1e-20f;
    CHECK_STATUS(prun_prune_scores(&q.o, PRUN_SCORE_FISHER, NULL, scores), PRUN_OK);
    for (k = 0; k < 12; k++) CHECK(scores[k] == 0);
    /* The squares of a tensor may overflow a float. */
    make_plain(&p, 9);
    p.o.samples = 1;
    for (k = 0; k < 9; k++) p.w[k] = k % 2 ? FLT_MAX : 1e-45f;
    check_lamp(&p.o);
}

/* ---- pruning and measures by scores ---- */

static void magnitudes_as_scores_change_nothing(void) {
    network t;
    if (make_network(&t)) {
        prun_prune_options options;
        prun_prunability plain_, scored;
        float *scores = scores_of(&t.o, PRUN_SCORE_MAGNITUDE, NULL);
        int scope, i;
        for (scope = 0; scope < 2; scope++) {
            memset(&options, 0, sizeof options);
            memset(&plain_, 0, sizeof plain_);
            memset(&scored, 0, sizeof scored);
            options.scope = (prun_prune_scope)scope;
            options.beta[0] = 0.1;
            options.beta[1] = 1;
            options.resamples = 50;
            CHECK_STATUS(prun_prunability_search(&t.o, &options, &plain_), PRUN_OK);
            options.score = scores;
            CHECK_STATUS(prun_prunable_count(&t.o, &options, &options.score_count), PRUN_OK);
            CHECK_STATUS(prun_prunability_search(&t.o, &options, &scored), PRUN_OK);
            CHECK(plain_.base_loss == scored.base_loss && plain_.passes == scored.passes);
            for (i = 0; i < 2; i++) {
                const prun_prunability_answer *a = &plain_.answer[i], *b = &scored.answer[i];
                CHECK(a->kept == b->kept && a->loss == b->loss && a->lower == b->lower);
                CHECK(a->upper == b->upper && a->standard_error == b->standard_error);
                CHECK(a->kept_fraction == b->kept_fraction);
            }
        }
        free(scores);
    }
    free_network(&t);
}

static double equal_or_nan(double a, double b) { return (isnan(a) && isnan(b)) || a == b; }

/* The measures of one kind against separate calls of scores and search. */
static void check_measures(const prun_objective *o, const prun_measure_options *m) {
    static const struct {
        const char *name;
        prun_score score;
    } kinds[5] = {{"prunability", PRUN_SCORE_MAGNITUDE},
                  {"prunability_taylor", PRUN_SCORE_TAYLOR},
                  {"prunability_fisher", PRUN_SCORE_FISHER},
                  {"prunability_curvature", PRUN_SCORE_CURVATURE},
                  {"prunability_lamp", PRUN_SCORE_LAMP}};
    prun_measurement *measurement = NULL;
    int k;
    if (!CHECK_STATUS(prun_measurement_create(o, m, &measurement), PRUN_OK)) return;
    for (k = 0; k < 5; k++) {
        prun_measure_result result;
        prun_prunability found;
        prun_prune_options prune;
        prun_score_options options;
        float *scores;
        memset(&options, 0, sizeof options);
        memset(&prune, 0, sizeof prune);
        memset(&found, 0, sizeof found);
        options.include_biases = prune.include_biases = m->include_biases;
        options.include_norms = prune.include_norms = m->include_norms;
        options.probes = m->draws;
        options.seed = prune.seed = m->seed;
        scores = scores_of(o, kinds[k].score, &options);
        prune.score = scores;
        CHECK_STATUS(prun_prunable_count(o, &prune, &prune.score_count), PRUN_OK);
        prune.grid = m->grid;
        prune.fractions = m->fractions;
        prune.fraction_count = m->fraction_count;
        prune.beta[0] = m->beta;
        prune.resamples = m->resamples;
        CHECK_STATUS(prun_prunability_search(o, &prune, &found), PRUN_OK);
        CHECK_STATUS(prun_measure(measurement, kinds[k].name, &result), PRUN_OK);
        if (!CHECK(result.value == found.answer[0].kept_fraction) ||
            !CHECK(equal_or_nan(result.standard_error, found.answer[0].standard_error)) ||
            !CHECK((isnan(result.standard_error) != 0) == (m->resamples == 0)))
            printf("  %s: %g +- %g\n", kinds[k].name, result.value, result.standard_error);
        free(scores);
    }
    prun_measurement_free(measurement);
}

static void measures_are_done_by_hand(void) {
    static const double fractions[5] = {0.1, 0.33, 0.5, 0.77, 0.9};
    static forwarder f;
    network t;
    prun_objective o;
    prun_measure_options m;
    if (make_network(&t)) {
        o = forwarded(&f, &t.o);
        memset(&m, 0, sizeof m);
        check_measures(&t.o, &m);
        m.beta = 0.5;
        m.grid = 30;
        m.draws = 3;
        m.seed = 12;
        m.resamples = 100;
        check_measures(&t.o, &m);
        m.include_biases = m.include_norms = 1;
        m.fractions = fractions;
        m.fraction_count = 5;
        check_measures(&o, &m);
    }
    free_network(&t);
}

/* Curvature uses hessian_samples samples; a measure that needs a missing callback says so. */
static void samples_and_levels_of_measures(void) {
    static forwarder f;
    network t;
    prun_objective o;
    prun_measure_options m;
    prun_measure_result result;
    prun_measurement *measurement = NULL;
    if (make_network(&t)) {
        o = forwarded(&f, &t.o);
        memset(&m, 0, sizeof m);
        m.grid = 5;
        m.draws = 4;
        m.hessian_samples = 13;
        CHECK_STATUS(prun_measurement_create(&o, &m, &measurement), PRUN_OK);
        CHECK_STATUS(prun_measure(measurement, "prunability_curvature", &result), PRUN_OK);
        CHECK(f.products == 4 && f.least == 13 && f.most == 13);
        prun_measurement_free(measurement);
        o.gradient = NULL;
        CHECK_STATUS(prun_measurement_create(&o, &m, &measurement), PRUN_OK);
        CHECK_STATUS(prun_measure(measurement, "prunability_fisher", &result),
                     PRUN_ERR_UNSUPPORTED);
        CHECK(isnan(result.value) && strstr(result.message, "gradient") != NULL);
        CHECK_STATUS(prun_measure(measurement, "prunability_lamp", &result), PRUN_OK);
        prun_measurement_free(measurement);
        m.fraction_count = 3;
        CHECK_STATUS(prun_measurement_create(&o, &m, &measurement), PRUN_ERR_ARGUMENT);
        check_message("fraction_count 3");
        m.fraction_count = 0;
        m.resamples = -1;
        CHECK_STATUS(prun_measurement_create(&o, &m, &measurement), PRUN_ERR_ARGUMENT);
        check_message("resamples -1");
    }
    free_network(&t);
}

static const test_case cases[] = {
    TEST_CASE(gradient_scores_of_a_net),
    TEST_CASE(calls_of_the_gradient),
    TEST_CASE(gradient_scores_of_a_quadratic_loss),
    TEST_CASE(magnitudes),
    TEST_CASE(inclusion_leaves_the_weights_scores),
    TEST_CASE(lamp_is_brute_force),
    TEST_CASE(lamp_orders_a_layer_by_magnitude),
    TEST_CASE(random_scores),
    TEST_CASE(random_scores_are_below_one),
    TEST_CASE(diagonal_of_a_diagonal_hessian),
    TEST_CASE(diagonal_by_differences),
    TEST_CASE(diagonal_of_a_net),
    TEST_CASE(standard_errors_of_the_diagonal),
    TEST_CASE(exits_of_the_diagonal),
    TEST_CASE(curvature_is_exact_for_a_diagonal_hessian),
    TEST_CASE(curvature_of_a_net),
    TEST_CASE(curvature_by_differences),
    TEST_CASE(progress_of_curvature),
    TEST_CASE(levels_that_are_missing),
    TEST_CASE(bad_options),
    TEST_CASE(options_that_are_resolved),
    TEST_CASE(values_that_are_not_finite),
    TEST_CASE(magnitudes_as_scores_change_nothing),
    TEST_CASE(measures_are_done_by_hand),
    TEST_CASE(samples_and_levels_of_measures),
};

int main(int argc, char **argv) { return TEST_MAIN("test_scores", cases, argc, argv); }
