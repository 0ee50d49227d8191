/* tests/math_variants.h - pairs of answers that are equal, or not, by construction: an answer is a few integers of some kind, written in one of
 * many ways; another writing of the same integers is equal, a writing of changed ones is not. Nothing here knows of the judge. */
#ifndef TESTS_MATH_VARIANTS_H
#define TESTS_MATH_VARIANTS_H
#include "core/rng.h"
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum variant_kind {
    V_INTEGER,
    V_FRACTION,
    V_DECIMAL,
    V_PERCENT,
    V_DEGREES,
    V_MONEY,
    V_RADICAL,
    V_PI,
    V_COMPLEX,
    V_POWER,
    V_POLYNOMIAL,
    V_RATIONAL,
    V_TRIG,
    V_TUPLE,
    V_LIST,
    V_SET,
    V_INTERVAL,
    V_UNION,
    V_MATRIX,
    V_LINE,
    V_PLUSMINUS,
    V_CHOICE,
    V_TEXT,
    V_KINDS,
};
struct variant {
    enum variant_kind kind;
    int n;
    long a[8];
};
struct dice {
    uint64_t seed, at;
};
static inline long roll(struct dice *d, long low, long high)
{
    return low + (long)rng_below(d->seed, 77, d->at++, (uint64_t)(high - low + 1));
}
static inline bool flip(struct dice *d)
{
    return roll(d, 0, 1);
}
static inline long nonzero(struct dice *d, long limit)
{
    long v = roll(d, 1, limit);
    return flip(d) ? v : -v;
}
static inline long gcd_of(long a, long b)
{
    return b ? gcd_of(b, a % b) : labs(a);
}

/* Text that grows. */
struct line {
    char s[2048];
};
__attribute__((format(printf, 2, 3))) static inline void put(struct line *l, const char *fmt, ...)
{
    size_t n = strlen(l->s);
    __builtin_va_list args;
    __builtin_va_start(args, fmt);
    vsnprintf(l->s + n, sizeof(l->s) - n, fmt, args);
    __builtin_va_end(args);
}

static inline struct variant variant_new(struct dice *d, enum variant_kind kind)
{
    struct variant v = {.kind = kind};
    for (int i = 0; i < 8; i++)
        v.a[i] = nonzero(d, 12);
    switch (kind) {
    case V_INTEGER:
        v.a[0] = flip(d) ? roll(d, -999, 999) : roll(d, -99999999, 99999999);
        break;
    case V_FRACTION: /* a/b in lowest terms, b > 1 */
        do {
            v.a[0] = nonzero(d, 400);
            v.a[1] = roll(d, 2, 90);
        } while (gcd_of(v.a[0], v.a[1]) != 1);
        break;
    case V_DECIMAL: /* thousandths */
        v.a[0] = roll(d, -99999, 99999);
        break;
    case V_PERCENT:
        v.a[0] = roll(d, 1, 99);
        break;
    case V_DEGREES:
    case V_MONEY:
        v.a[0] = roll(d, 1, 5000);
        break;
    case V_RADICAL: { /* a + b sqrt c */
        static const long free_of_squares[] = {2, 3, 5, 6, 7, 10, 11, 13, 14, 15};
        v.a[0] = roll(d, -9, 9);
        v.a[2] = free_of_squares[roll(d, 0, 9)];
        break;
    }
    case V_PI:    /* a pi / b */
    case V_POWER: /* a^b, or sqrt[b]{a} if c is odd */
        do {
            v.a[0] = roll(d, 2, 11);
            v.a[1] = roll(d, 2, 9);
        } while (gcd_of(v.a[0], v.a[1]) != 1);
        break;
    case V_CHOICE:
        v.a[0] = roll(d, 0, 4);
        break;
    case V_TEXT:
        v.a[0] = roll(d, 0, 9);
        break;
    case V_TUPLE:
    case V_LIST:
    case V_SET: /* different ones */
        v.n = (int)roll(d, 2, 5);
        for (int i = 0; i < v.n; i++)
            v.a[i] = 20 * roll(d, -9, 9) + i + 1;
        break;
    case V_INTERVAL: /* low, high, brackets */
        v.a[1] = v.a[0] + roll(d, 1, 20);
        v.a[2] = roll(d, 0, 1);
        v.a[3] = roll(d, 0, 1);
        break;
    case V_UNION: /* two, apart */
        v.a[1] = v.a[0] + roll(d, 1, 9);
        v.a[2] = v.a[1] + roll(d, 1, 9);
        v.a[3] = v.a[2] + roll(d, 1, 9);
        v.a[4] = roll(d, 0, 15);
        break;
    default:
        break;
    }
    return v;
}

/* The same kind with another meaning. */
static inline struct variant variant_changed(struct dice *d, struct variant v)
{
    long *a = v.a;
    switch (v.kind) {
    case V_FRACTION:
        if (flip(d))
            a[0] = -a[0];
        else
            a[0] += nonzero(d, 3) * a[1];
        if (a[0] == 0)
            a[0] = a[1] + 1;
        break;
    case V_INTERVAL:
        if (flip(d))
            a[2 + roll(d, 0, 1)] ^= 1;
        else
            a[1] += roll(d, 1, 3);
        break;
    case V_UNION:
        if (flip(d))
            a[4] ^= 1 << roll(d, 0, 3);
        else
            a[3] += roll(d, 1, 3);
        break;
    case V_TUPLE:
        if (flip(d)) {
            long t = a[0];
            a[0] = a[1];
            a[1] = t;
            break;
        }
        a[roll(d, 0, v.n - 1)] += roll(d, 6, 9);
        break;
    case V_LIST:
    case V_SET:
        if (v.n > 2 && flip(d))
            v.n--;
        else
            a[roll(d, 0, v.n - 1)] += roll(d, 6, 9);
        break;
    case V_CHOICE:
        a[0] = (a[0] + roll(d, 1, 4)) % 5;
        break;
    case V_TEXT:
        a[0] = (a[0] + roll(d, 1, 9)) % 10;
        break;
    case V_RADICAL:
        if (flip(d))
            a[0] += nonzero(d, 2);
        else
            a[1] = -a[1];
        break;
    case V_COMPLEX:
        if (flip(d))
            a[1] = -a[1];
        else
            a[0] += nonzero(d, 3);
        break;
    case V_POWER:
        a[0] += 1;
        break;
    case V_PI:
        a[0] += a[1];
        break;
    case V_MATRIX:
        a[roll(d, 0, 3)] += nonzero(d, 2);
        break;
    case V_LINE: /* a x + b y = c */
        a[2] += nonzero(d, 2);
        break;
    case V_POLYNOMIAL:
    case V_RATIONAL:
        a[roll(d, 0, 2)] += roll(d, 13, 15);
        break;
    case V_TRIG:
        a[0] = -a[0];
        break;
    case V_PLUSMINUS:
        a[roll(d, 0, 1)] += roll(d, 25, 30);
        break;
    default:
        a[0] += nonzero(d, 3);
        if (v.kind == V_PERCENT && a[0] <= 0)
            a[0] = 77;
    }
    return v;
}

/* ---- writing ---- */

static inline void write_integer(struct line *l, struct dice *d, long v)
{
    long u = labs(v);
    if (v < 0)
        put(l, "%s", flip(d) ? "-" : roll(d, 0, 3) ? "-" : "\u2212");
    switch (u >= 1000 && u < 1000000000 ? roll(d, 0, 5) : 0) {
    case 1:
    case 2:
    case 3: {
        static const char *const separators[] = {"{,}", ",\\!", ","};
        const char *s = separators[roll(d, 0, 2)];
        if (u >= 1000000)
            put(l, "%ld%s%03ld%s%03ld", u / 1000000, s, u / 1000 % 1000, s, u % 1000);
        else
            put(l, "%ld%s%03ld", u / 1000, s, u % 1000);
        break;
    }
    case 4:
        put(l, "%ld.0", u);
        break;
    default:
        put(l, "%ld", u);
    }
}

static inline void write_small(struct line *l, struct dice *d, long v)
{
    if (roll(d, 0, 5) == 0)
        put(l, "\\frac{%ld}{2}", 2 * v);
    else
        put(l, "%ld", v);
}

static inline void write_fraction(struct line *l, struct dice *d, long a, long b)
{
    long k = flip(d) ? 1 : roll(d, 2, 4), u = labs(a);
    const char *minus = a < 0 ? "-" : "";
    switch (roll(d, 0, 6)) {
    case 0:
        put(l, "%ld/%ld", a * k, b * k);
        break;
    case 1:
        put(l, "%s\\dfrac{%ld}{%ld}", minus, u * k, b * k);
        break;
    case 2:
        put(l, "\\tfrac{%ld}{%ld}", -a * k, -b * k);
        break;
    case 3:
        if (u < 10 && b < 10)
            put(l, "%s\\frac%ld%ld", minus, u, b);
        else
            put(l, "\\frac{%ld}{%ld}", a, b);
        break;
    case 4:
        if (u > b)
            put(l, "%s%ld\\frac{%ld}{%ld}", minus, u / b, u % b, b);
        else
            put(l, "\\frac{%ld}{%ld}", a, b);
        break;
    case 5:
        put(l, "\\left(%s\\frac{%ld}{%ld}\\right)", minus, u, b);
        break;
    default:
        put(l, "%s\\frac{%ld}{%ld}", minus, u * k, b * k);
    }
}

static inline void write_term(struct line *l, long c, const char *what, bool first)
{
    if (c < 0)
        put(l, "%s", first ? "-" : " - ");
    else if (!first)
        put(l, " + ");
    if (labs(c) != 1 || !*what)
        put(l, "%ld", labs(c));
    put(l, "%s", what);
}

/* The terms, in any order. */
static inline void write_sum(struct line *l, struct dice *d, const long *c, const char *const *what, int n)
{
    int order[8];
    bool first = true;
    for (int i = 0; i < n; i++)
        order[i] = i;
    for (int i = n - 1; i > 0; i--) {
        int j = (int)roll(d, 0, i), t = order[i];
        order[i] = order[j];
        order[j] = t;
    }
    for (int i = 0; i < n; i++)
        if (c[order[i]]) {
            write_term(l, c[order[i]], what[order[i]], first);
            first = false;
        }
    if (first)
        put(l, "0");
}

static inline void write_interval(struct line *l, struct dice *d, long low, long high, bool low_in, bool high_in)
{
    bool big = flip(d);
    put(l, "%s%c%ld,%s%ld%s%c", big ? "\\left" : "", low_in ? '[' : '(', low, flip(d) ? " " : "", high, big ? "\\right" : "",
        high_in ? ']' : ')');
}

static inline void write_several(struct line *l, struct dice *d, const struct variant *v, bool shuffle, bool words)
{
    long a[8];
    memcpy(a, v->a, sizeof(a));
    for (int i = v->n - 1; shuffle && i > 0; i--) {
        int j = (int)roll(d, 0, i);
        long t = a[i];
        a[i] = a[j];
        a[j] = t;
    }
    for (int i = 0; i < v->n; i++) {
        if (i)
            put(l, "%s", words && i == v->n - 1 && flip(d) ? (flip(d) ? " \\text{ and } " : "\\text{ or }") : flip(d) ? ", " : ",");
        write_small(l, d, a[i]);
    }
}

static inline void variant_write(struct line *l, struct dice *d, const struct variant *v)
{
    static const char *const words[] = {"even",      "odd",    "Evelyn",      "Briana", "ellipse",
                                        "hyperbola", "Monday", "no solution", "east",   "north west"};
    const long *a = v->a;
    l->s[0] = 0;
    bool dollars = roll(d, 0, 7) == 0;
    put(l, "%s", dollars ? "$" : "");
    if (v->kind <= V_DECIMAL && roll(d, 0, 5) == 0)
        put(l, "%s", flip(d) ? "x = " : "x=");
    switch (v->kind) {
    case V_INTEGER:
        write_integer(l, d, a[0]);
        put(l, "%s", roll(d, 0, 5) ? "" : flip(d) ? "\\text{ apples}" : "\\ \\mathrm{cm}");
        break;
    case V_FRACTION:
        write_fraction(l, d, a[0], a[1]);
        break;
    case V_DECIMAL:
        if (flip(d))
            put(l, "%s%ld.%03ld", a[0] < 0 ? "-" : "", labs(a[0]) / 1000, labs(a[0]) % 1000);
        else if (flip(d))
            put(l, "\\frac{%ld}{1000}", a[0]);
        else
            put(l, "%ld \\times 10^{-3}", a[0]);
        break;
    case V_PERCENT:
        put(l, "%ld%s", a[0], flip(d) ? "\\%" : flip(d) ? "%" : flip(d) ? ".0\\%" : "");
        break;
    case V_DEGREES:
        put(l, "%ld%s", a[0], flip(d) ? "^\\circ" : flip(d) ? "^{\\circ}" : flip(d) ? "\\text{ degrees}" : flip(d) ? "\u00b0" : "");
        break;
    case V_MONEY:
        put(l, "%s%ld.%02ld%s", flip(d) ? "\\$" : "", a[0] / 100, a[0] % 100, flip(d) ? "" : "\\text{ dollars}");
        break;
    case V_RADICAL: {
        char root[64];
        long b = a[1];
        if (roll(d, 0, 3) == 0) { /* b sqrt c = sqrt(b^2 c) */
            snprintf(root, sizeof(root), "\\sqrt{%ld}", a[1] * a[1] * a[2]);
            b = b < 0 ? -1 : 1;
        } else {
            snprintf(root, sizeof(root), a[2] < 10 && flip(d) ? "\\sqrt%ld" : flip(d) ? "\\sqrt{%ld}" : "\\sqrt {%ld}", a[2]);
        }
        write_sum(l, d, (long[]){a[0], b}, (const char *const[]){"", root}, 2);
        break;
    }
    case V_PI:
        put(l,
            flip(d)   ? "\\frac{%ld\\pi}{%ld}"
            : flip(d) ? "\\frac{%ld}{%ld}\\pi"
            : flip(d) ? "%ld\\pi/%ld"
                      : "%ld \\cdot \\frac{\\pi}{%ld}",
            a[0], a[1]);
        break;
    case V_COMPLEX:
        write_sum(l, d, a, (const char *const[]){"", "i"}, 2);
        break;
    case V_POWER:
        if (a[2] & 1) {
            put(l, flip(d) ? "\\sqrt[%ld]{%ld}" : "\\sqrt[%ld]{ %ld }", a[1], a[0]);
        } else if (flip(d)) {
            long p = 1;
            for (long i = 0; i < a[1]; i++)
                p *= a[0];
            write_integer(l, d, p);
        } else {
            put(l, flip(d) ? "%ld^{%ld}" : "%ld^%ld", a[0], a[1]);
        }
        break;
    case V_POLYNOMIAL:
        if (roll(d, 0, 2) == 0)
            put(l, "x(%ldx%+ld)%+ld", a[0], a[1], a[2]);
        else
            write_sum(l, d, a, (const char *const[]){flip(d) ? "x^2" : "x^{2}", "x", ""}, 3);
        break;
    case V_RATIONAL: /* (a n + b) / (n + c) */
        if (roll(d, 0, 2) == 0)
            put(l, "%ld + \\frac{%ld}{n%+ld}", a[0], a[1] - a[0] * a[2], a[2]);
        else
            put(l, flip(d) ? "\\frac{%ldn%+ld}{n%+ld}" : "(%ldn%+ld)/(n%+ld)", a[0], a[1], a[2]);
        break;
    case V_TRIG: /* a sin^2 t + b */
        if (flip(d))
            put(l, "%ld\\sin^2 \\theta %+ld", a[0], a[1]);
        else if (flip(d))
            put(l, "%ld - (%ld)\\cos^{2}(\\theta)", a[0] + a[1], a[0]);
        else
            put(l, "%ld + %ld\\left(\\sin\\theta\\right)^2", a[1], a[0]);
        break;
    case V_TUPLE:
        put(l, flip(d) ? "(" : "\\left(");
        write_several(l, d, v, false, false);
        put(l, strchr(l->s, 'l') && strstr(l->s, "\\left(") ? "\\right)" : ")");
        break;
    case V_LIST:
        write_several(l, d, v, true, true);
        break;
    case V_SET:
        put(l, "\\{");
        write_several(l, d, v, true, false);
        put(l, "\\}");
        break;
    case V_INTERVAL:
        if (roll(d, 0, 2) == 0) {
            put(l, "%ld %s x %s %ld", a[0], a[2] ? "\\le" : "<", a[3] ? "\\leq" : "<", a[1]);
            break;
        }
        put(l, "%s", flip(d) ? "" : "x \\in ");
        write_interval(l, d, a[0], a[1], a[2], a[3]);
        break;
    case V_UNION: {
        bool swap = flip(d);
        write_interval(l, d, a[swap ? 2 : 0], a[swap ? 3 : 1], a[4] >> (swap ? 2 : 0) & 1, a[4] >> (swap ? 3 : 1) & 1);
        put(l, "%s", flip(d) ? " \\cup " : "\\cup");
        swap = !swap;
        write_interval(l, d, a[swap ? 2 : 0], a[swap ? 3 : 1], a[4] >> (swap ? 2 : 0) & 1, a[4] >> (swap ? 3 : 1) & 1);
        break;
    }
    case V_MATRIX: {
        const char *name = flip(d) ? "pmatrix" : "bmatrix";
        put(l, "\\begin{%s} ", name);
        for (int i = 0; i < 4; i++) {
            write_small(l, d, a[i]);
            put(l, "%s", i == 1 ? " \\\\ " : i == 3 ? "" : flip(d) ? " & " : "&");
        }
        put(l, " \\end{%s}", name);
        break;
    }
    case V_LINE: {
        long k = flip(d) ? nonzero(d, 4) : 1;
        if (roll(d, 0, 3) == 0) {
            put(l, "y = \\frac{%ld - (%ld)x}{%ld}", a[2], a[0], a[1]);
        } else if (flip(d)) {
            write_sum(l, d, (long[]){k * a[0], k * a[1], -k * a[2]}, (const char *const[]){"x", "y", ""}, 3);
            put(l, " = 0");
        } else {
            write_sum(l, d, (long[]){k * a[0], k * a[1]}, (const char *const[]){"x", "y"}, 2);
            put(l, "=%ld", k * a[2]);
        }
        break;
    }
    case V_PLUSMINUS: { /* a +- |b| sqrt 3 */
        long b = labs(a[1]);
        if (flip(d))
            put(l, "%ld \\pm %ld\\sqrt{3}", a[0], b);
        else if (flip(d))
            put(l, "%ld+%ld\\sqrt{3}, %ld-%ld\\sqrt3", a[0], b, a[0], b);
        else
            put(l, "%ld - %ld\\sqrt{3} \\text{ and } %ld + \\sqrt{%ld}", a[0], b, a[0], 3 * b * b);
        break;
    }
    case V_CHOICE:
        put(l, flip(d) ? "\\text{(%c)}" : flip(d) ? "(%c)" : flip(d) ? "%c" : "\\textbf{%c}", (char)('A' + a[0]));
        break;
    case V_TEXT:
        put(l, flip(d) ? "\\text{%s}" : flip(d) ? "\\text{ %s }" : "%s", words[a[0]]);
        break;
    default:
        break;
    }
    put(l, "%s%s", dollars ? "$" : "", roll(d, 0, 9) ? "" : ".");
}
#endif
