/* test_core.c - section CORE: parsing of numbers. Allocation, threads and messages are tested in
   every file, and systematically in test_failures.c. */
#include "implementation.h" /* for prun__number_read */

#include <stdlib.h>

#include "test.h"

static double uniform(uint64_t stream, int64_t i) {
    return prun_random_uniform(41, stream, (uint64_t)i);
}

/* ---- numbers in tables ---- */

static void check_number(const char *text) {
    double got = -1, want = strtod(text, NULL);
    if (!CHECK(prun__number_read(text, &got) == 1) ||
        !CHECK(memcmp(&got, &want, sizeof got) == 0)) {
        printf("    %s: %.17g, should be %.17g\n", text, got, want);
    }
}

static void numbers_as_strtod(void) {
    static const char *const hard[] = {
        "0",
        "-0",
        "0.0",
        ".5",
        "5.",
        "+1",
        "1e0",
        "1E+5",
        "1e-5",
        "00012.50",
        "1e22",
        "1e23",
        "9007199254740993",
        "9007199254740992.5",
        "9007199254740995",
        "4503599627370496.5",
        "4503599627370497.5",
        "9007199254740993.00000000000000000000000000000000001",
        "2.2250738585072011e-308",
        "2.2250738585072014e-308",
        "4.9406564584124654e-324",
        "2.4703282292062327e-324",
        "2.4703282292062328e-324",
        "1e-400",
        "1e400",
        "-1e400",
        "1.7976931348623157e308",
        "1.7976931348623158e308",
        "1.7976931348623159e308",
        "0e999999999",
        "0.1",
        "0.30000000000000004",
        "123456789012345678901234567890",
        "8.98846567431158e307",
        "0.000000000000000000000000000000000000000000000000000000000000000000000000000000001e80",
        "179769313486231570814527423731704356798070567525844996598917476803157260780028538760589558"
        "632766878171540458953514382464234321326889464182768467546703537516986049910576551282076245"
        "490090389328944075868508455133942304583236903222948165808559332123347747979726144647368",
        "6.631236871469758276785396630275967242439909994735600e-316",
        "1e-323",
        "7.2057594037927933e16"};
    char text[80];
    size_t i;
    for (i = 0; i < sizeof hard / sizeof *hard; i++) {
        check_number(hard[i]);
    }
    for (i = 0; i < 40000; i++) {
        const uint64_t bits = prun_random_bits(9, 1, i);
        double value;
        memcpy(&value, &bits, sizeof value);
        if (!(fabs(value) <= 1.7e308)) continue;
        snprintf(text, sizeof text, "%.*e", (int)(i % 25), value);
        check_number(text);
        snprintf(text, sizeof text, "%.*g", (int)(i % 18 + 1), uniform(60, (int64_t)i));
        check_number(text);
    }
    for (i = 0; i < 20000; i++) { /* half way between two neighbours, and slightly above */
        const uint64_t odd = (prun_random_bits(9, 2, i) >> 11 | (uint64_t)1 << 52) * 2 + 1;
        snprintf(text, sizeof text, "%llu", (unsigned long long)odd);
        check_number(text);
        snprintf(text, sizeof text, "%llu.%s1", (unsigned long long)odd, "00000000000000000000");
        check_number(text);
    }
}

static void no_numbers(void) {
    static const char *const bad[] = {"",    "-",    "+",        ".",     "e5",   "1e",
                                      "1e+", "0x10", "1.2.3",    "1,5",   "12a",  "--1",
                                      "1 2", "nan",  "infinite", "1_000", "1e5.5"};
    double value;
    size_t i;
    for (i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK(prun__number_read(bad[i], &value) == 0);
    }
    CHECK(prun__number_read("-inf", &value) == 1 && value < -1e308);
}

static const test_case cases[] = {
    TEST_CASE(numbers_as_strtod),
    TEST_CASE(no_numbers),
};

int main(int argc, char **argv) { return TEST_MAIN("test_core", cases, argc, argv); }
