/* infer/requests.c - see requests.h. */
#include "infer/requests.h"
#include "core/file.h"
#include "core/json.h"
#include "infer/record.h"
#include <stdlib.h>
#include <string.h>

struct reading {
    struct prompts *p;
    const struct stops *stops;
    enum chat_template chat;
    int32_t vocab;
    int64_t room;
    struct ids ids;
    json_t *seen; /* id -> its line */
};

static bool read_prompt(void *ctx, json_t *record, int64_t line, struct err *e)
{
    struct reading *r = ctx;
    char *name = record_id(record, e);
    if (!name)
        return false;
    const json_t *known = json_object_get(r->seen, name);
    if (known)
        err_set(e, "the id \"%.80s\" is in line %lld already; every prompt needs its own", name, (long long)json_integer_value(known));
    else
        json_object_set_new(r->seen, name, json_integer(line));
    free(name);
    if (known)
        return false;
    if (!r->stops->tok && (json_object_get(record, "prompt") || json_object_get(record, "messages")))
        return err_set(e, "the record holds text, but the model folder has no tokenizer; add its tokenizer.model, or give \"input_ids\"");
    if (!chat_prompt(&r->ids, record, r->stops->tok, r->chat, r->vocab, e))
        return false;
    struct prompts *p = r->p;
    if (p->n == r->room) {
        r->room = r->room ? 2 * r->room : 64;
        p->at = xrealloc(p->at, (size_t)r->room * sizeof *p->at);
    }
    size_t bytes = (size_t)r->ids.n * sizeof(int32_t);
    struct prompt *q = &p->at[p->n++];
    *q = (struct prompt){.id = json_incref(json_object_get(record, "id")), .n = r->ids.n, .ids = xmalloc(bytes)};
    memcpy(q->ids, r->ids.at, bytes);
    q->begins = r->stops->tok && stops_begins_text(r->stops, q->ids, q->n);
    p->tokens += q->n;
    p->longest = q->n > p->longest ? q->n : p->longest;
    return true;
}

bool prompts_read(struct prompts *p, const char *path, const struct stops *stops, enum chat_template chat, int32_t vocab, struct err *e)
{
    struct reading r = {.p = p, .stops = stops, .chat = chat, .vocab = vocab, .seen = json_object()};
    *p = (struct prompts){0};
    bool ok = json_each_line(path, read_prompt, &r, e);
    if (ok && p->n == 0)
        ok = err_set(e, "%s: holds no prompt; expected one JSON object a line", path);
    ids_free(&r.ids);
    json_decref(r.seen);
    if (!ok)
        prompts_free(p);
    return ok;
}

void prompts_free(struct prompts *p)
{
    for (int64_t i = 0; i < p->n; i++) {
        json_decref(p->at[i].id);
        free(p->at[i].ids);
        free(p->at[i].logprobs);
    }
    free(p->at);
    *p = (struct prompts){0};
}

struct answer {
    struct ids ids;
    char *text;
    size_t n_text;
    enum finish finish;
};

struct answers {
    struct file_out *file;
    struct prompts *p;
    int32_t samples;
    struct answer **at; /* [prompts * samples] NULL: not finished, or written */
    int64_t n, next;    /* the first one that is not written */
};

bool answers_open(struct answers **out, const char *path, struct prompts *p, int32_t samples, struct err *e)
{
    struct file_out *file;
    if (!file_out_open(&file, path, false, e))
        return false;
    struct answers *a = xcalloc(1, sizeof *a);
    *a = (struct answers){.file = file, .p = p, .samples = samples, .n = p->n * samples};
    a->at = xcalloc((size_t)a->n, sizeof(struct answer *));
    *out = a;
    return true;
}

static void answer_free(struct answer *x)
{
    ids_free(&x->ids);
    free(x->text);
    free(x);
}

static void answers_free(struct answers *a)
{
    for (int64_t i = a->next; i < a->n; i++)
        if (a->at[i])
            answer_free(a->at[i]);
    free(a->at);
    free(a);
}

static json_t *answer_json(const struct prompt *p, int64_t sample, const struct answer *x)
{
    json_t *o = json_pack("{s:O, s:I}", "id", p->id, "sample", (json_int_t)sample), *ids = json_array();
    must(o && ids);
    if (x->text)
        json_object_set_new(o, "text", json_stringn(x->text, x->n_text));
    for (int64_t i = 0; i < x->ids.n; i++)
        json_array_append_new(ids, json_integer(x->ids.at[i]));
    json_object_set_new(o, "output_ids", ids);
    json_object_set_new(o, "finish_reason", json_string(x->finish == FINISH_STOP ? "stop" : "length"));
    if (p->logprobs) {
        json_t *list = json_array();
        for (int64_t i = 0; i < p->n - 1; i++)
            json_array_append_new(list, json_real((double)p->logprobs[i]));
        json_object_set_new(o, "prompt_logprobs", list);
    }
    return o;
}

/* Writes what has become next in order. */
static bool write_ready(struct answers *a, struct err *e)
{
    while (a->next < a->n && a->at[a->next]) {
        struct prompt *p = &a->p->at[a->next / a->samples];
        json_t *o = answer_json(p, a->next % a->samples, a->at[a->next]);
        bool ok = json_write_line(a->file, o, e);
        json_decref(o);
        if (!ok)
            return false;
        answer_free(a->at[a->next++]);
        if (a->next % a->samples == 0) {
            free(p->logprobs);
            p->logprobs = NULL;
        }
    }
    return true;
}

bool answers_put(struct answers *a, int64_t prompt, int32_t sample, struct ids ids, char *text, size_t n_text, enum finish finish,
                 struct err *e)
{
    int64_t i = prompt * a->samples + sample;
    must(i < a->n && i >= a->next && !a->at[i]);
    a->at[i] = xmalloc(sizeof(struct answer));
    *a->at[i] = (struct answer){ids, text, n_text, finish};
    return write_ready(a, e);
}

bool answers_commit(struct answers *a, struct err *e)
{
    must(a->next == a->n);
    bool ok = file_out_commit(a->file, e);
    answers_free(a);
    return ok;
}

void answers_abort(struct answers *a)
{
    if (!a)
        return;
    file_out_abort(a->file);
    answers_free(a);
}
