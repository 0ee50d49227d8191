/* infer/requests.c - see requests.h. */
#include "infer/requests.h"
#include "core/hash.h"
#include "core/json.h"
#include "core/rng.h"
#include "infer/journal.h"
#include "infer/record.h"
#include <stdlib.h>
#include <string.h>

struct reading {
    struct prompts *p;
    const struct stops *stops;
    enum chat_template chat;
    int32_t vocab;
    const struct text_before *before;
    int64_t room;
    struct ids ids;
    json_t *seen; /* id -> its line */
};

uint64_t chain_next(uint64_t chain, int32_t id)
{
    return rng_u64(chain, (uint64_t)id, 0);
}

/* A prompt's tokens behind those in front of it. A begin token that the tokenizer put there is left out where a text goes on. */
static void add_prompt(struct reading *r, const json_t *record)
{
    const struct text_before none = {0}, *before = r->before ? r->before : &none;
    bool text = !json_is_array(json_object_get(record, "input_ids"));
    int64_t skip = r->before && text && r->ids.at[0] == tokenizer_bos(r->stops->tok), own = r->ids.n - skip;
    struct prompts *p = r->p;
    if (p->n == r->room) {
        r->room = r->room ? 2 * r->room : 64;
        p->at = xrealloc(p->at, (size_t)r->room * sizeof *p->at);
    }
    struct prompt *q = &p->at[p->n++];
    *q = (struct prompt){
        .id = json_incref(json_object_get(record, "id")), .n = before->n + own, .before = before->n, .chain = before->chain};
    q->ids = xmalloc((size_t)q->n * sizeof *q->ids);
    if (before->n)
        memcpy(q->ids, before->ids, (size_t)before->n * sizeof *q->ids);
    if (own)
        memcpy(q->ids + before->n, r->ids.at + skip, (size_t)own * sizeof *q->ids);
    for (int64_t i = 0; i < q->n; i++)
        q->chain = chain_next(q->chain, q->ids[i]);
    q->begins = r->stops->tok && stops_begins_text(r->stops, q->ids, q->n);
    p->longest = q->n > p->longest ? q->n : p->longest;
}

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
    add_prompt(r, record);
    return true;
}

bool prompts_read(struct prompts *p, const char *path, const struct stops *stops, enum chat_template chat, int32_t vocab,
                  const struct text_before *before, struct err *e)
{
    struct reading r = {.p = p, .stops = stops, .chat = chat, .vocab = vocab, .before = before, .seen = json_object()};
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
    free(p->common);
    *p = (struct prompts){0};
}

struct answers {
    struct journal *journal;
    struct prompts *p;
    int32_t samples;
    int32_t *left; /* [prompts] samples that are not finished */
};

/* Everything that the answers depend on, as one word. */
static void settings_digest(const struct prompts *p, int32_t samples, const char *model, char hex[HASH_XXH3_HEX])
{
    struct hash_stream *h = hash_open();
    hash_add(h, model, strlen(model) + 1);
    hash_add(h, &samples, sizeof samples);
    for (int64_t i = 0; i < p->n; i++) {
        char *id = json_dumps(p->at[i].id, JSON_ENCODE_ANY);
        hash_add(h, id, strlen(id) + 1);
        hash_add(h, &p->at[i].n, sizeof p->at[i].n);
        hash_add(h, p->at[i].ids, (size_t)p->at[i].n * sizeof(int32_t));
        free(id);
    }
    hash_hex(h, hex);
    hash_close(h);
}

bool answers_open(struct answers **out, const char *path, struct prompts *p, int32_t samples, const char *model, struct err *e)
{
    char hex[HASH_XXH3_HEX];
    struct journal *journal;
    settings_digest(p, samples, model, hex);
    if (!journal_open(&journal, path, p->n * samples, hex, e))
        return false;
    struct answers *a = xcalloc(1, sizeof *a);
    *a = (struct answers){.journal = journal, .p = p, .samples = samples};
    a->left = xcalloc((size_t)p->n, sizeof *a->left);
    for (int64_t i = 0; i < p->n; i++)
        for (int32_t k = 0; k < samples; k++)
            a->left[i] += !answers_has(a, i, k);
    *out = a;
    return true;
}

int64_t answers_count(const struct answers *a)
{
    return journal_count(a->journal);
}

bool answers_has(const struct answers *a, int64_t prompt, int32_t sample)
{
    return journal_has(a->journal, prompt * a->samples + sample);
}

int32_t answers_left(const struct answers *a, int64_t prompt)
{
    return a->left[prompt];
}

/* A text as JSON. A NUL, which programs that read the file would take for the text's end, or refuse, becomes U+FFFD. */
static json_t *text_json(const char *text, size_t n)
{
    static const char mark[] = "\xEF\xBF\xBD";
    char *copy = xmalloc(3 * n + 1), *to = copy;
    for (size_t i = 0; i < n; i++)
        if (text[i])
            *to++ = text[i];
        else
            to = stpcpy(to, mark);
    json_t *o = json_stringn(copy, (size_t)(to - copy));
    free(copy);
    return o;
}

static const char *const finish_names[] = {[FINISH_STOP] = "stop", [FINISH_LENGTH] = "length", [FINISH_LOOP] = "loop"};

/* The record on one line. The ids, of which there may be millions, are printed here: as JSON values they would take 30 times their size. */
static char *answer_line(const struct prompt *p, int64_t sample, const struct answer *x)
{
    json_t *before = json_pack("{s:O, s:I}", "id", p->id, "sample", (json_int_t)sample);
    json_t *after = json_pack("{s:s}", "finish_reason", finish_names[x->finish]);
    must(before && after);
    if (x->text)
        json_object_set_new(before, "text", text_json(x->text, x->n_text));
    if (p->logprobs) {
        json_t *list = json_array();
        for (int64_t i = p->before ? p->before - 1 : 0; i < p->n - 1; i++) /* of the file's tokens that have any in front of them */
            json_array_append_new(list, json_real((double)p->logprobs[i]));
        json_object_set_new(after, "prompt_logprobs", list);
    }
    char *head = json_line(before), *tail = json_line(after);
    must(head && tail); /* the tokenizer's texts are UTF-8 */
    json_decref(before);
    json_decref(after);
    static const char key[] = ",\"output_ids\":[";
    enum { DIGITS = 12 }; /* of an id, its sign and a comma */
    char *line = xmalloc(strlen(head) + strlen(tail) + sizeof key + DIGITS * (size_t)x->ids.n + 2), *to = stpcpy(line, head) - 1;
    to = stpcpy(to, key);
    for (int64_t i = 0; i < x->ids.n; i++)
        to += sprintf(to, i ? ",%d" : "%d", x->ids.at[i]);
    *to++ = ']';
    *to++ = ',';
    strcpy(to, tail + 1);
    free(head);
    free(tail);
    return line;
}

bool answers_put(struct answers *a, int64_t prompt, int32_t sample, const struct answer *x, struct err *e)
{
    struct prompt *p = &a->p->at[prompt];
    char *line = answer_line(p, sample, x);
    bool ok = journal_add(a->journal, prompt * a->samples + sample, line, strlen(line), e);
    free(line);
    if (--a->left[prompt] == 0) {
        free(p->logprobs);
        p->logprobs = NULL;
    }
    return ok;
}

static void answers_free(struct answers *a)
{
    free(a->left);
    free(a);
}

bool answers_commit(struct answers *a, struct err *e)
{
    bool ok = journal_commit(a->journal, e);
    answers_free(a);
    return ok;
}

void answers_abort(struct answers *a)
{
    if (!a)
        return;
    journal_close(a->journal);
    answers_free(a);
}
