/* train/trainer.h - a training run: set up, resume, the loop over phases and steps. */
#ifndef TRAIN_TRAINER_H
#define TRAIN_TRAINER_H
#include "core/err.h"
#include "train/settings.h"

enum resume { RESUME_AUTO, RESUME_NEVER, RESUME_MUST };

/* Makes SIGTERM, SIGINT and SIGUSR1 wait until a run asks for them. To be called before any other thread starts (MPI's too): a thread that
 * does not block them would be killed by them. */
void trainer_hold_signals(void);
/* Runs to the end, or to one of those signals on any rank (a full checkpoint, then true). */
bool trainer_run(const struct settings *s, enum resume resume, struct err *e);
/* Prints the memory of one of so many ranks to standard output, part by part, beside what is free, and which settings would change it; what a
 * step moves between ranks, and the size of a checkpoint. Needs no device, data or tokenizer. */
bool trainer_plan(const struct settings *s, int ranks, struct err *e);
#endif
