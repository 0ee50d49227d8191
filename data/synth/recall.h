/* data/synth/recall.h - documents that ask what a fixed-size state can keep: facts among words, then questions about them.
 *
 *     lamp river qx=m stone ... <- words and facts, as many as the length wants
 *     ?qx=                      <- the value of a key: "m"
 *     ?3.                       <- the third word (facts count as words, and are never asked for): "stone"
 *
 * Keys are two letters and no two facts of a document share one; values are one letter of 26, so guessing gets 3.8%. A document is a function
 * of (seed, index) and its settings.
 */
#ifndef DATA_SYNTH_RECALL_H
#define DATA_SYNTH_RECALL_H
#include "data/tokenizer.h"
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

enum recall_ask { RECALL_KEY, RECALL_WORD, RECALL_BOTH };
extern const char *const recall_ask_names[]; /* "key", "word", "both", NULL */

enum { RECALL_KEYS = 26 * 26, RECALL_FEWEST = 16 /* tokens of a document */ };

struct recall_settings {
    int64_t tokens;    /* of the words and facts, at most: the longest that fits */
    int64_t facts;     /* 1 .. RECALL_KEYS; fewer when the document has fewer than two words for each */
    int64_t questions; /* different ones; fewer when there is no more to ask */
    enum recall_ask ask;
    int64_t farthest; /* words are asked for up to this one */
};

struct recall_question {
    char ask[32], answer[16];
    bool key;        /* else a word */
    double position; /* where the answer stands in the document: 0 begin, 1 end */
};
struct recall_doc {
    char *text; /* without the questions, ends in a newline */
    int64_t tokens, facts;
    struct recall_question *question;
    int64_t n;
};

/* tok: whose tokens are counted. The caller recall_free()s. */
void recall_make(struct recall_doc *d, const struct recall_settings *s, const struct tokenizer *tok, uint64_t seed, uint64_t index);
void recall_free(struct recall_doc *d);

#ifdef __cplusplus
}
#endif
#endif
