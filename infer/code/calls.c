/* infer/code/calls.c - tests written in Python: carries calls from the judge's interpreter to the candidate's and answers back, and watches
 * the candidate meanwhile. The two never touch: each has its own sandbox, and what passes is taken apart here.
 *
 * A message is four bytes of length, then the bytes; the first one says what it is (call.py, check.py).
 */
#include "core/log.h"
#include "infer/code/python.h"
#include "infer/code/seat.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MESSAGE_MOST = 256 << 20, TESTS_SECONDS = 1800 };
static const int64_t answers_most = (int64_t)4 << 30, judge_memory = (int64_t)8 << 30;

struct message {
    unsigned char *data; /* with its length in front */
    size_t have, room;
};
static size_t length_of(const struct message *m)
{
    return m->data[0] | (size_t)m->data[1] << 8 | (size_t)m->data[2] << 16 | (size_t)m->data[3] << 24;
}
enum arrival { MORE_TO_COME, ARRIVED, GONE, TOO_LARGE };
/* Takes what is there, never beyond the end of one message. */
static enum arrival receive(int fd, struct message *m)
{
    for (;;) {
        size_t want = m->have < 4 ? 4 : 4 + length_of(m);
        if (want - 4 > MESSAGE_MOST)
            return TOO_LARGE;
        if (m->have >= 4 && m->have == want)
            return ARRIVED;
        if (want > m->room) {
            m->room = want;
            m->data = xrealloc(m->data, m->room);
        }
        ssize_t n = read(fd, m->data + m->have, want - m->have);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
            return GONE;
        if (n < 0)
            return MORE_TO_COME;
        m->have += (size_t)n;
    }
}

/* What stops a candidate; also the judge, with its own numbers. */
struct watch {
    struct run *run;
    double cpu_end, wall_end;
};
enum stop { GOING, OUT_OF_TIME, FLOODING, ENDED };
/* Waits until fd can be read (or written) or the limits are reached. */
static enum stop wait_for(const struct watch *w, int fd, short events)
{
    for (;;) {
        struct pollfd p[2] = {{fd, events, 0}, {w->run->pidfd, POLLIN, 0}};
        int n = poll(p, 2, 50);
        if (n < 0)
            must(errno == EINTR);
        if (n > 0 && p[0].revents)
            return GOING;
        if (n > 0 && p[1].revents)
            return ENDED;
        if (run_cpu(w->run) > w->cpu_end || log_now() > w->wall_end)
            return OUT_OF_TIME;
        if (run_floods(w->run))
            return FLOODING;
    }
}

static enum stop send_bytes(const struct watch *w, const void *p, size_t n)
{
    const char *at = p;
    while (n) {
        ssize_t sent = write(w->run->to, at, n);
        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            return ENDED;
        if (sent < 0) {
            enum stop stop = wait_for(w, w->run->to, POLLOUT);
            if (stop != GOING)
                return stop;
            continue;
        }
        at += sent;
        n -= (size_t)sent;
    }
    return GOING;
}
/* A message: kind (0: none) in front of n bytes. */
static enum stop send_message(const struct watch *w, char kind, const void *p, size_t n)
{
    size_t length = n + (kind != 0);
    unsigned char head[5] = {(unsigned char)length, (unsigned char)(length >> 8), (unsigned char)(length >> 16),
                             (unsigned char)(length >> 24), (unsigned char)kind};
    enum stop stop = send_bytes(w, head, kind ? 5 : 4);
    return stop == GOING ? send_bytes(w, p, n) : stop;
}
static enum stop get_message(const struct watch *w, struct message *m, bool *too_large)
{
    *too_large = false;
    m->have = 0;
    for (;;) {
        enum arrival got = receive(w->run->from, m);
        *too_large = got == TOO_LARGE;
        if (got == ARRIVED)
            return GOING;
        enum stop stop = got == MORE_TO_COME ? wait_for(w, w->run->from, POLLIN) : ENDED;
        if (stop != GOING)
            return stop;
    }
}

static void judge_gone(struct code_seat *s)
{
    run_finish(&s->judge, true);
    s->judging = false;
}
static void judge_ready(struct code_seat *s)
{
    if (s->judging)
        return;
    struct run_spec spec = {
        .program = s->check_py, .input = -1, .server = s->check_py, .may_fork = true, .cpu_s = 1e6, .memory = judge_memory};
    run_start(&s->judge, s->sandbox, &spec);
    s->judging = true;
}

/* What one call to the candidate came to. */
enum call { CALL_ANSWERED, CALL_FAILED, CALL_JUDGE_GONE };

struct session {
    struct code_seat *seat;
    struct run candidate;
    struct watch at_candidate, at_judge;
    double cpu_s, wall_left;
    bool per_call;
    int64_t calls, answered; /* bytes of answers */
    struct message m;
    struct code_result *r;
};

static void candidate_stopped(struct session *x, enum stop stop, bool too_large)
{
    struct run_end end = run_finish(&x->candidate, stop != ENDED || too_large);
    x->r->out_of_time = stop == OUT_OF_TIME || (end.code == 137 && end.cpu_s > x->cpu_s);
    if (x->r->out_of_time)
        snprintf(x->r->why, sizeof(x->r->why), "call %lld: out of time (%g s of CPU time are allowed%s)", (long long)x->calls, x->cpu_s,
                 x->per_call ? "" : " for all calls");
    else if (stop == FLOODING)
        snprintf(x->r->why, sizeof(x->r->why), "call %lld: the program makes files without end", (long long)x->calls);
    else if (too_large)
        snprintf(x->r->why, sizeof(x->r->why), "call %lld: the answer is too large or came before the call", (long long)x->calls);
    else if (end.code > 128)
        snprintf(x->r->why, sizeof(x->r->why), "call %lld: the program was ended by signal %d", (long long)x->calls, end.code - 128);
    else
        snprintf(x->r->why, sizeof(x->r->why), "call %lld: the program ended by itself, with exit code %d", (long long)x->calls, end.code);
}

/* The call in x->m to the candidate, its answer to the judge. */
static enum call carry(struct session *x)
{
    struct watch *w = &x->at_candidate;
    double begin = log_now();
    x->calls++;
    if (x->per_call) {
        w->cpu_end = run_cpu(&x->candidate) + x->cpu_s;
        x->wall_left = code_wall(x->cpu_s);
    }
    w->wall_end = begin + x->wall_left;
    struct message early = {.data = NULL};
    bool too_large = receive(x->candidate.from, &early) == ARRIVED || early.have; /* an answer before the question */
    free(early.data);
    enum stop stop = too_large ? GOING : send_message(w, 0, x->m.data + 5, length_of(&x->m) - 1);
    bool last = false;
    while (stop == GOING && !too_large && !last) {
        stop = get_message(w, &x->m, &too_large);
        if (stop != GOING || too_large || length_of(&x->m) == 0)
            break;
        last = x->m.data[4] == 'e';
        x->answered += (int64_t)length_of(&x->m);
        too_large = x->answered > answers_most;
        if (!too_large && send_message(&x->at_judge, 'R', x->m.data + 4, length_of(&x->m)) != GOING)
            return CALL_JUDGE_GONE;
    }
    x->wall_left -= log_now() - begin;
    if (last && !too_large)
        return CALL_ANSWERED;
    candidate_stopped(x, stop, too_large);
    return CALL_FAILED;
}

static void verdict(struct session *x)
{
    size_t n = length_of(&x->m);
    x->r->correct = n >= 2 && x->m.data[5] == '1';
    snprintf(x->r->why, sizeof(x->r->why), "%.*s", (int)(n > 2 ? n - 2 : 0), (const char *)x->m.data + 6);
}

/* The judge's interpreter speaks: calls, a verdict, and that it is done with this program, which keeps it in step with us: whatever a program
 * makes its tests do, nothing is left over for the next one. */
static void converse(struct session *x)
{
    bool failed = false, told = false, too_large;
    for (;;) {
        enum stop stop = get_message(&x->at_judge, &x->m, &too_large);
        char kind = stop == GOING && length_of(&x->m) ? (char)x->m.data[4] : '\0';
        if (kind == 'D')
            break;
        if (kind == 'V' && !failed) {
            verdict(x);
            told = true;
            continue;
        }
        enum call call = kind == 'C' && !failed && !told ? carry(x) : kind == 'V' ? CALL_ANSWERED : CALL_JUDGE_GONE;
        failed = failed || call == CALL_FAILED;
        /* The tests wait for an answer that will not come. */
        if (call == CALL_JUDGE_GONE || (call == CALL_FAILED && send_message(&x->at_judge, 'X', "", 0) != GOING)) {
            judge_gone(x->seat);
            x->r->out_of_time = x->r->out_of_time || stop == OUT_OF_TIME;
            break;
        }
    }
    if (!failed && !told) {
        x->r->correct = false;
        snprintf(x->r->why, sizeof(x->r->why), "call %lld: the tests ended by themselves: the answer is more than they can take in",
                 (long long)x->calls);
    }
}

void code_seat_calls(struct code_seat *s, const json_t *request, double cpu_s, int program, struct code_result *r)
{
    bool per_call = json_object_get(request, "cases") != NULL;
    struct run_spec spec = {.program = program, .input = -1, .server = s->call_py, .cpu_s = per_call ? cpu_s * 1000 : cpu_s};
    struct session x = {.seat = s, .cpu_s = cpu_s, .per_call = per_call, .wall_left = code_wall(cpu_s), .r = r};
    run_start(&x.candidate, s->sandbox, &spec);
    judge_ready(s);
    x.at_candidate = (struct watch){.run = &x.candidate, .cpu_end = cpu_s};
    x.at_judge = (struct watch){.run = &s->judge, .cpu_end = 1e9, .wall_end = log_now() + TESTS_SECONDS};
    char *text = json_dumps(request, JSON_COMPACT);
    must(text);
    if (send_message(&x.at_judge, 'T', text, strlen(text)) == GOING) {
        converse(&x);
    } else {
        snprintf(r->why, sizeof(r->why), "the interpreter for tests has ended");
        judge_gone(s);
    }
    if (x.candidate.pidfd >= 0)
        run_finish(&x.candidate, true);
    free(text);
    free(x.m.data);
}
