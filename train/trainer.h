/* train/trainer.h - a training run: set up, resume, the loop over phases and steps. */
#ifndef TRAIN_TRAINER_H
#define TRAIN_TRAINER_H
#include "core/err.h"
#include "train/settings.h"

enum resume { RESUME_AUTO, RESUME_NEVER, RESUME_MUST };

/* Runs to the end, or to SIGTERM/SIGINT (a full checkpoint, then true). */
bool trainer_run(const struct settings *s, enum resume resume, struct err *e);
/* Prints the memory of one of so many ranks to standard output, part by part, beside what is free, and which settings would change it; what a
 * step moves between ranks, and the size of a checkpoint. Needs no device, data or tokenizer. */
bool trainer_plan(const struct settings *s, int ranks, struct err *e);
#endif
