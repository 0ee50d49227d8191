/* train/collect.h - values that ranks own, read by rank 0 for a file: rank 0 asks for a piece, its owner sends it. */
#ifndef TRAIN_COLLECT_H
#define TRAIN_COLLECT_H
#include "model/weights.h"

/* One of the sets of tensors that every rank holds its shares of (or, on one rank, all of); all ranks number them alike, from 0. */
struct collected {
    struct tensors t;
    int32_t number;
};
/* On rank 0: a weights_read of a struct collected. */
weights_read collect_read;
/* On rank 0, once: no more is read. */
void collect_end(void);
/* On the others: answers until rank 0 ends. */
void collect_serve(const struct collected set[]);
#endif
