/* kernels/cpu/device.c - kernels/device.h on the host: device memory is host memory, every op is done when it returns. */
#include "kernels/device.h"
#include "core/host.h"
#include "core/log.h" /* log_now */
#include <dnnl.h>     /* dnnl_version */
#include <malloc.h>   /* mallopt */
#include <omp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>     /* madvise */
#include <sys/resource.h> /* getrusage */
#include <unistd.h>

/* Arenas align to 256 relative to their base. Big blocks start on a huge page: a pass over gigabytes of weights then misses the TLB
 * 512 times less. */
enum { ALIGN = 256, HUGE_PAGE = 2 << 20 };

/* Bytes from which a block has pages of its own. */
enum { BIG_BLOCK = 128 << 10 };

static atomic_llong alloc_count;
/* The process's peak when a block was last taken or freed; the most that products took and gave back while blocks stayed. */
static atomic_size_t peak_bytes, passing_bytes;
static double timer_start;
static bool exact;

#if defined(__AVX512F__)
#define ISA "avx512"
#elif defined(__AVX2__)
#define ISA "avx2"
#elif defined(__ARM_NEON)
#define ISA "neon"
#else
#define ISA "baseline vectors"
#endif

const char *dev_backend(void)
{
    return "cpu";
}

void dev_exact(bool on)
{
    exact = on;
}

bool dev_is_exact(void)
{
    return exact;
}

bool dev_open(int index, struct err *e)
{
    (void)index; /* ranks of one host share the CPU; the launcher divides the threads (OMP_NUM_THREADS) */
#if defined(__AVX512F__)
    if (!__builtin_cpu_supports("avx512f"))
        return err_set(
            e, "this program was compiled for a CPU with AVX-512, which this one lacks; build it here, or with make ARCH=x86-64-v3");
#elif defined(__AVX2__)
    if (!__builtin_cpu_supports("avx2"))
        return err_set(e, "this program was compiled for a CPU with AVX2, which this one lacks; build it here, or with make ARCH=x86-64");
#else
    (void)e;
#endif
    /* oneDNN takes the buffers of a product from the heap. glibc would keep them there, one heap a thread, more or less of it by how
     * threads met: 30 MB and 2% of a small run one way or the other. From their own pages they go back after each product, so that what
     * a process takes follows from its sizes; products run as fast. */
    mallopt(M_MMAP_THRESHOLD, BIG_BLOCK);
    return true;
}

const char *dev_describe(void)
{
    static char line[256];
    const dnnl_version_t *v = dnnl_version();
    bool gpu = access("/proc/driver/nvidia/version", F_OK) == 0;
    snprintf(line, sizeof line, "cpu: %d threads, oneDNN %d.%d.%d, " ISA "%s", omp_get_max_threads(), v->major, v->minor, v->patch,
             gpu ? "; an NVIDIA GPU is here, which make BACKEND=cuda would use" : "");
    return line;
}

bool dev_supports(enum dtype t)
{
    return t == F32;
}

void dev_memory(size_t *free_bytes, size_t *total_bytes)
{
    host_memory(free_bytes, total_bytes);
}

size_t dev_host_memory(bool *same)
{
    size_t free_bytes, total_bytes;
    host_memory(&free_bytes, &total_bytes);
    *same = true;
    return free_bytes;
}

/* What the process holds so far is the program and its libraries: callers ask before they take their arena. */
size_t dev_library_bytes(void)
{
    return host_resident() + passing_bytes;
}

size_t dev_used_bytes(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (size_t)u.ru_maxrss * 1024;
}

double dev_peak_flops(enum dtype t)
{
    (void)t;
    return 0;
}

/* bytes: a multiple of align. */
static void *take(size_t align, size_t bytes)
{
    void *p = aligned_alloc(align, bytes ? bytes : align);
    if (!p)
        die("no memory for %zu bytes", bytes);
    return p;
}

void *dev_alloc(size_t bytes)
{
    size_t align = bytes >= HUGE_PAGE ? HUGE_PAGE : ALIGN;
    size_t size = (bytes + align - 1) / align * align;
    void *p = take(align, size);
    if (align == HUGE_PAGE)
        madvise(p, size, MADV_HUGEPAGE); /* a wish: without huge pages it is only slower */
    memset(p, 0, bytes);
    atomic_fetch_add(&alloc_count, 1);
    atomic_store(&peak_bytes, dev_used_bytes());
    return p;
}
void dev_free(void *p)
{
    size_t peak = dev_used_bytes();
    if (peak > atomic_exchange(&peak_bytes, peak)) { /* by what was computed since; some of it may be gone */
        size_t now = host_resident();
        if (peak > now + atomic_load(&passing_bytes))
            atomic_store(&passing_bytes, peak - now);
    }
    free(p);
}
int64_t dev_alloc_count(void)
{
    return atomic_load(&alloc_count);
}
void *dev_host_alloc(size_t bytes)
{
    void *p = take(ALIGN, (bytes + ALIGN - 1) / ALIGN * ALIGN);
    memset(p, 0, bytes);
    return p;
}
void dev_host_free(void *p)
{
    free(p);
}

/* Slices of whole cache lines for each thread: one thread does not use up the memory's rate. */
static void copy_bytes(char *dst, const char *src, size_t bytes)
{
    enum { SLICE = 1 << 18 };
#pragma omp parallel for schedule(static) if (bytes > 2 * SLICE)
    for (size_t at = 0; at < bytes; at += SLICE)
        memcpy(dst + at, src + at, bytes - at < SLICE ? bytes - at : SLICE);
}
void dev_zero(void *p, size_t bytes)
{
    enum { SLICE = 1 << 18 };
#pragma omp parallel for schedule(static) if (bytes > 2 * SLICE)
    for (size_t at = 0; at < bytes; at += SLICE)
        memset((char *)p + at, 0, bytes - at < SLICE ? bytes - at : SLICE);
}
void dev_copy(void *dst, const void *src, size_t bytes)
{
    copy_bytes(dst, src, bytes);
}
void dev_put(void *dst, const void *host, size_t bytes)
{
    copy_bytes(dst, host, bytes);
}
void dev_get(void *host, const void *src, size_t bytes)
{
    copy_bytes(host, src, bytes);
}
void dev_sync(void)
{
}
void dev_prefetch(void *dst, const void *pinned_host, size_t bytes)
{
    copy_bytes(dst, pinned_host, bytes);
}
void dev_prefetch_wait(void)
{
}
void dev_fetch(void *pinned_host, const void *src, size_t bytes)
{
    copy_bytes(pinned_host, src, bytes);
}
void dev_fetch_wait(void)
{
}

bool dev_graph_begin(struct dev_graph *g)
{
    (void)g;
    return true;
}
void dev_graph_end(struct dev_graph *g)
{
    (void)g;
}
void dev_graph_free(struct dev_graph *g)
{
    (void)g;
}

void dev_timer_start(void)
{
    timer_start = log_now();
}
double dev_timer_stop(void)
{
    return log_now() - timer_start;
}
