/* infer/math/strings.c - see strings.h. */
#include "infer/math/strings.h"
#include <ctype.h>
#include <string.h>

/* ---- operations ---- */

const char *str_after_last(const char *s, const char *word)
{
    const char *at = NULL;
    for (const char *p = s; (p = strstr(p, word)); p += strlen(word))
        at = p + strlen(word);
    return at;
}

bool str_starts(const char *s, const char *with)
{
    return strncmp(s, with, strlen(with)) == 0;
}

char *str_replace(char *s, const char *from, const char *to)
{
    size_t n = strlen(from), k = strlen(to), hits = 0;
    for (const char *p = s; (p = strstr(p, from)); p += n)
        hits++;
    if (!hits)
        return s;
    char *out = xmalloc(strlen(s) + hits * k + 1), *w = out;
    for (const char *p = s; *p;)
        if (strncmp(p, from, n) == 0) {
            w = stpcpy(w, to);
            p += n;
        } else {
            *w++ = *p++;
        }
    *w = 0;
    free(s);
    return out;
}

char *str_strip_of(char *s, const char *set)
{
    size_t from = strspn(s, set), n = strlen(s);
    while (n > from && strchr(set, s[n - 1]))
        n--;
    memmove(s, s + from, n - from);
    s[n - from] = 0;
    return s;
}

char *str_strip(char *s)
{
    return str_strip_of(s, " \t\r\n\f\v");
}

char *str_without(char *s, const char *set)
{
    char *to = s;
    for (const char *p = s; *p; p++)
        if (!strchr(set, *p))
            *to++ = *p;
    *to = 0;
    return s;
}

void str_drop_last(char *s, char c)
{
    size_t n = strlen(s);
    if (n && s[n - 1] == c)
        s[n - 1] = 0;
}

/* Greek, Cyrillic and accented Latin begin with these bytes; signs such as the degree's and the minus do not. */
bool str_is_word(char c)
{
    unsigned char u = (unsigned char)c;
    return isalnum(u) || u == '_' || (u >= 0xC3 && u <= 0xD4) || (u >= 0xE3 && u <= 0xED);
}

struct str_list str_split(const char *s, const char *separator)
{
    struct str_list l = {0};
    for (;;) {
        const char *end = strstr(s, separator);
        l.at = xrealloc(l.at, (l.n + 1) * sizeof(*l.at));
        l.at[l.n++] = end ? xprintf("%.*s", (int)(end - s), s) : xstrdup(s);
        if (!end)
            return l;
        s = end + strlen(separator);
    }
}

void str_list_drop_blank(struct str_list *l)
{
    size_t n = 0;
    for (size_t i = 0; i < l->n; i++) {
        char *s = str_strip(l->at[i]);
        if (*s)
            l->at[n++] = s;
        else
            free(s);
    }
    l->n = n;
}

void str_list_free(struct str_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->at[i]);
    free(l->at);
    *l = (struct str_list){0};
}

struct swap {
    const char *from, *to;
};
static char *all(char *s, const struct swap *swaps, size_t n)
{
    for (size_t i = 0; i < n; i++)
        s = str_replace(s, swaps[i].from, swaps[i].to);
    return s;
}
#define ALL(s, swaps) all(s, swaps, sizeof(swaps) / sizeof((swaps)[0]))

/* Every NAME{…} up to the next brace as "\2" (its content) or nothing. */
static char *unwrapped(char *s, const char *name, bool content)
{
    char *to = s;
    size_t n = strlen(name);
    for (const char *p = s; *p;) {
        const char *end = strncmp(p, name, n) == 0 ? strchr(p + n, '}') : NULL;
        if (!end) {
            *to++ = *p++;
            continue;
        }
        if (content) {
            memmove(to, p + n, (size_t)(end - p) - n);
            to += (size_t)(end - p) - n;
        }
        p = end + 1;
    }
    *to = 0;
    return s;
}

/* ---- strip_string ---- */

static const char *const unit_texts[] = {
    "east",    "degree",   "mph",      "kmph",   "ft",           "m sqaure", " m east", "sq m",    "deg",     "mile",
    "q .",     "monkey",   "prime",    "ratio",  "profit of rs", "rd",       "o",       "gm",      "p . m",   "lb",
    "tile",    "per",      "dm",       "lt",     "gain",         "ab",       "way",     "west",    "a .",     "b .",
    "c .",     "d .",      "e .",      "f .",    "g .",          "h .",      "t",       "a",       "h",       "no change",
    "men",     "soldier",  "pie",      "bc",     "excess",       "st",       "inches",  "noon",    "percent", "by",
    "gal",     "kmh",      "c",        "acre",   "rise",         "a . m",    "th",      "π r 2",   "sq",      "mark",
    "l",       "toy",      "coin",     "sq . m", "gallon",       "° f",      "profit",  "minw",    "yr",      "women",
    "feet",    "am",       "pm",       "hr",     "cu cm",        "square",   "v â € ™", "are",     "rupee",   "rounds",
    "cubic",   "cc",       "mtr",      "s",      "ohm",          "number",   "kmph",    "day",     "hour",    "minute",
    "min",     "second",   "man",      "woman",  "sec",          "cube",     "mt",      "sq inch", "mp",      "∏ cm ³",
    "hectare", "more",     "sec",      "unit",   "cu . m",       "cm 2",     "rs .",    "rs",      "kg",      "g",
    "month",   "km",       "m",        "cm",     "mm",           "apple",    "liter",   "loss",    "yard",    "pure",
    "year",    "increase", "decrease", "d",      "less",         "Surface",  "litre",   "pi sq m", "s .",     "metre",
    "meter",   "inch",
};

/* Does the unit stand at s? A full stop in it is any character, as in the pattern that it is part of. Returns its end. */
static const char *unit_at(const char *s, const char *unit, bool plural)
{
    for (; *unit; unit++, s++)
        if (!*s || (*unit != '.' && *unit != *s))
            return NULL;
    return !plural ? s : *s == 's' ? s + 1 : NULL;
}

/* (^|\W)unit($|\W) as \1\2, from left to right; not if nothing is left. */
static char *without_unit(char *s, const char *unit, bool plural)
{
    char *out = xmalloc(strlen(s) + 1), *to = out;
    const char *p = s;
    bool start = true, any = false;
    while (*p) {
        const char *from = start ? unit_at(p, unit, plural) : NULL, *skipped = p;
        if (!from || (*from && str_is_word(*from))) {
            from = !str_is_word(*p) ? unit_at(p + 1, unit, plural) : NULL;
            skipped = p + 1;
        }
        start = false;
        if (from && (!*from || !str_is_word(*from))) {
            to = mempcpy(to, p, (size_t)(skipped - p));
            if (*from)
                *to++ = *from++;
            p = from;
            any = true;
        } else {
            *to++ = *p++;
        }
    }
    *to = 0;
    if (!any || !*out) {
        free(out);
        return s;
    }
    free(s);
    return out;
}

/* "twenty-one" as 21, "007" as 7; text without number words stays. */
static char *convert_word_number(char *s)
{
    static const char *const names[] = {"zero",     "one",     "two",     "three",     "four",     "five",    "six",
                                        "seven",    "eight",   "nine",    "ten",       "eleven",   "twelve",  "thirteen",
                                        "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"};
    static const char *const tens[] = {"twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"};
    static const char *const scales[] = {"thousand", "million", "billion"};
    size_t n = strlen(s);
    if (n && strspn(s, "0123456789") == n) {
        size_t zeros = strspn(s, "0");
        memmove(s, s + (zeros < n ? zeros : n - 1), n + 1 - (zeros < n ? zeros : n - 1));
        return s;
    }
    long long whole = 0, part = 0;
    bool any = false;
    for (const char *p = s; *p; p++) {
        size_t k = 0;
        while (isalpha((unsigned char)p[k]))
            k++;
        if (!k)
            continue;
        char word[16] = "";
        for (size_t i = 0; i < k && k < sizeof(word); i++)
            word[i] = (char)tolower((unsigned char)p[i]);
        bool known = true;
        long long add = -1;
        for (int i = 0; i < 20; i++)
            add = strcmp(word, names[i]) == 0 ? i : add;
        for (int i = 0; i < 8; i++)
            add = strcmp(word, tens[i]) == 0 ? 20 + 10 * i : add;
        if (add >= 0) {
            part += add;
        } else if (strcmp(word, "hundred") == 0) {
            part *= 100;
        } else {
            known = false;
            long long scale = 1000;
            for (int i = 0; i < 3; i++, scale *= 1000)
                if (strcmp(word, scales[i]) == 0) {
                    whole += (part ? part : 1) * scale;
                    part = 0;
                    known = true;
                }
        }
        any = any || known;
        part %= 1000000; /* a text that repeats "hundred" */
        whole %= 1000000000000000;
        p += k - 1;
    }
    if (!any)
        return s;
    free(s);
    return xprintf("%lld", whole + part);
}

/* 12.00 as 12 where no digit follows. */
static char *without_zeros(char *s)
{
    char *to = s;
    for (const char *p = s; *p;) {
        if (*p == '.' && p > s && isdigit((unsigned char)p[-1])) {
            const char *end = p + 1 + strspn(p + 1, "0");
            if (!isdigit((unsigned char)*end)) {
                p = end;
                continue;
            }
        }
        *to++ = *p++;
    }
    *to = 0;
    return s;
}

/* "\sqrt" and letters or digits: in braces. */
static char *fix_sqrt(char *s)
{
    char *out = xmalloc(3 * strlen(s) + 1), *to = out;
    for (const char *p = s; *p;) {
        bool root = str_starts(p, "\\sqrt");
        size_t n = root ? 5 : 1, k = 0;
        to = mempcpy(to, p, n);
        p += n;
        while (root && str_is_word(p[k]))
            k++;
        if (k) {
            *to++ = '{';
            to = mempcpy(to, p, k);
            *to++ = '}';
            p += k;
        }
    }
    *to = 0;
    free(s);
    return out;
}

/* \frac12 as \frac{1}{2}, \frac1{72} as \frac{1}{72}; a \frac with less than two characters after it: s as it was. */
static char *fix_fracs(char *s)
{
    struct str_list l = str_split(s, "\\frac");
    char *out = xstrdup(l.at[0]);
    for (size_t i = 1; out && i < l.n; i++) {
        const char *t = l.at[i];
        char *more;
        if (*t == '{')
            more = xprintf("%s\\frac%s", out, t);
        else if (strlen(t) < 2)
            more = NULL;
        else if (t[1] != '{')
            more = xprintf("%s\\frac{%c}{%c}%s", out, t[0], t[1], t + 2);
        else
            more = xprintf("%s\\frac{%c}%s", out, t[0], t + 1);
        free(out);
        out = more;
    }
    str_list_free(&l);
    if (!out)
        return s;
    free(s);
    return out;
}

static bool plain_int(const char *s)
{
    const char *d = s + (*s == '-');
    return *d && strspn(d, "0123456789") == strlen(d) && (*d != '0' || (!d[1] && d == s));
}

static char *fix_a_slash_b(char *s)
{
    struct str_list l = str_split(s, "/");
    if (l.n == 2 && (strstr(l.at[0], "sqrt") || plain_int(l.at[0])) && (strstr(l.at[1], "sqrt") || plain_int(l.at[1]))) {
        free(s);
        s = xprintf("\\frac{%s}{%s}", l.at[0], l.at[1]);
    }
    str_list_free(&l);
    return s;
}

/* \begin{array}{…} as \begin{pmatrix}. */
static char *arrays(char *s)
{
    static const char begin[] = "\\begin{array}{", to[] = "\\begin{pmatrix}";
    for (char *at; (at = strstr(s, begin));) {
        char *end = strchr(at + strlen(begin), '}');
        if (!end)
            break;
        char *out = xprintf("%.*s%s%s", (int)(at - s), s, to, end + 1);
        free(s);
        s = out;
    }
    return str_replace(s, "\\end{array}", "\\end{pmatrix}");
}

static char *short_label(char *s)
{
    char *equals = strchr(s, '=');
    if (equals && !strchr(equals + 1, '=') && equals - s <= 2)
        memmove(s, equals + 1, strlen(equals));
    return s;
}

char *strip_string(char *s)
{
    static const struct swap spelling[] = {{"bmatrix", "pmatrix"}, {"tfrac", "frac"}, {"dfrac", "frac"}, {"\\neq", "\\ne"},
                                           {"\\leq", "\\le"},      {"\\geq", "\\ge"}, {"\\left", ""},    {"\\right", ""},
                                           {"\\{", "{"},           {"\\}", "}"}};
    static const struct swap signs[] = {{"^{\\circ}", ""}, {"^\\circ", ""}, {"\\$", ""}, {"$", ""}, {"\\(", ""}, {"\\)", ""}};
    static const struct swap more[] = {{"x=", ""},
                                       {"y=", ""},
                                       {"z=", ""},
                                       {"x\\in", ""},
                                       {"y\\in", ""},
                                       {"z\\in", ""},
                                       {"x\\to", ""},
                                       {"y\\to", ""},
                                       {"z\\to", ""},
                                       {"\\emptyset", "{}"},
                                       {"(-\\infty,\\infty)", "\\mathbb{R}"},
                                       {"\\%", ""},
                                       {"%", ""},
                                       {" .", " 0."},
                                       {"{.", "{0."},
                                       {"infinity", "\\infty"}};
    s = str_replace(str_strip(s), "\n", "");
    while (*s && s[strlen(s) - 1] == '.')
        str_drop_last(s, '.');
    s = ALL(arrays(str_replace(s, "\\!", "")), spelling);
    char *text = strstr(s, "\\text{"); /* a unit at the end */
    if (text && s[strlen(s) - 1] == '}') {
        char *before = str_strip(xprintf("%.*s", (int)(text - s), s));
        if (*before) {
            free(s);
            s = before;
        } else {
            free(before);
        }
    }
    size_t units = sizeof(unit_texts) / sizeof(unit_texts[0]);
    for (int twice = 0; twice < 2; twice++)
        for (size_t i = 0; i < 2 * units; i++)
            s = without_unit(s, unit_texts[i % units], i >= units);
    s = unwrapped(convert_word_number(ALL(s, signs)), "\\text{", true);
    s = ALL(s, more);
    if (!strstr(s, "\\infty"))
        s = str_replace(s, "inf", "\\infty");
    s = unwrapped(str_replace(str_replace(s, "and", ""), "\\mathbf", ""), "\\mbox{", false);
    if (strchr(s, 'j') && !strchr(s, 'i'))
        s = str_replace(s, "j", "i");
    s = without_zeros(s);
    if (!*s)
        return s;
    if (*s == '.') {
        char *whole = xprintf("0%s", s);
        free(s);
        s = whole;
    }
    return fix_a_slash_b(fix_fracs(str_replace(fix_sqrt(short_label(s)), " ", "")));
}

/* ---- normalize_final_answer ---- */

/* "frac" and a character that is no brace, and the next: in braces; "sqrt" likewise. */
static char *shorthand(char *s, const char *name, size_t taken)
{
    char *out = xmalloc(4 * strlen(s) + 1), *to = out;
    size_t n = strlen(name);
    for (const char *p = s; *p;) {
        if (strncmp(p, name, n) != 0 || !p[n] || p[n] == '{' || (taken == 2 && !p[n + 1])) {
            *to++ = *p++;
            continue;
        }
        to = stpcpy(to, name);
        for (size_t i = 0; i < taken; i++) {
            *to++ = '{';
            *to++ = p[n + i];
            *to++ = '}';
        }
        p += n + taken;
    }
    *to = 0;
    free(s);
    return out;
}

char *normalize_final_answer(const char *text)
{
    static const struct swap swaps[] = {
        {"an ", ""}, {"a ", ""},       {".$", "$"},           {"\\$", ""},          {"\\ ", ""},
        {" ", ""},   {"mbox", "text"}, {",\\text{and}", ","}, {"\\text{and}", ","}, {"\\text{m}", "\\text{}"}};
    static const char *const removed[] = {
        "square",    "ways",      "integers",    "dollars",    "mph",        "inches",     "ft",       "hours",           "km",
        "units",     "\\ldots",   "sue",         "points",     "feet",       "minutes",    "digits",   "cents",           "degrees",
        "cm",        "gm",        "pounds",      "meters",     "meals",      "edges",      "students", "childrentickets", "multiples",
        "\\text{s}", "\\text{.}", "\\text{\ns}", "\\text{}^2", "\\text{}^3", "\\text{\n}", "\\text{}", "\\mathrm{th}",    "^\\circ",
        "^{\\circ}", "\\;",       ",\\!",        "{,}",        "\"",         "\\dots"};
    const char *equals = strrchr(text, '=');
    char *s = ALL(xstrdup(equals ? equals + 1 : text), swaps);
    for (size_t i = 0; i < sizeof(removed) / sizeof(removed[0]); i++)
        s = str_replace(s, removed[i], "");
    char *open = strchr(s, '$'), *close = open ? strchr(open + 1, '$') : NULL;
    if (close) { /* only the first formula */
        char *formula = xprintf("%.*s", (int)(close - open - 1), open + 1);
        free(s);
        s = formula;
    }
    s = unwrapped(unwrapped(unwrapped(s, "\\text{", true), "\\textbf{", true), "\\overline{", true);
    char *box = strstr(s, "\\boxed{"), *end = box ? strrchr(box, '}') : NULL;
    if (end) {
        char *inside = xprintf("%.*s%.*s%s", (int)(box - s), s, (int)(end - box - 7), box + 7, end + 1);
        free(s);
        s = inside;
    }
    s = str_replace(shorthand(shorthand(s, "frac", 2), "sqrt", 1), "$", "");
    if (*s && strspn(s, "0123456789,") == strlen(s) && strpbrk(s, "0123456789"))
        s = str_replace(s, ",", "");
    return s;
}
