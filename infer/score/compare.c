/* infer/score/compare.c - two evaluations side by side, see compare.h. */
#include "infer/score/compare.h"
#include "infer/record.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- numbers ---- */

static int64_t right_of(const json_t *problem)
{
    return json_integer_value(json_object_get(problem, "right"));
}

/* id -> {"right": how many samples are, "gold": the expected answer, if verdicts tell it}, in the order of the verdicts. NULL: not a SCORE
 * document. */
static json_t *counts_of(const json_t *score, const char *label, int64_t *samples, struct err *e)
{
    const json_t *verdicts = json_object_get(score, "verdicts");
    *samples = json_integer_value(json_object_get(json_object_get(score, "counts"), "samples_per_problem"));
    if (!json_is_array(verdicts) || *samples < 1 || !json_is_string(json_object_get(score, "task"))) {
        err_set(e, "%s: has no task, verdicts or counts.samples_per_problem; is this a file that score wrote?", label);
        return NULL;
    }
    json_t *count = json_object();
    size_t i;
    json_t *v;
    json_array_foreach(verdicts, i, v)
    {
        char *id = record_id(v, e);
        if (!id) {
            err_in(e, "%s: verdict %zu", label, i + 1);
            json_decref(count);
            return NULL;
        }
        int64_t right = right_of(json_object_get(count, id)) + json_is_true(json_object_get(v, "correct"));
        json_object_set_new(count, id, json_pack("{s:I, s:O?}", "right", (json_int_t)right, "gold", json_object_get(v, "gold")));
        free(id);
    }
    return count;
}

static bool pair_up(struct comparison *c, json_t *a, json_t *b, struct err *e)
{
    const char *id;
    json_t *problem;
    size_t most = json_object_size(a);
    c->id = xcalloc(most + 1, sizeof(*c->id));
    c->side[0].right = xcalloc(most + 1, sizeof(int64_t));
    c->side[1].right = xcalloc(most + 1, sizeof(int64_t));
    json_object_foreach(a, id, problem)
    {
        const json_t *other = json_object_get(b, id);
        if (!other) {
            c->side[0].only++;
            continue;
        }
        const char *gold = json_string_value(json_object_get(problem, "gold")),
                   *other_gold = json_string_value(json_object_get(other, "gold"));
        if (gold && other_gold && strcmp(gold, other_gold) != 0)
            return err_set(
                e, "the problem \"%.80s\" has the answer %.80s in %s and %.80s in %s: two evaluations of the same problems are needed", id,
                gold, c->side[0].label, other_gold, c->side[1].label);
        c->id[c->m] = xstrdup(id);
        c->side[0].right[c->m] = right_of(problem);
        c->side[1].right[c->m++] = right_of(other);
    }
    c->side[1].only = (int64_t)json_object_size(b) - c->m;
    for (int k = 0; k < 2; k++)
        for (int64_t i = 0; i < c->m; i++)
            if (c->side[k].right[i] > c->side[k].samples)
                return err_set(e, "%s: the problem \"%.80s\" has more right samples than samples", c->side[k].label, c->id[i]);
    return c->m > 0 || err_set(e, "%s and %s have no problem in common", c->side[0].label, c->side[1].label);
}

bool comparison_make(struct comparison *c, const json_t *a, const char *label_a, const json_t *b, const char *label_b, struct err *e)
{
    *c = (struct comparison){.side = {{.label = label_a, .score = a}, {.label = label_b, .score = b}}};
    json_t *count_a = counts_of(a, label_a, &c->side[0].samples, e), *count_b = NULL;
    bool ok = count_a && (count_b = counts_of(b, label_b, &c->side[1].samples, e));
    const char *task_a = json_string_value(json_object_get(a, "task")), *task_b = json_string_value(json_object_get(b, "task"));
    if (ok && strcmp(task_a, task_b) != 0)
        ok = err_set(e, "%s is of the task %s, %s of %s: only the same task can be compared", label_a, task_a, label_b, task_b);
    ok = ok && pair_up(c, count_a, count_b, e) &&
         metric_paired(&c->paired, c->side[1].right, c->side[1].samples, c->side[0].right, c->side[0].samples, c->m, e);
    json_decref(count_a);
    json_decref(count_b);
    return ok;
}

void comparison_free(struct comparison *c)
{
    for (int64_t i = 0; i < c->m; i++)
        free(c->id[i]);
    free(c->id);
    free(c->side[0].right);
    free(c->side[1].right);
    *c = (struct comparison){0};
}

/* ---- rows that text and page share ---- */

/* A row: its name, a's value, b's value, the difference. */
struct row {
    char *cell[4];
};

static char *percent(const json_t *value)
{
    return json_is_number(value) ? xprintf("%.1f%%", 100 * json_number_value(value)) : xstrdup("");
}

/* Of the problems that both have. */
static char *like_these(const struct comparison *c, const struct side *s)
{
    struct interval x = metric_like_these(s->right, c->m, s->samples);
    return xprintf("%.1f - %.1f%%", 100 * x.low, 100 * x.high);
}

static char *these(const struct comparison *c, const struct side *s)
{
    bool bound;
    struct interval x = metric_sampling_pass(s->right, c->m, s->samples, 1, &bound);
    return xprintf("%.1f - %.1f%%%s", 100 * x.low, 100 * x.high, bound ? " at most" : "");
}

static char *gain(const json_t *a, const json_t *b)
{
    return json_is_number(a) && json_is_number(b) ? xprintf("%+.1f", 100 * (json_number_value(b) - json_number_value(a))) : xstrdup("");
}

static void add(struct row **rows, int *n, char *name, char *a, char *b, char *difference)
{
    *rows = xrealloc(*rows, (size_t)(*n + 1) * sizeof(**rows));
    (*rows)[(*n)++] = (struct row){{name, a, b, difference}};
}

static char *span(struct interval x)
{
    return xprintf("%+.1f to %+.1f", 100 * x.low, 100 * x.high);
}

/* Accuracy with its intervals; what both have of the other metrics; rates; lengths. */
static struct row *rows_of(const struct comparison *c, int *n)
{
    static const char *const rates[] = {"truncated", "no_answer", "timed_out"}, *const names[] = {"cut off", "no answer", "out of time"};
    const struct side *a = &c->side[0], *b = &c->side[1];
    struct row *rows = NULL;
    *n = 0;
    double share[2] = {metric_mean_pass(a->right, c->m, a->samples, 1), metric_mean_pass(b->right, c->m, b->samples, 1)};
    add(&rows, n, xstrdup("right"), xprintf("%.1f%%", 100 * share[0]), xprintf("%.1f%%", 100 * share[1]),
        xprintf("%+.1f", 100 * c->paired.difference));
    add(&rows, n, xstrdup("  95%, problems like these"), like_these(c, a), like_these(c, b), span(c->paired.like));
    add(&rows, n, xstrdup("  95%, these problems"), these(c, a), these(c, b), span(c->paired.these));
    const char *name;
    json_t *m;
    json_object_foreach(json_object_get(a->score, "metrics"), name, m)
    {
        const json_t *other = json_object_get(json_object_get(b->score, "metrics"), name);
        bool shown = strcmp(name, "accuracy") == 0 || strncmp(name, "avg@", 4) == 0 || strcmp(name, "pass@1") == 0 ||
                     strcmp(name, "most_frequent_answer") == 0;
        if (other && !shown)
            add(&rows, n, xstrdup(name), percent(json_object_get(m, "value")), percent(json_object_get(other, "value")),
                gain(json_object_get(m, "value"), json_object_get(other, "value")));
    }
    for (int i = 0; i < 3; i++) {
        const json_t *ra = json_object_get(json_object_get(a->score, "rates"), rates[i]),
                     *rb = json_object_get(json_object_get(b->score, "rates"), rates[i]);
        add(&rows, n, xstrdup(names[i]), percent(ra), percent(rb), gain(ra, rb));
    }
    const json_t *ta = json_object_get(json_object_get(a->score, "tokens"), "mean"),
                 *tb = json_object_get(json_object_get(b->score, "tokens"), "mean");
    if (ta && tb)
        add(&rows, n, xstrdup("tokens of an answer"), xprintf("%.0f", json_number_value(ta)), xprintf("%.0f", json_number_value(tb)),
            xprintf("%+.0f", round(json_number_value(tb) - json_number_value(ta)) + 0.0));
    return rows;
}

static void rows_free(struct row *rows, int n)
{
    for (int i = 0; i < n; i++)
        for (int j = 0; j < 4; j++)
            free(rows[i].cell[j]);
    free(rows);
}

/* What the tests say, in words. */
static char *verdict(const struct comparison *c)
{
    const struct paired *p = &c->paired;
    return xprintf(
        "%lld problems: %lld better in %s, %lld better in %s, %lld equal. p = %.4g on problems like these (exact sign-flip test%s), "
        "p = %.4g on these problems (exact permutation of samples).",
        (long long)c->m, (long long)p->a_better, c->side[1].label, (long long)p->b_better, c->side[0].label, (long long)p->equal, p->p_like,
        c->side[0].samples == 1 && c->side[1].samples == 1 ? ": McNemar's" : "", p->p_these);
}

/* The rules that a side's verdicts follow; scores without the key are older than the choice. */
static const char *judge_of(const struct side *s)
{
    const char *judge = json_string_value(json_object_get(s->score, "judge"));
    return judge ? judge : "default";
}

/* A difference of judges is no difference of models. NULL: there is none. */
static char *other_judge(const struct comparison *c)
{
    const struct side *a = &c->side[0], *b = &c->side[1];
    return strcmp(judge_of(a), judge_of(b)) == 0
               ? NULL
               : xprintf("The judges differ: --judge %s in %s, --judge %s in %s.", judge_of(a), a->label, judge_of(b), b->label);
}

static char *left_out(const struct comparison *c)
{
    const struct side *a = &c->side[0], *b = &c->side[1];
    return a->only + b->only == 0 ? NULL
                                  : xprintf("Left out of the difference: %lld problems that only %s has, %lld that only %s has.",
                                            (long long)a->only, a->label, (long long)b->only, b->label);
}

void comparison_text(FILE *to, const struct comparison *c)
{
    int n, width[4] = {0};
    struct row *rows = rows_of(c, &n);
    char *words = verdict(c), *out = left_out(c), *judges = other_judge(c);
    const char *const heading[4] = {json_string_value(json_object_get(c->side[0].score, "task")), c->side[0].label, c->side[1].label,
                                    "difference"};
    for (int j = 0; j < 4; j++) {
        width[j] = (int)strlen(heading[j]);
        for (int i = 0; i < n; i++)
            width[j] = (int)strlen(rows[i].cell[j]) > width[j] ? (int)strlen(rows[i].cell[j]) : width[j];
    }
    fprintf(to, "%-*s  %*s  %*s  %*s\n", width[0], heading[0], width[1], heading[1], width[2], heading[2], width[3], heading[3]);
    for (int i = 0; i < n; i++)
        fprintf(to, "%-*s  %*s  %*s  %*s\n", width[0], rows[i].cell[0], width[1], rows[i].cell[1], width[2], rows[i].cell[2], width[3],
                rows[i].cell[3]);
    fprintf(to, "%s\n", words);
    if (out)
        fprintf(to, "%s\n", out);
    if (judges)
        fprintf(to, "%s\n", judges);
    free(judges);
    free(words);
    free(out);
    rows_free(rows, n);
}

/* ---- the page ---- */

struct change {
    int64_t i;
    double by;
};

static int by_change(const void *a, const void *b)
{
    const struct change *x = a, *y = b;
    if (fabs(x->by) != fabs(y->by))
        return fabs(x->by) < fabs(y->by) ? 1 : -1;
    return (x->i > y->i) - (x->i < y->i);
}

static void problems(struct html *h, const struct comparison *c)
{
    enum { BETTER, WORSE, BOTH, NEITHER, EQUAL, KINDS };
    const struct side *a = &c->side[0], *b = &c->side[1];
    char *better = xprintf("better in %s", b->label), *worse = xprintf("better in %s", a->label);
    const struct html_kind kinds[KINDS] = {
        {better, "good"}, {worse, "bad"}, {"always right in both", "c0"}, {"never right", "c5"}, {"equal", "line"}};
    struct html_square *at = xcalloc((size_t)c->m, sizeof(*at));
    struct change *change = xcalloc((size_t)c->m, sizeof(*change));
    int64_t changed = 0;
    for (int64_t i = 0; i < c->m; i++) {
        double x = (double)a->right[i] / (double)a->samples, y = (double)b->right[i] / (double)b->samples;
        at[i].kind = y > x ? BETTER : y < x ? WORSE : x == 1 ? BOTH : x == 0 ? NEITHER : EQUAL;
        at[i].hint = xprintf("%s: %lld of %lld, then %lld of %lld", c->id[i], (long long)a->right[i], (long long)a->samples,
                             (long long)b->right[i], (long long)b->samples);
        if (x != y)
            change[changed++] = (struct change){i, y - x};
    }
    qsort(change, (size_t)changed, sizeof(*change), by_change);
    html_grid(h, "Problems", kinds, KINDS, at, c->m, 60, NULL);
    char *summary = xprintf("The %lld problems that changed, most first", (long long)changed);
    fputs("<details><summary>", h->f);
    html_text(h, summary);
    fputs("</summary>\n", h->f);
    html_table_begin(h, (const char *const[]){"problem", a->label, b->label, "difference", NULL});
    for (int64_t j = 0; j < changed; j++) {
        int64_t i = change[j].i;
        html_row(h);
        html_cell(h, NULL, "%s", c->id[i]);
        html_cell(h, "num", "%lld of %lld", (long long)a->right[i], (long long)a->samples);
        html_cell(h, "num", "%lld of %lld", (long long)b->right[i], (long long)b->samples);
        html_cell(h, change[j].by > 0 ? "num good" : "num bad", "%+.1f", 100 * change[j].by);
    }
    html_table_end(h);
    fputs("</details>\n", h->f);
    for (int64_t i = 0; i < c->m; i++)
        free((char *)at[i].hint);
    free(summary);
    free(change);
    free(at);
    free(better);
    free(worse);
}

void comparison_html(struct html *h, const struct comparison *c)
{
    int n;
    struct row *rows = rows_of(c, &n);
    char *words = verdict(c), *out = left_out(c), *judges = other_judge(c);
    struct html_bar bar[2];
    html_element(h, "h2", NULL, json_string_value(json_object_get(c->side[0].score, "task")));
    for (int k = 0; k < 2; k++) {
        const struct side *s = &c->side[k];
        struct interval like = metric_like_these(s->right, c->m, s->samples);
        bar[k] = (struct html_bar){s->label, metric_mean_pass(s->right, c->m, s->samples, 1), like.low, like.high, -1};
    }
    html_bars(h, "Accuracy, 95% intervals for problems like these", "", bar, 2);
    html_table_begin(h, (const char *const[]){"", c->side[0].label, c->side[1].label, "difference", NULL});
    for (int i = 0; i < n; i++) {
        html_row(h);
        html_cell(h, NULL, "%s", rows[i].cell[0]);
        for (int j = 1; j < 4; j++)
            html_cell(h, "num", "%s", rows[i].cell[j]);
    }
    html_table_end(h);
    html_element(h, "p", NULL, words);
    if (out)
        html_element(h, "p", "dim", out);
    if (judges)
        html_element(h, "p", "bad", judges);
    problems(h, c);
    free(judges);
    free(words);
    free(out);
    rows_free(rows, n);
}
