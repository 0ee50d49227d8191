/* data/synth/text.c - see text.h. */
#include "data/synth/text.h"
#include "core/err.h"
#include "core/hash.h"
#include "core/rng.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int64_t draw_below(struct draw *r, int64_t n)
{
    return (int64_t)rng_below(r->seed, r->stream, r->n++, (uint64_t)n);
}

int64_t draw_between(struct draw *r, int64_t low, int64_t high)
{
    return low + draw_below(r, high - low + 1);
}

void put(struct text *t, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(t->at + t->n, t->room - t->n, fmt, args);
    va_end(args);
    if (n < 0 || (size_t)n >= t->room - t->n)
        die("a text of %zu bytes has no room for \"%s\"", t->room, fmt);
    t->n += (size_t)n;
}

bool synth_held_out(const char *problem)
{
    char hex[HASH_XXH3_HEX];
    hash_xxh3(problem, strlen(problem), hex);
    hex[8] = 0;
    return strtoul(hex, NULL, 16) % 10 == 0;
}

bool synth_chosen(const struct synth_choice *c, const char *name)
{
    for (int64_t i = 0; i < c->n; i++)
        if (strcmp(c->names[i], name) == 0)
            return true;
    return c->n == 0;
}
