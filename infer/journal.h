/* infer/journal.h - lines of an output file that are finished in any order, kept beside it until all are there.
 *
 * OUTPUT.journal holds what is finished, each line with its number and its digest; a run that is killed at any moment and started again
 * with the same settings goes on from there. The output is written in order when the last line is there, and is the same bytes however
 * often the run was killed. A line that a crash tore is dropped. One process at a time: the file is locked.
 */
#ifndef INFER_JOURNAL_H
#define INFER_JOURNAL_H
#include "core/err.h"
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

struct journal;
/* For an output of n lines. settings: a word that is the same for runs whose lines are the same. A journal of other settings with finished
 * lines is refused, and a folder as output. Where that is a pipe or device (file_replaceable), the lines are kept in a file without a name
 * and lost with the process. */
bool journal_open(struct journal **j, const char *output, int64_t n, const char *settings, struct err *e);
int64_t journal_count(const struct journal *j);
bool journal_has(const struct journal *j, int64_t i);
/* Line i, which was not there; text without its newline. */
bool journal_add(struct journal *j, int64_t i, const char *text, size_t bytes, struct err *e);
/* All n are there: writes the output and removes the journal. Frees j; on failure the journal stays. */
bool journal_commit(struct journal *j, struct err *e);
/* Frees j; the file stays if a line is in it. */
void journal_close(struct journal *j);

#ifdef __cplusplus
}
#endif
#endif
