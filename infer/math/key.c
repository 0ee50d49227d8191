/* infer/math/key.c - an answer's key for votes: answers that mean the same have the same. See equal.h. */
#include "infer/math/equal.h"
#include "core/err.h"
#include "infer/math/compare.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static char *key_of(struct comparison *c, const struct math_form *f);

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* open a; b; c close, sorted if order does not matter. */
static char *several(struct comparison *c, const struct math_form *f, const char *open, const char *close, bool sorted)
{
    char **key = xcalloc((size_t)f->n + 1, sizeof(*key));
    for (int i = 0; i < f->n; i++)
        key[i] = key_of(c, f->item[i]);
    if (sorted)
        qsort(key, (size_t)f->n, sizeof(*key), by_text);
    char *all = xstrdup(open);
    for (int i = 0; i < f->n; i++) {
        char *more = xprintf("%s%s%s", all, i ? "; " : "", key[i]);
        free(all);
        free(key[i]);
        all = more;
    }
    free(key);
    char *whole = xprintf("%s%s", all, close);
    free(all);
    return whole;
}

/* A number as it is; an expression as its values at two points; "?" for what is neither. */
static char *scalar(struct comparison *c, const struct math_form *f)
{
    if (f->x->op == MATH_SYM && !f->x->name[1] && isalpha((unsigned char)f->x->name[0]))
        return xprintf("%c", tolower((unsigned char)f->x->name[0])); /* a choice, written as a letter or as a word */
    struct math_value v;
    math_value_init(&v);
    struct scalar x = {f->x, f->signs};
    char *text = math_at(c, x, 0, &v) ? math_print(&v) : xstrdup("?");
    math_value_clear(&v);
    if (math_traits_of(f->x).variables) {
        math_value_init(&v);
        char *second = math_at(c, x, 1, &v) ? math_print(&v) : xstrdup("?"), *both = xprintf("f(x) = %s, %s", text, second);
        math_value_clear(&v);
        free(text);
        free(second);
        text = both;
    }
    return text;
}

static char *key_of(struct comparison *c, const struct math_form *f)
{
    while ((f->kind == FORM_LIST || f->kind == FORM_SET) && f->n == 1)
        f = f->item[0];
    char open[2] = {f->x ? f->x->open : 0, 0}, close[2] = {f->x ? f->x->close : 0, 0};
    switch (f->kind) {
    case FORM_TEXT:
        return xstrdup(f->x->name);
    case FORM_TUPLE:
        return several(c, f, open, close, false);
    case FORM_MATRIX:
        return several(c, f, "[", "]", false);
    case FORM_LIST:
    case FORM_SET:
        return several(c, f, "{", "}", true);
    case FORM_REGION:
        return several(c, f, f->minus ? "without " : "union ", "", !f->minus);
    default:
        return scalar(c, f);
    }
}

char *math_key(const char *answer)
{
    struct comparison c = {.work = MATH_WORK};
    const struct math_node *x = math_parse(&c.m, answer, false);
    const struct math_form *f = x ? math_form_of(&c.m, x, 0) : NULL;
    char *key = f ? key_of(&c, f) : NULL;
    if (!key || strchr(key, '?')) {
        free(key);
        key = xstrdup(math_words(&c.m, answer));
    }
    math_free(&c.m);
    return key;
}
