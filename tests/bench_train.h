/* tests/bench_train.h - a training run's memory with random weights and tokens, its step, and each op of the step timed alone on the very
 * matrices that the step works on. */
#ifndef TESTS_BENCH_TRAIN_H
#define TESTS_BENCH_TRAIN_H
#include "kernels/conv.h"
#include "kernels/embed.h"
#include "kernels/norm.h"
#include "kernels/xent.h"
#include "model/weights.h"
#include "tests/bench.h"
#include "train/step.h"

struct bench_train {
    struct memory_shape shape;
    struct param_table table;
    struct memory m;
    struct block_acts *layer;
    void *device, *host;
    struct pass host_pass, p;
    size_t batch_bytes;
    int64_t updates;
    double libraries; /* bytes of the program and its libraries, as a run plans them */
};

/* Peak memory is counted from here on, where the system can do that (Linux; elsewhere it is the process's). */
static inline void bench_peak_reset(void)
{
    FILE *f = fopen("/proc/self/clear_refs", "w");
    if (f) {
        fputs("5", f);
        fclose(f);
    }
}

/* Random weights for a bench: those outside the layers and of layer 0 as for a new run, the other layers copies of it, because host random
 * numbers for billions of weights would take longer than the bench. */
static inline void bench_weights(struct tensors w, struct tensors *master, const struct model_config *c)
{
    const struct param_table *t = w.table;
    struct param_table part = *t;
    part.n = 0;
    part.param = (struct param *)xcalloc((size_t)t->n, sizeof *part.param);
    for (int32_t k = 0; k < t->n; k++)
        if (t->param[k].layer <= 0)
            part.param[part.n++] = t->param[k];
    struct tensors some = {&part, w.dtype, w.base, NULL}, some_master = {&part, F32, master ? master->base : NULL, NULL};
    weights_random(some, master ? &some_master : NULL, c, 1);
    free(part.param);
    for (int both = 0; both < (master && master->base != w.base ? 2 : 1); both++) {
        struct tensors to = both ? *master : w;
        const int64_t *at = t->bucket_at[to.dtype];
        for (int32_t l = 1; l < c->layers; l++)
            dev_copy(to.base + at[l + 1], to.base + at[1], (size_t)(at[2] - at[1]));
    }
}

/* The pass that the next steps run: rows of so many random tokens. */
static inline void bench_train_pass(struct bench_train *t, int64_t tokens, int64_t row)
{
    int32_t n = (int32_t)((tokens + row - 1) / row), *len = (int32_t *)xmalloc(sizeof *len * (size_t)n);
    for (int32_t d = 0; d < n; d++)
        len[d] = (int32_t)(d + 1 < n ? row : tokens - d * row);
    struct pass *h = &t->host_pass;
    seqs_plan(&h->s, len, n, NULL);
    for (int64_t i = 0; i < tokens; i++) {
        h->ids[i] = (int32_t)rng_below(1, 1, (uint64_t)i, (uint64_t)t->shape.model.config.vocab);
        h->target[i] = (int32_t)rng_below(1, 1, (uint64_t)i + 1, (uint64_t)t->shape.model.config.vocab);
        h->weight[i] = 1 / (float)tokens;
    }
    dev_put(t->m.batch[0].s.start, h->s.start, t->batch_bytes); /* both blocks are one layout from their first table on */
    t->p = pass_on(h, &t->m.batch[0]);
    free(len);
}

/* Memory for passes of up to tokens, in rows of row tokens. False: it does not fit (a line says so). */
static inline bool bench_train_open(struct bench_train *t, const struct model_config *c, struct memory_shape shape, int64_t tokens,
                                    int64_t row)
{
    *t = (struct bench_train){.shape = shape};
    t->shape.model.config = *c;
    t->shape.model.train = true;
    t->shape.model.max_tokens = tokens;
    t->shape.model.max_docs = (int32_t)((tokens + row - 1) / row);
    t->shape.model.logit_rows = model_logit_rows(c, shape.model.type, tokens);
    params_plan(&t->table, c);
    t->libraries = (double)memory_library(&t->shape);
    size_t free_bytes, total_bytes;
    dev_memory(&free_bytes, &total_bytes);
    struct arena mem = {0};
    t->layer = (struct block_acts *)xcalloc((size_t)c->layers, sizeof *t->layer);
    memory_layout(&t->m, &mem, &t->table, &t->shape, t->layer);
    if (mem.used > free_bytes) {
        printf("  skipped: it needs %.2f GiB, %.2f GiB are free\n", (double)mem.used / (1 << 30), (double)free_bytes / (1 << 30));
        free(t->layer);
        params_free(&t->table);
        return false;
    }
    bench_peak_reset();
    t->device = dev_alloc(mem.used);
    mem = (struct arena){(char *)t->device, mem.used, 0};
    memory_layout(&t->m, &mem, &t->table, &t->shape, t->layer);
    struct arena batch = {0};
    batch_layout(&t->host_pass, &batch, &t->shape.model);
    t->batch_bytes = batch.used;
    t->host = dev_host_alloc(t->batch_bytes);
    batch = (struct arena){(char *)t->host, t->batch_bytes, 0};
    batch_layout(&t->host_pass, &batch, &t->shape.model);
    bench_weights(t->m.w, &t->m.master, c);
    bench_train_pass(t, tokens, row);
    return true;
}

static inline void bench_train_close(struct bench_train *t)
{
    dev_free(t->device);
    dev_host_free(t->host);
    free(t->layer);
    params_free(&t->table);
}

/* The settings of the bench's steps. */
static const struct optim_settings bench_optim = {.lr = 1e-4, .betas = {0.9, 0.95}, .eps = 1e-8, .weight_decay = 0.1, .grad_clip = 1};

/* A whole step of one pass; returns its seconds. Numbers that are not finite end the bench: they are faster. */
static inline double bench_train_step(struct bench_train *t, struct step_stats *stats)
{
    dev_sync();
    double begin = log_now();
    step_begin(&t->m);
    step_pass(&t->m, &t->p);
    step_update(&t->m, &bench_optim, bench_optim.lr, ++t->updates);
    dev_get(stats, t->m.stats, sizeof *stats);
    double took = log_now() - begin;
    if (!isfinite(stats->scale))
        die("the bench's loss or gradient is not finite: loss %g, gradient norm %g", stats->loss, (double)stats->grad_norm);
    return took;
}

/* The views of layer 0 and of its gradients that block_forward() and block_backward() hand to the ops. */
struct bench_layer {
    const struct model_config *c;
    struct block_acts a;
    mat z, xBC, dt, x, B, C; /* of proj and conv */
    mat dx, dx_low, dg, dconv, dproj, dh, dz, dxBC;
    struct ssd_in in;
    struct ssd_grad ssd;
    struct ssd_dims dims;
};
static inline struct bench_layer bench_layer(const struct bench_train *t)
{
    const struct model_config *c = &t->shape.model.config;
    const struct memory *m = &t->m;
    int64_t n = t->p.s.tokens, inner = config_inner(c), conv = config_conv_dim(c), gn = (int64_t)c->groups * c->state;
    struct bench_layer v = {.c = c, .a = t->layer[0], .dims = {c->heads, c->headdim, c->groups, c->state}};
    v.a.x.rows = v.a.h.rows = v.a.proj.rows = v.a.conv.rows = v.a.y.rows = v.a.g.rows = n;
    v.dx = mat_rows(m->acts.dx, 0, n);
    v.dx_low = mat_rows(m->acts.scratch.dx_low, 0, n);
    v.dg = mat_rows(m->acts.scratch.dg, 0, n);
    v.dconv = mat_rows(m->acts.scratch.dconv, 0, n);
    v.dproj = mat_rows(m->acts.scratch.dproj, 0, n);
    v.dh = mat_rows(m->acts.dh, 0, n);
    v.z = mat_cols(v.a.proj, 0, inner);
    v.xBC = mat_cols(v.a.proj, inner, conv);
    v.dt = mat_cols(v.a.proj, inner + conv, c->heads);
    v.x = mat_cols(v.a.conv, 0, inner);
    v.B = mat_cols(v.a.conv, inner, gn);
    v.C = mat_cols(v.a.conv, inner + gn, gn);
    v.dz = mat_cols(v.dproj, 0, inner);
    v.dxBC = mat_cols(v.dproj, inner, conv);
    v.in = (struct ssd_in){v.x, v.B, v.C, v.dt, tensors_vec(m->w, P_DT_BIAS, 0), tensors_vec(m->w, P_A_LOG, 0), tensors_vec(m->w, P_D, 0)};
    v.ssd = (struct ssd_grad){mat_cols(v.dconv, 0, inner),         mat_cols(v.dconv, inner, gn),
                              mat_cols(v.dconv, inner + gn, gn),   mat_cols(v.dproj, inner + conv, c->heads),
                              tensors_vec(m->grads, P_DT_BIAS, 0), tensors_vec(m->grads, P_A_LOG, 0),
                              tensors_vec(m->grads, P_D, 0)};
    return v;
}

/* FLOPs per token of the chunked scan, half of each chunk's square: products of the chunk's rows with each other, and with the state. */
static inline double ssd_flops(const struct model_config *c, int32_t chunk, bool backward)
{
    double inside = (double)chunk * c->groups * c->state, rows = (double)chunk * (double)config_inner(c);
    double state = 2 * (double)config_ssd_state(c);
    return backward ? 3 * inside + 2 * rows + 4 * state : inside + rows + 2 * state;
}
/* Bytes per token; a state at each chunk's start is written by the forward and read by the backward. */
static inline double ssd_bytes(const struct model_config *c, int32_t chunk, bool backward, bool kept, double e)
{
    double inner = (double)config_inner(c), gn = (double)c->groups * c->state, states = kept ? (double)config_ssd_state(c) / chunk : 0;
    return e * (backward ? 3 * inner + 4 * gn + 2 * c->heads : 2 * inner + 2 * gn + c->heads) + states * e + (kept ? 8.0 * c->heads : 0);
}

/* Bytes and FLOPs of a product of [n, in] and [out, in]; y_bytes: of an element of the [n, out] matrix. */
static inline double product_bytes(double n, double in, double out, double x_bytes, double w_bytes, double y_bytes)
{
    return n * in * x_bytes + in * out * w_bytes + n * out * y_bytes;
}

/* One projection's three products; its rows are named "in_proj fwd" and so on. */
static inline void bench_product(struct bench *b, const char *name, mat y, mat x, mat add, mat w, mat dw, mat dx, mat dy, double fwd_calls,
                                 double bwd_calls)
{
    char text[48];
    double n = (double)x.rows, in = (double)w.cols, out = (double)w.rows, flops = 2 * n * in * out;
    double e = (double)dtype_size(x.dtype), ey = (double)dtype_size(y.dtype), eg = (double)dtype_size(dw.dtype);
    snprintf(text, sizeof text, "%s fwd", name);
    for (bench_begin(b, text, 0); bench_next(b);)
        linear_fwd(y, x, w, add);
    bench_row(b, product_bytes(n, in, out, e, e, add.data ? 2 * ey : ey), flops, fwd_calls);
    snprintf(text, sizeof text, "%s bwd_w", name);
    for (bench_begin(b, text, 0); bench_next(b);)
        linear_bwd_w(dw, dy, x);
    bench_row(b, product_bytes(n, in, out, e, 2 * eg, e), flops, bwd_calls);
    snprintf(text, sizeof text, "%s bwd_x", name);
    for (bench_begin(b, text, 0); bench_next(b);)
        linear_bwd_x(dx, dy, w, 0);
    bench_row(b, product_bytes(n, in, out, e, e, e), flops, bwd_calls);
}

/* The ops of a block, forward and backward. calls: in one step. */
static inline void bench_block_ops(struct bench *b, struct bench_train *t)
{
    struct bench_layer v = bench_layer(t);
    const struct model_config *c = v.c;
    struct memory *m = &t->m;
    struct seqs s = t->p.s;
    struct state_view zero = {0};
    void *ops = m->acts.scratch.ops;
    float eps = (float)c->eps;
    int32_t again = c->layers - t->shape.model.kept_layers - 1; /* layers whose mixer runs twice */
    double n = (double)s.tokens, e = (double)dtype_size(t->shape.model.type), r = (double)dtype_size(t->shape.model.residual);
    double hidden = (double)c->hidden, inner = (double)config_inner(c), conv = (double)config_conv_dim(c);
    double bwd = c->layers, mixer = c->layers + (again > 0 ? again : 0);
    mat none = {0}, x_next = mat_rows(m->acts.x_out, 0, s.tokens);
    float *conv_w = tensors_vec(m->w, P_CONV_W, 0), *conv_b = tensors_vec(m->w, P_CONV_B, 0);

    for (bench_begin(b, "rmsnorm fwd", 0); bench_next(b);)
        rmsnorm_fwd(v.a.h, v.a.rstd, v.a.x, tensors_vec(m->w, P_NORM, 0), eps);
    bench_row(b, n * hidden * (r + e), 0, mixer + 1);
    bench_product(b, "in_proj", v.a.proj, v.a.h, none, tensors_mat(m->w, P_IN_PROJ, 0), tensors_mat(m->grads, P_IN_PROJ, 0), v.dh, v.dproj,
                  mixer, bwd);
    for (bench_begin(b, "conv fwd", 0); bench_next(b);)
        conv_fwd(v.a.conv, v.xBC, conv_w, conv_b, c->conv, s, zero);
    bench_row(b, 2 * n * conv * e, n * conv * 2 * c->conv, mixer);
    for (bench_begin(b, "ssd fwd, training", 0); bench_next(b);)
        ssd_fwd(v.a.y, v.a.ssd, v.in, v.dims, s, zero, ops);
    bench_row(b, n * ssd_bytes(c, s.chunk, false, true, e), n * ssd_flops(c, s.chunk, false), mixer);
    for (bench_begin(b, "gatenorm fwd", 0); bench_next(b);)
        gatenorm_fwd(v.a.g, v.a.rstd_gate, v.a.y, v.z, tensors_vec(m->w, P_GATE_NORM, 0), c->groups, eps);
    bench_row(b, 3 * n * inner * e, 0, mixer);
    if (v.dx_low.data != v.dx.data) {
        for (bench_begin(b, "convert dx", 0); bench_next(b);)
            mat_convert(v.dx_low, v.dx);
        bench_row(b, n * hidden * (r + e), 0, bwd);
    }
    bench_product(b, "out_proj", x_next, v.a.g, v.a.x, tensors_mat(m->w, P_OUT_PROJ, 0), tensors_mat(m->grads, P_OUT_PROJ, 0), v.dg,
                  v.dx_low, c->layers, bwd);
    for (bench_begin(b, "gatenorm bwd", 0); bench_next(b);)
        gatenorm_bwd(v.dg, v.dz, tensors_vec(m->grads, P_GATE_NORM, 0), v.a.g, v.a.y, v.z, tensors_vec(m->w, P_GATE_NORM, 0), v.a.rstd_gate,
                     c->groups, ops);
    bench_row(b, 5 * n * inner * e, 0, bwd);
    for (bench_begin(b, "ssd bwd", 0); bench_next(b);)
        ssd_bwd(v.ssd, v.dg, v.a.ssd, v.in, v.dims, s, ops);
    bench_row(b, n * ssd_bytes(c, s.chunk, true, true, e), n * ssd_flops(c, s.chunk, true), bwd);
    for (bench_begin(b, "conv bwd", 0); bench_next(b);)
        conv_bwd(v.dxBC, tensors_vec(m->grads, P_CONV_W, 0), tensors_vec(m->grads, P_CONV_B, 0), v.dconv, v.xBC, conv_w, conv_b, c->conv, s,
                 ops);
    bench_row(b, 3 * n * conv * e, n * conv * 6 * c->conv, bwd);
    for (bench_begin(b, "rmsnorm bwd", 0); bench_next(b);)
        rmsnorm_bwd(v.dx, tensors_vec(m->grads, P_NORM, 0), v.dh, v.a.x, tensors_vec(m->w, P_NORM, 0), v.a.rstd, ops);
    bench_row(b, n * hidden * (3 * r + e), 0, bwd + 1);
}

/* Embeddings, head and loss. */
static inline void bench_ends_ops(struct bench *b, struct bench_train *t)
{
    const struct model_config *c = &t->shape.model.config;
    struct memory *m = &t->m;
    struct acts *a = &m->acts;
    int64_t tokens = t->p.s.tokens, rows = tokens < a->shape.logit_rows ? tokens : a->shape.logit_rows;
    double n = (double)tokens, e = (double)dtype_size(t->shape.model.type), r = (double)dtype_size(t->shape.model.residual);
    double g = (double)dtype_size(t->shape.gradients), hidden = (double)c->hidden, vocab = (double)c->vocab, pieces = n / (double)rows;
    mat none = {0}, logits = mat_rows(a->logits, 0, rows), dlogits = mat_rows(a->dlogits, 0, rows), h = mat_rows(a->h, 0, rows);
    double distinct = vocab * -expm1(n * log1p(-1 / vocab)); /* of n random tokens */
    for (bench_begin(b, "embed fwd", 0); bench_next(b);)
        embed_fwd(mat_rows(t->layer[0].x, 0, tokens), tensors_mat(m->w, P_EMBED, -1), t->p.ids);
    bench_row(b, hidden * (distinct * e + n * r), 0, 1);
    for (bench_begin(b, "embed bwd", 0); bench_next(b);)
        embed_bwd(tensors_mat(m->grads, P_EMBED, -1), mat_rows(a->dx, 0, tokens), t->p.ids, a->scratch.ops);
    bench_row(b, hidden * (n * r + 2 * distinct * g), 0, 1);
    bench_product(b, "head", logits, h, none, tensors_head(m->w), tensors_head(m->grads), mat_rows(a->dh, 0, rows), dlogits, pieces,
                  pieces);
    for (bench_begin(b, "xent", 0); bench_next(b);)
        xent_fwd_bwd(dlogits, a->loss, logits, t->p.target, t->p.weight);
    bench_row(b, (double)rows * vocab * (4 + e), 0, pieces);
}

/* Once a step over all the weights. */
static inline void bench_optim_ops(struct bench *b, struct bench_train *t)
{
    struct memory *m = &t->m;
    double w = (double)t->table.weights, g = (double)dtype_size(t->shape.gradients);
    struct step_stats stats = {.scale = 1};
    dev_put(m->stats, &stats, sizeof stats);
    for (bench_begin(b, "sumsq, all gradients", 0); bench_next(b);)
        step_sumsq(m);
    bench_row(b, w * g, 0, 1);
    for (bench_begin(b, "adamw, all weights", 0); bench_next(b);)
        step_adamw(m, &bench_optim, bench_optim.lr, ++t->updates);
    bench_row(b, w * (24 + g + (m->w.base != m->master.base ? 2 : 0)), 0, 1);
    for (bench_begin(b, "zero gradients", 0); bench_next(b);)
        step_zero(m->grads);
    bench_row(b, w * g, 0, 1);
}
#endif
