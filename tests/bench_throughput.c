/* tests/bench_throughput.c - tokens/s under a memory limit: the engine (infer/engine.h) beside a Transformer of the same size
 * (infer/baseline/), both in one run. `make bench-throughput` turns its JSON into tables and a plot (scripts/report_throughput.py).
 *
 * A cell is a measured decode step of as many sequences as the limit holds. What a Transformer can hold depends on the workload:
 *
 *   short   answers are short beside their prompts: every sequence is at the context's length
 *   long    answers make up the context: sequences have come anywhere from a sixteenth of it to all of it, as they do when each finished one
 *           makes room for the next; pages are taken as they are needed, so about twice as many fit (no sequence is ever put off in this count)
 *
 * The engine's states have one size, so a limit has one cell for all contexts. Weights are random; contents of caches too. A step is what
 * a user waits for: ids in, drawn tokens out, on the host; both are greedy, which costs the larger vocabulary of the Transformer least.
 */
#include "infer/baseline/transformer.h"
#include "infer/engine.h"
#include "model/state.h"
#include "model/weights.h"
#include "tests/bench.h"
#include <sys/statvfs.h>
#include <unistd.h>

static const double GIB = 1 << 30;
enum { CONTEXTS = 5, LIMITS = 2, WARM = 4, MOST = 64, FEWEST = 8, SHORTEST = 4 * (WARM + FEWEST) };

/* What is run where. A miniature shows on any machine that everything works; its numbers mean nothing. */
static const struct scale {
    const char *backend, *model;
    struct transformer_config peer;
    const char *peer_name;
    double gib[LIMITS];
    int64_t context[CONTEXTS];
    int32_t page, piece, wished; /* wished: sequences at most */
    int64_t prompt;              /* the longest that the engine makes room for */
} scales[] = {
    {"cuda",
     "mamba-codestral-7b",
     {152064, 3584, 18944, 28, 28, 4, 128, 1e-6, 1e6},
     "the Qwen2.5-7B shape",
     {24, 72},
     {1024, 4096, 16384, 32768, 65536},
     128,
     512,
     4096,
     2048},
    {"cpu", "demo", {264, 128, 256, 4, 8, 2, 16, 1e-6, 1e6}, "a miniature", {0.5, 1}, {64, 128, 256, 512, 1024}, 16, 32, 16, 32},
};

struct settings {
    char *json, *memory_gib, *scratch;
    int64_t context, batch;
    int state_type, only;
    double seconds;
    bool quick;
};
static const char *const types[] = {"f32", "bf16", NULL}, *const models[] = {"mamba", "transformer", NULL};
static const struct conf_field table[] = {
    {.key = "memory_gib",
     .type = CONF_STR,
     .at = offsetof(struct settings, memory_gib),
     .help = "limits, as 24 or 24,72; not given: 24,72 (CPU: 0.5,1)"},
    {.key = "state_dtype",
     .type = CONF_CHOICE,
     .at = offsetof(struct settings, state_type),
     .choices = types,
     .def = NAN,
     .help = "of the engine's states; not given: bf16 where the device has it"},
    {.key = "context",
     .type = CONF_INT,
     .at = offsetof(struct settings, context),
     .def = 0,
     .min = 0,
     .max = 1 << 24,
     .help = "this one instead of the five, at least 48; 0: those"},
    {.key = "batch",
     .type = CONF_INT,
     .at = offsetof(struct settings, batch),
     .def = 0,
     .min = 0,
     .max = 1 << 16,
     .help = "sequences at most; 0: as many as fit"},
    {.key = "only",
     .type = CONF_CHOICE,
     .at = offsetof(struct settings, only),
     .choices = models,
     .def = NAN,
     .help = "one of the two models (no report is made of that)"},
    {.key = "seconds",
     .type = CONF_FLOAT,
     .at = offsetof(struct settings, seconds),
     .def = 1.5,
     .min = 0,
     .max = 600,
     .help = "of steps a cell, at most 64 steps"},
    {.key = "scratch",
     .type = CONF_STR,
     .at = offsetof(struct settings, scratch),
     .help = "a folder for the engine's random weights; not given: /dev/shm if it has room, else /tmp"},
    {.key = "quick",
     .type = CONF_BOOL,
     .at = offsetof(struct settings, quick),
     .help = "the first and last context only, few steps: does it run at all?"},
    {.key = "json", .type = CONF_STR, .at = offsetof(struct settings, json), .help = "not given: build/BACKEND/bench_throughput.json"},
    {0}};

/* --- timing --- */

struct timing {
    double seconds[MOST];
    int n, most;
    double spend, began;
};
/* One more step to time? i counts all, the first WARM are not timed. */
static bool more(const struct timing *t, int i)
{
    return i < WARM || (t->n < t->most && (t->n < FEWEST || log_now() - t->began < t->spend));
}
static void took(struct timing *t, int i, double from)
{
    double now = log_now();
    if (i < WARM - 1)
        return;
    if (i == WARM - 1)
        t->began = now;
    else
        t->seconds[t->n++] = now - from;
}
static double median(struct timing *t)
{
    qsort(t->seconds, (size_t)t->n, sizeof *t->seconds, bench_compare);
    return t->seconds[t->n / 2];
}

/* --- the engine's weights --- */

enum { TILE = (1 << 18) - 64 };
struct random_weights {
    float *uniform; /* [TILE] in -1 .. 1 */
    const struct model_config *c;
};
static double spread(const struct param *p, const struct model_config *c)
{
    switch (p->kind) {
    case P_EMBED:
        return 0.035;
    case P_CONV_W:
    case P_CONV_B:
        return 1 / sqrt(c->conv);
    case P_OUT_PROJ:
        return 1 / sqrt((double)p->cols * c->layers);
    default:
        return 1 / sqrt((double)p->cols);
    }
}
/* As weights_random() draws them, in substance: states must decay and numbers stay finite. u is uniform in -1 .. 1. */
static float special(enum param_kind kind, float u)
{
    switch (kind) {
    case P_A_LOG:
        return logf(8.5f + 7.5f * u);
    case P_DT_BIAS: /* softplus of it is from 0.001 to 0.1 */
        return logf(expm1f(0.01f * powf(10, u)));
    default: /* norms and D */
        return 1;
    }
}
static void read_weights(void *from, const struct param *p, int64_t first, int64_t n, float *out)
{
    const struct random_weights *r = from;
    float scale = (float)spread(p, r->c);
    bool common = p->matrix || p->kind == P_CONV_W || p->kind == P_CONV_B;
    for (int64_t i = 0; i < n;) {
        int64_t at = (first + i + 7919 * (int64_t)(p->layer + 2)) % TILE, m = n - i < TILE - at ? n - i : TILE - at;
        const float *u = r->uniform + at;
        for (int64_t j = 0; common && j < m; j++)
            out[i + j] = scale * u[j];
        for (int64_t j = 0; !common && j < m; j++)
            out[i + j] = special(p->kind, u[j]);
        i += m;
    }
}

/* A new folder with the model, or false. */
static bool write_model(char **dir, const struct model_config *c, const char *scratch, struct err *e)
{
    struct param_table params;
    struct random_weights r = {xmalloc(sizeof *r.uniform * TILE), c};
    enum dtype type = dev_supports(BF16) ? BF16 : F32;
    params_plan(&params, c);
    if (!scratch) {
        struct statvfs v;
        bool room = statvfs("/dev/shm", &v) == 0 && (double)v.f_bavail * (double)v.f_frsize > 1.1 * (double)params.bytes[type];
        scratch = room ? "/dev/shm" : "/tmp";
    }
    *dir = xprintf("%s/bench_throughput.XXXXXX", scratch);
    if (!mkdtemp(*dir)) {
        free(r.uniform);
        params_free(&params);
        return err_set(e, "%s: no folder can be made there for the random weights; name another with --scratch", scratch);
    }
    for (int64_t i = 0; i < TILE; i++)
        r.uniform[i] = (float)(2 * rng_uniform(1, 2, (uint64_t)i) - 1);
    bool ok = weights_save(&params, read_weights, &r, *dir, type, 0, e);
    free(r.uniform);
    params_free(&params);
    return ok;
}

/* --- cells --- */

static json_t *cell(const char *name, int32_t batch, double step, double bytes, double rate)
{
    printf("  %-22s batch %4d  %9.1f tokens/s  %8.3f ms a token  memory-bound share %3.0f%%", name, batch, batch / step, step * 1e3,
           100 * bytes / rate / step);
    return json_pack("{s:i, s:f, s:f, s:f, s:f}", "batch", batch, "step_s", step, "tokens_per_s", batch / step, "bytes", bytes,
                     "share_of_memory_bound", bytes / rate / step);
}

static json_t *memory_json(int64_t weights, int64_t sequences, int64_t work, int64_t libraries, int64_t all, const char *how)
{
    double used = (double)dev_used_bytes();
    printf("  %.2f GiB planned, %.2f taken; %s\n", (double)all / GIB, used / GIB, how);
    fflush(stdout);
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:f}", "weights", (json_int_t)weights, "sequences", (json_int_t)sequences, "work",
                     (json_int_t)work, "libraries", (json_int_t)libraries, "planned", (json_int_t)all, "used", used);
}

/* The engine at this limit. */
static bool engine_cell(const struct settings *s, const struct scale *k, const struct model_config *c, const char *dir, double gib,
                        const struct bench *b, json_t *into, struct err *e)
{
    struct engine_settings set = {.type = b->type,
                                  .state_type = s->state_type < 0 ? b->type : (enum dtype)s->state_type,
                                  .slots = s->batch ? (int32_t)s->batch : k->wished,
                                  .max_prompt = k->prompt,
                                  .memory = (int64_t)(gib * GIB),
                                  .sampling = {.top_p = 1, .repetition_penalty = 1}};
    struct engine *g;
    if (!engine_open(&g, c, dir, &set, e))
        return false;
    int32_t *ids = xmalloc(sizeof *ids * (size_t)k->prompt), batch = 0;
    for (int64_t i = 0; i < k->prompt; i++)
        ids[i] = (int32_t)rng_below(1, 3, (uint64_t)i, (uint64_t)c->vocab);
    engine_prefill(g, &(struct engine_prompt){.ids = ids, .n = k->prompt}, 1);
    free(ids);
    while (engine_fork(g, 0, (uint64_t)batch) >= 0)
        batch++;
    struct timing t = {.most = MOST, .spend = s->seconds};
    for (int i = 0; more(&t, i); i++) {
        double from = log_now();
        if (engine_step(g) >= 0)
            die("the engine's logits are not finite");
        took(&t, i, from);
    }
    struct engine_memory m = engine_memory(g);
    /* Weights are read but for the embedding table's rows that no token asks for; a state is read and written. */
    double table_bytes = c->tied ? 0 : (double)(c->vocab * c->hidden * dtype_size(b->type));
    double bytes = (double)m.weights - table_bytes + 2.0 * (double)(batch * state_slot_bytes(c, dev_activations(b->type), set.state_type));
    json_t *o = cell("Mamba-2", batch, median(&t), bytes, b->copy);
    json_object_set_new(o, "memory", memory_json(m.weights, m.states, m.work, m.libraries, m.all, ref_dtype_name(set.state_type)));
    json_object_set_new(o, "state", json_string(ref_dtype_name(set.state_type)));
    json_object_set_new(into, "mamba", o);
    engine_close(g);
    return true;
}

static bool finite_rows(mat m)
{
    double *v = xmalloc(sizeof *v * (size_t)(m.rows * m.cols));
    bool ok = true;
    ref_get(v, m.dtype, m.data, m.rows * m.cols);
    for (int64_t i = 0; i < m.rows * m.cols; i++)
        ok = ok && isfinite(v[i]);
    free(v);
    return ok;
}

static json_t *transformer_cell(const struct settings *s, const struct scale *k, struct transformer *t, int64_t context, bool answers_long,
                                const struct bench *b)
{
    int64_t shortest = context / 16, steps = WARM + MOST < context / 4 ? WARM + MOST : context / 4, tokens = 0;
    char name[64];
    snprintf(name, sizeof name, "%lld, %s answers", (long long)context, answers_long ? "long" : "short");
    int32_t batch =
        transformer_begin(t, answers_long ? (shortest + context) / 2 : context, context, s->batch ? (int32_t)s->batch : k->wished);
    json_t *o = NULL;
    if (batch == 0) {
        printf("  %-22s not one sequence fits\n", name);
    } else {
        for (int32_t i = 0; i < batch; i++) {
            int64_t last = context - steps;
            transformer_fill(t, i, answers_long ? shortest + (int64_t)((double)(last - shortest) * (i + 0.5) / batch) : last);
        }
        struct timing time = {.most = (int)steps - WARM, .spend = s->seconds};
        for (int i = 0; more(&time, i); i++) {
            double from = log_now();
            if (!transformer_step(t))
                die("%s: the pages that were planned for are used up", name);
            took(&time, i, from);
        }
        if (!finite_rows(transformer_hidden(t)))
            die("the Transformer's hidden states are not finite");
        for (int32_t i = 0; i < batch; i++)
            tokens += transformer_length(t, i);
        struct transformer_memory m = transformer_memory(t);
        double e = (double)dtype_size(b->type), kv = 2.0 * k->peer.layers * k->peer.kv_heads * k->peer.headdim * e;
        o = cell(name, batch, median(&time), (double)m.weights - (double)(k->peer.vocab * k->peer.hidden) * e + kv * (double)tokens,
                 b->read);
        json_object_set_new(o, "memory", memory_json(m.weights, m.cache, m.work, m.libraries, m.all, transformer_attention(t)));
        json_object_set_new(o, "attention", json_string(transformer_attention(t)));
    }
    if (!o)
        o = json_pack("{s:i}", "batch", 0);
    json_object_set_new(o, "context", json_integer(context));
    json_object_set_new(o, "answers", json_string(answers_long ? "long" : "short"));
    return o;
}

static bool transformer_cells(const struct settings *s, const struct scale *k, double gib, const struct bench *b, json_t *into,
                              struct err *e)
{
    struct transformer_settings set = {.type = b->type,
                                       .page = k->page,
                                       .piece = k->piece,
                                       .memory = (int64_t)(gib * GIB),
                                       .seed = 1,
                                       .sampling = {.top_p = 1, .repetition_penalty = 1}};
    struct transformer *t;
    if (!transformer_open(&t, &k->peer, &set, e))
        return false;
    json_t *cells = json_array();
    for (int i = 0; i < (s->context ? 1 : CONTEXTS); i++)
        for (int answers = 0; answers < 2 && (!s->quick || i == 0 || i == CONTEXTS - 1); answers++)
            json_array_append_new(cells, transformer_cell(s, k, t, s->context ? s->context : k->context[i], answers == 1, b));
    json_object_set_new(into, "transformer", cells);
    transformer_close(t);
    return true;
}

static bool run(const struct settings *s, const struct scale *k, const double *gib, int limits, struct bench *b, json_t *out, struct err *e)
{
    struct model_config c = bench_config(k->model);
    char *dir = NULL;
    json_t *all = json_object_get(out, "limits");
    double began = log_now();
    bool ok = s->only == 1 || write_model(&dir, &c, s->scratch, e);
    if (ok && dir)
        printf("random weights of %s written to %s in %.1f s\n", k->model, dir, log_now() - began);
    for (int i = 0; ok && i < limits; i++) {
        json_t *into = json_pack("{s:f}", "memory_gib", gib[i]);
        json_array_append_new(all, into);
        printf("\n-- %g GiB: %s, and %s\n", gib[i], k->model, k->peer_name);
        ok = (s->only == 1 || engine_cell(s, k, &c, dir, gib[i], b, into, e)) &&
             (s->only == 0 || transformer_cells(s, k, gib[i], b, into, e));
    }
    struct err ignored;
    if (dir)
        file_remove_tree(dir, &ignored);
    free(dir);
    return ok;
}

/* "24,72" */
static int parse_limits(const char *text, double *gib, const char *program)
{
    int n = 0;
    for (char *end; *text && n < 8; text = *end ? end + 1 : end) {
        gib[n] = strtod(text, &end);
        if (end == text || !(gib[n] > 0) || (*end && *end != ',')) {
            struct err e;
            err_set(&e, "--memory-gib: expected numbers above 0 as in 24,72, got \"%s\"", text);
            cli_usage(program, &e);
        }
        n++;
    }
    return n;
}

int main(int argc, char **argv)
{
    struct settings s = {0};
    struct bench b = {0};
    cli_options(&s, table, argc, argv, "bench_throughput: the engine beside a Transformer, decoding under a memory limit");
    struct err e;
    if (s.context && s.context < SHORTEST) {
        err_set(&e, "--context %lld: expected 0 or at least %d: a quarter of it is decoded, and less are too few steps to time",
                (long long)s.context, SHORTEST);
        cli_usage("bench_throughput", &e);
    }
    ref_device();
    const struct scale *k = scales;
    while (strcmp(k->backend, dev_backend()) != 0)
        k++;
    double gib[8] = {k->gib[0], k->gib[1]};
    int limits = s.memory_gib ? parse_limits(s.memory_gib, gib, argv[0]) : LIMITS;
    if (s.quick)
        s.seconds = 0;
    b.type = dev_supports(BF16) ? BF16 : F32;
    b.set.quick = s.quick;
    char date[32], commit[64];
    time_t now = time(NULL);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", gmtime(&now));
    bench_commit(commit, sizeof commit);
    printf("%s\n%s, commit %s\n", dev_describe(), date, commit);
    bench_memory(&b);
    printf("memory: copy %.1f GB/s (read + written), read %.1f GB/s\n", b.copy * 1e-9, b.read * 1e-9);
    json_t *out = json_pack("{s:s, s:s, s:s, s:s, s:b, s:s, s:s, s:s, s:[]}", "device", dev_describe(), "backend", dev_backend(), "date",
                            date, "commit", commit, "quick", s.quick, "type", ref_dtype_name(b.type), "mamba_model", k->model,
                            "transformer_model", k->peer_name, "limits");
    bench_memory_json(&b, out);
    char *path = s.json ? xstrdup(s.json) : xprintf("build/%s/bench_throughput.json", dev_backend());
    bool ok = run(&s, k, gib, limits, &b, out, &e) && json_write_path(path, out, &e);
    if (ok)
        printf("\nwritten: %s\n", path);
    free(path);
    json_decref(out);
    conf_free(&s, table);
    return ok ? EXIT_OK : cli_fail("bench_throughput", &e);
}
