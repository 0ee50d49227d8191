/* data/select/select.c - see select.h. */
#include "data/select/select.h"
#include "core/cli.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/log.h"
#include "core/rng.h"
#include "data/chat.h"
#include "data/select/keys.h"
#include "data/lengths.h"
#include "data/ordered.h"
#include "data/records.h"
#include "data/select/statements.h"
#include <stdlib.h>
#include <string.h>

enum { BAD_TOLD = 5, STREAM = 0x5e1ec7 /* of random numbers, beside the source's number */ };
static const uint64_t PLACES = (uint64_t)1 << 48; /* of records in the order in which they are drawn */

/* What the first pass found out about a record, or the second made of it. */
struct found {
    enum reason reason;
    int64_t tokens;
    uint64_t key;
    char *text; /* BAD_RECORD: why; CONTAMINATED: the line that lists it; in the second pass the line to write */
};
struct batch {
    struct records_batch in;
    struct found *found; /* [in.n] */
    int64_t room;
};

struct work {
    const struct mixture *m;
    const struct mixture_source *s;
    int64_t source;
    const struct tokenizer *tok;
    const struct decontam *against; /* NULL: nothing is looked for */
    filter_equal_fn *equal;
    struct records *records;
    struct statements *statements;
    struct progress progress;
    const char **columns; /* that it reads beyond the set's own */
    bool second;          /* pass */

    int64_t in, out[REASONS];
    uint32_t *tokens; /* [in] 0: does not pass */
    int64_t tokens_room;
    uint64_t *place; /* [n_passed] in the order of drawing, of those that pass */
    int64_t n_passed, passed_room;
    uint64_t last_place; /* those up to this one are drawn */
    struct keys keys;

    struct lengths lengths;
    struct file_out *file, *copies; /* of the second pass; of the first: what is contaminated */
    struct hash_stream *hash;
    bool failed;
    struct err err;
};

/* ------------------------------------------------------------------- one record */

static uint64_t place_of(const struct work *w, int64_t number)
{
    return rng_permute((uint64_t)w->m->seed, (uint64_t)STREAM + ((uint64_t)w->source << 32), PLACES, (uint64_t)number);
}

/* What a thread works with. */
struct desk {
    struct document document;
    struct decontam_room room;
};

static enum reason judge_length(const struct mixture_source *s, int64_t tokens)
{
    return tokens < s->min_tokens ? TOO_SHORT : s->max_tokens > 0 && tokens > s->max_tokens ? TOO_LONG : TAKEN;
}

static enum reason judge(const struct work *w, enum import_set set, json_t *raw, struct desk *desk, struct found *f, json_t **copy,
                         struct err *e)
{
    struct document *d = &desk->document;
    statements_fill(w->statements, raw);
    if (!import_has_statement(set, raw))
        return NO_STATEMENT;
    json_t *record = import_record(set, raw, w->s->question, e);
    enum reason reason = BAD_RECORD;
    if (record && (reason = filter_record(w->s, raw, record, w->equal)) == TAKEN) {
        if (!chat_document(d, record, w->tok, (enum chat_template)w->m->chat, tokenizer_vocab(w->tok), e)) {
            reason = BAD_RECORD;
        } else if (w->s->unique != UNIQUE_NONE && !filter_key((enum mixture_unique)w->s->unique, raw, record, &f->key)) {
            err_set(e, "the record has no \"id\", which is to be unique; set unique to record, prompt or none");
            reason = BAD_RECORD;
        } else {
            f->tokens = d->ids.n;
            reason = judge_length(w->s, f->tokens);
            if (reason == TAKEN && w->against && (*copy = decontam_find(w->against, record, &desk->room)))
                reason = CONTAMINATED;
        }
    }
    json_decref(record);
    return reason;
}

/* The first pass. */
static void look_at(const struct work *w, const struct record *from, struct desk *desk, struct found *f)
{
    struct err e = {""};
    enum import_set set;
    json_t *raw = records_parse(w->records, from, &set, &e), *copy = NULL;
    f->reason = raw ? judge(w, set, raw, desk, f, &copy, &e) : BAD_RECORD;
    if (f->reason == BAD_RECORD || f->reason == CONTAMINATED) {
        char *where = records_where(w->records, from);
        f->text = copy ? decontam_line(raw, where, copy) : raw ? xprintf("%s: %s", where, e.msg) : xstrdup(e.msg);
        free(where);
    }
    json_decref(copy);
    json_decref(raw);
}

/* The line of a record that is drawn: prepare's keys, what is kept, where it is from. */
static char *line_of(const struct work *w, const struct record *from, int64_t number)
{
    static const char *const keys[] = {"text", "prompt", "completion", "messages", "tools", "input_ids", "labels"};
    struct err e;
    enum import_set set;
    json_t *raw = records_parse(w->records, from, &set, &e), *record, *out = json_object();
    must(raw);
    statements_fill(w->statements, raw);
    record = import_record(set, raw, w->s->question, &e);
    must(record); /* as in the first pass */
    const json_t *id = json_object_get(raw, "id");
    char *name = json_is_string(id)    ? xstrdup(json_string_value(id))
                 : json_is_integer(id) ? xprintf("%lld", (long long)json_integer_value(id))
                                       : xprintf("%s-%lld", w->s->name, (long long)number);
    json_object_set_new(out, "id", json_string(name));
    json_object_set_new(out, "source", json_string(w->s->name));
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (json_object_get(record, keys[i]))
            json_object_set(out, keys[i], json_object_get(record, keys[i]));
    for (int64_t i = 0; i < w->s->keep.n; i++)
        if (!json_object_get(out, w->s->keep.at[i]) && json_object_get(raw, w->s->keep.at[i]))
            json_object_set(out, w->s->keep.at[i], json_object_get(raw, w->s->keep.at[i]));
    char *line = json_line(out);
    must(line);
    free(name);
    json_decref(out);
    json_decref(record);
    json_decref(raw);
    return line;
}

/* ------------------------------------------------------------------- a pass */

static bool read_batch(void *context, void *item)
{
    const struct work *w = context;
    struct batch *b = item;
    if (!records_batch_next(w->records, &b->in))
        return false;
    if (b->room < b->in.n) {
        b->room = 2 * b->in.n;
        b->found = xrealloc(b->found, (size_t)b->room * sizeof *b->found);
    }
    for (int64_t i = 0; i < b->in.n; i++)
        b->found[i] = (struct found){0};
    return true;
}

static bool drawn(const struct work *w, int64_t number)
{
    return number < w->in && w->tokens[number] > 0 && place_of(w, number) <= w->last_place;
}

static void work_batch(void *context, void *item)
{
    const struct work *w = context;
    struct batch *b = item;
    struct desk desk = {0};
    for (int64_t i = 0; i < b->in.n; i++)
        if (!w->second)
            look_at(w, &b->in.record[i], &desk, &b->found[i]);
        else if (drawn(w, b->in.first + i))
            b->found[i].text = line_of(w, &b->in.record[i], b->in.first + i + 1);
    document_free(&desk.document);
    decontam_room_free(&desk.room);
}

static void remember(struct work *w, int64_t tokens)
{
    if (w->in == w->tokens_room)
        w->tokens = xrealloc(w->tokens, (size_t)(w->tokens_room = 2 * w->tokens_room + 4096) * sizeof *w->tokens);
    w->tokens[w->in] = (uint32_t)tokens;
    if (tokens == 0)
        return;
    if (w->n_passed == w->passed_room)
        w->place = xrealloc(w->place, (size_t)(w->passed_room = 2 * w->passed_room + 4096) * sizeof *w->place);
    w->place[w->n_passed++] = place_of(w, w->in);
}

/* The text gets a newline in place of its NUL. */
static bool write_line(struct file_out *to, char *text, struct err *e)
{
    size_t n = strlen(text);
    text[n] = '\n';
    return file_out_write(to, text, n + 1, e);
}

/* False: the record ends the run. */
static bool note_found(struct work *w, struct found *f)
{
    if (f->reason == TAKEN && w->s->unique != UNIQUE_NONE && !keys_add(&w->keys, f->key))
        f->reason = DUPLICATE;
    w->out[f->reason]++;
    if (f->reason == BAD_RECORD) {
        if (w->m->on_bad_line == 0)
            return err_set(&w->err, "%s (--on-bad-line skip leaves such records out)", f->text);
        if (w->out[BAD_RECORD] <= BAD_TOLD)
            log_line("select: skipped %s%s", f->text, w->out[BAD_RECORD] == BAD_TOLD ? " (further ones are only counted)" : "");
    }
    if (f->reason == CONTAMINATED && !write_line(w->copies, f->text, &w->err))
        return false;
    if (f->tokens > UINT32_MAX)
        return err_set(&w->err, "%s: a document of %lld tokens is longer than can be counted; set max_tokens", w->s->name,
                       (long long)f->tokens);
    remember(w, f->reason == TAKEN ? f->tokens : 0);
    w->in++;
    return true;
}

static bool write_found(struct work *w, const struct found *f, int64_t number)
{
    if (!f->text)
        return true;
    size_t n = strlen(f->text);
    lengths_add(&w->lengths, w->tokens[number]);
    hash_add(w->hash, f->text, n);
    hash_add(w->hash, "\n", 1);
    return write_line(w->file, f->text, &w->err);
}

static bool write_batch(void *context, void *item)
{
    struct work *w = context;
    struct batch *b = item;
    for (int64_t i = 0; i < b->in.n; i++) {
        if (!w->failed)
            w->failed = !(w->second ? write_found(w, &b->found[i], b->in.first + i) : note_found(w, &b->found[i]));
        free(b->found[i].text);
        b->found[i].text = NULL;
    }
    if (!w->failed && b->in.err.msg[0]) {
        w->err = b->in.err;
        w->failed = true;
    }
    if (!w->failed && cli_interrupted())
        w->failed = !err_set(&w->err, "interrupted; %s.jsonl.zst was not written", w->s->name);
    progress_update(&w->progress, b->in.tell, NULL);
    return !w->failed;
}

static bool open_records(struct work *w, struct err *e)
{
    char *path = mixture_path(w->m, w->s->path);
    struct records_from from = {&path, 1, w->s->match, (enum import_set)w->s->set, w->columns};
    bool ok = records_open(&w->records, &from, e);
    free(path);
    return ok;
}

/* All records of the source through the three functions above. */
static bool pass(struct work *w, const char *what)
{
    if (!open_records(w, &w->err))
        return false;
    int threads = ordered_threads(w->m->threads), n_items = 2 * threads + 2;
    struct batch *batch = xcalloc((size_t)n_items, sizeof *batch);
    void **items = xcalloc((size_t)n_items, sizeof *items);
    for (int i = 0; i < n_items; i++)
        items[i] = &batch[i];
    char *title = xprintf("select: %s, %s", w->s->name, what);
    progress_start(&w->progress, title, "bytes", records_size(w->records));
    struct ordered o = {w, read_batch, work_batch, write_batch, items, n_items, threads};
    ordered_run(&o);
    if (!w->failed)
        progress_end(&w->progress, records_size(w->records), NULL);
    for (int i = 0; i < n_items; i++) {
        for (int64_t k = 0; batch[i].found && k < batch[i].in.n; k++)
            free(batch[i].found[k].text);
        free(batch[i].found);
        records_batch_free(&batch[i].in);
    }
    free(title);
    free(batch);
    free(items);
    return !w->failed;
}

/* ------------------------------------------------------------------- the whole */

static int by_place(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The sample is those that come first in the order of drawing. */
static void draw(struct work *w)
{
    int64_t want = w->s->records > 0 && w->s->records < w->n_passed ? w->s->records : w->n_passed;
    if (w->n_passed > 0)
        qsort(w->place, (size_t)w->n_passed, sizeof *w->place, by_place);
    w->last_place = want > 0 ? w->place[want - 1] : 0;
    w->out[NOT_DRAWN] = w->n_passed - want;
    w->out[TAKEN] = want;
    free(w->place);
    w->place = NULL;
}

/* Names, sizes and digests of the files that were read. */
static bool describe_inputs(const struct work *w, json_t *to, struct err *e)
{
    for (int i = 0; i < records_files(w->records); i++) {
        char hex[HASH_XXH3_HEX];
        const char *path = records_file(w->records, i);
        if (!hash_xxh3_file(path, hex, e))
            return false;
        json_array_append_new(to, json_pack("{s:s, s:I, s:s}", "path", path, "bytes", (json_int_t)file_size(path), "xxh3", hex));
    }
    return true;
}

static json_t *describe(struct work *w, const json_t *inputs)
{
    char hex[HASH_XXH3_HEX], *name = xprintf("%s.jsonl.zst", w->s->name);
    hash_hex(w->hash, hex);
    json_t *left_out = json_object();
    for (int r = TAKEN + 1; r < REASONS; r++)
        json_object_set_new(left_out, reason_names[r], json_integer(w->out[r]));
    json_t *v = json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:o, s:o, s:O}", "name", w->s->name, "file", name, "xxh3", hex, "records_in",
                          (json_int_t)w->in, "records_out", (json_int_t)w->out[TAKEN], "records_wanted", (json_int_t)w->s->records,
                          "left_out", left_out, "tokens", lengths_json(&w->lengths), "inputs", inputs);
    must(v);
    free(name);
    return v;
}

static bool select_both(struct work *w, const char *path, json_t *inputs, struct err *e)
{
    char *copies = xprintf("%s/%s.contaminated.jsonl", w->m->output, w->s->name);
    bool ok = (!w->against || file_out_open(&w->copies, copies, false, &w->err)) && pass(w, "reading");
    free(copies);
    if (ok && w->n_passed == 0)
        ok = err_set(&w->err,
                     "%s: no record is taken: of %lld, %lld are bad, %lld lack the statement, where leaves out %lld, thought %lld, "
                     "answer %lld, language %lld, the lengths %lld; %lld are contaminated",
                     w->s->name, (long long)w->in, (long long)w->out[BAD_RECORD], (long long)w->out[NO_STATEMENT],
                     (long long)w->out[WRONG_COLUMN], (long long)w->out[NO_THOUGHT], (long long)w->out[NO_ANSWER],
                     (long long)w->out[OTHER_LANGUAGE], (long long)(w->out[TOO_SHORT] + w->out[TOO_LONG]), (long long)w->out[CONTAMINATED]);
    if (ok) {
        draw(w);
        ok = describe_inputs(w, inputs, &w->err);
    }
    records_close(w->records);
    w->records = NULL;
    w->second = true;
    ok = ok && file_out_open(&w->file, path, false, &w->err) && pass(w, "writing");
    if (ok && w->copies) {
        ok = file_out_commit(w->copies, &w->err);
        w->copies = NULL;
    }
    if (ok) {
        ok = file_out_commit(w->file, &w->err);
        w->file = NULL;
    }
    *e = w->err;
    return ok;
}

/* The columns beyond the set's own that the source's settings speak of. */
static const char **extra_columns(const struct mixture_source *s)
{
    static const char *const where_it_is[] = {"dataset", "split", "index"};
    const char **columns = xcalloc((size_t)(s->where.n + s->keep.n) + 6, sizeof *columns);
    int64_t n = 0;
    columns[n++] = "id";
    for (int i = 0; i < 3 && s->statements.n > 0; i++)
        columns[n++] = where_it_is[i];
    if (s->answer == ANSWER_EXPECTED)
        columns[n++] = "expected_answer";
    for (int64_t i = 0; i < s->where.n; i++)
        columns[n++] = ((const struct mixture_where *)s->where.at)[i].column;
    for (int64_t i = 0; i < s->keep.n; i++)
        columns[n++] = s->keep.at[i];
    return columns;
}

bool select_check(const struct mixture *m, int64_t source, struct err *e)
{
    const struct mixture_source *s = (const struct mixture_source *)m->sources.at + source;
    struct work w = {.m = m, .s = s, .columns = extra_columns(s)};
    bool ok = open_records(&w, e);
    for (int64_t i = 0; ok && i < s->statements.n; i++) {
        char *path = mixture_path(m, ((const struct mixture_statements *)s->statements.at)[i].path);
        ok =
            file_exists(path) || err_set(e, "%s: there is no such file or folder, which source %s needs for its statements", path, s->name);
        free(path);
    }
    records_close(w.records);
    free(w.columns);
    return ok;
}

bool select_source(const struct mixture *m, int64_t source, const struct tokenizer *tok, const struct decontam *against,
                   filter_equal_fn *equal, json_t **manifest, struct err *e)
{
    const struct mixture_source *s = (const struct mixture_source *)m->sources.at + source;
    struct work w = {
        .m = m, .s = s, .source = source, .tok = tok, .against = against, .equal = equal, .columns = extra_columns(s), .hash = hash_open()};
    json_t *inputs = json_array();
    char *path = xprintf("%s/%s.jsonl.zst", m->output, s->name);
    bool ok = statements_open(&w.statements, m, s, e) && select_both(&w, path, inputs, e);
    if (ok) {
        *manifest = describe(&w, inputs);
        log_line("select: %s: %lld of %lld records, %lld tokens%s", path, (long long)w.out[TAKEN], (long long)w.in,
                 (long long)w.lengths.tokens, w.out[TAKEN] < s->records ? "; fewer pass than are wanted" : "");
    }
    file_out_abort(w.file);
    file_out_abort(w.copies);
    hash_close(w.hash);
    records_close(w.records);
    statements_close(w.statements);
    lengths_free(&w.lengths);
    json_decref(inputs);
    free(w.columns);
    free(w.tokens);
    free(w.place);
    keys_free(&w.keys);
    free(path);
    return ok;
}
