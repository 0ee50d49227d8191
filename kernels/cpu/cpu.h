/* kernels/cpu/cpu.h - what the CPU ops share: rows of a mat as floats, and the size from which a loop is worth several threads. */
#ifndef KERNELS_CPU_CPU_H
#define KERNELS_CPU_CPU_H
#include "core/err.h"
#include "kernels/mat.h"
#include <stddef.h>

/* Elements under which waking the other threads costs more than they save. */
enum { CPU_SERIAL = 8192 };

/* Row i of an f32 matrix. The CPU computes in f32 only (dev_supports); weights of forward products may be bf16. */
static inline float *cpu_row(mat m, int64_t i)
{
    return (float *)m.data + i * m.ld;
}
static inline int64_t cpu_min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}
#endif
