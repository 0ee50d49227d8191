/* tests/test_shares.c - shares of the weights: every value has one owner and one place, whatever the ranks; buckets in flight keep apart. */
#include "tests/model_files.h"
#include "tests/test.h"
#include "train/shares.h"

static struct model_config config_of(const char *path)
{
    struct model_config c;
    struct err e;
    char note[256];
    if (!path) {
        c = tiny_config();
    } else if (!config_load(&c, path, note, sizeof note, &e)) {
        die("%s", e.msg);
    }
    return c;
}

static int64_t width(const struct param *p, enum dtype t)
{
    return p->matrix ? dtype_size(t) : 4;
}

/* The shares of a parameter, rank by rank, are all of it in order, and lie inside their blocks one after the other. */
static void check_owners(const struct model_config *c, int32_t ranks)
{
    struct param_table t;
    struct shares *s = xcalloc((size_t)ranks, sizeof *s);
    params_plan_ranks(&t, c, ranks);
    int64_t *next = xcalloc((size_t)t.n, sizeof *next);
    for (int32_t r = 0; r < ranks; r++) {
        shares_plan(&s[r], &t, r);
        for (int type = F32; type <= BF16; type++) {
            char *base = (char *)(uintptr_t)(1 << 20); /* never touched */
            struct tensors own = {&t, (enum dtype)type, base, &s[r].own[type]};
            const char *end = base;
            check(tensors_bytes(own) * ranks == t.bytes[type]);
            for (int32_t k = 0; k < t.n; k++) {
                const struct param *p = &t.param[k];
                int64_t first = 0, n = tensors_clip(own, p, &first, p->n);
                if (n == 0)
                    continue;
                const char *at = tensors_value(own, p, first);
                check(at >= end && (at - base) % 256 == 0);
                end = at + n * width(p, (enum dtype)type);
                if (type == BF16)
                    continue;
                check_msg(first == next[k], "%s: rank %d begins at %lld, the one before ended at %lld", p->name, r, (long long)first,
                          (long long)next[k]);
                next[k] = first + n;
                /* In a whole block the same values are at their usual places. */
                struct tensors whole = {&t, F32, base, NULL}, in_place = {&t, F32, base, &s[r].own_place};
                int64_t again = 0;
                check(tensors_clip(in_place, p, &again, p->n) == n && again == first);
                check(tensors_value(in_place, p, first) == tensors_value(whole, p, first));
            }
            check(end <= base + tensors_bytes(own));
        }
    }
    for (int32_t k = 0; k < t.n; k++)
        check_int(next[k], t.param[k].n);
    for (int32_t r = 0; r < ranks; r++)
        shares_free(&s[r]);
    free(next);
    free(s);
    params_free(&t);
}

static void test_owners(void)
{
    static const char *const paths[] = {NULL, "configs/models/demo.json", "configs/models/mamba2-130m.json",
                                        "configs/models/mamba-codestral-7b.json"};
    static const int32_t ranks[] = {2, 3, 4, 7, 8, 64};
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 6; k++) {
            struct model_config c = config_of(paths[i]);
            check_owners(&c, ranks[k]);
        }
}

/* A piece of a parameter is clipped to what is there. */
static void test_clip(void)
{
    struct model_config c = config_of("configs/models/demo.json");
    struct param_table t;
    struct shares s;
    params_plan_ranks(&t, &c, 3);
    shares_plan(&s, &t, 1);
    struct tensors own = {&t, F32, NULL, &s.own[F32]}, all = {&t, F32, NULL, NULL};
    const struct param *p = params_get(&t, P_EMBED, -1);
    int64_t begin = shares_first(&t, p->segment, 1), end = shares_first(&t, p->segment, 2), i;
    must(begin > 10 && end < p->n - 10);
    i = begin - 5;
    check_int(tensors_clip(own, p, &i, 7), 2);
    check_int(i, begin);
    i = end - 2;
    check_int(tensors_clip(own, p, &i, 7), 2);
    check_int(i, end - 2);
    i = begin - 5;
    check_int(tensors_clip(own, p, &i, 5), 0);
    i = end;
    check_int(tensors_clip(own, p, &i, 5), 0);
    i = 3;
    check_int(tensors_clip(own, p, &i, p->n - 3), end - begin);
    check_int(i, begin);
    i = 3;
    check_int(tensors_clip(all, p, &i, 8), 8);
    check_int(i, 3);
    shares_free(&s);
    params_free(&t);
}

static bool apart(const struct param_table *t, const struct shares *s, int type, int32_t a, int32_t b)
{
    struct tensors g = {t, (enum dtype)type, (char *)(uintptr_t)(1 << 20), &s->flight[type]};
    const int64_t *at = t->bucket_at[type];
    const char *x = shares_segment(g, 2 * a), *y = shares_segment(g, 2 * b);
    return x + at[a + 1] - at[a] <= y || y + at[b + 1] - at[b] <= x;
}

/* Buckets whose gradients are open or on their way at once: neighbours among the layers, the head and the first layer, and with a tied head
 * the embeddings and all others. All of them lie inside the block, whole: their two segments end to end. */
static void test_flight(void)
{
    for (int tied = 0; tied < 2; tied++)
        for (int type = F32; type <= BF16; type++) {
            struct model_config c = config_of("configs/models/demo.json");
            struct param_table t;
            struct shares s;
            c.tied = tied;
            params_plan_ranks(&t, &c, 4);
            shares_plan(&s, &t, 2);
            char *base = (char *)(uintptr_t)(1 << 20);
            struct tensors g = {&t, (enum dtype)type, base, &s.flight[type]};
            int32_t head = t.n_bucket - 1;
            const int64_t *at = t.bucket_at[type];
            int64_t layer = at[2] - at[1], embed = at[1] - at[0];
            for (int32_t l = 1; l < head; l++) {
                check(apart(&t, &s, type, l, head) && apart(&t, &s, type, l, 0));
                check(l == 1 || apart(&t, &s, type, l, l - 1));
            }
            check(!tied || apart(&t, &s, type, 0, head));
            for (int32_t b = 0; b < t.n_bucket; b++) {
                const char *first = shares_segment(g, 2 * b), *second = shares_segment(g, 2 * b + 1);
                check(first >= base && first + at[b + 1] - at[b] <= base + tensors_bytes(g));
                check(second == first + t.segment[2 * b].n * 4);
            }
            check(tensors_bytes(g) <= 2 * layer + 2 * embed); /* not the model */
            for (int32_t k = 0; k < t.n; k++) {
                int64_t i = 0;
                check(tensors_clip(g, &t.param[k], &i, t.param[k].n) == t.param[k].n && i == 0);
            }
            shares_free(&s);
            params_free(&t);
        }
}

static const struct test tests[] = {{"every value has one owner and one place", test_owners},
                                    {"pieces are clipped to what is there", test_clip},
                                    {"buckets in flight keep apart", test_flight}};
TEST_MAIN("test_shares", tests)
