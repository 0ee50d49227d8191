/* infer/tasks/answer.h - where in a model's text the final answer stands.
 *
 * A task lists rules, strongest first. They are tried on what follows the last </think>; when nothing is there, explicit marks (####, a
 * box, "answer is") count inside the reasoning too. A text that was cut off while it was reasoning has no last number: what stands last
 * is a step on the way. A box or #### with no number in it, or a box that is never closed, is no answer: nothing
 * weaker is tried after it.
 */
#ifndef INFER_TASKS_ANSWER_H
#define INFER_TASKS_ANSWER_H
#include "infer/math/number.h"
#include <stdbool.h>
#ifdef __cplusplus
extern "C" {
#endif

enum answer_rule {
    ANSWER_END,    /* ends a list of rules */
    ANSWER_WHOLE,  /* everything after </think> is one number */
    ANSWER_HASHES, /* the line after the last #### */
    ANSWER_BOX,    /* the last closed \boxed{} or \fbox{} */
    ANSWER_IS,     /* after the last "answer is", "answer:" */
    ANSWER_LAST,   /* the last number */
};

/* cut: the text ended at the token limit. Returns the number found (canon NULL: none) and says in *how by which rule, or why there is
 * none; *how is static. */
bool answer_number(struct number *v, const char *text, bool cut, const enum answer_rule *rules, const char **how);
/* What follows the last </think>; NULL when there is none. */
const char *answer_after_think(const char *text);
/* What follows the last "answer is" or "answer:", on this line or the next; NULL when there is none. */
const char *answer_said(const char *text);
/* The content of the last closed box, braces balanced. The caller frees. NULL: none; *opened then says whether one was begun. */
char *answer_box(const char *text, bool *opened);
/* The same; boxes before it that only a comma, "and" or "or" parts from it belong to it, and stand before it with commas between. */
char *answer_boxes(const char *text, bool *opened);

#ifdef __cplusplus
}
#endif
#endif
