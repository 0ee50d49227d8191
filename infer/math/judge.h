/* infer/math/judge.h - mathematical answers in a model's text: where they stand, and whether they are right. What tasks with a mathematical
 * answer share. */
#ifndef INFER_MATH_JUDGE_H
#define INFER_MATH_JUDGE_H
#include "infer/tasks/task.h"
#ifdef __cplusplus
extern "C" {
#endif

/* The final answer: after </think>, if something stands there, the last closed box (with those that ", " or "and" join to it), what follows ####,
 * "answer is", the last line; else the first three of them inside the reasoning. NULL: none; *how (static) says why, or by which rule.
 * cut: the text ended at the token limit, so what stands last is no answer. The caller frees. */
char *math_find_answer(const char *text, bool cut, const char **how);

/* For struct task. The key is the right answer: "answer" (string or integer), or what follows #### in it, without the dollars around it.
 * "tolerance" in the record: how far a decimal may be off. */
bool task_math_gold(const json_t *truth, char **key, struct err *e);
void task_math_judge(struct verdict *v, const json_t *truth, const char *key, const char *text, bool cut);
/* "problem" or "question", in ChatML with the instruction that the paper's test files have. */
char *task_math_prompt(const json_t *truth, struct err *e);
/* Right answers from 0 to 999. */
bool task_aime_gold(const json_t *truth, char **key, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
