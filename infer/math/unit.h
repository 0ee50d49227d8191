/* infer/math/unit.h - units of measure, so that 2 hours are 120 minutes and 15 cm are not 15 m. Words that are no known unit count as none:
 * "17 apples" is 17. */
#ifndef INFER_MATH_UNIT_H
#define INFER_MATH_UNIT_H
#include <stdbool.h>
#ifdef __cplusplus
extern "C" {
#endif

enum { UNIT_LENGTH, UNIT_TIME, UNIT_MASS, UNIT_MONEY, UNIT_ANGLE, UNIT_DIMENSIONS };
struct math_unit {
    int power[UNIT_DIMENSIONS];
    unsigned long over, under; /* over/under of the base unit: metre, second, gram, cent, degree */
};
/* "cm^2", "square inches", "km/h", "dollars/hour". False: not all of it is known. */
bool math_unit_read(struct math_unit *u, const char *words);
bool math_unit_alike(const struct math_unit *a, const struct math_unit *b);

#ifdef __cplusplus
}
#endif
#endif
