/* infer/code/sandbox.h - runs Python programs that nobody has looked at, behind walls, and measures them from outside.
 *
 * One run is one bubblewrap sandbox: user, process, network, IPC and host-name namespaces of its own, the system's /usr read-only and
 * nothing else of the host, a /tmp of 64 MiB that starts empty, no capabilities, a list of allowed system calls (seccomp) without sockets
 * and without new processes (threads are allowed), limits on memory, CPU time, threads, files and output. When the caller is root, the run
 * is not: it becomes nobody first. What it gets is its standard input and, when it serves calls, two pipes; what it gives is bytes.
 */
#ifndef INFER_CODE_SANDBOX_H
#define INFER_CODE_SANDBOX_H
#include "core/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#ifdef __cplusplus
extern "C" {
#endif

/* What is checked once: the programs that are needed, and that every wall stands, by a run that tries them from inside. */
struct sandbox;
/* NULL: a wall is missing; e names it and says what to do. unsafe: without bubblewrap (the system calls are still filtered and the limits
 * hold, but the host's files and processes can be seen). Ignores SIGPIPE from here on. */
struct sandbox *sandbox_open(bool unsafe, struct err *e);
void sandbox_close(struct sandbox *s);
/* Whether programs can import the module; what a benchmark needs is asked for before it starts. */
bool sandbox_has_module(const struct sandbox *s, const char *name);

/* A file that runs read, any number of them at once: kept in memory, never changed. The caller closes the descriptor. */
int sandbox_file(const char *text, size_t n);

struct run_spec {
    int program;   /* sandbox_file() of the Python program */
    int input;     /* sandbox_file() that is standard input; -1: empty */
    int server;    /* sandbox_file() of a Python program that is run instead, with PROGRAM's path as its argument, standard output and error
                        thrown away, and pipes at descriptors 3 (to it) and 4 (from it); -1: none */
    bool may_fork; /* new processes are allowed: for our own code only */
    double cpu_s;  /* CPU seconds that the kernel stops it after, rounded up */
    int64_t output; /* bytes on standard output that sandbox_run() takes */
    int64_t memory; /* bytes of address space; 0: 4 GiB */
};

/* A run under way. The descriptors are ours, non-blocking; -1: not there. */
struct run {
    pid_t monitor; /* our child; it ends when the program has ended and everything in the sandbox is gone */
    pid_t pid;     /* the program; 0: not known yet */
    int pidfd, info;
    int out, err; /* its standard output and error */
    int to, from; /* the pipes of a server */
    char *folder; /* unsafe: its working folder */
};
void run_start(struct run *r, const struct sandbox *s, const struct run_spec *spec);
/* CPU seconds so far; 0 while the program is not known yet. */
double run_cpu(struct run *r);
/* Whether it has filled its /tmp with more files than any program needs: empty ones take no room there, but memory of the kernel. */
bool run_floods(const struct run *r);
struct run_end {
    int code;     /* exit code; 128 + number of the signal that ended it */
    double cpu_s; /* all of it, with the start of the sandbox */
};
/* Waits until it has ended (killed: ends it first) and closes the descriptors. */
struct run_end run_finish(struct run *r, bool killed);

enum run_limit { RUN_ENDED, RUN_CPU, RUN_WALL, RUN_OUTPUT };
struct run_result {
    enum run_limit limit; /* what stopped it; RUN_ENDED: nothing */
    struct run_end end;
    char *out; /* standard output, with a NUL after its n bytes; the caller frees */
    size_t n;
    char err[1024]; /* the end of standard error */
};
/* A program from start to end. wall_s: how long it may take in all. */
void sandbox_run(struct run_result *r, const struct sandbox *s, const struct run_spec *spec, double wall_s);

#ifdef __cplusplus
}
#endif
#endif
