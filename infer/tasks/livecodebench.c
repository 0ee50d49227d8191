/* infer/tasks/livecodebench.c - LiveCodeBench (Jain et al. 2024, arXiv 2403.07974): TRUTH is the published records, tests and all;
 * scripts/import_code.py adds the id. */
#include "infer/code/code.h"
#include <stdlib.h>
#include <string.h>

enum { CPU_SECONDS = 30 }; /* a test, as the paper's script allows */

/* What its own harness lets programs take for granted, in its order: the built-in names win over those of operator. */
static const char prelude[] =
    "from string import *\nfrom re import *\nfrom datetime import *\nfrom collections import *\nfrom heapq import *\n"
    "from bisect import *\nfrom copy import *\nfrom math import *\nfrom random import *\nfrom statistics import *\n"
    "from itertools import *\nfrom functools import *\nfrom operator import *\nfrom io import *\nfrom sys import *\n"
    "from json import *\nfrom builtins import *\nfrom typing import *\n"
    "import string, re, datetime, collections, heapq, bisect, copy, math, random, statistics, itertools\n"
    "import functools, operator, io, sys, json\nsys.setrecursionlimit(50000)\n";

/* NULL without e: the problem is one from standard input to standard output. */
static char *entry_point(const json_t *truth, const json_t *all, struct err *e)
{
    const char *meta, *starter = json_string_value(json_object_get(truth, "starter_code")), *name;
    const char *type = json_string_value(json_object_get(json_array_get(all, 0), "testtype"));
    if (!type || strcmp(type, "functional") != 0)
        return NULL;
    if (!json_get_str(truth, "metadata", &meta, e))
        return NULL;
    json_t *metadata = json_parse(meta, strlen(meta), "\"metadata\"", e);
    char *entry = NULL;
    if (metadata && json_get_str(metadata, "func_name", &name, e))
        entry = xprintf("%s%s", starter && strstr(starter, "class Solution") ? "Solution()." : "", name);
    json_decref(metadata);
    return entry;
}

static bool tests(struct code_tests *t, const json_t *truth, struct err *e)
{
    json_t *all = code_lcb_tests(truth, e);
    if (!all)
        return false;
    if (json_array_size(all) == 0) {
        json_decref(all);
        return err_set(e, "the record has no tests");
    }
    e->msg[0] = '\0';
    char *entry = entry_point(truth, all, e);
    bool ok = entry || !e->msg[0];
    t->cpu_s = CPU_SECONDS;
    t->prelude = xstrdup(prelude);
    if (entry)
        t->request = json_pack("{s:s, s:o}", "entry_point", entry, "cases", all);
    else
        t->cases = all;
    must(t->request || t->cases);
    free(entry);
    return ok;
}

static char *prompt(const json_t *truth, struct err *e)
{
    const char *question, *starter;
    if (!json_get_str(truth, "question_content", &question, e) || !json_get_str(truth, "starter_code", &starter, e))
        return NULL;
    return code_prompt(question, *starter ? starter : NULL);
}

static bool gold(const json_t *truth, char **key, struct err *e)
{
    (void)key;
    return code_gold(tests, truth, e);
}

const struct task task_livecodebench = {
    .name = "livecodebench",
    .about = "contest programs, from standard input or as functions, under LiveCodeBench's public and private tests",
    .sampling = SAMPLING_PAPER(8),
    .prompt = prompt,
    .gold = gold,
    .judge = code_task_judge,
    .tests = tests,
};
