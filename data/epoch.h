/* data/epoch.h - which documents an epoch of a phase holds, in which rows and in what order: a function of the recipe and the epoch's number
 * alone. The rules are those of data/loader.h. */
#ifndef DATA_EPOCH_H
#define DATA_EPOCH_H
#include <stdbool.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

struct epoch_doc {
    int64_t at; /* in its file */
    int32_t len, learnt;
};
struct epoch_source {
    int64_t first, n;    /* its documents in the table */
    int64_t whole, part; /* an epoch holds each of them `whole` times, and `part` of them once more */
};
struct epoch_recipe {
    struct epoch_doc *doc; /* the usable documents of all sources, 16 bytes each */
    struct epoch_source *source;
    int n_source;
    int64_t n_doc, docs; /* in the table; in one epoch, weights counted in */
    int64_t seq_len;
    bool pack, shuffle;
    uint64_t seed;
};

/* Row r holds documents doc[start[r]] .. doc[start[r + 1] - 1] (indices into the recipe's table), in the epoch's order. */
struct epoch {
    int64_t number, rows;
    uint32_t *start, *doc;
    int32_t *learnt; /* [rows] */
};

/* An epoch takes about a second for a million documents, and a step may touch two, so the last two are kept. */
struct epoch_cache *epoch_cache_new(void);
void epoch_cache_free(struct epoch_cache *c);
/* Epochs are got, and used, between lock and unlock where several threads may ask; one that was got may go at the second call after. */
void epoch_cache_lock(struct epoch_cache *c);
void epoch_cache_unlock(struct epoch_cache *c);
const struct epoch *epoch_get(struct epoch_cache *c, const struct epoch_recipe *recipe, int64_t number);

#ifdef __cplusplus
}
#endif
#endif
