/* The implementation after headers and macros whose names it must not use. */
#include <complex.h>
#include <tgmath.h>
#define A a
#define B b
#define C c
#define D d
#define E e
#define F f
#define G g
#define H h
#define J j
#define K k
#define L l
#define M m
#define N n
#define O o
#define P p
#define Q q
#define R r
#define S s
#define T t
#define U u
#define V v
#define W w
#define X x
#define Y y
#define Z z
#define portable 1
#define avx2 1
#define avx512 1
#define neon 1
#define min(a, b) ((a) < (b) ? (a) : (b))
#define max(a, b) ((a) > (b) ? (a) : (b))
/* of <windows.h> and what it includes */
#define near
#define far
#define small char
#define hyper long
#define interface struct
#define pascal
#define cdecl
#define IN
#define OUT
#define OPTIONAL
#define CONST const
#define VOID void
#define TRUE 1
#define FALSE 0
#define ERROR 0
#define DELETE 0x10000
#define STRICT 1
#define NO_ERROR 0
#define RELATIVE 1
#define ABSOLUTE 2
#define TRANSPARENT 1
#define OPAQUE 2
#define PRUNABILITY_IMPLEMENTATION
#include "../../prunability.h"

int main(void) { return prun_tensor_size(&(prun_tensor){.rank = 0}) != 1; }
