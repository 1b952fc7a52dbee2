/* linked.h - compiles a program that brings the implementation along without it, to be linked with
   build/tests.a: `cc -include tests/linked.h PROGRAM.c build/tests.a`. So `make test` compiles the
   implementation once, not once for every program. Only for programs that use public names alone.
*/
#include "../prunability.h"
#define PRUNABILITY_IMPLEMENTATION_INCLUDED
