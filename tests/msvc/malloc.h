#ifndef MSVC_MALLOC_H
#define MSVC_MALLOC_H
#include <stdlib.h>
#ifdef __cplusplus
extern "C" {
#endif
void *_aligned_malloc(size_t size, size_t alignment);
void _aligned_free(void *block);
#ifdef __cplusplus
}
#endif
#endif
