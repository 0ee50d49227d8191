/* kernels/cuda/ssd_mma.cuh - the machine instructions that the SSD kernels are made of, one function each: 8x8 matrix loads from shared
 * memory, the bf16 tensor-core product of sm_80 and later, asynchronous copies, bf16 pairs. No arithmetic of the op is here.
 */
#ifndef KERNELS_CUDA_SSD_MMA_CUH
#define KERNELS_CUDA_SSD_MMA_CUH
#include "kernels/cuda/cuda.cuh"

/* The dynamic shared memory of the block. */
__device__ __forceinline__ char *shared_block()
{
    extern __shared__ __align__(1024) char ssd_shared_block[];
    return ssd_shared_block;
}
__device__ __forceinline__ uint32_t shared_address(const void *p)
{
    return (uint32_t)__cvta_generic_to_shared(p);
}

/* Four 8x8 matrices of bf16: lane 8i + r gives the address of row r of matrix i; register i then holds elements (lane/4, 2(lane%4)..+1)
 * of matrix i, or with _t of its transpose. */
__device__ __forceinline__ void load_matrices(uint32_t (&r)[4], const bf16 *p)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(p))
                 : "memory");
}
__device__ __forceinline__ void load_matrices_t(uint32_t (&r)[4], const bf16 *p)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(p))
                 : "memory");
}
/* c [16, 8] += a [16, 16] b [16, 8]. */
__device__ __forceinline__ void mma_16816(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1)
{
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/* 16 or 4 bytes from device to shared memory, in the background; zeros when not wanted (from is then not read but must be valid). */
__device__ __forceinline__ void copy16_async(void *to, const void *from, bool wanted)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from), "r"(wanted ? 16 : 0) : "memory");
}
__device__ __forceinline__ void copy4_async(void *to, const void *from, bool wanted)
{
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(shared_address(to)), "l"(from), "r"(wanted ? 4 : 0) : "memory");
}
/* 16 bytes to device memory, in one piece: the compiler makes four of some. */
__device__ __forceinline__ void store16(void *to, uint4 v)
{
    asm volatile("st.global.v4.b32 [%0], {%1,%2,%3,%4};" ::"l"(to), "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w) : "memory");
}
__device__ __forceinline__ void copies_commit()
{
    asm volatile("cp.async.commit_group;" ::: "memory");
}
/* Waits until at most PENDING of this thread's groups are under way. */
template <int PENDING> __device__ __forceinline__ void copies_wait()
{
    asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory");
}

/* Like __syncthreads, for the THREADS of the block (whole warps) that use barrier ID (1 to 15). */
template <int ID, int THREADS> __device__ __forceinline__ void barrier()
{
    asm volatile("bar.sync %0, %1;" ::"n"(ID), "n"(THREADS) : "memory");
}

/* 2^x; below 2^-126 zero, which spares exp2f's care for numbers that small. */
__device__ __forceinline__ float exp2_fast(float x)
{
    float r;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x));
    return r;
}
__device__ __forceinline__ float exp_fast(float x)
{
    return exp2_fast(x * 1.4426950408889634f);
}

__device__ __forceinline__ uint32_t pack2(float low, float high)
{
    uint32_t r;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
    return r;
}
__device__ __forceinline__ float low2(uint32_t v)
{
    return __uint_as_float(v << 16);
}
__device__ __forceinline__ float high2(uint32_t v)
{
    return __uint_as_float(v & 0xffff0000u);
}
#endif
