/* infer/task.h - what score knows of a benchmark. Adding a task: one file infer/task_NAME.c, one line in infer/tasks.c. */
#ifndef INFER_TASK_H
#define INFER_TASK_H
#include "core/json.h"
#include "infer/answer.h"
#include <stdbool.h>
#include <stdlib.h>
#ifdef __cplusplus
extern "C" {
#endif

struct verdict {
    bool correct;
    char *extracted; /* the answer as the model wrote it; NULL: none was found */
    char *key;       /* equal answers have equal keys (the vote of maj@k); NULL: none, or the task has no votes */
    char *why;       /* one line for a person */
};
static inline void verdict_free(struct verdict *v)
{
    free(v->extracted);
    free(v->key);
    free(v->why);
    *v = (struct verdict){0};
}

struct task {
    const char *name, *about;
    /* Reads a record of TRUTH: *key is the right answer's key (the caller frees; NULL for a task without one). What it lacks is an error. */
    bool (*gold)(const json_t *truth, char **key, struct err *e);
    /* Judges one sample. cut: it ended at the token limit. Fills v, which is zeroed; the caller verdict_free()s. */
    void (*judge)(struct verdict *v, const json_t *truth, const char *key, const char *text, bool cut);
};
extern const struct task task_arithmetic, task_gsm8k;

extern const struct task *const tasks[]; /* ended by NULL */
/* NULL, and e lists those that there are. */
const struct task *task_find(const char *name, struct err *e);

/* For tasks whose answer is a number: the truth's "answer" (a string or an integer; with "####", what follows it), and the verdict on the
 * number that the rules of infer/answer.h find. */
bool task_number_gold(const json_t *truth, char **key, struct err *e);
void task_number_judge(struct verdict *v, const char *key, const char *text, bool cut, const enum answer_rule *rules);

#ifdef __cplusplus
}
#endif
#endif
