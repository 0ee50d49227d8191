/* infer/baseline/transformer.h - not the product: the Transformer that the engine's throughput is compared with (tests/bench_throughput.c).
 *
 * The shape of Qwen2.5-7B (or any like it) with random weights: RMSNorm, grouped-query attention with a bias on its projections, RoPE, SwiGLU.
 * It is given what makes such a model fast: keys and values in pages, cuDNN's fused attention, the matrix products of the engine, one recorded
 * graph for a step. A step is all sequences at once; a sequence's keys and values are kept in pages taken from one pool when they are needed.
 *
 *     for (mean, longest of a workload)
 *         transformer_begin()                     as many sequences as the memory holds
 *         transformer_prefill() or _fill()        each of them
 *         transformer_step() ...                  a token each
 */
#ifndef INFER_BASELINE_TRANSFORMER_H
#define INFER_BASELINE_TRANSFORMER_H
#include "core/err.h"
#include "kernels/mat.h"
#include "kernels/sample.h"

struct transformer_config {
    int64_t vocab, hidden, ffn;
    int32_t layers, heads, kv_heads, headdim;
    double eps, theta; /* of the norms; of RoPE */
};
struct transformer_config transformer_qwen25_7b(void); /* 7,615,616,512 weights */
int64_t transformer_weight_count(const struct transformer_config *c);

struct transformer_layer { /* matrices in the settings' type, vectors f32, on the device */
    float *norm_attention, *qkv_bias, *norm_ffn;
    mat qkv;     /* [(heads + 2 kv_heads) headdim, hidden] queries | keys | values */
    mat out;     /* [hidden, heads headdim] */
    mat gate_up; /* [2 ffn, hidden] */
    mat down;    /* [hidden, ffn] */
};
struct transformer_weights {
    mat embed, head; /* [vocab, hidden] */
    float *norm;
    struct transformer_layer *layer; /* [layers] on the host */
};
struct transformer_settings {
    enum dtype type;
    int32_t page;   /* tokens of a page; on a GPU a power of two */
    int32_t piece;  /* tokens of a prompt read at once: a multiple of page */
    int64_t memory; /* bytes that this process may take of the device's memory; 0: nine tenths of what is free */
    uint64_t seed;  /* of the weights */
    struct sampling sampling;
};
struct transformer_memory { /* bytes */
    int64_t weights, cache, work, libraries;
    int64_t all;
};
struct transformer;

/* Takes the weights' memory and fills it. Too little: false, with what is needed. The device must be open. */
bool transformer_open(struct transformer **t, const struct transformer_config *c, const struct transformer_settings *s, struct err *e);
void transformer_close(struct transformer *t);
/* Forgets all sequences and takes memory for as many new ones, up to wished, as fit: each at most longest tokens long, mean of them together
 * on average. How many; 0: not one fits. */
int32_t transformer_begin(struct transformer *t, int64_t mean, int64_t longest, int32_t wished);
struct transformer_memory transformer_memory(const struct transformer *t);

/* Sequence slot reads n >= 1 tokens; it had none. The last is the next step's input. */
void transformer_prefill(struct transformer *t, int32_t slot, const int32_t *ids, int64_t n);
/* Sequence slot has n tokens whose keys and values are random numbers, and some token as the next input. */
void transformer_fill(struct transformer *t, int32_t slot, int64_t n);
/* Sequence slot is forgotten and its pages are free again. */
void transformer_release(struct transformer *t, int32_t slot);
/* Draws the next token of every sequence; each must have some. False: the pages are used up, or a sequence is as long as begin() allowed. */
bool transformer_step(struct transformer *t);
/* What the last step drew for it, or the prompt's last token. */
int32_t transformer_token(const struct transformer *t, int32_t slot);
int64_t transformer_length(const struct transformer *t, int32_t slot);

/* [rows, hidden] the last hidden states of the last pass, normed as the head reads them: of a step row = slot, of a prompt its last piece. */
mat transformer_hidden(const struct transformer *t);
const struct transformer_weights *transformer_weights(const struct transformer *t);
/* How the step's attention is computed (kernels/attention.h). */
const char *transformer_attention(const struct transformer *t);
#endif
