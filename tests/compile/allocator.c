/* The library with the program's own allocator: it is used, and every block is freed. */
#include <stddef.h>
#include <stdlib.h>

static long blocks_live, blocks_in_all;

static void *counted_malloc(size_t size) {
    void *pointer = malloc(size);
    if (pointer != NULL) {
        blocks_live++;
        blocks_in_all++;
    }
    return pointer;
}

static void counted_free(void *pointer) {
    if (pointer != NULL) {
        blocks_live--;
    }
    free(pointer);
}

#define PRUNABILITY_MALLOC(size) counted_malloc(size)
#define PRUNABILITY_FREE(pointer) counted_free(pointer)
#define PRUNABILITY_IMPLEMENTATION
#include "../../prunability.h"

int main(void) {
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
    if (blocks_live == 0) {
        return 4;
    }
    prun_net_free(net);
    return blocks_live == 0 && blocks_in_all > 0 ? 0 : 5;
}
