/* data/chat_mistral.h - Mistral's instruct format, version 3 (facts: mistralai/mistral-common, instruct tokenizer v3 and its normaliser). */
#ifndef DATA_CHAT_MISTRAL_H
#define DATA_CHAT_MISTRAL_H
#include "data/chat.h"
#ifdef __cplusplus
extern "C" {
#endif

/* Appends the conversation to d (without the begin token), the assistant's turns and their end tokens marked as learnt. messages: a list
 * of objects that each have a role; tools: the record's list of tools or NULL. */
bool chat_mistral(struct document *d, const json_t *messages, const json_t *tools, const struct tokenizer *tok, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
