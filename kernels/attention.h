/* kernels/attention.h - softmax attention of new tokens over the pages of their sequences (kernels/kv.h), for the Transformer that this
 * project is compared with (infer/baseline/). Heads are grouped: query head h reads key-value head h / (q_heads / kv_heads).
 *
 * On a GPU it is cuDNN's fused operation, bf16, pages of a power of two tokens; on the CPU f32, pages of any size.
 */
#ifndef KERNELS_ATTENTION_H
#define KERNELS_ATTENTION_H
#include "kernels/kv.h"
#include <stddef.h>
#ifdef __cplusplus
extern "C" {
#endif

enum attention_kind {
    ATTENTION_STEP,   /* a decode step: every row another sequence */
    ATTENTION_PROMPT, /* consecutive tokens of one sequence, the first at a multiple of the page size */
};
struct attention_shape {
    enum attention_kind kind;
    enum dtype type;
    int32_t rows; /* of a step always so many, of a prompt's piece at most */
    int32_t q_heads, kv_heads, dim;
    int32_t pages, page; /* as in kv_cache */
    int32_t width;       /* pages of the longest sequence: the table's */
};
struct attention;

/* Bytes of device memory that attention_open() wants. Needs no device. */
size_t attention_scratch(const struct attention_shape *s);
/* Dies when the library that does the work is too old or refuses the shape. scratch is the caller's. */
struct attention *attention_open(const struct attention_shape *s, void *scratch);
void attention_close(struct attention *a);
/* Once a pass, before its layers: whose tokens the rows are. first: position of row 0, which a prompt's host knows; of a step 0. */
void attention_rows(struct attention *a, struct kv_rows rows, int32_t first);
/* o = softmax(q k^T / sqrt(dim)) v over keys 0 .. position of each row's sequence.  o, q [n, q_heads dim] without gaps; after kv_append().
 * The first call of a step tries the ways to compute it that there are and keeps the fastest (it waits for the device). */
void attention_fwd(struct attention *a, mat o, mat q, struct kv_cache kv);
/* How a step is computed, for people, once it has been called: "cuDNN 9.19, each group's heads as rows, keys in 6 parts". */
const char *attention_describe(const struct attention *a);

#ifdef __cplusplus
}
#endif
#endif
