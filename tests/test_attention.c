/* tests/test_attention.c - the Transformer's ops (kernels/kv.h, attention.h, swiglu.h) against double precision: pages in random order, heads in
 * groups, every length from 1 to 300, pages of odd sizes where the device takes them. */
#include "kernels/attention.h"
#include "kernels/swiglu.h"
#include "tests/ref_ops.h"
#include "tests/ref_util.h"

static enum dtype type_here(void)
{
    ref_device();
    return dev_supports(BF16) ? BF16 : F32;
}
static bool odd_pages(void)
{
    return strcmp(dev_backend(), "cpu") == 0;
}

/* Some sequences' keys and values, on the device in pages and on the host as they are there. */
struct world {
    enum dtype type;
    int32_t seqs, q_heads, heads, dim, page, width, pages;
    double *k, *v;  /* [seqs][width * page tokens][heads][dim] */
    int32_t *table; /* host */
    int32_t *table_dev;
    struct kv_cache kv;
};

static int64_t token_at(const struct world *w, int32_t seq, int32_t position)
{
    return ((int64_t)seq * w->width * w->page + position) * w->heads * w->dim;
}
static int64_t cache_at(const struct world *w, int32_t seq, int32_t position, int32_t head)
{
    int64_t page = w->table[seq * w->width + position / w->page];
    return ((page * w->heads + head) * w->page + position % w->page) * w->dim;
}

static struct world world_make(int32_t seqs, int32_t longest, int32_t q_heads, int32_t heads, int32_t dim, int32_t page, uint64_t seed)
{
    int32_t width = (longest + page - 1) / page;
    struct world w = {type_here(), seqs, q_heads, heads, dim, page, width, seqs * width + 3, NULL, NULL, NULL, NULL, {0}};
    int64_t tokens = (int64_t)seqs * width * page * heads * dim, all = (int64_t)w.pages * heads * page * dim;
    double *cache = xmalloc(sizeof *cache * (size_t)all);
    w.table = xmalloc(sizeof *w.table * (size_t)(seqs * width));
    for (int32_t i = 0; i < seqs * width; i++)
        w.table[i] = (int32_t)rng_permute(seed, 1, (uint64_t)w.pages, (uint64_t)i);
    w.table_dev = ref_dev(w.table, sizeof *w.table * (size_t)(seqs * width));
    for (int kv = 0; kv < 2; kv++) {
        double *values = xmalloc(sizeof *values * (size_t)tokens);
        ref_normal(values, tokens, 2 * seed + (uint64_t)kv, 0, kv == 0 ? 1.5 : 1);
        for (int64_t i = 0; i < all; i++)
            cache[i] = 1e4; /* a page that is not the sequence's would show */
        for (int32_t s = 0; s < seqs; s++)
            for (int32_t p = 0; p < width * page; p++)
                for (int32_t h = 0; h < heads; h++)
                    for (int32_t c = 0; c < dim; c++) {
                        double *v = &values[token_at(&w, s, p) + h * dim + c];
                        *v = ref_round(w.type, *v);
                        cache[cache_at(&w, s, p, h) + c] = *v;
                    }
        void *device = dev_alloc((size_t)(all * dtype_size(w.type)));
        ref_put(device, w.type, cache, all);
        *(kv == 0 ? &w.k : &w.v) = values;
        *(kv == 0 ? &w.kv.k : &w.kv.v) = device;
    }
    w.kv.type = w.type, w.kv.pages = w.pages, w.kv.heads = heads, w.kv.page = page, w.kv.dim = dim;
    free(cache);
    return w;
}
static void world_free(struct world *w)
{
    dev_free(w->kv.k);
    dev_free(w->kv.v);
    dev_free(w->table_dev);
    free(w->k);
    free(w->v);
    free(w->table);
}

/* o [q_heads dim] of one row. */
static void ref_attention(double *o, const double *q, const struct world *w, int32_t seq, int32_t keys)
{
    double *score = xmalloc(sizeof *score * (size_t)keys);
    for (int32_t h = 0; h < w->q_heads; h++) {
        int64_t kv = (int64_t)(h / (w->q_heads / w->heads)) * w->dim;
        double most = -INFINITY, sum = 0;
        for (int32_t j = 0; j < keys; j++) {
            score[j] = 0;
            for (int32_t c = 0; c < w->dim; c++)
                score[j] += q[h * w->dim + c] * w->k[token_at(w, seq, j) + kv + c] / sqrt(w->dim);
            most = fmax(most, score[j]);
        }
        for (int32_t c = 0; c < w->dim; c++)
            o[h * w->dim + c] = 0;
        for (int32_t j = 0; j < keys; j++) {
            double p = exp(score[j] - most);
            sum += p;
            for (int32_t c = 0; c < w->dim; c++)
                o[h * w->dim + c] += p * w->v[token_at(w, seq, j) + kv + c];
        }
        for (int32_t c = 0; c < w->dim; c++)
            o[h * w->dim + c] /= sum;
    }
    free(score);
}

/* One pass of n rows, compared row by row. room: rows that attention_open() is told of. */
static void one_pass(const struct world *w, enum attention_kind kind, int32_t room, int32_t n, const int32_t *seq, const int32_t *position)
{
    int64_t width = (int64_t)w->q_heads * w->dim;
    struct dmat q = dmat_normal(w->type, n, width, 0, 0, 77, 1), o = dmat_make(w->type, n, width, 0, 0);
    struct attention_shape s = {kind, w->type, room, w->q_heads, w->heads, w->dim, w->pages, w->page, w->width};
    void *scratch = dev_alloc(attention_scratch(&s));
    struct attention *a = attention_open(&s, scratch);
    int32_t *seq_dev = ref_dev(seq, sizeof *seq * (size_t)n), *position_dev = ref_dev(position, sizeof *position * (size_t)n);
    double *want = xmalloc(sizeof *want * (size_t)width), *got;
    for (int call = 0; call < 2; call++) { /* the first chooses how, the second uses that */
        dev_zero(o.block, (size_t)(n * width * dtype_size(w->type)));
        attention_rows(a, (struct kv_rows){n, seq_dev, position_dev, w->table_dev, w->width}, kind == ATTENTION_STEP ? 0 : position[0]);
        attention_fwd(a, o.m, q.m, w->kv);
        got = dmat_got(&o);
        for (int32_t i = 0; i < n; i++) {
            ref_attention(want, q.v + i * width, w, seq[i], position[i] + 1);
            double e = ref_error(got + i * width, want, width);
            check_msg(e < (w->type == F32 ? 2e-6 : ref_tolerance(w->type)),
                      "%s: heads %d of %d, dim %d, page %d, row %d of %d, %d keys: error %g", attention_describe(a), (int)w->q_heads,
                      (int)w->heads, (int)w->dim, (int)w->page, (int)i, (int)n, (int)position[i] + 1, e);
        }
        free(got);
    }
    attention_close(a);
    free(want);
    dev_free(scratch);
    dev_free(seq_dev);
    dev_free(position_dev);
    dmat_free(&q);
    dmat_free(&o);
}

/* A step of n sequences, their order shuffled, of lengths first, first + by, ... */
static void step_of(const struct world *w, int32_t n, int32_t first, int32_t by)
{
    int32_t *seq = xmalloc(sizeof *seq * (size_t)n), *position = xmalloc(sizeof *position * (size_t)n);
    for (int32_t i = 0; i < n; i++) {
        seq[i] = (int32_t)rng_permute(5, 5, (uint64_t)n, (uint64_t)i);
        position[i] = first + by * i - 1;
    }
    one_pass(w, ATTENTION_STEP, n, n, seq, position);
    free(seq);
    free(position);
}

static void steps(void)
{
    static const struct {
        int32_t q_heads, heads, dim, page;
    } cases[] = {{28, 4, 128, 64}, {4, 4, 64, 16}, {7, 1, 64, 128}, {6, 2, 8, 3}, {4, 1, 10, 7}, {2, 2, 16, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases && (i < 3 || odd_pages()); i++) {
        struct world w = world_make(3, 300, cases[i].q_heads, cases[i].heads, cases[i].dim, cases[i].page, 100 + i);
        step_of(&w, 3, 300, -149); /* 300, 151, 2 */
        step_of(&w, 1, 129, 0);
        step_of(&w, 3, 1, 64); /* 1, 65, 129 */
        world_free(&w);
    }
}

static void every_length(void)
{
    struct world w = world_make(300, 300, 4, 2, odd_pages() ? 8 : 64, odd_pages() ? 13 : 16, 7);
    step_of(&w, 300, 1, 1);
    world_free(&w);
}

static void prompt_piece(const struct world *w, int32_t first, int32_t n, int32_t room)
{
    int32_t *seq = xmalloc(sizeof *seq * (size_t)n), *position = xmalloc(sizeof *position * (size_t)n);
    for (int32_t i = 0; i < n; i++) {
        seq[i] = 1;
        position[i] = first + i;
    }
    one_pass(w, ATTENTION_PROMPT, room, n, seq, position);
    free(seq);
    free(position);
}

static void prompts(void)
{
    static const struct {
        int32_t q_heads, heads, dim, page;
    } cases[] = {{28, 4, 128, 16}, {6, 2, 64, 64}, {6, 2, 8, 5}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases && (i < 2 || odd_pages()); i++) {
        struct world w = world_make(2, 300, cases[i].q_heads, cases[i].heads, cases[i].dim, cases[i].page, 200 + i);
        int32_t page = cases[i].page;
        prompt_piece(&w, 0, 1, 2 * page);
        prompt_piece(&w, 0, 2 * page, 2 * page);
        prompt_piece(&w, page, 2 * page - 1, 2 * page);
        prompt_piece(&w, 300 / page * page - page, page, 2 * page);
        world_free(&w);
    }
}

/* kv_append: queries turned, keys turned and values in their places, nothing else written. */
static void append(void)
{
    enum { SEQS = 3, ROWS = 7 };
    static const int32_t seq[ROWS] = {2, 0, 1, 1, 0, 2, 2}, position[ROWS] = {0, 1, 65535, 65534, 40000, 17, 131};
    int32_t q_heads = 6, heads = 2, dim = 16, page = odd_pages() ? 12 : 16, width = 65536 / page + 1, pages = SEQS * 40;
    int64_t qw = q_heads * dim, kw = heads * dim, all = (int64_t)pages * heads * page * dim;
    enum dtype t = type_here();
    int32_t *table =
        xmalloc(sizeof *table * (size_t)(SEQS * width)); /* a page is shared by far-away tokens: only ROWS of them are written */
    for (int32_t i = 0; i < SEQS * width; i++)
        table[i] = (int32_t)rng_permute(3, 3, (uint64_t)pages, (uint64_t)(i % pages));
    struct dmat qkv = dmat_normal(t, ROWS, qw + 2 * kw, 0, 8, 11, 1), q = dmat_make(t, ROWS, qw, 0, 0),
                bias = dvec_normal(qw + 2 * kw, 12, 0, 1);
    struct dmat k = dmat_make(t, 1, all, 0, 0), v = dmat_make(t, 1, all, 0, 0);
    double turns[8], *want = xcalloc((size_t)(ROWS * qw), sizeof *want), *want_k = xcalloc((size_t)all, sizeof *want_k),
                     *want_v = xcalloc((size_t)all, sizeof *want_v);
    kv_turns(turns, dim, 1e6);
    void *turns_dev = ref_dev(turns, sizeof turns), *table_dev = ref_dev(table, sizeof *table * (size_t)(SEQS * width));
    void *seq_dev = ref_dev(seq, sizeof seq), *position_dev = ref_dev(position, sizeof position);
    for (int32_t r = 0; r < ROWS; r++)
        for (int32_t h = 0; h < q_heads + 2 * heads; h++)
            for (int32_t c = 0; c < dim; c++) {
                int32_t half = dim / 2, kv_head = (h - q_heads) % heads;
                const double *in = qkv.v + r * (qw + 2 * kw) + h * dim, *b = bias.v + h * dim;
                double x = in[c] + b[c];
                if (h < q_heads + heads) {
                    double other = in[(c + half) % dim] + b[(c + half) % dim], angle = position[r] * pow(1e6, -2.0 * (c % half) / dim);
                    x = x * cos(angle) + (c < half ? -1 : 1) * other * sin(angle);
                }
                int64_t at =
                    (((int64_t)table[seq[r] * width + position[r] / page] * heads + kv_head) * page + position[r] % page) * dim + c;
                *(h < q_heads ? &want[r * qw + h * dim + c] : h < q_heads + heads ? &want_k[at] : &want_v[at]) = x;
            }
    kv_append(q.m, qkv.m, bias.m.data, turns_dev, (struct kv_cache){k.m.data, v.m.data, t, pages, heads, page, dim},
              (struct kv_rows){ROWS, seq_dev, position_dev, table_dev, width});
    double bound = t == F32 ? 2e-7 : 4e-3, e;
    check_msg((e = dmat_error(&q, want)) < bound, "queries: error %g", e);
    check_msg((e = dmat_error(&k, want_k)) < bound, "keys: error %g", e);
    check_msg((e = dmat_error(&v, want_v)) < bound, "values: error %g", e);
    double *got = dmat_got(&k);
    int64_t written = 0;
    for (int64_t i = 0; i < all; i++)
        written += got[i] != 0;
    check_int(written, ROWS * kw);
    free(got);
    free(want);
    free(want_k);
    free(want_v);
    free(table);
    dev_free(turns_dev);
    dev_free(table_dev);
    dev_free(seq_dev);
    dev_free(position_dev);
    dmat_free(&qkv);
    dmat_free(&q);
    dmat_free(&bias);
    dmat_free(&k);
    dmat_free(&v);
}

static void swiglu(void)
{
    enum dtype t = type_here();
    for (int i = 0; i < REF_LENGTHS; i++)
        for (int wide = 0; wide < 2; wide++) {
            int64_t rows = ref_lengths[i], n = wide ? 640 : 37;
            struct dmat gu = dmat_normal(t, rows, 2 * n, 0, 8, 21, 2), y = dmat_make(t, rows, n, 8, 0);
            double *want = xmalloc(sizeof *want * (size_t)(rows * n)), e;
            for (int64_t r = 0; r < rows; r++)
                for (int64_t c = 0; c < n; c++)
                    want[r * n + c] = ref_silu(gu.v[r * 2 * n + c]) * gu.v[r * 2 * n + n + c];
            swiglu_fwd(y.m, gu.m);
            check_msg((e = dmat_error(&y, want)) < (t == F32 ? 5e-7 : ref_tolerance(t)), "T %d F %d: error %g", (int)rows, (int)n, e);
            check(dmat_gap_ok(&y));
            free(want);
            dmat_free(&gu);
            dmat_free(&y);
        }
}

static const struct test tests[] = {{"a step's attention, pages in random order", steps},
                                    {"a step of all lengths from 1 to 300", every_length},
                                    {"a prompt's piece sees what is before it", prompts},
                                    {"keys and values find their places", append},
                                    {"swiglu", swiglu}};
TEST_MAIN("test_attention", tests)
