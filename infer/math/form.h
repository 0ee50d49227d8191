/* infer/math/form.h - what an answer says, once labels, units, signs and relations are read: the forms that equal.c compares.
 *
 * "x = 5" is the scalar 5 with a label; "1 \pm \sqrt2" a list of two; "x \ge 5" an inequality, which is also a region; "(0,9)" a tuple, which
 * may also be an interval. Forms live in the pool of their trees.
 */
#ifndef INFER_MATH_FORM_H
#define INFER_MATH_FORM_H
#include "infer/math/unit.h"
#include "infer/math/value.h"
#ifdef __cplusplus
extern "C" {
#endif

enum math_kind {
    FORM_SCALAR,   /* x */
    FORM_TEXT,     /* x->name */
    FORM_TUPLE,    /* items in open, close */
    FORM_SET,      /* items, each counts once */
    FORM_LIST,     /* items */
    FORM_MATRIX,   /* items, x->rows by x->cols */
    FORM_REGION,   /* a union of items; minus: the first without the others */
    FORM_EQUATION, /* x = 0 */
    FORM_LESS,     /* x > 0, or x >= 0 unless strict */
    FORM_UNEQUAL,  /* x != 0 */
};
struct math_form {
    enum math_kind kind;
    const struct math_node *x;
    unsigned signs;                /* which of its +- are minus */
    const struct math_node *label; /* what stood left of "="; NULL: nothing */
    bool loose;                    /* the label is a sum ("m+n = 33"): an answer may have one, a right answer's is an equation */
    bool percent, measured;        /* a percent sign; unit holds */
    bool strict, minus;
    struct math_unit unit;
    int n;
    struct math_form **item;
    const struct math_node *small, *large; /* FORM_LESS: small < large */
};
/* NULL: it says nothing that we can compare. */
struct math_form *math_form_of(struct math *m, const struct math_node *x, unsigned signs);
/* A labelled scalar as the equation label - x = 0. */
const struct math_node *math_difference(struct math *m, const struct math_node *a, const struct math_node *b);

/* ---- regions: sets of real numbers with known ends ---- */

struct math_piece {
    struct math_value low, high;
    bool low_in, high_in;
};
struct math_region {
    struct math_piece *piece; /* disjoint, rising */
    int n;
};
/* False: the form is no such set, or its ends are no numbers. math_region_clear() in any case. */
bool math_region_of(struct math_region *r, const struct math_form *f, struct math_point *at);
bool math_region_same(const struct math_region *a, const struct math_region *b);
void math_region_clear(struct math_region *r);

#ifdef __cplusplus
}
#endif
#endif
