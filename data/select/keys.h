/* data/select/keys.h - which 64-bit keys (hashes of records) were seen: a set that only grows, at most 16 bytes a key. Zero it before use. */
#ifndef DATA_SELECT_KEYS_H
#define DATA_SELECT_KEYS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

struct keys {
    uint64_t *at; /* open addressing */
    size_t n, room;
    bool zero; /* the key 0 is in it: an empty place is 0 */
};
/* False: it was there. */
bool keys_add(struct keys *k, uint64_t key);
bool keys_has(const struct keys *k, uint64_t key);
/* The key of a text: XXH3-64. */
uint64_t keys_text(const char *text);
void keys_free(struct keys *k);

#ifdef __cplusplus
}
#endif
#endif
