/* tests/test_loader.c - packing and the rows of a phase: a partition, well filled, the same for any number of ranks and any order of asking. */
#include "data/loader.h"
#include "core/file.h"
#include "core/rng.h"
#include "data/pack.h"
#include "data/tokfile.h"
#include "tests/test.h"
#include <pthread.h>
#include <unistd.h>

enum { VOCAB = 70000, SEED = 11, MAX_LEN = 4096 };
static char folder[64];

static char *in_folder(const char *name)
{
    static char path[16][128];
    static int turn;
    turn = (turn + 1) % 16;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

/* ------------------------------------------------------------ made-up shards */

/* Document d of shard `base`: its first token is d, its second base + 1, so that a row tells what stands in it. */
struct shard {
    int32_t base;
    int64_t docs;
    int64_t (*len)(int64_t d);
};

static int32_t token(const struct shard *s, int64_t d, int64_t t)
{
    return t == 0 ? (int32_t)d : t == 1 ? s->base + 1 : (int32_t)rng_below(SEED, 20 + (uint64_t)s->base, (uint64_t)(d << 20 | t), VOCAB);
}

static bool is_learnt(int64_t d, int64_t t)
{
    return t == 1 || (d + t) % 3 != 0;
}

static void write_shard(const char *path, const struct shard *s, const char *tokenizer)
{
    struct err e = {""};
    struct tokfile_out *o = NULL;
    static int32_t ids[MAX_LEN];
    static uint8_t learnt[MAX_LEN];
    char hex[HASH_XXH3_HEX];
    if (!tokfile_out_open(&o, path, tokenizer, VOCAB, &e))
        die("%s", e.msg);
    for (int64_t d = 0; d < s->docs; d++) {
        int64_t n = s->len(d);
        must(n <= MAX_LEN);
        for (int64_t t = 0; t < n; t++) {
            ids[t] = token(s, d, t);
            learnt[t] = is_learnt(d, t);
        }
        if (!tokfile_out_add(o, ids, learnt, n, &e))
            die("%s", e.msg);
    }
    if (!tokfile_out_commit(o, hex, &e))
        die("%s", e.msg);
}

static int64_t len_any(int64_t d)
{
    static const int64_t awkward[] = {2, 63, 64, 65, 127, 128, 129, 255, 257, 256, 400};
    return d < 11 ? awkward[d] : 2 + (int64_t)rng_below(SEED, 1, (uint64_t)d, 300);
}

/* Reasoning data: a log-normal spread of lengths around 300, the longest cut by the row. */
static int64_t len_log_normal(int64_t d)
{
    double n = 300.0 * exp(0.9 * rng_normal(SEED, 2, (uint64_t)d));
    return n < 2 ? 2 : n > MAX_LEN ? MAX_LEN : (int64_t)n;
}

static int64_t len_ten(int64_t d)
{
    (void)d;
    return 10;
}

static struct loader *open_loader(const struct loader_settings *s)
{
    struct err e = {""};
    struct loader *l = NULL;
    if (!loader_open(&l, s, &e))
        die("%s", e.msg);
    return l;
}

static struct loader_settings settings_of(const struct loader_source *src, int n)
{
    return (struct loader_settings){
        .source = src, .n_source = n, .seq_len = 256, .rows = 8, .epochs = 1, .pack = true, .shuffle = true, .seed = SEED, .vocab = VOCAB};
}

static struct batch batch_new(const struct loader *l, int64_t seq_len, int64_t micro)
{
    struct batch b = {0};
    b.ids = xmalloc((size_t)(seq_len * micro) * sizeof *b.ids);
    b.target = xmalloc((size_t)(seq_len * micro) * sizeof *b.target);
    b.weight = xmalloc((size_t)(seq_len * micro) * sizeof *b.weight);
    b.doc_len = xmalloc((size_t)(loader_max_docs(l) * micro) * sizeof *b.doc_len);
    return b;
}

static void batch_free(struct batch *b)
{
    free(b->ids);
    free(b->target);
    free(b->weight);
    free(b->doc_len);
}

/* The rows of a phase, read one by one: row r holds documents id[start[r]..start[r+1]) as (shard << 32 | document). */
struct phase {
    int64_t rows, docs;
    int64_t *start, *id;
};

static void read_phase(const struct loader *l, int64_t seq_len, struct phase *p)
{
    struct batch b = batch_new(l, seq_len, 1);
    int64_t room = 1 << 20;
    p->rows = p->docs = 0;
    p->start = xmalloc((size_t)room * sizeof *p->start);
    p->id = xmalloc((size_t)room * sizeof *p->id);
    for (int64_t s = 0; s < loader_steps(l); s++)
        for (int64_t k = 0; k < loader_passes(l, s, 0, 1, 1); k++) {
            loader_pass(l, s, k, 0, 1, 1, &b);
            check(b.tokens <= seq_len && b.docs >= 1 && b.docs <= loader_max_docs(l));
            must(p->rows + 1 < room && p->docs + b.docs < room);
            p->start[p->rows++] = p->docs;
            for (int64_t d = 0, at = 0; d < b.docs; at += b.doc_len[d++])
                p->id[p->docs++] = (int64_t)(b.ids[at + 1] - 1) << 32 | b.ids[at];
        }
    p->start[p->rows] = p->docs;
    batch_free(&b);
}

static void phase_free(struct phase *p)
{
    free(p->start);
    free(p->id);
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* How often each document of a shard occurs in rows from..to-1. */
static void count_docs(const struct phase *p, int64_t from, int64_t to, int64_t shard, int64_t docs, int32_t *count)
{
    memset(count, 0, (size_t)docs * sizeof *count);
    for (int64_t i = p->start[from]; i < p->start[to]; i++)
        if (p->id[i] >> 32 == shard)
            count[(uint32_t)p->id[i]]++;
}

/* --------------------------------------------------------------------- packing */

static void test_best_fit_by_hand(void)
{
    const int32_t len[] = {6, 5, 4, 5, 3, 2, 10, 5, 1};
    /* 6 opens row 0, 5 opens row 1 (4 left in 0), 4 fills row 0, 5 fills row 1, 3 opens row 2, 2 joins it, 10 is row 3 at once,
     * 5 fills row 2, 1 opens row 4. */
    const uint32_t want[] = {0, 1, 0, 1, 2, 2, 3, 2, 4};
    uint32_t got[9];
    check_int(pack_best_fit(len, 9, 10, got), 5);
    check(memcmp(got, want, sizeof want) == 0);
    check_int(pack_best_fit(len, 0, 10, got), 0);
}

/* Against the definition, looked up by looking at every row; equal as long as no more rows are open than the packer keeps. */
static void test_best_fit_by_definition(void)
{
    enum { N = 4000, ROOM = 1000 };
    static int32_t len[N], left[N];
    static uint32_t got[N];
    int64_t rows = 0, wrong = 0;
    for (int i = 0; i < N; i++)
        len[i] = 1 + (int32_t)rng_below(SEED, 3, (uint64_t)i, i % 5 ? 400 : ROOM);
    int64_t got_rows = pack_best_fit(len, N, ROOM, got);
    for (int i = 0; i < N; i++) {
        int64_t best = -1;
        for (int64_t r = 0; r < rows; r++)
            if (left[r] >= len[i] && (best < 0 || left[r] < left[best]))
                best = r;
        if (best < 0)
            left[best = rows++] = ROOM;
        left[best] -= len[i];
        wrong += got[i] != best;
    }
    check_int(wrong, 0);
    check_int(got_rows, rows);
}

/* More rows than can be open at once: nothing overflows, and what is still open is used. */
static void test_many_open_rows(void)
{
    enum { N = 20000, ROOM = 100 };
    static int32_t len[N], used[N];
    static uint32_t row[N];
    for (int i = 0; i < N; i++)
        len[i] = i < N / 2 ? 51 + i % 40 : 10;
    int64_t rows = pack_best_fit(len, N, ROOM, row), over = 0, empty = 0, joined = 0;
    for (int i = 0; i < N; i++) {
        used[row[i]] += len[i];
        joined += i >= N / 2 && row[i] < N / 2;
    }
    for (int64_t r = 0; r < rows; r++) {
        over += used[r] > ROOM;
        empty += used[r] == 0;
    }
    check(rows > N / 2 && over == 0 && empty == 0);
    check_msg(joined >= 2000, "%lld short documents joined open rows", (long long)joined);
}

static void test_partition(void)
{
    struct shard s = {0, 20000, len_any};
    write_shard(in_folder("a.tok"), &s, "");
    struct loader_source src = {in_folder("a.tok"), 1.0};
    int32_t *count = xmalloc((size_t)s.docs * sizeof *count);
    for (int how = 0; how < 4; how++) {
        struct loader_settings set = settings_of(&src, 1);
        set.pack = how & 1;
        set.shuffle = how & 2;
        struct loader *l = open_loader(&set);
        struct phase p;
        read_phase(l, set.seq_len, &p);
        struct loader_stats st = loader_stats(l);
        int64_t wrong = 0, disorder = 0, cut = 0;
        count_docs(&p, 0, p.rows, 0, s.docs, count);
        for (int64_t d = 0; d < s.docs; d++) {
            wrong += count[d] != 1;
            cut += s.len(d) > set.seq_len;
        }
        check_int(wrong, 0);
        check_int(p.docs, s.docs);
        check_int(st.docs, s.docs);
        check_int(st.rows, p.rows);
        check_int(st.cut, cut);
        check_int(st.unlearnt, 0);
        check(cut > 100);
        /* Without shuffling a row's documents stand in file order; without packing all do. */
        for (int64_t r = 0; r < p.rows; r++)
            for (int64_t i = p.start[r] + 1; i < p.start[r + 1]; i++)
                disorder += p.id[i] < p.id[i - 1];
        for (int64_t i = 1; i < p.docs && !set.pack; i++)
            disorder += p.id[i] < p.id[i - 1];
        check(set.shuffle ? disorder > 1000 : disorder == 0);
        check_int(loader_steps(l), (p.rows + 7) / 8);
        if (!set.pack)
            check_int(loader_max_docs(l), 1);
        phase_free(&p);
        loader_close(l);
    }
    free(count);
}

static void test_fill(void)
{
    struct shard s = {0, 5000, len_log_normal};
    write_shard(in_folder("a.tok"), &s, "");
    struct loader_source src = {in_folder("a.tok"), 1.0};
    struct loader_settings set = settings_of(&src, 1);
    for (set.seq_len = 1024; set.seq_len <= 16384; set.seq_len *= 4) {
        struct loader *l = open_loader(&set);
        struct loader_stats st = loader_stats(l);
        check_msg(st.fill >= 0.95 && st.fill <= 1.0, "seq_len %lld: fill %.4f", (long long)set.seq_len, st.fill);
        int64_t tokens = 0;
        for (int64_t d = 0; d < s.docs; d++)
            tokens += s.len(d) < set.seq_len ? s.len(d) : set.seq_len;
        check_int(st.tokens, tokens);
        check_msg(st.fill == (double)tokens / (double)(st.rows * set.seq_len), "%.6f", st.fill);
        loader_close(l);
    }
}

static int64_t places_shared(const struct phase *p, const struct phase *q, int64_t q_from)
{
    int64_t same = 0;
    for (int64_t i = 0; i < p->docs && q_from + i < q->docs; i++)
        same += p->id[i] == q->id[q_from + i];
    return same;
}

static void test_permutations_differ(void)
{
    struct shard s = {0, 2000, len_ten};
    write_shard(in_folder("a.tok"), &s, "");
    struct loader_source src = {in_folder("a.tok"), 1.0};
    for (int pack = 0; pack < 2; pack++) {
        struct loader_settings set = settings_of(&src, 1);
        set.pack = pack;
        set.seq_len = 10; /* one document a row, packed or not */
        set.epochs = 2;
        struct loader *l = open_loader(&set), *again = open_loader(&set);
        set.seed++;
        struct loader *other = open_loader(&set);
        struct phase p, q, r;
        read_phase(l, 10, &p);
        read_phase(again, 10, &q);
        read_phase(other, 10, &r);
        check_int(p.docs, 4000);
        check_int(places_shared(&p, &q, 0), 4000);
        check(places_shared(&p, &r, 0) < 20); /* expected 2 */
        check(places_shared(&p, &p, 2000) < 20);
        phase_free(&p);
        phase_free(&q);
        phase_free(&r);
        loader_close(l);
        loader_close(again);
        loader_close(other);
    }
}

/* ------------------------------------------------------- ranks, passes, resuming */

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

/* ------------------------------------------------------------- exact by hand */

static void write_docs(const char *path, int64_t docs, const int64_t *len, const int32_t *ids, const uint8_t *learnt)
{
    struct err e = {""};
    struct tokfile_out *o = NULL;
    char hex[HASH_XXH3_HEX];
    if (!tokfile_out_open(&o, path, "", 100, &e))
        die("%s", e.msg);
    for (int64_t d = 0; d < docs; ids += len[d], learnt += len[d], d++)
        if (!tokfile_out_add(o, ids, learnt, len[d], &e))
            die("%s", e.msg);
    if (!tokfile_out_commit(o, hex, &e))
        die("%s", e.msg);
}

/* seq_len 6: documents of 4 and 2 share row 0; the one of 8 is cut to 6 and is row 1; the two without a target within 6 are left out. */
static void test_by_hand(void)
{
    const int64_t len[] = {4, 8, 1, 7, 2};
    const int32_t ids[] = {10, 11, 12, 13, 20, 21, 22, 23, 24, 25, 26, 27, 30, 40, 41, 42, 43, 44, 45, 46, 50, 51};
    const uint8_t learnt[] = {1, 0, 1, 1, 0, 1, 1, 1, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0, 1, 0, 1};
    const int32_t want_ids[] = {10, 11, 12, 13, 50, 51, 20, 21, 22, 23, 24, 25};
    const int32_t want_target[] = {-1, 12, 13, -1, 51, -1, 21, 22, 23, -1, -1, -1};
    const int32_t want_len[] = {4, 2, 6};
    write_docs(in_folder("a.tok"), 5, len, ids, learnt);
    struct loader_source src = {in_folder("a.tok"), 1.0};
    for (int row_mean = 0; row_mean < 2; row_mean++) {
        struct loader_settings set = settings_of(&src, 1);
        set.seq_len = 6;
        set.shuffle = false;
        set.row_mean = row_mean;
        set.vocab = 52;
        struct loader *l = open_loader(&set);
        struct loader_stats st = loader_stats(l);
        check(st.docs == 3 && st.cut == 2 && st.unlearnt == 2 && st.rows == 2 && st.tokens == 12 && st.learnt == 6 && st.fill == 1.0);
        check_int(loader_steps(l), 1);
        check_int(loader_max_docs(l), 2);
        int64_t rows, tokens, n_learnt;
        loader_step(l, 0, &rows, &tokens, &n_learnt);
        check(rows == 2 && tokens == 12 && n_learnt == 6);
        struct batch b = batch_new(l, 6, 8);
        loader_pass(l, 0, 0, 0, 1, 8, &b);
        check_int(b.tokens, 12);
        check_int(b.docs, 3);
        check_int(b.learnt, 6);
        check(memcmp(b.ids, want_ids, sizeof want_ids) == 0);
        check(memcmp(b.target, want_target, sizeof want_target) == 0);
        check(memcmp(b.doc_len, want_len, sizeof want_len) == 0);
        for (int t = 0; t < 12; t++) /* both rows have 3 targets: 1/6 by tokens, 1/(2*3) by rows */
            check_msg(b.weight[t] == (want_target[t] < 0 ? 0.0f : (float)(1.0 / 6.0)), "token %d: %g", t, (double)b.weight[t]);
        char text[300], short_text[40];
        loader_describe(l, 0, text, sizeof text);
        char want[300];
        snprintf(want, sizeof want, "%s:0, %s:4, %s:1", src.path, src.path, src.path);
        check_str(text, want);
        loader_describe(l, 0, short_text, sizeof short_text);
        snprintf(want, sizeof want, "%s:0 ...", src.path);
        check_str(short_text, want);
        batch_free(&b);
        loader_close(l);
    }
}

/* Rows of 1 and 3 targets: by tokens every target weighs 1/4, by rows 1/2 and 1/6. */
static void test_weights_of_rows(void)
{
    const int64_t len[] = {3, 4};
    const int32_t ids[] = {1, 2, 3, 4, 5, 6, 7};
    const uint8_t learnt[] = {0, 0, 1, 0, 1, 1, 1};
    const float by_tokens[] = {0, 0.25f, 0, 0.25f, 0.25f, 0.25f, 0}, sixth = (float)(1.0 / 6.0);
    const float by_rows[] = {0, 0.5f, 0, sixth, sixth, sixth, 0};
    write_docs(in_folder("a.tok"), 2, len, ids, learnt);
    struct loader_source src = {in_folder("a.tok"), 1.0};
    for (int row_mean = 0; row_mean < 2; row_mean++) {
        struct loader_settings set = settings_of(&src, 1);
        set.pack = set.shuffle = false;
        set.row_mean = row_mean;
        struct loader *l = open_loader(&set);
        struct batch b = batch_new(l, set.seq_len, 2);
        loader_pass(l, 0, 0, 0, 1, 2, &b);
        check_int(b.tokens, 7);
        check(memcmp(b.weight, row_mean ? by_rows : by_tokens, sizeof by_rows) == 0);
        batch_free(&b);
        loader_close(l);
    }
}

/* Unpacked and unshuffled: 48 documents, 4 a step, are 12 steps in file order. */
static void test_file_order(void)
{
    struct shard s = {0, 48, len_any};
    write_shard(in_folder("a.tok"), &s, "");
    struct loader_source src = {in_folder("a.tok"), 1.0};
    struct loader_settings set = settings_of(&src, 1);
    set.pack = set.shuffle = false;
    set.rows = 4;
    set.epochs = 0;
    set.steps = 12;
    set.seq_len = 500;
    struct loader *l = open_loader(&set);
    struct batch b = batch_new(l, 500, 1);
    check_int(loader_steps(l), 12);
    int64_t wrong = 0;
    for (int64_t step = 0; step < 12; step++) {
        int64_t rows, tokens, learnt, targets = 0;
        loader_step(l, step, &rows, &tokens, &learnt);
        for (int64_t i = 0; i < 4; i++) {
            int64_t d = 4 * step + i;
            loader_pass(l, step, i, 0, 1, 1, &b);
            wrong += b.docs != 1 || b.tokens != s.len(d) || b.doc_len[0] != s.len(d);
            for (int64_t t = 0; t < b.tokens; t++) {
                bool is_target = t + 1 < b.tokens && is_learnt(d, t + 1);
                targets += is_target;
                wrong += b.ids[t] != token(&s, d, t) || b.target[t] != (is_target ? token(&s, d, t + 1) : -1);
                wrong += b.weight[t] != (is_target ? (float)(1.0 / (double)learnt) : 0.0f);
            }
        }
        check_int(targets, learnt);
    }
    check_int(wrong, 0);
    batch_free(&b);
    loader_close(l);
}

/* ------------------------------------------------------------ weights, epochs */

static void test_source_weights(void)
{
    enum { A = 301, B = 100 };
    struct shard a = {0, A, len_any}, b = {1, B, len_any};
    write_shard(in_folder("a.tok"), &a, "");
    write_shard(in_folder("b.tok"), &b, "");
    static const double weights[] = {0.5, 1, 2, 2.5, 0.01};
    int32_t count[A], second[A];
    for (int w = 0; w < 5; w++)
        for (int how = 0; how < 4; how++) {
            struct loader_source src[] = {{in_folder("b.tok"), 1.0}, {in_folder("a.tok"), weights[w]}};
            struct loader_settings set = settings_of(src, 2);
            set.pack = how & 1;
            set.shuffle = how & 2;
            set.epochs = 2;
            struct loader *l = open_loader(&set);
            struct phase p;
            read_phase(l, set.seq_len, &p);
            int64_t rows = loader_stats(l).rows, whole = (int64_t)weights[w], part = llround((weights[w] - (double)whole) * A);
            int64_t extra = 0, wrong = 0, both = 0, neither = 0;
            check_int(loader_stats(l).docs, B + whole * A + part);
            count_docs(&p, 0, rows, 1, B, count);
            for (int d = 0; d < B; d++)
                wrong += count[d] != 1;
            count_docs(&p, 0, rows, 0, A, count);
            count_docs(&p, rows, p.rows, 0, A, second);
            for (int d = 0; d < A; d++) {
                wrong += count[d] < whole || count[d] > whole + 1;
                extra += count[d] - whole;
                both += count[d] > whole && second[d] > whole;
                neither += count[d] == whole && second[d] == whole;
            }
            check_int(wrong, 0);
            check_int(extra, part);
            /* Two seeded halves of 151 in a row meet in one document only. */
            check_int(both, part == 151 ? 1 : 0);
            check_int(neither, part == 151 ? 0 : A - 2 * part);
            phase_free(&p);
            loader_close(l);
        }
    struct loader_source src = {in_folder("a.tok"), 0.5};
    struct loader_settings set = settings_of(&src, 1);
    struct phase p, q;
    struct loader *l = open_loader(&set);
    read_phase(l, set.seq_len, &p);
    loader_close(l);
    set.seed++;
    l = open_loader(&set);
    read_phase(l, set.seq_len, &q);
    loader_close(l);
    qsort(p.id, (size_t)p.docs, sizeof *p.id, by_value);
    qsort(q.id, (size_t)q.docs, sizeof *q.id, by_value);
    check(p.docs == 151 && q.docs == 151 && memcmp(p.id, q.id, 151 * sizeof *p.id) != 0); /* another seed, another half */
    phase_free(&p);
    phase_free(&q);
}

/* A phase in steps goes on over epochs without dropping a row; one in epochs ends with a smaller step, and may end within an epoch. */
static void test_steps_and_epochs(void)
{
    struct shard s = {0, 10, len_ten};
    write_shard(in_folder("a.tok"), &s, "");
    struct loader_source src = {in_folder("a.tok"), 1.0};
    struct loader_settings set = settings_of(&src, 1);
    int32_t count[10];
    set.pack = false;
    set.rows = 7;
    set.epochs = 0;
    set.steps = 10;
    struct loader *l = open_loader(&set);
    struct phase p;
    read_phase(l, set.seq_len, &p);
    check_int(loader_steps(l), 10);
    check_int(p.rows, 70);
    for (int epoch = 0; epoch < 7; epoch++) {
        count_docs(&p, 10 * epoch, 10 * (epoch + 1), 0, 10, count);
        for (int d = 0; d < 10; d++)
            check_int(count[d], 1);
    }
    loader_close(l);

    static const struct {
        double epochs;
        int64_t rows, steps;
    } want[] = {{1, 10, 2}, {1.5, 15, 3}, {2.1, 21, 3}, {0.3, 3, 1}, {0.001, 1, 1}, {7, 70, 10}, {2, 20, 3}};
    set.steps = 0;
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        set.epochs = want[i].epochs;
        l = open_loader(&set);
        struct phase q;
        read_phase(l, set.seq_len, &q);
        check_int(loader_steps(l), want[i].steps);
        check_int(q.rows, want[i].rows);
        check(memcmp(q.id, p.id, (size_t)q.docs * sizeof *q.id) == 0); /* the same rows as the phase given in steps */
        phase_free(&q);
        loader_close(l);
    }
    phase_free(&p);

    /* One row of 256 tokens an epoch, 8 rows a step: a step takes eight epochs. */
    set.pack = true;
    set.epochs = 0;
    set.rows = 8;
    set.steps = 3;
    l = open_loader(&set);
    read_phase(l, set.seq_len, &p);
    check_int(p.rows, 24);
    check_int(p.docs, 240);
    check_int(loader_max_docs(l), 10);
    phase_free(&p);
    loader_close(l);
}

/* ------------------------------------------------------------ digests, errors */

static void test_digest(void)
{
    struct shard s = {0, 20, len_any}, s2 = {1, 20, len_any};
    write_shard(in_folder("a.tok"), &s, "");
    write_shard(in_folder("b.tok"), &s, "");
    write_shard(in_folder("c.tok"), &s2, "");
    struct loader_source src = {in_folder("a.tok"), 1.0};
    struct loader_settings base = settings_of(&src, 1), set;
    struct loader *l = open_loader(&base);
    char digest[9][40];
    snprintf(digest[0], sizeof digest[0], "%s", loader_digest(l));
    loader_close(l);
    for (int i = 1; i < 9; i++) {
        set = base;
        struct loader_source from = src;
        set.source = &from;
        if (i == 1)
            from.path = in_folder("c.tok");
        else if (i == 2)
            from.weight = 1.25;
        else if (i == 3)
            set.seq_len--;
        else if (i == 4)
            set.rows++;
        else if (i == 5)
            set.seed++;
        else if (i == 6)
            set.pack = false;
        else if (i == 7)
            set.shuffle = false;
        else
            set.row_mean = true;
        l = open_loader(&set);
        snprintf(digest[i], sizeof digest[i], "%s", loader_digest(l));
        loader_close(l);
        for (int j = 0; j < i; j++)
            check_msg(strcmp(digest[i], digest[j]) != 0, "changes %d and %d", i, j);
    }
    struct loader_source moved = {in_folder("b.tok"), 1.0};
    set = base;
    set.source = &moved;
    set.epochs = 3;
    l = open_loader(&set);
    check_str(loader_digest(l), digest[0]); /* the same rows, from elsewhere and for longer */
    loader_close(l);
}

static void refused(const struct loader_settings *s, const char *words, const char *also)
{
    struct err e = {""};
    struct loader *l = NULL;
    bool opened = loader_open(&l, s, &e);
    check_msg(!opened, "expected \"%s\"", words);
    if (opened)
        loader_close(l);
    check_has(e.msg, words);
    check_has(e.msg, also);
    check(!strchr(e.msg, '\n'));
}

static void test_errors(void)
{
    struct shard s = {0, 20, len_any}, none = {0, 0, len_any};
    write_shard(in_folder("a.tok"), &s, "tokenizer one");
    write_shard(in_folder("b.tok"), &s, "tokenizer two");
    write_shard(in_folder("empty.tok"), &none, "");
    struct loader_source src[] = {{in_folder("a.tok"), 1.0}, {"", 1.0}};
    char other[128];
    src[1].path = other;
    struct loader_settings set = settings_of(src, 1);

    set.tokenizer = "tokenizer two";
    refused(&set, "a.tok: made with tokenizer tokenizer one, expected tokenizer two", "prepare");
    set.tokenizer = "tokenizer one";
    loader_close(open_loader(&set));
    set.tokenizer = NULL;
    snprintf(other, sizeof other, "%s", in_folder("b.tok"));
    set.n_source = 2;
    refused(&set, "b.tok: made with tokenizer tokenizer two, expected tokenizer one", "a.tok");

    snprintf(other, sizeof other, "%s", in_folder("gone.tok"));
    refused(&set, "gone.tok", "");
    set.n_source = 1;
    set.vocab = 5000;
    refused(&set, "but the model's vocabulary has 5000", "a.tok: holds token id");
    set.vocab = VOCAB;
    static const double weights[] = {0, -1, NAN, INFINITY};
    for (int i = 0; i < 4; i++) {
        src[0].weight = weights[i];
        refused(&set, "weight must be above 0", "a.tok");
    }
    src[0].weight = 1e12;
    refused(&set, "lower the weight", "a.tok");
    src[0].weight = 1e-6;
    refused(&set, "raise the weight", "a.tok");
    src[0].weight = 1;
    set.seq_len = 1;
    refused(&set, "none of 20 documents has a learnt token", "raise seq_len");
    set.seq_len = 256;
    snprintf(other, sizeof other, "%s", in_folder("empty.tok"));
    set.source = src + 1;
    refused(&set, "none of 0 documents", "empty.tok");
    set.n_source = 0;
    refused(&set, "nothing to train on", "add data");
    set.n_source = 2;
    set.source = src;
    loader_close(open_loader(&set)); /* an empty source beside a full one */

    /* A byte of the content changes after the shard was made. */
    FILE *f = fopen(src[0].path, "r+b");
    must(f && fseek(f, 300, SEEK_SET) == 0 && fputc(0x5a, f) != EOF && fclose(f) == 0);
    refused(&set, "damaged", "prepare");
}

static const struct test tests[] = {
    {"best_fit_by_hand", test_best_fit_by_hand},
    {"best_fit_by_definition", test_best_fit_by_definition},
    {"many_open_rows", test_many_open_rows},
    {"partition", test_partition},
    {"fill", test_fill},
    {"permutations_differ", test_permutations_differ},
    {"ranks", test_ranks},
    {"more_ranks_than_rows", test_more_ranks_than_rows},
    {"any_order", test_any_order},
    {"by_hand", test_by_hand},
    {"weights_of_rows", test_weights_of_rows},
    {"file_order", test_file_order},
    {"source_weights", test_source_weights},
    {"steps_and_epochs", test_steps_and_epochs},
    {"digest", test_digest},
    {"errors", test_errors},
};

int main(int argc, char **argv)
{
    struct err e = {""};
    strcpy(folder, "/tmp/test_loader.XXXXXX");
    must(mkdtemp(folder));
    int failed = test_main(argc, argv, "test_loader", tests, (int)(sizeof tests / sizeof *tests));
    must(file_remove_tree(folder, &e));
    return failed;
}
