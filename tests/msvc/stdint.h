#ifndef MSVC_STDINT_H
#define MSVC_STDINT_H
typedef signed char int8_t;
typedef short int16_t;
typedef int int32_t;
typedef long long int64_t;
typedef unsigned char uint8_t;
typedef unsigned short uint16_t;
typedef unsigned uint32_t;
typedef unsigned long long uint64_t;
typedef long long intptr_t;
typedef unsigned long long uintptr_t;
#define INT8_MIN (-127i8 - 1)
#define INT8_MAX 127i8
#define INT16_MIN (-32767i16 - 1)
#define INT16_MAX 32767i16
#define INT32_MIN (-2147483647i32 - 1)
#define INT32_MAX 2147483647i32
#define INT64_MIN (-9223372036854775807i64 - 1)
#define INT64_MAX 9223372036854775807i64
#define UINT8_MAX 0xffui8
#define UINT16_MAX 0xffffui16
#define UINT32_MAX 0xffffffffui32
#define UINT64_MAX 0xffffffffffffffffui64
#define SIZE_MAX 0xffffffffffffffffui64
#define INT64_C(x) (x##LL)
#define UINT64_C(x) (x##ULL)
#define UINT32_C(x) (x##U)
#endif
