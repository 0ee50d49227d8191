/* kernels/cuda/ssd_bwd_tile.cuh - what the tensor-core kernels of the backward share on a Hopper and elsewhere: their arguments, their
 * parts of the work, and the end of a head. The formulas stand in ssd_bwd_mma.cu.
 */
#ifndef KERNELS_CUDA_SSD_BWD_TILE_CUH
#define KERNELS_CUDA_SSD_BWD_TILE_CUH
#include "kernels/cuda/ssd_tile.cuh"

struct bwd_kernel_args {
    tokens<bf16> x, B, C, dy, dx, dB, dC, ddt;
    const float *A_log, *D, *dt, *cum;
    const bf16 *kept; /* states at chunk boundaries */
    bf16 *S, *R;      /* [chunk][per_chunk - 1], [chunk][per_chunk], [H, P, N]: counted from the slice's first chunk */
    const float *carry_in;
    float *carry_out, *partial;
    struct ssd_dims d;
    struct seqs s;
    int chunk0, chunk1, per_chunk;
};

/* A slice on a Hopper: when ssd_fwd_wgmma_runs(). */
void ssd_bwd_wgmma(const struct bwd_kernel_args &a);

/* --- Walks: a state, or a state's gradient, goes over consecutive tiles of one document ---
 *
 * Not REVERSE: the states entering tiles 1.. of chunk chunk0 + unit, from the one kept at its start.
 * REVERSE: the gradients of the states leaving the tiles of document `unit` in this slice, from the last to the first. */
struct walk_range {
    int64_t doc_row;
    int doc_len, first, chunk, per_chunk; /* first: token of the document */
    int lo, n_tile, n_update;             /* first chunk; n_update < n_tile when nobody wants what follows the last tile */
    bool goes_on, came_from;              /* the document after the last chunk, before the first */

    __device__ __forceinline__ tile_place place(int tile) const
    {
        const int in_chunk = tile % per_chunk * TILE, token = first + tile / per_chunk * chunk + in_chunk;
        return {doc_row + token, min(min(chunk - in_chunk, doc_len - token), TILE)};
    }
};
/* False: the slice has nothing of the document. */
template <bool REVERSE> __device__ __forceinline__ bool walk_range_of(walk_range &w, const bwd_kernel_args &a, int unit)
{
    int hi = a.chunk0 + unit + 1;
    w.lo = hi - 1, w.goes_on = true, w.came_from = false;
    if (REVERSE) {
        w.lo = max(a.s.first_chunk[unit], a.chunk0);
        hi = min(a.s.first_chunk[unit + 1], a.chunk1);
        if (w.lo >= hi)
            return false;
        w.goes_on = hi < a.s.first_chunk[unit + 1];
        w.came_from = w.lo > a.s.first_chunk[unit];
    }
    const int doc = a.s.chunk_doc[w.lo];
    w.doc_row = a.s.start[doc], w.doc_len = (int)(a.s.start[doc + 1] - w.doc_row);
    w.chunk = a.s.chunk, w.per_chunk = a.per_chunk, w.first = (w.lo - a.s.first_chunk[doc]) * a.s.chunk;
    w.n_tile = tiles_of(a.s, w.lo, hi, TILE);
    w.n_update = w.came_from ? w.n_tile : w.n_tile - 1;
    return true;
}
/* Units of both directions: those of the long walks backwards come first, the many short ones fill the card beside them. */
static inline int64_t walks_of(const bwd_kernel_args &a)
{
    return a.s.n + (a.per_chunk > 1 ? a.chunk1 - a.chunk0 : 0);
}
template <int N> __device__ __forceinline__ bf16 *entering_state(const bwd_kernel_args &a, const walk_range &w, int tile, int head)
{
    return a.S + (((int64_t)(w.lo - a.chunk0) * (a.per_chunk - 1) + tile - 1) * a.d.heads + head) * HEADDIM * N;
}
template <int N> __device__ __forceinline__ bf16 *leaving_gradient(const bwd_kernel_args &a, const walk_range &w, int tile, int head)
{
    return a.R + (((int64_t)(w.lo - a.chunk0) * a.per_chunk + tile) * a.d.heads + head) * HEADDIM * N;
}
/* Rounds 16 rows of 64 columns to bf16 and writes them in whole lines of 128 bytes: an even row's quad of lanes and the next row's
 * exchange halves, so that the eight write first the one row, then the other. */
__device__ __forceinline__ void write_lines(bf16 *to, int64_t ld, const float (*acc)[4])
{
    const bool odd = frag_row() & 1;
    const int col = (odd ? 32 : 0) + 8 * (lane_id() & 3);
#pragma unroll
    for (int half = 0; half < 2; half++) {
        uint32_t r[8];
#pragma unroll
        for (int j = 0; j < 8; j++)
            r[j] = pack2(acc[j][2 * half], acc[j][2 * half + 1]);
        const uint4 left = quad_transpose(r[0], r[1], r[2], r[3]), right = quad_transpose(r[4], r[5], r[6], r[7]);
        uint4 other = odd ? left : right;
        other.x = __shfl_xor_sync(~0u, other.x, 4);
        other.y = __shfl_xor_sync(~0u, other.y, 4);
        other.z = __shfl_xor_sync(~0u, other.z, 4);
        other.w = __shfl_xor_sync(~0u, other.w, 4);
        bf16 *row = to + (8 * half + (frag_row() & ~1)) * ld + col;
        *(uint4 *)row = odd ? other : left;
        *(uint4 *)(row + ld) = odd ? right : other;
    }
}

/* --- Tiles --- */

/* What a block works on: a tile of a chunk, and the n_head heads of a group from head0. */
struct bwd_tile {
    tile_place at;
    int group, head0, n_head, chunk, in_chunk;
    int64_t index; /* of the pass's tiles */
};
__device__ __forceinline__ bwd_tile tile_of_block(const bwd_kernel_args &a)
{
    bwd_tile t;
    t.n_head = a.d.heads / a.d.groups;
    t.group = blockIdx.x % a.d.groups;
    t.head0 = t.group * t.n_head;
    t.chunk = a.chunk0 + blockIdx.x / a.d.groups / a.per_chunk;
    t.in_chunk = blockIdx.x / a.d.groups % a.per_chunk;
    t.index = (int64_t)t.chunk * a.per_chunk + t.in_chunk;
    t.at = place_of(a.s, t.chunk, t.in_chunk, TILE);
    return t;
}
static inline int64_t tile_blocks(const bwd_kernel_args &a)
{
    return (int64_t)(a.chunk1 - a.chunk0) * a.per_chunk * a.d.groups;
}
/* A tile after its document's end adds nothing. */
__device__ __forceinline__ void no_tile(const bwd_kernel_args &a, const bwd_tile &t, int threads)
{
    for (int i = threadIdx.x; i < 3 * t.n_head; i += threads)
        a.partial[(t.index * 3 + i / t.n_head) * a.d.heads + t.head0 + i % t.n_head] = 0;
}
/* The state that enters the tile, and the gradient of the one that leaves it, of head h of the group. */
template <int N> __device__ __forceinline__ const bf16 *entering_state(const bwd_kernel_args &a, const bwd_tile &t, int h)
{
    const int64_t before = (int64_t)(t.chunk - a.chunk0) * (a.per_chunk - 1) + t.in_chunk - 1;
    const bf16 *states = t.in_chunk == 0 ? a.kept + (int64_t)t.chunk * a.d.heads * HEADDIM * N : a.S + before * a.d.heads * HEADDIM * N;
    return states + (int64_t)(t.head0 + h) * HEADDIM * N;
}
template <int N> __device__ __forceinline__ const bf16 *leaving_gradient(const bwd_kernel_args &a, const bwd_tile &t, int h)
{
    return a.R + ((t.index - (int64_t)a.chunk0 * a.per_chunk) * a.d.heads + t.head0 + h) * HEADDIM * N;
}

/* Sums of four values over the eight lanes that share a fragment column: lane frag_row() gets that of v[frag_row() / 2]. */
__device__ __forceinline__ float col_sums(const float (&v)[4])
{
    const bool upper = frag_row() & 4, odd = frag_row() & 2;
    const float v0 = (upper ? v[2] : v[0]) + __shfl_xor_sync(~0u, upper ? v[0] : v[2], 16);
    const float v1 = (upper ? v[3] : v[1]) + __shfl_xor_sync(~0u, upper ? v[1] : v[3], 16);
    const float sum = (odd ? v1 : v0) + __shfl_xor_sync(~0u, odd ? v0 : v1, 8);
    return sum + __shfl_xor_sync(~0u, sum, 4);
}

/* What finish_head() adds up, of a lane's tokens 2l and 2l + 1. */
struct lane_sums {
    float from[2], to[2]; /* from: counts for steps up to its token; to: for steps after it */
    float du_x[2];        /* du . x */
    float dy_x;           /* dy . x, of both */
    float pass;           /* <S, R> of the tile */
};
/* One warp: ddt of the tile's tokens for one head, and the head's sums over the tile. Lane l has tokens 2l and 2l + 1. */
__device__ __forceinline__ void finish_head(const bwd_kernel_args &a, const lane_sums &h, const tile_steps &steps, tile_place at, int head,
                                            int64_t tile_index)
{
    const int l = lane_id(), t0 = 2 * l;
    const float A = -expf(a.A_log[head]), pass = h.pass * exp_fast(steps.cum[TILE - 1]);
    const float(&from)[2] = h.from, (&to)[2] = h.to;
    float dD = h.dy_x;

    float suffix = from[0] + from[1], prefix = to[0] + to[1]; /* inclusive over lanes */
#pragma unroll
    for (int o = 1; o < 32; o *= 2) {
        const float s = __shfl_down_sync(~0u, suffix, o), p = __shfl_up_sync(~0u, prefix, o);
        suffix += l + o < 32 ? s : 0.f;
        prefix += l >= o ? p : 0.f;
    }
    float before = __shfl_up_sync(~0u, prefix, 1), after = __shfl_down_sync(~0u, suffix, 1);
    before = l > 0 ? before : 0.f;
    after = l < 31 ? after : 0.f;
    float da[2] = {from[0] + from[1] + after + before + pass, from[1] + after + before + to[0] + pass};

    float dbias = 0, dA = 0;
#pragma unroll
    for (int k = 0; k < 2; k++) {
        const float dt = steps.dt[t0 + k];
        if (A * dt < -40.f) /* less than 1e-17 of anything crosses such a step; the sums' rounding, times A, may be more */
            da[k] = 0;
        const float ddt = (h.du_x[k] + A * da[k]) * -expm1f(-dt); /* the slope of softplus is 1 - exp(-softplus) */
        dbias += ddt;
        dA += dt * da[k];
        if (t0 + k < at.len)
            a.ddt.row(at.row + t0 + k)[head] = __float2bfloat16(ddt);
    }
#pragma unroll
    for (int o = 16; o > 0; o /= 2) {
        dbias += __shfl_xor_sync(~0u, dbias, o);
        dA += __shfl_xor_sync(~0u, dA, o);
        dD += __shfl_xor_sync(~0u, dD, o);
    }
    if (l == 0) {
        float *out = a.partial + tile_index * 3 * a.d.heads + head;
        out[0] = dbias;
        out[a.d.heads] = A * dA;
        out[2 * a.d.heads] = dD;
    }
}
#endif
