/* test_objective.c - section OBJECTIVE: objectives that no measure accepts. Each measure's own demands
   on an objective are checked in its test. */
#include "../prunability.h"
#include "fixed.h"
#include "zoo.h"

#include <stdlib.h>

static prun_status fixed_gradient(const prun_objective *objective, const int64_t *index, int64_t n,
                                  float *gradient, double *sum) {
    (void)objective->user;
    (void)index;
    (void)n;
    (void)gradient;
    (void)sum;
    return PRUN_ERR_CALLBACK; /* never called */
}

/* One array under two names would be pruned and counted twice. */
static void shared_weights_are_refused(void) {
    static float data[6] = {1, 2, 3, 4, 5, 6};
    static const double losses[2] = {1, 2};
    prun_measure_options options = *odd_options();
    prun_measure_result r[ODD_MEASURES];
    prun_prunability found;
    prun_spectrum spectrum;
    prun_radius radius;
    int64_t kept;
    fixed f;
    prun_objective o;
    memset(&f, 0, sizeof f);
    f.losses = losses;
    f.samples = 2;
    f.tensors[0] = matrix(data, 2, 2);
    f.tensors[1] = matrix(data + 3, 1, 3);
    f.tensors[1].name = "decoder";
    o = fixed_objective(&f, 2);
    o.context = &test_context;
    CHECK_STATUS(prun_prunability_search(&o, NULL, &found), PRUN_ERR_ARGUMENT);
    CHECK(strstr(prun_message(&test_context), "(W)") &&
          strstr(prun_message(&test_context), "(decoder)"));
    CHECK_STATUS(prun_prune(&o, 0.5, NULL, &kept), PRUN_ERR_ARGUMENT);
    CHECK_STATUS(prun_perturbation_radius(&o, NULL, &radius), PRUN_ERR_ARGUMENT);
    o.gradient = fixed_gradient;
    CHECK_STATUS(prun_hessian_spectrum(&o, NULL, &spectrum), PRUN_ERR_ARGUMENT);
    o.gradient = NULL;
    CHECK_STATUS(prun_measure_all(&o, NULL, &options, r), PRUN_ERR_ARGUMENT);
    CHECK_STATUS(prun_tensors_save_safetensors(&test_context, f.tensors, 2, NULL, 0, "never"),
                 PRUN_ERR_ARGUMENT);
    CHECK(isnan(prun_sum_of_frobenius(f.tensors, 2)));
    CHECK(isnan(prun_pacbayes_magnitude_bound(f.tensors, NULL, 2, 1, 1, 1, 2)));
    f.tensors[1] = matrix(data + 4, 1, 2);
    CHECK_STATUS(prun_prunability_search(&o, NULL, &found), PRUN_OK);
}

static const test_case cases[] = {
    TEST_CASE(shared_weights_are_refused),
};

int main(int argc, char **argv) { return TEST_MAIN("test_objective", cases, argc, argv); }
