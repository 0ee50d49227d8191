/* tests/rig.h - a whole model on the device for a test: weights, gradients, the memory of a pass, states; and its numbers back on the host. */
#ifndef TESTS_RIG_H
#define TESTS_RIG_H
#include "model/model.h"
#include "tests/ref_util.h"

struct rig {
    struct model_shape shape;
    struct param_table table;
    struct tensors w, g; /* g only in training */
    struct acts acts;
    struct block_acts *layer;
    struct pass host, dev;
    struct model_state state; /* none without slots */
    void *mem, *host_mem;
    size_t bytes, host_bytes;
};

static inline void rig_layout(struct rig *r, struct arena *a, int32_t slots)
{
    const struct model_shape *sh = &r->shape;
    r->w = (struct tensors){&r->table, sh->type, (char *)arena_take(a, (size_t)r->table.bytes[sh->type]), NULL};
    if (sh->train)
        r->g = (struct tensors){&r->table, F32, (char *)arena_take(a, (size_t)r->table.bytes[F32]), NULL};
    acts_layout(&r->acts, a, sh, r->layer);
    pass_layout(&r->dev, a, sh->max_tokens, sh->max_docs, model_chunk(sh), true);
    if (slots > 0)
        state_layout(&r->state, a, &sh->config, slots, sh->type, F32);
}

static inline void rig_open(struct rig *r, const struct model_shape *shape, int32_t slots)
{
    ref_device();
    *r = (struct rig){.shape = *shape};
    params_plan(&r->table, &shape->config);
    r->layer = (struct block_acts *)xcalloc((size_t)shape->config.layers, sizeof *r->layer);
    struct arena measure = {0};
    rig_layout(r, &measure, slots);
    r->bytes = measure.used;
    r->mem = dev_alloc(r->bytes);
    struct arena place = {(char *)r->mem, r->bytes, 0};
    rig_layout(r, &place, slots);
    must(place.used == r->bytes);
    struct arena h = {0};
    pass_layout(&r->host, &h, shape->max_tokens, shape->max_docs, model_chunk(shape), true);
    r->host_bytes = h.used;
    r->host_mem = dev_host_alloc(r->host_bytes);
    h = (struct arena){(char *)r->host_mem, r->host_bytes, 0};
    pass_layout(&r->host, &h, shape->max_tokens, shape->max_docs, model_chunk(shape), true);
}

static inline void rig_close(struct rig *r)
{
    dev_free(r->mem);
    dev_host_free(r->host_mem);
    free(r->layer);
    params_free(&r->table);
}

/* A pass on the device. target NULL: nothing is learnt; weight NULL: 1; slot NULL: document d has slot d. */
static inline struct pass rig_pass(struct rig *r, const int32_t *ids, const int32_t *target, const double *weight, const int32_t *len,
                                   int32_t n, const int32_t *slot)
{
    struct pass *h = &r->host;
    seqs_plan(&h->s, len, n, slot);
    for (int64_t i = 0; i < h->s.tokens; i++) {
        h->ids[i] = ids[i];
        h->target[i] = target ? target[i] : -1;
        h->weight[i] = weight ? (float)weight[i] : 1;
    }
    dev_put(r->dev.s.start, h->s.start, r->host_bytes); /* both blocks are one layout from their first table on */
    return pass_on(h, &r->dev);
}

/* Logits of every row of the pass that model_forward() ran last; the caller frees. */
static inline double *rig_logits(struct rig *r, int64_t tokens)
{
    int64_t v = r->shape.config.vocab, most = r->shape.logit_rows;
    double *out = (double *)xmalloc(sizeof(double) * (size_t)(tokens * v + 1));
    for (int64_t i = 0; i < tokens; i += most) {
        int64_t n = tokens - i < most ? tokens - i : most;
        model_logits(&r->acts, r->w, mat_rows(r->acts.h, i, n), false);
        ref_get(out + i * v, F32, r->acts.logits.data, n * v);
    }
    return out;
}

/* Zeroes the gradients, then forward, loss and backward of a pass. Returns the summed loss. */
static inline double rig_train(struct rig *r, const struct pass *p)
{
    struct model_state none = {0};
    dev_zero(r->g.base, (size_t)r->table.bytes[F32]);
    model_forward(&r->acts, r->w, p, none);
    model_loss(&r->acts, r->w, p, true, r->g);
    model_backward(&r->acts, r->w, r->g, p);
    double sum = 0, *loss = (double *)xmalloc(sizeof(double) * (size_t)(p->s.tokens + 1));
    ref_get(loss, F32, r->acts.loss, p->s.tokens);
    for (int64_t i = 0; i < p->s.tokens; i++)
        sum += loss[i];
    free(loss);
    return sum;
}

/* The numbers of a parameter in a set of tensors; the caller frees. */
static inline double *rig_get(struct tensors t, int32_t k)
{
    const struct param *p = &t.table->param[k];
    double *v = (double *)xmalloc(sizeof(double) * (size_t)p->n);
    ref_get(v, tensors_dtype(t, p), tensors_at(t, p), p->n);
    return v;
}

/* All bytes of a block of device memory; the caller frees. */
static inline void *rig_bytes(const void *dev, size_t n)
{
    void *host = xmalloc(n);
    dev_get(host, dev, n);
    return host;
}
#endif
