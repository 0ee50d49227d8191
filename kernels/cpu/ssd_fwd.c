/* kernels/cpu/ssd_fwd.c - the scan over whole sequences, forward (kernels/ssd.h). Three passes, each of independent pieces of work:
 *
 *   1. chunk:                       the steps dt, and their sums
 *   2. document, head, some rows:   the state entering each chunk: S' = last S + sum_j out_j (dt_j x_j) (outer) B_j
 *   3. chunk, group:                C B^T once for the group's heads; per head y_i = sum_{j<=i} (C_i . B_j) decay_ij dt_j x_j
 *                                   + in_i S C_i + D x_i
 *
 * Only pass 2 walks a document in order, and it is the smallest; which thread does which piece changes nothing.
 */
#include "core/err.h"
#include "kernels/cpu/ssd_chunk.h"
#include "kernels/cpu/vmath.h"
#include <math.h>
#include <string.h>

static void steps(float *dt, float *cum, struct ssd_in in, struct ssd_dims d, const struct seqs *s)
{
    const int64_t H = d.heads;
#pragma omp parallel for schedule(static)
    for (int64_t c = 0; c < s->n_chunk; c++) {
        struct ssd_span at = ssd_span(s, c);
        for (int64_t i = 0; i < at.q; i++) {
            const float *from = cpu_row(in.dt, at.row + i);
            float *to = dt + (at.row + i) * H;
#pragma omp simd
            for (int64_t h = 0; h < H; h++)
                to[h] = vsoftplusf(from[h] + in.dt_bias[h]);
        }
        for (int64_t h = 0; cum && h < H; h++) {
            double A = -exp((double)in.A_log[h]), sum = 0.0;
            for (int64_t i = at.row; i < at.row + at.q; i++) {
                sum += A * (double)dt[i * H + h];
                cum[i * H + h] = (float)sum;
            }
        }
    }
}

/* n elements of a slot, from element at on. */
static void state_read(float *to, struct state_view v, int64_t at, int64_t n)
{
    if (v.dtype == F32) {
        memcpy(to, (const float *)v.data + at, (size_t)n * sizeof(float));
        return;
    }
    for (int64_t i = 0; i < n; i++)
        to[i] = bf16_to_f32(((const uint16_t *)v.data)[at + i]);
}
static void state_write(struct state_view v, int64_t at, const float *from, int64_t n)
{
    if (v.dtype == F32) {
        memcpy((float *)v.data + at, from, (size_t)n * sizeof(float));
        return;
    }
    for (int64_t i = 0; i < n; i++)
        ((uint16_t *)v.data)[at + i] = f32_to_bf16(from[i]);
}

struct chain_work {
    struct ssd_decay decay;
    float *S; /* [P, N] */
    float *u; /* [Q, P] */
};
static void chain_layout(struct chain_work *w, struct arena *a, struct ssd_dims d, int32_t chunk)
{
    ssd_decay_layout(&w->decay, a, chunk);
    w->S = ssd_floats(a, (int64_t)d.headdim * d.state);
    w->u = ssd_floats(a, (int64_t)chunk * d.headdim);
}

/* Rows p0 .. p0+np-1 of head h's state through document doc; states [n_chunk, H, P, N]. */
static void chain(float *states, const float *dt, struct ssd_in in, struct ssd_dims d, const struct seqs *s, struct state_view state,
                  struct chain_work *w, int32_t doc, int64_t h, int64_t p0, int64_t np)
{
    const int64_t P = d.headdim, N = d.state, H = d.heads, g = h / (H / d.groups), row = (h * P + p0) * N;
    if (state.data)
        state_read(w->S, state, s->slot[doc] * state.stride + row, np * N);
    else
        memset(w->S, 0, (size_t)(np * N) * sizeof(float));
    for (int64_t c = s->first_chunk[doc]; c < s->first_chunk[doc + 1]; c++) {
        struct ssd_span at = ssd_span(s, c);
        memcpy(states + c * H * P * N + row, w->S, (size_t)(np * N) * sizeof(float));
        if (at.last && !state.data)
            break;
        ssd_decay_fill(&w->decay, dt + at.row * H + h, H, at.q, (double)in.A_log[h]);
        for (int64_t i = 0; i < at.q; i++) {
            const float *x = cpu_row(in.x, at.row + i) + h * P + p0;
            float scale = w->decay.out[i] * w->decay.dt[i], *u = w->u + i * np;
#pragma omp simd
            for (int64_t p = 0; p < np; p++)
                u[p] = scale * x[p];
        }
        ssd_mm(np, N, at.q, w->u, 1, np, cpu_row(in.B, at.row) + g * N, in.B.ld, w->decay.last, w->S, N);
    }
    if (state.data)
        state_write(state, s->slot[doc] * state.stride + row, w->S, np * N);
}

struct out_work {
    struct ssd_decay decay;
    float *BT;       /* [N, Q] */
    float *C;        /* [Q, N] */
    float *cb, *m;   /* [Q, Q] */
    float *line;     /* [Q] */
    float *u;        /* [Q, P] dt x */
    float *ST;       /* [N, P] */
    float *y, *y_in; /* [Q, P] from the chunk's tokens; from the entering state, before its decay */
};
static void out_layout(struct out_work *w, struct arena *a, struct ssd_dims d, int32_t chunk)
{
    const int64_t P = d.headdim, N = d.state, Q = chunk, ld = ssd_round(Q);
    ssd_decay_layout(&w->decay, a, chunk);
    w->BT = ssd_floats(a, N * ld);
    w->C = ssd_floats(a, Q * N);
    w->cb = ssd_floats(a, Q * ld);
    w->m = ssd_floats(a, Q * ld);
    w->line = ssd_floats(a, ld);
    w->u = ssd_floats(a, Q * P);
    w->ST = ssd_floats(a, N * P);
    w->y = ssd_floats(a, Q * P);
    w->y_in = ssd_floats(a, Q * P);
}

/* y of group g's heads in one chunk. from_zero: nothing enters the document's first chunk. */
static void outputs(mat y, const float *states, const float *dt, struct ssd_in in, struct ssd_dims d, struct ssd_span at, int64_t g,
                    bool from_zero, struct out_work *w)
{
    const int64_t P = d.headdim, N = d.state, H = d.heads, q = at.q, ld = ssd_round(q), per = H / d.groups;
    ssd_transpose(w->BT, ld, cpu_row(in.B, at.row) + g * N, in.B.ld, q, N);
    for (int64_t i = 0; i < q; i++)
        memcpy(w->C + i * N, cpu_row(in.C, at.row + i) + g * N, (size_t)N * sizeof(float));
    for (int64_t i = 0; i < q; i += SSD_BLOCK)
        ssd_mm(cpu_min(SSD_BLOCK, q - i), i + SSD_BLOCK, N, w->C + i * N, N, 1, w->BT, ld, 0.0f, w->cb + i * ld, ld);
    for (int64_t h = g * per; h < (g + 1) * per; h++) {
        const bool enters = !(at.first && from_zero);
        ssd_decay_fill(&w->decay, dt + at.row * H + h, H, q, (double)in.A_log[h]);
        ssd_decay_matrix(w->m, w->cb, ld, w->line, 0, &w->decay, q);
        for (int64_t i = 0; i < q; i++) {
            const float *x = cpu_row(in.x, at.row + i) + h * P;
            float *u = w->u + i * P, step = w->decay.dt[i];
#pragma omp simd
            for (int64_t p = 0; p < P; p++)
                u[p] = step * x[p];
        }
        for (int64_t i = 0; i < q; i += SSD_BLOCK) {
            int64_t rows = cpu_min(SSD_BLOCK, q - i);
            ssd_mm(rows, P, i + rows, w->m + i * ld, ld, 1, w->u, P, 0.0f, w->y + i * P, P);
        }
        if (enters) {
            ssd_transpose(w->ST, P, states + h * P * N, N, P, N);
            ssd_mm(q, P, N, w->C, N, 1, w->ST, P, 0.0f, w->y_in, P);
        }
        for (int64_t i = 0; i < q; i++) {
            const float *x = cpu_row(in.x, at.row + i) + h * P, *own = w->y + i * P, *old = w->y_in + i * P;
            float *to = cpu_row(y, at.row + i) + h * P, skip = in.D[h], keep = w->decay.in[i];
            if (enters) {
#pragma omp simd
                for (int64_t p = 0; p < P; p++)
                    to[p] = own[p] + keep * old[p] + skip * x[p];
            } else {
#pragma omp simd
                for (int64_t p = 0; p < P; p++)
                    to[p] = own[p] + skip * x[p];
            }
        }
    }
}

size_t ssd_fwd_own(struct ssd_dims d, int32_t chunk)
{
    struct arena a = {0}, b = {0};
    chain_layout(&(struct chain_work){0}, &a, d, chunk);
    out_layout(&(struct out_work){0}, &b, d, chunk);
    return a.used > b.used ? a.used : b.used;
}

void ssd_fwd(mat y, struct ssd_kept keep, struct ssd_in in, struct ssd_dims d, struct seqs s, struct state_view state, void *scratch)
{
    must(in.x.dtype == F32 && d.heads % d.groups == 0);
    const struct ssd_room room = ssd_room(scratch, d, &s, 0);
    const int64_t P = d.headdim, H = d.heads, entering = H * P * d.state, rows = ssd_state_rows(d, s.n), cuts = (P + rows - 1) / rows;
    float *dt = keep.dt ? keep.dt : room.dt, *states = keep.states ? keep.states : room.states;

    steps(dt, keep.cum, in, d, &s);
#pragma omp parallel
    {
        struct arena own = ssd_room_own(&room);
        struct chain_work w;
        chain_layout(&w, &own, d, s.chunk);
#pragma omp for collapse(3) schedule(dynamic)
        for (int32_t doc = 0; doc < s.n; doc++)
            for (int64_t h = 0; h < H; h++)
                for (int64_t cut = 0; cut < cuts; cut++)
                    chain(states, dt, in, d, &s, state, &w, doc, h, cut * rows, cpu_min(rows, P - cut * rows));
    }
#pragma omp parallel
    {
        struct arena own = ssd_room_own(&room);
        struct out_work w;
        out_layout(&w, &own, d, s.chunk);
#pragma omp for collapse(2) schedule(dynamic)
        for (int64_t c = 0; c < s.n_chunk; c++)
            for (int64_t g = 0; g < d.groups; g++)
                outputs(y, states + c * entering, dt, in, d, ssd_span(&s, c), g, !state.data, &w);
    }
}
