/* data/synth/code.c - composing the concepts, and tests of what they do. See code.h. */
#include "data/synth/code.h"
#include "core/err.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct code_concept *const groups[] = {code_lists, code_texts, code_numbers};
enum { GROUPS = sizeof(groups) / sizeof(groups[0]), TESTS = 8, PUBLIC = 2 };

const struct code_concept *code_concept_at(int i)
{
    for (int g = 0; g < GROUPS; g++)
        for (const struct code_concept *c = groups[g]; c->name; c++)
            if (i-- == 0)
                return c;
    return NULL;
}

/* How many concepts a level has, and how hard they may be; large: of the tests' numbers. */
static const struct {
    int fewest, most, hard;
    bool large;
} levels[SYNTH_LEVELS] = {{1, 1, 1, false}, {1, 2, 2, false}, {2, 3, 2, true}, {3, 3, 3, true}, {3, 4, 3, true}};

struct step {
    const struct code_concept *concept;
    int64_t k;
};
struct pipeline {
    struct step at[SYNTH_MOST];
    int n;
    bool function; /* else a program */
    struct code_value in[TESTS], out[TESTS];
};

/* All steps but number skip (-1: all). */
static bool run(const struct pipeline *p, int skip, const struct code_value *in, struct code_value *out)
{
    struct code_value v = *in;
    for (int i = 0; i < p->n; i++) {
        if (i == skip)
            continue;
        struct code_value next = {.type = p->at[i].concept->to};
        if (!p->at[i].concept->apply(&v, p->at[i].k, &next))
            return false;
        v = next;
    }
    *out = v;
    return true;
}

/* ---- values as text ---- */

/* As a program reads and prints it; json: as an argument or a result of a function. */
static void put_value(struct text *t, const struct code_value *v, bool json)
{
    if (v->type == CODE_INT)
        put(t, "%ld", v->number);
    else if (v->type == CODE_STRING)
        put(t, json ? "\"%s\"" : "%s", v->text); /* letters, digits and blanks: nothing to escape */
    else {
        put(t, json ? "[" : "%s", "");
        for (int64_t i = 0; i < v->n; i++)
            put(t, "%s%ld", i == 0 ? "" : json ? ", " : " ", v->list[i]);
        put(t, json ? "]" : "%s", "");
    }
}

static bool same(const struct code_value *a, const struct code_value *b)
{
    char x[CODE_LONGEST * 24], y[CODE_LONGEST * 24];
    struct text s = {x, 0, sizeof(x)}, t = {y, 0, sizeof(y)};
    x[0] = y[0] = 0;
    put_value(&s, a, true);
    put_value(&t, b, true);
    return strcmp(x, y) == 0;
}

/* ---- drawing a problem ---- */

static bool draw_pipeline(struct pipeline *p, struct draw *r, int level, const struct synth_choice *choice)
{
    int dice = (int)draw_below(r, 10), wanted = (int)draw_between(r, levels[level].fewest, levels[level].most);
    enum code_type type = dice < 5 ? CODE_LIST : dice < 8 ? CODE_STRING : CODE_INT;
    p->function = draw_below(r, 2);
    for (p->n = 0; p->n < wanted; p->n++) {
        const struct code_concept *pick = NULL, *c;
        int n = 0;
        for (int i = 0; (c = code_concept_at(i)); i++) {
            bool fits = c->from == type && c->hard <= levels[level].hard && synth_chosen(choice, c->name);
            /* What counts ends a problem: the clauses about integers speak of positive ones. */
            if (p->n + 1 < wanted && c->from != CODE_INT && c->to == CODE_INT)
                fits = false;
            for (int j = 0; j < p->n; j++)
            fits = fits && p->at[j].concept != c;
            if (fits && draw_below(r, ++n) == 0)
                pick = c;
        }
        if (!pick)
            return false;
        p->at[p->n] = (struct step){pick, pick->high ? draw_between(r, pick->low, pick->high) : 0};
        type = pick->to;
    }
    return true;
}

/* The first tests are middling, then come an empty or smallest one and one of a single element. */
static void draw_input(struct code_value *v, struct draw *r, enum code_type type, int test, bool large)
{
    *v = (struct code_value){.type = type};
    int most = test < PUBLIC ? 6 : large ? 16 : 10, size = test == PUBLIC ? 0 : test == PUBLIC + 1 ? 1 : (int)draw_between(r, 3, most);
    if (type == CODE_INT) {
        v->number = test == PUBLIC ? 2 : draw_between(r, 3, test % 2 ? 40 : large ? 3000 : 300);
    } else if (type == CODE_LIST) {
        for (v->n = 0; v->n < size; v->n++)
            v->list[v->n] = test % 2 || !large ? draw_between(r, -9, 20) : draw_between(r, -99, 199);
    } else {
        static const char letters[] = "aabbccdeeefghiiklmnoopqrsstuvwxyz";
        size_t n = 0;
        for (int word = 0; word < (size + 2) / 3; word++) {
            n += word ? (size_t)snprintf(v->text + n, 2, " ") : 0;
            for (int64_t i = draw_between(r, 2, 6); i > 0; i--) { /* a third of the letters come again */
                char c = n && v->text[n - 1] != ' ' && draw_below(r, 3) == 0 ? v->text[n - 1] : letters[draw_below(r, sizeof(letters) - 1)];
                v->text[n++] = c;
            }
        }
    }
}

/* Inputs of which no step can be left out unseen and that do not all come to the same; false: there are none at hand. */
static bool draw_tests(struct pipeline *p, struct draw *r, bool large)
{
    bool matters[SYNTH_MOST] = {false};
    int different = 0;
    for (int t = 0; t < TESTS; t++) {
        int tries = 0;
        do
            draw_input(&p->in[t], r, p->at[0].concept->from, t, large);
        while (!run(p, -1, &p->in[t], &p->out[t]) && ++tries < 20);
        if (tries == 20)
            return false;
        bool fresh = true;
        for (int u = 0; u < t; u++)
            fresh = fresh && !same(&p->out[t], &p->out[u]);
        different += fresh;
        for (int i = 0; i < p->n; i++) {
            struct code_value without;
            matters[i] = matters[i] || p->at[i].concept->from != p->at[i].concept->to || !run(p, i, &p->in[t], &without) ||
                         !same(&without, &p->out[t]);
        }
    }
    for (int i = 0; i < p->n; i++)
        if (!matters[i])
            return false;
    bool shown = p->out[0].type == CODE_LIST ? p->out[0].n > 0 : p->out[0].type == CODE_INT || p->out[0].text[0]; /* as the example */
    return different >= 3 && shown;
}

/* ---- writing it down ---- */

static void tell(struct text *t, const char *template, int64_t k)
{
    for (const char *p = template; *p; p++)
        if (p[0] == '$' && p[1] == 'k') {
            put(t, "%ld", k);
            p++;
        } else {
            put(t, "%c", *p);
        }
}

static void write_statement(struct text *t, const struct pipeline *p)
{
    static const char *const reads[] = {"The input is one line of integers with blanks between them; it may be empty.",
                                        "The input is one line: small letters, with single blanks between words; it may be empty.",
                                        "The input is one positive integer."};
    static const char *const takes[] = {"Write a function solve(a) of a list of integers.",
                                        "Write a function solve(s) of a string of small letters, with single blanks between words.",
                                        "Write a function solve(n) of a positive integer."};
    static const char *const prints[] = {"Print the numbers of the result on one line.", "Print the result.", "Print the result."};
    enum code_type from = p->at[0].concept->from, to = p->at[p->n - 1].concept->to;
    put(t, "%s", p->function ? takes[from] : reads[from]);
    for (int i = 0; i < p->n; i++) {
        put(t, " %s", p->n == 1 ? "" : i == 0 ? "First, " : i + 1 < p->n ? "Then, " : "Finally, ");
        size_t at = t->n;
        tell(t, p->at[i].concept->clause, p->at[i].k);
        if (p->n == 1) /* the clause begins the sentence */
            t->at[at] = (char)(t->at[at] - 'a' + 'A');
        put(t, ".");
    }
    put(t, " %s\nExample: ", p->function ? "Return the result." : prints[to]);
    put_value(t, &p->in[0], p->function);
    put(t, " gives ");
    put_value(t, &p->out[0], p->function);
    put(t, ".");
}

static void write_thought(struct text *t, const struct pipeline *p)
{
    struct code_value v = p->in[0];
    put(t, "Example: ");
    put_value(t, &v, p->function);
    put(t, "\n");
    for (int i = 0; i < p->n; i++) {
        struct code_value next = {.type = p->at[i].concept->to};
        must(p->at[i].concept->apply(&v, p->at[i].k, &next));
        v = next;
        tell(t, p->at[i].concept->clause, p->at[i].k);
        put(t, ": ");
        put_value(t, &v, p->function);
        put(t, "\n");
    }
}

/* Lines, indented. */
static void put_lines(struct text *t, const char *python, int64_t k, const char *indent)
{
    put(t, "%s", indent);
    for (const char *p = python; *p; p++) {
        char one[3] = {*p, p[0] == '$' ? *++p : 0, 0};
        tell(t, one, k);
        if (*p == '\n')
            put(t, "%s", indent);
    }
    put(t, "\n");
}

static void write_program(struct text *t, const struct pipeline *p)
{
    static const char *const read[] = {"a = [int(x) for x in input().split()]\n", "s = input()\n", "n = int(input())\n"};
    static const char *const print[] = {"print(*a)\n", "print(s)\n", "print(n)\n"};
    static const char name[] = {'a', 's', 'n'};
    enum code_type from = p->at[0].concept->from, to = p->at[p->n - 1].concept->to;
    put(t, "```python\n");
    if (p->function)
        put(t, "def solve(%c):\n", name[from]);
    else
        put(t, "%s", read[from]);
    for (int i = 0; i < p->n; i++)
        put_lines(t, p->at[i].concept->python, p->at[i].k, p->function ? "    " : "");
    if (p->function)
        put(t, "    return %c\n", name[to]);
    else
        put(t, "%s", print[to]);
    put(t, "```\n");
}

/* As LiveCodeBench keeps them: an array in a string. */
static json_t *tests_of(const struct pipeline *p, int from, int to)
{
    json_t *list = json_array();
    for (int t = from; t < to; t++) {
        char in[CODE_LONGEST * 24], out[CODE_LONGEST * 24];
        struct text x = {in, 0, sizeof(in)}, y = {out, 0, sizeof(out)};
        put_value(&x, &p->in[t], p->function);
        put_value(&y, &p->out[t], p->function);
        put(&x, "%s", p->function ? "" : "\n");
        put(&y, "%s", p->function ? "" : "\n");
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:s}", "input", in, "output", out, "testtype", p->function ? "functional" : "stdin"));
    }
    char *dump = json_dumps(list, JSON_COMPACT);
    json_t *text = json_string(dump);
    json_decref(list);
    free(dump);
    return text;
}

static void write_down(struct synth_problem *to, const struct pipeline *p)
{
    struct text key = {to->key, 0, sizeof(to->key)}, statement = {to->statement, 0, sizeof(to->statement)},
                why = {to->rationale, 0, sizeof(to->rationale)}, thought = {to->thought, 0, sizeof(to->thought)},
                answer = {to->answer, 0, sizeof(to->answer)};
    static const char *const sources[] = {"list", "string", "integer"};
    static const char *const starters[] = {"def solve(a):", "def solve(s):", "def solve(n):"};
    enum code_type from = p->at[0].concept->from;
    put(&key, "%s", sources[from]);
    put(&why, "A pipeline over a%s %s: ", from == CODE_INT ? "n" : "", sources[from]);
    for (int i = 0; i < p->n; i++) {
        put(&key, "; %s", p->at[i].concept->name);
        if (p->at[i].k || p->at[i].concept->high)
            put(&key, " %ld", p->at[i].k);
        put(&why, "%s%s", i == 0 ? "" : i + 1 < p->n ? ", then " : ", and at last ", p->at[i].concept->name);
        to->concepts[to->n_concepts++] = p->at[i].concept->name;
    }
    put(&why, p->n > 1 ? ", each on what the one before it gave." : ".");
    write_statement(&statement, p);
    write_thought(&thought, p);
    write_program(&answer, p);
    to->truth = json_pack("{s:s, s:s, s:s, s:o, s:o}", "question_content", to->statement, "starter_code", p->function ? starters[from] : "",
                          "metadata", p->function ? "{\"func_name\": \"solve\"}" : "{}", "public_test_cases", tests_of(p, 0, PUBLIC),
                          "private_test_cases", tests_of(p, PUBLIC, TESTS));
    must(to->truth);
}

void synth_code_make(struct synth_problem *p, int level, bool held_out, const struct synth_choice *choice, uint64_t seed, uint64_t index)
{
    must(level >= 1 && level <= SYNTH_LEVELS);
    struct draw r = {seed, index << 4 | (uint64_t)level << 1 | (uint64_t)held_out, 0};
    struct pipeline *pipeline = xcalloc(1, sizeof(*pipeline));
    for (;;) {
        must(r.n < 1u << 24);
        *p = (struct synth_problem){0};
        if (!draw_pipeline(pipeline, &r, level - 1, choice) || !draw_tests(pipeline, &r, levels[level - 1].large))
            continue;
        write_down(p, pipeline);
        if (synth_held_out(p->key) == held_out)
            break;
        synth_problem_free(p);
    }
    free(pipeline);
}
