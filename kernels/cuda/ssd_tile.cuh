/* kernels/cuda/ssd_tile.cuh - tiles of bf16 in shared memory and the products of a warp on them, for the tensor-core SSD kernels.
 *
 * A tile is [rows][W], W = 64 or 128 columns, its 16-byte pieces permuted within a row (by the row's number modulo 8), so that the eight
 * rows of an 8x8 matrix lie in different banks in either direction. Kernels here run 256 threads.
 */
#ifndef KERNELS_CUDA_SSD_TILE_CUH
#define KERNELS_CUDA_SSD_TILE_CUH
#include "kernels/cuda/ssd.cuh"
#include "kernels/cuda/ssd_mma.cuh"

constexpr int HEADDIM = 64;  /* P of the tensor-core kernels */
constexpr int THREADS = 256; /* of a block: 8 warps */

/* Offset of element (row, col) in a tile of W columns. */
template <int W> __device__ __forceinline__ int at(int row, int col)
{
    return row * W + (col ^ (row & 7) << 3);
}
/* Lane's place in the fragments: accumulator element e of a 16x8 product is row frag_row() + 8 (e / 2), column frag_col() + e % 2. */
__device__ __forceinline__ int lane_id()
{
    return threadIdx.x & 31;
}
__device__ __forceinline__ int frag_row()
{
    return lane_id() >> 2;
}
__device__ __forceinline__ int frag_col()
{
    return (lane_id() & 3) * 2;
}

/* Operands of products, [16, 16] at multiples of 16. A row or column that is a multiple of 16 goes into an offset from outside at(), by
 * addition or exclusive or: what remains inside depends on the lane alone and is computed once. */
/* Operand A at (m, k) of a tile that holds it as [m][k], or with TRANSPOSED as [k][m]. */
template <bool TRANSPOSED, int W> __device__ __forceinline__ void load_a(uint32_t (&r)[4], const bf16 *s, int m, int k)
{
    int l = lane_id();
    if (TRANSPOSED)
        load_matrices_t(r, s + k * W + (at<W>((l & 7) + (l >> 4) * 8, (l >> 3 & 1) * 8) ^ m));
    else
        load_matrices(r, s + m * W + (at<W>(l & 15, (l >> 4) * 8) ^ k));
}
/* Operand B at (k, n), two products wide (r[0..1], r[2..3]), of a tile that holds it as [k][n], or with TRANSPOSED as [n][k]. */
template <bool TRANSPOSED, int W> __device__ __forceinline__ void load_b(uint32_t (&r)[4], const bf16 *s, int k, int n)
{
    int l = lane_id();
    if (TRANSPOSED)
        load_matrices(r, s + n * W + (at<W>((l & 7) + (l >> 4) * 8, (l >> 3 & 1) * 8) ^ k));
    else
        load_matrices_t(r, s + k * W + (at<W>(l & 15, (l >> 4) * 8) ^ n));
}
/* acc += a b over k0 <= k < k1 (multiples of 16), for the MI x NI fragments at row m of a and column n of b. */
template <bool AT, int WA, bool BT, int WB, int MI, int NI>
__device__ __forceinline__ void warp_product(float (&acc)[MI][NI][4], const bf16 *a, int m, const bf16 *b, int n, int k0, int k1)
{
#pragma unroll
    for (int k = k0; k < k1; k += 16) {
        uint32_t fa[MI][4];
#pragma unroll
        for (int i = 0; i < MI; i++)
            load_a<AT, WA>(fa[i], a, m + 16 * i, k);
#pragma unroll
        for (int j = 0; j < NI; j += 2) {
            uint32_t fb[4];
            load_b<BT, WB>(fb, b, k, n + 8 * j);
#pragma unroll
            for (int i = 0; i < MI; i++) {
                mma_16816(acc[i][j], fa[i], fb[0], fb[1]);
                mma_16816(acc[i][j + 1], fa[i], fb[2], fb[3]);
            }
        }
    }
}
template <int MI, int NI> __device__ __forceinline__ void zero(float (&acc)[MI][NI][4])
{
#pragma unroll
    for (int i = 0; i < MI; i++)
#pragma unroll
        for (int j = 0; j < NI; j++)
#pragma unroll
            for (int e = 0; e < 4; e++)
                acc[i][j][e] = 0;
}
template <int MI, int NI> __device__ __forceinline__ void scale(float (&acc)[MI][NI][4], float f)
{
#pragma unroll
    for (int i = 0; i < MI; i++)
#pragma unroll
        for (int j = 0; j < NI; j++)
#pragma unroll
            for (int e = 0; e < 4; e++)
                acc[i][j][e] *= f;
}

template <int MI, int NI> __device__ __forceinline__ void add(float (&acc)[MI][NI][4], const float (&v)[MI][NI][4])
{
#pragma unroll
    for (int i = 0; i < MI; i++)
#pragma unroll
        for (int j = 0; j < NI; j++)
#pragma unroll
            for (int e = 0; e < 4; e++)
                acc[i][j][e] += v[i][j][e];
}

/* The four lanes of a row exchange registers: lane t gets, from lanes 0..3, their r[t]. */
__device__ __forceinline__ uint4 quad_transpose(uint32_t r0, uint32_t r1, uint32_t r2, uint32_t r3)
{
    bool odd = threadIdx.x & 1, upper = threadIdx.x & 2;
    uint32_t s0 = __shfl_xor_sync(~0u, odd ? r0 : r1, 1);
    uint32_t s1 = __shfl_xor_sync(~0u, odd ? r2 : r3, 1);
    if (odd)
        r0 = s0, r2 = s1;
    else
        r1 = s0, r3 = s1;
    s0 = __shfl_xor_sync(~0u, upper ? r0 : r2, 2);
    s1 = __shfl_xor_sync(~0u, upper ? r1 : r3, 2);
    if (upper)
        r0 = s0, r1 = s1;
    else
        r2 = s0, r3 = s1;
    return make_uint4(r0, r1, r2, r3);
}
/* Rounds 16 rows of NI (2 or 4) fragments to bf16 and hands them out in pieces of 16 bytes: put(row, first column, piece). */
template <int NI, class F> __device__ __forceinline__ void put_rows(const float (&acc)[NI][4], F put)
{
    static_assert(NI == 2 || NI == 4, "columns of a warp");
    int t = lane_id() & 3;
    if constexpr (NI == 4) {
#pragma unroll
        for (int half = 0; half < 2; half++) {
            uint32_t r[4];
#pragma unroll
            for (int j = 0; j < 4; j++)
                r[j] = pack2(acc[j][2 * half], acc[j][2 * half + 1]);
            put(frag_row() + 8 * half, 8 * t, quad_transpose(r[0], r[1], r[2], r[3]));
        }
    } else {
        uint4 v = quad_transpose(pack2(acc[0][0], acc[0][1]), pack2(acc[1][0], acc[1][1]), pack2(acc[0][2], acc[0][3]),
                                 pack2(acc[1][2], acc[1][3]));
        put(frag_row() + 8 * (t >> 1), 8 * (t & 1), v);
    }
}

/* A warp's fragments of a state [64][N] in device memory: those of S[i] are at rows m + i dm.., columns n + i dn... */
template <int N, int I, int J>
__device__ __forceinline__ void state_read(float (&S)[I][J][4], const void *from, int dtype, int m, int n, int dm, int dn)
{
#pragma unroll
    for (int i = 0; i < I; i++)
#pragma unroll
        for (int j = 0; j < J; j++)
#pragma unroll
            for (int half = 0; half < 2; half++) {
                int o = (m + dm * i + 8 * half + frag_row()) * N + n + dn * i + 8 * j + frag_col();
                if (dtype == F32) {
                    float2 v = *(const float2 *)((const float *)from + o);
                    S[i][j][2 * half] = v.x, S[i][j][2 * half + 1] = v.y;
                } else {
                    uint32_t v = *(const uint32_t *)((const bf16 *)from + o);
                    S[i][j][2 * half] = low2(v), S[i][j][2 * half + 1] = high2(v);
                }
            }
}
template <int N, int I, int J>
__device__ __forceinline__ void state_write(const float (&S)[I][J][4], void *to, int dtype, int m, int n, int dm, int dn)
{
#pragma unroll
    for (int i = 0; i < I; i++)
#pragma unroll
        for (int j = 0; j < J; j++)
#pragma unroll
            for (int half = 0; half < 2; half++) {
                int o = (m + dm * i + 8 * half + frag_row()) * N + n + dn * i + 8 * j + frag_col();
                if (dtype == F32)
                    *(float2 *)((float *)to + o) = make_float2(S[i][j][2 * half], S[i][j][2 * half + 1]);
                else
                    *(uint32_t *)((bf16 *)to + o) = pack2(S[i][j][2 * half], S[i][j][2 * half + 1]);
            }
}

/* Starts the copy of a tile by THREADS threads: len rows from g, zeros below them. */
template <int W> __device__ __forceinline__ void tile_copy(bf16 *s, const bf16 *g, int64_t ld, int len)
{
    constexpr int PIECES = W / 8;
#pragma unroll
    for (int i = 0; i < TILE * PIECES / THREADS; i++) {
        int piece = threadIdx.x % THREADS + i * THREADS, row = piece / PIECES, col = piece % PIECES * 8;
        copy16_async(s + at<W>(row, col), g + (row < len ? row : 0) * ld + col, row < len);
    }
}
/* The time steps of a tile. Below its last row dt is 0 and cum stays, so that the rows there count for nothing. */
struct alignas(16) tile_steps {
    float dt[TILE], cum[TILE];            /* cum: log decay from the tile's start to the row, <= 0 */
    __device__ float after(int row) const /* log decay from the row to the tile's end */
    {
        return fminf(cum[TILE - 1] - cum[row], 0.f);
    }
};
/* dt and cum point at the first row's. */
__device__ __forceinline__ void steps_copy(struct tile_steps *s, const float *dt, const float *cum, int heads, int len)
{
    int t = threadIdx.x % THREADS, row = t & 63;
    if (t < TILE)
        copy4_async(&s->dt[row], dt + (int64_t)(row < len ? row : 0) * heads, row < len);
    else if (t < 2 * TILE)
        copy4_async(&s->cum[row], cum + (int64_t)(row < len ? row : len - 1) * heads, true);
}
/* to = weight(row) * from, a tile [64][64]; each thread does a quarter of a row. */
template <class F> __device__ __forceinline__ void tile_scale(bf16 *to, const bf16 *from, F weight)
{
    int row = threadIdx.x >> 2;
    float w = weight(row);
#pragma unroll
    for (int i = 0; i < 2; i++) {
        int o = at<64>(row, (threadIdx.x & 3) * 16 + 8 * i);
        uint4 v = *(const uint4 *)(from + o);
        v.x = pack2(low2(v.x) * w, high2(v.x) * w);
        v.y = pack2(low2(v.y) * w, high2(v.y) * w);
        v.z = pack2(low2(v.z) * w, high2(v.z) * w);
        v.w = pack2(low2(v.w) * w, high2(v.w) * w);
        *(uint4 *)(to + o) = v;
    }
}
/* Sums over the four lanes that share a fragment row / the eight that share a fragment column: every lane gets the sum. */
__device__ __forceinline__ float row_sum(float v)
{
    v += __shfl_xor_sync(~0u, v, 1);
    return v + __shfl_xor_sync(~0u, v, 2);
}
__device__ __forceinline__ float col_sum(float v)
{
    v += __shfl_xor_sync(~0u, v, 4);
    v += __shfl_xor_sync(~0u, v, 8);
    return v + __shfl_xor_sync(~0u, v, 16);
}
#endif
