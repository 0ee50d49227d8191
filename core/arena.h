/* core/arena.h - one block of memory handed out from the front, freed as a whole.
 *
 * An arena with no base measures: arena_take() only adds up. So a layout is
 * written once, as a function that takes an arena, and is run twice: first to
 * learn the bytes, then to place. The sizes and the pointers cannot disagree.
 * base may be device memory: an arena never touches what it hands out.
 */
#ifndef CORE_ARENA_H
#define CORE_ARENA_H
#include <stddef.h>
#ifdef __cplusplus
extern "C" {
#endif

struct arena {
    char *base;  /* NULL: measuring */
    size_t size; /* bytes at base */
    size_t used; /* bytes handed out; the answer of a measuring run */
};

enum { ARENA_ALIGN = 256 };

/* n bytes, aligned to 256 relative to base; NULL while measuring. Dies when placing past the end. */
void *arena_take(struct arena *a, size_t n);

#ifdef __cplusplus
}
#endif
#endif
