/* infer/math/strings.h - the strings of the paper's scoring script: its normalisations, and the few operations on strings that they are made of.
 * Functions that take a char * consume it: they free it or return it changed. The caller frees what they return. See paper.h. */
#ifndef INFER_MATH_STRINGS_H
#define INFER_MATH_STRINGS_H
#include "core/err.h"
#include <stdlib.h>
#ifdef __cplusplus
extern "C" {
#endif

/* Qwen2.5-Math's; consumes s. */
char *strip_string(char *s);
/* Lewkowycz et al. (2022), appendix D. */
char *normalize_final_answer(const char *s);

/* Behind the last place where word stands; NULL: nowhere. */
const char *str_after_last(const char *s, const char *word);
bool str_starts(const char *s, const char *with);
char *str_replace(char *s, const char *from, const char *to);
/* Without blanks, or without the characters of set, at both ends. */
char *str_strip(char *s);
char *str_strip_of(char *s, const char *set);
/* Without the characters of set anywhere. */
char *str_without(char *s, const char *set);
/* In place: without c at the end. */
void str_drop_last(char *s, char c);
/* Letters, digits, "_", and bytes of letters beyond ASCII. */
bool str_is_word(char c);

struct str_list {
    char **at;
    size_t n;
};
struct str_list str_split(const char *s, const char *separator);
void str_list_drop_blank(struct str_list *l);
void str_list_free(struct str_list *l);

#ifdef __cplusplus
}
#endif
#endif
