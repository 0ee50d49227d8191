/* data/select/words.h - the words of a text as they are compared between texts: what is left when case, spacing, punctuation and markup are taken away.
 *
 * A word is a run of letters, in lower case (ASCII), or a run of digits; an apostrophe inside a word and the commas of a number are taken out
 * ("Janet's" janets, "1,000" 1000); an ideograph is a word of its own. Signs are no words, nor is what LaTeX has in their place or for looks
 * (\le, \cdot, \frac, \left, \text, ...), so that a formula is the same words in any spelling; other commands are (\sqrt, √: sqrt).
 * Drawings ([asy] ... [/asy]) are passed over.
 * Words and not a tokenizer's tokens: these change with a space, a line break or bold type, and with the tokenizer.
 */
#ifndef DATA_SELECT_WORDS_H
#define DATA_SELECT_WORDS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

struct word {
    uint64_t hash;
    uint32_t at, n; /* its bytes in the text */
    bool number;    /* digits, or a number's name: "seven", "forty" */
    bool line;      /* the first of a line */
};
/* Zero it before the first use. */
struct words {
    struct word *at;
    int64_t n, room;
};
/* The words of n bytes (n < 2^32) of UTF-8; what w held goes. */
void words_of(struct words *w, const char *text, size_t n);
void words_free(struct words *w);

#ifdef __cplusplus
}
#endif
#endif
