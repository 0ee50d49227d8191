/* infer/stops.c - see stops.h. */
#include "infer/stops.h"
#include <stdlib.h>
#include <string.h>

struct stops stops_make(const struct tokenizer *tok, struct conf_strs strings)
{
    struct stops s = {tok, strings, 0};
    for (int64_t i = 0; i < strings.n; i++) {
        size_t n = strlen(strings.at[i]);
        must(n > 0);
        s.longest = n > s.longest ? n : s.longest;
    }
    return s;
}

static bool has_text(const struct stops *s, int32_t id)
{
    return id < tokenizer_vocab(s->tok) && !tokenizer_control(s->tok, id); /* a model's vocabulary may be padded beyond its tokenizer's */
}

bool stops_begins_text(const struct stops *s, const int32_t *ids, int64_t n)
{
    return n == 0 || !has_text(s, ids[n - 1]);
}

char *stops_text(const struct stops *s, bool begins, const int32_t *ids, int64_t n, size_t *n_text)
{
    int32_t *known = xmalloc((size_t)(n + 1) * sizeof *known);
    int64_t k = 0;
    for (int64_t i = 0; i < n; i++)
        if (has_text(s, ids[i]))
            known[k++] = ids[i];
    char *text = (begins ? tokenizer_decode : tokenizer_decode_more)(s->tok, known, k, n_text);
    free(known);
    return text;
}

/* Byte at which the first stop string in the text begins, n: there is none. */
static size_t find(const struct stops *s, const char *text, size_t n)
{
    size_t first = n;
    for (int64_t i = 0; i < s->strings.n; i++) {
        const char *stop = s->strings.at[i], *at = memmem(text, n, stop, strlen(stop));
        if (at && (size_t)(at - text) < first)
            first = (size_t)(at - text);
    }
    return first;
}

char *stops_hit(const struct stops *s, bool begins, const int32_t *ids, int64_t n, size_t *n_text)
{
    if (s->strings.n == 0 || n == 0)
        return NULL;
    /* A string that the last token completes begins less than `longest` bytes in front of it, so in one of as many tokens with text; a
     * character that the window's first token continues takes at most 3 more. */
    int64_t start = n;
    for (size_t texts = 0; start > 0 && texts < s->longest + 4;)
        texts += has_text(s, ids[--start]);
    size_t bytes, at;
    char *text = stops_text(s, begins && start == 0, ids + start, n - start, &bytes);
    bool seen = find(s, text, bytes) < bytes;
    free(text);
    if (!seen)
        return NULL;
    text = stops_text(s, begins, ids, n, &bytes);
    at = find(s, text, bytes);
    if (at == bytes) {
        free(text);
        return NULL;
    }
    text[at] = '\0';
    *n_text = at;
    return text;
}
