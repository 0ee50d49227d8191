/* infer/math/function.h - between value.c (arithmetic) and function.c (functions). */
#ifndef INFER_MATH_FUNCTION_H
#define INFER_MATH_FUNCTION_H
#include "infer/math/value.h"
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
/* Elementary functions of z in place, at MATH_BITS bits: computed from MPFR's real ones by their definitions, because the complex library rounds
 * correctly, for which it takes as many digits as a hostile argument needs. The argument is in math_settle()'s range; false: it is too small or
 * too large for the function. */
bool math_exp(mpc_ptr z);
bool math_log(mpc_ptr z);
/* sin, cos, tan, csc, sec, cot, sinh, cosh, tanh, arcsin, arccos, arctan, exp; false also for an unknown name or a pole. */
bool math_elementary(mpc_ptr z, const char *name);
/* a = a^e */
bool math_power_of(struct math_value *a, struct math_value *e, struct math_point *at);

#ifdef __cplusplus
}
#endif
#endif
