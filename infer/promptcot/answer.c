/* infer/promptcot/answer.c - the last step: the teacher's answers, those that agree, as records of prepare. See promptcot.h. */
#include "data/select/filter.h"
#include "infer/code/code.h"
#include "infer/math/equal.h"
#include "infer/math/judge.h"
#include "infer/promptcot/promptcot.h"
#include "infer/promptcot/text.h"
#include "infer/promptcot/trials.h"
#include <stdlib.h>
#include <string.h>

#define FRAME_BEGIN "<|im_start|>user\n"
#define FRAME_END   "<|im_end|>\n<|im_start|>assistant\n<think>\n"
enum { AT_ONCE = 256 }; /* problems whose answers are in memory at a time */

/* A reply of the teacher. */
struct taught {
    json_t *reply; /* NULL: the request failed */
    char *answer, *key;
    json_t *outputs; /* of a program, for each input; NULL: it failed for one, or was not run */
};

/* As the training record has it; a chat endpoint gets what the user says of it. */
static char *prompt_of(const struct promptcot *p, const json_t *record)
{
    struct err e;
    char *prompt = p->domain == DOMAIN_CODE ? code_prompt(text_of(record, "problem"), NULL) : task_math_prompt(record, &e);
    must(prompt); /* the step before left no record without a problem */
    return prompt;
}

static char *without_frame(const char *prompt)
{
    size_t n = strlen(prompt), begin = sizeof FRAME_BEGIN - 1, end = sizeof FRAME_END - 1;
    must(n > begin + end && strncmp(prompt, FRAME_BEGIN, begin) == 0 && strcmp(prompt + n - end, FRAME_END) == 0);
    return xprintf("%.*s", (int)(n - begin - end), prompt + begin);
}

static void find_answer(const struct promptcot *p, struct taught *t)
{
    const char *text = text_of(t->reply, "text"), *how;
    bool cut = strcmp(text_of(t->reply, "finish"), "length") == 0;
    if (cut)
        return;
    if (p->domain == DOMAIN_CODE) {
        struct verdict v = {0};
        code_find_program(&v, text, cut);
        if (v.extracted)
            t->answer = xstrdup(v.extracted);
        verdict_free(&v);
    } else if ((t->answer = math_find_answer(text, cut, &how))) {
        t->key = math_key(t->answer);
    }
}

/* Does the program print the same for all inputs? */
static bool same_outputs(const json_t *a, const json_t *b)
{
    char why[256];
    size_t i;
    const json_t *one;
    bool same = a && b;
    json_array_foreach(a, i, one)
    {
        const char *want = json_string_value(json_array_get(b, i));
        same = same && code_same_output(json_string_value(one), json_string_length(one), want, why, sizeof why);
    }
    return same;
}

/* Two answers that are there are the same; programs that were not run all are. */
static bool alike(const struct promptcot *p, const struct taught *a, const struct taught *b)
{
    if (!a->answer || !b->answer)
        return false;
    if (p->domain == DOMAIN_CODE)
        return p->inputs == 0 || same_outputs(a->outputs, b->outputs);
    return a->key && b->key && strcmp(a->key, b->key) == 0;
}

/* The sample whose answer is the most frequent, the first of them. -1: there is none. */
static int64_t elect(const struct promptcot *p, const struct taught *t, int64_t n, int64_t *votes)
{
    int64_t best = -1;
    *votes = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t here = 0;
        for (int64_t k = 0; k < n; k++)
            here += alike(p, &t[i], &t[k]);
        if (here > *votes) {
            *votes = here;
            best = i;
        }
    }
    return best;
}

/* What a model was, beyond its name in the settings. */
static json_t *model_of(const struct promptcot *p, const char *name)
{
    struct err e;
    const struct ask_model *m = name ? ask_model_find(&p->models, name, &e) : NULL;
    if (!m)
        return json_null();
    return m->folder ? json_pack("{s:s, s:s, s:s}", "name", name, "folder", m->folder, "xxh3", m->digest)
                     : json_pack("{s:s, s:s?}", "name", name, "endpoint", m->model);
}

static json_t *provenance_of(const struct promptcot *p, const json_t *record, int64_t votes)
{
    static const char *const keys[] = {"foundational_concepts", "level", "closeness", "rationale", "judgements", "reward"};
    json_t *v =
        json_pack("{s:O, s:I, s:{s:o, s:o, s:o, s:o, s:o}}", "problem_id", json_object_get(record, "id"), "seed", (json_int_t)p->seed,
                  "models", "combine", model_of(p, p->embed_model), "rationale", model_of(p, p->rationale_model), "problem",
                  model_of(p, p->problem_model), "reward", model_of(p, p->reward_model), "answer", model_of(p, p->answer_model));
    must(v);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (json_object_get(record, keys[i]))
            json_object_set(v, keys[i], json_object_get(record, keys[i]));
    json_object_set_new(v, "samples", json_integer(p->answer.samples));
    json_object_set_new(v, "votes", json_integer(votes));
    return v;
}

/* What a program was tried on and what it printed, as tests. */
static json_t *tests_of(const json_t *inputs, const json_t *outputs)
{
    json_t *all = json_array(), *one;
    size_t i;
    json_array_foreach(inputs, i, one)
    {
        json_array_append_new(all, json_pack("{s:O, s:O}", "input", one, "output", json_array_get(outputs, i)));
    }
    return all;
}

/* Records of those samples that have the elected answer. inputs: NULL where programs are not run. */
static void take(struct step *s, const json_t *record, const json_t *inputs, const char *prompt, const struct taught *t, int64_t n)
{
    const struct promptcot *p = s->p;
    int64_t votes, best = elect(p, t, n, &votes), kept = 0;
    bool compared = p->domain == DOMAIN_MATH || inputs;
    if (best < 0 || (compared && (double)votes < p->agree * (double)n)) {
        step_drop(s, inputs && json_array_size(inputs) == 0 ? "no_inputs" : best < 0 ? "no_answer" : "less_agreement");
        return;
    }
    for (int64_t i = best; i < n && kept < p->keep; i++) {
        if (!alike(p, &t[i], &t[best]))
            continue;
        const char *text = text_of(t[i].reply, "text");
        text += strspn(text, " \n");
        if (strncmp(text, "<think>", 7) == 0) /* the prompt opens it */
            text += 7 + strspn(text + 7, "\n");
        if (p->thought && !filter_thought(prompt, text))
            continue;
        char *id = xprintf("%s-a%lld", text_of(record, "id"), (long long)i);
        json_t *v = json_pack("{s:s, s:s, s:s, s:s, s:s, s:o}", "id", id, "source", "promptcot", "prompt", prompt, "completion", text,
                              "answer", t[p->domain == DOMAIN_CODE ? i : best].answer, "provenance", provenance_of(p, record, votes));
        must(v);
        if (inputs)
            json_object_set_new(v, "tests", tests_of(inputs, t[i].outputs));
        json_array_append_new(s->out, v);
        kept++;
        free(id);
    }
    if (kept == 0)
        step_drop(s, "no_thought");
}

/* ------------------------------------------------------------------- programs */

/* Inputs for each problem, an array of arrays; NULL: e. */
static json_t *ask_inputs(struct step *s, bool chat, struct err *e)
{
    json_t *all = json_array();
    size_t i;
    const json_t *record;
    s->asks.sampling.samples = 1;
    json_array_foreach(s->in, i, record)
    {
        char *text = text_ask_inputs(text_of(record, "problem"), s->p->inputs);
        asks_add(&s->asks, chat ? text : xprintf(FRAME_BEGIN "%s" FRAME_END, text), NULL, 0);
        if (!chat)
            free(text);
    }
    bool ok = step_ask(s, s->p->answer_model, ".inputs", e);
    for (int64_t k = 0; ok && k < s->asks.n; k++) {
        json_t *reply = asks_reply(&s->asks, k, e);
        ok = reply != NULL;
        json_array_append_new(all, text_inputs(text_of(reply, "text"), s->p->inputs));
        json_decref(reply);
    }
    asks_free(&s->asks);
    s->asks.sampling = s->p->answer;
    if (ok)
        return all;
    json_decref(all);
    return NULL;
}

static bool take_outputs(const struct trials *trials, struct taught *t, const json_t *inputs, struct err *e)
{
    size_t i;
    const json_t *input;
    bool broken = false, whole = json_array_size(inputs) > 0;
    json_t *outputs = json_array();
    json_array_foreach(inputs, i, input)
    {
        char *output = whole && !broken ? trials_output(trials, t->answer, json_string_value(input), &broken, e) : NULL;
        whole = whole && output;
        if (output)
            json_array_append_new(outputs, json_string(output));
        free(output);
    }
    if (whole)
        t->outputs = outputs;
    else
        json_decref(outputs);
    return !broken;
}

/* The programs in t, n for each problem, on the problems' inputs. */
static bool try_programs(struct trials *trials, struct taught *t, int64_t n, const json_t *inputs, int64_t from, int64_t to, struct err *e)
{
    for (int64_t i = 0; i < (to - from) * n; i++) {
        const json_t *of = json_array_get(inputs, (size_t)(from + i / n)), *input;
        size_t k;
        json_array_foreach(of, k, input)
        {
            if (t[i].answer)
                trials_add(trials, t[i].answer, json_string_value(input));
        }
    }
    bool ok = trials_run(trials, e);
    for (int64_t i = 0; ok && i < (to - from) * n; i++)
        ok = !t[i].answer || take_outputs(trials, &t[i], json_array_get(inputs, (size_t)(from + i / n)), e);
    return ok;
}

/* ------------------------------------------------------------------- the step */

/* The answers to problems from .. to-1. inputs, trials: NULL where programs are not run. t: [(to - from) * n], zeroed, and again afterwards. */
static bool take_some(struct step *s, struct trials *trials, const json_t *inputs, int64_t from, int64_t to, struct taught *t,
                      struct err *e)
{
    const struct promptcot *p = s->p;
    int64_t n = p->answer.samples, all = (to - from) * n;
    bool ok = true;
    for (int64_t i = 0; ok && i < all; i++) {
        ok = (t[i].reply = asks_reply(&s->asks, from * n + i, e)) != NULL;
        if (ok && !json_object_get(t[i].reply, "failed"))
            find_answer(p, &t[i]);
    }
    ok = ok && (!trials || try_programs(trials, t, n, inputs, from, to, e));
    for (int64_t i = from; ok && i < to; i++) {
        const json_t *record = json_array_get(s->in, (size_t)i);
        char *prompt = prompt_of(p, record);
        take(s, record, json_array_get(inputs, (size_t)i), prompt, t + (i - from) * n, n);
        free(prompt);
    }
    for (int64_t i = 0; i < all; i++) {
        json_decref(t[i].reply);
        json_decref(t[i].outputs);
        free(t[i].answer);
        free(t[i].key);
        t[i] = (struct taught){0};
    }
    return ok;
}

bool step_answer(struct step *s, struct err *e)
{
    const struct promptcot *p = s->p;
    int64_t n = p->answer.samples, problems = (int64_t)json_array_size(s->in);
    bool chat = ask_model_chats(&p->models, p->answer_model), run = p->domain == DOMAIN_CODE && p->inputs > 0;
    json_t *inputs = NULL;
    struct trials *trials = NULL;
    s->asks.kind = ASK_TEXT;
    s->asks.sampling = p->answer;
    if (run && !(inputs = ask_inputs(s, chat, e)))
        return false;
    for (int64_t i = 0; i < problems; i++) {
        char *prompt = prompt_of(p, json_array_get(s->in, (size_t)i));
        for (int64_t k = 0; k < n; k++)
            asks_add(&s->asks, chat ? without_frame(prompt) : xstrdup(prompt), NULL, k);
        free(prompt);
    }
    char *path = xprintf("%s/%s.runs.replies.jsonl", p->work, s->name);
    bool ok = step_ask(s, p->answer_model, "", e) && (!run || trials_open(&trials, path, p->cpu_s, e));
    struct taught *t = xcalloc((size_t)(AT_ONCE * n), sizeof *t);
    for (int64_t i = 0; ok && i < problems; i += AT_ONCE)
        ok = take_some(s, trials, inputs, i, i + AT_ONCE < problems ? i + AT_ONCE : problems, t, e) && step_flush(s, e);
    asks_free(&s->asks);
    trials_close(trials);
    json_decref(inputs);
    free(path);
    free(t);
    return ok;
}
