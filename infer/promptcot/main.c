/* infer/promptcot/main.c - the program promptcot: settings from a file and the command line. */
#include "core/cli.h"
#include "infer/promptcot/promptcot.h"
#include <stdlib.h>
#include <string.h>

static const char about[] =
    "usage: promptcot CONFIG.json [--section.key=value ...]\n"
    "Makes problems with their answers from concepts (PromptCoT), or finds the best rationales for given problems, with models\n"
    "in folders or behind OpenAI-compatible endpoints. A run that was ended goes on when it is started again.\n"
    "Settings, in the file or as options (--combine.problems=1000):";

int main(int argc, char **argv)
{
    struct promptcot p = {0};
    struct err e;
    int n_words;
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0) {
            puts(about);
            conf_help(stdout, promptcot_table);
            return EXIT_OK;
        }
    if (argc < 2 || strncmp(argv[1], "--", 2) == 0) {
        err_set(&e, "CONFIG.json must come first, as in: promptcot configs/promptcot.json --combine.problems=100");
        cli_usage(argv[0], &e);
    }
    const char **words = xcalloc((size_t)argc + 1, sizeof *words);
    conf_defaults(&p, promptcot_table);
    bool ok = conf_from_file(&p, promptcot_table, argv[1], &e);
    if (ok && (!conf_from_args(&p, promptcot_table, argc - 1, argv + 1, words, &n_words, &e) || !conf_check(&p, promptcot_table, &e)))
        cli_usage(argv[0], &e);
    if (ok && n_words > 0) {
        err_set(&e, "\"%s\" is one word too many: there is one CONFIG.json, and every setting is --key VALUE", words[0]);
        cli_usage(argv[0], &e);
    }
    free(words);
    ok = ok && promptcot_run(&p, &e);
    conf_free(&p, promptcot_table);
    return ok ? EXIT_OK : cli_fail(argv[0], &e);
}
