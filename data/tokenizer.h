/* data/tokenizer.h - text to token ids and back: a SentencePiece model (the library does the work) or the built-in byte tokenizer.
 *
 * The byte tokenizer: 0 <pad>, 1 <s>, 2 </s>, 3 + b for byte b: 259 ids, for models without a tokenizer file.
 * Encoding adds no begin or end token: a document's frame is the caller's (data/chat.h).
 *
 * Names in a text such as "<s>" or "[INST]" are ordinary text, as SentencePiece has it. Atomic, wherever they stand, are only the
 * user-defined pieces of a model, its <|im_start|> and <|im_end|> when it has them as control pieces, and the tokens that a folder's
 * tokenizer_config.json (added_tokens_decoder) adds beyond the model's pieces.
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
/* Writes what tokenizer_open(dir) and Hugging Face need: tokenizer.model (none for bytes) and tokenizer_config.json. */
bool tokenizer_save(const struct tokenizer *t, const char *dir, struct err *e);

int32_t tokenizer_vocab(const struct tokenizer *t);
int32_t tokenizer_bos(const struct tokenizer *t); /* -1: none */
int32_t tokenizer_eos(const struct tokenizer *t); /* -1: none */
/* "byte" or the XXH3-128 of the model file (and of the added tokens, if any): kept in .tok files, compared on training. */
const char *tokenizer_digest(const struct tokenizer *t);
/* The id of a piece by its exact name ("[INST]"), -1 when there is none. */
int32_t tokenizer_piece(const struct tokenizer *t, const char *piece);
/* The name of a control token (begin, end, [INST], ...), which decoding leaves out; NULL for an id that stands for text. */
const char *tokenizer_control(const struct tokenizer *t, int32_t id);

/* Appends the ids of n bytes of valid UTF-8, the beginning of a text: SentencePiece models with a dummy prefix see a space before it. */
void tokenizer_encode(const struct tokenizer *t, const char *text, size_t n, struct ids *out);
/* The same for text that goes on from what came before: no space is put in front. */
void tokenizer_encode_more(const struct tokenizer *t, const char *text, size_t n, struct ids *out);

/* Do the first n bytes of a text always keep their ids, whatever follows? Then encode(text) is encode(first n) ++ encode_more(the rest).
 * True after every byte of the byte tokenizer, and after characters that no piece goes on from (a newline in Mistral's models). */
bool tokenizer_cuts(const struct tokenizer *t, const char *text, size_t n);

/* The text of ids, control tokens left out; the caller frees, *n (may be NULL) is its bytes, a NUL follows. It is always valid UTF-8:
 * every byte of an incomplete or wrong sequence becomes U+FFFD. So the text of a prefix of ids is a prefix of the text of all of
 * them, save for up to three U+FFFD at its end where a character is cut. tokenizer_decode() takes the dummy prefix's space off the
 * first piece; tokenizer_decode_more() keeps it: text(a ++ b) == decode(a) ++ decode_more(b) when a holds a piece of text and no
 * character straddles. Ids beyond the vocabulary: a broken contract. */
char *tokenizer_decode(const struct tokenizer *t, const int32_t *ids, int64_t n_ids, size_t *n);
char *tokenizer_decode_more(const struct tokenizer *t, const int32_t *ids, int64_t n_ids, size_t *n);

#ifdef __cplusplus
}
#endif
#endif
