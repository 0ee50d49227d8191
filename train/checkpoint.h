/* train/checkpoint.h - a run's state on disk: whole or absent, checked when read, silent about how many ranks wrote it.
 *
 *     run_dir/step_000200/ config.json              the model's, Hugging Face keys
 *                          model.safetensors        float32 weights, Hugging Face names
 *                          exp_avg.safetensors      AdamW's moments, same names (.zst when compressed)
 *                          exp_avg_sq.safetensors
 *                          tokenizer files          when the run has a tokenizer
 *                          trainer.json             step, phase, tokens, updates; the data position follows from step
 *                          manifest.json            size and digest of every file above and of itself, written last: XXH3-128,
 *                                                   or ("xxh3_128_sum") that of train/tensor_file.h
 *     run_dir/latest       name of the newest
 *
 * It is written as step_000200.part/, synced and renamed, by all ranks together (train/saver.h), each what it owns: run_dir is one folder that
 * all of them see. Rank 0 writes the small files, and compressed ones. model.safetensors is the master copy: a bf16 run rounds it anew on loading.
 */
#ifndef TRAIN_CHECKPOINT_H
#define TRAIN_CHECKPOINT_H
#include "core/hash.h"
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

enum { CHECKPOINT_SETS = 3 }; /* master weights, exp_avg, exp_avg_sq */
struct checkpoint_parts {
    const struct model_config *config;
    const struct tokenizer *tokenizer;   /* NULL: none */
    struct tensors set[CHECKPOINT_SETS]; /* F32; on several ranks this one's shares */
    bool compress;                       /* the moments */
};
/* Of the sets, from the first, those that all ranks write. */
int checkpoint_shared_sets(bool compress);
/* A save, step by step. All ranks together: the folder, with the shared sets' files empty, and what rank 0 alone writes of the others' values
 * (compressed moments). sum: of every shared set, begins here. */
bool checkpoint_begin(const char *run_dir, const struct checkpoint_parts *parts, int64_t step, struct hash_sum sum[], struct err *e);
/* Each rank: what set[] holds of the shared sets, to the disk. host: it lies in host memory, and any thread may call. */
bool checkpoint_write(const char *run_dir, const struct tensors set[], int sets, bool host, int64_t step, struct hash_sum sum[],
                      struct err *e);
/* Rank 0, any thread, when all have written and with their sums: the rest of the files; renames to run_dir/step_NNNNNN, points latest at it, then
 * removes the oldest beyond keep. Folders of later steps (damaged ones, which the run went back behind) do not count and stay. On failure
 * nothing that was there is touched. */
bool checkpoint_commit(const char *run_dir, const struct checkpoint_parts *parts, const struct progress_state *at, int64_t keep,
                       const struct hash_sum sum[], struct err *e);
/* Rank 0: a save that came to nothing. */
void checkpoint_discard(const char *run_dir, int64_t step);
/* The newest whole checkpoint of a run as "run_dir/step_NNNNNN" (caller frees); *dir NULL: the run has none. Damaged ones are named in the
 * log and passed over; false when all are damaged. */
bool checkpoint_newest(const char *run_dir, char **dir, struct err *e);
/* Is the folder a checkpoint? (Other folders of weights have no manifest.json.) */
bool checkpoint_is(const char *dir);
/* Every file is there with its size and digest, and the manifest itself is as it was written. Checkpoints whose digests are all XXH3-128, as
 * older versions wrote them, are read as well. */
bool checkpoint_verify(const char *dir, struct err *e);
/* Reads of a verified checkpoint, on every rank, what its tensors hold: the sets, and the weights into w too. */
bool checkpoint_load(const char *dir, struct tensors w, struct tensors set[], struct progress_state *at, struct err *e);
/* Puts right what a save that was interrupted at any point left, in a run that goes on from the checkpoint at step now (0: from none):
 * unfinished folders go, latest points at it, and the oldest beyond keep are removed. */
bool checkpoint_clean(const char *run_dir, int64_t now, int64_t keep, struct err *e);
#endif
