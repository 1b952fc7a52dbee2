#ifndef MSVC_IO_H
#define MSVC_IO_H
#include <stddef.h>
#ifdef __cplusplus
extern "C" {
#endif
int _close(int descriptor);
int _commit(int descriptor);
int _waccess(const wchar_t *path, int mode);
int _wopen(const wchar_t *path, int flags, ...);
#ifdef __cplusplus
}
#endif
#endif
