/* infer/saved.h - state files: what a model keeps of a text, saved, to go on from later.
 *
 *     512 bytes      one line of JSON and spaces: "promptcot_mamba_state" (the version), "bytes" of the file, "model" (digest of weights and
 *                    shape), "dtype" of the weights, "tokens" of the text, "tail", "chain"
 *     int32 [chunk]  the text's last "tail" tokens, 1 .. chunk of them, then zeros
 *     uint32 [words] the vocabulary's tokens that occur in front of the tail, a bit each (the repetition penalty reads it)
 *     the rest       the state in front of the tail, as it lies in a slot (model/state.h): the convolution's inputs as activations beside such
 *                    weights (dev_activations), the SSD state in float32
 *     33 bytes       XXH3-128 of all that, a newline
 *
 * The state stands at a multiple of the model's chunk, and the tokens behind it are read again with what follows: so a text that goes on from
 * a file is cut where it is cut when it is read whole, and its numbers are the same. The size depends on the model, its type and the
 * backend, not on the text.
 */
#ifndef INFER_SAVED_H
#define INFER_SAVED_H
#include "core/file.h"
#include "model/config.h"
#include <stddef.h>
#ifdef __cplusplus
extern "C" {
#endif

enum { SAVED_DIGEST = 33 };
struct saved {
    int64_t tokens; /* of the text, tail and all */
    int64_t tail;   /* of them in ids */
    int32_t *ids;   /* [chunk] */
    uint64_t chain; /* infer/requests.h: of the tokens in front of the tail */
    uint32_t *seen; /* [words] */
    size_t words;
    void *state;
    size_t bytes;
    char digest[SAVED_DIGEST]; /* of the file */
};
/* Room for a state of this model. words, bytes: infer/engine.h. */
void saved_make(struct saved *s, const struct model_config *c, size_t words, size_t bytes);
void saved_free(struct saved *s);
/* model: a word for weights and shape; type: of the weights. Sets digest. The file is whole, but aside: path is what it was until the caller's
 * file_out_commit(*out). False: nothing is left of it. */
bool saved_write(struct file_out **out, struct saved *s, const char *path, const struct model_config *c, enum dtype type, const char *model,
                 struct err *e);
/* A file that is cut short, damaged, or of another model or type is refused. saved_free() it. */
bool saved_read(struct saved *s, const char *path, const struct model_config *c, enum dtype type, const char *model, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
