/* infer/tasks/math500.c - MATH-500 (Hendrycks et al. 2021, arXiv 2103.03874; the 500 problems of Lightman et al. 2023). TRUTH: {id, problem, answer},
 * as scripts/import_math.py writes it. */
#include "infer/math/judge.h"
#include "infer/math/paper.h"

const struct task task_math500 = {
    .name = "math500",
    .about = "MATH-500: any final answer, compared by its mathematics",
    .sampling = SAMPLING_PAPER(1),
    .prompt = task_math_prompt,
    .gold = task_math_gold,
    .judge = task_math_judge,
    .judge_paper = task_paper_judge,
};
