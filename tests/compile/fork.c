/* A process that forks after a parallel region: parent, child and grandchild compute the same
   interval, and the parent can still use its threads. Exit status 0 if all of them finish in
   time. */
#define PRUNABILITY_IMPLEMENTATION
#include "../../prunability.h"

#include <signal.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MODELS = 64, SECONDS = 20 };

static double find_lower_end(void) {
    static double measure[MODELS], target[MODELS];
    prun_context context;
    prun_sample sample;
    prun_resampling_options options;
    prun_interval interval;
    int i;
    memset(&context, 0, sizeof(context));
    memset(&sample, 0, sizeof(sample));
    memset(&options, 0, sizeof(options));
    for (i = 0; i < MODELS; i++) {
        measure[i] = i;
        target[i] = (i * 37) % MODELS;
    }
    context.threads = 2;
    sample.n = MODELS;
    sample.measure = measure;
    sample.target = target;
    options.resamples = 500;
    options.seed = 1;
    return prun_bootstrap(&context, &sample, &options, &interval) == PRUN_OK ? interval.lower : 2;
}

/* Forks `depth` generations. Returns whether all of them found `expected`. */
static int descend(int depth, double expected) {
    int status = 1;
    pid_t child;
    if (find_lower_end() != expected) return 0;
    if (depth == 0) return 1;
    child = fork();
    if (child < 0) return 0;
    if (child == 0) {
        alarm(SECONDS); /* kills a child that hangs */
        _exit(descend(depth - 1, expected) ? 0 : 1);
    }
    waitpid(child, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 && find_lower_end() == expected;
}

int main(void) {
    double expected = find_lower_end();
    return expected > 1 || !descend(2, expected);
}
