/* infer/math/judge.c - see judge.h. */
#include "infer/math/judge.h"
#include "infer/math/equal.h"
#include "infer/math/expr.h"
#include "infer/math/strings.h"
#include <ctype.h>
#include <string.h>

enum { MANY_WORDS = 4 };

/* s without blanks, stars and colons around it, and without the full stop. */
static char *trimmed(const char *s, size_t n)
{
    while (n && strchr(" \t\r\n*:", s[0]))
        s++, n--;
    while (n && strchr(" \t\r\n*.", s[n - 1]))
        n--;
    return xprintf("%.*s", (int)n, s);
}

/* It reads as an answer: mathematics, or a few words. */
static bool reads(const char *s)
{
    struct math m = {0};
    const struct math_node *x = *s ? math_parse(&m, s, false) : NULL;
    int words = 1;
    for (const char *c = x && x->op == MATH_TEXT ? x->name : ""; *c; c++)
        words += *c == ' ';
    math_free(&m);
    return x && words < MANY_WORDS;
}

/* s if it reads; else freed. */
static char *if_reads(char *s)
{
    if (reads(s))
        return s;
    free(s);
    return NULL;
}

/* The last formula between dollars or \( \). */
static char *last_formula(const char *line)
{
    const char *open = NULL, *from = NULL, *to = NULL;
    for (const char *p = line; *p; p++) {
        bool dollar = *p == '$' && (p == line || p[-1] != '\\'), begins = p[0] == '\\' && (p[1] == '(' || p[1] == '['),
             ends = p[0] == '\\' && (p[1] == ')' || p[1] == ']');
        if (open && (dollar || ends)) {
            from = open;
            to = p;
            open = NULL;
        } else if (dollar || begins) {
            open = p + (dollar ? 1 : 2);
        }
    }
    return from ? trimmed(from, (size_t)(to - from)) : NULL;
}

/* The answer in a sentence: all of it; what follows "is" or "="; what stands before a comma or a full stop; its last formula; its last
 * number. NULL: nothing of it reads. */
static char *in_sentence(const char *s)
{
    char *line = trimmed(s, strcspn(s, "\n"));
    char *found = if_reads(trimmed(line, strlen(line)));
    static const char *const verbs[] = {" is ", " are ", " equals ", " be ", "="};
    const char *rest = NULL;
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        const char *at = str_after_last(line, verbs[i]);
        rest = at && (!rest || at > rest) ? at : rest;
    }
    if (!found && rest)
        found = if_reads(trimmed(rest, strlen(rest)));
    for (int i = 0; !found && i < 2; i++) {
        const char *from = i && rest ? rest : line, *end = from;
        while (*end && !((*end == '.' || *end == ',') && (end[1] == ' ' || !end[1])))
            end++;
        found = *end ? if_reads(trimmed(from, (size_t)(end - from))) : NULL;
    }
    char *formula = found ? NULL : last_formula(line);
    if (formula)
        found = if_reads(formula);
    struct number v = {0};
    if (!found && number_last(&v, line))
        found = xstrdup(v.text);
    number_free(&v);
    free(line);
    return found;
}

static char *last_line(const char *text)
{
    size_t n = strlen(text);
    while (n && isspace((unsigned char)text[n - 1]))
        n--;
    size_t from = n;
    while (from && text[from - 1] != '\n')
        from--;
    char *line = xprintf("%.*s", (int)(n - from), text + from), *found = in_sentence(line);
    free(line);
    return found;
}

/* What a model marked as its answer. *ends: there is such a mark but nothing at it, so nothing weaker may be tried. */
static char *marked(const char *text, const char **how, bool *ends)
{
    bool opened;
    char *found = answer_boxes(text, &opened);
    *how = found ? "found in the box" : "the box is never closed";
    *ends = opened;
    if (found || opened)
        return found;
    const char *hashes = str_after_last(text, "####");
    if (hashes) {
        found = trimmed(hashes, strcspn(hashes, "\n"));
        *how = "found after ####";
        *ends = true;
        return found;
    }
    *how = "found after 'answer is'";
    const char *said = answer_said(text);
    return said ? in_sentence(said) : NULL;
}

static char *or_none(char *found, const char **how)
{
    if (found && found[strspn(found, " \t\n")])
        return found;
    if (found)
        *how = "the answer is empty";
    free(found);
    return NULL;
}

char *math_find_answer(const char *text, bool cut, const char **how)
{
    const char *after = answer_after_think(text);
    bool blank = !after || !after[strspn(after, " \t\r\n")], ends;
    char *found = marked(blank ? text : after, how, &ends);
    if (!found && !ends && !blank && !cut) {
        found = last_line(after);
        *how = "found in the last line";
    }
    if (!found && !ends && !blank)
        found = marked(text, how, &ends);
    if (!found && !ends && !after && !cut) {
        found = last_line(text);
        *how = "found in the last line";
    }
    if (!found && !ends)
        *how = cut ? "cut off before an answer" : "no answer found";
    return or_none(found, how);
}

/* ---- tasks ---- */

bool task_math_gold(const json_t *truth, char **key, struct err *e)
{
    const json_t *answer = json_object_get(truth, "answer");
    if (json_is_integer(answer)) {
        *key = xprintf("%" JSON_INTEGER_FORMAT, json_integer_value(answer));
        return true;
    }
    if (!json_is_string(answer))
        return err_set(e, "\"answer\" must be a string (or an integer; a decimal as a string, so that it stays exact), got %s",
                       answer ? json_type_name(answer) : "nothing");
    const char *text = json_string_value(answer), *hashes = str_after_last(text, "####");
    text = hashes ? hashes : text;
    *key = trimmed(text, strlen(text));
    if (**key)
        return true;
    free(*key);
    *key = NULL;
    return err_set(e, "\"answer\" is empty");
}

bool task_aime_gold(const json_t *truth, char **key, struct err *e)
{
    char *text;
    if (!task_math_gold(truth, &text, e))
        return false;
    struct number v;
    bool ok = number_single(&v, text) && strlen(v.canon) <= 3 && isdigit((unsigned char)v.canon[0]) && !strchr(v.canon, '/');
    if (ok)
        *key = xstrdup(v.canon);
    else
        err_set(e, "\"answer\" must be an integer from 0 to 999, got \"%.80s\"", text);
    number_free(&v);
    free(text);
    return ok;
}

void task_math_judge(struct verdict *v, const json_t *truth, const char *key, const char *text, bool cut)
{
    const char *how, *equal;
    v->extracted = math_find_answer(text, cut, &how);
    if (!v->extracted) {
        v->why = xstrdup(how);
        return;
    }
    v->correct = math_equal(key, v->extracted, &equal);
    const char *tolerance = json_string_value(json_object_get(truth, "tolerance"));
    if (!v->correct && tolerance && math_within(key, v->extracted, tolerance)) {
        v->correct = true;
        equal = "within the tolerance";
    }
    v->why = v->correct ? xprintf("%s; %s", how, equal) : xprintf("%s; %s: expected %s", how, equal, key);
    v->key = v->correct ? xstrdup(key) : math_key(v->extracted);
}

char *task_math_prompt(const json_t *truth, struct err *e)
{
    const char *problem = json_string_value(json_object_get(truth, "problem"));
    problem = problem ? problem : json_string_value(json_object_get(truth, "question"));
    if (!problem) {
        err_set(e, "a prompt needs the \"problem\" (or \"question\") of the record, a string");
        return NULL;
    }
    return xprintf("<|im_start|>user\n%s\nPlease reason step by step, and put your final answer within \\boxed{}.<|im_end|>\n"
                   "<|im_start|>assistant\n<think>\n",
                   problem);
}
