/* core/html_plot.c - histograms and grids of squares as inline SVG, see html.h. */
#include "core/html.h"
#include <math.h>
#include <stdlib.h>

static void key_line(struct html *h, const struct html_kind *kind, int n)
{
    for (int i = 0; i < n; i++)
        html_key(h, kind[i].colour, kind[i].name);
}

/* A round width of bins, 1, 2 or 5 times a power of ten and at least 1, that cuts 0 .. top into at most n. */
static double bin_width(double top, int n)
{
    double width = 1;
    for (int i = 0; top / width >= n; i++)
        width *= i % 3 == 1 ? 2.5 : 2;
    return width;
}

void html_histogram(struct html *h, const char *title, const char *x_label, const struct html_kind *kind, int n_kind,
                    const struct html_square *at, int64_t n)
{
    enum { BINS = 40, WIDTH = 660, HEIGHT = 220, LEFT = 50, TOP = 8, BOTTOM = 42 };
    double top = 0, most = 0;
    for (int64_t i = 0; i < n; i++)
        top = fmax(top, at[i].value);
    double width = bin_width(top, BINS), scale = WIDTH - LEFT - 24;
    int bins = (int)(top / width) + 1;
    int64_t *count = xcalloc((size_t)(bins * n_kind), sizeof(*count));
    for (int64_t i = 0; i < n; i++)
        if (at[i].value >= 0)
            count[(int)(at[i].value / width) * n_kind + at[i].kind]++;
    for (int b = 0; b < bins; b++) {
        double sum = 0;
        for (int k = 0; k < n_kind; k++)
            sum += (double)count[b * n_kind + k];
        most = fmax(most, sum);
    }
    fputs("<figure><figcaption>", h->f);
    html_text(h, title);
    fputs("</figcaption>", h->f);
    key_line(h, kind, n_kind);
    fprintf(h->f, "<svg viewBox=\"0 0 %d %d\" role=\"img\">\n", WIDTH, HEIGHT);
    double bar = scale / bins, floor_y = HEIGHT - BOTTOM, high = floor_y - TOP, lines = bin_width(most, 6);
    for (double v = 0; v <= most; v += lines)
        fprintf(h->f,
                "<line class=\"grid\" x1=\"%d\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/><text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.0f"
                "</text>\n",
                LEFT, LEFT + scale, floor_y - v / fmax(most, 1) * high, floor_y - v / fmax(most, 1) * high, LEFT - 6,
                floor_y - v / fmax(most, 1) * high + 4, v);
    for (int b = 0; b < bins; b++) {
        double y = floor_y;
        for (int k = 0; k < n_kind; k++) {
            double tall = (double)count[b * n_kind + k] / fmax(most, 1) * high;
            if (tall <= 0)
                continue;
            y -= tall;
            fprintf(h->f, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"var(--%s)\"><title>%.0f to %.0f: %lld ",
                    LEFT + b * bar, y, fmax(bar - 1, 0.5), tall, kind[k].colour, b * width, (b + 1) * width,
                    (long long)count[b * n_kind + k]);
            html_text(h, kind[k].name);
            fputs("</title></rect>\n", h->f);
        }
    }
    double ticks = bin_width(bins * width, 9);
    for (double v = 0; v <= bins * width; v += ticks)
        fprintf(h->f, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%.0f</text>\n", LEFT + v / width * bar, floor_y + 16, v);
    fprintf(h->f, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">", LEFT + scale / 2, HEIGHT - 6);
    html_text(h, x_label);
    fputs("</text></svg></figure>\n", h->f);
    free(count);
}

void html_grid(struct html *h, const char *title, const struct html_kind *kind, int n_kind, const struct html_square *at, int64_t n,
               int64_t columns, const char *const *row_name)
{
    enum { CELL = 12, NAMES = 150 };
    int left = row_name ? NAMES : 0;
    int64_t rows = (n + columns - 1) / columns, width = left + columns * CELL;
    fputs("<figure class=\"small\"><figcaption>", h->f);
    html_text(h, title);
    fputs("</figcaption>", h->f);
    key_line(h, kind, n_kind);
    fprintf(h->f, "<svg viewBox=\"0 0 %lld %lld\" style=\"width:%lldpx\" role=\"img\">\n", (long long)width, (long long)rows * CELL,
            (long long)width);
    for (int64_t i = 0; row_name && i < rows; i++) {
        fprintf(h->f, "<text x=\"%d\" y=\"%lld\" text-anchor=\"end\" style=\"font-size:10px\">", NAMES - 6, (long long)i * CELL + 10);
        html_text(h, row_name[i]);
        fputs("</text>\n", h->f);
    }
    for (int64_t i = 0; i < n; i++) {
        if (at[i].link)
            fprintf(h->f, "<a href=\"#%s\">", at[i].link);
        fprintf(h->f, "<rect x=\"%lld\" y=\"%lld\" width=\"%d\" height=\"%d\" rx=\"2\" fill=\"var(--%s)\"><title>",
                (long long)(left + i % columns * CELL), (long long)(i / columns * CELL), CELL - 2, CELL - 2, kind[at[i].kind].colour);
        html_text(h, at[i].hint ? at[i].hint : kind[at[i].kind].name);
        fputs(at[i].link ? "</title></rect></a>\n" : "</title></rect>\n", h->f);
    }
    fputs("</svg></figure>\n", h->f);
}
