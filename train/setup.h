/* train/setup.h - what a run opens before its first step, for training and for --plan alike. */
#ifndef TRAIN_SETUP_H
#define TRAIN_SETUP_H
#include "data/loader.h"
#include "data/tokenizer.h"
#include "train/memory.h"
#include "train/settings.h"

struct setup {
    const struct settings *settings;
    struct model_config config;
    struct tokenizer *tokenizer; /* NULL: none */
    struct param_table table;
    struct loader **phase; /* [settings->phases.n] */
    int64_t total_steps;
    struct memory_shape shape;
    int64_t libraries; /* the program and its libraries, beside the plan's arena */
    size_t free_bytes, total_bytes;
};
/* Opens the device, the model's shape, the tokenizer and every phase's data; chooses kept_layers. A run that cannot fit is refused here,
 * before anything is allocated (unless allow_misfit, for --plan). */
bool setup_open(struct setup *u, const struct settings *s, bool allow_misfit, struct err *e);
void setup_close(struct setup *u);
#endif
