/* tests/test_saved.c - state files: what is saved comes back, anything else is refused by name; what generate does with them. */
#include "core/hash.h"
#include "core/rng.h"
#include "data/tokenizer.h"
#include "infer/saved.h"
#include "model/state.h"
#include "tests/folder.h"
#include "tests/model_files.h"
#include "tests/program.h"
#include <sys/stat.h>

static const char model[] = "0123456789abcdef0123456789abcdef";

static struct saved example(const struct model_config *c, uint64_t seed)
{
    struct saved s;
    saved_make(&s, c, (size_t)(c->vocab + 31) / 32, (size_t)state_slot_bytes(c, F32, F32));
    s.tail = 1 + (int64_t)rng_below(seed, 0, 0, (uint64_t)c->chunk);
    s.tokens = s.tail + c->chunk * (int64_t)rng_below(seed, 0, 1, 1u << 30);
    s.chain = rng_u64(seed, 0, 2);
    for (int64_t i = 0; i < s.tail; i++)
        s.ids[i] = (int32_t)rng_below(seed, 1, (uint64_t)i, (uint64_t)c->vocab);
    for (size_t i = 0; i < s.words; i++)
        s.seen[i] = (uint32_t)rng_u64(seed, 2, i);
    for (size_t i = 0; i < s.bytes; i++)
        ((char *)s.state)[i] = (char)rng_u64(seed, 3, i);
    return s;
}

static void write_state(struct saved *s, const char *path, const struct model_config *c)
{
    struct err e = {""};
    struct file_out *out;
    check_msg(saved_write(&out, s, path, c, F32, model, &e) && file_out_commit(out, &e), "%s", e.msg);
}

static void round_trip(void)
{
    struct model_config c = small_config(2, false);
    char *path = path_of("a.state");
    int64_t bytes = 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct err e = {""};
        struct saved a = example(&c, seed), b;
        write_state(&a, path, &c);
        check_msg(saved_read(&b, path, &c, F32, model, &e), "%s", e.msg);
        check(a.tokens == b.tokens && a.tail == b.tail && a.chain == b.chain && a.words == b.words && a.bytes == b.bytes);
        check(memcmp(a.ids, b.ids, (size_t)a.tail * sizeof *a.ids) == 0 && memcmp(a.seen, b.seen, a.words * sizeof *a.seen) == 0);
        check(memcmp(a.state, b.state, a.bytes) == 0);
        check_str(a.digest, b.digest);
        check(seed == 0 || file_size(path) == bytes);
        bytes = file_size(path);
        saved_free(&a);
        saved_free(&b);
    }
    free(path);
}

static void refuse(const char *path, const struct model_config *c, enum dtype type, const char *of, const char *says)
{
    struct err e = {""};
    struct saved b;
    check_msg(!saved_read(&b, path, c, type, of, &e), "%s", says);
    check_has(e.msg, says);
    check_has(e.msg, path);
    check_msg(!strchr(e.msg, '\n'), "%s", e.msg);
    saved_free(&b);
}

static void write_bytes(const char *path, const char *text, size_t n)
{
    FILE *f = fopen(path, "wb");
    check(f && fwrite(text, 1, n, f) == n && fclose(f) == 0);
}

static void damaged(void)
{
    struct model_config c = tiny_config(), other = tiny_config();
    char *path = path_of("b.state"), *bad = path_of("bad.state");
    struct err e = {""};
    struct saved a = example(&c, 1);
    write_state(&a, path, &c);
    refuse(path, &c, F32, "fedcba9876543210fedcba9876543210", "the state of another model");
    refuse(path, &c, BF16, model, "saved with --dtype f32, but this run's is bf16; give --dtype f32");
    other.layers++;
    refuse(path, &other, F32, model, "but with --dtype f32 this model's take");
    refuse("/nonexistent.state", &c, F32, model, "No such file");
    size_t n;
    char *text = file_read(path, 1 << 24, &n, &e);
    must(text);
    for (size_t cut = 0; cut < n; cut += cut < 600 ? 1 : 97) { /* any part of it */
        write_bytes(bad, text, cut);
        refuse(bad, &c, F32, model, "");
    }
    write_bytes(bad, text, n - 1);
    refuse(bad, &c, F32, model, "were saved: the file is cut short or damaged");
    int64_t unseen = 0;
    for (size_t at = 0; at < n; at += at < 600 || at + 40 > n ? 1 : 61) { /* any byte of it */
        struct saved b;
        text[at] ^= 1;
        write_bytes(bad, text, n);
        unseen += saved_read(&b, bad, &c, F32, model, &e);
        text[at] ^= 1;
        saved_free(&b);
    }
    check_int(unseen, 1); /* the newline at the end */
    static const char *const strangers[] = {"", "{}", "state", "{\"promptcot_mamba_state\":1}"};
    for (int i = 0; i < 4; i++) {
        char stranger[2000] = "";
        memset(stranger, ' ', sizeof stranger);
        memcpy(stranger, strangers[i], strlen(strangers[i]));
        write_bytes(bad, stranger, sizeof stranger);
        refuse(bad, &c, F32, model, "this is no state file");
    }
    /* A version to come, with everything else right. */
    char *version = strstr(text, "state\":1");
    must(version);
    version[7] = '2';
    write_bytes(bad, text, n);
    refuse(bad, &c, F32, model, "version 2, this program reads version 1");
    free(text);
    free(path);
    free(bad);
    saved_free(&a);
}

static void make_model(const char *name, uint64_t seed)
{
    struct param_table t;
    struct err e = {""};
    struct model_config c = small_config(2, false);
    params_plan(&t, &c);
    struct tensors w = random_weights(&t, &c, F32, 3, seed);
    char *path = path_of(name);
    save_model(path, &c, w);
    struct tokenizer *tok;
    check_msg(tokenizer_open(&tok, "byte", &e) && tokenizer_save(tok, path, &e), "%s", e.msg);
    tokenizer_close(tok);
    free(path);
    dev_free(w.base);
    params_free(&t);
}

/* The records of the answers. */
static json_t *generated(const char *args)
{
    struct ran r = run_program(dir, "generate --model bytes --exact --output out.jsonl %s", args);
    check_msg(r.code == 0, "%s: exit code %d: %s", args, r.code, r.err);
    ran_free(&r);
    struct err e = {""};
    char *path = path_of("out.jsonl");
    json_t *all = json_load_lines(path, &e);
    check_msg(all, "%s", e.msg);
    free(path);
    return all;
}

/* Field of the first record. */
static const json_t *field(json_t *all, const char *key)
{
    return json_object_get(json_array_get(all, 0), key);
}

static void same(const json_t *a, const json_t *b, const char *what)
{
    char *x = json_dumps(a, JSON_ENCODE_ANY), *y = json_dumps(b, JSON_ENCODE_ANY);
    check_msg(a && b && json_equal(a, b), "%s: %.200s and %.200s", what, x ? x : "nothing", y ? y : "nothing");
    free(x);
    free(y);
}

/* Text that goes on from a file: tokens, texts, log-probabilities and penalties of the whole text; many turns, each saved. */
static void continued(void)
{
    make_model("bytes", 1);
    put("whole.jsonl", "{\"id\":1,\"prompt\":\"The quick brown fox jumps over the lazy dog, and then it sleeps.\"}\n");
    put("first.jsonl", "{\"id\":1,\"prompt\":\"The quick brown fox jumps over the lazy\"}\n");
    put("second.jsonl", "{\"id\":1,\"prompt\":\" dog, and then\"}\n");
    put("third.jsonl", "{\"id\":1,\"prompt\":\" it sleeps.\"}\n{\"id\":2,\"prompt\":\" it barks.\"}\n");
    put("nothing.jsonl", "{\"id\":1,\"prompt\":\"\"}\n");
#define DRAW "--temperature 1 --repetition-penalty 1.3 --max-new-tokens 40 --prompt-logprobs --seed 3 "
    json_t *whole = generated(DRAW "--input whole.jsonl"), *first = generated(DRAW "--input first.jsonl --save-state 1.state");
    json_t *second = generated(DRAW "--input second.jsonl --load-state 1.state --save-state 2.state");
    json_t *third = generated(DRAW "--input third.jsonl --load-state 2.state");
    check_int(json_array_size(third), 2);
    same(field(third, "output_ids"), field(whole, "output_ids"), "output_ids");
    same(field(third, "text"), field(whole, "text"), "text");
    check(!json_equal(json_object_get(json_array_get(third, 1), "output_ids"), field(whole, "output_ids")));
    /* Of a continuation every token has some in front of it; the three lists are the whole's. */
    json_t *joined = json_array();
    json_array_extend(joined, (json_t *)field(first, "prompt_logprobs"));
    check_int(json_array_size(joined), 39);
    json_array_extend(joined, (json_t *)field(second, "prompt_logprobs"));
    json_array_extend(joined, (json_t *)field(third, "prompt_logprobs"));
    same(joined, field(whole, "prompt_logprobs"), "prompt_logprobs");
    /* An empty continuation is the text itself. */
    json_t *again = generated(DRAW "--input nothing.jsonl --load-state 1.state");
    same(field(again, "output_ids"), field(first, "output_ids"), "the text itself");
    json_decref(again);
    /* Answers in the journal's way: the state is saved though every answer is there. */
    char *state = path_of("1.state"), *once = NULL, *twice = NULL;
    size_t n1, n2;
    struct err e = {""};
    once = file_read(state, 1 << 24, &n1, &e);
    must(once && unlink(state) == 0);
    json_decref(generated("--input first.jsonl --save-state 1.state --max-new-tokens 0"));
    twice = file_read(state, 1 << 24, &n2, &e);
    check(twice && n1 == n2 && memcmp(once, twice, n1) == 0);
    /* A state is the same bytes whatever the way to it. */
    json_decref(generated("--input whole.jsonl --save-state 3.state --max-new-tokens 0"));
    put("rest.jsonl", "{\"id\":1,\"prompt\":\" it sleeps.\"}\n");
    json_decref(generated("--input rest.jsonl --load-state 2.state --save-state 4.state --max-new-tokens 0"));
    free(once);
    free(twice);
    char *three = path_of("3.state"), *four = path_of("4.state");
    once = file_read(three, 1 << 24, &n1, &e);
    twice = file_read(four, 1 << 24, &n2, &e);
    check(once && twice && n1 == n2 && memcmp(once, twice, n1) == 0);
    free(once);
    free(twice);
    free(three);
    free(four);
    free(state);
    json_decref(joined);
    json_decref(whole);
    json_decref(first);
    json_decref(second);
    json_decref(third);
}

static void refused(void)
{
    make_model("bytes", 1);
    make_model("other", 2);
    put("one.jsonl", "{\"id\":1,\"prompt\":\"one\"}\n");
    put("two.jsonl", "{\"id\":1,\"prompt\":\"one\"}\n{\"id\":2,\"prompt\":\"two\"}\n");
    json_decref(generated("--input one.jsonl --save-state one.state --max-new-tokens 0"));
    static const char *const cases[][2] = {
        {"--model bytes --input two.jsonl --save-state no.state", "--save-state keeps the state after one prompt, but two.jsonl holds 2"},
        {"--model other --input one.jsonl --load-state one.state", "one.state: the state of another model"},
        {"--model bytes --input one.jsonl --load-state one.jsonl", "one.jsonl: this is no state file"},
        {"--model bytes --input one.jsonl --load-state none.state", "none.state"},
        {"--model bytes --input one.jsonl --save-state no/such/folder.state", "no/such/folder.state"},
    };
    static const char *const usage[][2] = {
        {"--save-state no.state.zst", "a state file is not compressed"},
        {"--save-state never.jsonl", "--output never.jsonl is the state file's name, too"},
        {"--load-state never.jsonl", "--output never.jsonl is the state file's name, too"},
    };
    char *out = path_of("never.jsonl"), *state = path_of("no.state");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ran r = run_program(dir, "generate --output never.jsonl %s", cases[i][0]);
        check_msg(r.code == 1, "%s: exit code %d", cases[i][0], r.code);
        check_has(r.err, cases[i][1]);
        check(!file_exists(out) && !file_exists(state));
        ran_free(&r);
    }
    for (size_t i = 0; i < sizeof usage / sizeof *usage; i++) {
        struct ran r = run_program(dir, "generate --model bytes --input one.jsonl --output never.jsonl %s", usage[i][0]);
        check_msg(r.code == 2, "%s: exit code %d", usage[i][0], r.code);
        check_has(r.err, usage[i][1]);
        check(!file_exists(out));
        ran_free(&r);
    }
    free(out);
    free(state);
}

/* A turn of a conversation that keeps its state under one name: it may fail or be killed at any moment and is run again from where it began. */
static void one_name(void)
{
    struct err e = {""};
    size_t n1, n2;
    char *state = path_of("turn.state"), *part = path_of("turn.state.part");
    make_model("bytes", 1);
    put("one.jsonl", "{\"id\":1,\"prompt\":\"The quick brown fox\"}\n");
    put("two.jsonl", "{\"id\":1,\"prompt\":\" jumps\"}\n");
    json_decref(generated("--input one.jsonl --save-state turn.state --max-new-tokens 0"));
    char *before = file_read(state, 1 << 24, &n1, &e);
    struct ran r = run_program(dir, "generate --model bytes --exact --input two.jsonl --output /dev/full --load-state turn.state "
                                    "--save-state turn.state --max-new-tokens 3");
    check_int(r.code, 1);
    ran_free(&r);
    char *after = file_read(state, 1 << 24, &n2, &e);
    check(before && after && n1 == n2 && memcmp(before, after, n1) == 0 && !file_exists(part));
    free(after);
    json_decref(generated("--input two.jsonl --load-state turn.state --save-state turn.state --max-new-tokens 3"));
    after = file_read(state, 1 << 24, &n2, &e);
    check(before && after && n1 == n2 && memcmp(before, after, n1) != 0);
    free(before);
    free(after);
    free(state);
    free(part);
}

static const struct test tests[] = {
    {"what is saved comes back", round_trip},
    {"damaged, cut and foreign files", damaged},
    {"texts go on from a file as if read whole", continued},
    {"generate refuses", refused},
    {"a state that is loaded and saved under one name", one_name},
};

int main(int argc, char **argv)
{
    struct err e;
    if (!dev_open(0, &e))
        die("%s", e.msg);
    setenv("OMP_WAIT_POLICY", "passive", 0);
    return folder_main(argc, argv, "test_saved", tests, (int)(sizeof tests / sizeof tests[0]));
}
