/* data/chat_mistral.c - see chat_mistral.h. */
#include "data/chat_mistral.h"
#include <stdlib.h>
#include <string.h>

static const char *role_of(const json_t *messages, size_t i)
{
    return json_string_value(json_object_get(json_array_get(messages, i), "role"));
}

static bool is_role(const json_t *messages, size_t i, const char *role)
{
    return strcmp(role_of(messages, i), role) == 0;
}

static bool push_piece(struct document *d, const struct tokenizer *tok, const char *name, struct err *e)
{
    int32_t id = tokenizer_piece(tok, name);
    if (id < 0)
        return err_set(e, "template mistral needs the token %s, which this tokenizer lacks; use --template chatml", name);
    ids_push(&d->ids, id);
    return true;
}

/* The text of a message; "" for none where none is allowed. */
static bool content_of(const json_t *messages, size_t i, bool optional, const char **text, struct err *e)
{
    const json_t *m = json_array_get(messages, i);
    *text = "";
    if (optional && (!json_object_get(m, "content") || json_is_null(json_object_get(m, "content"))))
        return true;
    return json_get_str(m, "content", text, e) || err_in(e, "messages[%zu]", i);
}

/* Joins the texts with an empty line between, as the format has it; empty ones are left out. Frees text. */
static char *join(char *text, const char *more)
{
    char *both = *text && *more ? xprintf("%s\n\n%s", text, more) : xprintf("%s%s", text, more);
    free(text);
    return both;
}

/* As Python's json.dumps(v, ensure_ascii=False) writes it: jansson's own spacing, and the fewest digits that give the number back. */
static char *dump(const json_t *v)
{
    for (size_t digits = 15;; digits++) {
        char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_REAL_PRECISION(digits));
        must(text);
        json_t *back = json_loads(text, JSON_DECODE_ANY, NULL);
        bool same = json_equal(v, back);
        json_decref(back);
        if (same || digits == 17)
            return text;
        free(text);
    }
}

/* Text that is JSON counts as that value, other text as a string. */
static json_t *value_of(const char *text)
{
    if (!*text)
        return json_object();
    json_t *v = json_loads(text, JSON_DECODE_ANY, NULL);
    return v ? v : json_string(text);
}

/* before, the value as JSON text, after (NULL: nothing). Takes v over. */
static bool push_json(struct document *d, const struct tokenizer *tok, const char *before, json_t *v, const char *after, struct err *e)
{
    char *text = dump(v);
    json_decref(v);
    bool ok = push_piece(d, tok, before, e);
    if (ok)
        tokenizer_encode(tok, text, strlen(text), &d->ids);
    free(text);
    return ok && (!after || push_piece(d, tok, after, e));
}

/* The tools in the order of keys that the format writes. */
static bool push_tools(struct document *d, const struct tokenizer *tok, const json_t *tools, struct err *e)
{
    json_t *list = json_array();
    size_t i;
    const json_t *tool;
    json_array_foreach(tools, i, tool)
    {
        const json_t *f = json_object_get(tool, "function");
        const char *name, *description = json_string_value(json_object_get(f, "description"));
        if (!json_get_str(f, "name", &name, e)) {
            json_decref(list);
            return err_in(e, "tools[%zu].function", i);
        }
        json_array_append_new(list, json_pack("{s:s, s:{s:s, s:s, s:O?}}", "type", "function", "function", "name", name, "description",
                                              description ? description : "", "parameters", json_object_get(f, "parameters")));
    }
    return push_json(d, tok, "[AVAILABLE_TOOLS]", list, "[/AVAILABLE_TOOLS]", e);
}

/* Appends the calls of message i to list. */
static bool add_calls(json_t *list, const json_t *messages, size_t i, struct err *e)
{
    size_t k;
    const json_t *call;
    json_array_foreach(json_object_get(json_array_get(messages, i), "tool_calls"), k, call)
    {
        const json_t *f = json_object_get(call, "function"), *arguments = json_object_get(f, "arguments");
        const char *name, *id = json_string_value(json_object_get(call, "id"));
        if (!json_get_str(f, "name", &name, e))
            return err_in(e, "messages[%zu].tool_calls[%zu].function", i, k);
        json_t *value =
            json_is_object(arguments) ? json_deep_copy(arguments) : value_of(json_is_string(arguments) ? json_string_value(arguments) : "");
        json_t *out = json_pack("{s:s, s:o}", "name", name, "arguments", value);
        if (id && strcmp(id, "null") != 0)
            json_object_set_new(out, "id", json_string(id));
        json_array_append_new(list, out);
    }
    return true;
}

/* Messages first .. end-1, all of the user. system: what goes in front (NULL: this is not the last question). */
static bool push_user(struct document *d, const struct tokenizer *tok, const json_t *messages, size_t first, size_t end, const char *system,
                      struct err *e)
{
    char *text = xstrdup("");
    bool ok = true;
    for (size_t i = first; ok && i < end; i++) {
        const char *content;
        ok = content_of(messages, i, false, &content, e);
        text = join(text, content);
    }
    if (system && *system) {
        char *both = xprintf("%s\n\n%s", system, text);
        free(text);
        text = both;
    }
    ok = ok && push_piece(d, tok, "[INST]", e);
    if (ok)
        tokenizer_encode(tok, text, strlen(text), &d->ids);
    free(text);
    return ok && push_piece(d, tok, "[/INST]", e);
}

static bool push_assistant(struct document *d, const struct tokenizer *tok, const json_t *messages, size_t first, size_t end, struct err *e)
{
    char *text = xstrdup("");
    json_t *calls = json_array();
    bool ok = true;
    for (size_t i = first; ok && i < end; i++) {
        const char *content;
        ok = content_of(messages, i, json_array_size(json_object_get(json_array_get(messages, i), "tool_calls")) > 0, &content, e) &&
             add_calls(calls, messages, i, e);
        text = join(text, content);
    }
    if (ok && !*text && json_array_size(calls) == 0)
        ok = err_set(e, "messages[%zu]: the assistant's turn has neither content nor tool_calls", first);
    if (ok)
        tokenizer_encode(tok, text, strlen(text), &d->ids);
    free(text);
    if (ok && json_array_size(calls) > 0)
        return push_json(d, tok, "[TOOL_CALLS]", calls, NULL, e);
    json_decref(calls);
    return ok;
}

static bool push_result(struct document *d, const struct tokenizer *tok, const json_t *messages, size_t i, struct err *e)
{
    const char *content, *id;
    if (!content_of(messages, i, true, &content, e))
        return false;
    if (!json_get_str(json_array_get(messages, i), "tool_call_id", &id, e))
        return err_in(e, "messages[%zu]", i);
    return push_json(d, tok, "[TOOL_RESULTS]", json_pack("{s:o, s:s}", "content", value_of(content), "call_id", id), "[/TOOL_RESULTS]", e);
}

/* Messages first .. end-1 of one role, not the system's, are one turn. question: the index of the last user's message. */
static bool push_turn(struct document *d, const struct tokenizer *tok, const json_t *messages, size_t first, size_t end, size_t question,
                      const char *system, const json_t *tools, struct err *e)
{
    if (is_role(messages, first, "user")) {
        bool last = first <= question && question < end;
        return (!last || json_array_size(tools) == 0 || push_tools(d, tok, tools, e)) &&
               push_user(d, tok, messages, first, end, last ? system : NULL, e);
    }
    if (is_role(messages, first, "assistant")) {
        if (!push_assistant(d, tok, messages, first, end, e))
            return false;
        if (tokenizer_eos(tok) >= 0)
            ids_push(&d->ids, tokenizer_eos(tok));
        return true;
    }
    if (is_role(messages, first, "tool")) {
        for (size_t i = first; i < end; i++)
            if (!push_result(d, tok, messages, i, e))
                return false;
        return true;
    }
    return err_set(e, "messages[%zu]: role \"%s\": template mistral knows system, user, assistant and tool", first,
                   role_of(messages, first));
}

bool chat_mistral(struct document *d, const json_t *messages, const json_t *tools, const struct tokenizer *tok, struct err *e)
{
    size_t n = json_array_size(messages), first = n, question = n;
    char *system = xstrdup("");
    bool ok = true;
    for (size_t i = 0; ok && i < n; i++) {
        const char *content;
        if (is_role(messages, i, "system")) {
            ok = content_of(messages, i, true, &content, e);
            system = join(system, content);
        } else if (first == n) {
            first = i;
        }
        if (is_role(messages, i, "user"))
            question = i;
    }
    if (ok && (first == n || !is_role(messages, first, "user")))
        ok = err_set(e, "template mistral: a conversation begins with a message of the user, after the system's; got \"%s\"",
                     first == n ? "system alone" : role_of(messages, first));
    for (size_t i = 0, end; ok && i < n; i = end) {
        for (end = i + 1; end < n && is_role(messages, end, role_of(messages, i)); end++)
            ;
        if (is_role(messages, i, "system"))
            continue;
        int64_t from = d->ids.n;
        ok = push_turn(d, tok, messages, i, end, question, system, tools, e);
        document_mark(d, from, is_role(messages, i, "assistant"));
    }
    free(system);
    return ok;
}
