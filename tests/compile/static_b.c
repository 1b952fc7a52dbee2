/* The second private copy, reached through two functions of this file. */
#define PRUNABILITY_STATIC
#define PRUNABILITY_IMPLEMENTATION
#include "../../prunability.h"

uint64_t other_copy(uint64_t seed);
const char *other_version(void);

uint64_t other_copy(uint64_t seed) { return prun_random_bits(seed, 6, 7); }

const char *other_version(void) { return PRUNABILITY_VERSION; }
