/* The page writer: what it escapes, that a page is whole and self-contained, that charts place points where they belong. */
#include "core/html.h"
#include "core/file.h"
#include "tests/test.h"
#include <unistd.h>

static const char path[] = "/tmp/test_html_page.html";

static char *finish(struct html *h)
{
    struct err e = {""};
    check_msg(html_finish(h, path, &e), "%s", e.msg);
    size_t n;
    char *page = file_read(path, 1 << 24, &n, &e);
    check_msg(page && strlen(page) == n, "%s", e.msg);
    unlink(path);
    return page;
}

static int count(const char *text, const char *words)
{
    int n = 0;
    for (const char *p = text; (p = strstr(p, words)); p += strlen(words))
        n++;
    return n;
}

static void text_is_escaped(void)
{
    struct html h;
    html_begin(&h, "a<b & \"c\"");
    html_element(&h, "p", NULL, "<script>alert('x')</script>\x01\x1b[0m");
    html_fold(&h, "a&b", "</pre><b>");
    static const char *const headings[] = {"<i>", NULL};
    html_table_begin(&h, headings);
    html_row(&h);
    html_cell(&h, "num", "%s", "1<2");
    html_table_end(&h);
    char *page = finish(&h);
    check_has(page, "<title>a&lt;b &amp; &quot;c&quot;</title>");
    check_has(page, "<p>&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;\xEF\xBF\xBD\xEF\xBF\xBD[0m</p>");
    check_has(page, "<summary>a&amp;b</summary><pre>&lt;/pre&gt;&lt;b&gt;</pre>");
    check_has(page, "<th>&lt;i&gt;</th></tr>\n<tr><td class=\"num\">1&lt;2</td></tr></table>");
    check_int(count(page, "<script"), 0);
    check_int(count(page, "<i>"), 0);
    free(page);
}

static void a_page_needs_nothing_else(void)
{
    struct html h;
    html_begin(&h, "t");
    double x[] = {1, 2}, y[] = {3, 4};
    struct html_line line = {"l", x, y, 2, 0};
    html_chart(&h, &(struct html_chart){.title = "c", .x_label = "x", .y_label = "y", .line = &line, .n_line = 1});
    char *page = finish(&h);
    check(strncmp(page, "<!DOCTYPE html>", 15) == 0);
    check_str(page + strlen(page) - 15, "</body></html>\n");
    check_has(page, "name=\"viewport\"");
    check_has(page, "prefers-color-scheme:dark");
    check_int(count(page, "http"), 0);
    check_int(count(page, "url("), 0);
    check_int(count(page, " src="), 0);
    free(page);
}

/* Points of the n-th polyline. */
static int points(const char *page, int nth, double *x, double *y, int room)
{
    const char *p = page;
    for (int i = 0; i <= nth; i++) {
        p = strstr(p, "points=\"");
        if (!p)
            return -1;
        p += 8;
    }
    int n = 0, used;
    while (n < room && sscanf(p, "%lf,%lf %n", &x[n], &y[n], &used) == 2) {
        p += used;
        n++;
    }
    return n;
}

static void a_line_keeps_its_proportions(void)
{
    struct html h;
    html_begin(&h, "t");
    double x[] = {0, 10, 20, 30, 40}, y[] = {1, 10, NAN, 100, 1000}, px[8], py[8];
    struct html_line line = {"l", x, y, 5, 2};
    html_chart(&h, &(struct html_chart){.title = "log", .x_label = "x", .log_y = true, .line = &line, .n_line = 1});
    html_chart(&h, &(struct html_chart){.title = "linear", .x_label = "x", .zero = true, .line = &line, .n_line = 1});
    char *page = finish(&h);
    check_int(points(page, 0, px, py, 8), 4); /* the NAN is left out */
    for (int i = 1; i < 4; i++)               /* equal factors are equal distances */
        check_msg(fabs((py[i - 1] - py[i]) - (py[0] - py[3]) / 3) < 0.11, "%g %g %g %g", py[0], py[1], py[2], py[3]);
    check_msg(fabs((px[1] - px[0]) * 2 - (px[2] - px[1])) < 0.21, "%g %g %g", px[0], px[1], px[2]);
    check_int(points(page, 1, px, py, 8), 4);
    check_msg(fabs((py[0] - py[1]) / (py[0] - py[3]) - 9.0 / 999) < 1e-3, "%g %g %g", py[0], py[1], py[3]);
    check_has(page, ">1000</text>");
    check_has(page, "var(--c2)");
    check_int(count(page, "nan"), 0);
    check_int(count(page, "inf"), 0);
    free(page);
}

static void awkward_values_draw_too(void)
{
    struct html h;
    html_begin(&h, "t");
    double x[] = {5, 5}, y[] = {2, 2}, none[] = {NAN, -1};
    struct html_line flat = {"flat", x, y, 2, 0}, empty = {"empty", x, none, 2, 1}, nothing = {"nothing", NULL, NULL, 0, 1};
    struct html_line two[] = {flat, nothing};
    html_chart(&h, &(struct html_chart){.title = "flat", .x_label = "x", .line = two, .n_line = 2, .smooth = 5});
    html_chart(&h, &(struct html_chart){.title = "flat", .x_label = "x", .log_y = true, .line = &flat, .n_line = 1});
    html_chart(&h, &(struct html_chart){.title = "none", .x_label = "x", .log_y = true, .line = &empty, .n_line = 1});
    double places[] = {1, NAN, -1, 10}, heights[] = {1, 2, 3, 4}, px[4], py[4];
    struct html_line holes = {"holes", places, heights, 4, 0};
    html_chart(&h, &(struct html_chart){.title = "holes", .x_label = "x", .log_x = true, .line = &holes, .n_line = 1});
    char *page = finish(&h);
    check_int(points(page, count(page, "<polyline") - 1, px, py, 4), 2); /* what has no place on the axis is left out */
    check_int(count(page, "no values"), 1);
    check_int(count(page, "nan"), 0);
    check_int(count(page, "inf"), 0);
    free(page);
}

/* A million points stay a small page, and the smoothed line lies on a constant. */
static void long_lines_are_thinned(void)
{
    enum { N = 1000000 };
    double *x = malloc(N * sizeof(*x)), *y = malloc(N * sizeof(*y));
    for (int i = 0; i < N; i++) {
        x[i] = i;
        y[i] = i % 2 ? 1 : 3;
    }
    struct html h;
    html_begin(&h, "t");
    struct html_line line = {"l", x, y, N, 0};
    html_chart(&h, &(struct html_chart){.title = "c", .x_label = "x", .zero = true, .smooth = 1000, .line = &line, .n_line = 1});
    char *page = finish(&h);
    check_msg(strlen(page) < 60000, "%zu bytes", strlen(page));
    static double px[2000], py[2000];
    int n = points(page, 0, px, py, 2000);
    check_msg(n > 300 && n < 700, "%d points", n);
    for (int i = 1; i < n - 1; i++) /* the last column may have one point only */
        check(fabs(py[i] - py[0]) < 0.5);
    n = points(page, 1, px, py, 2000);
    for (int i = 0; i < n; i++)
        check(fabs(py[i] - py[n - 1]) < 0.5);
    free(page);
    free(x);
    free(y);
}

/* Where all values are 0, the axis has ticks to read it by. */
static void nothing_but_zero(void)
{
    double x[] = {1, 2}, y[] = {0, 0};
    struct html_line line = {"l", x, y, 2, 0};
    struct html h;
    html_begin(&h, "t");
    html_chart(&h, &(struct html_chart){.title = "c", .x_label = "x", .zero = true, .line = &line, .n_line = 1});
    char *page = finish(&h);
    check_int(count(page, ">0</text>"), 1);
    check_int(count(page, ">0.2</text>"), 1);
    check_int(count(page, "1e-"), 0);
    free(page);
}

static void bars_are_as_long_as_their_values(void)
{
    struct html h;
    html_begin(&h, "t");
    struct html_bar bar[] = {{"a<b", 0.5, 0.4, 0.6, 0.1}, {"c", 0.25, 0.2, 0.3, -1}};
    html_bars(&h, "title", "baseline", bar, 2);
    char *page = finish(&h);
    double w[2] = {0}, px, py;
    const char *p = page;
    for (int i = 0; i < 2; i++) {
        p = strstr(p, "<rect ");
        check(p && sscanf(p, "<rect x=\"%lf\" y=\"%lf\" width=\"%lf\"", &px, &py, &w[i]) == 3);
        p = p ? p + 1 : page;
    }
    check_msg(fabs(w[0] - 2 * w[1]) < 0.2 && w[0] > 100, "%g %g", w[0], w[1]);
    check_has(page, ">a&lt;b</text>");
    check_has(page, ">50.0%</text>");
    check_int(count(page, "stroke-dasharray"), 1);
    free(page);
}

/* Heights and counts of a histogram; squares of a grid, where they stand and what they link to. */
static void histograms_and_grids(void)
{
    static const struct html_kind kinds[] = {{"a<b", "good"}, {"rest", "bad"}};
    struct html_square at[] = {{0, 0, NULL, "x0"},  {0, 9, "nine & more", NULL}, {1, 9, NULL, NULL},
                               {0, 39, NULL, NULL}, {1, 40, NULL, NULL},         {1, -1, NULL, NULL}};
    struct html h;
    html_begin(&h, "t");
    html_histogram(&h, "lengths", "tokens", kinds, 2, at, 6);
    char *page = finish(&h);
    check_int(count(page, "<rect "), 5); /* bins of two: 0, 8 to 10 twice, 38 to 40, 40 to 42 */
    check_has(page, "<title>8 to 10: 1 a&lt;b</title>");
    check_has(page, "<title>8 to 10: 1 rest</title>");
    check_has(page, "<title>40 to 42: 1 rest</title>");
    check_int(count(page, "height=\"85.0\""), 5); /* all hold one, half of the highest bin */
    check_int(count(page, "nan"), 0);
    free(page);
    html_begin(&h, "t");
    html_histogram(&h, "none", "tokens", kinds, 2, at + 5, 1);
    html_histogram(&h, "none", "tokens", kinds, 2, NULL, 0);
    static const char *const names[] = {"one", "t<o"};
    html_grid(&h, "grid", kinds, 2, at, 6, 4, names);
    page = finish(&h);
    check_int(count(page, "<rect "), 6);
    check_has(page, ">t&lt;o</text>");
    check_has(page, "<a href=\"#x0\">");
    check_int(count(page, "</a>"), 1);
    check_has(page, "nine &amp; more");
    check_int(count(page, "y=\"12\""), 2); /* the second row */
    check_int(count(page, "nan"), 0);
    free(page);
}

static const struct test all[] = {
    {"text is escaped", text_is_escaped},
    {"a page needs nothing else", a_page_needs_nothing_else},
    {"a line keeps its proportions", a_line_keeps_its_proportions},
    {"awkward values draw too", awkward_values_draw_too},
    {"long lines are thinned", long_lines_are_thinned},
    {"nothing but zero", nothing_but_zero},
    {"bars are as long as their values", bars_are_as_long_as_their_values},
    {"histograms and grids", histograms_and_grids},
};
TEST_MAIN("test_html", all)
