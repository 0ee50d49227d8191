/* infer/math/value.h - what a scalar tree is worth at a point: an exact rational as long as the operations allow it, else a complex number of
 * MATH_BITS bits.
 *
 * Variables get values that depend on their name and the point's number only, so that two trees can be compared without knowing of each
 * other. Work is counted, not timed: a verdict does not depend on the machine.
 */
#ifndef INFER_MATH_VALUE_H
#define INFER_MATH_VALUE_H
#include "infer/math/expr.h"
#include <mpc.h> /* mpc_t; brings mpfr_t and mpq_t */
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

enum { MATH_BITS = 384 };
/* What one comparison may cost at most, in units of about a microsecond. */
enum { MATH_WORK = 60000 };

struct math_value {
    bool exact;   /* q holds, else z */
    int infinite; /* 1, -1: plus, minus infinity; then neither holds */
    mpq_t q;
    mpc_t z;
};
void math_value_init(struct math_value *v);
void math_value_clear(struct math_value *v);

struct math_point {
    int number;     /* of the point */
    bool integers;  /* variables are small whole numbers, else positive real ones */
    bool mixed;     /* real ones of both signs */
    bool log10;     /* \log without a base is that of 10, else of e */
    unsigned signs; /* bit id: the +- of that id is a minus */
    int64_t *work;  /* what is left; evaluation fails when it is used up */
    /* Results. */
    bool left_reals; /* a root, a logarithm or an arc function of a real was not real */
    long scale;      /* binary exponent of the largest inexact summand: rounding is relative to it */
};
/* False: undefined at this point (a division by zero), no scalar, too large, or too much work. */
bool math_eval(const struct math_node *x, struct math_point *at, struct math_value *v);

/* Equal, exactly if both are exact, else but for rounding; scale: the larger one of the two evaluations. */
bool math_same(const struct math_value *a, const struct math_value *b, long scale);
/* As text for keys: "3/4", "1.414213562373095048802", "0.5+0.8660254037844386467637i". The caller frees. */
char *math_print(const struct math_value *v);
/* The value as z, whatever it was. */
void math_inexact(struct math_value *v);

/* Variables? Whole ones only (floor, factorials, (-1)^n)? An absolute value of a variable? */
struct math_traits {
    bool variables, whole, absolute;
};
struct math_traits math_traits_of(const struct math_node *x);

#ifdef __cplusplus
}
#endif
#endif
