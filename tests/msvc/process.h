#ifndef MSVC_PROCESS_H
#define MSVC_PROCESS_H
#ifdef __cplusplus
extern "C" {
#endif
int _getpid(void);
#ifdef __cplusplus
}
#endif
#endif
