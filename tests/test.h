/* test.h - checks and a runner for the test programs.

   Include it after prunability.h. A test is a `static void name(void)`; a program is

       static const test_case cases[] = {TEST_CASE(first), TEST_CASE(second)};
       int main(int argc, char **argv) { return TEST_MAIN("test_ops", cases, argc, argv); }

   It runs every test whose name contains one of its arguments, or all of them if it has no
   arguments. `PROGRAM -l` lists the names. A failed check is counted and the test continues. Every
   check returns whether it held, so that `if (!CHECK(...)) return;` ends the test early.
*/
#ifndef TEST_H_INCLUDED
#define TEST_H_INCLUDED

#include <math.h>
#include <stdio.h>
#include <string.h>

#ifndef PRUNABILITY_H_INCLUDED
#error "include prunability.h before test.h"
#endif

typedef struct test_case {
    const char *name;
    void (*run)(void);
} test_case;

#define TEST_CASE(function) \
    { #function, function }
#define TEST_MAIN(program, cases, argc, argv) \
    test_main(program, cases, (int)(sizeof(cases) / sizeof((cases)[0])), argc, argv)

enum { TEST_SHOWN = 10 }; /* failures printed per test: one bug often breaks thousands of checks */

/* Emptied before each test; CHECK_STATUS shows its message. */
static prun_context test_context;
static int test_failures;        /* of the running test */
static const char *test_skipped; /* why the running test is skipped, or NULL */

#define CHECK(condition) test_check((condition) ? 1 : 0, #condition, __FILE__, __LINE__)
/* |got - want| <= absolute + relative |want|; a NaN fails. */
#define CHECK_CLOSE(got, want, absolute, relative) \
    test_check_close((double)(got), (double)(want), absolute, relative, #got, __FILE__, __LINE__)
/* `expression` returns the prun_status `expected`; its calls use &test_context. */
#define CHECK_STATUS(expression, expected) CHECK_STATUS_IN(&test_context, expression, expected)
/* The same for calls that use another context (or NULL). */
#define CHECK_STATUS_IN(context, expression, expected) \
    test_check_status(context, expression, expected, #expression, __FILE__, __LINE__)
/* Counts the running test as skipped; return from it afterwards. */
#define SKIP(reason) ((void)(test_skipped = (reason)))

/* Counts a failure. Returns whether to print it. */
static inline int test_failed(const char *file, int line) {
    test_failures++;
    if (test_failures <= TEST_SHOWN) printf("%s:%d: ", file, line);
    if (test_failures == TEST_SHOWN + 1) printf("%s:%d: further failures not shown\n", file, line);
    return test_failures <= TEST_SHOWN;
}

static inline int test_check(int holds, const char *text, const char *file, int line) {
    if (!holds && test_failed(file, line)) printf("failed: %s\n", text);
    return holds;
}

static inline int test_check_close(double got, double want, double absolute, double relative,
                                   const char *text, const char *file, int line) {
    int holds = got == want || fabs(got - want) <= absolute + relative * fabs(want);
    if (!holds && test_failed(file, line)) {
        printf("%s is %.17g, should be %.17g (difference %.3g)\n", text, got, want, got - want);
    }
    return holds;
}

static inline int test_check_status(const prun_context *context, prun_status got,
                                    prun_status expected, const char *text, const char *file,
                                    int line) {
    if (got != expected && test_failed(file, line)) {
        printf("%s: \"%s\" (%d), should be \"%s\" (%d); message \"%s\"\n", text,
               prun_status_string(got), (int)got, prun_status_string(expected), (int)expected,
               prun_message(context));
    }
    return got == expected;
}

static inline int test_selected(const char *name, int argc, char **argv) {
    int i;
    for (i = 1; i < argc; i++) {
        if (strstr(name, argv[i]) != NULL) return 1;
    }
    return argc < 2;
}

static inline int test_main(const char *program, const test_case *cases, int count, int argc,
                            char **argv) {
    int i, passed = 0, failed = 0, skipped = 0, list = argc == 2 && strcmp(argv[1], "-l") == 0;
    for (i = 0; i < count; i++) {
        if (list) printf("%s\n", cases[i].name);
        if (list || !test_selected(cases[i].name, argc, argv)) continue;
        memset(&test_context, 0, sizeof(test_context));
        test_failures = 0;
        test_skipped = NULL;
        cases[i].run();
        if (test_failures) printf("FAIL %s (%d checks)\n", cases[i].name, test_failures);
        else if (test_skipped) printf("skip %s: %s\n", cases[i].name, test_skipped);
        fflush(stdout);
        *(test_failures ? &failed : test_skipped ? &skipped : &passed) += 1;
    }
    if (list) return 0;
    printf("%s: %d passed, %d failed", program, passed, failed);
    if (skipped) printf(", %d skipped", skipped);
    printf("\n");
    return failed ? 1 : 0;
}

#endif
