/* infer/score_page.c - the page of score --html: metrics, and every sample with its verdict and its text folded. See scoring.h. */
#include "infer/scoring.h"
#include "core/html.h"
#include "infer/record.h"
#include <stdlib.h>
#include <string.h>

enum { SHOWN = 8000 }; /* bytes of a text that the page shows: its end, where the answer is */

static bool keep_text(void *ctx, json_t *record, int64_t line, struct err *e)
{
    (void)line;
    (void)e;
    char *key = record_key(record);
    json_object_set(ctx, key, json_object_get(record, "text"));
    free(key);
    return true;
}

static const char *tail(const char *text)
{
    size_t n = strlen(text);
    if (n <= SHOWN)
        return text;
    text += n - SHOWN;
    while (((unsigned char)*text & 0xC0) == 0x80) /* not in the middle of a character */
        text++;
    return text;
}

static void metrics_table(struct html *h, const json_t *score)
{
    static const char *const headings[] = {"metric", "value", "95% interval", NULL};
    html_table_begin(h, headings);
    const char *name;
    json_t *m;
    json_object_foreach(json_object_get(score, "metrics"), name, m)
    {
        html_row(h);
        const char *answer = json_string_value(json_object_get(m, "answer"));
        if (answer)
            html_cell(h, NULL, "always answering %s", answer);
        else
            html_cell(h, NULL, "%s", name);
        html_cell(h, "num", "%.1f%%", 100 * json_number_value(json_object_get(m, "value")));
        if (json_object_get(m, "low"))
            html_cell(h, "num", "%.1f - %.1f%%", 100 * json_number_value(json_object_get(m, "low")),
                      100 * json_number_value(json_object_get(m, "high")));
        else
            html_cell(h, NULL, "%s", "");
    }
    html_table_end(h);
    static const char *const count_headings[] = {"count", "", NULL};
    html_element(h, "h2", NULL, "Counts");
    html_table_begin(h, count_headings);
    json_object_foreach(json_object_get(score, "counts"), name, m)
    {
        html_row(h);
        html_cell(h, NULL, "%s", name);
        html_cell(h, "num", "%" JSON_INTEGER_FORMAT, json_integer_value(m));
    }
    html_table_end(h);
}

bool scoring_page(const char *path, const json_t *score, const char *answers, struct err *e)
{
    json_t *texts = json_object();
    if (!json_each_line(answers, keep_text, texts, e)) {
        json_decref(texts);
        return false;
    }
    struct html h;
    char *title = xprintf("Score: %s", json_string_value(json_object_get(score, "task")));
    html_begin(&h, title);
    free(title);
    char *files = xprintf("%s against %s", answers, json_string_value(json_object_get(score, "truth")));
    html_element(&h, "p", "dim", files);
    free(files);
    metrics_table(&h, score);
    const struct task *task = task_find(json_string_value(json_object_get(score, "task")), e);
    if (task && task->page)
        task->page(&h, score);
    html_element(&h, "h2", NULL, "Samples");
    static const char *const headings[] = {"id", "sample", "verdict", "extracted", "gold", "text", NULL};
    html_table_begin(&h, headings);
    size_t i;
    json_t *v;
    json_array_foreach(json_object_get(score, "verdicts"), i, v)
    {
        struct err none;
        char *id = record_id(v, &none), *key = record_key(v);
        json_int_t sample = json_integer_value(json_object_get(v, "sample"));
        bool correct = json_is_true(json_object_get(v, "correct"));
        const char *extracted = json_string_value(json_object_get(v, "extracted")), *gold = json_string_value(json_object_get(v, "gold"));
        html_row(&h);
        html_cell(&h, NULL, "%s", id);
        html_cell(&h, "num", "%" JSON_INTEGER_FORMAT, sample);
        html_cell(&h, correct ? "good" : "bad", "%s %s", correct ? "right:" : "wrong:", json_string_value(json_object_get(v, "why")));
        html_cell(&h, "num", "%s", extracted ? extracted : "none");
        html_cell(&h, "num", "%s", gold ? gold : "");
        const char *text = json_string_value(json_object_get(texts, key));
        fputs("<td>", h.f);
        if (text)
            html_fold(&h, strlen(text) > SHOWN ? "its end" : "show", tail(text));
        fputs("</td>", h.f);
        free(key);
        free(id);
    }
    html_table_end(&h);
    json_decref(texts);
    return html_finish(&h, path, e);
}
