/* tests/test_memory.c - memory that the engine plans is what the process takes: a limit is kept and used, and nothing grows while it runs. */
#include "core/host.h"
#include "core/rng.h"
#include "infer/engine.h"
#include "model/state.h"
#include "tests/folder.h"
#include "tests/model_files.h"
#include "tests/program.h"
#include <malloc.h> /* mallinfo2 */
#include <omp.h>
#include <sys/resource.h> /* getrusage */

#ifdef __SANITIZE_ADDRESS__
static const bool sanitized = true; /* then memory is the sanitizer's */
#else
static const bool sanitized = false;
#endif
static const double GIB = 1 << 30;

/* Half a million weights, and states of 128 KiB a sequence. */
static struct model_config config(void)
{
    struct model_config c = small_config(1, false);
    c.hidden = 128;
    c.layers = 4;
    c.heads = 8;
    c.headdim = c.state = 32;
    c.chunk = 64;
    return c;
}

static void make_model(void)
{
    struct model_config c = config();
    struct param_table t;
    params_plan(&t, &c);
    struct tensors w = random_weights(&t, &c, F32, 1, 1);
    char *path = path_of("model");
    save_model(path, &c, w);
    free(path);
    dev_free(w.base);
    params_free(&t);
}

/* Bytes of the largest program run so far. */
static int64_t peak(void)
{
    struct rusage u;
    getrusage(RUSAGE_CHILDREN, &u);
    return (int64_t)u.ru_maxrss * 1024;
}

static void limit(void)
{
    if (strcmp(dev_backend(), "cpu") != 0) {
        test_skip("the peak of a process is known on the CPU only");
        return;
    }
    if (sanitized) {
        test_skip("the sanitizer takes memory of its own");
        return;
    }
    make_model();
    char text[1 << 14];
    size_t n = 0;
    for (int i = 0; i < 8; i++) { /* of 3 to 350 tokens */
        n += (size_t)sprintf(text + n, "{\"id\":%d,\"input_ids\":[1", i);
        for (int k = 0; k < 2 + 50 * i; k++)
            n += (size_t)sprintf(text + n, ",%d", 3 + (k * 37 + i) % 250);
        n += (size_t)sprintf(text + n, "]}\n");
    }
    put("prompts.jsonl", text);
    static const double limits[] = {0.05, 0.25, 0.4}; /* rising, as peak() does */
    for (int i = 0; i < 3; i++) {
        int64_t allowed = (int64_t)(limits[i] * GIB);
        struct ran r = run_program(dir,
                                   "generate --model model --input prompts.jsonl --output out.jsonl --temperature 1 --samples 1000 "
                                   "--batch 65536 --max-new-tokens 2 --memory-gib %g",
                                   limits[i]);
        check_msg(r.code == 0, "%s", r.err);
        check_msg(peak() <= allowed, "%g GiB: %lld bytes too many", limits[i], (long long)(peak() - allowed));
        if (limits[i] > 0.1) /* within 2% where that is more than the pages that memory comes in */
            check_msg((double)peak() >= 0.98 * (double)allowed, "%g GiB: %.1f%% used", limits[i], 100 * (double)peak() / (double)allowed);
        ran_free(&r);
    }
}

/* As many slots as fit: one more is over the limit. */
static void next_slot(void)
{
    make_model();
    struct model_config c = config();
    struct err e = {""};
    char *path = path_of("model");
    for (uint64_t trial = 0; trial < 10; trial++) {
        struct engine_settings s = {.slots = 1 << 16,
                                    .max_prompt = 100,
                                    .prompts = 1 + (int32_t)(trial % 3) * 3,
                                    .base = trial % 2,
                                    .beside = (int64_t)trial * 1000,
                                    .state_type = trial % 4 == 3 ? BF16 : F32,
                                    .sampling = {.top_p = 1, .repetition_penalty = 1}};
        s.memory = (int64_t)dev_library_bytes() + (32 << 20) + (int64_t)rng_below(1, trial, 0, 32 << 20);
        struct engine *g;
        check_msg(engine_open(&g, &c, path, &s, &e), "%s", e.msg);
        struct engine_memory m = engine_memory(g);
        int32_t n = engine_slots(g);
        check(n > 10 && m.all <= s.memory && m.all == m.weights + m.states + m.work + m.libraries);
        check(s.memory - m.all < 4 << 20);
        engine_close(g);
        int64_t limit_bytes = s.memory;
        s.slots = n + 1;
        s.memory = 0;
        check_msg(engine_open(&g, &c, path, &s, &e), "%s", e.msg);
        check_int(engine_slots(g), n + 1);
        check_msg(engine_memory(g).all - engine_memory(g).libraries + m.libraries > limit_bytes, "trial %d: slot %d fits as well",
                  (int)trial, n + 1);
        engine_close(g);
    }
    free(path);
}

/* What the caller takes once is planned, and prompts that are read together are given up before a model is said not to fit. */
static void beside(void)
{
    make_model();
    struct model_config c = config();
    struct err e = {""};
    char *path = path_of("model");
    struct engine_settings s = {.slots = 1 << 16, .max_prompt = 100, .memory = (int64_t)dev_library_bytes() + (64 << 20)};
    struct engine *g;
    int64_t each, slots;
    s.sampling = (struct sampling){.top_p = 1, .repetition_penalty = 1};
    check_msg(engine_open(&g, &c, path, &s, &e), "%s", e.msg);
    slots = engine_slots(g);
    each = engine_memory(g).states / (slots + 1);
    engine_close(g);
    bool same;
    dev_host_memory(&same);
    s.once = 16 << 20;
    check_msg(engine_open(&g, &c, path, &s, &e), "%s", e.msg);
    check(same ? engine_slots(g) < slots && (slots - engine_slots(g)) * each > s.once / 2 : engine_slots(g) == slots);
    engine_close(g);
    /* The least that the message names is enough, and is what one prompt at a time needs. */
    s = (struct engine_settings){.slots = 1, .max_prompt = 200, .prompts = 1, .memory = 1, .sampling = s.sampling};
    check(!engine_open(&g, &c, path, &s, &e));
    double one = atof(strstr(e.msg, "at least ") + 9);
    s.prompts = ENGINE_PROMPTS;
    check(!engine_open(&g, &c, path, &s, &e));
    double eight = atof(strstr(e.msg, "at least ") + 9);
    check_msg(fabs(eight - one) < 0.003, "%g GiB with prompts one by one, %g where they may be read together", one, eight);
    free(path);
}

/* Sequences that go on and on, and others that come and go beside them. */
static void nothing_grows(void)
{
    enum { STEPS = 4000, SETTLED = 500 };
    make_model();
    struct model_config c = config();
    struct err e = {""};
    char *path = path_of("model");
    struct engine_settings s = {
        .slots = 3, .prompts = 2, .max_prompt = 20, .sampling = {.temperature = 1, .top_p = 0.9f, .repetition_penalty = 1.1f}};
    struct engine *g;
    check_msg(engine_open(&g, &c, path, &s, &e), "%s", e.msg);
    int32_t ids[20];
    for (int i = 0; i < 20; i++)
        ids[i] = 3 + i;
    struct engine_prompt p[2] = {{ids, 20, NULL}, {ids + 3, 11, NULL}};
    int64_t memory = 0, allocations = 0, heap = 0;
    int32_t guest = -1;
    check_int(engine_prefill(g, p, 2), -1);
    check_int(engine_fork(g, 0, 1), 0);
    check_int(engine_fork(g, 1, 2), 1);
    for (int step = 0; step < STEPS; step++) {
        if (step % 40 == 0 && guest >= 0)
            engine_release(g, guest);
        if (step % 40 == 0) {
            check_int(engine_prefill(g, p, 1 + step / 40 % 2), -1);
            guest = engine_fork(g, 0, (uint64_t)step);
        }
        if (step == SETTLED) {
            memory = (int64_t)host_resident();
            must(memory > 0);
            allocations = dev_alloc_count();
            heap = (int64_t)mallinfo2().uordblks;
        }
        check_int(engine_step(g), -1);
    }
    check_int(engine_seq(g, 0)->drawn, STEPS);
    check_int(dev_alloc_count(), allocations);
    check_int(mallinfo2().uordblks, heap);
    if (!sanitized)
        check_int((int64_t)host_resident(), memory);
    engine_close(g);
    free(path);
}

static const struct test tests[] = {
    {"a limit is kept and used", limit},
    {"the next slot would not fit", next_slot},
    {"what is beside the slots", beside},
    {"nothing grows", nothing_grows},
};

int main(int argc, char **argv)
{
    struct err e;
    if (!dev_open(0, &e))
        die("%s", e.msg);
    omp_set_num_threads(1); /* steps of a small model: threads would mostly wait */
    setenv("OMP_WAIT_POLICY", "passive", 0);
    return folder_main(argc, argv, "test_memory", tests, (int)(sizeof tests / sizeof tests[0]));
}
