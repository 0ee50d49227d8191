/* infer/score/compare_runs.c - two training runs side by side, see compare.h. */
#include "infer/score/compare.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A run's phases end to end. */
static double *joined(const struct curves *run, enum curve_value value, int64_t *n)
{
    *n = 0;
    for (int i = 0; i < run->n; i++)
        *n += run->phase[i].n;
    double *all = xmalloc((size_t)*n * sizeof(*all)), *to = all;
    for (int i = 0; i < run->n; i++) {
        memcpy(to, run->phase[i].v[value], (size_t)run->phase[i].n * sizeof(*to));
        to += run->phase[i].n;
    }
    return all;
}

static void overlay(struct html *h, const struct curves run[2], const char *const label[2], enum curve_value x, const char *x_label)
{
    struct html_line line[2];
    double *xs[2], *ys[2];
    int64_t longest = 0;
    for (int k = 0; k < 2; k++) {
        int64_t n;
        xs[k] = joined(&run[k], x, &n);
        ys[k] = joined(&run[k], LOSS, &n);
        line[k] = (struct html_line){label[k], xs[k], ys[k], n, k};
        longest = n > longest ? n : longest;
    }
    char *title = xprintf("Loss by %s (faint: each step)", x_label);
    html_chart(h, &(struct html_chart){.title = title,
                                       .x_label = x_label,
                                       .y_label = "nats a token",
                                       .log_y = true,
                                       .smooth = 1 + longest / 60,
                                       .line = line,
                                       .n_line = 2});
    free(title);
    for (int k = 0; k < 2; k++) {
        free(xs[k]);
        free(ys[k]);
    }
}

/* One line of the table for each phase of each run; cell is NULL after the last. */
enum { COLUMNS = 7 };
static const char *const headings[COLUMNS + 1] = {
    "run", "phase", "steps", "tokens so far", "loss, first", "loss, last tenth", "tokens/s, median", NULL};

static void phase_cells(char *cell[COLUMNS], const char *label, const struct phase *p)
{
    cell[0] = xstrdup(label);
    cell[1] = xstrdup(p->name);
    cell[2] = xprintf("%lld", (long long)p->n);
    cell[3] = xprintf("%.0f", p->v[TOKENS][p->n - 1]);
    cell[4] = xprintf("%.4f", p->v[LOSS][0]);
    cell[5] = xprintf("%.4f", curves_last_loss(p));
    cell[6] = xprintf("%.0f", curves_median(p, SPEED));
}

static void each_phase(const struct curves run[2], const char *const label[2], void (*fn)(void *to, char *cell[COLUMNS]), void *to)
{
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < run[k].n; i++) {
            char *cell[COLUMNS];
            phase_cells(cell, label[k], &run[k].phase[i]);
            fn(to, cell);
            for (int j = 0; j < COLUMNS; j++)
                free(cell[j]);
        }
}

struct sheet {
    FILE *to;
    int width[COLUMNS];
};

static void measure(void *to, char *cell[COLUMNS])
{
    struct sheet *s = to;
    for (int j = 0; j < COLUMNS; j++)
        s->width[j] = (int)strlen(cell[j]) > s->width[j] ? (int)strlen(cell[j]) : s->width[j];
}

static void print(void *to, char *cell[COLUMNS])
{
    struct sheet *s = to;
    for (int j = 0; j < COLUMNS; j++)
        fprintf(s->to, j < 2 ? "%s%-*s" : "%s%*s", j ? "  " : "", s->width[j], cell[j]);
    fputc('\n', s->to);
}

void runs_text(FILE *to, const struct curves run[2], const char *const label[2])
{
    struct sheet s = {.to = to};
    measure(&s, (char **)headings);
    each_phase(run, label, measure, &s);
    print(&s, (char **)headings);
    each_phase(run, label, print, &s);
}

static void row(void *to, char *cell[COLUMNS])
{
    html_row(to);
    for (int j = 0; j < COLUMNS; j++)
        html_cell(to, j < 2 ? NULL : "num", "%s", cell[j]);
}

void runs_html(struct html *h, const struct curves run[2], const char *const label[2])
{
    html_element(h, "h2", NULL, "Training");
    overlay(h, run, label, TOKENS, "tokens");
    overlay(h, run, label, STEP, "step");
    html_table_begin(h, headings);
    each_phase(run, label, row, h);
    html_table_end(h);
}
