/* The library for the test programs that use public names alone; see implementation.h. */
#include "implementation.h"
