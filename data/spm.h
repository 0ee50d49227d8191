/* data/spm.h - libsentencepiece through a C interface: what data/tokenizer.c needs of it and nothing else. */
#ifndef DATA_SPM_H
#define DATA_SPM_H
#include "data/tokenizer.h"
#ifdef __cplusplus
extern "C" {
#endif

struct spm;

/* model: the n bytes of a .model file; they are copied. NULL when they are no SentencePiece model, and why says what the library said. */
struct spm *spm_open(const char *model, size_t n, struct err *why);
void spm_close(struct spm *s);

int32_t spm_size(const struct spm *s);
int32_t spm_bos(const struct spm *s);                     /* -1: none */
int32_t spm_eos(const struct spm *s);                     /* -1: none */
int32_t spm_find(const struct spm *s, const char *piece); /* -1: none */
const char *spm_piece(const struct spm *s, int32_t id);
bool spm_is_control(const struct spm *s, int32_t id);
bool spm_is_byte(const struct spm *s, int32_t id);

/* start: the text begins here, so that a model with a dummy prefix puts a space in front of it (and takes that space off again in
 * decoding). Otherwise the text goes on from what came before. Safe to call from several threads. */
void spm_encode(const struct spm *s, bool start, const char *text, size_t n, struct ids *out);
/* The caller frees; there is a NUL after the *n bytes. */
char *spm_decode(const struct spm *s, bool start, const int32_t *ids, int64_t n_ids, size_t *n);

#ifdef __cplusplus
}
#endif
#endif
