/* The library on an allocator of the program's own: used, and everything given back. */
#include <stddef.h>
#include <stdlib.h>

static long live, total;

static void *counted_malloc(size_t size)
{
    void *pointer = malloc(size);
    if (pointer != NULL) {
        live++;
        total++;
    }
    return pointer;
}

static void counted_free(void *pointer)
{
    if (pointer != NULL) {
        live--;
    }
    free(pointer);
}

#define PRUNABILITY_MALLOC(size) counted_malloc(size)
#define PRUNABILITY_FREE(pointer) counted_free(pointer)
#define PRUNABILITY_IMPLEMENTATION
#include "../../prunability.h"

int main(void)
{
    double x[5] = {1, 2, 3, 4, 5}, y[5] = {5, 4, 3, 1, 2};
    prun_kendall kendall;
    prun_net *net = NULL;
    int32_t v;

    if (prun_kendall_tau(NULL, x, y, 5, &kendall) != PRUN_OK) {
        return 1;
    }
    if (prun_net_create(NULL, 1, 4, 4, &net) != PRUN_OK) {
        return 2;
    }
    v = prun_layer_linear(net, PRUN_INPUT, "fc", 2, 1);
    if (prun_net_finish(net, v, 1) != PRUN_OK) {
        return 3;
    }
    if (live == 0) {
        return 4;
    }
    prun_net_free(net);
    return live == 0 && total > 0 ? 0 : 5;
}
