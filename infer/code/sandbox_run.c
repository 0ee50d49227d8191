/* infer/code/sandbox_run.c - a program from start to end, its output taken in, its limits watched. */
#include "core/log.h"
#include "infer/code/sandbox.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct intake {
    char *data;
    size_t n, room;
};

/* What there is to read now. false: nothing more will come. */
static bool take(int fd, struct intake *in)
{
    for (;;) {
        if (in->room - in->n < 65536) {
            in->room = in->room ? 2 * in->room : 131072;
            in->data = xrealloc(in->data, in->room);
        }
        ssize_t got = read(fd, in->data + in->n, in->room - in->n - 1);
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
            return false;
        if (got < 0)
            return true;
        in->n += (size_t)got;
        if (in->n > ((size_t)1 << 20)) /* a flood: the caller looks at the limits between pieces */
            return true;
    }
}

static void keep_tail(struct intake *in, size_t most)
{
    if (in->n > most) {
        memmove(in->data, in->data + in->n - most, most);
        in->n = most;
    }
}

void sandbox_run(struct run_result *r, const struct sandbox *s, const struct run_spec *spec, double wall_s)
{
    *r = (struct run_result){.limit = RUN_ENDED};
    struct run run;
    struct intake out = {0}, err = {0};
    run_start(&run, s, spec);
    double end = log_now() + wall_s;
    bool ended = false;
    int64_t errors = 0; /* bytes of standard error that were thrown away, and those kept */
    while (!ended && r->limit == RUN_ENDED) {
        struct pollfd p[3] = {{run.pidfd, POLLIN, 0}, {run.out, POLLIN, 0}, {run.err, POLLIN, 0}};
        if (poll(p, 3, 50) < 0)
            must(errno == EINTR);
        ended = p[0].revents; /* what it wrote before is in the pipes and is read below */
        size_t before = err.n;
        if (run.out >= 0 && !take(run.out, &out)) {
            close(run.out);
            run.out = -1;
        }
        if (run.err >= 0 && !take(run.err, &err)) {
            close(run.err);
            run.err = -1;
        }
        errors += (int64_t)(err.n - before);
        keep_tail(&err, 4096);
        if ((int64_t)out.n > spec->output || errors > spec->output + (1 << 20) || (!ended && run_floods(&run)))
            r->limit = RUN_OUTPUT;
        else if (!ended && run_cpu(&run) > spec->cpu_s)
            r->limit = RUN_CPU;
        else if (!ended && log_now() > end)
            r->limit = RUN_WALL;
    }
    r->end = run_finish(&run, !ended);
    if (r->limit == RUN_ENDED && r->end.cpu_s > spec->cpu_s && r->end.code == 128 + 9) /* the kernel was first */
        r->limit = RUN_CPU;
    r->out = out.data ? out.data : xcalloc(1, 1);
    r->n = out.n;
    r->out[r->n] = '\0';
    keep_tail(&err, sizeof(r->err) - 1);
    if (err.n)
        memcpy(r->err, err.data, err.n);
    r->err[err.n] = '\0';
    free(err.data);
}
