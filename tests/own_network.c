/* own_network.c - measures of a network that the library did not make.

   A perceptron written by hand: own data reader, own training, own forward and backward pass. It
   shares nothing with the library but its weights and three callbacks. At the end the same network
   is built from the library's layers, with the same weights, and must have the same prunability.

   tests/own_network.sh compiles and runs it, from the project's root.
*/
#define PRUNABILITY_IMPLEMENTATION
#include "../prunability.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define DATA "examples/data/fashion-mnist-train-"
enum { PIXELS = 28 * 28, HIDDEN = 32, CLASSES = 10, SAMPLES = 1500, EPOCHS = 12, BATCH = 25 };

/* ---- the network ----------------------------------------------------------------------------- */

typedef struct perceptron {
    float w1[HIDDEN * PIXELS], b1[HIDDEN], w2[CLASSES * HIDDEN], b2[CLASSES];
} perceptron;

typedef struct problem {
    perceptron net;
    float x[SAMPLES * PIXELS];
    int32_t y[SAMPLES];
} problem;

static void forward(const perceptron *net, const float *x, float *hidden, float *logits) {
    for (int h = 0; h < HIDDEN; h++) {
        float sum = net->b1[h];
        for (int i = 0; i < PIXELS; i++) sum += net->w1[h * PIXELS + i] * x[i];
        hidden[h] = sum > 0 ? sum : 0;
    }
    for (int c = 0; c < CLASSES; c++) {
        logits[c] = net->b2[c];
        for (int h = 0; h < HIDDEN; h++) logits[c] += net->w2[c * HIDDEN + h] * hidden[h];
    }
}

/* Cross-entropy in double: where the loss is near zero, float rounding would decide the answer. */
static double cross_entropy(const float *logits, int label, double *probability) {
    double top = logits[0], sum = 0;

    for (int c = 1; c < CLASSES; c++) top = logits[c] > top ? (double)logits[c] : top;
    for (int c = 0; c < CLASSES; c++) sum += probability[c] = exp((double)logits[c] - top);
    for (int c = 0; c < CLASSES; c++) probability[c] /= sum;
    return log(sum) + top - (double)logits[label];
}

/* Adds the gradient of one sample's loss. Returns the loss. */
static double backward(const perceptron *net, const float *x, int label, perceptron *gradient) {
    float hidden[HIDDEN], logits[CLASSES];
    double p[CLASSES], loss;

    forward(net, x, hidden, logits);
    loss = cross_entropy(logits, label, p);
    p[label] -= 1;
    for (int c = 0; c < CLASSES; c++) gradient->b2[c] += (float)p[c];
    for (int h = 0; h < HIDDEN; h++) {
        float back = 0;
        for (int c = 0; c < CLASSES; c++) {
            gradient->w2[c * HIDDEN + h] += (float)p[c] * hidden[h];
            back += (float)p[c] * net->w2[c * HIDDEN + h];
        }
        if (!(hidden[h] > 0)) continue;
        gradient->b1[h] += back;
        for (int i = 0; i < PIXELS; i++) gradient->w1[h * PIXELS + i] += back * x[i];
    }
    return loss;
}

static float uniform(uint32_t *state) /* in -1 .. 1 */
{
    *state = *state * 1664525u + 1013904223u;
    return (float)(*state >> 8) / 8388608.0f - 1;
}

static double train(problem *p) {
    enum { FLOATS = sizeof(perceptron) / sizeof(float) };
    static perceptron gradient, velocity;
    float *w = (float *)(void *)&p->net, *g = (float *)(void *)&gradient;
    float *v = (float *)(void *)&velocity;
    uint32_t state = 1;
    double loss = 0;

    for (size_t i = 0; i < FLOATS; i++)
        w[i] = uniform(&state) / (i < sizeof p->net.w1 / sizeof(float) ? 28.0f : 5.6f);
    for (int epoch = 0; epoch < EPOCHS; epoch++) {
        loss = 0;
        for (int at = 0; at < SAMPLES; at += BATCH) {
            memset(&gradient, 0, sizeof gradient);
            for (int s = at; s < at + BATCH; s++)
                loss += backward(&p->net, p->x + s * PIXELS, p->y[s], &gradient);
            for (size_t i = 0; i < FLOATS; i++) {
                v[i] = 0.9f * v[i] + g[i] / BATCH;
                w[i] -= 0.01f * v[i];
            }
        }
    }
    return loss / SAMPLES;
}

/* ---- the callbacks of the objective ---------------------------------------------------------- */

static int64_t sample(const int64_t *index, int64_t i) { return index ? index[i] : i; }

static prun_status own_loss(const prun_objective *objective, const int64_t *index, int64_t n,
                            double *losses, double *sum, int64_t *errors) {
    const problem *p = (const problem *)objective->user;
    int64_t wrong = 0;

    *sum = 0;
    for (int64_t i = 0; i < n; i++) {
        const int64_t s = sample(index, i);
        float hidden[HIDDEN], logits[CLASSES];
        double probability[CLASSES], loss;
        int best = 0;

        forward(&p->net, p->x + s * PIXELS, hidden, logits);
        loss = cross_entropy(logits, p->y[s], probability);
        for (int c = 1; c < CLASSES; c++) best = logits[c] > logits[best] ? c : best;
        wrong += best != p->y[s];
        *sum += loss;
        if (losses) losses[i] = loss;
    }
    if (errors) *errors = wrong;
    return PRUN_OK;
}

static prun_status own_gradient(const prun_objective *objective, const int64_t *index, int64_t n,
                                float *gradient, double *sum) {
    const problem *p = (const problem *)objective->user;
    double total = 0;

    memset(gradient, 0, sizeof(perceptron)); /* the tensors' order is the struct's */
    for (int64_t i = 0; i < n; i++) {
        const int64_t s = sample(index, i);
        total += backward(&p->net, p->x + s * PIXELS, p->y[s], (perceptron *)(void *)gradient);
    }
    if (sum) *sum = total;
    return PRUN_OK;
}

static prun_status own_logits(const prun_objective *objective, const int64_t *index, int64_t n,
                              float *logits) {
    const problem *p = (const problem *)objective->user;

    for (int64_t i = 0; i < n; i++) {
        float hidden[HIDDEN];
        forward(&p->net, p->x + sample(index, i) * PIXELS, hidden, logits + i * CLASSES);
    }
    return PRUN_OK;
}

static prun_tensor tensor(const char *name, float *data, int64_t rows, int64_t columns) {
    prun_tensor t = {.data = data, .name = name, .rank = columns ? 2 : 1};

    t.flags = columns ? PRUN_TENSOR_WEIGHT : PRUN_TENSOR_BIAS;
    t.shape[0] = rows;
    t.shape[1] = columns;
    return t;
}

/* ---- the same network from the library's layers ---------------------------------------------- */

static prun_status built_prunability(prun_context *context, problem *p, prun_prunability *found) {
    const float *const values[] = {p->net.w1, p->net.b1, p->net.w2, p->net.b2};
    prun_images images = {.count = SAMPLES,
                          .channels = 1,
                          .height = 28,
                          .width = 28,
                          .classes = CLASSES,
                          .values = p->x,
                          .labels = p->y};
    prun_net *net = NULL;
    prun_objective objective;
    int64_t count;
    prun_status status = prun_net_create(context, 1, 28, 28, &net);

    if (status == PRUN_OK) {
        int32_t v = prun_layer_linear(net, PRUN_INPUT, "hidden", HIDDEN, 1);
        v = prun_layer_relu(net, v);
        v = prun_layer_linear(net, v, "output", CLASSES, 1);
        status = prun_net_finish(net, v, 0);
    }
    if (status == PRUN_OK) {
        const prun_tensor *t = prun_net_tensors(net, &count);
        for (int64_t i = 0; i < count; i++)
            memcpy(t[i].data, values[i], (size_t)prun_tensor_size(&t[i]) * sizeof(float));
        status = prun_net_objective(net, &images, &objective);
    }
    if (status == PRUN_OK) status = prun_prunability_search(&objective, NULL, found);
    prun_net_free(net);
    return status;
}

/* ---- program --------------------------------------------------------------------------------- */

static int read_data(problem *p) {
    FILE *images = fopen(DATA "images.idx3-ubyte", "rb");
    FILE *labels = fopen(DATA "labels.idx1-ubyte", "rb");
    int good = images && labels && !fseek(images, 16, SEEK_SET) && !fseek(labels, 8, SEEK_SET);

    for (int i = 0; good && i < SAMPLES * PIXELS; i++) {
        const int byte = fgetc(images);
        good = byte != EOF;
        p->x[i] = ((float)byte - 73) / 90;
    }
    for (int i = 0; good && i < SAMPLES; i++) {
        p->y[i] = fgetc(labels);
        good = p->y[i] != EOF;
    }
    if (images) fclose(images);
    if (labels) fclose(labels);
    return good;
}

/* Prints why the last call failed; returns the exit status. */
static int fail(const prun_context *context, const char *what) {
    fprintf(stderr, "error: %s: %s\n", what, prun_message(context));
    return 1;
}

int main(void) {
    static problem p;
    static const char *const names[] = {
        "prunability",   "sum_of_frobenius",     "perturbation_flatness", "spectral_orig",
        "pacbayes_orig", "gradient_noise_final", "hessian_trace",         "path_norm"};
    prun_context context = {0};
    prun_tensor tensors[4];
    prun_objective objective = {.user = &p,
                                .context = &context,
                                .tensors = tensors,
                                .tensor_count = 4,
                                .samples = SAMPLES,
                                .classes = CLASSES,
                                .nonnegative = 1,
                                .loss = own_loss,
                                .gradient = own_gradient,
                                .logits = own_logits,
                                .labels = p.y};
    prun_prunability own, built;
    prun_measurement *m = NULL;

    if (!read_data(&p)) {
        fprintf(stderr, "error: cannot read %simages.idx3-ubyte and labels.idx1-ubyte\n", DATA);
        return 1;
    }
    tensors[0] = tensor("hidden.weight", p.net.w1, HIDDEN, PIXELS);
    tensors[1] = tensor("hidden.bias", p.net.b1, HIDDEN, 0);
    tensors[2] = tensor("output.weight", p.net.w2, CLASSES, HIDDEN);
    tensors[3] = tensor("output.bias", p.net.b2, CLASSES, 0);
    printf("trained by hand: running loss %.4f in the last epoch\n\n", train(&p));
    fflush(stdout);
    if (prun_measurement_create(&objective, NULL, &m) != PRUN_OK) return fail(&context, "measures");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        prun_measure_result r;
        prun_measure(m, names[i], &r);
        printf("%-22s %12.6g  %s\n", names[i], r.value, r.message);
    }
    prun_measurement_free(m);
    if (prun_prunability_search(&objective, NULL, &own) != PRUN_OK ||
        built_prunability(&context, &p, &built) != PRUN_OK)
        return fail(&context, "prunability");
    printf("\nprunability by hand:        %.2f of %ld weights, base loss %.9f\n",
           own.answer[0].kept_fraction, (long)own.prunable, own.base_loss);
    printf("prunability by the library: %.2f of %ld weights, base loss %.9f\n",
           built.answer[0].kept_fraction, (long)built.prunable, built.base_loss);
    if (own.answer[0].kept != built.answer[0].kept ||
        fabs(own.answer[0].loss - built.answer[0].loss) > 1e-5 * built.answer[0].loss) {
        printf("They differ.\n");
        return 1;
    }
    printf("They agree.\n");
    return 0;
}
