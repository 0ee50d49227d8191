/* Composed problems of programming: their solutions pass their tests in the sandbox, where Python agrees with the library about every concept;
 * other programs fail. The program synth from outside, for mathematics too: no duplicates, nothing held out that is trained on. */
#include "core/json.h"
#include "data/synth/code.h"
#include "infer/code/sandbox.h"
#include "infer/score/scoring.h"
#include "tests/program.h"
#include "tests/test.h"

static char dir[] = "/tmp/test_synth_code.XXXXXX";
static const struct synth_choice everything;

enum { CONCEPTS = 128 }; /* at most */

static int concepts(void)
{
    int n = 0;
    while (code_concept_at(n))
        n++;
    return n;
}
static int place_of(const char *name)
{
    for (int i = 0; code_concept_at(i); i++)
        if (strcmp(code_concept_at(i)->name, name) == 0)
            return i;
    return -1;
}

/* Problems until every concept has come: those with one that had not. Returns how many. */
static int choose(struct synth_problem *p, int most)
{
    bool seen[CONCEPTS] = {false};
    int n = 0, left = concepts();
    check(left >= 60 && left <= CONCEPTS);
    for (uint64_t index = 0; left && n < most && index < 5000; index++) {
        synth_code_make(&p[n], 2 + (int)(index % 4), index % 3 == 0, &everything, 21, index);
        int fresh = 0;
        for (int i = 0; i < p[n].n_concepts; i++) {
            bool *had = &seen[place_of(p[n].concepts[i])];
            fresh += !*had;
            *had = true;
        }
        left -= fresh;
        if (fresh)
            n++;
        else
            synth_problem_free(&p[n]);
    }
    check_msg(left == 0, "%d concepts never came", left);
    return n;
}

static char *write_lines(const char *name, const struct synth_problem *p, int n, int shift)
{
    char *path = xprintf("%s/%s", dir, name);
    struct err e;
    struct file_out *out;
    must(file_out_open(&out, path, false, &e));
    for (int i = 0; i < n; i++) {
        json_t *r = shift < 0 ? json_deep_copy(p[i].truth) : json_object();
        json_object_set_new(r, "id", json_integer(i));
        if (shift >= 0) {
            char *text = xprintf("%s</think>\n\n%s", p[i].thought, p[(i + shift) % n].answer);
            json_object_set_new(r, "sample", json_integer(0));
            json_object_set_new(r, "text", json_string(text));
            free(text);
        }
        must(json_write_line(out, r, &e));
        json_decref(r);
    }
    must(file_out_commit(out, &e));
    return path;
}

static json_t *judge(const struct synth_problem *p, int n, int shift)
{
    struct err e;
    struct scoring_options o = {0};
    char *truth = write_lines("truth.jsonl", p, n, -1), *answers = write_lines("answers.jsonl", p, n, shift);
    json_t *score = scoring_run(&task_livecodebench, truth, answers, &o, &e);
    check_msg(score, "%s", e.msg);
    free(truth);
    free(answers);
    return json_incref(json_object_get(score, "verdicts"));
}

static void solutions_pass_and_others_fail(void)
{
    struct err e;
    struct sandbox *s = sandbox_open(false, &e);
    if (!s) {
        test_skip("no sandbox on this machine");
        return;
    }
    sandbox_close(s);
    struct synth_problem *p = xcalloc(CONCEPTS, sizeof(*p));
    int n = choose(p, CONCEPTS);
    json_t *v, *right = judge(p, n, 0), *wrong = judge(p, n, 1);
    size_t i;
    json_array_foreach(right, i, v) check_msg(json_is_true(json_object_get(v, "correct")), "%s: %s\n%s", p[i].key,
                                              json_string_value(json_object_get(v, "why")), p[i].answer);
    json_array_foreach(wrong, i, v)
        check_msg(!json_is_true(json_object_get(v, "correct")), "%s passes as %s", p[(i + 1) % (size_t)n].key, p[i].key);
    check_int(json_array_size(right), n);
    check_int(json_array_size(wrong), n);
    for (int j = 0; j < n; j++)
        synth_problem_free(&p[j]);
    free(p);
    json_decref(right);
    json_decref(wrong);
}

static void problems_keep_their_promises(void)
{
    for (int level = 1; level <= SYNTH_LEVELS; level++)
        for (uint64_t i = 0; i < 100; i++) {
            struct synth_problem p, q;
            synth_code_make(&p, level, i % 2, &everything, 5, i);
            synth_code_make(&q, level, i % 2, &everything, 5, i);
            check_str(p.statement, q.statement);
            check_str(p.answer, q.answer);
            check(json_equal(p.truth, q.truth));
            check_int(synth_held_out(p.key), i % 2);
            static const int fewest[] = {1, 1, 2, 3, 3}, most[] = {1, 2, 3, 3, 4};
            check(p.n_concepts >= fewest[level - 1] && p.n_concepts <= most[level - 1]);
            check_has(p.statement, "Example: ");
            check_msg(!strchr(p.statement, '$') && !strchr(p.answer, '$'), "%s", p.statement);
            check(strncmp(p.answer, "```python\n", 10) == 0);
            synth_problem_free(&p);
            synth_problem_free(&q);
        }
}

/* ---- the program ---- */

static int run_synth(const char *options)
{
    struct ran r = run_program(dir, "synth %s", options);
    int code = r.code;
    check_msg(code == 0 || strchr(r.err, '\n') == r.err + strlen(r.err) - 1, "one line: %s", r.err);
    ran_free(&r);
    return code;
}
static json_t *lines_of(const char *name)
{
    char *path = xprintf("%s/%s", dir, name);
    struct err e;
    json_t *list = json_load_lines(path, &e);
    check_msg(list, "%s", list ? "" : e.msg);
    free(path);
    return list ? list : json_array();
}
static json_t *set_of(const json_t *list, const char *key)
{
    json_t *set = json_object(), *r;
    size_t i;
    json_array_foreach(list, i, r) json_object_set_new(set, json_string_value(json_object_get(r, key)), json_true());
    return set;
}

static void nothing_comes_twice(void)
{
    static const char *const domains[] = {"math", "code"};
    for (int d = 0; d < 2; d++)
        for (int level = 1; level <= 3; level += 2) {
            char *train = xprintf("--domain %s --level %d --count 3000 --seed 1 --output a.jsonl --truth t.jsonl", domains[d], level);
            char *eval = xprintf("--domain %s --level %d --count %d --kind eval --seed 2 --output b.jsonl", domains[d], level,
                                 d && level == 1 ? 6 : 300);
            check_int(run_synth(train), 0);
            check_int(run_synth(eval), 0);
            json_t *a = lines_of("a.jsonl"), *b = lines_of("b.jsonl"), *t = lines_of("t.jsonl");
            json_t *prompts = set_of(a, "prompt"), *keys = set_of(b, "key"), *trained = set_of(a, "key"), *ids = set_of(t, "id"), *v;
            check_int(json_object_size(prompts), 3000);
            check_int(json_object_size(ids), 3000);
            check_int(json_object_size(keys), json_array_size(b));
            const char *key;
            json_object_foreach(keys, key, v) check_msg(!json_object_get(trained, key), "%s is trained on", key);
            check_str(json_string_value(json_object_get(json_array_get(a, 7), "prompt")),
                      json_string_value(json_object_get(json_array_get(t, 7), "prompt")));
            json_t *all[] = {a, b, t, prompts, keys, trained, ids};
            for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
                json_decref(all[i]);
            free(train);
            free(eval);
        }
}

/* What is trained on in ChatML begins with the prompt that score --write-prompts gives for the same problem. */
static void training_and_evaluation_ask_alike(void)
{
    static const struct {
        const char *domain;
        const struct task *task;
    } cases[] = {{"math", &task_math500}, {"code", &task_livecodebench}};
    for (int d = 0; d < 2; d++) {
        char *options = xprintf("--domain %s --level 2 --count 40 --template chatml --output a.jsonl --truth t.jsonl", cases[d].domain);
        check_int(run_synth(options), 0);
        free(options);
        json_t *a = lines_of("a.jsonl"), *t = lines_of("t.jsonl"), *r;
        size_t i;
        json_array_foreach(a, i, r)
        {
            struct err e;
            const json_t *turns = json_object_get(r, "messages");
            char *want = cases[d].task->prompt(json_array_get(t, i), &e);
            char *got = xprintf("<|im_start|>user\n%s<|im_end|>\n<|im_start|>assistant\n%.8s",
                                json_string_value(json_object_get(json_array_get(turns, 0), "content")),
                                json_string_value(json_object_get(json_array_get(turns, 1), "content")));
            check_str(got, want ? want : e.msg);
            free(want);
            free(got);
        }
        json_decref(a);
        json_decref(t);
    }
}

static void concepts_can_be_chosen_and_usage_is_checked(void)
{
    check_int(run_synth("--domain math --level 1 --count 50 --concept average --concept speed --output a.jsonl"), 0);
    json_t *a = lines_of("a.jsonl"), *r;
    size_t i;
    json_array_foreach(a, i, r)
    {
        const char *name = json_string_value(json_array_get(json_object_get(r, "concepts"), 0));
        check_msg(strcmp(name, "average") == 0 || strcmp(name, "speed") == 0, "%s", name);
    }
    json_decref(a);
    check_int(run_synth("--domain math --level 1 --count 5 --concept averages --output c.jsonl"), 2);
    check_int(run_synth("--domain math --level easy --count 5 --output c.jsonl"), 2);
    check_int(run_synth("--level 3 --count 5 --output c.jsonl"), 2);
    check_int(run_synth("--domain math --count 5 --output c.jsonl"), 2);
    check_int(run_synth("--domain math --level 1 --output c.jsonl"), 2);
    check_int(run_synth("--domain math --level 6 --count 5 --output c.jsonl"), 2);
    check_int(run_synth("--level easy --count 5 --truth d.jsonl --output c.jsonl"), 2);
    check_int(run_synth("--domain code --level 1 --kind eval --count 5000 --output c.jsonl"), 1); /* there are not so many */
    char *path = xprintf("%s/c.jsonl", dir);
    check(!file_exists(path));
    free(path);
}

static const struct test all[] = {
    {"solutions pass and others fail", solutions_pass_and_others_fail},
    {"problems keep their promises", problems_keep_their_promises},
    {"nothing comes twice", nothing_comes_twice},
    {"training and evaluation ask alike", training_and_evaluation_ask_alike},
    {"concepts can be chosen and usage is checked", concepts_can_be_chosen_and_usage_is_checked},
};
int main(int argc, char **argv)
{
    must(mkdtemp(dir));
    int code = test_main(argc, argv, "test_synth_code", all, sizeof(all) / sizeof(all[0]));
    struct err e;
    must(file_remove_tree(dir, &e));
    return code;
}
