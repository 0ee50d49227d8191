/* data/lengths.c - see lengths.h. */
#include "data/lengths.h"
#include <stdlib.h>
#include <string.h>

void lengths_add(struct lengths *l, int64_t n)
{
    if (n >= l->room) {
        int64_t room = 2 * n + 1024;
        l->count = xrealloc(l->count, (size_t)room * sizeof *l->count);
        memset(l->count + l->room, 0, (size_t)(room - l->room) * sizeof *l->count);
        l->room = room;
    }
    l->count[n]++;
    l->docs++;
    l->tokens += n;
}

void lengths_free(struct lengths *l)
{
    free(l->count);
    *l = (struct lengths){0};
}

int64_t lengths_at(const struct lengths *l, double share)
{
    if (l->docs == 0)
        return 0;
    int64_t n = 0, seen = l->count[0];
    while (n + 1 < l->room && (double)seen < share * (double)l->docs)
        seen += l->count[++n];
    while (l->count[n] == 0 && n + 1 < l->room)
        n++;
    return n;
}

int64_t lengths_bin(int bin)
{
    return bin == 0 ? 0 : (int64_t)(bin % 2 ? 64 : 96) << (bin - 1) / 2;
}

/* Documents and tokens of a bin. */
static void in_bin(const struct lengths *l, int bin, int64_t *docs, int64_t *tokens)
{
    *docs = *tokens = 0;
    for (int64_t n = lengths_bin(bin); n < lengths_bin(bin + 1) && n < l->room; n++) {
        *docs += l->count[n];
        *tokens += l->count[n] * n;
    }
}

json_t *lengths_json(const struct lengths *l)
{
    json_t *histogram = json_array();
    for (int bin = 0; lengths_bin(bin) < l->room; bin++) {
        int64_t docs, tokens;
        in_bin(l, bin, &docs, &tokens);
        if (docs > 0)
            json_array_append_new(histogram,
                                  json_pack("{s:I, s:I, s:I, s:I}", "from", (json_int_t)lengths_bin(bin), "to",
                                            (json_int_t)lengths_bin(bin + 1), "documents", (json_int_t)docs, "tokens", (json_int_t)tokens));
    }
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "documents", (json_int_t)l->docs, "total", (json_int_t)l->tokens,
                     "shortest", (json_int_t)lengths_at(l, 0), "half", (json_int_t)lengths_at(l, 0.5), "p90",
                     (json_int_t)lengths_at(l, 0.9), "p99", (json_int_t)lengths_at(l, 0.99), "longest", (json_int_t)lengths_at(l, 1),
                     "histogram", histogram);
}
