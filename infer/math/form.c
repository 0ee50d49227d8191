/* infer/math/form.c - trees to forms. See form.h. */
#include "infer/math/form.h"
#include "infer/math/parse.h"
#include <ctype.h>
#include <string.h>

static struct math_form *form(struct math *m, enum math_kind kind, const struct math_node *x, unsigned signs)
{
    struct math_form *f = math_alloc(m, sizeof(*f));
    f->kind = kind;
    f->x = x;
    f->signs = signs;
    return f;
}

const struct math_node *math_difference(struct math *m, const struct math_node *a, const struct math_node *b)
{
    return math_new(m, MATH_ADD, 2, a, math_new(m, MATH_NEG, 1, b));
}

/* ---- what may stand left of "=" and only names the answer ---- */

static bool variable(const struct math_node *x)
{
    return x->op == MATH_SYM && math_traits_of(x).variables;
}

static bool all(const struct math_node *x, bool (*test)(const struct math_node *))
{
    for (int i = 0; i < x->n; i++)
        if (!test(x->kid[i]))
            return false;
    return x->n > 0;
}

/* AB, a segment; \angle ABC, whose sign the reader drops. */
static bool points(const struct math_node *x)
{
    return variable(x) && isupper((unsigned char)x->name[0]);
}

/* f(x), f(2), P(A): a name with brackets. */
static bool application(const struct math_node *x)
{
    if (x->op != MATH_MUL || x->n != 2 || !variable(x->kid[0]) || x->kid[0]->paren)
        return false;
    const struct math_node *a = x->kid[1];
    return a->op == MATH_TUPLE || (a->paren && (a->op == MATH_SYM || (a->op == MATH_NUM && strchr("fghpqFGHPQSTNVM", x->kid[0]->name[0]))));
}

static bool is_label(const struct math_node *x)
{
    switch (x->op) {
    case MATH_TEXT:
        return true;
    case MATH_SYM:
        return variable(x);
    case MATH_TUPLE:
        return all(x, variable);
    case MATH_MUL:
        return application(x) || all(x, points);
    case MATH_DIV:
        return x->kid[0]->op != MATH_SYM && is_label(x->kid[0]) && is_label(x->kid[1]);
    case MATH_FN: /* \cos A, |z| */
        return x->n == 1 && (variable(x->kid[0]) || all(x->kid[0], points));
    default:
        return false;
    }
}

static bool is_sum(const struct math_node *x)
{
    return x->op == MATH_ADD && all(x, variable);
}

/* ---- matrices and tuples times and plus ---- */

static bool grid(const struct math_node *x)
{
    return x->op == MATH_MATRIX || x->op == MATH_TUPLE;
}

/* x as one grid, if it is a sum or multiple of some; else x itself. */
static const struct math_node *spread(struct math *m, const struct math_node *x)
{
    if (x->op != MATH_NEG && x->op != MATH_MUL && x->op != MATH_ADD && x->op != MATH_DIV)
        return x;
    const struct math_node *g = NULL, *kid[64];
    if (x->n > 64)
        return x;
    int grids = 0;
    for (int i = 0; i < x->n; i++) {
        kid[i] = spread(m, x->kid[i]);
        if (grid(kid[i])) {
            bool fits = !g || (g->op == kid[i]->op && g->n == kid[i]->n && g->cols == kid[i]->cols);
            if (!fits)
                return x;
            g = kid[i];
            grids++;
        }
    }
    bool sum = x->op == MATH_ADD ? grids == x->n : grids == 1;
    if (!g || !sum || (x->op == MATH_DIV && kid[0] != g) || (x->op == MATH_MUL && application(x)))
        return x;
    struct math_node *out = math_leaf(m, g->op, NULL);
    out->rows = g->rows;
    out->cols = g->cols;
    out->open = g->open;
    out->close = g->close;
    for (int i = 0; i < g->n; i++) {
        struct math_node *cell = math_leaf(m, x->op, NULL);
        for (int k = 0; k < x->n; k++)
            math_grow(m, cell, grid(kid[k]) ? kid[k]->kid[i] : (struct math_node *)kid[k]);
        math_grow(m, out, cell);
    }
    return out;
}

/* ---- +- ---- */

/* Bits of the +- in x; sets and lists inside expand by themselves. */
static unsigned signs_in(const struct math_node *x)
{
    if (x->op == MATH_SET || x->op == MATH_LIST)
        return 0;
    unsigned bits = x->op == MATH_SIGN ? 1u << x->id : 0;
    for (int i = 0; i < x->n; i++)
        bits |= signs_in(x->kid[i]);
    return bits;
}

static bool append(struct math *m, struct math_form *f, struct math_form *item)
{
    if (!item)
        return false;
    if ((f->n & (f->n - 1)) == 0) {
        struct math_form **more = math_alloc(m, (size_t)(f->n ? 2 * f->n : 1) * sizeof(*more));
        if (f->n)
            memcpy(more, f->item, (size_t)f->n * sizeof(*more));
        f->item = more;
    }
    f->item[f->n++] = item;
    return true;
}

static struct math_form *of(struct math *m, const struct math_node *x, unsigned signs);

/* x once for every choice of its signs. */
static bool expand(struct math *m, struct math_form *into, const struct math_node *x)
{
    unsigned bits = signs_in(x);
    for (unsigned choice = bits;; choice = (choice - 1) & bits) {
        if (!append(m, into, of(m, x, bits & ~choice)))
            return false;
        if (choice == 0)
            return true;
    }
}

/* ---- relations ---- */

static bool exact_side(const struct math_node *x)
{
    return x->op <= MATH_RATIO && !math_traits_of(x).variables && !(x->op == MATH_NUM && strchr(x->name, '.'));
}

static bool decimal(const struct math_node *x)
{
    x = x->op == MATH_NEG || x->op == MATH_UNIT || x->op == MATH_PCT ? x->kid[0] : x;
    return x->op == MATH_NUM && strchr(x->name, '.');
}

static struct math_form *labelled(struct math *m, const struct math_node *label, const struct math_node *x, unsigned signs)
{
    struct math_form *f = of(m, x, signs);
    if (f && !f->label) {
        f->label = label;
        f->loose = is_sum(label);
    }
    return f;
}

/* k0 = k1 = ... : the value of the last, the first if it is a label. "\frac13 \approx 0.33" and "= \frac13 = 0.33" are a third. */
static struct math_form *equalities(struct math *m, const struct math_node *x, unsigned signs)
{
    int last = x->n - 1;
    const char *about = strchr(x->name, '~');
    if (about && !(about == x->name && is_label(x->kid[0])))
        last = (int)(about - x->name);
    if (last >= 2 && decimal(x->kid[last]) && exact_side(x->kid[last - 1]))
        last--;
    const struct math_node *left = x->kid[0], *right = x->kid[last];
    if (last == 0)
        return of(m, left, signs);
    if (last == 1 && decimal(right) && exact_side(left) && left->op != MATH_NUM)
        return of(m, left, signs);
    if (is_label(left) || is_sum(left))
        return labelled(m, left, right, signs);
    if (last == 1 && is_label(right))
        return labelled(m, right, left, signs);
    if (last > 1 || (left->op <= MATH_RATIO && !math_traits_of(left).variables))
        return of(m, right, signs);
    if (left->op > MATH_RATIO || right->op > MATH_RATIO)
        return NULL;
    return form(m, FORM_EQUATION, math_difference(m, left, right), signs);
}

static struct math_form *inequality(struct math *m, const struct math_node *a, char op, const struct math_node *b, unsigned signs)
{
    if (a->op > MATH_RATIO || b->op > MATH_RATIO)
        return NULL;
    if (op == '!')
        return form(m, FORM_UNEQUAL, math_difference(m, a, b), signs);
    bool less = op == '<' || op == 'L';
    struct math_form *f = form(m, FORM_LESS, NULL, signs);
    f->small = less ? a : b;
    f->large = less ? b : a;
    f->x = math_difference(m, f->large, f->small);
    f->strict = op == '<' || op == '>';
    return f;
}

static struct math_form *relation(struct math *m, const struct math_node *x, unsigned signs)
{
    if (strspn(x->name, "=~") == strlen(x->name))
        return equalities(m, x, signs);
    if (strcmp(x->name, "i") == 0)
        return labelled(m, x->kid[0], x->kid[1], signs);
    if (strspn(x->name, "<>LG!") != strlen(x->name))
        return NULL;
    if (x->n == 2)
        return inequality(m, x->kid[0], x->name[0], x->kid[1], signs);
    /* a < x < b: both hold */
    struct math_form *f = form(m, FORM_REGION, x, signs);
    for (int i = 0; i + 1 < x->n; i++)
        if (x->name[i] == '!' || !append(m, f, inequality(m, x->kid[i], x->name[i], x->kid[i + 1], signs)))
            return NULL;
    return f;
}

static struct math_form *of(struct math *m, const struct math_node *x, unsigned signs)
{
    x = spread(m, x);
    struct math_form *f;
    switch (x->op) {
    case MATH_TEXT:
        return form(m, FORM_TEXT, x, signs);
    case MATH_REL:
        return relation(m, x, signs);
    case MATH_LIST:
    case MATH_SET:
        f = form(m, x->op == MATH_SET ? FORM_SET : FORM_LIST, x, signs);
        for (int i = 0; i < x->n; i++)
            if (!expand(m, f, x->kid[i]))
                return NULL;
        return f;
    case MATH_TUPLE:
    case MATH_MATRIX:
    case MATH_UNION:
    case MATH_MINUS:
        f = form(m, x->op == MATH_TUPLE ? FORM_TUPLE : x->op == MATH_MATRIX ? FORM_MATRIX : FORM_REGION, x, signs);
        f->minus = x->op == MATH_MINUS;
        for (int i = 0; i < x->n; i++)
            if (!append(m, f, of(m, x->kid[i], signs)))
                return NULL;
        return f;
    default:
        break;
    }
    f = form(m, FORM_SCALAR, x, signs);
    if (x->op == MATH_UNIT) {
        f->measured = math_unit_read(&f->unit, x->name);
        f->percent = strncmp(x->name, "percent", 7) == 0;
        f->x = x->kid[0];
    }
    if (f->x->op == MATH_PCT) {
        f->percent = true;
        f->x = f->x->kid[0];
    } else if (f->x->op == MATH_NEG && f->x->kid[0]->op == MATH_PCT) {
        f->percent = true;
        f->x = math_new(m, MATH_NEG, 1, f->x->kid[0]->kid[0]);
    }
    return f;
}

struct math_form *math_form_of(struct math *m, const struct math_node *x, unsigned signs)
{
    if (x->op == MATH_LIST || x->op == MATH_SET || !signs_in(x))
        return of(m, x, signs);
    struct math_form *f = form(m, FORM_LIST, x, signs);
    return expand(m, f, x) ? f : NULL;
}
