/* core/html_chart.c - line charts and bars as inline SVG, see html.h. */
#include "core/html.h"
#include <math.h>
#include <stdlib.h>

enum { WIDE = 660, SMALL = 320, HEIGHT = 280, SMALL_HEIGHT = 210, LEFT = 58, RIGHT = 14, TOP = 10, BOTTOM = 44 };

/* A value axis: data from low to high over pixels from a to b. */
struct axis {
    double low, high, a, b;
    bool logarithmic;
};
static double place(const struct axis *x, double v)
{
    double t;
    if (x->logarithmic)
        t = (log10(v) - log10(x->low)) / (log10(x->high) - log10(x->low));
    else
        t = (v - x->low) / (x->high - x->low);
    return x->a + t * (x->b - x->a);
}

static bool drawable(double v, bool logarithmic)
{
    return isfinite(v) && (!logarithmic || v > 0);
}

/* 1, 2 or 5 times a power of ten: the step that gives about n ticks. */
static double tick_step(double span, int n)
{
    double raw = span / n, power = pow(10, floor(log10(raw))), m = raw / power;
    return power * (m < 1.5 ? 1 : m < 3.5 ? 2 : m < 7.5 ? 5 : 10);
}

static void tick_label(char *to, size_t n, double v)
{
    double a = fabs(v);
    if (a >= 1e9)
        snprintf(to, n, "%gG", v / 1e9);
    else if (a >= 1e6)
        snprintf(to, n, "%gM", v / 1e6);
    else if (a >= 1e4)
        snprintf(to, n, "%gk", v / 1e3);
    else
        snprintf(to, n, "%.6g", a < 1e-12 ? 0.0 : v);
}

/* The next tick above v on a logarithmic axis: 1, 2, 5 while the axis has few decades, else powers of ten. */
static double log_tick_after(double v, bool fine)
{
    double power = pow(10, floor(log10(v) + 1e-9)), m = v / power;
    if (!fine)
        return 10 * power;
    return power * (m < 1.5 ? 2 : m < 3.5 ? 5 : 10);
}

static void tick(struct html *h, const struct axis *along, const struct axis *across, double v, bool vertical)
{
    char label[40];
    tick_label(label, sizeof(label), v);
    double p = place(along, v);
    if (vertical)
        fprintf(h->f,
                "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/><text x=\"%.1f\" y=\"%.1f\" "
                "text-anchor=\"end\">%s</text>\n",
                across->a, across->b, p, p, across->a - 6, p + 4, label);
    else
        fprintf(h->f,
                "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/><text x=\"%.1f\" y=\"%.1f\" "
                "text-anchor=\"middle\">%s</text>\n",
                p, p, across->a, across->a + 5, p, across->a + 19, label);
}

static void ticks(struct html *h, const struct axis *along, const struct axis *across, bool vertical, int n)
{
    if (along->logarithmic) {
        bool fine = log10(along->high / along->low) < 3;
        double v = pow(10, floor(log10(along->low) + 1e-9));
        for (; v <= along->high * (1 + 1e-9); v = log_tick_after(v, fine))
            if (v >= along->low * (1 - 1e-9))
                tick(h, along, across, v, vertical);
        return;
    }
    double step = tick_step(along->high - along->low, n);
    for (double i = ceil(along->low / step - 1e-9); i * step <= along->high + step * 1e-9; i++)
        tick(h, along, across, i * step, vertical);
}

/* Points of one line, at most one a pixel column: the mean of those that fall into it. */
static void polyline(struct html *h, const struct html_line *l, const double *y, const struct axis *ax, const struct axis *ay, bool faint)
{
    fprintf(h->f, "<polyline stroke=\"var(--c%d)\" stroke-width=\"%s\"%s points=\"", l->colour, faint ? "1" : "2",
            faint ? " opacity=\".35\"" : "");
    for (int64_t i = 0; i < l->n;) {
        double column = floor(place(ax, l->x[i])), sx = 0, sy = 0;
        int64_t k = 0;
        do { /* one at least: an x that has no place is in no column */
            if (!drawable(y[i], ay->logarithmic) || !drawable(l->x[i], ax->logarithmic))
                continue;
            sx += place(ax, l->x[i]);
            sy += place(ay, y[i]);
            k++;
        } while (++i < l->n && floor(place(ax, l->x[i])) == column);
        if (k)
            fprintf(h->f, "%.1f,%.1f ", sx / (double)k, sy / (double)k);
    }
    fputs("\"/>\n", h->f);
}

/* Exponential mean over about n values, corrected for its start (as Adam's), so that it begins at the first value. */
static double *smoothed(const struct html_line *l, int64_t n)
{
    double *y = xmalloc(((size_t)l->n + 1) * sizeof(*y)), decay = 1 - 1 / (double)n, sum = 0, weight = 0;
    for (int64_t i = 0; i < l->n; i++) {
        if (isfinite(l->y[i])) {
            sum = decay * sum + (1 - decay) * l->y[i];
            weight = decay * weight + (1 - decay);
        }
        y[i] = weight > 0 ? sum / weight : NAN;
    }
    return y;
}

static void legend(struct html *h, const struct html_chart *c)
{
    for (int i = 0; c->n_line > 1 && i < c->n_line; i++) {
        char colour[16];
        snprintf(colour, sizeof(colour), "c%d", c->line[i].colour);
        html_key(h, colour, c->line[i].name);
    }
}

static void axis_names(struct html *h, const struct html_chart *c, const struct axis *ax, const struct axis *ay)
{
    fprintf(h->f, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">", (ax->a + ax->b) / 2, ay->a + BOTTOM - 6);
    html_text(h, c->x_label);
    fputs("</text>\n", h->f);
    if (!c->y_label)
        return;
    fprintf(h->f, "<text transform=\"translate(12 %.1f) rotate(-90)\" text-anchor=\"middle\">", (ay->a + ay->b) / 2);
    html_text(h, c->y_label);
    fputs("</text>\n", h->f);
}

void html_chart(struct html *h, const struct html_chart *c)
{
    int width = c->small ? SMALL : WIDE, height = c->small ? SMALL_HEIGHT : HEIGHT;
    struct axis ax = {INFINITY, -INFINITY, LEFT, width - RIGHT, c->log_x}, ay = {INFINITY, -INFINITY, height - BOTTOM, TOP, c->log_y};
    for (int i = 0; i < c->n_line; i++)
        for (int64_t j = 0; j < c->line[i].n; j++) {
            double x = c->line[i].x[j], y = c->line[i].y[j];
            if (!drawable(y, c->log_y) || !drawable(x, c->log_x))
                continue;
            ax.low = fmin(ax.low, x);
            ax.high = fmax(ax.high, x);
            ay.low = fmin(ay.low, y);
            ay.high = fmax(ay.high, y);
        }
    fprintf(h->f, "<figure%s><figcaption>", c->small ? " class=\"small\"" : "");
    html_text(h, c->title);
    fputs("</figcaption>", h->f);
    if (ax.low > ax.high) {
        fputs("<p class=\"dim\">no values</p></figure>\n", h->f);
        return;
    }
    legend(h, c);
    if (c->zero && !c->log_y)
        ay.low = fmin(0, ay.low);
    if (ax.low == ax.high)
        ax.high = c->log_x ? 2 * ax.low : ax.low + 1;
    if (c->log_y) { /* some air, at least a factor of two */
        double middle = sqrt(ay.low * ay.high), least = ay.high / ay.low < 2 ? sqrt(2) : 1;
        ay.low = fmin(ay.low, middle / least) / 1.05;
        ay.high = fmax(ay.high, middle * least) * 1.05;
    } else {
        double span = ay.high - ay.low;
        ay.high += span > 0 ? 0.05 * span : ay.high != 0 ? fabs(ay.high) * 0.1 : 1;
        if (span == 0 && ay.low != 0)
            ay.low -= fabs(ay.low) * 0.1;
    }
    fprintf(h->f, "<svg viewBox=\"0 0 %d %d\" role=\"img\">\n", width, height);
    ticks(h, &ay, &ax, true, 5);
    ticks(h, &ax, &ay, false, c->small ? 4 : 8);
    for (int i = 0; i < c->n_line; i++) {
        const struct html_line *l = &c->line[i];
        polyline(h, l, l->y, &ax, &ay, c->smooth > 1);
        if (c->smooth > 1) {
            double *y = smoothed(l, c->smooth);
            polyline(h, l, y, &ax, &ay, false);
            free(y);
        }
    }
    axis_names(h, c, &ax, &ay);
    fputs("</svg></figure>\n", h->f);
}

void html_bars(struct html *h, const char *title, const char *mark_name, const struct html_bar *bar, int n)
{
    enum { ROW = 44, SCALE = 30 };
    bool marks = false;
    for (int i = 0; i < n; i++)
        marks = marks || bar[i].mark >= 0;
    fputs("<figure><figcaption>", h->f);
    html_text(h, title);
    fputs("</figcaption>", h->f);
    if (marks)
        html_key(h, "c1", mark_name);
    struct axis ax = {0, 1, 8, WIDE - 8 - 70, false}, ay = {0, 1, n * ROW + 4, 0, false};
    fprintf(h->f, "<svg viewBox=\"0 0 %d %d\" role=\"img\">\n", WIDE, n * ROW + SCALE);
    for (int p = 0; p <= 100; p += 20)
        fprintf(h->f,
                "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"0\" y2=\"%.1f\"/><text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">"
                "%d%%</text>\n",
                place(&ax, p / 100.0), place(&ax, p / 100.0), ay.a, p ? place(&ax, p / 100.0) : 16.0, ay.a + 18, p);
    for (int i = 0; i < n; i++) {
        const struct html_bar *b = &bar[i];
        double top = i * ROW + 20, x0 = place(&ax, 0), x1 = place(&ax, b->value), lo = place(&ax, b->low), hi = place(&ax, b->high);
        fprintf(h->f, "<text class=\"value\" x=\"%.1f\" y=\"%.1f\">", x0 + 2, top - 6);
        html_text(h, b->name);
        fprintf(h->f, "</text><rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"16\" rx=\"2\" fill=\"var(--c0)\" opacity=\".75\"/>\n", x0,
                top, x1 - x0);
        fprintf(h->f,
                "<path d=\"M%.1f %.1fH%.1fM%.1f %.1fv8M%.1f %.1fv8\" stroke=\"var(--fg)\" stroke-width=\"1.5\"/>"
                "<text class=\"value\" x=\"%.1f\" y=\"%.1f\">%.1f%%</text>\n",
                lo, top + 8, hi, lo, top + 4, hi, top + 4, fmax(hi, x1) + 8, top + 13, 100 * b->value);
        if (b->mark >= 0)
            fprintf(h->f, "<path d=\"M%.1f %.1fv24\" stroke=\"var(--c1)\" stroke-width=\"3\" stroke-dasharray=\"5 3\"/>\n",
                    place(&ax, b->mark), top - 4);
    }
    fputs("</svg></figure>\n", h->f);
}
