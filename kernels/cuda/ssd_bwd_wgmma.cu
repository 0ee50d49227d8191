/* kernels/cuda/ssd_bwd_wgmma.cu - SSD backward on the tensor cores of Hopper (sm_90a). Formulas: ssd_bwd_mma.cu.
 *
 * A block has one tile and takes the heads of a group in turn. Its four warpgroups go through the heads each at its own pace:
 *     copy      brings x, dy, S, R and the time steps of the heads into a ring of shared memory, and makes ddt of the heads that are done;
 *     entering  what goes through the entering states: dC, C_i . (S^T dy_i);
 *     leaving   what goes through the gradients of the leaving states: dB, <S, R>;
 *     pairs     the pairs of tokens, du and dx. All [token][token] are transposed here, j down and i across: then G_ij L_ij is made in the
 *               registers that the next product takes it from. A warp has rows 8 w.. and 8 (7 - w)..: of the triangle j <= i all have
 *               the same share.
 * At the end the pairs' sum of dG goes through shared memory into dB and dC.
 */
#include "kernels/cuda/ssd_bwd_tile.cuh"
#include "kernels/cuda/ssd_wgmma.cuh"

namespace
{
constexpr int STAGES = 3; /* heads in the ring */

/* Per-token sums of one head. */
struct group_sums {
    float pair_row[4][TILE]; /* sum over j < i of dG_ij G_ij; part r is that of warp r's rows j; parts 2 and 3 begin at i = 16 */
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
    bf16 dG[PANEL];               /* [j][i], summed over the heads; before that a head's dx on its way */
    float2 G[12][GROUP];          /* each thread its own */
    tile_steps steps[2 * STAGES]; /* a head's are wanted until its sums are finished, when the next but STAGES is on its way */
    group_sums sums[STAGES];
    lane_sums done[GROUP]; /* of the last four heads that are done, a warp's each */
    uint64_t full[STAGES], empty[STAGES], dG_full;
};

struct bwd_wgmma_args {
    bwd_kernel_args all;
    CUtensorMap x, dy, B, C, kept, S, R;
};

#ifdef __CUDA_ARCH_FEAT_SM90_ALL
constexpr int COPY_REGISTERS = 56, PAIR_REGISTERS = 168, STATE_REGISTERS = 144; /* a thread's: 128 a thread in all */

/* Lane l has tokens 2l and 2l + 1. */
__device__ __forceinline__ lane_sums lane_sums_of(const group_sums &h, const tile_steps &steps)
{
    lane_sums s = {};
#pragma unroll
    for (int k = 0; k < 2; k++) {
        const int t = 2 * lane_id() + k;
        float row = 0;
#pragma unroll
        for (int part = 0; part < 4; part++)
            if (part < 2 || t >= 16)
                row += h.pair_row[part][t];
        s.from[k] = row - h.pair_col[t] + h.enter[t];
        s.to[k] = h.leave[t];
        s.du_x[k] = h.du_x[t];
        s.dy_x += h.dy_x[t];
        s.dt[k] = steps.dt[t];
    }
    s.pass = ((h.pass[0] + h.pass[1]) + (h.pass[2] + h.pass[3])) * exp_fast(steps.cum[TILE - 1]);
    return s;
}

/* The copy engine brings whole tiles and states, at the word of one thread; below the others lie tokens that are not the document's. */
template <int N> __device__ __forceinline__ void copy_heads(const bwd_wgmma_args &m, tile_shared<N> &sh, const bwd_tile &t)
{
    constexpr int TOKEN_BYTES = PANEL * sizeof(bf16), STATE_BYTES = N / 64 * PANEL * sizeof(bf16);
    const bwd_kernel_args &a = m.all;
    const int64_t row = t.at.row;
    const int len = t.at.len, token = threadIdx.x % GROUP;
    const bool whole = len == TILE, first = threadIdx.x % GROUP == 0;
    float dt = 0, cum = 0; /* of the next head */
    auto load_steps = [&](int h) {
        if (token < TILE) { /* below the last row dt is 0 and cum stays */
            const int64_t step = row * a.d.heads + t.head0 + h;
            dt = token < len ? a.dt[step + (int64_t)token * a.d.heads] : 0.f;
            cum = a.cum[step + (int64_t)min(token, len - 1) * a.d.heads];
        }
    };
    load_steps(0);
    for (int h = 0; h < t.n_head + STAGES; h++) {
        const int stage = h % STAGES, head = t.head0 + h, done = h - STAGES;
        if (done >= 0) {
            barrier_wait(&sh.empty[stage], done / STAGES);
            if (group_warp() == done % 4)
                sh.done[token] = lane_sums_of(sh.sums[stage], sh.steps[done % (2 * STAGES)]);
        }
        if (h < t.n_head) {
            uint64_t *const full = &sh.full[stage];
            if (first) {
                const int64_t R_row = (((int64_t)t.index - (int64_t)a.chunk0 * a.per_chunk) * a.d.heads + head) * HEADDIM;
                const bool kept = t.in_chunk == 0;
                const int64_t S_tile = kept ? t.chunk : (int64_t)(t.chunk - a.chunk0) * (a.per_chunk - 1) + t.in_chunk - 1;
                int bytes = 2 * STATE_BYTES;
                if (whole) {
                    box_load(sh.dy[stage], m.dy, row, head * HEADDIM, full);
                    box_load(sh.x[stage], m.x, row, head * HEADDIM, full);
                    bytes += 2 * TOKEN_BYTES;
                    if (h == 0) {
#pragma unroll
                        for (int i = 0; i < N / 64; i++) {
                            box_load(sh.B + i * PANEL, m.B, row, t.group * N + 64 * i, full);
                            box_load(sh.C + i * PANEL, m.C, row, t.group * N + 64 * i, full);
                        }
                        bytes += 2 * STATE_BYTES;
                    }
                }
#pragma unroll
                for (int i = 0; i < N / 64; i++) {
                    box_load(sh.S[stage] + i * PANEL, kept ? m.kept : m.S, (S_tile * a.d.heads + head) * HEADDIM, 64 * i, full);
                    box_load(sh.R[stage] + i * PANEL, m.R, R_row, 64 * i, full);
                }
                barrier_expect(full, bytes);
            }
            if (!whole) {
                if (h == 0) {
                    panels_copy<N>(sh.B, a.B.row(row) + t.group * N, a.B.ld, len);
                    panels_copy<N>(sh.C, a.C.row(row) + t.group * N, a.C.ld, len);
                }
                panels_copy<HEADDIM>(sh.dy[stage], a.dy.row(row) + head * HEADDIM, a.dy.ld, len);
                panels_copy<HEADDIM>(sh.x[stage], a.x.row(row) + head * HEADDIM, a.x.ld, len);
                copies_wait_all();
                fence_async();
            }
            if (token < TILE) {
                tile_steps &steps = sh.steps[h % (2 * STAGES)];
                steps.dt[token] = dt, steps.cum[token] = cum;
            }
            warp_arrive(full); /* the sums that were there have been read, too */
            if (h + 1 < t.n_head)
                load_steps(h + 1);
        }
        const int mine = done / 4 * 4 + group_warp(); /* a warp alone would keep the others waiting */
        if (done >= 0 && (done % 4 == 3 || done == t.n_head - 1) && mine <= done)
            finish_head(a, sh.done[token], t.at, t.head0 + mine, t.index);
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
        float weight[2], dot[2] = {};
#pragma unroll
        for (int e = 0; e < 2; e++)
            weight[e] = ENTERING ? exp_fast(steps.cum[row + 8 * e]) : steps.dt[row + 8 * e] * exp_fast(steps.after(row + 8 * e));
#pragma unroll
        for (int panel = 0; panel < N / 64; panel++) {
            product_begin(part);
#pragma unroll
            for (int k = 0; k < HEADDIM / 16; k++)
                product<true>(part, panel_by_row(ENTERING ? sh.dy[stage] : sh.x[stage], k),
                              panel_by_col((ENTERING ? S : R) + panel * PANEL, k), k > 0);
            product_commit();
            product_end<0>(part);
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
#pragma unroll 2
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
                sums.pass[rows / 16] = trace;
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
                store16(to.row(t.at.row + rows + r) + t.group * N + 32 * q + col, v);
        });
}

/* v itself; the compiler computes what follows from it where it is used, not ahead of the loop: the registers would not do. */
__device__ __forceinline__ int here(int v)
{
    asm volatile("" : "+r"(v));
    return v;
}
template <int N> __device__ __forceinline__ void pairs(const bwd_kernel_args &a, tile_shared<N> &sh, const bwd_tile &t)
{
    constexpr float LOG2E = 1.4426950408889634f;
    const int warp = group_warp(), fr = frag_row(), fc = frag_col();
    const int row[2] = {8 * warp + fr, 8 * (7 - warp) + fr}; /* this lane's: the first and second rows of fragments */
    /* Operand A of these rows: load_a() with the second eight of its rows elsewhere. */
    const auto operand = [&](int lane) { return 64 * 8 * (lane & 8 ? 7 - warp : warp) + at<64>(lane & 7, (lane >> 4) * 8); };
    const int l = lane_id(), o = operand(l);
    /* Fragments of 8 columns i from 8 m: of the first rows j all can be on or above the diagonal, of the second only m = 4 and after. */
    float dG[12][2];
    const auto fragment = [](int m, int e) { return e ? m + 4 : m; };
    float dM[2][4][4], du[2][4][4];
#pragma unroll
    for (int i = 0; i < 12; i++)
        dG[i][0] = dG[i][1] = 0;
    zero(dM);
    zero(du);
    auto B_times = [&](float(&to)[2][4][4], const bf16 *panels, int k0, uint32_t(&B)[4][4]) {
#pragma unroll
        for (int k = 0; k < 4; k++)
            load_matrices(B[k], sh.B + k0 / 4 * PANEL + (o ^ 16 * k));
        product_begin(to, B);
#pragma unroll
        for (int k = 0; k < 4; k++)
            product<false>(to, B[k], panel_by_row(panels, k0 + k), k0 + k > 0);
        product_commit();
    };
    barrier_wait(&sh.full[0], 0);
#pragma unroll
    for (int k = 0; k < N / 16; k += 4) {
        uint32_t B[4][4];
        B_times(du, sh.C, k, B);
        product_end<0>(du, B);
    }
#pragma unroll
    for (int m = 0; m < 8; m++)
#pragma unroll
        for (int e = 0; e < 2; e++)
            if (e == 0 || m >= 4)
                sh.G[fragment(m, e)][threadIdx.x % GROUP] = make_float2(du[m / 4][m % 4][2 * e], du[m / 4][m % 4][2 * e + 1]);

    for (int h = 0; h < t.n_head; h++) {
        const int stage = h % STAGES, head = t.head0 + h;
        const bf16 *x = sh.x[stage], *dy = sh.dy[stage], *R = sh.R[stage];
        const tile_steps &steps = sh.steps[h % (2 * STAGES)];
        group_sums &sums = sh.sums[stage];
        barrier_wait(&sh.full[stage], h / STAGES);
        {
            uint32_t X[HEADDIM / 16][4];
#pragma unroll
            for (int k = 0; k < HEADDIM / 16; k++)
                load_matrices(X[k], x + (o ^ 16 * k));
            product_begin(dM, X);
#pragma unroll
            for (int k = 0; k < HEADDIM / 16; k++)
                product<false>(dM, X[k], panel_by_row(dy, k), k > 0);
            product_commit();
            product_end<0>(dM, X);
        }

        uint32_t GL[TILE / 16][4] = {};
        float minus_cum[2], dt[2], pairs_j[2] = {};
#pragma unroll
        for (int e = 0; e < 2; e++)
            minus_cum[e] = -LOG2E * steps.cum[row[e]], dt[e] = steps.dt[row[e]];
#pragma unroll
        for (int k = 0; k < TILE / 16; k++)
            if (2 * k + 1 >= warp) {
                float pairs_i[4] = {};
#pragma unroll
                for (int j = 0; j < 2; j++) {
                    const int m = 2 * k + j;
                    const float2 cum = *(const float2 *)&steps.cum[8 * m + fc];
                    auto block = [&](int e, bool diagonal) {
                        const int f = fragment(m, e);
                        const float2 G = sh.G[f][threadIdx.x % GROUP];
                        float gl[2];
#pragma unroll
                        for (int c = 0; c < 2; c++) {
                            const float d = dM[m / 4][m % 4][2 * e + c];
                            float L = exp2_fast((c ? cum.y : cum.x) * LOG2E + minus_cum[e]), pair = dt[e] * d;
                            if (diagonal && fc + c < fr)
                                L = 0;
                            dG[f][c] += pair * L;
                            gl[c] = (c ? G.y : G.x) * L;
                            if (diagonal && fc + c == fr) {
                                pair = 0;
                                sums.dy_x[8 * m + fr] = d;
                            }
                            pairs_j[e] += pair * gl[c];
                            pairs_i[2 * j + c] += pair * gl[c];
                        }
                        GL[k][2 * j + e] = pack2(gl[0], gl[1]);
                    };
                    if (m >= 4 || m > warp)
                        block(0, false);
                    else if (m == warp)
                        block(0, true);
                    if (m >= 4 && m > 7 - warp)
                        block(1, false);
                    else if (m >= 4 && m == 7 - warp)
                        block(1, true);
                }
                const float sum = col_sums(pairs_i);
                if ((fr & 1) == 0)
                    sums.pair_row[warp][16 * k + 8 * (fr >> 2) + fc + (fr >> 1 & 1)] = sum;
            }

        uint32_t own[8][2]; /* x of this lane's places, later dy */
        float leave[2] = {}, du_x[2] = {};
        auto load_own = [&](const bf16 *panel) {
#pragma unroll
            for (int e = 0; e < 2; e++) {
                const int from = (int)((const char *)(panel + at<64>(row[e], fc)) - shared_block()); /* bits 4 to 6: those of at() */
#pragma unroll
                for (int j = 0; j < 8; j++)
                    own[j][e] = *(const uint32_t *)(shared_block() + (from ^ 16 * j));
            }
        };
        {
            uint32_t B[N / 64][4][4];
#pragma unroll
            for (int panel = 0; panel < N / 64; panel++)
                B_times(du, R, 4 * panel, B[panel]);
            if constexpr (N == 128)
                product_end<0>(du, B[0], B[1]);
            else
                product_end<0>(du, B[0]);
        }
        load_own(x);
#pragma unroll
        for (int e = 0; e < 2; e++) {
            const float f = exp_fast(steps.after(row[e]));
#pragma unroll
            for (int j = 0; j < 8; j++) {
                float *u = &du[j / 4][j % 4][2 * e];
                u[0] *= f, u[1] *= f;
                leave[e] += u[0] * low2(own[j][e]);
                leave[e] += u[1] * high2(own[j][e]);
            }
        }
        product_begin(du, GL);
#pragma unroll
        for (int k = 0; k < TILE / 16; k++)
            product<true>(du, GL[k], panel_by_col(dy, k), true);
        product_commit();
        const float D = a.D[head];
#pragma unroll
        for (int e = 0; e < 2; e++) {
            const float col = row_sum(pairs_j[e]), l = row_sum(leave[e]);
            if (fc == 0) {
                sums.pair_col[row[e]] = col;
                sums.leave[row[e]] = dt[e] * l;
            }
        }
        product_end<0>(du, GL);
#pragma unroll
        for (int j = 0; j < 8; j++)
#pragma unroll
            for (int e = 0; e < 2; e++) {
                du_x[e] += du[j / 4][j % 4][2 * e] * low2(own[j][e]);
                du_x[e] += du[j / 4][j % 4][2 * e + 1] * high2(own[j][e]);
            }
#pragma unroll
        for (int e = 0; e < 2; e++) {
            const float sum = row_sum(du_x[e]);
            if (fc == 0)
                sums.du_x[row[e]] = sum;
        }
        load_own(dy);
        warp_arrive(&sh.empty[stage]);
#pragma unroll
        for (int j = 0; j < 8; j++)
#pragma unroll
            for (int e = 0; e < 2; e++) {
                float *u = &du[j / 4][j % 4][2 * e];
                u[0] = dt[e] * u[0] + D * low2(own[j][e]);
                u[1] = dt[e] * u[1] + D * high2(own[j][e]);
            }
        /* Through the warp's own rows of shared memory into whole lines. */
        const int part = here(l), own_rows = operand(part);
#pragma unroll
        for (int j = 0; j < 8; j += 2) {
            const float(&left)[4] = du[j / 4][j % 4], (&right)[4] = du[j / 4][j % 4 + 1];
            const uint32_t r[4] = {pack2(left[0], left[1]), pack2(left[2], left[3]), pack2(right[0], right[1]), pack2(right[2], right[3])};
            store_matrices(sh.dG + (own_rows ^ 8 * j), r);
        }
        __syncwarp();
#pragma unroll
        for (int e = 0; e < 2; e++) {
            const int r = 8 * (e ? 7 - warp : warp) + part / 8, from = at<64>(r, part % 8 * 8);
            bf16 *to = a.dx.row(t.at.row + r) + head * HEADDIM + part % 8 * 8;
            const uint4 v0 = *(const uint4 *)(sh.dG + from), v1 = *(const uint4 *)(sh.dG + (from + 4 * 64 ^ 4 * 8));
            if (r < t.at.len)
                store16(to, v0);
            if (r + 4 < t.at.len)
                store16(to + 4 * a.dx.ld, v1);
        }
    }
    __syncwarp(); /* dx is out */
#pragma unroll
    for (int m = 0; m < 8; m++)
#pragma unroll
        for (int e = 0; e < 2; e++) { /* zeros below the diagonal too: dG was never added to there */
            const int f = fragment(m, e);
            *(uint32_t *)(sh.dG + at<64>(row[e], 8 * m + fc)) = e == 0 || m >= 4 ? pack2(dG[f][0], dG[f][1]) : 0;
        }
    barrier_arrive(&sh.dG_full);
}
#endif

/* Empty in code for other cards, which never runs it. */
template <int N> __global__ void __launch_bounds__(4 * GROUP, 1) tile_kernel(const __grid_constant__ bwd_wgmma_args m)
{
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
    const bwd_kernel_args &a = m.all;
    tile_shared<N> &sh = *(tile_shared<N> *)shared_block();
    const bwd_tile t = tile_of_block(a);
    if (t.at.len <= 0) {
        no_tile(a, t, 4 * GROUP);
        return;
    }
    if (threadIdx.x == 0) {
        for (int i = 0; i < STAGES; i++) {
            barrier_init(&sh.full[i], GROUP / 32);
            barrier_init(&sh.empty[i], 3 * GROUP / 32);
        }
        barrier_init(&sh.dG_full, GROUP);
        fence_async();
    }
    __syncthreads();
    const int role = group_of_thread();
    if (role == 0) {
        registers_less<COPY_REGISTERS>();
        copy_heads(m, sh, t);
    } else if (role == 1) {
        registers_more<PAIR_REGISTERS>();
        pairs(a, sh, t);
    } else if (role == 2) {
        registers_more<STATE_REGISTERS>();
        through_states<N, true>(a, sh, t);
    } else {
        registers_more<STATE_REGISTERS>();
        through_states<N, false>(a, sh, t);
    }
#endif
}

static_assert(sizeof(tile_shared<128>) <= 227 * 1024, "what a Hopper gives one block");
template <int N> void run(const bwd_kernel_args &a)
{
    auto tokens_map = [&](const tokens<bf16> &m, int64_t cols) { return boxes_of({m.p, BF16, a.s.tokens, cols, m.ld}, a.s.tokens, TILE); };
    auto states_map = [&](const bf16 *p, int64_t states) {
        return states == 0 ? CUtensorMap()
                           : boxes_of(mat_make((void *)p, BF16, states * a.d.heads * HEADDIM, N), states * a.d.heads * HEADDIM, HEADDIM);
    };
    const int64_t chunks = a.chunk1 - a.chunk0, x_cols = (int64_t)a.d.heads * HEADDIM, B_cols = (int64_t)a.d.groups * N;
    const bwd_wgmma_args m = {a,
                              tokens_map(a.x, x_cols),
                              tokens_map(a.dy, x_cols),
                              tokens_map(a.B, B_cols),
                              tokens_map(a.C, B_cols),
                              states_map(a.kept, a.s.n_chunk),
                              states_map(a.S, chunks * (a.per_chunk - 1)),
                              states_map(a.R, chunks * a.per_chunk)};
    launch(tile_kernel<N>, tile_blocks(a), 4 * GROUP, sizeof(tile_shared<N>), m);
}
} // namespace

void ssd_bwd_wgmma(const struct bwd_kernel_args &a)
{
    if (a.d.state == 64)
        run<64>(a);
    else
        run<128>(a);
}
