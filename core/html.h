/* core/html.h - a self-contained HTML page: escaping, tables, folded text, charts as inline SVG; light and dark, wide and narrow screens.
 *
 * No scripts, fonts or images from anywhere: a page is one file that can be mailed. Colours are CSS variables, so that a chart follows
 * the reader's light or dark setting.
 */
#ifndef CORE_HTML_H
#define CORE_HTML_H
#include "core/err.h"
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#ifdef __cplusplus
extern "C" {
#endif

struct html {
    FILE *f; /* memory; markup that is known to be safe may be printed to it */
    char *text;
    size_t n;
};
void html_begin(struct html *h, const char *title);
/* Closes the page and writes it (whole or not at all). Frees h either way. */
bool html_finish(struct html *h, const char *path, struct err *e);
/* Frees h without writing. */
void html_abort(struct html *h);
/* Text with & < > " ' escaped; control characters that HTML forbids become U+FFFD. */
void html_text(struct html *h, const char *s);
/* <tag class=class>text</tag>; class may be NULL. */
void html_element(struct html *h, const char *tag, const char *class_name, const char *text);

/* A table: begin with its headings (NULL-ended), row(), cells, end. Wide ones scroll in their own box. */
void html_table_begin(struct html *h, const char *const *headings);
void html_row(struct html *h);
/* class "num" aligns right, "good" and "bad" colour. */
void html_cell(struct html *h, const char *class_name, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void html_table_end(struct html *h);

/* Text that unfolds when its summary is touched. */
void html_fold(struct html *h, const char *summary, const char *text);

/* A line of a legend: a dash of a colour ("c0" .. "c5", "good", ...), and its name. */
void html_key(struct html *h, const char *colour, const char *name);

struct html_line {
    const char *name; /* in the legend */
    const double *x, *y;
    int64_t n;
    int colour; /* 0..5 */
};
struct html_chart {
    const char *title, *x_label, *y_label; /* y_label NULL: the title says it */
    bool log_x, log_y;                     /* values <= 0 are left out */
    bool zero;                             /* a linear axis starts at 0 */
    bool small;                            /* half as wide */
    int64_t smooth;                        /* > 1: the values faint, and over them an exponential mean over about so many */
    const struct html_line *line;
    int n_line;
};
/* Lines of more points than pixels are thinned to the mean of each pixel's points. Not-finite values are left out. */
void html_chart(struct html *h, const struct html_chart *c);

struct html_bar {
    const char *name;
    double value, low, high; /* shares of one; low..high is drawn as a whisker */
    double mark;             /* a second, dashed mark (a baseline); below 0: none */
};
void html_bars(struct html *h, const char *title, const char *mark_name, const struct html_bar *bar, int n);

/* Things of a few kinds, each kind with a colour: "good", "bad", "dim", "line", "c0" .. "c5". */
struct html_kind {
    const char *name, *colour;
};
struct html_square {
    int kind;
    double value;     /* of a histogram; below 0: left out */
    const char *hint; /* of a grid: shown when it is pointed at; NULL: the kind's name */
    const char *link; /* of a grid: the id of an element of the page; NULL: none */
};
/* How many things have which value, bars of the kinds on top of each other. Values are counts: bins are whole numbers wide. */
void html_histogram(struct html *h, const char *title, const char *x_label, const struct html_kind *kind, int n_kind,
                    const struct html_square *at, int64_t n);
/* n squares in rows of so many columns; row_name (NULL: none) names each row. */
void html_grid(struct html *h, const char *title, const struct html_kind *kind, int n_kind, const struct html_square *at, int64_t n,
               int64_t columns, const char *const *row_name);

#ifdef __cplusplus
}
#endif
#endif
