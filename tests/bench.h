/* tests/bench.h - what the bench programs share: options, the machine's measured ceilings, timing, and a row an op on the screen and in JSON.
 *
 *     for (bench_begin(b, "rmsnorm fwd", 0); bench_next(b);)
 *         rmsnorm_fwd(y, rstd, x, w, eps);
 *     bench_row(b, bytes, flops, 1);
 *
 * Bytes and FLOPs are what the op cannot avoid, by formula. An op's bound is the larger of bytes / copy rate and FLOPs / product rate, the
 * copy rate measured right before its group and the product rate at the start; its share is bound / time, which passes 100% where the data
 * stay in a cache. Times are medians.
 */
#ifndef TESTS_BENCH_H
#define TESTS_BENCH_H
#include "core/cli.h"
#include "core/log.h"
#include "core/file.h"
#include "kernels/linear.h"
#include "kernels/optim.h"
#include "model/config.h"
#include "tests/ref_util.h"
#include <time.h>

struct bench_settings {
    char *model, *only, *json;
    int64_t tokens;
    bool quick;
};
static const struct conf_field bench_table[] = {
    {.key = "model",
     .type = CONF_STR,
     .at = offsetof(struct bench_settings, model),
     .help = "a name in configs/models, as mamba2-130m, or a config.json; not given: those that suit the backend"},
    {.key = "tokens",
     .type = CONF_INT,
     .at = offsetof(struct bench_settings, tokens),
     .def = 0,
     .min = 0,
     .max = 1 << 24,
     .help = "of a training pass; 0: those that suit the model"},
    {.key = "only",
     .type = CONF_STR,
     .at = offsetof(struct bench_settings, only),
     .help = "bench_ops: ops whose name contains this; bench_model: train or decode"},
    {.key = "quick", .type = CONF_BOOL, .at = offsetof(struct bench_settings, quick), .help = "one sample each: does it run at all?"},
    {.key = "json", .type = CONF_STR, .at = offsetof(struct bench_settings, json), .help = "not given: build/BACKEND/PROGRAM.json"},
    {0}};

struct bench_op {
    char name[48];
    double seconds, bytes, flops;
    double calls; /* in a training step */
};
enum { BENCH_SAMPLES = 63, BENCH_OPS = 64 };
struct bench {
    struct bench_settings set;
    const char *filter;         /* ops whose name contains it, NULL: all */
    enum dtype type;            /* of matrix products here */
    double copy, read, product; /* ceilings: bytes/s of a copy (read + written) and of reading, last measured; FLOP/s of products in type */
    double step_seconds;        /* of the training step whose ops are timed: rows show their share of it; 0: none */
    /* Prints what else belongs behind a row and adds it to the JSON; NULL: nothing. tokens: of the rows that follow. */
    void (*note)(struct bench *b, json_t *row);
    int64_t tokens;
    struct bench_op op[BENCH_OPS]; /* ops since bench_group() */
    int n_op;
    json_t *out, *rows; /* the document; the rows of the group */
    /* the op being timed */
    char name[48];
    bool wanted, running, issuing, recorded;
    bool alone; /* set after bench_begin(): one call a batch, so that the caller can prepare each and start the timer again */
    int inner, left, batch, n;
    double began, sample[BENCH_SAMPLES], seconds, best; /* the median and the shortest */
    struct dev_graph graph;
};

/* Starts timing an op. inner: calls in one recorded list (dev_graph), for ops so short that a GPU's launches would count; 0: as many as
 * make some milliseconds, launched one by one (so always on the CPU). */
static inline void bench_begin(struct bench *b, const char *name, int inner)
{
    snprintf(b->name, sizeof b->name, "%s", name);
    b->wanted = !b->filter || strstr(name, b->filter);
    b->recorded = inner > 0 && strcmp(dev_backend(), "cpu") != 0;
    b->inner = b->recorded ? inner : 1;
    b->running = b->issuing = b->alone = false;
    b->left = b->batch = b->n = 0;
    b->graph = (struct dev_graph){0};
}

/* A batch of calls took so long. False: that was the last. */
static inline bool bench_take(struct bench *b, double seconds)
{
    int warm = b->recorded ? 3 : b->set.quick ? 1 : 2; /* a list is loaded, recorded, and run once */
    if (b->batch++ < warm) {
        if (b->batch == warm && !b->recorded && !b->alone && !b->set.quick && seconds < 0.004)
            b->inner = seconds * 200 < 0.004 ? 200 : (int)(0.004 / seconds) + 1;
        b->began = log_now();
        return true;
    }
    b->sample[b->n++] = seconds / b->inner;
    double spent = log_now() - b->began;
    bool enough = b->set.quick || b->n == BENCH_SAMPLES || (b->n >= 5 && spent > 0.25) || (b->n >= 3 && spent > 2);
    return !enough;
}

static inline int bench_compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Is the op to be called once more? At the end the median is in b->seconds. */
static inline bool bench_next(struct bench *b)
{
    while (b->wanted) {
        if (b->left > 0) {
            b->left--;
            return true;
        }
        if (b->running) {
            if (b->issuing)
                dev_graph_end(&b->graph);
            b->running = false;
            if (!bench_take(b, dev_timer_stop()))
                break;
        }
        dev_timer_start();
        b->running = true;
        b->issuing = b->recorded && dev_graph_begin(&b->graph);
        b->left = b->issuing || !b->recorded ? b->inner : 0;
    }
    if (b->wanted) {
        qsort(b->sample, (size_t)b->n, sizeof *b->sample, bench_compare);
        b->seconds = b->sample[b->n / 2];
        b->best = b->sample[0];
    }
    dev_graph_free(&b->graph);
    return false;
}

static inline double bench_bound(const struct bench *b, double bytes, double flops)
{
    return fmax(bytes / b->copy, flops / b->product);
}

/* The op timed last: an entry of b->op, and unless it was filtered out (seconds 0) a line and a JSON row. bound: seconds. */
static inline void bench_row_bound(struct bench *b, double bytes, double flops, double bound, double calls)
{
    must(b->n_op < BENCH_OPS);
    struct bench_op *o = &b->op[b->n_op++];
    *o = (struct bench_op){.seconds = b->wanted ? b->seconds : 0, .bytes = bytes, .flops = flops, .calls = calls};
    memcpy(o->name, b->name, sizeof o->name);
    if (!b->wanted)
        return;
    double s = o->seconds;
    printf("  %-30s %11.1f us %8.1f GB/s %9.1f GFLOP/s  bound %10.1f us, share %4.0f%%", o->name, s * 1e6, bytes / s * 1e-9,
           flops / s * 1e-9, bound * 1e6, 100 * bound / s);
    json_t *row =
        json_pack("{s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "op", o->name, "seconds", s, "best_s", b->best, "bytes", bytes, "flops",
                  flops, "bytes_per_s", bytes / s, "flops_per_s", flops / s, "bound_s", bound, "share_of_ceiling", bound / s);
    if (b->step_seconds > 0) {
        printf("  x %7.1f = %5.1f%% of the step", calls, 100 * s * calls / b->step_seconds);
        json_object_set_new(row, "calls", json_real(calls));
        json_object_set_new(row, "share_of_step", json_real(s * calls / b->step_seconds));
    }
    json_array_append_new(b->rows, row);
    if (b->note)
        b->note(b, row);
    printf("\n");
    fflush(stdout);
}

static inline void bench_row(struct bench *b, double bytes, double flops, double calls)
{
    bench_row_bound(b, bytes, flops, bench_bound(b, bytes, flops), calls);
}

/* n numbers on the device: a block of normal ones over and over, so that gigabytes cost no host time. */
static inline void *bench_numbers(enum dtype t, int64_t n)
{
    enum { BLOCK = (1 << 20) - 64 };
    char *p = (char *)dev_alloc((size_t)(n * dtype_size(t)));
    double *v = (double *)xmalloc(sizeof *v * BLOCK);
    int64_t first = n < BLOCK ? n : BLOCK;
    ref_normal(v, first, 1, 0, 1);
    ref_put(p, t, v, first);
    free(v);
    for (int64_t at = first; at < n; at += BLOCK)
        dev_copy(p + at * dtype_size(t), p, (size_t)((n - at < BLOCK ? n - at : BLOCK) * dtype_size(t)));
    return p;
}

/* Bytes/s of adding up host memory with all threads. */
static inline void bench_read_host(struct bench *b, const uint64_t *v, int64_t n)
{
    static volatile uint64_t sink;
    for (bench_begin(b, "read", 0); bench_next(b);) {
        uint64_t sum = 0;
#pragma omp parallel for reduction(+ : sum) schedule(static)
        for (int64_t i = 0; i < n; i++)
            sum += v[i];
        sink = sum;
    }
    (void)sink;
}

/* The memory's rates now. Measured right before what is judged by them: on a machine that others share they change from minute to minute.
 * Where there is no room for it the last rates stay. */
static inline void bench_memory(struct bench *b)
{
    bool cpu = strcmp(dev_backend(), "cpu") == 0;
    int64_t bytes = (int64_t)1 << (cpu ? 27 : 29);
    size_t free_bytes, total_bytes;
    dev_memory(&free_bytes, &total_bytes);
    if (free_bytes < (size_t)(3 * bytes))
        return;
    const char *filter = b->filter;
    b->filter = NULL;
    float *from = (float *)bench_numbers(F32, bytes / 4);
    void *to = dev_alloc((size_t)bytes), *scratch = dev_alloc(sum_scratch());
    double *sum = (double *)dev_alloc(sizeof *sum);
    for (bench_begin(b, "copy", 0); bench_next(b);)
        dev_copy(to, from, (size_t)bytes);
    b->copy = 2.0 * (double)bytes / b->seconds;
    if (cpu)
        bench_read_host(b, (const uint64_t *)(const void *)from, bytes / 8);
    else
        for (bench_begin(b, "read", 0); bench_next(b);)
            sumsq_add(sum, mat_make(from, F32, 1, bytes / 4), scratch);
    b->read = (double)bytes / b->seconds;
    b->filter = filter;
    dev_free(from);
    dev_free(to);
    dev_free(scratch);
    dev_free(sum);
}

static inline void bench_memory_json(const struct bench *b, json_t *into)
{
    json_object_set_new(into, "copy_bytes_per_s", json_real(b->copy));
    json_object_set_new(into, "read_bytes_per_s", json_real(b->read));
}

static inline void bench_ceilings(struct bench *b)
{
    int64_t k = strcmp(dev_backend(), "cpu") == 0 ? 2048 : 8192;
    if (b->set.quick)
        k /= 4;
    bench_memory(b);
    mat x = mat_make(bench_numbers(b->type, k * k), b->type, k, k), w = mat_make(bench_numbers(b->type, k * k), b->type, k, k);
    mat y = mat_make(dev_alloc((size_t)(k * k * dtype_size(b->type))), b->type, k, k);
    for (bench_begin(b, "product", 0); bench_next(b);)
        linear_fwd(y, x, w, (mat){0});
    b->product = 2.0 * (double)k * (double)k * (double)k / b->seconds;
    dev_free(x.data);
    dev_free(w.data);
    dev_free(y.data);
    printf("ceilings at the start: copy %.1f GB/s (read + written), read %.1f GB/s, product of %lld^3 in %s %.1f GFLOP/s\n", b->copy * 1e-9,
           b->read * 1e-9, (long long)k, ref_dtype_name(b->type), b->product * 1e-9);
    json_t *o = json_pack("{s:f, s:I}", "product_flops_per_s", b->product, "product_size", (json_int_t)k);
    bench_memory_json(b, o);
    json_object_set_new(b->out, "ceilings", o);
}

/* Rows that follow belong to a new object of the document, which is returned. Their bounds are by the memory's rates as they are now. */
static inline json_t *bench_group(struct bench *b, const char *title)
{
    bench_memory(b);
    b->n_op = 0;
    b->rows = json_array();
    json_t *group = json_pack("{s:s, s:o}", "title", title, "ops", b->rows);
    bench_memory_json(b, group);
    json_array_append_new(json_object_get(b->out, "groups"), group);
    printf("\n-- %s; memory right before: copy %.1f GB/s, read %.1f GB/s\n", title, b->copy * 1e-9, b->read * 1e-9);
    return group;
}

/* The commit of the sources, as far as git knows. */
static inline void bench_commit(char *text, size_t n)
{
    snprintf(text, n, "unknown");
    FILE *f = popen("git rev-parse --short HEAD 2>/dev/null", "r");
    char line[64];
    if (f && fgets(line, sizeof line, f))
        snprintf(text, n, "%.*s", (int)strcspn(line, "\n"), line);
    if (f)
        pclose(f);
}

/* The settings are there: takes the device and measures its ceilings. */
static inline void bench_start(struct bench *b)
{
    ref_device();
    b->type = dev_supports(BF16) ? BF16 : F32;
    char date[32], commit[64];
    time_t now = time(NULL);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", gmtime(&now));
    bench_commit(commit, sizeof commit);
    printf("%s\n%s, commit %s%s\n", dev_describe(), date, commit, b->set.quick ? "; --quick: the times mean little" : "");
    b->out = json_pack("{s:s, s:s, s:s, s:s, s:b, s:[]}", "device", dev_describe(), "backend", dev_backend(), "date", date, "commit",
                       commit, "quick", b->set.quick, "groups");
    bench_ceilings(b);
}

static inline void bench_open(struct bench *b, int argc, char **argv, const char *about)
{
    *b = (struct bench){0};
    cli_options(&b->set, bench_table, argc, argv, about);
    bench_start(b);
}

/* Writes the document; the exit code. */
static inline int bench_close(struct bench *b, const char *program)
{
    struct err e;
    char *path = b->set.json ? xstrdup(b->set.json) : xprintf("build/%s/%s.json", dev_backend(), program);
    bool ok = json_write_path(path, b->out, &e);
    if (ok)
        printf("\nwritten: %s\n", path);
    free(path);
    json_decref(b->out);
    conf_free(&b->set, bench_table);
    return ok ? EXIT_OK : cli_fail(program, &e);
}

static inline struct model_config bench_config(const char *name)
{
    struct model_config c;
    struct err e;
    char note[256];
    char *path = strchr(name, '/') ? xstrdup(name) : xprintf("configs/models/%s.json", name);
    if (!config_load(&c, path, note, sizeof note, &e))
        exit(cli_fail("bench", &e));
    free(path);
    return c;
}
#endif
