/* The code judge on the published benchmarks, from ../shared/corpus when it is there: known solutions pass, the same with a fault planted
 * fail, known wrong programs fail as they were reported to; PCM_LONG=1: all of them, and that verdicts do not hang on the machine's load. */
#include "core/file.h"
#include "core/log.h"
#include "infer/code/code.h"
#include "infer/code/sandbox.h"
#include "tests/test.h"
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define EVAL "../shared/corpus/eval/"

static bool long_form(void)
{
    const char *set = getenv("PCM_LONG");
    return set && *set && strcmp(set, "0") != 0;
}

/* Whether there is something to test, and something to run it with. */
static bool ready(bool numpy)
{
    static char why[1100];
    struct err e;
    if (!file_is_dir(EVAL)) {
        test_skip("no " EVAL);
        return false;
    }
    struct sandbox *s = sandbox_open(false, &e);
    bool found = s && (!numpy || sandbox_has_module(s, "numpy"));
    if (!s)
        snprintf(why, sizeof(why), "no sandbox on this machine: %.1000s", e.msg);
    else if (!found)
        snprintf(why, sizeof(why), "python3-numpy is not installed");
    sandbox_close(s);
    if (!found)
        test_skip(why);
    return found;
}

/* Programs to judge together; truths and programs are owned. */
struct batch {
    json_t *truth[2048];
    struct verdict verdict[2048];
    int64_t n;
};
static void add(struct batch *b, json_t *truth, char *program)
{
    must(b->n < 2048);
    b->truth[b->n] = json_incref(truth);
    b->verdict[b->n++] = (struct verdict){.extracted = program};
}
static void judge(struct batch *b, const struct task *task, int jobs, double cpu_s)
{
    struct code_job *job = xcalloc((size_t)b->n + 1, sizeof(*job));
    struct code_options o = {.jobs = jobs, .cpu_s = cpu_s};
    struct err e;
    for (int64_t i = 0; i < b->n; i++)
        job[i] = (struct code_job){.truth = b->truth[i], .v = &b->verdict[i]};
    bool ran = code_judge(job, b->n, task->tests, &o, &e);
    check_msg(ran, "%s", ran ? "" : e.msg);
    free(job);
}
static void empty(struct batch *b)
{
    for (int64_t i = 0; i < b->n; i++) {
        json_decref(b->truth[i]);
        verdict_free(&b->verdict[i]);
    }
    b->n = 0;
}
static const char *text_of(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}
static void all_must_be(const struct batch *b, bool correct)
{
    for (int64_t i = 0; i < b->n; i++) {
        char *id = json_dumps(json_object_get(b->truth[i], "id"), JSON_ENCODE_ANY);
        check_msg(b->verdict[i].correct == correct, "%s: %s", id, b->verdict[i].why);
        free(id);
    }
}

/* The truth file that the importer makes of a published one. */
static json_t *imported(const char *task, const char *file)
{
    struct err e;
    char path[] = "/tmp/test_code_corpus_XXXXXX";
    int fd = mkstemp(path);
    must(fd >= 0);
    close(fd);
    char *command = xprintf("python3 scripts/import_code.py %s %s%s %s 2>/dev/null", task, EVAL, file, path);
    check_int(system(command), 0);
    json_t *records = json_load_lines(path, &e);
    check_msg(records, "%s: %s", file, records ? "" : e.msg);
    unlink(path);
    free(command);
    return records;
}

/* Another value of the same type, whatever the function gives. */
static const char fault[] = "\n\ndef _other(v):\n"
                            "    if isinstance(v, bool): return not v\n"
                            "    if isinstance(v, int): return v + 1\n"
                            "    if isinstance(v, float): return v + 1 + abs(v) if v - v == 0 else 0.0\n"
                            "    if isinstance(v, complex): return v + 1\n"
                            "    if isinstance(v, str): return v + 'x'\n"
                            "    if isinstance(v, list): return v + [-987654321]\n"
                            "    if isinstance(v, tuple): return v + (-987654321,)\n"
                            "    if isinstance(v, dict): return {**v, 'x': 0}\n"
                            "    if isinstance(v, set): return v | {'x'}\n"
                            "    return 1 if v is None else None\n"
                            "def _plant(right): return lambda *a, **k: _other(right(*a, **k))\n";

static void canonical(const struct task *task, const char *file, int step, double slowest)
{
    static struct batch good, bad;
    json_t *records = imported(task->name, file), *record;
    size_t i;
    json_array_foreach(records, i, record)
    {
        /* MBPP/255's largest answer is a gigabyte: only in the long form. */
        if (!long_form() && (i % (size_t)step || json_integer_value(json_object_get(record, "id")) == 255))
            continue;
        const char *entry = text_of(record, "entry_point");
        char *program = json_object_get(record, "code") ? xstrdup(text_of(record, "code"))
                                                        : xprintf("%s%s", text_of(record, "prompt"), text_of(record, "canonical_solution"));
        add(&bad, record, xprintf("%s%s%s = _plant(%s)\n", program, fault, entry, entry));
        add(&good, record, program);
    }
    check(good.n > 0);
    judge(&good, task, 0, 0);
    all_must_be(&good, true);
    judge(&bad, task, 0, slowest);
    all_must_be(&bad, false);
    empty(&good);
    empty(&bad);
    json_decref(records);
}
static void humaneval(void)
{
    if (ready(false))
        canonical(&task_humaneval, "humaneval.jsonl.zst", 5, 0);
}
static void humanevalplus(void)
{
    if (ready(true))
        canonical(&task_humanevalplus, "humanevalplus_originfmt.jsonl.zst", 11, 0);
}
static void mbppplus(void)
{
    if (ready(true))
        canonical(&task_mbppplus, "mbppplus_originfmt.jsonl.zst", 17, 0);
}

/* A record as LiveCodeBench publishes it, with these tests. */
static json_t *contest(const json_t *record, const json_t *tests)
{
    const char *name = json_string_value(json_object_get(record, "fn_name"));
    char *text = json_dumps(tests, 0), *metadata = name ? xprintf("{\"func_name\": \"%s\"}", name) : xstrdup("{}");
    json_t *truth =
        json_pack("{s:O, s:O, s:s, s:s, s:s}", "id", json_object_get(record, "question_id"), "starter_code",
                  json_object_get(record, "starter_code"), "metadata", metadata, "public_test_cases", text, "private_test_cases", "[]");
    must(truth);
    free(text);
    free(metadata);
    return truth;
}

/* Public runs of a model: those that passed all hidden tests pass the sample tests; the others fail the hidden test they failed on. */
static void livecodebench(void)
{
    static struct batch good, bad;
    if (!ready(false))
        return;
    struct err e;
    json_t *records = json_load_lines(EVAL "lcb_924_sample_tests.jsonl.zst", &e), *record;
    check_msg(records, "%s", records ? "" : e.msg);
    size_t i, n_good = 0, n_bad = 0, every = long_form() ? 1 : 12;
    json_array_foreach(records, i, record)
    {
        const json_t *run = json_object_get(record, "public_run_qwen2.5_7b_instruct_cot"),
                     *hidden = json_object_get(record, "one_hidden_test");
        const char *code = text_of(run, "code");
        json_t *tests = NULL;
        bool passed = json_is_true(json_object_get(run, "passed_all_hidden_tests"));
        /* What ran out of time on another machine need not here. */
        bool slow = json_integer_value(json_object_get(json_object_get(run, "metadata"), "error_code")) == -3;
        if (passed && json_array_size(json_object_get(record, "sample_tests")) && n_good++ % every == 0)
            add(&good, tests = contest(record, json_object_get(record, "sample_tests")), xstrdup(code));
        if (!passed && !slow && json_is_object(hidden) && n_bad++ % every == 0) {
            json_t *list =
                json_pack("[{s:O, s:O, s:s}]", "input", json_object_get(hidden, "input"), "output", json_object_get(hidden, "output"),
                          "testtype", json_is_string(json_object_get(record, "fn_name")) ? "functional" : "stdin");
            add(&bad, tests = contest(record, list), xstrdup(code));
            json_decref(list);
        }
        json_decref(tests);
    }
    check(good.n >= 15 && bad.n >= 40);
    judge(&good, &task_livecodebench, 0, 6);
    all_must_be(&good, true);
    judge(&bad, &task_livecodebench, 0, 6);
    all_must_be(&bad, false);
    empty(&good);
    empty(&bad);
    json_decref(records);
}

/* Three records with all their tests in LiveCodeBench's own form. */
static void native_format(void)
{
    if (!ready(false))
        return;
    json_t *records = imported("livecodebench", "lcb_native_format_3.jsonl"), *record;
    size_t i;
    check_int(json_array_size(records), 3);
    json_array_foreach(records, i, record)
    {
        struct err e;
        json_t *tests = code_lcb_tests(record, &e), *public_tests = json_loads(text_of(record, "public_test_cases"), 0, NULL);
        check_msg(tests, "%s", tests ? "" : e.msg);
        check(json_array_size(tests) > json_array_size(public_tests));
        char *key = NULL;
        check(task_livecodebench.gold(record, &key, &e) && !key);
        json_decref(tests);
        json_decref(public_tests);
    }
    json_decref(records);
}

/* The template gives the paper's own prompts. */
static void paper_prompts(void)
{
    if (!ready(false))
        return;
    struct err e;
    json_t *published = json_load_lines(EVAL "lcb_v5_279_prompts.jsonl.zst", &e),
           *records = json_load_lines(EVAL "lcb_924_sample_tests.jsonl.zst", &e);
    json_t *by_id = json_object(), *record;
    size_t i;
    json_array_foreach(records, i, record) json_object_set(by_id, text_of(record, "question_id"), record);
    int same = 0, different = 0;
    json_array_foreach(published, i, record)
    {
        json_t *problem = json_object_get(by_id, text_of(record, "question_id"));
        char *prompt = problem ? task_livecodebench.prompt(problem, &e) : NULL;
        if (prompt) {
            bool equal = strcmp(prompt, text_of(record, "prompt")) == 0;
            same += equal;
            different += !equal;
        }
        free(prompt);
    }
    check_msg(same > 0 && different == 0, "%d the same, %d different", same, different);
    json_decref(by_id);
    json_decref(published);
    json_decref(records);
}

/* Functional tests as Python: the solutions of another collection. */
static void leetcode(void)
{
    static struct batch good;
    if (!ready(false))
        return;
    struct err e;
    json_t *records = json_load_lines(EVAL "leetcode_functional.jsonl.zst", &e), *record;
    size_t i;
    json_array_foreach(records, i, record)
    {
        if ((!long_form() && i % 8) || strstr(text_of(record, "solutions"), "sortedcontainers")) /* one wants a module that is not there */
            continue;
        char *test = xstrdup(text_of(json_object_get(record, "tests"), "functional")), *last = strstr(test, "\ncheck(Solution()."), *end;
        must(last && (end = strrchr(last, ')')));
        *end = *last = '\0';
        json_t *truth = json_pack("{s:I, s:s, s:s}", "id", (json_int_t)i, "test", test, "entry_point", last + 7);
        const char *solution = text_of(record, "solutions");
        static const char imports[] =
            "from typing import *\nfrom math import *\nfrom collections import *\nfrom itertools import *\nfrom functools import *\n"
            "from heapq import *\nfrom bisect import *\nfrom string import *\nfrom operator import *\nimport math, re, random\n";
        add(&good, truth, xprintf("%s%s", imports, solution));
        json_decref(truth);
        free(test);
    }
    judge(&good, &task_mbppplus, 0, 0);
    all_must_be(&good, true);
    empty(&good);
    json_decref(records);
}

/* Processes that do nothing but compute. */
static void load(pid_t *pid, int n)
{
    for (int i = 0; i < n; i++)
        if ((pid[i] = fork()) == 0)
            for (volatile uint64_t x = 0;; x++)
                ;
}
static void unload(const pid_t *pid, int n)
{
    for (int i = 0; i < n; i++) {
        kill(pid[i], SIGKILL);
        waitpid(pid[i], NULL, 0);
    }
}

/* 200 known programs, right ones and wrong ones: one at a time, all cores busy with something else, and more at once than there are cores. */
static void stability(void)
{
    enum { N = 200, LOADS = 3 };
    static struct batch batch[LOADS];
    static const char *const loads[LOADS] = {"one at a time", "under full load", "four at once"};
    if (!ready(true))
        return;
    if (!long_form()) {
        test_skip("the long form only (PCM_LONG=1)");
        return;
    }
    json_t *records = imported("humanevalplus", "humanevalplus_originfmt.jsonl.zst"), *record;
    size_t i;
    for (int k = 0; k < LOADS; k++)
        json_array_foreach(records, i, record)
        {
            char *program = xprintf("%s%s", text_of(record, "prompt"), text_of(record, "canonical_solution"));
            const char *entry = text_of(record, "entry_point");
            if (i < N / 2 + 60)
                add(&batch[k], record, xstrdup(program));
            if (i >= N / 2 + 24)
                add(&batch[k], record, xprintf("%s%s%s = _plant(%s)\n", program, fault, entry, entry));
            free(program);
        }
    check_int(batch[0].n, N);
    for (int k = 0; k < LOADS; k++) {
        pid_t pid[4];
        if (k == 1)
            load(pid, 4);
        double begin = log_now();
        judge(&batch[k], &task_humanevalplus, k == 0 ? 1 : k == 1 ? 2 : 4, 0);
        fprintf(stderr, "  %s: %.1f s\n", loads[k], log_now() - begin);
        if (k == 1)
            unload(pid, 4);
    }
    int64_t changes = 0;
    for (int k = 1; k < LOADS; k++)
        for (int64_t j = 0; j < N; j++)
            changes +=
                batch[k].verdict[j].correct != batch[0].verdict[j].correct || strcmp(batch[k].verdict[j].why, batch[0].verdict[j].why) != 0;
    check_int(changes, 0);
    for (int k = 0; k < LOADS; k++)
        empty(&batch[k]);
    json_decref(records);
}

static const struct test tests[] = {
    {"humaneval", humaneval},         {"humanevalplus", humanevalplus}, {"mbppplus", mbppplus}, {"livecodebench", livecodebench},
    {"native_format", native_format}, {"paper_prompts", paper_prompts}, {"leetcode", leetcode}, {"stability", stability},
};
TEST_MAIN("test_code_corpus", tests)
