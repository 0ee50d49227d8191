/* kernels/comm.c - the host's side of kernels/comm.h, for every backend: who is who, and small exchanges, over MPI. */
#include "kernels/comm.h"
#include <limits.h>
#include <mpi.h>
#include <omp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
    bool launched;
    int rank, size, local_rank, local_size;
    char who[MPI_MAX_PROCESSOR_NAME + 64];
} comm = {.size = 1, .local_size = 1};

static void abort_all(const char *message)
{
    (void)message; /* it is out */
    MPI_Abort(MPI_COMM_WORLD, EXIT_FAILURE);
}

/* The number of ranks that the launcher says it started; 0: there is no launcher that MPI could ask. */
static int launched_ranks(void)
{
    static const char *const names[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_RANK", "PMI_RANK"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *value = getenv(names[i]);
        if (!value)
            continue;
        if (strstr(names[i], "SIZE"))
            return atoi(value);
        value = getenv("SLURM_STEP_NUM_TASKS"); /* srun names the number apart */
        return value ? atoi(value) : 1;
    }
    return 0;
}

/* Ranks of one host share its cores, unless the launcher bound each to some of its own or gave the number of threads. */
static void divide_threads(void)
{
    int cores = omp_get_num_procs();
    if (!getenv("OMP_NUM_THREADS") && cores == sysconf(_SC_NPROCESSORS_ONLN))
        omp_set_num_threads(cores > comm.local_size ? cores / comm.local_size : 1);
}

bool comm_open(struct err *e)
{
    int want = launched_ranks(), level;
    const char *tasks = getenv("SLURM_STEP_NUM_TASKS");
    if (want == 0 && tasks && atoi(tasks) > 1)
        return err_set(e, "srun started %s tasks that cannot find each other: use srun --mpi=pmix, or mpirun", tasks);
    if (want == 0)
        return true;
    /* A rank that waits gives way to others on its core. On a shared machine Open MPI's default, to spin on, made a step up to ten times slower. */
    setenv("OMPI_MCA_mpi_yield_when_idle", "1", 0);
    /* The threads that MPI starts must not take the signals that this program wants to ask for. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &level);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    comm.launched = true;
    MPI_Comm_rank(MPI_COMM_WORLD, &comm.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &comm.size);
    if (comm.size != want) {
        comm_close();
        return err_set(
            e, "the launcher started %d ranks, MPI finds %d: use the mpirun (or srun --mpi=...) of the MPI that this was built with", want,
            comm.size);
    }
    MPI_Comm host;
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, comm.rank, MPI_INFO_NULL, &host);
    MPI_Comm_rank(host, &comm.local_rank);
    MPI_Comm_size(host, &comm.local_size);
    MPI_Comm_free(&host);
    divide_threads();
    char name[MPI_MAX_PROCESSOR_NAME];
    int length;
    MPI_Get_processor_name(name, &length);
    snprintf(comm.who, sizeof comm.who, "rank %d of %d (%s): ", comm.rank, comm.size, name);
    die_who(comm.who);
    die_hook(abort_all);
    return true;
}

void comm_close(void)
{
    if (!comm.launched)
        return;
    die_hook(NULL);
    MPI_Finalize();
    comm.launched = false;
}

bool comm_launched(void)
{
    return comm.launched;
}

int comm_rank(void)
{
    return comm.rank;
}

int comm_size(void)
{
    return comm.size;
}

int comm_local_rank(void)
{
    return comm.local_rank;
}

int comm_local_size(void)
{
    return comm.local_size;
}

void comm_barrier(void)
{
    if (comm.launched)
        MPI_Barrier(MPI_COMM_WORLD);
}

/* MPI counts in int: longer memory goes in pieces. */
static const size_t MOST = (size_t)1 << 30;

static int piece(size_t at, size_t bytes)
{
    return (int)(bytes - at < MOST ? bytes - at : MOST);
}

void comm_broadcast(void *p, size_t bytes, int from)
{
    for (size_t at = 0; comm.launched && at < bytes; at += MOST)
        MPI_Bcast((char *)p + at, piece(at, bytes), MPI_BYTE, from, MPI_COMM_WORLD);
}

void comm_gather(void *all, const void *mine, size_t bytes)
{
    must(bytes <= INT_MAX);
    if (comm.launched)
        MPI_Allgather(mine, (int)bytes, MPI_BYTE, all, (int)bytes, MPI_BYTE, MPI_COMM_WORLD);
    else
        memcpy(all, mine, bytes);
}

double comm_most(double mine)
{
    double *all = xmalloc(sizeof *all * (size_t)comm.size), most = mine;
    comm_gather(all, &mine, sizeof mine);
    for (int r = 0; r < comm.size; r++)
        most = all[r] > most ? all[r] : most;
    free(all);
    return most;
}

void comm_send(const void *p, size_t bytes, int to)
{
    for (size_t at = 0; at < bytes; at += MOST)
        MPI_Send((const char *)p + at, piece(at, bytes), MPI_BYTE, to, 0, MPI_COMM_WORLD);
}

void comm_recv(void *p, size_t bytes, int from)
{
    for (size_t at = 0; at < bytes; at += MOST)
        MPI_Recv((char *)p + at, piece(at, bytes), MPI_BYTE, from, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
}

bool comm_agree(bool ok, struct err *e)
{
    if (comm.size == 1)
        return ok;
    bool *all = xmalloc(sizeof *all * (size_t)comm.size);
    int failed = 0, first = 0;
    comm_gather(all, &ok, sizeof ok);
    for (int r = comm.size - 1; r >= 0; r--)
        if (!all[r]) {
            failed++;
            first = r;
        }
    free(all);
    if (failed == 0)
        return true;
    char msg[sizeof e->msg] = "";
    if (comm.rank == first)
        memcpy(msg, e->msg, sizeof msg);
    comm_broadcast(msg, sizeof msg, first);
    return failed == comm.size ? err_set(e, "%s", msg) : err_set(e, "rank %d: %s", first, msg);
}
