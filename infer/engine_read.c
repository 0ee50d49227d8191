/* infer/engine_read.c - the engine reads: what prompts begin with, prompts, texts to embed. See engine.h. */
#include "infer/engine_impl.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One pass over n pieces of texts that lie end to end in host_piece.ids (with logprobs also their targets, and then `losses` [tokens]
 * receives -log p of them, else NULL), each going on from its slot of g->read. */
static void read_pieces(struct engine *g, const int32_t *len, const int32_t *slot, int32_t n, float *losses)
{
    struct tensors none = {0};
    seqs_plan(&g->host_piece.s, len, n, slot);
    if (g->host_piece.s.max_len == 1)
        g->host_piece.s.max_len = 2; /* one token is read as any number is, not by the kernels of a decode step, which round otherwise */
    dev_put(g->piece_block, g->host_piece_block, g->piece_bytes);
    struct pass p = pass_on(&g->host_piece, &g->piece);
    p.weight = NULL;
    model_forward(&g->acts, g->weights, &p, g->read);
    if (losses) {
        model_loss(&g->acts, g->weights, &p, false, none);
        dev_get(losses, g->acts.loss, (size_t)p.s.tokens * sizeof *losses);
    }
}

/* Tokens first .. first+n-1 of ids to row `row` of the pass; with targets, what follows each. */
static void place(struct engine *g, int64_t row, const int32_t *ids, int64_t n, bool targets)
{
    memcpy(g->host_piece.ids + row, ids, (size_t)n * sizeof *ids);
    if (targets)
        memcpy(g->host_piece.target + row, ids + 1, (size_t)n * sizeof *ids);
}

/* n tokens of one text into a slot, in pieces. */
static void read_long(struct engine *g, const int32_t *ids, int64_t n, int32_t slot, float *losses)
{
    for (int64_t at = 0; at < n; at += g->max_piece) {
        int32_t len = (int32_t)(n - at < g->max_piece ? n - at : g->max_piece);
        place(g, 0, ids + at, len, losses != NULL);
        read_pieces(g, &len, &slot, 1, losses ? losses + at : NULL);
    }
}

/* Losses become log-probabilities; are all finite? */
static bool negate(float *losses, int64_t n)
{
    bool finite = true;
    for (int64_t i = 0; i < n; i++) {
        finite = finite && isfinite(losses[i]);
        losses[i] = -losses[i];
    }
    return finite;
}

static void mark_seen(const struct engine *g, uint32_t *seen, const int32_t *ids, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        must(ids[i] >= 0 && ids[i] < g->config.vocab);
        seen[ids[i] / 32] |= 1u << ids[i] % 32;
    }
}

bool engine_extend(struct engine *g, const int32_t *ids, int64_t n, float *logprobs)
{
    must(g->settings.base && n % g->config.chunk == 0 && (!logprobs || g->settings.logprobs));
    int32_t slot = g->prompts;
    if (!g->based)
        state_zero(g->read, slot);
    g->based = true;
    mark_seen(g, g->base_seen, ids, n);
    read_long(g, ids, n, slot, logprobs);
    return !logprobs || negate(logprobs, n);
}

size_t engine_base_bytes(const struct engine *g)
{
    return (size_t)g->read.slot_bytes;
}

size_t engine_seen_words(const struct engine *g)
{
    return (size_t)g->seen_words;
}

static char *base_at(const struct engine *g)
{
    must(g->settings.base);
    return g->read.base + g->prompts * g->read.slot_bytes;
}

void engine_base_get(const struct engine *g, void *state, uint32_t *seen)
{
    if (g->based)
        dev_get(state, base_at(g), engine_base_bytes(g));
    else
        memset(state, 0, engine_base_bytes(g));
    memcpy(seen, g->base_seen, (size_t)g->seen_words * sizeof *seen);
}

void engine_base_put(struct engine *g, const void *state, const uint32_t *seen)
{
    dev_put(base_at(g), state, engine_base_bytes(g));
    memcpy(g->base_seen, seen, (size_t)g->seen_words * sizeof *seen);
    g->based = true;
}

/* Prompt slot k as the base left it, and the tokens that its sequences will have seen. */
static void begin(struct engine *g, int32_t k, const int32_t *ids, int64_t n)
{
    size_t bytes = (size_t)g->seen_words * sizeof *g->seen;
    if (g->based)
        state_copy(g->read, k, g->read, g->prompts, &g->config);
    else
        state_zero(g->read, k);
    memcpy(g->host_seen, g->base_seen, bytes);
    mark_seen(g, g->host_seen, ids, n);
    dev_put(g->seen + (g->slots + k) * g->seen_words, g->host_seen, bytes);
    g->last_token[k] = ids[n - 1];
}

int32_t engine_prefill(struct engine *g, const struct engine_prompt *p, int32_t k)
{
    must(k >= 1 && k <= g->prompts);
    int32_t len[ENGINE_PROMPTS], slot[ENGINE_PROMPTS], docs = 0, bad = -1;
    int64_t rows = 0;
    bool logprobs = false;
    for (int32_t i = 0; i < k; i++) {
        must(p[i].n >= 1 && p[i].n <= g->settings.max_prompt);
        begin(g, i, p[i].ids, p[i].n);
        rows += p[i].n - 1;
        logprobs = logprobs || p[i].logprobs;
    }
    must((rows <= g->max_piece || k == 1) && (!logprobs || g->settings.logprobs));
    if (k == 1) {
        read_long(g, p->ids, p->n - 1, 0, p->logprobs);
        return p->logprobs && !negate(p->logprobs, p->n - 1) ? 0 : -1;
    }
    rows = 0;
    for (int32_t i = 0; i < k; i++) {
        if (p[i].n == 1)
            continue; /* nothing to read */
        place(g, rows, p[i].ids, p[i].n - 1, logprobs);
        len[docs] = (int32_t)(p[i].n - 1);
        slot[docs++] = i;
        rows += p[i].n - 1;
    }
    if (docs == 0)
        return -1;
    float *losses = logprobs ? xmalloc((size_t)rows * sizeof *losses) : NULL, *at = losses;
    read_pieces(g, len, slot, docs, losses);
    for (int32_t i = 0; losses && i < k; at += p[i++].n - 1) {
        if (!p[i].logprobs)
            continue;
        memcpy(p[i].logprobs, at, (size_t)(p[i].n - 1) * sizeof *at);
        if (!negate(p[i].logprobs, p[i].n - 1) && bad < 0)
            bad = i;
    }
    free(losses);
    return bad;
}

/* Adds rows of hidden states, which the host has as they are on the device. */
static void add_rows(double *sum, const void *rows, enum dtype type, int64_t n, int64_t width)
{
    for (int64_t i = 0; i < n * width; i++) {
        float x = type == F32 ? ((const float *)rows)[i] : bf16_to_f32(((const uint16_t *)rows)[i]);
        sum[i % width] += (double)x;
    }
}

bool engine_embed(struct engine *g, const int32_t *ids, int64_t n, float *mean)
{
    must(n >= 1 && n <= g->settings.max_prompt);
    int64_t width = g->config.hidden;
    int32_t slot = 0;
    double *sum = xcalloc((size_t)width, sizeof *sum);
    size_t row = (size_t)width * (size_t)dtype_size(g->acts.h.dtype);
    void *rows = xmalloc((size_t)g->max_piece * row);
    must(g->acts.h.ld == width);
    state_zero(g->read, slot);
    for (int64_t at = 0; at < n; at += g->max_piece) {
        int32_t len = (int32_t)(n - at < g->max_piece ? n - at : g->max_piece);
        place(g, 0, ids + at, len, false);
        read_pieces(g, &len, &slot, 1, NULL);
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
