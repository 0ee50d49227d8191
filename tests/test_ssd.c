/* tests/test_ssd.c - kernels/ssd.h against the token-by-token double reference, and what packing, splitting and repeating may not change. */
#include "kernels/device.h"
#include "kernels/ssd.h"
#include "tests/ref_ops.h" /* ref_gradient */
#include "tests/ssd_problem.h"
#include <omp.h> /* omp_set_num_threads */

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
        one((struct ssd_dims){4, 64, 2, 128}, 64, (int32_t[]){1, 63, 65, 2, 127, 64, 129, 1}, 8, state, F32, USUAL);
        one((struct ssd_dims){6, 64, 2, 64}, 256, (int32_t[]){257, 1, 300, 5}, 4, state, BF16, USUAL);
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

/* Document doc of p, whose rows begin at first, as a problem of its own on the same memory. */
static struct problem alone(const struct problem *p, int32_t doc, int64_t first)
{
    struct problem q = *p;
    struct ssd_in in = inputs_rows(p, first, p->len[doc]);
    q.n = 1, q.T = q.len[0] = p->len[doc], q.slot[0] = 0;
    q.x.m = in.x, q.B.m = in.B, q.C.m = in.C, q.dt.m = in.dt, q.dy.m = mat_rows(p->dy.m, first, p->len[doc]);
    q.state = p->state ? p->state + doc * state_size(p->d) : NULL;
    return q;
}
static void check_long(struct ssd_dims d, int32_t chunk, const int32_t *len, int32_t n, enum dtype t, bool state, enum dtype state_t,
                       enum speed speed)
{
    struct problem p = problem_make(d, chunk, len, n, t, state, state_t, speed);
    struct result got = run(&p, true, 0), want = {0};
    for (int k = Y; k <= STATE; k++)
        want.v[k] = xcalloc((size_t)out_size(&p, k) + 1, sizeof(double));
    struct ref_ssd in = {p.d, p.len, p.n, p.x.v, p.B.v, p.C.v, p.dt.v, p.dt_bias.v, p.A_log.v, p.D.v, p.state};
    ref_ssd_fwd(want.v[Y], state ? want.v[STATE] : NULL, &in);
    int64_t first = 0;
    for (int32_t doc = 0; doc < n; first += len[doc++]) {
        struct problem q = alone(&p, doc, first);
        struct result single = run(&q, true, 0);
        const int64_t at[] = {first * d.heads * d.headdim, doc * state_size(d)};
        for (int k = Y; k <= STATE; k++) {
            if (out_size(&q, k) == 0)
                continue;
            double e = ref_error(got.v[k] + at[k], want.v[k] + at[k], out_size(&q, k));
            check_msg(e <= tolerance(&p, k), "%s of document %d, %d tokens, off by %.3g: %s, H %d N %d chunk %d, %s state", out_name[k],
                      doc, len[doc], e, ref_dtype_name(t), d.heads, d.state, chunk, state ? ref_dtype_name(state_t) : "no");
            check_msg(memcmp(got.v[k] + at[k], single.v[k], (size_t)out_size(&q, k) * sizeof(double)) == 0,
                      "%s of document %d, %d tokens, is another alone: %s, H %d N %d chunk %d", out_name[k], doc, len[doc],
                      ref_dtype_name(t), d.heads, d.state, chunk);
        }
        result_free(&single);
    }
    result_free(&got);
    result_free(&want);
    problem_free(&p);
}
/* Where heads are few, a kernel may cut a long document into parts that it works on side by side, with states that have not decayed going
 * from each to the next: right in every document, and the same bits with neighbours and without. */
static void long_documents(void)
{
    static const int32_t len[] = {255, 256, 1, 511, 512, 513, 800, 1100};
    for (enum dtype t = F32; t <= BF16; t++)
        if (dev_supports(t)) {
            check_long((struct ssd_dims){2, 64, 1, 128}, 256, len, 8, t, true, F32, SLOW);
            check_long((struct ssd_dims){2, 64, 2, 64}, 64, len, 8, t, true, BF16, SLOW);
            check_long((struct ssd_dims){2, 64, 1, 64}, 96, len, 8, t, false, F32, MIXED);
            check_long((struct ssd_dims){2, 64, 1, 128}, 24, (int32_t[]){1, 600, 300}, 3, t, false, F32, USUAL);
            check_long((struct ssd_dims){48, 64, 8, 64}, 128, (int32_t[]){800, 300}, 2, t, true, F32, SLOW);
        }
}

/* Every document in training: right, and the same bits alone. */
static void check_shares(struct ssd_dims d, int32_t chunk, const int32_t *len, int32_t n, bool state)
{
    one(d, chunk, len, n, state, F32, USUAL);
    for (enum dtype t = F32; t <= BF16; t++)
        if (dev_supports(t)) {
            struct problem p = problem_make(d, chunk, len, n, t, state, F32, SLOW);
            struct result all = run(&p, false, 1);
            int64_t first = 0;
            for (int32_t doc = 0; doc < n; first += len[doc++]) {
                struct problem q = alone(&p, doc, first);
                struct result single = run(&q, false, 1);
                for (int k = Y; k < DDT_BIAS; k++) {
                    const int64_t at = k == STATE ? doc * state_size(d) : first * (out_size(&q, k) / q.T);
                    check_msg(out_size(&q, k) == 0 || memcmp(all.v[k] + at, single.v[k], (size_t)out_size(&q, k) * sizeof(double)) == 0,
                              "%s of document %d of %d, %d tokens, is another alone: %s, H %d N %d chunk %d", out_name[k], doc, n, len[doc],
                              ref_dtype_name(t), d.heads, d.state, chunk);
                }
                result_free(&single);
            }
            result_free(&all);
            problem_free(&p);
        }
}
/* Where documents are many, a kernel may give them in shares to its parts, which each go from one to the next without a stop: whatever
 * the lengths, and however uneven the shares come out. */
static void documents_in_shares(void)
{
    int32_t ones[40], mixed[40];
    for (int32_t i = 0; i < 40; i++)
        ones[i] = 1, mixed[i] = 1 + i * 37 % 13;
    check_shares((struct ssd_dims){16, 64, 1, 64}, 64, mixed, 40, true);
    check_shares((struct ssd_dims){12, 64, 2, 128}, 64, ones, 30, false);
    check_shares((struct ssd_dims){20, 64, 4, 64}, 256, (int32_t[]){1, 2, 1, 150, 1, 1, 3, 1, 1, 1, 2, 1, 64, 1, 1}, 15, true);
    check_shares((struct ssd_dims){20, 64, 1, 64}, 96, (int32_t[]){130, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 97, 96, 1}, 15, false);
    check_shares((struct ssd_dims){48, 64, 8, 64}, 64, (int32_t[]){65, 1, 64, 3, 70}, 5, true);
    for (enum dtype t = F32; t <= BF16; t++) /* with documents in segments among them */
        if (dev_supports(t))
            check_long((struct ssd_dims){24, 64, 1, 64}, 256, (int32_t[]){3, 1, 530, 40, 1, 5, 2, 9, 30}, 9, t, true, F32, SLOW);
}

/* One document of p (with a state) in pieces: [0, first), then the rest, at once or token by token. Writes y [T, HP] and the state. */
static void in_pieces(const struct problem *p, int32_t first, bool singly, double *y_out, double **state_out)
{
    const int64_t HP = p->d.heads * p->d.headdim, size = state_size(p->d);
    struct dmat y = dmat_make(p->t, p->T, HP, 0, 0), slot = slots_make(p->state, p->slot, 1, size, p->state_t);
    void *scratch = dev_alloc(ssd_scratch(p->d, p->T, 1, p->chunk, 0));
    for (int32_t at = 0; at < p->T;) {
        int32_t len = at < first ? first : singly ? 1 : (int32_t)p->T - at;
        struct ref_seqs s = ref_seqs_make(&len, 1, NULL, p->chunk);
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
static void check_pieces(const struct problem *p, const struct result *want, int32_t first, bool singly)
{
    double *y = xmalloc((size_t)out_size(p, Y) * sizeof(double)), *state;
    in_pieces(p, first, singly, y, &state);
    double tol = p->state_t == BF16 ? 1e-2 : ref_tolerance(p->t), ey = ref_error(y, want->v[Y], out_size(p, Y)),
           es = ref_error(state, want->v[STATE], out_size(p, STATE));
    check_msg(ey <= tol && es <= tol, "%s, %s state, cut after %d, then %s: y off by %g, state by %g", ref_dtype_name(p->t),
              ref_dtype_name(p->state_t), first, singly ? "token by token" : "the rest", ey, es);
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

static void singly_in_every_shape(void)
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

/* dev_exact(): where a document is cut at multiples of its chunk is in no bit, however few heads there are to fill a device. */
static void exact_cuts(void)
{
    static const struct ssd_dims of[] = {{2, 16, 1, 16}, {24, 64, 1, 64}, {3, 64, 1, 128}};
    dev_exact(true);
    for (enum dtype t = F32; t <= BF16; t++)
        for (int k = 0; k < 3 && dev_supports(t); k++) {
            struct problem p = problem_make(of[k], 64, (int32_t[]){1100}, 1, t, true, F32, SLOW);
            const size_t y_bytes = sizeof(double) * (size_t)out_size(&p, Y), state_bytes = sizeof(double) * (size_t)out_size(&p, STATE);
            double *whole = xmalloc(y_bytes), *y = xmalloc(y_bytes), *state, *whole_state;
            in_pieces(&p, 1100, false, whole, &whole_state);
            for (int32_t first = 64; first < 1100; first += first == 64 ? 320 : 640) {
                in_pieces(&p, first, false, y, &state);
                check_msg(memcmp(y, whole, y_bytes) == 0 && memcmp(state, whole_state, state_bytes) == 0,
                          "%s, %d heads: cut after %d tokens, bits differ", ref_dtype_name(t), of[k].heads, first);
                free(state);
            }
            free(whole);
            free(whole_state);
            free(y);
            problem_free(&p);
        }
    dev_exact(false);
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
        {"long documents of few heads", long_documents},
        {"documents in shares", documents_in_shares},
        {"any split of a document", any_split},
        {"exact mode: cuts are in no bit", exact_cuts},
        {"token by token in every shape", singly_in_every_shape},
    };
    ref_device();
    return test_main(argc, argv, "ssd", tests, (int)(sizeof tests / sizeof *tests));
}
