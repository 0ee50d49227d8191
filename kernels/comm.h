/* kernels/comm.h - the ranks of a run and what they exchange.
 *
 * A program that mpirun or srun started is one rank of several; any other is alone, and then MPI and NCCL are never initialised and every
 * call here is a copy or nothing. MPI launches, and carries what the host exchanges. Device memory goes by MPI on the CPU backend and by
 * NCCL, on a stream of its own, on the CUDA backend. All ranks must make the same calls in the same order, each from one thread.
 *
 * Order of sums: on the CPU rank 0's values first, then 1's, and so on. On GPUs a reduce-scatter's order is NCCL's: fixed for a number of
 * ranks, a topology and a version of NCCL, so two runs on the same cards have the same bits. comm_all_reduce() is rank by rank everywhere.
 * A failing MPI or NCCL call dies, and a rank that dies takes the others down with it.
 */
#ifndef KERNELS_COMM_H
#define KERNELS_COMM_H
#include "core/err.h"
#include "kernels/mat.h"
#ifdef __cplusplus
extern "C" {
#endif

/* Joins the ranks if this process was launched as one of several (or as one under mpirun -np 1). False: launched in a way that does not
 * let the ranks find each other. To be called first, before any thread is started. */
bool comm_open(struct err *e);
/* Leaves; all ranks call it. After a comm_open() that failed or was not made it does nothing. */
void comm_close(void);
bool comm_launched(void);  /* as a rank, be it the only one */
int comm_rank(void);       /* 0 before comm_open() */
int comm_size(void);       /* 1 before comm_open() */
int comm_local_rank(void); /* among the ranks of this host: the device to open */
int comm_local_size(void);

/* Host memory; these wait. */
void comm_barrier(void);
void comm_broadcast(void *p, size_t bytes, int from);
void comm_gather(void *all, const void *mine, size_t bytes); /* all: [size][bytes], on every rank */
double comm_most(double mine);                               /* of the ranks' values, on every rank */
void comm_send(const void *p, size_t bytes, int to);         /* met by comm_recv() there */
void comm_recv(void *p, size_t bytes, int from);
/* Whether all ranks are well. If not, all get false and the message of the first that is not, which names the rank unless all failed alike. */
bool comm_agree(bool ok, struct err *e);

/* Device memory. After dev_open() on every rank, before the first of the calls below. */
void comm_device_open(void);
void comm_device_close(void);
/* Breaks off what is under way, from any thread, so that the process can end; on a broken network it may not come back. */
void comm_abort(void);
/* Bytes that MPI and NCCL take with so many ranks beside dev_library_bytes(): measured where they are open, else an estimate (for a plan). */
int64_t comm_library_bytes(int size);
/* Of so many ranks on a host, those that share one device's memory: all on the CPU, one on GPUs. */
int comm_sharing(int local_ranks);
/* Each is queued: it begins when the ops queued so far are done and runs beside those queued after it, which must not touch its memory
 * before comm_wait() with its answer. Of one type for all n values; shares should begin at multiples of 256 bytes. */
int64_t comm_reduce_scatter(void *share, const void *all, int64_t n, enum dtype t); /* share[n] = sum over ranks of all[rank * n ..] */
int64_t comm_all_gather(void *all, const void *share, int64_t n, enum dtype t); /* all[r * n ..] = share[n] of rank r; may be its place */
/* Ops queued from here on wait for that call and all before it. */
void comm_wait(int64_t call);
/* v[i] = sum over ranks, the same bits on all; at most COMM_SUMS values. Ops queued from here on see it. */
enum { COMM_SUMS = 8 };
void comm_all_reduce(double *v, int n);
/* Seconds that ops stood still for exchanges since this was last asked (what was not hidden); call it when the ops are done. */
double comm_waited(void);

#ifdef __cplusplus
}
#endif
#endif
