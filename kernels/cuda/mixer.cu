/* kernels/cuda/mixer.cu - kernels/mixer.h. On Hopper one kernel goes from in_proj's row to out_proj's: a cluster of blocks does a group of
 * heads of one row, each block some of the heads.
 *
 * The SSD state is nearly all the traffic. A block asks for all of a head's state at once, 16 bytes a lane and 128 bytes a thread, and
 * makes what meets it (the convolution of its own channels and of the group's B and C, which every block of the cluster makes for itself)
 * while that is on its way. A state row (one p, N numbers) is held by neighbouring lanes, which sum their parts of S . C by shuffles.
 * The group's sum of squares is the sum of the blocks' sums in the order of their ranks, which all have sent to all. So the order of every
 * sum follows from the shape alone.
 *
 * Other cards, types and shapes: the parts one after another (mixer.cuh).
 */
#include "kernels/mixer.h"
#include "kernels/conv.h"
#include "kernels/cuda/mixer.cuh"
#include "kernels/cuda/ssd.cuh"
#include "kernels/cuda/ssd_mma.cuh"
#include "kernels/cuda/step.cuh"
#include "kernels/cuda/vec.cuh"
#include "kernels/norm.h"

namespace
{
enum {
    K = 4, /* of the convolution */
    MAX_CLUSTER = 16,
    ROWS = 64, /* of a state that are under way at once */
    FEW = 8,   /* rows of a small batch */
};

template <class T> struct mixer_args {
    tokens<const T> proj;
    tokens<T> g;
    const float *conv_w, *conv_b, *dt_bias, *A_log, *D, *norm;
    T *conv;
    void *ssd;
    int64_t conv_stride, ssd_stride;
    const int *slot;
    float eps;
    int rows, heads, headdim, groups;
};

/* Shared memory of a block: this, then, as floats, the weights of its channels of the convolution, their values (the group's B and C, and x of
 * its heads, whose places y takes), silu(z), and the channels' biases. */
struct head_room {
    mailbox mail;
    float warps[8], pad[2]; /* what follows is aligned to 16 bytes */
};
static_assert(sizeof(head_room) % 16 == 0, "B and C are read 16 bytes at a time");

/* Step size of a head, as its parts are read. */
struct head_in {
    float dt, bias, A_log, D;
};

/* 16 bytes a lane of up to DEPTH state rows that are STRIDE elements apart, as many as there are. */
template <int STRIDE, class S, int SIZE, int DEPTH>
__device__ __forceinline__ void fetch(vec<S, SIZE> (&piece)[DEPTH], const S *from, int there)
{
#pragma unroll
    for (int k = 0; k < DEPTH; k++)
        piece[k] = k < there ? vec_stream<S, SIZE>(from + k * STRIDE) : vec_zero<S, SIZE>();
}

/* One value by vec_fresh(). Not CUDA's __ldcg of a bf16, which the compiler may move to before the wait: it is not told that memory is read. */
template <class T> __device__ __forceinline__ T fresh(const T *p)
{
    const vec<T, 1> v = vec_fresh<T, 1>(p);
    return *reinterpret_cast<const T *>(&v.bits);
}

/* N numbers of type S a state row; 128 bytes of state a thread at N = 128. What other kernels of the step write is read from the
 * second-level cache (fresh). */
template <class T, class S, int N>
__global__ void __launch_bounds__((int)sizeof(S) * 64, sizeof(S) == 4 ? 3 : 5) mixer_kernel(mixer_args<T> a)
{
    constexpr int SIZE = 16 / (int)sizeof(S), LANES = N / SIZE, THREADS = (int)sizeof(S) * 64;
    constexpr int ACROSS = THREADS / LANES, DEPTH = ROWS / ACROSS; /* state rows side by side; one after another */
    constexpr int AT = (384 + THREADS - 1) / THREADS; /* channels a thread has on their way; at P = 64 and N = 128 all it has */
    head_room *room = (head_room *)shared_block();
    const int P = a.headdim, per_group = a.heads / a.groups, inner = a.heads * P, width = inner + 2 * a.groups * N;
    /* A group's rows next to each other: they share weights, which then stay in the first-level caches. */
    const int rank = cluster_rank(), size = cluster_size(), team = blockIdx.x / size, group = team / a.rows, row = team % a.rows;
    const int heads = per_group / size, head0 = group * per_group + rank * heads, own = heads * P, channels = 2 * N + own;
    float *weights = (float *)(room + 1), *values = weights + channels * K, *B = values, *C = B + N, *x = C + N, *gate = x + own;
    float *bias = gate + own;
    const int lane = threadIdx.x % LANES, first = threadIdx.x / LANES, slot = a.slot[row];
    S *state = (S *)a.ssd + slot * a.ssd_stride + (int64_t)head0 * P * N + lane * SIZE;
    T *past = a.conv + slot * a.conv_stride;
    const T *proj = a.proj.row(row), *xBC = proj + inner, *dts = xBC + width + head0;
    /* The channels of the convolution that this block computes: as shared has them. */
    auto channel = [&](int i) {
        return i < N ? inner + group * N + i : i < 2 * N ? inner + (a.groups - 1 + group) * N + i : head0 * P + i - 2 * N;
    };

    if (threadIdx.x == 0)
        mailbox_open(&room->mail);
    cluster_arrive();
    for (int i = threadIdx.x; i < channels; i += THREADS) { /* each thread reads what it has put there */
        const int c = channel(i);
        bias[i] = a.conv_b[c];
        float w[K];
        vec_read<float, K>(w, a.conv_w + c * K);
        vec_write(weights + i * K, w);
    }
    if (a.rows <= FEW) { /* all blocks are here while the kernel before still runs: bring nearer what it does not write */
        for (int p = first; p < own; p += ACROSS)
            ask_for(state + (int64_t)p * N);
        for (int i = threadIdx.x; i < channels; i += THREADS) {
            for (int k = 0; k < K - 1; k++)
                ask_for(past + (int64_t)k * width + channel(i));
            if (i >= 2 * N)
                ask_for(a.norm + channel(i));
        }
    }
    let_next_start();
    wait_for_previous();

    vec<S, SIZE> piece[DEPTH];
    auto head_at = [&](int h) { return head_in{to_f32(fresh(dts + h)), a.dt_bias[head0 + h], a.A_log[head0 + h], a.D[head0 + h]}; };
    state += first * N;
    fetch<ACROSS * N>(piece, state, (P - first + ACROSS - 1) / ACROSS);
    head_in in = head_at(0);

    for (int i0 = threadIdx.x; i0 < channels; i0 += AT * THREADS) {
        T window[AT][K], zs[AT];
#pragma unroll
        for (int u = 0; u < AT; u++) {
            const int i = i0 + u * THREADS, c = i < channels ? channel(i) : 0;
#pragma unroll
            for (int k = 0; k < K; k++)
                window[u][k] = fresh(k < K - 1 ? past + (k * width + c) : xBC + c);
            zs[u] = i < channels && i >= 2 * N ? fresh(proj + c) : T(0); /* z's channel is x's */
        }
#pragma unroll
        for (int u = 0; u < AT; u++) {
            const int i = i0 + u * THREADS;
            if (i >= channels)
                continue;
            float w[K], sum = bias[i], gated = to_f32(zs[u]);
            vec_read<float, K>(w, weights + i * K);
#pragma unroll
            for (int k = 0; k < K; k++)
                sum = fmaf(w[k], to_f32(window[u][k]), sum);
            values[i] = sum * sigmoid<T>(sum);
            if (i < 2 * N) /* the windows of B and C are read by the whole cluster: they move on at the end */
                continue;
#pragma unroll
            for (int k = 0; k < K - 1; k++)
                past[k * width + channel(i)] = window[u][k + 1];
            gate[i - 2 * N] = gated * sigmoid<T>(gated);
        }
    }
    __syncthreads();

    float b[SIZE], c[SIZE], squares = 0;
    floats_read<SIZE>(b, B + lane * SIZE);
    floats_read<SIZE>(c, C + lane * SIZE);
    for (int h = 0; h < heads; h++) {
        if (h > 0)
            in = head_at(h);
        const float dt = softplus(in.dt + in.bias), keep = expf(-expf(in.A_log) * dt);
        for (int p0 = 0; p0 < P; p0 += ROWS) { /* every lane takes every turn: the shuffles need whole warps */
            const int left = P - p0 - first;
            S *rows = state + (h * P + p0) * N;
            float *xs = x + h * P + p0 + first;
            const float *gates = gate + h * P + p0 + first;
            if (h + p0 > 0)
                fetch<ACROSS * N>(piece, rows, (left + ACROSS - 1) / ACROSS);
#pragma unroll
            for (int k = 0; k < DEPTH; k++) {
                const bool there = k * ACROSS < left;
                const float xp = there ? xs[k * ACROSS] : 0, u = dt * xp;
                float v[SIZE], sum = 0;
                vec_get(v, piece[k]);
#pragma unroll
                for (int j = 0; j < SIZE; j++) {
                    v[j] = keep * v[j] + u * b[j];
                    sum += v[j] * c[j];
                }
                if (there)
                    vec_write_stream(rows + k * ACROSS * N, v);
#pragma unroll
                for (int o = LANES / 2; o > 0; o /= 2)
                    sum += __shfl_xor_sync(~0u, sum, o);
                if (there && lane == 0) {
                    sum = (sum + in.D * xp) * gates[k * ACROSS];
                    xs[k * ACROSS] = sum; /* only this row's lanes read it, and they have */
                    squares = fmaf(sum, sum, squares);
                }
            }
        }
    }

    squares = warp_sum(squares);
    if (threadIdx.x % 32 == 0)
        room->warps[threadIdx.x / 32] = squares;
    __syncthreads();
    cluster_wait();
    if ((int)threadIdx.x < size) {
        float sum = 0;
        for (int i = 0; i < THREADS / 32; i++)
            sum += room->warps[i];
        mailbox_send(&room->mail, threadIdx.x, sum);
    }
    mailbox_wait(&room->mail); /* also: all blocks have read B's and C's windows */
    float sum = 0;
    for (int i = 0; i < size; i++)
        sum += room->mail.from[i];
    const float r = 1.0f / sqrtf(sum / (float)(per_group * P) + a.eps);
    T *g = a.g.row(row) + head0 * P;
    for (int i = threadIdx.x; i < own; i += THREADS)
        put_f32(g + i, x[i] * r * a.norm[head0 * P + i]);
    const int share = 2 * N / size; /* of the group's B and C, whose windows this block moves on */
    for (int i = rank * share + threadIdx.x; i < (rank + 1) * share; i += THREADS) {
        const int ch = channel(i);
        for (int k = 0; k < K - 1; k++)
            past[(int64_t)k * width + ch] = fresh(k + 1 < K - 1 ? past + (int64_t)(k + 1) * width + ch : xBC + ch);
    }
}

/* Blocks that share a group of so many heads: as many as divide them, up to 16 where this card can have so many in a cluster, or 8. */
template <class T, class S, int N> unsigned cluster_for(int heads, unsigned threads, size_t shared)
{
    unsigned n = MAX_CLUSTER;
    while (heads % n != 0)
        n /= 2;
    if (n <= 8)
        return n;
    static const bool fits = [&] {
        auto kernel = mixer_kernel<T, S, N>;
        cudaLaunchAttribute how = {};
        how.id = cudaLaunchAttributeClusterDimension;
        how.val.clusterDim.x = n;
        how.val.clusterDim.y = how.val.clusterDim.z = 1;
        cudaLaunchConfig_t config = {};
        config.gridDim = dim3(n);
        config.blockDim = dim3(threads);
        config.dynamicSmemBytes = shared;
        config.attrs = &how;
        config.numAttrs = 1;
        int clusters = 0;
        cuda_ok(cudaFuncSetAttribute(kernel, cudaFuncAttributeNonPortableClusterSizeAllowed, 1));
        cuda_ok(cudaOccupancyMaxActiveClusters(&clusters, kernel, &config));
        return clusters > 0;
    }();
    return fits ? n : 8;
}

template <class T, class S, int N> bool step(const mixer_args<T> &a)
{
    constexpr unsigned THREADS = sizeof(S) * 64;
    auto kernel = mixer_kernel<T, S, N>;
    if (!step_on_hopper(kernel))
        return false;
    const int per_group = a.heads / a.groups;
    unsigned cluster = cluster_for<T, S, N>(per_group, THREADS, 8 * 1024);
    size_t shared = sizeof(head_room) + sizeof(float) * (size_t)((K + 2) * 2 * N + (K + 3) * (per_group / (int)cluster * a.headdim));
    if (shared > SHARED_MAX)
        return false;
    launch_step(kernel, (int64_t)a.rows * a.groups * cluster, THREADS, shared, cluster, a);
    return true;
}

/* Has the kernel for Hopper taken it? */
template <class T> bool step(mat g, const struct mixer_in &in, struct seqs s, struct state_view conv, struct state_view ssd)
{
    const int size = ssd.dtype == F32 ? 4 : 8;
    if (in.conv != K || (uintptr_t)in.conv_w % 16 != 0 || (in.d.state != 64 && in.d.state != 128))
        return false;
    if ((uintptr_t)ssd.data % 16 != 0 || ssd.stride % size != 0)
        return false;
    const mixer_args<T> a = {tokens_of<const T>(in.proj),
                             tokens_of<T>(g),
                             in.conv_w,
                             in.conv_b,
                             in.dt_bias,
                             in.A_log,
                             in.D,
                             in.norm,
                             (T *)conv.data,
                             ssd.data,
                             conv.stride,
                             ssd.stride,
                             s.slot,
                             in.eps,
                             s.n,
                             in.d.heads,
                             in.d.headdim,
                             in.d.groups};
    if (ssd.dtype == F32)
        return in.d.state == 64 ? step<T, float, 64>(a) : step<T, float, 128>(a);
    return in.d.state == 64 ? step<T, bf16, 64>(a) : step<T, bf16, 128>(a);
}
} // namespace

void mixer_step(mat g, struct mixer_in in, struct seqs s, struct state_view conv, struct state_view ssd)
{
    must(s.tokens == s.n && conv.data && ssd.data && conv.dtype == (int)in.proj.dtype && g.dtype == in.proj.dtype);
    must(conv.stride >= (in.conv - 1) * conv_width(in.d) && in.d.heads % in.d.groups == 0);
    if (s.n == 0)
        return;
    bool done = false;
    typed(in.proj.dtype, [&](auto t) { done = step<decltype(t)>(g, in, s, conv, ssd); });
    if (done)
        return;
    struct mixer_cols p = mixer_cols(in.proj, in.d);
    struct conv_cols v = conv_cols(in.room, in.d);
    conv_step(in.room, p.xBC, in.conv_w, in.conv_b, in.conv, s, conv);
    ssd_step(g, (struct ssd_in){v.x, v.B, v.C, p.dt, in.dt_bias, in.A_log, in.D}, in.d, s, ssd);
    gatenorm_fwd(g, NULL, g, p.z, in.norm, in.d.groups, in.eps);
}
