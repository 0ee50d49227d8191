/* kernels/cuda/colsum.cuh - the second stage of weight gradients: blocks leave partial rows in scratch, which are added column by column
 * in a fixed order. */
#ifndef KERNELS_CUDA_COLSUM_CUH
#define KERNELS_CUDA_COLSUM_CUH
#include "kernels/cuda/cuda.cuh"

enum { COLSUM_X = 32, COLSUM_Y = 16 };

/* *out(c) += sum over p of part[p][c]: COLSUM_Y threads a column take every COLSUM_Y-th row, then one adds their sums. */
template <class Out>
static __global__ void __launch_bounds__(COLSUM_X *COLSUM_Y) colsum_kernel(Out out, const float *part, int64_t rows, int64_t cols)
{
    __shared__ float sums[COLSUM_Y][COLSUM_X];
    int64_t c = (int64_t)blockIdx.x * COLSUM_X + threadIdx.x;
    float sum = 0;
    if (c < cols) {
#pragma unroll 8
        for (int64_t p = threadIdx.y; p < rows; p += COLSUM_Y)
            sum += part[p * cols + c];
    }
    sums[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y == 0 && c < cols) {
        for (int i = 1; i < COLSUM_Y; i++)
            sum += sums[i][threadIdx.x];
        *out(c) += sum;
    }
}

/* Out: a struct by value whose operator()(column) gives the address to add to. */
template <class Out> static void colsum(Out out, const float *part, int64_t rows, int64_t cols)
{
    colsum_kernel<<<grid_size(ceil_div(cols, COLSUM_X)), dim3(COLSUM_X, COLSUM_Y), 0, cuda_stream()>>>(out, part, rows, cols);
    cuda_launched();
}
#endif
