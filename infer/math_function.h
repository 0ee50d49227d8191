/* infer/math_function.h - between math_value.c (arithmetic) and math_function.c (functions). */
#ifndef INFER_MATH_FUNCTION_H
#define INFER_MATH_FUNCTION_H
#include "infer/math_value.h"
#ifdef __cplusplus
extern "C" {
#endif

/* A function of the reader's: its arguments are evaluated here. */
bool math_call(const struct math_node *x, struct math_point *at, struct math_value *v);

/* Counts work; false when it is used up. */
bool math_spend(struct math_point *at, int64_t work);
/* Takes v->z as the value: finite, in range, rounding's imaginary part gone. False: it is not. */
bool math_settle(struct math_value *v);
bool math_is_real(const struct math_value *v);
/* Binary exponent of the larger part. */
long math_exponent(mpc_srcptr z);
/* a = a^e */
bool math_power_of(struct math_value *a, struct math_value *e, struct math_point *at);

#ifdef __cplusplus
}
#endif
#endif
