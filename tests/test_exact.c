/* tests/test_exact.c - with `exact` no bit of a sample depends on what is read or runs beside it, or on how its prompt was cut: packing,
 * bases, state files, batch sizes, slots, forks. */
#include "core/rng.h"
#include "infer/engine.h"
#include "tests/folder.h"
#include "tests/model_files.h"
#include "tests/program.h"

static void make_model(const char *name, struct model_config c, uint64_t seed)
{
    struct param_table t;
    params_plan(&t, &c);
    struct tensors w = random_weights(&t, &c, F32, 3, seed);
    char *path = path_of(name);
    save_model(path, &c, w);
    free(path);
    dev_free(w.base);
    params_free(&t);
}

static struct engine *engine_of(const char *name, struct engine_settings s)
{
    struct engine *g = NULL;
    struct err e = {""};
    struct model_config c;
    char *path = path_of(name);
    must(config_load(&c, path, NULL, 0, &e));
    s.exact = s.base = s.logprobs = true;
    s.sampling = (struct sampling){.temperature = 1, .top_p = 0.95f, .repetition_penalty = 1.1f, .seed = 5};
    check_msg(engine_open(&g, &c, path, &s, &e), "%s", e.msg);
    must(g);
    free(path);
    return g;
}

static void random_ids(int32_t *ids, int64_t n, int64_t vocab, uint64_t seed)
{
    for (int64_t i = 0; i < n; i++)
        ids[i] = (int32_t)rng_below(seed, 7, (uint64_t)i, (uint64_t)vocab);
}

static void same_floats(const float *a, const float *b, int64_t n, const char *what, int64_t which)
{
    int64_t differ = 0;
    for (int64_t i = 0; i < n; i++)
        differ += memcmp(&a[i], &b[i], sizeof *a) != 0;
    check_msg(differ == 0, "%s, %lld: %lld of %lld log-probabilities differ", what, (long long)which, (long long)differ, (long long)n);
}

/* Prompts in random company, behind a base of random length, extended in random pieces: their log-probabilities have the bits that they
 * have when each is read alone and whole. */
static void packing_and_bases(void)
{
    enum { N = 40, MOST = 300, CHUNK = 16 };
    struct model_config c = small_config(2, false);
    make_model("small", c, 1);
    static int32_t ids[N][MOST];
    static float want[N][MOST], got[N][MOST];
    int64_t n[N];
    struct engine_settings s = {.slots = 2, .prompts = ENGINE_PROMPTS, .max_prompt = MOST};
    struct engine *alone = engine_of("small", s);
    for (int i = 0; i < N; i++) {
        static const int awkward[] = {1, 2, 15, 16, 17, 18, 31, 32, 33, 34, 63, 64, 65, 127, 128, 129, 255, 257};
        n[i] = i < 18 ? awkward[i] : 1 + (int64_t)rng_below(1, (uint64_t)i, 0, MOST);
        random_ids(ids[i], n[i], c.vocab, 100 + (uint64_t)i);
        random_ids(ids[i], n[i] < 200 ? n[i] : 200, c.vocab, 99); /* all begin alike */
        check_int(engine_prefill(alone, &(struct engine_prompt){ids[i], n[i], want[i]}, 1), -1);
    }
    engine_close(alone);
    check(fabsf(want[17][255] - want[17][254]) > 1e-3f);
    for (uint64_t trial = 0; trial < 6; trial++) {
        s.state_type = trial % 2 ? BF16 : F32; /* of sequences: prompts do not see it */
        struct engine *g = engine_of("small", s);
        check_int(engine_prompts(g), ENGINE_PROMPTS);
        int64_t base = CHUNK * (int64_t)rng_below(2, trial, 0, 12);
        for (int64_t at = 0; at < base;) {
            int64_t more = CHUNK * (1 + (int64_t)rng_below(3, trial, (uint64_t)at, 4));
            more = more < base - at ? more : base - at;
            check(engine_extend(g, ids[17] + at, more, got[17] + at));
            at += more;
        }
        if (base)
            same_floats(got[17], want[17], base, "the base", base);
        float one; /* a single token behind the base is read as it is among others */
        check_int(engine_prefill(g, &(struct engine_prompt){ids[17] + base, 2, &one}, 1), -1);
        same_floats(&one, want[17] + base, 1, "one token behind the base", base);
        for (int first = 0; first < N;) {
            struct engine_prompt p[ENGINE_PROMPTS];
            int which[ENGINE_PROMPTS];
            int32_t k = 0, most = 1 + (int32_t)rng_below(4, trial, (uint64_t)first, ENGINE_PROMPTS);
            int64_t rows = 0;
            for (; first < N && k < most; first++) {
                if (n[first] <= base)
                    continue;
                if (k > 0 && rows + n[first] - base > engine_pass_tokens(g))
                    break;
                rows += n[first] - base - 1;
                which[k] = first;
                p[k++] = (struct engine_prompt){ids[first] + base, n[first] - base, got[first] + base};
            }
            if (k == 0)
                break;
            check_int(engine_prefill(g, p, k), -1);
            for (int32_t j = 0; j < k; j++)
                same_floats(got[which[j]] + base, want[which[j]] + base, p[j].n - 1, "prompt", which[j]);
        }
        engine_close(g);
    }
}

/* A base that is saved and put into another engine, and one that was read in other pieces: the same bytes. */
static void bases_as_bytes(void)
{
    enum { N = 5000 / 16 * 16 };
    struct model_config c = small_config(4, true);
    make_model("small", c, 2);
    static int32_t ids[N + 1];
    random_ids(ids, N + 1, c.vocab, 3);
    struct engine_settings s = {.slots = 1, .max_prompt = N + 1};
    struct engine *a = engine_of("small", s), *b = engine_of("small", s);
    size_t bytes = engine_base_bytes(a), words = engine_seen_words(a);
    char *x = xmalloc(bytes), *y = xmalloc(bytes);
    uint32_t *u = xcalloc(words, sizeof *u), *v = xcalloc(words, sizeof *v);
    check(engine_extend(a, ids, N, NULL));
    for (int64_t at = 0, k = 0; at < N; k++) {
        int64_t more = 16 * (1 + (int64_t)rng_below(4, (uint64_t)k, 0, 60));
        more = more < N - at ? more : N - at;
        check(engine_extend(b, ids + at, more, NULL));
        at += more;
    }
    engine_base_get(a, x, u);
    engine_base_get(b, y, v);
    check(memcmp(x, y, bytes) == 0 && memcmp(u, v, words * sizeof *u) == 0);
    struct engine *d = engine_of("small", s);
    engine_base_get(d, y, v);
    check(memcmp(x, y, bytes) != 0 && v[0] == 0); /* has read nothing */
    engine_base_put(d, x, u);
    engine_base_get(d, y, v);
    check(memcmp(x, y, bytes) == 0 && memcmp(u, v, words * sizeof *u) == 0);
    engine_close(a);
    engine_close(b);
    engine_close(d);
    free(x);
    free(y);
    free(u);
    free(v);
}

/* 64 samples of one reading of a prompt, side by side, against 64 readings of it, each in other company and alone in its engine's steps. */
static void forks(void)
{
    enum { SAMPLES = 64, N = 90, NEW = 30 };
    struct model_config c = small_config(2, false);
    make_model("small", c, 3);
    int32_t ids[2 * N];
    random_ids(ids, 2 * N, c.vocab, 4);
    static int32_t want[SAMPLES][NEW];
    static const enum dtype types[] = {F32, BF16};
    for (int t = 0; t < 2; t++) {
        struct engine_settings s = {.state_type = types[t], .slots = SAMPLES, .prompts = 4, .max_prompt = N};
        struct engine *g = engine_of("small", s);
        int32_t slot[SAMPLES], differ = 0, unlike = 0;
        check_int(engine_prefill(g, &(struct engine_prompt){ids, N, NULL}, 1), -1);
        for (int i = 0; i < SAMPLES; i++)
            slot[i] = engine_fork(g, 0, (uint64_t)i);
        for (int k = 0; k < NEW; k++) {
            check_int(engine_step(g), -1);
            for (int i = 0; i < SAMPLES; i++)
                want[i][k] = engine_seq(g, slot[i])->token;
        }
        engine_close(g);
        s.slots = 3;
        for (int i = 0; i < SAMPLES; i++) {
            if (i % 16 == 0)
                g = engine_of("small", s);
            struct engine_prompt p[3] = {{ids + i, N - i, NULL}, {ids + 5, i + 1, NULL}, {ids + N, 2, NULL}};
            int32_t place = i % 3;
            p[place] = (struct engine_prompt){ids, N, NULL};
            check_int(engine_prefill(g, p, 3), -1);
            int32_t mate = i % 2 ? engine_fork(g, (place + 1) % 3, 1000) : -1, mine = engine_fork(g, place, (uint64_t)i);
            for (int k = 0; k < NEW; k++) {
                check_int(engine_step(g), -1);
                differ += engine_seq(g, mine)->token != want[i][k];
                unlike += want[i][k] != want[(i + 1) % SAMPLES][k];
            }
            engine_release(g, mine);
            if (mate >= 0)
                engine_release(g, mate);
            if (i % 16 == 15)
                engine_close(g);
        }
        check_msg(differ == 0, "%d of %d tokens differ", differ, SAMPLES * NEW);
        check(unlike > SAMPLES * NEW / 2);
    }
}

enum { PROMPTS = 1000, COMMON = 75 };

/* p0 .. p999 behind a beginning that all have; other: in another order, behind a prompt that is alone with its beginning. */
static void write_prompts(const char *name, bool other, int64_t from)
{
    size_t room = 1 << 20, n = 0;
    char *text = xmalloc(room);
    if (other)
        n += (size_t)sprintf(text, "{\"id\":\"x\",\"input_ids\":[39,38]}\n");
    for (int k = 0; k < PROMPTS; k++) {
        uint64_t i = (uint64_t)(other ? k * 377 % PROMPTS : k);
        n += (size_t)sprintf(text + n, "{\"id\":\"p%d\",\"input_ids\":[", (int)i);
        for (int64_t j = from; j < COMMON; j++)
            n += (size_t)sprintf(text + n, "%d,", (int)rng_below(1, 0, (uint64_t)j, 37) + 3);
        for (uint64_t j = 0; j < 1 + rng_below(2, i, 0, 60); j++)
            n += (size_t)sprintf(text + n, j ? ",%d" : "%d", (int)rng_below(3, i, j, 37) + 3);
        n += (size_t)sprintf(text + n, "]}\n");
        must(n < room - 2000);
    }
    put(name, text);
    free(text);
}

static json_t *answers(const char *args)
{
    struct ran r = run_program(dir,
                               "generate --model tiny --exact --max-new-tokens 16 --temperature 1 --repetition-penalty 1.2 "
                               "--output out.jsonl %s",
                               args);
    check_msg(r.code == 0, "%s: exit code %d: %s", args, r.code, r.err);
    ran_free(&r);
    struct err e = {""};
    char *path = path_of("out.jsonl");
    json_t *all = json_load_lines(path, &e), *by_id = json_object(), *x;
    size_t i;
    check_msg(all, "%s", e.msg);
    json_array_foreach(all, i, x) json_object_set(by_id, json_string_value(json_object_get(x, "id")), json_object_get(x, "output_ids"));
    json_decref(all);
    free(path);
    return by_id;
}

static void compare(json_t *a, json_t *b, const char *what)
{
    int answers_differ = 0, tokens = 0;
    for (int i = 0; i < PROMPTS; i++) {
        char id[16];
        sprintf(id, "p%d", i);
        json_t *x = json_object_get(a, id), *y = json_object_get(b, id);
        tokens += (int)json_array_size(x);
        answers_differ += !x || !y || !json_equal(x, y);
    }
    check_msg(answers_differ == 0, "%s: %d of %d answers differ", what, answers_differ, PROMPTS);
    check_msg(tokens > 10 * PROMPTS, "%d tokens", tokens);
}

/* The program: 1,000 prompts at any batch, with their common beginning read once, not at all, or from a file. */
static void thousand_prompts(void)
{
    make_model("tiny", tiny_config(), 4);
    write_prompts("all.jsonl", false, 0);
    write_prompts("other.jsonl", true, 0);
    json_t *one = answers("--input all.jsonl --batch 1");
    static const char *const more[] = {"--input all.jsonl --batch 2", "--input all.jsonl --batch 7", "--input all.jsonl --batch 32",
                                       "--input all.jsonl --batch 65536", "--input other.jsonl --batch 32"};
    for (int i = 0; i < 5; i++) {
        json_t *b = answers(more[i]);
        compare(one, b, more[i]);
        json_decref(b);
    }
    /* The beginning, whole chunks of it and not, in one file or two. */
    static const int cuts[] = {1, 7, 8, 9, 64, 75};
    for (int k = 0; k < 6; k++) {
        size_t n = 0;
        char text[1000];
        for (int part = 0; part < 2; part++) {
            int from = part ? cuts[k] / 2 : 0, to = part ? cuts[k] : cuts[k] / 2;
            n = (size_t)sprintf(text, "{\"id\":0,\"input_ids\":[");
            for (int j = from; j < to; j++)
                n += (size_t)sprintf(text + n, j > from ? ",%d" : "%d", (int)rng_below(1, 0, (uint64_t)j, 37) + 3);
            sprintf(text + n, "]}\n");
            put(part ? "b.jsonl" : "a.jsonl", text);
        }
        if (cuts[k] > 1)
            json_decref(answers("--input a.jsonl --save-state a.state"));
        json_decref(
            answers(cuts[k] > 1 ? "--input b.jsonl --load-state a.state --save-state b.state" : "--input b.jsonl --save-state b.state"));
        write_prompts("rest.jsonl", false, cuts[k]);
        json_t *b = answers("--input rest.jsonl --load-state b.state");
        char what[60];
        sprintf(what, "from a state file of %d tokens", cuts[k]);
        compare(one, b, what);
        json_decref(b);
    }
    json_decref(one);
}

static const struct test tests[] = {
    {"any company and any base of a prompt", packing_and_bases},
    {"bases as bytes", bases_as_bytes},
    {"64 forks and 64 readings", forks},
    {"1,000 prompts at any batch, cut anywhere", thousand_prompts},
};

int main(int argc, char **argv)
{
    struct err e;
    if (!dev_open(0, &e))
        die("%s", e.msg);
    setenv("OMP_WAIT_POLICY", "passive", 0);
    return folder_main(argc, argv, "test_exact", tests, (int)(sizeof tests / sizeof tests[0]));
}
