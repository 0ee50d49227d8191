/* data/select/filter.c - see filter.h. */
#include "data/select/filter.h"
#include "data/borders.h" /* utf8_char, utf8_code */
#include "data/import.h"
#include "data/select/keys.h"
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const reason_names[REASONS] = {"taken",          "bad_record", "no_statement", "where",        "no_thought", "no_answer",
                                           "other_language", "too_short",  "too_long",     "contaminated", "duplicate",  "not_drawn"};

static const char THINK[] = "<think>", END_THINK[] = "</think>";

/* What is asked and what is answered last; "" for what a record has not. */
static void parts(const json_t *record, const char **question, const char **answer)
{
    const json_t *messages = json_object_get(record, "messages");
    size_t n = json_array_size(messages);
    *question = *answer = NULL;
    for (size_t i = 0; i < n; i++) {
        const json_t *m = json_array_get(messages, i);
        const char *role = json_string_value(json_object_get(m, "role")), *content = json_string_value(json_object_get(m, "content"));
        if (role && strcmp(role, "assistant") == 0)
            *answer = content;
        else if (role && strcmp(role, "user") == 0)
            *question = content;
    }
    if (!messages) {
        *question = json_string_value(json_object_get(record, "prompt"));
        *answer = json_string_value(json_object_get(record, "completion"));
        if (!*answer)
            *answer = json_string_value(json_object_get(record, "text"));
    }
    *question = *question ? *question : "";
    *answer = *answer ? *answer : "";
}

/* ------------------------------------------------------------------- columns */

/* A column's value as text, which the caller frees; NULL: it is missing. */
static char *column_text(const json_t *v)
{
    if (!v || json_is_null(v) || (json_is_string(v) && strcmp(json_string_value(v), "n/a") == 0))
        return NULL;
    return json_is_string(v) ? xstrdup(json_string_value(v)) : json_line(v);
}

static bool text_fits(const struct mixture_where *w, const char *text)
{
    bool in = w->in.n == 0;
    for (int64_t i = 0; !in && i < w->in.n; i++)
        in = strcmp(w->in.at[i], text) == 0;
    if (!in || (isnan(w->min) && isnan(w->max)))
        return in;
    char *end;
    double v = strtod(text, &end);
    return end > text && *end == '\0' && !(v < w->min) && !(v > w->max) && !isnan(v);
}

static bool column_fits(const struct mixture_where *w, const json_t *raw)
{
    char *text = column_text(json_object_get(raw, w->column));
    bool fits = text ? text_fits(w, text) : w->or_missing;
    free(text);
    return fits;
}

/* ------------------------------------------------------------------- thoughts and answers */

static bool blank(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isspace((unsigned char)text[i]))
            return false;
    return true;
}

/* The prompt may have opened the thought. */
bool filter_thought(const char *question, const char *answer)
{
    size_t n = strlen(question);
    while (n > 0 && isspace((unsigned char)question[n - 1]))
        n--;
    bool opened = n >= sizeof THINK - 1 && memcmp(question + n - (sizeof THINK - 1), THINK, sizeof THINK - 1) == 0;
    const char *p = answer + strspn(answer, " \t\r\n");
    if (!opened) {
        if (strncmp(p, THINK, sizeof THINK - 1) != 0)
            return false;
        p += sizeof THINK - 1;
    }
    const char *end = strstr(p, END_THINK);
    if (!end || strstr(p, THINK))
        return false;
    const char *rest = end + sizeof END_THINK - 1;
    return !strstr(rest, END_THINK) && !blank(p, (size_t)(end - p)) && !blank(rest, strlen(rest));
}

/* After the thought; the whole when there is none. */
static const char *final_part(const char *answer)
{
    const char *last = answer;
    for (const char *at = answer; (at = strstr(at, END_THINK));)
        last = at += sizeof END_THINK - 1;
    return last;
}

const char *filter_boxed(const char *text, size_t *n)
{
    static const char BOXED[] = "\\boxed{";
    const char *found = NULL;
    for (const char *at = text; (at = strstr(at, BOXED));) {
        at += sizeof BOXED - 1;
        int depth = 1;
        const char *p = at;
        for (; *p && depth > 0; p++)
            if (*p == '\\' && p[1])
                p++;
            else
                depth += (*p == '{') - (*p == '}');
        if (depth == 0) {
            found = at;
            *n = (size_t)(p - 1 - at);
        }
    }
    return found && !blank(found, *n) ? found : NULL;
}

/* A fenced block that says python and holds something. */
static bool has_python(const char *text)
{
    for (const char *at = text; (at = strstr(at, "```"));) {
        at += 3;
        bool python = strncmp(at, "python", 6) == 0 || strncmp(at, "py\n", 3) == 0;
        const char *body = strchr(at, '\n'), *end = body ? strstr(body, "```") : NULL;
        if (!end)
            return false;
        if (python && !blank(body, (size_t)(end - body)))
            return true;
        at = end + 3;
    }
    return false;
}

static bool is_expected(const char *boxed, size_t n, const char *expected, filter_equal_fn *equal)
{
    char *answer = xprintf("%.*s", (int)n, boxed);
    bool same = equal(expected, answer);
    free(answer);
    return same;
}

static bool answered(const struct mixture_source *s, const json_t *raw, const char *answer, filter_equal_fn *equal)
{
    const char *final = final_part(answer), *boxed, *expected = import_expected(raw);
    size_t n;
    switch (s->answer) {
    case ANSWER_BOXED:
        return filter_boxed(final, &n) != NULL;
    case ANSWER_EXPECTED:
        boxed = filter_boxed(final, &n);
        return boxed && expected && is_expected(boxed, n, expected, equal);
    case ANSWER_PYTHON:
        return has_python(final);
    default:
        return true;
    }
}

/* ------------------------------------------------------------------- languages */

struct letters {
    int64_t latin, other, words, common;
};

static bool is_common(const char *word, size_t n)
{
    static const char *const common[] = {"the", "of",  "and", "to",   "is",   "that", "in",    "for",  "we",  "this", "it",   "so",
                                         "if",  "are", "be",  "with", "then", "have", "which", "from", "let", "by",   "since"};
    for (size_t i = 0; i < sizeof common / sizeof *common; i++)
        if (strlen(common[i]) == n && strncasecmp(word, common[i], n) == 0)
            return true;
    return false;
}

/* Letters of U+00C0..U+024F are Latin; of what is beyond, dashes, quotes, arrows, mathematical signs and pictures (U+2000..U+2BFF, U+1D400..) are
 * no letters, Greek ones stand in formulas, and the rest is another script. */
static void count_wide(struct letters *l, const unsigned char *p, size_t len)
{
    uint32_t c = utf8_code(p, len);
    if (c >= 0xc0 && c < 0x250)
        l->latin++;
    else if ((c >= 0x400 && c < 0x2000) || (c >= 0x2c00 && c < 0xfe00))
        l->other++;
}

static void count_letters(struct letters *l, const char *text)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t left = strlen(text);
    bool code = false;
    while (left > 0) {
        size_t len = 1;
        if (left >= 3 && memcmp(p, "```", 3) == 0) {
            code = !code;
            len = 3;
        } else if (code) {
            len = 1;
        } else if (isalpha(*p)) {
            while (len < left && isalpha(p[len]))
                len++;
            l->latin += (int64_t)len;
            l->words++;
            l->common += is_common((const char *)p, len);
        } else if (*p >= 0x80 && (len = utf8_char(p, left)) > 1) {
            count_wide(l, p, len);
        }
        len = len > 0 ? len : 1;
        p += len;
        left -= len;
    }
}

bool filter_english(const char *question, const char *answer)
{
    enum { LONGER = 40 };
    struct letters l = {0};
    count_letters(&l, question);
    count_letters(&l, answer);
    return l.other * 9 <= l.latin && (l.words < LONGER || l.common * 20 >= l.words);
}

/* ------------------------------------------------------------------- all together */

enum reason filter_record(const struct mixture_source *s, const json_t *raw, const json_t *record, filter_equal_fn *equal)
{
    const char *question, *answer;
    parts(record, &question, &answer);
    for (int64_t i = 0; i < s->where.n; i++)
        if (!column_fits((const struct mixture_where *)s->where.at + i, raw))
            return WRONG_COLUMN;
    if (s->thought && !filter_thought(question, answer))
        return NO_THOUGHT;
    if (!answered(s, raw, answer, equal))
        return NO_ANSWER;
    if (s->language == LANGUAGE_ENGLISH && !filter_english(question, answer))
        return OTHER_LANGUAGE;
    return TAKEN;
}

bool filter_key(enum mixture_unique unique, const json_t *raw, const json_t *record, uint64_t *key)
{
    const char *question, *answer;
    if (unique == UNIQUE_ID) {
        char *id = column_text(json_object_get(raw, "id"));
        if (id)
            *key = keys_text(id);
        free(id);
        return id != NULL;
    }
    parts(record, &question, &answer);
    if (unique == UNIQUE_PROMPT) {
        *key = keys_text(question);
        return true;
    }
    json_t *what = json_object();
    static const char *const keys[] = {"text", "prompt", "completion", "messages", "input_ids", "labels"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (json_object_get(record, keys[i]))
            json_object_set(what, keys[i], json_object_get(record, keys[i]));
    char *dump = json_dumps(what, JSON_COMPACT);
    *key = keys_text(dump);
    free(dump);
    json_decref(what);
    return true;
}
