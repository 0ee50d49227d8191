/* data/chat.c - see chat.h: the forms of a record, and the templates plain and chatml. Mistral's is chat_mistral.c. */
#include "data/chat.h"
#include "data/chat_mistral.h"
#include <stdlib.h>
#include <string.h>

const char *const chat_template_names[] = {"plain", "mistral", "chatml", NULL};

void document_free(struct document *d)
{
    ids_free(&d->ids);
    free(d->learnt);
    *d = (struct document){0};
}

void document_mark(struct document *d, int64_t from, bool learnt)
{
    if (d->learnt_room < d->ids.room) {
        d->learnt_room = d->ids.room;
        d->learnt = xrealloc(d->learnt, (size_t)d->learnt_room);
    }
    if (d->ids.n <= from)
        return;
    memset(d->learnt + from, learnt, (size_t)(d->ids.n - from));
    d->n_learnt += learnt ? d->ids.n - from : 0;
}

void document_cut(struct document *d, int64_t n)
{
    for (int64_t i = n; i < d->ids.n; i++)
        d->n_learnt -= d->learnt[i];
    if (n < d->ids.n)
        d->ids.n = n;
}

static void push(struct document *d, int32_t id, bool learnt)
{
    if (id < 0) /* the tokenizer has no such token */
        return;
    ids_push(&d->ids, id);
    document_mark(d, d->ids.n - 1, learnt);
}

static bool has(const json_t *record, const char *key)
{
    const json_t *v = json_object_get(record, key);
    return v && !json_is_null(v);
}

/* The record has none or several of the forms: says which keys it has. */
static bool wrong_form(const json_t *record, const char *want, struct err *e)
{
    char keys[256] = "";
    size_t n = 0;
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)record, key, v)
    {
        int more = snprintf(keys + n, sizeof keys - n, "%s\"%.40s\"%s", n ? ", " : "", key, json_is_null(v) ? " (null)" : "");
        if (more < 0 || (n += (size_t)more) >= sizeof keys)
            break;
    }
    return err_set(e, "a record must have %s; this one has %s", want, *keys ? keys : "no keys");
}

static bool need_tokenizer(const struct tokenizer *tok, struct err *e)
{
    return tok || err_set(e, "the record holds text, not input_ids: a tokenizer is needed (--tokenizer)");
}

static bool check_vocab(const struct ids *ids, int32_t vocab, struct err *e)
{
    for (int64_t i = 0; vocab > 0 && i < ids->n; i++)
        if (ids->at[i] >= vocab)
            return err_set(e, "token %lld is %d, but the vocabulary ends at %d; is this the right tokenizer?", (long long)i, ids->at[i],
                           vocab - 1);
    return ids->n > 0 || err_set(e, "there is no token in it");
}

static bool read_ids(const json_t *record, struct ids *out, struct err *e)
{
    const json_t *ids = json_object_get(record, "input_ids");
    if (!json_is_array(ids))
        return err_set(e, "\"input_ids\" must be an array of token ids, got %s", json_type_name(ids));
    size_t i;
    const json_t *v;
    json_array_foreach(ids, i, v)
    {
        if (!json_is_integer(v))
            return err_set(e, "input_ids[%zu] must be a token id, got %s", i, json_type_name(v));
        json_int_t id = json_integer_value(v);
        if (id < 0 || id >= INT32_MAX)
            return err_set(e, "input_ids[%zu] must be a token id, got %lld", i, (long long)id);
        ids_push(out, (int32_t)id);
    }
    return true;
}

static bool ids_record(struct document *d, const json_t *record, struct err *e)
{
    if (!read_ids(record, &d->ids, e))
        return false;
    document_mark(d, 0, true);
    const json_t *labels = json_object_get(record, "labels"), *v;
    if (!labels || json_is_null(labels))
        return true;
    if (!json_is_array(labels))
        return err_set(e, "\"labels\" must be an array, got %s", json_type_name(labels));
    if ((int64_t)json_array_size(labels) != d->ids.n)
        return err_set(e, "\"labels\" has %zu entries, \"input_ids\" %lld; there must be a label for each id", json_array_size(labels),
                       (long long)d->ids.n);
    size_t i;
    json_array_foreach(labels, i, v)
    {
        json_int_t label = json_integer_value(v);
        if (!json_is_integer(v) || (label != -100 && label != d->ids.at[i])) {
            char got[32];
            snprintf(got, sizeof got, "%lld", (long long)label);
            return err_set(e, "labels[%zu] must be -100 (not learnt) or input_ids[%zu], which is %d; got %s", i, i, d->ids.at[i],
                           json_is_integer(v) ? got : json_type_name(v));
        }
        d->learnt[i] = label != -100;
        d->n_learnt -= label == -100;
    }
    return true;
}

static bool text_record(struct document *d, const json_t *record, const struct tokenizer *tok, struct err *e)
{
    const char *text;
    if (!json_get_str(record, "text", &text, e))
        return false;
    push(d, tokenizer_bos(tok), true);
    int64_t from = d->ids.n;
    tokenizer_encode(tok, text, json_string_length(json_object_get(record, "text")), &d->ids);
    document_mark(d, from, true);
    push(d, tokenizer_eos(tok), true);
    return true;
}

static const char THINK[] = "<think>";

/* Does the text end with <think>, blanks aside? */
static bool ends_with_think(const char *text, size_t n)
{
    while (n > 0 && strchr(" \n\r\t", text[n - 1]))
        n--;
    return n >= sizeof THINK - 1 && memcmp(text + n - (sizeof THINK - 1), THINK, sizeof THINK - 1) == 0;
}

static bool pair_record(struct document *d, const json_t *record, const struct tokenizer *tok, struct err *e)
{
    const char *prompt, *completion;
    if (!json_get_str(record, "prompt", &prompt, e) || !json_get_str(record, "completion", &completion, e))
        return false;
    size_t n_prompt = strlen(prompt), n_completion = strlen(completion);
    if (ends_with_think(prompt, n_prompt) && strncmp(completion + strspn(completion, " \n\r\t"), THINK, sizeof THINK - 1) == 0)
        return err_set(e, "<think> ends the prompt and begins the completion as well; take one away");
    push(d, tokenizer_bos(tok), false);
    int64_t from = d->ids.n, boundary;
    tokenizer_encode(tok, prompt, n_prompt, &d->ids);
    boundary = d->ids.n;
    document_mark(d, from, false);
    if (tokenizer_cuts(tok, prompt, n_prompt)) {
        tokenizer_encode_more(tok, completion, n_completion, &d->ids);
    } else { /* the tokens of the whole, which may differ at the border, even be fewer */
        char *both = xprintf("%s%s", prompt, completion);
        d->ids.n = from;
        tokenizer_encode(tok, both, n_prompt + n_completion, &d->ids);
        free(both);
    }
    document_mark(d, boundary, true);
    push(d, tokenizer_eos(tok), true);
    return true;
}

/* A conversation as text: what is learnt and what is not alternate, and each run is tokenised by itself. So no token straddles the
 * border, and what generate tokenises as a prompt is what training saw. */
struct script {
    struct document *d;
    const struct tokenizer *tok;
    char *text; /* the run that is being written */
    size_t n, room;
    bool learnt, begun;
};

static void end_run(struct script *s)
{
    int64_t from = s->d->ids.n;
    (s->begun ? tokenizer_encode_more : tokenizer_encode)(s->tok, s->text, s->n, &s->d->ids);
    document_mark(s->d, from, s->learnt);
    s->begun = s->begun || s->n > 0;
    s->n = 0;
}

static void say(struct script *s, const char *text, bool learnt)
{
    size_t n = strlen(text);
    if (learnt != s->learnt)
        end_run(s);
    s->learnt = learnt;
    if (s->n + n > s->room) {
        s->room = 2 * (s->n + n);
        s->text = xrealloc(s->text, s->room);
    }
    memcpy(s->text + s->n, text, n);
    s->n += n;
}

/* prompt: up to where the answer begins. */
static bool script_messages(struct script *s, const json_t *messages, enum chat_template t, bool prompt, struct err *e)
{
    size_t i, n = json_array_size(messages);
    const json_t *m;
    json_array_foreach(messages, i, m)
    {
        const char *role = json_string_value(json_object_get(m, "role")), *content;
        if (has(m, "tool_calls") && json_array_size(json_object_get(m, "tool_calls")) > 0)
            return err_set(e, "messages[%zu] has tool_calls, which only --template mistral can write", i);
        if (!json_get_str(m, "content", &content, e))
            return err_in(e, "messages[%zu]", i);
        bool learnt = strcmp(role, "assistant") == 0, last = i + 1 == n;
        if (t == CHAT_CHATML) {
            say(s, "<|im_start|>", false);
            say(s, role, false);
            say(s, "\n", false);
        }
        say(s, content, learnt);
        if (t == CHAT_CHATML)
            say(s, "<|im_end|>", learnt);
        if (t == CHAT_CHATML || prompt || !last)
            say(s, "\n", learnt && (t == CHAT_PLAIN || last));
    }
    if (t == CHAT_CHATML && prompt)
        say(s, "<|im_start|>assistant\n", false);
    end_run(s);
    return true;
}

/* The conversation with its begin token, without the end token that does not belong to a turn. *answered: the assistant has the last word. */
static bool conversation(struct document *d, const json_t *record, const struct tokenizer *tok, enum chat_template t, bool prompt,
                         bool *answered, struct err *e)
{
    const json_t *messages = json_object_get(record, "messages"), *m;
    if (!json_is_array(messages) || json_array_size(messages) == 0)
        return err_set(e, "\"messages\" must be an array of {\"role\", \"content\"}, got %s",
                       json_is_array(messages) ? "an empty one" : json_type_name(messages));
    const char *role = "";
    size_t i;
    json_array_foreach(messages, i, m)
    {
        if (!json_is_object(m))
            return err_set(e, "messages[%zu] must be an object with role and content, got %s", i, json_type_name(m));
        if (!json_get_str(m, "role", &role, e))
            return err_in(e, "messages[%zu]", i);
    }
    *answered = strcmp(role, "assistant") == 0;
    if (prompt && *answered)
        return err_set(e, "the last message is the assistant's; a prompt must end with a question");
    push(d, tokenizer_bos(tok), false);
    if (t == CHAT_MISTRAL)
        return chat_mistral(d, messages, json_object_get(record, "tools"), tok, e);
    struct script s = {.d = d, .tok = tok};
    bool ok = script_messages(&s, messages, t, prompt, e);
    free(s.text);
    return ok;
}

bool chat_document(struct document *d, const json_t *record, const struct tokenizer *tok, enum chat_template t, int32_t vocab,
                   struct err *e)
{
    d->ids.n = d->n_learnt = 0;
    if (!json_is_object(record))
        return err_set(e, "a record must be a JSON object, got %s", json_type_name(record));
    bool text = has(record, "text"), pair = has(record, "prompt") || has(record, "completion"), messages = has(record, "messages"),
         ids = has(record, "input_ids") || has(record, "labels"), answered = true;
    if (text + pair + messages + ids != 1)
        return wrong_form(record, "the keys of one form (text | prompt, completion | messages | input_ids, labels)", e);
    if (ids)
        return ids_record(d, record, e) && check_vocab(&d->ids, vocab, e);
    if (!need_tokenizer(tok, e))
        return false;
    if (!(text   ? text_record(d, record, tok, e)
          : pair ? pair_record(d, record, tok, e)
                 : conversation(d, record, tok, t, false, &answered, e)))
        return false;
    if (messages && !(t == CHAT_MISTRAL && answered)) /* there the end token ends every answer */
        push(d, tokenizer_eos(tok), answered);
    return check_vocab(&d->ids, vocab, e);
}

bool chat_prompt(struct ids *out, const json_t *record, const struct tokenizer *tok, enum chat_template t, int32_t vocab, struct err *e)
{
    out->n = 0;
    if (!json_is_object(record))
        return err_set(e, "a record must be a JSON object, got %s", json_type_name(record));
    bool prompt = has(record, "prompt"), messages = has(record, "messages"), ids = has(record, "input_ids"), answered;
    if (prompt + messages + ids != 1)
        return wrong_form(record, "one of the keys prompt, messages, input_ids", e);
    if (ids)
        return read_ids(record, out, e) && check_vocab(out, vocab, e);
    if (!need_tokenizer(tok, e))
        return false;
    if (prompt) {
        const char *text;
        if (!json_get_str(record, "prompt", &text, e))
            return false;
        if (tokenizer_bos(tok) >= 0)
            ids_push(out, tokenizer_bos(tok));
        tokenizer_encode(tok, text, strlen(text), out);
        return check_vocab(out, vocab, e);
    }
    struct document d = {.ids = *out};
    bool ok = conversation(&d, record, tok, t, true, &answered, e);
    *out = d.ids;
    d.ids = (struct ids){0};
    document_free(&d);
    return ok && check_vocab(out, vocab, e);
}
