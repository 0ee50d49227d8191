/* tests/test_optim.c - sums, clipping and AdamW against double precision. */
#include "kernels/optim.h"
#include "tests/ref_ops.h"
#include "tests/ref_util.h"
#include <omp.h>

static double read_double(const double *device)
{
    double v;
    dev_get(&v, device, sizeof v);
    return v;
}

static void sums(void)
{
    static const int64_t sizes[] = {1, 2, 63, 65, 1000, 65536, 65537, 1234567};
    ref_device();
    void *scratch = dev_alloc(sum_scratch());
    double *sum = dev_alloc(2 * sizeof *sum);
    for (int i = 0; i < 8; i++) {
        int64_t n = sizes[i];
        struct dmat x = dvec_normal(n, 1, 0.1, 1);
        double start[2] = {3, 7}, want = 3, want_sq = 7, first = 0;
        for (int64_t j = 0; j < n; j++) {
            want += x.v[j];
            want_sq += x.v[j] * x.v[j];
        }
        for (int threads = 1; threads <= 4; threads++) { /* the order does not depend on the threads */
            int before = omp_get_max_threads();
            omp_set_num_threads(threads);
            dev_put(sum, start, sizeof start);
            sum_add(sum, x.m.data, n, scratch);
            sumsq_add(sum + 1, x.m, scratch);
            omp_set_num_threads(before);
            double got = read_double(sum), got_sq = read_double(sum + 1);
            check_msg(fabs(got - want) < 1e-11 * want_sq, "n %d: %.17g, want %.17g", (int)n, got, want);
            check_msg(fabs(got_sq - want_sq) < 1e-12 * want_sq, "n %d: %.17g, want %.17g", (int)n, got_sq, want_sq);
            check(threads == 1 || got == first);
            first = got;
        }
        dmat_free(&x);
    }
    dev_free(scratch);
    dev_free(sum);
}

/* Squares of column slices, in both types: what is outside the slice does not count. */
static void slices(void)
{
    ref_device();
    void *scratch = dev_alloc(sum_scratch());
    double *sum = dev_alloc(sizeof *sum);
    for (int t = F32; t <= BF16; t++)
        for (int i = 0; i < REF_LENGTHS; i++) {
            struct dmat x = dmat_normal((enum dtype)t, ref_lengths[i], 1 + 71 * i, 5, i % 2 ? 6 : 0, 1, 1);
            double want = 0;
            for (int64_t j = 0; j < x.m.rows * x.m.cols; j++)
                want += x.v[j] * x.v[j];
            dev_zero(sum, sizeof *sum);
            sumsq_add(sum, x.m, scratch);
            check_msg(fabs(read_double(sum) - want) < 1e-12 * want, "%s %d rows", ref_dtype_name((enum dtype)t), (int)x.m.rows);
            dmat_free(&x);
        }
    dev_free(scratch);
    dev_free(sum);
}

static struct step_stats finish(double loss, double sumsq, float max_norm)
{
    struct step_stats s = {.loss = loss, .sumsq = sumsq}, *d = ref_dev(&s, sizeof s);
    step_finish(d, max_norm);
    dev_get(&s, d, sizeof s);
    dev_free(d);
    return s;
}

static void clipping(void)
{
    ref_device();
    struct step_stats s = finish(2.5, 16, 1);
    check(s.grad_norm == 4 && s.scale == 0.25f && s.loss == 2.5 && s.sumsq == 16);
    s = finish(2.5, 16, 5);
    check(s.grad_norm == 4 && s.scale == 1);
    s = finish(2.5, 16, 0);
    check(s.grad_norm == 4 && s.scale == 1);
    s = finish(0, 0, 1);
    check(s.grad_norm == 0 && s.scale == 1);
    check(isnan(finish(NAN, 16, 1).scale) && isnan(finish(INFINITY, 16, 1).scale) && isnan(finish(-INFINITY, 16, 0).scale));
    check(isnan(finish(1, NAN, 1).scale) && isnan(finish(1, INFINITY, 1).scale) && isnan(finish(1, INFINITY, 0).scale));
    check(isinf(finish(1, INFINITY, 1).grad_norm));
}

/* Several updates; g in both types, with and without the bf16 copy. */
static void updates(void)
{
    static const int64_t sizes[] = {1, 2, 63, 64, 65, 257, 5001, 40003};
    ref_device();
    for (int t = F32; t <= BF16; t++)
        for (int i = 0; i < 8; i++)
            for (int copy = 0; copy < 2; copy++) {
                int64_t n = sizes[i];
                struct adamw a = {.lr = 3e-3f, .beta1 = 0.9f, .beta2 = 0.95f, .eps = 1e-8f, .decay = i % 2 ? 0.1f : 0};
                struct step_stats stats = {.scale = 0.37f}, *dev_stats = ref_dev(&stats, sizeof stats);
                struct dmat w = dvec_normal(n, 1, 0, 0.02), m = dvec_normal(n, 2, 0, 0), v = dvec_normal(n, 3, 0, 0);
                struct dmat w16 = dmat_make(BF16, 1, n, 0, 0);
                for (a.t = 1; a.t <= 5; a.t++) {
                    struct dmat g = dmat_normal((enum dtype)t, 1, n, 0, 0, 10 + (uint64_t)a.t, 0.5);
                    adamw_step(w.m.data, copy ? w16.m.data : NULL, m.m.data, v.m.data, g.m.data, (enum dtype)t, n, a, dev_stats);
                    for (int64_t j = 0; j < n; j++)
                        g.v[j] *= stats.scale;
                    ref_adamw(w.v, m.v, v.v, g.v, n, a.lr, a.beta1, a.beta2, a.eps, a.decay, a.t);
                    dmat_free(&g);
                }
                double e[3] = {dmat_error(&w, w.v), dmat_error(&m, m.v), dmat_error(&v, v.v)};
                check_msg(e[0] < 1e-6 && e[1] < 1e-6 && e[2] < 1e-6, "g %s n %d: errors of w %g, m %g, v %g", ref_dtype_name((enum dtype)t),
                          (int)n, e[0], e[1], e[2]);
                double *got = dmat_got(&w), *got16 = dmat_got(&w16);
                for (int64_t j = 0; j < n; j++)
                    if (got16[j] != (copy ? ref_round(BF16, got[j]) : 0)) {
                        check_msg(false, "bf16 copy %d of %d: %g of %g", (int)j, (int)n, got16[j], got[j]);
                        break;
                    }
                free(got);
                free(got16);
                dev_free(dev_stats);
                dmat_free(&w);
                dmat_free(&m);
                dmat_free(&v);
                dmat_free(&w16);
            }
}

/* A step to be skipped changes nothing, whatever the gradient holds. */
static void skipped(void)
{
    ref_device();
    enum { N = 1001 };
    struct dmat all[4]; /* w, m, v, w16 */
    for (int i = 0; i < 4; i++)
        all[i] = dmat_normal(i == 3 ? BF16 : F32, 1, N, 0, 0, 1 + (uint64_t)i, 1);
    struct dmat g = dvec_normal(N, 9, 0, 1);
    g.v[5] = NAN;
    g.v[6] = INFINITY;
    dmat_put(&g);
    struct step_stats stats = {.scale = NAN}, *dev_stats = ref_dev(&stats, sizeof stats);
    adamw_step(all[0].m.data, all[3].m.data, all[1].m.data, all[2].m.data, g.m.data, F32, N,
               (struct adamw){.lr = 1, .beta1 = 0.9f, .beta2 = 0.95f, .eps = 1e-8f, .decay = 0.1f, .t = 1}, dev_stats);
    for (int i = 0; i < 4; i++) {
        double *got = dmat_got(&all[i]);
        check(memcmp(got, all[i].v, sizeof(double) * N) == 0);
        free(got);
        dmat_free(&all[i]);
    }
    dev_free(dev_stats);
    dmat_free(&g);
}

static const struct test all[] = {{"sums", sums}, {"slices", slices}, {"clipping", clipping}, {"updates", updates}, {"skipped", skipped}};
TEST_MAIN("optim", all)
