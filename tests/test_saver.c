/* tests/test_saver.c - checkpoints of several ranks: written by all at once beside the training, the same bytes whoever wrote them, loaded by any
 * number; and what is left when ranks are killed in the middle of it, a disk is full for one of them, or the folder goes away. This program starts
 * itself under mpirun. On GPUs there must be one for each rank. */
#include "core/log.h"
#include "kernels/comm.h"
#include "kernels/device.h"
#include "tests/mpirun.h"
#include "tests/train_run.h"
#include "train/saver.h"
#include "train/shares.h"
#include <dirent.h>

enum { NO_DEVICE = 77, MOST_RANKS = 4, STEP = 7 };

/* ------------------------------------------------------------ a rank of its own */

/* What a rank holds of a model: the sets of a checkpoint and all weights. */
struct holder {
    struct model_config config;
    struct param_table table;
    struct shares shares;
    const struct tensors_part *own; /* NULL: one rank */
    struct checkpoint_parts parts;
    struct tensors w; /* own part */
};

/* Tables of more values than are written at once, and shares that are cut anywhere. */
static struct model_config big_config(void)
{
    struct model_config c = tiny_config();
    c.vocab = 33001;
    c.hidden = 64;
    c.heads = 16;
    c.tied = true;
    return c;
}

static void holder_open(struct holder *h, struct model_config c, bool compress)
{
    *h = (struct holder){.config = c};
    params_plan_ranks(&h->table, &c, comm_size());
    if (comm_size() > 1) {
        shares_plan(&h->shares, &h->table, comm_rank());
        h->own = &h->shares.own[F32];
    }
    h->parts = (struct checkpoint_parts){.config = &h->config, .compress = compress};
    for (int i = 0; i < CHECKPOINT_SETS; i++) {
        h->parts.set[i] = (struct tensors){&h->table, F32, NULL, h->own};
        h->parts.set[i].base = dev_alloc((size_t)tensors_bytes(h->parts.set[i]));
    }
    h->w = (struct tensors){&h->table, F32, dev_alloc((size_t)h->table.bytes[F32]), comm_size() > 1 ? &h->shares.own_place : NULL};
}

static void holder_close(struct holder *h)
{
    for (int i = 0; i < CHECKPOINT_SETS; i++)
        dev_free(h->parts.set[i].base);
    dev_free(h->w.base);
    shares_free(&h->shares);
    params_free(&h->table);
}

/* The bits of a value of a set: any, NaNs and infinities too. */
static uint32_t bits(int set, int32_t param, int64_t i)
{
    return (uint32_t)rng_below(1, (uint64_t)(set * 1000 + param), (uint64_t)i, (uint64_t)1 << 32);
}

/* Puts the values of a set, each XORed with flip, where t holds them. */
static void fill(struct tensors t, int set, uint32_t flip)
{
    for (int32_t k = 0; k < t.table->n; k++) {
        const struct param *p = &t.table->param[k];
        int64_t first = 0, n = tensors_clip(t, p, &first, p->n);
        uint32_t *v = xmalloc(4 * (size_t)n + 1);
        for (int64_t i = 0; i < n; i++)
            v[i] = bits(set, k, first + i) ^ flip;
        if (n > 0)
            dev_put(tensors_value(t, p, first), v, 4 * (size_t)n);
        free(v);
    }
}

static void check_filled(struct tensors t, int set, const char *dir)
{
    int64_t wrong = 0;
    for (int32_t k = 0; k < t.table->n; k++) {
        const struct param *p = &t.table->param[k];
        int64_t first = 0, n = tensors_clip(t, p, &first, p->n);
        uint32_t *v = xmalloc(4 * (size_t)n + 1);
        if (n > 0)
            dev_get(v, tensors_value(t, p, first), 4 * (size_t)n);
        for (int64_t i = 0; i < n; i++)
            wrong += v[i] != bits(set, k, first + i);
        free(v);
    }
    check_msg(wrong == 0, "rank %d of %d, %s, set %d: %lld values are others", comm_rank(), comm_size(), dir, set, (long long)wrong);
}

/* How a checkpoint is written: from a copy, from the device, with compressed moments. */
enum way { BESIDE, WAITING, COMPRESSED, WAYS };

static char *saved_dir(const char *folder, int ranks, int way)
{
    return xprintf("%s/saved-%d-%d", folder, ranks, way);
}

static void save_way(const char *folder, enum way way)
{
    struct holder h;
    struct err e = {""};
    struct progress_state at = {.step = STEP, .phase = 1, .tokens = 99};
    double stall = -1;
    char *dir = saved_dir(folder, comm_size(), way);
    holder_open(&h, way == BESIDE ? big_config() : tiny_config(), way == COMPRESSED);
    int64_t bytes = way == WAITING ? 0 : saver_bytes(&h.table, h.own, way == COMPRESSED);
    struct saver *s = saver_open(dir, 2, &h.parts, h.own, bytes);
    for (int round = 0; round < 2; round++) { /* the second waits for the first */
        for (int i = 0; i < CHECKPOINT_SETS; i++)
            fill(h.parts.set[i], i, 0);
        check_msg(saver_begin(s, &at, &stall, &e), "%s", e.msg);
        check(stall >= 0);
        saver_copied(s);
        for (int i = 0; i < CHECKPOINT_SETS; i++) /* training goes on */
            fill(h.parts.set[i], i, 1);
    }
    check_msg(saver_wait(s, &e) && saver_step(s, &e), "%s", e.msg);
    saver_close(s);
    holder_close(&h);
    free(dir);
}

static void load_way(const char *folder, int ranks, enum way way)
{
    struct holder h;
    struct err e = {""};
    struct progress_state at;
    char *dir = saved_dir(folder, ranks, way), *newest = NULL;
    check_msg(checkpoint_newest(dir, &newest, &e) && newest, "%s", e.msg);
    holder_open(&h, way == BESIDE ? big_config() : tiny_config(), false);
    if (newest)
        check_msg(checkpoint_load(newest, h.w, h.parts.set, &at, &e), "%s", e.msg);
    check(at.step == STEP && at.phase == 1 && at.tokens == 99);
    check_filled(h.w, 0, dir);
    for (int i = 0; i < CHECKPOINT_SETS; i++)
        check_filled(h.parts.set[i], i, dir);
    holder_close(&h);
    free(newest);
    free(dir);
}

/* The disk is full for the last rank: all are told, nothing is left of it, and with room the next save succeeds. */
static void save_full(const char *folder)
{
    struct holder h;
    struct err e = {""};
    struct progress_state at = {.step = STEP};
    double stall;
    bool last = comm_rank() == comm_size() - 1;
    struct rlimit all, little;
    char *dir = xprintf("%s/full", folder), *step = xprintf("%s/step_%06d", dir, STEP), *part = xprintf("%s.part", step);
    holder_open(&h, big_config(), false);
    struct saver *s = saver_open(dir, 2, &h.parts, h.own, saver_bytes(&h.table, h.own, false));
    must(getrlimit(RLIMIT_FSIZE, &all) == 0);
    little = (struct rlimit){5000, all.rlim_max};
    if (last)
        must(setrlimit(RLIMIT_FSIZE, &little) == 0);
    check(saver_begin(s, &at, &stall, &e));
    check(!saver_wait(s, &e));
    check_has(e.msg, "step 7: checkpoint ");
    check_has(e.msg, "cannot write ");
    comm_barrier();
    check(!file_exists(step) && !file_exists(part));
    must(setrlimit(RLIMIT_FSIZE, &all) == 0);
    comm_barrier();
    check_msg(saver_begin(s, &at, &stall, &e) && saver_wait(s, &e), "%s", e.msg);
    comm_barrier();
    check_msg(checkpoint_verify(step, &e), "%s", e.msg);
    comm_barrier();
    /* A folder that cannot be made. */
    char *file = xprintf("%s/file", folder);
    if (comm_rank() == 0)
        run_write_text(file, "no folder\n");
    struct saver *t = saver_open(file, 2, &h.parts, h.own, 0);
    check(!saver_begin(t, &at, &stall, &e));
    check_has(e.msg, "Not a directory");
    saver_close(t);
    saver_close(s);
    holder_close(&h);
    free(file);
    free(part);
    free(step);
    free(dir);
}

static int worker(const char *what, const char *folder)
{
    struct err e;
    must(comm_open(&e));
    bool device = dev_open(comm_local_rank(), &e);
    if (!comm_agree(device, &e)) {
        comm_close();
        return NO_DEVICE;
    }
    log_mute();
    for (int way = 0; way < WAYS; way++) {
        if (!strcmp(what, "save"))
            save_way(folder, (enum way)way);
        for (int ranks = 1; ranks <= MOST_RANKS && !strcmp(what, "load"); ranks++)
            load_way(folder, ranks, (enum way)way);
    }
    if (!strcmp(what, "full"))
        save_full(folder);
    comm_close();
    return test_failures != 0;
}

/* --------------------------------------------------------------- tests of ranks */

/* False, and the test is skipped, where several ranks cannot run. */
static bool can_run(void)
{
    const char *missing = mpirun_missing();
    if (missing)
        test_skip(missing);
    return !missing;
}

/* Runs a shell's words under mpirun; the exit code. */
static int run_ranks(int ranks, const char *command)
{
    char *words = mpirun_words(ranks), *programs = program_folder(),
         *all = xprintf("%s '%s'/%s >'%s' 2>&1", words, programs, command, run_path("log"));
    int status = system(all), code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    char *said = run_read(run_path("log"), NULL);
    if (code == NO_DEVICE || strstr(said, "was asked for, but"))
        test_skip("not a GPU for every rank");
    else
        check_msg(code == 0, "%d ranks: exit code %d: %s", ranks, code, said);
    free(said);
    free(all);
    free(programs);
    free(words);
    return code;
}

static void run_worker(int ranks, const char *what)
{
    char *command = xprintf("tests/test_saver %s '%s'", what, run_path("."));
    run_ranks(ranks, command);
    free(command);
}

/* Saved by 1 to 4 ranks in three ways: the same bytes, the manifest's too. Loaded by 1 to 4 ranks: the values that were there when the save began,
 * to the bit. */
static void test_pairs(void)
{
    static const char *const files[] = {"config.json",  "model.safetensors", "exp_avg.safetensors", "exp_avg_sq.safetensors",
                                        "trainer.json", "manifest.json"};
    for (int ranks = 1; ranks <= MOST_RANKS && can_run() && !test_skip_message; ranks++)
        run_worker(ranks, "save");
    for (int ranks = 2; ranks <= MOST_RANKS && !test_skip_message; ranks++)
        for (int way = 0; way < WAYS; way++)
            for (int i = 0; i < 6; i++) {
                const char *end = way == COMPRESSED && strstr(files[i], "exp_avg") ? ".zst" : "";
                char *a = run_path("saved-1-%d/step_%06d/%s%s", way, STEP, files[i], end),
                     *b = run_path("saved-%d-%d/step_%06d/%s%s", ranks, way, STEP, files[i], end);
                check_msg(file_exists(a) && file_exists(b) && run_same_file(a, b), "%s and %s", a, b);
            }
    for (int ranks = 1; ranks <= MOST_RANKS && !test_skip_message; ranks++)
        run_worker(ranks, "load");
    for (int ranks = 1; ranks <= MOST_RANKS && !test_skip_message; ranks++)
        for (int way = 0; way < WAYS; way++) {
            struct err e;
            char *dir = saved_dir(run_path("."), ranks, way);
            check(file_remove_tree(dir, &e));
            free(dir);
        }
}

static void test_full(void)
{
    if (can_run())
        run_worker(3, "full");
}

/* Settings of a run of n steps over one phase, saved every step. */
static char *settings(const char *name, int64_t n)
{
    free(run_settings(name, NULL)); /* makes the data */
    char *edits = xprintf(
        "{\"batch\": {\"rows\": 5, \"micro_rows\": 1}, \"checkpoint\": {\"every_steps\": 1}, \"optim\": {\"lr\": 0.001, \"schedule\": "
        "\"constant\"}, \"phases\": [{\"name\": \"p\", \"seq_len\": 32, \"steps\": %lld, \"data\": [{\"path\": \"%s\"}]}]}",
        (long long)n, run_path("a.tok"));
    char *config = run_settings(name, edits);
    free(edits);
    return config;
}

/* The same steps over the same tokens with the same losses, to rounding. */
static void check_as_alone(const char *name, int64_t steps)
{
    json_t *a = run_jsonl(run_path("alone/metrics.jsonl")), *b = run_jsonl(run_path("%s/metrics.jsonl", name));
    check(json_array_size(a) == (size_t)steps && json_array_size(b) == (size_t)steps);
    for (size_t i = 0; i < json_array_size(b); i++) {
        const json_t *x = json_array_get(a, i), *y = json_array_get(b, i);
        static const char *const same[] = {"step", "lr", "tokens", "learnt_tokens"};
        for (int k = 0; k < 4; k++)
            check_msg(json_equal(json_object_get(x, same[k]), json_object_get(y, same[k])), "%s of step %zu", same[k], i + 1);
        double off = fabs(run_num(y, "loss") / run_num(x, "loss") - 1);
        check_msg(off < 1e-6, "step %zu: the loss differs by %.2g", i + 1, off);
    }
    json_decref(a);
    json_decref(b);
}

enum { STEPS = 34 };
static void make_alone(void)
{
    if (file_exists(run_path("alone/latest")))
        return;
    char *text, *config = settings("alone", STEPS);
    check_int(run_train(&text, config, "--checkpoint.keep=1"), 0);
    free(text);
    free(config);
}

/* One run through all 16 pairs of ranks before and ranks after a checkpoint, two steps each. */
static void test_any_ranks(void)
{
    static const int order[] = {1, 1, 2, 2, 3, 3, 4, 4, 1, 3, 1, 4, 2, 4, 3, 2, 1};
    if (!can_run())
        return;
    make_alone();
    char *config = settings("pairs", STEPS);
    for (int i = 0; i < 17 && !test_skip_message; i++) {
        char *command = xprintf("train '%s' --resume %s --phases.0.steps=%d", config, i ? "must" : "never", 2 * (i + 1));
        run_ranks(order[i], command);
        free(command);
    }
    if (!test_skip_message)
        check_as_alone("pairs", STEPS);
    free(config);
}

/* A step's line says how long the save held it up, if there was one. While one is written training goes on: it is done after the next step. */
static void test_beside(void)
{
    char *text, *config = settings("beside", 6);
    static const char *const ways[] = {"--checkpoint.async=auto", "--checkpoint.async=off"};
    for (int i = 0; i < 2; i++) {
        struct err e;
        check_int(run_train(&text, config, ways[i], "--checkpoint.every_steps=4"), 0);
        json_t *all = run_jsonl(run_path("beside/metrics.jsonl"));
        for (size_t k = 0; k < 6; k++) {
            double stall = run_num(json_array_get(all, k), "save_stall_s");
            check_msg(k == 3 || k == 5 ? stall >= 0 && stall < 60 : isnan(stall), "step %zu: %g", k + 1, stall);
        }
        json_decref(all);
        const char *saved = strstr(text, "step_000004 in "), *next = strstr(text, "step 5/6");
        check_msg(saved && next && (saved > next) == (i == 0), "%s", text);
        check(strstr(text, "step_000006 in ") > strstr(text, "step 6/6"));
        check(file_remove_tree(run_path("beside"), &e));
        free(text);
    }
    free(config);
}

/* The ranks of a run: the processes that mpirun started. */
static int ranks_of(pid_t mpirun, pid_t rank[MOST_RANKS])
{
    char *path = xprintf("/proc/%d/task/%d/children", (int)mpirun, (int)mpirun);
    FILE *f = fopen(path, "r");
    int n = 0, pid;
    while (f && n < MOST_RANKS && fscanf(f, "%d", &pid) == 1)
        rank[n++] = (pid_t)pid;
    if (f)
        fclose(f);
    free(path);
    return n;
}

static pid_t start(int ranks, const char *config)
{
    char *words = mpirun_words(ranks), *programs = program_folder(),
         *command = xprintf("exec %s '%s/train' '%s' >'%s' 2>&1", words, programs, config, run_path("log"));
    fflush(stdout);
    pid_t shell = fork(); /* becomes mpirun */
    must(shell >= 0);
    if (shell == 0) {
        execl("/bin/sh", "sh", "-c", command, NULL);
        _exit(127);
    }
    free(command);
    free(programs);
    free(words);
    return shell;
}

static int64_t lines_of(const char *path)
{
    struct err e;
    char *text = file_read(path, (size_t)1 << 28, NULL, &e);
    int64_t n = 0;
    for (const char *p = text; p && (p = strchr(p, '\n')); p++)
        n++;
    free(text);
    return n;
}

/* kill -9 of one rank or all while every step is being saved, by 1 to 4 ranks in turn: what is there is whole, the newest loads, and the run ends as
 * if nothing had been. */
static void test_killed(void)
{
    int most = getenv("PCM_LONG") ? 100 : 10, kills = 0;
    uint64_t seed = (uint64_t)time(NULL), random = 0;
    if (!can_run())
        return;
    make_alone();
    char *config = settings("killed", STEPS);
    struct err e = {""};
    fprintf(stderr, "          seed %llu\n", (unsigned long long)seed);
    for (int turn = 0; kills < most && turn < 10 * most && !test_skip_message; turn++) {
        char *metrics = xstrdup(run_path("killed/metrics.jsonl")), *newest = NULL;
        int64_t had = lines_of(metrics), steps = 1 + (int64_t)rng_below(seed, 1, random++, 4);
        int ranks = 1 + turn % MOST_RANKS;
        pid_t child = start(ranks, config), rank[MOST_RANKS];
        siginfo_t state = {0};
        for (int k = 0; k < 20000 && lines_of(metrics) < had + steps && !state.si_pid; k++) {
            nanosleep(&(struct timespec){0, 500000}, NULL);
            must(waitid(P_PID, (id_t)child, &state, WEXITED | WNOWAIT | WNOHANG) == 0);
        }
        nanosleep(&(struct timespec){0, (long)rng_below(seed, 1, random++, 8000000)}, NULL);
        int n = ranks_of(child, rank), one = n ? (int)rng_below(seed, 1, random++, (uint64_t)n) : 0;
        bool all = rng_below(seed, 1, random++, 2);
        for (int r = 0; r < n; r++)
            if (all || r == one)
                kill(rank[r], SIGKILL);
        int code = run_wait(child, NULL);
        char *said = run_read(run_path("log"), NULL);
        if (strstr(said, "was asked for, but"))
            test_skip("not a GPU for every rank");
        free(said);
        kills += code != 0;
        check_msg(checkpoint_newest(run_path("killed"), &newest, &e), "%s", e.msg);
        check_msg(newest || had < 2, "after %lld steps there is no checkpoint", (long long)had);
        if (code == 0 && !test_skip_message) { /* it was done before: begin anew */
            check_as_alone("killed", STEPS);
            must(file_remove_tree(run_path("killed"), &e));
        }
        free(newest);
        free(metrics);
    }
    char *command = xprintf("train '%s'", config);
    if (!test_skip_message)
        run_ranks(3, command);
    if (!test_skip_message) {
        check_int(kills, most);
        check_as_alone("killed", STEPS);
        struct dirent **found;
        int n = scandir(run_path("killed"), &found, NULL, alphasort);
        for (int i = 0; i < n; i++) {
            check_msg(!strstr(found[i]->d_name, ".part"), "%s is left", found[i]->d_name);
            free(found[i]);
        }
        free(found);
    }
    free(command);
    free(config);
}

static const struct test tests[] = {{"saved by any ranks, loaded by any", test_pairs},
                                    {"a run through all pairs of ranks", test_any_ranks},
                                    {"beside the training", test_beside},
                                    {"a full disk, no folder", test_full},
                                    {"killed in the middle", test_killed}};

int main(int argc, char **argv)
{
    if (argc > 2)
        return worker(argv[1], argv[2]);
    return test_main(argc, argv, "test_saver", tests, sizeof tests / sizeof tests[0]);
}
