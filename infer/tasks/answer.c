/* infer/tasks/answer.c - see answer.h. */
#include "infer/tasks/answer.h"
#include "core/err.h"
#include <stdlib.h>
#include <string.h>

/* The last place where word stands, letters of any case; NULL: nowhere. */
static const char *find_last(const char *text, const char *word)
{
    size_t n = strlen(word), room = strlen(text);
    for (size_t at = room + 1 - n; room >= n && at-- > 0;)
        if (strncasecmp(text + at, word, n) == 0)
            return text + at;
    return NULL;
}

const char *answer_after_think(const char *text)
{
    const char *end = find_last(text, "</think>");
    return end ? end + strlen("</think>") : NULL;
}

const char *answer_said(const char *text)
{
    const char *is = find_last(text, "answer is"), *colon = find_last(text, "answer:");
    const char *at = !is ? colon : !colon || is > colon ? is : colon;
    if (!at)
        return NULL;
    at += at == is ? strlen("answer is") : strlen("answer:");
    return at + strspn(at, " :*\n\r\t");
}

/* A closed box: \boxed at begin, its content from from to the brace at to. */
struct box {
    const char *begin, *from, *to;
};

/* All closed boxes, as they close. One pass with a stack of open braces, so that a text full of boxes never closed costs no more. */
static struct box *boxes(const char *text, size_t *n, bool *opened)
{
    struct open {
        const char *at, *box; /* box: the command that the brace belongs to */
    } *stack = xmalloc((strlen(text) + 1) * sizeof(*stack));
    struct box *list = NULL;
    size_t depth = 0;
    const char *box = NULL; /* the brace that comes next opens a box */
    *n = 0;
    *opened = false;
    for (const char *p = text; *p; p++) {
        if (*p == '{') {
            stack[depth++] = (struct open){p + 1, box};
            *opened = *opened || box;
        } else if (*p == '}' && depth) {
            struct open o = stack[--depth];
            if (o.box) {
                if ((*n & (*n - 1)) == 0)
                    list = xrealloc(list, (*n ? 2 * *n : 1) * sizeof(*list));
                list[(*n)++] = (struct box){o.box, o.at, p};
            }
        } else if (*p == '\\') {
            size_t k = strncmp(p, "\\boxed", 6) == 0 ? 6 : strncmp(p, "\\fbox", 5) == 0 ? 5 : p[1] ? 2 : 1;
            box = k > 2 ? p : NULL;
            p += k - 1;
            continue;
        } else if (*p == ' ') {
            continue;
        }
        box = NULL;
    }
    free(stack);
    return list;
}

/* The box that begins last. */
static const struct box *last_box(const struct box *list, size_t n)
{
    const struct box *last = NULL;
    for (size_t i = 0; i < n; i++)
        if (!last || list[i].from > last->from)
            last = &list[i];
    return last;
}

static char *content_of(const struct box *b)
{
    return xprintf("%.*s", (int)(b->to - b->from), b->from);
}

char *answer_box(const char *text, bool *opened)
{
    size_t n;
    struct box *list = boxes(text, &n, opened);
    const struct box *last = last_box(list, n);
    char *content = last ? content_of(last) : NULL;
    free(list);
    return content;
}

/* Between two boxes stand only the borders of formulas and a comma, "and" or "or". */
static bool joined(const char *from, const char *to)
{
    static const char *const borders[] = {"\\(", "\\)", "\\[", "\\]", "\\text{", "\\quad", "\\;", "\\,", "\\ ", "$", "}", " ", "\n"},
                             *const joints[] = {",", ";", "and", "or"};
    bool joint = false;
    while (from < to) {
        size_t n = 0;
        for (size_t i = 0; !n && i < sizeof(borders) / sizeof(borders[0]); i++)
            n = strncmp(from, borders[i], strlen(borders[i])) == 0 ? strlen(borders[i]) : 0;
        for (size_t i = 0; !n && i < sizeof(joints) / sizeof(joints[0]); i++)
            if (strncmp(from, joints[i], strlen(joints[i])) == 0) {
                n = strlen(joints[i]);
                joint = true;
            }
        if (!n)
            return false;
        from += n;
    }
    return joint;
}

char *answer_boxes(const char *text, bool *opened)
{
    size_t n;
    struct box *list = boxes(text, &n, opened);
    const struct box *last = last_box(list, n);
    char *content = last ? content_of(last) : NULL;
    bool several = false;
    for (const struct box *b = last; b && b > list && joined(b[-1].to + 1, b->begin); b--) {
        char *more = content_of(&b[-1]);
        if (several || strcmp(more, content) != 0) {
            char *both = xprintf("%s, %s", more, content);
            free(content);
            content = both;
            several = true;
        }
        free(more);
    }
    free(list);
    return content;
}

static char *line_of(const char *s)
{
    return xprintf("%.*s", (int)strcspn(s, "\n"), s);
}

/* The first number of a line, or of what follows its last "=". */
static bool number_of_line(struct number *v, const char *s)
{
    char *line = line_of(s), *equals = strrchr(line, '=');
    bool ok = number_single(v, line) || number_first(v, equals ? equals + 1 : line);
    free(line);
    return ok;
}

/* Tries one rule. *marked: the rule's mark is there, whether or not a number is in it. */
static bool try_rule(struct number *v, enum answer_rule rule, const char *text, bool *marked)
{
    *marked = false;
    switch (rule) {
    case ANSWER_END:
        return false;
    case ANSWER_WHOLE:
        return number_single(v, text);
    case ANSWER_HASHES: {
        const char *at = find_last(text, "####");
        *marked = at;
        return at && number_of_line(v, at + 4);
    }
    case ANSWER_BOX: {
        char *box = answer_box(text, marked);
        bool ok = box && number_single(v, box);
        free(box);
        return ok;
    }
    case ANSWER_IS: {
        const char *at = answer_said(text);
        return at && number_of_line(v, at);
    }
    case ANSWER_LAST:
        return number_last(v, text);
    }
    return false;
}

static const char *const rule_names[] = {
    [ANSWER_WHOLE] = "found as the whole answer", [ANSWER_HASHES] = "found after ####",       [ANSWER_BOX] = "found in the box",
    [ANSWER_IS] = "found after 'answer is'",      [ANSWER_LAST] = "found as the last number",
};

bool answer_number(struct number *v, const char *text, bool cut, const enum answer_rule *rules, const char **how)
{
    *v = (struct number){0};
    const char *after = answer_after_think(text);
    bool marked;
    for (const enum answer_rule *r = rules; after && *r != ANSWER_END; r++) {
        if (try_rule(v, *r, after, &marked)) {
            *how = rule_names[*r];
            return true;
        }
        if (marked) {
            *how = *r == ANSWER_BOX ? "no closed box with a single number" : "no number after ####";
            return false;
        }
    }
    for (const enum answer_rule *r = rules; *r != ANSWER_END; r++) {
        bool mark = *r == ANSWER_HASHES || *r == ANSWER_BOX || *r == ANSWER_IS;
        if (!mark && (after || cut))
            continue;
        if (try_rule(v, *r, text, &marked)) {
            *how = rule_names[*r];
            return true;
        }
        if (marked) {
            *how = *r == ANSWER_BOX ? "no closed box with a single number" : "no number after ####";
            return false;
        }
    }
    *how = cut ? "cut off before an answer" : "no number found";
    return false;
}
