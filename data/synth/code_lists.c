/* data/synth/code_lists.c - programming concepts over lists of integers. See code.h. */
#include "data/synth/code.h"
#include <stdlib.h>

static const int64_t LARGEST = 1000000000; /* of the numbers on the way: nothing here is about overflow */

/* As Python's %, for k > 0. */
static int64_t modulo(int64_t a, int64_t k)
{
    return (a % k + k) % k;
}
static bool push(struct code_value *v, int64_t x)
{
    if (v->n == CODE_LONGEST || x > LARGEST || x < -LARGEST)
        return false;
    v->list[v->n++] = x;
    return true;
}
static int64_t count_of(const struct code_value *in, int64_t x)
{
    int64_t n = 0;
    for (int64_t i = 0; i < in->n; i++)
        n += in->list[i] == x;
    return n;
}
static int64_t digits_of(int64_t x)
{
    int64_t sum = 0;
    for (x = llabs(x); x; x /= 10)
        sum += x % 10;
    return sum;
}
static int ascending(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* ---- a list to a list: filters keep some, maps change each; x is the number, i its place ---- */

#define FILTER(name, condition)                                                                                                            \
    static bool name(const struct code_value *in, int64_t k, struct code_value *out)                                                       \
    {                                                                                                                                      \
        (void)k;                                                                                                                           \
        for (int64_t i = 0; i < in->n; i++) {                                                                                              \
            int64_t x = in->list[i];                                                                                                       \
            if ((condition) && !push(out, x))                                                                                              \
                return false;                                                                                                              \
        }                                                                                                                                  \
        return true;                                                                                                                       \
    }
#define MAP(name, value)                                                                                                                   \
    static bool name(const struct code_value *in, int64_t k, struct code_value *out)                                                       \
    {                                                                                                                                      \
        (void)k;                                                                                                                           \
        for (int64_t i = 0; i < in->n; i++) {                                                                                              \
            int64_t x = in->list[i];                                                                                                       \
            if (!push(out, value))                                                                                                         \
                return false;                                                                                                              \
        }                                                                                                                                  \
        return true;                                                                                                                       \
    }
FILTER(keep_even, x % 2 == 0)
FILTER(keep_odd, x % 2 != 0)
FILTER(keep_multiples, x % k == 0)
FILTER(keep_greater, x > k)
FILTER(keep_less, x < k)
FILTER(keep_repeated, count_of(in, x) > 1)
FILTER(take, i < k)
FILTER(drop, i >= k)
FILTER(take_second, i % 2 == 0)
FILTER(keep_first_occurrences, count_of(out, x) == 0)
MAP(add, x + k)
MAP(times, x *k)
MAP(square, x *x)
MAP(negate, -x)
MAP(absolute, x < 0 ? -x : x)
MAP(reduce_modulo, modulo(x, k))
MAP(digit_sums, digits_of(x))
MAP(reverse, in->list[in->n - 1 - i] + 0 * x)
MAP(rotate, in->list[(i + k) % in->n] + 0 * x)
MAP(occurrences, count_of(in, x))
MAP(prefix_sums, x + (i ? out->list[i - 1] : 0))
MAP(running_largest, i && out->list[i - 1] > x ? out->list[i - 1] : x)

static bool sort_up(const struct code_value *in, int64_t k, struct code_value *out)
{
    (void)k;
    *out = *in;
    qsort(out->list, (size_t)out->n, sizeof(out->list[0]), ascending);
    return true;
}
static bool sort_down(const struct code_value *in, int64_t k, struct code_value *out)
{
    struct code_value up = {.type = CODE_LIST};
    return sort_up(in, k, &up) && reverse(&up, k, out);
}
static bool differences(const struct code_value *in, int64_t k, struct code_value *out)
{
    (void)k;
    for (int64_t i = 1; i < in->n; i++)
        if (!push(out, in->list[i] - in->list[i - 1]))
            return false;
    return true;
}
static bool pair_sums(const struct code_value *in, int64_t k, struct code_value *out)
{
    (void)k;
    for (int64_t i = 1; i < in->n; i++)
        if (!push(out, in->list[i] + in->list[i - 1]))
            return false;
    return true;
}
static bool records(const struct code_value *in, int64_t k, struct code_value *out)
{
    (void)k;
    for (int64_t i = 0; i < in->n; i++)
        if ((out->n == 0 || in->list[i] > out->list[out->n - 1]) && !push(out, in->list[i]))
            return false;
    return true;
}
static bool ranks(const struct code_value *in, int64_t k, struct code_value *out)
{
    (void)k;
    for (int64_t i = 0; i < in->n; i++) {
        int64_t smaller = 0;
        for (int64_t j = 0; j < in->n; j++)
            smaller += in->list[j] < in->list[i];
        if (!push(out, smaller))
            return false;
    }
    return true;
}

/* ---- a list to a number: a fold over x with the value v so far ---- */

#define FOLD(name, start, next)                                                                                                            \
    static bool name(const struct code_value *in, int64_t k, struct code_value *out)                                                       \
    {                                                                                                                                      \
        int64_t v = start;                                                                                                                 \
        (void)k;                                                                                                                           \
        for (int64_t i = 0; i < in->n; i++) {                                                                                              \
            int64_t x = in->list[i];                                                                                                       \
            v = next;                                                                                                                      \
        }                                                                                                                                  \
        out->number = v;                                                                                                                   \
        return v <= LARGEST * LARGEST && v >= -LARGEST * LARGEST;                                                                          \
    }
FOLD(sum, 0, v + x)
FOLD(largest, 0, i == 0 || x > v ? x : v)
FOLD(smallest, 0, i == 0 || x < v ? x : v)
FOLD(count_all, 0, v + 1 + 0 * x)
FOLD(alternating, 0, i % 2 ? v - x : v + x)
FOLD(product_modulo, 1, modulo(v *modulo(x, k), k))
FOLD(count_negative, 0, v + (x < 0))

static int64_t gcd(int64_t a, int64_t b)
{
    return b ? gcd(b, a % b) : a;
}
FOLD(divisor, 0, gcd(v, llabs(x)))

static bool spread(const struct code_value *in, int64_t k, struct code_value *out)
{
    struct code_value low = {0}, high = {0};
    smallest(in, k, &low);
    largest(in, k, &high);
    out->number = high.number - low.number;
    return true;
}
static bool count_distinct(const struct code_value *in, int64_t k, struct code_value *out)
{
    struct code_value once = {0};
    if (!keep_first_occurrences(in, k, &once))
        return false;
    out->number = once.n;
    return true;
}
static bool place_of_largest(const struct code_value *in, int64_t k, struct code_value *out)
{
    (void)k;
    for (int64_t i = 0; i < in->n; i++)
        if (out->number == 0 || in->list[i] > in->list[out->number - 1])
            out->number = i + 1;
    return true;
}
static bool median(const struct code_value *in, int64_t k, struct code_value *out)
{
    struct code_value up = {0};
    sort_up(in, k, &up);
    out->number = up.n ? up.list[(up.n - 1) / 2] : 0;
    return true;
}
static bool best_stretch(const struct code_value *in, int64_t k, struct code_value *out)
{
    int64_t run = 0;
    (void)k;
    for (int64_t i = 0; i < in->n; i++) {
        run = run + in->list[i] > 0 ? run + in->list[i] : 0;
        out->number = run > out->number ? run : out->number;
    }
    return true;
}
static bool longest_run(const struct code_value *in, int64_t k, struct code_value *out)
{
    int64_t run = 0;
    (void)k;
    for (int64_t i = 0; i < in->n; i++) {
        run = i && in->list[i] >= in->list[i - 1] ? run + 1 : 1;
        out->number = run > out->number ? run : out->number;
    }
    return true;
}
static bool inversions(const struct code_value *in, int64_t k, struct code_value *out)
{
    (void)k;
    for (int64_t i = 0; i < in->n; i++)
        for (int64_t j = i + 1; j < in->n; j++)
            out->number += in->list[i] > in->list[j];
    return true;
}
static bool pairs_with_sum(const struct code_value *in, int64_t k, struct code_value *out)
{
    for (int64_t i = 0; i < in->n; i++)
        for (int64_t j = i + 1; j < in->n; j++)
            out->number += in->list[i] + in->list[j] == k;
    return true;
}
static bool longest_rising(const struct code_value *in, int64_t k, struct code_value *out)
{
    int64_t best[CODE_LONGEST];
    (void)k;
    for (int64_t i = 0; i < in->n; i++) {
        best[i] = 1;
        for (int64_t j = 0; j < i; j++)
            if (in->list[j] < in->list[i] && best[j] + 1 > best[i])
                best[i] = best[j] + 1;
        out->number = best[i] > out->number ? best[i] : out->number;
    }
    return true;
}

#define L CODE_LIST, CODE_LIST
#define N CODE_LIST, CODE_INT
const struct code_concept code_lists[] = {
    {"even numbers", L, "keep only the even numbers", "a = [x for x in a if x % 2 == 0]", 0, 0, 1, keep_even},
    {"odd numbers", L, "keep only the odd numbers", "a = [x for x in a if x % 2 != 0]", 0, 0, 1, keep_odd},
    {"multiples", L, "keep only the multiples of $k", "a = [x for x in a if x % $k == 0]", 3, 5, 1, keep_multiples},
    {"greater than", L, "keep only the numbers greater than $k", "a = [x for x in a if x > $k]", 0, 12, 1, keep_greater},
    {"less than", L, "keep only the numbers less than $k", "a = [x for x in a if x < $k]", 3, 15, 1, keep_less},
    {"adding", L, "add $k to every number", "a = [x + $k for x in a]", 1, 9, 1, add},
    {"multiplying", L, "multiply every number by $k", "a = [x * $k for x in a]", 2, 5, 1, times},
    {"squares", L, "replace every number by its square", "a = [x * x for x in a]", 0, 0, 1, square},
    {"negation", L, "change the sign of every number", "a = [-x for x in a]", 0, 0, 1, negate},
    {"absolute values", L, "replace every number by its absolute value", "a = [abs(x) for x in a]", 0, 0, 1, absolute},
    {"remainders", L, "replace every number by its remainder modulo $k, which is never negative", "a = [x % $k for x in a]", 2, 9, 2,
     reduce_modulo},
    {"ascending order", L, "sort the numbers in ascending order", "a = sorted(a)", 0, 0, 1, sort_up},
    {"descending order", L, "sort the numbers in descending order", "a = sorted(a, reverse=True)", 0, 0, 1, sort_down},
    {"reversal", L, "reverse the order of the numbers", "a = a[::-1]", 0, 0, 1, reverse},
    {"first occurrences", L, "keep only the first occurrence of every number", "a = list(dict.fromkeys(a))", 0, 0, 2,
     keep_first_occurrences},
    {"repeated numbers", L, "keep only the numbers that occur more than once, with all their occurrences",
     "a = [x for x in a if a.count(x) > 1]", 0, 0, 2, keep_repeated},
    {"first numbers", L, "keep only the first $k numbers", "a = a[:$k]", 2, 5, 1, take},
    {"leaving out", L, "leave out the first $k numbers", "a = a[$k:]", 1, 3, 1, drop},
    {"every second", L, "keep every second number, beginning with the first", "a = a[::2]", 0, 0, 1, take_second},
    {"rotation", L, "move the first number to the end, $k times in all", "for _ in range($k):\n    a = a[1:] + a[:1]", 1, 4, 2, rotate},
    {"digit sums", L, "replace every number by the sum of its decimal digits, whatever its sign",
     "a = [sum(int(c) for c in str(abs(x))) for x in a]", 0, 0, 2, digit_sums},
    {"prefix sums", L, "replace every number by the sum of the list up to and including it",
     "total = 0\nsums = []\nfor x in a:\n    total += x\n    sums.append(total)\na = sums", 0, 0, 2, prefix_sums},
    {"differences", L, "replace the list by its differences, each number but the first minus the one before it",
     "a = [y - x for x, y in zip(a, a[1:])]", 0, 0, 2, differences},
    {"sums of neighbours", L, "replace the list by the sums of every two neighbours", "a = [x + y for x, y in zip(a, a[1:])]", 0, 0, 2,
     pair_sums},
    {"running maximum", L, "replace every number by the largest of the list up to and including it",
     "best = []\nfor x in a:\n    best.append(max(best[-1], x) if best else x)\na = best", 0, 0, 2, running_largest},
    {"records", L, "keep only the numbers that are greater than all before them",
     "best = []\nfor x in a:\n    if not best or x > best[-1]:\n        best.append(x)\na = best", 0, 0, 3, records},
    {"occurrences", L, "replace every number by how often it occurs in the list", "a = [a.count(x) for x in a]", 0, 0, 3, occurrences},
    {"ranks", L, "replace every number by how many numbers of the list are smaller", "a = [sum(y < x for y in a) for x in a]", 0, 0, 3,
     ranks},
    {"sum", N, "give the sum of the numbers", "n = sum(a)", 0, 0, 1, sum},
    {"maximum", N, "give the largest number, 0 if there is none", "n = max(a, default=0)", 0, 0, 1, largest},
    {"minimum", N, "give the smallest number, 0 if there is none", "n = min(a, default=0)", 0, 0, 1, smallest},
    {"counting", N, "give how many numbers there are", "n = len(a)", 0, 0, 1, count_all},
    {"negative numbers", N, "give how many numbers are negative", "n = sum(x < 0 for x in a)", 0, 0, 1, count_negative},
    {"spread", N, "give the largest number minus the smallest, 0 if there is none", "n = max(a) - min(a) if a else 0", 0, 0, 1, spread},
    {"distinct numbers", N, "give how many different numbers there are", "n = len(set(a))", 0, 0, 1, count_distinct},
    {"alternating sum", N, "give the first number minus the second plus the third and so on", "n = sum(a[::2]) - sum(a[1::2])", 0, 0, 2,
     alternating},
    {"product", N, "give the product of the numbers modulo $k, which is 1 if there are none", "n = 1\nfor x in a:\n    n = n * x % $k", 7,
     97, 2, product_modulo},
    {"common divisor", N, "give the greatest common divisor of the numbers, 0 if there are none or all are 0",
     "n = 0\nfor x in a:\n    x = abs(x)\n    while x:\n        n, x = x, n % x", 0, 0, 2, divisor},
    {"place of the maximum", N, "give the place, from 1, of the first largest number, 0 if there is none",
     "n = a.index(max(a)) + 1 if a else 0", 0, 0, 2, place_of_largest},
    {"median", N, "give the middle number in ascending order, the smaller one of two, 0 if there is none",
     "n = sorted(a)[(len(a) - 1) // 2] if a else 0", 0, 0, 2, median},
    {"best stretch", N, "give the largest sum of numbers in a row, 0 if none is positive",
     "n = run = 0\nfor x in a:\n    run = max(run + x, 0)\n    n = max(n, run)", 0, 0, 3, best_stretch},
    {"longest run", N, "give the length of the longest part in a row in which no number is less than the one before it",
     "n = run = 0\nfor i, x in enumerate(a):\n    run = run + 1 if i and x >= a[i - 1] else 1\n    n = max(n, run)", 0, 0, 3, longest_run},
    {"inversions", N, "give the number of pairs in which the earlier number is greater than the later one",
     "n = sum(a[i] > a[j] for j in range(len(a)) for i in range(j))", 0, 0, 3, inversions},
    {"pairs with a sum", N, "give the number of pairs of places whose numbers add up to $k",
     "n = sum(a[i] + a[j] == $k for j in range(len(a)) for i in range(j))", 2, 12, 3, pairs_with_sum},
    {"rising subsequence", N, "give the length of the longest subsequence in which every number is greater than the one before it",
     "best = []\nfor i, x in enumerate(a):\n    best.append(1 + max((best[j] for j in range(i) if a[j] < x), default=0))\n"
     "n = max(best, default=0)",
     0, 0, 3, longest_rising},
    {0},
};
