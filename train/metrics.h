/* train/metrics.h - what a run reports of every step: run_dir/metrics.jsonl, TensorBoard events, and the progress line. */
#ifndef TRAIN_METRICS_H
#define TRAIN_METRICS_H
#include "core/err.h"
#include <stdint.h>

struct metrics;
struct step_report {
    int64_t step, total_steps, phase_step, phase_steps;
    const char *phase;
    double loss, grad_norm, lr;
    int64_t tokens;         /* seen so far over the whole run */
    int64_t step_tokens;    /* of this step */
    int64_t learnt_tokens;  /* targets of this step */
    double step_s, mem_gib; /* of the slowest, of the fullest rank */
    double comm_wait_s;     /* of it the ops stood still for exchanges; NAN: one rank */
    double save_stall_s;    /* training then stood still to save; NAN: nothing was saved */
    double mfu;             /* NAN: not known */
    bool skipped;           /* loss or gradient not finite: no update */
    const char *rows;       /* of a skipped step: where its rows came from */
};
/* Keeps the steps up to done of an existing metrics.jsonl (a resumed run) and appends after them. */
bool metrics_open(struct metrics **m, const char *run_dir, int64_t done, bool tensorboard, struct err *e);
/* show: print the progress line too. */
bool metrics_step(struct metrics *m, const struct step_report *r, bool show, struct err *e);
void metrics_close(struct metrics *m);
#endif
