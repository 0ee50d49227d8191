/* kernels/cuda/ssd_bwd.cu - SSD backward: slices of the pass, choice of kernels, sums over tiles.
 *
 * The gradient of the state runs from a document's end to its start; everything else is local to a tile, given the state that enters it
 * and the gradient of the state that leaves it. So a slice of chunks takes three steps:
 *   1. states inside chunks are computed again from those kept at chunk boundaries (side by side, a block per chunk and head);
 *   2. the gradients of the states leaving the tiles (blocks that walk backwards, on tensor cores through a share of the documents);
 *   3. all gradients of a tile (a block per tile and group, which takes the group's heads in turn, so that the sums over heads in dB and
 *      dC need no other block and have a fixed order).
 * Slices bound the scratch; they do not change a bit of the result.
 */
#include "kernels/cuda/ssd.cuh"
#include "core/arena.h"

namespace
{
constexpr size_t SLICE_BYTES = (size_t)256 << 20; /* the states of a slice, unless one chunk alone needs more */

struct scratch_layout {
    int64_t fit; /* chunks that S and R have room for */
    void *S, *R;
    float *carry[2], *partial;
};
struct scratch_layout lay_out(struct arena *a, struct ssd_dims d, struct ssd_bwd_plan p, int64_t chunks)
{
    struct scratch_layout b;
    size_t state = (size_t)d.heads * d.headdim * d.state * sizeof(float);
    int64_t fit = (int64_t)(SLICE_BYTES / (p.S_bytes + p.R_bytes));
    b.fit = fit < 1 ? 1 : fit < chunks ? fit : chunks;
    b.S = arena_take(a, (size_t)b.fit * p.S_bytes);
    b.R = arena_take(a, (size_t)b.fit * p.R_bytes);
    b.carry[0] = (float *)arena_take(a, state);
    b.carry[1] = (float *)arena_take(a, state);
    b.partial = (float *)arena_take(a, (size_t)chunks * p.per_chunk * 3 * d.heads * sizeof(float));
    return b;
}

/* Adds up partial[tiles][3][H] over the tiles in a fixed order: a block per head and quantity. */
constexpr int SUM_THREADS = 256;
__global__ void __launch_bounds__(SUM_THREADS)
    sums_kernel(const float *partial, int64_t tiles, int heads, float *ddt_bias, float *dA_log, float *dD)
{
    __shared__ float sums[SUM_THREADS];
    const int which = blockIdx.x / heads, head = blockIdx.x % heads;
    float sum = 0;
    for (int64_t i = threadIdx.x; i < tiles; i += SUM_THREADS)
        sum += partial[(i * 3 + which) * heads + head];
    sums[threadIdx.x] = sum;
    for (int n = SUM_THREADS / 2; n > 0; n /= 2) {
        __syncthreads();
        if (threadIdx.x < n)
            sums[threadIdx.x] += sums[threadIdx.x + n];
    }
    if (threadIdx.x == 0)
        (which == 0 ? ddt_bias : which == 1 ? dA_log : dD)[head] += sums[0];
}
} // namespace

size_t ssd_bwd_scratch(struct ssd_dims d, int64_t chunks, int32_t chunk)
{
    size_t most = 0;
    struct ssd_bwd_plan plans[] = {ssd_bwd_any_plan(d, chunk), ssd_bwd_mma_plan(d, chunk)};
    for (auto &p : plans) {
        struct arena measure = {};
        lay_out(&measure, d, p, chunks);
        most = measure.used > most ? measure.used : most;
    }
    return most;
}

void ssd_bwd(struct ssd_grad g, mat dy, struct ssd_kept kept, struct ssd_in in, struct ssd_dims d, struct seqs s, void *scratch)
{
    const bool mma = ssd_mma_takes(in, d) && ssd_mma_takes(dy) && ssd_mma_takes(g.dx) && ssd_mma_takes(g.dB) && ssd_mma_takes(g.dC);
    const struct ssd_bwd_plan plan = mma ? ssd_bwd_mma_plan(d, s.chunk) : ssd_bwd_any_plan(d, s.chunk);
    struct arena arena = {(char *)scratch, ssd_bwd_scratch(d, s.n_chunk, s.chunk), 0};
    const struct scratch_layout b = lay_out(&arena, d, plan, s.n_chunk);

    struct ssd_bwd_args a = {g, dy, kept, in, d, s, 0, 0, b.S, b.R, NULL, NULL, b.partial};
    const int64_t slice = ceil_div(s.n_chunk, ceil_div(s.n_chunk, b.fit)); /* slices of one size: the last is no crumb */
    int carry = 0;
    for (int64_t end = s.n_chunk; end > 0; end -= slice) {
        a.chunk0 = (int)(end > slice ? end - slice : 0);
        a.chunk1 = (int)end;
        a.carry_in = b.carry[carry];
        a.carry_out = b.carry[carry ^= 1];
        if (mma)
            ssd_bwd_mma(a);
        else
            ssd_bwd_any(a);
    }
    launch(sums_kernel, (int64_t)3 * d.heads, SUM_THREADS, 0, b.partial, (int64_t)s.n_chunk * plan.per_chunk, d.heads, g.ddt_bias, g.dA_log,
           g.dD);
}
