/* Ten thousand generated pairs, half of them equal: what the judge of mathematical answers accepts falsely and refuses falsely. */
#include "infer/math/equal.h"
#include "tests/math_variants.h"
#include "tests/test.h"
#include <time.h>

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void generated_pairs(void)
{
    enum { PAIRS = 10000, SHOWN = 20 };
    struct dice d = {.seed = 2025};
    int equal = 0, refused = 0, accepted = 0, split = 0;
    double start = cpu_seconds();
    for (int i = 0; i < PAIRS; i++) {
        struct variant v = variant_new(&d, (enum variant_kind)(i % V_KINDS));
        bool same = i / V_KINDS % 2 == 0;
        struct variant w = same ? v : variant_changed(&d, v);
        struct line gold, answer;
        const char *how;
        variant_write(&gold, &d, &v);
        variant_write(&answer, &d, &w);
        bool yes = math_equal(gold.s, answer.s, &how);
        equal += same;
        refused += same && !yes;
        accepted += !same && yes;
        if (yes != same && refused + accepted <= SHOWN)
            fprintf(stderr, "    %s: gold \"%s\", answer \"%s\": %s\n", same ? "refused" : "accepted", gold.s, answer.s, how);
        /* One meaning, one vote; apart from what only the right answer settles: 5% is 5 or 0.05, and 12,345 one number or two. */
        if (same && v.kind != V_PERCENT && v.kind != V_LINE && v.kind != V_INTERVAL && v.kind != V_LIST) {
            char *a = math_key(gold.s), *b = math_key(answer.s);
            split += strcmp(a, b) != 0;
            if (strcmp(a, b) != 0 && split <= SHOWN)
                fprintf(stderr, "    votes apart: \"%s\" (%s), \"%s\" (%s)\n", gold.s, a, answer.s, b);
            free(a);
            free(b);
        }
    }
    double seconds = cpu_seconds() - start;
    fprintf(stderr,
            "    %d pairs: false accepts %d of %d (%.3f%%), false rejects %d of %d (%.3f%%), votes apart %d; %.0f pairs a CPU second\n",
            PAIRS, accepted, PAIRS - equal, 100.0 * accepted / (PAIRS - equal), refused, equal, 100.0 * refused / equal, split,
            PAIRS / seconds);
    check(equal >= 4000 && equal <= 6000);
    check(accepted * 1000 < PAIRS - equal); /* below 0.1% */
    check(refused * 100 < equal);           /* below 1% */
    check_int(split, 0);
}

static const struct test tests[] = {{"generated pairs", generated_pairs}};
TEST_MAIN("test_math_variants", tests)
