/* kernels/cpu/xent.c - kernels/xent.h: one pass over a row for its exponentials, and one that scales them while they are in the cache. */
#include "kernels/xent.h"
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/vmath.h"
#include <math.h>
#include <string.h>

/* Logits go in pieces whose maximum is taken before their exponentials; at most PIECES of them, of at least PIECE logits. */
enum { PIECE = 256, PIECES = 1024 };

struct row {
    float max;  /* the largest logit */
    double sum; /* of exp(l - max) */
    int64_t piece;
    float base[PIECES]; /* the largest logit up to the piece's end, which its exponentials were taken against */
};

/* One pass over a row. Piece by piece, the sum so far is rescaled when the maximum rises. e (NULL: not wanted; may be l) receives the
 * exponentials. */
static inline __attribute__((always_inline)) void exponentials(struct row *r, float *e, const float *l, int64_t n)
{
    r->max = -INFINITY;
    r->sum = 0;
    r->piece = n > (int64_t)PIECE * PIECES ? (n + PIECES - 1) / PIECES : PIECE;
    for (int64_t at = 0, p = 0; at < n; at += r->piece, p++) {
        int64_t end = cpu_min(at + r->piece, n);
        float top = -INFINITY, part = 0;
#pragma omp simd reduction(max : top)
        for (int64_t j = at; j < end; j++)
            top = l[j] > top ? l[j] : top;
        if (top > r->max) {
            r->sum *= exp((double)r->max - top); /* exp(-inf) is 0 the first time */
            r->max = top;
        }
        r->base[p] = r->max;
        float base = r->max > -INFINITY ? r->max : 0; /* all -inf so far: their exponentials are 0, not those of -inf - -inf */
#pragma omp simd reduction(+ : part)
        for (int64_t j = at; j < end; j++) {
            float x = vexpf(l[j] - base);
            if (e)
                e[j] = x;
            part += x;
        }
        r->sum += part;
    }
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
        struct row r;
        float scale = weight ? weight[i] : 1.0f, right = l[target[i]];
        if (d)
            exponentials(&r, d, l, n);
        else
            exponentials(&r, NULL, l, n);
        loss[i] = (float)(scale * (r.max + log(r.sum) - right));
        if (!d)
            continue;
        for (int64_t at = 0, p = 0; at < n; at += r.piece, p++) {
            int64_t end = cpu_min(at + r.piece, n);
            float factor = (float)(scale / r.sum * exp((double)r.base[p] - r.max));
#pragma omp simd
            for (int64_t j = at; j < end; j++)
                d[j] *= factor;
        }
        d[target[i]] -= scale;
    }
}
