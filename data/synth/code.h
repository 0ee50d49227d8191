/* data/synth/code.h - programming concepts and the problems composed of them.
 *
 * A concept turns a value (a list of integers, a string, an integer) into another: a clause of the problem, lines of Python, and a function
 * here that computes the same. A problem is one to four of them in a row, as a program from standard input to standard output or as a
 * function. Its tests are computed here and its solution is the Python; that both agree is checked by running it (tests/test_synth_code.c).
 * Every step of a problem matters: without it, some test would come out differently.
 */
#ifndef DATA_SYNTH_CODE_H
#define DATA_SYNTH_CODE_H
#include "data/synth/problem.h"
#ifdef __cplusplus
extern "C" {
#endif

enum code_type { CODE_LIST, CODE_STRING, CODE_INT };
enum { CODE_LONGEST = 100 /* numbers of a list */, CODE_TEXT = 200 /* bytes of a string with its NUL */ };
struct code_value {
    enum code_type type;
    int64_t list[CODE_LONGEST], n; /* CODE_LIST */
    char text[CODE_TEXT];          /* CODE_STRING */
    int64_t number;                /* CODE_INT */
};

struct code_concept {
    const char *name;
    enum code_type from, to;
    const char *clause; /* an order, without a full stop; $k is the parameter */
    const char *python; /* lines over the variables a (list), s (string), n (integer) */
    int low, high;      /* of the parameter; both 0: none */
    int hard;           /* 1 to 3 */
    /* out is zeroed but for its type; false: in is outside what the clause says anything about, or out would be too large. */
    bool (*apply)(const struct code_value *in, int64_t k, struct code_value *out);
};
/* Each ends with a name NULL. */
extern const struct code_concept code_lists[], code_texts[], code_numbers[];
/* All of them, by position; NULL beyond the last. */
const struct code_concept *code_concept_at(int i);

/* Problem index of the stream (level, held_out, seed). Its truth is as LiveCodeBench's records are: question_content, starter_code, metadata,
 * public_test_cases, private_test_cases. */
void synth_code_make(struct synth_problem *p, int level, bool held_out, const struct synth_choice *choice, uint64_t seed, uint64_t index);

#ifdef __cplusplus
}
#endif
#endif
