/* infer/tasks/task.h - what score knows of a benchmark. Adding a task: one file infer/tasks/NAME.c, one line in infer/tasks/tasks.c. */
#ifndef INFER_TASKS_TASK_H
#define INFER_TASKS_TASK_H
#include "core/json.h"
#include "infer/tasks/answer.h"
#include <stdbool.h>
#include <stdlib.h>
#ifdef __cplusplus
extern "C" {
#endif

struct verdict {
    bool correct, timed_out; /* timed_out: a program that used up its time */
    char *extracted;         /* the answer as the model wrote it; NULL: none was found */
    char *key;               /* equal answers have equal keys (the vote of maj@k); NULL: none, or the task has no votes */
    char *why;               /* one line for a person */
};
static inline void verdict_free(struct verdict *v)
{
    free(v->extracted);
    free(v->key);
    free(v->why);
    *v = (struct verdict){0};
}

/* How a task is sampled unless told otherwise: options of generate. samples 0: the task has no custom. */
struct sampling {
    int samples, max_new_tokens;
    double temperature, top_p, repetition_penalty;
};
/* Beside the paper's scores (released inference script): 0.8, 0.95, 1.1, 65,536 tokens. */
#define SAMPLING_PAPER(n)                                                                                                                  \
    {                                                                                                                                      \
        .samples = (n), .max_new_tokens = 65536, .temperature = 0.8, .top_p = 0.95, .repetition_penalty = 1.1                              \
    }

struct code_tests; /* infer/code/code.h */
struct html;       /* core/html.h */
struct task {
    const char *name, *about;
    struct sampling sampling;
    /* The prompt of a record of TRUTH, its template and all (the caller frees). What the record lacks is an error: NULL. A task without
     * this function has no template: its prompts come from elsewhere. */
    char *(*prompt)(const json_t *truth, struct err *e);
    /* Reads a record of TRUTH: *key is the right answer's key (the caller frees; NULL for a task without one). What it lacks is an error. */
    bool (*gold)(const json_t *truth, char **key, struct err *e);
    /* Judges one sample. cut: it ended at the token limit. Fills v, which is zeroed; the caller verdict_free()s. */
    void (*judge)(struct verdict *v, const json_t *truth, const char *key, const char *text, bool cut);
    /* The same by the rules of the paper's released scoring script, holes and all (score --judge paper). NULL: the task has none. */
    void (*judge_paper)(struct verdict *v, const json_t *truth, const char *key, const char *text, bool cut);
    /* For a task whose answers are programs: judge() only finds them (extracted), and the tests that this reads decide (infer/code/code.h). */
    bool (*tests)(struct code_tests *t, const json_t *truth, struct err *e);
    const char *const *kept; /* keys of the truth's records that go into their verdicts, ended by NULL; NULL: none */
    /* What the task has to show about a SCORE document, beside metrics and samples. NULL: nothing. */
    void (*page)(struct html *h, const json_t *score);
};
extern const struct task task_arithmetic, task_gsm8k, task_aime24, task_aime25, task_math500, task_olympiadbench, task_amc23;
extern const struct task task_humaneval, task_humanevalplus, task_mbppplus, task_livecodebench, task_recall;

extern const struct task *const tasks[]; /* ended by NULL */
/* NULL, and e lists those that there are. */
const struct task *task_find(const char *name, struct err *e);

/* For tasks whose truth comes with its prompts: the record's "prompt". */
char *task_own_prompt(const json_t *truth, struct err *e);
/* For tasks whose answer is a number: the truth's "answer" (a string or an integer; with "####", what follows it), and the verdict on the
 * number that the rules of infer/tasks/answer.h find. */
bool task_number_gold(const json_t *truth, char **key, struct err *e);
void task_number_judge(struct verdict *v, const char *key, const char *text, bool cut, const enum answer_rule *rules);

#ifdef __cplusplus
}
#endif
#endif
