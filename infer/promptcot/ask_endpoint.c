/* infer/promptcot/ask_endpoint.c - requests to an OpenAI-compatible endpoint: several in flight, retries with growing pauses, limits of rate. See ask.h. */
#include "core/log.h"
#include "data/borders.h" /* utf8_char */
#include "infer/promptcot/ask.h"
#include "infer/promptcot/http.h"
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const double LONGEST_PAUSE = 60, LONGEST_ASKED = 600; /* seconds: our own; what a server may ask for */

struct office {
    struct asks *a;
    const int64_t *todo;
    int64_t n, next, done; /* of todo */
    char *url;
    const char *key;
    struct ask_totals *t;
    double next_start; /* when the rates allow the next request */
    struct progress progress;
    volatile bool stop; /* an error ends everything */
    int in_flight;
    struct err err;
    pthread_mutex_t lock;
    pthread_cond_t stopped;
};

/* ------------------------------------------------------------------- requests and replies */

static char *body_of(const struct asks *a, const struct ask *q)
{
    const struct ask_model *m = a->model;
    json_t *v = json_object();
    if (m->model)
        json_object_set_new(v, "model", json_string(m->model));
    if (a->kind == ASK_VECTOR) {
        json_object_set_new(v, "input", json_string(q->prompt));
    } else if (a->kind == ASK_LOGPROB) {
        char *both = xprintf("%s%s", q->prompt, q->more);
        json_object_update_new(
            v, json_pack("{s:s, s:b, s:i, s:i, s:i}", "prompt", both, "echo", 1, "logprobs", 1, "max_tokens", 0, "temperature", 0));
        free(both);
    } else {
        if (m->api == ASK_CHAT)
            json_object_set_new(v, "messages", json_pack("[{s:s, s:s}]", "role", "user", "content", q->prompt));
        else
            json_object_set_new(v, "prompt", json_string(q->prompt));
        json_object_update_new(v,
                               json_pack("{s:I, s:f, s:f, s:I}", "max_tokens", (json_int_t)a->sampling.max_new_tokens, "temperature",
                                         a->sampling.temperature, "top_p", a->sampling.top_p, "seed", (json_int_t)(a->seed + q->sample)));
        if (a->stop && m->api == ASK_COMPLETIONS)
            json_object_set_new(v, "stop", json_pack("[s]", a->stop));
    }
    char *text = json_line(v);
    must(text);
    json_decref(v);
    return text;
}

static int64_t characters(const char *text)
{
    int64_t n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

/* {"token_logprobs", "text_offset"}: of echoed tokens, the first of which has null. Offsets count characters. */
static json_t *read_logprobs(const json_t *choice, const struct ask *q)
{
    const json_t *list = json_object_get(choice, "logprobs"), *p = json_object_get(list, "token_logprobs"),
                 *at = json_object_get(list, "text_offset");
    int64_t from = characters(q->prompt), to = from + characters(q->more), tokens = 0;
    double sum = 0;
    for (size_t i = 0; i < json_array_size(at); i++) {
        json_int_t offset = json_integer_value(json_array_get(at, i));
        const json_t *one = json_array_get(p, i);
        if (offset < from || offset >= to)
            continue;
        if (!json_is_number(one))
            return NULL;
        sum += json_number_value(one);
        tokens++;
    }
    return tokens > 0 ? json_pack("{s:f, s:I}", "logprob", sum, "tokens", (json_int_t)tokens) : NULL;
}

static json_t *read_text(const struct asks *a, const json_t *choice)
{
    const char *finish = json_string_value(json_object_get(choice, "finish_reason")), *text, *thought = NULL;
    if (a->model->api == ASK_CHAT) {
        const json_t *message = json_object_get(choice, "message");
        text = json_string_value(json_object_get(message, "content"));
        thought = json_string_value(json_object_get(message, "reasoning_content"));
    } else {
        text = json_string_value(json_object_get(choice, "text"));
    }
    if (!text && !thought)
        return NULL;
    char *whole = thought && *thought ? xprintf("<think>\n%s\n</think>\n\n%s", thought, text ? text : "") : xstrdup(text ? text : "");
    json_t *v = json_pack("{s:s, s:s}", "text", whole, "finish", finish && strcmp(finish, "length") == 0 ? "length" : "stop");
    free(whole);
    return v;
}

/* Numbers whose squares are numbers. */
static json_t *read_vector(const json_t *reply)
{
    const double most = 1e100;
    const json_t *list = json_object_get(json_array_get(json_object_get(reply, "data"), 0), "embedding");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        if (!json_is_number(one) || !(fabs(json_number_value(one)) < most))
            return NULL;
    }
    return json_array_size(list) > 0 ? json_pack("{s:O}", "vector", list) : NULL;
}

/* NULL: it is no reply to this. */
static json_t *read_reply(const struct asks *a, const struct ask *q, const char *body, size_t n)
{
    json_t *reply = json_loadb(body, n, 0, NULL);
    const json_t *choice = json_array_get(json_object_get(reply, "choices"), 0), *usage = json_object_get(reply, "usage");
    json_t *v = a->kind == ASK_VECTOR ? read_vector(reply) : a->kind == ASK_LOGPROB ? read_logprobs(choice, q) : read_text(a, choice);
    if (v) {
        json_object_set_new(v, "in", json_integer(json_integer_value(json_object_get(usage, "prompt_tokens"))));
        json_object_set_new(v, "out", json_integer(json_integer_value(json_object_get(usage, "completion_tokens"))));
    }
    json_decref(reply);
    return v;
}

/* ------------------------------------------------------------------- one request to its end */

/* Sleeps, lock held, unless everything ends. */
static void pause_for(struct office *o, double seconds)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    int64_t ns = until.tv_nsec + (int64_t)(seconds * 1e9);
    until.tv_sec += (time_t)(ns / 1000000000);
    until.tv_nsec = (long)(ns % 1000000000);
    while (!o->stop && pthread_cond_timedwait(&o->stopped, &o->lock, &until) == 0)
        ;
}

/* Waits for its turn under the limit of requests; that of tokens pushes the next start further when a reply is there. Lock held. */
static void wait_turn(struct office *o)
{
    double now = log_now(), start = o->next_start > now ? o->next_start : now;
    if (o->a->model->requests_per_minute > 0)
        o->next_start = start + 60.0 / (double)o->a->model->requests_per_minute;
    if (start > now)
        pause_for(o, start - now);
}

static void count_tokens(struct office *o, const json_t *reply)
{
    double in = json_number_value(json_object_get(reply, "in")), out = json_number_value(json_object_get(reply, "out")), now = log_now();
    o->t->in += in;
    o->t->out += out;
    if (o->a->model->tokens_per_minute > 0)
        o->next_start = (o->next_start > now ? o->next_start : now) + 60.0 * (in + out) / (double)o->a->model->tokens_per_minute;
}

static bool may_pass(long status)
{
    return status == 0 || status == 408 || status == 409 || status == 425 || status == 429 || status >= 500 || status == 200;
}

/* No other request will be better received: a wrong key, no money, no such model or address. */
static bool of_all_requests(long status)
{
    return status >= 401 && status <= 405;
}

/* One try. NULL: it failed, and why says how; *status: as HTTP has it. */
static json_t *try_once(struct office *o, struct http *h, const struct ask *q, const char *body, char *why, size_t size, long *status,
                        double *wait)
{
    struct http_reply r = {.status = 0};
    http_post(h, o->url, body, o->a->model->timeout_s, &o->stop, &r);
    json_t *v = r.status == 200 ? read_reply(o->a, q, r.body, r.n) : NULL;
    if (!v && r.status == 0)
        snprintf(why, size, "%s", r.why);
    else if (!v && r.status == 200)
        snprintf(why, size, "a reply that holds no %s: \"%.120s\"",
                 o->a->kind == ASK_VECTOR    ? "embedding"
                 : o->a->kind == ASK_LOGPROB ? "log-probabilities of the prompt"
                                             : "text",
                 r.body);
    else if (!v)
        snprintf(why, size, "status %ld: \"%.160s\"%s", r.status, r.body,
                 r.status == 401 || r.status == 403 ? "; is key_env set to the variable with the right key?" : "");
    for (char *c = why; !v && *c; c++)
        if (*c == '\n' || *c == '\r')
            *c = ' ';
    *status = r.status;
    *wait = r.retry_after < LONGEST_ASKED ? r.retry_after : LONGEST_ASKED;
    free(r.body);
    return v;
}

/* Lock held on entry and on return. NULL: everything ends. */
static json_t *ask_one(struct office *o, struct http *h, const struct ask *q)
{
    const struct ask_model *m = o->a->model;
    char *body = body_of(o->a, q), why[320] = "";
    double pause = m->backoff_s;
    json_t *v = NULL;
    long status = 0;
    for (int64_t i = 0; i <= m->retries && !v && !o->stop; i++) {
        double asked = 0;
        o->t->retries += i > 0;
        wait_turn(o);
        if (o->stop)
            break;
        o->in_flight++;
        pthread_mutex_unlock(&o->lock);
        v = try_once(o, h, q, body, why, sizeof why, &status, &asked);
        pthread_mutex_lock(&o->lock);
        o->in_flight--;
        if (v || !may_pass(status) || i == m->retries)
            break;
        pause_for(o, asked > pause ? asked : pause);
        pause = 2 * pause < LONGEST_PAUSE ? 2 * pause : LONGEST_PAUSE;
    }
    free(body);
    if (!v && !o->stop && m->on_failure == ASK_SKIP && !of_all_requests(status))
        return json_pack("{s:s}", "failed", why);
    if (!v && !o->stop) {
        err_set(&o->err, "%s, model \"%s\": %s%s; the replies so far are kept, so run the same again when it works", o->url, m->name,
                may_pass(status) ? "the last of several tries: " : "", why);
        o->stop = true;
        pthread_cond_broadcast(&o->stopped);
    }
    return v;
}

static void show(struct office *o)
{
    char extra[160];
    snprintf(extra, sizeof extra, "%d in flight, %lld retries, %.0f tokens read, %.0f written, cost %.4g", o->in_flight,
             (long long)o->t->retries, o->t->in, o->t->out, ask_cost(o->a->model, o->t));
    progress_update(&o->progress, (double)o->done, extra);
}

static void *clerk(void *arg)
{
    struct office *o = arg;
    struct http *h = http_open(o->key);
    pthread_mutex_lock(&o->lock);
    while (!o->stop && o->next < o->n) {
        const struct ask *q = &o->a->at[o->todo[o->next++]];
        json_t *v = ask_one(o, h, q);
        if (!v)
            break;
        count_tokens(o, v);
        o->t->asked++;
        o->done++;
        if (!replies_put(o->a->replies, q->key, v, &o->err)) {
            o->stop = true;
            pthread_cond_broadcast(&o->stopped);
        }
        json_decref(v);
        show(o);
    }
    pthread_mutex_unlock(&o->lock);
    http_close(h);
    return NULL;
}

bool ask_endpoint(struct asks *a, const int64_t *todo, int64_t n, struct ask_totals *t, struct err *e)
{
    static bool started;
    const struct ask_model *m = a->model;
    const char *ends[] = {m->api == ASK_CHAT ? "chat/completions" : "completions", "completions", "embeddings"};
    size_t length = strlen(m->url);
    if (!started)
        http_start();
    started = true;
    struct office o = {.a = a, .todo = todo, .n = n, .t = t, .key = m->key_env ? getenv(m->key_env) : NULL};
    o.url = xprintf("%s%s%s", m->url, m->url[length - 1] == '/' ? "" : "/", ends[a->kind]);
    char *title = xprintf("promptcot: %s", a->step);
    progress_start(&o.progress, title, "requests", (double)n);
    must(pthread_mutex_init(&o.lock, NULL) == 0 && pthread_cond_init(&o.stopped, NULL) == 0);
    int threads = (int)(m->parallel < n ? m->parallel : n);
    pthread_t *thread = xcalloc((size_t)threads, sizeof *thread);
    for (int i = 0; i < threads; i++)
        if (pthread_create(&thread[i], NULL, clerk, &o) != 0)
            die("cannot start thread %d of %d; set parallel to less", i + 1, threads);
    for (int i = 0; i < threads; i++)
        must(pthread_join(thread[i], NULL) == 0);
    pthread_cond_destroy(&o.stopped);
    pthread_mutex_destroy(&o.lock);
    free(thread);
    free(title);
    free(o.url);
    if (o.stop)
        *e = o.err;
    return !o.stop;
}
