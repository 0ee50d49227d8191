/* train/checkpoint.c - writing, finding, checking and reading checkpoints. */
#include "train/checkpoint.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/json.h"
#include "core/log.h"
#include "kernels/comm.h"
#include "model/weights.h"
#include "train/collect.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FORMAT = 1 };

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

static bool write_manifest(const char *dir, struct err *e)
{
    size_t n;
    char **name = list_files(dir, &n), hex[HASH_XXH3_HEX];
    json_t *files = json_array();
    bool ok = true;
    for (size_t i = 0; i < n; i++) {
        char *path = xprintf("%s/%s", dir, name[i]);
        ok = ok && hash_xxh3_file(path, hex, e);
        if (ok)
            json_array_append_new(files,
                                  json_pack("{s:s, s:I, s:s}", "name", name[i], "bytes", (json_int_t)file_size(path), "xxh3_128", hex));
        free(path);
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

/* One set of tensors under a name, with .zst when compressed. */
static bool save_moments(const char *dir, const char *name, struct collected set, bool compress, struct err *e)
{
    char *path = xprintf("%s/%s.safetensors%s", dir, name, compress ? ".zst" : "");
    bool ok = weights_save_file(set.t.table, collect_read, &set, F32, path, compress, e);
    free(path);
    return ok;
}

static bool write_parts(const char *dir, const struct checkpoint_parts *parts, const struct progress_state *at, struct err *e)
{
    struct collected master = {parts->master, 0}, exp_avg = {parts->exp_avg, 1}, exp_avg_sq = {parts->exp_avg_sq, 2};
    char *path = xprintf("%s/config.json", dir);
    json_t *config = config_json(parts->config);
    bool ok = json_write_path(path, config, e);
    json_decref(config);
    free(path);
    return ok && weights_save(master.t.table, collect_read, &master, dir, F32, 0, e) &&
           save_moments(dir, "exp_avg", exp_avg, parts->compress, e) && save_moments(dir, "exp_avg_sq", exp_avg_sq, parts->compress, e) &&
           (!parts->tokenizer || tokenizer_save(parts->tokenizer, dir, e)) && write_progress(dir, at, e) && write_manifest(dir, e) &&
           file_sync_dir(dir, e);
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

bool checkpoint_save(const char *run_dir, const struct checkpoint_parts *parts, const struct progress_state *at, int64_t keep,
                     struct err *e)
{
    if (comm_rank() > 0) {
        const struct collected set[] = {{parts->master, 0}, {parts->exp_avg, 1}, {parts->exp_avg_sq, 2}};
        collect_serve(set);
        return true;
    }
    char *dir = step_dir(run_dir, at->step), *part = xprintf("%s.part", dir);
    bool ok = file_remove_tree(part, e) && file_mkdirs(part, e) && write_parts(part, parts, at, e);
    if (ok && file_exists(dir)) /* the same step again, after resuming from an older one */
        ok = file_remove_tree(dir, e);
    if (ok && rename(part, dir) != 0)
        ok = err_set(e, "%s: cannot rename to %s: %s", part, dir, strerror(errno));
    ok = ok && file_sync_dir(run_dir, e) && point_latest(run_dir, at->step, e);
    ok = ok && remove_old(run_dir, at->step, keep, e);
    if (!ok) {
        struct err ignored;
        file_remove_tree(part, &ignored);
        err_in(e, "checkpoint %s", dir);
    }
    collect_end();
    free(part);
    free(dir);
    return ok;
}

bool checkpoint_is(const char *dir)
{
    char *path = xprintf("%s/manifest.json", dir);
    bool is = file_exists(path);
    free(path);
    return is;
}

bool checkpoint_verify(const char *dir, struct err *e)
{
    char *path = xprintf("%s/manifest.json", dir);
    json_t *o = read_manifest(dir, e), *files = json_object_get(o, "files");
    bool ok = o != NULL;
    if (ok && json_array_size(files) == 0)
        ok = err_set(e, "%s: \"files\" must list the checkpoint's files", path);
    for (size_t i = 0; ok && i < json_array_size(files); i++) {
        const json_t *f = json_array_get(files, i);
        const char *name, *want;
        char hex[HASH_XXH3_HEX], *file = NULL;
        int64_t bytes;
        ok = (json_get_str(f, "name", &name, e) && json_get_int(f, "bytes", 0, INT64_MAX, &bytes, e) &&
              json_get_str(f, "xxh3_128", &want, e)) ||
             err_in(e, "%s: file %zu", path, i);
        if (!ok)
            break;
        file = xprintf("%s/%s", dir, name);
        if (file_size(file) != bytes)
            ok = err_set(e, "%s: %lld bytes, the manifest says %lld: damaged; use another checkpoint", file, (long long)file_size(file),
                         (long long)bytes);
        ok = ok && hash_xxh3_file(file, hex, e);
        if (ok && strcmp(hex, want))
            ok = err_set(e, "%s: XXH3 is %s, the manifest says %s: damaged; use another checkpoint", file, hex, want);
        free(file);
    }
    json_decref(o);
    free(path);
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

static bool load_moments(const char *dir, const char *name, struct tensors t, struct err *e)
{
    char *path = xprintf("%s/%s.safetensors", dir, name), *zst = xprintf("%s.zst", path);
    bool ok = weights_load(t, NULL, file_exists(zst) ? zst : path, e);
    free(zst);
    free(path);
    return ok;
}

bool checkpoint_load(const char *dir, struct tensors w, struct tensors *master, struct tensors exp_avg, struct tensors exp_avg_sq,
                     struct progress_state *at, struct err *e)
{
    return read_progress(dir, at, e) && weights_load(w, master, dir, e) && load_moments(dir, "exp_avg", exp_avg, e) &&
           load_moments(dir, "exp_avg_sq", exp_avg_sq, e);
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
