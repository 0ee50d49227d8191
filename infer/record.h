/* infer/record.h - what names a record of the .jsonl files of generate, score and report: its "id", and for an answer its "sample". */
#ifndef INFER_RECORD_H
#define INFER_RECORD_H
#include "core/json.h"
#ifdef __cplusplus
extern "C" {
#endif

/* The id as text: 5 and "5" are the same. NULL: it has none, or one that is no string and no integer; e says so. The caller frees. */
char *record_id(const json_t *record, struct err *e);
/* Id and sample as one text, to look answers and verdicts up by. Without an id or a sample: as "" and 0. The caller frees. */
char *record_key(const json_t *record);

#ifdef __cplusplus
}
#endif
#endif
