/* kernels/mixer.h - a decode step of the mixer between its two products: one token of every sequence from in_proj's row to out_proj's.
 *
 *     xBC = silu(conv(xBC))    S = a S + dt x (outer) B    y = S C + D x    g = rmsnorm_G(y silu(z)) w
 *
 * as kernels/conv.h, ssd.h and norm.h define them. The states are updated in place: they are all the memory traffic that counts, so a
 * backend reads and writes them once and keeps the rest on chip.
 */
#ifndef KERNELS_MIXER_H
#define KERNELS_MIXER_H
#include "kernels/mat.h"
#include "kernels/seqs.h"
#include "kernels/ssd.h"
#ifdef __cplusplus
extern "C" {
#endif

/* Column slices of in_proj's output, and of the convolution's. */
struct mixer_cols {
    mat z, xBC, dt; /* [T, H*P], [T, H*P + 2*G*N], [T, H] */
};
struct conv_cols {
    mat x, B, C; /* [T, H*P], [T, G*N], [T, G*N] */
};
static inline int64_t conv_width(struct ssd_dims d)
{
    return (int64_t)d.heads * d.headdim + 2 * (int64_t)d.groups * d.state;
}
static inline struct mixer_cols mixer_cols(mat proj, struct ssd_dims d)
{
    int64_t inner = (int64_t)d.heads * d.headdim, conv = conv_width(d);
    struct mixer_cols c = {mat_cols(proj, 0, inner), mat_cols(proj, inner, conv), mat_cols(proj, inner + conv, d.heads)};
    return c;
}
static inline struct conv_cols conv_cols(mat conv, struct ssd_dims d)
{
    int64_t inner = (int64_t)d.heads * d.headdim, gn = (int64_t)d.groups * d.state;
    struct conv_cols c = {mat_cols(conv, 0, inner), mat_cols(conv, inner, gn), mat_cols(conv, inner + gn, gn)};
    return c;
}

struct mixer_in {
    mat proj;                         /* [T, z | x | B | C | dt] as in_proj wrote it, f32 or bf16 */
    mat room;                         /* [T, x | B | C] of proj's type: for backends that work in parts */
    struct ssd_dims d;                /* H, P, G, N */
    int conv;                         /* K: 2, 3 or 4 */
    const float *conv_w, *conv_b;     /* [x | B | C, K], [x | B | C] */
    const float *dt_bias, *A_log, *D; /* [H] */
    const float *norm;                /* [H*P] */
    float eps;
};

/* g [T, H*P] of proj's type, not proj's memory. Every document of s has one token; row i uses and updates slot s.slot[i] of conv
 * [K-1, x | B | C], proj's type, and of ssd [H, P, N], f32 or bf16. Weights and s's tables may be read ahead of ops that were queued
 * before: what wrote them must be a copy from the host, or lie before one. On the CPU a row's result does not depend on the other rows. */
void mixer_step(mat g, struct mixer_in in, struct seqs s, struct state_view conv, struct state_view ssd);

#ifdef __cplusplus
}
#endif
#endif
