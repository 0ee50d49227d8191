/* kernels/cuda/vec.cuh - device side: V neighbouring values in one memory access, computed with as f32; sums over a warp and a block.
 *
 * Kernels are templates over the access width. The wide form moves 16 bytes a thread for the widest type at hand and needs every row
 * of every matrix to begin at a multiple of that; for anything else the same kernel is run with V = 1.
 */
#ifndef KERNELS_CUDA_VEC_CUH
#define KERNELS_CUDA_VEC_CUH
#include "kernels/cuda/cuda.cuh"

template <int BYTES> struct raw_bits;
template <> struct raw_bits<2> {
    using type = unsigned short;
};
template <> struct raw_bits<4> {
    using type = unsigned;
};
template <> struct raw_bits<8> {
    using type = uint2;
};
template <> struct raw_bits<16> {
    using type = uint4;
};

/* V values as they are in memory. */
template <class T, int V> struct vec {
    union {
        typename raw_bits<V *(int)sizeof(T)>::type bits;
        unsigned word[(V * sizeof(T) + 3) / 4];
    };
};

template <class T, int V> static __device__ __forceinline__ vec<T, V> vec_load(const T *p)
{
    vec<T, V> r;
    r.bits = *reinterpret_cast<const decltype(r.bits) *>(p);
    return r;
}
/* For data read once: does not displace what is worth keeping in the first-level cache. */
template <class T, int V> static __device__ __forceinline__ vec<T, V> vec_stream(const T *p)
{
    vec<T, V> r;
    r.bits = __ldcs(reinterpret_cast<const decltype(r.bits) *>(p));
    return r;
}
/* From the second-level cache, for what a kernel that has just ended wrote. */
template <class T, int V> static __device__ __forceinline__ vec<T, V> vec_fresh(const T *p)
{
    vec<T, V> r;
    r.bits = __ldcg(reinterpret_cast<const decltype(r.bits) *>(p));
    return r;
}
template <class T, int V> static __device__ __forceinline__ vec<T, V> vec_zero()
{
    vec<T, V> r;
    r.bits = {};
    return r;
}
template <int V> static __device__ __forceinline__ void vec_get(float (&f)[V], const vec<float, V> &r)
{
#pragma unroll
    for (int i = 0; i < V; i++)
        f[i] = __uint_as_float(r.word[i]);
}
template <int V> static __device__ __forceinline__ void vec_get(float (&f)[V], const vec<bf16, V> &r)
{
    if constexpr (V == 1) {
        f[0] = __uint_as_float((unsigned)r.bits << 16);
    } else {
#pragma unroll
        for (int i = 0; i < V; i += 2) {
            f[i] = __uint_as_float(r.word[i / 2] << 16);
            f[i + 1] = __uint_as_float(r.word[i / 2] & 0xffff0000u);
        }
    }
}
template <class T, int V> static __device__ __forceinline__ void vec_read(float (&f)[V], const T *p)
{
    vec_get(f, vec_load<T, V>(p));
}
/* Rounds to nearest even. */
template <int V> static __device__ __forceinline__ void vec_put(vec<float, V> &r, const float (&f)[V])
{
#pragma unroll
    for (int i = 0; i < V; i++)
        r.word[i] = __float_as_uint(f[i]);
}
template <int V> static __device__ __forceinline__ void vec_put(vec<bf16, V> &r, const float (&f)[V])
{
    if constexpr (V == 1) {
        bf16 one = __float2bfloat16_rn(f[0]);
        r.bits = *reinterpret_cast<unsigned short *>(&one);
    } else {
#pragma unroll
        for (int i = 0; i < V; i += 2) {
            __nv_bfloat162 two = __floats2bfloat162_rn(f[i], f[i + 1]);
            r.word[i / 2] = *reinterpret_cast<unsigned *>(&two);
        }
    }
}
template <class T, int V> static __device__ __forceinline__ void vec_write(T *p, const float (&f)[V])
{
    vec<T, V> r;
    vec_put(r, f);
    *reinterpret_cast<decltype(r.bits) *>(p) = r.bits;
}
/* 16 bytes that are not read again soon. */
template <class T> static __device__ __forceinline__ void vec_write_stream(T *p, const float (&f)[16 / sizeof(T)])
{
    vec<T, 16 / sizeof(T)> r;
    vec_put(r, f);
    __stcs(reinterpret_cast<uint4 *>(p), r.bits);
}
/* V f32 values of any V: weights and partial sums that go with vectors of a narrower type. */
template <int V> static __device__ __forceinline__ void floats_read(float (&f)[V], const float *p)
{
    constexpr int W = V < 4 ? V : 4;
#pragma unroll
    for (int i = 0; i < V; i += W) {
        float part[W];
        vec_read<float, W>(part, p + i);
#pragma unroll
        for (int j = 0; j < W; j++)
            f[i + j] = part[j];
    }
}
template <int V> static __device__ __forceinline__ void floats_write(float *p, const float (&f)[V])
{
    constexpr int W = V < 4 ? V : 4;
#pragma unroll
    for (int i = 0; i < V; i += W) {
        float part[W];
#pragma unroll
        for (int j = 0; j < W; j++)
            part[j] = f[i + j];
        vec_write(p + i, part);
    }
}

/* The widest V for these types: 16 bytes of the widest of them. */
template <class... T> static constexpr int vec_width()
{
    size_t widest = 0;
    for (size_t s : {sizeof(T)...})
        widest = s > widest ? s : widest;
    return (int)(16 / widest);
}
/* Can every row of m be read V values at a time? A matrix that is not there can. */
static inline bool vec_fits(mat m, int v)
{
    int64_t bytes = v * dtype_size(m.dtype);
    return !m.data || ((uintptr_t)m.data % bytes == 0 && m.cols % v == 0 && (m.ld % v == 0 || m.rows == 1));
}
template <class... M> static inline bool vec_fits(int v, M... m)
{
    return (vec_fits(m, v) && ...);
}

/* 1 / (1 + exp(-a)): exact to f32 rounding where f32 is stored, by the hardware's approximations where bf16 is. */
template <class T> static __device__ __forceinline__ float sigmoid(float a)
{
    if constexpr (sizeof(T) == 4)
        return 1.0f / (1.0f + expf(-a));
    else
        return __fdividef(1.0f, 1.0f + __expf(-a));
}

static __device__ __forceinline__ float warp_sum(float v)
{
#pragma unroll
    for (int o = 16; o > 0; o >>= 1)
        v += __shfl_xor_sync(0xffffffffu, v, o);
    return v;
}
/* Sum over the threads of blockDim.x, the same bits in each of them. More than one warp: part is shared memory of 32 floats, all
 * threads of the block must be in it, and blockDim.y is 1. */
static __device__ __forceinline__ float row_sum(float v, float *part)
{
    v = warp_sum(v);
    if (blockDim.x <= 32)
        return v;
    int warps = blockDim.x / 32, lane = threadIdx.x % 32;
    __syncthreads(); /* part may still be read from the sum before */
    if (lane == 0)
        part[threadIdx.x / 32] = v;
    __syncthreads();
    return warp_sum(lane < warps ? part[lane] : 0.0f);
}
#endif
