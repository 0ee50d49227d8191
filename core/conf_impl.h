/* core/conf_impl.h - inside core: what conf.c (whole tables) and conf_set.c (one value at a time) share. */
#ifndef CORE_CONF_IMPL_H
#define CORE_CONF_IMPL_H
#include "core/conf.h"
#ifdef __cplusplus
extern "C" {
#endif

/* A list's elements, and its memory, are given back; the list is empty after. */
void conf_free_list(struct conf_list *l, const struct conf_field *f);
/* "an integer from 1 to 64": what a value of this setting has to be. */
void conf_expected(const struct conf_field *f, char *to, size_t n);
/* The command line's spelling of a key: '-' for '_', but in dotted keys, which are spelt as in the file. */
void conf_option(const char *key, char *to, size_t n);
/* No bounds are min == max; min alone (max < min) is a lower bound. */
bool conf_in_range(const struct conf_field *f, double x);

#ifdef __cplusplus
}
#endif
#endif
