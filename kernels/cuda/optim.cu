/* kernels/cuda/optim.cu - kernels/optim.h. Sums go through a fixed number of partial sums in double precision, so they are the same bits
 * every time; AdamW is one pass over memory. Nothing here waits for the device.
 */
#include "kernels/optim.h"
#include "kernels/cuda/vec.cuh"

enum { THREADS = 256, SUM_BLOCKS = 512 };

static __device__ __forceinline__ double warp_sum(double v)
{
#pragma unroll
    for (int o = 16; o > 0; o >>= 1)
        v += __shfl_xor_sync(0xffffffffu, v, o);
    return v;
}

/* The block's sum, in thread 0. */
static __device__ __forceinline__ double block_sum(double v)
{
    __shared__ double part[THREADS / 32];
    int lane = threadIdx.x % 32;
    v = warp_sum(v);
    if (lane == 0)
        part[threadIdx.x / 32] = v;
    __syncthreads();
    return warp_sum(lane < THREADS / 32 ? part[lane] : 0.0);
}

template <class G, int V, bool SQUARE>
static __global__ void __launch_bounds__(THREADS) sum_kernel(double *part, const G *g, int64_t ld, int64_t rows, int64_t cols)
{
    int64_t per_row = cols / V, n = rows * per_row, stride = (int64_t)gridDim.x * THREADS;
    double sum = 0;
#pragma unroll 4
    for (int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x; i < n; i += stride) {
        int64_t row = rows == 1 ? 0 : i / per_row;
        float f[V];
        vec_get(f, vec_stream<G, V>(g + row * ld + (i - row * per_row) * V));
#pragma unroll
        for (int v = 0; v < V; v++)
            sum += SQUARE ? (double)f[v] * (double)f[v] : (double)f[v];
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0)
        part[blockIdx.x] = sum;
}

static __global__ void __launch_bounds__(THREADS) sum_last_kernel(double *to, const double *part, int n)
{
    double sum = 0;
    for (int i = threadIdx.x; i < n; i += THREADS)
        sum += part[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0)
        *to += sum;
}

template <bool SQUARE> static void add_all(double *to, mat g, void *scratch)
{
    if (g.rows == 0 || g.cols == 0)
        return;
    if (g.ld == g.cols) {
        g.ld = g.cols = g.rows * g.cols;
        g.rows = 1;
    }
    double *part = (double *)scratch;
    typed(g.dtype, [&](auto tg) {
        using G = decltype(tg);
        constexpr int W = vec_width<G>();
        int v = vec_fits(W, g) ? W : 1;
        int64_t blocks = ceil_div(g.rows * (g.cols / v), THREADS);
        blocks = blocks < SUM_BLOCKS ? blocks : (int64_t)SUM_BLOCKS;
        auto kernel = v == W ? sum_kernel<G, W, SQUARE> : sum_kernel<G, 1, SQUARE>;
        kernel<<<(unsigned)blocks, THREADS, 0, cuda_stream()>>>(part, (const G *)g.data, g.ld, g.rows, g.cols);
        cuda_launched();
        sum_last_kernel<<<1, THREADS, 0, cuda_stream()>>>(to, part, (int)blocks);
        cuda_launched();
    });
}

size_t sum_scratch(void)
{
    return SUM_BLOCKS * sizeof(double);
}

void sum_add(double *sum, const float *x, int64_t n, void *scratch)
{
    add_all<false>(sum, mat_make((void *)x, F32, 1, n), scratch);
}

void sumsq_add(double *sum, mat g, void *scratch)
{
    add_all<true>(sum, g, scratch);
}

static __global__ void finish_kernel(struct step_stats *s, float max_norm)
{
    double norm = sqrt(s->sumsq);
    s->grad_norm = (float)norm;
    s->scale = !isfinite(norm) || !isfinite(s->loss) ? NAN : max_norm > 0 && norm > max_norm ? (float)(max_norm / norm) : 1.0f;
}

void step_finish(struct step_stats *stats, float max_norm)
{
    finish_kernel<<<1, 1, 0, cuda_stream()>>>(stats, max_norm);
    cuda_launched();
}

/* What is the same for every value of an update. */
struct update {
    float beta1, beta2, rest1, rest2; /* rest: 1 - beta */
    float step, root, eps, keep;      /* w = w keep - step m / (sqrt(v) root + eps) */
};

static __device__ __forceinline__ void update_one(float &w, float &m, float &v, float g, struct update u)
{
    m = u.beta1 * m + u.rest1 * g;
    v = u.beta2 * v + u.rest2 * g * g;
    w = w * u.keep - u.step * m / (sqrtf(v) * u.root + u.eps);
}

/* Values begin .. n-1, V at a time; w16 may be NULL. */
template <class G, int V>
static __global__ void __launch_bounds__(THREADS) adamw_kernel(float *w, bf16 *w16, float *m, float *v, const G *g, int64_t begin,
                                                               int64_t n, struct update u, const struct step_stats *stats)
{
    int64_t i = begin + ((int64_t)blockIdx.x * THREADS + threadIdx.x) * V;
    if (i >= n)
        return;
    float scale = stats->scale, fw[V], fm[V], fv[V], fg[V];
    if (isnan(scale))
        return;
    vec_get(fw, vec_stream<float, V>(w + i));
    vec_get(fm, vec_stream<float, V>(m + i));
    vec_get(fv, vec_stream<float, V>(v + i));
    vec_get(fg, vec_stream<G, V>(g + i));
#pragma unroll
    for (int k = 0; k < V; k++)
        update_one(fw[k], fm[k], fv[k], fg[k] * scale, u);
    vec_write(w + i, fw);
    vec_write(m + i, fm);
    vec_write(v + i, fv);
    if (w16)
        vec_write(w16 + i, fw);
}

template <class G, int V>
static void adamw_part(float *w, void *w16, float *m, float *v, const void *g, int64_t begin, int64_t n, struct update u,
                       const struct step_stats *stats)
{
    if (begin >= n)
        return;
    adamw_kernel<G, V><<<grid_size(ceil_div(n - begin, (int64_t)THREADS * V)), THREADS, 0, cuda_stream()>>>(
        w, (bf16 *)w16, m, v, (const G *)g, begin, n, u, stats);
    cuda_launched();
}

void adamw_step(float *w, void *w16, float *m, float *v, const void *g, enum dtype g_type, int64_t n, struct adamw a,
                const struct step_stats *stats)
{
    must(a.t >= 1);
    struct update u;
    u.beta1 = a.beta1;
    u.beta2 = a.beta2;
    u.rest1 = (float)(1.0 - (double)a.beta1);
    u.rest2 = (float)(1.0 - (double)a.beta2);
    u.step = (float)(a.lr / (1.0 - pow(a.beta1, (double)a.t)));
    u.root = (float)(1.0 / sqrt(1.0 - pow(a.beta2, (double)a.t)));
    u.eps = a.eps;
    u.keep = (float)(1.0 - (double)a.lr * a.decay);
    typed(g_type, [&](auto tg) {
        using G = decltype(tg);
        constexpr int W = vec_width<float, G>();
        bool wide = ((uintptr_t)w | (uintptr_t)m | (uintptr_t)v) % 16 == 0 && (uintptr_t)g % (W * sizeof(G)) == 0 &&
                    (uintptr_t)w16 % (W * sizeof(bf16)) == 0;
        int64_t whole = wide ? n / W * W : 0;
        adamw_part<G, W>(w, w16, m, v, g, 0, whole, u, stats);
        adamw_part<G, 1>(w, w16, m, v, g, whole, n, u, stats);
    });
}
