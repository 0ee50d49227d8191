/* tests/ref_ssd.c - see ref_ssd.h. */
#include "tests/ref_ssd.h"
#include "core/err.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static double softplus(double v)
{
    return v > 0 ? v + log1p(exp(-v)) : log1p(exp(v));
}

/* One head of one document, its first token in row. Writes the states after each token to S [len + 1, P, N], S[0] given; y may be NULL. */
static void head_fwd(double *y, double *S, const struct ref_ssd *in, int64_t row, int32_t len, int h)
{
    const int64_t P = in->d.headdim, N = in->d.state, H = in->d.heads, G = in->d.groups, g = h / (H / G);
    for (int64_t t = row; t < row + len; t++, S += P * N) {
        double dt = softplus(in->dt[t * H + h] + in->dt_bias[h]), a = exp(-exp(in->A_log[h]) * dt);
        const double *B = in->B + (t * G + g) * N, *C = in->C + (t * G + g) * N;
        for (int64_t p = 0; p < P; p++) {
            double x = in->x[(t * H + h) * P + p], sum = 0;
            for (int64_t n = 0; n < N; n++) {
                double s = a * S[p * N + n] + dt * x * B[n];
                S[(P + p) * N + n] = s;
                sum += s * C[n];
            }
            if (y)
                y[(t * H + h) * P + p] = sum + in->D[h] * x;
        }
    }
}

static double *head_states(const struct ref_ssd *in, int32_t doc, int h)
{
    const int64_t PN = (int64_t)in->d.headdim * in->d.state;
    double *S = xcalloc((size_t)(PN * (in->len[doc] + 1)), sizeof(double));
    if (in->state)
        memcpy(S, in->state + ((int64_t)doc * in->d.heads + h) * PN, (size_t)PN * sizeof(double));
    return S;
}

void ref_ssd_fwd(double *y, double *final, const struct ref_ssd *in)
{
    const int64_t H = in->d.heads, PN = (int64_t)in->d.headdim * in->d.state;
    int64_t row = 0;
    for (int32_t doc = 0; doc < in->n; row += in->len[doc++])
        for (int h = 0; h < H; h++) {
            double *S = head_states(in, doc, h);
            head_fwd(y, S, in, row, in->len[doc], h);
            if (final)
                memcpy(final + (doc * H + h) * PN, S + in->len[doc] * PN, (size_t)PN * sizeof(double));
            free(S);
        }
}

void ref_ssd_bwd(struct ref_ssd_grad o, const double *dy, const struct ref_ssd *in)
{
    const int64_t P = in->d.headdim, N = in->d.state, H = in->d.heads, G = in->d.groups, PN = P * N;
    int64_t row = 0, T = 0;
    for (int32_t doc = 0; doc < in->n; doc++)
        T += in->len[doc];
    memset(o.dB, 0, (size_t)(T * G * N) * sizeof(double));
    memset(o.dC, 0, (size_t)(T * G * N) * sizeof(double));
    memset(o.ddt_bias, 0, (size_t)H * sizeof(double));
    memset(o.dA_log, 0, (size_t)H * sizeof(double));
    memset(o.dD, 0, (size_t)H * sizeof(double));
    memset(o.size, 0, 3 * sizeof(double));
    double *dS = xmalloc((size_t)PN * sizeof(double));
    for (int32_t doc = 0; doc < in->n; row += in->len[doc++])
        for (int h = 0; h < H; h++) {
            const double A = exp(in->A_log[h]);
            const int64_t g = h / (H / G);
            double *S = head_states(in, doc, h);
            head_fwd(NULL, S, in, row, in->len[doc], h);
            memset(dS, 0, (size_t)PN * sizeof(double));
            for (int64_t t = row + in->len[doc] - 1; t >= row; t--) {
                const double v = in->dt[t * H + h] + in->dt_bias[h], dt = softplus(v), a = exp(-A * dt);
                const double *B = in->B + (t * G + g) * N, *C = in->C + (t * G + g) * N;
                const double *before = S + (t - row) * PN, *after = before + PN;
                double *dB = o.dB + (t * G + g) * N, *dC = o.dC + (t * G + g) * N, ddt = 0, da = 0, dD = 0;
                for (int64_t p = 0; p < P; p++) {
                    const double x = in->x[(t * H + h) * P + p], d = dy[(t * H + h) * P + p];
                    double du = 0;
                    for (int64_t n = 0; n < N; n++) {
                        double s = dS[p * N + n] + d * C[n];
                        dC[n] += d * after[p * N + n];
                        dB[n] += dt * x * s;
                        du += s * B[n];
                        da += s * before[p * N + n];
                        dS[p * N + n] = a * s;
                    }
                    o.dx[(t * H + h) * P + p] = dt * du + in->D[h] * d;
                    dD += d * x;
                    ddt += x * du;
                }
                ddt -= da * a * A;
                const double terms[3] = {ddt / (1 + exp(-v)), -da * a * A * dt, dD};
                o.ddt[t * H + h] = terms[0];
                o.ddt_bias[h] += terms[0];
                o.dA_log[h] += terms[1];
                o.dD[h] += terms[2];
                for (int k = 0; k < 3; k++)
                    o.size[k] += terms[k] * terms[k];
            }
            free(S);
        }
    for (int k = 0; k < 3; k++)
        o.size[k] = sqrt(o.size[k]);
    free(dS);
}
