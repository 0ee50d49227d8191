/* infer/tasks/aime.c - AIME 2024 and 2025 (MAA): whole numbers from 0 to 999; the paper's 16 samples a problem. TRUTH: {id, problem, answer}, as
 * scripts/import_math.py writes it. */
#include "infer/math/judge.h"
#include "infer/math/paper.h"

const struct task task_aime24 = {
    .name = "aime24",
    .about = "AIME 2024: whole numbers from 0 to 999, in the last box",
    .sampling = SAMPLING_PAPER(16),
    .prompt = task_math_prompt,
    .gold = task_aime_gold,
    .judge = task_math_judge,
    .judge_paper = task_paper_judge,
};

const struct task task_aime25 = {
    .name = "aime25",
    .about = "AIME 2025: the same",
    .sampling = SAMPLING_PAPER(16),
    .prompt = task_math_prompt,
    .gold = task_aime_gold,
    .judge = task_math_judge,
    .judge_paper = task_paper_judge,
};
