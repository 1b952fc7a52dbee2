/* Measures a hand-written objective (four weights and a quadratic loss) with whatever parts of the
   library the build includes. Valid C and C++. Exits 0 if the answers are right in this build. */
#include "../../prunability.h"

#include <stdio.h>
#include <string.h>

static float weights[4] = {4, -1, 0.5f, 0.25f};

/* 1 + the squared distance to 4, -1, 0, 0. */
static prun_status loss(const prun_objective *objective, const int64_t *index, int64_t n,
                        double *losses, double *sum, int64_t *wrong) {
    const float *w = objective->tensors[0].data;
    const double a = w[0] - 4, b = w[1] + 1, c = w[2], d = w[3];
    int64_t i;
    (void)index;
    *sum = 0;
    for (i = 0; i < n; i++) {
        const double value = 1 + a * a + b * b + c * c + d * d;
        if (losses) losses[i] = value;
        *sum += value;
    }
    if (wrong) *wrong = 0;
    return PRUN_OK;
}

int main(void) {
    prun_tensor tensor;
    prun_objective objective;
    prun_prunability found;
    prun_measurement *measurement = NULL;
    prun_measure_result norm, curvature;
    memset(&tensor, 0, sizeof tensor);
    memset(&objective, 0, sizeof objective);
    tensor.data = weights;
    tensor.name = "w";
    tensor.shape[0] = tensor.shape[1] = 2;
    tensor.rank = 2;
    tensor.flags = PRUN_TENSOR_WEIGHT;
    objective.tensors = &tensor;
    objective.tensor_count = 1;
    objective.samples = 3;
    objective.nonnegative = 1;
    objective.loss = loss;
    if (prun_prunability_search(&objective, NULL, &found) != PRUN_OK) return 1;
    if (found.answer[0].kept != 2 || weights[2] != 0.5f) return 2;
    if (prun_measurement_create(&objective, NULL, &measurement) != PRUN_OK) return 3;
    if (prun_measure(measurement, "parameter_norm", &norm) != PRUN_OK) return 4;
    if (norm.value != 16 + 1 + 0.25 + 0.0625) return 5;
    /* unsupported in every build: the objective has no gradient */
    if (prun_measure(measurement, "hessian_trace", &curvature) != PRUN_ERR_UNSUPPORTED) return 6;
    prun_measurement_free(measurement);
    if (prun_struct_size("prun_objective") != (int64_t)sizeof objective) return 7;
#ifdef PRUNABILITY_NO_STATS
    if (prun_struct_size("prun_kendall") != -1) return 8;
#endif
    return 0;
}
