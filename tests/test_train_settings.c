/* tests/test_train_settings.c - the program train: what it refuses and how, settings as resolved, schedules. */
#include "tests/ref_util.h"
#include "tests/train_run.h"
#include "train/settings.h"

/* --- what is refused --- */

/* A run with this option (may be NULL) ends with this exit code and one line that names the program, and leaves no folder of a run. */
static void refused(const char *config, const char *option, int want, const char *words)
{
    char *text;
    int code = run_train(&text, config, option);
    check_msg(code == want, "exit code %d, want %d: %s", code, want, text);
    check_has(text, words);
    const char *line = strstr(text, "train: ");
    check_msg(line && strchr(line, '\n') == text + strlen(text) - 1, "not one line at the end: %s", text);
    check(!file_exists(run_path("bad")));
    free(text);
}

static void test_bad_settings(void)
{
    static const struct {
        const char *edits, *words;
    } bad[] = {
        {"{\"optim\": {\"schedul\": \"cosine\"}}", "unknown setting \"optim.schedul\"; did you mean \"optim.schedule\"?"},
        {"{\"sed\": 3}", "unknown setting \"sed\"; did you mean \"seed\"?"},
        {"{\"batch\": {\"rows\": \"four\"}}", "batch.rows"},
        {"{\"batch\": {\"rows\": 2.5}}", "batch.rows"},
        {"{\"batch\": {\"rows\": 0}}", "batch.rows"},
        {"{\"optim\": {\"lr\": -1}}", "optim.lr"},
        {"{\"optim\": {\"betas\": [0.9]}}", "optim.betas"},
        {"{\"optim\": {\"betas\": [0.9, 1.5]}}", "optim.betas"},
        {"{\"optim\": {\"schedule\": \"cosin\"}}", "cosine"},
        {"{\"log\": {\"tensorboard\": 1}}", "log.tensorboard"},
        {"{\"model\": \"tiny\"}", "model"},
        {"{\"phases\": []}", "setting \"phases\" is required"},
        {"{\"phases\": {}}", "phases"},
        {"{\"phases\": [{\"name\": \"p\", \"steps\": 3, \"data\": [{\"path\": \"x\"}]}]}", "seq_len"},
        {"{\"phases\": [{\"name\": \"p\", \"seq_len\": 8, \"data\": [{\"path\": \"x\"}]}]}",
         "phases.0 (p): give either \"epochs\" or \"steps\""},
        {"{\"phases\": [{\"name\": \"p\", \"seq_len\": 8, \"steps\": 3, \"epochs\": 1, \"data\": [{\"path\": \"x\"}]}]}",
         "give either \"epochs\" or \"steps\""},
        {"{\"phases\": [{\"name\": \"p\", \"seq_len\": 8, \"steps\": 3, \"data\": []}]}", "setting \"phases.0.data\" is required"},
        {"{\"phases\": [{\"name\": \"p\", \"seq_len\": 8, \"steps\": 3, \"data\": [{\"path\": \"x\", \"wieght\": 2}]}]}",
         "did you mean \"phases.0.data.0.weight\"?"},
        {"{\"phases\": [{\"name\": \"p\", \"seq_len\": 8, \"steps\": 3, \"data\": [{\"path\": \"nowhere.tok\"}]}]}", "nowhere.tok"},
        {"{\"model\": {\"config\": \"nowhere.json\"}}", "nowhere.json"},
        {"{\"tokenizer\": \"nowhere.model\"}", "nowhere.model"},
        {"{\"residual\": \"bf16\"}", "\"residual\" and \"gradients\" may be bf16 only with \"precision\": \"bf16\""},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char *config = run_settings("bad", bad[i].edits);
        refused(config, NULL, 1, bad[i].words);
        free(config);
    }
    ref_device();
    if (!dev_supports(BF16)) {
        char *config = run_settings("bad", "{\"precision\": \"bf16\"}");
        refused(config, NULL, 1, "computes in f32 only; set it to \"f32\" or build with make BACKEND=cuda");
        free(config);
    }
}

static void test_positions(void)
{
    static const struct {
        const char *file, *words;
    } bad[] = {
        {"{\n  \"run_dir\": \"x\",\n  \"optim\": {\n    \"beta\": [1, 2]\n  }\n}", "pos.json:4:5: unknown setting \"optim.beta\""},
        {"{\n  \"run_dir\": 7\n}", "pos.json:2:3: "},
        {"{\n  \"run_dir\": \"x\",\n  \"seed\" 7\n}", "pos.json:3:10: not valid JSON"},
        {"{\n  \"seed\": 1,\n  \"seed\": 2\n}", "pos.json:3:"},
        {"[]", "pos.json"},
        {"", "pos.json"},
        {"{\"_note\": 3}", "run_dir"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        run_write_text(run_path("pos.json"), bad[i].file);
        refused(run_path("pos.json"), NULL, 1, bad[i].words);
    }
    refused(run_path("none.json"), NULL, 1, "none.json");
}

static void test_usage(void)
{
    char *text, *config = run_settings("bad", NULL);
    static const struct {
        const char *option, *words;
    } bad[] = {{"--optim.lrr=1", "did you mean --optim.lr?"},
               {"--optim.lr=99", "optim.lr"},
               {"--batch.rows=x", "batch.rows"},
               {"--resume=maybe", "--resume must be auto"},
               {"second.json", "one settings file"},
               {"--phases.7.seq_len=3", "phases.7"},
               {"--seed", "needs a value"},
               {"--log.tensorboard=perhaps", "perhaps"}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        refused(config, bad[i].option, 2, bad[i].words);
    refused(NULL, NULL, 2, "no settings file given");
    refused(config, "--resume=must", 1, "no whole checkpoint to resume from");
    check_int(run_train(&text, "--help"), 0);
    check_has(text, "--optim.warmup_steps");
    check_has(text, "newest checkpoints kept");
    free(text);
    free(config);
}

/* Data that do not fit the model, and damaged data. */
static void test_bad_data(void)
{
    char *config = run_settings("bad", NULL);
    struct model_config c = tiny_config();
    c.vocab = 20;
    save_config(run_path("small.json"), &c);
    char *option = xprintf("--model.config=%s", run_path("small.json"));
    refused(config, option, 1, "a.tok");
    free(option);

    size_t n;
    char *bytes = run_read(run_path("a.tok"), &n);
    bytes[n / 2] ^= 1;
    run_write(run_path("damaged.tok"), bytes, n);
    run_write(run_path("cut.tok"), bytes, n / 2);
    free(bytes);
    option = xprintf("--phases.1.data.0.path=%s", run_path("damaged.tok"));
    refused(config, option, 1, "damaged.tok");
    free(option);
    option = xprintf("--phases.1.data.0.path=%s", run_path("cut.tok"));
    refused(config, option, 1, "cut.tok");
    free(option);
    free(config);
}

/* --- settings as resolved --- */

static void test_resolved(void)
{
    char *text, *config = run_settings("resolved", "{\"optim\": {\"lr\": 3e-4, \"eps\": 1e-8}}");
    check_int(run_train(NULL, config, "--phases.0.steps=1", "--phases.1.steps=1"), 0);
    char *own = run_read(run_path("resolved/config.json"), NULL);
    check_has(own, "\"lr\": 0.0003,");
    check_has(own, "\"min_lr_ratio\": 0.1\n");
    check_int(run_train(&text, run_path("resolved/config.json"), "--print-config"), 0);
    check_str(text, own);
    free(text);
    free(own);
    free(config);
}

/* --- schedules --- */

static void check_lr(struct optim_settings o, int64_t s, int64_t n, double want)
{
    double got = schedule_lr(&o, s, n);
    check_msg(fabs(got - want) <= 1e-15 * fabs(o.lr), "step %lld of %lld: %.17g, want %.17g", (long long)s, (long long)n, got, want);
}

static void test_schedules(void)
{
    struct optim_settings o = {.lr = 2e-3, .min_lr_ratio = 0.1, .warmup_steps = 4, .schedule = SCHEDULE_COSINE, .warmup = WARMUP_LINEAR};
    for (int64_t s = 0; s < 4; s++)
        check_lr(o, s, 10, 2e-3 * (double)(s + 1) / 4);
    check_lr(o, 4, 10, 2e-3);
    check_lr(o, 7, 10, 2e-3 * (0.1 + 0.9 * 0.5));
    check_lr(o, 5, 10, 2e-3 * (0.1 + 0.9 * 0.5 * (1 + cos(acos(-1.0) / 6))));
    check_lr(o, 9, 10, 2e-3 * (0.1 + 0.9 * 0.5 * (1 + cos(acos(-1.0) * 5 / 6))));
    o.schedule = SCHEDULE_LINEAR;
    check_lr(o, 4, 10, 2e-3);
    check_lr(o, 7, 10, 2e-3 * 0.55);
    check_lr(o, 9, 10, 2e-3 * (0.1 + 0.9 / 6));
    o.schedule = SCHEDULE_CONSTANT;
    check_lr(o, 3, 10, 2e-3);
    check_lr(o, 9, 10, 2e-3);
    o.warmup = WARMUP_LOG; /* from 0: log(s + 1) / log(W) */
    check_lr(o, 0, 10, 0);
    check_lr(o, 1, 10, 1e-3);
    check_lr(o, 2, 10, 2e-3 * log(3) / log(4));
    check_lr(o, 3, 10, 2e-3);
    o.warmup_steps = 1; /* log(1) would divide by 0 */
    check_lr(o, 0, 10, 2e-3);
    o.warmup_steps = 0;
    o.schedule = SCHEDULE_COSINE;
    check_lr(o, 0, 2, 2e-3);
    check_lr(o, 1, 2, 2e-3 * 0.55);
    o.warmup_steps = 20; /* longer than the phase: never done */
    o.warmup = WARMUP_LINEAR;
    check_lr(o, 9, 10, 1e-3);
}

static const struct test tests[] = {
    {"wrong settings, each by its name", test_bad_settings}, {"line and column", test_positions},     {"wrong use", test_usage},
    {"data that do not fit, damaged data", test_bad_data},   {"settings as resolved", test_resolved}, {"schedules", test_schedules}};
TEST_MAIN("test_train_settings", tests)
