/* infer/answer.c - see answer.h. */
#include "infer/answer.h"
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

/* The content of the last closed box. One pass with a stack of open braces, so that a text full of boxes never closed costs no more. */
char *answer_box(const char *text, bool *opened)
{
    struct open {
        const char *at;
        bool box;
    } *stack = xmalloc((strlen(text) + 1) * sizeof(*stack));
    size_t depth = 0;
    const char *from = NULL, *to = NULL;
    bool box = false; /* the brace that comes next opens a box */
    *opened = false;
    for (const char *p = text; *p; p++) {
        if (*p == '{') {
            stack[depth++] = (struct open){p + 1, box};
            *opened = *opened || box;
        } else if (*p == '}' && depth) {
            struct open o = stack[--depth];
            if (o.box && (!from || o.at > from)) {
                from = o.at;
                to = p;
            }
        } else if (*p == '\\') {
            size_t n = strncmp(p, "\\boxed", 6) == 0 ? 6 : strncmp(p, "\\fbox", 5) == 0 ? 5 : p[1] ? 2 : 1;
            box = n > 2;
            p += n - 1;
            continue;
        } else if (*p == ' ') {
            continue;
        }
        box = false;
    }
    free(stack);
    return from ? xprintf("%.*s", (int)(to - from), from) : NULL;
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
        const char *is = find_last(text, "answer is"), *colon = find_last(text, "answer:");
        const char *at = !is ? colon : !colon || is > colon ? is : colon;
        if (!at)
            return false;
        at += at == is ? strlen("answer is") : strlen("answer:");
        return number_of_line(v, at + strspn(at, " :*\n\r\t"));
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
