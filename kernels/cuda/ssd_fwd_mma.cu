/* kernels/cuda/ssd_fwd_mma.cu - SSD forward on tensor cores: bf16, P = 64, N = 64 or 128.
 *
 * One block walks the tiles of one (document, head) in order and keeps the state in registers, so that it never touches device memory
 * but where a chunk boundary is to be kept. For a tile of 64 tokens, with cum counted from the tile's start and e = exp(cum at its end):
 *     M_ij = (C_i . B_j) exp(cum_i - cum_j) dt_j, j <= i
 *     y_i  = sum_j M_ij x_j + exp(cum_i) S C_i + D x_i
 *     S    = e S + sum_j exp(cum_end - cum_j) dt_j x_j (outer) B_j
 * While a tile is computed the next is copied to shared memory. Two barriers a tile.
 */
#include "kernels/cuda/ssd_tile.cuh"

namespace
{
template <int N> struct fwd_shared {
    bf16 x[2][TILE * HEADDIM], B[2][TILE * N], C[2][TILE * N];
    bf16 xs[TILE * HEADDIM]; /* x_j dt_j exp(cum_end - cum_j) */
    bf16 M[TILE * TILE];
    bf16 S[HEADDIM * N]; /* the state entering the tile */
    tile_steps steps[2];
};
struct fwd_kernel_args {
    tokens<bf16> x, B, C, y;
    const float *D, *dt, *cum;
    bf16 *states;
    struct ssd_dims d;
    struct seqs s;
    struct state_view state;
};

template <int N> __global__ void __launch_bounds__(THREADS, 2) fwd_kernel(fwd_kernel_args a)
{
    constexpr int NI = N / 32; /* the state's fragments of a warp: 32 rows by N / 4 columns */
    fwd_shared<N> &sh = *(fwd_shared<N> *)shared_block();
    const int heads = a.d.heads, doc = blockIdx.x / heads, head = blockIdx.x % heads, group = head / (heads / a.d.groups);
    const int first = a.s.first_chunk[doc], per_chunk = (a.s.chunk + TILE - 1) / TILE;
    const int n_tile = tiles_of(a.s, first, a.s.first_chunk[doc + 1], TILE);
    const int warp = threadIdx.x >> 5;
    const int rows = (warp >> 1) * 16, half = warp & 1; /* of y and M: 16 rows, and every second 16 columns of M, 32 columns of y */
    const int sm = (warp & 1) * 32, sn = (warp >> 1) * (N / 4);
    const float D = a.D[head];

    auto fetch = [&](int tile) {
        tile_place at = place_of(a.s, first + tile / per_chunk, tile % per_chunk, TILE);
        int stage = tile & 1;
        tile_copy<N>(sh.B[stage], a.B.row(at.row) + group * N, a.B.ld, at.len);
        tile_copy<N>(sh.C[stage], a.C.row(at.row) + group * N, a.C.ld, at.len);
        tile_copy<HEADDIM>(sh.x[stage], a.x.row(at.row) + head * HEADDIM, a.x.ld, at.len);
        int64_t step = at.row * heads + head;
        steps_copy(&sh.steps[stage], a.dt + step, a.cum + step, heads, at.len);
    };
    float S[2][NI][4];
    auto share_state = [&] {
#pragma unroll
        for (int i = 0; i < 2; i++)
            put_rows(S[i], [&](int row, int col, uint4 v) { *(uint4 *)(sh.S + at<N>(sm + 16 * i + row, sn + col)) = v; });
    };

    fetch(0);
    copies_commit();
    const int64_t state_size = HEADDIM * N;
    const int64_t slot = a.state.data ? a.s.slot[doc] * a.state.stride + head * state_size : 0;
    char *state = (char *)a.state.data + slot * (a.state.dtype == F32 ? 4 : 2);
    if (a.state.data)
        state_read<N>(S, state, a.state.dtype, sm, sn, 16, 0);
    else
        zero(S);
    share_state();

    for (int tile = 0; tile < n_tile; tile++) {
        const int stage = tile & 1;
        copies_wait<0>();
        __syncthreads();
        if (tile + 1 < n_tile)
            fetch(tile + 1);
        copies_commit();
        const tile_steps &steps = sh.steps[stage];
        const tile_place at_tile = place_of(a.s, first + tile / per_chunk, tile % per_chunk, TILE);

        if (a.states && tile % per_chunk == 0) {
            bf16 *to = a.states + ((int64_t)(first + tile / per_chunk) * heads + head) * state_size;
#pragma unroll
            for (int i = 0; i < 2; i++)
                put_rows(S[i], [&](int row, int col, uint4 v) { *(uint4 *)(to + (sm + 16 * i + row) * N + sn + col) = v; });
        }
        tile_scale(sh.xs, sh.x[stage], [&](int row) { return steps.dt[row] * __expf(steps.after(row)); });

        uint32_t C[N / 16][4];
#pragma unroll
        for (int k = 0; k < N / 16; k++)
            load_a<false, N>(C[k], sh.C[stage], rows, 16 * k);
        const float cum[2] = {steps.cum[rows + frag_row()], steps.cum[rows + frag_row() + 8]};
#pragma unroll
        for (int q = 0; q < 2; q++) {
            const int cols = 16 * (half + 2 * q);
            if (cols > rows)
                continue;
            float G[2][4] = {};
#pragma unroll
            for (int k = 0; k < N / 16; k++) {
                uint32_t b[4];
                load_b<true, N>(b, sh.B[stage], 16 * k, cols);
                mma_16816(G[0], C[k], b[0], b[1]);
                mma_16816(G[1], C[k], b[2], b[3]);
            }
#pragma unroll
            for (int j = 0; j < 2; j++) {
                const int col = cols + 8 * j + frag_col();
                const float2 cum_j = *(const float2 *)&steps.cum[col], dt_j = *(const float2 *)&steps.dt[col];
#pragma unroll
                for (int e = 0; e < 2; e++) {
                    const int row = rows + frag_row() + 8 * e;
                    float m0 = G[j][2 * e] * __expf(fminf(cum[e] - cum_j.x, 0.f)) * dt_j.x;
                    float m1 = G[j][2 * e + 1] * __expf(fminf(cum[e] - cum_j.y, 0.f)) * dt_j.y;
                    *(uint32_t *)(sh.M + at<TILE>(row, col)) = pack2(col <= row ? m0 : 0.f, col + 1 <= row ? m1 : 0.f);
                }
            }
        }
        float y[1][4][4];
        zero(y);
#pragma unroll
        for (int k = 0; k < N / 16; k++)
#pragma unroll
            for (int j = 0; j < 4; j += 2) {
                uint32_t b[4];
                load_b<true, N>(b, sh.S, 16 * k, 32 * half + 8 * j);
                mma_16816(y[0][j], C[k], b[0], b[1]);
                mma_16816(y[0][j + 1], C[k], b[2], b[3]);
            }
        __syncthreads(); /* M and xs are whole, S has been read */

#pragma unroll
        for (int e = 0; e < 2; e++) {
            const int row = rows + frag_row() + 8 * e;
            const float f = __expf(steps.cum[row]);
#pragma unroll
            for (int j = 0; j < 4; j++) {
                uint32_t x = *(const uint32_t *)(sh.x[stage] + at<HEADDIM>(row, 32 * half + 8 * j + frag_col()));
                y[0][j][2 * e] = y[0][j][2 * e] * f + D * low2(x);
                y[0][j][2 * e + 1] = y[0][j][2 * e + 1] * f + D * high2(x);
            }
        }
        warp_product<false, TILE, false, HEADDIM>(y, sh.M, rows, sh.x[stage], 32 * half, 0, rows + 16);
        put_rows(y[0], [&](int row, int col, uint4 v) {
            if (rows + row < at_tile.len)
                *(uint4 *)(a.y.row(at_tile.row + rows + row) + head * HEADDIM + 32 * half + col) = v;
        });
        scale(S, __expf(steps.cum[TILE - 1]));
        warp_product<true, HEADDIM, false, N>(S, sh.xs, sm, sh.B[stage], sn, 0, TILE);
        share_state();
    }
    if (a.state.data)
        state_write<N>(S, state, a.state.dtype, sm, sn, 16, 0);
}

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
    launch(fwd_kernel<N>, (int64_t)a.s.n * a.d.heads, THREADS, sizeof(fwd_shared<N>), k);
}
} // namespace

void ssd_fwd_mma(const struct ssd_fwd_args &a)
{
    if (a.d.state == 64)
        run<64>(a);
    else
        run<128>(a);
}
