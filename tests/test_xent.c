/* tests/test_xent.c - softmax cross-entropy against double precision, its gradient against finite differences and the closed form. */
#include "kernels/xent.h"
#include "tests/ref_ops.h"
#include "tests/ref_util.h"

/* Every third row is not learnt. */
static void make_targets(int32_t *target, int64_t rows, int64_t v)
{
    for (int64_t i = 0; i < rows; i++)
        target[i] = i % 3 == 2 ? -1 : (int32_t)rng_below(3, 9, (uint64_t)i, (uint64_t)v);
}

/* weight (softmax - onehot). */
static void closed_form(double *d, const double *logits, const int32_t *target, const double *weight, int64_t rows, int64_t v)
{
    memset(d, 0, sizeof(double) * (size_t)(rows * v));
    for (int64_t i = 0; i < rows; i++) {
        const double *l = logits + i * v, one = 1, w = weight ? weight[i] : 1;
        const int32_t first = 0;
        double rest; /* log(sum of exp(l)) - l[0] */
        ref_xent(&rest, l, &first, &one, 1, v);
        for (int64_t j = 0; target[i] >= 0 && j < v; j++)
            d[i * v + j] = w * (exp(l[j] - l[0] - rest) - (j == target[i]));
    }
}

struct problem {
    double *logits, *weight, *loss;
    const int32_t *target;
    int64_t rows, v;
};
static double objective(void *arg)
{
    struct problem *p = arg;
    ref_xent(p->loss, p->logits, p->target, p->weight, p->rows, p->v);
    double sum = 0;
    for (int64_t i = 0; i < p->rows; i++)
        sum += p->loss[i];
    return sum;
}

/* The closed form is the gradient of the reference's loss. */
static void reference(void)
{
    enum { R = 5, N = 33 };
    double logits[R * N], weight[R] = {1, 0.5, 2, 0, 3}, loss[R], slope[R * N], form[R * N];
    int32_t target[R];
    make_targets(target, R, N);
    ref_normal(logits, R * N, 1, 0, 3);
    struct problem p = {logits, weight, loss, target, R, N};
    ref_gradient(slope, logits, R * N, 1e-3, objective, &p);
    closed_form(form, logits, target, weight, R, N);
    check_msg(ref_error(form, slope, R * N) < 1e-9, "error %g", ref_error(form, slope, R * N));
}

static void run(enum dtype tl, enum dtype td, int64_t rows, int64_t v, bool weighted, bool want_d, bool in_place)
{
    struct dmat l = dmat_normal(tl, rows, v, 0, in_place ? 0 : 8, 1, 4), d = dmat_make(td, rows, v, 8, 0);
    int32_t *target = xmalloc(sizeof(int32_t) * (size_t)rows);
    make_targets(target, rows, v);
    struct dmat weight = dvec_normal(rows, 2, 1, 0.5), loss = dvec_normal(rows, 3, 0, 1);
    int32_t *dev_target = ref_dev(target, sizeof(int32_t) * (size_t)rows);
    double *want = xmalloc(sizeof(double) * (size_t)rows), *form = xmalloc(sizeof(double) * (size_t)(rows * v)), e;
    ref_xent(want, l.v, target, weighted ? weight.v : NULL, rows, v);
    closed_form(form, l.v, target, weighted ? weight.v : NULL, rows, v);
    xent_fwd_bwd(in_place ? l.m : want_d ? d.m : (mat){.dtype = td}, loss.m.data, l.m, dev_target, weighted ? weight.m.data : NULL);
    e = dmat_error(&loss, want);
    check_msg(e < 1e-6, "%s [%d, %d]: loss error %g", ref_dtype_name(tl), (int)rows, (int)v, e);
    double *got = dmat_got(&loss);
    for (int64_t i = 0; i < rows; i++)
        check(target[i] >= 0 || got[i] == 0);
    free(got);
    if (in_place || want_d) {
        e = dmat_error(in_place ? &l : &d, form);
        check_msg(e < (td == F32 ? 1e-6 : ref_tolerance(td)), "%s [%d, %d] in place %d: gradient error %g", ref_dtype_name(tl), (int)rows,
                  (int)v, in_place, e);
    }
    check(dmat_gap_ok(&d) && dmat_gap_ok(&l));
    free(target);
    free(want);
    free(form);
    dev_free(dev_target);
    dmat_free(&l);
    dmat_free(&d);
    dmat_free(&weight);
    dmat_free(&loss);
}

static void sizes(void)
{
    static const int64_t vocab[] = {1, 2, 63, 260, 1024, 1025, 5003, 50288, 300007};
    ref_device();
    for (int tl = F32; tl <= BF16; tl++)
        for (int td = F32; td <= tl; td++) {
            if (!dev_supports((enum dtype)tl))
                continue;
            for (int j = 0; j < 9; j++)
                run((enum dtype)tl, (enum dtype)td, j % 2 ? 7 : 4, vocab[j], j % 3, true, false);
            for (int i = 0; i < REF_LENGTHS; i++) {
                run((enum dtype)tl, (enum dtype)td, ref_lengths[i], 257, i % 2, true, false);
                run((enum dtype)tl, (enum dtype)tl, ref_lengths[i], 264, i % 2 == 0, true, true);
                run((enum dtype)tl, (enum dtype)td, ref_lengths[i], 130, i % 2, false, false);
            }
        }
}

/* Logits far from zero, a sure answer, masked vocabulary (-inf), and what is not a number. */
static void extremes(void)
{
    ref_device();
    enum { N = 3000, R = 6 };
    struct dmat l = dmat_make(F32, R, N, 0, 0), d = dmat_make(F32, R, N, 0, 0), loss = dvec_normal(R, 3, 0, 1);
    int32_t target[R] = {5, 5, 2500, 0, 700, 1};
    ref_normal(l.v, R * N, 1, 0, 1);
    for (int64_t j = 0; j < N; j++) {
        l.v[j] += 30000;                                                           /* 0: large */
        l.v[N + j] = j == 5 ? 80 : -80;                                            /* 1: sure and right */
        l.v[2 * N + j] = j == 5 ? 80 : -80;                                        /* 2: sure and wrong */
        l.v[3 * N + j] -= 1e6;                                                     /* 3: very negative */
        l.v[4 * N + j] = j == 700 || j == 2999 ? l.v[4 * N + j] - 300 : -INFINITY; /* 4: pieces without a finite logit come first */
    }
    l.v[5 * N + 77] = NAN;
    dmat_put(&l);
    int32_t *dev_target = ref_dev(target, sizeof target);
    double want[R], form[R * N];
    ref_xent(want, l.v, target, NULL, R, N);
    closed_form(form, l.v, target, NULL, 4, N);
    xent_fwd_bwd(d.m, loss.m.data, l.m, dev_target, NULL);
    double *got = dmat_got(&loss), *grad = dmat_got(&d);
    for (int i = 0; i < 5; i++)
        check_msg(fabs(got[i] - want[i]) <= 1e-6 * fabs(want[i]) + 1e-6, "row %d: %.9g, want %.9g", i, got[i], want[i]);
    check(isnan(got[5]));
    check_msg(ref_error(grad, form, 3 * N) < 1e-6, "gradient error %g", ref_error(grad, form, 3 * N));
    for (int j = 0; j < N; j++)
        check(j == 700 || j == 2999 || grad[4 * N + j] == 0);
    check(grad[4 * N + 700] < 0 && fabs(grad[4 * N + 700] + grad[4 * N + 2999]) < 1e-6);
    free(got);
    free(grad);
    dev_free(dev_target);
    dmat_free(&l);
    dmat_free(&d);
    dmat_free(&loss);
}

static const struct test all[] = {{"reference", reference}, {"sizes", sizes}, {"extremes", extremes}};
TEST_MAIN("xent", all)
