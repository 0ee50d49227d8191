/* train/setup.c - opening everything a run needs. */
#include "train/setup.h"
#include "core/log.h"
#include "kernels/device.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The ids that the tokenizer has are right where config.json's differ (Codestral's says 0 for all three). */
static bool use_tokenizer_ids(struct setup *u, struct err *e)
{
    int32_t bos = tokenizer_bos(u->tokenizer), eos = tokenizer_eos(u->tokenizer), vocab = tokenizer_vocab(u->tokenizer);
    if (vocab > u->config.vocab)
        return err_set(e, "the tokenizer has %d ids, the model's vocab_size is %lld: they do not belong together", vocab,
                       (long long)u->config.vocab);
    if (bos != u->config.bos || eos != u->config.eos)
        log_line("bos %d and eos %d are the tokenizer's (config.json says %d and %d)", bos, eos, u->config.bos, u->config.eos);
    u->config.bos = bos;
    u->config.eos = eos;
    return true;
}

static bool open_phases(struct setup *u, struct err *e)
{
    const struct settings *s = u->settings;
    u->phase = xcalloc((size_t)s->phases.n, sizeof(struct loader *));
    for (int64_t i = 0; i < s->phases.n; i++) {
        const struct phase_settings *p = settings_phase(s, i);
        const struct data_settings *data = p->data.at;
        struct loader_source *source = xcalloc((size_t)p->data.n, sizeof *source);
        for (int64_t k = 0; k < p->data.n; k++)
            source[k] = (struct loader_source){data[k].path, data[k].weight};
        struct loader_settings ls = {.source = source,
                                     .n_source = (int)p->data.n,
                                     .seq_len = p->seq_len,
                                     .rows = s->rows,
                                     .steps = p->steps,
                                     .epochs = isnan(p->epochs) ? 0 : p->epochs,
                                     .pack = p->pack,
                                     .shuffle = p->shuffle,
                                     .row_mean = s->loss_mean == LOSS_ROWS,
                                     .seed = (uint64_t)s->seed + (uint64_t)i,
                                     .vocab = (int32_t)u->config.vocab,
                                     .tokenizer = u->tokenizer ? tokenizer_digest(u->tokenizer) : NULL};
        bool ok = loader_open(&u->phase[i], &ls, e) || err_in(e, "phases.%lld (%s)", (long long)i, p->name);
        free(source);
        if (!ok)
            return false;
        u->total_steps += loader_steps(u->phase[i]);
        struct loader_stats st = loader_stats(u->phase[i]);
        log_line(
            "%s: %lld documents, %lld tokens (%lld learnt) an epoch in %lld rows of %lld, %.1f%% full; %lld steps; %lld documents cut, %lld "
            "without a learnt token left out",
            p->name, (long long)st.docs, (long long)st.tokens, (long long)st.learnt, (long long)st.rows, (long long)p->seq_len,
            100 * st.fill, (long long)loader_steps(u->phase[i]), (long long)st.cut, (long long)st.unlearnt);
        int64_t tokens = p->seq_len * s->micro_rows;
        if (tokens > u->shape.model.max_tokens)
            u->shape.model.max_tokens = tokens;
        int32_t docs = loader_max_docs(u->phase[i]) * (int32_t)s->micro_rows;
        if (docs > u->shape.model.max_docs)
            u->shape.model.max_docs = docs;
    }
    return true;
}

static const double GIB = 1024.0 * 1024 * 1024;

static bool choose_recompute(struct setup *u, bool allow_misfit, struct err *e)
{
    struct memory_shape *s = &u->shape;
    int32_t layers = u->config.layers;
    int64_t budget = (int64_t)u->free_bytes - u->libraries;
    s->model.kept_layers = u->settings->recompute == RECOMPUTE_FULL ? 0 : layers;
    if (u->settings->recompute == RECOMPUTE_AUTO) {
        int32_t fit = memory_fit(&u->table, *s, budget - budget / 20);
        s->model.kept_layers = fit < 0 ? 0 : fit;
    }
    int64_t need = memory_total(&u->table, s);
    if (need <= budget || allow_misfit)
        return true;
    struct memory_shape full = *s;
    full.model.kept_layers = 0;
    int64_t least = memory_total(&u->table, &full);
    return err_set(e, "this run needs %.2f GiB of memory, %.2f GiB are free; %s (--plan shows the parts)", (double)need / GIB,
                   (double)budget / GIB,
                   least <= budget                 ? "it fits with \"recompute\": \"full\""
                   : u->settings->micro_rows > 1   ? "lower \"batch.micro_rows\""
                   : u->settings->precision == F32 ? "lower the phases' seq_len, or use \"precision\": \"bf16\" on a GPU"
                   : u->settings->gradients == F32 ? "try \"gradients\": \"bf16\" and \"residual\": \"bf16\""
                                                   : "lower the phases' seq_len or use more ranks");
}

bool setup_open(struct setup *u, const struct settings *s, bool allow_misfit, struct err *e)
{
    char note[256];
    *u = (struct setup){.settings = s};
    if (!dev_open(0, e))
        return false;
    log_line("%s", dev_describe());
    if (!dev_supports((enum dtype)s->precision))
        return err_set(e, "\"precision\": the %s backend computes in f32 only; set it to \"f32\" or build with make BACKEND=cuda",
                       dev_backend());
    if (!config_load(&u->config, s->model_config, note, sizeof note, e))
        return false;
    if (note[0])
        log_line("%s: %s", s->model_config, note);
    if (s->tokenizer && (!tokenizer_open(&u->tokenizer, s->tokenizer, e) || !use_tokenizer_ids(u, e)))
        return false;
    u->config.type = (enum dtype)s->precision; /* what checkpoints say of the model */
    params_plan(&u->table, &u->config);
    u->shape.gradients = (enum dtype)s->gradients;
    u->shape.model =
        (struct model_shape){.config = u->config, .type = (enum dtype)s->precision, .residual = (enum dtype)s->residual, .train = true};
    if (!open_phases(u, e))
        return false;
    u->shape.model.logit_rows = model_logit_rows(&u->config, (enum dtype)s->precision, u->shape.model.max_tokens);
    u->libraries = memory_library(&u->shape);
    dev_memory(&u->free_bytes, &u->total_bytes);
    return choose_recompute(u, allow_misfit, e);
}

void setup_close(struct setup *u)
{
    for (int64_t i = 0; u->phase && i < u->settings->phases.n; i++)
        if (u->phase[i])
            loader_close(u->phase[i]);
    free(u->phase);
    params_free(&u->table);
    if (u->tokenizer)
        tokenizer_close(u->tokenizer);
}
