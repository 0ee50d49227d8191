/* kernels/cuda/linear_step.cu - the products of a decode step (kernels/linear.h): its few rows against all of a weight, whose bytes are what
 * the time goes for.
 *
 * bf16 in up to FEW rows: a block for each multiprocessor streams tiles of 16 weight rows, and tensor cores multiply them with all rows
 * at once. Its warps share out a tile's columns, 32 at a time. A thread's own 16 bytes of two weight rows go by asynchronous copies through a
 * ring in shared memory that only it reads, so that nothing but its own copies has to be waited for; and as any order of columns will
 * do if both factors have the same, what a thread copied is what the tensor core wants from it. The ring runs on across tiles, and it is
 * filled before the kernel waits for the one before it: memory is never idle for long. The rows of x are put into shared memory as
 * bf16, with a norm times its weights; the norm's factor of each row comes at the end.
 *
 * The sum of a result goes over a warp's columns in order, then over the warps: it is the same whatever rows are beside it.
 *
 * Anything else in one or two rows: each warp owns OUTS weight rows and streams them through registers. More rows: cublasLt.
 */
#include "kernels/cuda/vec.cuh"
#include "kernels/cuda/linear.cuh"
#include "kernels/cuda/ssd_mma.cuh"
#include "kernels/cuda/step.cuh"
#include "kernels/device.h"
#include "kernels/linear.h"
#include "kernels/norm.h"

namespace
{
enum {
    FEW = 8,    /* rows at most: columns of the tensor core's result */
    TILE = 16,  /* weight rows: its rows */
    WIDTH = 32, /* columns of a turn: two products of 16 */
    WARPS = 8,
    DEPTH = 10, /* turns in the ring: with a block of this product's and one of the next's, a multiprocessor's shared memory is full */
    THREADS = WARPS * 32,
    PIECE = 8, /* columns a thread copies at once */
};

struct few_args {
    void *y;
    const void *x, *add;
    const bf16 *w;
    const float *norm;
    float eps;
    int64_t ldy, ldx, lda, ldw;
    int rows, outs, cols;
};

/* Of a block, in bytes. x's rows are as long as the turns cover, and off each other by half of the banks. */
struct few_places {
    int turns, rows; /* of a warp for a tile; of x */
    __host__ __device__ int pitch() const
    {
        return turns * WARPS * WIDTH * 2 + 64;
    }
    __host__ __device__ int x() const
    {
        return DEPTH * 2 * THREADS * 16;
    }
    __host__ __device__ int results() const /* [2][WARPS][TILE][FEW] f32: of two tiles in turn */
    {
        return x() + rows * pitch();
    }
    __host__ __device__ int squares() const /* [FEW][WARPS] f32: each row's sums over an eighth of its columns */
    {
        return results() + 2 * WARPS * TILE * FEW * 4;
    }
    __host__ __device__ int all() const
    {
        return squares() + FEW * WARPS * 4;
    }
};

/* x to shared memory. A row is eight parts, which fewer rows spread over more warps; a part's sum of squares does not depend on that. */
template <class X, bool NORM> __device__ __forceinline__ void stage(const few_args &a, const few_places &at, char *shared)
{
    constexpr int AHEAD = 2, V = 16 / sizeof(X); /* pieces on their way; values an access */
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int parts = a.rows > 4 ? 8 : a.rows > 2 ? 4 : a.rows; /* of a warp: rows as a power of two */
    const int row = warp * parts / WARPS, first = warp * parts % WARPS;
    const int pieces = at.turns * WARPS * WIDTH / PIECE / WARPS, each = (pieces + 31) / 32; /* of a part, of a lane for it */
    if (row >= a.rows)
        return;
    const X *x = (const X *)a.x + row * a.ldx;
    char *to = shared + at.x() + row * at.pitch();
    float sum = 0;
    for (int j0 = 0; j0 < parts * each; j0 += AHEAD) {
        float f[AHEAD][PIECE], w[AHEAD][PIECE];
        auto piece_of = [&](int j) {
            const int part = j / each, i = (j - part * each) * 32 + lane;
            return part < parts && i < pieces ? (first + part) * pieces + i : -1; /* none */
        };
#pragma unroll
        for (int u = 0; u < AHEAD; u++) {
            const int p = piece_of(j0 + u);
            const bool there = p >= 0 && p * PIECE < a.cols;
#pragma unroll
            for (int i = 0; i < PIECE; i++)
                f[u][i] = w[u][i] = 0;
            if (there) {
#pragma unroll
                for (int i = 0; i < PIECE; i += V) {
                    float part[V];
                    vec_get(part, vec_fresh<X, V>(x + p * PIECE + i));
#pragma unroll
                    for (int k = 0; k < V; k++)
                        f[u][i + k] = part[k];
                }
                if (NORM)
                    floats_read<PIECE>(w[u], a.norm + p * PIECE);
            }
        }
#pragma unroll
        for (int u = 0; u < AHEAD; u++) {
            const int p = piece_of(j0 + u);
            if (NORM) {
#pragma unroll
                for (int i = 0; i < PIECE; i++) {
                    sum = fmaf(f[u][i], f[u][i], sum);
                    f[u][i] *= w[u][i];
                }
            }
            if (p >= 0)
                vec_write<bf16, PIECE>((bf16 *)(to + p * PIECE * 2), f[u]);
            if (NORM && (j0 + u + 1) % each == 0 && j0 + u < parts * each) {
                sum = warp_sum(sum);
                if (lane == 0)
                    ((float *)(shared + at.squares()))[row * WARPS + first + (j0 + u) / each] = sum;
                sum = 0;
            }
        }
    }
}

template <class Y, class X, bool NORM> __global__ void __launch_bounds__(THREADS, 2) few_kernel(few_args a)
{
    char *shared = shared_block();
    const int turns = (a.cols + WARPS * WIDTH - 1) / (WARPS * WIDTH);
    const few_places at = {turns, a.rows};
    uint4 *ring = (uint4 *)shared + threadIdx.x; /* this thread's: [DEPTH][two weight rows][THREADS] */
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, g = lane / 4, column = warp * WIDTH + lane % 4 * PIECE;
    const int tiles = (a.outs + TILE - 1) / TILE;

    /* The next turn to be copied. */
    int tile = blockIdx.x, turn = 0, slot = 0;
    auto copy = [&]() {
        if (tile < tiles) {
            const int c = turn * WARPS * WIDTH + column, o = tile * TILE + g;
#pragma unroll
            for (int half = 0; half < 2; half++) {
                const bool there = c < a.cols && o + 8 * half < a.outs;
                copy16_async(ring + (slot * 2 + half) * THREADS, there ? a.w + (o + 8 * half) * a.ldw + c : a.w, there);
            }
            if (++turn == turns) {
                turn = 0;
                tile += gridDim.x;
                if (tile >= tiles)
                    let_next_start(); /* all that is left of this kernel is under way */
            }
            slot = slot + 1 == DEPTH ? 0 : slot + 1;
        }
        copies_commit();
    };
    for (int i = 0; i < DEPTH - 1; i++)
        copy();
    wait_for_previous();
    stage<X, NORM>(a, at, shared);
    __syncthreads();

    /* Of a tile's results, this thread ends that of row r and weight row o. */
    const int r = threadIdx.x / TILE, o = threadIdx.x % TILE;
    const bool ends = r < a.rows;
    float factor = 1;
    if (NORM && ends) {
        const float *squares = (const float *)(shared + at.squares()) + r * WARPS;
        float sum = 0;
        for (int i = 0; i < WARPS; i++)
            sum += squares[i];
        factor = 1.0f / sqrtf(sum / (float)a.cols + a.eps);
    }
    const char *x = shared + at.x() + (g < a.rows ? g : 0) * at.pitch() + column * 2;
    float *results = (float *)(shared + at.results());
    int now = 0, buffer = 0;
    for (int t = blockIdx.x; t < tiles; t += gridDim.x, buffer ^= 1) {
        float acc[4] = {};
        for (int i = 0; i < turns; i++) {
            copies_wait<DEPTH - 2>();
            copy(); /* to where the turn before was read */
            vec<bf16, PIECE> w0, w1, xs = vec_zero<bf16, PIECE>();
            w0.bits = ring[now * 2 * THREADS];
            w1.bits = ring[(now * 2 + 1) * THREADS];
            if (g < a.rows)
                xs = vec_load<bf16, PIECE>((const bf16 *)(x + i * WARPS * WIDTH * 2));
#pragma unroll
            for (int s = 0; s < 4; s += 2) {
                const uint32_t both[4] = {w0.word[s], w1.word[s], w0.word[s + 1], w1.word[s + 1]};
                mma_16816(acc, both, xs.word[s], xs.word[s + 1]);
            }
            now = now + 1 == DEPTH ? 0 : now + 1;
        }
        /* Two buffers: whoever writes one again has passed the barrier of the tile between, and so has who read it. */
        float *sums = results + buffer * WARPS * TILE * FEW;
        float *own = sums + (warp * TILE + g) * FEW + lane % 4 * 2;
        own[0] = acc[0], own[1] = acc[1], own[8 * FEW] = acc[2], own[8 * FEW + 1] = acc[3];
        __syncthreads();
        const int out = t * TILE + o;
        if (ends && out < a.outs) {
            float v[1] = {0};
            for (int i = 0; i < WARPS; i++)
                v[0] += sums[(i * TILE + o) * FEW + r];
            v[0] *= factor;
            if (a.add) {
                float more[1];
                vec_get(more, vec_fresh<Y, 1>((const Y *)a.add + r * a.lda + out));
                v[0] += more[0];
            }
            vec_write<Y, 1>((Y *)a.y + r * a.ldy + out, v);
        }
    }
}

/* Has few_kernel taken it? norm NULL: none. x in w's type, or with a norm in any. */
bool few(mat y, mat x, mat w, mat add, const float *norm, float eps)
{
    static int processors, room;
    if (processors == 0) {
        int device;
        cuda_ok(cudaGetDevice(&device));
        cuda_ok(cudaDeviceGetAttribute(&room, cudaDevAttrMaxSharedMemoryPerBlockOptin, device));
        cuda_ok(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device));
    }
    if (dev_is_exact() || w.dtype != BF16 || x.rows > FEW || w.cols % PIECE != 0 || w.cols > INT32_MAX / 4 || w.rows > INT32_MAX / 2)
        return false;
    if (!vec_fits(w, PIECE) || !vec_fits(x, x.dtype == F32 ? 4 : PIECE) || (uintptr_t)norm % 16 != 0)
        return false;
    const few_places at = {(int)ceil_div(w.cols, WARPS * WIDTH), (int)x.rows};
    if ((int64_t)at.turns * WARPS * WIDTH * 2 * x.rows > room || at.all() > room)
        return false;
    few_args a = {};
    a.y = y.data, a.x = x.data, a.add = add.data, a.w = (const bf16 *)w.data, a.norm = norm, a.eps = eps;
    a.ldy = y.ld, a.ldx = x.ld, a.lda = add.ld, a.ldw = w.ld;
    a.rows = (int)x.rows, a.outs = (int)w.rows, a.cols = (int)w.cols;
    typed(y.dtype, [&](auto ty) {
        using Y = decltype(ty);
        void (*kernel)(few_args) = few_kernel<Y, bf16, false>;
        if (norm)
            kernel = x.dtype == F32 ? few_kernel<Y, float, true> : few_kernel<Y, bf16, true>;
        const int64_t tiles = ceil_div(a.outs, TILE);
        launch_step(kernel, tiles < processors ? tiles : processors, THREADS, (size_t)at.all(), 1, a);
    });
    return true;
}

/* --- any type and width. A lane adds its products in order and the lanes are added by a fixed tree. */
enum { ANY_ROWS = 2, ANY_WARPS = 4 };

template <class Y, class X, int V, int ROWS, int OUTS>
__global__ void __launch_bounds__(ANY_WARPS * 32)
    any_kernel(Y *y, int64_t ldy, const X *__restrict__ x, int64_t ldx, const X *__restrict__ w, int64_t ldw, const Y *add, int64_t lda,
               int64_t outs, int64_t k)
{
    constexpr int AHEAD = 4; /* loads of one weight row in flight */
    int lane = threadIdx.x % 32;
    int64_t o0 = ((int64_t)blockIdx.x * ANY_WARPS + threadIdx.x / 32) * OUTS;
    if (o0 >= outs)
        return;
    float acc[OUTS][ROWS] = {};
    for (int64_t c0 = lane * V; c0 < k; c0 += 32 * V * AHEAD) {
        vec<X, V> wv[AHEAD][OUTS];
#pragma unroll
        for (int a = 0; a < AHEAD; a++)
#pragma unroll
            for (int o = 0; o < OUTS; o++) {
                int64_t c = c0 + a * 32 * V;
                wv[a][o] = c < k && o0 + o < outs ? vec_stream<X, V>(w + (o0 + o) * ldw + c) : vec_zero<X, V>();
            }
#pragma unroll
        for (int a = 0; a < AHEAD; a++) {
            int64_t c = c0 + a * 32 * V;
            if (c >= k)
                break;
            float wf[OUTS][V];
#pragma unroll
            for (int o = 0; o < OUTS; o++)
                vec_get(wf[o], wv[a][o]);
#pragma unroll
            for (int r = 0; r < ROWS; r++) {
                float xf[V];
                vec_read<X, V>(xf, x + r * ldx + c);
#pragma unroll
                for (int o = 0; o < OUTS; o++)
#pragma unroll
                    for (int i = 0; i < V; i++)
                        acc[o][r] = fmaf(wf[o][i], xf[i], acc[o][r]);
            }
        }
    }
#pragma unroll
    for (int o = 0; o < OUTS; o++)
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            float v[1] = {warp_sum(acc[o][r])};
            if (lane == 0 && o0 + o < outs) {
                if (add) {
                    float a[1];
                    vec_read<Y, 1>(a, add + r * lda + o0 + o);
                    v[0] += a[0];
                }
                vec_write(y + r * ldy + o0 + o, v);
            }
        }
}

template <class Y, class X, int V, int ROWS, int OUTS> void any(mat y, mat x, mat w, mat add)
{
    unsigned blocks = grid_size(ceil_div(w.rows, ANY_WARPS * OUTS));
    any_kernel<Y, X, V, ROWS, OUTS><<<blocks, ANY_WARPS * 32, 0, cuda_stream()>>>(
        (Y *)y.data, y.ld, (const X *)x.data, x.ld, (const X *)w.data, w.ld, (const Y *)add.data, add.ld, w.rows, w.cols);
    cuda_launched();
}

/* Fewer weight rows a warp where there are too few of them to fill the card. */
template <class Y, class X, int V> void any(mat y, mat x, mat w, mat add)
{
    bool few = w.rows < 16384;
    auto run = x.rows == 1 ? (few ? any<Y, X, V, 1, 1> : any<Y, X, V, 1, 4>) : (few ? any<Y, X, V, 2, 1> : any<Y, X, V, 2, 4>);
    run(y, x, w, add);
}

} // namespace

void linear_step(mat y, mat x, mat w, mat add)
{
    must(x.cols == w.cols && y.cols == w.rows && y.rows == x.rows && x.dtype == w.dtype);
    must(!add.data || (add.dtype == y.dtype && add.rows == y.rows && add.cols == y.cols));
    if (y.rows == 0 || y.cols == 0 || few(y, x, w, add, NULL, 0))
        return;
    if (dev_is_exact() || x.rows > ANY_ROWS) {
        linear_step_lt(y, x, w, add);
        return;
    }
    typed(y.dtype, [&](auto ty) {
        typed(x.dtype, [&](auto tx) {
            using Y = decltype(ty);
            using X = decltype(tx);
            constexpr int W = vec_width<X>();
            if (vec_fits(W, x, w))
                any<Y, X, W>(y, x, w, add);
            else
                any<Y, X, 1>(y, x, w, add);
        });
    });
}

void linear_norm_step(mat y, mat h, mat x, const float *norm, float eps, mat w)
{
    mat none = {};
    must(x.cols == w.cols && y.cols == w.rows && y.rows == x.rows && h.rows == x.rows && h.cols == x.cols && h.dtype == w.dtype);
    if (y.rows == 0 || y.cols == 0 || few(y, x, w, none, norm, eps))
        return;
    rmsnorm_fwd(h, NULL, x, norm, eps);
    linear_step(y, h, w, none);
}
