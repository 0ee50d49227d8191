/* infer/engine.c - see engine.h. */
#include "infer/engine.h"
#include "kernels/device.h"
#include "kernels/xent.h"
#include "model/model.h"
#include "model/weights.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Tokens of a prompt in one pass: enough to keep matrix products busy. A constant, so that how a prompt is cut, and with it the last bit
 * of its numbers, depends on the prompt alone. */
enum { PIECE = 2048 };

/* What a step reads: filled on the host, copied to the device at once. */
struct step_in {
    struct pass pass;
    uint64_t *stream; /* [rows] */
    int64_t *index;   /* [rows] */
};

struct engine {
    struct model_config config;
    struct engine_settings settings;
    struct engine_memory memory;
    struct param_table table;
    char *block; /* the device's memory; all below is in it */

    struct tensors weights;
    struct model_state state; /* the last slot is the prompt's */
    struct block_acts *layer;
    struct acts acts;
    uint32_t *seen;      /* [slots + 1][words] tokens that occurred in each slot */
    int64_t seen_words;  /* of a slot */
    int32_t *prompt_ids; /* [max_prompt] */
    void *sampling_room;
    struct seqs piece;   /* of a prompt's piece */
    struct step_in step; /* of a step */
    int32_t *token;      /* [slots] drawn by a step, */
    float *check;        /* [slots] and behind them the rows' losses of token 0: finite if all logits are */

    /* The host's side of the same blocks, and their bytes. */
    struct seqs host_piece;
    struct step_in host_step;
    char *host_piece_block, *host_step_block, *piece_block, *step_block, *host_out;
    size_t piece_bytes, step_bytes, out_bytes;

    int32_t slots, live;
    int64_t max_piece;
    int32_t last_token; /* of the prompt read last */
    struct engine_seq *seq;
    int32_t *row_slot, *row_len; /* [slots] of a step: its rows' slots; ones */
    struct dev_graph *graph;     /* [slots + 1] of a step of so many rows */
};

static void step_layout(struct step_in *in, struct arena *a, const struct engine *g)
{
    pass_layout(&in->pass, a, g->slots, g->slots, g->config.chunk, true);
    in->stream = arena_take(a, sizeof(uint64_t) * (size_t)g->slots);
    in->index = arena_take(a, sizeof(int64_t) * (size_t)g->slots);
}

/* Everything of the device, for g->slots. Run once to measure and once to place. */
static void layout(struct engine *g, struct arena *mem)
{
    const struct model_config *c = &g->config;
    const struct engine_settings *s = &g->settings;
    int64_t slots = g->slots;
    enum dtype type = dev_activations(s->type);
    struct model_shape shape = {.config = *c,
                                .type = type,
                                .residual = F32,
                                .max_tokens = g->max_piece > slots ? g->max_piece : slots,
                                .max_docs = 1,
                                .logit_rows = (int32_t)slots};
    if (s->logprobs && model_logit_rows(c, type, g->max_piece) > slots)
        shape.logit_rows = model_logit_rows(c, type, g->max_piece);

    g->weights = (struct tensors){&g->table, s->type, arena_take(mem, (size_t)g->table.bytes[s->type]), NULL};
    g->memory.weights = (int64_t)mem->used;
    state_layout(&g->state, mem, c, g->slots + 1, type, s->state_type);
    g->memory.states = (int64_t)mem->used - g->memory.weights;
    acts_layout(&g->acts, mem, &shape, g->layer);
    g->seen = arena_take(mem, (size_t)((slots + 1) * g->seen_words) * sizeof(uint32_t));
    g->prompt_ids = arena_take(mem, (size_t)s->max_prompt * sizeof(int32_t));
    g->sampling_room = arena_take(mem, sample_scratch(slots, c->vocab));

    struct arena measure = {0};
    seqs_layout(&g->piece, &measure, g->max_piece, 1, c->chunk);
    g->piece_bytes = measure.used;
    g->piece_block = arena_take(mem, g->piece_bytes);
    struct arena piece = {g->piece_block, g->piece_bytes, 0};
    seqs_layout(&g->piece, &piece, g->max_piece, 1, c->chunk);

    measure = (struct arena){0};
    step_layout(&g->step, &measure, g);
    g->step_bytes = measure.used;
    g->step_block = arena_take(mem, g->step_bytes);
    struct arena step = {g->step_block, g->step_bytes, 0};
    step_layout(&g->step, &step, g);

    g->out_bytes = (size_t)slots * (sizeof(int32_t) + sizeof(float));
    g->token = arena_take(mem, g->out_bytes);
    g->check = g->token ? (float *)(void *)(g->token + slots) : NULL;
    g->memory.work = (int64_t)mem->used - g->memory.weights - g->memory.states;
}

static int64_t bytes_for(struct engine *g, int32_t slots)
{
    struct arena measure = {0};
    g->slots = slots;
    layout(g, &measure);
    return (int64_t)measure.used;
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
    if (least > budget) {
        const char *hint = g->settings.type == F32 ? ", or use --dtype bf16" : "";
        err_set(e,
                "this model needs at least %.3f GiB of memory: weights %.3f, states of one sequence and its prompt %.3f, working memory "
                "%.3f, libraries %.3f; ",
                (double)(least + library) / gib, (double)g->memory.weights / gib, (double)g->memory.states / gib,
                (double)g->memory.work / gib, (double)library / gib);
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
    struct engine *g = xcalloc(1, sizeof *g);
    g->config = *c;
    g->settings = *s;
    g->seen_words = (c->vocab + 31) / 32;
    g->max_piece = c->chunk <= PIECE ? PIECE / c->chunk * c->chunk : PIECE;
    if (g->max_piece > s->max_prompt - 1)
        g->max_piece = s->max_prompt > 1 ? s->max_prompt - 1 : 1;
    g->layer = xcalloc((size_t)c->layers, sizeof *g->layer);
    params_plan(&g->table, c);
    if (!choose_slots(g, e)) {
        engine_close(g);
        return false;
    }
    struct arena mem = {.size = (size_t)(g->memory.all - g->memory.libraries)};
    mem.base = g->block = dev_alloc(mem.size);
    layout(g, &mem);

    g->host_piece_block = dev_host_alloc(g->piece_bytes);
    g->host_step_block = dev_host_alloc(g->step_bytes);
    g->host_out = dev_host_alloc(g->out_bytes);
    memset(g->host_piece_block, 0, g->piece_bytes);
    memset(g->host_step_block, 0, g->step_bytes);
    struct arena piece = {g->host_piece_block, g->piece_bytes, 0}, step = {g->host_step_block, g->step_bytes, 0};
    seqs_layout(&g->host_piece, &piece, g->max_piece, 1, c->chunk);
    step_layout(&g->host_step, &step, g);
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

struct engine_memory engine_memory(const struct engine *g)
{
    return g->memory;
}

bool engine_prefill(struct engine *g, const int32_t *ids, int64_t n, float *logprobs)
{
    must(n >= 1 && n <= g->settings.max_prompt && (!logprobs || g->settings.logprobs));
    int32_t slot = g->slots;
    struct tensors none = {0};
    dev_put(g->prompt_ids, ids, (size_t)n * sizeof *ids);
    sample_seen(g->seen, slot, g->config.vocab, g->prompt_ids, n);
    state_zero(g->state, slot);
    g->last_token = ids[n - 1];
    for (int64_t at = 0; at < n - 1; at += g->max_piece) {
        int32_t len = (int32_t)(n - 1 - at < g->max_piece ? n - 1 - at : g->max_piece);
        seqs_plan(&g->host_piece, &len, 1, &slot);
        dev_put(g->piece_block, g->host_piece_block, g->piece_bytes);
        /* A prompt's targets are its own ids, one further on. */
        struct pass p = {seqs_on(&g->host_piece, &g->piece), g->prompt_ids + at, g->prompt_ids + at + 1, NULL};
        model_forward(&g->acts, g->weights, &p, g->state);
        if (logprobs) {
            model_loss(&g->acts, g->weights, &p, false, none);
            dev_get(logprobs + at, g->acts.loss, (size_t)len * sizeof *logprobs);
        }
    }
    bool finite = true;
    for (int64_t i = 0; logprobs && i < n - 1; i++) {
        finite = finite && isfinite(logprobs[i]);
        logprobs[i] = -logprobs[i];
    }
    return finite;
}

/* Adds rows of hidden states, which the host has as they are on the device. */
static void add_rows(double *sum, const void *rows, enum dtype type, int64_t n, int64_t width)
{
    for (int64_t i = 0; i < n * width; i++) {
        float x;
        if (type == F32) {
            x = ((const float *)rows)[i];
        } else { /* bfloat16: the upper half of a float */
            uint32_t bits = (uint32_t)((const uint16_t *)rows)[i] << 16;
            memcpy(&x, &bits, sizeof x);
        }
        sum[i % width] += (double)x;
    }
}

bool engine_embed(struct engine *g, const int32_t *ids, int64_t n, float *mean)
{
    must(n >= 1 && n <= g->settings.max_prompt);
    int64_t width = g->config.hidden;
    int32_t slot = g->slots;
    double *sum = xcalloc((size_t)width, sizeof *sum);
    size_t row = (size_t)width * (size_t)dtype_size(g->acts.h.dtype);
    void *rows = xmalloc((size_t)g->max_piece * row);
    must(g->acts.h.ld == width);
    dev_put(g->prompt_ids, ids, (size_t)n * sizeof *ids);
    state_zero(g->state, slot);
    for (int64_t at = 0; at < n; at += g->max_piece) {
        int32_t len = (int32_t)(n - at < g->max_piece ? n - at : g->max_piece);
        seqs_plan(&g->host_piece, &len, 1, &slot);
        dev_put(g->piece_block, g->host_piece_block, g->piece_bytes);
        struct pass p = {seqs_on(&g->host_piece, &g->piece), g->prompt_ids + at, NULL, NULL};
        model_forward(&g->acts, g->weights, &p, g->state);
        dev_get(rows, g->acts.h.data, (size_t)len * row);
        add_rows(sum, rows, g->acts.h.dtype, len, width);
    }
    bool finite = true;
    for (int64_t i = 0; i < width; i++) {
        mean[i] = (float)(sum[i] / (double)n);
        finite = finite && isfinite(mean[i]);
    }
    free(rows);
    free(sum);
    return finite;
}

int32_t engine_fork(struct engine *g, uint64_t stream)
{
    int32_t slot = 0;
    while (slot < g->slots && g->seq[slot].live)
        slot++;
    if (slot == g->slots)
        return -1;
    state_copy(g->state, slot, g->slots);
    dev_copy(g->seen + slot * g->seen_words, g->seen + g->slots * g->seen_words, (size_t)g->seen_words * sizeof *g->seen);
    g->seq[slot] = (struct engine_seq){.live = true, .stream = stream, .token = g->last_token};
    g->live++;
    return slot;
}

const struct engine_seq *engine_seq(const struct engine *g, int32_t slot)
{
    return &g->seq[slot];
}

void engine_release(struct engine *g, int32_t slot)
{
    must(g->seq[slot].live);
    g->seq[slot].live = false;
    g->live--;
}

/* Rows that a step runs for so many live sequences: 1, 2, 3, 4, 6, 8, 12, 16, ... or all slots, so that few graphs are recorded. */
static int32_t rows_for(int32_t live, int32_t slots)
{
    int32_t power = 1;
    while (power + power / 2 < live)
        power *= 2;
    int32_t rows = live <= power ? power : power + power / 2;
    return rows < slots ? rows : slots;
}

/* The ops of a step, the same for every step of so many rows. */
static void step_ops(struct engine *g, int32_t rows)
{
    const struct step_in *in = &g->step;
    struct pass p = pass_on(&g->host_step.pass, &in->pass);
    mat none = {0};
    model_forward(&g->acts, g->weights, &p, g->state);
    model_logits(&g->acts, g->weights, mat_rows(g->acts.h, 0, rows), true);
    mat logits = mat_rows(g->acts.logits, 0, rows);
    xent_fwd_bwd(none, g->check, logits, in->pass.target, NULL);
    sample_step(g->token, logits, g->settings.sampling, (struct sample_rows){in->stream, in->index, g->seen, in->pass.s.slot},
                g->sampling_room);
}

int32_t engine_step(struct engine *g)
{
    if (g->live == 0)
        return -1;
    struct step_in *in = &g->host_step;
    int32_t rows = rows_for(g->live, g->slots), live = 0, dead = g->live;
    for (int32_t i = 0; i < g->slots; i++) { /* rows beyond the live ones run on free slots, of which there are enough */
        const struct engine_seq *q = &g->seq[i];
        int32_t row = q->live ? live++ : dead++;
        if (row >= rows)
            continue;
        g->row_slot[row] = i;
        in->pass.ids[row] = q->live ? q->token : 0;
        in->stream[row] = q->stream;
        in->index[row] = q->drawn;
    }
    seqs_plan(&in->pass.s, g->row_len, rows, g->row_slot);
    dev_put(g->step_block, g->host_step_block, g->step_bytes);
    if (dev_graph_begin(&g->graph[rows])) {
        step_ops(g, rows);
        dev_graph_end(&g->graph[rows]);
    }
    dev_get(g->host_out, g->token, g->out_bytes);

    const int32_t *token = (const int32_t *)(const void *)g->host_out;
    const float *check = (const float *)(const void *)(token + g->slots);
    int32_t bad = -1;
    for (int32_t row = 0; row < live; row++) {
        struct engine_seq *q = &g->seq[g->row_slot[row]];
        q->token = token[row];
        q->drawn++;
        if (!isfinite(check[row]) && bad < 0)
            bad = g->row_slot[row];
    }
    return bad;
}
