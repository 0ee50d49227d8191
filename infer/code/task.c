/* infer/code/task.c - what the tasks with programs share: the prompts, and where in an answer the program stands. See code.h. */
#include "infer/code/code.h"
#include <stdlib.h>
#include <string.h>

char *code_prompt(const char *question, const char *starter)
{
    static const char head[] = "<|im_start|>user\nYou will be given a question (problem specification) and will generate a correct Python "
                               "program that matches the specification and passes all tests.\n\nQuestion: ";
    static const char tail[] = "\n```\n\n<|im_end|>\n<|im_start|>assistant\n<think>\n";
    if (starter)
        return xprintf("%s%s\n\nYou will use the following starter code to write the solution to the problem and enclose your code within "
                       "delimiters.\n```python\n%s%s",
                       head, question, starter, tail);
    return xprintf(
        "%s%s\n\nRead the inputs from stdin solve the problem and write the answer to stdout (do not directly test on the sample "
        "inputs). Enclose your code within delimiters as follows. Ensure that when the python program runs, it reads the "
        "inputs, runs the algorithm and writes output to STDOUT.\n```python\n# YOUR CODE HERE%s",
        head, question, tail);
}

/* The line at p, without its newline; *next is the line after it, NULL at the end. */
static size_t line_at(const char *p, const char **next)
{
    const char *newline = strchr(p, '\n');
    *next = newline ? newline + 1 : NULL;
    return newline ? (size_t)(newline - p) : strlen(p);
}

/* The lines between the last two lines with a fence, as the paper's script takes them. NULL: there are no two. */
static char *last_block(const char *text)
{
    const char *open = NULL, *close = NULL, *next;
    for (const char *p = text; p; p = next) {
        size_t n = line_at(p, &next);
        if (!memmem(p, n, "```", 3))
            continue;
        open = close;
        close = p;
    }
    if (!open)
        return NULL;
    (void)line_at(open, &next);
    return strndup(next, (size_t)(close - next));
}

void code_find_program(struct verdict *v, const char *text, bool cut)
{
    const char *answer = answer_after_think(text);
    if (!answer && cut) {
        v->why = xstrdup("cut off while reasoning");
        return;
    }
    v->extracted = last_block(answer ? answer : text);
    if (!v->extracted)
        v->why = xstrdup("no fenced block (``` to ```) in the answer");
}
void code_task_judge(struct verdict *v, const json_t *truth, const char *key, const char *text, bool cut)
{
    (void)truth;
    (void)key;
    code_find_program(v, text, cut);
}
