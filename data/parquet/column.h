/* data/parquet/column.h - one column chunk of a Parquet file, entry after entry: a page at a time in memory.
 *
 * An entry is a value or a null with its repetition and definition level (Dremel): rep < the column's tells in which list it begins anew,
 * def < the column's which of the optional things above it is missing.
 */
#ifndef DATA_PARQUET_COLUMN_H
#define DATA_PARQUET_COLUMN_H
#include "data/packed.h"
#include "data/parquet/decode.h"
#include "data/parquet/meta.h"
#ifdef __cplusplus
extern "C" {
#endif

enum { COLUMN_BATCH = 512 }; /* entries whose levels are decoded at once */

struct parquet_column {
    const struct parquet_node *node;
    const unsigned char *file; /* mapped, whole */
    int64_t at, end;           /* in the file: the next page, the end of the chunk */
    int64_t given_back;        /* pages of memory of the mapping before this are given back to the system */
    int64_t entries;           /* left in the chunk beyond the batch */
    int codec;
    int64_t unpacked; /* bytes that its pages may still take */
    struct unpacker unpacker;

    unsigned char *page, *dictionary; /* decompressed */
    size_t page_room, dictionary_room;
    size_t dictionary_size;
    int64_t n_dictionary;
    uint32_t *word; /* of a dictionary of texts: where each begins; [n_dictionary + 1] */

    int64_t in_page; /* entries left in it beyond the batch */
    int encoding;
    const unsigned char *p, *p_end;  /* PLAIN values, texts of the delta encodings */
    int bit;                         /* in *p, of the next PLAIN boolean */
    int64_t n_split, at_split;       /* BYTE_STREAM_SPLIT: values of the page, the next one */
    struct hybrid reps, defs, codes; /* codes: dictionary indices or booleans */
    struct delta delta, prefixes;
    struct packed text; /* DELTA_BYTE_ARRAY: the last one */

    int n_batch, at_batch, at_value; /* entries decoded, the current one; the values before it */
    uint32_t rep[COLUMN_BATCH], def[COLUMN_BATCH], code[COLUMN_BATCH];
    int64_t number[COLUMN_BATCH], prefix[COLUMN_BATCH];
};

/* Zeroed, then: of which leaf, in which file. */
void column_open(struct parquet_column *c, const struct parquet_node *leaf, const unsigned char *file);
void column_close(struct parquet_column *c);
/* From the beginning of a chunk on. The chunk is of this leaf. */
bool column_chunk(struct parquet_column *c, const struct parquet_chunk *chunk, struct err *e);
/* Makes the current entry's levels known. false: there is none, or its page is damaged. */
bool column_load(struct parquet_column *c, struct err *e);
static inline bool column_ready(struct parquet_column *c, struct err *e)
{
    return c->at_batch < c->n_batch || column_load(c, e);
}
static inline uint32_t column_rep(const struct parquet_column *c)
{
    return c->rep[c->at_batch];
}
static inline uint32_t column_def(const struct parquet_column *c)
{
    return c->def[c->at_batch];
}
/* The current entry (column_ready() was true), a null or a value, goes to out, and the next one is current. */
bool column_take(struct parquet_column *c, struct packed *out, struct err *e);
/* Were all entries taken? */
static inline bool column_done(const struct parquet_column *c)
{
    return c->entries == 0 && c->at_batch == c->n_batch;
}

#ifdef __cplusplus
}
#endif
#endif
