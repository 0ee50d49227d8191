/* data/synth/number.c - concepts of number theory. See math.h. */
#include "data/synth/math.h"

/* ---- greatest common divisor and least common multiple ---- */

static bool adjust_gcd(struct draw *r, int64_t *p, bool given)
{
    int64_t g = draw_between(r, 2, 12); /* a common factor is there more often than by chance */
    p[1] = (p[1] / g + 1) * g;
    if (!given)
        p[0] = (p[0] / g + 1) * g;
    return p[0] != p[1];
}
static int64_t euclid(struct text *w, int64_t a, int64_t b)
{
    while (b) {
        put(w, "%ld mod %ld = %ld\n", a, b, a % b);
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}
static struct ratio solve_gcd(struct text *w, const int64_t *p)
{
    return math_whole(euclid(w, p[0], p[1]));
}
static bool adjust_unequal(struct draw *r, int64_t *p, bool given)
{
    (void)r;
    (void)given;
    return p[0] != p[1];
}
static struct ratio solve_lcm(struct text *w, const int64_t *p)
{
    int64_t g = euclid(w, p[0], p[1]);
    put(w, "%ld*%ld = %ld\n%ld/%ld = %ld\n", p[0], p[1], p[0] * p[1], p[0] * p[1], g, p[0] * p[1] / g);
    return math_whole(p[0] / g * p[1]);
}

/* ---- from the prime factors ---- */

static struct ratio solve_divisors(struct text *w, const int64_t *p)
{
    int64_t prime[MATH_PRIMES], count = 1;
    int e[MATH_PRIMES], n = math_put_factors(w, p[0], prime, e);
    for (int i = 0; i < n; i++) {
        put(w, "%s(%d+1)", i ? "*" : "", e[i]);
        count *= e[i] + 1;
    }
    put(w, " = %ld\n", count);
    return math_whole(count);
}
static struct ratio solve_sigma(struct text *w, const int64_t *p)
{
    int64_t prime[MATH_PRIMES], part[MATH_PRIMES], sum = 1;
    int e[MATH_PRIMES], n = math_put_factors(w, p[0], prime, e);
    for (int i = 0; i < n; i++) {
        int64_t power = 1;
        part[i] = 1;
        put(w, "1");
        for (int j = 0; j < e[i]; j++) {
            power *= prime[i];
            part[i] += power;
            put(w, "+%ld", power);
        }
        put(w, " = %ld\n", part[i]);
        sum *= part[i];
    }
    for (int i = 0; n > 1 && i < n; i++)
        put(w, "%s%ld", i ? "*" : "", part[i]);
    put(w, n > 1 ? " = %ld\n" : "so %ld\n", sum);
    return math_whole(sum);
}
static struct ratio solve_largest_prime(struct text *w, const int64_t *p)
{
    int64_t prime[MATH_PRIMES];
    int e[MATH_PRIMES], n = math_put_factors(w, p[0], prime, e);
    return math_whole(prime[n - 1]);
}
static struct ratio solve_totient(struct text *w, const int64_t *p)
{
    int64_t prime[MATH_PRIMES], v = p[0];
    int e[MATH_PRIMES], n = math_put_factors(w, p[0], prime, e);
    for (int i = 0; i < n; i++) {
        int64_t less = v / prime[i] * (prime[i] - 1);
        put(w, "%ld*(%ld-1)/%ld = %ld\n", v, prime[i], prime[i], less);
        v = less;
    }
    return math_whole(v);
}
static struct ratio solve_primes(struct text *w, const int64_t *p)
{
    int64_t n = 0;
    for (int64_t v = 2; v <= p[0]; v++) {
        int64_t prime[MATH_PRIMES];
        int e[MATH_PRIMES];
        if (math_factor(v, prime, e) == 1 && e[0] == 1)
            put(w, "%s%ld", n++ ? ", " : "", v);
    }
    put(w, ": %ld primes\n", n);
    return math_whole(n);
}

/* ---- remainders ---- */

static struct ratio solve_remainder(struct text *w, const int64_t *p)
{
    int64_t full = p[0] / p[1] * p[1];
    put(w, "%ld*%ld = %ld\n%ld-%ld = %ld\n", p[0] / p[1], p[1], full, p[0], full, p[0] - full);
    return math_whole(p[0] - full);
}
/* Square and multiply, from the leading bit of the exponent on. */
static struct ratio solve_power_mod(struct text *w, const int64_t *p)
{
    int64_t base = p[0] % p[2], v = base, bit = 1;
    put(w, "%ld mod %ld = %ld\n", p[0], p[2], base);
    while (2 * bit <= p[1])
        bit *= 2;
    for (int64_t done = 1; bit > 1; bit /= 2) {
        bool odd = p[1] & (bit / 2);
        int64_t square = v * v % p[2];
        put(w, "power %ld: %ld*%ld mod %ld = %ld\n", 2 * done, v, v, p[2], square);
        v = odd ? square * base % p[2] : square;
        done = 2 * done + odd;
        if (odd)
            put(w, "power %ld: %ld*%ld mod %ld = %ld\n", done, square, base, p[2], v);
    }
    return math_whole(v);
}
static bool adjust_inverse(struct draw *r, int64_t *p, bool given)
{
    (void)r;
    (void)given;
    return math_gcd(p[0], p[1]) == 1;
}
static struct ratio solve_inverse(struct text *w, const int64_t *p)
{
    int64_t base = p[0] % p[1], x = 1;
    put(w, "%ld mod %ld = %ld\n", p[0], p[1], base);
    /* The first k with k*m+1 divisible by base. */
    int64_t k = 0;
    while ((k * p[1] + 1) % base)
        k++;
    x = (k * p[1] + 1) / base;
    put(w, "%ld*%ld+1 = %ld\n%ld/%ld = %ld\n", k, p[1], k * p[1] + 1, k * p[1] + 1, base, x);
    return math_whole(x);
}
static struct ratio solve_units(struct text *w, const int64_t *p)
{
    int64_t base = p[0] % 10, v = base, length = 0, digit[8];
    put(w, "last digits of the powers of %ld: ", base);
    do {
        put(w, "%s%ld", length ? ", " : "", v);
        digit[length++] = v;
        v = v * base % 10;
    } while (v != base);
    int64_t at = p[1] % length ? p[1] % length : length;
    put(w, ", then again\n%ld mod %ld = %ld\nnumber %ld is %ld\n", p[1], length, p[1] % length, at, digit[at - 1]);
    return math_whole(digit[at - 1]);
}
/* The two moduli coprime, the remainders below them. */
static bool adjust_chinese(struct draw *r, int64_t *p, bool given)
{
    if (given && p[0] >= p[1])
        p[1] = p[0] + draw_between(r, 1, 6);
    p[2] %= p[3];
    if (!given)
        p[0] %= p[1];
    return math_gcd(p[1], p[3]) == 1;
}
static struct ratio solve_chinese(struct text *w, const int64_t *p)
{
    int64_t v = p[0];
    for (;; v += p[1]) {
        put(w, "%ld mod %ld = %ld\n", v, p[3], v % p[3]);
        if (v % p[3] == p[2])
            return math_whole(v);
    }
}

/* ---- digits, multiples ---- */

static struct ratio solve_digit_sum(struct text *w, const int64_t *p)
{
    int64_t sum = 0;
    for (int64_t v = p[0]; v; v /= p[1]) {
        put(w, "%ld = %ld*%ld + %ld\n", v, v / p[1], p[1], v % p[1]);
        sum += v % p[1];
    }
    put(w, "the remainders add up to %ld\n", sum);
    return math_whole(sum);
}
static struct ratio solve_trailing_zeros(struct text *w, const int64_t *p)
{
    int64_t sum = 0;
    for (int64_t five = 5; five <= p[0]; five *= 5) {
        put(w, "multiples of %ld: %ld\n", five, p[0] / five);
        sum += p[0] / five;
    }
    put(w, "in all %ld factors 5\n", sum);
    return math_whole(sum);
}
static bool adjust_either(struct draw *r, int64_t *p, bool given)
{
    (void)r;
    (void)given;
    return p[1] != p[2];
}
static struct ratio solve_either(struct text *w, const int64_t *p)
{
    int64_t both = p[1] / math_gcd(p[1], p[2]) * p[2], v = p[0] / p[1] + p[0] / p[2] - p[0] / both;
    put(w, "multiples of %ld: %ld\nmultiples of %ld: %ld\nmultiples of both, of %ld: %ld\n", p[1], p[0] / p[1], p[2], p[0] / p[2], both,
        p[0] / both);
    put(w, "%ld+%ld-%ld = %ld\n", p[0] / p[1], p[0] / p[2], p[0] / both, v);
    return math_whole(v);
}

const struct math_concept math_number[] = {
    {.name = "greatest common divisor",
     .phrase = {"the greatest common divisor of $a and $b", "the largest integer that divides both $a and $b"},
     .plan = "go down by Euclid's remainders",
     .range = {{12, {60, 400, 3000}}, {12, {60, 400, 3000}}},
     .most = 100000,
     .adjust = adjust_gcd,
     .solve = solve_gcd},
    {.name = "least common multiple",
     .phrase = {"the least common multiple of $a and $b", "the smallest positive integer divisible by both $a and $b"},
     .plan = "divide the product by the greatest common divisor",
     .range = {{3, {12, 40, 150}}, {4, {12, 40, 150}}},
     .most = 1000,
     .adjust = adjust_unequal,
     .solve = solve_lcm},
    {.name = "number of divisors",
     .phrase = {"the number of positive divisors of $a", "the number of positive integers that divide $a"},
     .plan = "factor and multiply the exponents plus one",
     .range = {{6, {60, 400, 5000}}},
     .most = 100000,
     .solve = solve_divisors},
    {.name = "sum of divisors",
     .phrase = {"the sum of the positive divisors of $a"},
     .plan = "factor and multiply the sums of powers",
     .range = {{4, {40, 200, 2000}}},
     .most = 20000,
     .solve = solve_sigma},
    {.name = "largest prime factor",
     .phrase = {"the largest prime factor of $a", "the largest prime that divides $a"},
     .plan = "factor and take the last prime",
     .range = {{6, {60, 500, 5000}}},
     .most = 100000,
     .solve = solve_largest_prime},
    {.name = "Euler's totient",
     .phrase = {"the number of integers from 1 to $a that are coprime to $a", "Euler's totient of $a"},
     .plan = "factor and take a share away for every prime",
     .range = {{6, {40, 300, 3000}}},
     .most = 50000,
     .solve = solve_totient},
    {.name = "counting primes",
     .phrase = {"the number of primes up to $a"},
     .plan = "list the primes",
     .range = {{5, {40, 100, 200}}},
     .most = 200,
     .solve = solve_primes},
    {.name = "remainder",
     .phrase = {"the remainder when $a is divided by $b", "$a mod $b"},
     .plan = "take the largest multiple away",
     .range = {{20, {99, 999, 99999}}, {3, {9, 19, 97}}},
     .most = 10000000,
     .solve = solve_remainder},
    {.name = "power modulo a number",
     .phrase = {"the remainder when $a^$b is divided by $c", "$a^$b mod $c"},
     .plan = "square and multiply, reducing at every step",
     .range = {{2, {9, 20, 50}}, {2, {6, 20, 60}}, {5, {11, 30, 101}}},
     .most = 1000000,
     .solve = solve_power_mod},
    {.name = "modular inverse",
     .phrase = {"the positive integer x below $b for which $a x leaves remainder 1 when divided by $b", "the inverse of $a modulo $b"},
     .plan = "find the multiple of the modulus that is one short",
     .range = {{2, {9, 25, 90}}, {5, {13, 40, 120}}},
     .most = 100000,
     .adjust = adjust_inverse,
     .solve = solve_inverse},
    {.name = "units digit of a power",
     .phrase = {"the units digit of $a^$b", "the last digit of $a^$b"},
     .plan = "find the cycle of the last digits",
     .range = {{2, {9, 50, 999}}, {5, {20, 99, 999}}},
     .most = 1000000,
     .solve = solve_units},
    {.name = "Chinese remainders",
     .phrase = {"the smallest non-negative integer that leaves remainder $a when divided by $b and remainder $c when divided by $d"},
     .plan = "go up in steps of the first modulus until the second remainder is right",
     .range = {{0, {10, 20, 40}}, {3, {7, 15, 40}}, {0, {10, 20, 40}}, {3, {8, 17, 31}}},
     .most = 200,
     .adjust = adjust_chinese,
     .solve = solve_chinese},
    {.name = "digit sum in a base",
     .phrase = {"the sum of the digits of $a written in base $b"},
     .plan = "divide by the base again and again",
     .range = {{10, {60, 500, 5000}}, {2, {5, 9, 9}}},
     .most = 1000000,
     .solve = solve_digit_sum},
    {.name = "zeros at the end of a factorial",
     .phrase = {"the number of zeros at the end of $a! (factorial)", "the exponent of 10 in $a! (factorial)"},
     .plan = "count the factors 5",
     .range = {{5, {60, 400, 5000}}},
     .most = 1000000,
     .solve = solve_trailing_zeros},
    {.name = "multiples of one or the other",
     .phrase = {"the number of integers from 1 to $a that are divisible by $b or by $c"},
     .plan = "count both and take away what was counted twice",
     .range = {{20, {100, 500, 5000}}, {2, {7, 12, 20}}, {2, {7, 12, 20}}},
     .most = 1000000,
     .adjust = adjust_either,
     .solve = solve_either},
    {.name = NULL},
};
