/* data/segment_cache.h - the ids of short pieces of text that came before, shared by all threads.
 *
 * Words come back: looking one up takes some tens of nanoseconds, SentencePiece a microsecond. An entry never changes and is never taken
 * out, so readers need no lock, and what is found is what would have been computed: the cache cannot be seen in the results. When
 * its fixed number of places is taken, new text is just not kept.
 */
#ifndef DATA_SEGMENT_CACHE_H
#define DATA_SEGMENT_CACHE_H
#include "data/tokenizer.h"
#ifdef __cplusplus
extern "C" {
#endif

enum { SEGMENT_MAX = 48 }; /* longest text kept, in bytes */

struct segment_cache;
struct segment_cache *segment_cache_open(void);
void segment_cache_close(struct segment_cache *c);
/* Appends the ids of the n <= SEGMENT_MAX bytes at text if they are known. */
bool segment_cache_get(const struct segment_cache *c, const char *text, size_t n, struct ids *out);
void segment_cache_put(struct segment_cache *c, const char *text, size_t n, const int32_t *ids, int64_t n_ids);

#ifdef __cplusplus
}
#endif
#endif
