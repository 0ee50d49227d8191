/* tests/test_export.c - the program export: a checkpoint as a Hugging Face folder, whole or not at all. */
#include "data/tokenizer.h"
#include "model/weights.h"
#include "tests/rig.h"
#include "tests/train_run.h"
#include "train/saver.h"

/* A model whose tables are larger than the smallest shard, with the byte tokenizer; one step. */
static struct model_config big_config(void)
{
    struct model_config c = tiny_config();
    c.vocab = 6000;
    c.hidden = 64;
    c.heads = 16;
    return c;
}

static void make_run(void)
{
    if (file_exists(run_path("run/latest")))
        return;
    struct model_config c = big_config();
    char *text,
        *edits = xprintf("{\"tokenizer\": \"byte\", \"model\": {\"config\": \"%s\"}, \"phases\": [{\"name\": \"p\", \"seq_len\": 32, "
                         "\"steps\": 1, \"data\": [{\"path\": \"%s\"}]}]}",
                         run_path("big.json"), run_path("a.tok"));
    save_config(run_path("big.json"), &c);
    char *config = run_settings("run", edits);
    int code = run_train(&text, config);
    check_msg(code == 0, "%s", text);
    free(text);
    free(edits);
    free(config);
}

/* Runs export; the caller frees *text. */
static int export(char **text, const char *checkpoint, const char *output, const char *more, const char *value)
{
    char *argv[] = {(char *)"export", (char *)"--checkpoint", (char *)checkpoint, (char *)"--output",
                    (char *)output,   (char *)more,           (char *)value,      NULL};
    char *log = xstrdup(run_path("export.log"));
    int code = run_wait(run_start(log, argv, 0), NULL);
    *text = run_read(log, NULL);
    free(log);
    return code;
}

/* The weights of a folder, as bytes of a block of f32; the caller frees. */
static float *load(const char *dir, struct param_table *table)
{
    struct model_config c;
    struct err e = {""};
    char note[256];
    check_msg(config_load(&c, dir, note, sizeof note, &e), "%s", e.msg);
    check(c.vocab == 6000 && c.groups == 2 && c.bos == 1 && c.eos == 2);
    ref_device();
    params_plan(table, &c);
    struct tensors w = {table, F32, dev_alloc((size_t)table->bytes[F32]), NULL};
    check_msg(weights_load(w, NULL, dir, &e), "%s", e.msg);
    float *all = rig_bytes(w.base, (size_t)table->bytes[F32]);
    dev_free(w.base);
    return all;
}

static void check_folder(const char *dir, const char *type, int shards)
{
    char *command = xprintf("cd '%s' && sha256sum --quiet -c SHA256SUMS && [ $(wc -l <SHA256SUMS) = $(($(ls | wc -l) - 1)) ]", dir);
    check_msg(system(command) == 0, "%s", command);
    free(command);
    char *path = xprintf("%s/README.md", dir), *text = run_read(path, NULL);
    check_has(text, "This model has n_groups = 2.");
    check_has(text, "huggingface/transformers issue 40861");
    check_has(text, "Do not run this model with stock `transformers`.");
    check_has(text, "(step step_000001)");
    check_has(text, type);
    free(text);
    free(path);
    path = xprintf("%s/config.json", dir);
    text = run_read(path, NULL);
    check_has(text, "\"Mamba2ForCausalLM\"");
    check_has(text, "\"norm_before_gate\": false");
    free(text);
    free(path);
    for (int i = 1; i <= shards; i++) {
        path = shards == 1 ? xprintf("%s/model.safetensors", dir) : xprintf("%s/model-%05d-of-%05d.safetensors", dir, i, shards);
        check_msg(file_size(path) > 1000, "%s", path);
        free(path);
    }
    path = xprintf("%s/model.safetensors.index.json", dir);
    check(file_exists(path) == (shards > 1));
    free(path);
    path = xprintf("%s.part", dir);
    check(!file_exists(path));
    free(path);
    struct tokenizer *t;
    struct err e = {""};
    check_msg(tokenizer_open(&t, dir, &e), "%s", e.msg);
    check_str(tokenizer_digest(t), "byte");
    tokenizer_close(t);
}

static void test_formats(void)
{
    static const struct {
        const char *name, *option, *value;
        enum dtype type;
        int shards;
    } ways[] = {{"f32", "--dtype", "f32", F32, 1}, {"bf16", NULL, NULL, BF16, 1}, {"shards", "--max-shard-gib", "0.001", BF16, 2}};
    make_run();
    struct param_table table;
    float *want = load(run_path("run/step_000001"), &table);
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        struct param_table t;
        char *text;
        int code = export(&text, run_path("run/step_000001"), run_path("%s", ways[i].name), ways[i].option, ways[i].value);
        check_msg(code == 0, "%s", text);
        free(text);
        if (code)
            continue;
        check_folder(run_path("%s", ways[i].name), ways[i].type == F32 ? "weights in float32" : "weights in bfloat16", ways[i].shards);
        float *got = load(run_path("%s", ways[i].name), &t);
        for (int64_t k = 0; k < table.bytes[F32] / 4; k++)
            if ((double)got[k] != ref_round(ways[i].type, (double)want[k])) {
                check_msg(false, "%s: number %lld is %g, want %g", ways[i].name, (long long)k, (double)got[k], (double)want[k]);
                break;
            }
        free(got);
        params_free(&t);
    }
    free(want);
    params_free(&table);
}

static void test_refused(void)
{
    make_run();
    char *text, *checkpoint = xstrdup(run_path("run/step_000001"));
    struct err e;
    must(file_mkdirs(run_path("there"), &e));
    check_int(export(&text, checkpoint, run_path("there"), NULL, NULL), 1);
    check_has(text, "is there already");
    free(text);
    check_int(export(&text, run_path("nowhere"), run_path("out"), NULL, NULL), 1);
    check_has(text, "nowhere: no such folder");
    free(text);
    check_int(export(&text, run_path("there"), run_path("out"), NULL, NULL), 1);
    check_has(text, "config.json");
    free(text);
    check_int(export(&text, checkpoint, run_path("out"), "--dtype", "f16"), 2);
    check_has(text, "dtype");
    free(text);
    check_int(export(&text, checkpoint, run_path("out"), "--max-shard-gib", "0"), 2);
    free(text);
    char *argv[] = {(char *)"export", (char *)"--checkpoint", checkpoint, NULL};
    check_int(run_wait(run_start(run_path("export.log"), argv, 0), NULL), 2);

    char *slash = xprintf("%s/", run_path("slash"));
    check_int(export(&text, checkpoint, slash, NULL, NULL), 0);
    check(file_exists(run_path("slash/SHA256SUMS")));
    free(text);
    free(slash);

    /* A full disk, and a damaged checkpoint. */
    char *full[] = {(char *)"export", (char *)"--checkpoint", checkpoint, (char *)"--output", run_path("out"), NULL};
    check_int(run_wait(run_start(run_path("export.log"), full, 100000), NULL), 1);
    check(!file_exists(run_path("out")) && !file_exists(run_path("out.part")));
    int fd = open(run_path("run/step_000001/model.safetensors"), O_RDWR);
    must(fd >= 0 && pwrite(fd, "x", 1, 100000) == 1);
    close(fd);
    check_int(export(&text, checkpoint, run_path("out"), NULL, NULL), 1);
    check_has(text, "model.safetensors: XXH3 is ");
    check(!file_exists(run_path("out")) && !file_exists(run_path("out.part")));
    free(text);
    free(checkpoint);
}

/* The memory that exporting takes does not grow with the model: checked, read, converted and hashed, a checkpoint of three times 66 MB passes
 * through some MiB above what the program itself takes. */
static void test_streams(void)
{
    struct model_config c = tiny_config();
    struct param_table table;
    struct err e = {""};
    struct progress_state at = {.step = 1};
    double stall;
    c.vocab = 64000;
    c.hidden = 128;
    c.heads = 32;
    ref_device();
    params_plan(&table, &c);
    struct tensors w = {&table, F32, dev_alloc((size_t)table.bytes[F32]), NULL};
    struct checkpoint_parts parts = {.config = &c, .set = {w, w, w}};
    make_run(); /* and the folder of all runs */
    struct saver *s = saver_open(run_path("large"), 1, &parts, NULL, 0);
    check_msg(saver_begin(s, &at, &stall, &e) && saver_wait(s, &e), "%s", e.msg);
    saver_close(s);
    dev_free(w.base);
    params_free(&table);
    check(file_size(run_path("large/step_000001/model.safetensors")) > 64000000);
    int64_t peak[2];
    static const char *const from[] = {"run", "large"}; /* the first has 3 MB of weights */
    for (int i = 0; i < 2; i++) {
        char *argv[] = {(char *)"export",   (char *)"--checkpoint",     run_path("%s/step_000001", from[i]),
                        (char *)"--output", run_path("%s-hf", from[i]), NULL};
        check_int(run_wait(run_start(run_path("export.log"), argv, 0), &peak[i]), 0);
    }
    fprintf(stderr, "          peak %.1f MiB, of a small model %.1f MiB\n", (double)peak[1] / 1048576, (double)peak[0] / 1048576);
    if (OWN_MEMORY)
        check_msg(peak[1] - peak[0] < 16 << 20, "%.1f MiB, of a small model %.1f MiB", (double)peak[1] / 1048576,
                  (double)peak[0] / 1048576);
    must(file_remove_tree(run_path("large"), &e) && file_remove_tree(run_path("large-hf"), &e));
}

static const struct test tests[] = {{"f32, bf16, shards", test_formats}, {"memory", test_streams}, {"what is refused", test_refused}};
TEST_MAIN("test_export", tests)
