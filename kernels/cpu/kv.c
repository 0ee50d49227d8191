/* kernels/cpu/kv.c - kernels/kv.h. */
#include "kernels/kv.h"
#include "kernels/cpu/cpu.h"
#include <math.h>

/* out [dim] = in + bias, turned by the position when turns is given. */
static void head(float *out, const float *in, const float *bias, const double *turns, int32_t position, int32_t dim)
{
    int32_t half = dim / 2;
    for (int32_t i = 0; i < half; i++) {
        float a = in[i] + bias[i], b = in[i + half] + bias[i + half];
        if (turns) {
            double turn = position * turns[i];
            double angle = 2 * M_PI * (turn - floor(turn));
            float c = (float)cos(angle), s = (float)sin(angle), x = a * c - b * s;
            b = b * c + a * s;
            a = x;
        }
        out[i] = a;
        out[i + half] = b;
    }
}

void kv_append(mat q, mat qkv, const float *bias, const double *turns, struct kv_cache kv, struct kv_rows rows)
{
    int32_t dim = kv.dim;
    must(q.dtype == F32 && qkv.dtype == F32 && kv.type == F32 && dim % 2 == 0 && q.cols % dim == 0 && q.rows == rows.n);
    must(qkv.rows == rows.n && qkv.cols == q.cols + 2 * (int64_t)kv.heads * dim);
    int32_t q_heads = (int32_t)(q.cols / dim);
#pragma omp parallel for schedule(static) if (qkv.rows * qkv.cols > CPU_SERIAL)
    for (int64_t r = 0; r < qkv.rows; r++) {
        int32_t at = rows.position[r];
        int64_t page = rows.table[(int64_t)rows.seq[r] * rows.width + at / kv.page];
        must(at / kv.page < rows.width && page >= 0 && page < kv.pages);
        const float *in = cpu_row(qkv, r);
        for (int32_t h = 0; h < q_heads; h++)
            head(cpu_row(q, r) + h * dim, in + h * dim, bias + h * dim, turns, at, dim);
        for (int32_t h = 0; h < kv.heads; h++) {
            int64_t to = ((page * kv.heads + h) * kv.page + at % kv.page) * dim, k = (int64_t)(q_heads + h) * dim;
            int64_t v = k + (int64_t)kv.heads * dim;
            head((float *)kv.k + to, in + k, bias + k, turns, at, dim);
            head((float *)kv.v + to, in + v, bias + v, NULL, at, dim);
        }
    }
}
