/* tests/test_launch.c - runs of several ranks that meet with an accident: a rank killed at any moment, stopped, hung; ranks that were not started
 * alike; what is started again and what is not. All ranks are gone in time, the last line names the cause, and nothing is lost. 10 kills; 100 with
 * PCM_LONG=1 in the environment. On GPUs there must be one for each rank. */
#include "core/log.h"
#include "kernels/device.h"
#include "tests/mpirun.h"
#include "tests/train_run.h"
#include "train/watch.h"
#include <dirent.h>
#include <sys/ptrace.h>

enum { RANKS = 3, GONE_S = 10 };

static void pause_s(double s)
{
    struct timespec t = {(time_t)s, (long)(1e9 * (s - floor(s)))};
    nanosleep(&t, NULL);
}

/* False, and the test is skipped, where several ranks cannot run. */
static bool can_run(void)
{
    const char *missing = mpirun_missing();
    if (!missing && strcmp(dev_backend(), "cpu"))
        missing = "needs a GPU for each rank";
    if (missing)
        test_skip(missing);
    else
        free(mpirun_words(RANKS)); /* for the environment that it sets */
    return !missing;
}

/* Two phases, the second of 20 steps, of some milliseconds each. */
static char *launch_settings(const char *name, int64_t steps, int64_t save_every)
{
    char *first = run_settings(name, NULL);
    char *edits =
        xprintf("{\"batch\": {\"rows\": 48, \"micro_rows\": 4}, \"checkpoint\": {\"every_steps\": %lld}, \"phases\": ["
                "{\"name\": \"one\", \"seq_len\": 32, \"steps\": %lld, \"data\": [{\"path\": \"%s\"}]},"
                "{\"name\": \"two\", \"seq_len\": 48, \"steps\": 20, \"reset_optimizer\": true, \"data\": [{\"path\": \"%s\"}]}]}",
                (long long)save_every, (long long)steps, run_path("a.tok"), run_path("b.tok"));
    char *config = run_settings(name, edits);
    free(first);
    free(edits);
    return config;
}

/* Starts `train CONFIG --ranks N --max-restarts M option`; what it says goes to run_path("log"). */
static pid_t launch(const char *config, int ranks, int restarts, const char *option)
{
    char r[32], m[32];
    snprintf(r, sizeof r, "--ranks=%d", ranks);
    snprintf(m, sizeof m, "--max-restarts=%d", restarts);
    char *argv[] = {(char *)"train", (char *)config, r, m, (char *)option, NULL};
    return run_start(run_path("log"), argv, 0);
}

/* The file /proc/PID/NAME has this word, ended by a NUL or (part) inside another. */
static bool proc_has(const char *pid, const char *name, const char *word, bool part)
{
    static char text[1 << 17];
    char path[300];
    snprintf(path, sizeof path, "/proc/%s/%s", pid, name);
    FILE *f = fopen(path, "r");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0, at = 0;
    if (f)
        fclose(f);
    text[n] = '\0';
    while (at < n && (part ? !strstr(text + at, word) : strcmp(text + at, word)))
        at += strlen(text + at) + 1;
    return at < n;
}

/* A process of this run that is the rank; -1: any process of this test's folder. 0: there is none. */
static pid_t find_rank(const char *config, int rank)
{
    char word[64];
    pid_t found = 0;
    DIR *d = opendir("/proc");
    must(d);
    snprintf(word, sizeof word, "OMPI_COMM_WORLD_RANK=%d", rank);
    for (struct dirent *f; (f = readdir(d)) && !found;)
        if (atoi(f->d_name) > 0 && atoi(f->d_name) != getpid() && proc_has(f->d_name, "cmdline", config, true) &&
            (rank < 0 || proc_has(f->d_name, "environ", word, false)))
            found = atoi(f->d_name);
    closedir(d);
    return found;
}

static bool running(pid_t child)
{
    siginfo_t state = {0};
    must(waitid(P_PID, (id_t)child, &state, WEXITED | WNOWAIT | WNOHANG) == 0);
    return state.si_pid == 0;
}

static pid_t wait_for_rank(const char *config, int rank, pid_t child)
{
    pid_t found = 0;
    for (int k = 0; k < 3000 && !found && running(child); k++) {
        found = find_rank(config, rank);
        if (!found)
            pause_s(0.005);
    }
    return found;
}

/* Lines of metrics.jsonl: the steps done. */
static int64_t steps_done(const char *name)
{
    struct err e;
    char *text = file_read(run_path("%s/metrics.jsonl", name), (size_t)1 << 28, NULL, &e);
    int64_t n = 0;
    for (const char *p = text; p && (p = strchr(p, '\n')); p++)
        n++;
    free(text);
    return n;
}

static void wait_for_steps(const char *name, int64_t n, pid_t child)
{
    for (int k = 0; k < 6000 && steps_done(name) < n && running(child); k++)
        pause_s(0.005);
}

/* The end of a run: its exit code, that no process of it is left, and all within the time allowed. What it said, its last line in *v. */
static int ended(pid_t child, const char *config, double since, char **text, struct watch_verdict *v, bool *told)
{
    int code = run_wait(child, NULL);
    pid_t left;
    while ((left = find_rank(config, -1)) && log_now() - since < GONE_S)
        pause_s(0.01);
    check_msg(!left, "process %d is left after %.1f s", left, log_now() - since);
    *text = run_read(run_path("log"), NULL);
    size_t n = strlen(*text);
    while (n > 0 && (*text)[n - 1] == '\n')
        n--;
    char *all = xprintf("%.*s", (int)n, *text), *line = strrchr(all, '\n');
    *told = watch_parse(v, line ? line + 1 : all);
    free(all);
    return code;
}

static void check_same(const char *name)
{
    static const char *const files[] = {"step_000020/model.safetensors",   "step_000040/model.safetensors",
                                        "step_000040/exp_avg.safetensors", "step_000040/exp_avg_sq.safetensors",
                                        "step_000040/trainer.json",        "latest"};
    check_int(run_metrics_differ(run_path("whole/metrics.jsonl"), run_path("%s/metrics.jsonl", name)), 0);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char *a = run_path("whole/%s", files[i]), *b = run_path("%s/%s", name, files[i]);
        check_msg(file_exists(b) && run_same_file(a, b), "%s", files[i]);
    }
}

static double whole_s; /* from the first rank's start to the end */

static void test_whole(void)
{
    char *text, *config = launch_settings("whole", 20, 5);
    struct watch_verdict v;
    bool told;
    if (!can_run())
        return;
    pid_t child = launch(config, RANKS, 0, NULL);
    wait_for_rank(config, 0, child);
    double begin = log_now();
    int code = ended(child, config, begin, &text, &v, &told);
    whole_s = log_now() - begin;
    check_msg(code == 0 && !told, "exit code %d: %s", code, text);
    check_int(steps_done("whole"), 40);
    free(text);
    free(config);
}

/* Any rank at any moment, from before it knows the others until after it said goodbye. */
static void test_kills(void)
{
    int most = getenv("PCM_LONG") ? 100 : 10, kills = 0, named = 0;
    uint64_t seed = (uint64_t)time(NULL);
    char *text, *config = launch_settings("killed", 20, 5);
    double slowest = 0;
    struct err e;
    if (!can_run())
        return;
    fprintf(stderr, "          seed %llu\n", (unsigned long long)seed);
    for (int turn = 0; kills < most && turn < 5 * most; turn++) {
        int rank = (int)rng_below(seed, 1, (uint64_t)turn, RANKS);
        struct watch_verdict v;
        bool told;
        pid_t child = launch(config, RANKS, 0, NULL), victim = wait_for_rank(config, rank, child);
        pause_s(whole_s * rng_uniform(seed, 2, (uint64_t)turn));
        bool hit = victim > 0 && kill(victim, SIGKILL) == 0;
        double since = log_now();
        int code = ended(child, config, since, &text, &v, &told);
        if (code == 0) { /* it was done before */
            check_same("killed");
            must(file_remove_tree(run_path("killed"), &e));
        } else {
            check_msg(hit && code == 1, "exit code %d: %s", code, text);
            check_msg(told && v.cause == WATCH_DIED, "%s", text);
            if (told && v.rank >= 0) { /* the watch told it */
                check_msg(v.rank == rank, "rank %d was killed: %s", rank, text);
                named++;
            }
            slowest = fmax(slowest, log_now() - since);
            kills++;
        }
        free(text);
    }
    check_int(kills, most);
    int code = run_wait(launch(config, RANKS, 0, NULL), NULL);
    check_int(code, 0);
    check_same("killed");
    check(named > 0);
    fprintf(stderr, "          %d kills, %d of them in a step; all ranks gone within %.1f s\n", kills, named, slowest);
    free(config);
}

/* A stopped rank answers nobody; one whose main thread alone stands still answers, and is found by its lack of progress. */
static void test_stopped(void)
{
    char *text, *config = launch_settings("stopped", 3000, 5);
    struct watch_verdict v;
    bool told;
    if (!can_run())
        return;
    pid_t child = launch(config, RANKS, 0, NULL), victim = wait_for_rank(config, 1, child);
    wait_for_steps("stopped", 3, child);
    must(victim > 0 && kill(victim, SIGSTOP) == 0);
    double since = log_now();
    int code = ended(child, config, since, &text, &v, &told);
    check_msg(code == 1 && told && v.cause == WATCH_SILENT && v.rank == 1 && v.step >= 3, "exit code %d: %s", code, text);
    free(text);
    free(config);
}

static void test_hung(void)
{
    char *text, *config = launch_settings("hung", 3000, 3000);
    struct watch_verdict v;
    bool told;
    if (!can_run())
        return;
    pid_t child = launch(config, RANKS, 0, "--watch.hung_s=1"), victim = wait_for_rank(config, 2, child);
    wait_for_steps("hung", 5, child);
    must(victim > 0);
    if (ptrace(PTRACE_SEIZE, victim, NULL, NULL) != 0 || ptrace(PTRACE_INTERRUPT, victim, NULL, NULL) != 0) {
        kill(child, SIGTERM);
        ended(child, config, log_now(), &text, &v, &told);
        free(text);
        test_skip("this machine does not let a process trace another");
    } else {
        double since = log_now();
        /* Only the tracer can bury a traced thread, and its launcher waits for that. */
        while (running(child)) {
            waitpid(victim, NULL, __WALL | WNOHANG);
            pause_s(0.01);
        }
        int code = ended(child, config, since, &text, &v, &told);
        check_msg(code == 1 && told && v.cause == WATCH_HUNG && v.rank == 2 && v.step >= 5, "exit code %d: %s", code, text);
        free(text);
    }
    free(config);
}

/* Settings, data and binary that are not rank 0's are refused before a step. words: what follows "-np 1" for each of two ranks. */
static void check_refused(const char *first, const char *second, const char *words)
{
    char *programs = program_folder(),
         *command = xprintf("mpirun -q --oversubscribe --bind-to none -np 1 %s : -np 1 %s >'%s' 2>&1", first, second, run_path("log"));
    int status = system(command);
    char *text = run_read(run_path("log"), NULL);
    check_msg(WIFEXITED(status) && WEXITSTATUS(status) == 1, "status %d: %s", status, text);
    check_has(text, words);
    check_msg(!strstr(text, "step 1/"), "%s", text);
    const char *line = strstr(text, "train: ");
    check_msg(line && strchr(line, '\n') == text + strlen(text) - 1, "not one line at the end: %s", text);
    free(text);
    free(command);
    free(programs);
}

static void test_differing(void)
{
    struct err e;
    if (!can_run())
        return;
    char *programs = program_folder(), *config = launch_settings("differ", 20, 5);
    char *train = xprintf("'%s/train' '%s'", programs, config), *other = xprintf("%s --optim.betas=0.9,0.99", train);
    check_refused(train, other, "rank 1 (");
    check_refused(train, other, "differs from rank 0 in the setting optim.betas.1: 0.99, not 0.95; start all ranks alike");
    free(other);
    other = xprintf("%s --resume=never", train);
    check_refused(train, other, "in --resume: never, not auto");
    free(other);

    char *text = run_read(config, NULL); /* the same path, other data: two working folders */
    must(file_mkdirs(run_path("here"), &e) && file_mkdirs(run_path("there"), &e));
    must(file_copy(run_path("a.tok"), run_path("here/x.tok"), &e) && file_copy(run_path("b.tok"), run_path("there/x.tok"), &e));
    char *here = xprintf("-wdir '%s' %s --phases.0.data.0.path=x.tok", run_path("here"), train);
    char *there = xprintf("-wdir '%s' %s --phases.0.data.0.path=x.tok", run_path("there"), train);
    check_refused(here, there, "in the data or their order in phase one (digest)");
    free(here);
    free(there);

    char *copy = run_path("train"), *grow = xprintf("cp '%s/train' '%s' && echo >>'%s'", programs, copy, copy);
    must(system(grow) == 0);
    other = xprintf("'%s' '%s'", copy, config);
    check_refused(train, other, "in the program's binary (XXH3-128)");
    check(!file_exists(run_path("differ")));
    free(grow);
    free(other);
    free(text);
    free(train);
    free(programs);
    free(config);
}

/* Started again after each kill, the run ends as if nothing had been. */
static void test_restarts(void)
{
    char *text, *config = launch_settings("again", 20, 5);
    if (!can_run())
        return;
    pid_t child = launch(config, RANKS, 3, NULL);
    for (int k = 0; k < 2; k++) {
        wait_for_steps("again", 8 + 14 * k, child);
        pid_t victim = find_rank(config, k);
        check(victim > 0 && kill(victim, SIGKILL) == 0);
    }
    int code = run_wait(child, NULL);
    text = run_read(run_path("log"), NULL);
    check_msg(code == 0, "exit code %d: %s", code, text);
    check_has(text, "start 2 of 4, from the newest good checkpoint");
    check_has(text, "start 3 of 4, from the newest good checkpoint");
    check_same("again");
    free(text);
    free(config);
}

/* A save that always dies at step 5 (files may not grow) is tried three times; an input that is refused, once. */
static void test_gives_up(void)
{
    char *text, *config = launch_settings("hopeless", 20, 5);
    char *argv[] = {(char *)"train", config, (char *)"--max-restarts=9", NULL}, *log = xstrdup(run_path("log"));
    int code = run_wait(run_start(log, argv, 6000), NULL);
    text = run_read(log, NULL);
    int starts = 0;
    for (const char *p = text; (p = strstr(p, "from the newest good checkpoint")); p++)
        starts++;
    check_msg(code == 1 && starts == 2, "exit code %d, %d starts: %s", code, starts, text);
    check_has(text, "failed at step 5, section ");
    check_has(text, "; the third time at this step and on this host");
    const char *last = strstr(text, "third time");
    check_msg(last && strchr(last, '\n') == text + strlen(text) - 1, "not the last line: %s", text);
    free(text);

    char *wrong[] = {(char *)"train", config, (char *)"--max-restarts=9", (char *)"--model.config=nowhere.json", NULL};
    code = run_wait(run_start(log, wrong, 0), NULL);
    text = run_read(log, NULL);
    check_msg(code == 1 && !strstr(text, "newest good"), "%s", text);
    free(text);
    free(log);
    free(config);
}

/* SIGTERM to the one that started them: all save and stop, with exit code 0. */
static void test_stop(void)
{
    char *text, *config = launch_settings("stop", 3000, 5);
    struct watch_verdict v;
    bool told;
    if (!can_run())
        return;
    pid_t child = launch(config, RANKS, 5, NULL);
    wait_for_steps("stop", 7, child);
    kill(child, SIGTERM);
    int code = ended(child, config, log_now(), &text, &v, &told);
    check_msg(code == 0 && !told, "exit code %d: %s", code, text);
    check_has(text, "stopped by SIGUSR1 at step ");
    check_msg(file_exists(run_path("stop/step_%06lld/manifest.json", (long long)steps_done("stop"))), "%s", text);
    free(text);
    free(config);
}

/* An mpirun that does not end after its ranks, as Open MPI's sometimes does not, is ended; this one stops itself. */
static void check_stuck(const char *script, const char *option, const char *words)
{
    char *text, *config = launch_settings("stuck", 20, 5), *path = xstrdup(getenv("PATH")), *with = xprintf("%s:%s", run_path("bin"), path);
    struct watch_verdict v;
    struct err e;
    bool told;
    must(file_mkdirs(run_path("bin"), &e));
    run_write_text(run_path("bin/mpirun"), script);
    must(chmod(run_path("bin/mpirun"), 0755) == 0 && setenv("PATH", with, 1) == 0);
    pid_t child = launch(config, 1, 0, option);
    setenv("PATH", path, 1);
    int code = ended(child, config, log_now(), &text, &v, &told);
    check_msg(code == 1 && told && v.cause == WATCH_DIED && strstr(v.why, words), "exit code %d: %s", code, text);
    free(text);
    free(path);
    free(with);
    free(config);
}

static void test_stuck(void)
{
    if (!can_run())
        return;
    check_stuck("#!/bin/bash\nsleep 2\nkill -STOP $$\n", NULL, "mpirun did not end though no rank was left");
    /* Ranks that take their time are waited for, and what the watch said before stays the cause. */
    check_stuck("#!/bin/bash\nsleep 4\necho 'train: rank 1 (far) died at step 7, section data: of old age' >&2\nkill -STOP $$\n", NULL,
                "of old age");
    /* Ranks on other hosts that have no process here run on until the watch tells of their end. */
    check_stuck("#!/bin/bash\nsleep 1.5\nmkfifo $0.wait\nexec 3<>$0.wait\nread -rt 4.5 -u 3\n"
                "echo 'train: rank 1 (far) died at step 7, section data: of old age' >&2\nkill -STOP $$\n",
                "--hosts=hosts", "of old age");
}

static const struct test tests[] = {{"the undisturbed run", test_whole},
                                    {"any rank killed at any time", test_kills},
                                    {"a rank that is stopped", test_stopped},
                                    {"a rank that hangs", test_hung},
                                    {"ranks that were not started alike", test_differing},
                                    {"started again", test_restarts},
                                    {"the same failure three times", test_gives_up},
                                    {"an mpirun that does not end", test_stuck},
                                    {"SIGTERM", test_stop}};
TEST_MAIN("test_launch", tests)
