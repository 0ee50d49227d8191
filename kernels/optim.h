/* kernels/optim.h - what an optimizer step does to flat arrays: sums, the global norm and clipping, AdamW.
 *
 * Everything stays on the device: the norm of a step, the clip factor and the decision to skip are computed there, and the host reads
 * struct step_stats once a step.
 */
#ifndef KERNELS_OPTIM_H
#define KERNELS_OPTIM_H
#include "kernels/mat.h"
#include <stddef.h>
#ifdef __cplusplus
extern "C" {
#endif

struct step_stats {  /* in device memory */
    double loss;     /* sum of the weighted losses */
    double sumsq;    /* of all gradients */
    float grad_norm; /* sqrt(sumsq), before clipping */
    float scale;     /* what AdamW multiplies gradients by: min(1, max_norm / grad_norm); NaN when the step must be skipped */
};

/* *sum += the n values of x added in a fixed order in double precision. */
void sum_add(double *sum, const float *x, int64_t n, void *scratch);
/* *sum += the squares, likewise. g: f32 or bf16, any shape. */
void sumsq_add(double *sum, mat g, void *scratch);
size_t sum_scratch(void);
/* Fills grad_norm and scale from loss and sumsq. max_norm 0: no clipping. Either not finite: scale is NaN. */
void step_finish(struct step_stats *stats, float max_norm);

struct adamw {
    float lr, beta1, beta2, eps, decay; /* decoupled weight decay (Loshchilov & Hutter 2019, arXiv 1711.05101) */
    int64_t t;                          /* this update's number, from 1 (bias correction) */
};
/* w, m, v, g: n values; m, v, w f32; w16 (NULL: none): bf16 copy of the new w; stats.scale multiplies g; NaN: nothing changes. */
void adamw_step(float *w, void *w16, float *m, float *v, const void *g, enum dtype g_type, int64_t n, struct adamw a,
                const struct step_stats *stats);

#ifdef __cplusplus
}
#endif
#endif
