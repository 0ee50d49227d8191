/* infer/math/paper.h - the verdicts of the paper's own scoring script, so that its numbers can be compared: an answer is right if
 * Qwen2.5-Math's math_equal says so of what stands after the last "boxed", or Minerva's normalisation followed by a symbolic comparison of
 * the last closed box. Their holes are kept: a hundredfold is equal, and so are x >= 5 and x <= 5 and what is within 1e-4.
 *
 * The strings are treated step by step as there. Where the script calls a computer algebra system, ours compares (compare.h): that may
 * differ on what one of them cannot read.
 */
#ifndef INFER_MATH_PAPER_H
#define INFER_MATH_PAPER_H
#include "infer/tasks/task.h"
#ifdef __cplusplus
extern "C" {
#endif

void task_paper_judge(struct verdict *v, const json_t *truth, const char *key, const char *text, bool cut);

#ifdef __cplusplus
}
#endif
#endif
