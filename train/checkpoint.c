/* train/checkpoint.c - writing, finding, checking and reading checkpoints. */
#include "train/checkpoint.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/json.h"
#include "core/log.h"
#include "kernels/comm.h"
#include "model/weights.h"
#include "train/collect.h"
#include "train/tensor_file.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FORMAT = 1 };
static const char *const set_name[CHECKPOINT_SETS] = {"model", "exp_avg", "exp_avg_sq"};
static const char whole_key[] = "xxh3_128", sum_key[] = "xxh3_128_sum"; /* of a file in the manifest */

/* Every checkpoint folder's step, ascending; *n of them. The caller frees. */
static int64_t *list_steps(const char *run_dir, int64_t *n)
{
    int64_t *step = NULL;
    *n = 0;
    DIR *d = opendir(run_dir);
    for (struct dirent *f; d && (f = readdir(d));) {
        long long s;
        int end = 0;
        if (sscanf(f->d_name, "step_%lld%n", &s, &end) != 1 || f->d_name[end] || s < 0)
            continue;
        step = xrealloc(step, sizeof *step * (size_t)(*n + 1));
        int64_t i = (*n)++;
        for (; i > 0 && step[i - 1] > s; i--)
            step[i] = step[i - 1];
        step[i] = s;
    }
    if (d)
        closedir(d);
    return step;
}

static char *step_dir(const char *run_dir, int64_t step)
{
    return xprintf("%s/step_%06lld", run_dir, (long long)step);
}

static char *part_dir(const char *run_dir, int64_t step)
{
    return xprintf("%s/step_%06lld.part", run_dir, (long long)step);
}

/* The file of a set in a folder. */
static char *set_path(const char *dir, int set)
{
    return xprintf("%s/%s.safetensors", dir, set_name[set]);
}

static bool write_progress(const char *dir, const struct progress_state *at, struct err *e)
{
    char *path = xprintf("%s/trainer.json", dir);
    json_t *o = json_pack("{s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:s}", "format", FORMAT, "step", (json_int_t)at->step, "phase",
                          (json_int_t)at->phase, "phase_step", (json_int_t)at->phase_step, "tokens", (json_int_t)at->tokens, "updates",
                          (json_int_t)at->updates, "skipped", (json_int_t)at->skipped, "skipped_in_row", (json_int_t)at->skipped_in_row,
                          "phase_end", at->phase_end, "data_digest", at->data_digest);
    bool ok = json_write_path(path, o, e);
    json_decref(o);
    free(path);
    return ok;
}

static bool read_progress(const char *dir, struct progress_state *at, struct err *e)
{
    char *path = xprintf("%s/trainer.json", dir);
    json_t *o = json_load_path(path, false, NULL, e);
    const char *digest = "";
    int64_t format = 0;
    *at = (struct progress_state){0};
    bool ok = o && json_get_int(o, "format", FORMAT, FORMAT, &format, e) && json_get_int(o, "step", 0, INT64_MAX, &at->step, e) &&
              json_get_int(o, "phase", 0, INT64_MAX, &at->phase, e) && json_get_int(o, "phase_step", 0, INT64_MAX, &at->phase_step, e) &&
              json_get_int(o, "tokens", 0, INT64_MAX, &at->tokens, e) && json_get_int(o, "updates", 0, INT64_MAX, &at->updates, e) &&
              json_get_int(o, "skipped", 0, INT64_MAX, &at->skipped, e) &&
              json_get_int(o, "skipped_in_row", 0, INT64_MAX, &at->skipped_in_row, e) && json_get_bool(o, "phase_end", &at->phase_end, e) &&
              json_get_str(o, "data_digest", &digest, e);
    if (o && !ok)
        err_in(e, "%s", path);
    snprintf(at->data_digest, sizeof at->data_digest, "%s", digest);
    json_decref(o);
    free(path);
    return ok;
}

static int by_string(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names of the plain files in dir but manifest.json, sorted. The caller frees each and the list. */
static char **list_files(const char *dir, size_t *n)
{
    char **name = NULL;
    *n = 0;
    DIR *d = opendir(dir);
    for (struct dirent *f; d && (f = readdir(d));) {
        if (f->d_name[0] == '.' || !strcmp(f->d_name, "manifest.json"))
            continue;
        name = xrealloc(name, sizeof *name * (*n + 1));
        name[(*n)++] = xstrdup(f->d_name);
    }
    if (d)
        closedir(d);
    if (*n)
        qsort(name, *n, sizeof *name, by_string);
    return name;
}

/* The manifest's own digest: XXH3-128 of its text with zeros in the digest's place. */
static const char zeros[] = "00000000000000000000000000000000";
static const char own_key[] = "manifest_xxh3_128";

/* The manifest's line of a file. sum: of the shared sets. */
static bool describe_file(const char *dir, const char *name, int sets, const struct hash_sum sum[], json_t *files, struct err *e)
{
    char *path = xprintf("%s/%s", dir, name), hex[HASH_XXH3_HEX];
    const char *key = whole_key;
    for (int i = 0; i < sets; i++) {
        char *file = set_path(dir, i);
        if (!strcmp(path, file)) {
            key = sum_key;
            hash_sum_hex(sum[i], hex);
        }
        free(file);
    }
    bool ok = key == sum_key || hash_xxh3_file(path, hex, e);
    if (ok)
        json_array_append_new(files, json_pack("{s:s, s:I, s:s}", "name", name, "bytes", (json_int_t)file_size(path), key, hex));
    free(path);
    return ok;
}

static bool write_manifest(const char *dir, int sets, const struct hash_sum sum[], struct err *e)
{
    size_t n;
    char **name = list_files(dir, &n), hex[HASH_XXH3_HEX];
    json_t *files = json_array();
    bool ok = true;
    for (size_t i = 0; i < n; i++) {
        ok = ok && describe_file(dir, name[i], sets, sum, files, e);
        free(name[i]);
    }
    free(name);
    json_t *o = json_pack("{s:i, s:s, s:o}", "format", FORMAT, own_key, zeros, "files", files);
    char *path = xprintf("%s/manifest.json", dir), *text = json_dumps(o, JSON_INDENT(2));
    struct file_out *f = NULL;
    must(text);
    hash_xxh3(text, strlen(text), hex);
    memcpy(strstr(text, zeros), hex, strlen(hex));
    ok = ok && file_out_open(&f, path, false, e);
    if (ok) {
        ok = file_out_write(f, text, strlen(text), e);
        ok = ok ? file_out_commit(f, e) : (file_out_abort(f), false);
    }
    free(text);
    free(path);
    json_decref(o);
    return ok;
}

/* Parses a manifest and compares its own digest. The caller json_decref()s. */
static json_t *read_manifest(const char *dir, struct err *e)
{
    const char *want;
    char hex[HASH_XXH3_HEX], *path = xprintf("%s/manifest.json", dir);
    size_t n = 0;
    char *text = file_read(path, (size_t)64 << 20, &n, e), *at = NULL;
    json_t *o = text ? json_parse(text, n, path, e) : NULL;
    bool ok = o && (json_get_str(o, own_key, &want, e) || err_in(e, "%s", path));
    if (ok)
        at = strlen(want) == strlen(zeros) ? strstr(text, want) : NULL;
    if (ok && at) {
        memcpy(at, zeros, strlen(zeros));
        hash_xxh3(text, n, hex);
    }
    if (ok && (!at || strcmp(hex, want)))
        ok = err_set(e, "%s: changed since it was written (its digest does not fit): damaged; use another checkpoint", path);
    free(text);
    free(path);
    if (ok)
        return o;
    json_decref(o);
    return NULL;
}

/* What rank 0 makes of a folder before all write into it. */
static bool begin_folder(const char *dir, const struct checkpoint_parts *parts, struct hash_sum sum[], struct err *e)
{
    int shared = checkpoint_shared_sets(parts->compress);
    bool ok = file_remove_tree(dir, e) && file_mkdirs(dir, e);
    for (int i = 0; ok && i < CHECKPOINT_SETS; i++) {
        const struct param_table *table = parts->set[i].table;
        struct collected set = {parts->set[i], i};
        char *path = set_path(dir, i), *zst = xprintf("%s.zst", path);
        ok = i < shared ? tensor_file_create(path, table, &sum[i], e) : weights_save_file(table, collect_read, &set, F32, zst, true, e);
        free(zst);
        free(path);
    }
    return ok;
}

/* The small files, and the manifest of all. */
static bool end_folder(const char *dir, const struct checkpoint_parts *parts, const struct progress_state *at, const struct hash_sum sum[],
                       struct err *e)
{
    char *path = xprintf("%s/config.json", dir);
    json_t *config = config_json(parts->config);
    bool ok = json_write_path(path, config, e);
    json_decref(config);
    free(path);
    return ok && (!parts->tokenizer || tokenizer_save(parts->tokenizer, dir, e)) && write_progress(dir, at, e) &&
           write_manifest(dir, checkpoint_shared_sets(parts->compress), sum, e) && file_sync_dir(dir, e);
}

/* Of those up to now, oldest first, until keep are left; the last of every phase stays. */
static bool remove_old(const char *run_dir, int64_t now, int64_t keep, struct err *e)
{
    int64_t n, *step = list_steps(run_dir, &n);
    bool ok = true;
    while (n > 0 && step[n - 1] > now)
        n--;
    for (int64_t i = 0; ok && i < n - keep; i++) {
        struct progress_state at;
        struct err unreadable;
        char *dir = step_dir(run_dir, step[i]);
        if (!read_progress(dir, &at, &unreadable) || !at.phase_end)
            ok = file_remove_tree(dir, e);
        free(dir);
    }
    free(step);
    return ok;
}

/* latest: the name of the checkpoint at a step. */
static bool point_latest(const char *run_dir, int64_t step, struct err *e)
{
    char *latest = xprintf("%s/latest", run_dir), *dir = step_dir(run_dir, step), *line = xprintf("%s\n", strrchr(dir, '/') + 1);
    struct file_out *f = NULL;
    bool ok = file_out_open(&f, latest, false, e);
    if (ok)
        ok = file_out_write(f, line, strlen(line), e) ? file_out_commit(f, e) : (file_out_abort(f), false);
    free(line);
    free(dir);
    free(latest);
    return ok;
}

int checkpoint_shared_sets(bool compress)
{
    return compress ? 1 : CHECKPOINT_SETS;
}

/* Puts the step and the checkpoint's name in front of a failure. */
static bool name_failure(const char *run_dir, int64_t step, bool ok, struct err *e)
{
    char *dir = step_dir(run_dir, step);
    if (!ok)
        err_in(e, "step %lld: checkpoint %s", (long long)step, dir);
    free(dir);
    return ok;
}

void checkpoint_discard(const char *run_dir, int64_t step)
{
    struct err ignored;
    char *dir = part_dir(run_dir, step);
    file_remove_tree(dir, &ignored);
    free(dir);
}

bool checkpoint_begin(const char *run_dir, const struct checkpoint_parts *parts, int64_t step, struct hash_sum sum[], struct err *e)
{
    bool ok = true;
    for (int i = 0; i < CHECKPOINT_SETS; i++)
        sum[i] = (struct hash_sum){0};
    if (comm_rank() == 0) {
        char *dir = part_dir(run_dir, step);
        ok = name_failure(run_dir, step, begin_folder(dir, parts, sum, e), e);
        free(dir);
        collect_end();
    } else {
        const struct collected set[] = {{parts->set[0], 0}, {parts->set[1], 1}, {parts->set[2], 2}};
        collect_serve(set);
    }
    ok = comm_agree(ok, e);
    if (!ok && comm_rank() == 0)
        checkpoint_discard(run_dir, step);
    return ok;
}

bool checkpoint_write(const char *run_dir, const struct tensors set[], int sets, bool host, int64_t step, struct hash_sum sum[],
                      struct err *e)
{
    char *dir = part_dir(run_dir, step);
    bool ok = true;
    for (int i = 0; ok && i < sets; i++) {
        char *path = set_path(dir, i);
        ok = tensor_file_write(path, set[i], host, &sum[i], e);
        free(path);
    }
    free(dir);
    return name_failure(run_dir, step, ok, e);
}

bool checkpoint_commit(const char *run_dir, const struct checkpoint_parts *parts, const struct progress_state *at, int64_t keep,
                       const struct hash_sum sum[], struct err *e)
{
    char *dir = step_dir(run_dir, at->step), *part = part_dir(run_dir, at->step);
    bool ok = end_folder(part, parts, at, sum, e);
    if (ok && file_exists(dir)) /* the same step again, after resuming from an older one */
        ok = file_remove_tree(dir, e);
    if (ok && rename(part, dir) != 0)
        ok = err_set(e, "%s: cannot rename to %s: %s", part, dir, strerror(errno));
    ok = ok && file_sync_dir(run_dir, e) && point_latest(run_dir, at->step, e) && remove_old(run_dir, at->step, keep, e);
    free(part);
    free(dir);
    return name_failure(run_dir, at->step, ok, e);
}

bool checkpoint_is(const char *dir)
{
    char *path = xprintf("%s/manifest.json", dir);
    bool is = file_exists(path);
    free(path);
    return is;
}

/* A file is as the manifest's line says. */
static bool verify_file(const char *dir, const json_t *line, struct err *e)
{
    const char *name, *want, *key = json_object_get(line, sum_key) ? sum_key : whole_key;
    char hex[HASH_XXH3_HEX];
    int64_t bytes;
    if (!json_get_str(line, "name", &name, e) || !json_get_int(line, "bytes", 0, INT64_MAX, &bytes, e) ||
        !json_get_str(line, key, &want, e))
        return err_in(e, "%s/manifest.json: \"files\"", dir);
    char *path = xprintf("%s/%s", dir, name);
    bool ok = true;
    if (file_size(path) != bytes)
        ok = err_set(e, "%s: %lld bytes, the manifest says %lld: damaged; use another checkpoint", path, (long long)file_size(path),
                     (long long)bytes);
    ok = ok && (key == sum_key ? tensor_file_digest(path, hex, e) : hash_xxh3_file(path, hex, e));
    if (ok && strcmp(hex, want))
        ok = err_set(e, "%s: XXH3 is %s, the manifest says %s: damaged; use another checkpoint", path, hex, want);
    free(path);
    return ok;
}

bool checkpoint_verify(const char *dir, struct err *e)
{
    json_t *o = read_manifest(dir, e), *files = json_object_get(o, "files");
    bool ok = o != NULL;
    if (ok && json_array_size(files) == 0)
        ok = err_set(e, "%s/manifest.json: \"files\" must list the checkpoint's files", dir);
    for (size_t i = 0; ok && i < json_array_size(files); i++)
        ok = verify_file(dir, json_array_get(files, i), e);
    json_decref(o);
    return ok;
}

bool checkpoint_newest(const char *run_dir, char **dir, struct err *e)
{
    int64_t n, *step = list_steps(run_dir, &n);
    *dir = NULL;
    for (int64_t i = n - 1; i >= 0 && !*dir; i--) {
        struct err damage;
        *dir = step_dir(run_dir, step[i]);
        if (checkpoint_verify(*dir, &damage))
            continue;
        log_line("passing over a checkpoint: %s", damage.msg);
        free(*dir);
        *dir = NULL;
    }
    free(step);
    return *dir || n == 0 ||
           err_set(e, "%s: none of its %lld checkpoints is whole (see above); remove them to start anew, or give a new run_dir", run_dir,
                   (long long)n);
}

bool checkpoint_load(const char *dir, struct tensors w, struct tensors set[], struct progress_state *at, struct err *e)
{
    bool ok = read_progress(dir, at, e) && weights_load(w, &set[0], dir, e);
    for (int i = 1; ok && i < CHECKPOINT_SETS; i++) {
        char *path = set_path(dir, i), *zst = xprintf("%s.zst", path);
        ok = weights_load(set[i], NULL, file_exists(zst) ? zst : path, e);
        free(zst);
        free(path);
    }
    return ok;
}

bool checkpoint_clean(const char *run_dir, int64_t now, int64_t keep, struct err *e)
{
    bool ok = true;
    DIR *d = opendir(run_dir);
    for (struct dirent *f; ok && d && (f = readdir(d));) {
        size_t n = strlen(f->d_name);
        if (strncmp(f->d_name, "step_", 5) || n < 5 || strcmp(f->d_name + n - 5, ".part"))
            continue;
        char *path = xprintf("%s/%s", run_dir, f->d_name);
        ok = file_remove_tree(path, e);
        free(path);
    }
    if (d)
        closedir(d);
    return ok && (now == 0 || (point_latest(run_dir, now, e) && remove_old(run_dir, now, keep, e)));
}
