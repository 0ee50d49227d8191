/* infer/tasks/recall.c - what a fixed-size state keeps: documents of facts and a question about one. TRUTH is what synth --domain recall --kind
 * eval writes: {id, prompt, answer, question, length, facts, position}. The answer is the text, blanks around it apart. */
#include "core/html.h"
#include "infer/tasks/task.h"
#include <math.h>
#include <string.h>

static char *trimmed(const char *s)
{
    static const char blanks[] = " \t\r\n";
    s += strspn(s, blanks);
    size_t n = strcspn(s, "\r\n");
    while (n && strchr(blanks, s[n - 1]))
        n--;
    return xprintf("%.*s", (int)n, s);
}

static bool gold(const json_t *truth, char **key, struct err *e)
{
    const char *answer;
    int64_t length;
    double position;
    if (!json_get_str(truth, "answer", &answer, e) || !json_get_int(truth, "length", 1, INT64_MAX, &length, e) ||
        !json_get_num(truth, "position", &position, e))
        return false;
    *key = trimmed(answer);
    return true;
}

/* The first line is the answer: a document's next question may follow it. */
static void judge(struct verdict *v, const json_t *truth, const char *key, const char *text, bool cut)
{
    (void)truth;
    (void)cut;
    const char *after = answer_after_think(text);
    v->extracted = trimmed(after ? after : text);
    if (!v->extracted[0]) {
        free(v->extracted);
        v->extracted = NULL;
        v->why = xstrdup("the answer is empty");
        return;
    }
    v->correct = strcmp(v->extracted, key) == 0;
    v->key = xstrdup(v->extracted);
    v->why = v->correct ? xstrdup("the first line is the answer") : xprintf("the first line is not %s", key);
}

/* ---- accuracy against length, for every quarter of the document in which the answer stands ---- */

enum { PARTS = 4, LENGTHS = 64 };
static const char *const part_names[PARTS + 1] = {"first quarter", "second quarter", "third quarter", "last quarter", "anywhere"};

struct cell {
    int64_t n, right;
};
struct table {
    int64_t length[LENGTHS]; /* ascending */
    struct cell cell[LENGTHS][PARTS + 1];
    int n;
    int64_t left_out; /* questions of lengths for which there was no row */
};

/* The row of a length, made where it belongs; NULL: there are too many. */
static struct cell *row_of(struct table *t, int64_t length)
{
    int i = 0;
    while (i < t->n && t->length[i] < length)
        i++;
    if (i < t->n && t->length[i] == length)
        return t->cell[i];
    if (t->n == LENGTHS)
        return NULL;
    memmove(&t->length[i + 1], &t->length[i], (size_t)(t->n - i) * sizeof(t->length[0]));
    memmove(&t->cell[i + 1], &t->cell[i], (size_t)(t->n - i) * sizeof(t->cell[0]));
    t->n++;
    t->length[i] = length;
    memset(t->cell[i], 0, sizeof(t->cell[0]));
    return t->cell[i];
}

static void count(struct table *t, const json_t *score)
{
    size_t i;
    json_t *v;
    json_array_foreach(json_object_get(score, "verdicts"), i, v)
    {
        struct cell *row = row_of(t, json_integer_value(json_object_get(v, "length")));
        t->left_out += !row;
        double position = json_number_value(json_object_get(v, "position"));
        int part = position >= 1 ? PARTS - 1 : position > 0 ? (int)(position * PARTS) : 0;
        for (int j = 0; row && j < 2; j++) {
            struct cell *c = &row[j ? PARTS : part];
            c->n++;
            c->right += json_is_true(json_object_get(v, "correct"));
        }
    }
}

static void page(struct html *h, const json_t *score)
{
    struct table t = {0};
    double x[PARTS + 1][LENGTHS], y[PARTS + 1][LENGTHS];
    struct html_line line[PARTS + 1];
    count(&t, score);
    for (int p = 0; p <= PARTS; p++) {
        line[p] = (struct html_line){.name = part_names[p], .x = x[p], .y = y[p], .n = t.n, .colour = p};
        for (int i = 0; i < t.n; i++) {
            x[p][i] = (double)t.length[i];
            y[p][i] = t.cell[i][p].n ? 100.0 * (double)t.cell[i][p].right / (double)t.cell[i][p].n : NAN;
        }
    }
    html_element(h, "h2", NULL, "Against length and position");
    html_chart(h, &(struct html_chart){.title = "Right answers by where in the document they stand, percent",
                                       .x_label = "tokens of the document",
                                       .log_x = true,
                                       .zero = true,
                                       .line = line,
                                       .n_line = PARTS + 1});
    static const char *const headings[] = {"tokens",       "first quarter", "second quarter", "third quarter",
                                           "last quarter", "anywhere",      "questions",      NULL};
    html_table_begin(h, headings);
    for (int i = 0; i < t.n; i++) {
        html_row(h);
        html_cell(h, "num", "%lld", (long long)t.length[i]);
        for (int p = 0; p <= PARTS; p++)
            if (t.cell[i][p].n)
                html_cell(h, "num", "%.0f%%", y[p][i]);
            else
                html_cell(h, NULL, "%s", "");
        html_cell(h, "num", "%lld", (long long)t.cell[i][PARTS].n);
    }
    html_table_end(h);
    if (t.left_out) {
        char *note = xprintf("Left out: %lld questions of other lengths; there are more than %d.", (long long)t.left_out, LENGTHS);
        html_element(h, "p", "dim", note);
        free(note);
    }
}

static const char *const kept[] = {"question", "length", "facts", "position", NULL};

const struct task task_recall = {
    .name = "recall",
    .about = "values of keys and words of long documents (synth --domain recall): the first line as it stands",
    .sampling = {.samples = 1, .max_new_tokens = 8},
    .prompt = task_own_prompt,
    .gold = gold,
    .judge = judge,
    .kept = kept,
    .page = page,
};
