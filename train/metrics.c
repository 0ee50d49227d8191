/* train/metrics.c - a step's numbers in three places. */
#include "train/metrics.h"
#include "core/file.h"
#include "core/json.h"
#include "core/log.h"
#include "train/tensorboard.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct metrics {
    FILE *file;
    char *path;
    struct tensorboard *board; /* NULL: not wanted */
    double s_per_step;         /* smoothed, for the ETA */
};

/* Rewrites the file with the whole lines of steps up to done: what a killed run wrote after its last checkpoint is written again. */
static bool keep_lines(const char *path, int64_t done, struct err *e)
{
    if (!file_exists(path))
        return true;
    struct lines *l;
    struct file_out *o = NULL;
    if (!lines_open(&l, path, e))
        return false;
    bool ok = file_out_open(&o, path, false, e);
    char *line;
    size_t n;
    int got = 0;
    while (ok && (got = lines_next(l, &line, &n, e)) == 1) {
        struct err broken;
        int64_t step;
        json_t *v = json_parse(line, n, path, &broken); /* a line cut short by a kill does not parse, and ends the file */
        bool keep = v && json_get_int(v, "step", 1, INT64_MAX, &step, &broken) && step <= done;
        json_decref(v);
        if (!keep)
            break;
        ok = file_out_write(o, line, n, e) && file_out_write(o, "\n", 1, e);
    }
    lines_close(l);
    if (ok && got >= 0)
        return file_out_commit(o, e);
    file_out_abort(o);
    return false;
}

bool metrics_open(struct metrics **out, const char *run_dir, int64_t done, bool tensorboard, struct err *e)
{
    struct metrics *m = xcalloc(1, sizeof *m);
    *out = m;
    m->path = xprintf("%s/metrics.jsonl", run_dir);
    if (!keep_lines(m->path, done, e))
        return false;
    m->file = fopen(m->path, "a");
    if (!m->file)
        return err_set(e, "%s: cannot open: %s", m->path, strerror(errno));
    return !tensorboard || tensorboard_open(&m->board, run_dir, done + 1, e);
}

static bool write_line(struct metrics *m, const struct step_report *r, struct err *e)
{
    json_t *o = json_pack("{s:I, s:s}", "step", (json_int_t)r->step, "phase", r->phase);
    if (r->skipped) {
        json_object_set_new(o, "skipped", json_true());
        json_object_set_new(o, "rows", json_string(r->rows));
    } else {
        json_object_set_new(o, "loss", json_real(r->loss));
        json_object_set_new(o, "grad_norm", json_real(r->grad_norm));
    }
    json_object_set_new(o, "lr", json_real(r->lr));
    json_object_set_new(o, "tokens", json_integer(r->tokens));
    json_object_set_new(o, "learnt_tokens", json_integer(r->learnt_tokens));
    json_object_set_new(o, "tokens_per_s", json_real((double)r->step_tokens / r->step_s));
    json_object_set_new(o, "step_s", json_real(r->step_s));
    json_object_set_new(o, "mem_gib", json_real(r->mem_gib));
    if (!isnan(r->comm_wait_s))
        json_object_set_new(o, "comm_wait_s", json_real(r->comm_wait_s));
    if (!isnan(r->save_stall_s))
        json_object_set_new(o, "save_stall_s", json_real(r->save_stall_s));
    if (!isnan(r->mfu))
        json_object_set_new(o, "mfu", json_real(r->mfu));
    char *text = json_dumps(o, JSON_COMPACT);
    json_decref(o);
    must(text);
    bool ok = fprintf(m->file, "%s\n", text) > 0 && fflush(m->file) == 0;
    free(text);
    return ok || err_set(e, "%s: cannot write: %s; free some space and resume", m->path, strerror(errno));
}

static void show_line(struct metrics *m, const struct step_report *r)
{
    char eta[32], tokens[32], mfu[32] = "";
    double rate = (double)r->step_tokens / r->step_s;
    log_duration(eta, sizeof eta, m->s_per_step * (double)(r->total_steps - r->step));
    if (rate >= 1e6)
        snprintf(tokens, sizeof tokens, "%.2fM", rate / 1e6);
    else if (rate >= 1e3)
        snprintf(tokens, sizeof tokens, "%.1fk", rate / 1e3);
    else
        snprintf(tokens, sizeof tokens, "%.0f", rate);
    if (!isnan(r->mfu))
        snprintf(mfu, sizeof mfu, " | mfu %.1f%%", 100 * r->mfu);
    log_line("step %lld/%lld %s %.0f%% | loss %.4g | gnorm %.3g | lr %.1e | %s tok/s%s | mem %.2gG | ETA %s%s", (long long)r->step,
             (long long)r->total_steps, r->phase, 100.0 * (double)r->phase_step / (double)r->phase_steps, r->loss, r->grad_norm, r->lr,
             tokens, mfu, r->mem_gib, eta, r->skipped ? " | SKIPPED" : "");
}

bool metrics_step(struct metrics *m, const struct step_report *r, bool show, struct err *e)
{
    m->s_per_step = m->s_per_step > 0 ? 0.9 * m->s_per_step + 0.1 * r->step_s : r->step_s;
    if (!write_line(m, r, e))
        return false;
    if (m->board) {
        const char *const tag[] = {"train/loss",         "train/grad_norm",     "train/lr",
                                   "train/tokens_per_s", "train/learnt_tokens", "system/mem_gib"};
        const double value[] = {r->loss, r->grad_norm, r->lr, (double)r->step_tokens / r->step_s, (double)r->learnt_tokens, r->mem_gib};
        if (!tensorboard_write(m->board, r->step, tag, value, sizeof value / sizeof value[0], e))
            return false;
    }
    if (r->skipped)
        log_line("step %lld skipped: loss %g, gradient norm %g are not both finite; its rows: %s", (long long)r->step, r->loss,
                 r->grad_norm, r->rows);
    if (show)
        show_line(m, r);
    return true;
}

void metrics_close(struct metrics *m)
{
    if (!m)
        return;
    if (m->file)
        fclose(m->file);
    tensorboard_close(m->board);
    free(m->path);
    free(m);
}
