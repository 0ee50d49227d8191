/* data/select/statements.c - see statements.h. */
#include "data/select/statements.h"
#include "data/records.h"
#include <stdlib.h>
#include <string.h>

struct part {
    const struct mixture_statements *of;
    char **text; /* [n] by index; NULL: the row has none */
    int64_t n, room;
};
struct statements {
    struct part *part;
    int64_t n;
};

static bool read_part(struct part *p, const struct mixture *m, struct err *e)
{
    char *path = mixture_path(m, p->of->path);
    const char *columns[] = {p->of->column, NULL};
    struct records_from from = {&path, 1, p->of->match, SET_BARE, columns};
    struct records *r = NULL;
    struct record record;
    bool ok = records_open(&r, &from, e);
    int got = 0;
    free(path);
    while (ok && (got = records_next(r, &record, e)) == 1) {
        json_t *v = records_parse(r, &record, NULL, e);
        if (!(ok = v != NULL))
            break;
        const char *text = json_string_value(json_object_get(v, p->of->column));
        if (p->n == p->room)
            p->text = xrealloc(p->text, (size_t)(p->room = 2 * p->room + 1024) * sizeof *p->text);
        p->text[p->n++] = text && *text ? xstrdup(text) : NULL;
        json_decref(v);
    }
    records_close(r);
    return ok && got == 0;
}

bool statements_open(struct statements **out, const struct mixture *m, const struct mixture_source *s, struct err *e)
{
    *out = NULL;
    if (s->statements.n == 0)
        return true;
    struct statements *st = xcalloc(1, sizeof *st);
    st->part = xcalloc((size_t)s->statements.n, sizeof *st->part);
    bool ok = true;
    for (int64_t i = 0; ok && i < s->statements.n; i++) {
        st->part[st->n++].of = (const struct mixture_statements *)s->statements.at + i;
        ok = read_part(&st->part[i], m, e);
    }
    if (ok)
        *out = st;
    else
        statements_close(st);
    return ok;
}

void statements_close(struct statements *st)
{
    if (!st)
        return;
    for (int64_t i = 0; i < st->n; i++) {
        for (int64_t k = 0; k < st->part[i].n; k++)
            free(st->part[i].text[k]);
        free(st->part[i].text);
    }
    free(st->part);
    free(st);
}

static const char *text_of(const json_t *record, const char *key)
{
    const char *text = json_string_value(json_object_get(record, key));
    return text ? text : "";
}

void statements_fill(const struct statements *st, json_t *record)
{
    if (!st || import_has_statement(SET_OPENCODEREASONING, record))
        return;
    const char *index = text_of(record, "index");
    char *end;
    long long at = strtoll(index, &end, 10);
    for (int64_t i = 0; *index && !*end && i < st->n; i++) {
        const struct part *p = &st->part[i];
        if (strcmp(p->of->dataset, text_of(record, "dataset")) == 0 && strcmp(p->of->split, text_of(record, "split")) == 0 && at >= 0 &&
            at < p->n && p->text[at])
            json_object_set_new(record, "input", json_string(p->text[at]));
    }
}
