/* tests/test_conv.c - causal convolution against a double-precision loop: documents, state, pieces, gradients, isolation. */
#include "kernels/conv.h"
#include "tests/ref_ops.h"
#include "tests/ref_util.h"

/* Cuts t rows into documents: how 0: one; 1: a few, with one-token documents among them; 2: all of one token. Returns their number. */
static int32_t cut(int32_t *len, int64_t t, int how)
{
    static const int32_t sizes[] = {1, 5, 1, 1, 40, 2, 3, 64, 31};
    int32_t n = 0;
    for (int64_t left = t; left > 0; n++) {
        int64_t want = how == 0 ? t : how == 2 ? 1 : sizes[n % 9];
        len[n] = (int32_t)(want < left ? want : left);
        left -= len[n];
    }
    return n;
}

/* Device state of n slots in the order given by slot, filled from [n][k-1, c] on the host; stride is longer than it has to be. */
struct state {
    struct state_view view;
    int64_t size, slots;
    enum dtype t;
};
static struct state state_make(enum dtype t, int32_t n, int k, int64_t c)
{
    struct state s = {.size = (k - 1) * c, .slots = n + 1, .t = t};
    s.view = (struct state_view){dev_alloc((size_t)(s.slots * (s.size + 5) * dtype_size(t))), (int)t, s.size + 5};
    return s;
}
static void *state_at(const struct state *s, int32_t slot)
{
    return (char *)s->view.data + slot * s->view.stride * dtype_size(s->t);
}

enum { K_ALL = 3 };

static void forward(enum dtype t)
{
    static const int64_t widths[] = {64, 300, 33, 520};
    for (int i = 0; i < REF_LENGTHS; i++)
        for (int how = 0; how < 3; how++)
            for (int with_state = 0; with_state < 2; with_state++) {
                int64_t n = ref_lengths[i], c = widths[(i + how) % 4];
                if (t == BF16)
                    c = (c + 7) / 8 * 8;
                int k = 4 - (i + with_state) % K_ALL;
                int32_t len[257], slot[257], docs = cut(len, n, how);
                for (int32_t d = 0; d < docs; d++)
                    slot[d] = (d + 1) % (docs + 1); /* not the document's own number */
                struct ref_seqs s = ref_seqs_make(len, docs, slot, 64);
                struct dmat x = dmat_normal(t, n, c, 8, 16, 1, 1), y = dmat_make(t, n, c, 16, 0);
                struct dmat w = dvec_normal(c * k, 2, 0, 0.5), b = dvec_normal(c, 3, 0, 0.2);
                double *want = xmalloc((size_t)(n * c) * sizeof *want), *st = NULL;
                struct state state = {0};
                if (with_state) {
                    state = state_make(t, docs, k, c);
                    st = xmalloc((size_t)(docs * state.size) * sizeof *st);
                    ref_normal(st, docs * state.size, 4, 0, 1);
                    for (int64_t j = 0; j < docs * state.size; j++)
                        st[j] = ref_round(t, st[j]);
                    for (int32_t d = 0; d < docs; d++)
                        ref_put(state_at(&state, slot[d]), t, st + d * state.size, state.size);
                }
                ref_conv(want, x.v, w.v, b.v, k, len, docs, c, st);
                conv_fwd(y.m, x.m, w.m.data, b.m.data, k, s.dev, state.view);
                double e = dmat_error(&y, want);
                check_msg(e < (t == F32 ? 1e-6 : ref_tolerance(t)), "%s T %d C %d K %d cut %d state %d: error %g", ref_dtype_name(t),
                          (int)n, (int)c, k, how, with_state, e);
                check(dmat_gap_ok(&y) && dmat_gap_ok(&x));
                for (int32_t d = 0; with_state && d < docs; d++) { /* copies of inputs: exact */
                    double got[3 * 520];
                    ref_get(got, t, state_at(&state, slot[d]), state.size);
                    check_msg(memcmp(got, st + d * state.size, (size_t)state.size * sizeof *got) == 0, "state of document %d, T %d cut %d",
                              d, (int)n, how);
                }
                dev_free(state.view.data);
                free(st);
                free(want);
                dmat_free(&x);
                dmat_free(&y);
                dmat_free(&w);
                dmat_free(&b);
                ref_seqs_free(&s);
            }
}
static void fwd(void)
{
    ref_device();
    for (int t = F32; t <= BF16; t++)
        if (dev_supports(t))
            forward(t);
}

/* A sequence in one pass and in pieces, down to single tokens: the same y and the same final state. */
static void pieces(void)
{
    ref_device();
    enum { T = 130, C = 72, K = 4 };
    for (int t = F32; t <= BF16; t++) {
        if (!dev_supports(t))
            continue;
        struct dmat x = dmat_normal(t, T, C, 0, 8, 1, 1), w = dvec_normal(C * K, 2, 0, 0.5), b = dvec_normal(C, 3, 0, 0.2);
        double *whole = NULL, whole_state[(K - 1) * C], got_state[(K - 1) * C];
        static const int32_t sizes[] = {T, 1, 2, 3, 64};
        for (int p = 0; p < 5; p++) {
            struct dmat y = dmat_make(t, T, C, 0, 0);
            struct state state = state_make(t, 1, K, C);
            for (int32_t at = 0; at < T;) {
                int32_t len = sizes[p] < T - at ? sizes[p] : T - at, slot = 1;
                struct ref_seqs s = ref_seqs_make(&len, 1, &slot, 64);
                conv_fwd(mat_rows(y.m, at, len), mat_rows(x.m, at, len), w.m.data, b.m.data, K, s.dev, state.view);
                dev_sync();
                ref_seqs_free(&s);
                at += len;
            }
            double *got = dmat_got(&y);
            ref_get(got_state, t, state_at(&state, 1), (K - 1) * C);
            if (!whole) {
                whole = got;
                memcpy(whole_state, got_state, sizeof whole_state);
                check(ref_error(got, x.v, T * C) > 0.1);
            } else {
                double e = ref_error(got, whole, T * C);
                check_msg(e < (t == F32 ? 1e-7 : 4e-3), "%s pieces of %d: error %g", ref_dtype_name(t), sizes[p], e);
                check(memcmp(got_state, whole_state, sizeof whole_state) == 0);
                free(got);
            }
            dev_free(state.view.data);
            dmat_free(&y);
        }
        free(whole);
        dmat_free(&x);
        dmat_free(&w);
        dmat_free(&b);
    }
}

/* sum(dy * conv(x)) for finite differences. */
struct problem {
    double *x, *w, *b, *dy, *y;
    const int32_t *len;
    int32_t docs;
    int k;
    int64_t n, c;
};
static double objective(void *arg)
{
    struct problem *p = arg;
    ref_conv(p->y, p->x, p->w, p->b, p->k, p->len, p->docs, p->c, NULL);
    double sum = 0;
    for (int64_t i = 0; i < p->n * p->c; i++)
        sum += p->dy[i] * p->y[i];
    return sum;
}

/* Runs conv_bwd with dw, db starting from the values of stream 8, 9. Caller frees the results. */
static void backward(enum dtype t, const struct problem *p, struct dmat *x, struct dmat *dy, struct dmat *w, struct dmat *b, double **dx,
                     double **dw, double **db)
{
    struct ref_seqs s = ref_seqs_make(p->len, p->docs, NULL, 64);
    struct dmat mdx = dmat_make(t, p->n, p->c, 8, 8), mdw = dvec_normal(p->c * p->k, 8, 0, 1), mdb = dvec_normal(p->c, 9, 0, 1);
    void *scratch = dev_alloc(conv_scratch(p->n, p->c, p->k));
    conv_bwd(mdx.m, mdw.m.data, mdb.m.data, dy->m, x->m, w->m.data, b->m.data, p->k, s.dev, scratch);
    *dx = dmat_got(&mdx);
    *dw = dmat_got(&mdw);
    *db = dmat_got(&mdb);
    for (int64_t i = 0; i < p->c * p->k; i++)
        (*dw)[i] -= mdw.v[i];
    for (int64_t i = 0; i < p->c; i++)
        (*db)[i] -= mdb.v[i];
    check(dmat_gap_ok(&mdx));
    dev_free(scratch);
    dmat_free(&mdx);
    dmat_free(&mdw);
    dmat_free(&mdb);
    ref_seqs_free(&s);
}

static void gradients(enum dtype t)
{
    for (int i = 0; i < REF_LENGTHS; i++)
        for (int how = 0; how < 3; how++) {
            int64_t n = ref_lengths[i], c = t == BF16 ? 8 : n > 60 ? 3 : 19;
            int k = 4 - i % K_ALL;
            int32_t len[257];
            struct dmat x = dmat_normal(t, n, c, 8, 8, 1, 1), w = dvec_normal(c * k, 2, 0, 0.5), b = dvec_normal(c, 3, 0, 0.2);
            struct dmat dy = dmat_normal(t, n, c, 16, 0, 4, 1);
            struct problem p = {x.v, w.v, b.v, dy.v, xmalloc((size_t)(n * c) * sizeof(double)), len, cut(len, n, how), k, n, c};
            double *dx, *dw, *db, *want = xmalloc((size_t)(n * c + c * k) * sizeof *want);
            backward(t, &p, &x, &dy, &w, &b, &dx, &dw, &db);
            double tol = t == F32 ? 2e-6 : ref_tolerance(t), e;
            ref_gradient(want, p.x, n * c, 1e-3, objective, &p);
            check_msg((e = ref_error(dx, want, n * c)) < tol, "%s T %d K %d cut %d: dx error %g", ref_dtype_name(t), (int)n, k, how, e);
            ref_gradient(want, p.w, c * k, 1e-3, objective, &p);
            check_msg((e = ref_error(dw, want, c * k)) < tol, "%s T %d K %d cut %d: dw error %g", ref_dtype_name(t), (int)n, k, how, e);
            ref_gradient(want, p.b, c, 1e-3, objective, &p);
            check_msg((e = ref_error(db, want, c)) < tol, "%s T %d K %d cut %d: db error %g", ref_dtype_name(t), (int)n, k, how, e);
            free(dx);
            free(dw);
            free(db);
            free(want);
            free(p.y);
            dmat_free(&x);
            dmat_free(&dy);
            dmat_free(&w);
            dmat_free(&b);
        }
}
static void bwd(void)
{
    ref_device();
    for (int t = F32; t <= BF16; t++)
        if (dev_supports(t))
            gradients(t);
}

/* Wide enough for several blocks of channels and rows: each channel is independent, so the wide result must equal that of its slices. */
static void bwd_wide(void)
{
    ref_device();
    enum { T = 700, C = 616, PART = 56, K = 4 };
    int32_t len[] = {300, 1, 1, 260, 138};
    struct dmat x = dmat_normal(F32, T, C, 0, 0, 1, 1), w = dvec_normal(C * K, 2, 0, 0.5), b = dvec_normal(C, 3, 0, 0.2);
    struct dmat dy = dmat_normal(F32, T, C, 0, 0, 4, 1);
    struct problem p = {.len = len, .docs = 5, .k = K, .n = T, .c = C};
    double *dx, *dw, *db;
    backward(F32, &p, &x, &dy, &w, &b, &dx, &dw, &db);
    for (int64_t first = 0; first < C; first += PART) {
        struct dmat xs = x, dys = dy, ws = w, bs = b;
        xs.m = mat_cols(x.m, first, PART);
        dys.m = mat_cols(dy.m, first, PART);
        ws.m = mat_cols(w.m, first * K, PART * K);
        bs.m = mat_cols(b.m, first, PART);
        struct problem q = {.len = len, .docs = 5, .k = K, .n = T, .c = PART};
        double *sx, *sw, *sb;
        backward(F32, &q, &xs, &dys, &ws, &bs, &sx, &sw, &sb);
        bool same = true;
        for (int64_t t = 0; t < T; t++)
            same = same && memcmp(sx + t * PART, dx + t * C + first, PART * sizeof(double)) == 0;
        check_msg(same, "dx of channels from %d", (int)first);
        check(ref_error(sw, dw + first * K, PART * K) < 1e-6 && ref_error(sb, db + first, PART) < 1e-6);
        free(sx);
        free(sw);
        free(sb);
    }
    free(dx);
    free(dw);
    free(db);
    dmat_free(&x);
    dmat_free(&dy);
    dmat_free(&w);
    dmat_free(&b);
}

/* Other inputs in document 1 change no bit of documents 0 and 2, forward or backward. */
static void isolation(void)
{
    ref_device();
    enum { T = 200, C = 40, K = 4, A0 = 67, A1 = 131 };
    int32_t len[] = {A0, A1 - A0, T - A1};
    for (int t = F32; t <= BF16; t++) {
        if (!dev_supports(t))
            continue;
        struct dmat x = dmat_normal(t, T, C, 0, 0, 1, 1), dy = dmat_normal(t, T, C, 0, 0, 4, 1), y = dmat_make(t, T, C, 0, 0);
        struct dmat w = dvec_normal(C * K, 2, 0, 0.5), b = dvec_normal(C, 3, 0, 0.2);
        struct problem p = {.len = len, .docs = 3, .k = K, .n = T, .c = C};
        struct ref_seqs s = ref_seqs_make(len, 3, NULL, 64);
        double *out[2], *dx[2], *dw, *db;
        for (int run = 0; run < 2; run++) {
            conv_fwd(y.m, x.m, w.m.data, b.m.data, K, s.dev, (struct state_view){0});
            out[run] = dmat_got(&y);
            backward(t, &p, &x, &dy, &w, &b, &dx[run], &dw, &db);
            free(dw);
            free(db);
            ref_normal(x.v + A0 * C, (A1 - A0) * C, 77, 3, 5);
            ref_normal(dy.v + A0 * C, (A1 - A0) * C, 78, 3, 5);
            dmat_put(&x);
            dmat_put(&dy);
        }
        for (int i = 0; i < 2; i++) {
            double *one = i ? dx[0] : out[0], *two = i ? dx[1] : out[1];
            check(memcmp(one, two, sizeof(double) * A0 * C) == 0);
            check(memcmp(one + A1 * C, two + A1 * C, sizeof(double) * (T - A1) * C) == 0);
            check(memcmp(one + A0 * C, two + A0 * C, sizeof(double) * (A1 - A0) * C) != 0);
            free(one);
            free(two);
        }
        dmat_free(&x);
        dmat_free(&dy);
        dmat_free(&y);
        dmat_free(&w);
        dmat_free(&b);
        ref_seqs_free(&s);
    }
}

static const struct test all[] = {{"fwd", fwd}, {"pieces", pieces}, {"bwd", bwd}, {"bwd_wide", bwd_wide}, {"isolation", isolation}};
TEST_MAIN("conv", all)
