/* data/import.c - see import.h. */
#include "data/import.h"
#include <stdlib.h>
#include <string.h>

const char *const import_set_names[] = {"auto", "records", "opencodereasoning", "openthoughts2", "openmathreasoning", "promptcot", NULL};

/* The instructions that the published evaluation prompts give (see configs/data). */
static const char CODE[] =
    "You will be given a question (problem specification) and will generate a correct Python program that matches the "
    "specification and passes all tests.\n\nQuestion: {problem}\n\nRead the inputs from stdin solve the problem and "
    "write the answer to stdout (do not directly test on the sample inputs). Enclose your code within delimiters as "
    "follows. Ensure that when the python program runs, it reads the inputs, runs the algorithm and writes output to "
    "STDOUT.\n```python\n# YOUR CODE HERE\n```\n\n";
static const char MATH[] = "{problem}\nPlease reason step by step, and put your final answer within \\boxed{}.";

/* ------------------------------------------------------------------- which set */

static const char STRING[] = "string", TURNS[] = "list<struct<", IDS[] = "list<int";
static const struct form {
    enum import_set set;
    struct import_column need[2]; /* type: how it begins */
    const char *mark;             /* a column that is not read, but by which the set is known */
    const char *also;             /* read when it is there */
} forms[] = {
    {SET_RECORDS, {{"text", STRING}}, NULL, NULL},
    {SET_RECORDS, {{"prompt", STRING}, {"completion", STRING}}, NULL, NULL},
    {SET_RECORDS, {{"messages", TURNS}}, NULL, "tools"},
    {SET_RECORDS, {{"input_ids", IDS}}, NULL, "labels"},
    {SET_OPENCODEREASONING, {{"input", STRING}, {"output", STRING}}, "solution", NULL},
    {SET_OPENTHOUGHTS2, {{"conversations", TURNS}}, NULL, "system"},
    {SET_OPENMATHREASONING, {{"problem", STRING}, {"generated_solution", STRING}}, NULL, NULL},
    {SET_PROMPTCOT, {{"prompt", STRING}, {"completion", STRING}}, NULL, NULL},
};
enum { FORMS = sizeof forms / sizeof *forms };

static int find(const struct import_column *column, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (strcmp(column[i].name, name) == 0)
            return i;
    return -1;
}

static bool complete(const struct form *f, const struct import_column *column, int n)
{
    return find(column, n, f->need[0].name) >= 0 && (!f->need[1].name || find(column, n, f->need[1].name) >= 0) &&
           (!f->mark || find(column, n, f->mark) >= 0);
}

/* The form that is all there; else one whose first column is, so that one can say what is missing. NULL: none. */
static const struct form *choose(enum import_set set, const struct import_column *column, int n)
{
    const struct form *begun = NULL;
    for (const struct form *f = forms; f < forms + FORMS; f++) {
        bool candidate = set == SET_AUTO ? f->set != SET_PROMPTCOT : f->set == set;
        if (candidate && complete(f, column, n))
            return f;
        if (candidate && !begun && ((set != SET_AUTO && set != SET_RECORDS) || find(column, n, f->need[0].name) >= 0))
            begun = f;
    }
    return begun;
}

/* "a: string, b: int64" */
static char *list_columns(const struct import_column *column, int n)
{
    char *all = xstrdup("");
    for (int i = 0; i < n; i++) {
        char *longer = xprintf("%s%s%.60s: %.80s", all, i ? ", " : "", column[i].name, column[i].type);
        free(all);
        all = longer;
    }
    return all;
}

bool import_columns(enum import_set *set, const struct import_column *column, int n, bool *used, struct err *e)
{
    for (int i = 0; i < n; i++)
        used[i] = false;
    if (*set == SET_BARE)
        return true;
    const struct form *f = choose(*set, column, n);
    bool ok = true;
    char *there = list_columns(column, n);
    if (!f)
        ok = err_set(
            e,
            "its columns are those of no set that is known: text | prompt, completion | messages | input_ids, labels | input, output, "
            "solution | conversations | problem, generated_solution; it has %.600s",
            there);
    for (int i = 0; ok && i < 2 && f->need[i].name; i++) {
        int at = find(column, n, f->need[i].name);
        if (at < 0)
            ok = err_set(e, "column \"%s\" is missing, which %s needs; it has %.700s", f->need[i].name, import_set_names[f->set], there);
        else if (strncmp(column[at].type, f->need[i].type, strlen(f->need[i].type)) != 0)
            ok = err_set(e, "column \"%s\" must be %s%s for %s, and is %.300s", f->need[i].name, f->need[i].type,
                         f->need[i].type == TURNS ? "...>>"
                         : f->need[i].type == IDS ? "64>"
                                                  : "",
                         import_set_names[f->set], column[at].type);
        else
            used[at] = true;
    }
    if (ok && f->also && find(column, n, f->also) >= 0)
        used[find(column, n, f->also)] = true;
    if (ok)
        *set = f->set;
    free(there);
    return ok;
}

static bool has(const json_t *record, const char *key)
{
    const json_t *v = json_object_get(record, key);
    return v && !json_is_null(v);
}

/* Anything that prepare knows by itself is prepare's; keys of a set may be null. */
static enum import_set set_of(const json_t *record)
{
    static const char *const own[] = {"text", "prompt", "completion", "messages", "input_ids", "labels"};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (has(record, own[i]))
            return SET_RECORDS;
    for (const struct form *f = forms; f < forms + FORMS; f++)
        if (f->set != SET_RECORDS && f->set != SET_PROMPTCOT && json_object_get(record, f->need[0].name) &&
            (!f->need[1].name || json_object_get(record, f->need[1].name)) && (!f->mark || json_object_get(record, f->mark)))
            return f->set;
    return SET_RECORDS;
}

/* ------------------------------------------------------------------- the sets */

static bool get_text(const json_t *record, const char *key, const char **text, struct err *e)
{
    if (!json_get_str(record, key, text, e))
        return false;
    return **text || err_set(e, "\"%s\" is empty", key);
}

/* {"messages": [the user's, the assistant's]}; problem goes into question. */
static json_t *exchange(const char *question, const char *problem, const char *answer)
{
    static const char PLACE[] = "{problem}";
    const char *at = strstr(question, PLACE);
    char *user = at ? xprintf("%.*s%s%s", (int)(at - question), question, problem, at + sizeof PLACE - 1) : xstrdup(question);
    json_t *record =
        json_pack("{s:[{s:s, s:s}, {s:s, s:s}]}", "messages", "role", "user", "content", user, "role", "assistant", "content", answer);
    must(record);
    free(user);
    return record;
}

static json_t *from_pair(const json_t *record, const char *problem_key, const char *answer_key, const char *question, struct err *e)
{
    const char *problem, *answer;
    if (!get_text(record, problem_key, &problem, e) || !get_text(record, answer_key, &answer, e))
        return NULL;
    return exchange(question, problem, answer);
}

static json_t *opencodereasoning(const json_t *record, const char *question, struct err *e)
{
    if (!import_has_statement(SET_OPENCODEREASONING, record)) {
        err_set(e, "\"input\" is \"-\": split_1 leaves out the statements of APPS and TACO, which it may not pass on");
        return NULL;
    }
    return from_pair(record, "input", "output", question ? question : CODE, e);
}

static bool push_turn(json_t *messages, const char *role, const char *text)
{
    return json_array_append_new(messages, json_pack("{s:s, s:s}", "role", role, "content", text)) == 0;
}

static const char *role_of(const char *from)
{
    static const char *const names[][2] = {{"user", "user"},     {"human", "user"},      {"assistant", "assistant"},
                                           {"gpt", "assistant"}, {"model", "assistant"}, {"system", "system"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(from, names[i][0]) == 0)
            return names[i][1];
    return NULL;
}

static bool turns(json_t *messages, const json_t *conversations, struct err *e)
{
    if (!json_is_array(conversations) || json_array_size(conversations) == 0)
        return err_set(e, "\"conversations\" must be turns {\"from\", \"value\"}, got %s",
                       json_is_array(conversations) ? "an empty list" : json_type_name(conversations));
    size_t i;
    const json_t *turn;
    json_array_foreach(conversations, i, turn)
    {
        const char *from, *value;
        if (!json_get_str(turn, "from", &from, e) || !json_get_str(turn, "value", &value, e))
            return err_in(e, "conversations[%zu]", i);
        const char *role = role_of(from);
        if (!role)
            return err_set(e, "conversations[%zu] is from \"%.40s\"; expected user, human, assistant, gpt, model or system", i, from);
        must(push_turn(messages, role, value));
    }
    return true;
}

static json_t *openthoughts2(const json_t *record, struct err *e)
{
    json_t *messages = json_array();
    const char *system = json_string_value(json_object_get(record, "system"));
    if (system && *system)
        must(push_turn(messages, "system", system));
    if (turns(messages, json_object_get(record, "conversations"), e))
        return json_pack("{s:o}", "messages", messages);
    json_decref(messages);
    return NULL;
}

/* The text between two marks, the second being the last one of its kind. The caller frees; NULL: they are not both there. *rest: what
 * follows. */
static char *between(const char *text, const char *from, const char *to, const char **rest)
{
    const char *begin = strstr(text, from), *end = NULL;
    if (!begin)
        return NULL;
    begin += strlen(from);
    for (const char *at = begin; (at = strstr(at, to)); at++)
        end = at;
    if (!end)
        return NULL;
    *rest = end + strlen(to);
    return xprintf("%.*s", (int)(end - begin), begin);
}

static json_t *promptcot(const json_t *record, const char *question, struct err *e)
{
    static const char THINK[] = "<think>", *const ends[] = {"<|im_end|>", "<｜end▁of▁sentence｜>"};
    const char *prompt, *completion, *rest;
    if (!get_text(record, "prompt", &prompt, e) || !get_text(record, "completion", &completion, e))
        return NULL;
    char *bare = between(prompt, "<｜User｜>", "<｜Assistant｜>", &rest);
    char *framed = bare ? NULL : between(prompt, "<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant", &rest);
    if (!bare && !framed) {
        err_set(e,
                "\"prompt\" has neither the frame <｜User｜>...<｜Assistant｜> nor <|im_start|>user...<|im_start|>assistant; for prompts "
                "without one use the set \"records\"");
        return NULL;
    }
    bool thinks = strstr(rest, THINK) != NULL; /* the prompt opens the thought, which then is the answer's beginning */
    completion += strspn(completion, thinks ? "" : "\n");
    size_t n = strlen(completion);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (n >= strlen(ends[i]) && strcmp(completion + n - strlen(ends[i]), ends[i]) == 0)
            n -= strlen(ends[i]);
    char *answer = xprintf("%s%.*s", thinks ? "<think>\n" : "", (int)n, completion);
    json_t *out = bare ? exchange(question ? question : MATH, bare, answer) : exchange("{problem}", framed, answer);
    free(answer);
    free(bare);
    free(framed);
    return out;
}

json_t *import_record(enum import_set set, json_t *record, const char *question, struct err *e)
{
    if (!json_is_object(record)) {
        err_set(e, "a record must be a JSON object, got %s", json_type_name(record));
        return NULL;
    }
    switch (set == SET_AUTO ? set_of(record) : set) {
    case SET_OPENCODEREASONING:
        return opencodereasoning(record, question, e);
    case SET_OPENTHOUGHTS2:
        return openthoughts2(record, e);
    case SET_OPENMATHREASONING:
        return from_pair(record, "problem", "generated_solution", question ? question : MATH, e);
    case SET_PROMPTCOT:
        return promptcot(record, question, e);
    default:
        return json_incref(record);
    }
}

bool import_has_statement(enum import_set set, const json_t *record)
{
    const char *input = json_string_value(json_object_get(record, "input"));
    bool is = (set == SET_AUTO ? set_of(record) : set) == SET_OPENCODEREASONING;
    return !is || !input || strcmp(input, "-") != 0;
}

const char *import_expected(const json_t *record)
{
    return json_string_value(json_object_get(record, "expected_answer"));
}
