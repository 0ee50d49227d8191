/* data/synth/code_texts.c - programming concepts over strings and over integers. See code.h. Strings are of letters, digits and single
 * blanks between words; integers are positive. */
#include "data/synth/code.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

static bool push(struct code_value *v, int64_t x)
{
    if (v->n == CODE_LONGEST)
        return false;
    v->list[v->n++] = x;
    return true;
}
static bool add_char(struct code_value *v, int c)
{
    size_t n = strlen(v->text);
    if (n + 1 >= CODE_TEXT)
        return false;
    v->text[n] = (char)c;
    return true;
}
static bool vowel(int c)
{
    return c && strchr("aeiouAEIOU", c);
}

/* ---- a string to a string; c is the character, i its place, n the string's length; a text at c, "" to leave it out ---- */

#define CHARS(name, keep, first, second)                                                                                                   \
    static bool name(const struct code_value *in, int64_t k, struct code_value *out)                                                       \
    {                                                                                                                                      \
        const char *s = in->text;                                                                                                          \
        int64_t n = (int64_t)strlen(s);                                                                                                    \
        (void)k;                                                                                                                           \
        for (int64_t i = 0; i < n; i++) {                                                                                                  \
            int c = s[i], more = 0;                                                                                                        \
            if ((keep) && !(add_char(out, first) && ((more = (second)) == 0 || add_char(out, more))))                                      \
                return false;                                                                                                              \
        }                                                                                                                                  \
        return true;                                                                                                                       \
    }
CHARS(reverse, true, s[n - 1 - i] + 0 * c, 0)
CHARS(capitals, true, toupper(c), 0)
CHARS(no_vowels, !vowel(c), c, 0)
CHARS(only_vowels, vowel(c), c, 0)
CHARS(shift, true, islower(c) ? 'a' + (c - 'a' + (int)k) % 26 : c, 0)
CHARS(twice, true, c, c)
CHARS(no_blanks, c != ' ', c, 0)
CHARS(collapse, i == 0 || c != s[i - 1], c, 0)
CHARS(every_kth, i % k == 0, c, 0)
CHARS(vowels_up, true, vowel(c) ? toupper(c) : c, 0)

static bool sort_chars(const struct code_value *in, int64_t k, struct code_value *out)
{
    (void)k;
    for (int c = 1; c < 128; c++)
        for (const char *p = in->text; *p; p++)
            if (*p == c && c != ' ' && !add_char(out, c))
                return false;
    return true;
}
/* The words, cut at blanks; returns how many. */
static int words_of(const struct code_value *in, char word[][CODE_TEXT])
{
    int n = 0;
    char text[CODE_TEXT], *rest = text, *w;
    snprintf(text, sizeof(text), "%s", in->text);
    while ((w = strtok_r(rest, " ", &rest)))
        snprintf(word[n++], CODE_TEXT, "%s", w);
    return n;
}
static bool words_backwards(const struct code_value *in, int64_t k, struct code_value *out)
{
    char word[CODE_TEXT][CODE_TEXT];
    (void)k;
    for (int i = words_of(in, word) - 1; i >= 0; i--) {
        strcat(out->text, word[i]); /* no longer than in */
        strcat(out->text, i ? " " : "");
    }
    return true;
}
static bool initials(const struct code_value *in, int64_t k, struct code_value *out)
{
    char word[CODE_TEXT][CODE_TEXT];
    (void)k;
    for (int i = 0, n = words_of(in, word); i < n; i++)
        if (!add_char(out, word[i][0]))
            return false;
    return true;
}
static bool run_lengths(const struct code_value *in, int64_t k, struct code_value *out)
{
    (void)k;
    for (const char *p = in->text; *p;) {
        size_t run = strspn(p, (char[]){*p, 0}), n = strlen(out->text);
        if (n + 8 >= CODE_TEXT)
            return false;
        snprintf(out->text + n, CODE_TEXT - n, "%c%zu", *p, run);
        p += run;
    }
    return true;
}

/* ---- a string to a number or a list: counts of what holds for the character c at place i ---- */

#define COUNT(name, condition)                                                                                                             \
    static bool name(const struct code_value *in, int64_t k, struct code_value *out)                                                       \
    {                                                                                                                                      \
        const char *s = in->text;                                                                                                          \
        (void)k;                                                                                                                           \
        for (int64_t i = 0; s[i]; i++) {                                                                                                   \
            int c = s[i];                                                                                                                  \
            out->number += (condition);                                                                                                    \
        }                                                                                                                                  \
        return true;                                                                                                                       \
    }
COUNT(length, c != 0)
COUNT(count_vowels, vowel(c))
COUNT(count_words, c != ' ' && (i == 0 || s[i - 1] == ' '))
COUNT(count_letters, memchr(s, c, (size_t)i) == NULL)
COUNT(count_doubles, i &&c == s[i - 1])

static bool longest_run(const struct code_value *in, int64_t k, struct code_value *out)
{
    (void)k;
    for (const char *p = in->text; *p;) {
        size_t run = strspn(p, (char[]){*p, 0});
        out->number = (int64_t)run > out->number ? (int64_t)run : out->number;
        p += run;
    }
    return true;
}
static bool palindrome_changes(const struct code_value *in, int64_t k, struct code_value *out)
{
    size_t n = strlen(in->text);
    (void)k;
    for (size_t i = 0; i < n / 2; i++)
        out->number += in->text[i] != in->text[n - 1 - i];
    return true;
}
static bool word_lengths(const struct code_value *in, int64_t k, struct code_value *out)
{
    char word[CODE_TEXT][CODE_TEXT];
    (void)k;
    for (int i = 0, n = words_of(in, word); i < n; i++)
        if (!push(out, (int64_t)strlen(word[i])))
            return false;
    return true;
}
static bool letter_numbers(const struct code_value *in, int64_t k, struct code_value *out)
{
    (void)k;
    for (const char *p = in->text; *p; p++)
        if (islower((unsigned char)*p) && !push(out, *p - 'a' + 1))
            return false;
    return true;
}

#define S CODE_STRING, CODE_STRING
#define C CODE_STRING, CODE_INT
const struct code_concept code_texts[] = {
    {"reversed string", S, "reverse the string", "s = s[::-1]", 0, 0, 1, reverse},
    {"capital letters", S, "turn all letters into capitals", "s = s.upper()", 0, 0, 1, capitals},
    {"removing vowels", S, "remove all vowels (a, e, i, o, u, small or capital)", "s = ''.join(c for c in s if c not in 'aeiouAEIOU')", 0,
     0, 1, no_vowels},
    {"keeping vowels", S, "keep only the vowels (a, e, i, o, u, small or capital)", "s = ''.join(c for c in s if c in 'aeiouAEIOU')", 0, 0,
     1, only_vowels},
    {"capital vowels", S, "turn the vowels (a, e, i, o, u) into capitals", "s = ''.join(c.upper() if c in 'aeiou' else c for c in s)", 0, 0,
     2, vowels_up},
    {"letter shift", S, "move every small letter $k places on in the alphabet, with a after z",
     "s = ''.join(chr((ord(c) - 97 + $k) % 26 + 97) if c.islower() else c for c in s)", 1, 12, 2, shift},
    {"doubled characters", S, "write every character twice", "s = ''.join(c + c for c in s)", 0, 0, 1, twice},
    {"removing blanks", S, "remove the blanks", "s = s.replace(' ', '')", 0, 0, 1, no_blanks},
    {"collapsing runs", S, "leave out every character that equals the one before it",
     "s = ''.join(c for i, c in enumerate(s) if i == 0 or c != s[i - 1])", 0, 0, 2, collapse},
    {"every k-th character", S, "keep only every character whose place, counted from 0, is a multiple of $k", "s = s[::$k]", 2, 3, 1,
     every_kth},
    {"sorted characters", S, "leave out the blanks and sort the characters by their codes", "s = ''.join(sorted(s.replace(' ', '')))", 0, 0,
     2, sort_chars},
    {"word order", S, "reverse the order of the words, with one blank between them", "s = ' '.join(s.split()[::-1])", 0, 0, 2,
     words_backwards},
    {"initials", S, "keep only the first character of every word, without blanks", "s = ''.join(w[0] for w in s.split())", 0, 0, 2,
     initials},
    {"run lengths", S, "replace every run of equal characters by the character and the length of the run",
     "out = ''\ni = 0\nwhile i < len(s):\n    j = i\n    while j < len(s) and s[j] == s[i]:\n        j += 1\n"
     "    out += s[i] + str(j - i)\n    i = j\ns = out",
     0, 0, 3, run_lengths},
    {"length of a string", C, "give the length of the string", "n = len(s)", 0, 0, 1, length},
    {"counting vowels", C, "give the number of vowels (a, e, i, o, u, small or capital)", "n = sum(c in 'aeiouAEIOU' for c in s)", 0, 0, 1,
     count_vowels},
    {"counting words", C, "give the number of words", "n = len(s.split())", 0, 0, 1, count_words},
    {"different characters", C, "give the number of different characters, blanks included", "n = len(set(s))", 0, 0, 1, count_letters},
    {"equal neighbours", C, "give the number of characters that equal the one before them", "n = sum(x == y for x, y in zip(s, s[1:]))", 0,
     0, 2, count_doubles},
    {"longest run of a character", C, "give the length of the longest run of equal characters, 0 for the empty string",
     "n = run = 0\nfor i, c in enumerate(s):\n    run = run + 1 if i and c == s[i - 1] else 1\n    n = max(n, run)", 0, 0, 3, longest_run},
    {"changes to a palindrome", C, "give the number of characters that have to be changed to make the string a palindrome",
     "n = sum(x != y for x, y in zip(s, s[::-1])) // 2", 0, 0, 3, palindrome_changes},
    {"word lengths", CODE_STRING, CODE_LIST, "make a list of the lengths of the words", "a = [len(w) for w in s.split()]", 0, 0, 1,
     word_lengths},
    {"letter numbers", CODE_STRING, CODE_LIST, "make a list of the places in the alphabet of the small letters, 1 for a",
     "a = [ord(c) - 96 for c in s if c.islower()]", 0, 0, 2, letter_numbers},
    {0},
};

/* ---- an integer ---- */

static const int64_t LARGEST = 1000000000;

static bool set(struct code_value *out, int64_t v)
{
    out->number = v;
    return v >= 1 && v <= LARGEST;
}
static bool plus(const struct code_value *in, int64_t k, struct code_value *out)
{
    return set(out, in->number + k);
}
static bool multiplied(const struct code_value *in, int64_t k, struct code_value *out)
{
    return set(out, in->number * k);
}
static bool digit_sum(const struct code_value *in, int64_t k, struct code_value *out)
{
    int64_t sum = 0;
    (void)k;
    for (int64_t v = in->number; v; v /= 10)
        sum += v % 10;
    return set(out, sum);
}
static bool reversed_digits(const struct code_value *in, int64_t k, struct code_value *out)
{
    int64_t w = 0;
    (void)k;
    for (int64_t v = in->number; v; v /= 10)
        w = 10 * w + v % 10;
    return set(out, w);
}
static bool divisor_count(const struct code_value *in, int64_t k, struct code_value *out)
{
    int64_t n = 0;
    (void)k;
    for (int64_t d = 1; d <= in->number; d++)
        n += in->number % d == 0;
    return set(out, n) && in->number <= 100000;
}
static bool collatz_steps(const struct code_value *in, int64_t k, struct code_value *out)
{
    int64_t n = 0;
    (void)k;
    for (int64_t v = in->number; v != 1; n++)
        v = v % 2 ? 3 * v + 1 : v / 2;
    out->number = n;
    return n >= 1;
}
static bool one_bits(const struct code_value *in, int64_t k, struct code_value *out)
{
    int64_t n = 0;
    (void)k;
    for (int64_t v = in->number; v; v /= 2)
        n += v % 2;
    return set(out, n);
}
static bool next_multiple(const struct code_value *in, int64_t k, struct code_value *out)
{
    return set(out, (in->number / k + 1) * k);
}
static bool power_modulo(const struct code_value *in, int64_t k, struct code_value *out)
{
    int64_t v = 1;
    for (int64_t i = 0; i < in->number % 1000000; i++)
        v = 2 * v % k;
    return set(out, v) && in->number < 1000000;
}
static bool digits(const struct code_value *in, int64_t k, struct code_value *out)
{
    char text[32];
    (void)k;
    snprintf(text, sizeof(text), "%ld", in->number);
    for (const char *p = text; *p; p++)
        if (!push(out, *p - '0'))
            return false;
    return true;
}
static bool divisors(const struct code_value *in, int64_t k, struct code_value *out)
{
    (void)k;
    for (int64_t d = 1; d <= in->number; d++)
        if (in->number % d == 0 && !push(out, d))
            return false;
    return in->number <= 100000;
}
static bool up_to(const struct code_value *in, int64_t k, struct code_value *out)
{
    (void)k;
    for (int64_t v = 1; v <= in->number; v++)
        if (!push(out, v))
            return false;
    return true;
}
static bool bits(const struct code_value *in, int64_t k, struct code_value *out)
{
    (void)k;
    for (int64_t bit = (int64_t)1 << 40; bit; bit /= 2)
        if (bit <= in->number && !push(out, in->number / bit % 2))
            return false;
    return true;
}
static bool prime_factors(const struct code_value *in, int64_t k, struct code_value *out)
{
    (void)k;
    int64_t v = in->number;
    for (int64_t d = 2; v > 1 && d <= 100000; d++)
        for (; v % d == 0; v /= d)
            if (!push(out, d))
                return false;
    return v == 1;
}

#define I CODE_INT, CODE_INT
#define A CODE_INT, CODE_LIST
const struct code_concept code_numbers[] = {
    {"plus", I, "add $k", "n += $k", 1, 30, 1, plus},
    {"times", I, "multiply by $k", "n *= $k", 2, 9, 1, multiplied},
    {"digit sum", I, "take the sum of its decimal digits", "n = sum(int(c) for c in str(n))", 0, 0, 1, digit_sum},
    {"reversed digits", I, "take the number with its decimal digits reversed", "n = int(str(n)[::-1])", 0, 0, 1, reversed_digits},
    {"divisor count", I, "take the number of its positive divisors", "n = sum(n % d == 0 for d in range(1, n + 1))", 0, 0, 2,
     divisor_count},
    {"Collatz steps", I, "count the steps down to 1, where an even number is halved and an odd one becomes three times itself plus 1",
     "steps = 0\nwhile n != 1:\n    n = 3 * n + 1 if n % 2 else n // 2\n    steps += 1\nn = steps", 0, 0, 3, collatz_steps},
    {"binary ones", I, "take the number of ones in its binary form", "n = bin(n).count('1')", 0, 0, 2, one_bits},
    {"next multiple", I, "take the next multiple of $k that is greater", "n = (n // $k + 1) * $k", 3, 12, 1, next_multiple},
    {"power of two", I, "take 2 to this power, modulo $k", "n = pow(2, n, $k)", 5, 99, 2, power_modulo},
    {"digits", A, "make a list of its decimal digits", "a = [int(c) for c in str(n)]", 0, 0, 1, digits},
    {"divisors", A, "make a list of its positive divisors in ascending order", "a = [d for d in range(1, n + 1) if n % d == 0]", 0, 0, 2,
     divisors},
    {"counting up", A, "make a list of the integers from 1 to it", "a = list(range(1, n + 1))", 0, 0, 1, up_to},
    {"binary digits", A, "make a list of its binary digits", "a = [int(c) for c in bin(n)[2:]]", 0, 0, 2, bits},
    {"prime factors", A, "make a list of its prime factors in ascending order, each as often as it divides",
     "a = []\nd = 2\nwhile n > 1:\n    while n % d == 0:\n        a.append(d)\n        n //= d\n    d += 1", 0, 0, 3, prime_factors},
    {0},
};
