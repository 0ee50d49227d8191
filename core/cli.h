/* core/cli.h - how every program whose settings are all options begins: --help, usage errors, exit codes. */
#ifndef CORE_CLI_H
#define CORE_CLI_H
#include "core/conf.h"
#ifdef __cplusplus
extern "C" {
#endif

enum { EXIT_OK = 0, EXIT_INPUT = 1, EXIT_USAGE = 2 };

/* Defaults, then the command line. --help prints about and the table to standard output and exits 0; an unknown option, a stray word or a
 * missing required option is one line on standard error and exit 2. argv[0]'s last part names the program. */
void cli_options(void *into, const struct conf_field *table, int argc, char **argv, const char *about);
/* The same for a program that also takes words: they go to words (caller's array of argc entries), *n_words of them. */
void cli_options_words(void *into, const struct conf_field *table, int argc, char **argv, const char *about, const char **words,
                       int *n_words);
/* A usage error that the table cannot know: "program: message", exit 2. */
CORE_NORETURN void cli_usage(const char *program, const struct err *e);
/* "program: message" on standard error; returns the exit code for it, 1. */
int cli_fail(const char *program, const struct err *e);
/* From here on SIGINT and SIGTERM only ask the program to end, which it does where it asks in turn: the signal's number, 0 as long as there was
 * none. The same signal once more ends it at once. */
void cli_catch_signals(void);
int cli_interrupted(void);

#ifdef __cplusplus
}
#endif
#endif
