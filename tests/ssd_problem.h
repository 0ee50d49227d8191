/* tests/ssd_problem.h - an SSD problem on the device beside its values in double, one run of the ops on it, one of the reference, and how
 * results are compared.
 */
#ifndef TESTS_SSD_PROBLEM_H
#define TESTS_SSD_PROBLEM_H
#include "kernels/ssd.h"
#include "tests/ref_ssd.h"
#include "tests/ref_util.h"

/* How fast the states decay. MIXED has both extremes next to each other. */
enum speed { USUAL, SLOW, FAST, MIXED, N_SPEED };

/* A problem on the device beside its values in double. */
struct problem {
    struct ssd_dims d;
    int32_t chunk, n;
    int32_t len[64], slot[64];
    int64_t T;
    enum dtype t;
    struct dmat x, B, C, dt, dy;
    struct dmat dt_bias, A_log, D;
    double *state; /* [n, H, P, N] initial states in document order; NULL: none */
    enum dtype state_t;
};

/* What the ops (or the reference) made of it. */
enum { Y, STATE, DX, DB, DC, DDT, DDT_BIAS, DA_LOG, DD, N_OUT };
static const char *const out_name[N_OUT] = {"y", "state", "dx", "dB", "dC", "ddt", "ddt_bias", "dA_log", "dD"};
struct result {
    double *v[N_OUT];
    double size[3]; /* of the reference: the norm of the terms of DDT_BIAS, DA_LOG, DD */
};

static inline int64_t state_size(struct ssd_dims d)
{
    return (int64_t)d.heads * d.headdim * d.state;
}
static inline int64_t out_size(const struct problem *p, int which)
{
    const int64_t bc = p->T * p->d.groups * p->d.state, H = p->d.heads;
    const int64_t size[N_OUT] = {p->T * H * p->d.headdim, p->n * state_size(p->d), p->T * H * p->d.headdim, bc, bc, p->T * H, H, H, H};
    return which == STATE && !p->state ? 0 : size[which];
}

static inline struct problem problem_make(struct ssd_dims d, int32_t chunk, const int32_t *len, int32_t n, enum dtype t, bool state,
                                          enum dtype state_t, enum speed speed)
{
    static const double bias_mean[N_SPEED] = {-2, -5, 3, 0}, A_mean[N_SPEED] = {0.5, -4, 4, 1}, dt_scale[N_SPEED] = {1, 1, 1, 8};
    struct problem p = {.d = d, .chunk = chunk, .n = n, .t = t, .state_t = state_t};
    for (int32_t i = 0; i < n; i++) {
        p.len[i] = len[i];
        p.slot[i] = (i + 1) % n; /* not the identity */
        p.T += len[i];
    }
    const int64_t HP = d.heads * d.headdim, GN = d.groups * d.state;
    p.x = dmat_normal(t, p.T, HP, 16, 24, 1, 1);
    p.B = dmat_normal(t, p.T, GN, 8, 16, 2, 1);
    p.C = dmat_normal(t, p.T, GN, 24, 8, 3, 1);
    p.dt = dmat_normal(t, p.T, d.heads, 16, 0, 4, dt_scale[speed]);
    p.dy = dmat_normal(t, p.T, HP, 0, 8, 5, 1);
    p.dt_bias = dvec_normal(d.heads, 6, bias_mean[speed], 0.5);
    p.A_log = dvec_normal(d.heads, 7, A_mean[speed], 0.7);
    p.D = dvec_normal(d.heads, 8, 1, 0.5);
    if (state) {
        p.state = (double *)xmalloc((size_t)(n * state_size(d)) * sizeof(double));
        ref_normal(p.state, n * state_size(d), 9, 0, 1);
        for (int64_t i = 0; i < n * state_size(d); i++)
            p.state[i] = ref_round(state_t, p.state[i]);
    }
    return p;
}
static inline void problem_free(struct problem *p)
{
    struct dmat *all[] = {&p->x, &p->B, &p->C, &p->dt, &p->dy, &p->dt_bias, &p->A_log, &p->D};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        dmat_free(all[i]);
    free(p->state);
}
static inline void result_free(struct result *r)
{
    for (int k = 0; k < N_OUT; k++)
        free(r->v[k]);
}

static inline struct ssd_in inputs(const struct problem *p)
{
    return (struct ssd_in){.x = p->x.m,
                           .B = p->B.m,
                           .C = p->C.m,
                           .dt = p->dt.m,
                           .dt_bias = (float *)p->dt_bias.m.data,
                           .A_log = (float *)p->A_log.m.data,
                           .D = (float *)p->D.m.data};
}
/* Rows first .. first+n-1 of them. */
static inline struct ssd_in inputs_rows(const struct problem *p, int64_t first, int64_t n)
{
    struct ssd_in in = inputs(p);
    in.x = mat_rows(in.x, first, n);
    in.B = mat_rows(in.B, first, n);
    in.C = mat_rows(in.C, first, n);
    in.dt = mat_rows(in.dt, first, n);
    return in;
}

/* Slots on the device, with a gap between them; state [n, size] goes to slot[i]. */
static inline struct dmat slots_make(const double *state, const int32_t *slot, int32_t n, int64_t size, enum dtype t)
{
    struct dmat d = dmat_make(t, n, size, 0, 64);
    for (int32_t i = 0; state && i < n; i++)
        memcpy(d.v + slot[i] * size, state + i * size, (size_t)size * sizeof(double));
    dmat_put(&d);
    return d;
}
static inline struct state_view slots_view(const struct dmat *d)
{
    return (struct state_view){.data = d->m.data, .dtype = (int)d->m.dtype, .stride = d->m.ld};
}
/* In document order; caller frees. */
static inline double *slots_got(const struct dmat *d, const int32_t *slot)
{
    const int64_t size = d->m.cols;
    double *got = dmat_got(d), *out = (double *)xmalloc((size_t)(d->m.rows * size) * sizeof(double));
    for (int64_t i = 0; i < d->m.rows; i++)
        memcpy(out + i * size, got + slot[i] * size, (size_t)size * sizeof(double));
    free(got);
    return out;
}

/* Forward, and backward unless infer. times: how often the backward adds to the weights' gradients. */
static inline struct result run(const struct problem *p, bool infer, int times)
{
    struct result r = {0};
    struct ref_seqs s = ref_seqs_make(p->len, p->n, p->slot, p->chunk);
    const int64_t HP = p->d.heads * p->d.headdim, GN = p->d.groups * p->d.state, H = p->d.heads;
    struct dmat out[N_OUT] = {0};
    out[Y] = dmat_make(p->t, p->T, HP, 8, 8);
    out[DX] = dmat_make(p->t, p->T, HP, 16, 8);
    out[DB] = dmat_make(p->t, p->T, GN, 8, 8);
    out[DC] = dmat_make(p->t, p->T, GN, 16, 0);
    out[DDT] = dmat_make(p->t, p->T, H, 8, 0);
    for (int k = DDT_BIAS; k < N_OUT; k++)
        out[k] = dmat_make(F32, 1, H, 0, 0);
    struct state_view view = {0};
    if (p->state) {
        out[STATE] = slots_make(p->state, p->slot, p->n, state_size(p->d), p->state_t);
        view = slots_view(&out[STATE]);
    }
    struct ssd_kept kept = {0};
    if (!infer) {
        kept.dt = (float *)dev_alloc((size_t)(p->T * H) * sizeof(float));
        kept.cum = (float *)dev_alloc((size_t)(p->T * H) * sizeof(float));
        kept.states = dev_alloc((size_t)(s.host.n_chunk * state_size(p->d) * dtype_size(p->t)));
    }
    void *scratch = dev_alloc(ssd_scratch(p->d, p->T, p->n, p->chunk, !infer));
    ssd_fwd(out[Y].m, kept, inputs(p), p->d, s.dev, view, scratch);
    struct ssd_grad g = {.dx = out[DX].m,
                         .dB = out[DB].m,
                         .dC = out[DC].m,
                         .ddt = out[DDT].m,
                         .ddt_bias = (float *)out[DDT_BIAS].m.data,
                         .dA_log = (float *)out[DA_LOG].m.data,
                         .dD = (float *)out[DD].m.data};
    for (int i = 0; !infer && i < times; i++)
        ssd_bwd(g, p->dy.m, kept, inputs(p), p->d, s.dev, scratch);
    for (int k = 0; k < N_OUT; k++)
        if (k <= STATE ? out_size(p, k) > 0 : !infer) {
            check_msg(dmat_gap_ok(&out[k]), "%s was written outside its columns", out_name[k]);
            r.v[k] = k == STATE ? slots_got(&out[k], p->slot) : dmat_got(&out[k]);
        }
    for (int k = 0; k < N_OUT; k++)
        if (out[k].block)
            dmat_free(&out[k]);
    dev_free(scratch);
    dev_free(kept.dt);
    dev_free(kept.cum);
    dev_free(kept.states);
    ref_seqs_free(&s);
    return r;
}

static inline struct result reference(const struct problem *p)
{
    struct result r = {0};
    for (int k = 0; k < N_OUT; k++)
        r.v[k] = (double *)xcalloc((size_t)out_size(p, k) + 1, sizeof(double));
    struct ref_ssd in = {.d = p->d,
                         .len = p->len,
                         .n = p->n,
                         .x = p->x.v,
                         .B = p->B.v,
                         .C = p->C.v,
                         .dt = p->dt.v,
                         .dt_bias = p->dt_bias.v,
                         .A_log = p->A_log.v,
                         .D = p->D.v,
                         .state = p->state};
    ref_ssd_fwd(r.v[Y], p->state ? r.v[STATE] : NULL, &in);
    ref_ssd_bwd((struct ref_ssd_grad){r.v[DX], r.v[DB], r.v[DC], r.v[DDT], r.v[DDT_BIAS], r.v[DA_LOG], r.v[DD], r.size}, p->dy.v, &in);
    return r;
}

static inline double ref_norm(const double *v, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += v[i] * v[i];
    return sqrt(sum);
}
/* Relative, but what has decayed below float32's range may be zero. */
static inline double error(const double *got, const double *want, int64_t n)
{
    double norm = 0, diff = 0;
    for (int64_t i = 0; i < n; i++) {
        norm += want[i] * want[i];
        diff += (got[i] - want[i]) * (got[i] - want[i]);
    }
    return norm > 1e-40 ? ref_error(got, want, n) : isfinite(diff) ? sqrt(diff) / 1e-20 : INFINITY;
}
static inline double tolerance(const struct problem *p, int which)
{
    if (which == STATE && p->state_t == BF16)
        return 1e-2;
    return p->t == F32 && which > STATE ? 1e-4 : ref_tolerance(p->t);
}

static inline void against_reference(const struct problem *p)
{
    struct result got = run(p, false, 1), want = reference(p);
    for (int k = 0; k < N_OUT; k++)
        if (got.v[k]) {
            double e = error(got.v[k], want.v[k], out_size(p, k));
            double norm = ref_norm(want.v[k], out_size(p, k));
            if (p->t == BF16 && k >= DDT_BIAS && norm > 0) /* terms rounded to bf16 may cancel: their sum is no better than they are */
                e *= norm / fmax(norm, want.size[k - DDT_BIAS]);
            check_msg(e <= tolerance(p, k), "%s off by %.3g: %s, H %d P %d G %d N %d chunk %d, %d documents, first %d, %s state",
                      out_name[k], e, ref_dtype_name(p->t), p->d.heads, p->d.headdim, p->d.groups, p->d.state, p->chunk, p->n, p->len[0],
                      p->state ? ref_dtype_name(p->state_t) : "no");
        }
    result_free(&got);
    result_free(&want);
}
static inline void one(struct ssd_dims d, int32_t chunk, const int32_t *len, int32_t n, bool state, enum dtype state_t, enum speed speed)
{
    for (enum dtype t = F32; t <= BF16; t++)
        if (dev_supports(t)) {
            struct problem p = problem_make(d, chunk, len, n, t, state, state_t, speed);
            against_reference(&p);
            problem_free(&p);
        }
}

/* Equal bit for bit in rows first .. first+n-1 of what has a row per token. */
static inline void check_rows_same(const struct problem *p, const struct result *a, const struct result *b, int64_t first, int64_t n)
{
    for (int k = 0; k < N_OUT; k++)
        if (k != STATE && k < DDT_BIAS && a->v[k] && b->v[k]) {
            int64_t cols = out_size(p, k) / p->T;
            check_msg(memcmp(a->v[k] + first * cols, b->v[k] + first * cols, (size_t)(n * cols) * sizeof(double)) == 0,
                      "%s of rows %lld .. %lld", out_name[k], (long long)first, (long long)(first + n - 1));
        }
}
static inline void check_all_same(const struct problem *p, const struct result *a, const struct result *b)
{
    for (int k = 0; k < N_OUT; k++)
        if (a->v[k] && b->v[k])
            check_msg(memcmp(a->v[k], b->v[k], (size_t)out_size(p, k) * sizeof(double)) == 0, "%s", out_name[k]);
}
#endif
