/* data/synth/series.c - concepts of sequences and sums. See math.h. */
#include "data/synth/math.h"

static bool adjust_arithmetic(struct draw *r, int64_t *p, bool given)
{
    (void)r;
    (void)given;
    p[2] += p[1]; /* the second term, after the first */
    return true;
}
static struct ratio solve_arithmetic(struct text *w, const int64_t *p)
{
    int64_t d = p[2] - p[1], v = p[1] + (p[0] - 1) * d;
    put(w, "difference %ld-%ld = %ld\n%ld + %ld*%ld = %ld\n", p[2], p[1], d, p[1], p[0] - 1, d, v);
    return math_whole(v);
}
static struct ratio solve_arithmetic_sum(struct text *w, const int64_t *p)
{
    int64_t d = p[2] - p[1], last = p[1] + (p[0] - 1) * d, twice = p[0] * (p[1] + last);
    put(w, "last term %ld + %ld*%ld = %ld\n%ld*(%ld+%ld) = %ld\nhalf of it: %ld\n", p[1], p[0] - 1, d, last, p[0], p[1], last, twice,
        twice / 2);
    return math_whole(twice / 2);
}
static struct ratio solve_geometric_sum(struct text *w, const int64_t *p)
{
    int64_t term = p[1], sum = 0;
    for (int64_t i = 0; i < p[0]; i++) {
        put(w, "%s%ld", i ? "+" : "", term);
        sum += term;
        term *= p[2];
    }
    put(w, " = %ld\n", sum);
    return math_whole(sum);
}
static struct ratio solve_fibonacci(struct text *w, const int64_t *p)
{
    int64_t a = p[1], b = p[2];
    put(w, "%ld, %ld", a, b);
    for (int64_t i = 3; i <= p[0]; i++) {
        int64_t c = a + b;
        a = b;
        b = c;
        put(w, ", %ld", b);
    }
    put(w, "\n");
    return math_whole(b);
}
static struct ratio solve_recurrence(struct text *w, const int64_t *p)
{
    int64_t u = p[1];
    for (int64_t i = 2; i <= p[0]; i++) {
        put(w, "u(%ld) = %ld*%ld+%ld = %ld\n", i, p[2], u, p[3], p[2] * u + p[3]);
        u = p[2] * u + p[3];
    }
    return math_whole(u);
}
static struct ratio solve_squares(struct text *w, const int64_t *p)
{
    int64_t n = p[0], v = n * (n + 1) * (2 * n + 1);
    put(w, "%ld*%ld*%ld = %ld\n%ld/6 = %ld\n", n, n + 1, 2 * n + 1, v, v, v / 6);
    return math_whole(v / 6);
}
static struct ratio solve_multiples(struct text *w, const int64_t *p)
{
    int64_t n = p[0] / p[1], ones = n * (n + 1) / 2;
    put(w, "%ld/%ld: %ld multiples\n1+...+%ld = %ld\n%ld*%ld = %ld\n", p[0], p[1], n, n, ones, p[1], ones, p[1] * ones);
    return math_whole(p[1] * ones);
}
static struct ratio solve_telescope(struct text *w, const int64_t *p)
{
    put(w, "1/(k(k+1)) = 1/k - 1/(k+1), so all but the ends cancel\n1 - 1/%ld = %ld/%ld\n", p[0] + 1, p[0], p[0] + 1);
    return math_ratio(p[0], p[0] + 1);
}

const struct math_concept math_series[] = {
    {.name = "term of an arithmetic sequence",
     .phrase = {"term number $a of the arithmetic sequence that begins $b, $c"},
     .plan = "add the difference as often as there are steps",
     .range = {{4, {12, 50, 500}}, {1, {9, 30, 90}}, {1, {6, 15, 40}}},
     .most = 100000,
     .adjust = adjust_arithmetic,
     .solve = solve_arithmetic},
    {.name = "sum of an arithmetic sequence",
     .phrase = {"the sum of the first $a terms of the arithmetic sequence that begins $b, $c"},
     .plan = "multiply the mean of the ends by their number",
     .range = {{3, {8, 30, 200}}, {1, {9, 30, 90}}, {1, {5, 12, 30}}},
     .most = 10000,
     .adjust = adjust_arithmetic,
     .solve = solve_arithmetic_sum},
    {.name = "sum of a geometric sequence",
     .phrase = {"the sum of the first $a terms of the geometric sequence with first term $b and ratio $c"},
     .plan = "add the terms",
     .range = {{3, {4, 6, 8}}, {1, {5, 9, 20}}, {2, {3, 4, 6}}},
     .most = 10,
     .solve = solve_geometric_sum},
    {.name = "Fibonacci rule",
     .phrase = {"u($a), where u(1) = $b, u(2) = $c and each later term is the sum of the two before it"},
     .plan = "write the terms one after another",
     .range = {{4, {7, 12, 25}}, {1, {5, 12, 30}}, {1, {5, 12, 30}}},
     .most = 30,
     .solve = solve_fibonacci},
    {.name = "linear recurrence",
     .phrase = {"u($a), where u(1) = $b and u(n+1) = $c u(n) + $d"},
     .plan = "apply the rule step by step",
     .range = {{2, {4, 6, 9}}, {1, {5, 9, 20}}, {2, {3, 4, 5}}, {1, {5, 9, 20}}},
     .most = 12,
     .solve = solve_recurrence},
    {.name = "sum of squares",
     .phrase = {"the sum of the squares of the integers from 1 to $a"},
     .plan = "use n(n+1)(2n+1)/6",
     .range = {{3, {9, 30, 200}}},
     .most = 10000,
     .solve = solve_squares},
    {.name = "sum of multiples",
     .phrase = {"the sum of the multiples of $b from 1 to $a"},
     .plan = "take the factor out of the sum",
     .range = {{10, {40, 200, 3000}}, {2, {7, 15, 40}}},
     .most = 100000,
     .solve = solve_multiples},
    {.name = "telescoping sum",
     .phrase = {"the sum of 1/(k(k+1)) for k from 1 to $a"},
     .plan = "split every term into a difference",
     .range = {{2, {12, 60, 900}}},
     .most = 1000000,
     .solve = solve_telescope},
    {.name = NULL},
};
