/* kernels/cuda/ssd_fwd.cu - SSD forward: time steps and their sums, choice of kernel, scratch of both directions. */
#include "kernels/cuda/ssd.cuh"
#include <algorithm>

namespace
{
constexpr int LANES = 32, PARTS = 8, RUN = TILE / PARTS;

/* dt = softplus(dt' + bias) and cum, the sums of -exp(A_log) dt from the tile's start: differences of short sums keep more digits. A block
 * does 32 heads of a tile, whose tokens are cut in PARTS runs; a lane adds up one run of one head. */
template <class T>
__global__ void __launch_bounds__(LANES *PARTS)
    steps_kernel(tokens<T> dt_in, const float *bias, const float *A_log, float *dt, float *cum, int heads, struct seqs s)
{
    __shared__ float sums[PARTS][LANES];
    const int per_tile = (heads + LANES - 1) / LANES, per_chunk = (s.chunk + TILE - 1) / TILE, tile = blockIdx.x / per_tile;
    const int lane = threadIdx.x % LANES, part = threadIdx.x / LANES, head = blockIdx.x % per_tile * LANES + lane;
    const tile_place at = place_of(s, tile / per_chunk, tile % per_chunk, TILE);
    const int len = max(at.len, 0), from = min(part * RUN, len), to = min(from + RUN, len);
    float sum = 0, inside[RUN] = {};
    if (head < heads) {
        const float A = -expf(A_log[head]), b = bias[head];
#pragma unroll
        for (int i = 0; i < RUN; i++)
            if (from + i < to)
                inside[i] = to_f32(dt_in.row(at.row + from + i)[head]);
#pragma unroll
        for (int i = 0; i < RUN; i++)
            if (from + i < to) {
                const float v = softplus(inside[i] + b);
                sum += log_decay(A, v);
                dt[(at.row + from + i) * heads + head] = v;
                inside[i] = sum;
            }
    }
    sums[part][lane] = sum;
    __syncthreads();
    float before = 0;
    for (int p = 0; p < part; p++)
        before += sums[p][lane];
    if (head < heads)
#pragma unroll
        for (int i = 0; i < RUN; i++)
            if (from + i < to)
                cum[(at.row + from + i) * heads + head] = inside[i] + before;
}
} // namespace

/* With every tile's state kept, the backward has none to compute again: that is worth more than the forward's writing them. */
int32_t ssd_train_chunk(int32_t chunk)
{
    return chunk < TILE ? chunk : TILE;
}

/* For one, two.. waves of blocks as many shares as go there; the number that takes the least time, where a document costs about a tile more
 * than its tokens and a block FILL more before all its parts are at work. */
int ssd_shares(int heads, const struct seqs &s, int blocks)
{
    static const int multiprocessors = [] {
        int device, count;
        cuda_ok(cudaGetDevice(&device));
        cuda_ok(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device));
        return count;
    }();
    constexpr int64_t FILL = 4 * TILE;
    const int64_t room = (int64_t)multiprocessors * blocks, all = s.tokens + (int64_t)s.n * TILE;
    int best = 1;
    int64_t least = INT64_MAX;
    for (int64_t waves = 1, shares = 0; shares < s.n; waves++) {
        shares = std::max<int64_t>(1, std::min<int64_t>(waves * room / heads, s.n));
        const int64_t block = ceil_div(s.n, shares) * all / s.n + FILL;
        const int64_t time = std::max<int64_t>(ceil_div(shares * heads, room) * block, s.max_len + TILE + FILL);
        if (time < least)
            least = time, best = (int)shares;
    }
    return best;
}

size_t ssd_scratch(struct ssd_dims d, int64_t tokens, int32_t max_docs, int32_t chunk, int train)
{
    size_t inference = (size_t)tokens * d.heads * 2 * sizeof(float); /* dt and cum, which training keeps */
    size_t backward = train ? ssd_bwd_scratch(d, seqs_max_chunks(tokens, max_docs, chunk), chunk) : 0;
    size_t segments = ssd_mma_takes(d) ? ssd_fwd_wgmma_scratch(d, tokens, max_docs) : 0;
    return std::max({inference, backward, segments});
}

void ssd_fwd(mat y, struct ssd_kept keep, struct ssd_in in, struct ssd_dims d, struct seqs s, struct state_view state, void *scratch)
{
    struct ssd_fwd_args a = {y, in, keep.dt, keep.cum, keep.states, d, s, state, scratch};
    const bool state_fits = !state.data || (state.stride % 8 == 0 && (uintptr_t)state.data % 16 == 0);
    const bool mma = ssd_mma_takes(in, d) && ssd_mma_takes(y) && state_fits;
    if (mma && ssd_fwd_wgmma_runs()) { /* makes its time steps itself */
        ssd_fwd_wgmma(a);
        return;
    }
    float *dt = keep.dt ? keep.dt : (float *)scratch, *cum = keep.cum ? keep.cum : dt + s.tokens * d.heads;
    a.dt = dt, a.cum = cum;
    typed(in.dt.dtype, [&](auto t) {
        launch(steps_kernel<decltype(t)>, s.n_chunk * ceil_div(s.chunk, TILE) * ceil_div(d.heads, LANES), LANES * PARTS, 0,
               tokens_of<decltype(t)>(in.dt), in.dt_bias, in.A_log, dt, cum, d.heads, s);
    });
    (mma ? ssd_fwd_mma : ssd_fwd_any)(a);
}
