/* infer/generate.c - the program: answers of a model folder or a checkpoint to a file of prompts. */
#include "core/cli.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/log.h"
#include "data/tokenizer.h"
#include "infer/batch.h"
#include "infer/engine.h"
#include "infer/requests.h"
#include "infer/stops.h"
#include "kernels/device.h"
#include "model/safetensors.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Sequences in flight when --batch does not say: enough to reuse the weights that a step reads, few enough that each goes on briskly. */
enum { DEFAULT_BATCH = 64 };
static const double GIB = 1024.0 * 1024 * 1024;

struct options {
    char *model, *input, *output;
    int64_t samples, max_new_tokens, top_k, seed, batch;
    double temperature, top_p, repetition_penalty, memory_gib;
    struct conf_strs stop;
    int dtype, state_dtype, chat;
    bool prompt_logprobs;
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
    {.key = "template",
     .type = CONF_CHOICE,
     AT(chat),
     .choices = chat_template_names,
     .str_def = "plain",
     .help = "how \"messages\" become a prompt"},
    {.key = "prompt_logprobs", .type = CONF_BOOL, AT(prompt_logprobs), .help = "write the log-probabilities of the prompts' tokens"},
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

static void summary(const struct engine *g, const struct prompts *p, const struct options *o, const struct batch_stats *t)
{
    struct engine_memory m = engine_memory(g);
    log_line(
        "%lld prompts, %lld samples; read %lld tokens (%.0f tokens/s), wrote %lld (%.1f tokens/s, up to %d sequences at a time); memory "
        "%.2f GiB planned, %.2f GiB used",
        (long long)p->n, (long long)(p->n * o->samples), (long long)t->prefill_tokens,
        t->prefill_seconds > 0 ? (double)t->prefill_tokens / t->prefill_seconds : 0, (long long)t->drawn,
        t->decode_seconds > 0 ? (double)t->drawn / t->decode_seconds : 0, engine_slots(g), (double)m.all / GIB,
        (double)dev_used_bytes() / GIB);
}

/* The prompts are read: the engine for them, and their answers. */
static bool answer_all(const struct options *o, const struct model_config *c, const struct stops *stops, struct prompts *p,
                       struct answers *out, struct err *e)
{
    int64_t wished = o->batch == INT64_MIN ? DEFAULT_BATCH : o->batch, all = o->max_new_tokens ? p->n * o->samples : 1;
    struct engine_settings s = {.type = o->dtype >= 0 ? (enum dtype)o->dtype : c->type,
                                .state_type = (enum dtype)o->state_dtype,
                                .slots = (int32_t)(wished < all ? wished : all),
                                .max_prompt = p->longest,
                                .logprobs = o->prompt_logprobs,
                                .memory = isnan(o->memory_gib) ? 0 : (int64_t)(o->memory_gib * GIB),
                                .sampling = {.temperature = (float)o->temperature,
                                             .top_p = (float)o->top_p,
                                             .top_k = (int32_t)o->top_k,
                                             .repetition_penalty = (float)o->repetition_penalty,
                                             .seed = (uint64_t)o->seed}};
    struct engine *g;
    if (!engine_open(&g, c, o->model, &s, e))
        return false;
    struct engine_memory m = engine_memory(g);
    log_line("%d of up to %d sequences at a time in %.3f GiB: weights %.3f (%s), states %.3f (%s), working memory %.3f, libraries %.3f",
             engine_slots(g), s.slots, (double)m.all / GIB, (double)m.weights / GIB, dtype_names[s.type], (double)m.states / GIB,
             dtype_names[s.state_type], (double)m.work / GIB, (double)m.libraries / GIB);
    struct batch_settings b = {
        .samples = (int32_t)o->samples, .max_new = o->max_new_tokens, .eos = c->eos, .logprobs = o->prompt_logprobs, .stops = stops};
    struct batch_stats t;
    bool ok = batch_run(g, p, &b, out, &t, e);
    if (ok)
        summary(g, p, o, &t);
    engine_close(g);
    return ok;
}

/* The weights' names, types and values, whatever files they are in. */
static bool add_weights(struct hash_stream *h, const char *model, struct err *e)
{
    struct safetensors s;
    if (!safetensors_open(&s, model, e))
        return false;
    for (int32_t i = 0; i < s.n; i++) {
        hash_add(h, s.at[i].name, strlen(s.at[i].name) + 1);
        hash_add(h, s.at[i].dtype, strlen(s.at[i].dtype) + 1);
        hash_add(h, s.at[i].data, (size_t)s.at[i].bytes);
    }
    safetensors_close(&s);
    return true;
}

/* What answers depend on beside the prompts and the number of samples. On a GPU they depend on the batch as well, to rounding. */
static bool model_digest(const struct options *o, const struct model_config *c, const struct tokenizer *tok, char hex[HASH_XXH3_HEX],
                         struct err *e)
{
    struct hash_stream *h = hash_open();
    json_t *config = config_json(c), *options = conf_to_json(o, table);
    static const char *const not_these[] = {"model", "input", "output", "samples", "template", "batch", "memory_gib", NULL};
    for (int i = 0; not_these[i]; i++)
        json_object_del(options, not_these[i]);
    json_t *all = json_pack("{s:s, s:o, s:o, s:s, s:i}", "backend", dev_backend(), "config", config, "options", options, "tokenizer",
                            tok ? tokenizer_digest(tok) : "none", "eos", (int)c->eos);
    must(all);
    char *text = json_dumps(all, JSON_SORT_KEYS | JSON_COMPACT);
    hash_add(h, text, strlen(text) + 1);
    bool ok = add_weights(h, o->model, e);
    hash_hex(h, hex);
    hash_close(h);
    free(text);
    json_decref(all);
    return ok;
}

static bool generate(const struct options *o, struct err *e)
{
    struct model_config c;
    struct tokenizer *tok = NULL;
    struct prompts p = {0};
    struct answers *out = NULL;
    char model[HASH_XXH3_HEX];
    if (!dev_open(0, e))
        return false;
    log_line("%s", dev_describe());
    bool ok = open_model(o, &c, &tok, e);
    struct stops stops = stops_make(tok, o->stop);
    ok = ok && prompts_read(&p, o->input, &stops, (enum chat_template)o->chat, (int32_t)c.vocab, e) && model_digest(o, &c, tok, model, e) &&
         answers_open(&out, o->output, &p, (int32_t)o->samples, model, e);
    int64_t all = p.n * o->samples, there = ok ? answers_count(out) : 0;
    if (ok && o->samples > 1 && o->temperature == 0)
        log_line("--temperature is 0: the %lld samples of a prompt will be equal", (long long)o->samples);
    if (there)
        log_line("%lld of %lld samples were finished by an earlier run", (long long)there, (long long)all);
    if (ok && (there == all || answer_all(o, &c, &stops, &p, out, e)))
        ok = answers_commit(out, e);
    else {
        ok = false;
        answers_abort(out);
    }
    prompts_free(&p);
    if (tok)
        tokenizer_close(tok);
    return ok;
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
    bool ok = generate(&o, &e);
    conf_free(&o, table);
    return ok ? EXIT_OK : cli_fail("generate", &e);
}
