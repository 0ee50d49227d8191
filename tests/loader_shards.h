/* tests/loader_shards.h - made-up shards whose tokens say which document they are of, and the rows that a loader makes of them. */
#ifndef TESTS_LOADER_SHARDS_H
#define TESTS_LOADER_SHARDS_H
#include "core/file.h"
#include "core/rng.h"
#include "data/loader.h"
#include "data/tokfile.h"
#include "tests/test.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { VOCAB = 70000, SEED = 11, MAX_LEN = 4096 };
static char folder[64];

static inline char *in_folder(const char *name)
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

static inline int32_t token(const struct shard *s, int64_t d, int64_t t)
{
    return t == 0 ? (int32_t)d : t == 1 ? s->base + 1 : (int32_t)rng_below(SEED, 20 + (uint64_t)s->base, (uint64_t)(d << 20 | t), VOCAB);
}

static inline bool is_learnt(int64_t d, int64_t t)
{
    return t == 1 || (d + t) % 3 != 0;
}

static inline void write_shard(const char *path, const struct shard *s, const char *tokenizer)
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

static inline int64_t len_any(int64_t d)
{
    static const int64_t awkward[] = {2, 63, 64, 65, 127, 128, 129, 255, 257, 256, 400};
    return d < 11 ? awkward[d] : 2 + (int64_t)rng_below(SEED, 1, (uint64_t)d, 300);
}

/* Reasoning data: a log-normal spread of lengths around 300, the longest cut by the row. */
static inline int64_t len_log_normal(int64_t d)
{
    double n = 300.0 * exp(0.9 * rng_normal(SEED, 2, (uint64_t)d));
    return n < 2 ? 2 : n > MAX_LEN ? MAX_LEN : (int64_t)n;
}

static inline int64_t len_ten(int64_t d)
{
    (void)d;
    return 10;
}

static inline struct loader *open_loader(const struct loader_settings *s)
{
    struct err e = {""};
    struct loader *l = NULL;
    if (!loader_open(&l, s, &e))
        die("%s", e.msg);
    return l;
}

static inline struct loader_settings settings_of(const struct loader_source *src, int n)
{
    return (struct loader_settings){
        .source = src, .n_source = n, .seq_len = 256, .rows = 8, .epochs = 1, .pack = true, .shuffle = true, .seed = SEED, .vocab = VOCAB};
}

static inline struct batch batch_new(const struct loader *l, int64_t seq_len, int64_t micro)
{
    struct batch b = {0};
    b.ids = xmalloc((size_t)(seq_len * micro) * sizeof *b.ids);
    b.target = xmalloc((size_t)(seq_len * micro) * sizeof *b.target);
    b.weight = xmalloc((size_t)(seq_len * micro) * sizeof *b.weight);
    b.doc_len = xmalloc((size_t)(loader_max_docs(l) * micro) * sizeof *b.doc_len);
    return b;
}

static inline void batch_free(struct batch *b)
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

static inline void read_phase(const struct loader *l, int64_t seq_len, struct phase *p)
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

static inline void phase_free(struct phase *p)
{
    free(p->start);
    free(p->id);
}

static inline int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* How often each document of a shard occurs in rows from..to-1. */
static inline void count_docs(const struct phase *p, int64_t from, int64_t to, int64_t shard, int64_t docs, int32_t *count)
{
    memset(count, 0, (size_t)docs * sizeof *count);
    for (int64_t i = p->start[from]; i < p->start[to]; i++)
        if (p->id[i] >> 32 == shard)
            count[(uint32_t)p->id[i]]++;
}

/* Runs the tests with a folder for their shards. */
static inline int shards_main(int argc, char **argv, const char *name, const struct test *tests, int n)
{
    struct err e = {""};
    strcpy(folder, "/tmp/test_loader.XXXXXX");
    must(mkdtemp(folder));
    int failed = test_main(argc, argv, name, tests, n);
    must(file_remove_tree(folder, &e));
    return failed;
}
#endif
