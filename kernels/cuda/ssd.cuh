/* kernels/cuda/ssd.cuh - what the files of the CUDA SSD share.
 *
 *   ssd_fwd.cu        entry of the forward, time steps, scratch    ssd_bwd.cu        entry of the backward, sums over tiles
 *   ssd_fwd_wgmma.cu  forward, bf16 on Hopper's tensor cores       ssd_bwd_wgmma.cu  backward, bf16 on Hopper's tensor cores
 *   ssd_fwd_mma.cu    forward, bf16 on other cards' tensor cores   ssd_bwd_mma.cu    backward, bf16 on other cards' tensor cores
 *   ssd_fwd_any.cu    forward, either type and any shape           ssd_bwd_any.cu    backward, either type and any shape
 *   ssd_step.cu       for mixer.cu: one token                      ssd_bwd_tile.cuh  what the two backwards on tensor cores share
 *   ssd_mma.cuh, ssd_wgmma.cuh, ssd_tile.cuh, ssd_any.cuh: tools of both directions
 *
 * A chunk is computed in tiles of at most 64 tokens; no tile crosses a chunk. Which kernel serves a call depends on types, shape,
 * alignment and the card alone, never on how many tokens or documents there are, and into how many segments it cuts a document on that
 * document's length: a document's bits do not depend on its neighbours.
 */
#ifndef KERNELS_CUDA_SSD_CUH
#define KERNELS_CUDA_SSD_CUH
#include "kernels/cuda/cuda.cuh"
#include "kernels/ssd.h"

/* A mat as kernels take it. */
template <class T> struct tokens {
    T *p;
    int64_t ld;
    __device__ __forceinline__ T *row(int64_t r) const
    {
        return p + r * ld;
    }
};
template <class T> static inline tokens<T> tokens_of(mat m)
{
    must(m.dtype == (sizeof(T) == 4 ? F32 : BF16));
    return {(T *)m.data, m.ld};
}

__device__ __forceinline__ float to_f32(float v)
{
    return v;
}
__device__ __forceinline__ float to_f32(bf16 v)
{
    return __bfloat162float(v);
}
__device__ __forceinline__ void put_f32(float *p, float v)
{
    *p = v;
}
__device__ __forceinline__ void put_f32(bf16 *p, float v)
{
    *p = __float2bfloat16(v);
}

/* dt of a token, of dt' + bias, and the logarithm of its decay. exp of less than WIPED is zero in float32: a larger step would only cost
 * the sums after it their digits. */
constexpr float WIPED = -104.f;
__device__ __forceinline__ float softplus(float v)
{
    return v > 20.f ? v : log1pf(expf(v));
}
__device__ __forceinline__ float log_decay(float A, float dt)
{
    return fmaxf(A * dt, WIPED);
}

/* Where tile k (of `tile` tokens) of a chunk lies: its first row, and its rows, 0 or less when the chunk ends before it. */
struct tile_place {
    int64_t row;
    int len;
};
__device__ __forceinline__ tile_place place_of(const struct seqs &s, int chunk, int k, int tile)
{
    int doc = s.chunk_doc[chunk], inside = (chunk - s.first_chunk[doc]) * s.chunk + k * tile;
    int left = min(s.chunk - k * tile, s.start[doc + 1] - s.start[doc] - inside);
    return {(int64_t)s.start[doc] + inside, min(left, tile)};
}
/* Tiles of chunks lo .. hi-1, which are of one document. */
__device__ __forceinline__ int tiles_of(const struct seqs &s, int lo, int hi, int tile)
{
    int doc = s.chunk_doc[lo], per_chunk = (s.chunk + tile - 1) / tile;
    int last = min(s.chunk, s.start[doc + 1] - s.start[doc] - (hi - 1 - s.first_chunk[doc]) * s.chunk);
    return (hi - 1 - lo) * per_chunk + (last + tile - 1) / tile;
}

/* Blocks that go from document to document take shares of the chunks chunk0 .. chunk1-1: about equal parts, but a document belongs to the
 * share that its middle lies in. The first chunk of a share; a share may be empty. */
__device__ __forceinline__ int share_begins(const struct seqs &s, int chunk0, int chunk1, int share, int shares)
{
    if (share == 0 || share == shares)
        return share == 0 ? chunk0 : chunk1;
    const int at = chunk0 + (int)((int64_t)(chunk1 - chunk0) * share / shares);
    const int doc = s.chunk_doc[at], first = max(s.first_chunk[doc], chunk0), end = min(s.first_chunk[doc + 1], chunk1);
    return 2 * at <= first + end ? first : end;
}
/* Into how many shares to split the documents of a pass, for blocks of a share and a head, so many of which run on a multiprocessor. */
int ssd_shares(int heads, const struct seqs &s, int blocks);

/* Queues a kernel with so much dynamic shared memory. */
template <class... P, class... A>
static inline void launch(void (*kernel)(P...), int64_t blocks, unsigned threads, size_t shared, A... args)
{
    if (blocks == 0)
        return;
    if (shared > 48 * 1024)
        cuda_ok(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared));
    cudaLaunchConfig_t config = {};
    config.gridDim = dim3(grid_size(blocks));
    config.blockDim = dim3(threads);
    config.dynamicSmemBytes = shared;
    config.stream = cuda_stream();
    cuda_ok(cudaLaunchKernelEx(&config, kernel, P(args)...));
}

/* Can the tensor-core kernels take this? bf16, P = 64, N = 64 or 128, rows and states aligned to 16 bytes. */
static inline bool ssd_mma_takes(mat m)
{
    return m.dtype == BF16 && m.ld % 8 == 0 && (uintptr_t)m.data % 16 == 0;
}
static inline bool ssd_mma_takes(struct ssd_dims d)
{
    return d.headdim == 64 && (d.state == 64 || d.state == 128);
}
static inline bool ssd_mma_takes(struct ssd_in in, struct ssd_dims d)
{
    return ssd_mma_takes(d) && ssd_mma_takes(in.x) && ssd_mma_takes(in.B) && ssd_mma_takes(in.C);
}

constexpr int TILE = 64; /* tokens of a tile of the tensor-core kernels; ssd_kept's cum starts anew at every tile */
/* Shared memory that every card of sm_80 and later gives one block. */
constexpr size_t SHARED_MAX = 163 * 1024;

struct ssd_fwd_args {
    mat y;
    struct ssd_in in;
    float *dt, *cum; /* [T, H]; read, but written (when not NULL) by the kernel for Hopper */
    void *states;    /* ssd_kept's, or NULL */
    struct ssd_dims d;
    struct seqs s;
    struct state_view state;
    void *scratch; /* for ssd_fwd_wgmma without states */
};
bool ssd_fwd_wgmma_runs(void);                                                     /* is this card a Hopper? */
size_t ssd_fwd_wgmma_scratch(struct ssd_dims d, int64_t tokens, int32_t max_docs); /* bytes */
void ssd_fwd_wgmma(const struct ssd_fwd_args &a);
void ssd_fwd_mma(const struct ssd_fwd_args &a);
void ssd_fwd_any(const struct ssd_fwd_args &a);

/* The backward goes through the chunks from the last to the first, in slices of as many chunks as its scratch has room for. */
struct ssd_bwd_args {
    struct ssd_grad g;
    mat dy;
    struct ssd_kept kept;
    struct ssd_in in;
    struct ssd_dims d;
    struct seqs s;
    int chunk0, chunk1; /* the slice: chunks chunk0 .. chunk1-1 */
    void *S, *R;        /* states entering, and gradients of the states leaving, the slice's tiles */
    float *carry_in;    /* [H, P, N] gradient of the state that leaves the slice's last chunk, when its document goes on */
    float *carry_out;   /* the same for the slice before */
    float *partial;     /* [tiles of the pass][3][H]: what each tile adds to ddt_bias, dA_log, dD */
};
/* How a backward kernel family wants its scratch. */
struct ssd_bwd_plan {
    int per_chunk;           /* tiles of a chunk */
    size_t S_bytes, R_bytes; /* of a chunk */
};
size_t ssd_bwd_scratch(struct ssd_dims d, int64_t chunks, int32_t chunk);
struct ssd_bwd_plan ssd_bwd_mma_plan(struct ssd_dims d, int32_t chunk);
struct ssd_bwd_plan ssd_bwd_any_plan(struct ssd_dims d, int32_t chunk);
void ssd_bwd_mma(const struct ssd_bwd_args &a);
void ssd_bwd_any(const struct ssd_bwd_args &a);
#endif
