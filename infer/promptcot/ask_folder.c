/* infer/promptcot/ask_folder.c - requests to a model folder: texts and log-probabilities by the program generate, which goes on where it was ended;
 * embeddings by the engine in this process. See ask.h. */
#include "core/file.h"
#include "core/log.h"
#include "data/chat.h"
#include "infer/promptcot/ask.h"
#include "infer/engine.h"
#include "kernels/device.h"
#include "model/config.h"
#include <errno.h>
#include <libgen.h> /* dirname */
#include <stdlib.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Prompts and answers of a run of generate. */
struct files {
    char *prompts, *answers;
};

/* ------------------------------------------------------------------- generate */

/* The program beside this one. Its talk goes where ours goes. */
static bool run_generate(char *const *options, struct err *e)
{
    char here[4096];
    ssize_t n = readlink("/proc/self/exe", here, sizeof here - 1);
    must(n > 0);
    here[n] = '\0';
    char *program = xprintf("%s/generate", dirname(here));
    pid_t child = fork();
    if (child < 0)
        die("cannot start a process: %s", strerror(errno));
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* it must not go on beside the one that a later run starts */
        execv(program, options);
        _exit(127);
    }
    int status;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    bool ok = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (!ok)
        err_set(e, "%s did not end well (%s %d); its own line above says why", program, WIFEXITED(status) ? "exit code" : "signal",
                WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    free(program);
    return ok;
}

static bool is_next_sample(const struct asks *a, int64_t i)
{
    return i > 0 && a->at[i].sample == a->at[i - 1].sample + 1 && strcmp(a->at[i].prompt, a->at[i - 1].prompt) == 0;
}

/* A prompt once for all its samples; its id is the index of the first. */
static bool write_texts(const struct asks *a, const int64_t *todo, int64_t n, const char *path, struct err *e)
{
    struct file_out *f;
    if (!file_out_open(&f, path, false, e))
        return false;
    int64_t last = -1;
    bool ok = true;
    for (int64_t i = 0; ok && i < n; i++) {
        int64_t first = todo[i];
        while (is_next_sample(a, first))
            first--;
        if (first == last)
            continue;
        last = first;
        json_t *v = json_pack("{s:I, s:s}", "id", (json_int_t)first, "prompt", a->at[first].prompt);
        ok = json_write_line(f, v, e);
        json_decref(v);
    }
    if (ok)
        return file_out_commit(f, e);
    file_out_abort(f);
    return false;
}

static bool read_texts(struct asks *a, const char *path, struct ask_totals *t, struct err *e)
{
    json_t *all = json_load_lines(path, e), *one;
    size_t i;
    bool ok = all != NULL;
    json_array_foreach(all, i, one)
    {
        int64_t at = json_integer_value(json_object_get(one, "id")) + json_integer_value(json_object_get(one, "sample"));
        json_t *v = json_pack("{s:O, s:O, s:i, s:I}", "text", json_object_get(one, "text"), "finish", json_object_get(one, "finish_reason"),
                              "in", 0, "out", (json_int_t)json_array_size(json_object_get(one, "output_ids")));
        must(v && at < a->n);
        ok = ok && replies_put(a->replies, a->at[at].key, v, e);
        t->asked++;
        json_decref(v);
    }
    json_decref(all);
    return ok;
}

static bool ask_texts(struct asks *a, const int64_t *todo, int64_t n, const struct files *f, struct ask_totals *t, struct err *e)
{
    const struct ask_sampling *s = &a->sampling;
    char *samples = xprintf("%lld", (long long)s->samples), *most = xprintf("%lld", (long long)s->max_new_tokens);
    char *heat = xprintf("%.17g", s->temperature), *top_p = xprintf("%.17g", s->top_p), *seed = xprintf("%lld", (long long)a->seed);
    char *options[] = {"generate",
                       "--model",
                       a->model->folder,
                       "--input",
                       f->prompts,
                       "--output",
                       f->answers,
                       "--samples",
                       samples,
                       "--max-new-tokens",
                       most,
                       "--temperature",
                       heat,
                       "--top-p",
                       top_p,
                       "--seed",
                       seed,
                       a->stop ? "--stop" : NULL,
                       (char *)a->stop,
                       NULL};
    bool ok = write_texts(a, todo, n, f->prompts, e) && run_generate(options, e) && read_texts(a, f->answers, t, e);
    free(samples);
    free(most);
    free(heat);
    free(top_p);
    free(seed);
    return ok;
}

/* Which tokens are `more` is as in training: data/chat.h; the end token is not counted, as nothing has to end there. */
static bool write_pairs(const struct asks *a, const int64_t *todo, int64_t n, const struct tokenizer *tok, const char *path, int64_t *from,
                        struct err *e)
{
    struct file_out *f;
    struct document d = {0};
    if (!file_out_open(&f, path, false, e))
        return false;
    bool ok = true;
    for (int64_t i = 0; ok && i < n; i++) {
        const struct ask *q = &a->at[todo[i]];
        json_t *pair = json_pack("{s:s, s:s}", "prompt", q->prompt, "completion", q->more), *ids = json_array();
        ok = chat_document(&d, pair, tok, CHAT_PLAIN, tokenizer_vocab(tok), e);
        int64_t end = ok && d.ids.n > 0 && d.ids.at[d.ids.n - 1] == tokenizer_eos(tok) ? d.ids.n - 1 : d.ids.n;
        for (int64_t k = 0; ok && k < end; k++)
            json_array_append_new(ids, json_integer(d.ids.at[k]));
        for (from[i] = 0; ok && from[i] < end && !d.learnt[from[i]];)
            from[i]++;
        json_t *v = json_pack("{s:I, s:O}", "id", (json_int_t)i, "input_ids", ids);
        ok = ok && json_write_line(f, v, e);
        json_decref(v);
        json_decref(ids);
        json_decref(pair);
    }
    document_free(&d);
    if (ok)
        return file_out_commit(f, e);
    file_out_abort(f);
    return false;
}

static bool read_logprobs(struct asks *a, const int64_t *todo, const char *path, const int64_t *from, struct ask_totals *t, struct err *e)
{
    json_t *all = json_load_lines(path, e), *one;
    size_t i;
    bool ok = all != NULL;
    json_array_foreach(all, i, one)
    {
        const json_t *list = json_object_get(one, "prompt_logprobs");
        int64_t n = (int64_t)json_array_size(list) + 1;
        double sum = 0;
        for (int64_t k = from[i]; k < n; k++)
            sum += json_number_value(json_array_get(list, (size_t)k - 1)); /* of token k */
        json_t *v = json_pack("{s:f, s:I, s:I, s:i}", "logprob", sum, "tokens", (json_int_t)(n - from[i]), "in", (json_int_t)n, "out", 0);
        ok = ok && replies_put(a->replies, a->at[todo[i]].key, v, e);
        t->asked++;
        json_decref(v);
    }
    json_decref(all);
    return ok;
}

static bool ask_logprobs(struct asks *a, const int64_t *todo, int64_t n, const struct files *f, struct ask_totals *t, struct err *e)
{
    struct tokenizer *tok;
    if (!tokenizer_open(&tok, a->model->folder, e))
        return false;
    char *options[] = {"generate",         "--model", a->model->folder,    "--input", f->prompts, "--output", f->answers,
                       "--max-new-tokens", "0",       "--prompt-logprobs", NULL};
    int64_t *from = xcalloc((size_t)n, sizeof *from);
    bool ok =
        write_pairs(a, todo, n, tok, f->prompts, from, e) && run_generate(options, e) && read_logprobs(a, todo, f->answers, from, t, e);
    free(from);
    tokenizer_close(tok);
    return ok;
}

/* ------------------------------------------------------------------- embeddings */

static bool put_vector(struct asks *a, const struct ask *q, const float *mean, int64_t n, int64_t tokens, struct err *e)
{
    json_t *list = json_array(), *v;
    for (int64_t i = 0; i < n; i++)
        json_array_append_new(list, json_real((double)mean[i]));
    v = json_pack("{s:o, s:I, s:i}", "vector", list, "in", (json_int_t)tokens, "out", 0);
    bool ok = replies_put(a->replies, q->key, v, e);
    json_decref(v);
    return ok;
}

/* Of all requests, answered ones too: how a text is cut into pieces, and with it its last bit, depends on the longest. */
static bool read_all(const struct asks *a, const struct tokenizer *tok, int32_t vocab, struct ids *ids, int64_t *longest, struct err *e)
{
    bool ok = true;
    for (int64_t i = 0; ok && i < a->n; i++) {
        json_t *prompt = json_pack("{s:s}", "prompt", a->at[i].prompt);
        ok = chat_prompt(&ids[i], prompt, tok, CHAT_PLAIN, vocab, e);
        *longest = ids[i].n > *longest ? ids[i].n : *longest;
        json_decref(prompt);
    }
    return ok;
}

static bool ask_vectors(struct asks *a, const int64_t *todo, int64_t n, struct ask_totals *t, struct err *e)
{
    struct model_config c;
    struct tokenizer *tok = NULL;
    struct engine *g = NULL;
    struct ids *ids = xcalloc((size_t)a->n, sizeof *ids);
    struct engine_settings s = {.state_type = F32, .slots = 1, .max_prompt = 1, .sampling = {.top_p = 1, .repetition_penalty = 1}};
    char note[256];
    bool ok = dev_open(0, e) && config_load(&c, a->model->folder, note, sizeof note, e) && tokenizer_open(&tok, a->model->folder, e) &&
              read_all(a, tok, (int32_t)c.vocab, ids, &s.max_prompt, e);
    s.type = ok ? c.type : F32;
    ok = ok && engine_open(&g, &c, a->model->folder, &s, e);
    float *mean = ok ? xmalloc((size_t)c.hidden * sizeof *mean) : NULL;
    for (int64_t i = 0; ok && i < n; i++) {
        const struct ids *one = &ids[todo[i]];
        ok = engine_embed(g, one->at, one->n, mean) || err_set(e, "model \"%s\": its hidden states are not finite", a->model->name);
        ok = ok && put_vector(a, &a->at[todo[i]], mean, c.hidden, one->n, e);
        t->asked++;
    }
    for (int64_t i = 0; i < a->n; i++)
        ids_free(&ids[i]);
    free(ids);
    free(mean);
    engine_close(g);
    if (tok)
        tokenizer_close(tok);
    return ok;
}

bool ask_folder(struct asks *a, const int64_t *todo, int64_t n, struct ask_totals *t, struct err *e)
{
    if (a->kind == ASK_VECTOR)
        return ask_vectors(a, todo, n, t, e);
    struct files f = {xprintf("%s/%s.prompts.jsonl", a->work, a->step), xprintf("%s/%s.answers.jsonl", a->work, a->step)};
    bool ok = a->kind == ASK_TEXT ? ask_texts(a, todo, n, &f, t, e) : ask_logprobs(a, todo, n, &f, t, e);
    if (ok) { /* the replies have them */
        unlink(f.prompts);
        unlink(f.answers);
    }
    free(f.prompts);
    free(f.answers);
    return ok;
}
