/* train/shares.h - which part of the weights a rank owns when several train together (ZeRO-2, arXiv 1910.02054), and where the parts lie.
 *
 * Every segment of model/params.h is cut into as many equal shares as there are ranks; rank r owns share r of each. Gradients' sums, master
 * weights and moments exist as blocks of own shares only. Weights are whole on every rank. Gradients are whole for the buckets in flight:
 *
 *     buffer 0  the head (bucket L+1), then the embeddings (bucket 0); of a tied head its norm alone
 *            1  the embeddings of a tied head, which gather gradients from the loss to the end of the backward
 *          2,3  layers in turn: one is summed over the ranks while the next fills
 */
#ifndef TRAIN_SHARES_H
#define TRAIN_SHARES_H
#include "model/params.h"

enum { FLIGHT_BUFFERS = 4 };

struct shares {
    const struct param_table *table;
    int32_t rank, ranks;
    struct tensors_part own[2];    /* a block of own shares, of type F32, BF16 */
    struct tensors_part own_place; /* own shares at their places in a whole block */
    struct tensors_part flight[2]; /* the buffers */
    int64_t *numbers;              /* what the parts point to */
};
/* For a table planned for more than one rank, which has to stay. */
void shares_plan(struct shares *s, const struct param_table *t, int32_t rank);
void shares_free(struct shares *s);
/* Values first .. end-1 of a segment are a rank's share. */
static inline int64_t shares_first(const struct param_table *t, int32_t segment, int32_t rank)
{
    return t->segment[segment].n / t->ranks * rank;
}
/* The buffer that holds a bucket's gradients. */
int shares_buffer(const struct param_table *t, int32_t bucket);
/* The own share of a segment in a block, its values' number and type; n 0: there is nothing in the segment. */
struct share {
    void *at;
    int64_t n;
    enum dtype dtype;
};
struct share shares_own(const struct shares *s, struct tensors t, int32_t segment);
/* Where a segment begins in a block that holds all of it. */
void *shares_segment(struct tensors t, int32_t segment);
#endif
