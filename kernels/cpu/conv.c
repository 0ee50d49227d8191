/* kernels/cpu/conv.c - kernels/conv.h, vectors over channels: the K inputs of a row are K row pointers, which may point into the sequence,
 * at the document's state, or at zeros, so that one loop serves every row. */
#include "kernels/conv.h"
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/vmath.h"
#include <string.h>

enum {
    MAX_K = 4,
    CHANNELS = 128, /* of a task: K + 1 rows of weights and the tile of gradients stay in the L1 cache */
    FWD_ROWS = 64,  /* of a task */
    BWD_ROWS = 32,  /* of a tile of the backward */
    BWD_TILES = 8,  /* tiles of a task, which share one partial sum of dw and db */
};
static const float zeros[CHANNELS];

/* The document of row t. */
static int32_t doc_of(struct seqs s, int64_t t)
{
    int32_t low = 0, high = s.n - 1;
    while (low < high) {
        int32_t mid = (low + high + 1) / 2;
        if (s.start[mid] <= t)
            low = mid;
        else
            high = mid - 1;
    }
    return low;
}

/* Taps of channels first .. first+n-1, tap by tap. */
static void load_weights(float wt[MAX_K][CHANNELS], const float *w, int k, int64_t first, int64_t n)
{
    for (int64_t c = 0; c < n; c++)
        for (int i = 0; i < k; i++)
            wt[i][c] = w[(first + c) * k + i];
}

/* The K inputs of row t of document d, oldest first. */
static void inputs(const float *in[MAX_K], mat x, int k, struct seqs s, int32_t d, int64_t t, struct state_view state, int64_t first)
{
    int64_t row = t - s.start[d]; /* inputs before the document's row 0 are rows k-1 + (negative) of its state */
    for (int i = 0; i < k; i++) {
        int64_t at = row - k + 1 + i;
        if (at >= 0)
            in[i] = cpu_row(x, t - k + 1 + i) + first;
        else if (state.data)
            in[i] = (const float *)state.data + s.slot[d] * state.stride + (k - 1 + at) * x.cols + first;
        else
            in[i] = zeros;
    }
}

/* b + sum of taps, in the order of the taps; k is a constant where this is inlined. */
#define PRE(k)                                                                                                                             \
    (b[c] + wt[0][c] * in[0][c] + wt[1][c] * in[1][c] + ((k) > 2 ? wt[2][c] * in[2][c] : 0.0f) + ((k) > 3 ? wt[3][c] * in[3][c] : 0.0f))

static inline __attribute__((always_inline)) void fwd_row(int k, float *restrict y, const float *in[MAX_K], float wt[MAX_K][CHANNELS],
                                                          const float *b, int64_t n)
{
#pragma omp simd
    for (int64_t c = 0; c < n; c++)
        y[c] = vsiluf(PRE(k));
}

/* The last k-1 inputs of every document to its state. Row r of the new state is input len-k+1+r, which may be row len+r of the old one:
 * the rows move down, so rising r never overwrites what is still to be read. */
static void keep_state(mat x, int k, struct seqs s, struct state_view state)
{
    size_t row = (size_t)x.cols * sizeof(float);
#pragma omp parallel for schedule(static) if (s.n * x.cols > CPU_SERIAL)
    for (int32_t d = 0; d < s.n; d++) {
        float *to = (float *)state.data + s.slot[d] * state.stride;
        int64_t len = s.start[d + 1] - s.start[d];
        for (int64_t r = 0; r < k - 1; r++) {
            int64_t at = len - k + 1 + r;
            memcpy(to + r * x.cols, at >= 0 ? cpu_row(x, s.start[d] + at) : to + (len + r) * x.cols, row);
        }
    }
}

/* Channels first .. first+n-1 of one token: the weights are read where they are, as they are used once, and the state's rows move down behind
 * the taps. The sum is PRE's. */
static inline __attribute__((always_inline)) void step_row(int k, float *restrict y, float *restrict state, const float *restrict x,
                                                           int64_t ld, const float *restrict w, const float *restrict b, int64_t n)
{
#pragma omp simd
    for (int64_t c = 0; c < n; c++) {
        float *old = state + c, last = x[c];
        float sum = b[c] + w[c * k] * old[0] + w[c * k + 1] * (k > 2 ? old[ld] : last);
        if (k > 2)
            sum += w[c * k + 2] * (k > 3 ? old[2 * ld] : last);
        if (k > 3)
            sum += w[c * k + 3] * last;
        y[c] = vsiluf(sum);
        old[0] = k > 2 ? old[ld] : last;
        if (k > 2)
            old[ld] = k > 3 ? old[2 * ld] : last;
        if (k > 3)
            old[2 * ld] = last;
    }
}

/* Every document has one token. */
static void step(mat y, mat x, const float *w, const float *b, int k, struct seqs s, struct state_view state)
{
    int64_t blocks = (x.cols + CHANNELS - 1) / CHANNELS;
#pragma omp parallel for schedule(static) if (x.rows * x.cols > CPU_SERIAL)
    for (int64_t task = 0; task < x.rows * blocks; task++) {
        int64_t d = task / blocks, first = task % blocks * CHANNELS, n = cpu_min(CHANNELS, x.cols - first);
        float *out = cpu_row(y, d) + first, *old = (float *)state.data + s.slot[d] * state.stride + first;
        const float *in = cpu_row(x, d) + first;
        if (k == 4)
            step_row(4, out, old, in, x.cols, w + first * k, b + first, n);
        else if (k == 3)
            step_row(3, out, old, in, x.cols, w + first * k, b + first, n);
        else
            step_row(2, out, old, in, x.cols, w + first * k, b + first, n);
    }
}

void conv_fwd(mat y, mat x, const float *w, const float *b, int k, struct seqs s, struct state_view state)
{
    must(x.dtype == F32 && y.dtype == F32 && k >= 2 && k <= MAX_K && x.rows == s.tokens && (!state.data || state.dtype == F32));
    if (s.max_len == 1 && state.data) {
        step(y, x, w, b, k, s, state);
        return;
    }
    int64_t row_blocks = (x.rows + FWD_ROWS - 1) / FWD_ROWS, col_blocks = (x.cols + CHANNELS - 1) / CHANNELS;
#pragma omp parallel for schedule(static) if (x.rows * x.cols > CPU_SERIAL)
    for (int64_t task = 0; task < row_blocks * col_blocks; task++) {
        int64_t t0 = task / col_blocks * FWD_ROWS, t1 = cpu_min(t0 + FWD_ROWS, x.rows);
        int64_t first = task % col_blocks * CHANNELS, n = cpu_min(CHANNELS, x.cols - first);
        float wt[MAX_K][CHANNELS];
        load_weights(wt, w, k, first, n);
        int32_t d = doc_of(s, t0);
        for (int64_t t = t0; t < t1; t++) {
            const float *in[MAX_K];
            if (t == s.start[d + 1])
                d++;
            inputs(in, x, k, s, d, t, state, first);
            float *out = cpu_row(y, t) + first;
            if (k == 4)
                fwd_row(4, out, in, wt, b + first, n);
            else if (k == 3)
                fwd_row(3, out, in, wt, b + first, n);
            else
                fwd_row(2, out, in, wt, b + first, n);
        }
    }
    if (state.data)
        keep_state(x, k, s, state);
}

/* dpre = dy silu'(pre); sums of dpre times each input and of dpre alone, when the row is the task's own, go to part. */
static inline __attribute__((always_inline)) void bwd_row(int k, bool own, float *restrict dpre, float part[MAX_K + 1][CHANNELS],
                                                          const float *dy, const float *in[MAX_K], float wt[MAX_K][CHANNELS],
                                                          const float *b, int64_t n)
{
#pragma omp simd
    for (int64_t c = 0; c < n; c++) {
        float pre = PRE(k), sig = vsigmoidf(pre);
        float g = dy[c] * sig * (1.0f + pre * (1.0f - sig));
        dpre[c] = g;
        if (own) {
            part[0][c] += g * in[0][c];
            part[1][c] += g * in[1][c];
            if (k > 2)
                part[2][c] += g * in[2][c];
            if (k > 3)
                part[3][c] += g * in[3][c];
            part[k][c] += g;
        }
    }
}

/* dx_u = sum_j w[k-1-j] dpre_{u+j}. */
static inline __attribute__((always_inline)) void dx_row(int k, float *restrict dx, const float *after[MAX_K], float wt[MAX_K][CHANNELS],
                                                         int64_t n)
{
#pragma omp simd
    for (int64_t c = 0; c < n; c++) {
        float sum = wt[k - 1][c] * after[0][c] + wt[k - 2][c] * after[1][c];
        if (k > 2)
            sum += wt[k > 2 ? k - 3 : 0][c] * after[2][c];
        if (k > 3)
            sum += wt[0][c] * after[3][c];
        dx[c] = sum;
    }
}

struct bwd {
    mat dx, dy, x;
    const float *w, *b;
    struct seqs s;
};

/* Rows t0 .. t1-1 and channels first .. first+n-1: dx, and their share of dw and db added to part. */
static inline __attribute__((always_inline)) void bwd_tile(int k, const struct bwd *a, float part[MAX_K + 1][CHANNELS],
                                                           float wt[MAX_K][CHANNELS], int64_t t0, int64_t t1, int64_t first, int64_t n)
{
    float dpre[BWD_ROWS + MAX_K - 1][CHANNELS];
    const struct state_view none = {0};
    int32_t d0 = doc_of(a->s, t0), d = d0;
    /* The k-1 rows after the tile, if they are still of the last row's document, are computed here again. */
    for (int64_t t = t0; t < t1 + k - 1; t++) {
        if (t == a->s.start[d + 1]) {
            if (t >= t1)
                break;
            d++;
        }
        const float *in[MAX_K], *dy = cpu_row(a->dy, t) + first;
        inputs(in, a->x, k, a->s, d, t, none, first);
        if (t < t1)
            bwd_row(k, true, dpre[t - t0], part, dy, in, wt, a->b + first, n);
        else
            bwd_row(k, false, dpre[t - t0], part, dy, in, wt, a->b + first, n);
    }
    d = d0;
    for (int64_t t = t0; t < t1; t++) {
        const float *after[MAX_K];
        if (t == a->s.start[d + 1])
            d++;
        for (int j = 0; j < k; j++)
            after[j] = t + j < a->s.start[d + 1] ? dpre[t + j - t0] : zeros;
        dx_row(k, cpu_row(a->dx, t) + first, after, wt, n);
    }
}

size_t conv_scratch(int64_t tokens, int64_t channels, int k)
{
    int64_t blocks = (tokens + BWD_ROWS * BWD_TILES - 1) / (BWD_ROWS * BWD_TILES);
    return (size_t)(blocks * (k + 1) * channels) * sizeof(float);
}

void conv_bwd(mat dx, float *dw, float *db, mat dy, mat x, const float *w, const float *b, int k, struct seqs s, void *scratch)
{
    must(x.dtype == F32 && dy.dtype == F32 && dx.dtype == F32 && dx.data != dy.data && k >= 2 && k <= MAX_K && x.rows == s.tokens);
    const struct bwd a = {dx, dy, x, w, b, s};
    float *parts = scratch; /* [row_blocks][k + 1][cols] */
    const int64_t rows = BWD_ROWS * BWD_TILES, cols = x.cols;
    int64_t row_blocks = (x.rows + rows - 1) / rows, col_blocks = (cols + CHANNELS - 1) / CHANNELS;
#pragma omp parallel for schedule(static) if (x.rows * cols > CPU_SERIAL)
    for (int64_t task = 0; task < row_blocks * col_blocks; task++) {
        int64_t first = task % col_blocks * CHANNELS, n = cpu_min(CHANNELS, cols - first), block = task / col_blocks;
        float wt[MAX_K][CHANNELS], part[MAX_K + 1][CHANNELS] = {{0}};
        load_weights(wt, w, k, first, n);
        for (int64_t t0 = block * rows; t0 < cpu_min((block + 1) * rows, x.rows); t0 += BWD_ROWS) {
            int64_t t1 = cpu_min(t0 + BWD_ROWS, x.rows);
            if (k == 4)
                bwd_tile(4, &a, part, wt, t0, t1, first, n);
            else if (k == 3)
                bwd_tile(3, &a, part, wt, t0, t1, first, n);
            else
                bwd_tile(2, &a, part, wt, t0, t1, first, n);
        }
        for (int i = 0; i <= k; i++)
            memcpy(parts + (block * (k + 1) + i) * cols + first, part[i], (size_t)n * sizeof(float));
    }
    /* The partial sums in the order of the rows, whoever computed them. */
#pragma omp parallel for schedule(static) if (row_blocks * cols > CPU_SERIAL)
    for (int64_t c = 0; c < cols; c++)
        for (int i = 0; i <= k; i++) {
            float *sum = i < k ? dw + c * k + i : db + c;
            for (int64_t block = 0; block < row_blocks; block++)
                *sum += parts[(block * (k + 1) + i) * cols + c];
        }
}
