/* infer/math/parse.h - between the files of the reader of answers: spell.c (one spelling), lex.c (tokens), parse.c (expressions),
 * answer.c (what stands around them). */
#ifndef INFER_MATH_PARSE_H
#define INFER_MATH_PARSE_H
#include "infer/math/expr.h"
#ifdef __cplusplus
extern "C" {
#endif

enum math_token_kind {
    TOK_END,
    TOK_NUM,  /* text: digits and a point */
    TOK_ID,   /* text: a letter or the name of a Greek one */
    TOK_FN,   /* text: sin, log, sqrt, frac, ... */
    TOK_WORD, /* text: letters that are no product of variables */
    TOK_SIGN, /* c: the character itself, or one of below */
};
enum {
    SIGN_LE = 256,
    SIGN_GE,
    SIGN_NE,
    SIGN_ABOUT,
    SIGN_IN,
    SIGN_CUP,
    SIGN_SETMINUS,
    SIGN_PM,
    SIGN_MP,
    SIGN_SET_OPEN,
    SIGN_SET_CLOSE,
    SIGN_DEG,
    SIGN_MONEY,
    SIGN_AND,
    SIGN_BAR_OPEN,
    SIGN_BAR_CLOSE,
    SIGN_FLOOR_OPEN,
    SIGN_FLOOR_CLOSE,
    SIGN_CEIL_OPEN,
    SIGN_CEIL_CLOSE,
    SIGN_BEGIN, /* text: the environment */
    SIGN_FINISH,
    SIGN_ROW, /* \\ */
    SIGN_EMPTY,
};
struct math_token {
    enum math_token_kind kind;
    int c;
    const char *text;
    bool space; /* something blank stands before it */
};
/* The text in one spelling; at most eight times as long. */
char *math_plain(struct math *m, const char *text);
/* The tokens, ended by TOK_END; NULL: over a bound, or a command that we do not know. */
struct math_token *math_lex(struct math *m, const char *text, bool commas);

struct parser {
    struct math *m;
    struct math_token *at; /* the next token; the last is TOK_END */
    int depth;
    bool in_bars, money; /* inside |...|; a currency's sign was read */
};
static inline bool is_sign(const struct parser *p, int c)
{
    return p->at->kind == TOK_SIGN && p->at->c == c;
}
static inline bool eat(struct parser *p, int c)
{
    return is_sign(p, c) ? p->at++, true : false;
}

/* Each reads one thing at p->at and moves behind it; NULL: it is not there, or malformed. */
struct math_node *math_sum(struct parser *p);
struct math_node *math_power(struct parser *p);
struct math_node *math_primary(struct parser *p);
/* ( ) [ ] \{ \}, a matrix, the empty set: the token at p->at opens it. */
struct math_node *math_bracket(struct parser *p);

struct math_node *math_leaf(struct math *m, enum math_op op, const char *name);
/* Digits by themselves. */
bool math_is_whole(const struct math_node *x);
/* x with one more kid. */
struct math_node *math_grow(struct math *m, struct math_node *x, struct math_node *kid);

#ifdef __cplusplus
}
#endif
#endif
