/* tests/test_loops.c - answers that repeat one block of tokens, against the definition in infer/loops.h taken word by word. */
#include "core/err.h"
#include "core/rng.h"
#include "infer/loops.h"
#include "tests/test.h"

/* Are the last `length` of n tokens one block of p tokens again and again, for a p that fits in LOOP_REPEATS times? */
static bool loops(const int32_t *ids, int64_t n, int64_t length)
{
    if (length == 0 || n < length)
        return false;
    for (int64_t p = 1; p * LOOP_REPEATS <= length; p++) {
        int64_t i = n - length + p;
        while (i < n && ids[i] == ids[i - p])
            i++;
        if (i == n)
            return true;
    }
    return false;
}

/* Random tokens with blocks that are repeated for a while, of any length; every length of loop is looked for in all of them. */
static void as_defined(void)
{
    enum { N = 1500 };
    static const int64_t lengths[] = {0, 4, 5, 8, 9, 15, 16, 17, 64, 65, 127, 128, 200, 1000};
    int32_t *ids = xmalloc(sizeof(int32_t) * N);
    int64_t hits = 0;
    for (uint64_t trial = 0; trial < 60; trial++) {
        int64_t n = 0;
        while (n < N) {
            uint64_t at = (uint64_t)n;
            int64_t block = 1 + (int64_t)rng_below(1, trial, at, trial % 3 ? 40 : 300), times = 1 + (int64_t)rng_below(2, trial, at, 9);
            int64_t extra = (int64_t)rng_below(3, trial, at, (uint64_t)block), first = n;
            for (int64_t i = 0; i < block * times + extra && n < N; i++, n++)
                ids[n] = i < block ? (int32_t)rng_below(4, trial, (uint64_t)n, trial % 2 ? 2 : 1000) : ids[first + i % block];
        }
        for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++) {
            struct loop l;
            loop_open(&l, lengths[k]);
            for (int answer = 0; answer < 2; answer++) { /* the second in the same slot */
                loop_begin(&l);
                const int32_t *from = ids + answer * 77;
                for (int64_t i = 1; i <= N - answer * 77; i++) {
                    bool got = loop_found(&l, from, i), want = loops(from, i, lengths[k]);
                    hits += want;
                    if (got != want) {
                        check_msg(got == want, "trial %d, length %d, token %d: %d", (int)trial, (int)lengths[k], (int)i, got);
                        break;
                    }
                }
            }
            loop_close(&l);
        }
    }
    check_msg(hits > 10000, "%lld", (long long)hits);
    free(ids);
}

/* A long answer that is almost a loop is none; and runs do not overflow. */
static void long_answers(void)
{
    enum { N = 300000, LENGTH = 64 };
    int32_t *ids = xmalloc(sizeof(int32_t) * N);
    struct loop l;
    loop_open(&l, LENGTH);
    loop_begin(&l);
    for (int64_t i = 0; i < N; i++) {
        ids[i] = (int32_t)(i % 16 + (i % 63 == 0 ? i : 0));
        check(!loop_found(&l, ids, i + 1));
    }
    loop_begin(&l);
    for (int64_t i = 0; i < N; i++) {
        ids[i] = 7;
        check(loop_found(&l, ids, i + 1) == (i + 1 >= LENGTH));
    }
    loop_close(&l);
    free(ids);
}

static const struct test tests[] = {
    {"loops are what the definition says", as_defined},
    {"long answers", long_answers},
};
TEST_MAIN("test_loops", tests)
