/* kernels/xent.h - softmax cross-entropy of some rows of logits. Callers go over the tokens in pieces, so the logits of a whole
 * batch never exist (model/head.c). */
#ifndef KERNELS_XENT_H
#define KERNELS_XENT_H
#include "kernels/mat.h"
#ifdef __cplusplus
extern "C" {
#endif

/* loss[i] = weight[i] * -log softmax(logits[i])[target[i]], 0 where target[i] < 0 (weight NULL: 1).
 * dlogits (data NULL: not wanted; may be logits' memory when the types agree): weight[i] * (softmax - onehot), 0 where target < 0.
 * logits, dlogits [R, V]; loss [R] f32, target [R], weight [R], on the device. */
void xent_fwd_bwd(mat dlogits, float *loss, mat logits, const int32_t *target, const float *weight);

#ifdef __cplusplus
}
#endif
#endif
