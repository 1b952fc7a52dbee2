#ifndef MSVC_STDDEF_H
#define MSVC_STDDEF_H
typedef unsigned long long size_t;
typedef long long ptrdiff_t;
#ifdef __cplusplus
#define NULL 0
#else
typedef unsigned short wchar_t;
#define NULL ((void *)0)
#endif
#define offsetof(type, member) ((size_t) & ((type *)0)->member)
#endif
