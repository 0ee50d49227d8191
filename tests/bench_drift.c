/* tests/bench_drift.c - how far a million decode steps drift from the same recurrence in double precision (tests/ref_model.h).
 *
 * A small model with random weights reads random tokens, one a step, through model_forward and model_logits as a decode step runs them,
 * with its SSD states in f32 and in bf16; the reference reads the same tokens. Twice: with time constants as a model is initialised, and with
 * decay so slow that a state adds up thousands to a million tokens, where rounding has the longest time to pile up.
 */
#include "core/cli.h"
#include "core/json.h"
#include "core/log.h"
#include "model/weights.h"
#include "tests/ref_model.h"
#include "tests/rig.h"

/* Decay a token is exp(-A dt), dt about 0.001 to 0.1. */
static const struct drift_case {
    const char *name;
    double scale; /* of the initial A, which is 1 to 16 */
} cases[] = {{"as initialised", 1}, {"slow decay", 1e-3}};
enum { STATES = 2 }; /* f32, bf16 */

static const struct model_config config = {.vocab = 64,
                                           .hidden = 32,
                                           .layers = 3,
                                           .heads = 4,
                                           .headdim = 16,
                                           .groups = 1,
                                           .state = 32,
                                           .conv = 4,
                                           .chunk = 64,
                                           .eps = 1e-5,
                                           .tied = true,
                                           .type = F32};

struct settings {
    char *json;
    int64_t tokens;
};
static const struct conf_field table[] = {
    {.key = "tokens", .type = CONF_INT, .at = offsetof(struct settings, tokens), .def = 1000000, .min = 1, .max = 1e9, .help = "steps"},
    {.key = "json",
     .type = CONF_STR,
     .at = offsetof(struct settings, json),
     .help = "not given: build/BACKEND/bench_drift.json; scripts/plot_drift.py draws it"},
    {0}};

/* Differences from the reference since the last point: the largest, and the squares of all. */
struct error {
    double largest, squares, size;
    int64_t n;
};
static void error_add(struct error *e, const double *got, const double *want, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        double d = fabs(got[i] - want[i]);
        if (!(d <= e->largest))
            e->largest = d; /* a NaN too */
        e->squares += d * d;
        e->size += want[i] * want[i];
    }
    e->n += n;
}
/* Both relative to the root mean square of the reference. */
static double error_rms(const struct error *e)
{
    return sqrt(e->squares / e->size);
}
static double error_max(const struct error *e)
{
    return e->largest / sqrt(e->size / (double)e->n);
}

/* The path under test: one state of each type, one sequence. */
struct steps {
    struct rig rig;
    struct model_state state[STATES];
    void *block[STATES];
    struct pass pass;
};
static void steps_open(struct steps *s, double scale)
{
    struct model_shape shape = {.config = config, .type = F32, .residual = F32, .max_tokens = 1, .max_docs = 1, .logit_rows = 1};
    rig_open(&s->rig, &shape, 0);
    weights_random(s->rig.w, NULL, &config, 1);
    for (int32_t k = 0; k < s->rig.table.n; k++) {
        const struct param *p = &s->rig.table.param[k];
        double *v = rig_get(s->rig.w, k);
        for (int64_t i = 0; i < p->n; i++)
            v[i] = p->kind == P_A_LOG   ? v[i] + log(scale)
                   : p->kind == P_EMBED ? 50 * v[i]
                                        : v[i]; /* embeddings of size 1, as in a trained model */
        ref_put(tensors_at(s->rig.w, p), F32, v, p->n);
        free(v);
    }
    for (int t = 0; t < STATES; t++) {
        struct arena a = {0};
        state_layout(&s->state[t], &a, &config, 1, F32, (enum dtype)t);
        s->block[t] = dev_alloc(a.used);
        a = (struct arena){(char *)s->block[t], a.used, 0};
        state_layout(&s->state[t], &a, &config, 1, F32, (enum dtype)t);
        state_zero(s->state[t], 0);
    }
}
static void steps_close(struct steps *s)
{
    for (int t = 0; t < STATES; t++)
        dev_free(s->block[t]);
    rig_close(&s->rig);
}

/* The reference with the very weights of the rig. */
static void reference_open(struct ref_model *m, struct rig *r)
{
    ref_model_open(m, &config, &r->table, 1);
    for (int32_t k = 0; k < r->table.n; k++) {
        free(m->w[k]);
        m->w[k] = rig_get(r->w, k);
    }
}

/* All layers' SSD states against the reference's. */
static struct error state_error(const struct model_state *s, enum dtype type, const struct ref_state *want)
{
    struct error e = {0};
    int64_t n = config_ssd_state(&config);
    double *got = (double *)xmalloc(sizeof *got * (size_t)n);
    for (int32_t l = 0; l < config.layers; l++) {
        ref_get(got, type, state_layer(*s, &config, l).ssd.data, n);
        error_add(&e, got, want->ssd[l], n);
    }
    free(got);
    return e;
}

/* 1, 2, 5, 10, 20, ..., 65,536 and the last. */
static bool is_point(int64_t token, int64_t last)
{
    int64_t digit = token;
    while (digit % 10 == 0)
        digit /= 10;
    return digit == 1 || digit == 2 || digit == 5 || token == 65536 || token == last;
}

static json_t *pair(const struct error *e)
{
    return json_pack("{s:f, s:f}", "rms", error_rms(e), "max", error_max(e));
}

static json_t *drift(const struct drift_case *k, int64_t tokens)
{
    enum { STATE, HIDDEN, LOGITS, WHAT };
    static const char *const names[] = {"state", "hidden", "logits"};
    struct steps s;
    struct ref_model m;
    struct ref_state want;
    struct error e[STATES][WHAT] = {0};
    double hidden[32], logits[64], got[64];
    must(config.hidden <= 32 && config.vocab <= 64);
    steps_open(&s, k->scale);
    reference_open(&m, &s.rig);
    ref_state_open(&want, &m);
    printf("\n%s (A = %g to %g): relative to the root mean square of the reference, since the line before\n", k->name, k->scale,
           16 * k->scale);
    printf("%10s %-6s %10s %10s %10s %10s %10s %10s\n", "tokens", "states", "state rms", "max", "hidden rms", "max", "logits rms", "max");
    json_t *points = json_array();
    const int32_t one = 1;
    int32_t *ids = xmalloc(sizeof *ids * (size_t)tokens);
    double begun = log_now();
    for (int64_t i = 1; i <= tokens; i++) {
        ids[i - 1] = (int32_t)rng_below(1, 1, (uint64_t)i, (uint64_t)config.vocab);
        struct pass p = rig_pass(&s.rig, ids + i - 1, NULL, NULL, &one, 1, NULL);
        ref_model_step(hidden, logits, &m, &want, ids[i - 1]);
        for (int t = 0; t < STATES; t++) {
            struct acts *a = &s.rig.acts;
            model_forward(a, s.rig.w, &p, s.state[t]);
            model_logits(a, s.rig.w, mat_rows(a->h, 0, 1), true);
            ref_get(got, F32, a->h.data, config.hidden);
            error_add(&e[t][HIDDEN], got, hidden, config.hidden);
            ref_get(got, F32, a->logits.data, config.vocab);
            error_add(&e[t][LOGITS], got, logits, config.vocab);
        }
        if (!is_point(i, tokens))
            continue;
        for (int t = 0; t < STATES; t++) {
            e[t][STATE] = state_error(&s.state[t], (enum dtype)t, &want);
            json_t *row = json_pack("{s:I, s:s}", "tokens", (json_int_t)i, "states", ref_dtype_name((enum dtype)t));
            printf("%10lld %-6s", (long long)i, ref_dtype_name((enum dtype)t));
            for (int w = 0; w < WHAT; w++) {
                json_object_set_new(row, names[w], pair(&e[t][w]));
                printf(" %10.2e %10.2e", error_rms(&e[t][w]), error_max(&e[t][w]));
                e[t][w] = (struct error){0};
            }
            printf("\n");
            json_array_append_new(points, row);
        }
        fflush(stdout);
    }
    printf("%.0f s\n", log_now() - begun);
    free(ids);
    ref_state_close(&want);
    ref_model_close(&m);
    steps_close(&s);
    return json_pack("{s:s, s:f, s:o}", "case", k->name, "scale", k->scale, "points", points);
}

int main(int argc, char **argv)
{
    struct settings set = {0};
    struct err e;
    cli_options(&set, table, argc, argv, "bench_drift: decode steps beside the same recurrence in double precision");
    ref_device();
    printf("%s\n%lld layers of width %lld, %lld heads of %lld x %lld, vocabulary %lld\n", dev_describe(), (long long)config.layers,
           (long long)config.hidden, (long long)config.heads, (long long)config.headdim, (long long)config.state, (long long)config.vocab);
    json_t *all = json_array();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        json_array_append_new(all, drift(&cases[i], set.tokens));
    json_t *out = json_pack("{s:s, s:o}", "backend", dev_backend(), "cases", all);
    char *path = set.json ? xstrdup(set.json) : xprintf("build/%s/bench_drift.json", dev_backend());
    bool ok = json_write_path(path, out, &e);
    if (ok)
        printf("\nwritten: %s\n", path);
    free(path);
    json_decref(out);
    conf_free(&set, table);
    return ok ? EXIT_OK : cli_fail("bench_drift", &e);
}
