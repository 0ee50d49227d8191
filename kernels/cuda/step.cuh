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
 *     their callers (weights, tables), and ask for lines in the second-level cache, where they cannot go stale: all reads and writes of
 *     device memory go through it.
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
/* A mailbox: what the cluster's blocks send one another, a float each, into shared memory. Stores to device memory that are under way hold
 * up neither it nor, between its two halves, the barrier below, as they would with barriers that order them. */
struct mailbox {
    uint64_t arrived; /* an mbarrier that counts bytes */
    float from[16];   /* [blocks of the cluster] */
};
/* One thread, before cluster_arrive(). */
static __device__ __forceinline__ void mailbox_open(mailbox *m)
{
#if STEP_HOPPER
    unsigned bar = (unsigned)__cvta_generic_to_shared(&m->arrived);
    asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;\n"
                 "fence.mbarrier_init.release.cluster;\n"
                 "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(bar),
                 "r"(cluster_size() * 4)
                 : "memory");
#endif
}
/* All threads of all blocks come to the first before any passes the second: then every block runs, and its mailbox is open. */
static __device__ __forceinline__ void cluster_arrive()
{
#if STEP_HOPPER
    asm volatile("barrier.cluster.arrive.relaxed;" ::: "memory");
#endif
}
static __device__ __forceinline__ void cluster_wait()
{
#if STEP_HOPPER
    asm volatile("barrier.cluster.wait.acquire;" ::: "memory");
#endif
}
/* Sends v to block rank, as this block's, once. */
static __device__ __forceinline__ void mailbox_send(mailbox *m, int rank, float v)
{
#if STEP_HOPPER
    unsigned to = (unsigned)__cvta_generic_to_shared(&m->from[cluster_rank()]), bar = (unsigned)__cvta_generic_to_shared(&m->arrived);
    asm volatile("{\n"
                 ".reg .b32 to, bar;\n"
                 "mapa.shared::cluster.u32 to, %0, %2;\n"
                 "mapa.shared::cluster.u32 bar, %1, %2;\n"
                 "st.async.shared::cluster.mbarrier::complete_tx::bytes.b32 [to], %3, [bar];\n"
                 "}" ::"r"(to),
                 "r"(bar), "r"(rank), "r"(__float_as_uint(v))
                 : "memory");
#else
    m->from[rank] = v;
#endif
}
/* Waits until every block's has come. A block may end after that: nothing comes to it any more. */
static __device__ __forceinline__ void mailbox_wait(mailbox *m)
{
#if STEP_HOPPER
    unsigned bar = (unsigned)__cvta_generic_to_shared(&m->arrived);
    asm volatile("{\n"
                 ".reg .pred done;\n"
                 "again:\n"
                 "mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 done, [%0], 0;\n"
                 "@!done bra again;\n"
                 "}" ::"r"(bar)
                 : "memory");
#else
    __syncthreads();
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
