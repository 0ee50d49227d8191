/* core/arena.c - see arena.h. */
#include "core/arena.h"
#include "core/err.h"
#include <stdint.h>

void *arena_take(struct arena *a, size_t n)
{
    must(n <= SIZE_MAX - ARENA_ALIGN && a->used <= SIZE_MAX - ARENA_ALIGN - n);
    /* Start and size are both rounded, so that `used` of a measuring run is the size that the placing run needs. */
    size_t at = a->used;
    size_t end = (at + n + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
    if (a->base && end > a->size)
        die("arena of %zu bytes is full: %zu bytes asked for with %zu in use; it was measured with another layout", a->size, n, at);
    a->used = end;
    return a->base ? a->base + at : NULL;
}
