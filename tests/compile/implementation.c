/* The one file of a program that compiles the implementation. */
#define PRUNABILITY_IMPLEMENTATION
#include "../../prunability.h"
