/* implementation.h - the library with its implementation, counting the files that it opens.

   Most test programs use only public names. They include "../prunability.h", and the Makefile links
   them with build/tests.a, which is compiled once, from tests/implementation.c. A program that
   needs private names (prun__...) includes this file instead, before any other header, and compiles
   its own copy.
*/
#ifndef TEST_IMPLEMENTATION_H_INCLUDED
#define TEST_IMPLEMENTATION_H_INCLUDED

#if defined(__unix__) || defined(__APPLE__)
#define _POSIX_C_SOURCE 200809L
#endif
#include <stdio.h>

int streams_opened, streams_open; /* since the last reset; of those, still open */

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
#define PRUNABILITY_STATIC /* unused functions are left out */
#endif
#define PRUNABILITY_IMPLEMENTATION
#include "../prunability.h"
#undef fopen
#undef fclose
#undef fdopen
#undef _wfopen
#undef _fdopen

#endif
