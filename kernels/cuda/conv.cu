/* kernels/cuda/conv.cu - kernels/conv.h. A thread owns V neighbouring channels and walks a piece of the tokens with the last K-1 inputs
 * in registers, so every value is read once (and K-1 more a piece). Loads of AHEAD tokens are issued before the first is used.
 */
#include "kernels/conv.h"
#include "kernels/cuda/colsum.cuh"
#include "kernels/cuda/vec.cuh"
#include <type_traits>

enum { THREADS = 128, PIECE = 32, AHEAD = 4, BWD_PIECES = 128 };

/* The document of row t: start[d] <= t < start[d + 1]. */
static __device__ __forceinline__ int32_t find_doc(const int32_t *start, int32_t n, int64_t t)
{
    int32_t low = 0, high = n;
    while (high - low > 1) {
        int32_t mid = low + (high - low) / 2;
        if (start[mid] <= t)
            low = mid;
        else
            high = mid;
    }
    return low;
}

/* w [V channels][K] and b of the channels from c on. */
template <int K, int V>
static __device__ __forceinline__ void load_weights(float (&wk)[K][V], float (&bias)[V], const float *w, const float *b, int64_t c)
{
    bool whole = K == 4 && (uintptr_t)w % 16 == 0; /* a channel's taps in one access: a fourth of the requests */
#pragma unroll
    for (int v = 0; v < V; v++) {
        bias[v] = b[c + v];
        float tap[K];
        if (whole) {
            float four[4];
            vec_read<float, 4>(four, w + (c + v) * K);
#pragma unroll
            for (int k = 0; k < K; k++)
                tap[k] = four[k];
        } else {
#pragma unroll
            for (int k = 0; k < K; k++)
                tap[k] = w[(c + v) * K + k];
        }
#pragma unroll
        for (int k = 0; k < K; k++)
            wk[k][v] = tap[k];
    }
}

/* b + sum_k w[k] of the window (oldest first) and the newest input. */
template <int K, int V>
static __device__ __forceinline__ void convolve(float (&a)[V], const float (&wk)[K][V], const float (&bias)[V],
                                                const float (&win)[K - 1][V], const float (&now)[V])
{
#pragma unroll
    for (int v = 0; v < V; v++) {
        a[v] = bias[v];
#pragma unroll
        for (int k = 0; k < K - 1; k++)
            a[v] = fmaf(wk[k][v], win[k][v], a[v]);
        a[v] = fmaf(wk[K - 1][v], now[v], a[v]);
    }
}

template <int K, int V> static __device__ __forceinline__ void shift(float (&win)[K - 1][V], const float (&now)[V])
{
#pragma unroll
    for (int v = 0; v < V; v++) {
#pragma unroll
        for (int k = 0; k + 1 < K - 1; k++)
            win[k][v] = win[k + 1][v];
        win[K - 2][v] = now[v];
    }
}

/* The K-1 inputs before row t of a document that begins at row first, whose own past (K-1 rows of cols, NULL: zeros) is state. */
template <class T, int K, int V>
static __device__ __forceinline__ void load_window(float (&win)[K - 1][V], const T *x, int64_t ldx, int64_t cols, int64_t c, int64_t t,
                                                   int64_t first, const T *state)
{
#pragma unroll
    for (int k = 0; k < K - 1; k++) {
        int64_t p = t - (K - 1) + k;
        if (p >= first) {
            vec_read<T, V>(win[k], x + p * ldx + c);
        } else if (state) {
            vec_read<T, V>(win[k], state + (p - first + K - 1) * cols + c);
        } else {
#pragma unroll
            for (int v = 0; v < V; v++)
                win[k][v] = 0;
        }
    }
}

template <class T, int K, int V>
static __global__ void __launch_bounds__(THREADS)
    fwd_kernel(T *y, int64_t ldy, const T *__restrict__ x, int64_t ldx, const float *w, const float *b, int64_t rows, int64_t cols,
               struct seqs s, const T *state, int64_t stride)
{
    int64_t c = ((int64_t)blockIdx.y * THREADS + threadIdx.x) * V;
    if (c >= cols)
        return;
    int64_t t = (int64_t)blockIdx.x * PIECE, end = t + PIECE < rows ? t + PIECE : rows;
    float wk[K][V], bias[V], win[K - 1][V];
    load_weights<K, V>(wk, bias, w, b, c);
    int32_t d = find_doc(s.start, s.n, t);
    int64_t next = s.start[d + 1];
    load_window<T, K, V>(win, x, ldx, cols, c, t, s.start[d], state ? state + s.slot[d] * stride : NULL);
    for (; t < end; t += AHEAD) {
        vec<T, V> in[AHEAD];
#pragma unroll
        for (int i = 0; i < AHEAD; i++)
            in[i] = t + i < end ? vec_load<T, V>(x + (t + i) * ldx + c) : vec_zero<T, V>();
#pragma unroll
        for (int i = 0; i < AHEAD; i++) {
            if (t + i >= end)
                break;
            if (t + i == next) {
                d++;
                load_window<T, K, V>(win, x, ldx, cols, c, next, next, state ? state + s.slot[d] * stride : NULL);
                next = s.start[d + 1];
            }
            float now[V], a[V];
            vec_get(now, in[i]);
            convolve<K, V>(a, wk, bias, win, now);
#pragma unroll
            for (int v = 0; v < V; v++)
                a[v] *= sigmoid<T>(a[v]);
            vec_write(y + (t + i) * ldy + c, a);
            shift<K, V>(win, now);
        }
    }
}

/* The last K-1 inputs of each document (blockIdx.x) into its slot. After the forward, whose first rows need the old ones. */
template <class T, int K, int V>
static __global__ void __launch_bounds__(THREADS)
    state_kernel(const T *x, int64_t ldx, int64_t cols, struct seqs s, T *state, int64_t stride)
{
    int64_t c = ((int64_t)blockIdx.y * THREADS + threadIdx.x) * V;
    if (c >= cols)
        return;
    int32_t d = (int32_t)blockIdx.x;
    T *own = state + s.slot[d] * stride;
    float win[K - 1][V];
    load_window<T, K, V>(win, x, ldx, cols, c, s.start[d + 1], s.start[d], own);
#pragma unroll
    for (int k = 0; k < K - 1; k++)
        vec_write(own + k * cols + c, win[k]);
}

template <class T, int K, int V>
static __global__ void __launch_bounds__(THREADS) step_kernel(T *y, int64_t ldy, const T *__restrict__ x, int64_t ldx, const float *w,
                                                              const float *b, int64_t cols, struct seqs s, T *state, int64_t stride)
{
    int64_t c = ((int64_t)blockIdx.y * THREADS + threadIdx.x) * V;
    if (c >= cols)
        return;
    int64_t d = blockIdx.x;
    T *own = state + s.slot[d] * stride;
    float wk[K][V], bias[V], win[K - 1][V], now[V], a[V];
    load_window<T, K, V>(win, x, ldx, cols, c, d, d, own);
    vec_read<T, V>(now, x + d * ldx + c);
    load_weights<K, V>(wk, bias, w, b, c);
    convolve<K, V>(a, wk, bias, win, now);
#pragma unroll
    for (int v = 0; v < V; v++)
        a[v] *= sigmoid<T>(a[v]);
    vec_write(y + d * ldy + c, a);
    shift<K, V>(win, now);
#pragma unroll
    for (int k = 0; k < K - 1; k++)
        vec_write(own + k * cols + c, win[k]);
}

/* With a the convolution's output and e = dy silu'(a): dx_t = sum_j w[K-1-j] e_{t+j} over rows of the same document. A thread walks its
 * piece and K-1 rows more; sum[i] is dx of row t-K+1+i as far as known. part [pieces][K+1][cols]: this piece's dw and, last, db. */
template <class T, int K, int V>
static __global__ void __launch_bounds__(THREADS)
    bwd_kernel(T *dx, int64_t lddx, float *part, const T *__restrict__ dy, int64_t lddy, const T *__restrict__ x, int64_t ldx,
               const float *w, const float *b, int64_t rows, int64_t cols, int64_t piece, struct seqs s)
{
    int64_t c = ((int64_t)blockIdx.y * THREADS + threadIdx.x) * V;
    if (c >= cols)
        return;
    int64_t first = blockIdx.x * piece, end = first + piece < rows ? first + piece : rows;
    int64_t last = end + K - 1 < rows ? end + K - 1 : rows; /* rows that are looked at */
    float wk[K][V], bias[V], win[K - 1][V], dw[K][V] = {}, db[V] = {}, sum[K][V] = {};
    load_weights<K, V>(wk, bias, w, b, c);
    int32_t d = find_doc(s.start, s.n, first);
    int64_t begin = s.start[d], next = s.start[d + 1];
    load_window<T, K, V>(win, x, ldx, cols, c, first, begin, (const T *)NULL);
    for (int64_t t = first; t < end + K - 1; t += AHEAD) {
        vec<T, V> in[AHEAD], grad[AHEAD];
#pragma unroll
        for (int i = 0; i < AHEAD; i++) {
            bool there = t + i < last;
            in[i] = there ? vec_load<T, V>(x + (t + i) * ldx + c) : vec_zero<T, V>();
            grad[i] = there ? vec_load<T, V>(dy + (t + i) * lddy + c) : vec_zero<T, V>();
        }
#pragma unroll
        for (int i = 0; i < AHEAD; i++) {
            int64_t u = t + i;
            if (u >= end + K - 1)
                break;
            if (u < last) {
                if (u == next) {
                    d++;
                    begin = next;
                    next = s.start[d + 1];
#pragma unroll
                    for (int k = 0; k < K - 1; k++)
#pragma unroll
                        for (int v = 0; v < V; v++)
                            win[k][v] = 0;
                }
                float now[V], a[V], e[V];
                vec_get(now, in[i]);
                vec_get(e, grad[i]);
                convolve<K, V>(a, wk, bias, win, now);
#pragma unroll
                for (int v = 0; v < V; v++) {
                    float g = sigmoid<T>(a[v]);
                    e[v] *= g * (1.0f + a[v] * (1.0f - g));
                }
#pragma unroll
                for (int j = 0; j < K; j++)
                    if (u - j >= begin)
#pragma unroll
                        for (int v = 0; v < V; v++)
                            sum[K - 1 - j][v] = fmaf(wk[K - 1 - j][v], e[v], sum[K - 1 - j][v]);
                if (u < end) {
#pragma unroll
                    for (int v = 0; v < V; v++) {
                        db[v] += e[v];
#pragma unroll
                        for (int k = 0; k < K - 1; k++)
                            dw[k][v] = fmaf(e[v], win[k][v], dw[k][v]);
                        dw[K - 1][v] = fmaf(e[v], now[v], dw[K - 1][v]);
                    }
                }
                shift<K, V>(win, now);
            }
            /* Row u - (K-1) is complete: nothing after u reaches it. */
            if (u - (K - 1) >= first)
                vec_write(dx + (u - (K - 1)) * lddx + c, sum[0]);
#pragma unroll
            for (int v = 0; v < V; v++) {
#pragma unroll
                for (int k = 0; k + 1 < K; k++)
                    sum[k][v] = sum[k + 1][v];
                sum[K - 1][v] = 0;
            }
        }
    }
    float *own = part + (int64_t)blockIdx.x * (K + 1) * cols + c;
#pragma unroll
    for (int k = 0; k < K; k++)
        vec_write(own + k * cols, dw[k]);
    vec_write(own + K * cols, db);
}

/* Where column i of part goes: dw [cols, K] or db [cols]. */
struct grad_at {
    float *dw, *db;
    int64_t cols;
    int k;
    __device__ float *operator()(int64_t i) const
    {
        int64_t tap = i / cols, c = i - tap * cols;
        return tap < k ? dw + c * k + tap : db + c;
    }
};

/* --- choosing the kernel --- */

/* Calls f(type, integral_constant K, integral_constant V): V is 16 bytes of f32 or BF16_V of bf16 where wide, else 1. */
template <int BF16_V, class F> static void choose(enum dtype t, int k, bool wide, F f)
{
    must(k >= 2 && k <= 4);
    typed(t, [&](auto tt) {
        constexpr int W = sizeof(tt) == 4 ? 4 : BF16_V;
        auto with_k = [&](auto kk) {
            if (wide)
                f(tt, kk, std::integral_constant<int, W>{});
            else
                f(tt, kk, std::integral_constant<int, 1>{});
        };
        if (k == 2)
            with_k(std::integral_constant<int, 2>{});
        else if (k == 3)
            with_k(std::integral_constant<int, 3>{});
        else
            with_k(std::integral_constant<int, 4>{});
    });
}

static void check_state(mat x, int k, struct seqs s, struct state_view state)
{
    must(s.tokens == x.rows && s.n > 0);
    must(!state.data || (state.dtype == (int)x.dtype && state.stride >= (k - 1) * x.cols));
}

/* Can the slots be read V values at a time? */
static bool state_fits(struct state_view state, enum dtype t, int v)
{
    return !state.data || ((uintptr_t)state.data % (v * dtype_size(t)) == 0 && state.stride % v == 0);
}

static dim3 conv_grid(int64_t x, int64_t cols, int v)
{
    return dim3(grid_size(x), grid_size(ceil_div(cols, (int64_t)THREADS * v)));
}

void conv_fwd(mat y, mat x, const float *w, const float *b, int k, struct seqs s, struct state_view state)
{
    must(y.rows == x.rows && y.cols == x.cols && y.dtype == x.dtype);
    if (x.rows == 0 || x.cols == 0)
        return;
    check_state(x, k, s, state);
    int most = x.dtype == F32 ? 4 : 8;
    bool wide = vec_fits(most, x, y) && state_fits(state, x.dtype, most);
    choose<8>(x.dtype, k, wide, [&](auto tt, auto kk, auto vv) {
        using T = decltype(tt);
        constexpr int K = decltype(kk)::value, V = decltype(vv)::value;
        fwd_kernel<T, K, V><<<conv_grid(ceil_div(x.rows, PIECE), x.cols, V), THREADS, 0, cuda_stream()>>>(
            (T *)y.data, y.ld, (const T *)x.data, x.ld, w, b, x.rows, x.cols, s, (const T *)state.data, state.stride);
        cuda_launched();
        if (state.data) {
            state_kernel<T, K, V><<<conv_grid(s.n, x.cols, V), THREADS, 0, cuda_stream()>>>((const T *)x.data, x.ld, x.cols, s,
                                                                                            (T *)state.data, state.stride);
            cuda_launched();
        }
    });
}

void conv_step(mat y, mat x, const float *w, const float *b, int k, struct seqs s, struct state_view state)
{
    must(y.rows == x.rows && y.cols == x.cols && y.dtype == x.dtype);
    if (x.rows == 0 || x.cols == 0)
        return;
    check_state(x, k, s, state);
    must(state.data && s.n == x.rows);
    int most = x.dtype == F32 ? 4 : 8;
    bool wide = vec_fits(most, x, y) && state_fits(state, x.dtype, most);
    choose<8>(x.dtype, k, wide, [&](auto tt, auto kk, auto vv) {
        using T = decltype(tt);
        constexpr int K = decltype(kk)::value, V = decltype(vv)::value;
        step_kernel<T, K, V><<<conv_grid(s.n, x.cols, V), THREADS, 0, cuda_stream()>>>((T *)y.data, y.ld, (const T *)x.data, x.ld, w, b,
                                                                                       x.cols, s, (T *)state.data, state.stride);
        cuda_launched();
    });
}

/* Pieces of the backward: few enough that their partial sums are small beside the activations, many enough to fill a GPU. */
static int64_t bwd_pieces(int64_t tokens)
{
    int64_t n = ceil_div(tokens, PIECE);
    return n < BWD_PIECES ? n : (int64_t)BWD_PIECES;
}

size_t conv_scratch(int64_t tokens, int64_t channels, int k)
{
    return (size_t)(bwd_pieces(tokens) * (k + 1) * channels) * sizeof(float);
}

void conv_bwd(mat dx, float *dw, float *db, mat dy, mat x, const float *w, const float *b, int k, struct seqs s, void *scratch)
{
    must(dx.rows == x.rows && dx.cols == x.cols && dx.dtype == x.dtype && dy.rows == x.rows && dy.cols == x.cols && dy.dtype == x.dtype);
    must(dx.data != dy.data);
    if (x.rows == 0 || x.cols == 0)
        return;
    must(s.tokens == x.rows && s.n > 0);
    int64_t piece = ceil_div(x.rows, bwd_pieces(x.rows)), pieces = ceil_div(x.rows, piece);
    float *part = (float *)scratch;
    choose<4>(x.dtype, k, vec_fits(4, x, dx, dy) && (uintptr_t)part % 16 == 0, [&](auto tt, auto kk, auto vv) {
        using T = decltype(tt);
        constexpr int K = decltype(kk)::value, V = decltype(vv)::value;
        bwd_kernel<T, K, V><<<conv_grid(pieces, x.cols, V), THREADS, 0, cuda_stream()>>>(
            (T *)dx.data, dx.ld, part, (const T *)dy.data, dy.ld, (const T *)x.data, x.ld, w, b, x.rows, x.cols, piece, s);
        cuda_launched();
    });
    colsum(grad_at{dw, db, x.cols, k}, part, pieces, (k + 1) * x.cols);
}
