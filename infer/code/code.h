/* infer/code/code.h - tasks whose answers are programs: what decides about one, and the judge that runs them all.
 *
 * Every program runs in a sandbox of its own (infer/code/sandbox.h). Expected values never enter it: outputs are compared here, and tests written
 * in Python run in another interpreter, where the functions under test are stand-ins that send a call to the program and take plain data
 * back. Limits are on CPU time; what ran out of time is run again with nothing beside it before that counts.
 */
#ifndef INFER_CODE_CODE_H
#define INFER_CODE_CODE_H
#include "core/json.h"
#include "infer/tasks/task.h"
#ifdef __cplusplus
extern "C" {
#endif

/* How one problem is decided; made by a task's tests(). */
struct code_tests {
    double cpu_s;    /* the limit: per test of cases, else for all calls together */
    char *prelude;   /* what stands in front of the program */
    json_t *cases;   /* [{"input", "output"}]: run once per case, standard input to standard output */
    json_t *request; /* else: what check.py is sent: {"entry_point", "setup", "test"} or {"entry_point", "cases"} */
};
void code_tests_free(struct code_tests *t);

/* The program in a model's text: the last fenced block (``` to ```) after the last </think>, or of the whole text when there is none and
 * it was not cut off. Fills v->extracted, or v->why. */
void code_find_program(struct verdict *v, const char *text, bool cut);

/* The same as the judge() of a task whose answers are programs. */
void code_task_judge(struct verdict *v, const json_t *truth, const char *key, const char *text, bool cut);

/* Checks that a record's tests can be read; *key stays NULL. */
bool code_gold(bool (*tests)(struct code_tests *, const json_t *, struct err *), const json_t *truth, struct err *e);

/* The prompts of the paper's own files: ChatML, a problem, and how the answer is to look: a program from standard input to standard output
 * (starter NULL), or one that fills in the starter code. */
char *code_prompt(const char *question, const char *starter);

/* The tests of a truth record of LiveCodeBench, as published: public_test_cases and private_test_cases, the latter base64 of zlib of a
 * pickle of one string, and of that form nothing else is read. An array of {"input", "output", "testtype"}; the caller json_decref()s.
 * NULL: e. */
json_t *code_lcb_tests(const json_t *truth, struct err *e);

/* Whether a program's output is the expected one, as LiveCodeBench has it: trimmed, line by line, each trimmed and equal as text or as
 * decimal numbers (exactly: 1.50 is 1.5 and is not 1.5000001). why receives the first difference. */
bool code_same_output(const char *got, size_t n, const char *want, char *why, size_t size);

struct code_options {
    bool unsafe;
    int jobs;     /* programs at once; 0: one per core that this process may use */
    double cpu_s; /* instead of the task's own limit; 0: that */
};
/* One program to judge. */
struct code_job {
    const json_t *truth;
    struct verdict *v; /* has the program, gets the rest */
};
/* false: this machine cannot (no walls, a module missing); e says what is missing. */
bool code_judge(const struct code_job *jobs, int64_t n, bool (*tests)(struct code_tests *, const json_t *, struct err *),
                const struct code_options *o, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
