/* tests/test_zero.c - training on several ranks of this machine under mpirun: the same losses over the same rows at any number of ranks, the same
 * bits again at one number, exact resuming, memory as planned, and how such a run stops and fails. On GPUs there must be one for each rank. */
#include "kernels/device.h"
#include "tests/mpirun.h"
#include "tests/train_run.h"

enum { NO_DEVICE = -77 };

/* Runs `train CONFIG options` on so many ranks (0: without mpirun), one thread each; the exit code. *text (may be NULL) receives what was said;
 * the caller frees. */
static int run_ranks(char **text, int ranks, const char *config, const char *options)
{
    char *programs = program_folder(), *words = ranks ? mpirun_words(ranks) : xstrdup("env OMP_NUM_THREADS=1");
    char *command = xprintf("%s '%s/train' '%s' %s >'%s' 2>&1", words, programs, config, options, run_path("log"));
    int status = system(command), code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    char *said = run_read(run_path("log"), NULL);
    if (strstr(said, "was asked for, but"))
        code = NO_DEVICE;
    if (text)
        *text = said;
    else
        free(said);
    free(command);
    free(words);
    free(programs);
    return code;
}

/* False, and the test is skipped, where several ranks cannot run. */
static bool can_run(void)
{
    const char *missing = mpirun_missing();
    if (missing)
        test_skip(missing);
    return !missing;
}

static void must_pass(int ranks, const char *config, const char *options)
{
    char *text;
    int code = run_ranks(&text, ranks, config, options);
    if (code == NO_DEVICE)
        test_skip("not a GPU for every rank");
    else
        check_msg(code == 0, "%d ranks: exit code %d: %s", ranks, code, text);
    free(text);
}

/* Largest relative difference of a number over all steps of two metrics.jsonl. */
static double most_off(const char *a, const char *b, const char *key)
{
    json_t *x = run_jsonl(a), *y = run_jsonl(b);
    double most = json_array_size(x) == json_array_size(y) ? 0 : INFINITY;
    for (size_t i = 0; i < json_array_size(x) && i < json_array_size(y); i++) {
        double p = run_num(json_array_get(x, i), key), q = run_num(json_array_get(y, i), key), off = fabs(q / p - 1);
        most = off <= most ? most : off; /* NAN stays */
    }
    json_decref(x);
    json_decref(y);
    return most;
}

/* Rows that do not divide by the ranks, ranks without rows, several passes, both means, and a smaller last step. */
static void test_same_losses(void)
{
    static const char *const edits[] = {"{\"batch\": {\"rows\": 7, \"micro_rows\": 2}}",
                                        "{\"batch\": {\"rows\": 3, \"micro_rows\": 1}, \"loss_mean\": \"rows\"}",
                                        "{\"batch\": {\"rows\": 2, \"micro_rows\": 1}, \"recompute\": \"full\"}"};
    if (!can_run())
        return;
    for (int i = 0; i < 3 && !test_skip_message; i++) {
        char *name = xprintf("alone%d", i), *config = run_settings(name, edits[i]);
        must_pass(0, config, "");
        for (int ranks = 1; ranks <= 4 && !test_skip_message; ranks++) {
            char *option = xprintf("--run_dir=%s", run_path("ranks%d-%d", i, ranks));
            must_pass(ranks, config, option);
            free(option);
            if (test_skip_message)
                break;
            char *alone = xstrdup(run_path("%s/metrics.jsonl", name)), *other = run_path("ranks%d-%d/metrics.jsonl", i, ranks);
            check(most_off(alone, other, "tokens") == 0 && most_off(alone, other, "learnt_tokens") == 0 &&
                  most_off(alone, other, "lr") == 0);
            double loss = most_off(alone, other, "loss"), norm = most_off(alone, other, "grad_norm");
            check_msg(loss < 1e-6 && norm < 1e-5, "settings %d, %d ranks: losses differ by %.2g, norms by %.2g", i, ranks, loss, norm);
            check(ranks > 1 || run_metrics_differ(alone, other) == 0); /* one rank under mpirun is no other computation */
            json_t *all = run_jsonl(other);
            check((run_num(json_array_get(all, 0), "comm_wait_s") >= 0) == (ranks > 1)); /* NAN: not there */
            json_decref(all);
            free(alone);
        }
        free(name);
        free(config);
    }
}

static const char *const checkpoint_files[] = {"model.safetensors", "exp_avg.safetensors", "exp_avg_sq.safetensors", "trainer.json"};

static void check_same_checkpoint(const char *a, const char *b)
{
    for (int i = 0; i < 4; i++)
        check_msg(run_same_file(run_path("%s/%s", a, checkpoint_files[i]), run_path("%s/%s", b, checkpoint_files[i])), "%s and %s: %s", a,
                  b, checkpoint_files[i]);
}

/* Twice the same run has the same bits; so has one that goes on from an older checkpoint. */
static void test_same_bits(void)
{
    enum { RANKS = 3 };
    if (!can_run())
        return;
    char *config = run_settings("first", "{\"batch\": {\"rows\": 5, \"micro_rows\": 1}}"),
         *metrics = xstrdup(run_path("first/metrics.jsonl"));
    char *option = xprintf("--run_dir=%s", run_path("again"));
    must_pass(RANKS, config, "");
    must_pass(RANKS, config, option);
    if (!test_skip_message) {
        struct err e;
        char *text;
        check_int(run_metrics_differ(metrics, run_path("again/metrics.jsonl")), 0);
        check_same_checkpoint("first/step_000012", "again/step_000012");
        check(file_remove_tree(run_path("again/step_000012"), &e)); /* the second run falls back to step 9 */
        int code = run_ranks(&text, RANKS, config, option);
        check_int(code, 0);
        check_has(text, "step_000009 (step 9 of 12)");
        check(!strstr(text, "step 9/12") && strstr(text, "step 10/12"));
        check_int(run_metrics_differ(metrics, run_path("again/metrics.jsonl")), 0);
        check_same_checkpoint("first/step_000012", "again/step_000012");
        free(text);
    }
    free(option);
    free(metrics);
    free(config);
}

/* The plan for several ranks, made without them, is what the largest of three takes, within 2%; what ranks own gets smaller as they become
 * more. */
static void test_plan(void)
{
    if (!can_run())
        return;
    char *config = run_plan_settings(4);
    double optimizer = 0;
    for (int ranks = 1; ranks <= 4 && !test_skip_message; ranks++) {
        char *text, *option = xprintf("--plan --ranks %d", ranks);
        int code = run_ranks(&text, 0, config, option);
        check_int(code, 0);
        double all = run_planned(text, "\n  in all "), own = run_planned(text, "two moments ");
        if (ranks == 1)
            optimizer = own;
        check_msg(fabs(own * ranks / optimizer - 1) < 0.01, "%d ranks: %.0f bytes of moments, one rank %.0f", ranks, own, optimizer);
        double weights = run_planned(text, "weights, all-gather "), gradients = run_planned(text, "reduce-scatter of 1 passes ");
        if (ranks > 1)
            check_msg(fabs(weights / (optimizer / 2 * (ranks - 1) / ranks) - 1) < 0.01, "%d ranks: %.0f bytes of weights sent", ranks,
                      weights);
        if (ranks == 2)
            check(gradients == weights);
        free(text);
        free(option);
        if (ranks != 3)
            continue;
        must_pass(ranks, config, "--resume=never");
        if (test_skip_message)
            break;
        json_t *m = run_jsonl(run_path("plan/metrics.jsonl"));
        double off = run_num(json_array_get(m, 1), "mem_gib") * (1 << 30) / all - 1;
        json_decref(m);
        fprintf(stderr, "          %d ranks: %.1f MiB planned, %+.2f%% taken\n", ranks, all / 1048576, 100 * off);
        if (OWN_MEMORY && !strcmp(dev_backend(), "cpu"))
            check_msg(fabs(off) < 0.02, "%d ranks: %+.2f%%", ranks, 100 * off);
    }
    free(config);
}

/* A plan for a machine and data that are not here. */
static void test_plan_elsewhere(void)
{
    char *config = run_settings("elsewhere", "{\"precision\": \"bf16\", \"gradients\": \"bf16\", \"model\": {\"config\": "
                                             "\"configs/models/mamba-codestral-7b.json\"}, \"phases\": [{\"name\": \"p\", "
                                             "\"seq_len\": 16384, \"steps\": 2, \"data\": [{\"path\": \"/nowhere/a.tok\"}]}], "
                                             "\"batch\": {\"rows\": 64, \"micro_rows\": 1}, \"tokenizer\": \"/nowhere/tokenizer.model\"}");
    char *text;
    int code = run_ranks(&text, 0, config, "--plan --ranks 8");
    check_int(code, 0);
    check_has(text, "/nowhere/a.tok is not here");
    double n = 7285403648.0;
    check_msg(fabs(run_planned(text, "(bf16, vectors f32) ") / (2 * n) - 1) < 0.01, "%s", text);
    check_msg(fabs(run_planned(text, "gradients (bf16, vectors f32) ") / (2 * n / 8) - 1) < 0.01, "%s", text);
    check_msg(fabs(run_planned(text, "master weights, two moments ") / (12 * n / 8) - 1) < 0.01, "%s", text);
    check_msg(fabs(run_planned(text, "reduce-scatter of 8 passes ") / (2 * n / 8 * 7 * 8) - 1) < 0.01, "%s", text);
    check_msg(fabs(run_planned(text, "weights, all-gather ") / (2 * n / 8 * 7) - 1) < 0.01, "%s", text);
    check_msg(run_planned(text, "two moments (f32) ") == 12 * n, "%s", text);
    check_msg(fabs(run_planned(text, "copy of what is being saved ") / (12 * n / 8) - 1) < 0.01, "%s", text);
    check(!file_exists(run_path("elsewhere")));
    free(text);
    free(config);
}

static int count(const char *text, const char *words)
{
    int n = 0;
    for (const char *at = text; (at = strstr(at, words)); at++)
        n++;
    return n;
}

/* What all ranks find wrong is said once. */
static void test_refusals(void)
{
    if (!can_run())
        return;
    char *config = run_settings("refused", "{\"model\": {\"weights\": \"/nowhere\"}}"), *text;
    int code = run_ranks(&text, 3, config, "");
    if (code == NO_DEVICE) {
        test_skip("not a GPU for every rank");
    } else {
        check_int(code, 1);
        check_msg(count(text, "/nowhere") == 1, "%s", text);
        free(text);
        code = run_ranks(&text, 3, config, "--optim.lr=much");
        check_int(code, 2);
        check_msg(count(text, "optim.lr") == 1, "%s", text);
        check(!file_exists(run_path("refused")));
    }
    free(text);
    free(config);
}

/* One token's embedding is NaN: the same steps are skipped, by all ranks or none, whichever rank met it. */
static void test_skipped(void)
{
    enum { RANKS = 3 };
    if (!can_run())
        return;
    run_write_weights(run_path("nan.weights"), P_EMBED, -1, 39 * 16 + 5, NAN); /* token 39 */
    char *edits = xprintf("{\"model\": {\"weights\": \"%s\"}, \"batch\": {\"rows\": 2, \"micro_rows\": 1}}", run_path("nan.weights"));
    char *config = run_settings("nan", edits), *option = xprintf("--run_dir=%s", run_path("nan-ranks"));
    must_pass(0, config, "");
    must_pass(RANKS, config, option);
    if (!test_skip_message) {
        json_t *a = run_jsonl(run_path("nan/metrics.jsonl")), *b = run_jsonl(run_path("nan-ranks/metrics.jsonl"));
        int skipped = 0;
        check(json_array_size(a) == 12 && json_array_size(b) == 12);
        for (size_t i = 0; i < json_array_size(a); i++) {
            const json_t *x = json_array_get(a, i), *y = json_array_get(b, i);
            bool skip = json_is_true(json_object_get(x, "skipped"));
            skipped += skip;
            check_msg(skip == json_is_true(json_object_get(y, "skipped")), "step %zu", i + 1);
            check(skip || fabs(run_num(y, "loss") / run_num(x, "loss") - 1) < 1e-6);
            check(json_equal(json_object_get(x, "rows"), json_object_get(y, "rows")) || !skip);
        }
        check_msg(skipped > 0 && skipped < 12, "%d steps were skipped", skipped);
        json_decref(a);
        json_decref(b);
    }
    free(option);
    free(edits);
    free(config);
}

/* A process that a process started; 0: none yet. */
static int child_of(pid_t parent)
{
    char *path = xprintf("/proc/%d/task/%d/children", (int)parent, (int)parent);
    int child = 0;
    FILE *f = fopen(path, "r");
    if (f && fscanf(f, "%d", &child) != 1)
        child = 0;
    if (f)
        fclose(f);
    free(path);
    return child;
}

/* Starts two ranks, tells one of them to stop after the first step, and waits for both; what they said, the caller frees. */
static char *stop_ranks(const char *config, const char *metrics, int *code)
{
    char *words = mpirun_words(2), *programs = program_folder(), *log = xstrdup(run_path("log"));
    char *command = xprintf("exec %s '%s/train' '%s' >'%s' 2>&1", words, programs, config, log);
    pid_t shell = fork(); /* becomes mpirun */
    must(shell >= 0);
    if (shell == 0) {
        execl("/bin/sh", "sh", "-c", command, NULL);
        _exit(127);
    }
    for (int i = 0; i < 30000 && file_size(metrics) <= 0; i++)
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    int rank = child_of(shell);
    check(rank > 0 && kill(rank, SIGTERM) == 0);
    *code = run_wait(shell, NULL);
    char *text = run_read(log, NULL);
    free(command);
    free(log);
    free(programs);
    free(words);
    return text;
}

/* One rank is told to stop: all save the step that they have reached, together, and the same command goes on to the same end. */
static void test_stop(void)
{
    if (!can_run())
        return;
    free(run_settings("stopped", NULL)); /* makes the data */
    char *edits = xprintf("{\"phases\": [{\"name\": \"p\", \"seq_len\": 32, \"steps\": 60, \"data\": [{\"path\": \"%s\"}]}], "
                          "\"checkpoint\": {\"every_steps\": 1000}}",
                          run_path("a.tok"));
    char *config = run_settings("stopped", edits), *option = xprintf("--run_dir=%s", run_path("unstopped"));
    must_pass(2, config, option);
    int code = -1, stopped = 0;
    for (int turn = 0; turn < 10 && !stopped && !test_skip_message; turn++) { /* a run may be done before the signal comes */
        struct err e;
        check(file_remove_tree(run_path("stopped"), &e));
        char *metrics = xstrdup(run_path("stopped/metrics.jsonl")), *text = stop_ranks(config, metrics, &code);
        const char *at = strstr(text, "stopped by SIGTERM at step ");
        check_msg(code == 0, "exit code %d: %s", code, text);
        stopped = at && file_exists(run_path("stopped/step_%06ld/manifest.json", strtol(strstr(at, "step ") + 5, NULL, 10)));
        check_msg(stopped || strstr(text, "step 60/60"), "%s", text);
        free(metrics);
        free(text);
    }
    if (!test_skip_message) {
        check(stopped);
        must_pass(2, config, "");
        check_int(run_metrics_differ(run_path("unstopped/metrics.jsonl"), run_path("stopped/metrics.jsonl")), 0);
        check_same_checkpoint("unstopped/step_000060", "stopped/step_000060");
    }
    free(option);
    free(edits);
    free(config);
}

static const struct test tests[] = {{"the same losses at any number of ranks", test_same_losses},
                                    {"the same bits again, and after resuming", test_same_bits},
                                    {"steps that are not finite", test_skipped},
                                    {"one rank told to stop", test_stop},
                                    {"memory as planned", test_plan},
                                    {"planned for elsewhere", test_plan_elsewhere},
                                    {"what is refused is said once", test_refusals}};
TEST_MAIN("test_zero", tests)
