/* tests/test_metrics_coverage.c - how often the intervals of infer/score/metrics.h hold what they should, by simulation: 30 problems, accuracies of
 * 5% to 95%, 1, 4 and 16 samples, five spreads between problems. PCM_LONG=1: 10,000 simulations of each case, which then must lie in the
 * promised range; else some hundred, within four of their standard errors. */
#include "core/rng.h"
#include "infer/score/metrics.h"
#include "tests/test.h"
#include <stdint.h>

enum { M = 30, MOST = 16 };

static double uniform(uint64_t t, uint64_t *i)
{
    return rng_uniform(11, t, (*i)++);
}

/* Gamma variates (Marsaglia and Tsang 2000), and from two a beta variate. */
static double gamma_of(double a, uint64_t t, uint64_t *i)
{
    if (a < 1) {
        double u = uniform(t, i);
        return gamma_of(a + 1, t, i) * pow(u + 1e-300, 1 / a);
    }
    double d = a - 1.0 / 3, c = 1 / sqrt(9 * d);
    for (;;) {
        double x = rng_normal(12, t, (*i)++), v = 1 + c * x;
        if (v <= 0)
            continue;
        v = v * v * v;
        if (log(uniform(t, i) + 1e-300) < 0.5 * x * x + d - d * v + d * log(v))
            return d * v;
    }
}

/* A problem's chance from the population: beta of this mean and a + b = size (0: all problems alike). */
static double chance_of(double mean, double size, uint64_t t, uint64_t *i)
{
    if (size == 0)
        return mean;
    double x = gamma_of(mean * size, t, i), y = gamma_of((1 - mean) * size, t, i);
    return x + y > 0 ? x / (x + y) : uniform(t, i) < mean;
}

static int64_t binomial(int64_t n, double p, uint64_t t, uint64_t *i)
{
    int64_t c = 0;
    for (int64_t j = 0; j < n; j++)
        c += uniform(t, i) < p;
    return c;
}

struct held {
    int64_t like, these, runs;
};

/* Accuracies vary by a tenth from one simulation
 * to the next: the coverage of whole numbers of right answers jumps from one accuracy to the next, and no accuracy is known. */
static struct held simulate(int64_t n, double accuracy, double size, int64_t k, int64_t runs, uint64_t seed)
{
    struct held h = {.runs = runs};
    struct metric_population *p = metric_population_open(M, n);
    for (int64_t r = 0; r < runs; r++) {
        uint64_t t = seed << 32 | (uint64_t)r, i = 0;
        double mean = accuracy * (0.9 + 0.2 * uniform(t, &i)), target = 0, fixed = 0;
        if (accuracy > 0.5)
            mean = 1 - (1 - accuracy) * (0.9 + 0.2 * uniform(t, &i));
        int64_t right[M];
        for (int64_t j = 0; j < M; j++) {
            double q = chance_of(mean, size, t, &i);
            fixed += (1 - pow(1 - q, (double)k)) / M;
            right[j] = binomial(n, q, t, &i);
        }
        target = 1;
        for (int64_t j = 0; j < k; j++)
            target *= size == 0 ? 1 - mean : ((1 - mean) * size + (double)j) / (size + (double)j);
        target = 1 - target;
        bool bound;
        metric_population_fit(p, right);
        struct interval these = metric_sampling_pass(right, M, n, k, &bound), like = n > 1 ? metric_population_pass(p, k) : these;
        h.like += like.low <= target && target <= like.high;
        h.these += these.low <= fixed && fixed <= these.high;
    }
    metric_population_close(p);
    return h;
}

static int64_t simulations(void)
{
    const char *s = getenv("PCM_LONG");
    return s && *s == '1' ? 10000 : 200;
}

/* 93.5% to 97%, and four standard errors of the simulation. */
static void covers(int64_t held, int64_t runs, bool may_be_wide, const char *what, double *low, double *high)
{
    double share = (double)held / (double)runs, slack = runs >= 10000 ? 0 : 4 * sqrt(0.05 * 0.95 / (double)runs);
    *low = fmin(*low, share);
    *high = fmax(*high, share);
    check_msg(share >= 0.935 - slack && (may_be_wide || share <= 0.97 + slack), "%s: %.2f%% of %lld", what, 100 * share, (long long)runs);
}

static const double accuracies[] = {0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95}, sizes[] = {0, 9, 2, 1, 0.5};
static const char *const spreads[] = {"no spread", "little spread", "even spread", "wide spread", "mostly all or nothing"};

static void coverage_of(int64_t n, int64_t k, const double *of, int n_of)
{
    double low = 1, high = 0, low_these = 1, high_these = 0;
    struct held held[5][9];
#pragma omp parallel for collapse(2) schedule(dynamic)
    for (int s = 0; s < 5; s++)
        for (int a = 0; a < n_of; a++)
            held[s][a] = simulate(n, of[a], sizes[s], k, simulations(), (uint64_t)(s * 100 + a));
    for (int s = 0; s < 5; s++)
        for (int a = 0; a < n_of; a++) {
            struct held h = held[s][a];
            char what[160];
            snprintf(what, sizeof what, "pass@%d of %d samples, accuracy %g, %s, problems like these", (int)k, (int)n, of[a], spreads[s]);
            covers(h.like, h.runs, k > 1, what, &low, &high);
            snprintf(what, sizeof what, "pass@%d of %d samples, accuracy %g, %s, these problems", (int)k, (int)n, of[a], spreads[s]);
            /* pass@k near 1 is all but certain, and one trial more makes its intervals wide */
            covers(h.these, h.runs, 2 * k > n || k > 1, what, &low_these, &high_these);
        }
    fprintf(stderr, "  pass@%d of %d: problems like these %.1f to %.1f%%, these problems %.1f to %.1f%%\n", (int)k, (int)n, 100 * low,
            100 * high, 100 * low_these, 100 * high_these);
}

static void coverage_1(void)
{
    coverage_of(1, 1, accuracies, 9);
}
static void coverage_4(void)
{
    coverage_of(4, 1, accuracies, 9);
}
static void coverage_16(void)
{
    coverage_of(16, 1, accuracies, 9);
}
static void coverage_pass(void)
{
    coverage_of(4, 2, accuracies, 7);
    coverage_of(16, 4, accuracies, 7);
    coverage_of(16, 8, accuracies, 7);
}

/* Two runs: seven problems of ten have the same chance in both, the others' chances are drawn from each run's own population. */
static struct held simulate_pair(int64_t n, double accuracy, double gain, double size, int64_t runs, uint64_t seed)
{
    struct held h = {.runs = runs};
    for (int64_t r = 0; r < runs; r++) {
        uint64_t t = seed << 32 | (uint64_t)r, i = 0;
        double mean = accuracy * (0.9 + 0.2 * uniform(t, &i)), other = mean + gain, fixed = 0;
        int64_t a[M], b[M];
        for (int64_t j = 0; j < M; j++) {
            double p = chance_of(mean, size, t, &i), q = uniform(t, &i) < 0.7 ? p : chance_of(other, size, t, &i);
            fixed += (q - p) / M;
            a[j] = binomial(n, p, t, &i);
            b[j] = binomial(n, q, t, &i);
        }
        struct paired p;
        struct err e;
        must(metric_paired(&p, b, n, a, n, M, &e));
        h.like += p.like.low <= 0.3 * gain && 0.3 * gain <= p.like.high;
        h.these += p.these.low <= fixed && fixed <= p.these.high;
    }
    return h;
}

/* Problems like these: nothing is assumed about the differences, of which a few large ones may be all that there is: 91% to 99%. */
static void coverage_of_differences(void)
{
    static const double gains[] = {0, 0.3};
    for (int64_t n = 1; n <= 16; n *= 4) {
        double low = 1, high = 0, low_these = 1, high_these = 0;
        struct held held[5][7][2];
#pragma omp parallel for collapse(3) schedule(dynamic)
        for (int s = 1; s < 5; s++)
            for (int a = 1; a < 7; a++)
                for (int g = 0; g < 2; g++)
                    held[s][a][g] = simulate_pair(n, accuracies[a], accuracies[a] < 0.6 ? gains[g] : -gains[g], sizes[s], simulations(),
                                                  (uint64_t)(1000 + s * 100 + a * 10 + g));
        for (int s = 1; s < 5; s++)
            for (int a = 1; a < 7; a++)
                for (int g = 0; g < 2; g++) {
                    struct held h = held[s][a][g];
                    char what[160];
                    snprintf(what, sizeof what, "difference, %d samples, accuracy %g, gain %g, %s", (int)n, accuracies[a], gains[g],
                             spreads[s]);
                    double share = (double)h.like / (double)h.runs, slack = h.runs >= 10000 ? 0 : 4 * sqrt(0.09 * 0.91 / (double)h.runs);
                    check_msg(share >= 0.91 - slack && share <= 0.99 + slack, "%s, problems like these: %.2f%%", what, 100 * share);
                    low = fmin(low, share);
                    high = fmax(high, share);
                    strcat(what, ", these problems");
                    covers(h.these, h.runs, n == 1, what, &low_these, &high_these);
                }
        fprintf(stderr, "  differences, %d samples: problems like these %.1f to %.1f%%, these problems %.1f to %.1f%%\n", (int)n, 100 * low,
                100 * high, 100 * low_these, 100 * high_these);
    }
}

static const struct test all[] = {
    {"1 sample a problem", coverage_1}, {"4 samples a problem", coverage_4},      {"16 samples a problem", coverage_16},
    {"pass@k", coverage_pass},          {"differences", coverage_of_differences},
};
TEST_MAIN("test_metrics_coverage", all)
