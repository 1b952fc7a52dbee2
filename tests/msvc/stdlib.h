#ifndef MSVC_STDLIB_H
#define MSVC_STDLIB_H
#include <stddef.h>
#ifdef __cplusplus
extern "C" {
#endif
void *malloc(size_t size);
void *calloc(size_t count, size_t size);
void *realloc(void *block, size_t size);
void free(void *block);
__declspec(noreturn) void exit(int status);
void qsort(void *base, size_t count, size_t size, int(__cdecl *order)(const void *, const void *));
int abs(int x);
long strtol(const char *text, char **end, int base);
long long strtoll(const char *text, char **end, int base);
double strtod(const char *text, char **end);
#ifdef __cplusplus
}
#endif
#endif
