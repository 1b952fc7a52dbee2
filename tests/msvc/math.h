#ifndef MSVC_MATH_H
#define MSVC_MATH_H
/* In newer headers NAN is a function call, so it cannot initialise static objects. */
#ifdef __cplusplus
extern "C" {
#endif
float __ucrt_int_to_float(int bits);
#define NAN (__ucrt_int_to_float(0x7FC00000))
#define INFINITY ((float)(1e+300 * 1e+300))
#define HUGE_VAL ((double)INFINITY)
short _dclass(double x);
short _fdclass(float x);
int _dsign(double x);
#define isnan(x) (sizeof(x) == sizeof(float) ? _fdclass((float)(x)) == 2 : _dclass(x) == 2)
#define isinf(x) (sizeof(x) == sizeof(float) ? _fdclass((float)(x)) == 1 : _dclass(x) == 1)
#define isfinite(x) (sizeof(x) == sizeof(float) ? _fdclass((float)(x)) <= 0 : _dclass(x) <= 0)
#define signbit(x) (_dsign(x) != 0)
double ceil(double x);
double cos(double x);
double erfc(double x);
double exp(double x);
double expm1(double x);
double fabs(double x);
double floor(double x);
double fmax(double x, double y);
double fmin(double x, double y);
double fmod(double x, double y);
double frexp(double x, int *exponent);
double ldexp(double x, int exponent);
double lgamma(double x);
double log(double x);
double log10(double x);
double log1p(double x);
double log2(double x);
double pow(double x, double y);
double rint(double x);
double round(double x);
double sin(double x);
double sqrt(double x);
double tanh(double x);
float fabsf(float x);
float sqrtf(float x);
#ifdef __cplusplus
}
#endif
#endif
