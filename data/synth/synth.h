/* data/synth/synth.h - arithmetic word problems made from concepts: concepts -> rationale (how they combine) -> problem and worked solution.
 *
 * After PromptCoT (arXiv 2503.02324): choose concepts, plan how one problem uses them all, then write the problem. Here every part is
 * computed, so that a training curriculum and its held-out problems can be made anywhere, for any seed, and be checked:
 *  - a problem starts from a count and changes it step by step; each concept is one entry of a table in synth.c;
 *  - easy problems use one or two concepts, hard ones three or four different ones, out of the same table: what a model learns from easy
 *    problems is what hard ones are composed of;
 *  - the worked solution goes digit by digit, each line checkable by itself: "27+15: 7+5=12, 2+1+1=4 -> 42".
 * Training and held-out problems are told apart by a hash of what is computed (not of names or wording), so they never meet, whatever
 * the seeds.
 */
#ifndef DATA_SYNTH_SYNTH_H
#define DATA_SYNTH_SYNTH_H
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

enum synth_level { SYNTH_EASY, SYNTH_HARD };
enum synth_kind { SYNTH_TRAIN, SYNTH_EVAL };
extern const char *const synth_kind_names[]; /* "train", "eval", NULL */

extern const size_t synth_shortest[], synth_longest[]; /* bytes of prompt and completion together, by level */

enum { SYNTH_STEPS = 5 }; /* most concepts of a problem, the way it starts included */

struct synth_doc {
    char problem[64];                  /* what is computed, "27 +15 *2": equal for two wordings of the same problem */
    char prompt[320];                  /* "Q: ...\n<think>\n" */
    char completion[320];              /* "<worked lines>\n</think>\n\n<answer>" */
    char rationale[480];               /* the plan that the problem was written from */
    int answer;                        /* 0..99 */
    const char *concepts[SYNTH_STEPS]; /* static strings, in the order of use */
    int n_concepts;
};

/* Document index of the stream (level, kind, seed): a function of these four only. */
void synth_make(struct synth_doc *d, enum synth_level level, enum synth_kind kind, uint64_t seed, uint64_t index);

/* Which side a problem (synth_doc.problem) is on: one in ten is held out. */
enum synth_kind synth_side(const char *problem);

#ifdef __cplusplus
}
#endif
#endif
