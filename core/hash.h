/* core/hash.h - digests: XXH3-128 (fast; damage) and SHA-256 (publishing), as lower-case hex. The hashing is xxHash's and libcrypto's. */
#ifndef CORE_HASH_H
#define CORE_HASH_H
#include "core/err.h"
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

enum { HASH_XXH3_HEX = 33, HASH_SHA256_HEX = 65 }; /* with the NUL */

void hash_xxh3(const void *p, size_t n, char hex[HASH_XXH3_HEX]);
bool hash_xxh3_file(const char *path, char hex[HASH_XXH3_HEX], struct err *e);
bool hash_sha256_file(const char *path, char hex[HASH_SHA256_HEX], struct err *e);

/* XXH3-128 over pieces. */
struct hash_stream;
struct hash_stream *hash_open(void);
void hash_add(struct hash_stream *h, const void *p, size_t n);
/* The digest so far. */
void hash_hex(struct hash_stream *h, char hex[HASH_XXH3_HEX]);
void hash_close(struct hash_stream *h);

/* A digest that several who each have a part of a file form together: the sum of XXH3-128s of its pieces, each hashed with its place. The
 * pieces may come in any order, from anywhere; the file must be cut into the same ones each time. Begins as zeros. */
struct hash_sum {
    uint64_t low, high;
};
void hash_sum_add(struct hash_sum *s, uint64_t place, const void *p, size_t n);
void hash_sum_join(struct hash_sum *s, struct hash_sum other);
void hash_sum_hex(struct hash_sum s, char hex[HASH_XXH3_HEX]);

#ifdef __cplusplus
}
#endif
#endif
