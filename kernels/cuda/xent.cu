/* kernels/cuda/xent.cu - kernels/xent.h. One block a row. A thread keeps up to KEEP vectors of logits in registers between the sums and
 * the gradient; what a wider row has beyond is read a second time, while it is still in the second-level cache.
 */
#include "kernels/xent.h"
#include "kernels/cuda/vec.cuh"
#include <float.h>

enum { THREADS = 512, KEEP = 8 };

/* The largest value so far and the sum of exp(value - largest). */
struct softmax_sum {
    float most, sum;
};
static __device__ __forceinline__ softmax_sum join(softmax_sum a, softmax_sum b)
{
    float most = fmaxf(a.most, b.most);
    return {most, a.sum * expf(a.most - most) + b.sum * expf(b.most - most)};
}
static __device__ __forceinline__ softmax_sum warp_join(softmax_sum s)
{
#pragma unroll
    for (int o = 16; o > 0; o >>= 1)
        s = join(s, {__shfl_xor_sync(0xffffffffu, s.most, o), __shfl_xor_sync(0xffffffffu, s.sum, o)});
    return s;
}

/* dlogits may begin where logits does, with rows at the same addresses. A narrower gradient then goes over logits further left than its
 * own, so that no thread may write before all have read this step's; those of later steps are further right. */
template <class D, class L, int V>
static __global__ void __launch_bounds__(THREADS, 2) xent_kernel(D *dlogits, int64_t ldd, float *loss, const L *logits, int64_t ldl,
                                                                 const int32_t *target, const float *weight, int64_t cols)
{
    __shared__ softmax_sum part[THREADS / 32];
    __shared__ float shared_logit;
    int64_t row = blockIdx.x;
    const L *in = logits + row * ldl;
    D *out = dlogits ? dlogits + row * ldd : NULL;
    int32_t want = target[row];
    constexpr int64_t STEP = (int64_t)THREADS * V;
    int64_t c0 = (int64_t)threadIdx.x * V;
    if (want < 0) { /* not learnt */
        float zero[V] = {};
        if (threadIdx.x == 0)
            loss[row] = 0;
        if (out)
            for (int64_t c = c0; c < cols; c += STEP)
                vec_write(out + c, zero);
        return;
    }
    if (threadIdx.x == 0) {
        float f[1] = {NAN}; /* a target that does not exist shows as a loss that is not finite */
        if (want < cols)
            vec_read<L, 1>(f, in + want);
        shared_logit = f[0];
    }
    vec<L, V> kept[KEEP];
    softmax_sum s = {-FLT_MAX, 0};
    auto add = [&](const vec<L, V> &v) {
        float f[V], most = s.most, sum = 0;
        vec_get(f, v);
#pragma unroll
        for (int i = 0; i < V; i++)
            most = fmaxf(most, f[i]);
#pragma unroll
        for (int i = 0; i < V; i++)
            sum += expf(f[i] - most);
        s = {most, s.sum * expf(s.most - most) + sum};
    };
#pragma unroll
    for (int i = 0; i < KEEP; i++)
        if (c0 + i * STEP < cols)
            kept[i] = vec_load<L, V>(in + c0 + i * STEP);
#pragma unroll
    for (int i = 0; i < KEEP; i++)
        if (c0 + i * STEP < cols)
            add(kept[i]);
    for (int64_t c = c0 + KEEP * STEP; c < cols; c += STEP)
        add(vec_load<L, V>(in + c));
    s = warp_join(s);
    int lane = threadIdx.x % 32;
    if (lane == 0)
        part[threadIdx.x / 32] = s;
    __syncthreads(); /* all logits have been read once, the target's too */
    s = warp_join(lane < THREADS / 32 ? part[lane] : softmax_sum{-FLT_MAX, 0});
    float scale = weight ? weight[row] : 1.0f, log_sum = logf(s.sum);
    if (threadIdx.x == 0)
        loss[row] = scale * (log_sum - (shared_logit - s.most));
    if (!out)
        return;
    float factor = scale / s.sum;
    auto finish = [&](int64_t c, const vec<L, V> &v) {
        float f[V];
        vec_get(f, v);
#pragma unroll
        for (int i = 0; i < V; i++) {
            f[i] = factor * (sizeof(D) == 4 ? expf(f[i] - s.most) : __expf(f[i] - s.most));
            if (c + i == want)
                f[i] -= scale;
        }
        vec_write(out + c, f);
    };
#pragma unroll
    for (int i = 0; i < KEEP; i++)
        if (c0 + i * STEP < cols)
            finish(c0 + i * STEP, kept[i]);
    bool overlay = sizeof(D) < sizeof(L) && (const void *)dlogits == (const void *)logits;
    for (int64_t base = KEEP * STEP; base < cols; base += STEP) {
        int64_t c = base + c0;
        vec<L, V> v = c < cols ? vec_load<L, V>(in + c) : vec_zero<L, V>();
        if (overlay)
            __syncthreads();
        if (c < cols)
            finish(c, v);
    }
}

void xent_fwd_bwd(mat dlogits, float *loss, mat logits, const int32_t *target, const float *weight)
{
    must(!dlogits.data || (dlogits.rows == logits.rows && dlogits.cols == logits.cols));
    must(dlogits.data != logits.data || (dtype_size(dlogits.dtype) <= dtype_size(logits.dtype) &&
                                         dlogits.ld * dtype_size(dlogits.dtype) == logits.ld * dtype_size(logits.dtype)));
    if (logits.rows == 0)
        return;
    typed(dlogits.dtype, [&](auto td) {
        typed(logits.dtype, [&](auto tl) {
            using D = decltype(td);
            using L = decltype(tl);
            constexpr int W = vec_width<D, L>();
            auto kernel = vec_fits(W, dlogits, logits) ? xent_kernel<D, L, W> : xent_kernel<D, L, 1>;
            kernel<<<grid_size(logits.rows), THREADS, 0, cuda_stream()>>>((D *)dlogits.data, dlogits.ld, loss, (const L *)logits.data,
                                                                          logits.ld, target, weight, logits.cols);
            cuda_launched();
        });
    });
}
