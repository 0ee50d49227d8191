/* infer/promptcot/text.c - see text.h. */
#include "infer/promptcot/text.h"
#include "infer/tasks/answer.h" /* answer_after_think */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define BEGIN_RATIONALE "<!-- BEGIN RATIONALE -->"
#define BEGIN_PROBLEM   "<!-- BEGIN PROBLEM -->"
#define BEGIN_INPUT     "<!-- BEGIN INPUT -->"
#define END_INPUT       "<!-- END INPUT -->"

const char *text_of(const json_t *record, const char *key)
{
    const char *text = json_string_value(json_object_get(record, key));
    return text ? text : "";
}

/* "1. first\n2. second\n" */
static char *numbered(const json_t *concepts)
{
    char *all = xstrdup("");
    size_t i;
    const json_t *v;
    json_array_foreach(concepts, i, v)
    {
        char *more = xprintf("%s%zu. %s\n", all, i + 1, json_string_value(v));
        free(all);
        all = more;
    }
    return all;
}

char *text_prompt(const json_t *concepts, const char *level)
{
    char *list = numbered(concepts);
    char *text =
        xprintf("Given foundational concepts and difficulty level, identify connections and develop a question that integrates these "
                "concepts with appropriate complexity.\n\nFoundational Concepts:\n%s\nDifficulty Level: %s",
                list, level);
    free(list);
    return text;
}

char *text_completion(const char *rationale, const char *problem)
{
    return xprintf(BEGIN_RATIONALE "\n%s\n" END_RATIONALE "\n\n" BEGIN_PROBLEM "\n%s\n" END_PROBLEM, rationale, problem);
}

char *text_ask_rationale(const char *prompt, bool chat)
{
    if (!chat)
        return xprintf("%s\n\n" BEGIN_RATIONALE "\n", prompt);
    return xprintf(
        "%s\n\nDo not write the question yet. First write your rationale: how the concepts connect, which setting brings all of them "
        "in, how the difficulty comes about, and how one checks that the question has an answer. Put it between " BEGIN_RATIONALE
        " and " END_RATIONALE ".",
        prompt);
}

char *text_ask_problem(const char *prompt, const char *rationale, bool chat)
{
    if (!chat)
        return xprintf("%s\n\n" BEGIN_RATIONALE "\n%s\n" END_RATIONALE "\n\n" BEGIN_PROBLEM "\n", prompt, rationale);
    return xprintf("%s\n\nThe rationale of the question:\n" BEGIN_RATIONALE "\n%s\n" END_RATIONALE
                   "\n\nNow write the question that it describes, complete and without its solution. Put it between " BEGIN_PROBLEM
                   " and " END_PROBLEM ".",
                   prompt, rationale);
}

char *text_ask_posterior(const char *prompt, const char *problem, bool chat)
{
    if (!chat)
        return xprintf("%s\n\n" BEGIN_PROBLEM "\n%s\n" END_PROBLEM "\n\n" BEGIN_RATIONALE "\n", prompt, problem);
    return xprintf(
        "%s\n\nThe question is there already:\n" BEGIN_PROBLEM "\n%s\n" END_PROBLEM
        "\n\nWrite the rationale from which its author could have written exactly this question: how the concepts connect, and which "
        "choices lead to it. Put it between " BEGIN_RATIONALE " and " END_RATIONALE ".",
        prompt, problem);
}

char *text_ask_judge(const json_t *concepts, const char *level, const char *rationale, const char *problem)
{
    char *list = numbered(concepts), *work = text_completion(rationale, problem);
    char *text =
        xprintf("You judge problems that were written for training in mathematics and programming. Be strict.\n\n"
                "What was asked for\nFoundational concepts:\n%sDifficulty level: %s\n\n"
                "What was written: the rationale, then the problem\n%s\n\n"
                "Rate each of these as Perfect, Acceptable or Bad, with a reason:\n"
                "1. Format: both parts are there, each between its marks, and the problem stands on its own.\n"
                "2. Factual accuracy: nothing in the rationale or the problem is wrong, misleading or in contradiction to the rest.\n"
                "3. Difficulty alignment: the problem is as hard as the level asks.\n"
                "4. Concept coverage: all foundational concepts are needed, none is forced in.\n"
                "5. Solvability: there is a valid answer, and all that it takes is given.\n\n"
                "Then close with one line, 'Final Judgement: ' and one word:\n"
                "perfect, if accuracy and solvability are Perfect, at least two of the others are, and none is Bad;\n"
                "acceptable, if none is Bad but it is not perfect;\n"
                "bad, if any is Bad.",
                list, level, work);
    free(work);
    free(list);
    return text;
}

char *text_ask_inputs(const char *problem, int64_t n)
{
    return xprintf(
        "A program is to solve this problem; it reads its input from stdin and writes the answer to stdout.\n\n%s\n\n"
        "Write %lld inputs to try such programs on, all valid and all different: small ones, edge cases, larger ones. Put each between " BEGIN_INPUT
        " and " END_INPUT ", exactly as the program is to read it, and nothing of what it should print.",
        problem, (long long)n);
}

/* ------------------------------------------------------------------- answers */

/* The last begin mark counts: a model may think about the marks before it uses them. */
static char *between(const char *text, const char *begin, const char *end, bool stopped)
{
    const char *from = text;
    for (const char *at = text; (at = strstr(at, begin));)
        from = at += strlen(begin);
    const char *to = strstr(from, end);
    if (!to && !stopped)
        return NULL;
    to = to ? to : from + strlen(from);
    while (from < to && isspace((unsigned char)*from))
        from++;
    while (to > from && isspace((unsigned char)to[-1]))
        to--;
    return to > from ? xprintf("%.*s", (int)(to - from), from) : NULL;
}

json_t *text_inputs(const char *reply, int64_t n)
{
    const char *at = answer_after_think(reply), *end;
    json_t *all = json_array();
    for (at = at ? at : reply; (int64_t)json_array_size(all) < n && (at = strstr(at, BEGIN_INPUT)); at = end) {
        at += strlen(BEGIN_INPUT);
        if (!(end = strstr(at, END_INPUT)))
            break;
        at += strspn(at, " \t\r");
        at += *at == '\n'; /* the line of the mark; what the input itself begins with stays */
        const char *last = end;
        while (last > at && isspace((unsigned char)last[-1]))
            last--;
        char *input = xprintf("%.*s\n", (int)(last - at), at);
        bool fresh = last > at;
        size_t i;
        const json_t *other;
        json_array_foreach(all, i, other)
        {
            fresh = fresh && strcmp(json_string_value(other), input) != 0;
        }
        if (fresh)
            json_array_append_new(all, json_string(input));
        free(input);
    }
    return all;
}

char *text_rationale(const char *reply, bool stopped)
{
    return between(reply, BEGIN_RATIONALE, END_RATIONALE, stopped);
}

char *text_problem(const char *reply, bool stopped)
{
    return between(reply, BEGIN_PROBLEM, END_PROBLEM, stopped);
}

const char *text_verdict(const char *reply)
{
    static const char MARK[] = "final judgement:";
    static const char *const verdicts[] = {"perfect", "acceptable", "bad"};
    const char *last = NULL;
    for (const char *at = reply; (at = strcasestr(at, MARK));)
        last = at += sizeof MARK - 1;
    last = last ? last + strspn(last, " \t\n\r*_'\"`[(") : NULL;
    for (size_t i = 0; last && i < sizeof verdicts / sizeof *verdicts; i++) {
        size_t n = strlen(verdicts[i]);
        if (strncasecmp(last, verdicts[i], n) == 0 && !isalpha((unsigned char)last[n]))
            return verdicts[i];
    }
    return "none";
}
