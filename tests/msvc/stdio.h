#ifndef MSVC_STDIO_H
#define MSVC_STDIO_H
#include <stdarg.h>
#include <stddef.h>
#ifdef __cplusplus
extern "C" {
#endif
typedef struct _iobuf {
    void *_Placeholder;
} FILE;
FILE *__acrt_iob_func(unsigned index);
#define stdin (__acrt_iob_func(0))
#define stdout (__acrt_iob_func(1))
#define stderr (__acrt_iob_func(2))
#define EOF (-1)
#define SEEK_SET 0
#define SEEK_CUR 1
#define SEEK_END 2
FILE *fopen(const char *path, const char *mode);
int fclose(FILE *stream);
int fflush(FILE *stream);
int feof(FILE *stream);
int ferror(FILE *stream);
size_t fread(void *to, size_t size, size_t count, FILE *stream);
size_t fwrite(const void *from, size_t size, size_t count, FILE *stream);
int fseek(FILE *stream, long at, int from);
long ftell(FILE *stream);
int remove(const char *path);
int rename(const char *from, const char *to);
int printf(const char *format, ...);
int fprintf(FILE *stream, const char *format, ...);
int puts(const char *text);
int putchar(int c);
int snprintf(char *to, size_t size, const char *format, ...);
int vsnprintf(char *to, size_t size, const char *format, va_list arguments);
int _fseeki64(FILE *stream, long long at, int from);
long long _ftelli64(FILE *stream);
int _fileno(FILE *stream);
FILE *_fdopen(int descriptor, const char *mode);
FILE *_wfopen(const wchar_t *path, const wchar_t *mode);
int _wremove(const wchar_t *path);
#ifdef __cplusplus
}
#endif
#endif
