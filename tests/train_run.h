/* tests/train_run.h - what tests of training share: small models and data on disk, settings files, runs inside this process or as the program
 * `train`, and reading back what they wrote. */
#ifndef TESTS_TRAIN_RUN_H
#define TESTS_TRAIN_RUN_H
#include "core/err.h"
#include "core/file.h"
#include "core/json.h"
#include "core/rng.h"
#include "data/tokfile.h"
#include "model/weights.h"
#include "tests/model_files.h"
#include "tests/program.h"
#include "tests/ref_util.h"
#include "tests/test.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

static char run_folder[64]; /* of this test program; gone when it ends */

static inline void run_folder_remove(void)
{
    struct err e;
    file_remove_tree(run_folder, &e);
}

/* A path inside the test's folder; one of 16 buffers, used in turn. */
static inline char *run_path(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static inline char *run_path(const char *fmt, ...)
{
    static char path[16][256];
    static int turn;
    if (!run_folder[0]) {
        strcpy(run_folder, "/tmp/test_train.XXXXXX");
        must(mkdtemp(run_folder));
        atexit(run_folder_remove);
        /* Programs started here share the machine with others: waiting threads must not spin. */
        setenv("OMP_NUM_THREADS", "2", 1);
        setenv("OMP_WAIT_POLICY", "passive", 1);
    }
    char *p = path[turn = (turn + 1) % 16];
    int n = snprintf(p, sizeof path[0], "%s/", run_folder);
    va_list args;
    va_start(args, fmt);
    vsnprintf(p + n, sizeof path[0] - (size_t)n, fmt, args);
    va_end(args);
    return p;
}

static inline void run_write(const char *path, const void *p, size_t n)
{
    struct err e;
    struct file_out *f;
    if (!file_out_open(&f, path, false, &e) || !file_out_write(f, p, n, &e) || !file_out_commit(f, &e))
        die("%s", e.msg);
}

static inline void run_write_text(const char *path, const char *text)
{
    run_write(path, text, strlen(text));
}

/* A whole file; the caller frees. */
static inline char *run_read(const char *path, size_t *n)
{
    struct err e;
    char *text = file_read(path, (size_t)1 << 30, n, &e);
    if (!text)
        die("%s", e.msg);
    return text;
}

static inline bool run_same_file(const char *a, const char *b)
{
    size_t na, nb;
    char *ta = run_read(a, &na), *tb = run_read(b, &nb);
    bool same = na == nb && !memcmp(ta, tb, na);
    free(ta);
    free(tb);
    return same;
}

/* docs documents of up to most tokens each, the first quarter of each not learnt; a function of stream. */
static inline void run_write_tok(const char *path, int64_t docs, int64_t most, int32_t vocab, uint64_t stream)
{
    struct err e;
    struct tokfile_out *o;
    char hex[HASH_XXH3_HEX];
    int32_t *ids = (int32_t *)xmalloc(sizeof *ids * (size_t)most);
    uint8_t *learnt = (uint8_t *)xmalloc((size_t)most);
    bool ok = tokfile_out_open(&o, path, "", vocab, &e);
    for (int64_t d = 0; ok && d < docs; d++) {
        int64_t n = 2 + (int64_t)rng_below(5, stream, (uint64_t)d, (uint64_t)most - 1);
        for (int64_t i = 0; i < n; i++) {
            ids[i] = (int32_t)((rng_below(6, stream + (uint64_t)d, (uint64_t)(i / 3), (uint64_t)vocab) + (uint64_t)i) % (uint64_t)vocab);
            learnt[i] = i >= n / 4;
        }
        ok = tokfile_out_add(o, ids, learnt, n, &e);
    }
    if (!ok || !tokfile_out_commit(o, hex, &e))
        die("%s", e.msg);
    free(ids);
    free(learnt);
}

/* The objects of a .jsonl file as an array; the caller json_decref()s. */
static inline json_t *run_jsonl(const char *path)
{
    struct err e;
    json_t *all = json_load_lines(path, &e);
    if (!all)
        die("%s", e.msg);
    return all;
}

static inline double run_num(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

/* Steps whose numbers that do not depend on the clock differ between two metrics.jsonl, or are there in one only. */
static inline int run_metrics_differ(const char *a, const char *b)
{
    static const char *const keys[] = {"step", "loss", "grad_norm", "lr", "tokens", "learnt_tokens"};
    json_t *x = run_jsonl(a), *y = run_jsonl(b);
    size_t nx = json_array_size(x), ny = json_array_size(y), n = nx > ny ? nx : ny;
    int differ = 0;
    for (size_t i = 0; i < n; i++) {
        const json_t *p = json_array_get(x, i), *q = json_array_get(y, i);
        bool same = p && q && json_equal(json_object_get(p, "phase"), json_object_get(q, "phase"));
        for (size_t k = 0; same && k < sizeof keys / sizeof keys[0]; k++)
            same = json_equal(json_object_get(p, keys[k]), json_object_get(q, keys[k])) && json_object_get(p, keys[k]);
        differ += !same;
    }
    json_decref(x);
    json_decref(y);
    return differ;
}

/* A program of this build under way. out: the file that gets both its outputs. */
static inline pid_t run_start(const char *out, char *const argv[], int64_t file_limit)
{
    char *programs = program_folder(), *program = xprintf("%s/%s", programs, argv[0]);
    fflush(stdout);
    pid_t child = fork();
    must(child >= 0);
    if (child == 0) {
        int fd = open(out, O_WRONLY | O_CREAT | O_TRUNC, 0666);
        dup2(fd, 1);
        dup2(fd, 2);
        close(fd);
        if (file_limit > 0) { /* writing past it fails as on a full disk */
            struct rlimit limit = {(rlim_t)file_limit, (rlim_t)file_limit};
            signal(SIGXFSZ, SIG_IGN);
            setrlimit(RLIMIT_FSIZE, &limit);
        }
        execv(program, argv);
        _exit(127);
    }
    free(program);
    free(programs);
    return child;
}

/* Waits; the exit code, or 128 + the signal. *peak (may be NULL): bytes of the largest resident memory. */
static inline int run_wait(pid_t child, int64_t *peak)
{
    int status;
    struct rusage used;
    must(wait4(child, &status, 0, &used) == child);
    if (peak)
        *peak = (int64_t)used.ru_maxrss * 1024;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
/* Runs `train CONFIG options...` (the list ends with NULL) to its end. *text (may be NULL) receives what it said; the caller frees. */
static inline int run_train_limited(char **text, int64_t *peak, int64_t file_limit, const char *config, const char *const options[])
{
    char *argv[32] = {(char *)"train", (char *)config}, *log = xstrdup(run_path("log"));
    for (int i = 0; options && options[i]; i++)
        argv[2 + i] = (char *)options[i];
    int code = run_wait(run_start(log, argv, file_limit), peak);
    if (text)
        *text = run_read(log, NULL);
    free(log);
    return code;
}
#define run_train(text, config, ...) run_train_limited(text, NULL, 0, config, (const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

/* Settings of a small run of two phases over a.tok and b.tok (run_write_tok) into run_path("NAME"), with edits (JSON, may be NULL) on top, as
 * run_path("NAME.json"); the answer is that path, the caller frees. */
static inline char *run_settings(const char *name, const char *edits)
{
    struct err e = {""};
    struct model_config c = tiny_config();
    char *path = xstrdup(run_path("%s.json", name));
    if (!file_exists(run_path("model.json"))) {
        save_config(run_path("model.json"), &c);
        run_write_tok(run_path("a.tok"), 60, 30, (int32_t)c.vocab, 1);
        run_write_tok(run_path("b.tok"), 60, 50, (int32_t)c.vocab, 2);
    }
    json_t *o =
        json_pack("{s:s, s:{s:s}, s:{s:f, s:i}, s:{s:i, s:i}, s:{s:i, s:i}, s:{s:b}, s:[{s:s, s:i, s:i, s:[{s:s}]}, {s:s, s:i, s:i, "
                  "s:{s:f}, s:[{s:s}, {s:s, s:f}]}]}",
                  "run_dir", run_path("%s", name), "model", "config", run_path("model.json"), "optim", "lr", 0.01, "warmup_steps", 2,
                  "batch", "rows", 4, "micro_rows", 2, "checkpoint", "every_steps", 3, "keep", 2, "log", "tensorboard", 0, "phases", "name",
                  "one", "seq_len", 32, "steps", 7, "data", "path", run_path("a.tok"), "name", "two", "seq_len", 48, "steps", 5, "optim",
                  "lr", 0.005, "data", "path", run_path("b.tok"), "path", run_path("a.tok"), "weight", 0.5);
    must(o);
    if (edits) {
        json_t *more = json_parse(edits, strlen(edits), "edits", &e);
        if (!more)
            die("%s", e.msg);
        must(json_object_update_recursive(o, more) == 0);
        json_decref(more);
    }
    if (!json_write_path(path, o, &e))
        die("%s", e.msg);
    json_decref(o);
    return path;
}
/* A folder of random weights with one number replaced. */
static inline void run_write_weights(const char *dir, enum param_kind kind, int32_t layer, int64_t at, float value)
{
    struct model_config c = tiny_config();
    struct param_table table;
    ref_device();
    params_plan(&table, &c);
    struct tensors w = {&table, F32, dev_alloc((size_t)table.bytes[F32]), NULL};
    weights_random(w, NULL, &c, 3);
    dev_put((char *)tensors_at(w, params_get(&table, kind, layer)) + 4 * at, &value, 4);
    save_weights(dir, w, F32, 0);
    dev_free(w.base);
    params_free(&table);
}

/* --- memory as planned --- */

/* The memory of a process under the sanitizers is mostly theirs. */
#ifdef __SANITIZE_ADDRESS__
enum { OWN_MEMORY = 0 };
#else
enum { OWN_MEMORY = 1 };
#endif

/* Bytes on the plan's line that begins with these words. */
static inline double run_planned(const char *text, const char *words)
{
    const char *at = strstr(text, words);
    return at ? strtod(at + strlen(words), NULL) : NAN;
}

/* Settings "plan" of a run large enough for its plan to mean something: two steps of so many rows of 1024 tokens, two at a time. The caller
 * frees. */
static inline char *run_plan_settings(int rows)
{
    struct model_config c = {.vocab = 4096,
                             .hidden = 256,
                             .layers = 6,
                             .heads = 8,
                             .headdim = 64,
                             .groups = 2,
                             .state = 32,
                             .conv = 4,
                             .chunk = 64,
                             .eps = 1e-5,
                             .bos = -1,
                             .eos = -1,
                             .pad = -1};
    free(run_settings("plan", NULL)); /* makes the folder */
    save_config(run_path("plan-model.json"), &c);
    run_write_tok(run_path("plan.tok"), 40, 1024, 4096, 9);
    char *edits = xprintf("{\"model\": {\"config\": \"%s\"}, \"batch\": {\"rows\": %d, \"micro_rows\": 2}, \"phases\": [{\"name\": \"p\", "
                          "\"seq_len\": 1024, \"steps\": 2, \"data\": [{\"path\": \"%s\"}]}]}",
                          run_path("plan-model.json"), rows, run_path("plan.tok"));
    char *config = run_settings("plan", edits);
    free(edits);
    return config;
}
#endif
