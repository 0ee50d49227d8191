/* infer/prompts.c - see prompts.h. */
#include "infer/prompts.h"
#include "core/file.h"

struct writer {
    const struct task *task;
    struct file_out *out;
};

static bool write_one(void *ctx, json_t *record, int64_t line, struct err *e)
{
    struct writer *w = ctx;
    char *prompt = w->task->prompt(record, e);
    if (!prompt)
        return false;
    json_t *id = json_object_get(record, "id");
    json_t *one = json_pack("{s:o, s:s}", "id", id ? json_incref(id) : json_integer(line), "prompt", prompt);
    free(prompt);
    bool ok = one ? json_write_line(w->out, one, e) : err_set(e, "the problem is no text in UTF-8");
    json_decref(one);
    return ok;
}

bool prompts_write(const struct task *task, const char *truth, const char *path, struct err *e)
{
    if (!task->prompt)
        return err_set(e, "the task %s has no template: its prompts come with its data", task->name);
    struct writer w = {.task = task};
    if (!file_out_open(&w.out, path, false, e))
        return false;
    if (json_each_line(truth, write_one, &w, e))
        return file_out_commit(w.out, e);
    file_out_abort(w.out);
    return false;
}
