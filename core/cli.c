/* core/cli.c - see cli.h. */
#include "core/cli.h"
#include "core/log.h" /* log_line: clears a progress line that may be on the terminal */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static const char *program_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

void cli_usage(const char *program, const struct err *e)
{
    log_line("%s: %s (--help lists the options)", program_name(program), e->msg);
    exit(EXIT_USAGE);
}

void cli_options_words(void *into, const struct conf_field *table, int argc, char **argv, const char *about, const char **words,
                       int *n_words)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0) {
            puts(about);
            conf_help(stdout, table);
            exit(EXIT_OK);
        }
    conf_defaults(into, table);
    struct err e;
    if (!conf_from_args(into, table, argc, argv, words, n_words, &e) || !conf_check(into, table, &e))
        cli_usage(argv[0], &e);
}

void cli_options(void *into, const struct conf_field *table, int argc, char **argv, const char *about)
{
    const char **words = xcalloc((size_t)argc + 1, sizeof(*words));
    int n_words = 0;
    cli_options_words(into, table, argc, argv, about, words, &n_words);
    if (n_words) {
        struct err e;
        err_set(&e, "\"%s\" is no option; every setting is given as --key VALUE", words[0]);
        cli_usage(argv[0], &e);
    }
    free(words);
}

int cli_fail(const char *program, const struct err *e)
{
    log_line("%s: %s", program_name(program), e->msg);
    return EXIT_INPUT;
}

static volatile sig_atomic_t interrupted;

static void on_signal(int signal)
{
    interrupted = signal;
}

void cli_catch_signals(void)
{
    struct sigaction stop = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGTERM, &stop, NULL);
}

int cli_interrupted(void)
{
    return interrupted;
}
