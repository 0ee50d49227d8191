/* train/saver.c - see saver.h. */
#include "train/saver.h"
#include "core/log.h"
#include "kernels/comm.h"
#include "kernels/device.h"
#include "train/watch.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* What is under way, the same on all ranks. */
enum stage { NOTHING, COPYING, WRITING, COMMITTING };

struct saver {
    const char *run_dir;
    const struct checkpoint_parts *parts;
    int64_t keep;
    int sets;                             /* that all ranks write */
    char *block;                          /* of the copy; NULL: there is none */
    struct tensors copy[CHECKPOINT_SETS]; /* in it */
    enum stage stage;
    struct progress_state at;
    double begin, stall_s;
    /* The stage's job, by a thread if there is a copy. */
    pthread_t thread;
    bool threaded; /* it is to be joined */
    _Atomic bool done;
    bool ok;
    struct err failure;
    struct hash_sum sum[CHECKPOINT_SETS];
};

static int64_t set_bytes(const struct param_table *t, const struct tensors_part *own)
{
    return tensors_bytes((struct tensors){t, F32, NULL, own});
}

int64_t saver_bytes(const struct param_table *t, const struct tensors_part *own, bool compress)
{
    return checkpoint_shared_sets(compress) * set_bytes(t, own);
}

struct saver *saver_open(const char *run_dir, int64_t keep, const struct checkpoint_parts *parts, const struct tensors_part *own,
                         int64_t bytes)
{
    struct saver *s = xcalloc(1, sizeof *s);
    const struct param_table *t = parts->set[0].table;
    *s = (struct saver){.run_dir = run_dir, .keep = keep, .parts = parts, .sets = checkpoint_shared_sets(parts->compress)};
    if (bytes > 0) {
        must(bytes == saver_bytes(t, own, parts->compress));
        s->block = dev_host_alloc((size_t)bytes);
        for (int i = 0; i < s->sets; i++)
            s->copy[i] = (struct tensors){t, F32, s->block + i * set_bytes(t, own), own};
    }
    return s;
}

/* Queues the copying of a set. */
static void copy_set(struct tensors to, struct tensors from)
{
    const struct param_table *t = to.table;
    if (!to.part)
        dev_fetch(to.base, from.base, (size_t)tensors_bytes(to));
    for (int32_t i = 0; to.part && i < 2 * t->n_bucket; i++) {
        int64_t at = t->segment[i].at[F32] + 4 * to.part->first[i], n = to.part->end[i] - to.part->first[i];
        dev_fetch(to.base + at + to.part->shift[i], from.base + at + from.part->shift[i], (size_t)(4 * n));
    }
}

static void do_job(struct saver *s)
{
    if (s->stage == WRITING)
        s->ok = checkpoint_write(s->run_dir, s->block ? s->copy : s->parts->set, s->sets, s->block, s->at.step, s->sum, &s->failure);
    else
        s->ok = comm_rank() > 0 || checkpoint_commit(s->run_dir, s->parts, &s->at, s->keep, s->sum, &s->failure);
    s->done = true;
}

static void *job_thread(void *s)
{
    do_job(s);
    return NULL;
}

static void begin_job(struct saver *s, enum stage stage)
{
    s->stage = stage;
    s->done = false;
    if (!s->block) {
        do_job(s);
        return;
    }
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before); /* signals are the main thread's */
    int status = pthread_create(&s->thread, NULL, job_thread, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (status != 0)
        die("the thread that writes checkpoints cannot start: %s", strerror(status));
    s->threaded = true;
}

static void join(struct saver *s)
{
    if (s->threaded)
        pthread_join(s->thread, NULL);
    s->threaded = false;
}

bool saver_begin(struct saver *s, const struct progress_state *at, double *stall_s, struct err *e)
{
    double begin = log_now();
    watch_section(WATCH_SAVE);
    if (!saver_wait(s, e) || !checkpoint_begin(s->run_dir, s->parts, at->step, s->sum, e))
        return false;
    s->at = *at;
    s->begin = begin;
    if (s->block) {
        for (int i = 0; i < s->sets; i++)
            copy_set(s->copy[i], s->parts->set[i]);
        s->stage = COPYING;
    } else {
        begin_job(s, WRITING);
    }
    *stall_s = s->stall_s = comm_most(log_now() - begin);
    return true;
}

void saver_copied(struct saver *s)
{
    if (s->stage != COPYING)
        return;
    dev_fetch_wait();
    begin_job(s, WRITING);
}

/* Every rank's sums are added to those of all others. */
static void add_sums(struct saver *s)
{
    struct hash_sum(*all)[CHECKPOINT_SETS] = xmalloc(sizeof s->sum * (size_t)comm_size());
    comm_gather(all, s->sum, sizeof s->sum);
    memset(s->sum, 0, sizeof s->sum);
    for (int r = 0; r < comm_size(); r++)
        for (int i = 0; i < CHECKPOINT_SETS; i++)
            hash_sum_join(&s->sum[i], all[r][i]);
    free(all);
}

bool saver_step(struct saver *s, struct err *e)
{
    while (s->stage == WRITING || s->stage == COMMITTING) {
        if (comm_most(s->done ? 0 : 1) > 0)
            return true;
        join(s);
        if (!s->ok)
            *e = s->failure;
        if (!comm_agree(s->ok, e)) {
            s->stage = NOTHING;
            watch_step(s->at.step); /* a failure of that step, whenever it is noticed */
            watch_section(WATCH_SAVE);
            if (comm_rank() == 0)
                checkpoint_discard(s->run_dir, s->at.step);
            return false;
        }
        if (s->stage == WRITING) {
            add_sums(s);
            begin_job(s, COMMITTING);
            continue;
        }
        s->stage = NOTHING;
        log_line("saved %s/step_%06lld in %.1f s, %.2f s of which training stood still", s->run_dir, (long long)s->at.step,
                 log_now() - s->begin, s->stall_s);
    }
    return true;
}

bool saver_wait(struct saver *s, struct err *e)
{
    saver_copied(s);
    while (s->stage != NOTHING) {
        join(s);
        if (!saver_step(s, e))
            return false;
    }
    return true;
}

void saver_close(struct saver *s)
{
    struct err ignored;
    if (!s)
        return;
    if (comm_size() == 1)
        saver_wait(s, &ignored);
    join(s);
    dev_host_free(s->block);
    free(s);
}
