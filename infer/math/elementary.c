/* infer/math/elementary.c - exponential, logarithm, trigonometric and hyperbolic functions of a complex number. See function.h. */
#include "infer/math/function.h"
#include <string.h>

/* Binary exponents: an argument above LARGE overflows, or is a multiple of the period but for noise; one below SMALL would need many digits; a
 * divisor below ZERO is zero but for rounding. */
enum { LARGE = 20, SMALL = -256, ZERO = -320 };

#define RE(z) mpc_realref(z)
#define IM(z) mpc_imagref(z)

static bool is_real(mpc_srcptr z)
{
    return mpfr_zero_p(IM(z));
}

static bool is_zero(mpc_srcptr z)
{
    return mpfr_zero_p(RE(z)) && mpfr_zero_p(IM(z));
}

/* Parts far below the number itself do nothing but ask for digits. */
static void flush(mpfr_ptr x)
{
    if (mpfr_regular_p(x) && mpfr_get_exp(x) < SMALL)
        mpfr_set_zero(x, 1);
}

bool math_exp(mpc_ptr z)
{
    if (math_exponent(z) > LARGE)
        return false;
    flush(RE(z));
    flush(IM(z));
    mpfr_t r, s, c;
    mpfr_inits2(MATH_BITS, r, s, c, NULL);
    mpfr_exp(r, RE(z), MPFR_RNDN);
    mpfr_sin_cos(s, c, IM(z), MPFR_RNDN);
    mpfr_mul(RE(z), r, c, MPFR_RNDN);
    mpfr_mul(IM(z), r, s, MPFR_RNDN);
    mpfr_clears(r, s, c, NULL);
    return true;
}

bool math_log(mpc_ptr z)
{
    if (is_zero(z))
        return false;
    mpfr_t r, a;
    mpfr_inits2(MATH_BITS, r, a, NULL);
    mpc_abs(r, z, MPFR_RNDN);
    mpfr_log(r, r, MPFR_RNDN);
    if (is_real(z) && mpfr_sgn(RE(z)) > 0)
        mpfr_set_zero(a, 1);
    else
        mpfr_atan2(a, IM(z), RE(z), MPFR_RNDN);
    mpfr_set(RE(z), r, MPFR_RNDN);
    mpfr_set(IM(z), a, MPFR_RNDN);
    mpfr_clears(r, a, NULL);
    return true;
}

/* sinh and cosh of a + bi: sinh a cos b + i cosh a sin b, cosh a cos b + i sinh a sin b. Either may be NULL. */
static bool hyperbolic(mpc_srcptr z, mpc_ptr sinh, mpc_ptr cosh)
{
    if (math_exponent(z) > LARGE || math_exponent(z) < SMALL)
        return is_zero(z) && (!sinh || mpc_set_ui(sinh, 0, MPC_RNDNN) == 0) && (!cosh || mpc_set_ui(cosh, 1, MPC_RNDNN) == 0);
    mpc_t w;
    mpfr_t sh, ch, s, c;
    mpc_init2(w, MATH_BITS);
    mpc_set(w, z, MPC_RNDNN);
    flush(RE(w));
    flush(IM(w));
    mpfr_inits2(MATH_BITS, sh, ch, s, c, NULL);
    mpfr_sinh_cosh(sh, ch, RE(w), MPFR_RNDN);
    mpfr_sin_cos(s, c, IM(w), MPFR_RNDN);
    if (sinh) {
        mpfr_mul(RE(sinh), sh, c, MPFR_RNDN);
        mpfr_mul(IM(sinh), ch, s, MPFR_RNDN);
    }
    if (cosh) {
        mpfr_mul(RE(cosh), ch, c, MPFR_RNDN);
        mpfr_mul(IM(cosh), sh, s, MPFR_RNDN);
    }
    mpfr_clears(sh, ch, s, c, NULL);
    mpc_clear(w);
    return true;
}

/* z = z / w; false: w is zero but for rounding. */
static bool over(mpc_ptr z, mpc_srcptr w)
{
    if (is_zero(w) || math_exponent(w) < ZERO)
        return false;
    mpc_div(z, z, w, MPC_RNDNN);
    return true;
}

static void times_i(mpc_ptr z, int sign)
{
    mpc_mul_i(z, z, sign, MPC_RNDNN);
}

/* sin z = -i sinh iz, cos z = cosh iz */
static bool circular(mpc_ptr z, const char *name)
{
    mpc_t s, c;
    mpc_init2(s, MATH_BITS);
    mpc_init2(c, MATH_BITS);
    times_i(z, 1);
    bool ok = hyperbolic(z, s, c);
    times_i(s, -1);
    if (strcmp(name, "sin") == 0 || strcmp(name, "tan") == 0)
        mpc_set(z, s, MPC_RNDNN);
    else if (strcmp(name, "cos") == 0 || strcmp(name, "cot") == 0)
        mpc_set(z, c, MPC_RNDNN);
    else
        mpc_set_ui(z, 1, MPC_RNDNN);
    if (strcmp(name, "tan") == 0 || strcmp(name, "sec") == 0)
        ok = ok && over(z, c);
    else if (strcmp(name, "cot") == 0 || strcmp(name, "csc") == 0)
        ok = ok && over(z, s);
    mpc_clear(s);
    mpc_clear(c);
    return ok;
}

/* arcsin z = -i log(iz + sqrt(1 - z^2)), arctan z = (i/2) (log(1 - iz) - log(1 + iz)); the real functions where they are real. */
static bool arc(mpc_ptr z, const char *name)
{
    if (math_exponent(z) > -SMALL || math_exponent(z) < SMALL)
        return is_zero(z) &&
               (strcmp(name, "arccos") != 0 || (mpfr_const_pi(RE(z), MPFR_RNDN), mpfr_div_ui(RE(z), RE(z), 2, MPFR_RNDN), true));
    bool inside = is_real(z) && mpfr_cmpabs_ui(RE(z), 1) <= 0, tangent = strcmp(name, "arctan") == 0, cosine = strcmp(name, "arccos") == 0;
    if (is_real(z) && (inside || tangent)) {
        (tangent ? mpfr_atan : cosine ? mpfr_acos : mpfr_asin)(RE(z), RE(z), MPFR_RNDN);
        return true;
    }
    mpc_t u, w;
    mpc_init2(u, MATH_BITS);
    mpc_init2(w, MATH_BITS);
    bool ok;
    if (tangent) {
        times_i(z, 1);
        mpc_ui_sub(u, 1, z, MPC_RNDNN);
        mpc_add_ui(w, z, 1, MPC_RNDNN);
        ok = math_log(u) && math_log(w);
        mpc_sub(z, u, w, MPC_RNDNN);
        times_i(z, 1);
        mpc_div_ui(z, z, 2, MPC_RNDNN);
    } else {
        mpc_sqr(u, z, MPC_RNDNN);
        mpc_ui_sub(u, 1, u, MPC_RNDNN);
        if (mpfr_zero_p(IM(u)))
            mpfr_set_zero(IM(u), 1);
        mpc_sqrt(u, u, MPC_RNDNN);
        times_i(z, 1);
        mpc_add(z, z, u, MPC_RNDNN);
        ok = math_log(z);
        times_i(z, -1);
        if (cosine) {
            mpfr_const_pi(RE(u), MPFR_RNDN);
            mpfr_div_ui(RE(u), RE(u), 2, MPFR_RNDN);
            mpfr_set_zero(IM(u), 1);
            mpc_sub(z, u, z, MPC_RNDNN);
        }
    }
    mpc_clear(u);
    mpc_clear(w);
    return ok;
}

bool math_elementary(mpc_ptr z, const char *name)
{
    if (strcmp(name, "exp") == 0)
        return math_exp(z);
    if (strcmp(name, "sinh") == 0)
        return hyperbolic(z, z, NULL);
    if (strcmp(name, "cosh") == 0)
        return hyperbolic(z, NULL, z);
    if (strcmp(name, "tanh") == 0) {
        mpc_t c;
        mpc_init2(c, MATH_BITS);
        bool ok = hyperbolic(z, z, c) && over(z, c);
        mpc_clear(c);
        return ok;
    }
    if (strncmp(name, "arc", 3) == 0)
        return (strcmp(name, "arcsin") == 0 || strcmp(name, "arccos") == 0 || strcmp(name, "arctan") == 0) && arc(z, name);
    static const char *const known[] = {"sin", "cos", "tan", "csc", "sec", "cot"};
    for (int i = 0; i < 6; i++)
        if (strcmp(name, known[i]) == 0)
            return circular(z, name);
    return false;
}
