/* data/select/decontam.c - see decontam.h. */
#include "data/select/decontam.h"
#include "core/hash.h"
#include "data/select/minhash.h"
#include "data/records.h"
#include "data/select/table.h"
#include <stdlib.h>
#include <string.h>

enum {
    FEWEST_WORDS = 6, /* of a problem that is looked for anywhere in a question */
    COMMON = 4        /* problems that may share an n-gram */
};
static const uint64_t BASE = 0x9e3779b97f4a7c15u; /* of the polynomial in a row of words' hashes */

const char *const decontam_part_names[] = {"question", "all", NULL};

/* What stands around problems, in published prompts and in import.c's. */
static const char *const frames[] = {
    "<|im_start|>user",
    "<|im_start|>assistant",
    "<|im_start|>system",
    "<|im_end|>",
    "<｜begin▁of▁sentence｜>",
    "Please reason step by step, and put your final answer within \\boxed{}.",
    "Let's think step by step and output the final answer within \\boxed{}.",
    "Solve the following math problem.",
    "You will be given a question (problem specification) and will generate a correct Python program that matches the specification and passes "
    "all tests.",
    "Read the inputs from stdin solve the problem and write the answer to stdout (do not directly test on the sample inputs). Enclose your code "
    "within delimiters as follows. Ensure that when the python program runs, it reads the inputs, runs the algorithm and writes output to "
    "STDOUT.",
    "You will use the following starter code to write the solution to the problem and enclose your code within delimiters.",
    "Please solve the programming task below using a self-contained code snippet in a markdown code block.",
    "python # YOUR CODE HERE",
};

/* ------------------------------------------------------------------- the index */

struct problem {
    char *id;
    int set;
};
struct gram {                          /* n words in a row, or a whole short problem */
    int32_t problems, problem[COMMON]; /* how many have it; the first of them */
};
struct set {
    char *path, hex[HASH_XXH3_HEX];
    int64_t problems;
};
struct decontam {
    int64_t ngram;
    double similarity, coverage;
    bool answers;
    uint64_t power; /* BASE^ngram */
    struct set *set;
    struct problem *problem;
    struct gram *gram;
    struct near near; /* the problems under their numbers */
    int n_set;
    int32_t n_problem, n_gram, problem_room, gram_room;
    struct table statements; /* problems by all their words, so that the same in two sets is one */
    struct table grams;
    bool *length; /* [ngram] there is a short problem of so many words */
    struct words frame[64];
    int n_frame;
    uint64_t frame_begins; /* bit h mod 64: a frame's first word has the hash h */
};

static uint64_t hash_row(const struct word *w, int64_t n)
{
    uint64_t h = 0;
    for (int64_t i = 0; i < n; i++)
        h = h * BASE + w[i].hash;
    return h;
}

static bool frame_here(const struct words *frame, const struct word *w, int64_t n)
{
    if (frame->n > n)
        return false;
    for (int64_t i = 0; i < frame->n; i++)
        if (frame->at[i].hash != w[i].hash)
            return false;
    return true;
}

/* Words of a text without the frames. */
static void bare_words(const struct decontam *d, struct words *w, const char *text)
{
    int64_t n = 0;
    bool line = false;
    words_of(w, text, strlen(text));
    for (int64_t i = 0; i < w->n;) {
        int f = d->frame_begins >> w->at[i].hash % 64 & 1 ? 0 : d->n_frame;
        while (f < d->n_frame && !frame_here(&d->frame[f], w->at + i, w->n - i))
            f++;
        line = line || w->at[i].line;
        if (f < d->n_frame) {
            i += d->frame[f].n;
        } else {
            w->at[n] = w->at[i++];
            w->at[n++].line = line;
            line = false;
        }
    }
    w->n = n;
}

static void add_gram(struct decontam *d, uint64_t key, int32_t problem)
{
    int32_t *at = table_put(&d->grams, key, d->n_gram);
    if (*at == d->n_gram) {
        if (d->n_gram == d->gram_room)
            d->gram = xrealloc(d->gram, (size_t)(d->gram_room = 2 * d->gram_room + 1024) * sizeof *d->gram);
        d->gram[d->n_gram++] = (struct gram){.problems = 0};
    }
    struct gram *g = &d->gram[*at];
    if (g->problems > COMMON || (g->problems > 0 && g->problem[g->problems - 1] == problem))
        return; /* common already, or twice in one problem */
    if (g->problems < COMMON)
        g->problem[g->problems] = problem;
    g->problems++;
}

static void add_problem(struct decontam *d, const char *text, char *id, struct decontam_room *r)
{
    struct words *w = &r->words;
    bare_words(d, w, text);
    d->set[d->n_set - 1].problems++;
    if (w->n == 0 || *table_put(&d->statements, hash_row(w->at, w->n), d->n_problem) != d->n_problem) {
        free(id);
        return;
    }
    if (d->n_problem == d->problem_room)
        d->problem = xrealloc(d->problem, (size_t)(d->problem_room = 2 * d->problem_room + 256) * sizeof *d->problem);
    d->problem[d->n_problem] = (struct problem){id, d->n_set - 1};
    if (w->n < d->ngram) {
        d->length[w->n] = true;
        add_gram(d, hash_row(w->at, w->n), d->n_problem);
    }
    for (int64_t i = 0; i + d->ngram <= w->n; i++)
        add_gram(d, hash_row(w->at + i, d->ngram), d->n_problem);
    runs_of(&r->runs, w, true);
    near_add(&d->near, &r->runs);
    d->n_problem++;
}

/* ------------------------------------------------------------------- reading the evaluation sets */

static const char *const statement_keys[] = {"problem", "question", "question_content", "text", "prompt", "input", "messages", NULL};
static const char *const id_keys[] = {"id", "unique_id", "task_id", "question_id", "global_id", "idx", NULL};

/* The contents of the turns of one role, a line apart; the caller frees. */
static char *turns_of(const json_t *messages, const char *role)
{
    char *all = xstrdup("");
    size_t i;
    const json_t *m;
    json_array_foreach(messages, i, m)
    {
        const char *who = json_string_value(json_object_get(m, "role")), *content = json_string_value(json_object_get(m, "content"));
        if (!who || !content || strcmp(who, role) != 0)
            continue;
        char *more = xprintf("%s%s\n", all, content);
        free(all);
        all = more;
    }
    return all;
}

/* The caller frees; NULL: there is none. */
static char *statement_of(const json_t *record)
{
    for (const char *const *key = statement_keys; *key; key++) {
        const json_t *v = json_object_get(record, *key);
        if (json_is_string(v))
            return xstrdup(json_string_value(v));
        if (json_is_array(v) && strcmp(*key, "messages") == 0)
            return turns_of(v, "user");
    }
    return NULL;
}

static char *id_of(const json_t *record, int64_t number)
{
    for (const char *const *key = id_keys; *key; key++) {
        const json_t *v = json_object_get(record, *key);
        if (json_is_string(v))
            return xstrdup(json_string_value(v));
        if (json_is_integer(v))
            return xprintf("%" JSON_INTEGER_FORMAT, json_integer_value(v));
    }
    return xprintf("line %lld", (long long)number);
}

static bool read_sets(struct decontam *d, struct records *records, struct decontam_room *room, struct err *e)
{
    struct record from;
    int got, file = -1;
    while ((got = records_next(records, &from, e)) == 1) {
        for (; file < from.file; d->n_set++) { /* an empty file has its set, too */
            d->set[d->n_set].path = xstrdup(records_file(records, ++file));
            if (!hash_xxh3_file(d->set[d->n_set].path, d->set[d->n_set].hex, e))
                return false;
        }
        json_t *record = records_parse(records, &from, NULL, e);
        char *text = record ? statement_of(record) : NULL;
        if (text)
            add_problem(d, text, id_of(record, from.number), room);
        else if (record) {
            char *where = records_where(records, &from);
            err_set(e,
                    "%s: this evaluation record has no problem; expected one of the keys problem, question, question_content, text, "
                    "prompt, input, messages",
                    where);
            free(where);
        }
        json_decref(record);
        free(text);
        if (!text)
            return false;
    }
    return got == 0;
}

static bool add_frame(struct decontam *d, const char *text, struct err *e)
{
    if (d->n_frame == (int)(sizeof d->frame / sizeof *d->frame))
        return err_set(e, "there may be at most %zu frames, with the usual ones", sizeof d->frame / sizeof *d->frame);
    struct words *w = &d->frame[d->n_frame++];
    words_of(w, text, strlen(text));
    if (w->n < 2)
        return err_set(e, "the frame \"%.60s\" must have two words at least", text);
    d->frame_begins |= (uint64_t)1 << w->at[0].hash % 64;
    return true;
}

bool decontam_open(struct decontam **out, const struct decontam_settings *s, struct err *e)
{
    const char *columns[sizeof statement_keys / sizeof *statement_keys + sizeof id_keys / sizeof *id_keys] = {NULL};
    size_t n = 0;
    for (size_t i = 0; statement_keys[i]; i++)
        columns[n++] = statement_keys[i];
    for (size_t i = 0; id_keys[i]; i++)
        columns[n++] = id_keys[i];
    struct records_from from = {s->against.at, s->against.n, NULL, SET_BARE, columns};
    struct records *records = NULL;
    struct decontam_room room = {0};
    struct decontam *d = xcalloc(1, sizeof *d);
    *d = (struct decontam){
        .ngram = s->ngram, .similarity = s->similarity, .coverage = s->coverage, .answers = s->part == DECONTAM_ALL, .power = 1};
    d->length = xcalloc((size_t)s->ngram, sizeof *d->length);
    for (int64_t i = 0; i < s->ngram; i++)
        d->power *= BASE;
    bool ok = true;
    for (size_t i = 0; ok && i < sizeof frames / sizeof *frames; i++)
        ok = add_frame(d, frames[i], e);
    for (int64_t i = 0; ok && i < s->frames.n; i++)
        ok = add_frame(d, s->frames.at[i], e);
    ok = ok && records_open(&records, &from, e);
    if (ok) {
        d->set = xcalloc((size_t)records_files(records), sizeof *d->set);
        ok = read_sets(d, records, &room, e) && (d->n_problem > 0 || err_set(e, "the evaluation sets hold no problem"));
    }
    records_close(records);
    decontam_room_free(&room);
    if (ok)
        *out = d;
    else
        decontam_close(d);
    return ok;
}

void decontam_close(struct decontam *d)
{
    if (!d)
        return;
    for (int i = 0; i < d->n_set; i++)
        free(d->set[i].path);
    for (int32_t i = 0; i < d->n_problem; i++)
        free(d->problem[i].id);
    for (int i = 0; i < d->n_frame; i++)
        words_free(&d->frame[i]);
    table_free(&d->statements);
    table_free(&d->grams);
    free(d->length);
    free(d->set);
    free(d->problem);
    free(d->gram);
    near_free(&d->near);
    free(d);
}

json_t *decontam_sets(const struct decontam *d)
{
    json_t *all = json_array();
    for (int i = 0; i < d->n_set; i++)
        json_array_append_new(
            all, json_pack("{s:s, s:s, s:I}", "path", d->set[i].path, "xxh3", d->set[i].hex, "problems", (json_int_t)d->set[i].problems));
    return all;
}

int64_t decontam_problems(const struct decontam *d)
{
    return d->n_problem;
}

/* ------------------------------------------------------------------- looking for copies */

void decontam_room_free(struct decontam_room *r)
{
    words_free(&r->words);
    runs_free(&r->runs);
    *r = (struct decontam_room){0};
}

static const struct gram *gram_of(const struct decontam *d, uint64_t key)
{
    int32_t at = table_get(&d->grams, key);
    return at >= 0 && d->gram[at].problems <= COMMON ? &d->gram[at] : NULL;
}

/* Is enough of the problem in the text of these runs? What has too few runs to tell is. */
static bool covered(const struct decontam *d, int32_t problem, const struct runs *r, double *share)
{
    const struct runs *p = &d->near.text[problem];
    *share = p->at ? minhash_share(p->at, p->n, r->at, r->n) : 1;
    return *share >= d->coverage;
}

static void know_runs(struct decontam_room *r)
{
    if (!r->runs_known)
        runs_of(&r->runs, &r->words, true);
    r->runs_known = true;
}

/* Where words stand that are a problem's, which, and how much of it is there. */
struct place {
    int64_t at, n;
    int32_t problem;
    double share;
};

/* n words in a row. The text's runs are worked out when they are needed. */
static bool find_row(const struct decontam *d, struct decontam_room *r, int64_t n, uint64_t power, struct place *to)
{
    const struct words *w = &r->words;
    uint64_t h = 0;
    for (int64_t i = 0; i < w->n; i++) {
        h = h * BASE + w->at[i].hash - (i >= n ? power * w->at[i - n].hash : 0);
        const struct gram *g = i + 1 >= n ? gram_of(d, h) : NULL;
        if (g)
            know_runs(r);
        for (int k = 0; g && k < g->problems; k++)
            if (covered(d, g->problem[k], &r->runs, &to->share)) {
                *to = (struct place){i + 1 - n, n, g->problem[k], to->share};
                return true;
            }
    }
    return false;
}

/* All of a question, or a line of it, of fewer than FEWEST_WORDS words that is a short problem. */
static bool find_line(const struct decontam *d, const struct words *w, struct place *to)
{
    for (int64_t i = 0, end; i < w->n; i = end) {
        end = w->n < FEWEST_WORDS ? w->n : i + 1;
        while (end < w->n && !w->at[end].line)
            end++;
        const struct gram *g = end - i < FEWEST_WORDS && d->length[end - i] ? gram_of(d, hash_row(w->at + i, end - i)) : NULL;
        if (g) {
            *to = (struct place){i, end - i, g->problem[0], 1};
            return true;
        }
    }
    return false;
}

static bool find_short(const struct decontam *d, struct decontam_room *r, struct place *to)
{
    bool found = find_line(d, &r->words, to);
    uint64_t power = 1;
    for (int64_t k = 1; !found && k < d->ngram; k++) {
        power *= BASE;
        found = k >= FEWEST_WORDS && d->length[k] && find_row(d, r, k, power, to);
    }
    return found;
}

static json_t *hit(const struct decontam *d, const char *how, int32_t problem, const char *measure, double value)
{
    const struct problem *p = &d->problem[problem];
    json_t *v = json_pack("{s:s, s:s, s:s, s:f}", "how", how, "set", d->set[p->set].path, "problem", p->id, measure,
                          (double)(int64_t)(value * 1000 + 0.5) / 1000);
    must(v);
    return v;
}

static json_t *hit_row(const struct decontam *d, const char *how, const struct place *p, const char *text, const struct words *w)
{
    const struct word *first = w->at + p->at, *last = first + p->n - 1;
    json_t *v = hit(d, how, p->problem, "share", p->share);
    json_object_set_new(v, "match", json_stringn(text + first->at, last->at + last->n - first->at));
    return v;
}

static json_t *find_near(const struct decontam *d, struct decontam_room *r)
{
    double similarity;
    know_runs(r);
    int32_t problem = near_find(&d->near, &r->runs, d->similarity, &similarity);
    return problem >= 0 ? hit(d, "near", problem, "similarity", similarity) : NULL;
}

/* question: short problems and near copies are looked for, too. */
static json_t *find_in(const struct decontam *d, const char *text, bool question, struct decontam_room *r)
{
    struct words *w = &r->words;
    struct place at;
    bare_words(d, w, text);
    r->runs_known = false;
    if (find_row(d, r, d->ngram, d->power, &at))
        return hit_row(d, "ngram", &at, text, w);
    if (question && find_short(d, r, &at))
        return hit_row(d, "whole", &at, text, w);
    return question ? find_near(d, r) : NULL;
}

char *decontam_line(const json_t *raw, const char *where, const json_t *hit)
{
    json_t *id = json_object_get(raw, "id"), *v = json_pack("{s:s}", "where", where);
    must(v);
    if (id)
        json_object_set(v, "id", id);
    json_object_update(v, (json_t *)hit);
    char *line = json_line(v);
    must(line);
    json_decref(v);
    return line;
}

const char *decontam_how(const json_t *hit)
{
    static const char *const names[] = {"ngram", "whole", "near"};
    const char *how = json_string_value(json_object_get(hit, "how"));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (how && strcmp(how, names[i]) == 0)
            return names[i];
    die("a finding without \"how\"");
}

json_t *decontam_find(const struct decontam *d, const json_t *record, struct decontam_room *r)
{
    const json_t *messages = json_object_get(record, "messages");
    const char *prompt = json_string_value(json_object_get(record, "prompt")),
               *answer = json_string_value(json_object_get(record, "completion"));
    const char *text = json_string_value(json_object_get(record, "text"));
    char *asked = messages ? turns_of(messages, "user") : NULL, *said = messages && d->answers ? turns_of(messages, "assistant") : NULL;
    const char *question = asked ? asked : prompt ? prompt : text;
    json_t *v = question ? find_in(d, question, true, r) : NULL;
    answer = said ? said : answer;
    if (!v && answer && d->answers)
        v = find_in(d, answer, false, r);
    free(asked);
    free(said);
    return v;
}
