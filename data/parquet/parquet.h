/* data/parquet/parquet.h - reads Parquet files row by row, in the memory of a page of each column that is wanted.
 *
 * Read: any nesting of optional, repeated, list and struct; booleans, integers, floats, texts; data pages v1 and v2; encodings PLAIN,
 * dictionary, RLE, the three DELTA ones and BYTE_STREAM_SPLIT; uncompressed, Snappy, gzip and Zstandard. Refused by name when a wanted
 * column needs it: other codecs, decimals, 96-bit times, encryption. Columns that are not wanted are not touched.
 *
 * The file is mapped, and must not be cut short by others meanwhile. Damaged files are errors, never crashes: tests/test_parquet.c.
 */
#ifndef DATA_PARQUET_PARQUET_H
#define DATA_PARQUET_PARQUET_H
#include "core/err.h"
#include "data/packed.h"
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

struct parquet;

/* Does the file begin as a Parquet file does? */
bool parquet_is(const char *path);
bool parquet_open(struct parquet **p, const char *path, struct err *e);
void parquet_close(struct parquet *p);
int64_t parquet_rows(const struct parquet *p);
/* The columns of the schema's top; the type is "string", "int64", "list<struct<from: string, value: string>>" and the like. */
int parquet_columns(const struct parquet *p);
const char *parquet_column(const struct parquet *p, int column);
char *parquet_column_type(const struct parquet *p, int column); /* the caller frees */

/* Before the first row: which columns rows will have; all are wanted at first. */
void parquet_want(struct parquet *p, int column, bool wanted);
/* 1: a row is added to out, as an object with a key for each wanted column (what is null is null); 0: the end; -1: error. */
int parquet_next(struct parquet *p, struct packed *out, struct err *e);
/* Number of the row last returned, from 1. */
int64_t parquet_number(const struct parquet *p);

#ifdef __cplusplus
}
#endif
#endif
