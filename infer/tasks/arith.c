/* infer/tasks/arith.c - arithmetic problems such as synth writes: the answer after </think> is an integer, a decimal or a fraction, compared exactly. */
#include "infer/tasks/task.h"

static void judge(struct verdict *v, const json_t *truth, const char *key, const char *text, bool cut)
{
    static const enum answer_rule rules[] = {ANSWER_WHOLE, ANSWER_BOX, ANSWER_IS, ANSWER_LAST, ANSWER_END};
    (void)truth;
    task_number_judge(v, key, text, cut, rules);
}

const struct task task_arithmetic = {
    .name = "arithmetic",
    .about = "exact numbers: the text after </think> as a whole; else the last closed box, 'answer is', the last number",
    .sampling = {.samples = 1, .max_new_tokens = 256},
    .prompt = task_own_prompt,
    .gold = task_number_gold,
    .judge = judge,
};
