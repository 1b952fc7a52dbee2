/* curvature_model.h - networks in plain loops, for test_hessian_differences.c, which includes this
   file twice: REAL is the type of all arithmetic, MODEL(name) the name of a function.

   A perceptron with two hidden layers, and an LSTM whose last state is classified; cross-entropy.
   The weights are one vector: each matrix in row-major order (outputs x inputs), then its biases.
*/

/* Returns the loss and replaces the logits by its derivative. */
static REAL MODEL(softmax)(REAL *logits, int classes, int label) {
    REAL top = logits[0], sum = 0, loss;
    int i;
    for (i = 1; i < classes; i++) top = logits[i] > top ? logits[i] : top;
    for (i = 0; i < classes; i++) sum += (REAL)exp((double)(logits[i] - top));
    loss = (REAL)log((double)sum) - (logits[label] - top);
    for (i = 0; i < classes; i++) {
        logits[i] = (REAL)exp((double)(logits[i] - top)) / sum;
        if (i == label) logits[i] -= 1;
    }
    return loss;
}

/* y += W x + b. */
static void MODEL(apply)(const REAL *w, int rows, int columns, const REAL *x, REAL *y) {
    int i, j;
    for (i = 0; i < rows; i++) {
        y[i] += w[rows * columns + i];
        for (j = 0; j < columns; j++) y[i] += w[i * columns + j] * x[j];
    }
}

/* Adds the gradients of the same to dw, and to dx unless it is NULL. */
static void MODEL(apply_back)(const REAL *w, int rows, int columns, const REAL *x, const REAL *dy,
                              REAL *dw, REAL *dx) {
    int i, j;
    for (i = 0; i < rows; i++) {
        dw[rows * columns + i] += dy[i];
        for (j = 0; j < columns; j++) {
            dw[i * columns + j] += dy[i] * x[j];
            if (dx != NULL) dx[j] += dy[i] * w[i * columns + j];
        }
    }
}

static REAL MODEL(perceptron)(const model *m, const REAL *w, const double *sample, int label,
                              REAL *g) {
    REAL value[4][WIDEST], slope[4][WIDEST];
    const REAL *layer[3];
    REAL loss;
    int l, i;
    memset(value, 0, sizeof(value));
    memset(slope, 0, sizeof(slope));
    for (i = 0; i < m->sizes[0]; i++) value[0][i] = (REAL)sample[i];
    for (l = 0; l < 3; l++) {
        const int rows = m->sizes[l + 1], columns = m->sizes[l];
        layer[l] = w;
        MODEL(apply)(w, rows, columns, value[l], value[l + 1]);
        for (i = 0; l < 2 && i < rows; i++) {
            REAL *v = &value[l + 1][i];
            *v = m->kind == RELU ? (*v > 0 ? *v : 0) : (REAL)tanh((double)*v);
        }
        w += rows * (columns + 1);
    }
    memcpy(slope[3], value[3], sizeof(slope[3]));
    loss = MODEL(softmax)(slope[3], m->sizes[3], label);
    for (l = 2; l >= 0; l--) {
        const int rows = m->sizes[l + 1], columns = m->sizes[l];
        MODEL(apply_back)
        (layer[l], rows, columns, value[l], slope[l + 1], g + (layer[l] - layer[0]),
         l > 0 ? slope[l] : NULL);
        for (i = 0; l > 0 && i < columns; i++)
            slope[l][i] *=
                m->kind == RELU ? (REAL)(value[l][i] > 0) : 1 - value[l][i] * value[l][i];
    }
    return loss;
}

/* sizes: inputs, hidden, steps, classes. */
static REAL MODEL(lstm)(const model *m, const REAL *w, const double *sample, int label, REAL *g) {
    const int in = m->sizes[0], n = m->sizes[1], steps = m->sizes[2], classes = m->sizes[3];
    REAL x[STEPS][WIDEST], gate[STEPS][4 * WIDEST], cell[STEPS + 1][WIDEST], out[WIDEST];
    REAL dh[WIDEST], dc[WIDEST], dx[WIDEST], dz[4 * WIDEST], loss;
    const REAL *head = w + 4 * n * (in + n + 1);
    int t, i;
    memset(x, 0, sizeof(x));
    memset(gate, 0, sizeof(gate));
    memset(cell, 0, sizeof(cell));
    memset(out, 0, sizeof(out));
    for (t = 0; t < steps; t++) { /* the end of x[t] is the hidden state before step t */
        for (i = 0; i < in; i++) x[t][i] = (REAL)sample[t * in + i];
        MODEL(apply)(w, 4 * n, in + n, x[t], gate[t]);
        for (i = 0; i < 4 * n; i++)
            gate[t][i] = i / n == 2 ? (REAL)tanh((double)gate[t][i])
                                    : 1 / (1 + (REAL)exp(-(double)gate[t][i]));
        for (i = 0; i < n; i++) {
            cell[t + 1][i] = gate[t][n + i] * cell[t][i] + gate[t][i] * gate[t][2 * n + i];
            x[t + 1][in + i] = gate[t][3 * n + i] * (REAL)tanh((double)cell[t + 1][i]);
        }
    }
    MODEL(apply)(head, classes, n, x[steps] + in, out);
    loss = MODEL(softmax)(out, classes, label);
    memset(dh, 0, sizeof(dh));
    memset(dc, 0, sizeof(dc));
    MODEL(apply_back)(head, classes, n, x[steps] + in, out, g + (head - w), dh);
    for (t = steps - 1; t >= 0; t--) {
        for (i = 0; i < n; i++) {
            const REAL a = gate[t][i], f = gate[t][n + i], c = gate[t][2 * n + i];
            const REAL o = gate[t][3 * n + i], s = (REAL)tanh((double)cell[t + 1][i]);
            const REAL d = dc[i] + dh[i] * o * (1 - s * s);
            dz[i] = d * c * a * (1 - a);
            dz[n + i] = d * cell[t][i] * f * (1 - f);
            dz[2 * n + i] = d * a * (1 - c * c);
            dz[3 * n + i] = dh[i] * s * o * (1 - o);
            dc[i] = d * f;
        }
        memset(dx, 0, sizeof(dx));
        MODEL(apply_back)(w, 4 * n, in + n, x[t], dz, g, dx);
        memcpy(dh, dx + in, (size_t)n * sizeof(REAL));
    }
    return loss;
}

/* Gradient of the summed loss of n samples. */
static double MODEL(gradient)(const model *m, const REAL *w, const int64_t *index, int64_t n,
                              REAL *g) {
    double sum = 0;
    int64_t s;
    int i;
    for (i = 0; i < m->k; i++) g[i] = 0;
    for (s = 0; s < n; s++) {
        const int64_t at = index != NULL ? index[s] : s;
        const double *x = m->inputs + at * INPUTS;
        sum += (double)(m->kind == LSTM ? MODEL(lstm)(m, w, x, m->labels[at], g)
                                        : MODEL(perceptron)(m, w, x, m->labels[at], g));
    }
    for (i = 0; i < m->k; i++) g[i] *= (REAL)m->factor;
    return sum * m->factor;
}
