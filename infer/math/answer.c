/* infer/math/answer.c - what stands around expressions in an answer: units, relations, sets, tuples, matrices, lists. See parse.h. */
#include "infer/math/parse.h"
#include "core/err.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool ends_item(const struct parser *p)
{
    const struct math_token *t = p->at;
    if (t->kind == TOK_END)
        return true;
    if (t->kind != TOK_SIGN)
        return false;
    switch (t->c) {
    case ',':
    case ';':
    case ')':
    case ']':
    case '}':
    case '&':
    case '=':
    case '<':
    case '>':
    case SIGN_LE:
    case SIGN_GE:
    case SIGN_NE:
    case SIGN_ABOUT:
    case SIGN_IN:
    case SIGN_CUP:
    case SIGN_SETMINUS:
    case SIGN_SET_CLOSE:
    case SIGN_AND:
    case SIGN_ROW:
    case SIGN_FINISH:
        return true;
    }
    return false;
}

/* ---- words ---- */

struct words {
    char text[256];
    size_t n;
};
static void say(struct words *w, const char *s)
{
    int k = snprintf(w->text + w->n, sizeof(w->text) - w->n, "%s", s);
    w->n = w->n + (size_t)k < sizeof(w->text) ? w->n + (size_t)k : sizeof(w->text) - 1;
}
static const char *kept(struct math *m, const struct words *w)
{
    return strcpy(math_alloc(m, w->n + 1), w->text);
}

/* The unit behind a value: words with powers, "/" and "per" between; "(miles)". NULL: none. */
static const char *unit(struct parser *p)
{
    struct words w = {0};
    bool bracket = is_sign(p, '(') && p->at[1].kind == TOK_WORD;
    p->at += bracket;
    for (bool divided = false; p->at->kind == TOK_WORD || (divided && p->at->kind == TOK_ID);) {
        bool per = strcmp(p->at->text, "per") == 0;
        if (w.n && !divided && !per)
            say(&w, " ");
        say(&w, per ? "/" : p->at->text);
        p->at++;
        divided = per;
        if (is_sign(p, '^')) {
            const struct math_token *t = p->at + 1;
            bool brace = t->kind == TOK_SIGN && t->c == '{';
            t += brace;
            bool minus = t->kind == TOK_SIGN && t->c == '-';
            t += minus;
            if (t->kind != TOK_NUM || (brace && !(t[1].kind == TOK_SIGN && t[1].c == '}')))
                return NULL;
            say(&w, minus ? "^-" : "^");
            say(&w, t->text);
            p->at += t - p->at + 1 + brace;
        }
        if (is_sign(p, '/') || is_sign(p, '*')) {
            say(&w, is_sign(p, '/') ? "/" : " ");
            divided = true;
            p->at++;
        }
    }
    if (bracket && !eat(p, ')'))
        return NULL;
    return w.n ? kept(p->m, &w) : NULL;
}

/* Words before a relation or alone. */
static struct math_node *text(struct parser *p)
{
    struct words w = {0};
    for (; p->at->kind == TOK_WORD || p->at->kind == TOK_ID; p->at++) {
        if (w.n)
            say(&w, " ");
        say(&w, p->at->text);
    }
    for (char *c = w.text; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    return ends_item(p) ? math_leaf(p->m, MATH_TEXT, kept(p->m, &w)) : NULL;
}

static bool has_number(const struct math_node *x)
{
    if (x->op == MATH_NUM)
        return true;
    for (int i = 0; i < x->n; i++)
        if (has_number(x->kid[i]))
            return true;
    return false;
}

/* ---- items ---- */

static struct math_node *ratio(struct parser *p, struct math_node *x)
{
    struct math_node *r = math_new(p->m, MATH_RATIO, 1, x);
    while (eat(p, ':')) {
        struct math_node *y = math_sum(p);
        if (!y)
            return NULL;
        math_grow(p->m, r, y);
    }
    const struct math_node *hours = r->kid[0], *minutes = r->kid[1];
    r->base =
        math_is_whole(hours) && math_is_whole(minutes) && strlen(hours->name) <= 2 && strlen(minutes->name) == 2 && minutes->name[0] < '6';
    return r;
}

/* A value with what belongs to it. */
static struct math_node *value(struct parser *p)
{
    if (p->at->kind == TOK_WORD)
        return text(p);
    p->money = false;
    struct math_node *x = math_sum(p);
    if (!x)
        return NULL;
    bool money = p->money || eat(p, SIGN_MONEY);
    if (is_sign(p, ':') && x->op <= MATH_RATIO)
        x = ratio(p, x);
    if (x && !ends_item(p)) {
        const char *u = unit(p);
        if (!u || !ends_item(p) || x->op >= MATH_LIST || !has_number(x))
            return NULL;
        x = math_new(p->m, MATH_UNIT, 1, x);
        x->name = u;
    } else if (x && money) {
        x = math_new(p->m, MATH_UNIT, 1, x);
        x->name = "dollar";
    }
    return x;
}

static struct math_node *regions(struct parser *p)
{
    struct math_node *x = value(p);
    while (x && (is_sign(p, SIGN_CUP) || is_sign(p, SIGN_SETMINUS))) {
        enum math_op op = is_sign(p, SIGN_CUP) ? MATH_UNION : MATH_MINUS;
        p->at++;
        struct math_node *y = value(p);
        x = !y ? NULL : x->op == op && op == MATH_UNION ? math_grow(p->m, x, y) : math_new(p->m, op, 2, x, y);
    }
    return x;
}

static char relation(const struct parser *p)
{
    static const struct {
        int sign;
        char code;
    } codes[] = {{'=', '='}, {'<', '<'}, {'>', '>'}, {SIGN_LE, 'L'}, {SIGN_GE, 'G'}, {SIGN_NE, '!'}, {SIGN_ABOUT, '~'}, {SIGN_IN, 'i'}};
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        if (is_sign(p, codes[i].sign))
            return codes[i].code;
    return 0;
}

static struct math_node *item(struct parser *p)
{
    while (eat(p, '=') || eat(p, SIGN_ABOUT)) /* "= 5" of a chain whose beginning stands elsewhere */
        continue;
    struct math_node *x = regions(p);
    if (!x || !relation(p))
        return x;
    struct math_node *chain = math_new(p->m, MATH_REL, 1, x);
    char ops[16] = "";
    int n = 0;
    for (char op; (op = relation(p)) != 0;) {
        p->at++;
        x = n < (int)sizeof(ops) - 1 ? regions(p) : NULL;
        if (!x)
            return NULL;
        ops[n++] = op;
        math_grow(p->m, chain, x);
    }
    chain->name = strcpy(math_alloc(p->m, sizeof(ops)), ops);
    return chain;
}

static bool separator(struct parser *p)
{
    bool any = false;
    while (eat(p, ',') || eat(p, ';') || eat(p, SIGN_AND))
        any = true;
    return any;
}

/* Items and separators into x, up to something else. */
static struct math_node *items(struct parser *p, struct math_node *x)
{
    do {
        struct math_node *y = item(p);
        if (!y)
            return NULL;
        math_grow(p->m, x, y);
    } while (separator(p) && p->at->kind != TOK_END && !is_sign(p, SIGN_SET_CLOSE));
    return x;
}

/* ---- brackets ---- */

static struct math_node *environment(struct parser *p)
{
    const char *name = (p->at++)->text;
    static const char *const grids[] = {"pmatrix", "bmatrix", "matrix", "array", "smallmatrix", "Bmatrix"}, *const lists[] = {
                                                                                                                "cases", "aligned",
                                                                                                                "align*", "gathered"};
    bool grid = false, list = false;
    for (int i = 0; i < 6; i++)
        grid = grid || strcmp(name, grids[i]) == 0;
    for (int i = 0; i < 4; i++)
        list = list || strcmp(name, lists[i]) == 0;
    if (!grid && !list)
        return NULL;
    struct math_node *x = math_leaf(p->m, grid ? MATH_MATRIX : MATH_LIST, NULL);
    while (!is_sign(p, SIGN_FINISH)) {
        int columns = 0;
        do {
            struct math_node *cell = grid ? math_sum(p) : item(p);
            if (!cell)
                return NULL;
            math_grow(p->m, x, cell);
            columns++;
        } while (grid ? eat(p, '&') : separator(p));
        if (x->rows && columns != x->cols && grid)
            return NULL;
        x->cols = columns;
        x->rows++;
        if (!eat(p, SIGN_ROW) && !is_sign(p, SIGN_FINISH))
            return NULL;
    }
    return strcmp((p->at++)->text, name) == 0 && x->n ? x : NULL;
}

struct math_node *math_bracket(struct parser *p)
{
    if (eat(p, SIGN_EMPTY))
        return math_leaf(p->m, MATH_SET, NULL);
    if (is_sign(p, SIGN_BEGIN))
        return environment(p);
    int open = (p->at++)->c;
    bool bars = p->in_bars, money = p->money;
    p->in_bars = false;
    struct math_node *x = math_leaf(p->m, open == SIGN_SET_OPEN ? MATH_SET : MATH_TUPLE, NULL);
    if (open == SIGN_SET_OPEN) {
        x = is_sign(p, SIGN_SET_CLOSE) ? x : items(p, x);
        x = x && eat(p, SIGN_SET_CLOSE) ? x : NULL;
    } else if ((x = items(p, x)) != NULL) {
        x->open = (char)open;
        x->close = is_sign(p, ')') ? ')' : ']';
        if (!eat(p, ')') && !eat(p, ']')) {
            x = NULL;
        } else if (x->n == 1) { /* only brackets around something */
            bool same = (open == '(') == (x->close == ')');
            x = x->kid[0];
            x->paren = true;
            x = same && x->op != MATH_LIST ? x : NULL;
        }
    }
    p->in_bars = bars;
    p->money = p->money || money;
    return x;
}

/* ---- the whole ---- */

struct math_node *math_parse(struct math *m, const char *s, bool commas)
{
    struct parser p = {.m = m, .at = math_lex(m, s, commas)};
    if (!p.at || p.at->kind == TOK_END)
        return NULL;
    separator(&p);
    struct math_node *x = items(&p, math_leaf(m, MATH_LIST, NULL));
    if (!x || p.at->kind != TOK_END)
        return NULL;
    return x->n == 1 ? x->kid[0] : x;
}

const char *math_words(struct math *m, const char *s)
{
    size_t n = strlen(s);
    char *out = math_alloc(m, n + 1), *to = out;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c == '\\') {
            size_t k = 1;
            while (isalpha((unsigned char)s[i + k]))
                k++;
            static const char *const dress[] = {"\\text",   "\\textbf",       "\\textit", "\\textrm", "\\mathrm", "\\mbox",
                                                "\\mathbf", "\\operatorname", "\\left",   "\\right",  "\\quad",   "\\boxed"};
            bool worn = k == 1;
            for (size_t j = 0; j < sizeof(dress) / sizeof(dress[0]); j++)
                worn = worn || (strlen(dress[j]) == k && memcmp(dress[j], s + i, k) == 0);
            if (!worn) {
                memcpy(to, s + i, k);
                to += k;
            } else if (to > out && to[-1] != ' ') {
                *to++ = ' ';
            }
            i += k == 1 && s[i + 1] ? k : k - 1;
        } else if (strchr(" \t\n\r{}$.!?\"'`*~", c) && c) {
            if (to > out && to[-1] != ' ')
                *to++ = ' ';
        } else {
            *to++ = (char)tolower(c);
        }
    }
    while (to > out && to[-1] == ' ')
        to--;
    *to = 0;
    return out;
}
