/* model/params.h - the one list of the model's weights.
 *
 * Everything that walks the weights (init, load, save, export, AdamW, gradient norm, ranks' shares, tests) walks this table; nothing
 * else knows a tensor's name, shape or place. To add a weight: a kind here, a line in params.c, its use in block.c.
 *
 * Values of all parameters lie in one block (struct tensors). Matrices are in the block's type; vectors and the convolution are always
 * f32. Buckets (embeddings, every layer, the head) are contiguous, and each is two segments: its vectors, then its matrices. Within a
 * segment a value has the same number in a block of either type. Every tensor begins at a multiple of PARAM_ALIGN values; gaps are zero.
 *
 * For several ranks a segment is padded so that it cuts into as many equal shares. A block may then hold a part of every segment only:
 * struct tensors_part says which and where.
 */
#ifndef MODEL_PARAMS_H
#define MODEL_PARAMS_H
#include "kernels/mat.h"
#include "model/config.h"
#include <stdint.h>

enum { PARAM_ALIGN = 128 }; /* values: 256 bytes of bf16 */

enum param_kind {
    P_EMBED,
    P_NORM, /* from here to P_OUT_PROJ: one in every layer */
    P_IN_PROJ,
    P_CONV_W,
    P_CONV_B,
    P_DT_BIAS,
    P_A_LOG,
    P_D,
    P_GATE_NORM,
    P_OUT_PROJ,
    P_NORM_F,
    P_HEAD, /* absent when tied */
    P_KINDS,
};
struct param {
    char name[72]; /* as in the Hugging Face file: backbone.layers.3.mixer.in_proj.weight */
    enum param_kind kind;
    int32_t layer;  /* -1: not in a layer */
    int32_t bucket; /* 0: before the layers, 1..L: layers, L+1: after */
    bool matrix;    /* stored in the block's type; else f32 */
    bool decay;     /* weight decay applies: two or more dimensions in the file */
    int ndim;       /* of the tensor in the file; conv1d.weight is [C, 1, K] there */
    int64_t shape[3];
    int64_t rows, cols;
    int64_t n;       /* rows * cols */
    int32_t segment; /* 2 * bucket + matrix */
    int64_t first;   /* its first value's number in the segment */
    int64_t at[2];   /* first byte in a block of type F32, BF16 */
};
struct param_segment {
    int64_t n;     /* values, with gaps and padding */
    int64_t at[2]; /* first byte in a block of type F32, BF16 */
};
struct param_table {
    int32_t n, n_bucket;
    int32_t ranks;                 /* every segment cuts into so many equal shares */
    int64_t weights;               /* numbers, without gaps */
    int64_t bytes[2];              /* of a block of type F32, BF16 */
    struct param *param;           /* [n], in the order of their places */
    struct param_segment *segment; /* [2 * n_bucket]; some are empty */
    int64_t *bucket_at[2];         /* [n_bucket + 1] first byte of each bucket */
    int32_t *index;                /* [layers + 1][P_KINDS] place in param, -1: absent; row 0: not in a layer */
};
void params_plan(struct param_table *t, const struct model_config *c);
void params_plan_ranks(struct param_table *t, const struct model_config *c, int32_t ranks);
void params_free(struct param_table *t);
/* The parameter of a layer (-1: none); must exist. */
const struct param *params_get(const struct param_table *t, enum param_kind kind, int32_t layer);
/* By a name as Hugging Face, mamba_ssm or Mistral's file spells it; NULL: no such weight. */
const struct param *params_find(const struct param_table *t, const char *name);

/* Of every segment (the arrays' index) the values that a block holds, and where. */
struct tensors_part {
    int64_t bytes;              /* of the block */
    const int64_t *first, *end; /* values first .. end-1 of the segment are there */
    const int64_t *shift;       /* bytes to add to a value's place in a whole block */
};
/* One value for each parameter: the weights, or their gradients, or a moment. */
struct tensors {
    const struct param_table *table;
    enum dtype dtype;
    char *base;                      /* device memory */
    const struct tensors_part *part; /* NULL: all is there */
};
static inline enum dtype tensors_dtype(struct tensors t, const struct param *p)
{
    return p->matrix ? t.dtype : F32;
}
/* Bytes of the block. */
static inline int64_t tensors_bytes(struct tensors t)
{
    return t.part ? t.part->bytes : t.table->bytes[t.dtype];
}
/* The i-th value of p, which must be there. */
static inline void *tensors_value(struct tensors t, const struct param *p, int64_t i)
{
    return t.base + (p->at[t.dtype] + i * dtype_size(tensors_dtype(t, p)) + (t.part ? t.part->shift[p->segment] : 0));
}
/* Of p's values *i .. *i + n - 1 those that are there: moves *i and returns their number. */
static inline int64_t tensors_clip(struct tensors t, const struct param *p, int64_t *i, int64_t n)
{
    if (!t.part)
        return n;
    int64_t first = t.part->first[p->segment] - p->first, end = t.part->end[p->segment] - p->first;
    end = end < *i + n ? end : *i + n;
    *i = first > *i ? first : *i;
    return end > *i ? end - *i : 0;
}
/* All of p, which must be there. */
static inline void *tensors_at(struct tensors t, const struct param *p)
{
    return tensors_value(t, p, 0);
}
/* A matrix parameter as a view; a vector (or the convolution's [C, K]) as a pointer. */
mat tensors_mat(struct tensors t, enum param_kind kind, int32_t layer);
float *tensors_vec(struct tensors t, enum param_kind kind, int32_t layer);
/* The table of embeddings that the head multiplies by: P_HEAD, or P_EMBED when tied. */
mat tensors_head(struct tensors t);
#endif
