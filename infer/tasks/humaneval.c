/* infer/tasks/humaneval.c - HumanEval (Chen et al. 2021, arXiv 2107.03374) and HumanEval+ (Liu et al. 2023, arXiv 2305.01210): TRUTH is {id,
 * prompt, entry_point, test} as the published files have them; scripts/import_code.py adds the id. */
#include "infer/code/code.h"
#include <stdlib.h>

static bool tests_within(struct code_tests *t, const json_t *truth, double cpu_s, struct err *e)
{
    const char *prompt, *entry, *test;
    if (!json_get_str(truth, "prompt", &prompt, e) || !json_get_str(truth, "entry_point", &entry, e) ||
        !json_get_str(truth, "test", &test, e))
        return false;
    t->cpu_s = cpu_s;
    /* The prompt is a whole function without a body: what it imports and its helpers are there whether the answer repeats them or not. */
    t->prelude = xprintf("%s\n", prompt);
    t->request = json_pack("{s:s, s:s, s:s}", "entry_point", entry, "setup", prompt, "test", test);
    must(t->request);
    return true;
}
static bool tests(struct code_tests *t, const json_t *truth, struct err *e)
{
    return tests_within(t, truth, 15, e);
}
static bool tests_plus(struct code_tests *t, const json_t *truth, struct err *e)
{
    return tests_within(t, truth, 30, e);
}

static char *prompt(const json_t *truth, struct err *e)
{
    const char *text;
    return json_get_str(truth, "prompt", &text, e) ? code_prompt("Complete the following Python function. Answer with the whole function, "
                                                                 "and what it needs.",
                                                                 text)
                                                   : NULL;
}

static bool gold(const json_t *truth, char **key, struct err *e)
{
    (void)key;
    return code_gold(tests, truth, e);
}

const struct task task_humaneval = {
    .name = "humaneval",
    .about = "Python functions: the last fenced block, run in a sandbox under the benchmark's tests",
    .sampling = SAMPLING_PAPER(1),
    .prompt = prompt,
    .gold = gold,
    .judge = code_task_judge,
    .tests = tests,
};
const struct task task_humanevalplus = {
    .name = "humanevalplus",
    .about = "the same under the tests of HumanEval+ (they need python3-numpy)",
    .sampling = SAMPLING_PAPER(1),
    .prompt = prompt,
    .gold = gold,
    .judge = code_task_judge,
    .tests = tests_plus,
};
