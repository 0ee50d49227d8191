/* infer/select.c - the program select: from the published sets, as they lie on disk, to the records of a mixture that a file describes. The work
 * is data/select's; what it lacks there, on a floor below, is the judge of mathematical answers. */
#include "core/cli.h"
#include "core/file.h"
#include "core/log.h"
#include "data/chat.h"
#include "data/select/select.h"
#include "infer/math/equal.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char about[] =
    "usage: select CONFIG.json --output FOLDER [--section.key=value ...]\n"
    "Draws the mixture that CONFIG.json describes (configs/data has some): for each source FOLDER/NAME.jsonl.zst for\n"
    "prepare, and FOLDER/manifest.json with counts in and out per reason, lengths in tokens, and digests.\n"
    "Settings, in the file or as options (--sources.0.path=FOLDER):";

static bool equal(const char *expected, const char *answer)
{
    const char *how;
    return math_equal(expected, answer, &how);
}

static json_t *manifest_of(const struct mixture *m, const struct tokenizer *tok, const struct decontam *against, json_t *sources)
{
    json_t *settings = conf_to_json(m, mixture_table);
    json_object_del(settings, "output"); /* what does not change the files is not told of them */
    json_object_del(settings, "threads");
    json_t *v = json_pack("{s:s, s:s, s:O, s:o}", "tokenizer", tokenizer_digest(tok), "template", chat_template_names[m->chat], "sources",
                          sources, "settings", settings);
    must(v);
    if (against)
        json_object_set_new(v, "against", decontam_sets(against));
    return v;
}

/* The manifest goes first and comes last: with a manifest, a folder is whole. */
static bool run(const struct mixture *m, struct err *e)
{
    struct tokenizer *tok;
    struct decontam *against = NULL;
    if (!tokenizer_open(&tok, m->tokenizer, e))
        return false;
    char *path = xprintf("%s/manifest.json", m->output);
    json_t *sources = json_array();
    bool ok = true;
    for (int64_t i = 0; ok && i < m->sources.n; i++) /* the last one's too, before hours are spent on the first */
        ok = select_check(m, i, e);
    ok = ok && (m->decontaminate.against.n == 0 || decontam_open(&against, &m->decontaminate, e)) && file_mkdirs(m->output, e);
    if (ok)
        unlink(path);
    for (int64_t i = 0; ok && i < m->sources.n; i++) {
        json_t *one;
        if ((ok = select_source(m, i, tok, against, equal, &one, e)))
            json_array_append_new(sources, one);
    }
    if (ok) {
        json_t *manifest = manifest_of(m, tok, against, sources);
        ok = json_write_path(path, manifest, e);
        json_decref(manifest);
    }
    json_decref(sources);
    decontam_close(against);
    tokenizer_close(tok);
    free(path);
    return ok;
}

int main(int argc, char **argv)
{
    struct mixture m = {0};
    struct err e;
    bool usage;
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0) {
            puts(about);
            conf_help(stdout, mixture_table);
            return EXIT_OK;
        }
    if (argc < 2 || strncmp(argv[1], "--", 2) == 0) {
        err_set(&e, "CONFIG.json must come first, as in: select configs/data/phase1.json --output runs/phase1");
        cli_usage(argv[0], &e);
    }
    bool ok = mixture_load(&m, argv[1], argc - 1, argv + 1, &usage, &e); /* argv + 1: the word before the options is skipped */
    if (!ok && usage)
        cli_usage(argv[0], &e);
    cli_catch_signals();
    ok = ok && run(&m, &e);
    conf_free(&m, mixture_table);
    return ok ? EXIT_OK : cli_fail(argv[0], &e);
}
