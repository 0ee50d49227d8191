/* data/parquet/meta.h - what a Parquet file says about itself: its schema, where its column chunks lie, the headers of its pages.
 *
 * After the format's own description, apache/parquet-format: parquet.thrift. Everything here comes from a file that may be damaged or
 * hostile: numbers are checked against each other and against the file's size before anything is allocated or followed.
 */
#ifndef DATA_PARQUET_META_H
#define DATA_PARQUET_META_H
#include "core/err.h"
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

enum parquet_type {
    PARQUET_BOOLEAN,
    PARQUET_INT32,
    PARQUET_INT64,
    PARQUET_INT96,
    PARQUET_FLOAT,
    PARQUET_DOUBLE,
    PARQUET_BYTES,
    PARQUET_FIXED,
    PARQUET_GROUP
};
enum parquet_repetition { PARQUET_REQUIRED, PARQUET_OPTIONAL, PARQUET_REPEATED };
enum parquet_codec { PARQUET_PLAIN, PARQUET_SNAPPY, PARQUET_GZIP, PARQUET_ZSTD = 6, PARQUET_CODECS = 8 };
extern const char *const parquet_codec_names[PARQUET_CODECS];
enum parquet_encoding {
    ENCODING_PLAIN = 0,
    ENCODING_PLAIN_DICTIONARY = 2,
    ENCODING_RLE = 3,
    ENCODING_BIT_PACKED = 4,
    ENCODING_DELTA = 5,
    ENCODING_DELTA_LENGTH = 6,
    ENCODING_DELTA_BYTES = 7,
    ENCODING_RLE_DICTIONARY = 8,
    ENCODING_SPLIT = 9
};

/* An element of the schema, which is a tree in depth-first order: node 0 is the root, its children are the columns. */
struct parquet_node {
    char *name;
    enum parquet_type type;
    enum parquet_repetition repetition;
    bool list, decimal, u32, null; /* u32: a PARQUET_INT32 without a sign; null: of nulls alone */
    int32_t width;                 /* bytes of a PARQUET_FIXED */
    int children, next;            /* how many; the node after its subtree */
    int def, rep;                  /* the levels at which it is there */
    int leaf;                      /* number among the leaves: of a group, of the first one below it */
};
struct parquet_chunk {
    int64_t at, size, values; /* bytes of the file; entries, nulls counted in */
    int64_t unpacked;         /* bytes of all pages when decompressed */
    int codec;
};
struct parquet_meta {
    struct parquet_node *node;
    int n_nodes, n_leaves;
    int64_t rows, n_groups;
    int64_t *group_rows;
    struct parquet_chunk *chunk; /* [n_groups][n_leaves] */
};
/* The footer of a whole file of size bytes. path is for errors. */
bool parquet_meta_read(struct parquet_meta *m, const unsigned char *file, size_t size, const char *path, struct err *e);
void parquet_meta_free(struct parquet_meta *m);
/* Of a group that is a list or a map in the standard form of three levels, or the older one of two: the node of an element (the entries of a
 * map are elements: its keys and values). -1: it is no such group. */
int parquet_element(const struct parquet_meta *m, int node);
/* "string", "list<struct<from: string, value: string>>": the type of a node, as people write it. The caller frees. */
char *parquet_type_name(const struct parquet_meta *m, int node);

enum parquet_page_kind { PAGE_DATA, PAGE_INDEX, PAGE_DICTIONARY, PAGE_DATA_V2 };
struct parquet_page {
    int kind, encoding;
    int def_encoding, rep_encoding; /* of the levels */
    int64_t size, unpacked;         /* bytes of its content in the file, and decompressed */
    int64_t values;
    int64_t def_bytes, rep_bytes; /* v2: the levels, which are not compressed, stand in front */
    bool compressed;              /* v2: what comes after them is */
    bool has_crc;
    uint32_t crc;
};
/* The header at p. Bytes it takes; 0: it is none. */
size_t parquet_page_read(struct parquet_page *h, const unsigned char *p, size_t n);

#ifdef __cplusplus
}
#endif
#endif
