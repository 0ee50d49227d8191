/* infer/math/parse.c - expressions: tokens to trees, by recursive descent. What stands around them (lists, relations, units) is read in
 * answer.c, which calls scalar() here and is called back for what is in brackets. */
#include "infer/math/parse.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

static struct math_node *join(struct math *m, enum math_op op, struct math_node *a, struct math_node *b)
{
    return a->op == op && !a->paren ? math_grow(m, a, b) : math_new(m, op, 2, a, b);
}

/* ---- small pieces ---- */

/* The argument of a LaTeX command: a group, or a letter by itself, or a number: split (after \frac), its first digit; else all of it, which
 * is what people mean by 2^10 and \sqrt12. */
static struct math_node *argument(struct parser *p, bool split)
{
    if (eat(p, '{')) {
        struct math_node *x = math_sum(p);
        return x && eat(p, '}') ? x : NULL;
    }
    struct math_token *t = p->at;
    if (t->kind == TOK_NUM) {
        const char *digit = t->text;
        if (!split || digit[1] == 0 || digit[0] == '.' || digit[1] == '.') {
            p->at++;
            return math_leaf(p->m, MATH_NUM, digit);
        }
        char *one = math_alloc(p->m, 2);
        one[0] = digit[0];
        t->text = digit + 1;
        return math_leaf(p->m, MATH_NUM, one);
    }
    if (t->kind == TOK_ID) {
        p->at++;
        return math_leaf(p->m, MATH_SYM, t->text);
    }
    if (t->kind == TOK_FN || is_sign(p, SIGN_SET_OPEN) || is_sign(p, '('))
        return math_primary(p);
    return NULL;
}

static const char *canonical(const char *fn)
{
    static const char *const same[][2] = {{"asin", "arcsin"}, {"acos", "arccos"}, {"atan", "arctan"}};
    for (int i = 0; i < 3; i++)
        if (strcmp(fn, same[i][0]) == 0)
            return same[i][1];
    return fn;
}

static struct math_node *call(struct parser *p, const char *name, struct math_node *a, struct math_node *b)
{
    struct math_node *x = b ? math_new(p->m, MATH_FN, 2, a, b) : math_new(p->m, MATH_FN, 1, a);
    x->name = name;
    return x;
}

/* What a function without brackets applies to: "2 \theta", "\frac{\pi}{7}", "x": juxtaposed factors up to another function, a bracket, a
 * sign. */
static struct math_node *bare_argument(struct parser *p)
{
    bool minus = eat(p, '-');
    struct math_node *x = math_power(p);
    if (!x || is_sign(p, '!'))
        return NULL;
    while (p->at->kind == TOK_ID || p->at->kind == TOK_NUM || (p->at->kind == TOK_FN && strcmp(p->at->text, "frac") == 0)) {
        struct math_node *y = math_power(p);
        if (!y)
            return NULL;
        x = join(p->m, MATH_MUL, x, y);
    }
    const struct math_node *last = x->op == MATH_MUL ? x->kid[x->n - 1] : x;
    if (last->op == MATH_SYM && strcmp(last->name, "pi") == 0 && is_sign(p, '/') && p->at[1].kind == TOK_NUM) { /* \sin \pi/6 */
        p->at++;
        x = math_new(p->m, MATH_DIV, 2, x, math_leaf(p->m, MATH_NUM, (p->at++)->text));
    }
    return minus ? math_new(p->m, MATH_NEG, 1, x) : x;
}

/* ( a, b, … ) after a function's name. */
static struct math_node *arguments(struct parser *p, const char *name)
{
    struct math_node *x = math_leaf(p->m, MATH_FN, name);
    do {
        struct math_node *a = math_sum(p);
        if (!a)
            return NULL;
        math_grow(p->m, x, a);
    } while (eat(p, ','));
    return eat(p, ')') ? x : NULL;
}

static struct math_node *function(struct parser *p)
{
    const char *name = canonical((p->at++)->text);
    struct math_node *a, *b = NULL, *power = NULL;
    if (strcmp(name, "frac") == 0 || strcmp(name, "binom") == 0) {
        a = argument(p, true);
        b = a ? argument(p, true) : NULL;
        if (!b)
            return NULL;
        return name[0] == 'f' ? math_new(p->m, MATH_DIV, 2, a, b) : call(p, name, a, b);
    }
    if (strcmp(name, "sqrt") == 0) {
        if (eat(p, '[')) {
            b = math_sum(p);
            if (!b || !eat(p, ']'))
                return NULL;
        }
        a = argument(p, false);
        return a ? call(p, name, a, b) : NULL;
    }
    if (eat(p, '_')) {
        b = argument(p, false);
        if (!b)
            return NULL;
    }
    if (eat(p, '^')) { /* \sin^2 x, \sin^{-1} x */
        power = argument(p, false);
        if (!power)
            return NULL;
    }
    if (eat(p, '_') && !(b = argument(p, false)))
        return NULL;
    if (is_sign(p, '(')) {
        p->at++;
        a = arguments(p, name);
        if (a && b)
            math_grow(p->m, a, b);
    } else if (eat(p, '{')) {
        a = math_sum(p);
        a = a && eat(p, '}') ? call(p, name, a, b) : NULL;
    } else {
        a = bare_argument(p);
        a = a ? call(p, name, a, b) : NULL;
    }
    if (!a || !power)
        return a;
    bool inverse = power->op == MATH_NEG && power->kid[0]->op == MATH_NUM && strcmp(power->kid[0]->name, "1") == 0;
    if (inverse && !b && strlen(name) == 3 && strcmp(name, "log") != 0) {
        char *arc = math_alloc(p->m, 8);
        strcpy(stpcpy(arc, "arc"), name);
        a->name = arc;
        return a;
    }
    return math_new(p->m, MATH_POW, 2, a, power);
}

/* |x|, \lfloor x \rfloor: up to the sign close. */
static struct math_node *enclosed(struct parser *p, const char *name, int close)
{
    bool outer = p->in_bars;
    p->in_bars = close == '|';
    struct math_node *x = math_sum(p);
    p->in_bars = outer;
    return x && eat(p, close) ? call(p, name, x, NULL) : NULL;
}

/* A letter with its index and primes. */
static struct math_node *symbol(struct parser *p)
{
    char name[128];
    size_t n = (size_t)snprintf(name, sizeof(name), "%s", (p->at++)->text);
    for (bool more = true; more && n < sizeof(name) - 2;) {
        more = false;
        if (is_sign(p, '\'')) {
            p->at++;
            name[n++] = '\'';
            more = true;
        } else if (is_sign(p, '_')) {
            p->at++;
            name[n++] = '_';
            int open = 0;
            do { /* the index as it is written, without blanks */
                struct math_token *t = p->at;
                if (t->kind == TOK_END)
                    return NULL;
                open += is_sign(p, '{') - is_sign(p, '}');
                if (!is_sign(p, '{') && !is_sign(p, '}')) {
                    char c[2] = {t->kind == TOK_SIGN && t->c < 256 ? (char)t->c : '?', 0};
                    n += (size_t)snprintf(name + n, sizeof(name) - n, "%s", t->text ? t->text : c);
                    if (n >= sizeof(name) - 2)
                        return NULL;
                }
                p->at++;
            } while (open > 0);
            more = true;
        }
    }
    name[n] = 0;
    char *kept = math_alloc(p->m, n + 1);
    memcpy(kept, name, n + 1);
    return math_leaf(p->m, MATH_SYM, kept);
}

/* over < under, both whole? Then a number before it makes a mixed number. */
static bool proper(const struct math_node *x)
{
    if (x->op != MATH_DIV || x->paren || !math_is_whole(x->kid[0]) || !math_is_whole(x->kid[1]))
        return false;
    const char *a = x->kid[0]->name, *b = x->kid[1]->name;
    return strlen(a) < strlen(b) || (strlen(a) == strlen(b) && strcmp(a, b) < 0);
}

static struct math_node *numeral(struct parser *p)
{
    struct math_token *t = p->at++;
    struct math_node *x = math_leaf(p->m, MATH_NUM, t->text);
    if (is_sign(p, '_')) { /* a base */
        p->at++;
        struct math_node *base = argument(p, false);
        int b = base && math_is_whole(base) && strlen(base->name) <= 2
                    ? (base->name[0] - '0') * (base->name[1] ? 10 : 1) + (base->name[1] ? base->name[1] - '0' : 0)
                    : 0;
        if (b < 2 || b > 36 || !math_is_whole(x))
            return NULL;
        x->base = b;
        for (const char *d = x->name; *d; d++)
            if (*d - '0' >= b)
                return NULL;
        return x;
    }
    if (!math_is_whole(x))
        return x;
    /* Mixed numbers: 3\frac12, 2 1/2. */
    struct math_token *from = p->at;
    if (p->at->kind == TOK_FN && strcmp(p->at->text, "frac") == 0) {
        const char *digits[2] = {from[1].text, from[2].text}; /* \frac12 splits a token: put it back when it is no mixed number */
        struct math_node *f = function(p);
        if (f && proper(f) && !is_sign(p, '^') && !is_sign(p, '_'))
            return math_new(p->m, MATH_ADD, 2, x, f);
        p->at = from;
        if (from[1].kind == TOK_NUM)
            from[1].text = digits[0];
        if (from[1].kind != TOK_END && from[2].kind == TOK_NUM)
            from[2].text = digits[1];
    } else if (from->kind == TOK_NUM && from->space && from[1].kind == TOK_SIGN && from[1].c == '/' && from[2].kind == TOK_NUM) {
        struct math_node *f = math_new(p->m, MATH_DIV, 2, math_leaf(p->m, MATH_NUM, from->text), math_leaf(p->m, MATH_NUM, from[2].text));
        if (proper(f)) {
            p->at = from + 3;
            return math_new(p->m, MATH_ADD, 2, x, f);
        }
    }
    return x;
}

struct math_node *math_primary(struct parser *p)
{
    if (p->depth >= MATH_MAX_DEPTH)
        return NULL;
    p->depth++;
    struct math_token *t = p->at;
    struct math_node *x = NULL;
    switch (t->kind) {
    case TOK_NUM:
        x = numeral(p);
        break;
    case TOK_ID:
        x = symbol(p);
        break;
    case TOK_FN:
        x = function(p);
        break;
    case TOK_SIGN:
        if (t->c == '{') {
            p->at++;
            x = math_sum(p);
            x = x && eat(p, '}') ? x : NULL;
            if (x)
                x->paren = true;
        } else if (t->c == '(' || t->c == '[' || t->c == SIGN_SET_OPEN || t->c == SIGN_BEGIN || t->c == SIGN_EMPTY) {
            x = math_bracket(p);
        } else if (t->c == SIGN_MONEY) {
            p->at++;
            p->money = true;
            x = math_primary(p);
        } else if (t->c == '|' && !p->in_bars) {
            p->at++;
            x = enclosed(p, "abs", '|');
        } else if (t->c == SIGN_BAR_OPEN) {
            p->at++;
            x = enclosed(p, "abs", SIGN_BAR_CLOSE);
        } else if (t->c == SIGN_FLOOR_OPEN) {
            p->at++;
            x = enclosed(p, "floor", SIGN_FLOOR_CLOSE);
        } else if (t->c == SIGN_CEIL_OPEN) {
            p->at++;
            x = enclosed(p, "ceil", SIGN_CEIL_CLOSE);
        }
        break;
    default:
        break;
    }
    p->depth--;
    return x;
}

/* ---- operators ---- */

static bool scalar(const struct math_node *x)
{
    return x->op <= MATH_RATIO;
}

struct math_node *math_power(struct parser *p)
{
    struct math_node *x = math_primary(p);
    while (x) {
        if (is_sign(p, '!')) {
            p->at++;
            x = call(p, "factorial", x, NULL);
        } else if (is_sign(p, SIGN_DEG)) {
            p->at++;
            x = math_new(p->m, MATH_DEG, 1, x);
            if (p->at->kind == TOK_ID && (strcmp(p->at->text, "C") == 0 || strcmp(p->at->text, "F") == 0))
                p->at++;
        } else if (is_sign(p, '%')) {
            p->at++;
            x = math_new(p->m, MATH_PCT, 1, x);
        } else if (is_sign(p, '^') || (p->at->kind == TOK_SIGN && p->at->c == '*' && p->at[1].kind == TOK_SIGN && p->at[1].c == '*')) {
            p->at += is_sign(p, '^') ? 1 : 2;
            if (p->depth >= MATH_MAX_DEPTH || !scalar(x))
                return NULL;
            p->depth++;
            bool minus = eat(p, '-');
            struct math_node *e = minus ? math_power(p) : argument(p, false);
            p->depth--;
            if (!e)
                return NULL;
            return math_new(p->m, MATH_POW, 2, x, minus ? math_new(p->m, MATH_NEG, 1, e) : e);
        } else {
            break;
        }
    }
    return x;
}

static bool begins_factor(const struct parser *p)
{
    const struct math_token *t = p->at;
    if (t->kind == TOK_NUM || t->kind == TOK_ID || t->kind == TOK_FN)
        return true;
    if (t->kind != TOK_SIGN)
        return false;
    return t->c == '(' || t->c == '{' || t->c == SIGN_BAR_OPEN || t->c == SIGN_FLOOR_OPEN || t->c == SIGN_CEIL_OPEN || t->c == SIGN_BEGIN ||
           t->c == '[' || (t->c == '|' && !p->in_bars);
}

static struct math_node *signed_factor(struct parser *p)
{
    bool minus = false;
    for (; is_sign(p, '-') || is_sign(p, '+'); p->at++)
        minus ^= is_sign(p, '-');
    struct math_node *x = math_power(p);
    return x && minus ? math_new(p->m, MATH_NEG, 1, x) : x;
}

/* A product. After a slash, juxtaposed letters belong to what is divided by (1/bc), but a number divides alone (1/2 x). */
static struct math_node *product(struct parser *p)
{
    struct math_node *x = math_power(p);
    while (x) {
        if (eat(p, '*')) {
            struct math_node *y = signed_factor(p);
            x = y ? join(p->m, MATH_MUL, x, y) : NULL;
        } else if (is_sign(p, '/') && p->at[1].kind != TOK_WORD) {
            p->at++;
            struct math_node *y = signed_factor(p);
            bool letter = y && y->op == MATH_SYM;
            while (letter && p->at->kind == TOK_ID && !p->at->space) {
                struct math_node *z = math_power(p);
                y = z ? join(p->m, MATH_MUL, y, z) : NULL;
                letter = y;
            }
            x = y ? math_new(p->m, MATH_DIV, 2, x, y) : NULL;
        } else if (begins_factor(p)) {
            struct math_token *t = p->at;
            if (t->kind == TOK_NUM && t[-1].kind == TOK_NUM)
                return NULL; /* 3 4: no product */
            struct math_node *y = math_power(p);
            x = y ? join(p->m, MATH_MUL, x, y) : NULL;
        } else {
            break;
        }
    }
    return x;
}

static struct math_node *sign_of(struct parser *p, struct math_node *x, bool upper)
{
    if (p->m->signs >= MATH_MAX_SIGNS && upper)
        return NULL;
    struct math_node *s = math_new(p->m, MATH_SIGN, 1, x);
    s->name = upper ? "+" : "-";
    s->id = upper ? p->m->signs++ : p->m->signs - 1; /* -+ goes with the +- before it */
    return s->id >= 0 ? s : NULL;
}

struct math_node *math_sum(struct parser *p)
{
    if (p->depth >= MATH_MAX_DEPTH)
        return NULL;
    p->depth++;
    struct math_node *x = NULL;
    for (bool first = true;; first = false) {
        bool minus = false, signs = false;
        int pm = 0;
        for (; is_sign(p, '-') || is_sign(p, '+') || is_sign(p, SIGN_PM) || is_sign(p, SIGN_MP); p->at++) {
            signs = true;
            minus ^= is_sign(p, '-');
            if (p->at->c == SIGN_PM || p->at->c == SIGN_MP)
                pm = p->at->c;
        }
        if (!first && !signs)
            break;
        struct math_node *y = product(p);
        if (y && minus)
            y = math_new(p->m, MATH_NEG, 1, y);
        if (y && pm)
            y = sign_of(p, y, pm == SIGN_PM);
        if (!y) {
            x = NULL;
            break;
        }
        x = x ? join(p->m, MATH_ADD, x, y) : y;
    }
    p->depth--;
    return x;
}
