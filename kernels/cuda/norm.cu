/* kernels/cuda/norm.cu - kernels/norm.h. One set of threads (blockDim.x, a multiple of 32) a row, or a row's group: each thread keeps up
 * to KEEP vectors of it in registers between the sums and the result, so a row is read once; what a longer row has beyond is read again.
 *
 * The backward passes give every set of threads several rows of one group, so that the weight's gradient is summed in registers and
 * leaves as one partial row a set (a walker); colsum adds those in order.
 */
#include "kernels/norm.h"
#include "kernels/cuda/colsum.cuh"
#include "kernels/cuda/vec.cuh"

enum { KEEP = 4, MAX_THREADS = 256, BLOCK_ROWS = 4 /* rows a block where one warp does for a row */ };

/* Threads for a row of vectors, and rows a block. */
static dim3 row_block(int64_t vectors)
{
    int64_t t = ceil_div(ceil_div(vectors, KEEP), 32) * 32;
    t = t < MAX_THREADS ? t : (int64_t)MAX_THREADS;
    return dim3((unsigned)t, t == 32 ? BLOCK_ROWS : 1);
}

/* Walkers of a backward pass: together they hold a row of registers for the 67584 threads of a big GPU, whatever the width. */
static int64_t walkers(int64_t rows, int64_t cols)
{
    int64_t n = 264 * 8192 / cols;
    n = n < 1 ? 1 : n > 2112 ? 2112 : n;
    return n < rows ? n : rows;
}

static bool fits_floats(int v, const float *p)
{
    return v == 1 || (uintptr_t)p % 16 == 0;
}

/* --- rmsnorm --- */

template <class Y, class X, int V>
static __global__ void __launch_bounds__(MAX_THREADS)
    rms_fwd_kernel(Y *y, int64_t ldy, float *rstd, const X *x, int64_t ldx, const float *w, float eps, int64_t rows, int64_t cols)
{
    __shared__ float part[32];
    int64_t t = (int64_t)blockIdx.x * blockDim.y + threadIdx.y;
    if (t >= rows) /* whole warps; a row of several warps has its block to itself */
        return;
    const X *px = x + t * ldx;
    Y *py = y + t * ldy;
    int64_t step = (int64_t)blockDim.x * V, c0 = (int64_t)threadIdx.x * V;
    vec<X, V> kept[KEEP];
    float sum = 0;
    auto add = [&](const vec<X, V> &in) {
        float f[V];
        vec_get(f, in);
#pragma unroll
        for (int v = 0; v < V; v++)
            sum = fmaf(f[v], f[v], sum);
    };
#pragma unroll
    for (int i = 0; i < KEEP; i++)
        kept[i] = c0 + i * step < cols ? vec_load<X, V>(px + c0 + i * step) : vec_zero<X, V>();
#pragma unroll
    for (int i = 0; i < KEEP; i++)
        add(kept[i]);
    for (int64_t c = c0 + KEEP * step; c < cols; c += step)
        add(vec_load<X, V>(px + c));
    float r = 1.0f / sqrtf(row_sum(sum, part) / (float)cols + eps);
    if (threadIdx.x == 0 && rstd)
        rstd[t] = r;
    auto finish = [&](int64_t c, const vec<X, V> &in) {
        float f[V], fw[V];
        vec_get(f, in);
        floats_read<V>(fw, w + c);
#pragma unroll
        for (int v = 0; v < V; v++)
            f[v] *= r * fw[v];
        vec_write(py + c, f);
    };
#pragma unroll
    for (int i = 0; i < KEEP; i++)
        if (c0 + i * step < cols)
            finish(c0 + i * step, kept[i]);
    for (int64_t c = c0 + KEEP * step; c < cols; c += step)
        finish(c, vec_load<X, V>(px + c));
}

/* dx += r (w dy - x r^2 mean(w dy x)),  dw += dy x r. */
template <class D, class G, class X, int V>
static __global__ void __launch_bounds__(MAX_THREADS, 2)
    rms_bwd_kernel(D *dx, int64_t lddx, float *part_dw, const G *dy, int64_t lddy, const X *x, int64_t ldx, const float *w,
                   const float *rstd, int64_t rows, int64_t cols, int64_t walking)
{
    __shared__ float part[32];
    int64_t walker = (int64_t)blockIdx.x * blockDim.y + threadIdx.y;
    if (walker >= walking)
        return;
    float *pw = part_dw + walker * cols;
    int64_t step = (int64_t)blockDim.x * V, c0 = (int64_t)threadIdx.x * V;
    float dw[KEEP][V] = {};
    for (int64_t t = walker; t < rows; t += walking) {
        const X *px = x + t * ldx;
        const G *pg = dy + t * lddy;
        D *pd = dx + t * lddx;
        vec<X, V> vx[KEEP];
        vec<G, V> vg[KEEP];
        vec<D, V> vd[KEEP];
#pragma unroll
        for (int i = 0; i < KEEP; i++) {
            int64_t c = c0 + i * step;
            vx[i] = c < cols ? vec_load<X, V>(px + c) : vec_zero<X, V>();
            vg[i] = c < cols ? vec_load<G, V>(pg + c) : vec_zero<G, V>();
            vd[i] = c < cols ? vec_load<D, V>(pd + c) : vec_zero<D, V>();
        }
        float r = rstd[t], dot = 0;
        auto add = [&](int64_t c, const vec<X, V> &in, const vec<G, V> &grad) {
            float fx[V], fg[V], fw[V];
            vec_get(fx, in);
            vec_get(fg, grad);
            floats_read<V>(fw, w + c);
#pragma unroll
            for (int v = 0; v < V; v++)
                dot = fmaf(fw[v] * fg[v], fx[v], dot);
        };
#pragma unroll
        for (int i = 0; i < KEEP; i++)
            if (c0 + i * step < cols)
                add(c0 + i * step, vx[i], vg[i]);
        for (int64_t c = c0 + KEEP * step; c < cols; c += step)
            add(c, vec_load<X, V>(px + c), vec_load<G, V>(pg + c));
        dot = row_sum(dot, part) * r * r / (float)cols;
        auto finish = [&](int64_t c, const vec<X, V> &in, const vec<G, V> &grad, const vec<D, V> &old, float(&sum)[V]) {
            float fx[V], fg[V], fw[V], fd[V];
            vec_get(fx, in);
            vec_get(fg, grad);
            vec_get(fd, old);
            floats_read<V>(fw, w + c);
#pragma unroll
            for (int v = 0; v < V; v++) {
                fd[v] += r * (fw[v] * fg[v] - fx[v] * dot);
                sum[v] = fmaf(fg[v], fx[v] * r, sum[v]);
            }
            vec_write(pd + c, fd);
        };
#pragma unroll
        for (int i = 0; i < KEEP; i++)
            if (c0 + i * step < cols)
                finish(c0 + i * step, vx[i], vg[i], vd[i], dw[i]);
        for (int64_t c = c0 + KEEP * step; c < cols; c += step) {
            float sum[V] = {};
            if (t != walker)
                floats_read<V>(sum, pw + c);
            finish(c, vec_load<X, V>(px + c), vec_load<G, V>(pg + c), vec_load<D, V>(pd + c), sum);
            floats_write<V>(pw + c, sum);
        }
    }
#pragma unroll
    for (int i = 0; i < KEEP; i++)
        if (c0 + i * step < cols)
            floats_write<V>(pw + c0 + i * step, dw[i]);
}

void rmsnorm_fwd(mat y, float *rstd, mat x, const float *w, float eps)
{
    must(y.rows == x.rows && y.cols == x.cols);
    if (x.rows == 0)
        return;
    typed(y.dtype, [&](auto ty) {
        typed(x.dtype, [&](auto tx) {
            using Y = decltype(ty);
            using X = decltype(tx);
            constexpr int W = vec_width<Y, X>();
            int v = vec_fits(W, y, x) && fits_floats(W, w) ? W : 1;
            dim3 block = row_block(ceil_div(x.cols, v));
            auto kernel = v == W ? rms_fwd_kernel<Y, X, W> : rms_fwd_kernel<Y, X, 1>;
            kernel<<<grid_size(ceil_div(x.rows, block.y)), block, 0, cuda_stream()>>>((Y *)y.data, y.ld, rstd, (const X *)x.data, x.ld, w,
                                                                                      eps, x.rows, x.cols);
            cuda_launched();
        });
    });
}

size_t rmsnorm_scratch(int64_t tokens, int64_t cols)
{
    return (size_t)(walkers(tokens, cols) * cols) * sizeof(float);
}

struct weight_grad {
    float *dw;
    __device__ float *operator()(int64_t c) const
    {
        return dw + c;
    }
};

void rmsnorm_bwd(mat dx, float *dw, mat dy, mat x, const float *w, const float *rstd, void *scratch)
{
    must(dx.rows == x.rows && dx.cols == x.cols && dy.rows == x.rows && dy.cols == x.cols);
    if (x.rows == 0)
        return;
    float *part = (float *)scratch;
    int64_t walking = walkers(x.rows, x.cols);
    typed(dx.dtype, [&](auto td) {
        typed(dy.dtype, [&](auto tg) {
            typed(x.dtype, [&](auto tx) {
                using D = decltype(td);
                using G = decltype(tg);
                using X = decltype(tx);
                constexpr int W = vec_width<D, G, X>();
                int v = vec_fits(W, dx, dy, x) && fits_floats(W, w) && fits_floats(W, part) ? W : 1;
                dim3 block = row_block(ceil_div(x.cols, v));
                auto kernel = v == W ? rms_bwd_kernel<D, G, X, W> : rms_bwd_kernel<D, G, X, 1>;
                kernel<<<grid_size(ceil_div(walking, block.y)), block, 0, cuda_stream()>>>(
                    (D *)dx.data, dx.ld, part, (const G *)dy.data, dy.ld, (const X *)x.data, x.ld, w, rstd, x.rows, x.cols, walking);
                cuda_launched();
            });
        });
    });
    colsum(weight_grad{dw}, part, walking, x.cols);
}

/* --- the gated norm; blockIdx.y is the group, n its channels --- */

/* silu(z) and, where wanted, its derivative. */
template <class T> static __device__ __forceinline__ float silu(float z, float *slope = nullptr)
{
    float s = sigmoid<T>(z);
    if (slope)
        *slope = s * (1.0f + z * (1.0f - s));
    return z * s;
}

/* o may be y: a thread reads an element before it writes it, and nobody else reads it after. */
template <class T, int V>
static __global__ void __launch_bounds__(MAX_THREADS)
    gate_fwd_kernel(T *o, int64_t ldo, float *rstd, const T *y, int64_t ldy, const T *z, int64_t ldz, const float *w, float eps,
                    unsigned sets, int64_t n, unsigned groups)
{
    __shared__ float part[32];
    unsigned set = blockIdx.x * blockDim.y + threadIdx.y;
    if (set >= sets)
        return;
    int64_t t = set / groups, first = (set - (unsigned)t * groups) * n;
    const T *py = y + t * ldy + first, *pz = z + t * ldz + first;
    T *po = o + t * ldo + first;
    int64_t step = (int64_t)blockDim.x * V, c0 = (int64_t)threadIdx.x * V;
    float sum = 0;
    auto gate = [&](float(&g)[V], const vec<T, V> &vy, const vec<T, V> &vz) {
        float fz[V];
        vec_get(g, vy);
        vec_get(fz, vz);
#pragma unroll
        for (int v = 0; v < V; v++)
            g[v] *= silu<T>(fz[v]);
    };
    auto add = [&](const float(&g)[V]) {
#pragma unroll
        for (int v = 0; v < V; v++)
            sum = fmaf(g[v], g[v], sum);
    };
    vec<T, V> vy[KEEP], vz[KEEP];
    float kept[KEEP][V];
#pragma unroll
    for (int i = 0; i < KEEP; i++) {
        int64_t c = c0 + i * step;
        vy[i] = c < n ? vec_load<T, V>(py + c) : vec_zero<T, V>();
        vz[i] = c < n ? vec_load<T, V>(pz + c) : vec_zero<T, V>();
    }
#pragma unroll
    for (int i = 0; i < KEEP; i++) {
        gate(kept[i], vy[i], vz[i]);
        add(kept[i]);
    }
    for (int64_t c = c0 + KEEP * step; c < n; c += step) {
        float g[V];
        gate(g, vec_load<T, V>(py + c), vec_load<T, V>(pz + c));
        add(g);
    }
    float r = 1.0f / sqrtf(row_sum(sum, part) / (float)n + eps);
    if (threadIdx.x == 0 && rstd)
        rstd[set] = r;
    auto finish = [&](int64_t c, float(&g)[V]) {
        float fw[V];
        floats_read<V>(fw, w + first + c);
#pragma unroll
        for (int v = 0; v < V; v++)
            g[v] *= r * fw[v];
        vec_write(po + c, g);
    };
#pragma unroll
    for (int i = 0; i < KEEP; i++)
        if (c0 + i * step < n)
            finish(c0 + i * step, kept[i]);
    for (int64_t c = c0 + KEEP * step; c < n; c += step) {
        float g[V];
        gate(g, vec_load<T, V>(py + c), vec_load<T, V>(pz + c));
        finish(c, g);
    }
}

/* With g = y silu(z): dg = r (w do - g r^2 mean(w do g)), dy = dg silu(z), dz = dg y silu'(z), dw += do g r. dy may be do. */
template <class T, int V>
static __global__ void __launch_bounds__(MAX_THREADS, 2)
    gate_bwd_kernel(T *dy, int64_t lddy, T *dz, int64_t lddz, float *part_dw, const T *dout, int64_t lddo, const T *y, int64_t ldy,
                    const T *z, int64_t ldz, const float *w, const float *rstd, int64_t rows, int64_t n, int64_t walking)
{
    __shared__ float part[32];
    int64_t walker = (int64_t)blockIdx.x * blockDim.y + threadIdx.y, first = blockIdx.y * n;
    if (walker >= walking)
        return;
    float *pw = part_dw + walker * n * gridDim.y + first;
    w += first;
    int64_t step = (int64_t)blockDim.x * V, c0 = (int64_t)threadIdx.x * V;
    float dw[KEEP][V] = {};
    for (int64_t t = walker; t < rows; t += walking) {
        const T *py = y + t * ldy + first, *pz = z + t * ldz + first, *pd = dout + t * lddo + first;
        vec<T, V> vy[KEEP], vz[KEEP], vd[KEEP];
#pragma unroll
        for (int i = 0; i < KEEP; i++) {
            int64_t c = c0 + i * step;
            vy[i] = c < n ? vec_load<T, V>(py + c) : vec_zero<T, V>();
            vz[i] = c < n ? vec_load<T, V>(pz + c) : vec_zero<T, V>();
            vd[i] = c < n ? vec_load<T, V>(pd + c) : vec_zero<T, V>();
        }
        float r = rstd[t * gridDim.y + blockIdx.y], dot = 0;
        auto add = [&](int64_t c, const vec<T, V> &ay, const vec<T, V> &az, const vec<T, V> &ad) {
            float fy[V], fz[V], fd[V], fw[V];
            vec_get(fy, ay);
            vec_get(fz, az);
            vec_get(fd, ad);
            floats_read<V>(fw, w + c);
#pragma unroll
            for (int v = 0; v < V; v++)
                dot = fmaf(fw[v] * fd[v], fy[v] * silu<T>(fz[v]), dot);
        };
#pragma unroll
        for (int i = 0; i < KEEP; i++)
            if (c0 + i * step < n)
                add(c0 + i * step, vy[i], vz[i], vd[i]);
        for (int64_t c = c0 + KEEP * step; c < n; c += step)
            add(c, vec_load<T, V>(py + c), vec_load<T, V>(pz + c), vec_load<T, V>(pd + c));
        dot = row_sum(dot, part) * r * r / (float)n;
        auto finish = [&](int64_t c, const vec<T, V> &ay, const vec<T, V> &az, const vec<T, V> &ad, float(&sum)[V]) {
            float fy[V], fz[V], fd[V], fw[V];
            vec_get(fy, ay);
            vec_get(fz, az);
            vec_get(fd, ad);
            floats_read<V>(fw, w + c);
#pragma unroll
            for (int v = 0; v < V; v++) {
                float slope, s = silu<T>(fz[v], &slope), g = fy[v] * s, dg = r * (fw[v] * fd[v] - g * dot);
                sum[v] = fmaf(fd[v], g * r, sum[v]);
                fz[v] = dg * fy[v] * slope;
                fy[v] = dg * s;
            }
            vec_write(dy + t * lddy + first + c, fy);
            vec_write(dz + t * lddz + first + c, fz);
        };
#pragma unroll
        for (int i = 0; i < KEEP; i++)
            if (c0 + i * step < n)
                finish(c0 + i * step, vy[i], vz[i], vd[i], dw[i]);
        for (int64_t c = c0 + KEEP * step; c < n; c += step) {
            float sum[V] = {};
            if (t != walker)
                floats_read<V>(sum, pw + c);
            finish(c, vec_load<T, V>(py + c), vec_load<T, V>(pz + c), vec_load<T, V>(pd + c), sum);
            floats_write<V>(pw + c, sum);
        }
    }
#pragma unroll
    for (int i = 0; i < KEEP; i++)
        if (c0 + i * step < n)
            floats_write<V>(pw + c0 + i * step, dw[i]);
}

void gatenorm_fwd(mat o, float *rstd, mat y, mat z, const float *w, int groups, float eps)
{
    must(o.rows == y.rows && o.cols == y.cols && z.rows == y.rows && z.cols == y.cols);
    must(o.dtype == y.dtype && z.dtype == y.dtype && groups > 0 && groups <= 65535 && y.cols % groups == 0);
    if (y.rows == 0)
        return;
    int64_t n = y.cols / groups;
    typed(y.dtype, [&](auto tt) {
        using T = decltype(tt);
        constexpr int W = vec_width<T>();
        int v = n % W == 0 && vec_fits(W, o, y, z) && fits_floats(W, w) ? W : 1;
        dim3 block = row_block(ceil_div(n, v));
        unsigned sets = grid_size(y.rows * groups);
        auto kernel = v == W ? gate_fwd_kernel<T, W> : gate_fwd_kernel<T, 1>;
        kernel<<<grid_size(ceil_div(sets, block.y)), block, 0, cuda_stream()>>>((T *)o.data, o.ld, rstd, (const T *)y.data, y.ld,
                                                                                (const T *)z.data, z.ld, w, eps, sets, n, (unsigned)groups);
        cuda_launched();
    });
}

size_t gatenorm_scratch(int64_t tokens, int64_t cols)
{
    return (size_t)(walkers(tokens, cols) * cols) * sizeof(float);
}

void gatenorm_bwd(mat dy, mat dz, float *dw, mat do_, mat y, mat z, const float *w, const float *rstd, int groups, void *scratch)
{
    must(do_.rows == y.rows && do_.cols == y.cols && z.rows == y.rows && z.cols == y.cols);
    must(dy.rows == y.rows && dy.cols == y.cols && dz.rows == y.rows && dz.cols == y.cols);
    must(do_.dtype == y.dtype && z.dtype == y.dtype && dy.dtype == y.dtype && dz.dtype == y.dtype);
    must(groups > 0 && groups <= 65535 && y.cols % groups == 0);
    if (y.rows == 0)
        return;
    float *part = (float *)scratch;
    int64_t n = y.cols / groups, walking = walkers(y.rows, y.cols);
    typed(y.dtype, [&](auto tt) {
        using T = decltype(tt);
        constexpr int W = vec_width<T>();
        int v = n % W == 0 && vec_fits(W, dy, dz, do_, y, z) && fits_floats(W, w) && fits_floats(W, part) ? W : 1;
        dim3 block = row_block(ceil_div(n, v));
        dim3 grid(grid_size(ceil_div(walking, block.y)), (unsigned)groups);
        auto kernel = v == W ? gate_bwd_kernel<T, W> : gate_bwd_kernel<T, 1>;
        kernel<<<grid, block, 0, cuda_stream()>>>((T *)dy.data, dy.ld, (T *)dz.data, dz.ld, part, (const T *)do_.data, do_.ld,
                                                  (const T *)y.data, y.ld, (const T *)z.data, z.ld, w, rstd, y.rows, n, walking);
        cuda_launched();
    });
    colsum(weight_grad{dw}, part, walking, y.cols);
}
