/* kernels/cuda/ssd_step.cu - one token of SSD for every row of a decode batch.
 *
 * The state is all that matters: it is read once and written once, 16 bytes a lane, and everything else of a (row, head) fits in a few
 * registers. A block does one head of one row. A state row (one p, N numbers) is held by a few neighbouring lanes, which sum their parts
 * of S . C with shuffles, so the order of the sum is fixed by the shape alone.
 */
#include "kernels/cuda/mixer.cuh"
#include "kernels/cuda/ssd.cuh"

namespace
{
constexpr int STEP_THREADS = 128;

template <class T> struct step_args {
    tokens<const T> x, B, C, dt;
    tokens<T> y;
    const float *dt_bias, *A_log, *D;
    void *state;
    int64_t stride;
    const int *slot;
    struct ssd_dims d;
};

/* 16 bytes of a state. */
template <class S> struct piece;
template <> struct piece<float> {
    static constexpr int SIZE = 4;
    static __device__ __forceinline__ void read(float (&v)[4], const float *p)
    {
        const float4 f = *(const float4 *)p;
        v[0] = f.x, v[1] = f.y, v[2] = f.z, v[3] = f.w;
    }
    static __device__ __forceinline__ void write(float *p, const float (&v)[4])
    {
        *(float4 *)p = make_float4(v[0], v[1], v[2], v[3]);
    }
};
template <> struct piece<bf16> {
    static constexpr int SIZE = 8;
    static __device__ __forceinline__ void read(float (&v)[8], const bf16 *p)
    {
        const uint4 u = *(const uint4 *)p;
        const uint32_t w[4] = {u.x, u.y, u.z, u.w};
#pragma unroll
        for (int i = 0; i < 4; i++)
            v[2 * i] = __uint_as_float(w[i] << 16), v[2 * i + 1] = __uint_as_float(w[i] & 0xffff0000u);
    }
    static __device__ __forceinline__ void write(bf16 *p, const float (&v)[8])
    {
        uint4 u;
        __nv_bfloat162 b[4];
#pragma unroll
        for (int i = 0; i < 4; i++)
            b[i] = __floats2bfloat162_rn(v[2 * i], v[2 * i + 1]);
        memcpy(&u, b, sizeof u);
        *(uint4 *)p = u;
    }
};
/* N neighbouring inputs, loaded with as wide accesses as the type allows; aligned to 16 bytes or to all of them. */
template <class T, int N> struct alignas(sizeof(T) * N < 16 ? sizeof(T) * N : 16) vec {
    T v[N];
};

/* Step sizes of (row, head): dt and the decay. */
template <class T> __device__ __forceinline__ float2 step_of(const step_args<T> &a, int row, int head)
{
    float dt = to_f32(a.dt.row(row)[head]) + a.dt_bias[head];
    dt = softplus(dt);
    return make_float2(dt, expf(-expf(a.A_log[head]) * dt));
}

/* N / SIZE lanes, a power of two up to 32, hold a state row. */
template <class T, class S, int LANES> __global__ void __launch_bounds__(STEP_THREADS) step_kernel(step_args<T> a)
{
    constexpr int SIZE = piece<S>::SIZE, N = LANES * SIZE, ROWS = STEP_THREADS / LANES, DEPTH = 4; /* rows at once; pieces in flight */
    const int P = a.d.headdim, heads = a.d.heads, row = blockIdx.x / heads, head = blockIdx.x % heads, group = head / (heads / a.d.groups);
    const int lane = threadIdx.x % LANES, first = threadIdx.x / LANES;
    S *state = (S *)a.state + a.slot[row] * a.stride + (int64_t)head * P * N + lane * SIZE;
    const T *x = a.x.row(row) + (int64_t)head * P;
    T *y = a.y.row(row) + (int64_t)head * P;
    const vec<T, SIZE> b = *(const vec<T, SIZE> *)(a.B.row(row) + (int64_t)group * N + lane * SIZE);
    const vec<T, SIZE> c = *(const vec<T, SIZE> *)(a.C.row(row) + (int64_t)group * N + lane * SIZE);
    float B[SIZE], C[SIZE];
#pragma unroll
    for (int i = 0; i < SIZE; i++)
        B[i] = to_f32(b.v[i]), C[i] = to_f32(c.v[i]);
    const float2 step = step_of(a, row, head);
    const float D = a.D[head];
    for (int p0 = 0; p0 < P; p0 += ROWS * DEPTH) { /* every lane takes every turn: the shuffles need whole warps */
        float v[DEPTH][SIZE], xp[DEPTH];
#pragma unroll
        for (int k = 0; k < DEPTH; k++) {
            const int p = p0 + k * ROWS + first;
            xp[k] = 0;
            if (p < P) {
                piece<S>::read(v[k], state + (int64_t)p * N);
                xp[k] = to_f32(x[p]);
            } else
#pragma unroll
                for (int i = 0; i < SIZE; i++)
                    v[k][i] = 0;
        }
#pragma unroll
        for (int k = 0; k < DEPTH; k++) {
            const int p = p0 + k * ROWS + first;
            const float u = step.x * xp[k];
            float sum = 0;
#pragma unroll
            for (int i = 0; i < SIZE; i++) {
                v[k][i] = step.y * v[k][i] + u * B[i];
                sum += v[k][i] * C[i];
            }
#pragma unroll
            for (int o = LANES / 2; o > 0; o /= 2)
                sum += __shfl_xor_sync(~0u, sum, o);
            if (p < P) {
                piece<S>::write(state + (int64_t)p * N, v[k]);
                if (lane == 0)
                    put_f32(y + p, sum + D * xp[k]);
            }
        }
    }
}

/* Any N and alignment: a warp per state row. */
template <class T, class S> __global__ void __launch_bounds__(STEP_THREADS) step_any_kernel(step_args<T> a)
{
    const int P = a.d.headdim, N = a.d.state, heads = a.d.heads, row = blockIdx.x / heads, head = blockIdx.x % heads;
    const int group = head / (heads / a.d.groups), lane = threadIdx.x % 32;
    S *state = (S *)a.state + a.slot[row] * a.stride + (int64_t)head * P * N;
    const T *B = a.B.row(row) + (int64_t)group * N, *C = a.C.row(row) + (int64_t)group * N;
    const float2 step = step_of(a, row, head);
    for (int p = threadIdx.x / 32; p < P; p += STEP_THREADS / 32) {
        const float x = to_f32(a.x.row(row)[(int64_t)head * P + p]);
        float sum = 0;
        for (int n = lane; n < N; n += 32) {
            S *at = state + (int64_t)p * N + n;
            const float v = step.y * to_f32(*at) + step.x * x * to_f32(B[n]);
            put_f32(at, v);
            sum += v * to_f32(C[n]);
        }
#pragma unroll
        for (int o = 16; o > 0; o /= 2)
            sum += __shfl_xor_sync(~0u, sum, o);
        if (lane == 0)
            put_f32(a.y.row(row) + (int64_t)head * P + p, sum + a.D[head] * x);
    }
}

template <class T> bool aligned16(tokens<T> t)
{
    return (uintptr_t)t.p % 16 == 0 && t.ld * sizeof(T) % 16 == 0;
}
template <class T, class S> void step(const step_args<T> &a, int rows)
{
    constexpr int SIZE = piece<S>::SIZE;
    const bool aligned = (uintptr_t)a.state % 16 == 0 && a.stride % SIZE == 0 && aligned16(a.B) && aligned16(a.C);
    const int lanes = aligned && a.d.state % SIZE == 0 ? a.d.state / SIZE : 0;
    void (*kernel)(step_args<T>) = step_any_kernel<T, S>;
    switch (lanes) {
    case 2:
        kernel = step_kernel<T, S, 2>;
        break;
    case 4:
        kernel = step_kernel<T, S, 4>;
        break;
    case 8:
        kernel = step_kernel<T, S, 8>;
        break;
    case 16:
        kernel = step_kernel<T, S, 16>;
        break;
    case 32:
        kernel = step_kernel<T, S, 32>;
        break;
    }
    launch(kernel, (int64_t)rows * a.d.heads, STEP_THREADS, 0, a);
}
} // namespace

void ssd_step(mat y, struct ssd_in in, struct ssd_dims d, struct seqs s, struct state_view state)
{
    must(state.data && s.tokens == s.n);
    typed(in.x.dtype, [&](auto t) {
        using T = decltype(t);
        step_args<T> a = {tokens_of<const T>(in.x),
                          tokens_of<const T>(in.B),
                          tokens_of<const T>(in.C),
                          tokens_of<const T>(in.dt),
                          tokens_of<T>(y),
                          in.dt_bias,
                          in.A_log,
                          in.D,
                          state.data,
                          state.stride,
                          s.slot,
                          d};
        if (state.dtype == F32)
            step<T, float>(a, s.n);
        else
            step<T, bf16>(a, s.n);
    });
}
