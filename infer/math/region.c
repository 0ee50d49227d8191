/* infer/math/region.c - sets of real numbers as disjoint pieces, so that unions compare whatever their order and writing. See form.h. */
#include "infer/math/form.h"
#include "core/err.h"
#include <stdlib.h>
#include <string.h>

enum { MAX_PIECES = 256 };

static struct math_piece *more(struct math_region *r)
{
    if (r->n >= MAX_PIECES)
        return NULL;
    r->piece = xrealloc(r->piece, (size_t)(r->n + 1) * sizeof(*r->piece));
    struct math_piece *p = &r->piece[r->n++];
    math_value_init(&p->low);
    math_value_init(&p->high);
    p->low_in = p->high_in = false;
    p->low.infinite = -1;
    p->high.infinite = 1;
    return p;
}

static void clear_piece(struct math_piece *p)
{
    math_value_clear(&p->low);
    math_value_clear(&p->high);
}

void math_region_clear(struct math_region *r)
{
    for (int i = 0; i < r->n; i++)
        clear_piece(&r->piece[i]);
    free(r->piece);
    *r = (struct math_region){0};
}

static bool real_number(const struct math_value *v)
{
    return v->infinite || v->exact || mpfr_zero_p(mpc_imagref(v->z));
}

/* -1, 0, 1 */
static int order(const struct math_value *a, const struct math_value *b)
{
    if (a->infinite || b->infinite)
        return (a->infinite > b->infinite) - (a->infinite < b->infinite);
    if (math_same(a, b, -MATH_BITS))
        return 0;
    if (a->exact && b->exact)
        return mpq_cmp(a->q, b->q) < 0 ? -1 : 1;
    if (a->exact)
        return mpfr_cmp_q(mpc_realref(b->z), a->q) > 0 ? -1 : 1;
    int c = b->exact ? mpfr_cmp_q(mpc_realref(a->z), b->q) : mpfr_cmp(mpc_realref(a->z), mpc_realref(b->z));
    return c < 0 ? -1 : 1;
}

static void copy(struct math_value *to, const struct math_value *from)
{
    to->exact = from->exact;
    to->infinite = from->infinite;
    mpq_set(to->q, from->q);
    mpc_set(to->z, from->z, MPC_RNDNN);
}

static bool end(struct math_value *v, const struct math_node *x, struct math_point *at)
{
    v->infinite = 0;
    return !math_traits_of(x).variables && math_eval(x, at, v) && real_number(v);
}

static int by_low(const void *a, const void *b)
{
    const struct math_piece *p = a, *q = b;
    int c = order(&p->low, &q->low);
    return c ? c : q->low_in - p->low_in;
}

/* Sorts, joins what overlaps or touches, drops what is empty. */
static void tidy(struct math_region *r)
{
    int n = 0;
    for (int i = 0; i < r->n; i++) {
        struct math_piece *p = &r->piece[i];
        int c = order(&p->low, &p->high);
        if (c > 0 || (c == 0 && !(p->low_in && p->high_in)))
            clear_piece(p);
        else
            r->piece[n++] = *p;
    }
    r->n = n;
    if (n == 0)
        return;
    qsort(r->piece, (size_t)n, sizeof(*r->piece), by_low);
    n = 1;
    for (int i = 1; i < r->n; i++) {
        struct math_piece *last = &r->piece[n - 1], *p = &r->piece[i];
        int c = order(&p->low, &last->high);
        if (c < 0 || (c == 0 && (p->low_in || last->high_in))) {
            int d = order(&p->high, &last->high);
            if (d > 0 || (d == 0 && p->high_in)) {
                copy(&last->high, &p->high);
                last->high_in = p->high_in;
            }
            clear_piece(p);
        } else {
            r->piece[n++] = *p;
        }
    }
    r->n = n;
}

/* small < large with a variable alone on one side and a number on the other. */
static bool half_line(struct math_region *r, const struct math_form *f, struct math_point *at)
{
    struct math_piece *p = more(r);
    if (!p)
        return false;
    bool below = f->small->op == MATH_SYM && math_traits_of(f->small).variables;
    const struct math_node *x = below ? f->small : f->large, *bound = below ? f->large : f->small;
    if (x->op != MATH_SYM || !math_traits_of(x).variables)
        return false;
    (below ? (p->high_in = !f->strict) : (p->low_in = !f->strict));
    return end(below ? &p->high : &p->low, bound, at);
}

/* Both inequalities of a < x < b: the common part. */
static bool between(struct math_region *r, const struct math_form *f, struct math_point *at)
{
    struct math_region a = {0}, b = {0};
    bool ok = f->n == 2 && f->item[0]->large == f->item[1]->small && half_line(&a, f->item[0], at) && half_line(&b, f->item[1], at);
    ok = ok || (f->n == 2 && f->item[0]->small == f->item[1]->large && a.n == 0 && half_line(&b, f->item[0], at) &&
                half_line(&a, f->item[1], at));
    struct math_piece *p = ok ? more(r) : NULL;
    if (p) { /* a is x > low, b is x < high */
        copy(&p->low, &a.piece[0].low);
        p->low_in = a.piece[0].low_in;
        copy(&p->high, &b.piece[0].high);
        p->high_in = b.piece[0].high_in;
    }
    math_region_clear(&a);
    math_region_clear(&b);
    return p;
}

/* r without the points of f, a set. */
static bool without(struct math_region *r, const struct math_form *f, struct math_point *at)
{
    if (f->kind != FORM_SET)
        return false;
    for (int i = 0; i < f->n; i++) {
        struct math_value v;
        math_value_init(&v);
        bool ok = f->item[i]->kind == FORM_SCALAR && end(&v, f->item[i]->x, at);
        for (int k = 0, n = r->n; ok && k < n; k++) {
            int low = order(&r->piece[k].low, &v), high = order(&v, &r->piece[k].high);
            if (low > 0 || high > 0)
                continue;
            struct math_piece *p = more(r); /* the part above v */
            if (!p) {
                ok = false;
                break;
            }
            struct math_piece *old = &r->piece[k];
            copy(&p->low, &v);
            copy(&p->high, &old->high);
            p->high_in = old->high_in;
            copy(&old->high, &v);
            old->high_in = false;
            if (low == 0)
                old->low_in = false;
            if (high == 0)
                p->high_in = false;
        }
        math_value_clear(&v);
        tidy(r);
        if (!ok)
            return false;
    }
    return true;
}

static bool gather(struct math_region *r, const struct math_form *f, struct math_point *at)
{
    struct math_piece *p;
    unsigned outer = at->signs;
    bool ok = true;
    at->signs = f->signs;
    switch (f->kind) {
    case FORM_SCALAR: /* the real line, or one number among intervals */
        if (f->x->op == MATH_SYM && strcmp(f->x->name, "bb R") == 0) {
            ok = more(r);
            break;
        }
        p = more(r);
        ok = p && end(&p->low, f->x, at) && !p->low.infinite;
        if (ok) {
            copy(&p->high, &p->low);
            p->low_in = p->high_in = true;
        }
        break;
    case FORM_TUPLE:
        p = f->n == 2 && f->item[0]->kind == FORM_SCALAR && f->item[1]->kind == FORM_SCALAR ? more(r) : NULL;
        ok = p && end(&p->low, f->item[0]->x, at) && end(&p->high, f->item[1]->x, at);
        if (ok) {
            p->low_in = f->x->open == '[';
            p->high_in = f->x->close == ']';
        }
        break;
    case FORM_LESS:
        ok = half_line(r, f, at);
        break;
    case FORM_UNEQUAL: {
        const struct math_node *a = f->x->kid[0], *b = f->x->kid[1]->kid[0];
        p = a->op == MATH_SYM && math_traits_of(a).variables ? more(r) : NULL;
        struct math_piece *q = p ? more(r) : NULL;
        p = q ? q - 1 : NULL;
        ok = p && end(&p->high, b, at) && !p->high.infinite;
        if (ok)
            copy(&q->low, &p->high);
        break;
    }
    case FORM_REGION:
        if (f->x->op == MATH_REL) {
            ok = between(r, f, at);
            break;
        }
        for (int i = 0; ok && i < (f->minus ? 1 : f->n); i++)
            ok = gather(r, f->item[i], at);
        for (int i = 1; ok && f->minus && i < f->n; i++) {
            tidy(r);
            ok = without(r, f->item[i], at);
        }
        break;
    case FORM_SET:
    case FORM_LIST:
        for (int i = 0; ok && i < f->n; i++)
            ok = gather(r, f->item[i], at);
        break;
    default:
        ok = false;
    }
    at->signs = outer;
    return ok;
}

bool math_region_of(struct math_region *r, const struct math_form *f, struct math_point *at)
{
    *r = (struct math_region){0};
    if (!gather(r, f, at))
        return false;
    tidy(r);
    return true;
}

bool math_region_same(const struct math_region *a, const struct math_region *b)
{
    bool same = a->n == b->n;
    for (int i = 0; same && i < a->n; i++) {
        const struct math_piece *p = &a->piece[i], *q = &b->piece[i];
        same = order(&p->low, &q->low) == 0 && order(&p->high, &q->high) == 0 && (p->low.infinite || p->low_in == q->low_in) &&
               (p->high.infinite || p->high_in == q->high_in);
    }
    return same;
}
