/* tests/test_promptcot.c - runs of the program promptcot: the whole synthesis against a server that stands in for models, one that fails in every
 * way, kills, expectation, wrong settings. Its parts: test_promptcot_parts.c. */
#include "core/log.h"
#include "core/rng.h"
#include "data/tokfile.h"
#include "infer/code/sandbox.h"
#include "infer/promptcot/promptcot.h"
#include "infer/promptcot/text.h"
#include "tests/program.h"
#include "tests/promptcot_files.h"
#include "tests/test.h"
#include <fcntl.h>
#include <signal.h>
#include <time.h>

static char *here; /* the project's folder */

/* ------------------------------------------------------------------- the server */

struct server {
    pid_t pid;
    int port;
};

/* options: as a shell takes them. */
static bool serve(struct server *s, const char *options)
{
    char *port = path_of("port"), *command;
    unlink(port);
    command = xprintf("exec python3 '%s/tests/promptcot_server.py' --port 0 --port-file '%s' %s", here, port, options);
    s->pid = fork();
    if (s->pid == 0) {
        int null = open("/dev/null", O_RDWR);
        dup2(null, 1);
        dup2(null, 2);
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    for (int i = 0; i < 1000 && !file_exists(port); i++)
        usleep(10000);
    char *text = read_all("port");
    s->port = text ? atoi(text) : 0;
    check_msg(s->port > 0, "the server does not start");
    free(text);
    free(port);
    free(command);
    return s->port > 0;
}

static void end(const struct server *s)
{
    kill(s->pid, SIGKILL);
    waitpid(s->pid, NULL, 0);
}

/* Settings for a pipeline in the folder `work`: a model folder for embeddings and rewards, the server for the rest. more: in each endpoint. */
static void settings(const char *name, const char *work, int port, const char *more)
{
    char *text = xprintf(
        "{\"work\":\"%s\",\"models\":[{\"name\":\"small\",\"folder\":\"model\"},"
        "{\"name\":\"writer\",\"url\":\"http://127.0.0.1:%d/v1\",\"model\":\"w\"%s},"
        "{\"name\":\"talker\",\"url\":\"http://127.0.0.1:%d/v1/\",\"model\":\"t\",\"api\":\"chat\",\"price_in\":1,\"price_out\":2%s}],"
        "\"concepts\":\"concepts.jsonl\",\"combine\":{\"model\":\"small\",\"problems\":8,\"concepts\":3},"
        "\"rationale\":{\"model\":\"writer\",\"samples\":2},\"problem\":{\"model\":\"talker\"},\"judge\":{\"models\":[\"writer\",\"talker\"]},"
        "\"reward\":{\"model\":\"small\"},\"answer\":{\"model\":\"talker\",\"samples\":3}}",
        work, port, more, port, more);
    put(name, text);
    free(text);
}

static void some_concepts(void)
{
    char text[4096] = "";
    for (int i = 0; i < 12; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "{\"concept\":\"Concept %c%c\",\"domain\":\"math\",\"level\":%d}\n",
                 'A' + i, 'z' - i, 1 + i % 5);
    put("concepts.jsonl", text);
}

static const char *const outputs[] = {"combinations.jsonl", "rationales.jsonl", "problems.jsonl", "judged.jsonl",
                                      "rewarded.jsonl",     "records.jsonl",    "report.json"};

static bool same_outputs(const char *work, const char *as)
{
    bool same = true;
    for (size_t i = 0; i < sizeof outputs / sizeof *outputs; i++) {
        char *a = xprintf("%s/%s", work, outputs[i]), *b = xprintf("%s/%s", as, outputs[i]), *x = read_all(a), *y = read_all(b);
        bool here_too = x && y && strcmp(x, y) == 0;
        check_msg(here_too, "%s differs from %s", a, b);
        same = same && here_too;
        free(a);
        free(b);
        free(x);
        free(y);
    }
    return same;
}

static void pipeline(void)
{
    struct server s;
    struct err e;
    some_concepts();
    if (!serve(&s, ""))
        return;
    settings("p.json", "work", s.port, "");
    struct ran r = run_program(dir, "promptcot p.json");
    check_msg(r.code == 0, "%s", r.err);
    check_has(r.err, "answer: ");
    check_has(r.err, "cost ");
    ran_free(&r);

    json_t *rationales = load_lines("work/rationales.jsonl"), *rewarded = load_lines("work/rewarded.jsonl"),
           *records = load_lines("work/records.jsonl"), *v;
    check(json_array_size(rationales) > 8 && json_array_size(rationales) <= 16); /* two each, some cut off */
    size_t i;
    json_t *seen = json_object();
    json_array_foreach(rewarded, i, v)
    {
        const json_t *reward = json_object_get(v, "reward");
        double z = json_number_value(json_object_get(reward, "log_p_rationale")),
               x = json_number_value(json_object_get(reward, "log_p_problem"));
        check(z < 0 && x < 0 && fabs(z + x - json_number_value(json_object_get(reward, "sum"))) < 1e-9);
        char *family = xstrdup(text_of(v, "id"));
        *strstr(family, "-r") = '\0';
        check_msg(!json_object_get(seen, family), "two rationales of %s are left", family);
        json_object_set_new(seen, family, json_true());
        free(family);
        /* Log-probabilities count the bytes of the text with its end mark: the tokenizer is bytes. */
        check_int(json_integer_value(json_object_get(reward, "rationale_tokens")),
                  strlen(text_of(v, "rationale")) + strlen("\n" END_RATIONALE));
    }
    check(json_array_size(records) > 0);
    json_array_foreach(records, i, v)
    {
        const char *prompt = text_of(v, "prompt"), *completion = text_of(v, "completion");
        const json_t *from = json_object_get(v, "provenance");
        int a, b, c;
        check(strncmp(prompt, "<|im_start|>user\nA club keeps ", 29) == 0 && strstr(prompt, "<think>\n") &&
              strstr(completion, "\n</think>\n\n"));
        check(sscanf(prompt + 17, "A club keeps %d boxes of %d %*s each and %d", &a, &b, &c) == 3);
        char *right = xprintf("%d", a * b + c), *boxed = xprintf("\\boxed{%d}", a * b + c);
        bool outvoted = strcmp(text_of(v, "answer"), right) != 0; /* wrong answers may have the majority, if seldom */
        check(outvoted || strstr(completion, boxed));
        check(json_array_size(json_object_get(from, "foundational_concepts")) == 3 &&
              json_array_size(json_object_get(from, "judgements")) == 2);
        check(json_integer_value(json_object_get(from, "votes")) >= 2 && json_object_get(from, "reward") && *text_of(from, "rationale"));
        free(right);
        free(boxed);
    }
    const json_t *models = json_object_get(json_object_get(json_array_get(records, 0), "provenance"), "models");
    check_str(text_of(json_object_get(models, "reward"), "name"), "small");
    check_str(text_of(json_object_get(models, "reward"), "folder"), "model");
    check_int(strlen(text_of(json_object_get(models, "reward"), "xxh3")), HASH_XXH3_HEX - 1);
    check_str(text_of(json_object_get(models, "answer"), "endpoint"), "t");
    char *used = read_all("work/settings.json");
    check(used && strstr(used, "\"closeness\": 0.2") && strstr(used, "\"model\": \"small\"")); /* what is not given, too */
    free(used);
    json_decref(seen);
    json_decref(rationales);
    json_decref(rewarded);

    /* Ready for prepare, and for training. */
    r = run_program(dir, "prepare --tokenizer byte --input work/records.jsonl --output phase2.tok");
    check_msg(r.code == 0, "%s", r.err);
    ran_free(&r);
    struct tokfile *f;
    char *path = path_of("phase2.tok");
    if (tokfile_open(&f, path, true, &e)) {
        check_int(tokfile_docs(f), json_array_size(records));
        check(tokfile_learnt(f) > 0);
        tokfile_close(f);
    } else {
        check_msg(false, "%s", e.msg);
    }
    free(path);
    json_decref(records);

    /* Once more: everything is known, so that not even the server is needed. */
    end(&s);
    char *copy = xprintf("cp -r '%s/work' '%s/reference'", dir, dir);
    must(system(copy) == 0);
    free(copy);
    r = run_program(dir, "promptcot p.json");
    check_msg(r.code == 0, "%s", r.err);
    ran_free(&r);
    same_outputs("work", "reference");
}

/* Two requests in five fail at first, in seven ways: the outputs are the same. */
static void troubles(void)
{
    struct server s;
    if (!serve(&s, "--trouble 0.4 --hang 3"))
        return;
    settings("t.json", "trouble", s.port, ",\"timeout_s\":0.4,\"backoff_s\":0.01,\"retries\":3");
    struct ran r = run_program(dir, "promptcot t.json");
    check_msg(r.code == 0, "%s", r.err);
    check(strstr(r.err, " retries, 0 failed") && !strstr(r.err, "answer: 24 replies of talker in 0.0s (0 from before), 0 retries"));
    ran_free(&r);
    same_outputs("trouble", "reference");
    end(&s);
}

/* Programs that print the same for the teacher's inputs agree; what they printed are the record's tests. */
static void programs(void)
{
    struct server s;
    struct err e;
    struct sandbox *sandbox = sandbox_open(false, &e);
    if (!sandbox) {
        test_skip("no sandbox here");
        return;
    }
    sandbox_close(sandbox);
    char text[2048] = "";
    for (int i = 0; i < 12; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "{\"concept\":\"Loop %c\",\"domain\":\"code\",\"level\":1}\n", 'A' + i);
    put("code.jsonl", text);
    if (!serve(&s, ""))
        return;
    settings("c.json", "code", s.port, "");
    const char *options =
        "--domain code --concepts code.jsonl --combine.problems 12 --answer.samples 4 --answer.keep 4 --answer.cpu_seconds 0.25";
    struct ran r = run_program(dir, "promptcot c.json %s", options);
    check_msg(r.code == 0, "%s", r.err);
    check_has(r.err, "\"no_inputs\": 1"); /* the server has none for one of the problems */
    ran_free(&r);
    json_t *records = load_lines("code/records.jsonl"), *runs = load_lines("code/answer.runs.replies.jsonl"), *v, *one;
    size_t i, k, several = 0, failed = 0;
    const char *last = "";
    json_array_foreach(records, i, v)
    {
        const json_t *tests = json_object_get(v, "tests");
        int a, b, c;
        const char *problem = strstr(text_of(v, "prompt"), "A club keeps ");
        check(problem && sscanf(problem, "A club keeps %d boxes of %d %*s each and %d", &a, &b, &c) == 3);
        check_int(json_array_size(tests), 5);
        json_array_foreach(tests, k, one)
        {
            long long n = atoll(text_of(one, "input"));
            check_int(atoll(text_of(one, "output")), n * (a * b + c));
        }
        check(strstr(text_of(v, "completion"), text_of(v, "answer"))); /* each record its own program */
        check(json_integer_value(json_object_get(json_object_get(v, "provenance"), "votes")) >= 2);
        const char *id = text_of(json_object_get(v, "provenance"), "problem_id");
        several += strcmp(id, last) == 0;
        last = id;
    }
    check(json_array_size(records) > 8 && several > 2);
    json_array_foreach(runs, i, v)
    {
        failed += json_object_get(json_object_get(v, "reply"), "failed") != NULL;
    }
    check(failed > 0 && failed < json_array_size(runs) / 2);
    json_decref(runs);
    json_decref(records);
    /* Again, without server and without half of what programs printed: the same bytes. */
    end(&s);
    char *before = read_all("code/records.jsonl"), *all = read_all("code/answer.runs.replies.jsonl"),
         *half = strchr(all + strlen(all) / 2, '\n');
    must(half);
    half[1] = '\0';
    put("code/answer.runs.replies.jsonl", all);
    r = run_program(dir, "promptcot c.json %s", options);
    check_msg(r.code == 0, "%s", r.err);
    ran_free(&r);
    char *after = read_all("code/records.jsonl");
    check_str(after, before);
    free(after);
    /* Not run: all that hold a program are taken. */
    if (!serve(&s, ""))
        return;
    settings("c.json", "code", s.port, "");
    r = run_program(dir, "promptcot c.json %s --answer.inputs 0", options);
    check_msg(r.code == 0, "%s", r.err);
    ran_free(&r);
    after = read_all("code/records.jsonl");
    check(after && strlen(after) > strlen(before) && !strstr(after, "\"tests\""));
    end(&s);
    free(after);
    free(before);
    free(all);
}

/* What is lost for good: one clear error, nothing lost; or a counted skip. */
static void failures(void)
{
    static const struct {
        const char *always, *says;
    } ways[] = {
        {"status 500", "status 500: \"out of memory\""},
        {"closed", "the last of several tries: "},
        {"hang", "timed out"},
        {"no json", "a reply that holds no text"},
        {"no choices", "a reply that holds no text"},
        {"cut off", "the last of several tries: "},
    };
    struct server s;
    struct ran r;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        char *options = xprintf("--hang 2 --always '%s'", ways[i].always);
        if (!serve(&s, options))
            return;
        settings("f.json", "fail", s.port, ",\"timeout_s\":0.2,\"backoff_s\":0.01,\"retries\":1");
        r = run_program(dir, "promptcot f.json");
        check_int(r.code, 1);
        check_has(r.err, ways[i].says);
        check_has(r.err, "rationale: http://127.0.0.1");
        check_has(r.err, "the replies so far are kept");
        ran_free(&r);
        end(&s);
        free(options);
    }
    char *left = read_all("fail/combinations.jsonl"), *as = read_all("reference/combinations.jsonl");
    check(left && as && strcmp(left, as) == 0);
    free(left);
    free(as);

    /* Nobody listens. */
    settings("f.json", "fail", 1, ",\"backoff_s\":0.01,\"retries\":1");
    r = run_program(dir, "promptcot f.json");
    check(r.code == 1 && strstr(r.err, "promptcot: rationale: http://127.0.0.1:1/v1/completions, model \"writer\""));
    ran_free(&r);

    /* A wrong key is not tried again; with the right one the same folder goes on. */
    if (!serve(&s, "--key secret"))
        return;
    setenv("PCM_TEST_KEY", "guess", 1);
    settings("f.json", "fail", s.port, ",\"key_env\":\"PCM_TEST_KEY\",\"parallel\":1");
    r = run_program(dir, "promptcot f.json");
    check_int(r.code, 1);
    check_has(r.err, "status 401");
    check(!strstr(r.err, "secret") && !strstr(r.err, "guess"));
    ran_free(&r);
    setenv("PCM_TEST_KEY", "secret", 1);
    r = run_program(dir, "promptcot f.json");
    check_msg(r.code == 0, "%s", r.err);
    ran_free(&r);
    same_outputs("fail", "reference");
    char *replies_file = read_all("fail/answer.replies.jsonl");
    check(replies_file && !strstr(replies_file, "secret"));
    free(replies_file);
    unsetenv("PCM_TEST_KEY");
    r = run_program(dir, "promptcot f.json");
    check(r.code == 1 && strstr(r.err, "PCM_TEST_KEY, its key_env, is not set"));
    ran_free(&r);
    end(&s);

    /* Skipped: counted, and the rest goes on. */
    if (!serve(&s, "--trouble 0.3 --hang 2"))
        return;
    settings("s.json", "skip", s.port, ",\"timeout_s\":0.3,\"backoff_s\":0.01,\"retries\":0,\"on_failure\":\"skip\"");
    r = run_program(dir, "promptcot s.json");
    check_msg(r.code == 0, "%s", r.err);
    check_has(r.err, "\"failed\": ");
    ran_free(&r);
    json_t *records = load_lines("skip/records.jsonl"), *all = load_lines("reference/records.jsonl");
    check(json_array_size(records) > 0 && json_array_size(records) < json_array_size(all));
    json_decref(records);
    json_decref(all);
    end(&s);
}

/* More problems than answers are in memory at a time: all of them come, in their order. */
static void many(void)
{
    struct server s;
    if (!serve(&s, ""))
        return;
    settings("m.json", "many", s.port, ",\"parallel\":32");
    struct ran r =
        run_program(dir, "promptcot m.json --combine.problems 420 --rationale.samples 1 --judge.models writer --reward.model writer "
                         "--problem.similarity 1 --answer.samples 2 --answer.agree 0");
    check_msg(r.code == 0, "%s", r.err);
    ran_free(&r);
    json_t *in = load_lines("many/rewarded.jsonl"), *out = load_lines("many/records.jsonl"), *v;
    size_t i;
    check_msg(json_array_size(in) > 256, "%zu are no more than are in memory", json_array_size(in));
    check_int(json_array_size(out), json_array_size(in));
    json_array_foreach(out, i, v)
    {
        const char *id = text_of(json_array_get(in, i), "id");
        check_str(text_of(json_object_get(v, "provenance"), "problem_id"), id);
        check(strncmp(text_of(v, "id"), id, strlen(id)) == 0 && strncmp(text_of(v, "id") + strlen(id), "-a", 2) == 0);
    }
    json_decref(in);
    json_decref(out);
    end(&s);
}

/* A request that the endpoint will never take: an error, or a counted skip; never a second try. */
static void refusals(void)
{
    struct server s;
    if (!serve(&s, "--refuse 0.1"))
        return;
    settings("r.json", "refused", s.port, "");
    struct ran r = run_program(dir, "promptcot r.json");
    check(r.code == 1);
    check_has(r.err, "status 400: \"the prompt is too long\"; the replies so far are kept");
    ran_free(&r);
    settings("r.json", "refused", s.port, ",\"on_failure\":\"skip\"");
    r = run_program(dir, "promptcot r.json");
    check_msg(r.code == 0, "%s", r.err);
    check_has(r.err, "\"failed\": ");
    check(strstr(r.err, " 0 retries, ") && !strstr(r.err, " 1 retries, "));
    ran_free(&r);
    json_t *records = load_lines("refused/records.jsonl"), *all = load_lines("reference/records.jsonl");
    check(json_array_size(records) > 0 && json_array_size(records) < json_array_size(all));
    json_decref(records);
    json_decref(all);
    end(&s);
}

/* Concepts' embeddings from an endpoint. */
static void embeddings_of_an_endpoint(void)
{
    static const char *const wrong[] = {"huge numbers", "no choices"};
    struct server s;
    struct ran r;
    if (!serve(&s, ""))
        return;
    settings("v.json", "vectors", s.port, "");
    r = run_program(dir, "promptcot v.json --combine.model writer --until combine");
    check_msg(r.code == 0, "%s", r.err);
    ran_free(&r);
    end(&s);
    for (size_t i = 0; i < 2; i++) {
        char *options = xprintf("--always '%s'", wrong[i]);
        if (!serve(&s, options))
            return;
        settings("v.json", "nonsense", s.port, ",\"backoff_s\":0.01,\"retries\":1");
        r = run_program(dir, "promptcot v.json --combine.model writer --until combine");
        check_int(r.code, 1);
        check_has(r.err, "a reply that holds no embedding");
        ran_free(&r);
        free(options);
        end(&s);
    }
    if (!serve(&s, "--refuse 0.4")) /* concepts without one are left out */
        return;
    settings("v.json", "fewer", s.port, ",\"on_failure\":\"skip\"");
    r = run_program(dir, "promptcot v.json --combine.model writer --until combine --combine.problems 200");
    check_msg(r.code == 0, "%s", r.err);
    ran_free(&r);
    json_t *drawn = load_lines("fewer/combinations.jsonl"), *replied = load_lines("fewer/combine.replies.jsonl"), *seen = json_object(), *v;
    size_t i, k, failed = 0;
    json_array_foreach(replied, i, v)
    {
        failed += json_object_get(json_object_get(v, "reply"), "failed") != NULL;
    }
    json_array_foreach(drawn, i, v)
    {
        const json_t *list = json_object_get(v, "foundational_concepts"), *name;
        json_array_foreach(list, k, name)
        {
            json_object_set_new(seen, json_string_value(name), json_true());
        }
    }
    check_msg(failed > 0 && json_object_size(seen) == 12 - failed, "%zu failed, %zu are drawn", failed, json_object_size(seen));
    r = run_program(dir, "promptcot v.json --combine.model writer --until combine --combine.concepts 12");
    check(r.code == 1);
    check_has(r.err, "have an embedding, fewer than a problem has");
    ran_free(&r);
    json_decref(drawn);
    json_decref(replied);
    json_decref(seen);
    end(&s);
}

static void limits(void)
{
    struct server s;
    if (!serve(&s, ""))
        return;
    settings("l.json", "limit", s.port, ",\"requests_per_minute\":1200,\"parallel\":8");
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    struct ran r = run_program(dir, "promptcot l.json --until rationale");
    clock_gettime(CLOCK_MONOTONIC, &b);
    double seconds = (double)(b.tv_sec - a.tv_sec) + 1e-9 * (double)(b.tv_nsec - a.tv_nsec);
    check_msg(r.code == 0 && seconds >= 15 * 0.05, "16 requests at 20 a second took %g s: %s", seconds, r.err);
    ran_free(&r);
    end(&s);
}

/* Killed at random moments, each time further on, and started again: the same bytes. PCM_LONG=1: ten times, else three. */
static void kills(void)
{
    struct server s;
    int times = getenv("PCM_LONG") ? 10 : 3, killed = 0;
    if (!serve(&s, "--latency 0.06 --trouble 0.1 --hang 2"))
        return;
    settings("k.json", "kill", s.port, ",\"parallel\":2,\"timeout_s\":1,\"backoff_s\":0.01");
    char *programs = program_folder(), *program = xprintf("%s/promptcot", programs);
    for (int i = 0; i < times; i++) {
        pid_t child = fork();
        if (child == 0) {
            int null = open("/dev/null", O_RDWR);
            must(chdir(dir) == 0);
            dup2(null, 1);
            dup2(null, 2);
            execl(program, "promptcot", "k.json", (char *)NULL);
            _exit(127);
        }
        usleep((useconds_t)(50000 + rng_below(77, 0, (uint64_t)i, times > 3 ? 350000 : 700000)));
        kill(child, SIGKILL);
        int status;
        must(waitpid(child, &status, 0) == child);
        killed += WIFSIGNALED(status);
    }
    check_msg(killed == times, "it was killed %d times, then it was done", killed);
    struct ran r = run_program(dir, "promptcot k.json");
    check_msg(r.code == 0, "%s", r.err);
    ran_free(&r);
    same_outputs("kill", "reference");
    free(program);
    free(programs);
    end(&s);
}

/* Our own engine alone: an untrained model writes no end mark, which is said, and nothing breaks. */
static void own_engine(void)
{
    put("own.json",
        "{\"work\":\"own\",\"models\":[{\"name\":\"small\",\"folder\":\"model\"}],\"concepts\":\"concepts.jsonl\",\"combine\":{\"model\":\"small\","
        "\"problems\":2,\"concepts\":2},\"rationale\":{\"model\":\"small\",\"samples\":2,\"max_new_tokens\":8},\"problem\":{\"model\":\"small\"},"
        "\"answer\":{\"model\":\"small\"}}");
    struct ran r = run_program(dir, "promptcot own.json");
    check_int(r.code, 1);
    check_has(r.err, "rationale: no record is left");
    ran_free(&r);
    json_t *got = load_lines("own/rationale.replies.jsonl"), *v;
    size_t i;
    check_int(json_array_size(got), 4);
    json_array_foreach(got, i, v)
    {
        check_int(json_integer_value(json_object_get(json_object_get(v, "reply"), "out")), 8);
    }
    json_decref(got);
}

/* ------------------------------------------------------------------- expectation */

static void expectation(void)
{
    struct server s;
    if (!serve(&s, ""))
        return;
    put("pairs.jsonl", "{\"id\":\"one\",\"foundational_concepts\":[\"A\",\"B\"],\"level\":\"easy\",\"problem\":\"What is 1 + 1?\"}\n"
                       "{\"foundational_concepts\":[\"C\"],\"level\":\"hard\",\"problem\":\"What is 2 + 2?\"}\n");
    char *text = xprintf(
        "{\"work\":\"e\",\"job\":\"expectation\",\"pairs\":\"pairs.jsonl\",\"models\":[{\"name\":\"w\",\"url\":\"http://127.0.0.1:%d/v1\",\"model\":\"w\"}],"
        "\"posterior\":{\"model\":\"w\"},\"reward\":{\"model\":\"w\"}}",
        s.port);
    put("e.json", text);
    free(text);
    struct ran r = run_program(dir, "promptcot e.json");
    check_msg(r.code == 0, "%s", r.err);
    ran_free(&r);
    json_t *all = load_lines("e/posteriors.jsonl"), *best = load_lines("e/lessons.jsonl"), *g = load_lines("e/generator.jsonl"),
           *q = load_lines("e/rationale_model.jsonl"), *v;
    check(json_array_size(all) > 8 && json_array_size(all) <= 16);
    check_int(json_array_size(best), 2);
    check_str(text_of(json_array_get(best, 0), "problem"), "What is 1 + 1?");
    check(strncmp(text_of(json_array_get(best, 0), "id"), "one-z", 5) == 0 &&
          strncmp(text_of(json_array_get(best, 1), "id"), "pair2-z", 7) == 0);
    size_t i;
    json_array_foreach(best, i, v)
    {
        char *completion = text_completion(text_of(v, "rationale"), text_of(v, "problem")),
             *learnt = xprintf("%s\n" END_RATIONALE, text_of(v, "rationale"));
        check_str(text_of(json_array_get(g, i), "completion"), completion);
        check_str(text_of(json_array_get(q, i), "completion"), learnt);
        check(strstr(text_of(json_array_get(q, i), "prompt"), text_of(v, "problem")) &&
              !strstr(text_of(json_array_get(g, i), "prompt"), text_of(v, "problem")));
        free(completion);
        free(learnt);
    }
    json_decref(all);
    json_decref(best);
    json_decref(g);
    json_decref(q);
    end(&s);

    /* Pairs that have a rationale are lessons as they are, without a model. */
    put("three.jsonl", "{\"foundational_concepts\":[\"A\"],\"level\":\"easy\",\"problem\":\"What?\",\"rationale\":\"Because.\"}\n");
    put("t3.json", "{\"work\":\"t3\",\"job\":\"triples\",\"pairs\":\"three.jsonl\"}");
    r = run_program(dir, "promptcot t3.json");
    check_msg(r.code == 0, "%s", r.err);
    ran_free(&r);
    g = load_lines("t3/generator.jsonl");
    char *completion = text_completion("Because.", "What?");
    check_str(text_of(json_array_get(g, 0), "completion"), completion);
    free(completion);
    json_decref(g);
    r = run_program(dir, "promptcot t3.json --pairs pairs.jsonl");
    check(r.code == 1 && strstr(r.err, "the record \"one\" has no \"rationale\""));
    ran_free(&r);
    put("twice.jsonl", "{\"id\":7,\"foundational_concepts\":[\"A\"],\"level\":\"easy\",\"problem\":\"What?\",\"rationale\":\"Because.\"}\n"
                       "{\"id\":\"7\",\"foundational_concepts\":[\"B\"],\"level\":\"easy\",\"problem\":\"Who?\",\"rationale\":\"So.\"}\n");
    r = run_program(dir, "promptcot t3.json --pairs twice.jsonl");
    check(r.code == 1 && strstr(r.err, "twice.jsonl:2: the id \"7\" is that of line 1 already"));
    ran_free(&r);
}

static void wrong_settings(void)
{
    static const struct {
        const char *edit, *says;
        int code;
    } cases[] = {
        {"--combine.model nobody", "combine.model: there is no model \"nobody\" among the models; they are: small, writer, talker", 1},
        {"--judge.models nobody", "judge.models: there is no model \"nobody\"", 1},
        {"--job expectation", "pairs is not given", 1},
        {"--until nowhere", "has no step \"nowhere\"", 1},
        {"--models.0.url http://x", "model \"small\" must have either a folder or a url", 1},
        {"--models.1.url ftp://x", "must begin with http", 1},
        {"--models.0.folder nowhere", "there is no folder nowhere", 1},
        {"--combine.concepts 13", "12 concepts of the domain and the levels asked for; expected 13", 1},
        {"--domain code", "0 concepts of the domain", 1},
        {"--reward.model talker", "\"talker\" has the api chat; log-probabilities of given text need", 1},
        {"--combine.problms 3", "combine.problms", 2},
        {"stray", "one word too many", 2},
    };
    some_concepts();
    settings("p.json", "work", 1, "");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ran r = run_program(dir, "promptcot p.json %s", cases[i].edit);
        check_int(r.code, cases[i].code);
        check_has(r.err, cases[i].says);
        ran_free(&r);
    }
    put("concepts.jsonl", "{\"concept\":\"A\",\"domain\":\"math\",\"level\":1}\n{\"concept\":\"A\",\"domain\":\"math\",\"level\":2}\n");
    struct ran r = run_program(dir, "promptcot p.json");
    check(r.code == 1 && strstr(r.err, "concepts.jsonl:2: the concept \"A\" is in line 1 already"));
    ran_free(&r);
    put("concepts.jsonl", "{\"concept\":\"A\",\"domain\":\"art\",\"level\":1}\n");
    r = run_program(dir, "promptcot p.json");
    check(r.code == 1 && strstr(r.err, "\"domain\" must be \"math\" or \"code\""));
    ran_free(&r);
    r = run_program(dir, "promptcot --help");
    check(r.code == 0 && strstr(r.out, "usage: promptcot CONFIG.json"));
    ran_free(&r);
}

static const struct test tests[] = {
    {"the pipeline", pipeline}, /* leaves the folder `reference` for those below */
    {"programs", programs},
    {"troubles", troubles},
    {"failures", failures},
    {"limits of rate", limits},
    {"refusals", refusals},
    {"many", many},
    {"embeddings of an endpoint", embeddings_of_an_endpoint},
    {"kills", kills},
    {"our own engine", own_engine},
    {"expectation", expectation},
    {"wrong settings", wrong_settings},
};

int main(int argc, char **argv)
{
    log_mute(); /* the library's; the programs talk to files */
    must(mkdtemp(dir));
    here = realpath(".", NULL);
    setenv("OMP_NUM_THREADS", "2", 1);
    setenv("OMP_WAIT_POLICY", "passive", 1);
    struct err e;
    if (!dev_open(0, &e))
        die("%s", e.msg);
    struct ref_model m;
    struct param_table t;
    make_model("model", &m, &t, 3);
    ref_model_close(&m);
    params_free(&t);
    int code = test_main(argc, argv, "test_promptcot", tests, (int)(sizeof tests / sizeof *tests));
    must(file_remove_tree(dir, &e));
    free(here);
    return code;
}
