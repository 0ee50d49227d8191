/* infer/promptcot/trials.h - runs programs on inputs, each run in a sandbox of its own (infer/code/sandbox.h), as many at once as there are processors.
 *
 * What came of a run is kept in a file like a reply (infer/promptcot/replies.h), so that it is had once, whatever a program makes of clocks and chance,
 * and work that was ended goes on to the same bytes.
 */
#ifndef INFER_PROMPTCOT_TRIALS_H
#define INFER_PROMPTCOT_TRIALS_H
#include "core/err.h"
#include <stdbool.h>
#ifdef __cplusplus
extern "C" {
#endif

struct trials;
/* cpu_s: CPU seconds of a run at most. */
bool trials_open(struct trials **t, const char *path, double cpu_s, struct err *e);
void trials_close(struct trials *t);
/* A run that is to be had: a Python program with this on its standard input. Both are copied. */
void trials_add(struct trials *t, const char *program, const char *input);
/* Does those that were added and are not known. False: this machine cannot (no sandbox), or the file cannot be written. */
bool trials_run(struct trials *t, struct err *e);
/* What a program printed, after trials_run(); the caller frees. NULL: it failed, or (*broken) the file cannot be read: e. */
char *trials_output(const struct trials *t, const char *program, const char *input, bool *broken, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
