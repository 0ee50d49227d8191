/* model/state.h - the recurrent state of the sequences in flight: what decoding keeps instead of a KV cache.
 *
 * Slot i is one contiguous piece (layer by layer: the convolution's last K-1 inputs, then the SSD state), so a sequence is copied, saved
 * or moved by one copy, and its size does not depend on its length.
 */
#ifndef MODEL_STATE_H
#define MODEL_STATE_H
#include "core/arena.h"
#include "model/block.h"
#include "model/config.h"

struct model_state {
    char *base; /* device memory; NULL: sequences start from zero and their state is not kept */
    int32_t slots;
    int64_t slot_bytes;
    enum dtype type, ssd_type; /* of the convolution's inputs, of the SSD state */
};
int64_t state_slot_bytes(const struct model_config *c, enum dtype type, enum dtype ssd_type);
void state_layout(struct model_state *s, struct arena *mem, const struct model_config *c, int32_t slots, enum dtype type,
                  enum dtype ssd_type);
/* A sequence that has seen nothing. */
void state_zero(struct model_state s, int32_t slot);
/* A sequence into a slot of these or other states of the same model: its SSD state is rounded where the types differ. */
void state_copy(struct model_state to, int32_t to_slot, struct model_state from, int32_t from_slot, const struct model_config *c);
/* A layer's place in every slot; nothing when base is NULL. */
struct block_state state_layer(struct model_state s, const struct model_config *c, int32_t layer);
#endif
