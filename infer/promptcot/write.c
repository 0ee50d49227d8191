/* infer/promptcot/write.c - the steps that write: rationales from concepts, problems from rationales, rationales for problems. See promptcot.h. */
#include "infer/promptcot/promptcot.h"
#include "infer/promptcot/text.h"
#include <stdlib.h>
#include <string.h>

/* What differs between the three steps. */
struct writing {
    const char *model, *key, *end, *letter; /* key: of what is written; letter: what follows the id, before the sample's number */
    struct ask_sampling sampling;
    char *(*ask)(const json_t *record, bool chat);
    char *(*read)(const char *reply, bool stopped);
};

static char *ask_rationale(const json_t *record, bool chat)
{
    return text_ask_rationale(text_of(record, "prompt"), chat);
}

static char *ask_problem(const json_t *record, bool chat)
{
    return text_ask_problem(text_of(record, "prompt"), text_of(record, "rationale"), chat);
}

static char *ask_posterior(const json_t *record, bool chat)
{
    return text_ask_posterior(text_of(record, "prompt"), text_of(record, "problem"), chat);
}

static bool write_all(struct step *s, const struct writing *w, struct err *e)
{
    bool chat = ask_model_chats(&s->p->models, w->model), ok = true;
    int64_t samples = w->sampling.samples;
    size_t i;
    const json_t *record;
    s->asks.kind = ASK_TEXT;
    s->asks.sampling = w->sampling;
    s->asks.stop = w->end;
    json_array_foreach(s->in, i, record)
    {
        for (int64_t k = 0; k < samples; k++)
            asks_add(&s->asks, w->ask(record, chat), NULL, k);
    }
    ok = step_ask(s, w->model, "", e);
    for (int64_t at = 0; ok && at < s->asks.n; at++) {
        json_t *reply;
        bool stopped, broken;
        const char *text = step_text(s, at, &reply, &stopped, &broken, e);
        char *written = text ? w->read(text, stopped && !chat) : NULL;
        ok = !broken;
        if (text && !written)
            step_drop(s, stopped ? "malformed" : "cut_off");
        if (written) {
            json_t *one = json_copy(json_array_get(s->in, (size_t)(at / samples)));
            char *id = xprintf("%s-%s%lld", text_of(one, "id"), w->letter, (long long)(at % samples));
            json_object_set_new(one, "id", json_string(id));
            json_object_set_new(one, w->key, json_string(written));
            json_array_append_new(s->out, one);
            free(id);
        }
        free(written);
        json_decref(reply);
    }
    asks_free(&s->asks);
    return ok;
}

bool step_rationale(struct step *s, struct err *e)
{
    struct writing w = {s->p->rationale_model, "rationale", END_RATIONALE, "r", s->p->rationale, ask_rationale, text_rationale};
    return write_all(s, &w, e);
}

bool step_problem(struct step *s, struct err *e)
{
    struct writing w = {s->p->problem_model, "problem", END_PROBLEM, "p", s->p->problem, ask_problem, text_problem};
    if (!write_all(s, &w, e) || !step_take_out(s, e))
        return false;
    size_t i;
    json_t *one;
    json_array_foreach(s->out, i, one)
    {
        char *completion = text_completion(text_of(one, "rationale"), text_of(one, "problem"));
        json_object_set_new(one, "completion", json_string(completion)); /* with "prompt" the published record */
        free(completion);
    }
    return true;
}

/* ------------------------------------------------------------------- problems that are there */

struct pairs {
    json_t *all, *seen; /* seen: id -> line */
};

static bool read_pair(void *ctx, json_t *record, int64_t line, struct err *e)
{
    struct pairs *pairs = ctx;
    json_t *concepts = json_object_get(record, "foundational_concepts"), *id = json_object_get(record, "id");
    const char *level, *problem;
    bool strings = json_array_size(concepts) > 0;
    for (size_t i = 0; i < json_array_size(concepts); i++)
        strings = strings && json_is_string(json_array_get(concepts, i));
    if (!strings)
        return err_set(e, "\"foundational_concepts\" must be a list of strings, got %s", concepts ? json_type_name(concepts) : "nothing");
    if (!json_get_str(record, "level", &level, e) || !json_get_str(record, "problem", &problem, e))
        return false;
    char *name = json_is_string(id)    ? xstrdup(json_string_value(id))
                 : json_is_integer(id) ? xprintf("%lld", (long long)json_integer_value(id))
                                       : xprintf("pair%lld", (long long)line);
    if (json_object_get(pairs->seen, name)) { /* samples are told apart by it */
        err_set(e, "the id \"%.80s\" is that of line %lld already", name,
                (long long)json_integer_value(json_object_get(pairs->seen, name)));
        free(name);
        return false;
    }
    json_object_set_new(pairs->seen, name, json_integer(line));
    char *prompt = text_prompt(concepts, level);
    json_array_append_new(pairs->all,
                          json_pack("{s:s, s:O, s:s, s:s, s:s, s:O*}", "id", name, "foundational_concepts", concepts, "level", level,
                                    "prompt", prompt, "problem", problem, "rationale", json_object_get(record, "rationale")));
    free(prompt);
    free(name);
    return true;
}

bool step_read_pairs(struct step *s, struct err *e)
{
    struct pairs pairs = {s->in = json_array(), json_object()};
    bool ok = json_each_line(s->p->pairs, read_pair, &pairs, e);
    json_decref(pairs.seen);
    return ok;
}

bool step_triple(struct step *s, struct err *e)
{
    size_t i;
    json_t *record;
    if (!step_read_pairs(s, e))
        return false;
    json_array_foreach(s->in, i, record)
    {
        if (!*text_of(record, "rationale"))
            return err_set(e, "%s: the record \"%.60s\" has no \"rationale\", which the job triples needs", s->p->pairs,
                           text_of(record, "id"));
        json_array_append(s->out, record);
    }
    return step_write_lessons(s, e);
}

bool step_posterior(struct step *s, struct err *e)
{
    struct writing w = {s->p->posterior_model, "rationale", END_RATIONALE, "z", s->p->posterior, ask_posterior, text_rationale};
    return step_read_pairs(s, e) && write_all(s, &w, e);
}
