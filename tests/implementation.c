/* The library for the test programs that use only public names; see implementation.h. */
#define TEST_LIBRARY
#include "implementation.h"
