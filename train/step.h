/* train/step.h - what one optimizer step does on the device, queued in order: step_begin(), its passes, step_update(). Every
 * rank makes the same number of passes; one that has no more rows makes idle ones. */
#ifndef TRAIN_STEP_H
#define TRAIN_STEP_H
#include "train/memory.h"
#include "train/settings.h"

/* Zeroes the statistics and the gradients. */
void step_begin(const struct memory *m);
/* One pass (on the device): its loss is added to m->stats, its gradients to m->sums. */
void step_pass(struct memory *m, const struct pass *p);
/* The pass of a rank that has no rows in it. */
void step_idle(struct memory *m);
/* The update number t (from 1): global norm, clipping, AdamW. A loss or norm that is not finite leaves the weights and moments as they are
 * and m->stats->scale NaN. */
void step_update(const struct memory *m, const struct optim_settings *o, double lr, int64_t t);
/* The two halves of the update that walk over all parameters, for the bench: adds to m->stats->sumsq; obeys m->stats->scale. */
void step_sumsq(const struct memory *m);
void step_adamw(const struct memory *m, const struct optim_settings *o, double lr, int64_t t);

/* All values of a set of tensors become 0. */
void step_zero(struct tensors t);
#endif
