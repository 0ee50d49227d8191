/* infer/loops.c - see loops.h. */
#include "infer/loops.h"
#include "core/err.h"
#include <stdlib.h>
#include <string.h>

void loop_open(struct loop *l, int64_t length)
{
    must(length == 0 || length >= LOOP_REPEATS);
    l->length = length;
    l->run = xcalloc((size_t)(length / LOOP_REPEATS) + 1, sizeof *l->run);
}

void loop_close(struct loop *l)
{
    free(l->run);
}

void loop_begin(struct loop *l)
{
    memset(l->run, 0, (size_t)(l->length / LOOP_REPEATS) * sizeof *l->run);
}

bool loop_found(struct loop *l, const int32_t *ids, int64_t n)
{
    const int32_t *last = ids + n - 1, token = *last, enough = (int32_t)l->length;
    int64_t most = l->length / LOOP_REPEATS, periods = most < n - 1 ? most : n - 1;
    int32_t found = 0;
    for (int64_t p = 1; p <= periods; p++) { /* a run stops counting when it is long enough for any period */
        int32_t run = last[-p] == token ? l->run[p - 1] + 1 : 0;
        run = run < enough ? run : enough;
        l->run[p - 1] = run;
        found |= run + (int32_t)p >= enough;
    }
    return found;
}
