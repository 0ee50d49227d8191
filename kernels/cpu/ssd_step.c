/* kernels/cpu/ssd_step.c - the scan over one token per document (kernels/ssd.h).
 *
 * All time goes into reading and writing the states, so each is passed over once: a row of it is updated and meets C while it is in
 * registers.
 */
#include "core/err.h"
#include "kernels/cpu/vmath.h"
#include "kernels/ssd.h"

/* s [N] = keep s + u B; returns s . C. */
static float row_f32(float *s, int64_t N, float keep, float u, const float *B, const float *C)
{
    float y = 0.0f;
#pragma omp simd reduction(+ : y)
    for (int64_t n = 0; n < N; n++) {
        float v = keep * s[n] + u * B[n];
        s[n] = v;
        y += v * C[n];
    }
    return y;
}
/* The sum uses the state before it is rounded to be stored. */
static float row_bf16(uint16_t *s, int64_t N, float keep, float u, const float *B, const float *C)
{
    float y = 0.0f;
#pragma omp simd reduction(+ : y)
    for (int64_t n = 0; n < N; n++) {
        float v = keep * bf16_to_f32(s[n]) + u * B[n];
        s[n] = f32_to_bf16(v);
        y += v * C[n];
    }
    return y;
}

void ssd_step(mat y, struct ssd_in in, struct ssd_dims d, struct seqs s, struct state_view state)
{
    must(in.x.dtype == F32 && s.max_len == 1 && state.data);
    const int64_t P = d.headdim, N = d.state, H = d.heads, per = H / d.groups;
    /* Below some 100 KiB waking the threads takes longer than the work. */
#pragma omp parallel for collapse(2) schedule(static) if (s.n * H * P * N >= 32768)
    for (int32_t i = 0; i < s.n; i++)
        for (int64_t h = 0; h < H; h++) {
            const int64_t g = h / per, at = s.slot[i] * state.stride + h * P * N;
            const float *x = (const float *)in.x.data + i * in.x.ld + h * P;
            const float *B = (const float *)in.B.data + i * in.B.ld + g * N, *C = (const float *)in.C.data + i * in.C.ld + g * N;
            const float dt = vsoftplusf(((const float *)in.dt.data)[i * in.dt.ld + h] + in.dt_bias[h]);
            const float keep = vexpf(-vexpf(in.A_log[h]) * dt);
            float *out = (float *)y.data + i * y.ld + h * P;
            for (int64_t p = 0; p < P; p++) {
                float sum = state.dtype == F32 ? row_f32((float *)state.data + at + p * N, N, keep, dt * x[p], B, C)
                                               : row_bf16((uint16_t *)state.data + at + p * N, N, keep, dt * x[p], B, C);
                out[p] = sum + in.D[h] * x[p];
            }
        }
}
