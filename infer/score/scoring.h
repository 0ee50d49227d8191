/* infer/score/scoring.h - a truth file and an answers file under a task: verdicts, counts, metrics. The SCORE document is built here. */
#ifndef INFER_SCORE_SCORING_H
#define INFER_SCORE_SCORING_H
#include "infer/code/code.h"
#include "infer/tasks/task.h"
#ifdef __cplusplus
extern "C" {
#endif

struct scoring_options {
    struct code_options code; /* how tasks with programs run them */
};

/* The SCORE document:
 *   {"task", "truth", "answers", "answers_xxh3",
 *    "counts": {"problems", "samples", "samples_per_problem", "missing", "truncated", "no_answer", "timed_out", "correct"},
 *    "rates": {"truncated", "no_answer", "timed_out"}, shares of the samples
 *    "tokens": {"mean", "median", "p95", "longest", "all"} of the answers, if they have "output_ids"
 *    "metrics": {"accuracy", "avg@N" (the same), "pass@1", "pass@2", "pass@4", ..., "maj@N": {"value", "low", "high",
 *                   "problems_like_these": {"low", "high"} (the same), "these_problems": {"low", "high", "bound": true}},
 *                "most_frequent_answer": {"value", "answer"}},
 *    "verdicts": [{"id", "sample", "correct", "extracted", "why", "gold", "tokens", "truncated": true, "timed_out": true}]}
 * N: samples_per_problem. Intervals: infer/score/metrics.h; "bound" stands where there are too few samples to tell noise from spread.
 * Every problem counts with as many samples as the most that any problem has: one that is missing from the answers is wrong, and has a
 * verdict that says so. Verdicts are in the order of truth, then of the sample number. An id is a string or an integer (5 and "5" are the
 * same); in truth it may be left out and is then the line number, from 1. NULL: bad input, or programs that cannot be run here. The caller
 * json_decref()s. */
json_t *scoring_run(const struct task *task, const char *truth, const char *answers, const struct scoring_options *o, struct err *e);

/* The page of score --html. */
bool scoring_page(const char *path, const json_t *score, const char *answers, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
