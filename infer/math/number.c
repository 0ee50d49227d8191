/* infer/math/number.c - see number.h. First the text loses its LaTeX dress (plain()), then numbers are read from what is left; the exact
 * arithmetic is libcrypto's BIGNUM. */
#include "infer/math/number.h"
#include "core/err.h"
#include <ctype.h>
#include <openssl/bn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DIGITS = 1000, MAX_EXPONENT = 400 }; /* bounds the work on hostile text */

/* ---- text without LaTeX's dress ---- */

struct buffer {
    char *at;
    size_t n;
};
static void add(struct buffer *b, const char *s)
{
    size_t n = strlen(s);
    memcpy(b->at + b->n, s, n + 1);
    b->n += n;
}

/* What is written in many ways, and the one way it is read here. A replacement is never longer than what it replaces. */
static const struct {
    const char *from, *to;
} spellings[] = {
    {"\u2212", "-"},  {"\u2013", "-"},   {"{,}", ","},      {",\\!", ","},   {"\\!", ""},     {"\\,", " "},          {"\\;", " "},
    {"\\:", " "},     {"\\ ", " "},      {"~", " "},        {"\\$", "$"},    {"\\%", "%"},    {"\\left", ""},        {"\\right", ""},
    {"\\(", " "},     {"\\)", " "},      {"\\[", " "},      {"\\]", " "},    {"^\\circ", ""}, {"^{\\circ}", ""},     {"\u00b0", ""},
    {"\\times", "*"}, {"\\cdot", "*"},   {"\u00d7", "*"},   {"\u00a0", " "}, {"\u202f", " "}, {"\\textnormal", " "}, {"\\textbf", " "},
    {"\\text", " "},  {"\\mathrm", " "}, {"\\mathbf", " "}, {"\\mbox", " "}, {"**", " "},     {"\u20ac", "$"},       {"\u00a3", "$"},
};
static const struct {
    const char *from, *to;
} glyphs[] = {{"\u00bd", "1/2"}, {"\u00bc", "1/4"}, {"\u00be", "3/4"}};

static bool starts(const char *s, const char *with)
{
    return strncmp(s, with, strlen(with)) == 0;
}

/* The argument of a LaTeX command: a braced group without braces inside, or one digit. NULL when it is neither. */
static const char *argument(const char *s, const char **from, size_t *n)
{
    while (*s == ' ')
        s++;
    if (isdigit((unsigned char)*s)) {
        *from = s;
        *n = 1;
        return s + 1;
    }
    if (*s != '{')
        return NULL;
    *from = s + 1;
    *n = strcspn(s + 1, "{}");
    return s[1 + *n] == '}' ? s + 2 + *n : NULL;
}

/* \frac{a}{b} and its sisters as a/b, set off from a whole number before it. NULL when s is no such thing. */
static const char *fraction(struct buffer *out, const char *s)
{
    static const char *const names[] = {"\\frac", "\\dfrac", "\\tfrac", "\\cfrac"};
    for (int i = 0; i < 4; i++) {
        const char *a, *b, *end;
        size_t na, nb;
        if (!starts(s, names[i]) || !(end = argument(s + strlen(names[i]), &a, &na)) || !(end = argument(end, &b, &nb)))
            continue;
        bool mixed = out->n && isdigit((unsigned char)out->at[out->n - 1]);
        out->n += (size_t)sprintf(out->at + out->n, "%s%.*s/%.*s", mixed ? " " : "", (int)na, a, (int)nb, b);
        return end;
    }
    return NULL;
}

static char *plain(const char *text)
{
    struct buffer out = {xmalloc(2 * strlen(text) + 8), 0}; /* a glyph of two bytes becomes four */
    out.at[0] = 0;
    for (const char *s = text; *s;) {
        const char *end = fraction(&out, s);
        for (size_t i = 0; !end && i < sizeof(spellings) / sizeof(spellings[0]); i++)
            if (starts(s, spellings[i].from)) {
                add(&out, spellings[i].to);
                end = s + strlen(spellings[i].from);
            }
        for (size_t i = 0; !end && i < sizeof(glyphs) / sizeof(glyphs[0]); i++)
            if (starts(s, glyphs[i].from)) {
                if (out.n && isdigit((unsigned char)out.at[out.n - 1]))
                    add(&out, " ");
                add(&out, glyphs[i].to);
                end = s + strlen(glyphs[i].from);
            }
        if (!end) {
            char one[2] = {*s, 0};
            add(&out, one);
            end = s + 1;
        }
        s = end;
    }
    /* Dollars are money or the borders of a formula: "-$3" is -3, every other one is a space. */
    char *to = out.at;
    for (const char *s = out.at; *s; s++)
        if (*s != '$')
            *to++ = *s;
        else if (to == out.at || to[-1] != '-')
            *to++ = ' ';
    *to = 0;
    return out.at;
}

/* ---- reading one number ---- */

struct decimal {
    bool negative;
    char digits[MAX_DIGITS + 1];
    size_t n;
    long scale; /* digits after the point */
};
struct reading {
    struct decimal whole, over, under; /* whole + over/under; under.n == 0: no fraction */
    bool good;                         /* a number that we understand; else it is only to be skipped */
};

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}
static size_t digit_run(const char *s)
{
    return strspn(s, "0123456789");
}
static bool take(struct decimal *d, const char *s, size_t n)
{
    if (d->n + n > MAX_DIGITS)
        return false;
    memcpy(d->digits + d->n, s, n);
    d->n += n;
    d->digits[d->n] = 0;
    return true;
}

/* Digits with thousands separators and a decimal part. NULL when there is none here. */
static const char *read_decimal(struct decimal *d, const char *s, bool spaces, bool *good)
{
    *d = (struct decimal){0};
    size_t n = digit_run(s);
    if (n == 0 && !(s[0] == '.' && digit(s[1])))
        return NULL;
    bool grouped = n >= 1 && n <= 3 && s[0] != '0';
    *good = take(d, s, n) && *good;
    s += n;
    char separator = *s;
    while (grouped && (separator == ',' || (spaces && separator == ' ')) && *s == separator && digit_run(s + 1) == 3) {
        *good = take(d, s + 1, 3) && *good;
        s += 4;
    }
    if (s[0] == '.' && digit(s[1])) {
        n = digit_run(s + 1);
        *good = take(d, s + 1, n) && *good;
        d->scale = (long)n;
        s += 1 + n;
    }
    return s;
}

static const char *skip_spaces(const char *s)
{
    while (*s == ' ')
        s++;
    return s;
}

/* e-3, * 10^{-3}, x 10^3 after a decimal: moves its point. NULL when there is none. */
static const char *read_exponent(struct decimal *d, const char *s, bool *good)
{
    bool brace = false;
    if ((*s == 'e' || *s == 'E') && (digit(s[1]) || ((s[1] == '-' || s[1] == '+') && digit(s[2])))) {
        s++;
    } else {
        s = skip_spaces(s);
        if (*s != '*' && *s != 'x')
            return NULL;
        s = skip_spaces(s + 1);
        if (!starts(s, "10^"))
            return NULL;
        s += 3;
        brace = *s == '{';
        s += brace;
    }
    bool negative = *s == '-';
    s += *s == '-' || *s == '+';
    size_t n = digit_run(s);
    if (n == 0)
        return NULL;
    long e = n <= 3 ? strtol(s, NULL, 10) : MAX_EXPONENT + 1;
    *good = *good && e <= MAX_EXPONENT && (!brace || s[n] == '}');
    d->scale += negative ? e : -e;
    return s + n + (brace && s[n] == '}');
}

/* A number at s, without its sign; strict: the text is meant as one number, so spaces may group thousands and stand around '/'. */
static const char *read_number(struct reading *r, const char *s, bool strict)
{
    r->good = true;
    r->over.n = r->under.n = 0;
    s = read_decimal(&r->whole, s, strict, &r->good);
    if (!s)
        return NULL;
    const char *end = read_exponent(&r->whole, s, &r->good);
    if (end) {
        s = end;
    } else {
        const char *slash = strict ? skip_spaces(s) : s;
        if (*slash == '/') {
            const char *under = strict ? skip_spaces(slash + 1) : slash + 1;
            bool negative = *under == '-';
            r->over = r->whole;
            end = read_decimal(&r->under, under + negative, false, &r->good);
            if (end) {
                r->under.negative = negative;
                r->whole = (struct decimal){.digits = "0", .n = 1};
                s = end;
            } else {
                r->over.n = r->under.n = 0; /* "5/hour" */
            }
        } else if (r->whole.scale == 0 && *s == ' ' && digit(*skip_spaces(s))) { /* a mixed number: 2 1/2 */
            const char *over = skip_spaces(s);
            size_t n = digit_run(over), m = over[n] == '/' ? digit_run(over + n + 1) : 0;
            if (m && (n < m || (n == m && strncmp(over, over + n + 1, n) < 0))) {
                r->good = take(&r->over, over, n) && take(&r->under, over + n + 1, m) && r->good;
                r->over.scale = r->under.scale = 0;
                r->over.negative = r->under.negative = false;
                s = over + n + 1 + m;
            }
        }
    }
    /* Times of day, dates, versions, powers: not numbers, and their parts are not either. */
    while (((*s == ':' || *s == '.' || *s == '/') && digit(s[1])) || *s == '^') {
        r->good = false;
        s++;
        s += strspn(s, "0123456789{}+-");
    }
    return s;
}

static BIGNUM *big_of(const struct decimal *d)
{
    BIGNUM *v = NULL;
    must(BN_dec2bn(&v, d->n ? d->digits : "0"));
    BN_set_negative(v, d->negative);
    return v;
}

/* v *= 10^n */
static void shift(BIGNUM *v, long n)
{
    for (; n > 0; n--)
        must(BN_mul_word(v, 10));
}

/* The reading as num/den in lowest terms; NULL over zero. */
static char *canon_of(const struct reading *r, bool negative)
{
    BN_CTX *ctx = BN_CTX_new();
    BIGNUM *num = big_of(&r->whole), *den = BN_new(), *gcd = BN_new();
    must(ctx && den && gcd && BN_one(den));
    shift(r->whole.scale > 0 ? den : num, labs(r->whole.scale));
    bool fine = true;
    if (r->under.n) { /* num/den + over/under */
        BIGNUM *over = big_of(&r->over), *under = big_of(&r->under);
        shift(under, r->over.scale);
        shift(over, r->under.scale);
        fine = !BN_is_zero(under);
        must(BN_mul(num, num, under, ctx) && BN_mul(over, over, den, ctx) && BN_add(num, num, over) && BN_mul(den, den, under, ctx));
        BN_free(over);
        BN_free(under);
    }
    char *canon = NULL;
    if (fine) {
        must(BN_gcd(gcd, num, den, ctx) && BN_div(num, NULL, num, gcd, ctx) && BN_div(den, NULL, den, gcd, ctx));
        bool minus = !BN_is_zero(num) && (BN_is_negative(num) ^ BN_is_negative(den) ^ negative);
        BN_set_negative(num, minus);
        BN_set_negative(den, 0);
        char *top = BN_bn2dec(num), *bottom = BN_bn2dec(den);
        must(top && bottom);
        canon = strcmp(bottom, "1") == 0 ? xstrdup(top) : xprintf("%s/%s", top, bottom);
        OPENSSL_free(top);
        OPENSSL_free(bottom);
    }
    BN_free(num);
    BN_free(den);
    BN_free(gcd);
    BN_CTX_free(ctx);
    return canon;
}

/* ---- finding numbers in text ---- */

void number_free(struct number *v)
{
    free(v->text);
    free(v->canon);
    *v = (struct number){0};
}

/* The next number at or after *s in text that plain() made: fills v when it is one that we understand. False at the end of the text. */
static bool next_number(struct number *v, const char *text, const char **s, bool strict)
{
    for (const char *p = *s; *p; p++) {
        if (!digit(*p) && !(*p == '.' && digit(p[1])))
            continue;
        char before = p > text ? p[-1] : ' ';
        if (isalnum((unsigned char)before) || before == '_' || before == '^' || (before == '{' && p > text + 1 && strchr("_^", p[-2]))) {
            p += digit_run(p) ? digit_run(p) - 1 : 0; /* part of a word, an index, an exponent */
            continue;
        }
        /* A sign touches its number and follows nothing that could be subtracted from. */
        const char *from = p;
        if (before == '-' || before == '+') {
            const char *q = p - 1;
            const char *left = q;
            while (left > text && left[-1] == ' ')
                left--;
            bool minus_of = left > text && (digit(left[-1]) || strchr(")]}%", left[-1]) || (left == q && isalnum((unsigned char)left[-1])));
            from = minus_of ? p : q;
        }
        struct reading r;
        const char *end = read_number(&r, p, strict);
        must(end && end > p);
        if (from > text && from < p && (from[-1] == '-' || from[-1] == '+'))
            r.good = false; /* --3 */
        *s = end;
        number_free(v);
        v->canon = r.good ? canon_of(&r, *from == '-') : NULL;
        if (v->canon)
            v->text = xprintf("%.*s", (int)(end - from), from);
        return true;
    }
    return false;
}

bool number_first(struct number *v, const char *text)
{
    char *t = plain(text);
    const char *s = t;
    *v = (struct number){0};
    while (!v->canon && next_number(v, t, &s, false))
        continue;
    free(t);
    return v->canon;
}

bool number_last(struct number *v, const char *text)
{
    char *t = plain(text);
    const char *s = t;
    struct number next = {0};
    *v = (struct number){0};
    while (next_number(&next, t, &s, false))
        if (next.canon) {
            number_free(v);
            *v = next;
            next = (struct number){0};
        }
    free(t);
    return v->canon;
}

/* What may stand around a single number: units in letters with their powers, brackets, a full stop. No operator, no second number. */
static bool only_units(const char *from, const char *to)
{
    for (const char *p = from; p < to; p++) {
        if (isalpha((unsigned char)*p) || strchr(" .%{}()/'\n\t", *p) || (unsigned char)*p >= 0x80)
            continue;
        if (*p == '^' && p > from + 1 && isalpha((unsigned char)p[p[-1] == '}' ? -2 : -1])) { /* cm^2, \text{cm}^2 */
            p += strspn(p + 1, "{}-0123456789");
            continue;
        }
        return false;
    }
    return true;
}

/* Cuts t at its last "=": what is left of it, back to the "=" before, must be a name ("x", "total cost") or arithmetic ("6*3"), but not
 * an equation in unknowns ("2x+z"). Returns what is right of it; NULL: such an equation. */
static char *right_side(char *t)
{
    char *equals = strrchr(t, '=');
    if (!equals)
        return t;
    *equals = 0;
    const char *before = strrchr(t, '='), *left = before ? before + 1 : t;
    bool letters = false;
    for (const char *p = left; *p; p++)
        letters = letters || isalpha((unsigned char)*p);
    return letters && strpbrk(left, "+-*/^0123456789") ? NULL : equals + 1;
}

bool number_single(struct number *v, const char *text)
{
    *v = (struct number){0};
    char *t = plain(text), *s = right_side(t);
    if (!s) {
        free(t);
        return false;
    }
    s += strspn(s, " \n\t(");
    if (*s == '-' && s[1] == ' ') { /* "- 3": nothing to subtract from */
        char *d = s + 1 + strspn(s + 1, " ");
        d[-1] = '-';
        s = d - 1;
    }
    const char *at = s;
    bool ok = next_number(v, s, &at, true) && v->canon;
    if (ok) {
        size_t shown = strlen(v->text);
        ok = only_units(s, at - shown) && only_units(at, at + strlen(at));
    }
    if (!ok)
        number_free(v);
    free(t);
    return ok;
}
