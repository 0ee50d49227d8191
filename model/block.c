/* model/block.c - forward and backward of one Mamba-2 block, as a list of ops. */
#include "model/block.h"
#include "kernels/conv.h"
#include "kernels/device.h"
#include "kernels/linear.h"
#include "kernels/mixer.h"
#include "kernels/norm.h"

static struct ssd_dims ssd_dims(const struct model_config *c)
{
    return (struct ssd_dims){c->heads, c->headdim, c->groups, c->state};
}

static struct ssd_in ssd_in(mat conv, mat dt, const struct model_config *c, struct tensors w, int32_t layer)
{
    struct conv_cols v = conv_cols(conv, ssd_dims(c));
    return (struct ssd_in){v.x, v.B, v.C, dt, tensors_vec(w, P_DT_BIAS, layer), tensors_vec(w, P_A_LOG, layer), tensors_vec(w, P_D, layer)};
}

/* The first T rows of everything a block keeps: passes may be shorter than the memory planned. */
static struct block_acts rows(const struct block_acts *a, int64_t t)
{
    struct block_acts b = *a;
    b.x.rows = b.h.rows = b.proj.rows = b.conv.rows = b.y.rows = b.g.rows = t;
    return b;
}

/* One token a sequence, onto states that are kept. */
static bool is_step(struct seqs s, struct block_state state)
{
    return s.max_len == 1 && state.ssd.data;
}

static void step_forward(struct block_acts a, const struct model_config *c, struct tensors w, int32_t layer, struct seqs s,
                         struct block_state state)
{
    struct mixer_in in = {.proj = a.proj,
                          .room = a.conv,
                          .d = ssd_dims(c),
                          .conv = c->conv,
                          .conv_w = tensors_vec(w, P_CONV_W, layer),
                          .conv_b = tensors_vec(w, P_CONV_B, layer),
                          .dt_bias = tensors_vec(w, P_DT_BIAS, layer),
                          .A_log = tensors_vec(w, P_A_LOG, layer),
                          .D = tensors_vec(w, P_D, layer),
                          .norm = tensors_vec(w, P_GATE_NORM, layer),
                          .eps = (float)c->eps};
    linear_norm_step(a.proj, a.h, a.x, tensors_vec(w, P_NORM, layer), (float)c->eps, tensors_mat(w, P_IN_PROJ, layer));
    mixer_step(a.g, in, s, state.conv, state.ssd);
}

void mixer_forward(struct block_acts *acts, const struct model_config *c, struct tensors w, int32_t layer, struct seqs s,
                   struct block_state state, void *ops)
{
    struct block_acts a = rows(acts, s.tokens);
    struct mixer_cols p = mixer_cols(a.proj, ssd_dims(c));
    mat none = {0};

    if (is_step(s, state)) {
        step_forward(a, c, w, layer, s, state);
        return;
    }
    rmsnorm_fwd(a.h, a.rstd, a.x, tensors_vec(w, P_NORM, layer), (float)c->eps);
    linear_fwd(a.proj, a.h, tensors_mat(w, P_IN_PROJ, layer), none);
    conv_fwd(a.conv, p.xBC, tensors_vec(w, P_CONV_W, layer), tensors_vec(w, P_CONV_B, layer), c->conv, s, state.conv);
    ssd_fwd(a.y, a.ssd, ssd_in(a.conv, p.dt, c, w, layer), ssd_dims(c), s, state.ssd, ops);
    gatenorm_fwd(a.g, a.rstd_gate, a.y, p.z, tensors_vec(w, P_GATE_NORM, layer), c->groups, (float)c->eps);
}

void block_forward(struct block_acts *acts, mat x_next, const struct model_config *c, struct tensors w, int32_t layer, struct seqs s,
                   struct block_state state, void *ops)
{
    mixer_forward(acts, c, w, layer, s, state, ops);
    struct block_acts a = rows(acts, s.tokens);
    x_next.rows = s.tokens;
    (is_step(s, state) ? linear_step : linear_fwd)(x_next, a.g, tensors_mat(w, P_OUT_PROJ, layer), a.x);
}

void block_backward(mat dx, struct block_acts *acts, const struct model_config *c, struct tensors w, struct tensors g, int32_t layer,
                    struct seqs s, struct block_scratch *sc)
{
    int64_t t = s.tokens;
    struct block_acts a = rows(acts, t);
    mat dx_low = sc->dx_low, dg = sc->dg, dconv = sc->dconv, dproj = sc->dproj;
    dx.rows = dx_low.rows = dg.rows = dconv.rows = dproj.rows = t;
    struct mixer_cols p = mixer_cols(a.proj, ssd_dims(c)), dp = mixer_cols(dproj, ssd_dims(c));
    struct conv_cols dv = conv_cols(dconv, ssd_dims(c));
    struct ssd_in in = ssd_in(a.conv, p.dt, c, w, layer);
    struct ssd_grad ssd = {
        dv.x, dv.B, dv.C, dp.dt, tensors_vec(g, P_DT_BIAS, layer), tensors_vec(g, P_A_LOG, layer), tensors_vec(g, P_D, layer)};
    mat dh = mat_make(sc->dg.data, sc->dg.dtype, t, c->hidden); /* dg is free once the scan's gradients are done */

    if (dx_low.data != dx.data)
        mat_convert(dx_low, dx);
    linear_bwd_w(tensors_mat(g, P_OUT_PROJ, layer), dx_low, a.g);
    linear_bwd_x(dg, dx_low, tensors_mat(w, P_OUT_PROJ, layer), 0);
    gatenorm_bwd(dg, dp.z, tensors_vec(g, P_GATE_NORM, layer), dg, a.y, p.z, tensors_vec(w, P_GATE_NORM, layer), a.rstd_gate, c->groups,
                 sc->ops);
    ssd_bwd(ssd, dg, a.ssd, in, ssd_dims(c), s, sc->ops);
    conv_bwd(dp.xBC, tensors_vec(g, P_CONV_W, layer), tensors_vec(g, P_CONV_B, layer), dconv, p.xBC, tensors_vec(w, P_CONV_W, layer),
             tensors_vec(w, P_CONV_B, layer), c->conv, s, sc->ops);
    linear_bwd_w(tensors_mat(g, P_IN_PROJ, layer), dproj, a.h);
    linear_bwd_x(dh, dproj, tensors_mat(w, P_IN_PROJ, layer), 0);
    rmsnorm_bwd(dx, tensors_vec(g, P_NORM, layer), dh, a.x, tensors_vec(w, P_NORM, layer), a.rstd, sc->ops);
}
