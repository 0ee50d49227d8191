/* kernels/cuda/ssd_fwd_wgmma.cu - SSD forward on the tensor cores of Hopper (sm_90a): bf16, P = 64, N = 64 or 128.
 *
 * One block walks the tiles of a share of the documents, for one head, in order. For a tile of 64 tokens, with cum counted from its start:
 *     M_ij = (C_i . B_j) exp(cum_i - cum_j) dt_j, j <= i
 *     y_i  = exp(cum_i) S C_i + sum_j M_ij x_j + D x_i   (D is added to M_ii)
 *     S    = exp(cum_end) S + sum_j exp(cum_end - cum_j) dt_j x_j (outer) B_j
 * Only the last line has to go from tile to tile, so the block's warpgroups go through the tiles each at its own pace:
 *     copy     brings the tiles into a ring of shared memory and makes their time steps;
 *     state    (one group for 64 columns of S) keeps S in registers, puts the one that enters each tile into shared memory and adds the
 *              tile's tokens to it;
 *     outputs  (two groups, one on the even tiles, one on the odd) make M and y.
 * Nothing else is waited for. A boundary between documents stops nothing either: each tile in the ring says what it is, and the state's
 * groups take another state where the next document begins. (A block for each document would fill and empty its ring for every one.) In the
 * products that make y, S and M are two bf16, a high and a low part: rounded once, each would add as much error as the rounding of y itself.
 *
 * The documents of a model with few heads would leave most of the card idle. In inference, when nothing is kept, the long ones are cut
 * into segments, in two steps:
 *   1. a block for each segment but the last: the state after it, had it begun from zero, and its decay;
 *   2. a block for each segment but the last, others for shares of the documents' last (a short document has no other): the state that
 *      enters it, from the document's first and what step 1 made of the segments before it, in order; then the walk above.
 */
#include "kernels/cuda/ssd_wgmma.cuh"
#include "kernels/device.h"

namespace
{
constexpr int OUTPUTS = 2; /* warpgroups that make y */
constexpr int STAGES = 4;  /* tiles in shared memory */
constexpr int PARTS = 2;   /* high, low */
constexpr int WARP_ROWS = 16;

/* What a block walks for: outputs and the states that enter chunks, of whole documents; outputs alone; step 1 of a segment. */
enum fwd_task { TRAINING, INFERENCE, SEGMENT };

constexpr int SEGMENT_MIN = 4 * TILE; /* tokens */
constexpr int BLOCKS = 128;           /* the most that one document is cut for: about a card's SMs */
/* Of a document. Its length and the model alone say how many, so that its bits do not depend on its neighbours. */
__host__ __device__ constexpr int segments_of(int heads, int64_t len)
{
    const int64_t fit = len / SEGMENT_MIN, most = BLOCKS / heads, n = fit < most ? fit : most;
    return n > 1 ? (int)n : 1;
}
/* A document in segments has as many places in scratch: for the state it begins with, and for what step 1 makes of each segment but the
 * last. Where its first place is must be known without a look at the documents before it, so that those (so many, of so many tokens, of
 * at most so many segments) are given this much: never less than they need. */
__host__ __device__ constexpr int64_t places_before(int docs, int64_t tokens, int most)
{
    const int64_t by_docs = (int64_t)docs * most, by_tokens = tokens / SEGMENT_MIN;
    return most == 1 ? 0 : by_docs < by_tokens ? by_docs : by_tokens;
}
struct segment_places {
    int most;     /* segments of a document here; one while dev_is_exact(), as they would follow from where a sequence is cut */
    int64_t n;    /* places */
    float *state; /* [n][H, P, N] */
    float *decay; /* [n][H] of the segment whose state is there */
};

/* Logarithms to base 2: exp2(cum_i - from_j) is dt_j times the decay from token j to token i. Below the last token cum stays and from
 * is infinite: the rows there count for nothing. */
struct alignas(16) fwd_steps {
    float cum[TILE];
    float from[TILE / 16][4][4]; /* [k][l % 4]: the tokens of k16 step k that lane l has in fragments: 16 k + frag_col() + 0, 1, 8, 9 */
    int row, len;                /* the tile's place; len is 0 where the block has no more tiles */
    int kept;                    /* first row of ssd_kept's states for the state that enters the tile, or -1: no chunk begins here */
    int goes_on;                 /* the next tile takes the state that leaves this one */
};
template <int N> struct fwd_shared {
    bf16 x[STAGES][PANEL], B[STAGES][N / 64 * PANEL];
    fwd_steps steps[STAGES];
    uint64_t full[STAGES], empty[STAGES], S_full[OUTPUTS], S_empty[OUTPUTS];
    /* what follows is for outputs alone */
    alignas(1024) bf16 C[STAGES][N / 64 * PANEL];
    bf16 S[OUTPUTS][PARTS][N / 64 * PANEL]; /* the states entering tile t, t + 1: [P][N] */
};
template <int N, fwd_task FOR> constexpr unsigned FWD_THREADS = (1 + N / 64 + (FOR == SEGMENT ? 0 : OUTPUTS)) * GROUP;
template <int N, fwd_task FOR> constexpr size_t FWD_SHARED = FOR == SEGMENT ? offsetof(fwd_shared<N>, C) : sizeof(fwd_shared<N>);

struct fwd_kernel_args {
    CUtensorMap x_panels, B_panels, C_panels, states_rows;
    tokens<bf16> x, B, C, dt_in, y;
    const float *dt_bias, *A_log, *D;
    float *dt, *cum; /* NULL: not wanted */
    struct ssd_dims d;
    struct seqs s;
    struct state_view state;
    segment_places places;
    int shares; /* of the documents */
};

#ifdef __CUDA_ARCH_FEAT_SM90_ALL
/* A thread's, from a pool of as many for all as there are at the start: 5 x 96 or 4 x 128; of a segment 3 x 80 or 2 x 128, as two such
 * blocks share an SM. */
template <int N, fwd_task FOR> constexpr int COPY_REGISTERS = N == 64 ? 56 : FOR == SEGMENT ? 40 : 32;
template <int N, fwd_task FOR> constexpr int STATE_REGISTERS = N == 64 ? 120 : FOR == SEGMENT ? 96 : 80;
template <int N> constexpr int OUTPUT_REGISTERS = N == 128 ? 144 : 168;

/* Which of how many segments of a document is a block's: that of a place, or the last. */
struct segment_of_document {
    int count, index;
    int first_place; /* of the document */

    __device__ __forceinline__ segment_of_document(const fwd_kernel_args &a, int doc, int place)
    {
        const int start = a.s.start[doc];
        count = min(segments_of(a.d.heads, a.s.start[doc + 1] - start), a.places.most);
        first_place = (int)places_before(doc, start, a.places.most);
        index = place < 0 ? count - 1 : place - first_place;
    }
};
/* What a block works on, for one head: a share of the documents, in inference the last segment of each; or one segment. */
struct share {
    int head, doc, end_doc;
    int place; /* in scratch, of the segment that is all the block has; else negative */

    __device__ __forceinline__ share(const fwd_kernel_args &a, fwd_task task)
    {
        const int item = blockIdx.x / a.d.heads;
        head = blockIdx.x % a.d.heads;
        place = task == SEGMENT ? item : task == INFERENCE ? item - a.shares : -1;
        if (place < 0) {
            doc = first_document(a, item), end_doc = first_document(a, item + 1);
        } else {
            doc = 0;
            for (int end = a.s.n; end - doc > 1;) {
                const int middle = (doc + end) / 2;
                (places_before(middle, a.s.start[middle], a.places.most) <= place ? doc : end) = middle;
            }
            const segment_of_document at(a, doc, place);
            end_doc = at.index < at.count - 1 ? doc + 1 : doc; /* or a place more than the document needs */
        }
    }
    static __device__ __forceinline__ int first_document(const fwd_kernel_args &a, int share)
    {
        const int chunk = share_begins(a.s, 0, a.s.n_chunk, share, a.shares);
        return chunk == 0 ? 0 : chunk == a.s.n_chunk ? a.s.n : a.s.chunk_doc[chunk];
    }
};

/* The way through a share's tiles. */
template <fwd_task FOR> struct walk {
    const fwd_kernel_args &a;
    const int end_doc, place;
    int doc, row, left, in_chunk, chunk; /* of the tile at hand: its first row, the rows from there on, those of its chunk before it */

    /* Before the first tile. */
    __device__ __forceinline__ walk(const fwd_kernel_args &args, const share &w)
        : a(args), end_doc(w.end_doc), place(w.place), doc(w.doc - 1), row(args.s.start[w.doc]), left(0), in_chunk(0),
          chunk(args.s.first_chunk[w.doc] - 1)
    {
    }
    /* Goes to the first tile of the document that begins at row. */
    __device__ __forceinline__ void begin()
    {
        left = a.s.start[doc + 1] - row, in_chunk = 0;
        if (FOR == TRAINING || a.places.most == 1)
            return;
        const segment_of_document at(a, doc, place);
        const int Q = a.s.chunk, per_chunk = (Q + TILE - 1) / TILE, n_tile = left / Q * per_chunk + (left % Q + TILE - 1) / TILE;
        auto first_of = [&](int segment) {
            const int tile = (int)((int64_t)n_tile * segment / at.count);
            return min(tile / per_chunk * Q + tile % per_chunk * TILE, left);
        };
        const int first = first_of(at.index);
        left = first_of(at.index + 1) - first;
        row += first, in_chunk = first % Q;
    }
    /* No rows: there are no more. */
    __device__ __forceinline__ tile_place at() const
    {
        return {row, min(min(a.s.chunk - in_chunk, left), TILE)};
    }
    __device__ __forceinline__ void next()
    {
        const int len = at().len;
        row += len, left -= len, in_chunk += len;
        if (left == 0 || in_chunk == a.s.chunk)
            in_chunk = 0, chunk++;
        if (left == 0 && ++doc < end_doc)
            begin();
    }
};

/* Two floats as the sum of two bf16 each. */
__device__ __forceinline__ void split2(float v0, float v1, uint32_t &high, uint32_t &low)
{
    high = pack2(v0, v1);
    low = pack2(v0 - low2(high), v1 - high2(high));
}

/* A warp makes the time steps of a tile: each lane those of two tokens. */
struct step_maker {
    const fwd_kernel_args &a;
    const int head;
    const float A, bias;
    float2 in; /* dt' of the warp's next tile */

    __device__ __forceinline__ step_maker(const fwd_kernel_args &args, int h)
        : a(args), head(h), A(-expf(args.A_log[h])), bias(args.dt_bias[h]), in(make_float2(0, 0))
    {
    }
    __device__ __forceinline__ void load(tile_place at)
    {
        const int row = 2 * lane_id();
        in.x = row < at.len ? to_f32(a.dt_in.row(at.row + row)[head]) : 0.f;
        in.y = row + 1 < at.len ? to_f32(a.dt_in.row(at.row + row + 1)[head]) : 0.f;
    }
    __device__ __forceinline__ void make(float2 &dt, float2 &cum, tile_place at) const
    {
        const int row = 2 * lane_id();
        dt = make_float2(row < at.len ? softplus(in.x + bias) : 0.f, row + 1 < at.len ? softplus(in.y + bias) : 0.f);
        const float first = log_decay(A, dt.x), both = first + log_decay(A, dt.y);
        float sum = both;
#pragma unroll
        for (int i = 1; i < 32; i *= 2) {
            const float before = __shfl_up_sync(~0u, sum, i);
            sum += lane_id() >= i ? before : 0.f;
        }
        sum = __shfl_up_sync(~0u, sum, 1);
        const float before = lane_id() > 0 ? sum : 0.f;
        cum = make_float2(before + first, before + both);
    }
    __device__ __forceinline__ void put(fwd_steps &to, float2 dt, float2 cum, tile_place at) const
    {
        constexpr float LOG2E = 1.4426950408889634f;
        const int row = 2 * lane_id();
        *(float2 *)&to.cum[row] = make_float2(cum.x * LOG2E, cum.y * LOG2E);
        *(float2 *)&to.from[row / 16][row % 8 / 2][row % 16 / 8 * 2] =
            make_float2(cum.x * LOG2E - __log2f(dt.x), cum.y * LOG2E - __log2f(dt.y));
        if (a.dt) {
            const int64_t o = (at.row + row) * a.d.heads + head;
            if (row < at.len)
                a.dt[o] = dt.x, a.cum[o] = cum.x;
            if (row + 1 < at.len)
                a.dt[o + a.d.heads] = dt.y, a.cum[o + a.d.heads] = cum.y;
        }
    }
};

/* Starts the copy of len rows of W columns by a warp, zeros below them. */
template <int W> __device__ __forceinline__ void rows_copy(bf16 *s, const bf16 *g, int64_t ld, int len)
{
#pragma unroll 1
    for (int i = lane_id(); i < TILE * W / 8; i += 32) {
        const int row = i / (W / 8), col = i % (W / 8) * 8;
        copy16_async(s + col / 64 * PANEL + at<64>(row, col % 64), g + (row < len ? row : 0) * ld + col, row < len);
    }
}
/* Each warp brings every fourth tile. The copy engine brings whole tiles, at the word of one thread; below the others lie tokens that are
 * not the document's. */
template <int N, fwd_task FOR> __device__ __forceinline__ void copy_tiles(fwd_shared<N> &sh, const fwd_kernel_args &a, const share &of)
{
    static_assert(STAGES == GROUP / 32, "a warp for each stage");
    constexpr int PANELS = 1 + N / 64 + (FOR == SEGMENT ? 0 : N / 64);
    const int stage = group_warp(), x_col = of.head * HEADDIM, B_col = of.head / (a.d.heads / a.d.groups) * N;
    bf16 *const x = sh.x[stage], *const B = sh.B[stage], *const C = sh.C[stage];
    fwd_steps &to = sh.steps[stage];
    uint64_t *const full = &sh.full[stage];
    step_maker steps(a, of.head);
    walk<FOR> w(a, of);
    int ahead = stage + 1; /* from where the way is to the warp's next tile */
    for (int turn = 0;; turn++) {
#pragma unroll 1
        for (; ahead > 0; ahead--)
            w.next();
        ahead = STAGES;
        const tile_place at = w.at();
        steps.load(at);
        if (turn > 0)
            barrier_wait(&sh.empty[stage], turn - 1);
        if (at.len == TILE && lane_id() == 0) {
            box_load(x, a.x_panels, at.row, x_col, full);
#pragma unroll
            for (int i = 0; i < N / 64; i++)
                box_load(B + i * PANEL, a.B_panels, at.row, B_col + 64 * i, full);
#pragma unroll
            for (int i = 0; FOR != SEGMENT && i < N / 64; i++)
                box_load(C + i * PANEL, a.C_panels, at.row, B_col + 64 * i, full);
        }
        const int kept = FOR == TRAINING && w.in_chunk == 0 ? (w.chunk * a.d.heads + of.head) * HEADDIM : -1;
        if (lane_id() == 0)
            *(int4 *)&to.row = make_int4((int)at.row, at.len, kept, w.left > at.len);
        if (at.len == 0) {
            warp_arrive(full);
            break;
        }
        if (at.len < TILE) {
            rows_copy<HEADDIM>(x, a.x.row(at.row) + x_col, a.x.ld, at.len);
            rows_copy<N>(B, a.B.row(at.row) + B_col, a.B.ld, at.len);
            if (FOR != SEGMENT)
                rows_copy<N>(C, a.C.row(at.row) + B_col, a.C.ld, at.len);
        }
        float2 dt, cum;
        steps.make(dt, cum, at);
        if (at.len < TILE) {
            copies_wait_all();
            fence_async();
        }
        steps.put(to, dt, cum, at);
        __syncwarp();
        if (lane_id() == 0)
            barrier_arrive_expecting(full, at.len < TILE ? 0 : PANELS * PANEL * (int)sizeof(bf16));
    }
}

/* The head's state in the document's slot. */
template <int N> __device__ __forceinline__ void *slot_of(const fwd_kernel_args &a, const share &w, int doc)
{
    const int64_t at = a.s.slot[doc] * a.state.stride + (int64_t)w.head * HEADDIM * N;
    return (char *)a.state.data + at * (a.state.dtype == F32 ? 4 : 2);
}
/* The state that a document, or the block's segment of it, begins with: columns 64 panel.., the group's warp having rows.. */
template <int N, fwd_task FOR>
__device__ __forceinline__ void begin_state(float (&S)[2][4][4], const fwd_kernel_args &a, const share &w, int doc, int rows, int panel)
{
    constexpr int64_t SIZE = HEADDIM * N;
    int segment = 0, segments = 1, first_place = 0;
    if (FOR != TRAINING && a.places.most > 1) {
        const segment_of_document at(a, doc, w.place);
        segment = at.index, segments = at.count, first_place = at.first_place;
    }
    auto part = [&](int i) { return (int64_t)(first_place + i) * a.d.heads + w.head; };
    if (FOR == INFERENCE && segments > 1) {
        state_read<N>(S, a.places.state + part(0) * SIZE, F32, rows, 64 * panel, 0, 32);
        for (int i = 1; i <= segment; i++) {
            float after[2][4][4];
            state_read<N>(after, a.places.state + part(i) * SIZE, F32, rows, 64 * panel, 0, 32);
            scale(S, a.places.decay[part(i)]);
            add(S, after);
        }
    } else if (a.state.data && segment == 0) {
        state_read<N>(S, slot_of<N>(a, w, doc), a.state.dtype, rows, 64 * panel, 0, 32);
    } else {
        zero(S);
    }
    if (FOR == SEGMENT) { /* in step 2, the last segment may overwrite the document's state before others have started */
        if (segment == 0)
            state_write<N>(S, a.places.state + part(0) * SIZE, F32, rows, 64 * panel, 0, 32);
        zero(S);
    }
}
/* Columns 64 panel.. of the state. */
template <int N, fwd_task FOR>
__device__ __forceinline__ void carry_state(fwd_shared<N> &sh, const fwd_kernel_args &a, const share &w, int panel)
{
    const int rows = group_warp() * 16;
    float S[2][4][4], decay = 1;
    for (int doc = w.doc, tile = 0; doc < w.end_doc; doc++) {
        begin_state<N, FOR>(S, a, w, doc, rows, panel);
        bool goes_on;
        do {
            const int stage = tile % STAGES, turn = tile % OUTPUTS;
            barrier_wait(&sh.full[stage], tile / STAGES);
            const fwd_steps &steps = sh.steps[stage];
            const float end = steps.cum[TILE - 1];
            const int kept = steps.kept; /* asked for early, too */
            goes_on = steps.goes_on;
            uint32_t xs[TILE / 16][4]; /* x_j, later times exp(cum_end - cum_j) dt_j: asked for long before it is wanted */
#pragma unroll
            for (int k = 0; k < TILE / 16; k++)
                load_a<true, 64>(xs[k], sh.x[stage], rows, 16 * k);
            bf16 *const high_part = sh.S[turn][0] + panel * PANEL, *const low_part = sh.S[turn][1] + panel * PANEL;
            if (FOR != SEGMENT) {
                if (tile >= OUTPUTS)
                    barrier_wait(&sh.S_empty[turn], tile / OUTPUTS - 1);
                if (FOR == TRAINING) {
                    boxes_read();
                    __syncwarp();
                }
                int lane = lane_id();
                asm volatile("" : "+r"(lane)); /* places are worked out anew in each turn: there are no registers to keep them in */
#pragma unroll
                for (int n = 0; n < 64; n += 16) {
                    uint32_t high[4], low[4];
#pragma unroll
                    for (int i = 0; i < 4; i++) {
                        const float *s = &S[n / 32][n % 32 / 8 + i / 2][i % 2 * 2];
                        split2(s[0], s[1], high[i], low[i]);
                    }
                    const int o = at<64>(rows + (lane & 15), (lane >> 4) * 8) ^ n;
                    store_matrices(high_part + o, high);
                    store_matrices(low_part + o, low);
                }
                fence_async();
                barrier_arrive(&sh.S_full[turn]);
            }
            if (FOR == TRAINING && kept >= 0) {
                __syncwarp();
                if (lane_id() == 0)
                    box_store(a.states_rows, high_part + rows * 64, kept + rows, 64 * panel);
            }
#pragma unroll
            for (int k = 0; k < TILE / 16; k++) {
                const float4 from = *(const float4 *)steps.from[k][lane_id() & 3];
                const float w[4] = {exp2_fast(end - from.x), exp2_fast(end - from.y), exp2_fast(end - from.z), exp2_fast(end - from.w)};
#pragma unroll
                for (int i = 0; i < 4; i++)
                    xs[k][i] = pack2(low2(xs[k][i]) * w[i / 2 * 2], high2(xs[k][i]) * w[i / 2 * 2 + 1]);
            }
            const float tile_decay = exp2_fast(end);
            scale(S, tile_decay);
            if (FOR == SEGMENT)
                decay *= tile_decay;
            product_begin(S, xs);
#pragma unroll
            for (int k = 0; k < TILE / 16; k++)
                product<true>(S, xs[k], panel_by_col(sh.B[stage] + panel * PANEL, k), true);
            product_commit();
            product_end<0>(S, xs);
            warp_arrive(&sh.empty[stage]);
            tile++;
        } while (goes_on);
        if (FOR == SEGMENT) {
            const int64_t part = (int64_t)(w.place + 1) * a.d.heads + w.head;
            state_write<N>(S, a.places.state + part * HEADDIM * N, F32, rows, 64 * panel, 0, 32);
            if (panel == 0 && threadIdx.x % GROUP == 0)
                a.places.decay[part] = decay;
        } else if (a.state.data && w.place < 0) {
            state_write<N>(S, slot_of<N>(a, w, doc), a.state.dtype, rows, 64 * panel, 0, 32);
        }
    }
    if (FOR == TRAINING)
        boxes_read();
}

/* M is a triangle: warp w has the tokens 8 w.. and 56 - 8 w.., in all as much of it as any other. */
template <int N> __device__ __forceinline__ void make_outputs(fwd_shared<N> &sh, const fwd_kernel_args &a, int head, int turn)
{
    const int warp = group_warp(), block[2] = {warp, TILE / 8 - 1 - warp};
    const int row[2] = {8 * block[0] + frag_row(), 8 * block[1] + frag_row()}; /* this lane's */
    const int C_at = at<64>(8 * (lane_id() & 8 ? block[1] : block[0]) + (lane_id() & 7), (lane_id() >> 4) * 8);
    const int after = frag_row() - frag_col(); /* in a block on the diagonal, this lane's first column is so far before its row */
    const float D0 = after == 0 ? a.D[head] : 0.f, D1 = after == 1 ? a.D[head] : 0.f;
    float G[2][4][4], y[2][4][4];
    zero(G);
    zero(y);
    for (int tile = turn;; tile += OUTPUTS) {
        const int stage = tile % STAGES;
        barrier_wait(&sh.full[stage], tile / STAGES);
        const fwd_steps &steps = sh.steps[stage];
        if (steps.len == 0)
            break;
        uint32_t C[N / 16][4];
#pragma unroll
        for (int k = 0; k < N / 16; k++)
            load_matrices(C[k], sh.C[stage] + k / 4 * PANEL + (C_at ^ k % 4 * 16));
        product_begin(G, C);
#pragma unroll
        for (int k = 0; k < N / 16; k++)
            product<false>(G, C[k], panel_by_row(sh.B[stage], k), k > 0);
        product_commit();
        const float cum[2] = {steps.cum[row[0]], steps.cum[row[1]]};
        product_end<0>(G, C);
        uint32_t M[PARTS][TILE / 16][4] = {};
#pragma unroll
        for (int j = 0; j < TILE / 8; j++) {
            const float2 from = *(const float2 *)&steps.from[j / 2][lane_id() & 3][j % 2 * 2];
#pragma unroll
            for (int half = j < TILE / 16 ? 0 : 1; half < 2; half++)
                if (j <= block[half]) {
                    const float *g = &G[j / 4][j % 4][2 * half];
                    float m0 = g[0] * exp2_fast(cum[half] - from.x), m1 = g[1] * exp2_fast(cum[half] - from.y);
                    if (j == block[half]) {
                        m0 = after >= 0 ? m0 + D0 : 0.f;
                        m1 = after >= 1 ? m1 + D1 : 0.f;
                    }
                    split2(m0, m1, M[0][j / 2][j % 2 * 2 + half], M[1][j / 2][j % 2 * 2 + half]);
                }
        }
        barrier_wait(&sh.S_full[turn], tile / OUTPUTS);
        product_begin(y, C);
#pragma unroll
        for (int part = 0; part < PARTS; part++)
#pragma unroll
            for (int k = 0; k < N / 16; k++)
                product<false>(y, C[k], panel_by_row(sh.S[turn][part], k), part + k > 0);
        product_commit();
        product_end<0>(y, C);
        warp_arrive(&sh.S_empty[turn]);
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const float f = exp2_fast(cum[half]);
#pragma unroll
            for (int j = 0; j < 8; j++)
                y[j / 4][j % 4][2 * half] *= f, y[j / 4][j % 4][2 * half + 1] *= f;
        }
        product_begin(y, M[0], M[1]);
#pragma unroll
        for (int part = 0; part < PARTS; part++)
#pragma unroll
            for (int k = 0; k < TILE / 16; k++)
                product<true>(y, M[part][k], panel_by_col(sh.x[stage], k), true);
        product_commit();
        const int2 place = *(const int2 *)&steps.row;
        const int from = lane_id() / 8, col = lane_id() % 8 * 8; /* the row of a block, with the fourth after it, that this lane stores */
        bf16 *to = a.y.row(place.x) + head * HEADDIM + col, *const out = sh.C[stage]; /* where the warp is done with its rows */
        product_end<0>(y, M[0], M[1]);
#pragma unroll
        for (int j = 0; j < 8; j += 2) {
            const float *v[2] = {y[j / 4][j % 4], y[j / 4][j % 4 + 1]};
            const uint32_t r[4] = {pack2(v[0][0], v[0][1]), pack2(v[0][2], v[0][3]), pack2(v[1][0], v[1][1]), pack2(v[1][2], v[1][3])};
            store_matrices(out + (C_at ^ 8 * j), r);
        }
        __syncwarp();
        uint4 pieces[4];
#pragma unroll
        for (int i = 0; i < 4; i++)
            pieces[i] = *(const uint4 *)(out + at<64>(8 * block[i / 2] + from + i % 2 * 4, col));
        fence_async();
        warp_arrive(&sh.empty[stage]);
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const int r = 8 * block[i / 2] + from + i % 2 * 4;
            if (r < place.y)
                store16(to + r * a.y.ld, pieces[i]);
        }
    }
}
#endif

/* Empty in code for other cards, which never runs it. */
template <int N, fwd_task FOR>
__global__ void __launch_bounds__(FWD_THREADS<N, FOR>, FOR == SEGMENT ? 2 : 1) fwd_kernel(const __grid_constant__ fwd_kernel_args a)
{
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
    fwd_shared<N> &sh = *(fwd_shared<N> *)shared_block();
    constexpr int STATES = N / 64; /* warpgroups that carry the state */
    const share w(a, FOR);
    if (w.doc == w.end_doc) /* no document's middle lies in the share, or a place more than the document needs */
        return;
    if (threadIdx.x == 0) {
        for (int i = 0; i < STAGES; i++) {
            barrier_init(&sh.full[i], 1);
            barrier_init(&sh.empty[i], (STATES + (FOR != SEGMENT)) * GROUP / 32); /* the warps of the state and of the tile's outputs */
        }
        for (int i = 0; i < OUTPUTS; i++) {
            barrier_init(&sh.S_full[i], STATES * GROUP);
            barrier_init(&sh.S_empty[i], GROUP / 32);
        }
        fence_async();
    }
    __syncthreads();
    const int role = group_of_thread();
    if (role == 0) {
        registers_less<COPY_REGISTERS<N, FOR>>();
        copy_tiles<N, FOR>(sh, a, w);
    } else if (role <= STATES) {
        if (N == 128 && FOR == SEGMENT)
            registers_more<STATE_REGISTERS<N, FOR>>();
        else
            registers_less<STATE_REGISTERS<N, FOR>>();
        carry_state<N, FOR>(sh, a, w, role - 1);
    } else if constexpr (FOR != SEGMENT) {
        registers_more<OUTPUT_REGISTERS<N>>();
        make_outputs<N>(sh, a, w.head, role - 1 - STATES);
    }
#endif
}

static_assert(FWD_SHARED<128, INFERENCE> <= 227 * 1024, "what a Hopper gives one block");

template <int N, fwd_task FOR> void run(const fwd_kernel_args &k, int64_t walks)
{
    launch(fwd_kernel<N, FOR>, walks * k.d.heads, FWD_THREADS<N, FOR>, FWD_SHARED<N, FOR>, k);
}
template <int N> void run(const struct ssd_fwd_args &a)
{
    if (a.s.n == 0)
        return;
    segment_places places = {dev_is_exact() ? 1 : segments_of(a.d.heads, a.s.max_len), 0, (float *)a.scratch, NULL};
    places.n = places_before(a.s.n, a.s.tokens, places.most);
    places.decay = places.state + places.n * a.d.heads * HEADDIM * N;
    const mat states = mat_make(a.states, BF16, (int64_t)a.s.n_chunk * a.d.heads * HEADDIM, N);
    fwd_kernel_args k = {boxes_of(a.in.x, a.s.tokens, TILE),
                         boxes_of(a.in.B, a.s.tokens, TILE),
                         boxes_of(a.in.C, a.s.tokens, TILE),
                         a.states ? boxes_of(states, states.rows, WARP_ROWS) : CUtensorMap(),
                         tokens_of<bf16>(a.in.x),
                         tokens_of<bf16>(a.in.B),
                         tokens_of<bf16>(a.in.C),
                         tokens_of<bf16>(a.in.dt),
                         tokens_of<bf16>(a.y),
                         a.in.dt_bias,
                         a.in.A_log,
                         a.in.D,
                         a.dt,
                         a.cum,
                         a.d,
                         a.s,
                         a.state,
                         places,
                         ssd_shares(a.d.heads, a.s, 1)};
    if (a.states) {
        run<N, TRAINING>(k, k.shares);
    } else {
        const int64_t others = places.n > 0 ? places.n - 1 : 0; /* the last place of all is no segment's to walk */
        run<N, SEGMENT>(k, others);
        run<N, INFERENCE>(k, k.shares + others);
    }
}
} // namespace

bool ssd_fwd_wgmma_runs(void)
{
    static const bool runs = [] {
        cudaFuncAttributes loaded;
        cuda_ok(cudaFuncGetAttributes(&loaded, fwd_kernel<128, INFERENCE>));
        return loaded.binaryVersion == 90;
    }();
    return runs;
}

size_t ssd_fwd_wgmma_scratch(struct ssd_dims d, int64_t tokens, int32_t max_docs)
{
    const int64_t places = places_before(max_docs, tokens, segments_of(d.heads, tokens));
    return (size_t)(places * d.heads * (d.headdim * d.state + 1)) * sizeof(float);
}

void ssd_fwd_wgmma(const struct ssd_fwd_args &a)
{
    if (a.d.state == 64)
        run<64>(a);
    else
        run<128>(a);
}
