/* infer/tasks/mbppplus.c - MBPP+ (Austin et al. 2021, arXiv 2108.07732; Liu et al. 2023): TRUTH is {id, prompt, entry_point, test, test_list}
 * as the published file has them; scripts/import_code.py adds id and entry_point. */
#include "infer/code/code.h"
#include <stdlib.h>

static bool tests(struct code_tests *t, const json_t *truth, struct err *e)
{
    const char *entry, *test;
    if (!json_get_str(truth, "entry_point", &entry, e) || !json_get_str(truth, "test", &test, e))
        return false;
    t->cpu_s = 60; /* the slowest of the published solutions takes ten */
    t->request = json_pack("{s:s, s:s, s:s}", "entry_point", entry, "setup", "", "test", test);
    must(t->request);
    return true;
}

/* The problem and one of its examples, which gives the function's name, as MBPP is asked everywhere. */
static char *prompt(const json_t *truth, struct err *e)
{
    const char *text, *entry, *example = json_string_value(json_array_get(json_object_get(truth, "test_list"), 0));
    if (!json_get_str(truth, "prompt", &text, e) || !json_get_str(truth, "entry_point", &entry, e))
        return NULL;
    if (!example) {
        err_set(e, "\"test_list\" must be an array of strings with at least one");
        return NULL;
    }
    char *question = xprintf("%s\nYour function should pass this test: %s", text, example);
    char *starter = xprintf("def %s", entry);
    char *whole = code_prompt(question, starter);
    free(question);
    free(starter);
    return whole;
}

static bool gold(const json_t *truth, char **key, struct err *e)
{
    (void)key;
    return code_gold(tests, truth, e);
}

const struct task task_mbppplus = {
    .name = "mbppplus",
    .about = "basic Python functions under the tests of MBPP+ (they need python3-numpy)",
    .sampling = SAMPLING_PAPER(1),
    .prompt = prompt,
    .gold = gold,
    .judge = code_task_judge,
    .tests = tests,
};
