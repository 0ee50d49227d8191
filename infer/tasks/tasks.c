/* infer/tasks/tasks.c - the table of tasks, and what tasks with a number as their answer share. */
#include "infer/tasks/task.h"
#include <stdlib.h>
#include <string.h>

const struct task *const tasks[] = {
    &task_arithmetic,
    &task_gsm8k,
    &task_aime24,
    &task_aime25,
    &task_math500,
    &task_olympiadbench,
    &task_amc23,
    &task_humaneval,
    &task_humanevalplus,
    &task_mbppplus,
    &task_livecodebench,
    &task_recall,
    NULL,
};

const struct task *task_find(const char *name, struct err *e)
{
    char known[512] = "";
    for (int i = 0; tasks[i]; i++) {
        if (strcmp(tasks[i]->name, name) == 0)
            return tasks[i];
        size_t n = strlen(known);
        snprintf(known + n, sizeof(known) - n, "%s%s", i ? ", " : "", tasks[i]->name);
    }
    err_set(e, "--task: there is no task \"%s\"; there are: %s", name, known);
    return NULL;
}

char *task_own_prompt(const json_t *truth, struct err *e)
{
    const char *text;
    return json_get_str(truth, "prompt", &text, e) ? xstrdup(text) : NULL;
}

bool task_number_gold(const json_t *truth, char **key, struct err *e)
{
    json_t *answer = json_object_get(truth, "answer");
    char *text = NULL;
    if (json_is_integer(answer))
        text = xprintf("%" JSON_INTEGER_FORMAT, json_integer_value(answer));
    else if (json_is_string(answer))
        text = xstrdup(json_string_value(answer));
    else
        return err_set(e, "\"answer\" must be a string (or an integer; a decimal as a string, so that it stays exact), got %s",
                       answer ? json_type_name(answer) : "nothing");
    const char *gold = text;
    for (const char *p = text; (p = strstr(p, "####")); p += 4)
        gold = p + 4;
    struct number v;
    bool ok = number_single(&v, gold);
    if (ok)
        *key = xstrdup(v.canon);
    else
        err_set(e, "\"answer\" must hold a single number%s, got \"%.80s\"", gold == text ? "" : " after ####", gold);
    number_free(&v);
    free(text);
    return ok;
}

void task_number_judge(struct verdict *v, const char *key, const char *text, bool cut, const enum answer_rule *rules)
{
    struct number found;
    const char *how;
    if (!answer_number(&found, text, cut, rules, &how)) {
        v->why = xstrdup(how);
        return;
    }
    v->correct = strcmp(found.canon, key) == 0;
    v->why = v->correct ? xstrdup(how) : xprintf("%s; expected %s", how, key);
    v->extracted = found.text;
    v->key = found.canon;
}
