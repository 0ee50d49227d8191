/* infer/math/compare.h - between compare.c (scalars and equations at points) and equal.c (the forms around them). */
#ifndef INFER_MATH_COMPARE_H
#define INFER_MATH_COMPARE_H
#include "infer/math/form.h"
#ifdef __cplusplus
extern "C" {
#endif

struct comparison {
    struct math m;
    int64_t work; /* what is left */
    bool log10;   /* how \log without a base is read */
};
/* A scalar and the choice of its +-. */
struct scalar {
    const struct math_node *x;
    unsigned signs;
};
bool math_same_scalar(struct comparison *c, struct scalar a, struct scalar b);
/* a = k b for a constant k; positive: for one > 0. */
bool math_proportional(struct comparison *c, struct scalar a, struct scalar b, bool positive);
/* The value at the given point; the caller math_value_init()s and clears v. */
bool math_at(struct comparison *c, struct scalar a, int point, struct math_value *v);

#ifdef __cplusplus
}
#endif
#endif
