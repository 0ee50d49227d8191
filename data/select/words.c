/* data/select/words.c - see words.h. */
#include "data/select/words.h"
#include "core/err.h"
#include "data/borders.h" /* utf8_char, utf8_code */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL /* no library to link */
#include <xxhash.h>    /* XXH3_64bits */

enum { LONGEST = 64 }; /* bytes of a word; a longer run is cut into several */

struct scan {
    struct words *w;
    const unsigned char *text;
    size_t at, end;
    bool line; /* no word yet in this line */
};

/* LaTeX that stands for a sign, or for how something looks. Sorted. */
static const char *const silent[] = {
    "Big",    "Bigg",         "Biggl",   "Biggr",  "Bigl",   "Bigr",      "begin",    "big",    "bigg",   "biggl",
    "biggr",  "bigl",         "bigr",    "cdot",   "cdots",  "cfrac",     "circ",     "degree", "dfrac",  "displaystyle",
    "div",    "dots",         "end",     "frac",   "ge",     "geq",       "geqslant", "hspace", "item",   "langle",
    "lbrace", "lceil",        "ldots",   "le",     "left",   "leq",       "leqslant", "lfloor", "limits", "lvert",
    "mathbb", "mathbf",       "mathcal", "mathit", "mathrm", "mathsf",    "mbox",     "mid",    "mp",     "ne",
    "neq",    "operatorname", "pm",      "qquad",  "quad",   "rangle",    "rbrace",   "rceil",  "rfloor", "right",
    "rvert",  "text",         "textbf",  "textit", "textrm", "textstyle", "texttt",   "tfrac",  "times"};

static const struct {
    const char *character, *name;
} named[] = {{"√", "sqrt"},  {"∞", "infty"},  {"α", "alpha"}, {"β", "beta"},     {"γ", "gamma"}, {"δ", "delta"}, {"ε", "epsilon"},
             {"θ", "theta"}, {"λ", "lambda"}, {"μ", "mu"},    {"π", "pi"},       {"ρ", "rho"},   {"σ", "sigma"}, {"τ", "tau"},
             {"φ", "phi"},   {"ω", "omega"},  {"∠", "angle"}, {"△", "triangle"}, {"∑", "sum"},   {"∫", "int"},   {"∈", "in"}};

static int by_text(const void *key, const void *element)
{
    return strcmp(key, *(const char *const *)element);
}

static bool is_number_name(const char *word)
{
    static const char *const names[] = {"eight",  "eighteen",  "eighty",  "eleven",  "fifteen", "fifty",    "five",   "forty",
                                        "four",   "fourteen",  "hundred", "million", "nine",    "nineteen", "ninety", "one",
                                        "seven",  "seventeen", "seventy", "six",     "sixteen", "sixty",    "ten",    "thirteen",
                                        "thirty", "thousand",  "three",   "twelve",  "twenty",  "two",      "zero"};
    return bsearch(word, names, sizeof names / sizeof *names, sizeof *names, by_text) != NULL;
}

static void push(struct scan *s, const char *word, size_t n, size_t from, bool digits)
{
    struct words *w = s->w;
    if (w->n == w->room)
        w->at = xrealloc(w->at, (size_t)(w->room = 2 * w->room + 256) * sizeof *w->at);
    w->at[w->n++] = (struct word){XXH3_64bits(word, n), (uint32_t)from, (uint32_t)(s->at - from), digits || is_number_name(word), s->line};
    s->line = false;
}

/* What a character beyond ASCII is: part of a word, a word, or neither. */
enum wide { WIDE_LETTER, WIDE_WORD, WIDE_SIGN };
static enum wide kind_of(const unsigned char *p, size_t len)
{
    uint32_t c = utf8_code(p, len);
    if (c < 0xc0 || c == 0xd7 || c == 0xf7 || (c >= 0x2000 && c < 0x2c00) || (c >= 0x3000 && c < 0x3040) || (c >= 0xfe00 && c < 0xff10) ||
        (c >= 0xff1a && c < 0xff21) || (c >= 0x1f000 && c < 0x20000))
        return WIDE_SIGN;
    return (c >= 0x3040 && c < 0xa000) || (c >= 0xac00 && c < 0xd7b0) || (c >= 0x20000 && c < 0x40000) ? WIDE_WORD : WIDE_LETTER;
}

/* Bytes of an apostrophe between two letters. */
static size_t apostrophe(const struct scan *s)
{
    const unsigned char *p = s->text + s->at;
    size_t left = s->end - s->at, n = *p == '\'' ? 1 : left > 3 && memcmp(p, "’", 3) == 0 ? 3 : 0;
    return n > 0 && left > n && isalpha(p[n]) ? n : 0;
}

static void letters(struct scan *s)
{
    char word[LONGEST + 8];
    size_t n = 0, from = s->at, len;
    while (s->at < s->end && n < LONGEST) {
        const unsigned char *p = s->text + s->at;
        if (isalpha(*p)) {
            word[n++] = (char)tolower(*p);
            s->at++;
        } else if (*p >= 0x80 && (len = utf8_char(p, s->end - s->at)) > 1 && kind_of(p, len) == WIDE_LETTER) {
            memcpy(word + n, p, len);
            n += len;
            s->at += len;
        } else if (n > 0 && (len = apostrophe(s)) > 0) {
            s->at += len;
        } else {
            break;
        }
    }
    word[n] = '\0';
    push(s, word, n, from, false);
}

/* Bytes of a comma that parts thousands: three digits, and no more, come after it. */
static size_t thousands(const struct scan *s)
{
    const unsigned char *p = s->text + s->at;
    size_t left = s->end - s->at, n = *p == ',' ? 1 : left > 3 && memcmp(p, "{,}", 3) == 0 ? 3 : 0;
    for (size_t i = 0; n > 0 && i < 3; i++)
        if (left <= n + i || !isdigit(p[n + i]))
            return 0;
    return n > 0 && !(left > n + 3 && isdigit(p[n + 3])) ? n : 0;
}

static void digits(struct scan *s)
{
    char word[LONGEST + 1];
    size_t n = 0, from = s->at, comma;
    while (s->at < s->end && n < LONGEST) {
        if (isdigit(s->text[s->at]))
            word[n++] = (char)s->text[s->at++];
        else if ((comma = thousands(s)) > 0)
            s->at += comma;
        else
            break;
    }
    word[n] = '\0';
    push(s, word, n, from, true);
}

/* After a backslash. \n and \t as two characters (JSON inside of text) are rarer than \nu and \tau: they stay words. */
static void command(struct scan *s)
{
    char name[16];
    size_t n = 0;
    while (s->at + n < s->end && n < sizeof name - 1 && isalpha(s->text[s->at + n])) {
        name[n] = (char)s->text[s->at + n];
        n++;
    }
    name[n] = '\0';
    if (n > 0 && bsearch(name, silent, sizeof silent / sizeof *silent, sizeof *silent, by_text))
        s->at += n;
}

static void beyond_ascii(struct scan *s)
{
    const unsigned char *p = s->text + s->at;
    size_t len = utf8_char(p, s->end - s->at), from = s->at;
    if (len < 2) {
        s->at++;
        return;
    }
    for (size_t i = 0; i < sizeof named / sizeof *named; i++)
        if (strlen(named[i].character) == len && memcmp(named[i].character, p, len) == 0) {
            s->at += len;
            push(s, named[i].name, strlen(named[i].name), from, false);
            return;
        }
    enum wide kind = kind_of(p, len);
    if (kind == WIDE_LETTER) {
        letters(s);
        return;
    }
    s->at += len;
    if (kind == WIDE_WORD)
        push(s, (const char *)p, len, from, false);
}

/* Past a drawing that begins here, or past one character. */
static void sign(struct scan *s)
{
    static const char OPEN[] = "[asy]", CLOSE[] = "[/asy]";
    const char *p = (const char *)s->text + s->at, *end = NULL;
    if (s->end - s->at > sizeof OPEN && memcmp(p, OPEN, sizeof OPEN - 1) == 0)
        end = memmem(p, s->end - s->at, CLOSE, sizeof CLOSE - 1);
    s->at += end ? (size_t)(end - p) + sizeof CLOSE - 1 : 1;
}

void words_of(struct words *w, const char *text, size_t n)
{
    struct scan s = {w, (const unsigned char *)text, 0, n, true};
    must(n <= UINT32_MAX);
    w->n = 0;
    while (s.at < n) {
        unsigned char c = s.text[s.at];
        if (isalpha(c))
            letters(&s);
        else if (isdigit(c))
            digits(&s);
        else if (c >= 0x80)
            beyond_ascii(&s);
        else {
            s.line = s.line || c == '\n';
            sign(&s);
            if (c == '\\')
                command(&s);
        }
    }
}

void words_free(struct words *w)
{
    free(w->at);
    *w = (struct words){0};
}
