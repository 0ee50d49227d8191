/* data/select/statements.h - the statements that OpenCodeReasoning's split_1 leaves out, since it may not pass them on: they are in the sets that its
 * records name, at (dataset, split, index). All are held in memory, some 50 MB for APPS and TACO. */
#ifndef DATA_SELECT_STATEMENTS_H
#define DATA_SELECT_STATEMENTS_H
#include "core/json.h"
#include "data/select/mixture.h"
#ifdef __cplusplus
extern "C" {
#endif

struct statements;
/* Of a source's settings; NULL when they name none, which the other two take. */
bool statements_open(struct statements **st, const struct mixture *m, const struct mixture_source *s, struct err *e);
void statements_close(struct statements *st);
/* Puts the statement into "input" of a record that lacks it, if it is known. From any thread. */
void statements_fill(const struct statements *st, json_t *record);

#ifdef __cplusplus
}
#endif
#endif
