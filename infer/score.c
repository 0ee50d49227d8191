/* infer/score.c - the program score: answers against a truth file under a task; verdicts, metrics with intervals, a page. */
#include "core/cli.h"
#include "core/log.h"
#include "infer/scoring.h"
#include <string.h>

struct settings {
    char *task, *truth, *answers, *output, *html;
    bool unsafe;
    int64_t jobs;
    double cpu_seconds;
};
static const struct conf_field table[] = {
    {.key = "task",
     .type = CONF_STR,
     .at = offsetof(struct settings, task),
     .required = true,
     .help = "how to read truth and judge answers"},
    {.key = "truth",
     .type = CONF_STR,
     .at = offsetof(struct settings, truth),
     .required = true,
     .help = "{\"id\",\"answer\"} a line; without an id the line number (from 1) is the id"},
    {.key = "answers", .type = CONF_STR, .at = offsetof(struct settings, answers), .required = true, .help = "what generate wrote"},
    {.key = "output", .type = CONF_STR, .at = offsetof(struct settings, output), .required = true, .help = "SCORE.json"},
    {.key = "html", .type = CONF_STR, .at = offsetof(struct settings, html), .help = "also a page for people"},
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

int main(int argc, char **argv)
{
    char about[2048] = "score --task NAME --truth TRUTH.jsonl --answers ANSWERS.jsonl --output SCORE.json [--html REPORT.html]\nTasks:";
    for (int i = 0; tasks[i]; i++) {
        size_t n = strlen(about);
        snprintf(about + n, sizeof(about) - n, "\n  %-12s %s", tasks[i]->name, tasks[i]->about);
    }
    struct settings s = {0};
    cli_options(&s, table, argc, argv, about);
    struct err e;
    const struct task *task = task_find(s.task, &e);
    struct scoring_options o = {.code = {.unsafe = s.unsafe, .jobs = (int)s.jobs, .cpu_s = s.cpu_seconds}};
    json_t *score = task ? scoring_run(task, s.truth, s.answers, &o, &e) : NULL;
    bool ok = score && json_write_path(s.output, score, &e) && (!s.html || scoring_page(s.html, score, s.answers, &e));
    if (ok)
        say(score);
    json_decref(score);
    int code = ok ? EXIT_OK : cli_fail(argv[0], &e);
    code = task ? code : EXIT_USAGE;
    conf_free(&s, table);
    return code;
}
