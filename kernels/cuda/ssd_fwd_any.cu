/* kernels/cuda/ssd_fwd_any.cu - SSD forward for every type and shape, in float32 on CUDA cores.
 *
 * The same walk as ssd_fwd_mma.cu: a block takes the tiles of one (document, head) in order, the state stays in shared memory.
 */
#include "kernels/cuda/ssd_any.cuh"

namespace
{
template <class T> struct fwd_any_args {
    tokens<const T> x, B, C;
    tokens<T> y;
    const float *A_log, *D, *dt;
    T *states;
    struct ssd_dims d;
    struct seqs s;
    struct state_view state;
    int tile;
};

size_t fwd_any_floats(struct ssd_dims d, int tile)
{
    size_t P = d.headdim | 1, N = d.state | 1;
    return (size_t)d.headdim * N + tile * (P + 2 * N + (tile | 1) + 3);
}

template <class T> __global__ void __launch_bounds__(ANY_THREADS) fwd_any_kernel(fwd_any_args<T> a)
{
    const int P = a.d.headdim, N = a.d.state, L = a.tile, p_ld = P | 1, n_ld = N | 1, l_ld = L | 1;
    extern __shared__ __align__(16) float any_shared[];
    double *cum = (double *)any_shared;
    float *S = any_shared + 2 * L, *x = S + P * n_ld, *B = x + L * p_ld, *C = B + L * n_ld, *M = C + L * n_ld, *dt = M + L * l_ld;
    const int heads = a.d.heads, doc = blockIdx.x / heads, head = blockIdx.x % heads, group = head / (heads / a.d.groups);
    const int first = a.s.first_chunk[doc], end = a.s.first_chunk[doc + 1], per_chunk = (a.s.chunk + L - 1) / L;
    const int n_tile = tiles_of(a.s, first, end, L);
    const float D = a.D[head], A = -expf(a.A_log[head]);
    const int64_t at_state = a.state.data ? a.s.slot[doc] * a.state.stride + (int64_t)head * P * N : 0;

    for (int i = threadIdx.x; i < P * N; i += ANY_THREADS) {
        float v = 0;
        if (a.state.data)
            v = a.state.dtype == F32 ? ((const float *)a.state.data)[at_state + i] : to_f32(((const bf16 *)a.state.data)[at_state + i]);
        S[i / N * n_ld + i % N] = v;
    }
    for (int tile = 0; tile < n_tile; tile++) {
        const int chunk = first + tile / per_chunk, in_chunk = tile % per_chunk;
        const tile_place at = place_of(a.s, chunk, in_chunk, L);
        __syncthreads();
        load_rows(x, p_ld, a.x, at.row, (int64_t)head * P, at.len, P);
        load_rows(B, n_ld, a.B, at.row, (int64_t)group * N, at.len, N);
        load_rows(C, n_ld, a.C, at.row, (int64_t)group * N, at.len, N);
        load_steps(dt, cum, a.dt + at.row * heads + head, A, heads, at.len);
        if (a.states && in_chunk == 0)
            for (int i = threadIdx.x; i < P * N; i += ANY_THREADS)
                put_f32(a.states + ((int64_t)chunk * heads + head) * P * N + i, S[i / N * n_ld + i % N]);
        __syncthreads();
        product(
            at.len, at.len, N, [&](int i, int n) { return C[i * n_ld + n]; }, [&](int n, int j) { return B[j * n_ld + n]; },
            [&](int i, int j, float v) { M[i * l_ld + j] = j <= i ? v * decay(cum[i] - cum[j]) * dt[j] : 0.f; });
        __syncthreads();
        product(
            at.len, P, N, [&](int i, int n) { return C[i * n_ld + n]; }, [&](int n, int p) { return S[p * n_ld + n]; },
            [&](int i, int p, float v) {
                v *= decay(cum[i]);
                for (int j = 0; j <= i; j++)
                    v += M[i * l_ld + j] * x[j * p_ld + p];
                put_f32(a.y.row(at.row + i) + (int64_t)head * P + p, v + D * x[i * p_ld + p]);
            });
        __syncthreads();
        const double last = cum[at.len - 1];
        const float through = decay(last);
        product(
            P, N, at.len, [&](int p, int j) { return x[j * p_ld + p]; },
            [&](int j, int n) { return B[j * n_ld + n] * (dt[j] * decay(last - cum[j])); },
            [&](int p, int n, float v) { S[p * n_ld + n] = through * S[p * n_ld + n] + v; });
    }
    __syncthreads();
    if (a.state.data)
        for (int i = threadIdx.x; i < P * N; i += ANY_THREADS) {
            const float v = S[i / N * n_ld + i % N];
            if (a.state.dtype == F32)
                ((float *)a.state.data)[at_state + i] = v;
            else
                put_f32((bf16 *)a.state.data + at_state + i, v);
        }
}
int fwd_any_tile(struct ssd_dims d)
{
    return largest_tile([&](int tile) { return fwd_any_floats(d, tile); });
}
} // namespace

void ssd_fwd_any(const struct ssd_fwd_args &a)
{
    const int tile = fwd_any_tile(a.d);
    typed(a.in.x.dtype, [&](auto t) {
        using T = decltype(t);
        fwd_any_args<T> k = {tokens_of<const T>(a.in.x),
                             tokens_of<const T>(a.in.B),
                             tokens_of<const T>(a.in.C),
                             tokens_of<T>(a.y),
                             a.in.A_log,
                             a.in.D,
                             a.dt,
                             (T *)a.states,
                             a.d,
                             a.s,
                             a.state,
                             tile};
        launch(fwd_any_kernel<T>, (int64_t)a.s.n * a.d.heads, ANY_THREADS, fwd_any_floats(a.d, tile) * sizeof(float), k);
    });
}
