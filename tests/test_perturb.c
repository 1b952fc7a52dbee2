/* test_perturb.c - section PERTURB: noise, radii and sharpness on losses with known answers; every
   exit path restores the weights. */
#include "../prunability.h"
#include "bowl.h"
#include "test.h"

#include <float.h>
#include <stdlib.h>

/* ---- a quadratic loss: level + slope . (w - centre) + curvature/2 |w - centre|^2 ------------- */

static int is_bias(const bowl *b, int64_t i) { return i >= b->count / 2 && i < b->count / 2 + 3; }

/* ---- noise ----------------------------------------------------------------------------------- */

/* The moments of the standardised noise; only weights change. */
static void noise_has_its_variance(void) {
    static const prun_noise kinds[] = {PRUN_NOISE_MAGNITUDE, PRUN_NOISE_SQUARED,
                                       PRUN_NOISE_GAUSSIAN};
    static bowl b;
    int k;
    for (k = 0; k < 3; k++) {
        prun_perturb_options p;
        double s = 0.5, square = 0, sum = 0, n = 0, epsilon = 0.125;
        int64_t draw, i;
        prun_objective o = bowl_make(&b, 400, 3);
        memset(&p, 0, sizeof p);
        p.noise = kinds[k];
        p.epsilon = epsilon;
        for (draw = 0; draw < 50; draw++) {
            CHECK_STATUS(prun_perturb(&o, s, draw, &p), PRUN_OK);
            for (i = 0; i < b.count; i++) {
                double w = (double)b.original[i], u = (double)b.storage[i] - w;
                double v = kinds[k] == PRUN_NOISE_MAGNITUDE ? s * s * fabs(w) + epsilon
                           : kinds[k] == PRUN_NOISE_SQUARED ? s * s * w * w + epsilon * epsilon
                                                            : s * s;
                if (is_bias(&b, i)) {
                    CHECK(u == 0);
                    continue;
                }
                sum += u / sqrt(v);
                square += u * u / v;
                n += 1;
            }
            memcpy(b.storage, b.original, sizeof b.storage);
        }
        CHECK_CLOSE(sum / n, 0, 5 / sqrt(n), 0);
        CHECK_CLOSE(square / n, 1, 5 * sqrt(2 / n), 0);
    }
}

static void random_numbers_are_common(void) {
    static bowl b;
    static float once[BOWL_WEIGHTS];
    prun_perturb_options p;
    int64_t i;
    prun_objective o = bowl_make(&b, 100, 4);
    memset(&p, 0, sizeof p);
    p.noise = PRUN_NOISE_GAUSSIAN;
    p.include_biases = 1;
    CHECK_STATUS(prun_perturb(&o, 0.25, 7, &p), PRUN_OK);
    memcpy(once, b.storage, sizeof once);
    memcpy(b.storage, b.original, sizeof once);
    CHECK_STATUS(prun_perturb(&o, 0.5, 7, &p), PRUN_OK);
    for (i = 0; i < b.count; i++) {
        double small = (double)once[i] - (double)b.original[i];
        CHECK(small != 0);
        CHECK_CLOSE((double)b.storage[i] - (double)b.original[i], 2 * small, 1e-6, 0);
    }
    memcpy(b.storage, b.original, sizeof once);
    CHECK_STATUS(prun_perturb(&o, 0.25, 8, &p), PRUN_OK);
    CHECK(memcmp(once, b.storage, 100 * sizeof(float)) != 0); /* another draw */
    memcpy(b.storage, b.original, sizeof once);
    p.seed = 1;
    CHECK_STATUS(prun_perturb(&o, 0.25, 7, &p), PRUN_OK);
    CHECK(memcmp(once, b.storage, 100 * sizeof(float)) != 0); /* another seed */
}

static void signs_flip_with_their_probability(void) {
    static bowl b;
    prun_perturb_options p;
    double flipped = 0, n = 0;
    int64_t draw, i;
    prun_objective o = bowl_make(&b, 500, 5);
    memset(&p, 0, sizeof p);
    p.noise = PRUN_NOISE_SIGN_FLIP;
    for (draw = 0; draw < 20; draw++) {
        CHECK_STATUS(prun_perturb(&o, 0.3, draw, &p), PRUN_OK);
        for (i = 0; i < b.count; i++) {
            CHECK(b.storage[i] == b.original[i] || b.storage[i] == -b.original[i]);
            if (is_bias(&b, i)) continue;
            flipped += b.storage[i] == -b.original[i];
            n++;
        }
        memcpy(b.storage, b.original, sizeof b.storage);
    }
    CHECK_CLOSE(flipped / n, 0.3, 5 * sqrt(0.21 / n), 0);
}

/* Noise with a chosen support and norm. */
static void noise_keeps_to_support_and_norm(void) {
    static bowl b;
    prun_perturb_options p;
    double largest_in = 0, smallest_out = 1e9, norm = 0;
    int64_t i, moved = 0;
    prun_objective o = bowl_make(&b, 203, 6);
    memset(&p, 0, sizeof p);
    p.noise = PRUN_NOISE_GAUSSIAN;
    p.fraction = 0.3;
    p.norm = 5;
    CHECK_STATUS(prun_perturb(&o, 1, 0, &p), PRUN_OK);
    for (i = 0; i < b.count; i++) {
        double u = (double)b.storage[i] - (double)b.original[i], w = fabs((double)b.original[i]);
        if (is_bias(&b, i)) continue;
        norm += u * u;
        moved += u != 0;
        if (u != 0) largest_in = w > largest_in ? w : largest_in;
        else smallest_out = w < smallest_out ? w : smallest_out;
    }
    CHECK(moved == 60);
    CHECK(largest_in <= smallest_out);
    CHECK_CLOSE(sqrt(norm), 5, 1e-5, 0);
}

/* Paper, figures 2 and 5: at kept fraction i/n the support is what pruning removes, and the noise
   has the norm of what it removes. */
static void same_size_as_pruning(void) {
    enum { GRID = 10, DRAWS = 2 };
    static bowl b;
    static float seen[(GRID + 1) * DRAWS * 120];
    double losses[GRID + 1], errors[GRID + 1], fractions[GRID + 1];
    prun_perturb_options p;
    int64_t i, k, r;
    prun_objective o = bowl_make(&b, 120, 7);
    for (k = 0; k <= GRID; k++) fractions[k] = (double)k / GRID;
    b.seen = seen;
    b.seen_room = (GRID + 1) * DRAWS;
    memset(&p, 0, sizeof p);
    p.draws = DRAWS;
    CHECK_STATUS(prun_same_size_curve(&o, fractions, GRID + 1, &p, losses, errors, NULL), PRUN_OK);
    CHECK(restored(&b));
    CHECK(b.seen_count == (GRID + 1) * DRAWS);
    for (k = 0; k <= GRID; k++)
        for (r = 0; r < DRAWS; r++) {
            const float *w = seen + (k * DRAWS + r) * b.count;
            double noise = 0, removed = 0, inside = 0, outside = 1e9;
            int64_t moved = 0;
            for (i = 0; i < b.count; i++) {
                double u = (double)w[i] - (double)b.original[i], v = fabs((double)b.original[i]);
                if (is_bias(&b, i)) continue;
                noise += u * u;
                if (u != 0) {
                    moved++;
                    removed += v * v;
                    inside = v > inside ? v : inside;
                } else outside = v < outside ? v : outside;
            }
            CHECK(moved == 117 - prun_kept_count(k, GRID, 117));
            CHECK(inside <= outside);
            CHECK_CLOSE(noise, removed, 0, 1e-5);
        }
    CHECK_CLOSE(losses[GRID], 2, 1e-12, 0);
    CHECK(losses[0] > losses[GRID - 1]);
    CHECK(errors[0] > 0 && errors[GRID] == 0);
}

/* ---- curves and standard errors -------------------------------------------------------------- */

static double total_curvature(const bowl *b, int square) {
    double sum = 0;
    int64_t i;
    for (i = 0; i < b->count; i++)
        if (!is_bias(b, i)) sum += square ? b->curvature[i] * b->curvature[i] : b->curvature[i];
    return sum;
}

/* At the minimum the loss under Gaussian noise is level + s^2/2 sum a z^2, of variance
   s^4/2 sum a^2 per draw. */
static void standard_errors_are_right(void) {
    enum { SEEDS = 200, DRAWS = 10 };
    static bowl b;
    prun_perturb_options p;
    prun_objective o = bowl_make(&b, 63, 8);
    const double radii[2] = {0, 0.2};
    double expected = 2 + 0.5 * 0.04 * total_curvature(&b, 0), sum = 0, square = 0, told = 0;
    double truth = 0.04 * sqrt(0.5 * total_curvature(&b, 1) / DRAWS);
    int seed;
    memset(&p, 0, sizeof p);
    p.noise = PRUN_NOISE_GAUSSIAN;
    p.draws = DRAWS;
    for (seed = 0; seed < SEEDS; seed++) {
        double losses[2], errors[2];
        p.seed = (uint64_t)seed;
        CHECK_STATUS(prun_perturbation_curve(&o, radii, 2, &p, losses, errors, NULL), PRUN_OK);
        CHECK_CLOSE(losses[0], 2, 1e-12, 0);
        sum += losses[1] - expected;
        square += (losses[1] - expected) * (losses[1] - expected);
        told += errors[1];
    }
    CHECK(restored(&b));
    CHECK_CLOSE(sum / SEEDS, 0, 4 * truth / sqrt(SEEDS), 0);
    CHECK_CLOSE(sqrt(square / SEEDS), truth, 0, 0.2);
    CHECK_CLOSE(told / SEEDS, truth, 0, 0.06);
    p.draws = 1;
    {
        double loss, error = 0;
        CHECK_STATUS(prun_perturbation_curve(&o, radii + 1, 1, &p, &loss, &error, NULL), PRUN_OK);
        CHECK(error != error);
    }
}

/* ---- radii ----------------------------------------------------------------------------------- */

/* The exact radius for given draws: the noise is linear in the radius. */
static double exact_radius(bowl *b, const prun_objective *o, const prun_perturb_options *p,
                           double rise) {
    double sum = 0;
    int64_t draw, i;
    for (draw = 0; draw < p->draws; draw++) {
        prun_perturb(o, 1, draw, p);
        for (i = 0; i < b->count; i++) {
            double u = (double)b->storage[i] - (double)b->original[i];
            sum += 0.5 * b->curvature[i] * u * u;
        }
        memcpy(b->storage, b->original, sizeof b->storage);
    }
    return sqrt(rise / (sum / (double)p->draws));
}

static void radius_on_a_quadratic(void) {
    static const prun_noise kinds[] = {PRUN_NOISE_GAUSSIAN, PRUN_NOISE_MAGNITUDE,
                                       PRUN_NOISE_SQUARED};
    static bowl b;
    int k, level;
    for (k = 0; k < 3; k++)
        for (level = -8; level <= 8; level += 4) { /* radii far below and above the first guess */
            prun_perturb_options p;
            prun_radius r;
            double exact;
            prun_objective o = bowl_make(&b, 90, 10 + (uint64_t)k);
            b.level = pow(10, level);
            memset(&p, 0, sizeof p);
            p.noise = kinds[k];
            p.epsilon = DBL_MIN;
            p.draws = 4;
            p.beta = 0.2;
            p.precision = 1e-3;
            p.cap = 1e6;
            exact = exact_radius(&b, &o, &p, 0.2 * b.level);
            b.calls = 0;
            CHECK_STATUS(prun_perturbation_radius(&o, &p, &r), PRUN_OK);
            CHECK(restored(&b));
            CHECK(r.state == PRUN_RADIUS_FOUND);
            CHECK(r.radius <= exact * (1 + 1e-5) && r.infeasible >= exact * (1 - 1e-5));
            CHECK(r.infeasible - r.radius <= 1e-3 * r.radius * (1 + 1e-9));
            CHECK_CLOSE(r.flatness, 1 / (exact * exact), 0, 3e-3);
            CHECK_CLOSE(r.base, b.level, 0, 1e-12);
            CHECK_CLOSE(r.threshold, 1.2 * b.level, 0, 1e-12);
            CHECK(r.reached <= r.threshold);
            CHECK(r.standard_error > 0 && r.standard_error < 0.5 * r.radius);
        }
}

/* The standard error of a radius agrees with its spread over seeds, and its mean is the radius that
   follows from E[loss] = level + s^2/2 sum a. */
static void radius_error_is_right(void) {
    enum { SEEDS = 150 };
    static bowl b;
    prun_perturb_options p;
    double sum = 0, square = 0, told = 0, exact;
    int seed;
    prun_objective o = bowl_make(&b, 63, 20);
    memset(&p, 0, sizeof p);
    p.noise = PRUN_NOISE_GAUSSIAN;
    p.precision = 1e-4;
    for (seed = 0; seed < SEEDS; seed++) {
        prun_radius r;
        p.seed = (uint64_t)seed;
        CHECK_STATUS(prun_perturbation_radius(&o, &p, &r), PRUN_OK);
        sum += r.radius;
        square += r.radius * r.radius;
        told += r.standard_error;
    }
    exact = sqrt(2 * 0.2 / total_curvature(&b, 0));
    square = sqrt(square / SEEDS - sum / SEEDS * (sum / SEEDS));
    CHECK_CLOSE(sum / SEEDS, exact, 4 * square / sqrt(SEEDS), 2e-3);
    CHECK_CLOSE(told / SEEDS, square, 0, 0.2);
}

static void radius_counts_errors_on_request(void) {
    static bowl b;
    prun_perturb_options p;
    prun_radius r;
    prun_objective o = bowl_make(&b, 90, 21);
    double norm = 0;
    int64_t i;
    memset(&p, 0, sizeof p);
    p.noise = PRUN_NOISE_GAUSSIAN;
    p.draws = 1;
    p.displacement = 0.5; /* of 7 samples: 3 errors are allowed, 4 are not */
    p.precision = 1e-4;
    b.error_distance = 2;
    CHECK_STATUS(prun_perturb(&o, 1, 0, &p), PRUN_OK);
    for (i = 0; i < b.count; i++) {
        double u = (double)b.storage[i] - (double)b.original[i];
        norm += u * u;
    }
    memcpy(b.storage, b.original, sizeof b.storage);
    CHECK_STATUS(prun_perturbation_radius(&o, &p, &r), PRUN_OK);
    CHECK(restored(&b));
    CHECK_CLOSE(r.radius, 2 * 3.5 / 7 / sqrt(norm), 0, 2e-4);
    CHECK(r.base == 0 && r.threshold == 0.5);
    CHECK_CLOSE(r.reached, 3.0 / 7, 1e-12, 0);
}

static void radius_may_not_exist(void) {
    static bowl b;
    prun_perturb_options p;
    prun_radius r;
    prun_objective o = bowl_make(&b, 90, 22);
    memset(&p, 0, sizeof p);
    p.epsilon = 10;
    CHECK_STATUS(prun_perturbation_radius(&o, &p, &r), PRUN_OK);
    CHECK(r.state == PRUN_RADIUS_NONE && r.radius == 0 && r.flatness == HUGE_VAL);
    CHECK(r.infeasible == 0 && r.standard_error != r.standard_error);
    p.epsilon = 0;
    p.cap = 8;
    p.beta = 1e9;
    CHECK_STATUS(prun_perturbation_radius(&o, &p, &r), PRUN_OK);
    CHECK(r.state == PRUN_RADIUS_SATURATED && r.radius == 8 && r.infeasible == HUGE_VAL);
    CHECK_CLOSE(r.flatness, 1.0 / 64, 0, 1e-12);
    p.noise = PRUN_NOISE_SIGN_FLIP;
    p.cap = 0;
    CHECK_STATUS(prun_perturbation_radius(&o, &p, &r), PRUN_OK);
    CHECK(r.state == PRUN_RADIUS_SATURATED && r.radius == 1);
    b.level = 0; /* no rise at all is allowed */
    p.noise = PRUN_NOISE_GAUSSIAN;
    p.beta = 0.1;
    CHECK_STATUS(prun_perturbation_radius(&o, &p, &r), PRUN_OK);
    CHECK(r.radius < 1e-6); /* only changes that float rounds away are allowed */
    CHECK(restored(&b));
}

/* ---- sharpness ------------------------------------------------------------------------------- */

/* With slopes of equal size in the box's coordinates, the worst point is a corner, and the ascent
   reaches it: rise = radius sum |g| width + radius^2/2 sum a width^2. */
static void sharpness_on_a_quadratic(void) {
    static bowl b;
    int magnitude;
    for (magnitude = 0; magnitude < 2; magnitude++) {
        prun_perturb_options p;
        prun_radius r;
        double linear = 0, square = 0, exact;
        int64_t i;
        prun_objective o = bowl_make(&b, 90, 30);
        memset(&p, 0, sizeof p);
        p.noise = magnitude ? PRUN_NOISE_SQUARED : PRUN_NOISE_GAUSSIAN;
        p.epsilon = DBL_MIN;
        p.precision = 1e-3;
        for (i = 0; i < b.count; i++) {
            double width = magnitude ? fabs((double)b.original[i]) : 1;
            b.slope[i] = (i * i % 3 ? 1 : -1) / width;
            b.curvature[i] = 0.1 / (width * width);
            if (is_bias(&b, i)) continue;
            linear += fabs(b.slope[i]) * width;
            square += b.curvature[i] * width * width;
        }
        exact = (sqrt(linear * linear + 2 * square * 0.2) - linear) / square;
        CHECK_STATUS(prun_sharpness_radius(&o, &p, &r), PRUN_OK);
        CHECK(restored(&b));
        CHECK(r.state == PRUN_RADIUS_FOUND);
        CHECK_CLOSE(r.radius, exact, 0, 1.1e-3);
        CHECK(r.standard_error != r.standard_error);
    }
}

/* At a minimum the gradient is zero: the radius must be close to the exact one, hardly below it. */
static void sharpness_at_a_minimum(void) {
    static bowl b;
    prun_perturb_options p;
    prun_radius r;
    double exact;
    prun_objective o = bowl_make(&b, 90, 31);
    memset(&p, 0, sizeof p);
    exact = sqrt(2 * 0.2 / total_curvature(&b, 0));
    CHECK_STATUS(prun_sharpness_radius(&o, &p, &r), PRUN_OK);
    CHECK(r.radius >= exact * 0.99 && r.radius <= exact * 1.1);
    p.steps = 200;
    CHECK_STATUS(prun_sharpness_radius(&o, &p, &r), PRUN_OK);
    CHECK_CLOSE(r.radius, exact, 0, 0.012);
}

/* ---- random subnetworks ---------------------------------------------------------------------- */

static void dropout_error_of_subnetworks(void) {
    enum { DRAWS = 40 };
    static bowl b;
    static float seen[DRAWS * 200];
    prun_perturb_options p;
    double error, standard_error, kept = 0, square = 0, left = 0;
    int64_t i, r;
    prun_objective o = bowl_make(&b, 200, 40);
    b.error_distance = 60;
    b.seen = seen;
    b.seen_room = DRAWS;
    memset(&p, 0, sizeof p);
    p.draws = DRAWS;
    CHECK_STATUS(prun_dropout_error(&o, 0.4, 0.5, &p, &error, &standard_error), PRUN_OK);
    CHECK(restored(&b));
    for (r = 0; r < DRAWS; r++)
        for (i = 0; i < 200; i++) {
            double w = (double)seen[r * 200 + i], u = w - (double)b.original[i];
            if (is_bias(&b, i)) CHECK(u == 0);
            else if (w != 0) {
                kept++;
                square += u * u;
            } else left++;
        }
    CHECK_CLOSE(kept / (kept + left), 0.4, 5 * sqrt(0.24 / (kept + left)), 0);
    CHECK_CLOSE(square / kept, 0.25, 5 * 0.25 * sqrt(2 / kept), 0);
    CHECK(error > 0 && error < 1 && standard_error > 0 && standard_error < 0.05);
    CHECK_STATUS(prun_dropout_error(&o, 1, 0, &p, &error, &standard_error), PRUN_OK);
    CHECK(error == 0 && standard_error == 0);
    CHECK_STATUS(prun_dropout_error(&o, 0, 1, &p, &error, NULL), PRUN_OK);
    CHECK_STATUS(prun_dropout_error(&o, 1.5, 1, &p, &error, NULL), PRUN_ERR_ARGUMENT);
    CHECK(restored(&b));
}

/* ---- every exit path ------------------------------------------------------------------------- */

static int stop_after(void *user, int64_t done, int64_t total) {
    int64_t *left = (int64_t *)user;
    CHECK(done <= total);
    return --*left < 0;
}

/* Function number k on the bowl; `left`: progress calls before cancellation. */
static prun_status run(int k, const prun_objective *o, int64_t *left) {
    static const double fractions[5] = {0, 0.25, 0.5, 0.75, 1};
    prun_perturb_options p;
    prun_prune_options q;
    prun_radius r;
    double out[64], radii[3] = {0.1, 0.2, 0.3};
    memset(&p, 0, sizeof p);
    memset(&q, 0, sizeof q);
    p.draws = 2;
    p.steps = 3;
    p.precision = 0.2;
    q.grid = 4;
    if (left) {
        p.progress = q.progress = stop_after;
        p.user = q.user = left;
    }
    switch (k) {
        case 0: return prun_perturbation_curve(o, radii, 3, &p, out, NULL, NULL);
        case 1: return prun_same_size_curve(o, fractions, 5, &p, out, NULL, NULL);
        case 2: return prun_loss_curve_by_layer(o, &q, out);
        case 3: return prun_perturbation_radius(o, &p, &r);
        case 4: return prun_sharpness_radius(o, &p, &r);
        case 5: p.displacement = 0.3; return prun_perturbation_radius(o, &p, &r);
        default: return prun_dropout_error(o, 0.5, 1, &p, out, NULL);
    }
}

static void every_exit_restores(void) {
    static bowl b;
    int k;
    for (k = 0; k < 7; k++) {
        int64_t calls, at, left, progress;
        prun_objective o = bowl_make(&b, 30, 50);
        b.error_distance = 5;
        CHECK_STATUS(run(k, &o, NULL), PRUN_OK);
        CHECK(restored(&b));
        calls = b.calls;
        CHECK(calls > 1);
        for (at = 1; at <= calls; at++) {
            b.calls = 0;
            b.fail_at = at;
            CHECK_STATUS(run(k, &o, NULL), PRUN_ERR_CALLBACK);
            CHECK(restored(&b));
        }
        b.fail_at = 0;
        left = 1000;
        CHECK_STATUS(run(k, &o, &left), PRUN_OK);
        progress = 1000 - left;
        CHECK(k == 6 || progress > 0);
        for (at = 0; at < progress; at++) {
            left = at;
            CHECK_STATUS(run(k, &o, &left), PRUN_ERR_CANCELLED);
            CHECK(restored(&b));
        }
    }
}

static void bad_options_are_named(void) {
    static bowl b;
    prun_perturb_options p;
    prun_radius r;
    double out[8];
    const double minus = -1, fractions[3] = {0.5, 1.01, NAN};
    prun_objective o = bowl_make(&b, 30, 51);
    memset(&p, 0, sizeof p);
    p.draws = -1;
    CHECK_STATUS(prun_perturbation_radius(&o, &p, &r), PRUN_ERR_ARGUMENT);
    CHECK(strstr(test_context.message, "draws -1") != NULL);
    p.draws = 0;
    p.noise = (prun_noise)9;
    CHECK_STATUS(prun_perturb(&o, 1, 0, &p), PRUN_ERR_ARGUMENT);
    p.noise = PRUN_NOISE_SIGN_FLIP;
    CHECK_STATUS(prun_sharpness_radius(&o, &p, &r), PRUN_ERR_ARGUMENT);
    p.noise = PRUN_NOISE_DEFAULT;
    CHECK_STATUS(prun_perturb(&o, NAN, 0, &p), PRUN_ERR_ARGUMENT);
    CHECK_STATUS(prun_perturbation_curve(&o, &minus, 1, &p, out, NULL, NULL), PRUN_ERR_ARGUMENT);
    CHECK_STATUS(prun_same_size_curve(&o, fractions, 0, &p, out, NULL, NULL), PRUN_ERR_ARGUMENT);
    CHECK_STATUS(prun_same_size_curve(&o, fractions, 2, &p, out, NULL, NULL), PRUN_ERR_ARGUMENT);
    CHECK(strstr(test_context.message, "fractions[1]: kept fraction 1.01") != NULL);
    CHECK_STATUS(prun_same_size_curve(&o, fractions + 2, 1, &p, out, NULL, NULL),
                 PRUN_ERR_ARGUMENT);
    CHECK_STATUS(prun_same_size_curve(&o, &minus, 1, &p, out, NULL, NULL), PRUN_ERR_ARGUMENT);
    p.first = 2;
    p.cap = 1;
    CHECK_STATUS(prun_perturbation_radius(&o, &p, &r), PRUN_ERR_ARGUMENT);
    p.first = p.cap = 0;
    b.storage[20] = NAN;
    CHECK_STATUS(prun_perturbation_radius(&o, &p, &r), PRUN_ERR_NONFINITE);
    CHECK(strstr(test_context.message, "c[2]") != NULL);
    b.storage[20] = b.original[20];
    b.level = INFINITY;
    CHECK_STATUS(prun_perturbation_radius(&o, &p, &r), PRUN_ERR_NONFINITE);
    o.gradient = NULL;
    CHECK_STATUS(prun_sharpness_radius(&o, &p, &r), PRUN_ERR_UNSUPPORTED);
    o.loss = NULL;
    CHECK_STATUS(prun_perturbation_radius(&o, &p, &r), PRUN_ERR_UNSUPPORTED);
    CHECK(restored(&b));
}

/* Noise for more weights than one task handles, with one thread and with three. */
static void threads_draw_the_same(void) {
    enum { COUNT = 20000 };
    float *w = (float *)malloc(COUNT * sizeof *w), *first = (float *)malloc(COUNT * sizeof *w);
    prun_context context;
    prun_tensor t;
    prun_objective o;
    int64_t i, threads;
    memset(&t, 0, sizeof t);
    memset(&o, 0, sizeof o);
    memset(&context, 0, sizeof context);
    t.data = w;
    t.rank = 1;
    t.shape[0] = COUNT;
    t.flags = PRUN_TENSOR_WEIGHT;
    o.context = &context;
    o.tensors = &t;
    o.tensor_count = 1;
    for (threads = 1; threads <= 3; threads += 2) {
        context.threads = (int32_t)threads;
        for (i = 0; i < COUNT; i++) w[i] = (float)prun_random_normal(1, 1, (uint64_t)i);
        CHECK_STATUS_IN(&context, prun_perturb(&o, 0.5, 3, NULL), PRUN_OK);
        if (threads == 1) memcpy(first, w, COUNT * sizeof *w);
    }
    CHECK(memcmp(first, w, COUNT * sizeof *w) == 0);
    free(w);
    free(first);
}

static const test_case cases[] = {
    TEST_CASE(noise_has_its_variance),
    TEST_CASE(random_numbers_are_common),
    TEST_CASE(signs_flip_with_their_probability),
    TEST_CASE(noise_keeps_to_support_and_norm),
    TEST_CASE(same_size_as_pruning),
    TEST_CASE(standard_errors_are_right),
    TEST_CASE(radius_on_a_quadratic),
    TEST_CASE(radius_error_is_right),
    TEST_CASE(radius_counts_errors_on_request),
    TEST_CASE(radius_may_not_exist),
    TEST_CASE(sharpness_on_a_quadratic),
    TEST_CASE(sharpness_at_a_minimum),
    TEST_CASE(dropout_error_of_subnetworks),
    TEST_CASE(every_exit_restores),
    TEST_CASE(bad_options_are_named),
    TEST_CASE(threads_draw_the_same),
};

int main(int argc, char **argv) { return TEST_MAIN("test_perturb", cases, argc, argv); }
