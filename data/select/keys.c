/* data/select/keys.c - see keys.h. */
#include "data/select/keys.h"
#include "core/err.h"
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL /* no library to link */
#include <xxhash.h>    /* XXH3_64bits */

/* Where key is, or the empty place where it would go; at most half of the places are taken. */
static size_t place(const struct keys *k, uint64_t key)
{
    size_t i = key % k->room;
    while (k->at[i] && k->at[i] != key)
        i = i + 1 < k->room ? i + 1 : 0;
    return i;
}

bool keys_add(struct keys *k, uint64_t key)
{
    if (key == 0) {
        bool there = k->zero;
        k->zero = true;
        return !there;
    }
    if (2 * (k->n + 1) > k->room) {
        struct keys grown = {xcalloc(2 * k->room + 1024, sizeof *k->at), 0, 2 * k->room + 1024, k->zero};
        for (size_t i = 0; i < k->room; i++)
            if (k->at[i])
                keys_add(&grown, k->at[i]);
        free(k->at);
        *k = grown;
    }
    size_t i = place(k, key);
    if (k->at[i] == key)
        return false;
    k->at[i] = key;
    k->n++;
    return true;
}

bool keys_has(const struct keys *k, uint64_t key)
{
    return key == 0 ? k->zero : k->room && k->at[place(k, key)] == key;
}

uint64_t keys_text(const char *text)
{
    return XXH3_64bits(text, strlen(text));
}

void keys_free(struct keys *k)
{
    free(k->at);
    *k = (struct keys){0};
}
