/* tests/test_pack.c - best-fit packing: by hand, by its definition, and with more rows than can be open at once. */
#include "core/rng.h"
#include "data/pack.h"
#include "tests/test.h"
#include <string.h>

static void test_best_fit_by_hand(void)
{
    const int32_t len[] = {6, 5, 4, 5, 3, 2, 10, 5, 1};
    /* 6 opens row 0, 5 opens row 1 (4 left in 0), 4 fills row 0, 5 fills row 1, 3 opens row 2, 2 joins it, 10 is row 3 at once,
     * 5 fills row 2, 1 opens row 4. */
    const uint32_t want[] = {0, 1, 0, 1, 2, 2, 3, 2, 4};
    uint32_t got[9];
    check_int(pack_best_fit(len, 9, 10, got), 5);
    check(memcmp(got, want, sizeof want) == 0);
    check_int(pack_best_fit(len, 0, 10, got), 0);
}

/* Against the definition, looked up by looking at every row; equal as long as no more rows are open than the packer keeps. */
static void test_best_fit_by_definition(void)
{
    enum { N = 4000, ROOM = 1000 };
    static int32_t len[N], left[N];
    static uint32_t got[N];
    int64_t rows = 0, wrong = 0;
    for (int i = 0; i < N; i++)
        len[i] = 1 + (int32_t)rng_below(11, 3, (uint64_t)i, i % 5 ? 400 : ROOM);
    int64_t got_rows = pack_best_fit(len, N, ROOM, got);
    for (int i = 0; i < N; i++) {
        int64_t best = -1;
        for (int64_t r = 0; r < rows; r++)
            if (left[r] >= len[i] && (best < 0 || left[r] < left[best]))
                best = r;
        if (best < 0)
            left[best = rows++] = ROOM;
        left[best] -= len[i];
        wrong += got[i] != best;
    }
    check_int(wrong, 0);
    check_int(got_rows, rows);
}

/* More rows than can be open at once: nothing overflows, and what is still open is used. */
static void test_many_open_rows(void)
{
    enum { N = 20000, ROOM = 100 };
    static int32_t len[N], used[N];
    static uint32_t row[N];
    for (int i = 0; i < N; i++)
        len[i] = i < N / 2 ? 51 + i % 40 : 10;
    int64_t rows = pack_best_fit(len, N, ROOM, row), over = 0, empty = 0, joined = 0;
    for (int i = 0; i < N; i++) {
        used[row[i]] += len[i];
        joined += i >= N / 2 && row[i] < N / 2;
    }
    for (int64_t r = 0; r < rows; r++) {
        over += used[r] > ROOM;
        empty += used[r] == 0;
    }
    check(rows > N / 2 && over == 0 && empty == 0);
    check_msg(joined >= 2000, "%lld short documents joined open rows", (long long)joined);
}

static const struct test tests[] = {
    {"best_fit_by_hand", test_best_fit_by_hand},
    {"best_fit_by_definition", test_best_fit_by_definition},
    {"many_open_rows", test_many_open_rows},
};
TEST_MAIN("test_pack", tests)
