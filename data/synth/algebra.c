/* data/synth/algebra.c - concepts of algebra: equations, functions, fractions, percentages, ratios. See math.h. */
#include "data/synth/math.h"

/* ---- equations ---- */

/* x = (a - c) / b: when a is given, b has to divide what is left. */
static bool adjust_linear(struct draw *r, int64_t *p, bool given)
{
    if (!given) {
        p[0] = p[1] * p[0] + p[2];
        return true;
    }
    if (p[0] <= p[2])
        return false;
    for (int64_t b = draw_between(r, 2, 9), tries = 0; tries < 8; tries++, b = b % 8 + 2)
        if ((p[0] - p[2]) % b == 0) {
            p[1] = b;
            return true;
        }
    return false;
}
static struct ratio solve_linear(struct text *w, const int64_t *p)
{
    put(w, "%ldx = %ld-%ld = %ld\nx = %ld/%ld = %ld\n", p[1], p[0], p[2], p[0] - p[2], p[0] - p[2], p[1], (p[0] - p[2]) / p[1]);
    return math_whole((p[0] - p[2]) / p[1]);
}
static bool adjust_system(struct draw *r, int64_t *p, bool given)
{
    (void)r;
    (void)given;
    p[1] = p[1] % p[0];
    if ((p[0] - p[1]) % 2)
        p[1]++;
    return p[1] > 0;
}
static struct ratio solve_system(struct text *w, const int64_t *p)
{
    put(w, "adding: 2x = %ld+%ld = %ld\nx = %ld\n", p[0], p[1], p[0] + p[1], (p[0] + p[1]) / 2);
    return math_whole((p[0] + p[1]) / 2);
}
static bool adjust_roots(struct draw *r, int64_t *p, bool given)
{
    (void)given;
    int64_t root = draw_between(r, 1, p[0] - 1);
    p[1] = root * (p[0] - root);
    return 2 * root != p[0];
}
static struct ratio solve_roots(struct text *w, const int64_t *p)
{
    int64_t d = p[0] * p[0] - 4 * p[1], root = 0;
    while (root * root < d)
        root++;
    put(w, "%ld^2 - 4*%ld = %ld = %ld^2\n(%ld+%ld)/2 = %ld\n", p[0], p[1], d, root, p[0], root, (p[0] + root) / 2);
    return math_whole((p[0] + root) / 2);
}
static bool adjust_root_squares(struct draw *r, int64_t *p, bool given)
{
    (void)given;
    p[1] = draw_between(r, 1, p[0] * p[0] / 4);
    return true;
}
static struct ratio solve_root_squares(struct text *w, const int64_t *p)
{
    put(w, "the roots have sum %ld and product %ld\n%ld^2 - 2*%ld = %ld - %ld = %ld\n", p[0], p[1], p[0], p[1], p[0] * p[0], 2 * p[1],
        p[0] * p[0] - 2 * p[1]);
    return math_whole(p[0] * p[0] - 2 * p[1]);
}
static struct ratio solve_distance_count(struct text *w, const int64_t *p)
{
    put(w, "from %ld-%ld = %ld to %ld+%ld = %ld\n%ld-%ld+1 = %ld\n", p[1], p[0], p[1] - p[0], p[1], p[0], p[1] + p[0], p[1] + p[0],
        p[1] - p[0], 2 * p[0] + 1);
    return math_whole(2 * p[0] + 1);
}

/* ---- functions ---- */

static struct ratio solve_composition(struct text *w, const int64_t *p)
{
    int64_t g = p[0] * p[0] - p[3], f = p[1] * g + p[2];
    put(w, "g(%ld) = %ld-%ld = %ld\nf(%ld) = %ld+%ld = %ld\n", p[0], p[0] * p[0], p[3], g, g, p[1] * g, p[2], f);
    return math_whole(f);
}
/* Horner's scheme. */
static struct ratio solve_polynomial(struct text *w, const int64_t *p)
{
    int64_t x = p[0], u = x - p[1], v = u * x + p[2], y = v * x - p[3];
    put(w, "%ld-%ld = %ld\n%ld*%ld+%ld = %ld\n%ld*%ld-%ld = %ld\n", x, p[1], u, u, x, p[2], v, v, x, p[3], y);
    return math_whole(y);
}

/* ---- percentages, fractions, ratios ---- */

static bool adjust_percent(struct draw *r, int64_t *p, bool given)
{
    (void)r;
    if (!given)
        p[0] *= 5;
    p[1] *= 5;
    return p[0] * p[1] % 100 == 0;
}
static struct ratio solve_percent(struct text *w, const int64_t *p)
{
    put(w, "%ld*%ld = %ld\n%ld/100 = %ld\n", p[1], p[0], p[1] * p[0], p[1] * p[0], p[1] * p[0] / 100);
    return math_whole(p[1] * p[0] / 100);
}
static bool adjust_two_changes(struct draw *r, int64_t *p, bool given)
{
    (void)r;
    if (!given)
        p[0] *= 100;
    p[1] *= 10;
    p[2] *= 10;
    return p[0] % 100 == 0;
}
static struct ratio solve_two_changes(struct text *w, const int64_t *p)
{
    int64_t up = p[0] / 100 * (100 + p[1]), v = up * (100 - p[2]) / 100;
    put(w, "%ld*%ld/100 = %ld\n%ld*%ld/100 = %ld\n", p[0], 100 + p[1], up, up, 100 - p[2], v);
    return math_whole(v);
}
static bool adjust_fraction_of(struct draw *r, int64_t *p, bool given)
{
    (void)r;
    if (!given)
        p[0] *= p[2];
    return p[1] < p[2] && math_gcd(p[1], p[2]) == 1 && p[0] % p[2] == 0;
}
static struct ratio solve_fraction_of(struct text *w, const int64_t *p)
{
    put(w, "%ld/%ld = %ld\n%ld*%ld = %ld\n", p[0], p[2], p[0] / p[2], p[0] / p[2], p[1], p[0] / p[2] * p[1]);
    return math_whole(p[0] / p[2] * p[1]);
}
static bool adjust_fraction_sum(struct draw *r, int64_t *p, bool given)
{
    (void)r;
    (void)given;
    return p[0] < p[1] && p[2] < p[3] && math_gcd(p[0], p[1]) == 1 && math_gcd(p[2], p[3]) == 1;
}
static struct ratio solve_fraction_sum(struct text *w, const int64_t *p)
{
    int64_t den = p[1] / math_gcd(p[1], p[3]) * p[3], a = p[0] * (den / p[1]), b = p[2] * (den / p[3]);
    struct ratio v = math_ratio(a + b, den);
    put(w, "%ld/%ld + %ld/%ld = %ld/%ld\n", a, den, b, den, a + b, den);
    if (v.den != den)
        put(w, "divided by %ld: %ld/%ld\n", den / v.den, v.num, v.den);
    return v;
}
static bool adjust_share(struct draw *r, int64_t *p, bool given)
{
    (void)r;
    if (!given)
        p[0] *= p[1] + p[2];
    return p[1] != p[2] && p[0] % (p[1] + p[2]) == 0;
}
static struct ratio solve_share(struct text *w, const int64_t *p)
{
    int64_t parts = p[1] + p[2], more = p[1] > p[2] ? p[1] : p[2];
    put(w, "%ld+%ld = %ld parts\n%ld/%ld = %ld\n%ld*%ld = %ld\n", p[1], p[2], parts, p[0], parts, p[0] / parts, p[0] / parts, more,
        p[0] / parts * more);
    return math_whole(p[0] / parts * more);
}
static bool adjust_average(struct draw *r, int64_t *p, bool given)
{
    (void)r;
    (void)given;
    p[3] += (4 - (p[0] + p[1] + p[2] + p[3]) % 4) % 4;
    return true;
}
static struct ratio solve_average(struct text *w, const int64_t *p)
{
    int64_t sum = p[0] + p[1] + p[2] + p[3];
    put(w, "%ld+%ld+%ld+%ld = %ld\n%ld/4 = %ld\n", p[0], p[1], p[2], p[3], sum, sum, sum / 4);
    return math_whole(sum / 4);
}
static bool adjust_speed(struct draw *r, int64_t *p, bool given)
{
    (void)r;
    if (!given)
        p[0] *= p[1];
    return p[0] % p[1] == 0;
}
static struct ratio solve_speed(struct text *w, const int64_t *p)
{
    put(w, "%ld/%ld = %ld\n", p[0], p[1], p[0] / p[1]);
    return math_whole(p[0] / p[1]);
}
static struct ratio solve_together(struct text *w, const int64_t *p)
{
    struct ratio v = math_ratio(p[0] * p[1], p[0] + p[1]);
    put(w, "in an hour 1/%ld + 1/%ld = %ld/%ld\n", p[0], p[1], p[0] + p[1], p[0] * p[1]);
    put(w, v.den == 1 ? "so %ld hours\n" : "so %ld/%ld hours\n", v.num, v.den);
    return v;
}

const struct math_concept math_algebra[] = {
    {.name = "linear equation",
     .phrase = {"the solution x of $b x + $c = $a", "the number x with $b x + $c = $a"},
     .plan = "take the constant away and divide",
     .range = {{1, {9, 30, 200}}, {2, {9, 12, 30}}, {1, {20, 50, 300}}},
     .most = 1000000,
     .adjust = adjust_linear,
     .solve = solve_linear},
    {.name = "two equations",
     .phrase = {"the value of x where x + y = $a and x - y = $b", "the larger of two numbers with sum $a and difference $b"},
     .plan = "add the equations",
     .range = {{5, {40, 200, 3000}}, {1, {30, 99, 999}}},
     .most = 1000000,
     .adjust = adjust_system,
     .solve = solve_system},
    {.name = "quadratic equation",
     .phrase = {"the larger root of x^2 - $a x + $b = 0", "the larger solution of x^2 + $b = $a x"},
     .plan = "take the root of the discriminant",
     .range = {{3, {12, 30, 90}}, {0, {1, 1, 1}}},
     .most = 2000,
     .adjust = adjust_roots,
     .solve = solve_roots},
    {.name = "sum of the roots' squares",
     .phrase = {"the sum of the squares of the roots of x^2 - $a x + $b = 0"},
     .plan = "use the sum and the product of the roots",
     .range = {{3, {10, 25, 80}}, {0, {1, 1, 1}}},
     .most = 1000,
     .adjust = adjust_root_squares,
     .solve = solve_root_squares},
    {.name = "absolute value",
     .phrase = {"the number of integers x with |x - $b| <= $a"},
     .plan = "count from one end to the other",
     .range = {{1, {9, 60, 900}}, {1, {20, 99, 999}}},
     .most = 1000000,
     .solve = solve_distance_count},
    {.name = "composition of functions",
     .phrase = {"f(g($a)), where f(x) = $b x + $c and g(x) = x^2 - $d"},
     .plan = "work from the inside out",
     .range = {{1, {6, 15, 40}}, {2, {5, 9, 20}}, {1, {9, 20, 90}}, {1, {9, 20, 90}}},
     .most = 2000,
     .solve = solve_composition},
    {.name = "value of a polynomial",
     .phrase = {"the value of x^3 - $b x^2 + $c x - $d at x = $a"},
     .plan = "use Horner's scheme",
     .range = {{1, {5, 12, 30}}, {1, {4, 9, 20}}, {1, {6, 15, 50}}, {1, {9, 20, 90}}},
     .most = 200,
     .solve = solve_polynomial},
    {.name = "percentage",
     .phrase = {"$b percent of $a"},
     .plan = "multiply and divide by 100",
     .range = {{4, {20, 100, 900}}, {1, {19, 19, 37}}},
     .most = 1000000,
     .adjust = adjust_percent,
     .solve = solve_percent},
    {.name = "successive changes",
     .phrase = {"the price after $a rises by $b percent and then falls by $c percent"},
     .plan = "change step by step",
     .range = {{1, {9, 30, 200}}, {1, {5, 9, 15}}, {1, {5, 9, 9}}},
     .most = 1000000,
     .adjust = adjust_two_changes,
     .solve = solve_two_changes},
    {.name = "fraction of a number",
     .phrase = {"$b/$c of $a"},
     .plan = "divide by the denominator and multiply by the numerator",
     .range = {{2, {9, 40, 300}}, {1, {5, 9, 15}}, {2, {6, 12, 20}}},
     .most = 1000000,
     .adjust = adjust_fraction_of,
     .solve = solve_fraction_of},
    {.name = "sum of fractions",
     .phrase = {"$a/$b + $c/$d in lowest terms", "the sum of $a/$b and $c/$d as a fraction"},
     .plan = "bring them to one denominator",
     .range = {{1, {5, 12, 30}}, {2, {6, 15, 40}}, {1, {5, 12, 30}}, {2, {6, 15, 40}}},
     .adjust = adjust_fraction_sum,
     .solve = solve_fraction_sum},
    {.name = "sharing in a ratio",
     .phrase = {"the larger part when $a is split in the ratio $b : $c"},
     .plan = "find the size of one part",
     .range = {{2, {9, 30, 200}}, {1, {5, 9, 20}}, {1, {5, 9, 20}}},
     .most = 1000000,
     .adjust = adjust_share,
     .solve = solve_share},
    {.name = "average",
     .phrase = {"the average of $a, $b, $c and $d"},
     .plan = "add and divide by their number",
     .range = {{1, {12, 60, 900}}, {1, {12, 60, 900}}, {1, {12, 60, 900}}, {1, {12, 60, 900}}},
     .most = 1000000,
     .adjust = adjust_average,
     .solve = solve_average},
    {.name = "speed",
     .phrase = {"the number of hours that $a km take at $b km an hour"},
     .plan = "divide the distance by the speed",
     .range = {{2, {9, 20, 90}}, {4, {12, 60, 120}}},
     .most = 1000000,
     .adjust = adjust_speed,
     .solve = solve_speed},
    {.name = "working together",
     .phrase = {"the number of hours that two pumps need together when one alone needs $a hours and the other $b"},
     .plan = "add what they do in an hour",
     .range = {{2, {9, 24, 90}}, {2, {9, 24, 90}}},
     .most = 1000,
     .solve = solve_together},
    {.name = NULL},
};
