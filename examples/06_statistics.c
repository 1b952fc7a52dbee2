/* 06_statistics.c - does a measure follow the generalization gap? Rank statistics of 324 networks
   that demogen trained: examples/results/demogen/models.csv has a row for each.

       cc -O2 examples/06_statistics.c -o statistics -lm && ./statistics          (from the root)

   prints:

       324 networks
       measure                       tau  95 % interval       Psi      K
       prunability_magnitude_0.1  +0.497  +0.453 to +0.542 +0.340  0.014
       parameters                 +0.032  -0.043 to +0.110 +0.041  0.000
       sum_of_frobenius           +0.023  -0.049 to +0.092 +0.133  0.000
       perturbation_flatness      +0.574  +0.533 to +0.614 +0.325  0.014

   These intervals resample single models; `evaluate` resamples whole configurations with their
   seeds.
*/
#define PRUNABILITY_STATIC /* static functions: unused ones are left out of the program */
#define PRUNABILITY_IMPLEMENTATION
#include "../prunability.h"

#include <stdio.h>
#include <stdlib.h>

#define TABLE "examples/results/demogen/models.csv"
enum { AXES = 5, MEASURES = 4 };

static const char *const axis_names[AXES] = {"width", "depth", "dropout", "l2", "augment"};
static const char *const measure_names[MEASURES] = {"prunability_magnitude_0.1", "parameters",
                                                    "sum_of_frobenius", "perturbation_flatness"};
static prun_context context;

static void check(prun_status status) {
    if (status == PRUN_OK) return;
    fprintf(stderr, "error: %s\n", prun_message(&context));
    if (status == PRUN_ERR_OPEN) fprintf(stderr, "start this program from the project's root\n");
    exit(1);
}

int main(void) {
    prun_table table;
    prun_axes axes = {.count = AXES};
    prun_resampling_options resampling = {.statistic = PRUN_STATISTIC_TAU_A, .resamples = 1000};
    const double *axis[AXES], *gap;

    check(prun_table_load_csv(&context, TABLE, &table));
    check(prun_table_numbers(&context, &table, "gap", &gap));
    for (int i = 0; i < AXES; i++)
        check(prun_table_numbers(&context, &table, axis_names[i], &axis[i]));
    check(prun_table_numbers(&context, &table, "seed", &axes.seed)); /* repeats, not an axis */
    axes.n = table.rows;
    axes.values = axis;

    printf("%d networks\n%-26s %6s  %-16s %6s %6s\n", (int)table.rows, "measure", "tau",
           "95 % interval", "Psi", "K");
    for (int i = 0; i < MEASURES; i++) {
        prun_sample sample = {.n = table.rows, .target = gap};
        prun_kendall tau;
        prun_granulated granulated;
        prun_cmi information;
        prun_interval interval;

        check(prun_table_numbers(&context, &table, measure_names[i], &sample.measure));
        /* Does a larger value of the measure mean a larger gap? */
        check(prun_kendall_tau(&context, sample.measure, gap, table.rows, &tau));
        /* How certain is that? */
        check(prun_bootstrap(&context, &sample, &resampling, &interval));
        /* Does it hold among networks that differ in a single hyperparameter? */
        check(prun_granulated_kendall(&context, &axes, sample.measure, gap, &granulated));
        /* What does the measure add to what the hyperparameters already predict? */
        check(prun_conditional_information(&context, &axes, sample.measure, gap, PRUN_TIES_DROP,
                                           &information));
        printf("%-26s %+6.3f  %+.3f to %+.3f %+6.3f %6.3f\n", measure_names[i], tau.tau_a,
               interval.lower, interval.upper, granulated.mean, information.k);
    }
    prun_table_free(&table);
    return fflush(stdout) != 0;
}
