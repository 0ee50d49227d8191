/* kernels/cuda/device.cu - the one GPU of this process: streams, memory, copies, recorded graphs, timers (kernels/device.h).
 *
 * One compute stream keeps ops in order; beside it one stream carries dev_prefetch() and one dev_fetch(), so that batches do not wait behind
 * a copy of everything. Nothing else creates streams for ops.
 */
#include "kernels/device.h"
#include "core/host.h"
#include "kernels/cuda/cuda.cuh"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STAGES = 8 };
static const size_t STAGE_BYTES = 1 << 20;

static struct {
    bool open;
    int index;
    cudaStream_t compute, copy, fetch;
    cudaEvent_t start, stop; /* of the timer */
    cudaEvent_t fence;       /* the compute work queued before the last dev_prefetch_wait() */
    cudaEvent_t made;        /* that before the last dev_fetch() */
    cudaDeviceProp prop;
    int clock_khz, driver;
    size_t lib_bytes;
    /* dev_put() goes through pinned buffers of our own, used in turn: the caller's memory is free as soon as it is copied here. */
    char *stage[STAGES];
    cudaEvent_t stage_done[STAGES];
    int next_stage;
} dev;
static int64_t allocs;
static bool exact;

void cuda_die(const char *file, int line, const char *call, cudaError_t e)
{
    bool sticky = e == cudaErrorIllegalAddress || e == cudaErrorLaunchFailure || e == cudaErrorMisalignedAddress || e == cudaErrorAssert ||
                  e == cudaErrorIllegalInstruction || e == cudaErrorInvalidPc || e == cudaErrorHardwareStackError;
    die_at(file, line, "CUDA: %s (%s) from %s%s", cudaGetErrorString(e), cudaGetErrorName(e), call,
           sticky ? "; work queued earlier failed: run again under compute-sanitizer to see which" : "");
}

cudaStream_t cuda_stream(void)
{
    must(dev.open);
    return dev.compute;
}

const char *dev_backend(void)
{
    return "cuda";
}

/* The version that this program's CUDA runtime needs of the driver, as "13.0". */
static const char *version(char buf[16], int v)
{
    snprintf(buf, 16, "%d.%d", v / 1000, v % 1000 / 10);
    return buf;
}

static bool find_device(int index, struct err *e)
{
    int n = 0, driver = 0, runtime = 0;
    char a[16], b[16];
    cudaError_t err = cudaGetDeviceCount(&n);
    cudaDriverGetVersion(&driver);
    cudaRuntimeGetVersion(&runtime);
    dev.driver = driver;
    if (driver == 0)
        return err_set(e, "cuda: no NVIDIA driver is loaded, expected one for CUDA %s or newer; install it, or use the CPU build (make)",
                       version(a, runtime));
    if (err == cudaErrorInsufficientDriver)
        return err_set(
            e, "cuda: the NVIDIA driver is too old: it serves CUDA %s, expected %s or newer; update it, or use the CPU build (make)",
            version(a, driver), version(b, runtime));
    if (err == cudaErrorNoDevice || (err == cudaSuccess && n == 0))
        return err_set(e, "cuda: no GPU is visible; check nvidia-smi and CUDA_VISIBLE_DEVICES, or use the CPU build (make)");
    if (err != cudaSuccess)
        return err_set(e, "cuda: the GPUs cannot be listed: %s (%s); check nvidia-smi", cudaGetErrorString(err), cudaGetErrorName(err));
    if (index < 0 || index >= n)
        return err_set(e, "cuda: GPU %d was asked for, but %d %s visible; start at most one process for each, or set CUDA_VISIBLE_DEVICES",
                       index, n, n == 1 ? "is" : "are");
    err = cudaGetDeviceProperties(&dev.prop, index);
    if (err != cudaSuccess)
        return err_set(e, "cuda: GPU %d cannot be read: %s; check nvidia-smi", index, cudaGetErrorString(err));
    if (dev.prop.major < 8)
        return err_set(e,
                       "cuda: GPU %d (%s) has compute capability %d.%d, expected 8.0 or newer (A100, H100); use another, or the CPU build "
                       "(make)",
                       index, dev.prop.name, dev.prop.major, dev.prop.minor);
    return true;
}

bool dev_open(int index, struct err *e)
{
    if (dev.open) {
        must(index == dev.index);
        return true;
    }
    if (!find_device(index, e))
        return false;
    cudaError_t err = cudaSetDevice(index); /* creates the context */
    if (err == cudaSuccess)
        err = cudaStreamCreateWithFlags(&dev.compute, cudaStreamNonBlocking);
    if (err != cudaSuccess)
        return err_set(e, "cuda: GPU %d (%s) cannot be used: %s (%s); is another process using it or its memory? check nvidia-smi", index,
                       dev.prop.name, cudaGetErrorString(err), cudaGetErrorName(err));
    dev.open = true;
    dev.index = index;
    cuda_ok(cudaStreamCreateWithFlags(&dev.copy, cudaStreamNonBlocking));
    cuda_ok(cudaStreamCreateWithFlags(&dev.fetch, cudaStreamNonBlocking));
    cuda_ok(cudaEventCreate(&dev.start));
    cuda_ok(cudaEventCreate(&dev.stop));
    cuda_ok(cudaEventCreateWithFlags(&dev.fence, cudaEventDisableTiming));
    cuda_ok(cudaEventCreateWithFlags(&dev.made, cudaEventDisableTiming));
    cuda_ok(cudaDeviceGetAttribute(&dev.clock_khz, cudaDevAttrClockRate, index));
    for (int i = 0; i < STAGES; i++) {
        cuda_ok(cudaMallocHost((void **)&dev.stage[i], STAGE_BYTES));
        cuda_ok(cudaEventCreateWithFlags(&dev.stage_done[i], cudaEventDisableTiming));
    }
    /* What the context took cannot be seen apart from what other processes hold, and it is never above 1 GiB on cards known so far. */
    size_t free_bytes, total, after, context;
    cuda_ok(cudaMemGetInfo(&free_bytes, &total));
    context = total - free_bytes;
    if (context > (size_t)1 << 30)
        context = (size_t)1 << 30;
    linear_open();
    cuda_ok(cudaStreamSynchronize(dev.compute));
    cuda_ok(cudaMemGetInfo(&after, &total));
    dev.lib_bytes = context + (free_bytes > after ? free_bytes - after : 0);
    return true;
}

const char *dev_describe(void)
{
    static char line[512];
    if (!dev.open)
        return "cuda: no GPU opened";
    size_t free_bytes, total;
    char a[16], b[16];
    int runtime = 0;
    dev_memory(&free_bytes, &total);
    cuda_ok(cudaRuntimeGetVersion(&runtime));
    snprintf(line, sizeof line, "cuda: %s, %d SMs, compute capability %d.%d, driver for CUDA %s, runtime %s, %.1f of %.1f GiB free",
             dev.prop.name, dev.prop.multiProcessorCount, dev.prop.major, dev.prop.minor, version(a, dev.driver), version(b, runtime),
             (double)free_bytes / (double)(1 << 30), (double)total / (double)(1 << 30));
    return line;
}

void dev_exact(bool on)
{
    exact = on;
}

bool dev_is_exact(void)
{
    return exact;
}

bool dev_supports(enum dtype t)
{
    return t == F32 || t == BF16; /* dev_open() refuses cards without bf16 */
}

void dev_memory(size_t *free_bytes, size_t *total_bytes)
{
    must(dev.open);
    cuda_ok(cudaMemGetInfo(free_bytes, total_bytes));
}

size_t dev_library_bytes(void)
{
    /* Before a device is opened (a plan made elsewhere): what an H100 showed, rounded up. */
    return dev.open ? dev.lib_bytes : (size_t)640 << 20;
}

size_t dev_used_bytes(void)
{
    size_t free_bytes, total;
    dev_memory(&free_bytes, &total);
    return total - free_bytes;
}

double dev_peak_flops(enum dtype t)
{
    if (!dev.open)
        return 0;
    if (t == F32) { /* no TF32: the CUDA cores, one FMA a lane and clock */
        int lanes = dev.prop.major == 8 && dev.prop.minor == 0 ? 64 : 128;
        return 2.0 * lanes * dev.prop.multiProcessorCount * dev.clock_khz * 1e3;
    }
    /* Dense bf16 with f32 accumulation, from NVIDIA's data sheets; the first name contained in the card's counts. */
    static const struct {
        const char *name;
        double flops;
    } cards[] = {{"H100 PCIe", 756e12}, {"H100 NVL", 835e12}, {"H100", 989e12}, {"H200 NVL", 835e12}, {"H200", 989e12},
                 {"H800", 989e12},      {"A100", 312e12},     {"A800", 312e12}, {"A30", 165e12},      {"L40S", 362e12}};
    for (size_t i = 0; i < sizeof cards / sizeof cards[0]; i++)
        if (strstr(dev.prop.name, cards[i].name))
            return cards[i].flops;
    return 0;
}

void *dev_alloc(size_t bytes)
{
    must(dev.open);
    void *p = NULL;
    cudaError_t err = cudaMalloc(&p, bytes ? bytes : 1);
    if (err == cudaErrorMemoryAllocation) {
        size_t free_bytes, total;
        dev_memory(&free_bytes, &total);
        die("out of GPU memory: %.2f GiB asked for, %.2f of %.2f GiB free; use smaller batches, or end other processes on this GPU",
            (double)bytes / (double)(1 << 30), (double)free_bytes / (double)(1 << 30), (double)total / (double)(1 << 30));
    }
    cuda_ok(err);
    allocs++;
    cuda_ok(cudaMemsetAsync(p, 0, bytes ? bytes : 1, dev.compute));
    cuda_ok(cudaStreamSynchronize(dev.compute)); /* or a prefetch, on its own stream, could be overtaken by the zeros */
    return p;
}

void dev_free(void *p)
{
    if (p)
        cuda_ok(cudaFree(p));
}

int64_t dev_alloc_count(void)
{
    return allocs;
}

void *dev_host_alloc(size_t bytes)
{
    must(dev.open);
    void *p = NULL;
    cudaError_t err = cudaMallocHost(&p, bytes ? bytes : 1);
    if (err == cudaErrorMemoryAllocation)
        die("out of pinned host memory: %zu bytes asked for; free some memory or use smaller batches, or \"checkpoint\": {\"async\": \"off\"}",
            bytes);
    cuda_ok(err);
    memset(p, 0, bytes);
    return p;
}

void dev_host_free(void *p)
{
    if (p)
        cuda_ok(cudaFreeHost(p));
}

size_t dev_host_memory(bool *same)
{
    size_t free_bytes, total_bytes;
    host_memory(&free_bytes, &total_bytes);
    *same = false;
    return free_bytes;
}

void dev_zero(void *p, size_t bytes)
{
    if (bytes)
        cuda_ok(cudaMemsetAsync(p, 0, bytes, cuda_stream()));
}

void dev_copy(void *dst, const void *src, size_t bytes)
{
    if (bytes)
        cuda_ok(cudaMemcpyAsync(dst, src, bytes, cudaMemcpyDeviceToDevice, cuda_stream()));
}

void dev_put(void *dst, const void *host, size_t bytes)
{
    must(dev.open);
    for (size_t at = 0; at < bytes; at += STAGE_BYTES) {
        size_t n = bytes - at < STAGE_BYTES ? bytes - at : STAGE_BYTES;
        int i = dev.next_stage;
        dev.next_stage = (i + 1) % STAGES;
        cuda_ok(cudaEventSynchronize(dev.stage_done[i])); /* returns at once for an event never recorded */
        memcpy(dev.stage[i], (const char *)host + at, n);
        cuda_ok(cudaMemcpyAsync((char *)dst + at, dev.stage[i], n, cudaMemcpyHostToDevice, dev.compute));
        cuda_ok(cudaEventRecord(dev.stage_done[i], dev.compute));
    }
}

void dev_get(void *host, const void *src, size_t bytes)
{
    must(dev.open);
    if (bytes)
        cuda_ok(cudaMemcpyAsync(host, src, bytes, cudaMemcpyDeviceToHost, dev.compute));
    cuda_ok(cudaStreamSynchronize(dev.compute));
}

void dev_sync(void)
{
    must(dev.open);
    cuda_ok(cudaStreamSynchronize(dev.compute));
    cuda_ok(cudaStreamSynchronize(dev.copy));
    cuda_ok(cudaStreamSynchronize(dev.fetch));
}

void dev_prefetch(void *dst, const void *pinned_host, size_t bytes)
{
    must(dev.open);
    if (!bytes)
        return;
    cuda_ok(cudaStreamWaitEvent(dev.copy, dev.fence, 0));
    cuda_ok(cudaMemcpyAsync(dst, pinned_host, bytes, cudaMemcpyHostToDevice, dev.copy));
}

void dev_prefetch_wait(void)
{
    /* The host waits, so the pinned memory may be filled again at once; the copy itself waited for work of two passes ago only. */
    must(dev.open);
    cuda_ok(cudaStreamSynchronize(dev.copy));
    cuda_ok(cudaEventRecord(dev.fence, dev.compute));
}

void dev_fetch(void *pinned_host, const void *src, size_t bytes)
{
    must(dev.open);
    if (!bytes)
        return;
    cuda_ok(cudaEventRecord(dev.made, dev.compute));
    cuda_ok(cudaStreamWaitEvent(dev.fetch, dev.made, 0));
    cuda_ok(cudaMemcpyAsync(pinned_host, src, bytes, cudaMemcpyDeviceToHost, dev.fetch));
}

void dev_fetch_wait(void)
{
    must(dev.open);
    cuda_ok(cudaStreamSynchronize(dev.fetch));
}

/* The first pass issues the ops as they are, so that their code is loaded and products have chosen their algorithms; the second is
 * recorded; from the third on the recording is queued. */
struct graph {
    bool warm;
    cudaGraphExec_t exec;
    bool recording;
};

bool dev_graph_begin(struct dev_graph *g)
{
    must(dev.open);
    if (!g->impl)
        g->impl = xcalloc(1, sizeof(struct graph));
    struct graph *r = (struct graph *)g->impl;
    must(!r->recording);
    if (r->exec) {
        cuda_ok(cudaGraphLaunch(r->exec, dev.compute));
        return false;
    }
    if (r->warm) {
        r->recording = true;
        cuda_ok(cudaStreamBeginCapture(dev.compute, cudaStreamCaptureModeThreadLocal));
    }
    return true;
}

void dev_graph_end(struct dev_graph *g)
{
    struct graph *r = (struct graph *)g->impl;
    must(r && !r->exec);
    if (r->recording) {
        cudaGraph_t recorded;
        cuda_ok(cudaStreamEndCapture(dev.compute, &recorded));
        cuda_ok(cudaGraphInstantiate(&r->exec, recorded, 0));
        cuda_ok(cudaGraphDestroy(recorded));
        cuda_ok(cudaGraphLaunch(r->exec, dev.compute));
        r->recording = false;
    }
    r->warm = true;
}

void dev_graph_free(struct dev_graph *g)
{
    struct graph *r = (struct graph *)g->impl;
    if (r && r->exec) {
        cuda_ok(cudaStreamSynchronize(dev.compute));
        cuda_ok(cudaGraphExecDestroy(r->exec));
    }
    free(r);
    g->impl = NULL;
}

void dev_timer_start(void)
{
    must(dev.open);
    cuda_ok(cudaEventRecord(dev.start, dev.compute));
}

double dev_timer_stop(void)
{
    float ms = 0;
    must(dev.open);
    cuda_ok(cudaEventRecord(dev.stop, dev.compute));
    cuda_ok(cudaEventSynchronize(dev.stop));
    cuda_ok(cudaEventElapsedTime(&ms, dev.start, dev.stop));
    return (double)ms * 1e-3;
}
