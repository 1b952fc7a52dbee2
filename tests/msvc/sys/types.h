#ifndef MSVC_SYS_TYPES_H
#define MSVC_SYS_TYPES_H
typedef unsigned short _ino_t;
typedef unsigned _dev_t;
#endif
