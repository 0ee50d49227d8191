/* data/pack.c - see pack.h.
 *
 * The open rows are kept sorted by the room they have left, as one array of 64-bit keys (room << 32 | row): a binary search finds the
 * best fit, ties going to the oldest row, and a row that takes a document moves down by a short memmove. The number of open rows is
 * bounded, so the array stays in the cache; when it is full, the row with the least room, which is the least likely to be of use, is
 * closed.
 */
#include "data/pack.h"
#include "core/err.h"
#include <string.h>

enum { OPEN_ROWS = 2048 };

struct open_rows {
    uint64_t key[OPEN_ROWS]; /* ascending */
    int n;
};

static uint64_t make_key(int64_t room, uint32_t row)
{
    return (uint64_t)room << 32 | row;
}

/* The first place from 0 on whose key is not below key. */
static int lower_bound(const struct open_rows *o, uint64_t key)
{
    int lo = 0, hi = o->n;
    while (lo < hi) {
        int mid = (lo + hi) / 2;
        if (o->key[mid] < key)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static void take_out(struct open_rows *o, int at)
{
    o->n--;
    memmove(o->key + at, o->key + at + 1, (size_t)(o->n - at) * sizeof *o->key);
}

static void put_in(struct open_rows *o, uint64_t key)
{
    if (o->n == OPEN_ROWS)
        take_out(o, 0);
    int at = lower_bound(o, key);
    memmove(o->key + at + 1, o->key + at, (size_t)(o->n - at) * sizeof *o->key);
    o->key[at] = key;
    o->n++;
}

/* The key at place `at` becomes a smaller one. */
static void move_down(struct open_rows *o, int at, uint64_t key)
{
    int to = lower_bound(o, key);
    memmove(o->key + to + 1, o->key + to, (size_t)(at - to) * sizeof *o->key);
    o->key[to] = key;
}

int64_t pack_best_fit(const int32_t *len, int64_t n, int32_t room, uint32_t *row_of)
{
    struct open_rows open = {.n = 0};
    uint32_t rows = 0;
    must(n >= 0 && n < UINT32_MAX);
    for (int64_t i = 0; i < n; i++) {
        must(len[i] >= 1 && len[i] <= room);
        int at = lower_bound(&open, make_key(len[i], 0));
        if (at == open.n) {
            row_of[i] = rows++;
            if (len[i] < room)
                put_in(&open, make_key(room - len[i], row_of[i]));
            continue;
        }
        int64_t left = (int64_t)(open.key[at] >> 32) - len[i];
        row_of[i] = (uint32_t)open.key[at];
        if (left > 0)
            move_down(&open, at, make_key(left, row_of[i]));
        else
            take_out(&open, at);
    }
    return rows;
}
