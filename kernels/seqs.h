/* kernels/seqs.h - which rows of a pass belong to which document, and where each document's recurrent state is.
 *
 * A pass has T rows; documents lie in it end to end. A training row packed with several documents, a batch of prompts in one prefill,
 * a piece of a long prompt and a decode step (every document one token long) are all this one struct. Causal convolution and SSD start
 * anew, or from the document's state, at each document. SSD chunks are counted from a document's start, so no chunk crosses a boundary
 * and a document's numbers do not depend on its neighbours.
 *
 * The tables are built on the host (seqs_plan) and copied to the device in one block with the rest of a batch: seqs_layout() is run on
 * a host arena and on a device arena of the same size.
 */
#ifndef KERNELS_SEQS_H
#define KERNELS_SEQS_H
#include "core/arena.h"
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

struct seqs {
    int64_t tokens;       /* T */
    int32_t n;            /* documents, each at least one token */
    int32_t max_len;      /* tokens of the longest; 1: a decode step */
    int32_t chunk;        /* Q, tokens of an SSD chunk */
    int32_t n_chunk;      /* chunks of all documents */
    int32_t *start;       /* [n + 1] first row of each document; start[n] = T */
    int32_t *first_chunk; /* [n + 1] */
    int32_t *chunk_doc;   /* [n_chunk] the document of each chunk */
    int32_t *slot;        /* [n] row of the state buffers that is document d's */
};

/* Most chunks that T tokens in n documents can have. */
int64_t seqs_max_chunks(int64_t max_tokens, int32_t max_n, int32_t chunk);
/* Takes room for the tables of up to max_tokens rows and max_n documents. Sets chunk; the counts stay 0. */
void seqs_layout(struct seqs *s, struct arena *a, int64_t max_tokens, int32_t max_n, int32_t chunk);
/* Host tables: fills counts and arrays from document lengths; slot NULL: document d has slot d. */
void seqs_plan(struct seqs *s, const int32_t *len, int32_t n, const int32_t *slot);
/* The counts of host with the pointers of device: what ops are given. */
static inline struct seqs seqs_on(const struct seqs *host, const struct seqs *device)
{
    struct seqs s = *device;
    s.tokens = host->tokens;
    s.n = host->n;
    s.max_len = host->max_len;
    s.n_chunk = host->n_chunk;
    return s;
}

/* Recurrent state of all slots: slot i begins at element i * stride of data. */
struct state_view {
    void *data; /* NULL: documents start from zero and their final state is not wanted */
    int dtype;  /* enum dtype */
    int64_t stride;
};

#ifdef __cplusplus
}
#endif
#endif
