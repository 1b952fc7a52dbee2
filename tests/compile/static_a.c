/* A private copy of the library in this file; static_b.c has another. */
#define PRUNABILITY_STATIC
#define PRUNABILITY_IMPLEMENTATION
#include "../../prunability.h"

#include <string.h>

uint64_t other_copy(uint64_t seed);
const char *other_version(void);

int main(void) {
    if (strcmp(other_version(), PRUNABILITY_VERSION) != 0) {
        return 1;
    }
    return prun_random_bits(5, 6, 7) == other_copy(5) ? 0 : 2;
}
