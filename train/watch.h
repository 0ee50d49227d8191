/* train/watch.h - finds a rank that died or hangs, and ends all ranks with one line that says which, where and why.
 *
 * Every rank has a thread beside its main one, linked by TCP to those of all others (no signals, no MPI, no device: nothing that a broken rank
 * could block). Each tells the others four times a second where its main thread stands.
 *
 *   died    its links closed without a goodbye; seen at once
 *   silent  no word for silent_s though its links are open: its host is down, or the process stopped; 2 s
 *   hung    its main thread passed no mark for max(hung_s, 5 times the slowest of its last 32 steps). Before the first whole step of this run
 *           the limit is 20 times hung_s, as libraries load on first use. So it is in "start" and "save", where moving files counts as a mark.
 *           When all wait for one, that one is named: a rank that may be waiting itself is blamed only if all ranks stand still.
 *   failed  it said so itself: watch_fail(), die()
 *
 * The first to see it tells the others. The lowest rank that lives prints
 *     train: rank 2 (node7) hung at step 57, section data: passed no mark for 31.0 s; ...
 * and all leave with exit code 1, after comm_abort() if that comes back within 5 s. A stopped watcher's own time does not count: a job that
 * is suspended and goes on as a whole is none the worse.
 */
#ifndef TRAIN_WATCH_H
#define TRAIN_WATCH_H
#include "core/err.h"
#include <stdint.h>

enum watch_section { WATCH_START, WATCH_DATA, WATCH_FORWARD, WATCH_BACKWARD, WATCH_REDUCE, WATCH_OPTIMIZER, WATCH_SAVE, WATCH_SECTIONS };

/* Starts the watch, on all ranks together. False (on all ranks) when they cannot reach one another. */
bool watch_open(double silent_s, double hung_s, struct err *e);
/* The run ended, well or refused: the others are told, and do not take it for a death. */
void watch_close(void);

/* Marks, from the main thread; a few nanoseconds each. The step that is being made, from 1; the section of it. */
void watch_step(int64_t step);
void watch_section(enum watch_section s);

/* The run cannot go on, on this rank: ends all. */
CORE_NORETURN void watch_fail(const char *why);

/* The name of this host, for messages. */
const char *watch_host(void);

/* What the last line says. */
enum watch_cause { WATCH_DIED, WATCH_SILENT, WATCH_HUNG, WATCH_FAILED, WATCH_CAUSES };
struct watch_verdict {
    int32_t rank, cause, section; /* rank -1: not known; enum watch_cause, enum watch_section */
    int64_t step;                 /* 0: before the first */
    char host[64];
    char why[768];
};
/* The line, without its newline, and back (false: another line). */
char *watch_line(const struct watch_verdict *v);
bool watch_parse(struct watch_verdict *v, const char *line);
#endif
