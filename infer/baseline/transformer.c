/* infer/baseline/transformer.c - see transformer.h. */
#include "infer/baseline/transformer.h"
#include "core/arena.h"
#include "core/rng.h"
#include "kernels/attention.h"
#include "kernels/device.h"
#include "kernels/embed.h"
#include "kernels/linear.h"
#include "kernels/norm.h"
#include "kernels/swiglu.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What a pass reads: filled on the host, copied to the device at once. */
struct pass_in {
    int32_t *ids, *seq, *position; /* [rows] */
    uint64_t *stream;              /* [rows] */
    int64_t *index;                /* [rows] */
    int32_t *table;                /* [slots][width] */
};
struct sequence {
    int64_t length; /* tokens whose keys and values are in pages */
    int32_t token;  /* the next input */
    int32_t pages;
};

struct transformer {
    struct transformer_config c;
    struct transformer_settings s;
    struct transformer_memory memory;
    struct transformer_weights w;
    void *weight_block;

    /* Of transformer_begin(): the device's block and what lies in it. */
    int32_t slots, width, pages;
    void *block;
    struct pass_in in;
    char *in_block;
    mat x, h, qkv, q, o, gate_up, inner, logits; /* x: the residual stream */
    double *turns;
    int32_t *token;
    uint32_t *seen;
    void *sampling_room, *step_room, *prompt_room, *k, *v;
    size_t in_bytes;

    struct pass_in host;
    char *host_block;
    struct attention *step, *prompt;
    struct dev_graph graph;
    struct sequence *seq;     /* [slots] */
    int32_t *free_page, left; /* [pages] a stack of them */
    int64_t rows;             /* of the last pass */
    bool noise;               /* the pages hold random numbers */
};

struct transformer_config transformer_qwen25_7b(void)
{
    return (struct transformer_config){
        .vocab = 152064, .hidden = 3584, .ffn = 18944, .layers = 28, .heads = 28, .kv_heads = 4, .headdim = 128, .eps = 1e-6, .theta = 1e6};
}

static int64_t qkv_width(const struct transformer_config *c)
{
    return ((int64_t)c->heads + 2 * c->kv_heads) * c->headdim;
}
static int64_t heads_width(const struct transformer_config *c)
{
    return (int64_t)c->heads * c->headdim;
}

int64_t transformer_weight_count(const struct transformer_config *c)
{
    int64_t layer = (qkv_width(c) + heads_width(c) + 3 * c->ffn) * c->hidden + qkv_width(c) + 2 * c->hidden;
    return c->layers * layer + 2 * c->vocab * c->hidden + c->hidden;
}

/* --- weights --- */

static mat take_mat(struct arena *a, enum dtype t, int64_t rows, int64_t cols)
{
    return mat_make(arena_take(a, (size_t)(rows * cols * dtype_size(t))), t, rows, cols);
}
static float *take_floats(struct arena *a, int64_t n)
{
    return arena_take(a, (size_t)n * sizeof(float));
}

static void weight_layout(struct transformer *t, struct arena *a)
{
    const struct transformer_config *c = &t->c;
    enum dtype type = t->s.type;
    t->w.embed = take_mat(a, type, c->vocab, c->hidden);
    t->w.head = take_mat(a, type, c->vocab, c->hidden);
    t->w.norm = take_floats(a, c->hidden);
    for (int32_t l = 0; l < c->layers; l++)
        t->w.layer[l] = (struct transformer_layer){.norm_attention = take_floats(a, c->hidden),
                                                   .qkv_bias = take_floats(a, qkv_width(c)),
                                                   .norm_ffn = take_floats(a, c->hidden),
                                                   .qkv = take_mat(a, type, qkv_width(c), c->hidden),
                                                   .out = take_mat(a, type, c->hidden, heads_width(c)),
                                                   .gate_up = take_mat(a, type, 2 * c->ffn, c->hidden),
                                                   .down = take_mat(a, type, c->hidden, c->ffn)};
}

/* n values around mean, uniform and at most spread away. A long row of them is a short one over and over: billions of random numbers would
 * take longer than what is to be measured. */
static void fill(void *to, enum dtype type, int64_t n, double mean, double spread, uint64_t seed, uint64_t stream)
{
    enum { BLOCK = (1 << 18) - 64 };
    int64_t m = n < BLOCK ? n : BLOCK, size = dtype_size(type);
    char *host = xmalloc((size_t)(m * size));
    for (int64_t i = 0; i < m; i++) {
        float v = (float)(mean + spread * (2 * rng_uniform(seed, stream, (uint64_t)i) - 1));
        if (type == F32)
            ((float *)(void *)host)[i] = v;
        else
            ((uint16_t *)(void *)host)[i] = f32_to_bf16(v);
    }
    dev_put(to, host, (size_t)(m * size));
    for (int64_t at = m; at < n; at += at) /* what is there, again behind it */
        dev_copy((char *)to + at * size, to, (size_t)((n - at < at ? n - at : at) * size));
    free(host);
}
static void fill_mat(mat m, uint64_t seed, uint64_t stream)
{
    fill(m.data, m.dtype, m.rows * m.cols, 0, 1 / sqrt((double)m.cols), seed, stream);
}

static void weight_values(struct transformer *t)
{
    const struct transformer_config *c = &t->c;
    uint64_t seed = t->s.seed, stream = 0;
    fill(t->w.embed.data, t->s.type, c->vocab * c->hidden, 0, 1, seed, stream++);
    fill_mat(t->w.head, seed, stream++);
    fill(t->w.norm, F32, c->hidden, 1, 0.1, seed, stream++);
    for (int32_t l = 0; l < c->layers; l++) {
        struct transformer_layer *y = &t->w.layer[l];
        fill(y->norm_attention, F32, c->hidden, 1, 0.1, seed, stream++);
        fill(y->norm_ffn, F32, c->hidden, 1, 0.1, seed, stream++);
        fill(y->qkv_bias, F32, qkv_width(c), 0, 0.5, seed, stream++);
        fill_mat(y->qkv, seed, stream++);
        fill_mat(y->out, seed, stream++);
        fill_mat(y->gate_up, seed, stream++);
        fill_mat(y->down, seed, stream++);
    }
}

/* --- memory --- */

static int64_t budget(const struct transformer *t)
{
    size_t free_bytes, total_bytes;
    dev_memory(&free_bytes, &total_bytes);
    int64_t free_now = (int64_t)free_bytes, allowed = t->s.memory - t->memory.libraries - t->memory.weights;
    if (t->s.memory == 0)
        return free_now - free_now / 10;
    return allowed < free_now ? allowed : free_now;
}

bool transformer_open(struct transformer **out, const struct transformer_config *c, const struct transformer_settings *s, struct err *e)
{
    must(s->page >= 1 && s->piece >= s->page && s->piece % s->page == 0 && c->heads % c->kv_heads == 0 && c->headdim % 2 == 0);
    struct transformer *t = xcalloc(1, sizeof *t);
    t->c = *c;
    t->s = *s;
    t->w.layer = xcalloc((size_t)c->layers, sizeof *t->w.layer);
    struct arena measure = {0};
    weight_layout(t, &measure);
    t->memory.libraries = (int64_t)dev_library_bytes();
    if ((int64_t)measure.used > budget(t)) {
        err_set(e, "the Transformer's weights take %.3f GiB, %.3f are there for them: raise the memory limit",
                (double)measure.used / (1 << 30), (double)budget(t) / (1 << 30));
        transformer_close(t);
        return false;
    }
    t->memory.weights = (int64_t)measure.used;
    struct arena mem = {.size = measure.used};
    mem.base = t->weight_block = dev_alloc(mem.size);
    weight_layout(t, &mem);
    weight_values(t);
    *out = t;
    return true;
}

static void forget(struct transformer *t)
{
    dev_graph_free(&t->graph);
    attention_close(t->step);
    attention_close(t->prompt);
    t->step = t->prompt = NULL;
    dev_free(t->block);
    t->block = NULL;
    dev_host_free(t->host_block);
    t->host_block = NULL;
    free(t->seq);
    free(t->free_page);
    t->seq = NULL;
    t->free_page = NULL;
    t->slots = 0;
    t->noise = false;
}

void transformer_close(struct transformer *t)
{
    if (!t)
        return;
    forget(t);
    dev_free(t->weight_block);
    free(t->w.layer);
    free(t);
}

static void in_layout(struct pass_in *in, struct arena *a, const struct transformer *t)
{
    size_t rows = (size_t)(t->slots > t->s.piece ? t->slots : t->s.piece);
    in->ids = arena_take(a, rows * sizeof *in->ids);
    in->seq = arena_take(a, rows * sizeof *in->seq);
    in->position = arena_take(a, rows * sizeof *in->position);
    in->stream = arena_take(a, rows * sizeof *in->stream);
    in->index = arena_take(a, rows * sizeof *in->index);
    in->table = arena_take(a, (size_t)t->slots * (size_t)t->width * sizeof *in->table);
}

static struct attention_shape attention_of(const struct transformer *t, enum attention_kind kind)
{
    const struct transformer_config *c = &t->c;
    return (struct attention_shape){.kind = kind,
                                    .type = t->s.type,
                                    .rows = kind == ATTENTION_STEP ? t->slots : t->s.piece,
                                    .q_heads = c->heads,
                                    .kv_heads = c->kv_heads,
                                    .dim = c->headdim,
                                    .pages = t->pages,
                                    .page = t->s.page,
                                    .width = t->width};
}

/* Everything but the weights, for t->slots, t->width and t->pages. Run once to measure and once to place. */
static void layout(struct transformer *t, struct arena *mem)
{
    const struct transformer_config *c = &t->c;
    enum dtype type = t->s.type;
    int64_t slots = t->slots, rows = slots > t->s.piece ? slots : t->s.piece;
    struct attention_shape step = attention_of(t, ATTENTION_STEP), prompt = attention_of(t, ATTENTION_PROMPT);
    struct arena in = {0};
    in_layout(&t->in, &in, t);
    t->in_bytes = in.used;
    t->in_block = arena_take(mem, in.used);
    in = (struct arena){t->in_block, t->in_bytes, 0};
    in_layout(&t->in, &in, t);
    t->turns = arena_take(mem, sizeof(double) * (size_t)(c->headdim / 2));
    t->x = take_mat(mem, F32, rows, c->hidden);
    t->h = take_mat(mem, type, rows, c->hidden);
    t->qkv = take_mat(mem, type, rows, qkv_width(c));
    t->q = take_mat(mem, type, rows, heads_width(c));
    t->o = take_mat(mem, type, rows, heads_width(c));
    t->gate_up = take_mat(mem, type, rows, 2 * c->ffn);
    t->inner = take_mat(mem, type, rows, c->ffn);
    t->logits = take_mat(mem, F32, slots, c->vocab);
    t->token = arena_take(mem, sizeof(int32_t) * (size_t)slots);
    t->seen = arena_take(mem, sizeof(uint32_t) * (size_t)(slots * ((c->vocab + 31) / 32)));
    t->sampling_room = arena_take(mem, sample_scratch(slots, c->vocab));
    t->step_room = arena_take(mem, attention_scratch(&step));
    t->prompt_room = arena_take(mem, attention_scratch(&prompt));
    t->memory.work = (int64_t)mem->used;
    size_t cache = (size_t)c->layers * (size_t)t->pages * (size_t)((int64_t)c->kv_heads * t->s.page * c->headdim * dtype_size(type));
    t->k = arena_take(mem, cache);
    t->v = arena_take(mem, cache);
    t->memory.cache = (int64_t)mem->used - t->memory.work;
    t->memory.all = t->memory.weights + (int64_t)mem->used + t->memory.libraries;
}

static int64_t bytes_for(struct transformer *t, int32_t slots, int64_t mean, int64_t longest)
{
    int64_t page = t->s.page, each = (mean + page - 1) / page;
    struct arena measure = {0};
    t->slots = slots;
    t->width = (int32_t)((longest + page - 1) / page);
    /* Sequences of unlike lengths each leave a part of a page unused. */
    int64_t pages = slots * each + (mean < longest ? slots : 0);
    must(pages <= INT32_MAX);
    t->pages = (int32_t)pages;
    layout(t, &measure);
    return (int64_t)measure.used;
}

int32_t transformer_begin(struct transformer *t, int64_t mean, int64_t longest, int32_t wished)
{
    must(mean >= 1 && longest >= mean && wished >= 1);
    forget(t);
    int64_t room = budget(t);
    int32_t fits = 0, over = wished + 1;
    while (over - fits > 1) {
        int32_t middle = fits + (over - fits) / 2;
        if (bytes_for(t, middle, mean, longest) <= room)
            fits = middle;
        else
            over = middle;
    }
    t->slots = 0;
    if (fits == 0)
        return 0;
    struct arena mem = {.size = (size_t)bytes_for(t, fits, mean, longest)};
    mem.base = t->block = dev_alloc(mem.size);
    layout(t, &mem);
    t->host_block = dev_host_alloc(t->in_bytes);
    struct arena host = {t->host_block, t->in_bytes, 0};
    in_layout(&t->host, &host, t);
    double *turns = xmalloc(sizeof *turns * (size_t)(t->c.headdim / 2));
    kv_turns(turns, t->c.headdim, t->c.theta);
    dev_put(t->turns, turns, sizeof *turns * (size_t)(t->c.headdim / 2));
    free(turns);
    struct attention_shape step = attention_of(t, ATTENTION_STEP);
    t->step = attention_open(&step, t->step_room);
    t->seq = xcalloc((size_t)fits, sizeof *t->seq);
    t->free_page = xmalloc(sizeof *t->free_page * (size_t)t->pages);
    for (t->left = 0; t->left < t->pages; t->left++) /* in no order, as after hours of use */
        t->free_page[t->left] = (int32_t)rng_permute(t->s.seed, 1, (uint64_t)t->pages, (uint64_t)t->left);
    return fits;
}

struct transformer_memory transformer_memory(const struct transformer *t)
{
    return t->memory;
}

/* --- passes --- */

static struct kv_cache cache_of(const struct transformer *t, int32_t layer)
{
    const struct transformer_config *c = &t->c;
    int64_t at = layer * (int64_t)t->pages * c->kv_heads * t->s.page * c->headdim * dtype_size(t->s.type);
    return (struct kv_cache){(char *)t->k + at, (char *)t->v + at, t->s.type, t->pages, c->kv_heads, t->s.page, c->headdim};
}

/* y = x w^T + add, of a decode step or of a prompt. */
static void product(bool step, mat y, mat x, mat w, mat add)
{
    if (step)
        linear_step(y, x, w, add);
    else
        linear_fwd(y, x, w, add);
}

/* The layers over the first rows rows of what the device's block holds. */
static void forward(struct transformer *t, struct attention *a, int64_t rows, int32_t first)
{
    const struct transformer_config *c = &t->c;
    bool step = a == t->step;
    mat x = mat_rows(t->x, 0, rows), h = mat_rows(t->h, 0, rows), qkv = mat_rows(t->qkv, 0, rows), q = mat_rows(t->q, 0, rows);
    mat o = mat_rows(t->o, 0, rows), gate_up = mat_rows(t->gate_up, 0, rows), inner = mat_rows(t->inner, 0, rows), none = {0};
    struct kv_rows r = {(int32_t)rows, t->in.seq, t->in.position, t->in.table, t->width};
    embed_fwd(x, t->w.embed, t->in.ids);
    attention_rows(a, r, first);
    for (int32_t l = 0; l < c->layers; l++) {
        const struct transformer_layer *w = &t->w.layer[l];
        struct kv_cache kv = cache_of(t, l);
        rmsnorm_fwd(h, NULL, x, w->norm_attention, (float)c->eps);
        product(step, qkv, h, w->qkv, none);
        kv_append(q, qkv, w->qkv_bias, t->turns, kv, r);
        attention_fwd(a, o, q, kv);
        product(step, x, o, w->out, x);
        rmsnorm_fwd(h, NULL, x, w->norm_ffn, (float)c->eps);
        product(step, gate_up, h, w->gate_up, none);
        swiglu_fwd(inner, gate_up);
        product(step, x, inner, w->down, x);
    }
    rmsnorm_fwd(h, NULL, x, t->w.norm, (float)c->eps);
    t->rows = rows;
}

/* Pages for the sequence's first n tokens. */
static bool reserve(struct transformer *t, int32_t slot, int64_t n)
{
    struct sequence *q = &t->seq[slot];
    int64_t pages = (n + t->s.page - 1) / t->s.page;
    if (pages > t->width || pages - q->pages > t->left)
        return false;
    while (q->pages < pages)
        t->host.table[(int64_t)slot * t->width + q->pages++] = t->free_page[--t->left];
    return true;
}

void transformer_prefill(struct transformer *t, int32_t slot, const int32_t *ids, int64_t n)
{
    struct sequence *q = &t->seq[slot];
    must(slot >= 0 && slot < t->slots && n >= 1 && q->length == 0);
    if (!reserve(t, slot, n))
        die("a prompt of %lld tokens: no pages are left for it", (long long)n);
    if (!t->prompt) {
        struct attention_shape shape = attention_of(t, ATTENTION_PROMPT);
        t->prompt = attention_open(&shape, t->prompt_room);
    }
    while (q->length < n - 1) {
        int64_t rows = n - 1 - q->length < t->s.piece ? n - 1 - q->length : t->s.piece;
        for (int64_t i = 0; i < rows; i++) {
            t->host.ids[i] = ids[q->length + i];
            t->host.seq[i] = slot;
            t->host.position[i] = (int32_t)(q->length + i);
        }
        dev_put(t->in_block, t->host_block, t->in_bytes);
        forward(t, t->prompt, rows, (int32_t)q->length);
        q->length += rows;
    }
    q->token = ids[n - 1];
}

void transformer_fill(struct transformer *t, int32_t slot, int64_t n)
{
    struct sequence *q = &t->seq[slot];
    must(slot >= 0 && slot < t->slots && n >= 1 && q->length == 0);
    if (!reserve(t, slot, n))
        die("a sequence of %lld tokens: no pages are left for it", (long long)n);
    int64_t all = (int64_t)t->c.layers * t->pages * t->c.kv_heads * t->s.page * t->c.headdim;
    if (!t->noise) {
        fill(t->k, t->s.type, all, 0, 1, t->s.seed, 1000000);
        fill(t->v, t->s.type, all, 0, 1, t->s.seed, 1000001);
        t->noise = true;
    }
    q->length = n;
    q->token = (int32_t)rng_below(t->s.seed, 1000002, (uint64_t)slot, (uint64_t)t->c.vocab);
}

void transformer_release(struct transformer *t, int32_t slot)
{
    struct sequence *q = &t->seq[slot];
    while (q->pages > 0)
        t->free_page[t->left++] = t->host.table[(int64_t)slot * t->width + --q->pages];
    q->length = 0;
}

bool transformer_step(struct transformer *t)
{
    must(t->slots > 0);
    for (int32_t i = 0; i < t->slots; i++) {
        struct sequence *q = &t->seq[i];
        if (!reserve(t, i, q->length + 1))
            return false;
        t->host.ids[i] = q->token;
        t->host.seq[i] = i;
        t->host.position[i] = (int32_t)q->length;
        t->host.stream[i] = (uint64_t)i;
        t->host.index[i] = q->length;
    }
    dev_put(t->in_block, t->host_block, t->in_bytes);
    if (dev_graph_begin(&t->graph)) {
        forward(t, t->step, t->slots, 0);
        linear_step(t->logits, mat_rows(t->h, 0, t->slots), t->w.head, (mat){0});
        sample_step(t->token, t->logits, t->s.sampling, (struct sample_rows){t->in.stream, t->in.index, t->seen, t->in.seq},
                    t->sampling_room);
        dev_graph_end(&t->graph);
    }
    t->rows = t->slots;
    dev_get(t->host.ids, t->token, sizeof *t->token * (size_t)t->slots);
    for (int32_t i = 0; i < t->slots; i++) {
        t->seq[i].token = t->host.ids[i];
        t->seq[i].length++;
    }
    return true;
}

int32_t transformer_token(const struct transformer *t, int32_t slot)
{
    return t->seq[slot].token;
}

int64_t transformer_length(const struct transformer *t, int32_t slot)
{
    return t->seq[slot].length;
}

mat transformer_hidden(const struct transformer *t)
{
    return mat_rows(t->h, 0, t->rows);
}

const struct transformer_weights *transformer_weights(const struct transformer *t)
{
    return &t->w;
}

const char *transformer_attention(const struct transformer *t)
{
    return attention_describe(t->step);
}
