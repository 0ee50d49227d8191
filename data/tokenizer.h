/* data/tokenizer.h - text to token ids and back: a SentencePiece model (the library does the work) or the built-in byte tokenizer.
 *
 * The byte tokenizer: 0 <pad>, 1 <s>, 2 </s>, 3 + b for byte b: 259 ids, for models without a tokenizer file.
 * Encoding adds no begin or end token: a document's frame is the caller's (data/chat.h).
 */
#ifndef DATA_TOKENIZER_H
#define DATA_TOKENIZER_H
#include "core/err.h"
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

struct tokenizer;

/* A growing list of ids. Zero it before use; free with ids_free(). */
struct ids {
    int32_t *at;
    int64_t n, room;
};
void ids_push(struct ids *v, int32_t id);
void ids_append(struct ids *v, const int32_t *at, int64_t n);
void ids_free(struct ids *v);

/* path: "byte", a SentencePiece .model file, or a folder (model or checkpoint) that holds tokenizer.model or a byte tokenizer's
 * tokenizer_config.json. Safe to use from several threads once open. */
bool tokenizer_open(struct tokenizer **t, const char *path, struct err *e);
void tokenizer_close(struct tokenizer *t);
/* Does a folder hold a tokenizer that tokenizer_open() would take? */
bool tokenizer_in_dir(const char *dir);
/* Writes what tokenizer_open(dir) and Hugging Face need: tokenizer.model (or none for bytes) and tokenizer_config.json. */
bool tokenizer_save(const struct tokenizer *t, const char *dir, struct err *e);

int32_t tokenizer_vocab(const struct tokenizer *t);
int32_t tokenizer_bos(const struct tokenizer *t); /* -1: none */
int32_t tokenizer_eos(const struct tokenizer *t); /* -1: none */
/* "byte" or the XXH3-128 of the model file: kept in .tok files, compared on training. */
const char *tokenizer_digest(const struct tokenizer *t);
/* The id of a piece by its exact name ("[INST]"), -1 when there is none. */
int32_t tokenizer_piece(const struct tokenizer *t, const char *piece);

/* Appends the ids of n bytes of valid UTF-8. */
void tokenizer_encode(const struct tokenizer *t, const char *text, size_t n, struct ids *out);
/* The text of ids, control pieces left out; the caller frees. *n (may be NULL): its bytes. Ids beyond the vocabulary: a broken contract. */
char *tokenizer_decode(const struct tokenizer *t, const int32_t *ids, int64_t n_ids, size_t *n);

#ifdef __cplusplus
}
#endif
#endif
