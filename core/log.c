/* core/log.c - see log.h. */
#include "core/log.h"
#include "core/err.h" /* xprintf */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static bool muted;
static bool line_open; /* a progress line stands on the terminal without a newline */

void log_mute(void)
{
    muted = true;
}

void log_line(const char *fmt, ...)
{
    if (muted)
        return;
    char *s = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&s, fmt, ap);
    va_end(ap);
    must(n >= 0);
    fprintf(stderr, "%s%s\n", line_open ? "\r\033[K" : "", s); /* one call: lines of several threads or ranks do not mix */
    line_open = false;
    free(s);
}

double log_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

char *log_duration(char *buf, size_t n, double seconds)
{
    if (!(seconds >= 0 && seconds < 1e10)) /* NaN too */
        snprintf(buf, n, "?");
    else if (seconds < 59.95)
        snprintf(buf, n, "%.1fs", seconds);
    else if (seconds < 3599.5)
        snprintf(buf, n, "%lldm%02llds", llround(seconds) / 60, llround(seconds) % 60);
    else
        snprintf(buf, n, "%lldh%02lldm", llround(seconds / 60) / 60, llround(seconds / 60) % 60);
    return buf;
}

/* "950", "12.3", "45.6k", "7.89M": three digits, as nobody reads more while it runs. */
static char *count(char *buf, size_t n, double v)
{
    static const char units[] = {0, 'k', 'M', 'G', 'T'};
    size_t u = 0;
    for (; v >= 999.5 && u + 1 < sizeof units; u++)
        v /= 1000;
    snprintf(buf, n, u == 0 && v == floor(v) ? "%.0f" : v < 9.995 ? "%.2f" : v < 99.95 ? "%.1f" : "%.0f", v);
    size_t at = strlen(buf);
    if (u > 0 && at + 2 <= n) {
        buf[at] = units[u];
        buf[at + 1] = '\0';
    }
    return buf;
}

void progress_start(struct progress *p, const char *what, const char *unit, double total)
{
    double now = log_now();
    *p = (struct progress){.what = what, .unit = unit, .total = total, .t0 = now, .last = now, .tty = isatty(STDERR_FILENO)};
}

/* One line, redrawn in place on a terminal (cut to its width, or "\r" would not reach its start). */
static void show(struct progress *p, const char *line, bool final)
{
    if (!p->tty) {
        fprintf(stderr, "%s\n", line);
        return;
    }
    struct winsize w;
    int width = ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 1 ? w.ws_col - 1 : 79;
    fprintf(stderr, "\r\033[K%.*s%s", final ? (int)strlen(line) : width, line, final ? "\n" : "");
    line_open = !final;
}

void progress_update(struct progress *p, double done, const char *extra)
{
    double now = log_now();
    if (now - p->last < (p->tty ? 0.2 : 10.0))
        return;
    p->last = now;
    p->shown = true;
    char a[32], b[32], c[32], d[32];
    double rate = done / (now - p->t0);
    char *of = p->total > 0 ? xprintf(" of %s", count(b, sizeof b, p->total)) : xstrdup("");
    char *left = p->total > 0 && rate > 0
                     ? xprintf(" (%.0f%%), %s left", 100 * done / p->total, log_duration(d, sizeof d, fmax(0, p->total - done) / rate))
                     : xstrdup("");
    char *line = xprintf("%s: %s%s %s%s, %s %s/s%s%s", p->what, count(a, sizeof a, done), of, p->unit, left, count(c, sizeof c, rate),
                         p->unit, extra ? ", " : "", extra ? extra : "");
    show(p, line, false);
    free(of);
    free(left);
    free(line);
}

void progress_end(struct progress *p, double done, const char *extra)
{
    char a[32], b[32], c[32];
    double s = log_now() - p->t0;
    char *line = xprintf("%s: %s %s in %s, %s %s/s%s%s", p->what, count(a, sizeof a, done), p->unit, log_duration(b, sizeof b, s),
                         count(c, sizeof c, s > 0 ? done / s : 0), p->unit, extra ? ", " : "", extra ? extra : "");
    show(p, line, true);
    free(line);
}
