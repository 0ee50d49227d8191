/* tests/cases.h - the attempts in tests/sandbox_cases/: programs under "#: name" lines, with common lines in front of each. */
#ifndef TESTS_CASES_H
#define TESTS_CASES_H
#include "core/file.h"
#include "tests/test.h"

/* Calls fn for every attempt of the file; place stands where the file says CANARY. Returns how many there were. */
static inline int each_case(const char *path, const char *place, void (*fn)(const char *name, const char *program))
{
    struct err e;
    char *text = file_read(path, 1 << 20, NULL, &e), *program = xmalloc(1 << 16);
    int n = 0;
    check_msg(text, "%s", text ? "" : e.msg);
    char *common = text, *at = text ? strstr(text, "\n#: ") : NULL;
    if (at)
        *at = '\0';
    while (at) {
        char *name = at + 4, *body = strchr(name, '\n');
        *body++ = '\0';
        at = strstr(body, "\n#: ");
        if (at)
            *at = '\0';
        char *to = program + sprintf(program, "%s\n", common);
        for (const char *from = body; *from;) {
            bool here = strncmp(from, "CANARY", 6) == 0;
            to += sprintf(to, here ? "%s" : "%.1s", here ? place : from);
            from += here ? 6 : 1;
        }
        fn(name, program);
        n++;
    }
    free(program);
    free(text);
    return n;
}
#endif
