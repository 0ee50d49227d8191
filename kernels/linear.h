/* kernels/linear.h - matrix products with a weight w [out, in] as PyTorch's Linear stores it (a library does the work).
 *
 * Inputs f32 or bf16 (x and w alike), accumulation in f32, outputs f32 or bf16. The CPU computes in f32; its forward products also take w
 * in bf16 (each weight becomes the float that it is), so that inference reads half the bytes.
 */
#ifndef KERNELS_LINEAR_H
#define KERNELS_LINEAR_H
#include "kernels/mat.h"
#include <stdbool.h>
#include <stddef.h>
#ifdef __cplusplus
extern "C" {
#endif

/* y = x w^T + add.  y, add [T, out], x [T, in]; add.data NULL: nothing is added; add may be y itself. add has y's type. */
void linear_fwd(mat y, mat x, mat w, mat add);
/* The same for the rows of a decode step, each sequence one row. On the CPU a row's result does not depend on the other rows,
 * and is the same bits for w in bf16 as for the same values in f32. w may be read ahead of ops that were queued before: what wrote it must
 * be a copy from the host, or lie before one. */
void linear_step(mat y, mat x, mat w, mat add);
/* y = rmsnorm(x) w^T with the norm's weights and eps (kernels/norm.h), as linear_step. x [T, in]; h [T, in] of the type that products take
 * (dev_activations): room for the normed rows, not always written. */
void linear_norm_step(mat y, mat h, mat x, const float *norm, float eps, mat w);
/* dx = dy w + beta dx.  dx [T, in], dy [T, out]; beta 0 or 1. */
void linear_bwd_x(mat dx, mat dy, mat w, float beta);
/* dw += dy^T x.  dw [out, in] f32 or bf16. */
void linear_bwd_w(mat dw, mat dy, mat x);
/* dst = src, types converted; same shape. */
void mat_convert(mat dst, mat src);

#ifdef __cplusplus
}
#endif
#endif
