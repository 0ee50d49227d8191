/* data/prepare.c - the program prepare: records of text in JSONL or Parquet to a .tok file of token ids and a mask of what is learnt.
 *
 * Records are read in batches, tokenised by several threads and written in order (data/ordered.h): the output does not depend on the
 * number of threads, and the memory is that of the batches on their way.
 */
#include "core/cli.h"
#include "core/file.h"
#include "core/log.h"
#include "data/chat.h"
#include "data/data_report.h"
#include "data/lengths.h"
#include "data/ordered.h"
#include "data/records.h"
#include "data/show.h"
#include "data/tokfile.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum overlong { OVERLONG_DROP, OVERLONG_TRUNCATE, OVERLONG_ERROR };
static const char *const overlong_names[] = {"drop", "truncate", "error", NULL};
enum on_bad_line { BAD_ERROR, BAD_SKIP };
static const char *const on_bad_line_names[] = {"error", "skip", NULL};

struct settings {
    char *tokenizer, *output, *dump_ids, *show, *report;
    struct conf_strs input;
    int chat, set, overlong, on_bad_line;
    int64_t max_tokens, threads;
};
#define AT(field) .at = offsetof(struct settings, field)
static const struct conf_field table[] = {
    {.key = "tokenizer",
     .type = CONF_STR,
     AT(tokenizer),
     .help = "a SentencePiece model, a folder that holds one, or \"byte\"; not needed when every record has input_ids"},
    {.key = "input",
     .type = CONF_STRS,
     AT(input),
     .help = "a .jsonl, .jsonl.zst, .jsonl.gz or .parquet file, or a folder of them; may be repeated"},
    {.key = "output", .type = CONF_STR, AT(output), .help = "X.tok"},
    {.key = "template",
     .type = CONF_CHOICE,
     AT(chat),
     .choices = chat_template_names,
     .str_def = "plain",
     .help = "how records with messages are written out"},
    {.key = "set",
     .type = CONF_CHOICE,
     AT(set),
     .choices = import_set_names,
     .str_def = "auto",
     .help = "the published set that the input is of; auto: by its keys or columns"},
    {.key = "max_tokens", .type = CONF_INT, AT(max_tokens), .min = 0, .max = 1e12, .help = "longest document; 0: no limit"},
    {.key = "overlong",
     .type = CONF_CHOICE,
     AT(overlong),
     .choices = overlong_names,
     .str_def = "drop",
     .help = "what to do with documents of more than max_tokens; truncate cuts their end off"},
    {.key = "on_bad_line",
     .type = CONF_CHOICE,
     AT(on_bad_line),
     .choices = on_bad_line_names,
     .str_def = "error",
     .help = "skip: leave out lines that are no valid record, and count them"},
    {.key = "threads", .type = CONF_INT, AT(threads), .min = 0, .max = 1024, .help = "threads that tokenise; 0: one for each processor"},
    {.key = "dump_ids", .type = CONF_STR, AT(dump_ids), .help = "also write {\"input_ids\", \"labels\"} of every document to this file"},
    {.key = "show", .type = CONF_STR, AT(show), .help = "print the first N documents of this .tok file: --show X.tok N"},
    {.key = "report", .type = CONF_STR, AT(report), .help = "write a page about .tok files: --report REPORT.html X.tok [Y.tok ...]"},
    {0}};

enum outcome { DOCUMENT, OVERLONG, BAD };
struct line { /* what became of a record */
    enum outcome outcome;
    bool cut;
    int64_t tokens; /* DOCUMENT: of it, one after the other in the batch's ids; OVERLONG: it would have */
    char *why;      /* BAD */
};
struct batch {
    struct records_batch in;
    struct line *line; /* [in.n] */
    int64_t line_room;
    struct ids ids; /* of all documents */
    uint8_t *learnt;
    int64_t learnt_room;
};
enum { BAD_LINES_TOLD = 5 };

struct job {
    const struct settings *s;
    const struct tokenizer *tok;
    int32_t vocab; /* 0: unknown */
    /* reading */
    struct records *records;
    /* writing */
    struct tokfile_out *out;
    struct file_out *dump;
    struct progress progress;
    int64_t docs, tokens, learnt, overlong, cut, bad, unlearnt;
    struct lengths lengths;
    bool failed;
    struct err err;
};

/* ------------------------------------------------------------------- reading */

static bool read_batch(void *context, void *item)
{
    const struct job *j = context;
    struct batch *b = item;
    if (!records_batch_next(j->records, &b->in))
        return false;
    if (b->line_room < b->in.n) {
        b->line_room = 2 * b->in.n;
        b->line = xrealloc(b->line, (size_t)b->line_room * sizeof *b->line);
    }
    if (b->in.n > 0)
        memset(b->line, 0, (size_t)b->in.n * sizeof *b->line);
    return true;
}

/* ------------------------------------------------------------------- working */

/* The record to d; false: why not. */
static bool record_document(const struct job *j, const struct record *from, struct document *d, struct err *e)
{
    enum import_set set;
    json_t *raw = records_parse(j->records, from, &set, e), *record = NULL;
    bool ok =
        raw && (record = import_record(set, raw, NULL, e)) && chat_document(d, record, j->tok, (enum chat_template)j->s->chat, j->vocab, e);
    if (raw && !ok) {
        char *where = records_where(j->records, from);
        err_in(e, "%s", where);
        free(where);
    }
    json_decref(record);
    json_decref(raw);
    return ok;
}

static void keep(struct batch *b, const struct document *d)
{
    ids_append(&b->ids, d->ids.at, d->ids.n);
    if (b->learnt_room < b->ids.room) {
        b->learnt_room = b->ids.room;
        b->learnt = xrealloc(b->learnt, (size_t)b->learnt_room);
    }
    memcpy(b->learnt + b->ids.n - d->ids.n, d->learnt, (size_t)d->ids.n);
}

static void work_batch(void *context, void *item)
{
    const struct job *j = context;
    struct batch *b = item;
    struct document d = {0};
    struct err e;
    b->ids.n = 0;
    for (struct line *l = b->line; l < b->line + b->in.n; l++) {
        if (!record_document(j, &b->in.record[l - b->line], &d, &e)) {
            l->outcome = BAD;
            l->why = xstrdup(e.msg);
            continue;
        }
        l->tokens = d.ids.n;
        bool overlong = j->s->max_tokens > 0 && d.ids.n > j->s->max_tokens;
        l->cut = overlong && j->s->overlong == OVERLONG_TRUNCATE;
        l->outcome = overlong && !l->cut ? OVERLONG : DOCUMENT;
        if (l->cut) {
            document_cut(&d, j->s->max_tokens);
            l->tokens = d.ids.n;
        }
        if (l->outcome == DOCUMENT)
            keep(b, &d);
    }
    document_free(&d);
}

/* ------------------------------------------------------------------- writing */

static bool dump_document(struct job *j, const int32_t *ids, const uint8_t *learnt, int64_t n)
{
    json_t *input_ids = json_array(), *labels = json_array();
    for (int64_t i = 0; i < n; i++) {
        json_array_append_new(input_ids, json_integer(ids[i]));
        json_array_append_new(labels, json_integer(learnt[i] ? ids[i] : -100));
    }
    json_t *record = json_pack("{s:o, s:o}", "input_ids", input_ids, "labels", labels);
    bool ok = json_write_line(j->dump, record, &j->err);
    json_decref(record);
    return ok;
}

static bool write_document(struct job *j, const int32_t *ids, const uint8_t *learnt, const struct line *l)
{
    int64_t targets = 0; /* nothing predicts the first token */
    for (int64_t i = 1; i < l->tokens; i++)
        targets += learnt[i];
    j->docs++;
    j->tokens += l->tokens;
    j->learnt += targets;
    j->unlearnt += targets == 0;
    j->cut += l->cut;
    lengths_add(&j->lengths, l->tokens);
    return tokfile_out_add(j->out, ids, learnt, l->tokens, &j->err) && (!j->dump || dump_document(j, ids, learnt, l->tokens));
}

/* False: the line ends the run, and err says why. */
static bool write_line(struct job *j, const struct batch *b, const struct line *l, int64_t at)
{
    char *where;
    switch (l->outcome) {
    case DOCUMENT:
        return write_document(j, b->ids.at + at, b->learnt + at, l);
    case OVERLONG:
        j->overlong++;
        if (j->s->overlong == OVERLONG_DROP)
            return true;
        where = records_where(j->records, &b->in.record[l - b->line]);
        err_set(&j->err, "%s: the document has %lld tokens, more than --max-tokens %lld; raise it, or --overlong drop or truncate", where,
                (long long)l->tokens, (long long)j->s->max_tokens);
        free(where);
        return false;
    case BAD:
        j->bad++;
        if (j->s->on_bad_line == BAD_ERROR)
            return err_set(&j->err, "%s (--on-bad-line skip leaves such lines out)", l->why);
        if (j->bad <= BAD_LINES_TOLD)
            log_line("prepare: skipped %s%s", l->why, j->bad == BAD_LINES_TOLD ? " (further ones are only counted)" : "");
        return true;
    }
    return false;
}

static bool write_batch(void *context, void *item)
{
    struct job *j = context;
    struct batch *b = item;
    int64_t at = 0;
    for (struct line *l = b->line; l < b->line + b->in.n; l++) {
        if (!j->failed)
            j->failed = !write_line(j, b, l, at);
        at += l->outcome == DOCUMENT ? l->tokens : 0;
        free(l->why);
        l->why = NULL;
    }
    if (!j->failed && b->in.err.msg[0]) {
        j->err = b->in.err;
        j->failed = true;
    }
    if (!j->failed && cli_interrupted())
        j->failed = !err_set(&j->err, "interrupted by signal %d; nothing was written", cli_interrupted());
    if (j->failed)
        return false;
    char extra[96];
    double seconds = log_now() - j->progress.t0;
    snprintf(extra, sizeof extra, "%lld documents, %.3g M tokens, %.3g M/s", (long long)j->docs, (double)j->tokens / 1e6,
             seconds > 0 ? (double)j->tokens / 1e6 / seconds : 0);
    progress_update(&j->progress, b->in.tell, extra);
    return true;
}

/* ------------------------------------------------------------------- the whole */

static void report(const struct job *j, const char *digest)
{
    const struct lengths *l = &j->lengths;
    log_line("prepare: %s: %lld documents, %lld tokens, %lld learnt (%.1f%%)", j->s->output, (long long)j->docs, (long long)j->tokens,
             (long long)j->learnt, 100.0 * (double)j->learnt / (double)j->tokens);
    log_line("prepare: tokens a document: shortest %lld, half up to %lld, 90%% %lld, 99%% %lld, longest %lld", (long long)lengths_at(l, 0),
             (long long)lengths_at(l, 0.5), (long long)lengths_at(l, 0.9), (long long)lengths_at(l, 0.99), (long long)lengths_at(l, 1));
    if (j->overlong)
        log_line("prepare: dropped %lld documents of more than %lld tokens", (long long)j->overlong, (long long)j->s->max_tokens);
    if (j->cut)
        log_line("prepare: cut %lld documents to %lld tokens", (long long)j->cut, (long long)j->s->max_tokens);
    if (j->bad)
        log_line("prepare: skipped %lld bad lines", (long long)j->bad);
    if (j->unlearnt)
        log_line("prepare: %lld documents have no learnt token; training leaves them out", (long long)j->unlearnt);
    log_line("prepare: digest %s", digest);
}

static bool no_documents(const struct job *j, struct err *e)
{
    const char *first = j->s->input.at[0];
    long long others = (long long)j->s->input.n - 1;
    if (j->bad || j->overlong)
        return err_set(e, "no documents: %lld bad lines were skipped, %lld documents dropped as longer than %lld tokens", (long long)j->bad,
                       (long long)j->overlong, (long long)j->s->max_tokens);
    return err_set(e, "no documents in %s%s, which %s no records; expected lines of JSON or rows of Parquet", first,
                   others ? " and the other input files" : "", others ? "have" : "has");
}

static bool run(struct job *j, int threads)
{
    int n_items = 2 * threads + 2;
    struct batch *batch = xcalloc((size_t)n_items, sizeof *batch);
    void **items = xcalloc((size_t)n_items, sizeof *items);
    for (int i = 0; i < n_items; i++)
        items[i] = &batch[i];
    progress_start(&j->progress, "prepare", "bytes", records_size(j->records));
    struct ordered o = {j, read_batch, work_batch, write_batch, items, n_items, threads};
    ordered_run(&o);
    for (int i = 0; i < n_items; i++) {
        for (int64_t k = 0; batch[i].line && k < batch[i].in.n; k++)
            free(batch[i].line[k].why);
        records_batch_free(&batch[i].in);
        free(batch[i].line);
        ids_free(&batch[i].ids);
        free(batch[i].learnt);
    }
    free(batch);
    free(items);
    return !j->failed && (j->docs > 0 || no_documents(j, &j->err));
}

static bool prepare(const struct settings *s, struct err *e)
{
    struct job j = {.s = s};
    struct tokenizer *tok = NULL;
    struct records_from from = {.path = s->input.at, .n_path = s->input.n, .set = (enum import_set)s->set};
    if (!records_open(&j.records, &from, e))
        return false;
    if (s->tokenizer && !tokenizer_open(&tok, s->tokenizer, e)) {
        records_close(j.records);
        return false;
    }
    j.tok = tok;
    j.vocab = tok ? tokenizer_vocab(tok) : 0;
    char digest[HASH_XXH3_HEX];
    bool ok = tokfile_out_open(&j.out, s->output, tok ? tokenizer_digest(tok) : "", tok ? j.vocab : INT32_MAX, e) &&
              (!s->dump_ids || file_out_open(&j.dump, s->dump_ids, false, e));
    if (ok) {
        ok = run(&j, ordered_threads(s->threads));
        *e = j.err;
    }
    if (ok)
        progress_end(&j.progress, records_size(j.records), NULL);
    if (ok && j.dump) {
        ok = file_out_commit(j.dump, e);
        j.dump = NULL;
    }
    if (ok) {
        ok = tokfile_out_commit(j.out, digest, e);
        j.out = NULL;
    }
    if (ok)
        report(&j, digest);
    if (j.out)
        tokfile_out_abort(j.out);
    file_out_abort(j.dump);
    tokenizer_close(tok);
    lengths_free(&j.lengths);
    records_close(j.records);
    return ok;
}

static bool check_usage(const struct settings *s, int n_words, const char *const *words, int64_t *n_shown, struct err *e)
{
    if (s->show) {
        char *end = NULL;
        *n_shown = n_words == 1 ? strtoll(words[0], &end, 10) : -1;
        if (!end || *end || *n_shown < 1)
            return err_set(e, "--show X.tok N: N must be the number of documents to print, got %s", n_words ? words[0] : "nothing");
        if (s->input.n || s->output || s->report)
            return err_set(e, "--show prints a file that was prepared before; it goes with --tokenizer only");
        return true;
    }
    if (s->report) {
        if (n_words == 0)
            return err_set(e, "--report REPORT.html X.tok [Y.tok ...]: the files that it is about are missing");
        if (s->input.n || s->output)
            return err_set(e, "--report is about files that were prepared before; it goes with --tokenizer only");
        return true;
    }
    if (n_words)
        return err_set(e, "\"%s\" is no option; every setting is given as --key VALUE", words[0]);
    if (s->input.n == 0)
        return err_set(e, "--input A.jsonl is missing");
    if (!s->output)
        return err_set(e, "--output X.tok is missing");
    for (int64_t i = 0; i < s->input.n; i++)
        if (strcmp(s->output, s->input.at[i]) == 0 || (s->dump_ids && strcmp(s->dump_ids, s->input.at[i]) == 0))
            return err_set(e, "%s is an input and an output", s->input.at[i]);
    if (s->dump_ids && strcmp(s->dump_ids, s->output) == 0)
        return err_set(e, "--output and --dump-ids name the same file %s", s->output);
    return true;
}

int main(int argc, char **argv)
{
    struct settings s = {0};
    struct err e;
    const char **words = xcalloc((size_t)argc + 1, sizeof *words);
    int n_words = 0;
    int64_t n_shown = 0;
    cli_options_words(
        &s, table, argc, argv,
        "prepare --tokenizer FILE --input A.jsonl|FOLDER [--input B.parquet ...] --output X.tok\n"
        "prepare --show X.tok N [--tokenizer FILE]\n"
        "prepare --report REPORT.html X.tok [Y.tok ...] [--tokenizer FILE]\n"
        "Tokenises records {\"text\"}, {\"prompt\",\"completion\"}, {\"messages\"} or {\"input_ids\",\"labels\"}, one a line of\n"
        "JSONL or a row of Parquet, and those of OpenCodeReasoning, OpenThoughts2 and OpenMathReasoning, which are told by their columns.",
        words, &n_words);
    if (!check_usage(&s, n_words, words, &n_shown, &e))
        cli_usage(argv[0], &e);
    if (!s.show && !s.report)
        cli_catch_signals();
    bool ok = s.show     ? show_documents(stdout, s.show, n_shown, s.tokenizer, isatty(STDOUT_FILENO), &e)
              : s.report ? data_report(s.report, words, n_words, s.tokenizer, &e)
                         : prepare(&s, &e);
    free(words);
    conf_free(&s, table);
    return ok ? EXIT_OK : cli_fail(argv[0], &e);
}
