/* Composed problems of mathematics: every step's value is found again here by counting, trying or GMP, never by the way in which the library
 * solves it; statements name the numbers that are solved; the worked lines hold. */
#include "core/err.h"
#include "data/synth/math.h"
#include "infer/math/equal.h"
#include "tests/test.h"
#include <ctype.h>
#include <gmp.h>

/* ---- the second solver: name -> value from the parameters ---- */

typedef struct ratio again_fn(const int64_t *p);
#define AGAIN(name, ...)                                                                                                                   \
    static struct ratio name(const int64_t *p)                                                                                             \
    {                                                                                                                                      \
        int64_t v = 0;                                                                                                                     \
        __VA_ARGS__                                                                                                                        \
        return (struct ratio){v, 1};                                                                                                       \
    }
#define FOR(i, from, to) for (int64_t i = (from); i <= (to); i++)

static bool is_prime(int64_t n)
{
    for (int64_t d = 2; d * d <= n; d++)
        if (n % d == 0)
            return false;
    return n > 1;
}
static int64_t common(int64_t a, int64_t b) /* by trying all */
{
    int64_t best = a ? a : b;
    FOR(d, 1, a < b && a ? a : b)
    if (a % d == 0 && b % d == 0)
        best = d;
    return best;
}
static int64_t bin(int64_t n, int64_t k)
{
    mpz_t v;
    mpz_init(v);
    mpz_bin_uiui(v, (unsigned long)n, (unsigned long)k);
    int64_t small = mpz_fits_slong_p(v) ? mpz_get_si(v) : -1;
    mpz_clear(v);
    return small;
}
static int64_t powm(int64_t a, int64_t b, int64_t m)
{
    mpz_t v;
    mpz_init_set_si(v, a);
    mpz_t mod;
    mpz_init_set_si(mod, m);
    mpz_powm_ui(v, v, (unsigned long)b, mod);
    int64_t small = mpz_get_si(v);
    mpz_clear(v);
    mpz_clear(mod);
    return small;
}
/* num / den, compared with a value by cross products. */
#define RATIO(name, top, bottom)                                                                                                           \
    static struct ratio name(const int64_t *p)                                                                                             \
    {                                                                                                                                      \
        return (struct ratio){top, bottom};                                                                                                \
    }

AGAIN(gcd, v = common(p[0], p[1]);)
AGAIN(lcm, for (v = p[0]; v % p[1]; v += p[0]);)
AGAIN(divisors, FOR(d, 1, p[0]) v += p[0] % d == 0;)
AGAIN(sigma, FOR(d, 1, p[0]) if (p[0] % d == 0) v += d;)
AGAIN(largest_prime, FOR(d, 2, p[0]) if (p[0] % d == 0 && is_prime(d)) v = d;)
AGAIN(
    totient, FOR(d, 1, p[0]) {
        int64_t a = p[0], b = d;
        while (b) {
            int64_t c = a % b;
            a = b;
            b = c;
        }
        v += a == 1;
    })
AGAIN(primes, FOR(n, 2, p[0]) v += is_prime(n);)
AGAIN(remainder_of, for (v = p[0]; v >= p[1]; v -= p[1]);)
AGAIN(power_mod, v = powm(p[0], p[1], p[2]);)
AGAIN(inverse, FOR(x, 1, p[1] - 1) if (p[0] % p[1] * x % p[1] == 1) v = x;)
AGAIN(units, v = powm(p[0], p[1], 10);)
AGAIN(chinese, while (v % p[1] != p[0] || v % p[3] != p[2]) v++;)
AGAIN(
    trailing_zeros, mpz_t f; mpz_init(f); FOR(n, 1, p[0]) {
        int64_t m = n;
        while (m % 5 == 0) {
            m /= 5;
            v++;
        }
    } if (p[0] <= 3000) {
        mpz_fac_ui(f, (unsigned long)p[0]); /* the number itself */
        v = 0;
        while (mpz_divisible_ui_p(f, 10)) {
            mpz_divexact_ui(f, f, 10);
            v++;
        }
    } mpz_clear(f);)
AGAIN(either, FOR(n, 1, p[0]) v += n % p[1] == 0 || n % p[2] == 0;)

static struct ratio digit_sum(const int64_t *p)
{
    mpz_t n;
    mpz_init_set_si(n, p[0]);
    char *text = mpz_get_str(NULL, (int)p[1], n);
    int64_t v = 0;
    for (const char *c = text; *c; c++)
        v += *c - '0';
    free(text);
    mpz_clear(n);
    return (struct ratio){v, 1};
}

AGAIN(linear, while (p[1] * v + p[2] != p[0]) v++;)
AGAIN(system_x, while (v - (p[0] - v) != p[1]) v++;)
AGAIN(roots, FOR(x, 0, p[0]) if (x * x - p[0] * x + p[1] == 0) v = x;)
AGAIN(absolute, FOR(x, p[1] - p[0] - 3, p[1] + p[0] + 3) v += llabs(x - p[1]) <= p[0];)
AGAIN(composition, int64_t g = p[0] * p[0] - p[3]; v = p[1] * g + p[2];)
AGAIN(polynomial, v = p[0] * p[0] * p[0] - p[1] * p[0] * p[0] + p[2] * p[0] - p[3];)
RATIO(percent, p[0] * p[1], 100)
RATIO(two_changes, p[0] * (100 + p[1]) * (100 - p[2]), 10000)
RATIO(fraction_of, p[0] * p[1], p[2])
RATIO(fraction_sum, p[0] * p[3] + p[2] * p[1], p[1] * p[3])
RATIO(share, p[0] * (p[1] > p[2] ? p[1] : p[2]), p[1] + p[2])
RATIO(average, p[0] + p[1] + p[2] + p[3], 4)
RATIO(speed, p[0], p[1])
RATIO(together, p[0] * p[1], p[0] + p[1])

/* From the roots themselves, in floating point. */
static struct ratio root_squares(const int64_t *p)
{
    double d = sqrt((double)(p[0] * p[0] - 4 * p[1])), x = ((double)p[0] + d) / 2, y = ((double)p[0] - d) / 2;
    return (struct ratio){llround(x * x + y * y), 1};
}

AGAIN(arithmetic, v = p[1]; FOR(i, 2, p[0]) v += p[2] - p[1];)
AGAIN(
    arithmetic_sum, int64_t t = p[1]; FOR(i, 1, p[0]) {
        v += t;
        t += p[2] - p[1];
    })
AGAIN(geometric_sum, int64_t t = 1; FOR(i, 1, p[0]) t *= p[2]; v = p[1] * (t - 1) / (p[2] - 1);)
AGAIN(recurrence, int64_t t = 1; FOR(i, 2, p[0]) t *= p[2]; v = t * p[1] + p[3] * (t - 1) / (p[2] - 1);)
AGAIN(squares, FOR(i, 1, p[0]) v += i * i;)
AGAIN(multiples, FOR(i, 1, p[0]) v += i % p[1] == 0 ? i : 0;)
static struct ratio fibonacci(const int64_t *p)
{
    mpz_t a, b; /* u(n) = F(n-2) u(1) + F(n-1) u(2) */
    mpz_init(a);
    mpz_init(b);
    mpz_fib2_ui(b, a, (unsigned long)(p[0] - 1));
    int64_t v = mpz_get_si(a) * p[1] + mpz_get_si(b) * p[2];
    mpz_clear(a);
    mpz_clear(b);
    return (struct ratio){v, 1};
}
static struct ratio telescope(const int64_t *p)
{
    mpq_t sum, term;
    mpq_init(sum);
    mpq_init(term);
    FOR(k, 1, p[0] < 2000 ? p[0] : 2000)
    {
        mpq_set_ui(term, 1, (unsigned long)(k * (k + 1)));
        mpq_add(sum, sum, term);
    }
    struct ratio v = {mpz_get_si(mpq_numref(sum)), mpz_get_si(mpq_denref(sum))};
    mpq_clear(sum);
    mpq_clear(term);
    return p[0] <= 2000 ? v : (struct ratio){p[0], p[0] + 1};
}

AGAIN(choose, v = bin(p[0], p[1]);)
AGAIN(arrange, v = bin(p[0], p[1]); FOR(i, 2, p[1]) v *= i;)
AGAIN(paths, int64_t ways[16][16]; FOR(i, 0, p[0]) FOR(j, 0, p[1]) ways[i][j] = i && j ? ways[i - 1][j] + ways[i][j - 1] : 1;
      v = ways[p[0]][p[1]];)
AGAIN(boxes, int64_t ways[128] = {1}; FOR(b, 1, p[1]) FOR(i, 1, p[0]) ways[i] += ways[i - 1]; v = ways[p[0]];)
AGAIN(handshakes, FOR(i, 1, p[0]) v += i - 1;)
AGAIN(even_subsets, for (int64_t k = 0; k <= p[0]; k += 2) v += bin(p[0], k);)
RATIO(heads, bin(p[0], p[1]), (int64_t)1 << p[0])
static struct ratio letters(const int64_t *p)
{
    mpz_t v, f;
    mpz_init(v);
    mpz_init(f);
    mpz_fac_ui(v, (unsigned long)(p[0] + p[1] + p[2]));
    FOR(i, 0, 2)
    {
        mpz_fac_ui(f, (unsigned long)p[i]);
        mpz_divexact(v, v, f);
    }
    int64_t small = mpz_get_si(v);
    mpz_clear(v);
    mpz_clear(f);
    return (struct ratio){small, 1};
}
static struct ratio derangements(const int64_t *p) /* inclusion and exclusion */
{
    int64_t v = 0;
    FOR(k, 0, p[0])
    {
        int64_t rest = 1;
        FOR(i, 1, p[0] - k)
        rest *= i;
        v += (k % 2 ? -1 : 1) * bin(p[0], k) * rest;
    }
    return (struct ratio){v, 1};
}
static struct ratio dice(const int64_t *p)
{
    int64_t n = 0;
    FOR(a, 1, p[1])
    FOR(b, 1, p[1])
    n += a + b == p[0];
    return (struct ratio){n, p[1] * p[1]};
}
RATIO(two_red, bin(p[0], 2), bin(p[0] + p[1], 2))
static struct ratio some_one(const int64_t *p) /* the first 1 comes with the first die, the second, ... */
{
    mpq_t sum, term, miss;
    mpq_init(sum);
    mpq_init(term);
    mpq_init(miss);
    mpq_set_ui(term, 1, (unsigned long)p[1]);
    mpq_set_ui(miss, (unsigned long)(p[1] - 1), (unsigned long)p[1]);
    FOR(i, 1, p[0])
    {
        mpq_add(sum, sum, term);
        mpq_mul(term, term, miss);
    }
    struct ratio v = {mpz_get_si(mpq_numref(sum)), mpz_get_si(mpq_denref(sum))};
    mpq_clear(sum);
    mpq_clear(term);
    mpq_clear(miss);
    return v;
}

static struct ratio hypotenuse(const int64_t *p)
{
    return (struct ratio){llround(hypot((double)p[0], (double)p[1])), 1};
}
AGAIN(diagonals, FOR(i, 1, p[0]) FOR(j, i + 2, p[0] < 3000 ? p[0] : 0) v += !(i == 1 && j == p[0]);
      if (p[0] >= 3000) v = bin(p[0], 2) - p[0];)
AGAIN(angles, FOR(i, 3, p[0]) v += 180;)
RATIO(rectangle, (p[0] - 2 * p[1]) * p[1], 2)
static struct ratio triangle(const int64_t *p)
{
    int64_t x = p[2] - p[0], y = p[3] - p[1]; /* from another corner */
    return (struct ratio){llabs(x * p[1] - y * p[0]), 1};
}
AGAIN(box, int64_t e[3] = {p[0], p[1], p[2]}; FOR(i, 0, 2) FOR(j, 0, 2) if (i != j) v += e[i] * e[j];)
AGAIN(lattice, FOR(x, 0, p[0]) v += x * p[1] % p[0] == 0;)
AGAIN(distance, v = p[0] * p[0] + p[1] * p[1] + p[2] * p[2] + p[3] * p[3] - 2 * (p[0] * p[2] + p[1] * p[3]);)
AGAIN(regions, v = 1; FOR(i, 1, p[0]) v += i;)

static const struct {
    const char *name;
    again_fn *fn;
} again[] = {
    {"greatest common divisor", gcd},
    {"least common multiple", lcm},
    {"number of divisors", divisors},
    {"sum of divisors", sigma},
    {"largest prime factor", largest_prime},
    {"Euler's totient", totient},
    {"counting primes", primes},
    {"remainder", remainder_of},
    {"power modulo a number", power_mod},
    {"modular inverse", inverse},
    {"units digit of a power", units},
    {"Chinese remainders", chinese},
    {"digit sum in a base", digit_sum},
    {"zeros at the end of a factorial", trailing_zeros},
    {"multiples of one or the other", either},
    {"linear equation", linear},
    {"two equations", system_x},
    {"quadratic equation", roots},
    {"sum of the roots' squares", root_squares},
    {"absolute value", absolute},
    {"composition of functions", composition},
    {"value of a polynomial", polynomial},
    {"percentage", percent},
    {"successive changes", two_changes},
    {"fraction of a number", fraction_of},
    {"sum of fractions", fraction_sum},
    {"sharing in a ratio", share},
    {"average", average},
    {"speed", speed},
    {"working together", together},
    {"term of an arithmetic sequence", arithmetic},
    {"sum of an arithmetic sequence", arithmetic_sum},
    {"sum of a geometric sequence", geometric_sum},
    {"Fibonacci rule", fibonacci},
    {"linear recurrence", recurrence},
    {"sum of squares", squares},
    {"sum of multiples", multiples},
    {"telescoping sum", telescope},
    {"choosing", choose},
    {"ordered choices", arrange},
    {"words with repeated letters", letters},
    {"paths in a grid", paths},
    {"balls in boxes", boxes},
    {"derangements", derangements},
    {"handshakes", handshakes},
    {"even subsets", even_subsets},
    {"two dice", dice},
    {"drawing two balls", two_red},
    {"coin flips", heads},
    {"at least one", some_one},
    {"hypotenuse", hypotenuse},
    {"diagonals", diagonals},
    {"angles of a polygon", angles},
    {"area from a perimeter", rectangle},
    {"area of a triangle", triangle},
    {"surface of a box", box},
    {"points on a segment", lattice},
    {"distance of points", distance},
    {"regions of the plane", regions},
};
enum { AGAINS = sizeof(again) / sizeof(again[0]), MANY = 2000 };

static again_fn *solver_of(const char *name)
{
    for (int i = 0; i < AGAINS; i++)
        if (strcmp(again[i].name, name) == 0)
            return again[i].fn;
    return NULL;
}

/* ---- what a document says ---- */

static bool says(const char *text, int64_t v) /* as a number of its own */
{
    char digits[32];
    int n = snprintf(digits, sizeof(digits), "%lld", (long long)v);
    for (const char *p = text; (p = strstr(p, digits)); p++)
        if ((p == text || !isdigit((unsigned char)p[-1])) && !isdigit((unsigned char)p[n]))
            return true;
    return false;
}

/* A line of nothing but arithmetic: every pair of neighbours around its equals signs is equal. Returns how many were compared. */
static int check_line(const char *line, const char *key)
{
    if (line[strspn(line, "0123456789+-*/^()= ")] || !strchr(line, '='))
        return 0;
    char copy[400], *rest = copy, *side, *before = NULL;
    const char *how;
    int n = 0;
    check(strlen(line) < sizeof(copy));
    snprintf(copy, sizeof(copy), "%s", line);
    while ((side = strtok_r(rest, "=", &rest))) {
        check_msg(!before || math_equal(before, side, &how), "\"%s\" in %s", line, key);
        n += before != NULL;
        before = side;
    }
    return n;
}

static void every_problem_is_right(void)
{
    int uses[AGAINS] = {0}, lines = 0;
    for (int level = 1; level <= SYNTH_LEVELS; level++)
        for (int i = 0; i < MANY && test_failures < 20; i++) {
            struct synth_problem p;
            struct math_steps how;
            synth_math_make(&p, level, i % 2, &(struct synth_choice){0}, 11, (uint64_t)i, &how);
            check_int(synth_held_out(p.key), i % 2);
            check_int(p.n_concepts, how.n);
            for (int s = 0; s < how.n; s++) {
                const struct math_step *step = &how.at[s];
                again_fn *fn = solver_of(step->concept->name);
                check_msg(fn, "%s has no second solver here", step->concept->name);
                struct ratio want = fn ? fn(step->p) : (struct ratio){0, 1}, got = step->value;
                check_msg(got.num * want.den == want.num * got.den, "%s: %lld/%lld, not %lld/%lld", p.key, (long long)got.num,
                          (long long)got.den, (long long)want.num, (long long)want.den);
                check(got.den >= 1 && math_gcd(got.num, got.den) == 1);
                for (int j = 0; j < MATH_PARAMETERS && step->concept->range[j].high[0]; j++)
                    check_msg((s && j == 0) || says(p.statement, step->p[j]), "%lld in: %s", (long long)step->p[j], p.statement);
                if (s) {
                    check_int(how.at[s - 1].value.den, 1);
                    check_int(how.at[s - 1].value.num, step->p[0]);
                }
                for (int k = 0; k < AGAINS; k++)
                    uses[k] += strcmp(again[k].name, step->concept->name) == 0;
            }
            struct ratio last = how.at[how.n - 1].value;
            char value[64], answer[100];
            snprintf(value, sizeof(value), last.den == 1 ? "%lld" : "%lld/%lld", (long long)last.num, (long long)last.den);
            snprintf(answer, sizeof(answer), "The answer is \\boxed{%s}.", value);
            check_str(p.answer, answer);
            check_str(json_string_value(json_object_get(p.truth, "answer")), value);
            check_msg(strchr(p.statement, '$') == NULL, "%s", p.statement);
            for (char *rest = p.thought, *line; (line = strtok_r(rest, "\n", &rest));)
                lines += check_line(line, p.key);
            synth_problem_free(&p);
        }
    for (int k = 0; k < AGAINS; k++)
        check_msg(uses[k] >= 30, "%s came %d times", again[k].name, uses[k]);
    check_msg(lines > 10000, "%d equations compared", lines);
}

static void the_library_is_large_and_its_names_differ(void)
{
    int n = 0;
    for (; math_concept_at(n); n++)
        for (int i = 0; i < n; i++)
            check_msg(strcmp(math_concept_at(i)->name, math_concept_at(n)->name) != 0, "%s twice", math_concept_at(n)->name);
    check(n >= 40);
    check_int(n, AGAINS);
}

static void mistakes_are_seen(void)
{
    const char *how;
    check(!math_equal("12*5 ", " 61", &how));
    check(says("of 120 and 7", 7) && !says("of 120 and 71", 7) && !says("17", 7));
    int64_t p[] = {12, 18, 7, 0};
    check_int(gcd(p).num, 6);
    check_int(lcm(p).num, 36);
    check_int(power_mod(p).num, 1); /* 12^18 = 5^18 = (5^6)^3 mod 7 */
}

static void the_same_arguments_give_the_same_problem(void)
{
    int different = 0;
    for (uint64_t i = 0; i < 100; i++) {
        struct synth_problem a, b, c;
        struct synth_choice all = {0};
        synth_math_make(&a, 4, false, &all, 5, i, NULL);
        synth_math_make(&b, 4, false, &all, 5, i, NULL);
        synth_math_make(&c, 4, false, &all, 6, i, NULL);
        check_str(a.statement, b.statement);
        check_str(a.thought, b.thought);
        check_str(a.rationale, b.rationale);
        different += strcmp(a.key, c.key) != 0;
        synth_problem_free(&a);
        synth_problem_free(&b);
        synth_problem_free(&c);
    }
    check_int(different, 100);
}

static const struct test all[] = {
    {"every problem is right", every_problem_is_right},
    {"the library is large and its names differ", the_library_is_large_and_its_names_differ},
    {"mistakes are seen", mistakes_are_seen},
    {"the same arguments give the same problem", the_same_arguments_give_the_same_problem},
};
TEST_MAIN("test_synth_math", all)
