/* tests/test_loader_ranks.c - the rows of a step are the same for any number of ranks, any passes, and any order of asking. */
#include "tests/loader_shards.h"
#include <pthread.h>

static bool same_batch(const struct batch *a, const struct batch *b)
{
    size_t n = (size_t)a->tokens;
    return a->tokens == b->tokens && a->docs == b->docs && a->learnt == b->learnt && memcmp(a->ids, b->ids, n * sizeof *a->ids) == 0 &&
           memcmp(a->target, b->target, n * sizeof *a->target) == 0 && memcmp(a->weight, b->weight, n * sizeof *a->weight) == 0 &&
           memcmp(a->doc_len, b->doc_len, (size_t)a->docs * sizeof *a->doc_len) == 0;
}

/* Puts row b behind what a holds. */
static void append(struct batch *a, const struct batch *b)
{
    memcpy(a->ids + a->tokens, b->ids, (size_t)b->tokens * sizeof *b->ids);
    memcpy(a->target + a->tokens, b->target, (size_t)b->tokens * sizeof *b->target);
    memcpy(a->weight + a->tokens, b->weight, (size_t)b->tokens * sizeof *b->weight);
    memcpy(a->doc_len + a->docs, b->doc_len, (size_t)b->docs * sizeof *b->doc_len);
    a->tokens += b->tokens;
    a->docs += b->docs;
    a->learnt += b->learnt;
}

/* The rows of a step as one rank sees them, one a pass, and the sums that loader_step() must agree with. */
static int64_t read_rows(const struct loader *l, int64_t step, int64_t seq_len, struct batch *row)
{
    int64_t n = loader_passes(l, step, 0, 1, 1), rows, tokens, learnt;
    double sum = 0;
    loader_step(l, step, &rows, &tokens, &learnt);
    check_int(rows, n);
    for (int64_t i = 0; i < n; i++) {
        row[i] = batch_new(l, seq_len, 1);
        loader_pass(l, step, i, 0, 1, 1, &row[i]);
        tokens -= row[i].tokens;
        learnt -= row[i].learnt;
        for (int64_t t = 0; t < row[i].tokens; t++) {
            sum += (double)row[i].weight[t];
            if ((row[i].target[t] >= 0) != (row[i].weight[t] > 0))
                check_msg(false, "step %lld row %lld: target %d has weight %g", (long long)step, (long long)i, row[i].target[t],
                          (double)row[i].weight[t]);
        }
    }
    check_int(tokens, 0);
    check_int(learnt, 0);
    check_msg(fabs(sum - 1.0) <= 1e-6, "step %lld: the weights sum to %.9f", (long long)step, sum);
    return n;
}

static void check_ranks(const struct loader *l, int64_t step, int64_t seq_len, int size, int64_t micro)
{
    struct batch row[64], got = batch_new(l, seq_len, micro), want = batch_new(l, seq_len, micro);
    int64_t n = read_rows(l, step, seq_len, row), seen = 0;
    for (int rank = 0; rank < size; rank++) {
        int64_t passes = loader_passes(l, step, rank, size, micro);
        for (int64_t p = 0; p < passes; p++) {
            want.tokens = want.docs = want.learnt = 0;
            for (int64_t i = rank + size * p * micro, k = 0; k < micro && i < n; k++, i += size, seen++)
                append(&want, &row[i]);
            loader_pass(l, step, p, rank, size, micro, &got);
            check_msg(got.docs > 0 && same_batch(&got, &want), "step %lld, rank %d of %d, pass %lld of %lld rows", (long long)step, rank,
                      size, (long long)p, (long long)micro);
        }
        loader_pass(l, step, passes, rank, size, micro, &got); /* one too many */
        check(got.docs == 0 && got.tokens == 0 && got.learnt == 0);
    }
    check_int(seen, n);
    for (int64_t i = 0; i < n; i++)
        batch_free(&row[i]);
    batch_free(&got);
    batch_free(&want);
}

static void test_ranks(void)
{
    struct shard s = {0, 300, len_any}, s2 = {1, 100, len_ten};
    write_shard(in_folder("a.tok"), &s, "");
    write_shard(in_folder("b.tok"), &s2, "");
    struct loader_source src[] = {{in_folder("a.tok"), 1.0}, {in_folder("b.tok"), 1.5}};
    static const int sizes[] = {1, 2, 3, 4, 8};
    static const int64_t micros[] = {1, 2, 3, 8};
    for (int how = 0; how < 4; how++) {
        struct loader_settings set = settings_of(src, 2);
        set.rows = 14;
        set.epochs = 2;
        set.pack = how & 1;
        set.row_mean = how & 2;
        struct loader *l = open_loader(&set);
        int64_t last_rows, tokens, learnt;
        loader_step(l, loader_steps(l) - 1, &last_rows, &tokens, &learnt);
        check_msg(last_rows < set.rows, "the last step has %lld rows: no smaller step is tested", (long long)last_rows);
        for (int64_t step = 0; step < loader_steps(l); step += step + 3 < loader_steps(l) ? 3 : 1)
            for (int i = 0; i < 5; i++)
                for (int j = 0; j < 4; j++)
                    check_ranks(l, step, set.seq_len, sizes[i], micros[j]);
        loader_close(l);
    }
}

/* A rank without rows makes no pass. */
static void test_more_ranks_than_rows(void)
{
    struct shard s = {0, 10, len_ten};
    write_shard(in_folder("a.tok"), &s, "");
    struct loader_source src = {in_folder("a.tok"), 1.0};
    struct loader_settings set = settings_of(&src, 1);
    set.rows = 3;
    set.pack = false;
    struct loader *l = open_loader(&set);
    check_int(loader_steps(l), 4);
    for (int rank = 0; rank < 8; rank++) {
        check_int(loader_passes(l, 0, rank, 8, 1), rank < 3);
        check_int(loader_passes(l, 3, rank, 8, 1), rank < 1);
    }
    check_int(loader_passes(l, 0, 0, 2, 1), 2);
    check_int(loader_passes(l, 0, 0, 2, 4), 1);
    check_ranks(l, 3, set.seq_len, 8, 2);
    loader_close(l);
}

/* Steps read in any order, by a loader opened anew, and by two threads at once, are the steps read in order. */
struct reader {
    const struct loader *l;
    struct batch *want; /* one rank, all rows of a step in a pass */
    int64_t seed, reads, wrong;
};

static void *read_at_random(void *arg)
{
    struct reader *r = arg;
    struct batch b = batch_new(r->l, 256, 8);
    for (int64_t i = 0; i < r->reads; i++) {
        int64_t step = (int64_t)rng_below(SEED, 50 + (uint64_t)r->seed, (uint64_t)i, (uint64_t)loader_steps(r->l)), rows, tokens, learnt;
        loader_pass(r->l, step, 0, 0, 1, 8, &b);
        loader_step(r->l, step, &rows, &tokens, &learnt);
        r->wrong += !same_batch(&b, &r->want[step]) || tokens != b.tokens || learnt != b.learnt;
    }
    batch_free(&b);
    return NULL;
}

static void test_any_order(void)
{
    struct shard s = {0, 200, len_any};
    write_shard(in_folder("a.tok"), &s, "");
    struct loader_source src = {in_folder("a.tok"), 0.7};
    struct loader_settings set = settings_of(&src, 1);
    set.epochs = 0;
    set.steps = 100; /* many epochs, most steps across two */
    struct loader *l = open_loader(&set), *anew = open_loader(&set);
    check_int(loader_steps(l), 100);
    struct batch want[100];
    for (int64_t step = 0; step < 100; step++) {
        want[step] = batch_new(l, 256, 8);
        loader_pass(l, step, 0, 0, 1, 8, &want[step]);
    }
    struct reader r[2] = {{anew, want, 0, 500, 0}, {anew, want, 1, 500, 0}};
    read_at_random(&r[0]);
    check_int(r[0].wrong, 0);
    pthread_t t;
    must(pthread_create(&t, NULL, read_at_random, &r[1]) == 0);
    read_at_random(&r[0]);
    pthread_join(t, NULL);
    check_int(r[0].wrong + r[1].wrong, 0);
    for (int64_t step = 0; step < 100; step++)
        batch_free(&want[step]);
    loader_close(l);
    loader_close(anew);
}

static const struct test tests[] = {
    {"ranks", test_ranks},
    {"more_ranks_than_rows", test_more_ranks_than_rows},
    {"any_order", test_any_order},
};

int main(int argc, char **argv)
{
    return shards_main(argc, argv, "test_loader_ranks", tests, (int)(sizeof tests / sizeof *tests));
}
