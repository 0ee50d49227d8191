/* data/select/select.h - draws the records of one source of a mixture: what passes the filters, each once, and of those a sample by seed.
 *
 * Two passes over the source's files. The first looks at every record (read, imported, filtered, tokenised, for its length) and keeps four
 * bytes of each, eight more of one that passes and sixteen of one that is to be unique; the second writes those that were drawn, in their order.
 * The texts themselves are in memory a batch at a time. What is drawn depends on the seed, the source's number and its files alone.
 */
#ifndef DATA_SELECT_SELECT_H
#define DATA_SELECT_SELECT_H
#include "data/select/filter.h"
#include "data/tokenizer.h"
#ifdef __cplusplus
extern "C" {
#endif

/* Are the source's files there, with the columns that it needs? */
bool select_check(const struct mixture *m, int64_t source, struct err *e);
/* Writes FOLDER/NAME.jsonl.zst, whole or not at all: records of prepare with "id" and "source", and what the source keeps. *manifest: what came
 * in, what went out and why, lengths, digests; the caller json_decref()s. against: copies of its problems are left out and listed in
 * FOLDER/NAME.contaminated.jsonl; NULL: nothing is looked for. After a signal
 * (cli_interrupted) it ends with an error. */
bool select_source(const struct mixture *m, int64_t source, const struct tokenizer *tok, const struct decontam *against,
                   filter_equal_fn *equal, json_t **manifest, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
