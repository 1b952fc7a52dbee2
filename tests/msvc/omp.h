#ifndef MSVC_OMP_H
#define MSVC_OMP_H
#ifdef __cplusplus
extern "C" {
#endif
int omp_get_max_threads(void);
int omp_get_num_threads(void);
int omp_get_thread_num(void);
int omp_in_parallel(void);
#ifdef __cplusplus
}
#endif
#endif
