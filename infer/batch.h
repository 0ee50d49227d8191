/* infer/batch.h - all samples of all prompts through the engine's slots: a finished slot is filled again before the next step.
 *
 * Prompts are read in groups: neighbours in the file, as many as fit into one pass and the engine's prompt slots. Which prompts are a group
 * follows from the file and the engine alone, not from what an earlier run has finished or how many sequences run at a time.
 */
#ifndef INFER_BATCH_H
#define INFER_BATCH_H
#include "infer/engine.h"
#include "infer/requests.h"
#include "infer/stops.h"

struct batch_settings {
    int32_t samples; /* of each prompt */
    int64_t max_new; /* tokens of a sample; 0: none is drawn */
    int64_t loop;    /* infer/loops.h; 0: loops are not looked for */
    int32_t eos;     /* the token that ends a sample; -1: none */
    bool logprobs;   /* of the prompts */
    int64_t base;    /* tokens at the beginning of every prompt that the engine's base has read: batch_base() */
    const struct stops *stops;
};
struct batch_stats {
    int64_t prefill_tokens, passes, drawn, most;         /* most: sequences in one step */
    double prefill_seconds, decode_seconds, first_token; /* first_token: seconds until then from the first prompt on; 0: none was drawn */
};
/* Bytes of host memory for each sequence in flight: its answer so far. */
int64_t batch_slot_bytes(const struct batch_settings *s);
/* Tokens, a multiple of chunk, that all prompts begin with and that pay being read once: at least 64, in at least 2 prompts; else 0. With
 * log-probabilities the token behind them is common too. */
int64_t batch_shared(const struct prompts *p, int32_t chunk, bool logprobs);
/* The random stream of a sample: a function of its prompt's text, token by token, and of its number among the prompt's samples. */
uint64_t batch_stream(const struct prompt *p, int32_t sample);
/* Reads the first s->base tokens of the prompts into the engine's base. Adds to stats. */
bool batch_base(struct engine *g, struct prompts *p, const struct batch_settings *s, struct batch_stats *stats, struct err *e);
/* Puts the answer of every sample that has none. Adds to stats. False: numbers that are not finite (the prompt and sample are named), or the
 * file cannot be written. */
bool batch_run(struct engine *g, struct prompts *p, const struct batch_settings *s, struct answers *out, struct batch_stats *stats,
               struct err *e);
#endif
