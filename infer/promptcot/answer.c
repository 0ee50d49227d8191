/* infer/promptcot/answer.c - the last step: the teacher's answers, those that agree, as records of prepare. See promptcot.h. */
#include "data/select/filter.h"
#include "infer/code/code.h"
#include "infer/math/equal.h"
#include "infer/math/judge.h"
#include "infer/promptcot/promptcot.h"
#include "infer/promptcot/text.h"
#include <stdlib.h>
#include <string.h>

/* A reply of the teacher. */
struct taught {
    json_t *reply; /* NULL: the request failed */
    char *answer, *key;
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
    static const char BEGIN[] = "<|im_start|>user\n", END[] = "<|im_end|>\n<|im_start|>assistant\n<think>\n";
    size_t n = strlen(prompt), begin = sizeof BEGIN - 1, end = sizeof END - 1;
    must(n > begin + end && strncmp(prompt, BEGIN, begin) == 0 && strcmp(prompt + n - end, END) == 0);
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

static bool alike(const struct taught *a, const struct taught *b)
{
    return a->key && b->key && strcmp(a->key, b->key) == 0;
}

/* The sample whose answer is the most frequent, the first of them; programs are not compared. -1: there is none. */
static int64_t elect(const struct promptcot *p, const struct taught *t, int64_t n, int64_t *votes)
{
    int64_t best = -1;
    *votes = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t here = 0;
        for (int64_t k = 0; k < n; k++)
            here += p->domain == DOMAIN_CODE ? t[k].answer != NULL : alike(&t[i], &t[k]);
        if (t[i].answer && here > *votes) {
            *votes = here;
            best = i;
        }
    }
    return best;
}

static json_t *provenance_of(const struct promptcot *p, const json_t *record, int64_t votes)
{
    static const char *const keys[] = {"foundational_concepts", "level", "closeness", "rationale", "judgements", "reward"};
    json_t *v = json_pack("{s:O, s:I, s:{s:s?, s:s?, s:s?, s:s?, s:s?}}", "problem_id", json_object_get(record, "id"), "seed",
                          (json_int_t)p->seed, "models", "combine", p->embed_model, "rationale", p->rationale_model, "problem",
                          p->problem_model, "reward", p->reward_model, "answer", p->answer_model);
    must(v);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (json_object_get(record, keys[i]))
            json_object_set(v, keys[i], json_object_get(record, keys[i]));
    json_object_set_new(v, "samples", json_integer(p->answer.samples));
    json_object_set_new(v, "votes", json_integer(votes));
    return v;
}

/* Records of those samples that have the elected answer. */
static void take(struct step *s, const json_t *record, const char *prompt, const struct taught *t, int64_t n)
{
    const struct promptcot *p = s->p;
    int64_t votes, best = elect(p, t, n, &votes), kept = 0;
    if (best < 0 || (p->domain == DOMAIN_MATH && (double)votes < p->agree * (double)n)) {
        step_drop(s, best < 0 ? "no_answer" : "less_agreement");
        return;
    }
    for (int64_t i = best; i < n && kept < p->keep; i++) {
        if (p->domain == DOMAIN_CODE ? !t[i].answer : !alike(&t[i], &t[best]))
            continue;
        const char *text = text_of(t[i].reply, "text");
        text += strspn(text, " \n");
        if (strncmp(text, "<think>", 7) == 0) /* the prompt opens it */
            text += 7 + strspn(text + 7, "\n");
        if (p->thought && !filter_thought(prompt, text))
            continue;
        char *id = xprintf("%s-a%lld", text_of(record, "id"), (long long)i);
        json_t *v = json_pack("{s:s, s:s, s:s, s:s, s:s, s:o}", "id", id, "source", "promptcot", "prompt", prompt, "completion", text,
                              "answer", t[best].answer, "provenance", provenance_of(p, record, votes));
        must(v);
        json_array_append_new(s->out, v);
        kept++;
        free(id);
    }
    if (kept == 0)
        step_drop(s, "no_thought");
}

bool step_answer(struct step *s, struct err *e)
{
    const struct promptcot *p = s->p;
    int64_t n = p->answer.samples;
    bool chat = ask_model_chats(&p->models, p->answer_model);
    size_t i;
    const json_t *record;
    s->asks.kind = ASK_TEXT;
    s->asks.sampling = p->answer;
    json_array_foreach(s->in, i, record)
    {
        char *prompt = prompt_of(p, record);
        for (int64_t k = 0; k < n; k++)
            asks_add(&s->asks, chat ? without_frame(prompt) : xstrdup(prompt), NULL, k);
        free(prompt);
    }
    struct taught *t = xcalloc((size_t)n, sizeof *t);
    bool ok = step_ask(s, p->answer_model, "", e);
    json_array_foreach(s->in, i, record)
    {
        char *prompt = ok ? prompt_of(p, record) : NULL;
        for (int64_t k = 0; ok && k < n; k++) {
            ok = (t[k].reply = asks_reply(&s->asks, (int64_t)i * n + k, e)) != NULL;
            if (ok && !json_object_get(t[k].reply, "failed"))
                find_answer(p, &t[k]);
        }
        if (ok)
            take(s, record, prompt, t, n);
        for (int64_t k = 0; k < n; k++) {
            json_decref(t[k].reply);
            free(t[k].answer);
            free(t[k].key);
            t[k] = (struct taught){0};
        }
        free(prompt);
    }
    asks_free(&s->asks);
    free(t);
    return ok;
}
