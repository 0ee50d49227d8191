/* data/epoch.c - see epoch.h. An epoch is a list of indices into the table of documents, sorted by row. */
#include "data/epoch.h"
#include "core/err.h"
#include "core/rng.h"
#include "data/pack.h"
#include <pthread.h>
#include <stdlib.h>

enum { KEPT = 2 };
enum { STREAM_DOCS = 0x64, STREAM_ROWS, STREAM_PART }; /* what a random number is for */

struct epoch_cache {
    pthread_mutex_t lock;
    struct kept {
        struct epoch epoch;
        int64_t last_use; /* 0: an empty place */
    } kept[KEPT];
    int64_t uses;
};

static uint64_t stream(int what, int64_t index)
{
    return (uint64_t)what << 56 | (uint64_t)index;
}

/* The epoch's documents in its order. */
static uint32_t *epoch_order(const struct epoch_recipe *t, int64_t number)
{
    uint32_t *order = xmalloc((size_t)t->docs * sizeof *order);
    uint64_t seed = t->seed, n = (uint64_t)t->docs, i = 0;
    for (int k = 0; k < t->n_source; k++) {
        const struct epoch_source *src = &t->source[k];
        for (int64_t pass = 0; pass < src->whole + (src->part > 0); pass++) {
            /* The part is a window of `part` places on a permutation of the source, further on in every epoch. */
            bool partly = pass == src->whole;
            int64_t from = partly ? number * src->part % src->n : 0;
            for (int64_t d = 0; d < src->n; d++) {
                if (partly) {
                    int64_t place = (int64_t)rng_permute(seed, stream(STREAM_PART, k), (uint64_t)src->n, (uint64_t)d);
                    if ((place - from + src->n) % src->n >= src->part)
                        continue;
                }
                uint64_t to = t->shuffle ? rng_permute(seed, stream(STREAM_DOCS, number), n, i) : i;
                order[to] = (uint32_t)(src->first + d);
                i++;
            }
        }
    }
    must(i == n);
    return order;
}

/* Packs the documents: row_of[i] is the row of order[i], already in the permuted order of the rows. Returns the number of rows. */
static int64_t epoch_rows(const struct epoch_recipe *t, int64_t number, const uint32_t *order, uint32_t *row_of)
{
    int64_t n = t->docs;
    if (!t->pack) {
        for (int64_t i = 0; i < n; i++)
            row_of[i] = (uint32_t)i;
        return n;
    }
    int32_t *len = xmalloc((size_t)n * sizeof *len);
    for (int64_t i = 0; i < n; i++)
        len[i] = t->doc[order[i]].len;
    int64_t rows = pack_best_fit(len, n, (int32_t)t->seq_len, row_of);
    free(len);
    if (t->shuffle) {
        uint32_t *to = xmalloc((size_t)rows * sizeof *to);
        for (int64_t r = 0; r < rows; r++)
            to[r] = (uint32_t)rng_permute(t->seed, stream(STREAM_ROWS, number), (uint64_t)rows, (uint64_t)r);
        for (int64_t i = 0; i < n; i++)
            row_of[i] = to[row_of[i]];
        free(to);
    }
    return rows;
}

static void epoch_free(struct epoch *p)
{
    free(p->start);
    free(p->doc);
    free(p->learnt);
}

static void epoch_build(const struct epoch_recipe *t, int64_t number, struct epoch *p)
{
    int64_t n = t->docs;
    uint32_t *order = epoch_order(t, number);
    uint32_t *row_of = xmalloc((size_t)n * sizeof *row_of);
    p->number = number;
    p->rows = epoch_rows(t, number, order, row_of);
    /* A counting sort by row keeps the epoch's order within each row. While it runs, start[r + 1] is where row r's next document goes. */
    p->start = xcalloc((size_t)p->rows + 2, sizeof *p->start);
    p->doc = xmalloc((size_t)n * sizeof *p->doc);
    p->learnt = xcalloc((size_t)p->rows, sizeof *p->learnt);
    for (int64_t i = 0; i < n; i++) {
        p->start[row_of[i] + 2]++;
        p->learnt[row_of[i]] += t->doc[order[i]].learnt;
    }
    for (int64_t r = 0; r < p->rows; r++)
        p->start[r + 2] += p->start[r + 1];
    for (int64_t i = 0; i < n; i++)
        p->doc[p->start[row_of[i] + 1]++] = order[i];
    free(order);
    free(row_of);
}

struct epoch_cache *epoch_cache_new(void)
{
    struct epoch_cache *c = xcalloc(1, sizeof *c);
    must(pthread_mutex_init(&c->lock, NULL) == 0);
    return c;
}

void epoch_cache_free(struct epoch_cache *c)
{
    for (int i = 0; i < KEPT; i++)
        epoch_free(&c->kept[i].epoch);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

void epoch_cache_lock(struct epoch_cache *c)
{
    pthread_mutex_lock(&c->lock);
}

void epoch_cache_unlock(struct epoch_cache *c)
{
    pthread_mutex_unlock(&c->lock);
}

const struct epoch *epoch_get(struct epoch_cache *c, const struct epoch_recipe *t, int64_t number)
{
    struct kept *k = &c->kept[0];
    for (int i = 0; i < KEPT; i++) {
        struct kept *other = &c->kept[i];
        if (other->last_use && other->epoch.number == number) {
            k = other;
            break;
        }
        if (other->last_use < k->last_use)
            k = other;
    }
    if (!k->last_use || k->epoch.number != number) {
        epoch_free(&k->epoch);
        epoch_build(t, number, &k->epoch);
    }
    k->last_use = ++c->uses;
    return &k->epoch;
}
