/* test_rng.c - section RNG: random numbers against published values and their distributions. */
#include "../prunability.h"

#include <stdlib.h>

#include "test.h"

/* Random numbers */

static void philox_known_answers(void) {
    /* Random123's kat_vectors for philox4x32 with 10 rounds: counter, key, answer. */
    static const uint32_t vectors[][10] = {
        {0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
        {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0x408f276d,
         0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
        {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0, 0xd16cfe09,
         0x94fdcceb, 0x5001e420, 0x24126ea1}};
    size_t i;
    for (i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        const uint32_t *v = vectors[i];
        uint32_t out[4] = {0, 0, 0, 0};
        prun_random_block((uint64_t)v[5] << 32 | v[4], (uint64_t)v[3] << 32 | v[2],
                          (uint64_t)v[1] << 32 | v[0], out);
        CHECK(memcmp(out, v + 6, sizeof(out)) == 0);
    }
}

static void random_values_belong_to_their_index(void) {
    volatile double first, again; /* x87 registers hold more digits than doubles */
    uint64_t base = prun_random_bits(1, 2, 3);
    CHECK(prun_random_bits(1, 2, 3) == base);
    CHECK(prun_random_bits(2, 2, 3) != base);
    CHECK(prun_random_bits(1, 3, 3) != base);
    CHECK(prun_random_bits(1, 2, 4) != base);
    CHECK(prun_random_bits(1, 2, 3 + (UINT64_C(1) << 32)) != base);
    CHECK(prun_random_bits(1, 2 + (UINT64_C(1) << 32), 3) != base);
    CHECK(prun_random_bits(1 + (UINT64_C(1) << 32), 2, 3) != base);
    CHECK(prun_random_uniform(5, 6, 7) == prun_random_uniform(5, 6, 7));
    first = prun_random_normal(5, 6, 7);
    again = prun_random_normal(5, 6, 7);
    CHECK(first == again);
}

/* Each of 64 bits is set half the time. */
static void random_bits_are_balanced(void) {
    int set[64] = {0}, bit;
    uint64_t i, draws = 20000;
    for (i = 0; i < draws; i++) {
        uint64_t bits = prun_random_bits(11, 0, i);
        for (bit = 0; bit < 64; bit++) set[bit] += (int)(bits >> bit & 1);
    }
    for (bit = 0; bit < 64; bit++) CHECK_CLOSE(set[bit], 10000, 5 * 70.7, 0);
}

/* Sum of (observed - expected)^2 / expected. */
static double chi_square(const int64_t *observed, int64_t cells, double expected) {
    double sum = 0;
    int64_t i;
    for (i = 0; i < cells; i++) {
        sum += ((double)observed[i] - expected) * ((double)observed[i] - expected) / expected;
    }
    return sum;
}

/* Five standard deviations above the mean of a chi-square variable. */
static double chi_square_limit(double freedom) { return freedom + 5 * sqrt(2 * freedom); }

static void uniform_moments(void) {
    const int draws = 200000;
    int64_t cells[100] = {0};
    double sum = 0, square = 0, product = 0, last = 0;
    int i;
    for (i = 0; i < draws; i++) {
        double u = prun_random_uniform(3, 4, (uint64_t)i), grid = ldexp(u, 53);
        if (!CHECK(u >= 0 && u < 1 && grid == floor(grid))) return;
        sum += u - 0.5;
        square += (u - 0.5) * (u - 0.5);
        product += (u - 0.5) * last;
        last = u - 0.5;
        cells[(int)(u * 100)]++;
    }
    CHECK_CLOSE(sum / draws, 0, 5 * sqrt(1.0 / 12 / draws), 0);
    CHECK_CLOSE(square / draws, 1.0 / 12, 5 * sqrt(1.0 / 180 / draws), 0);
    CHECK_CLOSE(product / draws, 0, 5.0 / 12 / sqrt(draws), 0);
    CHECK(chi_square(cells, 100, draws / 100.0) < chi_square_limit(99));
}

/* Fraction of |x| > bound among standard normal draws, against the error function. */
static void check_tail(const double *x, int draws, double bound) {
    double p = erfc(bound / sqrt(2.0)), beyond = 0;
    int i;
    for (i = 0; i < draws; i++) beyond += fabs(x[i]) > bound ? 1 : 0;
    CHECK_CLOSE(beyond / draws, p, 5 * sqrt(p / draws), 0);
}

static void normal_moments_and_tails(void) {
    enum { DRAWS = 200000 };
    double *x = (double *)malloc(DRAWS * sizeof(double)), moment[5] = {0};
    double product = 0, largest = 0;
    int i, k;
    if (!CHECK(x != NULL)) return;
    for (i = 0; i < DRAWS; i++) {
        x[i] = prun_random_normal(8, 9, (uint64_t)i);
        for (k = 1; k <= 4; k++) moment[k] += pow(x[i], k) / DRAWS;
        product += i > 0 ? x[i] * x[i - 1] / DRAWS : 0;
        largest = fabs(x[i]) > largest ? fabs(x[i]) : largest;
    }
    /* variances of the sample moments of a normal: 1, 2, 15, 96 */
    CHECK_CLOSE(moment[1], 0, 5 * sqrt(1.0 / DRAWS), 0);
    CHECK_CLOSE(moment[2], 1, 5 * sqrt(2.0 / DRAWS), 0);
    CHECK_CLOSE(moment[3], 0, 5 * sqrt(15.0 / DRAWS), 0);
    CHECK_CLOSE(moment[4], 3, 5 * sqrt(96.0 / DRAWS), 0);
    CHECK_CLOSE(product, 0, 5 * sqrt(1.0 / DRAWS), 0);
    for (k = 1; k <= 7; k++) check_tail(x, DRAWS, 0.5 * k);
    CHECK(largest > 4 && largest < 8);
    free(x);
}

static void permutation_is_one(void) {
    int64_t out[1001], n, i;
    for (n = 1; n <= 1000; n = n < 20 ? n + 1 : n * 3) {
        int64_t seen[1000] = {0}, fixed = 0;
        out[n] = -5;
        prun_random_permutation(21, 22, n, out);
        for (i = 0; i < n; i++) {
            if (!CHECK(out[i] >= 0 && out[i] < n)) return;
            fixed += out[i] == i;
            seen[out[i]]++;
        }
        for (i = 0; i < n; i++) CHECK(seen[i] == 1);
        CHECK(out[n] == -5);
        if (n > 50) CHECK(fixed < 8); /* Poisson with mean 1 */
    }
}

/* Rank of a permutation in factorial base, n <= 5. */
static int64_t permutation_rank(const int64_t *p, int64_t n) {
    int64_t rank = 0, i, j;
    for (i = 0; i < n; i++) {
        int64_t smaller = 0;
        for (j = i + 1; j < n; j++) smaller += p[j] < p[i];
        rank = rank * (n - i) + smaller;
    }
    return rank;
}

static void check_permutations(int64_t n, int64_t factorial, int by_seed) {
    int64_t cells[120] = {0}, out[5], draws = factorial * 300, i;
    for (i = 0; i < draws; i++) {
        uint64_t k = (uint64_t)i;
        prun_random_permutation(by_seed ? k : 5, by_seed ? 5 : k, n, out);
        cells[permutation_rank(out, n)]++;
    }
    CHECK(chi_square(cells, factorial, 300) < chi_square_limit((double)factorial - 1));
}

static void permutations_are_uniform(void) {
    int by_seed;
    for (by_seed = 0; by_seed <= 1; by_seed++) {
        check_permutations(2, 2, by_seed);
        check_permutations(3, 6, by_seed);
        check_permutations(4, 24, by_seed);
        check_permutations(5, 120, by_seed);
    }
}

/* The position of an element is uniform, even for sizes with too many permutations to count. */
static void permutation_places_are_uniform(void) {
    enum { N = 13, DRAWS = 13000 };
    int64_t cells[N * N] = {0}, out[N], i, k;
    for (k = 0; k < DRAWS; k++) {
        prun_random_permutation(77, (uint64_t)k, N, out);
        for (i = 0; i < N; i++) cells[i * N + out[i]]++;
    }
    CHECK(chi_square(cells, N * N, DRAWS / (double)N) < chi_square_limit((N - 1) * (N - 1)));
}

static const test_case cases[] = {
    TEST_CASE(philox_known_answers),     TEST_CASE(random_values_belong_to_their_index),
    TEST_CASE(random_bits_are_balanced), TEST_CASE(uniform_moments),
    TEST_CASE(normal_moments_and_tails), TEST_CASE(permutation_is_one),
    TEST_CASE(permutations_are_uniform), TEST_CASE(permutation_places_are_uniform),
};

int main(int argc, char **argv) { return TEST_MAIN("test_rng", cases, argc, argv); }
