/* kernels/cpu/gemm.h - the matrix product library of the CPU backend behind one function (oneDNN; BENCHMARKS.md says why). */
#ifndef KERNELS_CPU_GEMM_H
#define KERNELS_CPU_GEMM_H
#include "core/err.h"
#include <dnnl.h> /* dnnl_sgemm */
#include <stdint.h>

/* c [m, n] = alpha op(a) op(b) + beta c, row-major, op(a) [m, k], op(b) [k, n]; ta, tb: 'N' or 'T' (stored transposed). With beta 0 c is
 * not read. Runs on all threads, or on the caller's alone inside a parallel region. The same sizes give the same bits. */
static inline void gemm(char ta, char tb, int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t lda, const float *b,
                        int64_t ldb, float beta, float *c, int64_t ldc)
{
    dnnl_status_t status = dnnl_sgemm(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
    if (status != dnnl_success)
        die("matrix product %lld x %lld x %lld: oneDNN status %d", (long long)m, (long long)n, (long long)k, (int)status);
}
#endif
