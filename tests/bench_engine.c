/* tests/bench_engine.c - what the engine's promises cost: long generations (time of a token and memory from first to last), exact against
 * fast reading and writing, prompts read together against one by one. On the CPU with one thread, in CPU time: shared machines do not blur it.
 */
#include "core/cli.h"
#include "core/host.h"
#include "core/log.h"
#include "core/rng.h"
#include "infer/engine.h"
#include "tests/folder.h"
#include "tests/model_files.h"
#include <omp.h>
#include <time.h>

struct settings {
    char *model, *json;
    int64_t tokens;
};
static const struct conf_field table[] = {
    {.key = "model",
     .type = CONF_STR,
     .at = offsetof(struct settings, model),
     .str_def = "configs/models/demo.json",
     .help = "shape of the model, a config.json; its weights are random"},
    {.key = "tokens",
     .type = CONF_INT,
     .at = offsetof(struct settings, tokens),
     .def = 16384,
     .min = 1000,
     .max = 1e12,
     .help = "of the long generation"},
    {.key = "json", .type = CONF_STR, .at = offsetof(struct settings, json), .help = "write the numbers to this file"},
    {0}};

/* Seconds: of this process's work on the CPU, of the clock on a device. */
static double now(void)
{
    struct timespec t;
    if (strcmp(dev_backend(), "cpu") != 0) {
        dev_sync();
        return log_now();
    }
    must(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) == 0);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static struct model_config config;

static struct engine *engine_new(int32_t slots, int32_t prompts, int64_t max_prompt, bool exact)
{
    struct engine *g;
    struct err e = {""};
    struct engine_settings s = {.type = dev_supports(config.type) ? config.type : F32,
                                .slots = slots,
                                .prompts = prompts,
                                .max_prompt = max_prompt,
                                .exact = exact,
                                .sampling = {.temperature = 1, .top_p = 1, .repetition_penalty = 1, .seed = 1}};
    if (!engine_open(&g, &config, dir, &s, &e))
        die("%s", e.msg);
    return g;
}

static int32_t *random_ids(int64_t n)
{
    int32_t *ids = xmalloc((size_t)n * sizeof *ids);
    for (int64_t i = 0; i < n; i++)
        ids[i] = (int32_t)rng_below(1, 2, (uint64_t)i, (uint64_t)config.vocab);
    return ids;
}

/* One sequence: the time of a token in each tenth, and what the process has grown by since the first hundredth. */
static json_t *long_generation(int64_t tokens)
{
    struct engine *g = engine_new(1, 1, 4, false);
    int32_t *ids = random_ids(4);
    double part[10], least = INFINITY, most = 0;
    int64_t memory = 0, allocations = 0, done = 0;
    must(engine_prefill(g, &(struct engine_prompt){ids, 4, NULL}, 1) < 0 && engine_fork(g, 0, 1) == 0);
    for (int p = 0; p < 10; p++) {
        int64_t end = tokens / 10 * (p + 1), n = end - done;
        double start = now();
        for (; done < end; done++) {
            if (done == tokens / 100) {
                memory = (int64_t)host_resident();
                allocations = dev_alloc_count();
            }
            must(engine_step(g) < 0);
        }
        part[p] = (now() - start) / (double)n;
        least = fmin(least, part[p]);
        most = fmax(most, part[p]);
    }
    memory = (int64_t)host_resident() - memory;
    allocations = dev_alloc_count() - allocations;
    printf("%lld tokens: %.2f us a token in the first tenth, %.2f in the last (all ten: %.2f to %.2f); memory grew by %lld bytes, "
           "%lld allocations\n",
           (long long)done, 1e6 * part[0], 1e6 * part[9], 1e6 * least, 1e6 * most, (long long)memory, (long long)allocations);
    engine_close(g);
    free(ids);
    return json_pack("{s:I, s:f, s:f, s:I, s:I}", "tokens", (json_int_t)done, "first_tenth_s", part[0], "last_tenth_s", part[9],
                     "grown_bytes", (json_int_t)memory, "allocations", (json_int_t)allocations);
}

/* Tokens a second of reading `all` tokens as prompts of n, k at a time. */
static double reading(int64_t all, int64_t n, int32_t k, bool exact)
{
    struct engine *g = engine_new(1, k, n, exact);
    struct engine_prompt p[ENGINE_PROMPTS];
    int32_t *ids = random_ids(all);
    double best = INFINITY;
    must(engine_prompts(g) == k);
    for (int turn = 0; turn < 3; turn++) {
        double start = now();
        for (int64_t at = 0; at + n * k <= all; at += n * k) {
            for (int32_t i = 0; i < k; i++)
                p[i] = (struct engine_prompt){ids + at + n * i, n, NULL};
            must(engine_prefill(g, p, k) < 0);
        }
        best = fmin(best, now() - start);
    }
    engine_close(g);
    free(ids);
    return (double)(all / (n * k) * k * (n - 1)) / best;
}

/* Tokens a second of so many sequences. */
static double writing(int32_t batch, bool exact)
{
    enum { STEPS = 100 };
    struct engine *g = engine_new(batch, 1, 4, exact);
    int32_t *ids = random_ids(4);
    double best = INFINITY;
    must(engine_prefill(g, &(struct engine_prompt){ids, 4, NULL}, 1) < 0);
    for (int32_t i = 0; i < batch; i++)
        must(engine_fork(g, 0, (uint64_t)i) >= 0);
    for (int turn = 0; turn < 4; turn++) {
        double start = now();
        for (int i = 0; i < STEPS; i++)
            must(engine_step(g) < 0);
        best = fmin(best, now() - start);
    }
    engine_close(g);
    free(ids);
    return batch * STEPS / best;
}

int main(int argc, char **argv)
{
    struct settings set = {0};
    struct err e;
    cli_options(&set, table, argc, argv, "bench_engine [--model CONFIG] [--tokens N] [--json FILE]");
    if (!dev_open(0, &e) || !config_load(&config, set.model, NULL, 0, &e))
        return cli_fail("bench_engine", &e);
    must(mkdtemp(dir));
    omp_set_num_threads(1);
    struct param_table t;
    params_plan(&t, &config);
    struct tensors w = random_weights(&t, &config, F32, 1, 1);
    save_model(dir, &config, w);
    dev_free(w.base);
    params_free(&t);

    json_t *out = json_object(), *rows = json_array();
    json_object_set_new(out, "long_generation", long_generation(set.tokens));
    printf("%-44s %12s %12s %8s\n", "tokens/s", "fast", "exact", "ratio");
    static const struct {
        const char *what;
        int64_t n; /* tokens of a prompt; 0: written */
        int32_t k;
    } cases[] = {
        {"read, prompts of 24, one by one", 24, 1},
        {"read, prompts of 24, eight at a time", 24, 8},
        {"read, prompts of 250, one by one", 250, 1},
        {"read, prompts of 250, eight at a time", 250, 8},
        {"read, one prompt of 2000", 2000, 1},
        {"written, 1 sequence", 0, 1},
        {"written, 16 sequences", 0, 16},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double rate[2];
        for (int exact = 0; exact < 2; exact++)
            rate[exact] = cases[i].n ? reading(8000, cases[i].n, cases[i].k, exact) : writing(cases[i].k, exact);
        printf("%-44s %12.0f %12.0f %8.2f\n", cases[i].what, rate[0], rate[1], rate[1] / rate[0]);
        json_array_append_new(
            rows, json_pack("{s:s, s:f, s:f}", "what", cases[i].what, "fast_tokens_per_s", rate[0], "exact_tokens_per_s", rate[1]));
    }
    json_object_set_new(out, "rates", rows);
    bool ok = !set.json || json_write_path(set.json, out, &e);
    json_decref(out);
    int code = ok ? EXIT_OK : cli_fail("bench_engine", &e);
    conf_free(&set, table);
    file_remove_tree(dir, &e);
    return code;
}
