/* infer/stops.h - the text of an answer, and the strings that end one. */
#ifndef INFER_STOPS_H
#define INFER_STOPS_H
#include "core/conf.h" /* conf_strs */
#include "data/tokenizer.h"
#ifdef __cplusplus
extern "C" {
#endif

struct stops {
    const struct tokenizer *tok; /* NULL: answers have no text */
    struct conf_strs strings;    /* none is empty; borrowed */
    size_t longest;              /* bytes */
};
struct stops stops_make(const struct tokenizer *tok, struct conf_strs strings);

/* Does an answer that follows these ids begin a text of its own (a dummy prefix's space is not part of it), or does it go on? It begins
 * one after nothing but a control token, such as the begin token or [/INST]. */
bool stops_begins_text(const struct stops *s, const int32_t *ids, int64_t n);
/* The text of n ids, n_text bytes and a NUL; ids without text (control tokens, ids beyond the tokenizer's) add nothing. The caller frees. */
char *stops_text(const struct stops *s, bool begins, const int32_t *ids, int64_t n, size_t *n_text);
/* Call after every id. Did the last one complete a stop string, wherever tokens cut it? Then the text in front of the first, as above;
 * else NULL. Costs the decoding of about as many ids as the longest stop string has bytes, however long the answer is. */
char *stops_hit(const struct stops *s, bool begins, const int32_t *ids, int64_t n, size_t *n_text);

#ifdef __cplusplus
}
#endif
#endif
