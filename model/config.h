/* model/config.h - the shape of a Mamba-2 language model, as Hugging Face's config.json of model type mamba2 states it. */
#ifndef MODEL_CONFIG_H
#define MODEL_CONFIG_H
#include "core/err.h"
#include "kernels/mat.h"
#include <jansson.h>
#include <stdint.h>

struct model_config {
    int64_t vocab;         /* vocab_size */
    int64_t hidden;        /* hidden_size, D */
    int32_t layers;        /* num_hidden_layers */
    int32_t heads;         /* num_heads, H */
    int32_t headdim;       /* head_dim, P; H*P = expand*D = d_inner */
    int32_t groups;        /* n_groups, G; H a multiple of G */
    int32_t state;         /* state_size, N */
    int32_t conv;          /* conv_kernel, K: 2, 3 or 4 */
    int32_t chunk;         /* chunk_size, Q: tokens of an SSD chunk */
    double eps;            /* layer_norm_epsilon */
    bool tied;             /* tie_word_embeddings: the head is the embedding table */
    int32_t bos, eos, pad; /* token ids, -1: none */
    enum dtype type;       /* torch_dtype: what the model is meant to compute in, F32 or (also for float16) BF16 */
};

static inline int64_t config_inner(const struct model_config *c)
{
    return (int64_t)c->heads * c->headdim;
}
/* Channels of the convolution: x | B | C. */
static inline int64_t config_conv_dim(const struct model_config *c)
{
    return config_inner(c) + 2 * (int64_t)c->groups * c->state;
}
/* Width of in_proj's output: z | x | B | C | dt. */
static inline int64_t config_proj_dim(const struct model_config *c)
{
    return config_inner(c) + config_conv_dim(c) + c->heads;
}
/* State elements of one sequence and layer. */
static inline int64_t config_ssd_state(const struct model_config *c)
{
    return (int64_t)c->heads * c->headdim * c->state;
}

/* Reads config.json (a file, or a folder that holds one). Values that published files get wrong are corrected; *note (caller's, n bytes)
 * says which, or is empty. A shape or setting that this model does not have is refused by name. */
bool config_load(struct model_config *c, const char *path, char *note, size_t n, struct err *e);
/* config.json for transformers and for config_load(). The caller json_decref()s. */
json_t *config_json(const struct model_config *c);
#endif
