/* data/select/mixture.c - see mixture.h. */
#include "data/select/mixture.h"
#include "data/chat.h"
#include "data/import.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const answer_names[] = {"any", "boxed", "expected", "python", NULL};
static const char *const language_names[] = {"any", "english", NULL};
static const char *const unique_names[] = {"none", "record", "prompt", "id", NULL};
static const char *const on_bad_line_names[] = {"error", "skip", NULL};

#define AT(field) .at = offsetof(struct mixture_where, field)
static const struct conf_field where_table[] = {
    {.key = "column", .type = CONF_STR, AT(column), .required = true, .help = "a column (or key) of the set"},
    {.key = "in", .type = CONF_STRS, AT(in), .help = "what it may hold, as text; numbers, true and false as JSON writes them"},
    {.key = "min", .type = CONF_FLOAT, AT(min), .def = NAN, .help = "least value, of a number or a text that is one"},
    {.key = "max", .type = CONF_FLOAT, AT(max), .def = NAN, .help = "greatest value"},
    {.key = "or_missing", .type = CONF_BOOL, AT(or_missing), .help = "records pass where it is absent, null or \"n/a\""},
    {0}};

#undef AT
#define AT(field) .at = offsetof(struct mixture_statements, field)
static const struct conf_field statements_table[] = {
    {.key = "dataset", .type = CONF_STR, AT(dataset), .required = true, .help = "what the records call it: apps, taco"},
    {.key = "split", .type = CONF_STR, AT(split), .required = true, .help = "its part: train, test"},
    {.key = "path", .type = CONF_STR, AT(path), .required = true, .help = "the file or folder of that part, in the set's own order"},
    {.key = "match", .type = CONF_STR, AT(match), .help = "of a folder only the files whose path in it fits this pattern"},
    {.key = "column", .type = CONF_STR, AT(column), .str_def = "question", .help = "that holds the statement"},
    {0}};

#undef AT
#define AT(field) .at = offsetof(struct mixture_source, field)
static const struct conf_field source_table[] = {
    {.key = "name", .type = CONF_STR, AT(name), .required = true, .help = "of its file, NAME.jsonl.zst, and in each record's \"source\""},
    {.key = "path", .type = CONF_STR, AT(path), .required = true, .help = "a file, or a folder as a hub download leaves it"},
    {.key = "match", .type = CONF_STR, AT(match), .help = "of a folder only the files whose path in it fits this pattern"},
    {.key = "set", .type = CONF_CHOICE, AT(set), .choices = import_set_names, .str_def = "auto", .help = "which published set it is"},
    {.key = "question",
     .type = CONF_STR,
     AT(question),
     .help = "what the user says, with {problem} for the problem; the set's own way if not given"},
    {.key = "records", .type = CONF_INT, AT(records), .min = 0, .max = 1e12, .help = "how many to draw of those that pass; 0: all"},
    {.key = "min_tokens", .type = CONF_INT, AT(min_tokens), .min = 0, .max = 1e12, .help = "shortest document"},
    {.key = "max_tokens", .type = CONF_INT, AT(max_tokens), .min = 0, .max = 1e12, .help = "longest document; 0: no limit"},
    {.key = "thought",
     .type = CONF_BOOL,
     AT(thought),
     .help = "the answer is <think>...</think> and then more, with exactly one such pair, neither part empty"},
    {.key = "answer",
     .type = CONF_CHOICE,
     AT(answer),
     .choices = answer_names,
     .str_def = "any",
     .help =
         "after the thought: boxed, a closed \\boxed{} that is not empty; expected, its last one means what the set's expected_answer does, as score "
         "judges mathematics; python, a fenced block of it"},
    {.key = "language",
     .type = CONF_CHOICE,
     AT(language),
     .choices = language_names,
     .str_def = "any",
     .help = "english: of the letters of question and answer nine in ten are Latin, of the words of longer texts one in twenty is a common "
             "English one; code blocks are left out"},
    {.key = "unique",
     .type = CONF_CHOICE,
     AT(unique),
     .choices = unique_names,
     .str_def = "record",
     .help = "only the first of those with the same: record (question and answer), prompt, id"},
    {.key = "where",
     .type = CONF_LIST,
     AT(where),
     .sub = where_table,
     .sub_size = sizeof(struct mixture_where),
     .help = "what columns hold"},
    {.key = "statements",
     .type = CONF_LIST,
     AT(statements),
     .sub = statements_table,
     .sub_size = sizeof(struct mixture_statements),
     .help = "where the statements are that OpenCodeReasoning's split_1 leaves out; records without one are not taken"},
    {.key = "keep", .type = CONF_STRS, AT(keep), .help = "columns that are passed on beside the text"},
    {0}};

#undef AT
#define AT(field) .at = offsetof(struct mixture, field)
const struct conf_field mixture_table[] = {
    {.key = "output",
     .type = CONF_STR,
     AT(output),
     .required = true,
     .help = "folder for NAME.jsonl.zst of every source and manifest.json"},
    {.key = "tokenizer",
     .type = CONF_STR,
     AT(tokenizer),
     .required = true,
     .help = "by which lengths are counted: a SentencePiece model, a folder that holds one, or \"byte\""},
    {.key = "template",
     .type = CONF_CHOICE,
     AT(chat),
     .choices = chat_template_names,
     .str_def = "chatml",
     .help = "in which lengths are counted; give prepare the same"},
    {.key = "root", .type = CONF_STR, AT(root), .str_def = ".", .help = "folder below which the paths of the sources lie"},
    {.key = "seed", .type = CONF_INT, AT(seed), .def = 1, .min = 0, .max = 9e15, .help = "of what is drawn; same seed, same files"},
    {.key = "on_bad_line",
     .type = CONF_CHOICE,
     AT(on_bad_line),
     .choices = on_bad_line_names,
     .str_def = "error",
     .help = "skip: leave out what is no valid record, and count it"},
    {.key = "threads", .type = CONF_INT, AT(threads), .min = 0, .max = 1024, .help = "0: one for each processor; the files are the same"},
    DECONTAM_FIELDS("decontaminate.", offsetof(struct mixture, decontaminate)),
    {.key = "sources",
     .type = CONF_LIST,
     AT(sources),
     .sub = source_table,
     .sub_size = sizeof(struct mixture_source),
     .required = true,
     .help = "the sets"},
    {0}};

static bool check_source(const struct mixture *m, int64_t i, struct err *e)
{
    const struct mixture_source *all = m->sources.at, *s = &all[i];
    if (!*s->name || strspn(s->name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != strlen(s->name) ||
        *s->name == '.')
        return err_set(e, "sources.%lld.name \"%.60s\" must be letters, digits, '-', '_' and '.', since it names a file", (long long)i,
                       s->name);
    for (int64_t k = 0; k < i; k++)
        if (strcmp(all[k].name, s->name) == 0)
            return err_set(e, "sources.%lld.name and sources.%lld.name are both \"%s\"; each names a file", (long long)k, (long long)i,
                           s->name);
    if (s->question && !strstr(s->question, "{problem}"))
        return err_set(e, "sources.%lld.question must say where the problem goes with {problem}, got \"%.60s\"", (long long)i, s->question);
    if (s->max_tokens > 0 && s->max_tokens < s->min_tokens)
        return err_set(e, "sources.%lld.max_tokens %lld is less than min_tokens %lld", (long long)i, (long long)s->max_tokens,
                       (long long)s->min_tokens);
    for (int64_t k = 0; k < s->where.n; k++) {
        const struct mixture_where *w = (const struct mixture_where *)s->where.at + k;
        if (w->in.n == 0 && isnan(w->min) && isnan(w->max))
            return err_set(e, "sources.%lld.where.%lld of column \"%s\" asks for nothing; give in, min or max", (long long)i, (long long)k,
                           w->column);
    }
    return true;
}

bool mixture_load(struct mixture *m, const char *path, int argc, char **argv, bool *usage, struct err *e)
{
    const char **words = xcalloc((size_t)argc + 1, sizeof *words);
    int n_words;
    *usage = false;
    conf_defaults(m, mixture_table);
    bool ok = conf_from_file(m, mixture_table, path, e);
    if (ok) {
        ok = conf_from_args(m, mixture_table, argc, argv, words, &n_words, e) && conf_check(m, mixture_table, e);
        if (ok && n_words)
            ok = err_set(e, "\"%s\" is one word too many: there is one CONFIG.json, and every setting is --key VALUE", words[0]);
        *usage = !ok;
    }
    free(words);
    for (int64_t i = 0; ok && i < m->sources.n; i++)
        ok = check_source(m, i, e) || err_in(e, "%s", path);
    return ok;
}

char *mixture_path(const struct mixture *m, const char *path)
{
    return *path == '/' || strcmp(m->root, ".") == 0 ? xstrdup(path) : xprintf("%s/%s", m->root, path);
}
