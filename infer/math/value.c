/* infer/math/value.c - see value.h. Numbers, sums, products, powers; functions are in function.c. */
#include "infer/math/function.h"
#include "core/err.h"
#include "core/rng.h"
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h> /* XXH3_64bits */

enum {
    EXACT_BITS = 1 << 16,   /* a rational may grow so large */
    RANGE = 1 << 14,        /* binary exponents of inexact numbers */
    SLACK = 256,            /* bits that must agree */
    SMALL = MATH_BITS - 64, /* an imaginary part so many bits below the real part is rounding */
};

void math_value_init(struct math_value *v)
{
    *v = (struct math_value){.exact = true};
    mpq_init(v->q);
    mpc_init2(v->z, MATH_BITS);
}

void math_value_clear(struct math_value *v)
{
    mpq_clear(v->q);
    mpc_clear(v->z);
}

void math_inexact(struct math_value *v)
{
    if (v->exact && !v->infinite)
        mpc_set_q(v->z, v->q, MPC_RNDNN);
    v->exact = false;
}

static size_t bits(const mpq_t q)
{
    return mpz_sizeinbase(mpq_numref(q), 2) + mpz_sizeinbase(mpq_denref(q), 2);
}

bool math_spend(struct math_point *at, int64_t work)
{
    *at->work -= work;
    return *at->work >= 0;
}

/* Exact arithmetic on n bits: products and greatest common divisors are near quadratic at these sizes. */
static bool spend_bits(struct math_point *at, size_t n)
{
    int64_t limbs = (int64_t)n / 64;
    return math_spend(at, 1 + limbs * limbs / 1000);
}

long math_exponent(mpc_srcptr z)
{
    long e = -RANGE;
    if (mpfr_regular_p(mpc_realref(z)) && mpfr_get_exp(mpc_realref(z)) > e)
        e = mpfr_get_exp(mpc_realref(z));
    if (mpfr_regular_p(mpc_imagref(z)) && mpfr_get_exp(mpc_imagref(z)) > e)
        e = mpfr_get_exp(mpc_imagref(z));
    return e;
}

bool math_is_real(const struct math_value *v)
{
    return v->exact || mpfr_zero_p(mpc_imagref(v->z));
}

/* A finite number in range, with rounding's imaginary parts and negative zeros gone (they would choose the wrong branch of a root). */
bool math_settle(struct math_value *v)
{
    v->exact = false;
    mpfr_ptr re = mpc_realref(v->z), im = mpc_imagref(v->z);
    if (!mpfr_number_p(re) || !mpfr_number_p(im) || math_exponent(v->z) > RANGE)
        return false;
    if (mpfr_zero_p(im) || (mpfr_regular_p(re) && mpfr_get_exp(im) < mpfr_get_exp(re) - SMALL))
        mpfr_set_zero(im, 1);
    if (mpfr_zero_p(re) || (mpfr_regular_p(im) && mpfr_get_exp(re) < mpfr_get_exp(im) - SMALL))
        mpfr_set_zero(re, 1);
    return true;
}

/* ---- leaves ---- */

/* "12.3(45)" in a base: exact. */
static bool number(const struct math_node *x, struct math_point *at, mpq_t q)
{
    const char *s = x->name, *point = strchr(s, '.'), *repeat = strchr(s, '(');
    size_t n = strlen(s), all = 0, after = 0, again = 0;
    if (!spend_bits(at, 4 * n))
        return false;
    char *digits = xmalloc(n + 2);
    for (const char *c = s; *c && *c != ')'; c++)
        if (*c >= '0' && *c <= '9') {
            digits[all++] = *c;
            after += point && c > point;
            again += repeat && c > repeat;
        }
    digits[all] = 0;
    bool ok = all > 0 && mpz_set_str(mpq_numref(q), digits, x->base ? x->base : 10) == 0;
    if (ok && again) { /* 0.1(6) = (16 - 1) / (10^2 - 10^1) */
        mpz_t head, power;
        mpz_inits(head, power, NULL);
        digits[all - again] = 0;
        mpz_set_str(head, all > again ? digits : "0", 10);
        mpz_sub(mpq_numref(q), mpq_numref(q), head);
        mpz_ui_pow_ui(mpq_denref(q), 10, after);
        mpz_ui_pow_ui(power, 10, after - again);
        mpz_sub(mpq_denref(q), mpq_denref(q), power);
        mpz_clears(head, power, NULL);
    } else if (ok) {
        mpz_ui_pow_ui(mpq_denref(q), 10, after);
    }
    free(digits);
    if (ok)
        mpq_canonicalize(q);
    return ok;
}

static uint64_t hash(const char *s)
{
    return XXH3_64bits(s, strlen(s));
}

/* Small whole numbers have a wider and wider range: the first points suit factorials and towers, the later ones everything else. */
static bool symbol(const struct math_node *x, struct math_point *at, struct math_value *v)
{
    enum { SEED = 20250522 };
    if (strcmp(x->name, "pi") == 0) {
        mpc_set_ui(v->z, 0, MPC_RNDNN);
        mpfr_const_pi(mpc_realref(v->z), MPFR_RNDN);
        return math_settle(v);
    }
    if (strcmp(x->name, "e") == 0) {
        mpc_set_ui(v->z, 1, MPC_RNDNN);
        return math_exp(v->z) && math_spend(at, 5) && math_settle(v);
    }
    if (strcmp(x->name, "i") == 0) {
        mpc_set_ui_ui(v->z, 0, 1, MPC_RNDNN);
        return math_settle(v);
    }
    if (strcmp(x->name, "infty") == 0) {
        v->infinite = 1;
        return true;
    }
    uint64_t r = rng_u64(SEED, hash(x->name), (uint64_t)at->number);
    if (at->integers) {
        mpq_set_si(v->q, (long)(1 + (r >> 8) % (uint64_t)(6 + 3 * at->number)), 1);
        return true;
    }
    mpc_set_d(v->z, 0.25 + 2.5 * rng_uniform(SEED, hash(x->name) + 1, (uint64_t)at->number), MPC_RNDNN);
    if (at->mixed && (r & 1))
        mpc_neg(v->z, v->z, MPC_RNDNN);
    return math_settle(v);
}

/* ---- arithmetic ---- */

static bool add(struct math_value *a, struct math_value *b, struct math_point *at)
{
    if (a->infinite || b->infinite) {
        if (a->infinite && b->infinite && a->infinite != b->infinite)
            return false;
        a->infinite = a->infinite ? a->infinite : b->infinite;
        return math_is_real(a) && math_is_real(b);
    }
    if (a->exact && b->exact) {
        if (bits(a->q) + bits(b->q) > EXACT_BITS || !spend_bits(at, bits(a->q) + bits(b->q)))
            return false;
        mpq_add(a->q, a->q, b->q);
        return true;
    }
    math_inexact(a);
    math_inexact(b);
    long ea = math_exponent(a->z), eb = math_exponent(b->z);
    at->scale = ea > at->scale ? ea : at->scale;
    at->scale = eb > at->scale ? eb : at->scale;
    mpc_add(a->z, a->z, b->z, MPC_RNDNN);
    return math_spend(at, 1) && math_settle(a);
}

static int sign_of(const struct math_value *v)
{
    return v->infinite ? v->infinite : v->exact ? mpq_sgn(v->q) : mpfr_sgn(mpc_realref(v->z));
}

static bool zero(const struct math_value *v)
{
    return !v->infinite && (v->exact ? mpq_sgn(v->q) == 0 : mpfr_zero_p(mpc_realref(v->z)) && mpfr_zero_p(mpc_imagref(v->z)));
}

static bool multiply(struct math_value *a, struct math_value *b, struct math_point *at)
{
    if (a->infinite || b->infinite) {
        if (zero(a) || zero(b) || !math_is_real(a) || !math_is_real(b))
            return false;
        a->infinite = sign_of(a) * sign_of(b);
        return true;
    }
    if (a->exact && b->exact) {
        if (bits(a->q) + bits(b->q) > EXACT_BITS || !spend_bits(at, bits(a->q) + bits(b->q)))
            return false;
        mpq_mul(a->q, a->q, b->q);
        return true;
    }
    math_inexact(a);
    math_inexact(b);
    mpc_mul(a->z, a->z, b->z, MPC_RNDNN);
    return math_spend(at, 1) && math_settle(a);
}

/* Rounding leaves 2^-380 where zero is meant. */
static bool vanishes(const struct math_value *v, const struct math_point *at)
{
    return zero(v) || (!v->exact && !v->infinite && math_exponent(v->z) < at->scale - SLACK);
}

static bool divide(struct math_value *a, struct math_value *b, struct math_point *at)
{
    if (vanishes(b, at) || a->infinite || b->infinite)
        return false;
    if (b->exact)
        mpq_inv(b->q, b->q);
    else
        mpc_ui_div(b->z, 1, b->z, MPC_RNDNN);
    return multiply(a, b, at);
}

/* a^(over/under) of exact a > 0, if it is rational. */
static bool exact_root(mpq_t a, unsigned long n)
{
    mpz_t r;
    mpz_init(r);
    bool ok = mpz_root(r, mpq_numref(a), n) != 0;
    if (ok) {
        mpz_t s;
        mpz_init(s);
        ok = mpz_root(s, mpq_denref(a), n) != 0;
        if (ok) {
            mpz_set(mpq_numref(a), r);
            mpz_set(mpq_denref(a), s);
        }
        mpz_clear(s);
    }
    mpz_clear(r);
    return ok;
}

static bool exact_power(mpq_t a, const mpz_t e, struct math_point *at)
{
    bool one = mpz_cmpabs_ui(mpq_numref(a), 1) == 0 && mpz_cmp_ui(mpq_denref(a), 1) == 0;
    if (one) {
        if (mpz_even_p(e))
            mpq_abs(a, a);
        return true;
    }
    if (mpq_sgn(a) == 0)
        return mpz_sgn(e) > 0 || (mpz_sgn(e) == 0 && (mpq_set_ui(a, 1, 1), true));
    if (mpz_cmpabs_ui(e, EXACT_BITS) > 0)
        return false;
    unsigned long n = mpz_get_ui(e); /* of |e| */
    if (n * bits(a) > EXACT_BITS || !spend_bits(at, n * bits(a)))
        return false;
    mpz_pow_ui(mpq_numref(a), mpq_numref(a), n);
    mpz_pow_ui(mpq_denref(a), mpq_denref(a), n);
    if (mpz_sgn(e) < 0)
        mpq_inv(a, a);
    return true;
}

/* z^n by squaring: the complex library's powers take more digits than we have to find out whether a result is exact. */
static bool whole_power(struct math_value *a, long n)
{
    struct math_value square;
    math_value_init(&square);
    mpc_set(square.z, a->z, MPC_RNDNN);
    mpc_set_ui(a->z, 1, MPC_RNDNN);
    bool ok = true;
    for (unsigned long k = (unsigned long)labs(n); ok && k; k >>= 1) {
        if (k & 1)
            mpc_mul(a->z, a->z, square.z, MPC_RNDNN);
        mpc_sqr(square.z, square.z, MPC_RNDNN);
        ok = math_settle(a) && (k == 1 || math_settle(&square));
    }
    math_value_clear(&square);
    if (ok && n < 0) {
        ok = math_exponent(a->z) > -RANGE;
        if (ok)
            mpc_ui_div(a->z, 1, a->z, MPC_RNDNN);
    }
    return ok && math_settle(a);
}

/* A real root of a real number, where school has one: of a negative number for an odd under. Else the principal value. */
bool math_power_of(struct math_value *a, struct math_value *e, struct math_point *at)
{
    if (a->infinite || e->infinite)
        return false;
    if (e->exact && mpz_cmp_ui(mpq_denref(e->q), 1) == 0) {
        if (a->exact)
            return exact_power(a->q, mpq_numref(e->q), at);
        if (mpz_sgn(mpq_numref(e->q)) <= 0 && vanishes(a, at))
            return false;
        if (mpz_cmpabs_ui(mpq_numref(e->q), 1u << 20) > 0)
            return false;
        return math_spend(at, 10) && whole_power(a, mpz_get_si(mpq_numref(e->q)));
    }
    if (zero(a))
        return math_is_real(e) && sign_of(e) > 0;
    bool real = math_is_real(a), negative = real && sign_of(a) < 0;
    bool odd = e->exact && mpz_odd_p(mpq_denref(e->q)), flip = false;
    if (negative && odd) {
        flip = mpz_odd_p(mpq_numref(e->q));
        if (a->exact)
            mpq_abs(a->q, a->q);
        else
            mpc_neg(a->z, a->z, MPC_RNDNN);
        negative = false;
    }
    bool done = false;
    if (a->exact && e->exact && !negative && mpz_cmp_ui(mpq_denref(e->q), 64) <= 0 && spend_bits(at, 2 * bits(a->q)) &&
        exact_root(a->q, mpz_get_ui(mpq_denref(e->q)))) {
        if (!exact_power(a->q, mpq_numref(e->q), at))
            return false;
        done = true;
    }
    if (!done) {
        bool square = e->exact && mpq_cmp_ui(e->q, 1, 2) == 0;
        math_inexact(a);
        math_inexact(e);
        if (square) {
            mpc_sqrt(a->z, a->z, MPC_RNDNN);
        } else if (math_exponent(e->z) > 20 || math_exponent(e->z) < -SLACK) {
            return false;
        } else if (real && !negative && math_is_real(e)) {
            mpfr_pow(mpc_realref(a->z), mpc_realref(a->z), mpc_realref(e->z), MPFR_RNDN);
        } else {
            if (!math_log(a->z))
                return false;
            mpc_mul(a->z, a->z, e->z, MPC_RNDNN);
            if (!math_settle(a) || !math_exp(a->z))
                return false;
        }
        if (!math_spend(at, square ? 3 : 60) || !math_settle(a))
            return false;
        at->left_reals = at->left_reals || (real && negative);
    }
    if (flip && a->exact)
        mpq_neg(a->q, a->q);
    else if (flip)
        mpc_neg(a->z, a->z, MPC_RNDNN);
    return a->exact || math_settle(a);
}

static void negate(struct math_value *v)
{
    v->infinite = -v->infinite;
    if (v->exact)
        mpq_neg(v->q, v->q);
    else
        mpc_neg(v->z, v->z, MPC_RNDNN);
}

static bool fold(const struct math_node *x, struct math_point *at, struct math_value *v,
                 bool (*op)(struct math_value *a, struct math_value *b, struct math_point *at))
{
    if (!math_eval(x->kid[0], at, v))
        return false;
    bool ok = true;
    for (int i = 1; ok && i < x->n; i++) {
        struct math_value w;
        math_value_init(&w);
        ok = math_eval(x->kid[i], at, &w) && op(v, &w, at);
        math_value_clear(&w);
    }
    return ok;
}

bool math_eval(const struct math_node *x, struct math_point *at, struct math_value *v)
{
    if (!math_spend(at, 1))
        return false;
    switch (x->op) {
    case MATH_NUM:
        return number(x, at, v->q);
    case MATH_SYM:
        return symbol(x, at, v);
    case MATH_ADD:
        return fold(x, at, v, add);
    case MATH_MUL:
        return fold(x, at, v, multiply);
    case MATH_DIV:
        return fold(x, at, v, divide);
    case MATH_RATIO:
        return x->n == 2 && !x->base && fold(x, at, v, divide);
    case MATH_POW:
        return fold(x, at, v, math_power_of);
    case MATH_NEG:
    case MATH_SIGN:
        if (!math_eval(x->kid[0], at, v))
            return false;
        if (x->op == MATH_NEG || ((at->signs >> x->id & 1) == 1) == (x->name[0] == '+'))
            negate(v);
        return v->exact || v->infinite || math_settle(v);
    case MATH_DEG: /* outside functions a degree is a unit, which may be left out */
    case MATH_UNIT:
        return math_eval(x->kid[0], at, v);
    case MATH_PCT:
        if (!math_eval(x->kid[0], at, v))
            return false;
        struct math_value hundred;
        math_value_init(&hundred);
        mpq_set_ui(hundred.q, 1, 100);
        bool ok = multiply(v, &hundred, at);
        math_value_clear(&hundred);
        return ok;
    case MATH_FN:
        return math_call(x, at, v);
    default:
        return false;
    }
}

/* ---- comparing ---- */

bool math_same(const struct math_value *a, const struct math_value *b, long scale)
{
    if (a->infinite || b->infinite)
        return a->infinite == b->infinite;
    if (a->exact && b->exact)
        return mpq_equal(a->q, b->q);
    mpc_t x, y;
    mpc_init2(x, MATH_BITS);
    mpc_init2(y, MATH_BITS);
    if (a->exact)
        mpc_set_q(x, a->q, MPC_RNDNN);
    else
        mpc_set(x, a->z, MPC_RNDNN);
    if (b->exact)
        mpc_set_q(y, b->q, MPC_RNDNN);
    else
        mpc_set(y, b->z, MPC_RNDNN);
    long ex = math_exponent(x), ey = math_exponent(y), largest = ex > ey ? ex : ey;
    mpc_sub(x, x, y, MPC_RNDNN);
    long limit = (scale > largest ? scale : largest) - SLACK;
    /* Summands so large that what is left of them is their rounding say nothing. */
    bool lost = scale - SLACK > -64 && largest < scale - 64;
    bool nothing = mpfr_zero_p(mpc_realref(x)) && mpfr_zero_p(mpc_imagref(x));
    bool same = nothing || (!lost && math_exponent(x) < limit);
    mpc_clear(x);
    mpc_clear(y);
    return same;
}

char *math_print(const struct math_value *v)
{
    if (v->infinite)
        return xstrdup(v->infinite > 0 ? "infty" : "-infty");
    char *text = NULL;
    if (v->exact) {
        char *q = mpq_get_str(NULL, 10, v->q);
        text = xstrdup(q);
        free(q);
        return text;
    }
    char *re = NULL, *im = NULL;
    if (mpfr_asprintf(&re, "%.24Rg", mpc_realref(v->z)) < 0 || mpfr_asprintf(&im, "%+.24Rg", mpc_imagref(v->z)) < 0)
        die("out of memory");
    text = mpfr_zero_p(mpc_imagref(v->z)) ? xstrdup(re) : xprintf("%s%si", re, im);
    mpfr_free_str(re);
    mpfr_free_str(im);
    return text;
}

struct math_traits math_traits_of(const struct math_node *x)
{
    struct math_traits t = {0};
    static const char *const constants[] = {"pi", "e", "i", "infty"};
    if (x->op == MATH_SYM) {
        t.variables = true;
        for (int i = 0; i < 4; i++)
            t.variables = t.variables && strcmp(x->name, constants[i]) != 0;
        return t;
    }
    for (int i = 0; i < x->n; i++) {
        struct math_traits k = math_traits_of(x->kid[i]);
        t.variables |= k.variables;
        t.whole |= k.whole;
        t.absolute |= k.absolute;
    }
    if (!t.variables)
        return t;
    if (x->op == MATH_FN) {
        static const char *const whole[] = {"floor", "ceil", "factorial", "binom", "gcd", "lcm"};
        for (int i = 0; i < 6; i++)
            t.whole |= strcmp(x->name, whole[i]) == 0;
        t.absolute |= strcmp(x->name, "abs") == 0;
    }
    if (x->op == MATH_POW && math_traits_of(x->kid[1]).variables) /* (-1)^n */
        t.whole |= x->kid[0]->op == MATH_NEG && !math_traits_of(x->kid[0]).variables;
    return t;
}
