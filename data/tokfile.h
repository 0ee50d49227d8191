/* data/tokfile.h - a .tok shard: tokenised documents, memory-mapped, with a digest of everything inside.
 *
 * Layout (little endian): struct tokfile_header (256 bytes), then 64-byte aligned sections: token ids (uint16 when the vocabulary
 * fits, else int32), the learnt mask (1 bit a token), document starts int64 [n + 1], learnt counts int64 [n].
 * The header has its own checksum; the digest covers every byte after it, padding included.
 *
 * A token is learnt when its mask bit is set; it can be a target only when a token of its document stands before it, so learnt counts
 * leave out the first token of each document.
 *
 * The sections are not compressed: a loader jumps to any document at any step, and the mapping then costs a page, shared by all ranks of
 * a host. zstd -3 would make real ids (32768-piece vocabulary; textbooks, worked problems, code) 2.2 to 2.9 times smaller, from 2 bytes a
 * token to 0.7-0.9, too little to be worth a table of blocks and a decompressed copy in every process.
 */
#ifndef DATA_TOKFILE_H
#define DATA_TOKFILE_H
#include "core/err.h"
#include "core/hash.h"
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

struct tokfile;

/* Reading. Truncated, foreign or damaged files are refused. verify: also hash the whole content and recount it (a pass over the file):
 * any changed byte is found, and no id is outside 0..tokfile_max_id(). */
bool tokfile_open(struct tokfile **f, const char *path, bool verify, struct err *e);
void tokfile_close(struct tokfile *f);
int64_t tokfile_docs(const struct tokfile *f);
int64_t tokfile_tokens(const struct tokfile *f);
int64_t tokfile_learnt(const struct tokfile *f);
int32_t tokfile_max_id(const struct tokfile *f);        /* largest id present; -1 when there are no documents */
const char *tokfile_tokenizer(const struct tokfile *f); /* tokenizer digest; "" when made from input_ids alone */
const char *tokfile_digest(const struct tokfile *f);    /* XXH3-128 of the content */
int64_t tokfile_doc_len(const struct tokfile *f, int64_t doc);
int64_t tokfile_doc_learnt(const struct tokfile *f, int64_t doc);
/* The same of the document cut to its first n tokens. */
int64_t tokfile_learnt_in(const struct tokfile *f, int64_t doc, int64_t n);
/* Copies n tokens of a document from its token `from` on; learnt (may be NULL) one byte each. */
void tokfile_read(const struct tokfile *f, int64_t doc, int64_t from, int64_t n, int32_t *ids, uint8_t *learnt);

/* Writing: documents are appended in order; memory stays small (sections go through temporary files beside the output).
 * tokenizer_digest: at most 71 characters; NULL or "" when there is none. vocab: ids must be in 0..vocab-1; INT32_MAX when unknown. */
struct tokfile_out;
bool tokfile_out_open(struct tokfile_out **o, const char *path, const char *tokenizer_digest, int32_t vocab, struct err *e);
/* n >= 1 tokens, learnt one byte each. */
bool tokfile_out_add(struct tokfile_out *o, const int32_t *ids, const uint8_t *learnt, int64_t n, struct err *e);
/* Digest of the content into hex. Frees o whether it works or not. */
bool tokfile_out_commit(struct tokfile_out *o, char hex[HASH_XXH3_HEX], struct err *e);
/* Leaves no file behind. NULL is fine. */
void tokfile_out_abort(struct tokfile_out *o);

#ifdef __cplusplus
}
#endif
#endif
