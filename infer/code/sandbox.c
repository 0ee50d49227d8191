/* infer/code/sandbox.c - the walls: how a run is started behind bubblewrap, and the proof that they stand. See sandbox.h. */
#include "core/file.h"
#include "infer/code/sandbox_impl.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { NOBODY = 65534 };
static const int64_t default_memory = (int64_t)4 << 30;

/* Descriptors of the child before exec: fixed, so that bubblewrap's arguments are. */
enum { FD_TO = 3, FD_FROM, FD_FILTER, FD_PROGRAM, FD_SERVER, FD_INFO, FD_COUNT };

const char bwrap[] = "/usr/bin/bwrap", prlimit_path[] = "/usr/bin/prlimit", python[] = "/usr/bin/python3";
static const char *const walls[] = {
    /* namespaces of its own; the program is process 1 of its own: when it ends, whatever it left behind ends */
    "--unshare-user", "--uid", "1000", "--gid", "1000", "--unshare-pid", "--as-pid-1", "--unshare-net", "--unshare-ipc", "--unshare-uts",
    "--hostname", "sandbox", "--unshare-cgroup-try", "--die-with-parent", "--new-session", "--cap-drop", "ALL",
    /* what it sees: the interpreter, and what the dynamic linker needs to find numpy's libraries */
    "--ro-bind", "/usr", "/usr", "--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64", "--symlink", "usr/bin", "/bin",
    "--ro-bind-try", "/etc/alternatives", "/etc/alternatives", "--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache", "--proc", "/proc",
    "--dev", "/dev", "--size", "67108864", "--tmpfs", "/tmp", "--chdir", "/tmp", "--seccomp", "5", "--info-fd", "8", "--file", "6",
    "/box/program.py"};
static const char *const server_wall[] = {"--file", "7", "/box/server.py"};
static const char *const last_walls[] = {"--remount-ro", "/dev", "--remount-ro", "/", "--"};
/* Hash seeds are fixed, so that a program whose output hangs on the order of a set gives one verdict. */
static char *const environment[] = {"PATH=/usr/bin:/bin",     "HOME=/tmp",         "LANG=C.UTF-8",       "PYTHONHASHSEED=0",
                                    "OPENBLAS_NUM_THREADS=1", "OMP_NUM_THREADS=1", "MALLOC_ARENA_MAX=1", NULL};

int sandbox_file(const char *text, size_t n)
{
    int fd = memfd_create("input", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        die("memfd_create: %s", strerror(errno));
    for (size_t done = 0; done < n;) {
        ssize_t w = write(fd, text + done, n - done);
        if (w < 0)
            die("a file of %zu bytes in memory: %s", n, strerror(errno));
        done += (size_t)w;
    }
    /* A program may open its standard input for writing: other runs read the same file. */
    must(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) == 0);
    return fd;
}

struct argv {
    const char *word[96];
    int n;
};
static void add(struct argv *a, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        a->word[a->n++] = words[i];
    must((size_t)a->n < sizeof(a->word) / sizeof(a->word[0]));
}
#define ADD(a, list) add(a, list, sizeof(list) / sizeof((list)[0]))

/* The command line; memory and cpu are texts that outlive it. */
static void command(struct argv *a, const struct sandbox *s, const struct run_spec *spec, const char *memory, const char *cpu)
{
    static const char *const boxed[] = {"/box/server.py", "/box/program.py"}, *const open_air[] = {"/dev/fd/7", "/dev/fd/6"};
    const char *const *files = s->unsafe ? open_air : boxed;
    if (!s->unsafe) {
        a->word[a->n++] = bwrap;
        ADD(a, walls);
        if (spec->server >= 0)
            ADD(a, server_wall);
        ADD(a, last_walls);
    }
    const char *const limits[] = {prlimit_path, memory, cpu, "--nofile=64", "--core=0", "--fsize=67108864", "--stack=268435456:"};
    ADD(a, limits);
    if (!s->unsafe) /* counted in the sandbox's own user namespace; outside, all of the user's processes would count */
        a->word[a->n++] = "--nproc=64";
    const char *const interpreter[] = {python, "-s", "-P", "-B"};
    ADD(a, interpreter);
    add(a, files + (spec->server < 0), spec->server < 0 ? 1 : 2);
    a->word[a->n] = NULL;
}

/* A file of ours as the child reads it: from the start, read-only. */
static int reopen(int fd)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return open(path, O_RDONLY | O_CLOEXEC);
}

struct child {
    const struct sandbox *s;
    const struct run_spec *spec;
    char *const *argv;
    const char *folder;
    int fd[FD_COUNT]; /* what becomes descriptor 0, 1, 2, ...; -1: nothing */
};

static bool load_filter(int fd)
{
    static char code[65536]; /* the child's own: not on the stack of a thread */
    ssize_t n = read(fd, code, sizeof(code));
    struct sock_fprog program = {.len = (unsigned short)((size_t)n / sizeof(struct sock_filter)), .filter = (struct sock_filter *)code};
    return n > 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
}

/* After fork(), in a process of many threads: system calls only, setuid without glibc's signals to the others. */
static void child(struct child *c)
{
    for (int i = 0; i < FD_COUNT; i++)
        if (c->fd[i] >= 0 && (c->fd[i] = fcntl(c->fd[i], F_DUPFD_CLOEXEC, FD_COUNT)) < 0)
            _exit(126);
    for (int i = 0; i < FD_COUNT; i++)
        if (c->fd[i] >= 0 ? dup2(c->fd[i], i) < 0 : close(i) != 0 && errno != EBADF)
            _exit(126);
    if (close_range(FD_COUNT, ~0U, 0) != 0 || chdir(c->folder ? c->folder : "/") != 0)
        _exit(126);
    signal(SIGPIPE, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (geteuid() == 0 && (syscall(SYS_setgroups, 0, NULL) != 0 || syscall(SYS_setresgid, NOBODY, NOBODY, NOBODY) != 0 ||
                           syscall(SYS_setresuid, NOBODY, NOBODY, NOBODY) != 0))
        _exit(125);
    if (c->s->unsafe && (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || setsid() < 0 || !load_filter(FD_FILTER) || close(FD_FILTER) != 0))
        _exit(124);
    execve(c->argv[0], c->argv, environment);
    _exit(127);
}

static void pipe_pair(int *ours, int *theirs, bool we_read)
{
    int p[2];
    if (pipe2(p, O_CLOEXEC) != 0)
        die("pipe: %s; this process has too many open files", strerror(errno));
    *ours = p[we_read ? 0 : 1];
    *theirs = p[we_read ? 1 : 0];
    must(fcntl(*ours, F_SETFL, O_NONBLOCK) == 0);
}

void run_start(struct run *r, const struct sandbox *s, const struct run_spec *spec)
{
    *r = (struct run){.pidfd = -1, .info = -1, .out = -1, .err = -1, .to = -1, .from = -1};
    int64_t bytes = spec->memory ? spec->memory : default_memory;
    long seconds = (long)ceil(spec->cpu_s) + 1; /* the caller watches the limit itself; this is the second wall */
    char memory[48], cpu[48];
    snprintf(memory, sizeof(memory), "--as=%lld", (long long)bytes);
    snprintf(cpu, sizeof(cpu), "--cpu=%ld", seconds);
    struct argv argv = {.n = 0};
    command(&argv, s, spec, memory, cpu);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    must(null >= 0);
    struct child c = {.s = s, .spec = spec, .argv = (char *const *)argv.word};
    for (int i = 0; i < FD_COUNT; i++)
        c.fd[i] = -1;
    c.fd[0] = spec->input >= 0 ? reopen(spec->input) : fcntl(null, F_DUPFD_CLOEXEC, 0);
    c.fd[FD_FILTER] = reopen(spec->may_fork ? s->filter_fork : s->filter);
    c.fd[FD_PROGRAM] = reopen(spec->program);
    if (spec->server >= 0) {
        c.fd[1] = fcntl(null, F_DUPFD_CLOEXEC, 0);
        c.fd[2] = fcntl(null, F_DUPFD_CLOEXEC, 0);
        c.fd[FD_SERVER] = reopen(spec->server);
        pipe_pair(&r->to, &c.fd[FD_TO], false);
        pipe_pair(&r->from, &c.fd[FD_FROM], true);
    } else {
        pipe_pair(&r->out, &c.fd[1], true);
        pipe_pair(&r->err, &c.fd[2], true);
    }
    if (s->unsafe) {
        r->folder = xstrdup("/tmp/score-XXXXXX");
        if (!mkdtemp(r->folder) || (geteuid() == 0 && chown(r->folder, NOBODY, NOBODY) != 0))
            die("a folder under /tmp: %s", strerror(errno));
        c.folder = r->folder;
    } else {
        pipe_pair(&r->info, &c.fd[FD_INFO], true);
    }
    for (int i = 0; i < FD_COUNT; i++)
        must(c.fd[i] >= 0 || i == FD_TO || i == FD_FROM || i == FD_SERVER || i == FD_INFO);
    r->monitor = fork();
    if (r->monitor < 0)
        die("fork: %s", strerror(errno));
    if (r->monitor == 0)
        child(&c);
    for (int i = 0; i < FD_COUNT; i++)
        if (c.fd[i] >= 0)
            close(c.fd[i]);
    close(null);
    r->pidfd = pidfd_open(r->monitor, 0);
    if (r->pidfd < 0)
        die("pidfd_open: %s; Linux 5.3 is the oldest that runs programs here", strerror(errno));
    if (s->unsafe)
        r->pid = r->monitor;
}

/* bubblewrap says {"child-pid": N, ...} when the sandbox stands. */
static void learn_pid(struct run *r)
{
    char text[512];
    if (r->pid || r->info < 0)
        return;
    ssize_t n = read(r->info, text, sizeof(text) - 1); /* one write of a few bytes: it is there wholly or not at all */
    if (n <= 0)
        return;
    text[n] = '\0';
    const char *at = strstr(text, "\"child-pid\":");
    if (at)
        r->pid = (pid_t)strtol(at + 12, NULL, 10);
}

double run_cpu(struct run *r)
{
    clockid_t clock;
    struct timespec t;
    learn_pid(r);
    return r->pid && clock_getcpuclockid(r->pid, &clock) == 0 && clock_gettime(clock, &t) == 0 ? (double)t.tv_sec + 1e-9 * (double)t.tv_nsec
                                                                                               : 0;
}

bool run_floods(const struct run *r)
{
    enum { FILES_MOST = 10000 };
    char path[64];
    struct stat host, inside;
    struct statvfs fs;
    snprintf(path, sizeof(path), "/proc/%d/root/tmp", (int)r->pid);
    if (!r->pid || r->info < 0 || stat("/tmp", &host) != 0 || stat(path, &inside) != 0)
        return false;
    /* Before bubblewrap has changed its root, that is the host's /tmp, which may hold any number of files. */
    return inside.st_dev != host.st_dev && statvfs(path, &fs) == 0 && fs.f_files - fs.f_ffree > FILES_MOST;
}

struct run_end run_finish(struct run *r, bool killed)
{
    if (killed) {
        /* The program, so that bubblewrap ends in order and hands on its CPU time; bubblewrap itself when there is no program yet: it takes
         * everything inside with it. The number is the program's for as long as bubblewrap, our child, has not been waited for. */
        learn_pid(r);
        if (r->pid)
            kill(r->pid, SIGKILL);
        else
            kill(r->monitor, SIGKILL);
    }
    int status;
    struct rusage used;
    while (wait4(r->monitor, &status, 0, &used) < 0)
        must(errno == EINTR);
    struct run_end end = {.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status)};
    end.cpu_s = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) + 1e-6 * (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
    int *const fds[] = {&r->pidfd, &r->info, &r->out, &r->err, &r->to, &r->from};
    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
        if (*fds[i] >= 0) {
            close(*fds[i]);
            *fds[i] = -1;
        }
    if (r->folder) {
        struct err ignored; /* what a program left in a folder of its own must not end the scoring */
        file_remove_tree(r->folder, &ignored);
        free(r->folder);
        r->folder = NULL;
    }
    return end;
}
