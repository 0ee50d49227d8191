/* core/rng.h - counter-based random numbers: a value is a function of (seed, stream, index), never of what was drawn before.
 *
 * Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"). Usable from CUDA code too.
 */
#ifndef CORE_RNG_H
#define CORE_RNG_H
#include <stdint.h>
#ifdef __CUDACC__
#define RNG_FN static inline __host__ __device__
#else
#define RNG_FN static inline
#endif

/* 128 random bits for counter (index, stream) under key seed. */
RNG_FN void rng_block(uint64_t seed, uint64_t stream, uint64_t index, uint32_t out[4])
{
    uint32_t c0 = (uint32_t)index, c1 = (uint32_t)(index >> 32), c2 = (uint32_t)stream, c3 = (uint32_t)(stream >> 32);
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        c0 = n0;
        c2 = n2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

RNG_FN uint64_t rng_u64(uint64_t seed, uint64_t stream, uint64_t index)
{
    uint32_t r[4];
    rng_block(seed, stream, index, r);
    return (uint64_t)r[1] << 32 | r[0];
}

/* Uniform in [0, 1), 53 bits. */
RNG_FN double rng_uniform(uint64_t seed, uint64_t stream, uint64_t index)
{
    return (double)(rng_u64(seed, stream, index) >> 11) * (1.0 / 9007199254740992.0);
}

#ifdef __cplusplus
extern "C" {
#endif
/* Standard normal (Box-Muller on one block). */
double rng_normal(uint64_t seed, uint64_t stream, uint64_t index);
/* Uniform in [0, n), n > 0, without bias worth the name (n < 2^48). */
uint64_t rng_below(uint64_t seed, uint64_t stream, uint64_t index, uint64_t n);
/* Where position i of a permutation of 0..n-1 goes: a Feistel network with cycle walking, so no table is kept. */
uint64_t rng_permute(uint64_t seed, uint64_t stream, uint64_t n, uint64_t i);
#ifdef __cplusplus
}
#endif
#endif
