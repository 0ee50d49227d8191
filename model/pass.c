/* model/pass.c - the layout of a pass's input. */
#include "model/pass.h"

void pass_layout(struct pass *p, struct arena *a, int64_t max_tokens, int32_t max_docs, int32_t chunk, bool targets)
{
    *p = (struct pass){0};
    seqs_layout(&p->s, a, max_tokens, max_docs, chunk);
    p->ids = arena_take(a, sizeof(int32_t) * (size_t)max_tokens);
    if (targets) {
        p->target = arena_take(a, sizeof(int32_t) * (size_t)max_tokens);
        p->weight = arena_take(a, sizeof(float) * (size_t)max_tokens);
    }
}

struct pass pass_on(const struct pass *host, const struct pass *device)
{
    struct pass p = *device;
    p.s = seqs_on(&host->s, &device->s);
    return p;
}
