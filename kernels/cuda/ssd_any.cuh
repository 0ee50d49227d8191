/* kernels/cuda/ssd_any.cuh - tools of the general SSD kernels: float32 arithmetic on CUDA cores, any P and N, any row alignment.
 *
 * Tiles are float32 in shared memory with rows of odd length, so that a warp may walk along rows or down columns. Blocks of 256 threads.
 */
#ifndef KERNELS_CUDA_SSD_ANY_CUH
#define KERNELS_CUDA_SSD_ANY_CUH
#include "kernels/cuda/ssd.cuh"

constexpr int ANY_THREADS = 256, ANY_WARPS = ANY_THREADS / 32;

/* out(m, n, sum over k < K of a(m, k) b(k, n)) for m < M, n < N; a thread does four rows of a column. */
template <class A, class B, class Out> __device__ __forceinline__ void product(int M, int N, int K, A a, B b, Out out)
{
    const int work = (M + 3) / 4 * N;
    for (int i = threadIdx.x; i < work; i += ANY_THREADS) {
        const int n = i % N, m = i / N * 4;
        const int row[4] = {m, min(m + 1, M - 1), min(m + 2, M - 1), min(m + 3, M - 1)};
        float sum[4] = {};
        for (int k = 0; k < K; k++) {
            const float v = b(k, n);
#pragma unroll
            for (int r = 0; r < 4; r++)
                sum[r] += a(row[r], k) * v;
        }
#pragma unroll
        for (int r = 0; r < 4; r++)
            if (m + r < M)
                out(m + r, n, sum[r]);
    }
}
/* The sum of v over a warp, to every lane, in a fixed order. */
__device__ __forceinline__ float warp_sum(float v)
{
#pragma unroll
    for (int o = 16; o > 0; o /= 2)
        v += __shfl_xor_sync(~0u, v, o);
    return v;
}
/* out(m, sum over k < K of f(m, k)) for m < M: a warp does a row; out is called by one lane. */
template <class F, class Out> __device__ __forceinline__ void row_sums(int M, int K, F f, Out out)
{
    const int lane = threadIdx.x % 32;
    for (int m = threadIdx.x / 32; m < M; m += ANY_WARPS) {
        float sum = 0;
        for (int k = lane; k < K; k += 32)
            sum += f(m, k);
        sum = warp_sum(sum);
        if (lane == 0)
            out(m, sum);
    }
}
/* Rows row .. row+len-1, columns col .. col+n-1 to s with rows of ld. */
template <class T>
__device__ __forceinline__ void load_rows(float *s, int ld, tokens<const T> from, int64_t row, int64_t col, int len, int n)
{
    for (int i = threadIdx.x; i < len * n; i += ANY_THREADS)
        s[i / n * ld + i % n] = to_f32(from.row(row + i / n)[col + i % n]);
}
/* dt of one head, from the first row's, and cum, the sums of A dt from the tile's start. In double: steps that wipe the state out and
 * steps that keep it may lie side by side, and differences of sums must keep the digits of the small ones. Needs a barrier after it. */
__device__ __forceinline__ void load_steps(float *s_dt, double *s_cum, const float *dt, float A, int heads, int len)
{
    if (threadIdx.x >= 32)
        return;
    double before = 0;
    for (int first = 0; first < len; first += 32) {
        const int i = first + threadIdx.x;
        const float v = i < len ? dt[(int64_t)i * heads] : 0.f;
        double sum = (double)A * v;
#pragma unroll
        for (int o = 1; o < 32; o *= 2) {
            const double s = __shfl_up_sync(~0u, sum, o);
            sum += threadIdx.x >= o ? s : 0.;
        }
        sum += before;
        if (i < len)
            s_dt[i] = v, s_cum[i] = sum;
        before = __shfl_sync(~0u, sum, 31);
    }
}
/* exp of a log decay, a sum in s_cum or a difference of two. */
__device__ __forceinline__ float decay(double log_decay)
{
    return expf(fminf((float)log_decay, 0.f));
}
/* The largest tile for which shared(tile) floats fit. */
template <class F> static inline int largest_tile(F shared)
{
    int tile = 64;
    while (tile > 1 && shared(tile) * sizeof(float) > SHARED_MAX)
        tile /= 2;
    must(shared(tile) * sizeof(float) <= SHARED_MAX); /* a head's state, P x N, must leave room in shared memory */
    return tile;
}
#endif
