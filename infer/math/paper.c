/* infer/math/paper.c - see paper.h. The functions have the names of those that they follow in the script. */
#include "infer/math/paper.h"
#include "infer/math/compare.h"
#include "infer/math/strings.h"
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { PAPER_DEPTH = 8 };

/* ---- extract_answer ---- */

/* The last of -?\d*\.?\d+ in s. */
static char *last_number(const char *s)
{
    const char *from = s, *to = s;
    for (const char *p = s; *p;) {
        const char *q = p + (*p == '-'), *end = q + strspn(q, "0123456789");
        if (*end == '.' && isdigit((unsigned char)end[1]))
            end += 1 + strspn(end + 1, "0123456789");
        if (end > q) {
            from = p;
            to = end;
        }
        p = end > q ? end : p + 1;
    }
    return xprintf("%.*s", (int)(to - from), from);
}

/* What stands in the braces after the last "boxed", closed or not; without braces, up to a dollar. */
static char *after_boxed(const char *s)
{
    if (*s != '{')
        return str_strip(xprintf("%.*s", (int)strcspn(s, "$"), s));
    int open = 0;
    const char *end = s;
    for (; *end; end++) {
        open += (*end == '{') - (*end == '}');
        if (open == 0)
            break;
    }
    return xprintf("%.*s", (int)(end - s - 1), s + 1);
}

static char *extract_answer(const char *text)
{
    char *s = str_replace(xstrdup(text), "\u043a\u0438", ""), *found;
    const char *at, *begin = strstr(s, "final answer is $");
    if (begin && strstr(s, "$. I hope")) {
        begin += strlen("final answer is $");
        const char *end = strstr(begin, "$. I hope");
        found = str_strip(end ? xprintf("%.*s", (int)(end - begin), begin) : xstrdup(begin));
    } else if ((at = str_after_last(s, "boxed"))) {
        found = after_boxed(at);
    } else if ((at = str_after_last(s, "he answer is")) || (at = str_after_last(s, "final answer is"))) {
        found = str_strip(xstrdup(at));
    } else {
        s = str_replace(s, ",", "");
        found = last_number(s);
    }
    free(s);
    char *to = found; /* \n\s* */
    for (const char *p = found; *p;)
        if (*p == '\n')
            p += strspn(p, " \t\r\n\f\v");
        else
            *to++ = *p++;
    *to = 0;
    if (to - found > MATH_MAX_BYTES) /* no answer; the normalisation goes over it some hundred times */
        *found = 0;
    if (*found == ':')
        memmove(found, found + 1, strlen(found));
    str_drop_last(found, '.');
    str_drop_last(found, '/');
    return strip_string(found);
}

/* ---- symbolic_equal ---- */

static double as_float(const struct math_value *v)
{
    return v->infinite ? NAN : v->exact ? mpq_get_d(v->q) : mpfr_zero_p(mpc_imagref(v->z)) ? mpfr_get_d(mpc_realref(v->z), MPFR_RNDN) : NAN;
}

static bool numeric_equal(double a, double b)
{
    return a == b || (isfinite(a) && isfinite(b) && fabs(a - b) <= 1e-4 * fmax(fabs(a), fabs(b)));
}

static bool close_numbers(struct comparison *c, struct scalar a, struct scalar b)
{
    struct math_value v, w;
    math_value_init(&v);
    math_value_init(&w);
    bool near = !math_traits_of(a.x).variables && !math_traits_of(b.x).variables && math_at(c, a, 0, &v) && math_at(c, b, 0, &w) &&
                numeric_equal(as_float(&v), as_float(&w));
    math_value_clear(&v);
    math_value_clear(&w);
    return near;
}

static bool scalar(const struct math_node *x)
{
    return x->op <= MATH_FN || x->op == MATH_DEG;
}

/* The text as that parser takes it: letters without a backslash are variables one by one (also "pi", "sqrt", and i), and since strip_string took the
 * blanks out, a command ends where a known one does ("\\pir"). NULL: it takes no such text. */
static const char *as_latex(struct math *m, const char *s)
{
    static const char *const commands[] = {"frac", "sqrt", "pi", "cdot", "times", "infty", "theta", "alpha", "beta", "le",
                                           "ge",   "ne",   "pm", "cup",  "sin",   "cos",   "tan",   "log",   "ln"};
    char *out = math_alloc(m, 7 * strlen(s) + 1), *to = out;
    while (*s) {
        if ((unsigned char)*s >= 0x80 || str_starts(s, "{,}"))
            return NULL;
        if (*s != '\\') {
            if (*s == 'i')
                to = stpcpy(to, " i_{1} ");
            else if (isalpha((unsigned char)*s))
                to += sprintf(to, " %c ", *s);
            else
                *to++ = *s;
            s++;
            continue;
        }
        size_t n = 0, best = 0;
        while (isalpha((unsigned char)s[1 + n]))
            n++;
        if (n == 0 && (!s[1] || !strchr("{}|\\ ,;:!", s[1])))
            return NULL;
        for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
            if (strlen(commands[i]) <= n && str_starts(s + 1, commands[i]) && strlen(commands[i]) > best)
                best = strlen(commands[i]);
        size_t taken = 1 + (best ? best : n ? n : 1), group = 0;
        if (str_starts(s, "\\begin{") || str_starts(s, "\\end{")) /* its name is no variable */
            group = strcspn(s + taken, "}");
        to = mempcpy(to, s, taken + group);
        if (n && best && best < n)
            *to++ = ' ';
        s += taken + group;
    }
    *to = 0;
    return out;
}

/* loose: relations by |left - right|, numbers within 1e-4. */
static bool symbolic_equal(const char *left, const char *right, bool loose)
{
    struct comparison c = {.work = MATH_WORK};
    const char *a = as_latex(&c.m, left), *b = as_latex(&c.m, right);
    const struct math_node *x = a && b ? math_parse(&c.m, a, true) : NULL, *y = x ? math_parse(&c.m, b, true) : NULL;
    bool same = false;
    if (y && loose && x->op == MATH_REL && y->op == MATH_REL && x->n == 2 && y->n == 2 && scalar(x->kid[0]) && scalar(x->kid[1]) &&
        scalar(y->kid[0]) && scalar(y->kid[1])) {
        x = math_difference(&c.m, x->kid[0], x->kid[1]);
        y = math_difference(&c.m, y->kid[0], y->kid[1]);
        same = math_same_scalar(&c, (struct scalar){math_new(&c.m, MATH_NEG, 1, x), 0}, (struct scalar){y, 0});
    }
    if (y && !same && scalar(x) && scalar(y) && c.m.signs == 0) {
        struct scalar p = {x, 0}, q = {y, 0};
        same = math_same_scalar(&c, p, q) || (loose && close_numbers(&c, p, q));
    }
    math_free(&c.m);
    return same;
}

/* ---- math_equal ---- */

static bool parse_digits(const char *s, double *value)
{
    char *t = str_replace(xstrdup(s), ",", ""), *end;
    size_t n = strlen(t);
    bool percent = n && t[n - 1] == '%';
    bool hex = strpbrk(t, "xXpP(") != NULL; /* strtod reads more than Python's float */
    if (percent) {
        t[--n] = 0;
        str_drop_last(t, '\\');
    }
    *value = strtod(t, &end);
    bool ok = end != t && !end[strspn(end, " \t\n")] && !hex;
    if (percent)
        *value /= 100;
    free(t);
    return ok;
}

/* The last A to E that is a word by itself; 0: none. */
static char choice_answer_clean(const char *s)
{
    char last = 0;
    for (const char *p = s; *p; p++) {
        char c = (char)toupper((unsigned char)*p);
        bool before = p > s && str_is_word(p[-1]), after = str_is_word(p[1]);
        if (c >= 'A' && c <= 'E' && !before && !after)
            last = c;
    }
    return last;
}

static bool math_equal_paper(const char *prediction, const char *reference, int depth);

static size_t count(const char *s, char c)
{
    size_t n = 0;
    for (; *s; s++)
        n += *s == c;
    return n;
}

/* Equal one by one, cut at separator. */
static bool parts_equal(const char *a, const char *b, const char *separator, int depth)
{
    struct str_list p = str_split(a, separator), q = str_split(b, separator);
    bool same = p.n == q.n;
    for (size_t i = 0; same && i < p.n; i++)
        same = math_equal_paper(p.at[i], q.at[i], depth + 1);
    str_list_free(&p);
    str_list_free(&q);
    return same;
}

static bool bracketed(const char *s)
{
    return (*s == '(' || *s == '[') && s[1] && (strchr(s + 2, ')') || strchr(s + 2, ']'));
}

static bool tuples_equal(const char *prediction, const char *reference, int depth)
{
    if (!bracketed(prediction) || !bracketed(reference))
        return false;
    char *p = xprintf("%.*s", (int)strlen(prediction) - 2, prediction + 1), *r = xprintf("%.*s", (int)strlen(reference) - 2, reference + 1);
    bool same = parts_equal(p, r, ",", depth);
    free(p);
    free(r);
    return same;
}

static bool is_matrix(const char *s)
{
    static const char begin[] = "\\begin{pmatrix}", end[] = "\\end{pmatrix}"; /* strip_string made others so */
    size_t n = strlen(s);
    return n >= sizeof(begin) + sizeof(end) && str_starts(s, begin) && strcmp(s + n - strlen(end), end) == 0;
}

static bool matrices_equal(const char *a, const char *b, int depth)
{
    char *x = xprintf("%.*s", (int)(strlen(a) - 28), a + 15), *y = xprintf("%.*s", (int)(strlen(b) - 28), b + 15);
    struct str_list p = str_split(x, "\\\\"), q = str_split(y, "\\\\");
    str_list_drop_blank(&p);
    str_list_drop_blank(&q);
    bool same = p.n == q.n;
    for (size_t i = 0; same && i < p.n; i++)
        same = parts_equal(p.at[i], q.at[i], "&", depth);
    str_list_free(&p);
    str_list_free(&q);
    free(x);
    free(y);
    return same;
}

/* Without {}(), and without the brackets around, if the other has brackets of the same kind or none. */
static bool bare_equal(const char *prediction, const char *reference)
{
    size_t n = strlen(prediction);
    bool square = n > 1 && prediction[0] == '[' && prediction[n - 1] == ']' && reference[0] != '(';
    bool round = n > 1 && prediction[0] == '(' && prediction[n - 1] == ')' && reference[0] != '[';
    char *p = xstrdup(prediction), *r = xstrdup(reference);
    if (square || round) {
        p = str_strip_of(p, "[]()");
        r = str_strip_of(r, "[]()");
    }
    p = str_without(p, "{}()");
    r = str_without(r, "{}()");
    bool same = strcasecmp(p, r) == 0;
    free(p);
    free(r);
    return same;
}

/* Both sides of the only "=" as one difference. */
static char *difference(const char *s)
{
    size_t left = strcspn(s, "=");
    return xprintf("%.*s - (%s)", (int)left, s, s + left + 1);
}

static bool short_left(const char *s)
{
    char *left = str_strip(xprintf("%.*s", (int)strcspn(s, "="), s));
    bool yes = strlen(left) <= 2;
    free(left);
    return yes;
}

static bool equations_equal(const char *prediction, const char *reference, int depth)
{
    size_t p = count(prediction, '='), r = count(reference, '=');
    bool same = false;
    if (p == 1 && r == 1) {
        char *x = difference(prediction), *y = difference(reference), *minus = xprintf("-(%s)", x);
        same = symbolic_equal(x, y, true) || symbolic_equal(minus, y, true);
        free(x);
        free(y);
        free(minus);
    } else if (p == 1 && r == 0 && short_left(prediction)) {
        same = math_equal_paper(strchr(prediction, '=') + 1, reference, depth + 1);
    } else if (r == 1 && p == 0 && short_left(reference)) {
        same = math_equal_paper(prediction, strchr(reference, '=') + 1, depth + 1);
    }
    return same;
}

static bool math_equal_paper(const char *prediction, const char *reference, int depth)
{
    if (depth > PAPER_DEPTH)
        return false;
    char *p = str_strip(xstrdup(prediction)), *r = str_strip(xstrdup(reference));
    double x, y;
    bool same = strcasecmp(p, r) == 0, decided = same;
    if (!decided && reference[0] >= 'A' && reference[0] <= 'E' && !reference[1])
        same = decided = choice_answer_clean(prediction) == reference[0];
    if (!decided && parse_digits(prediction, &x) && parse_digits(reference, &y)) {
        same = numeric_equal(x, y / 100) || numeric_equal(x, y) || numeric_equal(x, y * 100);
        decided = true;
    }
    if (!decided && !*prediction)
        decided = true;
    if (!decided)
        same = bare_equal(p, r) || tuples_equal(p, r, depth) || (is_matrix(p) && is_matrix(r) && matrices_equal(p, r, depth)) ||
               equations_equal(p, r, depth) || symbolic_equal(p, r, true);
    free(p);
    free(r);
    return same;
}

/* ---- is_equiv_minerva ---- */

static bool is_equiv_minerva(const char *text, const char *gold)
{
    const char *at = str_after_last(text, "\\boxed");
    if (!at || *at != '{')
        return false;
    int open = 0;
    const char *end = at;
    for (; *end; end++) {
        open += (*end == '{') - (*end == '}');
        if (open == 0)
            break;
    }
    if (!*end)
        return false;
    char *box = xprintf("%.*s", (int)(end - at - 1), at + 1), *a = normalize_final_answer(box), *b = normalize_final_answer(gold);
    bool same = symbolic_equal(a, b, false);
    free(a);
    free(b);
    free(box);
    return same;
}

void task_paper_judge(struct verdict *v, const json_t *truth, const char *key, const char *text, bool cut)
{
    (void)truth;
    (void)cut;
    if (strlen(key) > MATH_MAX_BYTES) {
        v->why = xstrdup("the right answer is too long to compare");
        return;
    }
    char *answer = extract_answer(text), *gold = strip_string(xstrdup(key));
    bool qwen = math_equal_paper(answer, gold, 0), minerva = !qwen && is_equiv_minerva(text, key);
    v->correct = qwen || minerva;
    v->why = qwen      ? xstrdup("by the paper's rules: math_equal")
             : minerva ? xstrdup("by the paper's rules: is_equiv_minerva")
                       : xprintf("by the paper's rules; expected %s", gold);
    v->key = v->correct ? xstrdup(key) : *answer ? xstrdup(answer) : NULL;
    v->extracted = *answer ? answer : NULL;
    if (!*answer)
        free(answer);
    free(gold);
}
