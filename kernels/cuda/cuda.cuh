/* kernels/cuda/cuda.cuh - what every file of this backend shares on the host side: the compute stream and error checks. */
#ifndef KERNELS_CUDA_CUDA_CUH
#define KERNELS_CUDA_CUDA_CUH
#include "core/err.h"
#include "kernels/mat.h"
#include <cuda_bf16.h>
#include <cuda_runtime.h>
#include <stdint.h>

using bf16 = __nv_bfloat16;

/* Dies with file:line, what was called and CUDA's text when a runtime call failed. */
#define cuda_ok(call)                                                                                                                      \
    do {                                                                                                                                   \
        cudaError_t cuda_ok_e = (call);                                                                                                    \
        if (cuda_ok_e != cudaSuccess)                                                                                                      \
            cuda_die(__FILE__, __LINE__, #call, cuda_ok_e);                                                                                \
    } while (0)
/* After a kernel launch: dies when it could not be launched. What goes wrong inside a kernel shows at the next dev_get or dev_sync. */
#define cuda_launched() cuda_ok(cudaPeekAtLastError())

[[noreturn]] void cuda_die(const char *file, int line, const char *call, cudaError_t e);
/* The one stream that ops are queued on; never the default stream. */
cudaStream_t cuda_stream(void);
/* What dev_open() sets up for linear.cu: the library handle and its workspace. */
void linear_open(void);

static inline int64_t ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}
/* A grid of at most 2^31-1 blocks; a count beyond is a broken contract, not something to wrap silently. */
static inline unsigned grid_size(int64_t blocks)
{
    must(blocks > 0 && blocks <= INT32_MAX);
    return (unsigned)blocks;
}
/* Calls f with a value of the C++ type of t, so that a kernel template is chosen by the run-time type: typed(x.dtype, [&](auto tx) {..}) */
template <class F> static inline void typed(enum dtype t, F f)
{
    if (t == F32)
        f(float{});
    else
        f(bf16{});
}
#endif
