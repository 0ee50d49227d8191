/* model/pass.h - the input of one pass of the model: token ids, targets, and the tables of its documents, in one block that is filled
 * on the host and copied to the device at once. */
#ifndef MODEL_PASS_H
#define MODEL_PASS_H
#include "core/arena.h"
#include "kernels/seqs.h"
#include <stdbool.h>

struct pass {
    struct seqs s;
    int32_t *ids;    /* [T] */
    int32_t *target; /* [T] -1: not learnt. NULL when not asked for */
    float *weight;   /* [T] share of the step's loss. NULL when not asked for */
};
/* Run on a host arena and on a device arena: the same block. */
void pass_layout(struct pass *p, struct arena *a, int64_t max_tokens, int32_t max_docs, int32_t chunk, bool targets);
/* The host's counts with the device's pointers. */
struct pass pass_on(const struct pass *host, const struct pass *device);
#endif
