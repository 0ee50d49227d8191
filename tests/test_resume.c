/* tests/test_resume.c - a run of 40 steps over two phases that is killed (kill -9) at random times and started again until it is done has the
 * metrics and the weights of one that was never touched, to the bit. 10 kills; 100 with PCM_LONG=1 in the environment. */
#include "core/log.h"
#include "tests/train_run.h"

/* Two phases of 20 steps, the second with fresh moments. */
static char *long_settings(const char *name)
{
    char *first = run_settings(name, NULL),
         *phases = xprintf("[{\"name\": \"one\", \"seq_len\": 32, \"steps\": 20, \"data\": [{\"path\": \"%s\"}]}, "
                           "{\"name\": \"two\", \"seq_len\": 48, \"steps\": 20, \"reset_optimizer\": true, "
                           "\"data\": [{\"path\": \"%s\"}]}]",
                           run_path("a.tok"), run_path("b.tok"));
    char *edits = xprintf("{\"phases\": %s}", phases), *config = run_settings(name, edits);
    free(first);
    free(phases);
    free(edits);
    return config;
}

static pid_t start(const char *config)
{
    char *argv[] = {(char *)"train", (char *)config, NULL};
    return run_start(run_path("log"), argv, 0);
}

static void pause_s(double s)
{
    struct timespec t = {(time_t)s, (long)(1e9 * (s - floor(s)))};
    nanosleep(&t, NULL);
}

/* Everything that a finished run leaves is what the reference left. */
static void check_same(const char *name, int kills)
{
    static const char *const files[] = {"step_000020/model.safetensors",   "step_000040/model.safetensors",
                                        "step_000040/exp_avg.safetensors", "step_000040/exp_avg_sq.safetensors",
                                        "step_000040/trainer.json",        "latest"};
    check_msg(run_metrics_differ(run_path("whole/metrics.jsonl"), run_path("%s/metrics.jsonl", name)) == 0, "after %d kills", kills);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char *a = run_path("whole/%s", files[i]), *b = run_path("%s/%s", name, files[i]);
        check_msg(file_exists(b) && run_same_file(a, b), "%s after %d kills", files[i], kills);
    }
    check(!file_exists(run_path("%s/step_000003", name)) && !file_exists(run_path("%s/step_000040.part", name)));
}

static double whole_s; /* how long the undisturbed run took */

static void test_whole(void)
{
    char *config = long_settings("whole"), *text;
    double begin = log_now();
    int code = run_train(&text, config);
    whole_s = log_now() - begin;
    check_msg(code == 0, "%s", text);
    json_t *all = run_jsonl(run_path("whole/metrics.jsonl"));
    check_int(json_array_size(all), 40);
    json_decref(all);
    /* Starting it again when it is done changes nothing. */
    free(text);
    check_int(run_train(&text, config), 0);
    check_has(text, "resuming from");
    check_has(text, "(step 40 of 40)");
    free(text);
    free(config);
}

static void test_kills(void)
{
    int most = getenv("PCM_LONG") ? 100 : 10, kills = 0, finished = 0;
    uint64_t seed = (uint64_t)time(NULL);
    char *config = long_settings("killed");
    struct err e;
    fprintf(stderr, "          seed %llu\n", (unsigned long long)seed);
    for (int turn = 0; kills < most && turn < 20 * most; turn++) {
        pid_t child = start(config);
        pause_s(whole_s * rng_uniform(seed, 1, (uint64_t)turn) * 0.7);
        kill(child, SIGKILL);
        int code = run_wait(child, NULL);
        if (code == 0) { /* it was done before: compare, and begin a new one */
            check_same("killed", kills);
            finished++;
            must(file_remove_tree(run_path("killed"), &e));
            continue;
        }
        check_int(code, 128 + SIGKILL);
        kills++;
    }
    check_int(kills, most);
    char *text;
    int code = run_train(&text, config);
    check_msg(code == 0, "%s", text);
    check_same("killed", kills);
    fprintf(stderr, "          %d kills, %d runs finished\n", kills, finished + 1);
    free(text);
    free(config);
}

/* SIGTERM and SIGINT: a checkpoint at the step that was reached, exit code 0, and the same end. */
static void test_signals(void)
{
    static const int signals[] = {SIGTERM, SIGINT};
    char *config = long_settings("stopped");
    struct err e;
    for (int i = 0; i < 2; i++) {
        int stops = 0, code = -1;
        for (int turn = 0; turn < 8; turn++) {
            pid_t child = start(config);
            int64_t had = file_size(run_path("stopped/metrics.jsonl"));
            had = had < 0 ? 0 : had; /* not there yet; an empty one is no step */
            for (int k = 0; k < 2000 && file_size(run_path("stopped/metrics.jsonl")) <= had; k++)
                pause_s(0.002);
            kill(child, signals[i]);
            code = run_wait(child, NULL);
            char *text = run_read(run_path("log"), NULL);
            check_msg(code == 0, "%s", text);
            if (strstr(text, "stopped by")) {
                json_t *all = run_jsonl(run_path("stopped/metrics.jsonl"));
                check_has(text, signals[i] == SIGTERM ? "stopped by SIGTERM" : "stopped by SIGINT");
                check_msg(file_exists(run_path("stopped/step_%06zu/manifest.json", json_array_size(all))), "%s", text);
                json_decref(all);
                stops++;
            } else { /* it was done before: begin anew */
                must(file_remove_tree(run_path("stopped"), &e));
            }
            free(text);
        }
        check(stops > 0);
        check_int(run_train(NULL, config), 0);
        check_same("stopped", stops);
        must(file_remove_tree(run_path("stopped"), &e));
    }
    free(config);
}

static const struct test tests[] = {
    {"the undisturbed run", test_whole}, {"killed at random times", test_kills}, {"SIGTERM and SIGINT save and end well", test_signals}};
TEST_MAIN("test_resume", tests)
