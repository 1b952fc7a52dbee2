/* kernels.c - how close the convolution kernels come to the machine's peak of multiply-adds

   First measures the peak of multiply-adds with the instruction set of the kernels, then the rate
   of forward, input gradient and weight gradient for layers of the three families. A rate counts
   two operations for every kernel tap that lies inside the image, whatever the kernel computes:
   Winograd's rates are therefore "direct-convolution" rates and may exceed the peak. The column
   "+border" also counts taps outside the image, as much of the literature does. Packing and
   allocation are not timed. Every kernel is first checked against plain loops.

       make build/bench_kernels && build/bench_kernels --filter "3x3 64->128"
*/
#include "bench.h"

#define MAX_LAYERS 64

/* Operations of plain loops per layer and pass: enough to time them without a long wait. */
#define NAIVE_OPERATIONS 1e8

/* Relative error of a kernel against plain loops from which on it is wrong, not imprecise. */
#define WRONG 1e-3

typedef enum pass { FORWARD, INPUT_GRADIENT, WEIGHT_GRADIENT, PASSES } pass;

static const char *const pass_names[PASSES] = {"forward", "input gradient", "weight gradient"};

typedef struct settings {
    const char *isa, *filter, *csv;
    int64_t threads, batch, reps;
    double seconds;
    int no_naive;
} settings;

typedef struct layer {
    char name[64];
    prun_conv2d shape;
} layer;

/* Everything a kernel needs. Lane layout, except the weights and their gradient. */
typedef struct work {
    prun_context *context;
    prun__conv conv;
    prun__conv_job job[2]; /* by pass: FORWARD, INPUT_GRADIENT */
    int64_t images, workers;
    float *x, *dy, *weight, *y, *dx, *dweight;
    float *packed[2], *scratch, *partial, *strips;
} work;

/* ---- the peak ------------------------------------------------------------------------------ */

#define BURN_STEPS 4000000
#define BURN_CHAINS 12

/* Twelve independent chains a = a x + y, more than latency times units on any CPU, in named
   variables so that they stay in registers. Different initial values keep the compiler from merging
   them. */
/* clang-format off */
#define BURN(DO) \
    DO(a0, 0) DO(a1, 1) DO(a2, 2) DO(a3, 3) DO(a4, 4) DO(a5, 5) \
    DO(a6, 6) DO(a7, 7) DO(a8, 8) DO(a9, 9) DO(a10, 10) DO(a11, 11)
/* clang-format on */

/* The body of a function that defines LOAD, STEP and SAVE for its kind of vectors. */
#define BURN_ALL \
    BURN(LOAD) \
    for (step = 0; step < BURN_STEPS; step++) { \
        BURN(STEP) \
    } \
    BURN(SAVE)

static void burn_portable(float *lanes) {
    const prun__f4 x = prun__f4_set(0.999f), y = prun__f4_set(0.001f);
    int64_t step;
#define LOAD(a, i) prun__f4 a = prun__f4_load(lanes + 8 * i);
#define STEP(a, i) a = prun__f4_add(prun__f4_mul(a, x), y);
#define SAVE(a, i) prun__f4_store(lanes + 8 * i, a);

    BURN_ALL
#undef LOAD
#undef STEP
#undef SAVE
}

#if PRUN__X86
__attribute__((target("avx2,fma"))) static void burn_avx2(float *lanes) {
    const __m256 x = _mm256_set1_ps(0.999f), y = _mm256_set1_ps(0.001f);
    int64_t step;
#define LOAD(a, i) __m256 a = _mm256_loadu_ps(lanes + 8 * i);
#define STEP(a, i) a = _mm256_fmadd_ps(a, x, y);
#define SAVE(a, i) _mm256_storeu_ps(lanes + 8 * i, a);

    BURN_ALL
#undef LOAD
#undef STEP
#undef SAVE
}
#endif

#if PRUN__X86
__attribute__((target("avx512f"))) static void burn_avx512(float *lanes) {
    const __m512 x = _mm512_set1_ps(0.999f), y = _mm512_set1_ps(0.001f);
    int64_t step;
#define LOAD(a, i) __m512 a = _mm512_loadu_ps(lanes + 16 * i);
#define STEP(a, i) a = _mm512_fmadd_ps(a, x, y);
#define SAVE(a, i) _mm512_storeu_ps(lanes + 16 * i, a);

    BURN_ALL
#undef LOAD
#undef STEP
#undef SAVE
}
#endif

#if PRUN__NEON
static void burn_neon(float *lanes) {
    const float32x4_t x = vdupq_n_f32(0.999f), y = vdupq_n_f32(0.001f);
    int64_t step;
#define LOAD(a, i) float32x4_t a = vld1q_f32(lanes + 8 * i);
#define STEP(a, i) a = vfmaq_f32(y, a, x);
#define SAVE(a, i) vst1q_f32(lanes + 8 * i, a);

    BURN_ALL
#undef LOAD
#undef STEP
#undef SAVE
}
#endif

/* Floats per multiply-add instruction of the selected kernels. */
static int burn_width(void) {
    return strcmp(prun_isa(), "avx512") == 0 ? 16 : strcmp(prun_isa(), "avx2") == 0 ? 8 : 4;
}

static void burn_task(void *argument, int64_t item, int64_t worker) {
    float lanes[16 * BURN_CHAINS];
    int i;

    (void)item;
    for (i = 0; i < 16 * BURN_CHAINS; i++) lanes[i] = (float)i / 128;
#if PRUN__X86
    if (burn_width() == 16) burn_avx512(lanes);
    else if (burn_width() == 8) burn_avx2(lanes);
    else
#elif PRUN__NEON
    if (strcmp(prun_isa(), "neon") == 0) burn_neon(lanes);
    else
#endif
        burn_portable(lanes);
    ((volatile float *)argument)[worker * 16] = lanes[0] + lanes[8 * (BURN_CHAINS - 1)];
}

typedef struct burn {
    const prun_context *context;
    float *sink;
} burn;

static prun_status burn_call(void *argument) {
    const burn *b = (const burn *)argument;

    prun__for(b->context, burn_task, b->sink, prun__threads(b->context));
    return PRUN_OK;
}

/* GFLOP/s of multiply-add on all the context's threads. */
static double measure_peak(const prun_context *context) {
    const double threads = (double)prun__threads(context), width = burn_width();
    burn b;
    bench_times times;

    b.context = context;
    b.sink = (float *)ex_allocate((size_t)prun__threads(context) * 16, sizeof *b.sink);
    bench_measure(burn_call, &b, 7, 0.5, &times);
    free(b.sink);
    return threads * 2 * BURN_CHAINS * width * BURN_STEPS / times.best * 1e-9;
}

/* ---- plain loops --------------------------------------------------------------------------- */

/* Straightforward C: row-major images, no blocking, but border checks outside the inner loops. */
typedef struct naive {
    const prun_conv2d *s;
    int64_t oh, ow, images;
    float *x, *dy, *y, *dx, *weight, *dweight;
} naive;

/* Kernel taps of one output pixel that lie inside the image, and the input under tap (0, 0). */
typedef struct window {
    int64_t y0, y1, x0, x1, corner;
} window;

static int64_t clamp(int64_t value, int64_t low, int64_t high) {
    return value < low ? low : value > high ? high : value;
}

static window window_at(const prun_conv2d *s, int64_t oy, int64_t ox) {
    const int64_t y = oy * s->stride[0] - s->padding[0], x = ox * s->stride[1] - s->padding[1];
    window w;

    w.y0 = clamp(-y, 0, s->kernel[0]);
    w.y1 = clamp(s->in_height - y, 0, s->kernel[0]);
    w.x0 = clamp(-x, 0, s->kernel[1]);
    w.x1 = clamp(s->in_width - x, 0, s->kernel[1]);
    w.corner = y * s->in_width + x;
    return w;
}

static float naive_pixel(const naive *v, const float *x, const float *weight, window w) {
    const prun_conv2d *s = v->s;
    int64_t i, ky, kx;
    float sum = 0;

    for (i = 0; i < s->in_channels; i++) {
        for (ky = w.y0; ky < w.y1; ky++) {
            const int64_t row = w.corner + ky * s->in_width;

            for (kx = w.x0; kx < w.x1; kx++) sum += weight[ky * s->kernel[1] + kx] * x[row + kx];
        }
        x += s->in_height * s->in_width;
        weight += s->kernel[0] * s->kernel[1];
    }
    return sum;
}

static void naive_forward(const naive *v) {
    const prun_conv2d *s = v->s;
    const int64_t image = s->in_channels * s->in_height * s->in_width;
    const int64_t filter = s->in_channels * s->kernel[0] * s->kernel[1];
    int64_t n, o, oy, ox;
    float *y = v->y;

    for (n = 0; n < v->images; n++)
        for (o = 0; o < s->out_channels; o++)
            for (oy = 0; oy < v->oh; oy++)
                for (ox = 0; ox < v->ow; ox++)
                    *y++ = naive_pixel(v, v->x + n * image, v->weight + o * filter,
                                       window_at(s, oy, ox));
}

/* Spreads one output's gradient over the inputs it read. */
static void naive_spread(const naive *v, float dy, float *dx, const float *weight, window w) {
    const prun_conv2d *s = v->s;
    int64_t i, ky, kx;

    for (i = 0; i < s->in_channels; i++) {
        for (ky = w.y0; ky < w.y1; ky++) {
            const int64_t row = w.corner + ky * s->in_width;

            for (kx = w.x0; kx < w.x1; kx++) dx[row + kx] += weight[ky * s->kernel[1] + kx] * dy;
        }
        dx += s->in_height * s->in_width;
        weight += s->kernel[0] * s->kernel[1];
    }
}

static void naive_input_gradient(const naive *v) {
    const prun_conv2d *s = v->s;
    const int64_t image = s->in_channels * s->in_height * s->in_width;
    const int64_t filter = s->in_channels * s->kernel[0] * s->kernel[1];
    const float *dy = v->dy;
    int64_t n, o, oy, ox;

    memset(v->dx, 0, (size_t)(v->images * image) * sizeof(float));
    for (n = 0; n < v->images; n++)
        for (o = 0; o < s->out_channels; o++)
            for (oy = 0; oy < v->oh; oy++)
                for (ox = 0; ox < v->ow; ox++)
                    naive_spread(v, *dy++, v->dx + n * image, v->weight + o * filter,
                                 window_at(s, oy, ox));
}

/* Sum over images and pixels of one weight's products. */
static float naive_weight(const naive *v, const float *x, const float *dy, int64_t ky, int64_t kx) {
    const prun_conv2d *s = v->s;
    const int64_t image = s->in_channels * s->in_height * s->in_width;
    const int64_t result = s->out_channels * v->oh * v->ow;
    int64_t n, oy, ox;
    float sum = 0;

    for (n = 0; n < v->images; n++, x += image, dy += result)
        for (oy = 0; oy < v->oh; oy++) {
            const int64_t y = oy * s->stride[0] + ky - s->padding[0];

            if (y < 0 || y >= s->in_height) continue;
            for (ox = 0; ox < v->ow; ox++) {
                const int64_t at = ox * s->stride[1] + kx - s->padding[1];

                if (at >= 0 && at < s->in_width)
                    sum += x[y * s->in_width + at] * dy[oy * v->ow + ox];
            }
        }
    return sum;
}

static void naive_weight_gradient(const naive *v) {
    const prun_conv2d *s = v->s;
    float *out = v->dweight;
    int64_t o, i, ky, kx;

    for (o = 0; o < s->out_channels; o++)
        for (i = 0; i < s->in_channels; i++)
            for (ky = 0; ky < s->kernel[0]; ky++)
                for (kx = 0; kx < s->kernel[1]; kx++)
                    *out++ = naive_weight(v, v->x + i * s->in_height * s->in_width,
                                          v->dy + o * v->oh * v->ow, ky, kx);
}

static void (*const naive_passes[PASSES])(const naive *v) = {naive_forward, naive_input_gradient,
                                                             naive_weight_gradient};

/* ---- the kernels --------------------------------------------------------------------------- */

/* Random numbers in (-1, 1). They repeat, because drawing a large array takes long. */
static void fill(float *values, int64_t count, uint64_t stream) {
    const int64_t fresh = 65537;
    int64_t i;

    for (i = 0; i < count; i++)
        values[i] = i < fresh ? (float)(2 * prun_random_uniform(1, stream, (uint64_t)i) - 1)
                              : values[i - fresh];
}

/* Aligned to cache lines like the library's own buffers, because wide loads across two lines cost
   double. Free with prun__free. */
static float *floats(int64_t count) {
    float *values = (float *)prun__alloc_zero(NULL, count, sizeof(float), "floats");

    if (values == NULL) {
        fprintf(stderr, "error: out of memory\n");
        exit(EX_FAILED);
    }
    return values;
}

static void work_free(work *w) {
    prun__free(NULL, w->x);
    prun__free(NULL, w->dy);
    prun__free(NULL, w->weight);
    prun__free(NULL, w->y);
    prun__free(NULL, w->dx);
    prun__free(NULL, w->dweight);
    prun__free(NULL, w->packed[0]);
    prun__free(NULL, w->packed[1]);
    prun__free(NULL, w->scratch);
    prun__free(NULL, w->partial);
    prun__free(NULL, w->strips);
    prun__conv_free(w->context, &w->conv);
}

static void prepare_direction(work *w, int direction) {
    const int forward = direction == FORWARD;
    prun__conv_job *job = &w->job[direction];
    prun__pack_job pack;

    memset(&pack, 0, sizeof pack);
    w->packed[direction] = floats(prun__packed_size(&w->conv, forward));
    pack.conv = &w->conv;
    pack.weight = w->weight;
    pack.packed = w->packed[direction];
    pack.forward = forward;
    prun__conv_pack(w->context, &pack);
    memset(job, 0, sizeof *job);
    job->conv = &w->conv;
    job->x = forward ? w->x : w->dy;
    job->packed = w->packed[direction];
    job->y = forward ? w->y : w->dx;
    job->scratch = w->scratch;
    job->forward = forward;
}

/* Makes memory, inputs and packed weights for `images` images, a multiple of 16. */
static prun_status work_make(prun_context *context, const prun_conv2d *shape, int64_t images,
                             work *w) {
    const int64_t blocks = images / PRUN_LANES;
    int64_t weights;

    memset(w, 0, sizeof *w);
    w->context = context;
    w->images = images;
    w->workers = prun__threads(context);
    BENCH_TRY(prun__conv_make(context, shape, &w->conv));
    weights = shape->in_channels * shape->out_channels * w->conv.taps;
    w->x = floats(blocks * prun__conv_in_size(&w->conv));
    w->dx = floats(blocks * prun__conv_in_size(&w->conv));
    w->y = floats(blocks * prun__conv_out_size(&w->conv));
    w->dy = floats(blocks * prun__conv_out_size(&w->conv));
    w->weight = floats(weights);
    w->dweight = floats(weights);
    w->scratch = floats(w->workers * prun__conv_scratch(&w->conv));
    w->partial = floats(prun__weight_partial_size(&w->conv, blocks));
    w->strips = floats(w->workers * prun__weight_scratch(&w->conv));
    fill(w->x, blocks * prun__conv_in_size(&w->conv), 1);
    fill(w->dy, blocks * prun__conv_out_size(&w->conv), 2);
    fill(w->weight, weights, 3);
    prepare_direction(w, FORWARD);
    prepare_direction(w, INPUT_GRADIENT);
    return PRUN_OK;
}

static prun_status call_forward(void *argument) {
    work *w = (work *)argument;

    prun__for(w->context, prun__conv_task, &w->job[FORWARD], w->images / PRUN_LANES);
    return PRUN_OK;
}

static prun_status call_input_gradient(void *argument) {
    work *w = (work *)argument;

    prun__for(w->context, prun__conv_task, &w->job[INPUT_GRADIENT], w->images / PRUN_LANES);
    return PRUN_OK;
}

static prun_status call_weight_gradient(void *argument) {
    work *w = (work *)argument;

    prun__weight_gradient(w->context, &w->conv, w->images / PRUN_LANES, w->x, w->dy, w->partial,
                          w->strips, w->dweight);
    return PRUN_OK;
}

static const bench_call calls[PASSES] = {call_forward, call_input_gradient, call_weight_gradient};

/* ---- checks against plain loops ------------------------------------------------------------ */

static double relative_error(const float *got, const float *wanted, int64_t count) {
    double difference = 0, norm = 0;
    int64_t i;

    for (i = 0; i < count; i++) {
        const double d = (double)got[i] - (double)wanted[i];

        difference += d * d;
        norm += (double)wanted[i] * (double)wanted[i];
    }
    return sqrt(difference / norm);
}

/* Error of one pass of a kernel against the results of the plain loops in v. */
static double pass_error(const work *w, const naive *v, pass p) {
    const prun_conv2d *s = v->s;
    const int64_t c = p == FORWARD ? s->out_channels : s->in_channels;
    const int64_t h = p == FORWARD ? v->oh : s->in_height;
    const int64_t width = p == FORWARD ? v->ow : s->in_width;
    float *rows;
    double error;

    if (p == WEIGHT_GRADIENT)
        return relative_error(w->dweight, v->dweight,
                              s->out_channels * s->in_channels * w->conv.taps);
    rows = floats(v->images * c * h * width);
    prun_lanes_unpack(p == FORWARD ? w->y : w->dx, v->images, c, h, width, rows);
    error = relative_error(rows, p == FORWARD ? v->y : v->dx, v->images * c * h * width);
    prun__free(NULL, rows);
    return error;
}

/* Runs the kernels on the images of v; returns 0, or EX_FAILED after naming a wrong one. */
static int check_kernels(prun_context *context, const layer *l, prun_algorithm algorithm,
                         const naive *v) {
    prun_conv2d shape = l->shape;
    work w;
    int p, status = 0;

    shape.algorithm = algorithm;
    if (work_make(context, &shape, PRUN_LANES, &w) != PRUN_OK) return ex_failure(context, l->name);
    prun_lanes_pack(v->x, v->images, shape.in_channels, shape.in_height, shape.in_width, w.x);
    prun_lanes_pack(v->dy, v->images, shape.out_channels, v->oh, v->ow, w.dy);
    for (p = 0; p < PASSES; p++) {
        double error;

        calls[p](&w);
        error = pass_error(&w, v, (pass)p);
        if (error < WRONG) continue;
        fprintf(stderr, "error: %s, %s: off by %.2g from plain loops\n", l->name, pass_names[p],
                error);
        status = EX_FAILED;
    }
    work_free(&w);
    return status;
}

/* Number of images that plain loops finish quickly: 1 .. 16. */
static int64_t naive_images(const prun_conv2d *s) {
    const double images = NAIVE_OPERATIONS / (2 * bench_multiplications(s, 1));

    return images < 1 ? 1 : images > PRUN_LANES ? PRUN_LANES : (int64_t)images;
}

static void naive_make(const prun__conv *conv, const work *w, naive *v) {
    const prun_conv2d *s = &conv->shape;
    const int64_t in = s->in_channels * s->in_height * s->in_width;
    const int64_t out = s->out_channels * conv->out_height * conv->out_width;

    v->s = s;
    v->oh = conv->out_height;
    v->ow = conv->out_width;
    v->images = naive_images(s);
    v->x = floats(v->images * in);
    v->dx = floats(v->images * in);
    v->y = floats(v->images * out);
    v->dy = floats(v->images * out);
    v->weight = w->weight;
    v->dweight = floats(s->in_channels * s->out_channels * conv->taps);
    fill(v->x, v->images * in, 4);
    fill(v->dy, v->images * out, 5);
}

static void naive_free(naive *v) {
    prun__free(NULL, v->x);
    prun__free(NULL, v->dx);
    prun__free(NULL, v->y);
    prun__free(NULL, v->dy);
    prun__free(NULL, v->dweight);
}

/* Times the plain loops (GFLOP/s per pass) and checks both algorithms against their results. */
static int run_naive(prun_context *context, const layer *l, const work *w, double *rates) {
    naive v;
    int p, status;

    naive_make(&w->conv, w, &v);
    for (p = 0; p < PASSES; p++) {
        double start;

        naive_passes[p](&v); /* warms up caches and pages */
        start = ex_seconds();
        naive_passes[p](&v);
        rates[p] = 2e-9 * bench_multiplications(v.s, 1) * (double)v.images / (ex_seconds() - start);
    }
    status = check_kernels(context, l, PRUN_ALGORITHM_DIRECT, &v);
    if (status == 0 && prun__conv_can_use_winograd(v.s))
        status = check_kernels(context, l, PRUN_ALGORITHM_WINOGRAD, &v);
    naive_free(&v);
    return status;
}

/* ---- the layers ---------------------------------------------------------------------------- */

static void add_layer(layer *layers, int *count, int64_t kernel, int64_t stride, int64_t size,
                      int64_t in, int64_t out) {
    layer *l = &layers[(*count)++];
    prun_conv2d *s = &l->shape;
    int i;

    memset(l, 0, sizeof *l);
    s->in_channels = in;
    s->out_channels = out;
    s->in_height = s->in_width = size;
    s->kernel[0] = s->kernel[1] = kernel;
    s->stride[0] = s->stride[1] = stride;
    /* stride 2 as NiN pads: nothing before, one row and column after */
    for (i = 0; kernel == 3 && i < 4; i++) s->padding[i] = stride == 1 || i >= 2;
    snprintf(l->name, sizeof l->name, "%dx%d%s %d->%d @%dx%d", (int)kernel, (int)kernel,
             stride == 2 ? "/2" : "", (int)in, (int)out, (int)size, (int)size);
}

/* Layers of the CNN, ResNet18 and NiN of several widths, then narrow ones. */
static int list_layers(layer *layers) {
    static const int dense[][3] = {{32, 3, 8},    {32, 8, 16},  {32, 16, 32},  {32, 64, 64},
                                   {32, 64, 128}, {16, 16, 32}, {16, 32, 64},  {16, 128, 256},
                                   {8, 32, 64},   {8, 64, 128}, {8, 256, 512}, {4, 64, 64},
                                   {4, 512, 512}};
    static const int strided[][3] = {{32, 3, 48},  {16, 48, 48},   {8, 48, 48},
                                     {32, 3, 192}, {16, 192, 192}, {8, 192, 192}};
    static const int narrow[] = {1, 2, 3, 4, 6, 8};
    int i, size, count = 0;

    for (i = 0; i < (int)(sizeof dense / sizeof *dense); i++)
        add_layer(layers, &count, 3, 1, dense[i][0], dense[i][1], dense[i][2]);
    for (i = 0; i < (int)(sizeof strided / sizeof *strided); i++)
        add_layer(layers, &count, 3, 2, strided[i][0], strided[i][1], strided[i][2]);
    for (size = 16; size >= 4; size /= 2) add_layer(layers, &count, 1, 1, size, 48, 48);
    for (size = 16; size >= 4; size /= 2) add_layer(layers, &count, 1, 1, size, 192, 192);
    for (i = 0; i < (int)(sizeof narrow / sizeof *narrow); i++)
        add_layer(layers, &count, 3, 1, 32, narrow[i], narrow[i]);
    return count;
}

/* ---- the table ----------------------------------------------------------------------------- */

typedef struct rates {
    double direct[PASSES], winograd[PASSES], naive[PASSES]; /* GFLOP/s; NaN: not measured */
} rates;

/* GFLOP/s of each pass with one algorithm. */
static prun_status measure_layer(prun_context *context, const settings *set, const layer *l,
                                 prun_algorithm algorithm, double *out) {
    const double operations = 2 * bench_multiplications(&l->shape, 1) * (double)set->batch;
    prun_conv2d shape = l->shape;
    work w;
    int p;

    shape.algorithm = algorithm;
    BENCH_TRY(work_make(context, &shape, set->batch, &w));
    for (p = 0; p < PASSES; p++) {
        bench_times times;

        bench_measure(calls[p], &w, set->reps, set->seconds, &times);
        out[p] = operations / times.best * 1e-9;
    }
    work_free(&w);
    return PRUN_OK;
}

static int run_layer(prun_context *context, const settings *set, const layer *l, rates *r) {
    work w;
    int p, status = 0;

    for (p = 0; p < PASSES; p++) r->winograd[p] = r->naive[p] = (double)NAN;
    if (!set->no_naive) {
        if (work_make(context, &l->shape, PRUN_LANES, &w) != PRUN_OK)
            return ex_failure(context, l->name);
        status = run_naive(context, l, &w, r->naive);
        work_free(&w);
        if (status != 0) return status;
    }
    if (measure_layer(context, set, l, PRUN_ALGORITHM_DIRECT, r->direct) != PRUN_OK)
        return ex_failure(context, l->name);
    if (prun__conv_can_use_winograd(&l->shape) &&
        measure_layer(context, set, l, PRUN_ALGORITHM_WINOGRAD, r->winograd) != PRUN_OK)
        return ex_failure(context, l->name);
    return 0;
}

/* The algorithm that the library chooses for this layer by default. */
static const char *automatic(const layer *l, pass p) {
    const char *name = "direct";
    prun__conv conv;

    if (prun__conv_make(NULL, &l->shape, &conv) != PRUN_OK) return "?";
    if (p == WEIGHT_GRADIENT ? prun__weight_gradient_uses_winograd(&conv)
                             : prun__conv_uses_winograd(&conv))
        name = "winograd";
    prun__conv_free(NULL, &conv);
    return name;
}

static void print_rate(double rate) {
    if (rate == rate) printf(" %9.1f", rate);
    else printf(" %9s", "-");
}

static void print_layer(const layer *l, const rates *r, double peak) {
    const double border = bench_multiplications(&l->shape, 0) / bench_multiplications(&l->shape, 1);
    int p;

    for (p = 0; p < PASSES; p++) {
        printf("%-22s %-15s %9.1f %6.1f %9.1f", l->name, pass_names[p], r->direct[p],
               100 * r->direct[p] / peak, border * r->direct[p]);
        print_rate(r->winograd[p]);
        print_rate(r->naive[p]);
        printf("  %s\n", automatic(l, (pass)p));
    }
    fflush(stdout);
}

static void write_layer(ex_csv *csv, const settings *set, const layer *l, const rates *r,
                        double peak) {
    const double border = bench_multiplications(&l->shape, 0) / bench_multiplications(&l->shape, 1);
    int p;

    for (p = 0; p < PASSES; p++) {
        ex_csv_text(csv, l->name);
        ex_csv_text(csv, pass_names[p]);
        ex_csv_number(csv, (double)set->threads);
        ex_csv_number(csv, (double)set->batch);
        ex_csv_number(csv, peak);
        ex_csv_number(csv, r->direct[p]);
        ex_csv_number(csv, 100 * r->direct[p] / peak);
        ex_csv_number(csv, border * r->direct[p]);
        ex_csv_number(csv, r->winograd[p]);
        ex_csv_number(csv, r->naive[p]);
        ex_csv_text(csv, automatic(l, (pass)p));
        bench_csv_machine(csv);
        ex_csv_end_line(csv);
    }
}

static int run(const settings *set, ex_csv *csv) {
    prun_context context;
    layer layers[MAX_LAYERS];
    rates r;
    double peak;
    int i, status = 0, done = 0, count = list_layers(layers);

    memset(&context, 0, sizeof context);
    context.threads = (int32_t)set->threads;
    bench_print_machine();
    peak = measure_peak(&context);
    printf("peak: %.1f GFLOP/s on %d thread%s (%s); batch %d\n\n", peak, (int)set->threads,
           set->threads > 1 ? "s" : "",
           burn_width() == 16  ? "16-float FMA"
           : burn_width() == 8 ? "8-float FMA"
                               : "4-float multiply and add",
           (int)set->batch);
    printf("%-22s %-15s %9s %6s %9s %9s %9s  %s\n", "layer, GFLOP/s", "pass", "direct", "% peak",
           "+border", "winograd", "plain C", "default");
    for (i = 0; i < count && status == 0; i++) {
        if (strstr(layers[i].name, set->filter) == NULL) continue;
        status = run_layer(&context, set, &layers[i], &r);
        if (status != 0) break;
        done++;
        print_layer(&layers[i], &r, peak);
        if (csv->file != NULL) write_layer(csv, set, &layers[i], &r, peak);
    }
    if (status == 0 && done == 0)
        fprintf(stderr, "error: no layer has \"%s\" in its name\n", set->filter);
    return status == 0 && done == 0 ? EX_USAGE : status;
}

int main(int argc, char **argv) {
    settings set;
    ex_csv csv;
    int status;
    const ex_option options[] = {
        {"isa", EX_TEXT, &set.isa, "", 0, 0, "kernels, as prun_isa names them; empty: the best"},
        {"threads", EX_INT, &set.threads, "1", 1, 1024, "threads"},
        {"filter", EX_TEXT, &set.filter, "", 0, 0, "only layers with this in their name"},
        {"batch", EX_INT, &set.batch, "128", 16, 4096, "images, rounded up to a multiple of 16"},
        {"reps", EX_INT, &set.reps, "5", 1, BENCH_MAX_SAMPLES, "minimum of calls; the best counts"},
        {"seconds", EX_REAL, &set.seconds, "0.1", 0, 60, "minimum time per layer and pass"},
        {"no-naive", EX_FLAG, &set.no_naive, "0", 0, 0, "leave out plain loops and the check"},
        {"csv", EX_TEXT, &set.csv, "", 0, 0, "also write a CSV file"}};
    const ex_program program = {"bench_kernels",
                                "",
                                "Rate of the convolution kernels against the machine's peak.",
                                options,
                                sizeof options / sizeof *options,
                                0,
                                0};

    status = ex_parse(&program, argc, argv, NULL);
    if (status >= 0) return status;
    set.batch = (set.batch + PRUN_LANES - 1) / PRUN_LANES * PRUN_LANES;
    status = bench_set_isa(set.isa);
    if (status != 0) return status;
    if (!bench_can_thread(set.threads)) return EX_USAGE;
    status = bench_open_csv(set.csv,
                            "layer,pass,threads,batch,peak,direct,direct_percent_of_peak,"
                            "direct_with_border,winograd,plain_c,default," BENCH_MACHINE_NAMES,
                            &csv);
    if (status != 0) return status;
    return bench_close_csv(run(&set, &csv), &csv);
}
