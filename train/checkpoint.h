/* train/checkpoint.h - a run's state on disk: whole or absent, checked when read, silent about how many ranks wrote it.
 *
 *     run_dir/step_000200/ config.json              the model's, Hugging Face keys
 *                          model.safetensors        float32 weights, Hugging Face names
 *                          exp_avg.safetensors      AdamW's moments, same names (.zst when compressed)
 *                          exp_avg_sq.safetensors
 *                          tokenizer files          when the run has a tokenizer
 *                          trainer.json             step, phase, tokens, updates; the data position follows from step
 *                          manifest.json            size and XXH3-128 of every file above and of itself, written last
 *     run_dir/latest       name of the newest
 *
 * It is written as step_000200.part/, synced and renamed. model.safetensors is the master copy: a bf16 run rounds it anew on loading.
 */
#ifndef TRAIN_CHECKPOINT_H
#define TRAIN_CHECKPOINT_H
#include "core/err.h"
#include "data/tokenizer.h"
#include "model/config.h"
#include "model/params.h"

/* What trainer.json holds. */
struct progress_state {
    int64_t step;       /* steps done, over the whole run */
    int64_t phase;      /* phase of the next step */
    int64_t phase_step; /* steps done in it */
    int64_t tokens;     /* seen so far */
    int64_t updates;    /* optimizer updates since the moments were last zeroed (bias correction) */
    int64_t skipped, skipped_in_row;
    bool phase_end;       /* the last step of a phase: kept when older checkpoints go */
    char data_digest[40]; /* of the current phase's data and order */
};

struct checkpoint_parts {
    const struct model_config *config;
    struct tensors master, exp_avg, exp_avg_sq; /* F32; on several ranks this one's shares */
    const struct tokenizer *tokenizer;          /* NULL: none */
    bool compress;
};
/* All ranks together; rank 0 writes. Writes run_dir/step_NNNNNN, points latest at it, then removes the oldest beyond keep. Folders of later steps (damaged ones, which the run
 * went back behind) do not count and stay. On failure nothing that was there is touched. */
bool checkpoint_save(const char *run_dir, const struct checkpoint_parts *parts, const struct progress_state *at, int64_t keep,
                     struct err *e);
/* The newest whole checkpoint of a run as "run_dir/step_NNNNNN" (caller frees); *dir NULL: the run has none. Damaged ones are named in the
 * log and passed over; false when all are damaged. */
bool checkpoint_newest(const char *run_dir, char **dir, struct err *e);
/* Is the folder a checkpoint? (Other folders of weights have no manifest.json.) */
bool checkpoint_is(const char *dir);
/* Every file is there with its size and hash, and the manifest itself is as it was written. */
bool checkpoint_verify(const char *dir, struct err *e);
/* Reads a verified checkpoint, on every rank what its tensors hold: the moments into exp_avg and exp_avg_sq, the weights into w and master. */
bool checkpoint_load(const char *dir, struct tensors w, struct tensors *master, struct tensors exp_avg, struct tensors exp_avg_sq,
                     struct progress_state *at, struct err *e);
/* Puts right what a save that was interrupted at any point left, in a run that goes on from the checkpoint at step now (0: from none):
 * unfinished folders go, latest points at it, and the oldest beyond keep are removed. */
bool checkpoint_clean(const char *run_dir, int64_t now, int64_t keep, struct err *e);
#endif
