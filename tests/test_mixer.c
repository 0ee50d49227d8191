/* tests/test_mixer.c - kernels/mixer.h against the double-precision convolution, scan and gated norm one after another: sequences of steps,
 * alone and behind a prefill, in shuffled slots; rows do not know of each other.
 */
#include "kernels/mixer.h"
#include "kernels/conv.h"
#include "kernels/norm.h"
#include "tests/ref_ops.h"
#include "tests/ref_ssd.h"
#include "tests/ref_util.h"

static const double EPS = 1e-5;
enum { GAP = 64 /* elements between slots */, MOST = 16 /* documents */ };

/* Step sizes and decays: usual ones; nearly none; states that are gone after a token; all of them side by side. */
enum speed { USUAL, SLOW, FAST, MIXED, N_SPEED };

/* n documents of T tokens, document by document, on the device and in double. */
struct problem {
    struct ssd_dims d;
    int K;
    int32_t n, T, slot[MOST];
    enum dtype t, ssd_t;
    struct dmat proj, conv_w, conv_b, dt_bias, A_log, D, norm;
    double *conv, *ssd; /* [n + 1, ...] the slots' states at the start; slot n is nobody's */
};

static int64_t inner_of(struct ssd_dims d)
{
    return (int64_t)d.heads * d.headdim;
}
static int64_t past_of(const struct problem *p)
{
    return (p->K - 1) * conv_width(p->d);
}
static int64_t ssd_of(struct ssd_dims d)
{
    return inner_of(d) * d.state;
}
static int64_t width_of(struct ssd_dims d)
{
    return inner_of(d) + conv_width(d) + d.heads;
}

static double *rounded(int64_t n, uint64_t stream, enum dtype t)
{
    double *v = xmalloc((size_t)n * sizeof *v);
    ref_normal(v, n, stream, 0, 1);
    for (int64_t i = 0; i < n; i++)
        v[i] = ref_round(t, v[i]);
    return v;
}

static struct problem problem_make(struct ssd_dims d, int K, int32_t n, int32_t T, enum dtype t, enum dtype ssd_t, enum speed speed)
{
    static const double bias_mean[N_SPEED] = {-2, -5, 3, 0}, A_mean[N_SPEED] = {0.5, -4, 4, 1}, dt_scale[N_SPEED] = {1, 1, 1, 8};
    struct problem p = {.d = d, .K = K, .n = n, .T = T, .t = t, .ssd_t = ssd_t};
    int64_t width = width_of(d), all = n * T;
    for (int32_t i = 0; i < n; i++)
        p.slot[i] = n - 1 - i; /* not the document's own number where there is another */
    p.proj = dmat_make(t, all, width, 16, 8);
    ref_normal(p.proj.v, all * width, 1, 0, 1);
    for (int64_t i = 0; i < all; i++)
        for (int64_t j = width - d.heads; j < width; j++)
            p.proj.v[i * width + j] *= dt_scale[speed];
    dmat_put(&p.proj);
    p.conv_w = dvec_normal(conv_width(d) * K, 2, 0, 0.6);
    p.conv_b = dvec_normal(conv_width(d), 3, 0, 0.3);
    p.dt_bias = dvec_normal(d.heads, 4, bias_mean[speed], 0.5);
    p.A_log = dvec_normal(d.heads, 5, A_mean[speed], 0.7);
    p.D = dvec_normal(d.heads, 6, 1, 0.5);
    p.norm = dvec_normal(inner_of(d), 7, 1, 0.3);
    p.conv = rounded((n + 1) * past_of(&p), 8, t);
    p.ssd = rounded((n + 1) * ssd_of(d), 9, ssd_t);
    return p;
}
static void problem_free(struct problem *p)
{
    struct dmat *all[] = {&p->proj, &p->conv_w, &p->conv_b, &p->dt_bias, &p->A_log, &p->D, &p->norm};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        dmat_free(all[i]);
    free(p->conv);
    free(p->ssd);
}

/* Slots on the device as the problem has them at the start. */
struct slots {
    struct dmat conv, ssd;
};
static struct slots slots_make(const struct problem *p)
{
    struct slots s = {dmat_make(p->t, p->n + 1, past_of(p), 0, GAP), dmat_make(p->ssd_t, p->n + 1, ssd_of(p->d), 0, GAP)};
    memcpy(s.conv.v, p->conv, (size_t)((p->n + 1) * past_of(p)) * sizeof(double));
    memcpy(s.ssd.v, p->ssd, (size_t)((p->n + 1) * ssd_of(p->d)) * sizeof(double));
    dmat_put(&s.conv);
    dmat_put(&s.ssd);
    return s;
}
static struct state_view view(const struct dmat *d)
{
    return (struct state_view){.data = d->m.data, .dtype = (int)d->m.dtype, .stride = d->m.ld};
}

/* Rows of the documents [from, from + n) at tokens [at, at + len): gathered into a matrix of their own. */
static struct dmat gather(const struct problem *p, int32_t from, int32_t n, int32_t at, int32_t len)
{
    int64_t width = width_of(p->d);
    struct dmat m = dmat_make(p->t, n * len, width, 16, 8);
    for (int32_t i = 0; i < n; i++)
        memcpy(m.v + i * len * width, p->proj.v + ((from + i) * (int64_t)p->T + at) * width, (size_t)(len * width) * sizeof(double));
    dmat_put(&m);
    return m;
}

/* Tokens [at, at + len) of documents [from, from + n), onto their slots: by the sequence kernels, or as a step. g [n, len, H*P]. */
static void advance(const struct problem *p, double *g, int32_t from, int32_t n, int32_t at, int32_t len, bool step, struct slots *s)
{
    int32_t lens[MOST];
    for (int32_t i = 0; i < n; i++)
        lens[i] = len;
    struct ref_seqs q = ref_seqs_make(lens, n, p->slot + from, 64);
    struct dmat proj = gather(p, from, n, at, len), out = dmat_make(p->t, n * len, inner_of(p->d), 8, 16);
    struct dmat room = dmat_make(p->t, n * len, conv_width(p->d), 0, 0);
    struct mixer_in in = {.proj = proj.m,
                          .room = room.m,
                          .d = p->d,
                          .conv = p->K,
                          .conv_w = p->conv_w.m.data,
                          .conv_b = p->conv_b.m.data,
                          .dt_bias = p->dt_bias.m.data,
                          .A_log = p->A_log.m.data,
                          .D = p->D.m.data,
                          .norm = p->norm.m.data,
                          .eps = (float)EPS};
    if (step) {
        mixer_step(out.m, in, q.dev, view(&s->conv), view(&s->ssd));
    } else {
        struct mixer_cols c = mixer_cols(proj.m, p->d);
        struct conv_cols v = conv_cols(room.m, p->d);
        void *scratch = dev_alloc(ssd_scratch(p->d, n * len, n, 64, 0));
        conv_fwd(room.m, c.xBC, in.conv_w, in.conv_b, p->K, q.dev, view(&s->conv));
        ssd_fwd(out.m, (struct ssd_kept){0}, (struct ssd_in){v.x, v.B, v.C, c.dt, in.dt_bias, in.A_log, in.D}, p->d, q.dev, view(&s->ssd),
                scratch);
        gatenorm_fwd(out.m, NULL, out.m, c.z, in.norm, p->d.groups, (float)EPS);
        dev_sync();
        dev_free(scratch);
    }
    dmat_read(g, &out);
    check_msg(dmat_gap_ok(&out) && dmat_gap_ok(&proj), "written outside the columns");
    dmat_free(&proj);
    dmat_free(&out);
    dmat_free(&room);
    ref_seqs_free(&q);
}

/* g [n, T, H*P], and the slots' states at the end. */
struct result {
    double *g, *conv, *ssd;
};
static void result_free(struct result *r)
{
    free(r->g);
    free(r->conv);
    free(r->ssd);
}

/* In document order; the slot of nobody is last. */
static double *states_got(const struct problem *p, const struct dmat *d)
{
    int64_t size = d->m.cols;
    double *got = dmat_got(d), *out = xmalloc((size_t)((p->n + 1) * size) * sizeof *out);
    for (int32_t i = 0; i <= p->n; i++)
        memcpy(out + i * size, got + (i < p->n ? p->slot[i] : p->n) * size, (size_t)size * sizeof *out);
    check_msg(dmat_gap_ok(d), "written between slots");
    free(got);
    return out;
}

/* The first tokens by the sequence kernels, the rest in steps: of all documents at once or of one after another. */
static struct result run(const struct problem *p, int32_t first, bool together)
{
    int64_t inner = inner_of(p->d);
    struct result r = {.g = xmalloc((size_t)(p->n * p->T * inner) * sizeof(double))};
    struct slots s = slots_make(p);
    int32_t at_once = together ? p->n : 1;
    double *g = xmalloc((size_t)(at_once * p->T * inner) * sizeof *g);
    for (int32_t from = 0; from < p->n; from += at_once)
        for (int32_t at = 0, len; at < p->T; at += len) {
            len = at < first ? first : 1;
            advance(p, g, from, at_once, at, len, at >= first, &s);
            for (int32_t i = 0; i < at_once; i++)
                memcpy(r.g + ((from + i) * (int64_t)p->T + at) * inner, g + i * len * inner, (size_t)(len * inner) * sizeof *g);
        }
    r.conv = states_got(p, &s.conv);
    r.ssd = states_got(p, &s.ssd);
    free(g);
    dmat_free(&s.conv);
    dmat_free(&s.ssd);
    return r;
}

/* Columns [first, first + n) of rows as wide as width. */
static double *columns(const double *v, int64_t rows, int64_t width, int64_t first, int64_t n)
{
    double *out = xmalloc((size_t)(rows * n) * sizeof *out);
    for (int64_t i = 0; i < rows; i++)
        memcpy(out + i * n, v + i * width + first, (size_t)n * sizeof *out);
    return out;
}

static struct result reference(const struct problem *p)
{
    struct ssd_dims d = p->d;
    int64_t rows = (int64_t)p->n * p->T, inner = inner_of(d), gn = (int64_t)d.groups * d.state, conv = conv_width(d), width = width_of(d);
    struct result r = {xmalloc((size_t)(rows * inner) * sizeof(double)), xmalloc((size_t)((p->n + 1) * past_of(p)) * sizeof(double)),
                       xmalloc((size_t)((p->n + 1) * ssd_of(d)) * sizeof(double))};
    int32_t len[MOST];
    double *start = xmalloc((size_t)(p->n * ssd_of(d)) * sizeof *start);
    for (int32_t i = 0; i <= p->n; i++) {
        int32_t slot = i < p->n ? p->slot[i] : p->n;
        memcpy(r.conv + i * past_of(p), p->conv + slot * past_of(p), (size_t)past_of(p) * sizeof(double));
        memcpy(i < p->n ? start + i * ssd_of(d) : r.ssd + i * ssd_of(d), p->ssd + slot * ssd_of(d), (size_t)ssd_of(d) * sizeof(double));
    }
    for (int32_t i = 0; i < p->n; i++)
        len[i] = p->T;
    double *z = columns(p->proj.v, rows, width, 0, inner), *xBC = columns(p->proj.v, rows, width, inner, conv);
    double *dt = columns(p->proj.v, rows, width, inner + conv, d.heads), *v = xmalloc((size_t)(rows * conv) * sizeof *v);
    ref_conv(v, xBC, p->conv_w.v, p->conv_b.v, p->K, len, p->n, conv, r.conv);
    double *x = columns(v, rows, conv, 0, inner), *B = columns(v, rows, conv, inner, gn), *C = columns(v, rows, conv, inner + gn, gn);
    struct ref_ssd in = {.d = d,
                         .len = len,
                         .n = p->n,
                         .x = x,
                         .B = B,
                         .C = C,
                         .dt = dt,
                         .dt_bias = p->dt_bias.v,
                         .A_log = p->A_log.v,
                         .D = p->D.v,
                         .state = start};
    double *y = xmalloc((size_t)(rows * inner) * sizeof *y);
    ref_ssd_fwd(y, r.ssd, &in);
    ref_gatenorm(r.g, y, z, p->norm.v, EPS, d.groups, rows, inner);
    double *all[] = {z, xBC, dt, v, x, B, C, y, start};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    return r;
}

static void against_reference(const struct problem *p, int32_t first)
{
    struct result got = run(p, first, true), want = reference(p);
    int64_t ssd = p->n * ssd_of(p->d);
    double eg = ref_error(got.g, want.g, p->n * p->T * inner_of(p->d)), es = ref_error(got.ssd, want.ssd, ssd);
    double low = p->ssd_t == BF16 ? 1e-2 : 0, tol = fmax(ref_tolerance(p->t), low);
    check_msg(eg <= tol && es <= tol,
              "%s, %s state, H %d P %d G %d N %d K %d, %d documents, %d of %d tokens in one pass: g off by %g, state by %g",
              ref_dtype_name(p->t), ref_dtype_name(p->ssd_t), p->d.heads, p->d.headdim, p->d.groups, p->d.state, p->K, p->n, first, p->T,
              eg, es);
    check_msg(memcmp(got.conv, want.conv, (size_t)((p->n + 1) * past_of(p)) * sizeof(double)) == 0, "inputs kept for the convolution");
    check_msg(memcmp(got.ssd + ssd, want.ssd + ssd, (size_t)ssd_of(p->d) * sizeof(double)) == 0, "the slot of no document changed");
    result_free(&got);
    result_free(&want);
}

/* Groups of 1 to 32 heads, head widths off every tile's, state widths with and without a kernel of their own. */
static const struct ssd_dims shapes[] = {
    {1, 16, 1, 16}, {4, 16, 1, 64},   {2, 64, 2, 16},   {6, 16, 2, 128}, {8, 16, 8, 64},   {2, 64, 1, 128}, {16, 16, 8, 16},
    {3, 64, 1, 64}, {32, 64, 2, 128}, {24, 64, 1, 128}, {32, 8, 1, 64},  {4, 100, 2, 128}, {5, 3, 1, 5},    {6, 72, 3, 64},
};
enum { N_SHAPE = sizeof shapes / sizeof *shapes };

static void every_shape(void)
{
    ref_device();
    for (enum dtype t = F32; t <= BF16; t++)
        for (enum dtype ssd_t = F32; dev_supports(t) && ssd_t <= BF16; ssd_t++)
            for (int k = 0; k < N_SHAPE; k++)
                for (int K = 2; K <= 4; K++) {
                    struct problem p = problem_make(shapes[k], K, K == 3 ? 1 : 3, 6, t, ssd_t, USUAL);
                    against_reference(&p, 0);
                    problem_free(&p);
                }
}

static void every_speed(void)
{
    ref_device();
    for (enum dtype t = F32; t <= BF16; t++)
        for (enum speed speed = USUAL; dev_supports(t) && speed < N_SPEED; speed++)
            for (int k = 0; k < 2; k++) {
                struct problem p =
                    problem_make(k ? (struct ssd_dims){4, 64, 2, 128} : (struct ssd_dims){2, 16, 1, 16}, 4, 2, 33, t, F32, speed);
                against_reference(&p, 0);
                problem_free(&p);
            }
}

/* Behind a prefill of any length: the steps take up the windows and the states that it leaves. */
static void behind_a_prefill(void)
{
    ref_device();
    for (enum dtype t = F32; t <= BF16; t++)
        for (enum dtype ssd_t = F32; dev_supports(t) && ssd_t <= BF16; ssd_t++) {
            static const int32_t firsts[] = {1, 2, 3, 4, 63, 64, 65};
            for (size_t i = 0; i < sizeof firsts / sizeof *firsts; i++) {
                struct problem p = problem_make((struct ssd_dims){4, 64, 2, 64}, 4, 2, firsts[i] + 4, t, ssd_t, USUAL);
                against_reference(&p, firsts[i]);
                problem_free(&p);
            }
        }
}

/* Many rows are exactly the rows alone, in whatever slots. */
static void rows_are_isolated(void)
{
    ref_device();
    static const struct ssd_dims dims[] = {{16, 64, 1, 128}, {8, 64, 2, 128}, {8, 16, 2, 20}};
    for (enum dtype t = F32; t <= BF16; t++)
        for (enum dtype ssd_t = F32; dev_supports(t) && ssd_t <= BF16; ssd_t++)
            for (size_t k = 0; k < sizeof dims / sizeof *dims; k++) {
                struct problem p = problem_make(dims[k], 4, 11, 3, t, ssd_t, USUAL);
                struct result a = run(&p, 0, true), b = run(&p, 0, false);
                check(memcmp(a.g, b.g, (size_t)(p.n * p.T * inner_of(p.d)) * sizeof(double)) == 0);
                check(memcmp(a.conv, b.conv, (size_t)((p.n + 1) * past_of(&p)) * sizeof(double)) == 0);
                check(memcmp(a.ssd, b.ssd, (size_t)((p.n + 1) * ssd_of(p.d)) * sizeof(double)) == 0);
                result_free(&a);
                result_free(&b);
                problem_free(&p);
            }
}

static const struct test all[] = {{"every_shape", every_shape},
                                  {"every_speed", every_speed},
                                  {"behind_a_prefill", behind_a_prefill},
                                  {"rows_are_isolated", rows_are_isolated}};
TEST_MAIN("mixer", all)
