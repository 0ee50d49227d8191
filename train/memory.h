/* train/memory.h - everything a run keeps on the device, laid out once; the plan is the same layout, measured. */
#ifndef TRAIN_MEMORY_H
#define TRAIN_MEMORY_H
#include "model/model.h"
#include "train/shares.h"

struct exchange;
/* On several ranks w is whole; sums, master, exp_avg and exp_avg_sq are this rank's shares; grads are the buckets in flight. */
struct memory {
    struct tensors w, master, exp_avg, exp_avg_sq; /* master's memory is w's when w is F32 */
    struct tensors grads, sums;  /* what a backward adds to; a step's gradients over passes and ranks: on one rank grads itself */
    const struct shares *shares; /* NULL: one rank */
    struct exchange *exchange;   /* NULL: one rank; see exchange.h */
    struct acts acts;
    struct pass batch[2]; /* the pass that runs and the next */
    struct step_stats *stats;
    /* bytes of each part, for the plan */
    int64_t weights, gradients, flight, optimizer, kept, scratch, batches, total;
};
struct memory_shape {
    struct model_shape model;
    enum dtype gradients;        /* of matrices' gradients */
    const struct shares *shares; /* NULL: one rank */
};
/* layer: the caller's array of config.layers entries. */
void memory_layout(struct memory *m, struct arena *mem, const struct param_table *t, const struct memory_shape *s,
                   struct block_acts *layer);
/* One batch: the tables and ids of a pass, on the host and on the device alike. */
void batch_layout(struct pass *p, struct arena *mem, const struct model_shape *s);
/* Bytes in all with kept_layers as in s. */
int64_t memory_total(const struct param_table *t, const struct memory_shape *s);
/* The most layers whose activations can be kept within budget bytes; -1: not even none. */
int32_t memory_fit(const struct param_table *t, struct memory_shape s, int64_t budget);
/* Bytes of the program and its libraries beside the layout, measured; to be asked before the layout is placed. */
int64_t memory_library(const struct memory_shape *s);
#endif
