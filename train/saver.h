/* train/saver.h - saves a run while it goes on.
 *
 *     saver_begin     all ranks: the folder; each copies what it owns to host memory, on a GPU beside the ops of the next step
 *     saver_copied    before the optimizer changes it; from here a thread of each rank writes the copy and syncs it
 *     saver_step      after every step: have all written? Then rank 0's thread completes the checkpoint (train/checkpoint.h), and a
 *                     later step's asking finds that done
 *
 * So the main thread alone speaks to other ranks. A save waits for the one before. Without room for the copy the main thread writes what
 * is on the device in saver_begin(), and nothing goes on meanwhile. A failure on any rank is every rank's, and leaves nothing half-written.
 */
#ifndef TRAIN_SAVER_H
#define TRAIN_SAVER_H
#include "train/checkpoint.h"

struct saver;
/* Bytes of one rank's copy. own: its part (struct shares); NULL: one rank. */
int64_t saver_bytes(const struct param_table *t, const struct tensors_part *own, bool compress);
/* bytes: 0: no copy; else saver_bytes(), of pinned host memory, taken here. parts and run_dir have to stay. */
struct saver *saver_open(const char *run_dir, int64_t keep, const struct checkpoint_parts *parts, const struct tensors_part *own,
                         int64_t bytes);
/* All ranks together. *stall_s: how long the slowest rank stood still. */
bool saver_begin(struct saver *s, const struct progress_state *at, double *stall_s, struct err *e);
/* What was to be saved may change from here on. */
void saver_copied(struct saver *s);
/* All ranks together. False: the save failed. */
bool saver_step(struct saver *s, struct err *e);
/* All ranks together: until nothing is under way. */
bool saver_wait(struct saver *s, struct err *e);
/* Waits for this rank's thread; a rank that is alone also ends its save. NULL is fine. */
void saver_close(struct saver *s);
#endif
