/* train/watch.c - see watch.h.
 *
 * The main thread only stores where it stands. All judging is the watcher's, on its own clock, which stands still while the watcher itself
 * does not run: what it then did not hear is nobody's silence. A verdict goes round before anyone acts on it, so that all say the same;
 * the speaker tells the others when the line is out, and only then they leave (a launcher may kill the rest when the first rank is gone).
 */
#include "train/watch.h"
#include "core/log.h" /* log_now */
#include "kernels/comm.h"
#include "train/watch_net.h"
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static const double BEAT_S = 0.25, FRESH_S = 0.005, TICK_S = 0.1, STOPPED_S = 0.8, SPEAK_S = 1.0, ABORT_S = 5.0;
enum { SLOW_FACTOR = 5, START_FACTOR = 20, STEPS_KEPT = 32 };

/* Where a main thread stands, as its own watcher sees it. */
struct standing {
    int64_t step, exchanges; /* how often it entered an exchange: the same on all ranks at one place */
    int32_t section;
    bool hung;
    double since, cpu_s; /* seconds without a mark, and of processor time in them */
};
enum message_kind { BEAT, VERDICT, SPOKEN, BYE };
struct message {
    int32_t kind, from;
    struct standing at;
    struct watch_verdict verdict;
};
struct link {
    struct message in; /* being received */
    size_t got;
    double heard; /* on the watcher's clock */
    bool open, left, stuck;
    struct standing at;
};

static struct watch {
    /* Written by the main thread. */
    _Atomic int64_t step, marks, exchanges;
    _Atomic int section;
    /* A failure on its way to the watcher. */
    _Atomic bool failed, ending, closing;
    pthread_mutex_t lock;
    char why[768];
    int wake; /* eventfd */
    pthread_t thread;
    /* The watcher's own. */
    int rank, size;
    clockid_t main_clock;
    double silent_s, hung_s;
    struct watch_peer *peer;
    struct link *link;
    struct pollfd *polled;                  /* [1 + size] */
    double real, now, beat;                 /* the machine's clock; its own; when it last told the others */
    double mark_time, mark_cpu;             /* of the last mark */
    double section_time, step_time, save_s; /* when section and step began; what of the step was saving */
    int64_t marks_seen, step_seen, files_seen, steps_done;
    int section_seen;
    double took[STEPS_KEPT]; /* the last steps, without saving */
    bool stale;              /* the others do not know of the newest section yet */
    bool spoken;
} w = {.lock = PTHREAD_MUTEX_INITIALIZER};
static char host[64];
static die_hook_fn *hook_before; /* comm's */

const char *watch_host(void)
{
    if (!host[0])
        watch_hostname(host, sizeof host);
    return host;
}

/* ------------------------------------------------------------- the main thread */

static void wake(void)
{
    const uint64_t one = 1;
    if (w.wake > 0 && write(w.wake, &one, sizeof one) < 0)
        return; /* it is full: the watcher is about to wake */
}

void watch_section(enum watch_section s)
{
    while (w.ending)
        pause(); /* the verdict is out: nothing may be printed or saved after it */
    bool other = w.section != (int)s;
    w.exchanges += other && s == WATCH_REDUCE;
    w.section = (int)s;
    w.marks++;
    if (other)
        wake();
}

void watch_step(int64_t step)
{
    w.step = step;
    watch_section(WATCH_DATA);
}

void watch_fail(const char *why)
{
    pthread_mutex_lock(&w.lock); /* never given back: the first failure is the one that is told */
    snprintf(w.why, sizeof w.why, "%s", why);
    w.failed = true;
    wake();
    for (;;)
        pause(); /* the watcher ends the process */
}

/* ------------------------------------------------------------------ the links */

static void tell(int r, const struct message *m)
{
    struct link *l = &w.link[r];
    /* A peer that does not read fills its pipe; half a message would make the rest unreadable, so nothing more is sent. It is silent anyway. */
    if (l->open && !l->stuck && send(w.peer[r].fd, m, sizeof *m, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)sizeof *m)
        l->stuck = true;
}

static void tell_all(const struct message *m)
{
    for (int r = 0; r < w.size; r++)
        tell(r, m);
}

/* The watcher's clock goes on by what really passed, unless the watcher itself did not run in between. */
static void advance(void)
{
    double real = log_now(), passed = real - w.real;
    w.now += passed < STOPPED_S ? passed : TICK_S;
    w.real = real;
}

/* Processor time of the main thread. */
static double main_cpu(void)
{
    struct timespec t;
    return clock_gettime(w.main_clock, &t) == 0 ? (double)t.tv_sec + 1e-9 * (double)t.tv_nsec : 0;
}

/* Goes up while the process reads and writes files, mapped ones too. */
static int64_t file_work(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return u.ru_inblock + u.ru_oublock + u.ru_majflt;
}

static bool is_file_section(int section)
{
    return section == WATCH_START || section == WATCH_SAVE;
}

static struct message message(enum message_kind kind)
{
    double slowest = 0, since = w.now - w.mark_time, limit = w.hung_s;
    for (int i = 0; i < STEPS_KEPT; i++)
        slowest = fmax(slowest, w.took[i]);
    limit = fmax(limit, SLOW_FACTOR * slowest);
    if (w.steps_done == 0 || is_file_section(w.section_seen))
        limit = fmax(limit, START_FACTOR * w.hung_s);
    return (struct message){.kind = kind,
                            .from = w.rank,
                            .at = {.step = w.step_seen,
                                   .exchanges = w.exchanges,
                                   .section = w.section_seen,
                                   .hung = w.hung_s > 0 && since > limit,
                                   .since = since,
                                   .cpu_s = main_cpu() - w.mark_cpu}};
}

/* Looks where its own main thread stands. */
static void look(void)
{
    int64_t marks = w.marks, step = w.step, files = file_work();
    int section = w.section;
    if (section != w.section_seen) {
        w.save_s += w.section_seen == WATCH_SAVE ? w.now - w.section_time : 0;
        w.section_time = w.now;
        w.stale = true;
    }
    if (step != w.step_seen) {
        /* The step in which the run began is not a usual one: libraries load on their first use. */
        if (w.step_seen > 0 && w.steps_done++ > 0)
            w.took[w.steps_done % STEPS_KEPT] = w.now - w.step_time - w.save_s;
        w.step_time = w.now;
        w.save_s = 0;
        w.step_seen = step;
    }
    if (marks != w.marks_seen || section != w.section_seen || (is_file_section(section) && files != w.files_seen)) {
        w.mark_time = w.now;
        w.mark_cpu = main_cpu();
    }
    w.marks_seen = marks;
    w.files_seen = files;
    w.section_seen = section;
}

/* Takes what has come from rank r; a verdict goes to *v. */
static bool hear(int r, struct watch_verdict *v)
{
    struct link *l = &w.link[r];
    bool told = false;
    while (l->open && !told) {
        ssize_t n = recv(w.peer[r].fd, (char *)&l->in + l->got, sizeof l->in - l->got, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            break;
        if (n <= 0) {
            l->open = false;
            break;
        }
        l->heard = w.now;
        l->got += (size_t)n;
        if (l->got < sizeof l->in)
            continue;
        l->got = 0;
        switch ((enum message_kind)l->in.kind) {
        case BEAT:
            l->at = l->in.at;
            break;
        case VERDICT:
            *v = l->in.verdict;
            told = true;
            break;
        case SPOKEN:
            w.spoken = true;
            break;
        case BYE:
            l->left = true;
            break;
        }
    }
    return told;
}

/* Waits for at most a tick, and takes what has come from everyone. */
static bool listen_to_all(struct watch_verdict *v)
{
    struct pollfd *p = w.polled;
    bool told = false;
    p[0] = (struct pollfd){w.wake, POLLIN, 0};
    for (int r = 0; r < w.size; r++)
        p[1 + r] = (struct pollfd){w.link[r].open ? w.peer[r].fd : -1, POLLIN, 0};
    poll(p, (nfds_t)(1 + w.size), (int)(1000 * (w.stale ? FRESH_S : TICK_S)));
    uint64_t woken;
    if (p[0].revents && read(w.wake, &woken, sizeof woken) < 0)
        woken = 0;
    advance();
    for (int r = 0; r < w.size && !told; r++)
        if (p[1 + r].revents)
            told = hear(r, v);
    return told;
}

/* ----------------------------------------------------------------- the verdict */

static struct standing standing_of(int r)
{
    return r == w.rank ? message(BEAT).at : w.link[r].at;
}

static struct watch_verdict blame(int r, enum watch_cause cause)
{
    struct standing at = standing_of(r);
    struct watch_verdict v = {.rank = r, .cause = cause, .section = at.section, .step = at.step};
    memcpy(v.host, r == w.rank ? watch_host() : w.peer[r].host, sizeof v.host);
    return v;
}

/* How likely it is that a rank stands still for want of the others: never, perhaps (files are read and written together), always. */
static int waits(struct standing at)
{
    return at.section == WATCH_REDUCE ? 2 : is_file_section(at.section) ? 1 : 0;
}

/* Does a look more like the one that all wait for than b? One that need not wait does, then one that is behind; at the same place, one whose
 * thread sleeps rather than one that polls. */
static bool more_suspect(struct standing a, struct standing b)
{
    if (waits(a) != waits(b))
        return waits(a) < waits(b);
    if (a.step != b.step)
        return a.step < b.step;
    if (a.exchanges != b.exchanges)
        return a.exchanges < b.exchanges;
    return a.cpu_s < b.cpu_s;
}

/* The rank that hangs; -1: none. Of ranks that may be waiting one hangs only if all do: the others wait for its work, whatever their patience. */
static int find_hung(void)
{
    int worst = -1;
    bool all = true;
    for (int r = 0; r < w.size; r++) {
        struct standing at = standing_of(r);
        if (r != w.rank && w.link[r].left)
            continue;
        all = all && at.hung;
        if (at.hung && (worst < 0 || more_suspect(at, standing_of(worst))))
            worst = r;
    }
    return worst >= 0 && (all || waits(standing_of(worst)) == 0) ? worst : -1;
}

static bool judge(struct watch_verdict *v)
{
    if (w.failed) {
        *v = blame(w.rank, WATCH_FAILED);
        memcpy(v->why, w.why, sizeof v->why);
        return true;
    }
    for (int r = 0; r < w.size; r++) {
        const struct link *l = &w.link[r];
        if (r == w.rank || l->left)
            continue;
        if (!l->open) {
            *v = blame(r, WATCH_DIED);
            snprintf(v->why, sizeof v->why, "it was killed or crashed without a word of its own");
            return true;
        }
        if (w.now - l->heard > w.silent_s) {
            *v = blame(r, WATCH_SILENT);
            snprintf(v->why, sizeof v->why, "no word from it for %.1f s: the process is stopped, or its host or network is down",
                     w.now - l->heard);
            return true;
        }
    }
    int r = find_hung();
    if (r < 0)
        return false;
    struct standing at = standing_of(r);
    *v = blame(r, WATCH_HUNG);
    snprintf(v->why, sizeof v->why, "passed no mark for %.1f s%s; raise watch.hung_s if that is usual here", at.since,
             at.section == WATCH_REDUCE && w.size > 1 ? ", as all others wait in reduce too: look at the network" : "");
    return true;
}

static void *abort_comm(void *done)
{
    comm_abort();
    *(_Atomic bool *)done = true;
    return NULL;
}

/* Lowest rank that can speak. */
static int speaker(const struct watch_verdict *v)
{
    for (int r = 0; r < w.size; r++) {
        bool gone = r == v->rank && (v->cause == WATCH_DIED || v->cause == WATCH_SILENT);
        if (r == w.rank || (!gone && w.link[r].open && !w.link[r].left && w.now - w.link[r].heard <= w.silent_s))
            return r;
    }
    return w.rank;
}

CORE_NORETURN static void end(struct watch_verdict v)
{
    struct message m = message(VERDICT);
    struct watch_verdict ignored;
    w.ending = true;
    m.verdict = v;
    tell_all(&m);
    double begin = w.now;
    while (!w.spoken && speaker(&v) != w.rank && w.now - begin < SPEAK_S)
        listen_to_all(&ignored);
    if (!w.spoken) {
        char *line = watch_line(&v);
        fflush(stdout);
        fprintf(stderr, "%s\n", line);
        m.kind = SPOKEN;
        tell_all(&m);
    }
    /* The links stay until the others have read: a socket that is closed with something unread takes back what it sent. */
    pthread_t thread;
    _Atomic bool aborted = false;
    bool trying = pthread_create(&thread, NULL, abort_comm, &aborted) == 0, others = true;
    begin = w.now;
    while ((others && w.now - begin < SPEAK_S) || (trying && !aborted && w.now - begin < ABORT_S)) {
        listen_to_all(&ignored);
        others = false;
        for (int r = 0; r < w.size; r++)
            others = others || (w.link[r].open && !w.spoken);
    }
    _exit(1);
}

/* ------------------------------------------------------------------ the watcher */

static void *watcher(void *unused)
{
    (void)unused;
    while (!w.closing) {
        struct watch_verdict v;
        bool told = listen_to_all(&v);
        look();
        if (told || judge(&v))
            end(v);
        /* A new section is told at once, so that a rank's last word is where it died; but not a hundred times in a fast step. */
        if (w.now - w.beat >= (w.stale ? FRESH_S : BEAT_S)) {
            struct message m = message(BEAT);
            tell_all(&m);
            w.beat = w.now;
            w.stale = false;
        }
    }
    struct message m = message(BYE);
    tell_all(&m);
    return NULL;
}

static void fail_on_death(const char *message)
{
    watch_fail(message);
}

bool watch_open(double silent_s, double hung_s, struct err *e)
{
    w = (struct watch){.lock = PTHREAD_MUTEX_INITIALIZER, .real = log_now()};
    if (!watch_connect(&w.peer, e)) {
        free(w.peer);
        return false;
    }
    w.rank = comm_rank();
    must(pthread_getcpuclockid(pthread_self(), &w.main_clock) == 0);
    w.size = comm_size();
    w.silent_s = silent_s - BEAT_S; /* found within silent_s, looking every tick */
    w.hung_s = hung_s;
    w.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    must(w.wake >= 0);
    w.link = xcalloc((size_t)w.size, sizeof *w.link);
    w.polled = xcalloc((size_t)w.size + 1, sizeof *w.polled);
    for (int r = 0; r < w.size; r++)
        w.link[r].open = w.peer[r].fd >= 0;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before); /* the watcher takes no signal */
    int status = pthread_create(&w.thread, NULL, watcher, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (status != 0)
        die("the watch's thread cannot start: %s", strerror(status));
    hook_before = die_hook(fail_on_death);
    return true;
}

void watch_close(void)
{
    if (!w.link)
        return;
    die_hook(hook_before);
    w.closing = true;
    wake();
    pthread_join(w.thread, NULL);
    for (int r = 0; r < w.size; r++)
        if (w.peer[r].fd >= 0)
            close(w.peer[r].fd);
    close(w.wake);
    w.wake = 0;
    free(w.link);
    free(w.polled);
    free(w.peer);
    w.link = NULL;
}
