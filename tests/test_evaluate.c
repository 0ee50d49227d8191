/* tests/test_evaluate.c - scripts/evaluate.sh from outside: what it leaves, what it refuses, and that a run which is killed at random moments
 * and started again leaves the same bytes as one that was never touched. 10 kills; 100 with PCM_LONG=1 in the environment. */
#include "core/log.h"
#include "core/rng.h"
#include "data/tokenizer.h"
#include "tests/folder.h"
#include "tests/model_files.h"
#include "tests/program.h"
#include "tests/test.h"
#include <fcntl.h>
#include <signal.h>
#include <time.h>

enum { PROBLEMS = 12, SAMPLES = 4 };
static const char *const files[] = {"arithmetic/prompts.jsonl", "arithmetic/answers.jsonl", "arithmetic/score.json",
                                    "arithmetic/report.html",   "arithmetic/settings.txt",  "report.html"};
enum { FILES = sizeof files / sizeof files[0] };

/* A model that writes printable bytes without end, and problems that it does not solve. */
static void prepare(void)
{
    struct param_table t;
    struct err e = {""};
    struct model_config c = small_config(2, false);
    params_plan(&t, &c);
    struct tensors w = random_weights(&t, &c, F32, 3, 9);
    char *model = path_of("model"), *truth = path_of("truth"), *file = path_of("truth/arithmetic.jsonl");
    save_model(model, &c, w);
    struct tokenizer *tok;
    check_msg(tokenizer_open(&tok, "byte", &e) && tokenizer_save(tok, model, &e), "%s", e.msg);
    tokenizer_close(tok);
    dev_free(w.base);
    params_free(&t);
    check_msg(file_mkdirs(truth, &e), "%s", e.msg);
    FILE *f = fopen(file, "w");
    must(f);
    for (int i = 0; i < PROBLEMS; i++)
        fprintf(f, "{\"id\":\"p%d\",\"prompt\":\"%d+%d=\",\"answer\":\"%d\"}\n", i, i, 2 * i, 3 * i);
    must(fclose(f) == 0);
    free(model);
    free(truth);
    free(file);
}

/* Starts "evaluate.sh model ARGS" in a process group of its own, what it says in dir/log. */
static pid_t start(const char *args)
{
    char *programs = program_folder(), *log = path_of("log");
    char *command = xprintf("BUILD='%s' exec bash scripts/evaluate.sh %s/model %s", programs, dir, args);
    pid_t child = fork();
    must(child >= 0);
    if (child == 0) {
        int to = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0666);
        if (setpgid(0, 0) == 0 && to >= 0 && dup2(to, 1) == 1 && dup2(to, 2) == 2)
            execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    setpgid(child, child);
    free(programs);
    free(log);
    free(command);
    return child;
}

static int wait_for(pid_t child)
{
    int status;
    must(waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Exit code; what it said goes to *said, which the caller frees. */
static int run(const char *args, char **said)
{
    struct err e;
    int code = wait_for(start(args));
    char *log = path_of("log");
    *said = file_read(log, 1 << 20, NULL, &e);
    must(*said);
    free(log);
    return code;
}

static char *words(const char *more)
{
    return xprintf(
        "arithmetic --truth-dir %s/truth --output %s/out --samples %d --max-new-tokens 300 --temperature=1 --seed 3 --batch 4 %s", dir, dir,
        SAMPLES, more);
}

static char *content(const char *name)
{
    struct err e = {""};
    char *path = xprintf("%s/out/%s", dir, name), *text = file_read(path, 1 << 26, NULL, &e);
    check_msg(text, "%s", e.msg);
    free(path);
    return text ? text : xstrdup("");
}

static void clear(void)
{
    struct err e;
    char *out = path_of("out");
    must(file_remove_tree(out, &e));
    free(out);
}

static void killed_at_random(void)
{
    char *want[FILES], *said, *args = words(""), *journal = path_of("out/arithmetic/answers.jsonl.journal");
    int most = getenv("PCM_LONG") ? 100 : 10, kills = 0, whole = 0, went_on = 0;
    double begin = log_now();
    int code = run(args, &said);
    check_msg(code == 0, "exit code %d: %s", code, said);
    free(said);
    double took = log_now() - begin;
    for (int i = 0; i < FILES; i++)
        want[i] = content(files[i]);
    check_has(want[1], "\"sample\":3");
    check_has(want[2], "\"these_problems\"");
    check_has(want[5], "<a href=\"arithmetic/report.html\">arithmetic</a>");
    clear();
    for (uint64_t turn = 0; (kills < most || whole == 0) && turn < 30 * (uint64_t)most; turn++) {
        went_on += file_exists(journal);
        pid_t child = start(args);
        if (kills < most) {
            double s = took * (0.1 + 0.7 * rng_uniform(5, 0, turn));
            struct timespec t = {(time_t)s, (long)(1e9 * (s - floor(s)))};
            nanosleep(&t, NULL);
            kill(-child, SIGKILL);
        }
        if (wait_for(child) != 0) {
            kills++;
            continue;
        }
        whole++;
        for (int i = 0; i < FILES; i++) {
            char *got = content(files[i]);
            check_msg(strcmp(got, want[i]) == 0, "%s differs after %d kills", files[i], kills);
            free(got);
        }
        check(!file_exists(journal));
        clear();
    }
    fprintf(stderr, "  %d kills, %d of them left finished samples, %d runs became whole\n", kills, went_on, whole);
    check(kills >= most && whole > 0);
    check(went_on > 0);
    for (int i = 0; i < FILES; i++)
        free(want[i]);
    free(args);
    free(journal);
}

static void what_is_there(void)
{
    char *said, *args = words(""), *more = words("--samples 2");
    check_int(run(args, &said), 0);
    check_has(said, "open ");
    free(said);
    /* Whole answers are judged again, not drawn again. */
    char *before = content("arithmetic/score.json");
    check_int(run(args, &said), 0);
    check_has(said, "answers.jsonl is whole");
    check(!strstr(said, "sequences at a time"));
    free(said);
    char *after = content("arithmetic/score.json");
    check_str(after, before);
    /* Those of other settings are neither. */
    check_int(run(more, &said), 1);
    check_has(said, "has answers of another model, other prompts or other sampling");
    free(said);
    free(before);
    free(after);
    free(args);
    free(more);
    clear();
}

static void refused(void)
{
    static const struct {
        const char *args, *says;
        int code;
    } cases[] = {
        {"", "a model folder and at least one task are needed", 2},
        {"arithmetic --truth-dir", "--truth-dir needs a value", 2},
        {"arithmetic --sample=3", "unknown option --sample", 2},
        {"arithmatic", "there is no task \"arithmatic\"", 2},
        {"arithmetic --truth-dir /nowhere", "no /nowhere/arithmetic.jsonl", 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *said, *args = xprintf("%s --output %s/out", cases[i].args, dir);
        if (!strcmp(cases[i].args, "arithmetic --truth-dir"))
            args[strlen(cases[i].args)] = '\0';
        int code = run(args, &said);
        check_msg(code == cases[i].code, "%s: exit code %d: %s", cases[i].args, code, said);
        check_has(said, cases[i].says);
        free(said);
        free(args);
    }
    char *out = path_of("out");
    check(!file_exists(out));
    free(out);
}

static const struct test all[] = {
    {"killed at random moments", killed_at_random},
    {"what is there already", what_is_there},
    {"what is refused", refused},
};

int main(int argc, char **argv)
{
    struct err e;
    if (!dev_open(0, &e))
        die("%s", e.msg);
    must(mkdtemp(dir));
    setenv("OMP_WAIT_POLICY", "passive", 0);
    prepare();
    if (strcmp(dev_backend(), "cpu")) /* on a GPU, a sample's bits depend on those beside it */
        fprintf(stderr, "  skipped test_evaluate: the CPU backend has equal bits whatever the batch\n");
    int status = test_main(argc, argv, "test_evaluate", all + (strcmp(dev_backend(), "cpu") != 0), strcmp(dev_backend(), "cpu") ? 2 : 3);
    file_remove_tree(dir, &e);
    return status;
}
