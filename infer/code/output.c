/* infer/code/output.c - a program's output against the expected one. See code.h. */
#include "infer/code/code.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

struct span {
    const char *at, *end;
};

static bool blank(char c)
{
    return isspace((unsigned char)c);
}
static struct span trim(struct span s)
{
    while (s.at < s.end && blank(*s.at))
        s.at++;
    while (s.at < s.end && blank(s.end[-1]))
        s.end--;
    return s;
}
static bool same_text(struct span a, struct span b)
{
    return a.end - a.at == b.end - b.at && memcmp(a.at, b.at, (size_t)(a.end - a.at)) == 0;
}

/* A decimal number as its digits, with neither leading nor trailing zeros, the point in front of them, times 10^exponent. */
struct decimal {
    bool negative;
    struct span digits; /* of the text: one point may stand among them */
    int64_t exponent;
};

static bool read_exponent(const char **p, const char *end, int64_t *exponent)
{
    int64_t v = 0;
    bool minus = *p < end && **p == '-';
    *p += *p < end && (**p == '-' || **p == '+');
    const char *first = *p;
    for (; *p < end && isdigit((unsigned char)**p) && *p - first < 17; (*p)++)
        v = 10 * v + (**p - '0');
    *exponent += minus ? -v : v;
    return *p > first;
}

static bool read_decimal(struct span s, struct decimal *d)
{
    const char *p = s.at, *point = NULL;
    *d = (struct decimal){.negative = p < s.end && *p == '-'};
    p += p < s.end && (*p == '-' || *p == '+');
    const char *first = p, *begin = NULL, *last = NULL; /* begin, last: the first and last digits that are not 0 */
    int digits = 0;
    for (; p < s.end && (isdigit((unsigned char)*p) || (*p == '.' && !point)); p++) {
        if (*p == '.') {
            point = p;
            continue;
        }
        digits = 1;
        if (*p != '0') {
            begin = begin ? begin : p;
            last = p;
        }
    }
    const char *stop = p;
    if (!digits || first == stop)
        return false;
    if (begin) {
        d->digits = (struct span){begin, last + 1};
        const char *ones = point ? point : stop; /* digits left of here count in ones and up */
        d->exponent = ones - begin + (begin > ones);
    } else {
        d->negative = false; /* -0 is 0 */
    }
    if (p < s.end && (*p == 'e' || *p == 'E')) {
        p++;
        if (!read_exponent(&p, s.end, begin ? &d->exponent : &(int64_t){0}))
            return false;
    }
    return p == s.end;
}

static bool same_digits(struct span a, struct span b)
{
    for (;; a.at++, b.at++) {
        a.at += a.at < a.end && *a.at == '.';
        b.at += b.at < b.end && *b.at == '.';
        if (a.at >= a.end || b.at >= b.end)
            return a.at >= a.end && b.at >= b.end;
        if (*a.at != *b.at)
            return false;
    }
}

static struct span next_word(struct span *s)
{
    *s = trim(*s);
    struct span word = {s->at, s->at};
    while (word.end < s->end && !blank(*word.end))
        word.end++;
    s->at = word.end;
    return word;
}

static bool same_numbers(struct span a, struct span b)
{
    for (;;) {
        struct span x = next_word(&a), y = next_word(&b);
        if (x.at == x.end || y.at == y.end)
            return x.at == x.end && y.at == y.end;
        struct decimal u, v;
        if (!read_decimal(x, &u) || !read_decimal(y, &v) || u.negative != v.negative || u.exponent != v.exponent ||
            !same_digits(u.digits, v.digits))
            return false;
    }
}

static struct span next_line(struct span *s)
{
    const char *newline = memchr(s->at, '\n', (size_t)(s->end - s->at));
    struct span line = {s->at, newline ? newline : s->end};
    s->at = newline ? newline + 1 : NULL;
    return trim(line);
}

bool code_same_output(const char *got, size_t n, const char *want, char *why, size_t size)
{
    struct span a = trim((struct span){got, got + n}), b = trim((struct span){want, want + strlen(want)});
    for (int64_t line = 1; a.at && b.at; line++) {
        struct span x = next_line(&a), y = next_line(&b);
        if (same_text(x, y) || same_numbers(x, y))
            continue;
        snprintf(why, size, "line %lld of the output: expected \"%.*s\", got \"%.*s\"", (long long)line,
                 (int)(y.end - y.at > 60 ? 60 : y.end - y.at), y.at, (int)(x.end - x.at > 60 ? 60 : x.end - x.at), x.at);
        return false;
    }
    if (!a.at && !b.at)
        return true;
    snprintf(why, size, "the output has %s lines than expected", a.at ? "more" : "fewer");
    return false;
}
