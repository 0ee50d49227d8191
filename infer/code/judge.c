/* infer/code/judge.c - all programs of an evaluation: one seat per core, then those that ran out of time again, alone. See code.h. */
#include "core/log.h"
#include "infer/code/python.h"
#include "infer/code/seat.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef bool tests_fn(struct code_tests *, const json_t *, struct err *);

void code_tests_free(struct code_tests *t)
{
    free(t->prelude);
    json_decref(t->cases);
    json_decref(t->request);
    *t = (struct code_tests){0};
}

bool code_gold(tests_fn *tests, const json_t *truth, struct err *e)
{
    struct code_tests t = {0};
    bool ok = tests(&t, truth, e);
    code_tests_free(&t);
    return ok;
}

struct court {
    const struct code_job *job;
    int64_t n;
    tests_fn *tests;
    const struct code_options *o;
    const struct sandbox *sandbox;
    int call_py, check_py;
    atomic_llong next, done;
    bool *again; /* per job: it ran out of time */
};

static void judge_one(struct court *c, struct code_seat *seat, int64_t i)
{
    const struct code_job *job = &c->job[i];
    struct code_tests t = {0};
    struct err e;
    if (!c->tests(&t, job->truth, &e))
        die("a truth record that was read before: %s", e.msg);
    struct code_result r;
    code_seat_judge(seat, &t, c->o->cpu_s > 0 ? c->o->cpu_s : t.cpu_s, job->v->extracted, &r);
    c->again[i] = r.out_of_time;
    free(job->v->why);
    job->v->why = xstrdup(r.why);
    job->v->correct = r.correct;
    job->v->timed_out = r.out_of_time;
    code_tests_free(&t);
}

static struct code_seat take_seat(const struct court *c)
{
    return (struct code_seat){.sandbox = c->sandbox, .call_py = c->call_py, .check_py = c->check_py};
}

static void *work(void *court)
{
    struct court *c = court;
    struct code_seat seat = take_seat(c);
    for (int64_t i; (i = atomic_fetch_add(&c->next, 1)) < c->n; atomic_fetch_add(&c->done, 1))
        if (c->job[i].v->extracted)
            judge_one(c, &seat, i);
    code_seat_leave(&seat);
    return NULL;
}

static int cores(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
}

static void judge_all(struct court *c)
{
    int n = c->o->jobs > 0 ? c->o->jobs : cores();
    pthread_t *thread = xcalloc((size_t)n, sizeof(*thread));
    struct progress p;
    progress_start(&p, "score: programs", "programs", (double)c->n);
    for (int i = 0; i < n; i++)
        if (pthread_create(&thread[i], NULL, work, c) != 0)
            die("a thread to judge programs: the system has no room for one");
    while (atomic_load(&c->done) < c->n) {
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
        progress_update(&p, (double)atomic_load(&c->done), NULL);
    }
    for (int i = 0; i < n; i++)
        pthread_join(thread[i], NULL);
    progress_end(&p, (double)c->n, NULL);
    free(thread);
}

static void judge_again(struct court *c)
{
    int64_t slow = 0;
    for (int64_t i = 0; i < c->n; i++)
        slow += c->again[i];
    if (!slow)
        return;
    log_line("score: %lld programs ran out of time; each runs again with nothing beside it", (long long)slow);
    struct code_seat seat = take_seat(c);
    for (int64_t i = 0; i < c->n; i++)
        if (c->again[i])
            judge_one(c, &seat, i);
    code_seat_leave(&seat);
}

/* numpy is looked for only when some test wants it. */
static bool modules_there(const struct court *c, struct err *e)
{
    for (int64_t i = 0; i < c->n; i++) {
        struct code_tests t = {0};
        if (!c->tests(&t, c->job[i].truth, e))
            return false;
        const char *test = json_string_value(json_object_get(t.request, "test"));
        bool wanted = test && strstr(test, "numpy");
        code_tests_free(&t);
        if (wanted)
            return sandbox_has_module(c->sandbox, "numpy") ||
                   err_set(e, "the tests of this file use numpy, which /usr/bin/python3 does not have; install the package python3-numpy");
    }
    return true;
}

bool code_judge(const struct code_job *jobs, int64_t n, tests_fn *tests, const struct code_options *o, struct err *e)
{
    struct sandbox *sandbox = sandbox_open(o->unsafe, e);
    if (!sandbox)
        return false;
    struct court c = {.job = jobs, .n = n, .tests = tests, .o = o, .sandbox = sandbox};
    c.call_py = sandbox_file(code_call_py, strlen(code_call_py));
    c.check_py = sandbox_file(code_check_py, strlen(code_check_py));
    c.again = xcalloc((size_t)n + 1, sizeof(*c.again));
    bool ok = modules_there(&c, e);
    if (ok) {
        judge_all(&c);
        judge_again(&c);
    }
    free(c.again);
    close(c.call_py);
    close(c.check_py);
    sandbox_close(sandbox);
    return ok;
}
