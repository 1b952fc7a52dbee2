/* reference.h - every operation of a network in double precision, written from its definition.

   Row-major (n, c, h, w) and plain loops; no code is shared with the library. This is the oracle of
   the numerical tests. All tensors are allocated from one pool, which ref_free_all empties.
*/
#ifndef REFERENCE_H_INCLUDED
#define REFERENCE_H_INCLUDED

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct ref_tensor {
    int64_t n, c, h, w; /* kernels: out, in, height, width */
    double *v;
} ref_tensor;

/* Sliding window of a convolution or a pool; padding at top, left, bottom, right. */
typedef struct ref_window {
    int64_t kh, kw, sh, sw, top, left, bottom, right;
} ref_window;

typedef union ref_block {
    union ref_block *next;
    double align[2];
} ref_block;

static ref_block *ref_pool;

/* `count` zeros from the pool. */
static inline double *ref_zeros(int64_t count) {
    ref_block *block = (ref_block *)calloc(1, sizeof(*block) + (size_t)count * sizeof(double));
    if (block == NULL) {
        fprintf(stderr, "reference: out of memory\n");
        exit(2);
    }
    block->next = ref_pool;
    ref_pool = block;
    return (double *)(block + 1);
}

static inline void ref_free_all(void) {
    while (ref_pool != NULL) {
        ref_block *next = ref_pool->next;
        free(ref_pool);
        ref_pool = next;
    }
}

static inline ref_tensor ref_new(int64_t n, int64_t c, int64_t h, int64_t w) {
    ref_tensor t = {0, 0, 0, 0, NULL};
    t.n = n;
    t.c = c;
    t.h = h;
    t.w = w;
    t.v = ref_zeros(n * c * h * w);
    return t;
}

static inline ref_tensor ref_like(const ref_tensor *t) { return ref_new(t->n, t->c, t->h, t->w); }

static inline int64_t ref_size(const ref_tensor *t) { return t->n * t->c * t->h * t->w; }

static inline ref_tensor ref_from_floats(const float *v, int64_t n, int64_t c, int64_t h,
                                         int64_t w) {
    ref_tensor t = ref_new(n, c, h, w);
    int64_t i;
    for (i = 0; i < ref_size(&t); i++) t.v[i] = (double)v[i];
    return t;
}

/* Element (n, c, i, j), NULL in the padding around the image. */
static inline double *ref_at(const ref_tensor *t, int64_t n, int64_t c, int64_t i, int64_t j) {
    if (i < 0 || i >= t->h || j < 0 || j >= t->w) return NULL;
    return t->v + ((n * t->c + c) * t->h + i) * t->w + j;
}

static inline int64_t ref_out_height(const ref_tensor *x, const ref_window *g) {
    return (x->h + g->top + g->bottom - g->kh) / g->sh + 1;
}

static inline int64_t ref_out_width(const ref_tensor *x, const ref_window *g) {
    return (x->w + g->left + g->right - g->kw) / g->sw + 1;
}

/* Uniform in [-1, 1) from a state that is not 0 (xorshift64*): test data without the library. */
static inline double ref_noise(uint64_t *state) {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (double)((*state * 0x2545f4914f6cdd1dULL) >> 11) / 4503599627370496.0 - 1;
}

/* Uniform integer in 0 .. count-1. */
static inline int64_t ref_pick(uint64_t *state, int64_t count) {
    return (int64_t)((ref_noise(state) + 1) / 2 * (double)count);
}

/* Relative L2 distance of floats from doubles; absolute where the reference is all zero. */
static inline double ref_distance(const float *got, const double *want, int64_t count) {
    double difference = 0, norm = 0;
    int64_t i;
    for (i = 0; i < count; i++) {
        difference += ((double)got[i] - want[i]) * ((double)got[i] - want[i]);
        norm += want[i] * want[i];
    }
    return sqrt(norm > 0 ? difference / norm : difference);
}

/* Convolution */

/* Sum over (c, a, b) of x[n, c, i sh - top + a, j sw - left + b] weight[o, c, a, b]. */
static inline double ref_conv_sum(const ref_tensor *x, const ref_tensor *weight,
                                  const ref_window *g, int64_t n, int64_t o, int64_t i, int64_t j) {
    double sum = 0;
    int64_t c, a, b;
    for (c = 0; c < x->c; c++) {
        for (a = 0; a < g->kh; a++) {
            for (b = 0; b < g->kw; b++) {
                const double *v = ref_at(x, n, c, i * g->sh - g->top + a, j * g->sw - g->left + b);
                if (v != NULL) sum += *v * *ref_at(weight, o, c, a, b);
            }
        }
    }
    return sum;
}

static inline ref_tensor ref_conv(const ref_tensor *x, const ref_tensor *weight, const double *bias,
                                  const ref_window *g) {
    ref_tensor y = ref_new(x->n, weight->n, ref_out_height(x, g), ref_out_width(x, g));
    int64_t n, o, i, j;
    for (n = 0; n < y.n; n++) {
        for (o = 0; o < y.c; o++) {
            for (i = 0; i < y.h; i++) {
                for (j = 0; j < y.w; j++) {
                    *ref_at(&y, n, o, i, j) =
                        ref_conv_sum(x, weight, g, n, o, i, j) + (bias != NULL ? bias[o] : 0);
                }
            }
        }
    }
    return y;
}

/* Adds the contribution of one output's gradient d to dx (needs weight) and to dweight (needs x).
   dx or dweight may be NULL, and then so may the tensor that it needs. */
static inline void ref_conv_spread(const ref_tensor *x, const ref_tensor *weight,
                                   const ref_window *g, double d, const int64_t at[4],
                                   ref_tensor *dx, ref_tensor *dweight) {
    const ref_tensor *image = dx != NULL ? dx : x;
    int64_t c, a, b;
    for (c = 0; c < image->c; c++) {
        for (a = 0; a < g->kh; a++) {
            for (b = 0; b < g->kw; b++) {
                int64_t i = at[2] * g->sh - g->top + a, j = at[3] * g->sw - g->left + b;
                if (ref_at(image, at[0], c, i, j) == NULL) continue;
                if (dx != NULL) {
                    *ref_at(dx, at[0], c, i, j) += d * *ref_at(weight, at[1], c, a, b);
                } else {
                    *ref_at(dweight, at[1], c, a, b) += d * *ref_at(x, at[0], c, i, j);
                }
            }
        }
    }
}

static inline void ref_conv_backward(const ref_tensor *x, const ref_tensor *weight,
                                     const ref_window *g, const ref_tensor *dy, ref_tensor *dx,
                                     ref_tensor *dweight) {
    int64_t at[4];
    for (at[0] = 0; at[0] < dy->n; at[0]++) {
        for (at[1] = 0; at[1] < dy->c; at[1]++) {
            for (at[2] = 0; at[2] < dy->h; at[2]++) {
                for (at[3] = 0; at[3] < dy->w; at[3]++) {
                    double d = *ref_at(dy, at[0], at[1], at[2], at[3]);
                    ref_conv_spread(x, weight, g, d, at, dx, dweight);
                }
            }
        }
    }
}

/* Gradient with respect to x, whose shape `x` gives. */
static inline ref_tensor ref_conv_input_gradient(const ref_tensor *x, const ref_tensor *weight,
                                                 const ref_window *g, const ref_tensor *dy) {
    ref_tensor dx = ref_like(x);
    ref_conv_backward(NULL, weight, g, dy, &dx, NULL);
    return dx;
}

/* Gradient with respect to weight, whose shape `weight` gives. */
static inline ref_tensor ref_conv_weight_gradient(const ref_tensor *x, const ref_tensor *weight,
                                                  const ref_window *g, const ref_tensor *dy) {
    ref_tensor dweight = ref_like(weight);
    ref_conv_backward(x, NULL, g, dy, NULL, &dweight);
    return dweight;
}

/* Sum over everything but the channel: the gradient of a bias. out: dy->c. */
static inline void ref_channel_sums(const ref_tensor *dy, double *out) {
    int64_t i, plane = dy->h * dy->w;
    for (i = 0; i < dy->c; i++) out[i] = 0;
    for (i = 0; i < ref_size(dy); i++) out[i / plane % dy->c] += dy->v[i];
}

/* Fully connected: y[n, o] = sum_f weight[o, f] x[n, f] + bias[o], f running over (c, h, w). */

static inline ref_tensor ref_linear(const ref_tensor *x, const double *weight, const double *bias,
                                    int64_t features) {
    ref_tensor y = ref_new(x->n, features, 1, 1);
    int64_t n, o, f, inputs = x->c * x->h * x->w;
    for (n = 0; n < x->n; n++) {
        for (o = 0; o < features; o++) {
            double sum = bias != NULL ? bias[o] : 0;
            for (f = 0; f < inputs; f++) sum += weight[o * inputs + f] * x->v[n * inputs + f];
            y.v[n * features + o] = sum;
        }
    }
    return y;
}

/* Returns dx; adds to dweight. */
static inline ref_tensor ref_linear_backward(const ref_tensor *x, const double *weight,
                                             const ref_tensor *dy, double *dweight) {
    ref_tensor dx = ref_like(x);
    int64_t n, o, f, inputs = x->c * x->h * x->w;
    for (n = 0; n < x->n; n++) {
        for (o = 0; o < dy->c; o++) {
            double d = dy->v[n * dy->c + o];
            for (f = 0; f < inputs; f++) {
                dx.v[n * inputs + f] += d * weight[o * inputs + f];
                dweight[o * inputs + f] += d * x->v[n * inputs + f];
            }
        }
    }
    return dx;
}

/* Batch norm: y = scale (x - mean) / sqrt(variance + epsilon) + shift, per channel */

/* Mean and biased variance of every channel over the batch and all positions. */
static inline void ref_moments(const ref_tensor *x, double *mean, double *variance) {
    int64_t i, plane = x->h * x->w;
    double count = (double)(x->n * plane);
    ref_channel_sums(x, mean);
    for (i = 0; i < x->c; i++) mean[i] /= count, variance[i] = 0;
    for (i = 0; i < ref_size(x); i++) {
        double centred = x->v[i] - mean[i / plane % x->c];
        variance[i / plane % x->c] += centred * centred / count;
    }
}

/* Train mode: mean and variance of the batch; eval mode: the running ones. */
static inline ref_tensor ref_batch_norm(const ref_tensor *x, const double *scale,
                                        const double *shift, const double *mean,
                                        const double *variance, double epsilon) {
    ref_tensor y = ref_like(x);
    int64_t i, plane = x->h * x->w;
    for (i = 0; i < ref_size(x); i++) {
        int64_t c = i / plane % x->c;
        y.v[i] = scale[c] * (x->v[i] - mean[c]) / sqrt(variance[c] + epsilon) + shift[c];
    }
    return y;
}

/* Adds to dscale and dshift; returns dx. In train mode (`batch` 1) mean and variance depend on x:
   dx = scale / s (dy - mean(dy) - u mean(dy u)) with u the normalised x, s the deviation. */
static inline ref_tensor ref_batch_norm_backward(const ref_tensor *x, const double *scale,
                                                 const double *mean, const double *variance,
                                                 double epsilon, int batch, const ref_tensor *dy,
                                                 double *dscale, double *dshift) {
    ref_tensor u, dx = ref_like(x);
    double *one = ref_zeros(x->c), *zero = ref_zeros(x->c);
    double *sum = ref_zeros(x->c), *dot = ref_zeros(x->c), count = (double)(x->n * x->h * x->w);
    int64_t i, plane = x->h * x->w;
    for (i = 0; i < x->c; i++) one[i] = 1;
    u = ref_batch_norm(x, one, zero, mean, variance, epsilon);
    for (i = 0; i < ref_size(x); i++) {
        sum[i / plane % x->c] += dy->v[i];
        dot[i / plane % x->c] += dy->v[i] * u.v[i];
    }
    for (i = 0; i < ref_size(x); i++) {
        int64_t c = i / plane % x->c;
        double d = dy->v[i] - (batch ? sum[c] / count + u.v[i] * dot[c] / count : 0);
        dx.v[i] = scale[c] / sqrt(variance[c] + epsilon) * d;
    }
    for (i = 0; i < x->c; i++) dscale[i] += dot[i], dshift[i] += sum[i];
    return dx;
}

/* Moves running statistics towards a batch's; the variance with Bessel's correction. */
static inline void ref_running(double *running_mean, double *running_variance, const double *mean,
                               const double *variance, int64_t channels, int64_t count,
                               double momentum) {
    double bessel = (double)count / (double)(count - 1);
    int64_t c;
    for (c = 0; c < channels; c++) {
        running_mean[c] += momentum * (mean[c] - running_mean[c]);
        running_variance[c] += momentum * (variance[c] * bessel - running_variance[c]);
    }
}

/* ReLU, addition */

static inline ref_tensor ref_relu(const ref_tensor *x) {
    ref_tensor y = ref_like(x);
    int64_t i;
    for (i = 0; i < ref_size(x); i++) y.v[i] = x->v[i] > 0 ? x->v[i] : 0;
    return y;
}

static inline ref_tensor ref_relu_backward(const ref_tensor *x, const ref_tensor *dy) {
    ref_tensor dx = ref_like(x);
    int64_t i;
    for (i = 0; i < ref_size(x); i++) dx.v[i] = x->v[i] > 0 ? dy->v[i] : 0;
    return dx;
}

static inline ref_tensor ref_add(const ref_tensor *a, const ref_tensor *b) {
    ref_tensor y = ref_like(a);
    int64_t i;
    for (i = 0; i < ref_size(a); i++) y.v[i] = a->v[i] + b->v[i];
    return y;
}

static inline void ref_accumulate(ref_tensor *sum, const ref_tensor *term) {
    int64_t i;
    for (i = 0; i < ref_size(sum); i++) sum->v[i] += term->v[i];
}

/* Pools */

/* The window's maximum: the first one in row-major order, never in the padding. */
static inline double *ref_window_maximum(const ref_tensor *x, const ref_window *g, int64_t n,
                                         int64_t c, int64_t i, int64_t j) {
    double *best = NULL;
    int64_t a, b;
    for (a = 0; a < g->kh; a++) {
        for (b = 0; b < g->kw; b++) {
            double *v = ref_at(x, n, c, i * g->sh - g->top + a, j * g->sw - g->left + b);
            if (v != NULL && (best == NULL || *v > *best)) best = v;
        }
    }
    return best;
}

/* y when dy is NULL, otherwise dx. */
static inline ref_tensor ref_max_pool_pass(const ref_tensor *x, const ref_window *g,
                                           const ref_tensor *dy) {
    ref_tensor y = ref_new(x->n, x->c, ref_out_height(x, g), ref_out_width(x, g));
    ref_tensor dx = ref_like(x);
    int64_t n, c, i, j;
    for (n = 0; n < y.n; n++) {
        for (c = 0; c < y.c; c++) {
            for (i = 0; i < y.h; i++) {
                for (j = 0; j < y.w; j++) {
                    const double *best = ref_window_maximum(x, g, n, c, i, j);
                    *ref_at(&y, n, c, i, j) = *best;
                    if (dy != NULL) dx.v[best - x->v] += *ref_at(dy, n, c, i, j);
                }
            }
        }
    }
    return dy != NULL ? dx : y;
}

static inline ref_tensor ref_max_pool(const ref_tensor *x, const ref_window *g) {
    return ref_max_pool_pass(x, g, NULL);
}

static inline ref_tensor ref_max_pool_backward(const ref_tensor *x, const ref_window *g,
                                               const ref_tensor *dy) {
    return ref_max_pool_pass(x, g, dy);
}

/* The average pool is a depthwise convolution with kernel 1 / (kh kw) that counts the padding. */
static inline double ref_window_mean(const ref_tensor *x, const ref_window *g, int64_t n, int64_t c,
                                     int64_t i, int64_t j) {
    double sum = 0;
    int64_t a, b;
    for (a = 0; a < g->kh; a++) {
        for (b = 0; b < g->kw; b++) {
            const double *v = ref_at(x, n, c, i * g->sh - g->top + a, j * g->sw - g->left + b);
            sum += v != NULL ? *v : 0;
        }
    }
    return sum / (double)(g->kh * g->kw);
}

static inline ref_tensor ref_avg_pool(const ref_tensor *x, const ref_window *g) {
    ref_tensor y = ref_new(x->n, x->c, ref_out_height(x, g), ref_out_width(x, g));
    int64_t n, c, i, j;
    for (n = 0; n < y.n; n++) {
        for (c = 0; c < y.c; c++) {
            for (i = 0; i < y.h; i++) {
                for (j = 0; j < y.w; j++) {
                    *ref_at(&y, n, c, i, j) = ref_window_mean(x, g, n, c, i, j);
                }
            }
        }
    }
    return y;
}

/* Gradient at x[n, c, p, q]: the sum of its shares in all windows that cover it. */
static inline double ref_covering_sum(const ref_tensor *dy, const ref_window *g, int64_t n,
                                      int64_t c, int64_t p, int64_t q) {
    double sum = 0;
    int64_t i, j;
    for (i = 0; i < dy->h; i++) {
        for (j = 0; j < dy->w; j++) {
            int64_t a = p - (i * g->sh - g->top), b = q - (j * g->sw - g->left);
            if (a >= 0 && a < g->kh && b >= 0 && b < g->kw) sum += *ref_at(dy, n, c, i, j);
        }
    }
    return sum / (double)(g->kh * g->kw);
}

static inline ref_tensor ref_avg_pool_backward(const ref_tensor *x, const ref_window *g,
                                               const ref_tensor *dy) {
    ref_tensor dx = ref_like(x);
    int64_t n, c, p, q;
    for (n = 0; n < x->n; n++) {
        for (c = 0; c < x->c; c++) {
            for (p = 0; p < x->h; p++) {
                for (q = 0; q < x->w; q++) {
                    *ref_at(&dx, n, c, p, q) = ref_covering_sum(dy, g, n, c, p, q);
                }
            }
        }
    }
    return dx;
}

/* Softmax cross-entropy */

/* -ln softmax(logits)[label] of one sample. */
static inline double ref_sample_loss(const double *logits, int64_t classes, int64_t label) {
    double largest = logits[0], sum = 0;
    int64_t k;
    for (k = 1; k < classes; k++) largest = logits[k] > largest ? logits[k] : largest;
    for (k = 0; k < classes; k++) sum += exp(logits[k] - largest);
    return log(sum) + largest - logits[label];
}

/* Summed loss of a batch of logits (n, classes, 1, 1); dlogits: its gradient, or NULL. */
static inline double ref_cross_entropy(const ref_tensor *logits, const int32_t *labels,
                                       ref_tensor *dlogits) {
    double total = 0;
    int64_t n, k, classes = logits->c;
    for (n = 0; n < logits->n; n++) {
        const double *row = logits->v + n * classes;
        total += ref_sample_loss(row, classes, labels[n]);
        for (k = 0; k < classes && dlogits != NULL; k++) {
            double p = exp(-ref_sample_loss(row, classes, k));
            dlogits->v[n * classes + k] = p - (k == labels[n] ? 1.0 : 0.0);
        }
    }
    return total;
}

/* Eigenvalues by Jacobi rotations */

/* Eigenvalues of symmetric a (n x n, destroyed), ascending; vectors: NULL or n rows of unit
   length. */
static inline void ref_eigenvalues(double *a, int64_t n, double *values, double *vectors) {
    int64_t i, j, k;
    double off = 1;
    int sweep;
    for (i = 0; vectors != NULL && i < n * n; i++) vectors[i] = i % (n + 1) == 0;
    for (sweep = 0; sweep < 60 && off > 0; sweep++) {
        double scale = 0;
        for (i = 0; i < n; i++) scale = fmax(scale, fabs(a[i * n + i]));
        for (off = 0, i = 0; i < n; i++) {
            for (j = i + 1; j < n; j++) {
                double w = a[i * n + j], t, c, s;
                if (fabs(w) <= 1e-15 * scale) continue;
                off = 1;
                t = (a[j * n + j] - a[i * n + i]) / (2 * w);
                t = (t < 0 ? -1 : 1) / (fabs(t) + sqrt(t * t + 1));
                c = 1 / sqrt(t * t + 1);
                s = t * c;
                for (k = 0; k < n; k++) {
                    double p = a[k * n + i], q = a[k * n + j];
                    a[k * n + i] = c * p - s * q;
                    a[k * n + j] = s * p + c * q;
                }
                for (k = 0; k < n; k++) {
                    double p = a[i * n + k], q = a[j * n + k];
                    a[i * n + k] = c * p - s * q;
                    a[j * n + k] = s * p + c * q;
                    if (vectors == NULL) continue;
                    p = vectors[i * n + k], q = vectors[j * n + k];
                    vectors[i * n + k] = c * p - s * q;
                    vectors[j * n + k] = s * p + c * q;
                }
            }
        }
    }
    for (i = 0; i < n; i++) values[i] = a[i * n + i];
    for (i = 0; i < n; i++) {
        for (j = i, k = i + 1; k < n; k++)
            if (values[k] < values[j]) j = k;
        for (k = 0; vectors != NULL && k < n; k++) {
            double t = vectors[i * n + k];
            vectors[i * n + k] = vectors[j * n + k];
            vectors[j * n + k] = t;
        }
        off = values[i], values[i] = values[j], values[j] = off;
    }
}

#endif
