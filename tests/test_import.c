/* tests/test_import.c - the published sets, whatever they are kept in, become the same records; what does not fit is told by name. */
#include "core/file.h"
#include "data/records.h"
#include "tests/folder.h"
#include "tests/program.h"
#include "tests/test.h"

#define SHARED "../shared/corpus/parquet/"
#define SETS   "tests/data/sets/"

static const char *const all_columns[] = {"id",
                                          "input",
                                          "output",
                                          "source",
                                          "license",
                                          "dataset",
                                          "split",
                                          "difficulty",
                                          "solution",
                                          "index",
                                          "conversations",
                                          "question",
                                          "problem",
                                          "problem_type",
                                          "problem_source",
                                          "generation_model",
                                          "pass_rate_72b_tir",
                                          "expected_answer",
                                          "generated_solution",
                                          "inference_mode",
                                          "used_in_kaggle",
                                          NULL};

/* Every record of a path as JSON; imported: as prepare takes them, else as they are. Bad ones are null. */
static json_t *read_path(const char *path, const char *match, enum import_set set, bool imported, struct err *e)
{
    char *paths[] = {(char *)path};
    struct records_from from = {paths, 1, match, set, imported ? NULL : all_columns};
    struct records *r;
    struct record record;
    e->msg[0] = '\0';
    if (!records_open(&r, &from, e))
        return NULL;
    json_t *all = json_array();
    int got;
    while ((got = records_next(r, &record, e)) == 1) {
        enum import_set of;
        json_t *raw = records_parse(r, &record, &of, e), *v = raw && imported ? import_record(of, raw, NULL, e) : json_incref(raw);
        json_array_append_new(all, v ? v : json_null());
        json_decref(raw);
    }
    check_msg(got == 0, "%s", e->msg);
    check(records_tell(r) == records_size(r));
    records_close(r);
    return all;
}

/* One record, written as JSON, becomes this; wanted NULL: an error with these words. */
static void check_import(enum import_set set, const char *record, const char *wanted, const char *words)
{
    struct err e = {""};
    json_t *in = json_loads(record, 0, NULL), *want = wanted ? json_loads(wanted, 0, NULL) : NULL;
    must(in && (want || !wanted));
    json_t *got = import_record(set, in, NULL, &e);
    char *text = got ? json_dumps(got, JSON_COMPACT) : NULL;
    check_msg(wanted ? got && json_equal(got, want) : !got, "%s\nbecomes %s\nwant    %s (%s)", record, text ? text : "nothing",
              wanted ? wanted : "nothing", e.msg);
    if (words)
        check_has(e.msg, words);
    free(text);
    json_decref(in);
    json_decref(got);
    json_decref(want);
}

#define MATH_ASK "\\nPlease reason step by step, and put your final answer within \\\\boxed{}."
#define TURNS(user, assistant)                                                                                                             \
    "{\"messages\": [{\"role\": \"user\", \"content\": \"" user "\"}, {\"role\": \"assistant\", \"content\": \"" assistant "\"}]}"

static void each_set(void)
{
    check_import(SET_AUTO, "{\"problem\": \"2+2?\", \"generated_solution\": \"<think>\\nx\\n</think>\\n\\n4\", \"expected_answer\": \"4\"}",
                 TURNS("2+2?" MATH_ASK, "<think>\\nx\\n</think>\\n\\n4"), NULL);
    check_import(SET_AUTO,
                 "{\"conversations\": [{\"from\": \"human\", \"value\": \"q\"}, {\"from\": \"gpt\", \"value\": \"a\"}], \"id\": 3}",
                 TURNS("q", "a"), NULL);
    check_import(
        SET_AUTO,
        "{\"conversations\": [{\"from\": \"user\", \"value\": \"q\"}, {\"from\": \"assistant\", \"value\": \"a\"}], \"system\": \"s\"}",
        "{\"messages\": [{\"role\": \"system\", \"content\": \"s\"}, {\"role\": \"user\", \"content\": \"q\"}, "
        "{\"role\": \"assistant\", \"content\": \"a\"}]}",
        NULL);
    const char *plain = "{\"prompt\": \"<|im_start|>user\\nq<|im_end|>\\n<|im_start|>assistant\", \"completion\": \"\\n<think>a\"}";
    check_import(SET_AUTO, plain, plain, NULL); /* rendered text stays what it is */
    check_import(SET_PROMPTCOT, plain, TURNS("q", "<think>a"), NULL);
    check_import(SET_PROMPTCOT,
                 "{\"prompt\": \"<|im_start|>user\\nq<|im_end|>\\n<|im_start|>assistant\\n<think>\\n\", \"completion\": \"a<|im_end|>\"}",
                 TURNS("q", "<think>\\na"), NULL);
    check_import(
        SET_PROMPTCOT,
        "{\"prompt\": \"<｜begin▁of▁sentence｜>Please reason step by step, and put your final answer within \\\\boxed{{}}.<｜User｜>"
        "2+2?<｜Assistant｜>\", \"completion\": \"<think>\\nx\\n</think>\\n\\n4<｜end▁of▁sentence｜>\"}",
        TURNS("2+2?" MATH_ASK, "<think>\\nx\\n</think>\\n\\n4"), NULL);
    const char *problem = "{\"foundational_concepts\": [\"a\"], \"level\": \"AIME\", \"prompt\": \"p\", \"completion\": \"c\"}";
    check_import(SET_AUTO, problem, problem, NULL);
    /* The statement stands where it belongs in the instruction, whatever it holds. */
    struct err e;
    json_t *in = json_loads("{\"input\": \"{problem} %s\", \"output\": \"o\", \"solution\": \"s\"}", 0, NULL),
           *out = import_record(SET_AUTO, in, NULL, &e);
    const char *user = json_string_value(json_object_get(json_array_get(json_object_get(out, "messages"), 0), "content"));
    check(user && strncmp(user, "You will be given a question", 28) == 0);
    check_has(user, "\n\nQuestion: {problem} %s\n\nRead the inputs from stdin");
    json_decref(out);
    out = import_record(SET_AUTO, in, "Solve: {problem}!", &e);
    check_str(json_string_value(json_object_get(json_array_get(json_object_get(out, "messages"), 0), "content")), "Solve: {problem} %s!");
    json_decref(out);
    json_decref(in);
}

static void bad_records(void)
{
    check_import(SET_AUTO, "{\"input\": \"-\", \"output\": \"o\", \"solution\": \"s\"}", NULL, "\"input\" is \"-\": split_1 leaves out");
    check_import(SET_AUTO, "{\"input\": \"\", \"output\": \"o\", \"solution\": \"s\"}", NULL, "\"input\" is empty");
    check_import(SET_AUTO, "{\"problem\": \"p\", \"generated_solution\": null}", NULL, "\"generated_solution\" must be a string, got null");
    check_import(SET_AUTO, "{\"problem\": 7, \"generated_solution\": \"s\"}", NULL, "\"problem\" must be a string, got an integer");
    check_import(SET_OPENMATHREASONING, "{\"problem\": \"p\"}", NULL, "key \"generated_solution\" is missing");
    check_import(SET_AUTO, "{\"conversations\": null}", NULL, "\"conversations\" must be turns {\"from\", \"value\"}, got null");
    check_import(SET_AUTO, "{\"conversations\": []}", NULL, "got an empty list");
    check_import(SET_AUTO, "{\"conversations\": [{\"from\": \"user\", \"value\": null}]}", NULL,
                 "conversations[0]: \"value\" must be a string, got null");
    check_import(SET_AUTO, "{\"conversations\": [{\"from\": \"tool\", \"value\": \"x\"}]}", NULL,
                 "conversations[0] is from \"tool\"; expected user");
    check_import(SET_AUTO, "{\"conversations\": [4]}", NULL, "conversations[0]: ");
    check_import(SET_PROMPTCOT, "{\"prompt\": \"p\", \"completion\": \"c\"}", NULL, "\"prompt\" has neither the frame");
    check_import(SET_AUTO, "[1]", NULL, "a record must be a JSON object, got an array");
}

/* JSON lines, compressed or not, and Parquet: the same records, and a folder is its files in order. */
static void whatever_it_is_kept_in(void)
{
    static const char *const kinds[] = {"a.jsonl", "a.jsonl.zst", "a.jsonl.gz"};
    struct err e;
    json_t *want = read_path(SETS "math/data/cot-00000-of-00001.parquet", NULL, SET_AUTO, false, &e);
    check_msg(json_array_size(want) == 30, "%s", e.msg);
    char *lines = path_of("a.jsonl"), *folder = path_of("sub/deep");
    struct file_out *o;
    check(file_mkdirs(folder, &e) && file_out_open(&o, lines, false, &e));
    size_t i;
    json_t *v;
    json_array_foreach(want, i, v)
    {
        check(json_write_line(o, v, &e) && (i % 7 || file_out_write(o, " \r\n", 3, &e))); /* blank lines are no records */
    }
    check(file_out_commit(o, &e));
    char *command = xprintf("cd '%s' && zstd -q -k a.jsonl && gzip -k a.jsonl && cp a.jsonl.gz sub/deep/1.jsonl.gz && cp a.jsonl.zst "
                            "sub/2.jsonl.zst && echo x > sub/.hidden.jsonl && echo x > sub/notes.txt",
                            dir);
    check(system(command) == 0);
    for (int k = 0; k < 3; k++) {
        char *path = path_of(kinds[k]);
        json_t *got = read_path(path, NULL, SET_AUTO, false, &e), *a = read_path(path, NULL, SET_AUTO, true, &e),
               *b = read_path(SETS "math", "data/cot-*", SET_AUTO, true, &e);
        check_msg(json_equal(got, want), "%s", kinds[k]);
        check_msg(json_equal(a, b) && json_array_size(a) == 30, "%s imported", kinds[k]);
        json_decref(got);
        json_decref(a);
        json_decref(b);
        free(path);
    }
    json_t *twice = json_copy(want), *got = NULL;
    json_array_extend(twice, want);
    char *sub = path_of("sub/");
    got = read_path(sub, NULL, SET_AUTO, false, &e);
    check(json_equal(got, twice));
    json_decref(got);
    json_decref(twice);
    json_decref(want);
    free(sub);
    free(command);
    free(folder);
    free(lines);
}

static void check_refused(const char *path, const char *match, enum import_set set, const char *words)
{
    struct err e = {""};
    json_t *got = read_path(path, match, set, true, &e);
    check_msg(!got, "%s was read", path);
    check_has(e.msg, words);
    json_decref(got);
}

static void wrong_files(void)
{
    check_refused("tests/data/none.v1.plain.parquet", NULL, SET_OPENMATHREASONING,
                  "none.v1.plain.parquet: column \"problem\" is missing, which openmathreasoning needs; it has id: int64, text: string, ");
    check_refused("tests/data/refused.brotli.parquet", NULL, SET_OPENTHOUGHTS2, "column \"conversations\" is missing");
    check_refused(SETS "math", "*cot*", SET_RECORDS, "its columns are those of no set that is known: text | prompt, completion");
    check_refused("tests/data/nulls.parquet", NULL, SET_AUTO, "column \"completion\" must be string for records, and is null");
    check_refused(SETS "nothing", NULL, SET_AUTO, "sets/nothing: there is no such file");
    check_refused("tests/data/sets/math", "*.jsonl", SET_AUTO, "file in this folder fits the pattern *.jsonl");
    char *folder = path_of("broken"),
         *command = xprintf("mkdir '%s' && cp " SETS "code/split_0/train-00001-of-00002.parquet '%s'", folder, folder);
    check(system(command) == 0);
    check_refused(folder, NULL, SET_AUTO,
                  "train-00000-of-00002.parquet is missing beside its neighbour number 1 of 2: the download is not whole");
    free(folder);
    free(command);
    /* Types, as columns and as they come in a file. */
    struct err e;
    bool used[2];
    enum import_set set = SET_AUTO;
    struct import_column turns[] = {{"prompt", "list<struct<content: string, role: string>>"}, {"completion", "string"}};
    check(!import_columns(&set, turns, 2, used, &e));
    check_has(e.msg, "column \"prompt\" must be string for records, and is list<struct<content: string, role: string>>");
    struct import_column numbers[] = {{"problem", "string"}, {"generated_solution", "int64"}};
    check(!import_columns(&set, numbers, 2, used, &e) && set == SET_AUTO);
    check_has(e.msg, "column \"generated_solution\" must be string for openmathreasoning, and is int64");
    struct import_column half[] = {{"prompt", "string"}, {"code", "string"}};
    check(!import_columns(&set, half, 2, used, &e));
    check_has(e.msg, "column \"completion\" is missing, which records needs; it has prompt: string, code: string");
    struct import_column ids[] = {{"labels", "list<int64>"}, {"input_ids", "list<int32>"}};
    check(import_columns(&set, ids, 2, used, &e) && set == SET_RECORDS && used[0] && used[1]);
}

/* prepare takes the same: a folder, with its bad rows told by place, counted or refused. */
static void prepare_reads_them(void)
{
    char *here = realpath("tests/data/sets", NULL);
    struct ran r = run_program(dir, "prepare --tokenizer byte --template chatml --input '%s/math' --output m.tok --dump-ids m.jsonl", here);
    check_msg(r.code == 0, "%s", r.err);
    check_has(r.err, "m.tok: 34 documents");
    ran_free(&r);
    r = run_program(dir, "prepare --tokenizer byte --show m.tok 1");
    check_has(r.out,
              "<|im_start|>user\nCompute $3 \\cdot 0$.\nPlease reason step by step, and put your final answer within \\boxed{}.<|im_end|>\n"
              "<|im_start|>assistant\n");
    ran_free(&r);
    r = run_program(dir, "prepare --tokenizer byte --template chatml --input '%s/thoughts' --output t.tok", here);
    check_int(r.code, 1);
    check_has(r.err,
              "train-00000-of-00001.parquet: row 10: \"conversations\" must be turns {\"from\", \"value\"}, got null (--on-bad-line skip");
    ran_free(&r);
    r = run_program(dir,
                    "prepare --tokenizer byte --template chatml --input '%s/thoughts' --input '%s/code' --output t.tok --on-bad-line skip",
                    here, here);
    check_int(r.code, 0);
    check_has(r.err, "t.tok: 41 documents");
    check_has(r.err, "skipped 8 bad lines");
    check_has(r.err, "train-00000-of-00001.parquet: row 12: conversations[1]: \"value\" must be a string, got null");
    ran_free(&r);
    r = run_program(dir, "prepare --tokenizer byte --input '%s/math' --set opencodereasoning --output x.tok", here);
    check_int(r.code, 1);
    check_has(r.err,
              "cot-00000-of-00001.parquet: column \"input\" is missing, which opencodereasoning needs; it has expected_answer: string");
    ran_free(&r);
    put("mixed.jsonl",
        "{\"problem\": \"p\", \"generated_solution\": \"s\"}\n{\"text\": \"t\"}\n{\"problem\": {}, \"generated_solution\": \"s\"}\n");
    r = run_program(dir, "prepare --tokenizer byte --input mixed.jsonl --output x.tok");
    check_int(r.code, 1);
    check_has(r.err, "mixed.jsonl:3: \"problem\" must be a string, got an object");
    ran_free(&r);
    char *x = path_of("x.tok");
    check(!file_exists(x));
    free(x);
    free(here);
}

/* Columns of bytes may hold anything. */
static void what_is_no_text(void)
{
    char *here = realpath("tests/data/not_text.parquet", NULL);
    struct ran r = run_program(dir, "prepare --tokenizer byte --input '%s' --output n.tok --on-bad-line skip", here);
    check_int(r.code, 0);
    check_has(r.err, "n.tok: 2 documents, 12 tokens");
    check_has(r.err, "not_text.parquet: row 2: the text of \"text\" is not UTF-8");
    check_has(r.err, "not_text.parquet: row 3: the text of \"text\" holds a NUL byte");
    check_has(r.err, "not_text.parquet: row 4: a record must have the keys of one form");
    check_has(r.err, "skipped 3 bad lines");
    ran_free(&r);
    free(here);
}

/* A text of 100 MB is a record as any other. */
static void one_long_text(void)
{
    enum { LONG = 100 << 20 };
    char *path = path_of("long.jsonl.zst"), *piece = xmalloc(1 << 20);
    struct err e;
    struct file_out *o;
    for (int i = 0; i < 1 << 20; i++)
        piece[i] = "a line of text\\n"[i % 16];
    check(file_out_open(&o, path, false, &e) && file_out_write(o, "{\"text\": \"", 10, &e));
    for (int i = 0; i < LONG >> 20; i++)
        check(file_out_write(o, piece, 1 << 20, &e));
    check(file_out_write(o, "\"}\n{\"text\": \"b\"}\n", 17, &e) && file_out_commit(o, &e));
    struct ran r = run_program(dir, "prepare --tokenizer byte --input long.jsonl.zst --output long.tok");
    check_msg(r.code == 0, "%s", r.err);
    check_has(r.err,
              "long.tok: 2 documents, 98304005 tokens"); /* two bytes for the newline in JSON, one in the text; 4 of the frames, 1 "b" */
    ran_free(&r);
    free(piece);
    free(path);
}

static void the_published_sets(void)
{
    static const struct {
        const char *parquet, *lines;
        size_t bad;
    } cases[] = {{"opencodereasoning_split_0_like.snappy", "opencodereasoning_split_0_like.jsonl.zst", 0},
                 {"opencodereasoning_split_1_like.snappy", "opencodereasoning_split_1_like.jsonl.zst", 20},
                 {"openmathreasoning_cot_like.gzip", "openmathreasoning_cot_like.jsonl", 0},
                 {"openmathreasoning_cot_like.plain", "openmathreasoning_cot_like.jsonl", 0},
                 {"openmathreasoning_cot_like.snappy", "openmathreasoning_cot_like.jsonl", 0},
                 {"openmathreasoning_cot_like.zstd", "openmathreasoning_cot_like.jsonl", 0},
                 {"openthoughts2_1m_like.snappy", "openthoughts2_1m_like.jsonl.zst", 2},
                 {"openthoughts2_1m_like.v2.zstd", "openthoughts2_1m_like.jsonl.zst", 2}};
    if (!file_exists(SHARED)) {
        test_skip("no ../shared");
        return;
    }
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *parquet = xprintf(SHARED "%s.parquet", cases[i].parquet), *lines = xprintf(SHARED "expected/%s", cases[i].lines);
        struct err e;
        json_t *a = read_path(parquet, NULL, SET_AUTO, false, &e), *b = read_path(lines, NULL, SET_AUTO, false, &e);
        check_msg(a && b && json_equal(a, b), "%s: %s", parquet, e.msg);
        json_decref(a);
        json_decref(b);
        a = read_path(parquet, NULL, SET_AUTO, true, &e);
        b = read_path(lines, NULL, SET_AUTO, true, &e);
        check_msg(a && b && json_equal(a, b) && json_array_size(a) >= 20, "%s, imported: %s", parquet, e.msg);
        size_t k, bad = 0;
        json_t *v;
        json_array_foreach(a, k, v)
        {
            bad += json_is_null(v);
            check(json_is_null(v) || json_array_size(json_object_get(v, "messages")) == 2);
        }
        check_msg(bad == cases[i].bad, "%s: %zu bad, want %zu", parquet, bad, cases[i].bad);
        json_decref(a);
        json_decref(b);
        free(parquet);
        free(lines);
    }
}

static const struct test tests[] = {
    {"each set", each_set},
    {"bad records", bad_records},
    {"whatever it is kept in", whatever_it_is_kept_in},
    {"wrong files", wrong_files},
    {"prepare reads them", prepare_reads_them},
    {"what is no text", what_is_no_text},
    {"one long text", one_long_text},
    {"files like the published sets", the_published_sets},
};

int main(int argc, char **argv)
{
    return folder_main(argc, argv, "test_import", tests, (int)(sizeof tests / sizeof *tests));
}
