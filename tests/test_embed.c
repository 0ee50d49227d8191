/* tests/test_embed.c - rows by index and the gradient of the table, with ids that repeat, in every mix of types. */
#include "kernels/embed.h"
#include "tests/ref_util.h"

enum { V = 101 };

/* how 0: random; 1: mostly one id; 2: only one id; 3: all different. */
static void make_ids(int32_t *ids, int64_t n, int how)
{
    for (int64_t i = 0; i < n; i++) {
        int32_t any = (int32_t)rng_below(5, 50, (uint64_t)i, V);
        ids[i] = how == 0 ? any : how == 1 ? (any < 80 ? 7 : any) : how == 2 ? V - 1 : (int32_t)(i * 2 % V);
    }
}

static void fwd(void)
{
    ref_device();
    for (int tw = F32; tw <= BF16; tw++)
        for (int ty = F32; ty <= BF16; ty++)
            for (int i = 0; i < REF_LENGTHS; i++) {
                int64_t n = ref_lengths[i], d = i % 2 ? 64 : 37;
                int32_t ids[257];
                make_ids(ids, n, i % 4);
                struct dmat w = dmat_normal((enum dtype)tw, V, d, 0, 8, 1, 1), y = dmat_make((enum dtype)ty, n, d, 8, 0);
                int32_t *dev_ids = ref_dev(ids, sizeof(int32_t) * (size_t)n);
                embed_fwd(y.m, w.m, dev_ids);
                double *got = dmat_got(&y);
                bool same = true;
                for (int64_t j = 0; j < n * d; j++)
                    same = same && got[j] == ref_round((enum dtype)ty, w.v[ids[j / d] * d + j % d]);
                check_msg(same, "%s to %s, T %d", ref_dtype_name((enum dtype)tw), ref_dtype_name((enum dtype)ty), (int)n);
                check(dmat_gap_ok(&y));
                free(got);
                dev_free(dev_ids);
                dmat_free(&w);
                dmat_free(&y);
            }
}

static void backward(enum dtype tw, enum dtype tg)
{
    for (int i = 0; i < REF_LENGTHS; i++)
        for (int how = 0; how < 4; how++) {
            int64_t n = ref_lengths[i], d = how % 2 ? 72 : 1033;
            int32_t ids[257];
            make_ids(ids, n, how);
            struct dmat dw = dmat_normal(tw, V, d, 0, 8, 1, 1), dy = dmat_normal(tg, n, d, 8, 8, 2, 1);
            int32_t *dev_ids = ref_dev(ids, sizeof(int32_t) * (size_t)n);
            void *scratch = dev_alloc(embed_scratch(n, V));
            double *want = xmalloc(sizeof(double) * (size_t)(V * d)), *first = NULL;
            bool touched[V] = {false};
            memcpy(want, dw.v, sizeof(double) * (size_t)(V * d));
            for (int64_t j = 0; j < n * d; j++) {
                want[ids[j / d] * d + j % d] += dy.v[j];
                touched[ids[j / d]] = true;
            }
            for (int run = 0; run < 2; run++) { /* the scratch of the second run is not clean, and must not have to be */
                dmat_put(&dw);
                embed_bwd(dw.m, dy.m, dev_ids, scratch);
                double *got = dmat_got(&dw), e = ref_error(got, want, V * d);
                check_msg(e < (tw == F32 ? 1e-6 : 4e-3), "dw %s dy %s T %d ids %d: error %g", ref_dtype_name(tw), ref_dtype_name(tg),
                          (int)n, how, e);
                for (int64_t v = 0; v < V; v++)
                    if (!touched[v])
                        check(memcmp(got + v * d, dw.v + v * d, sizeof(double) * (size_t)d) == 0);
                if (first) {
                    check(memcmp(first, got, sizeof(double) * (size_t)(V * d)) == 0);
                    free(got);
                } else {
                    first = got;
                }
            }
            check(dmat_gap_ok(&dw));
            free(first);
            free(want);
            dev_free(scratch);
            dev_free(dev_ids);
            dmat_free(&dw);
            dmat_free(&dy);
        }
}
static void bwd(void)
{
    ref_device();
    for (int tw = F32; tw <= BF16; tw++)
        for (int tg = F32; tg <= BF16; tg++)
            if (dev_supports((enum dtype)tg))
                backward((enum dtype)tw, (enum dtype)tg);
}

static const struct test all[] = {{"fwd", fwd}, {"bwd", bwd}};
TEST_MAIN("embed", all)
