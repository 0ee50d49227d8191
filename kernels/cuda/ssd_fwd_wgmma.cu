/* kernels/cuda/ssd_fwd_wgmma.cu - SSD forward on the tensor cores of Hopper (sm_90a): bf16, P = 64, N = 64 or 128.
 *
 * One block walks the tiles of one (document, head) in order. For a tile of 64 tokens, with cum counted from the tile's start:
 *     M_ij = (C_i . B_j) exp(cum_i - cum_j) dt_j, j <= i
 *     y_i  = exp(cum_i) S C_i + sum_j M_ij x_j + D x_i
 *     S    = exp(cum_end) S + sum_j exp(cum_end - cum_j) dt_j x_j (outer) B_j
 * Only the last line has to go from tile to tile, so the block's four warpgroups go through the tiles each at its own pace:
 *     copy     brings the tiles into a ring of shared memory;
 *     state    keeps S in registers, puts the one that enters each tile into shared memory and adds the tile's tokens to it;
 *     outputs  (two groups, one on the even tiles, one on the odd) make M and y.
 * Nothing else is waited for. In the products that make y, S and M are two bf16, a high and a low part: rounded once, each would add as
 * much error as the rounding of y itself.
 */
#include "kernels/cuda/ssd_wgmma.cuh"

namespace
{
constexpr int OUTPUTS = 2; /* warpgroups that make y */
constexpr int STAGES = 4;  /* tiles in shared memory */
constexpr int PARTS = 2;   /* high, low */

template <int N> struct fwd_shared {
    bf16 x[STAGES][PANEL], B[STAGES][N / 64 * PANEL], C[STAGES][N / 64 * PANEL];
    bf16 S[OUTPUTS][PARTS][N / 64 * PANEL]; /* the states entering tile t, t + 1: [P][N] */
    tile_steps steps[STAGES];
    uint64_t full[STAGES], empty[STAGES], S_full[OUTPUTS], S_empty[OUTPUTS];
};
struct fwd_kernel_args {
    tokens<bf16> x, B, C, y;
    const float *D, *dt, *cum;
    bf16 *states;
    struct ssd_dims d;
    struct seqs s;
    struct state_view state;
};

#ifdef __CUDA_ARCH_FEAT_SM90_ALL
constexpr int COPY_REGISTERS = 56, OTHER_REGISTERS = 152; /* a thread's: 128 a thread in all */

/* What a block works on. */
struct walk {
    int64_t row; /* first of the document */
    int len;     /* of the document */
    int chunk, per_chunk, first_chunk, n_tile, doc, head, group;

    __device__ __forceinline__ walk(const fwd_kernel_args &a)
    {
        doc = blockIdx.x / a.d.heads, head = blockIdx.x % a.d.heads, group = head / (a.d.heads / a.d.groups);
        row = a.s.start[doc], len = a.s.start[doc + 1] - a.s.start[doc];
        chunk = a.s.chunk, per_chunk = (chunk + TILE - 1) / TILE, first_chunk = a.s.first_chunk[doc];
        n_tile = tiles_of(a.s, first_chunk, a.s.first_chunk[doc + 1], TILE);
    }
    __device__ __forceinline__ tile_place place(int tile) const
    {
        const int inside = tile / per_chunk * chunk, k = tile % per_chunk * TILE;
        return {row + inside + k, min(min(chunk - k, len - inside - k), TILE)};
    }
};

/* Two floats as the sum of two bf16 each. */
__device__ __forceinline__ void split2(float v0, float v1, uint32_t &high, uint32_t &low)
{
    high = pack2(v0, v1);
    low = pack2(v0 - low2(high), v1 - high2(high));
}
template <int N> __device__ __forceinline__ void copy_tiles(fwd_shared<N> &sh, const fwd_kernel_args &a, const walk &w)
{
    for (int tile = 0; tile < w.n_tile; tile++) {
        const int stage = tile % STAGES;
        const tile_place at = w.place(tile);
        const int64_t step = at.row * a.d.heads + w.head;
        if (tile >= STAGES)
            barrier_wait(&sh.empty[stage], tile / STAGES - 1);
        panels_copy<N>(sh.B[stage], a.B.row(at.row) + w.group * N, a.B.ld, at.len);
        panels_copy<HEADDIM>(sh.x[stage], a.x.row(at.row) + w.head * HEADDIM, a.x.ld, at.len);
        panels_copy<N>(sh.C[stage], a.C.row(at.row) + w.group * N, a.C.ld, at.len);
        steps_copy(&sh.steps[stage], a.dt + step, a.cum + step, a.d.heads, at.len);
        copies_arrive(&sh.full[stage]);
    }
    copies_wait_all();
}

template <int N> __device__ __forceinline__ void carry_state(fwd_shared<N> &sh, const fwd_kernel_args &a, const walk &w)
{
    constexpr int Q = N / 32;
    constexpr int64_t SIZE = HEADDIM * N;
    const int rows = group_warp() * 16;
    float S[Q][4][4];
    const int64_t slot = a.state.data ? a.s.slot[w.doc] * a.state.stride + w.head * SIZE : 0;
    char *state = (char *)a.state.data + slot * (a.state.dtype == F32 ? 4 : 2);
    if (a.state.data)
        state_read<N>(S, state, a.state.dtype, rows, 0, 0, 32);
    else
        zero(S);

    uint32_t xs[TILE / 16][4]; /* of the tile: x_j exp(cum_end - cum_j) dt_j */
    float decay;               /* exp(cum_end) */
    auto weigh = [&](int tile, uint32_t(&to)[TILE / 16][4]) {
        const int stage = tile % STAGES;
        barrier_wait(&sh.full[stage], tile / STAGES);
        fence_async();
        const tile_steps &steps = sh.steps[stage];
        const float end = steps.cum[TILE - 1];
        decay = exp_fast(end);
#pragma unroll
        for (int k = 0; k < TILE / 16; k++) {
            load_a<true, 64>(to[k], sh.x[stage], rows, 16 * k);
#pragma unroll
            for (int i = 0; i < 4; i += 2) {
                const int j = 16 * k + 4 * i + frag_col();
                const float2 cum = *(const float2 *)&steps.cum[j], dt = *(const float2 *)&steps.dt[j];
                const float w0 = exp_fast(end - cum.x) * dt.x, w1 = exp_fast(end - cum.y) * dt.y;
                to[k][i] = pack2(low2(to[k][i]) * w0, high2(to[k][i]) * w1);
                to[k][i + 1] = pack2(low2(to[k][i + 1]) * w0, high2(to[k][i + 1]) * w1);
            }
        }
    };
    weigh(0, xs);

    for (int tile = 0; tile < w.n_tile; tile++) {
        const int stage = tile % STAGES, turn = tile % OUTPUTS;
        if (tile >= OUTPUTS)
            barrier_wait(&sh.S_empty[turn], tile / OUTPUTS - 1);
#pragma unroll
        for (int n = 0; n < N; n += 16) {
            uint32_t high[4], low[4];
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const float *s = &S[n / 32][n % 32 / 8 + i / 2][i % 2 * 2];
                split2(s[0], s[1], high[i], low[i]);
            }
            const int o = n / 64 * PANEL + at<64>(rows + (lane_id() & 15), n % 64 + (lane_id() >> 4) * 8);
            store_matrices(sh.S[turn][0] + o, high);
            store_matrices(sh.S[turn][1] + o, low);
        }
        fence_async();
        barrier_arrive(&sh.S_full[turn]);
        if (a.states && tile % w.per_chunk == 0) {
            bf16 *to = a.states + ((int64_t)(w.first_chunk + tile / w.per_chunk) * a.d.heads + w.head) * SIZE;
#pragma unroll
            for (int q = 0; q < Q; q++)
                put_rows(S[q], [&](int row, int col, uint4 v) { *(uint4 *)(to + (rows + row) * N + 32 * q + col) = v; });
        }

        scale(S, decay);
        product_begin(S, xs);
#pragma unroll
        for (int k = 0; k < TILE / 16; k++)
            product<true>(S, xs[k], panel_by_col(sh.B[stage], k), true);
        product_commit();
        uint32_t next[TILE / 16][4] = {};
        if (tile + 1 < w.n_tile)
            weigh(tile + 1, next);
        product_end<0>(S, xs);
        warp_arrive(&sh.empty[stage]);
#pragma unroll
        for (int k = 0; k < TILE / 16; k++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                xs[k][i] = next[k][i];
    }
    if (a.state.data)
        state_write<N>(S, state, a.state.dtype, rows, 0, 0, 32);
}

template <int N> __device__ __forceinline__ void make_outputs(fwd_shared<N> &sh, const fwd_kernel_args &a, const walk &w, int turn)
{
    const int warp = group_warp(), row = warp * 16 + frag_row(); /* row and row + 8 are this lane's */
    const float D = a.D[w.head];
    float G[2][4][4], y[2][4][4];
    zero(G);
    zero(y);
    for (int tile = turn; tile < w.n_tile; tile += OUTPUTS) {
        const int stage = tile % STAGES;
        barrier_wait(&sh.full[stage], tile / STAGES);
        fence_async();
        uint32_t C[N / 16][4];
#pragma unroll
        for (int k = 0; k < N / 16; k++)
            load_a<false, 64>(C[k], sh.C[stage] + k / 4 * PANEL, warp * 16, k % 4 * 16);
        product_begin(G, C);
#pragma unroll
        for (int k = 0; k < N / 16; k++)
            product<false>(G, C[k], panel_by_row(sh.B[stage], k), k > 0);
        product_commit();
        barrier_wait(&sh.S_full[turn], tile / OUTPUTS);
        product_begin(y);
#pragma unroll
        for (int part = 0; part < PARTS; part++)
#pragma unroll
            for (int k = 0; k < N / 16; k++)
                product<false>(y, C[k], panel_by_row(sh.S[turn][part], k), part + k > 0);
        product_commit();

        const tile_steps &steps = sh.steps[stage];
        const float cum[2] = {steps.cum[row], steps.cum[row + 8]};
        const bf16 *x = sh.x[stage];
        product_end<1>(G);
        uint32_t M[PARTS][TILE / 16][4] = {};
#pragma unroll
        for (int k = 0; k < TILE / 16; k++)
            if (k <= warp) {
#pragma unroll
                for (int j = 0; j < 2; j++) {
                    const int col = 16 * k + 8 * j + frag_col();
                    const float2 cum_j = *(const float2 *)&steps.cum[col], dt_j = *(const float2 *)&steps.dt[col];
#pragma unroll
                    for (int half = 0; half < 2; half++) {
                        const float *g = &G[k / 2][k % 2 * 2 + j][2 * half];
                        const float m0 = g[0] * (exp_fast(cum[half] - cum_j.x) * dt_j.x);
                        const float m1 = g[1] * (exp_fast(cum[half] - cum_j.y) * dt_j.y);
                        const int i = row + 8 * half;
                        split2(col <= i ? m0 : 0.f, col + 1 <= i ? m1 : 0.f, M[0][k][2 * j + half], M[1][k][2 * j + half]);
                    }
                }
            }
        product_end<0>(y, C);
        warp_arrive(&sh.S_empty[turn]);
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const float f = exp_fast(cum[half]);
#pragma unroll
            for (int j = 0; j < 8; j++)
                y[j / 4][j % 4][2 * half] *= f, y[j / 4][j % 4][2 * half + 1] *= f;
        }
        product_begin(y, M[0], M[1]);
#pragma unroll
        for (int part = 0; part < PARTS; part++)
#pragma unroll
            for (int k = 0; k < TILE / 16; k++)
                product<true>(y, M[part][k], panel_by_col(x, k), true);
        product_commit();
        uint32_t own[8][2]; /* x of this lane's places */
#pragma unroll
        for (int j = 0; j < 8; j++)
#pragma unroll
            for (int half = 0; half < 2; half++)
                own[j][half] = *(const uint32_t *)(x + at<64>(row + 8 * half, 8 * j + frag_col()));
        product_end<0>(y, M[0], M[1]);
        warp_arrive(&sh.empty[stage]);
#pragma unroll
        for (int j = 0; j < 8; j++)
#pragma unroll
            for (int half = 0; half < 2; half++) {
                y[j / 4][j % 4][2 * half] += D * low2(own[j][half]);
                y[j / 4][j % 4][2 * half + 1] += D * high2(own[j][half]);
            }
        const tile_place place = w.place(tile);
        bf16 *to = a.y.row(place.row) + w.head * HEADDIM;
#pragma unroll
        for (int q = 0; q < 2; q++)
            put_rows(y[q], [&](int r, int col, uint4 v) {
                if (warp * 16 + r < place.len)
                    *(uint4 *)(to + (warp * 16 + r) * a.y.ld + 32 * q + col) = v;
            });
    }
}
#endif

/* Empty in code for other cards, which never runs it. */
template <int N> __global__ void __launch_bounds__((2 + OUTPUTS) * GROUP, 1) fwd_kernel(fwd_kernel_args a)
{
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
    fwd_shared<N> &sh = *(fwd_shared<N> *)shared_block();
    if (threadIdx.x == 0) {
        for (int i = 0; i < STAGES; i++) {
            barrier_init(&sh.full[i], GROUP);
            barrier_init(&sh.empty[i], 2 * GROUP / 32); /* the warps of the state and of the tile's outputs */
        }
        for (int i = 0; i < OUTPUTS; i++) {
            barrier_init(&sh.S_full[i], GROUP);
            barrier_init(&sh.S_empty[i], GROUP / 32);
        }
    }
    __syncthreads();
    const walk w(a);
    const int role = group_of_thread();
    if (role == 0) {
        registers_less<COPY_REGISTERS>();
        copy_tiles<N>(sh, a, w);
    } else if (role == 1) {
        registers_more<OTHER_REGISTERS>();
        carry_state<N>(sh, a, w);
    } else {
        registers_more<OTHER_REGISTERS>();
        make_outputs<N>(sh, a, w, role - 2);
    }
#endif
}

static_assert(sizeof(fwd_shared<128>) <= 227 * 1024, "what a Hopper gives one block");

template <int N> void run(const struct ssd_fwd_args &a)
{
    fwd_kernel_args k = {tokens_of<bf16>(a.in.x),
                         tokens_of<bf16>(a.in.B),
                         tokens_of<bf16>(a.in.C),
                         tokens_of<bf16>(a.y),
                         a.in.D,
                         a.dt,
                         a.cum,
                         (bf16 *)a.states,
                         a.d,
                         a.s,
                         a.state};
    launch(fwd_kernel<N>, (int64_t)a.s.n * a.d.heads, (2 + OUTPUTS) * GROUP, sizeof(fwd_shared<N>), k);
}
} // namespace

bool ssd_fwd_wgmma_runs(void)
{
    static const bool runs = [] {
        cudaFuncAttributes loaded;
        cuda_ok(cudaFuncGetAttributes(&loaded, fwd_kernel<128>));
        return loaded.binaryVersion == 90;
    }();
    return runs;
}

void ssd_fwd_wgmma(const struct ssd_fwd_args &a)
{
    if (a.d.state == 64)
        run<64>(a);
    else
        run<128>(a);
}
