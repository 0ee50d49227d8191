/* infer/score/report.c - the program report: one page about a run: its curves, its scores beside each other, some of its answers. */
#include "core/cli.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/html.h"
#include "infer/score/curves.h"
#include "infer/record.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct settings {
    char *output, *metrics, *title;
    struct conf_strs score, answers, prompts;
    int64_t samples;
};
static const struct conf_field table[] = {
    {.key = "output", .type = CONF_STR, .at = offsetof(struct settings, output), .required = true, .help = "the page"},
    {.key = "metrics", .type = CONF_STR, .at = offsetof(struct settings, metrics), .help = "a run's metrics.jsonl: its curves"},
    {.key = "score", .type = CONF_STRS, .at = offsetof(struct settings, score), .help = "LABEL=SCORE.json, a row of the comparison"},
    {.key = "answers",
     .type = CONF_STRS,
     .at = offsetof(struct settings, answers),
     .help = "ANSWERS.jsonl: some are shown, with the verdicts of the score that judged this file"},
    {.key = "prompts",
     .type = CONF_STRS,
     .at = offsetof(struct settings, prompts),
     .help = "PROMPTS.jsonl: the problems shown above answers"},
    {.key = "samples",
     .type = CONF_INT,
     .at = offsetof(struct settings, samples),
     .def = 6,
     .min = 0,
     .max = 1000,
     .help = "answers shown of each file, half of them right ones where there are"},
    {.key = "title", .type = CONF_STR, .at = offsetof(struct settings, title), .str_def = "Training run", .help = "the page's heading"},
    {0}};

/* ---- curves ---- */

static void curve(struct html *h, const struct curves *r, enum curve_value y, struct html_chart c)
{
    struct html_line line[CURVES_MOST_PHASES];
    for (int i = 0; i < r->n; i++) {
        const struct phase *p = &r->phase[i];
        line[i] = (struct html_line){p->name, p->v[TOKENS], p->v[y], p->n, i % 6};
    }
    c.line = line;
    c.n_line = r->n;
    c.x_label = "tokens";
    html_chart(h, &c);
}

static void phase_table(struct html *h, const struct curves *r)
{
    static const char *const headings[] = {"phase", "steps", "tokens", "loss, first", "loss, last tenth", "tokens/s, median", NULL};
    html_table_begin(h, headings);
    double before = 0;
    for (int i = 0; i < r->n; i++) {
        const struct phase *p = &r->phase[i];
        double last = p->v[TOKENS][p->n - 1];
        html_row(h);
        html_cell(h, NULL, "%s", p->name);
        html_cell(h, "num", "%lld", (long long)p->n);
        html_cell(h, "num", "%.0f", last - before);
        html_cell(h, "num", "%.3f", p->v[LOSS][0]);
        html_cell(h, "num", "%.3f", curves_last_loss(p));
        html_cell(h, "num", "%.0f", curves_median(p, SPEED));
        before = last;
    }
    html_table_end(h);
}

static void training_section(struct html *h, const struct curves *r)
{
    html_element(h, "h2", NULL, "Training");
    int64_t longest = 0;
    for (int i = 0; i < r->n; i++)
        longest = r->phase[i].n > longest ? r->phase[i].n : longest;
    int64_t smooth = 1 + longest / 60;
    curve(h, r, LOSS, (struct html_chart){.title = "Loss (faint: each step)", .y_label = "nats a token", .log_y = true, .smooth = smooth});
    fputs("<div class=\"charts\">", h->f);
    curve(h, r, LR, (struct html_chart){.title = "Learning rate", .zero = true, .small = true});
    curve(h, r, GRAD_NORM, (struct html_chart){.title = "Gradient norm, before clipping", .log_y = true, .small = true, .smooth = smooth});
    curve(h, r, SPEED, (struct html_chart){.title = "Throughput, tokens/s", .zero = true, .small = true, .smooth = smooth});
    fputs("</div>\n", h->f);
    phase_table(h, r);
}

/* ---- scores ---- */

/* The page of a score, where scripts/evaluate.sh leaves it: report.html beside it, as a path from the folder of output. NULL: there is none,
 * or it does not lie below that folder, so that a link would not last. */
static char *own_page(const char *score, const char *output)
{
    const char *slash = strrchr(output, '/'), *end = strrchr(score, '/');
    size_t above = slash ? (size_t)(slash - output) + 1 : 0;
    if (!end || strncmp(score, output, above) != 0 || (!above && score[0] == '/') || strstr(score, "..") || strpbrk(score, "#?%"))
        return NULL;
    char *path = xprintf("%.*s/report.html", (int)(end - score), score);
    char *page = file_exists(path) && strcmp(path, output) != 0 ? xstrdup(path + above) : NULL;
    free(path);
    return page;
}

static bool read_scores(json_t *scores, const struct conf_strs *args, const char *output, struct err *e)
{
    for (int64_t i = 0; i < args->n; i++) {
        const char *equals = strchr(args->at[i], '=');
        if (!equals || equals == args->at[i])
            return err_set(e, "--score: expected LABEL=SCORE.json, got \"%s\"", args->at[i]);
        json_t *score = json_load_path(equals + 1, false, NULL, e);
        if (!score)
            return false;
        if (!json_is_number(json_object_get(json_object_get(json_object_get(score, "metrics"), "accuracy"), "value"))) {
            json_decref(score);
            return err_set(e, "%s: has no metrics.accuracy.value; is this a file that score wrote?", equals + 1);
        }
        char *label = xprintf("%.*s", (int)(equals - args->at[i]), args->at[i]), *page = own_page(equals + 1, output);
        json_array_append_new(scores, json_pack("{s:s, s:s?, s:o}", "label", label, "page", page, "score", score));
        free(label);
        free(page);
    }
    return true;
}

static double number_at(const json_t *o, const char *key, double otherwise)
{
    const json_t *v = json_object_get(o, key);
    return json_is_number(v) ? json_number_value(v) : otherwise;
}

static void accuracy_section(struct html *h, const json_t *scores)
{
    size_t n = json_array_size(scores), i;
    struct html_bar *bar = xcalloc(n, sizeof(*bar));
    json_t *item;
    json_array_foreach(scores, i, item)
    {
        const json_t *m = json_object_get(json_object_get(item, "score"), "metrics"), *a = json_object_get(m, "accuracy");
        double value = number_at(a, "value", 0);
        bar[i] = (struct html_bar){json_string_value(json_object_get(item, "label")), value, number_at(a, "low", value),
                                   number_at(a, "high", value), number_at(json_object_get(m, "most_frequent_answer"), "value", -1)};
    }
    html_element(h, "h2", NULL, "Accuracy on held-out problems");
    html_bars(h, "Accuracy with 95% intervals", "always giving the most frequent answer", bar, (int)n);
    static const char *const headings[] = {
        "", "right", "95%, problems like these", "95%, these problems", "most frequent answer", "problems", "cut off", "no answer", NULL};
    html_table_begin(h, headings);
    json_array_foreach(scores, i, item)
    {
        const json_t *c = json_object_get(json_object_get(item, "score"), "counts");
        const char *link = json_string_value(json_object_get(item, "page"));
        html_row(h);
        if (link) {
            fputs("<td><a href=\"", h->f);
            html_text(h, link);
            fputs("\">", h->f);
            html_text(h, bar[i].name);
            fputs("</a></td>", h->f);
        } else {
            html_cell(h, NULL, "%s", bar[i].name);
        }
        html_cell(h, "num", "%.1f%%", 100 * bar[i].value);
        html_cell(h, "num", "%.1f - %.1f%%", 100 * bar[i].low, 100 * bar[i].high);
        const json_t *these =
            json_object_get(json_object_get(json_object_get(json_object_get(item, "score"), "metrics"), "accuracy"), "these_problems");
        if (these)
            html_cell(h, "num", "%.1f - %.1f%%%s", 100 * number_at(these, "low", 0), 100 * number_at(these, "high", 1),
                      json_object_get(these, "bound") ? " at most" : "");
        else
            html_cell(h, NULL, "%s", "");
        if (bar[i].mark >= 0)
            html_cell(h, "num", "%.1f%%", 100 * bar[i].mark);
        else
            html_cell(h, NULL, "%s", "");
        html_cell(h, "num", "%.0f", number_at(c, "problems", NAN));
        html_cell(h, "num", "%.0f", number_at(c, "truncated", NAN));
        html_cell(h, "num", "%.0f", number_at(c, "no_answer", NAN));
    }
    html_table_end(h);
    free(bar);
}

/* ---- answers ---- */

static bool keep_record(void *ctx, json_t *record, int64_t line, struct err *e)
{
    (void)line;
    char *id = record_id(record, e);
    if (!id)
        return false;
    json_object_set(ctx, id, record);
    free(id);
    return true;
}

/* record_key() -> verdict, of the score that judged this very file (known by its digest); NULL: none did. */
static json_t *verdicts_of(const json_t *scores, const char *answers, const char **label, struct err *e)
{
    char hex[HASH_XXH3_HEX];
    if (!hash_xxh3_file(answers, hex, e))
        return NULL;
    size_t i, j;
    json_t *item, *v, *map = json_object();
    *label = NULL;
    json_array_foreach(scores, i, item)
    {
        const json_t *score = json_object_get(item, "score");
        const char *digest = json_string_value(json_object_get(score, "answers_xxh3"));
        if (!digest || strcmp(digest, hex) != 0 || *label)
            continue;
        *label = json_string_value(json_object_get(item, "label"));
        json_array_foreach(json_object_get(score, "verdicts"), j, v)
        {
            char *key = record_key(v);
            json_object_set(map, key, v);
            free(key);
        }
    }
    return map;
}

static void card(struct html *h, const char *id, const json_t *answer, const json_t *verdict, const json_t *prompt)
{
    fputs("<div class=\"card\">", h->f);
    if (verdict) {
        bool right = json_is_true(json_object_get(verdict, "correct"));
        const char *extracted = json_string_value(json_object_get(verdict, "extracted"));
        const char *gold = json_string_value(json_object_get(verdict, "gold"));
        char *line = xprintf("%s: answered %s%s%s", right ? "right" : "wrong", extracted ? extracted : "nothing",
                             right || !gold ? "" : ", expected ", right || !gold ? "" : gold);
        html_element(h, "strong", right ? "good" : "bad", line);
        free(line);
    }
    html_element(h, "span", "dim", id);
    const char *problem = json_string_value(json_object_get(prompt, "prompt")), *text = json_string_value(json_object_get(answer, "text"));
    if (problem)
        html_element(h, "pre", NULL, problem);
    html_element(h, "pre", NULL, text ? text : "(token ids only)");
    fputs("</div>\n", h->f);
}

static bool answers_section(struct html *h, const char *path, const json_t *scores, const json_t *prompts, int64_t wanted, struct err *e)
{
    const char *label;
    json_t *verdicts = verdicts_of(scores, path, &label, e), *list = verdicts ? json_load_lines(path, e) : NULL, *answer;
    bool ok = list != NULL;
    if (ok) {
        char *heading = xprintf("Answers: %s", label ? label : path);
        html_element(h, "h2", NULL, heading);
        free(heading);
    }
    int64_t rights = 0, others = 0; /* shown so far */
    size_t i;
    for (int pass = 0; ok && pass < 2; pass++) /* half right and half wrong ones, then what fills the number */
        json_array_foreach(list, i, answer)
        {
            if (json_is_null(answer))
                continue; /* shown in the first pass */
            struct err none;
            char *id = record_id(answer, &none), *key = record_key(answer);
            const json_t *verdict = json_object_get(verdicts, key);
            bool right = json_is_true(json_object_get(verdict, "correct"));
            int64_t *shown = right ? &rights : &others;
            if (rights + others < wanted && (pass == 1 || *shown < (right ? (wanted + 1) / 2 : wanted / 2))) {
                card(h, id ? id : "", answer, verdict, id ? json_object_get(prompts, id) : NULL);
                ++*shown;
                json_array_set_new(list, i, json_null());
            }
            free(key);
            free(id);
        }
    json_decref(list);
    json_decref(verdicts);
    return ok;
}

static bool build(struct html *h, const struct settings *s, json_t *scores, json_t *prompts, struct err *e)
{
    struct curves r = {0};
    bool ok = !s->metrics || curves_read(&r, s->metrics, e);
    ok = ok && read_scores(scores, &s->score, s->output, e);
    for (int64_t i = 0; ok && i < s->prompts.n; i++)
        ok = json_each_line(s->prompts.at[i], keep_record, prompts, e);
    if (ok && json_array_size(scores))
        accuracy_section(h, scores);
    if (ok && r.n)
        training_section(h, &r);
    for (int64_t i = 0; ok && i < s->answers.n; i++)
        ok = answers_section(h, s->answers.at[i], scores, prompts, s->samples, e);
    curves_free(&r);
    return ok;
}

int main(int argc, char **argv)
{
    struct settings s = {0};
    cli_options(&s, table, argc, argv,
                "report --output REPORT.html [--metrics METRICS.jsonl] [--score LABEL=SCORE.json ...] [--answers ANSWERS.jsonl ...]\n"
                "       [--prompts PROMPTS.jsonl ...] [--samples N] [--title T]\n"
                "A page about a run: curves, scores beside each other, some answers. One file, nothing loaded from elsewhere.");
    struct err e;
    struct html h;
    json_t *scores = json_array(), *prompts = json_object();
    html_begin(&h, s.title);
    bool ok = build(&h, &s, scores, prompts, &e);
    if (ok)
        ok = html_finish(&h, s.output, &e);
    else
        html_abort(&h);
    json_decref(scores);
    json_decref(prompts);
    int code = ok ? EXIT_OK : cli_fail(argv[0], &e);
    conf_free(&s, table);
    return code;
}
