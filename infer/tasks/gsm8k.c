/* infer/tasks/gsm8k.c - GSM8K (Cobbe et al. 2021, arXiv 2110.14168): TRUTH is openai's file as it is, {question, answer} with the gold after ####. */
#include "infer/math/judge.h"

static void judge(struct verdict *v, const json_t *truth, const char *key, const char *text, bool cut)
{
    static const enum answer_rule rules[] = {ANSWER_HASHES, ANSWER_BOX, ANSWER_IS, ANSWER_LAST, ANSWER_END};
    (void)truth;
    task_number_judge(v, key, text, cut, rules);
}

const struct task task_gsm8k = {
    .name = "gsm8k",
    .about = "grade-school word problems: the number after ####; else the last closed box, 'answer is', the last number",
    .sampling = SAMPLING_PAPER(1),
    .prompt = task_math_prompt,
    .gold = task_number_gold,
    .judge = judge,
};
