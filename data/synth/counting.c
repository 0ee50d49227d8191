/* data/synth/counting.c - concepts of combinatorics and probability. See math.h. */
#include "data/synth/math.h"

/* ---- choices and orders ---- */

static bool adjust_choose(struct draw *r, int64_t *p, bool given)
{
    (void)given;
    p[1] = draw_between(r, 2, p[0] - 1 < 5 ? p[0] - 1 : 5);
    return true;
}
static struct ratio solve_choose(struct text *w, const int64_t *p)
{
    int64_t top = 1, bottom = 1;
    for (int64_t i = 0; i < p[1]; i++) {
        put(w, "%s%ld", i ? "*" : "", p[0] - i);
        top *= p[0] - i;
        bottom *= i + 1;
    }
    put(w, " = %ld\n%ld! = %ld\n%ld/%ld = %ld\n", top, p[1], bottom, top, bottom, top / bottom);
    return math_whole(top / bottom);
}
static struct ratio solve_arrange(struct text *w, const int64_t *p)
{
    int64_t v = 1;
    for (int64_t i = 0; i < p[1]; i++) {
        put(w, "%s%ld", i ? "*" : "", p[0] - i);
        v *= p[0] - i;
    }
    put(w, " = %ld\n", v);
    return math_whole(v);
}
static struct ratio solve_letters(struct text *w, const int64_t *p)
{
    int64_t n = p[0] + p[1] + p[2], first = math_choose(n, p[0]), second = math_choose(p[1] + p[2], p[1]);
    put(w, "places for the X: %ld choose %ld = %ld\nplaces for the Y: %ld choose %ld = %ld\n%ld*%ld = %ld\n", n, p[0], first, p[1] + p[2],
        p[1], second, first, second, first * second);
    return math_whole(first * second);
}
static struct ratio solve_paths(struct text *w, const int64_t *p)
{
    int64_t v = math_choose(p[0] + p[1], p[0]);
    put(w, "%ld steps, %ld of them to the right\n%ld choose %ld = %ld\n", p[0] + p[1], p[0], p[0] + p[1], p[0], v);
    return math_whole(v);
}
static struct ratio solve_boxes(struct text *w, const int64_t *p)
{
    int64_t n = p[0] + p[1] - 1, v = math_choose(n, p[1] - 1);
    put(w, "%ld balls and %ld walls in a row\n%ld choose %ld = %ld\n", p[0], p[1] - 1, n, p[1] - 1, v);
    return math_whole(v);
}
static struct ratio solve_derangements(struct text *w, const int64_t *p)
{
    int64_t before = 1, d = 0; /* of no object and of one */
    for (int64_t n = 2; n <= p[0]; n++) {
        int64_t next = (n - 1) * (before + d);
        put(w, "D(%ld) = %ld*(%ld+%ld) = %ld\n", n, n - 1, d, before, next);
        before = d;
        d = next;
    }
    return math_whole(d);
}
static struct ratio solve_handshakes(struct text *w, const int64_t *p)
{
    put(w, "%ld*%ld = %ld\nhalf of it: %ld\n", p[0], p[0] - 1, p[0] * (p[0] - 1), p[0] * (p[0] - 1) / 2);
    return math_whole(p[0] * (p[0] - 1) / 2);
}
static struct ratio solve_even_subsets(struct text *w, const int64_t *p)
{
    put(w, "half of all subsets: 2^%ld = %ld\n", p[0] - 1, math_raised(2, p[0] - 1));
    return math_whole(math_raised(2, p[0] - 1));
}

/* ---- probability ---- */

static bool adjust_dice(struct draw *r, int64_t *p, bool given)
{
    if (!given)
        p[0] = draw_between(r, 2, 2 * p[1]);
    return p[0] <= 2 * p[1];
}
static struct ratio solve_dice(struct text *w, const int64_t *p)
{
    int64_t low = p[0] - p[1] > 1 ? p[0] - p[1] : 1, high = p[0] - 1 < p[1] ? p[0] - 1 : p[1], n = high - low + 1;
    put(w, "the first shows %ld to %ld: %ld ways\nof %ld*%ld = %ld\n", low, high, n, p[1], p[1], p[1] * p[1]);
    return math_ratio(n, p[1] * p[1]);
}
static struct ratio solve_two_red(struct text *w, const int64_t *p)
{
    int64_t all = p[0] + p[1];
    put(w, "%ld/%ld * %ld/%ld = %ld/%ld\n", p[0], all, p[0] - 1, all - 1, p[0] * (p[0] - 1), all * (all - 1));
    return math_ratio(p[0] * (p[0] - 1), all * (all - 1));
}
static bool adjust_heads(struct draw *r, int64_t *p, bool given)
{
    (void)given;
    p[1] = draw_between(r, 0, p[0]);
    return true;
}
static struct ratio solve_heads(struct text *w, const int64_t *p)
{
    int64_t ways = math_choose(p[0], p[1]), all = math_raised(2, p[0]);
    put(w, "%ld choose %ld = %ld\n2^%ld = %ld\n", p[0], p[1], ways, p[0], all);
    return math_ratio(ways, all);
}
static struct ratio solve_some_one(struct text *w, const int64_t *p)
{
    int64_t none = math_raised(p[1] - 1, p[0]), all = math_raised(p[1], p[0]);
    put(w, "none: %ld^%ld/%ld^%ld = %ld/%ld\n%ld-%ld = %ld\n", p[1] - 1, p[0], p[1], p[0], none, all, all, none, all - none);
    return math_ratio(all - none, all);
}

const struct math_concept math_counting[] = {
    {.name = "choosing",
     .phrase = {"the number of ways to choose $b of $a people", "$a choose $b"},
     .plan = "divide the ordered choices by the orders",
     .range = {{4, {9, 14, 40}}, {2, {2, 2, 2}}},
     .most = 60,
     .adjust = adjust_choose,
     .solve = solve_choose},
    {.name = "ordered choices",
     .phrase = {"the number of ways to seat $b of $a people in a row"},
     .plan = "multiply the choices for every seat",
     .range = {{4, {9, 14, 30}}, {2, {2, 2, 2}}},
     .most = 60,
     .adjust = adjust_choose,
     .solve = solve_arrange},
    {.name = "words with repeated letters",
     .phrase = {"the number of different words with $a letters X, $b letters Y and $c letters Z"},
     .plan = "choose the places letter by letter",
     .range = {{1, {3, 4, 6}}, {1, {3, 4, 6}}, {1, {2, 3, 5}}},
     .most = 8,
     .solve = solve_letters},
    {.name = "paths in a grid",
     .phrase = {"the number of shortest paths along the lines of a grid of $a by $b squares from one corner to the opposite one"},
     .plan = "choose which steps go to the right",
     .range = {{2, {4, 7, 11}}, {2, {4, 6, 10}}},
     .most = 12,
     .solve = solve_paths},
    {.name = "balls in boxes",
     .phrase = {"the number of ways to put $a equal balls into $b different boxes"},
     .plan = "put walls between the balls",
     .range = {{2, {6, 12, 30}}, {2, {3, 4, 5}}},
     .most = 100,
     .solve = solve_boxes},
    {.name = "derangements",
     .phrase = {"the number of ways to put $a letters into $a envelopes so that none is in its own"},
     .plan = "use D(n) = (n-1)(D(n-1) + D(n-2))",
     .range = {{3, {6, 8, 12}}},
     .most = 14,
     .solve = solve_derangements},
    {.name = "handshakes",
     .phrase = {"the number of handshakes when each of $a people shakes hands with every other"},
     .plan = "count every pair once",
     .range = {{3, {12, 60, 900}}},
     .most = 100000,
     .solve = solve_handshakes},
    {.name = "even subsets",
     .phrase = {"the number of subsets with an even number of elements of a set of $a elements"},
     .plan = "they are half of all subsets",
     .range = {{2, {7, 12, 30}}},
     .most = 30,
     .solve = solve_even_subsets},
    {.name = "two dice",
     .phrase = {"the probability that two fair dice with faces 1 to $b show the sum $a"},
     .plan = "count the first die's faces that the second can complete",
     .range = {{2, {3, 3, 3}}, {4, {8, 20, 100}}},
     .most = 200,
     .adjust = adjust_dice,
     .solve = solve_dice},
    {.name = "drawing two balls",
     .phrase = {"the probability that two balls drawn together from $a red and $b blue ones are both red"},
     .plan = "multiply the chances of one after the other",
     .range = {{2, {6, 15, 60}}, {1, {6, 15, 60}}},
     .most = 10000,
     .solve = solve_two_red},
    {.name = "coin flips",
     .phrase = {"the probability of exactly $b heads in $a flips of a fair coin"},
     .plan = "divide the good outcomes by all",
     .range = {{2, {5, 9, 20}}, {0, {1, 1, 1}}},
     .most = 24,
     .adjust = adjust_heads,
     .solve = solve_heads},
    {.name = "at least one",
     .phrase = {"the probability that at least one of $a fair dice with faces 1 to $b shows a 1"},
     .plan = "take away the chance of none",
     .range = {{2, {3, 4, 6}}, {3, {6, 10, 20}}},
     .most = 8,
     .solve = solve_some_one},
    {.name = NULL},
};
