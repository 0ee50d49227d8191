/* tests/test_generate.c - the program generate from outside: what it answers, on what that depends, and that bad input leaves nothing. */
#include "core/rng.h"
#include "data/tokenizer.h"
#include "infer/journal.h"
#include "tests/folder.h"
#include "tests/model_files.h"
#include "tests/program.h"
#include "tests/test.h"
#include <signal.h>
#include <sys/stat.h>

#define GOLDEN "../shared/golden/"

static char *read_text(const char *name)
{
    struct err e = {""};
    char *path = path_of(name), *text = file_read(path, (size_t)1 << 28, NULL, &e);
    check_msg(text, "%s", e.msg);
    free(path);
    return text ? text : xstrdup("");
}

/* The records of a .jsonl in the test's folder. */
static json_t *read_records(const char *name)
{
    struct err e = {""};
    char *path = path_of(name);
    json_t *all = json_load_lines(path, &e);
    check_msg(all, "%s", e.msg);
    free(path);
    return all;
}

/* A folder with a random model; tokenizer: also the byte tokenizer. Tokens of ASCII text are likelier than others. */
static void make_model(const char *name, struct model_config c, bool tokenizer, uint64_t seed)
{
    struct param_table t;
    struct err e = {""};
    params_plan(&t, &c);
    struct tensors w = random_weights(&t, &c, F32, 3, seed);
    if (!c.tied) {
        mat head = tensors_head(w);
        for (int64_t i = 0; i < c.vocab; i++) { /* 3 + byte */
            float *row = xmalloc(sizeof(float) * (size_t)c.hidden);
            dev_get(row, (float *)head.data + i * c.hidden, sizeof(float) * (size_t)c.hidden);
            for (int64_t j = 0; j < c.hidden; j++)
                row[j] *= i >= 3 + ' ' && i < 3 + 127 ? 6.0f : 0.0f;
            dev_put((float *)head.data + i * c.hidden, row, sizeof(float) * (size_t)c.hidden);
            free(row);
        }
    }
    char *path = path_of(name);
    save_model(path, &c, w);
    if (tokenizer) {
        struct tokenizer *tok;
        check_msg(tokenizer_open(&tok, "byte", &e) && tokenizer_save(tok, path, &e), "%s", e.msg);
        tokenizer_close(tok);
    }
    free(path);
    dev_free(w.base);
    params_free(&t);
}

static void write_ids_prompts(const char *name, int n, bool backwards)
{
    char *text = xstrdup("");
    for (int k = 0; k < n; k++) {
        int i = backwards ? n - 1 - k : k;
        char *longer = xprintf("%s{\"id\":\"p%d\",\"input_ids\":[1", text, i);
        for (uint64_t j = 0; j < rng_below(3, (uint64_t)i, 0, 60); j++) {
            char *more = xprintf("%s,%d", longer, (int)rng_below(4, (uint64_t)i, j, 256) + 3);
            free(longer);
            longer = more;
        }
        free(text);
        text = xprintf("%s]}\n", longer);
        free(longer);
    }
    put(name, text);
    free(text);
}

static void ran_well(struct ran r)
{
    check_msg(r.code == 0, "exit code %d: %s", r.code, r.err);
    check_str(r.out, "");
    ran_free(&r);
}

static void batches_and_order(void)
{
    make_model("bare", small_config(2, false), false, 1);
    write_ids_prompts("many.jsonl", 11, false);
    write_ids_prompts("back.jsonl", 11, true);
#define SAMPLED                                                                                                                            \
    "generate --model bare --dtype f32 --samples 3 --max-new-tokens 30 --temperature 1 --top-p 0.95 --repetition-penalty 1.1 --prompt-logprobs"
    ran_well(run_program(dir, SAMPLED " --input many.jsonl --output b1.jsonl --batch 1"));
    ran_well(run_program(dir, SAMPLED " --input many.jsonl --output b5.jsonl --batch 5"));
    ran_well(run_program(dir, SAMPLED " --input many.jsonl --output b8.jsonl --batch=8"));
    ran_well(run_program(dir, SAMPLED " --input many.jsonl --output b0.jsonl"));
    ran_well(run_program(dir, SAMPLED " --input many.jsonl --output exact.jsonl --exact"));
    ran_well(run_program(dir, SAMPLED " --input back.jsonl --output back_a.jsonl --batch 4 --exact"));
    ran_well(run_program(dir, SAMPLED " --input many.jsonl --output seed.jsonl --seed 1"));
    char *one = read_text("b1.jsonl"), *five = read_text("b5.jsonl"), *eight = read_text("b8.jsonl"), *any = read_text("b0.jsonl");
    check(!strcmp(one, five) && !strcmp(one, eight) && !strcmp(one, any));
    free(one);
    free(five);
    free(eight);
    free(any);
    json_t *a = read_records("exact.jsonl"), *b = read_records("back_a.jsonl"), *c = read_records("seed.jsonl");
    check_int(json_array_size(a), 33);
    check_int(json_array_size(b), 33);
    int same_sample = 0, same_seed = 0;
    for (size_t i = 0; i < json_array_size(a); i++) {
        json_t *x = json_array_get(a, i), *y = json_array_get(b, (10 - i / 3) * 3 + i % 3);
        char *id = xprintf("p%zu", i / 3);
        check_str(json_string_value(json_object_get(x, "id")), id);
        check_int(json_integer_value(json_object_get(x, "sample")), i % 3);
        check_str(json_string_value(json_object_get(x, "finish_reason")), "length");
        check_int(json_array_size(json_object_get(x, "output_ids")), 30);
        check(!json_object_get(x, "text")); /* no tokenizer */
        check_msg(json_equal(x, y), "%s differs when the file is turned round", id);
        free(id);
        if (i % 3)
            same_sample += json_equal(json_object_get(x, "output_ids"), json_object_get(json_array_get(a, i - 1), "output_ids"));
        same_seed += json_equal(json_object_get(x, "output_ids"), json_object_get(json_array_get(c, i), "output_ids"));
    }
    check_int(same_sample, 0);
    check_int(same_seed, 0);
    json_decref(a);
    json_decref(b);
    json_decref(c);
}

static void no_new_tokens(void)
{
    make_model("bytes", small_config(1, false), true, 2);
    put("two.jsonl", "{\"id\":7,\"prompt\":\"How many?\"}\n\n{\"id\":\"b\",\"prompt\":\"\",\"answer\":\"ignored\"}\n");
    ran_well(
        run_program(dir, "generate --model bytes --input two.jsonl --output none.jsonl --max-new-tokens 0 --prompt-logprobs --samples 2"));
    ran_well(run_program(dir, "generate --model bytes --input two.jsonl --output some.jsonl --max-new-tokens 5 --prompt-logprobs"));
    ran_well(run_program(dir, "generate --model bytes --input two.jsonl --output plain.jsonl --max-new-tokens 5"));
    json_t *a = read_records("none.jsonl"), *b = read_records("some.jsonl"), *c = read_records("plain.jsonl");
    check_int(json_array_size(a), 4);
    for (size_t i = 0; i < 4; i++) {
        json_t *x = json_array_get(a, i), *y = json_array_get(b, i / 2), *logprobs = json_object_get(x, "prompt_logprobs");
        check_int(json_integer_value(json_object_get(x, "sample")), i % 2);
        check_str(json_string_value(json_object_get(x, "text")), "");
        check_int(json_array_size(json_object_get(x, "output_ids")), 0);
        check_str(json_string_value(json_object_get(x, "finish_reason")), "length");
        check(json_is_array(logprobs));
        check_int(json_array_size(logprobs), i < 2 ? 9 : 0); /* <s> and nine bytes; <s> alone */
        check(json_equal(logprobs, json_object_get(y, "prompt_logprobs")));
        for (size_t k = 0; k < json_array_size(logprobs); k++)
            check(json_real_value(json_array_get(logprobs, k)) < 0);
    }
    check_int(json_integer_value(json_object_get(json_array_get(a, 0), "id")), 7);
    check(!json_object_get(json_array_get(c, 0), "prompt_logprobs"));
    check(json_equal(json_object_get(json_array_get(c, 0), "text"), json_object_get(json_array_get(b, 0), "text")));
    json_decref(a);
    json_decref(b);
    json_decref(c);
}

static void compressed(void)
{
    make_model("bytes", small_config(1, false), true, 2);
    put("p.jsonl.zst", "{\"id\":1,\"prompt\":\"one\"}\n{\"id\":2,\"prompt\":\"two\"}\n");
    put("p.jsonl", "{\"id\":1,\"prompt\":\"one\"}\n{\"id\":2,\"prompt\":\"two\"}\n");
    ran_well(run_program(dir, "generate --model bytes --input p.jsonl.zst --output a.jsonl.zst --max-new-tokens 9"));
    ran_well(run_program(dir, "generate --model bytes --input p.jsonl --output a.jsonl --max-new-tokens 9"));
    char *plain = path_of("a.jsonl"), *packed = path_of("a.jsonl.zst");
    char *a = read_text("a.jsonl"), *b = read_text("a.jsonl.zst");
    check(*a && !strcmp(a, b));
    check(file_size(packed) > 0 && file_size(packed) != file_size(plain));
    free(a);
    free(b);
    free(plain);
    free(packed);
}

/* Asks for the answer to a prompt with a stop string in the middle of what it is without. */
static void stops(void)
{
    make_model("bytes", small_config(1, false), true, 3);
    put("s.jsonl", "{\"id\":1,\"prompt\":\"Count: \"}\n");
#define LONG "generate --model bytes --input s.jsonl --temperature 1 --top-k 20 --max-new-tokens 60"
    ran_well(run_program(dir, LONG " --output whole.jsonl"));
    json_t *whole = read_records("whole.jsonl");
    const char *text = json_string_value(json_object_get(json_array_get(whole, 0), "text"));
    size_t n = strlen(text);
    check_msg(n >= 50, "\"%s\"", text);
    for (size_t at = 0; at + 40 < n; at += 13) {
        char stop[4] = {text[at + 20], text[at + 21], text[at + 22], 0}, quoted[32] = "", *q = quoted;
        for (int i = 0; i < 3; i++) { /* for the shell */
            if (stop[i] == '\'')
                q = stpcpy(q, "'\\''");
            else
                *q++ = stop[i], *q = 0;
        }
        const char *first = strstr(text, stop);
        ran_well(run_program(dir, LONG " --output stop.jsonl --stop never --stop='%s'", quoted));
        json_t *got = read_records("stop.jsonl"), *x = json_array_get(got, 0), *ids = json_object_get(x, "output_ids");
        const char *cut = json_string_value(json_object_get(x, "text"));
        check_str(json_string_value(json_object_get(x, "finish_reason")), "stop");
        check_msg(strlen(cut) == (size_t)(first - text) && !strncmp(cut, text, strlen(cut)), "\"%s\" of \"%s\"", cut, text);
        check_int(json_array_size(ids), first - text + 3); /* a token a byte: up to the one that completed it */
        for (size_t i = 0; i < json_array_size(ids); i++)
            check_int(json_integer_value(json_array_get(ids, i)), 3 + text[i]);
        json_decref(got);
    }
    json_decref(whole);
}

/* An answer that repeats itself ends where the option says, and not without it. */
static void loops(void)
{
    make_model("bytes", small_config(1, false), true, 2);
    put("l.jsonl", "{\"id\":1,\"prompt\":\"round and round\"}\n{\"id\":2,\"prompt\":\"and on\"}\n");
    /* The most probable tokens, tokens that occurred made likelier still: soon one and the same. */
#define ROUND "generate --model bytes --input l.jsonl --max-new-tokens 400 --repetition-penalty 0.02"
    ran_well(run_program(dir, ROUND " --output all.jsonl"));
    ran_well(run_program(dir, ROUND " --output loop.jsonl --loop-tokens 40"));
    json_t *all = read_records("all.jsonl"), *cut = read_records("loop.jsonl");
    check_int(json_array_size(cut), 2);
    for (size_t i = 0; i < json_array_size(cut); i++) {
        json_t *x = json_array_get(cut, i), *ids = json_object_get(x, "output_ids"),
               *whole = json_object_get(json_array_get(all, i), "output_ids");
        size_t n = json_array_size(ids), period = 0;
        check_str(json_string_value(json_object_get(json_array_get(all, i), "finish_reason")), "length");
        check_str(json_string_value(json_object_get(x, "finish_reason")), "loop");
        check(n >= 40 && n < json_array_size(whole));
        for (size_t p = 1; p <= 10 && !period; p++) { /* infer/loops.h */
            period = p;
            for (size_t k = n - 40 + p; k < n; k++)
                if (!json_equal(json_array_get(ids, k), json_array_get(ids, k - p)))
                    period = 0;
        }
        check(period > 0);
        for (size_t k = 0; k < n; k++)
            check(json_equal(json_array_get(ids, k), json_array_get(whole, k)));
        check_int(strlen(json_string_value(json_object_get(x, "text"))) > 0, 1);
    }
    json_decref(all);
    json_decref(cut);
}

/* What all prompts begin with is read once; the last line says how much was read. */
static void common_beginning(void)
{
    make_model("bare", small_config(2, false), false, 1);
    char text[4000], *at = text;
    for (int i = 0; i < 5; i++) {
        at += sprintf(at, "{\"id\":%d,\"input_ids\":[1", i);
        for (int k = 0; k < 100; k++)
            at += sprintf(at, ",%d", 10 + k);
        at += sprintf(at, ",%d,7]}\n", 20 + i);
    }
    put("c.jsonl", text);
    struct ran r = run_program(dir, "generate --model bare --input c.jsonl --output c.out --max-new-tokens 3");
    check_int(r.code, 0);
    /* 6 chunks of 16, then 6 more tokens of each in one pass, the last token apart. */
    check_has(r.err, "5 prompts, 5 samples; read 126 tokens");
    check_has(r.err, "in 1 passes, 96 of them once for all prompts; first token after ");
    ran_free(&r);
    /* The same with log-probabilities; a prompt of another kind in front, and every one is read whole. */
    char *other = xprintf("{\"id\":\"x\",\"input_ids\":[9,8]}\n%s", text);
    put("d.jsonl", other);
    free(other);
    r = run_program(dir, "generate --model bare --input c.jsonl --output c.out --max-new-tokens 3 --prompt-logprobs --exact");
    check_has(r.err, "5 prompts, 5 samples; read 126 tokens");
    ran_free(&r);
    r = run_program(dir, "generate --model bare --input d.jsonl --output d.out --max-new-tokens 3 --prompt-logprobs --exact");
    check_has(r.err, "6 prompts, 6 samples; read 511 tokens");
    ran_free(&r);
    json_t *a = read_records("c.out"), *b = read_records("d.out");
    for (size_t i = 0; i < 5; i++) {
        check(json_equal(json_array_get(a, i), json_array_get(b, i + 1)));
        check_int(json_array_size(json_object_get(json_array_get(a, i), "prompt_logprobs")), 102);
    }
    json_decref(a);
    json_decref(b);
}

static void end_tokens(void)
{
    struct model_config c = small_config(2, false);
    c.eos = -1;
    make_model("bare", c, false, 4);
    put("e.jsonl", "{\"id\":1,\"input_ids\":[1,50,60]}\n");
#define SHORT "generate --input e.jsonl --max-new-tokens 20 --temperature 1 --seed 5"
    ran_well(run_program(dir, SHORT " --model bare --output free.jsonl"));
    json_t *all = read_records("free.jsonl"), *ids = json_object_get(json_array_get(all, 0), "output_ids");
    check_int(json_array_size(ids), 20);
    int32_t end = (int32_t)json_integer_value(json_array_get(ids, 7));
    size_t first = 0;
    while (json_integer_value(json_array_get(ids, first)) != end)
        first++;
    /* config.json's end token ends an answer and is its last id; */
    c.eos = end;
    make_model("ends", c, false, 4);
    ran_well(run_program(dir, SHORT " --model ends --output ends.jsonl"));
    json_t *got = read_records("ends.jsonl"), *x = json_array_get(got, 0);
    check_int(json_array_size(json_object_get(x, "output_ids")), first + 1);
    check_int(json_integer_value(json_array_get(json_object_get(x, "output_ids"), first)), end);
    check_str(json_string_value(json_object_get(x, "finish_reason")), "stop");
    json_decref(got);
    /* but the tokenizer's, </s>, is right where both are there. */
    make_model("both", c, true, 4);
    ran_well(run_program(dir, SHORT " --model both --output both.jsonl"));
    got = read_records("both.jsonl");
    x = json_array_get(got, 0);
    check(json_equal(json_object_get(x, "output_ids"), ids));
    check_str(json_string_value(json_object_get(x, "finish_reason")), "length");
    check_int(strlen(json_string_value(json_object_get(x, "text"))), 20);
    json_decref(got);
    json_decref(all);
}

static void templates(void)
{
    make_model("bytes", small_config(1, false), true, 5);
    put("m.jsonl", "{\"id\":1,\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}\n");
    put("t.jsonl", "{\"id\":1,\"prompt\":\"<|im_start|>user\\nHi<|im_end|>\\n<|im_start|>assistant\\n\"}\n");
    put("u.jsonl", "{\"id\":1,\"prompt\":\"Hi\\n\"}\n");
#define TEN "generate --model bytes --temperature 1 --max-new-tokens 10"
    ran_well(run_program(dir, TEN " --input m.jsonl --output m.out --template chatml"));
    ran_well(run_program(dir, TEN " --input t.jsonl --output t.out"));
    ran_well(run_program(dir, TEN " --input m.jsonl --output m2.out"));
    ran_well(run_program(dir, TEN " --input u.jsonl --output u.out"));
    char *m = read_text("m.out"), *t = read_text("t.out"), *m2 = read_text("m2.out"), *u = read_text("u.out");
    check_str(m, t);
    check_str(m2, u);
    check(strcmp(m, m2) != 0);
    free(m);
    free(t);
    free(m2);
    free(u);
}

static void memory(void)
{
    struct model_config c = small_config(1, false);
    c.state = 128; /* 440 KiB a sequence */
    c.heads = 16;
    make_model("big", c, false, 6);
    write_ids_prompts("many.jsonl", 40, false);
    struct ran r = run_program(dir, "generate --model big --input many.jsonl --output limited.jsonl --memory-gib 0.002 --max-new-tokens 3");
    check_int(r.code, 1);
    check_has(r.err, "generate: this model needs at least ");
    check_has(r.err, "--memory-gib allows 0.002: raise it");
    char *out = path_of("limited.jsonl"), *part = path_of("limited.jsonl.part");
    check(!file_exists(out) && !file_exists(part));
    double least = 0;
    check_int(sscanf(strstr(r.err, "at least "), "at least %lf", &least), 1);
    ran_free(&r);
    /* A little more than the least is enough for a few sequences. */
    r = run_program(dir, "generate --model big --input many.jsonl --output limited.jsonl --memory-gib %f --max-new-tokens 3",
                    least + 0.006);
    check_int(r.code, 0);
    check_has(r.err, "of up to 40 sequences at a time in ");
    check(!strstr(r.err, "40 of up to 40"));
    ran_free(&r);
    ran_well(run_program(dir, "generate --model big --input many.jsonl --output n.out --max-new-tokens 3"));
    char *a = read_text("limited.jsonl"), *b = read_text("n.out");
    check_str(a, b);
    free(a);
    free(b);
    free(out);
    free(part);
}

static void bad_input(void)
{
    struct model_config c = small_config(1, false);
    make_model("bare", c, false, 7);
    make_model("bytes", c, true, 7);
    make_model("wrong", c, false, 7);
    c.hidden = 40;
    make_model("other", c, false, 7);
    c = small_config(1, false);
    c.vocab = 100;
    make_model("few", c, true, 7);
    char *folders = xprintf("cd %s && cp other/config.json wrong/ && mkdir -p empty noweights cut && cp bare/config.json noweights/ && "
                            "cp bare/config.json cut/ && head -c 20000 bare/model.safetensors > cut/model.safetensors",
                            dir);
    must(system(folders) == 0);
    free(folders);
    put("good.jsonl", "{\"id\":1,\"input_ids\":[1,2]}\n");
    static const struct {
        const char *name, *text, *args; /* args NULL: the bare model */
        const char *says[3];
    } cases[] = {
        {"syntax.jsonl", "{\"id\":1,\"input_ids\":[1]}\n{\"id\":2,\"input_ids\":[1,}\n", NULL, {"syntax.jsonl:2:24: not valid JSON"}},
        {"noid.jsonl", "{\"input_ids\":[1]}\n", NULL, {"noid.jsonl:1: \"id\" must be a string or an integer, got nothing"}},
        {"badid.jsonl", "{\"id\":[1],\"input_ids\":[1]}\n", NULL, {"badid.jsonl:1: \"id\" must be a string or an integer, got "}},
        {"twice.jsonl",
         "{\"id\":1,\"input_ids\":[1]}\n{\"id\":\"1\",\"input_ids\":[1]}\n",
         NULL,
         {"twice.jsonl:2: the id \"1\" is in line 1 already"}},
        {"nothing.jsonl", "{\"id\":1}\n", NULL, {"nothing.jsonl:1: ", "prompt, messages, input_ids", "\"id\""}},
        {"beyond.jsonl", "{\"id\":1,\"input_ids\":[1,259]}\n", NULL, {"beyond.jsonl:1: token 1 is 259", "ends at 258"}},
        {"negative.jsonl", "{\"id\":1,\"input_ids\":[-1]}\n", NULL, {"negative.jsonl:1: input_ids[0] must be a token id"}},
        {"zero.jsonl", "{\"id\":1,\"input_ids\":[]}\n", NULL, {"zero.jsonl:1: there is no token in it"}},
        {"text.jsonl",
         "{\"id\":1,\"prompt\":\"Hi\"}\n",
         NULL,
         {"text.jsonl:1: the record holds text, but the model folder has no tokenizer"}},
        {"role.jsonl", "{\"id\":1,\"messages\":[]}\n", "--model bytes", {"role.jsonl:1: "}},
        {"utf8.jsonl", "{\"id\":1,\"prompt\":\"\xff\"}\n", "--model bytes", {"utf8.jsonl:1:", "not valid JSON"}},
        {"list.jsonl", "[1]\n", NULL, {"list.jsonl:1: expected an object, got "}},
        {"empty.jsonl", "", NULL, {"empty.jsonl"}},
        {"blank.jsonl", "\n \n", NULL, {"blank.jsonl: holds no prompt"}},
        {"good.jsonl", NULL, "--model absent", {"--model absent: no such folder"}},
        {"good.jsonl", NULL, "--model empty", {"empty/config.json"}},
        {"good.jsonl", NULL, "--model noweights", {"noweights: no weights here"}},
        {"good.jsonl", NULL, "--model cut", {"cut/model.safetensors", "cut short or damaged"}},
        {"good.jsonl", NULL, "--model wrong", {"wrong", "has shape ["}},
        {"good.jsonl", NULL, "--model few", {"the tokenizer has 259 ids, the model's vocab_size is 100"}},
        {"good.jsonl", NULL, "--model bare --stop x", {"--stop looks for text, but bare has no tokenizer"}},
        {"absent.jsonl", NULL, NULL, {"absent.jsonl"}},
    };
    char *out = path_of("never.jsonl"), *part = path_of("never.jsonl.part");
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        if (cases[k].text)
            put(cases[k].name, cases[k].text);
        struct ran r = run_program(dir, "generate %s --input %s --output never.jsonl --max-new-tokens 2",
                                   cases[k].args ? cases[k].args : "--model bare", cases[k].name);
        check_msg(r.code == 1, "%s %s: exit code %d", cases[k].name, cases[k].args ? cases[k].args : "", r.code);
        for (int i = 0; i < 3 && cases[k].says[i]; i++)
            check_has(r.err, cases[k].says[i]);
        check_has(r.err, "generate: ");
        check(!file_exists(out) && !file_exists(part));
        ran_free(&r);
    }
    static const char *const wrong[][2] = {
        {"--top-p 0", "top-p"},
        {"--top-p 1.5", "top-p"},
        {"--temperature -1", "temperature"},
        {"--samples 0", "samples"},
        {"--batch 0", "batch"},
        {"--max-new-tokens -1", "max-new"},
        {"--dtype f16", "f16"},
        {"--stop ''", "--stop must not be empty"},
        {"--sample 3", "--samples"},
        {"--memory-gib 0", "memory-gib"},
        {"--loop-tokens 7", "--loop-tokens must be 0 or at least 8"},
        {"word", "word"},
    };
    for (size_t k = 0; k < sizeof wrong / sizeof wrong[0]; k++) {
        struct ran r = run_program(dir, "generate --model bare --input good.jsonl --output never.jsonl %s", wrong[k][0]);
        check_msg(r.code == 2, "%s: exit code %d", wrong[k][0], r.code);
        check_has(r.err, wrong[k][1]);
        check(!file_exists(out) && !file_exists(part));
        ran_free(&r);
    }
    struct ran r = run_program(dir, "generate --model bare --input good.jsonl --output no/such/folder.jsonl");
    check_int(r.code, 1);
    check_has(r.err, "no/such/folder.jsonl");
    ran_free(&r);
    r = run_program(dir, "generate --model bare --input good.jsonl");
    check_int(r.code, 2);
    check_has(r.err, "output");
    ran_free(&r);
    free(out);
    free(part);
}

/* A model whose file is in bf16, with the weights kept so and as floats: on a backend that computes in f32 the answers are the same bytes. */
static void half_weights(void)
{
    if (dev_supports(BF16)) {
        test_skip("this backend computes in bf16");
        return;
    }
    struct model_config c = small_config(2, true);
    struct param_table t;
    params_plan(&t, &c);
    c.type = BF16;
    struct tensors w = random_weights(&t, &c, F32, 3, 9);
    char *folder = path_of("half"), *config = path_of("half/config.json");
    save_weights(folder, w, BF16, 0);
    save_config(config, &c);
    dev_free(w.base);
    params_free(&t);
    free(folder);
    free(config);
    write_ids_prompts("half.jsonl", 5, false);
#define HALF "generate --model half --input half.jsonl --samples 2 --max-new-tokens 30 --temperature 1 --prompt-logprobs"
    struct ran r = run_program(dir, HALF " --output as_is.jsonl");
    check_int(r.code, 0);
    check_has(r.err, " (bf16), states ");
    ran_free(&r);
    ran_well(run_program(dir, HALF " --output floats.jsonl --dtype f32"));
    char *as_is = read_text("as_is.jsonl"), *floats = read_text("floats.jsonl");
    check(as_is[0] && !strcmp(as_is, floats));
    free(as_is);
    free(floats);
}

/* An old file of answers stays when a run fails, also late. */
static void damaged_weights(void)
{
    struct model_config c = small_config(1, false);
    struct param_table t;
    params_plan(&t, &c);
    struct tensors w = random_weights(&t, &c, F32, 3, 8);
    float bad = NAN;
    dev_put((float *)tensors_mat(w, P_EMBED, -1).data + 99 * c.hidden, &bad, sizeof bad);
    char *path = path_of("damaged");
    save_model(path, &c, w);
    free(path);
    dev_free(w.base);
    params_free(&t);
    put("d.jsonl", "{\"id\":\"fine\",\"input_ids\":[1,2]}\n{\"id\":\"hit\",\"input_ids\":[1,99,5]}\n");
    put("old.jsonl", "old\n");
    struct ran r =
        run_program(dir, "generate --model damaged --input d.jsonl --output old.jsonl --max-new-tokens 1 --samples 2 --temperature 1");
    check_int(r.code, 1);
    check_has(r.err, "prompt \"hit\": sample 0: the model gives NaN or infinite logits after 0 new tokens");
    ran_free(&r);
    r = run_program(dir, "generate --model damaged --input d.jsonl --output old.jsonl --max-new-tokens 0 --prompt-logprobs");
    check_int(r.code, 1);
    check_has(r.err, "prompt \"hit\": the model gives NaN or infinite logits inside the prompt");
    ran_free(&r);
    char *old = read_text("old.jsonl");
    check_str(old, "old\n");
    free(old);
}

static void golden(void)
{
    static const char *const models[] = {"tiny-g1", "tiny-g4"};
    if (!file_is_dir(GOLDEN)) {
        test_skip("no " GOLDEN);
        return;
    }
    for (int m = 0; m < 2; m++) {
        char *model = realpath(m ? GOLDEN "tiny-g4" : GOLDEN "tiny-g1", NULL), *from = xprintf("%s/prompts.jsonl", model),
             *to = path_of("golden.jsonl");
        struct err e = {""};
        json_t *want = json_load_lines(from, &e), *x;
        check_msg(want, "%s", e.msg);
        char *text = xstrdup("");
        size_t i;
        json_array_foreach(want, i, x)
        {
            char *ids = json_dumps(json_object_get(x, "input_ids"), JSON_COMPACT);
            char *longer = xprintf("%s{\"id\":%zu,\"input_ids\":%s}\n", text, i, ids);
            free(text);
            text = longer;
            free(ids);
        }
        put("golden.jsonl", text);
        ran_well(run_program(
            dir, "generate --model %s --input golden.jsonl --output golden.out --max-new-tokens 24 --prompt-logprobs --dtype f32", model));
        json_t *got = read_records("golden.out");
        check_int(json_array_size(got), 8);
        json_array_foreach(want, i, x)
        {
            json_t *y = json_array_get(got, i), *a = json_object_get(x, "logprobs"), *b = json_object_get(y, "prompt_logprobs");
            check(json_array_size(a) == json_array_size(b));
            for (size_t k = 0; k < json_array_size(a); k++) {
                double off = fabs(json_real_value(json_array_get(a, k)) - json_real_value(json_array_get(b, k)));
                check_msg(off < 1e-4, "%s, prompt %zu, token %zu: log-probability off by %g", models[m], i, k + 1, off);
            }
            json_t *c = json_object_get(x, "greedy_ids"), *d = json_object_get(y, "output_ids"), *margin = json_object_get(x, "margin");
            check(json_array_size(d) == 24 || json_integer_value(json_array_get(d, json_array_size(d) - 1)) == 2);
            for (size_t k = 0; k < json_array_size(d); k++) {
                if (json_equal(json_array_get(c, k), json_array_get(d, k)))
                    continue;
                check_msg(json_real_value(json_array_get(margin, k)) < 1e-3, "%s, prompt %zu: greedy token %zu differs", models[m], i, k);
                break; /* what follows another token is another text */
            }
        }
        json_decref(got);
        json_decref(want);
        free(text);
        free(model);
        free(from);
        free(to);
    }
}

/* The journal of a killed run may hold a prompt's later samples and lack its earlier ones: with a batch of one nothing else hides them. */
static void later_samples_are_there(void)
{
    enum { PROMPTS = 5, SAMPLES = 4 };
    make_model("bare", small_config(2, false), false, 1);
    write_ids_prompts("few.jsonl", PROMPTS, false);
#define RESUMED "generate --model bare --dtype f32 --samples 4 --max-new-tokens 200 --temperature 1 --input few.jsonl --batch 1 --output "
    ran_well(run_program(dir, RESUMED "whole.jsonl"));
    char *part = path_of("part.jsonl"), *kept = path_of("part.jsonl.journal"), *programs = program_folder();
    char *command = xprintf("cd '%s' && exec '%s'/" RESUMED "part.jsonl 2>/dev/null", dir, programs);
    pid_t child = fork();
    must(child >= 0);
    if (child == 0) {
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    struct stat is;
    while ((stat(kept, &is) != 0 || is.st_size == 0) && waitpid(child, NULL, WNOHANG) == 0)
        usleep(1000);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    free(command);
    free(programs);
    char *journal = read_text("part.jsonl.journal"), word[256] = ""; /* its first line ends with what the run's settings are called */
    check_int(sscanf(journal, "%*s %255s", word), 1);
    free(journal);
    char *whole = read_text("whole.jsonl");
    must(unlink(kept) == 0);
    struct err e = {""};
    struct journal *j;
    check_msg(journal_open(&j, part, PROMPTS * SAMPLES, word, &e), "%s", e.msg);
    const char *line = whole;
    for (int i = 0; i < SAMPLES; i++) {
        size_t n = strcspn(line, "\n");
        if (i >= 2)
            check_msg(journal_add(j, i, line, n, &e), "%s", e.msg);
        line += n + 1;
    }
    journal_close(j);
    ran_well(run_program(dir, RESUMED "part.jsonl"));
    char *again = read_text("part.jsonl");
    check_str(again, whole);
    free(again);
    free(whole);
    free(part);
    free(kept);
}

static const struct test tests[] = {
    {"a journal that holds later samples of a prompt", later_samples_are_there},
    {"answers do not depend on the batch or the order of the file", batches_and_order},
    {"no new tokens, prompts' log-probabilities", no_new_tokens},
    {"compressed input and output", compressed},
    {"stop strings", stops},
    {"loops", loops},
    {"a common beginning", common_beginning},
    {"end tokens", end_tokens},
    {"templates", templates},
    {"memory", memory},
    {"bad input", bad_input},
    {"bf16 weights beside f32 activations", half_weights},
    {"damaged weights", damaged_weights},
    {"golden models", golden},
};

int main(int argc, char **argv)
{
    struct err e;
    if (!dev_open(0, &e))
        die("%s", e.msg);
    setenv("OMP_WAIT_POLICY", "passive", 0); /* threads of the program that wait in a loop would cost most of the time on a busy machine */
    return folder_main(argc, argv, "test_generate", tests, (int)(sizeof tests / sizeof tests[0]));
}
