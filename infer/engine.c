/* infer/engine.c - the engine's memory: planned, taken, filled with the weights. See engine.h. */
#include "infer/engine_impl.h"
#include "kernels/device.h"
#include "kernels/linear.h"
#include "model/weights.h"
#include <stdlib.h>
#include <string.h>

/* Tokens of one pass over prompts: enough to keep matrix products busy. A constant, so that how prompts are cut, and with it the last bit
 * of their numbers, depends on the prompts alone. */
enum { PIECE = 2048 };

static void step_layout(struct step_in *in, struct arena *a, const struct engine *g)
{
    pass_layout(&in->pass, a, g->slots, g->slots, g->config.chunk, true);
    in->stream = arena_take(a, sizeof(uint64_t) * (size_t)g->slots);
    in->index = arena_take(a, sizeof(int64_t) * (size_t)g->slots);
}

static void piece_layout(struct pass *p, struct arena *a, const struct engine *g)
{
    pass_layout(p, a, g->max_piece, g->prompts, g->config.chunk, g->settings.logprobs);
}

/* Everything of the device, for g->slots. Run once to measure and once to place. */
static void layout(struct engine *g, struct arena *mem)
{
    const struct model_config *c = &g->config;
    const struct engine_settings *s = &g->settings;
    int64_t slots = g->slots;
    int32_t read = g->prompts + s->base;
    enum dtype type = dev_activations(s->type);
    struct model_shape shape = {.config = *c,
                                .type = type,
                                .residual = F32,
                                .max_tokens = g->max_piece > slots ? g->max_piece : slots,
                                .max_docs = g->prompts,
                                .logit_rows = (int32_t)slots};
    if (s->logprobs && model_logit_rows(c, type, g->max_piece) > slots)
        shape.logit_rows = model_logit_rows(c, type, g->max_piece);

    g->weights = (struct tensors){&g->table, s->type, arena_take(mem, (size_t)g->table.bytes[s->type]), NULL};
    g->memory.weights = (int64_t)mem->used;
    state_layout(&g->state, mem, c, g->slots, type, s->state_type);
    state_layout(&g->read, mem, c, read, type, F32);
    g->memory.states = (int64_t)mem->used - g->memory.weights;
    acts_layout(&g->acts, mem, &shape, g->layer);
    g->seen = arena_take(mem, (size_t)((slots + read) * g->seen_words) * sizeof(uint32_t));
    g->sampling_room = arena_take(mem, sample_scratch(slots, c->vocab));

    struct arena measure = {0};
    piece_layout(&g->piece, &measure, g);
    g->piece_bytes = measure.used;
    g->piece_block = arena_take(mem, g->piece_bytes);
    struct arena piece = {g->piece_block, g->piece_bytes, 0};
    piece_layout(&g->piece, &piece, g);

    measure = (struct arena){0};
    step_layout(&g->step, &measure, g);
    g->step_bytes = measure.used;
    g->step_block = arena_take(mem, g->step_bytes);
    struct arena step = {g->step_block, g->step_bytes, 0};
    step_layout(&g->step, &step, g);

    g->out_bytes = (size_t)slots * (sizeof(int32_t) + sizeof(float));
    g->token = arena_take(mem, g->out_bytes);
    g->check = g->token ? (float *)(void *)(g->token + slots) : NULL;
}

/* Bytes of the block for so many slots; it is handed out in pages of 2 MiB, on GPUs as on CPUs. */
static int64_t block_bytes(struct engine *g, int32_t slots)
{
    const int64_t page = 2 << 20;
    struct arena measure = {0};
    g->slots = slots;
    layout(g, &measure);
    int64_t bytes = ((int64_t)measure.used + page - 1) / page * page;
    g->memory.work = bytes - g->memory.weights - g->memory.states;
    return bytes;
}

static int64_t more_of(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Host memory that is taken for a while: for a piece of the weights while they are loaded, by the library for copies of a product's
 * factors (measured: up to 1.5 times their size), for code and stacks that were not touched before and the text of an answer. */
static int64_t passing_bytes(const struct engine *g)
{
    const struct model_config *c = &g->config;
    const int64_t piece = 5 << 20, rest = 1 << 20, weights = g->table.bytes[g->settings.type];
    const enum dtype type = g->settings.type, rows = dev_activations(type);
    /* Weights of a type that products do not take become rows' some at a time (kernels/cpu/linear.c). */
    const int64_t factor = type == rows ? c->hidden * config_proj_dim(c) * dtype_size(type) : 2 << 20;
    int64_t copies = g->settings.exact ? 0 : c->hidden * g->max_piece * dtype_size(rows) + factor;
    return more_of(weights < piece ? weights : piece, copies * 8 / 5) + rest;
}

/* The same and the host's part, if that is of the same memory. */
static int64_t bytes_for(struct engine *g, int32_t slots)
{
    bool same;
    int64_t block = block_bytes(g, slots), each = g->settings.beside + (int64_t)(sizeof *g->seq + 2 * sizeof(int32_t) + sizeof *g->graph);
    int64_t host =
        slots * each + g->settings.once + (int64_t)(g->piece_bytes + g->step_bytes + g->out_bytes) + 8 * g->seen_words + passing_bytes(g);
    dev_host_memory(&same);
    g->host_bytes = same ? host : 0;
    return block + g->host_bytes;
}

/* Libraries take memory when they are first used: a product like the model's before the plan, so that it is in it. Where even that needs
 * half of what is free, the plan will say that the model does not fit. */
static void wake_libraries(const struct engine *g)
{
    int64_t in = g->config.hidden, out = config_proj_dim(&g->config), rows = g->max_piece < 256 ? g->max_piece : 256;
    enum dtype weights = g->settings.type, type = dev_activations(weights);
    int64_t size = dtype_size(type), ends = (rows * in + rows * out) * size;
    size_t bytes = (size_t)(ends + in * out * dtype_size(weights)), free_bytes, total;
    dev_memory(&free_bytes, &total);
    if (bytes > free_bytes / 2)
        return;
    char *block = dev_alloc(bytes);
    mat x = mat_make(block, type, rows, in), y = mat_make(block + rows * in * size, type, rows, out), none = {0};
    linear_fwd(y, x, mat_make(block + ends, weights, out, in), none);
    dev_sync();
    dev_free(block);
}

static void set_prompts(struct engine *g, int32_t n)
{
    int64_t chunk = g->config.chunk, piece = chunk < PIECE ? PIECE / chunk * chunk : chunk, all = n * g->settings.max_prompt;
    g->prompts = n;
    g->max_piece = all < piece ? all : piece;
}

/* How many prompts are read together: their slots are memory that sequences would like as well. */
static void choose_prompts(struct engine *g)
{
    const struct engine_settings *s = &g->settings;
    const int64_t least = 256 << 20;
    int64_t share = g->table.bytes[s->type] / 16, slot = state_slot_bytes(&g->config, dev_activations(s->type), F32);
    int64_t fit = (share > least ? share : least) / slot;
    int32_t most = s->prompts < 1 ? 1 : s->prompts < ENGINE_PROMPTS ? s->prompts : ENGINE_PROMPTS;
    set_prompts(g, fit < 1 ? 1 : fit < most ? (int32_t)fit : most);
}

/* The most slots, up to those wished for, that fit into the budget. */
static bool choose_slots(struct engine *g, struct err *e)
{
    const double gib = 1 << 30;
    size_t free_bytes, total;
    dev_memory(&free_bytes, &total);
    int64_t library = (int64_t)dev_library_bytes(), free_now = (int64_t)free_bytes, allowed = g->settings.memory - library;
    int64_t budget = g->settings.memory ? (allowed < free_now ? allowed : free_now) : free_now - free_now / 10;
    g->memory.libraries = library;
    int64_t least = bytes_for(g, 1);
    if (least > budget && g->prompts > 1) {
        set_prompts(g, 1);
        least = bytes_for(g, 1);
    }
    if (least > budget) {
        const char *hint = g->settings.type == F32 ? ", or use --dtype bf16" : "";
        err_set(e,
                "this model needs at least %.3f GiB of memory: weights %.3f, states of one sequence and its prompt %.3f, working memory "
                "%.3f, libraries %.3f; ",
                (double)(least + library) / gib, (double)g->memory.weights / gib, (double)g->memory.states / gib,
                (double)(g->memory.work + g->host_bytes) / gib, (double)library / gib);
        size_t n = strlen(e->msg);
        if (g->settings.memory && allowed < free_now)
            snprintf(e->msg + n, sizeof e->msg - n, "--memory-gib allows %.3f: raise it%s", (double)g->settings.memory / gib, hint);
        else
            snprintf(e->msg + n, sizeof e->msg - n, "%.3f are free: end other programs%s", (double)free_now / gib, hint);
        return false;
    }
    int32_t fits = 1, over = g->settings.slots + 1;
    while (over - fits > 1) {
        int32_t middle = fits + (over - fits) / 2;
        if (bytes_for(g, middle) <= budget)
            fits = middle;
        else
            over = middle;
    }
    g->memory.all = bytes_for(g, fits) + library;
    return true;
}

bool engine_open(struct engine **out, const struct model_config *c, const char *weights, const struct engine_settings *s, struct err *e)
{
    must(s->slots >= 1 && s->max_prompt >= 1 && s->memory >= 0);
    dev_exact(s->exact);
    struct engine *g = xcalloc(1, sizeof *g);
    g->config = *c;
    g->settings = *s;
    g->seen_words = (c->vocab + 31) / 32;
    g->layer = xcalloc((size_t)c->layers, sizeof *g->layer);
    params_plan(&g->table, c);
    choose_prompts(g);
    wake_libraries(g);
    if (!choose_slots(g, e)) {
        engine_close(g);
        return false;
    }
    struct arena mem = {.size = (size_t)block_bytes(g, g->slots)};
    mem.base = g->block = dev_alloc(mem.size);
    layout(g, &mem);

    g->host_piece_block = dev_host_alloc(g->piece_bytes);
    g->host_step_block = dev_host_alloc(g->step_bytes);
    g->host_out = dev_host_alloc(g->out_bytes);
    struct arena piece = {g->host_piece_block, g->piece_bytes, 0}, step = {g->host_step_block, g->step_bytes, 0};
    piece_layout(&g->host_piece, &piece, g);
    step_layout(&g->host_step, &step, g);
    g->host_seen = xcalloc((size_t)g->seen_words, sizeof *g->host_seen);
    g->base_seen = xcalloc((size_t)g->seen_words, sizeof *g->base_seen);
    g->seq = xcalloc((size_t)g->slots, sizeof *g->seq);
    g->row_slot = xcalloc((size_t)g->slots, sizeof *g->row_slot);
    g->row_len = xcalloc((size_t)g->slots, sizeof *g->row_len);
    for (int32_t i = 0; i < g->slots; i++)
        g->row_len[i] = 1;
    g->graph = xcalloc((size_t)g->slots + 1, sizeof *g->graph);
    if (!weights_load(g->weights, NULL, weights, e)) {
        engine_close(g);
        return false;
    }
    *out = g;
    return true;
}

void engine_close(struct engine *g)
{
    if (!g)
        return;
    for (int32_t i = 0; g->graph && i <= g->slots; i++)
        dev_graph_free(&g->graph[i]);
    dev_free(g->block);
    dev_host_free(g->host_piece_block);
    dev_host_free(g->host_step_block);
    dev_host_free(g->host_out);
    params_free(&g->table);
    free(g->layer);
    free(g->host_seen);
    free(g->base_seen);
    free(g->seq);
    free(g->row_slot);
    free(g->row_len);
    free(g->graph);
    free(g);
}

int32_t engine_slots(const struct engine *g)
{
    return g->slots;
}

int32_t engine_prompts(const struct engine *g)
{
    return g->prompts;
}

int64_t engine_pass_tokens(const struct engine *g)
{
    return g->max_piece;
}

struct engine_memory engine_memory(const struct engine *g)
{
    struct engine_memory m = g->memory;
    m.work += g->host_bytes;
    return m;
}
