/* infer/code/sandbox_walls.c - opening: the programs that are needed are there, and every wall is tried from inside. See sandbox.h. */
#include "infer/code/sandbox_impl.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Prints the walls that are missing, one a line, then "done". */
static const char probe[] =
    "import os, socket, ctypes, resource\n"
    "def wall(name, stands):\n"
    "    try: ok = stands()\n"
    "    except OSError: ok = True\n"
    "    if not ok: print(name)\n"
    "def refused(f, *a):\n"
    "    f(*a)\n"
    "    return False\n"
    "status = dict(l.split(':\\t', 1) for l in open('/proc/self/status').read().splitlines() if ':\\t' in l)\n"
    "wall('processes of its own', lambda: os.getpid() == 1 and [p for p in os.listdir('/proc') if p.isdigit()] == ['1'])\n"
    "wall('no new processes', lambda: refused(os.fork))\n"
    "wall('the filter of system calls', lambda: status['Seccomp'] == '2' and status['NoNewPrivs'] == '1')\n"
    "wall('no capabilities', lambda: not any(int(status[k], 16) for k in ('CapEff', 'CapPrm', 'CapBnd', 'CapAmb')))\n"
    "wall('no network', lambda: refused(socket.socket) or len(open('/proc/net/dev').readlines()) <= 3)\n"
    "wall('a read-only system', lambda: all(os.statvfs(d).f_flag & os.ST_RDONLY for d in ('/', '/usr', '/dev', '/box')))\n"
    "wall('nothing of the host but /usr', lambda: not set(os.listdir('/')) - set('bin box dev etc lib lib64 proc tmp usr'.split()))\n"
    "wall('an empty /tmp', lambda: os.listdir('/tmp') == [] and os.statvfs('/tmp').f_blocks * os.statvfs('/tmp').f_frsize <= 1 << 26)\n"
    "wall('not the root user of the host', lambda: os.stat('/usr').st_uid == 65534)\n"
    "wall('a limit on memory', lambda: resource.getrlimit(resource.RLIMIT_AS)[1] > 0)\n"
    "wall('a limit on threads', lambda: 0 < resource.getrlimit(resource.RLIMIT_NPROC)[1] <= 64)\n"
    "wall('a limit on CPU time', lambda: resource.getrlimit(resource.RLIMIT_CPU)[1] > 0)\n"
    "print('done')\n";

static bool needed(const char *path, const char *package, struct err *e)
{
    return access(path, X_OK) == 0 ||
           err_set(e, "running programs needs %s, which is not there; install the package %s (scripts/install_deps.sh does)", path,
                   package);
}

/* What a kernel or container that forbids user namespaces says, and what to do about it. */
static bool no_walls(const struct run_result *r, struct err *e)
{
    size_t n = strlen(r->err);
    while (n && r->err[n - 1] == '\n')
        n--;
    if (r->end.code == 125)
        return err_set(e, "this process is root but cannot become another user (nobody); run score as an ordinary user");
    return err_set(e,
                   "no sandbox can be made here, so model-written programs would run unprotected. bubblewrap says: \"%.*s\" (exit code "
                   "%d). User namespaces are needed: see the sysctls user.max_user_namespaces, kernel.unprivileged_userns_clone and "
                   "kernel.apparmor_restrict_unprivileged_userns; in a container, its seccomp profile. --unsafe runs them without walls",
                   (int)n, r->err, r->end.code);
}

static bool try_walls(const struct sandbox *s, struct err *e)
{
    struct run_spec spec = {.program = sandbox_file(probe, strlen(probe)), .input = -1, .server = -1, .cpu_s = 10, .output = 65536};
    struct run_result r;
    sandbox_run(&r, s, &spec, 60);
    close(spec.program);
    bool ok = strcmp(r.out, "done\n") == 0;
    char *done = strstr(r.out, "done\n");
    if (!ok && done) {
        *done = '\0';
        for (char *p = r.out; (p = strchr(p, '\n'));)
            *p = p[1] ? ',' : '\0';
        err_set(e, "the sandbox leaks, so model-written programs would run unprotected. Missing: %s. --unsafe runs them all the same",
                r.out);
    } else if (!ok) {
        no_walls(&r, e);
    }
    free(r.out);
    return ok;
}

struct sandbox *sandbox_open(bool unsafe, struct err *e)
{
    struct sandbox *s = xcalloc(1, sizeof(*s));
    *s = (struct sandbox){.unsafe = unsafe, .filter = -1, .filter_fork = -1};
    signal(SIGPIPE, SIG_IGN); /* a program that ends while it is written to is its own failure, not ours */
    bool ok = (unsafe || needed(bwrap, "bubblewrap", e)) && needed(prlimit_path, "util-linux", e) && needed(python, "python3", e) &&
              (s->filter = sandbox_filter(false, e)) >= 0 && (s->filter_fork = sandbox_filter(true, e)) >= 0 && (unsafe || try_walls(s, e));
    if (ok)
        return s;
    sandbox_close(s);
    return NULL;
}

void sandbox_close(struct sandbox *s)
{
    if (!s)
        return;
    if (s->filter >= 0)
        close(s->filter);
    if (s->filter_fork >= 0)
        close(s->filter_fork);
    free(s);
}

bool sandbox_has_module(const struct sandbox *s, const char *name)
{
    char *text = xprintf("import %s\n", name);
    struct run_spec spec = {.program = sandbox_file(text, strlen(text)), .input = -1, .server = -1, .cpu_s = 60, .output = 65536};
    struct run_result r;
    sandbox_run(&r, s, &spec, 600);
    close(spec.program);
    free(text);
    free(r.out);
    return r.limit == RUN_ENDED && r.end.code == 0;
}
