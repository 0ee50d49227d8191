/* data/chat.h - from a record of prepare's or generate's input to token ids and a mask of learnt tokens.
 *
 * Records (DESIGN, command lines): {"text"}, {"prompt","completion"}, {"messages"}, {"input_ids","labels"}.
 */
#ifndef DATA_CHAT_H
#define DATA_CHAT_H
#include "core/json.h"
#include "data/tokenizer.h"
#ifdef __cplusplus
extern "C" {
#endif

enum chat_template { CHAT_PLAIN, CHAT_MISTRAL, CHAT_CHATML };
extern const char *const chat_template_names[]; /* "plain", "mistral", "chatml", NULL */

struct document {
    struct ids ids;
    uint8_t *learnt; /* [ids.n] 1: the token is a target */
    int64_t n_learnt;
};
void document_free(struct document *d);

/* One training record. tok may be NULL when the record has input_ids. vocab: ids must be below it (0: not checked). d must be zeroed
 * or reused; it is overwritten. */
bool chat_document(struct document *d, const json_t *record, const struct tokenizer *tok, enum chat_template t, int32_t vocab,
                   struct err *e);
/* A prompt of generate: {"prompt"} (begin token + text), {"messages"} (templated up to where the assistant's answer starts) or {"input_ids"} (as they are). */
bool chat_prompt(struct ids *out, const json_t *record, const struct tokenizer *tok, enum chat_template t, int32_t vocab, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
