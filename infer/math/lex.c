/* infer/math/lex.c - the tokens of an answer: numbers joined over thousands separators, runs of letters told apart into names of functions, words
 * and products of variables. See parse.h. */
#include "infer/math/parse.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *keep(struct math *m, const char *s, size_t n)
{
    char *p = math_alloc(m, n + 1);
    memcpy(p, s, n);
    return p;
}

static const char *const functions[] = {"sqrt", "sin",   "cos",    "tan",    "cot",   "sec",   "csc",  "arcsin", "arccos", "arctan", "sinh",
                                        "cosh", "tanh",  "log",    "ln",     "lg",    "exp",   "abs",  "gcd",    "lcm",    "max",    "min",
                                        "frac", "binom", "lfloor", "rfloor", "lceil", "rceil", "asin", "acos",   "atan"};
static const char *const applied[] = {"sin", "cos", "tan", "cot", "sec", "csc", "log", "ln"};
static const char *const greek[] = {"pi",       "alpha",  "beta",  "gamma",  "delta", "epsilon", "varepsilon", "zeta",  "eta",    "theta",
                                    "vartheta", "iota",   "kappa", "lambda", "mu",    "nu",      "xi",         "rho",   "sigma",  "tau",
                                    "phi",      "varphi", "chi",   "psi",    "omega", "Gamma",   "Delta",      "Theta", "Lambda", "Xi",
                                    "Pi",       "Sigma",  "Phi",   "Psi",    "Omega", "infty",   "ell",        "Re",    "Im"};
/* Short words that are neither functions nor products of variables. */
static const char *const words[] = {"cm", "mm", "km", "kg", "mg", "lb", "lbs", "ft",  "mi",  "hr", "hrs", "mph", "kph",  "mL",  "ml",
                                    "oz", "sq", "cu", "am", "pm", "no", "in",  "rad", "rev", "yr", "yrs", "min", "sec",  "deg", "is",
                                    "it", "we", "to", "of", "so", "if", "It",  "Is",  "We",  "To", "So",  "If",  "units"};

static bool among(const char *s, size_t n, const char *const *list, size_t k)
{
    for (size_t i = 0; i < k; i++)
        if (strlen(list[i]) == n && memcmp(list[i], s, n) == 0)
            return true;
    return false;
}
#define AMONG(s, n, list) among(s, n, list, sizeof(list) / sizeof((list)[0]))

struct lexer {
    struct math *m;
    const char *s;
    struct math_token *tok;
    int n, max, depth; /* depth: open brackets in which a comma separates */
    bool commas, space, failed;
};

static void put(struct lexer *l, enum math_token_kind kind, int c, const char *text)
{
    if (l->n >= l->max - 1) {
        l->failed = true;
        return;
    }
    l->tok[l->n++] = (struct math_token){kind, c, text, l->space};
    l->space = false;
}

static size_t digits(const char *s)
{
    return strspn(s, "0123456789");
}

/* Digits, thousands separators, a point, a power of ten in computers' writing. */
static void number(struct lexer *l)
{
    const char *s = l->s;
    size_t n = digits(s), k = n;
    char out[MATH_MAX_BYTES + 64]; /* digits do not become more in the first pass */
    memcpy(out, s, n);
    bool grouped = n >= 1 && n <= 3 && s[0] != '0';
    s += n;
    char sep = *s;
    bool joins = sep == '\x01' || (sep == ',' && !l->commas && l->depth == 0) || sep == ' ';
    while (grouped && joins && (*s == sep || *s == '\x01')) {
        const char *t = s + 1 + strspn(s + 1, *s == '\x01' ? " " : "");
        if (digits(t) != 3)
            break;
        memcpy(out + k, t, 3);
        k += 3;
        s = t + 3;
    }
    if (s[0] == '.' && isdigit((unsigned char)s[1])) {
        out[k++] = '.';
        n = digits(s + 1);
        memcpy(out + k, s + 1, n);
        k += n;
        s += 1 + n;
    } else if (s[0] == '.' && strncmp(s + 1, "\\overline{", 10) == 0) {
        out[k++] = '.';
        s++;
    }
    if (strncmp(s, "\\overline{", 10) == 0 && memchr(out, '.', k)) {
        n = digits(s + 10);
        if (n && s[10 + n] == '}') {
            out[k++] = '(';
            memcpy(out + k, s + 10, n);
            k += n;
            out[k++] = ')';
            s += 11 + n;
        }
    }
    if ((*s == 'e' || *s == 'E') && k && (isdigit((unsigned char)s[1]) || ((s[1] == '+' || s[1] == '-') && isdigit((unsigned char)s[2])))) {
        size_t sign = !isdigit((unsigned char)s[1]);
        n = digits(s + 1 + sign);
        if (n <= 3 && !isalpha((unsigned char)s[1 + sign + n])) {
            put(l, TOK_NUM, 0, keep(l->m, out, k));
            put(l, TOK_SIGN, '*', NULL);
            put(l, TOK_NUM, 0, "10");
            put(l, TOK_SIGN, '^', NULL);
            put(l, TOK_SIGN, '{', NULL);
            if (sign)
                put(l, TOK_SIGN, s[1], NULL);
            put(l, TOK_NUM, 0, keep(l->m, s + 1 + sign, n));
            put(l, TOK_SIGN, '}', NULL);
            l->s = s + 1 + sign + n;
            return;
        }
    }
    put(l, TOK_NUM, 0, keep(l->m, out, k));
    l->s = s;
}

static bool vowel(char c)
{
    return strchr("aeiouyAEIOUY", c) != NULL;
}

/* A run of letters that stands for a word: known, or long, or one that could be spoken; "abc", "xyz", "mgh" are products. */
static bool is_word(const char *s, size_t n)
{
    if (AMONG(s, n, words))
        return true;
    if (n < 3)
        return false;
    bool rising = true, spoken = false;
    for (size_t i = 0; i < n; i++) {
        rising = rising && (i == 0 || s[i] > s[i - 1]);
        spoken = spoken || vowel(s[i]) || (unsigned char)s[i] >= 0x80;
    }
    return n >= 5 || (spoken && !rising);
}

/* Letters outside \text: names, words, or variables one by one. word: inside \text, where letters are always words. */
static void letters(struct lexer *l, bool word)
{
    const char *s = l->s;
    size_t n = 0;
    while (isalpha((unsigned char)s[n]) || (unsigned char)s[n] >= 0x80 || (n && s[n] == '-' && word && isalpha((unsigned char)s[n + 1])))
        n++;
    l->s += n;
    if ((n == 3 && strncasecmp(s, "and", 3) == 0) || (n == 2 && strncasecmp(s, "or", 2) == 0)) {
        put(l, TOK_SIGN, SIGN_AND, NULL);
        return;
    }
    bool seconds =
        n == 3 && (strncmp(s, "sec", 3) == 0 || strncmp(s, "min", 3) == 0 || strncmp(s, "max", 3) == 0) && s[3] != '(' && s[3] != 'x';
    if (!word && !seconds && AMONG(s, n, functions)) {
        put(l, TOK_FN, 0, keep(l->m, s, n));
        return;
    }
    if (!word && AMONG(s, n, greek)) {
        put(l, TOK_ID, 0, keep(l->m, s, n));
        return;
    }
    if (!word && (AMONG(s, n, ((const char *const[]){"infinity", "inf", "Infinity"})))) {
        put(l, TOK_ID, 0, "infty");
        return;
    }
    if (!word && n > 2 && AMONG(s, n - 1, applied) && strchr("xyzabABC", s[n - 1])) { /* sinx; "cost" and "tank" are words */
        put(l, TOK_FN, 0, keep(l->m, s, n - 1));
        put(l, TOK_ID, 0, keep(l->m, s + n - 1, 1));
        return;
    }
    if (word || is_word(s, n)) {
        put(l, TOK_WORD, 0, keep(l->m, s, n));
        return;
    }
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)s[i] >= 0x80) { /* a letter that we have no name for: by itself */
            size_t k = 1;
            while (((unsigned char)s[i + k] & 0xC0) == 0x80)
                k++;
            put(l, TOK_ID, 0, keep(l->m, s + i, k));
            i += k - 1;
        } else {
            put(l, TOK_ID, 0, keep(l->m, s + i, 1));
        }
}

static void lex(struct lexer *l, const char *end, bool text);

/* The end of the group that begins at s ('{'); NULL: never closed. */
static const char *group_end(const char *s)
{
    int open = 0;
    for (; *s; s++) {
        if (*s == '\\' && s[1])
            s++;
        else if (*s == '{')
            open++;
        else if (*s == '}' && --open == 0)
            return s;
    }
    return NULL;
}

static void command(struct lexer *l)
{
    static const struct {
        const char *name;
        int sign;
    } signs[] = {
        {"le", SIGN_LE},
        {"ge", SIGN_GE},
        {"ne", SIGN_NE},
        {"approx", SIGN_ABOUT},
        {"in", SIGN_IN},
        {"cup", SIGN_CUP},
        {"setminus", SIGN_SETMINUS},
        {"pm", SIGN_PM},
        {"mp", SIGN_MP},
        {"lfloor", SIGN_FLOOR_OPEN},
        {"rfloor", SIGN_FLOOR_CLOSE},
        {"lceil", SIGN_CEIL_OPEN},
        {"rceil", SIGN_CEIL_CLOSE},
        {"emptyset", SIGN_EMPTY},
        {"equiv", '='},
        {"to", '='},
        {"rightarrow", '='},
        {"land", SIGN_AND},
        {"lor", SIGN_AND},
        {"newline", ' '},
    };
    static const char *const texts[] = {"text",         "textbf",     "textit", "textrm",         "textnormal", "textsf", "texttt",
                                        "mbox",         "hbox",       "mathrm", "mathbf",         "mathit",     "mathsf", "mathcal",
                                        "operatorname", "boldsymbol", "vec",    "overrightarrow", "hat",        "bar",    "overline",
                                        "widehat",      "underline",  "boxed",  "fbox",           "mathscr",    "bm",     "emph"};
    const char *s = l->s + 1;
    switch (*s) {
    case '{':
        put(l, TOK_SIGN, SIGN_SET_OPEN, NULL);
        l->depth++;
        l->s += 2;
        return;
    case '}':
        put(l, TOK_SIGN, SIGN_SET_CLOSE, NULL);
        l->depth -= l->depth > 0;
        l->s += 2;
        return;
    case '|':
        put(l, TOK_SIGN, s[1] == 'o' ? SIGN_BAR_OPEN : s[1] == 'c' ? SIGN_BAR_CLOSE : '|', NULL);
        l->s += s[1] == 'o' || s[1] == 'c' ? 3 : 2;
        return;
    case '\\':
        put(l, TOK_SIGN, SIGN_ROW, NULL);
        l->s += 2;
        return;
    }
    size_t n = 0;
    while (isalpha((unsigned char)s[n]))
        n++;
    l->s = s + n;
    if (n == 0) { /* a stray backslash */
        l->space = true;
        return;
    }
    for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++)
        if (strlen(signs[i].name) == n && memcmp(signs[i].name, s, n) == 0) {
            if (signs[i].sign == ' ')
                l->space = true;
            else
                put(l, TOK_SIGN, signs[i].sign, NULL);
            return;
        }
    if (AMONG(s, n, functions)) {
        put(l, TOK_FN, 0, keep(l->m, s, n));
        return;
    }
    if (AMONG(s, n, greek)) {
        put(l, TOK_ID, 0, keep(l->m, s, n));
        return;
    }
    const char *open = l->s + strspn(l->s, " "), *close = *open == '{' ? group_end(open) : NULL;
    bool begin = n == 5 && memcmp(s, "begin", 5) == 0;
    if (close && (begin || (n == 3 && memcmp(s, "end", 3) == 0))) {
        put(l, TOK_SIGN, begin ? SIGN_BEGIN : SIGN_FINISH, keep(l->m, open + 1, (size_t)(close - open - 1)));
        l->depth = begin ? l->depth + 1 : l->depth - (l->depth > 0);
        l->s = close + 1;
        if (begin && strncmp(open, "{array}", 7) == 0) { /* its column letters */
            const char *columns = l->s + strspn(l->s, " ");
            close = *columns == '{' ? group_end(columns) : NULL;
            l->s = close ? close + 1 : l->s;
        }
        return;
    }
    if (close && n == 6 && memcmp(s, "mathbb", 6) == 0) {
        char *name = math_alloc(l->m, (size_t)(close - open) + 3);
        memcpy(stpcpy(name, "bb "), open + 1, (size_t)(close - open - 1));
        put(l, TOK_ID, 0, name);
        l->s = close + 1;
        return;
    }
    if (close && AMONG(s, n, texts)) {
        bool letter = close == open + 2 && n >= 3 && memcmp(s, "tex", 3) != 0 && memcmp(s, "mbo", 3) != 0;
        bool roman = n >= 6 && (memcmp(s, "mathrm", 6) == 0 || memcmp(s, "operat", 6) == 0);
        bool plainly = !roman && s[0] != 't' && s[1] != 'b';
        l->s = open + 1;
        if (letter && roman && strchr("eidxyzn", open[1]))
            put(l, TOK_ID, 0, keep(l->m, open + 1, 1));
        else if (roman && AMONG(open + 1, (size_t)(close - open - 1), functions))
            put(l, TOK_FN, 0, keep(l->m, open + 1, (size_t)(close - open - 1)));
        else
            lex(l, close, !plainly);
        l->s = close + 1;
        return;
    }
    if (n == 4 && memcmp(s, "over", 4) == 0) {
        l->failed = true;
        return;
    }
    static const char *const skipped[] = {"angle",      "triangle", "mathstrut", "because", "therefore", "implies",
                                          "Rightarrow", "hline",    "hfill",     "left",    "right"};
    if (AMONG(s, n, skipped)) {
        l->space = true;
        return;
    }
    l->failed = true; /* integrals, sums and the like: no final answer that we can compute */
}

/* Up to end. text: inside \text, where letters are words. */
static void lex(struct lexer *l, const char *end, bool text)
{
    while (l->s < end && *l->s && !l->failed) {
        unsigned char c = (unsigned char)*l->s;
        if (c == ' ') {
            l->space = true;
            l->s++;
        } else if (c == '\\') {
            command(l);
        } else if (isdigit(c) || (c == '.' && isdigit((unsigned char)l->s[1])) || (c == '.' && strncmp(l->s + 1, "\\overline{", 10) == 0)) {
            number(l);
        } else if (strncmp(l->s, "...", 3) == 0) { /* left to the reader: only as text */
            l->failed = true;
        } else if (isalpha(c) || c >= 0x80) {
            letters(l, text);
        } else {
            l->depth += c == '(' || c == '[';
            l->depth -= (c == ')' || c == ']') && l->depth > 0;
            l->s++;
            if (c == '\x01')
                c = ',';
            if (c == '.' || c == '?') /* the end of a sentence; inside an answer it only parts */
                l->space = true;
            else
                put(l, TOK_SIGN, c == '\x02' ? SIGN_MONEY : c == '\x03' ? SIGN_DEG : c, NULL);
        }
    }
}

struct math_token *math_lex(struct math *m, const char *text, bool commas)
{
    if (strlen(text) > MATH_MAX_BYTES)
        return NULL;
    struct lexer l = {.m = m, .commas = commas};
    l.s = math_plain(m, text);
    size_t room = 4 * strlen(l.s) + 16; /* 1e5 becomes eight tokens */
    l.max = room < MATH_MAX_TOKENS ? (int)room : MATH_MAX_TOKENS;
    l.tok = math_alloc(m, ((size_t)l.max + 2) * sizeof(*l.tok));
    lex(&l, l.s + strlen(l.s), false);
    return l.failed ? NULL : l.tok;
}
