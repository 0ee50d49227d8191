/* kernels/sample.h - the next token of each sequence of a decode step, from its logits.
 *
 * A sample is a function of (logits, settings, its own seed stream, its own position): never of its batch mates. Order of operations as
 * vLLM and Hugging Face: repetition penalty, temperature, top-k, top-p, then one uniform number of core/rng.h by inverse transform over
 * the kept tokens in order of falling probability (ties: lower id first).
 */
#ifndef KERNELS_SAMPLE_H
#define KERNELS_SAMPLE_H
#include "kernels/mat.h"
#include <stddef.h>
#ifdef __cplusplus
extern "C" {
#endif

struct sampling {
    float temperature;        /* 0: greedy (after the penalty) */
    float top_p;              /* in (0, 1]; 1: off */
    int32_t top_k;            /* 0: off */
    float repetition_penalty; /* 1: off; logits of tokens seen: divided if positive, multiplied if negative, in f32 */
    uint64_t seed;
};
struct sample_rows {        /* on the device, one entry a row */
    const uint64_t *stream; /* [B] random stream of the sequence */
    int64_t *index;         /* [B] number of the token to draw; sample_step adds 1 */
    uint32_t *seen;         /* [slots][(V+31)/32] bit set: token occurred in the prompt or the answer; sample_step adds its token */
    const int32_t *slot;    /* [B] row of seen */
};
/* token [B] receives the choices. logits [B, V] are overwritten. */
void sample_step(int32_t *token, mat logits, struct sampling s, struct sample_rows r, void *scratch);
size_t sample_scratch(int64_t batch, int64_t vocab);

#ifdef __cplusplus
}
#endif
#endif
