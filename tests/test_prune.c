/* test_prune.c - section PRUNE: pruning and the prunability search against brute force over the whole
   grid, on objectives whose loss is an arbitrary function of which weights are left; exits that must
   restore the weights. */
#include "../prunability.h"
#include "bowl.h"
#include "test.h"

#include <stdlib.h>

enum { MAX_TENSORS = 5, MAX_WEIGHTS = 96, MAX_SAMPLES = 40, MAX_GRID = 100, MAX_CALLS = 4096 };

/* ---- an objective that knows nothing but which weights are zero ---- */

typedef enum loss_kind {
    KIND_PLAIN,     /* positive, a factor of about two up and down */
    KIND_WILD,      /* many orders of magnitude, and zeros */
    KIND_ZERO_BASE, /* the unpruned loss is exactly zero, as are some others */
    KIND_BROKEN,    /* some masks give NaN or infinity */
    KIND_NEGATIVE,  /* some samples below zero, their mean above for the unpruned weights */
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
    int foreign; /* a weight was neither zero nor its own value: never allowed */
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
    o.nonnegative = t->kind != KIND_NEGATIVE;
    o.loss = toy_callback;
    return o;
}

static int toy_restored(const toy *t) {
    return memcmp(t->storage, t->original, sizeof t->storage) == 0 && !t->foreign;
}

/* ---- brute force ---- */

/* 1 if weight a is kept before weight b: larger magnitude, then lower index. */
static int kept_before(const float *w, int64_t a, int64_t b) {
    float x = fabsf(w[a]), y = fabsf(w[b]);
    return x > y || (x >= y && a < b);
}

/* Zeroes all but the `kept` first of w[0..n). */
static void keep_largest(float *w, int64_t n, int64_t kept) {
    int64_t i, j;
    float copy[MAX_WEIGHTS];
    memcpy(copy, w, (size_t)n * sizeof(float));
    for (i = 0; i < n; i++) {
        int64_t rank = 0;
        for (j = 0; j < n; j++) {
            rank += j != i && kept_before(copy, j, i);
        }
        if (rank >= kept) w[i] = 0;
    }
}

static void prune_by_hand(toy *t, prun_prune_scope scope, int64_t i, int64_t grid) {
    int64_t l, all = t->offset[t->tensor_count];
    memcpy(t->storage, t->original, sizeof t->storage);
    if (scope == PRUN_PRUNE_GLOBAL) {
        keep_largest(t->storage, all, (2 * i * all + grid) / (2 * grid));
        return;
    }
    for (l = 0; l < t->tensor_count; l++) {
        int64_t size = t->offset[l + 1] - t->offset[l];
        keep_largest(t->storage + t->offset[l], size, (2 * i * size + grid) / (2 * grid));
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

static void check_curve_by_hand(toy *t, prun_prune_scope scope, int64_t grid,
                                const double *losses) {
    int64_t i, kept;
    for (i = 0; i <= grid; i++) {
        prune_by_hand(t, scope, i, grid);
        CHECK(same_loss(losses[i], mean_loss_by_hand(t, &kept)));
    }
    memcpy(t->storage, t->original, sizeof t->storage);
}

/* The smallest i whose loss is within the threshold. */
static int64_t smallest_feasible(const double *losses, int64_t grid, double threshold) {
    int64_t i;
    for (i = 0; i < grid; i++) {
        if (losses[i] <= threshold) return i;
    }
    return grid;
}

static int64_t kept_at(const toy *t, prun_prune_scope scope, int64_t i, int64_t grid) {
    int64_t l, kept = 0;
    if (scope == PRUN_PRUNE_GLOBAL) return prun_kept_count(i, grid, t->offset[t->tensor_count]);
    for (l = 0; l < t->tensor_count; l++) {
        kept += prun_kept_count(i, grid, t->offset[l + 1] - t->offset[l]);
    }
    return kept;
}

static void check_answers(const toy *t, const prun_prune_options *o, const prun_prunability *r,
                          const double *losses) {
    int32_t b;
    CHECK(r->answer_count == o->beta_count && r->grid == o->grid);
    CHECK(r->prunable == t->offset[t->tensor_count] && r->prunable_tensors == t->tensor_count);
    CHECK(same_loss(r->base_loss, losses[o->grid]));
    for (b = 0; b < o->beta_count; b++) {
        const prun_prunability_answer *a = &r->answer[b];
        int64_t i = smallest_feasible(losses, o->grid, (1 + o->beta[b]) * losses[o->grid]);
        CHECK(a->beta == o->beta[b]);
        CHECK_CLOSE(a->threshold, (1 + o->beta[b]) * losses[o->grid], 0, 1e-12);
        CHECK(a->kept_fraction == (double)i / (double)o->grid);
        CHECK(a->kept == kept_at(t, o->scope, i, o->grid));
        CHECK(same_loss(a->loss, losses[i]));
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

static void search_once(uint64_t seed, loss_kind kind) {
    double losses[MAX_GRID + 1];
    prun_prunability result;
    prun_prune_options options;
    prun_objective objective;
    toy t;
    toy_init(&t, seed, kind, 1 + (int64_t)(seed % MAX_TENSORS), 2 + (int64_t)(seed * 7 % 60),
             1 + (int64_t)(seed * 5 % MAX_SAMPLES));
    objective = toy_objective(&t);
    options = draw_options(&t);
    memset(&result, 0, sizeof result);
    CHECK_STATUS(prun_loss_curve(&objective, &options, losses, NULL), PRUN_OK);
    CHECK(toy_restored(&t));
    if (options.method == PRUN_PRUNE_MAGNITUDE) {
        check_curve_by_hand(&t, options.scope, options.grid, losses);
    }
    t.evaluations = 0;
    CHECK_STATUS(prun_prunability_search(&objective, &options, &result), PRUN_OK);
    CHECK(toy_restored(&t));
    CHECK_CLOSE(result.passes * (double)t.samples, t.evaluations, 1e-6, 0);
    check_answers(&t, &options, &result, losses);
    check_layer_kept(&t, &objective, &options, &result);
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

static void search_with_negative_losses(void) { search_cases(KIND_NEGATIVE, 500); }

/* Everything can go: the empty network is as good as the whole one. */
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

/* Whether losses may be negative decides the cost only. */
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

/* beta 0 demands the unpruned loss itself, which the whole network meets to the last bit. */
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

/* ---- counts, ties, tensors that take part ---- */

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
        prune_by_hand(&t, options.scope, step, 10);
        memcpy(expected, t.storage, sizeof expected);
        memcpy(t.storage, t.original, sizeof expected);
        objective = toy_objective(&t);
        want = kept_at(&t, options.scope, step, 10);
        CHECK_STATUS(prun_prune(&objective, (double)step / 10, &options, &kept), PRUN_OK);
        CHECK(kept == want);
        CHECK(memcmp(t.storage, expected, sizeof expected) == 0);
        CHECK(t.calls == 0);
    }
}

/* Pruning at random for good is what the first permutation of the curve shows at that fraction. */
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
    CHECK(j == 9); /* of 50 choose 5 sets or more, two seeds share none */
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
        int64_t prunable = 0, tensors = 0, kept;
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

/* Per-layer kept fractions of a global magnitude ranking, from the ranking itself. */
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
        prune_by_hand(&t, PRUN_PRUNE_GLOBAL, lround(20 * result.answer[0].kept_fraction), 20);
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

/* ---- every way out restores the weights ---- */

typedef enum which { SEARCH, CURVE } which;

static prun_status run(which w, const prun_objective *o, const prun_prune_options *options) {
    double losses[MAX_GRID + 1], errors[MAX_GRID + 1];
    prun_prunability result;
    memset(&result, 0, sizeof result);
    if (w == SEARCH) return prun_prunability_search(o, options, &result);
    return prun_loss_curve(o, options, losses, errors);
}

/* Weights that a careless restore by value or by arithmetic would change. */
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
    }
}

/* Fails the callback at call 1, 2, 3, ... until the run gets through; returns how many failed. */
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
    cancel_every_report(CURVE, PRUN_PRUNE_MAGNITUDE);
    cancel_every_report(CURVE, PRUN_PRUNE_RANDOM);
}

/* ---- what must be refused ---- */

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

/* Loss of sample 1 as given, of the others 1: for a base loss that is no number. */
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
        int64_t i = smallest_feasible(losses, 50, (1 + options.beta[b]) * losses[50]);
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
    TEST_CASE(delicate_weights_survive),
    TEST_CASE(callback_failures_pass_through),
    TEST_CASE(cancelling),
    TEST_CASE(missing_callback),
    TEST_CASE(bad_options),
    TEST_CASE(bad_fractions),
    TEST_CASE(nonfinite_weights),
    TEST_CASE(nonfinite_base_loss),
    TEST_CASE(nothing_to_prune_or_to_measure),
    TEST_CASE(no_context),
    TEST_CASE(search_of_a_trained_net),
    TEST_CASE(layer_profile_prunes_one_layer),
};

int main(int argc, char **argv) { return TEST_MAIN("test_prune", cases, argc, argv); }
