/* The header again before and after the implementation, and the implementation requested twice. */
#include "../../prunability.h"
#include "../../prunability.h"
#define PRUNABILITY_IMPLEMENTATION
#include "../../prunability.h"
#include "../../prunability.h"

int main(void) { return prun_kept_count(1, 2, 10) == 5 ? 0 : 1; }
