/* kernels/ssd.h - the state-space scan of Mamba-2 (SSD; Dao & Gu 2024, arXiv 2405.21060), whole sequences; a token at a time: kernels/mixer.h.
 *
 * For each head h of group g = h / (H/G), with S the state [P, N], dt_t = softplus(dt'_t + dt_bias) and a_t = exp(-exp(A_log) dt_t):
 *     S_t = a_t S_{t-1} + dt_t x_t (outer) B_t        y_t = S_t C_t + D x_t
 * ssd_fwd computes it in chunks (matrix products inside a chunk, the state carried from chunk to chunk; section 6 of the paper).
 * Documents start from zero, or from their slot of state [slots][H, P, N] (f32 or bf16), which then receives the state after their last
 * token.
 */
#ifndef KERNELS_SSD_H
#define KERNELS_SSD_H
#include "kernels/mat.h"
#include "kernels/seqs.h"
#include <stddef.h>
#ifdef __cplusplus
extern "C" {
#endif

struct ssd_dims {
    int32_t heads, headdim, groups, state; /* H, P, G, N; H a multiple of G */
};
struct ssd_in {                       /* column slices of what conv and in_proj wrote; one type, f32 or bf16 */
    mat x;                            /* [T, H*P] */
    mat B, C;                         /* [T, G*N] */
    mat dt;                           /* [T, H] dt', before bias and softplus */
    const float *dt_bias, *A_log, *D; /* [H] */
};
struct ssd_kept { /* written by ssd_fwd for ssd_bwd; all NULL in inference */
    float *dt;    /* [T, H] softplus(dt' + bias) */
    float *cum;   /* [T, H] sum of -exp(A_log) dt up to and including the token, from the start of its chunk or of a backend's tile in it */
    void *states; /* [n_chunk, H, P, N] state entering each chunk, in x's type */
};
struct ssd_grad {
    mat dx, dB, dC, ddt;           /* written; shapes of x, B, C, dt (ddt: with respect to dt') */
    float *ddt_bias, *dA_log, *dD; /* [H] added to */
};

/* The chunk to train with in place of a model's chunk_size: results do not depend on it but for rounding, the time and the kept states do. */
int32_t ssd_train_chunk(int32_t chunk);

/* Bytes of scratch for a forward (train false/true: without/with ssd_bwd) of up to T tokens in up to n documents, on as many CPU threads as
 * are set now. */
size_t ssd_scratch(struct ssd_dims d, int64_t tokens, int32_t max_docs, int32_t chunk, int train);

/* y [T, H*P]. */
void ssd_fwd(mat y, struct ssd_kept keep, struct ssd_in in, struct ssd_dims d, struct seqs s, struct state_view state, void *scratch);
/* dy [T, H*P]. A state given to the forward counts as a constant. */
void ssd_bwd(struct ssd_grad g, mat dy, struct ssd_kept kept, struct ssd_in in, struct ssd_dims d, struct seqs s, void *scratch);

#ifdef __cplusplus
}
#endif
#endif
