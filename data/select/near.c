/* data/select/near.c - see near.h. */
#include "data/select/near.h"
#include "core/err.h"
#include "data/select/minhash.h"
#include <stdlib.h>
#include <string.h>

enum { RUN = 3 };                                   /* words of a run */
static const uint64_t BASE = 0x9e3779b97f4a7c15u;   /* of the polynomial in a run's words */
static const uint64_t NUMBER = 0x1d8e4e27c47d124fu; /* what any number is in a run, where they are alike */

void runs_of(struct runs *r, const struct words *w, bool alike)
{
    if (r->room < w->n)
        r->at = xrealloc(r->at, (size_t)(r->room = 2 * w->n) * sizeof *r->at);
    int64_t n = 0, words = 0;
    uint64_t last[RUN] = {0};
    bool number = false;
    for (int64_t i = 0; i < w->n; i++) {
        if (alike && w->at[i].number && number)
            continue; /* "3.5" and "twenty-five" are one number */
        number = w->at[i].number;
        memmove(last, last + 1, sizeof last - sizeof *last);
        last[RUN - 1] = alike && number ? NUMBER : w->at[i].hash;
        uint64_t h = 0;
        for (int k = 0; k < RUN; k++)
            h = (h ^ last[k]) * BASE;
        if (++words >= RUN)
            r->at[n++] = (uint32_t)(h >> 32);
    }
    r->n = minhash_set(r->at, n);
}

void runs_free(struct runs *r)
{
    free(r->at);
    *r = (struct runs){0};
}

static void add_link(struct near *x, uint64_t key)
{
    if (x->n_link == x->link_room)
        x->link = xrealloc(x->link, (size_t)(x->link_room = 2 * x->link_room + 1024) * sizeof *x->link);
    int32_t *head = table_put(&x->bands, key, -1);
    x->link[x->n_link] = (struct near_link){x->n, *head};
    *head = x->n_link++;
}

void near_add(struct near *x, const struct runs *r)
{
    uint64_t key[MINHASH_BANDS];
    if (x->n == x->room)
        x->text = xrealloc(x->text, (size_t)(x->room = 2 * x->room + 256) * sizeof *x->text);
    struct runs *own = &x->text[x->n];
    *own = (struct runs){0};
    if (r->n >= NEAR_FEWEST) {
        *own = (struct runs){xmalloc((size_t)r->n * sizeof *own->at), r->n, r->n};
        memcpy(own->at, r->at, (size_t)r->n * sizeof *own->at);
        minhash_keys(own->at, own->n, key);
        for (int band = 0; band < MINHASH_BANDS; band++)
            add_link(x, key[band]);
    }
    x->n++;
}

int32_t near_find(const struct near *x, const struct runs *r, double least, double *similarity)
{
    uint64_t key[MINHASH_BANDS];
    int32_t best = -1;
    if (r->n < NEAR_FEWEST)
        return -1;
    *similarity = least;
    minhash_keys(r->at, r->n, key);
    for (int band = 0; band < MINHASH_BANDS; band++)
        for (int32_t at = table_get(&x->bands, key[band]); at >= 0; at = x->link[at].next) {
            int32_t text = x->link[at].text;
            double s = minhash_similarity(x->text[text].at, x->text[text].n, r->at, r->n);
            if (s > *similarity || (s == *similarity && (best < 0 || text < best))) {
                *similarity = s;
                best = text;
            }
        }
    return best;
}

void near_free(struct near *x)
{
    for (int32_t i = 0; i < x->n; i++)
        runs_free(&x->text[i]);
    free(x->text);
    free(x->link);
    table_free(&x->bands);
    *x = (struct near){0};
}
