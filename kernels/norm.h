/* kernels/norm.h - RMSNorm (Zhang & Sennrich 2019, arXiv 1910.07467), and the gated, grouped one of Mamba-2's mixer.
 *
 * Both are row-wise, so a decode step is the same call with T = batch. Weights, statistics and weight gradients are f32.
 */
#ifndef KERNELS_NORM_H
#define KERNELS_NORM_H
#include "kernels/mat.h"
#include <stddef.h>
#ifdef __cplusplus
extern "C" {
#endif

/* y = x * rstd * w,  rstd = 1 / sqrt(mean(x^2) + eps).  x, y [T, D]; w [D]; rstd [T], NULL: not kept. */
void rmsnorm_fwd(mat y, float *rstd, mat x, const float *w, float eps);
/* dx += d(norm), dw += ...  dx [T, D] holds the residual's gradient on entry; dy [T, D]. scratch: rmsnorm_scratch(). */
void rmsnorm_bwd(mat dx, float *dw, mat dy, mat x, const float *w, const float *rstd, void *scratch);
size_t rmsnorm_scratch(int64_t tokens, int64_t cols);

/* o = rmsnorm_g(y * silu(z)) * w, within each of g groups of D/g channels.  o, y, z [T, D]; w [D]; rstd [T, g], NULL: not kept.
 * o may be y's memory. */
void gatenorm_fwd(mat o, float *rstd, mat y, mat z, const float *w, int groups, float eps);
/* dy, dz are written (dy may be do_'s memory); dw += ...  scratch: gatenorm_scratch(). */
void gatenorm_bwd(mat dy, mat dz, float *dw, mat do_, mat y, mat z, const float *w, const float *rstd, int groups, void *scratch);
size_t gatenorm_scratch(int64_t tokens, int64_t cols);

#ifdef __cplusplus
}
#endif
#endif
