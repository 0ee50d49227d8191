/* kernels/cpu/mixer.c - kernels/mixer.h: the convolution, the state step and the gated norm one after another; a row between them stays in
 * the caches.
 *
 * All time goes into reading and writing the states, so each is passed over once: a row of it is updated and meets C while it is in
 * registers.
 */
#include "kernels/mixer.h"
#include "kernels/conv.h"
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/vmath.h"
#include "kernels/norm.h"
#include <stdbool.h>

/* Element i of a state. bf16 is a constant where these are called. */
static inline __attribute__((always_inline)) float get(const void *s, int64_t i, bool bf16)
{
    return bf16 ? bf16_to_f32(((const uint16_t *)s)[i]) : ((const float *)s)[i];
}
static inline __attribute__((always_inline)) void put(void *s, int64_t i, bool bf16, float v)
{
    if (bf16)
        ((uint16_t *)s)[i] = f32_to_bf16(v);
    else
        ((float *)s)[i] = v;
}

/* Bytes ahead that rows are asked for, into L2: four rows read side by side are more than the hardware follows at memory's rate. */
enum { AHEAD = 8192, LINE = 64 };

/* One head: S, from element at of s, becomes keep S + dt x (outer) B; y = S C + skip x, of the state before it is rounded to be stored.
 * Four rows at a time: their sums are independent chains of additions, and they share the loads of B and C. */
static inline __attribute__((always_inline)) void head(float *y, void *s, int64_t at, bool bf16, int64_t P, int64_t N, float keep, float dt,
                                                       float skip, const float *x, const float *B, const float *C)
{
    int64_t p = 0;
    for (; p + 4 <= P; p += 4, at += 4 * N) {
        const int64_t size = bf16 ? 2 : 4;
        for (int64_t j = 0; j < 4 * N * size; j += LINE)
            __builtin_prefetch((const char *)s + at * size + AHEAD + j, 0, 2);
        const float u0 = dt * x[p], u1 = dt * x[p + 1], u2 = dt * x[p + 2], u3 = dt * x[p + 3];
        float y0 = 0.0f, y1 = 0.0f, y2 = 0.0f, y3 = 0.0f;
#pragma omp simd reduction(+ : y0, y1, y2, y3)
        for (int64_t n = 0; n < N; n++) {
            const float v0 = keep * get(s, at + n, bf16) + u0 * B[n], v1 = keep * get(s, at + N + n, bf16) + u1 * B[n];
            const float v2 = keep * get(s, at + 2 * N + n, bf16) + u2 * B[n], v3 = keep * get(s, at + 3 * N + n, bf16) + u3 * B[n];
            put(s, at + n, bf16, v0);
            put(s, at + N + n, bf16, v1);
            put(s, at + 2 * N + n, bf16, v2);
            put(s, at + 3 * N + n, bf16, v3);
            y0 += v0 * C[n];
            y1 += v1 * C[n];
            y2 += v2 * C[n];
            y3 += v3 * C[n];
        }
        y[p] = y0 + skip * x[p];
        y[p + 1] = y1 + skip * x[p + 1];
        y[p + 2] = y2 + skip * x[p + 2];
        y[p + 3] = y3 + skip * x[p + 3];
    }
    for (; p < P; p++, at += N) {
        float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
        for (int64_t n = 0; n < N; n++) {
            const float v = keep * get(s, at + n, bf16) + dt * x[p] * B[n];
            put(s, at + n, bf16, v);
            sum += v * C[n];
        }
        y[p] = sum + skip * x[p];
    }
}

void mixer_step(mat g, struct mixer_in in, struct seqs s, struct state_view conv, struct state_view ssd)
{
    must(in.proj.dtype == F32 && s.max_len == 1 && conv.data && ssd.data);
    const int64_t P = in.d.headdim, N = in.d.state, H = in.d.heads, per = H / in.d.groups;
    const struct mixer_cols p = mixer_cols(in.proj, in.d);
    const struct conv_cols v = conv_cols(in.room, in.d);
    conv_fwd(in.room, p.xBC, in.conv_w, in.conv_b, in.conv, s, conv);
#pragma omp parallel for collapse(2) schedule(static) if (s.n * H * P * N >= 4 * CPU_SERIAL)
    for (int32_t i = 0; i < s.n; i++)
        for (int64_t h = 0; h < H; h++) {
            const int64_t at = s.slot[i] * ssd.stride + h * P * N;
            const float *x = cpu_row(v.x, i) + h * P, *B = cpu_row(v.B, i) + h / per * N, *C = cpu_row(v.C, i) + h / per * N;
            const float dt = vsoftplusf(cpu_row(p.dt, i)[h] + in.dt_bias[h]), keep = vexpf(-vexpf(in.A_log[h]) * dt);
            float *out = cpu_row(g, i) + h * P;
            if (ssd.dtype == F32)
                head(out, ssd.data, at, false, P, N, keep, dt, in.D[h], x, B, C);
            else
                head(out, ssd.data, at, true, P, N, keep, dt, in.D[h], x, B, C);
        }
    gatenorm_fwd(g, NULL, g, p.z, in.norm, in.d.groups, in.eps);
}
