/* train/export.c - the program: a checkpoint into a folder that transformers and generate open.
 *
 * Streams from the checkpoint's mapped file: a piece of one tensor is in memory at a time, and mapped pages are given back at once.
 */
#include "core/cli.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/log.h"
#include "data/tokenizer.h"
#include "model/config.h"
#include "model/weights.h"
#include "train/checkpoint.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct options {
    char *checkpoint, *output;
    int dtype;
    double max_shard_gib;
};
static const char *const dtype_names[] = {"f32", "bf16", NULL};
static const struct conf_field table[] = {
    {.key = "checkpoint",
     .type = CONF_STR,
     .at = offsetof(struct options, checkpoint),
     .required = true,
     .help = "folder step_NNNNNN of a run"},
    {.key = "output", .type = CONF_STR, .at = offsetof(struct options, output), .required = true, .help = "folder to make; must not exist"},
    {.key = "dtype",
     .type = CONF_CHOICE,
     .at = offsetof(struct options, dtype),
     .choices = dtype_names,
     .def = BF16,
     .help = "type of the weights"},
    {.key = "max_shard_gib",
     .type = CONF_FLOAT,
     .at = offsetof(struct options, max_shard_gib),
     .def = 5,
     .min = 0.001,
     .max = 1e6,
     .help = "size of a weights file; larger models are cut into several"},
    {0}};

struct source {
    const struct param_table *table;
    const struct st_tensor **tensor; /* [table->n] */
    const struct safetensors *file;
};

static void read_source(void *from, const struct param *p, int64_t first, int64_t n, float *out)
{
    const struct source *s = from;
    const struct st_tensor *t = s->tensor[p - s->table->param];
    st_read_f32(t, first, n, out);
    safetensors_forget(s->file, t, first, n);
}

static const char readme[] =
    "# Exported Mamba-2 language model\n"
    "\n"
    "Made by promptcot-mamba's `export` from `%s` (step %s); weights in %s.\n"
    "`config.json` and the tensor names are those of Hugging Face's `Mamba2ForCausalLM`. `SHA256SUMS` lists every file: `sha256sum -c SHA256SUMS`.\n"
    "\n"
    "**Groups and the gated norm.** This model has n_groups = %d. Its gated RMSNorm normalises within each of the n_groups groups of\n"
    "intermediate channels, as it was trained and as state-spaces/mamba, vLLM and llama.cpp compute it. The Mamba2 of stock `transformers`\n"
    "normalises over all channels at once, which is another function as soon as n_groups > 1 (huggingface/transformers issue 40861): outputs\n"
    "are then wrong without any error. %s\n"
    "\n"
    "Generate with this project's `generate --model FOLDER --input PROMPTS.jsonl --output ANSWERS.jsonl`.\n";

static bool write_text(const char *dir, const char *name, const char *text, struct err *e)
{
    char *path = xprintf("%s/%s", dir, name);
    struct file_out *f;
    bool ok = file_out_open(&f, path, false, e);
    if (ok) {
        ok = file_out_write(f, text, strlen(text), e);
        ok = ok ? file_out_commit(f, e) : (file_out_abort(f), false);
    }
    free(path);
    return ok;
}

static int by_string(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool write_sums(const char *dir, struct err *e)
{
    char **name = NULL, *text = xstrdup("");
    size_t n = 0;
    DIR *d = opendir(dir);
    for (struct dirent *f; d && (f = readdir(d));) {
        if (f->d_name[0] == '.')
            continue;
        name = xrealloc(name, sizeof *name * (n + 1));
        name[n++] = xstrdup(f->d_name);
    }
    if (d)
        closedir(d);
    qsort(name, n, sizeof *name, by_string);
    bool ok = true;
    for (size_t i = 0; i < n; i++) {
        char hex[HASH_SHA256_HEX], *path = xprintf("%s/%s", dir, name[i]), *longer;
        ok = ok && hash_sha256_file(path, hex, e);
        if (ok) {
            longer = xprintf("%s%s  %s\n", text, hex, name[i]);
            free(text);
            text = longer;
        }
        free(path);
        free(name[i]);
    }
    free(name);
    ok = ok && write_text(dir, "SHA256SUMS", text, e);
    free(text);
    return ok;
}

static bool write_readme(const struct options *o, const char *dir, const struct model_config *c, struct err *e)
{
    const char *step = strrchr(o->checkpoint, '/');
    char *text = xprintf(readme, o->checkpoint, step ? step + 1 : o->checkpoint, o->dtype == BF16 ? "bfloat16" : "float32", c->groups,
                         c->groups > 1 ? "Do not run this model with stock `transformers`." : "With one group both are the same.");
    bool ok = write_text(dir, "README.md", text, e);
    free(text);
    return ok;
}

/* Everything into dir, which is not yet the name that the user asked for. */
static bool write_folder(const struct options *o, const char *dir, const struct model_config *c, struct err *e)
{
    struct param_table params;
    struct safetensors st = {0};
    struct tokenizer *tok = NULL;
    params_plan(&params, c);
    struct source from = {&params, xcalloc((size_t)params.n, sizeof(struct st_tensor *)), &st};
    bool ok = safetensors_open(&st, o->checkpoint, e) && (weights_match(&params, &st, from.tensor, e) || err_in(e, "%s", o->checkpoint)) &&
              weights_save(&params, read_source, &from, dir, (enum dtype)o->dtype, (int64_t)(o->max_shard_gib * 1024 * 1024 * 1024), e);
    if (ok) {
        char *path = xprintf("%s/config.json", dir);
        struct model_config as = *c;
        as.type = (enum dtype)o->dtype;
        json_t *config = config_json(&as);
        ok = json_write_path(path, config, e);
        json_decref(config);
        free(path);
    }
    if (ok && tokenizer_in_dir(o->checkpoint))
        ok = tokenizer_open(&tok, o->checkpoint, e) && tokenizer_save(tok, dir, e);
    ok = ok && write_readme(o, dir, c, e) && write_sums(dir, e) && file_sync_dir(dir, e);
    if (tok)
        tokenizer_close(tok);
    free(from.tensor);
    safetensors_close(&st);
    params_free(&params);
    return ok;
}

static bool export_folder(const struct options *o, struct err *e)
{
    struct model_config c;
    char note[256];
    char *part = xprintf("%s.part", o->output);
    bool ok = !file_exists(o->output) || err_set(e, "--output %s is there already; remove it or choose another name", o->output);
    ok = ok &&
         (file_is_dir(o->checkpoint) || err_set(e, "--checkpoint %s: no such folder; give a step_NNNNNN folder of a run", o->checkpoint));
    if (ok && checkpoint_is(o->checkpoint))
        ok = checkpoint_verify(o->checkpoint, e);
    ok = ok && config_load(&c, o->checkpoint, note, sizeof note, e) && file_remove_tree(part, e) && file_mkdirs(part, e);
    if (ok) {
        if (note[0])
            log_line("%s: %s", o->checkpoint, note);
        ok = write_folder(o, part, &c, e);
        if (ok && rename(part, o->output) != 0)
            ok = err_set(e, "%s: cannot rename to %s: %s", part, o->output, strerror(errno));
        if (!ok) {
            struct err ignored;
            file_remove_tree(part, &ignored);
        }
    }
    free(part);
    return ok;
}

/* "out/" is "out": names are made by appending. */
static void strip_slashes(char *path)
{
    for (size_t n = strlen(path); n > 1 && path[n - 1] == '/'; n--)
        path[n - 1] = '\0';
}

int main(int argc, char **argv)
{
    struct options o = {0};
    struct err e;
    cli_options(&o, table, argc, argv,
                "usage: export --checkpoint DIR --output DIR [--dtype bf16|f32] [--max-shard-gib N]\n"
                "Writes a checkpoint as a Hugging Face folder. Options:");
    strip_slashes(o.checkpoint);
    strip_slashes(o.output);
    bool ok = export_folder(&o, &e);
    if (ok)
        log_line("wrote %s", o.output);
    conf_free(&o, table);
    return ok ? EXIT_OK : cli_fail("export", &e);
}
