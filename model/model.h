/* model/model.h - the language model as a whole: memory, forward, loss, backward. The same forward trains, reads prompts and decodes.
 *
 *     ids [T] -> embed -> x_0 [T, D] -> block 0 .. L-1 (model/block.h) -> x_L -> norm_f -> h [T, D] -> head (pieces of logits) -> loss
 */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H
#include "core/arena.h"
#include "kernels/optim.h"
#include "model/block.h"
#include "model/config.h"
#include "model/params.h"
#include "model/pass.h"
#include "model/state.h"

/* What decides the layout of a pass's memory. */
struct model_shape {
    struct model_config config;
    enum dtype type;     /* of matrix products */
    enum dtype residual; /* of the residual stream: F32, or BF16 to save memory */
    int64_t max_tokens;  /* of a pass */
    int32_t max_docs; /* of a pass; decode steps apart, which may have max_tokens of them: scratch grows with documents, steps need none */
    int32_t kept_layers; /* training: the last kept_layers keep all activations; the others keep their input and run again */
    bool train;
    int32_t logit_rows; /* rows of logits at a time */
};
/* Tokens of an SSD chunk in these passes. */
static inline int32_t model_chunk(const struct model_shape *s)
{
    return s->train ? ssd_train_chunk(s->config.chunk) : s->config.chunk;
}
/* What whoever spreads the weights over ranks is told of a pass, by bucket; each may be NULL. */
struct model_hooks {
    void (*use)(void *arg, int32_t bucket);   /* the forward is about to read its weights for the first time */
    void (*begin)(void *arg, int32_t bucket); /* its gradients are about to be added to for the first time */
    void (*ready)(void *arg, int32_t bucket); /* its gradients are final for this pass */
    void *arg;
};
/* Everything one pass keeps on the device. */
struct acts {
    struct model_shape shape;
    const struct model_hooks *hooks; /* NULL: nobody is told; set after acts_layout() */
    struct block_acts *layer;        /* [layers] (host); in training layers that run again share one set but for x */
    mat x_out;                       /* [T, D] residual stream after the last block */
    mat h;                           /* [T, D] after norm_f */
    float *rstd_f;                   /* [T] */
    mat logits;                      /* [R, V] f32 */
    struct block_scratch scratch;
    /* training */
    mat dlogits;        /* [R, V] in type; logits' memory when type is F32 */
    mat dh;             /* [T, D] in type */
    mat dx;             /* [T, D] residual's gradient, in residual's type */
    float *loss;        /* [T] weighted loss of each token */
    int64_t kept_bytes; /* of what waits from the forward for the backward */
};
/* Lays out the pass's memory; run once to measure and once to place. layer is the caller's array of config.layers entries (host). */
void acts_layout(struct acts *a, struct arena *mem, const struct model_shape *shape, struct block_acts *layer);
/* Rows of logits at a time. Every piece reads and writes the head's gradient once: on a GPU (bf16) that asks for thousands of rows; in f32
 * the piece stays near 64 MiB. */
int32_t model_logit_rows(const struct model_config *c, enum dtype type, int64_t max_tokens);

/* p: device pointers (pass_on). Leaves the normed last hidden states in a->h. */
void model_forward(struct acts *a, struct tensors w, const struct pass *p, struct model_state state);
/* a->logits [h.rows, V] f32 of rows h of the type of a->h, at most logit_rows of them. step: one row a sequence (kernels/linear.h). */
void model_logits(struct acts *a, struct tensors w, mat h, bool step);
/* -log p(target) of every row, weighted (weight NULL: 1), into a->loss; with grad also their gradients: a->dh, and the head's into g. */
void model_loss(struct acts *a, struct tensors w, const struct pass *p, bool with_grad, struct tensors g);
/* After model_loss(with_grad). Adds to the gradients g. */
void model_backward(struct acts *a, struct tensors w, struct tensors g, const struct pass *p);
#endif
