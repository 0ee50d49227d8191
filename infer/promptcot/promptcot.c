/* infer/promptcot/promptcot.c - goes through the steps of a job, and what steps share. See promptcot.h. */
#include "infer/promptcot/promptcot.h"
#include "core/file.h"
#include "core/log.h"
#include <stdlib.h>
#include <string.h>

struct plan {
    const char *name, *output; /* output: the file NAME.jsonl in the folder */
    bool (*run)(struct step *s, struct err *e);
};
static const struct plan synthesis[] = {{"combine", "combinations", step_combine},
                                        {"rationale", "rationales", step_rationale},
                                        {"problem", "problems", step_problem},
                                        {"judge", "judged", step_judge},
                                        {"reward", "rewarded", step_reward},
                                        {"answer", "records", step_answer},
                                        {NULL, NULL, NULL}};
static const struct plan expectation[] = {
    {"posterior", "posteriors", step_posterior}, {"lesson", "lessons", step_lesson}, {NULL, NULL, NULL}};
static const struct plan triples[] = {{"triple", "triples", step_triple}, {NULL, NULL, NULL}};
static const struct plan *const jobs[] = {synthesis, expectation, triples};

/* ------------------------------------------------------------------- what steps share */

void step_drop(struct step *s, const char *reason)
{
    json_object_set_new(s->dropped, reason, json_integer(json_integer_value(json_object_get(s->dropped, reason)) + 1));
}

bool step_ask(struct step *s, const char *model, const char *suffix, struct err *e)
{
    struct ask_model *m = ask_model_find(&s->p->models, model, e);
    char *name = xprintf("%s%s", s->name, suffix), *path = xprintf("%s/%s.replies.jsonl", s->p->work, name);
    s->asks.step = name;
    s->asks.work = s->p->work;
    s->asks.model = m;
    s->asks.seed = s->p->seed;
    replies_close(s->asks.replies);
    s->asks.replies = NULL;
    bool ok = m && replies_open(&s->asks.replies, path, e) && asks_run(&s->asks, e);
    if (ok) {
        const struct ask_totals *t = &s->asks.totals;
        const json_t *before = json_object_get(s->models, model); /* of another list of requests in this step */
        json_t *v = json_pack("{s:I, s:I, s:f, s:f, s:f}", "requests",
                              (json_int_t)s->asks.n + json_integer_value(json_object_get(before, "requests")), "failed",
                              (json_int_t)t->failed + json_integer_value(json_object_get(before, "failed")), "tokens_in",
                              t->in + json_number_value(json_object_get(before, "tokens_in")), "tokens_out",
                              t->out + json_number_value(json_object_get(before, "tokens_out")), "cost",
                              ask_cost(m, t) + json_number_value(json_object_get(before, "cost")));
        json_object_set_new(s->models, model, v);
    }
    free(name);
    free(path);
    return ok;
}

const char *step_text(struct step *s, int64_t i, json_t **reply, bool *stopped, bool *broken, struct err *e)
{
    *reply = asks_reply(&s->asks, i, e);
    *broken = *reply == NULL;
    const char *finish = json_string_value(json_object_get(*reply, "finish")), *text = json_string_value(json_object_get(*reply, "text"));
    *stopped = finish && strcmp(finish, "stop") == 0;
    if (*reply && !text)
        step_drop(s, "failed");
    return text;
}

/* ------------------------------------------------------------------- the steps of a job */

static bool write_all(struct file_out *f, const json_t *records, struct err *e)
{
    size_t i;
    const json_t *v;
    bool ok = true;
    json_array_foreach(records, i, v)
    {
        ok = ok && json_write_line(f, v, e);
    }
    return ok;
}

bool step_write(const json_t *records, const char *path, struct err *e)
{
    struct file_out *f;
    if (!file_out_open(&f, path, false, e))
        return false;
    if (write_all(f, records, e))
        return file_out_commit(f, e);
    file_out_abort(f);
    return false;
}

static bool write_out(struct step *s, struct err *e)
{
    s->written += (int64_t)json_array_size(s->out);
    return (s->file || file_out_open(&s->file, s->path, false, e)) && write_all(s->file, s->out, e);
}

bool step_flush(struct step *s, struct err *e)
{
    bool ok = write_out(s, e);
    json_array_clear(s->out);
    return ok;
}

/* *records: what the step before wrote; replaced by what this one does. */
static bool run_step(const struct promptcot *p, const struct plan *plan, json_t **records, json_t *report, struct err *e)
{
    char *path = xprintf("%s/%s.jsonl", p->work, plan->output);
    struct step s = {
        .p = p, .name = plan->name, .in = *records, .out = json_array(), .path = path, .dropped = json_object(), .models = json_object()};
    bool ok = plan->run(&s, e) && write_out(&s, e);
    replies_close(s.asks.replies);
    if (ok)
        ok = file_out_commit(s.file, e);
    else
        file_out_abort(s.file);
    size_t in = json_array_size(s.in);
    if (ok) {
        char *why = json_object_size(s.dropped) ? json_dumps(s.dropped, 0) : xstrdup("");
        log_line("promptcot: %s: %zu records in, %lld out: %s%s%s", plan->name, in, (long long)s.written, path, *why ? "; dropped " : "",
                 why);
        free(why);
        json_array_append_new(report, json_pack("{s:s, s:I, s:I, s:O, s:O}", "step", plan->name, "in", (json_int_t)in, "out",
                                                (json_int_t)s.written, "dropped", s.dropped, "models", s.models));
    }
    if (ok && s.written == 0)
        ok = err_set(e, "%s: no record is left; %s says why the others went", plan->name, path);
    free(path);
    json_decref(s.in);
    json_decref(s.dropped);
    json_decref(s.models);
    *records = s.out;
    return ok;
}

/* What the judged and rewarded records come to, for whoever compares two runs. */
static void add_mean_reward(json_t *report, const json_t *records)
{
    double sum = 0, n = 0;
    size_t i;
    const json_t *v;
    json_array_foreach(records, i, v)
    {
        const json_t *reward = json_object_get(v, "reward");
        sum += json_number_value(json_object_get(reward, "sum"));
        n += reward != NULL;
    }
    if (n > 0)
        json_object_set_new(report, "mean_reward", json_real(sum / n));
}

/* With what the records of this folder were made: as given and by default. Keys of endpoints are not in it. */
static bool write_settings(const struct promptcot *p, struct err *e)
{
    char *path = xprintf("%s/settings.json", p->work);
    bool ok = conf_write(path, p, promptcot_table, e);
    free(path);
    return ok;
}

bool promptcot_run(const struct promptcot *p, struct err *e)
{
    const struct plan *job = jobs[p->job];
    json_t *records = NULL, *steps = json_array(), *report = json_pack("{s:s, s:O}", "job", promptcot_job_names[p->job], "steps", steps);
    char *path = xprintf("%s/report.json", p->work);
    bool ok = promptcot_check(p, e), found = !p->until;
    for (const struct plan *s = job; s->name; s++)
        found = found || strcmp(s->name, p->until) == 0;
    if (ok && !found)
        ok = err_set(e, "until: the job %s has no step \"%.40s\"", promptcot_job_names[p->job], p->until);
    ok = ok && file_mkdirs(p->work, e) && write_settings(p, e);
    for (const struct plan *s = job; ok && s->name; s++) {
        ok = run_step(p, s, &records, steps, e);
        add_mean_reward(report, records);
        if (p->until && strcmp(s->name, p->until) == 0)
            break;
    }
    ok = ok && json_write_path(path, report, e);
    json_decref(records);
    json_decref(steps);
    json_decref(report);
    free(path);
    return ok;
}
