/* figure.h - figures as SVG files: axes, series with bands, legends */
#ifndef FIGURE_H_INCLUDED
#define FIGURE_H_INCLUDED

#include "files.h"

static const char *const ex_palette[8] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                          "#e69f00", "#56b4e9", "#8c6d46", "#666666"};

/* Writes a text element. */
static inline void ex_svg_text(FILE *file, double x, double y, const char *attributes,
                               const char *text) {
    fprintf(file, "<text x=\"%.1f\" y=\"%.1f\" %s>", x, y, attributes);
    for (; *text != '\0'; text++) {
        if (*text == '<') fputs("&lt;", file);
        else if (*text == '&') fputs("&amp;", file);
        else if ((unsigned char)*text >= 0x20) fputc(*text, file);
    }
    fputs("</text>\n", file);
}

/* Opens a new figure, directory/name.svg; NULL after a message. Close with ex_svg_close. */
static inline FILE *ex_svg_open(const char *directory, const char *name, double width,
                                double height, ex_text *path) {
    FILE *file;

    ex_path(path, directory, name, "svg");
    file = ex_open(path->data);
    if (file == NULL) return NULL;
    fprintf(file,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" "
            "viewBox=\"0 0 %.0f %.0f\" font-family=\"Helvetica, Arial, sans-serif\" "
            "font-size=\"13\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
            width, height, width, height);
    return file;
}

static inline int ex_svg_close(FILE *file, const char *path) {
    fputs("</svg>\n", file);
    return ex_close(file, path);
}

/* An axis: maps values low .. high to positions from .. to. */
typedef struct ex_scale {
    double low, high, from, to;
    int logarithmic;
} ex_scale;

/* Widens low .. high to include the values; on a logarithmic axis only those above 0. */
static inline void ex_scale_cover(ex_scale *scale, const double *values, int64_t n) {
    int64_t i;

    for (i = 0; i < n; i++) {
        if (!(fabs(values[i]) <= 1e300) || (scale->logarithmic && !(values[i] > 0))) continue;
        scale->low = !(scale->low <= values[i]) ? values[i] : scale->low;
        scale->high = !(scale->high >= values[i]) ? values[i] : scale->high;
    }
}

/* An axis without values yet. */
static inline ex_scale ex_scale_start(int logarithmic, double from, double to) {
    ex_scale scale;

    scale.low = scale.high = (double)NAN;
    scale.from = from;
    scale.to = to;
    scale.logarithmic = logarithmic;
    return scale;
}

/* Adds some room at both ends, and makes an axis with no value or a single one drawable. */
static inline void ex_scale_finish(ex_scale *scale) {
    if (!(scale->low <= scale->high)) scale->low = scale->high = scale->logarithmic ? 1 : 0;
    if (scale->logarithmic) {
        const double room = scale->high > scale->low ? pow(scale->high / scale->low, 0.05) : 2;

        scale->low /= room;
        scale->high *= room;
    } else {
        double room = scale->high - scale->low;

        if (!(room > 1e-12 * fabs(scale->high))) room = fabs(scale->low) > 0 ? fabs(scale->low) : 1;
        scale->low -= 0.05 * room;
        scale->high += 0.05 * room;
    }
}

/* Position of a value, clamped to the ends of the axis. */
static inline double ex_place(const ex_scale *s, double value) {
    double part;

    if (s->logarithmic) part = value > 0 ? log(value / s->low) / log(s->high / s->low) : 0;
    else part = (value - s->low) / (s->high - s->low);
    part = part < 0 ? 0 : part > 1 ? 1 : part;
    return s->from + part * (s->to - s->from);
}

/* Ticks of an axis, at most `room`: multiples of a round step or, on a logarithmic axis, 1, 2 and 5
   times powers of ten, or only powers of ten over many decades. Returns their number. */
static inline int ex__ticks(const ex_scale *s, double *ticks, int room) {
    static const double digits[3] = {1, 2, 5};
    const double decades = s->logarithmic ? log10(s->high) - log10(s->low) : 0;
    int count = 0, k;

    if (s->logarithmic && decades > 0.8) {
        const int every = decades > 3 ? 3 : 1;
        const double stride = every == 3 ? ceil(decades / 8) : 1;
        double power;

        for (power = floor(log10(s->low)); power <= log10(s->high); power += stride)
            for (k = 0; k < 3 && count < room; k += every) {
                ticks[count] = digits[k] * pow(10, power);
                count += ticks[count] >= s->low && ticks[count] <= s->high;
            }
    } else {
        const double raw = (s->high - s->low) / 5, unit = pow(10, floor(log10(raw)));
        const double step = raw / unit < 1.5   ? unit
                            : raw / unit < 3.5 ? 2 * unit
                            : raw / unit < 7.5 ? 5 * unit
                                               : 10 * unit;
        double v;

        for (v = ceil(s->low / step) * step; v <= s->high && count < room; v += step)
            ticks[count++] = fabs(v) < step / 2 ? 0.0 : v;
    }
    return count;
}

/* Long numbers would overlap the axis label, so 200000 is 2e5. */
static inline void ex__tick_text(double v, char *text, size_t size) {
    const int power = fabs(v) >= 1e5 ? (int)floor(log10(fabs(v)) + 1e-9) : 0;

    if (power > 0) snprintf(text, size, "%.6ge%d", v / pow(10, power), power);
    else snprintf(text, size, "%.6g", v);
}

/* Draws grid, numbers and frame. */
static inline void ex__svg_ticks(FILE *file, const ex_scale *x, const ex_scale *y) {
    double ticks[40];
    char text[40];
    int i, n = ex__ticks(x, ticks, 40);

    for (i = 0; i < n; i++) {
        fprintf(file, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"#ddd\"/>\n",
                ex_place(x, ticks[i]), y->from, ex_place(x, ticks[i]), y->to);
        ex__tick_text(ticks[i], text, sizeof text);
        ex_svg_text(file, ex_place(x, ticks[i]), y->from + 18, "text-anchor=\"middle\"", text);
    }
    n = ex__ticks(y, ticks, 40);
    for (i = 0; i < n; i++) {
        fprintf(file, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"#ddd\"/>\n",
                x->from, ex_place(y, ticks[i]), x->to, ex_place(y, ticks[i]));
        ex__tick_text(ticks[i], text, sizeof text);
        ex_svg_text(file, x->from - 8, ex_place(y, ticks[i]) + 4, "text-anchor=\"end\"", text);
    }
    fprintf(file,
            "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"none\" "
            "stroke=\"#444\"/>\n",
            x->from, y->to, x->to - x->from, y->from - y->to);
}

/* A series of n points, optionally joined by a line, with a band or bars from y - error to
   y + error. Points that are not finite are left out and interrupt the line. */
typedef struct ex_series {
    const char *name; /* for the legend; NULL: not in it */
    const double *x, *y;
    const double *error; /* or NULL */
    int64_t n;
    int line, dashed; /* 1: joined, and how */
    int colour;       /* index into ex_palette, modulo 8 */
} ex_series;

typedef struct ex_plot {
    const char *title, *x_label, *y_label; /* labels with units */
    int log_x, log_y;
    const ex_series *series;
    int count;
    double mark_x;         /* a vertical line here, if mark_text is set */
    const char *mark_text; /* or NULL */
} ex_plot;

static inline int ex__drawable(const ex_plot *plot, const ex_series *s, int64_t i) {
    /* the limits leave room for the margins of a logarithmic scale */
    return fabs(s->x[i]) <= 1e250 && fabs(s->y[i]) <= 1e250 && (!plot->log_x || s->x[i] > 1e-250) &&
           (!plot->log_y || s->y[i] > 1e-250);
}

/* A band per run of drawable points; bars where there is no line. */
static inline void ex__svg_band(FILE *file, const ex_plot *plot, const ex_series *s,
                                const ex_scale *x, const ex_scale *y) {
    const char *colour = ex_palette[s->colour % 8];
    int64_t i, k, end;

    for (i = 0; i < s->n; i = end + 1) {
        for (end = i; end < s->n && ex__drawable(plot, s, end) && s->error[end] >= 0; end++)
            if (!s->line)
                fprintf(file, "<path d=\"M%.1f %.1fV%.1f\" stroke=\"%s\" fill=\"none\"/>\n",
                        ex_place(x, s->x[end]), ex_place(y, s->y[end] - s->error[end]),
                        ex_place(y, s->y[end] + s->error[end]), colour);
        if (!s->line || end - i < 2) continue;
        fputs("<path d=\"", file);
        for (k = i; k < end; k++)
            fprintf(file, "%c%.1f %.1f", k == i ? 'M' : 'L', ex_place(x, s->x[k]),
                    ex_place(y, s->y[k] + s->error[k]));
        for (k = end; k-- > i;)
            fprintf(file, "L%.1f %.1f", ex_place(x, s->x[k]), ex_place(y, s->y[k] - s->error[k]));
        fprintf(file, "Z\" fill=\"%s\" fill-opacity=\"0.2\"/>\n", colour);
    }
}

static inline void ex__svg_series(FILE *file, const ex_plot *plot, const ex_series *s,
                                  const ex_scale *x, const ex_scale *y) {
    const char *colour = ex_palette[s->colour % 8];
    int64_t i;
    int open = 0;

    if (s->error != NULL) ex__svg_band(file, plot, s, x, y);
    for (i = 0; s->line && i <= s->n; i++) {
        const int drawn = i < s->n && ex__drawable(plot, s, i);

        if (drawn)
            fprintf(file, "%s%.1f %.1f", open ? "L" : "<path d=\"M", ex_place(x, s->x[i]),
                    ex_place(y, s->y[i]));
        else if (open)
            fprintf(file, "\" stroke=\"%s\" stroke-width=\"1.8\"%s fill=\"none\"/>\n", colour,
                    s->dashed ? " stroke-dasharray=\"6 4\"" : "");
        open = drawn;
    }
    for (i = 0; i < s->n; i++)
        if (ex__drawable(plot, s, i))
            fprintf(file, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%s\" fill=\"%s\"%s/>\n",
                    ex_place(x, s->x[i]), ex_place(y, s->y[i]), s->line ? "2.2" : "4", colour,
                    s->line ? "" : " fill-opacity=\"0.75\"");
}

static inline void ex__svg_legend(FILE *file, const ex_plot *plot, double left, double top) {
    int k;

    for (k = 0; k < plot->count; k++) {
        const ex_series *s = &plot->series[k];
        const char *colour = ex_palette[s->colour % 8];

        if (s->name == NULL) continue;
        if (s->line)
            fprintf(file, "<path d=\"M%.1f %.1fh20\" stroke=\"%s\" stroke-width=\"2\"%s/>\n", left,
                    top, colour, s->dashed ? " stroke-dasharray=\"6 4\"" : "");
        else
            fprintf(file,
                    "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"%s\" "
                    "fill-opacity=\"0.75\"/>\n",
                    left + 10, top, colour);
        ex_svg_text(file, left + 26, top + 4, "", s->name);
        top += 20;
    }
}

/* Width of the legend at the right, estimated from its longest text. */
static inline double ex__legend_width(const ex_plot *plot) {
    size_t longest = 0;
    int k;

    for (k = 0; k < plot->count; k++)
        if (plot->series[k].name != NULL && strlen(plot->series[k].name) > longest)
            longest = strlen(plot->series[k].name);
    return longest > 0 ? 40 + 7.2 * (double)longest : 0;
}

/* Draws a plot and its labels into a box. */
static inline void ex__plot_draw_axes(FILE *file, const ex_plot *plot, double left, double top,
                                      double width, double height) {
    const double bottom = top + height;
    ex_scale x = ex_scale_start(plot->log_x, left + 78, left + width - 16);
    ex_scale y = ex_scale_start(plot->log_y, bottom - 50, top + 36);
    char turned[120];
    int k;

    for (k = 0; k < plot->count; k++) {
        const ex_series *s = &plot->series[k];
        int64_t i;

        ex_scale_cover(&x, s->x, s->n);
        ex_scale_cover(&y, s->y, s->n);
        for (i = 0; s->error != NULL && i < s->n; i++) {
            const double ends[2] = {s->y[i] - s->error[i], s->y[i] + s->error[i]};

            ex_scale_cover(&y, ends, 2);
        }
    }
    ex_scale_finish(&x);
    ex_scale_finish(&y);
    ex__svg_ticks(file, &x, &y);
    if (plot->title != NULL) ex_svg_text(file, x.from, top + 22, "font-size=\"14\"", plot->title);
    ex_svg_text(file, (x.from + x.to) / 2, bottom - 12, "text-anchor=\"middle\" font-size=\"14\"",
                plot->x_label);
    snprintf(turned, sizeof turned,
             "text-anchor=\"middle\" font-size=\"14\" transform=\"rotate(-90 %.1f %.1f)\"",
             left + 18, (y.from + y.to) / 2);
    ex_svg_text(file, left + 18, (y.from + y.to) / 2, turned, plot->y_label);
    if (plot->mark_text != NULL) {
        const double at = ex_place(&x, plot->mark_x);

        fprintf(file, "<path d=\"M%.1f %.1fV%.1f\" stroke=\"#888\" stroke-dasharray=\"3 3\"/>\n",
                at, y.from, y.to);
        ex_svg_text(file, at + (at > (x.from + x.to) / 2 ? -5 : 5), y.to + 14,
                    at > (x.from + x.to) / 2 ? "text-anchor=\"end\" font-size=\"11\""
                                             : "font-size=\"11\"",
                    plot->mark_text);
    }
    for (k = 0; k < plot->count; k++) ex__svg_series(file, plot, &plot->series[k], &x, &y);
}

/* Draws a plot into a box, including its labels and legend. */
static inline void ex_plot_draw(FILE *file, const ex_plot *plot, double left, double top,
                                double width, double height) {
    const double legend = ex__legend_width(plot);

    ex__plot_draw_axes(file, plot, left, top, width - legend, height);
    ex__svg_legend(file, plot, left + width - legend, top + 50);
}

/* Two lines at the top of a figure, whose plots then begin EX_SVG_HEAD below it. */
#define EX_SVG_HEAD 48.0

static inline void ex_svg_head(FILE *file, const char *first, const char *second) {
    ex_svg_text(file, 18, 22, "font-size=\"14\"", first);
    ex_svg_text(file, 18, 42, "font-size=\"12\" fill=\"#555\"", second);
}

/* Whether plots before the last have a legend of their own. */
static inline int ex__has_legends(const ex_plot *plots, int count) {
    int i, legends = 0;

    for (i = 0; i + 1 < count; i++) legends += ex__legend_width(&plots[i]) > 0;
    return legends > 0;
}

/* Writes a figure of plots, `across` in a row, under two heading lines (both NULL: none). If the
   last row has an empty box and earlier plots have no legends, it holds a common legend. */
static inline int ex_plots_write(const char *directory, const char *name, const char *first,
                                 const char *second, const ex_plot *plots, int count, int across,
                                 double width, double height) {
    const double head = first != NULL ? EX_SVG_HEAD : 0;
    const int rows = (count + across - 1) / across;
    const int common = count % across != 0 && !ex__has_legends(plots, count);
    const double last = head + height * (rows - 1);
    ex_text path = {NULL, 0, 0};
    FILE *file = ex_svg_open(directory, name, width * across, head + height * rows, &path);
    int i, status = EX_FAILED;

    if (file != NULL) {
        if (first != NULL) ex_svg_head(file, first, second);
        for (i = 0; i < count; i++)
            (common ? ex__plot_draw_axes : ex_plot_draw)(
                file, &plots[i], width * (i % across), head + height * (i / across), width, height);
        if (common)
            ex__svg_legend(file, &plots[count - 1], width * (count % across) + 24, last + 50);
        status = ex_svg_close(file, path.data);
    }
    ex_text_free(&path);
    return status;
}

#endif /* FIGURE_H_INCLUDED */
