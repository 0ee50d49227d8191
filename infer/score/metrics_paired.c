/* infer/score/metrics_paired.c - two runs on the same problems, see metrics.h. */
#include "infer/score/metrics.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_SUMS = 1 << 26 }; /* doubles of one distribution */

static int64_t gcd(int64_t a, int64_t b)
{
    while (b) {
        int64_t r = a % b;
        a = b;
        b = r;
    }
    return a;
}

/* A distribution of whole numbers from -reach to reach. */
struct sums {
    double *p, *next; /* [2 * most + 1] with 0 at most */
    int64_t reach, most;
};

static bool sums_open(struct sums *s, int64_t most, struct err *e)
{
    if (most > MOST_SUMS) {
        err_set(e, "the runs' numbers of samples have too large a common multiple for the exact test; give them equal ones");
        return false;
    }
    *s = (struct sums){.most = most};
    s->p = xcalloc(2 * (size_t)most + 1, sizeof(double));
    s->next = xcalloc(2 * (size_t)most + 1, sizeof(double));
    s->p[most] = 1;
    return true;
}

/* Adds a number that is by[j] with chance[j], |by[j]| <= reach. */
static void sums_add(struct sums *s, const int64_t *by, const double *chance, int64_t n, int64_t reach)
{
    int64_t wide = s->reach + reach;
    must(wide <= s->most);
    double *p = s->p + s->most, *next = s->next + s->most;
    memset(next - wide, 0, (2 * (size_t)wide + 1) * sizeof(double));
    for (int64_t j = 0; j < n; j++)
        for (int64_t x = -s->reach; x <= s->reach; x++)
            next[x + by[j]] += chance[j] * p[x];
    s->reach = wide;
    double *swap = s->p;
    s->p = s->next;
    s->next = swap;
}

/* The chance of a sum as far from 0 as x or farther. Frees s. */
static double sums_close(struct sums *s, int64_t x)
{
    double tail = 0;
    for (int64_t i = -s->reach; i <= s->reach; i++)
        if (llabs(i) >= llabs(x))
            tail += s->p[s->most + i];
    free(s->p);
    free(s->next);
    return fmin(1.0, tail);
}

/* Signs of the differences d (whole numbers in units of 1/L), each as likely. */
static bool sign_test(double *p, const int64_t *d, int64_t m, struct err *e)
{
    int64_t unit = 0, reach = 0, sum = 0;
    for (int64_t i = 0; i < m; i++)
        unit = gcd(unit, llabs(d[i]));
    unit = unit ? unit : 1;
    for (int64_t i = 0; i < m; i++) {
        reach += llabs(d[i]) / unit;
        sum += d[i] / unit;
    }
    struct sums s;
    if (!sums_open(&s, reach, e))
        return false;
    for (int64_t i = 0; i < m; i++)
        if (d[i])
            sums_add(&s, (int64_t[]){d[i] / unit, -d[i] / unit}, (double[]){0.5, 0.5}, 2, llabs(d[i]) / unit);
    *p = sums_close(&s, sum);
    return true;
}

/* Given how many of a problem's n_a + n_b samples are right, each choice of n_a of them for run a is as likely (hypergeometric). With
 * x right ones in a, of t in all, the difference is x/n_a - (t-x)/n_b; minus its mean, x - t n_a/(n_a+n_b) times a number that all
 * problems share. In whole numbers: (x (n_a+n_b) - t n_a) / unit. */
static bool deal_test(double *p, const int64_t *a, int64_t n_a, const int64_t *b, int64_t n_b, int64_t m, struct err *e)
{
    int64_t all = n_a + n_b, unit = gcd(all, n_a), reach = 0, sum = 0;
    for (int64_t i = 0; i < m; i++) {
        int64_t t = a[i] + b[i], low = t > n_b ? t - n_b : 0, high = t < n_a ? t : n_a;
        int64_t under = (t * n_a - low * all) / unit, over = (high * all - t * n_a) / unit;
        reach += under > over ? under : over;
        sum += (a[i] * all - t * n_a) / unit;
    }
    struct sums s;
    if (!sums_open(&s, reach, e))
        return false;
    int64_t *by = xmalloc(((size_t)n_a + 1) * sizeof(*by));
    double *chance = xmalloc(((size_t)n_a + 1) * sizeof(*chance));
    for (int64_t i = 0; i < m; i++) {
        int64_t t = a[i] + b[i], low = t > n_b ? t - n_b : 0, high = t < n_a ? t : n_a, n = high - low + 1, far = 0;
        if (n == 1)
            continue; /* dealt in one way, and its difference is 0 */
        for (int64_t x = low; x <= high; x++) {
            by[x - low] = (x * all - t * n_a) / unit;
            far = llabs(by[x - low]) > far ? llabs(by[x - low]) : far;
            double f = (double)n_a, g = (double)n_b, u = (double)x, v = (double)(t - x);
            chance[x - low] = exp(lgamma(f + 1) - lgamma(u + 1) - lgamma(f - u + 1) + lgamma(g + 1) - lgamma(v + 1) - lgamma(g - v + 1) -
                                  lgamma(f + g + 1) + lgamma(u + v + 1) + lgamma(f + g - u - v + 1));
        }
        sums_add(&s, by, chance, n, far);
    }
    free(by);
    free(chance);
    *p = sums_close(&s, sum);
    return true;
}

/* The interval of a difference of independent estimates from those of its parts. */
static struct interval mover(double a, struct interval x, double b, struct interval y)
{
    double la = a - x.low, ua = x.high - a, lb = b - y.low, ub = y.high - b, d = a - b;
    return (struct interval){d - sqrt(la * la + ub * ub), d + sqrt(ua * ua + lb * lb)};
}

/* ---- the mean of differences like those seen ---- */

double metric_weighted_below(const double *value, const double *weight, int64_t n, double x)
{
    /* The sign of sum w_i (value_i - x) is that of Q = sum G_i (value_i - x) with independent G_i ~ Gamma(weight_i), whose characteristic
     * function is the product of (1 - i t (value_i - x))^-weight_i. P(Q < 0) = 1/2 - 1/pi * integral over t > 0 of Im / t (Gil-Pelaez
     * 1951), by the trapezoid rule in log t: the integrand is analytic there and falls exponentially on both sides. */
    const double first = -9, last = 40;
    double square = 0, mean = 0, sum = 0;
    for (int64_t i = 0; i < n; i++) {
        mean += weight[i] * (value[i] - x);
        square += weight[i] * (value[i] - x) * (value[i] - x);
    }
    if (square == 0)
        return 0.5;
    double step = 0.25 / (1 + fabs(mean) / sqrt(square) / 3); /* farther from the mean it oscillates faster */
    for (double v = first + step / 2; v < last; v += step) {
        double t = exp(v) / sqrt(square), size = 0, angle = 0;
        for (int64_t i = 0; i < n; i++) {
            size -= 0.5 * weight[i] * log1p(t * t * (value[i] - x) * (value[i] - x));
            angle += weight[i] * atan(t * (value[i] - x));
        }
        if (size < -35)
            break;
        sum += step * exp(size) * sin(angle);
    }
    sum += mean / sqrt(square) * exp(first); /* what is left out: sin(angle) / t is constant there */
    return fmin(1.0, fmax(0.0, 0.5 - sum / M_PI));
}

/* Where metric_weighted_below() is share, between the least and the greatest value. */
static double weighted_quantile(const double *value, const double *weight, int64_t n, double share)
{
    double low = INFINITY, high = -INFINITY;
    for (int64_t i = 0; i < n; i++) {
        low = fmin(low, value[i]);
        high = fmax(high, value[i]);
    }
    /* Regula falsi on the share's log odds, which are nearly straight; a side that stays is halved (Illinois). */
    double odds = log(share / (1 - share)), at_low = -40, at_high = 40;
    for (int turn = 0, side = 0; turn < 100 && high - low > 1e-9; turn++) {
        double x = turn < 40 ? (low * at_high - high * at_low) / (at_high - at_low) : (low + high) / 2;
        double below = metric_weighted_below(value, weight, n, x), at = log((below + 1e-17) / (1 - below + 1e-17)) - odds;
        if (fabs(at) < 1e-7)
            return x;
        if (at < 0) {
            low = x;
            at_low = at;
            at_high /= side < 0 ? 2 : 1;
            side = -1;
        } else {
            high = x;
            at_high = at;
            at_low /= side > 0 ? 2 : 1;
            side = 1;
        }
    }
    return (low + high) / 2;
}

/* The middle 95% of the mean of problems like these, from the differences d / unit of m problems with n samples. */
static struct interval mean_like(const int64_t *d, int64_t m, double unit, int64_t n)
{
    if (m == 1)
        return (struct interval){-1, 1};
    double up = 0, down = 0, far = 1 / (double)n, *value = xmalloc(2 * ((size_t)m + 2) * sizeof(*value)), *weight = value + m + 2;
    int64_t different = 0;
    for (int64_t i = 0; i < m; i++) {
        double x = (double)d[i] / unit;
        up += fmax(x, 0);
        down += fmax(-x, 0);
        far = fmax(far, fabs(x));
        int64_t j = 0;
        while (j < different && value[j] != x)
            j++;
        if (j == different) {
            value[different] = x;
            weight[different++] = 0;
        }
        weight[j]++;
    }
    double lean = (1 - 1 / (double)n) * (up - down) / (up + down + 10 * far);
    for (int side = -1; side <= 1; side += 2) {
        value[different] = side * far;
        weight[different++] = 0.5 * (1 + side * lean);
    }
    struct interval x = {weighted_quantile(value, weight, different, 0.025), weighted_quantile(value, weight, different, 0.975)};
    free(value);
    double mean = (up - down) / (double)m;
    return (struct interval){fmin(x.low, mean), fmax(x.high, mean)};
}

struct interval metric_like_these(const int64_t *right, int64_t m, int64_t n)
{
    if (n == 1)
        return metric_wilson(metric_mean_pass(right, m, 1, 1), (double)m);
    struct metric_population *p = metric_population_open(m, n);
    metric_population_fit(p, right);
    struct interval x = metric_population_pass(p, 1);
    metric_population_close(p);
    return x;
}

bool metric_paired(struct paired *out, const int64_t *right_a, int64_t n_a, const int64_t *right_b, int64_t n_b, int64_t m, struct err *e)
{
    must(m > 0 && n_a > 0 && n_b > 0);
    bool bound;
    double a = metric_mean_pass(right_a, m, n_a, 1), b = metric_mean_pass(right_b, m, n_b, 1);
    *out = (struct paired){.difference = a - b};
    int64_t common = gcd(n_a, n_b), *d = xmalloc((size_t)m * sizeof(*d));
    for (int64_t i = 0; i < m; i++) {
        d[i] = right_a[i] * (n_b / common) - right_b[i] * (n_a / common);
        out->a_better += d[i] > 0;
        out->b_better += d[i] < 0;
        out->equal += d[i] == 0;
    }
    bool ok = sign_test(&out->p_like, d, m, e) && deal_test(&out->p_these, right_a, n_a, right_b, n_b, m, e);
    double unit = (double)n_a * (double)(n_b / common);
    out->like = mean_like(d, m, unit, n_a < n_b ? n_a : n_b);
    free(d);
    if (!ok)
        return false;
    out->these = mover(a, metric_sampling_pass(right_a, m, n_a, 1, &bound), b, metric_sampling_pass(right_b, m, n_b, 1, &bound));
    return true;
}
