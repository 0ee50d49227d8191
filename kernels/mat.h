/* kernels/mat.h - the one view every op takes: a row-major matrix on the device.
 *
 * Every activation of Mamba-2 is [tokens, channels], so the pieces of a
 * projection (z | x | B | C | dt) are column slices of it: same rows, same
 * leading dimension, no copy. A mat owns nothing; it is passed by value.
 */
#ifndef KERNELS_MAT_H
#define KERNELS_MAT_H
#include <stdint.h>

enum dtype { F32, BF16 };

typedef struct {
    void *data; /* first element, in device memory */
    enum dtype dtype;
    int64_t rows, cols;
    int64_t ld; /* elements from one row to the next, >= cols */
} mat;

static inline int64_t dtype_size(enum dtype t)
{
    return t == F32 ? 4 : 2;
}
static inline mat mat_make(void *p, enum dtype t, int64_t rows, int64_t cols)
{
    mat m = {p, t, rows, cols, cols};
    return m;
}
/* Columns first .. first+n-1 / rows first .. first+n-1 of m. A slice of nothing (data NULL, as while measuring) stays nothing. */
static inline mat mat_cols(mat m, int64_t first, int64_t n)
{
    if (m.data)
        m.data = (char *)m.data + first * dtype_size(m.dtype);
    m.cols = n;
    return m;
}
static inline mat mat_rows(mat m, int64_t first, int64_t n)
{
    if (m.data)
        m.data = (char *)m.data + first * m.ld * dtype_size(m.dtype);
    m.rows = n;
    return m;
}
/* bfloat16 to and from float32, round to nearest even; for host code (checkpoints, tests). */
static inline float bf16_to_f32(uint16_t h)
{
    union {
        uint32_t u;
        float f;
    } v;
    v.u = (uint32_t)h << 16;
    return v.f;
}
static inline uint16_t f32_to_bf16(float f)
{
    union {
        uint32_t u;
        float f;
    } v;
    v.f = f;
    if ((v.u & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(v.u >> 16 | 0x40u); /* a NaN stays one */
    return (uint16_t)((v.u + 0x7fffu + (v.u >> 16 & 1u)) >> 16);
}
#endif
