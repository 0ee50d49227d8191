/* tests/test_model.c - the whole model: logits and gradients against the double-precision reference, isolation of packed documents, states,
 * recomputation, memory. */
#include "tests/model_files.h"
#include "tests/ref_model.h"
#include "tests/ref_ops.h"
#include "tests/rig.h"

static struct model_config config_of(int groups, bool tied)
{
    struct model_config c = tiny_config();
    c.vocab = 50;
    c.hidden = 24;
    c.layers = 3;
    c.heads = 8;
    c.headdim = 4;
    c.groups = groups;
    c.chunk = 16;
    c.tied = tied;
    return c;
}

static struct model_shape training(struct model_config c, enum dtype type, int64_t tokens, int32_t docs)
{
    return (struct model_shape){.config = c,
                                .type = type,
                                .residual = F32,
                                .max_tokens = tokens,
                                .max_docs = docs,
                                .kept_layers = c.layers,
                                .train = true,
                                .logit_rows = 37};
}

/* Device weights as the reference's, which then hold what the device's type made of them. */
static void put_weights(struct rig *r, struct ref_model *m)
{
    for (int32_t k = 0; k < r->table.n; k++) {
        const struct param *p = &r->table.param[k];
        enum dtype t = tensors_dtype(r->w, p);
        for (int64_t i = 0; i < p->n; i++)
            m->w[k][i] = ref_round(t, m->w[k][i]);
        ref_put(tensors_at(r->w, p), t, m->w[k], p->n);
    }
}

/* Seeded tokens, targets (a third not learnt) and weights (exact in float32). */
enum { MOST = 600 };
struct input {
    int32_t ids[MOST], target[MOST];
    double weight[MOST];
};
static void make_input(struct input *in, int64_t tokens, int64_t vocab, uint64_t stream)
{
    must(tokens <= MOST);
    for (int64_t i = 0; i < tokens; i++) {
        in->ids[i] = (int32_t)rng_below(1, stream, (uint64_t)i, (uint64_t)vocab);
        in->target[i] = i % 3 == 1 ? -1 : (int32_t)rng_below(2, stream, (uint64_t)i, (uint64_t)vocab);
        in->weight[i] = (double)(1 + rng_below(3, stream, (uint64_t)i, 8)) / 64;
    }
}

static int64_t sum(const int32_t *len, int32_t n)
{
    int64_t t = 0;
    for (int32_t i = 0; i < n; i++)
        t += len[i];
    return t;
}

static void logits_case(int groups, bool tied, enum dtype type)
{
    static const int32_t len[] = {1, 2, 63, 64, 65, 127, 129, 16, 17};
    enum { DOCS = sizeof len / sizeof len[0] };
    struct input in;
    struct rig r;
    struct ref_model m;
    int64_t t = sum(len, DOCS);
    struct model_shape sh = training(config_of(groups, tied), type, t, DOCS);
    rig_open(&r, &sh, 0);
    ref_model_open(&m, &sh.config, &r.table, (uint64_t)groups);
    put_weights(&r, &m);
    make_input(&in, t, sh.config.vocab, 1);
    struct pass p = rig_pass(&r, in.ids, in.target, in.weight, len, DOCS, NULL);
    double *want = xmalloc(sizeof(double) * (size_t)(t * sh.config.vocab));
    ref_model_logits(want, &m, in.ids, len, DOCS);
    double loss = rig_train(&r, &p), want_loss = ref_model_loss(&m, in.ids, in.target, in.weight, len, DOCS);
    double *got = rig_logits(&r, t), error = ref_error(got, want, t * sh.config.vocab);
    check_msg(error < (type == F32 ? 2e-6 : 2e-2), "G %d tied %d %s: %g", groups, tied, ref_dtype_name(type), error);
    error = fabs(loss / want_loss - 1);
    check_msg(error < (type == F32 ? 1e-6 : 5e-3), "G %d tied %d %s: loss %g, want %g", groups, tied, ref_dtype_name(type), loss,
              want_loss);
    free(got);
    free(want);
    ref_model_close(&m);
    rig_close(&r);
}

static void test_logits(void)
{
    ref_device();
    for (int type = F32; type <= BF16; type++)
        for (int groups = 1; groups <= 8; groups += groups == 1 ? 1 : 6)
            for (int tied = 0; dev_supports((enum dtype)type) && tied < 2; tied++)
                logits_case(groups, tied, (enum dtype)type);
}

struct loss_of {
    const struct ref_model *m;
    const struct input *in;
    const int32_t *len;
    int32_t n;
};
static double loss_of(void *arg)
{
    const struct loss_of *l = arg;
    return ref_model_loss(l->m, l->in->ids, l->in->target, l->in->weight, l->len, l->n);
}

/* Every number of the model, against central differences of the reference. */
static void gradient_case(int groups, bool tied)
{
    static const int32_t len[] = {1, 9, 5, 2};
    enum { DOCS = sizeof len / sizeof len[0] };
    struct input in;
    struct rig r;
    struct ref_model m;
    int64_t t = sum(len, DOCS);
    struct model_config c = config_of(groups, tied);
    c.vocab = 11;
    c.hidden = 6;
    c.layers = 2;
    c.headdim = groups == 8 ? 4 : 2; /* a group of very few channels is badly conditioned */
    c.state = 3;
    c.chunk = 4;
    struct model_shape sh = training(c, F32, t, DOCS);
    sh.logit_rows = 7;
    rig_open(&r, &sh, 0);
    ref_model_open(&m, &c, &r.table, 40 + (uint64_t)groups);
    put_weights(&r, &m);
    make_input(&in, t, c.vocab, 2);
    struct pass p = rig_pass(&r, in.ids, in.target, in.weight, len, DOCS, NULL);
    rig_train(&r, &p);
    struct loss_of l = {&m, &in, len, DOCS};
    double worst = 0;
    for (int32_t k = 0; k < r.table.n; k++) {
        const struct param *q = &r.table.param[k];
        double *got = rig_get(r.g, k), *want = xmalloc(sizeof(double) * (size_t)q->n);
        ref_gradient(want, m.w[k], q->n, 1e-4, loss_of, &l);
        double error = ref_error(got, want, q->n);
        check_msg(error < 1e-5, "G %d tied %d %s: %g", groups, tied, q->name, error);
        worst = fmax(worst, error);
        free(got);
        free(want);
    }
    fprintf(stderr, "          G %d, %s head: largest relative error of a tensor's gradient %.1e\n", groups, tied ? "tied" : "own", worst);
    ref_model_close(&m);
    rig_close(&r);
}

static void test_gradients(void)
{
    gradient_case(1, false);
    gradient_case(2, true);
    gradient_case(8, false);
    gradient_case(8, true);
}

/* What a pass leaves that belongs to single rows. */
struct row_numbers {
    float *h, *dx, *loss;
};
static struct row_numbers run_rows(struct rig *r, const struct input *in, const int32_t *len, int32_t n)
{
    struct pass p = rig_pass(r, in->ids, in->target, in->weight, len, n, NULL);
    size_t bytes = sizeof(float) * (size_t)(p.s.tokens * r->shape.config.hidden);
    rig_train(r, &p);
    return (struct row_numbers){rig_bytes(r->acts.h.data, bytes), rig_bytes(r->acts.dx.data, bytes),
                                rig_bytes(r->acts.loss, sizeof(float) * (size_t)p.s.tokens)};
}
static void rows_free(struct row_numbers *n)
{
    free(n->h);
    free(n->dx);
    free(n->loss);
}

/* Rows outside [begin, end) agree to the bit, and some inside do not. */
static void check_isolated(const struct row_numbers *a, const struct row_numbers *b, int64_t t, int64_t d, int64_t begin, int64_t end,
                           int64_t changed)
{
    bool differs = false;
    for (int64_t i = 0; i < t; i++) {
        bool same = !memcmp(a->h + i * d, b->h + i * d, sizeof(float) * (size_t)d) &&
                    !memcmp(a->dx + i * d, b->dx + i * d, sizeof(float) * (size_t)d) && a->loss[i] == b->loss[i];
        if (i < begin || i >= end)
            check_msg(same, "token %lld was changed, row %lld of another document differs", (long long)changed, (long long)i);
        else
            differs = differs || !same;
    }
    check_msg(differs, "token %lld was changed and nothing of its own document differs", (long long)changed);
}

static void test_packing(void)
{
    static const int32_t len[] = {3, 33, 1, 16, 47};
    enum { DOCS = sizeof len / sizeof len[0] };
    for (int kept = 0; kept <= 3; kept += 3) {
        struct input in;
        struct rig r;
        struct ref_model m;
        int64_t t = sum(len, DOCS);
        struct model_shape sh = training(config_of(2, false), F32, t, DOCS);
        sh.kept_layers = kept;
        rig_open(&r, &sh, 0);
        ref_model_open(&m, &sh.config, &r.table, 7);
        put_weights(&r, &m);
        make_input(&in, t, sh.config.vocab, 3);
        struct row_numbers before = run_rows(&r, &in, len, DOCS);
        int64_t begin = 0;
        for (int32_t d = 0; d < DOCS; begin += len[d++])
            for (int64_t i = begin; i < begin + len[d]; i++) {
                struct input other = in;
                other.ids[i] = (int32_t)((in.ids[i] + 1) % sh.config.vocab);
                struct row_numbers after = run_rows(&r, &other, len, DOCS);
                check_isolated(&before, &after, t, sh.config.hidden, begin, begin + len[d], i);
                rows_free(&after);
            }
        rows_free(&before);
        ref_model_close(&m);
        rig_close(&r);
    }
}

/* Gradients are sums over documents: two passes of some documents each, or one pass of all. */
static void test_passes_add(void)
{
    static const int32_t len[] = {20, 1, 31, 9};
    struct input in;
    struct rig r;
    struct ref_model m;
    int64_t t = sum(len, 4), first = sum(len, 2);
    struct model_shape sh = training(config_of(2, true), F32, t, 4);
    struct model_state none = {0};
    rig_open(&r, &sh, 0);
    ref_model_open(&m, &sh.config, &r.table, 8);
    put_weights(&r, &m);
    make_input(&in, t, sh.config.vocab, 4);
    struct pass p = rig_pass(&r, in.ids, in.target, in.weight, len, 4, NULL);
    double whole = rig_train(&r, &p), parts;
    double **want = xmalloc(sizeof *want * (size_t)r.table.n);
    for (int32_t k = 0; k < r.table.n; k++)
        want[k] = rig_get(r.g, k);
    p = rig_pass(&r, in.ids, in.target, in.weight, len, 2, NULL);
    parts = rig_train(&r, &p);
    p = rig_pass(&r, in.ids + first, in.target + first, in.weight + first, len + 2, 2, NULL);
    model_forward(&r.acts, r.w, &p, none);
    model_loss(&r.acts, r.w, &p, true, r.g);
    model_backward(&r.acts, r.w, r.g, &p);
    double *loss = xmalloc(sizeof(double) * (size_t)t);
    ref_get(loss, F32, r.acts.loss, t - first);
    for (int64_t i = 0; i < t - first; i++)
        parts += loss[i];
    check_msg(fabs(parts / whole - 1) < 1e-6, "%g in two passes, %g in one", parts, whole);
    for (int32_t k = 0; k < r.table.n; k++) {
        double *got = rig_get(r.g, k);
        check_msg(ref_error(got, want[k], r.table.param[k].n) < 1e-5, "%s", r.table.param[k].name);
        free(got);
        free(want[k]);
    }
    free(loss);
    free(want);
    ref_model_close(&m);
    rig_close(&r);
}

/* One way to cut documents of `len` tokens into passes: random pieces, single tokens (steps) among them, several documents in one pass,
 * every document in a slot of its own that is not its number. Returns the logits of all tokens, documents end to end. */
static double *in_pieces(struct rig *r, const struct input *in, const int32_t *len, int32_t n, uint64_t cut)
{
    int64_t v = r->shape.config.vocab, start[8] = {0}, done[8] = {0};
    int32_t turn = 0;
    for (int32_t d = 0; d < n; d++)
        start[d + 1] = start[d] + len[d];
    double *out = xmalloc(sizeof(double) * (size_t)(start[n] * v));
    for (int32_t s = 0; s < n + 2; s++)
        state_zero(r->state, s);
    for (bool more = true; more; turn++) {
        int32_t piece[8], who[8], slot[8], docs = 0, ids[MOST];
        int64_t t = 0;
        bool step = rng_below(cut, 1, (uint64_t)turn, 3) == 0; /* one token of each */
        for (int32_t d = 0; d < n; d++) {
            int64_t left = len[d] - done[d];
            if (left == 0 || rng_below(cut, 2 + (uint64_t)d, (uint64_t)turn, 4) == 0)
                continue;
            int64_t take = step ? 1 : 1 + (int64_t)rng_below(cut, 20 + (uint64_t)d, (uint64_t)turn, (uint64_t)(left < 40 ? left : 40));
            for (int64_t i = 0; i < take; i++)
                ids[t + i] = in->ids[start[d] + done[d] + i];
            piece[docs] = (int32_t)take;
            slot[docs] = n + 1 - d;
            who[docs++] = d;
            t += take;
        }
        if (docs > 0) {
            struct pass p = rig_pass(r, ids, NULL, NULL, piece, docs, slot);
            model_forward(&r->acts, r->w, &p, r->state);
            double *got = rig_logits(r, t);
            int64_t row = 0;
            for (int32_t k = 0; k < docs; k++) {
                memcpy(out + (start[who[k]] + done[who[k]]) * v, got + row * v, sizeof(double) * (size_t)(piece[k] * v));
                done[who[k]] += piece[k];
                row += piece[k];
            }
            free(got);
        }
        more = false;
        for (int32_t d = 0; d < n; d++)
            more = more || done[d] < len[d];
    }
    return out;
}

static struct model_shape inferring(struct model_config c, int64_t tokens, int32_t docs)
{
    return (struct model_shape){
        .config = c, .type = F32, .residual = F32, .max_tokens = tokens, .max_docs = docs, .train = false, .logit_rows = 64};
}

static void test_pieces(void)
{
    static const int32_t len[] = {100, 1, 66, 129};
    enum { DOCS = sizeof len / sizeof len[0] };
    for (int groups = 1; groups <= 8; groups *= 8) {
        struct input in;
        struct rig r;
        struct ref_model m;
        int64_t t = sum(len, DOCS);
        struct model_shape sh = inferring(config_of(groups, false), t, DOCS);
        rig_open(&r, &sh, DOCS + 2);
        ref_model_open(&m, &sh.config, &r.table, 9);
        put_weights(&r, &m);
        make_input(&in, t, sh.config.vocab, 5);
        double *want = xmalloc(sizeof(double) * (size_t)(t * sh.config.vocab));
        ref_model_logits(want, &m, in.ids, len, DOCS);
        for (uint64_t cut = 0; cut < 4; cut++) {
            double *got = in_pieces(&r, &in, len, DOCS, cut), worst = 0;
            for (int64_t i = 0; i < t * sh.config.vocab; i++)
                worst = fmax(worst, isfinite(got[i]) ? fabs(got[i] - want[i]) : INFINITY);
            check_msg(worst < 1e-4, "G %d, cut %d: a logit differs by %g", groups, (int)cut, worst);
            free(got);
        }
        free(want);
        ref_model_close(&m);
        rig_close(&r);
    }
}

/* The reference token by token, by its state, is the reference at once. */
static void test_reference_steps(void)
{
    static const int32_t len[] = {37};
    struct input in;
    struct ref_model m;
    struct ref_state s;
    struct param_table table;
    struct model_config c = config_of(2, false);
    int64_t v = c.vocab, t = len[0];
    params_plan(&table, &c);
    ref_model_open(&m, &c, &table, 13);
    make_input(&in, t, v, 9);
    double *want = xmalloc(sizeof *want * (size_t)(t * v)), *got = xmalloc(sizeof *got * (size_t)v),
           *hidden = xmalloc(sizeof *hidden * (size_t)c.hidden);
    ref_model_logits(want, &m, in.ids, len, 1);
    ref_state_open(&s, &m);
    for (int64_t i = 0; i < t; i++) {
        ref_model_step(hidden, got, &m, &s, in.ids[i]);
        check_msg(ref_error(got, want + i * v, v) < 1e-14, "token %d: %g", (int)i, ref_error(got, want + i * v, v));
    }
    ref_state_close(&s);
    ref_model_close(&m);
    params_free(&table);
    free(want);
    free(got);
    free(hidden);
}

/* A copied slot goes on exactly as the one it was copied from; a zeroed one as if it had seen nothing. */
static void test_slots(void)
{
    static const int32_t len[] = {21}, ones[] = {1, 1, 1};
    struct input in;
    struct rig r;
    struct ref_model m;
    struct model_shape sh = inferring(config_of(2, true), 21, 3);
    int64_t v = sh.config.vocab;
    rig_open(&r, &sh, 4);
    ref_model_open(&m, &sh.config, &r.table, 10);
    put_weights(&r, &m);
    make_input(&in, 21, v, 6);
    int32_t slot = 1;
    struct pass p = rig_pass(&r, in.ids, NULL, NULL, len, 1, &slot);
    model_forward(&r.acts, r.w, &p, r.state);
    state_copy(r.state, 3, r.state, 1, &sh.config);
    state_copy(r.state, 0, r.state, 1, &sh.config);
    state_zero(r.state, 0);
    int32_t next[] = {5, 5, 5}, slots[] = {3, 0, 1};
    for (int turn = 0; turn < 3; turn++) {
        p = rig_pass(&r, next, NULL, NULL, ones, 3, slots);
        model_forward(&r.acts, r.w, &p, r.state);
        double *got = rig_logits(&r, 3);
        check(!memcmp(got, got + 2 * v, sizeof(double) * (size_t)v));
        check(memcmp(got, got + v, sizeof(double) * (size_t)v) != 0);
        if (turn == 0) { /* the zeroed slot: a document of one token */
            double *want = xmalloc(sizeof(double) * (size_t)v);
            ref_model_logits(want, &m, next, ones, 1);
            check(ref_error(got + v, want, v) < 1e-5);
            free(want);
        }
        free(got);
    }
    char *a = rig_bytes(r.state.base + 3 * r.state.slot_bytes, (size_t)r.state.slot_bytes),
         *b = rig_bytes(r.state.base + 1 * r.state.slot_bytes, (size_t)r.state.slot_bytes);
    check(!memcmp(a, b, (size_t)r.state.slot_bytes));
    free(a);
    free(b);
    ref_model_close(&m);
    rig_close(&r);
}

/* Losses and all gradients have the same bits however many layers run again, and need less memory the more do. */
static void test_recompute(void)
{
    static const int32_t len[] = {33, 1, 64, 20};
    struct input in;
    ref_device();
    for (int type = F32; type <= BF16; type++) {
        if (!dev_supports((enum dtype)type))
            continue;
        void *want = NULL;
        double want_loss = 0;
        size_t more = 0;
        for (int32_t kept = 3; kept >= 0; kept--) {
            struct rig r;
            struct ref_model m;
            int64_t t = sum(len, 4);
            struct model_shape sh = training(config_of(2, false), (enum dtype)type, t, 4);
            sh.kept_layers = kept;
            rig_open(&r, &sh, 0);
            ref_model_open(&m, &sh.config, &r.table, 11);
            put_weights(&r, &m);
            make_input(&in, t, sh.config.vocab, 7);
            struct pass p = rig_pass(&r, in.ids, in.target, in.weight, len, 4, NULL);
            double loss = rig_train(&r, &p);
            void *g = rig_bytes(r.g.base, (size_t)r.table.bytes[F32]);
            if (want) {
                check_msg(loss == want_loss, "%s, %d layers kept: loss %.17g, want %.17g", ref_dtype_name((enum dtype)type), kept, loss,
                          want_loss);
                check_msg(!memcmp(g, want, (size_t)r.table.bytes[F32]), "%s, %d layers kept: gradients differ",
                          ref_dtype_name((enum dtype)type), kept);
                check(kept == 2 || r.bytes < more); /* the shared set costs as much as the layer that it serves first */
                check(r.bytes <= more);
                free(g);
            } else {
                want = g;
                want_loss = loss;
            }
            more = r.bytes;
            ref_model_close(&m);
            rig_close(&r);
        }
        free(want);
    }
}

static void test_logit_pieces(void)
{
    static const int32_t len[] = {70, 59};
    static const int32_t pieces[] = {129, 1, 7, 64, 128};
    struct input in;
    double want_loss = 0, *want = NULL;
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        struct rig r;
        struct ref_model m;
        struct model_shape sh = training(config_of(1, true), F32, 129, 2);
        sh.logit_rows = pieces[i];
        rig_open(&r, &sh, 0);
        ref_model_open(&m, &sh.config, &r.table, 12);
        put_weights(&r, &m);
        make_input(&in, 129, sh.config.vocab, 8);
        struct pass p = rig_pass(&r, in.ids, in.target, in.weight, len, 2, NULL);
        double loss = rig_train(&r, &p), *g = rig_get(r.g, 0);
        if (want) {
            check_msg(fabs(loss / want_loss - 1) < 1e-6, "%d rows at a time: loss %.9g, want %.9g", pieces[i], loss, want_loss);
            check_msg(ref_error(g, want, r.table.param[0].n) < 1e-5, "%d rows at a time", pieces[i]);
            free(g);
        } else {
            want = g;
            want_loss = loss;
        }
        ref_model_close(&m);
        rig_close(&r);
    }
    free(want);
}

/* rig_open() dies when placing takes other bytes than measuring; here that nothing is allocated afterwards, and nothing written outside. */
static void test_memory(void)
{
    static const int32_t len[] = {40, 24};
    struct input in;
    struct rig r;
    struct ref_model m;
    struct model_shape sh = training(config_of(8, false), F32, 64, 4);
    rig_open(&r, &sh, 2);
    ref_model_open(&m, &sh.config, &r.table, 13);
    put_weights(&r, &m);
    make_input(&in, 64, sh.config.vocab, 9);
    struct pass p = rig_pass(&r, in.ids, in.target, in.weight, len, 2, NULL);
    char *weights = rig_bytes(r.w.base, (size_t)r.table.bytes[F32]);
    int64_t before = dev_alloc_count();
    double first = rig_train(&r, &p), second = rig_train(&r, &p);
    check_int(dev_alloc_count() - before, 0);
    check_msg(first == second, "the same pass twice: %.17g, then %.17g", first, second);
    char *after = rig_bytes(r.w.base, (size_t)r.table.bytes[F32]);
    check(!memcmp(weights, after, (size_t)r.table.bytes[F32]));
    free(weights);
    free(after);
    ref_model_close(&m);
    rig_close(&r);
}

/* What the hooks were told, in order: kind * 100 + bucket. */
static int told[20], n_told;
static void tell_use(void *arg, int32_t bucket)
{
    (void)arg;
    told[n_told++ % 20] = 100 + bucket;
}
static void tell_begin(void *arg, int32_t bucket)
{
    (void)arg;
    told[n_told++ % 20] = 200 + bucket;
}
static void tell_ready(void *arg, int32_t bucket)
{
    (void)arg;
    told[n_told++ % 20] = 300 + bucket;
}

/* Buckets are used from the embeddings to the head, and their gradients begun and ended once each, back from the head to the embeddings; a
 * tied head's matrix is the embeddings', whose gradient is open from the loss to the end. */
static void test_buckets(void)
{
    static const int32_t len[] = {30};
    static const struct model_hooks hooks = {tell_use, tell_begin, tell_ready, NULL};
    for (int tied = 0; tied < 2; tied++) {
        struct input in;
        struct rig r;
        struct ref_model m;
        struct model_shape sh = training(config_of(2, tied), F32, 30, 1);
        struct model_state none = {0};
        rig_open(&r, &sh, 0);
        r.acts.hooks = &hooks;
        ref_model_open(&m, &sh.config, &r.table, 14);
        put_weights(&r, &m);
        make_input(&in, 30, sh.config.vocab, 10);
        struct pass p = rig_pass(&r, in.ids, in.target, in.weight, len, 1, NULL);
        n_told = 0;
        model_forward(&r.acts, r.w, &p, none);
        model_loss(&r.acts, r.w, &p, false, r.g);
        check_int(n_told, 5);
        model_loss(&r.acts, r.w, &p, true, r.g);
        model_backward(&r.acts, r.w, r.g, &p);
        static const int own[] = {100, 101, 102, 103, 104, 204, 304, 203, 303, 202, 302, 201, 301, 200, 300};
        static const int shared[] = {100, 101, 102, 103, 104, 204, 200, 304, 203, 303, 202, 302, 201, 301, 300};
        check_int(n_told, 15);
        for (int i = 0; i < 15 && i < n_told; i++)
            check_int(told[i], tied ? shared[i] : own[i]);
        ref_model_close(&m);
        rig_close(&r);
    }
}

static const struct test tests[] = {{"logits and loss against the double reference, G 1, 2, 8", test_logits},
                                    {"every gradient against finite differences", test_gradients},
                                    {"packed documents do not see each other, to the bit", test_packing},
                                    {"gradients of passes add up", test_passes_add},
                                    {"prompts in pieces and steps", test_pieces},
                                    {"the reference in steps", test_reference_steps},
                                    {"slots are copied and zeroed whole", test_slots},
                                    {"recomputation changes no bit", test_recompute},
                                    {"logits in pieces of any size", test_logit_pieces},
                                    {"a step allocates nothing and repeats exactly", test_memory},
                                    {"buckets are reported in order", test_buckets}};
TEST_MAIN("test_model", tests)
