/* data/parquet/thrift.h - reads Thrift's compact protocol, as far as the footers and page headers of Parquet need it.
 *
 * Reading past the end, or what is no Thrift, sets bad; every function then returns zeros and loops end, so that a caller may look at bad
 * once, at the end. Nothing is allocated: texts point into the bytes.
 */
#ifndef DATA_PARQUET_THRIFT_H
#define DATA_PARQUET_THRIFT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

enum thrift_type {
    THRIFT_TRUE = 1,
    THRIFT_FALSE,
    THRIFT_I8,
    THRIFT_I16,
    THRIFT_I32,
    THRIFT_I64,
    THRIFT_DOUBLE,
    THRIFT_BINARY,
    THRIFT_LIST,
    THRIFT_SET,
    THRIFT_MAP,
    THRIFT_STRUCT
};
struct thrift {
    const unsigned char *p, *end;
    bool bad;
};
struct thrift_field {
    int id, type; /* zeroed before the first field of a struct */
};

/* The next field of a struct; false: the struct has ended. Whoever does not read the field's value calls thrift_skip(). */
bool thrift_field(struct thrift *t, struct thrift_field *f);
/* The value of a field of type I8 .. I64. */
int64_t thrift_int(struct thrift *t);
/* How many elements a list has, and their type; never more than there are bytes left. */
int64_t thrift_list(struct thrift *t, int *type);
const char *thrift_binary(struct thrift *t, size_t *n);
/* Over a value of this type; nesting deeper than any Parquet file's is bad. */
void thrift_skip(struct thrift *t, int type);

/* Unsigned LEB128, as Parquet's own encodings use it, too. */
uint64_t thrift_varint(struct thrift *t);
static inline int64_t thrift_zigzag(uint64_t u)
{
    return (int64_t)(u >> 1) ^ -(int64_t)(u & 1);
}

#ifdef __cplusplus
}
#endif
#endif
