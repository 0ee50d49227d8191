/* infer/math/expr.h - an answer in LaTeX or plain writing as a tree.
 *
 * The grammar is that of final answers: numbers, expressions, lists, tuples, intervals, sets, matrices, relations, words, units. Trees live
 * in one pool (struct math) and are freed with it. Sizes are bounded (bytes, tokens, nesting), so that hostile text costs no more
 * than a long answer; what is over a bound does not parse, and is then compared as text (equal.h).
 */
#ifndef INFER_MATH_EXPR_H
#define INFER_MATH_EXPR_H
#include <stdbool.h>
#include <stddef.h>
#ifdef __cplusplus
extern "C" {
#endif

enum { MATH_MAX_BYTES = 4096, MATH_MAX_TOKENS = 2048, MATH_MAX_DEPTH = 64, MATH_MAX_SIGNS = 4 };

enum math_op {
    /* scalars */
    MATH_NUM,   /* name: digits with at most one point, "(…)" around a repeating part; base */
    MATH_SYM,   /* name: "x", "q_0", "alpha", "f'", "pi", "e", "i", "infty" */
    MATH_ADD,   /* kids */
    MATH_MUL,   /* kids */
    MATH_NEG,   /* kid */
    MATH_DIV,   /* kids: over, under */
    MATH_POW,   /* kids: base, exponent */
    MATH_FN,    /* name; kids: arguments, the base of a logarithm or the index of a root second */
    MATH_SIGN,  /* kid with the sign that a +- stands for: number id of the answer; name "+" or, for -+, "-" */
    MATH_DEG,   /* kid with a degree sign */
    MATH_PCT,   /* kid with a percent sign */
    MATH_UNIT,  /* kid; name: the unit's words, powers and slashes in plain writing */
    MATH_RATIO, /* kids: a:b, a:b:c; base 1: it looks like a time of day */
    /* others */
    MATH_LIST,   /* kids, order does not matter */
    MATH_SET,    /* kids of \{ \} */
    MATH_TUPLE,  /* kids in brackets: open, close are ( [ or ) ] */
    MATH_MATRIX, /* rows x cols kids */
    MATH_UNION,  /* kids */
    MATH_MINUS,  /* kids: a set without another */
    MATH_REL,    /* kids: a chain; name: its relations, one character for each: = ~ (about) < > L G (<= >=) ! (not) i (in) */
    MATH_TEXT,   /* name: words, lower case, one space between */
};

struct math_node {
    enum math_op op;
    int n;
    struct math_node **kid;
    const char *name;
    int rows, cols, base, id;
    char open, close;
    bool paren; /* stood in brackets of its own */
};

struct math_block;
struct math {
    struct math_block *block; /* newest first */
    int signs;                /* of +- so far */
};
/* Zeroed memory that lives as long as the pool. */
void *math_alloc(struct math *m, size_t n);
void math_free(struct math *m);
struct math_node *math_new(struct math *m, enum math_op op, int n, ...);

/* The tree of an answer; NULL: it is none that we can read. commas: "1,234" is a list of two numbers, not one. Any number of trees may be
 * read into one pool. */
struct math_node *math_parse(struct math *m, const char *text, bool commas);
/* The answer as words: lower case, LaTeX's dress and punctuation around words gone, one space between. */
const char *math_words(struct math *m, const char *text);

#ifdef __cplusplus
}
#endif
#endif
