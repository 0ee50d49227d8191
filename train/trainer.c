/* train/trainer.c - the training loop. */
#include "train/trainer.h"
#include "core/file.h"
#include "core/json.h"
#include "core/log.h"
#include "kernels/comm.h"
#include "kernels/device.h"
#include "model/weights.h"
#include "train/agree.h"
#include "train/exchange.h"
#include "train/metrics.h"
#include "train/saver.h"
#include "train/setup.h"
#include "train/step.h"
#include "train/watch.h"
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_SKIPPED_IN_ROW = 10 };

struct trainer {
    struct setup u;
    struct memory mem;
    struct block_acts *layer;
    void *block, *host[2]; /* the run's arena; pinned host blocks of the two batches */
    size_t batch_bytes;
    struct pass host_pass[2];
    struct batch fill; /* the loader's view of the block being filled */
    int32_t *doc_len;
    int next;      /* block that holds the next pass */
    bool training; /* past everything that may be refused */
    struct progress_state at;
    struct step_report report; /* of the last step */
    char described[512];       /* its rows, if it was skipped */
    struct metrics *metrics;
    struct checkpoint_parts parts;
    struct saver *saver;
};

/* SIGTERM, SIGINT and SIGUSR1 (the one that mpirun only passes on) are blocked and asked for between steps. A handler would be wrong here:
 * oneDNN's products use the stack pointer as a data pointer while they run, so the frame of a handler would be written over the heap. */
static const int stop_signals[] = {SIGTERM, SIGINT, SIGUSR1};
enum { STOP_SIGNALS = sizeof stop_signals / sizeof stop_signals[0] };

void trainer_hold_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    for (int k = 0; k < STOP_SIGNALS; k++)
        sigaddset(&set, stop_signals[k]);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

/* The signal that has come to any rank, the same on all; 0: none. */
static int stop_signal(void)
{
    sigset_t set;
    sigpending(&set);
    int mine = 0, any = 0;
    for (int k = 0; k < STOP_SIGNALS && !mine; k++)
        mine = sigismember(&set, stop_signals[k]) ? stop_signals[k] : 0;
    int *all = xmalloc(sizeof *all * (size_t)comm_size());
    comm_gather(all, &mine, sizeof mine);
    for (int r = 0; r < comm_size(); r++)
        any = any ? any : all[r];
    free(all);
    return any;
}

static void allocate(struct trainer *t)
{
    struct arena mem = {0};
    t->layer = xcalloc((size_t)t->u.config.layers, sizeof *t->layer);
    memory_layout(&t->mem, &mem, &t->u.table, &t->u.shape, t->layer);
    mem = (struct arena){dev_alloc(mem.used), mem.used, 0};
    t->block = mem.base;
    memory_layout(&t->mem, &mem, &t->u.table, &t->u.shape, t->layer);
    if (t->u.ranks > 1)
        exchange_open(&t->mem);
    t->parts = (struct checkpoint_parts){
        &t->u.config, t->u.tokenizer, {t->mem.master, t->mem.exp_avg, t->mem.exp_avg_sq}, t->u.settings->compress == 1};
    t->saver = saver_open(t->u.settings->run_dir, t->u.settings->keep, &t->parts, t->u.ranks > 1 ? &t->u.shares.own[F32] : NULL, t->u.copy);

    struct arena batch = {0};
    batch_layout(&t->host_pass[0], &batch, &t->u.shape.model);
    t->batch_bytes = batch.used;
    for (int i = 0; i < 2; i++) {
        t->host[i] = dev_host_alloc(t->batch_bytes);
        struct arena a = {t->host[i], t->batch_bytes, 0};
        batch_layout(&t->host_pass[i], &a, &t->u.shape.model);
    }
    t->doc_len = xmalloc(sizeof *t->doc_len * (size_t)t->u.shape.model.max_docs);
}

/* Passes of a step in which this rank has rows; in the step's other passes it is idle. */
static int64_t own_passes(const struct trainer *t, const struct loader *l, int64_t step)
{
    return loader_passes(l, step, t->u.rank, t->u.ranks, t->u.settings->micro_rows);
}

/* Fills the other block with this rank's pass p of a step, if there is one, and sends it on its way. */
static void fetch(struct trainer *t, const struct loader *l, int64_t step, int64_t p)
{
    if (p >= own_passes(t, l, step))
        return;
    int i = t->next ^= 1;
    watch_section(WATCH_DATA);
    struct pass *h = &t->host_pass[i];
    struct batch b = {.ids = h->ids, .target = h->target, .weight = h->weight, .doc_len = t->doc_len};
    loader_pass(l, step, p, t->u.rank, t->u.ranks, t->u.settings->micro_rows, &b);
    seqs_plan(&h->s, b.doc_len, b.docs, NULL);
    must(h->s.tokens == b.tokens);
    /* Both blocks are one layout from their first table on. */
    dev_prefetch(t->mem.batch[i].s.start, h->s.start, t->batch_bytes);
}

/* Runs the pass that was fetched last. */
static void run_pass(struct trainer *t)
{
    watch_section(WATCH_FORWARD);
    dev_prefetch_wait();
    struct pass p = pass_on(&t->host_pass[t->next], &t->mem.batch[t->next]);
    step_pass(&t->mem, &p);
}

/* What a rank tells the others after a step. */
struct rank_report {
    double step_s, mem_gib, comm_wait_s;
    struct step_stats stats;
};

/* The most of each over all ranks. They must agree about the step itself: each decides by its own copy whether it counts. */
static struct rank_report report_all(struct rank_report mine)
{
    struct rank_report *all = xmalloc(sizeof *all * (size_t)comm_size()), most = mine;
    comm_gather(all, &mine, sizeof mine);
    for (int r = 0; r < comm_size(); r++) {
        most.step_s = fmax(most.step_s, all[r].step_s);
        most.mem_gib = fmax(most.mem_gib, all[r].mem_gib);
        most.comm_wait_s = fmax(most.comm_wait_s, all[r].comm_wait_s);
        if (memcmp(&all[r].stats, &mine.stats, sizeof mine.stats))
            die("rank %d has loss %.17g and gradient norm %.9g, this one %.17g and %.9g: the exchange between them went wrong", r,
                all[r].stats.loss, (double)all[r].stats.grad_norm, mine.stats.loss, (double)mine.stats.grad_norm);
    }
    free(all);
    return most;
}

/* One optimizer step of phase i: all its passes, the update; t->report. */
static void step(struct trainer *t, int64_t i)
{
    const struct settings *s = t->u.settings;
    const struct phase_settings *p = settings_phase(s, i);
    const struct loader *l = t->u.phase[i];
    int64_t n = t->at.phase_step, steps = loader_steps(l), own = own_passes(t, l, n);
    int64_t passes = loader_passes(l, n, 0, t->u.ranks, s->micro_rows), rows, tokens, learnt; /* rank 0 has the most */
    double begin = log_now(), lr = schedule_lr(&p->optim, n, steps);

    watch_step(t->at.step + 1);
    step_begin(&t->mem);
    for (int64_t k = 0; k < passes; k++) {
        if (k < own)
            run_pass(t);
        else
            step_idle(&t->mem);
        fetch(t, l, n, k + 1);
    }
    saver_copied(t->saver);
    step_update(&t->mem, &p->optim, lr, t->at.updates + 1);
    if (n + 1 < steps)
        fetch(t, l, n + 1, 0);
    loader_step(l, n, &rows, &tokens, &learnt);

    struct step_stats stats;
    watch_section(WATCH_REDUCE); /* on a GPU the others' exchanges are waited for here */
    dev_get(&stats, t->mem.stats, sizeof stats);
    bool skipped = isnan(stats.scale);
    if (skipped)
        loader_describe(l, n, t->described, sizeof t->described);
    t->at.updates += !skipped;
    t->at.skipped += skipped;
    t->at.skipped_in_row = skipped ? t->at.skipped_in_row + 1 : 0;
    t->at.step++;
    t->at.phase_step++;
    t->at.tokens += tokens;
    struct rank_report most =
        report_all((struct rank_report){log_now() - begin, (double)dev_used_bytes() / (1024.0 * 1024 * 1024), comm_waited(), stats});
    double peak = dev_peak_flops((enum dtype)s->precision) * t->u.ranks;
    t->report = (struct step_report){.step = t->at.step,
                                     .total_steps = t->u.total_steps,
                                     .phase_step = n + 1,
                                     .phase_steps = steps,
                                     .phase = p->name,
                                     .loss = stats.loss,
                                     .grad_norm = stats.grad_norm,
                                     .lr = lr,
                                     .tokens = t->at.tokens,
                                     .step_tokens = tokens,
                                     .learnt_tokens = learnt,
                                     .step_s = most.step_s,
                                     .mem_gib = most.mem_gib,
                                     .comm_wait_s = t->u.ranks > 1 ? most.comm_wait_s : NAN,
                                     .mfu = peak > 0 ? 6.0 * (double)t->u.table.weights * (double)tokens / most.step_s / peak : NAN,
                                     .skipped = skipped,
                                     .save_stall_s = NAN,
                                     .rows = t->described};
}

/* What a step is followed by: the checkpoint that is due, in which case its folder appears after the step's line in metrics.jsonl; the line; and a
 * look at the checkpoint under way. */
static bool conclude(struct trainer *t, bool due, struct err *e)
{
    const struct settings *s = t->u.settings;
    struct step_report *r = &t->report;
    bool many = t->at.skipped_in_row >= MOST_SKIPPED_IN_ROW, show = r->step % s->log_every == 0 || r->phase_step == r->phase_steps;
    if (due && !many && !saver_begin(t->saver, &t->at, &r->save_stall_s, e))
        return false;
    if (t->metrics && !metrics_step(t->metrics, r, show, e))
        return false;
    if (!many)
        return saver_step(t->saver, e);
    return saver_wait(t->saver, e) &&
           err_set(e,
                   "step %lld: %d steps in a row without finite loss and gradients; the last good checkpoint is untouched: lower optim.lr "
                   "or look at the rows named above",
                   (long long)t->at.step, MOST_SKIPPED_IN_ROW);
}

static bool run_phase(struct trainer *t, int64_t i, struct err *e)
{
    const struct settings *s = t->u.settings;
    const struct phase_settings *p = settings_phase(s, i);
    const struct loader *l = t->u.phase[i];
    int64_t steps = loader_steps(l);
    if (t->at.phase_step == 0 && i > 0 && p->reset_optimizer) {
        saver_copied(t->saver);
        step_zero(t->mem.exp_avg);
        step_zero(t->mem.exp_avg_sq);
        t->at.updates = 0;
    }
    snprintf(t->at.data_digest, sizeof t->at.data_digest, "%s", loader_digest(l));
    if (t->at.phase_step < steps)
        fetch(t, l, t->at.phase_step, 0);
    while (t->at.phase_step < steps) {
        step(t, i);
        bool stop = stop_signal() != 0; /* read once: a signal between saving and leaving must not skip the save */
        t->at.phase_end = t->at.phase_step == steps;
        if (!conclude(t, t->at.phase_end || stop || t->at.step % s->save_every == 0, e))
            return false;
        if (stop)
            return true;
    }
    return true;
}

/* The newest whole checkpoint of the run (caller frees), as rank 0 finds it: hashed once, and the same for all. */
static bool newest(const char *run_dir, char **dir, struct err *e)
{
    *dir = NULL;
    if (!comm_agree(comm_rank() > 0 || checkpoint_newest(run_dir, dir, e), e))
        return false;
    int64_t n = *dir ? (int64_t)strlen(*dir) + 1 : 0;
    comm_broadcast(&n, sizeof n, 0);
    if (comm_rank() > 0 && n > 0)
        *dir = xmalloc((size_t)n);
    if (n > 0)
        comm_broadcast(*dir, (size_t)n, 0);
    return true;
}

/* The weights that this rank reads from files; gather_weights() brings it the others'. */
static struct tensors own_weights(const struct trainer *t)
{
    struct tensors w = t->mem.w;
    if (t->u.ranks > 1)
        w.part = &t->u.shares.own_place;
    return w;
}

static void gather_weights(struct trainer *t)
{
    for (int32_t b = 0; t->mem.exchange && b < t->u.table.n_bucket; b++)
        exchange_weights(t->mem.exchange, b);
    watch_section(WATCH_START);
}

/* Weights of a Hugging Face folder, a checkpoint, or another run: those of its newest checkpoint. */
static bool load_weights(struct trainer *t, const char *from, struct err *e)
{
    char *latest = xprintf("%s/latest", from), *dir = NULL;
    bool is_run = file_exists(latest), ok = true;
    free(latest);
    if (is_run) /* what is found has been verified */
        ok = newest(from, &dir, e) && (dir || err_set(e, "%s: no checkpoint of this run is left to take weights from", from));
    else
        ok = comm_rank() > 0 || !checkpoint_is(from) || checkpoint_verify(from, e);
    if (ok && is_run)
        log_line("weights from %s", dir);
    ok = ok && weights_load(own_weights(t), &t->mem.master, dir ? dir : from, e);
    free(dir);
    return ok;
}

/* Weights and position: from a checkpoint of this run, from elsewhere, or new. */
static bool start(struct trainer *t, enum resume resume, struct err *e)
{
    const struct settings *s = t->u.settings;
    char *from = NULL;
    bool ok = true;
    if (resume != RESUME_NEVER && !newest(s->run_dir, &from, e))
        return false;
    if (from) {
        ok = checkpoint_load(from, own_weights(t), t->parts.set, &t->at, e);
        if (ok && (t->at.phase >= s->phases.n || t->at.phase_step > loader_steps(t->u.phase[t->at.phase])))
            ok = err_set(e, "%s: it stands at step %lld of phase %lld, which these settings do not have; give a new run_dir", from,
                         (long long)t->at.phase_step, (long long)t->at.phase);
        if (ok && strcmp(t->at.data_digest, loader_digest(t->u.phase[t->at.phase])))
            ok = err_set(
                e, "%s: the data, their order or the batch of phase %s changed since it was written; restore them or give a new run_dir",
                from, settings_phase(s, t->at.phase)->name);
        if (ok)
            log_line("resuming from %s (step %lld of %lld)", from, (long long)t->at.step, (long long)t->u.total_steps);
        free(from);
    } else if (resume == RESUME_MUST) {
        ok = err_set(e, "%s: no whole checkpoint to resume from; drop --resume must to start anew", s->run_dir);
    } else if (!strcmp(s->model_weights, "random")) {
        weights_random(t->mem.w, &t->mem.master, &t->u.config, (uint64_t)s->seed);
    } else {
        ok = load_weights(t, s->model_weights, e);
    }
    if (!comm_agree(ok, e))
        return false;
    gather_weights(t);
    return true;
}

static bool write_config(const struct settings *s, struct err *e)
{
    char *path = xprintf("%s/config.json", s->run_dir);
    bool ok = conf_write(path, s, settings_table, e);
    free(path);
    return ok;
}

/* Rank 0 alone writes there. */
static bool open_run_dir(struct trainer *t, struct err *e)
{
    const struct settings *s = t->u.settings;
    return file_mkdirs(s->run_dir, e) && checkpoint_clean(s->run_dir, t->at.step, s->keep, e) && write_config(s, e) &&
           metrics_open(&t->metrics, s->run_dir, t->at.step, s->tensorboard, e);
}

/* All ranks opened the same data. */
static bool agree_data(const struct trainer *t, struct err *e)
{
    bool same = true;
    for (int64_t i = 0; i < t->u.settings->phases.n && same; i++) {
        char *what = xprintf("the data or their order in phase %s (digest)", settings_phase(t->u.settings, i)->name);
        same = agree_value(what, loader_digest(t->u.phase[i]), e);
        free(what);
    }
    return same;
}

static bool run(struct trainer *t, enum resume resume, struct err *e)
{
    const struct settings *s = t->u.settings;
    if (!agree_start(s, resume, e) || !watch_open(s->silent_s, s->hung_s, e))
        return false;
    if (resume == RESUME_NEVER) {
        char *old;
        if (!newest(s->run_dir, &old, e))
            return false;
        if (old) {
            err_set(e, "%s: there is a checkpoint already (%s); give a new run_dir, remove it, or resume", s->run_dir, old);
            free(old);
            return false;
        }
    }
    if (!setup_open(&t->u, s, 0, e) || !agree_data(t, e))
        return false;
    allocate(t);
    if (!start(t, resume, e) || !comm_agree(comm_rank() > 0 || open_run_dir(t, e), e))
        return false;
    t->training = true;
    log_line("%lld weights, %lld steps in %lld phases, %.2f GiB planned, %d of %d layers keep their activations",
             (long long)t->u.table.weights, (long long)t->u.total_steps, (long long)s->phases.n,
             (double)(t->mem.total + t->u.libraries) / (1024.0 * 1024 * 1024), t->u.shape.model.kept_layers, t->u.config.layers);
    for (int64_t i = t->at.phase; i < s->phases.n && !stop_signal(); i++) {
        if (i > t->at.phase) {
            t->at.phase = i;
            t->at.phase_step = 0;
        }
        t->at.phase_end = false;
        if (!run_phase(t, i, e))
            return false;
    }
    watch_section(WATCH_SAVE);
    if (!saver_wait(t->saver, e))
        return false;
    int stop = stop_signal();
    if (stop)
        log_line("stopped by SIG%s at step %lld of %lld; run the same command to go on", sigabbrev_np(stop), (long long)t->at.step,
                 (long long)t->u.total_steps);
    else if (t->at.skipped)
        log_line("%lld steps were skipped", (long long)t->at.skipped);
    return true;
}

bool trainer_run(const struct settings *s, enum resume resume, struct err *e)
{
    struct trainer t = {.u.settings = s};
    bool ok = run(&t, resume, e);
    if (!ok && t.training && comm_launched())
        watch_fail(e->msg);
    watch_close();
    saver_close(t.saver);
    metrics_close(t.metrics);
    comm_device_close();
    exchange_close(&t.mem);
    dev_free(t.block);
    dev_host_free(t.host[0]);
    dev_host_free(t.host[1]);
    free(t.layer);
    free(t.doc_len);
    setup_close(&t.u);
    return ok;
}
