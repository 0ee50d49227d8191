/* train/setup.c - opening everything a run needs. */
#include "train/setup.h"
#include "core/file.h"
#include "core/log.h"
#include "kernels/comm.h"
#include "kernels/device.h"
#include "train/saver.h"
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

/* A phase whose data are not here is planned as if no row held more documents than this. Each more costs at most one state of the scan in
 * every layer that keeps its activations. */
enum { PLANNED_DOCS = 16 };

/* The first of a phase's data files that is not there; NULL: all are. */
static const char *missing_data(const struct phase_settings *p)
{
    const struct data_settings *data = p->data.at;
    for (int64_t k = 0; k < p->data.n; k++)
        if (!file_exists(data[k].path))
            return data[k].path;
    return NULL;
}

static bool open_phase(struct setup *u, int64_t i, struct err *e)
{
    const struct settings *s = u->settings;
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
        p->name, (long long)st.docs, (long long)st.tokens, (long long)st.learnt, (long long)st.rows, (long long)p->seq_len, 100 * st.fill,
        (long long)loader_steps(u->phase[i]), (long long)st.cut, (long long)st.unlearnt);
    return true;
}

static bool open_phases(struct setup *u, bool plan, struct err *e)
{
    const struct settings *s = u->settings;
    u->phase = xcalloc((size_t)s->phases.n, sizeof(struct loader *));
    for (int64_t i = 0; i < s->phases.n; i++) {
        const struct phase_settings *p = settings_phase(s, i);
        const char *missing = plan ? missing_data(p) : NULL;
        int32_t docs = p->pack ? PLANNED_DOCS : 1;
        if (missing)
            log_line("%s: %s is not here; planned for at most %d documents in a row", p->name, missing, docs);
        else if (!open_phase(u, i, e))
            return false;
        else
            docs = loader_max_docs(u->phase[i]);
        int64_t tokens = p->seq_len * s->micro_rows;
        if (tokens > u->shape.model.max_tokens)
            u->shape.model.max_tokens = tokens;
        if (docs * (int32_t)s->micro_rows > u->shape.model.max_docs)
            u->shape.model.max_docs = docs * (int32_t)s->micro_rows;
    }
    return true;
}

static const double GIB = 1024.0 * 1024 * 1024;

static bool choose_recompute(struct setup *u, bool plan, struct err *e)
{
    struct memory_shape *s = &u->shape;
    int32_t layers = u->config.layers;
    int64_t budget = (int64_t)u->free_bytes - u->libraries;
    s->model.kept_layers = u->settings->recompute == RECOMPUTE_NONE ? layers : 0;
    if (u->settings->recompute == RECOMPUTE_AUTO && u->free_bytes > 0) {
        int32_t fit = memory_fit(&u->table, *s, budget - budget / 20);
        s->model.kept_layers = fit < 0 ? 0 : fit;
    }
    if (plan)
        return true;
    s->model.kept_layers = (int32_t)-comm_most(-s->model.kept_layers); /* the least */
    int64_t need = memory_total(&u->table, s);
    if (need <= budget)
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

/* Whether there is room on the host to copy what is saved; the same on all ranks. Where the device's memory is the host's, what the run needs
 * comes first. */
static void choose_copy(struct setup *u, bool plan)
{
    const struct tensors_part *own = u->ranks > 1 ? &u->shares.own[F32] : NULL;
    bool same = false;
    double room = INFINITY;
    u->copy = u->settings->async == ASYNC_OFF ? 0 : saver_bytes(&u->table, own, u->settings->compress == 1);
    size_t host = dev_host_memory(&same);
    u->copy_on_host = !same;
    if (same && u->free_bytes > 0)
        room = 0.95 * ((double)u->free_bytes - (double)u->libraries) - (double)memory_total(&u->table, &u->shape);
    else if (!same && !plan)
        room = 0.9 * (double)host / comm_local_size();
    bool fits = (double)u->copy <= room;
    if (!plan)
        fits = comm_most(fits ? 0 : 1) == 0;
    if (fits)
        return;
    log_line("no room for a copy of the %.2f GiB that a rank saves (%.2f GiB can be had): training will stand still while it is written",
             (double)u->copy / GIB, fmax(room, 0) / GIB);
    u->copy = 0;
}

/* Takes the device of this rank. A plan goes without one that is not there or cannot compute in the run's type. */
static bool open_device(struct setup *u, bool plan, struct err *e)
{
    enum dtype type = (enum dtype)u->settings->precision;
    bool ok = dev_open(plan ? 0 : comm_local_rank(), e);
    if (ok)
        log_line("%s", dev_describe());
    if (ok && !dev_supports(type))
        ok = err_set(e, "\"precision\": the %s backend computes in f32 only; set it to \"f32\" or build with make BACKEND=cuda",
                     dev_backend());
    u->device = ok;
    if (!ok && plan)
        log_line("planned without the device, with the %s backend's sizes of scratch memory: %s", dev_backend(), e->msg);
    return ok || plan;
}

static bool open_tokenizer(struct setup *u, bool plan, struct err *e)
{
    const char *path = u->settings->tokenizer;
    if (plan && path && strcmp(path, "byte") && !file_exists(path)) {
        log_line("%s is not here; planned without the tokenizer", path);
        return true;
    }
    return !path || (tokenizer_open(&u->tokenizer, path, e) && use_tokenizer_ids(u, e));
}

static bool open_all(struct setup *u, bool plan, struct err *e)
{
    const struct settings *s = u->settings;
    char note[256];
    if (!open_device(u, plan, e) || !config_load(&u->config, s->model_config, note, sizeof note, e))
        return false;
    if (note[0])
        log_line("%s: %s", s->model_config, note);
    if (!open_tokenizer(u, plan, e))
        return false;
    u->config.type = (enum dtype)s->precision; /* what checkpoints say of the model */
    params_plan_ranks(&u->table, &u->config, u->ranks);
    u->shape.gradients = (enum dtype)s->gradients;
    u->shape.model =
        (struct model_shape){.config = u->config, .type = (enum dtype)s->precision, .residual = (enum dtype)s->residual, .train = true};
    if (u->ranks > 1) {
        shares_plan(&u->shares, &u->table, u->rank);
        u->shape.shares = &u->shares;
    }
    if (!open_phases(u, plan, e))
        return false;
    u->shape.model.logit_rows = model_logit_rows(&u->config, (enum dtype)s->precision, u->shape.model.max_tokens);
    return true;
}

bool setup_open(struct setup *u, const struct settings *s, int plan_ranks, struct err *e)
{
    bool plan = plan_ranks > 0;
    *u = (struct setup){.settings = s, .rank = plan ? 0 : comm_rank(), .ranks = plan ? plan_ranks : comm_size()};
    if (!comm_agree(open_all(u, plan, e), e))
        return false;
    if (!plan)
        comm_device_open();
    u->libraries = (u->device ? memory_library(&u->shape) : (int64_t)dev_library_bytes()) + comm_library_bytes(u->ranks);
    if (u->device) {
        int sharing = comm_sharing(plan ? u->ranks : comm_local_size());
        dev_memory(&u->free_bytes, &u->total_bytes);
        u->free_bytes /= (size_t)sharing;
        u->total_bytes /= (size_t)sharing;
    }
    if (!comm_agree(choose_recompute(u, plan, e), e))
        return false;
    choose_copy(u, plan);
    return true;
}

void setup_close(struct setup *u)
{
    for (int64_t i = 0; u->phase && i < u->settings->phases.n; i++)
        if (u->phase[i])
            loader_close(u->phase[i]);
    free(u->phase);
    shares_free(&u->shares);
    params_free(&u->table);
    if (u->tokenizer)
        tokenizer_close(u->tokenizer);
}
