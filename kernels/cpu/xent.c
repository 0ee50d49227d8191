/* kernels/cpu/xent.c - kernels/xent.h: two passes over a row, which the second finds in the cache. */
#include "kernels/xent.h"
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/vmath.h"
#include <math.h>
#include <string.h>

enum { PIECE = 256 }; /* logits whose maximum is taken before their exponentials */

/* The largest logit, and the sum of exp(l - max): piece by piece, the sum so far is rescaled when the maximum rises. */
static float max_and_sum(double *sum, const float *l, int64_t n)
{
    float max = -INFINITY;
    *sum = 0;
    for (int64_t at = 0; at < n; at += PIECE) {
        int64_t end = cpu_min(at + PIECE, n);
        float top = -INFINITY, part = 0;
#pragma omp simd reduction(max : top)
        for (int64_t j = at; j < end; j++)
            top = l[j] > top ? l[j] : top;
        if (top > max) {
            *sum *= exp((double)max - top); /* exp(-inf) is 0 the first time */
            max = top;
        }
        float base = max > -INFINITY ? max : 0; /* all -inf so far: their exponentials are 0, not those of -inf - -inf */
#pragma omp simd reduction(+ : part)
        for (int64_t j = at; j < end; j++)
            part += vexpf(l[j] - base);
        *sum += part;
    }
    return max;
}

void xent_fwd_bwd(mat dlogits, float *loss, mat logits, const int32_t *target, const float *weight)
{
    must(logits.dtype == F32 && (!dlogits.data || dlogits.dtype == F32));
    int64_t n = logits.cols;
#pragma omp parallel for schedule(static) if (logits.rows * n > CPU_SERIAL / 4)
    for (int64_t i = 0; i < logits.rows; i++) {
        float *d = dlogits.data ? cpu_row(dlogits, i) : NULL;
        if (target[i] < 0) {
            loss[i] = 0;
            if (d)
                memset(d, 0, (size_t)n * sizeof(float));
            continue;
        }
        must(target[i] < n);
        const float *l = cpu_row(logits, i);
        double sum;
        float max = max_and_sum(&sum, l, n), scale = weight ? weight[i] : 1.0f;
        loss[i] = (float)(scale * (max + log(sum) - l[target[i]]));
        if (!d)
            continue;
        float factor = (float)(scale / sum);
#pragma omp simd
        for (int64_t j = 0; j < n; j++)
            d[j] = vexpf(l[j] - max) * factor;
        d[target[i]] -= scale;
    }
}
