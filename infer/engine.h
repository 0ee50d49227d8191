/* infer/engine.h - sequences in flight on the device: memory planned once, prompts read into slots, one step for all sequences at a time.
 *
 *     base          <- engine_extend()    what all prompts begin with, read once: a common prefix, or a state that was saved
 *     prompt slots  <- engine_prefill()   tokens 0 .. n-2 of some prompts behind it in one pass, a long one in pieces
 *     slot i        <- engine_fork()      a copy of a prompt's slot; its next input is the prompt's last token
 *     all slots     <- engine_step()      one token in, one token out, drawn on the device
 *
 * So a prompt is read once for all its samples, a sample's first token comes out of the same step as every other, and a finished slot
 * is filled again at once. The states of base and prompts are float32 whatever the sequences' are, and a reading is cut at multiples of
 * the model's chunk only: where it was cut is not in a number. What is left is how a product sums its rows. On the CPU a step's rows do
 * not depend on each other (kernels/linear.h); with `exact` no row of any pass does (dev_exact()), and a sample is the same bits whatever is
 * read or runs beside it, in whatever slot, and however its prompt was cut.
 *
 * Memory is one block, taken by engine_open(): weights, states of all slots, one pass's activations, sampling. A step is one recorded
 * graph for each class of batch sizes; rows of the class that no sequence needs run on slots that are free.
 */
#ifndef INFER_ENGINE_H
#define INFER_ENGINE_H
#include "core/err.h"
#include "kernels/sample.h"
#include "model/config.h"

struct engine;

enum { ENGINE_PROMPTS = 8 }; /* prompts read together at most */

struct engine_settings {
    enum dtype type;       /* of the weights; activations: dev_activations() */
    enum dtype state_type; /* of the SSD states */
    int32_t slots;         /* sequences in flight that are wished for, at least 1 */
    int32_t prompts;       /* prompts read together that are wished for; 0: 1 */
    int64_t max_prompt;    /* tokens of the longest prompt */
    bool base;             /* the base will be used: engine_extend(), engine_base_*() */
    bool logprobs;         /* they will be asked for */
    bool exact;            /* dev_exact(), for the whole process */
    int64_t memory;        /* bytes that this process may take of the device's memory; 0: nine tenths of what is free */
    int64_t beside;        /* bytes of host memory that the caller needs for each slot: planned where host and device share their memory */
    int64_t once;          /* and beside all slots */
    struct sampling sampling;
};
struct engine_memory {                        /* bytes */
    int64_t weights, states, work, libraries; /* work: the host's too, where it shares the device's memory */
    int64_t all;
};
struct engine_prompt {
    const int32_t *ids; /* behind the base */
    int64_t n;          /* 1 .. max_prompt */
    float *logprobs;    /* [n-1] receives the natural-log probability of token i+1 given all in front of it. NULL: not wanted */
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
/* Prompts that engine_prefill() takes: of those wished for as many as ENGINE_PROMPTS and a share of the weights' memory allow. */
int32_t engine_prompts(const struct engine *g);
/* Tokens of a pass. It and engine_prompts() follow from model, types and settings, not from the memory there is (if that is enough). */
int64_t engine_pass_tokens(const struct engine *g);
struct engine_memory engine_memory(const struct engine *g);

/* Reads n more tokens into the base, a multiple of the model's chunk. logprobs [n] as above, of tokens ids[1] .. ids[n] (one more than are
 * read); NULL: not wanted. False: one of them is not finite. */
bool engine_extend(struct engine *g, const int32_t *ids, int64_t n, float *logprobs);
/* The base as bytes, to be saved: its state, and one bit for each token of the vocabulary that it has seen. */
size_t engine_base_bytes(const struct engine *g);
size_t engine_seen_words(const struct engine *g);
void engine_base_get(const struct engine *g, void *state, uint32_t *seen);
void engine_base_put(struct engine *g, const void *state, const uint32_t *seen);

/* Reads k prompts, up to engine_prompts(), whose tokens but the last of each fit into one pass; or one of any length. For the engine_fork()s
 * that follow; the prompts read before are forgotten. The first with a log-probability that is not finite, -1: none. */
int32_t engine_prefill(struct engine *g, const struct engine_prompt *p, int32_t k);
/* The mean over n tokens (1 .. max_prompt) of the last hidden states, as the head reads them: mean [hidden]. False: not finite. Does not
 * begin behind the base. The prompts that were read last are forgotten. */
bool engine_embed(struct engine *g, const int32_t *ids, int64_t n, float *mean);
/* A new sequence after prompt k of those read last; its slot, -1: none is free. */
int32_t engine_fork(struct engine *g, int32_t k, uint64_t stream);
const struct engine_seq *engine_seq(const struct engine *g, int32_t slot);
/* Draws the next token of every live sequence. The slot of one whose logits are not finite (its token means nothing), -1: all are. */
int32_t engine_step(struct engine *g);
void engine_release(struct engine *g, int32_t slot);
#endif
