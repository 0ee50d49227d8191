/* infer/math/number.h - numbers in people's and models' writing, read exactly: no floats, any size.
 *
 * Read: 1,234 · 1{,}234 · 1,\!234 · $18 · \$18.00 · -3 · −3 · .5 · 3/4 · \frac{3}{4} · \frac34 · ½ · 2 1/2 · 2\frac12 · 6.0e3 ·
 * 7.8\times 10^2 · 033. Dropped: currency, percent and degree signs (20% is 20: a unit), units in letters, spacing commands.
 * Not numbers: digits inside a word (Q3), exponents, 12:30, 1.2.3, 1/2/2024, 2^10, anything over zero.
 */
#ifndef INFER_MATH_NUMBER_H
#define INFER_MATH_NUMBER_H
#include <stdbool.h>
#ifdef __cplusplus
extern "C" {
#endif

struct number {
    char *text;  /* as written, without LaTeX's dress */
    char *canon; /* "-7/2" in lowest terms, "42": equal numbers have equal strings */
};
void number_free(struct number *v);

/* The text is one number, with at most units and an "x =" around it? */
bool number_single(struct number *v, const char *text);
/* The first or the last number in running text. */
bool number_first(struct number *v, const char *text);
bool number_last(struct number *v, const char *text);

#ifdef __cplusplus
}
#endif
#endif
