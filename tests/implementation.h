/* implementation.h - the library with its implementation, counting the files that it opens.

   Most test programs use public names alone: they include "../prunability.h", and the Makefile links
   them with build/tests.a, which tests/implementation.c makes of this file once for all of them. A
   program that needs private names (prun__...) includes this file instead, first of all, and brings
   its own copy.
*/
#ifndef TEST_IMPLEMENTATION_H_INCLUDED
#define TEST_IMPLEMENTATION_H_INCLUDED

#if defined(__unix__) || defined(__APPLE__)
#define _POSIX_C_SOURCE 200809L
#endif
#include <stdio.h>

int streams_opened, streams_open; /* since they were set to zero, and of those, not yet closed */

static FILE *counted(FILE *stream) {
    streams_opened += stream != NULL;
    streams_open += stream != NULL;
    return stream;
}

#ifdef _WIN32
static FILE *counted_wide_open(const wchar_t *path, const wchar_t *mode) {
    return counted(_wfopen(path, mode));
}
#define _wfopen counted_wide_open
#else
static FILE *counted_open(const char *path, const char *mode) { return counted(fopen(path, mode)); }
#define fopen counted_open
#endif

#if defined(__unix__) || defined(__APPLE__) || defined(_WIN32)
static FILE *counted_fdopen(int descriptor, const char *mode) {
#if defined(_WIN32)
    return counted(_fdopen(descriptor, mode));
#else
    return counted(fdopen(descriptor, mode));
#endif
}
#define fdopen(descriptor, mode) counted_fdopen(descriptor, mode)
#define _fdopen(descriptor, mode) counted_fdopen(descriptor, mode)
#endif

static int counted_close(FILE *stream) {
    streams_open--;
    return fclose(stream);
}

#define fclose counted_close
#ifndef TEST_LIBRARY
#define PRUNABILITY_STATIC /* what the program does not use is left out */
#endif
#define PRUNABILITY_IMPLEMENTATION
#include "../prunability.h"
#undef fopen
#undef fclose
#undef fdopen
#undef _wfopen
#undef _fdopen

#endif
