/* kernels/cuda/rows.cuh - copying rows between matrices with conversion, straight or by index; used by mat_convert and embed_fwd. */
#ifndef KERNELS_CUDA_ROWS_CUH
#define KERNELS_CUDA_ROWS_CUH
#include "kernels/cuda/vec.cuh"

/* dst[r] = src[ids ? ids[r] : r]. blockIdx.y walks rows. */
template <class D, class S, int V>
static __global__ void __launch_bounds__(256)
    rows_copy_kernel(D *dst, int64_t ldd, const S *src, int64_t lds, const int32_t *ids, int64_t rows, int64_t cols)
{
    int64_t c = ((int64_t)blockIdx.x * blockDim.x + threadIdx.x) * V;
    if (c >= cols)
        return;
    for (int64_t r = blockIdx.y; r < rows; r += gridDim.y) {
        int64_t from = ids ? ids[r] : r;
        float f[V];
        vec_read<S, V>(f, src + from * lds + c);
        vec_write(dst + r * ldd + c, f);
    }
}

static inline void rows_copy(mat dst, mat src, const int32_t *ids)
{
    if (dst.rows == 0 || dst.cols == 0)
        return;
    if (!ids && dst.ld == dst.cols && src.ld == src.cols) { /* one long row: no blocks half empty */
        dst.cols = src.cols = dst.ld = src.ld = dst.rows * dst.cols;
        dst.rows = src.rows = 1;
    }
    typed(dst.dtype, [&](auto td) {
        typed(src.dtype, [&](auto ts) {
            using D = decltype(td);
            using S = decltype(ts);
            constexpr int W = vec_width<D, S>();
            bool wide = vec_fits(W, dst, src);
            auto kernel = wide ? rows_copy_kernel<D, S, W> : rows_copy_kernel<D, S, 1>;
            int threads = 256;
            while (threads > 32 && threads / 2 * (wide ? W : 1) >= dst.cols)
                threads /= 2;
            dim3 grid(grid_size(ceil_div(dst.cols, (int64_t)threads * (wide ? W : 1))), (unsigned)(dst.rows < 65535 ? dst.rows : 65535));
            kernel<<<grid, threads, 0, cuda_stream()>>>((D *)dst.data, dst.ld, (const S *)src.data, src.ld, ids, dst.rows, dst.cols);
            cuda_launched();
        });
    });
}
#endif
