/* infer/promptcot/ask.c - see ask.h. What is common to folders and endpoints: settings, keys, what a run came to. */
#include "infer/promptcot/ask.h"
#include "core/file.h"
#include "core/log.h"
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

static const char *const api_names[] = {"completions", "chat", NULL};
static const char *const on_failure_names[] = {"error", "skip", NULL};
static const char *const kind_names[] = {"text", "logprob", "vector"};

#define AT(field) .at = offsetof(struct ask_model, field)
const struct conf_field ask_model_table[] = {
    {.key = "name", .type = CONF_STR, AT(name), .required = true, .help = "what the steps call it"},
    {.key = "folder", .type = CONF_STR, AT(folder), .help = "a model folder or checkpoint, for our own engine"},
    {.key = "url", .type = CONF_STR, AT(url), .help = "instead: an OpenAI-compatible endpoint, http://127.0.0.1:8000/v1"},
    {.key = "model", .type = CONF_STR, AT(model), .help = "the endpoint's name for it"},
    {.key = "api", .type = CONF_CHOICE, AT(api), .choices = api_names, .str_def = "completions", .help = "of the endpoint, for texts"},
    {.key = "key_env", .type = CONF_STR, AT(key_env), .help = "environment variable that holds the endpoint's key"},
    {.key = "parallel", .type = CONF_INT, AT(parallel), .def = 8, .min = 1, .max = 1024, .help = "requests in flight"},
    {.key = "timeout_s", .type = CONF_FLOAT, AT(timeout_s), .def = 600, .min = 0.01, .max = 1e6, .help = "seconds a reply may take"},
    {.key = "retries", .type = CONF_INT, AT(retries), .def = 6, .min = 0, .max = 1000, .help = "further tries when a request fails"},
    {.key = "backoff_s",
     .type = CONF_FLOAT,
     AT(backoff_s),
     .def = 1,
     .min = 0.001,
     .max = 60,
     .help = "pause before the first of them; each further one is twice as long, up to a minute, or as long as the server asks for"},
    {.key = "on_failure",
     .type = CONF_CHOICE,
     AT(on_failure),
     .choices = on_failure_names,
     .str_def = "error",
     .help = "after the last try, or when the endpoint refuses this one request; skip: it counts as failed, and what depends on it is left "
             "out"},
    {.key = "requests_per_minute", .type = CONF_INT, AT(requests_per_minute), .min = 0, .max = 1e9, .help = "0: no limit"},
    {.key = "tokens_per_minute", .type = CONF_INT, AT(tokens_per_minute), .min = 0, .max = 1e12, .help = "read and written; 0: no limit"},
    {.key = "price_in", .type = CONF_FLOAT, AT(price_in), .max = 1e6, .help = "for a million tokens read, for the cost that is shown"},
    {.key = "price_out", .type = CONF_FLOAT, AT(price_out), .max = 1e6, .help = "for a million tokens written"},
    {0}};

bool ask_model_check(const struct ask_model *m, struct err *e)
{
    if (!m->folder == !m->url)
        return err_set(e, "model \"%s\" must have either a folder or a url", m->name);
    if (m->url && strncmp(m->url, "http://", 7) != 0 && strncmp(m->url, "https://", 8) != 0)
        return err_set(e, "model \"%s\": the url must begin with http:// or https://, got \"%.80s\"", m->name, m->url);
    if (m->url && m->key_env && !getenv(m->key_env))
        return err_set(e, "model \"%s\": the environment variable %s, its key_env, is not set", m->name, m->key_env);
    return true;
}

struct ask_model *ask_model_find(const struct conf_list *models, const char *name, struct err *e)
{
    struct ask_model *m = models->at;
    char *names = xstrdup("");
    for (int64_t i = 0; i < models->n; i++) {
        if (strcmp(m[i].name, name) == 0) {
            free(names);
            return &m[i];
        }
        char *more = xprintf("%s%s%s", names, i > 0 ? ", " : "", m[i].name);
        free(names);
        names = more;
    }
    err_set(e, "there is no model \"%.60s\" among the models; they are: %.600s", name, names);
    free(names);
    return NULL;
}

bool ask_model_chats(const struct conf_list *models, const char *name)
{
    struct err none;
    const struct ask_model *m = ask_model_find(models, name, &none);
    return m && m->url && m->api == ASK_CHAT;
}

/* ------------------------------------------------------------------- requests */

void asks_add(struct asks *a, char *prompt, char *more, int64_t sample)
{
    if (a->n == a->room)
        a->at = xrealloc(a->at, (size_t)(a->room = 2 * a->room + 64) * sizeof *a->at);
    a->at[a->n++] = (struct ask){.prompt = prompt, .more = more, .sample = sample};
}

void asks_free(struct asks *a)
{
    for (int64_t i = 0; i < a->n; i++) {
        free(a->at[i].prompt);
        free(a->at[i].more);
    }
    free(a->at);
    a->at = NULL;
    a->n = a->room = 0;
}

/* Digest of a folder's configuration and weights: other weights in the same folder are another model. */
static bool digest_folder(struct ask_model *m, struct err *e)
{
    struct dirent **entry;
    struct hash_stream *h = hash_open();
    int n = m->digest[0] ? 0 : scandir(m->folder, &entry, NULL, alphasort);
    bool ok = n >= 0 || err_set(e, "model \"%s\": there is no folder %s", m->name, m->folder);
    for (int i = 0; i < n; i++) {
        const char *name = entry[i]->d_name, *end = strrchr(name, '.');
        if (ok && end && (strcmp(end, ".safetensors") == 0 || strcmp(end, ".json") == 0 || strcmp(end, ".model") == 0)) {
            char *path = xprintf("%s/%s", m->folder, name), hex[HASH_XXH3_HEX];
            ok = hash_xxh3_file(path, hex, e);
            hash_add(h, name, strlen(name) + 1);
            hash_add(h, hex, ok ? sizeof hex : 0);
            free(path);
        }
        free(entry[i]);
    }
    if (n > 0)
        free(entry);
    if (ok && !m->digest[0])
        hash_hex(h, m->digest);
    hash_close(h);
    return ok;
}

/* Where an endpoint is does not matter; what it calls the model does. */
static void make_key(const struct asks *a, struct ask *q)
{
    const struct ask_model *m = a->model;
    const char *who = m->folder ? m->digest : m->model ? m->model : m->url;
    json_t *v = json_pack("{s:s, s:s, s:b, s:i, s:s, s:s?, s:I}", "kind", kind_names[a->kind], "who", who, "folder", m->folder != NULL,
                          "api", m->api, "prompt", q->prompt, "more", q->more, "sample", (json_int_t)q->sample);
    must(v);
    if (a->kind == ASK_TEXT)
        json_object_update_new(v,
                               json_pack("{s:f, s:f, s:I, s:s?, s:I}", "temperature", a->sampling.temperature, "top_p", a->sampling.top_p,
                                         "max", (json_int_t)a->sampling.max_new_tokens, "stop", a->stop, "seed", (json_int_t)a->seed));
    char *text = json_dumps(v, JSON_COMPACT | JSON_SORT_KEYS);
    must(text);
    hash_xxh3(text, strlen(text), q->key);
    free(text);
    json_decref(v);
}

double ask_cost(const struct ask_model *m, const struct ask_totals *t)
{
    return (m->price_in * t->in + m->price_out * t->out) / 1e6;
}

/* Over all replies, so that what an earlier run had counts, too. */
static bool add_up(const struct asks *a, struct ask_totals *t, struct err *e)
{
    t->in = t->out = 0;
    t->failed = 0;
    for (int64_t i = 0; i < a->n; i++) {
        json_t *reply = asks_reply(a, i, e);
        if (!reply)
            return false;
        t->in += json_number_value(json_object_get(reply, "in"));
        t->out += json_number_value(json_object_get(reply, "out"));
        t->failed += json_object_get(reply, "failed") != NULL;
        json_decref(reply);
    }
    return true;
}

bool asks_run(struct asks *a, struct err *e)
{
    struct ask_totals t = {.known = 0};
    int64_t *todo = xcalloc((size_t)a->n + 1, sizeof *todo), n = 0;
    double start = log_now();
    char took[32], cost[48] = "";
    bool ok = !a->model->folder || digest_folder(a->model, e);
    for (int64_t i = 0; ok && i < a->n; i++) {
        make_key(a, &a->at[i]);
        if (!replies_has(a->replies, a->at[i].key))
            todo[n++] = i;
    }
    t.known = a->n - n;
    if (ok && n > 0)
        ok = (a->model->folder ? ask_folder : ask_endpoint)(a, todo, n, &t, e) || err_in(e, "%s", a->step);
    free(todo);
    ok = ok && add_up(a, &t, e);
    a->totals = t;
    if (!ok)
        return false;
    if (a->model->price_in > 0 || a->model->price_out > 0)
        snprintf(cost, sizeof cost, ", cost %.4g", ask_cost(a->model, &t));
    log_line("promptcot: %s: %lld replies of %s in %s (%lld from before), %lld retries, %lld failed; %.0f tokens read, %.0f written%s",
             a->step, (long long)a->n, a->model->name, log_duration(took, sizeof took, log_now() - start), (long long)t.known,
             (long long)t.retries, (long long)t.failed, t.in, t.out, cost);
    return true;
}

json_t *asks_reply(const struct asks *a, int64_t i, struct err *e)
{
    return replies_get(a->replies, a->at[i].key, e);
}
