/* train/settings.c - the table of settings, and what must hold between them. */
#include "train/settings.h"
#include "kernels/mat.h"
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static const char *const dtype_names[] = {"f32", "bf16", NULL};
static const char *const loss_mean_names[] = {"tokens", "rows", NULL};
static const char *const recompute_names[] = {"none", "full", "auto", NULL};
static const char *const schedule_names[] = {"cosine", "linear", "constant", NULL};
static const char *const warmup_names[] = {"linear", "log", NULL};
static const char *const compress_names[] = {"none", "zstd", NULL};
static const char *const async_names[] = {"auto", "off", NULL};

/* The optimizer's settings stand at two places: for the run, with defaults, and in a phase, where what is not given is the run's. */
#define OPTIM(S, given)                                                                                                                    \
    {.key = "optim.lr",                                                                                                                    \
     .type = CONF_FLOAT,                                                                                                                   \
     .at = offsetof(S, optim.lr),                                                                                                          \
     .def = given(5e-6),                                                                                                                   \
     .min = 0,                                                                                                                             \
     .max = 10,                                                                                                                            \
     .help = "peak learning rate"},                                                                                                        \
        {.key = "optim.betas",                                                                                                             \
         .type = CONF_PAIR,                                                                                                                \
         .at = offsetof(S, optim.betas),                                                                                                   \
         .def = given(0.9),                                                                                                                \
         .def2 = given(0.95),                                                                                                              \
         .min = 0,                                                                                                                         \
         .max = 0.999999,                                                                                                                  \
         .help = "AdamW's decay rates of the two moments"},                                                                                \
        {.key = "optim.eps",                                                                                                               \
         .type = CONF_FLOAT,                                                                                                               \
         .at = offsetof(S, optim.eps),                                                                                                     \
         .def = given(1e-8),                                                                                                               \
         .min = 1e-30,                                                                                                                     \
         .max = 1,                                                                                                                         \
         .help = "AdamW's epsilon"},                                                                                                       \
        {.key = "optim.weight_decay",                                                                                                      \
         .type = CONF_FLOAT,                                                                                                               \
         .at = offsetof(S, optim.weight_decay),                                                                                            \
         .def = given(0.1),                                                                                                                \
         .min = 0,                                                                                                                         \
         .max = 10,                                                                                                                        \
         .help = "decoupled weight decay of tensors with two or more dimensions"},                                                         \
        {.key = "optim.grad_clip",                                                                                                         \
         .type = CONF_FLOAT,                                                                                                               \
         .at = offsetof(S, optim.grad_clip),                                                                                               \
         .def = given(1.0),                                                                                                                \
         .min = 0,                                                                                                                         \
         .max = 1e30,                                                                                                                      \
         .help = "gradients are scaled down to this global norm; 0: no clipping"},                                                         \
        {.key = "optim.schedule",                                                                                                          \
         .type = CONF_CHOICE,                                                                                                              \
         .at = offsetof(S, optim.schedule),                                                                                                \
         .def = given(SCHEDULE_COSINE),                                                                                                    \
         .choices = schedule_names,                                                                                                        \
         .help = "learning rate after the warm-up"},                                                                                       \
        {.key = "optim.warmup_steps",                                                                                                      \
         .type = CONF_INT,                                                                                                                 \
         .at = offsetof(S, optim.warmup_steps),                                                                                            \
         .def = given(100),                                                                                                                \
         .min = 0,                                                                                                                         \
         .max = 1e9,                                                                                                                       \
         .help = "steps of the warm-up"},                                                                                                  \
        {.key = "optim.warmup",                                                                                                            \
         .type = CONF_CHOICE,                                                                                                              \
         .at = offsetof(S, optim.warmup),                                                                                                  \
         .def = given(WARMUP_LINEAR),                                                                                                      \
         .choices = warmup_names,                                                                                                          \
         .help = "shape of the warm-up; log is DeepSpeed's"},                                                                              \
    {                                                                                                                                      \
        .key = "optim.min_lr_ratio", .type = CONF_FLOAT, .at = offsetof(S, optim.min_lr_ratio), .def = given(0.1), .min = 0, .max = 1,     \
        .help = "the schedule ends at this part of lr"                                                                                     \
    }
#define HAS_DEFAULT(x) (x)
#define INHERITED(x)   NAN

static const struct conf_field data_table[] = {
    {.key = "path", .type = CONF_STR, .at = offsetof(struct data_settings, path), .required = true, .help = "a .tok file of prepare"},
    {.key = "weight",
     .type = CONF_FLOAT,
     .at = offsetof(struct data_settings, weight),
     .def = 1,
     .min = 1e-6,
     .max = 1e6,
     .help = "how often an epoch goes through it"},
    {0}};

static const struct conf_field phase_table[] = {
    {.key = "name", .type = CONF_STR, .at = offsetof(struct phase_settings, name), .required = true, .help = "for the log"},
    {.key = "seq_len",
     .type = CONF_INT,
     .at = offsetof(struct phase_settings, seq_len),
     .required = true,
     .min = 2,
     .max = 1 << 24,
     .help = "tokens of a row"},
    {.key = "epochs",
     .type = CONF_FLOAT,
     .at = offsetof(struct phase_settings, epochs),
     .def = NAN,
     .min = 1e-6,
     .max = 1e6,
     .help = "length of the phase in passes through its data; this or steps"},
    {.key = "steps",
     .type = CONF_INT,
     .at = offsetof(struct phase_settings, steps),
     .def = 0,
     .min = 0,
     .max = 1e9,
     .help = "length of the phase in steps; this or epochs"},
    {.key = "pack",
     .type = CONF_BOOL,
     .at = offsetof(struct phase_settings, pack),
     .def = 1,
     .help = "several documents in a row, isolated from each other"},
    {.key = "shuffle", .type = CONF_BOOL, .at = offsetof(struct phase_settings, shuffle), .def = 1, .help = "a new order every epoch"},
    {.key = "reset_optimizer",
     .type = CONF_BOOL,
     .at = offsetof(struct phase_settings, reset_optimizer),
     .def = 0,
     .help = "start the phase with zero moments"},
    OPTIM(struct phase_settings, INHERITED),
    {.key = "data",
     .type = CONF_LIST,
     .at = offsetof(struct phase_settings, data),
     .sub = data_table,
     .sub_size = sizeof(struct data_settings),
     .required = true,
     .help = "the phase's data sets"},
    {0}};

const struct conf_field settings_table[] = {
    {.key = "run_dir",
     .type = CONF_STR,
     .at = offsetof(struct settings, run_dir),
     .required = true,
     .help = "folder of the run: checkpoints, metrics, settings"},
    {.key = "seed",
     .type = CONF_INT,
     .at = offsetof(struct settings, seed),
     .def = 1234,
     .min = 0,
     .max = 9e15,
     .help = "of initial weights and data order"},
    {.key = "model.config",
     .type = CONF_STR,
     .at = offsetof(struct settings, model_config),
     .required = true,
     .help = "config.json of the model's shape"},
    {.key = "model.weights",
     .type = CONF_STR,
     .at = offsetof(struct settings, model_weights),
     .str_def = "random",
     .help = "\"random\", a Hugging Face folder, a checkpoint folder, or another run's folder (its newest checkpoint)"},
    {.key = "tokenizer",
     .type = CONF_STR,
     .at = offsetof(struct settings, tokenizer),
     .help = "\"byte\", a SentencePiece model or a folder; copied into checkpoints and exports"},
    {.key = "precision",
     .type = CONF_CHOICE,
     .at = offsetof(struct settings, precision),
     .choices = dtype_names,
     .def = F32,
     .help = "type of matrix products and activations"},
    {.key = "residual",
     .type = CONF_CHOICE,
     .at = offsetof(struct settings, residual),
     .choices = dtype_names,
     .def = F32,
     .help = "type of the residual stream; bf16 saves memory"},
    {.key = "gradients",
     .type = CONF_CHOICE,
     .at = offsetof(struct settings, gradients),
     .choices = dtype_names,
     .def = F32,
     .help = "type of matrices' gradients, summed over passes and sent between ranks; bf16 saves memory"},
    {.key = "loss_mean",
     .type = CONF_CHOICE,
     .at = offsetof(struct settings, loss_mean),
     .choices = loss_mean_names,
     .def = LOSS_TOKENS,
     .help = "mean over all learnt tokens of a step, or per row and then over rows"},
    {.key = "recompute",
     .type = CONF_CHOICE,
     .at = offsetof(struct settings, recompute),
     .choices = recompute_names,
     .def = RECOMPUTE_AUTO,
     .help = "activations run again in the backward: none, all layers, or as many as memory asks for"},
    OPTIM(struct settings, HAS_DEFAULT),
    {.key = "batch.rows",
     .type = CONF_INT,
     .at = offsetof(struct settings, rows),
     .def = 64,
     .min = 1,
     .max = 1 << 20,
     .help = "rows of a step, over all ranks"},
    {.key = "batch.micro_rows",
     .type = CONF_INT,
     .at = offsetof(struct settings, micro_rows),
     .def = 1,
     .min = 1,
     .max = 1 << 16,
     .help = "rows of one pass"},
    {.key = "phases",
     .type = CONF_LIST,
     .at = offsetof(struct settings, phases),
     .sub = phase_table,
     .sub_size = sizeof(struct phase_settings),
     .required = true,
     .help = "one after the other"},
    {.key = "checkpoint.every_steps",
     .type = CONF_INT,
     .at = offsetof(struct settings, save_every),
     .def = 500,
     .min = 1,
     .max = 1e9,
     .help = "steps between checkpoints; the end of a phase always gets one"},
    {.key = "checkpoint.keep",
     .type = CONF_INT,
     .at = offsetof(struct settings, keep),
     .def = 3,
     .min = 1,
     .max = 1e6,
     .help = "newest checkpoints kept; those at the end of a phase are kept too"},
    {.key = "checkpoint.compress",
     .type = CONF_CHOICE,
     .at = offsetof(struct settings, compress),
     .choices = compress_names,
     .def = 0,
     .help = "of the optimizer's files"},
    {.key = "checkpoint.async",
     .type = CONF_CHOICE,
     .at = offsetof(struct settings, async),
     .choices = async_names,
     .def = ASYNC_AUTO,
     .help = "training goes on while a checkpoint is written, from a copy in host memory if there is room for it; or not"},
    {.key = "log.every_steps",
     .type = CONF_INT,
     .at = offsetof(struct settings, log_every),
     .def = 1,
     .min = 1,
     .max = 1e9,
     .help = "steps between progress lines; metrics.jsonl has every step"},
    {.key = "log.tensorboard", .type = CONF_BOOL, .at = offsetof(struct settings, tensorboard), .def = 1, .help = "write event files"},
    {.key = "watch.silent_s",
     .type = CONF_FLOAT,
     .at = offsetof(struct settings, silent_s),
     .def = 2,
     .min = 1,
     .max = 3600,
     .help = "seconds without a word after which a rank counts as gone"},
    {.key = "watch.hung_s",
     .type = CONF_FLOAT,
     .at = offsetof(struct settings, hung_s),
     .def = 30,
     .min = 0,
     .max = 1e6,
     .help = "seconds without progress after which a rank counts as hung, at least; 0: never"},
    {0}};

static void inherit(struct optim_settings *p, const struct optim_settings *run)
{
#define INHERIT(f)                                                                                                                         \
    if (isnan(p->f))                                                                                                                       \
    p->f = run->f
    INHERIT(lr);
    INHERIT(betas[0]);
    INHERIT(betas[1]);
    INHERIT(eps);
    INHERIT(weight_decay);
    INHERIT(grad_clip);
    INHERIT(min_lr_ratio);
#undef INHERIT
    if (p->schedule < 0)
        p->schedule = run->schedule;
    if (p->warmup < 0)
        p->warmup = run->warmup;
    if (p->warmup_steps == INT64_MIN)
        p->warmup_steps = run->warmup_steps;
}

static bool check_phases(struct settings *s, struct err *e)
{
    for (int64_t i = 0; i < s->phases.n; i++) {
        struct phase_settings *p = (struct phase_settings *)s->phases.at + i;
        if (isnan(p->epochs) == (p->steps == 0))
            return err_set(e, "phases.%lld (%s): give either \"epochs\" or \"steps\"", (long long)i, p->name);
        inherit(&p->optim, &s->optim);
    }
    return true;
}

bool settings_load(struct settings *s, const char *path, int argc, char **argv, bool *usage, struct err *e)
{
    const char **words = xcalloc((size_t)argc + 1, sizeof *words);
    int n_words = 0;
    *s = (struct settings){0};
    conf_defaults(s, settings_table);
    *usage = false;
    bool ok = conf_from_file(s, settings_table, path, e);
    if (ok) {
        ok = conf_from_args(s, settings_table, argc, argv, words, &n_words, e);
        if (ok && n_words)
            ok = err_set(e, "%s: one settings file is enough; \"%s\" is a second", path, words[0]);
        *usage = !ok;
    }
    if (ok && (!conf_check(s, settings_table, e) || !check_phases(s, e)))
        ok = err_in(e, "%s", path);
    if (ok && (s->residual == BF16 || s->gradients == BF16) && s->precision != BF16)
        ok = err_set(e, "%s: \"residual\" and \"gradients\" may be bf16 only with \"precision\": \"bf16\"", path);
    free(words);
    if (!ok)
        settings_free(s);
    return ok;
}

void settings_free(struct settings *s)
{
    conf_free(s, settings_table);
}

double schedule_lr(const struct optim_settings *o, int64_t s, int64_t n)
{
    int64_t w = o->warmup_steps;
    if (s < w) {
        if (o->warmup == WARMUP_LOG && w > 1) /* DeepSpeed's WarmupLR from 0, warmup_type log */
            return o->lr * log((double)(s + 1)) / log((double)w);
        return o->lr * (double)(s + 1) / (double)w;
    }
    double m = o->min_lr_ratio, done = n > w ? (double)(s - w) / (double)(n - w) : 1;
    switch ((enum schedule)o->schedule) {
    case SCHEDULE_COSINE:
        return o->lr * (m + (1 - m) * 0.5 * (1 + cos(M_PI * done)));
    case SCHEDULE_LINEAR:
        return o->lr * (m + (1 - m) * (1 - done));
    case SCHEDULE_CONSTANT:
        return o->lr;
    }
    die("schedule %d", o->schedule);
}
