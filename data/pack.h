/* data/pack.h - best-fit packing of documents into rows of a fixed length. */
#ifndef DATA_PACK_H
#define DATA_PACK_H
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

/* Puts n documents, len[i] tokens each (1 <= len[i] <= room, n < 2^32), one after the other into the open row with the least room that
 * still takes them, or into a new row when none does. row_of[i] receives the row of document i, rows being numbered in the order in
 * which they were opened. Returns the number of rows. The result depends on the arguments only; O(n log) time, memory besides row_of
 * constant. */
int64_t pack_best_fit(const int32_t *len, int64_t n, int32_t room, uint32_t *row_of);

#ifdef __cplusplus
}
#endif
#endif
