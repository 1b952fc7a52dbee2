#ifndef MSVC_TIME_H
#define MSVC_TIME_H
#ifdef __cplusplus
extern "C" {
#endif
typedef long clock_t;
typedef long long time_t;
#define CLOCKS_PER_SEC ((clock_t)1000)
clock_t clock(void);
time_t time(time_t *now);
#ifdef __cplusplus
}
#endif
#endif
