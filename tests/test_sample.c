/* tests/test_sample.c - every drawn token against the inverse transform of the same uniform number in double precision, and the counts
 * of many draws against the probabilities. */
#include "kernels/sample.h"
#include "tests/ref_ops.h"
#include "tests/ref_util.h"

/* A batch on the device. Row i has stream 1000 + 17 i and, with slots reversed, slot B - 1 - i. */
struct batch {
    int64_t rows, vocab, words;
    struct dmat logits;
    struct sample_rows r;
    int32_t *token;
    void *scratch;
    uint64_t *stream;
};

static struct batch batch_make(enum dtype t, int64_t rows, int64_t vocab, int64_t first_stream)
{
    struct batch b = {.rows = rows, .vocab = vocab, .words = (vocab + 31) / 32};
    b.logits = dmat_make(t, rows, vocab, 0, vocab % 2 ? 3 : 0);
    b.stream = xmalloc((size_t)rows * sizeof *b.stream);
    int32_t *slot = xmalloc((size_t)rows * sizeof *slot);
    for (int64_t i = 0; i < rows; i++) {
        b.stream[i] = 1000 + 17 * (uint64_t)(first_stream + i);
        slot[i] = (int32_t)(rows - 1 - i);
    }
    b.r.stream = ref_dev(b.stream, (size_t)rows * sizeof *b.stream);
    b.r.slot = ref_dev(slot, (size_t)rows * sizeof *slot);
    b.r.index = dev_alloc((size_t)rows * sizeof *b.r.index);
    b.r.seen = dev_alloc((size_t)(rows * b.words) * sizeof *b.r.seen);
    b.token = dev_alloc((size_t)rows * sizeof *b.token);
    b.scratch = dev_alloc(sample_scratch(rows, vocab));
    free(slot);
    return b;
}
static void batch_free(struct batch *b)
{
    dmat_free(&b->logits);
    dev_free((void *)b->r.stream);
    dev_free((void *)b->r.slot);
    dev_free(b->r.index);
    dev_free(b->r.seen);
    dev_free(b->token);
    dev_free(b->scratch);
    free(b->stream);
}
static void batch_step(struct batch *b, struct sampling s, int32_t *token)
{
    dmat_put(&b->logits);
    sample_step(b->token, b->logits.m, s, b->r, b->scratch);
    dev_get(token, b->token, (size_t)b->rows * sizeof *token);
}

/* The token that u falls on, or -1 when it is too near an edge between two to say. */
static int32_t inverse(const double *p, const int32_t *order, int64_t kept, double u)
{
    double sum = 0;
    for (int64_t i = 0; i < kept; i++) {
        double next = sum + p[order[i]];
        if (fabs(u - next) < 2e-6)
            return -1;
        if (u < next)
            return order[i];
        sum = next;
    }
    return -1;
}

static const struct sampling settings[] = {
    {.temperature = 1, .top_p = 1, .repetition_penalty = 1, .seed = 7},
    {.temperature = 0.6f, .top_p = 0.95f, .repetition_penalty = 1, .seed = 8},
    {.temperature = 1, .top_p = 1, .top_k = 5, .repetition_penalty = 1, .seed = 9},
    {.temperature = 1.5f, .top_p = 0.8f, .top_k = 20, .repetition_penalty = 1, .seed = 10},
    {.temperature = 0.8f, .top_p = 0.9f, .repetition_penalty = 1.3f, .seed = 11},
    {.temperature = 2, .top_p = 0.999f, .top_k = 1000000, .repetition_penalty = 0.8f, .seed = 12},
    {.temperature = 1e-3f, .top_p = 1, .repetition_penalty = 1, .seed = 13},
    {.temperature = 1, .top_p = 1e-6f, .repetition_penalty = 1, .seed = 14},
};
enum { SETTINGS = sizeof settings / sizeof *settings };

/* Whole generations: the seen bits, the index and the choices follow the reference, row by row. */
static void follows(enum dtype t, int64_t rows, int64_t vocab, int steps, double scale, double tail)
{
    double *p = xmalloc(sizeof(double) * (size_t)vocab), *l = xmalloc(sizeof(double) * (size_t)vocab);
    int32_t *order = xmalloc(sizeof(int32_t) * (size_t)vocab), *token = xmalloc(sizeof(int32_t) * (size_t)rows);
    bool *seen = xcalloc((size_t)(rows * vocab), sizeof *seen);
    for (int i = 0; i < SETTINGS; i++) {
        struct batch b = batch_make(t, rows, vocab, 0);
        memset(seen, 0, (size_t)(rows * vocab));
        int64_t compared = 0;
        for (int64_t step = 0; step < steps; step++) {
            ref_normal(b.logits.v, rows * vocab, (uint64_t)(100 * i + step), 0, scale);
            for (int64_t j = 0; j < rows * vocab; j++)
                b.logits.v[j] = j % 7 ? b.logits.v[j] : b.logits.v[j] - tail; /* most of the mass in the head, or not */
            batch_step(&b, settings[i], token);
            for (int64_t r = 0; r < rows; r++) {
                memcpy(l, b.logits.v + r * vocab, sizeof(double) * (size_t)vocab);
                int64_t kept = ref_sample_probs(p, order, l, seen + r * vocab, settings[i].temperature, settings[i].top_p,
                                                settings[i].top_k, settings[i].repetition_penalty, vocab);
                int32_t want = inverse(p, order, kept, rng_uniform(settings[i].seed, b.stream[r], (uint64_t)step));
                check_msg(want < 0 || token[r] == want, "%s V %d setting %d row %d step %d: token %d, want %d", ref_dtype_name(t),
                          (int)vocab, i, (int)r, (int)step, token[r], want);
                compared += want >= 0;
                if (token[r] < 0 || token[r] >= vocab)
                    return;
                seen[r * vocab + token[r]] = true;
            }
        }
        check_msg(compared >= rows * steps * 9 / 10, "only %d compared", (int)compared);
        int64_t *index = xmalloc(sizeof *index * (size_t)rows);
        dev_get(index, b.r.index, sizeof *index * (size_t)rows);
        uint32_t *bits = xmalloc(sizeof *bits * (size_t)(rows * b.words));
        dev_get(bits, b.r.seen, sizeof *bits * (size_t)(rows * b.words));
        for (int64_t r = 0; r < rows; r++) {
            check_int(index[r], steps);
            for (int64_t v = 0; v < vocab; v++)
                if (seen[r * vocab + v] != (bits[(rows - 1 - r) * b.words + v / 32] >> v % 32 & 1)) {
                    check_msg(false, "seen bit of token %d, row %d", (int)v, (int)r);
                    break;
                }
        }
        free(index);
        free(bits);
        batch_free(&b);
    }
    free(p);
    free(l);
    free(order);
    free(token);
    free(seen);
}
static void generations(void)
{
    ref_device();
    follows(F32, 5, 50, 60, 2, 0);
    follows(F32, 3, 257, 30, 0.5, 0);
    follows(F32, 2, 32768, 2, 3, 0);    /* a long tail under the first portion */
    follows(F32, 2, 32768, 2, 0.1, 20); /* flat */
    if (dev_supports(BF16))
        follows(BF16, 5, 104, 30, 2, 0);
}

/* Counts of 100,000 draws: chi-square within six standard deviations of its mean, nothing outside the kept set. */
static void counts(void)
{
    ref_device();
    enum { ROWS = 1000, STEPS = 100, V = 40 };
    struct batch b = batch_make(F32, ROWS, V, 0);
    int32_t token[ROWS], order[V];
    for (int i = 0; i < 4; i++) {
        double p[V], l[V];
        int64_t count[V] = {0};
        ref_normal(l, V, 5, 0, 1.5);
        for (int64_t j = 0; j < ROWS * V; j++)
            b.logits.v[j] = l[j % V];
        dmat_put(&b.logits);
        memcpy(l, b.logits.v, sizeof l);
        for (int step = 0; step < STEPS; step++) {
            batch_step(&b, settings[i], token);
            for (int r = 0; r < ROWS; r++)
                count[token[r]]++;
        }
        int64_t kept = ref_sample_probs(p, order, l, NULL, settings[i].temperature, settings[i].top_p, settings[i].top_k, 1, V);
        double chi = 0;
        for (int64_t j = 0; j < V; j++) {
            double want = p[j] * ROWS * STEPS;
            check_msg(want > 0 || count[j] == 0, "setting %d: token %d drawn %d times", i, (int)j, (int)count[j]);
            if (want > 0)
                chi += (count[j] - want) * (count[j] - want) / want;
        }
        double mean = (double)(kept - 1);
        check_msg(chi < mean + 6 * sqrt(2 * mean) && chi > mean - 6 * sqrt(2 * mean), "setting %d: chi-square %g of %g", i, chi, mean);
    }
    batch_free(&b);
}

static void greedy(void)
{
    ref_device();
    enum { ROWS = 4, V = 1000 };
    struct sampling s = {.temperature = 0, .top_p = 1, .repetition_penalty = 1};
    for (int t = F32; t <= BF16; t++) {
        if (!dev_supports(t))
            continue;
        struct batch b = batch_make(t, ROWS, V, 0);
        int32_t token[ROWS];
        for (int64_t j = 0; j < ROWS * V; j++)
            b.logits.v[j] = -3;
        b.logits.v[700] = b.logits.v[333] = b.logits.v[999] = 2; /* 0: a tie */
        b.logits.v[V + 999] = -1;                                /* 1: the last */
        for (int64_t j = 0; j < V; j++)
            b.logits.v[2 * V + j] = -INFINITY;
        b.logits.v[2 * V + 41] = -5; /* 2: all else masked; row 3: all the same */
        batch_step(&b, s, token);
        check_int(token[0], 333);
        check_int(token[1], 999);
        check_int(token[2], 41);
        check_int(token[3], 0);
        /* The penalty moves the choice: 2/4 < 1, and -3 * 4 < -3. */
        s.repetition_penalty = 4;
        b.logits.v[700] = b.logits.v[999] = 1;
        b.logits.v[V + 999] = -1;
        batch_step(&b, s, token);
        check_int(token[0], 700);
        check_int(token[1], 0); /* -1 * 4 < -3 */
        check_int(token[2], 41);
        check_int(token[3], 1);
        s.repetition_penalty = 1;
        batch_free(&b);
    }
}

/* Known probabilities 1/2, 1/4, 1/8, 1/16, 1/16 in a shuffled order: which tokens can be drawn. */
static void kept_sets(void)
{
    ref_device();
    enum { ROWS = 500, V = 5 };
    static const double logp[V] = {-3, -1, -4, -2, -4}; /* in log 2: by rank 1, 3, 0, 2, 4 */
    static const struct {
        double top_p;
        int top_k, tokens; /* bits */
    } cases[] = {{1, 0, 0x1f},   {1, 1, 0x02},   {1, 2, 0x0a},    {1, 4, 0x0f},   {0.4, 0, 0x02}, {0.6, 0, 0x0a},
                 {0.8, 0, 0x0b}, {0.9, 0, 0x0f}, {0.95, 0, 0x1f}, {0.6, 2, 0x02}, {0.7, 2, 0x0a}, {0.9, 99, 0x0f}};
    for (int i = 0; i < (int)(sizeof cases / sizeof *cases); i++) {
        struct batch b = batch_make(F32, ROWS, V, 100);
        int32_t token[ROWS];
        for (int64_t j = 0; j < ROWS * V; j++)
            b.logits.v[j] = logp[j % V] * log(2) + 10;
        batch_step(&b,
                   (struct sampling){
                       .temperature = 1, .top_p = (float)cases[i].top_p, .top_k = cases[i].top_k, .repetition_penalty = 1, .seed = 3},
                   token);
        int drawn = 0;
        for (int r = 0; r < ROWS; r++)
            drawn |= 1 << token[r];
        check_msg(drawn == cases[i].tokens, "top_p %g top_k %d: tokens %#x, want %#x", cases[i].top_p, cases[i].top_k, (unsigned)drawn,
                  (unsigned)cases[i].tokens);
        batch_free(&b);
    }
}

/* Seven sequences in a batch and the same ones alone: the same tokens. */
static void batch_mates(void)
{
    ref_device();
    enum { ROWS = 7, V = 32768, STEPS = 3 };
    struct batch b = batch_make(F32, ROWS, V, 0);
    int32_t token[STEPS][ROWS], one;
    for (int i = 0; i < 2; i++) {
        struct sampling s = settings[i ? 4 : 0];
        int64_t zero[ROWS] = {0};
        dev_put(b.r.index, zero, sizeof zero);
        for (int step = 0; step < STEPS; step++) {
            ref_normal(b.logits.v, ROWS * V, (uint64_t)step, 0, 3);
            batch_step(&b, s, token[step]);
        }
        dev_zero(b.r.seen, (size_t)(ROWS * b.words) * sizeof *b.r.seen);
        for (int64_t r = 0; r < ROWS; r++) {
            struct batch a = batch_make(F32, 1, V, r);
            for (int step = 0; step < STEPS; step++) {
                ref_normal(b.logits.v, ROWS * V, (uint64_t)step, 0, 3);
                memcpy(a.logits.v, b.logits.v + r * V, sizeof(double) * V);
                batch_step(&a, s, &one);
                check_msg(one == token[step][r], "row %d step %d: %d alone, %d in the batch", (int)r, step, one, token[step][r]);
            }
            batch_free(&a);
        }
    }
    batch_free(&b);
}

static const struct test all[] = {
    {"generations", generations}, {"counts", counts}, {"greedy", greedy}, {"kept_sets", kept_sets}, {"batch_mates", batch_mates}};
TEST_MAIN("sample", all)
