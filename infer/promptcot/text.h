/* infer/promptcot/text.h - the wording of PromptCoT: what models are asked, and where their answer stands.
 *
 * The generator's record is the published one (PromptCoT-Problem-Generation-Dataset): the prompt states concepts and level, the completion is
 *     <!-- BEGIN RATIONALE -->\n rationale \n<!-- END RATIONALE -->\n\n<!-- BEGIN PROBLEM -->\n problem \n<!-- END PROBLEM -->
 * A completions endpoint or a model folder is given the record up to where the rationale or the problem begins, and stops at its end mark; a chat
 * endpoint is told what to write between which marks. All texts returned are the caller's to free.
 */
#ifndef INFER_PROMPTCOT_TEXT_H
#define INFER_PROMPTCOT_TEXT_H
#include "core/json.h"
#ifdef __cplusplus
extern "C" {
#endif

#define END_RATIONALE "<!-- END RATIONALE -->"
#define END_PROBLEM   "<!-- END PROBLEM -->"

/* A record's text; "" when it has none of that name. Borrowed. */
const char *text_of(const json_t *record, const char *key);

/* "prompt" of the generator's record: concepts, a list of strings, and the level. */
char *text_prompt(const json_t *concepts, const char *level);
char *text_completion(const char *rationale, const char *problem);

/* The requests. prompt: of the record. */
char *text_ask_rationale(const char *prompt, bool chat);
char *text_ask_problem(const char *prompt, const char *rationale, bool chat);
/* The rationale that would lead to a problem that is there: of the model q(rationale | concepts, problem) of PromptCoT 2.0. */
char *text_ask_posterior(const char *prompt, const char *problem, bool chat);
char *text_ask_judge(const json_t *concepts, const char *level, const char *rationale, const char *problem);

/* Inputs for programs that solve the problem. In a reply each stands between its marks, and the thought before is not looked at: an array of
 * different texts that end with a newline, at most n of them; the caller json_decref()s. */
char *text_ask_inputs(const char *problem, int64_t n);
json_t *text_inputs(const char *reply, int64_t n);

/* What stands between the begin mark (or the beginning) and the end mark, without blanks around it. stopped: the text ended at the end mark, so
 * that this is not in it. NULL: it is empty, or its end is missing. */
char *text_rationale(const char *reply, bool stopped);
char *text_problem(const char *reply, bool stopped);
/* "perfect", "acceptable", "bad", or "none" when there is no final judgement; static. The last one counts. */
const char *text_verdict(const char *reply);

#ifdef __cplusplus
}
#endif
#endif
