/* infer/promptcot/judge.c - the steps that choose: judges' verdicts, and the reward of PromptCoT 2.0. See promptcot.h. */
#include "core/file.h"
#include "infer/promptcot/promptcot.h"
#include "infer/promptcot/text.h"
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------- judges */

/* The verdicts of one judge into each record's "judgements". Several samples of a judge are several verdicts. */
static bool ask_judge(struct step *s, const char *judge, int64_t number, struct err *e)
{
    char *suffix = xprintf(".%lld", (long long)number);
    int64_t samples = s->p->judge.samples;
    size_t i;
    const json_t *record;
    json_array_foreach(s->out, i, record)
    {
        for (int64_t k = 0; k < samples; k++)
            asks_add(&s->asks,
                     text_ask_judge(json_object_get(record, "foundational_concepts"), text_of(record, "level"),
                                    text_of(record, "rationale"), text_of(record, "problem")),
                     NULL, k);
    }
    bool ok = step_ask(s, judge, suffix, e);
    for (int64_t at = 0; ok && at < s->asks.n; at++) {
        json_t *reply = asks_reply(&s->asks, at, e), *list = json_object_get(json_array_get(s->out, (size_t)(at / samples)), "judgements");
        const char *text = json_string_value(json_object_get(reply, "text"));
        ok = reply != NULL;
        if (ok)
            json_array_append_new(list, json_pack("{s:s, s:s}", "judge", judge, "verdict", text ? text_verdict(text) : "failed"));
        json_decref(reply);
    }
    asks_free(&s->asks);
    free(suffix);
    return ok;
}

/* Why a record goes: the first verdict that is not perfect; NULL: it stays. */
static const char *flaw_of(const json_t *record)
{
    size_t i;
    const json_t *v;
    json_array_foreach(json_object_get(record, "judgements"), i, v)
    {
        if (strcmp(text_of(v, "verdict"), "perfect") != 0)
            return text_of(v, "verdict");
    }
    return NULL;
}

bool step_judge(struct step *s, struct err *e)
{
    size_t i;
    json_t *record, *kept = json_array();
    json_array_foreach(s->in, i, record)
    {
        json_t *one = json_copy(record);
        json_object_set_new(one, "judgements", json_array());
        json_array_append_new(s->out, one);
    }
    s->asks.kind = ASK_TEXT;
    s->asks.sampling = s->p->judge;
    bool ok = true;
    for (int64_t j = 0; ok && j < s->p->judges.n; j++)
        ok = ask_judge(s, s->p->judges.at[j], j, e);
    json_array_foreach(s->out, i, record)
    {
        const char *flaw = flaw_of(record);
        if (flaw)
            step_drop(s, flaw);
        else
            json_array_append(kept, record);
    }
    json_decref(s->out);
    s->out = kept;
    return ok;
}

/* ------------------------------------------------------------------- the reward */

/* log p(rationale | concepts) and log p(problem | rationale, concepts), each with its end mark, two requests a record. */
static bool score(struct step *s, struct err *e)
{
    size_t i;
    json_t *record;
    s->asks.kind = ASK_LOGPROB;
    json_array_foreach(s->out, i, record)
    {
        const char *prompt = text_of(record, "prompt"), *rationale = text_of(record, "rationale"), *problem = text_of(record, "problem");
        asks_add(&s->asks, text_ask_rationale(prompt, false), xprintf("%s\n" END_RATIONALE, rationale), 0);
        asks_add(&s->asks, text_ask_problem(prompt, rationale, false), xprintf("%s\n" END_PROBLEM, problem), 0);
    }
    bool ok = step_ask(s, s->p->reward_model, "", e);
    json_array_foreach(s->out, i, record)
    {
        json_t *z = ok ? asks_reply(&s->asks, (int64_t)(2 * i), e) : NULL, *x = z ? asks_reply(&s->asks, (int64_t)(2 * i + 1), e) : NULL;
        ok = ok && z && x;
        if (ok && !json_object_get(z, "failed") && !json_object_get(x, "failed")) {
            double log_z = json_number_value(json_object_get(z, "logprob")), log_x = json_number_value(json_object_get(x, "logprob"));
            json_object_set_new(record, "reward",
                                json_pack("{s:f, s:f, s:f, s:O, s:O}", "log_p_rationale", log_z, "log_p_problem", log_x, "sum",
                                          log_z + log_x, "rationale_tokens", json_object_get(z, "tokens"), "problem_tokens",
                                          json_object_get(x, "tokens")));
        }
        json_decref(z);
        json_decref(x);
    }
    asks_free(&s->asks);
    return ok;
}

static double reward_of(const json_t *record)
{
    return json_number_value(json_object_get(json_object_get(record, "reward"), "sum"));
}

/* What the samples of one record of the step before have in common: the id without what follows its last `letter`. */
static size_t family(const char *id, const char *letter)
{
    const char *last = NULL;
    for (const char *at = id; (at = strstr(at, letter)); at++)
        last = at;
    return last ? (size_t)(last - id) : strlen(id);
}

/* Of neighbours of one family the one with the greatest reward, the first of equals. */
static void keep_best(struct step *s, const char *letter)
{
    json_t *kept = json_array(), *best = NULL;
    for (size_t i = 0; i <= json_array_size(s->out); i++) {
        json_t *one = json_array_get(s->out, i);
        if (one && !json_object_get(one, "reward")) {
            step_drop(s, "failed");
            continue;
        }
        const char *a = best ? text_of(best, "id") : "", *b = one ? text_of(one, "id") : "";
        bool same = best && one && family(a, letter) == family(b, letter) && strncmp(a, b, family(a, letter)) == 0;
        if (same)
            step_drop(s, "less_reward");
        else if (best)
            json_array_append(kept, best);
        if (!same || reward_of(one) > reward_of(best))
            best = one;
    }
    json_decref(s->out);
    s->out = kept;
}

static void copy_in(struct step *s)
{
    size_t i;
    const json_t *record;
    json_array_foreach(s->in, i, record)
    {
        json_array_append_new(s->out, json_copy((json_t *)record));
    }
}

bool step_reward(struct step *s, struct err *e)
{
    copy_in(s);
    if (!s->p->reward_model)
        return true;
    if (!score(s, e))
        return false;
    keep_best(s, "-r");
    return true;
}

/* ------------------------------------------------------------------- lessons */

static bool write_lessons(const json_t *records, const char *path, bool generator, struct err *e)
{
    struct file_out *f;
    if (!file_out_open(&f, path, false, e))
        return false;
    bool ok = true;
    size_t i;
    const json_t *r;
    json_array_foreach(records, i, r)
    {
        const char *prompt = text_of(r, "prompt"), *rationale = text_of(r, "rationale"), *problem = text_of(r, "problem");
        char *asked = generator ? xprintf("%s\n\n", prompt) : text_ask_posterior(prompt, problem, false);
        char *learnt = generator ? text_completion(rationale, problem) : xprintf("%s\n" END_RATIONALE, rationale);
        json_t *v = json_pack("{s:O, s:s, s:s}", "id", json_object_get(r, "id"), "prompt", asked, "completion", learnt);
        ok = ok && json_write_line(f, v, e);
        json_decref(v);
        free(asked);
        free(learnt);
    }
    if (ok)
        return file_out_commit(f, e);
    file_out_abort(f);
    return false;
}

bool step_write_lessons(struct step *s, struct err *e)
{
    char *generator = xprintf("%s/generator.jsonl", s->p->work), *rationale = xprintf("%s/rationale_model.jsonl", s->p->work);
    bool ok = write_lessons(s->out, generator, true, e) && write_lessons(s->out, rationale, false, e);
    free(generator);
    free(rationale);
    return ok;
}

bool step_lesson(struct step *s, struct err *e)
{
    copy_in(s);
    if (!score(s, e))
        return false;
    keep_best(s, "-z");
    return step_write_lessons(s, e);
}
