/* data/parquet/column.c - see column.h. */
#include "data/parquet/column.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <zlib.h> /* crc32 */

enum { GIVE_BACK = 1 << 20 };

void column_open(struct parquet_column *c, const struct parquet_node *leaf, const unsigned char *file)
{
    c->node = leaf;
    c->file = file;
}

void column_close(struct parquet_column *c)
{
    unpacker_free(&c->unpacker);
    free(c->page);
    free(c->dictionary);
    free(c->word);
    packed_free(&c->text);
}

/* What was read of the mapping, up to c->at, need not stay in this process's memory; pieces smaller than `least` wait. A neighbour that still
 * reads on the first or last page of memory gets it again. */
static void give_back(struct parquet_column *c, int64_t least)
{
    int64_t page = 4096, from = c->given_back / page * page, to = c->at;
    if (to - from < least || to == c->given_back)
        return;
    madvise((void *)(c->file + from), (size_t)(to - from), MADV_DONTNEED);
    c->given_back = to;
}

bool column_chunk(struct parquet_column *c, const struct parquet_chunk *chunk, struct err *e)
{
    if (chunk->codec != PARQUET_PLAIN && chunk->codec != PARQUET_SNAPPY && chunk->codec != PARQUET_GZIP && chunk->codec != PARQUET_ZSTD)
        return err_set(e, "it is compressed with %s, which is not read here; write the file anew with zstd or snappy",
                       parquet_codec_names[chunk->codec]);
    if (c->given_back > 0)
        give_back(c, 0);
    c->at = chunk->at;
    c->end = chunk->at + chunk->size;
    c->given_back = chunk->at;
    c->entries = chunk->values;
    c->codec = chunk->codec;
    c->unpacked = chunk->unpacked;
    c->n_dictionary = -1;
    c->in_page = 0;
    c->n_batch = c->at_batch = c->at_value = 0;
    return true;
}

/* ------------------------------------------------------------------- pages */

static unsigned char *grown(unsigned char **at, size_t *room, size_t n)
{
    if (n > *room || !*at) {
        free(*at);
        *room = n + n / 8 + 64;
        *at = xmalloc(*room);
    }
    return *at;
}

/* The content of a page decompressed, or where it lies in the file when it is not compressed; the first `plain` bytes never are. */
static const unsigned char *content(struct parquet_column *c, const struct parquet_page *h, const unsigned char *in, size_t plain,
                                    unsigned char **buffer, size_t *room, struct err *e)
{
    size_t size = (size_t)h->size, n = (size_t)h->unpacked;
    if (c->codec == PARQUET_PLAIN || !h->compressed) {
        if (size != n)
            err_set(e, "a page that is not compressed has two sizes");
        return size == n ? in : NULL;
    }
    unsigned char *out = grown(buffer, room, n);
    memcpy(out, in, plain);
    if (n == plain) /* no values: some writers then write no compressed bytes, either */
        return out;
    return unpack(&c->unpacker, c->codec, in + plain, size - plain, out + plain, n - plain, e) ? out : NULL;
}

/* The header at c->at, and where the page's content is; NULL: damaged. */
static const unsigned char *next_page(struct parquet_column *c, struct parquet_page *h, struct err *e)
{
    size_t left = (size_t)(c->end - c->at), header = parquet_page_read(h, c->file + c->at, left);
    if (header == 0) {
        err_set(e, "the page at byte %lld has no valid header", (long long)c->at);
        return NULL;
    }
    const unsigned char *in = c->file + c->at + header;
    /* Some writers count their headers in, so this is a bound and no more; it keeps a damaged header from asking for gigabytes. */
    if (h->unpacked > c->unpacked) {
        err_set(e, "the page at byte %lld is larger than its column says", (long long)c->at);
        return NULL;
    }
    if (h->has_crc && crc32_z(0, in, (size_t)h->size) != h->crc) {
        err_set(e, "the page at byte %lld does not match its checksum", (long long)c->at);
        return NULL;
    }
    c->unpacked -= h->unpacked;
    c->at += (int64_t)header + h->size;
    return in;
}

static size_t width_of(const struct parquet_node *n)
{
    static const size_t width[] = {0, 4, 8, 12, 4, 8};
    return n->type == PARQUET_FIXED ? (size_t)n->width : n->type < PARQUET_BYTES ? width[n->type] : 0;
}

static bool load_dictionary(struct parquet_column *c, const struct parquet_page *h, const unsigned char *in, struct err *e)
{
    if (c->n_dictionary >= 0 || c->node->type == PARQUET_BOOLEAN ||
        (h->encoding != ENCODING_PLAIN && h->encoding != ENCODING_PLAIN_DICTIONARY))
        return err_set(e, "it has a second dictionary, or one that is not plain");
    const unsigned char *p = content(c, h, in, 0, &c->dictionary, &c->dictionary_room, e);
    if (!p)
        return false;
    size_t n = (size_t)h->unpacked;
    if (p != c->dictionary) /* the pages of the mapping are given back, the dictionary stays */
        p = memcpy(grown(&c->dictionary, &c->dictionary_room, n), p, n);
    c->dictionary_size = n;
    size_t least = c->node->type == PARQUET_BYTES ? 4 : width_of(c->node);
    if (h->values > (int64_t)(n / least))
        return err_set(e, "its dictionary is shorter than it says");
    c->n_dictionary = h->values;
    if (c->node->type != PARQUET_BYTES)
        return true;
    c->word = xrealloc(c->word, ((size_t)h->values + 1) * sizeof *c->word);
    size_t at = 0;
    for (int64_t i = 0; i < h->values; i++) {
        uint32_t len;
        if (n - at < sizeof len)
            return err_set(e, "its dictionary is shorter than it says");
        memcpy(&len, p + at, sizeof len);
        c->word[i] = (uint32_t)at;
        if (len > n - at - sizeof len)
            return err_set(e, "its dictionary is shorter than it says");
        at += sizeof len + len;
    }
    return true;
}

static int bits_of(unsigned level)
{
    int bits = 0;
    for (; level; level >>= 1)
        bits++;
    return bits;
}

/* The levels of a v1 page: their bytes are counted in front of them. */
static bool counted_levels(struct hybrid *h, const unsigned char **p, const unsigned char *end, int max)
{
    uint32_t n = 0;
    if (max == 0)
        return true;
    if (end - *p < 4)
        return false;
    memcpy(&n, *p, sizeof n);
    *p += 4;
    if (n > (size_t)(end - *p))
        return false;
    *h = hybrid_begin(*p, n, bits_of((unsigned)max));
    *p += n;
    return true;
}

/* The decoders of the values, which lie from p to end. */
static bool begin_values(struct parquet_column *c, const unsigned char *p, const unsigned char *end, struct err *e)
{
    enum parquet_type type = c->node->type;
    bool bytes = type == PARQUET_BYTES, numbers = type == PARQUET_INT32 || type == PARQUET_INT64, ok = true;
    size_t n = (size_t)(end - p);
    c->p = p;
    c->p_end = end;
    c->bit = 0;
    if (c->encoding == ENCODING_PLAIN_DICTIONARY)
        c->encoding = ENCODING_RLE_DICTIONARY;
    if (c->encoding == ENCODING_PLAIN) {
        return true;
    } else if (c->encoding == ENCODING_RLE_DICTIONARY && c->n_dictionary >= 0) {
        if (n == 0) /* no values in the page */
            c->codes = hybrid_begin(p, 0, 0);
        else if (*p <= 32)
            c->codes = hybrid_begin(p + 1, n - 1, *p);
        else
            ok = false;
    } else if (c->encoding == ENCODING_RLE && type == PARQUET_BOOLEAN) {
        ok = counted_levels(&c->codes, &p, end, 1);
    } else if (c->encoding == ENCODING_DELTA && numbers) {
        ok = delta_begin(&c->delta, p, n);
    } else if (c->encoding == ENCODING_DELTA_LENGTH && bytes) {
        ok = delta_begin(&c->delta, p, n) && (c->p = delta_end(&c->delta));
    } else if (c->encoding == ENCODING_DELTA_BYTES && (bytes || type == PARQUET_FIXED)) {
        const unsigned char *lengths;
        ok = delta_begin(&c->prefixes, p, n) && (lengths = delta_end(&c->prefixes)) &&
             delta_begin(&c->delta, lengths, (size_t)(end - lengths)) && (c->p = delta_end(&c->delta));
        c->text.n = 0;
    } else if (c->encoding == ENCODING_SPLIT && width_of(c->node) > 0) {
        c->n_split = (int64_t)(n / width_of(c->node));
        c->at_split = 0;
    } else {
        return err_set(e, "a page has encoding %d, which does not fit its type or its dictionary, or is not known here", c->encoding);
    }
    return ok || err_set(e, "the values of a page make no sense");
}

static bool begin_data(struct parquet_column *c, const struct parquet_page *h, const unsigned char *in, struct err *e)
{
    bool v2 = h->kind == PAGE_DATA_V2;
    size_t levels = v2 ? (size_t)(h->def_bytes + h->rep_bytes) : 0;
    const unsigned char *p = content(c, h, in, levels, &c->page, &c->page_room, e), *end;
    if (!p)
        return false;
    end = p + h->unpacked;
    if ((c->node->rep > 0 && h->rep_encoding != ENCODING_RLE) || (c->node->def > 0 && h->def_encoding != ENCODING_RLE))
        return err_set(e, "its levels are in the deprecated encoding BIT_PACKED, which is not read here; write the file anew");
    if (h->values > c->entries)
        return err_set(e, "its pages hold more values than it says");
    c->in_page = h->values;
    c->encoding = h->encoding;
    if (v2) {
        c->reps = hybrid_begin(p, (size_t)h->rep_bytes, bits_of((unsigned)c->node->rep));
        c->defs = hybrid_begin(p + h->rep_bytes, (size_t)h->def_bytes, bits_of((unsigned)c->node->def));
        p += levels;
    } else if (!counted_levels(&c->reps, &p, end, c->node->rep) || !counted_levels(&c->defs, &p, end, c->node->def)) {
        return err_set(e, "the levels of a page are cut short");
    }
    return begin_values(c, p, end, e);
}

/* ------------------------------------------------------------------- entries */

static bool read_levels(struct hybrid *h, uint32_t *to, int n, int max)
{
    if (max == 0) {
        memset(to, 0, (size_t)n * sizeof *to);
        return true;
    }
    if (!hybrid_read(h, to, n))
        return false;
    bool fits = true;
    for (int i = 0; i < n; i++)
        fits = fits && to[i] <= (uint32_t)max;
    return fits;
}

static bool decode_batch(struct parquet_column *c, int n, struct err *e)
{
    const struct parquet_node *leaf = c->node;
    if (!read_levels(&c->reps, c->rep, n, leaf->rep) || !read_levels(&c->defs, c->def, n, leaf->def))
        return err_set(e, "the levels of a page make no sense");
    int values = 0;
    for (int i = 0; i < n; i++)
        values += c->def[i] == (uint32_t)leaf->def;
    bool ok = true;
    if (c->encoding == ENCODING_RLE_DICTIONARY || c->encoding == ENCODING_RLE)
        ok = hybrid_read(&c->codes, c->code, values);
    if (c->encoding == ENCODING_DELTA || c->encoding == ENCODING_DELTA_LENGTH || c->encoding == ENCODING_DELTA_BYTES)
        ok = delta_read(&c->delta, c->number, values) &&
             (c->encoding != ENCODING_DELTA_BYTES || delta_read(&c->prefixes, c->prefix, values));
    return ok || err_set(e, "a page holds fewer values than it says");
}

bool column_load(struct parquet_column *c, struct err *e)
{
    c->n_batch = c->at_batch = c->at_value = 0;
    while (c->in_page == 0) {
        struct parquet_page h;
        if (c->entries == 0)
            return err_set(e, "it holds fewer values than the file's other columns");
        give_back(c, GIVE_BACK);
        const unsigned char *in = next_page(c, &h, e);
        if (!in)
            return false;
        if (h.kind == PAGE_DICTIONARY && !load_dictionary(c, &h, in, e))
            return false;
        if ((h.kind == PAGE_DATA || h.kind == PAGE_DATA_V2) && !begin_data(c, &h, in, e))
            return false;
    }
    int n = c->in_page < COLUMN_BATCH ? (int)c->in_page : COLUMN_BATCH;
    if (!decode_batch(c, n, e))
        return false;
    c->n_batch = n;
    c->in_page -= n;
    c->entries -= n;
    return true;
}

/* A value of fixed size that lies at p. */
static void put_fixed(const struct parquet_node *leaf, const unsigned char *p, struct packed *out)
{
    int32_t i32;
    int64_t i64;
    float f32;
    double f64;
    switch (leaf->type) {
    case PARQUET_INT32:
        memcpy(&i32, p, sizeof i32);
        packed_int(out, leaf->u32 ? (int64_t)(uint32_t)i32 : i32);
        return;
    case PARQUET_INT64:
        memcpy(&i64, p, sizeof i64);
        packed_int(out, i64);
        return;
    case PARQUET_FLOAT:
        memcpy(&f32, p, sizeof f32);
        packed_real(out, f32);
        return;
    case PARQUET_DOUBLE:
        memcpy(&f64, p, sizeof f64);
        packed_real(out, f64);
        return;
    default:
        packed_text(out, p, width_of(leaf));
    }
}

static bool cut_short(struct err *e)
{
    return err_set(e, "the values of a page are cut short");
}

static bool take_plain(struct parquet_column *c, struct packed *out, struct err *e)
{
    size_t left = (size_t)(c->p_end - c->p), width = width_of(c->node);
    uint32_t len;
    if (c->node->type == PARQUET_BOOLEAN) {
        if (left == 0)
            return cut_short(e);
        packed_tag(out, *c->p >> c->bit & 1 ? 't' : 'f');
        c->bit = (c->bit + 1) % 8;
        c->p += c->bit == 0;
        return true;
    }
    if (c->node->type != PARQUET_BYTES) {
        if (left < width)
            return cut_short(e);
        put_fixed(c->node, c->p, out);
        c->p += width;
        return true;
    }
    if (left < sizeof len)
        return cut_short(e);
    memcpy(&len, c->p, sizeof len);
    if (len > left - sizeof len)
        return cut_short(e);
    packed_text(out, c->p + sizeof len, len);
    c->p += sizeof len + len;
    return true;
}

static bool take_word(struct parquet_column *c, uint32_t code, struct packed *out, struct err *e)
{
    if (code >= c->n_dictionary)
        return err_set(e, "a value points beyond its dictionary");
    if (c->node->type != PARQUET_BYTES) {
        put_fixed(c->node, c->dictionary + code * width_of(c->node), out);
        return true;
    }
    uint32_t len;
    memcpy(&len, c->dictionary + c->word[code], sizeof len);
    packed_text(out, c->dictionary + c->word[code] + sizeof len, len);
    return true;
}

/* n bytes of text that go on from the first `prefix` of the one before. */
static bool take_suffix(struct parquet_column *c, int64_t prefix, int64_t n, struct packed *out, struct err *e)
{
    if (n < 0 || n > c->p_end - c->p || prefix < 0 || prefix > (int64_t)c->text.n)
        return cut_short(e);
    if (c->encoding == ENCODING_DELTA_LENGTH) {
        packed_text(out, c->p, (size_t)n);
        c->p += n;
        return true;
    }
    if ((size_t)(prefix + n) > c->text.room) {
        c->text.room = 2 * (size_t)(prefix + n) + 64;
        c->text.at = xrealloc(c->text.at, c->text.room);
    }
    if (n > 0)
        memcpy(c->text.at + prefix, c->p, (size_t)n);
    c->p += n;
    c->text.n = (size_t)(prefix + n);
    if (c->node->type == PARQUET_FIXED && c->text.n != width_of(c->node))
        return cut_short(e);
    packed_text(out, c->text.at ? c->text.at : c->p, c->text.n);
    return true;
}

static bool take_split(struct parquet_column *c, struct packed *out, struct err *e)
{
    size_t width = width_of(c->node);
    unsigned char small[16] = {0}, *value = width <= sizeof small ? small : xmalloc(width);
    bool there = c->at_split < c->n_split;
    for (size_t i = 0; there && i < width; i++)
        value[i] = c->p[i * (size_t)c->n_split + (size_t)c->at_split];
    if (there)
        put_fixed(c->node, value, out);
    c->at_split++;
    if (value != small)
        free(value);
    return there || cut_short(e);
}

bool column_take(struct parquet_column *c, struct packed *out, struct err *e)
{
    if (c->def[c->at_batch++] < (uint32_t)c->node->def) {
        packed_tag(out, 'n');
        return true;
    }
    int i = c->at_value++;
    switch (c->encoding) {
    case ENCODING_PLAIN:
        return take_plain(c, out, e);
    case ENCODING_RLE_DICTIONARY:
        return take_word(c, c->code[i], out, e);
    case ENCODING_RLE:
        packed_tag(out, c->code[i] ? 't' : 'f');
        return true;
    case ENCODING_DELTA:
        put_fixed(c->node, (const unsigned char *)&c->number[i], out); /* little endian: the first half of an int64 is the int32 */
        return true;
    case ENCODING_DELTA_LENGTH:
        return take_suffix(c, 0, c->number[i], out, e);
    case ENCODING_DELTA_BYTES:
        return take_suffix(c, c->prefix[i], c->number[i], out, e);
    default:
        return take_split(c, out, e);
    }
}
