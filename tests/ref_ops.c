/* tests/ref_ops.c - see ref_ops.h. Written to be read beside the headers of kernels/, not to be fast. */
#include "tests/ref_ops.h"
#include "core/err.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

void ref_matmul(double *c, const double *a, bool ta, const double *b, bool tb, int64_t m, int64_t n, int64_t k)
{
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            double sum = 0;
            for (int64_t l = 0; l < k; l++)
                sum += (ta ? a[l * m + i] : a[i * k + l]) * (tb ? b[j * k + l] : b[l * n + j]);
            c[i * n + j] = sum;
        }
}

void ref_linear(double *y, const double *x, const double *w, const double *add, int64_t t, int64_t in, int64_t out)
{
    ref_matmul(y, x, false, w, true, t, out, in);
    for (int64_t i = 0; add && i < t * out; i++)
        y[i] += add[i];
}

double ref_silu(double x)
{
    return x / (1 + exp(-x));
}

void ref_rmsnorm(double *y, const double *x, const double *w, double eps, int64_t t, int64_t d)
{
    for (int64_t i = 0; i < t; i++) {
        double sum = 0;
        for (int64_t j = 0; j < d; j++)
            sum += x[i * d + j] * x[i * d + j];
        for (int64_t j = 0; j < d; j++)
            y[i * d + j] = x[i * d + j] / sqrt(sum / (double)d + eps) * w[j];
    }
}

void ref_gatenorm(double *o, const double *y, const double *z, const double *w, double eps, int groups, int64_t t, int64_t d)
{
    int64_t n = d / groups; /* each group of a row is a row of an ordinary RMSNorm */
    double *u = xmalloc((size_t)n * sizeof *u);
    for (int64_t i = 0; i < t; i++)
        for (int g = 0; g < groups; g++) {
            int64_t at = i * d + g * n;
            for (int64_t j = 0; j < n; j++)
                u[j] = y[at + j] * ref_silu(z[at + j]);
            ref_rmsnorm(o + at, u, w + g * n, eps, 1, n);
        }
    free(u);
}

void ref_conv(double *y, const double *x, const double *w, const double *b, int k, const int32_t *len, int32_t n, int64_t c, double *state)
{
    int64_t start = 0;
    for (int32_t d = 0; d < n; start += len[d++]) {
        /* The document's inputs with the k - 1 before it in front. */
        double *in = xcalloc((size_t)((k - 1 + len[d]) * c), sizeof *in);
        if (state)
            memcpy(in, state + d * (k - 1) * c, (size_t)((k - 1) * c) * sizeof *in);
        memcpy(in + (k - 1) * c, x + start * c, (size_t)(len[d] * c) * sizeof *in);
        for (int64_t t = 0; t < len[d]; t++)
            for (int64_t j = 0; j < c; j++) {
                double sum = b[j];
                for (int i = 0; i < k; i++)
                    sum += w[j * k + i] * in[(t + i) * c + j];
                y[(start + t) * c + j] = ref_silu(sum);
            }
        if (state)
            memcpy(state + d * (k - 1) * c, in + len[d] * c, (size_t)((k - 1) * c) * sizeof *in);
        free(in);
    }
}

void ref_xent(double *loss, const double *logits, const int32_t *target, const double *weight, int64_t rows, int64_t v)
{
    for (int64_t i = 0; i < rows; i++) {
        const double *l = logits + i * v;
        double max = -INFINITY, sum = 0;
        for (int64_t j = 0; j < v; j++)
            max = fmax(max, l[j]);
        for (int64_t j = 0; j < v; j++)
            sum += exp(l[j] - max);
        loss[i] = target[i] < 0 ? 0 : (weight ? weight[i] : 1) * (max + log(sum) - l[target[i]]);
    }
}

void ref_adamw(double *w, double *m, double *v, const double *g, int64_t n, double lr, double beta1, double beta2, double eps, double decay,
               int64_t t)
{
    for (int64_t i = 0; i < n; i++) {
        m[i] = beta1 * m[i] + (1 - beta1) * g[i];
        v[i] = beta2 * v[i] + (1 - beta2) * g[i] * g[i];
        double mhat = m[i] / (1 - pow(beta1, (double)t)), vhat = v[i] / (1 - pow(beta2, (double)t));
        w[i] -= lr * (mhat / (sqrt(vhat) + eps) + decay * w[i]);
    }
}

/* Falling logit, lower id first. */
static int by_logit(const void *a, const void *b, void *logits)
{
    int32_t i = *(const int32_t *)a, j = *(const int32_t *)b;
    const double *l = logits;
    return l[i] > l[j] ? -1 : l[i] < l[j] ? 1 : i < j ? -1 : 1;
}

int64_t ref_sample_probs(double *p, int32_t *order, double *logits, const bool *seen, double temperature, double top_p, int32_t top_k,
                         double penalty, int64_t v)
{
    for (int64_t i = 0; i < v; i++) {
        if (seen && seen[i])
            logits[i] =
                logits[i] > 0 ? (float)logits[i] / (float)penalty : (float)logits[i] * (float)penalty; /* float: ties are made here */
        logits[i] /= temperature;
        order[i] = (int32_t)i;
    }
    qsort_r(order, (size_t)v, sizeof *order, by_logit, logits);
    double max = logits[order[0]], sum = 0, mass = 0;
    int64_t kept = top_k > 0 && top_k < v ? top_k : v, nucleus = 0;
    for (int64_t i = 0; i < kept; i++)
        sum += exp(logits[order[i]] - max);
    while (nucleus < kept && (nucleus == 0 || top_p >= 1 || mass < top_p * sum))
        mass += exp(logits[order[nucleus++]] - max);
    for (int64_t i = 0; i < v; i++)
        p[order[i]] = i < nucleus ? exp(logits[order[i]] - max) / mass : 0;
    return nucleus;
}

void ref_gradient(double *grad, double *x, int64_t n, double h, double (*f)(void *arg), void *arg)
{
    for (int64_t i = 0; i < n; i++) {
        double old = x[i], slope[2];
        for (int s = 0; s < 2; s++) {
            double step = s ? h / 2 : h;
            x[i] = old + step;
            double up = f(arg);
            x[i] = old - step;
            slope[s] = (up - f(arg)) / (2 * step);
        }
        x[i] = old;
        grad[i] = (4 * slope[1] - slope[0]) / 3;
    }
}
