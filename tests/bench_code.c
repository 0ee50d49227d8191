/* bench_code [--json FILE] - what judging a program costs in CPU time, and how much of it is starting: one program at a time on one core. */
#include "core/cli.h"
#include "infer/code/code.h"
#include "infer/code/sandbox.h"
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { RUNS = 100 };

struct settings {
    char *json;
};
static const struct conf_field table[] = {
    {.key = "json", .type = CONF_STR, .at = offsetof(struct settings, json), .help = "also write the rows there"}, {0}};

static double cpu_now(void)
{
    double s = 0;
    static const int whom[] = {RUSAGE_SELF, RUSAGE_CHILDREN};
    for (int i = 0; i < 2; i++) {
        struct rusage r;
        must(getrusage(whom[i], &r) == 0);
        s += (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) + 1e-6 * (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec);
    }
    return s;
}

/* CPU seconds of one empty program. */
static double start(bool unsafe)
{
    struct err e;
    struct sandbox *s = sandbox_open(unsafe, &e);
    if (!s) {
        printf("bench_code: nothing can be measured: %s\n", e.msg);
        exit(EXIT_OK);
    }
    struct run_spec spec = {.program = sandbox_file("", 0), .input = -1, .server = -1, .cpu_s = 10, .output = 1 << 20};
    double begin = cpu_now();
    for (int i = 0; i < RUNS; i++) {
        struct run_result r;
        sandbox_run(&r, s, &spec, 60);
        must(r.limit == RUN_ENDED && r.end.code == 0);
        free(r.out);
    }
    double each = (cpu_now() - begin) / RUNS;
    close(spec.program);
    sandbox_close(s);
    return each;
}

/* CPU seconds of one right program under the task, the judge's own start taken out: of RUNS more than one. */
static double judged(const struct task *task, json_t *truth, const char *program)
{
    struct verdict v[1 + RUNS] = {{.correct = false}};
    struct code_job job[1 + RUNS];
    struct code_options o = {.jobs = 1};
    struct err e;
    for (int i = 0; i <= RUNS; i++) {
        v[i].extracted = xstrdup(program);
        job[i] = (struct code_job){.truth = truth, .v = &v[i]};
    }
    double time[3] = {cpu_now()};
    for (int k = 0; k < 2; k++) {
        must(code_judge(job, k ? 1 + RUNS : 1, task->tests, &o, &e));
        time[1 + k] = cpu_now();
    }
    for (int i = 0; i <= RUNS; i++) {
        must(v[i].correct);
        verdict_free(&v[i]);
    }
    json_decref(truth);
    return (time[2] - time[1] - (time[1] - time[0])) / RUNS;
}

int main(int argc, char **argv)
{
    struct settings set = {0};
    cli_options(&set, table, argc, argv, "bench_code [--json FILE]");
    json_t *line =
        json_pack("{s:s, s:s, s:s, s:s}", "public_test_cases", "[{\"input\": \"3 4\", \"output\": \"7\", \"testtype\": \"stdin\"}]",
                  "private_test_cases", "[]", "starter_code", "", "metadata", "{}");
    json_t *function = json_pack("{s:s, s:s, s:s}", "prompt", "def f(a, b):\n    '''sum'''\n", "entry_point", "f", "test",
                                 "def check(c):\n    for i in range(20):\n        assert c(i, i) == 2 * i\n");
    const double bare = start(true), boxed = start(false);
    const struct {
        const char *what;
        double seconds;
    } rows[] = {{"an empty program, limits but no sandbox", bare},
                {"an empty program in a sandbox", boxed},
                {"a test from standard input to output", judged(&task_livecodebench, line, "print(sum(map(int, input().split())))")},
                {"a function under 20 calls", judged(&task_humaneval, function, "def f(a, b): return a + b")}};
    json_t *out = json_array();
    printf("%-42s %10s %14s %22s\n", "one of", "CPU ms", "a core, per s", "sandbox's share");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        printf("%-42s %10.1f %14.1f %21.0f%%\n", rows[i].what, 1e3 * rows[i].seconds, 1 / rows[i].seconds,
               i ? 100 * (boxed - bare) / rows[i].seconds : 0);
        json_array_append_new(out, json_pack("{s:s, s:f}", "what", rows[i].what, "cpu_s", rows[i].seconds));
    }
    struct err e;
    bool ok = !set.json || json_write_path(set.json, out, &e);
    json_decref(out);
    int code = ok ? EXIT_OK : cli_fail(argv[0], &e);
    conf_free(&set, table);
    return code;
}
