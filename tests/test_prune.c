/* test_prune.c - section PRUNE: pruning and the prunability search against brute force over all
   candidates, on objectives whose loss is an arbitrary function of the set of kept weights; scores
   that rank the weights; intervals against a bootstrap over all candidates; exit paths that must
   restore the weights. */
#include "../prunability.h"
#include "bowl.h"
#include "test.h"

#include <float.h>
#include <stdlib.h>
#ifdef __SSE__
#include <xmmintrin.h>
#endif

enum { MAX_TENSORS = 5, MAX_WEIGHTS = 96, MAX_SAMPLES = 40, MAX_GRID = 100, MAX_CALLS = 4096 };

/* ---- an objective that only depends on which weights are zero ---- */

typedef enum loss_kind {
    KIND_PLAIN,     /* positive, varying by a factor of about two */
    KIND_WILD,      /* many orders of magnitude, and zeros */
    KIND_ZERO_BASE, /* the unpruned loss is exactly zero, as are some others */
    KIND_BROKEN,    /* some masks give NaN or infinity */
    KIND_NEGATIVE,  /* some samples below zero, their mean above for the unpruned weights */
    KIND_BELOW,     /* all samples below zero for the unpruned weights, most for others */
    KIND_SHARED,    /* the same multiple of each sample's unpruned loss */
    KIND_SLOPE,     /* falling as more is kept, at a rate that differs between samples */
    KIND_CONSTANT   /* the same for every mask */
} loss_kind;

typedef struct toy {
    float storage[MAX_WEIGHTS], original[MAX_WEIGHTS];
    int64_t offset[MAX_TENSORS + 1];
    prun_tensor tensors[MAX_TENSORS];
    int64_t tensor_count, samples;
    uint64_t seed;
    loss_kind kind;
    int64_t calls, evaluations, fail_at; /* fail_at: the call that returns fail_with; 0: none */
    prun_status fail_with;
    uint64_t masks[MAX_CALLS]; /* hash of the kept set per call, and how many were kept */
    int64_t kept[MAX_CALLS];
    int foreign; /* a weight was neither zero nor its original value: never allowed */
} toy;

static double toy_uniform(const toy *t, uint64_t stream, uint64_t i) {
    return prun_random_uniform(t->seed, stream, i);
}

static uint64_t toy_mask(toy *t, int64_t *kept) {
    uint64_t hash = 14695981039346656037u;
    int64_t i, n = 0;
    for (i = 0; i < t->offset[t->tensor_count]; i++) {
        int left = t->storage[i] != 0.0f;
        if (left && memcmp(&t->storage[i], &t->original[i], sizeof(float)) != 0) {
            t->foreign = 1;
        }
        n += left;
        hash = (hash ^ (uint64_t)(left + 1)) * 1099511628211u;
    }
    *kept = n;
    return hash;
}

static double wild_loss(const toy *t, uint64_t mask, uint64_t i, double u) {
    double pick = toy_uniform(t, mask, 1000 + i);
    if (pick < 0.3) return 0;
    return exp(40 * (u - 0.7)) * (toy_uniform(t, mask, 1) < 0.5 ? 1 : 1e-6);
}

static double toy_loss(const toy *t, uint64_t mask, int64_t kept, int64_t sample) {
    uint64_t i = (uint64_t)sample;
    double u = toy_uniform(t, mask, i + 10), level = toy_uniform(t, mask, 2);
    int whole = kept == t->offset[t->tensor_count];
    switch (t->kind) {
        case KIND_PLAIN: return u * (0.7 + level);
        case KIND_WILD: return wild_loss(t, mask, i, u);
        case KIND_ZERO_BASE: return whole || level < 0.2 ? 0 : level < 0.4 && sample > 0 ? 0 : u;
        case KIND_BROKEN:
            if (!whole && level < 0.3 && u < 0.2) return level < 0.15 ? NAN : INFINITY;
            return u * (0.7 + level);
        case KIND_NEGATIVE:
            if (whole) return sample % 2 ? -0.3 * u : 0.5 + u;
            return 0.3 + (u - 0.5) * 8 * level;
        case KIND_BELOW: return whole ? -0.4 - u : 0.4 - 2 * level - u;
        case KIND_SLOPE: {
            double left = 1 - (double)kept / (double)t->offset[t->tensor_count];
            return 0.2 + toy_uniform(t, 3, i) + 6 * left * left * (toy_uniform(t, 4, i) - 0.1);
        }
        case KIND_SHARED: return (1 + 0.25 * (double)sample) * (whole ? 1 : 0.7 + level);
        default: return 1 + 0.01 * (double)sample;
    }
}

static prun_status toy_callback(const prun_objective *objective, const int64_t *index, int64_t n,
                                double *losses, double *sum, int64_t *errors) {
    toy *t = (toy *)objective->user;
    int64_t i, kept;
    uint64_t mask = toy_mask(t, &kept);
    double total = 0;
    if (t->calls < MAX_CALLS) {
        t->masks[t->calls] = mask;
        t->kept[t->calls] = kept;
    }
    t->calls++;
    if (t->calls == t->fail_at) return t->fail_with;
    t->evaluations += n;
    for (i = 0; i < n; i++) {
        double loss = toy_loss(t, mask, kept, index != NULL ? index[i] : i);
        total += loss;
        if (losses != NULL) losses[i] = loss;
    }
    if (sum != NULL) *sum = total;
    if (errors != NULL) *errors = kept % (n + 1);
    return PRUN_OK;
}

static void toy_init(toy *t, uint64_t seed, loss_kind kind, int64_t tensors, int64_t size,
                     int64_t samples) {
    static const char *const names[MAX_TENSORS] = {"first", "second", "third", "fourth", "fifth"};
    int64_t i;
    memset(t, 0, sizeof *t);
    t->seed = seed;
    t->kind = kind;
    t->tensor_count = tensors;
    t->samples = samples;
    for (i = 0; i < tensors; i++) {
        prun_tensor *tensor = &t->tensors[i];
        tensor->data = t->storage + t->offset[i];
        tensor->name = names[i];
        tensor->flags = PRUN_TENSOR_WEIGHT;
        tensor->rank = 2;
        tensor->shape[0] = 1;
        tensor->shape[1] = 1 + size / tensors + (i * 3 + (int64_t)(seed % 3)) % 5;
        t->offset[i + 1] = t->offset[i] + tensor->shape[1];
    }
    for (i = 0; i < t->offset[tensors]; i++) {
        double w = floor(prun_random_normal(seed, 7, (uint64_t)i) * 6) / 4; /* ties on purpose */
        t->storage[i] = t->original[i] = w == 0 ? -0.125f : (float)w;
    }
}

static prun_objective toy_objective(toy *t) {
    prun_objective o;
    memset(&o, 0, sizeof o);
    o.user = t;
    o.context = &test_context;
    o.tensors = t->tensors;
    o.tensor_count = t->tensor_count;
    o.samples = t->samples;
    o.nonnegative = t->kind != KIND_NEGATIVE && t->kind != KIND_BELOW && t->kind != KIND_SLOPE;
    o.loss = toy_callback;
    return o;
}

static int toy_restored(const toy *t) {
    return memcmp(t->storage, t->original, sizeof t->storage) == 0 && !t->foreign;
}

/* ---- brute force ---- */

/* Number of candidates of the options: i/grid, or a list. If the list does not end in 1, the
   unpruned weights are an additional candidate after the last. */
static int64_t points_of(const prun_prune_options *o) {
    return o->fractions != NULL ? o->fraction_count : o->grid + 1;
}

static double fraction_at(const prun_prune_options *o, int64_t i) {
    if (i == points_of(o)) return 1;
    return o->fractions != NULL ? o->fractions[i] : (double)i / (double)o->grid;
}

/* Number of weights that candidate i keeps of n. No product of a list in this file is close to a
   half without being exactly a half. */
static int64_t rounded(const prun_prune_options *o, int64_t i, int64_t n) {
    if (i == points_of(o)) return n;
    if (o->fractions != NULL) return (int64_t)floor(o->fractions[i] * (double)n + 0.5);
    return (2 * i * n + o->grid) / (2 * o->grid);
}

/* 1 if weight a is kept before weight b: larger score (if scores are given), then larger magnitude,
   then lower index. */
static int kept_before(const float *w, const float *score, int64_t a, int64_t b) {
    float x = fabsf(w[a]), y = fabsf(w[b]);
    if (score != NULL && (score[a] > score[b] || score[a] < score[b])) return score[a] > score[b];
    return x > y || (x >= y && a < b);
}

/* Zeroes all but the `kept` first of w[0..n). */
static void keep_largest(float *w, const float *score, int64_t n, int64_t kept) {
    int64_t i, j;
    float copy[MAX_WEIGHTS];
    memcpy(copy, w, (size_t)n * sizeof(float));
    for (i = 0; i < n; i++) {
        int64_t rank = 0;
        for (j = 0; j < n; j++) {
            rank += j != i && kept_before(copy, score, j, i);
        }
        if (rank >= kept) w[i] = 0;
    }
}

/* Sets the weights to those of candidate i. */
static void prune_by_hand(toy *t, const prun_prune_options *o, int64_t i) {
    int64_t l, all = t->offset[t->tensor_count];
    memcpy(t->storage, t->original, sizeof t->storage);
    if (o->scope == PRUN_PRUNE_GLOBAL) {
        keep_largest(t->storage, o->score, all, rounded(o, i, all));
        return;
    }
    for (l = 0; l < t->tensor_count; l++) {
        int64_t at = t->offset[l], size = t->offset[l + 1] - at;
        keep_largest(t->storage + at, o->score != NULL ? o->score + at : NULL, size,
                     rounded(o, i, size));
    }
}

static double mean_loss_by_hand(toy *t, int64_t *kept) {
    uint64_t mask = toy_mask(t, kept);
    double sum = 0;
    int64_t i;
    for (i = 0; i < t->samples; i++) {
        sum += toy_loss(t, mask, *kept, i);
    }
    return sum / (double)t->samples;
}

/* Equal, counting NaN as equal to NaN. */
static int same_loss(double a, double b) {
    if (isnan(a) || isnan(b)) return isnan(a) && isnan(b);
    return a == b || fabs(a - b) <= 1e-12 * fabs(b) + 1e-13;
}

/* The same bits, or both NaN. */
static int same_bits(double a, double b) {
    return (isnan(a) && isnan(b)) || memcmp(&a, &b, sizeof a) == 0;
}

static void check_curve_by_hand(toy *t, const prun_prune_options *o, const double *losses) {
    int64_t i, kept;
    for (i = 0; i < points_of(o); i++) {
        prune_by_hand(t, o, i);
        CHECK(same_loss(losses[i], mean_loss_by_hand(t, &kept)));
    }
    memcpy(t->storage, t->original, sizeof t->storage);
}

/* The smallest i whose loss is within the threshold; else that of the unpruned weights. */
static int64_t smallest_feasible(const double *losses, const prun_prune_options *o,
                                 double threshold) {
    int64_t i;
    for (i = 0; i < points_of(o) && fraction_at(o, i) < 1; i++) {
        if (losses[i] <= threshold) return i;
    }
    return i;
}

static int64_t kept_at(const toy *t, const prun_prune_options *o, int64_t i) {
    int64_t l, kept = 0;
    if (o->scope == PRUN_PRUNE_GLOBAL) return rounded(o, i, t->offset[t->tensor_count]);
    for (l = 0; l < t->tensor_count; l++) {
        kept += rounded(o, i, t->offset[l + 1] - t->offset[l]);
    }
    return kept;
}

static double tolerated(double base, double beta) { return base + beta * fabs(base); }

static void check_answers(toy *t, const prun_prune_options *o, const prun_prunability *r,
                          const double *losses) {
    double base;
    int64_t whole;
    int32_t b;
    base = mean_loss_by_hand(t, &whole);
    CHECK(r->answer_count == o->beta_count && r->grid == (o->fractions != NULL ? 0 : o->grid));
    CHECK(r->prunable == t->offset[t->tensor_count] && r->prunable_tensors == t->tensor_count);
    CHECK(same_loss(r->base_loss, base));
    for (b = 0; b < o->beta_count; b++) {
        const prun_prunability_answer *a = &r->answer[b];
        int64_t i = smallest_feasible(losses, o, tolerated(base, o->beta[b]));
        CHECK(a->beta == o->beta[b]);
        CHECK_CLOSE(a->threshold, tolerated(base, o->beta[b]), 0, 1e-12);
        CHECK(a->kept_fraction == fraction_at(o, i));
        CHECK(a->kept == kept_at(t, o, i));
        CHECK(same_loss(a->loss, fraction_at(o, i) < 1 ? losses[i] : base));
        if (o->resamples == 0)
            CHECK(isnan(a->lower) && isnan(a->upper) && isnan(a->standard_error));
    }
}

static void check_layer_kept(const toy *t, const prun_objective *objective,
                             const prun_prune_options *o, const prun_prunability *r) {
    double fractions[MAX_TENSORS];
    int64_t l, b;
    for (b = 0; b < o->beta_count; b++) {
        double kept = 0;
        CHECK_STATUS(
            prun_prune_layer_fractions(objective, r->answer[b].kept_fraction, o, fractions),
            PRUN_OK);
        CHECK(toy_restored(t));
        for (l = 0; l < t->tensor_count; l++) {
            double fraction = fractions[l];
            CHECK(fraction >= 0 && fraction <= 1);
            kept += fraction * (double)(t->offset[l + 1] - t->offset[l]);
        }
        CHECK_CLOSE(kept, r->answer[b].kept, 1e-9, 0);
    }
}

static prun_prune_options draw_options(const toy *t) {
    static const double betas[PRUN_MAX_BETAS] = {0.2, 0.05, 1, 0.1, 0.5, 0.01, 3, 0.1};
    prun_prune_options o;
    int32_t b;
    memset(&o, 0, sizeof o);
    o.method = toy_uniform(t, 50, 0) < 0.6 ? PRUN_PRUNE_MAGNITUDE : PRUN_PRUNE_RANDOM;
    o.scope = toy_uniform(t, 50, 1) < 0.6 ? PRUN_PRUNE_GLOBAL : PRUN_PRUNE_PER_LAYER;
    o.grid = 1 + (int64_t)(toy_uniform(t, 50, 2) * 40);
    o.beta_count = 1 + (int32_t)(toy_uniform(t, 50, 3) * PRUN_MAX_BETAS);
    o.repetitions = 1 + (int64_t)(toy_uniform(t, 50, 4) * 4);
    o.seed = t->seed;
    for (b = 0; b < o.beta_count; b++) {
        o.beta[b] = betas[(b + (int32_t)(t->seed % 5)) % PRUN_MAX_BETAS];
    }
    return o;
}

static void toy_draw(toy *t, uint64_t seed, loss_kind kind) {
    toy_init(t, seed, kind, 1 + (int64_t)(seed % MAX_TENSORS), 2 + (int64_t)(seed * 7 % 60),
             1 + (int64_t)(seed * 5 % MAX_SAMPLES));
}

/* The curve, the search and the layers' fractions, against brute force. */
static void search_with(toy *t, const prun_prune_options *options) {
    const prun_objective objective = toy_objective(t);
    double losses[MAX_GRID + 1];
    prun_prunability result;
    memset(&result, 0, sizeof result);
    CHECK_STATUS(prun_loss_curve(&objective, options, losses, NULL), PRUN_OK);
    CHECK(toy_restored(t));
    if (options->method == PRUN_PRUNE_MAGNITUDE) check_curve_by_hand(t, options, losses);
    t->evaluations = 0;
    CHECK_STATUS(prun_prunability_search(&objective, options, &result), PRUN_OK);
    CHECK(toy_restored(t));
    CHECK_CLOSE(result.passes * (double)t->samples, t->evaluations, 1e-6, 0);
    check_answers(t, options, &result, losses);
    check_layer_kept(t, &objective, options, &result);
}

static void search_once(uint64_t seed, loss_kind kind) {
    prun_prune_options options;
    toy t;
    toy_draw(&t, seed, kind);
    options = draw_options(&t);
    search_with(&t, &options);
}

static void search_cases(loss_kind kind, int count) {
    int i;
    for (i = 0; i < count; i++) {
        search_once((uint64_t)i * 31 + (uint64_t)kind, kind);
    }
}

static void search_equals_brute_force(void) { search_cases(KIND_PLAIN, 1500); }

static void search_with_wild_losses(void) { search_cases(KIND_WILD, 800); }

static void search_with_zero_base_loss(void) { search_cases(KIND_ZERO_BASE, 500); }

static void search_with_broken_candidates(void) { search_cases(KIND_BROKEN, 800); }

static void search_with_negative_losses(void) {
    search_cases(KIND_NEGATIVE, 500);
    search_cases(KIND_BELOW, 500);
}

/* Everything can be pruned: the empty network is as good as the whole one. */
static void search_with_constant_loss(void) {
    prun_prunability result;
    prun_objective objective;
    toy t;
    search_cases(KIND_CONSTANT, 50);
    toy_init(&t, 3, KIND_CONSTANT, 2, 20, 10);
    objective = toy_objective(&t);
    memset(&result, 0, sizeof result);
    CHECK_STATUS(prun_prunability_search(&objective, NULL, &result), PRUN_OK);
    CHECK(result.answer[0].kept == 0 && result.answer[0].kept_fraction == 0);
    CHECK(result.grid == 100 && result.answer_count == 1 && result.answer[0].beta == 0.1);
}

/* Whether losses may be negative only affects the cost. */
static void early_exit_changes_no_answer(void) {
    static const loss_kind kinds[3] = {KIND_PLAIN, KIND_WILD, KIND_BROKEN};
    double early_passes = 0, full_passes = 0;
    int i;
    for (i = 0; i < 300; i++) {
        prun_prunability early, full;
        prun_prune_options options;
        prun_objective objective;
        int32_t b;
        toy t;
        toy_init(&t, (uint64_t)i + 900, kinds[i % 3], 2, 30, 37);
        objective = toy_objective(&t);
        options = draw_options(&t);
        options.repetitions = 0;
        memset(&early, 0, sizeof early);
        full = early;
        CHECK_STATUS(prun_prunability_search(&objective, &options, &early), PRUN_OK);
        objective.nonnegative = 0;
        CHECK_STATUS(prun_prunability_search(&objective, &options, &full), PRUN_OK);
        for (b = 0; b < options.beta_count; b++) {
            CHECK(early.answer[b].kept == full.answer[b].kept);
            CHECK(early.answer[b].kept_fraction == full.answer[b].kept_fraction);
            CHECK(same_loss(early.answer[b].loss, full.answer[b].loss));
        }
        CHECK(early.passes <= full.passes);
        early_passes += early.passes;
        full_passes += full.passes;
    }
    CHECK(early_passes < full_passes);
}

/* ---- the binary logistic example, whose losses are known ---- */

typedef struct logistic {
    float w[4];
    prun_tensor tensor;
    int64_t evaluations;
} logistic;

static prun_status logistic_loss(const prun_objective *objective, const int64_t *index, int64_t n,
                                 double *losses, double *sum, int64_t *errors) {
    static const double x[3][4] = {{1, 2, 1, 2}, {2, 2, 0, -1}, {1, 2, 2, -2}};
    static const double side[3] = {1, 1, -1};
    logistic *l = (logistic *)objective->user;
    int64_t i, j, wrong = 0;
    double total = 0;
    for (i = 0; i < n; i++) {
        int64_t s = index != NULL ? index[i] : i;
        double score = 0, loss;
        for (j = 0; j < 4; j++) {
            score += (double)l->w[j] * x[s][j];
        }
        loss = log1p(exp(-side[s] * score));
        total += loss;
        wrong += side[s] * score <= 0;
        if (losses != NULL) losses[i] = loss;
    }
    l->evaluations += n;
    if (sum != NULL) *sum = total;
    if (errors != NULL) *errors = wrong;
    return PRUN_OK;
}

static prun_objective logistic_objective(logistic *l) {
    static const float w[4] = {2, -1, .5f, .25f};
    prun_objective o;
    memset(l, 0, sizeof *l);
    memcpy(l->w, w, sizeof w);
    l->tensor.data = l->w;
    l->tensor.name = "w";
    l->tensor.rank = 1;
    l->tensor.shape[0] = 4;
    l->tensor.flags = PRUN_TENSOR_WEIGHT;
    memset(&o, 0, sizeof o);
    o.user = l;
    o.context = &test_context;
    o.tensors = &l->tensor;
    o.tensor_count = 1;
    o.samples = 3;
    o.classes = 2;
    o.nonnegative = 1;
    o.loss = logistic_loss;
    return o;
}

static void logistic_example(void) {
    static const double want[5] = {0.693147180559945, 0.757335316667918, 0.504407457387621,
                                   0.638088894247101, 0.482520940712139};
    double losses[5], errors[5], layer_kept[1];
    logistic l;
    prun_objective objective = logistic_objective(&l);
    prun_prune_options options;
    prun_prunability result;
    int i;
    memset(&options, 0, sizeof options);
    memset(&result, 0, sizeof result);
    options.grid = 4;
    CHECK_STATUS(prun_loss_curve(&objective, &options, losses, errors), PRUN_OK);
    for (i = 0; i < 5; i++) {
        CHECK_CLOSE(losses[i], want[i], 0, 1e-13);
    }
    CHECK_CLOSE(errors[0], 1, 1e-15, 0);
    CHECK_CLOSE(errors[1], 1 / 3.0, 1e-15, 0);
    l.evaluations = 0;
    CHECK_STATUS(prun_prunability_search(&objective, &options, &result), PRUN_OK);
    CHECK(result.answer[0].kept == 2 && result.answer[0].kept_fraction == 0.5);
    CHECK_CLOSE(result.answer[0].threshold, 0.5307730347833528, 0, 1e-13);
    CHECK_CLOSE(result.answer[0].loss, want[2], 0, 1e-13);
    CHECK_CLOSE(result.base_loss, want[4], 0, 1e-13);
    CHECK_STATUS(prun_prune_layer_fractions(&objective, 0.5, &options, layer_kept), PRUN_OK);
    CHECK(layer_kept[0] == 0.5);
    CHECK(result.prunable == 4 && result.prunable_tensors == 1);
    CHECK_CLOSE(result.passes * 3, l.evaluations, 1e-9, 0);
    CHECK(result.passes <= 4); /* base, and the candidates with 0, 1 and 2 weights */
    CHECK(l.w[0] == 2 && l.w[1] == -1 && l.w[2] == .5f && l.w[3] == .25f);
}

/* beta 0 requires the unpruned loss itself, which the whole network has to the last bit. */
static void logistic_example_other_betas(void) {
    logistic l;
    prun_objective objective = logistic_objective(&l);
    prun_prune_options options;
    prun_prunability result;
    memset(&options, 0, sizeof options);
    memset(&result, 0, sizeof result);
    options.grid = 4;
    options.beta_count = 4;
    options.beta[0] = 0.44; /* thresholds 0.6948, 0.4825, 0.5018, 0.5067 */
    options.beta[1] = 0;
    options.beta[2] = 0.04;
    options.beta[3] = 0.05;
    CHECK_STATUS(prun_prunability_search(&objective, &options, &result), PRUN_OK);
    CHECK(result.answer[0].kept == 0);
    CHECK(result.answer[1].kept == 4);
    CHECK(result.answer[2].kept == 4);
    CHECK(result.answer[3].kept == 2);
}

/* ---- counts, ties, prunable tensors ---- */

static void kept_count_rule(void) {
    int64_t i, n, count;
    for (n = 1; n <= 100; n += 9) {
        for (count = 0; count <= 60; count += 3) {
            int64_t last = 0;
            for (i = 0; i <= n; i++) {
                int64_t kept = prun_kept_count(i, n, count);
                CHECK(kept == (2 * i * count + n) / (2 * n));
                CHECK(kept >= last && kept <= count);
                last = kept;
            }
            CHECK(prun_kept_count(0, n, count) == 0 && last == count);
        }
    }
    CHECK(prun_kept_count(1, 2, 5) == 3); /* halves round up */
    CHECK(prun_kept_count(1, 100, 150) == 2);
    CHECK(prun_kept_count(1, 100, 49) == 0);
    CHECK(prun_kept_count(37, 100, 1000000000000) == 370000000000);
}

static void ties_keep_the_lower_index(void) {
    int64_t kept, i;
    for (kept = 0; kept <= 8; kept++) {
        static const float weights[8] = {1, -2, 2, -1, 1, 2, -2, 0.5f};
        static const int order[8] = {1, 2, 5, 6, 0, 3, 4, 7};
        int64_t left = -1;
        prun_objective objective;
        toy t;
        toy_init(&t, 1, KIND_PLAIN, 2, 6, 1);
        memset(t.storage, 0, sizeof t.storage);
        t.offset[1] = t.tensors[0].shape[1] = 3;
        t.offset[2] = 8;
        t.tensors[1].data = t.storage + 3;
        t.tensors[1].shape[1] = 5;
        memcpy(t.storage, weights, sizeof weights);
        objective = toy_objective(&t);
        CHECK_STATUS(prun_prune(&objective, (double)kept / 8, NULL, &left), PRUN_OK);
        CHECK(left == kept);
        for (i = 0; i < 8; i++) {
            int j = order[i];
            CHECK(t.storage[j] == (i < kept ? weights[j] : 0));
        }
    }
}

static void prune_keeps_exactly_the_largest(void) {
    int i;
    for (i = 0; i < 200; i++) {
        prun_prune_options options;
        prun_objective objective;
        int64_t kept = -1, want, step = i % 11;
        float expected[MAX_WEIGHTS];
        toy t;
        toy_init(&t, (uint64_t)i, KIND_PLAIN, 1 + i % MAX_TENSORS, 5 + i % 40, 4);
        memset(&options, 0, sizeof options);
        options.scope = i % 2 ? PRUN_PRUNE_PER_LAYER : PRUN_PRUNE_GLOBAL;
        options.grid = 10;
        prune_by_hand(&t, &options, step);
        memcpy(expected, t.storage, sizeof expected);
        memcpy(t.storage, t.original, sizeof expected);
        objective = toy_objective(&t);
        want = kept_at(&t, &options, step);
        CHECK_STATUS(prun_prune(&objective, (double)step / 10, &options, &kept), PRUN_OK);
        CHECK(kept == want);
        CHECK(memcmp(t.storage, expected, sizeof expected) == 0);
        CHECK(t.calls == 0);
    }
}

/* Permanent random pruning gives the same weights as the curve's first permutation at that
   fraction. */
static void prune_at_random_is_the_first_permutation(void) {
    int64_t i;
    for (i = 0; i <= 10; i++) {
        double losses[11];
        prun_prune_options options;
        prun_objective objective;
        int64_t kept = -1, again;
        toy t;
        toy_init(&t, 12, KIND_PLAIN, 3, 40, 5);
        memset(&options, 0, sizeof options);
        options.method = PRUN_PRUNE_RANDOM;
        options.grid = 10;
        options.repetitions = 1;
        options.seed = 99;
        objective = toy_objective(&t);
        CHECK_STATUS(prun_loss_curve(&objective, &options, losses, NULL), PRUN_OK);
        options.repetitions = 7;
        CHECK_STATUS(prun_prune(&objective, (double)i / 10, &options, &kept), PRUN_OK);
        CHECK(kept == prun_kept_count(i, 10, t.offset[3]));
        CHECK(same_loss(losses[i], mean_loss_by_hand(&t, &again)) && again == kept);
    }
}

static int has_mask(const toy *t, uint64_t mask) {
    int64_t i;
    for (i = 0; i < t->calls && i < MAX_CALLS; i++) {
        if (t->masks[i] == mask) return 1;
    }
    return 0;
}

/* The kept sets of one permutation are nested, and another seed or repetition gives other sets. */
static void random_masks(void) {
    double losses[11], others[11];
    float last[MAX_WEIGHTS];
    prun_prune_options options;
    prun_objective objective;
    int64_t i, j, kept;
    toy t, u;
    toy_init(&t, 5, KIND_PLAIN, 2, 50, 3);
    memset(&options, 0, sizeof options);
    options.method = PRUN_PRUNE_RANDOM;
    options.grid = 10;
    memcpy(last, t.original, sizeof last);
    for (i = 10; i >= 0; i--) {
        objective = toy_objective(&t);
        memcpy(t.storage, t.original, sizeof t.storage);
        CHECK_STATUS(prun_prune(&objective, (double)i / 10, &options, &kept), PRUN_OK);
        for (j = 0; j < t.offset[2]; j++) {
            CHECK(t.storage[j] == 0 || t.storage[j] == last[j]);
        }
        memcpy(last, t.storage, sizeof last);
    }
    memcpy(t.storage, t.original, sizeof t.storage);
    u = t;
    for (i = 0; i < 2; i++) { /* the tensors of u must point into u */
        u.tensors[i].data = u.storage + u.offset[i];
    }
    options.repetitions = 2;
    CHECK_STATUS(prun_loss_curve(&objective, &options, losses, NULL), PRUN_OK);
    options.seed = 1;
    objective = toy_objective(&u);
    CHECK_STATUS(prun_loss_curve(&objective, &options, others, NULL), PRUN_OK);
    for (i = 1, j = 0; i < 10; i++) {
        j += losses[i] != others[i];
    }
    CHECK(j == 9); /* there are at least 50 choose 5 sets: two seeds share none */
    for (i = 0, j = 0; i < t.calls && i < MAX_CALLS; i++) {
        j += t.kept[i] > 0 && t.kept[i] < t.offset[2] && has_mask(&u, t.masks[i]);
    }
    CHECK(j == 0);
}

static void biases_and_norms_on_request(void) {
    static const uint32_t flags[4] = {PRUN_TENSOR_WEIGHT, PRUN_TENSOR_BIAS, PRUN_TENSOR_NORM,
                                      PRUN_TENSOR_WEIGHT};
    int choice, i;
    for (choice = 0; choice < 4; choice++) {
        double losses[5];
        prun_prune_options options;
        prun_prunability result;
        prun_objective objective;
        int64_t prunable = 0, tensors = 0, kept, count = -1;
        toy t;
        toy_init(&t, 8, KIND_CONSTANT, 4, 40, 6);
        memset(&options, 0, sizeof options);
        memset(&result, 0, sizeof result);
        options.include_biases = choice & 1;
        options.include_norms = choice >> 1;
        options.grid = 4;
        for (i = 0; i < 4; i++) {
            int in = flags[i] == PRUN_TENSOR_WEIGHT ||
                     (flags[i] == PRUN_TENSOR_BIAS && (choice & 1)) ||
                     (flags[i] == PRUN_TENSOR_NORM && choice >> 1);
            t.tensors[i].flags = flags[i];
            tensors += in;
            prunable += in ? t.tensors[i].shape[1] : 0;
        }
        objective = toy_objective(&t);
        CHECK_STATUS(prun_prunable_count(&objective, &options, &count), PRUN_OK);
        CHECK(count == prunable);
        CHECK_STATUS(prun_prunability_search(&objective, &options, &result), PRUN_OK);
        CHECK(result.prunable == prunable && result.prunable_tensors == tensors);
        CHECK_STATUS(prun_loss_curve(&objective, &options, losses, NULL), PRUN_OK);
        CHECK(toy_restored(&t));
        CHECK_STATUS(prun_prune(&objective, 0, &options, &kept), PRUN_OK);
        toy_mask(&t, &kept);
        CHECK(kept == t.offset[4] - prunable);
        CHECK((t.storage[t.offset[1]] == 0) == (choice & 1));
        CHECK((t.storage[t.offset[2]] == 0) == (choice >> 1));
    }
}

/* Per-layer kept fractions of a global magnitude ranking, compared with the ranking itself. */
static void layer_fractions_of_a_global_ranking(void) {
    int c;
    for (c = 0; c < 60; c++) {
        double layer_kept[3];
        prun_prune_options options;
        prun_prunability result;
        prun_objective objective;
        int64_t l, i;
        toy t;
        toy_init(&t, (uint64_t)c + 40, KIND_PLAIN, 3, 50, 9);
        memset(&options, 0, sizeof options);
        memset(&result, 0, sizeof result);
        options.grid = 20;
        objective = toy_objective(&t);
        CHECK_STATUS(prun_prunability_search(&objective, &options, &result), PRUN_OK);
        CHECK_STATUS(prun_prune_layer_fractions(&objective, result.answer[0].kept_fraction,
                                                &options, layer_kept),
                     PRUN_OK);
        prune_by_hand(&t, &options, lround(20 * result.answer[0].kept_fraction));
        for (l = 0; l < 3; l++) {
            int64_t left = 0;
            for (i = t.offset[l]; i < t.offset[l + 1]; i++) {
                left += t.storage[i] != 0;
            }
            CHECK_CLOSE(layer_kept[l], (double)left / (double)(t.offset[l + 1] - t.offset[l]),
                        1e-12, 0);
        }
    }
}

/* ---- given kept fractions ---- */

/* An x with i x = 1 modulo n, for i and n without a common divisor. */
static int64_t inverse(int64_t i, int64_t n) {
    int64_t a = n, b = i % n, x = 0, y = 1;
    while (b > 0) {
        int64_t q = a / b, next = a % b, z = x - q * y;
        a = b;
        b = next;
        x = y;
        y = z;
    }
    return a == 1 ? (x + n) % n : 1;
}

static void check_kept_at(int64_t i, int64_t n, int64_t count) {
    int64_t kept = prun_kept_count_at((double)i / (double)n, count);
    if (!CHECK(kept == prun_kept_count(i, n, count)) && test_failures <= TEST_SHOWN)
        printf("  %lld/%lld of %lld: %lld\n", (long long)i, (long long)n, (long long)count,
               (long long)kept);
}

/* A random number of at most `most`, with every binary length equally likely. */
static int64_t some_number(uint64_t stream, uint64_t k, int64_t most) {
    double u = prun_random_uniform(77, stream, k);
    return (int64_t)exp2(u * log2((double)most + 1)) - (u < 0.03);
}

/* i/n as a double keeps as many weights as the grid does, also where i count / n is a half or close
   to it. */
static void kept_counts_of_fractions_are_the_grids(void) {
    enum { COUNTS = 60, DRAWS = 200000 };
    int64_t i, n, k, near;
    for (n = 1; n <= 300; n++)
        for (k = 0; k < COUNTS; k++) {
            int64_t count = k < 20       ? k
                            : k == 20    ? 2147483647
                            : k % 2 == 0 ? n * some_number(1, (uint64_t)(n * COUNTS + k), 7000000)
                                         : some_number(2, (uint64_t)(n * COUNTS + k), 2147483647);
            for (i = 0; i <= n; i++) check_kept_at(i, n, count);
        }
    for (k = 0; k < DRAWS; k++) {
        int64_t count = some_number(4, (uint64_t)k, 2147483647);
        n = 1 + some_number(5, (uint64_t)k, (1 << 18) - 1);
        i = (int64_t)(prun_random_bits(77, 6, (uint64_t)k) % (uint64_t)(n + 1));
        check_kept_at(i, n, count);
        if (i == 0) continue;
        for (near = -1; near <= 2; near++) { /* i count = n/2, or nearly, modulo n */
            int64_t rest = (inverse(i, n) * ((n / 2 + near + n) % n)) % n;
            check_kept_at(i, n, rest);
            check_kept_at(i, n, rest + (2147483647 - rest) / n * n);
            check_kept_at(i, n, rest + count / n * n <= 2147483647 ? rest + count / n * n : rest);
        }
    }
    CHECK(prun_kept_count_at(0, 2147483647) == 0 &&
          prun_kept_count_at(1, 2147483647) == 2147483647);
    CHECK(prun_kept_count_at(0.5, 5) == 3); /* halves round up */
    CHECK(prun_kept_count_at(0.29, 50) == 15 && prun_kept_count_at(0.2899, 50) == 14);
    CHECK(prun_kept_count_at(0.015, 100) == 2 && prun_kept_count_at(0.3, 0) == 0);
    CHECK(prun_kept_count_at(0.37, 1000000000000) == 370000000000);
}

static void check_same_answers(const prun_prunability *a, const prun_prunability *b) {
    int64_t i;
    CHECK(same_bits(a->base_loss, b->base_loss) && a->answer_count == b->answer_count);
    for (i = 0; i < a->answer_count; i++) {
        const prun_prunability_answer *x = &a->answer[i], *y = &b->answer[i];
        CHECK(same_bits(x->beta, y->beta) && same_bits(x->threshold, y->threshold));
        CHECK(same_bits(x->kept_fraction, y->kept_fraction) && x->kept == y->kept);
        CHECK(same_bits(x->loss, y->loss));
    }
}

/* The list of all i/n gives the same bits as the grid n. */
static void fractions_of_a_grid_are_the_grid(void) {
    int i;
    for (i = 0; i < 1200; i++) {
        double fractions[MAX_GRID + 1], losses[2][MAX_TENSORS * (MAX_GRID + 1)];
        double errors[2][MAX_GRID + 1];
        float scores[MAX_WEIGHTS];
        prun_prunability found[2];
        prun_prune_options options[2];
        prun_objective objective;
        int64_t k, n, l;
        toy t;
        toy_draw(&t, (uint64_t)i * 13 + 5, (loss_kind)(i % (KIND_CONSTANT + 1)));
        objective = toy_objective(&t);
        options[0] = draw_options(&t);
        n = options[0].grid = 1 + (int64_t)(toy_uniform(&t, 51, 0) * MAX_GRID);
        options[0].resamples = i % 3 == 0 ? 20 : 0;
        for (k = 0; k < MAX_WEIGHTS; k++)
            scores[k] = (float)floor(toy_uniform(&t, 52, (uint64_t)k) * 9 - 4);
        if (options[0].method == PRUN_PRUNE_MAGNITUDE && i % 2) {
            options[0].score = scores;
            options[0].score_count = t.offset[t.tensor_count];
        }
        for (k = 0; k <= n; k++) fractions[k] = (double)k / (double)n;
        options[1] = options[0];
        options[1].grid = 3; /* which is not used */
        options[1].fractions = fractions;
        options[1].fraction_count = n + 1;
        memset(losses, 0, sizeof losses);
        memset(found, 0, sizeof found);
        for (k = 0; k < 2; k++) {
            CHECK_STATUS(prun_prunability_search(&objective, &options[k], &found[k]), PRUN_OK);
            CHECK_STATUS(prun_loss_curve(&objective, &options[k], losses[k], errors[k]), PRUN_OK);
        }
        check_same_answers(&found[0], &found[1]);
        CHECK(found[0].grid == n && found[1].grid == 0);
        CHECK(same_bits(found[0].passes, found[1].passes));
        for (l = 0; l < found[0].answer_count; l++) {
            const prun_prunability_answer *x = &found[0].answer[l], *y = &found[1].answer[l];
            CHECK(same_bits(x->lower, y->lower) && same_bits(x->upper, y->upper));
            CHECK(same_bits(x->standard_error, y->standard_error));
            CHECK((isnan(x->lower) != 0) == (options[0].resamples == 0));
        }
        for (k = 0; k <= n; k++) {
            CHECK(same_bits(losses[0][k], losses[1][k]));
            CHECK(same_bits(errors[0][k], errors[1][k]));
        }
        for (k = 0; k < 2; k++)
            CHECK_STATUS(prun_loss_curve_by_layer(&objective, &options[k], losses[k]), PRUN_OK);
        for (k = 0; k < t.tensor_count * (n + 1); k++) CHECK(same_bits(losses[0][k], losses[1][k]));
        CHECK(toy_restored(&t));
    }
}

/* A rising list, with and without 0 and 1; returns its length. */
static int64_t draw_fractions(const toy *t, double *fractions) {
    int64_t i, n = 1 + (int64_t)(toy_uniform(t, 60, 0) * 30);
    double sum = 0;
    for (i = 0; i < n; i++) {
        sum += 0.001 + toy_uniform(t, 61, (uint64_t)i) * toy_uniform(t, 62, (uint64_t)i);
        fractions[i] = sum;
    }
    sum += 0.001 + toy_uniform(t, 60, 1);
    for (i = 0; i < n; i++) fractions[i] /= sum;
    if (toy_uniform(t, 60, 2) < 0.5) fractions[0] = 0;
    if (toy_uniform(t, 60, 3) < 0.5 && n > 1) fractions[n - 1] = 1;
    if (toy_uniform(t, 60, 4) < 0.1) {
        n = 1;
        fractions[0] = toy_uniform(t, 60, 5) < 0.5 ? 1 : 0;
    }
    return n;
}

static void search_with_fractions(void) {
    int i;
    for (i = 0; i < 4000; i++) {
        double fractions[MAX_GRID + 1];
        prun_prune_options options;
        toy t;
        toy_draw(&t, (uint64_t)i * 17 + 3, (loss_kind)(i % (KIND_CONSTANT + 1)));
        options = draw_options(&t);
        options.fractions = fractions;
        options.fraction_count = draw_fractions(&t, fractions);
        search_with(&t, &options);
    }
}

/* A permutation's curve at given fractions, compared one by one. */
static void random_pruning_at_fractions(void) {
    int i;
    for (i = 0; i < 60; i++) {
        double fractions[MAX_GRID + 1], losses[MAX_GRID + 1], layers[MAX_TENSORS];
        prun_prune_options options;
        prun_objective objective;
        int64_t k, l, kept, left;
        toy t;
        toy_draw(&t, (uint64_t)i * 19 + 1, KIND_PLAIN);
        objective = toy_objective(&t);
        options = draw_options(&t);
        options.method = PRUN_PRUNE_RANDOM;
        options.repetitions = 1;
        options.fractions = fractions;
        options.fraction_count = draw_fractions(&t, fractions);
        CHECK_STATUS(prun_loss_curve(&objective, &options, losses, NULL), PRUN_OK);
        for (k = 0; k < options.fraction_count; k++) {
            double parts = 0;
            CHECK_STATUS(prun_prune_layer_fractions(&objective, fractions[k], &options, layers),
                         PRUN_OK);
            CHECK_STATUS(prun_prune(&objective, fractions[k], &options, &kept), PRUN_OK);
            CHECK(same_loss(losses[k], mean_loss_by_hand(&t, &left)));
            CHECK(left == kept && kept == kept_at(&t, &options, k));
            for (l = 0; l < t.tensor_count; l++)
                parts += layers[l] * (double)(t.offset[l + 1] - t.offset[l]);
            CHECK_CLOSE(parts, kept, 1e-9, 0);
            memcpy(t.storage, t.original, sizeof t.storage);
        }
    }
}

/* Layer profile over a list without 1. */
static void layer_profile_at_fractions(void) {
    static const double fractions[3] = {0.2, 0.55, 0.9};
    int i;
    for (i = 0; i < 100; i++) {
        double losses[MAX_TENSORS * 3];
        prun_prune_options options;
        prun_objective objective;
        int64_t l, k, kept;
        toy t;
        toy_draw(&t, (uint64_t)i * 23 + 2, KIND_PLAIN);
        objective = toy_objective(&t);
        memset(&options, 0, sizeof options);
        options.fractions = fractions;
        options.fraction_count = 3;
        CHECK_STATUS(prun_loss_curve_by_layer(&objective, &options, losses), PRUN_OK);
        CHECK(toy_restored(&t));
        for (l = 0; l < t.tensor_count; l++)
            for (k = 0; k < 3; k++) {
                int64_t size = t.offset[l + 1] - t.offset[l];
                keep_largest(t.storage + t.offset[l], NULL, size, rounded(&options, k, size));
                CHECK(same_loss(losses[3 * l + k], mean_loss_by_hand(&t, &kept)));
                memcpy(t.storage, t.original, sizeof t.storage);
            }
    }
}

/* ---- scores ---- */

/* By seed: special values (both zeros, infinities, subnormals), few distinct ones, or continuous
   ones. */
static void draw_scores(const toy *t, float *scores) {
    static const float odd[12] = {0.0f,   -0.0f,   INFINITY, -INFINITY, 1.0f,     -1.0f,
                                  1e-45f, -1e-45f, 3e38f,    -3e38f,    1.00001f, -1.00001f};
    int64_t i;
    int kind = (int)(t->seed % 3);
    for (i = 0; i < MAX_WEIGHTS; i++) {
        double u = toy_uniform(t, 70, (uint64_t)i);
        scores[i] = kind == 0   ? odd[(int)(u * 12)]
                    : kind == 1 ? (float)(floor(u * 5) - 2)
                                : (float)(u - 0.5);
    }
}

static void scores_rank_the_weights(void) {
    int i;
    for (i = 0; i < 1500; i++) {
        double fractions[MAX_GRID + 1];
        float scores[MAX_WEIGHTS], expected[MAX_WEIGHTS];
        prun_prune_options options;
        prun_objective objective;
        int64_t kept, k;
        toy t;
        toy_draw(&t, (uint64_t)i * 29 + 7, (loss_kind)(i % (KIND_CONSTANT + 1)));
        draw_scores(&t, scores);
        options = draw_options(&t);
        options.method = PRUN_PRUNE_MAGNITUDE;
        options.score = scores;
        options.score_count = t.offset[t.tensor_count];
        if (i % 2) {
            options.fractions = fractions;
            options.fraction_count = draw_fractions(&t, fractions);
        }
        search_with(&t, &options);
        objective = toy_objective(&t);
        for (k = 0; k < points_of(&options); k += 1 + k / 3) {
            prune_by_hand(&t, &options, k);
            memcpy(expected, t.storage, sizeof expected);
            memcpy(t.storage, t.original, sizeof expected);
            CHECK_STATUS(prun_prune(&objective, fraction_at(&options, k), &options, &kept),
                         PRUN_OK);
            CHECK(memcmp(t.storage, expected, sizeof expected) == 0);
            CHECK(kept == kept_at(&t, &options, k));
            memcpy(t.storage, t.original, sizeof expected);
        }
    }
}

/* Equal scores leave the ranking by magnitude; magnitudes as scores change nothing. */
static void scores_that_change_nothing(void) {
    int i;
    for (i = 0; i < 300; i++) {
        double losses[2][MAX_GRID + 1];
        float scores[MAX_WEIGHTS];
        prun_prunability found[2];
        prun_prune_options options;
        prun_objective objective;
        int64_t k;
        toy t;
        toy_draw(&t, (uint64_t)i * 37 + 4, (loss_kind)(i % (KIND_CONSTANT + 1)));
        objective = toy_objective(&t);
        options = draw_options(&t);
        options.method = PRUN_PRUNE_MAGNITUDE;
        memset(found, 0, sizeof found);
        CHECK_STATUS(prun_prunability_search(&objective, &options, &found[0]), PRUN_OK);
        CHECK_STATUS(prun_loss_curve(&objective, &options, losses[0], NULL), PRUN_OK);
        for (k = 0; k < MAX_WEIGHTS; k++)
            scores[k] = i % 3 == 0   ? fabsf(t.original[k])
                        : i % 3 == 1 ? -2.5f
                                     : (k % 2 ? 0.0f : -0.0f);
        options.score = scores;
        options.score_count = t.offset[t.tensor_count];
        CHECK_STATUS(prun_prunability_search(&objective, &options, &found[1]), PRUN_OK);
        CHECK_STATUS(prun_loss_curve(&objective, &options, losses[1], NULL), PRUN_OK);
        check_same_answers(&found[0], &found[1]);
        CHECK(found[0].passes == found[1].passes);
        for (k = 0; k <= options.grid; k++) CHECK(same_bits(losses[0][k], losses[1][k]));
    }
}

/* ---- intervals ---- */

/* Random numbers that do not come from the library. */
static uint64_t own_state = 88172645463325252u;

static int64_t own_pick(int64_t n) {
    own_state ^= own_state << 13;
    own_state ^= own_state >> 7;
    own_state ^= own_state << 17;
    return (int64_t)((own_state >> 11) % (uint64_t)n);
}

enum { RESAMPLES = 3000 };

/* Losses of every sample at every candidate except 1, as means over repetitions, and of the
   unpruned weights in the last row. The masks are those with which the curve calls the callback. */
typedef struct loss_table {
    double row[MAX_GRID + 2][MAX_SAMPLES];
    int same[MAX_GRID + 2]; /* whether a candidate prunes the same weights as the next one */
    int64_t points;         /* the row of the unpruned weights */
} loss_table;

static void table_make(toy *t, const prun_prune_options *options, loss_table *table) {
    const prun_objective objective = toy_objective(t);
    double losses[MAX_GRID + 1];
    int64_t i, r, k, kept;
    const int64_t repetitions = options->method == PRUN_PRUNE_RANDOM ? options->repetitions : 1;
    uint64_t mask;
    table->points = points_of(options);
    if (fraction_at(options, table->points - 1) >= 1) table->points--;
    t->calls = 0;
    CHECK_STATUS(prun_loss_curve(&objective, options, losses, NULL), PRUN_OK);
    CHECK(t->calls == points_of(options) * repetitions);
    memset(table->row, 0, sizeof table->row);
    for (i = 0; i < table->points; i++)
        for (r = 0; r < repetitions; r++)
            for (k = 0; k < t->samples; k++)
                table->row[i][k] +=
                    toy_loss(t, t->masks[i * repetitions + r], t->kept[i * repetitions + r], k) /
                    (double)repetitions;
    for (i = 0; i + 1 < points_of(options); i++)
        table->same[i] = memcmp(t->masks + i * repetitions, t->masks + (i + 1) * repetitions,
                                (size_t)repetitions * sizeof *t->masks) == 0;
    mask = toy_mask(t, &kept);
    for (k = 0; k < t->samples; k++) table->row[table->points][k] = toy_loss(t, mask, kept, k);
}

/* The lowest candidate that the library promises to consider: it goes down from the answer `at`
   until three candidates in a row have a mean loss at least five standard errors beyond the
   threshold, or at least eight losses that are not finite. Candidates that prune the same weights
   count as one. */
static int64_t window_low(const toy *t, const loss_table *table, double beta, int64_t at) {
    const double *base = table->row[table->points];
    const double m = (double)t->samples;
    double whole = 0, factor;
    int64_t i, k, beyond = 0, low = at;
    for (k = 0; k < t->samples; k++) whole += base[k];
    factor = whole >= 0 ? 1 + beta : 1 - beta;
    for (i = at - 1; i >= 0 && beyond < 3; i--) {
        double mean = 0, squares = 0;
        int64_t broken = 0;
        for (k = 0; k < t->samples; k++) {
            if (isfinite(table->row[i][k])) mean += (table->row[i][k] - factor * base[k]) / m;
            else broken++;
        }
        for (k = 0; k < t->samples; k++)
            if (isfinite(table->row[i][k]))
                squares += pow(table->row[i][k] - factor * base[k] - mean, 2) / m;
        if (!(mean > 5 * sqrt(squares / m) || broken >= 8 || broken == t->samples)) beyond = 0;
        else if (beyond == 0 || !table->same[i]) beyond++;
        if (beyond == 0) low = i;
    }
    return low;
}

/* Counts how often each candidate is the answer in RESAMPLES draws of the samples. Candidates below
   `low` are skipped. */
static void bootstrap_by_hand(const toy *t, const loss_table *table, double beta, int64_t low,
                              int64_t *found) {
    int64_t r, i, k, drawn[MAX_SAMPLES];
    memset(found, 0, (MAX_GRID + 2) * sizeof *found);
    for (r = 0; r < RESAMPLES; r++) {
        double base = 0;
        for (k = 0; k < t->samples; k++) {
            drawn[k] = own_pick(t->samples);
            base += table->row[table->points][drawn[k]];
        }
        for (i = low; i < table->points; i++) {
            double sum = 0;
            for (k = 0; k < t->samples; k++) sum += table->row[i][drawn[k]];
            if (sum <= tolerated(base, beta)) break;
        }
        found[i]++;
    }
}

/* Compares the library's interval with the counts of each candidate. Both come from the same number
   of draws. Allowed are five standard errors of the difference of two proportions, and of two
   variances, of which one may contain a few events that the other lacks. */
static void check_interval(const prun_prune_options *o, const int64_t *found, int64_t points,
                           const prun_prunability_answer *a) {
    const double slack = 5 * sqrt(2 * 0.025 * 0.975 / RESAMPLES);
    double mean = 0, square = 0, fourth = 0, below = 0, upto = 0, least = 0, most = 0;
    int64_t i;
    for (i = 0; i <= points; i++) mean += (double)found[i] / RESAMPLES * fraction_at(o, i);
    for (i = 0; i <= points; i++) {
        double share = (double)found[i] / RESAMPLES, d = fraction_at(o, i) - mean;
        square += share * d * d;
        fourth += share * d * d * d * d;
        below += fraction_at(o, i) < a->lower ? share : 0;
        upto += fraction_at(o, i) <= a->lower ? share : 0;
        least += fraction_at(o, i) < a->upper ? share : 0;
        most += fraction_at(o, i) <= a->upper ? share : 0;
    }
    CHECK(a->lower <= a->upper && a->lower >= 0 && a->upper <= 1);
    CHECK(below <= 0.025 + slack && upto >= 0.025 - slack);
    CHECK(least <= 0.975 + slack && most >= 0.975 - slack);
    CHECK_CLOSE(a->standard_error * a->standard_error, square,
                5 * sqrt(2 * (fourth - square * square) / RESAMPLES) + 5.0 / RESAMPLES, 0);
}

/* A search with and without resampling, and its intervals against brute force. */
static void interval_once(toy *t, prun_prune_options *o) {
    static loss_table table;
    const prun_objective objective = toy_objective(t);
    const int cut = t->kind == KIND_ZERO_BASE || t->kind == KIND_BROKEN;
    prun_prunability plain, found;
    int64_t b, counts[MAX_GRID + 2], at;
    memset(&plain, 0, sizeof plain);
    found = plain;
    table_make(t, o, &table);
    CHECK_STATUS(prun_prunability_search(&objective, o, &plain), PRUN_OK);
    o->resamples = RESAMPLES;
    t->evaluations = 0;
    CHECK_STATUS(prun_prunability_search(&objective, o, &found), PRUN_OK);
    CHECK(toy_restored(t));
    CHECK_CLOSE(found.passes * (double)t->samples, t->evaluations, 1e-6, 0);
    CHECK(found.passes > plain.passes &&
          found.passes <= plain.passes + 1 + (double)(table.points * o->repetitions) + 1e-9);
    check_same_answers(&plain, &found);
    for (b = 0; b < o->beta_count; b++) {
        for (at = 0; fraction_at(o, at) < found.answer[b].kept_fraction; at++) {
        }
        bootstrap_by_hand(t, &table, o->beta[b], cut ? window_low(t, &table, o->beta[b], at) : 0,
                          counts);
        check_interval(o, counts, table.points, &found.answer[b]);
    }
}

static void interval_cases(loss_kind kind, int count) {
    int i;
    for (i = 0; i < count; i++) {
        double fractions[MAX_GRID + 1];
        prun_prune_options options;
        toy t;
        toy_draw(&t, (uint64_t)i * 41 + 100 * (uint64_t)kind, kind);
        options = draw_options(&t);
        options.beta_count = options.beta_count > 3 ? 3 : options.beta_count;
        if (i % 2) {
            options.fractions = fractions;
            options.fraction_count = draw_fractions(&t, fractions);
        }
        interval_once(&t, &options);
    }
}

static void intervals_are_those_of_brute_force(void) {
    interval_cases(KIND_SLOPE, 150);
    interval_cases(KIND_PLAIN, 60);
}

static void intervals_with_other_losses(void) {
    interval_cases(KIND_WILD, 40);
    interval_cases(KIND_ZERO_BASE, 40);
    interval_cases(KIND_BROKEN, 40);
}

/* The unpruned loss is positive in some draws of the samples, and negative in others. */
static void intervals_with_negative_losses(void) {
    interval_cases(KIND_NEGATIVE, 60);
    interval_cases(KIND_BELOW, 60);
}

/* If all samples tolerate the same candidates, every draw gives the same answer. */
static void intervals_without_width(void) {
    int i;
    for (i = 0; i < 400; i++) {
        prun_prunability found;
        prun_prune_options options;
        prun_objective objective;
        int32_t b;
        toy t;
        toy_draw(&t, (uint64_t)i * 43 + 6,
                 i % 3 == 0   ? KIND_CONSTANT
                 : i % 3 == 1 ? KIND_SHARED
                              : KIND_PLAIN);
        if (t.kind == KIND_PLAIN) t.samples = 1;
        objective = toy_objective(&t);
        options = draw_options(&t);
        options.resamples = 2 + i % 50;
        memset(&found, 0, sizeof found);
        CHECK_STATUS(prun_prunability_search(&objective, &options, &found), PRUN_OK);
        for (b = 0; b < options.beta_count; b++) {
            const prun_prunability_answer *a = &found.answer[b];
            CHECK(a->lower == a->kept_fraction && a->upper == a->kept_fraction);
            CHECK_CLOSE(a->standard_error, 0, 1e-12, 0);
        }
    }
}

/* No tolerance: a mean over repetitions must equal the unpruned loss to the last bit. */
static void intervals_without_tolerance(void) {
    int64_t repetitions;
    for (repetitions = 1; repetitions <= 12; repetitions++) {
        prun_prunability found;
        prun_prune_options options;
        prun_objective objective;
        toy t;
        toy_init(&t, 5, KIND_CONSTANT, 2, 20, 37);
        objective = toy_objective(&t);
        memset(&options, 0, sizeof options);
        memset(&found, 0, sizeof found);
        options.method = PRUN_PRUNE_RANDOM;
        options.repetitions = repetitions;
        options.beta_count = 1;
        options.resamples = 50;
        CHECK_STATUS(prun_prunability_search(&objective, &options, &found), PRUN_OK);
        CHECK(found.answer[0].lower == found.answer[0].kept_fraction);
        CHECK(found.answer[0].upper == found.answer[0].kept_fraction);
        CHECK(found.answer[0].standard_error == 0);
    }
}

/* ---- losses that depend only on how many weights are kept ---- */

/* The loss of sample k with n weights kept is level[n] * share[k]; or, without shares, 1 for the
   first level[n] samples and 0 for the others. */
typedef struct counted {
    float weight[64];
    prun_tensor tensor;
    double level[65];
    const double *share;
    int64_t weights, samples;
    int sum_only; /* leaves the losses of single samples unset */
} counted;

static prun_status counted_losses(const prun_objective *objective, const int64_t *index, int64_t n,
                                  double *losses, double *sum, int64_t *errors) {
    const counted *c = (const counted *)objective->user;
    int64_t i, kept = 0;
    for (i = 0; i < c->weights; i++) kept += c->weight[i] != 0;
    *sum = 0;
    for (i = 0; i < n; i++) {
        const int64_t k = index != NULL ? index[i] : i;
        const double loss =
            c->share != NULL ? c->level[kept] * c->share[k] : (double)k < c->level[kept];
        *sum += loss;
        if (losses != NULL && !c->sum_only) losses[i] = loss;
    }
    if (errors != NULL) *errors = 0;
    return PRUN_OK;
}

/* All levels are 1. */
static prun_objective counted_objective(counted *c, int64_t weights, int64_t samples,
                                        const double *share) {
    prun_objective o;
    int64_t i;
    memset(c, 0, sizeof *c);
    memset(&o, 0, sizeof o);
    c->weights = weights;
    c->samples = samples;
    c->share = share;
    for (i = 0; i < weights; i++) c->weight[i] = (float)(i + 1);
    for (i = 0; i <= weights; i++) c->level[i] = 1;
    c->tensor.data = c->weight;
    c->tensor.name = "counted";
    c->tensor.rank = 1;
    c->tensor.shape[0] = weights;
    c->tensor.flags = PRUN_TENSOR_WEIGHT;
    o.context = &test_context;
    o.tensors = &c->tensor;
    o.tensor_count = 1;
    o.samples = samples;
    o.loss = counted_losses;
    o.user = c;
    o.nonnegative = 1;
    return o;
}

/* Losses of 0 and 1, whose sums are exact: as many errors as the tolerance allows are within it. */
static void exactly_tolerated(void) {
    static const int64_t sizes[] = {10, 37, 100, 1000}, percent[] = {1, 5, 10, 20, 30, 50, 70, 100};
    size_t s, p;
    int64_t base;
    for (s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        for (p = 0; p < sizeof percent / sizeof *percent; p++) {
            for (base = 1; base <= sizes[s]; base += 1 + sizes[s] / 200) {
                const int64_t allowed = base * (100 + percent[p]) / 100;
                prun_prune_options options;
                prun_prunability found;
                counted c;
                prun_objective o = counted_objective(&c, 4, sizes[s], NULL);
                int more;
                memset(&options, 0, sizeof options);
                options.grid = 1;
                options.beta[0] = (double)percent[p] / 100;
                options.resamples = 2;
                c.level[4] = (double)base;
                for (more = 0; more < 2 && allowed + more <= sizes[s]; more++) {
                    c.level[0] = (double)(allowed + more);
                    if (!CHECK_STATUS(prun_prunability_search(&o, &options, &found), PRUN_OK))
                        return;
                    CHECK(found.answer[0].kept_fraction == more);
                }
            }
        }
    }
}

/* Losses that do not change: no weight is needed, whatever the repetitions and the samples. */
static void tolerated_in_all_repetitions(void) {
    double share[40];
    int64_t samples, repetitions, i;
    for (samples = 1; samples <= 40; samples++) {
        for (repetitions = 1; repetitions <= 12; repetitions++) {
            prun_prune_options options;
            prun_prunability found;
            counted c;
            prun_objective o = counted_objective(&c, 8, samples, share);
            for (i = 0; i < samples; i++)
                share[i] =
                    prun_random_uniform((uint64_t)(samples * 100 + repetitions), 5, (uint64_t)i);
            memset(&options, 0, sizeof options);
            options.method = PRUN_PRUNE_RANDOM;
            options.repetitions = repetitions;
            options.beta_count = 1;
            options.resamples = 20;
            CHECK_STATUS(prun_prunability_search(&o, &options, &found), PRUN_OK);
            CHECK(found.answer[0].kept == 0 && found.answer[0].lower == 0 &&
                  found.answer[0].upper == 0);
        }
    }
}

/* If all samples are equal, every resample is the sample itself, also at the threshold. */
static void interval_at_the_threshold(void) {
    double share[10];
    int i, k;
    for (i = 0; i < 600; i++) {
        prun_prune_options options;
        prun_prunability found;
        counted c;
        prun_objective o = counted_objective(&c, 4, i % 2 ? 1 : 10, share);
        const double base = prun_random_uniform(7, 8, (uint64_t)i), beta = 0.1;
        for (k = 0; k < 10; k++) share[k] = 1;
        c.level[4] = c.level[3] = base;
        c.level[2] = i % 3 == 0 ? base * 1.1 : i % 3 == 1 ? base + base * beta : base * (1 + 1e-9);
        c.level[1] = base * 1.1 * (1 + 1e-9);
        c.level[0] = 5 * base;
        memset(&options, 0, sizeof options);
        options.grid = 4;
        options.resamples = 10;
        CHECK_STATUS(prun_prunability_search(&o, &options, &found), PRUN_OK);
        CHECK(found.answer[0].kept == 2 && found.answer[0].lower == 0.5 &&
              found.answer[0].upper == 0.5 && found.answer[0].standard_error == 0);
    }
}

/* An infinite loss is not within a threshold that overflows, nor one of -infinity within any. */
static void infinite_losses_are_not_tolerated(void) {
    const double share[1] = {1};
    prun_prune_options options;
    prun_prunability found;
    counted c;
    prun_objective o = counted_objective(&c, 4, 1, share);
    memset(&options, 0, sizeof options);
    options.grid = 2;
    options.beta[0] = 1e300;
    o.nonnegative = 0;
    c.level[4] = 1e10;
    c.level[2] = c.level[0] = INFINITY;
    CHECK_STATUS(prun_prunability_search(&o, &options, &found), PRUN_OK);
    CHECK(found.answer[0].kept == 4);
    c.level[0] = -INFINITY;
    CHECK_STATUS(prun_prunability_search(&o, &options, &found), PRUN_OK);
    CHECK(found.answer[0].kept == 4);
}

/* Candidates that prune the same weights are evaluated once, and the interval does not depend on
   how many there are. */
static void more_candidates_than_weights(void) {
    static double fractions[100000];
    double share[30];
    prun_prune_options options;
    prun_prunability found, coarse;
    counted c;
    prun_objective o = counted_objective(&c, 40, 30, share);
    int64_t i;
    for (i = 0; i < 30; i++) share[i] = 1 + 0.5 * prun_random_uniform(9, 1, (uint64_t)i);
    for (i = 0; i <= 40; i++) c.level[i] = i >= 20 || i == 18 ? 1.0 : 5.0;
    c.level[18] = 1.1000001;
    for (i = 0; i < 100000; i++) fractions[i] = (double)i / 100000;
    memset(&options, 0, sizeof options);
    options.grid = 40;
    options.resamples = 100;
    CHECK_STATUS(prun_prunability_search(&o, &options, &coarse), PRUN_OK);
    options.fractions = fractions;
    options.fraction_count = 100000;
    CHECK_STATUS(prun_prunability_search(&o, &options, &found), PRUN_OK);
    CHECK(found.answer[0].kept == 20 && coarse.answer[0].kept == 20);
    CHECK(found.passes <= coarse.passes && found.passes < 40);
    CHECK_CLOSE(found.answer[0].lower, coarse.answer[0].lower, 0.0125 + 1e-9, 0);
    CHECK_CLOSE(found.answer[0].upper, coarse.answer[0].upper, 0.0125 + 1e-9, 0);
}

/* Calls of the progress callback after the search itself; `stop`: the call that cancels. */
typedef struct countdown {
    int64_t calls, stop;
} countdown;

static int countdown_progress(void *user, int64_t done, int64_t total) {
    countdown *d = (countdown *)user;
    (void)done;
    (void)total;
    return ++d->calls == d->stop;
}

/* Resampling reports progress, and can be cancelled. */
static void cancelling_the_resampling(void) {
    static double share[5000];
    prun_prune_options options;
    prun_prunability found;
    countdown d = {0, 0};
    counted c;
    prun_objective o = counted_objective(&c, 10, 5000, share);
    int64_t i, without;
    for (i = 0; i < 5000; i++) share[i] = 1 + prun_random_uniform(10, 1, (uint64_t)i);
    for (i = 0; i < 5; i++) c.level[i] = 3;
    memset(&options, 0, sizeof options);
    options.grid = 10;
    options.progress = countdown_progress;
    options.user = &d;
    CHECK_STATUS(prun_prunability_search(&o, &options, &found), PRUN_OK);
    without = d.calls;
    d.calls = 0;
    options.resamples = 4000;
    CHECK_STATUS(prun_prunability_search(&o, &options, &found), PRUN_OK);
    CHECK(d.calls > without + 8);
    d.stop = d.calls - 1;
    d.calls = 0;
    CHECK_STATUS(prun_prunability_search(&o, &options, &found), PRUN_ERR_CANCELLED);
    CHECK(strstr(prun_message(&test_context), "resampling") != NULL);
    for (i = 0; i < 10; i++) CHECK(c.weight[i] == (float)(i + 1));
}

/* Mistakes of a loss callback, and options that contradict each other. */
static void callbacks_and_options_that_disagree(void) {
    double share[3] = {3, -1, 1}, losses[8], radius = 0.1;
    prun_prune_options options;
    prun_prunability found;
    counted c;
    prun_objective o = counted_objective(&c, 4, 3, share);
    memset(&options, 0, sizeof options);
    CHECK_STATUS(prun_prunability_search(&o, NULL, &found), PRUN_ERR_CALLBACK);
    CHECK(strstr(prun_message(&test_context), "sample 1 is -1") != NULL);
    share[1] = -1e-9; /* rounding */
    CHECK_STATUS(prun_prunability_search(&o, NULL, &found), PRUN_OK);
    o.nonnegative = 0;
    share[1] = -1;
    CHECK_STATUS(prun_prunability_search(&o, NULL, &found), PRUN_OK);
    c.sum_only = 1;
    options.grid = 4;
    CHECK_STATUS(prun_prunability_search(&o, NULL, &found), PRUN_ERR_CALLBACK);
    CHECK_STATUS(prun_loss_curve(&o, &options, losses, NULL), PRUN_ERR_CALLBACK);
    CHECK_STATUS(prun_perturbation_curve(&o, &radius, 1, NULL, losses, NULL, NULL),
                 PRUN_ERR_CALLBACK);
    CHECK(strstr(prun_message(&test_context), "but sum is") != NULL);
    c.sum_only = 0;
    CHECK_STATUS(prun_perturbation_curve(&o, &radius, 0, NULL, losses, NULL, NULL),
                 PRUN_ERR_ARGUMENT);
    options.score_count = 4;
    CHECK_STATUS(prun_loss_curve(&o, &options, losses, NULL), PRUN_ERR_ARGUMENT);
    CHECK(strstr(prun_message(&test_context), "score is NULL") != NULL);
    CHECK_STATUS(prun_prune(&o, 1 + DBL_EPSILON, NULL, NULL), PRUN_ERR_ARGUMENT);
    CHECK(strstr(prun_message(&test_context), "1.0000000000000002") != NULL);
    CHECK(prun_kept_count_at(-INFINITY, 10) == 0 && prun_kept_count_at(-1, 10) == 0 &&
          prun_kept_count_at(2, 10) == 10);
}

/* Subnormal scores have an order even in a thread that flushes subnormal numbers to zero. */
static void subnormal_scores_in_a_flushing_thread(void) {
    static const float score[4] = {3e-40f, 4e-40f, -0.0f, 1e-40f};
    prun_prune_options options;
    prun_status status;
    counted c;
    prun_objective o = counted_objective(&c, 4, 1, NULL);
#ifdef __SSE__
    const unsigned before = _mm_getcsr();
#endif
    memset(&options, 0, sizeof options);
    options.score = score;
    options.score_count = 4;
#ifdef __SSE__
    _mm_setcsr(before | 0x8040); /* flush results to zero, and take operands as zero */
#endif
    status = prun_prune(&o, 0.5, &options, NULL);
#ifdef __SSE__
    _mm_setcsr(before);
#endif
    CHECK(status == PRUN_OK && c.weight[0] == 1 && c.weight[1] == 2);
    CHECK(c.weight[2] == 0 && c.weight[3] == 0);
}

/* Two samples with losses -0.3 and 1 without pruning, and 0 if anything is pruned. */
static prun_status sign_losses(const prun_objective *objective, const int64_t *index, int64_t n,
                               double *losses, double *sum, int64_t *errors) {
    const float *w = objective->tensors[0].data;
    const int whole = w[0] != 0 && w[1] != 0 && w[2] != 0 && w[3] != 0;
    int64_t i;
    *sum = 0;
    for (i = 0; i < n; i++) {
        double loss = !whole ? 0 : (index != NULL ? index[i] : i) == 0 ? -0.3 : 1;
        *sum += loss;
        if (losses != NULL) losses[i] = loss;
    }
    if (errors != NULL) *errors = 0;
    return PRUN_OK;
}

/* With beta 3, thresholds are 1.4 for both samples, 4 for 1 twice and 0.6 for -0.3 twice. */
static void interval_where_the_loss_changes_sign(void) {
    logistic l;
    prun_objective objective = logistic_objective(&l);
    prun_prune_options options;
    prun_prunability found;
    memset(&options, 0, sizeof options);
    memset(&found, 0, sizeof found);
    objective.samples = 2;
    objective.nonnegative = 0;
    objective.loss = sign_losses;
    options.beta[0] = 3;
    options.resamples = 100;
    CHECK_STATUS(prun_prunability_search(&objective, &options, &found), PRUN_OK);
    CHECK(found.answer[0].kept_fraction == 0 && found.answer[0].lower == 0);
    CHECK(found.answer[0].upper == 0 && found.answer[0].standard_error == 0);
}

/* Losses of two samples as a function of the number of kept weights (of four). If both samples are
   drawn, 2 weights are needed; if sample 0 is drawn twice, 1; if sample 1 is drawn twice, 3. */
static prun_status two_losses(const prun_objective *objective, const int64_t *index, int64_t n,
                              double *losses, double *sum, int64_t *errors) {
    static const double table[5][2] = {{9, 9}, {0, 4}, {0, 2}, {3, 1}, {1, 1}};
    const float *w = objective->tensors[0].data;
    int64_t i, kept = 0;
    for (i = 0; i < 4; i++) kept += w[i] != 0;
    *sum = 0;
    for (i = 0; i < n; i++) {
        double loss = table[kept][index != NULL ? index[i] : i];
        *sum += loss;
        if (losses != NULL) losses[i] = loss;
    }
    if (errors != NULL) *errors = 0;
    return PRUN_OK;
}

static void interval_of_two_samples(void) {
    logistic l;
    prun_objective objective = logistic_objective(&l);
    prun_prune_options options;
    prun_prunability found, again;
    int64_t seed, differ = 0;
    memset(&options, 0, sizeof options);
    memset(&found, 0, sizeof found);
    objective.samples = 2;
    objective.loss = two_losses;
    options.grid = 4;
    options.resamples = 4000;
    CHECK_STATUS(prun_prunability_search(&objective, &options, &found), PRUN_OK);
    CHECK(found.answer[0].kept_fraction == 0.5 && found.answer[0].loss == 1);
    CHECK(found.answer[0].lower == 0.25 && found.answer[0].upper == 0.75);
    /* 1/4, 1/2, 3/4 with probabilities 1/4, 1/2, 1/4: variance 1/32, fourth moment 1/512 */
    CHECK_CLOSE(found.answer[0].standard_error * found.answer[0].standard_error, 1 / 32.0,
                5 / 32.0 / sqrt(4000), 0);
    again = found;
    CHECK_STATUS(prun_prunability_search(&objective, &options, &again), PRUN_OK);
    CHECK(same_bits(again.answer[0].standard_error, found.answer[0].standard_error));
    for (seed = 1; seed <= 5; seed++) {
        options.seed = (uint64_t)seed;
        CHECK_STATUS(prun_prunability_search(&objective, &options, &again), PRUN_OK);
        differ += again.answer[0].standard_error != found.answer[0].standard_error;
    }
    CHECK(differ > 0);
    options.resamples = 1; /* which has no spread */
    CHECK_STATUS(prun_prunability_search(&objective, &options, &again), PRUN_ERR_ARGUMENT);
}

/* ---- every exit path restores the weights ---- */

typedef enum which { SEARCH, CURVE, INTERVAL } which;

static prun_status run(which w, const prun_objective *o, const prun_prune_options *options) {
    double losses[MAX_GRID + 1], errors[MAX_GRID + 1];
    prun_prunability result;
    memset(&result, 0, sizeof result);
    if (w == INTERVAL) {
        prun_prune_options resampled = prun_prune_resolved(options);
        resampled.resamples = 20;
        return prun_prunability_search(o, &resampled, &result);
    }
    if (w == SEARCH) return prun_prunability_search(o, options, &result);
    return prun_loss_curve(o, options, losses, errors);
}

/* Weights that are changed by restoring them with comparisons or arithmetic instead of copies. */
static void delicate_weights(toy *t) {
    static const float values[6] = {-0.0f, 1e-45f, -1e-40f, 3.4e38f, 0.0f, -1.17549435e-38f};
    int64_t i;
    for (i = 0; i < t->offset[t->tensor_count]; i += 2) {
        t->storage[i] = t->original[i] = values[i / 2 % 6];
    }
}

static void delicate_weights_survive(void) {
    int i;
    for (i = 0; i < 40; i++) {
        prun_prune_options options;
        prun_objective objective;
        toy t;
        toy_init(&t, (uint64_t)i, KIND_PLAIN, 1 + i % 4, 30, 7);
        delicate_weights(&t);
        memset(&options, 0, sizeof options);
        options.method = i & 1 ? PRUN_PRUNE_RANDOM : PRUN_PRUNE_MAGNITUDE;
        options.scope = i & 2 ? PRUN_PRUNE_PER_LAYER : PRUN_PRUNE_GLOBAL;
        options.grid = 1 + i;
        options.repetitions = 2;
        objective = toy_objective(&t);
        CHECK_STATUS(run(SEARCH, &objective, &options), PRUN_OK);
        CHECK(toy_restored(&t));
        CHECK_STATUS(run(CURVE, &objective, &options), PRUN_OK);
        CHECK(toy_restored(&t));
        CHECK_STATUS(run(INTERVAL, &objective, &options), PRUN_OK);
        CHECK(toy_restored(&t));
    }
}

/* Fails the callback at call 1, 2, 3, ... until the run succeeds. Returns the number of
   failures. */
static int64_t fail_every_call(which w, prun_prune_method method, prun_status status) {
    int64_t k;
    for (k = 1; k < 1000; k++) {
        prun_prune_options options;
        prun_objective objective;
        prun_status got;
        toy t;
        toy_init(&t, 4, KIND_PLAIN, 3, 40, 9);
        delicate_weights(&t);
        t.fail_at = k;
        t.fail_with = status;
        memset(&options, 0, sizeof options);
        options.method = method;
        options.grid = 12;
        options.repetitions = 2;
        objective = toy_objective(&t);
        got = run(w, &objective, &options);
        CHECK(toy_restored(&t));
        if (t.calls < k) {
            CHECK(got == PRUN_OK);
            return k - 1;
        }
        CHECK(got == status && t.calls == k);
    }
    return -1;
}

static void callback_failures_pass_through(void) {
    int m;
    for (m = 0; m < 2; m++) {
        prun_prune_method method = m ? PRUN_PRUNE_RANDOM : PRUN_PRUNE_MAGNITUDE;
        CHECK(fail_every_call(SEARCH, method, PRUN_ERR_READ) > 1);
        CHECK(fail_every_call(SEARCH, method, PRUN_ERR_CALLBACK) > 1);
        CHECK(fail_every_call(SEARCH, method, PRUN_ERR_CANCELLED) > 1);
        CHECK(fail_every_call(INTERVAL, method, PRUN_ERR_READ) >
              fail_every_call(SEARCH, method, PRUN_ERR_READ) + 1);
        CHECK(fail_every_call(CURVE, method, PRUN_ERR_READ) > 12);
        CHECK(fail_every_call(CURVE, method, PRUN_ERR_MEMORY) > 12);
    }
}

typedef struct watcher {
    int64_t calls, stop_at, last_done, last_total;
    int wrong;
} watcher;

static int watch(void *user, int64_t done, int64_t total) {
    watcher *w = (watcher *)user;
    w->calls++;
    w->wrong |= done < w->last_done || done > total || total < 1;
    w->wrong |= w->calls > 1 && total != w->last_total;
    w->last_done = done;
    w->last_total = total;
    return w->calls == w->stop_at;
}

static void cancel_every_report(which w, prun_prune_method method) {
    int64_t k;
    for (k = 1; k < 1000; k++) {
        watcher watched;
        prun_prune_options options;
        prun_objective objective;
        prun_status got;
        toy t;
        toy_init(&t, 6, KIND_PLAIN, 3, 40, 9);
        delicate_weights(&t);
        memset(&watched, 0, sizeof watched);
        watched.stop_at = k;
        memset(&options, 0, sizeof options);
        options.method = method;
        options.grid = 12;
        options.repetitions = 2;
        options.progress = watch;
        options.user = &watched;
        objective = toy_objective(&t);
        got = run(w, &objective, &options);
        CHECK(toy_restored(&t) && !watched.wrong);
        if (watched.calls < k) {
            CHECK(got == PRUN_OK && k > 1);
            return;
        }
        CHECK(got == PRUN_ERR_CANCELLED && watched.calls == k);
    }
    CHECK(k < 1000); /* reported without end */
}

static void cancelling(void) {
    cancel_every_report(SEARCH, PRUN_PRUNE_MAGNITUDE);
    cancel_every_report(SEARCH, PRUN_PRUNE_RANDOM);
    cancel_every_report(INTERVAL, PRUN_PRUNE_MAGNITUDE);
    cancel_every_report(INTERVAL, PRUN_PRUNE_RANDOM);
    cancel_every_report(CURVE, PRUN_PRUNE_MAGNITUDE);
    cancel_every_report(CURVE, PRUN_PRUNE_RANDOM);
}

/* ---- invalid arguments ---- */

static void missing_callback(void) {
    prun_objective objective;
    int64_t kept = -1;
    toy t;
    toy_init(&t, 2, KIND_PLAIN, 2, 20, 5);
    objective = toy_objective(&t);
    objective.loss = NULL;
    CHECK_STATUS(run(SEARCH, &objective, NULL), PRUN_ERR_UNSUPPORTED);
    CHECK(strstr(prun_message(&test_context), "loss") != NULL);
    test_context.message[0] = '\0';
    CHECK_STATUS(run(CURVE, &objective, NULL), PRUN_ERR_UNSUPPORTED);
    CHECK(strstr(prun_message(&test_context), "loss") != NULL);
    CHECK_STATUS(prun_prune(&objective, 1, NULL, &kept), PRUN_OK); /* which needs no loss */
    CHECK(kept == t.offset[2] && toy_restored(&t));
}

static void refuse(const prun_prune_options *options, const char *what) {
    prun_objective objective;
    prun_prunability result;
    toy t;
    toy_init(&t, 2, KIND_PLAIN, 2, 20, 5);
    objective = toy_objective(&t);
    memset(&result, 0, sizeof result);
    test_context.message[0] = '\0';
    if (!CHECK_STATUS(prun_prunability_search(&objective, options, &result), PRUN_ERR_ARGUMENT)) {
        printf("  with %s\n", what);
    }
    CHECK(prun_message(&test_context)[0] != '\0');
    CHECK(toy_restored(&t) && t.calls == 0);
}

static void bad_options(void) {
    const double betas[3] = {-0.1, NAN, -INFINITY};
    prun_prune_options zero, options;
    int i;
    memset(&zero, 0, sizeof zero);
    options = zero;
    options.grid = -1;
    refuse(&options, "grid -1");
    for (i = 0; i < 3; i++) {
        options = zero;
        options.beta_count = 3;
        options.beta[2] = betas[i];
        refuse(&options, "a beta that is negative or NaN");
    }
    options = zero;
    options.beta_count = PRUN_MAX_BETAS + 1;
    refuse(&options, "too many betas");
    options.beta_count = -1;
    refuse(&options, "betas -1");
    options = zero;
    options.method = PRUN_PRUNE_RANDOM;
    options.repetitions = -1;
    refuse(&options, "repetitions -1");
    options = zero;
    options.method = (prun_prune_method)2;
    refuse(&options, "an unknown method");
    options = zero;
    options.scope = (prun_prune_scope)2;
    refuse(&options, "an unknown scope");
    options = zero;
    options.resamples = -1;
    refuse(&options, "resamples -1");
    CHECK(strstr(prun_message(&test_context), "resamples -1") != NULL);
    options.resamples = ((int64_t)1 << 20) + 1;
    refuse(&options, "too many resamples");
}

/* Invalid lists of kept fractions. */
static void bad_lists(void) {
    static const struct {
        double fractions[4];
        int64_t count;
        const char *message;
    } bad[8] = {{{0, 0.5, 0.5, 1}, 4, "fractions[2] is 0.5"},
                {{0, 0.5, 0.25, 1}, 4, "fractions[2] is 0.25"},
                {{-0.01, 0.5, 0.6, 1}, 4, "fractions[0]: kept fraction -0.01"},
                {{0, 0.5, 0.6, 1.01}, 4, "fractions[3]: kept fraction 1.01"},
                {{0, NAN, 0.6, 1}, 4, "nan"},
                {{NAN, 0.1, 0.6, 1}, 1, "nan"},
                {{0, 0.5, 0.6, 1}, 0, "fraction_count 0"},
                {{0, 0.5, 0.6, 1}, -3, "fraction_count -3"}};
    prun_prune_options options;
    int i;
    for (i = 0; i < 8; i++) {
        memset(&options, 0, sizeof options);
        options.fractions = bad[i].fractions;
        options.fraction_count = bad[i].count;
        refuse(&options, bad[i].message);
        if (!CHECK(strstr(prun_message(&test_context), bad[i].message) != NULL))
            printf("  %s: %s\n", bad[i].message, prun_message(&test_context));
    }
    memset(&options, 0, sizeof options);
    options.fraction_count = 4;
    refuse(&options, "a count without fractions");
    CHECK(strstr(prun_message(&test_context), "fraction_count 4") != NULL);
    options.fractions = bad[0].fractions;
    options.fraction_count = ((int64_t)1 << 24) + 1;
    refuse(&options, "too many fractions"); /* must not read them */
}

static void bad_scores(void) {
    prun_prune_options options;
    float scores[MAX_WEIGHTS];
    int64_t i, kept = -7;
    memset(&options, 0, sizeof options);
    for (i = 0; i < MAX_WEIGHTS; i++) scores[i] = (float)i;
    options.score = scores;
    options.method = PRUN_PRUNE_RANDOM;
    refuse(&options, "scores with random pruning");
    CHECK(strstr(prun_message(&test_context), "score") != NULL);
    options.method = PRUN_PRUNE_MAGNITUDE;
    for (i = 0; i < 4; i++) {
        double layers[MAX_TENSORS] = {-7, -7, -7};
        prun_objective objective;
        char want[60];
        toy t;
        toy_init(&t, 2, KIND_PLAIN, 3, 30, 5);
        objective = toy_objective(&t);
        options.scope = i % 2 ? PRUN_PRUNE_PER_LAYER : PRUN_PRUNE_GLOBAL;
        if (i >= 2) t.tensors[1].name = NULL;
        options.score_count = t.offset[3] - 1;
        CHECK_STATUS(run(SEARCH, &objective, &options), PRUN_ERR_ARGUMENT);
        CHECK(strstr(prun_message(&test_context), "score_count") != NULL);
        options.score_count = t.offset[3];
        snprintf(want, sizeof want, "score[%d] (of %s[3])", (int)t.offset[1] + 3,
                 i < 2 ? "second" : "?");
        scores[t.offset[1] + 3] = NAN;
        scores[t.offset[2] + 1] = NAN; /* the message names the first */
        test_context.message[0] = '\0';
        CHECK_STATUS(run(SEARCH, &objective, &options), PRUN_ERR_NONFINITE);
        CHECK(strstr(prun_message(&test_context), want) != NULL);
        CHECK_STATUS(run(CURVE, &objective, &options), PRUN_ERR_NONFINITE);
        CHECK_STATUS(prun_prune(&objective, 0.5, &options, &kept), PRUN_ERR_NONFINITE);
        CHECK_STATUS(prun_prune_layer_fractions(&objective, 0.5, &options, layers),
                     PRUN_ERR_NONFINITE);
        CHECK(kept == -7 && layers[0] == -7 && toy_restored(&t) && t.calls == 0);
        CHECK_STATUS(prun_prunable_count(&objective, &options, &kept), PRUN_OK);
        CHECK(kept == t.offset[3]);
        kept = -7;
        scores[t.offset[1] + 3] = 1;
        scores[t.offset[2] + 1] = 1;
        scores[t.offset[3]] = NAN; /* after the last weight's */
        CHECK_STATUS(run(SEARCH, &objective, &options), PRUN_OK);
        scores[t.offset[3]] = 1;
    }
}

static void bad_fractions(void) {
    const double bad[5] = {-0.01, 1.01, NAN, INFINITY, -INFINITY};
    int i;
    for (i = 0; i < 5; i++) {
        prun_objective objective;
        int64_t kept = -7;
        toy t;
        toy_init(&t, 2, KIND_PLAIN, 2, 20, 5);
        objective = toy_objective(&t);
        CHECK_STATUS(prun_prune(&objective, bad[i], NULL, &kept), PRUN_ERR_ARGUMENT);
        CHECK(toy_restored(&t) && kept == -7);
        CHECK(strstr(prun_message(&test_context), "kept fraction") != NULL);
    }
}

static void nonfinite_weights(void) {
    const float bad[3] = {NAN, INFINITY, -INFINITY};
    int i;
    for (i = 0; i < 6; i++) {
        prun_objective objective;
        prun_prune_options options;
        toy t;
        toy_init(&t, 2, KIND_PLAIN, 3, 40, 5);
        memset(&options, 0, sizeof options);
        options.method = i < 3 ? PRUN_PRUNE_MAGNITUDE : PRUN_PRUNE_RANDOM;
        t.storage[t.offset[1] + 4] = t.original[t.offset[1] + 4] = bad[i % 3];
        objective = toy_objective(&t);
        test_context.message[0] = '\0';
        CHECK_STATUS(run(SEARCH, &objective, &options), PRUN_ERR_NONFINITE);
        CHECK(strstr(prun_message(&test_context), "second") != NULL);
        CHECK(memcmp(t.storage, t.original, sizeof t.storage) == 0);
    }
}

/* The loss of sample 1 is given, that of the others is 1: for base losses that are not finite. */
static prun_status given_loss(const prun_objective *objective, const int64_t *index, int64_t n,
                              double *losses, double *sum, int64_t *errors) {
    double total = 0;
    int64_t i;
    for (i = 0; i < n; i++) {
        double loss = (index != NULL ? index[i] : i) == 1 ? *(double *)objective->user : 1;
        total += loss;
        if (losses != NULL) losses[i] = loss;
    }
    if (sum != NULL) *sum = total;
    if (errors != NULL) *errors = 0;
    return PRUN_OK;
}

static void nonfinite_base_loss(void) {
    double bad[2] = {NAN, INFINITY};
    int i;
    for (i = 0; i < 2; i++) {
        prun_objective objective;
        toy t;
        toy_init(&t, 2, KIND_PLAIN, 2, 20, 5);
        objective = toy_objective(&t);
        objective.user = &bad[i];
        objective.loss = given_loss;
        test_context.message[0] = '\0';
        CHECK_STATUS(run(SEARCH, &objective, NULL), PRUN_ERR_NONFINITE);
        CHECK(prun_message(&test_context)[0] != '\0');
        CHECK(toy_restored(&t));
    }
}

static void nothing_to_prune_or_to_measure(void) {
    prun_objective objective;
    toy t;
    toy_init(&t, 2, KIND_PLAIN, 2, 20, 5);
    objective = toy_objective(&t);
    objective.samples = 0;
    CHECK(run(SEARCH, &objective, NULL) != PRUN_OK);
    CHECK(prun_message(&test_context)[0] != '\0');
    t.tensors[0].flags = t.tensors[1].flags = PRUN_TENSOR_BIAS;
    objective = toy_objective(&t);
    test_context.message[0] = '\0';
    CHECK(run(SEARCH, &objective, NULL) != PRUN_OK);
    CHECK(prun_message(&test_context)[0] != '\0');
    CHECK(toy_restored(&t));
}

static void no_context(void) {
    prun_prune_options options;
    prun_objective objective;
    toy t;
    toy_init(&t, 2, KIND_PLAIN, 2, 20, 5);
    memset(&options, 0, sizeof options);
    options.grid = MAX_GRID;
    objective = toy_objective(&t);
    objective.context = NULL;
    CHECK_STATUS_IN(NULL, run(CURVE, &objective, &options), PRUN_OK);
    CHECK_STATUS_IN(NULL, run(SEARCH, &objective, &options), PRUN_OK);
    options.beta_count = -1;
    CHECK_STATUS_IN(NULL, run(SEARCH, &objective, &options), PRUN_ERR_ARGUMENT);
    CHECK(toy_restored(&t));
}

/* ---- a real network ---- */

enum { IMAGES = 24, PIXELS = 3 * 32 * 32 };

static void random_images(prun_images *images, uint8_t *pixels, int32_t *labels) {
    int64_t i;
    for (i = 0; i < IMAGES * PIXELS; i++) {
        pixels[i] = (uint8_t)(prun_random_bits(11, 1, (uint64_t)i) >> 56);
    }
    for (i = 0; i < IMAGES; i++) {
        labels[i] = (int32_t)(i % 10);
    }
    memset(images, 0, sizeof *images);
    images->count = IMAGES;
    images->channels = 3;
    images->height = images->width = 32;
    images->classes = 10;
    images->pixels = pixels;
    images->labels = labels;
}

static int train_small_net(prun_images *images, prun_net **net) {
    prun_arch arch;
    prun_train_options train;
    memset(&arch, 0, sizeof arch);
    memset(&train, 0, sizeof train);
    train.momentum = 0.9;
    arch.family = PRUN_FAMILY_CNN;
    arch.width = 2;
    arch.seed = 3;
    train.epochs = 20;
    train.batch = 8;
    train.learning_rate = 0.05;
    return CHECK_STATUS(prun_images_standardize(&test_context, images), PRUN_OK) &&
           CHECK_STATUS(prun_net_create_family(&test_context, &arch, net), PRUN_OK) &&
           CHECK_STATUS(prun_train(*net, images, &train, NULL), PRUN_OK);
}

static void search_real_net(const prun_objective *objective, prun_prune_method method) {
    double losses[51], single_passes;
    prun_prune_options options;
    prun_prunability result;
    int32_t b;
    memset(&options, 0, sizeof options);
    memset(&result, 0, sizeof result);
    options.method = method;
    options.grid = 50;
    options.repetitions = 2;
    CHECK_STATUS(prun_loss_curve(objective, &options, losses, NULL), PRUN_OK);
    CHECK_STATUS(prun_prunability_search(objective, &options, &result), PRUN_OK);
    single_passes = result.passes;
    CHECK(single_passes < (method == PRUN_PRUNE_RANDOM ? 2 : 1) * 51.0);
    options.beta_count = 4;
    options.beta[0] = 0.5;
    options.beta[1] = 0.05;
    options.beta[2] = 0.2;
    options.beta[3] = 0.1;
    CHECK_STATUS(prun_prunability_search(objective, &options, &result), PRUN_OK);
    for (b = 0; b < 4; b++) {
        int64_t i = smallest_feasible(losses, &options, (1 + options.beta[b]) * losses[50]);
        CHECK(lround(50 * result.answer[b].kept_fraction) == i);
        CHECK_CLOSE(result.answer[b].loss, losses[i], 0, 1e-6);
    }
}

static void search_of_a_trained_net(void) {
    static uint8_t pixels[IMAGES * PIXELS];
    static int32_t labels[IMAGES];
    prun_images images;
    prun_objective objective;
    prun_net *net = NULL;
    float *before = NULL;
    int64_t i, at = 0;
    random_images(&images, pixels, labels);
    if (train_small_net(&images, &net)) {
        CHECK_STATUS(prun_net_objective(net, &images, &objective), PRUN_OK);
        CHECK(objective.nonnegative == 1 && objective.samples == IMAGES);
        before = (float *)malloc((size_t)prun_net_parameter_count(net) * sizeof(float));
    }
    if (CHECK(before != NULL)) {
        for (i = 0; i < objective.tensor_count; i++) {
            const prun_tensor *t = &objective.tensors[i];
            memcpy(before + at, t->data, (size_t)prun_tensor_size(t) * sizeof(float));
            at += prun_tensor_size(t);
        }
        CHECK(at == prun_net_parameter_count(net));
        search_real_net(&objective, PRUN_PRUNE_MAGNITUDE);
        search_real_net(&objective, PRUN_PRUNE_RANDOM);
        for (i = 0, at = 0; i < objective.tensor_count; i++) {
            const prun_tensor *t = &objective.tensors[i];
            size_t bytes = (size_t)prun_tensor_size(t) * sizeof(float);
            CHECK(memcmp(before + at, t->data, bytes) == 0);
            at += prun_tensor_size(t);
        }
    }
    free(before);
    prun_net_free(net);
}

/* ---- curves and standard errors -------------------------------------------------------------- */

static void layer_profile_prunes_one_layer(void) {
    enum { GRID = 5 };
    static bowl b;
    double losses[2 * (GRID + 1)];
    prun_prune_options options;
    int64_t layer, i, k;
    prun_objective o = bowl_make(&b, 41, 9);
    memset(&options, 0, sizeof options);
    options.grid = GRID;
    for (i = 0; i < b.count; i++) b.slope[i] = 0.1 * (double)(i % 7) - 0.2;
    CHECK_STATUS(prun_loss_curve_by_layer(&o, &options, losses), PRUN_OK);
    CHECK(restored(&b));
    for (layer = 0; layer < 2; layer++)
        for (k = 0; k <= GRID; k++) {
            const prun_tensor *t = &b.tensors[2 * layer];
            int64_t n = t->shape[1], kept = prun_kept_count(k, GRID, n), j;
            for (i = 0; i < n; i++) { /* zero what is not among the `kept` largest */
                int64_t before = 0;
                const float *w = b.original + (t->data - b.storage);
                for (j = 0; j < n; j++)
                    before += fabsf(w[j]) > fabsf(w[i]) || (fabsf(w[j]) == fabsf(w[i]) && j < i);
                t->data[i] = before < kept ? w[i] : 0;
            }
            CHECK_CLOSE(losses[layer * (GRID + 1) + k], bowl_value(&b), 1e-12, 0);
            memcpy(b.storage, b.original, sizeof b.storage);
        }
}

static const test_case cases[] = {
    TEST_CASE(search_equals_brute_force),
    TEST_CASE(search_with_wild_losses),
    TEST_CASE(search_with_zero_base_loss),
    TEST_CASE(search_with_broken_candidates),
    TEST_CASE(search_with_negative_losses),
    TEST_CASE(search_with_constant_loss),
    TEST_CASE(early_exit_changes_no_answer),
    TEST_CASE(logistic_example),
    TEST_CASE(logistic_example_other_betas),
    TEST_CASE(kept_count_rule),
    TEST_CASE(ties_keep_the_lower_index),
    TEST_CASE(prune_keeps_exactly_the_largest),
    TEST_CASE(prune_at_random_is_the_first_permutation),
    TEST_CASE(random_masks),
    TEST_CASE(biases_and_norms_on_request),
    TEST_CASE(layer_fractions_of_a_global_ranking),
    TEST_CASE(kept_counts_of_fractions_are_the_grids),
    TEST_CASE(fractions_of_a_grid_are_the_grid),
    TEST_CASE(search_with_fractions),
    TEST_CASE(random_pruning_at_fractions),
    TEST_CASE(layer_profile_at_fractions),
    TEST_CASE(scores_rank_the_weights),
    TEST_CASE(scores_that_change_nothing),
    TEST_CASE(intervals_are_those_of_brute_force),
    TEST_CASE(intervals_with_other_losses),
    TEST_CASE(intervals_with_negative_losses),
    TEST_CASE(intervals_without_width),
    TEST_CASE(intervals_without_tolerance),
    TEST_CASE(exactly_tolerated),
    TEST_CASE(subnormal_scores_in_a_flushing_thread),
    TEST_CASE(tolerated_in_all_repetitions),
    TEST_CASE(interval_at_the_threshold),
    TEST_CASE(infinite_losses_are_not_tolerated),
    TEST_CASE(more_candidates_than_weights),
    TEST_CASE(cancelling_the_resampling),
    TEST_CASE(callbacks_and_options_that_disagree),
    TEST_CASE(interval_where_the_loss_changes_sign),
    TEST_CASE(interval_of_two_samples),
    TEST_CASE(delicate_weights_survive),
    TEST_CASE(callback_failures_pass_through),
    TEST_CASE(cancelling),
    TEST_CASE(missing_callback),
    TEST_CASE(bad_options),
    TEST_CASE(bad_fractions),
    TEST_CASE(bad_lists),
    TEST_CASE(bad_scores),
    TEST_CASE(nonfinite_weights),
    TEST_CASE(nonfinite_base_loss),
    TEST_CASE(nothing_to_prune_or_to_measure),
    TEST_CASE(no_context),
    TEST_CASE(search_of_a_trained_net),
    TEST_CASE(layer_profile_prunes_one_layer),
};

int main(int argc, char **argv) { return TEST_MAIN("test_prune", cases, argc, argv); }
