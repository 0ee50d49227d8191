/* train/settings.h - the settings of a training run. To add one: a member here, a line in the table in settings.c, its use. */
#ifndef TRAIN_SETTINGS_H
#define TRAIN_SETTINGS_H
#include "core/conf.h"

enum schedule { SCHEDULE_COSINE, SCHEDULE_LINEAR, SCHEDULE_CONSTANT };
enum warmup { WARMUP_LINEAR, WARMUP_LOG };
enum recompute { RECOMPUTE_NONE, RECOMPUTE_FULL, RECOMPUTE_AUTO };
enum save_async { ASYNC_AUTO, ASYNC_OFF };
enum loss_mean { LOSS_TOKENS, LOSS_ROWS };

struct optim_settings {
    double lr, betas[2], eps, weight_decay, grad_clip, min_lr_ratio;
    int schedule, warmup;
    int64_t warmup_steps;
};
struct data_settings {
    char *path;
    double weight;
};
struct phase_settings {
    char *name;
    int64_t seq_len, steps;
    double epochs;
    bool pack, shuffle, reset_optimizer;
    struct optim_settings optim; /* what the phase overrides; the rest is filled in by settings_load() */
    struct conf_list data;       /* of struct data_settings */
};
struct settings {
    char *run_dir;
    int64_t seed;
    char *model_config, *model_weights;
    char *tokenizer;
    int precision, residual, gradients; /* enum dtype */
    int loss_mean, recompute;
    struct optim_settings optim;
    int64_t rows, micro_rows;
    struct conf_list phases; /* of struct phase_settings */
    int64_t save_every, keep;
    int compress; /* 0 none, 1 zstd */
    int async;    /* enum save_async */
    int64_t log_every;
    bool tensorboard;
    double silent_s, hung_s;
};

extern const struct conf_field settings_table[];
/* The file, then "--section.key=value" words; checks what belongs together; fills in the phases' optimizer settings. *usage: the words are
 * what is wrong, not the file. */
bool settings_load(struct settings *s, const char *path, int argc, char **argv, bool *usage, struct err *e);
void settings_free(struct settings *s);
static inline const struct phase_settings *settings_phase(const struct settings *s, int64_t i)
{
    return (const struct phase_settings *)s->phases.at + i;
}

/* Learning rate of step s (from 0) of a phase of n steps. */
double schedule_lr(const struct optim_settings *o, int64_t s, int64_t n);
#endif
