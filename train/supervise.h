/* train/supervise.h - starts the ranks of a run, and starts them again from the newest good checkpoint when one fails. */
#ifndef TRAIN_SUPERVISE_H
#define TRAIN_SUPERVISE_H
#include <stdint.h>

struct launch {
    int64_t ranks;        /* 0: one process, without mpirun */
    int64_t max_restarts; /* how often a run that failed is started again */
    const char *hosts;    /* mpirun's host file; NULL: all on this host */
};
/* Runs `train words...` as told until it is done, and passes on what it says. Started again, a run goes on from its newest good checkpoint.
 * SIGTERM, SIGINT, SIGHUP and SIGUSR1 make all ranks save and stop; a second one ends them at once. What was refused is not tried again, nor
 * what failed three times in the same way at the same step. The answer is the exit code; after a failure the last line says its cause. */
int supervise(const struct launch *l, int n, char **words);
#endif
