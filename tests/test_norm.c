/* tests/test_norm.c - RMSNorm and the gated, grouped RMSNorm against double precision; gradients against finite differences. */
#include "kernels/norm.h"
#include "tests/ref_ops.h"
#include "tests/ref_util.h"

static const double EPS = 1e-5;

static void each_type(void (*fn)(enum dtype t))
{
    ref_device();
    for (int t = F32; t <= BF16; t++)
        if (dev_supports(t))
            fn(t);
}

static int64_t width(enum dtype t, int64_t n)
{
    return t == F32 ? n : (n + 7) / 8 * 8;
}

/* The residual stream x and its gradient are f32 whatever the type t of the activations. */
static void rms_forward(enum dtype t)
{
    static const int64_t widths[] = {1, 64, 127, 300, 768, 1025};
    for (int i = 0; i < REF_LENGTHS; i++)
        for (int j = 0; j < 6; j++) {
            int64_t n = ref_lengths[i], d = width(t, widths[j]);
            struct dmat x = dmat_normal(F32, n, d, 8, 8, 1, 2), y = dmat_make(t, n, d, 0, 8), w = dvec_normal(d, 2, 1, 0.3);
            struct dmat rstd = dmat_make(F32, 1, n, 0, 0);
            double *want = xmalloc((size_t)(n * d) * sizeof *want);
            ref_rmsnorm(want, x.v, w.v, EPS, n, d);
            rmsnorm_fwd(y.m, rstd.m.data, x.m, w.m.data, (float)EPS);
            double e = dmat_error(&y, want);
            check_msg(e < (t == F32 ? 1e-6 : ref_tolerance(t)), "%s T %d D %d: error %g", ref_dtype_name(t), (int)n, (int)d, e);
            for (int64_t r = 0; r < n; r++) {
                double sum = 0;
                for (int64_t c = 0; c < d; c++)
                    sum += x.v[r * d + c] * x.v[r * d + c];
                want[r] = 1 / sqrt(sum / (double)d + EPS);
            }
            check_msg((e = dmat_error(&rstd, want)) < 1e-6, "%s T %d D %d: rstd error %g", ref_dtype_name(t), (int)n, (int)d, e);
            check(dmat_gap_ok(&y));
            rmsnorm_fwd(y.m, NULL, x.m, w.m.data, (float)EPS);
            dev_sync();
            free(want);
            dmat_free(&x);
            dmat_free(&y);
            dmat_free(&w);
            dmat_free(&rstd);
        }
}
static void rms_fwd(void)
{
    each_type(rms_forward);
}

struct problem {
    double *x, *z, *w, *dy, *y; /* z NULL: plain */
    int groups;
    int64_t n, d;
};
static double objective(void *arg)
{
    struct problem *p = arg;
    if (p->z)
        ref_gatenorm(p->y, p->x, p->z, p->w, EPS, p->groups, p->n, p->d);
    else
        ref_rmsnorm(p->y, p->x, p->w, EPS, p->n, p->d);
    double sum = 0;
    for (int64_t i = 0; i < p->n * p->d; i++)
        sum += p->dy[i] * p->y[i];
    return sum;
}

/* Rows are independent but for dw, so finite differences of one row at a time cost T times less. */
static void row_gradients(double *dx, double *dz, struct problem p, int64_t t)
{
    int64_t d = p.d;
    p.n = 1;
    for (int64_t i = 0; i < t; i++, p.x += d, p.dy += d, p.y += d) {
        ref_gradient(dx + i * d, p.x, d, 1e-3, objective, &p);
        if (p.z) {
            ref_gradient(dz + i * d, p.z, d, 1e-3, objective, &p);
            p.z += d;
        }
    }
}

static void rms_gradients(enum dtype t)
{
    for (int i = 0; i < REF_LENGTHS; i++) {
        int64_t n = ref_lengths[i], d = width(t, i % 2 ? 24 : 37);
        struct dmat x = dmat_normal(F32, n, d, 8, 0, 1, 2), w = dvec_normal(d, 2, 1, 0.3), dy = dmat_normal(t, n, d, 0, 8, 3, 1);
        struct dmat y = dmat_make(t, n, d, 0, 0), rstd = dmat_make(F32, 1, n, 0, 0), dw = dvec_normal(d, 4, 0, 1);
        struct dmat dx = dmat_normal(F32, n, d, 8, 8, 5, 1);
        void *scratch = dev_alloc(rmsnorm_scratch(n, d));
        rmsnorm_fwd(y.m, rstd.m.data, x.m, w.m.data, (float)EPS);
        rmsnorm_bwd(dx.m, dw.m.data, dy.m, x.m, w.m.data, rstd.m.data, scratch);
        struct problem p = {.x = x.v, .w = w.v, .dy = dy.v, .y = xmalloc((size_t)(n * d) * sizeof(double)), .n = n, .d = d};
        double *want = xmalloc((size_t)(n * d) * sizeof *want), e;
        row_gradients(want, NULL, p, n);
        for (int64_t j = 0; j < n * d; j++)
            want[j] += dx.v[j];
        check_msg((e = dmat_error(&dx, want)) < 2e-6, "%s T %d: dx error %g", ref_dtype_name(t), (int)n, e);
        ref_gradient(want, w.v, d, 1e-3, objective, &p);
        for (int64_t j = 0; j < d; j++)
            want[j] += dw.v[j];
        check_msg((e = dmat_error(&dw, want)) < 2e-6, "%s T %d: dw error %g", ref_dtype_name(t), (int)n, e);
        check(dmat_gap_ok(&dx));
        dev_free(scratch);
        free(want);
        free(p.y);
        dmat_free(&x);
        dmat_free(&w);
        dmat_free(&dy);
        dmat_free(&y);
        dmat_free(&rstd);
        dmat_free(&dw);
        dmat_free(&dx);
    }
}
static void rms_bwd(void)
{
    each_type(rms_gradients);
}

static void gate_forward(enum dtype t)
{
    static const int64_t widths[] = {8, 64, 512, 1096};
    static const int groups[] = {1, 2, 8};
    for (int i = 0; i < REF_LENGTHS; i++)
        for (int j = 0; j < 12; j++) {
            int64_t n = ref_lengths[i], d = widths[j / 3];
            int g = groups[j % 3];
            if ((t == BF16 && d / g % 8) || n * d > 150000)
                continue;
            struct dmat y = dmat_normal(t, n, d, 0, 8, 1, 2), z = dmat_normal(t, n, d, 8, 16, 2, 2), w = dvec_normal(d, 3, 1, 0.3);
            struct dmat o = dmat_make(t, n, d, 8, 0), rstd = dmat_make(F32, n, g, 0, 0);
            double *want = xmalloc((size_t)(n * d) * sizeof *want), e;
            ref_gatenorm(want, y.v, z.v, w.v, EPS, g, n, d);
            gatenorm_fwd(o.m, rstd.m.data, y.m, z.m, w.m.data, g, (float)EPS);
            check_msg((e = dmat_error(&o, want)) < (t == F32 ? 1e-6 : ref_tolerance(t)), "%s T %d D %d G %d: error %g", ref_dtype_name(t),
                      (int)n, (int)d, g, e);
            check(dmat_gap_ok(&o));
            gatenorm_fwd(y.m, NULL, y.m, z.m, w.m.data, g, (float)EPS); /* in place */
            check_msg((e = dmat_error(&y, want)) < (t == F32 ? 1e-6 : ref_tolerance(t)), "in place, T %d D %d G %d: error %g", (int)n,
                      (int)d, g, e);
            free(want);
            dmat_free(&y);
            dmat_free(&z);
            dmat_free(&w);
            dmat_free(&o);
            dmat_free(&rstd);
        }
}
static void gate_fwd(void)
{
    each_type(gate_forward);
}

static void gate_gradients(enum dtype t)
{
    static const int groups[] = {1, 2, 8};
    for (int i = 0; i < REF_LENGTHS; i++)
        for (int j = 0; j < 6; j++) {
            bool in_place = j >= 3; /* dy is do's memory */
            int64_t n = ref_lengths[i];
            int g = groups[j % 3];
            int64_t d = t == BF16 ? 8 * g : n > 70 ? 16 : 40;
            struct dmat y = dmat_normal(t, n, d, 0, 8, 1, 2), z = dmat_normal(t, n, d, 8, 0, 2, 2), w = dvec_normal(d, 3, 1, 0.3);
            struct dmat o = dmat_make(t, n, d, 0, 0), rstd = dmat_make(F32, n, g, 0, 0), go = dmat_normal(t, n, d, 0, 8, 4, 1);
            struct dmat dy = dmat_make(t, n, d, 0, 8), dz = dmat_make(t, n, d, 8, 0), dw = dvec_normal(d, 5, 0, 1);
            void *scratch = dev_alloc(gatenorm_scratch(n, d));
            gatenorm_fwd(o.m, rstd.m.data, y.m, z.m, w.m.data, g, (float)EPS);
            gatenorm_bwd(in_place ? go.m : dy.m, dz.m, dw.m.data, go.m, y.m, z.m, w.m.data, rstd.m.data, g, scratch);
            struct problem p = {y.v, z.v, w.v, go.v, xmalloc((size_t)(n * d) * sizeof(double)), g, n, d};
            double *want = xmalloc((size_t)(2 * n * d) * sizeof *want), tol = t == F32 ? 2e-6 : ref_tolerance(t), e;
            row_gradients(want, want + n * d, p, n);
            e = dmat_error(in_place ? &go : &dy, want);
            check_msg(e < tol, "%s T %d D %d G %d: dy error %g", ref_dtype_name(t), (int)n, (int)d, g, e);
            e = dmat_error(&dz, want + n * d);
            check_msg(e < tol, "%s T %d D %d G %d: dz error %g", ref_dtype_name(t), (int)n, (int)d, g, e);
            ref_gradient(want, w.v, d, 1e-3, objective, &p);
            for (int64_t c = 0; c < d; c++)
                want[c] += dw.v[c];
            e = dmat_error(&dw, want);
            check_msg(e < tol, "%s T %d D %d G %d: dw error %g", ref_dtype_name(t), (int)n, (int)d, g, e);
            check(dmat_gap_ok(in_place ? &go : &dy) && dmat_gap_ok(&dz));
            dev_free(scratch);
            free(want);
            free(p.y);
            dmat_free(&y);
            dmat_free(&z);
            dmat_free(&w);
            dmat_free(&o);
            dmat_free(&rstd);
            dmat_free(&go);
            dmat_free(&dy);
            dmat_free(&dz);
            dmat_free(&dw);
        }
}
static void gate_bwd(void)
{
    each_type(gate_gradients);
}

/* Large and tiny rows: no overflow, no loss of the epsilon. */
static void extremes(void)
{
    ref_device();
    enum { D = 96 };
    static const double scales[] = {1e-12, 1e-3, 1e3, 1e15};
    for (int i = 0; i < 4; i++) {
        struct dmat x = dmat_normal(F32, 3, D, 0, 0, 1, scales[i]), y = dmat_make(F32, 3, D, 0, 0), w = dvec_normal(D, 2, 1, 0.3);
        double want[3 * D], e;
        ref_rmsnorm(want, x.v, w.v, EPS, 3, D);
        rmsnorm_fwd(y.m, NULL, x.m, w.m.data, (float)EPS);
        check_msg((e = dmat_error(&y, want)) < 1e-6, "scale %g: error %g", scales[i], e);
        dmat_free(&x);
        dmat_free(&y);
        dmat_free(&w);
    }
    struct dmat y = dmat_normal(F32, 1, D, 0, 0, 1, 1), z = dmat_make(F32, 1, D, 0, 0), w = dvec_normal(D, 2, 1, 0.3),
                o = dmat_make(F32, 1, D, 0, 0);
    for (int64_t j = 0; j < D; j++)
        z.v[j] = j % 2 ? 1e4 : -1e4;
    dmat_put(&z);
    double want[D], e;
    ref_gatenorm(want, y.v, z.v, w.v, EPS, 2, 1, D);
    gatenorm_fwd(o.m, NULL, y.m, z.m, w.m.data, 2, (float)EPS);
    check_msg((e = dmat_error(&o, want)) < 1e-6, "gates of 1e4: error %g", e);
    dmat_free(&y);
    dmat_free(&z);
    dmat_free(&w);
    dmat_free(&o);
}

static const struct test all[] = {
    {"rmsnorm_fwd", rms_fwd}, {"rmsnorm_bwd", rms_bwd}, {"gatenorm_fwd", gate_fwd}, {"gatenorm_bwd", gate_bwd}, {"extremes", extremes}};
TEST_MAIN("norm", all)
