/* data/select/filter.h - is a record good enough for a mixture? Each test looks at the record alone, so that it may run on any thread. */
#ifndef DATA_SELECT_FILTER_H
#define DATA_SELECT_FILTER_H
#include "data/select/mixture.h"
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

/* Why a record is not taken, in the order in which it is asked. */
enum reason {
    TAKEN,
    BAD_RECORD,
    NO_STATEMENT,
    WRONG_COLUMN, /* where */
    NO_THOUGHT,
    NO_ANSWER,
    OTHER_LANGUAGE,
    TOO_SHORT,
    TOO_LONG,
    CONTAMINATED, /* a copy of an evaluation problem: data/select/decontam.h */
    DUPLICATE,
    NOT_DRAWN,
    REASONS
};
extern const char *const reason_names[REASONS]; /* as the manifest has them */

/* Does an answer mean what the expected one does? For sources whose answers must; called on any thread. The mathematics judge, which stands on a
 * floor above, in the program (infer/select.c). */
typedef bool filter_equal_fn(const char *expected, const char *answer);

/* All but the lengths and what needs other records: TAKEN, WRONG_COLUMN, NO_THOUGHT, NO_ANSWER or OTHER_LANGUAGE. raw: as the set has it;
 * record: as prepare takes it. */
enum reason filter_record(const struct mixture_source *s, const json_t *raw, const json_t *record, filter_equal_fn *equal);
/* What only one record may have, as a hash of 64 bits; false: the record has no such thing (an id). */
bool filter_key(enum mixture_unique unique, const json_t *raw, const json_t *record, uint64_t *key);

/* The parts that the tests are made of. */
bool filter_thought(const char *question, const char *answer);
/* The content of the last \boxed{} that is closed; NULL: there is none, or it is blank. */
const char *filter_boxed(const char *text, size_t *n);
bool filter_english(const char *question, const char *answer);

#ifdef __cplusplus
}
#endif
#endif
