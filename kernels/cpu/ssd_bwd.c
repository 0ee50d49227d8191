/* kernels/cpu/ssd_bwd.c - the scan over whole sequences, backward (kernels/ssd.h). Names as in ssd_fwd.c; dS is the gradient of the
 * state that leaves a chunk, zero at a document's end. Three passes:
 *
 *   1. document, head, some rows, from the last chunk:   dS of the chunk before = last dS + sum_i in_i dy_i (outer) C_i
 *   2. chunk, group:                                     all of the chunk's gradients; each chunk's share of those of the weights
 *   3. head:                                             the shares, added in the order of the chunks
 *
 * The gradient of a token t's exponent -exp(A_log) dt_t is the sum over everything that passes t: what the tokens before t give to those
 * from t on inside the chunk, what the entering state gives to those from t on, what those before t give to the leaving state, and what
 * the entering state gives to it. Each part is summed as it stands. (The usual short cut, a running sum of y . dy - u . du, subtracts
 * large numbers where the gradient is small.)
 */
#include "core/err.h"
#include "kernels/cpu/ssd_chunk.h"
#include "kernels/cpu/vmath.h"
#include <math.h>
#include <string.h>

/* y += a x */
static inline void add_scaled(float *y, float a, const float *x, int64_t n)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        y[i] += a * x[i];
}

struct chain_work {
    struct ssd_decay decay;
    float *dS; /* [P, N] */
    float *e;  /* [Q, P] in dy */
};
static void chain_layout(struct chain_work *w, struct arena *a, struct ssd_dims d, int32_t chunk)
{
    ssd_decay_layout(&w->decay, a, chunk);
    w->dS = ssd_floats(a, (int64_t)d.headdim * d.state);
    w->e = ssd_floats(a, (int64_t)chunk * d.headdim);
}

/* Rows p0 .. p0+np-1 of head h's dS through document doc; to [n_chunk, H, P, N]. */
static void chain(float *to, mat dy, const float *dt, struct ssd_in in, struct ssd_dims d, const struct seqs *s, struct chain_work *w,
                  int32_t doc, int64_t h, int64_t p0, int64_t np)
{
    const int64_t P = d.headdim, N = d.state, H = d.heads, g = h / (H / d.groups), row = (h * P + p0) * N;
    memset(w->dS, 0, (size_t)(np * N) * sizeof(float));
    for (int64_t c = s->first_chunk[doc + 1] - 1;; c--) {
        struct ssd_span at = ssd_span(s, c);
        memcpy(to + c * H * P * N + row, w->dS, (size_t)(np * N) * sizeof(float));
        if (at.first)
            return;
        ssd_decay_fill(&w->decay, dt + at.row * H + h, H, at.q, (double)in.A_log[h]);
        for (int64_t i = 0; i < at.q; i++) {
            const float *from = cpu_row(dy, at.row + i) + h * P + p0;
            float keep = w->decay.in[i], *e = w->e + i * np;
#pragma omp simd
            for (int64_t p = 0; p < np; p++)
                e[p] = keep * from[p];
        }
        ssd_mm(np, N, at.q, w->e, 1, np, cpu_row(in.C, at.row) + g * N, in.C.ld, w->decay.last, w->dS, N);
    }
}

struct grad_work {
    struct ssd_decay decay;
    float *B, *C, *BT;   /* [Q, N], [Q, N], [N, Q] */
    float *cb, *dcb;     /* [Q, Q] C B^T and its gradient, summed over the group's heads */
    float *decays;       /* [Q, Q] */
    float *m, *dm;       /* [Q, Q] */
    float *u, *uT;       /* [Q, P] dt x, [P, Q] */
    float *dy, *du;      /* [Q, P] */
    float *dST, *du_out; /* [N, P]; [Q, P] the leaving state's part of du, before its decay */
    float *part;         /* [Q, N] a head's part of dB or dC through the states, before its decay */
    float *dB, *dC;      /* [Q, N] */
    float *passing;      /* [Q] what the rows so far take from each token */
    float *dl;           /* [Q] the gradient of the exponents */
    float *from_in;      /* [Q] what each token takes from the entering state */
    float *to_out;       /* [Q] what each token gives to the leaving state */
};
static void grad_layout(struct grad_work *w, struct arena *a, struct ssd_dims d, int32_t chunk)
{
    const int64_t P = d.headdim, N = d.state, Q = chunk, ld = ssd_round(Q);
    ssd_decay_layout(&w->decay, a, chunk);
    w->B = ssd_floats(a, Q * N);
    w->C = ssd_floats(a, Q * N);
    w->BT = ssd_floats(a, N * ld);
    w->cb = ssd_floats(a, Q * ld);
    w->dcb = ssd_floats(a, Q * ld);
    w->decays = ssd_floats(a, Q * ld);
    w->m = ssd_floats(a, Q * ld);
    w->dm = ssd_floats(a, Q * ld);
    w->u = ssd_floats(a, Q * P);
    w->uT = ssd_floats(a, P * ld);
    w->dy = ssd_floats(a, Q * P);
    w->du = ssd_floats(a, Q * P);
    w->dST = ssd_floats(a, N * P);
    w->du_out = ssd_floats(a, Q * P);
    w->part = ssd_floats(a, Q * N);
    w->dB = ssd_floats(a, Q * N);
    w->dC = ssd_floats(a, Q * N);
    w->passing = ssd_floats(a, Q);
    w->dl = ssd_floats(a, Q);
    w->from_in = ssd_floats(a, Q);
    w->to_out = ssd_floats(a, Q);
}

/* The products inside the chunk: adds to dcb, writes du and the inside's part of dl. */
static void inside(struct grad_work *w, int64_t q, int64_t P)
{
    const int64_t ld = ssd_round(q);
    for (int64_t i = 0; i < q; i += SSD_BLOCK) {
        int64_t rows = cpu_min(SSD_BLOCK, q - i);
        ssd_mm(rows, i + SSD_BLOCK, P, w->dy + i * P, P, 1, w->uT, ld, 0.0f, w->dm + i * ld, ld);
        ssd_mm(rows, P, q - i, w->m + i * ld + i, 1, ld, w->dy + i * P, P, 0.0f, w->du + i * P, P);
    }
    memset(w->passing, 0, (size_t)q * sizeof(float));
    for (int64_t i = q - 1; i >= 0; i--) {
        const float *dm = w->dm + i * ld, *m = w->m + i * ld, *decay = w->decays + i * ld;
        float *dcb = w->dcb + i * ld, *passing = w->passing, sum = 0.0f;
#pragma omp simd reduction(+ : sum)
        for (int64_t j = 0; j < i; j++) {
            dcb[j] += dm[j] * decay[j];
            passing[j] += dm[j] * m[j];
            sum += passing[j];
        }
        dcb[i] += dm[i]; /* a token's decay to itself is 1, whatever the exponents */
        w->dl[i] = sum;
    }
}

/* Through the entering state S and the gradient dS of the leaving one: adds to dB, dC, du and dl. */
static void through(struct grad_work *w, const float *S, const float *dS, int64_t q, int64_t P, int64_t N, bool leaves)
{
    ssd_mm(q, N, P, w->dy, P, 1, S, N, 0.0f, w->part, N);
    for (int64_t i = 0; i < q; i++) {
        w->from_in[i] = w->decay.in[i] * vdot(w->C + i * N, w->part + i * N, N);
        add_scaled(w->dC + i * N, w->decay.in[i], w->part + i * N, N);
    }
    float sum = leaves ? w->decay.last * vdot(S, dS, P * N) : 0.0f;
    for (int64_t i = q - 1; i >= 0; i--) {
        sum += w->from_in[i];
        w->dl[i] += sum;
    }
    if (!leaves)
        return;
    ssd_transpose(w->dST, P, dS, N, P, N);
    ssd_mm(q, P, N, w->B, N, 1, w->dST, P, 0.0f, w->du_out, P);
    ssd_mm(q, N, P, w->u, P, 1, dS, N, 0.0f, w->part, N);
    sum = 0.0f;
    for (int64_t i = 0; i < q; i++) {
        w->dl[i] += sum;
        sum += w->decay.out[i] * vdot(w->u + i * P, w->du_out + i * P, P);
        add_scaled(w->du + i * P, w->decay.out[i], w->du_out + i * P, P);
        add_scaled(w->dB + i * N, w->decay.out[i], w->part + i * N, N);
    }
}

/* Group g's gradients in one chunk; S, dS [H, P, N] and partial [H, 3] are the chunk's. */
static void gradients(struct ssd_grad to, float *partial, mat dy, const float *S, const float *dS, const float *dt, struct ssd_in in,
                      struct ssd_dims d, struct ssd_span at, int64_t g, struct grad_work *w)
{
    const int64_t P = d.headdim, N = d.state, H = d.heads, q = at.q, ld = ssd_round(q), per = H / d.groups;
    for (int64_t i = 0; i < q; i++) {
        memcpy(w->B + i * N, cpu_row(in.B, at.row + i) + g * N, (size_t)N * sizeof(float));
        memcpy(w->C + i * N, cpu_row(in.C, at.row + i) + g * N, (size_t)N * sizeof(float));
    }
    ssd_transpose(w->BT, ld, w->B, N, q, N);
    for (int64_t i = 0; i < q; i += SSD_BLOCK)
        ssd_mm(cpu_min(SSD_BLOCK, q - i), i + SSD_BLOCK, N, w->C + i * N, N, 1, w->BT, ld, 0.0f, w->cb + i * ld, ld);
    memset(w->dcb, 0, (size_t)(q * ld) * sizeof(float));
    memset(w->dB, 0, (size_t)(q * N) * sizeof(float));
    memset(w->dC, 0, (size_t)(q * N) * sizeof(float));

    for (int64_t h = g * per; h < (g + 1) * per; h++) {
        const float A = (float)exp((double)in.A_log[h]), skip = in.D[h];
        ssd_decay_fill(&w->decay, dt + at.row * H + h, H, q, (double)in.A_log[h]);
        ssd_decay_matrix(w->m, w->cb, ld, w->decays, ld, &w->decay, q);
        for (int64_t i = 0; i < q; i++) {
            const float *x = cpu_row(in.x, at.row + i) + h * P;
            float step = w->decay.dt[i], *u = w->u + i * P;
            memcpy(w->dy + i * P, cpu_row(dy, at.row + i) + h * P, (size_t)P * sizeof(float));
#pragma omp simd
            for (int64_t p = 0; p < P; p++)
                u[p] = step * x[p];
        }
        ssd_transpose(w->uT, ld, w->u, P, q, P);
        inside(w, q, P);
        through(w, S + h * P * N, dS + h * P * N, q, P, N, !at.last);

        float d_bias = 0.0f, d_A_log = 0.0f, d_D = 0.0f;
        for (int64_t i = 0; i < q; i++) {
            const float *x = cpu_row(in.x, at.row + i) + h * P, *du = w->du + i * P, *dyi = w->dy + i * P;
            float *dx = cpu_row(to.dx, at.row + i) + h * P, step = w->decay.dt[i];
#pragma omp simd
            for (int64_t p = 0; p < P; p++)
                dx[p] = step * du[p] + skip * dyi[p];
            float d_step = vdot(du, x, P) - A * w->dl[i];
            float d_in = d_step * vsigmoidf(cpu_row(in.dt, at.row + i)[h] + in.dt_bias[h]);
            cpu_row(to.ddt, at.row + i)[h] = d_in;
            d_bias += d_in;
            d_A_log -= A * step * w->dl[i];
            d_D += vdot(dyi, x, P);
        }
        partial[h * 3] = d_bias;
        partial[h * 3 + 1] = d_A_log;
        partial[h * 3 + 2] = d_D;
    }

    for (int64_t i = 0; i < q; i += SSD_BLOCK) {
        int64_t rows = cpu_min(SSD_BLOCK, q - i);
        for (int64_t r = i; r < i + rows; r++)
            memset(w->dcb + r * ld + r + 1, 0, (size_t)(i + SSD_BLOCK - r - 1) * sizeof(float));
        ssd_mm(rows, N, i + rows, w->dcb + i * ld, ld, 1, w->B, N, 1.0f, w->dC + i * N, N);
        ssd_mm(rows, N, q - i, w->dcb + i * ld + i, 1, ld, w->C + i * N, N, 1.0f, w->dB + i * N, N);
    }
    for (int64_t i = 0; i < q; i++) {
        memcpy(cpu_row(to.dB, at.row + i) + g * N, w->dB + i * N, (size_t)N * sizeof(float));
        memcpy(cpu_row(to.dC, at.row + i) + g * N, w->dC + i * N, (size_t)N * sizeof(float));
    }
}

size_t ssd_bwd_own(struct ssd_dims d, int32_t chunk)
{
    struct arena a = {0}, b = {0};
    chain_layout(&(struct chain_work){0}, &a, d, chunk);
    grad_layout(&(struct grad_work){0}, &b, d, chunk);
    return a.used > b.used ? a.used : b.used;
}

void ssd_bwd(struct ssd_grad g, mat dy, struct ssd_kept kept, struct ssd_in in, struct ssd_dims d, struct seqs s, void *scratch)
{
    must(in.x.dtype == F32 && d.heads % d.groups == 0);
    const struct ssd_room room = ssd_room(scratch, d, &s, 1);
    const int64_t P = d.headdim, H = d.heads, state = H * P * d.state, rows = ssd_state_rows(d, s.n), cuts = (P + rows - 1) / rows;

#pragma omp parallel
    {
        struct arena own = ssd_room_own(&room);
        struct chain_work w;
        chain_layout(&w, &own, d, s.chunk);
#pragma omp for collapse(3) schedule(dynamic)
        for (int32_t doc = 0; doc < s.n; doc++)
            for (int64_t h = 0; h < H; h++)
                for (int64_t cut = 0; cut < cuts; cut++)
                    chain(room.states, dy, kept.dt, in, d, &s, &w, doc, h, cut * rows, cpu_min(rows, P - cut * rows));
    }
#pragma omp parallel
    {
        struct arena own = ssd_room_own(&room);
        struct grad_work w;
        grad_layout(&w, &own, d, s.chunk);
#pragma omp for collapse(2) schedule(dynamic)
        for (int64_t c = 0; c < s.n_chunk; c++)
            for (int64_t group = 0; group < d.groups; group++)
                gradients(g, room.partial + c * H * 3, dy, (const float *)kept.states + c * state, room.states + c * state, kept.dt, in, d,
                          ssd_span(&s, c), group, &w);
    }
    for (int64_t h = 0; h < H; h++) {
        double sum[3] = {0.0, 0.0, 0.0};
        for (int64_t c = 0; c < s.n_chunk; c++)
            for (int k = 0; k < 3; k++)
                sum[k] += (double)room.partial[(c * H + h) * 3 + k];
        g.ddt_bias[h] += (float)sum[0];
        g.dA_log[h] += (float)sum[1];
        g.dD[h] += (float)sum[2];
    }
}
