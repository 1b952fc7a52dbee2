#ifndef MSVC_SYS_STAT_H
#define MSVC_SYS_STAT_H
#include <stddef.h>
#include <sys/types.h>
#ifdef __cplusplus
extern "C" {
#endif
#define _S_IFMT 0xF000
#define _S_IFDIR 0x4000
#define _S_IFREG 0x8000
#define _S_IREAD 0x0100
#define _S_IWRITE 0x0080
struct _stat64 {
    _dev_t st_dev;
    _ino_t st_ino;
    unsigned short st_mode;
    short st_nlink, st_uid, st_gid;
    _dev_t st_rdev;
    long long st_size, st_atime, st_mtime, st_ctime;
};
int _wstat64(const wchar_t *path, struct _stat64 *status);
#ifdef __cplusplus
}
#endif
#endif
