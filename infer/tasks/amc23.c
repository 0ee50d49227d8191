/* infer/tasks/amc23.c - AMC 12 of 2023 with numbers for answers (as in Qwen2.5-Math's evaluation). TRUTH: {id, problem, answer}, as
 * scripts/import_math.py writes it. Few problems: 16 samples each. */
#include "infer/math/judge.h"
#include "infer/math/paper.h"

const struct task task_amc23 = {
    .name = "amc23",
    .about = "AMC 12 of 2023: numbers, in the last box",
    .sampling = SAMPLING_PAPER(16),
    .prompt = task_math_prompt,
    .gold = task_math_gold,
    .judge = task_math_judge,
    .judge_paper = task_paper_judge,
};
