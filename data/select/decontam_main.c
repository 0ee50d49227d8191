/* data/select/decontam_main.c - the program decontaminate: the records of a data set without those that copy problems of evaluation sets. */
#include "core/cli.h"
#include "core/file.h"
#include "core/log.h"
#include "data/select/decontam.h"
#include "data/ordered.h"
#include "data/records.h"
#include <stdlib.h>
#include <string.h>

struct options {
    struct conf_strs input;
    char *output, *removed;
    int set, on_bad_line;
    int64_t threads;
    struct decontam_settings settings;
};
static const char *const on_bad_line_names[] = {"error", "skip", NULL};
#define AT(field) .at = offsetof(struct options, field)
static const struct conf_field table[] = {
    {.key = "input",
     .type = CONF_STRS,
     AT(input),
     .help = "records: .jsonl, .jsonl.zst, .jsonl.gz, .parquet, or a folder; may be repeated"},
    {.key = "output", .type = CONF_STR, AT(output), .required = true, .help = "the records that stay, as they are, .jsonl or .jsonl.zst"},
    {.key = "removed",
     .type = CONF_STR,
     AT(removed),
     .required = true,
     .help = "what went and why, .jsonl: id, where, how, set, problem, match or similarity"},
    DECONTAM_FIELDS("", offsetof(struct options, settings)),
    {.key = "set",
     .type = CONF_CHOICE,
     AT(set),
     .choices = import_set_names,
     .str_def = "auto",
     .help = "which published set the input is"},
    {.key = "on_bad_line",
     .type = CONF_CHOICE,
     AT(on_bad_line),
     .choices = on_bad_line_names,
     .str_def = "error",
     .help = "skip: leave out what is no valid record, and count it"},
    {.key = "threads", .type = CONF_INT, AT(threads), .min = 0, .max = 1024, .help = "0: one for each processor; the files are the same"},
    {0}};
#undef AT

enum fate { STAYS, GOES, BAD };
struct found {
    enum fate fate;
    char *line; /* to be written; of a bad record why it is none */
    const char *how;
};
struct batch {
    struct records_batch in;
    struct found *found; /* [in.n] */
    int64_t room;
};
struct work {
    const struct options *o;
    const struct decontam *d;
    struct records *records;
    struct file_out *output, *removed;
    struct progress progress;
    int64_t n, fates[3];
    json_t *hows; /* how -> records that went so */
    bool failed;
    struct err err;
};

static bool read_batch(void *context, void *item)
{
    const struct work *w = context;
    struct batch *b = item;
    if (!records_batch_next(w->records, &b->in))
        return false;
    if (b->room < b->in.n)
        b->found = xrealloc(b->found, (size_t)(b->room = 2 * b->in.n) * sizeof *b->found);
    for (int64_t i = 0; i < b->in.n; i++)
        b->found[i] = (struct found){0}; /* it is freed, too, if the run ends before it is worked on */
    return true;
}

/* What nothing can be compared with would pass as clean. */
static bool has_text(const json_t *record, struct err *e)
{
    bool has = json_is_array(json_object_get(record, "messages"));
    static const char *const keys[] = {"text", "prompt"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        has = has || json_is_string(json_object_get(record, keys[i]));
    return has ||
           err_set(e, "the record has neither \"text\", \"prompt\" nor \"messages\", which are what is compared; name its keys so, or the "
                      "published set that it is of with --set");
}

static void look_at(const struct work *w, const struct record *from, struct decontam_room *room, struct found *f)
{
    struct err e;
    enum import_set set;
    json_t *raw = records_parse(w->records, from, &set, &e), *record = raw ? import_record(set, raw, NULL, &e) : NULL;
    if (record && !has_text(record, &e)) {
        json_decref(record);
        record = NULL;
    }
    json_t *hit = record ? decontam_find(w->d, record, room) : NULL;
    char *where = records_where(w->records, from);
    *f = (struct found){.fate = !record ? BAD : hit ? GOES : STAYS};
    if (!record) {
        f->line = raw ? xprintf("%s: %s", where, e.msg) : xstrdup(e.msg);
    } else if (hit) {
        f->line = decontam_line(raw, where, hit);
        f->how = decontam_how(hit);
    } else {
        f->line = records_are_lines(w->records, from) ? xprintf("%.*s", (int)from->n, (const char *)from->at) : json_line(raw);
    }
    must(f->line);
    json_decref(hit);
    json_decref(record);
    json_decref(raw);
    free(where);
}

static void work_batch(void *context, void *item)
{
    const struct work *w = context;
    struct batch *b = item;
    struct decontam_room room = {0};
    for (int64_t i = 0; i < b->in.n; i++)
        look_at(w, &b->in.record[i], &room, &b->found[i]);
    decontam_room_free(&room);
}

/* False: the record ends the run. */
static bool note_found(struct work *w, struct found *f)
{
    enum { TOLD = 5 };
    w->n++;
    w->fates[f->fate]++;
    if (f->fate == BAD) {
        if (w->o->on_bad_line == 0)
            return err_set(&w->err, "%s (--on-bad-line skip leaves such records out)", f->line);
        if (w->fates[BAD] <= TOLD)
            log_line("decontaminate: skipped %s%s", f->line, w->fates[BAD] == TOLD ? " (further ones are only counted)" : "");
        return true;
    }
    if (f->fate == GOES)
        json_object_set_new(w->hows, f->how, json_integer(json_integer_value(json_object_get(w->hows, f->how)) + 1));
    size_t n = strlen(f->line);
    f->line[n] = '\n'; /* in place of the NUL */
    return file_out_write(f->fate == GOES ? w->removed : w->output, f->line, n + 1, &w->err);
}

static bool write_batch(void *context, void *item)
{
    struct work *w = context;
    struct batch *b = item;
    for (int64_t i = 0; i < b->in.n; i++) {
        w->failed = w->failed || !note_found(w, &b->found[i]);
        free(b->found[i].line);
    }
    b->in.n = 0; /* nothing is left to free */
    if (!w->failed && b->in.err.msg[0]) {
        w->err = b->in.err;
        w->failed = true;
    }
    if (!w->failed && cli_interrupted())
        w->failed = !err_set(&w->err, "interrupted by signal %d; nothing was written", cli_interrupted());
    progress_update(&w->progress, b->in.tell, NULL);
    return !w->failed;
}

static void go_through(struct work *w)
{
    int threads = ordered_threads(w->o->threads), n_items = 2 * threads + 2;
    struct batch *batch = xcalloc((size_t)n_items, sizeof *batch);
    void **items = xcalloc((size_t)n_items, sizeof *items);
    for (int i = 0; i < n_items; i++)
        items[i] = &batch[i];
    progress_start(&w->progress, "decontaminate", "bytes", records_size(w->records));
    struct ordered o = {w, read_batch, work_batch, write_batch, items, n_items, threads};
    ordered_run(&o);
    if (!w->failed)
        progress_end(&w->progress, records_size(w->records), NULL);
    for (int i = 0; i < n_items; i++) {
        for (int64_t k = 0; k < batch[i].in.n; k++)
            free(batch[i].found[k].line);
        free(batch[i].found);
        records_batch_free(&batch[i].in);
    }
    free(batch);
    free(items);
}

static void summary(const struct work *w)
{
    const char *how;
    json_t *n;
    log_line("decontaminate: %s: %lld of %lld records stay, %lld go, %lld are bad", w->o->output, (long long)w->fates[STAYS],
             (long long)w->n, (long long)w->fates[GOES], (long long)w->fates[BAD]);
    json_object_foreach(w->hows, how, n)
    {
        log_line("decontaminate: %s: %lld (%s)", how, (long long)json_integer_value(n), w->o->removed);
    }
}

static bool run(const struct options *o, struct err *e)
{
    struct work w = {.o = o, .hows = json_object()};
    struct decontam *d = NULL;
    struct records_from from = {
        .path = o->input.at, .n_path = o->input.n, .set = (enum import_set)o->set, .columns = (const char *[]){"id", NULL}};
    bool ok = decontam_open(&d, &o->settings, e) && records_open(&w.records, &from, e) && file_out_open(&w.output, o->output, false, e) &&
              file_out_open(&w.removed, o->removed, false, e);
    if (ok) {
        w.d = d;
        log_line("decontaminate: against %lld problems", (long long)decontam_problems(d));
        go_through(&w);
        ok = !w.failed;
        *e = w.err;
    }
    if (ok) { /* the list first: whoever sees the output can see what is missing from it */
        ok = file_out_commit(w.removed, e);
        w.removed = NULL;
    }
    if (ok) {
        ok = file_out_commit(w.output, e);
        w.output = NULL;
    }
    if (ok)
        summary(&w);
    file_out_abort(w.output);
    file_out_abort(w.removed);
    records_close(w.records);
    decontam_close(d);
    json_decref(w.hows);
    return ok;
}

static bool check_usage(const struct options *o, struct err *e)
{
    if (o->input.n == 0 || o->settings.against.n == 0)
        return err_set(e, "--input and --against must be given");
    if (strcmp(o->output, o->removed) == 0)
        return err_set(e, "--output and --removed name the same file %s", o->output);
    for (int64_t i = 0; i < o->input.n; i++)
        if (strcmp(o->output, o->input.at[i]) == 0 || strcmp(o->removed, o->input.at[i]) == 0)
            return err_set(e, "%s is an input and an output", o->input.at[i]);
    return true;
}

int main(int argc, char **argv)
{
    struct options o = {0};
    struct err e;
    cli_options(
        &o, table, argc, argv,
        "usage: decontaminate --input RECORDS --against EVALUATION [--against ...] --output REST.jsonl --removed LIST.jsonl\n"
        "Leaves out records that copy a problem of an evaluation set, word by word or nearly (data/select/decontam.h says how they are\n"
        "found). Lines stay as they are; of Parquet the columns stay that training needs, and id. Options:");
    if (!check_usage(&o, &e))
        cli_usage(argv[0], &e);
    cli_catch_signals();
    bool ok = run(&o, &e);
    conf_free(&o, table);
    return ok ? EXIT_OK : cli_fail(argv[0], &e);
}
