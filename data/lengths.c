/* data/lengths.c - see lengths.h. */
#include "data/lengths.h"
#include <stdlib.h>
#include <string.h>

void lengths_add(struct lengths *l, int64_t n)
{
    int64_t page = n / LENGTHS_PAGE;
    if (page >= l->pages) {
        l->page = xrealloc(l->page, (size_t)(page + 1) * sizeof *l->page);
        memset(l->page + l->pages, 0, (size_t)(page + 1 - l->pages) * sizeof *l->page);
        l->pages = page + 1;
    }
    if (!l->page[page])
        l->page[page] = xcalloc(LENGTHS_PAGE, sizeof *l->page[page]);
    l->page[page][n % LENGTHS_PAGE]++;
    l->docs++;
    l->tokens += n;
}

void lengths_free(struct lengths *l)
{
    for (int64_t i = 0; i < l->pages; i++)
        free(l->page[i]);
    free(l->page);
    *l = (struct lengths){0};
}

/* The first length from n on that a document has; -1: there is none. *docs: how many have it. */
static int64_t next_length(const struct lengths *l, int64_t n, int64_t *docs)
{
    for (int64_t page = n / LENGTHS_PAGE; page < l->pages; page++, n = page * LENGTHS_PAGE)
        for (int64_t i = n % LENGTHS_PAGE; l->page[page] && i < LENGTHS_PAGE; i++)
            if ((*docs = l->page[page][i]) > 0)
                return page * LENGTHS_PAGE + i;
    return -1;
}

int64_t lengths_at(const struct lengths *l, double share)
{
    int64_t longest = 0, seen = 0, docs;
    for (int64_t n = 0; (n = next_length(l, n, &docs)) >= 0; n++) {
        longest = n;
        seen += docs;
        if ((double)seen >= share * (double)l->docs)
            break;
    }
    return longest;
}

int64_t lengths_bin(int bin)
{
    return bin == 0 ? 0 : (int64_t)(bin % 2 ? 64 : 96) << (bin - 1) / 2;
}

/* Documents and tokens of a bin. */
static void in_bin(const struct lengths *l, int bin, int64_t *docs, int64_t *tokens)
{
    int64_t here;
    *docs = *tokens = 0;
    for (int64_t n = lengths_bin(bin); (n = next_length(l, n, &here)) >= 0 && n < lengths_bin(bin + 1); n++) {
        *docs += here;
        *tokens += here * n;
    }
}

json_t *lengths_json(const struct lengths *l)
{
    json_t *histogram = json_array();
    for (int bin = 0; lengths_bin(bin) < l->pages * LENGTHS_PAGE; bin++) {
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
