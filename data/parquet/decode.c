/* data/parquet/decode.c - see decode.h. */
#include "data/parquet/decode.h"
#include "data/parquet/meta.h"   /* the codecs */
#include "data/parquet/thrift.h" /* thrift_varint */
#include <snappy-c.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

/* ------------------------------------------------------------------- bits */

/* width bits (at most 64), least significant first, from bit `*bit` (0..7) of `*p`; both move on. false: past the end. */
static inline bool take_bits(const unsigned char **p, const unsigned char *end, int *bit, int width, uint64_t *v)
{
    int64_t bits = *bit + width;
    size_t left = (size_t)(end - *p);
    if ((size_t)((bits + 7) / 8) > left)
        return false;
    uint64_t low = 0;
    if (left >= sizeof low)
        memcpy(&low, *p, sizeof low);
    else
        memcpy(&low, *p, left);
    low >>= *bit;
    if (bits > 64)
        low |= (uint64_t)(*p)[8] << (64 - *bit);
    *v = width == 64 ? low : low & (((uint64_t)1 << width) - 1);
    *p += bits / 8;
    *bit = (int)(bits % 8);
    return true;
}

struct hybrid hybrid_begin(const unsigned char *p, size_t n, int width)
{
    return (struct hybrid){.p = p, .end = p + n, .width = width};
}

static bool next_run(struct hybrid *h)
{
    struct thrift t = {h->p, h->end, false};
    uint64_t head = thrift_varint(&t);
    if (t.bad || head >> 1 == 0 || head >> 1 > INT32_MAX)
        return false;
    h->p = t.p;
    if (head & 1) {
        h->packed = (int64_t)(head >> 1) * 8;
        h->bit = 0;
        return true;
    }
    size_t bytes = (size_t)(h->width + 7) / 8;
    if (bytes > (size_t)(h->end - h->p))
        return false;
    h->value = 0;
    memcpy(&h->value, h->p, bytes);
    h->p += bytes;
    h->run = (int64_t)(head >> 1);
    return h->width == 32 || h->value >> h->width == 0;
}

/* The last group may be cut short in the file when the page needs no more values of it. */
bool hybrid_read(struct hybrid *h, uint32_t *to, int64_t n)
{
    for (int64_t done = 0, part; done < n; done += part) {
        if (h->run == 0 && h->packed == 0 && !next_run(h))
            return false;
        if (h->run > 0) {
            part = h->run < n - done ? h->run : n - done;
            for (int64_t i = 0; i < part; i++)
                to[done + i] = h->value;
            h->run -= part;
            continue;
        }
        part = h->packed < n - done ? h->packed : n - done;
        for (int64_t i = 0; i < part; i++) {
            uint64_t v;
            if (!take_bits(&h->p, h->end, &h->bit, h->width, &v))
                return false;
            to[done + i] = (uint32_t)v;
        }
        h->packed -= part;
    }
    return true;
}

/* ------------------------------------------------------------------- deltas */

bool delta_begin(struct delta *d, const unsigned char *p, size_t n)
{
    struct thrift t = {p, p + n, false};
    *d = (struct delta){.end = p + n, .first = true};
    uint64_t block = thrift_varint(&t), minis = thrift_varint(&t), values = thrift_varint(&t);
    d->last = (uint64_t)thrift_zigzag(thrift_varint(&t));
    if (t.bad || minis == 0 || minis > 4096 || block == 0 || block > (1 << 24) || block % minis || block / minis % 8 || values > INT32_MAX)
        return false;
    d->p = t.p;
    d->block = (int64_t)block;
    d->minis = (int)minis;
    d->mini = d->block / d->minis;
    d->left = (int64_t)values;
    return true;
}

static bool next_block(struct delta *d)
{
    struct thrift t = {d->p, d->end, false};
    d->least = thrift_zigzag(thrift_varint(&t));
    if (t.bad || d->end - t.p < d->minis)
        return false;
    d->widths = t.p;
    d->p = t.p + d->minis;
    d->in_block = d->block;
    d->at_mini = 0;
    return true;
}

static bool next_mini(struct delta *d)
{
    if (d->in_block == 0 && !next_block(d))
        return false;
    d->width = d->widths[d->at_mini++];
    d->in_mini = d->mini;
    d->bit = 0;
    return d->width <= 64;
}

bool delta_read(struct delta *d, int64_t *to, int64_t n)
{
    if (n > d->left)
        return false;
    d->left -= n;
    for (int64_t i = 0; i < n; i++) {
        if (d->first) {
            d->first = false;
            to[i] = (int64_t)d->last;
            continue;
        }
        if (d->in_mini == 0 && !next_mini(d))
            return false;
        uint64_t v;
        if (!take_bits(&d->p, d->end, &d->bit, d->width, &v))
            return false;
        d->last += (uint64_t)d->least + v; /* wraps, as the format says */
        to[i] = (int64_t)d->last;
        d->in_mini--;
        d->in_block--;
    }
    return true;
}

/* A miniblock that holds any value is there in full; those of a last block that hold none take no bytes. */
const unsigned char *delta_end(const struct delta *begun)
{
    struct delta d = *begun;
    for (int64_t left = d.left - 1; left > 0; left -= d.mini) {
        if (!next_mini(&d))
            return NULL;
        int64_t bytes = d.mini / 8 * d.width;
        if (bytes > d.end - d.p)
            return NULL;
        d.p += bytes;
        d.in_block -= d.mini;
    }
    return d.p;
}

/* ------------------------------------------------------------------- decompression */

static bool unpack_gzip(struct unpacker *u, const void *in, size_t n_in, void *out, size_t n_out, struct err *e)
{
    enum { ANY_HEADER = 32 }; /* zlib: a gzip header or its own */
    z_stream *z = u->gzip;
    if (!z) {
        u->gzip = z = xcalloc(1, sizeof *z);
        must(inflateInit2(z, MAX_WBITS + ANY_HEADER) == Z_OK);
    }
    must(inflateReset(z) == Z_OK);
    unsigned char none;
    z->next_in = (unsigned char *)in;
    z->avail_in = (uInt)n_in;
    z->next_out = n_out ? out : &none;
    z->avail_out = (uInt)n_out;
    int status = inflate(z, Z_FINISH);
    if (status != Z_STREAM_END)
        return err_set(e, "gzip: %s", z->msg ? z->msg : "more or less comes out than the page's header says");
    return z->avail_out == 0 || err_set(e, "gzip: less comes out than the page's header says");
}

static bool unpack_zstd(struct unpacker *u, const void *in, size_t n_in, void *out, size_t n_out, struct err *e)
{
    if (!u->zstd)
        must(u->zstd = ZSTD_createDCtx());
    size_t got = ZSTD_decompressDCtx(u->zstd, out, n_out, in, n_in);
    if (ZSTD_isError(got))
        return err_set(e, "zstd: %s", ZSTD_getErrorName(got));
    return got == n_out || err_set(e, "zstd: less comes out than the page's header says");
}

static bool unpack_snappy(const void *in, size_t n_in, void *out, size_t n_out, struct err *e)
{
    size_t got;
    if (snappy_uncompressed_length(in, n_in, &got) != SNAPPY_OK || got != n_out)
        return err_set(e, "snappy: more or less would come out than the page's header says");
    return snappy_uncompress(in, n_in, out, &got) == SNAPPY_OK || err_set(e, "snappy: the data is damaged");
}

bool unpack(struct unpacker *u, int codec, const void *in, size_t n_in, void *out, size_t n_out, struct err *e)
{
    switch (codec) {
    case PARQUET_SNAPPY:
        return unpack_snappy(in, n_in, out, n_out, e);
    case PARQUET_GZIP:
        return unpack_gzip(u, in, n_in, out, n_out, e);
    case PARQUET_ZSTD:
        return unpack_zstd(u, in, n_in, out, n_out, e);
    default:
        die("codec %d was to be refused before", codec);
    }
}

void unpacker_free(struct unpacker *u)
{
    ZSTD_freeDCtx(u->zstd);
    if (u->gzip)
        inflateEnd(u->gzip);
    free(u->gzip);
}
