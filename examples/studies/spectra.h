/* spectra.h - figures of one network: eigenvalues of its weights with their fitted tails, the
   density of its Hessian's eigenvalues, and the loss along directions through its weights

   ex_spectra_write fills a directory with SVG figures, and CSV files with their numbers. */
#ifndef SPECTRA_H_INCLUDED
#define SPECTRA_H_INCLUDED

#include "figure.h"
#include "options.h"
#include "table.h"

/* What to draw, and where. */
typedef struct ex_spectra {
    const prun_objective *objective;
    const char *directory;
    int64_t samples; /* for Hessian and loss, the first ones of a random order */
    int64_t steps, probes;
    uint64_t seed;
    ex_progress *bar;
    /* made by ex_spectra_write */
    int64_t *order;
    int64_t parameters; /* floats of all tensors */
} ex_spectra;

/* Counts a Hessian-vector product; they are most of the work. */
static inline int ex__spectra_count(void *user, int64_t done, int64_t total) {
    (void)done;
    (void)total;
    ex_progress_add((ex_progress *)user, 1);
    return 0;
}

/* Opens a CSV file in the directory and writes its header. */
static inline int ex__spectra_open(const ex_spectra *s, const char *name, const char *columns,
                                   ex_text *path, ex_csv *csv) {
    int status;

    memset(path, 0, sizeof *path);
    ex_path(path, s->directory, name, "csv");
    status = ex_csv_open(csv, path->data, 0);
    if (status != 0) return status;
    ex_csv_names(csv, columns);
    ex_csv_end_line(csv);
    return 0;
}

/* ---- spectra of weights -------------------------------------------------------------------- */

enum { EX_MOST_BINS = 30, EX_LINE = 2 };

/* One layer's panel: a histogram of equal bins on a logarithmic axis, and the fitted power law. */
typedef struct ex_layer_panel {
    char title[160];
    double x[2 * EX_MOST_BINS], y[2 * EX_MOST_BINS], law_x[EX_LINE], law_y[EX_LINE];
    ex_series series[2];
} ex_layer_panel;

/* Density of the positive values in an ascending array, as the outline of a histogram; NaN for
   empty bins. Returns the number of points. */
static inline int ex__histogram(const double *values, int64_t count, double *x, double *y) {
    int64_t first = 0, i;
    double low, width;
    int bins = (int)(2 * cbrt((double)count)), bin;

    while (first < count && !(values[first] > 1e-12 * values[count - 1])) first++;
    if (first >= count || !(values[count - 1] > values[first])) return 0;
    bins = bins < 3 ? 3 : bins > EX_MOST_BINS ? EX_MOST_BINS : bins;
    low = log(values[first]);
    width = (log(values[count - 1]) - low) / bins;
    for (bin = 0; bin < bins; bin++) {
        const double from = exp(low + bin * width), to = exp(low + (bin + 1) * width);
        int64_t inside = 0;

        for (i = first; i < count; i++)
            inside += (values[i] >= from || bin == 0) && (values[i] < to || bin == bins - 1);
        x[2 * bin] = from;
        x[2 * bin + 1] = to;
        y[2 * bin] = y[2 * bin + 1] =
            inside > 0 ? (double)inside / (double)count / (to - from) : (double)NAN;
    }
    return 2 * bins;
}

/* Fills a panel. law->tail 0: no power law. */
static inline void ex__layer_panel_fill(const char *name, const double *values, int64_t count,
                                        const prun_power_law *law, ex_layer_panel *p) {
    memset(p, 0, sizeof *p);
    p->series[0].n = ex__histogram(values, count, p->x, p->y);
    p->series[0].line = 1;
    if (law->tail > 0)
        snprintf(p->title, sizeof p->title, "%s: alpha %.2f, tail %ld of %ld", name, law->alpha,
                 (long)law->tail, (long)count);
    else snprintf(p->title, sizeof p->title, "%s: %ld eigenvalues", name, (long)count);
    p->series[0].x = p->x;
    p->series[0].y = p->y;
    if (law->tail == 0) return;
    p->law_x[0] = law->least;
    p->law_x[1] = values[count - 1];
    /* the density of the tail, times its share of all eigenvalues */
    p->law_y[0] = (law->alpha - 1) / law->least * (double)law->tail / (double)count;
    p->law_y[1] = p->law_y[0] * pow(p->law_x[1] / law->least, -law->alpha);
    p->series[1].x = p->law_x;
    p->series[1].y = p->law_y;
    p->series[1].n = EX_LINE;
    p->series[1].line = 1;
    p->series[1].colour = 1;
}

/* Writes eigenvalues and power law of one tensor to the files and fills its panel. */
static inline int ex__layer_write(const ex_spectra *s, const prun_tensor *t, ex_csv *values_file,
                                  ex_csv *laws_file, ex_layer_panel *panel) {
    prun_context *context = s->objective->context;
    prun_power_law law;
    double *values;
    int64_t count = 0, i;
    prun_status status = prun_weight_eigenvalues(context, t, 0, NULL, &count);

    memset(&law, 0, sizeof law);
    if (status != PRUN_OK) return ex_failure(context, "spectra");
    values = (double *)ex_allocate((size_t)count, sizeof *values);
    status = prun_weight_eigenvalues(context, t, 0, values, &count);
    if (status == PRUN_OK) {
        status = prun_power_law_fit(context, values, count, &law);
        if (status == PRUN_ERR_MISSING) { /* fewer than two different values */
            memset(&law, 0, sizeof law);
            status = PRUN_OK;
        }
    }
    for (i = 0; status == PRUN_OK && i < count; i++) {
        ex_csv_text(values_file, t->name);
        ex_csv_number(values_file, values[i]);
        ex_csv_end_line(values_file);
    }
    if (status == PRUN_OK) {
        ex_csv_text(laws_file, t->name);
        ex_csv_number(laws_file, (double)count);
        ex_csv_number(laws_file, law.tail > 0 ? law.alpha : (double)NAN);
        ex_csv_number(laws_file, law.tail > 0 ? law.sigma : (double)NAN);
        ex_csv_number(laws_file, law.tail > 0 ? law.least : (double)NAN);
        ex_csv_number(laws_file, law.tail > 0 ? law.distance : (double)NAN);
        ex_csv_number(laws_file, (double)law.tail);
        ex_csv_end_line(laws_file);
        ex__layer_panel_fill(t->name, values, count, &law, panel);
    }
    free(values);
    return status == PRUN_OK ? 0 : ex_failure(context, "spectra");
}

/* A panel for each layer, three in a row. */
static inline int ex__weights_draw(const ex_spectra *s, const ex_layer_panel *panels, int count) {
    ex_plot *plots = (ex_plot *)ex_allocate((size_t)count, sizeof *plots);
    int i, status;

    for (i = 0; i < count; i++) {
        plots[i].title = panels[i].title;
        plots[i].x_label = "eigenvalue of W'W";
        plots[i].y_label = "density";
        plots[i].log_x = plots[i].log_y = 1;
        plots[i].series = panels[i].series;
        plots[i].count = panels[i].series[1].n > 0 ? 2 : 1;
    }
    status = ex_plots_write(s->directory, "weights", "Eigenvalues of the weights, layer by layer",
                            "Blue: density in bins of equal width on the logarithmic axis; red: "
                            "the power law fitted to "
                            "the tail",
                            plots, count, count < 3 ? count : 3, 400, 300);
    free(plots);
    return status;
}

/* weights.svg, weights.csv and power_laws.csv. */
static inline int ex__weights_write(const ex_spectra *s) {
    const prun_objective *o = s->objective;
    ex_layer_panel *panels = (ex_layer_panel *)ex_allocate((size_t)o->tensor_count, sizeof *panels);
    ex_text paths[2];
    ex_csv values, laws;
    int64_t i;
    int count = 0, status, closed;

    memset(&laws, 0, sizeof laws);
    memset(&paths[1], 0, sizeof paths[1]);
    status = ex__spectra_open(s, "weights", "layer,eigenvalue", &paths[0], &values);
    if (status == 0)
        status = ex__spectra_open(
            s, "power_laws", "layer,eigenvalues,alpha,sigma,least,distance,tail", &paths[1], &laws);
    for (i = 0; status == 0 && i < o->tensor_count; i++)
        if (o->tensors[i].flags & PRUN_TENSOR_WEIGHT)
            status = ex__layer_write(s, &o->tensors[i], &values, &laws, &panels[count++]);
    closed = values.file ? ex_csv_close(&values) : 0;
    status = status ? status : closed;
    closed = laws.file ? ex_csv_close(&laws) : 0;
    status = status ? status : closed;
    if (status == 0) status = ex__weights_draw(s, panels, count);
    for (i = 0; i < 2; i++) ex_text_free(&paths[i]);
    free(panels);
    return status;
}

/* ---- the spectrum of the Hessian ----------------------------------------------------------- */

enum { EX_DENSITY_POINTS = 401 };

/* Options of the Hessian over all tensors and the chosen samples. */
static inline prun_hessian_options ex__spectra_hessian(const ex_spectra *s) {
    prun_hessian_options options;

    memset(&options, 0, sizeof options);
    options.scope = PRUN_HESSIAN_ALL;
    options.index = s->order;
    options.samples = s->samples;
    options.steps = s->steps;
    options.probes = s->probes;
    options.seed = s->seed;
    options.progress = ex__spectra_count;
    options.user = s->bar;
    return options;
}

static inline int ex__density_draw(const ex_spectra *s, const double *grid, const double *density,
                                   const double *errors) {
    ex_series series;
    ex_plot plot;
    char text[120];

    memset(&series, 0, sizeof series);
    memset(&plot, 0, sizeof plot);
    series.x = grid;
    series.y = density;
    series.error = errors;
    series.n = EX_DENSITY_POINTS;
    series.line = 1;
    plot.x_label = "eigenvalue of the Hessian";
    plot.y_label = "share of eigenvalues per unit";
    plot.log_y = 1;
    plot.series = &series;
    plot.count = 1;
    snprintf(text, sizeof text, "%ld Lanczos runs of %ld steps, %ld samples; band: standard error",
             (long)s->probes, (long)s->steps, (long)s->samples);
    return ex_plots_write(s->directory, "hessian",
                          "Spectral density of the Hessian of the mean loss", text, &plot, 1, 1,
                          760, 420);
}

/* hessian.svg and hessian.csv. */
static inline int ex__hessian_write(const ex_spectra *s) {
    prun_context *context = s->objective->context;
    const prun_hessian_options options = ex__spectra_hessian(s);
    static double grid[EX_DENSITY_POINTS], density[EX_DENSITY_POINTS], errors[EX_DENSITY_POINTS];
    prun_spectrum spectrum;
    ex_text path = {NULL, 0, 0};
    ex_csv csv;
    double low = HUGE_VAL, high = -HUGE_VAL, most = 0;
    int64_t i;
    int result;
    prun_status status = prun_hessian_spectrum(s->objective, &options, &spectrum);

    if (status != PRUN_OK) return ex_failure(context, "the Hessian's spectrum");
    for (i = 0; i < spectrum.probes * spectrum.steps; i++) {
        low = spectrum.values[i] < low ? spectrum.values[i] : low;
        high = spectrum.values[i] > high ? spectrum.values[i] : high;
    }
    for (i = 0; i < EX_DENSITY_POINTS; i++)
        grid[i] = low + (high - low) * (1.1 * (double)i / (EX_DENSITY_POINTS - 1) - 0.05);
    status = prun_spectrum_density(&spectrum, grid, EX_DENSITY_POINTS, 0, density, errors);
    prun_spectrum_free(&spectrum);
    if (status != PRUN_OK) return ex_failure(context, "the Hessian's spectrum");
    result = ex__spectra_open(s, "hessian", "eigenvalue,density,standard_error", &path, &csv);
    for (i = 0; result == 0 && i < EX_DENSITY_POINTS; i++) {
        ex_csv_number(&csv, grid[i]);
        ex_csv_number(&csv, density[i]);
        ex_csv_number(&csv, errors[i]);
        ex_csv_end_line(&csv);
        most = density[i] > most ? density[i] : most;
    }
    if (result == 0) result = ex_csv_close(&csv);
    ex_text_free(&path);
    for (i = 0; i < EX_DENSITY_POINTS; i++) /* too small to be seen beside the bulk */
        if (density[i] < 1e-9 * most) density[i] = (double)NAN;
    return result == 0 ? ex__density_draw(s, grid, density, errors) : result;
}

/* ---- the loss along directions ------------------------------------------------------------- */

enum { EX_DIRECTIONS = 4, EX_CURVE = 41, EX_SURFACE = 21 };
static const char *const ex_direction_names[EX_DIRECTIONS] = {
    "leading eigenvector", "second eigenvector", "random direction", "another random one"};

/* The weights, and unit vectors through them. */
typedef struct ex_slices {
    const ex_spectra *spectra;
    float *weights, *direction[EX_DIRECTIONS];
    double reach; /* largest distance along a direction: a tenth of the weights' norm */
} ex_slices;

/* Sets the weights to w + a u + b v; u and v are numbers of directions. */
static inline void ex__slices_set(const ex_slices *s, int u, double a, int v, double b) {
    const prun_objective *o = s->spectra->objective;
    int64_t t, i, at = 0;

    for (t = 0; t < o->tensor_count; t++)
        for (i = 0; i < prun_tensor_size(&o->tensors[t]); i++, at++)
            o->tensors[t].data[i] =
                (float)((double)s->weights[at] + a * (double)s->direction[u][at] +
                        b * (double)s->direction[v][at]);
}

/* Restores the weights, bit for bit. */
static inline void ex__slices_restore(const ex_slices *s) {
    const prun_objective *o = s->spectra->objective;
    const float *from = s->weights;
    int64_t t;

    for (t = 0; t < o->tensor_count; t++) {
        const int64_t size = prun_tensor_size(&o->tensors[t]);

        memcpy(o->tensors[t].data, from, (size_t)size * sizeof *from);
        from += size;
    }
}

/* Mean loss at w + a u + b v; NaN after a message. */
static inline double ex__slices_loss(const ex_slices *s, int u, double a, int v, double b) {
    const prun_objective *o = s->spectra->objective;
    double sum = 0;

    ex__slices_set(s, u, a, v, b);
    if (o->loss(o, s->spectra->order, s->spectra->samples, NULL, &sum, NULL) != PRUN_OK) {
        ex_failure(o->context, "the loss along directions");
        return (double)NAN;
    }
    ex_progress_add(s->spectra->bar, 0.25); /* a forward pass relative to a product */
    return sum / (double)s->spectra->samples;
}

/* Computes the eigenvectors, and random vectors of length 1. */
static inline int ex__slices_make(const ex_spectra *spectra, ex_slices *s) {
    const prun_objective *o = spectra->objective;
    const prun_hessian_options options = ex__spectra_hessian(spectra);
    double values[2], norm = 0;
    int64_t t, i, at = 0;
    int k;

    memset(s, 0, sizeof *s);
    s->spectra = spectra;
    s->weights =
        (float *)ex_allocate((size_t)spectra->parameters * (EX_DIRECTIONS + 1), sizeof(float));
    for (k = 0; k < EX_DIRECTIONS; k++)
        s->direction[k] = s->weights + (k + 1) * spectra->parameters;
    for (t = 0; t < o->tensor_count; t++)
        for (i = 0; i < prun_tensor_size(&o->tensors[t]); i++) {
            s->weights[at++] = o->tensors[t].data[i];
            norm += (double)o->tensors[t].data[i] * (double)o->tensors[t].data[i];
        }
    s->reach = 0.1 * sqrt(norm);
    for (k = 2; k < EX_DIRECTIONS; k++) {
        for (norm = 0, i = 0; i < spectra->parameters; i++) {
            const double x = prun_random_normal(spectra->seed, 1000 + (uint64_t)k, (uint64_t)i);

            s->direction[k][i] = (float)x;
            norm += x * x;
        }
        for (i = 0; i < spectra->parameters; i++)
            s->direction[k][i] = (float)((double)s->direction[k][i] / sqrt(norm));
    }
    if (prun_hessian_eigenpairs(o, 2, &options, values, NULL, s->direction[0]) != PRUN_OK)
        return ex_failure(o->context, "eigenvectors of the Hessian");
    return 0;
}

/* loss.svg and loss.csv: the loss along each direction. */
static inline int ex__curves_write(const ex_slices *s) {
    static double x[EX_CURVE], y[EX_DIRECTIONS][EX_CURVE];
    const ex_spectra *spectra = s->spectra;
    ex_series series[EX_DIRECTIONS];
    ex_plot plot;
    ex_text path = {NULL, 0, 0};
    ex_csv csv;
    int k, i, status = ex__spectra_open(spectra, "loss", "direction,distance,loss", &path, &csv);

    memset(series, 0, sizeof series);
    memset(&plot, 0, sizeof plot);
    for (k = 0; status == 0 && k < EX_DIRECTIONS; k++) {
        for (i = 0; i < EX_CURVE; i++) {
            x[i] = s->reach * (2.0 * i / (EX_CURVE - 1) - 1);
            y[k][i] = ex__slices_loss(s, k, x[i], k, 0);
            ex_csv_text(&csv, ex_direction_names[k]);
            ex_csv_number(&csv, x[i]);
            ex_csv_number(&csv, y[k][i]);
            ex_csv_end_line(&csv);
        }
        series[k].name = ex_direction_names[k];
        series[k].x = x;
        series[k].y = y[k];
        series[k].n = EX_CURVE;
        series[k].line = 1;
        series[k].dashed = k >= 2;
        series[k].colour = k;
    }
    ex__slices_restore(s);
    if (status == 0) status = ex_csv_close(&csv);
    ex_text_free(&path);
    plot.x_label = "distance from the trained weights";
    plot.y_label = "mean loss";
    plot.log_y = 1;
    plot.series = series;
    plot.count = EX_DIRECTIONS;
    if (status != 0) return status;
    return ex_plots_write(spectra->directory, "loss", "Loss along directions through the weights",
                          "Unit directions; the range is a tenth of the weights' norm either way",
                          &plot, 1, 1, 820, 420);
}

/* Colour of a value between 0 and 1: from purple through green to yellow. */
static inline void ex__heat_colour(double part, char *text, size_t size) {
    static const int stops[5][3] = {
        {68, 1, 84}, {59, 82, 139}, {33, 145, 140}, {94, 201, 98}, {253, 231, 37}};
    const double at = part < 0 ? 0 : part > 1 ? 4 : 4 * part;
    const int low = at >= 4 ? 3 : (int)at;
    int c[3], k;

    for (k = 0; k < 3; k++)
        c[k] = (int)(stops[low][k] + (at - low) * (stops[low + 1][k] - stops[low][k]) + 0.5);
    snprintf(text, size, "#%02x%02x%02x", (unsigned)c[0], (unsigned)c[1], (unsigned)c[2]);
}

/* One heat map with its axes. low, high: logarithms of the losses at both ends of the colours. */
static inline void ex__heat_draw(FILE *file, const ex_slices *s, int u,
                                 double loss[EX_SURFACE][EX_SURFACE], double left, double low,
                                 double high) {
    const double top = EX_SVG_HEAD + 36, side = 290.0, cell = side / EX_SURFACE;
    ex_scale x = ex_scale_start(0, left + 78, left + 78 + side);
    ex_scale y = ex_scale_start(0, top + side, top);
    char colour[16], turned[120];
    int i, j;

    x.low = y.low = -s->reach;
    x.high = y.high = s->reach;
    ex__svg_ticks(file, &x, &y); /* below the colours, which cover its grid */
    for (i = 0; i < EX_SURFACE; i++)
        for (j = 0; j < EX_SURFACE; j++) {
            ex__heat_colour((log(loss[i][j]) - low) / (high > low ? high - low : 1), colour,
                            sizeof colour);
            fprintf(file,
                    "<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" fill=\"%s\" "
                    "shape-rendering=\"crispEdges\"/>\n",
                    x.from + i * cell, y.from - (j + 1) * cell, cell + 0.3, cell + 0.3, colour);
        }
    ex_svg_text(file, left + 78 + side / 2, top + side + 38, "text-anchor=\"middle\"",
                ex_direction_names[u]);
    snprintf(turned, sizeof turned, "text-anchor=\"middle\" transform=\"rotate(-90 %.1f %.1f)\"",
             left + 24, top + side / 2);
    ex_svg_text(file, left + 24, top + side / 2, turned, ex_direction_names[u + 1]);
}

/* The colour scale, labelled with losses. */
static inline void ex__heat_key(FILE *file, double left, double low, double high) {
    const double top = EX_SVG_HEAD + 36, side = 290.0;
    char colour[16], text[40];
    int i;

    for (i = 0; i < 50; i++) {
        ex__heat_colour((i + 0.5) / 50, colour, sizeof colour);
        fprintf(file, "<rect x=\"%.1f\" y=\"%.2f\" width=\"18\" height=\"%.2f\" fill=\"%s\"/>\n",
                left, top + side * (49 - i) / 50, side / 50 + 0.3, colour);
    }
    for (i = 0; i <= 4; i++) {
        snprintf(text, sizeof text, "%.3g", exp(low + (high - low) * i / 4));
        ex_svg_text(file, left + 24, top + side * (4 - i) / 4 + 4, "", text);
    }
    ex_svg_text(file, left, top - 10, "", "mean loss");
}

/* surface.svg and surface.csv: the loss over two planes through the weights. */
static inline int ex__surface_write(const ex_slices *s) {
    static double loss[2][EX_SURFACE][EX_SURFACE];
    const ex_spectra *spectra = s->spectra;
    ex_text path = {NULL, 0, 0};
    ex_csv csv;
    FILE *file;
    double low[2] = {HUGE_VAL, HUGE_VAL}, high[2] = {-HUGE_VAL, -HUGE_VAL};
    int p, i, j, status = ex__spectra_open(spectra, "surface", "plane,x,y,loss", &path, &csv);

    for (p = 0; status == 0 && p < 2; p++)
        for (i = 0; i < EX_SURFACE; i++) {
            for (j = 0; j < EX_SURFACE; j++) {
                const double a = s->reach * (2.0 * i / (EX_SURFACE - 1) - 1);
                const double b = s->reach * (2.0 * j / (EX_SURFACE - 1) - 1);
                const double value = ex__slices_loss(s, 2 * p, a, 2 * p + 1, b);

                loss[p][i][j] = value;
                ex_csv_text(&csv, p == 0 ? "eigenvectors" : "random");
                ex_csv_number(&csv, a);
                ex_csv_number(&csv, b);
                ex_csv_number(&csv, value);
                ex_csv_end_line(&csv);
                if (!(value > 0) || !(value < HUGE_VAL)) continue;
                low[p] = log(value) < low[p] ? log(value) : low[p];
                high[p] = log(value) > high[p] ? log(value) : high[p];
            }
        }
    ex__slices_restore(s);
    if (status == 0) status = ex_csv_close(&csv);
    ex_text_free(&path);
    if (status != 0) return status;
    memset(&path, 0, sizeof path);
    file = ex_svg_open(spectra->directory, "surface", 980, EX_SVG_HEAD + 390, &path);
    status = EX_FAILED;
    if (file != NULL) {
        ex_svg_head(file, "Loss over planes through the weights",
                    "The trained network is in the middle; colours are logarithmic, with a "
                    "separate scale for each plane");
        for (p = 0; p < 2; p++) {
            ex__heat_draw(file, s, 2 * p, loss[p], 490.0 * p, low[p], high[p]);
            ex__heat_key(file, 490.0 * p + 390, low[p], high[p]);
        }
        status = ex_svg_close(file, path.data);
    }
    ex_text_free(&path);
    return status;
}

/* Writes all figures. Weights are restored bit for bit. Returns 0 or, after a message, the exit
   status. */
static inline int ex_spectra_write(ex_spectra *s) {
    const double passes = EX_DIRECTIONS * EX_CURVE + 2 * EX_SURFACE * EX_SURFACE;
    const prun_objective *o = s->objective;
    ex_slices slices;
    int64_t i;
    int status = ex_directory(s->directory);

    s->bar->total = (double)((s->probes + 1) * s->steps) + 0.25 * passes;

    s->parameters = 0;
    for (i = 0; i < o->tensor_count; i++) s->parameters += prun_tensor_size(&o->tensors[i]);
    if (s->samples > o->samples) s->samples = o->samples;
    s->order = (int64_t *)ex_allocate((size_t)o->samples, sizeof *s->order);
    prun_random_permutation(s->seed, 999, o->samples, s->order);
    if (status == 0) status = ex__weights_write(s);
    if (status == 0) status = ex__hessian_write(s);
    memset(&slices, 0, sizeof slices);
    if (status == 0) status = ex__slices_make(s, &slices);
    if (status == 0) status = ex__curves_write(&slices);
    if (status == 0) status = ex__surface_write(&slices);
    free(slices.weights);
    free(s->order);
    s->order = NULL;
    return status;
}

#endif /* SPECTRA_H_INCLUDED */
