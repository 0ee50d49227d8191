/* tests/test_ssd.c - kernels/ssd.h against the token-by-token double reference, and what packing, splitting and repeating may not change. */
#include "kernels/ssd.h"
#include "tests/ref_ops.h" /* ref_gradient */
#include "tests/ref_ssd.h"
#include "tests/ref_util.h"
#include <omp.h> /* omp_set_num_threads */

/* How fast the states decay. MIXED has both extremes next to each other. */
enum speed { USUAL, SLOW, FAST, MIXED, N_SPEED };

/* A problem on the device beside its values in double. */
struct problem {
    struct ssd_dims d;
    int32_t chunk, n;
    int32_t len[16], slot[16];
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
};

static int64_t state_size(struct ssd_dims d)
{
    return (int64_t)d.heads * d.headdim * d.state;
}
static int64_t out_size(const struct problem *p, int which)
{
    const int64_t bc = p->T * p->d.groups * p->d.state, H = p->d.heads;
    const int64_t size[N_OUT] = {p->T * H * p->d.headdim, p->n * state_size(p->d), p->T * H * p->d.headdim, bc, bc, p->T * H, H, H, H};
    return which == STATE && !p->state ? 0 : size[which];
}

static struct problem problem_make(struct ssd_dims d, int32_t chunk, const int32_t *len, int32_t n, enum dtype t, bool state,
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
        p.state = xmalloc((size_t)(n * state_size(d)) * sizeof(double));
        ref_normal(p.state, n * state_size(d), 9, 0, 1);
        for (int64_t i = 0; i < n * state_size(d); i++)
            p.state[i] = ref_round(state_t, p.state[i]);
    }
    return p;
}
static void problem_free(struct problem *p)
{
    struct dmat *all[] = {&p->x, &p->B, &p->C, &p->dt, &p->dy, &p->dt_bias, &p->A_log, &p->D};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        dmat_free(all[i]);
    free(p->state);
}
static void result_free(struct result *r)
{
    for (int k = 0; k < N_OUT; k++)
        free(r->v[k]);
}

static struct ssd_in inputs(const struct problem *p)
{
    return (struct ssd_in){
        .x = p->x.m, .B = p->B.m, .C = p->C.m, .dt = p->dt.m, .dt_bias = p->dt_bias.m.data, .A_log = p->A_log.m.data, .D = p->D.m.data};
}
/* Rows first .. first+n-1 of them. */
static struct ssd_in inputs_rows(const struct problem *p, int64_t first, int64_t n)
{
    struct ssd_in in = inputs(p);
    in.x = mat_rows(in.x, first, n);
    in.B = mat_rows(in.B, first, n);
    in.C = mat_rows(in.C, first, n);
    in.dt = mat_rows(in.dt, first, n);
    return in;
}

/* Slots on the device, with a gap between them; state [n, size] goes to slot[i]. */
static struct dmat slots_make(const double *state, const int32_t *slot, int32_t n, int64_t size, enum dtype t)
{
    struct dmat d = dmat_make(t, n, size, 0, 64);
    for (int32_t i = 0; state && i < n; i++)
        memcpy(d.v + slot[i] * size, state + i * size, (size_t)size * sizeof(double));
    dmat_put(&d);
    return d;
}
static struct state_view slots_view(const struct dmat *d)
{
    return (struct state_view){.data = d->m.data, .dtype = (int)d->m.dtype, .stride = d->m.ld};
}
/* In document order; caller frees. */
static double *slots_got(const struct dmat *d, const int32_t *slot)
{
    const int64_t size = d->m.cols;
    double *got = dmat_got(d), *out = xmalloc((size_t)(d->m.rows * size) * sizeof(double));
    for (int64_t i = 0; i < d->m.rows; i++)
        memcpy(out + i * size, got + slot[i] * size, (size_t)size * sizeof(double));
    free(got);
    return out;
}

/* Forward, and backward unless infer. times: how often the backward adds to the weights' gradients. */
static struct result run(const struct problem *p, bool infer, int times)
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
        kept.dt = dev_alloc((size_t)(p->T * H) * sizeof(float));
        kept.cum = dev_alloc((size_t)(p->T * H) * sizeof(float));
        kept.states = dev_alloc((size_t)(s.host.n_chunk * state_size(p->d) * dtype_size(p->t)));
    }
    void *scratch = dev_alloc(ssd_scratch(p->d, p->T, p->n, p->chunk, !infer));
    ssd_fwd(out[Y].m, kept, inputs(p), p->d, s.dev, view, scratch);
    struct ssd_grad g = {.dx = out[DX].m,
                         .dB = out[DB].m,
                         .dC = out[DC].m,
                         .ddt = out[DDT].m,
                         .ddt_bias = out[DDT_BIAS].m.data,
                         .dA_log = out[DA_LOG].m.data,
                         .dD = out[DD].m.data};
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

static struct result reference(const struct problem *p)
{
    struct result r = {0};
    for (int k = 0; k < N_OUT; k++)
        r.v[k] = xcalloc((size_t)out_size(p, k) + 1, sizeof(double));
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
    ref_ssd_bwd((struct ref_ssd_grad){r.v[DX], r.v[DB], r.v[DC], r.v[DDT], r.v[DDT_BIAS], r.v[DA_LOG], r.v[DD]}, p->dy.v, &in);
    return r;
}

/* Relative, but what has decayed below float32's range may be zero. */
static double error(const double *got, const double *want, int64_t n)
{
    double norm = 0, diff = 0;
    for (int64_t i = 0; i < n; i++) {
        norm += want[i] * want[i];
        diff += (got[i] - want[i]) * (got[i] - want[i]);
    }
    return norm > 1e-40 ? ref_error(got, want, n) : isfinite(diff) ? sqrt(diff) / 1e-20 : INFINITY;
}
static double tolerance(const struct problem *p, int which)
{
    if (which == STATE && p->state_t == BF16)
        return 1e-2;
    return p->t == F32 && which > STATE ? 1e-4 : ref_tolerance(p->t);
}

static void against_reference(const struct problem *p)
{
    struct result got = run(p, false, 1), want = reference(p);
    for (int k = 0; k < N_OUT; k++)
        if (got.v[k]) {
            double e = error(got.v[k], want.v[k], out_size(p, k));
            check_msg(e <= tolerance(p, k), "%s off by %.3g: %s, H %d P %d G %d N %d chunk %d, %d documents, first %d, %s state",
                      out_name[k], e, ref_dtype_name(p->t), p->d.heads, p->d.headdim, p->d.groups, p->d.state, p->chunk, p->n, p->len[0],
                      p->state ? ref_dtype_name(p->state_t) : "no");
        }
    result_free(&got);
    result_free(&want);
}
static void one(struct ssd_dims d, int32_t chunk, const int32_t *len, int32_t n, bool state, enum dtype state_t, enum speed speed)
{
    for (enum dtype t = F32; t <= BF16; t++)
        if (dev_supports(t)) {
            struct problem p = problem_make(d, chunk, len, n, t, state, state_t, speed);
            against_reference(&p);
            problem_free(&p);
        }
}

/* Equal bit for bit in rows first .. first+n-1 of what has a row per token. */
static void check_rows_same(const struct problem *p, const struct result *a, const struct result *b, int64_t first, int64_t n)
{
    for (int k = 0; k < N_OUT; k++)
        if (k != STATE && k < DDT_BIAS && a->v[k] && b->v[k]) {
            int64_t cols = out_size(p, k) / p->T;
            check_msg(memcmp(a->v[k] + first * cols, b->v[k] + first * cols, (size_t)(n * cols) * sizeof(double)) == 0,
                      "%s of rows %lld .. %lld", out_name[k], (long long)first, (long long)(first + n - 1));
        }
}
static void check_all_same(const struct problem *p, const struct result *a, const struct result *b)
{
    for (int k = 0; k < N_OUT; k++)
        if (a->v[k] && b->v[k])
            check_msg(memcmp(a->v[k], b->v[k], (size_t)out_size(p, k) * sizeof(double)) == 0, "%s", out_name[k]);
}

/* ---- the reference itself ---- */

struct loss {
    struct ref_ssd in;
    const double *dy;
    double *y;
    int64_t n;
};
static double loss(void *arg)
{
    struct loss *l = arg;
    double sum = 0;
    ref_ssd_fwd(l->y, NULL, &l->in);
    for (int64_t i = 0; i < l->n; i++)
        sum += l->y[i] * l->dy[i];
    return sum;
}

static void reference_gradient(void)
{
    for (int with_state = 0; with_state < 2; with_state++) {
        struct problem p = problem_make((struct ssd_dims){4, 3, 2, 5}, 16, (int32_t[]){5, 1, 3}, 3, F32, with_state, F32, USUAL);
        struct result want = reference(&p);
        struct loss l = {{p.d, p.len, p.n, p.x.v, p.B.v, p.C.v, p.dt.v, p.dt_bias.v, p.A_log.v, p.D.v, p.state},
                         p.dy.v,
                         xmalloc((size_t)out_size(&p, Y) * sizeof(double)),
                         out_size(&p, Y)};
        double *const input[N_OUT] = {
            [DX] = p.x.v, [DB] = p.B.v, [DC] = p.C.v, [DDT] = p.dt.v, [DDT_BIAS] = p.dt_bias.v, [DA_LOG] = p.A_log.v, [DD] = p.D.v};
        for (int k = DX; k < N_OUT; k++) {
            double *fd = xmalloc((size_t)out_size(&p, k) * sizeof(double));
            ref_gradient(fd, input[k], out_size(&p, k), 1e-3, loss, &l);
            double e = ref_error(want.v[k], fd, out_size(&p, k));
            check_msg(e < 1e-9, "%s off by %g", out_name[k], e);
            free(fd);
        }
        free(l.y);
        result_free(&want);
        problem_free(&p);
    }
}

/* ---- the ops against it ---- */

static const struct ssd_dims shapes[] = {
    {1, 16, 1, 16}, {4, 16, 1, 64}, {2, 64, 2, 16}, {6, 16, 2, 128}, {8, 16, 8, 64}, {2, 64, 1, 128}, {16, 16, 8, 16}, {3, 64, 1, 64},
};
enum { N_SHAPE = sizeof shapes / sizeof *shapes };

/* Every length in every chunk size, in three of the shapes each. */
static void lengths_and_chunks(void)
{
    static const int32_t chunks[] = {16, 64, 128, 256};
    for (int c = 0; c < 4; c++)
        for (int i = 0; i < REF_LENGTHS; i++)
            for (int j = 0; j < 3; j++) {
                int k = (c * REF_LENGTHS + i) * 3 + j;
                one(shapes[(k + c) % N_SHAPE], chunks[c], (int32_t[]){ref_lengths[i]}, 1, (i + j) % 2, k % 3 ? F32 : BF16, USUAL);
            }
}

static void packed_rows(void)
{
    for (int state = 0; state < 2; state++) {
        one((struct ssd_dims){4, 16, 2, 64}, 64, (int32_t[]){1, 63, 1, 1, 65, 2, 127, 64, 129, 1}, 10, state, F32, USUAL);
        one((struct ssd_dims){2, 64, 1, 16}, 16, (int32_t[]){17, 1, 255, 16, 2}, 5, state, F32, USUAL);
        one((struct ssd_dims){8, 16, 8, 16}, 128, (int32_t[]){257, 1, 128, 1}, 4, state, BF16, USUAL);
    }
}

/* A boundary at every offset; three documents where the middle one is a single token. */
static void every_boundary(void)
{
    for (int32_t at = 1; at < 36; at++) {
        one((struct ssd_dims){2, 16, 1, 16}, 16, (int32_t[]){at, 36 - at}, 2, at % 2, F32, USUAL);
        if (at < 35)
            one((struct ssd_dims){2, 16, 2, 16}, 16, (int32_t[]){at, 1, 35 - at}, 3, at % 2 == 0, F32, USUAL);
    }
}

static void decay_speeds(void)
{
    for (enum speed speed = SLOW; speed < N_SPEED; speed++)
        for (int32_t chunk = 64; chunk <= 256; chunk *= 4)
            for (int state = 0; state < 2; state++)
                one((struct ssd_dims){6, 16, 2, 64}, chunk, (int32_t[]){257, 100}, 2, state, F32, speed);
}

/* Sizes that are no multiple of a vector. */
static void odd_sizes(void)
{
    if (strcmp(dev_backend(), "cpu") != 0) {
        test_skip("the GPU takes head sizes and states of whole tiles");
        return;
    }
    one((struct ssd_dims){3, 5, 1, 7}, 16, (int32_t[]){35, 1}, 2, true, F32, USUAL);
    one((struct ssd_dims){4, 24, 2, 20}, 24, (int32_t[]){60, 25}, 2, false, F32, USUAL);
}

/* Nothing may overflow, and what has decayed to nothing must be nothing: one step of half the heads multiplies the state by
 * exp(-660000), the other half's steps are too small to matter. */
static void extreme_steps(void)
{
    const int32_t len[] = {130, 3};
    struct problem p = problem_make((struct ssd_dims){2, 16, 1, 16}, 64, len, 2, F32, true, F32, USUAL);
    for (int h = 0; h < 2; h++)
        p.A_log.v[h] = h ? 10 : -10;
    dmat_put(&p.A_log);
    for (int64_t i = 0; i < p.T * 2; i++)
        p.dt.v[i] = i % 3 ? -60 : 30;
    dmat_put(&p.dt);
    against_reference(&p);
    problem_free(&p);
}

/* Eight tokens that decay all that was before, then 240 that hardly decay: a sum of exponents over the chunk (-12000) has lost the digits
 * of the later ones in float32, which the outputs of those must not show. */
static void slow_after_fast(void)
{
    struct problem p = problem_make((struct ssd_dims){2, 16, 1, 16}, 256, (int32_t[]){248}, 1, F32, false, F32, USUAL);
    for (int h = 0; h < 2; h++) {
        p.A_log.v[h] = -1;
        p.dt_bias.v[h] = 0;
    }
    for (int64_t i = 0; i < p.T * 2; i++)
        p.dt.v[i] = i < 16 ? 4000 : -4;
    for (int64_t i = 0; i < 8 * 32; i++)
        p.x.v[i] = 0;
    dmat_put(&p.A_log);
    dmat_put(&p.dt_bias);
    dmat_put(&p.dt);
    dmat_put(&p.x);
    against_reference(&p);
    problem_free(&p);
}

static void gradients_are_added(void)
{
    struct problem p = problem_make((struct ssd_dims){4, 16, 2, 16}, 16, (int32_t[]){40, 7}, 2, F32, false, F32, USUAL);
    struct result once = run(&p, false, 1), twice = run(&p, false, 2);
    for (int k = DDT_BIAS; k < N_OUT; k++)
        for (int64_t i = 0; i < out_size(&p, k); i++)
            check_msg(once.v[k][i] != 0 && twice.v[k][i] == 2 * once.v[k][i], "%s: %g, twice %g", out_name[k], once.v[k][i], twice.v[k][i]);
    check_rows_same(&p, &once, &twice, 0, p.T);
    result_free(&once);
    result_free(&twice);
    problem_free(&p);
}

/* ---- what must not change anything ---- */

static void same_bits_again(void)
{
    for (enum dtype t = F32; t <= BF16; t++)
        if (dev_supports(t)) {
            struct problem p = problem_make((struct ssd_dims){6, 32, 2, 32}, 32, (int32_t[]){100, 1, 64, 33}, 4, t, true, F32, USUAL);
            struct result a = run(&p, false, 1);
            for (int i = 0; i < 3; i++) {
                int threads = omp_get_max_threads();
                omp_set_num_threads(i == 0 ? threads : i == 1 ? 1 : 5);
                struct result b = run(&p, false, 1);
                check_all_same(&p, &a, &b);
                result_free(&b);
                omp_set_num_threads(threads);
            }
            struct result infer = run(&p, true, 0);
            check(ref_error(infer.v[Y], a.v[Y], out_size(&p, Y)) <= ref_tolerance(t));
            result_free(&infer);
            result_free(&a);
            problem_free(&p);
        }
}

/* New values for all inputs of documents 0 and 2: those of 1 and 3 keep every bit, and so does a document alone in a pass. */
static void documents_are_isolated(void)
{
    const int32_t len[] = {30, 70, 1, 129};
    for (enum dtype t = F32; t <= BF16; t++)
        if (dev_supports(t)) {
            struct problem p = problem_make((struct ssd_dims){4, 16, 2, 16}, 64, len, 4, t, true, F32, USUAL);
            struct result a = run(&p, false, 1);
            struct dmat *const in[] = {&p.x, &p.B, &p.C, &p.dt, &p.dy};
            for (size_t k = 0; k < 5; k++) {
                int64_t cols = in[k]->m.cols;
                for (int64_t i = 0; i < 30 * cols; i++)
                    in[k]->v[i] = in[k]->v[i] * 3 + 1;
                for (int64_t i = 100 * cols; i < 101 * cols; i++)
                    in[k]->v[i] = -in[k]->v[i];
                dmat_put(in[k]);
            }
            for (int64_t i = 0; i < state_size(p.d); i++)
                p.state[i] += 1;
            struct result b = run(&p, false, 1);
            check_rows_same(&p, &a, &b, 30, 70);
            check_rows_same(&p, &a, &b, 101, 129);
            check(memcmp(a.v[Y], b.v[Y], 30 * 64 * sizeof(double)) != 0);
            const int64_t size = state_size(p.d);
            check(memcmp(a.v[STATE] + size, b.v[STATE] + size, (size_t)size * sizeof(double)) == 0);
            check(memcmp(a.v[STATE] + 3 * size, b.v[STATE] + 3 * size, (size_t)size * sizeof(double)) == 0);

            struct ref_seqs s = ref_seqs_make(&len[3], 1, NULL, 64);
            struct dmat y = dmat_make(t, 129, 64, 0, 0);
            struct dmat slot = slots_make(p.state + 3 * size, s.host.slot, 1, size, F32);
            void *scratch = dev_alloc(ssd_scratch(p.d, 129, 1, 64, 0));
            ssd_fwd(y.m, (struct ssd_kept){0}, inputs_rows(&p, 101, 129), p.d, s.dev, slots_view(&slot), scratch);
            struct result infer = run(&p, true, 0);
            double *got = dmat_got(&y);
            check(memcmp(got, infer.v[Y] + 101 * 64, 129 * 64 * sizeof(double)) == 0);
            free(got);
            result_free(&infer);
            dev_free(scratch);
            dmat_free(&y);
            dmat_free(&slot);
            ref_seqs_free(&s);
            result_free(&a);
            result_free(&b);
            problem_free(&p);
        }
}

/* One document of p (with a state) in pieces: fwd on [0, first), then, as steps or not, the rest. Writes y [T, HP] and the state. */
static void in_pieces(const struct problem *p, int32_t first, bool steps, double *y_out, double **state_out)
{
    const int64_t HP = p->d.heads * p->d.headdim, size = state_size(p->d);
    struct dmat y = dmat_make(p->t, p->T, HP, 0, 0), slot = slots_make(p->state, p->slot, 1, size, p->state_t);
    void *scratch = dev_alloc(ssd_scratch(p->d, p->T, 1, p->chunk, 0));
    for (int32_t at = 0; at < p->T;) {
        int32_t len = at < first ? first : steps ? 1 : (int32_t)p->T - at;
        struct ref_seqs s = ref_seqs_make(&len, 1, NULL, p->chunk);
        if (steps && at >= first)
            ssd_step(mat_rows(y.m, at, len), inputs_rows(p, at, len), p->d, s.dev, slots_view(&slot));
        else
            ssd_fwd(mat_rows(y.m, at, len), (struct ssd_kept){0}, inputs_rows(p, at, len), p->d, s.dev, slots_view(&slot), scratch);
        dev_sync(); /* the tables go */
        ref_seqs_free(&s);
        at += len;
    }
    dmat_read(y_out, &y);
    check(dmat_gap_ok(&slot));
    *state_out = slots_got(&slot, p->slot);
    dev_free(scratch);
    dmat_free(&y);
    dmat_free(&slot);
}
static void check_pieces(const struct problem *p, const struct result *want, int32_t first, bool steps)
{
    double *y = xmalloc((size_t)out_size(p, Y) * sizeof(double)), *state;
    in_pieces(p, first, steps, y, &state);
    double tol = p->state_t == BF16 ? 1e-2 : ref_tolerance(p->t), ey = ref_error(y, want->v[Y], out_size(p, Y)),
           es = ref_error(state, want->v[STATE], out_size(p, STATE));
    check_msg(ey <= tol && es <= tol, "%s, %s state, cut after %d, then %s: y off by %g, state by %g", ref_dtype_name(p->t),
              ref_dtype_name(p->state_t), first, steps ? "steps" : "the rest", ey, es);
    free(y);
    free(state);
}

static void any_split(void)
{
    for (enum dtype t = F32; t <= BF16; t++)
        if (dev_supports(t))
            for (enum speed speed = USUAL; speed < N_SPEED; speed++) {
                struct problem p = problem_make((struct ssd_dims){2, 16, 1, 16}, 16, (int32_t[]){67}, 1, t, true, F32, speed);
                struct result want = reference(&p);
                for (int32_t first = 0; first < 67; first++) {
                    check_pieces(&p, &want, first, false);
                    if (first % 8 == 0 || speed == USUAL)
                        check_pieces(&p, &want, first, true);
                }
                result_free(&want);
                problem_free(&p);
            }
}

static void steps_of_every_shape(void)
{
    for (enum dtype t = F32; t <= BF16; t++)
        for (enum dtype state_t = F32; dev_supports(t) && state_t <= BF16; state_t++)
            for (int k = 0; k < N_SHAPE; k++) {
                struct problem p = problem_make(shapes[k], 64, (int32_t[]){40}, 1, t, true, state_t, USUAL);
                struct result want = reference(&p);
                check_pieces(&p, &want, 0, true);
                check_pieces(&p, &want, 20, true);
                result_free(&want);
                problem_free(&p);
            }
}

/* A step of many documents is exactly the steps of each alone, in any order of slots; an absent document's slot is left alone. */
static void step_rows_are_isolated(void)
{
    const struct ssd_dims d = {8, 64, 2, 128};
    const int64_t size = state_size(d), HP = d.heads * d.headdim;
    const int32_t ones[] = {1, 1, 1, 1, 1}, slot[] = {4, 0, 5, 2, 1};
    for (enum dtype t = F32; t <= BF16; t++)
        for (enum dtype state_t = F32; dev_supports(t) && state_t <= BF16; state_t++) {
            struct problem p = problem_make(d, 64, ones, 5, t, false, F32, USUAL);
            double *state = xmalloc((size_t)(6 * size) * sizeof(double));
            const int32_t as_is[] = {0, 1, 2, 3, 4, 5};
            ref_normal(state, 6 * size, 11, 0, 1);
            struct dmat all = slots_make(state, as_is, 6, size, state_t), single = slots_make(state, as_is, 6, size, state_t);
            struct dmat y = dmat_make(t, 5, HP, 0, 0), y1 = dmat_make(t, 5, HP, 0, 0);
            struct ref_seqs s = ref_seqs_make(ones, 5, slot, 64);
            ssd_step(y.m, inputs(&p), d, s.dev, slots_view(&all));
            for (int32_t i = 0; i < 5; i++) {
                struct ref_seqs s1 = ref_seqs_make(ones, 1, &slot[i], 64);
                ssd_step(mat_rows(y1.m, i, 1), inputs_rows(&p, i, 1), d, s1.dev, slots_view(&single));
                dev_sync();
                ref_seqs_free(&s1);
            }
            double *a = dmat_got(&y), *b = dmat_got(&y1), *sa = dmat_got(&all), *sb = dmat_got(&single);
            check(memcmp(a, b, (size_t)(5 * HP) * sizeof(double)) == 0);
            check(memcmp(sa, sb, (size_t)(6 * size) * sizeof(double)) == 0);
            for (int64_t i = 3 * size; i < 4 * size; i++)
                if (sa[i] != all.v[i]) {
                    check_msg(false, "the slot of no document changed");
                    break;
                }
            free(a);
            free(b);
            free(sa);
            free(sb);
            free(state);
            dmat_free(&all);
            dmat_free(&single);
            dmat_free(&y);
            dmat_free(&y1);
            ref_seqs_free(&s);
            problem_free(&p);
        }
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"reference gradient against finite differences", reference_gradient},
        {"lengths and chunks", lengths_and_chunks},
        {"packed rows", packed_rows},
        {"a boundary at every offset", every_boundary},
        {"slow, fast and mixed decay", decay_speeds},
        {"sizes off the vector", odd_sizes},
        {"extreme steps", extreme_steps},
        {"slow decay after a fast one", slow_after_fast},
        {"gradients of weights are added", gradients_are_added},
        {"the same bits again, on any number of threads", same_bits_again},
        {"documents are isolated", documents_are_isolated},
        {"any split of a document", any_split},
        {"steps of every shape", steps_of_every_shape},
        {"rows of a step are isolated", step_rows_are_isolated},
    };
    ref_device();
    return test_main(argc, argv, "ssd", tests, (int)(sizeof tests / sizeof *tests));
}
