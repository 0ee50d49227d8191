/* train/supervise.c - see supervise.h.
 *
 * What a rank's watch says of a failure is read from standard error, the one road that leads here from every host. mpirun itself is told to
 * keep quiet (-q), and gets signals in its place: SIGUSR1 it hands to the ranks, which save and stop; SIGTERM would leave them a second.
 * Once in some hundred kills it waits for itself at its own end (seen: Open MPI 4.1.4, a mutex in PMIx's finalize), so it is given MPIRUN_END_S
 * from the end of the last process that it started, and MPIRUN_START_S to start one; on several hosts only once the watch told of a failure.
 */
#include "train/supervise.h"
#include "core/cli.h"
#include "core/log.h"
#include "train/watch.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SAME_FAILURES = 3, RESTART_PAUSE_S = 1, MPIRUN_END_S = 3, MPIRUN_START_S = 60 };

/* One start of the run: what it said, and how it ended. */
struct attempt {
    char *last; /* last line of its standard error; "" */
    bool has_cause, cause_is_last;
    struct watch_verdict cause; /* as the watch told it */
    int64_t step;               /* of the last progress line; 0 */
    int code;                   /* exit code, or 128 + signal */
    int stops;                  /* signals that asked to stop */
    bool stuck;                 /* mpirun did not end after its ranks, and was killed */
};

/* Takes whole lines of the child's standard error: on they go, and what they say is kept. */
static void take_line(struct attempt *a, const char *line)
{
    struct watch_verdict v;
    long long step;
    fprintf(stderr, "%s\n", line);
    a->cause_is_last = false;
    if (watch_parse(&v, line)) {
        a->cause = v;
        a->has_cause = a->cause_is_last = true;
    } else if (sscanf(line, "step %lld/", &step) == 1 || sscanf(line, "train: step %lld:", &step) == 1) {
        a->step = step;
    }
    if (*line) {
        free(a->last);
        a->last = xstrdup(line);
    }
}

/* Reads what there is; false at the end. */
static bool relay(struct attempt *a, int fd, char **text, size_t *n)
{
    *text = xrealloc(*text, *n + 65536 + 1);
    ssize_t got = read(fd, *text + *n, 65536);
    if (got <= 0)
        return got < 0 && (errno == EINTR || errno == EAGAIN);
    *n += (size_t)got;
    char *line = *text, *end;
    while ((end = memchr(line, '\n', *n - (size_t)(line - *text)))) {
        *end = '\0';
        take_line(a, line);
        line = end + 1;
    }
    *n -= (size_t)(line - *text);
    memmove(*text, line, *n);
    return true;
}

/* The words of the command line that starts the ranks; the list and those of its strings that are made here live as long as the program. */
static char **command(const struct launch *l, int n, char **words, bool first)
{
    static char self[4096], ranks[32];
    char **argv = xcalloc((size_t)n + 32, sizeof *argv);
    int k = 0;
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    must(len > 0);
    self[len] = '\0';
    if (l->ranks) {
        snprintf(ranks, sizeof ranks, "%lld", (long long)l->ranks);
        static char *const mpi[] = {"mpirun", "-q", "--bind-to", "none", "-np", ranks};
        for (size_t i = 0; i < sizeof mpi / sizeof mpi[0]; i++)
            argv[k++] = mpi[i];
        argv[k++] = (char *)(l->hosts ? "--hostfile" : "--oversubscribe");
        if (l->hosts)
            argv[k++] = (char *)l->hosts;
        if (getenv("OMP_NUM_THREADS")) {
            argv[k++] = (char *)"-x";
            argv[k++] = (char *)"OMP_NUM_THREADS";
        }
    }
    argv[k++] = self;
    for (int i = 0; i < n; i++)
        argv[k++] = words[i];
    if (!first) /* the last --resume counts */
        argv[k++] = (char *)"--resume=auto";
    return argv;
}

/* The child: a process group of its own, so that a Ctrl-C reaches it through its parent only. */
CORE_NORETURN static void become(char **argv, int err_fd, const sigset_t *mask)
{
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    dup2(err_fd, 2);
    int null = open("/dev/null", O_RDONLY);
    dup2(null, 0);
    sigprocmask(SIG_SETMASK, mask, NULL);
    execvp(argv[0], argv);
    fprintf(stderr, "train: cannot start %s: %s; it is in the package openmpi-bin\n", argv[0], strerror(errno));
    _exit(EXIT_INPUT);
}

/* A signal for this process is the run's: the first asks it to save and stop, the next ends it. */
static void pass_signal(struct attempt *a, const struct launch *l, pid_t child, int signals)
{
    struct signalfd_siginfo got;
    if (read(signals, &got, sizeof got) != (ssize_t)sizeof got || got.ssi_signo == SIGCHLD)
        return;
    a->stops++;
    if (a->stops == 1)
        log_line("%s: the run saves and stops; once more ends it at once", strsignal((int)got.ssi_signo));
    kill(child, a->stops > 1 ? (l->ranks ? SIGTERM : SIGKILL) : l->ranks ? SIGUSR1 : SIGTERM);
}

/* Processes that this one started and that run still (not those that nobody has waited for yet); -1: the system does not tell. */
static int children_alive(pid_t parent)
{
    char path[128], state;
    int alive = -1, child;
    snprintf(path, sizeof path, "/proc/%d/task", (int)parent);
    DIR *threads = opendir(path);
    for (struct dirent *t; threads && (t = readdir(threads));) {
        snprintf(path, sizeof path, "/proc/%d/task/%.20s/children", (int)parent, t->d_name);
        FILE *list = fopen(path, "r");
        alive = list && alive < 0 ? 0 : alive;
        while (list && fscanf(list, "%d", &child) == 1) {
            snprintf(path, sizeof path, "/proc/%d/stat", child);
            FILE *stat = fopen(path, "r");
            alive += stat && fscanf(stat, "%*d (%*[^)]) %c", &state) == 1 && state != 'Z' && state != 'X';
            if (stat)
                fclose(stat);
        }
        if (list)
            fclose(list);
    }
    if (threads)
        closedir(threads);
    return alive;
}

/* Once a second: an mpirun that started nothing for long, or whose processes all ended some time ago, is ended too. */
struct watched_mpirun {
    bool begun;        /* it has had processes */
    double idle_since; /* when there were last some; log_now() */
};

static void end_stuck(struct attempt *a, const struct launch *l, pid_t mpirun, struct watched_mpirun *m)
{
    int alive = children_alive(mpirun);
    /* Ranks on other hosts may have no process here: daemons leave, batch systems start them. That they end is known from the watch. */
    bool remote = l->hosts && !a->has_cause;
    if (alive != 0 || remote)
        m->idle_since = log_now();
    m->begun = m->begun || alive > 0;
    if (!a->stuck && log_now() - m->idle_since >= (m->begun ? MPIRUN_END_S : MPIRUN_START_S))
        a->stuck = kill(mpirun, SIGKILL) == 0;
}

static void run_once(struct attempt *a, const struct launch *l, char **argv, int signals, const sigset_t *mask)
{
    int err[2], status = 0;
    char *text = NULL;
    size_t n = 0;
    must(pipe2(err, O_CLOEXEC) == 0);
    fflush(NULL);
    pid_t child = fork();
    must(child >= 0);
    if (child == 0)
        become(argv, err[1], mask);
    close(err[1]);
    bool more = true, ended = false;
    struct watched_mpirun m = {false, log_now()};
    while (more || !ended) {
        struct pollfd p[2] = {{more ? err[0] : -1, POLLIN, 0}, {signals, POLLIN, 0}};
        /* Something that outlives the child may hold its standard error open: it is not waited for. */
        if (poll(p, 2, ended ? 0 : l->ranks ? 1000 : -1) == 0 && ended)
            break;
        if (p[0].revents)
            more = relay(a, err[0], &text, &n);
        if (p[1].revents)
            pass_signal(a, l, child, signals);
        if (!ended && waitpid(child, &status, WNOHANG) == child)
            ended = true;
        if (!ended && l->ranks)
            end_stuck(a, l, child, &m);
    }
    if (n) { /* a line without an end */
        text[n] = '\0';
        take_line(a, text);
    }
    a->code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    free(text);
    close(err[0]);
}

static const char own[] = "train: ";

/* A failure that no watch told of: the only rank failed or is gone, or all are. */
static void guess_cause(struct attempt *a, bool alone)
{
    struct watch_verdict *v = &a->cause;
    if (a->has_cause)
        return;
    *v = (struct watch_verdict){.rank = alone ? 0 : -1, .cause = WATCH_DIED, .step = a->step, .section = WATCH_START};
    snprintf(v->host, sizeof v->host, "%s", watch_host());
    if (a->stuck) {
        snprintf(v->why, sizeof v->why, "mpirun did not end though no rank was left, and was killed: how the ranks ended is not known");
    } else if (a->code > 128) {
        snprintf(v->why, sizeof v->why, "ended by signal %d (%s); the step is the last one shown, the section is not known", a->code - 128,
                 strsignal(a->code - 128));
    } else {
        bool spoke = !strncmp(a->last, own, sizeof own - 1);
        v->cause = WATCH_FAILED;
        snprintf(v->why, sizeof v->why, "%.500s (exit code %d after the step named)", a->last + (spoke ? sizeof own - 1 : 0), a->code);
    }
}

/* How many of the failures so far are like the last one; *one_host: all on the same host. */
static int count_same(const struct watch_verdict *f, int64_t n, bool *one_host)
{
    const struct watch_verdict *last = &f[n - 1];
    int same = 0;
    *one_host = true;
    for (int64_t i = 0; i < n; i++)
        if (f[i].step == last->step && f[i].cause == last->cause) {
            same++;
            *one_host = *one_host && !strcmp(f[i].host, last->host);
        }
    return same;
}

/* The line that a run ends with: words in front, the cause. */
static void last_line(const struct watch_verdict *v, const char *after)
{
    struct watch_verdict with = *v;
    snprintf(with.why, sizeof with.why, "%.500s%s", v->why, after);
    char *line = watch_line(&with);
    fprintf(stderr, "%s\n", line);
    free(line);
}

static sigset_t signals_taken(void)
{
    static const int taken[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGCHLD};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++)
        sigaddset(&set, taken[i]);
    return set;
}

/* What the ranks inherit: this host's cores shared out, mpirun's leave to run as root in a container. */
static void set_environment(const struct launch *l)
{
    if (l->ranks && !l->hosts) {
        char threads[32];
        long each = sysconf(_SC_NPROCESSORS_ONLN) / (long)l->ranks;
        snprintf(threads, sizeof threads, "%ld", each > 1 ? each : 1);
        setenv("OMP_NUM_THREADS", threads, 0);
    }
    if (geteuid() == 0) {
        setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 0);
        setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 0);
    }
}

int supervise(const struct launch *l, int n, char **words)
{
    sigset_t set = signals_taken(), mask;
    struct watch_verdict *failure = NULL;
    int code = EXIT_OK;
    sigprocmask(SIG_BLOCK, &set, &mask);
    int signals = signalfd(-1, &set, SFD_CLOEXEC);
    must(signals >= 0);
    set_environment(l);
    for (int64_t k = 0;; k++) {
        struct attempt a = {.last = xstrdup("")};
        char **argv = command(l, n, words, k == 0);
        run_once(&a, l, argv, signals, &mask);
        free(argv);
        code = a.code == EXIT_OK || a.code == EXIT_USAGE ? a.code : EXIT_INPUT;
        /* Refused input ends in a line "train: ..." that is no verdict, and would be refused again. */
        bool refused = (a.code == EXIT_INPUT || a.stuck) && !a.has_cause && a.step == 0 && !strncmp(a.last, own, sizeof own - 1);
        bool over = a.code == EXIT_OK || a.code == EXIT_USAGE || refused || (a.stops && !a.has_cause);
        if (!over)
            guess_cause(&a, l->ranks < 2);
        free(a.last);
        if (over)
            break;
        failure = xrealloc(failure, sizeof *failure * (size_t)(k + 1));
        failure[k] = a.cause;
        bool one_host;
        int same = count_same(failure, k + 1, &one_host);
        if (same >= SAME_FAILURES) {
            last_line(&a.cause, one_host ? "; the third time at this step and on this host: look at its devices, memory and disk"
                                         : "; the third time at this step, on several hosts: look at the step's data and the settings");
            break;
        }
        if (k == l->max_restarts || a.stops) {
            if (!a.cause_is_last)
                last_line(&a.cause, "");
            break;
        }
        log_line("start %lld of %lld, from the newest good checkpoint", (long long)k + 2, (long long)l->max_restarts + 1);
        sleep(RESTART_PAUSE_S);
    }
    free(failure);
    close(signals);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    return code;
}
