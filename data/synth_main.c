/* data/synth_main.c - the program synth: a curriculum of arithmetic word problems with worked solutions, or the held-out problems for it. */
#include "core/cli.h"
#include "core/file.h"
#include "core/log.h"
#include "data/synth.h"
#include <stdlib.h>

struct settings {
    int level, kind;
    int64_t count, seed;
    char *output;
    struct conf_strs exclude;
};
static const struct conf_field table[] = {
    {.key = "level",
     .type = CONF_CHOICE,
     .at = offsetof(struct settings, level),
     .choices = synth_level_names,
     .required = true,
     .help = "easy: one or two concepts; hard: three or four, composed of the same"},
    {.key = "kind",
     .type = CONF_CHOICE,
     .at = offsetof(struct settings, kind),
     .choices = synth_kind_names,
     .str_def = "train",
     .help = "train: {\"prompt\",\"completion\",...} for prepare; eval: held-out {\"id\",\"prompt\",\"answer\"} for generate and score"},
    {.key = "count", .type = CONF_INT, .at = offsetof(struct settings, count), .min = 1, .max = 1e9, .required = true, .help = "records"},
    {.key = "seed",
     .type = CONF_INT,
     .at = offsetof(struct settings, seed),
     .def = 1,
     .min = 0,
     .max = 9e15,
     .help = "same seed, same file"},
    {.key = "output", .type = CONF_STR, .at = offsetof(struct settings, output), .required = true, .help = "X.jsonl or X.jsonl.zst"},
    {.key = "exclude",
     .type = CONF_STRS,
     .at = offsetof(struct settings, exclude),
     .help = "a file that synth wrote; its problems are left out"},
    {0}};

static bool exclude(void *seen, json_t *record, int64_t line, struct err *e)
{
    (void)line;
    const char *problem;
    if (!json_get_str(record, "problem", &problem, e))
        return err_in(e, "--exclude takes files that synth wrote, and this record is none");
    json_object_set_new(seen, problem, json_true());
    return true;
}

static json_t *record_of(const struct synth_doc *d, const struct settings *s, int64_t n)
{
    char *id = xprintf("%s-%s-%lld-%lld", synth_level_names[s->level], synth_kind_names[s->kind], (long long)s->seed, (long long)n);
    char answer[16];
    snprintf(answer, sizeof(answer), "%d", d->answer);
    json_t *concepts = json_array();
    for (int i = 0; i < d->n_concepts; i++)
        json_array_append_new(concepts, json_string(d->concepts[i]));
    json_t *r = s->kind == SYNTH_TRAIN ? json_pack("{s:s, s:s, s:s, s:s, s:o, s:s}", "id", id, "prompt", d->prompt, "completion",
                                                   d->completion, "problem", d->problem, "concepts", concepts, "rationale", d->rationale)
                                       : json_pack("{s:s, s:s, s:s, s:s, s:o}", "id", id, "prompt", d->prompt, "answer", answer, "problem",
                                                   d->problem, "concepts", concepts);
    must(r);
    free(id);
    return r;
}

enum { IN_VAIN = 1000 }; /* known problems in a row after which we give up: fewer than one in a hundred is new */

/* Held-out problems are all different; training problems may come back in other words. */
static bool write_records(const struct settings *s, json_t *seen, struct err *e)
{
    struct file_out *out;
    if (!file_out_open(&out, s->output, false, e))
        return false;
    struct progress p;
    progress_start(&p, "synth", "records", (double)s->count);
    bool ok = true;
    int64_t n = 0, in_vain = 0;
    for (uint64_t index = 0; ok && n < s->count; index++) {
        struct synth_doc d;
        synth_make(&d, (enum synth_level)s->level, (enum synth_kind)s->kind, (uint64_t)s->seed, index);
        if (json_object_get(seen, d.problem)) {
            if (++in_vain == IN_VAIN)
                ok = err_set(
                    e,
                    "%s: after %lld of %lld records, %d problems in a row were known already: there are hardly any others; ask for fewer",
                    s->output, (long long)n, (long long)s->count, IN_VAIN);
            continue;
        }
        in_vain = 0;
        if (s->kind == SYNTH_EVAL)
            json_object_set_new(seen, d.problem, json_true());
        json_t *r = record_of(&d, s, n++);
        ok = json_write_line(out, r, e);
        json_decref(r);
        progress_update(&p, (double)n, NULL);
    }
    if (!ok) {
        file_out_abort(out);
        return false;
    }
    progress_end(&p, (double)n, NULL);
    return file_out_commit(out, e);
}

int main(int argc, char **argv)
{
    struct settings s = {0};
    cli_options(&s, table, argc, argv,
                "synth --level easy|hard --count N --output X.jsonl [--kind train|eval] [--seed S] [--exclude Y.jsonl ...]\n"
                "Writes arithmetic word problems. Problems of --kind eval never occur in --kind train, whatever the seeds.");
    struct err e;
    json_t *seen = json_object();
    bool ok = true;
    for (int64_t i = 0; ok && i < s.exclude.n; i++)
        ok = json_each_line(s.exclude.at[i], exclude, seen, &e);
    ok = ok && write_records(&s, seen, &e);
    json_decref(seen);
    int code = ok ? EXIT_OK : cli_fail(argv[0], &e);
    conf_free(&s, table);
    return code;
}
