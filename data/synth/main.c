/* data/synth/main.c - the program synth: problems with worked solutions for training, or the held-out ones for evaluation. */
#include "core/cli.h"
#include "core/file.h"
#include "core/log.h"
#include "core/rng.h"
#include "data/import.h"
#include "data/select/keys.h"
#include "data/synth/recall.h"
#include "data/synth/synth.h"
#include "data/synth/code.h"
#include "data/synth/math.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const uint64_t RECALL_LENGTHS = (uint64_t)1 << 62; /* stream of random numbers */

enum domain { ARITHMETIC, MATH, CODE, RECALL };
static const char *const domain_names[] = {"arithmetic", "math", "code", "recall", NULL};
static const char *const levels[] = {"easy", "hard", "1", "2", "3", "4", "5", NULL};

enum form { PLAIN, CHATML };
static const char *const form_names[] = {"plain", "chatml", NULL};

struct settings {
    int domain, level, kind;
    int64_t count, seed;
    char *output, *truth;
    struct conf_strs exclude, concepts;
    int form;
    bool list;
    char *tokenizer;
    int64_t min_tokens, max_tokens;
    struct recall_settings recall;
    int ask;
};
#define AT(field) .at = offsetof(struct settings, field)
static const struct conf_field table[] = {
    {.key = "domain",
     .type = CONF_CHOICE,
     AT(domain),
     .choices = domain_names,
     .str_def = "arithmetic",
     .help = "what the records are about"},
    {.key = "level",
     .type = CONF_CHOICE,
     AT(level),
     .choices = levels,
     .def = NAN,
     .help = "arithmetic: easy (one or two concepts) or hard (three or four, composed of the same); math, code: 1 to 5"},
    {.key = "kind",
     .type = CONF_CHOICE,
     AT(kind),
     .choices = synth_kind_names,
     .str_def = "train",
     .help = "train: records for prepare; eval: held-out ones, prompt and truth in one, for generate and score"},
    {.key = "count", .type = CONF_INT, AT(count), .min = 1, .max = 1e9, .def = NAN, .help = "records"},
    {.key = "seed", .type = CONF_INT, AT(seed), .def = 1, .min = 0, .max = 9e15, .help = "same seed, same file"},
    {.key = "output", .type = CONF_STR, AT(output), .help = "X.jsonl or X.jsonl.zst"},
    {.key = "exclude", .type = CONF_STRS, AT(exclude), .help = "a file that synth wrote; its problems are left out"},
    {.key = "truth",
     .type = CONF_STR,
     AT(truth),
     .help = "math, code: also the same problems as score wants them (--kind eval: --output is that)"},
    {.key = "concept", .type = CONF_STRS, AT(concepts), .help = "math, code: only these"},
    {.key = "list_concepts", .type = CONF_BOOL, AT(list), .help = "print the names of the domain's concepts and end"},
    {.key = "template",
     .type = CONF_CHOICE,
     AT(form),
     .choices = form_names,
     .str_def = "plain",
     .help =
         "math, code: plain: a short prompt in front of <think>; chatml: messages with the paper's instruction, for prepare --template chatml"},
    {.key = "tokenizer", .type = CONF_STR, AT(tokenizer), .str_def = "byte", .help = "recall: whose tokens are counted"},
    {.key = "min_tokens",
     .type = CONF_INT,
     AT(min_tokens),
     .def = 1024,
     .min = RECALL_FEWEST,
     .max = 1 << 24,
     .help = "recall: the shortest document; the held-out ones have this length times 1, 2, 4, ..., by turns"},
    {.key = "max_tokens",
     .type = CONF_INT,
     AT(max_tokens),
     .def = 65536,
     .min = RECALL_FEWEST,
     .max = 1 << 24,
     .help = "recall: the longest"},
    {.key = "facts",
     .type = CONF_INT,
     AT(recall.facts),
     .def = 16,
     .min = 1,
     .max = RECALL_KEYS,
     .help = "recall: keys with values in a document; never more than half of its words"},
    {.key = "questions",
     .type = CONF_INT,
     AT(recall.questions),
     .def = 16,
     .min = 1,
     .max = 4096,
     .help = "recall: asked of a training document"},
    {.key = "ask",
     .type = CONF_CHOICE,
     AT(ask),
     .choices = recall_ask_names,
     .str_def = "key",
     .help = "recall: the value of a key, the n-th word"},
    {.key = "farthest",
     .type = CONF_INT,
     AT(recall.farthest),
     .def = 1 << 24,
     .min = 1,
     .max = 1 << 24,
     .help = "recall: the last word asked for"},
    {0}};

/* One problem. */
struct item {
    char *problem;  /* equal for equal problems; NULL: such records have no duplicates */
    char *wording;  /* that too is never repeated in training data; NULL: it may be */
    json_t *record; /* what --output gets; NULL: there is none at this index */
    json_t *truth;  /* what --truth gets, if the domain has it */
};

static char *id_of(const struct settings *s, const char *what, int64_t n)
{
    return xprintf("%s-%s-%lld-%lld", what, synth_kind_names[s->kind], (long long)s->seed, (long long)n);
}

static bool exclude(void *seen, json_t *record, int64_t line, struct err *e)
{
    (void)line;
    const char *problem;
    if (!json_get_str(record, json_object_get(record, "key") ? "key" : "problem", &problem, e))
        return err_in(e, "--exclude takes files that synth wrote, and this record is none");
    keys_add(seen, keys_text(problem));
    return true;
}

static json_t *names_of(const char *const *name, int n)
{
    json_t *list = json_array();
    for (int i = 0; i < n; i++)
        json_array_append_new(list, json_string(name[i]));
    return list;
}

static struct item arithmetic(const struct settings *s, uint64_t index, int64_t n)
{
    struct synth_doc d;
    synth_make(&d, (enum synth_level)s->level, (enum synth_kind)s->kind, (uint64_t)s->seed, index);
    char *id = id_of(s, levels[s->level], n), answer[16];
    snprintf(answer, sizeof(answer), "%d", d.answer);
    json_t *concepts = names_of(d.concepts, d.n_concepts);
    json_t *r = s->kind == SYNTH_TRAIN ? json_pack("{s:s, s:s, s:s, s:s, s:o, s:s}", "id", id, "prompt", d.prompt, "completion",
                                                   d.completion, "problem", d.problem, "concepts", concepts, "rationale", d.rationale)
                                       : json_pack("{s:s, s:s, s:s, s:s, s:o}", "id", id, "prompt", d.prompt, "answer", answer, "problem",
                                                   d.problem, "concepts", concepts);
    free(id);
    return (struct item){.problem = xstrdup(d.problem), .record = r};
}

/* A conversation with the instruction that the paper's evaluation prompts give. */
static json_t *chatml_record(const struct settings *s, const struct synth_problem *p, const char *completion)
{
    static const char function[] = "You will be given a question (problem specification) and will generate a correct Python program that "
                                   "matches the specification and passes all tests.\n\nQuestion: {problem}\n\nYou will use the following "
                                   "starter code to write the solution to the problem and enclose your code within delimiters.\n"
                                   "```python\n%s\n```\n\n";
    struct err e;
    char *question = NULL;
    json_t *pair, *r;
    if (s->domain == MATH) {
        pair = json_pack("{s:s, s:s}", "problem", p->statement, "generated_solution", completion);
        r = import_record(SET_OPENMATHREASONING, pair, NULL, &e);
    } else {
        const char *starter = json_string_value(json_object_get(p->truth, "starter_code"));
        question = *starter ? xprintf(function, starter) : NULL;
        pair = json_pack("{s:s, s:s}", "input", p->statement, "output", completion);
        r = import_record(SET_OPENCODEREASONING, pair, question, &e);
    }
    must(r);
    json_decref(pair);
    free(question);
    return r;
}

/* Math and code. */
static struct item composed(const struct settings *s, uint64_t index, int64_t n)
{
    struct synth_problem p;
    struct synth_choice choice = {s->concepts.at, s->concepts.n};
    int level = atoi(levels[s->level]);
    bool math = s->domain == MATH;
    if (math)
        synth_math_make(&p, level, s->kind == SYNTH_EVAL, &choice, (uint64_t)s->seed, index, NULL);
    else
        synth_code_make(&p, level, s->kind == SYNTH_EVAL, &choice, (uint64_t)s->seed, index);

    char *what = xprintf("%s-%d", domain_names[s->domain], level), *id = id_of(s, what, n);
    char *prompt = xprintf("Q: %s\n<think>\n", p.statement);
    json_t *concepts = names_of(p.concepts, p.n_concepts), *truth = json_pack("{s:s, s:s, s:s}", "id", id, "prompt", prompt, "key", p.key);
    if (math)
        json_object_set_new(truth, "problem", json_string(p.statement));
    json_object_update(truth, p.truth);
    json_object_set(truth, "concepts", concepts);

    json_t *record = json_incref(truth);
    if (s->kind == SYNTH_TRAIN) {
        bool plain = s->form == PLAIN;
        char *completion = xprintf("%s%s</think>\n\n%s", plain ? "" : "<think>\n", p.thought, p.answer);
        json_decref(record);
        record = plain ? json_pack("{s:s, s:s}", "prompt", prompt, "completion", completion) : chatml_record(s, &p, completion);
        json_object_set_new(record, "id", json_string(id));
        json_object_set_new(record, "key", json_string(p.key));
        json_object_set(record, "concepts", concepts);
        json_object_set_new(record, "rationale", json_string(p.rationale));
        free(completion);
    }
    must(truth && record);
    json_decref(concepts);
    free(what);
    free(prompt);
    free(id);
    struct item item = {xstrdup(p.key), xstrdup(p.statement), record, truth};
    synth_problem_free(&p);
    return item;
}

/* The lengths of held-out documents: min_tokens times 1, 2, 4, ... */
static int recall_lengths(const struct settings *s)
{
    int n = 1;
    while (s->min_tokens << n <= s->max_tokens)
        n++;
    return n;
}

/* Lengths of training documents are spread evenly over their logarithm. */
static int64_t recall_length(const struct settings *s, uint64_t index)
{
    if (s->kind == SYNTH_EVAL)
        return s->min_tokens << (index % (uint64_t)recall_lengths(s));
    double share = rng_uniform((uint64_t)s->seed, RECALL_LENGTHS, index);
    return llround((double)s->min_tokens * pow((double)s->max_tokens / (double)s->min_tokens, share));
}

/* A training document is a conversation, so that its answers are learnt and its questions are not. */
static json_t *recall_talk(const struct recall_doc *d)
{
    json_t *turns = json_array();
    for (int64_t i = 0; i < d->n; i++) {
        char *ask = xprintf("%s%s", i ? "" : d->text, d->question[i].ask);
        json_array_append_new(turns, json_pack("{s:s, s:s}", "role", "user", "content", ask));
        json_array_append_new(turns, json_pack("{s:s, s:s}", "role", "assistant", "content", d->question[i].answer));
        free(ask);
    }
    return turns;
}

static struct item recall(const struct settings *s, const struct tokenizer *tok, uint64_t index, int64_t n)
{
    struct recall_settings how = s->recall;
    how.ask = (enum recall_ask)s->ask;
    how.tokens = recall_length(s, index);
    if (s->kind == SYNTH_EVAL) {
        how.questions = 1;
        if (how.ask == RECALL_BOTH)
            how.ask = index / (uint64_t)recall_lengths(s) % 2 ? RECALL_WORD : RECALL_KEY;
    }
    struct recall_doc d;
    recall_make(&d, &how, tok, (uint64_t)s->seed, index << 1 | (uint64_t)s->kind);
    char *id = id_of(s, "recall", n);
    json_t *r = NULL;
    if (d.n == 0) {
        ; /* no word that may be asked for is none of the facts */
    } else if (s->kind == SYNTH_TRAIN) {
        r = json_pack("{s:s, s:o, s:I}", "id", id, "messages", recall_talk(&d), "length", (json_int_t)d.tokens);
    } else {
        const struct recall_question *q = &d.question[0];
        char *prompt = xprintf("%s%s\n", d.text, q->ask);
        r = json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:f}", "id", id, "prompt", prompt, "answer", q->answer, "question",
                      q->key ? "key" : "word", "length", (json_int_t)how.tokens, "facts", (json_int_t)d.facts, "position", q->position);
        free(prompt);
    }
    free(id);
    recall_free(&d);
    return (struct item){.record = r};
}

static struct item make(const struct settings *s, const struct tokenizer *tok, uint64_t index, int64_t n)
{
    return s->domain == RECALL ? recall(s, tok, index, n) : s->domain == ARITHMETIC ? arithmetic(s, index, n) : composed(s, index, n);
}

enum { IN_VAIN = 1000 }; /* known problems in a row after which we give up: fewer than one in a hundred is new */

/* Held-out problems are all different; training problems may come back in other words or with other examples. */
static bool write_records(const struct settings *s, const struct tokenizer *tok, struct keys *seen, struct err *e)
{
    struct file_out *out, *truth = NULL;
    if (!file_out_open(&out, s->output, false, e))
        return false;
    if (s->truth && !file_out_open(&truth, s->truth, false, e)) {
        file_out_abort(out);
        return false;
    }
    struct progress p;
    progress_start(&p, "synth", "records", (double)s->count);
    bool ok = true;
    int64_t n = 0, in_vain = 0;
    for (uint64_t index = 0; ok && n < s->count; index++) {
        struct item item = make(s, tok, index, n);
        if (!item.record || (item.problem && keys_has(seen, keys_text(item.problem))) ||
            (item.wording && keys_has(seen, keys_text(item.wording)))) {
            if (++in_vain == IN_VAIN)
                ok = err_set(
                    e,
                    "%s: after %lld of %lld records, %d problems in a row were known already: there are hardly any others; ask for fewer",
                    s->output, (long long)n, (long long)s->count, IN_VAIN);
        } else {
            in_vain = 0;
            const char *once = s->kind == SYNTH_EVAL ? item.problem : item.wording;
            if (once)
                keys_add(seen, keys_text(once));
            ok = json_write_line(out, item.record, e) && (!truth || json_write_line(truth, item.truth, e));
            progress_update(&p, (double)++n, NULL);
        }
        json_decref(item.record);
        json_decref(item.truth);
        free(item.problem);
        free(item.wording);
    }
    if (!ok) {
        file_out_abort(out);
        file_out_abort(truth);
        return false;
    }
    progress_end(&p, (double)n, NULL);
    if (truth && !file_out_commit(truth, e)) {
        file_out_abort(out);
        return false;
    }
    return file_out_commit(out, e);
}

/* The domain's concepts by position; NULL beyond the last. */
static const char *concept_name(const struct settings *s, int i)
{
    const struct math_concept *math = s->domain == MATH ? math_concept_at(i) : NULL;
    const struct code_concept *code = s->domain == CODE ? code_concept_at(i) : NULL;
    return math ? math->name : code ? code->name : NULL;
}

static bool is_concept(const struct settings *s, const char *name)
{
    for (int i = 0; concept_name(s, i); i++)
        if (strcmp(concept_name(s, i), name) == 0)
            return true;
    return false;
}

static void list_concepts(const struct settings *s)
{
    for (int i = 0; concept_name(s, i); i++)
        puts(concept_name(s, i));
}

/* What the table cannot know; wrong usage ends the program. */
static void check_usage(const struct settings *s, const char *program)
{
    struct err e;
    bool words = s->level == 0 || s->level == 1;
    if (s->count < 1 || !s->output)
        err_set(&e, "--%s is missing", s->output ? "count" : "output");
    else if (s->domain != RECALL && s->level < 0)
        err_set(&e, "--level is missing");
    else if (s->domain == RECALL && s->level >= 0)
        err_set(&e, "--level: recall has none; --min-tokens, --max-tokens and --facts say how hard it is");
    else if (s->domain != RECALL && words != (s->domain == ARITHMETIC))
        err_set(&e, "--level %s: %s has %s", levels[s->level], domain_names[s->domain], words ? "1 to 5" : "easy and hard");
    else if (s->min_tokens > s->max_tokens)
        err_set(&e, "--min-tokens %lld is more than --max-tokens %lld", (long long)s->min_tokens, (long long)s->max_tokens);
    else if (s->truth && s->domain != MATH && s->domain != CODE)
        err_set(&e, "--truth: %s has none beside --kind eval", domain_names[s->domain]);
    else
        e.msg[0] = 0;
    for (int64_t i = 0; !e.msg[0] && i < s->concepts.n; i++)
        if (!is_concept(s, s->concepts.at[i]))
            err_set(&e, "--concept: %s has no \"%s\"; --list-concepts names those that there are", domain_names[s->domain],
                    s->concepts.at[i]);
    if (e.msg[0])
        cli_usage(program, &e);
}

int main(int argc, char **argv)
{
    struct settings s = {0};
    cli_options(&s, table, argc, argv,
                "synth --level easy|hard --count N --output X.jsonl [--kind train|eval] [--seed S] [--exclude Y.jsonl ...]\n"
                "synth --domain math|code --level 1..5 --count N --output X.jsonl [...]\n"
                "synth --domain recall --count N --output X.jsonl [--min-tokens N] [--max-tokens N] [--facts N] [...]\n"
                "Writes problems with worked solutions. Problems of --kind eval never occur in --kind train, whatever the seeds.");
    if (s.list) {
        list_concepts(&s);
        conf_free(&s, table);
        return EXIT_OK;
    }
    check_usage(&s, argv[0]);
    struct err e;
    struct keys seen = {0};
    struct tokenizer *tok = NULL;
    bool ok = s.domain != RECALL || tokenizer_open(&tok, s.tokenizer, &e);
    for (int64_t i = 0; ok && i < s.exclude.n; i++)
        ok = json_each_line(s.exclude.at[i], exclude, &seen, &e);
    ok = ok && write_records(&s, tok, &seen, &e);
    keys_free(&seen);
    tokenizer_close(tok);
    int code = ok ? EXIT_OK : cli_fail(argv[0], &e);
    conf_free(&s, table);
    return code;
}
