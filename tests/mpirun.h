/* tests/mpirun.h - programs of this build under mpirun, several ranks on this machine. */
#ifndef TESTS_MPIRUN_H
#define TESTS_MPIRUN_H
#include "core/err.h"
#include <stdlib.h>
#include <unistd.h>

/* Why no ranks can be started here; NULL: they can. */
static inline const char *mpirun_missing(void)
{
    return system("command -v mpirun >/dev/null 2>&1") ? "no mpirun (package openmpi-bin)" : NULL;
}

/* "mpirun ... " for so many ranks of one thread each on this machine, however few cores it has; the caller frees. */
static inline char *mpirun_words(int ranks)
{
    setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1); /* as in continuous integration */
    setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
    setenv("OMP_NUM_THREADS", "1", 1);
    setenv("ASAN_OPTIONS", "detect_leaks=0", 1); /* Open MPI's own */
    return xprintf("mpirun -np %d --oversubscribe --bind-to none", ranks);
}
#endif
