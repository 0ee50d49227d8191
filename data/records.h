/* data/records.h - the records of a data set one after the other, whatever it is kept in: .jsonl, .jsonl.zst, .jsonl.gz or .parquet, a file or
 * a folder of them as a hub download leaves it.
 *
 * One thread takes records (records_next); what they hold is worked out by any other (records_parse), so that reading JSON and building
 * values is not the reader's work.
 */
#ifndef DATA_RECORDS_H
#define DATA_RECORDS_H
#include "data/import.h"
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

struct records;
struct record { /* raw: the bytes are for records_parse() */
    const unsigned char *at;
    size_t n;
    int64_t number; /* of the line or row, from 1 */
    int file;
};
struct records_from {
    char *const *path; /* files or folders, in this order; the files of a folder, its folders' included, in the order of their names */
    int64_t n_path;
    const char *match;          /* of a folder only the files whose path in it fits this pattern, "data/cot-*"; NULL: all */
    enum import_set set;        /* which set it is; SET_AUTO: see import.h */
    const char *const *columns; /* NULL-ended: also to be read from Parquet, where there; NULL: only what the set needs */
};
/* Of a folder, what is hidden or has another ending than those above is passed over; a missing shard ("-00002-of-00007") is an error. All files
 * must be there, and those in Parquet have columns of a set: which is missing, or what it is and should be. from is not kept. */
bool records_open(struct records **r, const struct records_from *from, struct err *e);
void records_close(struct records *r);
int records_files(const struct records *r);
const char *records_file(const struct records *r, int file);
/* Bytes of all files on disk, and of what is read so far. */
double records_size(const struct records *r);
double records_tell(const struct records *r);

/* 1: a record, whose bytes stay until the next call; 0: the end; -1: the file cannot be read on. Blank lines are no records. */
int records_next(struct records *r, struct record *out, struct err *e);

/* Several records in memory of their own: what one thread hands to another (data/ordered.h). Zero it before the first use. */
struct records_batch {
    struct record *record; /* [n] */
    int64_t n, first;      /* first: how many records of the stream stand before it */
    double tell;           /* records_tell() after it */
    struct err err;        /* a message: the stream could not be read on after these */
    unsigned char *bytes;
    size_t n_bytes, room;
    int64_t record_room;
};
/* The next ones, some hundred kilobytes or one record that is larger. False: there are none, nor an error to tell. */
bool records_batch_next(struct records *r, struct records_batch *b);
void records_batch_free(struct records_batch *b);

/* From any thread: the record as JSON (at may be a copy of the bytes). NULL: the line is no JSON, or a text of the row not UTF-8; e says where.
 * *set (may be NULL) is the set it is to be imported as. */
json_t *records_parse(const struct records *r, const struct record *record, enum import_set *set, struct err *e);
/* Its bytes are a line of JSON text; else a row in another form (data/packed.h). */
bool records_are_lines(const struct records *r, const struct record *record);
/* "a.jsonl:12", "a.parquet: row 12"; the caller frees. */
char *records_where(const struct records *r, const struct record *record);

#ifdef __cplusplus
}
#endif
#endif
