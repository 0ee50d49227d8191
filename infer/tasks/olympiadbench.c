/* infer/tasks/olympiadbench.c - OlympiadBench, open-ended mathematics in English (He et al. 2024, arXiv 2402.14008). TRUTH: {id, problem, answer,
 * and for a rounded answer tolerance}, as scripts/import_math.py writes it. The paper's released script does not name this set; its
 * rules are those that it has for the others. */
#include "infer/math/judge.h"
#include "infer/math/paper.h"

const struct task task_olympiadbench = {
    .name = "olympiadbench",
    .about = "OlympiadBench (OE_TO_maths_en_COMP): expressions, tuples, intervals, lists",
    .sampling = SAMPLING_PAPER(1),
    .prompt = task_math_prompt,
    .gold = task_math_gold,
    .judge = task_math_judge,
    .judge_paper = task_paper_judge,
};
