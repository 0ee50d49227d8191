/* data/packed.c - see packed.h. */
#include "data/packed.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static unsigned char *more(struct packed *p, size_t n)
{
    if (n > p->room - p->n) {
        p->room = 2 * p->room > p->n + n ? 2 * p->room : p->n + n + 256;
        p->at = xrealloc(p->at, p->room);
    }
    p->n += n;
    return p->at + p->n - n;
}

static void tagged(struct packed *p, char tag, const void *v, size_t n)
{
    unsigned char *to = more(p, 1 + n);
    *to = (unsigned char)tag;
    memcpy(to + 1, v, n);
}

void packed_free(struct packed *p)
{
    free(p->at);
    *p = (struct packed){0};
}

void packed_tag(struct packed *p, char tag)
{
    *more(p, 1) = (unsigned char)tag;
}

void packed_int(struct packed *p, int64_t v)
{
    tagged(p, 'i', &v, sizeof v);
}

void packed_real(struct packed *p, double v)
{
    if (isfinite(v))
        tagged(p, 'd', &v, sizeof v);
    else
        packed_tag(p, 'n');
}

static void counted(struct packed *p, const void *text, size_t n)
{
    must(n <= UINT32_MAX);
    uint32_t len = (uint32_t)n;
    memcpy(more(p, sizeof len), &len, sizeof len);
    if (n > 0)
        memcpy(more(p, n), text, n);
}

void packed_text(struct packed *p, const void *text, size_t n)
{
    packed_tag(p, 's');
    counted(p, text, n);
}

void packed_key(struct packed *p, const char *key)
{
    counted(p, key, strlen(key));
}

struct reading {
    const unsigned char *p, *end;
    const char *key; /* the text is inside this one */
    int n_key;
    struct err *e;
};

static const unsigned char *take(struct reading *r, size_t n)
{
    must(n <= (size_t)(r->end - r->p));
    r->p += n;
    return r->p - n;
}

static const char *take_counted(struct reading *r, size_t *n)
{
    uint32_t len;
    memcpy(&len, take(r, sizeof len), sizeof len);
    *n = len;
    return (const char *)take(r, len);
}

static json_t *value(struct reading *r);

static json_t *text(struct reading *r)
{
    size_t n;
    const char *s = take_counted(r, &n);
    const char *why = memchr(s, '\0', n) ? "holds a NUL byte" : "is not UTF-8";
    json_t *v = *why == 'h' ? NULL : json_stringn(s, n);
    if (!v)
        err_set(r->e, "the text of \"%.*s\" %s", r->n_key, r->key, why);
    return v;
}

static json_t *array(struct reading *r)
{
    json_t *v = json_array(), *element;
    while (*r->p != ']') {
        if (!(element = value(r))) {
            json_decref(v);
            return NULL;
        }
        json_array_append_new(v, element);
    }
    take(r, 1);
    return v;
}

static json_t *object(struct reading *r)
{
    json_t *v = json_object(), *member = NULL;
    while (*r->p != '}') {
        size_t n;
        const char *key = take_counted(r, &n);
        r->key = key;
        r->n_key = (int)n;
        if (!(member = value(r)) || json_object_setn_new(v, key, n, member) != 0) {
            if (member)
                err_set(r->e, "the name of a column is not UTF-8");
            json_decref(v);
            return NULL;
        }
    }
    take(r, 1);
    return v;
}

static json_t *value(struct reading *r)
{
    int64_t i;
    double d;
    switch (*take(r, 1)) {
    case 'n':
        return json_null();
    case 't':
        return json_true();
    case 'f':
        return json_false();
    case 'i':
        memcpy(&i, take(r, sizeof i), sizeof i);
        return json_integer(i);
    case 'd':
        memcpy(&d, take(r, sizeof d), sizeof d);
        return json_real(d);
    case 's':
        return text(r);
    case '[':
        return array(r);
    case '{':
        return object(r);
    default:
        die("a packed value is damaged");
    }
}

json_t *packed_json(const unsigned char *p, size_t n, struct err *e)
{
    struct reading r = {p, p + n, "", 0, e};
    return value(&r);
}
