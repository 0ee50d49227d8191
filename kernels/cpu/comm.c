/* kernels/cpu/comm.c - kernels/comm.h for device memory that is host memory: MPI, done when the call returns. */
#include "kernels/comm.h"
#include "core/log.h" /* log_now */
#include "kernels/device.h"
#include <limits.h>
#include <mpi.h>
#include <stdlib.h>
#include <string.h>

/* Values of a rank that are under way at once: the sum of a piece takes place in the cache. */
enum { PIECE = 1 << 15 };

static struct {
    char *room; /* [size][PIECE] values of up to 4 bytes */
    const void **from;
    MPI_Request *request;
    double waited;
} dev;

void comm_device_open(void)
{
    if (comm_size() == 1 || dev.room)
        return;
    dev.room = xcalloc((size_t)comm_size() * PIECE, sizeof(float));
    dev.from = xcalloc((size_t)comm_size(), sizeof(void *));
    dev.request = xcalloc(2 * (size_t)comm_size(), sizeof(MPI_Request));
}

void comm_device_close(void)
{
    free(dev.room);
    free(dev.from);
    free(dev.request);
    dev.room = NULL;
    dev.from = NULL;
    dev.request = NULL;
}

/* MPI over host memory holds no process that wants to end. */
void comm_abort(void)
{
}

/* Open MPI 4.1's libraries and shared-memory rings, as two to four ranks on one host showed; once open they are part of what
 * dev_library_bytes() sees. */
int64_t comm_library_bytes(int size)
{
    return size == 1 || comm_launched() ? 0 : (int64_t)10 << 20;
}

int comm_sharing(int local_ranks)
{
    return local_ranks;
}

/* to = the sum of from[0], from[1], ... in this order; bf16 is added in f32 and rounded once. */
static void add_ranks(void *to, const void *const from[], int size, int64_t n, enum dtype t)
{
    if (t == F32) {
        float *sum = to;
        memcpy(sum, from[0], sizeof *sum * (size_t)n);
        for (int r = 1; r < size; r++) {
            const float *x = from[r];
#pragma omp simd
            for (int64_t i = 0; i < n; i++)
                sum[i] += x[i];
        }
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        float sum = 0;
        for (int r = 0; r < size; r++)
            sum += bf16_to_f32(((const uint16_t *)from[r])[i]);
        ((uint16_t *)to)[i] = f32_to_bf16(sum);
    }
}

/* MPI's own reduce-scatter adds in an order that it chooses by size and topology; here every rank sends each other its share and adds. */
int64_t comm_reduce_scatter(void *share, const void *all, int64_t n, enum dtype t)
{
    int size = comm_size(), rank = comm_rank();
    int64_t e = dtype_size(t);
    double begin = log_now();
    if (size == 1) {
        if (share != all)
            dev_copy(share, all, (size_t)(n * e));
        return 0;
    }
    must(dev.room);
    for (int64_t i = 0; i < n; i += PIECE) {
        int64_t m = n - i < PIECE ? n - i : PIECE;
        int requests = 0;
        for (int r = 0; r < size; r++) {
            const char *theirs = (const char *)all + (r * n + i) * e;
            dev.from[r] = r == rank ? theirs : dev.room + (int64_t)r * PIECE * 4;
            if (r == rank)
                continue;
            MPI_Irecv(dev.room + (int64_t)r * PIECE * 4, (int)(m * e), MPI_BYTE, r, 1, MPI_COMM_WORLD, &dev.request[requests++]);
            MPI_Isend(theirs, (int)(m * e), MPI_BYTE, r, 1, MPI_COMM_WORLD, &dev.request[requests++]);
        }
        MPI_Waitall(requests, dev.request, MPI_STATUSES_IGNORE);
        add_ranks((char *)share + i * e, dev.from, size, m, t);
    }
    dev.waited += log_now() - begin;
    return 0;
}

int64_t comm_all_gather(void *all, const void *share, int64_t n, enum dtype t)
{
    int64_t e = dtype_size(t);
    char *place = (char *)all + comm_rank() * n * e;
    double begin = log_now();
    if (share != place)
        memcpy(place, share, (size_t)(n * e));
    if (comm_size() == 1)
        return 0;
    must(n <= INT_MAX);
    MPI_Datatype type = t == F32 ? MPI_FLOAT : MPI_UINT16_T;
    MPI_Allgather(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, all, (int)n, type, MPI_COMM_WORLD);
    dev.waited += log_now() - begin;
    return 0;
}

void comm_wait(int64_t call)
{
    (void)call; /* done when it returned */
}

void comm_all_reduce(double *v, int n)
{
    int size = comm_size();
    double begin = log_now();
    must(n <= COMM_SUMS);
    if (size == 1)
        return;
    double *all = xmalloc(sizeof *all * (size_t)(n * size));
    comm_gather(all, v, sizeof *v * (size_t)n);
    memcpy(v, all, sizeof *v * (size_t)n);
    for (int r = 1; r < size; r++)
        for (int i = 0; i < n; i++)
            v[i] += all[r * n + i];
    free(all);
    dev.waited += log_now() - begin;
}

double comm_waited(void)
{
    double s = dev.waited;
    dev.waited = 0;
    return s;
}
