/* infer/engine.h - sequences in flight on the device: memory planned once, prompts read into a slot, one step for all slots at a time.
 *
 *     prompt slot <- engine_prefill()   tokens 0 .. n-2 of a prompt, alone in their passes, long prompts in pieces
 *     slot i      <- engine_fork()      a copy of the prompt slot; its next input is the prompt's last token
 *     all slots   <- engine_step()      one token in, one token out, drawn on the device
 *
 * So a prompt is read once for all its samples, a sample's first token comes out of the same step as every other, and a finished slot
 * is filled again at once. A prompt's numbers do not depend on other prompts; on the CPU those of a step's row do not depend on the
 * other rows either (kernels/linear.h), so that there a sample is the same bits whatever runs beside it.
 *
 * Memory is one block, taken by engine_open(): weights, states of all slots and of the prompt, one pass's activations, sampling. A
 * step is one recorded graph for each class of batch sizes; rows of the class that no sequence needs run on slots that are free.
 */
#ifndef INFER_ENGINE_H
#define INFER_ENGINE_H
#include "core/err.h"
#include "kernels/sample.h"
#include "model/config.h"

struct engine;

struct engine_settings {
    enum dtype type;       /* of the weights; activations: dev_activations() */
    enum dtype state_type; /* of the SSD states */
    int32_t slots;         /* sequences in flight that are wished for, at least 1 */
    int64_t max_prompt;    /* tokens of the longest prompt */
    bool logprobs;         /* engine_prefill() will be asked for them */
    int64_t memory;        /* bytes that this process may take of the device's memory; 0: nine tenths of what is free */
    struct sampling sampling;
};
struct engine_memory { /* bytes */
    int64_t weights, states, work, libraries;
    int64_t all;
};
/* A sequence: live from engine_fork() to engine_release(). */
struct engine_seq {
    bool live;
    uint64_t stream; /* of its random numbers */
    int32_t token;   /* the last one: the prompt's, then what each step drew */
    int64_t drawn;   /* tokens so far */
};

/* Plans the memory, takes it and loads the weights (a folder or file: model/weights.h). As many slots as fit of those wished for. Too
 * little memory for one: false, with the least that is needed. The device must be open. */
bool engine_open(struct engine **g, const struct model_config *c, const char *weights, const struct engine_settings *s, struct err *e);
void engine_close(struct engine *g);
int32_t engine_slots(const struct engine *g);
struct engine_memory engine_memory(const struct engine *g);

/* Reads a prompt of n tokens (1 .. max_prompt) for the engine_fork()s that follow. logprobs [n-1] (NULL: not wanted): natural-log
 * probability of token i+1 given tokens 0 .. i. False: one of them is not finite. */
bool engine_prefill(struct engine *g, const int32_t *ids, int64_t n, float *logprobs);
/* The mean over n tokens (1 .. max_prompt) of the last hidden states, as the head reads them: mean [hidden]. False: not finite. The prompt that was
 * read last is forgotten. */
bool engine_embed(struct engine *g, const int32_t *ids, int64_t n, float *mean);
/* A new sequence after the prompt read last; its slot, -1: none is free. */
int32_t engine_fork(struct engine *g, uint64_t stream);
const struct engine_seq *engine_seq(const struct engine *g, int32_t slot);
/* Draws the next token of every live sequence. The slot of one whose logits are not finite (its token means nothing), -1: all are. */
int32_t engine_step(struct engine *g);
void engine_release(struct engine *g, int32_t slot);
#endif
