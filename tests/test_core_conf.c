/* tests/test_core_conf.c - a settings table at work: defaults, JSON, options, dump and help; and every complaint word by word. */
#include "core/conf.h"
#include "core/file.h"
#include "tests/test.h"
#include <unistd.h>

struct data {
    char *path;
    double weight;
};
struct phase {
    char *name;
    int64_t seq_len, steps;
    double lr, betas[2];
    int schedule;
    bool pack;
    struct conf_list data;
};
struct settings {
    char *run_dir, *tokenizer;
    int64_t seed, rows, big;
    double lr, eps;
    double betas[2];
    int schedule, precision;
    bool resume, pack;
    struct conf_strs stop;
    struct conf_list phases;
};

static const char *const schedules[] = {"cosine", "linear", "constant", NULL};
static const char *const precisions[] = {"f32", "bf16", NULL};

static const struct conf_field data_table[] = {
    {"path", CONF_STR, offsetof(struct data, path), .required = true, .help = "a .tok file"},
    {"weight", CONF_FLOAT, offsetof(struct data, weight), .def = 1, .min = 0, .max = 100},
    {0},
};
static const struct conf_field phase_table[] = {
    {"name", CONF_STR, offsetof(struct phase, name), .str_def = "phase"},
    {"seq_len", CONF_INT, offsetof(struct phase, seq_len), .required = true, .min = 1, .max = 1 << 20},
    {"steps", CONF_INT, offsetof(struct phase, steps), .def = NAN, .min = 1, .max = -1},
    {"optim.lr", CONF_FLOAT, offsetof(struct phase, lr), .def = NAN, .min = 0, .max = 1},
    {"optim.betas", CONF_PAIR, offsetof(struct phase, betas), .def = NAN, .def2 = NAN, .min = 0, .max = 1},
    {"optim.schedule", CONF_CHOICE, offsetof(struct phase, schedule), .def = NAN, .choices = schedules},
    {"pack", CONF_BOOL, offsetof(struct phase, pack), .def = 1},
    {"data", CONF_LIST, offsetof(struct phase, data), .sub = data_table, .sub_size = sizeof(struct data), .required = true},
    {0},
};
static const struct conf_field table[] = {
    {"run_dir", CONF_STR, offsetof(struct settings, run_dir), .required = true, .help = "where the run is written"},
    {"tokenizer", CONF_STR, offsetof(struct settings, tokenizer), .help = "a file"},
    {"seed", CONF_INT, offsetof(struct settings, seed), .def = 1234, .help = "of everything random"},
    {"batch.rows", CONF_INT, offsetof(struct settings, rows), .def = 64, .min = 1, .max = 65536, .help = "rows of the global batch"},
    {"batch.big", CONF_INT, offsetof(struct settings, big), .def = 0, .min = 0, .max = INFINITY},
    {"optim.lr", CONF_FLOAT, offsetof(struct settings, lr), .def = 5e-6, .min = 0, .max = 1, .help = "peak learning rate"},
    {"optim.eps", CONF_FLOAT, offsetof(struct settings, eps), .def = 1e-8},
    {"optim.betas", CONF_PAIR, offsetof(struct settings, betas), .def = 0.9, .def2 = 0.95, .min = 0, .max = 1},
    {"optim.schedule", CONF_CHOICE, offsetof(struct settings, schedule), .str_def = "linear", .choices = schedules},
    {"precision", CONF_CHOICE, offsetof(struct settings, precision), .def = 1, .choices = precisions},
    {"resume", CONF_BOOL, offsetof(struct settings, resume), .def = 0},
    {"pack", CONF_BOOL, offsetof(struct settings, pack), .def = 1},
    {"stop", CONF_STRS, offsetof(struct settings, stop), .help = "ends a sample"},
    {"phases", CONF_LIST, offsetof(struct settings, phases), .sub = phase_table, .sub_size = sizeof(struct phase), .required = true},
    {0},
};

static const char *const full_text =
    "{\n"
    "  \"_note\": {\"anything\": [1, null]},\n"
    "  \"run_dir\": \"runs/demo\", \"seed\": 9007199254740993,\n"
    "  \"batch\": {\"rows\": 8},\n"
    "  \"optim\": {\"lr\": 3e-4, \"betas\": [0.8, 1], \"schedule\": \"constant\", \"_why\": 1},\n"
    "  \"precision\": \"f32\", \"pack\": false, \"stop\": [\"a\", \"\"],\n"
    "  \"phases\": [\n"
    "    {\"seq_len\": 128, \"data\": [{\"path\": \"a.tok\"}, {\"path\": \"b.tok\", \"weight\": 0.5}]},\n"
    "    {\"name\": \"two\", \"seq_len\": 256, \"steps\": 7, \"optim\": {\"lr\": 0.1}, \"data\": [{\"path\": \"c\"}]}\n"
    "  ]\n"
    "}\n";

/* Settings from text; the error, or "", is left in e. */
static bool from_text(struct settings *s, const char *text, struct err *e)
{
    *s = (struct settings){0};
    e->msg[0] = '\0';
    conf_defaults(s, table);
    json_t *o = json_parse(text, strlen(text), "demo.json", e);
    bool ok = o && conf_from_json(s, table, o, "demo.json", text, e);
    json_decref(o);
    return ok;
}

static void defaults(void)
{
    struct settings s = {0};
    conf_defaults(&s, table);
    check(!s.run_dir && !s.tokenizer && s.seed == 1234 && s.rows == 64 && s.lr == 5e-6 && s.betas[0] == 0.9 && s.betas[1] == 0.95);
    check(s.schedule == 1 && s.precision == 1 && !s.resume && s.pack && s.stop.n == 0 && s.phases.n == 0);
    conf_free(&s, table);
}

static void from_json(void)
{
    struct settings s;
    struct err e;
    check_msg(from_text(&s, full_text, &e), "%s", e.msg);
    check_str(s.run_dir, "runs/demo");
    check(s.seed == 9007199254740993); /* more than a double holds */
    check(s.rows == 8 && s.lr == 3e-4 && s.betas[0] == 0.8 && s.betas[1] == 1 && s.schedule == 2 && s.precision == 0 && !s.pack);
    check(s.stop.n == 2 && strcmp(s.stop.at[0], "a") == 0 && strcmp(s.stop.at[1], "") == 0);
    check_int(s.phases.n, 2);
    const struct phase *p = s.phases.at;
    check_str(p[0].name, "phase");
    check(p[0].seq_len == 128 && p[0].steps == INT64_MIN && isnan(p[0].lr) && isnan(p[0].betas[0]) && p[0].schedule == -1 && p[0].pack);
    check(p[1].seq_len == 256 && p[1].steps == 7 && p[1].lr == 0.1);
    check(p[0].data.n == 2 && ((const struct data *)p[0].data.at)[0].weight == 1 && ((const struct data *)p[0].data.at)[1].weight == 0.5);
    check(conf_check(&s, table, &e));
    conf_free(&s, table);
    check(!s.run_dir && s.stop.n == 0 && s.phases.n == 0);
}

static void complaint(const char *text, const char *want)
{
    struct settings s;
    struct err e;
    check_msg(!from_text(&s, text, &e), "%s", text);
    check_str(e.msg, want);
    conf_free(&s, table);
}

static void complaints_about_json(void)
{
    complaint("{\n \"optim\": {\n    \"lrr\": 1}}", "demo.json:3:5: unknown setting \"optim.lrr\"; did you mean \"optim.lr\"?");
    complaint("{\n\n\"batch\":{\"rows\": 0}}", "demo.json:3:10: \"batch.rows\" must be an integer from 1 to 65536, got 0");
    complaint("{\"batch\": {\"rows\": \"x\"}}", "demo.json:1:12: \"batch.rows\" must be an integer from 1 to 65536, got a string (\"x\")");
    complaint("{\"batch\": {\"rows\": 8.5}}", "demo.json:1:12: \"batch.rows\" must be an integer from 1 to 65536, got 8.5");
    complaint("{\"batch\": {\"big\": -1}}", "demo.json:1:12: \"batch.big\" must be an integer of at least 0, got -1");
    complaint("{\"batch\": 3}", "demo.json:1:2: \"batch\" must be an object, got an integer");
    complaint("{\"batch.rows\": 3}",
              "demo.json:1:2: unknown setting \"batch.rows\"; write the part before a dot as an object: {\"batch\": {...}}");
    complaint("{\"lr\": 3}", "demo.json:1:2: unknown setting \"lr\"; did you mean \"optim.lr\"?");
    complaint("{\"optimm\": {\"lr\": 3}}", "demo.json:1:2: unknown setting \"optimm\"; did you mean \"optim\"?");
    complaint("{\"rundir\": 3}", "demo.json:1:2: unknown setting \"rundir\"; did you mean \"run_dir\"?");
    complaint("{\"zzzzzzzz\": 3}", "demo.json:1:2: unknown setting \"zzzzzzzz\"; --help lists those that there are");
    complaint("{\"optim\": {\"lr\": 1.5}}", "demo.json:1:12: \"optim.lr\" must be a number from 0 to 1, got 1.5");
    complaint("{\"optim\": {\"lr\": [1]}}", "demo.json:1:12: \"optim.lr\" must be a number from 0 to 1, got an array");
    complaint("{\"optim\": {\"betas\": [0.5]}}", "demo.json:1:12: \"optim.betas\" must be two numbers, each from 0 to 1, got an array");
    complaint("{\"optim\": {\"betas\": [0.5, 2]}}", "demo.json:1:12: \"optim.betas\" must be two numbers, each from 0 to 1, got 2");
    complaint("{\"optim\": {\"schedule\": \"cosin\"}}",
              "demo.json:1:12: \"optim.schedule\" must be \"cosine\", \"linear\" or \"constant\", got \"cosin\"");
    complaint("{\"pack\": 1}", "demo.json:1:2: \"pack\" must be true or false, got 1");
    complaint("{\"run_dir\": null}", "demo.json:1:2: \"run_dir\" must be a string, got null");
    complaint("{\"stop\": \"a\"}", "demo.json:1:2: \"stop\" must be a list of strings, got a string (\"a\")");
    complaint("{\"stop\": [\"a\", 1]}", "demo.json:1:2: \"stop\" must be a list of strings, got 1");
    complaint("{\"phases\": {}}", "demo.json:1:2: \"phases\" must be a list of objects, got an object");
    complaint("{\"phases\": [{\"seq_len\": 1},\n 5]}", "demo.json:2:2: \"phases.1\" must be an object, got an integer");
    complaint("{\"phases\": [{},\n {\"seq_len\": 0}]}", "demo.json:2:3: \"phases.1.seq_len\" must be an integer from 1 to 1048576, got 0");
    complaint("{\"phases\": [{},\n {\"steps\": 0}]}", "demo.json:2:3: \"phases.1.steps\" must be an integer of at least 1, got 0");
    complaint("{\"phases\": [{\"data\": [{},\n{\"wieght\": 0}]}]}",
              "demo.json:2:2: unknown setting \"phases.0.data.1.wieght\"; did you mean \"phases.0.data.1.weight\"?");
    complaint("[]", "demo.json: settings must be an object, got an array");
}

static void missing(void)
{
    struct settings s;
    struct err e;
    check(from_text(&s, "{}", &e));
    check(!conf_check(&s, table, &e));
    check_str(e.msg,
              "setting \"run_dir\" is required and was not given; set it, for one with --run-dir: a string, where the run is written");
    conf_free(&s, table);
    check(from_text(
        &s, "{\"run_dir\": \"r\", \"phases\": [{\"seq_len\": 1, \"data\": [{\"path\": \"p\"}]}, {\"seq_len\": 2, \"data\": [{}]}]}", &e));
    check(!conf_check(&s, table, &e));
    check_str(e.msg,
              "setting \"phases.1.data.0.path\" is required and was not given; set it, for one with --phases.1.data.0.path: a string, "
              "a .tok file");
    check(conf_set(&s, table, "phases.1.data.0.path", "p", &e) && conf_check(&s, table, &e));
    conf_free(&s, table);
}

static void round_trip(void)
{
    struct settings s, t = {0};
    struct err e;
    check(from_text(&s, full_text, &e));
    json_t *dump = conf_to_json(&s, table);
    conf_defaults(&t, table);
    check_msg(conf_from_json(&t, table, dump, NULL, NULL, &e), "%s", e.msg);
    json_t *again = conf_to_json(&t, table);
    check(json_equal(dump, again));
    char *text = json_dumps(again, JSON_COMPACT);
    check_str(
        text,
        "{\"run_dir\":\"runs/demo\",\"seed\":9007199254740993,\"batch\":{\"rows\":8,\"big\":0},"
        "\"optim\":{\"lr\":0.00029999999999999997,\"eps\":1e-8,\"betas\":[0.80000000000000004,1.0],\"schedule\":\"constant\"},"
        "\"precision\":\"f32\",\"resume\":false,\"pack\":false,\"stop\":[\"a\",\"\"],\"phases\":["
        "{\"name\":\"phase\",\"seq_len\":128,\"pack\":true,\"data\":[{\"path\":\"a.tok\",\"weight\":1.0},{\"path\":\"b.tok\",\"weight\":0.5}]},"
        "{\"name\":\"two\",\"seq_len\":256,\"steps\":7,\"optim\":{\"lr\":0.10000000000000001},\"pack\":true,"
        "\"data\":[{\"path\":\"c\",\"weight\":1.0}]}]}");
    check(t.lr == s.lr && t.seed == s.seed && t.phases.n == 2);
    free(text);
    json_decref(dump);
    json_decref(again);
    conf_free(&s, table);
    conf_free(&t, table);
}

static void set_one(struct settings *s, const char *key, const char *value, const char *want_error)
{
    struct err e = {""};
    check_msg(conf_set(s, table, key, value, &e) == !*want_error, "%s = %s: %s", key, value, e.msg);
    check_str(e.msg, want_error);
}

static void one_by_one(void)
{
    struct settings s;
    struct err e;
    check(from_text(&s, full_text, &e));
    set_one(&s, "seed", "-9223372036854775807", "");
    check(s.seed == -INT64_MAX);
    set_one(&s, "optim.betas", "0.25,5e-1", "");
    check(s.betas[0] == 0.25 && s.betas[1] == 0.5);
    set_one(&s, "resume", "true", "");
    check(s.resume);
    set_one(&s, "precision", "bf16", "");
    check_int(s.precision, 1);
    set_one(&s, "stop", "c", "");
    check(s.stop.n == 3 && strcmp(s.stop.at[2], "c") == 0);
    set_one(&s, "phases.1.optim.lr", "3e-4", "");
    set_one(&s, "phases.0.data.1.weight", "2", "");
    const struct phase *p = s.phases.at;
    check(p[1].lr == 3e-4 && ((const struct data *)p[0].data.at)[1].weight == 2);
    set_one(&s, "phases.0.data", "[{\"path\": \"new\"}]", "");
    check(p[0].data.n == 1);
    check_str(((const struct data *)p[0].data.at)[0].path, "new");

    set_one(&s, "seed", "1e6", "\"seed\" must be an integer, got \"1e6\"");
    set_one(&s, "seed", "", "\"seed\" must be an integer, got \"\"");
    set_one(&s, "seed", "9223372036854775808", "\"seed\" must be an integer, got \"9223372036854775808\"");
    set_one(&s, "batch.rows", "70000", "\"batch.rows\" must be an integer from 1 to 65536, got \"70000\"");
    set_one(&s, "optim.lr", "nan", "\"optim.lr\" must be a number from 0 to 1, got \"nan\"");
    set_one(&s, "optim.eps", "inf", "\"optim.eps\" must be a number, got \"inf\"");
    set_one(&s, "optim.lr", "0.1x", "\"optim.lr\" must be a number from 0 to 1, got \"0.1x\"");
    set_one(&s, "optim.betas", "0.9", "\"optim.betas\" must be two numbers, each from 0 to 1, got \"0.9\"");
    set_one(&s, "optim.betas", "0.9,1.5", "\"optim.betas\" must be two numbers, each from 0 to 1, got \"0.9,1.5\"");
    set_one(&s, "resume", "yes", "\"resume\" must be true or false, got \"yes\"");
    set_one(&s, "precision", "f16", "\"precision\" must be \"f32\" or \"bf16\", got \"f16\"");
    set_one(&s, "phases.2.seq_len", "1", "no such list element: \"phases.2.seq_len\"; the list has 2, counted from 0, as in phases.0.name");
    set_one(&s, "phases.x.seq_len", "1", "no such list element: \"phases.x.seq_len\"; the list has 2, counted from 0, as in phases.0.name");
    set_one(&s, "phases.1.seqlen", "1", "unknown setting \"phases.1.seqlen\"; did you mean \"phases.1.seq_len\"?");
    set_one(&s, "phases.1.seq_len", "0", "\"phases.1.seq_len\" must be an integer from 1 to 1048576, got \"0\"");
    set_one(&s, "phases.0.data", "[{", "\"phases.0.data\":3: not valid JSON: string or '}' expected near end of file");
    check(p[0].data.n == 1 && s.rows == 8 && s.lr == 3e-4); /* what was refused changed nothing */
    conf_free(&s, table);
}

static void options(void)
{
    struct settings s = {0};
    conf_defaults(&s, table);
    char *args[] = {"train",  "demo.json", "--batch.rows=16", "--run-dir", "out",          "--resume", "--pack=false", "--optim.lr", "1e-3",
                    "--stop", "--x",       "--stop=b=c",      "-7",        "--tokenizer=", "--",       "--seed",       NULL};
    int argc = (int)(sizeof args / sizeof *args) - 1, n = -1;
    const char *words[20];
    struct err e = {""};
    check_msg(conf_from_args(&s, table, argc, args, words, &n, &e), "%s", e.msg);
    check(s.rows == 16 && s.resume && !s.pack && s.lr == 1e-3 && s.seed == 1234);
    check_str(s.run_dir, "out");
    check_str(s.tokenizer, "");
    check(s.stop.n == 2 && strcmp(s.stop.at[0], "--x") == 0 && strcmp(s.stop.at[1], "b=c") == 0);
    check_int(n, 3);
    check_str(words[0], "demo.json");
    check_str(words[1], "-7");
    check_str(words[2], "--seed");

    static const struct {
        char *arg;
        const char *want;
    } t[] = {
        {"--batch.rows=0", "--batch.rows must be an integer from 1 to 65536, got \"0\""},
        {"--run-di=x", "unknown option --run-di; did you mean --run-dir?"},
        {"--optim.lrr=1", "unknown option --optim.lrr; did you mean --optim.lr?"},
        {"--resume=1", "--resume must be true or false, got \"1\""},
        {"--seed", "option --seed needs a value"},
        {"--phases.0.seq_len=1", "no such list element: --phases.0.seq_len; the list has 0, counted from 0, as in phases.0.name"},
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        char *argv[] = {"train", t[i].arg, NULL};
        check(!conf_from_args(&s, table, 2, argv, words, &n, &e));
        check_str(e.msg, t[i].want);
    }
    conf_free(&s, table);
}

static void from_file(void)
{
    struct settings s = {0};
    struct err e;
    conf_defaults(&s, table);
    check(!conf_from_file(&s, table, "/nonexistent/demo.json", &e));
    check_str(e.msg, "cannot open /nonexistent/demo.json: No such file or directory");
    char path[] = "/tmp/test_core_conf_XXXXXX";
    close(mkstemp(path));
    struct file_out *o;
    const char *bad = "{\"seed\": 5,\n\"seeed\": 6}";
    check(file_out_open(&o, path, false, &e) && file_out_write(o, bad, strlen(bad), &e) && file_out_commit(o, &e));
    check(!conf_from_file(&s, table, path, &e));
    char *want = xprintf("%s:2:1: unknown setting \"seeed\"; did you mean \"seed\"?", path);
    check_str(e.msg, want);
    free(want);
    unlink(path);
    conf_free(&s, table);
}

static void help_says_all(void)
{
    char *text = NULL;
    size_t n;
    FILE *to = open_memstream(&text, &n);
    must(to);
    conf_help(to, table);
    fclose(to);
    check_has(text, "  --run-dir TEXT                  where the run is written (required)\n");
    check_has(text, "  --batch.rows INT                rows of the global batch (default 64; from 1 to 65536)\n");
    check_has(text, "  --optim.lr NUMBER               peak learning rate (default 5e-06; from 0 to 1)\n");
    check_has(text, "--optim.betas A,B ");
    check_has(text, "(default 0.9,0.95; each from 0 to 1)\n");
    check_has(text, "--precision f32|bf16 ");
    check_has(text, "(default bf16)\n");
    check_has(text, "ends a sample (may be repeated)\n");
    check_has(text, "  --phases.N.data.N.weight NUMBER");
    free(text);
}

static const struct test tests[] = {
    {"defaults", defaults},       {"from JSON", from_json},       {"complaints about JSON", complaints_about_json},
    {"what is missing", missing}, {"there and back", round_trip}, {"one by one", one_by_one},
    {"options", options},         {"from a file", from_file},     {"help says all", help_says_all},
};
TEST_MAIN("test_core_conf", tests)
