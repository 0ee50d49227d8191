/* kernels/cuda/embed.cu - kernels/embed.h. The gradient puts the tokens in order of (id, position) and gives each id that occurs to one
 * set of threads, which adds its rows in order: no atomics on floats, the same bits every time.
 *
 * The order comes from counting, for every token, the tokens that go before it: quadratic, but with integers from shared memory
 * (16384 tokens: some 30 us, once a step), and it needs no device to say how much scratch it takes.
 */
#include "kernels/embed.h"
#include "kernels/cuda/rows.cuh"

void embed_fwd(mat y, mat w, const int32_t *ids)
{
    must(y.cols == w.cols);
    rows_copy(y, w, ids);
}

enum { RANK_THREADS = 256, RANK_TILE = 2048 };

/* rank[i] += tokens j of this block's tile (blockIdx.y) with (ids[j], j) < (ids[i], i). */
static __global__ void __launch_bounds__(RANK_THREADS) rank_kernel(int32_t *rank, const int32_t *ids, int64_t n)
{
    __shared__ int32_t tile[RANK_TILE];
    int64_t i = (int64_t)blockIdx.x * RANK_THREADS + threadIdx.x, j0 = (int64_t)blockIdx.y * RANK_TILE;
    int32_t m = (int32_t)(n - j0 < RANK_TILE ? n - j0 : RANK_TILE);
    for (int32_t j = threadIdx.x; j < m; j += RANK_THREADS)
        tile[j] = ids[j0 + j];
    __syncthreads();
    if (i >= n)
        return;
    int32_t id = ids[i], count = 0;
    int32_t before = (int32_t)(i - j0); /* tile entries below this index stand before i */
#pragma unroll 8
    for (int32_t j = 0; j < m; j++)
        count += tile[j] < id || (tile[j] == id && j < before);
    if (count > 0)
        atomicAdd(&rank[i], count); /* integers: any order gives the same */
}

static __global__ void __launch_bounds__(RANK_THREADS)
    place_kernel(int32_t *position, int32_t *sorted, const int32_t *rank, const int32_t *ids, int64_t n)
{
    int64_t i = (int64_t)blockIdx.x * RANK_THREADS + threadIdx.x;
    if (i < n) {
        position[rank[i]] = (int32_t)i;
        sorted[rank[i]] = ids[i];
    }
}

enum { SUM_THREADS = 128 };

/* blockIdx.x: a place in the order; it does the work when its id begins there. blockIdx.y: SUM_THREADS * V columns. */
template <class W, class G, int V>
static __global__ void __launch_bounds__(SUM_THREADS)
    sum_kernel(W *dw, int64_t ldw, const G *dy, int64_t ldy, const int32_t *position, const int32_t *sorted, int64_t n, int64_t cols)
{
    __shared__ int32_t rows[SUM_THREADS];
    int64_t p = blockIdx.x;
    int32_t id = sorted[p];
    if (p > 0 && sorted[p - 1] == id)
        return;
    int64_t c = ((int64_t)blockIdx.y * SUM_THREADS + threadIdx.x) * V;
    float acc[V] = {};
    for (;; p += SUM_THREADS) {
        int64_t q = p + threadIdx.x;
        bool same = q < n && sorted[q] == id;
        if (same)
            rows[threadIdx.x] = position[q];
        int m = __syncthreads_count(same); /* equal ids stand together: the first m */
        if (c < cols) {
#pragma unroll 4
            for (int j = 0; j < m; j++) {
                float f[V];
                vec_read<G, V>(f, dy + rows[j] * ldy + c);
#pragma unroll
                for (int i = 0; i < V; i++)
                    acc[i] += f[i];
            }
        }
        if (m < SUM_THREADS)
            break;
        __syncthreads();
    }
    if (c < cols) {
        float w[V];
        vec_read<W, V>(w, dw + id * ldw + c);
#pragma unroll
        for (int i = 0; i < V; i++)
            w[i] += acc[i];
        vec_write(dw + id * ldw + c, w);
    }
}

/* rank, position, sorted: [T] each. */
size_t embed_scratch(int64_t tokens, int64_t vocab)
{
    (void)vocab;
    return (size_t)tokens * 3 * sizeof(int32_t);
}

void embed_bwd(mat dw, mat dy, const int32_t *ids, void *scratch)
{
    int64_t n = dy.rows;
    must(dw.cols == dy.cols && n <= INT32_MAX);
    if (n == 0 || dy.cols == 0)
        return;
    int32_t *rank = (int32_t *)scratch, *position = rank + n, *sorted = position + n;
    unsigned blocks = grid_size(ceil_div(n, RANK_THREADS));
    dim3 tiles(blocks, (unsigned)ceil_div(n, RANK_TILE));
    must(tiles.y <= 65535);
    cuda_ok(cudaMemsetAsync(rank, 0, (size_t)n * sizeof *rank, cuda_stream()));
    rank_kernel<<<tiles, RANK_THREADS, 0, cuda_stream()>>>(rank, ids, n);
    cuda_launched();
    place_kernel<<<blocks, RANK_THREADS, 0, cuda_stream()>>>(position, sorted, rank, ids, n);
    cuda_launched();
    typed(dw.dtype, [&](auto tw) {
        typed(dy.dtype, [&](auto tg) {
            using W = decltype(tw);
            using G = decltype(tg);
            constexpr int WIDE = vec_width<W, G>();
            bool wide = vec_fits(WIDE, dw, dy);
            auto kernel = wide ? sum_kernel<W, G, WIDE> : sum_kernel<W, G, 1>;
            dim3 grid(grid_size(n), (unsigned)ceil_div(dy.cols, SUM_THREADS * (wide ? WIDE : 1)));
            must(grid.y <= 65535);
            kernel<<<grid, SUM_THREADS, 0, cuda_stream()>>>((W *)dw.data, dw.ld, (const G *)dy.data, dy.ld, position, sorted, n, dy.cols);
            cuda_launched();
        });
    });
}
