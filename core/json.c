/* core/json.c - see json.h. */
#include "core/json.h"
#include "core/file.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const size_t MAX_FILE = (size_t)256 << 20;

/* Line and column (from 1; columns count characters, not bytes) of byte `at`. */
static void line_column(const char *text, size_t at, int *line, int *column)
{
    *line = *column = 1;
    for (size_t i = 0; i < at; i++) {
        if (text[i] == '\n') {
            ++*line;
            *column = 1;
        } else if (((unsigned char)text[i] & 0xc0) != 0x80) {
            ++*column;
        }
    }
}

/* jansson counts what it has read, so its position is the end of the token that it quotes ("... near 'token'"): back to the start of it. */
static size_t token_start(const json_error_t *je, size_t n)
{
    size_t at = je->position > 0 ? (size_t)je->position : 0;
    const char *quoted = strstr(je->text, " near '");
    if (quoted) {
        size_t token = strlen(quoted + 7);
        token = token > 0 ? token - 1 : 0; /* the closing quote */
        at = at > token ? at - token : 0;
    }
    return at < n ? at : n;
}

static json_t *parse(const char *text, size_t n, const char *where, bool one_line, struct err *e)
{
    json_error_t je;
    json_t *v = json_loadb(text, n, JSON_REJECT_DUPLICATES, &je);
    if (v)
        return v;
    int line, column;
    line_column(text, token_start(&je, n), &line, &column);
    if (one_line)
        err_set(e, "%s:%d: not valid JSON: %s", where, column, je.text);
    else
        err_set(e, "%s:%d:%d: not valid JSON: %s", where, line, column, je.text);
    return NULL;
}

json_t *json_parse(const char *text, size_t n, const char *where, struct err *e)
{
    return parse(text, n, where, !memchr(text, '\n', n), e);
}

static bool word_char(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* Writes number over word, and blanks over what is left of it, so that every column stays where it was. */
static void replace_word(char *at, const char *word, const char *number)
{
    size_t m = strlen(number);
    memcpy(at, number, m);
    memset(at + m, ' ', strlen(word) - m);
}

static void replace_infinities(char *text)
{
    bool in_string = false;
    for (char *p = text; *p; p++) {
        if (in_string) {
            if (*p == '\\' && p[1])
                p++;
            else if (*p == '"')
                in_string = false;
        } else if (*p == '"') {
            in_string = true;
        } else if ((p == text || !word_char(p[-1])) && (*p == 'I' || *p == 'N')) {
            if (strncmp(p, "Infinity", 8) == 0 && !word_char(p[8]))
                replace_word(p, "Infinity", "1e308");
            else if (strncmp(p, "NaN", 3) == 0 && !word_char(p[3]))
                replace_word(p, "NaN", "0");
        }
    }
}

json_t *json_load_path(const char *path, bool infinity, char **text, struct err *e)
{
    if (text)
        *text = NULL;
    size_t n;
    char *s = file_read(path, MAX_FILE, &n, e);
    if (!s)
        return NULL;
    if (infinity)
        replace_infinities(s);
    json_t *v = parse(s, n, path, false, e);
    if (v && text)
        *text = s;
    else
        free(s);
    return v;
}

bool json_each_line(const char *path, bool (*fn)(void *, json_t *, int64_t, struct err *), void *ctx, struct err *e)
{
    struct lines *l;
    if (!lines_open(&l, path, e))
        return false;
    char *line;
    size_t n;
    int got;
    bool ok = true;
    while (ok && (got = lines_next(l, &line, &n, e)) == 1) {
        if (line[strspn(line, " \t")] == 0 && strlen(line) == n)
            continue;
        int64_t number = lines_number(l);
        char *where = xprintf("%s:%lld", path, (long long)number);
        json_t *record = json_parse(line, n, where, e);
        ok = record != NULL;
        if (ok && !json_is_object(record))
            ok = err_set(e, "%s: expected an object, got %s", where, json_type_name(record));
        else if (ok && !fn(ctx, record, number, e))
            ok = err_in(e, "%s", where);
        json_decref(record);
        free(where);
    }
    lines_close(l);
    return ok && got == 0;
}

static bool append_record(void *all, json_t *record, int64_t line, struct err *e)
{
    (void)line;
    (void)e;
    json_array_append(all, record);
    return true;
}

json_t *json_load_lines(const char *path, struct err *e)
{
    json_t *all = json_array();
    if (json_each_line(path, append_record, all, e))
        return all;
    json_decref(all);
    return NULL;
}

/* The scanner of json_locate(): the text is known to be valid JSON, so it only has to find where things end. */
static const char *blanks(const char *p)
{
    return p + strspn(p, " \t\r\n,:");
}

static const char *past_string(const char *p)
{
    for (p++; *p && *p != '"'; p++)
        if (*p == '\\' && p[1])
            p++;
    return *p ? p + 1 : p;
}

static const char *past_value(const char *p)
{
    int depth = 0;
    do {
        p = blanks(p);
        if (*p == '"') {
            p = past_string(p);
        } else if (*p == '{' || *p == '[') {
            depth++;
            p++;
        } else if (*p == '}' || *p == ']') {
            depth--;
            p++;
        } else {
            p += strcspn(p, " \t\r\n,:{}[]\"");
        }
    } while (depth > 0 && *p);
    return p;
}

/* The rest of path after this key or index, "" when it was the last, NULL when path does not begin with it. */
static const char *path_after(const char *path, const char *key, size_t n)
{
    if (strncmp(path, key, n) != 0 || (path[n] != '.' && path[n] != '\0'))
        return NULL;
    return path[n] ? path + n + 1 : "";
}

/* Where the thing at path stands inside the value at p; NULL: not there. */
static const char *find(const char *p, const char *path)
{
    p = blanks(p);
    bool object = *p == '{';
    if (!object && *p != '[')
        return NULL;
    p = blanks(p + 1);
    for (int64_t i = 0; *p && *p != '}' && *p != ']'; i++) {
        const char *start = p, *rest;
        if (object) {
            p = past_string(p);
            rest = path_after(path, start + 1, (size_t)(p - start) - 2);
            p = blanks(p);
        } else {
            char index[24];
            int n = snprintf(index, sizeof index, "%lld", (long long)i);
            rest = path_after(path, index, (size_t)n);
        }
        if (rest && !*rest)
            return start;
        const char *found = rest ? find(p, rest) : NULL;
        if (found)
            return found;
        p = blanks(past_value(p));
    }
    return NULL;
}

bool json_locate(const char *text, const char *path, int *line, int *column)
{
    const char *at = find(text, path);
    if (!at)
        return false;
    line_column(text, (size_t)(at - text), line, column);
    return true;
}

const char *json_type_name(const json_t *v)
{
    if (!v)
        return "nothing";
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "an integer";
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
        return "true";
    case JSON_FALSE:
        return "false";
    case JSON_NULL:
        return "null";
    }
    return "nothing";
}

static bool wrong(const json_t *v, const char *key, const char *want, struct err *e)
{
    if (!v)
        return err_set(e, "key \"%s\" is missing; it must be %s", key, want);
    return err_set(e, "\"%s\" must be %s, got %s", key, want, json_type_name(v));
}

bool json_get_int(const json_t *o, const char *key, int64_t min, int64_t max, int64_t *v, struct err *e)
{
    const json_t *x = json_object_get(o, key);
    if (!json_is_integer(x))
        return wrong(x, key, "an integer", e);
    int64_t got = json_integer_value(x);
    if (got < min || got > max)
        return err_set(e, "\"%s\" must be an integer from %lld to %lld, got %lld", key, (long long)min, (long long)max, (long long)got);
    *v = got;
    return true;
}

bool json_get_num(const json_t *o, const char *key, double *v, struct err *e)
{
    const json_t *x = json_object_get(o, key);
    if (!json_is_number(x))
        return wrong(x, key, "a number", e);
    *v = json_number_value(x);
    return true;
}

bool json_get_bool(const json_t *o, const char *key, bool *v, struct err *e)
{
    const json_t *x = json_object_get(o, key);
    if (!json_is_boolean(x))
        return wrong(x, key, "true or false", e);
    *v = json_is_true(x);
    return true;
}

bool json_get_str(const json_t *o, const char *key, const char **v, struct err *e)
{
    const json_t *x = json_object_get(o, key);
    if (!json_is_string(x))
        return wrong(x, key, "a string", e);
    *v = json_string_value(x);
    return true;
}

static bool exact_in(const json_t *v, int digits)
{
    char text[40];
    size_t i;
    const char *key;
    json_t *x;
    if (json_is_real(v)) {
        snprintf(text, sizeof text, "%.*g", digits, json_real_value(v));
        return strtod(text, NULL) == json_real_value(v);
    }
    json_array_foreach(v, i, x)
    {
        if (!exact_in(x, digits))
            return false;
    }
    json_object_foreach((json_t *)v, key, x)
    {
        if (!exact_in(x, digits))
            return false;
    }
    return true;
}

size_t json_exact(const json_t *v)
{
    return exact_in(v, 15) ? JSON_REAL_PRECISION(15) : JSON_REAL_PRECISION(17);
}

struct sink {
    struct file_out *o;
    struct err *e;
};

static int to_file(const char *p, size_t n, void *to)
{
    const struct sink *out = to;
    return file_out_write(out->o, p, n, out->e) ? 0 : -1;
}

static bool dump(struct file_out *o, const json_t *v, size_t flags, struct err *e)
{
    struct sink out = {o, e};
    err_set(e, "JSON with a text that is not UTF-8 cannot be written"); /* what is left when the writing did not fail */
    return json_dump_callback(v, to_file, &out, flags) == 0 && file_out_write(o, "\n", 1, e);
}

static size_t line_flags(const json_t *v)
{
    return JSON_COMPACT | JSON_ENCODE_ANY | json_exact(v);
}

char *json_line(const json_t *v)
{
    return json_dumps(v, line_flags(v));
}

bool json_write_line(struct file_out *o, const json_t *v, struct err *e)
{
    return dump(o, v, line_flags(v), e);
}

bool json_write_path(const char *path, const json_t *v, struct err *e)
{
    struct file_out *o;
    if (!file_out_open(&o, path, false, e))
        return false;
    if (dump(o, v, JSON_INDENT(2) | JSON_ENCODE_ANY | json_exact(v), e))
        return file_out_commit(o, e);
    file_out_abort(o);
    return false;
}
