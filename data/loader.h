/* data/loader.h - the rows of a training phase: which documents stand in row r of step s, and their tokens.
 *
 * Everything is a function of (settings, seed, epoch, index): nothing is remembered from step to step, so a run resumes at any step
 * by number, and the rows of a step do not depend on how many ranks share them (row i of a step goes to rank i mod size).
 *
 * An epoch: each data set's documents, weight times, in a counter-based permutation; packed rows are filled best-fit in that order with
 * a bounded number of open rows, then the rows are permuted. pack false: one document a row. shuffle false: file order. The fraction of
 * a weight is a seeded part that moves on from epoch to epoch: with weight 0.5, two epochs in a row see every document once.
 * Documents longer than seq_len are cut to it; those that then have no learnt target are left out.
 *
 * A phase is the rows of its epochs one after the other, no row dropped: a step may take rows of two epochs. A phase given in epochs
 * (which may be fractional: the first rows of the last epoch) ends with a smaller step when they do not divide.
 *
 * Threads: a loader may be used by several at once (a prefetch thread beside the main one).
 */
#ifndef DATA_LOADER_H
#define DATA_LOADER_H
#include "core/err.h"
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

struct loader_source {
    const char *path; /* .tok */
    double weight;
};
struct loader_settings {
    const struct loader_source *source;
    int n_source;
    int64_t seq_len;
    int64_t rows;  /* of a global step */
    int64_t steps; /* of the phase; 0: from epochs */
    double epochs; /* of the phase; 0: from steps */
    bool pack, shuffle;
    bool row_mean; /* loss: mean per row and then over rows; else over all learnt tokens of the step */
    uint64_t seed;
    int32_t vocab; /* ids must be below */
    /* Digest the sources must have ("" or NULL: not compared). Sources made from input_ids alone have none and fit any. */
    const char *tokenizer;
};

/* What one pass of the model gets: micro rows laid end to end without padding. Arrays are the caller's. */
struct batch {
    int64_t tokens;   /* T of this pass */
    int32_t docs;     /* documents in it; 0: an empty pass (nothing to do) */
    int64_t learnt;   /* targets with weight > 0 */
    int32_t *ids;     /* [T] */
    int32_t *target;  /* [T] the next token of the same document where it is learnt, else -1 */
    float *weight;    /* [T] of each target in the step's loss (they sum to 1 over all ranks and passes); 0 where target is -1 */
    int32_t *doc_len; /* [docs] */
};

/* Reads every source once to find damage. Errors: no or too much data, weights not above 0, missing and damaged files, another tokenizer,
 * ids of vocab or more. The settings and the strings in them are copied. Dies unless seq_len is in 1..2^31-1, rows >= 1, and exactly one
 * of steps and epochs is above 0. */
struct loader;
bool loader_open(struct loader **l, const struct loader_settings *s, struct err *e);
void loader_close(struct loader *l);
int64_t loader_steps(const struct loader *l);    /* steps of the phase */
int32_t loader_max_docs(const struct loader *l); /* most documents any row holds, over the phase's epochs */
/* For the log. */
struct loader_stats {
    int64_t cut, unlearnt;              /* documents of the sources: longer than seq_len; left out for want of a learnt target */
    int64_t docs, rows, tokens, learnt; /* of the first epoch, weights counted in */
    double fill;                        /* tokens / (rows * seq_len) */
};
struct loader_stats loader_stats(const struct loader *l);
/* XXH3-128 over the sources' digests and the settings: two runs with equal digests see the same rows in every step that both have (how
 * long the phase is and where the files lie is not part of it). */
const char *loader_digest(const struct loader *l);

/* Tokens of all rows and learnt tokens of step s (from 0), over all ranks. A learnt token is one that is a target. */
void loader_step(const struct loader *l, int64_t step, int64_t *rows, int64_t *tokens, int64_t *learnt);
/* Number of passes that rank makes in a step with micro rows a pass. */
int64_t loader_passes(const struct loader *l, int64_t step, int rank, int size, int64_t micro);
/* Fills b with pass p of a step for a rank; p beyond its passes gives an empty one. b's arrays hold micro*seq_len tokens and micro*loader_max_docs() documents. */
void loader_pass(const struct loader *l, int64_t step, int64_t p, int rank, int size, int64_t micro, struct batch *b);
/* "a.tok:12, b.tok:40 ..." : the documents (from 0) of a step's rows, for the log of a skipped step; ends in "..." when n is too small. */
void loader_describe(const struct loader *l, int64_t step, char *buf, size_t n);

#ifdef __cplusplus
}
#endif
#endif
