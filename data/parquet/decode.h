/* data/parquet/decode.h - the encodings of Parquet's pages that are read piece by piece, and the decompression of pages.
 *
 * A decoder holds its place, so that memory does not depend on how many values a page (or a damaged header) claims. Reading past the end of
 * the bytes returns false.
 */
#ifndef DATA_PARQUET_DECODE_H
#define DATA_PARQUET_DECODE_H
#include "core/err.h"
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

/* The hybrid of runs and bit-packed groups of eight: levels, dictionary indices, booleans. */
struct hybrid {
    const unsigned char *p, *end;
    int width;           /* bits of a value, 0..32 */
    int64_t run, packed; /* values left of a run of `value`, or of bit-packed ones */
    uint32_t value;
    int bit; /* in *p, of the next bit-packed value */
};
struct hybrid hybrid_begin(const unsigned char *p, size_t n, int width);
bool hybrid_read(struct hybrid *h, uint32_t *to, int64_t n);

/* DELTA_BINARY_PACKED. */
struct delta {
    const unsigned char *p, *end;
    int64_t left, block, mini; /* values left in all; of a block, of a miniblock */
    int64_t in_block, in_mini; /* values left in these */
    int minis, width, at_mini; /* miniblocks of a block; of the current one: bits, number */
    const unsigned char *widths;
    int bit;
    int64_t least;
    uint64_t last;
    bool first;
};
bool delta_begin(struct delta *d, const unsigned char *p, size_t n);
bool delta_read(struct delta *d, int64_t *to, int64_t n);
/* Where the bytes of the encoding end: what comes after it in the page. NULL: it does not end. */
const unsigned char *delta_end(const struct delta *begun);

/* What decompression needs between pages; zero it first. */
struct unpacker {
    void *zstd, *gzip;
};
/* One of the codecs of meta.h that are read here (column_chunk() refuses the others), other than none: exactly n_out bytes come out, or an error that
 * says why not. */
bool unpack(struct unpacker *u, int codec, const void *in, size_t n_in, void *out, size_t n_out, struct err *e);
void unpacker_free(struct unpacker *u);

#ifdef __cplusplus
}
#endif
#endif
