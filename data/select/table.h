/* data/select/table.h - numbers by 64-bit keys that are hashes, for many look-ups of which nearly all find nothing. */
#ifndef DATA_SELECT_TABLE_H
#define DATA_SELECT_TABLE_H
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

/* Open addressing, at most half full; before it a filter of 16 bits a key. Zero it before the first use. */
struct table {
    uint64_t *key;  /* [room] 0: empty; the key 0 is put as 1 */
    int32_t *value; /* [room] not negative */
    uint64_t *filter;
    uint64_t n, room; /* room: a power of two */
};
/* The value of a key, which is put with `fresh` when it is not there. Until the next put. */
int32_t *table_put(struct table *t, uint64_t key, int32_t fresh);
/* -1: it is not there. */
int32_t table_get(const struct table *t, uint64_t key);
void table_free(struct table *t);

#ifdef __cplusplus
}
#endif
#endif
