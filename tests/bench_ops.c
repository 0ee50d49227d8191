/* tests/bench_ops.c - the ops' rates beside what the memory and the matrix-product library give, at the shape of a small model.
 *
 * bench_ops [TOKENS WIDTH VOCAB]. One line an op: its time (the best of several runs), the bytes it must move at least over that time, and
 * that as a share of the plain copy's rate (reads only: of the sum's); matrix products as FLOP/s.
 */
#include "core/log.h"
#include "kernels/conv.h"
#include "kernels/embed.h"
#include "kernels/linear.h"
#include "kernels/norm.h"
#include "kernels/optim.h"
#include "kernels/sample.h"
#include "kernels/xent.h"
#include "tests/ref_util.h"

static enum dtype type; /* of activations */

/* Device memory of n elements of type t: small numbers. */
static void *numbers(enum dtype t, int64_t n)
{
    enum { BLOCK = 1 << 16 };
    static double v[BLOCK];
    char *p = dev_alloc((size_t)(n * dtype_size(t)));
    ref_normal(v, BLOCK, 1, 0, 1);
    for (int64_t at = 0; at < n; at += BLOCK)
        ref_put(p + at * dtype_size(t), t, v, n - at < BLOCK ? n - at : BLOCK);
    return p;
}
static mat matrix(enum dtype t, int64_t rows, int64_t cols)
{
    return mat_make(numbers(t, rows * cols), t, rows, cols);
}

static double copy_rate;
static void report(const char *name, double seconds, double bytes, double flops)
{
    printf("%-26s %10.1f us", name, seconds * 1e6);
    if (flops > 0)
        printf("  %8.1f GFLOP/s", flops / seconds * 1e-9);
    if (bytes > 0)
        printf("  %8.1f GB/s  %4.0f%% of copy", bytes / seconds * 1e-9, 100 * bytes / seconds / copy_rate);
    printf("\n");
    fflush(stdout);
}

/* The best of several runs of a statement, in seconds. */
#define BEST(seconds, statement)                                                                                                           \
    do {                                                                                                                                   \
        double until = log_now() + 0.4;                                                                                                    \
        (seconds) = INFINITY;                                                                                                              \
        for (int run_ = 0; run_ < 3 || log_now() < until; run_++) {                                                                        \
            dev_timer_start();                                                                                                             \
            statement;                                                                                                                     \
            double took_ = dev_timer_stop();                                                                                               \
            (seconds) = run_ && took_ < (seconds) ? took_ : (seconds);                                                                     \
        }                                                                                                                                  \
    } while (0)

static void memory(void)
{
    int64_t n = 64 << 20;
    double s;
    float *a = numbers(F32, n), *b = dev_alloc((size_t)n * sizeof *b);
    double *sum = dev_alloc(sizeof *sum);
    void *scratch = dev_alloc(sum_scratch());
    BEST(s, dev_copy(b, a, (size_t)n * sizeof *a));
    copy_rate = 8.0 * (double)n / s;
    report("copy", s, 8.0 * (double)n, 0);
    BEST(s, sumsq_add(sum, mat_make(a, F32, 1, n), scratch));
    report("sumsq_add (reads only)", s, 4.0 * (double)n, 0);
    dev_free(a);
    dev_free(b);
    dev_free(sum);
    dev_free(scratch);
}

static void products(int64_t t, int64_t in, int64_t out)
{
    mat x = matrix(type, t, in), w = matrix(type, out, in), y = matrix(type, t, out), dw = matrix(F32, out, in);
    double s, flops = 2.0 * (double)t * (double)in * (double)out;
    char name[64];
    printf("-- linear %lld x %lld -> %lld\n", (long long)t, (long long)in, (long long)out);
    BEST(s, linear_fwd(y, x, w, (mat){0}));
    report("linear_fwd", s, 0, flops);
    BEST(s, linear_bwd_x(x, y, w, 0));
    report("linear_bwd_x", s, 0, flops);
    BEST(s, linear_bwd_w(dw, y, x));
    report("linear_bwd_w", s, 0, flops);
    for (int64_t b = 1; b <= 64; b *= 4) {
        BEST(s, linear_step(mat_rows(y, 0, b), mat_rows(x, 0, b), w, (mat){0}));
        snprintf(name, sizeof name, "linear_step %lld rows", (long long)b);
        report(name, s, (double)(out * in * dtype_size(type)), 2.0 * (double)b * (double)(in * out));
    }
    dev_free(x.data);
    dev_free(w.data);
    dev_free(y.data);
    dev_free(dw.data);
}

static void elementwise(int64_t t, int64_t width)
{
    int64_t inner = 2 * width, conv = inner + 256;
    double e = (double)dtype_size(type), s, n = (double)(t * width);
    printf("-- %lld tokens, width %lld, inner width %lld\n", (long long)t, (long long)width, (long long)inner);
    mat x = matrix(F32, t, width), h = matrix(type, t, width), dx = matrix(F32, t, width);
    float *w = numbers(F32, 4 * conv), *dw = numbers(F32, 4 * conv), *db = numbers(F32, conv),
          *rstd = dev_alloc((size_t)t * 8 * sizeof *rstd);
    void *scratch = dev_alloc(rmsnorm_scratch(t, inner) + gatenorm_scratch(t, inner) + conv_scratch(t, conv, 4));
    BEST(s, rmsnorm_fwd(h, rstd, x, w, 1e-5f));
    report("rmsnorm_fwd", s, n * (4 + e), 0);
    BEST(s, rmsnorm_bwd(dx, dw, h, x, w, rstd, scratch));
    report("rmsnorm_bwd", s, n * (12 + e), 0);
    mat y = matrix(type, t, inner), z = matrix(type, t, inner), o = matrix(type, t, inner), dz = matrix(type, t, inner);
    n = (double)(t * inner) * e;
    BEST(s, gatenorm_fwd(o, rstd, y, z, w, 1, 1e-5f));
    report("gatenorm_fwd", s, 3 * n, 0);
    BEST(s, gatenorm_bwd(o, dz, dw, o, y, z, w, rstd, 1, scratch));
    report("gatenorm_bwd", s, 5 * n, 0);
    mat cx = matrix(type, t, conv), cy = matrix(type, t, conv), cd = matrix(type, t, conv);
    int32_t len = (int32_t)t;
    struct ref_seqs q = ref_seqs_make(&len, 1, NULL, 256);
    n = (double)(t * conv) * e;
    BEST(s, conv_fwd(cy, cx, w, db, 4, q.dev, (struct state_view){0}));
    report("conv_fwd", s, 2 * n, 0);
    BEST(s, conv_bwd(cd, dw, db, cy, cx, w, db, 4, q.dev, scratch));
    report("conv_bwd", s, 3 * n, 0);
    ref_seqs_free(&q);
    int64_t params = 16 << 20;
    float *pw = numbers(F32, params), *m = dev_alloc((size_t)params * 4), *v = dev_alloc((size_t)params * 4), *g = numbers(F32, params);
    struct step_stats stats = {.scale = 1}, *dev_stats = ref_dev(&stats, sizeof stats);
    struct adamw a = {.lr = 1e-4f, .beta1 = 0.9f, .beta2 = 0.95f, .eps = 1e-8f, .decay = 0.1f, .t = 1};
    BEST(s, adamw_step(pw, NULL, m, v, g, F32, params, a, dev_stats));
    report("adamw_step", s, 28.0 * (double)params, 0);
    void *all[] = {x.data, h.data,  dx.data, w,       dw,      db, rstd, scratch, y.data, z.data,
                   o.data, dz.data, cx.data, cy.data, cd.data, pw, m,    v,       g,      dev_stats};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        dev_free(all[i]);
}

static void vocabulary(int64_t rows, int64_t width, int64_t vocab)
{
    printf("-- vocabulary %lld, %lld rows\n", (long long)vocab, (long long)rows);
    mat l = matrix(F32, rows, vocab), d = matrix(F32, rows, vocab), table = matrix(F32, vocab, width), y = matrix(F32, rows, width);
    int32_t *ids = xmalloc((size_t)rows * sizeof *ids);
    for (int64_t i = 0; i < rows; i++)
        ids[i] = (int32_t)rng_below(1, 2, (uint64_t)i, (uint64_t)vocab);
    int32_t *dev_ids = ref_dev(ids, (size_t)rows * sizeof *ids);
    float *loss = dev_alloc((size_t)rows * sizeof *loss);
    double s, n = (double)(rows * vocab);
    BEST(s, xent_fwd_bwd((mat){.dtype = F32}, loss, l, dev_ids, NULL));
    report("xent, loss only", s, 4 * n, 0);
    BEST(s, xent_fwd_bwd(d, loss, l, dev_ids, NULL));
    report("xent and gradient", s, 8 * n, 0);
    void *scratch = dev_alloc(embed_scratch(rows, vocab) + sample_scratch(rows, vocab));
    BEST(s, embed_fwd(y, table, dev_ids));
    report("embed_fwd", s, 8.0 * (double)(rows * width), 0);
    BEST(s, embed_bwd(table, y, dev_ids, scratch));
    report("embed_bwd", s, 12.0 * (double)(rows * width), 0);
    int64_t b = rows < 8 ? rows : 8;
    struct sample_rows r = {dev_alloc((size_t)b * 8), dev_alloc((size_t)b * 8), dev_alloc((size_t)(b * (vocab + 31) / 32 + b) * 4),
                            dev_alloc((size_t)b * 4)};
    int32_t *token = dev_alloc((size_t)b * 4);
    static const struct sampling how[] = {{.temperature = 0, .top_p = 1, .repetition_penalty = 1},
                                          {.temperature = 1, .top_p = 1, .repetition_penalty = 1},
                                          {.temperature = 0.6f, .top_p = 0.95f, .repetition_penalty = 1.1f}};
    static const char *const names[] = {"sample: greedy", "sample: whole", "sample: top-p 0.95"};
    for (int i = 0; i < 3; i++) {
        double best = INFINITY;
        for (int run = 0; run < 20; run++) { /* the logits are overwritten */
            mat few = mat_rows(d, 0, b);
            mat_convert(few, mat_rows(l, 0, b));
            dev_timer_start();
            sample_step(token, few, how[i], r, scratch);
            s = dev_timer_stop();
            best = s < best ? s : best;
        }
        report(names[i], best / (double)b, 0, 0);
    }
    printf("   (sampling: a sequence of a batch of %lld)\n", (long long)b);
    void *all[] = {l.data, d.data, table.data, y.data, dev_ids, loss, scratch, (void *)r.stream, r.index, r.seen, (void *)r.slot, token};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        dev_free(all[i]);
    free(ids);
}

int main(int argc, char **argv)
{
    int64_t tokens = argc > 1 ? atoll(argv[1]) : 2048, width = argc > 2 ? atoll(argv[2]) : 768, vocab = argc > 3 ? atoll(argv[3]) : 50288;
    if (tokens < 64 || width < 8 || vocab < 8) {
        fprintf(stderr, "usage: bench_ops [TOKENS (64 or more) WIDTH VOCAB]\n");
        return 2;
    }
    ref_device();
    type = dev_supports(BF16) ? BF16 : F32;
    printf("%s, activations %s\n", dev_describe(), ref_dtype_name(type));
    memory();
    products(tokens, width, 4 * width + 280);
    products(tokens, 2 * width, width);
    elementwise(tokens, width);
    vocabulary(tokens < 512 ? tokens : 512, width, vocab);
    return 0;
}
