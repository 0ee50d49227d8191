/* tests/test_engine.c - sequences in flight: prompts cut anywhere, greedy decoding against whole passes, forks, slots that come and go,
 * memory, numbers that are not finite; and the strings that end an answer. */
#include "core/log.h"
#include "core/rng.h"
#include "infer/engine.h"
#include "infer/stops.h"
#include "model/model.h"
#include "tests/model_files.h"
#include "tests/test.h"
#include "tests/tiny_spm.h"
#include <unistd.h>

static char dir[] = "/tmp/test_engine.XXXXXX";

/* A pass of the model by hand: what the engine is compared with. */
struct model {
    struct model_config c;
    struct param_table t;
    struct tensors w;
    struct block_acts *layer;
    struct acts acts;
    struct model_state state; /* one slot */
    struct pass host, dev;
    size_t pass_bytes;
    char *block, *host_block, *dev_block;
};

static void model_memory(struct model *m, struct arena *a, int64_t tokens, enum dtype ssd_type)
{
    struct model_shape s = {
        .config = m->c, .type = F32, .residual = F32, .max_tokens = tokens, .max_docs = 1, .logit_rows = (int32_t)tokens};
    acts_layout(&m->acts, a, &s, m->layer);
    state_layout(&m->state, a, &m->c, 1, F32, ssd_type);
}

static struct model *model_new(struct model_config c, int64_t tokens, enum dtype ssd_type, uint64_t seed)
{
    struct model *m = xcalloc(1, sizeof *m);
    m->c = c;
    params_plan(&m->t, &c);
    m->w = random_weights(&m->t, &c, F32, 3, seed);
    m->layer = xcalloc((size_t)c.layers, sizeof *m->layer);
    struct arena a = {0};
    model_memory(m, &a, tokens, ssd_type);
    a = (struct arena){m->block = dev_alloc(a.used), a.used, 0};
    model_memory(m, &a, tokens, ssd_type);
    struct arena p = {0};
    pass_layout(&m->host, &p, tokens, 1, c.chunk, true);
    m->pass_bytes = p.used;
    p = (struct arena){m->host_block = xcalloc(1, p.used), p.used, 0};
    pass_layout(&m->host, &p, tokens, 1, c.chunk, true);
    p = (struct arena){m->dev_block = dev_alloc(p.size), p.size, 0};
    pass_layout(&m->dev, &p, tokens, 1, c.chunk, true);
    return m;
}

static void model_free(struct model *m)
{
    dev_free(m->w.base);
    dev_free(m->block);
    dev_free(m->dev_block);
    params_free(&m->t);
    free(m->host_block);
    free(m->layer);
    free(m);
}

/* Logits [n, vocab] of n tokens that go on from the state; the engine's cut, kernels and targets do not come into it. */
static void run_piece(struct model *m, const int32_t *ids, int32_t n, float *logits)
{
    seqs_plan(&m->host.s, &n, 1, NULL);
    memcpy(m->host.ids, ids, (size_t)n * sizeof *ids);
    dev_put(m->dev_block, m->host_block, m->pass_bytes);
    struct pass p = pass_on(&m->host, &m->dev);
    model_forward(&m->acts, m->w, &p, m->state);
    model_logits(&m->acts, m->w, mat_rows(m->acts.h, 0, n), false);
    dev_get(logits, m->acts.logits.data, (size_t)(n * m->c.vocab) * sizeof *logits);
}

static void random_ids(int32_t *ids, int64_t n, int64_t vocab, uint64_t seed)
{
    for (int64_t i = 0; i < n; i++)
        ids[i] = (int32_t)rng_below(seed, 77, (uint64_t)i, (uint64_t)vocab);
}

static void splits(void)
{
    enum { MOST = 200 };
    static const int32_t groups[] = {1, 2, 8};
    for (int g = 0; g < 3; g++) {
        struct model_config c = small_config(groups[g], g == 1);
        struct model *m = model_new(c, MOST, F32, (uint64_t)g + 1);
        float *whole = xmalloc(sizeof(float) * MOST * (size_t)c.vocab), *part = xmalloc(sizeof(float) * MOST * (size_t)c.vocab);
        int32_t ids[MOST];
        for (uint64_t trial = 0; trial < 60; trial++) {
            static const int32_t awkward[] = {1, 2, 15, 16, 17, 31, 32, 33, 48, 63, 64, 65, 127, 128, 129, 200};
            int32_t n = trial < 16 ? awkward[trial] : (int32_t)rng_below(5, trial, 0, MOST) + 1;
            random_ids(ids, n, c.vocab, trial);
            state_zero(m->state, 0);
            run_piece(m, ids, n, whole);
            state_zero(m->state, 0);
            int32_t at = 0, pieces = 0;
            while (at < n) { /* steps of one token, small pieces, pieces of whole chunks */
                uint64_t r = rng_below(6, trial, (uint64_t)at, 4);
                int32_t len = r == 0   ? 1
                              : r == 1 ? 16 * (1 + (int32_t)rng_below(7, trial, (uint64_t)at, 4))
                                       : (int32_t)rng_below(8, trial, (uint64_t)at, 40) + 1;
                len = len < n - at ? len : n - at;
                run_piece(m, ids + at, len, part + (int64_t)at * c.vocab);
                at += len;
                pieces++;
            }
            double worst = 0;
            for (int64_t i = 0; i < n * c.vocab; i++)
                worst = fmax(worst, fabs((double)whole[i] - part[i]));
            check_msg(worst < 1e-4, "G %d, %d tokens in %d pieces: logits off by %g", groups[g], n, pieces, worst);
        }
        free(whole);
        free(part);
        model_free(m);
    }
}

/* The SSD state as bf16: near float32's numbers, and not the same. */
static void bf16_state(void)
{
    enum { N = 120 };
    struct model_config c = small_config(2, false);
    struct model *a = model_new(c, N, F32, 3), *b = model_new(c, N, BF16, 3);
    float *x = xmalloc(sizeof(float) * N * (size_t)c.vocab), *y = xmalloc(sizeof(float) * N * (size_t)c.vocab);
    int32_t ids[N];
    random_ids(ids, N, c.vocab, 9);
    state_zero(a->state, 0);
    state_zero(b->state, 0);
    for (int i = 0; i < N; i += i < 40 ? 40 : 1) { /* a piece, then steps */
        run_piece(a, ids + i, i < 40 ? 40 : 1, x + i * c.vocab);
        run_piece(b, ids + i, i < 40 ? 40 : 1, y + i * c.vocab);
    }
    double diff = 0, size = 0;
    for (int64_t i = 0; i < N * c.vocab; i++) {
        diff += pow((double)x[i] - y[i], 2);
        size += pow((double)x[i], 2);
    }
    diff = sqrt(diff / size);
    check_msg(diff < 2e-2 && diff > 1e-6, "logits off by %g of their norm", diff);
    free(x);
    free(y);
    model_free(a);
    model_free(b);
}

static struct engine *engine_new(struct engine_settings s)
{
    struct engine *g = NULL;
    struct err e = {""};
    struct model_config c;
    must(config_load(&c, dir, NULL, 0, &e));
    if (s.sampling.top_p == 0)
        s.sampling.top_p = s.sampling.repetition_penalty = 1;
    check_msg(engine_open(&g, &c, dir, &s, &e), "%s", e.msg);
    must(g);
    return g;
}

/* One prompt read alone. */
static bool read_one(struct engine *g, const int32_t *ids, int64_t n, float *logprobs)
{
    struct engine_prompt p = {ids, n, logprobs};
    return engine_prefill(g, &p, 1) < 0;
}

static void greedy_is_argmax_of_whole_passes(void)
{
    enum { NEW = 40, MOST = 140 };
    static const int32_t lengths[] = {1, 2, 3, 16, 17, 33, 100};
    struct model *m = model_new(small_config(2, false), MOST, F32, 4);
    save_model(dir, &m->c, m->w);
    struct engine *g = engine_new((struct engine_settings){.slots = 3, .max_prompt = 100});
    float *logits = xmalloc(sizeof(float) * MOST * (size_t)m->c.vocab);
    int unequal = 0;
    for (int k = 0; k < 7; k++) {
        int32_t n = lengths[k], ids[MOST];
        random_ids(ids, n, m->c.vocab, 20 + (uint64_t)k);
        check(read_one(g, ids, n, NULL));
        int32_t slot = engine_fork(g, 0, 0);
        for (int i = 0; i < NEW; i++) {
            check_int(engine_step(g), -1);
            ids[n + i] = engine_seq(g, slot)->token;
            unequal += i > 0 && ids[n + i] != ids[n + i - 1];
        }
        check_int(engine_seq(g, slot)->drawn, NEW);
        engine_release(g, slot);
        state_zero(m->state, 0);
        run_piece(m, ids, n + NEW, logits); /* row i of it is the last of a whole pass over ids 0 .. i */
        for (int32_t i = n - 1; i < n + NEW - 1; i++) {
            const float *l = logits + i * m->c.vocab;
            for (int64_t v = 0; v < m->c.vocab; v++)
                check_msg(l[v] <= l[ids[i + 1]] + 1e-4, "prompt of %d, token %d: drew %d, but %lld is likelier", n, i, ids[i + 1],
                          (long long)v);
        }
    }
    check_msg(unequal > 100, "a model that repeats itself shows nothing: %d changes", unequal);
    free(logits);
    engine_close(g);
    model_free(m);
}

/* A prompt that the engine cuts into pieces: the log-probabilities of one pass over the whole. */
static void long_prompt(void)
{
    enum { N = 5000 };
    struct model_config c = small_config(1, true);
    struct model *m = model_new(c, N, F32, 5);
    save_model(dir, &c, m->w);
    int32_t *ids = xmalloc(sizeof(int32_t) * N);
    float *got = xmalloc(sizeof(float) * N), *want = xmalloc(sizeof(float) * N);
    random_ids(ids, N, c.vocab, 6);
    int32_t n = N - 1;
    struct tensors none = {0};
    seqs_plan(&m->host.s, &n, 1, NULL);
    memcpy(m->host.ids, ids, (size_t)n * sizeof *ids);
    memcpy(m->host.target, ids + 1, (size_t)n * sizeof *ids);
    dev_put(m->dev_block, m->host_block, m->pass_bytes);
    struct pass p = pass_on(&m->host, &m->dev);
    p.weight = NULL;
    state_zero(m->state, 0);
    model_forward(&m->acts, m->w, &p, m->state);
    model_loss(&m->acts, m->w, &p, false, none);
    dev_get(want, m->acts.loss, (size_t)n * sizeof *want);
    struct engine *g = engine_new((struct engine_settings){.slots = 1, .max_prompt = N, .logprobs = true});
    check(read_one(g, ids, N, got));
    double worst = 0, spread = 0;
    for (int i = 0; i < n; i++) {
        worst = fmax(worst, fabs((double)got[i] + want[i]));
        spread = fmax(spread, fabs((double)got[i] - got[0]));
    }
    check_msg(worst < 1e-4, "off by %g", worst);
    check(spread > 1);
    engine_close(g);
    free(ids);
    free(got);
    free(want);
    model_free(m);
}

/* The token at which the sum of probabilities, largest first, passes u; -1: too near to two tokens' border to tell. */
static int32_t inverse_transform(const float *logits, int64_t vocab, double temperature, double u)
{
    double top = -INFINITY, sum = 0, below = 0;
    for (int64_t v = 0; v < vocab; v++)
        top = fmax(top, logits[v] / temperature);
    for (int64_t v = 0; v < vocab; v++)
        sum += exp(logits[v] / temperature - top);
    char *used = xcalloc((size_t)vocab, 1);
    int32_t token = -1;
    for (int64_t k = 0; k < vocab && token < 0; k++) {
        int64_t best = -1;
        for (int64_t v = 0; v < vocab; v++)
            if (!used[v] && (best < 0 || logits[v] > logits[best]))
                best = v;
        used[best] = 1;
        double p = exp(logits[best] / temperature - top) / sum;
        if (fabs(below + p - u) < 1e-4)
            break;
        below += p;
        token = u < below ? (int32_t)best : -1;
    }
    free(used);
    return token;
}

/* Draws are a function of seed, stream and place. */
static void draws(void)
{
    enum { N = 20, NEW = 80 };
    struct model *m = model_new(small_config(1, false), N + NEW, F32, 11);
    save_model(dir, &m->c, m->w);
    struct engine_settings s = {
        .slots = 2, .max_prompt = N, .sampling = {.temperature = 1.5f, .top_p = 1, .repetition_penalty = 1, .seed = 12345678901}};
    struct engine *g = engine_new(s);
    float *logits = xmalloc(sizeof(float) * (N + NEW) * (size_t)m->c.vocab);
    int32_t ids[N + NEW], told = 0;
    random_ids(ids, N, m->c.vocab, 12);
    check(read_one(g, ids, N, NULL));
    engine_fork(g, 0, 99);
    int32_t slot = engine_fork(g, 0, 1ull << 40);
    for (int i = 0; i < NEW; i++) {
        check_int(engine_step(g), -1);
        ids[N + i] = engine_seq(g, slot)->token;
    }
    state_zero(m->state, 0);
    run_piece(m, ids, N + NEW, logits);
    for (int i = 0; i < NEW; i++) {
        double u = rng_uniform(s.sampling.seed, 1ull << 40, (uint64_t)i);
        int32_t want = inverse_transform(logits + (N + i - 1) * m->c.vocab, m->c.vocab, 1.5, u);
        check_msg(want < 0 || want == ids[N + i], "token %d: drew %d, not %d", i, ids[N + i], want);
        told += want >= 0;
    }
    check_msg(told > NEW / 2, "%d of %d", told, NEW);
    free(logits);
    engine_close(g);
    model_free(m);
}

enum { PROMPTS = 12, DRAWN = 60 };
struct plan { /* a sequence of the next test */
    int32_t prompt[40], n;
    uint64_t stream;
    int32_t want[DRAWN], tokens;
};

/* Sequences begin and end at random, some as forks of one prompt: each draws what it draws alone in an engine of one slot. */
static void slots_come_and_go(void)
{
    struct model *m = model_new(small_config(4, false), 1, F32, 7);
    save_model(dir, &m->c, m->w);
    struct engine_settings s = {
        .slots = 1, .max_prompt = 40, .sampling = {.temperature = 1, .top_p = 0.95f, .top_k = 50, .repetition_penalty = 1.2f, .seed = 3}};
    struct plan plan[3 * PROMPTS];
    struct engine *alone = engine_new(s);
    for (int i = 0; i < 3 * PROMPTS; i++) {
        struct plan *p = &plan[i];
        p->n = (int32_t)rng_below(1, (uint64_t)i / 3, 0, 40) + 1;
        random_ids(p->prompt, p->n, m->c.vocab, 100 + (uint64_t)i / 3); /* three of each prompt */
        p->stream = (uint64_t)i * 1000003;
        p->tokens = (int32_t)rng_below(2, (uint64_t)i, 0, DRAWN) + 1;
        check(read_one(alone, p->prompt, p->n, NULL));
        check_int(engine_fork(alone, 0, p->stream), 0);
        check_int(engine_fork(alone, 0, p->stream), -1);
        for (int k = 0; k < p->tokens; k++) {
            check_int(engine_step(alone), -1);
            p->want[k] = engine_seq(alone, 0)->token;
        }
        engine_release(alone, 0);
    }
    check(memcmp(plan[0].want, plan[1].want, sizeof(int32_t)) || memcmp(plan[3].want, plan[4].want, sizeof(int32_t)) ||
          memcmp(plan[6].want, plan[7].want, sizeof(int32_t)));
    engine_close(alone);

    static const int32_t batches[] = {2, 5, 8, 16}; /* of 16, up to three rows of a step run on free slots */
    for (int b = 0; b < 4; b++) {
        s.slots = batches[b];
        struct engine *g = engine_new(s);
        int64_t allocations = dev_alloc_count();
        int32_t slot[3 * PROMPTS], next = 0, live = 0, drew = 0, total = 0;
        for (int i = 0; i < 3 * PROMPTS; i++) {
            slot[i] = -1;
            total += plan[i].tokens;
        }
        for (uint64_t step = 0; next < 3 * PROMPTS || live > 0; step++) {
            while (next < 3 * PROMPTS && live < batches[b] && (live == 0 || rng_below(4, step, (uint64_t)next, 3) > 0)) {
                if (next % 3 == 0)
                    check(read_one(g, plan[next].prompt, plan[next].n, NULL));
                slot[next] = engine_fork(g, 0, plan[next].stream);
                check(slot[next] >= 0);
                next++;
                live++;
            }
            check_int(engine_step(g), -1);
            for (int i = 0; i < next; i++) {
                if (slot[i] < 0)
                    continue;
                const struct engine_seq *q = engine_seq(g, slot[i]);
                check_msg(q->token == plan[i].want[q->drawn - 1], "batch %d, sequence %d, token %lld: %d, alone %d", batches[b], i,
                          (long long)q->drawn, q->token, plan[i].want[q->drawn - 1]);
                drew++;
                if (q->drawn == plan[i].tokens) {
                    engine_release(g, slot[i]);
                    slot[i] = -1;
                    live--;
                }
            }
        }
        check_int(drew, total);
        check_int(dev_alloc_count(), allocations);
        engine_close(g);
    }
    model_free(m);
}

static void memory_is_kept(void)
{
    struct model_config c = small_config(1, false);
    c.hidden = 64;
    c.headdim = 64;
    c.state = 128; /* states of 800 KiB: what libraries take on the side hides no slot */
    struct model *m = model_new(c, 1, F32, 8);
    save_model(dir, &c, m->w);
    struct engine_settings s = {.type = F32, .slots = 64, .max_prompt = 300, .sampling = {.top_p = 1, .repetition_penalty = 1}};
    struct engine *g = NULL;
    struct err e = {""};
    s.memory = 1 << 20;
    check(!engine_open(&g, &c, dir, &s, &e));
    check_has(e.msg, "needs at least ");
    check_has(e.msg, "--memory-gib allows 0.001: raise it");
    s.memory = 0;
    s.slots = 1;
    check_msg(engine_open(&g, &c, dir, &s, &e), "%s", e.msg);
    int64_t one = engine_memory(g).all - engine_memory(g).libraries;
    engine_close(g);
    s.slots = 11;
    check_msg(engine_open(&g, &c, dir, &s, &e), "%s", e.msg);
    int64_t eleven = engine_memory(g).all - engine_memory(g).libraries, states = engine_memory(g).states;
    check_int(engine_slots(g), 11);
    check_int(states, 12 * state_slot_bytes(&c, F32, F32));
    engine_close(g);
    s.slots = 64; /* as many as fit */
    s.memory = (one + eleven) / 2 + (int64_t)dev_library_bytes();
    check_msg(engine_open(&g, &c, dir, &s, &e), "%s", e.msg);
    check(engine_slots(g) >= 2 && engine_slots(g) < 11);
    check(engine_memory(g).all <= s.memory);
    struct engine_memory k = engine_memory(g);
    check_int(k.weights + k.states + k.work + k.libraries, k.all);
    engine_close(g);
    s.memory = 0;
    s.state_type = BF16;
    s.slots = 11;
    check_msg(engine_open(&g, &c, dir, &s, &e), "%s", e.msg);
    check_msg(engine_memory(g).states < states * 3 / 4, "bf16 states: %lld bytes of %lld", (long long)engine_memory(g).states,
              (long long)states);
    engine_close(g);
    model_free(m);
}

static void not_finite(void)
{
    struct model_config c = small_config(1, false);
    struct model *m = model_new(c, 1, F32, 10);
    int32_t ids[] = {5, 6, 7, 8}, fine[] = {9, 10};
    static const float bad[] = {NAN, INFINITY};
    for (int k = 0; k < 2; k++) {
        /* The embedding of token 7 is damaged: a prompt with it, and no other. */
        dev_put((float *)tensors_mat(m->w, P_EMBED, -1).data + 7 * c.hidden, &bad[k], sizeof(float));
        save_model(dir, &c, m->w);
        struct engine *g = engine_new((struct engine_settings){.slots = 4, .max_prompt = 4, .logprobs = true});
        float logprobs[3];
        check(read_one(g, fine, 2, logprobs));
        int32_t a = engine_fork(g, 0, 1);
        check_int(engine_step(g), -1);
        check(!read_one(g, ids, 4, logprobs));
        int32_t b = engine_fork(g, 0, 2);
        check(a != b);
        check_int(engine_step(g), b);
        engine_release(g, b);
        check_int(engine_step(g), -1); /* the slot is free: what is in it troubles nobody, */
        check(read_one(g, fine, 2, logprobs));
        check_int(engine_fork(g, 0, 3), b); /* nor who comes after */
        check_int(engine_step(g), -1);
        engine_close(g);
    }
    model_free(m);
}

static void stop_strings(void)
{
    struct err e = {""};
    struct tokenizer *tok = NULL;
    char *path = xprintf("%s/tiny.model", dir);
    tiny_spm_write(path, false);
    check_msg(tokenizer_open(&tok, path, &e), "%s", e.msg);
    free(path);
    /* "_ab he l ab" and a byte: text pieces of one to four bytes; </s> in between has none. */
    int32_t ids[] = {TINY_MARK_A, TINY_A + 1, TINY_MARK, TINY_A + 7, 2, TINY_A + 4, TINY_BYTE + 0xc3, TINY_BYTE + 0xa9, TINY_A};
    enum { N = sizeof ids / sizeof ids[0] };
    static const struct {
        const char *stop, *before;
        int at; /* ids until it is complete; 0: never */
    } cases[] = {
        {"b h", " a", 4},          {"ab he", " ", 6}, {" ", "", 1},    {"he", " ab ", 6},   {"e\xc3\xa9", " ab h", 8},
        {"\xc3\xa9", " ab he", 8}, {"hx", "", 0},     {"</s>", "", 0}, {"ab h\xc3", "", 0}, {"a", " ", 1},
    };
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        char *string = xstrdup(cases[k].stop);
        struct stops s = stops_make(tok, (struct conf_strs){&string, 1});
        int hit = 0;
        for (int n = 1; n <= N && !hit; n++) {
            size_t bytes = 99;
            char *text = stops_hit(&s, false, ids, n, &bytes);
            if (text) {
                hit = n;
                check_str(text, cases[k].before);
                check_int(bytes, strlen(text));
            }
            free(text);
        }
        check_msg(hit == cases[k].at, "\"%s\" found after %d ids, not %d", cases[k].stop, hit, cases[k].at);
        free(string);
    }
    /* A text of its own has no space in front, so a stop string cannot be found in it. */
    char space[] = " a", b[] = "b", a[] = "ab", *strings[] = {b, a, space};
    struct stops s = stops_make(tok, (struct conf_strs){strings + 2, 1});
    size_t bytes;
    check(!stops_hit(&s, true, ids, 1, &bytes));
    /* Of several the first in the text counts, however late it was completed. */
    s = stops_make(tok, (struct conf_strs){strings, 2});
    check(!stops_hit(&s, true, ids, 1, &bytes));
    char *text = stops_hit(&s, true, ids, 2, &bytes);
    check(text && !*text);
    free(text);
    /* Far into a long answer; ids beyond the tokenizer's have no text. */
    int32_t *many = xmalloc(sizeof(int32_t) * 5000);
    for (int i = 0; i < 5000; i++)
        many[i] = i % 3 ? TINY_A + 5 : 100000;
    many[4998] = TINY_A;
    many[4999] = TINY_A + 1;
    s = stops_make(tok, (struct conf_strs){strings + 1, 1});
    check(!stops_hit(&s, true, many, 4999, &bytes));
    text = stops_hit(&s, true, many, 5000, &bytes);
    check(text && bytes == 3332 && strlen(text) == 3332);
    free(text);
    free(many);
    int32_t begin[] = {1}, open[] = {1, TINY_A}, after[] = {1, TINY_INST, TINY_A, TINY_INST_END};
    check(stops_begins_text(&s, NULL, 0) && stops_begins_text(&s, begin, 1) && stops_begins_text(&s, after, 4));
    check(!stops_begins_text(&s, open, 2));
    tokenizer_close(tok);
}

static const struct test tests[] = {
    {"any split of a prompt gives the same logits", splits},
    {"bf16 states are close to f32", bf16_state},
    {"greedy decoding is the argmax of whole passes", greedy_is_argmax_of_whole_passes},
    {"a long prompt's pieces give the log-probabilities of one pass", long_prompt},
    {"draws are a function of seed, stream and place", draws},
    {"a sequence does not depend on its slot and its mates", slots_come_and_go},
    {"slots as memory allows", memory_is_kept},
    {"logits that are not finite are told", not_finite},
    {"stop strings", stop_strings},
};

int main(int argc, char **argv)
{
    struct err e;
    if (!dev_open(0, &e))
        die("%s", e.msg);
    must(mkdtemp(dir));
    int status = test_main(argc, argv, "test_engine", tests, (int)(sizeof tests / sizeof tests[0]));
    file_remove_tree(dir, &e);
    return status;
}
