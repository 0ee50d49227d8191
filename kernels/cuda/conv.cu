/* kernels/cuda/conv.cu - kernels/conv.h. A thread owns V neighbouring channels and walks a piece of the tokens with the last K-1 inputs
 * in registers, so every value is read once (and K-1 more a piece). What it will need comes by asynchronous copies into a ring in
 * shared memory, GROUP rows to a stage and STAGES - 1 stages ahead: memory stays busy whatever the arithmetic does, at no cost in
 * registers. A thread reads only what it copied itself, so waiting for its own copies is all the order there has to be.
 */
#include "kernels/conv.h"
#include "kernels/cuda/colsum.cuh"
#include "kernels/cuda/mixer.cuh"
#include "kernels/cuda/ssd_mma.cuh"
#include "kernels/cuda/vec.cuh"
#include <type_traits>

enum { THREADS = 128, BLOCKS = 5 /* a multiprocessor, for as many registers */, GROUP = 4, STAGES = 3 };
/* Rows of a piece. Forward: FWD_LONG where that still makes FWD_BLOCKS blocks, some waves of them. Backward: at least BWD_PIECE, in at
 * most BWD_PIECES pieces, each of which leaves a row of partial sums. */
enum { FWD_SHORT = 32, FWD_LONG = 64, FWD_BLOCKS = 2048, BWD_PIECE = 32, BWD_PIECES = 128 };

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

/* V values into a place of this thread's in shared memory, in the background. The copy engine knows no 2 bytes: those are read at once. */
template <class T, int V> static __device__ __forceinline__ void copy_async(vec<T, V> *to, const T *from)
{
    constexpr int BYTES = V * (int)sizeof(T);
    if constexpr (BYTES == 16)
        copy16_async(to, from, true);
    else if constexpr (BYTES == 2)
        *to = vec_load<T, V>(from);
    else
        asm volatile("cp.async.ca.shared.global [%0], [%1], %2;" ::"r"(shared_address(to)), "l"(from), "n"(BYTES) : "memory");
}

/* What is there, in one access. */
template <class T, int V> static __device__ __forceinline__ vec<T, V> held(const vec<T, V> &in)
{
    vec<T, V> r;
    r.bits = in.bits;
    return r;
}

/* The channel block and the piece of a block: blocks that run together share rows, whose parts are near each other in memory. */
struct place {
    int32_t c, piece;
};
template <int V> static __device__ __forceinline__ place find_place(int64_t cols)
{
    unsigned across = (unsigned)((cols + THREADS * V - 1) / (THREADS * V)), piece = blockIdx.x / across;
    return {(int32_t)(((blockIdx.x - piece * across) * THREADS + threadIdx.x) * V), (int32_t)piece};
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
static __global__ void __launch_bounds__(THREADS, BLOCKS)
    fwd_kernel(T *y, int64_t ldy, const T *__restrict__ x, int64_t ldx, const float *w, const float *b, int32_t rows, int64_t cols,
               int32_t piece, struct seqs s, const T *state, int64_t stride)
{
    __shared__ vec<T, V> ring[STAGES][GROUP][THREADS];
    place at = find_place<V>(cols);
    int32_t c = at.c;
    int32_t t = at.piece * piece, end = piece < rows - t ? t + piece : rows;
    if (c >= cols)
        return;
    const T *from = x + t * ldx + c;
    T *to = y + t * ldy + c;
    auto fetch = [&](int stage, int32_t r) {
#pragma unroll
        for (int i = 0; i < GROUP; i++) {
            if (r + i < end)
                copy_async<T, V>(&ring[stage][i][threadIdx.x], from);
            from += ldx;
        }
        copies_commit();
    };
    for (int i = 0; i < STAGES - 1; i++)
        fetch(i, t + i * GROUP);
    float wk[K][V], bias[V], win[K - 1][V];
    load_weights<K, V>(wk, bias, w, b, c);
    int32_t d = find_doc(s.start, s.n, t);
    int32_t next = s.start[d + 1];
    load_window<T, K, V>(win, x, ldx, cols, c, t, s.start[d], state ? state + s.slot[d] * stride : NULL);
    auto row = [&](const vec<T, V> &in) {
        float now[V], a[V];
        vec_get(now, held(in));
        convolve<K, V>(a, wk, bias, win, now);
#pragma unroll
        for (int v = 0; v < V; v++)
            a[v] *= sigmoid<T>(a[v]);
        vec_write(to, a);
        to += ldy;
        shift<K, V>(win, now);
    };
    for (int stage = 0; t < end; t += GROUP) {
        copies_wait<STAGES - 2>();
        fetch(stage == 0 ? STAGES - 1 : stage - 1, t + (STAGES - 1) * GROUP); /* read in the round before */
        if (t + GROUP <= end && t + GROUP <= next) {                          /* the rule: all of one document */
#pragma unroll
            for (int i = 0; i < GROUP; i++)
                row(ring[stage][i][threadIdx.x]);
        } else {
#pragma unroll 1
            for (int i = 0; i < GROUP && t + i < end; i++) {
                if (t + i == next) {
                    d++;
                    load_window<T, K, V>(win, x, ldx, cols, c, next, next, state ? state + s.slot[d] * stride : NULL);
                    next = s.start[d + 1];
                }
                row(ring[stage][i][threadIdx.x]);
            }
        }
        stage = stage == STAGES - 1 ? 0 : stage + 1;
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
static __global__ void __launch_bounds__(THREADS, sizeof(T) == 4 ? 3 : BLOCKS)
    bwd_kernel(T *dx, int64_t lddx, float *part, const T *__restrict__ dy, int64_t lddy, const T *__restrict__ x, int64_t ldx,
               const float *w, const float *b, int32_t rows, int64_t cols, int32_t piece, struct seqs s)
{
    __shared__ vec<T, V> ring[STAGES][GROUP][2][THREADS];
    place at = find_place<V>(cols);
    int32_t c = at.c;
    int32_t t = at.piece * piece, end = piece < rows - t ? t + piece : rows;
    if (c >= cols)
        return;
    int32_t last = K - 1 < rows - end ? end + K - 1 : rows; /* rows that are looked at */
    const T *from_x = x + t * ldx + c, *from_dy = dy + t * lddy + c;
    T *to = dx + (int64_t)(t - (K - 1)) * lddx + c; /* of row t-K+1 */
    auto fetch = [&](int stage, int32_t r) {
#pragma unroll
        for (int i = 0; i < GROUP; i++) {
            if (r + i < last) {
                copy_async<T, V>(&ring[stage][i][0][threadIdx.x], from_x);
                copy_async<T, V>(&ring[stage][i][1][threadIdx.x], from_dy);
            }
            from_x += ldx;
            from_dy += lddy;
        }
        copies_commit();
    };
    for (int i = 0; i < STAGES - 1; i++)
        fetch(i, t + i * GROUP);
    float wk[K][V], bias[V], win[K - 1][V], dw[K][V] = {}, db[V] = {}, sum[K][V] = {};
    load_weights<K, V>(wk, bias, w, b, c);
    int32_t d = find_doc(s.start, s.n, t);
    int32_t own = t, next = s.start[d + 1]; /* own: first row of both the piece and the document */
    load_window<T, K, V>(win, x, ldx, cols, c, t, s.start[d], (const T *)NULL);
    /* counts: the row is in the piece, so dw and db are of it too. complete: so is row t-K+1, and of the same document. */
    auto row = [&](const vec<T, V>(&in)[2][THREADS], bool counts, bool complete) {
        float now[V], a[V], e[V];
        vec_get(now, held(in[0][threadIdx.x]));
        vec_get(e, held(in[1][threadIdx.x]));
        convolve<K, V>(a, wk, bias, win, now);
#pragma unroll
        for (int v = 0; v < V; v++) {
            float g = sigmoid<T>(a[v]);
            e[v] *= g * (1.0f + a[v] * (1.0f - g));
#pragma unroll
            for (int k = 0; k < K; k++)
                sum[k][v] = fmaf(wk[k][v], e[v], sum[k][v]);
        }
        if (counts) {
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
        if (complete)
            vec_write(to, sum[0]);
        to += lddx;
#pragma unroll
        for (int v = 0; v < V; v++) {
#pragma unroll
            for (int k = 0; k + 1 < K; k++)
                sum[k][v] = sum[k + 1][v];
            sum[K - 1][v] = 0;
        }
    };
    /* Before row u nothing reaches back any more: the K-1 rows that wait for it are complete. */
    auto finish = [&](int32_t u) {
#pragma unroll
        for (int i = 0; i < K - 1; i++)
            if (u - (K - 1) + i >= own && u - (K - 1) + i < end)
                vec_write(to + i * lddx, sum[i]);
    };
    for (int stage = 0; t < last; t += GROUP) {
        copies_wait<STAGES - 2>();
        fetch(stage == 0 ? STAGES - 1 : stage - 1, t + (STAGES - 1) * GROUP); /* read in the round before */
        if (t - (K - 1) >= own && t + GROUP <= end && t + GROUP <= next) {    /* the rule: amid a document */
#pragma unroll
            for (int i = 0; i < GROUP; i++)
                row(ring[stage][i], true, true);
        } else {
#pragma unroll 1
            for (int i = 0; i < GROUP && t + i < last; i++) {
                int32_t u = t + i;
                if (u == next) {
                    finish(u);
                    own = next;
                    next = s.start[++d + 1];
#pragma unroll
                    for (int v = 0; v < V; v++) {
#pragma unroll
                        for (int k = 0; k < K - 1; k++)
                            win[k][v] = sum[k][v] = 0;
                    }
                }
                row(ring[stage][i], u < end, u - (K - 1) >= own);
            }
        }
        stage = stage == STAGES - 1 ? 0 : stage + 1;
    }
    finish(last);
    float *sums = part + (int64_t)at.piece * (K + 1) * cols + c;
#pragma unroll
    for (int k = 0; k < K; k++)
        vec_write(sums + k * cols, dw[k]);
    vec_write(sums + K * cols, db);
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

/* The kernels count rows, and up to some stages beyond them, and channels in 32 bits. */
static void check_size(mat x, struct seqs s)
{
    must(s.tokens == x.rows && s.n > 0 && x.rows <= INT32_MAX / 2 && x.cols <= INT32_MAX / 2);
}

static void check_state(mat x, int k, struct seqs s, struct state_view state)
{
    check_size(x, s);
    must(!state.data || (state.dtype == (int)x.dtype && state.stride >= (k - 1) * x.cols));
}

/* Can the slots be read V values at a time? */
static bool state_fits(struct state_view state, enum dtype t, int v)
{
    return !state.data || ((uintptr_t)state.data % (v * dtype_size(t)) == 0 && state.stride % v == 0);
}

/* A grid of find_place(): pieces times channel blocks. */
static unsigned walk_grid(int64_t pieces, int64_t cols, int v)
{
    return grid_size(pieces * ceil_div(cols, (int64_t)THREADS * v));
}

/* For a kernel that has a block for each of n documents. */
static dim3 conv_grid(int64_t n, int64_t cols, int v)
{
    return dim3(grid_size(n), grid_size(ceil_div(cols, (int64_t)THREADS * v)));
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
        int piece = walk_grid(ceil_div(x.rows, FWD_LONG), x.cols, V) >= FWD_BLOCKS ? FWD_LONG : FWD_SHORT;
        fwd_kernel<T, K, V><<<walk_grid(ceil_div(x.rows, piece), x.cols, V), THREADS, 0, cuda_stream()>>>(
            (T *)y.data, y.ld, (const T *)x.data, x.ld, w, b, x.rows, x.cols, piece, s, (const T *)state.data, state.stride);
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
    int64_t n = ceil_div(tokens, BWD_PIECE);
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
    check_size(x, s);
    int64_t piece = ceil_div(x.rows, bwd_pieces(x.rows)), pieces = ceil_div(x.rows, piece);
    float *part = (float *)scratch;
    choose<4>(x.dtype, k, vec_fits(4, x, dx, dy) && (uintptr_t)part % 16 == 0, [&](auto tt, auto kk, auto vv) {
        using T = decltype(tt);
        constexpr int K = decltype(kk)::value, V = decltype(vv)::value;
        bwd_kernel<T, K, V><<<walk_grid(pieces, x.cols, V), THREADS, 0, cuda_stream()>>>(
            (T *)dx.data, dx.ld, part, (const T *)dy.data, dy.ld, (const T *)x.data, x.ld, w, b, x.rows, x.cols, (int)piece, s);
        cuda_launched();
    });
    colsum(grad_at{dw, db, x.cols, k}, part, pieces, (k + 1) * x.cols);
}
