/* test_threads.c - threads of the program: two contexts at once, each with a hook that starts more
   threads. `make tsan` runs it under the thread sanitizer. */
#if defined(__unix__) || defined(__APPLE__)
#define _POSIX_C_SOURCE 200809L
#define HAVE_PTHREAD 1
#else
#define HAVE_PTHREAD 0
#endif
#include "../prunability.h"
#include "test.h"

#if HAVE_PTHREAD
#include <pthread.h>

enum { IMAGES = 48, SIDE = 32, CLASSES = 3, THREADS = 3, MEASURED = 4 };

static uint8_t pixels[IMAGES * SIDE * SIDE]; /* shared by all studies, which only read them */

/* ---- a hook that starts a thread for every item of a loop ---- */

typedef struct item {
    void (*body)(void *argument, int64_t i);
    void *argument;
    int64_t i;
} item;

static void *item_run(void *pointer) {
    const item *one = (const item *)pointer;
    one->body(one->argument, one->i);
    return NULL;
}

static void threads_for(void *user, void (*body)(void *argument, int64_t i), void *argument,
                        int64_t count) {
    pthread_t threads[THREADS];
    item items[THREADS];
    int started[THREADS];
    int64_t i;
    ++*(int64_t *)user;
    for (i = 0; i < count && i < THREADS; i++) {
        items[i].body = body;
        items[i].argument = argument;
        items[i].i = i;
        started[i] = pthread_create(&threads[i], NULL, item_run, &items[i]) == 0;
        if (!started[i]) body(argument, i);
    }
    for (i = 0; i < count && i < THREADS; i++)
        if (started[i]) pthread_join(threads[i], NULL);
}

/* ---- a study: train, search, measure ---- */

typedef struct study {
    uint64_t seed;
    int hooked; /* input: use the hook */
    prun_status status;
    int64_t loops; /* run by the hook */
    double values[MEASURED];
} study;

static prun_status study_of_net(study *s, prun_net *net, const prun_images *images) {
    prun_train_options training = {0};
    prun_hessian_options hessian = {0};
    prun_prunability found;
    prun_objective objective;
    prun_estimate trace;
    prun_epoch history[2];
    prun_status status;
    training.epochs = 2;
    training.batch = 16;
    training.momentum = 0.9;
    training.seed = s->seed;
    hessian.probes = 2;
    status = prun_train(net, images, &training, history);
    if (status == PRUN_OK) status = prun_net_objective(net, images, &objective);
    if (status == PRUN_OK) status = prun_prunability_search(&objective, NULL, &found);
    if (status == PRUN_OK) status = prun_hessian_trace(&objective, &hessian, &trace, NULL);
    if (status != PRUN_OK) return status;
    s->values[0] = history[1].loss;
    s->values[1] = found.base_loss;
    s->values[2] = found.answer[0].kept_fraction;
    s->values[3] = trace.value;
    return PRUN_OK;
}

static void *study_run(void *pointer) {
    study *s = (study *)pointer;
    int32_t labels[IMAGES];
    prun_images images = {0};
    prun_context context = {0};
    prun_arch arch = {0};
    prun_net *net = NULL;
    int i;
    for (i = 0; i < IMAGES; i++) labels[i] = i % CLASSES;
    images.count = IMAGES;
    images.channels = 1;
    images.height = images.width = SIDE;
    images.classes = CLASSES;
    images.pixels = pixels;
    images.labels = labels;
    arch.width = 2;
    arch.image_channels = 1;
    arch.classes = CLASSES;
    arch.seed = s->seed;
    context.threads = s->hooked ? THREADS : 1;
    if (s->hooked) {
        context.parallel_for = threads_for;
        context.parallel_user = &s->loops;
    }
    s->status = prun_net_create_cnn(&context, &arch, &net);
    if (s->status == PRUN_OK) s->status = study_of_net(s, net, &images);
    prun_net_free(net);
    return NULL;
}

/* The first library calls of the program come from two threads, and give the same results as serial
   calls. */
static void two_contexts_at_once(void) {
    study at_once[2], alone[2];
    pthread_t threads[2];
    int i;
    memset(at_once, 0, sizeof at_once);
    memset(alone, 0, sizeof alone);
    for (i = 0; i < 2; i++) {
        at_once[i].seed = alone[i].seed = (uint64_t)i + 1;
        at_once[i].hooked = 1;
    }
    if (!CHECK(pthread_create(&threads[0], NULL, study_run, &at_once[0]) == 0)) return;
    if (CHECK(pthread_create(&threads[1], NULL, study_run, &at_once[1]) == 0))
        pthread_join(threads[1], NULL);
    pthread_join(threads[0], NULL);
    for (i = 0; i < 2; i++) {
        study_run(&alone[i]);
        CHECK(at_once[i].status == PRUN_OK && alone[i].status == PRUN_OK);
        CHECK(at_once[i].loops > 0 && alone[i].loops == 0);
        CHECK(memcmp(at_once[i].values, alone[i].values, sizeof alone[i].values) == 0);
        CHECK(alone[i].values[1] > 0 && alone[i].values[3] != 0);
    }
    CHECK(alone[0].values[0] != alone[1].values[0]);
}

#else

static void two_contexts_at_once(void) { SKIP("needs POSIX threads"); }

#endif

static const test_case cases[] = {TEST_CASE(two_contexts_at_once)};

int main(int argc, char **argv) {
#if HAVE_PTHREAD
    unsigned i;
    /* not the library's generator: the first library call must come from a thread */
    for (i = 0; i < sizeof pixels; i++) pixels[i] = (uint8_t)((i * 2654435761u) >> 24);
#endif
    return TEST_MAIN("test_threads", cases, argc, argv);
}
