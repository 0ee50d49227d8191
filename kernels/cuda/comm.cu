/* kernels/cuda/comm.cu - kernels/comm.h for device memory on GPUs: NCCL on a stream of its own, beside the compute stream. */
#include "kernels/comm.h"
#include "kernels/cuda/cuda.cuh"
#include "kernels/device.h"
#include <nccl.h>
#include <vector>

#define nccl_ok(call)                                                                                                                      \
    do {                                                                                                                                   \
        ncclResult_t nccl_ok_r = (call);                                                                                                   \
        if (nccl_ok_r != ncclSuccess)                                                                                                      \
            die("NCCL: %s from %s: %s; NCCL_DEBUG=INFO in the environment says more", ncclGetErrorString(nccl_ok_r), #call,                \
                ncclGetLastError(NULL));                                                                                                   \
    } while (0)

/* Calls whose ends can be waited for one by one; waiting for an older one waits for the newer that took its place. */
enum { CALLS = 1024 };

/* Compute-stream time before and after a wait. */
struct stall {
    cudaEvent_t before, after;
};

static struct {
    ncclComm_t nccl; /* NULL: one rank that was not launched */
    cudaStream_t stream;
    cudaEvent_t computed; /* the compute work queued before a call */
    cudaEvent_t done[CALLS];
    int64_t calls;
    double *sums; /* [size][COMM_SUMS] */
    std::vector<struct stall> stalls;
    size_t stalled; /* of them used since comm_waited() */
    int64_t bytes;
} dev;

static ncclDataType_t nccl_type(enum dtype t)
{
    return t == F32 ? ncclFloat32 : ncclBfloat16;
}

/* One call of each kind, so that what NCCL sets up late is there and counted. */
static void warm(void)
{
    enum { VALUES = 1 << 18 };
    float *all = (float *)dev_alloc(sizeof(float) * VALUES * (size_t)comm_size());
    for (int t = F32; t <= BF16; t++) {
        void *own = (char *)all + comm_rank() * (int64_t)VALUES * dtype_size((enum dtype)t);
        comm_reduce_scatter(own, all, VALUES, (enum dtype)t);
        comm_wait(comm_all_gather(all, own, VALUES, (enum dtype)t));
    }
    comm_all_reduce((double *)(void *)all, 2);
    dev_sync();
    comm_waited();
    dev_free(all);
}

void comm_device_open(void)
{
    if (!comm_launched() || dev.nccl)
        return;
    ncclUniqueId id;
    size_t before, after, total;
    dev_memory(&before, &total);
    if (comm_rank() == 0)
        nccl_ok(ncclGetUniqueId(&id));
    comm_broadcast(&id, sizeof id, 0);
    nccl_ok(ncclCommInitRank(&dev.nccl, comm_size(), id, comm_rank()));
    int least, greatest;
    cuda_ok(cudaDeviceGetStreamPriorityRange(&least, &greatest));
    /* Exchanges go first where both want a multiprocessor: they use few, and what waits for them is long. */
    cuda_ok(cudaStreamCreateWithPriority(&dev.stream, cudaStreamNonBlocking, greatest));
    cuda_ok(cudaEventCreateWithFlags(&dev.computed, cudaEventDisableTiming));
    for (int i = 0; i < CALLS; i++)
        cuda_ok(cudaEventCreateWithFlags(&dev.done[i], cudaEventDisableTiming));
    cuda_ok(cudaMalloc((void **)&dev.sums, sizeof(double) * COMM_SUMS * (size_t)comm_size()));
    warm();
    dev_memory(&after, &total);
    dev.bytes = before > after ? (int64_t)(before - after) : 0;
}

void comm_device_close(void)
{
    if (!dev.nccl)
        return;
    dev_sync();
    cuda_ok(cudaStreamSynchronize(dev.stream));
    nccl_ok(ncclCommDestroy(dev.nccl));
    dev.nccl = NULL;
    for (int i = 0; i < CALLS; i++)
        cuda_ok(cudaEventDestroy(dev.done[i]));
    for (struct stall &s : dev.stalls) {
        cuda_ok(cudaEventDestroy(s.before));
        cuda_ok(cudaEventDestroy(s.after));
    }
    dev.stalls.clear();
    cuda_ok(cudaEventDestroy(dev.computed));
    cuda_ok(cudaStreamDestroy(dev.stream));
    cuda_ok(cudaFree(dev.sums));
    dev.sums = NULL;
}

void comm_abort(void)
{
    if (dev.nccl)
        ncclCommAbort(dev.nccl);
}

/* Not open: an allowance. */
int64_t comm_library_bytes(int size)
{
    return dev.nccl ? dev.bytes : size == 1 ? 0 : (int64_t)512 << 20;
}

int comm_sharing(int local_ranks)
{
    (void)local_ranks;
    return 1;
}

/* The exchange stream goes on after the compute work queued so far. */
static void call_begin(void)
{
    must(dev.nccl);
    cuda_ok(cudaEventRecord(dev.computed, cuda_stream()));
    cuda_ok(cudaStreamWaitEvent(dev.stream, dev.computed, 0));
}

static int64_t call_end(void)
{
    int64_t call = dev.calls++;
    cuda_ok(cudaEventRecord(dev.done[call % CALLS], dev.stream));
    return call;
}

int64_t comm_reduce_scatter(void *share, const void *all, int64_t n, enum dtype t)
{
    if (!comm_launched()) {
        if (share != all)
            dev_copy(share, all, (size_t)(n * dtype_size(t)));
        return 0;
    }
    call_begin();
    nccl_ok(ncclReduceScatter(all, share, (size_t)n, nccl_type(t), ncclSum, dev.nccl, dev.stream));
    return call_end();
}

int64_t comm_all_gather(void *all, const void *share, int64_t n, enum dtype t)
{
    if (!comm_launched()) {
        if (share != all)
            dev_copy(all, share, (size_t)(n * dtype_size(t)));
        return 0;
    }
    call_begin();
    nccl_ok(ncclAllGather(share, all, (size_t)n, nccl_type(t), dev.nccl, dev.stream));
    return call_end();
}

void comm_wait(int64_t call)
{
    if (!comm_launched())
        return;
    must(call < dev.calls);
    cudaEvent_t done = dev.done[call % CALLS];
    cudaError_t e = cudaEventQuery(done);
    if (e == cudaSuccess) /* nobody waits */
        return;
    if (e != cudaErrorNotReady)
        cuda_ok(e);
    cudaGetLastError(); /* "not ready" would look like a failed launch later */
    if (dev.stalled == dev.stalls.size()) {
        struct stall s;
        cuda_ok(cudaEventCreate(&s.before));
        cuda_ok(cudaEventCreate(&s.after));
        dev.stalls.push_back(s);
    }
    struct stall s = dev.stalls[dev.stalled++];
    cuda_ok(cudaEventRecord(s.before, cuda_stream()));
    cuda_ok(cudaStreamWaitEvent(cuda_stream(), done, 0));
    cuda_ok(cudaEventRecord(s.after, cuda_stream()));
}

static __global__ void add_ranks_kernel(double *v, const double *all, int n, int size)
{
    int i = threadIdx.x;
    if (i >= n)
        return;
    double sum = all[i];
    for (int r = 1; r < size; r++)
        sum += all[r * n + i];
    v[i] = sum;
}

/* Every rank gets all values and adds them itself, in the ranks' order: the bits do not depend on which algorithm NCCL chooses. */
void comm_all_reduce(double *v, int n)
{
    must(n <= COMM_SUMS);
    if (!comm_launched())
        return;
    call_begin();
    nccl_ok(ncclAllGather(v, dev.sums, (size_t)n, ncclDouble, dev.nccl, dev.stream));
    comm_wait(call_end());
    add_ranks_kernel<<<1, 32, 0, cuda_stream()>>>(v, dev.sums, n, comm_size());
    cuda_launched();
}

double comm_waited(void)
{
    double s = 0;
    for (size_t i = 0; i < dev.stalled; i++) {
        float ms;
        cuda_ok(cudaEventSynchronize(dev.stalls[i].after));
        cuda_ok(cudaEventElapsedTime(&ms, dev.stalls[i].before, dev.stalls[i].after));
        s += ms / 1e3;
    }
    dev.stalled = 0;
    return s;
}
