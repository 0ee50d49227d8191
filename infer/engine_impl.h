/* infer/engine_impl.h - what the files of the engine share: engine.c (memory), engine_read.c (prompts), engine_step.c (sequences). */
#ifndef INFER_ENGINE_IMPL_H
#define INFER_ENGINE_IMPL_H
#include "infer/engine.h"
#include "kernels/device.h"
#include "model/model.h"

/* What a step reads: filled on the host, copied to the device at once. */
struct step_in {
    struct pass pass;
    uint64_t *stream; /* [rows] */
    int64_t *index;   /* [rows] */
};

/* State slots. Sequences: [slots], SSD state in settings.state_type. Read: the prompts', then the base's; SSD state in F32. Rows of seen:
 * the sequences', then those of read. */
struct engine {
    struct model_config config;
    struct engine_settings settings;
    struct engine_memory memory; /* work: of the block, */
    int64_t host_bytes;          /* and of what is beside it, where host and device share their memory */
    struct param_table table;
    char *block; /* the device's memory; all below is in it */

    struct tensors weights;
    struct model_state state, read;
    struct block_acts *layer;
    struct acts acts;
    uint32_t *seen;     /* [slots + read's][seen_words] tokens that occurred in each slot */
    int64_t seen_words; /* of a slot */
    void *sampling_room;
    struct pass piece;   /* of a reading; targets with settings.logprobs */
    struct step_in step; /* of a step */
    int32_t *token;      /* [slots] drawn by a step, */
    float *check;        /* [slots] and behind them the rows' losses of token 0: finite if all logits are */

    /* The host's side of the same blocks, and their bytes. */
    struct pass host_piece;
    struct step_in host_step;
    char *host_piece_block, *host_step_block, *piece_block, *step_block, *host_out;
    size_t piece_bytes, step_bytes, out_bytes;

    int32_t slots, live, prompts;
    int64_t max_piece;
    bool based;                         /* the base has read something */
    int32_t last_token[ENGINE_PROMPTS]; /* of the prompts read last */
    uint32_t *host_seen, *base_seen;    /* [seen_words]; of the base */
    struct engine_seq *seq;
    int32_t *row_slot, *row_len; /* [slots] of a step: its rows' slots; ones */
    struct dev_graph *graph;     /* [slots + 1] of a step of so many rows */
};
#endif
