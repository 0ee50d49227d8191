/* kernels/cuda/swiglu.cu - kernels/swiglu.h. */
#include "kernels/swiglu.h"
#include "kernels/cuda/vec.cuh"

template <class T, int V>
static __global__ void __launch_bounds__(256) swiglu_kernel(T *y, int64_t ldy, const T *gu, int64_t ldg, int64_t rows, int64_t cols)
{
    int64_t c = ((int64_t)blockIdx.x * blockDim.x + threadIdx.x) * V;
    if (c >= cols)
        return;
    for (int64_t r = blockIdx.y; r < rows; r += gridDim.y) {
        float gate[V], up[V];
        vec_read<T, V>(gate, gu + r * ldg + c);
        vec_read<T, V>(up, gu + r * ldg + cols + c);
#pragma unroll
        for (int i = 0; i < V; i++)
            gate[i] *= sigmoid<T>(gate[i]) * up[i];
        vec_write(y + r * ldy + c, gate);
    }
}

void swiglu_fwd(mat y, mat gu)
{
    must(y.dtype == gu.dtype && y.rows == gu.rows && gu.cols == 2 * y.cols);
    if (y.rows == 0 || y.cols == 0)
        return;
    typed(y.dtype, [&](auto t) {
        using T = decltype(t);
        constexpr int W = vec_width<T>();
        bool wide = vec_fits(W, y, gu, mat_cols(gu, y.cols, y.cols));
        auto kernel = wide ? swiglu_kernel<T, W> : swiglu_kernel<T, 1>;
        dim3 grid(grid_size(ceil_div(y.cols, 256 * (int64_t)(wide ? W : 1))), (unsigned)(y.rows < 65535 ? y.rows : 65535));
        kernel<<<grid, 256, 0, cuda_stream()>>>((T *)y.data, y.ld, (const T *)gu.data, gu.ld, y.rows, y.cols);
        cuda_launched();
    });
}
