/* kernels/embed.h - rows of a table by index, and the gradient of the table. */
#ifndef KERNELS_EMBED_H
#define KERNELS_EMBED_H
#include "kernels/mat.h"
#include <stddef.h>
#ifdef __cplusplus
extern "C" {
#endif

/* y[i] = w[ids[i]].  y [T, D], w [V, D], ids [T] on the device. Types may differ: the value is converted. Also gathers rows of activations. */
void embed_fwd(mat y, mat w, const int32_t *ids);
/* dw[ids[i]] += dy[i], summed in the order of i for every row.  dw [V, D] f32 or bf16 (each touched row is rounded once), dy [T, D]. */
void embed_bwd(mat dw, mat dy, const int32_t *ids, void *scratch);
size_t embed_scratch(int64_t tokens, int64_t vocab);

#ifdef __cplusplus
}
#endif
#endif
