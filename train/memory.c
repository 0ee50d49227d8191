/* train/memory.c - the layout of a run's device memory. */
#include "train/memory.h"
#include "kernels/device.h"
#include "kernels/linear.h"
#include <stdlib.h>

/* All of every parameter (part NULL) or a part. */
static struct tensors take_tensors(struct arena *mem, const struct param_table *t, enum dtype type, const struct tensors_part *part)
{
    struct tensors v = {t, type, NULL, part};
    v.base = arena_take(mem, (size_t)tensors_bytes(v));
    return v;
}

void batch_layout(struct pass *p, struct arena *mem, const struct model_shape *s)
{
    pass_layout(p, mem, s->max_tokens, s->max_docs, model_chunk(s), true);
}

void memory_layout(struct memory *m, struct arena *mem, const struct param_table *t, const struct memory_shape *s, struct block_acts *layer)
{
    int64_t at = 0;
#define PART(member) (m->member = (int64_t)mem->used - at, at = (int64_t)mem->used)
    *m = (struct memory){0};
    const struct shares *shares = m->shares = s->shares;
    const struct tensors_part *own = shares ? &shares->own[F32] : NULL;
    m->w = take_tensors(mem, t, s->model.type, NULL);
    PART(weights);
    m->sums = take_tensors(mem, t, s->gradients, shares ? &shares->own[s->gradients] : NULL);
    PART(gradients);
    m->grads = shares ? take_tensors(mem, t, s->gradients, &shares->flight[s->gradients]) : m->sums;
    PART(flight);
    m->master = m->w;
    m->master.part = shares ? &shares->own_place : NULL;
    if (s->model.type != F32)
        m->master = take_tensors(mem, t, F32, own);
    m->exp_avg = take_tensors(mem, t, F32, own);
    m->exp_avg_sq = take_tensors(mem, t, F32, own);
    m->stats = arena_take(mem, sizeof *m->stats);
    PART(optimizer);
    acts_layout(&m->acts, mem, &s->model, layer);
    m->kept = m->acts.kept_bytes;
    m->scratch = (int64_t)mem->used - at - m->kept;
    at = (int64_t)mem->used;
    batch_layout(&m->batch[0], mem, &s->model);
    batch_layout(&m->batch[1], mem, &s->model);
    PART(batches);
    m->total = at;
#undef PART
}

int64_t memory_total(const struct param_table *t, const struct memory_shape *s)
{
    struct block_acts *layer = xcalloc((size_t)s->model.config.layers, sizeof *layer);
    struct arena measure = {0};
    struct memory m;
    memory_layout(&m, &measure, t, s, layer);
    free(layer);
    return m.total;
}

int32_t memory_fit(const struct param_table *t, struct memory_shape s, int64_t budget)
{
    for (int32_t keep = s.model.config.layers; keep >= 0; keep--) {
        s.model.kept_layers = keep;
        if (memory_total(t, &s) <= budget)
            return keep;
    }
    return -1;
}

/* One product of each kind at the model's sizes, or at sizes from which the library's buffers stop to grow. */
static void warm_product(const struct memory_shape *s, int64_t rows, int64_t in, int64_t out)
{
    enum { ROWS = 2048, IN = 1024, OUT = 4096, N = 4 };
    enum dtype t = s->model.type;
    rows = rows < ROWS ? rows : ROWS;
    in = in < IN ? in : IN;
    out = out < OUT ? out : OUT;
    mat none = {0}, x = mat_make(NULL, t, rows, in), y = mat_make(NULL, t, rows, out), w = mat_make(NULL, t, out, in), dw = w;
    dw.dtype = s->gradients;
    mat *all[N] = {&x, &y, &w, &dw};
    for (int i = 0; i < N; i++)
        all[i]->data = dev_alloc((size_t)(all[i]->rows * all[i]->cols) * dtype_size(all[i]->dtype));
    linear_fwd(y, x, w, none);
    linear_bwd_w(dw, y, x);
    linear_bwd_x(x, y, w, 0);
    dev_sync();
    for (int i = 0; i < N; i++)
        dev_free(all[i]->data);
}

/* The matrix library's code and buffers come with its first products, so they are made here. */
int64_t memory_library(const struct memory_shape *s)
{
    const struct model_config *c = &s->model.config;
    warm_product(s, s->model.max_tokens, c->hidden, config_proj_dim(c));
    warm_product(s, s->model.max_tokens, config_inner(c), c->hidden);
    warm_product(s, s->model.logit_rows, c->hidden, c->vocab);
    return (int64_t)dev_library_bytes();
}
