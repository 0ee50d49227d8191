/* infer/score/score.c - the program score: answers against a truth file under a task; verdicts, metrics with intervals, a page. */
#include "core/cli.h"
#include "core/log.h"
#include "infer/prompts.h"
#include "infer/score/scoring.h"
#include <stdio.h>
#include <string.h>

struct settings {
    char *task, *truth, *answers, *output, *html, *prompts;
    bool sampling;
    int judge;
    bool unsafe;
    int64_t jobs;
    double cpu_seconds;
};
enum { JUDGE_OURS, JUDGE_PAPER };
static const char *const judges[] = {"default", "paper", NULL};
static const struct conf_field table[] = {
    {.key = "task",
     .type = CONF_STR,
     .at = offsetof(struct settings, task),
     .required = true,
     .help = "how to read truth and judge answers"},
    {.key = "truth",
     .type = CONF_STR,
     .at = offsetof(struct settings, truth),
     .help = "{\"id\",\"answer\"} a line; without an id the line number (from 1) is the id"},
    {.key = "answers", .type = CONF_STR, .at = offsetof(struct settings, answers), .help = "what generate wrote"},
    {.key = "output", .type = CONF_STR, .at = offsetof(struct settings, output), .help = "SCORE.json"},
    {.key = "html", .type = CONF_STR, .at = offsetof(struct settings, html), .help = "also a page for people"},
    {.key = "judge",
     .type = CONF_CHOICE,
     .at = offsetof(struct settings, judge),
     .choices = judges,
     .help = "paper: the rules of the paper's released scoring script, to compare with its numbers"},
    {.key = "write_prompts",
     .type = CONF_STR,
     .at = offsetof(struct settings, prompts),
     .help = "instead of scoring, write PROMPTS.jsonl for generate: the truth's problems in the task's template"},
    {.key = "print_sampling",
     .type = CONF_BOOL,
     .at = offsetof(struct settings, sampling),
     .help = "instead of scoring, print the options of generate that the task is sampled with"},
    {.key = "unsafe",
     .type = CONF_BOOL,
     .at = offsetof(struct settings, unsafe),
     .help = "run the programs in answers without a sandbox, where none can be made: they can read your files"},
    {.key = "jobs",
     .type = CONF_INT,
     .at = offsetof(struct settings, jobs),
     .min = 0,
     .max = 4096,
     .help = "programs run at once; 0: one per core"},
    {.key = "cpu_seconds",
     .type = CONF_FLOAT,
     .at = offsetof(struct settings, cpu_seconds),
     .min = 0,
     .max = 86400,
     .help = "CPU time that a program may take; 0: the task's own limit"},
    {0}};

static void say(const json_t *score)
{
    const json_t *counts = json_object_get(score, "counts"), *m = json_object_get(score, "metrics");
    const json_t *accuracy = json_object_get(m, "accuracy"), *frequent = json_object_get(m, "most_frequent_answer");
    char baseline[160] = "";
    if (frequent)
        snprintf(baseline, sizeof(baseline), "; always answering %.60s: %.1f%%", json_string_value(json_object_get(frequent, "answer")),
                 100 * json_number_value(json_object_get(frequent, "value")));
    log_line(
        "score: %s: accuracy %.1f%% (95%%: %.1f to %.1f) over %lld problems, %lld samples, %lld missing, %lld cut off, %lld without an "
        "answer%s",
        json_string_value(json_object_get(score, "task")), 100 * json_number_value(json_object_get(accuracy, "value")),
        100 * json_number_value(json_object_get(accuracy, "low")), 100 * json_number_value(json_object_get(accuracy, "high")),
        (long long)json_integer_value(json_object_get(counts, "problems")),
        (long long)json_integer_value(json_object_get(counts, "samples")),
        (long long)json_integer_value(json_object_get(counts, "missing")),
        (long long)json_integer_value(json_object_get(counts, "truncated")),
        (long long)json_integer_value(json_object_get(counts, "no_answer")), baseline);
}

/* Options for generate on one line; what generate has by default is left out. */
static bool print_sampling(const struct task *task, struct err *e)
{
    const struct sampling *s = &task->sampling;
    if (s->samples == 0)
        return err_set(e, "the task %s has no sampling of its own", task->name);
    printf("--samples %d --max-new-tokens %d --temperature %g", s->samples, s->max_new_tokens, s->temperature);
    if (s->top_p != 0 && s->top_p != 1)
        printf(" --top-p %g", s->top_p);
    if (s->repetition_penalty != 0 && s->repetition_penalty != 1)
        printf(" --repetition-penalty %g", s->repetition_penalty);
    printf("\n");
    return fflush(stdout) == 0 || err_set(e, "standard output cannot be written");
}

static bool score_answers(const struct settings *s, const struct task *task, struct err *e)
{
    struct task judged = *task;
    if (s->judge == JUDGE_PAPER) {
        if (!task->judge_paper)
            return err_set(e, "--judge paper: the paper's script has no rules for the task %s", task->name);
        judged.judge = task->judge_paper;
    }
    struct scoring_options o = {.code = {.unsafe = s->unsafe, .jobs = (int)s->jobs, .cpu_s = s->cpu_seconds}};
    json_t *score = scoring_run(&judged, s->truth, s->answers, &o, e);
    bool ok = score && json_object_set_new(score, "judge", json_string(judges[s->judge])) == 0 && json_write_path(s->output, score, e) &&
              (!s->html || scoring_page(s->html, score, s->answers, e));
    if (ok)
        say(score);
    json_decref(score);
    return ok;
}

int main(int argc, char **argv)
{
    char about[4096] =
        "score --task NAME --truth TRUTH.jsonl --answers ANSWERS.jsonl --output SCORE.json [--html REPORT.html] [--judge paper]\n"
        "score --task NAME --truth TRUTH.jsonl --write-prompts PROMPTS.jsonl\n"
        "score --task NAME --print-sampling\n"
        "Tasks:";
    for (int i = 0; tasks[i]; i++) {
        size_t n = strlen(about);
        snprintf(about + n, sizeof(about) - n, "\n  %-13s %s", tasks[i]->name, tasks[i]->about);
    }
    struct settings s = {0};
    cli_options(&s, table, argc, argv, about);
    struct err e;
    const struct task *task = task_find(s.task, &e);
    if (!task)
        cli_usage(argv[0], &e);
    if (!s.sampling && !s.truth)
        err_set(&e, "--truth is missing");
    else if (!s.sampling && !s.prompts && !(s.answers && s.output))
        err_set(&e, "%s is missing (or --write-prompts, for the prompts of these problems)", s.answers ? "--output" : "--answers");
    else
        e.msg[0] = 0;
    if (e.msg[0])
        cli_usage(argv[0], &e);
    bool ok = s.sampling ? print_sampling(task, &e) : s.prompts ? prompts_write(task, s.truth, s.prompts, &e) : score_answers(&s, task, &e);
    int code = ok ? EXIT_OK : cli_fail(argv[0], &e);
    conf_free(&s, table);
    return code;
}
