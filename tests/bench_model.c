/* tests/bench_model.c - whole training steps and whole decode steps of a model with random weights: tokens/s, what share of a step each op
 * has, how near the matrix products come to the library's own rate, memory beside the plan, decoding beside its memory bound.
 */
#include "kernels/sample.h"
#include "tests/bench_train.h"

static const double GIB = 1 << 30;

/* What is run when no model is named. low_memory: recompute everything; gradients, and the residual stream, in bf16. */
static const struct train_case {
    const char *backend, *model;
    int64_t tokens, row;
    bool low_memory;
} train_cases[] = {
    {"cpu", "demo", 2048, 2048, false},
    {"cpu", "mamba2-130m", 2048, 2048, false},
    {"cuda", "mamba2-130m", 16 * 2048, 2048, false},
    {"cuda", "mamba-codestral-7b", 16384, 16384, true},
    {"cuda", "mamba-codestral-7b", 20480, 20480, true},
};

/* Tokens/s of the best public code, measured on one GPU: training with mamba_ssm's fused node in torch, every layer run again,
 * clip and fused AdamW; decoding with the best public kernels in CUDA graphs, four layers extrapolated to 64. floor: what the copy rate of
 * an H100 (training: the products' rate of an H200) allows. */
static const struct published {
    const char *what; /* "train", or the type of the decode step's states */
    int64_t tokens;   /* of a pass, or the batch */
    double rate, floor;
    const char *source;
} published[] = {
    {"train", 16384, 7661, 11900, "H200, mamba_ssm and torch"}, {"train", 20480, 7790, 11900, "H200, mamba_ssm and torch"},
    {"f32", 64, 3255, 3929, "H100, best public kernels"},       {"bf16", 1, 146.7, 207.8, "H100, best public kernels"},
    {"bf16", 64, 4667, 6029, "H100, best public kernels"},
};
static void published_note(const char *model, const char *what, int64_t tokens, double rate, json_t *into)
{
    if (strcmp(dev_backend(), "cuda") != 0 || strcmp(model, "mamba-codestral-7b") != 0)
        return;
    for (size_t i = 0; i < sizeof published / sizeof *published; i++) {
        const struct published *p = &published[i];
        if (strcmp(p->what, what) != 0 || p->tokens != tokens)
            continue;
        printf("; published, %s: %.1f tokens/s, ours %.2fx, floor %.1f", p->source, p->rate, rate / p->rate, p->floor);
        json_object_set_new(into, "published",
                            json_pack("{s:f, s:f, s:s}", "tokens_per_s", p->rate, "floor_tokens_per_s", p->floor, "source", p->source));
    }
}

/* The share of the step of every op, of all products, and of what is left. */
static void step_shares(struct bench *b, struct bench_train *t, json_t *group)
{
    double ops = 0, products = 0, flops = 0, step = b->step_seconds;
    bench_memory(b);
    bench_memory_json(b, group);
    printf("  its ops; memory right before: copy %.1f GB/s, read %.1f GB/s\n", b->copy * 1e-9, b->read * 1e-9);
    bench_block_ops(b, t);
    bench_ends_ops(b, t);
    bench_optim_ops(b, t);
    for (int i = 0; i < b->n_op; i++) {
        const struct bench_op *o = &b->op[i];
        double s = o->seconds * o->calls;
        ops += s;
        if (strstr(o->name, "_proj ") || strstr(o->name, "head ")) {
            products += s;
            flops += o->flops * o->calls;
        }
    }
    double rate = flops / products;
    printf("  matrix products %.1f%% of the step at %.1f GFLOP/s = %.0f%% of the measured rate; not accounted for by the ops %.1f%%\n",
           100 * products / step, rate * 1e-9, 100 * rate / b->product, 100 * (step - ops) / step);
    json_object_set_new(group, "products_share_of_step", json_real(products / step));
    json_object_set_new(group, "products_flops_per_s", json_real(rate));
    json_object_set_new(group, "products_share_of_rate", json_real(rate / b->product));
    json_object_set_new(group, "other_share_of_step", json_real((step - ops) / step));
}

static void train(struct bench *b, const struct train_case *k, int64_t tokens)
{
    struct model_config c = bench_config(k->model);
    bool low = k->low_memory && b->type == BF16;
    struct memory_shape shape = {.model = {.type = b->type, .residual = low ? BF16 : F32, .kept_layers = k->low_memory ? 0 : c.layers},
                                 .gradients = low ? BF16 : F32};
    int64_t row = k->row == k->tokens || k->row > tokens ? tokens : k->row;
    char title[192];
    snprintf(title, sizeof title, "%s, training, %lld tokens in rows of %lld, %s, gradients %s, residual %s, recompute %s", k->model,
             (long long)tokens, (long long)row, ref_dtype_name(b->type), ref_dtype_name(shape.gradients),
             ref_dtype_name(shape.model.residual), k->low_memory ? "full" : "none");
    json_t *group = bench_group(b, title);
    struct bench_train t;
    struct step_stats stats;
    if (!bench_train_open(&t, &c, shape, tokens, row)) {
        json_object_set_new(group, "skipped", json_string("too little memory"));
        return;
    }
    double sample[8], begin = log_now(), first = bench_train_step(&t, &stats);
    double first_loss = stats.loss;
    int n = 0, most = b->set.quick ? 1 : 8;
    do
        sample[n++] = bench_train_step(&t, &stats);
    while (n < most && (n < 2 || log_now() - begin < 20));
    qsort(sample, (size_t)n, sizeof *sample, bench_compare);
    double step = b->step_seconds = sample[n / 2], rate = (double)tokens / step, flops = 6 * (double)t.table.weights * rate;
    double peak = dev_peak_flops(b->type), used = (double)dev_used_bytes(), plan = (double)t.m.total + t.libraries;
    printf("  step %.1f ms (first %.1f), %.1f tokens/s, %.1f GFLOP/s of model = %.1f%% of the measured product rate", step * 1e3,
           first * 1e3, rate, flops * 1e-9, 100 * flops / b->product);
    if (peak > 0)
        printf(", MFU %.1f%%", 100 * flops / peak);
    published_note(k->model, "train", tokens, rate, group);
    printf("; loss %.3f, after %d more steps %.3f\n", first_loss, n, stats.loss);
    printf("  memory: %.3f GiB used, %.3f planned (%.3f + libraries %.3f), %+.2f%%\n", used / GIB, plan / GIB, (double)t.m.total / GIB,
           t.libraries / GIB, 100 * (used - plan) / plan);
    json_t *facts =
        json_pack("{s:s, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:f}", "model", k->model, "weights", (json_int_t)t.table.weights, "tokens",
                  (json_int_t)tokens, "row", (json_int_t)row, "step_s", step, "tokens_per_s", rate, "model_flops_per_s", flops,
                  "share_of_product_rate", flops / b->product, "used_bytes", used, "planned_bytes", plan);
    if (peak > 0)
        json_object_set_new(facts, "mfu", json_real(flops / peak));
    json_object_update(group, facts);
    json_decref(facts);
    step_shares(b, &t, group);
    b->step_seconds = 0;
    bench_train_close(&t);
}

/* What a decode step works on, in one block. */
struct decode {
    struct model_state state;
    struct acts acts;
    struct pass p;
    struct sample_rows rows;
    int32_t *token;
    void *scratch;
};
static void decode_layout(struct decode *d, struct arena *mem, const struct model_config *c, enum dtype type, enum dtype state_type,
                          int32_t batch, struct block_acts *layer)
{
    type = dev_activations(type);
    struct model_shape shape = {.config = *c, .type = type, .residual = F32, .max_tokens = batch, .max_docs = 1, .logit_rows = batch};
    state_layout(&d->state, mem, c, batch, type, state_type);
    acts_layout(&d->acts, mem, &shape, layer);
    pass_layout(&d->p, mem, batch, batch, c->chunk, false);
    d->rows.stream = arena_take(mem, sizeof(uint64_t) * (size_t)batch);
    d->rows.index = arena_take(mem, sizeof(int64_t) * (size_t)batch);
    d->rows.seen = arena_take(mem, sizeof(uint32_t) * (size_t)(batch * ((c->vocab + 31) / 32)));
    d->token = arena_take(mem, sizeof(int32_t) * (size_t)batch);
    d->scratch = arena_take(mem, sample_scratch(batch, c->vocab));
}

/* Steps of a batch: the drawn tokens come to the host and go in again, as generation does it. */
static void decode(struct bench *b, const char *model, const struct model_config *c, struct tensors w, enum dtype state_type, int32_t batch)
{
    struct block_acts *layer = xcalloc((size_t)c->layers, sizeof *layer);
    struct decode d = {0};
    struct arena mem = {0};
    size_t free_bytes, total_bytes;
    decode_layout(&d, &mem, c, w.dtype, state_type, batch, layer);
    dev_memory(&free_bytes, &total_bytes);
    if (mem.used > free_bytes) {
        printf("  batch %3d, %s state: skipped: it needs %.2f GiB, %.2f GiB are free\n", batch, ref_dtype_name(state_type),
               (double)mem.used / GIB, (double)free_bytes / GIB);
        free(layer);
        return;
    }
    bench_memory(b);
    void *block = dev_alloc(mem.used);
    mem = (struct arena){block, mem.used, 0};
    decode_layout(&d, &mem, c, w.dtype, state_type, batch, layer);
    int32_t *ids = xmalloc(sizeof *ids * (size_t)batch), *len = xmalloc(sizeof *len * (size_t)batch);
    uint64_t *stream = xmalloc(sizeof *stream * (size_t)batch);
    for (int32_t i = 0; i < batch; i++) {
        len[i] = 1;
        ids[i] = (int32_t)rng_below(1, 3, (uint64_t)i, (uint64_t)c->vocab);
        stream[i] = (uint64_t)i;
    }
    struct ref_seqs q = ref_seqs_make(len, batch, NULL, c->chunk);
    d.p.s = q.dev;
    d.rows.slot = q.dev.slot;
    dev_put((void *)d.rows.stream, stream, sizeof *stream * (size_t)batch);

    enum { WARM = 4, MOST = 200 };
    struct sampling how = {.temperature = 1, .top_p = 1, .repetition_penalty = 1};
    struct dev_graph graph = {0};
    double sample[MOST], begin = 0;
    int n = 0, most = b->set.quick ? 1 : MOST;
    for (int step = 0; n < most && (n < 5 || log_now() - begin < 1.5); step++) {
        double start = log_now();
        dev_put(d.p.ids, ids, sizeof *ids * (size_t)batch);
        if (dev_graph_begin(&graph)) {
            model_forward(&d.acts, w, &d.p, d.state);
            model_logits(&d.acts, w, d.acts.h, true);
            sample_step(d.token, d.acts.logits, how, d.rows, d.scratch);
            dev_graph_end(&graph);
        }
        dev_get(ids, d.token, sizeof *ids * (size_t)batch);
        if (step == WARM)
            begin = start;
        if (step >= WARM)
            sample[n++] = log_now() - start;
    }
    double *logits = xmalloc(sizeof *logits * (size_t)(batch * c->vocab));
    ref_get(logits, F32, d.acts.logits.data, batch * c->vocab);
    for (int64_t i = 0; i < batch * c->vocab; i++)
        if (!isfinite(logits[i]))
            die("the bench's logits are not finite");
    free(logits);
    qsort(sample, (size_t)n, sizeof *sample, bench_compare);

    /* Read: all weights but the rows of an embedding table that no token asks for; read and written: the states. */
    const struct param_table *t = w.table;
    double e = (double)dtype_size(w.dtype), step = sample[n / 2], states = 2.0 * batch * (double)d.state.slot_bytes;
    double table = c->tied ? 0 : (double)(params_get(t, P_EMBED, -1)->n - batch * c->hidden) * e;
    double weights = (double)t->bytes[w.dtype] - table;
    double bytes = weights + states, rate = strcmp(dev_backend(), "cpu") == 0 ? b->read : b->copy, memory = bytes / rate;
    double products = 2.0 * batch * weights / e / b->product;
    printf("  batch %3d, %s state: step %9.3f ms, %9.1f tokens/s, %6.1f GB/s, share %3.0f%% of %6.1f GB/s (%s, right before)", batch,
           ref_dtype_name(state_type), step * 1e3, batch / step, bytes / step * 1e-9, 100 * memory / step, rate * 1e-9,
           rate == b->read ? "read" : "copy");
    if (products > memory)
        printf("; bound by products: share %3.0f%%", 100 * products / step);
    json_t *row = json_pack("{s:i, s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "batch", batch, "state", ref_dtype_name(state_type), "step_s",
                            step, "tokens_per_s", batch / step, "bytes", bytes, "weight_bytes", weights, "share_of_memory_bound",
                            memory / step, "share_of_product_bound", products / step, "work_bytes", (double)mem.used);
    bench_memory_json(b, row);
    published_note(model, ref_dtype_name(state_type), batch, batch / step, row);
    json_array_append_new(b->rows, row);
    printf("\n");
    fflush(stdout);
    dev_graph_free(&graph);
    dev_free(block);
    ref_seqs_free(&q);
    free(layer);
    free(ids);
    free(len);
    free(stream);
}

static void generate(struct bench *b, const char *model, enum dtype type)
{
    static const int32_t batches[] = {1, 8, 16, 64};
    struct model_config c = bench_config(model);
    struct param_table table;
    char title[128];
    snprintf(title, sizeof title, "%s, decoding, weights in %s", model, ref_dtype_name(type));
    json_t *group = bench_group(b, title);
    json_object_set_new(group, "model", json_string(model));
    params_plan(&table, &c);
    size_t free_bytes, total_bytes, bytes = (size_t)table.bytes[type];
    dev_memory(&free_bytes, &total_bytes);
    if (bytes > free_bytes) {
        printf("  skipped: the weights take %.2f GiB, %.2f GiB are free\n", (double)bytes / GIB, (double)free_bytes / GIB);
        params_free(&table);
        return;
    }
    struct tensors w = {&table, type, dev_alloc(bytes), NULL};
    bench_weights(w, NULL, &c);
    for (enum dtype s = F32; s <= BF16; s++)
        for (size_t i = 0; i < sizeof batches / sizeof *batches; i++)
            decode(b, model, &c, w, s, batches[i]);
    dev_free(w.base);
    params_free(&table);
}

/* Does the table's case repeat the model of the one before it, with other tokens? */
static bool repeats(const struct train_case *k)
{
    return k > train_cases && strcmp(k->backend, k[-1].backend) == 0 && strcmp(k->model, k[-1].model) == 0;
}

int main(int argc, char **argv)
{
    struct bench b;
    bench_open(&b, argc, argv, "bench_model: training and decode steps of whole models with random weights");
    bool trains = !b.set.only || strcmp(b.set.only, "train") == 0, decodes = !b.set.only || strcmp(b.set.only, "decode") == 0;
    if (!trains && !decodes) {
        struct err e;
        err_set(&e, "--only %s: expected train or decode", b.set.only);
        cli_usage(argv[0], &e);
    }
    enum { CASES = sizeof train_cases / sizeof *train_cases };
    const struct train_case *chosen[CASES], other = {dev_backend(), b.set.model, 2048, 2048, false};
    int n = 0;
    for (const struct train_case *k = train_cases; k < train_cases + CASES; k++)
        if (strcmp(k->backend, dev_backend()) == 0 && (!b.set.model || strcmp(k->model, b.set.model) == 0))
            chosen[n++] = k;
    if (n == 0)
        chosen[n++] = &other;
    for (int i = 0; trains && i < n; i++)
        if (b.set.tokens == 0)
            train(&b, chosen[i], chosen[i]->tokens);
        else if (chosen[i] == &other || !repeats(chosen[i]))
            train(&b, chosen[i], b.set.tokens);
    for (int i = 0; decodes && i < n; i++)
        for (enum dtype type = b.type; type <= BF16 && (chosen[i] == &other || !repeats(chosen[i])); type++)
            generate(&b, chosen[i]->model, type);
    return bench_close(&b, "bench_model");
}
