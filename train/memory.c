/* train/memory.c - the layout of a run's device memory. */
#include "train/memory.h"
#include <stdlib.h>

static struct tensors take_tensors(struct arena *mem, const struct param_table *t, enum dtype type)
{
    return (struct tensors){t, type, arena_take(mem, (size_t)t->bytes[type])};
}

void batch_layout(struct pass *p, struct arena *mem, const struct model_shape *s)
{
    pass_layout(p, mem, s->max_tokens, s->max_docs, s->config.chunk, true);
}

void memory_layout(struct memory *m, struct arena *mem, const struct param_table *t, const struct memory_shape *s, struct block_acts *layer)
{
    int64_t at = 0;
#define PART(member) (m->member = (int64_t)mem->used - at, at = (int64_t)mem->used)
    *m = (struct memory){0};
    m->w = take_tensors(mem, t, s->model.type);
    PART(weights);
    m->grads = take_tensors(mem, t, s->gradients);
    PART(gradients);
    m->master = m->w;
    if (s->model.type != F32)
        m->master = take_tensors(mem, t, F32);
    m->exp_avg = take_tensors(mem, t, F32);
    m->exp_avg_sq = take_tensors(mem, t, F32);
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
