/* kernels/cuda/ssd_bwd_mma.cu - SSD backward on tensor cores: bf16, P = 64, N = 64 or 128.
 *
 * For a tile of 64 tokens that the state S enters and whose leaving state has the gradient R, with cum counted from the tile's start,
 * e_i = exp(cum_i), f_j = exp(cum_end - cum_j), L_ij = exp(cum_i - cum_j) for j <= i and else 0, G_ij = C_i . B_j:
 *     dG_ij = (dy_i . x_j) L_ij dt_j
 *     du_j  = f_j R B_j + sum_i G_ij L_ij dy_i          gradient of dt_j x_j; dx_j = dt_j du_j + D dy_j
 *     dC_i  = sum over heads of e_i S^T dy_i   + sum_j (sum over heads of dG_ij) B_j
 *     dB_j  = sum over heads of dt_j f_j R^T x_j + sum_i (sum over heads of dG_ij) C_i
 *     dS    = e_end R + sum_i e_i dy_i (outer) C_i      the R of the tile before
 * The gradient of the log decay of step t is what crosses it: pairs j < t <= i inside the tile (dG_ij G_ij), the entering state's share
 * in outputs i >= t, the leaving state's share of inputs j < t, and the part of the state that passes through, e_end <S, R>. Row and
 * column sums of the pairs are taken from the same float32 numbers, so their difference loses nothing but rounding at the tile's scale;
 * sums like y . dy, which cancel across the whole sequence, are never formed.
 * On a Hopper the kernel of ssd_bwd_wgmma.cu does step 3.
 */
#include "kernels/cuda/ssd_bwd_tile.cuh"
#include <type_traits>

namespace
{
/* --- Steps 1 and 2: a state, or a state's gradient, walks over consecutive tiles ---
 *
 * Not REVERSE: the states entering tiles 1.. of chunk chunk0 + unit, from the one kept at its start.
 * REVERSE: the gradients of the states leaving the tiles of share `unit` of the slice, from the last to the first; at a document's last tile
 * anew from zero.
 *
 * What a step waits for is its product alone: tiles are fetched WALK_AHEAD steps before, and u is weighted one step before, beside the
 * product of the tile at hand. Nor does a document's end stop anything. */
struct walk_tile {
    int index;    /* of the slice's tiles, or of the chunk's; negative: there are no more */
    bool updates; /* what follows from the tile is wanted */
};
/* The way through a share, or through a chunk. */
template <bool REVERSE> struct walk_way {
    const bwd_kernel_args &a;
    int doc, first_row;           /* REVERSE: of the share */
    int row, len, left, k, index; /* of the tile at hand; left: rows after it in its chunk, or REVERSE before it in its document */
    bool goes_on;                 /* REVERSE: the document after the share's last tile */

    __device__ __forceinline__ walk_way(const bwd_kernel_args &args, int first, int last_chunk) : a(args)
    {
        const int first_doc = a.s.chunk_doc[first];
        first_row = a.s.start[first_doc] + (first - a.s.first_chunk[first_doc]) * a.s.chunk;
        if (REVERSE)
            to_end(a.s.chunk_doc[last_chunk], last_chunk);
        else
            row = first_row - TILE, left = min(a.s.chunk, a.s.start[first_doc + 1] - first_row), index = -1, next();
    }
    __device__ __forceinline__ walk_tile tile() const
    {
        return {index, left > 0};
    }
    __device__ __forceinline__ void next()
    {
        if (!REVERSE) {
            row += TILE, len = min(left, TILE), left -= len;
            index = len > 0 ? index + 1 : -1;
        } else if (row == first_row) {
            index = -1, left = 0;
        } else if (left == 0) {
            to_end(doc - 1, a.s.first_chunk[doc] - 1);
        } else {
            k = k > 0 ? k - 1 : a.per_chunk - 1;
            len = min(a.s.chunk - k * TILE, TILE);
            row -= len, left -= len, index--;
        }
    }
    /* To a chunk's last tile. */
    __device__ __forceinline__ void to_end(int document, int chunk)
    {
        doc = document;
        const int start = a.s.start[doc], end = a.s.start[doc + 1], chunk_row = start + (chunk - a.s.first_chunk[doc]) * a.s.chunk;
        const int rows = min(a.s.chunk, end - chunk_row);
        k = (rows - 1) / TILE, len = rows - k * TILE, row = chunk_row + k * TILE, left = row - start;
        index = (chunk - a.chunk0) * a.per_chunk + k, goes_on = row + len < end;
    }
};
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

constexpr int WALK_AHEAD = 3;
template <int N> struct walk_shared {
    bf16 u[WALK_AHEAD][TILE * HEADDIM], v[WALK_AHEAD + 1][TILE * N];
    bf16 weighted[2][TILE * HEADDIM];
    tile_steps steps[WALK_AHEAD + 1];
    walk_tile tiles[WALK_AHEAD + 1];
};

/* For block % H, u = x and v = B; or REVERSE, u = dy and v = C. */
template <int N, bool REVERSE> __device__ __forceinline__ void walk(const bwd_kernel_args &a, int block)
{
    constexpr int NI = N / 16; /* a warp has 16 rows by N / 2 columns */
    constexpr int64_t STATE = HEADDIM * N;
    walk_shared<N> &sh = *(walk_shared<N> *)shared_block();
    const int heads = a.d.heads, unit = block / heads, head = block % heads, group = head / (heads / a.d.groups);
    const int warp = threadIdx.x >> 5, m = (warp & 3) * 16, n = (warp >> 2) * (N / 2);
    const int first = REVERSE ? share_begins(a.s, a.chunk0, a.chunk1, unit, a.shares) : a.chunk0 + unit;
    const int end = REVERSE ? share_begins(a.s, a.chunk0, a.chunk1, unit + 1, a.shares) : first + 1;
    if (first == end)
        return;
    walk_way<REVERSE> w(a, first, end - 1);
    const tokens<bf16> u = REVERSE ? a.dy : a.x, v = REVERSE ? a.C : a.B;
    const bool goes_on = REVERSE && w.goes_on;

    auto fetch = [&](int i) {
        const walk_tile tile = w.tile();
        if (threadIdx.x == 0)
            sh.tiles[i % (WALK_AHEAD + 1)] = tile;
        if (tile.updates) {
            const int64_t step = (int64_t)w.row * heads + head;
            tile_copy<HEADDIM>(sh.u[i % WALK_AHEAD], u.row(w.row) + head * HEADDIM, u.ld, w.len);
            tile_copy<N>(sh.v[i % (WALK_AHEAD + 1)], v.row(w.row) + group * N, v.ld, w.len);
            steps_copy(&sh.steps[i % (WALK_AHEAD + 1)], a.dt + step, a.cum + step, heads, w.len);
        }
        if (tile.index >= 0)
            w.next();
        copies_commit();
    };
    auto weigh = [&](int i) {
        const tile_steps &steps = sh.steps[i % (WALK_AHEAD + 1)];
        tile_scale(sh.weighted[i & 1], sh.u[i % WALK_AHEAD],
                   [&](int row) { return REVERSE ? exp_fast(steps.cum[row]) : steps.dt[row] * exp_fast(steps.after(row)); });
    };
    for (int i = 0; i < WALK_AHEAD; i++)
        fetch(i);

    float S[1][NI][4];
    const float *carry = a.carry_in + head * STATE;
    const bf16 *kept = a.kept + ((int64_t)first * heads + head) * STATE;
#pragma unroll
    for (int j = 0; j < NI; j++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const int o = (m + 8 * half + frag_row()) * N + n + 8 * j + frag_col();
            float2 f = make_float2(0, 0);
            if (REVERSE) {
                if (goes_on)
                    f = *(const float2 *)(carry + o);
            } else {
                const uint32_t b = *(const uint32_t *)(kept + o);
                f = make_float2(low2(b), high2(b));
            }
            S[0][j][2 * half] = f.x, S[0][j][2 * half + 1] = f.y;
        }
    copies_wait<WALK_AHEAD - 1>();
    __syncthreads();
    walk_tile tile, next = sh.tiles[0];
    if (next.updates)
        weigh(0);

    for (int i = 0;; i++) {
        do {
            tile = next;
            copies_wait<WALK_AHEAD - 2>();
            __syncthreads(); /* tile i + 1 is there, tile i is weighted, tile i - 1 is used up */
            fetch(i + WALK_AHEAD);
            if (REVERSE || i > 0) {
                const int64_t index = REVERSE ? tile.index : (int64_t)unit * (a.per_chunk - 1) + i - 1;
                bf16 *to = (REVERSE ? a.R : a.S) + (index * heads + head) * STATE + m * N + n;
                if constexpr (N == 128)
                    write_lines(to, N, S[0]);
                else
                    put_rows(S[0], [&](int row, int col, uint4 piece) { *(uint4 *)(to + row * N + col) = piece; });
            }
            next = sh.tiles[(i + 1) % (WALK_AHEAD + 1)];
            if (next.updates)
                weigh(i + 1);
            if (!tile.updates)
                break;
            scale(S, exp_fast(sh.steps[i % (WALK_AHEAD + 1)].cum[TILE - 1]));
            warp_product<true, HEADDIM, false, N>(S, sh.weighted[i & 1], m, sh.v[i % (WALK_AHEAD + 1)], n, 0, TILE);
            i++;
        } while (next.index >= 0);
        if (!REVERSE || next.index < 0)
            break;
        zero(S); /* the document before this one */
    }
    if (REVERSE && tile.updates) { /* the document begins before the slice */
        float *to = a.carry_out + head * STATE;
#pragma unroll
        for (int j = 0; j < NI; j++)
#pragma unroll
            for (int half = 0; half < 2; half++) {
                const int o = (m + 8 * half + frag_row()) * N + n + 8 * j + frag_col();
                *(float2 *)(to + o) = make_float2(S[0][j][2 * half], S[0][j][2 * half + 1]);
            }
    }
}

/* Both at once: the few long walks backwards come first, the many short ones fill the card beside them. */
template <int N> __global__ void __launch_bounds__(THREADS, 2) walk_kernel(bwd_kernel_args a)
{
    const int block = blockIdx.x, backwards = a.shares * a.d.heads;
    if (block < backwards)
        walk<N, true>(a, block);
    else
        walk<N, false>(a, block - backwards);
}

/* --- Step 3: the gradients of a tile, head after head of a group ---
 *
 * Two teams of 8 warps share a head: the first adds up dB and dC through the states, and the sums over tokens; the second has the
 * pairs of tokens, du and dx. They meet once a head. A team alone would wait for its loads and products most of the time, and
 * the registers of both sets of accumulators do not fit one.
 */
constexpr int BWD_THREADS = 2 * THREADS;

/* Per-token sums of one head, each in as many parts as warps share them. */
struct head_sums {
    float pair_row[2][TILE]; /* sum over j < i of dG_ij G_ij */
    float pair_col[4][TILE]; /* the same over i > j; part r holds rows 16 r.. */
    float enter[4][TILE];    /* e_i C_i . (S^T dy_i) */
    float leave[2][TILE];    /* f_j dt_j x_j . (R B_j) */
    float du_x[2][TILE];     /* du_j . x_j */
    float dy_x[TILE];        /* dy_i . x_i */
    float pass[8];           /* <S, R> */
};
template <int N> struct bwd_shared {
    bf16 B[TILE * N], C[TILE * N];
    bf16 x[2][TILE * HEADDIM], dy[2][TILE * HEADDIM];
    bf16 S[2][HEADDIM * N], R[2][HEADDIM * N];
    bf16 GL[TILE * TILE]; /* G_ij L_ij of a head; at the end the sum of dG over heads */
    tile_steps steps[3];  /* one more than the tiles: a head's sums are finished while the next head is computed */
    head_sums sums[2];
};

enum { ALL = 1, PAIRS }; /* barriers */

/* Lane l has tokens 2l and 2l + 1. */
__device__ __forceinline__ lane_sums lane_sums_of(const head_sums &h, const tile_steps &steps)
{
    lane_sums s = {};
#pragma unroll
    for (int k = 0; k < 2; k++) {
        const int t = 2 * lane_id() + k;
        float col = 0;
        for (int part = t >> 4; part < 4; part++)
            col += h.pair_col[part][t];
        s.from[k] = h.pair_row[0][t] + h.pair_row[1][t] - col + ((h.enter[0][t] + h.enter[1][t]) + (h.enter[2][t] + h.enter[3][t]));
        s.to[k] = h.leave[0][t] + h.leave[1][t];
        s.du_x[k] = h.du_x[0][t] + h.du_x[1][t];
        s.dy_x += h.dy_x[t];
        s.dt[k] = steps.dt[t];
    }
#pragma unroll
    for (int w = 0; w < 8; w++)
        s.pass += h.pass[w];
    s.pass *= exp_fast(steps.cum[TILE - 1]);
    return s;
}

/* The first team: to dB and dC what goes through the states, head after head; then what goes through dG, which lies in GL. */
template <int N> __device__ __forceinline__ void states_team(const bwd_kernel_args &a, bwd_shared<N> &sh, const bwd_tile &t)
{
    constexpr int NI = N / 32; /* a warp has 32 rows by N / 4 columns */
    const int warp = threadIdx.x >> 5, fr = frag_row(), fc = frag_col();
    const int bm = (warp & 1) * 32, bn = (warp >> 1) * (N / 4);

    auto fetch = [&](int h) {
        if (h < t.n_head) {
            tile_copy<N>(sh.S[h & 1], entering_state<N>(a, t, h), N, HEADDIM);
            tile_copy<N>(sh.R[h & 1], leaving_gradient<N>(a, t, h), N, HEADDIM);
        }
        copies_commit();
    };
    tile_copy<N>(sh.B, a.B.row(t.at.row) + t.group * N, a.B.ld, t.at.len);
    tile_copy<N>(sh.C, a.C.row(t.at.row) + t.group * N, a.C.ld, t.at.len);
    fetch(0);

    float dB[2][NI][4], dC[2][NI][4];
    zero(dB);
    zero(dC);
    for (int h = 0; h < t.n_head; h++) {
        const int stage = h & 1;
        copies_wait<0>();
        barrier<ALL, BWD_THREADS>();
        fetch(h + 1);
        if (h > 0 && warp == h % 8)
            finish_head(a, lane_sums_of(sh.sums[stage ^ 1], sh.steps[(h - 1) % 3]), t.at, t.head0 + h - 1, t.index);
        const bf16 *x = sh.x[stage], *dy = sh.dy[stage], *S = sh.S[stage], *R = sh.R[stage];
        const tile_steps &steps = sh.steps[h % 3];
        head_sums &sums = sh.sums[stage];
        /* <S, R>: both tiles are permuted alike. */
        {
            float sum = 0;
#pragma unroll
            for (int i = 0; i < HEADDIM * N / 8 / THREADS; i++) {
                const uint4 sv = *(const uint4 *)(S + (threadIdx.x + i * THREADS) * 8);
                const uint4 rv = *(const uint4 *)(R + (threadIdx.x + i * THREADS) * 8);
                sum += low2(sv.x) * low2(rv.x) + high2(sv.x) * high2(rv.x);
                sum += low2(sv.y) * low2(rv.y) + high2(sv.y) * high2(rv.y);
                sum += low2(sv.z) * low2(rv.z) + high2(sv.z) * high2(rv.z);
                sum += low2(sv.w) * low2(rv.w) + high2(sv.w) * high2(rv.w);
            }
            sum = col_sum(row_sum(sum));
            if (lane_id() == 0)
                sums.pass[warp] = sum;
        }
        float part[2][NI][4];
        zero(part);
        warp_product<false, HEADDIM, false, N>(part, dy, bm, S, bn, 0, HEADDIM);
#pragma unroll
        for (int i = 0; i < 2; i++)
#pragma unroll
            for (int e = 0; e < 2; e++) {
                const int row = bm + 16 * i + fr + 8 * e;
                const float f = exp_fast(steps.cum[row]);
                float sum = 0;
#pragma unroll
                for (int j = 0; j < NI; j++) {
                    const uint32_t c = *(const uint32_t *)(sh.C + at<N>(row, (bn + fc) ^ 8 * j));
                    sum += part[i][j][2 * e] * low2(c) + part[i][j][2 * e + 1] * high2(c);
                    dC[i][j][2 * e] += f * part[i][j][2 * e];
                    dC[i][j][2 * e + 1] += f * part[i][j][2 * e + 1];
                }
                sum = row_sum(sum);
                if (fc == 0)
                    sums.enter[warp >> 1][row] = f * sum;
            }
        zero(part);
        warp_product<false, HEADDIM, false, N>(part, x, bm, R, bn, 0, HEADDIM);
#pragma unroll
        for (int i = 0; i < 2; i++)
#pragma unroll
            for (int e = 0; e < 2; e++) {
                const int row = bm + 16 * i + fr + 8 * e;
                const float f = steps.dt[row] * exp_fast(steps.after(row));
#pragma unroll
                for (int j = 0; j < NI; j++) {
                    dB[i][j][2 * e] += f * part[i][j][2 * e];
                    dB[i][j][2 * e + 1] += f * part[i][j][2 * e + 1];
                }
            }
    }

    barrier<ALL, BWD_THREADS>(); /* the other team's sums and dG are there */
    if (warp == 0)
        finish_head(a, lane_sums_of(sh.sums[(t.n_head - 1) & 1], sh.steps[(t.n_head - 1) % 3]), t.at, t.head0 + t.n_head - 1, t.index);
    warp_product<false, TILE, false, N>(dC, sh.GL, bm, sh.B, bn, 0, bm + 32);
    warp_product<true, TILE, false, N>(dB, sh.GL, bm, sh.C, bn, bm, TILE);
#pragma unroll
    for (int i = 0; i < 2; i++) {
        put_rows(dC[i], [&](int row, int col, uint4 v) {
            if (bm + 16 * i + row < t.at.len)
                *(uint4 *)(a.dC.row(t.at.row + bm + 16 * i + row) + t.group * N + bn + col) = v;
        });
        put_rows(dB[i], [&](int row, int col, uint4 v) {
            if (bm + 16 * i + row < t.at.len)
                *(uint4 *)(a.dB.row(t.at.row + bm + 16 * i + row) + t.group * N + bn + col) = v;
        });
    }
}

/* The second team: pairs of tokens, du and dx. Leaves the sum of dG over the heads in GL. */
template <int N> __device__ __forceinline__ void pairs_team(const bwd_kernel_args &a, bwd_shared<N> &sh, const bwd_tile &t)
{
    const int warp = (threadIdx.x >> 5) - THREADS / 32, fr = frag_row(), fc = frag_col();
    const int rows = (warp >> 1) * 16, half = warp & 1; /* of [64][64] results */
    float G[2][2][4], dG[2][2][4];                      /* columns 16 (half + 2q) + 8 j of the warp's 16 rows */

    auto fetch = [&](int h) {
        if (h < t.n_head) {
            const int head = t.head0 + h;
            tile_copy<HEADDIM>(sh.x[h & 1], a.x.row(t.at.row) + head * HEADDIM, a.x.ld, t.at.len);
            tile_copy<HEADDIM>(sh.dy[h & 1], a.dy.row(t.at.row) + head * HEADDIM, a.dy.ld, t.at.len);
            const int64_t step = t.at.row * a.d.heads + head;
            steps_copy(&sh.steps[h % 3], a.dt + step, a.cum + step, a.d.heads, t.at.len);
        }
        copies_commit();
    };
    fetch(0);
    zero(dG);

    for (int h = 0; h < t.n_head; h++) {
        const int head = t.head0 + h, stage = h & 1;
        const float D = a.D[head];
        copies_wait<0>();
        barrier<ALL, BWD_THREADS>();
        fetch(h + 1);
        if (h == 0) {
            zero(G);
#pragma unroll
            for (int q = 0; q < 2; q++)
                if (16 * (half + 2 * q) <= rows)
                    warp_product<false, N, true, N>(*(float(*)[1][2][4]) & G[q], sh.C, rows, sh.B, 16 * (half + 2 * q), 0, N);
        }
        const bf16 *x = sh.x[stage], *dy = sh.dy[stage], *R = sh.R[stage];
        const tile_steps &steps = sh.steps[h % 3];
        head_sums &sums = sh.sums[stage];

        /* Pairs: dG and its products with G; G L to shared memory. */
        {
            const float cum[2] = {steps.cum[rows + fr], steps.cum[rows + fr + 8]};
            float row_pairs[2] = {};
            auto block = [&](float(&G)[2][4], float(&dG)[2][4], int cols, auto on_diagonal) {
                constexpr bool DIAGONAL = decltype(on_diagonal)::value;
                float dM[1][2][4], col_pairs[4] = {};
                zero(dM);
                warp_product<false, HEADDIM, true, HEADDIM>(dM, dy, rows, x, cols, 0, HEADDIM);
#pragma unroll
                for (int j = 0; j < 2; j++) {
                    const int col = cols + 8 * j + fc;
                    const float2 cum_j = *(const float2 *)&steps.cum[col], dt_j = *(const float2 *)&steps.dt[col];
#pragma unroll
                    for (int e = 0; e < 2; e++) {
                        const int row = rows + fr + 8 * e;
                        float gl[2];
#pragma unroll
                        for (int k = 0; k < 2; k++) {
                            const float d = dM[0][j][2 * e + k];
                            float L = exp_fast(cum[e] - (k ? cum_j.y : cum_j.x));
                            if (DIAGONAL && col + k > row)
                                L = 0;
                            const float dg = d * L * (k ? dt_j.y : dt_j.x);
                            dG[j][2 * e + k] += dg;
                            gl[k] = G[j][2 * e + k] * L;
                            float pair = dg * G[j][2 * e + k];
                            if (DIAGONAL && col + k == row) {
                                pair = 0;
                                sums.dy_x[row] = d;
                            }
                            row_pairs[e] += pair;
                            col_pairs[2 * j + k] += pair;
                        }
                        *(uint32_t *)(sh.GL + at<TILE>(row, col)) = pack2(gl[0], gl[1]);
                    }
                }
                const float sum = col_sums(col_pairs);
                if ((fr & 1) == 0)
                    sums.pair_col[warp >> 1][cols + 8 * (fr >> 2) + fc + (fr >> 1 & 1)] = sum;
            };
#pragma unroll
            for (int q = 0; q < 2; q++) {
                const int cols = 16 * (half + 2 * q);
                if (cols == rows)
                    block(G[q], dG[q], cols, std::true_type());
                else if (cols < rows)
                    block(G[q], dG[q], cols, std::false_type());
            }
#pragma unroll
            for (int e = 0; e < 2; e++) {
                const float sum = row_sum(row_pairs[e]);
                if (fc == 0)
                    sums.pair_row[half][rows + fr + 8 * e] = sum;
            }
        }
        /* du, first the leaving state's share: rows are tokens j, columns 32 half.. of P. */
        float du[1][4][4];
        zero(du);
        warp_product<false, N, true, N>(du, sh.B, rows, R, 32 * half, 0, N);
#pragma unroll
        for (int e = 0; e < 2; e++) {
            const int row = rows + fr + 8 * e;
            const float f = exp_fast(steps.after(row));
            float sum = 0;
#pragma unroll
            for (int j = 0; j < 4; j++) {
                const uint32_t xv = *(const uint32_t *)(x + at<HEADDIM>(row, (32 * half + fc) ^ 8 * j));
                du[0][j][2 * e] *= f;
                du[0][j][2 * e + 1] *= f;
                sum += du[0][j][2 * e] * low2(xv) + du[0][j][2 * e + 1] * high2(xv);
            }
            sum = row_sum(sum);
            if (fc == 0)
                sums.leave[half][row] = steps.dt[row] * sum;
        }
        barrier<PAIRS, THREADS>(); /* GL is whole */

        warp_product<true, TILE, false, HEADDIM>(du, sh.GL, rows, dy, 32 * half, rows, TILE);
#pragma unroll
        for (int e = 0; e < 2; e++) {
            const int row = rows + fr + 8 * e;
            const float dt = steps.dt[row];
            float sum = 0;
#pragma unroll
            for (int j = 0; j < 4; j++) {
                const uint32_t xv = *(const uint32_t *)(x + at<HEADDIM>(row, (32 * half + fc) ^ 8 * j));
                const uint32_t dv = *(const uint32_t *)(dy + at<HEADDIM>(row, (32 * half + fc) ^ 8 * j));
                sum += du[0][j][2 * e] * low2(xv) + du[0][j][2 * e + 1] * high2(xv);
                du[0][j][2 * e] = dt * du[0][j][2 * e] + D * low2(dv);
                du[0][j][2 * e + 1] = dt * du[0][j][2 * e + 1] + D * high2(dv);
            }
            sum = row_sum(sum);
            if (fc == 0)
                sums.du_x[half][row] = sum;
        }
        put_rows(du[0], [&](int row, int col, uint4 v) {
            if (rows + row < t.at.len)
                *(uint4 *)(a.dx.row(t.at.row + rows + row) + head * HEADDIM + 32 * half + col) = v;
        });
    }

    barrier<PAIRS, THREADS>(); /* the last head's GL is used up */
#pragma unroll
    for (int q = 0; q < 2; q++) /* zeros above the diagonal too: dG was never added to there */
#pragma unroll
        for (int j = 0; j < 2; j++)
#pragma unroll
            for (int e = 0; e < 2; e++)
                *(uint32_t *)(sh.GL + at<TILE>(rows + fr + 8 * e, 16 * (half + 2 * q) + 8 * j + fc)) =
                    pack2(dG[q][j][2 * e], dG[q][j][2 * e + 1]);
    barrier<ALL, BWD_THREADS>();
}

template <int N> __global__ void __launch_bounds__(BWD_THREADS, 1) bwd_kernel(bwd_kernel_args a)
{
    bwd_shared<N> &sh = *(bwd_shared<N> *)shared_block();
    const bwd_tile t = tile_of_block(a);
    if (t.at.len <= 0)
        no_tile(a, t, BWD_THREADS);
    else if (threadIdx.x < THREADS)
        states_team(a, sh, t);
    else
        pairs_team(a, sh, t);
}

template <int N> void run(const struct ssd_bwd_args &a)
{
    bwd_kernel_args k = {tokens_of<bf16>(a.in.x),
                         tokens_of<bf16>(a.in.B),
                         tokens_of<bf16>(a.in.C),
                         tokens_of<bf16>(a.dy),
                         tokens_of<bf16>(a.g.dx),
                         tokens_of<bf16>(a.g.dB),
                         tokens_of<bf16>(a.g.dC),
                         tokens_of<bf16>(a.g.ddt),
                         a.in.A_log,
                         a.in.D,
                         a.kept.dt,
                         a.kept.cum,
                         (const bf16 *)a.kept.states,
                         (bf16 *)a.S,
                         (bf16 *)a.R,
                         a.carry_in,
                         a.carry_out,
                         a.partial,
                         a.d,
                         a.s,
                         a.chunk0,
                         a.chunk1,
                         ssd_bwd_mma_plan(a.d, a.s.chunk).per_chunk,
                         ssd_shares(a.d.heads, a.s, 2)};
    const int64_t walks = k.shares + (k.per_chunk > 1 ? a.chunk1 - a.chunk0 : 0);
    launch(walk_kernel<N>, walks * a.d.heads, THREADS, sizeof(walk_shared<N>), k);
    if (ssd_fwd_wgmma_runs())
        ssd_bwd_wgmma(k);
    else
        launch(bwd_kernel<N>, tile_blocks(k), BWD_THREADS, sizeof(bwd_shared<N>), k);
}
} // namespace

struct ssd_bwd_plan ssd_bwd_mma_plan(struct ssd_dims d, int32_t chunk)
{
    const int per_chunk = (chunk + TILE - 1) / TILE;
    const size_t state = (size_t)d.heads * d.headdim * d.state * sizeof(bf16);
    return {per_chunk, state * (per_chunk - 1), state * per_chunk};
}
void ssd_bwd_mma(const struct ssd_bwd_args &a)
{
    if (a.d.state == 64)
        run<64>(a);
    else
        run<128>(a);
}
