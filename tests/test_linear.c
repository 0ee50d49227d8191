/* tests/test_linear.c - matrix products and type conversion against a double-precision triple loop. */
#include "kernels/device.h"
#include "kernels/linear.h"
#include "tests/ref_ops.h"
#include "tests/ref_util.h"

struct shape {
    int64_t t, in, out;
};
static const struct shape shapes[] = {{1, 1, 1},      {1, 128, 300},  {2, 63, 65},  {3, 17, 5},    {5, 256, 64}, {63, 64, 65},
                                      {64, 33, 127},  {4, 1000, 70},  {7, 512, 40}, {8, 2056, 24}, {9, 256, 33}, {65, 128, 128},
                                      {127, 130, 96}, {128, 96, 129}, {129, 50, 7}, {257, 72, 48}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

/* GPU products of bf16 want 16-byte rows: slices start and end at multiples of 8 elements, as the model's do. */
static int64_t pad(enum dtype t, int64_t n)
{
    return t == F32 ? n : (n + 7) / 8 * 8;
}

static void forward(enum dtype t, enum dtype weights, bool step)
{
    for (int i = 0; i < SHAPES; i++) {
        int64_t n = shapes[i].t, in = pad(t, shapes[i].in), out = pad(t, shapes[i].out);
        struct dmat x = dmat_normal(t, n, in, 8, 16, 1, 1), w = dmat_normal(weights, out, in, 0, i % 2 ? 8 : 0, 2, 0.3);
        double *want = xmalloc((size_t)(n * out) * sizeof *want);
        for (int with_add = 0; with_add < 3; with_add++) {
            struct dmat add = dmat_normal(t, n, out, 16, 0, 3, 1), y = dmat_make(t, n, out, 0, 24);
            if (with_add == 2) { /* in place */
                memcpy(y.v, add.v, (size_t)(n * out) * sizeof *y.v);
                dmat_put(&y);
            }
            mat a = with_add == 2 ? y.m : add.m;
            if (with_add == 0)
                a.data = NULL;
            (step ? linear_step : linear_fwd)(y.m, x.m, w.m, a);
            ref_linear(want, x.v, w.v, with_add ? add.v : NULL, n, in, out);
            double e = dmat_error(&y, want);
            check_msg(e < (t == F32 ? 1e-6 : ref_tolerance(t)), "%s [%d, %d] x %s [%d]^T, add %d: error %g", ref_dtype_name(t), (int)n,
                      (int)in, ref_dtype_name(weights), (int)out, with_add, e);
            check(dmat_gap_ok(&y));
            dmat_free(&y);
            dmat_free(&add);
        }
        free(want);
        dmat_free(&x);
        dmat_free(&w);
    }
}
static void fwd(void)
{
    ref_device();
    for (int t = F32; t <= BF16; t++)
        forward(dev_activations(t), t, false);
}
static void step(void)
{
    ref_device();
    for (int t = F32; t <= BF16; t++)
        forward(dev_activations(t), t, true);
}

/* Weights in bf16 and the same values in f32 beside f32 rows: the same bits from a step, rounding apart from a pass, whose weights become
 * floats some rows at a time (here in three parts). */
static void half_weights(void)
{
    ref_device();
    if (dev_supports(BF16)) {
        test_skip("this backend computes in bf16");
        return;
    }
    enum { ROWS = 5, IN = 4099, OUT = 300 };
    struct dmat x = dmat_normal(F32, ROWS, IN, 0, 0, 1, 1), half = dmat_normal(BF16, OUT, IN, 0, 3, 2, 1);
    struct dmat whole = dmat_make(F32, OUT, IN, 0, 0), y[4];
    memcpy(whole.v, half.v, sizeof(double) * OUT * IN);
    dmat_put(&whole);
    double *got[4];
    for (int k = 0; k < 4; k++) {
        y[k] = dmat_make(F32, ROWS, OUT, 0, 0);
        (k < 2 ? linear_step : linear_fwd)(y[k].m, x.m, k % 2 ? whole.m : half.m, (mat){0});
        got[k] = dmat_got(&y[k]);
    }
    check(memcmp(got[0], got[1], sizeof(double) * ROWS * OUT) == 0);
    check_msg(ref_error(got[2], got[3], ROWS * OUT) < 1e-6, "%g", ref_error(got[2], got[3], ROWS * OUT));
    for (int k = 0; k < 4; k++) {
        free(got[k]);
        dmat_free(&y[k]);
    }
    dmat_free(&x);
    dmat_free(&half);
    dmat_free(&whole);
}

/* The product with its norm in front, from every type of residual; rows around those that a kernel of its own takes, and beyond. */
static void norm_step(void)
{
    ref_device();
    static const struct shape of[] = {{1, 17, 5},  {1, 512, 300}, {2, 256, 33}, {3, 1032, 17},
                                      {5, 72, 40}, {8, 256, 129}, {9, 264, 64}, {33, 64, 65}};
    for (int t = F32; t <= BF16; t++)
        for (int from = F32; dev_supports(t) && from <= t; from++)
            for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
                int64_t n = of[i].t, in = pad(t, of[i].in), out = pad(t, of[i].out);
                struct dmat x = dmat_normal(from, n, in, 8, 16, 1, 3), w = dmat_normal(t, out, in, 0, i % 2 ? 8 : 0, 2, 0.3);
                struct dmat norm = dvec_normal(in, 3, 1, 0.5), h = dmat_make(t, n, in, 0, 8);
                double *normed = xmalloc((size_t)(n * in) * sizeof *normed), *want = xmalloc((size_t)(n * out) * sizeof *want);
                ref_rmsnorm(normed, x.v, norm.v, 1e-5, n, in);
                ref_linear(want, normed, w.v, NULL, n, in, out);
                for (int to = F32; to <= t; to++) {
                    struct dmat y = dmat_make(to, n, out, 8, 24);
                    linear_norm_step(y.m, h.m, x.m, norm.m.data, 1e-5f, w.m);
                    double e = dmat_error(&y, want);
                    check_msg(e < ref_tolerance(t), "norm of %s, %s [%d, %d] x [%d]^T to %s: error %g", ref_dtype_name(from),
                              ref_dtype_name(t), (int)n, (int)in, (int)out, ref_dtype_name(to), e);
                    check(dmat_gap_ok(&y) && dmat_gap_ok(&h) && dmat_gap_ok(&x));
                    dmat_free(&y);
                }
                free(normed);
                free(want);
                dmat_free(&x);
                dmat_free(&w);
                dmat_free(&norm);
                dmat_free(&h);
            }
}

/* A row gives the same bits alone, among 7 and among 64; only the CPU promises it. */
static void step_alone(void)
{
    ref_device();
    if (strcmp(dev_backend(), "cpu") != 0) {
        test_skip("promised by the cpu backend only");
        return;
    }
    enum { ROWS = 65, IN = 133, OUT = 71 };
    struct dmat x = dmat_normal(F32, ROWS, IN, 0, 0, 1, 1), w = dmat_normal(F32, OUT, IN, 0, 0, 2, 1),
                whole = dmat_make(F32, ROWS, OUT, 0, 0);
    linear_step(whole.m, x.m, w.m, (mat){0});
    double *all = dmat_got(&whole);
    static const int counts[] = {1, 2, 3, 5, 7, 64};
    for (int c = 0; c < 6; c++)
        for (int from = 0; from + counts[c] <= ROWS; from++) {
            struct dmat y = dmat_make(F32, counts[c], OUT, 0, 0);
            linear_step(y.m, mat_rows(x.m, from, counts[c]), w.m, (mat){0});
            double *got = dmat_got(&y);
            check_msg(memcmp(got, all + from * OUT, sizeof(double) * (size_t)(counts[c] * OUT)) == 0, "%d rows from %d", counts[c], from);
            free(got);
            dmat_free(&y);
        }
    free(all);
    dmat_free(&x);
    dmat_free(&w);
    dmat_free(&whole);
}

static void backward(enum dtype t)
{
    for (int i = 0; i < SHAPES; i++) {
        int64_t n = shapes[i].t, in = pad(t, shapes[i].in), out = pad(t, shapes[i].out);
        struct dmat x = dmat_normal(t, n, in, 8, 0, 1, 1), w = dmat_normal(t, out, in, 0, 0, 2, 0.3),
                    dy = dmat_normal(t, n, out, 8, 8, 3, 1);
        double *want = xmalloc((size_t)((n + out) * in) * sizeof *want);
        for (int beta = 0; beta < 2; beta++) {
            struct dmat dx = dmat_normal(t, n, in, 0, 8, 4, 1);
            if (!beta)
                for (int64_t j = 0; j < n * in; j++)
                    dx.v[j] = NAN; /* beta 0 must not read what is there */
            dmat_put(&dx);
            ref_matmul(want, dy.v, false, w.v, false, n, in, out);
            for (int64_t j = 0; beta && j < n * in; j++)
                want[j] += dx.v[j];
            linear_bwd_x(dx.m, dy.m, w.m, (float)beta);
            double e = dmat_error(&dx, want);
            check_msg(e < (t == F32 ? 1e-6 : ref_tolerance(t)), "%s shape %d, beta %d: dx error %g", ref_dtype_name(t), i, beta, e);
            check(dmat_gap_ok(&dx));
            dmat_free(&dx);
        }
        for (int type = F32; type <= (int)t; type++) {
            struct dmat dw = dmat_normal((enum dtype)type, out, in, 0, 0, 5, 1);
            ref_matmul(want, dy.v, true, x.v, false, out, in, n);
            for (int64_t j = 0; j < out * in; j++)
                want[j] += dw.v[j];
            linear_bwd_w(dw.m, dy.m, x.m);
            double e = dmat_error(&dw, want);
            check_msg(e < (type == F32 ? 2e-6 : ref_tolerance(t)), "%s shape %d: %s dw error %g", ref_dtype_name(t), i,
                      ref_dtype_name((enum dtype)type), e);
            dmat_free(&dw);
        }
        free(want);
        dmat_free(&x);
        dmat_free(&w);
        dmat_free(&dy);
    }
}
static void bwd(void)
{
    ref_device();
    for (int t = F32; t <= BF16; t++)
        if (dev_supports(t))
            backward(t);
}

/* The same product twice gives the same bits. */
static void repeats(void)
{
    ref_device();
    enum { T = 257, IN = 128, OUT = 300 };
    struct dmat x = dmat_normal(F32, T, IN, 0, 0, 1, 1), dy = dmat_normal(F32, T, OUT, 0, 0, 2, 1), dw = dmat_make(F32, OUT, IN, 0, 0);
    double *first = NULL;
    for (int run = 0; run < 5; run++) {
        dev_zero(dw.block, sizeof(float) * OUT * IN);
        linear_bwd_w(dw.m, dy.m, x.m);
        double *got = dmat_got(&dw);
        if (!first)
            first = got;
        else {
            check(memcmp(first, got, sizeof(double) * OUT * IN) == 0);
            free(got);
        }
    }
    free(first);
    dmat_free(&x);
    dmat_free(&dy);
    dmat_free(&dw);
}

static void convert(void)
{
    ref_device();
    for (int from = F32; from <= BF16; from++)
        for (int to = F32; to <= BF16; to++)
            for (int i = 0; i < REF_LENGTHS; i++) {
                int64_t rows = ref_lengths[i], cols = i == 3 ? 40001 : 37;
                struct dmat a = dmat_normal((enum dtype)from, rows, cols, 3, 2, 1, 1), b = dmat_make((enum dtype)to, rows, cols, 1, 0);
                if (cols > 37) { /* what rounding could get wrong */
                    double odd[] = {0, -0.0, INFINITY, -INFINITY, 1.00390625, 1.01171875, 3.4e38, 1e-40};
                    memcpy(a.v, odd, sizeof odd);
                    dmat_put(&a);
                }
                mat_convert(b.m, a.m);
                double *got = dmat_got(&b);
                bool same = true;
                for (int64_t j = 0; j < rows * cols; j++)
                    same = same && got[j] == ref_round((enum dtype)to, a.v[j]);
                check_msg(same, "%s to %s, %d rows", ref_dtype_name((enum dtype)from), ref_dtype_name((enum dtype)to), (int)rows);
                check(dmat_gap_ok(&b));
                free(got);
                dmat_free(&a);
                dmat_free(&b);
            }
}

/* dev_exact(): any rows of any pass are the same bits, added to or not; and they are the right ones. */
static void exact_rows(void)
{
    ref_device();
    enum { ROWS = 400 };
    static const int64_t sizes[][2] = {{48, 424}, {133, 71}, {256, 40}, {1024, 776}}; /* in, out */
    static const int64_t counts[] = {1, 2, 3, 7, 16, 31, 63, 64, 65, 127, 128, 129, 255, 257, 399};
    dev_exact(true);
    for (int s = 0; s < 4; s++)
        for (int step = 0; step < 2; step++) {
            int64_t in = sizes[s][0], out = sizes[s][1];
            struct dmat x = dmat_normal(F32, ROWS, in, 0, 0, 1, 1), w = dmat_normal(F32, out, in, 0, 0, 2, 0.3);
            struct dmat add = dmat_normal(F32, ROWS, out, 0, 0, 3, 1), whole = dmat_make(F32, ROWS, out, 0, 0);
            void (*product)(mat, mat, mat, mat) = step ? linear_step : linear_fwd;
            product(whole.m, x.m, w.m, add.m);
            double *want = xmalloc((size_t)(ROWS * out) * sizeof *want), *all = dmat_got(&whole);
            ref_linear(want, x.v, w.v, add.v, ROWS, in, out);
            check(dmat_error(&whole, want) < 1e-6);
            for (int c = 0; c < 15; c++)
                for (int64_t from = 0; from + counts[c] <= ROWS; from += 1 + 2 * counts[c] / 3) {
                    struct dmat y = dmat_make(F32, counts[c], out, 0, 0);
                    product(y.m, mat_rows(x.m, from, counts[c]), w.m, mat_rows(add.m, from, counts[c]));
                    double *some = dmat_got(&y);
                    check_msg(memcmp(some, all + from * out, (size_t)(counts[c] * out) * sizeof *some) == 0,
                              "%s, %d x %d: rows %d .. of %d alone differ from those of the whole", step ? "step" : "fwd", (int)in,
                              (int)out, (int)from, (int)counts[c]);
                    free(some);
                    dmat_free(&y);
                }
            free(want);
            free(all);
            dmat_free(&whole);
            dmat_free(&add);
            dmat_free(&w);
            dmat_free(&x);
        }
    dev_exact(false);
}

static const struct test all[] = {{"fwd", fwd},
                                  {"step", step},
                                  {"half_weights", half_weights},
                                  {"norm_step", norm_step},
                                  {"step_alone", step_alone},
                                  {"exact_rows", exact_rows},
                                  {"bwd", bwd},
                                  {"repeats", repeats},
                                  {"convert", convert}};
TEST_MAIN("linear", all)
