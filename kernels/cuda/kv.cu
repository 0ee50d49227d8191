/* kernels/cuda/kv.cu - kernels/kv.h. A block is one head of one row, a thread the two channels that are turned together. */
#include "kernels/kv.h"
#include "kernels/cuda/cuda.cuh"

struct append_args {
    const bf16 *qkv;
    int64_t ld_qkv, ld_q;
    bf16 *q, *k, *v;
    const float *bias;
    const double *turns;
    struct kv_rows rows;
    int32_t q_heads, heads, page, dim;
};

static __global__ void append_kernel(append_args p)
{
    int32_t r = blockIdx.y, h = blockIdx.x, i = threadIdx.x, half = p.dim / 2;
    int32_t at = p.rows.position[r];
    const bf16 *in = p.qkv + r * p.ld_qkv + (int64_t)h * p.dim;
    const float *bias = p.bias + (int64_t)h * p.dim;
    float a = __bfloat162float(in[i]) + bias[i], b = __bfloat162float(in[i + half]) + bias[i + half];
    if (h < p.q_heads + p.heads) {
        double turn = at * p.turns[i]; /* in f64 the position of a token far on leaves its angle exact */
        float c, s;
        sincospif((float)(2 * (turn - floor(turn))), &s, &c);
        float x = a * c - b * s;
        b = b * c + a * s;
        a = x;
    }
    bf16 *out;
    if (h < p.q_heads) {
        out = p.q + r * p.ld_q + (int64_t)h * p.dim;
    } else {
        int32_t head = (h - p.q_heads) % p.heads;
        int64_t page = p.rows.table[(int64_t)p.rows.seq[r] * p.rows.width + at / p.page];
        out = (h < p.q_heads + p.heads ? p.k : p.v) + ((page * p.heads + head) * p.page + at % p.page) * p.dim;
    }
    out[i] = __float2bfloat16_rn(a);
    out[i + half] = __float2bfloat16_rn(b);
}

void kv_append(mat q, mat qkv, const float *bias, const double *turns, struct kv_cache kv, struct kv_rows rows)
{
    int32_t dim = kv.dim;
    must(q.dtype == BF16 && qkv.dtype == BF16 && kv.type == BF16 && dim % 2 == 0 && dim <= 2048 && q.cols % dim == 0 && q.rows == rows.n);
    must(qkv.rows == rows.n && qkv.cols == q.cols + 2 * (int64_t)kv.heads * dim && rows.n <= 65535);
    if (rows.n == 0)
        return;
    append_args p = {(const bf16 *)qkv.data,
                     qkv.ld,
                     q.ld,
                     (bf16 *)q.data,
                     (bf16 *)kv.k,
                     (bf16 *)kv.v,
                     bias,
                     turns,
                     rows,
                     (int32_t)(q.cols / dim),
                     kv.heads,
                     kv.page,
                     dim};
    append_kernel<<<dim3((unsigned)(p.q_heads + 2 * kv.heads), (unsigned)rows.n), (unsigned)dim / 2, 0, cuda_stream()>>>(p);
    cuda_launched();
}
