/* data/lengths.h - documents counted by length in tokens: exact percentiles and a histogram, in memory that depends on the longest only. */
#ifndef DATA_LENGTHS_H
#define DATA_LENGTHS_H
#include "core/json.h"
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

enum { LENGTHS_PAGE = 1 << 14 };
/* Zero it before use. */
struct lengths {
    int64_t **page; /* [pages] documents of each length, LENGTHS_PAGE lengths a page; NULL: none of these */
    int64_t pages, docs, tokens;
};
void lengths_add(struct lengths *l, int64_t n);
void lengths_free(struct lengths *l);
/* The smallest length that at least share of the documents do not exceed; share 0: the shortest. 0 when there are none. */
int64_t lengths_at(const struct lengths *l, double share);

/* Bins whose ends are 64, 96, 128, 192, ...: bin b holds lengths from lengths_bin(b) to lengths_bin(b + 1) - 1, the first from 0. */
int64_t lengths_bin(int bin);
/* {"documents", "total", "shortest", "half", "p90", "p99", "longest", "histogram": [{"from", "to", "documents", "tokens"}, ...]}, to is the
 * first length that is in the next bin. */
json_t *lengths_json(const struct lengths *l);

#ifdef __cplusplus
}
#endif
#endif
