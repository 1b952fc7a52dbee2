#ifndef MSVC_STRING_H
#define MSVC_STRING_H
#include <stddef.h>
#ifdef __cplusplus
extern "C" {
#endif
void *memcpy(void *to, const void *from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *to, int value, size_t size);
int memcmp(const void *a, const void *b, size_t size);
size_t strlen(const char *text);
char *strcpy(char *to, const char *from);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t size);
char *strerror(int error);
#ifndef __cplusplus
void *memchr(const void *block, int value, size_t size);
char *strchr(const char *text, int c);
char *strrchr(const char *text, int c);
char *strstr(const char *text, const char *part);
char *strpbrk(const char *text, const char *set);
#else
const void *memchr(const void *block, int value, size_t size);
const char *strchr(const char *text, int c);
const char *strrchr(const char *text, int c);
const char *strstr(const char *text, const char *part);
const char *strpbrk(const char *text, const char *set);
}
inline char *strchr(char *text, int c) { return (char *)strchr((const char *)text, c); }
inline char *strrchr(char *text, int c) { return (char *)strrchr((const char *)text, c); }
inline char *strstr(char *text, const char *part) {
    return (char *)strstr((const char *)text, part);
}
extern "C" {
#endif
size_t strspn(const char *text, const char *set);
size_t strcspn(const char *text, const char *set);
#ifdef __cplusplus
}
#endif
#endif
