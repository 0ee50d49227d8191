/* data/synth/math.h - mathematical concepts and the problems composed of them.
 *
 * A concept is a noun phrase with parameters ("the greatest common divisor of $a and $b"), the ranges of these by size, and a function that
 * writes the worked lines and gives the value. A problem is one to three of them in a row, each value the first parameter of the next:
 * "Let A be the number of positive divisors of 360. Find the remainder when A^5 is divided by 7." A concept is one entry of a table of its
 * area, in data/synth_NAME.c, and its small functions.
 */
#ifndef DATA_SYNTH_MATH_H
#define DATA_SYNTH_MATH_H
#include "data/synth/problem.h"
#ifdef __cplusplus
extern "C" {
#endif

enum { MATH_PARAMETERS = 4, MATH_SIZES = 3 };

/* Lowest terms, den > 0. */
struct ratio {
    int64_t num, den;
};

struct math_concept {
    const char *name;
    const char *phrase[2]; /* $a .. $d are the parameters; the second may be NULL */
    const char *plan;      /* how it is done, for the rationale */
    struct {
        int32_t low, high[MATH_SIZES];
    } range[MATH_PARAMETERS]; /* of parameters, by size; from the first with high 0 on there are none */
    int64_t most;             /* the first parameter may be an earlier value, from its low up to this; 0: never */
    /* Makes the parameters fit each other (p[0] stays when it is given); false: they cannot. NULL: any do. */
    bool (*adjust)(struct draw *r, int64_t *p, bool given);
    struct ratio (*solve)(struct text *lines, const int64_t *p);
};

/* By area; each ends with a name NULL. */
extern const struct math_concept math_number[], math_algebra[], math_series[], math_counting[], math_geometry[];
/* All of them, by position; NULL beyond the last. */
const struct math_concept *math_concept_at(int i);

struct math_step {
    const struct math_concept *concept;
    int64_t p[MATH_PARAMETERS];
    struct ratio value;
};
struct math_steps {
    struct math_step at[SYNTH_MOST];
    int n;
};
/* Problem index of the stream (level, held_out, seed): a function of these and of the choice. how (may be NULL): its steps. */
void synth_math_make(struct synth_problem *p, int level, bool held_out, const struct synth_choice *choice, uint64_t seed, uint64_t index,
                     struct math_steps *how);

/* ---- for the tables ---- */
struct ratio math_ratio(int64_t num, int64_t den);
static inline struct ratio math_whole(int64_t v)
{
    return (struct ratio){v, 1};
}
int64_t math_gcd(int64_t a, int64_t b);
/* n > 1 as primes and exponents; returns how many. */
enum { MATH_PRIMES = 16 };
int math_factor(int64_t n, int64_t *prime, int *exponent);
/* Writes "360 = 2^3*3^2*5" and a newline, and does the same. */
int math_put_factors(struct text *lines, int64_t n, int64_t *prime, int *exponent);
int64_t math_choose(int64_t n, int64_t k);
int64_t math_raised(int64_t a, int64_t n);

#ifdef __cplusplus
}
#endif
#endif
