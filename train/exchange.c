/* train/exchange.c - reduce-scatter of gradients, all-gather of weights. */
#include "train/exchange.h"
#include "kernels/comm.h"
#include "kernels/device.h"
#include "train/watch.h"
#include <stdlib.h>

enum { NO_CALL = -1 };

struct exchange {
    struct memory *m;
    const struct shares *s;
    struct model_hooks hooks;
    bool summed;                   /* a pass of this step has been summed */
    int64_t freed[FLIGHT_BUFFERS]; /* the call that reads a buffer; NO_CALL: none */
    int64_t last;                  /* reduce-scatter */
    int64_t gathered[];            /* [n_bucket] the call that brings a bucket's weights; NO_CALL: they are here */
};

/* Forward: the bucket's weights are read from here on. */
static void use(void *arg, int32_t bucket)
{
    struct exchange *x = arg;
    if (x->gathered[bucket] != NO_CALL)
        comm_wait(x->gathered[bucket]);
    x->gathered[bucket] = NO_CALL;
}

/* The sums so far are in the shares since before the buffer's last call ended: calls end in order. */
static void begin(void *arg, int32_t bucket)
{
    struct exchange *x = arg;
    struct tensors g = x->m->grads;
    const int64_t *at = g.table->bucket_at[g.dtype];
    int64_t *freed = &x->freed[shares_buffer(g.table, bucket)];
    if (*freed != NO_CALL)
        comm_wait(*freed);
    *freed = NO_CALL;
    dev_zero(shares_segment(g, 2 * bucket), (size_t)(at[bucket + 1] - at[bucket]));
    for (int32_t i = 2 * bucket; x->summed && i < 2 * bucket + 2; i++) {
        struct share sum = shares_own(x->s, x->m->sums, i), part = shares_own(x->s, g, i);
        dev_copy(part.at, sum.at, (size_t)(sum.n * dtype_size(sum.dtype)));
    }
}

static void ready(void *arg, int32_t bucket)
{
    struct exchange *x = arg;
    watch_section(WATCH_REDUCE); /* on the CPU the others are waited for here */
    for (int32_t i = 2 * bucket; i < 2 * bucket + 2; i++) {
        struct share sum = shares_own(x->s, x->m->sums, i);
        if (sum.n > 0)
            x->last = comm_reduce_scatter(sum.at, shares_segment(x->m->grads, i), sum.n, sum.dtype);
    }
    x->freed[shares_buffer(x->s->table, bucket)] = x->last;
    watch_section(WATCH_BACKWARD);
    if (bucket == 0) /* the pass ends */
        x->summed = true;
}

void exchange_open(struct memory *m)
{
    int32_t n = m->shares->table->n_bucket;
    struct exchange *x = xcalloc(1, sizeof *x + sizeof x->gathered[0] * (size_t)n);
    *x = (struct exchange){.m = m, .s = m->shares, .hooks = {use, begin, ready, x}, .last = NO_CALL};
    for (int i = 0; i < FLIGHT_BUFFERS; i++)
        x->freed[i] = NO_CALL;
    for (int32_t b = 0; b < n; b++)
        x->gathered[b] = NO_CALL;
    m->exchange = x;
    m->acts.hooks = &x->hooks;
}

void exchange_close(struct memory *m)
{
    free(m->exchange);
    m->exchange = NULL;
}

void exchange_begin(struct exchange *x)
{
    x->summed = false;
}

void exchange_idle(struct exchange *x)
{
    for (int32_t b = x->s->table->n_bucket - 1; b >= 0; b--) {
        begin(x, b);
        ready(x, b);
    }
}

void exchange_sums(struct exchange *x)
{
    comm_wait(x->last);
}

void exchange_weights(struct exchange *x, int32_t bucket)
{
    watch_section(WATCH_REDUCE);
    for (int32_t i = 2 * bucket; i < 2 * bucket + 2; i++) {
        struct share own = shares_own(x->s, x->m->w, i);
        if (own.n > 0)
            x->gathered[bucket] = comm_all_gather(shares_segment(x->m->w, i), own.at, own.n, own.dtype);
    }
    watch_section(WATCH_OPTIMIZER);
}
