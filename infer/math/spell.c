/* infer/math/spell.c - one spelling for what LaTeX, Unicode and plain writing spell in many ways: the first pass over an answer. Three control
 * characters come out of it: 1 a comma inside a number, 2 a currency's sign, 3 a degree sign. See parse.h. */
#include "infer/math/parse.h"
#include <ctype.h>
#include <stdint.h>
#include <string.h>

/* Commands stand for themselves only when no letter follows. A replacement may be at most GROWTH times as long as what it replaces. */
enum { GROWTH = 8 };
static const struct {
    const char *from, *to;
} spellings[] = {
    {"{,}", "\x01"},
    {",\\!", "\x01"},
    {"\\left.", " "},
    {"\\right.", " "},
    {"\\left", ""},
    {"\\right", ""},
    {"\\bigl", ""},
    {"\\bigr", ""},
    {"\\Bigl", ""},
    {"\\Bigr", ""},
    {"\\biggl", ""},
    {"\\biggr", ""},
    {"\\big", ""},
    {"\\Big", ""},
    {"\\bigg", ""},
    {"\\Bigg", ""},
    {"\\displaystyle", ""},
    {"\\textstyle", ""},
    {"\\limits", ""},
    {"\\nonumber", ""},
    {"\\!", ""},
    {"\\,", " "},
    {"\\;", " "},
    {"\\:", " "},
    {"\\>", " "},
    {"\\ ", " "},
    {"~", " "},
    {"\\quad", " "},
    {"\\qquad", " "},
    {"\\(", " "},
    {"\\)", " "},
    {"\\[", " "},
    {"\\]", " "},
    {"$", " "},
    {"\\$", "\x02"},
    {"\\textdollar", "\x02"},
    {"\\%", "%"},
    {"\\#", "#"},
    {"\\&", " "},
    {"\\_", " "},
    {"**", " "},
    {"`", " "},
    {"\"", " "},
    {"\\lbrace", "\\{"},
    {"\\rbrace", "\\}"},
    {"\\lbrack", "["},
    {"\\rbrack", "]"},
    {"\\langle", "("},
    {"\\rangle", ")"},
    {"\\lvert", "\\|o"},
    {"\\rvert", "\\|c"},
    {"\\vert", "|"},
    {"\\mid", "|"},
    {"\\times", "*"},
    {"\\cdot", "*"},
    {"\\ast", "*"},
    {"\\div", "/"},
    {"\\colon", ":"},
    {"\\lt", "<"},
    {"\\gt", ">"},
    {"\\leq", "\\le"},
    {"\\leqslant", "\\le"},
    {"\\geq", "\\ge"},
    {"\\geqslant", "\\ge"},
    {"\\neq", "\\ne"},
    {"<=", "\\le "},
    {">=", "\\ge "},
    {"!=", "\\ne "},
    {"\\simeq", "\\approx"},
    {"\\cong", "\\approx"},
    {"\\degree", "\x03"},
    {"^\\circ", "\x03"},
    {"^{\\circ}", "\x03"},
    {"^ \\circ", "\x03"},
    {"^{ \\circ }", "\x03"},
    {"\\dfrac", "\\frac"},
    {"\\tfrac", "\\frac"},
    {"\\cfrac", "\\frac"},
    {"\\dbinom", "\\binom"},
    {"\\tbinom", "\\binom"},
    {"\\varnothing", "\\emptyset"},
    {"\\backslash", "\\setminus"},
    {"\\smallsetminus", "\\setminus"},
    {"\\prime", "'"},
    {"\\dots", "..."},
    {"\\ldots", "..."},
    {"\\cdots", "..."},
    {"\u2212", "-"},
    {"\u2013", "-"},
    {"\u2014", "-"},
    {"\u2010", "-"},
    {"\u2011", "-"},
    {"\u00d7", "*"},
    {"\u00b7", "*"},
    {"\u22c5", "*"},
    {"\u00f7", "/"},
    {"\u2044", "/"},
    {"\u2215", "/"},
    {"\u00a0", " "},
    {"\u202f", " "},
    {"\u2009", " "},
    {"\u200b", ""},
    {"\ufeff", ""},
    {"\u00b0", "\x03"},
    {"\u20ac", "\x02"},
    {"\u00a3", "\x02"},
    {"\u00a5", "\x02"},
    {"\uff0c", ","},
    {"\uff08", "("},
    {"\uff09", ")"},
    {"\uff1d", "="},
    {"\u201c", " "},
    {"\u201d", " "},
    {"\u2018", "'"},
    {"\u2019", "'"},
    {"\u221a", "\\sqrt "},
    {"\u03c0", "\\pi "},
    {"\u03b1", "\\alpha "},
    {"\u03b2", "\\beta "},
    {"\u03b3", "\\gamma "},
    {"\u03b8", "\\theta "},
    {"\u03bb", "\\lambda "},
    {"\u03c6", "\\phi "},
    {"\u221e", "\\infty "},
    {"\u2264", "\\le "},
    {"\u2265", "\\ge "},
    {"\u2260", "\\ne "},
    {"\u2248", "\\approx "},
    {"\u00b1", "\\pm "},
    {"\u2213", "\\mp "},
    {"\u222a", "\\cup "},
    {"\u2208", "\\in "},
    {"\u2205", "\\emptyset "},
    {"\u211d", "\\mathbb{R}"},
    {"\u00bd", "\\frac12 "},
    {"\u00bc", "\\frac14 "},
    {"\u00be", "\\frac34 "},
    {"\u2153", "\\frac13 "},
    {"\u2154", "\\frac23 "},
    {"\u00b2", "^2 "},
    {"\u00b3", "^3 "},
    {"\u2074", "^4 "},
    {"\u2080", "_0 "},
    {"\u2081", "_1 "},
    {"\u2082", "_2 "},
};

/* "\\frac" of a text that was escaped twice: outside matrices a double backslash before a letter is one. */
static bool doubled(const char *s, bool matrix)
{
    return !matrix && s[0] == '\\' && s[1] == '\\';
}

char *math_plain(struct math *m, const char *text)
{
    size_t n = strlen(text);
    bool matrix = strstr(text, "begin");
    char *out = math_alloc(m, GROWTH * n + 1), *to = out;
    for (const char *s = text; *s;) {
        size_t taken = 0;
        if (doubled(s, matrix)) {
            s++;
            if (!isalpha((unsigned char)s[1])) { /* a new line */
                *to++ = ' ';
                s++;
            }
            continue;
        }
        if (matrix && s[0] == '\\' && s[1] == '\\') {
            *to++ = *s++;
            *to++ = *s++;
            continue;
        }
        for (size_t i = isalnum((unsigned char)*s) || *s == ' ' ? SIZE_MAX : 0; !taken && i < sizeof(spellings) / sizeof(spellings[0]);
             i++) {
            const char *from = spellings[i].from;
            size_t k = strlen(from);
            if (strncmp(s, from, k) != 0 || (from[0] == '\\' && isalpha((unsigned char)from[k - 1]) && isalpha((unsigned char)s[k])))
                continue;
            to = stpcpy(to, spellings[i].to);
            if (spellings[i].to[0] == '\\' && isalpha((unsigned char)to[-1]) && from[0] != '\\')
                *to++ = ' ';
            taken = k;
        }
        if (!taken) {
            *to++ = isspace((unsigned char)*s) ? ' ' : *s;
            taken = 1;
        }
        s += taken;
    }
    *to = 0;
    return out;
}
