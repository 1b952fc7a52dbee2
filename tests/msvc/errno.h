#ifndef MSVC_ERRNO_H
#define MSVC_ERRNO_H
#ifdef __cplusplus
extern "C" {
#endif
int *_errno(void);
#define errno (*_errno())
#define EIO 5
#define EACCES 13
#define EEXIST 17
#define ENAMETOOLONG 38
#ifdef __cplusplus
}
#endif
#endif
