/* infer/loops.h - does an answer repeat itself over and over?
 *
 * Definition, for a length of n tokens: an answer loops when its last n tokens are one block of p tokens again and again, for some p of
 * which n holds at least LOOP_REPEATS: token i equals token i-p for the last n-p tokens, 1 <= p <= n / LOOP_REPEATS. (The block may begin
 * anywhere, and the last repetition may be cut.) Prompts do not count. For each p the run of equal tokens so far is kept, so a token costs
 * n / LOOP_REPEATS comparisons, however long the answer is.
 */
#ifndef INFER_LOOPS_H
#define INFER_LOOPS_H
#include <stdbool.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

enum { LOOP_REPEATS = 4 };

struct loop {
    int64_t length; /* 0: nothing is looked for */
    int32_t *run;   /* [length / LOOP_REPEATS] of period 1, 2, ... */
};
/* length: 0, or at least LOOP_REPEATS. */
void loop_open(struct loop *l, int64_t length);
void loop_close(struct loop *l);
/* Before an answer's first token. */
void loop_begin(struct loop *l);
/* Call after every token: the answer's n so far. Does it loop now? */
bool loop_found(struct loop *l, const int32_t *ids, int64_t n);

#ifdef __cplusplus
}
#endif
#endif
