/* The library for the test programs that use public names alone; see implementation.h. */
#define TEST_LIBRARY
#include "implementation.h"
