/* tests/program.h - runs a program that was built beside the tests, and takes what it printed and its exit code. */
#ifndef TESTS_PROGRAM_H
#define TESTS_PROGRAM_H
#include "core/err.h"
#include "core/file.h"
#include <libgen.h> /* dirname */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct ran {
    int code; /* -1: it did not end by itself */
    char *out, *err;
};

static inline void ran_free(struct ran *r)
{
    free(r->out);
    free(r->err);
}

/* The folder of this build's programs; the caller frees. */
static inline char *program_folder(void)
{
    char here[4096];
    ssize_t n = readlink("/proc/self/exe", here, sizeof here - 1); /* BUILD/tests/test_x */
    must(n > 0);
    here[n] = '\0';
    return xstrdup(dirname(dirname(here)));
}

/* Runs "prepare --input x ..." (the rest of the line as a shell takes it) in this folder, which gets the files .out and .err. */
static inline struct ran run_program(const char *folder, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static inline struct ran run_program(const char *folder, const char *fmt, ...)
{
    char *words, *programs = program_folder();
    va_list args;
    va_start(args, fmt);
    must(vasprintf(&words, fmt, args) >= 0);
    va_end(args);
    char *out = xprintf("%s/.out", folder), *err = xprintf("%s/.err", folder);
    char *command = xprintf("cd '%s' && '%s'/%s >.out 2>.err", folder, programs, words);
    int status = system(command);
    struct err e;
    struct ran r = {.code = status != -1 && WIFEXITED(status) ? WEXITSTATUS(status) : -1};
    r.out = file_read(out, (size_t)1 << 28, NULL, &e);
    r.err = file_read(err, (size_t)1 << 28, NULL, &e);
    must(r.out && r.err);
    free(words);
    free(programs);
    free(out);
    free(err);
    free(command);
    return r;
}
#endif
