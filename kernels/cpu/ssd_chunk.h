/* kernels/cpu/ssd_chunk.h - what the forward and the backward scan of the CPU share: small matrix products and a chunk's decays.
 *
 * A chunk's products are 16 to 256 long on each side and most of them triangular; a library call packs both factors anew for each, and
 * cannot skip the upper triangle. So the factors are laid out once per chunk such that one unpacked register-tiled product serves all.
 */
#ifndef KERNELS_CPU_SSD_CHUNK_H
#define KERNELS_CPU_SSD_CHUNK_H
#include "core/arena.h"
#include "kernels/cpu/cpu.h" /* cpu_row, cpu_min */
#include "kernels/ssd.h"
#include <stdbool.h>

/* Triangular matrices are worked on in blocks of so many rows; their leading dimension is a multiple of it. */
enum { SSD_BLOCK = 16 };

/* c [m, n] = beta c + a b, where a(i, l) is a[i * ai + l * al] and b is [k, n]. beta 0 does not read c. Every element is one chain of
 * fused additions in the order of l, so it does not depend on m, n or its place. */
void ssd_mm(int64_t m, int64_t n, int64_t k, const float *a, int64_t ai, int64_t al, const float *b, int64_t ldb, float beta, float *c,
            int64_t ldc);
/* to [cols, rows rounded up to ld_to, zeros there] = the transpose of from. */
void ssd_transpose(float *to, int64_t ld_to, const float *from, int64_t ld_from, int64_t rows, int64_t cols);

/* Of one head in one chunk of q tokens; every array is [Q]. */
struct ssd_decay {
    double *cum; /* sum of -exp(A_log) dt from the chunk's start up to and including the token */
    float *dt;   /* the step */
    float *a;    /* exp(-exp(A_log) dt): what the token leaves of the state before it */
    float *in;   /* what tokens 0 .. i leave of the state that enters the chunk */
    float *out;  /* what the tokens after i leave of what i adds */
    float last;  /* in[q - 1] */
};
void ssd_decay_layout(struct ssd_decay *k, struct arena *a, int32_t chunk);
/* dt: the head's column of [T, H] at the chunk's first token, ld = H. */
void ssd_decay_fill(struct ssd_decay *k, const float *dt, int64_t ld, int64_t q, double A_log);
/* m = cb * decay for j <= i, where decay[i, j] is what the tokens j+1 .. i leave; m's rows are zero from the diagonal to the end of
 * their block. decay: rows of ld_decay, or ld_decay 0 and one row of room when only m is wanted. */
void ssd_decay_matrix(float *m, const float *cb, int64_t ld, float *decay, int64_t ld_decay, const struct ssd_decay *k, int64_t q);

struct ssd_span {
    int64_t row; /* first token */
    int64_t q;   /* tokens */
    bool first;  /* chunk of its document */
    bool last;
};
static inline struct ssd_span ssd_span(const struct seqs *s, int64_t c)
{
    int32_t d = s->chunk_doc[c];
    int64_t row = s->start[d] + (c - s->first_chunk[d]) * s->chunk, left = s->start[d + 1] - row;
    return (struct ssd_span){row, left < s->chunk ? left : s->chunk, c == s->first_chunk[d], c + 1 == s->first_chunk[d + 1]};
}
static inline int64_t ssd_round(int64_t n)
{
    return (n + SSD_BLOCK - 1) / SSD_BLOCK * SSD_BLOCK;
}
static inline float *ssd_floats(struct arena *a, int64_t n)
{
    return (float *)arena_take(a, (size_t)n * sizeof(float));
}
/* Rows of a state that are one work item of the passes along a document: few enough that all threads have work. A state's rows do not
 * meet in those passes, so the cut does not change a number. */
int64_t ssd_state_rows(struct ssd_dims d, int32_t docs);

/* Scratch, laid out by both sides: what all threads see, then each thread's own. */
struct ssd_room {
    float *dt;      /* [T, H] steps, when they are not kept */
    float *states;  /* [n_chunk, H, P, N] forward: entering states when not kept; backward: the gradient of the leaving states */
    float *partial; /* [n_chunk, H, 3] backward: each chunk's share of ddt_bias, dA_log, dD */
    char *own;      /* [threads, own_size] */
    size_t own_size;
};
void ssd_room_layout(struct ssd_room *r, struct arena *a, struct ssd_dims d, int64_t tokens, int64_t chunks, int32_t chunk, int train);
/* Places it in scratch. */
struct ssd_room ssd_room(void *scratch, struct ssd_dims d, const struct seqs *s, int train);
/* Where the calling thread's own piece begins. */
struct arena ssd_room_own(const struct ssd_room *r);
/* Bytes of a thread's own piece, each side's. */
size_t ssd_fwd_own(struct ssd_dims d, int32_t chunk);
size_t ssd_bwd_own(struct ssd_dims d, int32_t chunk);

#endif
