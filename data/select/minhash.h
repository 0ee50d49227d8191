/* data/select/minhash.h - how alike two sets are: their exact Jaccard similarity, and keys that sets alike are likely to share.
 *
 * MinHash (Broder 1997) with 120 permutations in 40 bands of 3: two sets of similarity s share the key of one band at least with probability
 * 1 - (1 - s^3)^40: 0.995 at 0.5, all but 1e-7 at 0.7, 0.04 at 0.1. So a table of keys gives the candidates, and the exact similarity decides.
 */
#ifndef DATA_SELECT_MINHASH_H
#define DATA_SELECT_MINHASH_H
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

enum { MINHASH_BANDS = 40, MINHASH_ROWS = 3 };

/* A set is n > 0 numbers that differ, in rising order. The keys of different bands differ. */
void minhash_keys(const uint32_t *set, int64_t n, uint64_t key[MINHASH_BANDS]);
double minhash_similarity(const uint32_t *a, int64_t na, const uint32_t *b, int64_t nb);
/* How much of a is in b. */
double minhash_share(const uint32_t *a, int64_t na, const uint32_t *b, int64_t nb);
/* Sorts numbers and drops repeats; how many are left. */
int64_t minhash_set(uint32_t *at, int64_t n);

#ifdef __cplusplus
}
#endif
#endif
