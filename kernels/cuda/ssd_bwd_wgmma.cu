/* kernels/cuda/ssd_bwd_wgmma.cu - SSD backward on the tensor cores of Hopper (sm_90a). Formulas: ssd_bwd_mma.cu.
 *
 * Walks: a block has two heads of a group, a warpgroup each, which share the tiles of B or C.
 *
 * Gradients of a tile: a block has one tile and takes the heads of a group in turn. Its four warpgroups go through the heads each at its
 * own pace:
 *     copy      brings x, dy, S, R and the time steps of the heads into a ring of shared memory, and makes ddt of the heads that are done;
 *     entering  what goes through the entering states: dC, C_i . (S^T dy_i);
 *     leaving   what goes through the gradients of the leaving states: dB, <S, R>;
 *     pairs     the pairs of tokens, du and dx. All [token][token] are transposed here, j down and i across: then G_ij L_ij is made in the
 *               registers that the next product takes it from.
 * At the end the pairs' sum of dG goes through shared memory into dB and dC.
 */
#include "kernels/cuda/ssd_bwd_tile.cuh"
#include "kernels/cuda/ssd_wgmma.cuh"

namespace
{
constexpr int STAGES = 3; /* of a ring in shared memory: heads of a tile, or tiles of a walk */

/* Per-token sums of one head. */
struct group_sums {
    float pair_row[4][TILE]; /* sum over j < i of dG_ij G_ij; part r holds columns j = 16 r.. */
    float pair_col[TILE];    /* the same over i > j */
    float enter[TILE];       /* e_i C_i . (S^T dy_i) */
    float leave[TILE];       /* f_j dt_j x_j . (R B_j) */
    float du_x[TILE];        /* du_j . x_j */
    float dy_x[TILE];        /* dy_i . x_i */
    float pass[4];           /* <S, R> */
};
template <int N> struct tile_shared {
    bf16 B[N / 64 * PANEL], C[N / 64 * PANEL];
    bf16 x[STAGES][PANEL], dy[STAGES][PANEL];
    bf16 S[STAGES][N / 64 * PANEL], R[STAGES][N / 64 * PANEL];
    bf16 dG[PANEL];               /* [j][i], summed over the heads */
    tile_steps steps[2 * STAGES]; /* a head's are wanted until its sums are finished, when the next but STAGES is on its way */
    group_sums sums[STAGES];
    uint64_t full[STAGES], empty[STAGES], dG_full;
};

constexpr int WALK_HEADS = 2;
template <int N> struct walk_shared {
    bf16 u[STAGES][WALK_HEADS][PANEL], v[STAGES][N / 64 * PANEL];
    tile_steps steps[STAGES][WALK_HEADS];
};

#ifdef __CUDA_ARCH_FEAT_SM90_ALL
constexpr int COPY_REGISTERS = 56, ENTERING_REGISTERS = 144, LEAVING_REGISTERS = 144,
              PAIR_REGISTERS = 168; /* a thread's: 128 a thread in all */

/* Not REVERSE: u = x, v = B. REVERSE: u = dy, v = C. */
template <int N, bool REVERSE> __device__ __forceinline__ void walk(const bwd_kernel_args &a, int block)
{
    constexpr int Q = N / 32;
    constexpr int64_t STATE = HEADDIM * N;
    walk_shared<N> &sh = *(walk_shared<N> *)shared_block();
    const int heads = a.d.heads, in_group = heads / a.d.groups, sets = (in_group + WALK_HEADS - 1) / WALK_HEADS,
              place = threadIdx.x / GROUP;
    const int set = block % sets, group = block / sets % a.d.groups, unit = block / sets / a.d.groups;
    const int head = group * in_group + set * WALK_HEADS + place, rows = group_warp() * 16;
    const bool has_head = set * WALK_HEADS + place < in_group; /* the last of an odd number has the block for itself */
    walk_range w;
    if (!walk_range_of<REVERSE>(w, a, unit))
        return;
    const tokens<bf16> u = REVERSE ? a.dy : a.x, v = REVERSE ? a.C : a.B;

    auto fetch = [&](int i) {
        if (i < w.n_update) {
            const int stage = i % STAGES;
            const auto [row, len] = w.place(REVERSE ? w.n_tile - 1 - i : i);
            if (has_head) {
                const int64_t step = row * heads + head;
                panels_copy<HEADDIM>(sh.u[stage][place], u.row(row) + head * HEADDIM, u.ld, len);
                steps_copy(&sh.steps[stage][place], a.dt + step, a.cum + step, heads, len, threadIdx.x % GROUP);
            }
            if (place < N / 64)
                panels_copy<64>(sh.v[stage] + place * PANEL, v.row(row) + group * N + place * 64, v.ld, len);
        }
        copies_commit();
    };
    for (int i = 0; i < STAGES - 1; i++)
        fetch(i);

    float S[Q][4][4];
    zero(S);
    if (has_head && REVERSE && w.goes_on)
        state_read<N>(S, a.carry_in + head * STATE, F32, rows, 0, 0, 32);
    if (has_head && !REVERSE)
        state_read<N>(S, a.kept + ((int64_t)w.lo * heads + head) * STATE, BF16, rows, 0, 0, 32);

    for (int i = 0; i < w.n_tile; i++) {
        copies_wait<STAGES - 2>();
        fence_async();
        __syncthreads(); /* tile i is there, tile i - 1 is used up */
        fetch(i + STAGES - 1);
        const int tile = REVERSE ? w.n_tile - 1 - i : i, stage = i % STAGES;
        if (has_head && (REVERSE || i > 0)) {
            bf16 *to = (REVERSE ? leaving_gradient<N>(a, w, tile, head) : entering_state<N>(a, w, tile, head)) + rows * N;
#pragma unroll
            for (int panel = 0; panel < N / 64; panel++)
                write_lines(to + panel * 64, N, &S[2 * panel][0]);
        }
        if (i == w.n_update)
            break;
        if (!has_head)
            continue;
        const tile_steps &steps = sh.steps[stage][place];
        const float end = steps.cum[TILE - 1];
        uint32_t us[TILE / 16][4]; /* of the tile: u_j times its weight */
#pragma unroll
        for (int k = 0; k < TILE / 16; k++) {
            load_a<true, 64>(us[k], sh.u[stage][place], rows, 16 * k);
#pragma unroll
            for (int r = 0; r < 4; r += 2) {
                const int j = 16 * k + 4 * r + frag_col();
                const float2 cum = *(const float2 *)&steps.cum[j], dt = *(const float2 *)&steps.dt[j];
                const float w0 = REVERSE ? exp_fast(cum.x) : dt.x * exp_fast(end - cum.x);
                const float w1 = REVERSE ? exp_fast(cum.y) : dt.y * exp_fast(end - cum.y);
                us[k][r] = pack2(low2(us[k][r]) * w0, high2(us[k][r]) * w1);
                us[k][r + 1] = pack2(low2(us[k][r + 1]) * w0, high2(us[k][r + 1]) * w1);
            }
        }
        scale(S, exp_fast(end));
        product_begin(S, us);
#pragma unroll
        for (int k = 0; k < TILE / 16; k++)
            product<true>(S, us[k], panel_by_col(sh.v[stage], k), true);
        product_commit();
        product_end<0>(S, us);
    }
    if (has_head && REVERSE && w.came_from)
        state_write<N>(S, a.carry_out + head * STATE, F32, rows, 0, 0, 32);
}

/* Lane l has tokens 2l and 2l + 1. */
__device__ __forceinline__ lane_sums lane_sums_of(const group_sums &h)
{
    lane_sums s = {};
#pragma unroll
    for (int k = 0; k < 2; k++) {
        const int t = 2 * lane_id() + k;
        float row = 0;
        for (int part = 0; part <= t >> 4; part++)
            row += h.pair_row[part][t];
        s.from[k] = row - h.pair_col[t] + h.enter[t];
        s.to[k] = h.leave[t];
        s.du_x[k] = h.du_x[t];
        s.dy_x += h.dy_x[t];
    }
    s.pass = (h.pass[0] + h.pass[1]) + (h.pass[2] + h.pass[3]);
    return s;
}

template <int N> __device__ __forceinline__ void copy_heads(const bwd_kernel_args &a, tile_shared<N> &sh, const bwd_tile &t)
{
    const int64_t row = t.at.row;
    const int len = t.at.len;
    panels_copy<N>(sh.B, a.B.row(row) + t.group * N, a.B.ld, len);
    panels_copy<N>(sh.C, a.C.row(row) + t.group * N, a.C.ld, len);
    for (int h = 0; h < t.n_head + STAGES; h++) {
        const int stage = h % STAGES, head = t.head0 + h, done = h - STAGES;
        if (done >= 0)
            barrier_wait(&sh.empty[stage], done / STAGES);
        if (h < t.n_head) {
            const int64_t step = row * a.d.heads + head;
            panels_copy<HEADDIM>(sh.x[stage], a.x.row(row) + head * HEADDIM, a.x.ld, len);
            panels_copy<HEADDIM>(sh.dy[stage], a.dy.row(row) + head * HEADDIM, a.dy.ld, len);
            panels_copy<N>(sh.R[stage], leaving_gradient<N>(a, t, h), N, HEADDIM);
            panels_copy<N>(sh.S[stage], entering_state<N>(a, t, h), N, HEADDIM);
            steps_copy(&sh.steps[h % (2 * STAGES)], a.dt + step, a.cum + step, a.d.heads, len);
        }
        if (done >= 0 && group_warp() == done % 4)
            finish_head(a, lane_sums_of(sh.sums[stage]), sh.steps[done % (2 * STAGES)], t.at, t.head0 + done, t.index);
        if (h < t.n_head)
            copies_arrive(&sh.full[stage]); /* the sums that were there have been read, too */
    }
}

/* ENTERING: dC from the states that enter, C_i . (S^T dy_i). Otherwise: dB from the gradients of those that leave, <S, R>. */
template <int N, bool ENTERING>
__device__ __forceinline__ void through_states(const bwd_kernel_args &a, tile_shared<N> &sh, const bwd_tile &t)
{
    constexpr int Q = N / 32;
    const int rows = group_warp() * 16, row = rows + frag_row(); /* row and row + 8 are this lane's */
    float sum[Q][4][4], part[2][4][4];
    zero(sum);
    zero(part);
    for (int h = 0; h < t.n_head; h++) {
        const int stage = h % STAGES;
        const bf16 *S = sh.S[stage], *R = sh.R[stage];
        const tile_steps &steps = sh.steps[h % (2 * STAGES)];
        group_sums &sums = sh.sums[stage];
        barrier_wait(&sh.full[stage], h / STAGES);
        fence_async();
        uint32_t u[HEADDIM / 16][4];
#pragma unroll
        for (int k = 0; k < HEADDIM / 16; k++)
            load_a<false, 64>(u[k], ENTERING ? sh.dy[stage] : sh.x[stage], rows, 16 * k);
        float weight[2], dot[2] = {};
#pragma unroll
        for (int e = 0; e < 2; e++)
            weight[e] = ENTERING ? exp_fast(steps.cum[row + 8 * e]) : steps.dt[row + 8 * e] * exp_fast(steps.after(row + 8 * e));
#pragma unroll
        for (int panel = 0; panel < N / 64; panel++) {
            product_begin(part, u);
#pragma unroll
            for (int k = 0; k < HEADDIM / 16; k++)
                product<true>(part, u[k], panel_by_col((ENTERING ? S : R) + panel * PANEL, k), k > 0);
            product_commit();
            product_end<0>(part, u);
#pragma unroll
            for (int j = 0; j < 8; j++)
#pragma unroll
                for (int e = 0; e < 2; e++) {
                    const float *p = &part[j / 4][j % 4][2 * e];
                    float *s = &sum[2 * panel + j / 4][j % 4][2 * e];
                    if (ENTERING) {
                        const uint32_t c = *(const uint32_t *)(sh.C + panel * PANEL + at<64>(row + 8 * e, 8 * j + frag_col()));
                        dot[e] += p[0] * low2(c) + p[1] * high2(c);
                    }
                    s[0] += weight[e] * p[0];
                    s[1] += weight[e] * p[1];
                }
        }
        if (ENTERING) {
#pragma unroll
            for (int e = 0; e < 2; e++) {
                const float d = row_sum(dot[e]);
                if (frag_col() == 0)
                    sums.enter[row + 8 * e] = weight[e] * d;
            }
        } else {
            /* <S, R> of 16 rows is the trace of S R^T: rows 0..7 and 8..15 lie on the diagonals of one product each. */
            float SR[2][4] = {};
#pragma unroll
            for (int k = 0; k < N / 16; k++) {
                uint32_t s[4], r[4];
                load_a<false, 64>(s, S + k / 4 * PANEL, rows, k % 4 * 16);
                load_b<true, 64>(r, R + k / 4 * PANEL, k % 4 * 16, rows);
                mma_16816(SR[0], s, r[0], r[1]);
                mma_16816(SR[1], s, r[2], r[3]);
            }
            const bool first = frag_row() == frag_col(), second = frag_row() == frag_col() + 1;
            float trace = first ? SR[0][0] + SR[1][2] : second ? SR[0][1] + SR[1][3] : 0;
            trace = col_sum(row_sum(trace));
            if (lane_id() == 0)
                sums.pass[group_warp()] = trace;
        }
        warp_arrive(&sh.empty[stage]);
    }

    barrier_wait(&sh.dG_full, 0);
    uint32_t dG[TILE / 16][4];
#pragma unroll
    for (int k = 0; k < TILE / 16; k++)
        if (ENTERING)
            load_a<true, 64>(dG[k], sh.dG, rows, 16 * k);
        else
            load_a<false, 64>(dG[k], sh.dG, rows, 16 * k);
    product_begin(sum, dG);
#pragma unroll
    for (int k = 0; k < TILE / 16; k++)
        product<true>(sum, dG[k], panel_by_col(ENTERING ? sh.B : sh.C, k), true);
    product_commit();
    product_end<0>(sum, dG);
    const tokens<bf16> to = ENTERING ? a.dC : a.dB;
#pragma unroll
    for (int q = 0; q < Q; q++)
        put_rows(sum[q], [&](int r, int col, uint4 v) {
            if (rows + r < t.at.len)
                *(uint4 *)(to.row(t.at.row + rows + r) + t.group * N + 32 * q + col) = v;
        });
}

template <int N> __device__ __forceinline__ void pairs(const bwd_kernel_args &a, tile_shared<N> &sh, const bwd_tile &t)
{
    const int warp = group_warp(), rows = warp * 16, row = rows + frag_row(); /* row and row + 8 are this lane's */
    float G[2][4][4], dG[2][4][4], dM[2][4][4], du[2][4][4];
    zero(G);
    zero(dG);
    zero(dM);
    zero(du);
    auto B_times = [&](float(&to)[2][4][4], const bf16 *panels) {
        uint32_t B[N / 16][4];
#pragma unroll
        for (int k = 0; k < N / 16; k++)
            load_a<false, 64>(B[k], sh.B + k / 4 * PANEL, rows, k % 4 * 16);
        product_begin(to, B);
#pragma unroll
        for (int k = 0; k < N / 16; k++)
            product<false>(to, B[k], panel_by_row(panels, k), k > 0);
        product_commit();
        product_end<0>(to, B);
    };
    barrier_wait(&sh.full[0], 0);
    fence_async();
    B_times(G, sh.C);
    for (int h = 0; h < t.n_head; h++) {
        const int stage = h % STAGES, head = t.head0 + h;
        const bf16 *x = sh.x[stage], *dy = sh.dy[stage];
        const tile_steps &steps = sh.steps[h % (2 * STAGES)];
        group_sums &sums = sh.sums[stage];
        const float D = a.D[head];
        barrier_wait(&sh.full[stage], h / STAGES);
        fence_async();
        B_times(du, sh.R[stage]);
        {
            uint32_t X[HEADDIM / 16][4];
#pragma unroll
            for (int k = 0; k < HEADDIM / 16; k++)
                load_a<false, 64>(X[k], x, rows, 16 * k);
            product_begin(dM, X);
#pragma unroll
            for (int k = 0; k < HEADDIM / 16; k++)
                product<false>(dM, X[k], panel_by_row(dy, k), k > 0);
            product_commit();
            product_end<0>(dM, X);
        }

        uint32_t GL[TILE / 16][4] = {};
        const float cum[2] = {steps.cum[row], steps.cum[row + 8]}, dt[2] = {steps.dt[row], steps.dt[row + 8]};
        float pairs_j[2] = {};
#pragma unroll
        for (int k = 0; k < TILE / 16; k++)
            if (k >= warp) {
                float pairs_i[4] = {};
#pragma unroll
                for (int j = 0; j < 2; j++) {
                    const int i = 16 * k + 8 * j + frag_col();
                    const float2 cum_i = *(const float2 *)&steps.cum[i];
#pragma unroll
                    for (int half = 0; half < 2; half++) {
                        float gl[2];
#pragma unroll
                        for (int e = 0; e < 2; e++) {
                            const float d = dM[k / 2][k % 2 * 2 + j][2 * half + e], g = G[k / 2][k % 2 * 2 + j][2 * half + e];
                            float L = exp_fast((e ? cum_i.y : cum_i.x) - cum[half]);
                            if (i + e < row + 8 * half)
                                L = 0;
                            const float dg = d * L * dt[half];
                            dG[k / 2][k % 2 * 2 + j][2 * half + e] += dg;
                            gl[e] = g * L;
                            float pair = dg * g;
                            if (i + e == row + 8 * half) {
                                pair = 0;
                                sums.dy_x[i + e] = d;
                            }
                            pairs_j[half] += pair;
                            pairs_i[2 * j + e] += pair;
                        }
                        GL[k][2 * j + half] = pack2(gl[0], gl[1]);
                    }
                }
                const float sum = col_sums(pairs_i);
                if ((frag_row() & 1) == 0)
                    sums.pair_row[warp][16 * k + 8 * (frag_row() >> 2) + frag_col() + (frag_row() >> 1 & 1)] = sum;
            }

        uint32_t own[8][2]; /* x of this lane's places, later dy */
        float leave[2] = {}, du_x[2] = {};
        auto load_own = [&](const bf16 *from) {
#pragma unroll
            for (int j = 0; j < 8; j++)
#pragma unroll
                for (int e = 0; e < 2; e++)
                    own[j][e] = *(const uint32_t *)(from + at<64>(row + 8 * e, 8 * j + frag_col()));
        };
        load_own(x);
#pragma unroll
        for (int e = 0; e < 2; e++) {
            const float f = exp_fast(steps.after(row + 8 * e));
#pragma unroll
            for (int j = 0; j < 8; j++) {
                float *u = &du[j / 4][j % 4][2 * e];
                u[0] *= f, u[1] *= f;
                leave[e] += u[0] * low2(own[j][e]) + u[1] * high2(own[j][e]);
            }
        }
        product_begin(du, GL);
#pragma unroll
        for (int k = 0; k < TILE / 16; k++)
            product<true>(du, GL[k], panel_by_col(dy, k), true);
        product_commit();
#pragma unroll
        for (int e = 0; e < 2; e++) {
            const float col = row_sum(pairs_j[e]), l = row_sum(leave[e]);
            if (frag_col() == 0) {
                sums.pair_col[row + 8 * e] = col;
                sums.leave[row + 8 * e] = dt[e] * l;
            }
        }
        product_end<0>(du, GL);
#pragma unroll
        for (int j = 0; j < 8; j++)
#pragma unroll
            for (int e = 0; e < 2; e++)
                du_x[e] += du[j / 4][j % 4][2 * e] * low2(own[j][e]) + du[j / 4][j % 4][2 * e + 1] * high2(own[j][e]);
#pragma unroll
        for (int e = 0; e < 2; e++) {
            const float sum = row_sum(du_x[e]);
            if (frag_col() == 0)
                sums.du_x[row + 8 * e] = sum;
        }
        load_own(dy);
        warp_arrive(&sh.empty[stage]);
        bf16 *to = a.dx.row(t.at.row) + head * HEADDIM;
#pragma unroll
        for (int j = 0; j < 8; j++)
#pragma unroll
            for (int e = 0; e < 2; e++) {
                float *u = &du[j / 4][j % 4][2 * e];
                u[0] = dt[e] * u[0] + D * low2(own[j][e]);
                u[1] = dt[e] * u[1] + D * high2(own[j][e]);
            }
#pragma unroll
        for (int q = 0; q < 2; q++)
            put_rows(du[q], [&](int r, int col, uint4 v) {
                if (rows + r < t.at.len)
                    *(uint4 *)(to + (rows + r) * a.dx.ld + 32 * q + col) = v;
            });
    }
#pragma unroll
    for (int j = 0; j < 8; j++) /* zeros below the diagonal too: dG was never added to there */
#pragma unroll
        for (int e = 0; e < 2; e++)
            *(uint32_t *)(sh.dG + at<64>(row + 8 * e, 8 * j + frag_col())) = pack2(dG[j / 4][j % 4][2 * e], dG[j / 4][j % 4][2 * e + 1]);
    barrier_arrive(&sh.dG_full);
}
#endif

/* Both kernels are empty in code for other cards, which never runs them. */
template <int N> __global__ void __launch_bounds__(WALK_HEADS *GROUP, 2) walk_kernel(bwd_kernel_args a)
{
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
    const int in_group = a.d.heads / a.d.groups, sets = (in_group + WALK_HEADS - 1) / WALK_HEADS;
    const int block = blockIdx.x, backwards = a.s.n * a.d.groups * sets;
    if (block < backwards)
        walk<N, true>(a, block);
    else
        walk<N, false>(a, block - backwards);
#endif
}
template <int N> __global__ void __launch_bounds__(4 * GROUP, 1) tile_kernel(bwd_kernel_args a)
{
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
    tile_shared<N> &sh = *(tile_shared<N> *)shared_block();
    const bwd_tile t = tile_of_block(a);
    if (t.at.len <= 0) {
        no_tile(a, t, 4 * GROUP);
        return;
    }
    if (threadIdx.x == 0) {
        for (int i = 0; i < STAGES; i++) {
            barrier_init(&sh.full[i], GROUP);
            barrier_init(&sh.empty[i], 3 * GROUP / 32);
        }
        barrier_init(&sh.dG_full, GROUP);
    }
    __syncthreads();
    const int role = group_of_thread();
    if (role == 0) {
        registers_less<COPY_REGISTERS>();
        copy_heads(a, sh, t);
    } else if (role == 1) {
        registers_more<PAIR_REGISTERS>();
        pairs(a, sh, t);
    } else if (role == 2) {
        registers_more<ENTERING_REGISTERS>();
        through_states<N, true>(a, sh, t);
    } else {
        registers_more<LEAVING_REGISTERS>();
        through_states<N, false>(a, sh, t);
    }
#endif
}

static_assert(sizeof(tile_shared<128>) <= 227 * 1024, "what a Hopper gives one block");
template <int N> void run(const bwd_kernel_args &a)
{
    const int64_t sets = a.d.groups * ceil_div(a.d.heads / a.d.groups, WALK_HEADS);
    launch(walk_kernel<N>, walks_of(a) * sets, WALK_HEADS * GROUP, sizeof(walk_shared<N>), a);
    launch(tile_kernel<N>, tile_blocks(a), 4 * GROUP, sizeof(tile_shared<N>), a);
}
} // namespace

void ssd_bwd_wgmma(const struct bwd_kernel_args &a)
{
    if (a.d.state == 64)
        run<64>(a);
    else
        run<128>(a);
}
