/* tests/bench_ops.c - every op of a training step and of a decode step at a model's shape, beside what memory and matrix products give.
 *
 * A model of one layer with random weights runs a training step, so that every matrix holds numbers of a real pass; then each op is timed
 * on them alone. At the shape of Mamba-Codestral-7B on a GPU the best public kernels' times stand beside ours.
 */
#include "kernels/mixer.h"
#include "model/block.h"
#include "tests/bench_train.h"

enum { PUBLISHED_TOKENS = 16384, SLOTS = 256 };

/* Measured in one run on one H100 80GB (3.03 TB/s copy, 776 TFLOP/s bf16 at 8192^3), bf16, one sequence: the best public kernel in us, or
 * for products its TFLOP/s; and what an op of that traffic could reach there, in us. Step rows: tokens is the batch. */
static const struct published {
    const char *op;
    int64_t tokens;
    double best, floor;
    const char *source;
} published[] = {
    {"in_proj fwd", 16384, 699, 0, "cuBLAS, TFLOP/s"},
    {"in_proj bwd_x", 16384, 728, 0, "cuBLAS, TFLOP/s"},
    {"in_proj bwd_w", 16384, 751, 0, "cuBLAS, TFLOP/s"},
    {"out_proj fwd", 16384, 717, 0, "cuBLAS, TFLOP/s"},
    {"out_proj bwd_x", 16384, 677, 0, "cuBLAS, TFLOP/s"},
    {"out_proj bwd_w", 16384, 620, 0, "cuBLAS, TFLOP/s"},
    {"head fwd", 16384, 697, 0, "cuBLAS, TFLOP/s"},
    {"head bwd_x", 16384, 708, 0, "cuBLAS, TFLOP/s"},
    {"head bwd_w", 16384, 723, 0, "cuBLAS, TFLOP/s"},
    {"rmsnorm fwd", 16384, 272, 0, "mamba_ssm, with the add, f32 residual"},
    {"rmsnorm bwd", 16384, 620, 0, "mamba_ssm, with the add, f32 residual"},
    {"conv fwd", 2048, 39, 27.5, "causal-conv1d"},
    {"conv fwd", 16384, 261, 220, "causal-conv1d"},
    {"conv fwd", 20480, 327, 275, "causal-conv1d"},
    {"conv bwd", 2048, 83, 41, "causal-conv1d"},
    {"conv bwd", 16384, 534, 330, "causal-conv1d"},
    {"conv bwd", 20480, 705, 412, "causal-conv1d"},
    {"ssd fwd, training", 2048, 69, 25, "CUTLASS example 111, no cumsum"},
    {"ssd fwd, training", 16384, 495, 200, "CUTLASS example 111, no cumsum"},
    {"ssd fwd, training", 20480, 612, 250, "CUTLASS example 111, no cumsum"},
    {"ssd fwd, inference", 2048, 69, 25, "CUTLASS example 111, no cumsum"},
    {"ssd fwd, inference", 16384, 495, 200, "CUTLASS example 111, no cumsum"},
    {"ssd fwd, inference", 20480, 612, 250, "CUTLASS example 111, no cumsum"},
    {"ssd bwd", 2048, 680, 45, "mamba_ssm"},
    {"ssd bwd", 16384, 4410, 360, "mamba_ssm"},
    {"ssd bwd", 20480, 5520, 450, "mamba_ssm"},
    {"gatenorm fwd", 2048, 42, 34, "mamba_ssm"},
    {"gatenorm fwd", 16384, 281, 270, "mamba_ssm"},
    {"gatenorm fwd", 20480, 351, 338, "mamba_ssm"},
    {"gatenorm bwd", 2048, 148, 55, "mamba_ssm"},
    {"gatenorm bwd", 16384, 1096, 440, "mamba_ssm"},
    {"gatenorm bwd", 20480, 1370, 550, "mamba_ssm"},
    {"mixer fwd + bwd + recompute", 16384, 29800, 19200, "mamba_ssm and cuBLAS"},
    {"head and xent, all pieces", 16384, 27300, 17000, "torch"},
    {"mixer step, bf16 state", 1, 3.65, 1.4, "FlashInfer, tuned Triton: the scan alone"},
    {"mixer step, bf16 state", 8, 13.7, 11.2, "FlashInfer, tuned Triton: the scan alone"},
    {"mixer step, bf16 state", 64, 101, 89, "FlashInfer, tuned Triton: the scan alone"},
    {"mixer step, bf16 state", 256, 392, 358, "FlashInfer, tuned Triton: the scan alone"},
    {"mixer step, f32 state", 1, 4.99, 2.8, "FlashInfer, tuned Triton: the scan alone"},
    {"mixer step, f32 state", 8, 25.8, 22, "FlashInfer, tuned Triton: the scan alone"},
    {"mixer step, f32 state", 64, 195, 178, "FlashInfer, tuned Triton: the scan alone"},
    {"mixer step, f32 state", 256, 758, 712, "FlashInfer, tuned Triton: the scan alone"},
};

static void published_note(struct bench *b, json_t *row)
{
    const struct bench_op *o = &b->op[b->n_op - 1];
    for (size_t i = 0; i < sizeof published / sizeof *published; i++) {
        const struct published *p = &published[i];
        if (p->tokens != b->tokens || strcmp(p->op, o->name) != 0)
            continue;
        double us = strstr(p->source, "TFLOP/s") ? o->flops / p->best * 1e-6 : p->best;
        printf("  published, H100: %.1f us (%s), ours %.2fx", us, p->source, us * 1e-6 / o->seconds);
        json_t *there = json_pack("{s:f, s:s}", "seconds", us * 1e-6, "source", p->source);
        if (p->floor > 0) {
            printf(", floor %.1f us", p->floor);
            json_object_set_new(there, "floor_s", json_real(p->floor * 1e-6));
        }
        json_object_set_new(row, "published_h100", there);
    }
}

/* The scan without what only the backward reads, and with other chunks than a training run's. */
static void scans(struct bench *b, struct bench_train *t)
{
    struct bench_layer v = bench_layer(t);
    const struct model_config *c = v.c;
    struct state_view zero = {0};
    struct ssd_kept none = {0};
    double n = (double)t->p.s.tokens, e = (double)dtype_size(t->shape.model.type);
    for (bench_begin(b, "ssd fwd, inference", 0); bench_next(b);)
        ssd_fwd(v.a.y, none, v.in, v.dims, t->p.s, zero, t->m.acts.scratch.ops);
    bench_row(b, n * ssd_bytes(c, c->chunk, false, false, e), n * ssd_flops(c, c->chunk, false), 0);
    for (int32_t chunk = 64; chunk <= 256; chunk *= 2) {
        if (chunk == t->p.s.chunk)
            continue;
        char name[48];
        int32_t len = (int32_t)t->p.s.tokens;
        struct ref_seqs q = ref_seqs_make(&len, 1, NULL, chunk);
        struct ssd_kept kept = v.a.ssd; /* dt and cum have room for any chunk */
        kept.states = dev_alloc((size_t)(q.host.n_chunk * config_ssd_state(c)) * (size_t)e);
        void *scratch = dev_alloc(ssd_scratch(v.dims, len, 1, chunk, true));
        snprintf(name, sizeof name, "ssd fwd, training, chunk %d", chunk);
        for (bench_begin(b, name, 0); bench_next(b);)
            ssd_fwd(v.a.y, kept, v.in, v.dims, q.dev, zero, scratch);
        bench_row(b, n * ssd_bytes(c, chunk, false, true, e), n * ssd_flops(c, chunk, false), 0);
        if (b->filter) /* what the backward reads, should the forward not have been asked for */
            ssd_fwd(v.a.y, kept, v.in, v.dims, q.dev, zero, scratch);
        snprintf(name, sizeof name, "ssd bwd, chunk %d", chunk);
        for (bench_begin(b, name, 0); bench_next(b);)
            ssd_bwd(v.ssd, v.dg, kept, v.in, v.dims, q.dev, scratch);
        bench_row(b, n * ssd_bytes(c, chunk, true, true, e), n * ssd_flops(c, chunk, true), 0);
        dev_free(kept.states);
        dev_free(scratch);
        ref_seqs_free(&q);
    }
}

/* The same tokens in four documents: what their boundaries cost, which lie where no chunk would end. */
static void scan_of_documents(struct bench *b, struct bench_train *t)
{
    struct bench_layer v = bench_layer(t);
    int32_t n = (int32_t)t->p.s.tokens, chunk = t->p.s.chunk, len[4] = {n / 16 + 13, n / 8 + 29, n * 5 / 16 + 41};
    if (n < 256)
        return;
    len[3] = n - len[0] - len[1] - len[2];
    double e = (double)dtype_size(t->shape.model.type);
    struct ref_seqs q = ref_seqs_make(len, 4, NULL, chunk);
    struct ssd_kept kept = v.a.ssd;
    kept.states = dev_alloc((size_t)(q.host.n_chunk * config_ssd_state(v.c)) * (size_t)e);
    void *scratch = dev_alloc(ssd_scratch(v.dims, n, 4, chunk, true));
    for (bench_begin(b, "ssd fwd, training, 4 documents", 0); bench_next(b);)
        ssd_fwd(v.a.y, kept, v.in, v.dims, q.dev, (struct state_view){0}, scratch);
    bench_row(b, n * ssd_bytes(v.c, chunk, false, true, e), n * ssd_flops(v.c, chunk, false), 0);
    if (b->filter) /* what the backward reads, should the forward not have been asked for */
        ssd_fwd(v.a.y, kept, v.in, v.dims, q.dev, (struct state_view){0}, scratch);
    for (bench_begin(b, "ssd bwd, 4 documents", 0); bench_next(b);)
        ssd_bwd(v.ssd, v.dg, kept, v.in, v.dims, q.dev, scratch);
    bench_row(b, n * ssd_bytes(v.c, chunk, true, true, e), n * ssd_flops(v.c, chunk, true), 0);
    dev_free(kept.states);
    dev_free(scratch);
    ref_seqs_free(&q);
}

/* A model whose heads alone do not fill a card, the shape of mamba2-130m: one document, and 40 of different lengths. */
static void scan_of_few_heads(struct bench *b, const struct bench_train *t)
{
    struct model_config c = bench_config("mamba2-130m");
    int64_t n = t->p.s.tokens, inner = config_inner(&c), gn = (int64_t)c.groups * c.state, cols = config_conv_dim(&c) + c.heads;
    if (t->shape.model.config.heads == c.heads) /* done */
        return;
    int32_t len = (int32_t)n;
    double e = (double)dtype_size(b->type);
    struct ssd_dims d = {c.heads, c.headdim, c.groups, c.state};
    struct ref_seqs q = ref_seqs_make(&len, 1, NULL, c.chunk);
    mat all = mat_make(bench_numbers(b->type, n * cols), b->type, n, cols);
    mat y = mat_make(dev_alloc((size_t)(n * inner * dtype_size(b->type))), b->type, n, inner);
    float *vec = bench_numbers(F32, 3 * c.heads);
    struct ssd_in in = {
        mat_cols(all, 0, inner), mat_cols(all, inner, gn), mat_cols(all, inner + gn, gn), mat_cols(all, inner + 2 * gn, c.heads), vec,
        vec + c.heads,           vec + 2 * c.heads};
    void *scratch = dev_alloc(ssd_scratch(d, n, 1, c.chunk, false));
    for (bench_begin(b, "ssd fwd, inference, 24 heads", 0); bench_next(b);)
        ssd_fwd(y, (struct ssd_kept){0}, in, d, q.dev, (struct state_view){0}, scratch);
    bench_row(b, (double)n * ssd_bytes(&c, c.chunk, false, false, e), (double)n * ssd_flops(&c, c.chunk, false), 0);
    dev_free(scratch);
    ref_seqs_free(&q);
    enum { DOCS = 40 };
    if (n >= 10 * DOCS) {
        int32_t lens[DOCS], mean = len / DOCS, chunk = ssd_train_chunk(c.chunk);
        for (int i = 0; i < DOCS; i++, len -= lens[i - 1])
            lens[i] = i == DOCS - 1 ? len : mean * (1 + 2 * (i % 5)) / 5;
        q = ref_seqs_make(lens, DOCS, NULL, chunk);
        struct ssd_kept kept = {(float *)dev_alloc((size_t)(n * c.heads) * sizeof(float)),
                                (float *)dev_alloc((size_t)(n * c.heads) * sizeof(float)),
                                dev_alloc((size_t)(q.host.n_chunk * config_ssd_state(&c)) * (size_t)e)};
        scratch = dev_alloc(ssd_scratch(d, n, DOCS, chunk, false));
        for (bench_begin(b, "ssd fwd, training, 24 heads, 40 documents", 0); bench_next(b);)
            ssd_fwd(y, kept, in, d, q.dev, (struct state_view){0}, scratch);
        bench_row(b, (double)n * ssd_bytes(&c, chunk, false, true, e), (double)n * ssd_flops(&c, chunk, false), 0);
        dev_free(scratch);
        dev_free(kept.states);
        dev_free(kept.cum);
        dev_free(kept.dt);
        ref_seqs_free(&q);
    }
    dev_free(vec);
    dev_free(y.data);
    dev_free(all.data);
}

/* A layer of a step with full recompute: the block, its mixer again (never out_proj), its gradients. What bounds it are its ops one after the
 * other: bench_block_ops() was the group's first. */
static void mixer(struct bench *b, struct bench_train *t)
{
    struct bench_layer v = bench_layer(t);
    struct memory *m = &t->m;
    struct block_state none = {0};
    mat x_next = mat_rows(m->acts.x_out, 0, t->p.s.tokens);
    double bytes = 0, flops = 0, bound = 0;
    for (int i = 0; i < b->n_op; i++) {
        const struct bench_op *o = &b->op[i];
        double times = strstr(o->name, " fwd") && strcmp(o->name, "out_proj fwd") != 0 ? 2 : 1;
        bytes += times * o->bytes;
        flops += times * o->flops;
        bound += times * bench_bound(b, o->bytes, o->flops);
    }
    bench_begin(b, "mixer fwd + bwd + recompute", 0);
    for (b->alone = true; bench_next(b);) {
        mat_convert(v.dx, v.a.x); /* a gradient that comes out would grow from call to call */
        dev_timer_start();
        block_forward(&t->layer[0], x_next, v.c, m->w, 0, t->p.s, none, m->acts.scratch.ops);
        mixer_forward(&t->layer[0], v.c, m->w, 0, t->p.s, none, m->acts.scratch.ops);
        block_backward(m->acts.dx, &t->layer[0], v.c, m->w, m->grads, 0, t->p.s, &m->acts.scratch);
    }
    bench_row_bound(b, bytes, flops, bound, 0);
}

/* The head with its loss over all tokens, from the pieces' times. */
static void head_sum(struct bench *b, const struct bench_train *t)
{
    double seconds = 0, flops = 0;
    int parts = 0;
    for (int i = 0; i < b->n_op; i++)
        if (b->op[i].seconds > 0 && (strncmp(b->op[i].name, "head ", 5) == 0 || strcmp(b->op[i].name, "xent") == 0)) {
            seconds += b->op[i].seconds * b->op[i].calls;
            flops += b->op[i].flops * b->op[i].calls;
            parts++;
        }
    if (parts != 4) /* filtered */
        return;
    snprintf(b->name, sizeof b->name, "head and xent, all pieces");
    b->wanted = true;
    b->seconds = b->best = seconds;
    const struct model_config *c = &t->shape.model.config;
    bench_row(b, 3.0 * (double)(t->p.s.tokens * c->hidden * dtype_size(t->shape.model.type)), flops, 1);
}

/* A decode step's rows go through other slots at every call, so that small batches do not find their states in a cache. */
static void steps(struct bench *b, struct bench_train *t, const char *model)
{
    enum { CALLS = 32 };
    static const int32_t batches[] = {1, 2, 4, 8, 16, 64, SLOTS};
    struct bench_layer v = bench_layer(t);
    const struct model_config *c = v.c;
    enum dtype type = t->shape.model.type;
    int64_t size = config_ssd_state(c), conv = config_conv_dim(c), past = (c->conv - 1) * conv;
    double e = (double)dtype_size(type);
    char name[48], title[128];
    snprintf(title, sizeof title, "%s, decode steps, activations %s", model, ref_dtype_name(type));
    json_t *group = bench_group(b, title);
    json_object_set_new(group, "model", json_string(model));
    struct state_view convs = {bench_numbers(type, SLOTS * past), (int)type, past};
    void *states[] = {[F32] = bench_numbers(F32, SLOTS * size), [BF16] = dev_supports(BF16) ? bench_numbers(BF16, SLOTS * size) : NULL};
    int32_t len[SLOTS], slot[SLOTS];
    for (int32_t i = 0; i < SLOTS; i++)
        len[i] = 1;
    struct mixer_in mixer = {.d = v.dims,
                             .conv = c->conv,
                             .conv_w = tensors_vec(t->m.w, P_CONV_W, 0),
                             .conv_b = tensors_vec(t->m.w, P_CONV_B, 0),
                             .dt_bias = v.in.dt_bias,
                             .A_log = v.in.A_log,
                             .D = v.in.D,
                             .norm = tensors_vec(t->m.w, P_GATE_NORM, 0),
                             .eps = (float)c->eps};
    for (size_t k = 0; k < sizeof batches / sizeof *batches; k++) {
        int32_t rows = batches[k], turns = SLOTS / rows < CALLS ? SLOTS / rows : CALLS, at = 0;
        if (rows > t->p.s.tokens || rows > t->m.acts.logits.rows)
            break;
        struct ref_seqs q[CALLS];
        for (int32_t i = 0; i < turns; i++) {
            for (int32_t j = 0; j < rows; j++)
                slot[j] = i * rows + j;
            q[i] = ref_seqs_make(len, rows, slot, c->chunk);
        }
        b->tokens = rows;
        printf("  batch %d\n", rows);
        mixer.proj = mat_rows(v.a.proj, 0, rows);
        mixer.room = mat_rows(v.a.conv, 0, rows);
        mat h = mat_rows(v.a.h, 0, rows), g = mat_rows(v.a.g, 0, rows), x = mat_rows(v.a.x, 0, rows);
        mat in_proj = tensors_mat(t->m.w, P_IN_PROJ, 0), out_proj = tensors_mat(t->m.w, P_OUT_PROJ, 0), head = tensors_head(t->m.w);
        mat x_next = mat_rows(t->m.acts.x_out, 0, rows), logits = mat_rows(t->m.acts.logits, 0, rows), none = {0};
        double in_bytes = product_bytes(rows, (double)in_proj.cols, (double)in_proj.rows, 4, e, e);
        double out_bytes = product_bytes(rows, (double)out_proj.cols, (double)out_proj.rows, e, e, 4) + 4.0 * rows * (double)c->hidden;
        double in_flops = 2.0 * rows * (double)(in_proj.cols * in_proj.rows),
               out_flops = 2.0 * rows * (double)(out_proj.cols * out_proj.rows);
        for (enum dtype s = F32; s <= BF16; s++) {
            if (!states[s])
                continue;
            struct block_state state = {convs, {states[s], (int)s, size}};
            double mixer_bytes =
                rows * (2.0 * (double)(size * dtype_size(s)) + e * (double)(2 * past + config_proj_dim(c) + config_inner(c))) +
                4.0 * (double)((c->conv + 1) * conv + config_inner(c) + 3 * c->heads);
            double mixer_flops = rows * (5.0 * (double)size + 2.0 * (double)(c->conv * conv));
            snprintf(name, sizeof name, "mixer step, %s state", ref_dtype_name(s));
            for (bench_begin(b, name, CALLS); bench_next(b);)
                mixer_step(g, mixer, q[at++ % turns].dev, state.conv, state.ssd);
            bench_row(b, mixer_bytes, mixer_flops, 0);
            snprintf(name, sizeof name, "layer step, %s state", ref_dtype_name(s));
            for (bench_begin(b, name, 8); bench_next(b);)
                block_forward(&t->layer[0], x_next, c, t->m.w, 0, q[at++ % turns].dev, state, t->m.acts.scratch.ops);
            bench_row(b, mixer_bytes + in_bytes + out_bytes, mixer_flops + in_flops + out_flops, 0);
        }
        for (bench_begin(b, "norm and in_proj step", 8); bench_next(b);)
            linear_norm_step(mixer.proj, h, x, tensors_vec(t->m.w, P_NORM, 0), (float)c->eps, in_proj);
        bench_row(b, in_bytes, in_flops, 0);
        for (bench_begin(b, "out_proj step", 8); bench_next(b);)
            linear_step(x_next, g, out_proj, x);
        bench_row(b, out_bytes, out_flops, 0);
        for (bench_begin(b, "head step", 8); bench_next(b);)
            linear_step(logits, mat_rows(t->m.acts.h, 0, rows), head, none);
        bench_row(b, product_bytes(rows, (double)head.cols, (double)head.rows, e, e, 4), 2.0 * rows * (double)(head.cols * head.rows), 0);
        for (int32_t i = 0; i < turns; i++)
            ref_seqs_free(&q[i]);
    }
    dev_free(convs.data);
    dev_free(states[F32]);
    dev_free(states[BF16]);
}

static void model(struct bench *b, const char *name, const int64_t *tokens, int n)
{
    struct model_config c = bench_config(name);
    struct memory_shape shape = {.model = {.type = b->type, .residual = F32, .kept_layers = 1}, .gradients = F32};
    struct bench_train t;
    struct step_stats stats;
    c.layers = 1;
    b->note = strcmp(dev_backend(), "cuda") == 0 && strcmp(name, "mamba-codestral-7b") == 0 ? published_note : NULL;
    if (!bench_train_open(&t, &c, shape, tokens[n - 1], tokens[n - 1]))
        return;
    for (int i = 0; i < n; i++) {
        char title[128];
        snprintf(title, sizeof title, "%s, T = %lld, chunk %d, activations %s, residual f32", name, (long long)tokens[i], c.chunk,
                 ref_dtype_name(b->type));
        json_t *group = bench_group(b, title);
        json_object_set_new(group, "model", json_string(name));
        json_object_set_new(group, "tokens", json_integer(tokens[i]));
        b->tokens = tokens[i];
        bench_train_pass(&t, tokens[i], tokens[i]);
        bench_train_step(&t, &stats);
        bench_block_ops(b, &t);
        mixer(b, &t);
        scans(b, &t);
        scan_of_documents(b, &t);
        scan_of_few_heads(b, &t);
        bench_ends_ops(b, &t);
        head_sum(b, &t);
        if (i == 0)
            bench_optim_ops(b, &t);
    }
    steps(b, &t, name);
    bench_train_close(&t);
}

int main(int argc, char **argv)
{
    static const int64_t small[] = {4096}, middle[] = {2048}, large[] = {2048, PUBLISHED_TOKENS, 20480};
    struct bench b;
    bench_open(&b, argc, argv, "bench_ops: time of each op beside the measured rates of memory and matrix products");
    b.filter = b.set.only;
    if (b.set.model) {
        int64_t tokens = b.set.tokens > 0 ? b.set.tokens : middle[0];
        model(&b, b.set.model, &tokens, 1);
    } else if (strcmp(dev_backend(), "cpu") == 0) {
        model(&b, "demo", small, 1);
        model(&b, "mamba2-130m", middle, 1);
    } else {
        model(&b, "mamba-codestral-7b", large, 3);
    }
    return bench_close(&b, "bench_ops");
}
