/* kernels/cuda/sample.cu - kernels/sample.h. One block a row, and no sorting: top-k, top-p and the draw each ask for the place where a
 * running total over the tokens in falling order passes a bound, and that place is found by narrowing down, histogram by histogram, from
 * 256 classes of logits to one exact logit and then to one of the tokens that have it.
 *
 * The totals are of integers (probabilities in units of 2^-36 of the largest), so that adding them in any order gives the same.
 */
#include "kernels/sample.h"
#include "core/rng.h"
#include "kernels/cuda/vec.cuh"

using u64 = unsigned long long;

enum { THREADS = 1024, BINS = 256, PARTS = THREADS / 64, MASS_BITS = 36, HALF_BITS = MASS_BITS / 2, MAX_VOCAB = 1 << 18 };
/* A part of the histogram adds up at most MAX_VOCAB / PARTS halves below 2^HALF_BITS: the sum must fit 32 bits. */
static_assert(((u64)MAX_VOCAB / PARTS << HALF_BITS) <= (u64)1 << 32, "histogram words overflow");

/* The order of floats as unsigned integers; both zeros are one value and NaN is the smallest there is. */
static __device__ __forceinline__ uint32_t key_of(float f)
{
    f = isnan(f) ? -INFINITY : f + 0.0f;
    uint32_t u = __float_as_uint(f);
    return u & 0x80000000u ? ~u : u | 0x80000000u;
}
static __device__ __forceinline__ float value_of(uint32_t key)
{
    return __uint_as_float(key & 0x80000000u ? key & 0x7fffffffu : ~key);
}

struct row_state {
    const uint32_t *keys; /* [n] */
    int64_t n;
    float most, temperature;
};
/* exp((logit - largest) / temperature) as an integer. */
static __device__ __forceinline__ u64 mass_of(const row_state &r, uint32_t key)
{
    u64 m = __float2ull_rz(expf((value_of(key) - r.most) / r.temperature) * (float)((u64)1 << MASS_BITS));
    u64 top = ((u64)1 << MASS_BITS) - 1;
    return m < top ? m : top;
}
/* A coarse class that falls with the logit, made so that the tokens of a usual row spread over many: narrowing begins with it. */
static __device__ __forceinline__ int class_of(const row_state &r, uint32_t key)
{
    return BINS - 1 - min(BINS - 1, __float2int_rz((r.most - value_of(key)) / r.temperature * 10.0f));
}

struct workspace {
    uint32_t low[PARTS][BINS], high[PARTS][BINS]; /* halves of the weights */
    u64 total[BINS];
    u64 before, sum[THREADS / 32];
    int bin, count[THREADS / 32];
};

/* Sum (or, with MAX, the largest) of v over the block, in every thread. */
template <bool MAX> static __device__ u64 block_all(workspace &s, u64 v)
{
    auto both = [](u64 a, u64 b) { return MAX ? (a > b ? a : b) : a + b; };
#pragma unroll
    for (int o = 16; o > 0; o >>= 1)
        v = both(v, __shfl_xor_sync(0xffffffffu, v, o));
    __syncthreads(); /* s.sum may still be read */
    if (threadIdx.x % 32 == 0)
        s.sum[threadIdx.x / 32] = v;
    __syncthreads();
    v = s.sum[threadIdx.x % 32];
#pragma unroll
    for (int o = 16; o > 0; o >>= 1)
        v = both(v, __shfl_xor_sync(0xffffffffu, v, o));
    return v;
}

struct place {
    uint32_t key; /* the logit of the token at the place */
    u64 before;   /* weight of all tokens with larger logits */
    u64 each;     /* weight of one token with this logit */
    u64 rank;     /* which of them, by id, from 0 */
};

/* The first token in falling order where the running total of weights (COUNT: 1 each, else the mass) exceeds bound, which must be below
 * the total of all. */
template <bool COUNT> static __device__ place find(workspace &s, const row_state &r, u64 bound)
{
    uint32_t prefix = 0, mask = 0;
    int cls = 0;
    u64 before = 0;
    for (int level = 0; level <= 4; level++) { /* the class, then the key's bytes from the highest */
        int shift = 32 - 8 * level;
        for (int i = threadIdx.x; i < PARTS * BINS; i += THREADS) {
            (&s.low[0][0])[i] = 0;
            (&s.high[0][0])[i] = 0;
        }
        __syncthreads();
        int part = threadIdx.x / 32 % PARTS;
        for (int64_t i = threadIdx.x; i < r.n; i += THREADS) {
            uint32_t key = r.keys[i];
            int own = class_of(r, key);
            if (level > 0 && (own != cls || (key & mask) != prefix))
                continue;
            int bin = level == 0 ? own : (int)(key >> shift & (BINS - 1));
            u64 weight = COUNT ? 1 : mass_of(r, key);
            uint32_t low = (uint32_t)(weight & ((1u << HALF_BITS) - 1)), high = (uint32_t)(weight >> HALF_BITS);
            if (low)
                atomicAdd(&s.low[part][bin], low);
            if (high)
                atomicAdd(&s.high[part][bin], high);
        }
        __syncthreads();
        if (threadIdx.x < BINS) {
            u64 t = 0;
            for (int p = 0; p < PARTS; p++)
                t += (u64)s.low[p][threadIdx.x] + ((u64)s.high[p][threadIdx.x] << HALF_BITS);
            s.total[threadIdx.x] = t;
        }
        __syncthreads();
        if (threadIdx.x < 32) { /* each lane has 8 bins, lane 0 the highest */
            int top = BINS - 1 - 8 * (int)threadIdx.x;
            u64 own = 0;
            for (int j = 0; j < 8; j++)
                own += s.total[top - j];
            u64 upto = own;
            for (int o = 1; o < 32; o *= 2) {
                u64 left = __shfl_up_sync(0xffffffffu, upto, o);
                upto += threadIdx.x >= o ? left : 0;
            }
            u64 at = before + upto - own;
            if (at <= bound && bound < at + own) {
                int bin = top;
                while (bound >= at + s.total[bin])
                    at += s.total[bin--];
                s.bin = bin;
                s.before = at;
            }
        }
        __syncthreads();
        before = s.before;
        if (level == 0) {
            cls = s.bin;
        } else {
            prefix |= (uint32_t)s.bin << shift;
            mask |= (uint32_t)(BINS - 1) << shift;
        }
    }
    u64 each = COUNT ? 1 : mass_of(r, prefix);
    return {prefix, before, each, (bound - before) / each};
}

/* The id of the rank-th token (from 0) whose key this is. */
static __device__ int32_t token_at(workspace &s, const row_state &r, uint32_t key, u64 rank)
{
    __shared__ int32_t token;
    u64 passed = 0;
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    for (int64_t base = 0; base < r.n; base += THREADS) {
        int64_t i = base + threadIdx.x;
        bool same = i < r.n && r.keys[i] == key;
        int count = __syncthreads_count(same);
        if (passed + count > rank) { /* it is among these */
            unsigned votes = __ballot_sync(0xffffffffu, same);
            if (lane == 0)
                s.count[warp] = __popc(votes);
            __syncthreads();
            u64 at = passed + __popc(votes & ((1u << lane) - 1));
            for (int w = 0; w < warp; w++)
                at += s.count[w];
            if (same && at == rank)
                token = (int32_t)i;
            __syncthreads();
            return token;
        }
        passed += count;
    }
    return 0; /* not reached: a key that find() returns is in the row */
}

template <class L>
static __global__ void __launch_bounds__(THREADS)
    sample_kernel(int32_t *out, const L *logits, int64_t ldl, int64_t n, struct sampling set, struct sample_rows rows, uint32_t *scratch)
{
    __shared__ workspace s;
    int64_t row = blockIdx.x;
    uint32_t *seen = rows.seen + rows.slot[row] * ((n + 31) / 32), *keys = scratch + row * n;
    const L *in = logits + row * ldl;
    u64 best = 0; /* the largest key, and of equal ones the lowest id */
    for (int64_t i = threadIdx.x; i < n; i += THREADS) {
        float f[1];
        vec_read<L, 1>(f, in + i);
        if (set.repetition_penalty != 1.0f && (seen[i / 32] >> (i % 32) & 1))
            f[0] = f[0] > 0 ? f[0] / set.repetition_penalty : f[0] * set.repetition_penalty;
        uint32_t key = key_of(f[0]);
        keys[i] = key;
        u64 entry = (u64)key << 32 | (uint32_t) ~(uint32_t)i;
        best = entry > best ? entry : best;
    }
    best = block_all<true>(s, best); /* and keys are written, for all threads of the block */
    row_state r = {keys, n, value_of((uint32_t)(best >> 32)), set.temperature};
    int32_t token = (int32_t) ~(uint32_t)best;
    if (set.temperature != 0.0f && isfinite(r.most)) {
        /* Every kept set is a prefix of the falling order, so its mass says all about it. */
        u64 above = 0, mass = 0;
        uint32_t least = 0; /* keys above this count in full */
        if (set.top_k > 0 && set.top_k < n) {
            place last = find<true>(s, r, (u64)set.top_k - 1);
            least = last.key;
            above = (last.rank + 1) * mass_of(r, last.key);
        }
        for (int64_t i = threadIdx.x; i < n; i += THREADS)
            if (keys[i] > least)
                mass += mass_of(r, keys[i]);
        mass = block_all<false>(s, mass) + above;
        if (set.top_p < 1.0f) {
            u64 bound = (u64)ceil((double)set.top_p * (double)mass);
            bound = bound < 1 ? 1 : bound > mass ? mass : bound;
            place last = find<false>(s, r, bound - 1);
            mass = last.before + (last.rank + 1) * last.each;
        }
        u64 target = (u64)(rng_uniform(set.seed, rows.stream[row], (uint64_t)rows.index[row]) * (double)mass);
        place drawn = find<false>(s, r, target < mass ? target : mass - 1);
        token = token_at(s, r, drawn.key, drawn.rank);
    }
    __syncthreads(); /* all have read index */
    if (threadIdx.x == 0) {
        out[row] = token;
        rows.index[row]++;
        seen[token / 32] |= 1u << token % 32;
    }
}

size_t sample_scratch(int64_t batch, int64_t vocab)
{
    return (size_t)(batch * vocab) * sizeof(uint32_t);
}

void sample_step(int32_t *token, mat logits, struct sampling s, struct sample_rows r, void *scratch)
{
    must(logits.cols > 0 && logits.cols <= MAX_VOCAB);
    if (logits.rows == 0)
        return;
    typed(logits.dtype, [&](auto tl) {
        using L = decltype(tl);
        sample_kernel<L><<<grid_size(logits.rows), THREADS, 0, cuda_stream()>>>(token, (const L *)logits.data, logits.ld, logits.cols, s, r,
                                                                                (uint32_t *)scratch);
        cuda_launched();
    });
}
