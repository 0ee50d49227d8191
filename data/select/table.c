/* data/select/table.c - see table.h. */
#include "data/select/table.h"
#include "core/err.h"
#include <stdlib.h>

/* Where key is, or the empty place where it would go. */
static uint64_t place_of(const struct table *t, uint64_t key)
{
    uint64_t at = (key ^ key >> 29) & (t->room - 1);
    while (t->key[at] && t->key[at] != key)
        at = (at + 1) & (t->room - 1);
    return at;
}

static void filter_set(struct table *t, uint64_t key)
{
    uint64_t bit = key >> 20 & (8 * t->room - 1);
    t->filter[bit / 64] |= (uint64_t)1 << bit % 64;
}

static void table_grow(struct table *t)
{
    struct table old = *t;
    t->room = old.room ? 2 * old.room : 1024;
    t->key = xcalloc(t->room, sizeof *t->key);
    t->value = xcalloc(t->room, sizeof *t->value);
    t->filter = xcalloc(t->room / 8, sizeof *t->filter);
    for (uint64_t i = 0; i < old.room; i++)
        if (old.key[i]) {
            uint64_t at = place_of(t, old.key[i]);
            t->key[at] = old.key[i];
            t->value[at] = old.value[i];
            filter_set(t, old.key[i]);
        }
    free(old.key);
    free(old.value);
    free(old.filter);
}

int32_t *table_put(struct table *t, uint64_t key, int32_t fresh)
{
    key += key == 0;
    if (2 * (t->n + 1) > t->room)
        table_grow(t);
    uint64_t at = place_of(t, key);
    if (!t->key[at]) {
        t->key[at] = key;
        t->value[at] = fresh;
        t->n++;
        filter_set(t, key);
    }
    return &t->value[at];
}

int32_t table_get(const struct table *t, uint64_t key)
{
    key += key == 0;
    uint64_t bit = key >> 20 & (8 * t->room - 1);
    if (t->room == 0 || !(t->filter[bit / 64] >> bit % 64 & 1))
        return -1;
    uint64_t at = place_of(t, key);
    return t->key[at] ? t->value[at] : -1;
}

void table_free(struct table *t)
{
    free(t->key);
    free(t->value);
    free(t->filter);
}
