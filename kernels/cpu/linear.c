/* kernels/cpu/linear.c - kernels/linear.h: oneDNN for many rows, an own kernel for the few rows of a decode step. */
#include "kernels/linear.h"
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/gemm.h"
#include "kernels/device.h"
#include "kernels/norm.h"
#include <stdlib.h>
#include <string.h>

/* y = x w^T + beta y for w in bf16, of which some rows at a time become floats. */
static void fwd_half(mat y, mat x, mat w, float beta)
{
    const int64_t most = 1 << 19; /* floats: they stay in the cache, and are rows enough for the library */
    int64_t rows = most / w.cols > 64 ? most / w.cols : 64;
    rows = cpu_min(rows, w.rows);
    float *block = xmalloc((size_t)(rows * w.cols) * sizeof *block);
    for (int64_t o = 0; o < w.rows; o += rows) {
        mat part = mat_rows(w, o, cpu_min(rows, w.rows - o)), f = mat_make(block, F32, part.rows, part.cols),
            to = mat_cols(y, o, part.rows);
        mat_convert(f, part);
        gemm('N', 'T', x.rows, f.rows, f.cols, 1, x.data, x.ld, f.data, f.ld, beta, to.data, to.ld);
    }
    free(block);
}

/* How the library sums depends on the number of rows; the step's kernel knows only a row and a weight row. In blocks that stay in the
 * cache while the weights pass it has half to three quarters of the library's rate. */
static void fwd_exact(mat y, mat x, mat w, mat add)
{
    const int64_t block = 128;
    for (int64_t i = 0; i < x.rows; i += block) {
        int64_t n = cpu_min(block, x.rows - i);
        linear_step(mat_rows(y, i, n), mat_rows(x, i, n), w, mat_rows(add, i, n));
    }
}

void linear_fwd(mat y, mat x, mat w, mat add)
{
    must(x.dtype == F32 && y.dtype == F32 && x.cols == w.cols && y.cols == w.rows && y.rows == x.rows);
    if (dev_is_exact()) {
        fwd_exact(y, x, w, add);
        return;
    }
    if (add.data && add.data != y.data)
        mat_convert(y, add);
    if (w.dtype == BF16)
        fwd_half(y, x, w, add.data ? 1 : 0);
    else
        gemm('N', 'T', x.rows, w.rows, w.cols, 1, x.data, x.ld, w.data, w.ld, add.data ? 1 : 0, y.data, y.ld);
}

void linear_bwd_x(mat dx, mat dy, mat w, float beta)
{
    must(dx.dtype == F32 && dy.dtype == F32 && w.dtype == F32 && dx.cols == w.cols && dy.cols == w.rows && dx.rows == dy.rows);
    gemm('N', 'N', dy.rows, w.cols, w.rows, 1, dy.data, dy.ld, w.data, w.ld, beta, dx.data, dx.ld);
}

void linear_bwd_w(mat dw, mat dy, mat x)
{
    must(dw.dtype == F32 && dy.dtype == F32 && x.dtype == F32 && dw.cols == x.cols && dw.rows == dy.cols && dy.rows == x.rows);
    gemm('T', 'N', dw.rows, dw.cols, x.rows, 1, dy.data, dy.ld, x.data, x.ld, 1, dw.data, dw.ld);
}

/* --- linear_step ---
 * The weights are read once, so at batch 1 memory decides. Each output is one dot product, summed lane by lane over steps of LANES and
 * then over the lanes, in the same order in every tile shape: a row's result does not depend on how many rows are beside it. */
#if defined(__AVX512F__)
enum { LANES = 16 };
#elif defined(__AVX__)
enum { LANES = 8 };
#else
enum { LANES = 4 };
#endif
typedef float vec __attribute__((vector_size(LANES * 4), aligned(4), may_alias));

enum { TILE_OUT = 4, TILE_ROWS = 4, AHEAD = 8192 /* bytes */ };

/* The sum of the lanes, halves added to halves: by vectors of 16, 8, 4 and 2 floats where the compiler has them. */
static inline float lane_sum(vec v)
{
    typedef float vec4 __attribute__((vector_size(16)));
    vec4 part[LANES / 4];
    memcpy(part, &v, sizeof v);
    for (int width = LANES / 8; width > 0; width /= 2)
        for (int i = 0; i < width; i++)
            part[i] += part[i + width];
    vec4 s = part[0] + __builtin_shuffle(part[0], (__attribute__((vector_size(16))) int){2, 3, 0, 1});
    return s[0] + s[1];
}

/* The first n < LANES floats, then zeros. */
static inline vec load_part(const float *p, int64_t n)
{
    float s[LANES] = {0};
    vec v;
    memcpy(s, p, (size_t)n * sizeof(float));
    memcpy(&v, s, sizeof v);
    return v;
}

/* LANES weights from number at on, as floats; half is a constant where this is inlined. */
static inline __attribute__((always_inline)) vec load_w(const void *w, int64_t at, bool half)
{
    if (!half)
        return *(const vec *)((const float *)w + at);
    typedef uint16_t low __attribute__((vector_size(LANES * 2)));
    typedef uint32_t high __attribute__((vector_size(LANES * 4)));
    low h;
    memcpy(&h, (const uint16_t *)w + at, sizeof h);
    return (vec)(__builtin_convertvector(h, high) << 16); /* bfloat16 is the upper half of a float */
}
static inline __attribute__((always_inline)) vec load_w_part(const void *w, int64_t at, bool half, int64_t n)
{
    if (!half)
        return load_part((const float *)w + at, n);
    uint16_t h[LANES] = {0};
    memcpy(h, (const uint16_t *)w + at, (size_t)n * sizeof *h);
    return load_w(h, 0, true);
}

/* Weight rows from number at of w on, in f32 or bf16. */
struct weights {
    const void *w;
    int64_t at, ld;
    bool half;
};

/* y[i][o] = dot(x[i], w[o]) + add[i][o] for outs x rows of them; both are constants where this is inlined, so acc is registers. */
static inline __attribute__((always_inline)) void tile(int rows, int outs, float *y, int64_t ldy, const float *x, int64_t ldx,
                                                       struct weights w, const float *add, int64_t lda, int64_t n)
{
    vec acc[TILE_ROWS][TILE_OUT] = {{{0}}};
    int64_t k = 0;
    for (; k + LANES <= n; k += LANES) {
        if (rows > 1 && outs == 1) /* weights come from memory, and several rows' work hides it; into L2, as L1 has the rows */
            __builtin_prefetch((const char *)w.w + (w.at + k) * (w.half ? 2 : 4) + AHEAD, 0, 2);
        vec vw[TILE_OUT];
#pragma GCC unroll 4
        for (int o = 0; o < outs; o++)
            vw[o] = load_w(w.w, w.at + o * w.ld + k, w.half);
#pragma GCC unroll 4
        for (int i = 0; i < rows; i++) {
            vec vx = *(const vec *)(x + i * ldx + k);
#pragma GCC unroll 4
            for (int o = 0; o < outs; o++)
                acc[i][o] += vx * vw[o];
        }
    }
    if (k < n)
#pragma GCC unroll 4
        for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
            for (int o = 0; o < outs; o++)
                acc[i][o] += load_part(x + i * ldx + k, n - k) * load_w_part(w.w, w.at + o * w.ld + k, w.half, n - k);
#pragma GCC unroll 4
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int o = 0; o < outs; o++)
            y[i * ldy + o] = lane_sum(acc[i][o]) + (add ? add[i * lda + o] : 0.0f);
}

/* All rows against outs weight rows. The first rows take one weight row after the other, so that memory is read as one stream, at twice
 * the rate of four streams side by side; the other rows find the weights in the cache, where the square tile is faster. */
static inline __attribute__((always_inline)) void stripe(int outs, float *y, int64_t ldy, const float *x, int64_t ldx, struct weights w,
                                                         const float *add, int64_t lda, int64_t rows, int64_t n)
{
    int64_t i = rows >= TILE_ROWS ? TILE_ROWS : 1;
    for (int o = 0; o < outs; o++) {
        struct weights one = {w.w, w.at + o * w.ld, w.ld, w.half};
        if (i == TILE_ROWS)
            tile(TILE_ROWS, 1, y + o, ldy, x, ldx, one, add ? add + o : NULL, lda, n);
        else
            tile(1, 1, y + o, ldy, x, ldx, one, add ? add + o : NULL, lda, n);
    }
    for (; i + TILE_ROWS <= rows; i += TILE_ROWS)
        tile(TILE_ROWS, outs, y + i * ldy, ldy, x + i * ldx, ldx, w, add ? add + i * lda : NULL, lda, n);
    for (; i < rows; i++)
        tile(1, outs, y + i * ldy, ldy, x + i * ldx, ldx, w, add ? add + i * lda : NULL, lda, n);
}

/* Stripe number s of a product; half is a constant where this is inlined. */
static inline __attribute__((always_inline)) void step_stripe(mat y, mat x, mat w, mat add, int64_t s, bool half)
{
    const float *px = x.data;
    float *py = y.data;
    int64_t o = s * TILE_OUT;
    const float *a = add.data ? (const float *)add.data + o : NULL;
    if (o + TILE_OUT <= w.rows)
        stripe(TILE_OUT, py + o, y.ld, px, x.ld, (struct weights){w.data, o * w.ld, w.ld, half}, a, add.ld, x.rows, w.cols);
    else
        for (; o < w.rows; o++, a = a ? a + 1 : NULL)
            stripe(1, py + o, y.ld, px, x.ld, (struct weights){w.data, o * w.ld, w.ld, half}, a, add.ld, x.rows, w.cols);
}

void linear_step(mat y, mat x, mat w, mat add)
{
    must(x.dtype == F32 && y.dtype == F32 && x.cols == w.cols && y.cols == w.rows && y.rows == x.rows);
    if (x.rows == 0)
        return;
    int64_t stripes = (w.rows + TILE_OUT - 1) / TILE_OUT;
#pragma omp parallel for schedule(static) if (x.rows * w.rows * w.cols > 4 * CPU_SERIAL)
    for (int64_t s = 0; s < stripes; s++)
        if (w.dtype == F32)
            step_stripe(y, x, w, add, s, false);
        else
            step_stripe(y, x, w, add, s, true);
}

void linear_norm_step(mat y, mat h, mat x, const float *norm, float eps, mat w)
{
    rmsnorm_fwd(h, NULL, x, norm, eps);
    linear_step(y, h, w, (mat){0});
}

/* Columns [from, from + n) of row i. */
static void convert_part(mat dst, mat src, int64_t i, int64_t from, int64_t n)
{
    size_t size_to = (size_t)dtype_size(dst.dtype), size_from = (size_t)dtype_size(src.dtype);
    void *to = (char *)dst.data + (size_t)(i * dst.ld + from) * size_to;
    const void *at = (const char *)src.data + (size_t)(i * src.ld + from) * size_from;
    if (dst.dtype == src.dtype) {
        memcpy(to, at, (size_t)n * size_to);
    } else if (dst.dtype == F32) {
        float *f = to;
        const uint16_t *h = at;
#pragma omp simd
        for (int64_t j = 0; j < n; j++)
            f[j] = bf16_to_f32(h[j]);
    } else {
        uint16_t *h = to;
        const float *f = at;
#pragma omp simd
        for (int64_t j = 0; j < n; j++)
            h[j] = f32_to_bf16(f[j]);
    }
}

void mat_convert(mat dst, mat src)
{
    must(dst.rows == src.rows && dst.cols == src.cols);
    const int64_t part = 1 << 14; /* a flat array comes as one long row */
    int64_t parts = (dst.cols + part - 1) / part;
#pragma omp parallel for schedule(static) if (dst.rows * dst.cols > CPU_SERIAL)
    for (int64_t b = 0; b < dst.rows * parts; b++) {
        int64_t from = b % parts * part;
        convert_part(dst, src, b / parts, from, cpu_min(part, dst.cols - from));
    }
}
