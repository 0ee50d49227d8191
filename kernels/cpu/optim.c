/* kernels/cpu/optim.c - kernels/optim.h. Sums go over a fixed number of parts that depend on n alone, not on the threads. */
#include "kernels/optim.h"
#include "kernels/cpu/cpu.h"
#include "kernels/linear.h" /* mat_convert */
#include <math.h>

enum { PARTS = 1024 };

size_t sum_scratch(void)
{
    return PARTS * sizeof(double);
}

/* Elements of a part: whole cache lines. */
static int64_t part_size(int64_t n)
{
    return ((n + PARTS - 1) / PARTS + 63) / 64 * 64;
}

static void add_in_order(double *sum, const double *parts, int64_t n)
{
    double s = 0;
    for (int64_t i = 0; i < n; i++)
        s += parts[i];
    *sum += s;
}

void sum_add(double *sum, const float *x, int64_t n, void *scratch)
{
    double *parts = scratch;
    int64_t size = part_size(n), count = size ? (n + size - 1) / size : 0;
#pragma omp parallel for schedule(static) if (n > CPU_SERIAL)
    for (int64_t p = 0; p < count; p++) {
        double s = 0;
#pragma omp simd reduction(+ : s)
        for (int64_t i = p * size; i < cpu_min((p + 1) * size, n); i++)
            s += (double)x[i];
        parts[p] = s;
    }
    add_in_order(sum, parts, count);
}

static double sumsq(const void *p, enum dtype t, int64_t n)
{
    double s = 0;
    if (t == F32) {
        const float *x = p;
#pragma omp simd reduction(+ : s)
        for (int64_t i = 0; i < n; i++)
            s += (double)x[i] * (double)x[i];
    } else {
        const uint16_t *x = p;
#pragma omp simd reduction(+ : s)
        for (int64_t i = 0; i < n; i++)
            s += (double)bf16_to_f32(x[i]) * (double)bf16_to_f32(x[i]);
    }
    return s;
}

void sumsq_add(double *sum, mat g, void *scratch)
{
    double *parts = scratch;
    if (g.ld == g.cols) { /* no gaps: one row */
        g.cols *= g.rows;
        g.rows = g.rows ? 1 : 0;
        g.ld = g.cols;
    }
    int64_t n = g.rows * g.cols, size = part_size(n), count = size ? (n + size - 1) / size : 0;
#pragma omp parallel for schedule(static) if (n > CPU_SERIAL)
    for (int64_t p = 0; p < count; p++) {
        double s = 0;
        int64_t end = cpu_min((p + 1) * size, n);
        for (int64_t i = p * size; i < end;) {
            int64_t row = i / g.cols, col = i % g.cols, run = cpu_min(g.cols - col, end - i);
            s += sumsq((const char *)g.data + (row * g.ld + col) * dtype_size(g.dtype), g.dtype, run);
            i += run;
        }
        parts[p] = s;
    }
    add_in_order(sum, parts, count);
}

void step_finish(struct step_stats *stats, float max_norm)
{
    double norm = sqrt(stats->sumsq);
    stats->grad_norm = (float)norm;
    if (!isfinite(stats->loss) || !isfinite(norm))
        stats->scale = NAN;
    else
        stats->scale = max_norm > 0 && norm > max_norm ? (float)(max_norm / norm) : 1.0f;
}

struct update {
    float beta1, beta2, rest1, rest2; /* rest: 1 - beta */
    float step, root, eps, keep;      /* w = w keep - step m / (sqrt(v) root + eps) */
    float scale;
};

static void update_part(float *restrict w, float *restrict m, float *restrict v, const float *restrict g, int64_t n, struct update u)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float gi = g[i] * u.scale;
        float mi = u.beta1 * m[i] + u.rest1 * gi;
        float vi = u.beta2 * v[i] + u.rest2 * gi * gi;
        m[i] = mi;
        v[i] = vi;
        w[i] = w[i] * u.keep - u.step * mi / (__builtin_sqrtf(vi) * u.root + u.eps);
    }
}

void adamw_step(float *w, void *w16, float *m, float *v, const void *g, enum dtype g_type, int64_t n, struct adamw a,
                const struct step_stats *stats)
{
    if (isnan(stats->scale))
        return;
    must(a.t >= 1);
    const struct update u = {.beta1 = a.beta1,
                             .beta2 = a.beta2,
                             .rest1 = (float)(1.0 - (double)a.beta1),
                             .rest2 = (float)(1.0 - (double)a.beta2),
                             .step = (float)(a.lr / (1.0 - pow(a.beta1, (double)a.t))),
                             .root = (float)(1.0 / sqrt(1.0 - pow(a.beta2, (double)a.t))),
                             .eps = a.eps,
                             .keep = (float)(1.0 - (double)a.lr * a.decay),
                             .scale = stats->scale};
    enum { PIECE = 4096 }; /* values that are converted from and to bf16 while they are in the L1 cache */
#pragma omp parallel for schedule(static) if (n > CPU_SERIAL)
    for (int64_t i = 0; i < n; i += PIECE) {
        float converted[PIECE];
        int64_t size = cpu_min(PIECE, n - i);
        const float *gi = g_type == F32 ? (const float *)g + i : converted;
        if (g_type == BF16)
            mat_convert(mat_make(converted, F32, 1, size), mat_make((uint16_t *)g + i, BF16, 1, size));
        update_part(w + i, m + i, v + i, gi, size, u);
        if (w16)
            mat_convert(mat_make((uint16_t *)w16 + i, BF16, 1, size), mat_make(w + i, F32, 1, size));
    }
}
