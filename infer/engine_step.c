/* infer/engine_step.c - sequences: forked from prompts, stepped together, released. See engine.h. */
#include "infer/engine_impl.h"
#include "kernels/xent.h"
#include <math.h>

int32_t engine_fork(struct engine *g, int32_t k, uint64_t stream)
{
    must(k >= 0 && k < g->prompts);
    int32_t slot = 0;
    while (slot < g->slots && g->seq[slot].live)
        slot++;
    if (slot == g->slots)
        return -1;
    state_copy(g->state, slot, g->read, k, &g->config);
    dev_copy(g->seen + slot * g->seen_words, g->seen + (g->slots + k) * g->seen_words, (size_t)g->seen_words * sizeof *g->seen);
    g->seq[slot] = (struct engine_seq){.live = true, .stream = stream, .token = g->last_token[k]};
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
