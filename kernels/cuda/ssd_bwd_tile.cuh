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
    int shares; /* of the slice, for the walks backwards */
};

/* The tiles of a slice on a Hopper, when the walks have been. */
void ssd_bwd_wgmma(const struct bwd_kernel_args &a);

/* What a block works on: a tile of a chunk, and the n_head heads of a group from head0. */
struct bwd_tile {
    tile_place at;
    int group, head0, n_head, chunk, in_chunk;
    int index; /* of the pass's tiles */
};
__device__ __forceinline__ bwd_tile tile_of_block(const bwd_kernel_args &a)
{
    bwd_tile t;
    t.n_head = a.d.heads / a.d.groups;
    t.group = blockIdx.x % a.d.groups;
    t.head0 = t.group * t.n_head;
    t.chunk = a.chunk0 + blockIdx.x / a.d.groups / a.per_chunk;
    t.in_chunk = blockIdx.x / a.d.groups % a.per_chunk;
    t.index = t.chunk * a.per_chunk + t.in_chunk;
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
        a.partial[((int64_t)t.index * 3 + i / t.n_head) * a.d.heads + t.head0 + i % t.n_head] = 0;
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
    float dt[2];
    float pass; /* e_end <S, R> of the tile */
};
/* One warp: ddt of the tile's tokens for one head, and the head's sums over the tile. Lane l has tokens 2l and 2l + 1. */
__device__ __forceinline__ void finish_head(const bwd_kernel_args &a, const lane_sums &h, tile_place at, int head, int64_t tile_index)
{
    const int l = lane_id(), t0 = 2 * l;
    const float A = -expf(a.A_log[head]), pass = h.pass;
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
        const float dt = h.dt[k];
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
