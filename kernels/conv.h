/* kernels/conv.h - causal depthwise convolution over time, then SiLU: y_t = silu(b + sum_k w[k] x_{t-K+1+k}), per channel and document.
 *
 * Before a document's first token stand zeros, or the last K-1 inputs that its state holds: state [slots][K-1, C], oldest first, in x's
 * type. On return it holds the last K-1 inputs of the document so far.
 */
#ifndef KERNELS_CONV_H
#define KERNELS_CONV_H
#include "kernels/mat.h"
#include "kernels/seqs.h"
#ifdef __cplusplus
extern "C" {
#endif

/* y, x [T, C]; w [C, K] f32; b [C] f32. K is 2, 3 or 4. y is not x. */
void conv_fwd(mat y, mat x, const float *w, const float *b, int k, struct seqs s, struct state_view state);
/* dx is written (not dy's memory); dw [C, K], db [C] are added to. x as given to the forward; documents start from zeros. */
void conv_bwd(mat dx, float *dw, float *db, mat dy, mat x, const float *w, const float *b, int k, struct seqs s, void *scratch);
size_t conv_scratch(int64_t tokens, int64_t channels, int k);

#ifdef __cplusplus
}
#endif
#endif
