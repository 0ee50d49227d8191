/* data/chat.h - from a record of prepare's or generate's input to token ids and a mask of learnt tokens.
 *
 * Records (one JSON object; other keys are ignored, a null counts as absent; keys of more than one form are an error):
 *   {"text"}                    everything is learnt.
 *   {"prompt", "completion"}    the completion is learnt. Both are rendered text, so no template applies. As the published training
 *                               code does it, prompt + completion is tokenised as one text, and the first len(ids(prompt)) tokens are
 *                               the prompt. "<think>" may end the prompt or begin the completion, but not both.
 *   {"messages": [{"role", "content"}, ...]}   the assistant's turns are learnt.
 *   {"input_ids", "labels"}     taken as it is. A label is -100 (not learnt) or the id at its place; without labels all is learnt.
 * The first three begin with the begin token and end with the end token, where the tokenizer has them. The end token is learnt, save
 * after a conversation whose last turn is not the assistant's.
 *
 * Templates of a conversation, learnt text underlined:
 *   plain    question "\n" answer "\n" question "\n" answer END     contents, a newline after each but the last
 *                          ~~~~~~~~~~~               ~~~~~~~~~~
 *   chatml   "<|im_start|>user\n" question "<|im_end|>\n<|im_start|>assistant\n" answer "<|im_end|>" "\n" END
 *                                                                                ~~~~~~~~~~~~~~~~~~~ (the last newline with END, too)
 *   mistral  BEGIN [INST] question [/INST] answer END [INST] question [/INST] answer END       as mistral-common's v3: the system's
 *                                          ~~~~~~~~~~                         ~~~~~~~~~~       messages go in front of the last question;
 *            "tools" of the record as [AVAILABLE_TOOLS] before it, "tool_calls" of a turn as [TOOL_CALLS], role "tool" as [TOOL_RESULTS].
 * A prompt is the same up to where the assistant's answer would begin, so that it is a prefix of the training document.
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
    int64_t learnt_room;
};
void document_free(struct document *d);
/* The tokens from `from` to the end are learnt or not. Marks go with the ids: after every group of ids that is appended. */
void document_mark(struct document *d, int64_t from, bool learnt);
/* Keeps the first n tokens. */
void document_cut(struct document *d, int64_t n);

/* One training record. tok may be NULL when the record has input_ids. vocab: ids must be below it (0: not checked). d must be zeroed
 * or reused; it is overwritten. */
bool chat_document(struct document *d, const json_t *record, const struct tokenizer *tok, enum chat_template t, int32_t vocab,
                   struct err *e);
/* A prompt of generate: {"prompt"} (begin token + text), {"messages"} (templated up to where the assistant's answer starts) or
 * {"input_ids"} (as they are). out is overwritten. */
bool chat_prompt(struct ids *out, const json_t *record, const struct tokenizer *tok, enum chat_template t, int32_t vocab, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
