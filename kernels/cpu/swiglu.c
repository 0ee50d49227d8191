/* kernels/cpu/swiglu.c - kernels/swiglu.h. */
#include "kernels/swiglu.h"
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/vmath.h"

void swiglu_fwd(mat y, mat gu)
{
    must(y.dtype == F32 && gu.dtype == F32 && y.rows == gu.rows && gu.cols == 2 * y.cols);
    int64_t n = y.cols;
#pragma omp parallel for schedule(static) if (y.rows * n > CPU_SERIAL)
    for (int64_t r = 0; r < y.rows; r++) {
        float *out = cpu_row(y, r);
        const float *gate = cpu_row(gu, r), *up = gate + n;
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            out[i] = vsiluf(gate[i]) * up[i];
    }
}
