#ifndef MSVC_STDARG_H
#define MSVC_STDARG_H
typedef char *va_list;
#define va_start(list, last) __builtin_va_start(list, last)
#define va_arg(list, type) __builtin_va_arg(list, type)
#define va_copy(to, from) ((to) = (from))
#define va_end(list) ((void)((list) = (va_list)0))
#endif
