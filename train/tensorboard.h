/* train/tensorboard.h - TensorBoard event files: scalars over steps (the tensorflow.Event protocol buffer in TFRecord framing). */
#ifndef TRAIN_TENSORBOARD_H
#define TRAIN_TENSORBOARD_H
#include "core/err.h"
#include <stdint.h>

struct tensorboard;
/* A new event file in dir. first_step: the first step that will be written; what earlier files say of it and later is void (a resumed run). */
bool tensorboard_open(struct tensorboard **t, const char *dir, int64_t first_step, struct err *e);
/* n scalars of one step, flushed. */
bool tensorboard_write(struct tensorboard *t, int64_t step, const char *const *tag, const double *value, int n, struct err *e);
void tensorboard_close(struct tensorboard *t);
#endif
