/* tests/test_checkpoint.c - checkpoints: which are kept, that any changed byte is found, what a run does about damaged ones and full disks. */
#include "train/checkpoint.h"
#include "tests/train_run.h"

/* The run that the others are compared with: 12 steps, saved every 3, two kept. */
static void make_base(void)
{
    if (file_exists(run_path("base/latest")))
        return;
    char *text, *config = run_settings("base", NULL);
    int code = run_train(&text, config);
    check_msg(code == 0, "%s", text);
    free(text);
    free(config);
}

/* A copy of the base run's folder, as far as its step `last`. */
static char *copy_base(const char *name, int last)
{
    make_base();
    char *config = run_settings(name, NULL), *command = xprintf("cp -r '%s' '%s'", run_path("base"), run_path("%s", name));
    must(system(command) == 0);
    free(command);
    for (int step = last + 1; step <= 12; step++) {
        struct err e;
        must(file_remove_tree(run_path("%s/step_%06d", name, step), &e));
    }
    return config;
}

static void check_as_base(const char *name)
{
    static const char *const files[] = {"model", "exp_avg", "exp_avg_sq"};
    check_int(run_metrics_differ(run_path("base/metrics.jsonl"), run_path("%s/metrics.jsonl", name)), 0);
    for (int i = 0; i < 3; i++)
        check(run_same_file(run_path("base/step_000012/%s.safetensors", files[i]),
                            run_path("%s/step_000012/%s.safetensors", name, files[i])));
    check(run_same_file(run_path("base/latest"), run_path("%s/latest", name)));
}

static void flip(const char *path, int64_t at)
{
    int fd = open(path, O_RDWR);
    unsigned char c;
    must(fd >= 0 && pread(fd, &c, 1, at) == 1);
    c ^= 1;
    must(pwrite(fd, &c, 1, at) == 1);
    close(fd);
}

static void test_kept(void)
{
    make_base();
    for (int step = 1; step <= 12; step++) /* saved at 3, 6, 7, 9 and 12; 7 ends a phase; the newest two */
        check_msg(file_exists(run_path("base/step_%06d", step)) == (step == 7 || step == 9 || step == 12), "step %d", step);
    char *latest = run_read(run_path("base/latest"), NULL), *newest;
    check_str(latest, "step_000012\n");
    struct err e = {""};
    check(checkpoint_newest(run_path("base"), &newest, &e));
    check_str(newest, run_path("base/step_000012"));
    check(checkpoint_verify(newest, &e) && checkpoint_is(newest) && !checkpoint_is(run_path("base")));
    free(newest);
    check(checkpoint_newest(run_path("no run"), &newest, &e) && !newest);
    free(latest);

    /* Many phases: the ends stay beside the newest. */
    char *phase = xprintf("{\"name\": \"p\", \"seq_len\": 32, \"steps\": 2, \"data\": [{\"path\": \"%s\"}]}", run_path("a.tok"));
    char *edits = xprintf("{\"phases\": [%s, %s, %s], \"checkpoint\": {\"every_steps\": 1, \"keep\": 1}}", phase, phase, phase);
    char *config = run_settings("many", edits);
    check_int(run_train(NULL, config), 0);
    for (int step = 1; step <= 6; step++)
        check(file_exists(run_path("many/step_%06d", step)) == (step % 2 == 0));
    free(config);
    free(edits);
    free(phase);
}

/* Any byte of any file, a byte more, a byte less, a file less. */
static void test_damage(void)
{
    static const char *const files[] = {"config.json",  "model.safetensors", "exp_avg.safetensors", "exp_avg_sq.safetensors",
                                        "trainer.json", "manifest.json"};
    make_base();
    char *dir = xstrdup(run_path("base/step_000012"));
    struct err e = {""};
    check_msg(checkpoint_verify(dir, &e), "%s", e.msg);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char *path = xprintf("%s/%s", dir, files[i]);
        int64_t n = file_size(path), each = n < 3000 ? 1 : n / 97;
        for (int64_t at = 0; at < n; at += each) {
            flip(path, at);
            e.msg[0] = '\0';
            check_msg(!checkpoint_verify(dir, &e), "byte %lld of %s", (long long)at, path);
            check_has(e.msg, files[i]);
            flip(path, at);
        }
        size_t size;
        char *bytes = run_read(path, &size);
        bytes[size] = '\n';
        run_write(path, bytes, size + 1);
        check(!checkpoint_verify(dir, &e));
        run_write(path, bytes, size - 1);
        check(!checkpoint_verify(dir, &e));
        check_has(e.msg, files[i]);
        must(unlink(path) == 0);
        check(!checkpoint_verify(dir, &e));
        check_has(e.msg, files[i]);
        run_write(path, bytes, size);
        check_msg(checkpoint_verify(dir, &e), "%s", e.msg);
        free(bytes);
        free(path);
    }
    free(dir);
}

/* A run whose newest checkpoint is damaged goes on from the one before, and ends as if nothing had been; with keep 1 too, where the damaged
 * folder must not count. */
static void test_damaged_newest(void)
{
    char *text, *config = copy_base("damaged", 12);
    flip(run_path("damaged/step_000012/exp_avg_sq.safetensors"), 5000);
    check_int(run_train(&text, config, "--checkpoint.every_steps=1", "--checkpoint.keep=1"), 0);
    check_has(text, "passing over a checkpoint: ");
    check_has(text, "step_000012/exp_avg_sq.safetensors: XXH3 is ");
    check_has(text, "step_000009 (step 9 of 12)");
    check_as_base("damaged");
    free(text);
    /* As weights, a damaged checkpoint is refused. */
    flip(run_path("damaged/step_000012/model.safetensors"), 5000);
    char *option = xprintf("--model.weights=%s", run_path("damaged/step_000012")), *other = run_settings("other", NULL);
    check_int(run_train(&text, other, option), 1);
    check_has(text, "step_000012/model.safetensors: XXH3 is ");
    check(!file_exists(run_path("other")));
    free(text);
    /* When none is whole the run does not begin anew by itself. */
    for (int step = 7; step <= 12; step++)
        if (file_exists(run_path("damaged/step_%06d", step)))
            must(truncate(run_path("damaged/step_%06d/trainer.json", step), 10) == 0);
    static const char *const how[] = {"--resume=auto", "--resume=must", "--resume=never"};
    for (int i = 0; i < 3; i++) {
        check_int(run_train(&text, config, how[i]), 1);
        check_has(text, "checkpoints is whole");
        free(text);
    }
    check_int(run_metrics_differ(run_path("base/metrics.jsonl"), run_path("damaged/metrics.jsonl")), 0);
    free(option);
    free(other);
    free(config);
}

static void test_resume_rules(void)
{
    char *text, *config = copy_base("rules", 9);
    check_int(run_train(&text, config, "--resume=never"), 1);
    check_has(text, "there is a checkpoint already");
    free(text);
    check_int(run_train(&text, config, "--seed=5"), 1);
    check_has(text, "the data, their order or the batch of phase two changed");
    free(text);
    check_int(run_train(&text, config, "--phases.1.steps=1"), 1);
    check_has(text, "stands at step 2 of phase 1, which these settings do not have");
    free(text);
    struct model_config c = tiny_config();
    c.layers = 3;
    save_config(run_path("three.json"), &c);
    char *option = xprintf("--model.config=%s", run_path("three.json"));
    check_int(run_train(&text, config, option), 1);
    check_has(text, "tensor \"backbone.layers.2.norm.weight\" is missing");
    free(text);
    free(option);
    /* An interrupted save is cleared away; the run goes on when it must. */
    struct err e;
    must(file_mkdirs(run_path("rules/step_000012.part"), &e));
    check_int(run_train(&text, config, "--resume=must"), 0);
    check(!file_exists(run_path("rules/step_000012.part")));
    check_as_base("rules");
    free(text);
    /* Killed when the last folder had its name, but before latest pointed at it: starting again puts that right. */
    run_write_text(run_path("rules/latest"), "step_000009\n");
    check_int(run_train(&text, config, "--resume=auto"), 0);
    check_as_base("rules");
    free(text);
    free(config);
}

/* A manifest as older versions wrote it: the digest of every file as a whole. */
static void test_older(void)
{
    static const char zeros[] = "00000000000000000000000000000000";
    char *config = copy_base("older", 12), *dir = xstrdup(run_path("older/step_000012")), *path = xprintf("%s/manifest.json", dir);
    struct err e = {""};
    json_t *o = json_load_path(path, false, NULL, &e), *files = json_object_get(o, "files");
    char hex[HASH_XXH3_HEX];
    for (size_t i = 0; i < json_array_size(files); i++) {
        json_t *line = json_array_get(files, i);
        char *file = xprintf("%s/%s", dir, json_string_value(json_object_get(line, "name")));
        check(hash_xxh3_file(file, hex, &e));
        json_object_del(line, "xxh3_128_sum");
        json_object_set_new(line, "xxh3_128", json_string(hex));
        free(file);
    }
    json_object_set_new(o, "manifest_xxh3_128", json_string(zeros));
    char *text = json_dumps(o, JSON_INDENT(2));
    hash_xxh3(text, strlen(text), hex);
    memcpy(strstr(text, zeros), hex, strlen(hex));
    run_write_text(path, text);
    check_msg(checkpoint_verify(dir, &e), "%s", e.msg);
    flip(run_path("older/step_000012/exp_avg.safetensors"), 5000);
    check(!checkpoint_verify(dir, &e));
    check_has(e.msg, "exp_avg.safetensors: XXH3 is ");
    free(text);
    json_decref(o);
    free(path);
    free(dir);
    free(config);
}

/* Compressed moments: smaller or not, they come back the same. */
static void test_compressed(void)
{
    make_base();
    char *text, *config = run_settings("zstd", "{\"checkpoint\": {\"compress\": \"zstd\"}}");
    check_int(run_train(NULL, config), 0);
    check(file_exists(run_path("zstd/step_000009/exp_avg.safetensors.zst")) &&
          !file_exists(run_path("zstd/step_000009/exp_avg.safetensors")));
    struct err e;
    must(file_remove_tree(run_path("zstd/step_000012"), &e));
    check_int(run_train(&text, config, "--checkpoint.compress=none"), 0);
    check_has(text, "(step 9 of 12)");
    check_as_base("zstd");
    free(text);
    free(config);
}

/* A full disk while saving: exit code 1, the last checkpoint whole, nothing half-written; with room again the run goes on. */
static void test_full_disk(void)
{
    char *text, *config = copy_base("full", 7);
    struct err e = {""};
    int64_t size = file_size(run_path("full/step_000007/model.safetensors"));
    for (int64_t limit = size / 4; limit < size; limit += size / 4) {
        check_int(run_train_limited(&text, NULL, limit, config, NULL), 1);
        check_has(text, "train: step 9: checkpoint ");
        check_has(text, "model.safetensors");
        check(strchr(strstr(text, "train: step 9: "), '\n') == text + strlen(text) - 1);
        check(!file_exists(run_path("full/step_000009")) && !file_exists(run_path("full/step_000009.part")));
        check_msg(checkpoint_verify(run_path("full/step_000007"), &e), "%s", e.msg);
        free(text);
    }
    check_int(run_train(&text, config), 0);
    check_as_base("full");
    free(text);
    free(config);
}

static const struct test tests[] = {{"which are kept", test_kept},
                                    {"any byte changed", test_damage},
                                    {"going on behind a damaged one", test_damaged_newest},
                                    {"when a run may go on", test_resume_rules},
                                    {"digests of whole files", test_older},
                                    {"compressed moments", test_compressed},
                                    {"a full disk", test_full_disk}};
TEST_MAIN("test_checkpoint", tests)
