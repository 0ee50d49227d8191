/* data/synth/problem.h - a problem made by composing concepts: what it asks, why, how it is solved, and what decides about an answer.
 *
 * As in data/synth/synth.h, but over a library: math.h and code.h each hold a table of concepts, one entry each, and the compositions.
 * Levels 1 to 5 are graded by the number of concepts and the size of the numbers.
 */
#ifndef DATA_SYNTH_PROBLEM_H
#define DATA_SYNTH_PROBLEM_H
#include "data/synth/text.h"
#include <jansson.h>
#ifdef __cplusplus
extern "C" {
#endif

enum { SYNTH_LEVELS = 5, SYNTH_MOST = 4 /* concepts of a problem */ };

struct synth_problem {
    char key[400];                    /* what is asked, without its wording: problems are the same when this is */
    char statement[1600];             /* for the model */
    char rationale[1000];             /* the plan that the problem was written from */
    char thought[6000];               /* worked lines: between <think> and </think> */
    char answer[3000];                /* what follows */
    const char *concepts[SYNTH_MOST]; /* static strings, in the order of use */
    int n_concepts;
    json_t *truth; /* what decides about an answer: {"answer"}, or the tests as LiveCodeBench's records have them */
};
static inline void synth_problem_free(struct synth_problem *p)
{
    json_decref(p->truth);
    p->truth = NULL;
}

#ifdef __cplusplus
}
#endif
#endif
