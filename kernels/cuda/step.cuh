/* kernels/cuda/step.cuh - what the kernels of a decode step share: a launch that overlaps with the kernel before, and clusters of blocks.
 *
 * A decode step is a chain of short kernels, each of which needs all of the one before. launch_step() lets the next kernel's blocks come
 * on while the last blocks of this one still run (programmatic dependent launch), so that it has its weights under way when its inputs
 * arrive. What makes that safe, for a kernel N after N-1 after N-2 on the one stream:
 *   - all threads of a kernel launched so call wait_for_previous() before they read anything that an op of the chain writes, and before
 *     they write anything that another kernel reads or writes. It returns when kernel N-1 has ended and its writes are seen. N-1 had
 *     waited for N-2 in the same way, or was launched as usual, after N-2: so all before N has ended, and N writes over nothing that is
 *     still to be read.
 *   - ahead of it they read only what copies from the host brought, or what lies before one, as kernels/mixer.h and linear.h ask of
 *     their callers (weights, tables), and ask for lines in the second-level cache, where they cannot go stale: it is the one place that every
 *     multiprocessor and every copy reads and writes device memory through.
 *   - let_next_start() only lets blocks of N+1 come on; these rules hold for N+1 as they do for N. A kernel launched as usual (cublasLt's,
 *     the other ops') begins when all of N has ended, whether N calls that or not; and N behind such a kernel waits for it as for any other.
 */
#ifndef KERNELS_CUDA_STEP_CUH
#define KERNELS_CUDA_STEP_CUH
#include "kernels/cuda/cuda.cuh"

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 900
#define STEP_HOPPER 0
#else
#define STEP_HOPPER 1
#endif

static __device__ __forceinline__ void wait_for_previous()
{
#if STEP_HOPPER
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
static __device__ __forceinline__ void let_next_start()
{
#if STEP_HOPPER
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}
/* Brings what is at p nearer, into the second-level cache. */
static __device__ __forceinline__ void ask_for(const void *p)
{
    asm volatile("prefetch.global.L2 [%0];" ::"l"(p) : "memory");
}

/* This block's number in its cluster, and how many blocks that has; elsewhere than on Hopper a block is a cluster. */
static __device__ __forceinline__ int cluster_rank()
{
    int r = 0;
#if STEP_HOPPER
    asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(r));
#endif
    return r;
}
static __device__ __forceinline__ int cluster_size()
{
    int n = 1;
#if STEP_HOPPER
    asm("mov.u32 %0, %%cluster_nctarank;" : "=r"(n));
#endif
    return n;
}
/* A barrier of all threads of the cluster in two halves: what was read and written before the first is so for all after the second. */
static __device__ __forceinline__ void cluster_arrive()
{
#if STEP_HOPPER
    asm volatile("barrier.cluster.arrive.release;" ::: "memory");
#endif
}
static __device__ __forceinline__ void cluster_wait()
{
#if STEP_HOPPER
    asm volatile("barrier.cluster.wait.acquire;" ::: "memory");
#else
    __syncthreads();
#endif
}
/* Writes v at the place in block rank's shared memory that p is in this block's. */
static __device__ __forceinline__ void cluster_put(float *p, int rank, float v)
{
#if STEP_HOPPER
    unsigned at = (unsigned)__cvta_generic_to_shared(p);
    asm volatile("mapa.shared::cluster.u32 %0, %0, %1;" : "+r"(at) : "r"(rank));
    asm volatile("st.shared::cluster.f32 [%0], %1;" ::"r"(at), "f"(v) : "memory");
#else
    *p = v;
#endif
}

/* Was this kernel's code made for Hopper, and is this card one? (Code for sm_80 that another card runs knows neither waiting nor clusters.) */
template <class K> static inline bool step_on_hopper(K *kernel)
{
    cudaFuncAttributes loaded;
    cuda_ok(cudaFuncGetAttributes(&loaded, kernel));
    return loaded.binaryVersion == 90;
}

/* Queues a kernel that keeps the rules above. cluster: blocks of one, a power of two up to 16. */
template <class... P, class... A>
static inline void launch_step(void (*kernel)(P...), int64_t blocks, unsigned threads, size_t shared, unsigned cluster, A... args)
{
    bool hopper = step_on_hopper(kernel);
    must(cluster == 1 || hopper);
    /* The same division of first-level cache and shared memory for all kernels of a step: blocks of two can then share a multiprocessor. */
    cuda_ok(cudaFuncSetAttribute(kernel, cudaFuncAttributePreferredSharedMemoryCarveout, (int)cudaSharedmemCarveoutMaxShared));
    if (shared > 48 * 1024)
        cuda_ok(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared));
    if (cluster > 8)
        cuda_ok(cudaFuncSetAttribute(kernel, cudaFuncAttributeNonPortableClusterSizeAllowed, 1));
    cudaLaunchAttribute how[2] = {};
    how[0].id = cudaLaunchAttributeProgrammaticStreamSerialization;
    how[0].val.programmaticStreamSerializationAllowed = 1;
    how[1].id = cudaLaunchAttributeClusterDimension;
    how[1].val.clusterDim.x = cluster;
    how[1].val.clusterDim.y = how[1].val.clusterDim.z = 1;
    cudaLaunchConfig_t config = {};
    config.gridDim = dim3(grid_size(blocks));
    config.blockDim = dim3(threads);
    config.dynamicSmemBytes = shared;
    config.stream = cuda_stream();
    config.attrs = how;
    config.numAttrs = hopper ? 2 : 0;
    cuda_ok(cudaLaunchKernelEx(&config, kernel, P(args)...));
}
#endif
