/* core/rng.c - see rng.h: normal numbers, bounded numbers and permutations from Philox blocks. */
#include "core/rng.h"
#include "core/err.h" /* must */
#include <math.h>

double rng_normal(uint64_t seed, uint64_t stream, uint64_t index)
{
    uint32_t r[4];
    rng_block(seed, stream, index, r);
    const double unit = 1.0 / 9007199254740992.0;
    uint64_t a = (uint64_t)r[1] << 32 | r[0], b = (uint64_t)r[3] << 32 | r[2];
    double u = ((double)(a >> 11) + 1.0) * unit; /* (0, 1]: its logarithm is finite */
    double v = (double)(b >> 11) * unit;
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586476925 * v);
}

uint64_t rng_below(uint64_t seed, uint64_t stream, uint64_t index, uint64_t n)
{
    must(n > 0);
    return (uint64_t)((unsigned __int128)rng_u64(seed, stream, index) * n >> 64);
}

/* Round function: any function of (round, half) keeps the network a bijection. half < 2^32, so the round number has room above. */
static uint64_t feistel(uint64_t seed, uint64_t stream, uint64_t round, uint64_t half)
{
    return rng_u64(seed, stream, round << 56 | half);
}

uint64_t rng_permute(uint64_t seed, uint64_t stream, uint64_t n, uint64_t i)
{
    must(i < n);
    int bits = n > 1 ? 64 - __builtin_clzll(n - 1) : 0; /* the smallest power of two that holds n: under two walks on average */
    int low_bits = (bits + 1) / 2, high_bits = bits - low_bits;
    uint64_t low_mask = (1ull << low_bits) - 1, high_mask = (1ull << high_bits) - 1;
    do {
        uint64_t low = i & low_mask, high = i >> low_bits;
        for (uint64_t round = 0; round < 8; round += 2) {
            low ^= feistel(seed, stream, round, high) & low_mask;
            high ^= feistel(seed, stream, round + 1, low) & high_mask;
        }
        i = high << low_bits | low;
    } while (i >= n); /* outside: walk on along the cycle, which comes back inside */
    return i;
}
