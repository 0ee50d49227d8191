/* core/conf_set.c - settings one value at a time: from JSON, from "key", "value", from the command line; and saying what is wrong with
 * them. See conf.h. */
#include "core/conf_impl.h"
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_MAX = 256 };

/* Where values come from, for messages. */
struct source {
    const char *path, *text; /* the file, or NULL */
    bool option;             /* the command line: keys are printed as options */
    char prefix[KEY_MAX];    /* "phases.1." inside a list element, else "" */
    struct err *e;
};

/* "file:line:column: " in front, where it is known. Returns false. */
static bool complain(const struct source *s, const char *key, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static bool complain(const struct source *s, const char *key, const char *fmt, ...)
{
    char msg[sizeof s->e->msg], full[2 * KEY_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    snprintf(full, sizeof full, "%s%s", s->prefix, key);
    int line, column;
    if (s->path && s->text && json_locate(s->text, full, &line, &column))
        return err_set(s->e, "%s:%d:%d: %s", s->path, line, column, msg);
    return s->path ? err_set(s->e, "%s: %s", s->path, msg) : err_set(s->e, "%s", msg);
}

/* "optim.lr" with its quotes, or --optim.lr. */
static const char *name(const struct source *s, const char *key, char *to, size_t n)
{
    char full[2 * KEY_MAX], option[2 * KEY_MAX];
    snprintf(full, sizeof full, "%s%s", s->prefix, key);
    conf_option(full, option, sizeof option);
    snprintf(to, n, s->option ? "--%s" : "\"%s\"", s->option ? option : full);
    return to;
}

static bool wrong_value(const struct source *s, const struct conf_field *f, const char *got)
{
    char who[2 * KEY_MAX], want[512];
    conf_expected(f, want, sizeof want);
    return complain(s, f->key, "%s must be %s, got %s", name(s, f->key, who, sizeof who), want, got);
}

static bool wrong_json(const struct source *s, const struct conf_field *f, const json_t *v)
{
    char got[96];
    const char *text = json_string_value(v);
    if (text)
        snprintf(got, sizeof got, f->type == CONF_CHOICE ? "\"%.40s%s\"" : "a string (\"%.40s%s\")", text, strlen(text) > 40 ? "..." : "");
    else if (json_is_integer(v))
        snprintf(got, sizeof got, "%lld", (long long)json_integer_value(v));
    else if (json_is_real(v))
        snprintf(got, sizeof got, "%.15g", json_real_value(v));
    else
        snprintf(got, sizeof got, "%s", json_type_name(v));
    return wrong_value(s, f, got);
}

static bool wrong_text(const struct source *s, const struct conf_field *f, const char *text)
{
    char got[96];
    snprintf(got, sizeof got, "\"%.40s%s\"", text, strlen(text) > 40 ? "..." : "");
    return wrong_value(s, f, got);
}

static size_t min3(size_t a, size_t b, size_t c)
{
    size_t m = a < b ? a : b;
    return m < c ? m : c;
}

/* Levenshtein's distance between a and the first n bytes of b. */
static size_t distance(const char *a, const char *b, size_t n)
{
    size_t row[KEY_MAX], m = strlen(a);
    if (m >= KEY_MAX || n >= KEY_MAX)
        return KEY_MAX;
    for (size_t i = 0; i <= m; i++)
        row[i] = i;
    for (size_t j = 0; j < n; j++) {
        size_t corner = row[0];
        row[0] = j + 1;
        for (size_t i = 0; i < m; i++) {
            size_t next = min3(row[i + 1] + 1, row[i] + 1, corner + (a[i] != b[j]));
            corner = row[i + 1];
            row[i + 1] = next;
        }
    }
    return row[m];
}

static const char *last_word(const char *key)
{
    const char *dot = strrchr(key, '.');
    return dot ? dot + 1 : key;
}

static bool unknown(const struct source *s, const struct conf_field *table, const char *key)
{
    size_t best = 2 + strlen(key) / 3;
    char near[KEY_MAX] = "";
    for (const struct conf_field *f = table; f->key; f++) {
        /* The whole key and the sections that it lies in; "lr" alone means "optim.lr". */
        for (size_t n = strcspn(f->key, "."); n <= strlen(f->key); n += 1 + strcspn(f->key + n + 1, ".")) {
            bool whole = f->key[n] == '\0';
            size_t d = whole && strcmp(last_word(f->key), last_word(key)) == 0 ? 0 : distance(key, f->key, n);
            if (d < best) {
                best = d;
                snprintf(near, sizeof near, "%.*s", (int)n, f->key);
            }
            if (whole)
                break;
        }
    }
    char got[2 * KEY_MAX], meant[2 * KEY_MAX];
    const char *what = s->option ? "option" : "setting";
    name(s, key, got, sizeof got);
    if (!*near)
        return complain(s, key, "unknown %s %s; --help lists those that there are", what, got);
    return complain(s, key, "unknown %s %s; did you mean %s?", what, got, name(s, near, meant, sizeof meant));
}

static const struct conf_field *field_of(const struct conf_field *table, const char *key)
{
    for (const struct conf_field *f = table; f->key; f++)
        if (strcmp(f->key, key) == 0)
            return f;
    return NULL;
}

static int choice_of(const struct conf_field *f, const char *word)
{
    for (int i = 0; f->choices[i]; i++)
        if (strcmp(f->choices[i], word) == 0)
            return i;
    return -1;
}

static void set_string(char **at, const char *value)
{
    char *copy = xstrdup(value);
    free(*at);
    *at = copy;
}

static void add_string(struct conf_strs *to, const char *value)
{
    to->at = xrealloc(to->at, (size_t)(to->n + 1) * sizeof *to->at);
    to->at[to->n++] = xstrdup(value);
}

static bool walk(void *into, const struct conf_field *table, const json_t *o, const char *section, struct source *s);

static bool set_list(void *at, const struct conf_field *f, const json_t *v, const struct source *s)
{
    struct conf_list fresh = {xcalloc(json_array_size(v), f->sub_size), (int64_t)json_array_size(v)};
    bool ok = true;
    for (int64_t i = 0; ok && i < fresh.n; i++) {
        void *element = (char *)fresh.at + (size_t)i * f->sub_size;
        const json_t *o = json_array_get(v, (size_t)i);
        struct source inside = *s;
        int n = snprintf(inside.prefix, sizeof inside.prefix, "%s%s.%lld.", s->prefix, f->key, (long long)i);
        must(n > 0 && (size_t)n < sizeof inside.prefix);
        conf_defaults(element, f->sub);
        if (json_is_object(o)) {
            ok = walk(element, f->sub, o, "", &inside);
        } else {
            inside.prefix[n - 1] = '\0'; /* the element itself: "phases.1" */
            ok = complain(&inside, "", "\"%s\" must be an object, got %s", inside.prefix, json_type_name(o));
        }
    }
    if (ok) {
        conf_free_list(at, f);
        *(struct conf_list *)at = fresh;
    } else {
        conf_free_list(&fresh, f);
    }
    return ok;
}

static bool set_json(void *into, const struct conf_field *f, const json_t *v, struct source *s)
{
    void *at = (char *)into + f->at;
    switch (f->type) {
    case CONF_INT:
        if (!json_is_integer(v) || !conf_in_range(f, (double)json_integer_value(v)))
            return wrong_json(s, f, v);
        *(int64_t *)at = json_integer_value(v);
        return true;
    case CONF_FLOAT:
        if (!json_is_number(v) || !conf_in_range(f, json_number_value(v)))
            return wrong_json(s, f, v);
        *(double *)at = json_number_value(v);
        return true;
    case CONF_BOOL:
        if (!json_is_boolean(v))
            return wrong_json(s, f, v);
        *(bool *)at = json_is_true(v);
        return true;
    case CONF_STR:
        if (!json_is_string(v))
            return wrong_json(s, f, v);
        set_string(at, json_string_value(v));
        return true;
    case CONF_CHOICE:
        if (!json_is_string(v) || choice_of(f, json_string_value(v)) < 0)
            return wrong_json(s, f, v);
        *(int *)at = choice_of(f, json_string_value(v));
        return true;
    case CONF_PAIR: {
        const json_t *a = json_array_get(v, 0), *b = json_array_get(v, 1);
        if (json_array_size(v) != 2 || !json_is_number(a) || !json_is_number(b))
            return wrong_json(s, f, v);
        if (!conf_in_range(f, json_number_value(a)) || !conf_in_range(f, json_number_value(b)))
            return wrong_json(s, f, conf_in_range(f, json_number_value(a)) ? b : a);
        ((double *)at)[0] = json_number_value(a);
        ((double *)at)[1] = json_number_value(b);
        return true;
    }
    case CONF_STRS: {
        for (size_t i = 0; i < json_array_size(v); i++)
            if (!json_is_string(json_array_get(v, i)))
                return wrong_json(s, f, json_array_get(v, i));
        if (!json_is_array(v))
            return wrong_json(s, f, v);
        struct conf_strs fresh = {0};
        for (size_t i = 0; i < json_array_size(v); i++)
            add_string(&fresh, json_string_value(json_array_get(v, i)));
        struct conf_strs *old = at;
        for (int64_t i = 0; i < old->n; i++)
            free(old->at[i]);
        free(old->at);
        *old = fresh;
        return true;
    }
    case CONF_LIST:
        return json_is_array(v) ? set_list(at, f, v, s) : wrong_json(s, f, v);
    }
    return false;
}

/* The members of o, which is the section of the table that begins with `section` ("optim.", or "" for the whole). */
static bool walk(void *into, const struct conf_field *table, const json_t *o, const char *section, struct source *s)
{
    const char *member;
    json_t *v;
    json_object_foreach((json_t *)o, member, v)
    {
        if (member[0] == '_')
            continue;
        char key[KEY_MAX];
        if (snprintf(key, sizeof key, "%s%s", section, member) >= (int)sizeof key - 2)
            return complain(s, "", "unknown setting \"%.40s...\"", key);
        if (strchr(member, '.'))
            return complain(s, key, "unknown setting \"%s%s\"; write the part before a dot as an object: {\"%.*s\": {...}}", s->prefix, key,
                            (int)strcspn(member, "."), member);
        const struct conf_field *f = field_of(table, key);
        if (f) {
            if (!set_json(into, f, v, s))
                return false;
            continue;
        }
        strcat(key, ".");
        bool is_section = false;
        for (f = table; f->key && !is_section; f++)
            is_section = strncmp(f->key, key, strlen(key)) == 0;
        bool object = json_is_object(v);
        if (is_section && object && !walk(into, table, v, key, s))
            return false;
        key[strlen(key) - 1] = '\0';
        if (!is_section)
            return unknown(s, table, key);
        if (!object)
            return complain(s, key, "\"%s%s\" must be an object, got %s", s->prefix, key, json_type_name(v));
    }
    return true;
}

bool conf_from_json(void *into, const struct conf_field *table, const json_t *o, const char *path, const char *text, struct err *e)
{
    struct source s = {.path = path, .text = text, .e = e};
    if (!json_is_object(o))
        return complain(&s, "", "settings must be an object, got %s", json_type_name(o));
    return walk(into, table, o, "", &s);
}

bool conf_from_file(void *into, const struct conf_field *table, const char *path, struct err *e)
{
    char *text;
    json_t *o = json_load_path(path, false, &text, e);
    if (!o)
        return false;
    bool ok = conf_from_json(into, table, o, path, text, e);
    json_decref(o);
    free(text);
    return ok;
}

static bool to_number(const char *text, char stop, double *x, const char **end)
{
    char *after;
    *x = strtod(text, &after);
    *end = after;
    return after > text && *after == stop && isfinite(*x);
}

static bool set_text(void *into, const struct conf_field *f, const char *text, struct source *s)
{
    void *at = (char *)into + f->at;
    char *after;
    const char *end;
    double a, b;
    switch (f->type) {
    case CONF_INT: {
        errno = 0;
        long long i = strtoll(text, &after, 10);
        if (after == text || *after || errno || !conf_in_range(f, (double)i))
            return wrong_text(s, f, text);
        *(int64_t *)at = i;
        return true;
    }
    case CONF_FLOAT:
        if (!to_number(text, '\0', &a, &end) || !conf_in_range(f, a))
            return wrong_text(s, f, text);
        *(double *)at = a;
        return true;
    case CONF_BOOL:
        if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
            return wrong_text(s, f, text);
        *(bool *)at = text[0] == 't';
        return true;
    case CONF_STR:
        set_string(at, text);
        return true;
    case CONF_CHOICE:
        if (choice_of(f, text) < 0)
            return wrong_text(s, f, text);
        *(int *)at = choice_of(f, text);
        return true;
    case CONF_PAIR:
        if (!to_number(text, ',', &a, &end) || !to_number(end + 1, '\0', &b, &end) || !conf_in_range(f, a) || !conf_in_range(f, b))
            return wrong_text(s, f, text);
        ((double *)at)[0] = a;
        ((double *)at)[1] = b;
        return true;
    case CONF_STRS:
        add_string(at, text);
        return true;
    case CONF_LIST: { /* as JSON */
        char who[2 * KEY_MAX];
        json_t *v = json_parse(text, strlen(text), name(s, f->key, who, sizeof who), s->e);
        bool ok = v && set_json(into, f, v, s);
        json_decref(v);
        return ok;
    }
    }
    return false;
}

/* The field that key names, through list elements ("phases.0.seq_len"); *into becomes the struct that it is in. NULL: no such field. */
static const struct conf_field *find(void **into, const struct conf_field *table, const char *key, struct source *s)
{
    const struct conf_field *f = field_of(table, key);
    if (f)
        return f;
    for (f = table; f->key; f++) {
        size_t n = strlen(f->key);
        if (f->type != CONF_LIST || strncmp(key, f->key, n) != 0 || key[n] != '.')
            continue;
        const struct conf_list *l = (const void *)((const char *)*into + f->at);
        char *after, list[2 * KEY_MAX];
        long long i = strtoll(key + n + 1, &after, 10);
        if (key[n + 1] < '0' || key[n + 1] > '9' || *after != '.' || i >= l->n) {
            complain(s, key, "no such list element: %s; the list has %lld, counted from 0, as in %s.0.%s", name(s, key, list, sizeof list),
                     (long long)l->n, f->key, f->sub[0].key);
            return NULL;
        }
        size_t used = strlen(s->prefix);
        snprintf(s->prefix + used, sizeof s->prefix - used, "%s.%lld.", f->key, i);
        *into = (char *)l->at + (size_t)i * f->sub_size;
        return find(into, f->sub, after + 1, s);
    }
    unknown(s, table, key);
    return NULL;
}

bool conf_set(void *into, const struct conf_field *table, const char *key, const char *value, struct err *e)
{
    struct source s = {.e = e};
    if (strlen(key) >= KEY_MAX / 2)
        return err_set(e, "unknown setting \"%.40s...\"", key);
    const struct conf_field *f = find(&into, table, key, &s);
    return f && set_text(into, f, value, &s);
}

bool conf_from_args(void *into, const struct conf_field *table, int argc, char **argv, const char **words, int *n_words, struct err *e)
{
    *n_words = 0;
    bool options = true; /* until "--" */
    for (int i = 1; i < argc; i++) {
        if (!options || strncmp(argv[i], "--", 2) != 0) {
            words[(*n_words)++] = argv[i];
            continue;
        }
        if (argv[i][2] == '\0') {
            options = false;
            continue;
        }
        const char *equals = strchr(argv[i], '='), *value = equals ? equals + 1 : NULL;
        size_t n = equals ? (size_t)(equals - argv[i]) - 2 : strlen(argv[i]) - 2;
        if (n >= KEY_MAX / 2)
            return err_set(e, "unknown option %.40s...", argv[i]);
        char key[KEY_MAX];
        snprintf(key, sizeof key, "%.*s", (int)n, argv[i] + 2);
        for (char *p = key; *p; p++)
            if (*p == '-')
                *p = '_';
        struct source s = {.option = true, .e = e};
        void *in = into;
        const struct conf_field *f = find(&in, table, key, &s);
        if (!f)
            return false;
        if (!value && f->type == CONF_BOOL)
            value = "true";
        else if (!value && i + 1 < argc)
            value = argv[++i];
        else if (!value)
            return err_set(e, "option %.*s needs a value", (int)n + 2, argv[i]);
        if (!set_text(in, f, value, &s))
            return false;
    }
    return true;
}
