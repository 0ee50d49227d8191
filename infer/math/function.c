/* infer/math/function.c - the functions that answers use: roots, logarithms, trigonometry, factorials, rounding. See function.h. */
#include "infer/math/function.h"
#include <stdlib.h>
#include <string.h>

enum { MAX_FACTORIAL = 4000, MAX_BINOMIAL_BITS = 1 << 16, TINY = 320 };

static bool real_double(const struct math_value *v, double *d)
{
    if (v->infinite || !math_is_real(v))
        return false;
    *d = v->exact ? mpq_get_d(v->q) : mpfr_get_d(mpc_realref(v->z), MPFR_RNDN);
    return true;
}

/* The whole number that v is, but for rounding; false: it is none. */
static bool whole(const struct math_value *v, mpz_t n)
{
    if (v->infinite || !math_is_real(v))
        return false;
    if (v->exact) {
        mpz_set(n, mpq_numref(v->q));
        return mpz_cmp_ui(mpq_denref(v->q), 1) == 0;
    }
    mpfr_t r;
    mpfr_init2(r, MATH_BITS);
    mpfr_get_z(n, mpc_realref(v->z), MPFR_RNDN);
    mpfr_sub_z(r, mpc_realref(v->z), n, MPFR_RNDN);
    bool near = mpfr_zero_p(r) || mpfr_get_exp(r) < math_exponent(v->z) - TINY + 64;
    mpfr_clear(r);
    return near;
}

static bool set_whole(struct math_value *v, const mpz_t n)
{
    mpq_set_z(v->q, n);
    v->exact = true;
    return true;
}

/* n! of a whole number, the gamma function elsewhere. */
static bool factorial(struct math_value *v, struct math_point *at)
{
    double d;
    if (!real_double(v, &d) || d > MAX_FACTORIAL || d < -100)
        return false;
    mpz_t n;
    mpz_init(n);
    bool ok = true;
    if (whole(v, n)) {
        ok = mpz_sgn(n) >= 0 && math_spend(at, 1 + (int64_t)(d * d / 100000));
        if (ok) {
            mpz_fac_ui(n, mpz_get_ui(n));
            set_whole(v, n);
        }
    } else {
        math_inexact(v);
        mpfr_add_ui(mpc_realref(v->z), mpc_realref(v->z), 1, MPFR_RNDN);
        mpfr_gamma(mpc_realref(v->z), mpc_realref(v->z), MPFR_RNDN);
        ok = math_spend(at, 3000) && math_settle(v);
    }
    mpz_clear(n);
    return ok;
}

static bool binomial(struct math_value *n, struct math_value *k, struct math_point *at)
{
    mpz_t top, bottom;
    mpz_inits(top, bottom, NULL);
    bool ok = whole(n, top) && whole(k, bottom) && mpz_sgn(bottom) >= 0 && mpz_cmp_ui(bottom, MAX_FACTORIAL) <= 0 &&
              mpz_sizeinbase(top, 2) * (mpz_get_ui(bottom) + 1) <= MAX_BINOMIAL_BITS &&
              math_spend(at, 10 + (int64_t)(mpz_get_ui(bottom) / 4));
    if (ok) {
        mpz_bin_ui(top, top, mpz_get_ui(bottom));
        set_whole(n, top);
    }
    mpz_clears(top, bottom, NULL);
    return ok;
}

/* floor(log_2 8) is 3, though the logarithm may be a little less. */
static bool rounded(struct math_value *v, bool up)
{
    mpz_t n;
    mpz_init(n);
    bool ok = !v->infinite && math_is_real(v);
    if (ok && !whole(v, n)) {
        if (v->exact && up)
            mpz_cdiv_q(n, mpq_numref(v->q), mpq_denref(v->q));
        else if (v->exact)
            mpz_fdiv_q(n, mpq_numref(v->q), mpq_denref(v->q));
        else
            mpfr_get_z(n, mpc_realref(v->z), up ? MPFR_RNDU : MPFR_RNDD);
    }
    if (ok)
        set_whole(v, n);
    mpz_clear(n);
    return ok;
}

static bool absolute(struct math_value *v)
{
    v->infinite = abs(v->infinite);
    if (v->exact) {
        mpq_abs(v->q, v->q);
        return true;
    }
    mpc_abs(mpc_realref(v->z), v->z, MPFR_RNDN);
    mpfr_set_zero(mpc_imagref(v->z), 1);
    return math_settle(v);
}

static bool logarithm(struct math_value *v, struct math_value *base, const char *name, struct math_point *at)
{
    bool negative = math_is_real(v) && (v->exact ? mpq_sgn(v->q) : mpfr_sgn(mpc_realref(v->z))) < 0;
    if (v->infinite || (base && base->infinite))
        return false;
    math_inexact(v);
    if (!math_log(v->z))
        return false;
    at->left_reals = at->left_reals || negative;
    bool tens = strcmp(name, "lg") == 0 || (strcmp(name, "log") == 0 && at->log10);
    if (!base && !tens)
        return math_spend(at, 30) && math_settle(v);
    struct math_value ten;
    math_value_init(&ten);
    mpq_set_ui(ten.q, 10, 1);
    struct math_value *under = base ? base : &ten;
    math_inexact(under);
    bool ok = math_log(under->z) && math_settle(under) && math_exponent(under->z) > -TINY;
    if (ok)
        mpc_div(v->z, v->z, under->z, MPC_RNDNN);
    math_value_clear(&ten);
    return ok && math_spend(at, 60) && math_settle(v);
}

static bool element(struct math_value *v, const char *name, struct math_point *at)
{
    if (v->infinite)
        return false;
    bool real = math_is_real(v);
    math_inexact(v);
    if (!math_spend(at, 60) || !math_elementary(v->z, name) || !math_settle(v))
        return false;
    at->left_reals = at->left_reals || (strncmp(name, "arc", 3) == 0 && real && !math_is_real(v));
    return true;
}

/* The greatest or smallest, or the greatest common divisor or least common multiple, of any number of arguments. */
static bool combine(struct math_value *a, const struct math_value *b, const char *name)
{
    if (strcmp(name, "max") == 0 || strcmp(name, "min") == 0) {
        if (a->infinite || b->infinite || !math_is_real(a) || !math_is_real(b))
            return false;
        if (a->exact != b->exact)
            math_inexact(a);
        int order = a->exact   ? mpq_cmp(a->q, b->q)
                    : b->exact ? mpfr_cmp_q(mpc_realref(a->z), b->q)
                               : mpfr_cmp(mpc_realref(a->z), mpc_realref(b->z));
        if ((name[1] == 'a') != (order < 0))
            return true;
        a->exact = b->exact;
        mpq_set(a->q, b->q);
        mpc_set(a->z, b->z, MPC_RNDNN);
        return true;
    }
    mpz_t x, y;
    mpz_inits(x, y, NULL);
    bool divisor = strcmp(name, "gcd") == 0;
    bool ok = (divisor || strcmp(name, "lcm") == 0) && whole(a, x) && whole(b, y);
    if (ok && divisor)
        mpz_gcd(x, x, y);
    else if (ok)
        mpz_lcm(x, x, y);
    ok = ok && set_whole(a, x);
    mpz_clears(x, y, NULL);
    return ok;
}

/* Degrees inside a function are angles: x pi/180. Two levels down at most: 2x^\circ, 30^\circ + x. */
static bool in_degrees(const struct math_node *x)
{
    if (x->op == MATH_DEG)
        return true;
    for (int i = 0; i < x->n; i++)
        if (x->op != MATH_FN && in_degrees(x->kid[i]))
            return true;
    return false;
}

static bool radians(struct math_value *v)
{
    if (v->infinite)
        return false;
    math_inexact(v);
    mpfr_t pi;
    mpfr_init2(pi, MATH_BITS);
    mpfr_const_pi(pi, MPFR_RNDN);
    mpfr_div_ui(pi, pi, 180, MPFR_RNDN);
    mpc_mul_fr(v->z, v->z, pi, MPC_RNDNN);
    mpfr_clear(pi);
    return math_settle(v);
}

static bool one(const struct math_node *x, struct math_point *at, struct math_value *v)
{
    const char *name = x->name;
    if (strcmp(name, "factorial") == 0)
        return factorial(v, at);
    if (strcmp(name, "floor") == 0 || strcmp(name, "ceil") == 0)
        return rounded(v, name[0] == 'c');
    if (strcmp(name, "abs") == 0)
        return absolute(v);
    if (strcmp(name, "log") == 0 || strcmp(name, "ln") == 0 || strcmp(name, "lg") == 0)
        return logarithm(v, NULL, name, at);
    if (in_degrees(x->kid[0]) && !radians(v))
        return false;
    return element(v, name, at);
}

static bool two(const char *name, struct math_point *at, struct math_value *v, struct math_value *w)
{
    if (strcmp(name, "binom") == 0)
        return binomial(v, w, at);
    if (strcmp(name, "log") == 0)
        return logarithm(v, w, name, at);
    if (strcmp(name, "sqrt") != 0)
        return combine(v, w, name);
    if (!w->exact || mpq_sgn(w->q) == 0)
        return false;
    mpq_inv(w->q, w->q);
    return math_power_of(v, w, at);
}

bool math_call(const struct math_node *x, struct math_point *at, struct math_value *v)
{
    if (!math_eval(x->kid[0], at, v))
        return false;
    bool root = strcmp(x->name, "sqrt") == 0 && x->n == 1;
    if (x->n == 1 && !root)
        return one(x, at, v);
    bool ok = true;
    for (int i = 1; ok && i < x->n + root; i++) {
        struct math_value w;
        math_value_init(&w);
        mpq_set_ui(w.q, 2, 1);
        ok = root ? two("sqrt", at, v, &w) : math_eval(x->kid[i], at, &w) && two(x->name, at, v, &w);
        math_value_clear(&w);
    }
    return ok;
}
