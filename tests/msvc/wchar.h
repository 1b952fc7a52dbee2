#ifndef MSVC_WCHAR_H
#define MSVC_WCHAR_H
#include <stddef.h>
#ifdef __cplusplus
extern "C" {
#endif
size_t wcslen(const wchar_t *text);
#ifdef __cplusplus
}
#endif
#endif
