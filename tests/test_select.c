/* tests/test_select.c - mixtures: what the filters let through, that a draw is a sample and the same again, and what the manifest says of it. */
#include "core/file.h"
#include "data/select/filter.h"
#include "infer/math/equal.h"
#include "data/lengths.h"
#include "tests/folder.h"
#include "tests/program.h"
#include "tests/test.h"

static char *here; /* the project's folder */

static json_t *load(const char *name)
{
    char *path = path_of(name);
    struct err e;
    json_t *v = strstr(name, ".jsonl") ? json_load_lines(path, &e) : json_load_path(path, false, NULL, &e);
    check_msg(v, "%s", e.msg);
    free(path);
    return v;
}

static bool exists(const char *name)
{
    char *path = path_of(name);
    bool is = file_exists(path);
    free(path);
    return is;
}

/* ------------------------------------------------------------------- the tests of one record */

static void thoughts(void)
{
    check(filter_thought("q", "<think>\na\n</think>\n\nb"));
    check(filter_thought("q", " \n<think>a</think>b"));
    check(filter_thought("q\n<think>\n", "a</think>b")); /* the prompt has opened it */
    check(!filter_thought("q", "a</think>b"));
    check(!filter_thought("q\n<think>\n", "<think>a</think>b"));
    check(!filter_thought("q", "<think>a</think> \n"));
    check(!filter_thought("q", "<think> \n</think>b"));
    check(!filter_thought("q", "<think>a"));
    check(!filter_thought("q", "<think>a</think>b</think>c"));
    check(!filter_thought("q", "<think>a<think>b</think>c"));
    check(!filter_thought("q", "x<think>a</think>b"));
    check(!filter_thought("", ""));
}

static void boxes(void)
{
    static const char *const cases[][2] = {{"so \\boxed{4}.", "4"},
                                           {"\\boxed{1} or \\boxed{\\frac{1}{2}}", "\\frac{1}{2}"},
                                           {"\\boxed{\\{1, 2\\}}", "\\{1, 2\\}"},
                                           {"\\boxed{7} \\boxed{cut {", "7"},
                                           {"no box", NULL},
                                           {"\\boxed{ }", NULL},
                                           {"\\boxed{", NULL},
                                           {"\\boxed{a} then \\boxed{}", NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t n = 0;
        const char *got = filter_boxed(cases[i][0], &n), *want = cases[i][1];
        check_msg(want ? got && n == strlen(want) && memcmp(got, want, n) == 0 : !got, "%s: %.*s", cases[i][0], (int)n, got ? got : "");
    }
}

static void languages(void)
{
    static const char LONG[] =
        "To find the sum of the first ten numbers we add the smallest to the largest, and see that each pair is eleven. There "
        "are five of these pairs, so that the sum is fifty-five, which we can check by hand if we have time for it. ";
    check(filter_english("What is $2+2$?", "4"));
    check(filter_english("", LONG) && filter_english("α + β ≤ γ → ∞", LONG));
    check(filter_english("", "naïve café über"));
    check(!filter_english("求和", "答案是四，因为二加二等于四。"));
    check(!filter_english("Чему равно 2+2?", "Четыре"));
    check(!filter_english(
        "", "Um die Summe der ersten zehn Zahlen zu finden, addieren wir immer die kleinste und die grösste Zahl; jedes Paar ergibt "
            "elf. Es gibt fünf solche Paare, darum beträgt die Summe fünfundfünfzig, was man auch leicht von Hand nachrechnen "
            "kann, wenn man etwas Zeit dafür hat und sich nicht verrechnet."));
    check(filter_english("", "It is so:\n```\nЧетыре четыре четыре четыре\n```\nand that is all."));
    check(!filter_english("", "\xff\xfe 四四四四四")); /* bytes that are no text are passed over */
}

static bool equal(const char *expected, const char *answer)
{
    const char *how;
    return math_equal(expected, answer, &how);
}

static enum reason reason_of(const char *settings, const char *raw)
{
    struct mixture m = {0};
    struct err e;
    char *config = xprintf("{\"tokenizer\": \"byte\", \"output\": \"x\", \"sources\": [{\"name\": \"a\", \"path\": \"b\", %s}]}", settings);
    put("one.json", config);
    char *path = path_of("one.json"), *argv[] = {"select", NULL};
    bool usage;
    check_msg(mixture_load(&m, path, 1, argv, &usage, &e), "%s", e.msg);
    json_t *v = json_loads(raw, 0, NULL);
    must(v);
    enum reason r = filter_record(m.sources.at, v, v, equal);
    json_decref(v);
    conf_free(&m, mixture_table);
    free(path);
    free(config);
    return r;
}

static void columns_and_answers(void)
{
    static const char WHERE[] = "\"where\": [{\"column\": \"rate\", \"min\": 0.25, \"max\": 0.5, \"or_missing\": true}]";
    static const char *const inside[] = {"{\"rate\": \"0.25\"}", "{\"rate\": 0.5}", "{\"rate\": null}", "{\"rate\": \"n/a\"}", "{}"};
    static const char *const outside[] = {"{\"rate\": \"0.75\"}", "{\"rate\": 0}",   "{\"rate\": \"much\"}",
                                          "{\"rate\": \"\"}",     "{\"rate\": [1]}", "{\"rate\": \"nan\"}"};
    for (size_t i = 0; i < 5; i++)
        check_msg(reason_of(WHERE, inside[i]) == TAKEN, "%s", inside[i]);
    for (size_t i = 0; i < 6; i++)
        check_msg(reason_of(WHERE, outside[i]) == WRONG_COLUMN, "%s", outside[i]);
    static const char IN[] = "\"where\": [{\"column\": \"kind\", \"in\": [\"true\", \"3\", \"a b\"]}]";
    check_int(reason_of(IN, "{\"kind\": true}"), TAKEN);
    check_int(reason_of(IN, "{\"kind\": 3}"), TAKEN);
    check_int(reason_of(IN, "{\"kind\": \"a b\"}"), TAKEN);
    check_int(reason_of(IN, "{\"kind\": false}"), WRONG_COLUMN);
    check_int(reason_of(IN, "{}"), WRONG_COLUMN);
    static const char PYTHON[] = "\"answer\": \"python\"";
    check_int(reason_of(PYTHON, "{\"prompt\": \"q\", \"completion\": \"<think>```python\\nx\\n```</think>none\"}"), NO_ANSWER);
    check_int(reason_of(PYTHON, "{\"prompt\": \"q\", \"completion\": \"</think>\\n```python\\nx\\n```\"}"), TAKEN);
    check_int(reason_of(PYTHON, "{\"prompt\": \"q\", \"completion\": \"```\\nx\\n```\\n```cpp\\nx\\n```\\n```python\\n \\n```\"}"),
              NO_ANSWER);
    check_int(reason_of("\"answer\": \"boxed\"", "{\"prompt\": \"q\", \"completion\": \"<think>\\\\boxed{1}</think>one\"}"), NO_ANSWER);
    check_int(reason_of("\"answer\": \"boxed\"", "{\"text\": \"\\\\boxed{1}\"}"), TAKEN);
    check_int(reason_of("\"answer\": \"expected\"", "{\"text\": \"\\\\boxed{1}\", \"expected_answer\": \"2\"}"), NO_ANSWER);
    check_int(reason_of("\"answer\": \"expected\"", "{\"text\": \"\\\\boxed{ 2. }\", \"expected_answer\": \"2\"}"), TAKEN);
    check_int(reason_of("\"answer\": \"expected\"", "{\"text\": \"\\\\boxed{\\\\dfrac12}\", \"expected_answer\": \"0.5\"}"), TAKEN);
    check_int(reason_of("\"answer\": \"expected\"", "{\"text\": \"\\\\boxed{(2, 1]}\", \"expected_answer\": \"(1, 2]\"}"), NO_ANSWER);
    check_int(reason_of("\"answer\": \"expected\"", "{\"text\": \"\\\\boxed{2}\"}"), NO_ANSWER);
}

static void lengths(void)
{
    struct lengths l = {0};
    check_int(lengths_at(&l, 0.5), 0);
    for (int n = 1; n <= 1000; n++)
        lengths_add(&l, n);
    check_int(lengths_at(&l, 0), 1);
    check_int(lengths_at(&l, 0.5), 500);
    check_int(lengths_at(&l, 0.99), 990);
    check_int(lengths_at(&l, 1), 1000);
    check(lengths_bin(0) == 0 && lengths_bin(1) == 64 && lengths_bin(2) == 96 && lengths_bin(3) == 128 && lengths_bin(4) == 192);
    json_t *v = lengths_json(&l), *bin;
    json_int_t docs = 0, tokens = 0;
    size_t i;
    json_array_foreach(json_object_get(v, "histogram"), i, bin)
    {
        docs += json_integer_value(json_object_get(bin, "documents"));
        tokens += json_integer_value(json_object_get(bin, "tokens"));
    }
    check(docs == 1000 && tokens == 500500);
    json_decref(v);
    for (int k = 0; k < 500; k++) /* a few very long ones: in little memory */
        lengths_add(&l, 3000000000);
    check(lengths_at(&l, 0) == 1 && lengths_at(&l, 0.5) == 750 && lengths_at(&l, 1000.0 / 1500) == 1000);
    check(lengths_at(&l, 0.67) == 3000000000 && lengths_at(&l, 1) == 3000000000);
    v = lengths_json(&l);
    const json_t *bins = json_object_get(v, "histogram");
    bin = json_array_get(bins, json_array_size(bins) - 1);
    check_int(json_integer_value(json_object_get(bin, "documents")), 500);
    check(json_integer_value(json_object_get(bin, "from")) <= 3000000000 && json_integer_value(json_object_get(bin, "to")) > 3000000000);
    json_decref(v);
    lengths_free(&l);
}

/* ------------------------------------------------------------------- the program */

static const char MIXTURE[] =
    "{\"tokenizer\": \"byte\", \"on_bad_line\": \"skip\", \"sources\": [\n"
    "{\"name\": \"code\", \"path\": \"code\", \"set\": \"opencodereasoning\", \"unique\": \"id\", \"thought\": true, \"answer\": \"python\", "
    "\"records\": 10},\n"
    "{\"name\": \"thoughts\", \"path\": \"thoughts\", \"language\": \"english\", \"answer\": \"boxed\", \"min_tokens\": 140, \"max_tokens\": 160},\n"
    "{\"name\": \"math\", \"path\": \"math\", \"match\": \"data/cot-*\", \"answer\": \"expected\", \"keep\": [\"expected_answer\", \"used_in_kaggle\"],\n"
    " \"where\": [{\"column\": \"problem_type\", \"in\": [\"has_answer_extracted\"]}]}]}";

static struct ran run_select(const char *output, const char *more)
{
    return run_program(dir, "select mixture.json --root '%s/tests/data/sets' --output %s %s", here, output, more);
}

static int64_t left_out(const json_t *manifest, int source, const char *reason)
{
    return json_integer_value(
        json_object_get(json_object_get(json_array_get(json_object_get(manifest, "sources"), (size_t)source), "left_out"), reason));
}

static int64_t number(const json_t *manifest, int source, const char *key)
{
    return json_integer_value(json_object_get(json_array_get(json_object_get(manifest, "sources"), (size_t)source), key));
}

static void counts(void)
{
    put("mixture.json", MIXTURE);
    struct ran r = run_select("a", "");
    check_msg(r.code == 0, "%s", r.err);
    check_str(r.out, "");
    ran_free(&r);
    json_t *m = load("a/manifest.json");
    /* code: 20 rows with a statement, of which two have the ids of others; 5 without */
    check(number(m, 0, "records_in") == 25 && number(m, 0, "records_out") == 10 && number(m, 0, "records_wanted") == 10);
    check(left_out(m, 0, "no_statement") == 5 && left_out(m, 0, "duplicate") == 2 && left_out(m, 0, "not_drawn") == 8);
    /* thoughts: row i is bad for i = 9, 10, 11; without a box for i % 3 == 0; Chinese for i % 4 == 0 */
    check(number(m, 1, "records_in") == 24 && left_out(m, 1, "bad_record") == 3 && left_out(m, 1, "no_answer") == 7);
    check(left_out(m, 1, "other_language") == 4);
    check(number(m, 1, "records_out") + left_out(m, 1, "too_short") + left_out(m, 1, "too_long") == 10 && left_out(m, 1, "too_short") > 0 &&
          left_out(m, 1, "too_long") > 0 && number(m, 1, "records_out") > 0);
    /* math: of 30, 6 have no extracted answer (i % 5 == 4); of the others, i % 7 == 6 is answered wrongly: 6, 13, 20, 27 */
    check(number(m, 2, "records_in") == 30 && left_out(m, 2, "where") == 6 && left_out(m, 2, "no_answer") == 4 &&
          number(m, 2, "records_out") == 20);
    const char *const files[] = {"a/code.jsonl.zst", "a/thoughts.jsonl.zst", "a/math.jsonl.zst"};
    for (int s = 0; s < 3; s++) {
        json_t *all = load(files[s]), *v;
        size_t i;
        check_int(json_array_size(all), number(m, s, "records_out"));
        json_array_foreach(all, i, v)
        {
            check(json_array_size(json_object_get(v, "messages")) == 2 && json_object_get(v, "id") && json_object_get(v, "source"));
            check(s != 2 ||
                  (json_is_string(json_object_get(v, "expected_answer")) && json_is_boolean(json_object_get(v, "used_in_kaggle"))));
        }
        json_decref(all);
    }
    json_decref(m);
    /* The lengths are those that prepare finds. */
    r = run_program(dir, "prepare --tokenizer byte --template chatml --input a/thoughts.jsonl.zst --output t.tok");
    check_int(r.code, 0);
    m = load("a/manifest.json");
    const json_t *tokens = json_object_get(json_array_get(json_object_get(m, "sources"), 1), "tokens");
    char *words = xprintf("t.tok: %lld documents, %lld tokens", (long long)number(m, 1, "records_out"),
                          (long long)json_integer_value(json_object_get(tokens, "total")));
    check_has(r.err, words);
    free(words);
    json_decref(m);
    ran_free(&r);
}

static char *bytes_of(const char *name, size_t *n)
{
    char *path = path_of(name);
    FILE *f = fopen(path, "rb");
    char *bytes = xmalloc(1 << 20);
    *n = f ? fread(bytes, 1, 1 << 20, f) : 0;
    check_msg(*n > 0, "%s", path);
    if (f)
        fclose(f);
    free(path);

    return bytes;
}

static bool same_file(const char *a, const char *b)
{
    size_t n, m;
    char *x = bytes_of(a, &n), *y = bytes_of(b, &m);
    bool same = n == m && memcmp(x, y, n) == 0;
    free(x);
    free(y);
    return same;
}

static void the_same_again(void)
{
    put("mixture.json", MIXTURE);
    struct ran r = run_select("b", "--threads 1");
    check_msg(r.code == 0, "%s", r.err);
    ran_free(&r);
    r = run_select("c", "--threads 5");
    check_int(r.code, 0);
    ran_free(&r);
    r = run_select("d", "--seed 2");
    check_int(r.code, 0);
    ran_free(&r);
    check(same_file("b/code.jsonl.zst", "c/code.jsonl.zst") && same_file("b/math.jsonl.zst", "c/math.jsonl.zst"));
    check(same_file("b/manifest.json", "c/manifest.json"));
    check(!same_file("b/code.jsonl.zst", "d/code.jsonl.zst"));        /* another sample */
    check(same_file("b/thoughts.jsonl.zst", "d/thoughts.jsonl.zst")); /* nothing is drawn here */
}

/* split_1 of OpenCodeReasoning names its statements: row `index` of a part of a set. */
static void statements_from_elsewhere(void)
{
    put("taco.jsonl", "{\"question\": \"zero\"}\n{\"question\": \"one\"}\n");
    put("split_1.jsonl",
        "{\"id\": \"a\", \"input\": \"-\", \"output\": \"o\", \"solution\": \"s\", \"dataset\": \"taco\", \"split\": \"train\", "
        "\"index\": \"1\"}\n{\"id\": \"b\", \"input\": \"-\", \"output\": \"o\", \"solution\": \"s\", \"dataset\": \"taco\", "
        "\"split\": \"train\", \"index\": \"2\"}\n{\"id\": \"c\", \"input\": \"-\", \"output\": \"o\", \"solution\": \"s\", "
        "\"dataset\": \"apps\", \"split\": \"train\", \"index\": \"0\"}\n");
    put("mixture.json",
        "{\"tokenizer\": \"byte\", \"sources\": [{\"name\": \"code\", \"path\": \"split_1.jsonl\", \"question\": \"Do {problem}.\", "
        "\"statements\": [{\"dataset\": \"taco\", \"split\": \"train\", \"path\": \"taco.jsonl\"}]}]}");
    struct ran r = run_program(dir, "select mixture.json --output g");
    check_msg(r.code == 0, "%s", r.err);
    ran_free(&r);
    json_t *m = load("g/manifest.json"), *all = load("g/code.jsonl.zst");
    check(left_out(m, 0, "no_statement") == 2 && json_array_size(all) == 1);
    char *text = json_dumps(all, JSON_COMPACT);
    check_has(text, "{\"role\":\"user\",\"content\":\"Do one.\"}");
    free(text);
    json_decref(all);
    json_decref(m);
}

/* Over many seeds each of the 18 records is drawn as often as the others: 10 of 18 times. */
static void a_fair_draw(void)
{
    enum { SEEDS = 60 };
    put("mixture.json",
        "{\"tokenizer\": \"byte\", \"sources\": [{\"name\": \"code\", \"path\": \"code\", \"unique\": \"id\", \"records\": 10}]}");
    int times[128] = {0};
    for (int seed = 0; seed < SEEDS; seed++) {
        char *more = xprintf("--seed %d", 100 + seed);
        struct ran r = run_select("e", more);
        check_msg(r.code == 0, "%s", r.err);
        ran_free(&r);
        free(more);
        json_t *all = load("e/code.jsonl.zst"), *v;
        size_t i;
        json_array_foreach(all, i, v)
        {
            long id = strtol(json_string_value(json_object_get(v, "id")), NULL, 16);
            if (id < 128)
                times[id]++;
        }
        json_decref(all);
    }
    for (int id = 0; id < 18; id++) /* 33.3 expected, a deviation of 3.8 */
        check_msg(times[id] >= 18 && times[id] <= 48, "record %d was drawn %d of %d times", id, times[id], SEEDS);
}

static void check_fails(const char *config, int code, const char *args, const char *words)
{
    put("bad.json", config);
    struct ran r = run_program(dir, "select bad.json --root '%s/tests/data/sets' --output f %s", here, args);
    check_msg(r.code == code, "%d: %s", r.code, r.err);
    check_has(r.err, words);
    check(!exists("f/manifest.json") && !exists("f/a.jsonl.zst") && !exists("f/a.jsonl.zst.part"));
    ran_free(&r);
}

#define ONE(settings) "{\"tokenizer\": \"byte\", \"sources\": [{\"name\": \"a\", " settings "}]}"

static void what_is_wrong(void)
{
    check_fails("{\"sources\": [{\"nam\": \"a\"}]}", 1, "", "\"sources.0.nam\"");
    check_fails(ONE("\"path\": \"none\""), 1, "", "sets/none: there is no such file");
    check_fails(
        ONE("\"path\": \"math\", \"set\": \"openthoughts2\""), 1, "",
        "cot-00000-of-00001.parquet: column \"conversations\" is missing, which openthoughts2 needs; it has expected_answer: string");
    check_fails("{\"tokenizer\": \"byte\", \"sources\": [{\"name\": \"a\", \"path\": \"math\"}, {\"name\": \"b\", \"path\": \"none\"}]}", 1,
                "", "sets/none: there is no such file"); /* told before the first source is read */
    check_fails(ONE("\"path\": \"code\", \"statements\": [{\"dataset\": \"d\", \"split\": \"s\", \"path\": \"no\"}]"), 1, "",
                "sets/no: there is no such file or folder, which source a needs");
    check_fails(ONE("\"path\": \"thoughts\""), 1, "", "train-00000-of-00001.parquet: row 10: \"conversations\" must be turns");
    check_fails(ONE("\"path\": \"math\", \"unique\": \"id\""), 1, "",
                "cot-00000-of-00001.parquet: row 1: the record has no \"id\", which is to be unique");
    check_fails(ONE("\"path\": \"math\", \"max_tokens\": 10"), 1, "", "a: no record is taken: of 34, 0 are bad");
    check_fails(ONE("\"path\": \"math\", \"question\": \"no place\""), 1, "",
                "sources.0.question must say where the problem goes with {problem}");
    check_fails(ONE("\"path\": \"math\", \"where\": [{\"column\": \"c\"}]"), 1, "", "of column \"c\" asks for nothing");
    check_fails("{\"tokenizer\": \"byte\", \"sources\": [{\"name\": \"a/b\", \"path\": \"math\"}]}", 1, "",
                "sources.0.name \"a/b\" must be letters");
    check_fails("{\"tokenizer\": \"byte\", \"sources\": []}", 2, "", "\"sources\" is required");
    check_fails(ONE("\"path\": \"math\""), 2, "--sed 4", "--sed");
    check_fails(ONE("\"path\": \"math\""), 2, "word", "is one word too many");
    struct ran r = run_program(dir, "select --output f");
    check_int(r.code, 2);
    check_has(r.err, "CONFIG.json must come first");
    ran_free(&r);
    r = run_program(dir, "select --help");
    check(r.code == 0 && strstr(r.out, "usage: select CONFIG.json") && strstr(r.out, "sources"));
    ran_free(&r);
}

/* The mixtures of the project parse, and ask for what the curriculum says. */
static void the_curriculum(void)
{
    static const struct {
        const char *path;
        int64_t n, records[3];
    } files[] = {{"configs/data/phase1.json", 2, {735000, 1140000}},
                 {"configs/data/phase2.json", 3, {256000, 246000, 232000}},
                 {"configs/data/phase2-math.json", 2, {256000, 232000}}};
    for (int i = 0; i < 3; i++) {
        struct mixture m = {0};
        struct err e;
        char *argv[] = {"select", "--output=x", NULL};
        bool usage;
        check_msg(mixture_load(&m, files[i].path, 2, argv, &usage, &e), "%s", e.msg);
        check_int(m.sources.n, files[i].n);
        for (int64_t k = 0; k < m.sources.n; k++)
            check_int(((const struct mixture_source *)m.sources.at)[k].records, files[i].records[k]);
        conf_free(&m, mixture_table);
    }
}

static const struct test tests[] = {
    {"thoughts", thoughts},
    {"boxes", boxes},
    {"languages", languages},
    {"columns and answers", columns_and_answers},
    {"lengths", lengths},
    {"counts", counts},
    {"the same again", the_same_again},
    {"statements from elsewhere", statements_from_elsewhere},
    {"a fair draw", a_fair_draw},
    {"what is wrong", what_is_wrong},
    {"the curriculum", the_curriculum},
};

int main(int argc, char **argv)
{
    must(mkdtemp(dir));
    here = realpath(".", NULL);
    int code = test_main(argc, argv, "test_select", tests, (int)(sizeof tests / sizeof *tests));
    struct err e;
    must(file_remove_tree(dir, &e));
    free(here);
    return code;
}
