/* tests/test.h - the whole test harness: a test program is a list of functions, each a list of checks.
 *
 * A failed check prints file:line and the values, and the test goes on. test_main() runs the tests (all, or those whose
 * names contain an argument), prints "name: N passed, N failed, N skipped" and exits 1 when one failed.
 */
#ifndef TESTS_TEST_H
#define TESTS_TEST_H
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct test {
    const char *name;
    void (*fn)(void);
};
static int test_failures;             /* of the running test */
static const char *test_skip_message; /* set by test_skip() */

#define check(cond)                                                                                                                        \
    do {                                                                                                                                   \
        if (!(cond)) {                                                                                                                     \
            test_failures++;                                                                                                               \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #cond);                                                      \
        }                                                                                                                                  \
    } while (0)
/* With a message of its own: check_msg(a == b, "head %d: %g", h, a). */
#define check_msg(cond, ...)                                                                                                               \
    do {                                                                                                                                   \
        if (!(cond)) {                                                                                                                     \
            test_failures++;                                                                                                               \
            fprintf(stderr, "%s:%d: does not hold: %s: ", __FILE__, __LINE__, #cond);                                                      \
            fprintf(stderr, __VA_ARGS__);                                                                                                  \
            fputc('\n', stderr);                                                                                                           \
        }                                                                                                                                  \
    } while (0)
#define check_str(got, want) check_msg(strcmp((got), (want)) == 0, "got \"%s\", want \"%s\"", (got), (want))
#define check_int(got, want) check_msg((long long)(got) == (long long)(want), "got %lld, want %lld", (long long)(got), (long long)(want))
/* The text contains the words. */
#define check_has(text, words) check_msg(strstr((text), (words)) != NULL, "\"%s\" is not in \"%s\"", (words), (text))

/* Ends the test as skipped; the message says what is missing. Use: { test_skip("no ../shared"); return; } */
static inline void test_skip(const char *message)
{
    test_skip_message = message;
}

static inline int test_main(int argc, char **argv, const char *program, const struct test *t, int n)
{
    int passed = 0, failed = 0, skipped = 0;
    for (int i = 0; i < n; i++) {
        if (argc > 1 && !strstr(t[i].name, argv[1]))
            continue;
        test_failures = 0;
        test_skip_message = NULL;
        t[i].fn();
        const char *verdict = test_failures ? "FAILED" : test_skip_message ? "skipped" : "ok";
        fprintf(stderr, "  %-7s %s: %s%s%s\n", verdict, program, t[i].name, test_skip_message ? ": " : "",
                test_skip_message ? test_skip_message : "");
        if (test_failures)
            failed++;
        else if (test_skip_message)
            skipped++;
        else
            passed++;
    }
    printf("%s: %d passed, %d failed, %d skipped\n", program, passed, failed, skipped);
    return failed != 0;
}
#define TEST_MAIN(program, tests)                                                                                                          \
    int main(int argc, char **argv)                                                                                                        \
    {                                                                                                                                      \
        return test_main(argc, argv, program, tests, (int)(sizeof(tests) / sizeof((tests)[0])));                                           \
    }
#endif
