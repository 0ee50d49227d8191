/* model/weights.h - values for the weights: random, from files, into files. */
#ifndef MODEL_WEIGHTS_H
#define MODEL_WEIGHTS_H
#include "model/params.h"
#include "model/safetensors.h"

/* master: the same weights in float32, or NULL; it may be w itself when w is F32. Both receive the values, where they hold a part only,
 * that part. */

/* As state-spaces/mamba initialises them: embeddings normal(0, 0.02); projections and convolution uniform(+-1/sqrt(fan_in)), out_proj
 * divided by sqrt(layers); dt log-uniform in [0.001, 0.1]; A uniform in [1, 16]; D and norms 1. A function of seed, name and place. */
void weights_random(struct tensors w, struct tensors *master, const struct model_config *c, uint64_t seed);
/* From a folder or file of safetensors, names as Hugging Face, mamba_ssm or Mistral spell them. A missing tensor, another shape or dtype
 * is refused by name; a tensor that the model does not have, too. Reads no more than w and master hold. */
bool weights_load(struct tensors w, struct tensors *master, const char *path, struct err *e);
/* Where saving takes the numbers from: n of parameter p from the first-th on, as float32. */
typedef void weights_read(void *from, const struct param *p, int64_t first, int64_t n, float *out);
weights_read weights_read_tensors; /* from: a struct tensors that holds them */

/* One file of all parameters, "F32" or "BF16" for all, a piece of a tensor in host memory at a time. compress: as zstd, whatever the
 * path's ending. */
bool weights_save_file(const struct param_table *t, weights_read *read, void *from, enum dtype file_type, const char *path, bool compress,
                       struct err *e);
/* What such a file begins with, *bytes long; then the values follow in the table's order, without gaps, *data bytes. The caller frees. */
char *weights_head(const struct param_table *t, enum dtype file_type, size_t *bytes, int64_t *data);
/* model.safetensors in dir, or shards of at most max_shard bytes (0: one file) with model.safetensors.index.json. */
bool weights_save(const struct param_table *t, weights_read *read, void *from, const char *dir, enum dtype file_type, int64_t max_shard,
                  struct err *e);
/* The tensor of every parameter in an open file or folder, to[t->n]; all there, of the right shapes and of readable types. */
bool weights_match(const struct param_table *t, const struct safetensors *s, const struct st_tensor **to, struct err *e);
#endif
