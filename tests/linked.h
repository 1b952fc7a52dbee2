/* linked.h - compiles a program without the implementation that it contains, to link it with
   build/tests.a: `cc -include tests/linked.h PROGRAM.c build/tests.a`. This way `make test`
   compiles the implementation once, not once for every program. Only for programs that use no
   private names.
*/
#include "../prunability.h"
#define PRUNABILITY_IMPLEMENTATION_INCLUDED
