/* kernels/cpu/vmath.h - exp, sigmoid, SiLU and softplus of floats for loops that the compiler turns into vectors; a sum of products.
 *
 * libm's functions are calls, which a `#pragma omp simd` loop cannot vectorise without -ffast-math; these are straight-line arithmetic
 * with no branch. Errors against the exact value (tests/test_vmath.c): vexpf 1.1 ulp, vlog1pf 1.5, vsoftplusf, vsigmoidf and vsiluf 2.5.
 * Infinities and NaN behave as in libm (vexpf(-inf) is 0, vsigmoidf(-inf) is 0); results under 2^-126 are rounded as subnormals.
 */
#ifndef KERNELS_CPU_VMATH_H
#define KERNELS_CPU_VMATH_H
#include <stdint.h>

#define VMATH_FN static inline __attribute__((always_inline))

/* 2^e, e in -126 .. 127; anything for other e. */
VMATH_FN float vmath_pow2(int32_t e)
{
    union {
        uint32_t i;
        float f;
    } v = {.i = ((uint32_t)e + 127u) << 23};
    return v.f;
}
/* The bits of f. */
VMATH_FN int32_t vmath_int(float f)
{
    union {
        float f;
        int32_t i;
    } v = {.f = f};
    return v.i;
}

/* e^x = 2^n e^r, r = x - n ln 2 in [-0.35, 0.35]; ln 2 in two parts, so r is exact but for its last bit. */
VMATH_FN float vexpf(float x)
{
    x = x < -104.0f ? -104.0f : x; /* 0 and infinity come out of the scaling; NaN passes both comparisons */
    x = x > 89.0f ? 89.0f : x;
    const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer, which stands in the low bits */
    float biased = x * 1.44269504088896341f + magic;
    float n = biased - magic;
    float r = x - n * 0.693145751953125f;
    r = r - n * 1.42860682030941723e-6f;
    float p = 1.39263759958e-3f; /* (e^r - 1 - r) / r^2, interpolated at Chebyshev nodes: off by under 0.2 ulp of e^r */
    p = p * r + 8.36333308218e-3f;
    p = p * r + 4.16665534587e-2f;
    p = p * r + 1.66665760623e-1f;
    p = p * r + 0.5f;
    p = (p * r) * r + r + 1.0f;
    int32_t e = vmath_int(biased) - vmath_int(magic);
    int32_t half = e >> 1; /* 2^n as two factors: n can be outside a float's exponents where p 2^n is inside */
    return p * vmath_pow2(half) * vmath_pow2(e - half);
}

/* log(1 + u) for u in [0, 1]: 2 atanh(s) with s = u / (2 + u) in [0, 1/3], where 2s is written u - s u so that u stays exact. */
VMATH_FN float vlog1pf(float u)
{
    float s = u / (2.0f + u), t = s * s;
    float p = 0.23224329224f; /* (2 atanh(s) / s - 2) / t, likewise */
    p = p * t + 0.217065758009f;
    p = p * t + 0.285923579943f;
    p = p * t + 0.399997063319f;
    p = p * t + 0.666666673205f;
    return u - s * (u - t * p);
}

VMATH_FN float vsigmoidf(float x)
{
    return 1.0f / (1.0f + vexpf(-x));
}
VMATH_FN float vsiluf(float x)
{
    return x / (1.0f + vexpf(-x));
}
/* log(1 + e^x). */
VMATH_FN float vsoftplusf(float x)
{
    float a = x < 0.0f ? x : -x;
    return (x > 0.0f ? x : 0.0f) + vlog1pf(vexpf(a));
}

/* The sum of a[i] b[i], in an order of the compiler's. */
VMATH_FN float vdot(const float *a, const float *b, int64_t n)
{
    float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}
#endif
