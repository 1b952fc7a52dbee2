/* graph_reference.h - a random network in double precision, with the rounding errors of float.

   Forward and reverse mode, in evaluation or training mode, and tangents of both along a direction
   in the parameters, for the Hessian. Every number has the variance of the error that a computation
   in float would make, by first-order propagation. A sum is rounded to GRAPH_EPSILON of the sum of
   its absolute terms. The errors of its terms are independent or, in sums over samples and
   positions, proportional to the terms. The rounding of the Winograd algorithms is proportional to
   the values in the tile instead of the output's own products. A result whose products are all
   exactly zero has no error at all.

   Where a decision depends on rounding (a ReLU at zero, a pool with two winners), the error of the
   affected results is as large as the value that is decided about. Such a comparison is weak and
   counted as blunt, but it never fails falsely.
*/
#ifndef GRAPH_REFERENCE_H_INCLUDED
#define GRAPH_REFERENCE_H_INCLUDED

#include "graph.h"

#define GRAPH_EPSILON 1.1920929e-7 /* FLT_EPSILON: twice the error of one rounding */
#define GRAPH_TINY 1.4e-45         /* of subnormal numbers */
#define GRAPH_WINOGRAD 12.0        /* factor by which the Winograd algorithms round more coarsely */
#define GRAPH_SIGMAS 8.0           /* deviations that a comparison tolerates */

/* ---- memory: one block, released as a whole ---- */

enum { GRAPH_MEMORY = 1 << 24 };
static double *graph_memory;
static size_t graph_used;

static double *graph_zeros(int64_t count) {
    double *v;
    if (graph_memory == NULL) graph_memory = (double *)malloc(GRAPH_MEMORY * sizeof(double));
    if (graph_memory == NULL || graph_used + (size_t)count > GRAPH_MEMORY) {
        fprintf(stderr, "reference: out of memory\n");
        exit(2);
    }
    v = graph_memory + graph_used;
    graph_used += (size_t)count;
    memset(v, 0, (size_t)count * sizeof(double));
    return v;
}

typedef enum graph_map_kind { GRAPH_ABS, GRAPH_SQUARE } graph_map_kind;

static double *graph_map(graph_map_kind kind, const double *x, int64_t count) {
    double *y = graph_zeros(count);
    int64_t i;
    for (i = 0; i < count; i++) y[i] = kind == GRAPH_ABS ? fabs(x[i]) : x[i] * x[i];
    return y;
}

static int graph_exact = 1; /* 0: Winograd may round where all products are zero */

static double graph_square(double x) { return x * x; }

/* ---- numbers ---- */

/* Values with the variances of their errors, and tangents with theirs (all zero if not needed). */
typedef struct graph_array {
    double *v, *e, *t, *te;
} graph_array;

static graph_array graph_array_new(int64_t count) {
    graph_array a;
    a.v = graph_zeros(count);
    a.e = graph_zeros(count);
    a.t = graph_zeros(count);
    a.te = graph_zeros(count);
    return a;
}

/* Mean and variance of a batch norm's input, and the deviations of their errors. */
typedef struct graph_moments {
    double mean, variance, mean_error, relative_error; /* of 1 / sqrt(variance + epsilon) */
} graph_moments;

typedef struct graph_reference {
    const graph *g;
    const prun_tensor *tensors;
    const int64_t *index;
    int64_t n;
    int training, tangents;
    const float *direction;             /* of the tangents, flat; or NULL */
    const uint16_t *mask[GRAPH_LAYERS]; /* of dropout: [n / 16][h][w][c], a bit per sample */
    double *w, *dw;                     /* parameters and direction, flat */
    graph_array y[GRAPH_LAYERS + 1];    /* values */
    graph_array d[GRAPH_LAYERS + 1];    /* and the loss's gradient with respect to them */
    graph_array gradient;               /* flat */
    graph_moments *moments[GRAPH_LAYERS];
    double losses[GRAPH_IMAGES], loss_errors[GRAPH_IMAGES];
    int kink[GRAPH_IMAGES]; /* samples with a decision that depends on rounding */
} graph_reference;

static int64_t graph_count(const graph_reference *r, int32_t value) {
    const graph_layer l = graph_value(r->g, value);
    return r->n * l.c * l.h * l.w;
}

/* Adds one contribution to a value's gradient. */
static void graph_accumulate(const graph_array *sum, const graph_array *part, int64_t count) {
    int64_t i;
    for (i = 0; i < count; i++) {
        const double both = sum->v[i] != 0 && part->v[i] != 0, tangents = both || sum->t[i] != 0;
        sum->e[i] +=
            part->e[i] + both * graph_square(GRAPH_EPSILON * (fabs(sum->v[i]) + fabs(part->v[i])));
        sum->te[i] += part->te[i] +
                      tangents * graph_square(GRAPH_EPSILON * (fabs(sum->t[i]) + fabs(part->t[i])));
        sum->v[i] += part->v[i];
        sum->t[i] += part->t[i];
    }
}

/* ---- long sums ---- */

/* A sum over samples and positions: its value, the squares and absolute values of its terms, and
   the variances of their errors. Errors are independent, or proportional to the terms of a sample
   or of the whole sum. Proportional errors add up as the terms do. */
typedef struct graph_sum {
    double v, squares, size, variance, count;
    double at[3]; /* v, squares and variance at the start of the sample */
    double joint; /* variance of errors proportional to the terms of a sample */
} graph_sum;

static void graph_sum_add(graph_sum *s, double term, double size, double variance) {
    s->v += term;
    s->squares += term * term;
    s->size += size;
    s->variance += variance;
    s->count += size > 0;
}

/* The next term belongs to another sample. */
static void graph_sum_next(graph_sum *s) {
    const double squares = s->squares - s->at[1];
    if (squares > 0) s->joint += (s->variance - s->at[2]) * graph_square(s->v - s->at[0]) / squares;
    s->at[0] = s->v;
    s->at[1] = s->squares;
    s->at[2] = s->variance;
}

/* Variance of the rounding error of a sum of `count` terms, if the partial sums are a random walk
   over the absolute terms, or a quarter of their sum, or grow evenly to the result. */
static double graph_rounding(double size, double v, double count) {
    return graph_square(GRAPH_EPSILON) * (size * size * (1 + count / 192) + count * v * v / 12);
}

static double graph_sum_variance(const graph_sum *s) {
    return s->variance * (1 + (s->squares > 0 ? s->v * s->v / s->squares : 0)) + s->joint +
           graph_rounding(s->size, s->v, s->count);
}

/* ---- convolution ---- */

typedef struct graph_shape {
    int64_t n, ic, ih, iw, oc, oh, ow, kh, kw, sh, sw, top, left;
} graph_shape;

static graph_shape graph_shape_of(const graph_reference *r, const graph_layer *l) {
    graph_shape s;
    s.n = r->n;
    s.ic = l->conv.in_channels;
    s.ih = l->conv.in_height;
    s.iw = l->conv.in_width;
    s.oc = l->c;
    s.oh = l->h;
    s.ow = l->w;
    s.kh = l->conv.kernel[0];
    s.kw = l->conv.kernel[1];
    s.sh = l->conv.stride[0];
    s.sw = l->conv.stride[1];
    s.top = l->conv.padding[0];
    s.left = l->conv.padding[1];
    return s;
}

/* The range first .. last-1 of outputs along an axis whose tap `a` is on a pixel. */
static void graph_range(int64_t a, int64_t pad, int64_t stride, int64_t in, int64_t out,
                        int64_t *first, int64_t *last) {
    *first = pad > a ? (pad - a + stride - 1) / stride : 0;
    *last = in - 1 + pad - a < 0 ? 0 : (in - 1 + pad - a) / stride + 1;
    if (*last > out) *last = out;
}

typedef enum graph_pass { GRAPH_FORWARD, GRAPH_INPUT, GRAPH_WEIGHT } graph_pass;

/* One tap of one pair of planes; adds to y, x or *w. */
static double graph_tap(const graph_shape *s, graph_pass pass, double *x, double w, double *y,
                        int64_t a, int64_t b) {
    int64_t i, j, i0, i1, j0, j1;
    double sum = 0;
    graph_range(a, s->top, s->sh, s->ih, s->oh, &i0, &i1);
    graph_range(b, s->left, s->sw, s->iw, s->ow, &j0, &j1);
    for (i = i0; i < i1; i++) {
        double *out = y + i * s->ow, *in = x + (i * s->sh - s->top + a) * s->iw - s->left + b;
        if (pass == GRAPH_FORWARD)
            for (j = j0; j < j1; j++) out[j] += w * in[j * s->sw];
        else if (pass == GRAPH_INPUT)
            for (j = j0; j < j1; j++) in[j * s->sw] += w * out[j];
        else
            for (j = j0; j < j1; j++) sum += out[j] * in[j * s->sw];
    }
    return sum;
}

/* y += conv(x, w), x += the transposed of y, or w += the correlation of x and y. */
static void graph_conv(const graph_shape *s, graph_pass pass, double *x, double *w, double *y) {
    int64_t n, o, c, a, b;
    for (n = 0; n < s->n; n++)
        for (o = 0; o < s->oc; o++)
            for (c = 0; c < s->ic; c++)
                for (a = 0; a < s->kh; a++)
                    for (b = 0; b < s->kw; b++) {
                        double *tap = w + ((o * s->ic + c) * s->kh + a) * s->kw + b;
                        if (pass != GRAPH_WEIGHT && *tap == 0) continue;
                        *tap += graph_tap(s, pass, x + (n * s->ic + c) * s->ih * s->iw, *tap,
                                          y + (n * s->oc + o) * s->oh * s->ow, a, b);
                    }
}

/* Whether the library may use Winograd. */
static int graph_winograd(const graph *g, const graph_layer *l) {
    const prun_conv2d *s = &l->conv;
    int i, fits = s->kernel[0] == 3 && s->kernel[1] == 3 && s->stride[0] == s->stride[1] &&
                  s->stride[0] <= 2;
    for (i = 0; i < 4; i++) fits = fits && s->padding[i] <= 2;
    return fits && g->algorithm != PRUN_ALGORITHM_DIRECT;
}

/* Largest of each plane of x (planes x size, not negative) into y (planes). */
static void graph_plane_max(const double *x, int64_t planes, int64_t size, double *y) {
    int64_t i;
    for (i = 0; i < planes * size; i++)
        if (x[i] > y[i / size]) y[i / size] = x[i];
}

static void graph_plane_sum(const double *x, int64_t planes, int64_t size, double *y) {
    int64_t i;
    for (i = 0; i < planes * size; i++) y[i / size] += x[i];
}

/* The scale of the rounding errors of Winograd, per sample and channel of the result: sum over the
   channels of the largest |x| times the sum of |w|. For the input gradient, input and output are
   exchanged. */
static double *graph_winograd_scale(const graph_shape *s, int backward, const double *x,
                                    const double *w) {
    const int64_t from = backward ? s->oc : s->ic, to = backward ? s->ic : s->oc;
    double *largest = graph_zeros(s->n * from), *taps = graph_zeros(s->oc * s->ic);
    double *scale = graph_zeros(s->n * to);
    int64_t n, o, c;
    graph_plane_max(x, s->n * from, backward ? s->oh * s->ow : s->ih * s->iw, largest);
    graph_plane_sum(w, s->oc * s->ic, s->kh * s->kw, taps);
    for (n = 0; n < s->n; n++)
        for (o = 0; o < s->oc; o++)
            for (c = 0; c < s->ic; c++)
                scale[n * to + (backward ? c : o)] +=
                    largest[n * from + (backward ? o : c)] * taps[o * s->ic + c];
    return scale;
}

/* Adds w's product with x (forward) or y (backward) to the other side: values and their variances,
   in `scale` the sum of the absolute terms, and in `tile` the scale of Winograd. */
static void graph_conv_term(const graph_shape *s, int backward, const graph_array *from,
                            int tangent, double *w, const graph_array *to, int to_tangent,
                            double *scale, double *tile) {
    const int64_t in = s->n * s->ic * s->ih * s->iw, out = s->n * s->oc * s->oh * s->ow;
    const int64_t taps = s->oc * s->ic * s->kh * s->kw, count = backward ? out : in;
    const int64_t planes = s->n * (backward ? s->ic : s->oc);
    double *values = tangent ? from->t : from->v, *errors = tangent ? from->te : from->e;
    double *sums = to_tangent ? to->t : to->v, *variances = to_tangent ? to->te : to->e;
    double *size = graph_map(GRAPH_ABS, values, count), *aw = graph_map(GRAPH_ABS, w, taps);
    double *w2 = graph_map(GRAPH_SQUARE, w, taps), *largest;
    const graph_pass pass = backward ? GRAPH_INPUT : GRAPH_FORWARD;
    int64_t i;
    graph_conv(s, pass, backward ? sums : values, w, backward ? values : sums);
    graph_conv(s, pass, backward ? variances : errors, w2, backward ? errors : variances);
    graph_conv(s, pass, backward ? scale : size, aw, backward ? size : scale);
    if (tile == NULL) return;
    largest = graph_winograd_scale(s, backward, size, aw);
    for (i = 0; i < planes; i++) tile[i] += largest[i];
}

/* Adds the rounding errors of sums v of `terms` terms with known absolute sums; where that is zero,
   they are exact. */
static void graph_round(const double *v, double *e, const double *scale, const double *tile,
                        const double *bias, const int64_t planes, int64_t size, int64_t channels,
                        double terms) {
    int64_t i;
    for (i = 0; i < planes * size; i++) {
        const double b = bias ? fabs(bias[i / size % channels]) : 0;
        const double sum = tile ? GRAPH_WINOGRAD * tile[i / size] : scale[i];
        if (scale[i] == 0 && e[i] == 0 && (graph_exact || sum == 0)) continue;
        e[i] += graph_rounding(sum + b, v[i], terms) + graph_square(GRAPH_TINY);
    }
}

static void graph_conv_forward(graph_reference *r, const graph_layer *l, const graph_array *x,
                               const graph_array *y) {
    const graph_shape s = graph_shape_of(r, l);
    const int64_t plane = s.oh * s.ow, planes = s.n * s.oc, size = planes * plane;
    const int64_t taps = s.oc * s.ic * s.kh * s.kw;
    const double terms = (double)(taps / s.oc);
    double *w = r->w + l->parameters, *dw = r->dw + l->parameters;
    double *scale = graph_zeros(size);
    double *tile = graph_winograd(r->g, l) ? graph_zeros(planes) : NULL;
    int64_t i;
    graph_conv_term(&s, 0, x, 0, w, y, 0, scale, tile);
    graph_round(y->v, y->e, scale, tile, l->bias ? w + taps : NULL, planes, plane, s.oc, terms);
    for (i = 0; l->bias && i < size; i++) y->v[i] += w[taps + i / plane % s.oc];
    if (!r->tangents) return;
    memset(scale, 0, (size_t)size * sizeof *scale);
    if (tile) memset(tile, 0, (size_t)planes * sizeof *tile);
    graph_conv_term(&s, 0, x, 1, w, y, 1, scale, tile);
    graph_conv_term(&s, 0, x, 0, dw, y, 1, scale, tile);
    graph_round(y->t, y->te, scale, tile, l->bias ? dw + taps : NULL, planes, plane, s.oc,
                2 * terms);
    for (i = 0; l->bias && i < size; i++) y->t[i] += dw[taps + i / plane % s.oc];
}

/* Sums over the terms of a weight gradient, or of one sample in it. */
typedef struct graph_terms {
    double *sum, *squares, *variance, *size, *tile;
} graph_terms;

static graph_terms graph_terms_new(const graph_shape *s, int tile) {
    const int64_t size = s->oc * s->ic * s->kh * s->kw;
    graph_terms t;
    t.sum = graph_zeros(size);
    t.squares = graph_zeros(size);
    t.variance = graph_zeros(size);
    t.size = graph_zeros(size);
    t.tile = tile ? graph_zeros(s->oc * s->ic) : NULL;
    return t;
}

/* Adds the correlation of one sample's x and y. */
static void graph_weight_term(const graph_shape *s, double *x, double *xe, double *y, double *ye,
                              const graph_terms *to) {
    const int64_t in = s->ic * s->ih * s->iw, out = s->oc * s->oh * s->ow;
    double *ax = graph_map(GRAPH_ABS, x, in), *ay = graph_map(GRAPH_ABS, y, out);
    double *x2 = graph_map(GRAPH_SQUARE, x, in), *y2 = graph_map(GRAPH_SQUARE, y, out);
    double *largest = graph_zeros(s->ic), *sum = graph_zeros(s->oc);
    const double tiles = (double)(((s->oh + 3) / 4) * ((s->ow + 3) / 4));
    int64_t o, c, i;
    graph_conv(s, GRAPH_WEIGHT, x, to->sum, y);
    graph_conv(s, GRAPH_WEIGHT, ax, to->size, ay);
    graph_conv(s, GRAPH_WEIGHT, x2, to->squares, y2);
    graph_conv(s, GRAPH_WEIGHT, x2, to->variance, ye);
    for (i = 0; i < out; i++) y2[i] += ye[i]; /* both factors may have errors */
    graph_conv(s, GRAPH_WEIGHT, xe, to->variance, y2);
    if (to->tile == NULL) return;
    graph_plane_max(ax, s->ic, s->ih * s->iw, largest);
    graph_plane_sum(ay, s->oc, s->oh * s->ow, sum);
    for (o = 0; o < s->oc; o++)
        for (c = 0; c < s->ic; c++)
            to->tile[o * s->ic + c] += graph_square(largest[c] * sum[o]) / tiles;
}

static void graph_bias_gradient(const graph_shape *s, const double *d, const double *de, double *g,
                                double *e) {
    const int64_t plane = s->oh * s->ow;
    int64_t n, o, i;
    for (o = 0; o < s->oc; o++) {
        graph_sum sum;
        memset(&sum, 0, sizeof sum);
        for (n = 0; n < s->n; n++) {
            for (i = (n * s->oc + o) * plane; i < (n * s->oc + o + 1) * plane; i++)
                graph_sum_add(&sum, d[i], fabs(d[i]), de[i]);
            graph_sum_next(&sum);
        }
        g[o] = sum.v;
        e[o] = graph_sum_variance(&sum);
    }
}

/* Adds a sample's terms to the total. e: the variance of errors that are proportional to the
   terms. */
static void graph_terms_add(const graph_terms *sum, const graph_terms *one, double *e,
                            int64_t size) {
    int64_t i;
    for (i = 0; i < size; i++) {
        if (one->squares[i] > 0)
            e[i] += one->variance[i] * graph_square(one->sum[i]) / one->squares[i];
        sum->sum[i] += one->sum[i];
        sum->squares[i] += one->squares[i];
        sum->variance[i] += one->variance[i];
        sum->size[i] += one->size[i];
    }
}

static void graph_conv_gradient(const graph_reference *r, const graph_layer *l,
                                const graph_array *x, const graph_array *d, int tangent) {
    graph_shape s = graph_shape_of(r, l);
    const int64_t taps = s.kh * s.kw, size = s.oc * s.ic * taps, plane = s.oh * s.ow;
    double *g = (tangent ? r->gradient.t : r->gradient.v) + l->parameters;
    double *e = (tangent ? r->gradient.te : r->gradient.e) + l->parameters;
    double *dv = tangent ? d->t : d->v, *de = tangent ? d->te : d->e;
    graph_terms sum = graph_terms_new(&s, graph_winograd(r->g, l));
    int64_t n, i;
    if (l->bias) graph_bias_gradient(&s, dv, de, g + size, e + size);
    for (n = 0; n < r->n; n++) {
        const size_t used = graph_used;
        const int64_t in = n * s.ic * s.ih * s.iw, out = n * s.oc * plane;
        graph_terms one = graph_terms_new(&s, 0);
        one.tile = sum.tile;
        s.n = 1;
        graph_weight_term(&s, x->v + in, x->e + in, dv + out, de + out, &one);
        if (tangent) graph_weight_term(&s, x->t + in, x->te + in, d->v + out, d->e + out, &one);
        graph_terms_add(&sum, &one, e, size);
        graph_used = used;
    }
    for (i = 0; i < size; i++) {
        g[i] = sum.sum[i];
        e[i] += sum.variance[i];
        if (sum.squares[i] > 0) e[i] += sum.variance[i] * g[i] * g[i] / sum.squares[i];
    }
    for (i = 0; sum.tile && i < s.oc * s.ic; i++) sum.tile[i] = sqrt(sum.tile[i]);
    graph_round(g, e, sum.size, sum.tile, NULL, s.oc * s.ic, taps, 1, (double)(r->n * plane));
}

static void graph_conv_backward(const graph_reference *r, const graph_layer *l,
                                const graph_array *x, const graph_array *d, const graph_array *dx) {
    const graph_shape s = graph_shape_of(r, l);
    const int64_t plane = s.ih * s.iw, planes = s.n * s.ic, size = planes * plane;
    const double terms = (double)(s.oc * s.kh * s.kw);
    double *w = r->w + l->parameters, *dw = r->dw + l->parameters;
    double *scale = graph_zeros(size);
    double *tile = graph_winograd(r->g, l) ? graph_zeros(planes) : NULL;
    graph_conv_gradient(r, l, x, d, 0);
    graph_conv_term(&s, 1, d, 0, w, dx, 0, scale, tile);
    graph_round(dx->v, dx->e, scale, tile, NULL, planes, plane, s.ic, terms);
    if (!r->tangents) return;
    graph_conv_gradient(r, l, x, d, 1);
    memset(scale, 0, (size_t)size * sizeof *scale);
    if (tile) memset(tile, 0, (size_t)planes * sizeof *tile);
    graph_conv_term(&s, 1, d, 1, w, dx, 1, scale, tile);
    graph_conv_term(&s, 1, d, 0, dw, dx, 1, scale, tile);
    graph_round(dx->t, dx->te, scale, tile, NULL, planes, plane, s.ic, 2 * terms);
}

/* ---- batch norm ---- */

/* Statistics of a channel: the running ones, or in training mode those of the batch. */
static graph_moments graph_moments_of(const graph_reference *r, const graph_layer *l,
                                      const graph_array *x, int64_t channel) {
    const int64_t plane = l->h * l->w;
    const double count = (double)(r->n * plane), epsilon = l->epsilon == 0 ? 1e-5 : l->epsilon;
    graph_moments m = {0, 0, 0, GRAPH_EPSILON};
    graph_sum first, second;
    int64_t n, i;
    memset(&first, 0, sizeof first);
    memset(&second, 0, sizeof second);
    if (!r->training) {
        m.mean = (double)r->tensors[l->tensor + 2].data[channel];
        m.variance = (double)r->tensors[l->tensor + 3].data[channel];
        return m;
    }
    for (n = 0; n < r->n; n++, graph_sum_next(&first))
        for (i = (n * l->c + channel) * plane; i < (n * l->c + channel + 1) * plane; i++)
            graph_sum_add(&first, x->v[i], fabs(x->v[i]), x->e[i]);
    m.mean = first.v / count;
    m.mean_error = sqrt(graph_sum_variance(&first)) / count;
    for (n = 0; n < r->n; n++, graph_sum_next(&second))
        for (i = (n * l->c + channel) * plane; i < (n * l->c + channel + 1) * plane; i++) {
            const double square = graph_square(x->v[i] - m.mean);
            graph_sum_add(&second, square, square, 4 * square * x->e[i] + x->e[i] * x->e[i]);
        }
    m.variance = second.v / count;
    m.relative_error += 0.5 * sqrt(graph_sum_variance(&second)) / count / (m.variance + epsilon);
    return m;
}

static void graph_norm_forward(graph_reference *r, int32_t layer, const graph_array *x,
                               const graph_array *y) {
    const graph_layer *l = &r->g->layer[layer];
    const double *w = r->w + l->parameters, *dw = r->dw + l->parameters;
    const double epsilon = l->epsilon == 0 ? 1e-5 : l->epsilon;
    const int64_t plane = l->h * l->w;
    int64_t c, i;
    r->moments[layer] = (graph_moments *)graph_zeros(4 * l->c);
    for (c = 0; c < l->c; c++) r->moments[layer][c] = graph_moments_of(r, l, x, c);
    for (i = 0; i < r->n * l->c * plane; i++) {
        const graph_moments *m;
        double inverse, u, s;
        c = i / plane % l->c;
        m = &r->moments[layer][c];
        inverse = 1 / sqrt(m->variance + epsilon);
        u = (x->v[i] - m->mean) * inverse;
        s = fabs(w[c]) * inverse;
        y->v[i] = w[c] * u + w[l->c + c];
        y->e[i] = graph_square(s) * x->e[i] +
                  graph_square(s * m->mean_error + fabs(w[c] * u) * m->relative_error +
                               GRAPH_EPSILON *
                                   (2 * s * (fabs(x->v[i]) + fabs(m->mean)) + fabs(w[l->c + c])));
        if (!r->tangents) continue;
        y->t[i] = w[c] * inverse * x->t[i] + dw[c] * u + dw[l->c + c];
        y->te[i] = graph_square(s) * x->te[i] + graph_square(dw[c] * inverse) * x->e[i] +
                   graph_square(GRAPH_EPSILON *
                                (2 * fabs(dw[c]) * inverse * (fabs(x->v[i]) + fabs(m->mean)) +
                                 2 * s * fabs(x->t[i]) + fabs(dw[l->c + c])));
    }
}

/* What the backward pass of a batch norm needs: the sum of the gradient, and that of its product
   with the normalised input; their tangents. */
typedef struct graph_norm_sums {
    graph_sum d, du, t, tu;
} graph_norm_sums;

/* Error of the normalised input. */
static double graph_normal_error(const graph_moments *m, double inverse, double x, double e) {
    return inverse * (sqrt(e) + m->mean_error + GRAPH_EPSILON * (fabs(x) + fabs(m->mean))) +
           fabs(x - m->mean) * inverse * m->relative_error;
}

static graph_norm_sums graph_norm_sum(const graph_reference *r, int32_t layer, const graph_array *x,
                                      const graph_array *d, int64_t channel) {
    const graph_layer *l = &r->g->layer[layer];
    const graph_moments *m = &r->moments[layer][channel];
    const double epsilon = l->epsilon == 0 ? 1e-5 : l->epsilon;
    const double inverse = 1 / sqrt(m->variance + epsilon);
    const int64_t plane = l->h * l->w;
    graph_norm_sums s;
    int64_t n, i;
    memset(&s, 0, sizeof s);
    for (n = 0; n < r->n; n++) {
        for (i = (n * l->c + channel) * plane; i < (n * l->c + channel + 1) * plane; i++) {
            const double u = (x->v[i] - m->mean) * inverse, ut = x->t[i] * inverse;
            const double size = (fabs(x->v[i]) + fabs(m->mean)) * inverse;
            const double ue = graph_square(graph_normal_error(m, inverse, x->v[i], x->e[i]));
            graph_sum_add(&s.d, d->v[i], fabs(d->v[i]), d->e[i]);
            graph_sum_add(&s.du, d->v[i] * u, fabs(d->v[i]) * size,
                          d->e[i] * (u * u + ue) + d->v[i] * d->v[i] * ue);
            graph_sum_add(&s.t, d->t[i], fabs(d->t[i]), d->te[i]);
            graph_sum_add(&s.tu, d->t[i] * u + d->v[i] * ut,
                          fabs(d->t[i]) * size + fabs(d->v[i] * ut),
                          d->te[i] * (u * u + ue) + d->t[i] * d->t[i] * ue + d->e[i] * ut * ut +
                              d->v[i] * d->v[i] * inverse * inverse * x->te[i]);
        }
        graph_sum_next(&s.d);
        graph_sum_next(&s.du);
        graph_sum_next(&s.t);
        graph_sum_next(&s.tu);
    }
    return s;
}

static void graph_norm_backward(const graph_reference *r, int32_t layer, const graph_array *x,
                                const graph_array *d, const graph_array *dx) {
    const graph_layer *l = &r->g->layer[layer];
    const double *w = r->w + l->parameters, *dw = r->dw + l->parameters;
    const double epsilon = l->epsilon == 0 ? 1e-5 : l->epsilon;
    const int64_t plane = l->h * l->w;
    const double count = r->training ? (double)(r->n * plane) : INFINITY;
    int64_t c, n, i;
    for (c = 0; c < l->c; c++) {
        const graph_norm_sums sums = graph_norm_sum(r, layer, x, d, c);
        const graph_moments *m = &r->moments[layer][c];
        const double inverse = 1 / sqrt(m->variance + epsilon), s = w[c] * inverse;
        const double error[2] = {sqrt(graph_sum_variance(&sums.d)) / count,
                                 sqrt(graph_sum_variance(&sums.du)) / count};
        const int64_t at = l->parameters + c;
        r->gradient.v[at] = sums.du.v;
        r->gradient.e[at] = graph_sum_variance(&sums.du);
        r->gradient.v[at + l->c] = sums.d.v;
        r->gradient.e[at + l->c] = graph_sum_variance(&sums.d);
        r->gradient.t[at] = sums.tu.v;
        r->gradient.te[at] = graph_sum_variance(&sums.tu);
        r->gradient.t[at + l->c] = sums.t.v;
        r->gradient.te[at + l->c] = graph_sum_variance(&sums.t);
        for (n = 0; n < r->n; n++)
            for (i = (n * l->c + c) * plane; i < (n * l->c + c + 1) * plane; i++) {
                const double u = (x->v[i] - m->mean) * inverse, g1 = sums.d.v / count;
                const double g2 = sums.du.v / count;
                const double terms = fabs(d->v[i]) + fabs(g1) + fabs(u * g2);
                const double ue = graph_normal_error(m, inverse, x->v[i], x->e[i]);
                dx->v[i] = s * (d->v[i] - g1 - u * g2);
                dx->e[i] = graph_square(s) * d->e[i] +
                           graph_square(s * (error[0] + fabs(u) * error[1] + ue * fabs(g2) +
                                             terms * (m->relative_error + 2 * GRAPH_EPSILON)));
                if (!r->tangents) continue;
                dx->t[i] = s * d->t[i] + dw[c] * inverse * d->v[i];
                dx->te[i] = graph_square(s) * d->te[i] + graph_square(dw[c] * inverse) * d->e[i] +
                            graph_square(2 * GRAPH_EPSILON *
                                         (fabs(s * d->t[i]) + fabs(dw[c] * inverse * d->v[i])));
            }
    }
}

/* ---- ReLU and pools ---- */

static int graph_relu_open(const graph_array *x, int64_t i, int *unsure) {
    *unsure = x->e[i] > 0 && fabs(x->v[i]) <= GRAPH_SIGMAS * sqrt(x->e[i]);
    return x->v[i] > 0;
}

/* Variance of a value that depends on rounding: the error is as large as the value, and `times`
   repeated samples or pixels may have the same one. */
static double graph_whole(double v, int64_t times) {
    return (double)times * graph_square(v / GRAPH_SIGMAS);
}

static void graph_relu(graph_reference *r, const graph_layer *l, const graph_array *x,
                       const graph_array *from, const graph_array *to, int backward) {
    const int64_t size = l->c * l->h * l->w, times = r->n * l->h * l->w;
    int64_t i;
    for (i = 0; i < r->n * size; i++) {
        int unsure;
        const int open = graph_relu_open(x, i, &unsure);
        if (unsure && backward && (from->v[i] != 0 || from->t[i] != 0)) r->kink[i / size] = 1;
        if (!open && !unsure) continue;
        to->v[i] += open ? from->v[i] : 0;
        to->t[i] += open ? from->t[i] : 0;
        to->e[i] += from->e[i] + (unsure && backward ? graph_whole(from->v[i], times) : 0);
        to->te[i] += from->te[i] + (unsure ? graph_whole(from->t[i], times) : 0);
    }
}

/* The window's winner (the first of equals), and how many others might win because of rounding. */
typedef struct graph_winner {
    int64_t best;
    int unsure;
} graph_winner;

/* Stores the places of a window and returns their number. */
static int graph_window(const graph_layer *l, const graph_layer *in, int64_t plane, int64_t i,
                        int64_t j, int64_t *places) {
    const int64_t i0 = i * l->stride - l->padding, j0 = j * l->stride - l->padding;
    int64_t a, b;
    int count = 0;
    for (a = 0; a < l->kernel; a++)
        for (b = 0; b < l->kernel; b++)
            if (i0 + a >= 0 && i0 + a < in->h && j0 + b >= 0 && j0 + b < in->w)
                places[count++] = (plane * in->h + i0 + a) * in->w + j0 + b;
    return count;
}

/* Moves the places that might win to the front, the winner first. */
static int graph_candidates(const graph_array *x, int64_t *places, int count) {
    int k, best = 0, candidates = 1;
    int64_t winner;
    for (k = 1; k < count; k++)
        if (x->v[places[k]] > x->v[places[best]]) best = k;
    winner = places[best];
    places[best] = places[0];
    places[0] = winner;
    for (k = 1; k < count; k++) {
        const int64_t p = places[k];
        const double e = x->e[p] + x->e[winner];
        if (e == 0 || x->v[winner] - x->v[p] > GRAPH_SIGMAS * sqrt(2 * e)) continue;
        places[k] = places[candidates];
        places[candidates++] = p;
    }
    return candidates;
}

static void graph_max_pool(graph_reference *r, const graph_layer *l, const graph_array *x,
                           const graph_array *from, const graph_array *to, int backward) {
    const graph_layer in = graph_value(r->g, l->in[0]);
    const int64_t times = r->n * l->h * l->w;
    int64_t places[16], plane, i, j, at = 0;
    for (plane = 0; plane < r->n * l->c; plane++)
        for (i = 0; i < l->h; i++)
            for (j = 0; j < l->w; j++, at++) {
                const int count = graph_window(l, &in, plane, i, j, places);
                const int candidates = graph_candidates(x, places, count);
                int k;
                if (backward) {
                    if (candidates > 1 && (from->v[at] != 0 || from->t[at] != 0))
                        r->kink[plane / l->c] = 1;
                    to->v[places[0]] += from->v[at];
                    to->t[places[0]] += from->t[at];
                    for (k = 0; k < candidates; k++) {
                        to->e[places[k]] += from->e[at];
                        to->te[places[k]] += from->te[at];
                        if (candidates == 1) continue;
                        to->e[places[k]] += graph_whole(from->v[at], times);
                        to->te[places[k]] += graph_whole(from->t[at], times);
                    }
                    continue;
                }
                to->v[at] = x->v[places[0]];
                to->t[at] = x->t[places[0]];
                for (k = 0; k < candidates; k++) {
                    to->e[at] = fmax(to->e[at], x->e[places[k]]);
                    to->te[at] = fmax(to->te[at], x->te[places[k]] +
                                                      graph_whole(x->t[places[k]] - to->t[at], 1));
                }
            }
}

/* Both average pools: the window of the global one is the plane. */
static void graph_avg_pool(const graph_reference *r, const graph_layer *l, const graph_array *from,
                           const graph_array *to, int backward) {
    const graph_layer in = graph_value(r->g, l->in[0]);
    const int64_t kh = l->kind == GRAPH_GLOBAL ? in.h : l->kernel;
    const int64_t kw = l->kind == GRAPH_GLOBAL ? in.w : l->kernel;
    const double share = 1 / (double)(kh * kw);
    int64_t plane, i, j, a, b, at = 0;
    for (plane = 0; plane < r->n * l->c; plane++)
        for (i = 0; i < l->h; i++)
            for (j = 0; j < l->w; j++, at++) {
                graph_sum sum[2];
                memset(sum, 0, sizeof sum);
                for (a = 0; a < kh; a++)
                    for (b = 0; b < kw; b++) {
                        const int64_t p = i * l->stride - l->padding + a;
                        const int64_t q = j * l->stride - l->padding + b;
                        const int64_t place = (plane * in.h + p) * in.w + q;
                        const int64_t f = backward ? at : place, t = backward ? place : at;
                        if (p < 0 || p >= in.h || q < 0 || q >= in.w) continue;
                        to->v[t] += share * from->v[f];
                        to->t[t] += share * from->t[f];
                        if (!backward) {
                            graph_sum_add(&sum[0], share * from->v[f], share * fabs(from->v[f]),
                                          share * share * from->e[f]);
                            graph_sum_add(&sum[1], share * from->t[f], share * fabs(from->t[f]),
                                          share * share * from->te[f]);
                            continue;
                        }
                        to->e[t] += share * share * from->e[f] +
                                    graph_square(2 * GRAPH_EPSILON * share * from->v[f]);
                        to->te[t] += share * share * from->te[f] +
                                     graph_square(2 * GRAPH_EPSILON * share * from->t[f]);
                    }
                if (backward) continue;
                to->e[at] = graph_sum_variance(&sum[0]);
                to->te[at] = graph_sum_variance(&sum[1]);
            }
}

/* ---- the rest ---- */

static void graph_add(const graph_reference *r, const graph_layer *l, const graph_array *y) {
    const graph_array *a = &r->y[l->in[0]], *b = &r->y[l->in[1]];
    const int64_t size = r->n * l->c * l->h * l->w;
    int64_t i;
    if (a == b) {
        for (i = 0; i < size; i++) {
            y->v[i] = 2 * a->v[i];
            y->e[i] = 4 * a->e[i];
            y->t[i] = 2 * a->t[i];
            y->te[i] = 4 * a->te[i];
        }
        return;
    }
    graph_accumulate(y, a, size);
    graph_accumulate(y, b, size);
}

/* Training mode: kept elements are divided by the kept fraction, a multiple of 1 / 65536. */
static void graph_dropout(const graph_reference *r, const graph_layer *l, int32_t layer,
                          const graph_array *from, const graph_array *to) {
    const int64_t size = l->c * l->h * l->w, plane = l->h * l->w;
    const double kept = 1 - floor(l->probability * 65536 + 0.5) / 65536;
    int64_t n, i;
    for (n = 0; n < r->n; n++)
        for (i = 0; i < size; i++) {
            const int64_t at = n * size + i, c = i / plane;
            double scale = 1;
            if (r->training) {
                const uint16_t bits = r->mask[layer][n / 16 * size + i % plane * l->c + c];
                scale = bits >> n % 16 & 1 ? 1 / kept : 0;
            }
            to->v[at] += scale * from->v[at];
            to->t[at] += scale * from->t[at];
            to->e[at] += graph_square(scale) * from->e[at] +
                         (scale == 1 ? 0 : graph_square(GRAPH_EPSILON * scale * from->v[at]));
            to->te[at] += graph_square(scale) * from->te[at];
        }
}

static void graph_images(graph_reference *r) {
    const prun_images *m = &r->g->images;
    const int64_t plane = m->height * m->width, size = m->channels * plane;
    int64_t n, i;
    for (n = 0; n < r->n; n++) {
        const int64_t from = r->index[n] * size;
        double mean = 0, squares = 0, deviation = 1;
        for (i = 0; i < size; i++) {
            const double v = m->pixels ? m->pixels[from + i] / 255.0 : (double)m->values[from + i];
            r->y[0].v[n * size + i] = v;
            mean += v / (double)size;
        }
        for (i = 0; i < size; i++) squares += graph_square(r->y[0].v[n * size + i] - mean);
        deviation = fmax(sqrt(squares / (double)size), 1 / sqrt((double)size));
        for (i = 0; i < size; i++) {
            double *v = &r->y[0].v[n * size + i], *e = &r->y[0].e[n * size + i], error;
            if (m->normalization == PRUN_NORMALIZATION_MEAN_STD) {
                mean = (double)m->mean[i / plane];
                deviation = (double)m->std[i / plane];
            }
            error = m->pixels ? GRAPH_EPSILON * fabs(*v) : 0;
            if (m->normalization != PRUN_NORMALIZATION_NONE) {
                error = (error + GRAPH_EPSILON * (fabs(*v) + fabs(mean))) / deviation;
                *v = (*v - mean) / deviation;
            }
            *e = graph_square(error);
        }
    }
}

static void graph_layer_forward(graph_reference *r, int32_t i) {
    const graph_layer *l = &r->g->layer[i];
    const graph_array *x = &r->y[l->in[0]], *y = &r->y[i + 1];
    switch (l->kind) {
        case GRAPH_CONV:
        case GRAPH_LINEAR: graph_conv_forward(r, l, x, y); break;
        case GRAPH_NORM: graph_norm_forward(r, i, x, y); break;
        case GRAPH_RELU: graph_relu(r, l, x, x, y, 0); break;
        case GRAPH_MAX: graph_max_pool(r, l, x, x, y, 0); break;
        case GRAPH_AVG:
        case GRAPH_GLOBAL: graph_avg_pool(r, l, x, y, 0); break;
        case GRAPH_DROPOUT: graph_dropout(r, l, i, x, y); break;
        case GRAPH_ADD: graph_add(r, l, y); break;
        default: graph_accumulate(y, x, graph_count(r, i + 1)); break;
    }
}

static void graph_layer_backward(graph_reference *r, int32_t i) {
    const graph_layer *l = &r->g->layer[i];
    const graph_array *x = &r->y[l->in[0]], *d = &r->d[i + 1];
    const int64_t size = graph_count(r, l->in[0]);
    graph_array dx = graph_array_new(size);
    switch (l->kind) {
        case GRAPH_CONV:
        case GRAPH_LINEAR: graph_conv_backward(r, l, x, d, &dx); break;
        case GRAPH_NORM: graph_norm_backward(r, i, x, d, &dx); break;
        case GRAPH_RELU: graph_relu(r, l, x, d, &dx, 1); break;
        case GRAPH_MAX: graph_max_pool(r, l, x, d, &dx, 1); break;
        case GRAPH_AVG:
        case GRAPH_GLOBAL: graph_avg_pool(r, l, d, &dx, 1); break;
        case GRAPH_DROPOUT: graph_dropout(r, l, i, d, &dx); break;
        case GRAPH_ADD: graph_accumulate(&r->d[l->in[1]], d, size); /* fall through */
        default: dx = *d; break;
    }
    graph_accumulate(&r->d[l->in[0]], &dx, size);
}

/* Softmax of a sample, p[j], and 1 - p[j] without cancellation. */
static void graph_softmax(const double *z, int64_t classes, int64_t label, double *p,
                          double *rest) {
    double largest = z[0], sum = 0;
    int64_t j;
    for (j = 1; j < classes; j++) largest = fmax(largest, z[j]);
    for (j = 0; j < classes; j++) sum += p[j] = exp(z[j] - largest);
    rest[label] = 0;
    for (j = 0; j < classes; j++) {
        p[j] /= sum;
        if (j == label) continue;
        rest[j] = 1 - p[j];
        rest[label] += p[j];
    }
}

/* Loss of a sample, and the gradient with respect to its logits. Tangents are relative to the
   label's, so that nothing cancels if its probability is almost 1. */
static void graph_head(graph_reference *r, int64_t n) {
    const int64_t classes = r->g->images.classes, at = n * classes;
    const graph_array *z = &r->y[r->g->output], *d = &r->d[r->g->output];
    const int32_t label = r->g->labels[r->index[n]];
    double p[16], rest[16], largest, sum = 0, mean = 0, size = 0;
    int64_t j, k;
    graph_softmax(z->v + at, classes, label, p, rest);
    for (largest = z->v[at], j = 1; j < classes; j++) largest = fmax(largest, z->v[at + j]);
    for (j = 0; j < classes; j++) {
        sum += exp(z->v[at + j] - largest);
        mean += p[j] * (z->t[at + j] - z->t[at + label]);
        size += j == label ? 0 : p[j] * (fabs(z->t[at + j]) + fabs(z->t[at + label]));
    }
    r->losses[n] = rest[label] < 0.5 ? -log1p(-rest[label]) : largest + log(sum) - z->v[at + label];
    r->loss_errors[n] = 4e-16 * (1 + fabs(largest - z->v[at + label]));
    for (j = 0; j < classes; j++) {
        double *v = &d->v[at + j], *e = &d->e[at + j], *t = &d->t[at + j], *te = &d->te[at + j];
        const double tangent = z->t[at + j] - z->t[at + label];
        *v = j == label ? -rest[j] : p[j];
        *t = p[j] * (tangent - mean);
        *e = graph_square(GRAPH_EPSILON * fabs(*v) + 4e-16);
        *te =
            graph_square(GRAPH_EPSILON * p[j] * (fabs(tangent) + size) + 4e-16 * size + GRAPH_TINY);
        for (k = 0; k < classes; k++) {
            const double slope = j == k ? p[j] * rest[j] : -p[j] * p[k];
            const double other = z->t[at + k] - z->t[at + label];
            *e += graph_square(slope) * z->e[at + k];
            *te += graph_square(slope) * z->te[at + k] +
                   graph_square(slope * (tangent - mean) - p[j] * p[k] * (other - mean)) *
                       z->e[at + k];
        }
        r->loss_errors[n] += fabs(*v) * sqrt(z->e[at + j]);
    }
}

/* The forward pass up to the logits. The caller has set g, tensors, index, n and the options. */
static void graph_run_forward(graph_reference *r) {
    int64_t count = r->g->parameters, at = 0, i;
    int32_t t, v;
    r->w = graph_zeros(count);
    r->dw = graph_zeros(count);
    r->tangents = r->direction != NULL;
    for (t = 0; t < r->g->tensors; t++) {
        if (r->tensors[t].flags & PRUN_TENSOR_STATISTIC) continue;
        for (i = 0; i < prun_tensor_size(&r->tensors[t]); i++, at++) {
            r->w[at] = (double)r->tensors[t].data[i];
            if (r->direction) r->dw[at] = (double)r->direction[at];
        }
    }
    memset(r->kink, 0, sizeof r->kink);
    for (v = 0; v <= r->g->layers; v++) r->y[v] = graph_array_new(graph_count(r, v));
    graph_images(r);
    for (v = 0; v < r->g->layers; v++) graph_layer_forward(r, v);
}

/* Forward, losses and gradients. */
static void graph_run(graph_reference *r) {
    int64_t n;
    int32_t v;
    graph_run_forward(r);
    for (v = 0; v <= r->g->layers; v++) r->d[v] = graph_array_new(graph_count(r, v));
    r->gradient = graph_array_new(r->g->parameters);
    for (n = 0; n < r->n; n++) graph_head(r, n);
    for (v = r->g->layers - 1; v >= 0; v--) graph_layer_backward(r, v);
}

static void graph_reference_init(graph_reference *r, const graph *g, const prun_net *net) {
    int64_t count;
    graph_used = 0;
    memset(r, 0, sizeof *r);
    r->g = g;
    r->tensors = prun_net_tensors(net, &count);
    r->index = g->index;
    r->n = g->n;
}

#endif
