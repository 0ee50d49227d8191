/* infer/math/equal.h - is an answer the right one? The mathematics decides, with the leniencies of usage: units, currency, percent and degree
 * signs, thousands separators and a label ("x =") may be left out; lists and sets have no order; words have no case.
 *
 * Numbers are compared as exact rationals where they are, else with 256 bits; expressions at points that depend on nothing but the
 * variables' names. A decimal of ten or more digits counts as what it rounds. What cannot be read is compared as text.
 * Cost is bounded by counted work, about 0.1 s at worst; what would cost more is not equal.
 */
#ifndef INFER_MATH_EQUAL_H
#define INFER_MATH_EQUAL_H
#include <stdbool.h>
#ifdef __cplusplus
extern "C" {
#endif

/* how: why or why not, static. */
bool math_equal(const char *gold, const char *answer, const char **how);
/* |gold - answer| <= tolerance, all three plain numbers ("0.1")? */
bool math_within(const char *gold, const char *answer, const char *tolerance);
/* Answers that mean the same have the same key. The caller frees. */
char *math_key(const char *answer);

#ifdef __cplusplus
}
#endif
#endif
