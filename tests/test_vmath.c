/* tests/test_vmath.c - the vector functions of the CPU backend against libm in double precision. */
#include "kernels/cpu/vmath.h"
#include "tests/test.h"

/* |got - want| in units in the last place of want (of 2^-126 below that). */
static double ulps(float got, double want)
{
    if (isnan(want) || isinf(want) || isinf(got))
        return (isnan(want) && isnan(got)) || (double)got == (double)(float)want ? 0 : INFINITY;
    int e;
    frexp(want, &e);
    return fabs(got - want) / ldexp(1, (e < -125 ? -125 : e) - 24);
}

enum { BLOCK = 256 };

#define WORST(fn, from, to, exact)                                                                                                         \
    do {                                                                                                                                   \
        double worst = 0, at = 0;                                                                                                          \
        for (int64_t i = 0; i < 2000000; i += BLOCK) {                                                                                     \
            float x[BLOCK], y[BLOCK];                                                                                                      \
            for (int j = 0; j < BLOCK; j++)                                                                                                \
                x[j] = (float)((from) + ((to) - (from)) * (double)(i + j) / 2e6);                                                          \
            _Pragma("omp simd") for (int j = 0; j < BLOCK; j++) y[j] = fn(x[j]);                                                           \
            for (int j = 0; j < BLOCK; j++) {                                                                                              \
                double v = x[j], u = ulps(y[j], exact);                                                                                    \
                if (u > worst)                                                                                                             \
                    worst = u, at = v;                                                                                                     \
            }                                                                                                                              \
        }                                                                                                                                  \
        fprintf(stderr, "    " #fn " [%g, %g]: %.2f ulp at %g\n", (double)(from), (double)(to), worst, at);                                \
        check_msg(worst <= LIMIT, "%g ulp at %.9g", worst, at);                                                                            \
    } while (0)

static void accuracy(void)
{
#define LIMIT 1.1
    WORST(vexpf, -110.0, 95.0, exp(v));
    WORST(vexpf, -1.0, 1.0, exp(v));
    WORST(vexpf, -1e-3, 1e-3, exp(v));
#undef LIMIT
#define LIMIT 1.5
    WORST(vlog1pf, 0.0, 1.0, log1p(v));
    WORST(vlog1pf, 0.0, 1e-4, log1p(v));
#undef LIMIT
#define LIMIT 2.5
    WORST(vsoftplusf, -103.0, 103.0, v > 0 ? v + log1p(exp(-v)) : log1p(exp(v)));
    WORST(vsoftplusf, -2.0, 2.0, v > 0 ? v + log1p(exp(-v)) : log1p(exp(v)));
    WORST(vsigmoidf, -87.0, 103.0, 1 / (1 + exp(-v)));
    WORST(vsigmoidf, -2.0, 2.0, 1 / (1 + exp(-v)));
    WORST(vsiluf, -87.0, 103.0, v / (1 + exp(-v)));
    WORST(vsiluf, -2.0, 2.0, v / (1 + exp(-v)));
#undef LIMIT
}

static void edges(void)
{
    check(vexpf(0.0f) == 1.0f);
    check(vexpf(-INFINITY) == 0.0f && vexpf(-1e30f) == 0.0f);
    check(isinf(vexpf(INFINITY)) && isinf(vexpf(1e30f)));
    check(isnan(vexpf(NAN)) && isnan(vsoftplusf(NAN)) && isnan(vsigmoidf(NAN)) && isnan(vsiluf(NAN)));
    check(vsigmoidf(-INFINITY) == 0.0f && vsigmoidf(INFINITY) == 1.0f && vsigmoidf(0.0f) == 0.5f);
    check(vsoftplusf(-INFINITY) == 0.0f && vsoftplusf(1e30f) == 1e30f && isinf(vsoftplusf(INFINITY)));
    check(vsiluf(0.0f) == 0.0f && vsiluf(1e30f) == 1e30f && vsiluf(-1e30f) == 0.0f);
}

static const struct test all[] = {{"accuracy", accuracy}, {"edges", edges}};
TEST_MAIN("vmath", all)
