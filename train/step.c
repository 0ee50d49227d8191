/* train/step.c - see step.h. */
#include "train/step.h"
#include "kernels/comm.h"
#include "kernels/device.h"
#include "train/exchange.h"
#include "train/watch.h"
#include <stddef.h>

void step_zero(struct tensors t)
{
    dev_zero(t.base, (size_t)tensors_bytes(t));
}

void step_begin(const struct memory *m)
{
    dev_zero(m->stats, sizeof *m->stats);
    if (m->exchange)
        exchange_begin(m->exchange);
    else
        step_zero(m->sums);
}

void step_pass(struct memory *m, const struct pass *p)
{
    struct model_state none = {0};
    watch_section(WATCH_FORWARD);
    model_forward(&m->acts, m->w, p, none);
    model_loss(&m->acts, m->w, p, true, m->grads);
    sum_add(&m->stats->loss, m->acts.loss, p->s.tokens, m->acts.scratch.ops);
    watch_section(WATCH_BACKWARD);
    model_backward(&m->acts, m->w, m->grads, p);
}

void step_idle(struct memory *m)
{
    exchange_idle(m->exchange);
}

void step_sumsq(const struct memory *m)
{
    const struct param_table *table = m->w.table;
    for (int32_t k = 0; k < table->n; k++) {
        const struct param *p = &table->param[k];
        int64_t first = 0, n = tensors_clip(m->sums, p, &first, p->n);
        sumsq_add(&m->stats->sumsq, mat_make(tensors_value(m->sums, p, first), tensors_dtype(m->sums, p), 1, n), m->acts.scratch.ops);
    }
}

/* The values of a parameter that are this rank's. */
static void adamw(const struct memory *m, const struct param *p, struct adamw a)
{
    int64_t first = 0, n = tensors_clip(m->sums, p, &first, p->n);
    float *master = tensors_value(m->master, p, first);
    void *low = m->w.base == m->master.base ? NULL : tensors_value(m->w, p, first);
    if (n == 0)
        return;
    adamw_step(master, low && p->matrix ? low : NULL, tensors_value(m->exp_avg, p, first), tensors_value(m->exp_avg_sq, p, first),
               tensors_value(m->sums, p, first), tensors_dtype(m->sums, p), n, a, m->stats);
    if (low && !p->matrix) /* vectors are f32 in both copies */
        dev_copy(low, master, sizeof(float) * (size_t)n);
}

void step_adamw(const struct memory *m, const struct optim_settings *o, double lr, int64_t t)
{
    const struct param_table *table = m->w.table;
    struct adamw a = {(float)lr, (float)o->betas[0], (float)o->betas[1], (float)o->eps, 0, t};
    for (int32_t k = 0; k < table->n; k++) {
        const struct param *p = &table->param[k];
        a.decay = p->decay ? (float)o->weight_decay : 0;
        adamw(m, p, a);
        if (m->exchange && (k + 1 == table->n || table->param[k + 1].bucket != p->bucket))
            exchange_weights(m->exchange, p->bucket);
    }
}

void step_update(const struct memory *m, const struct optim_settings *o, double lr, int64_t t)
{
    _Static_assert(offsetof(struct step_stats, sumsq) == sizeof(double), "loss and sumsq are summed over the ranks at once");
    watch_section(WATCH_REDUCE);
    if (m->exchange)
        exchange_sums(m->exchange);
    step_sumsq(m);
    if (m->exchange)
        comm_all_reduce(&m->stats->loss, 2);
    watch_section(WATCH_OPTIMIZER);
    step_finish(m->stats, (float)o->grad_clip);
    step_adamw(m, o, lr, t);
}
