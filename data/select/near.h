/* data/select/near.h - texts in nearly the same words: each is the set of its runs of three words, and an index finds those that share most of theirs.
 *
 * Candidates come by MinHash (data/select/minhash.h), the exact Jaccard similarity decides. A text is about 2 kB in memory.
 */
#ifndef DATA_SELECT_NEAR_H
#define DATA_SELECT_NEAR_H
#include "data/select/table.h"
#include "data/select/words.h"
#ifdef __cplusplus
extern "C" {
#endif

/* The runs of a text as numbers that differ, in rising order. Zero it before the first use. */
struct runs {
    uint32_t *at;
    int64_t n, room;
};
/* What r held goes. alike: any number, also a spelt one, counts as one and the same word, so that new numbers in old wording are the same runs. */
void runs_of(struct runs *r, const struct words *w, bool alike);
void runs_free(struct runs *r);

/* Zero it before the first use. */
struct near {
    struct runs *text; /* [n]; of one with too few runs to tell (NEAR_FEWEST) none are kept, and it is never found */
    int32_t n, room;
    struct table bands; /* a band's key -> the first link of its chain */
    struct near_link {
        int32_t text, next;
    } * link;
    int32_t n_link, link_room;
};
enum { NEAR_FEWEST = 10 };
/* The text becomes number x->n. */
void near_add(struct near *x, const struct runs *r);
/* The text that is most alike, the first of equals, if its similarity is `least` or more; -1: there is none. From any thread. */
int32_t near_find(const struct near *x, const struct runs *r, double least, double *similarity);
void near_free(struct near *x);

#ifdef __cplusplus
}
#endif
#endif
