/* model/model.c - memory, forward, loss and backward of the whole model. */
#include "model/model.h"
#include "kernels/conv.h"
#include "kernels/device.h"
#include "kernels/embed.h"
#include "kernels/linear.h"
#include "kernels/norm.h"
#include "kernels/xent.h"

static mat take(struct arena *mem, enum dtype t, int64_t rows, int64_t cols)
{
    return mat_make(arena_take(mem, (size_t)(rows * cols * dtype_size(t))), t, rows, cols);
}

static float *take_f32(struct arena *mem, int64_t n)
{
    return arena_take(mem, sizeof(float) * (size_t)n);
}

/* The activations of one layer but for x, which every layer has of its own in training. */
static void block_acts_layout(struct block_acts *b, struct arena *mem, const struct model_shape *sh)
{
    const struct model_config *c = &sh->config;
    int64_t t = sh->max_tokens, inner = config_inner(c);
    b->h = take(mem, sh->type, t, c->hidden);
    b->proj = take(mem, sh->type, t, config_proj_dim(c));
    b->conv = take(mem, sh->type, t, config_conv_dim(c));
    b->y = take(mem, sh->type, t, inner);
    if (!sh->train) {
        b->g = b->y;
        return;
    }
    int64_t chunks = seqs_max_chunks(t, sh->max_docs, model_chunk(sh));
    b->rstd = take_f32(mem, t);
    b->ssd.dt = take_f32(mem, t * c->heads);
    b->ssd.cum = take_f32(mem, t * c->heads);
    b->ssd.states = arena_take(mem, (size_t)(chunks * config_ssd_state(c) * dtype_size(sh->type)));
    b->rstd_gate = take_f32(mem, t * c->groups);
    b->g = take(mem, sh->type, t, inner);
}

static size_t max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* The most that any kernel of a pass asks for. */
static size_t ops_bytes(const struct model_shape *sh)
{
    const struct model_config *c = &sh->config;
    struct ssd_dims d = {c->heads, c->headdim, c->groups, c->state};
    size_t n = ssd_scratch(d, sh->max_tokens, sh->max_docs, model_chunk(sh), sh->train);
    if (sh->train) {
        n = max_size(n, conv_scratch(sh->max_tokens, config_conv_dim(c), c->conv));
        n = max_size(n, rmsnorm_scratch(sh->max_tokens, c->hidden));
        n = max_size(n, gatenorm_scratch(sh->max_tokens, config_inner(c)));
        n = max_size(n, embed_scratch(sh->max_tokens, c->vocab));
        n = max_size(n, sum_scratch());
    }
    return n;
}

void acts_layout(struct acts *a, struct arena *mem, const struct model_shape *sh, struct block_acts *layer)
{
    const struct model_config *c = &sh->config;
    int64_t t = sh->max_tokens;
    int64_t before = (int64_t)mem->used;
    *a = (struct acts){.shape = *sh, .layer = layer};
    struct block_acts shared = {0};
    int32_t first_kept = sh->train ? c->layers - sh->kept_layers : c->layers;
    if (first_kept > 0)
        block_acts_layout(&shared, mem, sh);
    mat x = sh->train ? (mat){0} : take(mem, sh->residual, t, c->hidden);
    for (int32_t l = 0; l < c->layers; l++) {
        layer[l] = shared;
        if (l >= first_kept) {
            layer[l] = (struct block_acts){0};
            block_acts_layout(&layer[l], mem, sh);
        }
        layer[l].x = sh->train ? take(mem, sh->residual, t, c->hidden) : x;
    }
    a->x_out = sh->train ? take(mem, sh->residual, t, c->hidden) : x;
    a->h = take(mem, sh->type, t, c->hidden);
    a->kept_bytes = (int64_t)mem->used - before;
    a->logits = take(mem, F32, sh->logit_rows, c->vocab);
    a->loss = take_f32(mem, t);
    a->scratch.ops = arena_take(mem, ops_bytes(sh));
    if (!sh->train)
        return;
    a->rstd_f = take_f32(mem, t);
    a->dlogits = sh->type == F32 ? a->logits : take(mem, sh->type, sh->logit_rows, c->vocab);
    a->dx = take(mem, sh->residual, t, c->hidden);
    a->dh = take(mem, sh->type, t, c->hidden);
    a->scratch.dx_low = sh->type == sh->residual ? a->dx : take(mem, sh->type, t, c->hidden);
    a->scratch.dg = take(mem, sh->type, t, config_inner(c) > c->hidden ? config_inner(c) : c->hidden);
    a->scratch.dg.cols = a->scratch.dg.ld = config_inner(c);
    a->scratch.dconv = take(mem, sh->type, t, config_conv_dim(c));
    a->scratch.dproj = take(mem, sh->type, t, config_proj_dim(c));
}

int32_t model_logit_rows(const struct model_config *c, enum dtype type, int64_t max_tokens)
{
    int64_t rows = type == BF16 ? 4096 : ((int64_t)64 << 20) / (4 * c->vocab) / 64 * 64;
    if (rows < 64)
        rows = 64;
    return (int32_t)(rows < max_tokens ? rows : max_tokens);
}

static void tell(const struct acts *a, void (*fn)(void *, int32_t), int32_t bucket)
{
    if (fn)
        fn(a->hooks->arg, bucket);
}
static void tell_use(const struct acts *a, int32_t bucket)
{
    tell(a, a->hooks ? a->hooks->use : NULL, bucket);
}
static void tell_begin(const struct acts *a, int32_t bucket)
{
    tell(a, a->hooks ? a->hooks->begin : NULL, bucket);
}
static void tell_ready(const struct acts *a, int32_t bucket)
{
    tell(a, a->hooks ? a->hooks->ready : NULL, bucket);
}

void model_forward(struct acts *a, struct tensors w, const struct pass *p, struct model_state state)
{
    const struct model_config *c = &a->shape.config;
    int64_t t = p->s.tokens;
    bool step = p->s.max_len == 1 && state.base;
    must(t <= a->shape.max_tokens && (step || p->s.n <= a->shape.max_docs));
    tell_use(a, 0);
    embed_fwd(mat_rows(a->layer[0].x, 0, t), tensors_mat(w, P_EMBED, -1), p->ids);
    for (int32_t l = 0; l < c->layers; l++) {
        mat x_next = l + 1 < c->layers ? a->layer[l + 1].x : a->x_out;
        tell_use(a, l + 1);
        block_forward(&a->layer[l], x_next, c, w, l, p->s, state_layer(state, c, l), a->scratch.ops);
    }
    tell_use(a, c->layers + 1);
    rmsnorm_fwd(mat_rows(a->h, 0, t), a->rstd_f, mat_rows(a->x_out, 0, t), tensors_vec(w, P_NORM_F, -1), (float)c->eps);
}

void model_logits(struct acts *a, struct tensors w, mat h, bool step)
{
    mat none = {0};
    (step ? linear_step : linear_fwd)(mat_rows(a->logits, 0, h.rows), h, tensors_head(w), none);
}

void model_loss(struct acts *a, struct tensors w, const struct pass *p, bool with_grad, struct tensors g)
{
    int64_t t = p->s.tokens, most = a->shape.logit_rows;
    mat none = {0};
    if (with_grad)
        tell_begin(a, a->shape.config.layers + 1);
    if (with_grad && a->shape.config.tied)
        tell_begin(a, 0);
    for (int64_t i = 0; i < t; i += most) {
        int64_t n = t - i < most ? t - i : most;
        mat h = mat_rows(a->h, i, n), logits = mat_rows(a->logits, 0, n), dlogits = with_grad ? mat_rows(a->dlogits, 0, n) : none;
        model_logits(a, w, h, false);
        xent_fwd_bwd(dlogits, a->loss + i, logits, p->target + i, p->weight ? p->weight + i : NULL);
        if (with_grad) {
            linear_bwd_w(tensors_head(g), dlogits, h);
            linear_bwd_x(mat_rows(a->dh, i, n), dlogits, tensors_head(w), 0);
        }
    }
}

void model_backward(struct acts *a, struct tensors w, struct tensors g, const struct pass *p)
{
    const struct model_config *c = &a->shape.config;
    int64_t t = p->s.tokens;
    mat dx = mat_rows(a->dx, 0, t);
    struct block_state none = {0};
    dev_zero(dx.data, (size_t)(t * dx.ld * dtype_size(dx.dtype)));
    rmsnorm_bwd(dx, tensors_vec(g, P_NORM_F, -1), mat_rows(a->dh, 0, t), mat_rows(a->x_out, 0, t), tensors_vec(w, P_NORM_F, -1), a->rstd_f,
                a->scratch.ops);
    tell_ready(a, c->layers + 1);
    int32_t first_kept = c->layers - a->shape.kept_layers;
    for (int32_t l = c->layers - 1; l >= 0; l--) {
        /* The forward left the shared set as the last layer that uses it wrote it. */
        if (l < first_kept - 1)
            mixer_forward(&a->layer[l], c, w, l, p->s, none, a->scratch.ops);
        tell_begin(a, l + 1);
        block_backward(dx, &a->layer[l], c, w, g, l, p->s, &a->scratch);
        tell_ready(a, l + 1);
    }
    if (!c->tied)
        tell_begin(a, 0);
    embed_bwd(tensors_mat(g, P_EMBED, -1), dx, p->ids, a->scratch.ops);
    tell_ready(a, 0);
}
