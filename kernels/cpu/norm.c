/* kernels/cpu/norm.c - kernels/norm.h: rows in parallel, weight gradients as one partial sum per block of rows. */
#include "kernels/norm.h"
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/vmath.h"
#include <math.h>
#include <string.h>

enum { ROWS = 64 }; /* of a block */

static int64_t blocks_of(int64_t rows)
{
    return (rows + ROWS - 1) / ROWS;
}

/* dw += parts [blocks][n], in the order of the blocks. */
static void add_parts(float *dw, const float *parts, int64_t blocks, int64_t n)
{
    const int64_t piece = 1024;
#pragma omp parallel for schedule(static) if (blocks * n > CPU_SERIAL)
    for (int64_t first = 0; first < n; first += piece)
        for (int64_t b = 0; b < blocks; b++) {
            const float *p = parts + b * n;
#pragma omp simd
            for (int64_t j = first; j < cpu_min(first + piece, n); j++)
                dw[j] += p[j];
        }
}

void rmsnorm_fwd(mat y, float *rstd, mat x, const float *w, float eps)
{
    must(x.dtype == F32 && y.dtype == F32 && y.rows == x.rows && y.cols == x.cols);
    int64_t n = x.cols;
#pragma omp parallel for schedule(static) if (x.rows * n > CPU_SERIAL)
    for (int64_t i = 0; i < x.rows; i++) {
        const float *px = cpu_row(x, i);
        float *py = cpu_row(y, i), sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t j = 0; j < n; j++)
            sum += px[j] * px[j];
        float r = 1.0f / sqrtf(sum / (float)n + eps);
#pragma omp simd
        for (int64_t j = 0; j < n; j++)
            py[j] = px[j] * r * w[j];
        if (rstd)
            rstd[i] = r;
    }
}

size_t rmsnorm_scratch(int64_t tokens, int64_t cols)
{
    return (size_t)(blocks_of(tokens) * cols) * sizeof(float);
}

void rmsnorm_bwd(mat dx, float *dw, mat dy, mat x, const float *w, const float *rstd, void *scratch)
{
    must(x.dtype == F32 && dy.dtype == F32 && dx.dtype == F32 && dy.rows == x.rows && dx.rows == x.rows && dy.cols == x.cols);
    int64_t n = x.cols, blocks = blocks_of(x.rows);
    float *parts = scratch;
#pragma omp parallel for schedule(static) if (x.rows * n > CPU_SERIAL)
    for (int64_t b = 0; b < blocks; b++) {
        float *part = parts + b * n;
        memset(part, 0, (size_t)n * sizeof(float));
        for (int64_t i = b * ROWS; i < cpu_min((b + 1) * ROWS, x.rows); i++) {
            const float *px = cpu_row(x, i), *pg = cpu_row(dy, i);
            float *pd = cpu_row(dx, i), r = rstd[i], dot = 0;
#pragma omp simd reduction(+ : dot)
            for (int64_t j = 0; j < n; j++)
                dot += pg[j] * w[j] * px[j];
            float shift = dot * r * r * r / (float)n; /* xhat's share of mean(dy w xhat), xhat = x r */
#pragma omp simd
            for (int64_t j = 0; j < n; j++) {
                part[j] += pg[j] * px[j] * r;
                pd[j] += pg[j] * w[j] * r - px[j] * shift;
            }
        }
    }
    add_parts(dw, parts, blocks, n);
}

void gatenorm_fwd(mat o, float *rstd, mat y, mat z, const float *w, int groups, float eps)
{
    must(o.dtype == F32 && y.dtype == F32 && z.dtype == F32 && y.rows == z.rows && o.rows == y.rows && y.cols % groups == 0);
    int64_t n = y.cols / groups;
#pragma omp parallel for schedule(static) if (y.rows * y.cols > CPU_SERIAL / 4)
    for (int64_t i = 0; i < y.rows; i++)
        for (int g = 0; g < groups; g++) {
            const float *py = cpu_row(y, i) + g * n, *pz = cpu_row(z, i) + g * n, *pw = w + g * n;
            float *po = cpu_row(o, i) + g * n, sum = 0;
#pragma omp simd reduction(+ : sum)
            for (int64_t j = 0; j < n; j++) {
                float u = py[j] * vsiluf(pz[j]);
                po[j] = u;
                sum += u * u;
            }
            float r = 1.0f / sqrtf(sum / (float)n + eps);
#pragma omp simd
            for (int64_t j = 0; j < n; j++)
                po[j] = po[j] * r * pw[j];
            if (rstd)
                rstd[i * groups + g] = r;
        }
}

size_t gatenorm_scratch(int64_t tokens, int64_t cols)
{
    return rmsnorm_scratch(tokens, cols);
}

/* One group of one row. With u = y silu(z), uhat = u r: du = r (do w - uhat mean(do w uhat)), dy = du silu(z), dz = du y silu'(z). */
static void gatenorm_bwd_group(float *dy, float *restrict dz, float *restrict part, const float *g, const float *y, const float *z,
                               const float *w, float r, int64_t n)
{
    float dot = 0;
#pragma omp simd reduction(+ : dot)
    for (int64_t j = 0; j < n; j++) {
        float sig = vsigmoidf(z[j]);
        dz[j] = sig; /* read again below, out of the L1 cache */
        dot += g[j] * w[j] * y[j] * (z[j] * sig);
    }
    float shift = dot * r * r * r / (float)n;
#pragma omp simd
    for (int64_t j = 0; j < n; j++) {
        float sig = dz[j], silu = z[j] * sig, u = y[j] * silu;
        float du = g[j] * w[j] * r - u * shift;
        part[j] += g[j] * u * r;
        dz[j] = du * y[j] * (sig + silu * (1.0f - sig));
        dy[j] = du * silu;
    }
}

void gatenorm_bwd(mat dy, mat dz, float *dw, mat do_, mat y, mat z, const float *w, const float *rstd, int groups, void *scratch)
{
    must(dy.dtype == F32 && dz.dtype == F32 && do_.dtype == F32 && y.dtype == F32 && z.dtype == F32);
    must(y.cols % groups == 0 && dz.data != z.data && dz.data != y.data);
    int64_t n = y.cols / groups, blocks = blocks_of(y.rows);
    float *parts = scratch;
#pragma omp parallel for schedule(static) if (y.rows * y.cols > CPU_SERIAL / 4)
    for (int64_t b = 0; b < blocks; b++) {
        float *part = parts + b * y.cols;
        memset(part, 0, (size_t)y.cols * sizeof(float));
        for (int64_t i = b * ROWS; i < cpu_min((b + 1) * ROWS, y.rows); i++)
            for (int64_t at = 0; at < y.cols; at += n)
                gatenorm_bwd_group(cpu_row(dy, i) + at, cpu_row(dz, i) + at, part + at, cpu_row(do_, i) + at, cpu_row(y, i) + at,
                                   cpu_row(z, i) + at, w + at, rstd[i * groups + at / n], n);
    }
    add_parts(dw, parts, blocks, y.cols);
}
