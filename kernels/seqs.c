/* kernels/seqs.c - the host side of kernels/seqs.h, the same for every backend. */
#include "kernels/seqs.h"
#include "core/err.h"

int64_t seqs_max_chunks(int64_t max_tokens, int32_t max_n, int32_t chunk)
{
    int64_t n = max_tokens / chunk + max_n;
    return n < max_tokens ? n : max_tokens;
}

void seqs_layout(struct seqs *s, struct arena *a, int64_t max_tokens, int32_t max_n, int32_t chunk)
{
    *s = (struct seqs){.chunk = chunk};
    s->start = arena_take(a, sizeof(int32_t) * ((size_t)max_n + 1));
    s->first_chunk = arena_take(a, sizeof(int32_t) * ((size_t)max_n + 1));
    s->chunk_doc = arena_take(a, sizeof(int32_t) * (size_t)seqs_max_chunks(max_tokens, max_n, chunk));
    s->slot = arena_take(a, sizeof(int32_t) * (size_t)max_n);
}

void seqs_plan(struct seqs *s, const int32_t *len, int32_t n, const int32_t *slot)
{
    int64_t row = 0;
    int32_t chunks = 0;
    s->n = n;
    s->max_len = 0;
    for (int32_t d = 0; d < n; d++) {
        must(len[d] > 0);
        s->start[d] = (int32_t)row;
        s->first_chunk[d] = chunks;
        s->slot[d] = slot ? slot[d] : d;
        for (int32_t at = 0; at < len[d]; at += s->chunk)
            s->chunk_doc[chunks++] = d;
        row += len[d];
        if (len[d] > s->max_len)
            s->max_len = len[d];
    }
    must(row <= INT32_MAX);
    s->start[n] = (int32_t)row;
    s->first_chunk[n] = chunks;
    s->tokens = row;
    s->n_chunk = chunks;
}
