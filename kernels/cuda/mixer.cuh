/* kernels/cuda/mixer.cuh - the parts of a mixer step as kernels of their own, for what the one kernel of mixer.cu does not take.
 *
 * Every document of s has one token; row i uses and updates its slot of the state.
 */
#ifndef KERNELS_CUDA_MIXER_CUH
#define KERNELS_CUDA_MIXER_CUH
#include "kernels/ssd.h"

/* As conv_fwd. conv.cu. */
void conv_step(mat y, mat x, const float *w, const float *b, int k, struct seqs s, struct state_view state);
/* As ssd_fwd. ssd_step.cu. */
void ssd_step(mat y, struct ssd_in in, struct ssd_dims d, struct seqs s, struct state_view state);
#endif
