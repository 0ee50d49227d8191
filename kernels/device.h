/* kernels/device.h - the memory of the one device this process uses and the order of the work on it.
 *
 * Ops are queued in order on one compute queue and return at once; dev_get() and dev_sync() wait. The CPU backend's device memory is
 * host memory and its ops are done when they return; nobody above this floor may rely on that.
 */
#ifndef KERNELS_DEVICE_H
#define KERNELS_DEVICE_H
#include "core/err.h"
#include "kernels/mat.h"
#include <stddef.h>
#ifdef __cplusplus
extern "C" {
#endif

const char *dev_backend(void); /* "cpu" or "cuda"; needs no device */
/* Takes the device (index among those of this host). No device, an old driver: false with what is there and what to do. */
bool dev_open(int index, struct err *e);
/* One line for the log: "cpu: 2 threads, OpenBLAS 0.3.21 ..., avx512" / "cuda: NVIDIA H100 ..., 132 SMs, driver ..., 78.1 of 79.6 GiB free". */
const char *dev_describe(void);
/* Can the ops compute in this type here? */
bool dev_supports(enum dtype t);
/* The type of activations and of the convolution's state beside weights of type t in inference: f32 where only products take t (kernels/linear.h). */
static inline enum dtype dev_activations(enum dtype t)
{
    return dev_supports(t) ? t : F32;
}
/* Bytes free and in all; bytes that libraries and the context take beside what dev_alloc() hands out. */
void dev_memory(size_t *free_bytes, size_t *total_bytes);
size_t dev_library_bytes(void);
/* Bytes of the device's memory that are taken (on the CPU: this process's peak resident memory). */
size_t dev_used_bytes(void);
/* Dense peak of matrix products in t, FLOP/s, of this card; 0 when not known (CPU). */
double dev_peak_flops(enum dtype t);

/* From here on (false: no longer) a row of a forward op or of a step is the same bits whatever rows stand beside it, however many they are, and
 * at whatever multiples of its chunk a sequence is cut into passes, its states kept in f32; slower. Call it before anything is computed:
 * recorded graphs keep what they recorded. */
void dev_exact(bool on);
bool dev_is_exact(void);

void *dev_alloc(size_t bytes); /* zeroed; dies when there is no more (callers compare with dev_memory() first) */
void dev_free(void *p);
/* Calls of dev_alloc so far: a test asserts that a step makes none. */
int64_t dev_alloc_count(void);
/* Host memory the device copies from and to without staging (pinned on a GPU); zeroed, so all of it is taken. */
void *dev_host_alloc(size_t bytes);
void dev_host_free(void *p);
/* Bytes of host memory that all processes of this host can still take; *same: it is the device's memory too. */
size_t dev_host_memory(bool *same);

void dev_zero(void *p, size_t bytes);
void dev_copy(void *dst, const void *src, size_t bytes); /* device to device */
void dev_put(void *dst, const void *host, size_t bytes); /* host may be reused at once */
void dev_get(void *host, const void *src, size_t bytes); /* waits for the work before it */
void dev_sync(void);                                     /* waits for all work; dies when any of it failed */
/* A copy of pinned host memory beside the compute queue; the compute work queued after dev_prefetch_wait() sees it, and host may be
 * filled again. dst may still be in use by work queued before the last dev_prefetch_wait(): the copy waits for that. So two blocks
 * suffice: wait, queue the work on one, fill and prefetch the other. */
void dev_prefetch(void *dst, const void *pinned_host, size_t bytes);
void dev_prefetch_wait(void);
/* A copy into pinned host memory beside the compute queue, of what the work queued so far makes. Until dev_fetch_wait(), which waits for all of
 * them, work queued later must not write src. */
void dev_fetch(void *pinned_host, const void *src, size_t bytes);
void dev_fetch_wait(void);

/* A fixed list of ops that is run many times (a decode step). dev_graph_begin() returns true when the caller has to issue the ops and
 * then call dev_graph_end(): always on the CPU; on a GPU the first time, when their code is loaded, and the second, when they are
 * recorded. False: the recorded list was queued as it is. The ops' pointers and sizes must be the same every time. Zero a graph before
 * use. */
struct dev_graph {
    void *impl;
};
bool dev_graph_begin(struct dev_graph *g);
void dev_graph_end(struct dev_graph *g);
void dev_graph_free(struct dev_graph *g);

/* Seconds of compute-queue time between dev_timer_start() and dev_timer_stop(); stop waits. For benches. */
void dev_timer_start(void);
double dev_timer_stop(void);

#ifdef __cplusplus
}
#endif
#endif
