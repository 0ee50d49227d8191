/* train/agree.h - ranks that were not started alike are refused before the first step, with one line that says which rank differs in what. */
#ifndef TRAIN_AGREE_H
#define TRAIN_AGREE_H
#include "train/settings.h"
#include "train/trainer.h"

/* All ranks together. The program's binary and every setting as resolved are rank 0's, on all ranks. */
bool agree_start(const struct settings *s, enum resume resume, struct err *e);
/* A value that has to be the same everywhere, in words: what "the data of phase one", is its digest. At most 255 characters. */
bool agree_value(const char *what, const char *is, struct err *e);
#endif
