/* data/segment_cache.c - see segment_cache.h. An open hash table of pointers that go from NULL to an entry once. */
#include "data/segment_cache.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL /* no library to link */
#include <xxhash.h>    /* XXH3_64bits */

enum { PLACES = 1 << 18, PROBES = 8 };

struct entry {
    uint8_t n, n_ids;
    char text[SEGMENT_MAX];
    int32_t ids[]; /* [n_ids] */
};

struct segment_cache {
    _Atomic(struct entry *) place[PLACES];
};

struct segment_cache *segment_cache_open(void)
{
    return xcalloc(1, sizeof(struct segment_cache));
}

void segment_cache_close(struct segment_cache *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < PLACES; i++)
        free(atomic_load(&c->place[i]));
    free(c);
}

bool segment_cache_get(const struct segment_cache *c, const char *text, size_t n, struct ids *out)
{
    uint64_t at = XXH3_64bits(text, n);
    for (int i = 0; i < PROBES; i++) {
        const struct entry *e = atomic_load_explicit(&c->place[(at + (uint64_t)i) % PLACES], memory_order_acquire);
        if (!e)
            return false;
        if (e->n == n && memcmp(e->text, text, n) == 0) {
            ids_append(out, e->ids, e->n_ids);
            return true;
        }
    }
    return false;
}

void segment_cache_put(struct segment_cache *c, const char *text, size_t n, const int32_t *ids, int64_t n_ids)
{
    must(n <= SEGMENT_MAX);
    if (n_ids > UINT8_MAX)
        return;
    uint64_t at = XXH3_64bits(text, n);
    struct entry *e = NULL;
    for (int i = 0; i < PROBES; i++) {
        _Atomic(struct entry *) *place = &c->place[(at + (uint64_t)i) % PLACES];
        if (atomic_load_explicit(place, memory_order_relaxed))
            continue;
        if (!e) {
            e = xmalloc(sizeof *e + (size_t)n_ids * sizeof *ids);
            e->n = (uint8_t)n;
            e->n_ids = (uint8_t)n_ids;
            memcpy(e->text, text, n);
            memcpy(e->ids, ids, (size_t)n_ids * sizeof *ids);
        }
        struct entry *none = NULL;
        if (atomic_compare_exchange_strong_explicit(place, &none, e, memory_order_release, memory_order_relaxed))
            return;
    }
    free(e); /* no place is left near its own */
}
