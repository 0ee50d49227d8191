/* data/import.h - from a record of a published data set to a record of prepare (data/chat.h).
 *
 * Which set a record is of is told by its keys (JSONL) or its columns (Parquet), or named by the caller:
 *   records             prepare's own forms, taken as they are: text | prompt, completion | messages | input_ids, labels
 *   opencodereasoning   input, output, solution       nvidia/OpenCodeReasoning: the statement under the instruction for code, the answer
 *   openthoughts2       conversations (and system)    open-thoughts/OpenThoughts2-1M: turns {from, value}
 *   openmathreasoning   problem, generated_solution   nvidia/OpenMathReasoning: the problem under the instruction for mathematics, the answer
 *   promptcot           prompt, completion            PromptCoT's fine-tuning sets: the problem is taken out of the DeepSeek or ChatML frame
 *                                                     that the prompt was written in. Only by name: to prepare, a prompt is rendered text.
 * All but the first become {"messages"}, so that one chat template serves a whole mixture. Keys that a set does not need are not looked at.
 * PromptCoT's problem sets (foundational_concepts, level, prompt, completion) are records.
 */
#ifndef DATA_IMPORT_H
#define DATA_IMPORT_H
#include "core/json.h"
#ifdef __cplusplus
extern "C" {
#endif

enum import_set {
    SET_BARE = -1 /* not to be imported, read as it is */,
    SET_AUTO,
    SET_RECORDS,
    SET_OPENCODEREASONING,
    SET_OPENTHOUGHTS2,
    SET_OPENMATHREASONING,
    SET_PROMPTCOT
};
extern const char *const import_set_names[]; /* "auto", "records", ..., NULL */

/* The columns of a file: their names and types, as "string" or "list<struct<from: string, value: string>>". */
struct import_column {
    const char *name, *type;
};
/* Which set a file is of, unless *set says it already (SET_BARE fits all and uses no column), and whether the columns that the set needs are there
 * and of the right type. used[i]: the set reads column i. False: which column is missing, or what it is and should be. */
bool import_columns(enum import_set *set, const struct import_column *column, int n, bool *used, struct err *e);

/* The record in a form of prepare's, a new reference; NULL: why not. question: what the user says, with "{problem}" where the problem goes;
 * NULL: the set's own way. It matters for sets that hold bare problems. */
json_t *import_record(enum import_set set, json_t *record, const char *question, struct err *e);
/* False for the records of OpenCodeReasoning's split_1, whose statement is "-" since it may not be passed on. */
bool import_has_statement(enum import_set set, const json_t *record);
/* What the set says the right answer is (OpenMathReasoning's expected_answer); NULL: nothing. Borrowed. */
const char *import_expected(const json_t *record);

#ifdef __cplusplus
}
#endif
#endif
