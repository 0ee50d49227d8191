/* model/block.h - one Mamba-2 block: norm, mixer, residual (Dao & Gu 2024, section 7; DESIGN of the maths in README).
 *
 *     h = rmsnorm(x) w        z | xBC | dt = h in_proj^T      xBC = silu(conv(xBC))      y = ssd(x, B, C, dt)
 *     g = rmsnorm_G(y silu(z)) w_g                            x' = x + g out_proj^T
 *
 * One token per sequence runs the step kernels (kernels/mixer.h, linear_step), anything longer the sequence kernels.
 */
#ifndef MODEL_BLOCK_H
#define MODEL_BLOCK_H
#include "core/arena.h"
#include "kernels/mat.h"
#include "kernels/seqs.h"
#include "kernels/ssd.h"
#include "model/config.h"
#include "model/params.h"

/* Of one layer, kept from forward to backward. Inference uses one set for all layers, without what only the backward reads. */
struct block_acts {
    mat x;               /* [T, D] residual stream entering the block */
    float *rstd;         /* [T] of its norm; NULL in inference */
    mat h;               /* [T, D] normed */
    mat proj;            /* [T, z | x | B | C | dt] output of in_proj */
    mat conv;            /* [T, x | B | C] after convolution and SiLU */
    struct ssd_kept ssd; /* NULL pointers in inference */
    mat y;               /* [T, d_inner] of the scan */
    float *rstd_gate;    /* [T, G]; NULL in inference */
    mat g;               /* [T, d_inner] after gate and norm; in inference y's memory */
};
/* Shared by all layers. */
struct block_scratch {
    void *ops;  /* what the kernels ask for */
    mat dx_low; /* [T, D] residual's gradient in the products' type (the gradient itself when the types agree) */
    mat dg;     /* [T, d_inner] gradient of g, then of y */
    mat dconv;  /* [T, x | B | C] */
    mat dproj;  /* [T, z | x | B | C | dt] */
};
/* Where a block's state is: views at its layer's place in the slots; data NULL: none. */
struct block_state {
    struct state_view conv, ssd;
};

/* Rows of the pass as the kernels want them: mats are cut to s.tokens rows inside. */
/* Up to and including the gated norm: what a recomputation runs. */
void mixer_forward(struct block_acts *a, const struct model_config *c, struct tensors w, int32_t layer, struct seqs s,
                   struct block_state state, void *ops);
/* The whole block; x_next [T, D] may be a->x's memory in inference. */
void block_forward(struct block_acts *a, mat x_next, const struct model_config *c, struct tensors w, int32_t layer, struct seqs s,
                   struct block_state state, void *ops);
/* dx [T, D]: gradient of x_next on entry, of x on return. g: gradients, added to. a as mixer_forward left it. */
void block_backward(mat dx, struct block_acts *a, const struct model_config *c, struct tensors w, struct tensors g, int32_t layer,
                    struct seqs s, struct block_scratch *sc);
#endif
