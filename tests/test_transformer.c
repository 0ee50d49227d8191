/* tests/test_transformer.c - the Transformer that the engine is compared with (infer/baseline/): its hidden states against a whole model in
 * double precision, decoding against reading, sequences beside each other, pages and memory. */
#include "infer/baseline/transformer.h"
#include "tests/ref_ops.h"
#include "tests/ref_util.h"

static enum dtype type_here(void)
{
    ref_device();
    return dev_supports(BF16) ? BF16 : F32;
}
static const struct transformer_config tiny = {
    .vocab = 211, .hidden = 96, .ffn = 160, .layers = 3, .heads = 6, .kv_heads = 2, .headdim = 64, .eps = 1e-6, .theta = 1e6};

static struct transformer *open_tiny(int64_t memory)
{
    bool cpu = strcmp(dev_backend(), "cpu") == 0;
    struct transformer_settings s = {.type = type_here(),
                                     .page = cpu ? 5 : 16,
                                     .piece = cpu ? 15 : 48,
                                     .memory = memory,
                                     .seed = 3,
                                     .sampling = {.top_p = 1, .repetition_penalty = 1}};
    struct transformer *t;
    struct err e;
    if (!transformer_open(&t, &tiny, &s, &e))
        die("%s", e.msg);
    return t;
}

static double *host_mat(mat m)
{
    double *v = xmalloc(sizeof *v * (size_t)(m.rows * m.cols));
    must(m.ld == m.cols);
    ref_get(v, m.dtype, m.data, m.rows * m.cols);
    return v;
}
static double *host_vec(const float *p, int64_t n)
{
    double *v = xmalloc(sizeof *v * (size_t)n);
    ref_get(v, F32, p, n);
    return v;
}

/* x [n, heads dim], a row is a position, turned as Hugging Face does it. */
static void ref_rope(double *x, int64_t n, int64_t ld, int heads, int dim, double theta)
{
    for (int64_t p = 0; p < n; p++)
        for (int h = 0; h < heads; h++)
            for (int i = 0; i < dim / 2; i++) {
                double *a = x + p * ld + h * dim + i, *b = a + dim / 2, angle = (double)p * pow(theta, -2.0 * i / dim);
                double turned = *a * cos(angle) - *b * sin(angle);
                *b = *b * cos(angle) + *a * sin(angle);
                *a = turned;
            }
}
static void ref_causal(double *o, const double *qkv, const struct transformer_config *c, int64_t n)
{
    int d = c->headdim, group = c->heads / c->kv_heads;
    int64_t ld = (int64_t)(c->heads + 2 * c->kv_heads) * d;
    double *w = xmalloc(sizeof *w * (size_t)n);
    for (int64_t i = 0; i < n; i++)
        for (int h = 0; h < c->heads; h++) {
            double sum = 0, *out = o + (i * c->heads + h) * d;
            for (int64_t j = 0; j <= i; j++) {
                w[j] = 0;
                for (int k = 0; k < d; k++)
                    w[j] += qkv[i * ld + h * d + k] * qkv[j * ld + (c->heads + h / group) * d + k];
                sum += w[j] = exp(w[j] / sqrt(d));
            }
            for (int k = 0; k < d; k++) {
                out[k] = 0;
                for (int64_t j = 0; j <= i; j++)
                    out[k] += w[j] / sum * qkv[j * ld + (c->heads + c->kv_heads + h / group) * d + k];
            }
        }
    free(w);
}

/* x += y w^T */
static void add_linear(double *x, const double *y, const double *w, int64_t n, int64_t in, int64_t out)
{
    double *sum = xmalloc(sizeof *sum * (size_t)(n * out));
    ref_linear(sum, y, w, x, n, in, out);
    memcpy(x, sum, sizeof *sum * (size_t)(n * out));
    free(sum);
}

/* The last hidden states [n, hidden] of n tokens. */
static double *ref_model(const struct transformer_config *c, const struct transformer_weights *w, const int32_t *ids, int64_t n)
{
    int64_t D = c->hidden, Q = (int64_t)(c->heads + 2 * c->kv_heads) * c->headdim, O = (int64_t)c->heads * c->headdim, F = c->ffn;
    double *x = xmalloc(sizeof *x * (size_t)(n * D)), *h = xmalloc(sizeof *h * (size_t)(n * D)), *o = xmalloc(sizeof *o * (size_t)(n * O));
    double *qkv = xmalloc(sizeof *qkv * (size_t)(n * Q)), *gu = xmalloc(sizeof *gu * (size_t)(n * 2 * F)),
           *y = xmalloc(sizeof *y * (size_t)(n * F));
    double *embed = host_mat(w->embed);
    for (int64_t i = 0; i < n * D; i++)
        x[i] = embed[ids[i / D] * D + i % D];
    free(embed);
    for (int l = 0; l < c->layers; l++) {
        const struct transformer_layer *p = &w->layer[l];
        double *norm1 = host_vec(p->norm_attention, D), *norm2 = host_vec(p->norm_ffn, D), *bias = host_vec(p->qkv_bias, Q);
        double *wq = host_mat(p->qkv), *wo = host_mat(p->out), *wg = host_mat(p->gate_up), *wd = host_mat(p->down);
        ref_rmsnorm(h, x, norm1, c->eps, n, D);
        ref_linear(qkv, h, wq, NULL, n, D, Q);
        for (int64_t i = 0; i < n * Q; i++)
            qkv[i] += bias[i % Q];
        ref_rope(qkv, n, Q, c->heads + c->kv_heads, c->headdim, c->theta);
        ref_causal(o, qkv, c, n);
        add_linear(x, o, wo, n, O, D);
        ref_rmsnorm(h, x, norm2, c->eps, n, D);
        ref_linear(gu, h, wg, NULL, n, D, 2 * F);
        for (int64_t i = 0; i < n * F; i++)
            y[i] = ref_silu(gu[i / F * 2 * F + i % F]) * gu[i / F * 2 * F + F + i % F];
        add_linear(x, y, wd, n, F, D);
        double *all[] = {norm1, norm2, bias, wq, wo, wg, wd};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
            free(all[i]);
    }
    double *norm = host_vec(w->norm, D);
    ref_rmsnorm(h, x, norm, c->eps, n, D);
    free(norm);
    free(x);
    free(o);
    free(qkv);
    free(gu);
    free(y);
    return h;
}

enum { LONGEST = 70 };
static void make_ids(int32_t *ids, int64_t n, uint64_t stream)
{
    for (int64_t i = 0; i < n; i++)
        ids[i] = (int32_t)rng_below(9, stream, (uint64_t)i, (uint64_t)tiny.vocab);
}
/* A model's whole arithmetic: larger than an op's. */
static double bound(void)
{
    return type_here() == F32 ? 1e-5 : 2e-2;
}

static void against_double(void)
{
    struct transformer *t = open_tiny(0);
    int32_t ids[LONGEST];
    make_ids(ids, LONGEST, 1);
    double *want = ref_model(&tiny, transformer_weights(t), ids, LONGEST);
    static const int lengths[] = {1, 2, 5, 6, 16, 17, 31, 49, 64, LONGEST};
    check_int(transformer_begin(t, LONGEST, LONGEST, 1), 1);
    for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++) {
        int64_t n = lengths[k];
        transformer_release(t, 0);
        transformer_prefill(t, 0, ids, n);
        if (n > 1) {
            mat h = transformer_hidden(t);
            double *got = host_mat(h), e = ref_error(got, want + (n - 1 - h.rows) * tiny.hidden, h.rows * tiny.hidden);
            check_msg(e < bound(), "%d tokens read, the last %d: error %g", (int)n, (int)h.rows, e);
            free(got);
        }
        check(transformer_step(t));
        check_int(transformer_length(t, 0), n);
        double *got = host_mat(transformer_hidden(t)), e = ref_error(got, want + (n - 1) * tiny.hidden, tiny.hidden);
        check_msg(e < bound(), "step after %d tokens: error %g", (int)n, e);
        free(got);
    }
    free(want);
    transformer_close(t);
}

/* What a sequence generates, token by token, is what it would have been given to read. Greedily. */
static void decode_is_prefill(void)
{
    enum { PROMPT = 9, STEPS = 50 };
    struct transformer *t = open_tiny(0);
    int32_t ids[PROMPT + STEPS];
    make_ids(ids, PROMPT, 2);
    check_int(transformer_begin(t, LONGEST, LONGEST, 1), 1);
    transformer_prefill(t, 0, ids, PROMPT);
    double *stepped[STEPS];
    for (int i = 0; i < STEPS; i++) {
        check(transformer_step(t));
        stepped[i] = host_mat(transformer_hidden(t));
        ids[PROMPT + i] = transformer_token(t, 0);
    }
    double *want = ref_model(&tiny, transformer_weights(t), ids, PROMPT + STEPS);
    for (int i = 0; i < STEPS; i++) {
        double e = ref_error(stepped[i], want + (PROMPT + i - 1) * tiny.hidden, tiny.hidden);
        check_msg(e < bound(), "step %d against double: error %g", i, e);
        if (i % 7 == 0 || i == STEPS - 1) {
            transformer_release(t, 0);
            transformer_prefill(t, 0, ids, PROMPT + i);
            check(transformer_step(t));
            double *read = host_mat(transformer_hidden(t));
            check_msg((e = ref_error(stepped[i], read, tiny.hidden)) < bound(), "step %d against reading: error %g", i, e);
            if (type_here() == F32)
                check_int(transformer_token(t, 0), ids[PROMPT + i]);
            free(read);
        }
        free(stepped[i]);
    }
    free(want);
    transformer_close(t);
}

/* Sequences of unlike lengths, read in any order, do not see each other. */
static void beside_each_other(void)
{
    enum { SEQS = 7, STEPS = 20 };
    struct transformer *t = open_tiny(0);
    int32_t ids[SEQS][LONGEST];
    check_int(transformer_begin(t, 60, LONGEST, SEQS), SEQS);
    for (int k = 0; k < SEQS; k++) {
        int s = k * 3 % SEQS;
        make_ids(ids[s], 1 + 7 * s, (uint64_t)(10 + s));
        transformer_prefill(t, s, ids[s], 1 + 7 * s);
    }
    for (int i = 0; i < STEPS; i++) {
        check(transformer_step(t));
        for (int s = 0; s < SEQS; s++)
            ids[s][1 + 7 * s + i] = transformer_token(t, s);
    }
    double *got = host_mat(transformer_hidden(t));
    for (int s = 0; s < SEQS; s++) {
        int64_t n = 7 * s + STEPS;
        double *want = ref_model(&tiny, transformer_weights(t), ids[s], n),
               e = ref_error(got + s * tiny.hidden, want + (n - 1) * tiny.hidden, tiny.hidden);
        check_msg(e < bound(), "sequence %d: error %g", s, e);
        check_int(transformer_length(t, s), n);
        free(want);
    }
    free(got);
    transformer_close(t);
}

static void memory_limit(void)
{
    enum { PAGES = 400 }; /* of a sequence: so large that its row of logits and the like do not matter */
    ref_device();
    struct transformer *t = open_tiny(0);
    int64_t page = strcmp(dev_backend(), "cpu") == 0 ? 5 : 16, longest = PAGES * page;
    int64_t sequence = longest * tiny.layers * 2 * tiny.kv_heads * tiny.headdim * dtype_size(type_here());
    check_int(transformer_begin(t, longest, longest, 1), 1);
    int64_t one = transformer_memory(t).all - transformer_memory(t).libraries;
    check_int(transformer_memory(t).cache, sequence);
    transformer_close(t);
    int64_t limit = (int64_t)dev_library_bytes() + one + 9 * sequence + sequence / 2;
    t = open_tiny(limit);
    int32_t slots = transformer_begin(t, longest, longest, 1000);
    check_int(slots, 10);
    check_msg(transformer_memory(t).all <= limit && transformer_memory(t).all > limit - 2 * sequence, "%lld of %lld bytes",
              (long long)transformer_memory(t).all, (long long)limit);
    /* Half as long on average, about twice as many of them. */
    int32_t more = transformer_begin(t, longest / 2, longest, 1000);
    check_msg(more >= 17 && more <= 20, "%d sequences", (int)more);
    check_int(transformer_begin(t, 20 * longest, 20 * longest, 10), 0);
    check_int(transformer_begin(t, longest, longest, 4), 4);
    transformer_close(t);

    struct transformer_settings s = {.type = type_here(), .page = 16, .piece = 16, .memory = 1 << 12};
    struct err e;
    check(!transformer_open(&t, &tiny, &s, &e));
    check_has(e.msg, "raise the memory limit");
}

static void ends(void)
{
    struct transformer *t = open_tiny(0);
    int64_t page = strcmp(dev_backend(), "cpu") == 0 ? 5 : 16;
    int32_t ids[1] = {4};
    check_int(transformer_begin(t, 2 * page, 2 * page, 2), 2); /* a sequence at its longest */
    transformer_fill(t, 0, 2 * page - 2);
    transformer_prefill(t, 1, ids, 1);
    check(transformer_step(t));
    check(transformer_step(t));
    check(!transformer_step(t));
    check_int(transformer_length(t, 0), 2 * page);
    check_int(transformer_length(t, 1), 2);
    check_int(transformer_begin(t, page, 3 * page, 2), 2); /* four pages: used up before any sequence is at its longest */
    transformer_fill(t, 0, 2 * page);
    transformer_fill(t, 1, 2 * page - 1);
    check(!transformer_step(t));
    transformer_release(t, 1); /* its pages are free for it again */
    transformer_fill(t, 1, page - 1);
    check(transformer_step(t));
    check_int(transformer_length(t, 0), 2 * page + 1);
    transformer_close(t);
}

static void the_shape(void)
{
    struct transformer_config c = transformer_qwen25_7b();
    check_int(transformer_weight_count(&c), 7615616512); /* what Hugging Face counts in Qwen/Qwen2.5-7B */
}

static const struct test tests[] = {{"hidden states against double precision", against_double},
                                    {"decoding token by token equals reading", decode_is_prefill},
                                    {"sequences beside each other", beside_each_other},
                                    {"as many sequences as the memory holds", memory_limit},
                                    {"where sequences and pages end", ends},
                                    {"the shape of Qwen2.5-7B", the_shape}};
TEST_MAIN("test_transformer", tests)
