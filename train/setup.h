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
    struct shares shares; /* of this rank; of several ranks only */
    int rank, ranks;
    struct loader **phase; /* [settings->phases.n] */
    int64_t total_steps;
    struct memory_shape shape;
    bool device;       /* it is open; else this is a plan without one */
    int64_t libraries; /* the program and its libraries, beside the plan's arena */
    size_t free_bytes, total_bytes;
    int64_t copy;      /* bytes of host memory for what is being saved; 0: saving does without */
    bool copy_on_host; /* which is not the device's memory */
};
/* Opens the device, the model's shape, the tokenizer and every phase's data; chooses kept_layers, the same on all ranks. A run that cannot fit
 * is refused here, before anything is allocated. All ranks get the same answer.
 * plan_ranks above 0: only to plan the memory of one of so many ranks. What is missing here (a device, its type, data, a tokenizer) is
 * named in the log and the plan made without it; free_bytes is then 0 if there is nothing to compare with. */
bool setup_open(struct setup *u, const struct settings *s, int plan_ranks, struct err *e);
void setup_close(struct setup *u);
#endif
