/* train/step.c - see step.h. */
#include "train/step.h"
#include "kernels/device.h"

void step_zero(struct tensors t)
{
    dev_zero(t.base, (size_t)t.table->bytes[t.dtype]);
}

void step_begin(const struct memory *m)
{
    dev_zero(m->stats, sizeof *m->stats);
    step_zero(m->grads);
}

void step_pass(struct memory *m, const struct pass *p)
{
    struct model_state none = {0};
    model_forward(&m->acts, m->w, p, none);
    model_loss(&m->acts, m->w, p, true, m->grads);
    sum_add(&m->stats->loss, m->acts.loss, p->s.tokens, m->acts.scratch.ops);
    model_backward(&m->acts, m->w, m->grads, p);
}

void step_sumsq(const struct memory *m)
{
    const struct param_table *table = m->w.table;
    for (int32_t k = 0; k < table->n; k++) {
        const struct param *p = &table->param[k];
        sumsq_add(&m->stats->sumsq, mat_make(tensors_at(m->grads, p), tensors_dtype(m->grads, p), p->rows, p->cols), m->acts.scratch.ops);
    }
}

void step_adamw(const struct memory *m, const struct optim_settings *o, double lr, int64_t t)
{
    const struct param_table *table = m->w.table;
    struct adamw a = {(float)lr, (float)o->betas[0], (float)o->betas[1], (float)o->eps, 0, t};
    for (int32_t k = 0; k < table->n; k++) {
        const struct param *p = &table->param[k];
        void *low = m->w.base == m->master.base ? NULL : tensors_at(m->w, p);
        a.decay = p->decay ? (float)o->weight_decay : 0;
        adamw_step(tensors_at(m->master, p), low && p->matrix ? low : NULL, tensors_at(m->exp_avg, p), tensors_at(m->exp_avg_sq, p),
                   tensors_at(m->grads, p), tensors_dtype(m->grads, p), p->n, a, m->stats);
        if (low && !p->matrix) /* vectors are f32 in both copies */
            dev_copy(low, tensors_at(m->master, p), sizeof(float) * (size_t)p->n);
    }
}

void step_update(const struct memory *m, const struct optim_settings *o, double lr, int64_t t)
{
    step_sumsq(m);
    step_finish(m->stats, (float)o->grad_clip);
    step_adamw(m, o, lr, t);
}
