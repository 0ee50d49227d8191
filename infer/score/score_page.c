/* infer/score/score_page.c - the page of score --html: metrics, what each sample came to, and every sample with its text folded. See scoring.h. */
#include "infer/score/scoring.h"
#include "core/html.h"
#include "infer/record.h"
#include <stdlib.h>
#include <string.h>

enum kind { RIGHT, WRONG, CUT, TIMED_OUT, NONE, KINDS };
static const struct html_kind kinds[KINDS] = {
    {"right", "good"}, {"wrong", "bad"}, {"cut off: the token limit, or a loop", "c1"}, {"out of time", "c3"}, {"no answer", "c5"}};

struct page {
    struct html h;
    const json_t *score, *verdicts;
    json_t *texts;    /* record_key() -> {"text"} */
    json_t *problems; /* id -> the problem's text */
    int64_t samples;  /* of a problem */
};

static bool keep_text(void *ctx, json_t *record, int64_t line, struct err *e)
{
    (void)line;
    (void)e;
    char *key = record_key(record);
    json_object_set(ctx, key, json_object_get(record, "text"));
    free(key);
    return true;
}

enum { LONG_PROBLEM = 20000 }; /* bytes; documents that are longer are not repeated in the page */

/* The problem as its truth record has it. */
static bool keep_problem(void *ctx, json_t *record, int64_t line, struct err *e)
{
    static const char *const names[] = {"problem", "question", "prompt", "question_content"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        json_t *text = json_object_get(record, names[i]);
        if (!json_is_string(text) || json_string_length(text) > LONG_PROBLEM)
            continue;
        char *id = json_object_get(record, "id") ? record_id(record, e) : xprintf("%lld", (long long)line);
        json_object_set(ctx, id ? id : "", text);
        free(id);
        return true;
    }
    return true;
}

static enum kind kind_of(const json_t *verdict)
{
    if (json_is_true(json_object_get(verdict, "correct")))
        return RIGHT;
    if (json_object_get(verdict, "truncated"))
        return CUT;
    if (json_object_get(verdict, "timed_out"))
        return TIMED_OUT;
    return json_is_string(json_object_get(verdict, "extracted")) ? WRONG : NONE;
}

static void interval_cell(struct html *h, const json_t *x)
{
    if (!x) {
        html_cell(h, NULL, "%s", "");
        return;
    }
    html_cell(h, "num", "%.1f - %.1f%%%s", 100 * json_number_value(json_object_get(x, "low")),
              100 * json_number_value(json_object_get(x, "high")), json_object_get(x, "bound") ? " at most" : "");
}

static void metrics_table(struct page *p)
{
    static const char *const headings[] = {"metric", "value", "95%, problems like these", "95%, these problems", NULL};
    struct html *h = &p->h;
    html_table_begin(h, headings);
    const char *name;
    json_t *m;
    json_object_foreach(json_object_get(p->score, "metrics"), name, m)
    {
        if (strcmp(name, "accuracy") == 0 || strcmp(name, "pass@1") == 0)
            continue; /* avg@N's other names */
        html_row(h);
        const char *answer = json_string_value(json_object_get(m, "answer"));
        if (answer)
            html_cell(h, NULL, "always answering %s", answer);
        else
            html_cell(h, NULL, "%s", name);
        html_cell(h, "num", "%.1f%%", 100 * json_number_value(json_object_get(m, "value")));
        interval_cell(h, json_object_get(m, "problems_like_these"));
        interval_cell(h, json_object_get(m, "these_problems"));
    }
    html_table_end(h);
    html_element(h, "p", "dim",
                 "Problems like these: other problems of this kind, drawn anew. These problems: the same ones, answered anew; \"at most\" "
                 "where there are too few samples of a problem to tell how much its answers vary.");
}

static double rate(const json_t *score, const char *key)
{
    return 100 * json_number_value(json_object_get(json_object_get(score, "rates"), key));
}

/* A key as people write it. */
static void key_cell(struct html *h, const char *before, const char *key)
{
    char *words = xprintf("%s%s", before, key);
    for (char *at = words; *at; at++)
        if (*at == '_')
            *at = ' ';
    html_cell(h, NULL, "%s", words);
    free(words);
}

static void counts_table(struct page *p)
{
    static const char *const headings[] = {"count", "", NULL};
    struct html *h = &p->h;
    const char *name;
    json_t *m;
    html_element(h, "h2", NULL, "Counts");
    html_table_begin(h, headings);
    json_object_foreach(json_object_get(p->score, "counts"), name, m)
    {
        html_row(h);
        key_cell(h, "", name);
        if (json_object_get(json_object_get(p->score, "rates"), name))
            html_cell(h, "num", "%" JSON_INTEGER_FORMAT " (%.1f%%)", json_integer_value(m), rate(p->score, name));
        else
            html_cell(h, "num", "%" JSON_INTEGER_FORMAT, json_integer_value(m));
    }
    json_object_foreach(json_object_get(p->score, "tokens"), name, m)
    {
        html_row(h);
        key_cell(h, strcmp(name, "all") == 0 ? "tokens, " : "tokens of an answer, ", name);
        html_cell(h, "num", "%.0f", json_number_value(m));
    }
    html_table_end(h);
}

/* Verdicts are in the order of problems, each with as many samples. */
static void pictures(struct page *p)
{
    int64_t n = (int64_t)json_array_size(p->verdicts), rows = n / p->samples;
    struct html_square *at = xcalloc((size_t)n, sizeof(*at));
    char **text = xcalloc((size_t)(2 * n), sizeof(*text)), **name = xcalloc((size_t)rows, sizeof(*name));
    bool lengths = json_object_get(p->score, "tokens");
    size_t i;
    json_t *v;
    json_array_foreach(p->verdicts, i, v)
    {
        struct err none;
        char *id = record_id(v, &none), *key = record_key(v);
        const json_t *tokens = json_object_get(v, "tokens");
        const char *answer = json_string_value(json_object_get(p->texts, key));
        text[2 * i] = xprintf("%s, sample %" JSON_INTEGER_FORMAT ": %s", id, json_integer_value(json_object_get(v, "sample")),
                              kinds[kind_of(v)].name);
        text[2 * i + 1] = xprintf("s%zu", i);
        double value = lengths ? tokens ? (double)json_integer_value(tokens) : -1 : answer ? (double)strlen(answer) : -1;
        at[i] = (struct html_square){kind_of(v), value, text[2 * i], text[2 * i + 1]};
        if ((int64_t)i % p->samples == 0)
            name[(int64_t)i / p->samples] = xprintf("%.24s", id);
        free(key);
        free(id);
    }
    if (p->samples == 1)
        html_grid(&p->h, "Problems", kinds, KINDS, at, n, 60, NULL);
    else
        html_grid(&p->h, "Problems (rows) and their samples", kinds, KINDS, at, n, p->samples, (const char *const *)name);
    html_histogram(&p->h, "Lengths of answers", lengths ? "tokens" : "bytes", kinds, KINDS, at, n);
    for (int64_t j = 0; j < 2 * n; j++)
        free(text[j]);
    for (int64_t j = 0; j < rows; j++)
        free(name[j]);
    free(name);
    free(text);
    free(at);
}

/* Whether an answer fits into a line; programs do not. */
static bool is_short(const char *s)
{
    return strlen(s) <= 60 && !strchr(s, '\n');
}

static void sample(struct page *p, const json_t *v, size_t number)
{
    struct html *h = &p->h;
    char *key = record_key(v);
    const char *extracted = json_string_value(json_object_get(v, "extracted")), *why = json_string_value(json_object_get(v, "why"));
    const char *text = json_string_value(json_object_get(p->texts, key));
    const json_t *tokens = json_object_get(v, "tokens");
    enum kind kind = kind_of(v);
    fprintf(h->f, "<details id=\"s%zu\"><summary><strong class=\"%s\">sample %" JSON_INTEGER_FORMAT ": %s</strong>", number,
            kind == RIGHT ? "good" : "bad", json_integer_value(json_object_get(v, "sample")), kinds[kind].name);
    if (tokens)
        fprintf(h->f, ", %" JSON_INTEGER_FORMAT " tokens", json_integer_value(tokens));
    if (extracted && is_short(extracted)) {
        fputs("; answered ", h->f);
        html_text(h, extracted);
    }
    fputs("; ", h->f);
    html_text(h, why ? why : "");
    fputs("</summary>\n", h->f);
    if (extracted) {
        html_element(h, "p", "dim", "what was judged");
        html_element(h, "pre", NULL, extracted);
    }
    if (text) {
        html_element(h, "p", "dim", "the whole answer");
        html_element(h, "pre", NULL, text);
    }
    fputs("</details>\n", h->f);
    free(key);
}

static void samples(struct page *p)
{
    struct html *h = &p->h;
    html_element(h, "h2", NULL, "Samples");
    size_t i;
    json_t *v;
    json_array_foreach(p->verdicts, i, v)
    {
        struct err none;
        if ((int64_t)i % p->samples == 0) {
            int64_t right = 0;
            for (int64_t j = 0; j < p->samples; j++)
                right += kind_of(json_array_get(p->verdicts, i + (size_t)j)) == RIGHT;
            char *id = record_id(v, &none), *line = xprintf("%s: %lld of %lld right", id, (long long)right, (long long)p->samples);
            const char *problem = json_string_value(json_object_get(p->problems, id)),
                       *gold = json_string_value(json_object_get(v, "gold"));
            fputs("<details class=\"card\"><summary>", h->f);
            html_element(h, "strong", NULL, line);
            fputs("</summary>\n", h->f);
            if (problem)
                html_element(h, "pre", NULL, problem);
            if (gold) {
                char *expected = xprintf("expected: %s", gold);
                html_element(h, "p", NULL, expected);
                free(expected);
            }
            free(line);
            free(id);
        }
        sample(p, v, i);
        if ((int64_t)i % p->samples == p->samples - 1)
            fputs("</details>\n", h->f);
    }
}

bool scoring_page(const char *path, const json_t *score, const char *answers, struct err *e)
{
    const json_t *counts = json_object_get(score, "counts");
    const char *truth = json_string_value(json_object_get(score, "truth"));
    struct page p = {.score = score, .verdicts = json_object_get(score, "verdicts"), .texts = json_object(), .problems = json_object()};
    p.samples = json_integer_value(json_object_get(counts, "samples_per_problem"));
    bool ok = json_each_line(answers, keep_text, p.texts, e) && json_each_line(truth, keep_problem, p.problems, e);
    if (ok) {
        char *title = xprintf("Score: %s", json_string_value(json_object_get(score, "task"))),
             *files = xprintf("%s against %s", answers, truth);
        html_begin(&p.h, title);
        html_element(&p.h, "p", "dim", files);
        free(title);
        free(files);
        metrics_table(&p);
        counts_table(&p);
        const struct task *task = task_find(json_string_value(json_object_get(score, "task")), e);
        if (task && task->page)
            task->page(&p.h, score);
        pictures(&p);
        samples(&p);
        ok = html_finish(&p.h, path, e);
    }
    json_decref(p.texts);
    json_decref(p.problems);
    return ok;
}
