/* infer/prompts.h - PROMPTS for generate from a TRUTH file and a task's template. */
#ifndef INFER_PROMPTS_H
#define INFER_PROMPTS_H
#include "infer/tasks/task.h"
#ifdef __cplusplus
extern "C" {
#endif

/* {"id","prompt"} a line, in TRUTH's order; a record without an id gets its line number, as scoring_run() does. */
bool prompts_write(const struct task *task, const char *truth, const char *path, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
