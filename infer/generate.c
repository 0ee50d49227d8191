/* infer/generate.c - the program: answers of a model folder or a checkpoint to a file of prompts. */
#include "core/cli.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/log.h"
#include "data/tokenizer.h"
#include "infer/batch.h"
#include "infer/engine.h"
#include "infer/loops.h"
#include "infer/requests.h"
#include "infer/saved.h"
#include "infer/stops.h"
#include "kernels/device.h"
#include "model/safetensors.h"
#include "model/state.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Sequences in flight when --batch does not say: enough to reuse the weights that a step reads, few enough that each goes on briskly. */
enum { DEFAULT_BATCH = 64 };
static const double GIB = 1024.0 * 1024 * 1024;

struct options {
    char *model, *input, *output, *load_state, *save_state;
    int64_t samples, max_new_tokens, top_k, seed, batch, loop_tokens;
    double temperature, top_p, repetition_penalty, memory_gib;
    struct conf_strs stop;
    int dtype, state_dtype, chat;
    bool prompt_logprobs, exact;
};
#define AT(field) .at = offsetof(struct options, field)
static const char *const dtype_names[] = {"f32", "bf16", NULL};
static const struct conf_field table[] = {
    {.key = "model", .type = CONF_STR, AT(model), .required = true, .help = "Hugging Face folder, or folder step_NNNNNN of a run"},
    {.key = "input", .type = CONF_STR, AT(input), .required = true, .help = "prompts, .jsonl or .jsonl.zst"},
    {.key = "output",
     .type = CONF_STR,
     AT(output),
     .required = true,
     .help = "answers, .jsonl or .jsonl.zst; replaced when whole; a run that was ended goes on from OUTPUT.journal"},
    {.key = "samples", .type = CONF_INT, AT(samples), .def = 1, .min = 1, .max = 1e6, .help = "answers to each prompt"},
    {.key = "max_new_tokens", .type = CONF_INT, AT(max_new_tokens), .def = 256, .max = 1e12, .help = "tokens of an answer at most"},
    {.key = "temperature", .type = CONF_FLOAT, AT(temperature), .max = 100, .help = "0: the most probable token"},
    {.key = "top_p", .type = CONF_FLOAT, AT(top_p), .def = 1, .min = 1e-6, .max = 1, .help = "draw among the tokens of this mass; 1: all"},
    {.key = "top_k", .type = CONF_INT, AT(top_k), .max = 1 << 24, .help = "draw among so many tokens; 0: all"},
    {.key = "repetition_penalty", .type = CONF_FLOAT, AT(repetition_penalty), .def = 1, .min = 0.01, .max = 100, .help = "1: none"},
    {.key = "seed", .type = CONF_INT, AT(seed), .max = 9e15, .help = "a sample depends on it, the prompt and the sample's number only"},
    {.key = "stop", .type = CONF_STRS, AT(stop), .help = "ends an answer; it is not part of the text"},
    {.key = "loop_tokens",
     .type = CONF_INT,
     AT(loop_tokens),
     .max = 1 << 20,
     .help = "ends an answer (finish_reason \"loop\") whose last so many tokens are one block at least 4 times over; 0: none"},
    {.key = "template",
     .type = CONF_CHOICE,
     AT(chat),
     .choices = chat_template_names,
     .str_def = "plain",
     .help = "how \"messages\" become a prompt"},
    {.key = "prompt_logprobs", .type = CONF_BOOL, AT(prompt_logprobs), .help = "write the log-probabilities of the prompts' tokens"},
    {.key = "save_state",
     .type = CONF_STR,
     AT(save_state),
     .help = "keep the model's state after the input's one prompt in this file, whose size does not depend on the prompt's length"},
    {.key = "load_state",
     .type = CONF_STR,
     AT(load_state),
     .help = "every prompt goes on from the text of this file, without a begin token, as if that stood in front of it"},
    {.key = "exact",
     .type = CONF_BOOL,
     AT(exact),
     .help = "no bit of an answer depends on --batch, on the other prompts, or on how its prompt was cut and read; slower"},
    {.key = "dtype",
     .type = CONF_CHOICE,
     AT(dtype),
     .choices = dtype_names,
     .def = NAN,
     .help = "type of the weights in memory; not given: config.json's torch_dtype"},
    {.key = "state_dtype", .type = CONF_CHOICE, AT(state_dtype), .choices = dtype_names, .str_def = "f32", .help = "type of the states"},
    {.key = "batch",
     .type = CONF_INT,
     AT(batch),
     .def = NAN,
     .min = 1,
     .max = 1 << 16,
     .help = "sequences in flight at most; not given: up to 64, as memory allows"},
    {.key = "memory_gib",
     .type = CONF_FLOAT,
     AT(memory_gib),
     .def = NAN,
     .min = 0.001,
     .max = 1e6,
     .help = "device memory to use in all; not given: nine tenths of what is free"},
    {0}};

static bool open_model(const struct options *o, struct model_config *c, struct tokenizer **tok, struct err *e)
{
    char note[256];
    if (!file_is_dir(o->model))
        return err_set(e, "--model %s: no such folder; give a folder with config.json and model.safetensors", o->model);
    if (!config_load(c, o->model, note, sizeof note, e))
        return false;
    if (note[0])
        log_line("%s: %s", o->model, note);
    if (!tokenizer_in_dir(o->model)) {
        if (o->stop.n)
            return err_set(e, "--stop looks for text, but %s has no tokenizer; add its tokenizer.model", o->model);
        return true;
    }
    if (!tokenizer_open(tok, o->model, e))
        return false;
    int32_t bos = tokenizer_bos(*tok), eos = tokenizer_eos(*tok);
    if (tokenizer_vocab(*tok) > c->vocab)
        return err_set(e, "%s: the tokenizer has %d ids, the model's vocab_size is %lld: they do not belong together", o->model,
                       tokenizer_vocab(*tok), (long long)c->vocab);
    if (bos != c->bos || eos != c->eos)
        log_line("bos %d and eos %d are the tokenizer's (config.json says %d and %d)", bos, eos, c->bos, c->eos);
    c->bos = bos;
    c->eos = eos;
    return true;
}

/* What all answers depend on, found out before anything is computed. */
struct job {
    const struct options *o;
    struct model_config c;
    struct tokenizer *tok;
    struct stops stops;
    enum dtype type, state_type;
    char model[HASH_XXH3_HEX]; /* digest of weights and shape */
    struct saved loaded;       /* with --load-state */
    struct file_out *state;    /* with --save-state, aside until the answers are there */
    struct prompts p;
};

static void summary(const struct engine *g, const struct prompts *p, const struct options *o, const struct batch_stats *t, int64_t base)
{
    struct engine_memory m = engine_memory(g);
    char first[32], *shared = base && p->n > 1 ? xprintf(", %lld of them once for all prompts", (long long)base) : xstrdup("");
    log_line(
        "%lld prompts, %lld samples; read %lld tokens (%.0f tokens/s) in %lld passes%s; first token after %s; wrote %lld (%.1f tokens/s, up "
        "to %lld sequences at a time); memory %.3f GiB planned, %.3f GiB used",
        (long long)p->n, (long long)(p->n * o->samples), (long long)t->prefill_tokens,
        t->prefill_seconds > 0 ? (double)t->prefill_tokens / t->prefill_seconds : 0, (long long)t->passes, shared,
        log_duration(first, sizeof first, t->drawn ? t->first_token : NAN), (long long)t->drawn,
        t->decode_seconds > 0 ? (double)t->drawn / t->decode_seconds : 0, (long long)t->most, (double)m.all / GIB,
        (double)dev_used_bytes() / GIB);
    free(shared);
}

/* The state after the one prompt, of whose tokens the first `base` are in the engine's base. */
static bool save_state(struct job *j, const struct engine *g, int64_t base, struct err *e)
{
    const struct options *o = j->o;
    const struct prompt *p = &j->p.at[0];
    struct saved s;
    saved_make(&s, &j->c, engine_seen_words(g), engine_base_bytes(g));
    engine_base_get(g, s.state, s.seen);
    s.tail = p->n - base;
    s.tokens = p->n + (o->load_state ? j->loaded.tokens - j->loaded.tail : 0);
    memcpy(s.ids, p->ids + base, (size_t)s.tail * sizeof *s.ids);
    s.chain = j->loaded.chain; /* 0: nothing stands in front */
    for (int64_t i = 0; i < base; i++)
        s.chain = chain_next(s.chain, p->ids[i]);
    bool ok = saved_write(&j->state, &s, o->save_state, &j->c, j->type, j->model, e);
    saved_free(&s);
    return ok;
}

/* The engine's base: a saved state and what all prompts begin with; it is what is saved. */
static bool make_base(struct job *j, struct engine *g, struct batch_settings *b, struct batch_stats *t, struct err *e)
{
    if (j->o->load_state)
        engine_base_put(g, j->loaded.state, j->loaded.seen);
    return batch_base(g, &j->p, b, t, e) && (!j->o->save_state || save_state(j, g, b->base, e));
}

/* The prompts are read: the engine for them, and their answers. */
static bool answer_all(struct job *j, struct answers *out, struct err *e)
{
    const struct options *o = j->o;
    struct prompts *p = &j->p;
    int64_t wished = o->batch == INT64_MIN ? DEFAULT_BATCH : o->batch, all = o->max_new_tokens ? p->n * o->samples : 1;
    struct batch_settings b = {.samples = (int32_t)o->samples,
                               .max_new = o->max_new_tokens,
                               .loop = o->loop_tokens,
                               .eos = j->c.eos,
                               .logprobs = o->prompt_logprobs,
                               .stops = &j->stops};
    if (o->save_state)
        b.base = (p->at[0].n - 1) / j->c.chunk * j->c.chunk;
    else
        b.base = batch_shared(p, j->c.chunk, o->prompt_logprobs);
    struct engine_settings s = {.type = j->type,
                                .state_type = j->state_type,
                                .slots = (int32_t)(wished < all ? wished : all),
                                .prompts = (int32_t)(p->n < ENGINE_PROMPTS ? p->n : ENGINE_PROMPTS),
                                .max_prompt = p->longest,
                                .base = b.base || o->load_state || o->save_state,
                                .logprobs = o->prompt_logprobs,
                                .exact = o->exact,
                                .beside = batch_slot_bytes(&b),
                                .once = o->save_state ? state_slot_bytes(&j->c, dev_activations(j->type), F32) : 0,
                                .memory = isnan(o->memory_gib) ? 0 : (int64_t)(o->memory_gib * GIB),
                                .sampling = {.temperature = (float)o->temperature,
                                             .top_p = (float)o->top_p,
                                             .top_k = (int32_t)o->top_k,
                                             .repetition_penalty = (float)o->repetition_penalty,
                                             .seed = (uint64_t)o->seed}};
    struct engine *g;
    if (!engine_open(&g, &j->c, o->model, &s, e))
        return false;
    struct engine_memory m = engine_memory(g);
    log_line("%d of up to %d sequences at a time in %.3f GiB: weights %.3f (%s), states %.3f (%s), working memory %.3f, libraries %.3f",
             engine_slots(g), s.slots, (double)m.all / GIB, (double)m.weights / GIB, dtype_names[s.type], (double)m.states / GIB,
             dtype_names[s.state_type], (double)m.work / GIB, (double)m.libraries / GIB);
    struct batch_stats t = {0};
    bool ok = make_base(j, g, &b, &t, e) && batch_run(g, p, &b, out, &t, e);
    if (ok)
        summary(g, p, o, &t, b.base);
    engine_close(g);
    return ok;
}

/* The weights' names, types and values, whatever files they are in, and the shape. */
static bool model_digest(const char *model, const struct model_config *c, char hex[HASH_XXH3_HEX], struct err *e)
{
    struct safetensors s;
    struct model_config shape = *c;
    if (!safetensors_open(&s, model, e))
        return false;
    struct hash_stream *h = hash_open();
    for (int32_t i = 0; i < s.n; i++) {
        hash_add(h, s.at[i].name, strlen(s.at[i].name) + 1);
        hash_add(h, s.at[i].dtype, strlen(s.at[i].dtype) + 1);
        hash_add(h, s.at[i].data, (size_t)s.at[i].bytes);
        safetensors_forget(&s, &s.at[i], 0, s.at[i].n); /* a limit on memory holds from the start */
    }
    safetensors_close(&s);
    shape.bos = shape.eos = shape.pad = -1; /* the tokenizer's, or a choice of whoever asks */
    json_t *config = config_json(&shape);
    char *text = json_dumps(config, JSON_SORT_KEYS | JSON_COMPACT);
    hash_add(h, text, strlen(text) + 1);
    hash_hex(h, hex);
    hash_close(h);
    free(text);
    json_decref(config);
    return true;
}

/* What answers depend on beside the prompts and the number of samples. On a GPU they depend on the batch as well, to rounding, unless
 * --exact. */
static void settings_digest(const struct job *j, char hex[HASH_XXH3_HEX])
{
    json_t *options = conf_to_json(j->o, table);
    static const char *const not_these[] = {"model", "input",      "output",     "samples",    "template",
                                            "batch", "memory_gib", "load_state", "save_state", NULL};
    for (int i = 0; not_these[i]; i++)
        json_object_del(options, not_these[i]);
    json_t *all = json_pack("{s:s, s:s, s:o, s:s, s:i, s:s}", "backend", dev_backend(), "model", j->model, "options", options, "tokenizer",
                            j->tok ? tokenizer_digest(j->tok) : "none", "eos", (int)j->c.eos, "from", j->loaded.digest);
    must(all);
    char *text = json_dumps(all, JSON_SORT_KEYS | JSON_COMPACT);
    hash_xxh3(text, strlen(text), hex);
    free(text);
    json_decref(all);
}

static bool load_state(struct job *j, struct err *e)
{
    const struct options *o = j->o;
    if (!saved_read(&j->loaded, o->load_state, &j->c, j->type, j->model, e))
        return false;
    log_line("%s: every prompt goes on from its %lld tokens", o->load_state, (long long)j->loaded.tokens);
    return true;
}

static bool read_input(struct job *j, struct err *e)
{
    const struct options *o = j->o;
    struct text_before before = {j->loaded.ids, j->loaded.tail, j->loaded.chain};
    if (!prompts_read(&j->p, o->input, &j->stops, (enum chat_template)o->chat, (int32_t)j->c.vocab, o->load_state ? &before : NULL, e))
        return false;
    if (o->save_state && j->p.n > 1)
        return err_set(e, "--save-state keeps the state after one prompt, but %s holds %lld: leave one", o->input, (long long)j->p.n);
    return true;
}

/* After the answers: a run that was ended before goes on from the state that it began with, though both have one name. */
static bool commit_state(struct job *j, struct err *e)
{
    struct file_out *state = j->state;
    j->state = NULL;
    if (!state)
        return true;
    if (!file_out_commit(state, e))
        return false;
    log_line("%s: the state after the prompt", j->o->save_state);
    return true;
}

static bool generate(const struct options *o, struct err *e)
{
    struct job j = {.o = o};
    struct answers *out = NULL;
    char settings[HASH_XXH3_HEX];
    if (!dev_open(0, e))
        return false;
    log_line("%s", dev_describe());
    bool ok = open_model(o, &j.c, &j.tok, e), from = o->load_state;
    j.type = o->dtype >= 0 ? (enum dtype)o->dtype : j.c.type;
    j.state_type = (enum dtype)o->state_dtype;
    j.stops = stops_make(j.tok, o->stop);
    ok = ok && (!from || (model_digest(o->model, &j.c, j.model, e) && load_state(&j, e))) && read_input(&j, e);
    ok = ok && (from || model_digest(o->model, &j.c, j.model, e)); /* takes a while: bad prompts are told first */
    if (ok) {
        settings_digest(&j, settings);
        ok = answers_open(&out, o->output, &j.p, (int32_t)o->samples, settings, e);
    }
    int64_t all = j.p.n * o->samples, there = ok ? answers_count(out) : 0;
    if (ok && o->samples > 1 && o->temperature == 0)
        log_line("--temperature is 0: the %lld samples of a prompt will be equal", (long long)o->samples);
    if (there)
        log_line("%lld of %lld samples were finished by an earlier run", (long long)there, (long long)all);
    if (ok && ((there == all && !o->save_state) || answer_all(&j, out, e)))
        ok = answers_commit(out, e) && commit_state(&j, e);
    else {
        ok = false;
        answers_abort(out);
    }
    file_out_abort(j.state);
    prompts_free(&j.p);
    saved_free(&j.loaded);
    if (j.tok)
        tokenizer_close(j.tok);
    return ok;
}

/* The state files' names. */
static bool check_states(const struct options *o, struct err *e)
{
    const char *save = o->save_state, *load = o->load_state, *dot = save ? strrchr(save, '.') : NULL;
    if (dot && strcmp(dot, ".zst") == 0)
        return err_set(e, "--save-state %s: a state file is not compressed; give a name without .zst", save);
    if ((save && strcmp(save, o->output) == 0) || (load && strcmp(load, o->output) == 0))
        return err_set(e, "--output %s is the state file's name, too: the answers would replace it; give another", o->output);
    return true;
}

int main(int argc, char **argv)
{
    struct options o = {0};
    struct err e;
    cli_options(
        &o, table, argc, argv,
        "usage: generate --model DIR --input PROMPTS.jsonl --output ANSWERS.jsonl [options]\n"
        "Writes one answer for each sample of each prompt, in input order. A prompt is {\"id\", \"prompt\"}, {\"id\", \"messages\"} or\n"
        "{\"id\", \"input_ids\"}. Options:");
    for (int64_t i = 0; i < o.stop.n; i++)
        if (!o.stop.at[i][0]) {
            err_set(&e, "--stop must not be empty");
            cli_usage("generate", &e);
        }
    if (o.loop_tokens > 0 && o.loop_tokens < 2 * LOOP_REPEATS) {
        err_set(&e, "--loop-tokens must be 0 or at least %d", 2 * LOOP_REPEATS);
        cli_usage("generate", &e);
    }
    if (!check_states(&o, &e))
        cli_usage("generate", &e);
    bool ok = generate(&o, &e);
    conf_free(&o, table);
    return ok ? EXIT_OK : cli_fail("generate", &e);
}
