/* core/err.c - see err.h. */
#include "core/err.h"
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static die_hook_fn *hook;
static const char *who_dies = "";

bool err_set(struct err *e, const char *fmt, ...)
{
    char msg[sizeof e->msg]; /* aside, because an argument may be e->msg itself */
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    memcpy(e->msg, msg, sizeof msg);
    return false;
}

bool err_in(struct err *e, const char *fmt, ...)
{
    char msg[2 * sizeof e->msg];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof e->msg, fmt, ap);
    va_end(ap);
    size_t n = strlen(msg);
    snprintf(msg + n, sizeof msg - n, ": %s", e->msg);
    msg[sizeof e->msg - 1] = '\0';
    memcpy(e->msg, msg, strlen(msg) + 1);
    return false;
}

void die_at(const char *file, int line, const char *fmt, ...)
{
    char msg[2048];
    va_list ap;
    int n = snprintf(msg, sizeof msg / 2, "%s:%d: ", file, line);
    va_start(ap, fmt);
    vsnprintf(msg + n, sizeof msg - (size_t)n, fmt, ap);
    va_end(ap);
    fflush(stdout);
    fprintf(stderr, "%s%s\n", who_dies, msg); /* one call: lines of several threads or ranks do not mix */
    die_hook_fn *fn = hook;
    hook = NULL; /* a hook that dies itself must not come back here */
    if (fn)
        fn(msg);
    exit(1);
}

void die_who(const char *who)
{
    who_dies = who;
}

die_hook_fn *die_hook(die_hook_fn *fn)
{
    die_hook_fn *before = hook;
    hook = fn;
    return before;
}

void *xmalloc(size_t n)
{
    void *p = malloc(n ? n : 1);
    if (!p)
        die("out of memory: %zu bytes asked for; free some memory or use smaller batches", n);
    return p;
}

void *xcalloc(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size ? size : 1);
    if (!p)
        die("out of memory: %zu times %zu bytes asked for; free some memory or use smaller batches", n, size);
    return p;
}

void *xrealloc(void *p, size_t n)
{
    p = realloc(p, n ? n : 1);
    if (!p)
        die("out of memory: %zu bytes asked for; free some memory or use smaller batches", n);
    return p;
}

char *xstrdup(const char *s)
{
    size_t n = strlen(s) + 1;
    return memcpy(xmalloc(n), s, n);
}

char *xprintf(const char *fmt, ...)
{
    char *s = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&s, fmt, ap);
    va_end(ap);
    if (n < 0)
        die("out of memory: a string could not be built");
    return s;
}
