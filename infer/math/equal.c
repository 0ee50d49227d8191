/* infer/math/equal.c - see equal.h. */
#include "infer/math/equal.h"
#include "core/err.h"
#include "infer/math/compare.h"
#include "infer/math/parse.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MAX_UNORDERED = 128, MAX_PERMUTED = 64 };

static bool same(struct comparison *c, const struct math_form *a, const struct math_form *b);

/* ---- scalars with their units ---- */

static const struct math_node *natural(struct math *m, unsigned long n)
{
    char text[32];
    snprintf(text, sizeof(text), "%lu", n);
    return math_leaf(m, MATH_NUM, strcpy(math_alloc(m, strlen(text) + 1), text));
}

static struct scalar in_base_unit(struct math *m, const struct math_form *f)
{
    const struct math_node *up = math_new(m, MATH_MUL, 2, f->x, natural(m, f->unit.over));
    return (struct scalar){math_new(m, MATH_DIV, 2, up, natural(m, f->unit.under)), f->signs};
}

static bool same_ratio(struct comparison *c, struct scalar a, struct scalar b)
{
    const struct math_node *x = a.x, *y = b.x;
    bool ok = x->n == y->n, time = x->base || y->base;
    for (int i = 0; ok && i < x->n; i++) {
        struct math_node *l = x->kid[i], *r = y->kid[i];
        if (!time) { /* a_i b_0 = b_i a_0 */
            l = math_new(&c->m, MATH_MUL, 2, l, y->kid[0]);
            r = math_new(&c->m, MATH_MUL, 2, r, x->kid[0]);
        }
        ok = math_same_scalar(c, (struct scalar){l, a.signs}, (struct scalar){r, b.signs});
    }
    return ok;
}

static bool same_value(struct comparison *c, const struct math_form *a, const struct math_form *b)
{
    struct scalar x = {a->x, a->signs}, y = {b->x, b->signs};
    if (x.x->op == MATH_RATIO && y.x->op == MATH_RATIO)
        return same_ratio(c, x, y);
    if (a->measured && b->measured)
        return math_unit_alike(&a->unit, &b->unit) && math_same_scalar(c, in_base_unit(&c->m, a), in_base_unit(&c->m, b));
    if (math_same_scalar(c, x, y))
        return true;
    if (a->percent == b->percent)
        return false;
    struct scalar *p = a->percent ? &x : &y; /* 28% is 28, and 0.28 */
    p->x = math_new(&c->m, MATH_PCT, 1, p->x);
    return math_same_scalar(c, x, y);
}

/* ---- labels ---- */

static const struct math_node *renamed(struct math *m, const struct math_node *x, const char *from, const char *to)
{
    if (x->op == MATH_SYM)
        return strcmp(x->name, from) == 0 ? math_leaf(m, MATH_SYM, to) : x;
    if (x->n == 0)
        return x;
    struct math_node *y = math_alloc(m, sizeof(*y));
    *y = *x;
    y->kid = math_alloc(m, (size_t)x->n * sizeof(*y->kid));
    for (int i = 0; i < x->n; i++)
        y->kid[i] = (struct math_node *)renamed(m, x->kid[i], from, to);
    return y;
}

static bool single_letter(const struct math_node *label)
{
    return label->op == MATH_SYM && !label->name[1];
}

static bool occurs(const struct math_node *x, const char *name)
{
    bool yes = x->op == MATH_SYM && strcmp(x->name, name) == 0;
    for (int i = 0; !yes && i < x->n; i++)
        yes = occurs(x->kid[i], name);
    return yes;
}

/* f(x) and f(n): the name of the variable in brackets; NULL: no such label. */
static const char *bound_variable(const struct math_node *label)
{
    return label->op == MATH_MUL && label->n == 2 && label->kid[1]->op == MATH_SYM ? label->kid[1]->name : NULL;
}

/* The left sides of "=" of two answers that have one: may they stand for the same thing? Single letters must agree. */
static bool labels_agree(const struct math_node *a, const struct math_node *b)
{
    return !single_letter(a) || !single_letter(b) || strcmp(a->name, b->name) == 0;
}

static struct scalar as_equation(struct math *m, const struct math_form *f)
{
    return (struct scalar){f->kind == FORM_EQUATION ? f->x : math_difference(m, f->label, f->x), f->signs};
}

static bool same_labelled(struct comparison *c, const struct math_form *a, const struct math_form *b)
{
    if (a->loose) /* "x + y = 3" as the right answer is an equation */
        return b->label && b->kind == FORM_SCALAR && math_proportional(c, as_equation(&c->m, a), as_equation(&c->m, b), false);
    if (!a->label || !b->label)
        return same_value(c, a, b);
    const char *from = bound_variable(b->label), *to = bound_variable(a->label);
    if (from && to && strcmp(from, to) != 0) {
        if (occurs(b->x, to))
            return false;
        struct math_form *renamed_b = math_alloc(&c->m, sizeof(*b));
        *renamed_b = *b;
        renamed_b->x = renamed(&c->m, b->x, from, to);
        b = renamed_b;
    }
    if (labels_agree(a->label, b->label))
        return same_value(c, a, b);
    return a->label->op <= MATH_RATIO && b->label->op <= MATH_RATIO &&
           math_proportional(c, as_equation(&c->m, a), as_equation(&c->m, b), false);
}

/* ---- words ---- */

static const char *const numerals[] = {"zero",     "one",     "two",     "three",     "four",     "five",     "six",
                                       "seven",    "eight",   "nine",    "ten",       "eleven",   "twelve",   "thirteen",
                                       "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"};

static bool same_words(struct comparison *c, const struct math_form *a, const struct math_form *b)
{
    if (a->kind == FORM_TEXT && b->kind == FORM_TEXT) {
        const char *s = a->x->name, *t = b->x->name;
        s += strncmp(s, "the ", 4) == 0 ? 4 : 0;
        t += strncmp(t, "the ", 4) == 0 ? 4 : 0;
        return strcmp(s, t) == 0;
    }
    const struct math_form *word = a->kind == FORM_TEXT ? a : b, *other = word == a ? b : a;
    if (other->kind != FORM_SCALAR)
        return false;
    if (other->x->op == MATH_SYM)
        return strcasecmp(word->x->name, other->x->name) == 0;
    for (unsigned long i = 0; i < sizeof(numerals) / sizeof(numerals[0]); i++)
        if (strcmp(word->x->name, numerals[i]) == 0)
            return math_same_scalar(c, (struct scalar){natural(&c->m, i), 0}, (struct scalar){other->x, other->signs});
    return false;
}

/* ---- several ---- */

static bool in_order(struct comparison *c, const struct math_form *a, const struct math_form *b)
{
    bool ok = a->n == b->n;
    for (int i = 0; ok && i < a->n; i++)
        ok = same(c, a->item[i], b->item[i]);
    return ok;
}

/* Whatever the order, each as often as in the other; once: multiples do not count. */
static bool any_order(struct comparison *c, const struct math_form *a, const struct math_form *b, bool once)
{
    if (a->n > MAX_UNORDERED || b->n > MAX_UNORDERED)
        return in_order(c, a, b);
    if (!once && a->n != b->n)
        return false;
    bool taken[MAX_UNORDERED] = {false};
    for (int i = 0; i < a->n; i++) {
        bool found = false;
        for (int k = 0; k < b->n; k++) { /* the same place first: that is how lists mostly are */
            int at = (i + k) % b->n;
            if ((taken[at] && (found || !once)) || !same(c, a->item[i], b->item[at]))
                continue;
            taken[at] = found = true;
            if (!once)
                break;
        }
        if (!found)
            return false;
    }
    for (int k = 0; k < b->n; k++)
        if (!taken[k])
            return false;
    return true;
}

/* "x = 3, y = 2" says (3, 2): values in the order of their labels. */
static const struct math_form *by_labels(struct math *m, const struct math_form *list)
{
    if (list->n < 2 || list->n > MAX_PERMUTED)
        return NULL;
    struct math_form *tuple = math_alloc(m, sizeof(*tuple));
    *tuple = *list;
    tuple->item = math_alloc(m, (size_t)list->n * sizeof(*tuple->item));
    for (int i = 0; i < list->n; i++) {
        struct math_form *f = list->item[i];
        if (!f->label || f->label->op != MATH_SYM)
            return NULL;
        int at = i;
        for (; at > 0 && strcmp(tuple->item[at - 1]->label->name, f->label->name) > 0; at--)
            tuple->item[at] = tuple->item[at - 1];
        if (at > 0 && strcmp(tuple->item[at - 1]->label->name, f->label->name) == 0)
            return NULL;
        tuple->item[at] = f;
    }
    return tuple;
}

/* The numbers of a pair rise: it may be meant as an interval. */
static bool may_be_interval(struct comparison *c, const struct math_form *f)
{
    struct math_region r;
    struct math_point at = {.work = &c->work};
    bool yes = f->n == 2 && math_region_of(&r, f, &at) && r.n > 0;
    if (f->n == 2)
        math_region_clear(&r);
    return yes;
}

static bool same_tuple(struct comparison *c, const struct math_form *a, const struct math_form *b)
{
    if (b->kind == FORM_MATRIX || a->kind == FORM_MATRIX) { /* a vector, standing */
        const struct math_form *matrix = a->kind == FORM_MATRIX ? a : b;
        return matrix->x->cols == 1 && in_order(c, a, b);
    }
    if (a->kind == FORM_TUPLE && b->kind == FORM_TUPLE) {
        bool brackets = a->x->open == b->x->open && a->x->close == b->x->close;
        return (brackets || a->n > 2) && in_order(c, a, b);
    }
    const struct math_form *tuple = a->kind == FORM_TUPLE ? a : b, *list = tuple == a ? b : a;
    if (list->kind != FORM_LIST || tuple->n != list->n)
        return false;
    const struct math_form *labelled = by_labels(&c->m, list);
    if (labelled)
        return in_order(c, tuple, labelled);
    if (tuple == b) /* a list is asked for */
        return tuple->x->open == '(' && any_order(c, a, b, false);
    return tuple->x->open == '(' && tuple->x->close == ')' && !may_be_interval(c, tuple) && in_order(c, a, b);
}

static bool region_like(const struct math_form *f)
{
    return f->kind == FORM_REGION || f->kind == FORM_LESS || f->kind == FORM_UNEQUAL ||
           (f->kind == FORM_SCALAR && f->x->op == MATH_SYM && strcmp(f->x->name, "bb R") == 0);
}

static bool same_region(struct comparison *c, const struct math_form *a, const struct math_form *b)
{
    struct math_region r, s;
    struct math_point at = {.work = &c->work, .log10 = c->log10};
    bool known = math_region_of(&r, a, &at), both = known && math_region_of(&s, b, &at);
    bool yes = both && math_region_same(&r, &s);
    math_region_clear(&r);
    if (known)
        math_region_clear(&s);
    if (both || a->kind != b->kind)
        return yes;
    struct scalar x = {a->x, a->signs}, y = {b->x, b->signs};
    switch (a->kind) {
    case FORM_LESS:
        return a->strict == b->strict && math_proportional(c, x, y, true);
    case FORM_UNEQUAL:
        return math_proportional(c, x, y, false);
    case FORM_REGION:
        return a->minus == b->minus && (a->minus ? in_order(c, a, b) : any_order(c, a, b, true));
    default:
        return false;
    }
}

static const struct math_form *alone(const struct math_form *f)
{
    while ((f->kind == FORM_LIST || f->kind == FORM_SET) && f->n == 1)
        f = f->item[0];
    return f;
}

static bool same(struct comparison *c, const struct math_form *a, const struct math_form *b)
{
    if (--c->work < 0)
        return false;
    a = alone(a);
    b = alone(b);
    if (region_like(a) || region_like(b))
        return same_region(c, a, b);
    if (a->kind == FORM_TEXT || b->kind == FORM_TEXT)
        return same_words(c, a, b);
    bool a_many = a->kind == FORM_LIST || a->kind == FORM_SET, b_many = b->kind == FORM_LIST || b->kind == FORM_SET;
    if (a_many && b_many)
        return any_order(c, a, b, a->kind == FORM_SET || b->kind == FORM_SET);
    if (a->kind == FORM_TUPLE || b->kind == FORM_TUPLE)
        return same_tuple(c, a, b);
    if (a->kind == FORM_MATRIX && b->kind == FORM_MATRIX)
        return a->x->rows == b->x->rows && a->x->cols == b->x->cols && in_order(c, a, b);
    if (a->kind == FORM_SCALAR && b->kind == FORM_SCALAR)
        return same_labelled(c, a, b);
    bool a_equation = a->kind == FORM_EQUATION || (a->kind == FORM_SCALAR && a->label);
    bool b_equation = b->kind == FORM_EQUATION || (b->kind == FORM_SCALAR && b->label);
    bool scalars = (!a->label || a->label->op <= MATH_RATIO) && (!b->label || b->label->op <= MATH_RATIO);
    return a_equation && b_equation && scalars && math_proportional(c, as_equation(&c->m, a), as_equation(&c->m, b), false);
}

/* ---- the whole ---- */

/* A multiple-choice letter: "C", "(C)"; 0: none. first: "(C) 5" will do. */
static char choice(const char *words, bool first)
{
    const char *s = words + strspn(words, " (");
    if (!isalpha((unsigned char)*s) || isalnum((unsigned char)s[1]) || s[1] == '_' || s[1] == '\'')
        return 0;
    const char *end = s + 1 + strspn(s + 1, " ).:");
    return *end == 0 || (first && (s[1] == ')' || s[1] == ':')) ? (char)tolower((unsigned char)*s) : 0;
}

/* work: what is left, for all ways of reading together. */
static bool compare(const char *gold, const char *answer, bool commas, bool log10, int64_t *work, bool *read)
{
    struct comparison c = {.work = *work, .log10 = log10};
    const struct math_node *g = math_parse(&c.m, gold, commas), *a = g ? math_parse(&c.m, answer, commas) : NULL;
    const struct math_form *f = a ? math_form_of(&c.m, g, 0) : NULL, *h = f ? math_form_of(&c.m, a, 0) : NULL;
    *read = h;
    bool yes = h && same(&c, f, h);
    *work = c.work;
    math_free(&c.m);
    return yes;
}

static bool grouped(const char *s)
{
    for (s = strchr(s, ','); s; s = strchr(s + 1, ','))
        if (isdigit((unsigned char)s[1]))
            return true;
    return false;
}

/* But for blanks. */
static bool identical(const char *s, const char *t)
{
    for (;; s++, t++) {
        s += strspn(s, " \n\t");
        t += strspn(t, " \n\t");
        if (*s != *t || !*s)
            return *s == *t;
    }
}

bool math_equal(const char *gold, const char *answer, const char **how)
{
    if (identical(gold, answer)) {
        *how = "the same text";
        return true;
    }
    struct math m = {0};
    const char *g = math_words(&m, gold), *a = math_words(&m, answer);
    bool text = *g && identical(g, a);
    char letter = choice(g, false);
    bool chosen = letter && letter == choice(a, true);
    bool letters = !chosen && letter && choice(a, false);
    math_free(&m);
    if (chosen || letters) {
        *how = chosen ? "the right letter" : "another letter";
        return chosen;
    }
    if (strlen(gold) > MATH_MAX_BYTES || strlen(answer) > MATH_MAX_BYTES) {
        *how = "too long to compare";
        return false;
    }
    bool logs = strstr(gold, "log") || strstr(answer, "log"), commas = grouped(gold) || grouped(answer), read = false, any = false,
         yes = false;
    int64_t work = MATH_WORK;
    for (int way = 0; !yes && way < 4; way++)
        if ((!(way & 1) || commas) && (!(way & 2) || logs)) {
            yes = compare(gold, answer, way & 1, way & 2, &work, &read);
            any = any || read;
        }
    if (yes || any) {
        *how = yes ? "equal" : "not equal";
        return yes;
    }
    *how = text ? "the same text" : "not the same text";
    return text;
}

bool math_within(const char *gold, const char *answer, const char *tolerance)
{
    struct comparison c = {.work = MATH_WORK};
    const char *text[] = {gold, answer, tolerance};
    struct math_value v[3];
    bool ok = true;
    for (int i = 0; i < 3; i++) {
        math_value_init(&v[i]);
        const struct math_node *x = math_parse(&c.m, text[i], false);
        const struct math_form *f = x ? math_form_of(&c.m, x, 0) : NULL;
        ok = ok && f && f->kind == FORM_SCALAR && !math_traits_of(f->x).variables && math_at(&c, (struct scalar){f->x, 0}, 0, &v[i]);
        ok = ok && v[i].exact && !v[i].infinite;
    }
    if (ok) {
        mpq_sub(v[0].q, v[0].q, v[1].q);
        mpq_abs(v[0].q, v[0].q);
        ok = mpq_cmp(v[0].q, v[2].q) <= 0;
    }
    for (int i = 0; i < 3; i++)
        math_value_clear(&v[i]);
    math_free(&c.m);
    return ok;
}
