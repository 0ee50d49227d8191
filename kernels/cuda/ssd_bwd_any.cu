/* kernels/cuda/ssd_bwd_any.cu - SSD backward for every type and shape, in float32 on CUDA cores.
 *
 * The same steps and formulas as ssd_bwd_mma.cu (they stand at its head), with the states of tiles in float32. The pairs that cross a
 * step are summed as they are, without a difference of sums: a step that wipes the state out multiplies what such a difference leaves.
 */
#include "kernels/cuda/ssd_any.cuh"

namespace
{
template <class T> struct bwd_any_args {
    tokens<const T> x, B, C, dy;
    tokens<T> dx, dB, dC, ddt;
    const float *A_log, *D, *dt;
    const T *kept;
    float *S, *R; /* [chunk][per_chunk][H, P, N], counted from the slice's first chunk */
    const float *carry_in;
    float *carry_out, *partial;
    struct ssd_dims d;
    struct seqs s;
    int chunk0, chunk1, tile, per_chunk;
};

size_t walk_any_floats(struct ssd_dims d, int tile)
{
    size_t P = d.headdim | 1, N = d.state | 1;
    return (size_t)d.headdim * N + tile * (P + N + 3);
}

/* As walk_kernel: the states entering the tiles of a chunk, or the gradients of those leaving the tiles of a document's slice. */
template <class T, bool REVERSE> __global__ void __launch_bounds__(ANY_THREADS) walk_any_kernel(bwd_any_args<T> a)
{
    const int P = a.d.headdim, N = a.d.state, L = a.tile, p_ld = P | 1, n_ld = N | 1;
    extern __shared__ __align__(16) float any_shared[];
    double *cum = (double *)any_shared;
    float *S = any_shared + 2 * L, *u = S + P * n_ld, *v = u + L * p_ld, *dt = v + L * n_ld;
    const int heads = a.d.heads, unit = blockIdx.x / heads, head = blockIdx.x % heads, group = head / (heads / a.d.groups);
    const float A = -expf(a.A_log[head]);
    int lo = a.chunk0 + unit, hi = lo + 1;
    bool goes_on = false, came_from = false;
    if (REVERSE) {
        lo = max(a.s.first_chunk[unit], a.chunk0);
        hi = min(a.s.first_chunk[unit + 1], a.chunk1);
        if (lo >= hi)
            return;
        goes_on = hi < a.s.first_chunk[unit + 1];
        came_from = lo > a.s.first_chunk[unit];
    }
    const int64_t state_size = (int64_t)P * N;
    const int n_tile = tiles_of(a.s, lo, hi, L), n_update = came_from ? n_tile : n_tile - 1;
    for (int i = threadIdx.x; i < P * N; i += ANY_THREADS)
        S[i / N * n_ld + i % N] = !REVERSE  ? to_f32(a.kept[((int64_t)lo * heads + head) * state_size + i])
                                  : goes_on ? a.carry_in[head * state_size + i]
                                            : 0.f;
    for (int i = 0; i < n_tile; i++) {
        const int tile = REVERSE ? n_tile - 1 - i : i, in_chunk = tile % a.per_chunk;
        const tile_place at = place_of(a.s, lo + tile / a.per_chunk, in_chunk, L);
        float *to = (REVERSE ? a.R : a.S) + (((int64_t)(lo - a.chunk0) * a.per_chunk + tile) * heads + head) * state_size;
        __syncthreads();
        for (int k = threadIdx.x; k < P * N; k += ANY_THREADS)
            to[k] = S[k / N * n_ld + k % N];
        if (i == n_update)
            break;
        load_rows(u, p_ld, REVERSE ? a.dy : a.x, at.row, (int64_t)head * P, at.len, P);
        load_rows(v, n_ld, REVERSE ? a.C : a.B, at.row, (int64_t)group * N, at.len, N);
        load_steps(dt, cum, a.dt + at.row * heads + head, A, heads, at.len);
        __syncthreads();
        const double last = cum[at.len - 1];
        const float through = decay(last);
        product(
            P, N, at.len, [&](int p, int j) { return u[j * p_ld + p]; },
            [&](int j, int n) { return v[j * n_ld + n] * (REVERSE ? decay(cum[j]) : dt[j] * decay(last - cum[j])); },
            [&](int p, int n, float f) { S[p * n_ld + n] = through * S[p * n_ld + n] + f; });
    }
    if (REVERSE && came_from) {
        __syncthreads();
        for (int i = threadIdx.x; i < P * N; i += ANY_THREADS)
            a.carry_out[head * state_size + i] = S[i / N * n_ld + i % N];
    }
}

enum { DT, CROSS, ENTER, LEAVE, DU_X, DY_X, DDT, DA, PER_TOKEN }; /* numbers kept per token */

size_t bwd_any_floats(struct ssd_dims d, int tile)
{
    size_t P = d.headdim | 1, N = d.state | 1, widest = P > N ? P : N;
    return (size_t)d.headdim * N + tile * (2 * P + 4 * N + widest + 4 * (tile | 1) + PER_TOKEN + 2) + ANY_WARPS;
}

/* All gradients of a tile for the heads of a group. */
template <class T> __global__ void __launch_bounds__(ANY_THREADS) bwd_any_kernel(bwd_any_args<T> a)
{
    const int P = a.d.headdim, N = a.d.state, L = a.tile, p_ld = P | 1, n_ld = N | 1, l_ld = L | 1, w_ld = max(p_ld, n_ld);
    extern __shared__ __align__(16) float any_shared[];
    double *cum = (double *)any_shared;
    float *state = any_shared + 2 * L, *x = state + P * n_ld, *dy = x + L * p_ld, *B = dy + L * p_ld, *C = B + L * n_ld;
    float *dB = C + L * n_ld, *dC = dB + L * n_ld, *work = dC + L * n_ld, *G = work + L * w_ld, *GL = G + L * l_ld;
    float *dG = GL + L * l_ld, *dG_sum = dG + L * l_ld, *token = dG_sum + L * l_ld, *pass = token + PER_TOKEN * L;
    float *dt = token + DT * L;
    const int heads = a.d.heads, per_group = heads / a.d.groups, group = blockIdx.x % a.d.groups, tile = blockIdx.x / a.d.groups;
    const int chunk = a.chunk0 + tile / a.per_chunk, in_chunk = tile % a.per_chunk, head0 = group * per_group;
    const int64_t tile_index = (int64_t)chunk * a.per_chunk + in_chunk, state_size = (int64_t)P * N;
    const tile_place at = place_of(a.s, chunk, in_chunk, L);
    const int len = at.len;
    if (len <= 0) {
        for (int i = threadIdx.x; i < 3 * per_group; i += ANY_THREADS)
            a.partial[(tile_index * 3 + i / per_group) * heads + head0 + i % per_group] = 0;
        return;
    }
    load_rows(B, n_ld, a.B, at.row, (int64_t)group * N, len, N);
    load_rows(C, n_ld, a.C, at.row, (int64_t)group * N, len, N);
    for (int i = threadIdx.x; i < L * n_ld; i += ANY_THREADS)
        dB[i] = dC[i] = 0;
    for (int i = threadIdx.x; i < L * l_ld; i += ANY_THREADS)
        dG_sum[i] = 0;
    __syncthreads();
    product(
        len, len, N, [&](int i, int n) { return C[i * n_ld + n]; }, [&](int n, int j) { return B[j * n_ld + n]; },
        [&](int i, int j, float v) { G[i * l_ld + j] = v; });

    for (int h = 0; h < per_group; h++) {
        const int head = head0 + h;
        const float *S = a.S + ((int64_t)tile * heads + head) * state_size, *R = a.R + ((int64_t)tile * heads + head) * state_size;
        const float A = -expf(a.A_log[head]);
        __syncthreads();
        load_rows(x, p_ld, a.x, at.row, (int64_t)head * P, len, P);
        load_rows(dy, p_ld, a.dy, at.row, (int64_t)head * P, len, P);
        load_steps(dt, cum, a.dt + at.row * heads + head, A, heads, len);
        for (int i = threadIdx.x; i < P * N; i += ANY_THREADS)
            state[i / N * n_ld + i % N] = S[i];
        __syncthreads();
        product(
            len, len, P, [&](int i, int p) { return dy[i * p_ld + p]; }, [&](int p, int j) { return x[j * p_ld + p]; },
            [&](int i, int j, float v) {
                const float l = j <= i ? decay(cum[i] - cum[j]) : 0.f;
                const int at_ij = i * l_ld + j;
                dG[at_ij] = v * l * dt[j];
                dG_sum[at_ij] += v * l * dt[j];
                GL[at_ij] = G[at_ij] * l;
                if (i == j)
                    token[DY_X * L + i] = v;
            });
        product(
            len, N, P, [&](int i, int p) { return dy[i * p_ld + p]; }, [&](int p, int n) { return state[p * n_ld + n]; },
            [&](int i, int n, float v) {
                v *= decay(cum[i]);
                dC[i * n_ld + n] += v;
                work[i * w_ld + n] = v * C[i * n_ld + n];
            });
        __syncthreads();
        row_sums(
            len, N, [&](int i, int n) { return work[i * w_ld + n]; }, [&](int i, float v) { token[ENTER * L + i] = v; });
        const int t = threadIdx.x;
        if (t < len) { /* row t of dG becomes, at column s, the sum of its pairs with j < s */
            float sum = 0;
            for (int j = 0; j <= t; j++) {
                const float pair = dG[t * l_ld + j] * G[t * l_ld + j];
                dG[t * l_ld + j] = sum;
                sum += pair;
            }
        }
        float through = 0;
        for (int i = threadIdx.x; i < P * N; i += ANY_THREADS) {
            through += state[i / N * n_ld + i % N] * R[i];
            state[i / N * n_ld + i % N] = R[i];
        }
        through = warp_sum(through);
        if (threadIdx.x % 32 == 0)
            pass[threadIdx.x / 32] = through;
        __syncthreads();
        const double last = cum[len - 1];
        const float D = a.D[head];
        if (t < len) {
            float sum = 0;
            for (int i = t; i < len; i++)
                sum += dG[i * l_ld + t];
            token[CROSS * L + t] = sum;
        }
        product(
            len, P, N, [&](int j, int n) { return B[j * n_ld + n]; }, [&](int n, int p) { return state[p * n_ld + n]; },
            [&](int j, int p, float v) { work[j * w_ld + p] = v * decay(last - cum[j]); });
        product(
            len, N, P, [&](int j, int p) { return x[j * p_ld + p]; }, [&](int p, int n) { return state[p * n_ld + n]; },
            [&](int j, int n, float v) { dB[j * n_ld + n] += v * dt[j] * decay(last - cum[j]); });
        __syncthreads();
        row_sums(
            len, P, [&](int j, int p) { return work[j * w_ld + p] * x[j * p_ld + p]; },
            [&](int j, float v) { token[LEAVE * L + j] = v * dt[j]; });
        __syncthreads();
        product(
            len, P, len, [&](int j, int i) { return GL[i * l_ld + j]; }, [&](int i, int p) { return dy[i * p_ld + p]; },
            [&](int j, int p, float v) {
                const float du = work[j * w_ld + p] + v;
                work[j * w_ld + p] = du;
                put_f32(a.dx.row(at.row + j) + (int64_t)head * P + p, dt[j] * du + D * dy[j * p_ld + p]);
            });
        __syncthreads();
        row_sums(
            len, P, [&](int j, int p) { return work[j * w_ld + p] * x[j * p_ld + p]; }, [&](int j, float v) { token[DU_X * L + j] = v; });
        __syncthreads();
        if (t < len) {
            float da = 0;
            for (int w = 0; w < ANY_WARPS; w++)
                da += pass[w];
            da = da * decay(last) + token[CROSS * L + t];
            for (int i = t; i < len; i++)
                da += token[ENTER * L + i];
            for (int j = 0; j < t; j++)
                da += token[LEAVE * L + j];
            const float ddt = (token[DU_X * L + t] + A * da) * -expm1f(-dt[t]); /* the slope of softplus is 1 - exp(-softplus) */
            token[DDT * L + t] = ddt;
            token[DA * L + t] = da * dt[t];
            put_f32(a.ddt.row(at.row + t) + head, ddt);
        }
        __syncthreads();
        if (t < 3) { /* ddt_bias, dA_log, dD */
            const float *from = token + (t == 0 ? DDT : t == 1 ? DA : DY_X) * L;
            float sum = 0;
            for (int i = 0; i < len; i++)
                sum += from[i];
            a.partial[(tile_index * 3 + t) * heads + head] = t == 1 ? A * sum : sum;
        }
    }
    __syncthreads();
    product(
        len, N, len, [&](int i, int j) { return dG_sum[i * l_ld + j]; }, [&](int j, int n) { return B[j * n_ld + n]; },
        [&](int i, int n, float v) { put_f32(a.dC.row(at.row + i) + (int64_t)group * N + n, dC[i * n_ld + n] + v); });
    product(
        len, N, len, [&](int j, int i) { return dG_sum[i * l_ld + j]; }, [&](int i, int n) { return C[i * n_ld + n]; },
        [&](int j, int n, float v) { put_f32(a.dB.row(at.row + j) + (int64_t)group * N + n, dB[j * n_ld + n] + v); });
}
int bwd_any_tile(struct ssd_dims d)
{
    return largest_tile([&](int tile) { return bwd_any_floats(d, tile); });
}
} // namespace

struct ssd_bwd_plan ssd_bwd_any_plan(struct ssd_dims d, int32_t chunk)
{
    const int tile = bwd_any_tile(d), per_chunk = (chunk + tile - 1) / tile;
    const size_t states = (size_t)d.heads * d.headdim * d.state * per_chunk * sizeof(float);
    return {per_chunk, states, states};
}
void ssd_bwd_any(const struct ssd_bwd_args &a)
{
    const int tile = bwd_any_tile(a.d), per_chunk = ssd_bwd_any_plan(a.d, a.s.chunk).per_chunk;
    const int64_t chunks = a.chunk1 - a.chunk0;
    typed(a.in.x.dtype, [&](auto t) {
        using T = decltype(t);
        bwd_any_args<T> k = {tokens_of<const T>(a.in.x),
                             tokens_of<const T>(a.in.B),
                             tokens_of<const T>(a.in.C),
                             tokens_of<const T>(a.dy),
                             tokens_of<T>(a.g.dx),
                             tokens_of<T>(a.g.dB),
                             tokens_of<T>(a.g.dC),
                             tokens_of<T>(a.g.ddt),
                             a.in.A_log,
                             a.in.D,
                             a.kept.dt,
                             (const T *)a.kept.states,
                             (float *)a.S,
                             (float *)a.R,
                             a.carry_in,
                             a.carry_out,
                             a.partial,
                             a.d,
                             a.s,
                             a.chunk0,
                             a.chunk1,
                             tile,
                             per_chunk};
        const size_t walk_bytes = walk_any_floats(a.d, tile) * sizeof(float);
        launch(walk_any_kernel<T, false>, chunks * a.d.heads, ANY_THREADS, walk_bytes, k);
        launch(walk_any_kernel<T, true>, (int64_t)a.s.n * a.d.heads, ANY_THREADS, walk_bytes, k);
        launch(bwd_any_kernel<T>, chunks * per_chunk * a.d.groups, ANY_THREADS, bwd_any_floats(a.d, tile) * sizeof(float), k);
    });
}
