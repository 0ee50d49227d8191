/* data/select/minhash.c - see minhash.h. */
#include "data/select/minhash.h"
#include "core/rng.h"
#include <stdlib.h>
#include <string.h>

enum { HASHES = MINHASH_BANDS * MINHASH_ROWS, SEED = 0x3a5 };

/* x -> a x + b on 32 bits, a odd, then its upper bits mixed down: 120 of them, side by side so that the compiler computes several at once. */
void minhash_keys(const uint32_t *set, int64_t n, uint64_t key[MINHASH_BANDS])
{
    uint32_t a[HASHES], b[HASHES], least[HASHES];
    for (int h = 0; h < HASHES; h++) {
        uint64_t r = rng_u64(SEED, 0, (uint64_t)h);
        a[h] = (uint32_t)r | 1;
        b[h] = (uint32_t)(r >> 32);
    }
    memset(least, 0xff, sizeof least);
    for (int64_t i = 0; i < n; i++)
        for (int h = 0; h < HASHES; h++) {
            uint32_t x = a[h] * set[i] + b[h];
            x = (x ^ x >> 15) * 0x2c1b3c6du;
            least[h] = x < least[h] ? x : least[h];
        }
    for (int band = 0; band < MINHASH_BANDS; band++) {
        key[band] = (uint64_t)band + 1;
        for (int row = 0; row < MINHASH_ROWS; row++)
            key[band] = (key[band] ^ least[band * MINHASH_ROWS + row]) * 0x9e3779b97f4a7c15u;
    }
}

static int64_t in_both(const uint32_t *a, int64_t na, const uint32_t *b, int64_t nb)
{
    int64_t both = 0;
    for (int64_t i = 0, k = 0; i < na && k < nb;) {
        both += a[i] == b[k];
        int64_t next = i + (a[i] <= b[k]);
        k += a[i] >= b[k];
        i = next;
    }
    return both;
}

double minhash_similarity(const uint32_t *a, int64_t na, const uint32_t *b, int64_t nb)
{
    int64_t both = in_both(a, na, b, nb);
    return na + nb > 0 ? (double)both / (double)(na + nb - both) : 1;
}

double minhash_share(const uint32_t *a, int64_t na, const uint32_t *b, int64_t nb)
{
    return na > 0 ? (double)in_both(a, na, b, nb) / (double)na : 1;
}

static int by_value(const void *p, const void *q)
{
    uint32_t a = *(const uint32_t *)p, b = *(const uint32_t *)q;
    return (a > b) - (a < b);
}

int64_t minhash_set(uint32_t *at, int64_t n)
{
    int64_t left = 0;
    if (n > 0)
        qsort(at, (size_t)n, sizeof *at, by_value);
    for (int64_t i = 0; i < n; i++)
        if (left == 0 || at[i] != at[left - 1])
            at[left++] = at[i];
    return left;
}
