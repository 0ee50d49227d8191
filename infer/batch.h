/* infer/batch.h - all samples of all prompts through the engine's slots: a finished slot is filled again before the next step. */
#ifndef INFER_BATCH_H
#define INFER_BATCH_H
#include "infer/engine.h"
#include "infer/requests.h"
#include "infer/stops.h"

struct batch_settings {
    int32_t samples; /* of each prompt */
    int64_t max_new; /* tokens of a sample; 0: none is drawn */
    int32_t eos;     /* the token that ends a sample; -1: none */
    bool logprobs;   /* of the prompts */
    const struct stops *stops;
};
struct batch_stats {
    int64_t prefill_tokens, drawn;
    double prefill_seconds, decode_seconds;
};
/* The random stream of a sample: a function of its prompt's token ids and of its number among the prompt's samples. */
uint64_t batch_stream(const struct prompt *p, int32_t sample);
/* Puts the answer of every sample that has none. False: numbers that are not finite (the prompt and sample are named), or the file cannot be written. */
bool batch_run(struct engine *g, struct prompts *p, const struct batch_settings *s, struct answers *out, struct batch_stats *stats,
               struct err *e);
#endif
