/* kernels/swiglu.h - the gate of a Transformer's feed-forward layer (Shazeer 2020, arXiv 2002.05202), for infer/baseline/. */
#ifndef KERNELS_SWIGLU_H
#define KERNELS_SWIGLU_H
#include "kernels/mat.h"
#ifdef __cplusplus
extern "C" {
#endif

/* y = silu(gate) * up.  y [T, F]; gu [T, 2F]: gate | up. */
void swiglu_fwd(mat y, mat gu);

#ifdef __cplusplus
}
#endif
#endif
