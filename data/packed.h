/* data/packed.h - one JSON value as a few flat bytes: how a row travels from the thread that reads a Parquet file to those that work on it.
 *
 * A tag and what it needs: n t f | i int64 | d double | s uint32 bytes | [ values ] | { (uint32 key value)* }. Unlike JSON text, nothing is
 * escaped on the way in or parsed on the way out, so a long text costs two copies.
 */
#ifndef DATA_PACKED_H
#define DATA_PACKED_H
#include "core/json.h"
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

struct packed {
    unsigned char *at;
    size_t n, room;
};
void packed_free(struct packed *p);
/* tag: n, t or f, or a bracket. */
void packed_tag(struct packed *p, char tag);
void packed_int(struct packed *p, int64_t v);
void packed_real(struct packed *p, double v); /* what JSON cannot hold (NaN, infinities) becomes null */
void packed_text(struct packed *p, const void *text, size_t n);
void packed_key(struct packed *p, const char *key);

/* The value that begins at p, as packed by these functions (anything else is a broken contract). The caller json_decref()s.
 * NULL: a text in it is not UTF-8, or holds a NUL, which this project's strings do not; e names the key it stands under. */
json_t *packed_json(const unsigned char *p, size_t n, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
