/* kernels/kv.h - keys and values of a Transformer's attention in pages, and what puts them there. Only the Transformer that this project is
 * compared with (infer/baseline/) needs it.
 *
 * A page holds some consecutive tokens of one sequence; which pages are a sequence's, in order, is its row of a table. So sequences of any
 * length share one block of memory (Kwon et al. 2023, arXiv 2309.06180).
 */
#ifndef KERNELS_KV_H
#define KERNELS_KV_H
#include "kernels/mat.h"
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

/* One layer's keys and values, each [pages][heads][page][dim]. */
struct kv_cache {
    void *k, *v;
    enum dtype type;
    int32_t pages, heads, page, dim;
};
/* Whose tokens a pass's rows are; the arrays are on the device. */
struct kv_rows {
    int32_t n;               /* rows */
    const int32_t *seq;      /* [n] the row's sequence: a row of table */
    const int32_t *position; /* [n] number of the row's token in its sequence, from 0 */
    const int32_t *table;    /* [sequences][width] pages; entries beyond a sequence's end are any page's number */
    int32_t width;
};

/* What a projection qkv [n, (q_heads + 2 heads) dim] (queries | keys | values of all heads) and its bias mean: queries and keys are turned by
 * their positions (RoPE, Su et al. 2021, arXiv 2104.09864, halves as Hugging Face pairs them: channel i with i + dim/2), q [n, q_heads dim]
 * receives the queries, the pages the rest.  bias [width of qkv] f32; turns [dim/2]: revolutions a position, kv_turns(). */
void kv_append(mat q, mat qkv, const float *bias, const double *turns, struct kv_cache kv, struct kv_rows rows);
/* turns [dim/2] on the host: theta^(-2i/dim) / 2 pi. */
void kv_turns(double *turns, int32_t dim, double theta);

#ifdef __cplusplus
}
#endif
#endif
