/* infer/math/compare.c - see compare.h. */
#include "infer/math/compare.h"
#include "infer/math/function.h"
#include <string.h>

/* Points tried, and how many must be defined on both sides for a verdict. Whole numbers start small, so they need more. */
enum { REAL_TRIES = 12, REAL_POINTS = 4, WHOLE_TRIES = 48, WHOLE_POINTS = 10, MIXED_TRIES = 16, MAX_DECIMALS = 1000, MANY_DIGITS = 10 };

struct sides {
    struct scalar a, b;
    struct math_traits traits; /* of both together */
};
static struct sides sides_of(struct scalar a, struct scalar b)
{
    struct math_traits s = math_traits_of(a.x), t = math_traits_of(b.x);
    return (struct sides){a, b, {s.variables || t.variables, s.whole || t.whole, s.absolute || t.absolute}};
}

static struct math_point point(struct comparison *c, const struct sides *s, int number)
{
    return (struct math_point){.number = number, .integers = s->traits.whole, .log10 = c->log10, .work = &c->work, .scale = -(1 << 20)};
}

static bool eval(struct scalar x, struct math_point *at, struct math_value *v)
{
    at->signs = x.signs;
    return math_eval(x.x, at, v);
}

bool math_at(struct comparison *c, struct scalar a, int number, struct math_value *v)
{
    struct sides s = sides_of(a, a);
    struct math_point at = point(c, &s, number);
    return eval(a, &at, v);
}

/* Same tree, node by node: for what is too large to compute, such as towers of powers. */
static bool same_tree(const struct math_node *a, const struct math_node *b)
{
    bool same = a->op == b->op && a->n == b->n && a->base == b->base && a->id == b->id;
    same = same && (a->name == b->name || (a->name && b->name && strcmp(a->name, b->name) == 0));
    for (int i = 0; same && i < a->n; i++)
        same = same_tree(a->kid[i], b->kid[i]);
    return same;
}

/* ---- decimals that round something ---- */

/* Digits after the point of a decimal with many significant digits; -1: x is none. */
static int decimals(const struct math_node *x)
{
    while (x->op == MATH_NEG || x->op == MATH_DEG)
        x = x->kid[0];
    const char *point = x->op == MATH_NUM && !strchr(x->name, '(') ? strchr(x->name, '.') : NULL;
    if (!point || strlen(point + 1) > MAX_DECIMALS)
        return -1;
    size_t significant = strlen(x->name + strspn(x->name, "0."));
    significant -= strchr(x->name + strspn(x->name, "0."), '.') ? 1 : 0;
    return significant >= MANY_DIGITS ? (int)strlen(point + 1) : -1;
}

/* |a - b| < 10^-places: rounded or cut off. */
static bool rounds(const struct math_value *a, const struct math_value *b, int places)
{
    if (a->infinite || b->infinite)
        return false;
    mpc_t d, y;
    mpfr_t limit;
    mpc_init2(d, MATH_BITS);
    mpc_init2(y, MATH_BITS);
    mpfr_init2(limit, MATH_BITS);
    if (a->exact)
        mpc_set_q(d, a->q, MPC_RNDNN);
    else
        mpc_set(d, a->z, MPC_RNDNN);
    if (b->exact)
        mpc_set_q(y, b->q, MPC_RNDNN);
    else
        mpc_set(y, b->z, MPC_RNDNN);
    mpc_sub(d, d, y, MPC_RNDNN);
    mpfr_set_ui(limit, 10, MPFR_RNDN);
    mpfr_pow_si(limit, limit, -places, MPFR_RNDN);
    bool close = mpfr_zero_p(mpc_imagref(d)) && mpfr_cmpabs(mpc_realref(d), limit) < 0;
    mpc_clear(d);
    mpc_clear(y);
    mpfr_clear(limit);
    return close;
}

/* ---- scalars ---- */

enum at_point { UNDEFINED, AGREE, DIFFER };

static enum at_point compare_at(struct comparison *c, const struct sides *s, int number, bool mixed)
{
    struct math_value v, w;
    math_value_init(&v);
    math_value_init(&w);
    struct math_point p = point(c, s, number), q = p;
    p.mixed = q.mixed = mixed;
    enum at_point result = UNDEFINED;
    if (eval(s->a, &p, &v) && eval(s->b, &q, &w) && !(mixed && (p.left_reals || q.left_reals))) {
        long scale = p.scale > q.scale ? p.scale : q.scale;
        bool same = math_same(&v, &w, scale);
        if (!same && !s->traits.variables) {
            int da = decimals(s->a.x), db = decimals(s->b.x);
            same = (da >= 0 && rounds(&v, &w, da)) || (db >= 0 && rounds(&v, &w, db));
        }
        result = same ? AGREE : DIFFER;
    }
    math_value_clear(&v);
    math_value_clear(&w);
    return result;
}

bool math_same_scalar(struct comparison *c, struct scalar a, struct scalar b)
{
    struct sides s = sides_of(a, b);
    int tries = !s.traits.variables ? 1 : s.traits.whole ? WHOLE_TRIES : REAL_TRIES;
    int enough = !s.traits.variables ? 1 : s.traits.whole ? WHOLE_POINTS : REAL_POINTS, agreed = 0;
    for (int i = 0; i < tries && (agreed < enough || s.traits.whole); i++) {
        enum at_point r = compare_at(c, &s, i, false);
        if (r == DIFFER)
            return false;
        agreed += r == AGREE;
    }
    /* |x| is not x: only where an absolute value is written may variables be negative. */
    for (int i = 0; s.traits.absolute && !s.traits.whole && i < MIXED_TRIES; i++)
        if (compare_at(c, &s, i, true) == DIFFER)
            return false;
    if (agreed >= enough)
        return c->work >= 0;
    return a.signs == b.signs && same_tree(a.x, b.x);
}

bool math_proportional(struct comparison *c, struct scalar a, struct scalar b, bool positive)
{
    struct sides s = sides_of(a, b);
    if (!s.traits.variables)
        return false;
    struct math_value v, w, v0, w0;
    struct math_value *all[] = {&v, &w, &v0, &w0};
    for (int i = 0; i < 4; i++)
        math_value_init(all[i]);
    int agreed = 0, tries = s.traits.whole ? WHOLE_TRIES : REAL_TRIES;
    bool same = true, first = true;
    for (int i = 0; same && i < tries && (agreed < REAL_POINTS || s.traits.whole); i++) {
        struct math_point p = point(c, &s, i), q = p;
        for (int k = 0; k < 2; k++)
            all[k]->infinite = 0, all[k]->exact = true;
        if (!eval(a, &p, &v) || !eval(b, &q, &w) || v.infinite || w.infinite)
            continue;
        math_inexact(&v);
        math_inexact(&w);
        bool nothing = mpc_cmp_si(v.z, 0) == 0 || mpc_cmp_si(w.z, 0) == 0;
        if (first && !nothing) {
            mpc_set(v0.z, v.z, MPC_RNDNN);
            mpc_set(w0.z, w.z, MPC_RNDNN);
            first = false;
            if (positive)
                same = mpfr_zero_p(mpc_imagref(v.z)) && mpfr_zero_p(mpc_imagref(w.z)) &&
                       mpfr_sgn(mpc_realref(v.z)) == mpfr_sgn(mpc_realref(w.z));
        } else if (!first) {
            /* v/v0 = w/w0, with rounding relative to the summands of either side */
            mpc_div(v.z, v.z, v0.z, MPC_RNDNN);
            mpc_div(w.z, w.z, w0.z, MPC_RNDNN);
            long sv = p.scale - math_exponent(v0.z), sw = q.scale - math_exponent(w0.z);
            same = math_same(&v, &w, sv > sw ? sv : sw);
            agreed += same;
        }
    }
    for (int i = 0; i < 4; i++)
        math_value_clear(all[i]);
    return same && agreed >= (s.traits.whole ? WHOLE_POINTS : REAL_POINTS - 1) && c->work >= 0;
}
