/* train/exchange.h - what the ranks of a run send each other in a step, beside the computing (ZeRO-2; train/shares.h).
 *
 *     backward   a bucket's gradients begin as zeros with the rank's own sums so far in its share, and are reduce-scattered into that share
 *                when they are final, while the next bucket's are computed: sums over ranks and over passes are one
 *     update     the norm is one sum over ranks; then AdamW on own shares, bucket by bucket, each on its way to the others at once
 *     forward    a layer waits for its own bucket's new weights only
 *
 * One rank has none of this (memory.exchange is NULL).
 */
#ifndef TRAIN_EXCHANGE_H
#define TRAIN_EXCHANGE_H
#include "train/memory.h"

/* For memory laid out for several ranks; sets m->exchange and the hooks of m->acts. */
void exchange_open(struct memory *m);
void exchange_close(struct memory *m);
/* A step begins: there are no sums yet. */
void exchange_begin(struct exchange *x);
/* A pass in which this rank has no rows: it sends zeros, and the others' sums arrive. */
void exchange_idle(struct exchange *x);
/* After the last pass: ops queued from here on see the sums. */
void exchange_sums(struct exchange *x);
/* A bucket's own weights are new: they go to the others and theirs come. */
void exchange_weights(struct exchange *x, int32_t bucket);
#endif
