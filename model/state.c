/* model/state.c - places inside a slot. */
#include "model/state.h"
#include "kernels/device.h"
#include "kernels/linear.h" /* mat_convert */

enum { PIECE_ALIGN = 256 };

static int64_t aligned(int64_t bytes)
{
    return (bytes + PIECE_ALIGN - 1) / PIECE_ALIGN * PIECE_ALIGN;
}

static int64_t conv_bytes(const struct model_config *c, enum dtype type)
{
    return aligned((c->conv - 1) * config_conv_dim(c) * dtype_size(type));
}

static int64_t layer_bytes(const struct model_config *c, enum dtype type, enum dtype ssd_type)
{
    return conv_bytes(c, type) + aligned(config_ssd_state(c) * dtype_size(ssd_type));
}

int64_t state_slot_bytes(const struct model_config *c, enum dtype type, enum dtype ssd_type)
{
    return c->layers * layer_bytes(c, type, ssd_type);
}

void state_layout(struct model_state *s, struct arena *mem, const struct model_config *c, int32_t slots, enum dtype type,
                  enum dtype ssd_type)
{
    *s = (struct model_state){NULL, slots, state_slot_bytes(c, type, ssd_type), type, ssd_type};
    s->base = arena_take(mem, (size_t)(slots * s->slot_bytes));
}

void state_zero(struct model_state s, int32_t slot)
{
    dev_zero(s.base + slot * s.slot_bytes, (size_t)s.slot_bytes);
}

void state_copy(struct model_state to, int32_t to_slot, struct model_state from, int32_t from_slot, const struct model_config *c)
{
    must(to.type == from.type);
    char *at = to.base + to_slot * to.slot_bytes, *source = from.base + from_slot * from.slot_bytes;
    if (to.ssd_type == from.ssd_type) {
        if (at != source)
            dev_copy(at, source, (size_t)to.slot_bytes);
        return;
    }
    int64_t conv = conv_bytes(c, to.type), rows = (int64_t)c->heads * c->headdim;
    for (int32_t l = 0; l < c->layers; l++) {
        dev_copy(at, source, (size_t)conv);
        mat_convert(mat_make(at + conv, to.ssd_type, rows, c->state), mat_make(source + conv, from.ssd_type, rows, c->state));
        at += layer_bytes(c, to.type, to.ssd_type);
        source += layer_bytes(c, from.type, from.ssd_type);
    }
}

struct block_state state_layer(struct model_state s, const struct model_config *c, int32_t layer)
{
    struct block_state b = {0};
    if (!s.base)
        return b;
    char *at = s.base + layer * layer_bytes(c, s.type, s.ssd_type);
    b.conv = (struct state_view){at, (int)s.type, s.slot_bytes / dtype_size(s.type)};
    b.ssd = (struct state_view){at + conv_bytes(c, s.type), (int)s.ssd_type, s.slot_bytes / dtype_size(s.ssd_type)};
    return b;
}
