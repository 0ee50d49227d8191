/* tests/test_prepare.c - the program prepare from outside: what it writes, what it says, and that bad input leaves nothing behind. */
#include "core/json.h"
#include "data/tokfile.h"
#include "tests/folder.h"
#include "tests/program.h"
#include "tests/test.h"
#include "tests/tiny_spm.h"

#define SHARED "../shared/corpus/"

static void write_bytes(const char *name, const char *text, size_t n)
{
    char *path = path_of(name);
    struct err e = {""};
    struct file_out *o;
    check_msg(file_out_open(&o, path, false, &e) && file_out_write(o, text, n, &e) && file_out_commit(o, &e), "%s", e.msg);
    free(path);
}

static void write_text(const char *name, const char *text)
{
    write_bytes(name, text, strlen(text));
}

static bool exists(const char *name)
{
    char *path = path_of(name);
    bool is = file_exists(path);
    free(path);
    return is;
}

static void remove_file(const char *name)
{
    char *path = path_of(name);
    unlink(path);
    free(path);
}

static void rename_file(const char *from, const char *to)
{
    char *a = path_of(from), *b = path_of(to);
    check(rename(a, b) == 0);
    free(a);
    free(b);
}

/* The digest of a .tok in the test's folder; "" when it does not open. */
static void digest_of(const char *name, char hex[HASH_XXH3_HEX])
{
    char *path = path_of(name);
    struct err e = {""};
    struct tokfile *f;
    hex[0] = '\0';
    bool ok = tokfile_open(&f, path, true, &e);
    check_msg(ok, "%s", e.msg);
    if (ok) {
        strcpy(hex, tokfile_digest(f));
        tokfile_close(f);
    }
    free(path);
}

/* How many lines the text has. */
static int lines_in(const char *text)
{
    int n = 0;
    for (; *text; text++)
        n += *text == '\n';
    return n;
}

/* The program ends with this code, one line that holds the words, and neither output nor rest of one. */
static void check_fails(int code, const char *words, const char *args)
{
    struct ran r = run_program(dir, "prepare %s", args);
    check_msg(r.code == code, "%s: code %d, want %d: %s", args, r.code, code, r.err);
    check_has(r.err, words);
    check_msg(lines_in(r.err) == 1, "%s: more than a line: %s", args, r.err);
    check_str(r.out, "");
    check_msg(!exists("x.tok") && !exists("x.tok.part"), "%s: left a file", args);
    check_msg(!exists("ids.jsonl") && !exists("ids.jsonl.part"), "%s: left a dump", args);
    ran_free(&r);
}

static const char SAMPLE[] = "{\"text\": \"ab\"}\n"
                             "\n"
                             "{\"prompt\": \"q\\n\", \"completion\": \"a\", \"source\": 5}\r\n"
                             "{\"messages\": [{\"role\": \"user\", \"content\": \"q\"}, {\"role\": \"assistant\", \"content\": \"a\"}]}\n"
                             "{\"input_ids\": [5, 6], \"labels\": [-100, 6]}";

static void writes_documents(void)
{
    write_text("a.jsonl", SAMPLE);
    struct ran r = run_program(dir, "prepare --tokenizer byte --input a.jsonl --output x.tok --dump-ids ids.jsonl --template chatml");
    check_msg(r.code == 0, "%s", r.err);
    check_str(r.out, "");
    check_has(r.err, "x.tok: 4 documents");
    check_has(r.err, "shortest 2, half up to 4, 90% 65, 99% 65, longest 65");
    char *path = path_of("ids.jsonl"), *start;
    struct err e;
    char *dump = file_read(path, 1 << 20, NULL, &e);
    start = "{\"input_ids\":[1,100,101,2],\"labels\":[1,100,101,2]}\n"
            "{\"input_ids\":[1,116,13,100,2],\"labels\":[-100,-100,-100,100,2]}\n"
            "{\"input_ids\":[1,";
    check_msg(dump && strncmp(dump, start, strlen(start)) == 0, "%s", dump);
    check_has(dump, "\n{\"input_ids\":[5,6],\"labels\":[-100,6]}\n");
    free(dump);
    free(path);
    path = path_of("x.tok");
    struct tokfile *f = NULL;
    check_msg(tokfile_open(&f, path, true, &e), "%s", e.msg);
    if (f) {
        int32_t ids[5];
        uint8_t learnt[5];
        check_int(tokfile_docs(f), 4);
        check_int(tokfile_tokens(f), 4 + 5 + 65 + 2);
        check_str(tokfile_tokenizer(f), "byte");
        check_has(r.err, tokfile_digest(f));
        tokfile_read(f, 1, 0, 5, ids, learnt);
        check(ids[0] == 1 && ids[1] == 'q' + 3 && ids[2] == '\n' + 3 && ids[3] == 'a' + 3 && ids[4] == 2);
        check(!learnt[0] && !learnt[1] && !learnt[2] && learnt[3] && learnt[4]);
        check_int(tokfile_learnt(f), 3 + 2 + 13 + 1);
        tokfile_close(f);
    }
    free(path);
    ran_free(&r);
    /* What was dumped is what comes in again. */
    char a[HASH_XXH3_HEX], b[HASH_XXH3_HEX];
    r = run_program(dir, "prepare --tokenizer byte --input ids.jsonl --output y.tok");
    check_int(r.code, 0);
    ran_free(&r);
    digest_of("x.tok", a);
    digest_of("y.tok", b);
    check_str(a, b);
    remove_file("x.tok");
    remove_file("ids.jsonl");
}

static void ids_without_tokenizer(void)
{
    write_text("a.jsonl", "{\"input_ids\": [70000, 6]}\n");
    struct ran r = run_program(dir, "prepare --input a.jsonl --output x.tok");
    check_msg(r.code == 0, "%s", r.err);
    ran_free(&r);
    r = run_program(dir, "prepare --show x.tok 5");
    check_int(r.code, 0);
    check_str(r.out, "--- document 1 of 1: 2 tokens, 1 learnt\n\xe2\x9f\xa6"
                     "70000 6\xe2\x9f\xa7\n");
    ran_free(&r);
    r = run_program(dir, "prepare --show x.tok 5 --tokenizer byte");
    check_int(r.code, 1);
    check_has(r.err, "x.tok holds token 70000, but the vocabulary of byte ends at 258");
    ran_free(&r);
    remove_file("x.tok");
}

static void shows(void)
{
    char *model = path_of("tiny.model");
    tiny_spm_write(model, false);
    free(model);
    write_text("a.jsonl", "{\"prompt\": \"q\\n\", \"completion\": \"ab ab\"}\n{\"text\": \"z\"}\n");
    struct ran r = run_program(dir, "prepare --tokenizer tiny.model --input a.jsonl --output x.tok");
    check_msg(r.code == 0, "%s", r.err);
    ran_free(&r);
    r = run_program(dir, "prepare --show x.tok 1 --tokenizer tiny.model");
    check_str(r.out, "--- document 1 of 2: 7 tokens, 3 learnt\n<s> q\n\xe2\x9f\xa6"
                     "ab ab</s>\xe2\x9f\xa7\n");
    ran_free(&r);
    r = run_program(dir, "prepare --show x.tok 1");
    check_str(r.out, "--- document 1 of 2: 7 tokens, 3 learnt\n1 269 286 23 \xe2\x9f\xa6"
                     "297 298 2\xe2\x9f\xa7\n");
    ran_free(&r);
    r = run_program(dir, "prepare --show x.tok 1 --tokenizer byte");
    check_int(r.code, 1);
    check_has(r.err, "was made with another tokenizer");
    ran_free(&r);
    r = run_program(dir, "prepare --show a.jsonl 1");
    check_int(r.code, 1);
    check_int(lines_in(r.err), 1);
    ran_free(&r);
    remove_file("x.tok");
}

/* Thousands of documents of all sizes, over several batches. */
static void write_many(const char *name, int n)
{
    char *path = path_of(name);
    struct err e = {""};
    struct file_out *o;
    bool ok = file_out_open(&o, path, false, &e);
    for (int i = 0; ok && i < n; i++) {
        size_t len = (size_t)(i * 7919 % 613);
        char *text = xmalloc(len + 1);
        for (size_t k = 0; k < len; k++)
            text[k] = "ab hel\n"[(i + k * k) % 7];
        text[len] = '\0';
        json_t *r = i % 3 ? json_pack("{s:s, s:s}", "prompt", "q\n", "completion", text) : json_pack("{s:s}", "text", text);
        ok = json_write_line(o, r, &e);
        json_decref(r);
        free(text);
    }
    check_msg(ok && file_out_commit(o, &e), "%s", e.msg);
    free(path);
}

static void same_for_any_threads(void)
{
    char *model = path_of("tiny.model"), first[HASH_XXH3_HEX] = "", hex[HASH_XXH3_HEX];
    tiny_spm_write(model, false);
    free(model);
    write_many("many.jsonl", 5000);
    write_many("more.jsonl.zst", 3000);
    static const int threads[] = {1, 2, 4, 7};
    for (int i = 0; i < 4; i++) {
        struct ran r = run_program(
            dir, "prepare --tokenizer tiny.model --input many.jsonl --input more.jsonl.zst --output x.tok --threads %d", threads[i]);
        check_msg(r.code == 0, "%s", r.err);
        check_has(r.err, "x.tok: 8000 documents");
        digest_of("x.tok", hex);
        if (i == 0)
            strcpy(first, hex);
        check_str(hex, first);
        ran_free(&r);
    }
    remove_file("x.tok");
    /* The first bad line in order is the one that is told, however many threads there are. */
    char *path = path_of("many.jsonl");
    FILE *f = fopen(path, "a");
    fputs("{\"text\": 1}\n{\"text\": 2}\n{\"text\": }\n", f);
    fclose(f);
    free(path);
    for (int i = 0; i < 4; i++) {
        char *args = xprintf("--tokenizer tiny.model --input many.jsonl --input more.jsonl.zst --output x.tok --threads %d", threads[i]);
        check_fails(1, "many.jsonl:5001: \"text\" must be a string, got an integer", args);
        free(args);
    }
}

static void overlong(void)
{
    write_text("a.jsonl", "{\"text\": \"ab\"}\n{\"prompt\": \"abcdefgh\", \"completion\": \"i\"}\n{\"text\": \"abcdef\"}\n");
    struct ran r = run_program(dir, "prepare --tokenizer byte --input a.jsonl --output x.tok --max-tokens 7");
    check_int(r.code, 0);
    check_has(r.err, "x.tok: 1 documents, 4 tokens, 3 learnt");
    check_has(r.err, "dropped 2 documents of more than 7 tokens");
    ran_free(&r);
    r = run_program(dir, "prepare --tokenizer byte --input a.jsonl --output x.tok --max-tokens 7 --overlong truncate");
    check_int(r.code, 0);
    check_has(r.err, "x.tok: 3 documents, 18 tokens, 9 learnt");
    check_has(r.err, "cut 2 documents to 7 tokens");
    check_has(r.err, "1 documents have no learnt token");
    ran_free(&r);
    r = run_program(dir, "prepare --show x.tok 3 --tokenizer byte");
    check_has(r.out, "--- document 2 of 3: 7 tokens, 0 learnt\n<s>abcdef\n");
    ran_free(&r);
    remove_file("x.tok");
    check_fails(1, "a.jsonl:2: the document has 11 tokens, more than --max-tokens 7",
                "--tokenizer byte --input a.jsonl --output x.tok --max-tokens 7 --overlong error");
    check_fails(1, "no documents: 0 bad lines were skipped, 3 documents dropped as longer than 3 tokens",
                "--tokenizer byte --input a.jsonl --output x.tok --max-tokens 3");
}

static void skips_bad_lines(void)
{
    write_text("a.jsonl", "{\"text\": \"ab\"}\n{\"text\": \"ab\n{}\n{\"input_ids\": [259]}\n{\"text\": \"c\"}\n");
    struct ran r = run_program(dir, "prepare --tokenizer byte --input a.jsonl --output x.tok --on-bad-line skip");
    check_int(r.code, 0);
    check_has(r.err, "x.tok: 2 documents, 7 tokens");
    check_has(r.err, "skipped 3 bad lines");
    check_has(r.err, "skipped a.jsonl:2:");
    check_has(r.err, "skipped a.jsonl:4: token 0 is 259");
    ran_free(&r);
    remove_file("x.tok");
    write_text("a.jsonl", "{}\n");
    struct ran none = run_program(dir, "prepare --tokenizer byte --input a.jsonl --output x.tok --on-bad-line skip");
    check_int(none.code, 1);
    check_has(none.err, "no documents: 1 bad lines were skipped");
    check(!exists("x.tok") && !exists("x.tok.part"));
    ran_free(&none);
}

static void bad_lines(void)
{
    static const char args[] = "--tokenizer byte --input a.jsonl --output x.tok --dump-ids ids.jsonl";
    static const struct {
        const char *line, *words;
    } bad[] = {
        {"{\"text\": \"ab\"", "a.jsonl:2:14: not valid JSON"},
        {"{\"text\": ab}", "a.jsonl:2:10: not valid JSON"},
        {"{\"text\": \"a\", \"text\": \"b\"}", "a.jsonl:2:"},
        {"{\"text\": \"a\"} {\"text\": \"b\"}", "a.jsonl:2:"},
        {"{\"text\": \"\xff\xfe\"}", "a.jsonl:2:10: not valid JSON: unable to decode byte 0xff"},
        {"{\"text\": \"cut \xe2\x82\"}", "a.jsonl:2:"},
        {"{\"text\": \"\\u0000\"}", "a.jsonl:2:"},
        {"[1, 2]", "a.jsonl:2: a record must be a JSON object, got an array"},
        {"{\"question\": \"q\", \"answer\": \"a\"}", "a.jsonl:2: a record must have the keys of one form"},
        {"{\"prompt\": \"q\"}", "a.jsonl:2: key \"completion\" is missing"},
        {"{\"input_ids\": [1, 259]}", "a.jsonl:2: token 1 is 259, but the vocabulary ends at 258"},
        {"{\"input_ids\": [1, -3]}", "a.jsonl:2: input_ids[1] must be a token id, got -3"},
        {"{\"input_ids\": []}", "a.jsonl:2: there is no token in it"},
        {"{\"input_ids\": [1, 2], \"labels\": [1]}", "a.jsonl:2: \"labels\" has 1 entries"},
        {"{\"messages\": []}", "a.jsonl:2: \"messages\" must be an array"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char *text = xprintf("{\"text\": \"good\"}\n%s\n{\"text\": 5}\n", bad[i].line);
        write_text("a.jsonl", text);
        check_fails(1, bad[i].words, args);
        free(text);
    }
    write_bytes("a.jsonl", "{\"text\": \"a\0b\"}\n", 16); /* a NUL in the file */
    check_fails(1, "a.jsonl:1:", args);
}

static void bad_files(void)
{
    static const char args[] = "--tokenizer byte --input a.jsonl --output x.tok";
    write_text("a.jsonl", "");
    check_fails(1, "no documents in a.jsonl, which has no records", args);
    write_text("a.jsonl", "\n  \n\n");
    check_fails(1, "no documents in a.jsonl", args);
    check_fails(1, "missing.jsonl: there is no such file", "--tokenizer byte --input missing.jsonl --output x.tok");
    check_fails(1, "missing.model", "--tokenizer missing.model --input a.jsonl --output x.tok");
    check_fails(1, "no tokenizer in this folder", "--tokenizer . --input a.jsonl --output x.tok");
    write_text("a.jsonl", "{\"text\": \"a\"}\n");
    check_fails(1, "a.jsonl:1: the record holds text, not input_ids: a tokenizer is needed (--tokenizer)",
                "--input a.jsonl --output x.tok");
    check_fails(1, "nowhere/x.tok", "--tokenizer byte --input a.jsonl --output nowhere/x.tok");
    check_fails(1, "nowhere/ids.jsonl", "--tokenizer byte --input a.jsonl --output x.tok --dump-ids nowhere/ids.jsonl");
    check_fails(1, "x.zst", "--tokenizer byte --input a.jsonl --output x.zst");
    rename_file("a.jsonl", "named.jsonl.zst");
    check_fails(1, "named.jsonl.zst is named .zst, but is not a zstd file", "--tokenizer byte --input named.jsonl.zst --output x.tok");
    write_many("whole.jsonl.zst", 2000);
    char *whole = path_of("whole.jsonl.zst"), *cut = path_of("cut.jsonl.zst");
    struct err e;
    size_t n;
    FILE *from = fopen(whole, "rb"), *to = fopen(cut, "wb");
    char *bytes = xmalloc((size_t)file_size(whole));
    n = fread(bytes, 1, (size_t)file_size(whole), from);
    fwrite(bytes, 1, n / 2, to);
    fclose(from);
    fclose(to);
    free(bytes);
    check_fails(1, "cut.jsonl.zst", "--tokenizer byte --input cut.jsonl.zst --output x.tok");
    free(whole);
    free(cut);
    /* An old output stays as it is when a new run fails. */
    write_text("a.jsonl", "{\"text\": \"a\"}\n");
    struct ran r = run_program(dir, "prepare %s", args);
    check_int(r.code, 0);
    ran_free(&r);
    char before[HASH_XXH3_HEX], after[HASH_XXH3_HEX], *tok = path_of("x.tok");
    check(hash_xxh3_file(tok, before, &e));
    write_text("a.jsonl", "{\"text\": \"b\"}\n{\"text\": \n");
    r = run_program(dir, "prepare %s", args);
    check_int(r.code, 1);
    ran_free(&r);
    check(hash_xxh3_file(tok, after, &e));
    check_str(after, before);
    check(!exists("x.tok.part"));
    free(tok);
    remove_file("x.tok");
}

static void usage(void)
{
    write_text("a.jsonl", "{\"text\": \"a\"}\n");
    check_fails(2, "--input A.jsonl is missing", "");
    check_fails(2, "--output X.tok is missing", "--input a.jsonl --tokenizer byte");
    check_fails(2, "max-token", "--input a.jsonl --output x.tok --max-token 5");
    check_fails(2, "html", "--input a.jsonl --output x.tok --template html");
    check_fails(2, "threads", "--input a.jsonl --output x.tok --threads many");
    check_fails(2, "\"b.jsonl\" is no option", "--input a.jsonl b.jsonl --output x.tok");
    check_fails(2, "a.jsonl is an input and an output", "--tokenizer byte --input a.jsonl --output a.jsonl");
    check_fails(2, "name the same file", "--tokenizer byte --input a.jsonl --output x.tok --dump-ids x.tok");
    check_fails(2, "N must be the number of documents to print, got nothing", "--show x.tok");
    check_fails(2, "got -1", "--show x.tok -1");
    check_fails(2, "goes with --tokenizer only", "--show x.tok 1 --input a.jsonl");
    struct ran r = run_program(dir, "prepare --help");
    check_int(r.code, 0);
    check_str(r.err, "");
    static const char *const options[] = {"--tokenizer",  "--input",   "--output",      "--template", "--overlong",
                                          "--max-tokens", "--threads", "--on-bad-line", "--dump-ids", "--show"};
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        check_has(r.out, options[i]);
    ran_free(&r);
}

/* The real corpus: a part of it, with the real tokenizer. */
static void corpus(void)
{
    char *at = realpath(SHARED, NULL);
    if (!at || !file_exists(SHARED "tokenizer/mistral_v3.model")) {
        test_skip("no ../shared/corpus");
        free(at);
        return;
    }
    struct ran r = run_program(
        dir, "prepare --tokenizer %s/tokenizer/mistral_v3.model --input %s/text/cp_algorithms.jsonl.zst --output x.tok", at, at);
    check_msg(r.code == 0, "%s", r.err);
    check_has(r.err, "x.tok: 165 documents, 526370 tokens, 526205 learnt"); /* 526040, the begin and end tokens beside */
    ran_free(&r);
    remove_file("x.tok");
    free(at);
}

static const struct test tests[] = {
    {"writes_documents", writes_documents},
    {"ids_without_tokenizer", ids_without_tokenizer},
    {"shows", shows},
    {"same_for_any_threads", same_for_any_threads},
    {"overlong", overlong},
    {"skips_bad_lines", skips_bad_lines},
    {"bad_lines", bad_lines},
    {"bad_files", bad_files},
    {"usage", usage},
    {"corpus", corpus},
};

int main(int argc, char **argv)
{
    if (!mkdtemp(dir)) {
        perror(dir);
        return 1;
    }
    int rc = test_main(argc, argv, "test_prepare", tests, (int)(sizeof tests / sizeof *tests));
    struct err e;
    if (!file_remove_tree(dir, &e))
        fprintf(stderr, "%s\n", e.msg);
    return rc;
}
