/* The sandbox: what gets through its walls (nothing), what a run leaves behind (nothing), what stops it, what it measures; and that scoring
 * refuses to run programs where the walls cannot be built. */
#include "core/log.h"
#include "infer/code/sandbox.h"
#include "tests/cases.h"
#include "tests/program.h"
#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

static struct sandbox *sandbox;
static char canary[] = "/tmp/test_sandbox_XXXXXX";

static bool have_sandbox(void)
{
    struct err e;
    if (!sandbox)
        sandbox = sandbox_open(false, &e);
    if (!sandbox) {
        static char why[1100];
        snprintf(why, sizeof(why), "no sandbox on this machine: %.1000s", e.msg);
        test_skip(why);
    }
    return sandbox != NULL;
}

static struct run_result run_it(const char *program, const char *input, double cpu_s, double wall_s)
{
    struct run_spec spec = {.program = sandbox_file(program, strlen(program)),
                            .input = input ? sandbox_file(input, strlen(input)) : -1,
                            .server = -1,
                            .cpu_s = cpu_s,
                            .output = 1 << 20,
                            .memory = (int64_t)512 << 20};
    struct run_result r;
    sandbox_run(&r, sandbox, &spec, wall_s);
    close(spec.program);
    if (input)
        close(spec.input);
    return r;
}

/* Names, sizes, times and owners of everything in a folder (not below it). */
static void add_folder(FILE *f, const char *path)
{
    struct dirent **list;
    int n = scandir(path, &list, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        char *name = xprintf("%s/%s", path, list[i]->d_name);
        struct stat st;
        if (strcmp(list[i]->d_name, "..") != 0 && lstat(name, &st) == 0)
            fprintf(f, "%s %lld %lld %o %u %u\n", name, (long long)st.st_size, (long long)st.st_mtime, st.st_mode, st.st_uid, st.st_gid);
        free(name);
        free(list[i]);
    }
    if (n >= 0)
        free(list);
}
static void add_file(FILE *f, const char *path)
{
    struct err e;
    char *text = file_read(path, 1 << 20, NULL, &e);
    fprintf(f, "%s: %s\n", path, text ? text : "-");
    free(text);
}

/* The host as the attempts would change it. */
static char *host(void)
{
    static const char *const folders[] = {"/etc", "/usr", "/usr/lib/python3", "/opt", "/home", "/boot", "/srv", canary};
    static const char *const files[] = {"/etc/passwd",
                                        "/proc/self/mounts",
                                        "/proc/sys/kernel/hostname",
                                        "/proc/sys/kernel/core_pattern",
                                        "/proc/sys/kernel/panic",
                                        "/proc/sys/kernel/sysrq",
                                        "/proc/sysvipc/shm",
                                        "/proc/sysvipc/sem",
                                        "/proc/sysvipc/msg",
                                        "/proc/self/oom_score_adj"};
    char *text, *kept = xprintf("%s/kept", canary);
    size_t n;
    FILE *f = open_memstream(&text, &n);
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
        add_folder(f, folders[i]);
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        add_file(f, files[i]);
    add_file(f, kept);
    must(fclose(f) == 0);
    free(kept);
    return text;
}
static void same_host(const char *before, const char *after)
{
    size_t i = 0, line = 0;
    for (; before[i] && before[i] == after[i]; i++)
        line = before[i] == '\n' ? i + 1 : line;
    check_msg(before[i] == after[i], "the host has changed: it was\n%.200s\nand is\n%.200s", before + line, after + line);
}

/* Children of this process, and theirs that lost their parent (this process takes them over): all but the canary. */
static int strangers(pid_t known)
{
    char path[64], text[4096] = "";
    int n = 0;
    snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
    FILE *f = fopen(path, "r");
    if (f && fgets(text, sizeof(text), f))
        for (char *word = strtok(text, " "); word; word = strtok(NULL, " "))
            n += atoi(word) != known;
    if (f)
        fclose(f);
    return n;
}

static pid_t start_canary(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) /* the user that runs have on the host */
            _exit(1);
        for (;;)
            pause();
    }
    return pid;
}

static int attempts_stopped; /* by a limit */
static void attempt(const char *name, const char *program)
{
    double begin = log_now();
    struct run_result r = run_it(program, "some input\n", 0.7, 3);
    check_msg(!strstr(r.out, "ESCAPED") && !strstr(r.err, "ESCAPED"), "%s: %s %s", name, r.out, r.err);
    check_msg(log_now() - begin < 20, "%s: took %g s", name, log_now() - begin);
    /* An attempt that fails to begin proves nothing. */
    check_msg(!strstr(r.err, "SyntaxError") && !strstr(r.err, "NameError") && !strstr(r.err, "ModuleNotFoundError"), "%s: %s", name, r.err);
    attempts_stopped += r.limit != RUN_ENDED;
    free(r.out);
}

static void nothing_escapes(void)
{
    if (!have_sandbox())
        return;
    must(mkdtemp(canary) && chmod(canary, 0777) == 0 && setenv("SANDBOX_TEST_SECRET", "1", 1) == 0);
    char *kept = xprintf("%s/kept", canary);
    FILE *f = fopen(kept, "w");
    must(f && fputs("kept", f) >= 0 && fclose(f) == 0 && chmod(kept, 0666) == 0);
    must(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    pid_t pid = start_canary();
    char *before = host();
    int n = each_case("tests/sandbox_cases/escape.py", canary, attempt);
    char *after = host();
    check_msg(n >= 60, "%d attempts", n);
    check_msg(attempts_stopped >= 6, "%d attempts were stopped by a limit", attempts_stopped);
    same_host(before, after);
    check_int(strangers(pid), 0);
    check_int(waitpid(pid, NULL, WNOHANG), 0); /* it lives */
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    struct err e;
    check(file_remove_tree(canary, &e));
    free(before);
    free(after);
    free(kept);
}

static void output_and_exit_codes(void)
{
    if (!have_sandbox())
        return;
    static const struct {
        const char *program, *input, *out;
        int code;
    } cases[] = {
        {"print(input()[::-1])", "abc\n", "cba\n", 0},
        {"import sys\nsys.stdout.write(sys.stdin.read())", "a\nb\n\xc3\xa9", "a\nb\n\xc3\xa9", 0},
        {"import os\nprint(os.read(0, os.fstat(0).st_size))", "xy", "b'xy'\n", 0},
        {"print(7)\nexit(3)", NULL, "7\n", 3},
        {"raise ValueError('no')", NULL, "", 1},
        {"print('before', flush=True)\nimport ctypes\nctypes.string_at(0)", NULL, "before\n", 128 + SIGSEGV},
        {"import threading\nthreading.stack_size(1 << 27)\ndef f(n): return n and 1 + f(n - 1)\nimport sys\nsys.setrecursionlimit(1 << 20)\n"
         "t = threading.Thread(target=lambda: print(f(100000)))\nt.start()\nt.join()",
         NULL, "100000\n", 0},
        {"import asyncio\nasync def f(): await asyncio.sleep(0.01); print('later')\nasyncio.run(f())", NULL, "later\n", 0},
        {"print(__name__, len({hash('a'), hash('a')}))\nimport multiprocessing, tempfile\nprint(tempfile.gettempdir())", NULL,
         "__main__ 1\n/tmp\n", 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct run_result r = run_it(cases[i].program, cases[i].input, 10, 60);
        check_int(r.limit, RUN_ENDED);
        check_int(r.end.code, cases[i].code);
        check_msg(strcmp(r.out, cases[i].out) == 0, "program %zu: \"%s\", %s", i, r.out, r.err);
        free(r.out);
    }
}

static void limits(void)
{
    if (!have_sandbox())
        return;
    struct run_result r = run_it("print('x', flush=True)\nwhile True: pass", NULL, 0.5, 60);
    check_int(r.limit, RUN_CPU);
    check_str(r.out, "x\n");
    check_msg(r.end.cpu_s > 0.5 && r.end.cpu_s < 2, "%g s", r.end.cpu_s);
    free(r.out);
    double begin = log_now();
    r = run_it("import time\ntime.sleep(100)", NULL, 5, 0.5);
    check_int(r.limit, RUN_WALL);
    check_msg(log_now() - begin < 5 && r.end.cpu_s < 1, "%g s", log_now() - begin);
    free(r.out);
    r = run_it("while True: print('y' * 10000)", NULL, 5, 60);
    check_int(r.limit, RUN_OUTPUT);
    check_msg(r.n < 8 << 20, "%zu bytes", r.n);
    free(r.out);
    r = run_it("x = bytearray(200 << 20)\nprint(len(x) >> 20)\nx = bytearray(600 << 20)", NULL, 5, 60);
    check_int(r.end.code, 1);
    check_str(r.out, "200\n");
    check_has(r.err, "MemoryError");
    free(r.out);
    /* CPU time, not elapsed time: a program that sleeps longer than its limit is not stopped. */
    r = run_it("import time\ntime.sleep(1.5)\nprint('done')", NULL, 0.5, 60);
    check_int(r.limit, RUN_ENDED);
    check_str(r.out, "done\n");
    free(r.out);
}

static void large_input_and_output(void)
{
    if (!have_sandbox())
        return;
    size_t n = 900 << 10;
    char *input = xmalloc(n + 1);
    for (size_t i = 0; i < n; i++)
        input[i] = (char)('a' + i % 23);
    input[n] = '\0';
    struct run_result r = run_it("import sys\nsys.stdout.write(sys.stdin.read())", input, 10, 60);
    check_int(r.limit, RUN_ENDED);
    check(r.n == n && memcmp(r.out, input, n) == 0);
    free(r.out);
    free(input);
}

/* As in a container that forbids namespaces. */
static void forbid_namespaces(void)
{
    scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);
    must(f && seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(unshare), 0) == 0 &&
         seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_NEWUSER, CLONE_NEWUSER)) == 0 &&
         seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) == 0 && seccomp_load(f) == 0);
    seccomp_release(f);
}

static void refusal(void)
{
    char folder[] = "/tmp/test_sandbox_score_XXXXXX";
    if (!have_sandbox())
        return;
    must(mkdtemp(folder));
    char *truth = xprintf("%s/truth.jsonl", folder), *answers = xprintf("%s/answers.jsonl", folder);
    FILE *f = fopen(truth, "w");
    must(f &&
         fputs("{\"id\": 1, \"prompt\": \"def f(x):\\n    \\\"\\\"\\\"twice\\\"\\\"\\\"\\n\", \"entry_point\": \"f\", \"test\": "
               "\"def check(c):\\n    assert c(4) == 8\\n\"}\n",
               f) >= 0 &&
         fclose(f) == 0);
    f = fopen(answers, "w");
    must(f && fputs("{\"id\": 1, \"sample\": 0, \"text\": \"</think>\\n```python\\ndef f(x):\\n    return 2 * x\\n```\\n\"}\n", f) >= 0 &&
         fclose(f) == 0);
    pid_t pid = fork();
    if (pid == 0) { /* the filter stays with the process */
        test_failures = 0;
        forbid_namespaces();
        const char *line = "score --task humaneval --truth truth.jsonl --answers answers.jsonl --output score.json";
        struct ran r = run_program(folder, "%s", line);
        check_int(r.code, 1);
        check_has(r.err, "no sandbox can be made here");
        check_has(r.err, "--unsafe");
        char *score = xprintf("%s/score.json", folder);
        check(!file_exists(score));
        ran_free(&r);
        r = run_program(folder, "%s --unsafe", line);
        check_msg(r.code == 0, "%s", r.err);
        check_has(r.err, "accuracy 100.0%");
        check(file_exists(score));
        ran_free(&r);
        free(score);
        _exit(test_failures);
    }
    int status = -1;
    check(waitpid(pid, &status, 0) == pid && status == 0);
    struct err e;
    check(file_remove_tree(folder, &e));
    free(truth);
    free(answers);
}

static const struct test tests[] = {
    {"output_and_exit_codes", output_and_exit_codes},
    {"limits", limits},
    {"large_input_and_output", large_input_and_output},
    {"refusal", refusal},
    {"nothing_escapes", nothing_escapes},
};
TEST_MAIN("test_sandbox", tests)
